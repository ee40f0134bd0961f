/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_block.c - requests that no disk should get, over every transport
 *
 * Each test names the row of the hostile input catalogue it covers.  What is
 * wrong with one request is told by its status, or by length 0 where there is
 * no place for one; the device goes on serving, and nothing but what the
 * driver gave us as writable is written.
 */
#include "tests/block-faulty.h"
#include "tests/check_main.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DISK_SECTORS ((uint64_t)2048)
#define RAM_DISK     "backend = { type = \"memory\"; size = \"1M\"; };"

static struct block_rig rig;

static unsigned int backend_saw(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < pvio_array_size(faulty->seen); i++)
		n += faulty->seen[i];
	return n;
}

static uint64_t request_faults(void)
{
	return pvio_device_vq(rig.dev, 0)->stats.faults[PVIO_FAULT_REQUEST];
}

static void put_header(uint8_t *out, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr header = {
		.type = htole32(type),
		.sector = htole64(sector),
	};

	memcpy(out, &header, sizeof(header));
}

/* --- ranges and lengths --------------------------------------------------- */

/* B01 */
START_TEST(request_beyond_the_end_is_refused)
{
	static const uint64_t sectors[] = {
		DISK_SECTORS,
		DISK_SECTORS + 1,
		UINT64_MAX,
		UINT64_MAX - 1,
		UINT64_MAX / 512,
		UINT64_MAX / 512 + 1,
		(uint64_t)1 << 55,
		((uint64_t)1 << 55) - 1,
		((uint64_t)1 << 55) + 1,
		INT64_MAX,
	};
	uint8_t buf[512] = { 0 };
	unsigned int i;

	rig_open(&rig, _i, RAM_DISK, 0);
	for (i = 0; i < pvio_array_size(sectors); i++) {
		ck_assert_int_eq(rig_read(&rig, sectors[i], buf, 512),
				 VIRTIO_BLK_S_IOERR);
		ck_assert_int_eq(rig.used, 0);
		ck_assert_uint_eq(buf[0], 0xee);
		ck_assert_int_eq(rig_write(&rig, sectors[i], buf, 512),
				 VIRTIO_BLK_S_IOERR);
	}
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* B01: before any I/O, and counted. */
START_TEST(refused_request_never_reaches_the_backend)
{
	uint8_t buf[1024] = { 0 };

	open_faulty(&rig, "", 0);
	ck_assert_int_eq(rig_write(&rig, DISK_SECTORS, buf, 512),
			 VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(rig_write(&rig, DISK_SECTORS - 1, buf, 1024),
			 VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(backend_saw(), 0);
	ck_assert_uint_eq(request_faults(), 2);
	rig_close(&rig);
}
END_TEST

/* B02: each segment fits, their sum does not. */
START_TEST(sum_of_segments_decides)
{
	uint8_t out[16 + 1024] = { 0 }, status;

	rig_open(&rig, _i, RAM_DISK, 0);
	put_header(out, VIRTIO_BLK_T_OUT, DISK_SECTORS - 1);
	ck_assert_int_eq(rig_chain(&rig, 0, "r16 r512 r512 w1", out, &status),
			 1);
	ck_assert_uint_eq(status, VIRTIO_BLK_S_IOERR);
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* B03, B04 */
START_TEST(length_must_be_whole_sectors_and_some)
{
	uint8_t buf[1024] = { 0 };

	rig_open(&rig, _i, RAM_DISK, 0);
	ck_assert_int_eq(rig_write(&rig, 0, buf, 511), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(rig_write(&rig, 0, buf, 513), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(rig_write(&rig, 0, buf, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(rig_write(&rig, 0, buf, 0), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(rig_read(&rig, 0, buf, 1000), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(rig_read(&rig, 0, buf, 0), VIRTIO_BLK_S_IOERR);
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/*
 * R09: the data is in no memory of ours.  The used length is 0; but a driver
 * looks at its status byte, which still says OK from the request before.
 */
START_TEST(data_out_of_reach_is_an_error_also_by_status)
{
	static const struct {
		uint32_t type;
		unsigned int nr_readable;
		bool status_is_lost;
	} cases[] = {
		{ VIRTIO_BLK_T_OUT, 2, false },
		{ VIRTIO_BLK_T_IN, 1, false },
		{ VIRTIO_BLK_T_OUT, 2, true },
	};
	unsigned int i;

	rig_open(&rig, _i, RAM_DISK, 0);
	for (i = 0; i < pvio_array_size(cases); i++) {
		uint8_t *status = rig.arena + 600;
		struct guest_segment seg[] = {
			{ rig.arena_gpa, 16 },
			{ UINT64_MAX / 2, 512 },
			{ rig.arena_gpa + 599, 2 },
		};

		put_header(rig.arena, cases[i].type, 0);
		status[-1] = 0x5a;
		status[0] = VIRTIO_BLK_S_OK;
		if (cases[i].status_is_lost)
			seg[2].gpa = UINT64_MAX / 2;
		ck_assert_int_eq(guest_device_transfer(rig.gd, 0, seg,
						       cases[i].nr_readable,
						       3 - cases[i].nr_readable),
				 0);
		ck_assert_uint_eq(status[0], cases[i].status_is_lost ?
						     VIRTIO_BLK_S_OK :
						     VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(status[-1], 0x5a);
	}
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* --- framing -------------------------------------------------------------- */

/* B05 */
START_TEST(header_that_is_too_short_is_an_error)
{
	uint8_t out[16] = { 0 }, status = 0xff;

	rig_open(&rig, _i, RAM_DISK, 0);
	ck_assert_int_eq(rig_chain(&rig, 0, "r15 w1", out, &status), 1);
	ck_assert_uint_eq(status, VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(rig_chain(&rig, 0, "w1", out, &status), 1);
	ck_assert_uint_eq(status, VIRTIO_BLK_S_IOERR);
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* B06 */
START_TEST(request_without_status_is_given_back_with_length_0)
{
	uint8_t out[16 + 512] = { 0 };

	rig_open(&rig, _i, RAM_DISK, 0);
	put_header(out, VIRTIO_BLK_T_OUT, 0);
	ck_assert_int_eq(rig_chain(&rig, 0, "r16 r512", out, NULL), 0);
	ck_assert_int_eq(rig_chain(&rig, 0, "r16", out, NULL), 0);
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* B06: the status is the last byte, whatever is before it. */
START_TEST(status_is_the_last_writable_byte)
{
	uint8_t out[16 + 512] = { 0 }, in[64];

	rig_open(&rig, _i, RAM_DISK, 0);
	put_header(out, VIRTIO_BLK_T_OUT, 0);
	/* Not all of it was written, so the length may not say so. */
	ck_assert_int_eq(rig_chain(&rig, 0, "r16 r512 w64", out, in), 0);
	ck_assert_uint_eq(in[63], VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(in[0], 0xee);
	ck_assert_uint_eq(in[62], 0xee);
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* R17, I3: header in the writable half. */
START_TEST(header_that_is_writable_is_no_header)
{
	uint8_t in[17];

	rig_open(&rig, _i, RAM_DISK, 0);
	ck_assert_int_eq(rig_chain(&rig, 0, "w16 w1", NULL, in), 0);
	ck_assert_uint_eq(in[16], VIRTIO_BLK_S_IOERR);
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* --- types ---------------------------------------------------------------- */

/* B07, B12 */
START_TEST(unknown_types_are_unsupported)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_SCSI_CMD,
		VIRTIO_BLK_T_SCSI_CMD | 1,
		5,
		6,
		7,
		9,
		10,
		12,
		VIRTIO_BLK_T_SECURE_ERASE,
		15,
		16,
		18,
		20,
		22,
		24,
		26,
		VIRTIO_BLK_T_BARRIER,
		VIRTIO_BLK_T_BARRIER | VIRTIO_BLK_T_OUT,
		0x100,
		UINT32_MAX,
	};
	uint8_t buf[512] = { 0 };
	unsigned int i;

	rig_open(&rig, _i, RAM_DISK, 0);
	for (i = 0; i < pvio_array_size(types); i++)
		ck_assert_int_eq(
			rig_request(&rig, 0, types[i], 0, buf, 512, NULL, 0),
			VIRTIO_BLK_S_UNSUPP);
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* B08 */
START_TEST(read_only_disk_is_not_written)
{
	uint8_t buf[512] = { 1 };

	rig_open(&rig, _i, "read_only = true; " RAM_DISK, 0);
	ck_assert_int_eq(rig_write(&rig, 0, buf, 512), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(rig_range(&rig, VIRTIO_BLK_T_DISCARD, 0, 8, 0),
			 VIRTIO_BLK_S_UNSUPP);
	ck_assert_int_eq(rig_read(&rig, 0, buf, 512), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(buf[0], 0);
	ck_assert_int_eq(rig_flush(&rig), VIRTIO_BLK_S_OK);
	rig_close(&rig);
}
END_TEST

/* B09 */
START_TEST(flush_with_sector_and_data_is_a_flush)
{
	uint8_t buf[512] = { 0 };

	rig_open(&rig, _i, RAM_DISK, 0);
	ck_assert_int_eq(rig_request(&rig, 0, VIRTIO_BLK_T_FLUSH, UINT64_MAX,
				     buf, 512, NULL, 0),
			 VIRTIO_BLK_S_OK);
	rig_close(&rig);
}
END_TEST

/* B10 */
START_TEST(get_id_fits_its_buffer)
{
	static const size_t sizes[] = { 1, 19, 20, 21, 512 };
	uint8_t in[512];
	unsigned int i;

	rig_open(&rig, _i, "serial = \"0123456789abcdefghij\"; " RAM_DISK, 0);
	for (i = 0; i < pvio_array_size(sizes); i++) {
		ck_assert_int_eq(rig_request(&rig, 0, VIRTIO_BLK_T_GET_ID, 0,
					     NULL, 0, in, sizes[i]),
				 VIRTIO_BLK_S_OK);
		ck_assert_int_eq(rig.used,
				 sizes[i] <= 20 ? (int)sizes[i] + 1 : 20);
		ck_assert_mem_eq(in, "0123456789abcdefghij",
				 pvio_min(sizes[i], 20));
		if (sizes[i] > 20)
			ck_assert_uint_eq(in[20], 0xee);
	}
	ck_assert_int_eq(
		rig_request(&rig, 0, VIRTIO_BLK_T_GET_ID, 0, NULL, 0, NULL, 0),
		VIRTIO_BLK_S_OK);
	rig_close(&rig);
}
END_TEST

/* B11 */
START_TEST(bad_ranges_are_refused)
{
	struct virtio_blk_discard_write_zeroes many[33] = { 0 };
	uint8_t odd[40] = { 0 };
	unsigned int i, t;
	static const uint32_t types[] = { VIRTIO_BLK_T_DISCARD,
					  VIRTIO_BLK_T_WRITE_ZEROES };

	rig_open(&rig, _i, RAM_DISK, 0);
	for (i = 0; i < 33; i++)
		many[i].num_sectors = htole32(1);
	for (t = 0; t < 2; t++) {
		ck_assert_int_eq(rig_range(&rig, types[t], DISK_SECTORS, 1, 0),
				 VIRTIO_BLK_S_IOERR);
		ck_assert_int_eq(
			rig_range(&rig, types[t], DISK_SECTORS - 1, 2, 0),
			VIRTIO_BLK_S_IOERR);
		ck_assert_int_eq(rig_range(&rig, types[t], UINT64_MAX, 1, 0),
				 VIRTIO_BLK_S_IOERR);
		ck_assert_int_eq(
			rig_range(&rig, types[t], (uint64_t)1 << 55, 1, 0),
			VIRTIO_BLK_S_IOERR);
		ck_assert_int_eq(rig_range(&rig, types[t], 0, UINT32_MAX, 0),
				 VIRTIO_BLK_S_IOERR);
		ck_assert_int_eq(rig_range(&rig, types[t], 0, 0, 0),
				 VIRTIO_BLK_S_IOERR);
		ck_assert_int_eq(rig_range(&rig, types[t], 0, 1, 2),
				 VIRTIO_BLK_S_UNSUPP);
		ck_assert_int_eq(rig_range(&rig, types[t], 0, 1, 1u << 31),
				 VIRTIO_BLK_S_UNSUPP);
		for (i = 1; i < sizeof(odd); i++)
			if (i % 16)
				ck_assert_int_eq(rig_request(&rig, 0, types[t],
							     0, odd, i, NULL,
							     0),
						 VIRTIO_BLK_S_IOERR);
		ck_assert_int_eq(
			rig_request(&rig, 0, types[t], 0, NULL, 0, NULL, 0),
			VIRTIO_BLK_S_IOERR);
		ck_assert_int_eq(rig_request(&rig, 0, types[t], 0, many,
					     sizeof(many), NULL, 0),
				 VIRTIO_BLK_S_IOERR);
	}
	/* unmap is for write zeroes only. */
	ck_assert_int_eq(rig_range(&rig, VIRTIO_BLK_T_DISCARD, 0, 1, 1),
			 VIRTIO_BLK_S_UNSUPP);
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* B11: the bad range comes last, and still nothing is done. */
START_TEST(one_bad_range_refuses_all)
{
	struct virtio_blk_discard_write_zeroes range[2] = { 0 };

	open_faulty(&rig, "", 0);
	range[0].num_sectors = htole32(1);
	range[1].num_sectors = htole32(1);
	range[1].sector = htole64(DISK_SECTORS);
	ck_assert_int_eq(rig_request(&rig, 0, VIRTIO_BLK_T_DISCARD, 0, range,
				     sizeof(range), NULL, 0),
			 VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(backend_saw(), 0);
	rig_close(&rig);
}
END_TEST

/* B12: offered, but not taken. */
START_TEST(what_was_not_negotiated_is_unsupported)
{
	rig_open(&rig, _i, RAM_DISK,
		 PVIO_BIT(VIRTIO_BLK_F_DISCARD) |
			 PVIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES));
	ck_assert_int_eq(rig_range(&rig, VIRTIO_BLK_T_DISCARD, 0, 8, 0),
			 VIRTIO_BLK_S_UNSUPP);
	ck_assert_int_eq(rig_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0),
			 VIRTIO_BLK_S_UNSUPP);
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hostile block");
	TCase *every = tcase_create("every way");
	TCase *one = tcase_create("loopback");

	tcase_add_unchecked_fixture(every, load_faulty, NULL);
	tcase_add_unchecked_fixture(one, load_faulty, NULL);
#define EVERY_WAY(test) tcase_add_loop_test(every, test, 0, BLOCK_NR_WAYS)
	EVERY_WAY(request_beyond_the_end_is_refused);
	EVERY_WAY(sum_of_segments_decides);
	EVERY_WAY(length_must_be_whole_sectors_and_some);
	EVERY_WAY(data_out_of_reach_is_an_error_also_by_status);
	EVERY_WAY(header_that_is_too_short_is_an_error);
	EVERY_WAY(request_without_status_is_given_back_with_length_0);
	EVERY_WAY(status_is_the_last_writable_byte);
	EVERY_WAY(header_that_is_writable_is_no_header);
	EVERY_WAY(unknown_types_are_unsupported);
	EVERY_WAY(read_only_disk_is_not_written);
	EVERY_WAY(flush_with_sector_and_data_is_a_flush);
	EVERY_WAY(get_id_fits_its_buffer);
	EVERY_WAY(bad_ranges_are_refused);
	EVERY_WAY(what_was_not_negotiated_is_unsupported);
	tcase_set_timeout(every, 60);
	suite_add_tcase(s, every);

	tcase_add_test(one, refused_request_never_reaches_the_backend);
	tcase_add_test(one, one_bad_range_refuses_all);
	tcase_set_timeout(one, 60);
	suite_add_tcase(s, one);

	return check_suite(s);
}
