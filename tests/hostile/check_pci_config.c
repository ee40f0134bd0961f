/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_pci_config.c - what a guest can do wrong with configuration space
 *
 * Tests are named for their rows, as in check_pci.c.
 */
#include "tests/check_main.h"
#include "tests/pci-rig.h"

#include <string.h>

#define WINDOW_BAR    (CFG_WINDOW + 4)
#define WINDOW_OFFSET (CFG_WINDOW + 8)
#define WINDOW_LENGTH (CFG_WINDOW + 12)
#define WINDOW_DATA   (CFG_WINDOW + 16)

static void window(unsigned int bar, uint32_t offset, uint32_t len)
{
	cfg_write(WINDOW_BAR, 1, bar);
	cfg_write(WINDOW_OFFSET, 4, offset);
	cfg_write(WINDOW_LENGTH, 4, len);
}

/* --- the window ---------------------------------------------------------- */

START_TEST(v18_a_driver_without_bars_works_through_the_window)
{
	window(4, REG_STATUS, 1);
	cfg_write(WINDOW_DATA, 4, 0x1);
	cfg_write(WINDOW_DATA, 1, 0x3);
	ck_assert_uint_eq(cfg_read(WINDOW_DATA, 1), 0x3);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0x3);
	window(4, REG_NUM_QUEUES, 2);
	ck_assert_uint_eq(cfg_read(WINDOW_DATA, 2), PROBE_QUEUES);
	/* Only as many bytes as it says. */
	ck_assert_uint_eq(cfg_read(WINDOW_DATA, 4),
			  0xffff0000 | PROBE_QUEUES);
	window(4, REG_QUEUE_DESC, 4);
	cfg_write(WINDOW_DATA, 4, 0x12345670);
	ck_assert_uint_eq(reg_read(REG_QUEUE_DESC, 4), 0x12345670);
	window(0, 0, 4);
	cfg_write(WINDOW_DATA, 4, 0xfee00000);
	ck_assert_uint_eq(cfg_read(WINDOW_DATA, 4), 0xfee00000);
}
END_TEST

START_TEST(v18_a_window_on_nothing_reads_ones_and_drops_writes)
{
	static const struct {
		uint32_t bar, offset, len;
	} bad[] = {
		{ 1, 0, 4 },	      { 2, 0, 1 },
		{ 5, 0, 4 },	      { 6, 0, 4 },
		{ 255, 0, 4 },	      { 4, REG_STATUS, 0 },
		{ 4, REG_STATUS, 3 }, { 4, REG_STATUS, 8 },
		{ 4, 0, UINT32_MAX }, { 4, 0x4000, 1 },
		{ 4, 0x3ffd, 4 },     { 4, UINT32_MAX, 4 },
		{ 4, UINT32_MAX - 3, 4 }, { 0, 0x10000, 4 },
		{ 4, REG_STATUS, 4 }, { 4, REG_QUEUE_SIZE + 1, 1 },
	};
	size_t i;

	pci_rig_run(0);
	for (i = 0; i < pvio_array_size(bad); i++) {
		window(bad[i].bar, bad[i].offset, bad[i].len);
		cfg_write(WINDOW_DATA, 4, 0);
		ck_assert_uint_eq(cfg_read(WINDOW_DATA, 4), 0xffffffff);
	}
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0xf);
	pci_rig_echo(0);
}
END_TEST

START_TEST(v18_a_window_that_is_written_whole_is_one_write)
{
	uint8_t all[20] = { 0 };

	/* bar, offset, length and data in one go. */
	all[4] = 4;
	all[8] = REG_STATUS;
	all[12] = 1;
	all[16] = 1;
	pvio_pci_config_write(prig.pci, CFG_WINDOW, all, sizeof(all));
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 1);
	/* What makes it a capability stays. */
	ck_assert_uint_eq(cfg_read(CFG_WINDOW, 1), 0x09);
	ck_assert_uint_eq(cfg_read(CFG_WINDOW + 2, 2), 0x0514);
}
END_TEST

START_TEST(v18_a_reset_through_the_window_is_a_reset)
{
	pci_rig_run(0);
	window(4, REG_STATUS, 1);
	cfg_write(WINDOW_DATA, 1, 0);
	regs_rig_step();
	ck_assert_uint_eq(cfg_read(WINDOW_DATA, 1), 0);
	window(4, REG_NOTIFY, 2);
	cfg_write(WINDOW_DATA, 2, 0);
	pci_rig_run(0);
	pci_rig_echo(0);
}
END_TEST

/* --- configuration space ------------------------------------------------- */

START_TEST(v19_configuration_space_ends_where_it_ends)
{
	static uint8_t buf[8192];

	pvio_pci_config_read(prig.pci, 4095, buf, 2);
	ck_assert_uint_eq(buf[0], 0);
	ck_assert_uint_eq(buf[1], 0xff);
	pvio_pci_config_read(prig.pci, 4096, buf, 1);
	ck_assert_uint_eq(buf[0], 0xff);
	pvio_pci_config_read(prig.pci, SIZE_MAX, buf, 8);
	ck_assert_uint_eq(buf[7], 0xff);
	pvio_pci_config_read(prig.pci, 0, buf, sizeof(buf));
	ck_assert_uint_eq(buf[0], 0xf4);
	ck_assert_uint_eq(buf[4096], 0xff);
	ck_assert_uint_eq(buf[8191], 0xff);

	memset(buf, 0, sizeof(buf));
	pvio_pci_config_write(prig.pci, 4096, buf, 1);
	pvio_pci_config_write(prig.pci, SIZE_MAX, buf, 8);
	pvio_pci_config_write(prig.pci, SIZE_MAX - 7, buf, 8);
	pvio_pci_config_write(prig.pci, 4094, buf, 4098);
	pvio_pci_config_write(prig.pci, 0, buf, sizeof(buf));
	ck_assert_uint_eq(cfg_read(0, 2), 0x1af4);
	pci_rig_run(0);
	pci_rig_echo(0);
}
END_TEST

START_TEST(v19_configuration_is_accessed_in_any_width)
{
	uint8_t bytes[3] = { CMD_MEMORY | CMD_MASTER, 0, 0 };
	unsigned int i;

	pvio_pci_config_write(prig.pci, CFG_COMMAND, bytes, 3);
	ck_assert_uint_eq(cfg_read(CFG_COMMAND, 1), CMD_MEMORY | CMD_MASTER);
	for (i = 0; i < 4; i++)
		cfg_write(CFG_BAR0 + i, 1, 0xe0 + i);
	ck_assert_uint_eq(cfg_read(CFG_BAR0, 4), 0xe3e20000);
	ck_assert_uint_eq(cfg_read(CFG_BAR0 + 1, 3), 0xe3e200);
	ck_assert_uint_eq(cfg_read(CFG_BAR0 + 2, 2), 0xe3e2);
	/* MSI-X by its high byte alone. */
	cfg_write(CFG_MSIX_CONTROL + 1, 1, 0x80);
	ck_assert_uint_eq(cfg_read(CFG_MSIX_CONTROL, 2),
			  0x8000 | (PCI_RIG_VECTORS - 1));
}
END_TEST

/* --- power and the bus --------------------------------------------------- */

START_TEST(v23_no_bus_master_touches_no_memory)
{
	pci_rig_run(0);
	cfg_write(CFG_COMMAND, 2, CMD_MEMORY);
	pci_rig_submit(0);
	ck_assert(!regs_rig_is_used(0));
	ck_assert_uint_eq(probe.queue[0].served, 0);
	/* Nor after a reset, and all set-up, without it. */
	pci_rig_reset();
	ck_assert_uint_eq(pci_rig_negotiate(0), 0xb);
	ck_assert(pci_rig_start_queue(0, 16));
	pci_rig_driver_ok();
	pci_rig_submit(0);
	ck_assert(!regs_rig_is_used(0));
	cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER);
	ck_assert(regs_rig_is_used(0));
}
END_TEST

START_TEST(v23_a_function_without_power_touches_no_memory)
{
	pci_rig_run(0);
	cfg_write(CFG_POWER, 1, 3);
	cfg_write(CFG_COMMAND, 2, CMD_MEMORY);
	cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER);
	pci_rig_submit(0);
	ck_assert(!regs_rig_is_used(0));
	cfg_write(CFG_POWER, 1, 2);
	ck_assert(!regs_rig_is_used(0));
	ck_assert_uint_eq(cfg_read(CFG_POWER, 1) & 3, 3);
	cfg_write(CFG_POWER, 1, 0);
	ck_assert(regs_rig_is_used(0));
}
END_TEST

START_TEST(v23_bars_move_while_requests_are_in_flight)
{
	pci_rig_run(0);
	probe.hold = true;
	pci_rig_submit(0);
	regs_rig_step();
	cfg_write(CFG_BAR4, 4, 0x40000000);
	cfg_write(CFG_BAR4 + 4, 4, 0);
	cfg_write(CFG_COMMAND, 2, CMD_MASTER);
	cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER);
	ck_assert_uint_eq(prig.bar[4].address, 0x40000000);
	regs_rig_release(0);
	ck_assert(guest_ring_has_used(rrig.ring[0]));
	ck_assert_uint_eq(prig.msix[1], 1);
}
END_TEST

START_TEST(v23_flr_in_flight_is_a_reset_and_another_changes_nothing)
{
	unsigned int i;

	pci_rig_run(0);
	probe.hold = true;
	pci_rig_submit(0);
	regs_rig_step();
	cfg_write(CFG_DEVICE_CONTROL + 1, 1, 0x80);
	for (i = 0; i < 20; i++) {
		cfg_write(CFG_DEVICE_CONTROL, 2, 0x8000);
		reg_write(REG_STATUS, 1, 0);
		reg_write(REG_NOTIFY, 2, 0);
		cfg_write(CFG_COMMAND, 2, 0xffff);
		cfg_write(CFG_POWER, 2, 3);
		ck_assert_uint_eq(cfg_read(0, 4), 0xffffffff);
	}
	regs_rig_release(0);
	ck_assert_uint_eq(cfg_read(0, 2), 0x1af4);
	ck_assert_uint_eq(cfg_read(CFG_COMMAND, 2), 0);
	ck_assert_uint_eq(cfg_read(CFG_POWER, 2), 0x0);
	ck_assert_uint_eq(cfg_read(CFG_DEVICE_CONTROL, 2) & 0x8000, 0);
	ck_assert_uint_eq(probe.resets, 1);
	ck_assert_uint_eq(prig.msix[1], 0);
	ck_assert(!prig.intx);
	probe.hold = false;
	pci_rig_run(0);
	pci_rig_echo(0);
}
END_TEST

static void ignore_done(void *arg, int rc)
{
	(void)arg;
	(void)rc;
}

/* More pauses than there are places for, and the reset finds none. */
START_TEST(v23_flr_among_many_pauses_leaves_no_bus_master)
{
	unsigned int i;

	pci_rig_run(0);
	probe.hold = true;
	pci_rig_submit(0);
	regs_rig_step();
	cfg_write(CFG_DEVICE_CONTROL, 2, 0x8000);
	for (i = 0; i < 20; i++)
		pvio_device_quiesce(rrig.dev, PVIO_QUIET_HOST, ignore_done,
				    NULL);
	regs_rig_release(0);
	probe.hold = false;
	pvio_device_resume(rrig.dev);
	ck_assert_uint_eq(cfg_read(CFG_COMMAND, 2), 0);

	cfg_write(CFG_COMMAND, 2, CMD_MEMORY);
	ck_assert_uint_eq(pci_rig_negotiate(0), 0xb);
	ck_assert(pci_rig_start_queue(0, REGS_RIG_RING_SIZE));
	pci_rig_driver_ok();
	pci_rig_submit(0);
	ck_assert(!regs_rig_is_used(0));
	cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER);
	regs_rig_reap(0);
}
END_TEST

START_TEST(v24_probing_changes_nothing)
{
	uint8_t before[256], after[256];
	unsigned int i, bar;

	pci_rig_run(0);
	pvio_pci_config_read(prig.pci, 0, before, sizeof(before));
	for (bar = 0; bar < 7; bar++) {
		uint32_t was = cfg_read(CFG_BAR0 + 4 * bar, 4);

		cfg_write(CFG_BAR0 + 4 * bar, 4, 0xffffffff);
		(void)cfg_read(CFG_BAR0 + 4 * bar, 4);
		cfg_write(CFG_BAR0 + 4 * bar, 4, was);
	}
	/* Every byte by itself, and what cannot be written. */
	for (i = 0; i < 256; i++) {
		ck_assert_uint_eq(cfg_read(i, 1), before[i]);
		if (!(i >= CFG_WINDOW && i < CFG_WINDOW + 20))
			cfg_write(i, 1, before[i]);
	}
	pvio_pci_config_read(prig.pci, 0, after, sizeof(after));
	ck_assert_mem_eq(after, before, sizeof(after));
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0xf);
	pci_rig_echo(0);
	ck_assert_uint_eq(prig.msix[1], 1);
}
END_TEST

START_TEST(v24_the_halves_of_a_64_bit_bar_are_independent)
{
	pci_rig_enable();
	cfg_write(CFG_BAR4 + 4, 4, 0xffffffff);
	ck_assert_uint_eq(cfg_read(CFG_BAR4, 4), 0xc);
	ck_assert_uint_eq(prig.bar[4].address, 0xffffffff00000000);
	cfg_write(CFG_BAR4, 4, 0xffffffff);
	ck_assert_uint_eq(prig.bar[4].address, 0xffffffffffffc000);
	cfg_write(CFG_BAR4 + 4, 4, 0);
	ck_assert_uint_eq(cfg_read(CFG_BAR4, 4), 0xffffc00c);
	ck_assert_uint_eq(prig.bar[4].address, 0xffffc000);
}
END_TEST

START_TEST(no_sequence_of_accesses_upsets_the_function)
{
	static const uint8_t widths[] = { 1, 2, 4, 8 };
	uint64_t seed = 88172645463325252;
	unsigned int i;

	pci_rig_run(PVIO_BIT(VIRTIO_F_RING_RESET) | PVIO_BIT(VIRTIO_F_SUSPEND));
	for (i = 0; i < 20000; i++) {
		uint64_t value;
		size_t len;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		len = widths[seed >> 8 & 3];
		value = seed >> 32;
		if (seed & 0x10000)
			value &= 0xf;
		switch (seed & 7) {
		case 0:
			pvio_pci_config_write(prig.pci, seed >> 20 & 0xff,
					      &value, len);
			break;
		case 1:
			pvio_pci_config_read(prig.pci, seed >> 20 & 0xff,
					     &value, len);
			break;
		case 2:
			pvio_pci_bar_write(prig.pci, 0, seed >> 20 & 0xff,
					   &value, len);
			break;
		case 3:
			reg_read(seed >> 20 & 0x3fff, len);
			break;
		default:
			reg_write(seed >> 20 & (seed & 0x20000 ? 0x3f : 0x3fff),
				  len, value);
		}
		regs_rig_step();
	}
	memset(prig.msix, 0, sizeof(prig.msix));
	pvio_pci_reset(prig.pci);
	guest_alloc_reset(&rrig.mem);
	regs_rig_alloc_buffer();
	pci_rig_run(0);
	pci_rig_echo(0);
	pci_rig_echo(PROBE_QUEUES - 1);
}
END_TEST

CHECK_MAIN("hostile pci config", pci_rig_setup, regs_rig_teardown,
	   v18_a_driver_without_bars_works_through_the_window,
	   v18_a_window_on_nothing_reads_ones_and_drops_writes,
	   v18_a_window_that_is_written_whole_is_one_write,
	   v18_a_reset_through_the_window_is_a_reset,
	   v19_configuration_space_ends_where_it_ends,
	   v19_configuration_is_accessed_in_any_width,
	   v23_no_bus_master_touches_no_memory,
	   v23_a_function_without_power_touches_no_memory,
	   v23_bars_move_while_requests_are_in_flight,
	   v23_flr_in_flight_is_a_reset_and_another_changes_nothing,
	   v23_flr_among_many_pauses_leaves_no_bus_master,
	   v24_probing_changes_nothing,
	   v24_the_halves_of_a_64_bit_bar_are_independent,
	   no_sequence_of_accesses_upsets_the_function)
