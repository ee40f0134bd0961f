/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * signal-ring.h - the other layout of a signal queue, to measure ours against
 *
 * A ring of signal numbers for each level, and a bit for each signal that says
 * whether it is queued, so that a ring as long as there are signals is never
 * full.  With what keeps it right when producers and consumer are honest, and
 * nothing more: where a bitmap has nothing to check, this one would have to
 * check indices and numbers, and a producer that is stopped between its place
 * and its number stops all that are behind it.
 */
#ifndef PVIO_BENCH_SIGNAL_RING_H
#define PVIO_BENCH_SIGNAL_RING_H

#include "core/barrier.h"
#include "core/signal.h"

#define SIGNAL_RING_SIGNALS 256

struct signal_ring {
	uint32_t armed __attribute__((aligned(PVIO_CACHE_LINE_BYTES)));
	/* where producers take places */
	uint32_t tail[PVIO_SIGNAL_LEVELS]
		__attribute__((aligned(PVIO_CACHE_LINE_BYTES)));
	uint64_t queued[PVIO_SIGNAL_LEVELS][SIGNAL_RING_SIGNALS / 64];
	uint16_t slot[PVIO_SIGNAL_LEVELS][SIGNAL_RING_SIGNALS]; /* + 1 */
	/* the consumer's own */
	uint32_t head[PVIO_SIGNAL_LEVELS]
		__attribute__((aligned(PVIO_CACHE_LINE_BYTES)));
};

static inline enum pvio_raised signal_ring_raise(struct signal_ring *r,
						 unsigned int signal,
						 unsigned int level)
{
	const uint64_t bit = UINT64_C(1) << signal % 64;
	uint32_t at;

	/* Barrier P, as in core/signal.h. */
	if (pvio_or_ordered(&r->queued[level][signal / 64], bit) & bit)
		return PVIO_RAISED_COALESCED;
	at = __atomic_fetch_add(&r->tail[level], 1, __ATOMIC_RELAXED);
	__atomic_store_n(&r->slot[level][at % SIGNAL_RING_SIGNALS],
			 (uint16_t)(signal + 1), __ATOMIC_SEQ_CST);
	/* Barrier Q. */
	if (likely(!pvio_load_ordered(&r->armed)))
		return PVIO_RAISED_QUIET;
	return pvio_exchange_ordered(&r->armed, 0) ? PVIO_RAISED_RING
						   : PVIO_RAISED_QUIET;
}

static inline bool signal_ring_next(struct signal_ring *r, unsigned int *signal)
{
	unsigned int level;
	uint16_t *slot, number;

	for (level = 0; level < PVIO_SIGNAL_LEVELS; level++) {
		if (pvio_load_once(&r->tail[level]) == r->head[level])
			continue;
		slot = &r->slot[level][r->head[level] % SIGNAL_RING_SIGNALS];
		number = pvio_load_acquire(slot);
		if (!number)
			continue; /* its producer is not so far */
		*signal = number - 1u;
		pvio_store_once(slot, 0);
		r->head[level]++;
		/* From here on it may be queued again: barrier P. */
		__atomic_fetch_and(&r->queued[level][*signal / 64],
				   ~(UINT64_C(1) << *signal % 64),
				   __ATOMIC_SEQ_CST);
		return true;
	}
	return false;
}

static inline bool signal_ring_arm(struct signal_ring *r)
{
	unsigned int level;

	pvio_exchange_ordered(&r->armed, 1);
	for (level = 0; level < PVIO_SIGNAL_LEVELS; level++) {
		if (pvio_load_ordered(&r->tail[level]) == r->head[level])
			continue;
		pvio_store_once(&r->armed, 0);
		return false;
	}
	return true;
}

#endif
