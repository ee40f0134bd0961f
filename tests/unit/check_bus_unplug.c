/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_bus_unplug.c - the driver is asked to let a device go
 */
#include "tests/bus-rig.h"
#include "tests/check_main.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define PATIENCE_MS 20000

/* The driver hears of events, if only by looking. */
static void route_events(void)
{
	const struct pvio_bus_route_in in = {
		.device = PVIO_BUS_THE_BUS,
		.mode = PVIO_BUS_ROUTE_DIRECT,
		.notify_queue = 1,
	};
	struct pvio_bus_route_out out;

	ck_assert_int_eq(guest_bus_route(brig.gb, &in, &out), 0);
}

struct driver {
	pthread_t thread;
	struct pvio_bus_event_out event;
};

/* A driver that does what it is asked for. */
static void *driver_run(void *arg)
{
	struct driver *driver = arg;
	uint32_t now;

	do {
		ck_assert_int_eq(guest_bus_get_event(brig.gb, &driver->event),
				 0);
		usleep(1000);
	} while (driver->event.event == PVIO_BUS_EVENT_NONE);
	ck_assert_int_eq(guest_bus_set_status(brig.gb, driver->event.device, 0,
					      &now),
			 0);
	return NULL;
}

START_TEST(driver_that_resets_the_device_has_let_it_go)
{
	struct driver driver;

	bus_rig_drive(1);
	route_events();
	ck_assert_int_eq(pthread_create(&driver.thread, NULL, driver_run,
					&driver),
			 0);
	ck_assert_int_eq(pvio_bus_unplug(brig.dev[1], PATIENCE_MS), 0);
	pthread_join(driver.thread, NULL);
	ck_assert_uint_eq(driver.event.event, PVIO_BUS_EVENT_LEAVE);
	ck_assert_uint_eq(driver.event.device, brig.number[1]);
}
END_TEST

START_TEST(driver_that_does_not_listen_is_waited_for_and_no_longer)
{
	struct pvio_bus_event_out event;

	bus_rig_drive(1);
	route_events();
	ck_assert_int_eq(pvio_bus_unplug(brig.dev[1], 20), -ETIMEDOUT);
	/* It serves as before, and may be asked for again. */
	bus_rig_echo(brig.gd[1], 0);
	ck_assert_int_eq(pvio_bus_unplug(brig.dev[1], 20), -ETIMEDOUT);
	ck_assert_int_eq(guest_bus_get_event(brig.gb, &event), 0);
	ck_assert_uint_eq(event.event, PVIO_BUS_EVENT_LEAVE);
	ck_assert_int_eq(guest_bus_get_event(brig.gb, &event), 0);
	ck_assert_uint_eq(event.event, PVIO_BUS_EVENT_NONE);
}
END_TEST

START_TEST(nobody_is_waited_for_who_would_not_hear_of_it)
{
	/* No events are routed ... */
	bus_rig_drive(1);
	ck_assert_int_eq(pvio_bus_unplug(brig.dev[1], PATIENCE_MS), 0);
	/* ... and device 0 is not in use. */
	route_events();
	ck_assert_int_eq(pvio_bus_unplug(brig.dev[0], PATIENCE_MS), 0);
}
END_TEST

START_TEST(device_that_is_stopped_cannot_be_asked_for)
{
	pvio_device_stop(brig.dev[1]);
	ck_assert_int_eq(pvio_bus_unplug(brig.dev[1], PATIENCE_MS), -EINVAL);
}
END_TEST

int main(void)
{
	const TTest *const threads[] = {
		driver_that_resets_the_device_has_let_it_go,
		driver_that_does_not_listen_is_waited_for_and_no_longer,
		nobody_is_waited_for_who_would_not_hear_of_it,
		device_that_is_stopped_cannot_be_asked_for,
	};

	return check_run("bus: unplug", bus_rig_setup_threads,
			 bus_rig_teardown, threads, pvio_array_size(threads));
}
