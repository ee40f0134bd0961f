/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-config.c - a virtio device's part of configuration space
 *
 *	0x4c  common
 *	0x5c  ISR
 *	0x6c  device, if it has any
 *	0x7c  notify
 *	0x90  window: any register, by configuration space alone
 *
 * IDs, classes and capabilities are those that guests know from QEMU's modern
 * virtio devices (virtio 1.4, 4.1.2).
 */
#include "virtio.h"

#define VIRTIO_VENDOR	   0x1af4
#define VIRTIO_DEVICE_BASE 0x1040
#define VIRTIO_SUBSYSTEM   0x1100
#define VIRTIO_REVISION	   1

enum virtio_place {
	CAP_COMMON = PCI_CAP_VENDOR,
	CAP_ISR = 0x5c,
	CAP_DEVICE = 0x6c,
	CAP_NOTIFY = 0x7c,
	CAP_WINDOW = 0x90,
	CAP_END = 0xa4,
};
static_assert((int)CAP_END <= PCI_CAP_VENDOR_END, "the room that there is");

#define CAP_VIRTIO_BYTES 16
#define CAP_NOTIFY_BYTES 20
#define CAP_WINDOW_BYTES 20

enum virtio_capability {
	VIRTIO_CAP_COMMON = 1,
	VIRTIO_CAP_NOTIFY = 2,
	VIRTIO_CAP_ISR = 3,
	VIRTIO_CAP_DEVICE = 4,
	VIRTIO_CAP_WINDOW = 5,
};

#define WINDOW_BAR    (CAP_WINDOW + 4)
#define WINDOW_OFFSET (CAP_WINDOW + 8)
#define WINDOW_LENGTH (CAP_WINDOW + 12)
#define WINDOW_DATA   (CAP_WINDOW + 16)

/* --- what is there ------------------------------------------------------- */

static uint32_t virtio_class(uint32_t device_id)
{
	switch (device_id) {
	case VIRTIO_ID_NET:
		return 0x020000; /* Ethernet controller */
	case VIRTIO_ID_BLOCK:
		return 0x010000; /* SCSI storage, as guests expect */
	case VIRTIO_ID_CONSOLE:
		return 0x078000; /* communication controller, other */
	default:
		return 0x00ff00; /* none of the classes */
	}
}

struct pci_card_id pci_virtio_id(const struct pvio_device *dev)
{
	uint32_t device_id = pvio_device_id(dev);

	return (struct pci_card_id){
		.vendor = VIRTIO_VENDOR,
		.device = (uint16_t)(VIRTIO_DEVICE_BASE + device_id),
		.subsystem_vendor = VIRTIO_VENDOR,
		.subsystem = VIRTIO_SUBSYSTEM,
		.class = virtio_class(device_id),
		.revision = VIRTIO_REVISION,
		.has_intx = true,
	};
}

static void put_virtio(struct pvio_pci *pci, unsigned int *last,
		       unsigned int at, enum virtio_capability type,
		       uint32_t offset, uint32_t bytes)
{
	uint8_t len = CAP_VIRTIO_BYTES;

	if (type == VIRTIO_CAP_NOTIFY)
		len = CAP_NOTIFY_BYTES;
	else if (type == VIRTIO_CAP_WINDOW)
		len = CAP_WINDOW_BYTES;
	pci_put_capability(pci, last, at, PCI_CAP_ID_VENDOR);
	pci->config[at + 2] = len;
	pci->config[at + 3] = (uint8_t)type;
	if (type == VIRTIO_CAP_WINDOW)
		return;
	pci->config[at + 4] = PCI_BAR_VIRTIO;
	pci_put32(pci->config, at + 8, offset);
	pci_put32(pci->config, at + 12, bytes);
}

void pci_virtio_put_capabilities(struct pvio_pci *pci, unsigned int *last)
{
	struct pci_virtio *card = pci_virtio_of(pci);
	size_t config_bytes = pvio_device_config_size(card->dev);

	put_virtio(pci, last, CAP_COMMON, VIRTIO_CAP_COMMON, PCI_COMMON_OFFSET,
		   PCI_COMMON_BYTES);
	put_virtio(pci, last, CAP_ISR, VIRTIO_CAP_ISR, PCI_ISR_OFFSET, 1);
	if (config_bytes)
		put_virtio(pci, last, CAP_DEVICE, VIRTIO_CAP_DEVICE,
			   PCI_DEVICE_OFFSET, (uint32_t)config_bytes);
	put_virtio(pci, last, CAP_NOTIFY, VIRTIO_CAP_NOTIFY, PCI_NOTIFY_OFFSET,
		   card->regs.nr_queues * PCI_NOTIFY_MULTIPLIER);
	pci_put32(pci->config, CAP_NOTIFY + CAP_VIRTIO_BYTES,
		  PCI_NOTIFY_MULTIPLIER);
	put_virtio(pci, last, CAP_WINDOW, VIRTIO_CAP_WINDOW, 0, 0);
	pci->mask[WINDOW_BAR] = 0xff;
	pci_put32(pci->mask, WINDOW_OFFSET, UINT32_MAX);
	pci_put32(pci->mask, WINDOW_LENGTH, UINT32_MAX);
	pci_put32(pci->mask, WINDOW_DATA, UINT32_MAX);
}

/* --- the window (virtio 1.4, 4.1.4.9) ------------------------------------ */

/* Where the window is: false when there is nothing that it could show. */
static bool window_is_open(const struct pvio_pci *pci, unsigned int *bar,
			   uint64_t *offset, size_t *len)
{
	*bar = pci->config[WINDOW_BAR];
	*offset = pci_get32(pci->config, WINDOW_OFFSET);
	*len = pci_get32(pci->config, WINDOW_LENGTH);
	return (*len == 1 || *len == 2 || *len == 4) &&
	       pvio_range_ok(*offset, *len, pci_bar_size(pci, *bar));
}

void pci_virtio_read_config(struct pvio_pci *pci, size_t offset, size_t len)
{
	uint64_t at;
	unsigned int bar;
	size_t n;

	if (!pci_ranges_meet(offset, len, WINDOW_DATA, 4))
		return;
	pci_put32(pci->config, WINDOW_DATA, UINT32_MAX);
	if (window_is_open(pci, &bar, &at, &n))
		pci_bar_read(pci, bar, at, pci->config + WINDOW_DATA, n);
}

void pci_virtio_wrote_config(struct pvio_pci *pci, size_t offset, size_t len,
			     pvio_done_fn *done, void *arg)
{
	uint8_t data[4];
	uint64_t at;
	unsigned int bar;
	size_t n;

	memcpy(data, pci->config + WINDOW_DATA, sizeof(data));
	if (pci_ranges_meet(offset, len, WINDOW_DATA, 4) &&
	    window_is_open(pci, &bar, &at, &n))
		pci_bar_write(pci, bar, at, data, n, done, arg);
	else
		done(arg, 0);
}
