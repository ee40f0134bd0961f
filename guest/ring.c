/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.c - the driver side of a virtqueue: layout and dispatch
 *
 *	mem  | descriptors | avail ring     | used ring     | indirect tables |
 *	     |             | or driver ev.  | or device ev. | size x n x 16   |
 *
 * The three areas lie on pages of their own, as a driver with a page allocator
 * has them.
 */
#include "ring-impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES 4096u

struct guest_layout {
	size_t driver, device, tables, total;
	uint16_t table_max;
};

static size_t ring_page_up(size_t n)
{
	return (n + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
}

static struct guest_layout ring_layout(uint16_t size, unsigned int flags)
{
	bool packed = flags & GUEST_RING_PACKED;
	struct guest_layout at;

	at.driver = ring_page_up((size_t)size * sizeof(struct vring_desc));
	at.device = at.driver + ring_page_up(packed ? 4 : 6 + (size_t)size * 2);
	at.tables = at.device + ring_page_up(packed ? 4 : 6 + (size_t)size * 8);
	at.table_max = 0;
	if (flags & GUEST_RING_INDIRECT)
		at.table_max = size < GUEST_INDIRECT_MAX ? size
							 : GUEST_INDIRECT_MAX;
	at.total = at.tables +
		   (size_t)size * at.table_max * sizeof(struct vring_desc);
	return at;
}

size_t guest_ring_bytes(uint16_t size, unsigned int flags)
{
	return ring_layout(size, flags).total;
}

int guest_ring_create(uint16_t size, unsigned int flags, void *mem,
		      uint64_t gpa, struct guest_ring **out)
{
	struct guest_layout at = ring_layout(size, flags);
	struct guest_ring *ring;
	unsigned int i;

	if (size == 0 || size > PVIO_VQ_MAX_SIZE ||
	    (!(flags & GUEST_RING_PACKED) && (size & (size - 1))))
		return -EINVAL;
	ring = aligned_alloc(PVIO_CACHE_LINE_BYTES, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	memset(ring, 0, sizeof(*ring));
	ring->size = size;
	ring->packed = flags & GUEST_RING_PACKED;
	ring->event_idx = flags & GUEST_RING_EVENT_IDX;
	ring->in_order = flags & GUEST_RING_IN_ORDER;
	ring->indirect = flags & GUEST_RING_INDIRECT;
	ring->table_max = at.table_max;
	ring->desc = mem;
	ring->driver = (uint8_t *)mem + at.driver;
	ring->device = (uint8_t *)mem + at.device;
	ring->tables = (uint8_t *)mem + at.tables;
	ring->gpa = gpa;
	ring->driver_gpa = gpa + at.driver;
	ring->device_gpa = gpa + at.device;
	ring->tables_gpa = gpa + at.tables;
	ring->avail_wrap = ring->used_wrap = true;
	ring->nr_free = size;
	ring->buffer = calloc(size, sizeof(*ring->buffer));
	ring->next = calloc(size, sizeof(*ring->next));
	ring->order = calloc(size, sizeof(*ring->order));
	if (!ring->buffer || !ring->next || !ring->order) {
		guest_ring_destroy(ring);
		return -ENOMEM;
	}
	/* Split: a circle, as IN_ORDER goes.  Packed: a stack, 0 on top. */
	for (i = 0; i < size; i++)
		ring->next[i] = (uint16_t)(ring->packed ? size - 1 - i
							: (i + 1) % size);
	ring->free_head = ring->packed ? size : 0;
	*out = ring;
	return 0;
}

void guest_ring_destroy(struct guest_ring *ring)
{
	if (!ring)
		return;
	free(ring->buffer);
	free(ring->next);
	free(ring->order);
	free(ring);
}

uint64_t guest_ring_desc(const struct guest_ring *ring)
{
	return ring->gpa;
}

uint64_t guest_ring_driver(const struct guest_ring *ring)
{
	return ring->driver_gpa;
}

uint64_t guest_ring_device(const struct guest_ring *ring)
{
	return ring->device_gpa;
}

uint16_t guest_ring_size(const struct guest_ring *ring)
{
	return ring->size;
}

uint64_t guest_fill_table(struct guest_ring *ring, uint16_t id,
			  const struct guest_segment *seg,
			  unsigned int nr_readable, unsigned int nr)
{
	size_t offset = (size_t)id * ring->table_max *
			sizeof(struct vring_desc);
	struct vring_desc *table = (void *)(ring->tables + offset);
	unsigned int i;

	for (i = 0; i < nr; i++) {
		uint16_t flags = guest_desc_flags(i, nr, nr_readable);

		table[i].addr = htole64(seg[i].gpa);
		table[i].len = htole32(seg[i].len);
		if (ring->packed) {
			struct vring_packed_desc *desc = (void *)&table[i];

			desc->id = 0;
			desc->flags = htole16(flags & VRING_DESC_F_WRITE);
			continue;
		}
		table[i].flags = htole16(flags);
		table[i].next = htole16(i + 1 < nr ? i + 1 : 0);
	}
	return ring->tables_gpa + offset;
}

int guest_ring_add(struct guest_ring *ring, const struct guest_segment *seg,
		   unsigned int nr_readable, unsigned int nr_writable,
		   void *cookie)
{
	if (ring->packed)
		return guest_packed_add(ring, seg, nr_readable, nr_writable,
					cookie);
	return guest_split_add(ring, seg, nr_readable, nr_writable, cookie);
}

void guest_ring_expose(struct guest_ring *ring)
{
	if (ring->nr_staged == 0)
		return;
	if (ring->packed)
		guest_packed_expose(ring);
	else
		guest_split_expose(ring);
	ring->nr_staged = 0;
}

bool guest_ring_publish(struct guest_ring *ring)
{
	uint16_t staged = ring->nr_staged;

	if (staged == 0)
		return false;
	guest_ring_expose(ring);
	/* Barrier D: buffers are available before we look who wants kicks. */
	pvio_full_fence();
	return ring->packed ? guest_packed_needs_kick(ring, staged)
			    : guest_split_needs_kick(ring, staged);
}

void *guest_ring_reap(struct guest_ring *ring, uint32_t *len)
{
	return ring->packed ? guest_packed_reap(ring, len)
			    : guest_split_reap(ring, len);
}

bool guest_ring_has_used(struct guest_ring *ring)
{
	return ring->packed ? guest_packed_has_used(ring)
			    : guest_split_has_used(ring);
}

void guest_ring_disable_notify(struct guest_ring *ring)
{
	if (ring->packed)
		guest_packed_disable_notify(ring);
	else
		guest_split_disable_notify(ring);
}

bool guest_ring_enable_notify(struct guest_ring *ring)
{
	if (ring->packed)
		guest_packed_ask_notify(ring);
	else
		guest_split_ask_notify(ring);
	/* Barrier C: the wish is out before we look once more. */
	pvio_full_fence();
	return guest_ring_has_used(ring);
}

uint16_t guest_ring_position(const struct guest_ring *ring)
{
	return ring->packed
		       ? (uint16_t)(ring->next_avail | ring->avail_wrap << 15)
		       : ring->next_avail;
}

unsigned int guest_ring_outstanding(const struct guest_ring *ring)
{
	return ring->outstanding;
}

bool guest_ring_is_broken(const struct guest_ring *ring)
{
	return ring->broken;
}

void *guest_ring_raw_desc(struct guest_ring *ring)
{
	return ring->desc;
}

void *guest_ring_raw_driver(struct guest_ring *ring)
{
	return ring->driver;
}

void *guest_ring_raw_device(struct guest_ring *ring)
{
	return ring->device;
}
