/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vhost_user_memory.c - memory that changes, the dirty log, and
 * requests that survive a kill, over vhost-user
 */
#include "tests/vhost-user-disk.h"
/* It has a rig by that name: last. */
#include "tests/kill-disk.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>

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

static int connect_within(struct guest_device *gd)
{
	uint64_t end = pvio_now_ns() + 20000000000ULL;
	int rc;

	do {
		rc = guest_device_reconnect(gd, rig.path);
		if (rc < 0)
			poll(NULL, 0, 1);
	} while (rc < 0 && pvio_now_ns() < end);
	return rc;
}

START_TEST(requests_in_flight_survive_a_kill)
{
	struct kill_disk k = { .rounds = 12, .reconnect = connect_within };
	struct guest_vu_options options = { .fd = -1 };
	struct guest_device *gd = NULL;
	char transport[160];
	unsigned int i;

	rig_init(&rig, "model = \"rng\";", "");
	pvio_device_destroy(rig.dev);
	rig.dev = NULL;
	snprintf(transport, sizeof(transport),
		 "type = \"vhost-user\"; socket = \"%s\";", rig.path);
	kill_disk_begin(&k, rig.dir, transport);
	for (i = 0; i < 10000 && guest_device_open_vhost_user_with(
					 rig.path, &rig.mem, &options, &gd) < 0;
	     i++)
		poll(NULL, 0, 1);
	ck_assert_ptr_nonnull(gd);
	kill_disk_hammer(&k, gd, rings[_i]);
	kill_disk_end(&k);
	unlink(rig.path);
	snprintf(transport, sizeof(transport), "%s.lock", rig.path);
	unlink(transport);
	rig_fini(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost_user_memory");
	TCase *tcase = tcase_create("vhost_user_memory");

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
	return check_suite(suite);
}
