/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring-packed.c - the packed ring, driver side (virtio 1.4, 2.8)
 *
 * The letters of the barriers are those of core/queue-packed.c.
 */
#include "ring-impl.h"

#include <errno.h>

#define PACKED_AVAIL ((uint16_t)(1u << VRING_PACKED_DESC_F_AVAIL))
#define PACKED_USED  ((uint16_t)(1u << VRING_PACKED_DESC_F_USED))
#define EVENT_WRAP   (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

/* Length, id and flags of descriptor @i, one word. */
static uint64_t *packed_word(const struct guest_ring *ring, uint16_t i)
{
	struct vring_packed_desc *desc = ring->desc;

	return (uint64_t *)&desc[i] + 1;
}

/* Write the descriptor at next_avail; the first of a batch is held back. */
static void packed_write(struct guest_ring *ring, uint64_t gpa, uint32_t len,
			 uint16_t id, uint16_t flags)
{
	uint64_t *word = packed_word(ring, ring->next_avail);
	uint64_t value;

	flags |= ring->avail_wrap ? PACKED_AVAIL : PACKED_USED;
	value = htole64(len | (uint64_t)id << 32 | (uint64_t)flags << 48);
	pvio_store_once(word - 1, htole64(gpa));
	if (ring->nr_staged == 0) {
		ring->first_staged = ring->next_avail;
		ring->first_word = value;
	} else {
		/* Ordered by barrier A of the first one, in expose. */
		pvio_store_once(word, value);
	}
	ring->nr_staged++;
	ring->next_avail = guest_next(ring, ring->next_avail);
	if (ring->next_avail == 0)
		ring->avail_wrap = !ring->avail_wrap;
}

int guest_packed_add(struct guest_ring *ring, const struct guest_segment *seg,
		     unsigned int nr_readable, unsigned int nr_writable,
		     void *cookie)
{
	unsigned int n = nr_readable + nr_writable, i;
	uint16_t id, nr_desc = 1;
	uint32_t writable = 0;

	if (n == 0)
		return -EINVAL;
	if (ring->nr_free == 0)
		return -ENOSPC;
	for (i = nr_readable; i < n; i++)
		writable += seg[i].len;

	/* At most as many buffers as descriptors: an id is free. */
	id = ring->next[ring->free_head - 1];
	if (n > 1 && n <= ring->table_max) {
		packed_write(ring,
			     guest_fill_table(ring, id, seg, nr_readable, n),
			     n * (uint32_t)sizeof(struct vring_packed_desc),
			     id, VRING_DESC_F_INDIRECT);
	} else {
		if (n > ring->nr_free)
			return -ENOSPC;
		nr_desc = (uint16_t)n;
		for (i = 0; i < n; i++) {
			uint16_t flags = guest_desc_flags(i, n, nr_readable);

			packed_write(ring, seg[i].gpa, seg[i].len, id, flags);
		}
	}
	ring->free_head--;
	ring->nr_free = (uint16_t)(ring->nr_free - nr_desc);
	guest_added(ring, id, cookie, nr_desc, writable);
	return 0;
}

void guest_packed_expose(struct guest_ring *ring)
{
	/* Barrier A: the rest of the batch is written before this word. */
	pvio_store_release(packed_word(ring, ring->first_staged),
			   ring->first_word);
}

bool guest_packed_needs_kick(struct guest_ring *ring, uint16_t staged)
{
	uint32_t word = le32toh(pvio_load_once((uint32_t *)ring->device));
	uint16_t event = (uint16_t)(word & (EVENT_WRAP - 1));

	switch (word >> 16) {
	case VRING_PACKED_EVENT_FLAG_DISABLE:
		return false;
	case VRING_PACKED_EVENT_FLAG_DESC:
		if (!ring->event_idx)
			return true;
		break;
	default:
		return true;
	}
	if (!!(word & EVENT_WRAP) != ring->avail_wrap)
		event = (uint16_t)(event - ring->size);
	return vring_need_event(event, ring->next_avail,
				(uint16_t)(ring->next_avail - staged));
}

/* Is descriptor next_used used?  Then *word is what it says. */
static bool packed_look(const struct guest_ring *ring, uint64_t *word)
{
	uint16_t both = PACKED_AVAIL | PACKED_USED, flags;

	/* Barrier B: what the device wrote before is read after this. */
	*word = le64toh(pvio_load_acquire(packed_word(ring, ring->next_used)));
	flags = (uint16_t)(*word >> 48) & both;
	return flags == (ring->used_wrap ? both : 0);
}

void *guest_packed_reap(struct guest_ring *ring, uint32_t *len)
{
	unsigned int next;
	uint64_t word;
	void *cookie;
	int id = 0;

	if (ring->broken)
		return NULL;
	if (!ring->in_batch) {
		/* What is not in flight may look used: it was, before. */
		if (ring->outstanding == 0 || !packed_look(ring, &word))
			return NULL;
		*len = (word >> 48) & VRING_DESC_F_WRITE ? (uint32_t)word : 0;
		id = guest_used(ring, (uint16_t)(word >> 32), len);
		if (id < 0)
			return NULL;
	}
	if (ring->in_order)
		id = guest_batch_next(ring, len);

	next = (unsigned int)ring->next_used + ring->buffer[id].nr_desc;
	if (next >= ring->size) {
		next -= ring->size;
		ring->used_wrap = !ring->used_wrap;
	}
	ring->next_used = (uint16_t)next;
	cookie = ring->buffer[id].cookie;
	ring->buffer[id].cookie = NULL;
	ring->nr_free = (uint16_t)(ring->nr_free + ring->buffer[id].nr_desc);
	ring->next[ring->free_head++] = (uint16_t)id;
	ring->outstanding--;
	return cookie;
}

bool guest_packed_has_used(struct guest_ring *ring)
{
	uint64_t word;

	return !ring->broken && ring->outstanding &&
	       (ring->in_batch || packed_look(ring, &word));
}

/* Both halves of the driver's event structure as one store. */
static void packed_set_event(struct guest_ring *ring, uint16_t off_wrap,
			     uint16_t flags)
{
	pvio_store_once((uint32_t *)ring->driver,
			htole32(off_wrap | (uint32_t)flags << 16));
}

void guest_packed_disable_notify(struct guest_ring *ring)
{
	packed_set_event(ring, 0, VRING_PACKED_EVENT_FLAG_DISABLE);
}

void guest_packed_ask_notify(struct guest_ring *ring)
{
	if (ring->event_idx)
		packed_set_event(ring,
				 (uint16_t)(ring->next_used |
					    (ring->used_wrap ? EVENT_WRAP :
							       0)),
				 VRING_PACKED_EVENT_FLAG_DESC);
	else
		packed_set_event(ring, 0, VRING_PACKED_EVENT_FLAG_ENABLE);
}
