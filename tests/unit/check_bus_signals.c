/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_bus_signals.c - kicks and interrupts of the hypercall bus
 *
 * Signal areas, routes, doorbells: section 4 of docs/bus-abi.md.  Memory that
 * holds an area goes away and comes back.
 */
#include "tests/bus-rig.h"
#include "tests/check_main.h"

#include "core/virtio.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static uint64_t interrupts(void)
{
	struct pvio_bus_counters counters;

	pvio_bus_count(brig.bus, &counters);
	return counters.interrupts;
}

/* What a route of our own was told, in order. */
static unsigned int told[16], nr_told;

static void on_signal(void *arg, unsigned int signal)
{
	(void)arg;
	ck_assert_uint_lt(nr_told, pvio_array_size(told));
	told[nr_told++] = signal;
}

/* Route queue @q of @gd anew; its signal. */
static unsigned int route(struct guest_device *gd, uint32_t q, uint8_t mode,
			  uint8_t level, uint32_t notify_queue)
{
	const struct pvio_bus_route_in in = {
		.device = guest_device_bus_number(gd),
		.mode = mode,
		.level = level,
		.queue = q,
		.notify_queue = notify_queue,
	};
	struct pvio_bus_route_out out;

	ck_assert_int_eq(guest_bus_route(brig.gb, &in, &out), 0);
	ck_assert_uint_eq(out.signal, guest_device_bus_signal(gd, q));
	ck_assert_uint_lt(out.kick_queue, brig.gb->info.nr_kick_queues);
	guest_bus_listen(brig.gb, out.signal, on_signal, NULL);
	nr_told = 0;
	return out.signal;
}

/* A request that is answered while nobody takes interrupts. */
static void serve(struct guest_device *gd, unsigned int q)
{
	guest_ring_enable_notify(guest_device_ring(gd, q));
	bus_rig_submit(gd, q, false);
	bus_rig_work();
	ck_assert_int_eq(bus_rig_reap(gd, q), 64);
}

/* --- interrupts ------------------------------------------------------------ */

START_TEST(signals_of_two_devices_are_one_interrupt)
{
	struct guest_device *gd[2] = { bus_rig_drive(0), bus_rig_drive(1) };
	unsigned int signal[2], i;
	uint64_t before;

	bus_rig_settle();
	for (i = 0; i < 2; i++)
		signal[i] = route(gd[i], 0, PVIO_BUS_ROUTE_SIGNAL, 0, 0);
	ck_assert_uint_ne(signal[0], signal[1]);
	before = interrupts();
	for (i = 0; i < 2; i++)
		serve(gd[i], 0);
	ck_assert_uint_eq(interrupts() - before, 1);
	bus_rig_settle();
	ck_assert_uint_eq(nr_told, 2);
	ck_assert_uint_eq(told[0] + told[1], signal[0] + signal[1]);
}
END_TEST

START_TEST(signal_that_is_pending_is_not_raised_again)
{
	struct guest_device *gd = bus_rig_drive(0);
	struct pvio_bus_counters before, after;
	unsigned int i;

	bus_rig_settle();
	route(gd, 0, PVIO_BUS_ROUTE_SIGNAL, 0, 0);
	pvio_bus_count(brig.bus, &before);
	for (i = 0; i < 5; i++)
		serve(gd, 0);
	pvio_bus_count(brig.bus, &after);
	ck_assert_uint_eq(after.raised - before.raised, 1);
	ck_assert_uint_eq(after.coalesced - before.coalesced, 4);
	ck_assert_uint_eq(after.interrupts - before.interrupts, 1);
	bus_rig_settle();
	ck_assert_uint_eq(nr_told, 1);
	/* Taken, it can be raised again. */
	serve(gd, 0);
	bus_rig_settle();
	ck_assert_uint_eq(nr_told, 2);
}
END_TEST

START_TEST(lower_level_is_told_first)
{
	struct guest_device *gd = bus_rig_drive(0);
	static const uint8_t levels[PROBE_QUEUES] = { 7, 3, 0, 5 };
	static const unsigned int order[PROBE_QUEUES] = { 2, 1, 3, 0 };
	unsigned int signal[PROBE_QUEUES], q;

	bus_rig_settle();
	for (q = 0; q < PROBE_QUEUES; q++)
		signal[q] = route(gd, q, PVIO_BUS_ROUTE_SIGNAL, levels[q], 0);
	for (q = 0; q < PROBE_QUEUES; q++)
		serve(gd, q);
	bus_rig_settle();
	ck_assert_uint_eq(nr_told, PROBE_QUEUES);
	for (q = 0; q < PROBE_QUEUES; q++)
		ck_assert_uint_eq(told[q], signal[order[q]]);
}
END_TEST

START_TEST(each_mode_of_a_route_does_what_it_says)
{
	struct guest_device *gd = bus_rig_drive(0);
	int number = guest_bus_lend(brig.gb, -1, on_signal, NULL);
	uint64_t before;

	ck_assert_int_ge(number, 0);
	bus_rig_settle();
	route(gd, 0, PVIO_BUS_ROUTE_NONE, 0, 0);
	before = interrupts();
	serve(gd, 0);
	bus_rig_settle();
	ck_assert_uint_eq(interrupts(), before);
	ck_assert_uint_eq(nr_told, 0);

	route(gd, 0, PVIO_BUS_ROUTE_DIRECT, 0, (uint32_t)number);
	serve(gd, 0);
	serve(gd, 0);
	ck_assert_uint_eq(interrupts(), before + 2);
	bus_rig_settle();
	ck_assert_uint_eq(nr_told, 1);
	ck_assert_uint_eq(told[0], GUEST_BUS_NO_SIGNAL);

	route(gd, 0, PVIO_BUS_ROUTE_SIGNAL, 0, 1);
	serve(gd, 0);
	bus_rig_settle();
	ck_assert_uint_eq(nr_told, 1);
	ck_assert_uint_eq(told[0], guest_device_bus_signal(gd, 0));
	guest_bus_give_back(brig.gb, (unsigned int)number);
}
END_TEST

START_TEST(route_is_none_after_a_reset)
{
	struct guest_device *gd = bus_rig_drive(0);
	unsigned int q;
	uint64_t before;

	ck_assert_int_eq(guest_bus_set_status(brig.gb, brig.number[0], 0, NULL),
			 0);
	bus_rig_settle();
	/* All over again, but no route: the driver has to look. */
	bus_rig_start(gd);
	for (q = 0; q < PROBE_QUEUES; q++)
		ck_assert_int_eq(guest_device_reset_queue(gd, q), 0);
	ck_assert_int_eq(guest_bus_set_status(brig.gb, brig.number[0], 0, NULL),
			 0);
	bus_rig_settle();
	before = interrupts();
	ck_assert_int_eq(pvio_device_command(brig.dev[0], "poke", "", NULL, 0),
			 0);
	bus_rig_work();
	ck_assert_uint_eq(interrupts(), before);
}
END_TEST

/* Without an area, or with one that is too small. */
START_TEST(what_has_no_word_in_the_area_interrupts_directly)
{
	struct guest_device *gd = bus_rig_drive(0);
	uint64_t before;

	bus_rig_settle();
	route(gd, 0, PVIO_BUS_ROUTE_SIGNAL, 0, 1);
	ck_assert_int_eq(
		guest_bus_move_area(brig.gb, PVIO_BUS_AREA_NOTIFY, 1, 0), 0);
	before = interrupts();
	serve(gd, 0);
	serve(gd, 0);
	ck_assert_uint_eq(interrupts() - before, 2);
	/* An area again: a signal again. */
	ck_assert_int_eq(
		guest_bus_move_area(brig.gb, PVIO_BUS_AREA_NOTIFY, 1, 1), 0);
	bus_rig_settle();
	nr_told = 0;
	serve(gd, 0);
	bus_rig_settle();
	ck_assert_uint_eq(nr_told, 1);
}
END_TEST

START_TEST(interrupts_without_an_eventfd_are_calls)
{
	struct guest_device *gd;
	unsigned int i;

	/* The rig has set one, before its devices were started. */
	ck_assert_int_eq(pvio_bus_set_host(brig.bus, NULL, NULL), -EBUSY);
	for (i = 0; i < BUS_RIG_INTERRUPTS; i++)
		ck_assert_int_eq(pvio_bus_set_interrupt_fd(brig.bus, i, -1), 0);
	ck_assert_int_eq(pvio_bus_set_interrupt_fd(brig.bus, i, -1), -EINVAL);
	gd = bus_rig_drive(0);
	for (i = 0; i < 20; i++)
		bus_rig_echo(gd, i % PROBE_QUEUES);
	ck_assert_uint_gt(brig.gb->count.interrupts, 0);
}
END_TEST

START_TEST(device_that_breaks_says_so)
{
	struct guest_device *gd = bus_rig_drive(0);
	struct guest_ring *ring = guest_device_ring(gd, 0);
	uint16_t *avail = guest_host(&brig.mem, guest_ring_driver(ring));

	avail[1] = htole16(1000); /* past the ring */
	guest_device_kick(gd, 0);
	bus_rig_settle();
	ck_assert(guest_device_is_broken(gd));
	bus_rig_expect_service();
}
END_TEST

/* --- kicks ----------------------------------------------------------------- */

START_TEST(kicks_of_two_devices_are_one_doorbell)
{
	struct guest_device *gd[2] = { bus_rig_drive(0), bus_rig_drive(1) };
	uint64_t before;
	unsigned int i;

	bus_rig_settle();
	before = brig.gb->count.doorbells;
	for (i = 0; i < 2; i++)
		bus_rig_submit(gd[i], i, false);
	ck_assert_uint_eq(brig.gb->count.doorbells - before, 1);
	bus_rig_settle();
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(bus_rig_reap(gd[i], i), 64);
	/* The worker sleeps again: it has to be woken again. */
	bus_rig_submit(gd[0], 0, false);
	ck_assert_uint_eq(brig.gb->count.doorbells - before, 2);
	bus_rig_settle();
	ck_assert_int_eq(bus_rig_reap(gd[0], 0), 64);
}
END_TEST

START_TEST(signal_too_large_for_the_area_is_rung_by_its_number)
{
	struct guest_device *gd;
	unsigned int i;

	for (i = 0; i < brig.gb->info.nr_kick_queues; i++)
		ck_assert_int_eq(
			guest_bus_move_area(brig.gb, PVIO_BUS_AREA_KICK, i, 0),
			0);
	gd = bus_rig_drive(0);
	for (i = 0; i < 20; i++)
		bus_rig_echo(gd, i % PROBE_QUEUES);
}
END_TEST

START_TEST(doorbell_by_eventfd_is_a_doorbell)
{
	struct guest_device *gd = bus_rig_drive(0);
	struct guest_bus_area *a = &brig.gb->kick[0];
	unsigned int signal = guest_device_bus_signal(gd, 0), level;
	int fd = pvio_bus_doorbell_fd(brig.bus, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pvio_bus_doorbell_fd(brig.bus, 64), -EINVAL);
	bus_rig_settle();
	bus_rig_submit(gd, 0, true);
	bus_rig_settle();
	ck_assert_int_eq(bus_rig_reap(gd, 0), -1);
	/* The bits are there, and the eventfd is written: no operation. */
	level = 3;
	((uint64_t *)(a->area + 1))[level * a->nr_words + signal / 64] |=
		UINT64_C(1) << signal % 64;
	a->area->news[level] |= UINT64_C(1) << signal / 64;
	ck_assert_int_eq(eventfd_write(fd, 1), 0);
	bus_rig_settle();
	ck_assert_int_eq(bus_rig_reap(gd, 0), 64);
}
END_TEST

static void expect_direct_service(void)
{
	unsigned int i, q;

	brig.options.direct_doorbells = true;
	brig.options.direct_interrupts = true;
	for (i = 0; i < BUS_RIG_DEVICES; i++)
		bus_rig_drive(i);
	for (i = 0; i < BUS_RIG_DEVICES; i++)
		for (q = 0; q < PROBE_QUEUES; q++)
			bus_rig_echo(brig.gd[i], q);
	ck_assert_uint_eq(brig.gb->count.raised, 0);
	ck_assert_uint_eq(brig.gb->count.taken, 0);
}

START_TEST(driver_without_areas_is_served)
{
	expect_direct_service();
	brig.options.direct_interrupts = false;
	brig.options.direct_doorbells = false;
	bus_rig_expect_service();
}
END_TEST

/* --- areas that move ------------------------------------------------------- */

START_TEST(area_moves_and_nothing_is_lost)
{
	struct guest_device *gd = bus_rig_drive(0);
	unsigned int i, q;

	for (i = 0; i < 20; i++) {
		q = i % PROBE_QUEUES;
		guest_ring_enable_notify(guest_device_ring(gd, q));
		bus_rig_submit(gd, q, false);
		/* A kick is pending, and it is after it was answered. */
		ck_assert_int_eq(guest_bus_move_area(brig.gb,
						     PVIO_BUS_AREA_KICK, 0,
						     i % 2 ? 32 : 1),
				 0);
		bus_rig_work();
		ck_assert_int_eq(guest_bus_move_area(brig.gb,
						     PVIO_BUS_AREA_NOTIFY, 0,
						     i % 2 ? 32 : 1),
				 0);
		ck_assert_int_eq(guest_device_wait(gd, q, BUS_RIG_WAIT_MS), 1);
		ck_assert_int_eq(bus_rig_reap(gd, q), 64);
	}
}
END_TEST

static bool stop_moving;

static void *move_areas(void *arg)
{
	unsigned int i = 0;

	(void)arg;
	/* There is room for so many of one word. */
	while (!pvio_load_once(&stop_moving) && i++ < 1000)
		if (guest_bus_move_area(brig.gb, PVIO_BUS_AREA_NOTIFY, i % 2,
					1) != 0)
			return "no";
	return NULL;
}

START_TEST(area_moves_while_it_is_used)
{
	struct guest_device *gd = bus_rig_drive(0);
	pthread_t thread;
	unsigned int i;
	void *failed;

	stop_moving = false;
	ck_assert_int_eq(pthread_create(&thread, NULL, move_areas, NULL), 0);
	for (i = 0; i < 2000; i++)
		bus_rig_echo(gd, i % PROBE_QUEUES);
	pvio_store_once(&stop_moving, true);
	pthread_join(thread, &failed);
	ck_assert_ptr_null(failed);
}
END_TEST

/* --- memory ---------------------------------------------------------------- */

START_TEST(area_whose_memory_comes_back_has_every_signal)
{
	struct guest_device *gd = bus_rig_drive(0);
	unsigned int signal[2], i;
	uint32_t back;

	bus_rig_settle();
	for (i = 0; i < 2; i++)
		signal[i] = route(gd, i, PVIO_BUS_ROUTE_SIGNAL, 0, i);
	ck_assert_int_eq(
		guest_bus_give_memory(brig.gb,
				      GUEST_BUS_HAS_RAM | GUEST_BUS_HAS_CALLS),
		0);
	bus_rig_settle();
	nr_told = 0;
	ck_assert_int_eq(guest_bus_ping(brig.gb, 1, &back), 0);
	/* The device serves; nobody is told by a signal. */
	guest_bus_doorbell(brig.gb, PVIO_BUS_DOORBELL_SIGNAL | signal[0]);
	ck_assert_int_eq(guest_bus_give_memory(brig.gb, GUEST_BUS_HAS_ALL), 0);
	bus_rig_settle();
	/* Each once, whether there was something or not. */
	ck_assert_uint_eq(nr_told, 2);
	ck_assert_uint_eq(told[0] + told[1], signal[0] + signal[1]);
	bus_rig_settle();
	ck_assert_uint_eq(nr_told, 2);
	for (i = 0; i < 2; i++)
		serve(gd, i);
	bus_rig_settle();
	ck_assert_uint_eq(nr_told, 4);
}
END_TEST

static void note_rc(void *arg, int rc)
{
	*(int *)arg = rc;
}

/* And nothing is lost of it: address sanitizers would tell. */
START_TEST(memory_of_a_device_that_is_given_other_memory_is_refused)
{
	struct guest_device *zero = bus_rig_drive(0);
	struct pvio_map *map;
	int rc = 1;

	probe.hold = true;
	bus_rig_submit(zero, 0, false);
	bus_rig_work();
	probe.hold = false;
	/* The VMM gives it a map, which waits for the request ... */
	map = pvio_map_get(pvio_device_map(brig.dev[0]));
	pvio_device_set_memory(brig.dev[0], map, note_rc, &rc);
	ck_assert_int_eq(rc, 1);
	/* ... and the bus another. */
	ck_assert_int_eq(guest_bus_give_memory(brig.gb, GUEST_BUS_HAS_ALL),
			 -EBUSY);
	bus_rig_release(0, 0);
	bus_rig_settle();
	ck_assert_int_eq(rc, 0);
	ck_assert_int_eq(guest_bus_give_memory(brig.gb, GUEST_BUS_HAS_ALL), 0);
	bus_rig_expect_service();
}
END_TEST

START_TEST(call_without_memory_is_dropped)
{
	uint32_t back;

	ck_assert_int_eq(
		guest_bus_give_memory(brig.gb,
				      GUEST_BUS_HAS_RAM | GUEST_BUS_HAS_AREAS),
		0);
	brig.gb->patience_ms = 20;
	ck_assert_int_eq(guest_bus_ping(brig.gb, 1, &back), -ETIMEDOUT);
	ck_assert_uint_eq(brig.gb->block->state, htole32(PVIO_BUS_CALL_ISSUED));
	ck_assert_int_eq(guest_bus_give_memory(brig.gb, GUEST_BUS_HAS_ALL), 0);
	brig.gb->patience_ms = 10000;
	ck_assert_int_eq(guest_bus_ping(brig.gb, 1, &back), 0);
	bus_rig_expect_service();
}
END_TEST

START_TEST(ring_without_memory_waits_for_it)
{
	struct guest_device *gd = bus_rig_drive(0);
	const unsigned int what = GUEST_BUS_HAS_CALLS | GUEST_BUS_HAS_AREAS;

	bus_rig_echo(gd, 0);
	ck_assert_int_eq(guest_bus_give_memory(brig.gb, what), 0);
	bus_rig_submit(gd, 0, false);
	bus_rig_settle();
	ck_assert_int_eq(bus_rig_reap(gd, 0), -1);
	ck_assert(!guest_device_is_broken(gd));
	ck_assert_int_eq(guest_bus_give_memory(brig.gb, GUEST_BUS_HAS_ALL), 0);
	bus_rig_settle();
	ck_assert_int_eq(bus_rig_reap(gd, 0), 64);
	bus_rig_expect_service();
}
END_TEST

/* --- threads --------------------------------------------------------------- */

START_TEST(every_worker_has_a_kick_queue)
{
	bool is_used[GUEST_BUS_MAX_QUEUES] = { false };
	struct guest_device *gd = bus_rig_drive(0);
	unsigned int i;

	ck_assert_uint_eq(pvio_bus_nr_kick_queues(brig.bus), 2);
	ck_assert_uint_eq(brig.gb->info.nr_kick_queues, 2);
	for (i = 0; i < PROBE_QUEUES; i++) {
		const struct pvio_bus_route_in in = {
			.device = brig.number[0],
			.mode = PVIO_BUS_ROUTE_SIGNAL,
			.queue = i,
		};
		struct pvio_bus_route_out out;

		ck_assert_int_eq(guest_bus_route(brig.gb, &in, &out), 0);
		ck_assert_uint_lt(out.kick_queue, 2);
		is_used[out.kick_queue] = true;
		bus_rig_echo(gd, i);
	}
	ck_assert(is_used[0] && is_used[1]);
}
END_TEST

struct driver {
	pthread_t thread;
	unsigned int i, q;
	struct guest_segment seg[2];
	int64_t rc;
};

static void *drive(void *arg)
{
	struct driver *d = arg;
	unsigned int n;

	for (n = 0; n < 2000 && d->rc == 64; n++)
		d->rc = guest_device_transfer(brig.gd[d->i], d->q, d->seg, 1,
					      1);
	return NULL;
}

START_TEST(drivers_of_all_queues_share_the_bus)
{
	struct driver d[BUS_RIG_DEVICES * PROBE_QUEUES] = { 0 };
	unsigned int n;

	for (n = 0; n < pvio_array_size(d); n++) {
		d[n].i = n / PROBE_QUEUES;
		d[n].q = n % PROBE_QUEUES;
		d[n].rc = 64;
		if (d[n].q == 0)
			bus_rig_drive(d[n].i);
	}
	for (n = 0; n < 2 * pvio_array_size(d); n++) {
		d[n / 2].seg[n % 2].len = 64;
		ck_assert_ptr_nonnull(guest_alloc(&brig.mem, 64, 8,
						  &d[n / 2].seg[n % 2].gpa));
	}
	for (n = 0; n < pvio_array_size(d); n++)
		ck_assert_int_eq(
			pthread_create(&d[n].thread, NULL, drive, &d[n]), 0);
	for (n = 0; n < pvio_array_size(d); n++) {
		pthread_join(d[n].thread, NULL);
		ck_assert_int_eq(d[n].rc, 64);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		signals_of_two_devices_are_one_interrupt,
		signal_that_is_pending_is_not_raised_again,
		lower_level_is_told_first,
		each_mode_of_a_route_does_what_it_says,
		route_is_none_after_a_reset,
		what_has_no_word_in_the_area_interrupts_directly,
		interrupts_without_an_eventfd_are_calls,
		device_that_breaks_says_so,
		kicks_of_two_devices_are_one_doorbell,
		signal_too_large_for_the_area_is_rung_by_its_number,
		doorbell_by_eventfd_is_a_doorbell,
		driver_without_areas_is_served,
		area_moves_and_nothing_is_lost,
		area_whose_memory_comes_back_has_every_signal,
		memory_of_a_device_that_is_given_other_memory_is_refused,
		call_without_memory_is_dropped,
		ring_without_memory_waits_for_it,
	};
	const TTest *const threads[] = {
		area_moves_while_it_is_used,
		every_worker_has_a_kick_queue,
		drivers_of_all_queues_share_the_bus,
		driver_without_areas_is_served,
	};

	return bus_rig_run("bus: signals", tests, pvio_array_size(tests), threads,
			   pvio_array_size(threads));
}
