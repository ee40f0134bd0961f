/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vhost_user_memory.c - memory that changes, the dirty log, and
 * requests that survive a kill, over vhost-user
 */
#include "tests/vhost-user-disk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* --- memory --------------------------------------------------------------- */

/* DIMMs come and go while a disk is being written and read. */
START_TEST(memory_changes_under_requests_in_flight)
{
	struct guest_region extra = { .gpa = 1ull << 40, .size = 1 << 20 };
	struct vu_memory_single single = { .padding = 0 };
	struct disk_buffer *b[8];
	struct guest_segment seg[8][8];
	struct guest_device *gd;
	struct guest_ring *ring;
	struct guest_vu *vu;
	uint64_t gpa[8];
	unsigned int i, n, round;

	rig_init(&rig, MEMORY_DISK, "");
	rig_start(&rig);
	gd = rig_open(&rig);
	vu = guest_device_vu(gd);
	rig_bring_up(gd, rings[_i], 1, 64);
	ring = guest_device_ring(gd, 0);
	extra.fd = memfd_create("pvio-dimm", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(extra.fd, 1 << 20), 0);
	extra.host = (uint8_t *)(uintptr_t)(1ull << 46);
	guest_vu_region(&extra, &single.region);
	for (i = 0; i < 8; i++)
		b[i] = disk_buffer(&gpa[i]);

	for (round = 0; round < 200; round++) {
		for (i = 0; i < 8; i++) {
			n = disk_segments(b[i], gpa[i], VIRTIO_BLK_T_OUT, i * 8,
					  4096, seg[i]);
			fill(b[i]->data, 4096, round * 8 + i);
			ck_assert_int_eq(
				guest_ring_add(ring, seg[i], n - 1, 1, b[i]),
				0);
		}
		if (guest_ring_publish(ring))
			guest_device_kick(gd, 0);
		ck_assert_int_eq(
			guest_vu_tell(
				vu, round % 2 ? VU_REM_MEM_REG : VU_ADD_MEM_REG,
				&single, sizeof(single), &extra.fd, 1),
			0);
		for (i = 0; i < 8;) {
			uint32_t len;

			if (guest_ring_reap(ring, &len))
				i++;
			else
				guest_device_wait(gd, 0, 1);
			ck_assert(!guest_device_is_broken(gd));
		}
	}
	for (i = 0; i < 8; i++) {
		uint8_t want[4096];

		ck_assert_int_eq(disk_request(gd, 0, b[i], gpa[i],
					      VIRTIO_BLK_T_IN, i * 8, 4096),
				 VIRTIO_BLK_S_OK);
		fill(want, sizeof(want), 199 * 8 + i);
		ck_assert_mem_eq(b[i]->data, want, sizeof(want));
	}
	close(extra.fd);
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

static int tell_region(struct guest_vu *vu, uint32_t request,
		       const struct guest_region *r)
{
	struct vu_memory_single single = { .padding = 0 };

	guest_vu_region(r, &single.region);
	return guest_vu_tell(vu, request, &single, sizeof(single), &r->fd, 1);
}

/*
 * QEMU 7.2 tells of each region, and takes it back, once for every pair of
 * queues, and others their whole table.
 */
START_TEST(memory_is_told_once_for_every_pair)
{
	struct guest_region *r = &rig.mem.region[1];
	struct guest_device *gd;
	struct guest_vu *vu;

	rig_init(&rig, MEMORY_DISK, "");
	rig_start(&rig);
	gd = rig_open(&rig);
	vu = guest_device_vu(gd);
	/* Four queues are two pairs; the table has told of it once. */
	ck_assert_int_eq(guest_vu_tell_memory(vu, &rig.mem), 0);
	ck_assert_int_eq(tell_region(vu, VU_ADD_MEM_REG, r), 0);
	ck_assert_int_eq(tell_region(vu, VU_ADD_MEM_REG, r), -EREMOTEIO);
	ck_assert_int_eq(tell_region(vu, VU_REM_MEM_REG, r), 0);
	ck_assert_uint_eq(pvio_device_map(rig.dev)->nr, 1);
	ck_assert_int_eq(tell_region(vu, VU_REM_MEM_REG, r), 0);
	ck_assert_int_eq(tell_region(vu, VU_REM_MEM_REG, r), -EREMOTEIO);
	ck_assert_int_eq(tell_region(vu, VU_ADD_MEM_REG, r), 0);
	ck_assert_uint_eq(pvio_device_map(rig.dev)->nr, 2);
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

/* --- dirty log ------------------------------------------------------------ */

static bool is_dirty(const uint8_t *log, uint64_t gpa)
{
	return log[gpa / 4096 / 8] >> (gpa / 4096 % 8) & 1;
}

/*
 * Migration: logging is switched on while rings run.  From then on every page
 * that differs afterwards is marked, and pages of requests that only read the
 * guest's memory are not.
 */
START_TEST(every_page_written_is_in_the_dirty_log)
{
	const uint64_t ours = PVIO_BIT(VIRTIO_F_VERSION_1) |
			      PVIO_BIT(VU_F_PROTOCOL_FEATURES);
	struct vu_log wire = { .size = (RIG_HIGH_GPA + RIG_RAM_BYTES) / 32768 };
	struct guest_region *ram;
	struct vu_vring_addr addr = { .index = 0 };
	struct disk_buffer *b, *only_read;
	struct guest_device *gd;
	const struct guest_ring *ring;
	uint64_t gpa, read_gpa, page;
	uint8_t *log, *before;
	struct guest_vu *vu;
	int fd;

	rig_init(&rig, MEMORY_DISK, "");
	rig_start(&rig);
	gd = rig_open(&rig);
	vu = guest_device_vu(gd);
	ram = &rig.mem.region[0];
	rig_bring_up(gd, rings[_i], 1, 16);
	b = disk_buffer(&gpa);
	only_read = disk_buffer(&read_gpa);
	fill(only_read->data, 16384, 5);
	ck_assert_int_eq(disk_request(gd, 0, only_read, read_gpa,
				      VIRTIO_BLK_T_OUT, 0, 16384),
			 0);

	fd = memfd_create("pvio-log", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, (off_t)wire.size), 0);
	log = mmap(NULL, wire.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(log, MAP_FAILED);
	ck_assert_int_eq(
		guest_vu_tell(vu, VU_SET_LOG_BASE, &wire, sizeof(wire), &fd, 1),
		0);
	ck_assert_int_eq(
		guest_vu_tell_u64(vu, VU_SET_FEATURES,
				  rings[_i] | ours | PVIO_BIT(VU_F_LOG_ALL)),
		0);
	ring = guest_device_ring(gd, 0);
	addr.flags = VU_VRING_F_LOG;
	addr.desc = (uintptr_t)guest_host(&rig.mem, guest_ring_desc(ring));
	addr.avail = (uintptr_t)guest_host(&rig.mem, guest_ring_driver(ring));
	addr.used = (uintptr_t)guest_host(&rig.mem, guest_ring_device(ring));
	addr.log = guest_ring_device(ring);
	ck_assert_int_eq(guest_vu_tell(vu, VU_SET_VRING_ADDR, &addr,
				       sizeof(addr), NULL, 0),
			 0);

	before = malloc(ram->size);
	memcpy(before, ram->host, ram->size);
	memset(log, 0, wire.size);
	ck_assert_int_eq(disk_request(gd, 0, b, gpa, VIRTIO_BLK_T_IN, 0, 16384),
			 0);
	ck_assert_int_eq(disk_request(gd, 0, only_read, read_gpa,
				      VIRTIO_BLK_T_OUT, 0, 16384),
			 0);
	/* What the driver wrote itself is not the device's to log. */
	memcpy(before + (gpa - ram->gpa), &b->header, sizeof(b->header));
	for (page = 0; page < ram->size; page += 4096) {
		uint64_t at = ram->gpa + page;
		uint64_t data = gpa + offsetof(struct disk_buffer, data);
		uint64_t source = read_gpa + offsetof(struct disk_buffer, data);

		if (at >= data && at < data + 16384)
			ck_assert_msg(is_dirty(log, at), "data page %llx",
				      (unsigned long long)at);
		if (at >= source && at < source + 16384)
			ck_assert_msg(!is_dirty(log, at), "read page %llx",
				      (unsigned long long)at);
	}
	ck_assert(is_dirty(log, gpa)); /* status byte */
	ck_assert(is_dirty(log, read_gpa));
	ck_assert(is_dirty(log, rings[_i] & PVIO_BIT(VIRTIO_F_RING_PACKED)
					? guest_ring_desc(ring)
					: guest_ring_device(ring)));

	/* And off again. */
	ck_assert_int_eq(
		guest_vu_tell_u64(vu, VU_SET_FEATURES, rings[_i] | ours), 0);
	memset(log, 0, wire.size);
	ck_assert_int_eq(disk_request(gd, 0, b, gpa, VIRTIO_BLK_T_IN, 0, 16384),
			 0);
	for (page = 0; page < wire.size; page++)
		ck_assert_uint_eq(log[page], 0);
	free(before);
	munmap(log, wire.size);
	close(fd);
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

/* --- kill -9 -------------------------------------------------------------- */

/* A process that serves a disk at rig.path until it is killed. */
static pid_t serve_file(const char *image)
{
	struct pvio_worker *worker;
	struct pvio_device *dev;
	char config[512];
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	snprintf(config, sizeof(config),
		 "model = \"block\"; backend = { type = \"file\"; path = "
		 "\"%s\"; lock_wait_ms = 10000; }; transport = { type = "
		 "\"vhost-user\"; socket = \"%s\"; };",
		 image, rig.path);
	if (pvio_worker_create("child", &worker) < 0 ||
	    pvio_device_create("disk", config, worker, &worker, 1, &dev) < 0 ||
	    pvio_device_start(dev) < 0)
		_exit(1);
	pvio_worker_run(worker);
	_exit(0);
}

static int connect_within(struct guest_device *gd, const char *path)
{
	uint64_t end = pvio_now_ns() + 20000000000ULL;
	int rc;

	do {
		rc = guest_device_reconnect(gd, path);
		if (rc < 0)
			poll(NULL, 0, 1);
	} while (rc < 0 && pvio_now_ns() < end);
	return rc;
}

#define KILL_DEPTH  16
#define KILL_ROUNDS 12

/*
 * Writes are made as fast as they are done, and the process that does them is
 * killed again and again: none is lost, and none is done in a wrong order.
 */
START_TEST(requests_in_flight_survive_a_kill)
{
	struct guest_vu_options options = { .fd = -1 };
	struct disk_buffer *b[KILL_DEPTH];
	struct guest_segment seg[KILL_DEPTH][8];
	uint32_t seed[KILL_DEPTH] = { 0 }, seeds = 1, len;
	struct guest_device *gd = NULL;
	uint64_t gpa[KILL_DEPTH], next_kill;
	struct guest_ring *ring;
	unsigned int i, n, kills = 0;
	char image[128];
	uint8_t want[4096];
	pid_t pid;
	int fd;

	rig_init(&rig, "model = \"rng\";", "");
	pvio_device_destroy(rig.dev);
	rig.dev = NULL;
	snprintf(image, sizeof(image), "%s/image", rig.dir);
	fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	pid = serve_file(image);
	for (i = 0; i < 10000 && guest_device_open_vhost_user_with(
					 rig.path, &rig.mem, &options, &gd) < 0;
	     i++)
		poll(NULL, 0, 1);
	ck_assert_ptr_nonnull(gd);
	rig_bring_up(gd, rings[_i], 1, 64);
	ring = guest_device_ring(gd, 0);
	for (i = 0; i < KILL_DEPTH; i++)
		b[i] = disk_buffer(&gpa[i]);

	next_kill = pvio_now_ns() + 3000000;
	while (kills < KILL_ROUNDS || guest_ring_outstanding(ring) > 0) {
		struct disk_buffer *done = guest_ring_reap(ring, &len);

		if (done) {
			ck_assert_uint_eq(done->status, VIRTIO_BLK_S_OK);
			done->header.sector = UINT64_MAX; /* idle */
		}
		for (i = 0; i < KILL_DEPTH && kills < KILL_ROUNDS; i++) {
			if (seed[i] && b[i]->header.sector != UINT64_MAX)
				continue;
			seed[i] = seeds++;
			fill(b[i]->data, 4096, seed[i]);
			n = disk_segments(b[i], gpa[i], VIRTIO_BLK_T_OUT, i * 8,
					  4096, seg[i]);
			ck_assert_int_eq(
				guest_ring_add(ring, seg[i], n - 1, 1, b[i]),
				0);
		}
		if (guest_ring_publish(ring))
			guest_device_kick(gd, 0);
		if (kills < KILL_ROUNDS && pvio_now_ns() > next_kill) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			kills++;
			pid = serve_file(image);
			ck_assert_int_eq(connect_within(gd, rig.path), 0);
			next_kill = pvio_now_ns() + 500000 * (1 + kills % 7);
		}
		if (!done)
			guest_device_wait(gd, 0, 1);
	}
	for (i = 0; i < KILL_DEPTH; i++) {
		fill(want, sizeof(want), seed[i]);
		ck_assert_int_eq(pread(fd, b[i]->data, 4096, i * 4096), 4096);
		ck_assert_mem_eq(b[i]->data, want, sizeof(want));
	}
	guest_device_close(gd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fd);
	unlink(image);
	unlink(rig.path);
	snprintf(image, sizeof(image), "%s.lock", rig.path);
	unlink(image);
	rig_fini(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost_user_memory");
	TCase *tcase = tcase_create("vhost_user_memory");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, memory_is_told_once_for_every_pair);
	tcase_add_loop_test(tcase, memory_changes_under_requests_in_flight, 0,
			    NR_RINGS);
	tcase_add_loop_test(tcase, every_page_written_is_in_the_dirty_log, 0,
			    NR_RINGS);
	tcase_add_loop_test(tcase, requests_in_flight_survive_a_kill, 0,
			    NR_RINGS);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
