/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_bus_areas.c - what a driver can do wrong with signals of the bus
 *
 * As check_bus.c, of areas and doorbells.  H18, the order of the two wake-ups,
 * is for tests/spin and check_bus_signals.
 */
#include "tests/bus-rig.h"
#include "tests/check_main.h"

#include <pthread.h>
#include <pvio/memory.h>
#include <string.h>

/* --- areas ----------------------------------------------------------------- */

/* H05 */
START_TEST(area_that_cannot_be_is_refused_and_the_old_one_stays)
{
	const uint64_t end = BUS_RIG_GPA + BUS_RIG_BYTES;
	const struct {
		uint32_t direction, index, nr_words;
		uint64_t gpa;
		int rc;
	} bad[] = {
		{ 2, 0, 1, BUS_RIG_GPA, PVIO_BUS_BAD_VALUE },
		{ UINT32_MAX, 0, 1, BUS_RIG_GPA, PVIO_BUS_BAD_VALUE },
		{ 0, 64, 1, BUS_RIG_GPA, PVIO_BUS_BAD_VALUE },
		{ 0, UINT32_MAX, 1, BUS_RIG_GPA, PVIO_BUS_BAD_VALUE },
		{ 1, BUS_RIG_INTERRUPTS, 1, BUS_RIG_GPA, PVIO_BUS_BAD_VALUE },
		{ 1, 0x10000, 1, BUS_RIG_GPA, PVIO_BUS_BAD_VALUE },
		{ 1, 0, 65, BUS_RIG_GPA, PVIO_BUS_BAD_VALUE },
		{ 1, 0, UINT32_MAX, BUS_RIG_GPA, PVIO_BUS_BAD_VALUE },
		{ 1, 0, 1, BUS_RIG_GPA + 8, PVIO_BUS_BAD_ADDRESS },
		{ 0, 0, 1, BUS_RIG_GPA + 32, PVIO_BUS_BAD_ADDRESS },
		{ 1, 0, 1, end - 128, PVIO_BUS_BAD_ADDRESS },
		{ 0, 0, 64, end - 4096, PVIO_BUS_BAD_ADDRESS },
		{ 1, 0, 1, end, PVIO_BUS_BAD_ADDRESS },
		{ 1, 0, 1, 0xffffffffffffffc0, PVIO_BUS_BAD_ADDRESS },
		{ 0, 0, 64, 0xfffffffffffff000, PVIO_BUS_BAD_ADDRESS },
		{ 1, 0, 1, BUS_RIG_HOLE_GPA, PVIO_BUS_BAD_ADDRESS },
	};
	struct guest_device *gd = bus_rig_drive(0);
	uint64_t before = brig.gb->count.taken;
	size_t i;

	for (i = 0; i < pvio_array_size(bad); i++)
		ck_assert_msg(guest_bus_set_area(brig.gb, bad[i].direction,
						 bad[i].index, bad[i].gpa,
						 bad[i].nr_words) == bad[i].rc,
			      "area %zu", i);
	for (i = 0; i < 8; i++)
		bus_rig_echo(gd, (unsigned int)i % PROBE_QUEUES);
	ck_assert_uint_gt(brig.gb->count.taken, before);
	bus_rig_expect_service();
}
END_TEST

#define ROM_GPA	  0x80000000ULL
#define SHIFT_GPA 0x80100000ULL
#define BYTES	  0x10000

static void list_regions(struct pvio_memory *list,
			 const struct guest_memory *mem)
{
	const struct guest_region *r;

	for (r = mem->region; r < mem->region + mem->nr; r++)
		ck_assert_int_eq(
			pvio_memory_add(list, r->gpa, r->size, r->host), 0);
}

/* H05: what of it would have to be written, or be aligned, is not there */
START_TEST(memory_that_is_not_ours_to_write_has_no_areas_and_calls)
{
	static uint8_t buffer[BYTES] __attribute__((aligned(64)));
	const uint64_t bad[] = { ROM_GPA, ROM_GPA + 4096, SHIFT_GPA,
				 SHIFT_GPA + 64 };
	struct pvio_memory *list;
	size_t i;

	/* Calls that are malformed, for who finds them. */
	buffer[4] = brig.mem.region[0].host[0] = PVIO_BUS_CALL_ISSUED;
	ck_assert_int_eq(pvio_memory_create(&list), 0);
	list_regions(list, &brig.mem);
	list_regions(list, &brig.gb->own);
	ck_assert_int_eq(pvio_memory_add_fd(list, ROM_GPA, BYTES,
					    brig.mem.region[0].fd, 0, true),
			 0);
	ck_assert_int_eq(pvio_memory_add(list, SHIFT_GPA, BYTES - 64,
					 buffer + 4),
			 0);
	ck_assert_int_eq(pvio_bus_set_memory_list(brig.bus, list), 0);
	pvio_memory_destroy(list);
	for (i = 0; i < 2 * pvio_array_size(bad); i++)
		ck_assert_int_eq(guest_bus_set_area(brig.gb, (uint32_t)i % 2, 0,
						    bad[i / 2], 1),
				 PVIO_BUS_BAD_ADDRESS);
	for (i = 0; i < pvio_array_size(bad); i++)
		guest_bus_operate(brig.gb, bad[i]);
	ck_assert_uint_eq(buffer[4], PVIO_BUS_CALL_ISSUED);
	ck_assert_int_eq(guest_bus_give_memory(brig.gb, GUEST_BUS_HAS_ALL), 0);
	bus_rig_expect_service();
}
END_TEST

/* An area's memory becomes such as cannot be written: it is gone. */
START_TEST(area_that_becomes_read_only_is_an_area_no_more)
{
	const struct guest_region *areas = &brig.gb->own.region[1];
	struct guest_device *gd = bus_rig_drive(0);
	struct pvio_memory *list;

	ck_assert_int_eq(pvio_memory_create(&list), 0);
	list_regions(list, &brig.mem);
	list_regions(list, &brig.gb->own);
	ck_assert_int_eq(pvio_memory_remove(list, areas->gpa), 0);
	ck_assert_int_eq(pvio_memory_add_fd(list, areas->gpa, areas->size,
					    areas->fd, 0, true),
			 0);
	ck_assert_int_eq(pvio_bus_set_memory_list(brig.bus, list), 0);
	pvio_memory_destroy(list);
	bus_rig_submit(gd, 0, true);
	guest_bus_doorbell(brig.gb, PVIO_BUS_DOORBELL_SIGNAL |
					    guest_device_bus_signal(gd, 0));
	bus_rig_settle();
	ck_assert_int_eq(bus_rig_reap(gd, 0), 64);
	ck_assert_int_eq(guest_bus_give_memory(brig.gb, GUEST_BUS_HAS_ALL), 0);
	bus_rig_expect_service();
}
END_TEST

/* H06: each with each, with a ring, with the call block */
START_TEST(areas_may_lie_on_anything)
{
	struct guest_device *gd = bus_rig_drive(0);
	struct guest_ring *ring = guest_device_ring(gd, 0);
	const uint64_t at[] = {
		brig.gb->kick[0].gpa,  brig.gb->notify[1].gpa,
		guest_ring_desc(ring), guest_ring_desc(ring) & ~63ULL,
		GUEST_BUS_CALL_GPA,
	};
	unsigned int i, q;

	for (i = 0; i < pvio_array_size(at); i++) {
		ck_assert_int_eq(guest_bus_set_area(brig.gb,
						    PVIO_BUS_AREA_NOTIFY, 0,
						    at[i], 1),
				 0);
		/* What is served is the driver's concern; we live. */
		for (q = 0; q < PROBE_QUEUES; q++) {
			guest_bus_doorbell(
				brig.gb,
				PVIO_BUS_DOORBELL_SIGNAL |
					guest_device_bus_signal(gd, q));
			bus_rig_settle();
		}
		memset(brig.gb->block, 0, sizeof(*brig.gb->block));
	}
	for (i = 1; i < pvio_array_size(at); i++) {
		ck_assert_int_eq(guest_bus_set_area(brig.gb, PVIO_BUS_AREA_KICK,
						    0, at[i], 1),
				 0);
		guest_bus_doorbell(brig.gb, 0);
		bus_rig_settle();
	}
	bus_rig_expect_service();
}
END_TEST

/* H08, H14 */
START_TEST(nonsense_in_an_area_is_looked_at_and_dropped)
{
	struct guest_device *gd[2] = { bus_rig_drive(0), bus_rig_drive(1) };
	unsigned int round, i;

	for (round = 0; round < 256; round++) {
		for (i = 0; i < brig.gb->info.nr_kick_queues; i++)
			memset(brig.gb->kick[i].area, (int)round,
			       sizeof(struct pvio_bus_area) +
				       64 * brig.gb->kick[i].nr_words);
		guest_bus_doorbell(brig.gb, 0);
		bus_rig_settle();
		for (i = 0; i < BUS_RIG_NOTIFY; i++)
			memset(brig.gb->notify[i].area, (int)round,
			       sizeof(struct pvio_bus_area) +
				       64 * brig.gb->notify[i].nr_words);
		bus_rig_submit(gd[round % 2], 0, true);
		guest_bus_doorbell(brig.gb, PVIO_BUS_DOORBELL_SIGNAL |
						    guest_device_bus_signal(
							    gd[round % 2], 0));
		bus_rig_settle();
		ck_assert_int_eq(bus_rig_reap(gd[round % 2], 0), 64);
	}
	bus_rig_expect_service();
}
END_TEST

/* H11 */
START_TEST(driver_that_never_arms_harms_itself_only)
{
	struct guest_device *zero, *one;
	unsigned int i;

	zero = bus_rig_drive(0);
	brig.options.direct_interrupts = true;
	one = bus_rig_drive(1);
	for (i = 0; i < 50; i++) {
		brig.gb->notify[0].area->armed = 0;
		brig.gb->notify[1].area->armed = htole32(i);
		bus_rig_submit(zero, 0, false);
		bus_rig_work();
		ck_assert_int_eq(bus_rig_reap(zero, 0), 64);
		bus_rig_echo(one, 0);
	}
	brig.options.direct_interrupts = false;
	bus_rig_expect_service();
}
END_TEST

/* --- threads --------------------------------------------------------------- */

static bool stop;

static void *scribble_areas(void *arg)
{
	struct guest_bus_area *a = arg;
	size_t i, words = (sizeof(*a->area) + 64 * a->nr_words) / 8;
	uint64_t *word = (uint64_t *)a->area;

	while (!pvio_load_once(&stop)) {
		for (i = 0; i < words; i++)
			pvio_store_once(&word[i], UINT64_MAX);
		guest_bus_doorbell(brig.gb, 0);
	}
	return NULL;
}

/* H10 */
START_TEST(news_without_end_do_not_keep_a_worker)
{
	struct guest_device *gd;
	pthread_t thread;
	unsigned int i;

	brig.options.direct_doorbells = true;
	gd = bus_rig_drive(0);
	stop = false;
	ck_assert_int_eq(pthread_create(&thread, NULL, scribble_areas,
					&brig.gb->kick[0]),
			 0);
	for (i = 0; i < 500; i++)
		bus_rig_echo(gd, i % PROBE_QUEUES);
	pvio_store_once(&stop, true);
	pthread_join(thread, NULL);
	brig.options.direct_doorbells = false;
	bus_rig_expect_service();
}
END_TEST

static void *ring_doorbells(void *arg)
{
	uint32_t i = 0;

	(void)arg;
	while (!pvio_load_once(&stop)) {
		guest_bus_doorbell(brig.gb, PVIO_BUS_DOORBELL_SIGNAL | i % 64);
		guest_bus_doorbell(brig.gb, i++ % 4);
	}
	return NULL;
}

/* H12 */
START_TEST(storm_of_doorbells_does_not_keep_a_worker)
{
	struct guest_device *gd = bus_rig_drive(0);
	pthread_t thread;
	unsigned int i;

	stop = false;
	ck_assert_int_eq(pthread_create(&thread, NULL, ring_doorbells, NULL),
			 0);
	for (i = 0; i < 500; i++)
		bus_rig_echo(gd, i % PROBE_QUEUES);
	pvio_store_once(&stop, true);
	pthread_join(thread, NULL);
	bus_rig_expect_service();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		area_that_cannot_be_is_refused_and_the_old_one_stays,
		memory_that_is_not_ours_to_write_has_no_areas_and_calls,
		area_that_becomes_read_only_is_an_area_no_more,
		areas_may_lie_on_anything,
		nonsense_in_an_area_is_looked_at_and_dropped,
		driver_that_never_arms_harms_itself_only,
	};
	const TTest *const threads[] = {
		news_without_end_do_not_keep_a_worker,
		storm_of_doorbells_does_not_keep_a_worker,
	};

	return bus_rig_run("hostile: bus areas", tests, pvio_array_size(tests), threads,
			   pvio_array_size(threads));
}
