/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring-impl.h - what guest/ring.c, ring-split.c and ring-packed.c share
 */
#ifndef PVIO_GUEST_RING_IMPL_H
#define PVIO_GUEST_RING_IMPL_H

#include "ring.h"

#include "core/barrier.h"
#include "core/util.h"
#include "core/virtio.h"

/* Entries of one indirect table; longer chains go direct. */
#define GUEST_INDIRECT_MAX 128

/* A buffer between add and reap, by head (split) or id (packed). */
struct guest_buffer {
	void *cookie;	   /* NULL: not in flight */
	uint32_t writable; /* bytes the device may write */
	uint16_t nr_desc;  /* ring entries it takes */
};

struct guest_ring {
	/* Fixed. */
	uint16_t size;
	bool packed, event_idx, in_order, indirect;
	uint16_t table_max; /* entries of an indirect table, 0: none */
	void *desc, *driver, *device;
	uint8_t *tables;     /* indirect tables, by head or id */
	uint64_t tables_gpa;
	uint64_t gpa, driver_gpa, device_gpa;
	struct guest_buffer *buffer; /* [size], owned */
	uint16_t *next;		     /* split: free list; packed: free ids */
	uint16_t *order;	     /* in-order: heads or ids, oldest first */

	/* Written by add and publish. */
	__attribute__((aligned(PVIO_CACHE_LINE_BYTES))) uint16_t next_avail;
	bool avail_wrap;
	uint16_t free_head;    /* split: list; packed: top of the stack */
	uint16_t nr_free;      /* descriptors */
	uint16_t nr_staged;    /* split: buffers; packed: descriptors */
	uint16_t first_staged; /* packed: its word is written last */
	uint64_t first_word;
	uint16_t order_tail;

	/* Written by reap. */
	__attribute__((aligned(PVIO_CACHE_LINE_BYTES))) uint16_t next_used;
	uint16_t used_seen; /* split */
	bool used_wrap;
	bool broken;	    /* the device named what is not in flight */
	bool in_batch;	    /* in-order: one used entry for several buffers */
	uint16_t batch_last;
	uint32_t batch_len;
	uint16_t order_head;
	unsigned int outstanding;
};

static inline uint16_t guest_next(const struct guest_ring *ring, uint16_t i)
{
	return (uint16_t)(i + 1 == ring->size ? 0 : i + 1);
}

/* What descriptor @i of the @nr of a buffer is, but for its ring's marks. */
static inline uint16_t guest_desc_flags(unsigned int i, unsigned int nr,
					unsigned int nr_readable)
{
	uint16_t flags = i < nr_readable ? 0 : VRING_DESC_F_WRITE;

	return i + 1 < nr ? flags | VRING_DESC_F_NEXT : flags;
}

/* Note a buffer that was added. */
static inline void guest_added(struct guest_ring *ring, uint16_t id,
			       void *cookie, uint16_t nr_desc,
			       uint32_t writable)
{
	ring->buffer[id].cookie = cookie;
	ring->buffer[id].nr_desc = nr_desc;
	ring->buffer[id].writable = writable;
	ring->outstanding++;
	if (ring->in_order) {
		ring->order[ring->order_tail] = id;
		ring->order_tail = guest_next(ring, ring->order_tail);
	}
}

/*
 * The device says that buffer @id is used.  With IN_ORDER one used entry may
 * stand for all up to @id (virtio 1.4, 2.7.9), so which buffer is next is ours
 * to say.  Returns its id, or -1 when that cannot be.
 */
static inline int guest_used(struct guest_ring *ring, uint32_t id,
			     uint32_t *len)
{
	if (id >= ring->size || !ring->buffer[id].cookie) {
		ring->broken = true;
		return -1;
	}
	if (!ring->in_order)
		return (int)id;
	ring->in_batch = true;
	ring->batch_last = (uint16_t)id;
	ring->batch_len = *len;
	return 0;
}

/* IN_ORDER, within a batch: the next buffer of it. */
static inline uint16_t guest_batch_next(struct guest_ring *ring,
					uint32_t *len)
{
	uint16_t id = ring->order[ring->order_head];

	ring->order_head = guest_next(ring, ring->order_head);
	if (id == ring->batch_last) {
		ring->in_batch = false;
		*len = ring->batch_len;
	} else {
		*len = ring->buffer[id].writable;
	}
	return id;
}

/* Fill an indirect table.  Its descriptors are chained for split rings. */
uint64_t guest_fill_table(struct guest_ring *ring, uint16_t id,
			  const struct guest_segment *seg,
			  unsigned int nr_readable, unsigned int nr);

int guest_split_add(struct guest_ring *ring, const struct guest_segment *seg,
		    unsigned int nr_readable, unsigned int nr_writable,
		    void *cookie);
void guest_split_expose(struct guest_ring *ring);
bool guest_split_needs_kick(struct guest_ring *ring, uint16_t staged);
void *guest_split_reap(struct guest_ring *ring, uint32_t *len);
bool guest_split_has_used(struct guest_ring *ring);
void guest_split_disable_notify(struct guest_ring *ring);
void guest_split_ask_notify(struct guest_ring *ring);
int guest_packed_add(struct guest_ring *ring, const struct guest_segment *seg,
		     unsigned int nr_readable, unsigned int nr_writable,
		     void *cookie);
void guest_packed_expose(struct guest_ring *ring);
bool guest_packed_needs_kick(struct guest_ring *ring, uint16_t staged);
void *guest_packed_reap(struct guest_ring *ring, uint32_t *len);
bool guest_packed_has_used(struct guest_ring *ring);
void guest_packed_disable_notify(struct guest_ring *ring);
void guest_packed_ask_notify(struct guest_ring *ring);

#endif
