/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio.h - a virtio device as a PCI function (virtio 1.4, 4.1)
 *
 *	virtio.c	life, interrupts, what the function asks of a card
 *	virtio-bar.c	BAR 4: common, ISR, device, notify, by one table
 *	virtio-config.c	ids, capabilities, the window
 *
 * What a transport that shows one has in it: it hands the core's events on, and
 * brings the guest's accesses to @pci.
 */
#ifndef PVIO_PCI_VIRTIO_H
#define PVIO_PCI_VIRTIO_H

#include "transports/pci/pci.h"
#include "transports/registers/registers.h"

#define PCI_BAR_VIRTIO 4

/* BAR 4 */
#define PCI_COMMON_OFFSET     0x0000
#define PCI_COMMON_BYTES      64
#define PCI_ISR_OFFSET	      0x1000
#define PCI_DEVICE_OFFSET     0x2000
#define PCI_NOTIFY_OFFSET     0x3000
#define PCI_NOTIFY_BYTES      0x1000
#define PCI_NOTIFY_MULTIPLIER 4
#define PCI_BAR_VIRTIO_BYTES  0x4000

/* Features that every virtio PCI function of ours carries. */
#define PCI_FEATURES                                                    \
	(PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |                        \
	 PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) |                            \
	 PVIO_BIT(VIRTIO_F_VERSION_1) | PVIO_BIT(VIRTIO_F_RING_PACKED) | \
	 PVIO_BIT(VIRTIO_F_ACCESS_PLATFORM) |                           \
	 PVIO_BIT(VIRTIO_F_IN_ORDER) |                                  \
	 PVIO_BIT(VIRTIO_F_NOTIFICATION_DATA) |                         \
	 PVIO_BIT(VIRTIO_F_NOTIF_CONFIG_DATA) |                         \
	 PVIO_BIT(VIRTIO_F_RING_RESET) | PVIO_BIT(VIRTIO_F_SUSPEND))

struct pci_virtio {
	struct pvio_pci pci;
	struct pvio_device *dev; /* borrowed */
	struct pvio_registers regs;
};

static inline struct pci_virtio *pci_virtio_of(struct pvio_pci *pci)
{
	return pvio_container_of(pci, struct pci_virtio, pci);
}

/* Shared by all transports that show one: read keys, build it. */
int pci_virtio_init(struct pci_virtio *card, struct pvio_device *dev,
		    struct pvio_config *cfg);
void pci_virtio_fini(struct pci_virtio *card);

/* The core's events, for the ops record of whichever transport it is. */
void pci_virtio_notify_queue(struct pci_virtio *card, unsigned int queue);
void pci_virtio_notify_config(struct pci_virtio *card);

/* --- between its files, for its struct pci_card_ops ----------------------- */

struct pci_card_id pci_virtio_id(const struct pvio_device *dev);
void pci_virtio_put_capabilities(struct pvio_pci *pci, unsigned int *last);
void pci_virtio_read_config(struct pvio_pci *pci, size_t offset, size_t len);
void pci_virtio_wrote_config(struct pvio_pci *pci, size_t offset, size_t len,
			     pvio_done_fn *done, void *arg);
void pci_virtio_read(struct pvio_pci *pci, uint64_t offset, void *buf,
		     size_t len);
void pci_virtio_write(struct pvio_pci *pci, uint64_t offset, const void *buf,
		      size_t len, pvio_done_fn *done, void *arg);
bool pci_virtio_read_fast(struct pvio_pci *pci, uint64_t offset, void *buf,
			  size_t len);
bool pci_virtio_write_fast(struct pvio_pci *pci, uint64_t offset,
			   const void *buf, size_t len);
unsigned int pci_virtio_missed(struct pvio_pci *pci, uint64_t offset,
			       uint64_t address[PCI_CARD_MISSED]);

#endif
