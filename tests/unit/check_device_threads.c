/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_device_threads.c - a device whose queues are served by threads of
 * their own, while control changes everything under them
 */
#include "tests/check_main.h"
#include "tests/device/rig.h"

#include "core/worker.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <unistd.h>

#define ROUNDS	     2000
#define RESETS	     50
#define MAPS	     100

/* A driver's thread: echoes on one queue, and waits on its eventfd only. */
struct driver {
	pthread_t thread;
	unsigned int q;
	struct guest_segment seg[2];
	uint32_t *out, *in;
	unsigned int wrong;
	bool done;
};

static void driver_open(struct driver *d, unsigned int q)
{
	memset(d, 0, sizeof(*d));
	d->q = q;
	d->out = guest_alloc(&rig.mem, 4, 64, &d->seg[0].gpa);
	d->in = guest_alloc(&rig.mem, 4, 64, &d->seg[1].gpa);
	ck_assert_ptr_nonnull(d->in);
	d->seg[0].len = d->seg[1].len = 4;
}

static void driver_wait(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t count;

	if (poll(&p, 1, RIG_WAIT_MS) > 0 && read(fd, &count, 8) < 0)
		return; /* it was for what we have reaped already */
}

static void *driver_run(void *arg)
{
	struct driver *d = arg;
	struct guest_ring *ring = guest_device_ring(rig.gd, d->q);
	int fd = guest_device_notify_fd(rig.gd, d->q);
	uint32_t i, len;

	for (i = 1; i <= ROUNDS; i++) {
		*d->out = i;
		*d->in = 0;
		if (guest_ring_add(ring, d->seg, 1, 1, d) < 0)
			break;
		if (guest_ring_publish(ring))
			guest_device_kick(rig.gd, d->q);
		while (!guest_ring_reap(ring, &len)) {
			if (!guest_ring_enable_notify(ring))
				driver_wait(fd);
		}
		d->wrong += len != 4 || *d->in != i;
	}
	d->wrong += i != ROUNDS + 1;
	pvio_store_release(&d->done, true);
	return NULL;
}

static void drivers_start(struct driver d[PROBE_QUEUES])
{
	unsigned int q;

	for (q = 0; q < PROBE_QUEUES; q++) {
		driver_open(&d[q], q);
		ck_assert_int_eq(pthread_create(&d[q].thread, NULL, driver_run,
						&d[q]),
				 0);
	}
}

static bool drivers_are_done(struct driver d[PROBE_QUEUES])
{
	unsigned int q;

	for (q = 0; q < PROBE_QUEUES; q++) {
		if (!pvio_load_acquire(&d[q].done))
			return false;
	}
	return true;
}

static void drivers_join(struct driver d[PROBE_QUEUES])
{
	unsigned int q;

	for (q = 0; q < PROBE_QUEUES; q++) {
		pthread_join(d[q].thread, NULL);
		ck_assert_uint_eq(d[q].wrong, 0);
		ck_assert_uint_eq(probe.queue[q].served, ROUNDS);
	}
}

START_TEST(queues_are_served_side_by_side)
{
	struct driver d[PROBE_QUEUES];

	ck_assert_ptr_ne(pvio_device_vq(rig.dev, 0)->worker,
			 pvio_device_vq(rig.dev, 1)->worker);
	rig_run(0);
	drivers_start(d);
	drivers_join(d);
}
END_TEST

START_TEST(memory_polling_and_stats_change_under_load)
{
	static uint8_t extra[4096] __attribute__((aligned(4096)));
	struct driver d[PROBE_QUEUES];
	unsigned int i;

	rig_run(PVIO_BIT(VIRTIO_RING_F_EVENT_IDX));
	drivers_start(d);
	for (i = 0; i < MAPS || !drivers_are_done(d); i++) {
		char *json;

		ck_assert_int_eq(pvio_loopback_add_memory(rig.lb, RIG_GPA_2,
							  sizeof(extra), extra),
				 0);
		pvio_worker_set_poll(rig.workers[i % 2], i % 3 ? 0 : 50);
		ck_assert_int_eq(pvio_device_stats(rig.dev, true, &json), 0);
		free(json);
		ck_assert_int_eq(pvio_loopback_remove_memory(rig.lb, RIG_GPA_2),
				 0);
	}
	drivers_join(d);
}
END_TEST

static bool kicker_stops;

static void *kicker_run(void *arg)
{
	unsigned int q = 0;

	(void)arg;
	/* Queues that do not exist, too (V22). */
	while (!pvio_load_once(&kicker_stops))
		pvio_loopback_kick(rig.lb, q++ % (PROBE_QUEUES + 3));
	return NULL;
}

START_TEST(resets_under_a_storm_of_kicks)
{
	pthread_t thread;
	unsigned int i;

	pvio_store_once(&kicker_stops, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, kicker_run, NULL), 0);
	for (i = 0; i < RESETS; i++) {
		guest_alloc_reset(&rig.mem);
		rig_alloc_buffer();
		rig_run(i % 2 ? PVIO_BIT(VIRTIO_F_RING_PACKED) : 0);
		rig_echo(i % PROBE_QUEUES);
		pvio_loopback_set_status(rig.lb, 0);
		ck_assert_uint_eq(probe.in_callback, 0);
	}
	pvio_store_once(&kicker_stops, true);
	pthread_join(thread, NULL);
	for (i = 0; i < PROBE_QUEUES; i++) {
		ck_assert_uint_eq(probe.queue[i].starts, RESETS);
		ck_assert_uint_eq(probe.queue[i].idles, RESETS);
	}
}
END_TEST

START_TEST(when_stop_returns_no_callback_runs_on_any_thread)
{
	pthread_t thread;
	unsigned int i, kicks[PROBE_QUEUES];

	rig_run(0);
	pvio_store_once(&kicker_stops, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, kicker_run, NULL), 0);
	rig_echo(0);
	rig_echo(1);
	pvio_device_stop(rig.dev);
	ck_assert_uint_eq(pvio_load_acquire(&probe.in_callback), 0);
	for (i = 0; i < PROBE_QUEUES; i++)
		kicks[i] = pvio_load_acquire(&probe.queue[i].kicks);
	/* The storm goes on, and reaches nobody. */
	ck_assert_int_eq(pvio_device_start(rig.dev), 0);
	pvio_device_stop(rig.dev);
	for (i = 0; i < PROBE_QUEUES; i++)
		ck_assert_uint_eq(pvio_load_acquire(&probe.queue[i].kicks),
				  kicks[i]);
	pvio_store_once(&kicker_stops, true);
	pthread_join(thread, NULL);
}
END_TEST

/* Publish until the device does or does not want a kick, as @want says. */
static void publish_until(unsigned int q, bool want)
{
	struct guest_ring *ring = guest_device_ring(rig.gd, q);
	uint64_t end = pvio_now_ns() + RIG_WAIT_MS * 1000000ULL;
	bool wanted;
	uint32_t len;

	do {
		ck_assert_uint_lt(pvio_now_ns(), end);
		ck_assert_int_eq(guest_ring_add(ring, rig.seg, 1, 1, rig.seg),
				 0);
		wanted = guest_ring_publish(ring);
		if (wanted)
			guest_device_kick(rig.gd, q);
		while (!guest_ring_reap(ring, &len))
			ck_assert_uint_lt(pvio_now_ns(), end);
		/* Time for it to fall asleep, should it want to. */
		pvio_worker_wait(rig.control, 1);
	} while (wanted != want);
}

START_TEST(polling_can_be_switched_on_and_off_live)
{
	rig_run(0);
	publish_until(0, true);
	/* A worker that polls finds what nobody kicked for ... */
	pvio_worker_set_poll(rig.workers[0], UINT_MAX);
	publish_until(0, false);
	publish_until(0, false);
	/* ... and when it ceases, it asks for kicks again. */
	pvio_worker_set_poll(rig.workers[0], 0);
	publish_until(0, true);
	publish_until(0, true);
}
END_TEST

/* From the worker's thread to control, and back to service. */
START_TEST(a_ring_that_breaks_needs_a_reset_and_gets_one)
{
	uint16_t *avail;
	unsigned int i;

	for (i = 0; i < 10; i++) {
		uint64_t end = pvio_now_ns() + RIG_WAIT_MS * 1000000ULL;

		rig_run(0);
		avail = guest_ring_raw_driver(guest_device_ring(rig.gd, 1));
		pvio_store_once(&avail[1], htole16(RIG_RING_SIZE + 1));
		guest_device_kick(rig.gd, 1);
		while (!guest_device_is_broken(rig.gd))
			ck_assert_uint_lt(pvio_now_ns(), end);
		ck_assert_uint_ge(guest_device_config_changes(rig.gd), i + 1);
		rig_run(0);
		rig_echo(1);
		rig_echo(0);
		guest_alloc_reset(&rig.mem);
		rig_alloc_buffer();
	}
}
END_TEST

START_TEST(requests_in_flight_hold_a_reset_back)
{
	struct rig_done done = { 0 };

	rig_run(0);
	pvio_store_once(&probe.hold, true);
	rig_submit(2);
	while (pvio_load_acquire(&probe.queue[2].kicks) < 2 &&
	       pvio_load_once(&pvio_device_vq(rig.dev, 2)->stats.requests) == 0)
		sched_yield();
	pvio_device_reset(rig.dev, rig_note_done, &done);
	rig_step();
	ck_assert(!done.done);
	ck_assert_uint_ne(pvio_device_status(rig.dev), 0);
	rig_release(2);
	rig_wait(&done.done);
	ck_assert_uint_eq(pvio_device_status(rig.dev), 0);
	pvio_store_once(&probe.hold, false);
	rig_run(0);
	rig_echo(2);
}
END_TEST

/* --- calls from threads -------------------------------------------------- */

#define CALLERS 4
#define CALLS   200

static void *call_over_and_over(void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < CALLS; i++) {
		if (pvio_device_pause(rig.dev) < 0)
			return "pause";
		pvio_device_resume(rig.dev);
	}
	return NULL;
}

START_TEST(threads_pause_and_resume_a_device_that_serves)
{
	pthread_t caller[CALLERS];
	struct guest_ring *ring;
	uint32_t len;
	unsigned int i;
	void *failed;

	rig_run(0);
	ck_assert_int_eq(pvio_worker_start(rig.control), 0);
	for (i = 0; i < CALLERS; i++)
		pthread_create(&caller[i], NULL, call_over_and_over, NULL);
	ring = guest_device_ring(rig.gd, 1);
	for (i = 0; i < 500; i++) {
		ck_assert_int_eq(guest_ring_add(ring, rig.seg, 1, 1, &len), 0);
		guest_ring_publish(ring);
		guest_device_kick(rig.gd, 1);
		while (!guest_ring_reap(ring, &len))
			sched_yield();
		ck_assert_uint_eq(len, RIG_BUFFER_BYTES);
	}
	for (i = 0; i < CALLERS; i++) {
		pthread_join(caller[i], &failed);
		ck_assert_ptr_null(failed);
	}
	pvio_worker_stop(rig.control);
	rig_echo(0);
}
END_TEST

CHECK_MAIN("device-threads", rig_setup_threads, rig_teardown,
	   queues_are_served_side_by_side,
	   memory_polling_and_stats_change_under_load,
	   resets_under_a_storm_of_kicks,
	   when_stop_returns_no_callback_runs_on_any_thread,
	   polling_can_be_switched_on_and_off_live,
	   a_ring_that_breaks_needs_a_reset_and_gets_one,
	   requests_in_flight_hold_a_reset_back,
	   threads_pause_and_resume_a_device_that_serves)
