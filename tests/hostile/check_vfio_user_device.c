/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vfio_user_device.c - regions, configuration space and features, as a
 * hostile vfio-user client would have them
 */
#include "tests/hostile/vfio-user-hostile.h"

/* --- F04: argsz ---------------------------------------------------------- */

/* The three that ask, filled in but for argsz, which comes first in each. */
union question {
	uint32_t argsz;
	struct vfu_device_info device;
	struct vfu_region_info region;
	struct vfu_irq_info irq;
	uint8_t bytes[32];
};

static const struct {
	uint16_t command;
	uint32_t bytes;
} questions[] = {
	{ VFU_DEVICE_GET_INFO, sizeof(struct vfu_device_info) },
	{ VFU_GET_REGION_INFO, sizeof(struct vfu_region_info) },
	{ VFU_GET_IRQ_INFO, sizeof(struct vfu_irq_info) },
};

static int ask(int which, uint32_t argsz, struct guest_vfu_reply *reply)
{
	union question q = { .bytes = { 0 } };

	q.argsz = argsz;
	return guest_vfu_ask(&vfu, questions[which].command, &q,
			     questions[which].bytes, NULL, 0, reply);
}

/* F04 */
START_TEST(argsz_smaller_than_the_struct_is_refused)
{
	struct guest_vfu_reply reply;
	uint32_t argsz;

	hostile_connect();
	for (argsz = 0; argsz < questions[_i].bytes; argsz++)
		expect_refused(EINVAL, ask(_i, argsz, &reply));
}
END_TEST

/* F04: the reply is what there is, not what there is said to be room for. */
START_TEST(argsz_of_four_gigabytes_is_answered)
{
	static const uint32_t sizes[] = { 4096, 0x7fffffff, 0xffffffff };
	struct guest_vfu_reply reply;
	size_t i;

	hostile_connect();
	for (i = 0; i < pvio_array_size(sizes); i++) {
		expect_ok(ask(_i, sizes[i], &reply));
		ck_assert_uint_eq(reply.size, questions[_i].bytes);
		ck_assert_uint_eq(reply.device.argsz, questions[_i].bytes);
		guest_vfu_close_fds(&reply);
	}
}
END_TEST

START_TEST(index_of_nothing_is_refused)
{
	static const uint32_t indexes[] = { 9, 100, 0x7fffffff, 0xffffffff };
	struct vfu_region_info region = { .argsz = sizeof(region),
					  .index = indexes[_i] };
	struct vfu_irq_info irq = { .argsz = sizeof(irq),
				    .index = indexes[_i] };

	hostile_connect();
	expect_refused(EINVAL, guest_vfu_tell(&vfu, VFU_GET_REGION_INFO,
					      &region, sizeof(region), NULL,
					      0));
	expect_refused(EINVAL, guest_vfu_tell(&vfu, VFU_GET_IRQ_INFO, &irq,
					      sizeof(irq), NULL, 0));
}
END_TEST

/* --- F05: regions -------------------------------------------------------- */

#define MIB (1u << 20)

static const struct vfu_region_access outside[] = {
	/* past the end, or wrapping */
	{ 0x4000, 4, 4 },
	{ 0x3ffe, 4, 4 },
	{ UINT64_MAX, 4, 1 },
	{ UINT64_MAX - 3, 4, 4 },
	{ UINT64_MAX - 1, 4, 4 },
	{ 1ull << 32, 4, 4 },
	{ 1ull << 63, 4, 4 },
	{ 4096, VFU_REGION_CONFIG, 1 },
	{ 4095, VFU_REGION_CONFIG, 2 },
	{ 4092, VFU_REGION_CONFIG, 8 },
	{ UINT64_MAX - 3, VFU_REGION_CONFIG, 4 },
	{ 1, VFU_REGION_CONFIG, 4096 },
	/* no such region, or one of no size */
	{ 0, 1, 4 },
	{ 0, 2, 1 },
	{ 0, 3, 4 },
	{ 0, 5, 4 },
	{ 0, VFU_REGION_ROM, 4 },
	{ 0, VFU_REGION_VGA, 1 },
	{ 0, 9, 4 },
	{ 0, 0x7fffffff, 4 },
	{ 0, 0xffffffff, 4 },
	/* counts */
	{ 0, 4, 0 },
	{ 0, VFU_REGION_CONFIG, 0 },
	{ 0, 4, MIB + 1 },
	{ 0, VFU_REGION_CONFIG, 0x80000000 },
	{ 0, 4, 0xffffffff },
	{ 1, 4, 0xffffffff },
};
#define NR_OUTSIDE ((int)pvio_array_size(outside))

START_TEST(read_outside_is_refused)
{
	struct vfu_region_access access = outside[_i];

	hostile_connect();
	expect_refused(EINVAL, guest_vfu_tell(&vfu, VFU_REGION_READ, &access,
					      sizeof(access), NULL, 0));
}
END_TEST

START_TEST(write_outside_is_refused)
{
	struct {
		struct vfu_region_access access;
		uint8_t data[8192];
	} ask = { .access = outside[_i] };
	size_t len = pvio_min(ask.access.count, sizeof(ask.data));

	hostile_connect();
	expect_refused(EINVAL, guest_vfu_tell(&vfu, VFU_REGION_WRITE, &ask,
					      sizeof(ask.access) + len, NULL,
					      0));
	expect_ok(guest_vfu_send(&vfu, VFU_REGION_WRITE, VFU_NO_REPLY, &ask,
				 sizeof(ask.access) + len, NULL, 0));
	expect_alive();
}
END_TEST

/* F05: nothing is written when it is not clear how much there is. */
START_TEST(write_of_another_count_than_its_data_is_refused)
{
	static const uint32_t counts[][2] = {
		{ 1, 0 }, { 1, 2 }, { 4, 1 },  { 4, 3 },
		{ 4, 5 }, { 2, 4 }, { 1, 64 }, { 0xffffffff, 4 },
	};
	struct {
		struct vfu_region_access access;
		uint8_t data[64];
	} ask = { { VIRTIO_PCI_COMMON_STATUS, BAR_COMMON, counts[_i][0] },
		  { 1, 1, 1, 1 } };

	hostile_connect();
	config_write(4, 0x6, 2);
	expect_refused(EINVAL,
		       guest_vfu_tell(&vfu, VFU_REGION_WRITE, &ask,
				      sizeof(ask.access) + counts[_i][1], NULL,
				      0));
	ck_assert_uint_eq(hostile_status(), 0);
}
END_TEST

/* Whatever the widths: answered, and the device is none the worse. */
START_TEST(accesses_of_any_width_are_answered)
{
	static const uint32_t counts[] = { 1, 2, 3, 4, 5, 7, 8, 9, 16, 64, 256 };
	uint8_t data[256], ones[256];
	uint64_t offset;
	size_t i;

	hostile_ready();
	memset(ones, 0xff, sizeof(ones));
	for (offset = 0; offset < 0x4000; offset += offset < 64 ? 1 : 1021) {
		for (i = 0; i < pvio_array_size(counts); i++) {
			int rc = guest_vfu_read(&vfu, BAR_COMMON, offset, data,
						counts[i]);

			ck_assert(rc == 0 || rc == -EINVAL);
			rc = guest_vfu_write(&vfu, BAR_COMMON, offset, ones,
					     counts[i]);
			ck_assert(rc == 0 || rc == -EINVAL);
		}
	}
	expect_ok(guest_vfu_reset(&vfu));
	hostile_hang_up();
	hostile_serving();
	hostile_expect_served(0);
}
END_TEST

/* --- F06: several writes in one message ---------------------------------- */

START_TEST(multiple_write_of_more_than_there_is_is_refused)
{
	static const uint64_t counts[] = {
		2, 3, 1ull << 32, UINT64_MAX, UINT64_MAX / 24 + 1,
		(UINT64_MAX - 8) / 24 + 2,
	};
	struct {
		uint64_t count;
		struct vfu_multi_write write[1];
	} ask = { counts[_i],
		  { { VIRTIO_PCI_COMMON_STATUS, BAR_COMMON, 1, { 1 } } } };
	int rc;

	hostile_connect();
	config_write(4, 0x6, 2);
	rc = guest_vfu_tell(&vfu, VFU_REGION_WRITE_MULTI, &ask, sizeof(ask),
			    NULL, 0);
	ck_assert_msg(rc == -EINVAL || rc == -ENOTSUP, "%d", rc);
	ck_assert_uint_eq(hostile_status(), 0);
}
END_TEST

START_TEST(multiple_write_to_nowhere_is_refused)
{
	static const struct vfu_multi_write bad[] = {
		{ 0, 9, 4, { 0 } },
		{ 0x4000, BAR_COMMON, 4, { 0 } },
		{ UINT64_MAX, BAR_COMMON, 1, { 0 } },
		{ 0, BAR_COMMON, 0, { 0 } },
		{ 0, BAR_COMMON, 9, { 0 } },
		{ 0, BAR_COMMON, 0xffffffff, { 0 } },
	};
	struct {
		uint64_t count;
		struct vfu_multi_write write[2];
	} ask = { 2, { bad[_i], bad[_i] } };
	int rc;

	hostile_connect();
	rc = guest_vfu_tell(&vfu, VFU_REGION_WRITE_MULTI, &ask, sizeof(ask),
			    NULL, 0);
	ck_assert_msg(rc == -EINVAL || rc == -ENOTSUP, "%d", rc);
	expect_alive();
}
END_TEST

/* --- F14, F15: what we do not have --------------------------------------- */

/* Migration, dirty logs: refused, and the device runs on. */
START_TEST(features_and_migration_are_refused)
{
	static const uint32_t actions[] = {
		0,
		VFU_FEATURE_GET,
		VFU_FEATURE_SET,
		VFU_FEATURE_PROBE | VFU_FEATURE_GET,
		VFU_FEATURE_PROBE | VFU_FEATURE_SET,
		VFU_FEATURE_GET | VFU_FEATURE_SET | VFU_FEATURE_PROBE,
		0xffff0000,
	};
	static const uint32_t sizes[] = { 8, 0, 7, 4096, 0xffffffff };
	uint8_t bytes[64] = { 0 };
	struct vfu_feature feature;
	struct vfu_mig_data data;
	uint16_t n = 0;
	size_t i, k;

	hostile_serving();
	for (i = 0; i < pvio_array_size(actions); i++) {
		for (k = 0; k < pvio_array_size(sizes); k++) {
			/* page size 0, iova that wraps (F15), state 0 to 7 */
			memset(bytes, k ? 0xff : 0, sizeof(bytes));
			feature = (struct vfu_feature){
				sizes[k], actions[i] | (uint32_t)(i + k)
			};
			memcpy(bytes, &feature, sizeof(feature));
			expect_refused(ENOTSUP,
				       guest_vfu_tell(&vfu, VFU_DEVICE_FEATURE,
						      bytes, sizeof(bytes),
						      NULL, 0));
			data = (struct vfu_mig_data){ sizes[k], sizes[k] };
			memcpy(bytes, &data, sizeof(data));
			expect_refused(ENOTSUP,
				       guest_vfu_tell(&vfu, VFU_MIG_DATA_READ,
						      bytes, sizeof(data), NULL,
						      0));
			expect_refused(ENOTSUP,
				       guest_vfu_tell(&vfu, VFU_MIG_DATA_WRITE,
						      bytes, sizeof(bytes),
						      NULL, 0));
		}
		hostile_expect_served(n++);
	}
}
END_TEST

START_TEST(doorbells_by_descriptor_are_refused)
{
	struct vfu_region_io_fds ask = { .argsz = sizeof(ask),
					 .index = BAR_COMMON,
					 .count = 0xffffffff };
	int rc;

	hostile_connect();
	rc = guest_vfu_tell(&vfu, VFU_GET_REGION_IO_FDS, &ask, sizeof(ask),
			    NULL, 0);
	ck_assert_msg(rc == 0 || rc == -EINVAL || rc == -ENOTSUP, "%d", rc);
	expect_alive();
}
END_TEST

/* --- F17: configuration space -------------------------------------------- */

/* What a driver relies on: identity, classes, the chain of capabilities. */
static bool is_constant(const uint8_t *before, size_t offset)
{
	uint8_t cap = before[0x34];

	if (offset < 4 || (offset >= 8 && offset < 0xc) || offset == 0xe ||
	    offset == 0x34 || offset == 0x3d ||
	    (offset >= 0x2c && offset < 0x30))
		return true;
	for (; cap; cap = before[cap + 1])
		if (offset == cap || offset == cap + 1u)
			return true;
	return false;
}

static void config_read_all(uint8_t *config)
{
	expect_ok(guest_vfu_read(&vfu, VFU_REGION_CONFIG, 0, config, 4096));
}

START_TEST(constant_bytes_of_configuration_cannot_be_written)
{
	static const uint8_t patterns[] = { 0xff, 0x00, 0xa5 };
	uint8_t before[4096], after[4096];
	size_t at;

	hostile_connect();
	config_read_all(before);
	for (at = 0; at < 4096; at++)
		expect_ok(guest_vfu_write(&vfu, VFU_REGION_CONFIG, at,
					  &patterns[_i], 1));
	config_read_all(after);
	for (at = 0; at < 256; at++)
		if (is_constant(before, at))
			ck_assert_msg(before[at] == after[at],
				      "0x%zx: 0x%02x, was 0x%02x", at,
				      after[at], before[at]);
	/* Capabilities are still announced: RW1C bits aside, status is ours. */
	ck_assert_uint_eq(before[6] & 0x10, after[6] & 0x10);
	/* The bus's reset undoes the rest. */
	expect_ok(guest_vfu_reset(&vfu));
	config_read_all(after);
	ck_assert_int_eq(memcmp(before, after, sizeof(before)), 0);
}
END_TEST

START_TEST(bars_are_sized_as_the_regions_are)
{
	struct guest_vfu_region region;
	unsigned int i;
	uint32_t bits;

	hostile_connect();
	for (i = 0; i < HOSTILE_NR_BARS; i++) {
		expect_ok(guest_vfu_region_info(&vfu, i, &region));
		if (region.fd >= 0)
			close(region.fd);
		config_write(0x10 + 4 * i, 0xffffffff, 4);
		bits = config_read(0x10 + 4 * i, 4);
		if (region.size)
			ck_assert_uint_eq(~(bits & ~0xfu) + 1, region.size);
		/* An upper half, or nothing. */
		else if (i == 0 || (config_read(0x10 + 4 * (i - 1), 4) & 7) != 4)
			ck_assert_uint_eq(bits, 0);
	}
}
END_TEST

int main(void)
{
	const struct hostile_test tests[] = {
		{ argsz_smaller_than_the_struct_is_refused, 3 },
		{ argsz_of_four_gigabytes_is_answered, 3 },
		{ index_of_nothing_is_refused, 4 },
		{ read_outside_is_refused, NR_OUTSIDE },
		{ write_outside_is_refused, NR_OUTSIDE },
		{ write_of_another_count_than_its_data_is_refused, 8 },
		{ accesses_of_any_width_are_answered, 0 },
		{ multiple_write_of_more_than_there_is_is_refused, 6 },
		{ multiple_write_to_nowhere_is_refused, 6 },
		{ features_and_migration_are_refused, 0 },
		{ doorbells_by_descriptor_are_refused, 0 },
		{ constant_bytes_of_configuration_cannot_be_written, 3 },
		{ bars_are_sized_as_the_regions_are, 0 },
	};

	return hostile_main("vfio_user_device", setup, teardown, tests,
			    pvio_array_size(tests));
}
