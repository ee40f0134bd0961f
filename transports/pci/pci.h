/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.h - a PCI function, between its files and for who shows or is one
 *
 *	function.c	life, BARs
 *	config.c	configuration space: masks, capabilities, power, FLR
 *	msix.c		MSI-X: table, pending bits, delivery
 *	window.c	a BAR that is a range of a file
 *	card.h		what is behind it
 *	virtio.h	a virtio device behind it
 *	pci.c		the transport: a virtio device by the API of pvio/pci.h
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

#include "transports/pci/card.h"
#include "transports/pci/msix.h"
#include "transports/registers/line.h"

#include <pvio/pci.h>

#include <endian.h>
#include <string.h>

#define PCI_CONFIG_BYTES 4096
#define PCI_BAR_MSIX	 0

/* Flags of a BAR. */
#define PCI_BAR_64	 0x4
#define PCI_BAR_PREFETCH 0x8

/* Capabilities: ids of the list, and where a card has room for its own. */
#define PCI_CAP_ID_POWER   0x01
#define PCI_CAP_ID_VENDOR  0x09
#define PCI_CAP_ID_EXPRESS 0x10
#define PCI_CAP_ID_MSIX	   0x11
#define PCI_CAP_VENDOR	   0x4c
#define PCI_CAP_VENDOR_END 0xa4

#define PCI_RESET_WAITERS 4

struct pvio_pci {
	const struct pci_card_ops *ops;
	struct pci_card_id id;
	const char *name;	     /* borrowed: for messages */
	struct pvio_worker *control; /* borrowed */
	/* Not started: a configuration space for its host, and no registers. */
	bool is_stopped;
	struct pvio_msix msix;
	struct pvio_line intx;
	struct pvio_pci_host host;
	void *host_arg;
	struct pci_card_window window;
	struct pvio_mapping *window_mapping; /* reference, or NULL */
	uint8_t config[PCI_CONFIG_BYTES]; /* as the guest reads it */
	uint8_t mask[PCI_CONFIG_BYTES];	  /* bits the guest may write */

	/* config.c's own */
	bool is_quiesced; /* bus master off, or not in D0: nothing is served */
	bool is_resetting; /* by the bus or FLR: it does not answer */
	struct {
		uint64_t address;
		bool is_enabled;
	} told[PVIO_PCI_NR_BARS]; /* to the host */
	struct {
		size_t offset, len;
		pvio_done_fn *done;
		void *arg;
	} write; /* under way */
	unsigned int nr_reset_waiters;
	struct {
		pvio_done_fn *done;
		void *arg;
	} reset_waiter[PCI_RESET_WAITERS];
};

/* --- function.c ----------------------------------------------------------- */

/*
 * The function of a card that is ready to be called.  @name and @control are
 * borrowed, and outlive it.  -EINVAL: too many vectors; -ENOMEM.  With no
 * vectors there is neither capability nor BAR of MSI-X.
 */
int pci_init(struct pvio_pci *pci, const struct pci_card_ops *ops,
	     const struct pci_card_id *id, const char *name,
	     struct pvio_worker *control, unsigned int nr_vectors);
void pci_fini(struct pvio_pci *pci);
/*
 * Give it a window, or another in its place, or none.  Only while nobody is
 * shown the function, and it is as after a reset: the BAR is there from the
 * beginning.  -EINVAL: it makes no sense, or is not all in the file; or what
 * pvio_mapping_create() says.
 */
int pci_set_window(struct pvio_pci *pci, const struct pci_card_window *window);

void pci_bar_read(struct pvio_pci *pci, unsigned int bar, uint64_t offset,
		  void *buf, size_t len);
void pci_bar_write(struct pvio_pci *pci, unsigned int bar, uint64_t offset,
		   const void *buf, size_t len, pvio_done_fn *done, void *arg);
/* Any thread: is it one for there?  Then it has been dealt with. */
bool pci_bar_write_fast(struct pvio_pci *pci, unsigned int bar,
			uint64_t offset, const void *buf, size_t len);
bool pci_bar_read_fast(struct pvio_pci *pci, unsigned int bar, uint64_t offset,
		       void *buf, size_t len);
uint64_t pci_bar_size(const struct pvio_pci *pci, unsigned int bar);
/* Facts for the stats, as JSON members. */
void pci_describe(struct pvio_pci *pci, char *text, size_t size);

/* --- window.c ------------------------------------------------------------- */

/* The bytes are in the window. */
void pci_window_read(const struct pvio_pci *pci, uint64_t offset, void *buf,
		     size_t len);
void pci_window_write(struct pvio_pci *pci, uint64_t offset, const void *buf,
		      size_t len);

/* --- config.c ------------------------------------------------------------- */

/* Fill in @pci->config and mask, as after a reset. */
void pci_config_init(struct pvio_pci *pci);
/*
 * A write that takes an FLR, or takes bus mastering or power away, may have to
 * wait for the card.
 */
void pci_config_read(struct pvio_pci *pci, size_t offset, void *buf,
		     size_t len);
void pci_config_write(struct pvio_pci *pci, size_t offset, const void *buf,
		      size_t len, pvio_done_fn *done, void *arg);
/* The bus's reset.  @done may be NULL; -EBUSY: too many wait for it. */
void pci_reset(struct pvio_pci *pci, pvio_done_fn *done, void *arg);

/* Put a capability behind the one at *last, which is what points at it. */
void pci_put_capability(struct pvio_pci *pci, unsigned int *last,
			unsigned int at, uint8_t id);

/* --- values in configuration space ---------------------------------------- */

static inline void pci_put16(uint8_t *space, unsigned int at, uint16_t value)
{
	uint16_t le = htole16(value);

	memcpy(space + at, &le, sizeof(le));
}

static inline void pci_put32(uint8_t *space, unsigned int at, uint32_t value)
{
	uint32_t le = htole32(value);

	memcpy(space + at, &le, sizeof(le));
}

static inline uint16_t pci_get16(const uint8_t *space, unsigned int at)
{
	uint16_t le;

	memcpy(&le, space + at, sizeof(le));
	return le16toh(le);
}

static inline uint32_t pci_get32(const uint8_t *space, unsigned int at)
{
	uint32_t le;

	memcpy(&le, space + at, sizeof(le));
	return le32toh(le);
}

/* Do [a, a + a_len) and [b, b + b_len) meet? */
static inline bool pci_ranges_meet(size_t a, size_t a_len, size_t b,
				   size_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

#endif
