/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vfio_user_memory.c - memory as a hostile vfio-user client maps it
 */
#include "tests/hostile/vfio-user-hostile.h"
#include "transports/vfio-user/vfio-user.h"

/* Where nothing of the rig's is. */
#define FREE_GPA  0x200000000ull
#define MAP_BYTES 0x10000u

/* --- F08: DMA_MAP --------------------------------------------------------- */

static const struct map_case {
	uint64_t iova, size, offset;
	uint32_t flags, argsz;
} bad_maps[] = {
	/* sizes and wraps */
	{ FREE_GPA, 0, 0, DMA_RW, 32 },
	{ UINT64_MAX - 0xfff, 0x2000, 0, DMA_RW, 32 },
	{ UINT64_MAX - 0xfff, 0x1000, 0, DMA_RW, 32 },
	{ FREE_GPA, UINT64_MAX - 0xfff, 0, DMA_RW, 32 },
	{ 0x1000, UINT64_MAX, 0, DMA_RW, 32 },
	{ FREE_GPA, MAP_BYTES, UINT64_MAX - 0xfff, DMA_RW, 32 },
	{ FREE_GPA, MAP_BYTES, 1ull << 63, DMA_RW, 32 },
	/* more than the file has */
	{ FREE_GPA, MAP_BYTES * 2, 0, DMA_RW, 32 },
	{ FREE_GPA, MAP_BYTES, 0x1000, DMA_RW, 32 },
	{ FREE_GPA, 1ull << 40, 0, DMA_RW, 32 },
	/* not a whole number of pages */
	{ FREE_GPA + 1, MAP_BYTES, 0, DMA_RW, 32 },
	{ FREE_GPA, MAP_BYTES - 1, 0, DMA_RW, 32 },
	{ FREE_GPA, 512, 0, DMA_RW, 32 },
	{ FREE_GPA, 0x1000, 1, DMA_RW, 32 },
	/* flags */
	{ FREE_GPA, MAP_BYTES, 0, 0, 32 },
	{ FREE_GPA, MAP_BYTES, 0, DMA_RW | 1u << 4, 32 },
	{ FREE_GPA, MAP_BYTES, 0, DMA_RW | 1u << 31, 32 },
	{ FREE_GPA, MAP_BYTES, 0, 0xffffffff, 32 },
	/* argsz */
	{ FREE_GPA, MAP_BYTES, 0, DMA_RW, 0 },
	{ FREE_GPA, MAP_BYTES, 0, DMA_RW, 31 },
};
#define NR_BAD_MAPS ((int)pvio_array_size(bad_maps))

static int tell_map(const struct map_case *c, const int *fds,
		    unsigned int nr_fds)
{
	struct vfu_dma_map map = { c->argsz, c->flags, c->offset, c->iova,
				   c->size };

	return guest_vfu_tell(&vfu, VFU_DMA_MAP, &map, sizeof(map), fds,
			      nr_fds);
}

START_TEST(map_that_makes_no_sense_is_refused)
{
	int fd = hostile_memfd(MAP_BYTES);

	hostile_serving();
	expect_refused(EINVAL, tell_map(&bad_maps[_i], &fd, 1));
	hostile_expect_served(0);
	close(fd);
}
END_TEST

/* F08: with a file or without, the same addresses are possible. */
START_TEST(last_page_of_all_is_refused)
{
	const struct map_case last = { UINT64_MAX - 0xfff, 0x1000, 0, DMA_RW,
				       32 };
	const struct map_case before = { UINT64_MAX - 0x1fff, 0x1000, 0, DMA_RW,
					 32 };
	int fd = hostile_memfd(MAP_BYTES);

	hostile_ready();
	expect_refused(EINVAL, tell_map(&last, &fd, _i));
	expect_ok(tell_map(&before, &fd, _i));
	close(fd);
}
END_TEST

/* F08: EEXIST, and what is there stays; also of maps without a file. */
START_TEST(map_over_another_is_refused)
{
	static const uint64_t at[][2] = {
		{ FREE_GPA, MAP_BYTES },
		{ FREE_GPA, 0x1000 },
		{ FREE_GPA + MAP_BYTES - 0x1000, 0x1000 },
		{ FREE_GPA - 0x1000, 0x2000 },
		{ FREE_GPA - 0x1000, MAP_BYTES + 0x2000 },
		{ FREE_GPA + 0x1000, MAP_BYTES },
		{ RIG_RAM_GPA + 0x1000, 0x1000 },
	};
	int fd = hostile_memfd(4 * MAP_BYTES);
	size_t i;

	hostile_serving();
	expect_ok(guest_vfu_dma_map(&vfu, DMA_RW, FREE_GPA, MAP_BYTES,
				    _i ? -1 : fd, 0));
	for (i = 0; i < pvio_array_size(at); i++) {
		expect_refused(EEXIST, guest_vfu_dma_map(&vfu, DMA_RW, at[i][0],
							 at[i][1], fd, 0));
		expect_refused(EEXIST, guest_vfu_dma_map(&vfu, DMA_RW, at[i][0],
							 at[i][1], -1, 0));
	}
	/* Side by side is no overlap. */
	expect_ok(guest_vfu_dma_map(&vfu, DMA_RW, FREE_GPA + MAP_BYTES,
				    MAP_BYTES, fd, 0));
	expect_ok(guest_vfu_dma_map(&vfu, DMA_RW, FREE_GPA - MAP_BYTES,
				    MAP_BYTES, fd, 0));
	hostile_expect_served(0);
	close(fd);
}
END_TEST

/* F08: what cannot be mapped. */
START_TEST(fd_that_is_no_file_is_refused)
{
	int pair[2], fds[10];
	size_t i;

	ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
	fds[0] = pair[0];
	fds[1] = pair[1];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	fds[2] = pair[0];
	fds[3] = pair[1];
	fds[4] = open("/tmp", O_RDONLY | O_DIRECTORY);
	fds[5] = open("/tmp", O_PATH);
	fds[6] = epoll_create1(0);
	fds[7] = hostile_eventfd();
	fds[8] = open("/dev/null", O_RDWR);
	fds[9] = hostile_memfd(0);
	hostile_ready();
	for (i = 0; i < pvio_array_size(fds); i++) {
		struct vfu_dma_map map = { 32, DMA_RW, 0, FREE_GPA, MAP_BYTES };
		int rc;

		ck_assert_int_ge(fds[i], 0);
		rc = guest_vfu_tell(&vfu, VFU_DMA_MAP, &map, sizeof(map),
				    &fds[i], 1);
		ck_assert_msg(rc < 0 && rc != -EPIPE && rc != -EPROTO,
			      "kind %zu: %d", i, rc);
		expect_alive();
		close(fds[i]);
	}
}
END_TEST

/* F08, F19: one file at most. */
START_TEST(map_of_two_files_is_refused)
{
	struct vfu_dma_map map = { 32, DMA_RW, 0, FREE_GPA, MAP_BYTES };
	int fd = hostile_memfd(MAP_BYTES), fds[2] = { fd, fd };

	hostile_ready();
	expect_refused(EINVAL, guest_vfu_tell(&vfu, VFU_DMA_MAP, &map,
					      sizeof(map), fds, 2));
	close(fd);
}
END_TEST

/* F08: there is an end, and what is there when it is reached serves on. */
START_TEST(too_many_maps_are_refused)
{
	int fd = hostile_memfd(0x1000), rc = 0;
	uint64_t nr;

	hostile_serving();
	for (nr = 0; nr < 70000 && rc == 0; nr++)
		rc = guest_vfu_dma_map(&vfu, DMA_RW, FREE_GPA + nr * 0x2000,
				       0x1000, _i ? -1 : fd, 0);
	ck_assert_int_eq(rc, -ENOSPC);
	hostile_expect_served(0);
	expect_ok(guest_vfu_dma_unmap(&vfu, 0, FREE_GPA, 0x1000));
	expect_ok(guest_vfu_dma_map(&vfu, DMA_RW, FREE_GPA, 0x1000, fd, 0));
	hostile_expect_served(1);
	close(fd);
}
END_TEST

/* Ranges of one file share its mapping; files there may be so many. */
START_TEST(too_many_files_are_refused)
{
	const uint64_t far = FREE_GPA + 0x1000 * VFU_MAX_FILES;
	int fd = hostile_memfd(2 * 0x1000);
	unsigned int nr;

	hostile_serving();
	/* The rig's own region is one, and this is another. */
	expect_ok(guest_vfu_dma_map(&vfu, DMA_RW, far, 0x1000, fd, 0));
	for (nr = rig.mem.nr + 1; nr < VFU_MAX_FILES; nr++) {
		int one = hostile_memfd(0x1000);

		expect_ok(guest_vfu_dma_map(
			&vfu, DMA_RW, FREE_GPA + nr * 0x1000, 0x1000, one, 0));
		close(one);
	}
	expect_ok(guest_vfu_dma_map(&vfu, DMA_RW, far + 0x1000, 0x1000, fd,
				    0x1000));
	close(fd);
	fd = hostile_memfd(0x1000);
	expect_refused(ENOSPC, guest_vfu_dma_map(&vfu, DMA_RW, far + 0x2000,
						 0x1000, fd, 0));
	/* One goes when none of its ranges is left. */
	expect_ok(guest_vfu_dma_unmap(&vfu, 0, far, 0x1000));
	expect_refused(ENOSPC, guest_vfu_dma_map(&vfu, DMA_RW, far + 0x2000,
						 0x1000, fd, 0));
	expect_ok(guest_vfu_dma_unmap(&vfu, 0, far + 0x1000, 0x1000));
	expect_ok(guest_vfu_dma_map(&vfu, DMA_RW, far + 0x2000, 0x1000, fd, 0));
	hostile_expect_served(0);
	close(fd);
}
END_TEST

/* A page of it would cost all of its addresses. */
START_TEST(file_that_is_too_large_is_refused)
{
	int fd = hostile_memfd(VFU_MAX_FILE_BYTES);

	/* What the rig has mapped is too much beside it. */
	hostile_serving();
	expect_refused(ENOSPC, guest_vfu_dma_map(&vfu, DMA_RW, FREE_GPA, 0x1000,
						 fd, 0));
	hostile_expect_served(0);
	close(fd);
}
END_TEST

/* A file that shrinks behind our back costs its own guest, nobody else. */
START_TEST(file_that_shrinks_is_survived)
{
	int fd = hostile_memfd(MAP_BYTES);
	uint8_t *ram;

	ram = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert(ram != MAP_FAILED);
	hostile_connect();
	expect_ok(guest_vfu_dma_map(&vfu, DMA_RW, FREE_GPA, MAP_BYTES, fd, 0));
	hostile_negotiate();
	hostile_start_ring(FREE_GPA);
	hostile_submit(ram, FREE_GPA + 0x3000, 0);
	ck_assert_uint_eq(hostile_wait_used(ram, 1), 64);
	munmap(ram, MAP_BYTES);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	expect_ok(guest_vfu_post(&vfu, BAR_COMMON, NOTIFY, &(uint16_t){ 0 },
				 2));
	rig_settle(&rig);
	expect_alive();
	rig_expect_entropy(&next_door, next_door_gd);
	close(fd);
}
END_TEST

/* --- F09: memory that may not be written ---------------------------------- */

static uint16_t submitted;

/* A buffer at @gpa that the device would have to write: LEN0. */
static void expect_not_written(uint64_t gpa)
{
	uint8_t *ram = rig.mem.region[0].host;

	hostile_submit(ram, gpa, submitted++);
	ck_assert_uint_eq(hostile_wait_used(ram, submitted), 0);
	ck_assert_uint_eq(hostile_status(), 15);
	hostile_expect_served(submitted++);
}

START_TEST(read_only_memory_is_not_written)
{
	int fd = hostile_memfd(MAP_BYTES);
	uint8_t *ro;
	size_t i;

	ro = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert(ro != MAP_FAILED);
	hostile_serving();
	expect_ok(guest_vfu_dma_map(&vfu, VFU_DMA_READABLE, FREE_GPA, MAP_BYTES,
				    fd, 0));
	expect_not_written(FREE_GPA);
	for (i = 0; i < MAP_BYTES; i++)
		ck_assert_uint_eq(ro[i], 0);
	munmap(ro, MAP_BYTES);
	close(fd);
}
END_TEST

/* The same of a file that was opened for reading only. */
START_TEST(file_opened_for_reading_is_refused_or_not_written)
{
	int fd = hostile_memfd(MAP_BYTES), ro, rc;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(ro, 0);
	hostile_serving();
	rc = guest_vfu_dma_map(&vfu, DMA_RW, FREE_GPA, MAP_BYTES, ro, 0);
	ck_assert_msg(rc == -EACCES || rc == -EINVAL, "%d", rc);
	expect_ok(guest_vfu_dma_map(&vfu, VFU_DMA_READABLE, FREE_GPA, MAP_BYTES,
				    ro, 0));
	expect_not_written(FREE_GPA);
	close(ro);
	close(fd);
}
END_TEST

/* --- F11: memory without a file ------------------------------------------- */

START_TEST(buffer_in_memory_without_a_file_is_given_back)
{
	hostile_serving();
	expect_ok(guest_vfu_dma_map(&vfu, DMA_RW, FREE_GPA, MAP_BYTES, -1, 0));
	expect_not_written(FREE_GPA);
	/* And one that is nowhere at all. */
	expect_not_written(FREE_GPA + MAP_BYTES);
}
END_TEST

/* Of a ring there it is said that it cannot be; the client is served on. */
START_TEST(ring_in_memory_without_a_file_does_not_run)
{
	hostile_ready();
	expect_ok(guest_vfu_dma_map(&vfu, DMA_RW, FREE_GPA, MAP_BYTES, -1, 0));
	hostile_negotiate();
	hostile_start_ring(FREE_GPA);
	ck_assert(hostile_status() & VIRTIO_CONFIG_S_NEEDS_RESET ||
		  common_read(VIRTIO_PCI_COMMON_Q_ENABLE, 2) == 0);
	expect_ok(guest_vfu_post(&vfu, BAR_COMMON, NOTIFY, &(uint16_t){ 0 },
				 2));
	expect_alive();
	/* Put right, it works. */
	hostile_negotiate();
	memset(rig.mem.region[0].host, 0, 0x4000);
	hostile_start_ring(RIG_RAM_GPA);
	hostile_expect_served(0);
}
END_TEST

/* --- F10: DMA_UNMAP ------------------------------------------------------- */

static const struct unmap_case {
	uint64_t iova, size;
	uint32_t flags, argsz;
} bad_unmaps[] = {
	/* part of a map */
	{ RIG_RAM_GPA, RIG_RAM_BYTES - 0x1000, 0, 24 },
	{ RIG_RAM_GPA + 0x1000, RIG_RAM_BYTES - 0x1000, 0, 24 },
	{ RIG_RAM_GPA, 1, 0, 24 },
	{ RIG_RAM_GPA - 0x1000, 0x2000, 0, 24 },
	/* nothing, or a wrap */
	{ RIG_RAM_GPA, 0, 0, 24 },
	{ 0, 0, 0, 24 },
	{ RIG_RAM_GPA, UINT64_MAX, 0, 24 },
	{ UINT64_MAX, 2, 0, 24 },
	/* nothing is there, and not a whole number of pages */
	{ FREE_GPA + 1, 0x1000, 0, 24 },
	{ FREE_GPA, 0x1001, 0, 24 },
	{ FREE_GPA + 512, 512, 0, 24 },
	/* all, and yet some */
	{ RIG_RAM_GPA, RIG_RAM_BYTES, VFU_DMA_UNMAP_ALL, 24 },
	{ 0, 1, VFU_DMA_UNMAP_ALL, 24 },
	{ 1, 0, VFU_DMA_UNMAP_ALL, 24 },
	/* flags: dirty bitmaps, and what there is none of */
	{ RIG_RAM_GPA, RIG_RAM_BYTES, VFU_DMA_UNMAP_BITMAP, 24 },
	{ RIG_RAM_GPA, RIG_RAM_BYTES, VFU_DMA_UNMAP_BITMAP, 0xffffffff },
	{ 0, 0, VFU_DMA_UNMAP_ALL | VFU_DMA_UNMAP_BITMAP, 0xffffffff },
	{ RIG_RAM_GPA, RIG_RAM_BYTES, 4, 24 },
	{ RIG_RAM_GPA, RIG_RAM_BYTES, 0x80000000, 24 },
	/* argsz */
	{ RIG_RAM_GPA, RIG_RAM_BYTES, 0, 0 },
	{ RIG_RAM_GPA, RIG_RAM_BYTES, 0, 23 },
};
#define NR_BAD_UNMAPS ((int)pvio_array_size(bad_unmaps))

START_TEST(unmap_that_makes_no_sense_is_refused)
{
	const struct unmap_case *c = &bad_unmaps[_i];
	struct vfu_dma_unmap unmap = { c->argsz, c->flags, c->iova, c->size };

	hostile_serving();
	expect_refused(EINVAL, guest_vfu_tell(&vfu, VFU_DMA_UNMAP, &unmap,
					      sizeof(unmap), NULL, 0));
	hostile_expect_served(0);
}
END_TEST

/* F10: the reply is the request again; then nothing of it is mapped. */
START_TEST(unmap_is_echoed_and_complete)
{
	struct vfu_dma_unmap ask = { 24, 0, FREE_GPA, MAP_BYTES };
	int fd = hostile_memfd(MAP_BYTES);
	struct guest_vfu_reply reply;
	unsigned int maps;

	hostile_ready();
	rig_settle(&rig);
	maps = rig_count_maps();
	expect_ok(guest_vfu_dma_map(&vfu, DMA_RW, FREE_GPA, MAP_BYTES, fd, 0));
	expect_ok(guest_vfu_ask(&vfu, VFU_DMA_UNMAP, &ask, sizeof(ask), NULL, 0,
				&reply));
	ck_assert_uint_eq(reply.size, sizeof(ask));
	ck_assert_int_eq(memcmp(&reply.unmap, &ask, sizeof(ask)), 0);
	ck_assert_uint_eq(rig_count_maps(), maps);
	close(fd);
}
END_TEST

/* F10, R34: memory of a ring that runs; it is not touched meanwhile. */
START_TEST(unmap_under_a_running_ring_is_survived)
{
	uint8_t *ram = rig.mem.region[0].host;
	struct vring_used *used = (struct vring_used *)(ram + 0x2000);
	uint8_t before[0x4000];

	hostile_serving();
	hostile_expect_served(0);
	if (_i)
		expect_ok(guest_vfu_dma_unmap(&vfu, VFU_DMA_UNMAP_ALL, 0, 0));
	else
		expect_ok(guest_vfu_dma_unmap(&vfu, 0, RIG_RAM_GPA,
					      RIG_RAM_BYTES));
	hostile_submit(ram, RIG_RAM_GPA + 0x3000, 1);
	memcpy(before, ram, sizeof(before));
	rig_settle(&rig);
	expect_alive();
	ck_assert_int_eq(memcmp(before, ram, sizeof(before)), 0);
	ck_assert_uint_eq(le16toh(used->idx), 1);
	rig_expect_entropy(&next_door, next_door_gd);
}
END_TEST

/* A storm of maps and unmaps beside a ring that runs. */
START_TEST(storm_of_maps_is_survived)
{
	int fd = hostile_memfd(MAP_BYTES);
	uint16_t n;
	int i;

	hostile_serving();
	for (n = 0; n < 32; n++) {
		for (i = 0; i < 8; i++)
			expect_ok(guest_vfu_dma_map(
				&vfu, DMA_RW, FREE_GPA + i * MAP_BYTES,
				MAP_BYTES, fd, 0));
		hostile_expect_served(n);
		for (i = 0; i < 8; i++)
			expect_ok(guest_vfu_dma_unmap(&vfu, 0,
						      FREE_GPA + i * MAP_BYTES,
						      MAP_BYTES));
	}
	close(fd);
}
END_TEST

static void memory_setup(void)
{
	submitted = 0;
	setup();
}

int main(void)
{
	const struct hostile_test tests[] = {
		{ map_that_makes_no_sense_is_refused, NR_BAD_MAPS },
		{ last_page_of_all_is_refused, 2 },
		{ map_over_another_is_refused, 2 },
		{ fd_that_is_no_file_is_refused, 0 },
		{ map_of_two_files_is_refused, 0 },
		{ too_many_maps_are_refused, 2 },
		{ too_many_files_are_refused, 0 },
		{ file_that_is_too_large_is_refused, 0 },
		{ file_that_shrinks_is_survived, 0 },
		{ read_only_memory_is_not_written, 0 },
		{ file_opened_for_reading_is_refused_or_not_written, 0 },
		{ buffer_in_memory_without_a_file_is_given_back, 0 },
		{ ring_in_memory_without_a_file_does_not_run, 0 },
		{ unmap_that_makes_no_sense_is_refused, NR_BAD_UNMAPS },
		{ unmap_is_echoed_and_complete, 0 },
		{ unmap_under_a_running_ring_is_survived, 2 },
		{ storm_of_maps_is_survived, 0 },
	};

	return hostile_main("vfio_user_memory", memory_setup, teardown, tests,
			    pvio_array_size(tests));
}
