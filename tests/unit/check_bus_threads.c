/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_bus_threads.c - the hypercall bus from several threads at once
 *
 * Things that take long, and what happens beside them: a reset that waits for
 * requests, a device that is pulled out.  Control and the queues' workers have
 * threads of their own.
 */
#include "tests/bus-rig.h"
#include "tests/check_main.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* --- what takes long --------------------------------------------------------- */

/* Something that one thread does, and waits for. */
struct job {
	pthread_t thread;
	int (*run)(void);
	unsigned int q; /* of which the probe holds chains */
	int rc;
	unsigned int nr_held; /* when it was over */
};

static void *job_run(void *arg)
{
	struct job *job = arg;

	job->rc = job->run();
	job->nr_held = pvio_load_acquire(&probe.queue[job->q].nr_held);
	return NULL;
}

static void job_start(struct job *job, int (*run)(void), unsigned int q)
{
	*job = (struct job){ .run = run, .q = q };
	ck_assert_int_eq(pthread_create(&job->thread, NULL, job_run, job), 0);
}

/* It has succeeded, and not before the probe had given back what it held. */
static void job_join(struct job *job)
{
	pthread_join(job->thread, NULL);
	ck_assert_int_eq(job->rc, 0);
	ck_assert_uint_eq(job->nr_held, 0);
}

/* What has been begun has come as far as it can. */
static void let_others_go_on(void)
{
	char answer[64];
	unsigned int i;

	for (i = 0; i < 200; i++)
		ck_assert_int_eq(pvio_device_command(brig.dev[0], "poke", "",
						     answer, sizeof(answer)),
				 0);
}

static void hold_one(struct guest_device *gd, unsigned int q)
{
	pvio_store_once(&probe.hold, true);
	bus_rig_submit(gd, q, false);
	bus_rig_wait(&probe.queue[q].nr_held, 1);
}

static void release(unsigned int i, unsigned int q)
{
	pvio_store_once(&probe.hold, false);
	bus_rig_release(i, q);
}

static int reset_bus(void)
{
	return guest_bus_reset(brig.gb);
}

START_TEST(reset_of_the_bus_waits_however_often_a_device_is_reset)
{
	struct pvio_bus_counters before, now;
	struct job reset;
	uint32_t status;
	unsigned int i;

	hold_one(bus_rig_drive(0), 0);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(guest_bus_set_status(brig.gb, brig.number[0],
						      0, &status),
				 0);
	pvio_bus_count(brig.bus, &before);
	job_start(&reset, reset_bus, 0);
	do
		pvio_bus_count(brig.bus, &now);
	while (now.calls == before.calls);
	let_others_go_on();
	release(0, 0);
	job_join(&reset);
	bus_rig_expect_service();
}
END_TEST

/* --- what leaves ------------------------------------------------------------- */

static int stop_one(void)
{
	pvio_device_stop(brig.dev[1]);
	return 0;
}

static int route_one(void)
{
	const struct pvio_bus_route_in in = { .device = brig.number[1] };
	struct pvio_bus_route_out out;

	return guest_bus_route(brig.gb, &in, &out);
}

static int give_memory(void)
{
	return guest_bus_give_memory(brig.gb, GUEST_BUS_HAS_ALL);
}

static void expect_event(unsigned int event)
{
	struct pvio_bus_event_out out;

	ck_assert_int_eq(guest_bus_get_event(brig.gb, &out), 0);
	ck_assert_uint_eq(out.event, event);
}

/* Device 1 has been told to stop, and has a chain of queue 1 in flight. */
static void stop_under_way(struct job *stop)
{
	int rc;

	bus_rig_drive(0);
	hold_one(bus_rig_drive(1), 1);
	job_start(stop, stop_one, 1);
	while ((rc = route_one()) == 0)
		;
	ck_assert_int_eq(rc, PVIO_BUS_BAD_STATE);
}

START_TEST(device_is_not_gone_while_it_has_requests)
{
	uint32_t status = 0;
	struct job stop;

	stop_under_way(&stop);
	ck_assert_int_eq(
		guest_bus_set_status(brig.gb, brig.number[1], 0, NULL), 0);
	ck_assert_int_eq(guest_bus_get_status(brig.gb, brig.number[1], &status),
			 0);
	ck_assert_uint_ne(status, 0);
	expect_event(PVIO_BUS_EVENT_NONE);
	/* The driver's other devices do not wait for it. */
	pvio_store_once(&probe.hold, false);
	bus_rig_echo(brig.gd[0], 0);
	release(1, 1);
	job_join(&stop);
	expect_event(PVIO_BUS_EVENT_REMOVED);
	ck_assert_int_eq(guest_bus_get_status(brig.gb, brig.number[1], &status),
			 PVIO_BUS_NO_DEVICE);
}
END_TEST

START_TEST(memory_is_not_let_go_before_a_device_that_leaves_is_done)
{
	struct job stop, memory;

	stop_under_way(&stop);
	job_start(&memory, give_memory, 1);
	let_others_go_on();
	release(1, 1);
	job_join(&memory);
	job_join(&stop);
	bus_rig_echo(brig.gd[0], 0);
}
END_TEST

START_TEST(reset_of_the_bus_waits_for_a_device_that_leaves)
{
	struct job stop, reset;

	stop_under_way(&stop);
	job_start(&reset, reset_bus, 1);
	let_others_go_on();
	release(1, 1);
	job_join(&reset);
	job_join(&stop);
}
END_TEST

/* --- what does not start ------------------------------------------------------ */

/* A device of @worker. */
static struct pvio_device *create_on(struct pvio_worker *worker)
{
	struct pvio_device *dev;

	ck_assert_int_eq(pvio_device_create("more", BUS_RIG_CONFIG,
					    brig.control, &worker, 1, &dev),
			 0);
	return dev;
}

START_TEST(worker_of_a_device_that_did_not_start_may_go)
{
	unsigned int nr = pvio_bus_nr_kick_queues(brig.bus);
	struct pvio_worker *worker;
	struct pvio_device *dev;
	int rc;

	/* No number is free, since the driver does not take the events. */
	do {
		dev = create_on(brig.control);
		rc = pvio_device_start(dev);
		pvio_device_destroy(dev);
	} while (rc == 0);
	ck_assert_int_eq(rc, -ENOSPC);

	ck_assert_int_eq(pvio_worker_create("short", &worker), 0);
	dev = create_on(worker);
	ck_assert_int_eq(pvio_device_start(dev), -ENOSPC);
	pvio_device_destroy(dev);
	pvio_worker_destroy(worker);
	ck_assert_uint_eq(pvio_bus_nr_kick_queues(brig.bus), nr + 1);
	bus_rig_expect_service();
}
END_TEST

START_TEST(workers_that_nobody_runs_are_turned_by_who_waits)
{
	struct pvio_worker *worker[2];
	struct pvio_device *dev[2];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(pvio_worker_create("idle", &worker[i]), 0);
		dev[i] = create_on(worker[i]);
		ck_assert_int_eq(pvio_device_start(dev[i]), 0);
	}
	/* Each changes the bus, which the other's worker is to take note of. */
	for (i = 0; i < 2; i++) {
		pvio_device_stop(dev[i]);
		ck_assert_int_eq(pvio_device_start(dev[i]), 0);
		pvio_bus_reset(brig.bus);
	}
	for (i = 0; i < 2; i++)
		pvio_device_destroy(dev[i]);
	for (i = 0; i < 2; i++)
		pvio_worker_destroy(worker[i]);
	bus_rig_expect_service();
}
END_TEST

/* --- everything at once -------------------------------------------------------- */

#define ROUNDS 60

static bool is_over;
static const char *failed;
static uint64_t spare_gpa; /* of an area that is changed all the time */

struct side {
	pthread_t thread;
	unsigned int seed;
};

static unsigned int side_any(struct side *s, unsigned int below)
{
	return (unsigned int)rand_r(&s->seed) % below;
}

/* Devices that come and go, each on a worker or on both. */
static void *plug(void *arg)
{
	struct side *s = arg;
	struct pvio_device *dev;
	unsigned int i, first;
	int rc;

	for (i = 0; i < ROUNDS; i++) {
		first = side_any(s, 2);
		if (pvio_device_create("more", BUS_RIG_CONFIG, brig.control,
				       &brig.workers[first],
				       1 + side_any(s, 2 - first), &dev) < 0) {
			pvio_store_once(&failed, "create");
			break;
		}
		/* -ENOSPC: the driver is slow to take its events. */
		rc = pvio_device_start(dev);
		if (rc < 0 && rc != -ENOSPC)
			pvio_store_once(&failed, "start");
		if (side_any(s, 2))
			pvio_device_stop(dev);
		if (side_any(s, 3) == 0)
			(void)pvio_device_start(dev);
		pvio_device_destroy(dev);
	}
	return NULL;
}

/* A driver that does nothing right. */
static void *call_around(void *arg)
{
	struct side *s = arg;
	struct pvio_bus_route_in route = { .mode = PVIO_BUS_ROUTE_SIGNAL };
	struct pvio_bus_route_out out;
	struct pvio_bus_event_out event;
	uint16_t device;

	while (!pvio_load_once(&is_over)) {
		device = (uint16_t)(2 + side_any(s, 4));
		switch (side_any(s, 5)) {
		case 0:
			(void)guest_bus_get_event(brig.gb, &event);
			break;
		case 1:
			route.device = device;
			route.queue = side_any(s, PROBE_QUEUES);
			(void)guest_bus_route(brig.gb, &route, &out);
			break;
		case 2:
			(void)guest_bus_set_status(brig.gb, device,
						   side_any(s, 16), NULL);
			break;
		case 3:
			(void)guest_bus_set_area(brig.gb, PVIO_BUS_AREA_NOTIFY,
						 5, spare_gpa,
						 side_any(s, 33));
			break;
		case 4:
			(void)guest_bus_reset_queue(brig.gb, device, 0);
			break;
		}
	}
	return NULL;
}

static void *ring_around(void *arg)
{
	struct side *s = arg;

	while (!pvio_load_once(&is_over)) {
		guest_bus_doorbell(brig.gb, PVIO_BUS_DOORBELL_SIGNAL |
						    side_any(s, 40));
		guest_bus_doorbell(brig.gb, side_any(s, 4));
	}
	return NULL;
}

static void *change_memory(void *arg)
{
	struct pvio_bus_counters counters;

	(void)arg;
	while (!pvio_load_once(&is_over)) {
		if (guest_bus_give_memory(brig.gb, GUEST_BUS_HAS_ALL) < 0)
			pvio_store_once(&failed, "memory");
		pvio_bus_count(brig.bus, &counters);
	}
	return NULL;
}

static void *reset_around(void *arg)
{
	(void)arg;
	while (!pvio_load_once(&is_over))
		pvio_bus_reset(brig.bus);
	return NULL;
}

static void all_at_once(void *(*const run[])(void *), unsigned int nr,
			void *(*other)(void *))
{
	struct side sides[8], plugs[2];
	unsigned int i;

	is_over = false;
	failed = NULL;
	ck_assert_ptr_nonnull(guest_alloc(&brig.mem, 4096, 4096, &spare_gpa));
	for (i = 0; i < nr; i++) {
		sides[i].seed = i;
		ck_assert_int_eq(pthread_create(&sides[i].thread, NULL, run[i],
						&sides[i]),
				 0);
	}
	for (i = 0; i < 2; i++) {
		plugs[i].seed = 100 + i;
		ck_assert_int_eq(
			pthread_create(&plugs[i].thread, NULL, other, &plugs[i]),
			0);
	}
	for (i = 0; i < 2; i++)
		pthread_join(plugs[i].thread, NULL);
	pvio_store_once(&is_over, true);
	for (i = 0; i < nr; i++)
		pthread_join(sides[i].thread, NULL);
	ck_assert_msg(!failed, "%s failed", failed);
}

static void *echo_around(void *arg)
{
	struct side *s = arg;
	struct guest_segment seg[2] = { { .len = 64 }, { .len = 64 } };
	unsigned int q = s->seed, i;

	for (i = 0; i < 2; i++)
		guest_alloc(&brig.mem, 64, 8, &seg[i].gpa);
	while (!pvio_load_once(&is_over))
		if (guest_device_transfer(brig.gd[0], q, seg, 1, 1) != 64) {
			pvio_store_once(&failed, "a transfer");
			break;
		}
	return NULL;
}

START_TEST(device_serves_while_others_come_and_go)
{
	void *(*const run[])(void *) = { echo_around, call_around, ring_around,
					 change_memory };

	bus_rig_drive(0);
	all_at_once(run, pvio_array_size(run), plug);
	bus_rig_expect_service();
}
END_TEST

START_TEST(bus_is_reset_while_devices_come_and_go)
{
	void *(*const run[])(void *) = { reset_around, call_around, ring_around,
					 change_memory };

	all_at_once(run, pvio_array_size(run), plug);
	bus_rig_expect_service();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		reset_of_the_bus_waits_however_often_a_device_is_reset,
		device_is_not_gone_while_it_has_requests,
		memory_is_not_let_go_before_a_device_that_leaves_is_done,
		reset_of_the_bus_waits_for_a_device_that_leaves,
		device_serves_while_others_come_and_go,
		bus_is_reset_while_devices_come_and_go,
	};
	const TTest *const alone[] = {
		worker_of_a_device_that_did_not_start_may_go,
		workers_that_nobody_runs_are_turned_by_who_waits,
	};
	int rc;

	rc = check_run("bus: threads", bus_rig_setup_threads, bus_rig_teardown,
		       tests, pvio_array_size(tests));
	if (check_run("bus: one thread", bus_rig_setup, bus_rig_teardown, alone,
		      pvio_array_size(alone)) != EXIT_SUCCESS)
		rc = EXIT_FAILURE;
	return rc;
}
