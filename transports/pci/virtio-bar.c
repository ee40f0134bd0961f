/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-bar.c - BAR 4: common, ISR, device, notify, by one table
 *
 *	0x0000  common configuration (virtio 1.4, 4.1.4.3)
 *	0x1000  ISR (4.1.4.5): one byte, reading clears it
 *	0x2000  the device's own configuration (4.1.4.6), any width
 *	0x3000  notify (4.1.4.4): queue q at 4 * q, 2 or 4 bytes, any value
 *
 * The table is the access check: a common register is accessed at its offset,
 * in its width.  64 bits may also come as two halves, in any order (4.1.3.1).
 * Whatever else is asked for reads as ones, and is dropped when written.
 *
 * Which queue a doorbell is for its offset says.  What is written to it (a
 * queue's number, how far the driver is: NOTIFICATION_DATA, or the number we
 * gave it: NOTIF_CONFIG_DATA) is a hint, and hostile; all we need is in the
 * ring.
 */
#include "virtio.h"

#include "core/log.h"

#include <endian.h>
#include <string.h>

enum bar_common {
	COMMON_DEVICE_SELECT,
	COMMON_DEVICE_FEATURES,
	COMMON_DRIVER_SELECT,
	COMMON_DRIVER_FEATURES,
	COMMON_CONFIG_VECTOR,
	COMMON_NR_QUEUES,
	COMMON_STATUS,
	COMMON_GENERATION,
	COMMON_QUEUE_SELECT,
	COMMON_QUEUE_SIZE,
	COMMON_QUEUE_VECTOR,
	COMMON_QUEUE_ENABLE,
	COMMON_QUEUE_NOTIFY_OFF,
	COMMON_QUEUE_DESC,
	COMMON_QUEUE_DRIVER,
	COMMON_QUEUE_DEVICE,
	COMMON_QUEUE_NOTIFY_DATA,
	COMMON_QUEUE_RESET,
	COMMON_ADMIN_INDEX,
	COMMON_ADMIN_NUM,
	NR_COMMON
};

struct bar_register {
	uint8_t offset;
	uint8_t width;
	bool writable;
	const char *name;
};

static const struct bar_register bar_common[NR_COMMON] = {
	[COMMON_DEVICE_SELECT]	   = { 0x00, 4, true, "device_feature_select" },
	[COMMON_DEVICE_FEATURES]   = { 0x04, 4, false, "device_feature" },
	[COMMON_DRIVER_SELECT]	   = { 0x08, 4, true, "driver_feature_select" },
	[COMMON_DRIVER_FEATURES]   = { 0x0c, 4, true, "driver_feature" },
	[COMMON_CONFIG_VECTOR]	   = { 0x10, 2, true, "config_msix_vector" },
	[COMMON_NR_QUEUES]	   = { 0x12, 2, false, "num_queues" },
	[COMMON_STATUS]		   = { 0x14, 1, true, "device_status" },
	[COMMON_GENERATION]	   = { 0x15, 1, false, "config_generation" },
	[COMMON_QUEUE_SELECT]	   = { 0x16, 2, true, "queue_select" },
	[COMMON_QUEUE_SIZE]	   = { 0x18, 2, true, "queue_size" },
	[COMMON_QUEUE_VECTOR]	   = { 0x1a, 2, true, "queue_msix_vector" },
	[COMMON_QUEUE_ENABLE]	   = { 0x1c, 2, true, "queue_enable" },
	[COMMON_QUEUE_NOTIFY_OFF]  = { 0x1e, 2, false, "queue_notify_off" },
	[COMMON_QUEUE_DESC]	   = { 0x20, 8, true, "queue_desc" },
	[COMMON_QUEUE_DRIVER]	   = { 0x28, 8, true, "queue_driver" },
	[COMMON_QUEUE_DEVICE]	   = { 0x30, 8, true, "queue_device" },
	[COMMON_QUEUE_NOTIFY_DATA] = { 0x38, 2, false,
				       "queue_notif_config_data" },
	[COMMON_QUEUE_RESET]	   = { 0x3a, 2, true, "queue_reset" },
	[COMMON_ADMIN_INDEX]	   = { 0x3c, 2, false, "admin_queue_index" },
	[COMMON_ADMIN_NUM]	   = { 0x3e, 2, false, "admin_queue_num" },
};

/* --- values in buffers --------------------------------------------------- */

static uint64_t bar_load(const void *buf, size_t len)
{
	uint64_t le = 0;

	memcpy(&le, buf, len);
	return le64toh(le);
}

static void bar_store(void *buf, size_t len, uint64_t value)
{
	uint64_t le = htole64(value);

	memcpy(buf, &le, len);
}

/* --- what is refused ----------------------------------------------------- */

static pvio_cold void bar_refuse(struct pci_virtio *card, bool is_write,
				 uint64_t offset, size_t len, const char *name)
{
	pvio_log_limited(&card->regs.log_limit, PVIO_LOG_WARNING,
			 "%s: driver %s %zu bytes at 0x%llx of BAR 4 (%s): "
			 "ignored",
			 card->pci.name,
			 is_write ? "writes" : "reads", len,
			 (unsigned long long)offset, name);
}

/* The register that @len bytes at @offset are, or are a half of; or -1. */
static int bar_find(struct pci_virtio *card, bool is_write, uint64_t offset,
		    size_t len, unsigned int *half)
{
	const char *name = "common configuration";
	const struct bar_register *r;
	int i;

	for (i = 0; i < NR_COMMON; i++) {
		r = &bar_common[i];
		if (offset < r->offset || offset >= r->offset + r->width)
			continue;
		*half = offset != r->offset;
		if ((len == r->width && !*half) ||
		    (len == 4 && r->width == 8 && offset % 4 == 0)) {
			if (!is_write || r->writable)
				return i;
		}
		name = r->name;
		break;
	}
	bar_refuse(card, is_write, offset, len, name);
	return -1;
}

/* --- common configuration ------------------------------------------------ */

/* A queue that does not exist has size 0 (4.1.4.3.1). */
static uint64_t bar_read_queue(struct pci_virtio *card, enum bar_common which,
			       unsigned int half)
{
	const struct pvio_register_queue *q =
		pvio_registers_selected(&card->regs);
	enum pvio_register_address address = PVIO_REGISTER_DEVICE;

	if (!q)
		return which == COMMON_QUEUE_VECTOR ? PVIO_NO_VECTOR : 0;
	switch (which) {
	case COMMON_QUEUE_SIZE:
		return pvio_register_queue_size(q);
	case COMMON_QUEUE_VECTOR:
		return q->vector;
	case COMMON_QUEUE_ENABLE:
		return pvio_register_queue_is_enabled(q);
	case COMMON_QUEUE_NOTIFY_OFF:
	case COMMON_QUEUE_NOTIFY_DATA:
		return card->regs.queue_select;
	case COMMON_QUEUE_RESET:
		return pvio_register_queue_is_resetting(q);
	case COMMON_QUEUE_DESC:
		address = PVIO_REGISTER_DESC;
		break;
	case COMMON_QUEUE_DRIVER:
		address = PVIO_REGISTER_DRIVER;
		break;
	default:
		break;
	}
	if (half)
		return pvio_register_queue_address(q, address, 1);
	return pvio_register_queue_address(q, address, 0) |
	       (uint64_t)pvio_register_queue_address(q, address, 1) << 32;
}

static uint64_t bar_read_common(struct pci_virtio *card, enum bar_common which,
				unsigned int half)
{
	struct pvio_registers *regs = &card->regs;

	switch (which) {
	case COMMON_DEVICE_SELECT:
		return regs->device_select;
	case COMMON_DEVICE_FEATURES:
		return pvio_registers_device_features(regs);
	case COMMON_DRIVER_SELECT:
		return regs->driver_select;
	case COMMON_DRIVER_FEATURES:
		return pvio_registers_driver_features(regs);
	case COMMON_CONFIG_VECTOR:
		return regs->config_vector;
	case COMMON_NR_QUEUES:
		return regs->nr_queues;
	case COMMON_STATUS:
		return pvio_registers_status(regs);
	case COMMON_GENERATION:
		return pvio_registers_generation(regs);
	case COMMON_QUEUE_SELECT:
		return regs->queue_select;
	case COMMON_ADMIN_INDEX:
	case COMMON_ADMIN_NUM:
		return 0;
	default:
		return bar_read_queue(card, which, half);
	}
}

static void bar_write_address(struct pvio_register_queue *q,
			      enum pvio_register_address which,
			      unsigned int half, uint64_t value, size_t len)
{
	pvio_register_queue_set_address(q, which, half, (uint32_t)value);
	if (len == 8)
		pvio_register_queue_set_address(q, which, 1,
						(uint32_t)(value >> 32));
}

/* True: @done will be called, or has been. */
static bool bar_write_queue(struct pci_virtio *card, enum bar_common which,
			    unsigned int half, uint64_t value, size_t len,
			    pvio_done_fn *done, void *arg)
{
	struct pvio_register_queue *q = pvio_registers_selected(&card->regs);

	if (!q)
		return false;
	switch (which) {
	case COMMON_QUEUE_SIZE:
		pvio_register_queue_set_size(q, (uint16_t)value);
		break;
	case COMMON_QUEUE_VECTOR:
		pvio_register_queue_set_vector(q, (uint16_t)value);
		break;
	case COMMON_QUEUE_DESC:
		bar_write_address(q, PVIO_REGISTER_DESC, half, value, len);
		break;
	case COMMON_QUEUE_DRIVER:
		bar_write_address(q, PVIO_REGISTER_DRIVER, half, value, len);
		break;
	case COMMON_QUEUE_DEVICE:
		bar_write_address(q, PVIO_REGISTER_DEVICE, half, value, len);
		break;
	case COMMON_QUEUE_ENABLE:
		/* A driver does not write 0 (4.1.4.3.2). */
		if (value != 1)
			break;
		pvio_register_queue_enable(q, done, arg);
		return true;
	case COMMON_QUEUE_RESET:
		/* The driver reads until it is over (4.1.4.3.2). */
		if (value == 1)
			pvio_register_queue_reset(q, NULL, NULL);
		break;
	default:
		break;
	}
	return false;
}

static void bar_write_common(struct pci_virtio *card, enum bar_common which,
			     unsigned int half, uint64_t value, size_t len,
			     pvio_done_fn *done, void *arg)
{
	struct pvio_registers *regs = &card->regs;

	switch (which) {
	case COMMON_DEVICE_SELECT:
		regs->device_select = (uint32_t)value;
		break;
	case COMMON_DRIVER_SELECT:
		regs->driver_select = (uint32_t)value;
		break;
	case COMMON_DRIVER_FEATURES:
		pvio_registers_set_driver_features(regs, (uint32_t)value);
		break;
	case COMMON_CONFIG_VECTOR:
		pvio_registers_set_config_vector(regs, (uint16_t)value);
		break;
	case COMMON_QUEUE_SELECT:
		regs->queue_select = (uint16_t)value;
		break;
	case COMMON_STATUS:
		/*
		 * The driver reads until it is 0 (4.1.4.3.2); where it is 0
		 * already, what it writes next must not be lost.
		 */
		if (value == 0 && pvio_registers_status(regs) != 0) {
			pvio_registers_set_status(regs, 0, NULL, NULL);
			break;
		}
		pvio_registers_set_status(regs, (uint8_t)value, done, arg);
		return;
	default:
		if (bar_write_queue(card, which, half, value, len, done, arg))
			return;
	}
	done(arg, 0);
}

/* --- doorbells and the ISR: any thread ----------------------------------- */

bool pci_virtio_write_fast(struct pvio_pci *pci, uint64_t offset,
			   const void *buf, size_t len)
{
	struct pci_virtio *card = pci_virtio_of(pci);
	uint64_t in = offset - PCI_NOTIFY_OFFSET;

	(void)buf; /* a hint */
	if (offset < PCI_NOTIFY_OFFSET || in >= PCI_NOTIFY_BYTES)
		return false;
	if (unlikely(in % PCI_NOTIFY_MULTIPLIER || (len != 2 && len != 4) ||
		     in / PCI_NOTIFY_MULTIPLIER >= card->regs.nr_queues))
		bar_refuse(card, true, offset, len, "notify");
	else
		pvio_device_kick(card->dev,
				 (unsigned int)(in / PCI_NOTIFY_MULTIPLIER));
	return true;
}

bool pci_virtio_read_fast(struct pvio_pci *pci, uint64_t offset, void *buf,
			  size_t len)
{
	if (offset != PCI_ISR_OFFSET || len != 1)
		return false;
	*(uint8_t *)buf = pvio_line_acknowledge(
		&pci->intx, PVIO_ISR_QUEUE | PVIO_ISR_CONFIG);
	return true;
}

/* --- the BAR ------------------------------------------------------------- */

static bool bar_is_device(const struct pci_virtio *card, uint64_t offset,
			  size_t len)
{
	return offset >= PCI_DEVICE_OFFSET &&
	       pvio_range_ok(offset - PCI_DEVICE_OFFSET, len,
			     pvio_device_config_size(card->dev));
}

static const char *bar_page(uint64_t offset)
{
	return offset < PCI_DEVICE_OFFSET ? "ISR" : "device configuration";
}

void pci_virtio_read(struct pvio_pci *pci, uint64_t offset, void *buf,
		     size_t len)
{
	struct pci_virtio *card = pci_virtio_of(pci);
	unsigned int half;
	int which;

	if (offset < PCI_ISR_OFFSET) {
		which = bar_find(card, false, offset, len, &half);
		if (which >= 0)
			bar_store(buf, len,
				  bar_read_common(card, (enum bar_common)which,
						  half));
	} else if (bar_is_device(card, offset, len)) {
		pvio_registers_read_config(&card->regs,
					   offset - PCI_DEVICE_OFFSET, buf,
					   len);
	} else if (offset >= PCI_NOTIFY_OFFSET) {
		memset(buf, 0, len); /* write-only */
	} else {
		bar_refuse(card, false, offset, len, bar_page(offset));
	}
}

void pci_virtio_write(struct pvio_pci *pci, uint64_t offset, const void *buf,
		      size_t len, pvio_done_fn *done, void *arg)
{
	struct pci_virtio *card = pci_virtio_of(pci);
	unsigned int half;
	int which;

	if (offset < PCI_ISR_OFFSET) {
		which = bar_find(card, true, offset, len, &half);
		if (which >= 0) {
			bar_write_common(card, (enum bar_common)which, half,
					 bar_load(buf, len), len, done, arg);
			return;
		}
	} else if (bar_is_device(card, offset, len)) {
		pvio_registers_write_config(&card->regs,
					    offset - PCI_DEVICE_OFFSET, buf,
					    len);
	} else {
		bar_refuse(card, true, offset, len, bar_page(offset));
	}
	done(arg, 0);
}

/* The areas of a queue that was to be enabled, and is not. */
unsigned int pci_virtio_missed(struct pvio_pci *pci, uint64_t offset,
			       uint64_t address[PCI_CARD_MISSED])
{
	const struct bar_register *enable = &bar_common[COMMON_QUEUE_ENABLE];
	struct pvio_register_queue *q;

	if (offset != PCI_COMMON_OFFSET + enable->offset)
		return 0;
	q = pvio_registers_selected(&pci_virtio_of(pci)->regs);
	if (!q || pvio_register_queue_is_enabled(q))
		return 0;
	address[0] = q->desc;
	address[1] = q->driver;
	address[2] = q->device;
	return 3;
}
