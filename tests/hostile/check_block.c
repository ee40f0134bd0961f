/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_block.c - requests that no disk should get, over every transport
 *
 * Each test names the row of the hostile input catalogue it covers.  What is
 * wrong with one request is told by its status, or by length 0 where there is
 * no place for one; the device goes on serving, and nothing but what the
 * driver gave us as writable is written.
 */
#include "tests/block-rig.h"
#include "tests/plugins/block-faulty.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DISK_SECTORS ((uint64_t)2048)
#define RAM_DISK     "backend = { type = \"memory\"; size = \"1M\"; };"
#define FAULTY       "backend = { type = \"faulty\"; };"

static struct block_rig rig;
static struct faulty *faulty;
static faulty_release_fn *faulty_release;

static void open_faulty(uint64_t refuse)
{
	memset(faulty, 0, sizeof(*faulty));
	faulty->bytes = FAULTY_BYTES;
	rig_open(&rig, BLOCK_LOOPBACK_SPLIT, FAULTY, refuse);
}

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

/* --- ranges and lengths ------------------------------------------------------- */

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

	open_faulty(0);
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

/* --- framing ------------------------------------------------------------------- */

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

/* --- types ---------------------------------------------------------------------- */

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

	open_faulty(0);
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

/* --- sizes and numbers ------------------------------------------------------------ */

/* B13: more segments and bytes than the limits we announce. */
START_TEST(request_over_the_limits_is_served_or_refused)
{
	char shape[2048] = "r16";
	uint8_t *out = calloc(1, 16 + 126 * 4096), status = 0xff;
	int64_t used;
	unsigned int i;

	ck_assert_ptr_nonnull(out);
	rig_open(&rig, _i, "seg_max = 4; size_max = 4096; " RAM_DISK, 0);
	put_header(out, VIRTIO_BLK_T_OUT, 0);
	for (i = 0; i < 126; i++)
		strcat(shape, " r4096");
	strcat(shape, " w1");
	used = rig_chain(&rig, 0, shape, out, &status);
	ck_assert_int_eq(used, 1);
	/* 504 KiB fit on the disk, so it can only succeed. */
	ck_assert_uint_eq(status, VIRTIO_BLK_S_OK);
	rig_expect_alive(&rig);
	rig_close(&rig);
	free(out);
}
END_TEST

/* B14, B23: every slot of every queue held by the backend, then a shrink. */
START_TEST(full_queues_of_held_requests_end_well)
{
	struct guest_ring *ring;
	struct virtio_blk_outhdr *header;
	struct guest_segment seg[2];
	unsigned int i, q, nr = RIG_QUEUE_SIZE / 2, done = 0;
	uint32_t len;

	memset(faulty, 0, sizeof(*faulty));
	faulty->bytes = FAULTY_BYTES;
	rig_open(&rig, BLOCK_LOOPBACK_SPLIT, "queues = 8; " FAULTY, 0);
	faulty->hold = true;
	header = (struct virtio_blk_outhdr *)rig.arena;
	header->type = htole32(VIRTIO_BLK_T_IN);
	header->sector = htole64(DISK_SECTORS - 8);
	for (q = 0; q < 8; q++) {
		ring = guest_device_ring(rig.gd, q);
		for (i = 0; i < nr; i++) {
			seg[0] = (struct guest_segment){ rig.arena_gpa, 16 };
			seg[1] = (struct guest_segment){ rig.arena_gpa + 4096,
							 513 };
			ck_assert_int_eq(
				guest_ring_add(ring, seg, 1, 1, header), 0);
		}
		if (guest_ring_publish(ring))
			guest_device_kick(rig.gd, q);
	}
	rig_settle(&rig);
	ck_assert_uint_eq(faulty->held, 8 * nr);
	ck_assert_int_eq(rig_command(&rig, "resize", "512K", NULL), 0);
	/* What was taken before is the backend's to decide. */
	faulty_release(-EIO);
	faulty->hold = false;
	rig_settle(&rig);
	for (q = 0; q < 8; q++)
		while (guest_ring_reap(guest_device_ring(rig.gd, q), &len))
			done++;
	ck_assert_uint_eq(done, 8 * nr);
	rig_close(&rig);
}
END_TEST

/* V14: a reset waits for what the backend has; nothing is written after it. */
START_TEST(reset_with_requests_in_flight_waits_for_them)
{
	struct virtio_blk_outhdr *header;
	struct guest_segment seg[2];
	struct guest_ring *ring;

	open_faulty(0);
	faulty->hold = true;
	ring = guest_device_ring(rig.gd, 0);
	header = (struct virtio_blk_outhdr *)rig.arena;
	header->type = htole32(VIRTIO_BLK_T_IN);
	seg[0] = (struct guest_segment){ rig.arena_gpa, 16 };
	seg[1] = (struct guest_segment){ rig.arena_gpa + 4096, 513 };
	ck_assert_int_eq(guest_ring_add(ring, seg, 1, 1, header), 0);
	if (guest_ring_publish(ring))
		guest_device_kick(rig.gd, 0);
	rig_settle(&rig);
	ck_assert_uint_eq(faulty->held, 1);
	faulty_release(0);
	faulty->hold = false;
	rig_restart(&rig);
	rig.arena[4096 + 512] = 0x55;
	rig_settle(&rig);
	ck_assert_uint_eq(rig.arena[4096 + 512], 0x55);
	ck_assert_int_eq(rig_flush(&rig), VIRTIO_BLK_S_OK);
	rig_close(&rig);
}
END_TEST

/* B15 */
START_TEST(writeback_takes_any_value_as_yes_or_no)
{
	struct virtio_blk_config config;
	unsigned int value;
	uint8_t byte;

	rig_open(&rig, _i, RAM_DISK, 0);
	for (value = 0; value < 256; value += 5) {
		byte = (uint8_t)value;
		ck_assert_int_eq(
			guest_device_write_config(
				rig.gd, offsetof(struct virtio_blk_config, wce),
				&byte, 1),
			0);
		rig_config(&rig, &config);
		ck_assert_uint_eq(config.wce, value != 0);
	}
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* V20: nothing else can be written. */
START_TEST(configuration_is_read_only)
{
	struct virtio_blk_config before, after;
	uint8_t ones[60];
	size_t i;

	rig_open(&rig, _i, RAM_DISK, 0);
	memset(ones, 0xff, sizeof(ones));
	rig_config(&rig, &before);
	for (i = 0; i < sizeof(ones); i++) {
		if (i != offsetof(struct virtio_blk_config, wce))
			guest_device_write_config(rig.gd, i, ones, 1);
		guest_device_write_config(rig.gd, i, ones, sizeof(ones) - i);
	}
	guest_device_write_config(rig.gd, 0, ones, 8);
	rig_config(&rig, &after);
	ck_assert_mem_eq(&before, &after, 60);
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* B16: the header of another format is data. */
START_TEST(image_formats_are_not_looked_for)
{
	uint8_t out[512] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 3 }, in[512];
	struct virtio_blk_config config;

	rig_open(&rig, _i, RAM_DISK, 0);
	memcpy(out + 16, "/etc/passwd", 11);
	ck_assert_int_eq(rig_write(&rig, 0, out, 512), VIRTIO_BLK_S_OK);
	rig_restart(&rig);
	ck_assert_int_eq(rig_command(&rig, "resize", "", NULL), 0);
	rig_config(&rig, &config);
	ck_assert_uint_eq(le64toh(config.capacity), DISK_SECTORS);
	ck_assert_int_eq(rig_read(&rig, 0, in, 512), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(in, out, 512);
	rig_close(&rig);
}
END_TEST

/* B18 */
START_TEST(every_backend_error_is_one_failed_request)
{
	static const int errors[] = { EIO,    ENOSPC, EDQUOT, EINTR,    EAGAIN,
				      ENOMEM, EROFS,  ENXIO,  ETIMEDOUT };
	uint8_t buf[512] = { 0 };
	unsigned int i;

	open_faulty(0);
	for (i = 0; i < pvio_array_size(errors); i++) {
		faulty->error[PVIO_BLOCK_READ] = -errors[i];
		faulty->error[PVIO_BLOCK_WRITE] = -errors[i];
		faulty->fail = 2;
		ck_assert_int_eq(rig_read(&rig, 0, buf, 512),
				 VIRTIO_BLK_S_IOERR);
		ck_assert_int_eq(rig.used, 0);
		ck_assert_int_eq(rig_write(&rig, 0, buf, 512),
				 VIRTIO_BLK_S_IOERR);
		ck_assert_int_eq(rig_write(&rig, 0, buf, 512), VIRTIO_BLK_S_OK);
	}
	ck_assert(!guest_device_is_broken(rig.gd));
	rig_close(&rig);
}
END_TEST

/* --- races ------------------------------------------------------------------------ */

/* Add a request of one data segment at @data; returns nothing to wait for. */
static void add_request(uint32_t type, uint64_t sector, size_t header_at,
			size_t data_at, uint32_t bytes, size_t status_at)
{
	struct guest_ring *ring = guest_device_ring(rig.gd, 0);
	struct guest_segment seg[3] = {
		{ rig.arena_gpa + header_at, 16 },
		{ rig.arena_gpa + data_at, bytes },
		{ rig.arena_gpa + status_at, 1 },
	};
	bool is_write = type == VIRTIO_BLK_T_OUT;

	put_header(rig.arena + header_at, type, sector);
	rig.arena[status_at] = 0xff;
	ck_assert_int_eq(guest_ring_add(ring, seg, is_write ? 2 : 1,
					is_write ? 1 : 2, ring),
			 0);
}

static void run_added(unsigned int nr)
{
	struct guest_ring *ring = guest_device_ring(rig.gd, 0);
	unsigned int done = 0;
	uint32_t len;

	if (guest_ring_publish(ring))
		guest_device_kick(rig.gd, 0);
	while (done < nr) {
		while (guest_ring_reap(ring, &len))
			done++;
		if (done < nr && !guest_ring_enable_notify(ring))
			ck_assert_int_eq(guest_device_wait(rig.gd, 0, 10000),
					 1);
	}
}

/* B20 */
START_TEST(overlapping_requests_do_no_harm)
{
	unsigned int i;

	rig_open(&rig, _i, RAM_DISK, 0);
	/* One buffer for all, and one place on the disk. */
	for (i = 0; i < 32; i++)
		add_request(i & 1 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, 8,
			    16 * i, 65536 + 512 * (i % 3), 4096, 4096 + i);
	run_added(32);
	for (i = 0; i < 32; i++)
		ck_assert_uint_eq(rig.arena[4096 + i], VIRTIO_BLK_S_OK);
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* R28, B20: the data overlaps the header and the status of its own request. */
START_TEST(data_over_header_and_status_does_no_harm)
{
	rig_open(&rig, _i, RAM_DISK, 0);
	add_request(VIRTIO_BLK_T_IN, 0, 4096, 4096, 512, 4096 + 100);
	run_added(1);
	ck_assert_uint_eq(rig.arena[4096 + 100], VIRTIO_BLK_S_OK);
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* B21, R27: header and data change while the request is under way. */
START_TEST(changes_after_the_kick_do_no_harm)
{
	unsigned int round, i;

	rig_open(&rig, _i, RAM_DISK, 0);
	for (round = 0; round < 200; round++) {
		struct guest_ring *ring = guest_device_ring(rig.gd, 0);
		uint32_t len;

		add_request(VIRTIO_BLK_T_OUT, 0, 0, 4096, 65536, 100);
		if (guest_ring_publish(ring))
			guest_device_kick(rig.gd, 0);
		for (i = 0; i < 16; i++) {
			put_header(rig.arena, VIRTIO_BLK_T_OUT + i,
				   UINT64_MAX - i);
			memset(rig.arena + 4096, (int)i, 65536);
		}
		while (!guest_ring_reap(ring, &len))
			if (!guest_ring_enable_notify(ring))
				ck_assert_int_eq(
					guest_device_wait(rig.gd, 0, 10000), 1);
	}
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* R11, R12: buffers that end where memory ends, and one byte further. */
START_TEST(buffers_at_the_end_of_memory)
{
	struct guest_region *region = &rig.mem.region[1];
	struct guest_segment seg[3];
	uint64_t end;

	rig_open(&rig, _i, RAM_DISK, 0);
	end = region->gpa + region->size;
	put_header(rig.arena, VIRTIO_BLK_T_IN, 0);
	seg[0] = (struct guest_segment){ rig.arena_gpa, 16 };
	seg[1] = (struct guest_segment){ end - 512, 512 };
	seg[2] = (struct guest_segment){ rig.arena_gpa + 64, 1 };
	ck_assert_int_eq(guest_device_transfer(rig.gd, 0, seg, 1, 2), 513);
	seg[1].gpa++;
	ck_assert_int_eq(guest_device_transfer(rig.gd, 0, seg, 1, 2), 0);
	seg[1].gpa = UINT64_MAX - 100;
	ck_assert_int_eq(guest_device_transfer(rig.gd, 0, seg, 1, 2), 0);
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* I2: guard bytes around every segment stay as they were. */
START_TEST(nothing_is_written_around_the_segments)
{
	uint8_t out[16] = { 0 }, in[1025];
	size_t i;

	rig_open(&rig, _i, RAM_DISK, 0);
	memset(rig.arena, 0x77, 8192);
	put_header(out, VIRTIO_BLK_T_IN, 0);
	ck_assert_int_eq(rig_chain(&rig, 0, "r16 w1 w500 w523 w1", out, in),
			 1025);
	/* Segments lie at multiples of 16 with 64 or more bytes between. */
	for (i = 16; i < 80; i++)
		ck_assert_uint_eq(rig.arena[i], 0x77);
	for (i = 81; i < 160; i++)
		ck_assert_uint_eq(rig.arena[i], 0x77);
	for (i = 160 + 500; i < 160 + 564; i++)
		ck_assert_uint_eq(rig.arena[i], 0x77);
	rig_close(&rig);
}
END_TEST

static void load_faulty(void)
{
	void *module;

	if (faulty)
		return;
	ck_assert_int_eq(pvio_plugins_load(PVIO_TEST_PLUGIN_DIR), 0);
	module = dlopen(PVIO_TEST_PLUGIN_DIR "/block-faulty.so",
			RTLD_NOW | RTLD_LOCAL);
	ck_assert_ptr_nonnull(module);
	faulty = dlsym(module, "faulty");
	*(void **)&faulty_release = dlsym(module, "faulty_release");
	ck_assert(faulty && faulty_release);
}

int main(void)
{
	Suite *s = suite_create("hostile block");
	TCase *every = tcase_create("every way");
	TCase *one = tcase_create("loopback");
	SRunner *runner;
	int failed;

	tcase_add_unchecked_fixture(every, load_faulty, NULL);
	tcase_add_unchecked_fixture(one, load_faulty, NULL);
#define EVERY_WAY(test) tcase_add_loop_test(every, test, 0, BLOCK_NR_WAYS)
	EVERY_WAY(request_beyond_the_end_is_refused);
	EVERY_WAY(sum_of_segments_decides);
	EVERY_WAY(length_must_be_whole_sectors_and_some);
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
	EVERY_WAY(request_over_the_limits_is_served_or_refused);
	EVERY_WAY(writeback_takes_any_value_as_yes_or_no);
	EVERY_WAY(configuration_is_read_only);
	EVERY_WAY(image_formats_are_not_looked_for);
	EVERY_WAY(overlapping_requests_do_no_harm);
	EVERY_WAY(data_over_header_and_status_does_no_harm);
	EVERY_WAY(changes_after_the_kick_do_no_harm);
	EVERY_WAY(buffers_at_the_end_of_memory);
	EVERY_WAY(nothing_is_written_around_the_segments);
	tcase_set_timeout(every, 60);
	suite_add_tcase(s, every);

	tcase_add_test(one, refused_request_never_reaches_the_backend);
	tcase_add_test(one, one_bad_range_refuses_all);
	tcase_add_test(one, full_queues_of_held_requests_end_well);
	tcase_add_test(one, reset_with_requests_in_flight_waits_for_them);
	tcase_add_test(one, every_backend_error_is_one_failed_request);
	tcase_set_timeout(one, 60);
	suite_add_tcase(s, one);

	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
