/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflight.c - the in-flight region: what both layouts share, and split rings
 *
 * The order of a few stores makes this work.  A process that is killed has
 * done its stores up to some point and none after it, so each step below is
 * one store, made with release order so that the compiler keeps the sequence.
 *
 *	taking head i		answering a batch
 *	f2  counter[i]		c1  next[i] = last_batch_head   each of them
 *	f4  inflight[i] = 1	c2  last_batch_head = i
 *	    ... served ...	c4  used->idx                   in the ring
 *				c5  inflight[i] = 0             each of them
 *				c6  used_idx
 *
 *	killed before f4: the chain is still available, since
 *		the available index is used->idx plus the number in flight
 *	f4 .. c4: it is served again
 *	c4 .. c6: used_idx differs from used->idx by the size of the batch,
 *		which last_batch_head finds: its marks are cleared, not served
 *
 * The region is in memory that the front-end can write at any time.  So
 * recovery copies it once, believes nothing in the copy before it was checked,
 * and afterwards the region is written, never read.
 *
 * Barriers:
 *	E  inflight = 1 is stored (release) after the counter, and before the
 *	   model sees the chain; partner: recovery, by the death of the process
 *	F  inflight = 0 is stored (release) after used->idx; same partner
 *	G  used_idx is stored (release) after all marks; same partner
 */
#include "inflight-impl.h"

#include <errno.h>
#include <stdlib.h>

uint64_t pvio_inflight_part_bytes(bool packed, uint16_t queue_size)
{
	uint64_t bytes =
		packed ? sizeof(struct inflight_packed) +
				 queue_size *
					 sizeof(struct inflight_packed_entry) :
			 sizeof(struct inflight_split) +
				 queue_size *
					 sizeof(struct inflight_split_entry);

	return (bytes + PVIO_INFLIGHT_ALIGN - 1) &
	       ~(uint64_t)(PVIO_INFLIGHT_ALIGN - 1);
}

int pvio_inflight_create(struct pvio_mapping *mapping, uint64_t offset,
			 bool packed, uint16_t desc_num,
			 struct pvio_inflight **out)
{
	struct pvio_inflight *inflight;

	if (desc_num == 0 || desc_num > PVIO_VQ_MAX_SIZE ||
	    offset % sizeof(uint64_t) != 0 ||
	    (uintptr_t)pvio_mapping_host(mapping) % sizeof(uint64_t) != 0)
		return -EINVAL;
	inflight = calloc(1, sizeof(*inflight));
	if (!inflight)
		return -ENOMEM;
	inflight->packed = packed;
	inflight->desc_num = desc_num;
	inflight->bytes =
		packed ? sizeof(struct inflight_packed) +
				 desc_num *
					 sizeof(struct inflight_packed_entry) :
			 sizeof(struct inflight_split) +
				 desc_num *
					 sizeof(struct inflight_split_entry);
	if (!pvio_range_ok(offset, inflight->bytes,
			   pvio_mapping_size(mapping))) {
		free(inflight);
		return -EINVAL;
	}

	inflight->shared.split =
		(void *)((uint8_t *)pvio_mapping_host(mapping) + offset);
	inflight->own.any = calloc(1, inflight->bytes);
	inflight->resubmit = calloc(desc_num, sizeof(*inflight->resubmit));
	inflight->staged = calloc(desc_num, sizeof(*inflight->staged));
	inflight->mapping = mapping;
	pvio_mapping_get(mapping);
	if (!inflight->own.any || !inflight->resubmit || !inflight->staged) {
		pvio_inflight_destroy(inflight);
		return -ENOMEM;
	}
	*out = inflight;
	return 0;
}

void pvio_inflight_destroy(struct pvio_inflight *inflight)
{
	if (!inflight)
		return;
	pvio_mapping_put(inflight->mapping);
	free(inflight->own.any);
	free(inflight->resubmit);
	free(inflight->staged);
	free(inflight);
}

/* --- recovery ------------------------------------------------------------ */

struct inflight_place {
	uint64_t counter;
	uint16_t head;
};

static int inflight_compare(const void *a, const void *b)
{
	const struct inflight_place *x = a, *y = b;

	return x->counter < y->counter ? -1 : x->counter > y->counter;
}

int inflight_line_up(struct pvio_inflight *inflight)
{
	struct inflight_place *place;
	unsigned int i, n = 0;
	int rc = 0;

	place = calloc(inflight->desc_num, sizeof(*place));
	if (!place)
		return -ENOMEM;
	for (i = 0; i < inflight->desc_num; i++) {
		bool marked = inflight->packed ?
				      inflight->own.ring->desc[i].inflight :
				      inflight->own.split->desc[i].inflight;

		if (!marked)
			continue;
		place[n].head = (uint16_t)i;
		place[n++].counter =
			inflight->packed ?
				inflight->own.ring->desc[i].counter :
				inflight->own.split->desc[i].counter;
	}
	qsort(place, n, sizeof(*place), inflight_compare);

	inflight->counter = 0;
	for (i = 0; i < n && rc == 0; i++) {
		if ((i > 0 && place[i].counter == place[i - 1].counter) ||
		    place[i].counter == UINT64_MAX)
			rc = -EPROTO;
		inflight->resubmit[i] = place[i].head;
		inflight->counter = place[i].counter + 1;
	}
	inflight->resubmit_at = 0;
	free(place);
	return rc < 0 ? rc : (int)n;
}

uint16_t pvio_inflight_next(struct pvio_inflight *inflight)
{
	return inflight->resubmit[inflight->resubmit_at++];
}

void pvio_inflight_back(struct pvio_inflight *inflight, uint16_t head)
{
	inflight->resubmit[--inflight->resubmit_at] = head;
}

int pvio_inflight_recover(struct pvio_inflight *inflight, struct pvio_vq *vq)
{
	if (inflight->packed != vq->packed || inflight->desc_num < vq->size)
		return -EPROTO;
	inflight->nr_staged = 0;
	/* The one time that the region is read. */
	pvio_memory_request_begin();
	pvio_guest_fetch(inflight->own.any, inflight->shared.split,
			 inflight->bytes);
	return inflight->packed ? pvio_inflight_packed_recover(inflight, vq) :
				  pvio_inflight_split_recover(inflight, vq);
}

/* --- split --------------------------------------------------------------- */

static void split_init(struct pvio_inflight *inflight, uint16_t used_idx)
{
	struct inflight_split *shared = inflight->shared.split;
	struct inflight_split *own = inflight->own.split;
	unsigned int i;

	memset(own, 0, inflight->bytes);
	inflight->counter = 0;
	own->used_idx = used_idx;
	for (i = 0; i < inflight->desc_num; i++)
		pvio_guest_store(&shared->desc[i].inflight, 0);
	pvio_guest_store(&shared->features, 0);
	pvio_guest_store(&shared->desc_num, inflight->desc_num);
	pvio_guest_store(&shared->last_batch_head, 0);
	/* Not 0: the ring may have run before it had a region. */
	pvio_guest_store(&shared->used_idx, used_idx);
	/* Barrier G: what it vouches for is there. */
	pvio_guest_store_release(&shared->version, INFLIGHT_VERSION);
}

/* Clear the marks of the batch that was published but not yet noted. */
static int split_settle(struct pvio_inflight *inflight, uint16_t batch,
			uint16_t used_idx)
{
	struct inflight_split *shared = inflight->shared.split;
	struct inflight_split *own = inflight->own.split;
	uint8_t *seen;
	unsigned int i, at = own->last_batch_head;

	seen = calloc(inflight->desc_num, 1);
	if (!seen)
		return -ENOMEM;
	/* All of it is checked before any of it is written. */
	for (i = 0; i < batch; i++) {
		if (at >= inflight->desc_num || seen[at])
			break;
		seen[at] = 1;
		own->desc[at].inflight = 0;
		at = own->desc[at].next;
	}
	if (i < batch) {
		free(seen);
		return -EPROTO;
	}
	for (i = 0; i < inflight->desc_num; i++)
		if (seen[i])
			pvio_guest_store(&shared->desc[i].inflight, 0);
	free(seen);
	own->used_idx = used_idx;
	/* Barrier G: the marks are cleared before this says so. */
	pvio_guest_store_release(&shared->used_idx, used_idx);
	return 0;
}

int pvio_inflight_split_recover(struct pvio_inflight *inflight,
				struct pvio_vq *vq)
{
	const struct vring_used *used = vq->device;
	uint16_t used_idx = le16toh(pvio_guest_index_load(&used->idx));
	struct inflight_split *own = inflight->own.split;
	unsigned int i;
	uint16_t batch;
	int n;

	vq->next_used = used_idx;
	if (own->version == 0) {
		if ((uint16_t)(vq->next_avail - used_idx) > vq->size)
			return -EPROTO;
		split_init(inflight, used_idx);
		return 0;
	}
	batch = (uint16_t)(used_idx - own->used_idx);
	if (own->version != INFLIGHT_VERSION ||
	    own->desc_num != inflight->desc_num || batch > vq->size)
		return -EPROTO;
	for (i = 0; i < inflight->desc_num; i++)
		if (own->desc[i].inflight > (i < vq->size))
			return -EPROTO;

	n = split_settle(inflight, batch, used_idx);
	if (n == 0)
		n = inflight_line_up(inflight);
	if (n < 0)
		return n;
	/* What was taken and not answered stands before what was not taken. */
	vq->next_avail = vq->avail_seen = (uint16_t)(used_idx + n);
	for (i = 0; i < (unsigned int)n; i++)
		vq->chains[inflight->resubmit[i]].in_flight = true;
	vq->nr_resubmit = (uint16_t)n;
	return 0;
}

void pvio_inflight_split_take(struct pvio_inflight *inflight, uint16_t head)
{
	struct inflight_split_entry *entry =
		&inflight->shared.split->desc[head];

	pvio_guest_store(&entry->counter, inflight->counter);
	inflight->counter++;
	/* Barrier E: marked with its counter, before anyone serves it. */
	pvio_guest_store_release(&entry->inflight, 1);
}

void pvio_inflight_split_untake(struct pvio_inflight *inflight, uint16_t head)
{
	/* Barrier F: nothing of the chain was answered; the mark goes. */
	pvio_guest_store_release(&inflight->shared.split->desc[head].inflight,
				 0);
}

void pvio_inflight_split_stage(struct pvio_inflight *inflight, uint16_t head)
{
	struct inflight_split *shared = inflight->shared.split;
	struct inflight_split *own = inflight->own.split;

	/* c1, c2: both before barrier B publishes the used index. */
	pvio_guest_store_release(&shared->desc[head].next,
				 own->last_batch_head);
	own->last_batch_head = head;
	pvio_guest_store_release(&shared->last_batch_head, head);
	inflight->staged[inflight->nr_staged++] = head;
}

void pvio_inflight_split_published(struct pvio_inflight *inflight,
				   uint16_t used_idx)
{
	struct inflight_split *shared = inflight->shared.split;
	unsigned int i;

	/* Barrier F: cleared after the used index is out. */
	for (i = 0; i < inflight->nr_staged; i++)
		pvio_guest_store_release(
			&shared->desc[inflight->staged[i]].inflight, 0);
	inflight->nr_staged = 0;
	/* Barrier G: the marks are cleared before this says so. */
	pvio_guest_store_release(&shared->used_idx, used_idx);
}
