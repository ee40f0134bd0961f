/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_block_state.c - drivers that do the wrong thing at the wrong time, and
 * backends that fail, over every transport
 *
 * As check_block.c, for what is wrong with no single request: too many of them,
 * resets, configuration, errors from below, memory that changes or is shared.
 */
#include "tests/block-faulty.h"
#include "tests/check_main.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DISK_SECTORS ((uint64_t)2048)
#define RAM_DISK     "backend = { type = \"memory\"; size = \"1M\"; };"

static struct block_rig rig;

static void put_header(uint8_t *out, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr header = {
		.type = htole32(type),
		.sector = htole64(sector),
	};

	memcpy(out, &header, sizeof(header));
}

/* --- sizes and numbers ---------------------------------------------------- */

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

	open_faulty(&rig, "queues = 8;", 0);
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

	open_faulty(&rig, "", 0);
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
		rig_config_until(&rig, &config, config.wce == (value != 0));
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
	rig_config_until(&rig, &after, memcmp(&before, &after, 60) == 0);
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

	open_faulty(&rig, "", 0);
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

/* --- races ---------------------------------------------------------------- */

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

/*
 * Bytes that the device may be reading: a race, which is the driver's to make
 * and not for a sanitizer to find.  Stores, since it knows memset by its name.
 */
static __attribute__((no_sanitize("thread"))) void
scribble(volatile uint8_t *p, uint8_t value, size_t len)
{
	while (len-- > 0)
		*p++ = value;
}

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
			/* Another type, and sectors beyond the end. */
			scribble(rig.arena, (uint8_t)(VIRTIO_BLK_T_OUT + i), 1);
			scribble(rig.arena + 8, (uint8_t)(0xff - i), 8);
			scribble(rig.arena + 4096, (uint8_t)i, 65536);
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

int main(void)
{
	Suite *s = suite_create("hostile block state");
	TCase *every = tcase_create("every way");
	TCase *one = tcase_create("loopback");

	tcase_add_unchecked_fixture(every, load_faulty, NULL);
	tcase_add_unchecked_fixture(one, load_faulty, NULL);
#define EVERY_WAY(test) tcase_add_loop_test(every, test, 0, BLOCK_NR_WAYS)
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

	tcase_add_test(one, full_queues_of_held_requests_end_well);
	tcase_add_test(one, reset_with_requests_in_flight_waits_for_them);
	tcase_add_test(one, every_backend_error_is_one_failed_request);
	tcase_set_timeout(one, 60);
	suite_add_tcase(s, one);

	return check_suite(s);
}
