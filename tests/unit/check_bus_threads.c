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

int main(void)
{
	const TTest *const tests[] = {
		reset_of_the_bus_waits_however_often_a_device_is_reset,
	};

	return check_run("bus: threads", bus_rig_setup_threads,
			 bus_rig_teardown, tests, pvio_array_size(tests));
}
