/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_mmio.c - what a driver can do wrong with a register page
 *
 * The ids are those of the catalogue of hostile input.  Each case ends with a
 * good request: whatever was tried, the device serves (after a reset, where
 * only that helps).  Not here are what a page does not have: vectors (V06,
 * V07), PCI's configuration space (V18, V23, V24); and what any transport leaves
 * to the models (V11).
 */
#include "tests/check_main.h"
#include "tests/mmio-rig.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

static bool start_queue_with_size(unsigned int q, uint32_t size)
{
	mmio_rig_layout(q, REGS_RIG_RING_SIZE);
	reg_write(REG(QUEUE_NUM), size);
	reg_write(REG(QUEUE_READY), 1);
	return reg_read(REG(QUEUE_READY)) != 0;
}

START_TEST(V01_queue_of_a_bad_size_does_not_start)
{
	static const uint32_t bad[] = {
		0,
		3,
		15,
		17,
		PROBE_QUEUE_SIZE * 2,
		0x8000,
		0xffff,
		/* Not what is left of them in 16 bits. */
		0x10000,
		0x10010,
		0xffff0010,
		UINT32_MAX,
	};
	size_t i;

	ck_assert_uint_eq(mmio_rig_negotiate(0), 0xb);
	for (i = 0; i < pvio_array_size(bad); i++)
		ck_assert_msg(!start_queue_with_size(0, bad[i]), "size %u",
			      bad[i]);
	ck_assert(start_queue_with_size(0, 16));
	mmio_rig_driver_ok();
	mmio_rig_echo(0);
}
END_TEST

START_TEST(V02_registers_of_a_running_queue_are_frozen)
{
	mmio_rig_run(0);
	mmio_rig_echo(1);
	reg_write(REG(QUEUE_SEL), 1);
	reg_write(REG(QUEUE_NUM), 0);
	reg_write(REG(QUEUE_NUM), 64);
	reg_write(REG(QUEUE_DESC_LOW), 0xdead0000);
	reg_write(REG(QUEUE_DESC_HIGH), 0xffffffff);
	reg_write(REG(QUEUE_AVAIL_LOW), 0);
	reg_write(REG(QUEUE_USED_LOW), 1);
	reg_write(REG(QUEUE_READY), 1);
	mmio_rig_echo(1);
	/* What was dropped does not come back either. */
	reg_write(REG(QUEUE_READY), 0);
	reg_write(REG(QUEUE_READY), 1);
	ck_assert_uint_eq(reg_read(REG(QUEUE_READY)), 0);
	mmio_rig_expect_service();
}
END_TEST

START_TEST(V03_selector_past_the_queues_selects_nothing)
{
	static const uint32_t bad[] = { PROBE_QUEUES, 0xffff, 0x10000, 0x10001,
					UINT32_MAX };
	size_t i;

	mmio_rig_run(0);
	for (i = 0; i < pvio_array_size(bad); i++) {
		reg_write(REG(QUEUE_SEL), bad[i]);
		ck_assert_uint_eq(reg_read(REG(QUEUE_NUM_MAX)), 0);
		ck_assert_uint_eq(reg_read(REG(QUEUE_READY)), 0);
		ck_assert_uint_eq(reg_read(REG_QUEUE_RESET), 0);
		reg_write(REG(QUEUE_NUM), 8);
		reg_write(REG(QUEUE_DESC_LOW), 0);
		reg_write(REG(QUEUE_READY), 0);
		reg_write(REG(QUEUE_READY), 1);
		reg_write(REG_QUEUE_RESET, 1);
		ck_assert_uint_eq(reg_read(REG(QUEUE_READY)), 0);
	}
	mmio_rig_echo(0);
	mmio_rig_echo(1);
}
END_TEST

static bool start_queue_at(uint64_t offset, uint64_t gpa)
{
	mmio_rig_layout(0, REGS_RIG_RING_SIZE);
	reg_write(offset, (uint32_t)gpa);
	reg_write(offset + 4, (uint32_t)(gpa >> 32));
	reg_write(REG(QUEUE_READY), 1);
	return reg_read(REG(QUEUE_READY)) != 0;
}

START_TEST(V04_queue_whose_ring_is_not_memory_does_not_start)
{
	static const struct {
		uint64_t offset, gpa;
	} bad[] = {
		{ REG(QUEUE_DESC_LOW), 0 },
		{ REG(QUEUE_DESC_LOW), REGS_RIG_GPA + 8 },
		{ REG(QUEUE_DESC_LOW), REGS_RIG_GPA + REGS_RIG_BYTES - 16 },
		{ REG(QUEUE_DESC_LOW), UINT64_MAX - 15 },
		{ REG(QUEUE_AVAIL_LOW), REGS_RIG_GPA + 1 },
		{ REG(QUEUE_AVAIL_LOW), REGS_RIG_GPA - 2 },
		{ REG(QUEUE_AVAIL_LOW), 1ULL << 63 },
		{ REG(QUEUE_USED_LOW), REGS_RIG_GPA + 2 },
		{ REG(QUEUE_USED_LOW), REGS_RIG_GPA + REGS_RIG_BYTES - 4 },
		{ REG(QUEUE_USED_LOW), REGS_RIG_GPA + (1ULL << 32) },
	};
	size_t i;

	ck_assert_uint_eq(mmio_rig_negotiate(0), 0xb);
	/* Addresses that were never written, too. */
	reg_write(REG(QUEUE_SEL), 0);
	reg_write(REG(QUEUE_NUM), 16);
	reg_write(REG(QUEUE_READY), 1);
	ck_assert_uint_eq(reg_read(REG(QUEUE_READY)), 0);
	for (i = 0; i < pvio_array_size(bad); i++)
		ck_assert_msg(!start_queue_at(bad[i].offset, bad[i].gpa),
			      "0x%llx", (unsigned long long)bad[i].gpa);
	mmio_rig_expect_service();
}
END_TEST

/* On PCI it is not legal; on a page it stops the queue, or nothing. */
START_TEST(V04_queue_whose_addresses_were_not_written_does_not_start)
{
	regs_rig_add_low_memory();
	ck_assert_uint_eq(mmio_rig_negotiate(0), 0xb);
	reg_write(REG(QUEUE_SEL), 0);
	reg_write(REG(QUEUE_NUM), 16);
	reg_write(REG(QUEUE_READY), 1);
	ck_assert_uint_eq(reg_read(REG(QUEUE_READY)), 0);
	/* Nor do those from before it was stopped. */
	ck_assert(mmio_rig_start_queue(0, 16));
	reg_write(REG(QUEUE_READY), 0);
	reg_write(REG(QUEUE_READY), 1);
	ck_assert_uint_eq(reg_read(REG(QUEUE_READY)), 0);
	mmio_rig_expect_service();
}
END_TEST

START_TEST(V05_ready_takes_0_and_1_and_nothing_else)
{
	unsigned int i;

	reg_write(REG(QUEUE_SEL), 0);
	reg_write(REG(QUEUE_READY), 0);
	mmio_rig_run(0);
	reg_write(REG(QUEUE_SEL), 0);
	for (i = 1; i < 32; i++) {
		reg_write(REG(QUEUE_READY), 1u << i);
		ck_assert_uint_eq(reg_read(REG(QUEUE_READY)), 1);
	}
	mmio_rig_echo(0);
	reg_write(REG(QUEUE_READY), 0);
	reg_write(REG(QUEUE_READY), 0);
	reg_write(REG(QUEUE_READY), 2);
	ck_assert_uint_eq(reg_read(REG(QUEUE_READY)), 0);
	mmio_rig_expect_service();
}
END_TEST

START_TEST(V08_features_not_offered_are_not_accepted)
{
	reg_write(REG(DEVICE_FEATURES_SEL), 2);
	(void)reg_read(REG(DEVICE_FEATURES));
	reg_write(REG(DEVICE_FEATURES_SEL), UINT32_MAX);
	ck_assert_uint_eq(reg_read(REG(DEVICE_FEATURES)), 0);
	reg_write(REG(DRIVER_FEATURES_SEL), 4);
	reg_write(REG(DRIVER_FEATURES), UINT32_MAX);
	reg_write(REG(DRIVER_FEATURES_SEL), UINT32_MAX);
	reg_write(REG(DRIVER_FEATURES), UINT32_MAX);
	/* FEATURES_OK does not stick. */
	ck_assert_uint_eq(mmio_rig_negotiate(1ULL << 63), 0x3);
	ck_assert_uint_eq(
		mmio_rig_negotiate(PVIO_BIT(VIRTIO_F_NOTIFICATION_DATA)), 0x3);
	reg_write(REG(DRIVER_FEATURES_SEL), 1);
	reg_write(REG(DRIVER_FEATURES), 0); /* no VERSION_1 */
	reg_write(REG(STATUS), 0xb);
	ck_assert_uint_eq(reg_read(REG(STATUS)), 0x3);
	mmio_rig_expect_service();
}
END_TEST

START_TEST(V09_feature_without_what_it_needs_is_refused)
{
	ck_assert_uint_eq(mmio_rig_negotiate(PVIO_BIT(PROBE_F_NEEDS_BASE)),
			  0x3);
	ck_assert_uint_eq(mmio_rig_negotiate(PVIO_BIT(PROBE_F_NEEDS_BASE) |
					     PVIO_BIT(PROBE_F_BASE)),
			  0xb);
	mmio_rig_expect_service();
}
END_TEST

START_TEST(V10_features_are_latched)
{
	ck_assert_uint_eq(mmio_rig_negotiate(0), 0xb);
	reg_write(REG(DRIVER_FEATURES_SEL), 1);
	reg_write(REG(DRIVER_FEATURES), 5); /* and packed rings */
	reg_write(REG(STATUS), 0xb);
	ck_assert(!pvio_device_has_feature(rrig.dev, VIRTIO_F_RING_PACKED));
	mmio_rig_start_queue(0, 16);
	mmio_rig_driver_ok();
	reg_write(REG(DRIVER_FEATURES), 0);
	mmio_rig_echo(0);
	ck_assert(pvio_device_has_feature(rrig.dev, VIRTIO_F_VERSION_1));
}
END_TEST

START_TEST(V12_illegal_status_is_ignored)
{
	reg_write(REG(STATUS), 4);
	ck_assert_uint_eq(reg_read(REG(STATUS)), 0);
	reg_write(REG(STATUS), 0x23);
	ck_assert_uint_eq(reg_read(REG(STATUS)), 0);
	ck_assert_uint_eq(mmio_rig_negotiate(0), 0xb);
	reg_write(REG(STATUS), 3);
	reg_write(REG(STATUS), 1);
	ck_assert_uint_eq(reg_read(REG(STATUS)), 0xb);
	/* Not a reset, and not a status: there are eight bits. */
	reg_write(REG(STATUS), 0x100);
	reg_write(REG(STATUS), 0xffffff0f);
	ck_assert_uint_eq(reg_read(REG(STATUS)), 0xb);
	mmio_rig_start_queue(0, 16);
	mmio_rig_driver_ok();
	mmio_rig_echo(0);
}
END_TEST

START_TEST(V12_queue_before_features_ok_does_not_start)
{
	ck_assert(!mmio_rig_start_queue(0, 16));
	reg_write(REG(STATUS), 3);
	ck_assert(!mmio_rig_start_queue(0, 16));
	mmio_rig_expect_service();
}
END_TEST

START_TEST(V13_kick_before_driver_ok_is_remembered)
{
	ck_assert_uint_eq(mmio_rig_negotiate(0), 0xb);
	reg_write(REG(QUEUE_NOTIFY), 0);
	mmio_rig_start_queue(0, 16);
	mmio_rig_submit(0);
	ck_assert(!regs_rig_is_used(0));
	mmio_rig_driver_ok();
	regs_rig_reap(0);
}
END_TEST

static void *write_0_to_status(void *arg)
{
	bool *is_done = arg;

	reg_write(REG(STATUS), 0);
	pvio_store_release(is_done, true);
	return NULL;
}

START_TEST(V14_reset_is_over_when_nothing_is_in_flight)
{
	bool is_done = false;
	pthread_t thread;

	regs_rig_teardown();
	mmio_rig_setup_threads();
	mmio_rig_run(0);
	mmio_rig_hold(0);
	ck_assert_int_eq(
		pthread_create(&thread, NULL, write_0_to_status, &is_done), 0);
	regs_rig_wait_count(&probe.queue[0].stops, 1);
	ck_assert(!pvio_load_acquire(&is_done));
	mmio_rig_release(0);
	pthread_join(thread, NULL);
	/* The memory is the driver's again: nobody writes there. */
	memset(rrig.mem.region[0].host, 0x5a, REGS_RIG_BYTES);
	reg_write(REG(QUEUE_NOTIFY), 0);
	mmio_rig_expect_service();
}
END_TEST

START_TEST(V16_queue_reset_without_its_feature_is_ignored)
{
	mmio_rig_run(0);
	reg_write(REG(QUEUE_SEL), 1);
	reg_write(REG_QUEUE_RESET, 1);
	ck_assert_uint_eq(reg_read(REG_QUEUE_RESET), 0);
	ck_assert_uint_eq(reg_read(REG(QUEUE_READY)), 1);
	mmio_rig_echo(1);
}
END_TEST

START_TEST(V16_queue_reset_twice_or_idle_is_one_reset)
{
	mmio_rig_run(PVIO_BIT(VIRTIO_F_RING_RESET));
	mmio_rig_hold(1);
	reg_write(REG(QUEUE_SEL), 1);
	reg_write(REG_QUEUE_RESET, 1);
	reg_write(REG_QUEUE_RESET, 1);
	reg_write(REG_QUEUE_RESET, 0);
	reg_write(REG_QUEUE_RESET, 2);
	reg_write(REG(QUEUE_READY), 0);
	reg_write(REG(QUEUE_READY), 1);
	reg_write(REG(QUEUE_NUM), 8);
	ck_assert_uint_eq(reg_read(REG_QUEUE_RESET), 1);
	mmio_rig_release(1);
	ck_assert_uint_eq(reg_read(REG_QUEUE_RESET), 0);
	reg_write(REG_QUEUE_RESET, 1);
	ck_assert_uint_eq(reg_read(REG_QUEUE_RESET), 0);
	ck_assert_uint_eq(probe.queue[1].stops, 1);
	ck_assert(mmio_rig_start_queue(1, 16));
	mmio_rig_echo(1);
}
END_TEST

START_TEST(V17_needs_reset_and_failed_are_not_taken_back)
{
	mmio_rig_run(0);
	reg_write(REG(STATUS), 0x4f);
	ck_assert_uint_eq(reg_read(REG(STATUS)), 0xf);
	mmio_rig_echo(0);
	reg_write(REG(STATUS), 0x8f);
	ck_assert_uint_eq(reg_read(REG(STATUS)), 0x8f);
	reg_write(REG(STATUS), 0xf);
	ck_assert_uint_eq(reg_read(REG(STATUS)), 0x8f);
	mmio_rig_expect_service();
}
END_TEST

/* Of an access that is not one, nothing is written but ones. */
static void expect_nothing(uint64_t offset, size_t len)
{
	uint8_t buf[64], ones[64];

	memset(buf, 0x5a, sizeof(buf));
	memset(ones, 0xff, sizeof(ones));
	pvio_mmio_read(mrig.mmio, offset, buf, len);
	ck_assert_mem_eq(buf, ones, len);
	ck_assert_uint_eq(buf[len], 0x5a);
	pvio_mmio_write(mrig.mmio, offset, ones, len);
}

START_TEST(V19_registers_are_accessed_whole_and_in_their_place)
{
	static const size_t lengths[] = { 0, 1, 2, 3, 5, 6, 8, 16 };
	uint64_t offset;
	size_t i;

	mmio_rig_run(0);
	for (offset = 0; offset < REG(CONFIG); offset++) {
		for (i = 0; i < pvio_array_size(lengths); i++)
			expect_nothing(offset, lengths[i]);
		if (offset % 4)
			expect_nothing(offset, 4);
	}
	/* And where there is none. */
	expect_nothing(0x00c + 0x0c, 4);
	expect_nothing(0x03c, 4);
	expect_nothing(0x0f8, 4);
	expect_nothing(PVIO_MMIO_BYTES, 4);
	expect_nothing(UINT64_MAX - 3, 4);
	ck_assert_uint_eq(reg_read(REG(STATUS)), 0xf);
	mmio_rig_echo(0);
}
END_TEST

START_TEST(V19_write_only_registers_read_as_ones_and_read_only_stay)
{
	static const uint64_t write_only[] = {
		REG(DEVICE_FEATURES_SEL), REG(DRIVER_FEATURES),
		REG(DRIVER_FEATURES_SEL), REG(QUEUE_SEL),
		REG(QUEUE_NUM),           REG(QUEUE_NOTIFY),
		REG(INTERRUPT_ACK),       REG(QUEUE_DESC_LOW),
		REG(QUEUE_USED_HIGH),     REG(SHM_SEL),
	};
	static const uint64_t read_only[] = {
		REG(MAGIC_VALUE),       REG(VERSION),
		REG(DEVICE_ID),         REG(VENDOR_ID),
		REG(DEVICE_FEATURES),   REG(QUEUE_NUM_MAX),
		REG(INTERRUPT_STATUS),  REG(SHM_LEN_LOW),
		REG(CONFIG_GENERATION),
	};
	uint32_t before;
	size_t i;

	for (i = 0; i < pvio_array_size(write_only); i++)
		ck_assert_uint_eq(reg_read(write_only[i]), UINT32_MAX);
	for (i = 0; i < pvio_array_size(read_only); i++) {
		before = reg_read(read_only[i]);
		reg_write(read_only[i], ~before);
		ck_assert_uint_eq(reg_read(read_only[i]), before);
	}
	mmio_rig_expect_service();
}
END_TEST

START_TEST(V19_configuration_ends_where_it_ends)
{
	const uint64_t end = REG(CONFIG) + pvio_device_config_size(rrig.dev);

	expect_nothing(end, 1);
	expect_nothing(end - 1, 2);
	expect_nothing(end - 4, 8);
	expect_nothing(end, 4);
	expect_nothing(REG(CONFIG), 0);
	expect_nothing(REG(CONFIG) - 2, 4);
	expect_nothing(PVIO_MMIO_BYTES - 1, 2);
	mmio_rig_expect_service();
}
END_TEST

START_TEST(V20_read_only_configuration_stays)
{
	uint32_t before = reg_read(REG(CONFIG));

	reg_write(REG(CONFIG), ~before);
	ck_assert_uint_eq(reg_read(REG(CONFIG)), before);
	mmio_rig_expect_service();
}
END_TEST

START_TEST(V21_generation_is_new_when_something_changed_since)
{
	uint32_t before = reg_read(REG(CONFIG_GENERATION));
	char answer[8];
	unsigned int i;

	/* Also before there is a driver, and for each change. */
	for (i = 0; i < 300; i++) {
		pvio_device_command(rrig.dev, "poke", "", answer,
				    sizeof(answer));
		(void)reg_read(REG(CONFIG));
		ck_assert_uint_ne(reg_read(REG(CONFIG_GENERATION)), before);
		before = reg_read(REG(CONFIG_GENERATION));
	}
	mmio_rig_expect_service();
}
END_TEST

START_TEST(V22_kick_of_a_queue_that_is_not_there_is_ignored)
{
	static const uint32_t bad[] = { PROBE_QUEUES, 0xffff,     0x10000,
					0x80000000,   UINT32_MAX, 0x10000001 };
	uint16_t half = 0;
	uint64_t wide = 0;
	size_t i;

	mmio_rig_run(0);
	for (i = 0; i < pvio_array_size(bad); i++)
		reg_write(REG(QUEUE_NOTIFY), bad[i]);
	pvio_mmio_write(mrig.mmio, REG(QUEUE_NOTIFY), &half, 2);
	pvio_mmio_write(mrig.mmio, REG(QUEUE_NOTIFY), &wide, 8);
	regs_rig_step();
	for (i = 0; i < PROBE_QUEUES; i++)
		ck_assert(pvio_device_vq(rrig.dev, (unsigned int)i)
				  ->stats.kicks == 0);
	mmio_rig_echo(0);
}
END_TEST

START_TEST(V25_page_is_no_memory)
{
	struct guest_segment seg[2];
	uint32_t len;

	/* Wherever a VMM may have put the page, the device has only RAM. */
	mmio_rig_run(0);
	memcpy(seg, rrig.seg, sizeof(seg));
	seg[1].gpa = 0xfe000000;
	ck_assert_int_eq(guest_ring_add(rrig.ring[0], seg, 1, 1, seg), 0);
	guest_ring_publish(rrig.ring[0]);
	reg_write(REG(QUEUE_NOTIFY), 0);
	ck_assert(regs_rig_is_used(0));
	ck_assert_ptr_eq(guest_ring_reap(rrig.ring[0], &len), seg);
	ck_assert_uint_eq(len, 0);
	mmio_rig_echo(0);
}
END_TEST

START_TEST(V26_driver_without_queues_is_idle)
{
	ck_assert_uint_eq(mmio_rig_negotiate(0), 0xb);
	mmio_rig_driver_ok();
	reg_write(REG(QUEUE_NOTIFY), 0);
	regs_rig_step();
	ck_assert_uint_eq(reg_read(REG(INTERRUPT_STATUS)), 0);
	/* A queue may come later. */
	ck_assert(mmio_rig_start_queue(3, 16));
	mmio_rig_echo(3);
}
END_TEST

START_TEST(V27_acknowledging_what_is_not_up_or_not_a_bit_does_nothing)
{
	mmio_rig_run(0);
	reg_write(REG(INTERRUPT_ACK), UINT32_MAX);
	mmio_rig_echo(0);
	ck_assert(mrig.level);
	reg_write(REG(INTERRUPT_ACK), 0);
	reg_write(REG(INTERRUPT_ACK), 2);
	reg_write(REG(INTERRUPT_ACK), 0xfffffffc);
	reg_write(REG(INTERRUPT_ACK), 0x100);
	ck_assert(mrig.level);
	ck_assert_uint_eq(reg_read(REG(INTERRUPT_STATUS)), 1);
	reg_write(REG(INTERRUPT_ACK), 1);
	ck_assert(!mrig.level);
}
END_TEST

/* A ring that contradicts itself: the driver is told, and a reset helps. */
START_TEST(broken_ring_asks_for_a_reset)
{
	uint16_t idx = htole16(1000);

	mmio_rig_run(0);
	memcpy((char *)guest_host(&rrig.mem, guest_ring_driver(rrig.ring[0])) +
		       2,
	       &idx, 2);
	reg_write(REG(QUEUE_NOTIFY), 0);
	regs_rig_step();
	ck_assert_uint_eq(reg_read(REG(STATUS)), 0x4f);
	ck_assert_uint_eq(reg_read(REG(INTERRUPT_STATUS)) & 2, 2);
	ck_assert(mrig.level);
	mmio_rig_expect_service();
}
END_TEST

CHECK_MAIN("mmio", mmio_rig_setup, regs_rig_teardown,
	   V01_queue_of_a_bad_size_does_not_start,
	   V02_registers_of_a_running_queue_are_frozen,
	   V03_selector_past_the_queues_selects_nothing,
	   V04_queue_whose_ring_is_not_memory_does_not_start,
	   V04_queue_whose_addresses_were_not_written_does_not_start,
	   V05_ready_takes_0_and_1_and_nothing_else,
	   V08_features_not_offered_are_not_accepted,
	   V09_feature_without_what_it_needs_is_refused,
	   V10_features_are_latched, V12_illegal_status_is_ignored,
	   V12_queue_before_features_ok_does_not_start,
	   V13_kick_before_driver_ok_is_remembered,
	   V14_reset_is_over_when_nothing_is_in_flight,
	   V16_queue_reset_without_its_feature_is_ignored,
	   V16_queue_reset_twice_or_idle_is_one_reset,
	   V17_needs_reset_and_failed_are_not_taken_back,
	   V19_registers_are_accessed_whole_and_in_their_place,
	   V19_write_only_registers_read_as_ones_and_read_only_stay,
	   V19_configuration_ends_where_it_ends,
	   V20_read_only_configuration_stays,
	   V21_generation_is_new_when_something_changed_since,
	   V22_kick_of_a_queue_that_is_not_there_is_ignored,
	   V25_page_is_no_memory, V26_driver_without_queues_is_idle,
	   V27_acknowledging_what_is_not_up_or_not_a_bit_does_nothing,
	   broken_ring_asks_for_a_reset)
