/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_device_quiet.c - a device that keeps quiet: paused by its VMM, or
 * suspended by its driver (virtio 1.4, 2.1)
 */
#include "tests/check_main.h"
#include "tests/device/rig.h"

#include "core/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#define STATUS_RUNS                                                        \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |            \
	 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)
#define STATUS_SUSPENDED                                                \
	((STATUS_RUNS & ~VIRTIO_CONFIG_S_DRIVER_OK) | VIRTIO_CONFIG_S_SUSPEND)

static const uint64_t suspend_bit = PVIO_BIT(VIRTIO_F_SUSPEND);

static void rig_reap(unsigned int q)
{
	uint32_t len;

	ck_assert_ptr_nonnull(
		guest_ring_reap(guest_device_ring(rig.gd, q), &len));
}

/* --- pause ---------------------------------------------------------------- */

START_TEST(a_paused_device_serves_nothing_until_it_is_resumed)
{
	rig_run(0);
	rig_echo(0);
	ck_assert_int_eq(pvio_device_pause(rig.dev), 0);
	rig_submit(0);
	ck_assert(!rig_is_used(0));
	pvio_device_resume(rig.dev);
	ck_assert(rig_is_used(0));
	rig_reap(0);
	rig_echo(PROBE_QUEUES - 1);
}
END_TEST

/* Lets the held chain go while the main thread waits in the call under test. */
static void *release_later(void *arg)
{
	struct pvio_vq *vq = pvio_device_vq(rig.dev, 0);
	struct pvio_task *task = arg;

	while (pvio_load_acquire(&probe.queue[0].stops) == 0)
		sched_yield();
	pvio_worker_post(vq->worker, task);
	return NULL;
}

static void on_release(struct pvio_task *task)
{
	(void)task;
	probe_release(pvio_device_vq(rig.dev, 0));
}

START_TEST(pause_waits_for_what_is_in_flight)
{
	struct pvio_task task = { .fn = on_release };
	pthread_t thread;

	rig_run(0);
	pvio_store_once(&probe.hold, true);
	rig_submit(0);
	rig_step();
	ck_assert_uint_eq(probe.queue[0].nr_held, 1);
	pthread_create(&thread, NULL, release_later, &task);
	ck_assert_int_eq(pvio_device_pause(rig.dev), 0);
	pthread_join(thread, NULL);
	/* It was answered before pause returned. */
	ck_assert(guest_ring_has_used(guest_device_ring(rig.gd, 0)));
	rig_reap(0);
	pvio_store_once(&probe.hold, false);
	pvio_device_resume(rig.dev);
	rig_echo(0);
}
END_TEST

START_TEST(pausing_twice_is_pausing_once)
{
	rig_run(0);
	ck_assert_int_eq(pvio_device_pause(rig.dev), 0);
	ck_assert_int_eq(pvio_device_pause(rig.dev), 0);
	pvio_device_resume(rig.dev);
	rig_echo(0);
	pvio_device_resume(rig.dev);
	rig_echo(0);
}
END_TEST

START_TEST(a_device_paused_before_its_driver_came_waits_for_both)
{
	ck_assert_int_eq(pvio_device_pause(rig.dev), 0);
	rig_run(0);
	rig_submit(1);
	ck_assert(!rig_is_used(1));
	pvio_device_resume(rig.dev);
	ck_assert(rig_is_used(1));
}
END_TEST

START_TEST(a_paused_device_can_be_reset)
{
	rig_run(0);
	ck_assert_int_eq(pvio_device_pause(rig.dev), 0);
	ck_assert_uint_eq(rig_write_status(0), 0);
	guest_alloc_reset(&rig.mem);
	rig_alloc_buffer();
	rig_run(0);
	rig_submit(0);
	ck_assert(!rig_is_used(0));
	pvio_device_resume(rig.dev);
	ck_assert(rig_is_used(0));
}
END_TEST

START_TEST(a_paused_device_takes_new_memory)
{
	static uint8_t more[4096] __attribute__((aligned(4096)));

	rig_run(0);
	ck_assert_int_eq(pvio_device_pause(rig.dev), 0);
	ck_assert_int_eq(pvio_loopback_add_memory(rig.lb, RIG_GPA_2,
						  sizeof(more), more),
			 0);
	rig_submit(0);
	ck_assert(!rig_is_used(0));
	pvio_device_resume(rig.dev);
	ck_assert(rig_is_used(0));
	ck_assert_int_eq(pvio_loopback_remove_memory(rig.lb, RIG_GPA_2), 0);
}
END_TEST

/* A second reason, and new memory, while the first still drains. */
START_TEST(reasons_to_be_quiet_may_overlap_with_all_else)
{
	struct rig_done quiet[2] = { 0 }, moved = { 0 };

	rig_run(0);
	pvio_store_once(&probe.hold, true);
	rig_submit(0);
	rig_step();
	pvio_device_quiesce(rig.dev, PVIO_QUIET_HOST, rig_note_done, &quiet[0]);
	pvio_device_set_memory(rig.dev, pvio_map_get(pvio_device_map(rig.dev)),
			       rig_note_done, &moved);
	pvio_device_quiesce(rig.dev, PVIO_QUIET_TRANSPORT, rig_note_done,
			    &quiet[1]);
	rig_step();
	ck_assert(!moved.done && !quiet[0].done && !quiet[1].done);
	pvio_store_once(&probe.hold, false);
	rig_release(0);
	rig_wait(&quiet[1].done);
	rig_wait(&moved.done);
	ck_assert(quiet[0].done);
	ck_assert_int_eq(quiet[0].rc | quiet[1].rc | moved.rc, 0);
	rig_reap(0);
	/* Both reasons have to go. */
	rig_submit(0);
	pvio_device_unquiesce(rig.dev, PVIO_QUIET_HOST);
	ck_assert(!rig_is_used(0));
	pvio_device_unquiesce(rig.dev, PVIO_QUIET_TRANSPORT);
	ck_assert(rig_is_used(0));
}
END_TEST

START_TEST(quiet_and_new_memory_wait_for_a_reset)
{
	struct rig_done reset = { 0 }, quiet = { 0 }, moved = { 0 };

	rig_run(0);
	pvio_store_once(&probe.hold, true);
	rig_submit(0);
	rig_step();
	pvio_device_reset(rig.dev, rig_note_done, &reset);
	pvio_device_quiesce(rig.dev, PVIO_QUIET_HOST, rig_note_done, &quiet);
	pvio_device_set_memory(rig.dev, pvio_map_get(pvio_device_map(rig.dev)),
			       rig_note_done, &moved);
	rig_step();
	ck_assert(!reset.done && !quiet.done && !moved.done);
	pvio_store_once(&probe.hold, false);
	rig_release(0);
	rig_wait(&quiet.done);
	rig_wait(&moved.done);
	ck_assert(reset.done && moved.rc == 0);
	pvio_device_unquiesce(rig.dev, PVIO_QUIET_HOST);
	rig_expect_service();
}
END_TEST

/* What was submitted twice while it slept is served once each, in order. */
START_TEST(a_queue_goes_on_where_it_stood)
{
	unsigned int i;

	rig_run(PVIO_BIT(VIRTIO_F_RING_PACKED) |
		PVIO_BIT(VIRTIO_RING_F_EVENT_IDX));
	for (i = 0; i < 3 * RIG_RING_SIZE; i++) {
		ck_assert_int_eq(pvio_device_pause(rig.dev), 0);
		rig_submit(2);
		ck_assert(!rig_is_used(2));
		pvio_device_resume(rig.dev);
		ck_assert(rig_is_used(2));
		rig_reap(2);
	}
	ck_assert_uint_eq(probe.queue[2].served, 3 * RIG_RING_SIZE);
}
END_TEST

/* (virtio 1.4, 2.1.2): not before DRIVER_OK. */
START_TEST(a_queue_that_may_not_serve_does_not_write_its_ring)
{
	const uint64_t bits[2] = { PVIO_BIT(VIRTIO_RING_F_EVENT_IDX), 0 };
	struct pvio_loopback_queue queue = { .size = RIG_RING_SIZE,
					     .call_fd = -1, .kick_fd = -1 };
	struct guest_ring *ring;
	uint8_t *used, before[64];

	ck_assert_int_eq(guest_device_negotiate(rig.gd, bits), 0);
	ck_assert_int_eq(guest_device_setup_queue(rig.gd, 0, RIG_RING_SIZE), 0);
	ring = guest_device_ring(rig.gd, 0);
	used = guest_ring_raw_device(ring);
	memset(used + 4, 0x5a, RIG_RING_SIZE * 8 + 2);
	memcpy(before, used, sizeof(before));
	queue.desc = guest_ring_desc(ring);
	queue.driver = guest_ring_driver(ring);
	queue.device = guest_ring_device(ring);
	ck_assert_int_eq(pvio_loopback_start_queue(rig.lb, 0, &queue), 0);
	pvio_loopback_kick(rig.lb, 0);
	rig_step();
	ck_assert_mem_eq(used, before, sizeof(before));
	/* ... nor avail_event, behind the used ring. */
	ck_assert_uint_eq(used[4 + RIG_RING_SIZE * 8], 0x5a);
	ck_assert_uint_eq(used[5 + RIG_RING_SIZE * 8], 0x5a);
}
END_TEST

/* --- suspend -------------------------------------------------------------- */

START_TEST(a_driver_suspends_and_resumes)
{
	rig_run(suspend_bit);
	rig_echo(0);
	rig_write_status(STATUS_RUNS | VIRTIO_CONFIG_S_SUSPEND);
	rig_step();
	ck_assert_uint_eq(pvio_loopback_get_status(rig.lb), STATUS_SUSPENDED);
	rig_submit(0);
	ck_assert(!rig_is_used(0));
	ck_assert_uint_eq(rig_write_status(STATUS_RUNS), STATUS_RUNS);
	ck_assert(rig_is_used(0));
}
END_TEST

START_TEST(suspend_shows_when_all_is_finished)
{
	rig_run(suspend_bit);
	pvio_store_once(&probe.hold, true);
	rig_submit(0);
	rig_step();
	rig_write_status(STATUS_RUNS | VIRTIO_CONFIG_S_SUSPEND);
	rig_step();
	ck_assert_uint_eq(pvio_loopback_get_status(rig.lb), STATUS_RUNS);
	rig_release(0);
	rig_step();
	ck_assert_uint_eq(pvio_loopback_get_status(rig.lb), STATUS_SUSPENDED);
	ck_assert(guest_ring_has_used(guest_device_ring(rig.gd, 0)));
	/* The driver was notified before it could see SUSPEND. */
	ck_assert_int_eq(guest_device_wait(rig.gd, 0, 0), 1);
}
END_TEST

START_TEST(what_changes_during_a_suspend_is_told_after_it)
{
	uint32_t le = htole32(7);
	char answer[64];

	rig_run(suspend_bit);
	rig_write_status(STATUS_RUNS | VIRTIO_CONFIG_S_SUSPEND);
	rig_step();
	ck_assert_int_eq(pvio_device_command(rig.dev, "poke", "", answer, 64),
			 0);
	ck_assert_uint_eq(guest_device_config_changes(rig.gd), 0);
	/* Configuration is not to be written now. */
	ck_assert_int_eq(guest_device_write_config(rig.gd, 4, &le, 4), -EINVAL);
	ck_assert_uint_eq(probe.config.writable, 0);
	rig_write_status(STATUS_RUNS);
	ck_assert_uint_eq(guest_device_config_changes(rig.gd), 1);
	ck_assert_int_eq(guest_device_write_config(rig.gd, 4, &le, 4), 0);
}
END_TEST

START_TEST(suspend_is_ignored_where_it_makes_no_sense)
{
	rig_run(0); /* the feature was not negotiated */
	rig_write_status(STATUS_RUNS | VIRTIO_CONFIG_S_SUSPEND);
	rig_step();
	ck_assert_uint_eq(pvio_loopback_get_status(rig.lb), STATUS_RUNS);
	rig_echo(0);

	/* Before DRIVER_OK, and from the first write on. */
	rig_write_status(0);
	ck_assert_uint_eq(rig_write_status(VIRTIO_CONFIG_S_ACKNOWLEDGE |
					   VIRTIO_CONFIG_S_SUSPEND),
			  VIRTIO_CONFIG_S_ACKNOWLEDGE);
	rig_write_status(0);
	rig_expect_service();
}
END_TEST

START_TEST(a_suspended_device_can_be_reset)
{
	rig_run(suspend_bit);
	rig_write_status(STATUS_RUNS | VIRTIO_CONFIG_S_SUSPEND);
	rig_step();
	ck_assert_uint_eq(rig_write_status(0), 0);
	rig_expect_service();
}
END_TEST

START_TEST(a_reset_overtakes_a_suspend)
{
	struct rig_done reset = { 0 };

	rig_run(suspend_bit);
	pvio_store_once(&probe.hold, true);
	rig_submit(0);
	rig_step();
	rig_write_status(STATUS_RUNS | VIRTIO_CONFIG_S_SUSPEND);
	pvio_device_set_status(rig.dev, 0, rig_note_done, &reset);
	rig_step();
	ck_assert(!reset.done);
	pvio_store_once(&probe.hold, false);
	rig_release(0);
	rig_wait(&reset.done);
	ck_assert_uint_eq(pvio_loopback_get_status(rig.lb), 0);
	rig_expect_service();
}
END_TEST

START_TEST(a_device_that_breaks_does_not_suspend)
{
	rig_run(suspend_bit);
	pvio_store_once(&probe.hold, true);
	rig_submit(0);
	rig_step();
	rig_write_status(STATUS_RUNS | VIRTIO_CONFIG_S_SUSPEND);
	pvio_device_break(rig.dev, "the test says so");
	rig_release(0);
	rig_step();
	ck_assert_uint_eq(pvio_loopback_get_status(rig.lb),
			  STATUS_RUNS | VIRTIO_CONFIG_S_NEEDS_RESET);
	pvio_store_once(&probe.hold, false);
	ck_assert_uint_eq(rig_write_status(0), 0);
	rig_expect_service();
}
END_TEST

CHECK_MAIN("device-quiet", rig_setup, rig_teardown,
	   a_paused_device_serves_nothing_until_it_is_resumed,
	   pause_waits_for_what_is_in_flight,
	   pausing_twice_is_pausing_once,
	   a_device_paused_before_its_driver_came_waits_for_both,
	   a_paused_device_can_be_reset,
	   a_paused_device_takes_new_memory,
	   reasons_to_be_quiet_may_overlap_with_all_else,
	   quiet_and_new_memory_wait_for_a_reset,
	   a_queue_goes_on_where_it_stood,
	   a_queue_that_may_not_serve_does_not_write_its_ring,
	   a_driver_suspends_and_resumes,
	   suspend_shows_when_all_is_finished,
	   what_changes_during_a_suspend_is_told_after_it,
	   suspend_is_ignored_where_it_makes_no_sense,
	   a_suspended_device_can_be_reset,
	   a_reset_overtakes_a_suspend,
	   a_device_that_breaks_does_not_suspend)
