/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_device_kick.c - how a queue hears of chains, and its driver of answers
 */
#include "tests/check_main.h"
#include "tests/device/rig.h"

#include "core/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void set_kick_fd(unsigned int q, int fd, int want)
{
	struct rig_done done = { 0 };

	pvio_device_vq_set_kick_fd(rig.dev, q, fd, rig_note_done, &done);
	rig_wait(&done.done);
	ck_assert_int_eq(done.rc, want);
}

static void set_call_fd(unsigned int q, int fd, int want)
{
	struct rig_done done = { 0 };

	pvio_device_vq_set_call_fd(rig.dev, q, fd, rig_note_done, &done);
	rig_wait(&done.done);
	ck_assert_int_eq(done.rc, want);
}

/* Make a buffer available without telling the device. */
static void submit_silently(unsigned int q)
{
	struct guest_ring *ring = guest_device_ring(rig.gd, q);

	ck_assert_int_eq(guest_ring_add(ring, rig.seg, 1, 1, rig.seg), 0);
	guest_ring_publish(ring);
}

START_TEST(the_kick_eventfd_wakes_the_queue_each_time)
{
	int fd = eventfd(0, EFD_NONBLOCK), own = dup(fd);
	uint64_t one = 1;
	unsigned int i;

	rig_run(0);
	set_kick_fd(0, own, 0);
	rig_step();
	for (i = 0; i < 3; i++) {
		submit_silently(0);
		ck_assert(!rig_is_used(0));
		ck_assert_int_eq(write(fd, &one, 8), 8);
		ck_assert(rig_is_used(0));
		guest_ring_reap(guest_device_ring(rig.gd, 0),
				&(uint32_t){ 0 });
	}
	close(fd);
}
END_TEST

START_TEST(a_kick_before_the_queue_starts_is_not_lost)
{
	int fd = eventfd(1, EFD_NONBLOCK);

	set_kick_fd(0, fd, 0);
	rig_run(0);
	rig_step();
	ck_assert_uint_ge(probe.queue[0].kicks, 1);
	/* Nor does an eventfd that stays readable keep the worker busy. */
	ck_assert(!pvio_worker_step(rig.control));
}
END_TEST

/* QEMU would take what is left in it for a kick that it has to serve. */
START_TEST(a_queue_that_stops_takes_its_kicks_back)
{
	int fd = eventfd(0, 0), own = dup(fd);
	struct rig_done done = { 0 };
	uint64_t one = 1;

	rig_run(0);
	set_kick_fd(0, own, 0);
	ck_assert_int_eq(write(fd, &one, 8), 8);
	rig_step();

	pvio_device_vq_stop(rig.dev, 0, NULL, rig_note_done, &done);
	rig_wait(&done.done);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(read(fd, &one, 8), -1);
	ck_assert_int_eq(errno, EAGAIN);
	close(fd);
}
END_TEST

START_TEST(a_stopped_queue_does_not_hear_its_kick_eventfd)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct rig_done done = { 0 };
	uint64_t one = 1;

	rig_run(0);
	set_kick_fd(0, dup(fd), 0);
	rig_step();
	pvio_device_vq_stop(rig.dev, 0, NULL, rig_note_done, &done);
	rig_step();
	ck_assert(done.done);
	ck_assert_int_eq(write(fd, &one, 8), 8);
	ck_assert(!pvio_worker_step(rig.control));
	close(fd);
}
END_TEST

START_TEST(the_call_fd_may_be_a_pipe)
{
	int fds[2];
	uint64_t one;

	ck_assert_int_eq(pipe(fds), 0);
	rig_run(0);
	set_call_fd(0, fds[1], 0);
	submit_silently(0);
	guest_device_kick(rig.gd, 0);
	ck_assert(rig_is_used(0));
	ck_assert_int_eq(read(fds[0], &one, 8), 8);
	/* The reader leaves, and nobody gets SIGPIPE. */
	close(fds[0]);
	submit_silently(0);
	guest_device_kick(rig.gd, 0);
	rig_step();
	ck_assert_uint_eq(probe.queue[0].served, 2);
}
END_TEST

CHECK_MAIN("device-kick", rig_setup, rig_teardown,
	   the_kick_eventfd_wakes_the_queue_each_time,
	   a_kick_before_the_queue_starts_is_not_lost,
	   a_queue_that_stops_takes_its_kicks_back,
	   a_stopped_queue_does_not_hear_its_kick_eventfd,
	   the_call_fd_may_be_a_pipe)
