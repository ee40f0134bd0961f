/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shadow.c - a split ring in a window, driver side (virtio 1.4, 2.7)
 *
 *	| descriptors | available | used | tables: SHADOW_MAX_PIECES a slot |
 *
 * Our place in the ring is kept outside of it.  The letters of the barriers are
 * those of core/queue-split.c.
 */
#include "shadow.h"

#include "core/memory.h"
#include "core/util.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES 4096u

static uint64_t page_up(uint64_t n)
{
	return (n + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
}

/* used begins a cache line, as it is written by the other side. */
static struct shadow_areas shadow_layout(uint16_t size)
{
	const uint64_t line = PVIO_CACHE_LINE_BYTES - 1;
	struct shadow_areas at = { .desc = 0 };

	at.avail = (uint64_t)size * sizeof(struct vring_desc);
	at.used = (at.avail + sizeof(struct vring_avail) +
		   ((uint64_t)size + 1) * sizeof(uint16_t) + line) &
		  ~line;
	return at;
}

static uint64_t shadow_tables(uint16_t size)
{
	return page_up(shadow_layout(size).used + sizeof(struct vring_used) +
		       (uint64_t)size * sizeof(struct vring_used_elem) +
		       sizeof(uint16_t));
}

uint16_t shadow_size(uint16_t chains)
{
	uint16_t size = SHADOW_MAX_PIECES;

	while (size < chains)
		size = (uint16_t)(size * 2);
	return size;
}

uint64_t shadow_bytes(uint16_t size)
{
	return page_up(shadow_tables(size) + (uint64_t)size *
						     SHADOW_MAX_PIECES *
						     sizeof(struct vring_desc));
}

int shadow_init(struct shadow *ring, uint16_t size, uint8_t *host, uint64_t gpa)
{
	const struct shadow_areas at = shadow_layout(size);

	*ring = (struct shadow){
		.size = size,
		.host = host,
		.bytes = shadow_bytes(size),
		.at = { gpa + at.desc, gpa + at.avail, gpa + at.used },
		.tables_gpa = gpa + shadow_tables(size),
		.desc = (void *)(host + at.desc),
		.avail = (void *)(host + at.avail),
		.used = (void *)(host + at.used),
		.tables = (void *)(host + shadow_tables(size)),
	};
	ring->is_out = calloc(size, sizeof(*ring->is_out));
	return ring->is_out ? 0 : -ENOMEM;
}

void shadow_fini(struct shadow *ring)
{
	free(ring->is_out);
	*ring = (struct shadow){ .is_out = NULL };
}

void shadow_clear(struct shadow *ring)
{
	const struct iovec all = { ring->host, ring->bytes };

	pvio_iov_zero(&all, 1, 0, ring->bytes);
	memset(ring->is_out, 0, ring->size * sizeof(*ring->is_out));
	ring->next_avail = ring->nr_staged = ring->nr_out = 0;
	ring->next_used = ring->used_seen = 0;
}

/* --- to the device --------------------------------------------------------- */

static void desc_write(struct vring_desc *desc,
		       const struct shadow_piece *piece, uint16_t flags,
		       uint16_t next)
{
	uint64_t *word = (uint64_t *)desc;

	pvio_guest_store(&word[0], htole64(piece->gpa));
	pvio_guest_store(&word[1], htole64(piece->len | (uint64_t)flags << 32 |
					   (uint64_t)next << 48));
}

static void table_write(struct vring_desc *table,
			const struct shadow_piece *piece,
			unsigned int nr_readable, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		uint16_t flags = i < nr_readable ? 0 : VRING_DESC_F_WRITE;

		if (i + 1 < nr)
			flags |= VRING_DESC_F_NEXT;
		desc_write(&table[i], &piece[i], flags, (uint16_t)(i + 1));
	}
}

void shadow_add(struct shadow *ring, uint16_t slot,
		const struct shadow_piece *piece, unsigned int nr_readable,
		unsigned int nr_writable)
{
	unsigned int nr = nr_readable + nr_writable;
	uint64_t first = (uint64_t)slot * SHADOW_MAX_PIECES;
	const struct shadow_piece table = {
		.gpa = ring->tables_gpa + first * sizeof(struct vring_desc),
		.len = nr * (uint32_t)sizeof(struct vring_desc),
	};

	assert(slot < ring->size && !ring->is_out[slot]);
	assert(nr > 0 && nr <= SHADOW_MAX_PIECES);
	if (nr > 1) {
		table_write(&ring->tables[first], piece, nr_readable, nr);
		desc_write(&ring->desc[slot], &table, VRING_DESC_F_INDIRECT, 0);
	} else {
		desc_write(&ring->desc[slot], piece,
			   nr_writable ? VRING_DESC_F_WRITE : 0, 0);
	}
	ring->is_out[slot] = true;
	ring->nr_out++;
	pvio_guest_store(
		&ring->avail->ring[ring->next_avail & (ring->size - 1)],
		htole16(slot));
	ring->next_avail++;
	ring->nr_staged++;
}

/* avail_event stands behind the used ring, used_event behind the other. */
static const uint16_t *shadow_avail_event(const struct shadow *ring)
{
	return (const uint16_t *)&ring->used->ring[ring->size];
}

bool shadow_publish(struct shadow *ring)
{
	uint16_t old = (uint16_t)(ring->next_avail - ring->nr_staged);

	if (ring->nr_staged == 0)
		return false;
	ring->nr_staged = 0;
	/* Barrier A: descriptors and what they name come before the index. */
	pvio_guest_store_release(&ring->avail->idx, htole16(ring->next_avail));
	/* Barrier D: they are available before we look who wants kicks. */
	pvio_full_fence();
	return vring_need_event(
		le16toh(pvio_guest_index_load(shadow_avail_event(ring))),
		ring->next_avail, old);
}

/* --- from the device ------------------------------------------------------- */

int shadow_reap(struct shadow *ring, uint16_t *slot, uint32_t *len)
{
	const struct vring_used_elem *elem;
	uint32_t id;

	if (ring->next_used == ring->used_seen) {
		/* Barrier B: used entries are read after this index. */
		ring->used_seen =
			le16toh(pvio_guest_index_acquire(&ring->used->idx));
		if (ring->next_used == ring->used_seen)
			return 0;
		if ((uint16_t)(ring->used_seen - ring->next_used) >
		    ring->nr_out) {
			ring->used_seen = ring->next_used;
			return -EPROTO;
		}
	}
	elem = &ring->used->ring[ring->next_used & (ring->size - 1)];
	id = le32toh(pvio_guest_index_load(&elem->id));
	*len = le32toh(pvio_guest_index_load(&elem->len));
	if (id >= ring->size || !ring->is_out[id])
		return -EPROTO;
	ring->next_used++;
	ring->is_out[id] = false;
	ring->nr_out--;
	*slot = (uint16_t)id;
	return 1;
}

bool shadow_has_used(const struct shadow *ring)
{
	return ring->next_used != ring->used_seen ||
	       le16toh(pvio_guest_index_load(&ring->used->idx)) !=
		       ring->next_used;
}

bool shadow_ask_call(struct shadow *ring)
{
	pvio_guest_store(&ring->avail->ring[ring->size],
			 htole16(ring->next_used));
	/* Barrier C: the wish is out before we look once more. */
	pvio_full_fence();
	return shadow_has_used(ring);
}
