/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue-packed.c - the packed ring, device side (virtio 1.4, 2.8)
 *
 *	desc    [0] [1] [2] ... [size-1]    {addr, len, id, flags}
 *	             ^       ^
 *	     next_used     next_avail       both wrap, and flip their counter
 *
 *	available to us:   AVAIL == avail_wrap, USED != avail_wrap
 *	used by us:        AVAIL == USED == used_wrap
 *
 * One ring serves both ways: the driver writes descriptors with AVAIL flipped,
 * we overwrite the first of each chain with its id and length, in the order of
 * completion.  A chain is as many descriptors as NEXT says, one after another;
 * its id stands in the last.  Ids are the driver's business: we give them back
 * and index nothing by them.
 *
 * Length, id and flags of a descriptor are one aligned 8-byte word, so it is
 * read and written as one.  That makes the flags and what they vouch for a
 * single access, and a used descriptor one store.
 *
 * Barriers, with the partners in guest/ring-packed.c:
 *
 *	A  the word with the flags is loaded (acquire) before the address, and
 *	   before further descriptors of the chain; the driver stores it last
 *	   (release)
 *	B  the word of the first used descriptor of a batch is stored (release)
 *	   after all others and after the data; the driver loads it (acquire)
 *	C, D  as in queue-split.c, on the two event suppression structures
 */
#include "queue-chain.h"

#include <errno.h>

#define PACKED_AVAIL ((uint16_t)(1u << VRING_PACKED_DESC_F_AVAIL))
#define PACKED_USED  ((uint16_t)(1u << VRING_PACKED_DESC_F_USED))
#define EVENT_WRAP   (1u << VRING_PACKED_EVENT_F_WRAP_CTR)
#define PACKED_AHEAD 4 /* descriptors fetched before their turn */

/* The word of a descriptor that holds len, id and flags. */
static inline uint64_t *packed_word(const struct pvio_vq *vq, unsigned int i)
{
	struct vring_packed_desc *desc = vq->desc;

	return (uint64_t *)&desc[i] + 1;
}

static inline uint64_t packed_load(const struct pvio_vq *vq, unsigned int i)
{
	/* Barrier A: the rest of what it vouches for is read after this. */
	return le64toh(pvio_guest_index_acquire(packed_word(vq, i)));
}

static inline uint16_t packed_flags(uint64_t word)
{
	return (uint16_t)(word >> 48);
}

static inline bool packed_is_available(uint16_t flags, bool wrap)
{
	uint16_t want = wrap ? PACKED_AVAIL : PACKED_USED;

	return (flags & (PACKED_AVAIL | PACKED_USED)) == want;
}

/* Move @pos on by @n (at most size) entries. */
static inline void packed_advance(const struct pvio_vq *vq, uint16_t *pos,
				  bool *wrap, unsigned int n)
{
	unsigned int next = *pos + n;

	if (next >= vq->size) {
		next -= vq->size;
		*wrap = !*wrap;
	}
	*pos = (uint16_t)next;
}

static pvio_cold void packed_log_desc(const struct pvio_vq *vq, unsigned int i)
{
	pvio_map_log_gpa(vq->map,
			 vq->setup.desc + i * sizeof(struct vring_packed_desc),
			 sizeof(struct vring_packed_desc));
}

int pvio_packed_start(struct pvio_vq *vq)
{
	if (vq->next_avail >= vq->size || vq->next_used >= vq->size)
		return -EINVAL;
	return 0;
}

/* An indirect table: entries in sequence, only WRITE has a meaning. */
static __attribute__((noinline)) int
packed_walk_indirect(struct pvio_vq *vq, struct pvio_chain *chain,
		     struct chain_builder *build, uint64_t gpa, uint32_t len)
{
	const struct vring_packed_desc *table;
	unsigned int entries, i;
	int error;

	table = pvio_chain_table(vq, gpa, len, &entries, &error);
	if (unlikely(!table))
		return error;
	for (i = 0; i < entries; i++) {
		const uint64_t *word = (const uint64_t *)&table[i];
		uint64_t addr = le64toh(pvio_guest_load64(&word[0]));
		uint64_t rest = le64toh(pvio_guest_load64(&word[1]));
		uint16_t flags = packed_flags(rest);

		if (unlikely(flags & VRING_DESC_F_INDIRECT))
			return CHAIN_REFUSE(PVIO_FAULT_INDIRECT);
		error = chain_add(vq, chain, build, addr, (uint32_t)rest,
				  flags & VRING_DESC_F_WRITE);
		if (unlikely(error))
			return error;
	}
	return CHAIN_OK;
}

/* Look at the next descriptor.  True, and its word: it is available. */
static inline bool packed_look(struct pvio_vq *vq, uint64_t *word)
{
	*word = packed_load(vq, vq->next_avail);
	if (likely(packed_is_available(packed_flags(*word), vq->avail_wrap)))
		return true;
	/* A page that went away reads as 0, which is not available. */
	if (unlikely(vq_is_lost(vq)))
		pvio_vq_break(vq, "guest memory is gone");
	return false;
}

/* Add descriptor @n, from 1, of a chain. */
static inline int packed_add(struct pvio_vq *vq, struct pvio_chain *chain,
			     struct chain_builder *build, uint64_t addr,
			     uint32_t len, uint16_t flags, unsigned int n)
{
	if (unlikely(flags & VRING_DESC_F_INDIRECT)) {
		/* Alone in its chain (virtio 1.4, 2.8.19). */
		if (n > 1 || (flags & VRING_DESC_F_NEXT))
			return CHAIN_REFUSE(PVIO_FAULT_INDIRECT);
		return packed_walk_indirect(vq, chain, build, addr, len);
	}
	if (unlikely(n > vq->chain_max))
		return CHAIN_REFUSE(PVIO_FAULT_LOOP);
	return chain_add(vq, chain, build, addr, len,
			 flags & VRING_DESC_F_WRITE);
}

static pvio_cold void packed_note(struct pvio_vq *vq, uint64_t addr,
				  uint64_t word)
{
	struct pvio_inflight_desc desc = {
		.addr = addr,
		.len = (uint32_t)word,
		.id = (uint16_t)(word >> 32),
		.flags = packed_flags(word),
	};

	pvio_inflight_packed_desc(vq->inflight, &desc);
}

/*
 * Take the descriptors of the chain at @pos, whose first word is @word.  Even
 * when one is refused the walk goes on, since the id is in the last.  Returns
 * how many there are, 0 when the ring broke.
 */
static inline unsigned int packed_walk(struct pvio_vq *vq,
				       struct pvio_chain *chain,
				       struct chain_builder *build,
				       uint64_t word, uint16_t pos, bool wrap,
				       int *error)
{
	unsigned int left = vq->size - vq->desc_in_flight, n = 0;

	*error = CHAIN_OK;
	for (;;) {
		uint16_t flags = packed_flags(word);
		uint64_t addr;

		if (unlikely(n++ == left)) {
			pvio_vq_break(vq, "chain at %u is longer than the ring",
				      chain->pos);
			return 0;
		}
		pvio_memory_note_fetch(packed_word(vq, pos), sizeof(word));
		addr = le64toh(pvio_guest_load64(packed_word(vq, pos) - 1));
		if (unlikely(vq->inflight))
			packed_note(vq, addr, word);
		if (likely(!*error))
			*error = packed_add(vq, chain, build, addr,
					    (uint32_t)word, flags, n);
		if (!(flags & VRING_DESC_F_NEXT)) {
			chain->id = (uint16_t)(word >> 32);
			return n;
		}

		packed_advance(vq, &pos, &wrap, 1);
		word = packed_load(vq, pos);
		/* (virtio 1.4, 2.8.21): all of a chain at once. */
		if (unlikely(!packed_is_available(packed_flags(word), wrap))) {
			pvio_vq_break(vq, "chain at %u is torn", chain->pos);
			return 0;
		}
	}
}

/* The slot that the next chain gets: each chain in flight holds a descriptor,
 * and there are as many slots, so one is free. */
static inline struct pvio_chain *packed_slot(const struct pvio_vq *vq)
{
	return &vq->chains[vq->free_slots[vq->nr_free - 1]];
}

/* A chain of the in-flight region, from the copies that it holds. */
struct pvio_chain *pvio_packed_recovered(struct pvio_vq *vq)
{
	while (vq->nr_resubmit > 0) {
		struct pvio_inflight_desc desc = { .id = 0 };
		struct pvio_chain *chain = packed_slot(vq);
		struct chain_builder build;
		unsigned int i, num;
		uint16_t head;
		int error = CHAIN_OK;

		pvio_memory_request_begin();
		vq->nr_resubmit--;
		vq->nr_free--;
		head = pvio_inflight_next(vq->inflight);
		num = pvio_inflight_packed_num(vq->inflight, head);
		chain_begin(&build, vq, chain);
		for (i = 0; i < num; i++) {
			pvio_inflight_packed_get(vq->inflight, head, i, &desc);
			if (!error)
				error = packed_add(vq, chain, &build,
						   desc.addr, desc.len,
						   desc.flags, i + 1);
		}
		if (!error)
			error = chain_end(vq, chain, &build);
		chain->id = desc.id;
		chain->nr_desc = (uint16_t)num;
		chain->inflight = head;
		chain->recovered = true;
		chain_taken(vq, chain);
		if (likely(!error))
			return chain;
		pvio_chain_refuse(vq, chain, error);
	}
	return NULL;
}

/*
 * The descriptors after the next come from the driver's CPU while this one is
 * served (pvio-bench net --kind loop --size 64: 15.9 instead of 12.7 million
 * frames a second).
 */
static inline void packed_prefetch(const struct pvio_vq *vq)
{
	const struct vring_packed_desc *desc = vq->desc;
	unsigned int ahead = vq->next_avail + PACKED_AHEAD;

	__builtin_prefetch(&desc[ahead < vq->size ? ahead : 0]);
}

struct pvio_chain *pvio_packed_pop(struct pvio_vq *vq)
{
	unsigned int refused;

	if (unlikely(vq->state != PVIO_VQ_RUNNING))
		return NULL;
	for (refused = 0; refused <= vq->size; refused++) {
		struct chain_builder build;
		struct pvio_chain *chain;
		unsigned int n;
		uint64_t word;
		int error;

		if (!packed_look(vq, &word))
			return NULL;
		if (unlikely(vq->desc_in_flight == vq->size)) {
			pvio_vq_break(vq, "descriptor %u is in flight already",
				      vq->next_avail);
			return NULL;
		}
		packed_prefetch(vq);
		pvio_memory_request_begin();
		chain = packed_slot(vq);
		chain->pos = vq->next_avail;
		chain->recovered = false;
		chain_begin(&build, vq, chain);
		n = packed_walk(vq, chain, &build, word, vq->next_avail,
				vq->avail_wrap, &error);
		if (unlikely(n == 0))
			return NULL;
		if (likely(!error))
			error = chain_end(vq, chain, &build);

		vq->nr_free--;
		chain->nr_desc = (uint16_t)n;
		vq->desc_in_flight += n;
		packed_advance(vq, &vq->next_avail, &vq->avail_wrap, n);
		chain_taken(vq, chain);
		if (unlikely(vq->inflight))
			chain->inflight =
				pvio_inflight_packed_take(vq->inflight);
		if (likely(!error))
			return chain;
		pvio_chain_refuse(vq, chain, error);
	}
	return NULL;
}

bool pvio_packed_unpop(struct pvio_vq *vq, struct pvio_chain *chain)
{
	uint16_t end = chain->pos;
	bool wrap = vq->avail_wrap;

	packed_advance(vq, &end, &wrap, chain->nr_desc);
	if (unlikely(chain->recovered)) {
		if (!chain_is_newest(vq, chain))
			return false;
		chain_untaken(vq, chain);
		vq->free_slots[vq->nr_free++] = chain->slot;
		chain_resubmit(vq, chain, chain->inflight);
		return true;
	}
	if (unlikely(end != vq->next_avail))
		return false;
	if (unlikely(vq->inflight))
		pvio_inflight_packed_untake(vq->inflight, chain->inflight);
	chain_untaken(vq, chain);
	vq->desc_in_flight -= chain->nr_desc;
	vq->free_slots[vq->nr_free++] = chain->slot;
	vq->next_avail = chain->pos;
	vq->avail_wrap = wrap; /* flipped if the chain spans the end */
	return true;
}

static inline void packed_stage(struct pvio_vq *vq, struct pvio_chain *chain,
				uint32_t written)
{
	uint16_t flags = vq->used_wrap ? PACKED_AVAIL | PACKED_USED : 0;
	uint64_t word;

	/* WRITE: the length means something (virtio 1.4, 2.8.6). */
	if (written)
		flags |= VRING_DESC_F_WRITE;
	word = htole64(written | (uint64_t)chain->id << 32 |
		       (uint64_t)flags << 48);
	if (vq->nr_staged == 0) {
		vq->first_staged = vq->next_used;
		vq->first_word = word;
	} else {
		/* Ordered by barrier B of the first one, in publish. */
		pvio_guest_store(packed_word(vq, vq->next_used), word);
		if (unlikely(vq->logging))
			packed_log_desc(vq, vq->next_used);
	}
	if (unlikely(vq->inflight))
		pvio_inflight_packed_stage(vq->inflight, chain->inflight);
	vq->nr_staged = (uint16_t)(vq->nr_staged + chain->nr_desc);
	packed_advance(vq, &vq->next_used, &vq->used_wrap, chain->nr_desc);
	vq->free_slots[vq->nr_free++] = chain->slot;
	chain->in_flight = false;
	vq->nr_in_flight--;
	pvio_count(&vq->stats.completions, 1);
}

void pvio_packed_push(struct pvio_vq *vq, struct pvio_chain *chain,
		      uint32_t written)
{
	chain_push(vq, chain, written, packed_stage);
}

bool pvio_packed_publish(struct pvio_vq *vq)
{
	uint16_t staged = vq->nr_staged, event, flags;
	uint32_t word;

	if (unlikely(vq->inflight))
		pvio_inflight_packed_publish(vq->inflight, vq->next_used,
					     vq->used_wrap);
	/* Barrier B: the batch and its data are written before this word. */
	pvio_guest_store_release(packed_word(vq, vq->first_staged),
				 vq->first_word);
	/* After the store: a mark before it may be collected too early. */
	if (unlikely(vq->logging))
		packed_log_desc(vq, vq->first_staged);
	if (unlikely(vq->inflight))
		pvio_inflight_packed_published(vq->inflight);
	vq->desc_in_flight -= staged;
	vq->nr_staged = 0;

	/* Barrier C: the used word is out before we look whether to notify. */
	pvio_full_fence();
	word = le32toh(pvio_guest_index_load((const uint32_t *)vq->driver));
	flags = (uint16_t)(word >> 16) & 3;
	if (flags == VRING_PACKED_EVENT_FLAG_DISABLE)
		return false;
	/* What has no meaning asks for notifications, to be safe. */
	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !vq->event_idx)
		return true;
	event = (uint16_t)(word & (EVENT_WRAP - 1));
	if (!!(word & EVENT_WRAP) != vq->used_wrap)
		event = (uint16_t)(event - vq->size);
	return vring_need_event(event, vq->next_used,
				(uint16_t)(vq->next_used - staged));
}

bool pvio_packed_has_available(struct pvio_vq *vq)
{
	uint64_t word = le64toh(
		pvio_guest_index_load(packed_word(vq, vq->next_avail)));

	return packed_is_available(packed_flags(word), vq->avail_wrap);
}

/* Both halves of the device's event structure as one store. */
static void packed_set_event(struct pvio_vq *vq, uint16_t off_wrap,
			     uint16_t flags)
{
	pvio_guest_store((uint32_t *)vq->device,
			 htole32(off_wrap | (uint32_t)flags << 16));
	if (unlikely(vq->logging))
		pvio_map_log_gpa(vq->map, vq->setup.device,
				 sizeof(struct vring_packed_desc_event));
}

void pvio_packed_disable_kick(struct pvio_vq *vq)
{
	if (vq->kicks_off)
		return;
	vq->kicks_off = true;
	packed_set_event(vq, 0, VRING_PACKED_EVENT_FLAG_DISABLE);
}

bool pvio_packed_enable_kick(struct pvio_vq *vq)
{
	if (vq->event_idx)
		packed_set_event(vq,
				 (uint16_t)(vq->next_avail |
					    (vq->avail_wrap ? EVENT_WRAP : 0)),
				 VRING_PACKED_EVENT_FLAG_DESC);
	else if (vq->kicks_off)
		packed_set_event(vq, 0, VRING_PACKED_EVENT_FLAG_ENABLE);
	vq->kicks_off = false;
	/* Barrier D: the wish is out before we look once more. */
	pvio_full_fence();
	return pvio_packed_has_available(vq);
}
