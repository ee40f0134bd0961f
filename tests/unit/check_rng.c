/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_rng.c - the entropy device, good requests and bad ones, on every way
 */
#include "tests/way.h"

#include "core/device.h"
#include "guest/device.h"

#include <pvio/pvio.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_GPA   0x10000
#define MEMORY_BYTES (1 << 20)

static struct pvio_worker *worker;
static struct pvio_device *dev;
static struct guest_memory mem;
static struct guest_device *gd;
static char dir[32];

static void setup(void)
{
	struct guest_way_setup guest = { .mem = &mem, .dir = dir };
	char config[256] = "model = \"rng\"; ";
	size_t len = strlen(config);
	uint64_t bits[2];

	strcpy(dir, "/tmp/pvio-rng-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	guest_way_transport(way_now, dir, config + len, sizeof(config) - len);
	ck_assert_int_eq(pvio_worker_create("rng", &worker), 0);
	ck_assert_int_eq(pvio_device_create("rng", config, worker, &worker, 1,
					    &dev),
			 0);
	ck_assert_int_eq(pvio_device_start(dev), 0);
	guest_memory_init(&mem);
	ck_assert_int_eq(guest_memory_add(&mem, MEMORY_GPA, MEMORY_BYTES), 0);
	guest.dev = dev;
	guest.step = worker;
	ck_assert_int_eq(guest_way_open(way_now, &guest, &gd), 0);
	guest_device_features(gd, bits);
	ck_assert_int_eq(guest_device_negotiate(gd, bits), 0);
	ck_assert_int_eq(guest_device_setup_queue(gd, 0, 64), 0);
	ck_assert_int_eq(guest_device_start(gd), 0);
}

static void teardown(void)
{
	guest_device_close(gd);
	pvio_device_destroy(dev);
	pvio_worker_destroy(worker);
	guest_memory_fini(&mem);
	rmdir(dir);
}

static uint8_t *buffer(struct guest_segment *seg, uint32_t len)
{
	/* One byte more, to see that it is left alone. */
	uint8_t *p = guest_alloc(&mem, len + 1, 1, &seg->gpa);

	ck_assert_ptr_nonnull(p);
	seg->len = len;
	return p;
}

/* Random bytes do not repeat the one before for long. */
static void expect_random(const uint8_t *p, size_t len)
{
	size_t i, same = 0;

	for (i = 1; i < len; i++)
		same += p[i] == p[i - 1];
	ck_assert_uint_lt(same, len / 16 + 4);
}

START_TEST(a_buffer_is_filled_and_no_more)
{
	struct guest_segment seg;
	uint8_t *p = buffer(&seg, 1000);

	p[1000] = 0xaa;
	ck_assert_int_eq(guest_device_transfer(gd, 0, &seg, 0, 1), 1000);
	expect_random(p, 1000);
	ck_assert_uint_eq(p[1000], 0xaa);
}
END_TEST

START_TEST(no_two_requests_get_the_same)
{
	struct guest_segment a, b;
	uint8_t *p = buffer(&a, 32), *q = buffer(&b, 32);

	ck_assert_int_eq(guest_device_transfer(gd, 0, &a, 0, 1), 32);
	ck_assert_int_eq(guest_device_transfer(gd, 0, &b, 0, 1), 32);
	ck_assert_mem_ne(p, q, 32);
}
END_TEST

START_TEST(how_bytes_are_split_does_not_matter)
{
	struct guest_segment seg[9];
	uint8_t *p[9];
	unsigned int i;

	for (i = 0; i < 9; i++)
		p[i] = buffer(&seg[i], 1 + i * 37);
	ck_assert_int_eq(guest_device_transfer(gd, 0, seg, 0, 9),
			 9 + 37 * 36);
	expect_random(p[8], seg[8].len);
	for (i = 0; i < 9; i++)
		ck_assert_uint_eq(p[i][seg[i].len], 0);
}
END_TEST

START_TEST(a_large_request_gets_less_than_it_asked_for)
{
	struct guest_segment seg;
	uint8_t *p = buffer(&seg, 200000);

	ck_assert_int_eq(guest_device_transfer(gd, 0, &seg, 0, 1), 65536);
	expect_random(p, 65536);
	ck_assert_uint_eq(p[65536], 0);
	ck_assert_uint_eq(p[65537], 0);
}
END_TEST

START_TEST(a_request_without_room_gets_nothing)
{
	struct guest_segment seg[2];
	uint8_t *p = buffer(&seg[0], 16);

	memset(p, 7, 16);
	ck_assert_int_eq(guest_device_transfer(gd, 0, seg, 1, 0), 0);
	/* What is readable is not ours to write, whatever comes after it. */
	buffer(&seg[1], 8);
	ck_assert_int_eq(guest_device_transfer(gd, 0, seg, 1, 1), 8);
	ck_assert_uint_eq(p[0], 7);
	ck_assert_uint_eq(p[15], 7);
}
END_TEST

START_TEST(more_requests_than_a_turn_serves_are_all_served)
{
	struct guest_ring *ring = guest_device_ring(gd, 0);
	struct guest_segment seg[60];
	unsigned int i, used = 0;
	uint32_t len;

	for (i = 0; i < 60; i++) {
		buffer(&seg[i], 64);
		ck_assert_int_eq(guest_ring_add(ring, &seg[i], 0, 1, &seg[i]),
				 0);
	}
	guest_ring_publish(ring);
	guest_device_kick(gd, 0);
	way_settle(worker);
	while (guest_ring_reap(ring, &len)) {
		ck_assert_uint_eq(len, 64);
		used++;
	}
	ck_assert_uint_eq(used, 60);
}
END_TEST

START_TEST(buffers_outside_memory_get_nothing_and_service_goes_on)
{
	struct guest_segment seg = { .gpa = 0xdead0000, .len = 64 };

	ck_assert_int_eq(guest_device_transfer(gd, 0, &seg, 0, 1), 0);
	ck_assert(!guest_device_is_broken(gd));
	buffer(&seg, 64);
	ck_assert_int_eq(guest_device_transfer(gd, 0, &seg, 0, 1), 64);
}
END_TEST

START_TEST(it_has_one_queue_and_no_configuration)
{
	/* Nothing says how long it is on a page: what is not there is ones. */
	bool is_page = way_now == GUEST_WAY_MMIO ||
		       way_now == GUEST_WAY_MMIO_WRITE;
	uint32_t word = 1;

	ck_assert_uint_eq(guest_device_nr_queues(gd), 1);
	ck_assert_uint_eq(pvio_device_id(dev), 4);
	ck_assert_int_eq(guest_device_read_config(gd, 0, &word, 4), 0);
	ck_assert_uint_eq(word, is_page ? UINT32_MAX : 0);
	ck_assert_int_eq(guest_device_write_config(gd, 0, &word, 4),
			 is_page ? 0 : -EINVAL);
}
END_TEST

WAY_MAIN("rng", setup, teardown, a_buffer_is_filled_and_no_more,
	   no_two_requests_get_the_same, how_bytes_are_split_does_not_matter,
	   a_large_request_gets_less_than_it_asked_for,
	   a_request_without_room_gets_nothing,
	   more_requests_than_a_turn_serves_are_all_served,
	   buffers_outside_memory_get_nothing_and_service_goes_on,
	   it_has_one_queue_and_no_configuration)
