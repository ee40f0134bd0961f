/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_device.c - what a device promises its transport, its model, and the
 * program that embeds it
 */
#include "tests/check_main.h"
#include "tests/device/rig.h"

#include "core/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- create -------------------------------------------------------------- */

static int try_create(const char *config)
{
	struct pvio_device *dev = NULL;
	int rc;

	rc = pvio_device_create("try", config, rig.control, &rig.control, 1,
				&dev);
	if (rc == 0)
		pvio_device_destroy(dev);
	else
		ck_assert_ptr_null(dev);
	return rc;
}

START_TEST(bad_configurations_are_refused)
{
	static const char *const bad[] = {
		"",
		"model = 3;",
		"model = \"probe\";",
		"model = \"no-such\"; transport = { type = \"loopback\"; };",
		"model = \"probe\"; transport = { type = \"no-such\"; };",
		"model = \"probe\"; transport = { };",
		RIG_CONFIG "colour = \"red\";",
		"model = \"probe\"; transport = { type = \"loopback\"; x=1; };",
		"model = \"probe\"; queues = 5;"
		"transport = { type = \"loopback\"; };",
		RIG_CONFIG "queue_size = 48;",
		RIG_CONFIG "queue_size = 65536;",
		RIG_CONFIG "poll_us = -1;",
		"model = ",
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(try_create(bad[i]) == -EINVAL, "%s", bad[i]);
	ck_assert_int_eq(try_create(RIG_CONFIG "queue_size = 128;"), 0);
}
END_TEST

START_TEST(a_model_that_fails_to_create_undoes_everything)
{
	probe.create_error = -EBUSY;
	ck_assert_int_eq(try_create(RIG_CONFIG), -EBUSY);
	ck_assert_uint_eq(probe.destroys, 0);
	probe.create_error = 0;
	ck_assert_int_eq(try_create(RIG_CONFIG), 0);
	ck_assert_uint_eq(probe.destroys, 1);
}
END_TEST

/* Two workers for the queues, and none of the three on a thread. */
START_TEST(workers_that_nobody_runs_are_turned_by_who_waits)
{
	struct pvio_worker *workers[2];
	struct pvio_device *dev;
	struct guest_device *gd;
	const uint64_t none[2] = { 0 };

	ck_assert_int_eq(pvio_worker_create("a", &workers[0]), 0);
	ck_assert_int_eq(pvio_worker_create("b", &workers[1]), 0);
	ck_assert_int_eq(pvio_device_create("two", RIG_CONFIG "poll_us = 7;",
					    rig.control, workers, 2, &dev),
			 0);
	ck_assert_int_eq(guest_device_open_loopback(dev, &rig.mem, workers[1],
						    &gd),
			 0);
	ck_assert_int_eq(guest_device_negotiate(gd, none), 0);
	ck_assert_int_eq(guest_device_setup_queue(gd, 1, 16), 0);
	ck_assert_int_eq(guest_device_start(gd), 0);
	ck_assert_int_eq(guest_device_transfer(gd, 1, rig.seg, 1, 1),
			 RIG_BUFFER_BYTES);
	guest_device_close(gd);
	pvio_device_destroy(dev);
	pvio_worker_destroy(workers[0]);
	pvio_worker_destroy(workers[1]);
}
END_TEST

START_TEST(destroying_nothing_is_allowed)
{
	pvio_device_destroy(NULL);
}
END_TEST

START_TEST(a_started_device_is_not_started_twice)
{
	ck_assert_int_eq(pvio_device_start(rig.dev), -EBUSY);
	pvio_device_stop(rig.dev);
	ck_assert_int_eq(pvio_device_start(rig.dev), 0);
}
END_TEST

/* --- service ------------------------------------------------------------- */

START_TEST(every_queue_serves)
{
	unsigned int q;

	rig_run(0);
	for (q = 0; q < PROBE_QUEUES; q++) {
		rig_echo(q);
		rig_echo(q);
		ck_assert_uint_eq(probe.queue[q].served, 2);
	}
}
END_TEST

START_TEST(packed_and_all_ring_features_serve)
{
	uint64_t offered[2];

	guest_device_features(rig.gd, offered);
	ck_assert(offered[0] & PVIO_BIT(VIRTIO_F_RING_PACKED));
	rig_run(offered[0]);
	rig_echo(0);
	rig_echo(3);
}
END_TEST

START_TEST(features_are_128_bits_wide)
{
	uint64_t bits[2];

	guest_device_features(rig.gd, bits);
	ck_assert_uint_eq(bits[1], PVIO_BIT(PROBE_F_HIGH - 64));
	ck_assert_int_eq(guest_device_negotiate(rig.gd, bits), 0);
	ck_assert(pvio_device_has_feature(rig.dev, PROBE_F_HIGH));
	ck_assert(pvio_feature_has(&probe.features, PROBE_F_HIGH));
}
END_TEST

START_TEST(a_queue_that_is_not_enabled_is_discarded)
{
	struct rig_done done = { 0 };

	rig_run(0);
	pvio_device_vq_enable(rig.dev, 1, false, rig_note_done, &done);
	ck_assert_int_eq(done.calls, 1);
	rig_submit(1);
	ck_assert(rig_is_used(1));
	ck_assert_uint_eq(probe.queue[1].discards, 1);
	ck_assert_uint_eq(probe.queue[1].served, 0);

	/* Enabled again, it serves. */
	guest_ring_reap(guest_device_ring(rig.gd, 1), &(uint32_t){ 0 });
	pvio_device_vq_enable(rig.dev, 1, true, rig_note_done, &done);
	rig_echo(1);
}
END_TEST

START_TEST(a_model_may_refuse_to_start_a_queue)
{
	struct pvio_loopback_queue setup = { .size = 16,
					     .desc = RIG_GPA + 0x8000,
					     .driver = RIG_GPA + 0x9000,
					     .device = RIG_GPA + 0xa000,
					     .call_fd = -1,
					     .kick_fd = -1 };
	const uint64_t none[2] = { 0 };

	ck_assert_int_eq(guest_device_negotiate(rig.gd, none), 0);
	probe.start_error = -ENOMEM;
	ck_assert_int_eq(pvio_loopback_start_queue(rig.lb, 0, &setup), -ENOMEM);
	ck_assert(!pvio_device_vq_is_running(rig.dev, 0));
	probe.start_error = 0;
	ck_assert_int_eq(pvio_loopback_start_queue(rig.lb, 0, &setup), 0);
}
END_TEST

START_TEST(a_stopped_queue_says_where_it_stands_and_goes_on)
{
	struct pvio_vq_position position = { 0 };
	struct rig_done done = { 0 };
	struct pvio_vq_setup setup;

	rig_run(0);
	rig_echo(2);
	rig_echo(2);
	setup = pvio_device_vq(rig.dev, 2)->setup;
	pvio_device_vq_stop(rig.dev, 2, &position, rig_note_done, &done);
	ck_assert_int_eq(done.calls, 1);
	ck_assert_uint_eq(position.avail, 2);
	ck_assert_uint_eq(position.used, 2);
	/* Made available while it was stopped, served without a kick. */
	rig_submit(2);
	ck_assert(!rig_is_used(2));
	setup.position = position;
	pvio_device_vq_start(rig.dev, 2, &setup, rig_note_done, &done);
	ck_assert_int_eq(done.rc, 0);
	ck_assert(rig_is_used(2));
}
END_TEST

/*
 * Its process may have ended between the last answer and the notification, and
 * with an event index the driver asks for that one only.
 */
START_TEST(a_queue_that_is_taken_over_notifies_once)
{
	const struct pvio_vq_stats *stats = &pvio_device_vq(rig.dev, 2)->stats;
	struct pvio_vq_position position = { 0 };
	struct rig_done done = { 0 };
	struct pvio_vq_setup setup;
	uint64_t before;

	rig_run(0);
	setup = pvio_device_vq(rig.dev, 2)->setup;
	before = stats->notifications;
	pvio_device_vq_stop(rig.dev, 2, &position, rig_note_done, &done);
	setup.position = position;
	pvio_device_vq_start(rig.dev, 2, &setup, rig_note_done, &done);
	/* Nothing was answered in this ring ... */
	ck_assert_uint_eq(stats->notifications, before);
	rig_echo(2);
	before = stats->notifications;
	pvio_device_vq_stop(rig.dev, 2, &position, rig_note_done, &done);
	setup.position = position;
	pvio_device_vq_start(rig.dev, 2, &setup, rig_note_done, &done);
	/* ... and now there was. */
	ck_assert_uint_eq(stats->notifications, before + 1);
	rig_echo(2);
}
END_TEST

START_TEST(stopping_a_queue_waits_for_what_is_in_flight)
{
	struct rig_done done = { 0 };

	rig_run(0);
	probe.hold = true;
	rig_submit(0);
	ck_assert(!rig_is_used(0));
	pvio_device_vq_stop(rig.dev, 0, NULL, rig_note_done, &done);
	rig_step();
	ck_assert(!done.done);
	ck_assert(pvio_device_vq_is_running(rig.dev, 0));
	ck_assert_uint_eq(probe.queue[0].stops, 1);
	ck_assert_uint_eq(probe.queue[0].idles, 0);

	rig_release(0);
	rig_step();
	ck_assert_int_eq(done.calls, 1);
	ck_assert_uint_eq(probe.queue[0].idles, 1);
	/* What it finished was published. */
	ck_assert(guest_ring_has_used(guest_device_ring(rig.gd, 0)));
}
END_TEST

/* --- what a model's kick reports ----------------------------------------- */

START_TEST(a_model_that_is_not_done_is_called_again)
{
	unsigned int i;

	rig_run(0);
	rig_step();
	probe.report = PVIO_KICK_AGAIN;
	guest_device_kick(rig.gd, 0);
	for (i = 0; i < 10; i++)
		ck_assert(pvio_worker_step(rig.control));
	ck_assert_uint_ge(probe.queue[0].kicks, 9);
	probe.report = PVIO_KICK_DRAINED;
	rig_step();
}
END_TEST

START_TEST(a_model_that_waits_is_left_alone_until_it_asks)
{
	unsigned int kicks;

	rig_run(0);
	probe.report = PVIO_KICK_WAIT;
	guest_device_kick(rig.gd, 0);
	rig_step();
	kicks = probe.queue[0].kicks;
	/* Its driver was told not to kick, and nobody polls for it. */
	ck_assert_int_eq(guest_ring_add(guest_device_ring(rig.gd, 0), rig.seg,
					1, 1, rig.seg),
			 0);
	ck_assert(!guest_ring_publish(guest_device_ring(rig.gd, 0)));
	rig_step();
	ck_assert_uint_eq(probe.queue[0].kicks, kicks);
	pvio_vq_schedule(pvio_device_vq(rig.dev, 0));
	ck_assert(rig_is_used(0));
}
END_TEST

/* --- configuration space ------------------------------------------------- */

START_TEST(configuration_changes_are_told_and_counted)
{
	uint8_t before = pvio_device_config_changes(rig.dev);
	char answer[64];
	uint32_t le;

	/* Not before DRIVER_OK: nobody listens. */
	ck_assert_int_eq(pvio_device_command(rig.dev, "poke", "", answer,
					     sizeof(answer)),
			 0);
	ck_assert_uint_eq(guest_device_config_changes(rig.gd), 0);
	ck_assert_uint_ne(pvio_device_config_changes(rig.dev), before);
	rig_run(0);
	pvio_device_command(rig.dev, "poke", "", answer, sizeof(answer));
	ck_assert_uint_eq(guest_device_config_changes(rig.gd), 1);
	guest_device_read_config(rig.gd, 0, &le, sizeof(le));
	ck_assert_uint_eq(le32toh(le), 2);
}
END_TEST

START_TEST(unknown_commands_are_said_to_be_unknown)
{
	char answer[64], tiny[1];

	ck_assert_int_eq(pvio_device_command(rig.dev, "fly", "", answer,
					     sizeof(answer)),
			 -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(answer, "fly"));
	ck_assert_int_eq(pvio_device_command(rig.dev, "fly", "", tiny, 1),
			 -ENOTSUP);
	ck_assert_int_eq(tiny[0], '\0');
}
END_TEST

/* --- memory -------------------------------------------------------------- */

START_TEST(memory_changes_under_a_running_queue)
{
	rig_run(0);
	rig_echo(0);
	ck_assert_int_eq(guest_memory_add(&rig.mem, RIG_GPA_2, 4096), 0);
	ck_assert_int_eq(pvio_loopback_add_memory(rig.lb, RIG_GPA_2, 4096,
						  rig.mem.region[1].host),
			 0);
	/* The ring goes on where it stood, and reaches the new memory. */
	rig.seg[1].gpa = RIG_GPA_2;
	rig.in = rig.mem.region[1].host;
	rig_echo(0);
	ck_assert_uint_eq(probe.queue[0].starts, 2);

	ck_assert_int_eq(pvio_loopback_remove_memory(rig.lb, RIG_GPA_2), 0);
	/* Gone: the chain comes back empty, the queue lives. */
	ck_assert_int_eq(guest_device_transfer(rig.gd, 0, rig.seg, 1, 1), 0);
	ck_assert(!guest_device_is_broken(rig.gd));
}
END_TEST

START_TEST(memory_change_waits_for_requests_in_flight)
{
	struct rig_done done = { 0 };
	struct pvio_map *map, *old = pvio_device_map(rig.dev);
	struct pvio_region region[1];

	rig_run(0);
	probe.hold = true;
	rig_submit(1);
	ck_assert(!rig_is_used(1));
	region[0] = old->region[0];
	ck_assert_int_eq(pvio_map_create(region, 1, &map), 0);
	pvio_device_set_memory(rig.dev, map, rig_note_done, &done);
	rig_step();
	ck_assert(!done.done);
	ck_assert_ptr_eq(pvio_device_map(rig.dev), old);

	probe.hold = false;
	rig_release(1);
	rig_step();
	ck_assert_int_eq(done.calls, 1);
	ck_assert_ptr_eq(pvio_device_map(rig.dev), map);
	ck_assert(rig_is_used(1));
	guest_ring_reap(guest_device_ring(rig.gd, 1), &(uint32_t){ 0 });
	rig_echo(1);
}
END_TEST

START_TEST(overlapping_changes_are_refused_or_wait)
{
	struct rig_done first = { 0 }, second = { 0 }, start = { 0 },
			reset = { 0 };
	struct pvio_vq_setup setup = { .size = 16 };
	struct pvio_map *map, *map2;

	rig_run(0);
	probe.hold = true;
	rig_submit(1);
	rig_step();
	ck_assert_int_eq(pvio_map_create(NULL, 0, &map), 0);
	ck_assert_int_eq(pvio_map_create(NULL, 0, &map2), 0);
	pvio_device_set_memory(rig.dev, map, rig_note_done, &first);
	pvio_device_set_memory(rig.dev, map2, rig_note_done, &second);
	ck_assert_int_eq(second.rc, -EBUSY);
	pvio_map_put(map2);
	pvio_device_vq_start(rig.dev, 0, &setup, rig_note_done, &start);
	ck_assert_int_eq(start.rc, -EBUSY);
	/* A reset waits its turn. */
	pvio_device_reset(rig.dev, rig_note_done, &reset);
	rig_step();
	ck_assert(!first.done && !reset.done);
	rig_release(1);
	rig_step();
	ck_assert(first.done && reset.done);
	ck_assert_int_eq(pvio_device_status(rig.dev), 0);
}
END_TEST

/* --- stop ---------------------------------------------------------------- */

START_TEST(when_stop_returns_no_callback_runs)
{
	unsigned int kicks, i;

	rig_run(0);
	for (i = 0; i < PROBE_QUEUES; i++)
		rig_submit(i);
	pvio_device_stop(rig.dev);
	ck_assert_uint_eq(probe.in_callback, 0);
	for (i = 0; i < PROBE_QUEUES; i++) {
		ck_assert_uint_eq(probe.queue[i].starts, 1);
		ck_assert_uint_eq(probe.queue[i].stops, 1);
		ck_assert_uint_eq(probe.queue[i].idles, 1);
	}
	kicks = probe.queue[0].kicks;
	pvio_device_kick(rig.dev, 0);
	rig_step();
	ck_assert_uint_eq(probe.queue[0].kicks, kicks);
}
END_TEST

START_TEST(a_destroyed_device_leaves_nothing_on_its_worker)
{
	unsigned int fds = rig_count_fds();
	struct pvio_device *dev;
	struct guest_device *gd;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		struct rig_done done = { 0 };

		ck_assert_int_eq(pvio_device_create("next", RIG_CONFIG,
						    rig.control, &rig.control,
						    1, &dev),
				 0);
		pvio_device_vq_set_kick_fd(dev, 1, eventfd(1, 0),
					   rig_note_done, &done);
		pvio_device_vq_set_call_fd(dev, 1, eventfd(1, 0),
					   rig_note_done, &done);
		ck_assert_uint_eq(done.calls, 2);
		ck_assert_int_eq(guest_device_open_loopback(
					 dev, &rig.mem, rig.control, &gd),
				 0);
		ck_assert_int_eq(guest_device_negotiate(gd, (uint64_t[2]){ 0 }),
				 0);
		ck_assert_int_eq(guest_device_setup_queue(gd, 0, 16), 0);
		ck_assert_int_eq(guest_device_start(gd), 0);
		ck_assert_int_eq(guest_device_transfer(gd, 0, rig.seg, 1, 1),
				 RIG_BUFFER_BYTES);
		pvio_device_kick(dev, 0);
		pvio_device_break(dev, "about to be destroyed");
		guest_device_close(gd);
		pvio_device_destroy(dev);
		ck_assert_uint_eq(rig_count_fds(), fds);
		rig_step();
	}
}
END_TEST

START_TEST(a_device_is_destroyed_with_requests_in_flight)
{
	struct rig_done done = { 0 };

	rig_run(0);
	probe.hold = true;
	rig_submit(0);
	rig_step();
	pvio_device_reset(rig.dev, rig_note_done, &done);
	rig_release(0);
	pvio_device_stop(rig.dev);
	ck_assert(done.done);
	ck_assert_uint_eq(probe.queue[0].idles, 1);
}
END_TEST

/* --- counters ------------------------------------------------------------ */

static struct json_object *stats(bool with_latency)
{
	struct json_object *object;
	char *text;

	ck_assert_int_eq(pvio_device_stats(rig.dev, with_latency, &text), 0);
	object = json_tokener_parse(text);
	ck_assert_ptr_nonnull(object);
	free(text);
	return object;
}

static struct json_object *member(struct json_object *object, const char *key)
{
	struct json_object *value;

	ck_assert_msg(json_object_object_get_ex(object, key, &value), "%s",
		      key);
	return value;
}

START_TEST(stats_count_what_happened)
{
	struct json_object *object, *queue, *stage;

	rig_run(0);
	rig_echo(1);
	rig_echo(1);
	object = stats(true);
	ck_assert_str_eq(json_object_get_string(member(object, "name")),
			 "dut");
	ck_assert_str_eq(json_object_get_string(member(object, "state")),
			 "running");
	ck_assert_int_eq(json_object_get_int(member(object, "status")), 15);
	queue = json_object_array_get_idx(member(object, "queues"), 1);
	ck_assert_int_eq(json_object_get_int(member(queue, "requests")), 2);
	ck_assert_int_eq(json_object_get_int(member(queue, "in_flight")), 0);
	ck_assert_int_eq(json_object_get_int(member(queue, "size")),
			 RIG_RING_SIZE);
	ck_assert_int_ge(json_object_get_int(member(queue, "kicks")), 1);
	ck_assert_int_eq(json_object_get_int(member(member(queue, "faults"),
						    "ring")),
			 0);
	stage = member(member(queue, "latency"), "total");
	ck_assert_int_eq(json_object_get_int(member(stage, "count")), 1);
	ck_assert_int_ge(json_object_get_int(member(stage, "max_ns")),
			 json_object_get_int(member(stage, "p50_ns")));
	json_object_put(object);

	object = stats(false);
	queue = json_object_array_get_idx(member(object, "queues"), 1);
	ck_assert(!json_object_object_get_ex(queue, "latency", NULL));
	json_object_put(object);
}
END_TEST

/* --- no descriptors left ------------------------------------------------- */

START_TEST(no_descriptor_left_is_an_error_and_nothing_more)
{
	struct pvio_loopback_queue setup = { .size = 16,
					     .desc = RIG_GPA + 0x8000,
					     .driver = RIG_GPA + 0x9000,
					     .device = RIG_GPA + 0xa000,
					     .call_fd = -1 };
	struct rlimit limit, none;
	const uint64_t bits[2] = { 0 };

	ck_assert_int_eq(guest_device_negotiate(rig.gd, bits), 0);
	setup.kick_fd = eventfd(0, EFD_NONBLOCK);
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = (rlim_t)setup.kick_fd + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(pvio_loopback_start_queue(rig.lb, 0, &setup),
			 -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert(!pvio_device_vq_is_running(rig.dev, 0));
	ck_assert_int_eq(pvio_loopback_start_queue(rig.lb, 0, &setup), 0);
	close(setup.kick_fd);
}
END_TEST

CHECK_MAIN("device", rig_setup, rig_teardown,
	   bad_configurations_are_refused,
	   a_model_that_fails_to_create_undoes_everything,
	   destroying_nothing_is_allowed,
	   a_started_device_is_not_started_twice,
	   every_queue_serves,
	   packed_and_all_ring_features_serve,
	   features_are_128_bits_wide,
	   a_queue_that_is_not_enabled_is_discarded,
	   a_model_may_refuse_to_start_a_queue,
	   a_stopped_queue_says_where_it_stands_and_goes_on,
	   a_queue_that_is_taken_over_notifies_once,
	   stopping_a_queue_waits_for_what_is_in_flight,
	   a_model_that_is_not_done_is_called_again,
	   a_model_that_waits_is_left_alone_until_it_asks,
	   workers_that_nobody_runs_are_turned_by_who_waits,
	   configuration_changes_are_told_and_counted,
	   unknown_commands_are_said_to_be_unknown,
	   memory_changes_under_a_running_queue,
	   memory_change_waits_for_requests_in_flight,
	   overlapping_changes_are_refused_or_wait,
	   when_stop_returns_no_callback_runs,
	   a_destroyed_device_leaves_nothing_on_its_worker,
	   a_device_is_destroyed_with_requests_in_flight,
	   stats_count_what_happened,
	   no_descriptor_left_is_an_error_and_nothing_more)
