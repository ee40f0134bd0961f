/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_signal_threads.c - the signal queue with threads on both sides
 *
 * Each producer has numbers of its own, which it counts up, one signal each,
 * and raises; all share some others.  The consumer reads a number when it has
 * taken its signal, and sleeps when there is none: in the end it must have seen
 * the last of each, and never wait for somebody who does not ring.
 */
#include "tests/check_main.h"

#include "core/signal.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NR_PRODUCERS 4
#define NR_OWN       24 /* numbers of a producer */
#define FIRST_SHARED (NR_PRODUCERS * NR_OWN)
#define NR_SHARED    3
#define NR_SIGNALS   (FIRST_SHARED + NR_SHARED)
#define NR_WORDS     2
#define RAISES       20000 /* of a producer */
#define LOST_MS      20000 /* nobody rings any more */

static union {
	struct pvio_signal_area area;
	uint8_t bytes[sizeof(struct pvio_signal_area) +
		      8 * PVIO_SIGNAL_LEVELS * NR_WORDS];
} shared __attribute__((aligned(PVIO_SIGNAL_ALIGN)));
/* Plain: only the queue orders them.  The shared ones are atomic. */
static uint64_t number[NR_SIGNALS], seen[NR_SIGNALS];
static int doorbell;
static unsigned int nr_producers;
static uint64_t raised[3]; /* by outcome; atomic */

static void raise_one(unsigned int signal, unsigned int level)
{
	static const uint64_t one = 1;
	enum pvio_raised r = pvio_signal_raise(&shared.area, NR_WORDS, signal,
					       level);

	__atomic_fetch_add(&raised[r], 1, __ATOMIC_RELAXED);
	if (r == PVIO_RAISED_RING)
		ck_assert_int_eq(write(doorbell, &one, 8), 8);
}

static void *produce(void *arg)
{
	unsigned int me = (unsigned int)(uintptr_t)arg, n, i;
	unsigned int state = me + 1;

	for (n = 0; n < RAISES; n++) {
		state = state * 1103515245 + 12345;
		i = me * NR_OWN + (state >> 16) % NR_OWN;
		pvio_store_once(&number[i], number[i] + 1);
		raise_one(i, i % PVIO_SIGNAL_LEVELS);
		i = FIRST_SHARED + (state >> 8) % NR_SHARED;
		__atomic_fetch_add(&number[i], 1, __ATOMIC_RELAXED);
		raise_one(i, i % PVIO_SIGNAL_LEVELS);
		/* So that the consumer comes to sleep now and then. */
		if (state >> 24 == 0)
			sched_yield();
	}
	return NULL;
}

static bool seen_all(void)
{
	unsigned int i;
	uint64_t sum[2] = { 0, 0 };

	for (i = 0; i < NR_SIGNALS; i++)
		sum[i >= FIRST_SHARED] += seen[i];
	return sum[0] == (uint64_t)nr_producers * RAISES &&
	       sum[1] == (uint64_t)nr_producers * RAISES;
}

/* Returns false when it waited in vain. */
static bool consume(struct pvio_signal_sink *sink)
{
	struct pollfd fd = { .fd = doorbell, .events = POLLIN };
	unsigned int signal;
	uint64_t count;

	for (;;) {
		while (pvio_signal_next(sink, &signal)) {
			uint64_t now = pvio_load_once(&number[signal]);

			ck_assert_uint_ge(now, seen[signal]);
			seen[signal] = now;
		}
		if (seen_all())
			return true;
		if (!pvio_signal_arm(sink))
			continue;
		if (poll(&fd, 1, LOST_MS) != 1)
			return false;
		ck_assert_int_eq(read(doorbell, &count, 8), 8);
	}
}

/* With one producer, and with more than there are processors. */
START_TEST(nothing_is_lost_between_threads)
{
	pthread_t thread[NR_PRODUCERS];
	struct pvio_signal_counters counters;
	struct pvio_signal_sink *sink;
	unsigned int i;

	nr_producers = _i == 0 ? 1 : NR_PRODUCERS;
	doorbell = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_ge(doorbell, 0);
	ck_assert_int_eq(pvio_signal_sink_create(&shared, NR_WORDS, &sink), 0);
	for (i = 0; i < NR_SIGNALS; i++)
		pvio_signal_open(sink, i);
	for (i = 0; i < nr_producers; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, produce,
						(void *)(uintptr_t)i),
				 0);
	ck_assert_msg(consume(sink), "nobody rang");
	for (i = 0; i < nr_producers; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < NR_SIGNALS; i++)
		ck_assert_uint_eq(seen[i], number[i]);

	/* Every sleep was ended by one ring, but for the last. */
	pvio_signal_count(sink, &counters);
	ck_assert_uint_le(raised[PVIO_RAISED_RING],
			  counters.armed + counters.saved);
	ck_assert_uint_ge(raised[PVIO_RAISED_RING] + 1, counters.armed);
	ck_assert_uint_eq(counters.unknown, 0);
	pvio_signal_sink_destroy(sink);
	close(doorbell);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("signal_threads");
	TCase *tcase = tcase_create("signal_threads");

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_loop_test(tcase, nothing_is_lost_between_threads, 0, 2);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
