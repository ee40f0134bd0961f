/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * signal.c - the consumer of a signal queue
 *
 * Theory of operation.  What is in the area is hearsay: the other side can
 * write it.  What the consumer goes by is its own: which signals are open,
 * which are masked, and what it has taken and not served yet (`pending`).  A
 * word is taken by one exchange, 64 signals at a time; what is not open is
 * dropped on the spot, so no number leaves here that was not let in.
 *
 *	area:    news[level] --exchange--> look[level]     a bit a word
 *	         word        --exchange--> pending[word]   a bit a signal
 *	                                     | not masked, from the cursor on
 *	                                     v
 *	                                   next()
 *
 * Order.  Level 0 first; after PVIO_SIGNAL_STREAK signals in a row past a level
 * that waits, one from such a level, which take turns.  Within a level a cursor
 * goes round: the next signal is the first pending one behind the last served.
 * The word under the cursor is read again for every signal, so that one raised
 * ahead of the cursor is served in this round; that is what makes it fair.  It
 * costs a load of a line that nobody writes meanwhile.
 *
 * Sleep.  Everything that was taken has been served, or is masked, when arm()
 * is called; so it is enough to say "armed" and then look at `news`.  A raised
 * signal that is masked is taken too: it wakes the consumer once, and no more
 * until it is unmasked.
 */
#include "signal.h"

#include "memory.h"
#include "stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pvio_signal_sink {
	struct pvio_signal_area *area; /* borrowed, shared */
	unsigned int nr_words;
	uint64_t words_mask; /* bits of news that mean something */
	unsigned int streak; /* served in a row while a lower level waits */
	unsigned int lower;  /* the level that had its turn last */
	uint64_t open[PVIO_SIGNAL_WORDS_MAX];
	uint64_t masked[PVIO_SIGNAL_WORDS_MAX];
	/*
	 * Of each level: the words that have news or something pending; the
	 * signal to look at first; what was taken and not served.
	 */
	uint64_t look[PVIO_SIGNAL_LEVELS];
	unsigned int cursor[PVIO_SIGNAL_LEVELS];
	uint64_t pending[PVIO_SIGNAL_LEVELS][PVIO_SIGNAL_WORDS_MAX];
	struct pvio_signal_counters counters; /* atomic */
};

/* --- which signals there are ---------------------------------------------- */

void pvio_signal_open(struct pvio_signal_sink *sink, unsigned int signal)
{
	sink->open[signal / 64] |= UINT64_C(1) << signal % 64;
}

void pvio_signal_close(struct pvio_signal_sink *sink, unsigned int signal)
{
	const uint64_t others = ~(UINT64_C(1) << signal % 64);
	unsigned int l;

	sink->open[signal / 64] &= others;
	sink->masked[signal / 64] &= others;
	for (l = 0; l < PVIO_SIGNAL_LEVELS; l++)
		sink->pending[l][signal / 64] &= others;
}

void pvio_signal_mask(struct pvio_signal_sink *sink, unsigned int signal,
		      bool is_masked)
{
	const uint64_t bit = UINT64_C(1) << signal % 64;
	const unsigned int w = signal / 64;
	unsigned int l;

	if (is_masked) {
		sink->masked[w] |= bit;
		return;
	}
	sink->masked[w] &= ~bit;
	for (l = 0; l < PVIO_SIGNAL_LEVELS; l++)
		if (sink->pending[l][w] & bit)
			sink->look[l] |= UINT64_C(1) << w;
}

/* --- taking --------------------------------------------------------------- */

/* The bits of word @w of @l that are to be served, with all that is there. */
static uint64_t sink_take(struct pvio_signal_sink *sink, unsigned int l,
			  unsigned int w)
{
	uint64_t *word = &sink->area->words[l * sink->nr_words + w];
	uint64_t *pending = &sink->pending[l][w];
	uint64_t bits;

	if (pvio_guest_index_load(word)) {
		/* Barrier P: what a signal is about is read after its bit. */
		bits = le64toh(pvio_exchange_acquire(word, 0));
		if (unlikely(bits & ~sink->open[w])) {
			pvio_count(&sink->counters.unknown,
				   (uint64_t)__builtin_popcountll(
					   bits & ~sink->open[w]));
			bits &= sink->open[w];
		}
		*pending |= bits;
	}
	return *pending & ~sink->masked[w];
}

/* Which words of level @l want to be looked at. */
static uint64_t sink_look(struct pvio_signal_sink *sink, unsigned int l)
{
	uint64_t *news = &sink->area->news[l];

	if (pvio_guest_index_load(news))
		sink->look[l] |= le64toh(pvio_exchange_acquire(news, 0)) &
				 sink->words_mask;
	return sink->look[l];
}

/* The first of @look at or behind word @w, going round.  @look is not 0. */
static unsigned int word_from(uint64_t look, unsigned int w)
{
	const uint64_t behind = look & ~UINT64_C(0) << w;

	return (unsigned int)__builtin_ctzll(behind ? behind : look);
}

/* One signal of level @l.  False: there is none, and its look is 0. */
static bool level_next(struct pvio_signal_sink *sink, unsigned int l,
		       unsigned int *signal)
{
	unsigned int *cursor = &sink->cursor[l], w, from;
	uint64_t *look = &sink->look[l], bits, ahead;

	while (*look) {
		w = word_from(*look, *cursor / 64);
		from = w == *cursor / 64 ? *cursor % 64 : 0;
		bits = sink_take(sink, l, w);
		ahead = bits & ~UINT64_C(0) << from;
		if (ahead) {
			*signal = w * 64 + (unsigned int)__builtin_ctzll(ahead);
			sink->pending[l][w] &= ~(ahead & -ahead);
			*cursor = *signal + 1;
			if (*cursor == sink->nr_words * 64)
				*cursor = 0;
			return true;
		}
		if (!bits)
			*look &= ~(UINT64_C(1) << w);
		/* What is before the cursor waits until it has been round. */
		*cursor = w + 1 == sink->nr_words ? 0 : (w + 1) * 64;
	}
	return false;
}

/* The level whose turn it is; @waiting is not 0. */
static unsigned int level_choose(struct pvio_signal_sink *sink,
				 unsigned int waiting)
{
	unsigned int top = (unsigned int)__builtin_ctz(waiting);
	unsigned int others = waiting & (waiting - 1), behind;

	if (likely(!others)) {
		sink->streak = 0;
		return top;
	}
	if (sink->streak++ < PVIO_SIGNAL_STREAK)
		return top;
	sink->streak = 0;
	behind = others & (~0u << (sink->lower + 1));
	sink->lower = (unsigned int)__builtin_ctz(behind ? behind : others);
	return sink->lower;
}

bool pvio_signal_next(struct pvio_signal_sink *sink, unsigned int *signal)
{
	unsigned int waiting = 0, l;

	for (l = 0; l < PVIO_SIGNAL_LEVELS; l++)
		if (sink_look(sink, l))
			waiting |= 1u << l;
	while (waiting) {
		l = level_choose(sink, waiting);
		if (level_next(sink, l, signal)) {
			pvio_count(&sink->counters.taken, 1);
			return true;
		}
		waiting &= ~(1u << l);
	}
	return false;
}

bool pvio_signal_has_next(const struct pvio_signal_sink *sink)
{
	unsigned int l;

	for (l = 0; l < PVIO_SIGNAL_LEVELS; l++)
		if (sink->look[l] ||
		    pvio_guest_index_load(&sink->area->news[l]))
			return true;
	return false;
}

/* --- sleeping ------------------------------------------------------------- */

bool pvio_signal_arm(struct pvio_signal_sink *sink)
{
	unsigned int l;

	/* Barrier Q: "armed" is there before we look for news. */
	pvio_exchange_ordered(&sink->area->armed, htole32(1));
	for (l = 0; l < PVIO_SIGNAL_LEVELS; l++) {
		if (!sink->look[l] && !pvio_load_ordered(&sink->area->news[l]))
			continue;
		pvio_signal_disarm(sink);
		pvio_count(&sink->counters.saved, 1);
		return false;
	}
	pvio_count(&sink->counters.armed, 1);
	return true;
}

void pvio_signal_disarm(struct pvio_signal_sink *sink)
{
	/* Orders nothing: a producer that still sees 1 rings once too often. */
	pvio_guest_store(&sink->area->armed, 0);
}

/* --- life ----------------------------------------------------------------- */

int pvio_signal_sink_create(void *area, unsigned int nr_words,
			    struct pvio_signal_sink **out)
{
	struct pvio_signal_sink *sink;
	unsigned int l;

	if (nr_words == 0 || nr_words > PVIO_SIGNAL_WORDS_MAX ||
	    (uintptr_t)area % PVIO_SIGNAL_ALIGN != 0)
		return -EINVAL;
	sink = calloc(1, sizeof(*sink));
	if (!sink)
		return -ENOMEM;
	sink->area = area;
	sink->nr_words = nr_words;
	sink->words_mask = ~UINT64_C(0) >> (64 - nr_words);
	/* A producer may have ended between the bit and the news of it. */
	for (l = 0; l < PVIO_SIGNAL_LEVELS; l++)
		sink->look[l] = sink->words_mask;
	*out = sink;
	return 0;
}

void pvio_signal_sink_destroy(struct pvio_signal_sink *sink)
{
	free(sink);
}

void pvio_signal_save(struct pvio_signal_sink *sink)
{
	unsigned int l, w;

	for (l = 0; l < PVIO_SIGNAL_LEVELS; l++) {
		for (w = 0; w < sink->nr_words; w++) {
			uint64_t bits = sink->pending[l][w];

			if (!bits)
				continue;
			sink->pending[l][w] = 0;
			pvio_or_release(
				&sink->area->words[l * sink->nr_words + w],
				htole64(bits));
			pvio_or_release(&sink->area->news[l],
					htole64(UINT64_C(1) << w));
		}
		sink->look[l] = sink->words_mask;
	}
}

void pvio_signal_count(const struct pvio_signal_sink *sink,
		       struct pvio_signal_counters *counters)
{
	const struct pvio_signal_counters *from = &sink->counters;

	counters->taken = pvio_load_once(&from->taken);
	counters->unknown = pvio_load_once(&from->unknown);
	counters->armed = pvio_load_once(&from->armed);
	counters->saved = pvio_load_once(&from->saved);
}
