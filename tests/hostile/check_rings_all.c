/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_rings_all.c - every small ring there is
 *
 * A queue of 4, every descriptor one of a reduced alphabet, every head: all
 * combinations, exhaustively.  Each must end in an answer, and every chain that
 * comes out must lie in memory.
 */
#include "tests/check_main.h"
#include "tests/rig.h"

#define SIZE 4

static struct rig rig;

static void teardown(void)
{
	rig_fini(&rig);
}

/* Good, far away, empty; readable and writable; with every kind of flag. */
static const struct {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
} letter[] = {
	{ RIG_LOW_GPA, 64, 0 },
	{ RIG_HIGH_GPA - 8, 16, VRING_DESC_F_NEXT },
	{ RIG_LOW_GPA, 8, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE },
	{ RIG_LOW_GPA, 0, VRING_DESC_F_NEXT },
	{ RIG_HOLE_GPA - 8, 16, VRING_DESC_F_WRITE },
	{ RIG_RAM_GPA, 32, VRING_DESC_F_INDIRECT },
	{ RIG_RAM_GPA, 64, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT },
};
#define LETTERS pvio_array_size(letter)

/* Split: a letter and where it leads to, in one number. */
#define SPLIT_LETTERS (LETTERS * 3)
static const uint16_t leads_to[3] = { 0, 2, 5 };

static void expect_in_memory(const struct pvio_chain *chain)
{
	uint64_t bytes = 0;
	unsigned int i, r;

	for (i = 0; i < chain->nr_readable + chain->nr_writable; i++) {
		const uint8_t *p = chain->iov[i].iov_base;

		for (r = 0; r < RIG_REGIONS; r++) {
			const uint8_t *host =
				pvio_mapping_host(rig.mapping[r]);

			if (p >= host &&
			    p + chain->iov[i].iov_len <=
				    host + rig.map->region[r].size)
				break;
		}
		if (r == RIG_REGIONS)
			ck_abort_msg("a segment is outside memory");
		bytes += chain->iov[i].iov_len;
	}
	if (bytes != (uint64_t)chain->readable + chain->writable)
		ck_abort_msg("lengths do not add up");
}

/* Take and answer all there is; how many were answered. */
static unsigned int serve(void)
{
	uint64_t before = rig.vq->stats.completions;
	struct pvio_chain *chain;

	while ((chain = pvio_vq_pop(rig.vq))) {
		expect_in_memory(chain);
		pvio_vq_push(rig.vq, chain, 0);
	}
	pvio_vq_flush(rig.vq);
	return (unsigned int)(rig.vq->stats.completions - before);
}

START_TEST(every_split_table_of_4_is_answered)
{
	struct vring_desc *desc;
	struct vring_avail *avail;
	unsigned long n, total = 1;
	unsigned int i;
	uint16_t idx = 0;

	rig_init(&rig, SIZE, GUEST_RING_INDIRECT);
	desc = guest_ring_raw_desc(rig.ring);
	avail = guest_ring_raw_driver(rig.ring);
	for (i = 0; i < SIZE; i++)
		total *= SPLIT_LETTERS;
	for (n = 0; n < total; n++) {
		unsigned long rest = n;

		for (i = 0; i < SIZE; i++, rest /= SPLIT_LETTERS) {
			unsigned int at = (unsigned int)(rest % LETTERS);

			desc[i].addr = htole64(letter[at].addr);
			desc[i].len = htole32(letter[at].len);
			desc[i].flags = htole16(letter[at].flags);
			desc[i].next = htole16(
				leads_to[rest % SPLIT_LETTERS / LETTERS]);
		}
		/* From both ends of it. */
		avail->ring[idx++ % SIZE] = 0;
		avail->ring[idx++ % SIZE] = htole16(SIZE - 1);
		avail->idx = htole16(idx);
		if (serve() != 2 || rig.vq->state != PVIO_VQ_RUNNING)
			ck_abort_msg("table %lu has no answer", n);
	}
}
END_TEST

START_TEST(every_packed_ring_of_4_is_answered_or_breaks)
{
	struct vring_packed_desc *desc;
	unsigned long n, total = 1, broken = 0, answered = 0;
	unsigned int i;

	rig_init(&rig, SIZE, GUEST_RING_PACKED | GUEST_RING_INDIRECT);
	desc = guest_ring_raw_desc(rig.ring);
	for (i = 0; i < SIZE; i++)
		total *= LETTERS * 4;
	/* Some of them: the bits of availability make it 256 times as many. */
	for (n = 0; n < total; n += 3) {
		unsigned long rest = n;

		pvio_vq_stop(rig.vq);
		for (i = 0; i < SIZE; i++, rest /= LETTERS * 4) {
			unsigned int at = (unsigned int)(rest % LETTERS);
			unsigned int bits =
				(unsigned int)(rest / LETTERS % 4);

			desc[i].addr = htole64(letter[at].addr);
			desc[i].len = htole32(letter[at].len);
			desc[i].id = htole16((uint16_t)n);
			desc[i].flags = htole16((uint16_t)(
				letter[at].flags | (bits & 1) << 7 |
				(bits & 2) << 14));
		}
		if (rig_start(&rig) < 0)
			ck_abort_msg("the queue does not start");
		answered += serve();
		broken += rig.vq->state == PVIO_VQ_BROKEN;
	}
	ck_assert_uint_gt(answered, 0);
	ck_assert_uint_gt(broken, 0);
}
END_TEST

CHECK_MAIN("every small ring", NULL, teardown,
	   every_split_table_of_4_is_answered,
	   every_packed_ring_of_4_is_answered_or_breaks)
