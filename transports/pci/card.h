/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * card.h - what is behind a PCI function
 *
 *	   config.c, msix.c                     a card
 *	   what any function has                registers in one BAR,
 *	   ids, command, BARs, MSI-X,  <----->  vendor capabilities,
 *	   power, FLR                           whatever touches memory;
 *	                                        perhaps a window
 *
 * A card is a struct with its struct pvio_pci in it, by which it is called.
 * A virtio device is one (virtio.h).
 *
 * A card touches memory, or interrupts, only between unquiesce() and quiesce():
 * while its function is bus master and has power.  It begins quiet.
 *
 *	quiet --unquiesce--> working --quiesce--> draining --done--> quiet
 *
 * Where a call has a @done that comes when it is over, which may be before it
 * returns.  All is for the control worker, but for what says otherwise.
 */
#ifndef PVIO_PCI_CARD_H
#define PVIO_PCI_CARD_H

#include "core/device.h"

struct pvio_pci;

/* What the function says it is. */
struct pci_card_id {
	uint16_t vendor, device;
	uint16_t subsystem_vendor, subsystem;
	uint32_t class; /* 24 bits */
	uint8_t revision;
	bool has_intx; /* pin A; the card raises @intx of the function */
};

/*
 * A BAR that is a range of a file: the guest and whoever else has the file
 * share it.  64-bit, prefetchable; it takes the BAR's number and the next.
 */
struct pci_card_window {
	unsigned int bar; /* neither that of MSI-X nor the registers' */
	int fd;		  /* borrowed (outlives the function); writable */
	uint64_t offset;  /* of its first byte; page-aligned */
	uint64_t bytes;	  /* a power of two, a page or more; 0: no window */
};

/* The most that missed() tells of one write. */
#define PCI_CARD_MISSED 3

struct pci_card_ops {
	/* The BAR of its registers: not that of MSI-X. */
	unsigned int bar;
	uint32_t bar_flags; /* PCI_BAR_64, PCI_BAR_PREFETCH, or 0 */
	uint64_t bar_bytes; /* a power of two */
	/* Of these a page to which nobody listens if look() is called. */
	uint64_t doorbell_offset, doorbell_bytes; /* 0 bytes: there is none */

	/* --- configuration space; each optional ------------------------- */

	/*
	 * Put capabilities between PCI_CAP_VENDOR and PCI_CAP_VENDOR_END,
	 * with pci_put_capability(): configuration space is as after a reset.
	 */
	void (*put_capabilities)(struct pvio_pci *pci, unsigned int *last);
	/* @len bytes at @offset are about to be read: bring them up to date. */
	void (*read_config)(struct pvio_pci *pci, size_t offset, size_t len);
	/* They were written, which has had its effect on all but the card. */
	void (*wrote_config)(struct pvio_pci *pci, size_t offset, size_t len,
			     pvio_done_fn *done, void *arg);

	/* --- registers: accesses lie within the BAR ----------------------- */

	/* All bits of @buf are set: what is not there may stay so. */
	void (*read)(struct pvio_pci *pci, uint64_t offset, void *buf,
		     size_t len);
	/* @buf is there until @done, and no other write comes; reads do. */
	void (*write)(struct pvio_pci *pci, uint64_t offset, const void *buf,
		      size_t len, pvio_done_fn *done, void *arg);
	/*
	 * Any thread, in any state: is it for here?  Then it has been dealt
	 * with, else read() or write() follows.  Optional.
	 */
	bool (*read_fast)(struct pvio_pci *pci, uint64_t offset, void *buf,
			  size_t len);
	bool (*write_fast)(struct pvio_pci *pci, uint64_t offset,
			   const void *buf, size_t len);
	/* Doorbells may have gone unheard.  Only with a page of them. */
	void (*look)(struct pvio_pci *pci);
	/*
	 * Guest addresses that a write at @offset asked for, and that are not
	 * in memory: how many of them @address holds.  For whoever brings the
	 * memory, to say what may be wrong.  Optional.
	 */
	unsigned int (*missed)(struct pvio_pci *pci, uint64_t offset,
			       uint64_t address[PCI_CARD_MISSED]);

	/* --- state -------------------------------------------------------- */

	/*
	 * As after power-on, but for memory.  One at a time, but perhaps while
	 * a write or quiesce() is not done.
	 */
	void (*reset)(struct pvio_pci *pci, pvio_done_fn *done, void *arg);
	/*
	 * Let nothing of it touch memory from @done on.  Comes after every
	 * reset too, perhaps to a card that is quiet.  -errno: it cannot.
	 */
	void (*quiesce)(struct pvio_pci *pci, pvio_done_fn *done, void *arg);
	void (*unquiesce)(struct pvio_pci *pci);
	/* It can no longer be trusted, until a reset; @why: for the log. */
	void (*broken)(struct pvio_pci *pci, const char *why);
	/*
	 * This is what the function reaches of the guest's memory.  Takes
	 * @map, unless it says -EBUSY: another of these is under way.  After
	 * @done nothing uses the map before.  In any state: quiet, too.
	 */
	void (*set_memory)(struct pvio_pci *pci, struct pvio_map *map,
			   pvio_done_fn *done, void *arg);
};

#endif
