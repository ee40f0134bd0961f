/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_split_indirect.c - split rings: what hostile indirect tables get
 *
 * As check_split.c.
 */
#include "tests/check_main.h"
#include "tests/rig.h"

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

/* R18 */
START_TEST(indirect_without_the_feature_gets_length_0)
{
	struct rig_chain bad;

	rig_fini(&rig);
	rig_init(&rig, SIZE, 0);
	bad = rig_add(&rig, "(r16 w1)");
	rig_expect_refused(&rig, bad, PVIO_FAULT_INDIRECT);
}
END_TEST

/* R19 */
START_TEST(table_in_a_table_gets_length_0)
{
	struct rig_chain bad = rig_chain(&rig, "(r16 w1)");

	rig.table[1].flags = VRING_DESC_F_INDIRECT;
	rig.table[1].addr = rig.table_gpa;
	rig.table[1].len = 16;
	rig_publish(&rig, bad);
	rig_expect_refused(&rig, bad, PVIO_FAULT_INDIRECT);
}
END_TEST

/* R20 */
START_TEST(indirect_with_next_gets_length_0)
{
	struct rig_chain bad = rig_chain(&rig, "(r16 w1) w1");

	rig_publish(&rig, bad);
	rig_expect_refused(&rig, bad, PVIO_FAULT_INDIRECT);
}
END_TEST

/* R21 */
START_TEST(table_of_no_or_odd_length_gets_length_0)
{
	static const uint32_t len[] = { 0, 1, 15, 17, (SIZE + 1) * 16,
					UINT32_MAX, 0x10000000 };

	rig_desc(&rig, rig_chain(&rig, "r1"), 0); /* not at 0 */
	for (size_t i = 0; i < pvio_array_size(len); i++) {
		struct rig_chain bad = rig_chain(&rig, "(r16 w1)");

		rig_desc(&rig, bad, 0)->len = len[i];
		rig_publish(&rig, bad);
		ck_assert_uint_eq(rig_serve(&rig), 0);
		rig_expect_used(&rig, bad.id, 0);
		ck_assert_uint_eq(rig_faults(&rig, PVIO_FAULT_INDIRECT),
				  i + 1);
	}
	rig_expect_sound(&rig);
}
END_TEST

/* R22 */
START_TEST(table_outside_memory_gets_length_0)
{
	struct rig_chain bad = rig_chain(&rig, "(r16 w1)");

	rig_desc(&rig, bad, 0)->addr = RIG_HOLE_GPA - 16;
	rig_publish(&rig, bad);
	rig_expect_refused(&rig, bad, PVIO_FAULT_ADDRESS);
}
END_TEST

/* Put the last table at @gpa instead. */
static void move_table(struct rig_chain chain, uint64_t gpa)
{
	uint8_t image[4 * 16];
	unsigned int i;

	rig_publish(&rig, chain);
	memcpy(image, guest_host(&rig.mem, rig_desc(&rig, chain, 0)->addr),
	       sizeof(image));
	for (i = 0; i < rig_desc(&rig, chain, 0)->len; i++)
		rig_poke(&rig, guest_host(&rig.mem, gpa + i), &image[i], 1);
	rig_desc(&rig, chain, 0)->addr = gpa;
	rig_poke(&rig,
		 (uint8_t *)guest_ring_raw_desc(rig.ring) + chain.first * 16,
		 &gpa, 8);
}

/* R22: it may lie across regions, and anywhere */
START_TEST(table_across_regions_or_unaligned_is_served)
{
	static const uint64_t place[] = { RIG_HIGH_GPA - 16, RIG_HIGH_GPA - 9,
					  RIG_LOW_GPA + 1 };

	for (size_t i = 0; i < pvio_array_size(place); i++) {
		struct rig_chain chain = rig_chain(&rig, "(r16 w9)");

		move_table(chain, place[i]);
		ck_assert_uint_eq(rig_serve(&rig), 1);
		rig_expect_used(&rig, chain.id, 9);
	}
	rig_expect_sound(&rig);
}
END_TEST

/* R23 */
START_TEST(write_flag_of_a_table_is_ignored)
{
	struct rig_chain chain = rig_chain(&rig, "(r16 w9)");

	rig_desc(&rig, chain, 0)->flags |= VRING_DESC_F_WRITE;
	rig_publish(&rig, chain);
	ck_assert_uint_eq(rig_serve(&rig), 1);
	rig_expect_used(&rig, chain.id, 9);
	rig_expect_sound(&rig);
}
END_TEST

/* R24 */
START_TEST(descriptors_and_then_a_table_are_served)
{
	struct rig_chain id = rig_add(&rig, "r16 r4 (r1 w9 w2)");
	struct pvio_chain *chain = pvio_vq_pop(rig.vq);

	ck_assert_ptr_nonnull(chain);
	ck_assert_uint_eq(chain->readable, 21);
	ck_assert_uint_eq(chain->writable, 11);
	pvio_vq_push(rig.vq, chain, 11);
	pvio_vq_flush(rig.vq);
	rig_expect_used(&rig, id.id, 11);
	rig_expect_sound(&rig);
}
END_TEST

/* R25 */
START_TEST(next_past_an_indirect_table_gets_length_0)
{
	struct rig_chain bad = rig_chain(&rig, "(r16 w1 w1)");

	rig.table[1].next = 3;
	rig_publish(&rig, bad);
	rig_expect_refused(&rig, bad, PVIO_FAULT_INDIRECT);
}
END_TEST

/* R25 */
START_TEST(loop_in_an_indirect_table_gets_length_0)
{
	struct rig_chain bad = rig_chain(&rig, "(r16 w1 w1)");

	rig.table[2].flags |= VRING_DESC_F_NEXT;
	rig.table[2].next = 1;
	rig_publish(&rig, bad);
	rig_expect_refused(&rig, bad, PVIO_FAULT_LOOP);
}
END_TEST

/* R25: within a table the order is the driver's */
START_TEST(table_in_any_order_is_served)
{
	struct rig_chain id = rig_chain(&rig, "(r16 w1 r3 w9)");
	struct pvio_chain *chain;

	rig.table[0].next = 2;
	rig.table[2].next = 3;
	rig.table[3].flags |= VRING_DESC_F_NEXT;
	rig.table[3].next = 1;
	rig.table[1].flags &= (uint16_t)~VRING_DESC_F_NEXT;
	rig_publish(&rig, id);
	chain = pvio_vq_pop(rig.vq);
	ck_assert_ptr_nonnull(chain);
	ck_assert_uint_eq(chain->readable, 19);
	ck_assert_uint_eq(chain->writable, 10);
	ck_assert_uint_eq(pvio_chain_writable(chain)[0].iov_len, 9);
	pvio_vq_push(rig.vq, chain, 10);
	pvio_vq_flush(rig.vq);
	rig_expect_used(&rig, id.id, 10);
	rig_expect_sound(&rig);
}
END_TEST

CHECK_MAIN("split ring, hostile tables", setup, teardown,
	   indirect_without_the_feature_gets_length_0,
	   table_in_a_table_gets_length_0, indirect_with_next_gets_length_0,
	   table_of_no_or_odd_length_gets_length_0,
	   table_outside_memory_gets_length_0,
	   table_across_regions_or_unaligned_is_served,
	   write_flag_of_a_table_is_ignored,
	   descriptors_and_then_a_table_are_served,
	   next_past_an_indirect_table_gets_length_0,
	   loop_in_an_indirect_table_gets_length_0, table_in_any_order_is_served)
