/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring-split.c - the split ring, driver side (virtio 1.4, 2.7)
 *
 * The letters of the barriers are those of core/queue-split.c.
 */
#include "ring-impl.h"

#include <errno.h>

static void split_write(struct guest_ring *ring, uint16_t i, uint64_t gpa,
			uint32_t len, uint16_t flags, uint16_t next)
{
	uint64_t *word = (uint64_t *)((struct vring_desc *)ring->desc + i);

	pvio_store_once(&word[0], htole64(gpa));
	pvio_store_once(&word[1], htole64(len | (uint64_t)flags << 32 |
					  (uint64_t)next << 48));
}

int guest_split_add(struct guest_ring *ring, const struct guest_segment *seg,
		    unsigned int nr_readable, unsigned int nr_writable,
		    void *cookie)
{
	unsigned int n = nr_readable + nr_writable, i;
	struct vring_avail *avail = ring->driver;
	uint16_t head = ring->free_head, at = head, nr_desc = 1;
	uint32_t writable = 0;

	if (n == 0)
		return -EINVAL;
	for (i = nr_readable; i < n; i++)
		writable += seg[i].len;

	if (n > 1 && n <= ring->table_max && ring->nr_free > 0) {
		split_write(ring, head,
			    guest_fill_table(ring, head, seg, nr_readable, n),
			    n * (uint32_t)sizeof(struct vring_desc),
			    VRING_DESC_F_INDIRECT, 0);
		at = ring->next[head];
	} else {
		if (n > ring->nr_free)
			return -ENOSPC;
		nr_desc = (uint16_t)n;
		for (i = 0; i < n; i++) {
			uint16_t flags = guest_desc_flags(i, n, nr_readable);

			split_write(ring, at, seg[i].gpa, seg[i].len, flags,
				    ring->next[at]);
			at = ring->next[at];
		}
	}
	/* With IN_ORDER descriptors are used round and round (2.7.9). */
	ring->free_head = at;
	ring->nr_free = (uint16_t)(ring->nr_free - nr_desc);
	guest_added(ring, head, cookie, nr_desc, writable);
	pvio_store_once(&avail->ring[ring->next_avail & (ring->size - 1)],
			htole16(head));
	ring->next_avail++;
	ring->nr_staged++;
	return 0;
}

void guest_split_expose(struct guest_ring *ring)
{
	struct vring_avail *avail = ring->driver;

	/* Barrier A: entries and descriptors are written before this index. */
	pvio_store_release(&avail->idx, htole16(ring->next_avail));
}

bool guest_split_needs_kick(struct guest_ring *ring, uint16_t staged)
{
	struct vring_used *used = ring->device;
	const uint16_t *avail_event = (uint16_t *)&used->ring[ring->size];

	if (ring->event_idx)
		return vring_need_event(le16toh(pvio_load_once(avail_event)),
					ring->next_avail,
					(uint16_t)(ring->next_avail - staged));
	return !(le16toh(pvio_load_once(&used->flags)) &
		 VRING_USED_F_NO_NOTIFY);
}

/* Put the descriptors of @head back. */
static void split_free(struct guest_ring *ring, uint16_t head)
{
	uint16_t n = ring->buffer[head].nr_desc, tail = head, i;

	ring->buffer[head].cookie = NULL;
	ring->nr_free = (uint16_t)(ring->nr_free + n);
	ring->outstanding--;
	if (ring->in_order)
		return;
	/* The list inside the chain is as it was taken. */
	for (i = 1; i < n; i++)
		tail = ring->next[tail];
	ring->next[tail] = ring->free_head;
	ring->free_head = head;
}

void *guest_split_reap(struct guest_ring *ring, uint32_t *len)
{
	struct vring_used *used = ring->device;
	void *cookie;
	int id = 0;

	if (ring->broken)
		return NULL;
	if (ring->next_used == ring->used_seen) {
		/* Barrier B: used entries are read after this index. */
		ring->used_seen = le16toh(pvio_load_acquire(&used->idx));
		if (ring->next_used == ring->used_seen)
			return NULL;
		if ((uint16_t)(ring->used_seen - ring->next_used) >
		    ring->outstanding) {
			ring->broken = true;
			return NULL;
		}
	}
	if (!ring->in_batch) {
		const struct vring_used_elem *elem =
			&used->ring[ring->next_used & (ring->size - 1)];

		*len = le32toh(pvio_load_once(&elem->len));
		id = guest_used(ring, le32toh(pvio_load_once(&elem->id)), len);
		if (id < 0)
			return NULL;
	}
	if (ring->in_order)
		id = guest_batch_next(ring, len);
	ring->next_used++;
	cookie = ring->buffer[id].cookie;
	split_free(ring, (uint16_t)id);
	return cookie;
}

bool guest_split_has_used(struct guest_ring *ring)
{
	const struct vring_used *used = ring->device;

	return !ring->broken &&
	       (ring->next_used != ring->used_seen ||
		le16toh(pvio_load_once(&used->idx)) != ring->next_used);
}

void guest_split_disable_notify(struct guest_ring *ring)
{
	struct vring_avail *avail = ring->driver;

	/* A used_event that is passed asks for nothing until it wraps. */
	if (!ring->event_idx)
		pvio_store_once(&avail->flags,
				htole16(VRING_AVAIL_F_NO_INTERRUPT));
}

void guest_split_ask_notify(struct guest_ring *ring)
{
	struct vring_avail *avail = ring->driver;

	if (ring->event_idx)
		pvio_store_once(&avail->ring[ring->size],
				htole16(ring->next_used));
	else
		pvio_store_once(&avail->flags, 0);
}
