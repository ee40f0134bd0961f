/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vfio_user_poll.c - a hostile vfio-user client with a page of doorbells
 * that it maps
 */
#include "tests/hostile/vfio-user-hostile.h"

static struct guest_vfu_region region;
static uint8_t *page;

static void page_map(void)
{
	expect_ok(guest_vfu_region_info(&vfu, BAR_COMMON, &region));
	ck_assert_int_ge(region.fd, 0);
	ck_assert_uint_eq(region.nr_areas, 1);
	ck_assert_uint_eq(region.area[0].offset, NOTIFY);
	page = mmap(NULL, region.area[0].size, PROT_READ | PROT_WRITE,
		    MAP_SHARED, region.fd,
		    (off_t)(region.offset + region.area[0].offset));
	ck_assert(page != MAP_FAILED);
}

static void page_unmap(void)
{
	munmap(page, region.area[0].size);
	close(region.fd);
}

/* Make a buffer available and say nothing: it is found by looking. */
static void expect_served_without_a_kick(uint16_t n)
{
	uint8_t *ram = rig.mem.region[0].host;
	struct vring_desc *desc = (struct vring_desc *)ram;
	struct vring_avail *avail = (struct vring_avail *)(ram + 0x1000);

	desc[0] = (struct vring_desc){
		.addr = htole64(RIG_RAM_GPA + 0x3000),
		.len = htole32(64),
		.flags = htole16(VRING_DESC_F_WRITE),
	};
	avail->ring[n % HOSTILE_RING_SIZE] = 0;
	pvio_store_release(&avail->idx, htole16((uint16_t)(n + 1)));
	ck_assert_uint_eq(hostile_wait_used(ram, (uint16_t)(n + 1)), 64);
}

/* F04: what does not fit is left out, and what it needs is said. */
START_TEST(argsz_too_small_for_the_capabilities_gets_the_struct_alone)
{
	struct vfu_region_info ask = { .index = BAR_COMMON };
	struct guest_vfu_reply reply;
	uint32_t needed;

	hostile_connect();
	ask.argsz = sizeof(ask);
	expect_ok(guest_vfu_ask(&vfu, VFU_GET_REGION_INFO, &ask, sizeof(ask),
				NULL, 0, &reply));
	guest_vfu_close_fds(&reply);
	needed = reply.region.argsz;
	ck_assert_uint_eq(needed, 32 + 16 + 16);
	for (ask.argsz = sizeof(ask); ask.argsz < needed + 8; ask.argsz++) {
		bool is_whole = ask.argsz >= needed;

		expect_ok(guest_vfu_ask(&vfu, VFU_GET_REGION_INFO, &ask,
					sizeof(ask), NULL, 0, &reply));
		/* With either: QEMU uses that of the last, closes the first. */
		ck_assert_uint_eq(reply.nr_fds, 1);
		guest_vfu_close_fds(&reply);
		ck_assert_uint_eq(reply.region.argsz, needed);
		ck_assert_uint_eq(reply.size, is_whole ? needed : 32);
		/* Also in the short one: some clients look only there. */
		ck_assert_uint_eq(reply.region.cap_offset, 32);
	}
}
END_TEST

/* Asking for ever hands out the same file, and nothing grows here. */
START_TEST(region_info_asked_for_ever_leaks_nothing)
{
	unsigned int before, i;

	hostile_connect();
	before = rig_count_fds();
	for (i = 0; i < 500; i++) {
		expect_ok(guest_vfu_region_info(&vfu, BAR_COMMON, &region));
		close(region.fd);
	}
	ck_assert_uint_eq(rig_count_fds(), before);
}
END_TEST

/* What is stored there means nothing, whatever it is. */
START_TEST(doorbell_page_full_of_rubbish_is_harmless)
{
	unsigned int i, seed = 1;
	uint16_t n;

	hostile_serving();
	page_map();
	for (n = 0; n < 8; n++) {
		for (i = 0; i < region.area[0].size; i++)
			page[i] = (uint8_t)rand_r(&seed);
		expect_served_without_a_kick(n);
	}
	page_unmap();
}
END_TEST

/* The file is as large as it is; a hole in it is zeroes. */
START_TEST(doorbell_file_cannot_be_resized)
{
	hostile_serving();
	page_map();
	ck_assert_int_eq(ftruncate(region.fd, 0), -1);
	ck_assert_int_eq(ftruncate(region.fd, 1 << 30), -1);
	(void)fallocate(region.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			0, (off_t)region.size);
	expect_served_without_a_kick(0);
	page_unmap();
}
END_TEST

/* Nothing of the registers is in the pages around it. */
START_TEST(rest_of_the_doorbell_file_is_not_the_registers)
{
	uint8_t *all;
	size_t i;

	hostile_serving();
	page_map();
	all = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED,
		   region.fd, (off_t)region.offset);
	ck_assert(all != MAP_FAILED);
	for (i = 0; i < region.size; i++) {
		ck_assert_uint_eq(all[i], 0);
		all[i] = 0xff;
	}
	ck_assert_uint_eq(hostile_status(), 15);
	expect_served_without_a_kick(0);
	munmap(all, region.size);
	page_unmap();
}
END_TEST

/* F12: kicks by message are served as well, to any queue there is or not. */
START_TEST(kicks_by_message_are_taken_too)
{
	uint16_t q;

	hostile_serving();
	for (q = 0; q < 1024; q++)
		expect_ok(guest_vfu_post(&vfu, BAR_COMMON, NOTIFY + 4 * q, &q,
					 sizeof(q)));
	hostile_expect_served(0);
}
END_TEST

/* R34: the ring's memory goes while it is looked at all the time. */
START_TEST(unmap_under_a_polled_ring_is_survived)
{
	uint8_t *ram = rig.mem.region[0].host;
	struct vring_used *used = (struct vring_used *)(ram + 0x2000);

	hostile_serving();
	expect_served_without_a_kick(0);
	expect_ok(guest_vfu_dma_unmap(&vfu, 0, RIG_RAM_GPA, RIG_RAM_BYTES));
	hostile_submit(ram, RIG_RAM_GPA + 0x3000, 1);
	expect_alive();
	ck_assert_uint_eq(le16toh(pvio_load_acquire(&used->idx)), 1);
	expect_ok(guest_vfu_dma_map(&vfu, DMA_RW, RIG_RAM_GPA, RIG_RAM_BYTES,
				    rig.mem.region[0].fd, 0));
	ck_assert_uint_eq(hostile_wait_used(ram, 2), 64);
}
END_TEST

static void poll_setup(void)
{
	hostile_begin("model = \"rng\"; poll_us = 0;",
		      "timeout_ms = 200; doorbell = \"poll\";");
}

int main(void)
{
	const struct hostile_test tests[] = {
		{ argsz_too_small_for_the_capabilities_gets_the_struct_alone,
		  0 },
		{ region_info_asked_for_ever_leaks_nothing, 0 },
		{ doorbell_page_full_of_rubbish_is_harmless, 0 },
		{ doorbell_file_cannot_be_resized, 0 },
		{ rest_of_the_doorbell_file_is_not_the_registers, 0 },
		{ kicks_by_message_are_taken_too, 0 },
		{ unmap_under_a_polled_ring_is_survived, 0 },
	};

	return hostile_main("vfio_user_poll", poll_setup, teardown, tests,
			    pvio_array_size(tests));
}
