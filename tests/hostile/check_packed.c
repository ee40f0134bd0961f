/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_packed.c - packed rings: what a hostile driver gets
 *
 * As check_split.c.  What both kinds of ring share (addresses, order, lengths)
 * is tested here again, since another walker does it.
 */
#include "tests/check_main.h"
#include "tests/rig.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define SIZE 16
#define AVAIL ((uint16_t)(1u << VRING_PACKED_DESC_F_AVAIL))
#define USED  ((uint16_t)(1u << VRING_PACKED_DESC_F_USED))

static struct rig rig;

static void setup(void)
{
	rig_init(&rig, SIZE, GUEST_RING_PACKED | GUEST_RING_INDIRECT);
}

static void teardown(void)
{
	rig_fini(&rig);
}

static void restart(uint16_t size, unsigned int flags)
{
	rig_fini(&rig);
	rig_init(&rig, size, GUEST_RING_PACKED | flags);
}

static bool was_notified(void)
{
	uint64_t n;

	return read(rig.call_fd, &n, sizeof(n)) == sizeof(n);
}

/* Set the flags of ring entry @i as they are, without help. */
static void poke_flags(unsigned int i, uint16_t flags)
{
	struct vring_packed_desc *desc = guest_ring_raw_desc(rig.ring);
	uint16_t value = htole16(flags);

	rig_poke(&rig, &desc[i].flags, &value, 2);
}

/* P01: every combination of the two bits, for both wraps */
START_TEST(only_avail_set_and_used_clear_is_available)
{
	poke_flags(0, AVAIL | USED);
	ck_assert_ptr_null(pvio_vq_pop(rig.vq));
	poke_flags(0, USED);
	ck_assert_ptr_null(pvio_vq_pop(rig.vq));
	ck_assert(!pvio_vq_has_available(rig.vq));
	poke_flags(0, 0);
	ck_assert_ptr_null(pvio_vq_pop(rig.vq));
	ck_assert(!pvio_vq_enable_kick(rig.vq));
	rig_expect_sound(&rig);
}
END_TEST

/* P01: what was used in this round looks used, not available, in the next */
START_TEST(stale_descriptors_of_the_round_before_are_not_available)
{
	unsigned int i;

	for (i = 0; i < SIZE; i++) {
		struct rig_chain chain = rig_add(&rig, "w8");

		ck_assert_uint_eq(rig_serve(&rig), 1);
		rig_expect_used(&rig, chain.id, 8);
	}
	ck_assert(!rig.vq->avail_wrap);
	ck_assert_ptr_null(pvio_vq_pop(rig.vq));
	ck_assert(!pvio_vq_has_available(rig.vq));
	/* Available for the round before. */
	poke_flags(0, AVAIL);
	ck_assert_ptr_null(pvio_vq_pop(rig.vq));
	rig_expect_sound(&rig);
}
END_TEST

/* P02: NEXT without end, all of the ring */
START_TEST(chain_longer_than_the_ring_asks_for_reset)
{
	struct rig_chain bad = rig_chain(
		&rig, "r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 w1");
	unsigned int i;

	for (i = 0; i < SIZE; i++)
		rig_desc(&rig, bad, i)->flags |= VRING_DESC_F_NEXT;
	rig_publish(&rig, bad);
	ck_assert_uint_eq(rig_serve(&rig), 0);
	rig_expect_reset(&rig);
}
END_TEST

/* P02: NEXT into what is in flight */
START_TEST(chain_into_what_is_in_flight_asks_for_reset)
{
	struct pvio_chain *held;
	struct rig_chain bad;

	rig_add(&rig, "r1 w1");
	held = pvio_vq_pop(rig.vq);
	ck_assert_ptr_nonnull(held);
	bad = rig_chain(&rig, "r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 w1");
	rig_desc(&rig, bad, 13)->flags |= VRING_DESC_F_NEXT;
	rig_publish(&rig, bad);
	/* Entries 0 and 1, which we have, made available for the next round. */
	poke_flags(0, USED | VRING_DESC_F_NEXT);
	poke_flags(1, USED);
	ck_assert_ptr_null(pvio_vq_pop(rig.vq));
	ck_assert_int_eq(rig.vq->state, PVIO_VQ_BROKEN);
	/* What a model still has it can give back. */
	pvio_vq_push(rig.vq, held, 1);
	pvio_vq_flush(rig.vq);
	rig_expect_reset(&rig);
}
END_TEST

/* P02: as long as the ring is legal */
START_TEST(chain_as_long_as_the_ring_is_served)
{
	struct rig_chain chain = rig_add(
		&rig, "r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 r1 w1");

	ck_assert_uint_eq(rig_serve(&rig), 1);
	rig_expect_used(&rig, chain.id, 1);
	rig_expect_sound(&rig);
}
END_TEST

/* P03 */
START_TEST(ids_are_given_back_and_mean_nothing)
{
	static const uint16_t ids[] = { 0xffff, SIZE, 0x8000, 7, 7 };
	struct pvio_chain *chain[5];

	for (unsigned int i = 0; i < 5; i++) {
		rig.next_id = ids[i];
		rig_add(&rig, "w8");
		chain[i] = pvio_vq_pop(rig.vq);
		ck_assert_ptr_nonnull(chain[i]);
		ck_assert_uint_lt(chain[i]->slot, SIZE);
		for (unsigned int j = 0; j < i; j++)
			ck_assert_uint_ne(chain[i]->slot, chain[j]->slot);
	}
	for (unsigned int i = 0; i < 5; i++) {
		pvio_vq_push(rig.vq, chain[i], 8);
		pvio_vq_flush(rig.vq);
		rig_expect_used(&rig, ids[i], 8);
	}
	rig.next_id = 1;
	rig_expect_sound(&rig);
}
END_TEST

/* P04 */
START_TEST(chain_whose_rest_is_not_available_asks_for_reset)
{
	struct rig_chain bad = rig_chain(&rig, "r16 w8 w8");

	rig_publish(&rig, bad);
	poke_flags(bad.first + 1u, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE);
	ck_assert_uint_eq(rig_serve(&rig), 0);
	rig_expect_reset(&rig);
}
END_TEST

/* P05 */
START_TEST(indirect_with_next_gets_length_0)
{
	struct rig_chain bad = rig_chain(&rig, "(r16 w8) w1");

	rig_publish(&rig, bad);
	rig_expect_refused(&rig, bad, PVIO_FAULT_INDIRECT);
}
END_TEST

/* P05 */
START_TEST(table_at_the_end_of_a_chain_gets_length_0)
{
	struct rig_chain bad = rig_chain(&rig, "r16 (w8)");

	rig_publish(&rig, bad);
	rig_expect_refused(&rig, bad, PVIO_FAULT_INDIRECT);
}
END_TEST

/* P05: NEXT, ids and unknown bits inside a table are reserved: ignored */
START_TEST(reserved_bits_in_a_table_are_ignored)
{
	struct rig_chain chain = rig_chain(&rig, "(r16 w8 w1)");
	unsigned int i;

	for (i = 0; i < 3; i++) {
		rig.table[i].flags |= VRING_DESC_F_NEXT | AVAIL | 0x7f00;
		rig.table[i].next = 0xffff;
	}
	rig_publish(&rig, chain);
	ck_assert_uint_eq(rig_serve(&rig), 1);
	rig_expect_used(&rig, chain.id, 9);
	rig_expect_sound(&rig);
}
END_TEST

/* P05 (R19) */
START_TEST(table_in_a_table_gets_length_0)
{
	struct rig_chain bad = rig_chain(&rig, "(r16 w1)");

	rig.table[1].flags |= VRING_DESC_F_INDIRECT;
	rig.table[1].addr = rig.table_gpa;
	rig.table[1].len = 16;
	rig_publish(&rig, bad);
	rig_expect_refused(&rig, bad, PVIO_FAULT_INDIRECT);
}
END_TEST

/* P06 */
START_TEST(table_of_no_or_odd_length_gets_length_0_and_the_ring_advances)
{
	static const uint32_t len[] = { 0, 1, 15, 17, (SIZE + 1) * 16,
					UINT32_MAX, 0x10000000 };

	for (size_t i = 0; i < pvio_array_size(len); i++) {
		struct rig_chain bad = rig_chain(&rig, "(r16 w1)");

		rig_desc(&rig, bad, 0)->len = len[i];
		rig_publish(&rig, bad);
		ck_assert_uint_eq(rig_serve(&rig), 0);
		ck_assert_uint_eq(rig.vq->next_avail, i + 1);
		rig_expect_used(&rig, bad.id, 0);
		ck_assert_uint_eq(rig_faults(&rig, PVIO_FAULT_INDIRECT),
				  i + 1);
	}
	rig_expect_sound(&rig);
}
END_TEST

/* R18 */
START_TEST(indirect_without_the_feature_gets_length_0)
{
	struct rig_chain bad;

	restart(SIZE, 0);
	bad = rig_add(&rig, "(r16 w1)");
	rig_expect_refused(&rig, bad, PVIO_FAULT_INDIRECT);
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

/* P07: what the driver's event structure may hold */
START_TEST(unknown_suppression_flags_mean_notify)
{
	uint32_t event = htole32(3u << 16 | 0x1234);

	rig_poke(&rig, guest_ring_raw_driver(rig.ring), &event, 4);
	rig_add(&rig, "w8");
	rig_serve(&rig);
	ck_assert(was_notified());
	event = htole32(1u << 16);
	rig_poke(&rig, guest_ring_raw_driver(rig.ring), &event, 4);
	rig_add(&rig, "w8");
	rig_serve(&rig);
	ck_assert(!was_notified());
	/* An offset without the feature for it. */
	event = htole32(2u << 16);
	rig_poke(&rig, guest_ring_raw_driver(rig.ring), &event, 4);
	rig_add(&rig, "w8");
	rig_serve(&rig);
	ck_assert(was_notified());
	/* Reserved bits are no flags. */
	event = htole32(0xfffdu << 16);
	rig_poke(&rig, guest_ring_raw_driver(rig.ring), &event, 4);
	rig_add(&rig, "w8");
	rig_serve(&rig);
	ck_assert(!was_notified());
}
END_TEST

/* P07: an offset past the ring is answered somehow, and soon */
START_TEST(event_offset_past_the_ring_is_harmless)
{
	unsigned int off;

	restart(SIZE, GUEST_RING_EVENT_IDX);
	for (off = 0; off < 65536; off += 4095) {
		uint32_t event = htole32(2u << 16 | off);

		rig_poke(&rig, guest_ring_raw_driver(rig.ring), &event, 4);
		rig_add(&rig, "w8");
		ck_assert_uint_eq(rig_serve(&rig), 1);
		rig.nr_grants = 0;
	}
	ck_assert_int_eq(rig.vq->state, PVIO_VQ_RUNNING);
}
END_TEST

/* P07: the position asked for is never missed, over the wrap */
START_TEST(event_offset_is_honoured_over_the_wrap)
{
	unsigned int i;

	restart(SIZE, GUEST_RING_EVENT_IDX);
	for (i = 0; i < 5 * SIZE; i++) {
		unsigned int used = rig.vq->next_used;
		bool wrap = rig.vq->used_wrap;
		unsigned int at = used + i % 4; /* 0, 1: in this batch */
		uint32_t event;

		if (at >= SIZE) {
			at -= SIZE;
			wrap = !wrap;
		}
		event = htole32(2u << 16 | (wrap ? 0x8000u : 0) | at);
		rig_poke(&rig, guest_ring_raw_driver(rig.ring), &event, 4);
		rig_add(&rig, "w8");
		rig_add(&rig, "w8");
		ck_assert_uint_eq(rig_serve(&rig), 2);
		ck_assert_int_eq(was_notified(), i % 4 < 2);
		rig.nr_grants = 0;
		rig.mem.region[0].used = 512 << 10;
	}
}
END_TEST

/* P08 */
START_TEST(sizes_that_are_legal_are_served)
{
	static const uint16_t size[] = { 1, 3, 7, 100, 1000 };

	for (size_t i = 0; i < pvio_array_size(size); i++) {
		unsigned int n;

		restart(size[i], 0);
		for (n = 0; n < 3u * size[i]; n++) {
			struct rig_chain chain = rig_add(&rig, "w8");

			ck_assert_uint_eq(rig_serve(&rig), 1);
			rig_expect_used(&rig, chain.id, 8);
			rig.mem.region[0].used = 512 << 10;
		}
		rig_expect_untouched(&rig);
	}
}
END_TEST

/* P08, P12 */
START_TEST(sizes_and_places_that_are_not_legal_do_not_start)
{
	struct pvio_vq_setup good = rig.setup;

	pvio_vq_stop(rig.vq);
	rig.setup.size = 0;
	ck_assert_int_eq(rig_start(&rig), -EINVAL);
	rig.setup.size = 32769;
	ck_assert_int_eq(rig_start(&rig), -EINVAL);
	rig.setup = good;
	rig.setup.desc += 8;
	ck_assert_int_eq(rig_start(&rig), -EINVAL);
	rig.setup = good;
	rig.setup.driver += 2;
	ck_assert_int_eq(rig_start(&rig), -EINVAL);
	rig.setup = good;
	rig.setup.device = RIG_HOLE_GPA;
	ck_assert_int_eq(rig_start(&rig), -EFAULT);
	rig.setup = good;
	rig.setup.desc = RIG_HIGH_GPA - 16;
	ck_assert_int_eq(rig_start(&rig), 0);
	pvio_vq_stop(rig.vq);
	rig.setup.desc = RIG_HOLE_GPA - 16;
	ck_assert_int_eq(rig_start(&rig), -EFAULT);
	/* A position outside the ring */
	rig.setup = good;
	rig.setup.position.avail = SIZE;
	ck_assert_int_eq(rig_start(&rig), -EINVAL);
	rig.setup = good;
	rig.setup.position.used = 0x7fff;
	ck_assert_int_eq(rig_start(&rig), -EINVAL);
	rig.setup = good;
	ck_assert_int_eq(rig_start(&rig), 0);
	rig_expect_sound(&rig);
}
END_TEST

/* P09 */
START_TEST(descriptor_rewritten_while_we_have_it_changes_nothing)
{
	struct vring_packed_desc *desc = guest_ring_raw_desc(rig.ring);
	struct rig_chain id = rig_add(&rig, "r16 w64");
	struct pvio_chain *chain = pvio_vq_pop(rig.vq);
	static const uint8_t junk[32] = { 0xff, 0xff, 0xff };
	struct iovec seg;

	ck_assert_ptr_nonnull(chain);
	seg = chain->iov[1];
	rig_poke(&rig, desc, junk, sizeof(junk));
	ck_assert_ptr_eq(chain->iov[1].iov_base, seg.iov_base);
	ck_assert_uint_eq(chain->iov[1].iov_len, 64);
	ck_assert_uint_eq(chain->id, id.id);
	pvio_vq_push(rig.vq, chain, 64);
	pvio_vq_flush(rig.vq);
	rig_expect_used(&rig, id.id, 64);
	rig_expect_sound(&rig);
}
END_TEST

/* P10 */
START_TEST(chains_over_the_end_of_the_ring_are_served_for_ever)
{
	unsigned int i;

	restart(7, 0);
	for (i = 0; i < 70000; i++) {
		struct rig_chain chain =
			rig_add(&rig, i % 2 ? "r4 w4 w4" : "r4 w4");

		ck_assert_uint_eq(rig_serve(&rig), 1);
		rig_expect_used(&rig, chain.id, i % 2 ? 8 : 4);
		rig.answered[chain.id] = rig.made_available[chain.id] = 0;
		rig.mem.region[0].used = 512 << 10;
	}
	rig_expect_sound(&rig);
}
END_TEST

/* P11 */
START_TEST(used_is_written_without_reading_what_is_there)
{
	struct pvio_chain *a, *b;
	struct rig_chain ids[2];

	ids[0] = rig_add(&rig, "w8");
	ids[1] = rig_add(&rig, "w8");
	a = pvio_vq_pop(rig.vq);
	b = pvio_vq_pop(rig.vq);
	/* The driver marks both as used, and as available, itself. */
	poke_flags(0, AVAIL | USED);
	poke_flags(1, USED);
	pvio_vq_push(rig.vq, b, 8);
	pvio_vq_push(rig.vq, a, 8);
	pvio_vq_flush(rig.vq);
	rig_expect_used(&rig, ids[1].id, 8);
	rig_expect_used(&rig, ids[0].id, 8);
	rig_expect_sound(&rig);
}
END_TEST

/* P13 */
START_TEST(split_ring_after_reset_is_a_split_ring)
{
	rig_expect_sound(&rig);
	rig_fini(&rig);
	rig_init(&rig, SIZE, 0);
	rig_expect_sound(&rig);
	restart(SIZE, 0);
	ck_assert(rig.vq->avail_wrap && rig.vq->used_wrap);
	rig_expect_sound(&rig);
}
END_TEST

/* R09, R10, R12, R15 */
START_TEST(buffers_outside_memory_get_length_0)
{
	static const char *const text[] = { "r16 w64@hole", "r16 w64@wrap",
					    "r16 w64 w64@edge",
					    "r4294967295@ring w1",
					    "(r16 w64@hole)" };

	for (size_t i = 0; i < pvio_array_size(text); i++) {
		struct rig_chain bad = rig_add(&rig, text[i]);

		ck_assert_uint_eq(rig_serve(&rig), 0);
		rig_expect_used(&rig, bad.id, 0);
		ck_assert_uint_eq(rig_faults(&rig, PVIO_FAULT_ADDRESS), i + 1);
	}
	rig_expect_sound(&rig);
}
END_TEST

/* R11, R13 */
START_TEST(pieces_and_empty_descriptors_are_served)
{
	struct rig_chain id = rig_add(&rig, "r0 r64@span w0 w64@span w8 w0");
	struct pvio_chain *chain = pvio_vq_pop(rig.vq);

	ck_assert_ptr_nonnull(chain);
	ck_assert_uint_eq(chain->nr_readable, 2);
	ck_assert_uint_eq(chain->nr_writable, 3);
	ck_assert_uint_eq(chain->writable, 72);
	pvio_vq_push(rig.vq, chain, 72);
	pvio_vq_flush(rig.vq);
	rig_expect_used(&rig, id.id, 72);
	rig_expect_sound(&rig);
}
END_TEST

/* R16 */
START_TEST(readable_after_writable_gets_length_0)
{
	rig_expect_refused(&rig, rig_add(&rig, "r16 w64 r16"), PVIO_FAULT_ORDER);
}
END_TEST

static void *flip_descriptor(void *arg)
{
	struct vring_packed_desc *desc = guest_ring_raw_desc(rig.ring);
	const bool *stop = arg;
	unsigned int i;

	for (i = 0; !pvio_load_once(stop); i++) {
		uint64_t *word = (uint64_t *)&desc[i % 2];
		uint16_t flags = AVAIL | VRING_DESC_F_WRITE |
				 (i & 8 ? VRING_DESC_F_NEXT : 0);

		pvio_store_once(&word[0], i & 2 ? RIG_LOW_GPA : RIG_HOLE_GPA);
		pvio_store_once(&word[1], (i & 4 ? 64 : UINT32_MAX) |
						  (uint64_t)flags << 48);
	}
	return NULL;
}

/* R26 */
START_TEST(descriptor_that_changes_is_used_as_it_was_checked)
{
	const uint8_t *low = pvio_mapping_host(rig.mapping[1]);
	bool stop = false;
	pthread_t driver;
	unsigned int i, s;

	ck_assert_int_eq(pthread_create(&driver, NULL, flip_descriptor, &stop),
			 0);
	for (i = 0; i < 20000; i++) {
		struct pvio_chain *chain = pvio_vq_pop(rig.vq);

		if (rig.vq->state == PVIO_VQ_BROKEN || rig.vq->next_used > 4 ||
		    rig.vq->next_avail > 4) {
			/* A long or a torn one, or far enough: begin again. */
			if (chain)
				pvio_vq_push(rig.vq, chain, 0);
			pvio_vq_stop(rig.vq);
			ck_assert_int_eq(rig_start(&rig), 0);
			continue;
		}
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
}
END_TEST

/* R34 */
START_TEST(ring_memory_that_goes_away_asks_for_reset)
{
	rig_expect_sound(&rig);
	ck_assert_int_eq(ftruncate(rig.mem.region[0].fd, 0), 0);
	ck_assert_ptr_null(pvio_vq_pop(rig.vq));
	ck_assert_int_eq(rig.vq->state, PVIO_VQ_BROKEN);
	ck_assert_int_eq(ftruncate(rig.mem.region[0].fd, RIG_RAM_BYTES), 0);
}
END_TEST

CHECK_MAIN("packed ring, hostile", setup, teardown,
	   only_avail_set_and_used_clear_is_available,
	   stale_descriptors_of_the_round_before_are_not_available,
	   chain_longer_than_the_ring_asks_for_reset,
	   chain_into_what_is_in_flight_asks_for_reset,
	   chain_as_long_as_the_ring_is_served,
	   ids_are_given_back_and_mean_nothing,
	   chain_whose_rest_is_not_available_asks_for_reset,
	   indirect_with_next_gets_length_0,
	   table_at_the_end_of_a_chain_gets_length_0,
	   reserved_bits_in_a_table_are_ignored,
	   table_in_a_table_gets_length_0,
	   table_of_no_or_odd_length_gets_length_0_and_the_ring_advances,
	   indirect_without_the_feature_gets_length_0,
	   table_outside_memory_gets_length_0,
	   unknown_suppression_flags_mean_notify,
	   event_offset_past_the_ring_is_harmless,
	   event_offset_is_honoured_over_the_wrap,
	   sizes_that_are_legal_are_served,
	   sizes_and_places_that_are_not_legal_do_not_start,
	   descriptor_rewritten_while_we_have_it_changes_nothing,
	   chains_over_the_end_of_the_ring_are_served_for_ever,
	   used_is_written_without_reading_what_is_there,
	   split_ring_after_reset_is_a_split_ring,
	   buffers_outside_memory_get_length_0,
	   pieces_and_empty_descriptors_are_served,
	   readable_after_writable_gets_length_0,
	   descriptor_that_changes_is_used_as_it_was_checked,
	   ring_memory_that_goes_away_asks_for_reset)
