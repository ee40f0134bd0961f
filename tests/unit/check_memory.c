/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_memory.c - mapping and translating guest memory
 *
 * Guest RAM is a memfd; what is at which place of it is written through a
 * mapping of the test's own.
 */
#include "core/memory.h"

#include "tests/check_main.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))
#define K    1024ULL

static int ram_fd;
static uint8_t *ram; /* the test's view */
static size_t ram_size;

static void setup(void)
{
	size_t i;

	ram_size = 16 * PAGE;
	ram_fd = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_ge(ram_fd, 0);
	ck_assert_int_eq(ftruncate(ram_fd, (off_t)ram_size), 0);
	ram = mmap(NULL, ram_size, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd,
		   0);
	ck_assert_ptr_ne(ram, MAP_FAILED);
	for (i = 0; i < ram_size; i++)
		ram[i] = (uint8_t)(i * 7 + (i >> 8));
	pvio_memory_request_begin();
}

static void teardown(void)
{
	munmap(ram, ram_size);
	close(ram_fd);
}

static struct pvio_mapping *mapping(uint64_t offset, uint64_t size)
{
	struct pvio_mapping *m;

	ck_assert_int_eq(pvio_mapping_create(ram_fd, offset, size,
					     PROT_READ | PROT_WRITE, &m), 0);
	return m;
}

/* --- mappings ------------------------------------------------------------ */

START_TEST(mapping_shows_the_file_from_its_offset)
{
	const uint64_t offset[] = { 0, 1, PAGE - 1, PAGE, 3 * PAGE + 17 };
	struct pvio_mapping *m;
	size_t i;

	for (i = 0; i < pvio_array_size(offset); i++) {
		m = mapping(offset[i], 2 * PAGE);
		ck_assert_mem_eq(pvio_mapping_host(m), ram + offset[i],
				 2 * PAGE);
		ck_assert_uint_eq(pvio_mapping_size(m), 2 * PAGE);
		((uint8_t *)pvio_mapping_host(m))[1] = 0xee;
		ck_assert_uint_eq(ram[offset[i] + 1], 0xee);
		pvio_mapping_put(m);
	}
}
END_TEST

START_TEST(mapping_outlives_the_fd_it_was_given)
{
	struct pvio_mapping *m = mapping(0, PAGE);
	int fd = ram_fd;

	ram_fd = dup(fd);
	close(fd);
	ck_assert(!pvio_mapping_is_lost(m));
	ck_assert_mem_eq(pvio_mapping_host(m), ram, PAGE);
	pvio_mapping_put(m);
}
END_TEST

START_TEST(range_past_the_end_of_the_file_is_refused)
{
	static const struct {
		uint64_t offset, size;
	} bad[] = {
		{ 0, 0 },
		{ 0, 16 * 4096 + 1 },
		{ 1, 16 * 4096 },
		{ 16 * 4096, 1 },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX, 2 },
		{ 1, UINT64_MAX },
		{ 4096, UINT64_MAX - 4095 },
		{ 0, 1ULL << 63 },
		{ 1ULL << 63, 1ULL << 63 },
	};
	struct pvio_mapping *m = NULL;
	size_t i;

	ck_assert_int_eq(ftruncate(ram_fd, 16 * 4096), 0);
	for (i = 0; i < pvio_array_size(bad); i++)
		ck_assert_int_eq(pvio_mapping_create(ram_fd, bad[i].offset,
						     bad[i].size, PROT_READ,
						     &m), -EINVAL);
	ck_assert_ptr_null(m);
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused)
{
	struct pvio_mapping *m;
	int pair[2], fd;

	ck_assert_int_eq(pipe(pair), 0);
	ck_assert_int_eq(pvio_mapping_create(pair[0], 0, 4096, PROT_READ, &m),
			 -EINVAL);
	close(pair[0]);
	close(pair[1]);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(pvio_mapping_create(pair[0], 0, 4096, PROT_READ, &m),
			 -EINVAL);
	close(pair[0]);
	close(pair[1]);
	fd = open("/dev/zero", O_RDWR);
	ck_assert_int_eq(pvio_mapping_create(fd, 0, 4096, PROT_READ, &m),
			 -EINVAL);
	close(fd);
	fd = open("/tmp", O_RDONLY);
	ck_assert_int_eq(pvio_mapping_create(fd, 0, 1, PROT_READ, &m),
			 -EINVAL);
	close(fd);
	ck_assert_int_eq(pvio_mapping_create(-1, 0, 1, PROT_READ, &m), -EBADF);
}
END_TEST

START_TEST(file_opened_for_reading_is_not_mapped_for_writing)
{
	char path[64];
	struct pvio_mapping *m;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", ram_fd);
	fd = open(path, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pvio_mapping_create(fd, 0, PAGE,
					     PROT_READ | PROT_WRITE, &m),
			 -EACCES);
	ck_assert_int_eq(pvio_mapping_create(fd, 0, PAGE, PROT_READ, &m), 0);
	pvio_mapping_put(m);
	close(fd);
}
END_TEST

START_TEST(wrapped_memory_is_used_in_place)
{
	struct pvio_mapping *m;
	char bytes[100];

	ck_assert_int_eq(pvio_mapping_wrap(bytes, sizeof(bytes), &m), 0);
	ck_assert_ptr_eq(pvio_mapping_host(m), bytes);
	ck_assert(!pvio_mapping_is_lost(m));
	pvio_mapping_put(m);
	ck_assert_int_eq(pvio_mapping_wrap(bytes, 0, &m), -EINVAL);
	ck_assert_int_eq(pvio_mapping_wrap(NULL, 1, &m), -EINVAL);
	ck_assert_int_eq(pvio_mapping_wrap(bytes, UINT64_MAX, &m), -EINVAL);
	pvio_mapping_put(NULL);
}
END_TEST

/* --- maps and translation ------------------------------------------------ */

/*
 * Three regions: [1M, +4 pages) and [1M + 4 pages, +4 pages) adjacent in the
 * guest, not in the file; and [4G, +2 pages).
 */
static struct pvio_map *three_regions(void)
{
	struct pvio_region r[] = {
		{ .gpa = 4096 * K * K, .size = 2 * PAGE, .uva = 0x30000000,
		  .mapping = mapping(12 * PAGE, 2 * PAGE) },
		{ .gpa = K * K + 4 * PAGE, .size = 4 * PAGE,
		  .uva = 0x20000000, .mapping = mapping(0, 4 * PAGE) },
		{ .gpa = K * K, .size = 4 * PAGE, .uva = 0x10000000,
		  .mapping = mapping(8 * PAGE, 4 * PAGE) },
	};
	struct pvio_map *map;
	size_t i;

	ck_assert_int_eq(pvio_map_create(r, 3, &map), 0);
	for (i = 0; i < 3; i++)
		pvio_mapping_put(r[i].mapping);
	return map;
}

START_TEST(address_is_translated_by_its_region)
{
	const struct pvio_region *hint = NULL;
	struct pvio_map *map = three_regions();
	uint8_t *p;

	p = pvio_map_at(map, &hint, K * K + 5, 10);
	ck_assert_mem_eq(p, ram + 8 * PAGE + 5, 10);
	ck_assert_uint_eq(hint->gpa, K * K);
	p = pvio_map_at(map, &hint, 4096 * K * K, 2 * PAGE);
	ck_assert_mem_eq(p, ram + 12 * PAGE, 2 * PAGE);
	/* Back below the hint. */
	p = pvio_map_at(map, &hint, K * K + 4 * PAGE, 4 * PAGE);
	ck_assert_mem_eq(p, ram, 4 * PAGE);
	pvio_map_put(map);
}
END_TEST

/* R09, R10, R12: outside memory, sums that wrap, the edges of a region */
START_TEST(range_that_leaves_its_region_is_not_translated)
{
	const uint64_t page = PAGE;
	const struct {
		uint64_t gpa, len;
	} bad[] = {
		{ 0, 1 },
		{ K * K - 1, 1 },
		{ K * K - 1, 2 },
		{ K * K, 4 * page + 1 },
		{ K * K + 4 * page - 1, 2 },
		{ K * K + 8 * page, 1 },
		{ 4096 * K * K + 2 * page, 1 },
		{ 4096 * K * K + 1, 2 * page },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX, UINT64_MAX },
		{ K * K, UINT64_MAX },
		{ K * K + 1, UINT64_MAX },
		{ K * K, UINT64_MAX - K * K + 1 },
		{ K * K + 16, UINT64_MAX - K * K - 15 },
	};
	struct pvio_map *map = three_regions();
	size_t i, h;

	for (i = 0; i < pvio_array_size(bad); i++)
		for (h = 0; h <= map->nr; h++) {
			const struct pvio_region *hint =
				h < map->nr ? &map->region[h] : NULL;

			ck_assert_ptr_null(pvio_map_at(map, &hint, bad[i].gpa,
						       bad[i].len));
		}
	pvio_map_put(map);
}
END_TEST

/* R11: adjacent in the guest is not adjacent here */
START_TEST(range_over_adjacent_regions_comes_in_pieces)
{
	const struct pvio_region *hint = NULL;
	struct pvio_map *map = three_regions();
	struct iovec iov[4];
	size_t h;

	for (h = 0; h <= map->nr; h++) {
		hint = h < map->nr ? &map->region[h] : NULL;
		ck_assert_int_eq(pvio_map_iov(map, &hint, K * K + PAGE,
					      7 * PAGE, iov, 4), 2);
		ck_assert_uint_eq(iov[0].iov_len, 3 * PAGE);
		ck_assert_mem_eq(iov[0].iov_base, ram + 9 * PAGE, 3 * PAGE);
		ck_assert_uint_eq(iov[1].iov_len, 4 * PAGE);
		ck_assert_mem_eq(iov[1].iov_base, ram, 4 * PAGE);
	}
	pvio_map_put(map);
}
END_TEST

START_TEST(iov_fails_for_holes_and_for_want_of_entries)
{
	const struct pvio_region *hint = NULL;
	struct pvio_map *map = three_regions();
	struct iovec iov[4];

	ck_assert_int_eq(pvio_map_iov(map, &hint, K * K, 8 * PAGE, iov, 1),
			 -E2BIG);
	ck_assert_int_eq(pvio_map_iov(map, &hint, K * K, PAGE, iov, 0),
			 -E2BIG);
	ck_assert_int_eq(pvio_map_iov(map, &hint, K * K, 8 * PAGE + 1, iov, 4),
			 -EFAULT);
	ck_assert_int_eq(pvio_map_iov(map, &hint, 0, 1, iov, 4), -EFAULT);
	ck_assert_int_eq(pvio_map_iov(map, &hint, K * K, UINT64_MAX, iov, 4),
			 -EFAULT);
	ck_assert_int_eq(pvio_map_iov(map, &hint, UINT64_MAX, 2, iov, 4),
			 -EFAULT);
	ck_assert_int_eq(pvio_map_iov(map, &hint, 0, 0, iov, 4), 0);
	ck_assert_int_eq(pvio_map_iov(map, &hint, K * K, 0, iov, 4), 0);
	pvio_map_put(map);
}
END_TEST

START_TEST(front_end_address_becomes_gpa)
{
	struct pvio_map *map = three_regions();
	uint64_t gpa = 0;

	ck_assert_int_eq(pvio_map_uva_to_gpa(map, 0x20000010, 16, &gpa), 0);
	ck_assert_uint_eq(gpa, K * K + 4 * PAGE + 16);
	ck_assert_int_eq(pvio_map_uva_to_gpa(map, 0x20000000, 4 * PAGE, &gpa),
			 0);
	ck_assert_int_eq(pvio_map_uva_to_gpa(map, 0x20000000, 4 * PAGE + 1,
					     &gpa), -EFAULT);
	ck_assert_int_eq(pvio_map_uva_to_gpa(map, 0x1fffffff, 2, &gpa),
			 -EFAULT);
	ck_assert_int_eq(pvio_map_uva_to_gpa(map, 0x20000000, UINT64_MAX,
					     &gpa), -EFAULT);
	ck_assert_int_eq(pvio_map_uva_to_gpa(map, 0, 1, &gpa), -EFAULT);
	ck_assert_uint_eq(gpa, K * K + 4 * PAGE);
	pvio_map_put(map);
}
END_TEST

START_TEST(regions_that_wrap_or_exceed_their_mapping_are_refused)
{
	struct pvio_mapping *m = mapping(0, 2 * PAGE);
	const struct pvio_region bad[] = {
		{ .gpa = 0, .size = 0, .mapping = m },
		{ .gpa = 0, .size = 2 * PAGE + 1, .mapping = m },
		{ .gpa = UINT64_MAX, .size = 1, .mapping = m },
		{ .gpa = UINT64_MAX - PAGE + 1, .size = PAGE, .mapping = m },
		{ .gpa = 0, .size = PAGE, .uva = UINT64_MAX - 1,
		  .mapping = m },
		{ .gpa = 0, .size = PAGE },
	};
	struct pvio_map *map;
	size_t i;

	for (i = 0; i < pvio_array_size(bad); i++)
		ck_assert_int_eq(pvio_map_create(&bad[i], 1, &map), -EINVAL);
	pvio_mapping_put(m);
}
END_TEST

START_TEST(overlapping_regions_are_refused)
{
	struct pvio_mapping *m = mapping(0, 4 * PAGE);
	struct pvio_region r[2] = {
		{ .gpa = 0x10000, .size = PAGE, .uva = 0x50000, .mapping = m },
		{ .gpa = 0x10000, .size = PAGE, .uva = 0x90000, .mapping = m },
	};
	struct pvio_map *map;

	ck_assert_int_eq(pvio_map_create(r, 2, &map), -EEXIST);
	r[1].gpa = 0x10000 - PAGE + 1;
	ck_assert_int_eq(pvio_map_create(r, 2, &map), -EEXIST);
	r[1].gpa = 0x10000 + PAGE - 1;
	ck_assert_int_eq(pvio_map_create(r, 2, &map), -EEXIST);
	r[1].gpa = 0x10000 + PAGE;
	r[1].uva = 0x50000 + PAGE - 1;
	ck_assert_int_eq(pvio_map_create(r, 2, &map), -EEXIST);
	r[1].uva = 0x50000 + PAGE;
	ck_assert_int_eq(pvio_map_create(r, 2, &map), 0);
	pvio_map_put(map);
	/* No address of a front-end: nothing to collide. */
	r[0].uva = r[1].uva = 0;
	ck_assert_int_eq(pvio_map_create(r, 2, &map), 0);
	pvio_map_put(map);
	pvio_mapping_put(m);
}
END_TEST

START_TEST(map_of_many_regions_finds_each_and_no_more_than_the_limit)
{
	static struct pvio_region r[PVIO_MAP_MANY_REGIONS + 1];
	struct pvio_mapping *m = mapping(0, PAGE);
	struct pvio_map *map;
	size_t i;

	for (i = 0; i < pvio_array_size(r); i++)
		r[i] = (struct pvio_region){
			/* Not in order: 7 is coprime to it. */
			.gpa = (i * 7 % PVIO_MAP_MANY_REGIONS) * 0x10000,
			.size = 0x800, .mapping = m,
		};
	ck_assert_int_eq(pvio_map_create(r, PVIO_MAP_MANY_REGIONS + 1, &map),
			 -ENOSPC);
	ck_assert_int_eq(pvio_map_create(r, PVIO_MAP_MANY_REGIONS, &map), 0);
	for (i = 0; i < PVIO_MAP_MANY_REGIONS; i++) {
		uint64_t gpa = i * 0x10000;

		ck_assert_uint_eq(pvio_map_find(map, gpa)->gpa, gpa);
		ck_assert_uint_eq(pvio_map_find(map, gpa + 0x7ff)->gpa, gpa);
		ck_assert_ptr_null(pvio_map_find(map, gpa + 0x800));
	}
	pvio_map_put(map);
	pvio_mapping_put(m);
}
END_TEST

START_TEST(region_begins_within_its_mapping)
{
	struct pvio_mapping *m = mapping(0, 2 * PAGE);
	struct pvio_region r = {
		.gpa = 0x1000, .size = PAGE, .mapping = m, .offset = PAGE,
	};
	const struct pvio_region *hint = NULL;
	struct pvio_map *map;

	ck_assert_int_eq(pvio_map_create(&r, 1, &map), 0);
	ck_assert_ptr_eq(pvio_map_at(map, &hint, 0x1008, 8),
			 (char *)pvio_mapping_host(m) + PAGE + 8);
	pvio_map_put(map);
	r.offset++;
	ck_assert_int_eq(pvio_map_create(&r, 1, &map), -EINVAL);
	r.offset = UINT64_MAX;
	ck_assert_int_eq(pvio_map_create(&r, 1, &map), -EINVAL);
	pvio_mapping_put(m);
}
END_TEST

START_TEST(regions_are_joined_to_one_piece)
{
	struct pvio_mapping *m = mapping(0, 4 * PAGE), *joined, *host;
	static uint8_t own[16384];
	struct pvio_region r[] = {
		{ .gpa = 0, .size = PAGE, .mapping = m, .offset = 2 * PAGE },
		{ .gpa = PAGE, .size = PAGE, .mapping = m },
		{ .gpa = 2 * PAGE, .size = PAGE, .mapping = m,
		  .offset = PAGE + 8 },
		{ .gpa = 4 * PAGE, .size = PAGE, .mapping = NULL },
	};
	struct pvio_map *map;
	uint8_t *p;

	ck_assert_int_eq(pvio_mapping_wrap(own, sizeof(own), &host), 0);
	r[3].mapping = host;
	ck_assert_int_eq(pvio_map_create(r, 4, &map), 0);
	ck_assert_int_eq(pvio_map_join(map, PAGE - 4, 8,
				       PROT_READ | PROT_WRITE, &joined),
			 0);
	p = pvio_mapping_host(joined);
	memcpy(p, "abcdefgh", 8);
	ck_assert_mem_eq((char *)pvio_mapping_host(m) + 3 * PAGE - 4, "abcd",
			 4);
	ck_assert_mem_eq(pvio_mapping_host(m), "efgh", 4);
	pvio_mapping_put(joined);
	/* No whole pages; a hole; no file; nothing; no end. */
	ck_assert_int_eq(pvio_map_join(map, 2 * PAGE - 4, 8, PROT_READ,
				       &joined),
			 -EFAULT);
	ck_assert_int_eq(pvio_map_join(map, 3 * PAGE - 4, 8, PROT_READ,
				       &joined),
			 -EFAULT);
	ck_assert_int_eq(pvio_map_join(map, 4 * PAGE, 8, PROT_READ, &joined),
			 -EFAULT);
	ck_assert_int_eq(pvio_map_join(map, 0, 0, PROT_READ, &joined), -EFAULT);
	ck_assert_int_eq(pvio_map_join(map, UINT64_MAX - 4, 8, PROT_READ,
				       &joined),
			 -EFAULT);
	pvio_map_put(map);
	pvio_mapping_put(host);
	pvio_mapping_put(m);
}
END_TEST

START_TEST(empty_map_translates_nothing)
{
	const struct pvio_region *hint = NULL;
	struct pvio_map *map;
	struct iovec iov;

	ck_assert_int_eq(pvio_map_create(NULL, 0, &map), 0);
	ck_assert_ptr_null(pvio_map_at(map, &hint, 0, 1));
	ck_assert_int_eq(pvio_map_iov(map, &hint, 0, 1, &iov, 1), -EFAULT);
	ck_assert_uint_eq(pvio_map_log_bytes(map), 0);
	ck_assert(!pvio_map_is_lost(map));
	pvio_map_put(map);
	pvio_map_put(NULL);
}
END_TEST

START_TEST(region_of_a_map_stays_mapped_until_the_last_reference)
{
	struct pvio_map *map = three_regions(), *again = pvio_map_get(map);
	const struct pvio_region *hint = NULL;

	pvio_map_put(map);
	ck_assert_mem_eq(pvio_map_at(again, &hint, K * K, 1), ram + 8 * PAGE,
			 1);
	pvio_map_put(again);
}
END_TEST

/* --- dirty log ----------------------------------------------------------- */

static struct pvio_map *logged_map(uint8_t *bits, uint64_t bytes)
{
	struct pvio_map *map = three_regions();
	struct pvio_mapping *m;

	ck_assert_int_eq(pvio_mapping_wrap(bits, bytes + 1, &m), 0);
	ck_assert_int_eq(pvio_map_set_log(map, m, bytes + 2), -EINVAL);
	ck_assert_int_eq(pvio_map_set_log(map, m, bytes), 0);
	pvio_mapping_put(m);
	return map;
}

START_TEST(written_pages_are_marked_and_no_others)
{
	uint8_t bits[65] = { 0 };
	struct pvio_map *map = logged_map(bits, 64);

	pvio_map_log_gpa(map, 0x1000, 0);
	ck_assert_uint_eq(bits[0], 0);
	pvio_map_log_gpa(map, 0x1fff, 1);
	ck_assert_uint_eq(bits[0], 1 << 1);
	pvio_map_log_gpa(map, 0x2fff, 2);
	ck_assert_uint_eq(bits[0], 1 << 1 | 1 << 2 | 1 << 3);
	pvio_map_log_gpa(map, 0x7000, 0xa001);
	ck_assert_uint_eq(bits[0], 1 << 1 | 1 << 2 | 1 << 3 | 1 << 7);
	ck_assert_uint_eq(bits[1], 0xff);
	ck_assert_uint_eq(bits[2], 1 << 0 | 1 << 1);
	ck_assert_uint_eq(bits[3], 0);
	pvio_map_put(map);
}
END_TEST

START_TEST(mark_past_the_log_is_left_out)
{
	uint8_t bits[65] = { 0 };
	struct pvio_map *map = logged_map(bits, 64);

	pvio_map_log_gpa(map, 64 * 8 * 4096ULL - 1, 2);
	ck_assert_uint_eq(bits[63], 0x80);
	pvio_map_log_gpa(map, UINT64_MAX, UINT64_MAX);
	pvio_map_log_gpa(map, UINT64_MAX - 4096, 4096);
	pvio_map_log_gpa(map, 63 * 8 * 4096ULL, UINT64_MAX);
	ck_assert_uint_eq(bits[63], 0xff);
	ck_assert_uint_eq(bits[64], 0);
	pvio_map_put(map);
}
END_TEST

START_TEST(written_iovecs_are_marked_at_their_gpa)
{
	static uint8_t bits[256 * 1024];
	struct pvio_map *map = logged_map(bits, sizeof(bits) - 1);
	const struct pvio_region *hint = NULL;
	struct iovec iov[3];
	char elsewhere[8];

	memset(bits, 0, sizeof(bits));
	ck_assert_uint_eq(pvio_map_log_bytes(map),
			  (4096 * K * K + 2 * PAGE - 1) / 4096 / 8 + 1);
	ck_assert_int_eq(pvio_map_iov(map, &hint, K * K + 4 * PAGE - 1, 2, iov,
				      2), 2);
	iov[2].iov_base = elsewhere;
	iov[2].iov_len = sizeof(elsewhere);
	/* Only the first byte was written. */
	pvio_map_log_iov(map, iov, 3, 1);
	ck_assert_uint_eq(bits[(K * K / PAGE + 3) / 8], 1 << 3);
	pvio_map_log_iov(map, iov, 3, UINT64_MAX);
	ck_assert_uint_eq(bits[(K * K / PAGE + 3) / 8], 1 << 3 | 1 << 4);
	pvio_map_put(map);
}
END_TEST

/* --- flavours ------------------------------------------------------------ */

#ifdef PVIO_MEMORY_CHECKED
static unsigned int nr_double;
static const void *double_at;

static void on_double_fetch(const void *p, size_t len)
{
	(void)len;
	nr_double++;
	double_at = p;
}

/* R26, R27: metadata is read once */
START_TEST(double_fetch_is_reported)
{
	uint8_t copy[200];
	uint16_t *word = (uint16_t *)(ram + 300);
	const struct iovec bulk = { ram + 1000, 10 };
	int i;

	pvio_memory_double_fetch = on_double_fetch;
	pvio_guest_fetch(copy, ram, 16);
	pvio_guest_fetch(copy, ram + 16, 200);
	pvio_guest_load16(word);
	ck_assert_uint_eq(nr_double, 0);
	pvio_guest_fetch(copy, ram + 215, 2);
	ck_assert_uint_eq(nr_double, 1);
	ck_assert_ptr_eq(double_at, ram + 215);
	pvio_guest_load16(word);
	ck_assert_uint_eq(nr_double, 2);
	/* An index is polled; bulk data is not metadata. */
	pvio_guest_index_load(word);
	ck_assert_uint_eq(pvio_iov_get(&bulk, 1, 0, copy, 10), 10);
	ck_assert_uint_eq(pvio_iov_get(&bulk, 1, 0, copy, 10), 10);
	ck_assert_uint_eq(nr_double, 2);
	/* The next request starts afresh. */
	pvio_memory_request_begin();
	pvio_guest_fetch(copy, ram, 200);
	ck_assert_uint_eq(nr_double, 2);
	/* However much one request reads. */
	for (i = 0; i < 3; i++) {
		size_t at;

		pvio_memory_request_begin();
		for (at = 0; at < ram_size; at += 16)
			pvio_guest_fetch(copy, ram + at, 16);
		ck_assert_uint_eq(nr_double, 2);
		pvio_guest_fetch(copy, ram + ram_size / 2 + 8, 1);
		ck_assert_uint_eq(nr_double, 3);
		nr_double = 2;
	}
}
END_TEST
#endif

#ifdef PVIO_MEMORY_GUARD
/* Is @p inaccessible?  The kernel tells without a fault. */
static bool is_guarded(const void *p)
{
	int pair[2];
	bool guarded;

	ck_assert_int_eq(pipe(pair), 0);
	guarded = write(pair[1], p, 1) < 0 && errno == EFAULT;
	close(pair[0]);
	close(pair[1]);
	return guarded;
}

START_TEST(mapping_lies_between_guard_pages)
{
	struct pvio_mapping *m = mapping(PAGE, 3 * PAGE);
	uint8_t *p = pvio_mapping_host(m);

	ck_assert(is_guarded(p - 1));
	ck_assert(is_guarded(p - PAGE));
	ck_assert(is_guarded(p + 3 * PAGE));
	ck_assert(is_guarded(p + 4 * PAGE - 1));
	ck_assert(!is_guarded(p));
	ck_assert(!is_guarded(p + 3 * PAGE - 1));
	pvio_mapping_put(m);
}
END_TEST
#endif

CHECK_MAIN("memory", setup, teardown, mapping_shows_the_file_from_its_offset,
	   mapping_outlives_the_fd_it_was_given,
	   range_past_the_end_of_the_file_is_refused,
	   what_is_no_regular_file_is_refused,
	   file_opened_for_reading_is_not_mapped_for_writing,
	   wrapped_memory_is_used_in_place, address_is_translated_by_its_region,
	   range_that_leaves_its_region_is_not_translated,
	   range_over_adjacent_regions_comes_in_pieces,
	   iov_fails_for_holes_and_for_want_of_entries,
	   front_end_address_becomes_gpa,
	   regions_that_wrap_or_exceed_their_mapping_are_refused,
	   overlapping_regions_are_refused,
	   map_of_many_regions_finds_each_and_no_more_than_the_limit,
	   region_begins_within_its_mapping, regions_are_joined_to_one_piece,
	   empty_map_translates_nothing,
	   region_of_a_map_stays_mapped_until_the_last_reference,
	   written_pages_are_marked_and_no_others,
	   mark_past_the_log_is_left_out,
#ifdef PVIO_MEMORY_CHECKED
	   double_fetch_is_reported,
#endif
#ifdef PVIO_MEMORY_GUARD
	   mapping_lies_between_guard_pages,
#endif
	   written_iovecs_are_marked_at_their_gpa)
