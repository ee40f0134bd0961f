/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_signal.c - a signal queue between a producer and a consumer that do
 * anything, and somebody who writes into it
 *
 *	byte 0: words a level, 1 to 64
 *	then operations of three bytes: what, and two of arguments
 *
 * As long as nobody scribbles, what comes out is what was put in: each signal
 * once a level, none that is closed or masked, none left when there is "none".
 * After that it is only open signals that may come out.
 */
#include "core/signal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIGNALS_MAX (64 * PVIO_SIGNAL_WORDS_MAX)
#define AREA_BYTES                         \
	(sizeof(struct pvio_signal_area) + \
	 8 * PVIO_SIGNAL_LEVELS * PVIO_SIGNAL_WORDS_MAX)

enum op {
	OP_RAISE,
	OP_NEXT,
	OP_ARM,
	OP_DISARM,
	OP_OPEN,
	OP_CLOSE,
	OP_MASK,
	OP_UNMASK,
	OP_SAVE,
	OP_ANEW,
	OP_SCRIBBLE,
	NR_OPS
};

static struct {
	struct pvio_signal_area *area;
	struct pvio_signal_sink *sink;
	unsigned int nr_words;
	bool is_honest;
	uint8_t raised[SIGNALS_MAX]; /* levels, not served */
	uint8_t stale[SIGNALS_MAX];  /* levels, raised before it was closed */
	bool is_open[SIGNALS_MAX], is_masked[SIGNALS_MAX];
} fz;

#define require(what)                                                     \
	do {                                                              \
		if (!(what)) {                                            \
			fprintf(stderr, "%d: not %s\n", __LINE__, #what); \
			abort();                                          \
		}                                                         \
	} while (0)

static void sink_anew(void)
{
	unsigned int i;

	if (fz.sink)
		pvio_signal_save(fz.sink);
	pvio_signal_sink_destroy(fz.sink);
	require(pvio_signal_sink_create(fz.area, fz.nr_words, &fz.sink) == 0);
	for (i = 0; i < 64 * fz.nr_words; i++) {
		if (fz.is_open[i])
			pvio_signal_open(fz.sink, i);
		if (fz.is_masked[i])
			pvio_signal_mask(fz.sink, i, true);
	}
}

static bool is_served(unsigned int i)
{
	return !fz.is_open[i] || fz.is_masked[i] || !fz.raised[i];
}

static void none_is_left(void)
{
	unsigned int i;

	for (i = 0; i < 64 * fz.nr_words; i++) {
		require(!fz.is_honest || is_served(i));
		/* What was under way has come by now, or was dropped. */
		if (!fz.is_masked[i])
			fz.stale[i] = 0;
		if (!fz.is_open[i])
			fz.raised[i] = 0;
	}
}

static void op_next(void)
{
	unsigned int i = SIGNALS_MAX;

	if (!pvio_signal_next(fz.sink, &i)) {
		none_is_left();
		return;
	}
	require(i < 64 * fz.nr_words && fz.is_open[i] && !fz.is_masked[i]);
	if (!fz.is_honest)
		return;
	/* Which level it was of does not show: one of them is done. */
	require(fz.raised[i] | fz.stale[i]);
	if (fz.raised[i])
		fz.raised[i] &= (uint8_t)(fz.raised[i] - 1);
	else
		fz.stale[i] &= (uint8_t)(fz.stale[i] - 1);
}

static void op_arm(void)
{
	unsigned int i;

	/* By contract it comes after next() has said that there is none. */
	if (!pvio_signal_arm(fz.sink))
		return;
	for (i = 0; fz.is_honest && i < 64 * fz.nr_words; i++)
		require(is_served(i));
	require(le32toh(fz.area->armed) == 1);
}

static void op_run(uint8_t op, uint8_t a, uint8_t b)
{
	unsigned int i = (a | (b & 0xfu) << 8) % (64 * fz.nr_words);
	unsigned int level = b >> 5;
	size_t at;

	switch ((enum op)(op % NR_OPS)) {
	case OP_RAISE:
		pvio_signal_raise(fz.area, fz.nr_words, i, level);
		fz.raised[i] |= (uint8_t)(1u << level);
		break;
	case OP_NEXT:
		op_next();
		break;
	case OP_ARM:
		op_arm();
		break;
	case OP_DISARM:
		pvio_signal_disarm(fz.sink);
		break;
	case OP_OPEN:
		pvio_signal_open(fz.sink, i);
		/* What it was raised for before is nothing that is owed. */
		if (!fz.is_open[i]) {
			fz.stale[i] |= fz.raised[i];
			fz.raised[i] = 0;
		}
		fz.is_open[i] = true;
		break;
	case OP_CLOSE:
		pvio_signal_close(fz.sink, i);
		fz.is_open[i] = fz.is_masked[i] = false;
		break;
	case OP_MASK:
	case OP_UNMASK:
		fz.is_masked[i] = op % NR_OPS == OP_MASK;
		pvio_signal_mask(fz.sink, i, fz.is_masked[i]);
		break;
	case OP_SAVE:
		pvio_signal_save(fz.sink);
		break;
	case OP_ANEW:
		sink_anew();
		break;
	case OP_SCRIBBLE:
		at = ((size_t)a << 3 | (size_t)(b & 0xf) << 11) %
		     pvio_signal_bytes(fz.nr_words);
		memset((uint8_t *)fz.area + (at & ~(size_t)7), a ^ b, 8);
		fz.is_honest = false;
		break;
	case NR_OPS:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int left;

	if (size < 1)
		return 0;
	memset(&fz, 0, sizeof(fz));
	fz.is_honest = true;
	fz.nr_words = data[0] % PVIO_SIGNAL_WORDS_MAX + 1;
	fz.area = aligned_alloc(PVIO_SIGNAL_ALIGN, AREA_BYTES);
	require(fz.area);
	memset(fz.area, 0, AREA_BYTES);
	sink_anew();
	for (data++, size--; size >= 3; data += 3, size -= 3)
		op_run(data[0], data[1], data[2]);
	/* In the end all comes out, and that is an end. */
	left = PVIO_SIGNAL_LEVELS * 64 * fz.nr_words + 1;
	while (left-- > 0 && pvio_signal_has_next(fz.sink))
		op_next();
	require(left > 0);
	pvio_signal_sink_destroy(fz.sink);
	fz.sink = NULL;
	free(fz.area);
	return 0;
}
