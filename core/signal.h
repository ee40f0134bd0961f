/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * signal.h - the signal queue: many producers tell one consumer that there is
 * news, in shared memory, and wake it only when it sleeps
 *
 * A *signal* is a small number that stands for "queue 3 of device 7 has news".
 * Raising it sets a bit; it has no other content, so raising it again before it
 * is taken changes nothing, and the queue is never full.  It serves both ways:
 * a guest's kicks are signals to a worker of the host, interrupts are signals
 * to a virtual CPU.  The layout, which is the bus's ABI, all little-endian:
 *
 *	   0  armed    1: the consumer sleeps and wants to be woken
 *	  64  news[8]  by level; bit w: look at word w of that level
 *	 128  words    64 signals each; those of level 0, of level 1, ...
 *
 *	producer, raise(signal, level)        consumer
 *	  words[level][signal / 64] |= bit      next: take news[], then words
 *	  news[level] |= 1 << signal / 64       arm:  armed = 1
 *	  if armed, and armed was 1 when              any news?  then armed = 0
 *	  we set it to 0: ring                              and go on, else sleep
 *
 * Level 0 goes first.  The other side is hostile: it may write anything at any
 * time.  It can make us look at signals for nothing, at most as often as the
 * caller of next() chooses, and lose its own wake-ups; nothing else.
 *
 * A queue has one consumer; calls about a sink are for that thread.
 */
#ifndef PVIO_CORE_SIGNAL_H
#define PVIO_CORE_SIGNAL_H

#include "barrier.h"
#include "util.h"

#include <endian.h>

#define PVIO_SIGNAL_LEVELS    8
#define PVIO_SIGNAL_WORDS_MAX 64
#define PVIO_SIGNAL_ALIGN     64 /* bytes */
/*
 * A level that has news is served after this many signals of others at the
 * latest, times the levels that compete with it.
 */
#define PVIO_SIGNAL_STREAK    64

struct pvio_signal_area {
	uint32_t armed;
	uint8_t pad[60]; /* what the consumer writes, and what producers do */
	uint64_t news[PVIO_SIGNAL_LEVELS];
	uint64_t words[]; /* [level * nr_words + word] */
};

/* How long an area of @nr_words (1 to 64) a level is. */
static inline size_t pvio_signal_bytes(unsigned int nr_words)
{
	return sizeof(struct pvio_signal_area) +
	       sizeof(uint64_t) * PVIO_SIGNAL_LEVELS * nr_words;
}

/* --- producer: any thread ------------------------------------------------ */

enum pvio_raised {
	PVIO_RAISED_COALESCED, /* it was there, untaken */
	PVIO_RAISED_QUIET,     /* new; the consumer is awake or being woken */
	PVIO_RAISED_RING,      /* new; it is on you to wake the consumer */
};

/*
 * Raise @signal (below 64 * @nr_words) at @level.  What was written before is
 * seen by whoever takes the signal.
 */
static inline enum pvio_raised pvio_signal_raise(struct pvio_signal_area *area,
						 unsigned int nr_words,
						 unsigned int signal,
						 unsigned int level)
{
	uint64_t *word = &area->words[level * nr_words + signal / 64];
	const uint64_t bit = htole64(UINT64_C(1) << signal % 64);
	const uint64_t look = htole64(UINT64_C(1) << signal / 64);
	bool is_new;

	/*
	 * Barrier P: what the signal is about (a ring's index) is there before
	 * its bit.  Pairs with the consumer's when it takes the word.
	 */
	is_new = !(pvio_or_ordered(word, bit) & bit);
	/*
	 * Somebody else set the bit and may not have come further: what he has
	 * still to do is done here, so nobody waits for a producer that was
	 * stopped half-way.
	 */
	if (!is_new && (pvio_load_ordered(&area->news[level]) & look))
		return PVIO_RAISED_COALESCED;
	/*
	 * Barrier Q: the news is there before we look whether the consumer
	 * sleeps, and it says that it sleeps before it looks for news: one of
	 * the two sees the other.  All four accesses are in the one order of
	 * sequentially consistent operations, which is a full fence on both
	 * sides.
	 */
	pvio_or_ordered(&area->news[level], look);
	if (likely(!pvio_load_ordered(&area->armed)))
		return PVIO_RAISED_QUIET;
	/* Of several producers one wakes it. */
	return pvio_exchange_ordered(&area->armed, 0) ? PVIO_RAISED_RING
						      : PVIO_RAISED_QUIET;
}

/* --- consumer ------------------------------------------------------------- */

struct pvio_signal_sink;

/*
 * Consume from @area (borrowed; zeroes, or what a consumer before left there).
 * -EINVAL: @nr_words is not 1 to 64, or the area is not aligned; -ENOMEM.
 * No signal is open.  Next: open, and then next() until there is none.
 */
int pvio_signal_sink_create(void *area, unsigned int nr_words,
			    struct pvio_signal_sink **sink);
/* NULL is allowed. */
void pvio_signal_sink_destroy(struct pvio_signal_sink *sink);

/*
 * Signals that are not open are dropped when they are taken, and counted.  Close
 * drops what is pending of it; one that is under way may still arrive after it
 * is opened again, for nothing.
 */
void pvio_signal_open(struct pvio_signal_sink *sink, unsigned int signal);
void pvio_signal_close(struct pvio_signal_sink *sink, unsigned int signal);
/* Masked, it is kept, without a word, until it is unmasked. */
void pvio_signal_mask(struct pvio_signal_sink *sink, unsigned int signal,
		      bool is_masked);

/*
 * The next signal to be served: true and *@signal, which is not pending any
 * more, or false: there is none.  Within a level between two of one signal
 * comes every other one that was pending at the first.
 */
bool pvio_signal_next(struct pvio_signal_sink *sink, unsigned int *signal);
/* Is there anything for next(), as far as one can see without taking it? */
bool pvio_signal_has_next(const struct pvio_signal_sink *sink);

/*
 * About to sleep, since next() said that there is none.  True: do, somebody
 * will ring.  False: there is something to take.  After waking, for whatever
 * reason: disarm.
 */
bool pvio_signal_arm(struct pvio_signal_sink *sink);
void pvio_signal_disarm(struct pvio_signal_sink *sink);

/*
 * Put back into the area what was taken and not served, so that the area is the
 * whole state: what a consumer that comes after us, here or elsewhere, needs.
 * It begins with next(), not with arm().
 */
void pvio_signal_save(struct pvio_signal_sink *sink);

struct pvio_signal_counters {
	uint64_t taken;   /* signals given out by next() */
	uint64_t unknown; /* bits of signals that are not open, and dropped */
	uint64_t armed;   /* times the consumer went to sleep */
	uint64_t saved;   /* times arm() saw news that came just then */
};

/* Any thread. */
void pvio_signal_count(const struct pvio_signal_sink *sink,
		       struct pvio_signal_counters *counters);

#endif
