/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_queue.c - both rings, device side and driver side together
 *
 * Every test runs for each kind of ring: split and packed, with and without
 * event index, in-order completion and indirect tables.
 */
#include "tests/check_main.h"
#include "tests/rig.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NR_KINDS 16
#define SIZE	 64
#define SEGMENT	 64

static struct rig rig;
static struct guest_segment segment[3 * SIZE];
static bool in_order;

/* The test's loop index is the kind: its bits are GUEST_RING_*. */
static void begin(int kind)
{
	unsigned int i;

	rig_init(&rig, SIZE, (unsigned int)kind);
	in_order = kind & GUEST_RING_IN_ORDER;
	for (i = 0; i < pvio_array_size(segment); i++) {
		ck_assert_ptr_nonnull(guest_alloc(&rig.mem, SEGMENT, 64,
						  &segment[i].gpa));
		segment[i].len = SEGMENT;
	}
}

static void teardown(void)
{
	rig_fini(&rig);
}

/* A cookie for request @n, and back. */
static void *cookie(unsigned long n)
{
	return (void *)(n + 1);
}

static void add(unsigned long n, unsigned int readable, unsigned int writable)
{
	ck_assert_int_eq(guest_ring_add(rig.ring,
					&segment[n * 3 % (3 * SIZE - 3)],
					readable, writable, cookie(n)),
			 0);
}

static struct pvio_chain *pop(unsigned int readable, unsigned int writable)
{
	struct pvio_chain *chain = pvio_vq_pop(rig.vq);

	ck_assert_ptr_nonnull(chain);
	ck_assert_uint_eq(chain->readable, readable * SEGMENT);
	ck_assert_uint_eq(chain->writable, writable * SEGMENT);
	ck_assert_uint_eq(chain->nr_readable, readable);
	ck_assert_uint_eq(chain->nr_writable, writable);
	return chain;
}

static void reap(unsigned long n, uint32_t len)
{
	uint32_t got;

	ck_assert_ptr_eq(guest_ring_reap(rig.ring, &got), cookie(n));
	ck_assert_uint_eq(got, len);
}

static void reap_none(void)
{
	uint32_t len;

	ck_assert(!guest_ring_has_used(rig.ring));
	ck_assert_ptr_null(guest_ring_reap(rig.ring, &len));
	ck_assert(!guest_ring_is_broken(rig.ring));
}

static bool was_notified(void)
{
	uint64_t n;

	return read(rig.call_fd, &n, sizeof(n)) == sizeof(n);
}

START_TEST(request_comes_back_with_its_length)
{
	struct pvio_chain *chain;

	begin(_i);
	add(1, 2, 1);
	ck_assert_ptr_null(pvio_vq_pop(rig.vq));
	guest_ring_publish(rig.ring);
	chain = pop(2, 1);
	ck_assert_uint_eq(rig.vq->nr_in_flight, 1);
	ck_assert_ptr_eq(chain->iov[0].iov_base,
			 (uint8_t *)pvio_mapping_host(rig.mapping[0]) +
				 (segment[3].gpa - RIG_RAM_GPA));
	pvio_vq_push(rig.vq, chain, 17);
	reap_none();
	pvio_vq_flush(rig.vq);
	reap(1, 17);
	reap_none();
	ck_assert_uint_eq(rig.vq->stats.requests, 1);
	ck_assert_uint_eq(rig.vq->stats.completions, 1);
	ck_assert_uint_eq(rig.vq->stats.flushes, 1);
}
END_TEST

START_TEST(answers_in_any_order_are_told_apart)
{
	struct pvio_chain *chain[8];
	unsigned long n;

	begin(_i);
	for (n = 0; n < 8; n++)
		add(n, 1, 1);
	guest_ring_publish(rig.ring);
	for (n = 0; n < 8; n++)
		chain[n] = pop(1, 1);
	for (n = 8; n-- > 0; )
		pvio_vq_push(rig.vq, chain[n], (uint32_t)n + 1);
	pvio_vq_flush(rig.vq);
	for (n = 0; n < 8; n++) {
		unsigned long at = in_order ? n : 7 - n;

		reap(at, (uint32_t)at + 1);
	}
	reap_none();
}
END_TEST

/* (virtio 1.4, 2.7.9 and 2.8.x) */
START_TEST(in_order_waits_for_the_oldest)
{
	struct pvio_chain *a, *b;

	begin(_i);
	add(0, 1, 1);
	add(1, 1, 1);
	guest_ring_publish(rig.ring);
	a = pop(1, 1);
	b = pop(1, 1);
	pvio_vq_push(rig.vq, b, 2);
	pvio_vq_flush(rig.vq);
	if (in_order)
		reap_none();
	else
		reap(1, 2);
	pvio_vq_push(rig.vq, a, 1);
	pvio_vq_flush(rig.vq);
	reap(0, 1);
	if (in_order)
		reap(1, 2);
	reap_none();
	ck_assert_uint_eq(rig.vq->nr_in_flight, 0);
}
END_TEST

/* Requests of changing shape, answered out of order, for longer than any
 * index lasts. */
START_TEST(indices_wrap_and_nothing_is_lost)
{
	struct pvio_chain *held[8];
	unsigned long added = 0, reaped = 0, answered = 0;
	unsigned int nr_held = 0;
	uint32_t len;

	begin(_i);
	while (reaped < 70000) {
		void *got;

		while (guest_ring_add(rig.ring, &segment[added % SIZE],
				      (unsigned int)(added % 3),
				      (unsigned int)(added % 2) + 1,
				      cookie(added)) == 0)
			added++;
		guest_ring_publish(rig.ring);
		while (nr_held < 8 && (held[nr_held] = pvio_vq_pop(rig.vq)))
			nr_held++;
		if (nr_held == 0)
			ck_abort_msg("nothing to pop after %lu", reaped);
		/* The newest first, and now and then all. */
		do {
			struct pvio_chain *chain = held[--nr_held];

			answered++;
			pvio_vq_push(rig.vq, chain, chain->writable);
		} while (nr_held > answered % 8);
		pvio_vq_flush(rig.vq);
		while ((got = guest_ring_reap(rig.ring, &len))) {
			if (len == 0)
				ck_abort_msg("request %lu is empty", reaped);
			reaped++;
		}
	}
	while (nr_held > 0)
		pvio_vq_push(rig.vq, held[--nr_held], 1);
	ck_assert(!guest_ring_is_broken(rig.ring));
	ck_assert_int_eq(rig.vq->state, PVIO_VQ_RUNNING);
	ck_assert_uint_eq(added - reaped,
			  guest_ring_outstanding(rig.ring));
}
END_TEST

START_TEST(full_ring_drains_and_fills_again)
{
	unsigned int round, n;

	begin(_i);
	for (round = 0; round < 5; round++) {
		for (n = 0; n < SIZE; n++)
			add(n, 0, 1);
		ck_assert_int_eq(guest_ring_add(rig.ring, segment, 0, 1,
						cookie(9)),
				 -ENOSPC);
		guest_ring_publish(rig.ring);
		for (n = 0; n < SIZE; n++)
			pvio_vq_push(rig.vq, pop(0, 1), n + 1);
		ck_assert_ptr_null(pvio_vq_pop(rig.vq));
		pvio_vq_flush(rig.vq);
		for (n = 0; n < SIZE; n++)
			reap(n, n + 1);
		reap_none();
	}
}
END_TEST

START_TEST(unpopped_chains_are_popped_again_in_order)
{
	struct pvio_chain *chain[3];
	unsigned int n, round;

	begin(_i);
	for (round = 0; round < SIZE; round++) {
		for (n = 0; n < 3; n++)
			add(n, 1, 1);
		guest_ring_publish(rig.ring);
		for (n = 0; n < 3; n++)
			chain[n] = pop(1, 1);
		for (n = 3; n-- > 0; )
			pvio_vq_unpop(rig.vq, chain[n]);
		ck_assert_uint_eq(rig.vq->nr_in_flight, 0);
		ck_assert(pvio_vq_has_available(rig.vq));
		for (n = 0; n < 3; n++)
			pvio_vq_push(rig.vq, pop(1, 1), n + 1);
		pvio_vq_flush(rig.vq);
		for (n = 0; n < 3; n++)
			reap(n, n + 1);
	}
	ck_assert_uint_eq(rig.vq->stats.requests, 3 * SIZE);
	reap_none();
}
END_TEST

/* One that pop refused in between cannot be un-refused. */
START_TEST(unpop_past_a_refused_chain_answers_instead)
{
	struct guest_segment bad = { RIG_HOLE_GPA, 8 };
	struct pvio_chain *a, *c;

	begin(_i);
	add(0, 1, 1);
	ck_assert_int_eq(guest_ring_add(rig.ring, &bad, 0, 1, cookie(1)), 0);
	add(2, 1, 1);
	guest_ring_publish(rig.ring);
	a = pop(1, 1);
	c = pop(1, 1);
	pvio_vq_unpop(rig.vq, c);
	pvio_vq_unpop(rig.vq, a);
	if (in_order) {
		reap(0, 0);
		reap(1, 0);
	} else {
		reap(1, 0);
		reap(0, 0);
	}
	pvio_vq_push(rig.vq, pop(1, 1), 3);
	pvio_vq_flush(rig.vq);
	reap(2, 3);
	reap_none();
}
END_TEST

/* Mergeable receive buffers: a packet over several chains appears at once. */
START_TEST(batch_is_published_as_a_whole)
{
	unsigned int n;

	begin(_i);
	for (n = 0; n < 10; n++)
		add(n, 0, 1);
	guest_ring_publish(rig.ring);
	for (n = 0; n < 10; n++) {
		pvio_vq_push(rig.vq, pop(0, 1), SEGMENT);
		reap_none();
	}
	pvio_vq_flush(rig.vq);
	for (n = 0; n < 10; n++) {
		ck_assert(guest_ring_has_used(rig.ring));
		reap(n, SEGMENT);
	}
	ck_assert_uint_eq(rig.vq->stats.flushes, 1);
}
END_TEST

START_TEST(position_is_where_a_restart_goes_on)
{
	unsigned int n;

	begin(_i);
	for (n = 0; n < 5 * SIZE / 2; n++) {
		add(n, 0, 1);
		guest_ring_publish(rig.ring);
		/* The queue moves between any two requests. */
		pvio_vq_get_position(rig.vq, &rig.setup.position);
		pvio_vq_stop(rig.vq);
		rig.setup.recover_used = n % 2;
		ck_assert_int_eq(rig_start(&rig), 0);
		pvio_vq_push(rig.vq, pop(0, 1), 8);
		pvio_vq_flush(rig.vq);
		reap(n, 8);
	}
	reap_none();
}
END_TEST

/* A front-end may note where a ring stands while its server still goes on. */
START_TEST(what_was_answered_after_the_position_is_not_popped_again)
{
	unsigned int n;

	begin(_i);
	/* Where a packed ring stands is in the position alone. */
	if (rig.packed)
		return;
	for (n = 0; n < 3; n++)
		add(n, 0, 1);
	guest_ring_publish(rig.ring);
	pvio_vq_push(rig.vq, pop(0, 1), 8);
	pvio_vq_flush(rig.vq);
	pvio_vq_get_position(rig.vq, &rig.setup.position);
	pvio_vq_push(rig.vq, pop(0, 1), 8);
	pvio_vq_flush(rig.vq);
	pvio_vq_stop(rig.vq);
	rig.setup.recover_used = true;
	ck_assert_int_eq(rig_start(&rig), 0);
	pvio_vq_push(rig.vq, pop(0, 1), 8);
	pvio_vq_flush(rig.vq);
	for (n = 0; n < 3; n++)
		reap(n, 8);
	reap_none();
}
END_TEST

START_TEST(kick_is_wanted_when_the_device_asked)
{
	begin(_i);
	ck_assert(!pvio_vq_enable_kick(rig.vq));
	add(0, 0, 1);
	ck_assert(guest_ring_publish(rig.ring));
	/* Chains came before the device could sleep. */
	ck_assert(pvio_vq_enable_kick(rig.vq));
	pvio_vq_disable_kick(rig.vq);
	pvio_vq_push(rig.vq, pop(0, 1), 1);
	add(1, 0, 1);
	ck_assert(!guest_ring_publish(rig.ring));
	pvio_vq_push(rig.vq, pop(0, 1), 1);
	ck_assert(!pvio_vq_enable_kick(rig.vq));
	add(2, 0, 1);
	ck_assert(guest_ring_publish(rig.ring));
}
END_TEST

START_TEST(driver_is_notified_when_it_asked)
{
	begin(_i);
	ck_assert(!guest_ring_enable_notify(rig.ring));
	add(0, 0, 1);
	add(1, 0, 1);
	guest_ring_publish(rig.ring);
	pvio_vq_push(rig.vq, pop(0, 1), 1);
	pvio_vq_flush(rig.vq);
	ck_assert(was_notified());
	guest_ring_disable_notify(rig.ring);
	pvio_vq_push(rig.vq, pop(0, 1), 1);
	pvio_vq_flush(rig.vq);
	ck_assert(!was_notified());
	ck_assert_uint_eq(rig.vq->stats.notifications, 1);
	ck_assert_uint_eq(rig.vq->stats.suppressed, 1);
	/* Used buffers came before the driver could sleep. */
	ck_assert(guest_ring_enable_notify(rig.ring));
	reap(0, 1);
	reap(1, 1);
	ck_assert(!guest_ring_enable_notify(rig.ring));
}
END_TEST

/* A full eventfd is a driver that was told already. */
START_TEST(notification_that_cannot_be_written_is_no_error)
{
	uint64_t most = UINT64_MAX - 1;

	begin(_i);
	ck_assert_int_eq((int)write(rig.call_fd, &most, sizeof(most)), 8);
	add(0, 0, 1);
	guest_ring_publish(rig.ring);
	pvio_vq_push(rig.vq, pop(0, 1), 1);
	pvio_vq_flush(rig.vq);
	reap(0, 1);
}
END_TEST

START_TEST(broken_queue_takes_chains_back_in_silence)
{
	struct pvio_chain *chain;

	begin(_i);
	add(0, 0, 1);
	add(1, 0, 1);
	guest_ring_publish(rig.ring);
	chain = pop(0, 1);
	pvio_vq_break(rig.vq, "for the %s", "test");
	pvio_vq_break(rig.vq, "twice");
	ck_assert_uint_eq(rig_faults(&rig, PVIO_FAULT_RING), 1);
	ck_assert_ptr_null(pvio_vq_pop(rig.vq));
	pvio_vq_push(rig.vq, chain, 1);
	pvio_vq_flush(rig.vq);
	ck_assert_uint_eq(rig.vq->nr_in_flight, 0);
	reap_none();
	ck_assert(!was_notified());
}
END_TEST

START_TEST(sampled_requests_are_in_every_histogram)
{
	struct pvio_vq_stats *stats;
	unsigned int n;

	begin(_i);
	stats = &rig.vq->stats;
	for (n = 0; n < 10 * PVIO_SAMPLE_EVERY; n++) {
		struct pvio_chain *chain;

		add(n % SIZE, 0, 1);
		guest_ring_publish(rig.ring);
		rig.vq->kick_ns = pvio_now_ns();
		chain = pop(0, 1);
		pvio_vq_stamp(rig.vq, chain, PVIO_STAGE_SUBMIT);
		pvio_vq_stamp(rig.vq, chain, PVIO_STAGE_COMPLETE);
		pvio_vq_push(rig.vq, chain, 1);
		pvio_vq_flush(rig.vq);
		reap(n % SIZE, 1);
	}
	for (n = 0; n < PVIO_NR_STAGES; n++)
		ck_assert_uint_eq(stats->stage[n].count, 10);
	ck_assert_uint_ge(stats->stage[PVIO_STAGE_TOTAL].sum_ns,
			  stats->stage[PVIO_STAGE_PUSH].sum_ns);
}
END_TEST

/* --- dirty log ----------------------------------------------------------- */

static bool page_is_dirty(const uint8_t *log, uint64_t gpa)
{
	return log[gpa / 4096 / 8] >> (gpa / 4096 % 8) & 1;
}

/* The front-end takes the mark and copies the page. */
static void collect_page(uint8_t *log, uint64_t gpa)
{
	log[gpa / 4096 / 8] &= (uint8_t)~(1u << (gpa / 4096 % 8));
}

START_TEST(everything_written_is_in_the_dirty_log)
{
	struct pvio_region region[RIG_REGIONS];
	struct pvio_mapping *bitmap;
	struct pvio_map *map;
	uint64_t bytes, gpa;
	uint8_t *log;

	begin(_i);
	bytes = pvio_map_log_bytes(rig.map);
	log = calloc(1, bytes);
	ck_assert_int_eq(pvio_mapping_wrap(log, bytes, &bitmap), 0);
	memcpy(region, rig.map->region, sizeof(region));
	ck_assert_int_eq(pvio_map_create(region, RIG_REGIONS, &map), 0);
	ck_assert_int_eq(pvio_map_set_log(map, bitmap, bytes), 0);
	pvio_vq_stop(rig.vq);
	rig.setup.log_used = true;
	rig.setup.log_gpa = rig.setup.device;
	ck_assert_int_eq(pvio_vq_start(rig.vq, &rig.setup, map, &rig.features),
			 0);

	add(0, 1, 2);
	guest_ring_publish(rig.ring);
	pvio_vq_push(rig.vq, pop(1, 2), 1);
	/* What is collected now is copied before the batch is published. */
	collect_page(log, rig.setup.desc);
	collect_page(log, rig.setup.device);
	pvio_vq_flush(rig.vq);
	ck_assert_int_eq(page_is_dirty(log, rig.setup.desc), rig.packed);
	reap(0, 1);
	pvio_vq_enable_kick(rig.vq);
	/* Written: both writable segments, and our part of the ring ... */
	ck_assert(page_is_dirty(log, segment[1].gpa));
	ck_assert(page_is_dirty(log, segment[2].gpa));
	ck_assert(page_is_dirty(log, rig.setup.device));
	ck_assert_int_eq(page_is_dirty(log, rig.setup.desc), rig.packed);
	/* ... and nothing of what is only read. */
	ck_assert(!page_is_dirty(log, rig.setup.driver));
	for (gpa = RIG_LOW_GPA; gpa < RIG_HOLE_GPA; gpa += 4096)
		ck_assert(!page_is_dirty(log, gpa));

	pvio_vq_stop(rig.vq);
	pvio_map_put(map);
	pvio_mapping_put(bitmap);
	free(log);
}
END_TEST

/* --- two threads --------------------------------------------------------- */

#define STRESS_REQUESTS 20000

static void *device_thread(void *arg)
{
	unsigned long n = 0;

	(void)arg;
	while (n < STRESS_REQUESTS) {
		struct pvio_chain *chain = pvio_vq_pop(rig.vq);
		uint64_t sequence;

		if (!chain) {
			sched_yield();
			continue;
		}
		/* What the driver wrote is all there, and goes back. */
		if (pvio_chain_fetch(chain, 0, &sequence, 8) != 8 ||
		    sequence != n)
			return NULL;
		sequence = ~sequence;
		pvio_chain_put(chain, 0, &sequence, 8);
		pvio_vq_push(rig.vq, chain, 8);
		if (n % 3 == 0 || chain->slot % 2)
			pvio_vq_flush(rig.vq);
		n++;
		if (n % 7 == 0)
			pvio_vq_flush(rig.vq);
	}
	pvio_vq_flush(rig.vq);
	return &rig;
}

/* The sequence numbers go through guest memory; TSan watches the order. */
START_TEST(two_threads_pass_data_in_sequence)
{
	unsigned long added = 0, reaped = 0;
	pthread_t device;
	void *result;

	begin(_i);
	guest_ring_disable_notify(rig.ring);
	ck_assert_int_eq(pthread_create(&device, NULL, device_thread, NULL), 0);
	while (reaped < STRESS_REQUESTS) {
		uint64_t *data;
		uint32_t len;
		void *got;

		while (added < STRESS_REQUESTS && added - reaped < SIZE / 2) {
			unsigned long at = added % (SIZE / 2) * 2;

			data = guest_host(&rig.mem, segment[at].gpa);
			*data = added;
			if (guest_ring_add(rig.ring, &segment[at], 1, 1,
					   cookie(added)) < 0)
				ck_abort_msg("no room for %lu", added);
			added++;
			if (added % 5 == 0)
				guest_ring_publish(rig.ring);
		}
		guest_ring_publish(rig.ring);
		got = guest_ring_reap(rig.ring, &len);
		if (!got) {
			sched_yield();
			continue;
		}
		data = guest_host(&rig.mem,
				  segment[reaped % (SIZE / 2) * 2 + 1].gpa);
		if (got != cookie(reaped) || *data != ~(uint64_t)reaped)
			ck_abort_msg("request %lu is not in sequence", reaped);
		reaped++;
	}
	pthread_join(device, &result);
	ck_assert_ptr_eq(result, &rig);
	reap_none();
}
END_TEST

static void *sleepy_device(void *kick)
{
	const int *fd = kick;
	unsigned long n = 0;
	uint64_t value;

	while (n < STRESS_REQUESTS / 10) {
		struct pvio_chain *chain;

		pvio_vq_disable_kick(rig.vq);
		while ((chain = pvio_vq_pop(rig.vq))) {
			pvio_vq_push(rig.vq, chain, 1);
			n++;
		}
		pvio_vq_flush(rig.vq);
		if (n < STRESS_REQUESTS / 10 && !pvio_vq_enable_kick(rig.vq)) {
			struct pollfd p = { .fd = *fd, .events = POLLIN };

			if (poll(&p, 1, 20000) != 1)
				return NULL; /* a kick was lost */
			(void)!read(*fd, &value, sizeof(value));
		}
	}
	return &rig;
}

/* Both sides sleep whenever they may: a wake-up that is lost ends the test. */
START_TEST(no_kick_and_no_notification_is_lost)
{
	int kick = eventfd(0, EFD_NONBLOCK);
	unsigned long added = 0, reaped = 0;
	pthread_t device;
	void *result;

	begin(_i);
	ck_assert_int_eq(pthread_create(&device, NULL, sleepy_device, &kick),
			 0);
	while (reaped < STRESS_REQUESTS / 10) {
		struct pollfd p = { .fd = rig.call_fd, .events = POLLIN };
		uint64_t one = 1;
		uint32_t len;

		guest_ring_disable_notify(rig.ring);
		while (added < STRESS_REQUESTS / 10 &&
		       added - reaped < added % 7 + 1) {
			add(added % SIZE, 0, 1);
			added++;
		}
		if (guest_ring_publish(rig.ring))
			ck_assert_int_eq((int)write(kick, &one, 8), 8);
		while (guest_ring_reap(rig.ring, &len))
			reaped++;
		if (guest_ring_outstanding(rig.ring) == 0 ||
		    guest_ring_enable_notify(rig.ring))
			continue;
		ck_assert_msg(poll(&p, 1, 20000) == 1,
			      "a notification was lost after %lu", reaped);
		was_notified();
	}
	pthread_join(device, &result);
	ck_assert_ptr_eq(result, &rig);
	close(kick);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		request_comes_back_with_its_length,
		answers_in_any_order_are_told_apart,
		in_order_waits_for_the_oldest,
		indices_wrap_and_nothing_is_lost,
		full_ring_drains_and_fills_again,
		unpopped_chains_are_popped_again_in_order,
		unpop_past_a_refused_chain_answers_instead,
		batch_is_published_as_a_whole,
		position_is_where_a_restart_goes_on,
		what_was_answered_after_the_position_is_not_popped_again,
		kick_is_wanted_when_the_device_asked,
		driver_is_notified_when_it_asked,
		notification_that_cannot_be_written_is_no_error,
		broken_queue_takes_chains_back_in_silence,
		sampled_requests_are_in_every_histogram,
		everything_written_is_in_the_dirty_log,
		two_threads_pass_data_in_sequence,
		no_kick_and_no_notification_is_lost,
	};
	Suite *suite = suite_create("queue");
	TCase *tcase = tcase_create("every kind of ring");
	size_t i;

	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, NULL, teardown);
	for (i = 0; i < pvio_array_size(tests); i++)
		tcase_add_loop_test(tcase, tests[i], 0, NR_KINDS);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
