/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue-chain.h - building a chain, for core/queue-split.c and -packed.c
 *
 * The one place where a descriptor's address and length become segments:
 * translated piecewise, readable before writable, no longer than the queue,
 * less than 4 GiB in total.  What it is given are private copies.
 */
#ifndef PVIO_CORE_QUEUE_CHAIN_H
#define PVIO_CORE_QUEUE_CHAIN_H

#include "inflight.h"
#include "queue.h"

#include <sys/mman.h>

/* What loading a chain returns: 0, or that it must be refused for a fault. */
#define CHAIN_OK	      0
#define CHAIN_REFUSE(fault)   ((int)(fault) + 1)
#define CHAIN_FAULT_OF(error) ((enum pvio_fault)((error)-1))

#define CHAIN_ALL UINT32_MAX

/* A chain while it is walked: kept in registers until it is complete. */
struct chain_builder {
	struct iovec *iov;
	uint32_t nr, max;
	uint32_t nr_readable;
	uint32_t left; /* descriptors it may still have */
	uint32_t lost_at; /* nr when something was out of reach, or CHAIN_ALL */
	uint64_t readable, writable;
};

static inline void chain_begin(struct chain_builder *b,
			       const struct pvio_vq *vq,
			       struct pvio_chain *chain)
{
	b->iov = chain->inline_iov;
	b->nr = 0;
	b->max = PVIO_CHAIN_INLINE_SEGMENTS;
	b->nr_readable = 0;
	b->left = vq->chain_max;
	b->lost_at = CHAIN_ALL;
	b->readable = b->writable = 0;
}

/* The uncommon segment: it spans regions, is in none, or is the sixth. */
int pvio_chain_add_slow(struct pvio_vq *vq, struct pvio_chain *chain,
			struct chain_builder *b, uint64_t gpa, uint32_t len)
	pvio_cold;

/* Memory may be lent for reading only, or for writing only. */
static inline bool chain_may_access(const struct pvio_vq *vq, uint64_t gpa,
				    uint32_t len, int prot)
{
	return likely(!vq->limited) || pvio_map_allows(vq->map, gpa, len, prot);
}

/* Has a file of the queue's memory shrunk under it?  Of the ring's own, too. */
bool pvio_vq_find_lost(const struct pvio_vq *vq) pvio_cold;
static inline bool vq_is_lost(const struct pvio_vq *vq)
{
	return unlikely(pvio_load_once(vq->map->lost_hint)) &&
	       pvio_vq_find_lost(vq);
}

/* Add one descriptor's buffer.  CHAIN_OK or CHAIN_REFUSE(). */
static inline int chain_add(struct pvio_vq *vq, struct pvio_chain *chain,
			    struct chain_builder *b, uint64_t gpa,
			    uint32_t len, bool writable)
{
	void *host;

	/* Legal but empty (the walk is bounded by descriptors, not bytes). */
	if (unlikely(len == 0))
		return CHAIN_OK;
	if (writable) {
		b->writable += len;
	} else {
		/* Readable ones come first (virtio 1.4, 2.7.4.2). */
		if (unlikely(b->writable))
			return CHAIN_REFUSE(PVIO_FAULT_ORDER);
		b->readable += len;
	}
	host = pvio_map_at(vq->map, &vq->hint, gpa, len);
	if (unlikely(!chain_may_access(vq, gpa, len,
				       writable ? PROT_WRITE : PROT_READ))) {
		b->lost_at = b->nr;
	} else if (likely(host && b->nr < b->max)) {
		b->iov[b->nr].iov_base = host;
		b->iov[b->nr++].iov_len = len;
	} else {
		int error = pvio_chain_add_slow(vq, chain, b, gpa, len);

		if (unlikely(error))
			return error;
	}
	if (!writable)
		b->nr_readable = b->nr;
	return CHAIN_OK;
}

/* Say that it failed, where that can be reached.  Returns CHAIN_REFUSE(). */
int pvio_chain_lost(struct pvio_vq *vq, const struct chain_builder *b)
	pvio_cold;

/* All descriptors are in. */
static inline int chain_end(struct pvio_vq *vq, struct pvio_chain *chain,
			    const struct chain_builder *b)
{
	if (unlikely(b->lost_at != CHAIN_ALL))
		return pvio_chain_lost(vq, b);
	/* (virtio 1.4, 2.7.5.2) */
	if (unlikely(b->readable + b->writable > UINT32_MAX))
		return CHAIN_REFUSE(PVIO_FAULT_ORDER);
	chain->iov = b->iov;
	chain->readable = (uint32_t)b->readable;
	chain->writable = (uint32_t)b->writable;
	chain->nr_readable = (uint16_t)b->nr_readable;
	chain->nr_writable = (uint16_t)(b->nr - b->nr_readable);
	return CHAIN_OK;
}

/*
 * The indirect table at @gpa, @len bytes: in place when it is one aligned
 * piece, else a private copy.  NULL and *error when it will not be served.
 */
const void *pvio_chain_table(struct pvio_vq *vq, uint64_t gpa, uint32_t len,
			     unsigned int *entries, int *error);

/* Give a chain that cannot be served back with length 0. */
void pvio_chain_refuse(struct pvio_vq *vq, struct pvio_chain *chain,
		       int error) pvio_cold;

void pvio_vq_sample_pop(struct pvio_vq *vq, struct pvio_chain *chain)
	pvio_cold;
void pvio_vq_sample_push(struct pvio_vq *vq, struct pvio_chain *chain)
	pvio_cold;

/* A chain is now with the model: what both rings note. */
static inline void chain_taken(struct pvio_vq *vq, struct pvio_chain *chain)
{
	chain->in_flight = true;
	vq->nr_in_flight++;
	if (vq->in_order) {
		chain->done = false;
		vq->order[vq->order_tail] = chain->slot;
		vq->order_tail = (uint16_t)(vq->order_tail + 1 == vq->size ?
						    0 :
						    vq->order_tail + 1);
	}
	pvio_count(&vq->stats.requests, 1);
	if (unlikely(vq->sample_in-- == 0))
		pvio_vq_sample_pop(vq, chain);
	else
		chain->sampled = false;
}

/* Is @chain the one that was popped last?  In order, only that goes back. */
static inline bool chain_is_newest(const struct pvio_vq *vq,
				   const struct pvio_chain *chain)
{
	uint16_t last =
		(uint16_t)((vq->order_tail ? vq->order_tail : vq->size) - 1);

	return !vq->in_order || vq->order[last] == chain->slot;
}

/* The opposite, by unpop. */
static inline void chain_untaken(struct pvio_vq *vq, struct pvio_chain *chain)
{
	chain->in_flight = false;
	vq->nr_in_flight--;
	if (vq->in_order)
		vq->order_tail = (uint16_t)((vq->order_tail ? vq->order_tail :
							      vq->size) -
					    1);
	pvio_count(&vq->stats.requests, (uint64_t)-1);
}

/* Unpop of a recovered chain: it waits, and is popped next. */
static inline void chain_resubmit(struct pvio_vq *vq, struct pvio_chain *chain,
				  uint16_t head)
{
	chain->in_flight = !vq->packed;
	vq->nr_resubmit++;
	pvio_inflight_back(vq->inflight, head);
}

/*
 * What push does, for both rings: @stage writes one used entry.  With IN_ORDER
 * chains that are done wait for those popped before them (virtio 1.4, 2.7.9).
 */
static inline void chain_push(struct pvio_vq *vq, struct pvio_chain *chain,
			      uint32_t written,
			      void (*stage)(struct pvio_vq *,
					    struct pvio_chain *, uint32_t))
{
	if (likely(!vq->in_order)) {
		stage(vq, chain, written);
		return;
	}
	chain->written = written;
	chain->done = true;
	/* The oldest in flight stands at order_head. */
	while (vq->nr_in_flight) {
		chain = &vq->chains[vq->order[vq->order_head]];
		if (!chain->done)
			break;
		vq->order_head = (uint16_t)(vq->order_head + 1 == vq->size ?
						    0 :
						    vq->order_head + 1);
		stage(vq, chain, chain->written);
	}
}

#endif
