/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflight-packed.c - the in-flight region of packed rings
 *
 * A packed ring overwrites descriptors as it answers, in the order of
 * completion, so what is in flight cannot be read from the ring again: the
 * region holds a copy of every descriptor taken.  Its entries are on a free
 * list; a chain takes as many as it has descriptors, linked by `next`.
 *
 *	free_head -> e5 -> e6 -> e9 ... -> desc_num (the end)
 *	chain:       e2 (inflight, num 3, last e4) -> e3 -> e4
 *
 * free_head, used_idx and used_wrap exist twice.  The `old` ones are the state
 * to go back to; making them equal commits.
 *
 *	taking a chain			answering a batch
 *	t1  its entries			p1  link each chain back to free_head
 *	t2  num, last, counter		p2  used_idx, used_wrap
 *	t3  inflight = 1		p3  the ring: first used word last
 *	t4  free_head			p4  inflight = 0, each of them
 *	t5  old_free_head: commit	p5  old_free_head; old_used_idx and
 *					    old_used_wrap: commit
 *
 *	killed before t5: the entries are on the old free list, so not taken,
 *		and the ring still has the chain
 *	t5 .. p3: served again
 *	p3 .. p5: old_used_idx differs; the ring's descriptor there is used, so
 *		the batch is committed.  If it is still available: back to old
 *
 * Used words behind the first of a batch may be in the ring when the batch is
 * undone.  Other chains may now be answered in their place, and a driver that
 * walks on would take a leftover for an answer: recovery makes the words from
 * used_idx to the available position look available again.
 *
 * used_idx, old_used_idx and their wraps are in one aligned word and change in
 * one store: an index without its wrap would be another place in the ring.
 *
 * A take between stage and publish must not get the entries of a chain whose
 * answer is not out, so p1 is done by publish for the whole batch.  Barriers
 * E, F and G as in inflight.c.
 */
#include "inflight-impl.h"

#include <errno.h>
#include <stdlib.h>

#define PACKED_AVAIL ((uint16_t)(1u << VRING_PACKED_DESC_F_AVAIL))
#define PACKED_USED  ((uint16_t)(1u << VRING_PACKED_DESC_F_USED))

/* --- taking -------------------------------------------------------------- */

void pvio_inflight_packed_desc(struct pvio_inflight *inflight,
			       const struct pvio_inflight_desc *desc)
{
	struct inflight_packed *own = inflight->own.ring;
	struct inflight_packed_entry *entry;
	uint16_t at;

	/* desc_num entries, and no more descriptors in flight: one is free. */
	at = inflight->taking_num ? own->desc[inflight->taking_at].next :
				    own->free_head;
	if (inflight->taking_num++ == 0)
		inflight->taking_head = at;
	inflight->taking_at = at;
	entry = &inflight->shared.ring->desc[at];
	pvio_guest_store(&entry->addr, desc->addr);
	pvio_guest_store(&entry->len, desc->len);
	pvio_guest_store(&entry->flags, desc->flags);
	pvio_guest_store(&entry->id, desc->id);
}

uint16_t pvio_inflight_packed_take(struct pvio_inflight *inflight)
{
	struct inflight_packed *shared = inflight->shared.ring;
	struct inflight_packed *own = inflight->own.ring;
	uint16_t head = inflight->taking_head;

	own->desc[head].num = inflight->taking_num;
	own->desc[head].last = inflight->taking_at;
	own->free_head = own->desc[inflight->taking_at].next;
	inflight->taking_num = 0;

	pvio_guest_store(&shared->desc[head].num, own->desc[head].num);
	pvio_guest_store(&shared->desc[head].last, own->desc[head].last);
	pvio_guest_store(&shared->desc[head].counter, inflight->counter);
	inflight->counter++;
	/* Barrier E: marked when it is complete ... */
	pvio_guest_store_release(&shared->desc[head].inflight, 1);
	pvio_guest_store_release(&shared->free_head, own->free_head);
	/* ... and committed, before anyone serves it. */
	pvio_guest_store_release(&shared->old_free_head, own->free_head);
	return head;
}

/* Put the chain at @head in front of the free list, shared free_head too. */
static void packed_free(struct pvio_inflight *inflight, uint16_t head)
{
	struct inflight_packed *shared = inflight->shared.ring;
	struct inflight_packed *own = inflight->own.ring;
	uint16_t last = own->desc[head].last;

	own->desc[last].next = own->free_head;
	pvio_guest_store_release(&shared->desc[last].next, own->free_head);
	own->free_head = head;
	pvio_guest_store_release(&shared->free_head, head);
}

void pvio_inflight_packed_untake(struct pvio_inflight *inflight, uint16_t head)
{
	struct inflight_packed *shared = inflight->shared.ring;

	packed_free(inflight, head);
	/* Commits: what is on the old free list is not in flight. */
	pvio_guest_store_release(&shared->old_free_head, head);
	pvio_guest_store_release(&shared->desc[head].inflight, 0);
}

/* --- answering ----------------------------------------------------------- */

void pvio_inflight_packed_stage(struct pvio_inflight *inflight, uint16_t head)
{
	inflight->staged[inflight->nr_staged++] = head;
}

void pvio_inflight_packed_publish(struct pvio_inflight *inflight,
				  uint16_t used_idx, bool used_wrap)
{
	struct inflight_packed *shared = inflight->shared.ring;
	struct inflight_packed *own = inflight->own.ring;
	unsigned int i;

	for (i = 0; i < inflight->nr_staged; i++)
		packed_free(inflight, inflight->staged[i]);
	own->used_idx = used_idx;
	own->used_wrap = used_wrap;
	pvio_guest_store_release(&shared->used_word, own->used_word);
}

/* p5 */
static void packed_commit(struct pvio_inflight *inflight)
{
	struct inflight_packed *shared = inflight->shared.ring;
	struct inflight_packed *own = inflight->own.ring;

	own->old_used_idx = own->used_idx;
	own->old_used_wrap = own->used_wrap;
	/* Barrier G: the marks are cleared before these say so. */
	pvio_guest_store_release(&shared->old_free_head, own->free_head);
	pvio_guest_store_release(&shared->used_word, own->used_word);
}

void pvio_inflight_packed_published(struct pvio_inflight *inflight)
{
	struct inflight_packed *shared = inflight->shared.ring;
	unsigned int i;

	/* Barrier F: cleared after the used word is out. */
	for (i = 0; i < inflight->nr_staged; i++)
		pvio_guest_store_release(
			&shared->desc[inflight->staged[i]].inflight, 0);
	inflight->nr_staged = 0;
	packed_commit(inflight);
}

/* --- recovery ------------------------------------------------------------ */

static uint64_t *packed_word(const struct pvio_vq *vq, unsigned int i)
{
	struct vring_packed_desc *desc = vq->desc;

	return (uint64_t *)&desc[i] + 1;
}

static void packed_init(struct pvio_inflight *inflight,
			const struct pvio_vq *vq)
{
	struct inflight_packed *shared = inflight->shared.ring;
	struct inflight_packed *own = inflight->own.ring;
	unsigned int i;

	memset(own, 0, inflight->bytes);
	inflight->counter = 0;
	own->used_idx = vq->next_used;
	own->used_wrap = vq->used_wrap;
	for (i = 0; i < inflight->desc_num; i++) {
		own->desc[i].next = (uint16_t)(i + 1);
		pvio_guest_store(&shared->desc[i].inflight, 0);
		pvio_guest_store(&shared->desc[i].next, own->desc[i].next);
	}
	pvio_guest_store(&shared->features, 0);
	pvio_guest_store(&shared->desc_num, inflight->desc_num);
	pvio_guest_store(&shared->free_head, 0);
	packed_commit(inflight);
	pvio_guest_store_release(&shared->version, INFLIGHT_VERSION);
}

/*
 * Commit the batch that was published, or go back.  The descriptor where it
 * would begin tells: untouched it looks available in the old wrap; used, or
 * used and made available again by the driver since, it does not.
 */
static void packed_settle(struct inflight_packed *own,
			  const struct pvio_vq *vq)
{
	uint64_t word = le64toh(
		pvio_guest_index_acquire(packed_word(vq, own->old_used_idx)));
	uint16_t flags = (uint16_t)(word >> 48) & (PACKED_AVAIL | PACKED_USED);
	uint16_t available = own->old_used_wrap ? PACKED_AVAIL : PACKED_USED;

	if ((own->used_idx != own->old_used_idx ||
	     own->used_wrap != own->old_used_wrap) &&
	    flags != available)
		return;
	own->free_head = own->old_free_head;
	own->used_idx = own->old_used_idx;
	own->used_wrap = own->old_used_wrap;
}

/*
 * Every entry is on the free list or in exactly one chain in flight.  Marks on
 * the free list are cleared.  Returns the descriptors in flight, or -EPROTO.
 */
static int packed_check(struct pvio_inflight *inflight)
{
	struct inflight_packed *own = inflight->own.ring;
	unsigned int i, at, left, n = inflight->desc_num, in_flight = 0;
	uint8_t *seen;

	seen = calloc(n, 1);
	if (!seen)
		return -ENOMEM;
	left = n;
	for (at = own->free_head; at != n; at = own->desc[at].next) {
		if (at > n || seen[at])
			goto corrupt;
		seen[at] = 1;
		own->desc[at].inflight = 0;
		left--;
	}
	for (i = 0; i < n; i++) {
		const struct inflight_packed_entry *head = &own->desc[i];
		unsigned int j;

		if (head->inflight == 0)
			continue;
		if (head->inflight != 1 || head->num == 0 || head->num > left)
			goto corrupt;
		for (j = 0, at = i; j < head->num; j++) {
			if (at >= n || seen[at] || (j > 0 && own->desc[at].inflight))
				goto corrupt;
			seen[at] = 1;
			if (j + 1 == head->num && at != head->last)
				goto corrupt;
			at = own->desc[at].next;
		}
		left -= head->num;
		in_flight += head->num;
	}
	free(seen);
	return left ? -EPROTO : (int)in_flight;

corrupt:
	free(seen);
	return -EPROTO;
}

/* Bring the region to the state that was decided on. */
static void packed_write_back(struct pvio_inflight *inflight)
{
	struct inflight_packed *shared = inflight->shared.ring;
	const struct inflight_packed *own = inflight->own.ring;
	unsigned int i;

	for (i = 0; i < inflight->desc_num; i++)
		if (!own->desc[i].inflight)
			pvio_guest_store(&shared->desc[i].inflight, 0);
	pvio_guest_store_release(&shared->free_head, own->free_head);
	packed_commit(inflight);
}

/* Undo used words that were never published. */
static void packed_scrub(struct pvio_vq *vq, unsigned int n)
{
	unsigned int at = vq->next_used;
	bool wrap = vq->used_wrap;

	for (; n > 0; n--) {
		uint64_t word = le64toh(
			pvio_guest_index_load(packed_word(vq, at)));
		uint16_t flags = (uint16_t)(word >> 48);

		flags &= (uint16_t)~(PACKED_AVAIL | PACKED_USED);
		flags |= wrap ? PACKED_AVAIL : PACKED_USED;
		word = (word & 0xffffffffffffULL) | (uint64_t)flags << 48;
		pvio_guest_store(packed_word(vq, at), htole64(word));
		if (++at == vq->size) {
			at = 0;
			wrap = !wrap;
		}
	}
}

int pvio_inflight_packed_recover(struct pvio_inflight *inflight,
				 struct pvio_vq *vq)
{
	struct inflight_packed *own = inflight->own.ring;
	unsigned int avail;
	int in_flight, n;

	inflight->taking_num = 0;
	if (own->version == 0) {
		packed_init(inflight, vq);
		return 0;
	}
	if (own->version != INFLIGHT_VERSION ||
	    own->desc_num != inflight->desc_num ||
	    own->used_idx >= vq->size || own->old_used_idx >= vq->size ||
	    own->used_wrap > 1 || own->old_used_wrap > 1)
		return -EPROTO;
	packed_settle(own, vq);
	in_flight = packed_check(inflight);
	if (in_flight < 0)
		return in_flight;
	if (in_flight > vq->size)
		return -EPROTO;
	n = inflight_line_up(inflight);
	if (n < 0)
		return n;

	vq->next_used = own->used_idx;
	vq->used_wrap = own->used_wrap;
	avail = own->used_idx + (unsigned int)in_flight;
	vq->avail_wrap = vq->used_wrap;
	if (avail >= vq->size) {
		avail -= vq->size;
		vq->avail_wrap = !vq->avail_wrap;
	}
	vq->next_avail = (uint16_t)avail;
	packed_scrub(vq, (unsigned int)in_flight);
	packed_write_back(inflight);
	vq->desc_in_flight = (uint32_t)in_flight;
	vq->nr_resubmit = (uint16_t)n;
	return 0;
}

unsigned int pvio_inflight_packed_num(const struct pvio_inflight *inflight,
				      uint16_t head)
{
	return inflight->own.ring->desc[head].num;
}

void pvio_inflight_packed_get(const struct pvio_inflight *inflight,
			      uint16_t head, unsigned int i,
			      struct pvio_inflight_desc *desc)
{
	const struct inflight_packed *own = inflight->own.ring;

	while (i-- > 0)
		head = own->desc[head].next;
	desc->addr = own->desc[head].addr;
	desc->len = own->desc[head].len;
	desc->flags = own->desc[head].flags;
	desc->id = own->desc[head].id;
}
