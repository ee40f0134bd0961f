/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config.c - configuration space: masks, capabilities, power, FLR
 *
 *	0x00  header, type 0
 *	0x40  MSI-X
 *	0x4c  what the card has
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
 * that waits until the card is quiet, since what drivers and hypervisors do
 * next is to take the memory away.  MSI-X messages are memory writes, too:
 * they pend meanwhile.
 *
 * Resets, by the bus and by FLR, leave BARs, command register, MSI-X and card
 * as after power-on.  An FLR is not waited for: until it is done the function
 * does not answer, which guests take for a function that is not ready.
 */
#include "pci.h"

#include <errno.h>

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
#define BAR_FLAGS	      0xf

enum config_capability {
	CAP_MSIX = 0x40,
	CAP_POWER = PCI_CAP_VENDOR_END,
	CAP_EXPRESS = 0xac,
};

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

/* --- what is there ------------------------------------------------------- */

static void config_put_bar(struct pvio_pci *pci, unsigned int bar,
			   uint32_t flags)
{
	uint64_t mask = ~(pci_bar_size(pci, bar) - 1);
	unsigned int at = CONFIG_BAR + 4 * bar;

	pci_put32(pci->config, at, flags);
	pci_put32(pci->mask, at, (uint32_t)mask);
	if (flags & PCI_BAR_64)
		pci_put32(pci->mask, at + 4, (uint32_t)(mask >> 32));
}

static void config_put_header(struct pvio_pci *pci)
{
	const struct pci_card_id *id = &pci->id;
	uint8_t *config = pci->config;
	uint16_t command = COMMAND_MEMORY | COMMAND_BUS_MASTER |
			   COMMAND_PARITY | COMMAND_SERR;

	if (id->has_intx)
		command |= COMMAND_INTX_DISABLE;
	pci_put16(config, CONFIG_VENDOR, id->vendor);
	pci_put16(config, CONFIG_DEVICE, id->device);
	pci_put16(pci->mask, CONFIG_COMMAND, command);
	pci_put16(config, CONFIG_STATUS, STATUS_CAPABILITIES);
	pci_put32(config, CONFIG_REVISION, id->revision | id->class << 8);
	pci->mask[CONFIG_CACHE_LINE] = 0xff;
	if (pci->msix.nr > 0)
		config_put_bar(pci, PCI_BAR_MSIX, 0);
	config_put_bar(pci, pci->ops->bar, pci->ops->bar_flags);
	if (pci->window.bytes > 0)
		config_put_bar(pci, pci->window.bar,
			       PCI_BAR_64 | PCI_BAR_PREFETCH);
	pci_put16(config, CONFIG_SUBSYSTEM_VENDOR, id->subsystem_vendor);
	pci_put16(config, CONFIG_SUBSYSTEM, id->subsystem);
	pci->mask[CONFIG_LINE] = 0xff;
	config[CONFIG_PIN] = id->has_intx;
}

void pci_put_capability(struct pvio_pci *pci, unsigned int *last,
			unsigned int at, uint8_t id)
{
	pci->config[*last] = (uint8_t)at;
	pci->config[at] = id;
	*last = at + 1;
}

static void config_put_msix(struct pvio_pci *pci, unsigned int *last)
{
	uint8_t *config = pci->config;

	pci_put_capability(pci, last, CAP_MSIX, PCI_CAP_ID_MSIX);
	pci_put16(config, MSIX_CONTROL, (uint16_t)(pci->msix.nr - 1));
	pci_put16(pci->mask, MSIX_CONTROL, MSIX_MASK | MSIX_ENABLE);
	pci_put32(config, CAP_MSIX + 4, PCI_BAR_MSIX);
	pci_put32(config, CAP_MSIX + 8, PVIO_MSIX_PBA_OFFSET | PCI_BAR_MSIX);
}

static void config_put_express(struct pvio_pci *pci)
{
	uint8_t *config = pci->config;

	pci_put16(config, CAP_EXPRESS + 0x02, 2); /* version; an endpoint */
	pci_put32(config, CAP_EXPRESS + 0x04,
	      EXPRESS_ROLE_ERRORS | EXPRESS_HAS_FLR);
	pci_put16(config, EXPRESS_CONTROL, EXPRESS_CONTROL_INIT);
	pci_put16(pci->mask, EXPRESS_CONTROL, EXPRESS_CONTROL_BITS);
	pci_put32(config, CAP_EXPRESS + 0x0c, EXPRESS_LINK);
	pci_put16(config, CAP_EXPRESS + 0x12, EXPRESS_LINK);
	pci_put32(config, CAP_EXPRESS + 0x2c, 0x2); /* speeds, as a set */
	pci_put16(config, CAP_EXPRESS + 0x30, 0x1);
}

void pci_config_init(struct pvio_pci *pci)
{
	unsigned int last = CONFIG_CAPABILITIES;
	uint8_t *config = pci->config;

	memset(pci->config, 0, sizeof(pci->config));
	memset(pci->mask, 0, sizeof(pci->mask));
	config_put_header(pci);

	if (pci->msix.nr > 0)
		config_put_msix(pci, &last);
	if (pci->ops->put_capabilities)
		pci->ops->put_capabilities(pci, &last);
	pci_put_capability(pci, &last, CAP_POWER, PCI_CAP_ID_POWER);
	pci_put16(config, CAP_POWER + 2, POWER_VERSION);
	/*
	 * All is kept in D3hot, but No_Soft_Reset is not set: Linux (6.10 on)
	 * takes it for a promise that the device need not be set up again
	 * after any sleep, and waits for ever for a device that its VMM has
	 * reset, as QEMU does at the end of S3.
	 */
	pci_put16(pci->mask, POWER_CONTROL, POWER_STATE);
	pci_put_capability(pci, &last, CAP_EXPRESS, PCI_CAP_ID_EXPRESS);
	config_put_express(pci);
}

/* --- what it means ------------------------------------------------------- */

static bool config_is_powered(const struct pvio_pci *pci)
{
	return (pci_get16(pci->config, POWER_CONTROL) & POWER_STATE) == 0;
}

static bool config_is_master(const struct pvio_pci *pci)
{
	return config_is_powered(pci) &&
	       (pci_get16(pci->config, CONFIG_COMMAND) & COMMAND_BUS_MASTER);
}

static void config_tell_bar(struct pvio_pci *pci, unsigned int bar)
{
	const uint8_t *config = pci->config;
	unsigned int at = CONFIG_BAR + 4 * bar;
	uint64_t address = pci_get32(config, at) & ~(uint32_t)BAR_FLAGS;
	bool is_enabled = config_is_powered(pci) &&
			  (pci_get16(config, CONFIG_COMMAND) & COMMAND_MEMORY);

	/* There may be no MSI-X, nor a window. */
	if (pci_bar_size(pci, bar) == 0)
		return;
	if (config[at] & PCI_BAR_64)
		address |= (uint64_t)pci_get32(config, at + 4) << 32;
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
	config_tell_bar(pci, pci->ops->bar);
	config_tell_bar(pci, pci->window.bar);
}

/* Interrupts, as the registers say now. */
static void config_route(struct pvio_pci *pci)
{
	uint16_t control = pci_get16(pci->config, MSIX_CONTROL);
	uint16_t command = pci_get16(pci->config, CONFIG_COMMAND);
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

static void reset_card_done(void *arg, int rc)
{
	struct pvio_pci *pci = arg;

	(void)rc;
	config_route(pci);
	/* It is no bus master; nothing runs that would have to drain. */
	pci->ops->quiesce(pci, reset_is_quiet, pci);
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
	pci->ops->reset(pci, reset_card_done, pci);
}

/* --- accesses ------------------------------------------------------------ */

void pci_config_read(struct pvio_pci *pci, size_t offset, void *buf, size_t len)
{
	uint16_t status = STATUS_CAPABILITIES;
	size_t n = 0;

	/* A function in FLR is not there. */
	if (offset < PCI_CONFIG_BYTES && !pci->is_resetting) {
		n = pvio_min(len, PCI_CONFIG_BYTES - offset);
		if (pci->ops->read_config)
			pci->ops->read_config(pci, offset, n);
		if (pvio_line_isr(&pci->intx) && !pvio_load_once(
						 &pci->msix.is_enabled))
			status |= STATUS_INTX;
		pci_put16(pci->config, CONFIG_STATUS, status);
		memcpy(buf, pci->config + offset, n);
	}
	memset((uint8_t *)buf + n, 0xff, len - n);
}

/* The card is as quiet as the write wants it: now the rest of it. */
static void write_settle(struct pvio_pci *pci)
{
	pvio_done_fn *done = pci->write.done;
	void *arg = pci->write.arg;

	config_route(pci);
	if (pci->is_quiesced && config_is_master(pci)) {
		pci->is_quiesced = false;
		pci->ops->unquiesce(pci);
	}
	if (pci->ops->wrote_config)
		pci->ops->wrote_config(pci, pci->write.offset, pci->write.len,
				       done, arg);
	else
		done(arg, 0);
}

static void write_is_quiet(void *arg, int rc)
{
	struct pvio_pci *pci = arg;

	if (rc < 0) {
		pci->is_quiesced = false;
		pci->ops->broken(pci, "could not keep quiet");
	}
	write_settle(pci);
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
	if (pci_ranges_meet(offset, len, flr, 1) &&
	    (data[flr - offset] & EXPRESS_FLR >> 8)) {
		pci_reset(pci, NULL, NULL);
		done(arg, 0);
		return;
	}
	write_power(pci, power);
	config_tell_bars(pci);
	pci->write.offset = offset;
	pci->write.len = len;
	pci->write.done = done;
	pci->write.arg = arg;
	if (pci->is_quiesced || config_is_master(pci)) {
		write_settle(pci);
		return;
	}
	pci->is_quiesced = true;
	pci->ops->quiesce(pci, write_is_quiet, pci);
}
