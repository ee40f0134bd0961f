/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_loopback.c - the calls of pvio/loopback.h, as a program makes them
 */
#include "tests/check_main.h"
#include "tests/device/rig.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static unsigned int notified[PROBE_QUEUES], config_changes;

static void on_notify(void *arg, unsigned int queue)
{
	ck_assert_ptr_eq(arg, &rig);
	notified[queue]++;
}

static void on_config(void *arg)
{
	ck_assert_ptr_eq(arg, &rig);
	config_changes++;
}

/* Start queue @q of the driver's with these fds instead of its own. */
static int start_with_fds(unsigned int q, int call_fd, int kick_fd)
{
	struct guest_ring *ring = guest_device_ring(rig.gd, q);
	struct pvio_loopback_queue setup = {
		.size = guest_ring_size(ring),
		.desc = guest_ring_desc(ring),
		.driver = guest_ring_driver(ring),
		.device = guest_ring_device(ring),
		.call_fd = call_fd,
		.kick_fd = kick_fd,
	};

	return pvio_loopback_start_queue(rig.lb, q, &setup);
}

static void negotiate(void)
{
	const uint64_t none[2] = { 0 };
	unsigned int q;

	memset(notified, 0, sizeof(notified));
	config_changes = 0;
	ck_assert_int_eq(guest_device_negotiate(rig.gd, none), 0);
	for (q = 0; q < PROBE_QUEUES; q++)
		ck_assert_int_eq(guest_device_setup_queue(rig.gd, q, 16), 0);
}

static void driver_ok(void)
{
	pvio_loopback_set_status(rig.lb,
				 pvio_loopback_get_status(rig.lb) |
					 VIRTIO_CONFIG_S_DRIVER_OK);
}

START_TEST(a_device_with_another_transport_has_no_loopback)
{
	struct pvio_device *dev;

	ck_assert_int_eq(pvio_device_create(
				 "other",
				 "model = \"probe\"; transport = {"
				 "type = \"vhost-user\"; socket = \"/none\"; };",
				 rig.control, &rig.control, 1, &dev),
			 0);
	ck_assert_ptr_null(pvio_loopback_of(dev));
	pvio_device_destroy(dev);
}
END_TEST

START_TEST(without_a_call_fd_the_callback_is_called)
{
	negotiate();
	pvio_loopback_set_callbacks(rig.lb, on_notify, on_config, &rig);
	ck_assert_int_eq(start_with_fds(2, -1, -1), 0);
	driver_ok();
	rig_submit(2);
	ck_assert(rig_is_used(2));
	ck_assert_uint_eq(notified[2], 1);
	ck_assert_uint_eq(notified[0] + notified[1] + notified[3], 0);
}
END_TEST

START_TEST(configuration_changes_reach_the_callback)
{
	char answer[8];

	negotiate();
	pvio_loopback_set_callbacks(rig.lb, on_notify, on_config, &rig);
	driver_ok();
	pvio_device_command(rig.dev, "poke", "", answer, sizeof(answer));
	ck_assert_uint_eq(config_changes, 1);
	/* No callbacks is allowed, too. */
	pvio_loopback_set_callbacks(rig.lb, NULL, NULL, NULL);
	pvio_device_command(rig.dev, "poke", "", answer, sizeof(answer));
	ck_assert_uint_eq(config_changes, 1);
}
END_TEST

START_TEST(eventfds_are_borrowed_until_the_queue_stops)
{
	int call = eventfd(0, EFD_NONBLOCK), kick = eventfd(0, EFD_NONBLOCK);
	uint64_t one = 1;
	unsigned int fds = rig_count_fds();

	negotiate();
	fds = rig_count_fds();
	ck_assert_int_eq(start_with_fds(0, call, kick), 0);
	driver_ok();
	rig_step();
	ck_assert_int_eq(guest_ring_add(guest_device_ring(rig.gd, 0), rig.seg,
					1, 1, rig.seg),
			 0);
	guest_ring_publish(guest_device_ring(rig.gd, 0));
	ck_assert_int_eq(write(kick, &one, 8), 8);
	ck_assert(rig_is_used(0));
	ck_assert_int_eq(read(call, &one, 8), 8);
	ck_assert_uint_eq(one, 1);

	ck_assert_int_eq(pvio_loopback_stop_queue(rig.lb, 0), 0);
	ck_assert_uint_eq(rig_count_fds(), fds);
	ck_assert_int_eq(close(call), 0);
	ck_assert_int_eq(close(kick), 0);
}
END_TEST

START_TEST(a_start_that_fails_keeps_no_descriptor)
{
	int call = eventfd(0, EFD_NONBLOCK), pipes[2];
	unsigned int fds;

	ck_assert_int_eq(pipe(pipes), 0);
	negotiate();
	fds = rig_count_fds();
	/* A pipe is no kick fd. */
	ck_assert_int_eq(start_with_fds(0, call, pipes[0]), -EINVAL);
	ck_assert_uint_eq(rig_count_fds(), fds);
	/* Neither is what is not open at all. */
	ck_assert_int_eq(start_with_fds(0, call, 4000), -EBADF);
	ck_assert_uint_eq(rig_count_fds(), fds);
	close(call);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

START_TEST(there_is_room_for_so_many_ranges_and_no_more)
{
	static uint8_t page[4096];
	unsigned int i;

	for (i = 1; i < PVIO_MAP_MAX_REGIONS; i++)
		ck_assert_int_eq(pvio_loopback_add_memory(rig.lb,
							  (i + 0x10000ULL)
								  << 12,
							  4096, page),
				 0);
	ck_assert_int_eq(pvio_loopback_add_memory(rig.lb, 1ULL << 60, 4096,
						  page),
			 -ENOSPC);
	/* In any order they go again. */
	for (i = PVIO_MAP_MAX_REGIONS - 1; i > 0; i--)
		ck_assert_int_eq(
			pvio_loopback_remove_memory(
				rig.lb,
				((i * 5) % (PVIO_MAP_MAX_REGIONS - 1) + 1 +
				 0x10000ULL) << 12),
			0);
	rig_run(0);
	rig_echo(0);
}
END_TEST

START_TEST(a_range_over_another_changes_nothing)
{
	static uint8_t page[4096];

	rig_run(0);
	ck_assert_int_eq(pvio_loopback_add_memory(rig.lb,
						  RIG_GPA + RIG_BYTES - 1, 4096,
						  page),
			 -EEXIST);
	ck_assert_uint_eq(pvio_device_map(rig.dev)->nr, 1);
	rig_echo(0);
}
END_TEST

START_TEST(a_queue_stopped_and_laid_out_anew_serves)
{
	negotiate();
	ck_assert_int_eq(start_with_fds(1, -1, -1), 0);
	driver_ok();
	rig_submit(1);
	ck_assert(rig_is_used(1));
	ck_assert_int_eq(pvio_loopback_stop_queue(rig.lb, 1), 0);
	/* (virtio 1.4, 2.6.1): all of it may differ now. */
	ck_assert_int_eq(guest_device_setup_queue(rig.gd, 1, 32), 0);
	ck_assert_int_eq(start_with_fds(1, -1, -1), 0);
	rig_submit(1);
	ck_assert(rig_is_used(1));
	ck_assert_uint_eq(probe.queue[1].served, 2);
}
END_TEST

/* V22: the queue decides; offset, wrap counter and other queues are noise. */
START_TEST(notification_data_is_a_hint)
{
	uint64_t bits[2] = { PVIO_BIT(VIRTIO_F_NOTIFICATION_DATA), 0 };
	struct guest_ring *ring;

	memset(notified, 0, sizeof(notified));
	ck_assert_int_eq(guest_device_negotiate(rig.gd, bits), 0);
	ck_assert_int_eq(guest_device_setup_queue(rig.gd, 2, 16), 0);
	pvio_loopback_set_callbacks(rig.lb, on_notify, NULL, &rig);
	ck_assert_int_eq(start_with_fds(2, -1, -1), 0);
	driver_ok();
	rig_step();
	ring = guest_device_ring(rig.gd, 2);
	ck_assert_int_eq(guest_ring_add(ring, rig.seg, 1, 1, rig.seg), 0);
	guest_ring_publish(ring);

	pvio_loopback_kick_data(rig.lb, 0xffff0000u | PROBE_QUEUES);
	pvio_loopback_kick_data(rig.lb, 0xffff);
	ck_assert(!rig_is_used(2));
	pvio_loopback_kick_data(rig.lb, 0xfff70002u);
	ck_assert(rig_is_used(2));
	ck_assert_uint_eq(notified[2], 1);
}
END_TEST

START_TEST(the_device_says_what_it_has)
{
	ck_assert_uint_eq(pvio_loopback_nr_queues(rig.lb), PROBE_QUEUES);
	ck_assert_uint_eq(pvio_loopback_queue_max(rig.lb, 0),
			  PROBE_QUEUE_SIZE);
	ck_assert_uint_eq(pvio_loopback_queue_max(rig.lb, PROBE_QUEUES), 0);
	ck_assert_uint_eq(pvio_device_id(rig.dev), 4242);
	ck_assert_str_eq(pvio_device_name(rig.dev), "dut");
}
END_TEST

CHECK_MAIN("loopback", rig_setup, rig_teardown,
	   a_device_with_another_transport_has_no_loopback,
	   without_a_call_fd_the_callback_is_called,
	   configuration_changes_reach_the_callback,
	   eventfds_are_borrowed_until_the_queue_stops,
	   a_start_that_fails_keeps_no_descriptor,
	   there_is_room_for_so_many_ranges_and_no_more,
	   a_range_over_another_changes_nothing,
	   a_queue_stopped_and_laid_out_anew_serves,
	   notification_data_is_a_hint, the_device_says_what_it_has)
