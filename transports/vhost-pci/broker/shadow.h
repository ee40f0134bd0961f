/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shadow.h - a split ring in a window, driver side
 *
 * What B's chains are put on for the appliance, after they have been copied.
 * The device at its other end is not trusted: of what it can write only the
 * used ring is read, each word once, and checked against what is out.
 *
 * A chain's descriptor is the one of its slot, which is the caller's to choose;
 * one of more pieces than one has a table.  So nothing has to be searched, and
 * a used id is a slot.
 *
 * For one thread, the queue's worker.
 */
#ifndef PVIO_VHOST_PCI_SHADOW_H
#define PVIO_VHOST_PCI_SHADOW_H

#include "core/virtio.h"

#include <stdbool.h>
#include <stdint.h>

/* Pieces that a chain may have. */
#define SHADOW_MAX_PIECES 8

struct shadow_piece {
	uint64_t gpa;
	uint32_t len;
};

/* In the window, by the device's addresses. */
struct shadow_areas {
	uint64_t desc, avail, used;
};

struct shadow {
	/* Fixed. */
	uint16_t size;
	uint8_t *host; /* borrowed: in the window */
	uint64_t bytes;
	struct shadow_areas at;
	uint64_t tables_gpa;
	struct vring_desc *desc, *tables;
	struct vring_avail *avail;
	struct vring_used *used;
	bool *is_out; /* [size], owned: the device has it */
	/* Written by add and publish. */
	uint16_t next_avail, nr_staged, nr_out;
	/* Written by reap. */
	uint16_t next_used, used_seen;
};

/*
 * Of a ring with a slot for each of @chains, up to 32768: a power of two, and no
 * fewer than a chain may have pieces, since a device may refuse a longer one.
 */
uint16_t shadow_size(uint16_t chains);
/* Bytes of a window, whole pages, that a ring of @size takes. */
uint64_t shadow_bytes(uint16_t size);
/*
 * A ring of @size, a power of two, in shadow_bytes() of memory at @host, a page
 * boundary, which the device knows as @gpa.  -ENOMEM.  Next: shadow_clear().
 */
int shadow_init(struct shadow *ring, uint16_t size, uint8_t *host,
		uint64_t gpa);
void shadow_fini(struct shadow *ring);
/* As at the start, for a device that sees it for the first time. */
void shadow_clear(struct shadow *ring);

/* Put a chain on the ring; @slot is not out. */
void shadow_add(struct shadow *ring, uint16_t slot,
		const struct shadow_piece *piece, unsigned int nr_readable,
		unsigned int nr_writable);
/* Show the device what was added.  True: it wants a kick. */
bool shadow_publish(struct shadow *ring);
/*
 * The next chain that is used: 1, its slot, and how many bytes the device says
 * that it wrote; 0: there is none; -EPROTO: the device names what it has not,
 * or more than it has, and nothing of this ring can be believed any more.
 */
int shadow_reap(struct shadow *ring, uint16_t *slot, uint32_t *len);
bool shadow_has_used(const struct shadow *ring);
/* Be called at the next used chain.  True: there is one now. */
bool shadow_ask_call(struct shadow *ring);

#endif
