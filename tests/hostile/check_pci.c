/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_pci.c - what a driver can do wrong with the registers of BAR 4
 *
 * Tests are named for their rows: Vnn is a wrong use of status, features, queue
 * set-up or BAR.  Queues are in check_pci_queues.c, configuration space is in
 * check_pci_config.c; CPUs that race are in tests/unit/check_pci_threads.c.
 */
#include "tests/check_main.h"
#include "tests/pci-rig.h"

#include <string.h>

static const struct {
	uint8_t offset, width;
	bool is_writable;
} registers[] = {
	{ 0x00, 4, true },  { 0x04, 4, false }, { 0x08, 4, true },
	{ 0x0c, 4, true },  { 0x10, 2, true },	{ 0x12, 2, false },
	{ 0x14, 1, true },  { 0x15, 1, false }, { 0x16, 2, true },
	{ 0x18, 2, true },  { 0x1a, 2, true },	{ 0x1c, 2, true },
	{ 0x1e, 2, false }, { 0x20, 8, true },	{ 0x28, 8, true },
	{ 0x30, 8, true },  { 0x38, 2, false }, { 0x3a, 2, true },
	{ 0x3c, 2, false }, { 0x3e, 2, false },
};

static uint64_t ones(size_t len)
{
	return len == 8 ? UINT64_MAX : (1ULL << 8 * len) - 1;
}

/* Is there anything of that width at that place? */
static bool is_register(uint64_t offset, size_t len)
{
	size_t i;

	for (i = 0; i < pvio_array_size(registers); i++) {
		uint64_t at = registers[i].offset;

		if (offset == at && len == registers[i].width)
			return true;
		if (registers[i].width == 8 && len == 4 &&
		    (offset == at || offset == at + 4))
			return true;
	}
	return false;
}

/* --- features and status ------------------------------------------------- */

START_TEST(v08_feature_words_end_at_128_bits)
{
	static const uint32_t selects[] = { 4, 5, 0x80, UINT32_MAX };
	size_t i;

	for (i = 0; i < pvio_array_size(selects); i++) {
		reg_write(REG_DEVICE_SELECT, 4, selects[i]);
		ck_assert_uint_eq(reg_read(REG_DEVICE_FEATURE, 4), 0);
		reg_write(REG_DRIVER_SELECT, 4, selects[i]);
		reg_write(REG_DRIVER_FEATURE, 4, UINT32_MAX);
		ck_assert_uint_eq(reg_read(REG_DRIVER_FEATURE, 4), 0);
	}
	ck_assert_uint_eq(pci_rig_negotiate(0), 0xb);
}
END_TEST

START_TEST(v08_features_that_were_not_offered_do_not_stick)
{
	unsigned int bit;

	for (bit = 0; bit < 64; bit++) {
		uint64_t bits = PVIO_BIT(bit);
		struct pvio_features f;

		pvio_device_offered(rrig.dev, &f);
		if (pvio_feature_has(&f, bit))
			continue;
		ck_assert_uint_eq(pci_rig_negotiate(bits), 0x3);
		pci_rig_reset();
	}
	reg_write(REG_DRIVER_SELECT, 4, 3);
	reg_write(REG_DRIVER_FEATURE, 4, 1);
	ck_assert_uint_eq(pci_rig_negotiate(0), 0x3);
}
END_TEST

START_TEST(v08_features_refused_once_do_not_stick_by_what_went_before)
{
	/* Accepted by the core, but the write that would say so is illegal. */
	pci_rig_negotiate(0);
	pci_rig_reset();
	reg_write(REG_STATUS, 1, 3);
	reg_write(REG_DRIVER_SELECT, 4, 1);
	reg_write(REG_DRIVER_FEATURE, 4, 1);
	reg_write(REG_STATUS, 1, 0x08);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 3);
	reg_write(REG_DRIVER_FEATURE, 4, UINT32_MAX);
	reg_write(REG_STATUS, 1, 0xb);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 3);
	reg_write(REG_STATUS, 1, 0xf);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 3);
	reg_write(REG_DRIVER_FEATURE, 4, 1);
	reg_write(REG_STATUS, 1, 0xb);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0xb);
}
END_TEST

START_TEST(v09_features_whose_ground_is_missing_do_not_stick)
{
	ck_assert_uint_eq(pci_rig_negotiate(PVIO_BIT(PROBE_F_NEEDS_BASE)), 3);
	pci_rig_reset();
	ck_assert_uint_eq(pci_rig_negotiate(PVIO_BIT(PROBE_F_NEEDS_BASE) |
					    PVIO_BIT(PROBE_F_BASE)),
			  0xb);
}
END_TEST

START_TEST(v10_features_are_what_they_were_at_features_ok)
{
	pci_rig_run(PVIO_BIT(PROBE_F_BASE));
	reg_write(REG_DRIVER_SELECT, 4, 0);
	reg_write(REG_DRIVER_FEATURE, 4, UINT32_MAX);
	ck_assert_uint_eq(reg_read(REG_DRIVER_FEATURE, 4),
			  PVIO_BIT(PROBE_F_BASE));
	reg_write(REG_DRIVER_SELECT, 4, 1);
	reg_write(REG_DRIVER_FEATURE, 4, 1 | 1 << (34 - 32));
	reg_write(REG_STATUS, 1, 0xf);
	ck_assert(!pvio_device_has_feature(rrig.dev, VIRTIO_F_RING_PACKED));
	pci_rig_echo(0);
}
END_TEST

START_TEST(v12_illegal_steps_of_the_status_are_not_taken)
{
	/* DRIVER_OK before FEATURES_OK. */
	reg_write(REG_STATUS, 1, 0x7);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0x3);
	/* Bits cleared, bits that mean nothing. */
	reg_write(REG_STATUS, 1, 0x1);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0x3);
	reg_write(REG_STATUS, 1, 0x23);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0x3);
	pci_rig_run(0);
	reg_write(REG_STATUS, 1, 0xb);
	reg_write(REG_STATUS, 1, 0x4);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0xf);
	pci_rig_echo(0);
}
END_TEST

START_TEST(v14_the_status_reads_0_when_nothing_is_in_flight_any_more)
{
	pci_rig_run(0);
	probe.hold = true;
	pci_rig_submit(0);
	regs_rig_step();
	reg_write(REG_STATUS, 1, 0);
	regs_rig_step();
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0xf);
	/* What is written meanwhile is for nobody. */
	reg_write(REG_STATUS, 1, 1);
	reg_write(REG_QUEUE_SELECT, 2, 0);
	reg_write(REG_QUEUE_ENABLE, 2, 1);
	reg_write(REG_NOTIFY, 2, 0);
	regs_rig_release(0);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0);
	ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 0);
	ck_assert_uint_eq(prig.msix[1], 0);
	probe.hold = false;
	pci_rig_run(0);
	pci_rig_echo(0);
}
END_TEST

START_TEST(v15_a_storm_of_resets_is_one_reset)
{
	unsigned int i;

	pci_rig_run(0);
	probe.hold = true;
	pci_rig_submit(0);
	regs_rig_step();
	for (i = 0; i < 100; i++) {
		reg_write(REG_STATUS, 1, 0);
		cfg_write(CFG_DEVICE_CONTROL, 2, 0x8000);
	}
	regs_rig_release(0);
	ck_assert_uint_eq(probe.resets, 1);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0);
	probe.hold = false;
	for (i = 0; i < 100; i++)
		reg_write(REG_STATUS, 1, 0);
	pci_rig_run(0);
	pci_rig_echo(0);
}
END_TEST

START_TEST(v17_needs_reset_is_ours_and_failed_ends_in_a_reset)
{
	pci_rig_run(0);
	reg_write(REG_STATUS, 1, 0x4f);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0xf);
	reg_write(REG_STATUS, 1, 0x8f);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0x8f);
	reg_write(REG_STATUS, 1, 0xf);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0x8f);
	pci_rig_reset();
	pci_rig_run(0);
	pci_rig_echo(0);
}
END_TEST

/* --- accesses ------------------------------------------------------------ */

START_TEST(v07_the_msix_bar_takes_words_and_nothing_else)
{
	uint64_t size = pvio_pci_bar_size(prig.pci, 0);
	uint8_t buf[16], before[16];
	uint64_t at;
	size_t len;

	pci_rig_run(0);
	pvio_pci_bar_read(prig.pci, 0, 16, before, 8);
	for (len = 1; len <= sizeof(buf); len++) {
		if (len == 4 || len == 8)
			continue;
		memset(buf, 0, sizeof(buf));
		pvio_pci_bar_write(prig.pci, 0, 16, buf, len);
		pvio_pci_bar_read(prig.pci, 0, 16, buf, len);
		ck_assert_uint_eq(buf[0], 0xff);
		ck_assert_uint_eq(buf[len - 1], 0xff);
	}
	memset(buf, 0xff, sizeof(buf));
	for (at = PCI_RIG_VECTORS * 16; at < size + 16; at += 4) {
		pvio_pci_bar_write(prig.pci, 0, at, buf, 4);
		pvio_pci_bar_read(prig.pci, 0, at, buf + 4, 4);
		memset(buf, 0xff, sizeof(buf));
	}
	pvio_pci_bar_read(prig.pci, 0, UINT64_MAX - 3, buf, 8);
	ck_assert_uint_eq(buf[0], 0xff);
	pvio_pci_bar_read(prig.pci, 0, 16, buf, 8);
	ck_assert_mem_eq(buf, before, 8);
	pci_rig_echo(0);
	ck_assert_uint_eq(prig.msix[1], 1);
}
END_TEST

START_TEST(v19_device_configuration_ends_where_it_ends)
{
	const unsigned int end = REG_DEVICE + sizeof(struct probe_config);
	uint8_t buf[16];
	size_t len;

	ck_assert_uint_eq(reg_read(end, 1), 0xff);
	ck_assert_uint_eq(reg_read(end - 1, 2), 0xffff);
	ck_assert_uint_eq(reg_read(REG_NOTIFY - 4, 4), 0xffffffff);
	for (len = 1; len <= sizeof(buf); len++) {
		memset(buf, 0x55, sizeof(buf));
		pvio_pci_bar_read(prig.pci, 4, REG_DEVICE + 1, buf, len);
		ck_assert_uint_eq(buf[len - 1], len < 8 ? 0 : 0xff);
		memset(buf, 0xee, sizeof(buf));
		if (len != 4)
			pvio_pci_bar_write(prig.pci, 4, REG_DEVICE + 4, buf,
					   len);
		pvio_pci_bar_write(prig.pci, 4, end, buf, len);
	}
	ck_assert_uint_eq(reg_read(REG_DEVICE + 4, 4), 0);
}
END_TEST

START_TEST(v19_registers_are_accessed_in_their_width)
{
	uint64_t offset;
	size_t len;

	pci_rig_run(PVIO_BIT(VIRTIO_F_RING_RESET));
	reg_write(REG_QUEUE_SELECT, 2, 0);
	for (offset = 0; offset < 0x80; offset++) {
		for (len = 1; len <= 8; len++) {
			if (is_register(offset, len))
				continue;
			ck_assert_uint_eq(reg_read(offset, len), ones(len));
			reg_write(offset, len, 0);
			reg_write(offset, len, UINT64_MAX);
		}
	}
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0xf);
	ck_assert_uint_eq(reg_read(REG_QUEUE_SELECT, 2), 0);
	ck_assert_uint_eq(reg_read(REG_QUEUE_VECTOR, 2), 1);
	pci_rig_echo(0);
	ck_assert_uint_eq(prig.msix[1], 1);
}
END_TEST

START_TEST(v19_there_is_nothing_beside_the_registers)
{
	static const struct {
		unsigned int bar;
		uint64_t offset;
		size_t len;
	} bad[] = {
		{ 4, REG_ISR, 2 },	 { 4, REG_ISR, 4 },
		{ 4, REG_ISR + 1, 1 },	 { 4, REG_DEVICE - 1, 1 },
		{ 4, REG_DEVICE - 1, 2 }, { 4, 0x40, 4 },
		{ 4, 0xffe, 4 },	 { 4, 0x3ffe, 4 },
		{ 4, 0x4000, 4 },	 { 4, UINT64_MAX, 1 },
		{ 4, UINT64_MAX - 3, 8 }, { 1, 0, 4 },
		{ 2, 0, 4 },		 { 5, 0, 4 },
		{ 6, 0, 4 },		 { UINT32_MAX, 0, 4 },
	};
	uint8_t buf[8];
	size_t i;

	pci_rig_run(0);
	for (i = 0; i < pvio_array_size(bad); i++) {
		memset(buf, 0, sizeof(buf));
		pvio_pci_bar_write(prig.pci, bad[i].bar, bad[i].offset, buf,
				   bad[i].len);
		pvio_pci_bar_read(prig.pci, bad[i].bar, bad[i].offset, buf,
				  bad[i].len);
		ck_assert_uint_eq(buf[0], 0xff);
	}
	/* Nothing at all is nothing, too. */
	pvio_pci_bar_read(prig.pci, 4, 0, buf, 0);
	pvio_pci_bar_write(prig.pci, 4, 0, buf, 0);
	pci_rig_echo(0);
}
END_TEST

START_TEST(v20_what_is_read_only_stays)
{
	size_t i;

	pci_rig_run(0);
	reg_write(REG_DEVICE, 4, 0x12345678);
	ck_assert_uint_eq(reg_read(REG_DEVICE, 4), 0);
	for (i = 0; i < pvio_array_size(registers); i++) {
		uint64_t at = registers[i].offset, was;

		if (registers[i].is_writable)
			continue;
		was = reg_read(at, registers[i].width);
		reg_write(at, registers[i].width, ~was);
		ck_assert_uint_eq(reg_read(at, registers[i].width), was);
	}
	pci_rig_echo(0);
}
END_TEST

START_TEST(v21_configuration_torn_by_a_change_is_seen_by_the_generation)
{
	char answer[8];
	unsigned int i;

	for (i = 0; i < 300; i++) {
		uint64_t before, low;

		before = reg_read(REG_GENERATION, 1);
		low = reg_read(REG_DEVICE, 2);
		pvio_device_command(rrig.dev, "poke", "", answer,
				    sizeof(answer));
		(void)reg_read(REG_DEVICE + 2, 2);
		ck_assert_uint_eq(low, i);
		ck_assert_uint_ne(reg_read(REG_GENERATION, 1), before);
	}
}
END_TEST

START_TEST(v22_doorbells_of_no_queue_ring_nowhere)
{
	uint64_t offset;
	size_t len;

	pci_rig_run(PVIO_BIT(VIRTIO_F_NOTIFICATION_DATA));
	regs_rig_step();
	regs_rig_add(0);
	for (offset = 4 * PROBE_QUEUES; offset < 0x1000; offset += 2)
		reg_write(REG_NOTIFY + offset, 4, 0);
	for (len = 1; len <= 8; len++) {
		reg_write(REG_NOTIFY + 1, len, 0);
		reg_write(REG_NOTIFY + 2, len, 0);
		if (len != 2 && len != 4)
			reg_write(REG_NOTIFY, len, 0);
	}
	reg_write(REG_NOTIFY + 0x1000, 4, 0);
	ck_assert(!regs_rig_is_used(0));
	/* Garbage in the data: a hint, and the ring is right. */
	reg_write(REG_NOTIFY, 4, 0x7fff0123);
	ck_assert(regs_rig_is_used(0));
}
END_TEST

/* --- interrupts ---------------------------------------------------------- */

START_TEST(v27_an_interrupt_takes_the_route_there_is_when_it_comes)
{
	pci_rig_run(0);
	probe.hold = true;
	pci_rig_submit(0);
	regs_rig_step();
	/* To INTx while a request is in flight. */
	cfg_write(CFG_MSIX_CONTROL, 2, 0);
	regs_rig_release(0);
	ck_assert(prig.intx);
	ck_assert_uint_eq(reg_read(REG_ISR, 1), 1);
	/* And back, masked: it pends. */
	pci_rig_submit(1);
	regs_rig_step();
	cfg_write(CFG_MSIX_CONTROL, 2, 0xc000);
	regs_rig_release(1);
	ck_assert_uint_eq(prig.msix[2], 0);
	ck_assert(!prig.intx);
	cfg_write(CFG_MSIX_CONTROL, 2, 0x8000);
	ck_assert_uint_eq(prig.msix[2], 1);
	/* To nowhere: silence. */
	pci_rig_submit(2);
	regs_rig_step();
	reg_write(REG_QUEUE_SELECT, 2, 2);
	reg_write(REG_QUEUE_VECTOR, 2, 0xffff);
	regs_rig_release(2);
	ck_assert(guest_ring_has_used(rrig.ring[2]));
	ck_assert_uint_eq(prig.msix[3], 0);
	ck_assert(!prig.intx);
}
END_TEST

CHECK_MAIN("hostile pci", pci_rig_setup, regs_rig_teardown,
	   v08_feature_words_end_at_128_bits,
	   v08_features_that_were_not_offered_do_not_stick,
	   v08_features_refused_once_do_not_stick_by_what_went_before,
	   v09_features_whose_ground_is_missing_do_not_stick,
	   v10_features_are_what_they_were_at_features_ok,
	   v12_illegal_steps_of_the_status_are_not_taken,
	   v14_the_status_reads_0_when_nothing_is_in_flight_any_more,
	   v15_a_storm_of_resets_is_one_reset,
	   v17_needs_reset_is_ours_and_failed_ends_in_a_reset,
	   v07_the_msix_bar_takes_words_and_nothing_else,
	   v19_device_configuration_ends_where_it_ends,
	   v19_registers_are_accessed_in_their_width,
	   v19_there_is_nothing_beside_the_registers,
	   v20_what_is_read_only_stays,
	   v21_configuration_torn_by_a_change_is_seen_by_the_generation,
	   v22_doorbells_of_no_queue_ring_nowhere,
	   v27_an_interrupt_takes_the_route_there_is_when_it_comes)
