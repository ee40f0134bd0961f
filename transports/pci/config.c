/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config.c - configuration space: masks, capabilities, power, FLR
 *
 *	0x00  header, type 0
 *	0x40  MSI-X
 *	0x4c  virtio: common, ISR, device (if it has any), notify, window
 *	0xa4  power management: D0, D3hot, which keeps all state
 *	0xac  PCI Express endpoint: function level reset
 *	0x100 no extended capabilities
 *
 * What is there and which bits of it can be written are two tables of bytes,
 * filled in once and after every reset; a write is one loop over both, then
 * whatever it means is looked at.  No bit of ours is cleared by writing 1 to
 * it: we report no errors and no wake-ups, so those bits are 0 for ever.
 *
 * A function that is not bus master, or not in D0, touches no memory: writing
 * that waits until the queues have drained, since what drivers and hypervisors
 * do next is to take the memory away.  MSI-X messages are memory writes, too:
 * they pend meanwhile.
 *
 * Resets, by the bus and by FLR, leave BARs, command register, MSI-X and queues
 * as after power-on.  An FLR is not waited for: until it is done the function
 * does not answer, which guests take for a function that is not ready.
 *
 * IDs, classes and capabilities are those that guests know from QEMU's modern
 * virtio devices (virtio 1.4, 4.1.2).
 */
#include "pci.h"

#include "core/log.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

enum config_header {
	CONFIG_VENDOR = 0x00,
	CONFIG_DEVICE = 0x02,
	CONFIG_COMMAND = 0x04,
	CONFIG_STATUS = 0x06,
	CONFIG_REVISION = 0x08, /* and the class, 24 bits, above it */
	CONFIG_CACHE_LINE = 0x0c,
	CONFIG_BAR = 0x10,
	CONFIG_SUBSYSTEM_VENDOR = 0x2c,
	CONFIG_SUBSYSTEM = 0x2e,
	CONFIG_CAPABILITIES = 0x34,
	CONFIG_LINE = 0x3c,
	CONFIG_PIN = 0x3d,
};

#define COMMAND_MEMORY	      0x0002
#define COMMAND_BUS_MASTER    0x0004
#define COMMAND_PARITY	      0x0040
#define COMMAND_SERR	      0x0100
#define COMMAND_INTX_DISABLE  0x0400
#define STATUS_INTX	      0x0008
#define STATUS_CAPABILITIES   0x0010
#define BAR_64		      0x4
#define BAR_PREFETCH	      0x8
#define BAR_FLAGS	      0xf

#define VIRTIO_VENDOR		 0x1af4
#define VIRTIO_DEVICE_BASE	 0x1040
#define VIRTIO_SUBSYSTEM	 0x1100
#define VIRTIO_REVISION		 1

/* Capabilities: ids of the list, where we have them, what is in them. */
#define CAP_ID_POWER   0x01
#define CAP_ID_VENDOR  0x09
#define CAP_ID_EXPRESS 0x10
#define CAP_ID_MSIX    0x11

enum config_capability {
	CAP_MSIX = 0x40,
	CAP_COMMON = 0x4c,
	CAP_ISR = 0x5c,
	CAP_DEVICE = 0x6c,
	CAP_NOTIFY = 0x7c,
	CAP_WINDOW = 0x90,
	CAP_POWER = 0xa4,
	CAP_EXPRESS = 0xac,
};

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

#define MSIX_CONTROL (CAP_MSIX + 2)
#define MSIX_MASK    0x4000
#define MSIX_ENABLE  0x8000

#define POWER_CONTROL	   (CAP_POWER + 4)
#define POWER_VERSION	   3
#define POWER_STATE	   0x3
#define POWER_D3	   3

#define EXPRESS_CONTROL	     (CAP_EXPRESS + 8)
#define EXPRESS_CONTROL_BITS 0x781f /* errors, ordering, sizes of reads */
#define EXPRESS_CONTROL_INIT 0x2810
#define EXPRESS_FLR	     0x8000
#define EXPRESS_ROLE_ERRORS  (1u << 15)
#define EXPRESS_HAS_FLR	     (1u << 28)
#define EXPRESS_LINK	     0x11 /* 2.5 GT/s, one lane */

/* --- bytes --------------------------------------------------------------- */

static void put16(uint8_t *space, unsigned int at, uint16_t value)
{
	uint16_t le = htole16(value);

	memcpy(space + at, &le, sizeof(le));
}

static void put32(uint8_t *space, unsigned int at, uint32_t value)
{
	uint32_t le = htole32(value);

	memcpy(space + at, &le, sizeof(le));
}

static uint16_t get16(const uint8_t *space, unsigned int at)
{
	uint16_t le;

	memcpy(&le, space + at, sizeof(le));
	return le16toh(le);
}

static uint32_t get32(const uint8_t *space, unsigned int at)
{
	uint32_t le;

	memcpy(&le, space + at, sizeof(le));
	return le32toh(le);
}

/* Do [a, a + a_len) and [b, b + b_len) meet? */
static bool ranges_meet(size_t a, size_t a_len, size_t b, size_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

/* --- what is there ------------------------------------------------------- */

static uint32_t config_class(uint32_t device_id)
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

static void config_put_bar(struct pvio_pci *pci, unsigned int bar,
			   uint32_t flags)
{
	uint64_t mask = ~(pci_bar_size(pci, bar) - 1);
	unsigned int at = CONFIG_BAR + 4 * bar;

	put32(pci->config, at, flags);
	put32(pci->mask, at, (uint32_t)mask);
	if (flags & BAR_64)
		put32(pci->mask, at + 4, (uint32_t)(mask >> 32));
}

static void config_put_header(struct pvio_pci *pci)
{
	uint32_t id = pvio_device_id(pci->dev);
	uint8_t *config = pci->config;

	put16(config, CONFIG_VENDOR, VIRTIO_VENDOR);
	put16(config, CONFIG_DEVICE, (uint16_t)(VIRTIO_DEVICE_BASE + id));
	put16(pci->mask, CONFIG_COMMAND,
	      COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_PARITY |
		      COMMAND_SERR | COMMAND_INTX_DISABLE);
	put16(config, CONFIG_STATUS, STATUS_CAPABILITIES);
	put32(config, CONFIG_REVISION,
	      VIRTIO_REVISION | config_class(id) << 8);
	pci->mask[CONFIG_CACHE_LINE] = 0xff;
	if (pci->msix.nr > 0)
		config_put_bar(pci, PCI_BAR_MSIX, 0);
	config_put_bar(pci, PCI_BAR_VIRTIO, BAR_64 | BAR_PREFETCH);
	put16(config, CONFIG_SUBSYSTEM_VENDOR, VIRTIO_VENDOR);
	put16(config, CONFIG_SUBSYSTEM, VIRTIO_SUBSYSTEM);
	pci->mask[CONFIG_LINE] = 0xff;
	config[CONFIG_PIN] = 1;
}

/* Put a capability behind the one at *last, which is what points at it. */
static void config_put_cap(struct pvio_pci *pci, unsigned int *last,
			   unsigned int at, uint8_t id)
{
	pci->config[*last] = (uint8_t)at;
	pci->config[at] = id;
	*last = at + 1;
}

static void config_put_msix(struct pvio_pci *pci, unsigned int *last)
{
	uint8_t *config = pci->config;

	config_put_cap(pci, last, CAP_MSIX, CAP_ID_MSIX);
	put16(config, MSIX_CONTROL, (uint16_t)(pci->msix.nr - 1));
	put16(pci->mask, MSIX_CONTROL, MSIX_MASK | MSIX_ENABLE);
	put32(config, CAP_MSIX + 4, PCI_BAR_MSIX);
	put32(config, CAP_MSIX + 8, PVIO_MSIX_PBA_OFFSET | PCI_BAR_MSIX);
}

static void config_put_virtio(struct pvio_pci *pci, unsigned int *last,
			      unsigned int at, enum virtio_capability type,
			      uint32_t offset, uint32_t bytes)
{
	uint8_t len = CAP_VIRTIO_BYTES;

	if (type == VIRTIO_CAP_NOTIFY)
		len = CAP_NOTIFY_BYTES;
	else if (type == VIRTIO_CAP_WINDOW)
		len = CAP_WINDOW_BYTES;
	config_put_cap(pci, last, at, CAP_ID_VENDOR);
	pci->config[at + 2] = len;
	pci->config[at + 3] = (uint8_t)type;
	if (type == VIRTIO_CAP_WINDOW)
		return;
	pci->config[at + 4] = PCI_BAR_VIRTIO;
	put32(pci->config, at + 8, offset);
	put32(pci->config, at + 12, bytes);
}

static void config_put_express(struct pvio_pci *pci)
{
	uint8_t *config = pci->config;

	put16(config, CAP_EXPRESS + 0x02, 2); /* version; an endpoint */
	put32(config, CAP_EXPRESS + 0x04,
	      EXPRESS_ROLE_ERRORS | EXPRESS_HAS_FLR);
	put16(config, EXPRESS_CONTROL, EXPRESS_CONTROL_INIT);
	put16(pci->mask, EXPRESS_CONTROL, EXPRESS_CONTROL_BITS);
	put32(config, CAP_EXPRESS + 0x0c, EXPRESS_LINK);
	put16(config, CAP_EXPRESS + 0x12, EXPRESS_LINK);
	put32(config, CAP_EXPRESS + 0x2c, 0x2); /* speeds, as a set */
	put16(config, CAP_EXPRESS + 0x30, 0x1);
}

void pci_config_init(struct pvio_pci *pci)
{
	size_t config_bytes = pvio_device_config_size(pci->dev);
	unsigned int last = CONFIG_CAPABILITIES;
	uint8_t *config = pci->config;

	memset(pci->config, 0, sizeof(pci->config));
	memset(pci->mask, 0, sizeof(pci->mask));
	config_put_header(pci);

	if (pci->msix.nr > 0)
		config_put_msix(pci, &last);
	config_put_virtio(pci, &last, CAP_COMMON, VIRTIO_CAP_COMMON,
			  PCI_COMMON_OFFSET, PCI_COMMON_BYTES);
	config_put_virtio(pci, &last, CAP_ISR, VIRTIO_CAP_ISR, PCI_ISR_OFFSET,
			  1);
	if (config_bytes)
		config_put_virtio(pci, &last, CAP_DEVICE, VIRTIO_CAP_DEVICE,
				  PCI_DEVICE_OFFSET, (uint32_t)config_bytes);
	config_put_virtio(pci, &last, CAP_NOTIFY, VIRTIO_CAP_NOTIFY,
			  PCI_NOTIFY_OFFSET,
			  pci->regs.nr_queues * PCI_NOTIFY_MULTIPLIER);
	put32(config, CAP_NOTIFY + CAP_VIRTIO_BYTES, PCI_NOTIFY_MULTIPLIER);
	config_put_virtio(pci, &last, CAP_WINDOW, VIRTIO_CAP_WINDOW, 0, 0);
	pci->mask[WINDOW_BAR] = 0xff;
	put32(pci->mask, WINDOW_OFFSET, UINT32_MAX);
	put32(pci->mask, WINDOW_LENGTH, UINT32_MAX);
	put32(pci->mask, WINDOW_DATA, UINT32_MAX);

	config_put_cap(pci, &last, CAP_POWER, CAP_ID_POWER);
	put16(config, CAP_POWER + 2, POWER_VERSION);
	/*
	 * All is kept in D3hot, but No_Soft_Reset is not set: Linux (6.10 on)
	 * takes it for a promise that the device need not be set up again
	 * after any sleep, and waits for ever for a device that its VMM has
	 * reset, as QEMU does at the end of S3.
	 */
	put16(pci->mask, POWER_CONTROL, POWER_STATE);
	config_put_cap(pci, &last, CAP_EXPRESS, CAP_ID_EXPRESS);
	config_put_express(pci);
}

/* --- what it means ------------------------------------------------------- */

static bool config_is_powered(const struct pvio_pci *pci)
{
	return (get16(pci->config, POWER_CONTROL) & POWER_STATE) == 0;
}

static bool config_is_master(const struct pvio_pci *pci)
{
	return config_is_powered(pci) &&
	       (get16(pci->config, CONFIG_COMMAND) & COMMAND_BUS_MASTER);
}

static void config_tell_bar(struct pvio_pci *pci, unsigned int bar)
{
	const uint8_t *config = pci->config;
	unsigned int at = CONFIG_BAR + 4 * bar;
	uint64_t address = get32(config, at) & ~(uint32_t)BAR_FLAGS;
	bool is_enabled = config_is_powered(pci) &&
			  (get16(config, CONFIG_COMMAND) & COMMAND_MEMORY);

	/* Without vectors there is no MSI-X, nor a BAR of it. */
	if (pci_bar_size(pci, bar) == 0)
		return;
	if (config[at] & BAR_64)
		address |= (uint64_t)get32(config, at + 4) << 32;
	if (is_enabled == pci->told[bar].is_enabled &&
	    (!is_enabled || address == pci->told[bar].address))
		return;
	pci->told[bar].is_enabled = is_enabled;
	pci->told[bar].address = address;
	if (pci->host.bar_moved)
		pci->host.bar_moved(pci->host_arg, bar, address, is_enabled);
}

static void config_tell_bars(struct pvio_pci *pci)
{
	config_tell_bar(pci, PCI_BAR_MSIX);
	config_tell_bar(pci, PCI_BAR_VIRTIO);
}

/* Interrupts, as the registers say now. */
static void config_route(struct pvio_pci *pci)
{
	uint16_t control = get16(pci->config, MSIX_CONTROL);
	uint16_t command = get16(pci->config, CONFIG_COMMAND);
	bool enable = control & MSIX_ENABLE;
	bool mask = (control & MSIX_MASK) || !config_is_master(pci);

	/* A client that keeps the table keeps this, too. */
	if (!pci->msix.is_external)
		pvio_msix_control(&pci->msix, enable, enable && mask);
	/* In D3hot there is PME, which we have not, and no other interrupt. */
	pvio_line_set_off(&pci->intx,
			  enable || (command & COMMAND_INTX_DISABLE) ||
				  !config_is_powered(pci));
}

/* --- reset --------------------------------------------------------------- */

static void reset_is_quiet(void *arg, int rc)
{
	struct pvio_pci *pci = arg;
	pvio_done_fn *done[PCI_RESET_WAITERS];
	void *done_arg[PCI_RESET_WAITERS];
	unsigned int i, n = pci->nr_reset_waiters;

	/* -EBUSY: too many others wait.  The next write tries it again. */
	pci->is_quiesced = rc == 0;
	pci->is_resetting = false;
	for (i = 0; i < n; i++) {
		done[i] = pci->reset_waiter[i].done;
		done_arg[i] = pci->reset_waiter[i].arg;
	}
	pci->nr_reset_waiters = 0;
	for (i = 0; i < n; i++)
		done[i](done_arg[i], rc);
}

static void reset_registers_done(void *arg, int rc)
{
	struct pvio_pci *pci = arg;

	(void)rc;
	config_route(pci);
	/* It is no bus master; nothing runs that would have to drain. */
	pvio_device_quiesce(pci->dev, PVIO_QUIET_TRANSPORT, reset_is_quiet,
			    pci);
}

void pci_reset(struct pvio_pci *pci, pvio_done_fn *done, void *arg)
{
	bool is_resetting = pci->is_resetting;

	if (done) {
		if (pci->nr_reset_waiters == PCI_RESET_WAITERS) {
			done(arg, -EBUSY);
			return;
		}
		pci->reset_waiter[pci->nr_reset_waiters].done = done;
		pci->reset_waiter[pci->nr_reset_waiters].arg = arg;
		pci->nr_reset_waiters++;
	}
	pci_config_init(pci);
	config_tell_bars(pci);
	pvio_msix_reset(&pci->msix);
	if (is_resetting)
		return;
	pci->is_resetting = true;
	pvio_registers_reset(&pci->regs, reset_registers_done, pci);
}

/* --- the window (virtio 1.4, 4.1.4.9) ------------------------------------ */

/* Where the window is: false when there is nothing that it could show. */
static bool window_is_open(const struct pvio_pci *pci, unsigned int *bar,
			   uint64_t *offset, size_t *len)
{
	*bar = pci->config[WINDOW_BAR];
	*offset = get32(pci->config, WINDOW_OFFSET);
	*len = get32(pci->config, WINDOW_LENGTH);
	return (*len == 1 || *len == 2 || *len == 4) &&
	       pvio_range_ok(*offset, *len, pci_bar_size(pci, *bar));
}

static void window_read(struct pvio_pci *pci)
{
	uint64_t offset;
	unsigned int bar;
	size_t len;

	put32(pci->config, WINDOW_DATA, UINT32_MAX);
	if (window_is_open(pci, &bar, &offset, &len))
		pci_bar_read(pci, bar, offset, pci->config + WINDOW_DATA, len);
}

static void window_write(struct pvio_pci *pci, pvio_done_fn *done, void *arg)
{
	uint8_t data[4];
	uint64_t offset;
	unsigned int bar;
	size_t len;

	memcpy(data, pci->config + WINDOW_DATA, sizeof(data));
	if (window_is_open(pci, &bar, &offset, &len))
		pci_bar_write(pci, bar, offset, data, len, done, arg);
	else
		done(arg, 0);
}

/* --- accesses ------------------------------------------------------------ */

void pci_config_read(struct pvio_pci *pci, size_t offset, void *buf, size_t len)
{
	uint16_t status = STATUS_CAPABILITIES;
	size_t n = 0;

	/* A function in FLR is not there. */
	if (offset < PCI_CONFIG_BYTES && !pci->is_resetting) {
		n = pvio_min(len, PCI_CONFIG_BYTES - offset);
		if (ranges_meet(offset, n, WINDOW_DATA, 4))
			window_read(pci);
		if (pvio_line_isr(&pci->intx) && !pvio_load_once(
						 &pci->msix.is_enabled))
			status |= STATUS_INTX;
		put16(pci->config, CONFIG_STATUS, status);
		memcpy(buf, pci->config + offset, n);
	}
	memset((uint8_t *)buf + n, 0xff, len - n);
}

/* The write has had its effect on queues: now the rest of it. */
static void write_settle(struct pvio_pci *pci, pvio_done_fn *done, void *arg)
{
	config_route(pci);
	if (pci->is_quiesced && config_is_master(pci)) {
		pci->is_quiesced = false;
		pvio_device_unquiesce(pci->dev, PVIO_QUIET_TRANSPORT);
	}
	if (pci->wants_window)
		window_write(pci, done, arg);
	else
		done(arg, 0);
}

static void write_is_quiet(void *arg, int rc)
{
	struct pvio_pci *pci = arg;

	if (rc < 0) {
		pci->is_quiesced = false;
		pvio_device_break(pci->dev, "could not keep quiet");
	}
	write_settle(pci, pci->done, pci->done_arg);
}

/* Only D0 and D3hot exist: a write of others is discarded. */
static void write_power(struct pvio_pci *pci, uint8_t old)
{
	uint8_t state = pci->config[POWER_CONTROL] & POWER_STATE;

	if (state != 0 && state != POWER_D3)
		pci->config[POWER_CONTROL] = old;
}

void pci_config_write(struct pvio_pci *pci, size_t offset, const void *buf,
		      size_t len, pvio_done_fn *done, void *arg)
{
	uint8_t power = pci->config[POWER_CONTROL];
	const uint8_t *data = buf;
	size_t i, flr = EXPRESS_CONTROL + 1;

	if (offset >= PCI_CONFIG_BYTES || pci->is_resetting) {
		done(arg, 0);
		return;
	}
	len = pvio_min(len, PCI_CONFIG_BYTES - offset);
	for (i = 0; i < len; i++) {
		uint8_t mask = pci->mask[offset + i];
		uint8_t *byte = &pci->config[offset + i];

		*byte = (uint8_t)((*byte & ~mask) | (data[i] & mask));
	}
	if (ranges_meet(offset, len, flr, 1) &&
	    (data[flr - offset] & EXPRESS_FLR >> 8)) {
		pci_reset(pci, NULL, NULL);
		done(arg, 0);
		return;
	}
	write_power(pci, power);
	config_tell_bars(pci);
	pci->wants_window = ranges_meet(offset, len, WINDOW_DATA, 4);
	if (pci->is_quiesced || config_is_master(pci)) {
		write_settle(pci, done, arg);
		return;
	}
	pci->is_quiesced = true;
	pci->done = done;
	pci->done_arg = arg;
	pvio_device_quiesce(pci->dev, PVIO_QUIET_TRANSPORT, write_is_quiet,
			    pci);
}
