/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_block.c - the block model does what virtio 1.4, 5.2 says a disk does,
 * over every transport
 */
#include "tests/block-faulty.h"
#include "tests/check_main.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK_BYTES ((size_t)1 << 20)
#define RAM_DISK   "backend = { type = \"memory\"; size = \"1M\"; };"

static struct block_rig rig;

static void expect_zeroes(const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		ck_assert_uint_eq(p[i], 0);
}

/* --- reading and writing -------------------------------------------------- */

START_TEST(what_is_written_is_read_back)
{
	uint8_t out[8192], in[8192];

	rig_open(&rig, _i, RAM_DISK, 0);
	rig_pattern(out, sizeof(out), 1);
	ck_assert_int_eq(rig_write(&rig, 8, out, sizeof(out)), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig.used, 1);
	ck_assert_int_eq(rig_read(&rig, 8, in, sizeof(in)), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig.used, sizeof(in) + 1);
	ck_assert_mem_eq(out, in, sizeof(in));
	rig_close(&rig);
}
END_TEST

START_TEST(last_sector_can_be_reached)
{
	uint8_t out[512], in[512];

	rig_open(&rig, _i, RAM_DISK, 0);
	rig_pattern(out, sizeof(out), 2);
	ck_assert_int_eq(rig_write(&rig, DISK_BYTES / 512 - 1, out, 512),
			 VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig_read(&rig, DISK_BYTES / 512 - 1, in, 512),
			 VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(out, in, 512);
	rig_close(&rig);
}
END_TEST

/* (virtio 1.4, 2.7.4.1): where segments are cut means nothing. */
START_TEST(framing_is_free)
{
	static const char *const writes[] = {
		"r16 r1024 w1",      "r1040 w1",     "r8 r8 r1024 w1",
		"r17 r1023 w1",      "r15 r1025 w1", "r4 r4 r4 r4 r512 r512 w1",
		"r1 r1 r1 r1037 w1",
	};
	static const char *const reads[] = {
		"r16 w1024 w1", "r16 w1025",       "r8 r8 w512 w513",
		"r16 w1 w1024", "r16 w1023 w1 w1", "r1 r15 w1000 w24 w1",
	};
	uint8_t out[16 + 1024] = { 0 }, in[1025], status;
	unsigned int i;

	rig_open(&rig, _i, RAM_DISK, 0);
	for (i = 0; i < pvio_array_size(writes); i++) {
		out[0] = VIRTIO_BLK_T_OUT;
		rig_pattern(out + 16, 1024, i + 3);
		ck_assert_int_eq(rig_chain(&rig, 0, writes[i], out, &status),
				 1);
		ck_assert_uint_eq(status, VIRTIO_BLK_S_OK);

		out[0] = VIRTIO_BLK_T_IN;
		ck_assert_int_eq(rig_chain(&rig, 0,
					   reads[i % pvio_array_size(reads)],
					   out, in),
				 1025);
		ck_assert_uint_eq(in[1024], VIRTIO_BLK_S_OK);
		ck_assert_mem_eq(out + 16, in, 1024);
	}
	rig_close(&rig);
}
END_TEST

START_TEST(every_queue_serves)
{
	struct virtio_blk_config config;
	uint8_t out[512], in[512];
	unsigned int q;

	rig_open(&rig, _i, "queues = 4; " RAM_DISK, 0);
	ck_assert_uint_eq(guest_device_nr_queues(rig.gd), 4);
	rig_config(&rig, &config);
	ck_assert_uint_eq(le16toh(config.num_queues), 4);
	for (q = 0; q < 4; q++) {
		rig_pattern(out, sizeof(out), q);
		ck_assert_int_eq(rig_request(&rig, q, VIRTIO_BLK_T_OUT, q, out,
					     512, NULL, 0),
				 VIRTIO_BLK_S_OK);
		ck_assert_int_eq(rig_request(&rig, 3 - q, VIRTIO_BLK_T_IN, q,
					     NULL, 0, in, 512),
				 VIRTIO_BLK_S_OK);
		ck_assert_mem_eq(out, in, 512);
	}
	rig_close(&rig);
}
END_TEST

/* A full ring in one batch: all are answered, and not one by one. */
START_TEST(batch_is_served_in_few_notifications)
{
	struct guest_ring *ring;
	struct virtio_blk_outhdr *header;
	struct guest_segment seg[2];
	unsigned int i, nr = RIG_QUEUE_SIZE / 2, done = 0, waits = 0;
	uint32_t len;

	rig_open(&rig, _i, RAM_DISK, 0);
	ring = guest_device_ring(rig.gd, 0);
	header = (struct virtio_blk_outhdr *)rig.arena;
	header->type = htole32(VIRTIO_BLK_T_IN);
	for (i = 0; i < nr; i++) {
		seg[0].gpa = rig.arena_gpa;
		seg[0].len = 16;
		seg[1].gpa = rig.arena_gpa + 4096 * (i + 1);
		seg[1].len = 513;
		ck_assert_int_eq(guest_ring_add(ring, seg, 1, 1, header), 0);
	}
	if (guest_ring_publish(ring))
		guest_device_kick(rig.gd, 0);
	while (done < nr) {
		while (guest_ring_reap(ring, &len)) {
			ck_assert_uint_eq(len, 513);
			done++;
		}
		if (done < nr && !guest_ring_enable_notify(ring)) {
			ck_assert_int_eq(guest_device_wait(rig.gd, 0, 10000),
					 1);
			waits++;
		}
	}
	ck_assert_uint_le(waits, nr / 2);
	rig_close(&rig);
}
END_TEST

START_TEST(null_disk_reads_zeroes)
{
	uint8_t in[1024];

	rig_open(&rig, _i, "backend = { type = \"null\"; size = \"1M\"; };", 0);
	ck_assert_int_eq(rig_read(&rig, 3, in, sizeof(in)), VIRTIO_BLK_S_OK);
	expect_zeroes(in, sizeof(in));
	rig_close(&rig);
}
END_TEST

START_TEST(null_disk_with_zero_off_leaves_buffers)
{
	uint8_t in[512];

	/* Then they are as what was copied to them: the window. */
	if (_i / 2 == GUEST_WAY_WINDOW_BOUNCE)
		return;
	rig_open(&rig, _i, "backend = { type = \"null\"; zero = false; };", 0);
	ck_assert_int_eq(rig_read(&rig, 3, in, sizeof(in)), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(in[0], 0xee);
	ck_assert_uint_eq(in[511], 0xee);
	rig_close(&rig);
}
END_TEST

START_TEST(device_serves_again_after_reset)
{
	rig_open(&rig, _i, RAM_DISK, 0);
	rig_expect_alive(&rig);
	rig_restart(&rig);
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* --- configuration -------------------------------------------------------- */

START_TEST(configuration_describes_the_disk)
{
	struct virtio_blk_config config;

	rig_open(
		&rig, _i,
		"block_size = 4096; seg_max = 64; size_max = \"64K\"; " RAM_DISK,
		0);
	rig_config(&rig, &config);
	ck_assert_uint_eq(le64toh(config.capacity), DISK_BYTES / 512);
	ck_assert_uint_eq(le32toh(config.blk_size), 4096);
	ck_assert_uint_eq(le32toh(config.seg_max), 64);
	ck_assert_uint_eq(le32toh(config.size_max), 65536);
	ck_assert_uint_eq(config.wce, 1);
	ck_assert_uint_ge(le32toh(config.max_discard_sectors), 8);
	ck_assert_uint_eq(le32toh(config.max_discard_seg), 32);
	ck_assert_uint_eq(config.write_zeroes_may_unmap, 1);
	rig_close(&rig);
}
END_TEST

START_TEST(features_follow_the_configuration)
{
	uint64_t ro = PVIO_BIT(VIRTIO_BLK_F_RO);
	uint64_t mq = PVIO_BIT(VIRTIO_BLK_F_MQ);
	uint64_t discard = PVIO_BIT(VIRTIO_BLK_F_DISCARD);
	uint64_t zeroes = PVIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	uint64_t always = PVIO_BIT(VIRTIO_BLK_F_FLUSH) |
			  PVIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) |
			  PVIO_BIT(VIRTIO_BLK_F_SEG_MAX);

	rig_open(&rig, _i, RAM_DISK, 0);
	ck_assert_uint_eq(rig.features[0] & (ro | mq | discard | zeroes),
			  discard | zeroes);
	ck_assert_uint_eq(rig.features[0] & always, always);
	rig_close(&rig);

	rig_open(&rig, _i, "read_only = true; queues = 2; " RAM_DISK, 0);
	ck_assert_uint_eq(rig.features[0] & (ro | mq | discard | zeroes),
			  ro | mq);
	rig_close(&rig);

	rig_open(&rig, _i, "discard = false; " RAM_DISK, 0);
	ck_assert_uint_eq(rig.features[0] & (discard | zeroes), zeroes);
	rig_close(&rig);
}
END_TEST

START_TEST(serial_is_padded_with_zeroes)
{
	uint8_t id[20];

	rig_open(&rig, _i, "serial = \"vol-17\"; " RAM_DISK, 0);
	ck_assert_int_eq(rig_request(&rig, 0, VIRTIO_BLK_T_GET_ID, 0, NULL, 0,
				     id, sizeof(id)),
			 VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig.used, 21);
	ck_assert_str_eq((char *)id, "vol-17");
	expect_zeroes(id + 6, 14);
	rig_close(&rig);
}
END_TEST

START_TEST(serial_is_the_name_unless_given)
{
	uint8_t id[20];

	rig_open(&rig, _i, RAM_DISK, 0);
	ck_assert_int_eq(rig_request(&rig, 0, VIRTIO_BLK_T_GET_ID, 0, NULL, 0,
				     id, sizeof(id)),
			 VIRTIO_BLK_S_OK);
	ck_assert_str_eq((char *)id, "disk0");
	rig_close(&rig);
}
END_TEST

START_TEST(wrong_configuration_is_refused)
{
	static const char *const configs[] = {
		"",
		"backend = { type = \"memory\"; };",
		"backend = { type = \"nonesuch\"; };",
		"queues = 0; " RAM_DISK,
		"queues = 65; " RAM_DISK,
		"block_size = 1536; " RAM_DISK,
		"block_size = 256; " RAM_DISK,
		"cache = \"sometimes\"; " RAM_DISK,
		"serial = \"longer than twenty bytes\"; " RAM_DISK,
		"nonesuch = 1; " RAM_DISK,
		"backend = { type = \"memory\"; size = \"1M\"; x = 1; };",
	};
	unsigned int i;

	for (i = 0; i < pvio_array_size(configs); i++)
		ck_assert_msg(rig_try_create(configs[i]) == -EINVAL, "%s",
			      configs[i]);
	ck_assert_int_eq(rig_try_create(RAM_DISK), 0);
}
END_TEST

/* --- cache ---------------------------------------------------------------- */

static bool write_is_stable(void)
{
	uint8_t out[512] = { 1 };

	faulty->stable = false;
	ck_assert_int_eq(rig_write(&rig, 0, out, 512), VIRTIO_BLK_S_OK);
	return faulty->stable;
}

static int set_writeback(uint8_t value)
{
	return guest_device_write_config(
		rig.gd, offsetof(struct virtio_blk_config, wce), &value, 1);
}

/* (virtio 1.4, 5.2.6.2) */
START_TEST(driver_that_cannot_flush_gets_stable_writes)
{
	open_faulty(&rig, "",
		    PVIO_BIT(VIRTIO_BLK_F_FLUSH) |
			    PVIO_BIT(VIRTIO_BLK_F_CONFIG_WCE));
	ck_assert(write_is_stable());
	rig_close(&rig);

	open_faulty(&rig, "", PVIO_BIT(VIRTIO_BLK_F_FLUSH));
	ck_assert(write_is_stable());
	rig_close(&rig);
}
END_TEST

START_TEST(driver_that_can_flush_gets_volatile_writes)
{
	open_faulty(&rig, "", PVIO_BIT(VIRTIO_BLK_F_CONFIG_WCE));
	ck_assert(!write_is_stable());
	ck_assert_int_eq(rig_flush(&rig), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(faulty->seen[PVIO_BLOCK_FLUSH], 1);
	rig_close(&rig);
}
END_TEST

START_TEST(writeback_field_decides_when_negotiated)
{
	struct virtio_blk_config config;

	open_faulty(&rig, "", 0);
	ck_assert(!write_is_stable());
	ck_assert_int_eq(set_writeback(0), 0);
	ck_assert(write_is_stable());
	rig_config(&rig, &config);
	ck_assert_uint_eq(config.wce, 0);
	ck_assert_int_eq(set_writeback(1), 0);
	ck_assert(!write_is_stable());
	/* A reset brings the initial value back. */
	ck_assert_int_eq(set_writeback(0), 0);
	rig_restart(&rig);
	ck_assert(!write_is_stable());
	rig_close(&rig);
}
END_TEST

/* Whatever is stable from now on must not be newer than what is lost. */
START_TEST(switch_to_write_through_settles_older_writes)
{
	open_faulty(&rig, "", 0);
	ck_assert(!write_is_stable());
	ck_assert_int_eq(set_writeback(0), 0);
	ck_assert(write_is_stable());
	ck_assert_uint_eq(faulty->seen[PVIO_BLOCK_FLUSH], 1);
	ck_assert(write_is_stable());
	ck_assert_uint_eq(faulty->seen[PVIO_BLOCK_FLUSH], 1);
	/* Once for every time. */
	ck_assert_int_eq(set_writeback(1), 0);
	ck_assert_int_eq(set_writeback(0), 0);
	ck_assert(write_is_stable());
	ck_assert_uint_eq(faulty->seen[PVIO_BLOCK_FLUSH], 2);
	rig_close(&rig);
}
END_TEST

START_TEST(writethrough_stays_writethrough)
{
	struct virtio_blk_config config;

	open_faulty(&rig, "cache = \"writethrough\";", 0);
	set_writeback(1);
	rig_config(&rig, &config);
	ck_assert_uint_eq(config.wce, 0);
	ck_assert(write_is_stable());
	rig_close(&rig);

	open_faulty(&rig, "cache = \"writethrough\";",
		    PVIO_BIT(VIRTIO_BLK_F_CONFIG_WCE));
	ck_assert(write_is_stable());
	rig_close(&rig);
}
END_TEST

START_TEST(unsafe_never_flushes)
{
	open_faulty(&rig, "cache = \"unsafe\";", PVIO_BIT(VIRTIO_BLK_F_FLUSH));
	ck_assert(!write_is_stable());
	ck_assert_int_eq(rig_flush(&rig), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(faulty->seen[PVIO_BLOCK_FLUSH], 0);
	rig_close(&rig);
}
END_TEST

START_TEST(failed_flush_fails_those_after_it_until_cleared)
{
	uint8_t out[512] = { 0 };

	open_faulty(&rig, "", 0);
	faulty->error[PVIO_BLOCK_FLUSH] = -EIO;
	faulty->fail = 1;
	ck_assert_int_eq(rig_flush(&rig), VIRTIO_BLK_S_IOERR);
	/* The backend would succeed now; the lost data would still be lost. */
	ck_assert_int_eq(rig_flush(&rig), VIRTIO_BLK_S_IOERR);
	rig_restart(&rig);
	ck_assert_int_eq(rig_flush(&rig), VIRTIO_BLK_S_IOERR);
	/* Reading and writing go on. */
	ck_assert_int_eq(rig_write(&rig, 0, out, 512), VIRTIO_BLK_S_OK);

	ck_assert_int_eq(rig_command(&rig, "clear-error", "", NULL), 0);
	ck_assert_int_eq(rig_flush(&rig), VIRTIO_BLK_S_OK);
	rig_close(&rig);
}
END_TEST

/* --- discard and write zeroes --------------------------------------------- */

START_TEST(write_zeroes_reads_back_zero)
{
	uint8_t out[16384], in[16384];
	uint32_t unmap;

	rig_open(&rig, _i, RAM_DISK, 0);
	rig_pattern(out, sizeof(out), 5);
	for (unmap = 0; unmap < 2; unmap++) {
		ck_assert_int_eq(rig_write(&rig, 0, out, sizeof(out)),
				 VIRTIO_BLK_S_OK);
		ck_assert_int_eq(rig_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 3,
					   20, unmap),
				 VIRTIO_BLK_S_OK);
		ck_assert_int_eq(rig_read(&rig, 0, in, sizeof(in)),
				 VIRTIO_BLK_S_OK);
		ck_assert_mem_eq(in, out, 3 * 512);
		expect_zeroes(in + 3 * 512, 20 * 512);
		ck_assert_mem_eq(in + 23 * 512, out + 23 * 512,
				 sizeof(in) - 23 * 512);
	}
	rig_close(&rig);
}
END_TEST

START_TEST(ranges_of_one_request_are_all_done)
{
	struct virtio_blk_discard_write_zeroes range[32] = { 0 };
	unsigned int i;

	open_faulty(&rig, "", 0);
	for (i = 0; i < 32; i++) {
		range[i].sector = htole64(i * 2);
		range[i].num_sectors = htole32(1);
	}
	ck_assert_int_eq(rig_request(&rig, 0, VIRTIO_BLK_T_DISCARD, 0, range,
				     sizeof(range), NULL, 0),
			 VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig.used, 1);
	ck_assert_uint_eq(faulty->seen[PVIO_BLOCK_DISCARD], 32);
	ck_assert_uint_eq(faulty->offset, 31 * 2 * 512);
	rig_close(&rig);
}
END_TEST

START_TEST(failed_range_ends_the_request)
{
	struct virtio_blk_discard_write_zeroes range[3] = { 0 };
	unsigned int i;

	open_faulty(&rig, "", 0);
	for (i = 0; i < 3; i++)
		range[i].num_sectors = htole32(8);
	faulty->error[PVIO_BLOCK_WRITE_ZEROES] = -EIO;
	faulty->fail = 1;
	ck_assert_int_eq(rig_request(&rig, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0,
				     range, sizeof(range), NULL, 0),
			 VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(faulty->seen[PVIO_BLOCK_WRITE_ZEROES], 1);
	rig_close(&rig);
}
END_TEST

START_TEST(unmap_flag_reaches_the_backend)
{
	open_faulty(&rig, "", 0);
	ck_assert_int_eq(rig_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 1),
			 VIRTIO_BLK_S_OK);
	ck_assert(faulty->may_unmap);
	ck_assert_int_eq(rig_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0),
			 VIRTIO_BLK_S_OK);
	ck_assert(!faulty->may_unmap);
	rig_close(&rig);
}
END_TEST

/* --- resize --------------------------------------------------------------- */

START_TEST(resize_changes_capacity_and_tells_the_driver)
{
	struct virtio_blk_config config;
	unsigned int before;
	char answer[256];
	uint8_t buf[512];

	rig_open(&rig, _i, RAM_DISK, 0);
	before = guest_device_config_changes(rig.gd);
	ck_assert_int_eq(rig_command(&rig, "resize", "512K", answer), 0);
	ck_assert_str_eq(answer, "524288");
	rig_settle(&rig);
	rig_config_until(&rig, &config, le64toh(config.capacity) == 1024);
	ck_assert_uint_gt(guest_device_config_changes(rig.gd), before);
	ck_assert_int_eq(rig_read(&rig, 1024, buf, 512), VIRTIO_BLK_S_IOERR);

	/* And back, to all the backend has. */
	ck_assert_int_eq(rig_command(&rig, "resize", "", answer), 0);
	ck_assert_str_eq(answer, "1048576");
	ck_assert_int_eq(rig_read(&rig, 1024, buf, 512), VIRTIO_BLK_S_OK);
	rig_close(&rig);
}
END_TEST

START_TEST(resize_refuses_what_the_backend_does_not_have)
{
	char answer[256];

	rig_open(&rig, _i, RAM_DISK, 0);
	ck_assert_int_eq(rig_command(&rig, "resize", "2M", answer), -EINVAL);
	ck_assert_ptr_nonnull(strstr(answer, "1048576"));
	ck_assert_int_eq(rig_command(&rig, "resize", "lots", answer), -EINVAL);
	ck_assert_int_eq(rig_command(&rig, "resize", "1000", answer), -EINVAL);
	ck_assert_int_eq(rig_command(&rig, "nonesuch", "", answer), -ENOTSUP);
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* --- counters ------------------------------------------------------------- */

START_TEST(bytes_are_counted_both_ways)
{
	const struct pvio_vq *vq;
	uint8_t buf[4096] = { 0 };

	rig_open(&rig, BLOCK_LOOPBACK_SPLIT, RAM_DISK, 0);
	ck_assert_int_eq(rig_write(&rig, 0, buf, 4096), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig_read(&rig, 0, buf, 1024), VIRTIO_BLK_S_OK);
	vq = pvio_device_vq(rig.dev, 0);
	ck_assert_uint_eq(vq->stats.bytes_in, 4096);
	ck_assert_uint_eq(vq->stats.bytes_out, 1024);
	ck_assert_uint_eq(vq->stats.requests, 2);
	ck_assert_uint_eq(vq->stats.completions, 2);
	rig_close(&rig);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("block");
	TCase *every = tcase_create("every way");
	TCase *one = tcase_create("loopback");

	tcase_add_unchecked_fixture(every, load_faulty, NULL);
	tcase_add_unchecked_fixture(one, load_faulty, NULL);
#define EVERY_WAY(test) tcase_add_loop_test(every, test, 0, BLOCK_NR_WAYS)
	EVERY_WAY(what_is_written_is_read_back);
	EVERY_WAY(last_sector_can_be_reached);
	EVERY_WAY(framing_is_free);
	EVERY_WAY(every_queue_serves);
	EVERY_WAY(batch_is_served_in_few_notifications);
	EVERY_WAY(null_disk_reads_zeroes);
	EVERY_WAY(null_disk_with_zero_off_leaves_buffers);
	EVERY_WAY(device_serves_again_after_reset);
	EVERY_WAY(configuration_describes_the_disk);
	EVERY_WAY(features_follow_the_configuration);
	EVERY_WAY(serial_is_padded_with_zeroes);
	EVERY_WAY(serial_is_the_name_unless_given);
	EVERY_WAY(write_zeroes_reads_back_zero);
	EVERY_WAY(resize_changes_capacity_and_tells_the_driver);
	EVERY_WAY(resize_refuses_what_the_backend_does_not_have);
	tcase_set_timeout(every, 30);
	suite_add_tcase(s, every);

	tcase_add_test(one, wrong_configuration_is_refused);
	tcase_add_test(one, driver_that_cannot_flush_gets_stable_writes);
	tcase_add_test(one, driver_that_can_flush_gets_volatile_writes);
	tcase_add_test(one, writeback_field_decides_when_negotiated);
	tcase_add_test(one, switch_to_write_through_settles_older_writes);
	tcase_add_test(one, writethrough_stays_writethrough);
	tcase_add_test(one, unsafe_never_flushes);
	tcase_add_test(one, failed_flush_fails_those_after_it_until_cleared);
	tcase_add_test(one, ranges_of_one_request_are_all_done);
	tcase_add_test(one, failed_range_ends_the_request);
	tcase_add_test(one, unmap_flag_reaches_the_backend);
	tcase_add_test(one, bytes_are_counted_both_ways);
	suite_add_tcase(s, one);

	return check_suite(s);
}
