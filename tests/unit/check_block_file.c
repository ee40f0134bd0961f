/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_block_file.c - the file backend on real files: what is written arrives,
 * what fails is told, what is in use is refused
 */
#include "tests/block-rig.h"
#include "tests/check_main.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define IMAGE_BYTES ((off_t)4 << 20)

static struct block_rig rig;
static char dir[32], image[64];

static void setup(void)
{
	int fd;

	strcpy(dir, "/tmp/pvio-file-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(image, sizeof(image), "%s/image", dir);
	fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, IMAGE_BYTES), 0);
	close(fd);
}

static void teardown(void)
{
	unlink(image);
	rmdir(dir);
}

/* The backend group for the image with more @keys. */
static const char *backend(const char *path, const char *keys)
{
	static char text[512];

	snprintf(text, sizeof(text),
		 "backend = { type = \"file\"; path = \"%s\"; %s };", path,
		 keys);
	return text;
}

static void open_image(enum block_way way, const char *keys)
{
	rig_open(&rig, way, backend(image, keys), 0);
}

static off_t image_blocks(void)
{
	struct stat st;

	ck_assert_int_eq(stat(image, &st), 0);
	return st.st_blocks;
}

static void expect_file(off_t offset, const void *bytes, size_t len)
{
	uint8_t *buf = malloc(len);
	int fd = open(image, O_RDONLY | O_CLOEXEC);

	ck_assert_ptr_nonnull(buf);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, buf, len, offset), (ssize_t)len);
	ck_assert_mem_eq(buf, bytes, len);
	close(fd);
	free(buf);
}

/* --- it is the file ------------------------------------------------------- */

START_TEST(writes_are_in_the_file_and_reads_come_from_it)
{
	uint8_t out[65536], in[65536];

	open_image(_i, "");
	rig_pattern(out, sizeof(out), 1);
	ck_assert_int_eq(rig_write(&rig, 16, out, sizeof(out)),
			 VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig_flush(&rig), VIRTIO_BLK_S_OK);
	expect_file(16 * 512, out, sizeof(out));
	ck_assert_int_eq(rig_read(&rig, 16, in, sizeof(in)), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(in, out, sizeof(in));
	rig_close(&rig);
}
END_TEST

START_TEST(direct_io_serves_any_alignment)
{
	static const char *const writes[] = {
		"r16 r8192 w1", "r8208 w1",          "r16 r1 r8190 r1 w1",
		"r17 r8191 w1", "r16 r512 r7680 w1",
	};
	static const char *const reads[] = {
		"r16 w8192 w1",    "r16 w8193",         "r16 w1 w8190 w1 w1",
		"r16 w3 w8189 w1", "r16 w512 w7680 w1",
	};
	uint8_t out[16 + 8192] = { 0 }, in[8193], status;
	unsigned int i;

	open_image(_i, "direct = true;");
	for (i = 0; i < pvio_array_size(writes); i++) {
		out[0] = VIRTIO_BLK_T_OUT;
		out[8] = (uint8_t)(8 * i);
		rig_pattern(out + 16, 8192, i);
		ck_assert_int_eq(rig_chain(&rig, 0, writes[i], out, &status),
				 1);
		ck_assert_uint_eq(status, VIRTIO_BLK_S_OK);
		expect_file(512 * 8 * i, out + 16, 8192);
		out[0] = VIRTIO_BLK_T_IN;
		ck_assert_int_eq(rig_chain(&rig, 0, reads[i], out, in), 8193);
		ck_assert_uint_eq(in[8192], VIRTIO_BLK_S_OK);
		ck_assert_mem_eq(in, out + 16, 8192);
	}
	rig_close(&rig);
}
END_TEST

/* Larger than a bounce buffer, and more at a time than there are. */
START_TEST(direct_io_bounces_piece_by_piece)
{
	struct virtio_blk_outhdr *header;
	struct guest_segment seg[2];
	struct guest_ring *ring;
	unsigned int i, nr = 10, done = 0;
	size_t len = 300 << 10;
	uint32_t used;

	open_image(_i, "direct = true;");
	ring = guest_device_ring(rig.gd, 0);
	rig_pattern(rig.arena + 4096, 10 * len, 7);
	for (i = 0; i < nr; i++) {
		header = (struct virtio_blk_outhdr *)(rig.arena + 16 * i);
		header->type = htole32(VIRTIO_BLK_T_OUT);
		header->sector = htole64(i * (len / 512));
		seg[0].gpa = rig.arena_gpa + 16 * i;
		seg[0].len = 16;
		ck_assert_uint_le(4097 + (i + 1) * len, RIG_ARENA_BYTES - 16);
		seg[1].gpa = rig.arena_gpa + 4097 + i * len;
		seg[1].len = (uint32_t)len;
		struct guest_segment chain[3] = {
			seg[0],
			seg[1],
			{ rig.arena_gpa + RIG_ARENA_BYTES - 1 - i, 1 }
		};
		ck_assert_int_eq(guest_ring_add(ring, chain, 2, 1, header), 0);
	}
	if (guest_ring_publish(ring))
		guest_device_kick(rig.gd, 0);
	while (done < nr) {
		while (guest_ring_reap(ring, &used)) {
			ck_assert_uint_eq(used, 1);
			done++;
		}
		if (done < nr && !guest_ring_enable_notify(ring))
			ck_assert_int_eq(guest_device_wait(rig.gd, 0, 10000),
					 1);
	}
	for (i = 0; i < nr; i++)
		ck_assert_uint_eq(rig.arena[RIG_ARENA_BYTES - 1 - i],
				  VIRTIO_BLK_S_OK);
	expect_file(0, rig.arena + 4097, nr * len);
	rig_close(&rig);
}
END_TEST

START_TEST(many_segments_are_one_request)
{
	char shape[1024] = "r16";
	uint8_t out[16 + 60 * 512] = { 0 }, status;
	unsigned int i;

	open_image(_i, "");
	for (i = 0; i < 60; i++)
		strcat(shape, " r512");
	strcat(shape, " w1");
	out[0] = VIRTIO_BLK_T_OUT;
	rig_pattern(out + 16, sizeof(out) - 16, 3);
	ck_assert_int_eq(rig_chain(&rig, 0, shape, out, &status), 1);
	ck_assert_uint_eq(status, VIRTIO_BLK_S_OK);
	expect_file(0, out + 16, sizeof(out) - 16);
	rig_close(&rig);
}
END_TEST

START_TEST(full_ring_of_requests_is_served)
{
	struct virtio_blk_outhdr *header;
	struct guest_segment seg[2];
	struct guest_ring *ring;
	unsigned int i, round, nr = RIG_QUEUE_SIZE / 2, done;
	uint32_t used;

	open_image(_i, "");
	ring = guest_device_ring(rig.gd, 0);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < nr; i++) {
			header = (struct virtio_blk_outhdr *)(rig.arena +
							      16 * i);
			header->type = htole32(VIRTIO_BLK_T_IN);
			header->sector = htole64(i * 8);
			seg[0].gpa = rig.arena_gpa + 16 * i;
			seg[0].len = 16;
			seg[1].gpa = rig.arena_gpa + 8192 * (i + 1);
			seg[1].len = 4097;
			ck_assert_int_eq(
				guest_ring_add(ring, seg, 1, 1, header), 0);
		}
		if (guest_ring_publish(ring))
			guest_device_kick(rig.gd, 0);
		for (done = 0; done < nr;) {
			while (guest_ring_reap(ring, &used)) {
				ck_assert_uint_eq(used, 4097);
				done++;
			}
			if (done < nr && !guest_ring_enable_notify(ring))
				ck_assert_int_eq(
					guest_device_wait(rig.gd, 0, 10000), 1);
		}
	}
	rig_close(&rig);
}
END_TEST

/* Completions are noticed though nothing makes the thread enter the kernel. */
START_TEST(polling_worker_serves_the_file)
{
	uint8_t out[4096], in[4096];
	char config[600];
	unsigned int i;

	snprintf(config, sizeof(config), "poll_us = 10000; %s",
		 backend(image, "direct = true;"));
	rig_open(&rig, _i, config, 0);
	for (i = 0; i < 50; i++) {
		rig_pattern(out, sizeof(out), i);
		ck_assert_int_eq(rig_write(&rig, 8 * i, out, sizeof(out)),
				 VIRTIO_BLK_S_OK);
		ck_assert_int_eq(rig_read(&rig, 8 * i, in, sizeof(in)),
				 VIRTIO_BLK_S_OK);
		ck_assert_mem_eq(in, out, sizeof(in));
	}
	rig_close(&rig);
}
END_TEST

/* --- space ---------------------------------------------------------------- */

static void fill_image(void)
{
	static uint8_t out[1 << 20];
	unsigned int i;

	rig_pattern(out, sizeof(out), 9);
	for (i = 0; i < IMAGE_BYTES / sizeof(out); i++)
		ck_assert_int_eq(rig_write(&rig, i * (sizeof(out) / 512), out,
					   sizeof(out)),
				 VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig_flush(&rig), VIRTIO_BLK_S_OK);
}

START_TEST(discard_gives_space_back)
{
	off_t before;

	open_image(_i, "");
	fill_image();
	before = image_blocks();
	ck_assert_int_eq(rig_range(&rig, VIRTIO_BLK_T_DISCARD, 2048, 2048, 0),
			 VIRTIO_BLK_S_OK);
	ck_assert_int_le(image_blocks(), before - 2048);
	rig_close(&rig);
}
END_TEST

START_TEST(write_zeroes_reads_back_zero)
{
	static const uint8_t zeroes[65536];
	uint8_t in[65536];
	uint32_t unmap;

	open_image(_i, "");
	for (unmap = 0; unmap < 2; unmap++) {
		fill_image();
		ck_assert_int_eq(rig_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 1,
					   1024, unmap),
				 VIRTIO_BLK_S_OK);
		ck_assert_int_eq(rig_read(&rig, 1, in, sizeof(in)),
				 VIRTIO_BLK_S_OK);
		ck_assert_mem_eq(in, zeroes, sizeof(in));
		ck_assert_int_eq(rig_read(&rig, 1025, in, 512),
				 VIRTIO_BLK_S_OK);
		ck_assert_mem_ne(in, zeroes, 512);
		ck_assert_int_eq(rig_read(&rig, 0, in, 512), VIRTIO_BLK_S_OK);
		ck_assert_mem_ne(in, zeroes, 512);
	}
	rig_close(&rig);
}
END_TEST

/* tmpfs has no way to zero a range but to write it. */
START_TEST(write_zeroes_works_where_the_file_system_cannot)
{
	static const uint8_t zeroes[300 * 512];
	uint8_t in[300 * 512];
	char path[] = "/dev/shm/pvio-test-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, IMAGE_BYTES), 0);
	rig_open(&rig, _i, backend(path, ""), 0);
	fill_image();
	ck_assert_int_eq(rig_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 1, 300, 0),
			 VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig_read(&rig, 1, in, sizeof(in)), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(in, zeroes, sizeof(in));
	ck_assert_int_eq(rig_read(&rig, 301, in, 512), VIRTIO_BLK_S_OK);
	ck_assert_mem_ne(in, zeroes, 512);
	rig_close(&rig);
	close(fd);
	unlink(path);
}
END_TEST

START_TEST(writes_are_stable_without_flush_when_the_driver_cannot)
{
	uint8_t out[4096];

	rig_open(&rig, _i, backend(image, ""),
		 PVIO_BIT(VIRTIO_BLK_F_FLUSH) |
			 PVIO_BIT(VIRTIO_BLK_F_CONFIG_WCE));
	rig_pattern(out, sizeof(out), 4);
	ck_assert_int_eq(rig_write(&rig, 0, out, sizeof(out)), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 8, 8, 0),
			 VIRTIO_BLK_S_OK);
	expect_file(0, out, sizeof(out));
	rig_close(&rig);
}
END_TEST

/* --- trouble -------------------------------------------------------------- */

/* B17, B18: the image was truncated behind our back. */
START_TEST(shrunken_image_fails_requests_and_the_disk_lives)
{
	uint8_t buf[4096];

	open_image(_i, "");
	fill_image();
	ck_assert_int_eq(truncate(image, 1 << 20), 0);
	ck_assert_int_eq(rig_read(&rig, 4096, buf, sizeof(buf)),
			 VIRTIO_BLK_S_IOERR);
	/* Half there: the part that is gone must not be made up. */
	ck_assert_int_eq(rig_read(&rig, 2046, buf, sizeof(buf)),
			 VIRTIO_BLK_S_IOERR);
	rig_expect_alive(&rig);
	rig_close(&rig);
}
END_TEST

/* B18 */
START_TEST(full_file_system_fails_writes_and_the_disk_lives)
{
	static uint8_t out[1 << 20];
	char path[80], config[600];
	int fd, bad = 0;
	unsigned int i;

	if (geteuid() != 0 || mount("none", dir, "tmpfs", 0, "size=1M") < 0)
		return;
	snprintf(path, sizeof(path), "%s/image", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, IMAGE_BYTES), 0);
	snprintf(config, sizeof(config), "%s", backend(path, ""));
	rig_open(&rig, _i, config, 0);
	rig_expect_alive(&rig);
	rig_pattern(out, sizeof(out), 2);
	for (i = 0; i < 4; i++)
		bad += rig_write(&rig, i * 2048, out, sizeof(out)) ==
		       VIRTIO_BLK_S_IOERR;
	ck_assert_int_ge(bad, 1);
	rig_expect_alive(&rig);
	/* Space comes back: so does service. */
	ck_assert_int_eq(rig_range(&rig, VIRTIO_BLK_T_DISCARD, 0, 8192, 0),
			 VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig_write(&rig, 4096, out, 4096), VIRTIO_BLK_S_OK);
	rig_close(&rig);
	close(fd);
	umount2(dir, MNT_DETACH);
}
END_TEST

START_TEST(resize_follows_the_file)
{
	struct virtio_blk_config config;
	uint8_t buf[512];
	char answer[256];

	open_image(_i, "");
	ck_assert_int_eq(truncate(image, 2 * IMAGE_BYTES), 0);
	ck_assert_int_eq(rig_read(&rig, IMAGE_BYTES / 512, buf, 512),
			 VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(rig_command(&rig, "resize", "", answer), 0);
	rig_config_until(&rig, &config,
			 le64toh(config.capacity) == 2 * IMAGE_BYTES / 512);
	ck_assert_int_eq(rig_read(&rig, IMAGE_BYTES / 512, buf, 512),
			 VIRTIO_BLK_S_OK);
	rig_close(&rig);
}
END_TEST

START_TEST(read_only_disk_opens_the_file_read_only)
{
	uint8_t buf[512] = { 0 };
	char config[600];

	ck_assert_int_eq(chmod(image, 0400), 0);
	snprintf(config, sizeof(config), "read_only = true; %s",
		 backend(image, ""));
	rig_open(&rig, _i, config, 0);
	ck_assert_int_eq(rig_read(&rig, 0, buf, 512), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig_write(&rig, 0, buf, 512), VIRTIO_BLK_S_IOERR);
	rig_close(&rig);
}
END_TEST

START_TEST(what_is_no_disk_is_refused)
{
	char fifo[80];

	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	ck_assert_int_eq(rig_try_create(backend("/nonesuch/image", "")),
			 -ENOENT);
	ck_assert_int_eq(rig_try_create(backend(fifo, "")), -ENOTBLK);
	ck_assert_int_eq(rig_try_create(backend(dir, "")), -ENOTBLK);
	ck_assert_int_eq(rig_try_create(backend("/dev/zero", "")), -ENOTBLK);
	ck_assert_int_eq(rig_try_create("backend = { type = \"file\"; };"),
			 -EINVAL);
	unlink(fifo);
}
END_TEST

/* --- the lock ------------------------------------------------------------- */

/* B24 */
START_TEST(image_in_use_is_refused)
{
	const char *soon = "lock_wait_ms = 20;";
	char config[600];

	open_image(BLOCK_LOOPBACK_SPLIT, "");
	ck_assert_int_eq(rig_try_create(backend(image, soon)), -EBUSY);
	snprintf(config, sizeof(config), "read_only = true; %s",
		 backend(image, soon));
	ck_assert_int_eq(rig_try_create(config), -EBUSY);
	ck_assert_int_eq(rig_try_create(backend(image, "lock = false;")), 0);
	rig_close(&rig);
	/* The kernel lets go of a ring's files a moment after it is closed. */
	ck_assert_int_eq(rig_try_create(backend(image, "")), 0);
}
END_TEST

START_TEST(readers_share_an_image)
{
	char config[600];

	snprintf(config, sizeof(config), "read_only = true; %s",
		 backend(image, "lock_wait_ms = 20;"));
	rig_open(&rig, BLOCK_LOOPBACK_SPLIT, config, 0);
	ck_assert_int_eq(rig_try_create(config), 0);
	ck_assert_int_eq(rig_try_create(backend(image, "lock_wait_ms = 20;")),
			 -EBUSY);
	rig_close(&rig);
}
END_TEST

/* A process that was killed lets go a moment later: open waits for that. */
START_TEST(lock_of_a_killed_process_is_waited_for)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int ready[2], fd, status;
	pid_t pid;
	char c;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct timespec ts = { .tv_nsec = 200000000 };

		fd = open(image, O_RDWR | O_CLOEXEC);
		if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) < 0)
			_exit(1);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		nanosleep(&ts, NULL);
		_exit(0);
	}
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	ck_assert_int_eq(rig_try_create(backend(image, "lock_wait_ms = 0;")),
			 -EBUSY);
	ck_assert_int_eq(rig_try_create(backend(image, "")), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	close(ready[0]);
	close(ready[1]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("block-file");
	TCase *every = tcase_create("every way");
	TCase *one = tcase_create("loopback");

	tcase_add_checked_fixture(every, setup, teardown);
	tcase_add_checked_fixture(one, setup, teardown);
#define EVERY_WAY(test) tcase_add_loop_test(every, test, 0, BLOCK_NR_WAYS)
	EVERY_WAY(writes_are_in_the_file_and_reads_come_from_it);
	EVERY_WAY(direct_io_serves_any_alignment);
	EVERY_WAY(direct_io_bounces_piece_by_piece);
	EVERY_WAY(many_segments_are_one_request);
	EVERY_WAY(full_ring_of_requests_is_served);
	EVERY_WAY(polling_worker_serves_the_file);
	EVERY_WAY(discard_gives_space_back);
	EVERY_WAY(write_zeroes_reads_back_zero);
	EVERY_WAY(write_zeroes_works_where_the_file_system_cannot);
	EVERY_WAY(writes_are_stable_without_flush_when_the_driver_cannot);
	EVERY_WAY(shrunken_image_fails_requests_and_the_disk_lives);
	EVERY_WAY(full_file_system_fails_writes_and_the_disk_lives);
	EVERY_WAY(resize_follows_the_file);
	EVERY_WAY(read_only_disk_opens_the_file_read_only);
	tcase_set_timeout(every, 60);
	suite_add_tcase(s, every);

	tcase_add_test(one, what_is_no_disk_is_refused);
	tcase_add_test(one, image_in_use_is_refused);
	tcase_add_test(one, readers_share_an_image);
	tcase_add_test(one, lock_of_a_killed_process_is_waited_for);
	tcase_set_timeout(one, 60);
	suite_add_tcase(s, one);

	return check_suite(s);
}
