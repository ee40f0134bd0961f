/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_device.c - what a driver or front-end can do wrong above the rings:
 * queue set-up, kicks, memory; and what follows when a device breaks
 *
 * The ids are those of the catalogue of hostile input.  Each case ends with a
 * good request: whatever was tried, the device serves (after a reset, where
 * only that helps).
 */
#include "tests/check_main.h"
#include "tests/device/rig.h"

#include "core/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define ACK	    VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER	    VIRTIO_CONFIG_S_DRIVER
#define DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET

static const uint64_t version_1[2] = { PVIO_BIT(VIRTIO_F_VERSION_1), 0 };

static struct pvio_loopback_queue good_setup(void)
{
	return (struct pvio_loopback_queue){ .size = 16,
					     .desc = RIG_GPA + 0x8000,
					     .driver = RIG_GPA + 0x9000,
					     .device = RIG_GPA + 0xa000,
					     .call_fd = -1,
					     .kick_fd = -1 };
}

static int start_with(struct pvio_loopback_queue setup)
{
	return pvio_loopback_start_queue(rig.lb, 0, &setup);
}

/* --- queue set-up -------------------------------------------------------- */

/* V01 */
START_TEST(queue_sizes_that_cannot_be_are_refused)
{
	static const uint16_t bad[] = { 0, 3, 17, 65, 128, 0x8000, 0xffff };
	struct pvio_loopback_queue setup = good_setup();
	size_t i;

	ck_assert_int_eq(guest_device_negotiate(rig.gd, version_1), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setup.size = bad[i];
		ck_assert_int_eq(start_with(setup), -EINVAL);
		ck_assert(!pvio_device_vq_is_running(rig.dev, 0));
	}
	rig_expect_service();
}
END_TEST

/* V02 */
START_TEST(a_running_queue_is_frozen)
{
	struct pvio_loopback_queue setup = good_setup();
	struct rig_done done = { 0 };

	rig_run(0);
	ck_assert_int_eq(start_with(setup), -EBUSY);
	setup.desc = 0;
	ck_assert_int_eq(start_with(setup), -EBUSY);
	/* Nor may a transport that does not look. */
	pvio_device_vq_start(rig.dev, 0, &pvio_device_vq(rig.dev, 1)->setup,
			     rig_note_done, &done);
	ck_assert_int_eq(done.rc, -EINVAL);
	rig_echo(0);
}
END_TEST

/* V03, V22 */
START_TEST(queues_that_do_not_exist_are_nowhere)
{
	static const unsigned int bad[] = { PROBE_QUEUES, 255, 65536,
					    0x80000000u, UINT32_MAX };
	struct pvio_loopback_queue setup = good_setup();
	struct rig_done done = { 0 };
	size_t i;

	rig_run(0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_uint_eq(pvio_loopback_queue_max(rig.lb, bad[i]), 0);
		ck_assert_int_eq(pvio_loopback_start_queue(rig.lb, bad[i],
							   &setup),
				 -EINVAL);
		ck_assert_int_eq(pvio_loopback_stop_queue(rig.lb, bad[i]),
				 -EINVAL);
		pvio_loopback_kick(rig.lb, bad[i]);
		pvio_device_vq_enable(rig.dev, bad[i], true, rig_note_done,
				      &done);
		ck_assert_int_eq(done.rc, -EINVAL);
		ck_assert(!pvio_device_vq_is_running(rig.dev, bad[i]));
		ck_assert_ptr_null(pvio_device_vq(rig.dev, bad[i]));
	}
	rig_echo(0);
}
END_TEST

/* V04 */
START_TEST(rings_outside_memory_or_misaligned_do_not_start)
{
	static const uint64_t outside[] = { 0,
					    RIG_GPA - 16,
					    RIG_GPA + RIG_BYTES - 16,
					    RIG_GPA + RIG_BYTES,
					    0x7ffffffffffffff0,
					    0xfffffffffffffff0 };
	struct pvio_loopback_queue setup;
	size_t i;
	unsigned int area;

	ck_assert_int_eq(guest_device_negotiate(rig.gd, version_1), 0);
	for (i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		for (area = 0; area < 3; area++) {
			setup = good_setup();
			(&setup.desc)[area] = outside[i];
			ck_assert_int_eq(start_with(setup), -EFAULT);
		}
	}
	setup = good_setup();
	setup.desc += 8;
	ck_assert_int_eq(start_with(setup), -EINVAL);
	setup = good_setup();
	setup.driver += 1;
	ck_assert_int_eq(start_with(setup), -EINVAL);
	setup = good_setup();
	setup.device += 2;
	ck_assert_int_eq(start_with(setup), -EINVAL);
	rig_expect_service();
}
END_TEST

/* V16 */
START_TEST(queues_are_reset_twice_and_in_mid_request)
{
	struct pvio_loopback_queue setup;
	struct rig_done first = { 0 }, second = { 0 };

	rig_run(0);
	probe.hold = true;
	rig_submit(0);
	rig_step();
	pvio_device_vq_stop(rig.dev, 0, NULL, rig_note_done, &first);
	pvio_device_vq_stop(rig.dev, 0, NULL, rig_note_done, &second);
	ck_assert_int_eq(second.rc, -EBUSY);
	ck_assert(!first.done);
	probe.hold = false;
	rig_release(0);
	rig_step();
	ck_assert(first.done);
	ck_assert_int_eq(pvio_loopback_stop_queue(rig.lb, 0), 0);
	ck_assert_int_eq(pvio_loopback_stop_queue(rig.lb, 0), 0);
	setup = good_setup();
	memset(guest_host(&rig.mem, setup.desc), 0, 0x3000);
	ck_assert_int_eq(start_with(setup), 0);
	rig_echo(1);
	rig_expect_service();
}
END_TEST

/* --- kicks --------------------------------------------------------------- */

/* V13 */
START_TEST(a_kick_before_driver_ok_consumes_nothing_and_is_remembered)
{
	ck_assert_int_eq(guest_device_negotiate(rig.gd, version_1), 0);
	ck_assert_int_eq(guest_device_setup_queue(rig.gd, 0, 16), 0);
	ck_assert_int_eq(rig.gd->ops->start_queue(rig.gd, 0), 0);
	rig_submit(0);
	ck_assert(!rig_is_used(0));
	ck_assert_uint_eq(probe.queue[0].kicks, 0);
	pvio_loopback_set_status(rig.lb,
				 ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	ck_assert(rig_is_used(0));
}
END_TEST

/* U: what a front-end may pass for a kick or call eventfd. */
START_TEST(descriptors_that_are_no_eventfds_are_refused)
{
	int fds[8], pair[2], pipes[2];
	unsigned int i, before = rig_count_fds(), n = 0;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(pipe(pipes), 0);
	fds[n++] = pair[0];
	fds[n++] = pair[1];
	fds[n++] = open("/dev/zero", O_RDWR);
	fds[n++] = open("/proc/self/exe", O_RDONLY);
	fds[n++] = epoll_create1(0);
	fds[n++] = timerfd_create(CLOCK_MONOTONIC, 0);
	fds[n++] = pipes[0];
	fds[n++] = pipes[1];

	rig_run(0);
	for (i = 0; i < n; i++) {
		struct rig_done done = { 0 };

		ck_assert_int_ge(fds[i], 0);
		pvio_device_vq_set_kick_fd(rig.dev, 0, fds[i], rig_note_done,
					   &done);
		ck_assert_int_eq(done.rc, -EINVAL);
		done.rc = 0;
		/* A pipe is for call. */
		if (fds[i] != pipes[0] && fds[i] != pipes[1])
			pvio_device_vq_set_call_fd(rig.dev, 0, fds[i],
						   rig_note_done, &done);
		else
			done.rc = -EINVAL;
		ck_assert_int_eq(done.rc, -EINVAL);
		/* Refused, it is still ours to close. */
		ck_assert_int_eq(close(fds[i]), 0);
	}
	rig_echo(0);
	/* What is new is the driver's two a queue, and the device's one. */
	ck_assert_uint_eq(rig_count_fds(), before + 3 * PROBE_QUEUES);
}
END_TEST

/* A peer that keeps its end of the eventfd changes its flags and its count. */
START_TEST(an_eventfd_in_hostile_hands_neither_blocks_nor_spins)
{
	int fd = eventfd(0, 0), call = eventfd(0, 0);
	struct rig_done done = { 0 };
	uint64_t most = UINT64_MAX - 1;
	unsigned int i;

	rig_run(0);
	pvio_device_vq_set_kick_fd(rig.dev, 0, dup(fd), rig_note_done, &done);
	ck_assert_int_eq(done.rc, 0);
	/* Blocking, and full: nothing of it makes us read. */
	fcntl(fd, F_SETFL, 0);
	ck_assert_int_eq(write(fd, &most, 8), 8);
	rig_step();
	for (i = 0; i < 100; i++)
		ck_assert(!pvio_worker_step(rig.control));
	/* A call counter that is full when we notify. */
	pvio_device_vq_set_call_fd(rig.dev, 0, dup(call), rig_note_done, &done);
	ck_assert_int_eq(done.rc, 0);
	ck_assert_int_eq(write(call, &most, 8), 8);
	rig_submit(0);
	ck_assert(rig_is_used(0));
	close(fd);
	close(call);
	rig_echo(1);
}
END_TEST

/* --- breaking ------------------------------------------------------------ */

/* RESETREQ: all queues fall silent, the driver is told, once. */
START_TEST(a_broken_queue_silences_the_device_until_reset)
{
	uint16_t *avail;

	rig_run(0);
	rig_echo(0);
	avail = guest_ring_raw_driver(guest_device_ring(rig.gd, 1));
	avail[1] = htole16(1000);
	pvio_loopback_kick(rig.lb, 1);
	rig_step();
	ck_assert(pvio_loopback_get_status(rig.lb) & NEEDS_RESET);
	ck_assert_uint_eq(guest_device_config_changes(rig.gd), 1);
	ck_assert_uint_eq(pvio_device_vq(rig.dev, 1)->stats.faults
				  [PVIO_FAULT_RING],
			  1);
	/* The good queue, too, touches nothing. */
	rig_submit(0);
	ck_assert(!rig_is_used(0));
	ck_assert_uint_eq(rig.in[0], 0);
	/* Nor does another kick say it again. */
	pvio_loopback_kick(rig.lb, 1);
	rig_step();
	ck_assert_uint_eq(guest_device_config_changes(rig.gd), 1);
	rig_expect_service();
}
END_TEST

/* Also those whose turn comes before control has heard of it. */
START_TEST(a_broken_queue_silences_those_after_it_in_the_same_turn)
{
	uint16_t *avail;

	rig_run(0);
	rig_step();
	avail = guest_ring_raw_driver(guest_device_ring(rig.gd, 1));
	avail[1] = htole16(1000);
	pvio_loopback_kick(rig.lb, 1);
	rig_submit(2);
	ck_assert(!rig_is_used(2));
	ck_assert_uint_eq(probe.queue[2].served, 0);
	rig_expect_service();
}
END_TEST

START_TEST(the_driver_is_told_once_and_only_when_it_listens)
{
	pvio_device_break(rig.dev, "a test wants it");
	rig_step();
	ck_assert(pvio_loopback_get_status(rig.lb) & NEEDS_RESET);
	ck_assert_uint_eq(guest_device_config_changes(rig.gd), 0);
	rig_run(0);
	pvio_device_break(rig.dev, "a test wants it");
	rig_step();
	pvio_device_break(rig.dev, "and wants it again");
	rig_step();
	ck_assert_uint_eq(guest_device_config_changes(rig.gd), 1);
	rig_expect_service();
}
END_TEST

/* Requests that a backend has when the device breaks. */
START_TEST(requests_in_flight_of_a_broken_device_end_in_silence)
{
	uint16_t *avail, used;

	rig_run(0);
	probe.hold = true;
	rig_submit(0);
	ck_assert(!rig_is_used(0));
	avail = guest_ring_raw_driver(guest_device_ring(rig.gd, 1));
	avail[1] = htole16(1000);
	pvio_loopback_kick(rig.lb, 1);
	rig_step();
	ck_assert(pvio_loopback_get_status(rig.lb) & NEEDS_RESET);
	memcpy(&used,
	       (uint8_t *)guest_ring_raw_device(guest_device_ring(rig.gd, 0)) +
		       2,
	       2);
	ck_assert_uint_eq(used, 0);
	probe.hold = false;
	rig_release(0);
	ck_assert(!rig_is_used(0));
	rig_expect_service();
}
END_TEST

/* Memory that held a ring is taken away. */
START_TEST(a_ring_whose_memory_goes_away_breaks_the_device)
{
	rig_run(0);
	ck_assert_int_eq(pvio_loopback_remove_memory(rig.lb, RIG_GPA), 0);
	rig_step();
	ck_assert(pvio_loopback_get_status(rig.lb) & NEEDS_RESET);
	rig_submit(0);
	rig_step();
	ck_assert_uint_eq(probe.queue[0].served, 0);
	/* It can still be stopped, and reset, and served from new memory. */
	ck_assert_int_eq(pvio_loopback_stop_queue(rig.lb, 0), 0);
	ck_assert_uint_eq(rig_write_status(0), 0);
	ck_assert_int_eq(pvio_loopback_add_memory(rig.lb, RIG_GPA, RIG_BYTES,
						  rig.mem.region[0].host),
			 0);
	rig_expect_service();
}
END_TEST

/* Front-ends without a status register reset by stopping every ring. */
START_TEST(stopping_the_last_queue_mends_where_there_is_no_status)
{
	struct pvio_loopback_queue setup = good_setup();
	uint16_t *avail = guest_host(&rig.mem, setup.driver);

	ck_assert_int_eq(pvio_loopback_set_features(rig.lb, version_1), 0);
	memset(guest_host(&rig.mem, setup.desc), 0, 0x3000);
	avail[1] = htole16(1000);
	ck_assert_int_eq(start_with(setup), 0);
	rig_step();
	ck_assert_uint_eq(pvio_loopback_get_status(rig.lb), NEEDS_RESET);
	ck_assert_int_eq(pvio_loopback_stop_queue(rig.lb, 0), 0);
	ck_assert_uint_eq(pvio_loopback_get_status(rig.lb), 0);
	rig_expect_service();
}
END_TEST

START_TEST(memory_ranges_that_cannot_be_are_refused)
{
	static uint8_t byte[8192];

	ck_assert_int_eq(pvio_loopback_add_memory(rig.lb, 0, 0, byte), -EINVAL);
	ck_assert_int_eq(pvio_loopback_add_memory(rig.lb, UINT64_MAX - 10, 4096,
						  byte),
			 -EINVAL);
	ck_assert_int_eq(pvio_loopback_add_memory(rig.lb, RIG_GPA + 4096, 4096,
						  byte),
			 -EEXIST);
	ck_assert_int_eq(pvio_loopback_remove_memory(rig.lb, 0xdead), -EINVAL);
	rig_expect_service();
}
END_TEST

CHECK_MAIN("hostile-device", rig_setup, rig_teardown,
	   queue_sizes_that_cannot_be_are_refused,
	   a_running_queue_is_frozen,
	   queues_that_do_not_exist_are_nowhere,
	   rings_outside_memory_or_misaligned_do_not_start,
	   queues_are_reset_twice_and_in_mid_request,
	   a_kick_before_driver_ok_consumes_nothing_and_is_remembered,
	   descriptors_that_are_no_eventfds_are_refused,
	   an_eventfd_in_hostile_hands_neither_blocks_nor_spins,
	   a_broken_queue_silences_the_device_until_reset,
	   a_broken_queue_silences_those_after_it_in_the_same_turn,
	   the_driver_is_told_once_and_only_when_it_listens,
	   requests_in_flight_of_a_broken_device_end_in_silence,
	   a_ring_whose_memory_goes_away_breaks_the_device,
	   stopping_the_last_queue_mends_where_there_is_no_status,
	   memory_ranges_that_cannot_be_are_refused)
