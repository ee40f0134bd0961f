/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_block_device.c - the file backend on block devices and on file systems
 * that freeze and fail
 *
 * Needs root, loop devices and mkfs.ext4, in a mount namespace of its own;
 * skipped otherwise.
 */
#include "tests/block-rig.h"
#include "tests/check_main.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIP         77
#define DEVICE_BYTES ((uint64_t)64 << 20)
/* The file system stops, as after an error it cannot repair. */
#define FS_SHUTDOWN  _IOR('X', 125, uint32_t)

static struct block_rig rig;
static char dir[40], store[64], loop[64];

static int pvio_printf(1, 2) run(const char *fmt, ...)
{
	char command[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	return system(command);
}

static bool make_loop(const char *options)
{
	char command[512];
	FILE *f;
	bool ok;

	snprintf(store, sizeof(store), "%s/store", dir);
	snprintf(command, sizeof(command),
		 "truncate -s %llu %s && losetup %s --find --show %s",
		 (unsigned long long)DEVICE_BYTES, store, options, store);
	f = popen(command, "r");
	ok = f && fgets(loop, sizeof(loop), f);
	if (f)
		pclose(f);
	loop[strcspn(loop, "\n")] = '\0';
	return ok && strncmp(loop, "/dev/loop", 9) == 0;
}

static bool make_dir(void)
{
	strcpy(dir, "/tmp/pvio-device-XXXXXX");
	loop[0] = '\0';
	return mkdtemp(dir) != NULL;
}

static void setup(void)
{
	ck_assert(make_dir());
}

static void teardown(void)
{
	if (loop[0])
		run("losetup -d %s", loop);
	run("umount -l %s/mnt 2>/dev/null; rm -rf %s", dir, dir);
}

static const char *backend(const char *path, const char *keys)
{
	static char text[512];

	snprintf(text, sizeof(text),
		 "backend = { type = \"file\"; path = \"%s\"; %s };", path,
		 keys);
	return text;
}

/* An ext4 of its own at @dir/mnt, with an empty disk in it at @image. */
static void mount_ext4(char *image, size_t size)
{
	ck_assert(make_loop(""));
	ck_assert_int_eq(run("mkfs.ext4 -q %s && mkdir %s/mnt && "
			     "mount %s %s/mnt && "
			     "dd if=/dev/zero of=%s/mnt/image bs=1M count=8 "
			     "conv=fsync status=none",
			     loop, dir, loop, dir, dir),
			 0);
	snprintf(image, size, "%s/mnt/image", dir);
}

static int mount_fd(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/mnt", dir);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* --- block devices -------------------------------------------------------- */

START_TEST(block_device_is_a_disk)
{
	static uint8_t out[1 << 20], in[1 << 20], zeroes[65536];
	struct virtio_blk_config config;

	ck_assert(make_loop(""));
	rig_open(&rig, BLOCK_LOOPBACK_SPLIT,
		 backend(loop, _i ? "direct = true;" : ""), 0);
	rig_config(&rig, &config);
	ck_assert_uint_eq(le64toh(config.capacity), DEVICE_BYTES / 512);
	rig_pattern(out, sizeof(out), 1);
	ck_assert_int_eq(rig_write(&rig, 64, out, sizeof(out)),
			 VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig_flush(&rig), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig_read(&rig, 64, in, sizeof(in)), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(in, out, sizeof(in));
	ck_assert_int_eq(rig_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 64, 128, 0),
			 VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig_read(&rig, 64, in, 65536), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(in, zeroes, 65536);
	ck_assert_int_eq(rig_range(&rig, VIRTIO_BLK_T_DISCARD, 192, 128, 0),
			 VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig_read(&rig, 320, in, 512), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(in, out + 256 * 512, 512);
	rig_close(&rig);
}
END_TEST

START_TEST(large_blocks_are_the_guests_blocks)
{
	struct virtio_blk_config config;
	uint8_t buf[4096] = { 0 };

	ck_assert(make_loop("-b 4096"));
	rig_open(&rig, BLOCK_LOOPBACK_SPLIT, backend(loop, "direct = true;"),
		 0);
	rig_config(&rig, &config);
	ck_assert_uint_eq(le32toh(config.blk_size), 4096);
	ck_assert_int_eq(rig_write(&rig, 8, buf, 4096), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig_write(&rig, 8, buf, 512), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(rig_write(&rig, 1, buf, 4096), VIRTIO_BLK_S_IOERR);
	rig_close(&rig);
}
END_TEST

START_TEST(mounted_device_is_refused)
{
	char image[80];

	mount_ext4(image, sizeof(image));
	ck_assert_int_eq(rig_try_create(backend(loop, "lock_wait_ms = 20;")),
			 -EBUSY);
	ck_assert_int_eq(run("umount %s/mnt", dir), 0);
	ck_assert_int_eq(rig_try_create(backend(loop, "")), 0);
}
END_TEST

/* --- trouble below -------------------------------------------------------- */

/* Serve one write that cannot end, tell the parent, and wait to be killed. */
static void serve_stuck_write(const char *image, int ready, int go)
{
	struct guest_segment seg[3];
	struct virtio_blk_outhdr *header;
	struct guest_ring *ring;
	char c;

	rig_open(&rig, BLOCK_LOOPBACK_SPLIT, backend(image, "direct = true;"),
		 0);
	if (write(ready, "x", 1) != 1 || read(go, &c, 1) != 1)
		_exit(1);
	ring = guest_device_ring(rig.gd, 0);
	header = (struct virtio_blk_outhdr *)rig.arena;
	header->type = htole32(VIRTIO_BLK_T_OUT);
	seg[0] = (struct guest_segment){ rig.arena_gpa, 16 };
	seg[1] = (struct guest_segment){ rig.arena_gpa + 4096, 4096 };
	seg[2] = (struct guest_segment){ rig.arena_gpa + 64, 1 };
	if (guest_ring_add(ring, seg, 2, 1, header) < 0)
		_exit(1);
	if (guest_ring_publish(ring))
		guest_device_kick(rig.gd, 0);
	rig_settle(&rig);
	if (write(ready, "y", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

/*
 * What a process had asked of the kernel when it was killed can still be
 * written long after; the lock is free only when it has been.
 */
START_TEST(lock_outlives_a_killed_process_until_its_writes_end)
{
	int ready[2], go[2], fd;
	char image[80], c;
	pid_t pid;

	mount_ext4(image, sizeof(image));
	ck_assert(pipe(ready) == 0 && pipe(go) == 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		serve_stuck_write(image, ready[1], go[0]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	fd = mount_fd();
	ck_assert_int_eq(ioctl(fd, FIFREEZE, 0), 0);
	ck_assert_int_eq(write(go[1], "g", 1), 1);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);

	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(rig_try_create(backend(image, "lock_wait_ms = 300;")),
			 -EBUSY);
	ck_assert_int_eq(ioctl(fd, FITHAW, 0), 0);
	ck_assert_int_eq(rig_try_create(backend(image, "")), 0);

	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	close(fd);
	ck_assert_int_eq(run("umount %s/mnt", dir), 0);
}
END_TEST

/* B18, B19 */
START_TEST(dead_file_system_fails_requests_and_flushes_stay_failed)
{
	uint32_t how = 2; /* do not even write the journal */
	uint8_t buf[4096];
	char image[80];
	int fd;

	mount_ext4(image, sizeof(image));
	rig_open(&rig, BLOCK_LOOPBACK_SPLIT, backend(image, "direct = true;"),
		 0);
	rig_expect_alive(&rig);
	ck_assert_int_eq(rig_flush(&rig), VIRTIO_BLK_S_OK);
	fd = mount_fd();
	ck_assert_int_eq(ioctl(fd, FS_SHUTDOWN, &how), 0);
	close(fd);
	rig_pattern(buf, sizeof(buf), 3);
	ck_assert_int_eq(rig_write(&rig, 0, buf, sizeof(buf)),
			 VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(rig_flush(&rig), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(rig_flush(&rig), VIRTIO_BLK_S_IOERR);
	ck_assert(!guest_device_is_broken(rig.gd));
	rig_close(&rig);
	/* The ring lets go of the file a moment later. */
	run("umount -l %s/mnt", dir);
}
END_TEST

static bool can_run(void)
{
	bool ok;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    run("command -v mkfs.ext4 losetup >/dev/null") != 0)
		return false;
	ok = make_dir() && make_loop("");
	teardown();
	return ok;
}

int main(void)
{
	Suite *s = suite_create("block device");
	TCase *t = tcase_create("loop");

	if (!can_run()) {
		puts("SKIP: needs root, loop devices and mkfs.ext4");
		return SKIP;
	}
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, block_device_is_a_disk, 0, 2);
	tcase_add_test(t, large_blocks_are_the_guests_blocks);
	tcase_add_test(t, mounted_device_is_refused);
	tcase_add_test(t, lock_outlives_a_killed_process_until_its_writes_end);
	tcase_add_test(t,
		       dead_file_system_fails_requests_and_flushes_stay_failed);
	tcase_set_timeout(t, 120);
	suite_add_tcase(s, t);
	return check_suite(s);
}
