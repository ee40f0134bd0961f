/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.h - a virtio PCI function, between its files and for vfio-user
 *
 *	pci.c		the transport, and the API of pvio/pci.h over it
 *	config.c	configuration space: masks, capabilities, power, FLR
 *	bar.c		BAR 4: common, ISR, device, notify, by one table
 *	msix.c		MSI-X: table, pending bits, delivery
 *
 * The function is what a guest sees; who brings the guest's accesses is not
 * its business: a VMM's threads by pvio/pci.h, or a vfio-user client.  Accesses
 * are made on the control worker, but for those that say otherwise.
 *
 * A write may have to wait for a queue's worker.  Then @done comes later, and
 * until then the caller makes no other access.  What the driver itself polls
 * for (a reset by status, a queue reset, FLR) is not waited for.
 */
#ifndef PVIO_PCI_INTERNAL_H
#define PVIO_PCI_INTERNAL_H

#include "transports/pci/msix.h"
#include "transports/registers/access.h"
#include "transports/registers/doorbells.h"
#include "transports/registers/line.h"
#include "transports/registers/registers.h"

#include <pvio/pci.h>

#define PCI_CONFIG_BYTES 4096
#define PCI_BAR_MSIX	 0
#define PCI_BAR_VIRTIO	 4

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

#define PCI_RESET_WAITERS 4

struct pvio_pci {
	struct pvio_device *dev; /* borrowed */
	/* Not started: a configuration space for its host, and no registers. */
	bool is_stopped;
	struct pvio_registers regs;
	struct pvio_msix msix;
	struct pvio_line intx;
	struct pvio_pci_host host;
	void *host_arg;
	uint8_t config[PCI_CONFIG_BYTES]; /* as the guest reads it */
	uint8_t mask[PCI_CONFIG_BYTES];	  /* bits the guest may write */

	/* config.c's own */
	bool is_quiesced; /* bus master off, or not in D0: nothing is served */
	bool is_resetting; /* by the bus or FLR: it does not answer */
	struct {
		uint64_t address;
		bool is_enabled;
	} told[PVIO_PCI_NR_BARS]; /* to the host */
	pvio_done_fn *done; /* of the write under way */
	void *done_arg;
	bool wants_window; /* it goes on with an access through the window */
	unsigned int nr_reset_waiters;
	struct {
		pvio_done_fn *done;
		void *arg;
	} reset_waiter[PCI_RESET_WAITERS];

	/* pci.c's own, of those who call pvio/pci.h */
	struct pvio_accesses accesses;
	struct pvio_doorbells doorbells;
};

/* Shared by all transports that show a PCI function: read keys, build it. */
int pci_init(struct pvio_pci *pci, struct pvio_device *dev,
	     struct pvio_config *cfg);
void pci_fini(struct pvio_pci *pci);

/* Fill in @pci->config and mask, as after a reset. */
void pci_config_init(struct pvio_pci *pci);
/*
 * A write that takes an FLR, or takes bus mastering or power away, may have to
 * wait for the queues.
 */
void pci_config_read(struct pvio_pci *pci, size_t offset, void *buf,
		     size_t len);
void pci_config_write(struct pvio_pci *pci, size_t offset, const void *buf,
		      size_t len, pvio_done_fn *done, void *arg);
void pci_bar_read(struct pvio_pci *pci, unsigned int bar, uint64_t offset,
		  void *buf, size_t len);
void pci_bar_write(struct pvio_pci *pci, unsigned int bar, uint64_t offset,
		   const void *buf, size_t len, pvio_done_fn *done, void *arg);
/* Any thread: a doorbell or the ISR?  Then it has been dealt with. */
bool pci_bar_write_fast(struct pvio_pci *pci, unsigned int bar,
			uint64_t offset, size_t len);
bool pci_bar_read_fast(struct pvio_pci *pci, unsigned int bar, uint64_t offset,
		       void *buf, size_t len);
uint64_t pci_bar_size(const struct pvio_pci *pci, unsigned int bar);
/* The bus's reset. */
void pci_reset(struct pvio_pci *pci, pvio_done_fn *done, void *arg);

/* The core's events, for the ops record of whichever transport it is. */
void pci_notify_queue(struct pvio_pci *pci, unsigned int queue);
void pci_notify_config(struct pvio_pci *pci);
void pci_describe(struct pvio_pci *pci, char *text, size_t size);

#endif
