/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_signal.c - the signal queue: nothing lost, order, fairness, sleep
 */
#include "tests/check_main.h"

#include "core/signal.h"

#include <errno.h>
#include <string.h>

#define NR_WORDS   4
#define NR_SIGNALS (NR_WORDS * 64)
#define NONE       (-1)

static union {
	struct pvio_signal_area area;
	uint8_t bytes[sizeof(struct pvio_signal_area) +
		      8 * PVIO_SIGNAL_LEVELS * NR_WORDS];
} shared __attribute__((aligned(PVIO_SIGNAL_ALIGN)));
static struct pvio_signal_sink *sink;

static void sink_open_all(struct pvio_signal_sink *s)
{
	unsigned int i;

	for (i = 0; i < NR_SIGNALS; i++)
		pvio_signal_open(s, i);
}

static void setup(void)
{
	memset(&shared, 0, sizeof(shared));
	ck_assert_uint_eq(sizeof(shared), pvio_signal_bytes(NR_WORDS));
	ck_assert_int_eq(pvio_signal_sink_create(&shared, NR_WORDS, &sink), 0);
	sink_open_all(sink);
	ck_assert(!pvio_signal_next(sink, &(unsigned int){ 0 }));
}

static void teardown(void)
{
	pvio_signal_sink_destroy(sink);
	pvio_signal_sink_destroy(NULL);
}

static enum pvio_raised raise_at(unsigned int signal, unsigned int level)
{
	return pvio_signal_raise(&shared.area, NR_WORDS, signal, level);
}

static int next(void)
{
	unsigned int signal;

	return pvio_signal_next(sink, &signal) ? (int)signal : NONE;
}

static struct pvio_signal_counters counted(void)
{
	struct pvio_signal_counters counters;

	pvio_signal_count(sink, &counters);
	return counters;
}

/* --- nothing lost, nothing twice ------------------------------------------ */

START_TEST(raised_signal_is_taken_once)
{
	ck_assert_int_eq(next(), NONE);
	ck_assert_int_eq(raise_at(130, 2), PVIO_RAISED_QUIET);
	ck_assert(pvio_signal_has_next(sink));
	ck_assert_int_eq(next(), 130);
	ck_assert_int_eq(next(), NONE);
	ck_assert(!pvio_signal_has_next(sink));
	/* Raised after it was taken it is there again. */
	ck_assert_int_eq(raise_at(130, 2), PVIO_RAISED_QUIET);
	ck_assert_int_eq(next(), 130);
	ck_assert_uint_eq(counted().taken, 2);
}
END_TEST

START_TEST(signal_raised_again_before_it_is_taken_is_one)
{
	ck_assert_int_eq(raise_at(7, 0), PVIO_RAISED_QUIET);
	ck_assert_int_eq(raise_at(7, 0), PVIO_RAISED_COALESCED);
	ck_assert_int_eq(raise_at(7, 0), PVIO_RAISED_COALESCED);
	ck_assert_int_eq(next(), 7);
	ck_assert_int_eq(next(), NONE);
}
END_TEST

/* Its capacity is the number of signals: all of them, on all levels. */
START_TEST(queue_is_never_full)
{
	unsigned int seen[NR_SIGNALS] = { 0 }, i, l, round;
	int signal;

	for (round = 0; round < 2; round++)
		for (l = 0; l < PVIO_SIGNAL_LEVELS; l++)
			for (i = 0; i < NR_SIGNALS; i++)
				raise_at(i, l);
	while ((signal = next()) != NONE)
		seen[signal]++;
	for (i = 0; i < NR_SIGNALS; i++)
		ck_assert_uint_eq(seen[i], PVIO_SIGNAL_LEVELS);
}
END_TEST

/* Between its two stores a producer can be stopped for good. */
START_TEST(producer_stopped_halfway_loses_nothing)
{
	struct pvio_signal_sink *second;
	unsigned int signal;

	shared.area.words[2 * NR_WORDS + 1] = htole64(UINT64_C(1) << 5);
	/* The next one who raises it does what is left to do. */
	while (next() != NONE)
		;
	shared.area.words[2 * NR_WORDS + 1] = htole64(UINT64_C(1) << 5);
	ck_assert_int_eq(next(), NONE);
	ck_assert_int_eq(raise_at(64 + 5, 2), PVIO_RAISED_QUIET);
	ck_assert_int_eq(next(), 64 + 5);

	/* And who begins with the area finds it without the news. */
	shared.area.words[3 * NR_WORDS + 1] = htole64(UINT64_C(1) << 6);
	ck_assert_int_eq(pvio_signal_sink_create(&shared, NR_WORDS, &second),
			 0);
	sink_open_all(second);
	ck_assert(pvio_signal_next(second, &signal));
	ck_assert_uint_eq(signal, 64 + 6);
	pvio_signal_sink_destroy(second);
}
END_TEST

/* --- order ----------------------------------------------------------------- */

START_TEST(lower_level_number_goes_first)
{
	unsigned int l;

	for (l = PVIO_SIGNAL_LEVELS; l-- > 0;)
		raise_at(10 * l, l);
	for (l = 0; l < PVIO_SIGNAL_LEVELS; l++) {
		ck_assert_int_eq(next(), (int)(10 * l));
		/* What is urgent overtakes what waits. */
		raise_at(200, 0);
		ck_assert_int_eq(next(), 200);
	}
	ck_assert_int_eq(next(), NONE);
}
END_TEST

/* However busy the levels before it are. */
START_TEST(low_level_is_served_within_the_stated_bound)
{
	unsigned int served = 0, since[PVIO_SIGNAL_LEVELS] = { 0 }, l;
	int signal;

	for (; served < 100000; served++) {
		/* Every level always has something. */
		for (l = 0; l < PVIO_SIGNAL_LEVELS; l++)
			raise_at(l, l);
		signal = next();
		ck_assert_int_ne(signal, NONE);
		for (l = 0; l < PVIO_SIGNAL_LEVELS; l++) {
			since[l] = (int)l == signal ? 0 : since[l] + 1;
			ck_assert_uint_le(since[l],
					  (PVIO_SIGNAL_STREAK + 1) *
						  (PVIO_SIGNAL_LEVELS - 1));
		}
	}
	ck_assert_uint_lt(since[0], PVIO_SIGNAL_LEVELS);
}
END_TEST

/* A signal that was pending when another was served comes before that again. */
START_TEST(between_two_of_a_signal_comes_every_other_that_waits)
{
	bool is_pending[NR_SIGNALS] = { false };
	/* Those that were pending when signal i was served last. */
	static bool owed[NR_SIGNALS][NR_SIGNALS];
	unsigned int i, j, n, served = 0;
	int signal;

	memset(owed, 0, sizeof(owed));
	srand(1);
	for (n = 0; n < 60000 || served < 10000; n++) {
		if (rand() % 3) {
			/* Few signals in one word, and some in others. */
			i = rand() % 4 ? rand() % 8 : rand() % NR_SIGNALS;
			raise_at(i, 3);
			is_pending[i] = true;
			continue;
		}
		signal = next();
		if (signal == NONE)
			continue;
		served++;
		ck_assert(is_pending[signal]);
		is_pending[signal] = false;
		for (j = 0; j < NR_SIGNALS; j++) {
			if (owed[signal][j])
				ck_abort_msg("%d again, and %u waits", signal,
					     j);
			owed[j][signal] = false;
		}
		memcpy(owed[signal], is_pending, sizeof(is_pending));
	}
}
END_TEST

/* --- sleep ------------------------------------------------------------------ */

START_TEST(consumer_that_sleeps_is_rung_once)
{
	ck_assert(pvio_signal_arm(sink));
	ck_assert_int_eq(raise_at(1, 5), PVIO_RAISED_RING);
	/* It is being woken. */
	ck_assert_int_eq(raise_at(2, 0), PVIO_RAISED_QUIET);
	ck_assert_int_eq(raise_at(1, 5), PVIO_RAISED_COALESCED);
	ck_assert_int_eq(next(), 2);
	ck_assert_int_eq(next(), 1);
	ck_assert_int_eq(next(), NONE);
	ck_assert(pvio_signal_arm(sink));
	ck_assert_int_eq(raise_at(1, 5), PVIO_RAISED_RING);
}
END_TEST

START_TEST(consumer_that_is_awake_is_not_rung)
{
	ck_assert(pvio_signal_arm(sink));
	pvio_signal_disarm(sink);
	ck_assert_int_eq(raise_at(1, 0), PVIO_RAISED_QUIET);
}
END_TEST

START_TEST(consumer_does_not_sleep_over_news)
{
	raise_at(1, 7);
	ck_assert(!pvio_signal_arm(sink));
	ck_assert_uint_eq(counted().saved, 1);
	/* Nobody rings for what it has been told of. */
	ck_assert_int_eq(raise_at(2, 7), PVIO_RAISED_QUIET);
	ck_assert_int_eq(next(), 1);
	/* Nor over what it has taken out of the area and not served. */
	ck_assert(!pvio_signal_arm(sink));
	ck_assert_int_eq(next(), 2);
	ck_assert_int_eq(next(), NONE);
	ck_assert(pvio_signal_arm(sink));
	ck_assert_uint_eq(counted().armed, 1);
}
END_TEST

/* --- masks, closing, moving ------------------------------------------------- */

START_TEST(masked_signal_is_kept_and_lets_the_consumer_sleep)
{
	pvio_signal_mask(sink, 9, true);
	raise_at(9, 1);
	raise_at(10, 1);
	ck_assert_int_eq(next(), 10);
	ck_assert_int_eq(next(), NONE);
	ck_assert(pvio_signal_arm(sink));
	pvio_signal_mask(sink, 9, false);
	ck_assert(!pvio_signal_arm(sink));
	ck_assert_int_eq(next(), 9);
	/* Masked twice it is unmasked by once; nothing was pending. */
	pvio_signal_mask(sink, 9, true);
	pvio_signal_mask(sink, 9, true);
	pvio_signal_mask(sink, 9, false);
	ck_assert_int_eq(next(), NONE);
}
END_TEST

START_TEST(closed_signal_is_dropped_and_counted)
{
	/* Taken with another, and then closed. */
	raise_at(20, 0);
	raise_at(21, 0);
	ck_assert_int_eq(next(), 20);
	pvio_signal_close(sink, 21);
	ck_assert_int_eq(next(), NONE);
	/* Raised by who has not heard of it. */
	raise_at(21, 4);
	ck_assert_int_eq(next(), NONE);
	ck_assert_uint_eq(counted().unknown, 1);
	pvio_signal_open(sink, 21);
	ck_assert_int_eq(next(), NONE);
	raise_at(21, 4);
	ck_assert_int_eq(next(), 21);
}
END_TEST

START_TEST(closing_unmasks)
{
	pvio_signal_mask(sink, 3, true);
	raise_at(3, 0);
	ck_assert_int_eq(next(), NONE);
	pvio_signal_close(sink, 3);
	pvio_signal_open(sink, 3);
	ck_assert_int_eq(next(), NONE);
	raise_at(3, 0);
	ck_assert_int_eq(next(), 3);
}
END_TEST

/* To another level while one is under way: it comes by both. */
START_TEST(signal_moved_in_flight_is_not_lost)
{
	raise_at(50, 6);
	raise_at(51, 1);
	ck_assert_int_eq(next(), 51);
	raise_at(50, 1);
	ck_assert_int_eq(next(), 50);
	ck_assert_int_eq(next(), 50);
	ck_assert_int_eq(next(), NONE);
}
END_TEST

/* --- state ------------------------------------------------------------------ */

START_TEST(saved_area_is_all_the_state)
{
	unsigned int seen[NR_SIGNALS] = { 0 }, i;
	int signal;

	for (i = 0; i < NR_SIGNALS; i++)
		raise_at(i, i % PVIO_SIGNAL_LEVELS);
	pvio_signal_mask(sink, 77, true);
	for (i = 0; i < NR_SIGNALS / 2; i++)
		seen[next()]++;
	pvio_signal_save(sink);
	pvio_signal_sink_destroy(sink);

	/* Somewhere else, with a copy of the memory. */
	ck_assert_int_eq(pvio_signal_sink_create(&shared, NR_WORDS, &sink), 0);
	sink_open_all(sink);
	while ((signal = next()) != NONE)
		seen[signal]++;
	for (i = 0; i < NR_SIGNALS; i++)
		ck_assert_uint_eq(seen[i], 1);
}
END_TEST

/* A save that nobody takes up, since the move was called off. */
START_TEST(consumer_goes_on_after_saving)
{
	raise_at(5, 0);
	raise_at(6, 0);
	ck_assert_int_eq(next(), 5);
	pvio_signal_save(sink);
	ck_assert_int_eq(next(), 6);
	ck_assert_int_eq(next(), NONE);
	ck_assert(pvio_signal_arm(sink));
}
END_TEST

START_TEST(area_of_wrong_size_or_place_is_refused)
{
	struct pvio_signal_sink *none = NULL;

	ck_assert_int_eq(pvio_signal_sink_create(&shared, 0, &none), -EINVAL);
	ck_assert_int_eq(pvio_signal_sink_create(&shared, 65, &none), -EINVAL);
	ck_assert_int_eq(pvio_signal_sink_create(shared.bytes + 8, 1, &none),
			 -EINVAL);
	ck_assert_ptr_null(none);
}
END_TEST

CHECK_MAIN("signal", setup, teardown, raised_signal_is_taken_once,
	   signal_raised_again_before_it_is_taken_is_one, queue_is_never_full,
	   producer_stopped_halfway_loses_nothing,
	   lower_level_number_goes_first,
	   low_level_is_served_within_the_stated_bound,
	   between_two_of_a_signal_comes_every_other_that_waits,
	   consumer_that_sleeps_is_rung_once,
	   consumer_that_is_awake_is_not_rung,
	   consumer_does_not_sleep_over_news,
	   masked_signal_is_kept_and_lets_the_consumer_sleep,
	   closed_signal_is_dropped_and_counted, closing_unmasks,
	   signal_moved_in_flight_is_not_lost, saved_area_is_all_the_state,
	   consumer_goes_on_after_saving,
	   area_of_wrong_size_or_place_is_refused)
