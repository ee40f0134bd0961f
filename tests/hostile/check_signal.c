/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_signal.c - a signal queue whose memory the other side writes at will
 *
 * It may make us look for nothing, and lose its own wake-ups.  It never makes
 * us give out a signal that is not open, touch memory beyond the area, or stay
 * in one call.
 */
#include "tests/check_main.h"

#include "core/signal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define NR_WORDS 3
#define GUARD    0x5a

static struct {
	uint8_t before[PVIO_SIGNAL_ALIGN];
	uint8_t area[sizeof(struct pvio_signal_area) +
		     8 * PVIO_SIGNAL_LEVELS * NR_WORDS];
	uint8_t behind[PVIO_SIGNAL_ALIGN];
} memory __attribute__((aligned(PVIO_SIGNAL_ALIGN)));
static struct pvio_signal_area *const area = (void *)memory.area;
static struct pvio_signal_sink *sink;

static void setup(void)
{
	memset(&memory, GUARD, sizeof(memory));
	memset(memory.area, 0, sizeof(memory.area));
	ck_assert_int_eq(pvio_signal_sink_create(area, NR_WORDS, &sink), 0);
}

static void teardown(void)
{
	unsigned int i;

	for (i = 0; i < PVIO_SIGNAL_ALIGN; i++) {
		ck_assert_uint_eq(memory.before[i], GUARD);
		ck_assert_uint_eq(memory.behind[i], GUARD);
	}
	pvio_signal_sink_destroy(sink);
}

static bool is_open(unsigned int signal)
{
	return signal == 0 || signal == 63 || signal == 100 ||
	       signal == NR_WORDS * 64 - 1;
}

static void open_some(void)
{
	unsigned int i;

	for (i = 0; i < NR_WORDS * 64; i++)
		if (is_open(i))
			pvio_signal_open(sink, i);
}

static unsigned int drain(void)
{
	unsigned int signal, n;

	for (n = 0; pvio_signal_next(sink, &signal); n++)
		ck_assert(is_open(signal));
	return n;
}

/* H01: numbers that nobody gave out. */
START_TEST(bits_of_signals_that_are_not_open_are_dropped)
{
	struct pvio_signal_counters counters;

	open_some();
	memset(memory.area + 64, 0xff, sizeof(memory.area) - 64);
	ck_assert_uint_eq(drain(), 4 * PVIO_SIGNAL_LEVELS);
	pvio_signal_count(sink, &counters);
	ck_assert_uint_eq(counters.unknown,
			  (NR_WORDS * 64 - 4) * PVIO_SIGNAL_LEVELS);
	/* That was all: it can sleep. */
	ck_assert(pvio_signal_arm(sink));
}
END_TEST

/* H08: news of words beyond the area. */
START_TEST(news_of_words_that_do_not_exist_is_ignored)
{
	unsigned int l;

	open_some();
	for (l = 0; l < PVIO_SIGNAL_LEVELS; l++)
		area->news[l] = htole64(~UINT64_C(0) << NR_WORDS);
	ck_assert_uint_eq(drain(), 0);
	ck_assert(pvio_signal_arm(sink));
}
END_TEST

/* News without a bit, and bits without news. */
START_TEST(area_that_contradicts_itself_does_no_harm)
{
	open_some();
	ck_assert_uint_eq(drain(), 0);
	area->news[0] = htole64(7);
	ck_assert(!pvio_signal_arm(sink));
	ck_assert_uint_eq(drain(), 0);
	ck_assert(pvio_signal_arm(sink));
	area->words[NR_WORDS] = htole64(1);
	ck_assert_uint_eq(drain(), 0);
	ck_assert(pvio_signal_arm(sink));
	/* The news comes later. */
	area->news[1] = htole64(1);
	ck_assert_uint_eq(drain(), 1);
}
END_TEST

/* H11: it says that it is awake, and hears nothing; nor do we wait for it. */
START_TEST(consumer_that_is_never_armed_is_never_rung)
{
	unsigned int n;

	for (n = 0; n < 1000; n++) {
		area->armed = 0;
		ck_assert_int_ne(pvio_signal_raise(area, NR_WORDS, n % 192, 3),
				 PVIO_RAISED_RING);
	}
}
END_TEST

/* H10, H12: always armed, it is rung at most once for each raise; and what it
 * writes there is no more than 0 or not. */
START_TEST(consumer_that_is_always_armed_is_rung_once_a_raise)
{
	unsigned int n, rung = 0;

	for (n = 0; n < 1000; n++) {
		area->armed = n % 2 ? 0xffffffff : 1;
		area->words[3 * NR_WORDS] = 0;
		if (pvio_signal_raise(area, NR_WORDS, 5, 3) == PVIO_RAISED_RING)
			rung++;
		ck_assert_uint_eq(area->armed, 0);
		/* Untaken, it is not raised again, armed or not. */
		area->armed = 1;
		ck_assert_int_eq(pvio_signal_raise(area, NR_WORDS, 5, 3),
				 PVIO_RAISED_COALESCED);
	}
	ck_assert_uint_eq(rung, 1000);
}
END_TEST

/* H09, H14: everything, at any time. */
static atomic_bool is_over;

static void *scribble(void *arg)
{
	uint64_t *words = (uint64_t *)memory.area;
	uint32_t state = 1;

	(void)arg;
	while (!atomic_load(&is_over)) {
		state = state * 1103515245 + 12345;
		pvio_store_once(
			&words[(state >> 12) % (sizeof(memory.area) / 8)],
			state & 0x800 ? ~UINT64_C(0)
				      : state * UINT64_C(0x100000001));
	}
	return NULL;
}

START_TEST(scribbling_never_gets_a_signal_out_that_is_not_open)
{
	unsigned int n, signal, taken = 0, armed = 0;
	pthread_t thread;

	open_some();
	pvio_signal_mask(sink, 63, true);
	ck_assert_int_eq(pthread_create(&thread, NULL, scribble, NULL), 0);
	for (n = 0; n < 200000 || taken < 1000; n++) {
		/* One call, one answer: none of them stays. */
		if (pvio_signal_next(sink, &signal)) {
			ck_assert(is_open(signal));
			ck_assert_uint_ne(signal, 63);
			taken++;
		} else {
			armed += pvio_signal_arm(sink);
		}
		pvio_signal_raise(area, NR_WORDS, n % 192, n % 8);
		if (n % 1024 == 0)
			pvio_signal_save(sink);
	}
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
	(void)armed;
}
END_TEST

CHECK_MAIN("hostile_signal", setup, teardown,
	   bits_of_signals_that_are_not_open_are_dropped,
	   news_of_words_that_do_not_exist_is_ignored,
	   area_that_contradicts_itself_does_no_harm,
	   consumer_that_is_never_armed_is_never_rung,
	   consumer_that_is_always_armed_is_rung_once_a_raise,
	   scribbling_never_gets_a_signal_out_that_is_not_open)
