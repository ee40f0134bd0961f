/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_split.c - split rings: what a hostile driver gets
 *
 * Each test is a row of the catalogue of hostile input, by its number.  A bad
 * request is answered with length 0 (or skipped, when it cannot be named), a
 * bad ring asks for a reset; afterwards a good request is served, and nothing
 * was written that was not to be.
 */
#include "tests/check_main.h"
#include "tests/rig.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE 16

static struct rig rig;

static void setup(void)
{
	rig_init(&rig, SIZE, GUEST_RING_INDIRECT);
}

static void teardown(void)
{
	rig_fini(&rig);
}

/* R01: a descriptor that points at itself */
START_TEST(chain_that_points_at_itself_gets_length_0)
{
	struct rig_chain bad = rig_chain(&rig, "r16");

	rig_desc(&rig, bad, 0)->flags |= VRING_DESC_F_NEXT;
	rig_desc(&rig, bad, 0)->next = bad.first;
	rig_publish(&rig, bad);
	rig_expect_refused(&rig, bad, PVIO_FAULT_LOOP);
}
END_TEST

/* R01: a long loop, back to the middle */
START_TEST(chain_that_loops_gets_length_0)
{
	struct rig_chain bad = rig_chain(&rig, "r16 w512 w1 w1");

	rig_desc(&rig, bad, 3)->flags |= VRING_DESC_F_NEXT;
	rig_desc(&rig, bad, 3)->next = bad.first + 1;
	rig_publish(&rig, bad);
	rig_expect_refused(&rig, bad, PVIO_FAULT_LOOP);
}
END_TEST

/* R02: one more descriptor than the queue has, through a table */
START_TEST(chain_longer_than_the_queue_gets_length_0)
{
	struct rig_chain bad = rig_add(
		&rig, "r1 (r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 w1)");

	rig_expect_refused(&rig, bad, PVIO_FAULT_LOOP);
}
END_TEST

/* R02: as long as the queue is legal */
START_TEST(chain_as_long_as_the_queue_is_served)
{
	struct rig_chain chain = rig_add(
		&rig, "r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 w1");

	ck_assert_uint_eq(rig_serve(&rig), 1);
	rig_expect_used(&rig, chain.id, 1);
	rig_expect_sound(&rig);
}
END_TEST

/* R03 */
START_TEST(next_past_the_table_gets_length_0)
{
	struct rig_chain bad = rig_chain(&rig, "r16 w1");

	rig_desc(&rig, bad, 0)->next = SIZE;
	rig_publish(&rig, bad);
	rig_expect_refused(&rig, bad, PVIO_FAULT_HEAD);
}
END_TEST

/* R04 */
START_TEST(head_past_the_table_is_skipped)
{
	struct rig_chain good;

	rig_make_available(&rig, SIZE);
	rig_make_available(&rig, 0xffff);
	good = rig_add(&rig, "r16 w8");
	ck_assert_uint_eq(rig_serve(&rig), 1);
	rig_expect_used(&rig, good.id, 8);
	ck_assert_uint_eq(rig_faults(&rig, PVIO_FAULT_HEAD), 2);
	rig_expect_sound(&rig);
}
END_TEST

/* R05 */
START_TEST(available_index_that_jumps_asks_for_reset)
{
	rig_skip_available(&rig, SIZE + 1);
	ck_assert_uint_eq(rig_serve(&rig), 0);
	rig_expect_reset(&rig);
}
END_TEST

/* R06 */
START_TEST(available_index_that_goes_back_asks_for_reset)
{
	rig_expect_sound(&rig);
	rig_skip_available(&rig, -1);
	ck_assert_uint_eq(rig_serve(&rig), 0);
	rig_expect_reset(&rig);
}
END_TEST

/* R05: a full ring is no jump */
START_TEST(available_index_a_whole_ring_ahead_is_served)
{
	unsigned int i;

	for (i = 0; i < SIZE; i++)
		rig_add(&rig, "w4");
	ck_assert_uint_eq(rig_serve(&rig), SIZE);
	for (i = 0; i < SIZE; i++)
		rig_expect_used(&rig, (uint16_t)i, 4);
	rig_expect_sound(&rig);
}
END_TEST

/* R07: bad ones without end hold a pop no longer than a ringful */
START_TEST(refusing_is_bounded_in_one_pop)
{
	struct vring_used *used = guest_ring_raw_device(rig.ring);
	unsigned int i;

	/* As many as the index allows, again and again. */
	for (i = 0; i < SIZE; i++)
		rig_make_available(&rig, SIZE);
	ck_assert_ptr_null(pvio_vq_pop(rig.vq));
	ck_assert_uint_eq(rig_faults(&rig, PVIO_FAULT_HEAD), SIZE);
	ck_assert_uint_eq(used->idx, 0);
	rig_expect_sound(&rig);
}
END_TEST

/* Peeks at the device's private index: a race, and only in this test. */
static __attribute__((no_sanitize("thread"))) void *keep_adding(void *arg)
{
	struct vring_avail *avail = guest_ring_raw_driver(rig.ring);
	const bool *stop = arg;

	/* The index runs ahead of us, by never more than a ring. */
	while (!pvio_load_once(stop)) {
		uint16_t next = pvio_load_once(&rig.vq->next_avail);

		pvio_store_release(&avail->idx, (uint16_t)(next + SIZE));
	}
	return NULL;
}

/* R07: against a driver that adds while we drain */
START_TEST(live_available_index_cannot_hold_a_pop)
{
	struct vring_avail *avail = guest_ring_raw_driver(rig.ring);
	bool stop = false;
	pthread_t driver;
	unsigned int i;

	for (i = 0; i < SIZE; i++)
		avail->ring[i] = htole16(SIZE);
	ck_assert_int_eq(pthread_create(&driver, NULL, keep_adding, &stop), 0);
	for (i = 0; i < 1000; i++) {
		uint64_t before = rig_faults(&rig, PVIO_FAULT_HEAD);

		ck_assert_ptr_null(pvio_vq_pop(rig.vq));
		ck_assert_uint_le(rig_faults(&rig, PVIO_FAULT_HEAD) - before,
				  SIZE + 1);
	}
	pvio_store_once(&stop, true);
	pthread_join(driver, NULL);
}
END_TEST

/* R08 */
START_TEST(head_in_flight_is_not_taken_twice)
{
	struct rig_chain chain = rig_add(&rig, "r16 w32");
	struct pvio_chain *first;

	first = pvio_vq_pop(rig.vq);
	ck_assert_ptr_nonnull(first);
	rig_make_available(&rig, chain.id);
	ck_assert_ptr_null(pvio_vq_pop(rig.vq));
	ck_assert_uint_eq(rig_faults(&rig, PVIO_FAULT_DUPLICATE), 1);

	pvio_vq_push(rig.vq, first, 32);
	pvio_vq_flush(rig.vq);
	rig_expect_used(&rig, chain.id, 32);
	rig_expect_sound(&rig);
}
END_TEST

/* R09 */
START_TEST(buffer_outside_memory_gets_length_0)
{
	rig_expect_refused(&rig, rig_add(&rig, "r16 w64@hole"), PVIO_FAULT_ADDRESS);
}
END_TEST

/* R10 */
START_TEST(buffer_that_wraps_gets_length_0)
{
	rig_expect_refused(&rig, rig_add(&rig, "r16 w64@wrap"), PVIO_FAULT_ADDRESS);
}
END_TEST

/* R11 */
START_TEST(buffer_across_regions_is_translated_in_pieces)
{
	struct rig_chain id = rig_add(&rig, "r16 w64@span");
	struct pvio_chain *chain = pvio_vq_pop(rig.vq);

	ck_assert_ptr_nonnull(chain);
	ck_assert_uint_eq(chain->nr_writable, 2);
	ck_assert_uint_eq(chain->writable, 64);
	ck_assert_uint_eq(chain->iov[1].iov_len, 32);
	ck_assert_uint_eq(chain->iov[2].iov_len, 32);
	ck_assert_ptr_eq(chain->iov[2].iov_base,
			 pvio_mapping_host(rig.mapping[2]));
	pvio_vq_push(rig.vq, chain, 64);
	pvio_vq_flush(rig.vq);
	rig_expect_used(&rig, id.id, 64);
	rig_expect_sound(&rig);
}
END_TEST

/* R11: more pieces than fit beside the chain */
START_TEST(many_buffers_across_regions_are_served)
{
	struct rig_chain id = rig_add(
		&rig, "r4@span r6@span r8@span w4@span w6@span w8@span");
	struct pvio_chain *chain = pvio_vq_pop(rig.vq);

	ck_assert_ptr_nonnull(chain);
	ck_assert_uint_eq(chain->nr_readable, 6);
	ck_assert_uint_eq(chain->nr_writable, 6);
	ck_assert_uint_eq(chain->readable, 18);
	ck_assert_uint_eq(pvio_iov_length(pvio_chain_writable(chain), 6), 18);
	pvio_vq_push(rig.vq, chain, 18);
	pvio_vq_flush(rig.vq);
	rig_expect_used(&rig, id.id, 18);
	rig_expect_sound(&rig);
}
END_TEST

/* R12 */
START_TEST(buffer_that_runs_into_a_hole_gets_length_0_and_no_byte)
{
	rig_expect_refused(&rig, rig_add(&rig, "r16 w64 w64@edge"), PVIO_FAULT_ADDRESS);
}
END_TEST

/* R13 */
START_TEST(empty_descriptors_are_skipped)
{
	struct rig_chain id = rig_add(&rig, "r0 r16 r0 w0 w8 w0");
	struct pvio_chain *chain = pvio_vq_pop(rig.vq);

	ck_assert_ptr_nonnull(chain);
	ck_assert_uint_eq(chain->nr_readable, 1);
	ck_assert_uint_eq(chain->nr_writable, 1);
	pvio_vq_push(rig.vq, chain, 8);
	pvio_vq_flush(rig.vq);
	rig_expect_used(&rig, id.id, 8);
	rig_expect_sound(&rig);
}
END_TEST

/* R13: nothing but empty ones, in a loop */
START_TEST(loop_of_empty_descriptors_gets_length_0)
{
	struct rig_chain bad = rig_chain(&rig, "r0 r0@hole");

	rig_desc(&rig, bad, 1)->flags |= VRING_DESC_F_NEXT;
	rig_desc(&rig, bad, 1)->next = bad.first;
	rig_publish(&rig, bad);
	rig_expect_refused(&rig, bad, PVIO_FAULT_LOOP);
}
END_TEST

/* R14 */
START_TEST(total_length_of_4_gib_gets_length_0)
{
	struct rig_chain bad = rig_chain(&rig, "r0 r0 r0 r0 r0 r0");
	struct pvio_region region = { .gpa = 1ULL << 40, .size = 1ULL << 30 };
	struct pvio_region all[RIG_REGIONS + 1];
	struct pvio_map *map;
	unsigned int i;
	void *big;

	/* A gigabyte that nobody touches, five times. */
	big = mmap(NULL, region.size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ck_assert_ptr_ne(big, MAP_FAILED);
	ck_assert_int_eq(pvio_mapping_wrap(big, region.size, &region.mapping),
			 0);
	memcpy(all, rig.map->region, sizeof(rig.map->region[0]) * RIG_REGIONS);
	all[RIG_REGIONS] = region;
	ck_assert_int_eq(pvio_map_create(all, RIG_REGIONS + 1, &map), 0);
	pvio_vq_stop(rig.vq);
	ck_assert_int_eq(
		pvio_vq_start(rig.vq, &rig.setup, map, &rig.features), 0);

	for (i = 0; i < bad.nr; i++) {
		rig_desc(&rig, bad, i)->addr = region.gpa;
		rig_desc(&rig, bad, i)->len = 1u << 30;
	}
	rig_publish(&rig, bad);
	rig_expect_refused(&rig, bad, PVIO_FAULT_ORDER);
	pvio_vq_stop(rig.vq);
	pvio_map_put(map);
	pvio_mapping_put(region.mapping);
	munmap(big, region.size);
}
END_TEST

/* R15 */
START_TEST(huge_length_gets_length_0)
{
	struct rig_chain bad = rig_chain(&rig, "r16 w1");

	rig_desc(&rig, bad, 1)->len = UINT32_MAX;
	rig_publish(&rig, bad);
	rig_expect_refused(&rig, bad, PVIO_FAULT_ADDRESS);
}
END_TEST

/* R16 */
START_TEST(readable_after_writable_gets_length_0)
{
	rig_expect_refused(&rig, rig_add(&rig, "r16 w64 r16"), PVIO_FAULT_ORDER);
}
END_TEST

/* R17: a readable segment is never offered for writing */
START_TEST(readable_segment_is_not_written)
{
	struct rig_chain id = rig_add(&rig, "r16 r1");

	ck_assert_uint_eq(rig_serve(&rig), 1);
	rig_expect_used(&rig, id.id, 0);
	rig_expect_sound(&rig);
}
END_TEST

static void *flip_descriptor(void *arg)
{
	struct vring_desc *desc = guest_ring_raw_desc(rig.ring);
	const bool *stop = arg;
	unsigned int i;

	for (i = 0; !pvio_load_once(stop); i++) {
		uint64_t *word = (uint64_t *)&desc[0];

		/* Good; far away; endless; a loop. */
		pvio_store_once(&word[0], i & 1 ? RIG_LOW_GPA : RIG_HOLE_GPA);
		pvio_store_once(&word[1],
				(i & 2 ? 64 : UINT32_MAX) |
					(uint64_t)(i & 4 ? 3 : 2) << 32);
	}
	return NULL;
}

/* R26: whatever the driver makes of a descriptor, what we got was checked */
START_TEST(descriptor_that_changes_is_used_as_it_was_checked)
{
	const uint8_t *low = pvio_mapping_host(rig.mapping[1]);
	struct vring_avail *avail = guest_ring_raw_driver(rig.ring);
	struct rig_chain first;
	bool stop = false;
	pthread_t driver;
	unsigned int i, s;

	/* What it has before the other thread runs. */
	first = rig_chain(&rig, "w64");
	rig_desc(&rig, first, 0)->addr = RIG_LOW_GPA;
	rig_publish(&rig, first);
	rig_serve(&rig);
	ck_assert_int_eq(pthread_create(&driver, NULL, flip_descriptor, &stop),
			 0);
	for (i = 2; i <= 20000; i++) {
		struct pvio_chain *chain;

		pvio_store_release(&avail->idx, (uint16_t)i);
		chain = pvio_vq_pop(rig.vq);
		if (!chain)
			continue;
		ck_assert_uint_eq(chain->nr_readable, 0);
		ck_assert_uint_eq(chain->writable, chain->nr_writable * 64);
		for (s = 0; s < chain->nr_writable; s++) {
			ck_assert_ptr_eq(chain->iov[s].iov_base, low);
			ck_assert_uint_eq(chain->iov[s].iov_len, 64);
		}
		pvio_vq_push(rig.vq, chain, 64);
		pvio_vq_flush(rig.vq);
	}
	pvio_store_once(&stop, true);
	pthread_join(driver, NULL);
	ck_assert_int_eq(rig.vq->state, PVIO_VQ_RUNNING);
}
END_TEST

/* R28: a buffer on the rings themselves, which the device overwrites */
START_TEST(buffer_on_the_ring_does_not_touch_our_state)
{
	struct vring_used *used = guest_ring_raw_device(rig.ring);
	struct rig_chain bad;
	struct pvio_chain *taken[2];
	uint8_t junk[256];
	unsigned int i;

	memset(junk, 0xee, sizeof(junk));
	rig_add(&rig, "r16 w256@ring");
	bad = rig_chain(&rig, "w64");

	/* And one on the used ring, index and all. */
	rig_desc(&rig, bad, 0)->addr = rig.setup.device;
	rig_publish(&rig, bad);
	/* Both are taken, then both are overwritten. */
	for (i = 0; i < 2; i++)
		taken[i] = pvio_vq_pop(rig.vq);
	for (i = 0; i < 2; i++) {
		ck_assert_ptr_nonnull(taken[i]);
		pvio_iov_put(pvio_chain_writable(taken[i]), 1, 0, junk,
			     taken[i]->writable);
		pvio_vq_push(rig.vq, taken[i], taken[i]->writable);
	}
	pvio_vq_flush(rig.vq);
	ck_assert_uint_eq(rig.vq->next_used, 2);
	ck_assert_uint_eq(rig.vq->next_avail, 2);
	ck_assert_uint_eq(le16toh(used->idx), 2);
	ck_assert_uint_eq(le32toh(used->ring[1].id), bad.id);
	ck_assert_uint_eq(le32toh(used->ring[1].len), 64);
	/* The driver puts its descriptors right: all is well. */
	rig.used_idx = 2;
	rig_expect_sound(&rig);
}
END_TEST

/* R29 */
START_TEST(used_ring_is_not_read_back)
{
	struct vring_used *used = guest_ring_raw_device(rig.ring);
	static const uint8_t junk[64] = { 0xff, 0xee, 0xdd, 0xcc };
	struct rig_chain chain;

	rig_expect_sound(&rig);
	rig_poke(&rig, used, junk, sizeof(junk));
	chain = rig_add(&rig, "r16 w8");
	ck_assert_uint_eq(rig_serve(&rig), 1);
	ck_assert_uint_eq(le16toh(used->idx), 2);
	rig_expect_used(&rig, chain.id, 8);
	rig_expect_sound(&rig);
}
END_TEST

/* R30 */
START_TEST(unknown_flags_are_ignored)
{
	struct rig_chain chain = rig_chain(&rig, "r16 w8");

	rig_desc(&rig, chain, 0)->flags |= 0xfff8;
	rig_desc(&rig, chain, 1)->flags |= 0x8000;
	rig_publish(&rig, chain);
	ck_assert_uint_eq(rig_serve(&rig), 1);
	rig_expect_used(&rig, chain.id, 8);
	rig_expect_sound(&rig);
}
END_TEST

static bool was_notified(void)
{
	uint64_t n;

	return read(rig.call_fd, &n, sizeof(n)) == sizeof(n);
}

/* R31: the driver's flags, garbage but for bit 0 */
START_TEST(only_bit_0_of_available_flags_counts)
{
	struct vring_avail *avail = guest_ring_raw_driver(rig.ring);
	uint16_t flags = htole16(0xfffe);

	rig_poke(&rig, &avail->flags, &flags, 2);
	rig_add(&rig, "w8");
	rig_serve(&rig);
	ck_assert(was_notified());
	flags = htole16(0xffff);
	rig_poke(&rig, &avail->flags, &flags, 2);
	rig_add(&rig, "w8");
	rig_serve(&rig);
	ck_assert(!was_notified());
}
END_TEST

/* R31: used_event as 2.7.7.2 has it, over the wrap of the index */
START_TEST(used_event_is_honoured_over_the_wrap)
{
	struct vring_avail *avail;
	unsigned int used, i;

	rig_fini(&rig);
	rig_init_idle(&rig, SIZE, GUEST_RING_EVENT_IDX);
	/* A ring that has run for a while. */
	rig.setup.position.avail = rig.setup.position.used = 0xfff0;
	rig.avail_idx = rig.used_idx = 0xfff0;
	rig_skip_available(&rig, 0);
	ck_assert_int_eq(rig_start(&rig), 0);
	avail = guest_ring_raw_driver(rig.ring);
	for (i = 0; i < 64; i++) {
		uint16_t event, value;
		bool wanted;

		used = rig.vq->next_used;
		event = (uint16_t)(used + i % 5 - 2);
		value = htole16(event);
		rig_poke(&rig, &avail->ring[SIZE], &value, 2);
		/* Two at once: notify when event is one of them. */
		rig_add(&rig, "w8");
		rig_add(&rig, "w8");
		rig_serve(&rig);
		wanted = event == (uint16_t)used ||
			 event == (uint16_t)(used + 1);
		ck_assert_int_eq(was_notified(), wanted);
		rig.nr_grants = 0;
		guest_alloc_reset(&rig.mem);
		rig.mem.region[0].used = 512 << 10;
	}
}
END_TEST

/* R32 */
START_TEST(looking_at_an_empty_ring_is_harmless)
{
	unsigned int i;

	for (i = 0; i < 100000; i++) {
		ck_assert_ptr_null(pvio_vq_pop(rig.vq));
		ck_assert(!pvio_vq_enable_kick(rig.vq));
		pvio_vq_disable_kick(rig.vq);
		pvio_vq_flush(rig.vq);
	}
	ck_assert(!was_notified());
	rig_expect_sound(&rig);
}
END_TEST

/* R33: in tests/unit/check_queue.c for every kind; here with a bad one */
START_TEST(in_order_holds_with_a_refused_chain_in_between)
{
	struct pvio_chain *a, *c;
	struct rig_chain ids[3];

	rig_fini(&rig);
	rig_init(&rig, SIZE, GUEST_RING_IN_ORDER);
	ids[0] = rig_add(&rig, "w8");
	ids[1] = rig_add(&rig, "w8@hole");
	ids[2] = rig_add(&rig, "w8");
	a = pvio_vq_pop(rig.vq);
	c = pvio_vq_pop(rig.vq);
	ck_assert_ptr_nonnull(c);
	pvio_vq_push(rig.vq, c, 8);
	pvio_vq_flush(rig.vq);
	rig_expect_none_used(&rig);
	pvio_vq_push(rig.vq, a, 8);
	pvio_vq_flush(rig.vq);
	rig_expect_used(&rig, ids[0].id, 8);
	rig_expect_used(&rig, ids[1].id, 0);
	rig_expect_used(&rig, ids[2].id, 8);
	rig_expect_sound(&rig);
}
END_TEST

/* R34: the file under the ring shrinks */
START_TEST(ring_memory_that_goes_away_asks_for_reset)
{
	rig_expect_sound(&rig);
	ck_assert_int_eq(ftruncate(rig.mem.region[0].fd, 0), 0);
	ck_assert_ptr_null(pvio_vq_pop(rig.vq));
	ck_assert_int_eq(rig.vq->state, PVIO_VQ_BROKEN);
	/* The driver's own mapping is gone too; give it back to tear down. */
	ck_assert_int_eq(ftruncate(rig.mem.region[0].fd, RIG_RAM_BYTES), 0);
}
END_TEST

/* R35: it is put together; one that leaves memory does not start. */
START_TEST(ring_may_straddle_regions_and_not_leave_them)
{
	struct pvio_vq_setup good = rig.setup;

	pvio_vq_stop(rig.vq);
	rig.setup.desc = RIG_HIGH_GPA - 16;
	ck_assert_int_eq(rig_start(&rig), 0);
	pvio_vq_stop(rig.vq);
	rig.setup = good;
	rig.setup.driver = RIG_HOLE_GPA - 2;
	ck_assert_int_eq(rig_start(&rig), -EFAULT);
	rig.setup = good;
	rig.setup.device = UINT64_MAX - 3;
	ck_assert_int_eq(rig_start(&rig), -EFAULT);
	rig.setup = good;
	rig.setup.desc += 8;
	ck_assert_int_eq(rig_start(&rig), -EINVAL);
	rig.setup = good;
	rig.setup.driver += 1;
	ck_assert_int_eq(rig_start(&rig), -EINVAL);
	rig.setup = good;
	rig.setup.device += 2;
	ck_assert_int_eq(rig_start(&rig), -EINVAL);
	rig.setup = good;
	ck_assert_int_eq(rig_start(&rig), 0);
	rig_expect_sound(&rig);
}
END_TEST

/* R35: parts that overlap harm their owner only */
START_TEST(ring_parts_may_overlap)
{
	struct pvio_chain *chain;
	unsigned int i;

	rig_add(&rig, "r16 w8");
	pvio_vq_stop(rig.vq);
	rig.setup.device = rig.setup.desc;
	ck_assert_int_eq(rig_start(&rig), 0);
	for (i = 0; i < 100; i++) {
		chain = pvio_vq_pop(rig.vq);
		if (chain)
			pvio_vq_push(rig.vq, chain, 8);
		pvio_vq_flush(rig.vq);
	}
}
END_TEST

/* Sizes that no split ring has (virtio 1.4, 2.7) */
START_TEST(size_that_is_no_power_of_two_does_not_start)
{
	static const uint16_t bad[] = { 0, 3, 15, 32769, 65535 };

	pvio_vq_stop(rig.vq);
	for (size_t i = 0; i < pvio_array_size(bad); i++) {
		rig.setup.size = bad[i];
		ck_assert_int_eq(rig_start(&rig), -EINVAL);
	}
	rig.setup.size = SIZE;
	/* U22: a position that contradicts itself */
	rig.setup.position.avail = SIZE + 1;
	ck_assert_int_eq(rig_start(&rig), -EPROTO);
	rig.setup.position.avail = 0;
	ck_assert_int_eq(rig_start(&rig), 0);
	rig_expect_sound(&rig);
}
END_TEST

CHECK_MAIN("split ring, hostile", setup, teardown,
	   chain_that_points_at_itself_gets_length_0,
	   chain_that_loops_gets_length_0,
	   chain_longer_than_the_queue_gets_length_0,
	   chain_as_long_as_the_queue_is_served, next_past_the_table_gets_length_0,
	   head_past_the_table_is_skipped,
	   available_index_that_jumps_asks_for_reset,
	   available_index_that_goes_back_asks_for_reset,
	   available_index_a_whole_ring_ahead_is_served,
	   refusing_is_bounded_in_one_pop, live_available_index_cannot_hold_a_pop,
	   head_in_flight_is_not_taken_twice, buffer_outside_memory_gets_length_0,
	   buffer_that_wraps_gets_length_0,
	   buffer_across_regions_is_translated_in_pieces,
	   many_buffers_across_regions_are_served,
	   buffer_that_runs_into_a_hole_gets_length_0_and_no_byte,
	   empty_descriptors_are_skipped, loop_of_empty_descriptors_gets_length_0,
	   total_length_of_4_gib_gets_length_0, huge_length_gets_length_0,
	   readable_after_writable_gets_length_0, readable_segment_is_not_written,
	   descriptor_that_changes_is_used_as_it_was_checked,
	   buffer_on_the_ring_does_not_touch_our_state, used_ring_is_not_read_back,
	   unknown_flags_are_ignored, only_bit_0_of_available_flags_counts,
	   used_event_is_honoured_over_the_wrap,
	   looking_at_an_empty_ring_is_harmless,
	   in_order_holds_with_a_refused_chain_in_between,
	   ring_memory_that_goes_away_asks_for_reset,
	   ring_may_straddle_regions_and_not_leave_them, ring_parts_may_overlap,
	   size_that_is_no_power_of_two_does_not_start)
