/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_pci_queues.c - what a driver can do wrong with the queues of BAR 4
 *
 * Their set-up, their reset, and kicks and rings at the wrong time and place.
 * Tests are named for their rows, as in check_pci.c.
 */
#include "tests/check_main.h"
#include "tests/pci-rig.h"

#define END (REGS_RIG_GPA + REGS_RIG_BYTES)

/* Enabled and negotiated; queue 0 is laid out, and not enabled. */
static void get_ready(uint64_t bits)
{
	pci_rig_enable();
	ck_assert_uint_eq(pci_rig_negotiate(bits), 0xb);
	pci_rig_enable_msix();
	pci_rig_layout(0, 16, 1);
}

static bool enables(void)
{
	reg_write(REG_QUEUE_ENABLE, 2, 1);
	regs_rig_step();
	return reg_read(REG_QUEUE_ENABLE, 2) == 1;
}

/* --- set-up -------------------------------------------------------------- */

START_TEST(v01_a_queue_of_a_size_that_cannot_be_stays_disabled)
{
	static const uint16_t sizes[] = { 0, 3, 63, PROBE_QUEUE_SIZE + 1,
					  2 * PROBE_QUEUE_SIZE, 0x8000,
					  0xffff };
	size_t i;

	get_ready(0);
	for (i = 0; i < pvio_array_size(sizes); i++) {
		reg_write(REG_QUEUE_SIZE, 2, sizes[i]);
		ck_assert_uint_eq(reg_read(REG_QUEUE_SIZE, 2), 0);
		ck_assert(!enables());
	}
	reg_write(REG_QUEUE_SIZE, 2, 16);
	ck_assert(enables());
	pci_rig_driver_ok();
	pci_rig_echo(0);
}
END_TEST

START_TEST(v01_a_packed_ring_may_have_any_size_but_none_too_large)
{
	get_ready(PVIO_BIT(VIRTIO_F_RING_PACKED));
	reg_write(REG_QUEUE_SIZE, 2, 0);
	ck_assert(!enables());
	reg_write(REG_QUEUE_SIZE, 2, PROBE_QUEUE_SIZE + 1);
	ck_assert_uint_eq(reg_read(REG_QUEUE_SIZE, 2), 0);
	ck_assert(!enables());
	pci_rig_layout(0, 5, 1);
	ck_assert_uint_eq(reg_read(REG_QUEUE_SIZE, 2), 5);
	ck_assert(enables());
	pci_rig_driver_ok();
	pci_rig_echo(0);
}
END_TEST

/* Whether it can be is known later than it may be written. */
START_TEST(v01_a_size_written_early_counts_when_rings_are_agreed_on)
{
	pci_rig_enable();
	reg_write(REG_QUEUE_SIZE, 2, 5);
	ck_assert_uint_eq(reg_read(REG_QUEUE_SIZE, 2), 0);
	pci_rig_negotiate(PVIO_BIT(VIRTIO_F_RING_PACKED));
	ck_assert_uint_eq(reg_read(REG_QUEUE_SIZE, 2), 5);
}
END_TEST

START_TEST(v02_what_an_enabled_queue_runs_on_does_not_change)
{
	pci_rig_run(0);
	reg_write(REG_QUEUE_SELECT, 2, 0);
	reg_write(REG_QUEUE_SIZE, 2, 0);
	reg_write(REG_QUEUE_SIZE, 2, 0x8000);
	reg_write(REG_QUEUE_DESC, 8, 0);
	reg_write(REG_QUEUE_DRIVER + 4, 4, 0xffffffff);
	reg_write(REG_QUEUE_DEVICE, 4, 1);
	reg_write(REG_QUEUE_ENABLE, 2, 1);
	ck_assert_uint_eq(reg_read(REG_QUEUE_SIZE, 2), REGS_RIG_RING_SIZE);
	ck_assert_uint_eq(reg_read(REG_QUEUE_DESC, 8),
			  guest_ring_desc(rrig.ring[0]));
	ck_assert_uint_eq(reg_read(REG_QUEUE_DRIVER, 8),
			  guest_ring_driver(rrig.ring[0]));
	ck_assert_uint_eq(reg_read(REG_QUEUE_DEVICE, 8),
			  guest_ring_device(rrig.ring[0]));
	pci_rig_echo(0);
}
END_TEST

/* A vector is no part of the ring: Windows' network driver maps it late. */
START_TEST(v02_the_vector_of_an_enabled_queue_is_checked_and_moves)
{
	pci_rig_run(0);
	reg_write(REG_QUEUE_SELECT, 2, 0);
	reg_write(REG_QUEUE_VECTOR, 2, PCI_RIG_VECTORS);
	ck_assert_uint_eq(reg_read(REG_QUEUE_VECTOR, 2), 0xffff);
	pci_rig_echo(0);
	ck_assert_uint_eq(prig.msix[1], 0);
	reg_write(REG_QUEUE_VECTOR, 2, 3);
	pci_rig_echo(0);
	ck_assert_uint_eq(prig.msix[3], 1);
}
END_TEST

START_TEST(v03_a_queue_that_does_not_exist_reads_as_absent)
{
	static const uint16_t queues[] = { PROBE_QUEUES, 0x100, 0xffff };
	size_t i, r;

	get_ready(0);
	for (i = 0; i < pvio_array_size(queues); i++) {
		reg_write(REG_QUEUE_SELECT, 2, queues[i]);
		for (r = REG_QUEUE_SIZE; r <= REG_QUEUE_NOTIFY; r += 2) {
			reg_write(r, 2, 0x10);
			ck_assert_uint_eq(reg_read(r, 2),
					  r == REG_QUEUE_VECTOR ? 0xffff : 0);
		}
		for (r = REG_QUEUE_DESC; r <= REG_QUEUE_DEVICE; r += 8) {
			reg_write(r, 8, REGS_RIG_GPA);
			ck_assert_uint_eq(reg_read(r, 8), 0);
		}
		reg_write(REG_QUEUE_ENABLE, 2, 1);
		reg_write(REG_QUEUE_RESET, 2, 1);
		ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 0);
		ck_assert_uint_eq(reg_read(REG_QUEUE_RESET, 2), 0);
		ck_assert_uint_eq(reg_read(REG_QUEUE_SELECT, 2), queues[i]);
	}
	reg_write(REG_QUEUE_SELECT, 2, 0);
	ck_assert_uint_eq(reg_read(REG_QUEUE_SIZE, 2), 16);
	ck_assert(enables());
}
END_TEST

START_TEST(v04_rings_that_are_not_in_memory_do_not_start)
{
	static const struct {
		unsigned int reg;
		uint64_t address;
	} bad[] = {
		{ REG_QUEUE_DESC, 0 },
		{ REG_QUEUE_DESC, REGS_RIG_GPA - 16 },
		{ REG_QUEUE_DESC, END - 16 },
		{ REG_QUEUE_DESC, END },
		{ REG_QUEUE_DESC, UINT64_MAX - 15 },
		{ REG_QUEUE_DESC, REGS_RIG_GPA + 8 },
		{ REG_QUEUE_DRIVER, REGS_RIG_GPA + 1 },
		{ REG_QUEUE_DRIVER, END - 2 },
		{ REG_QUEUE_DRIVER, UINT64_MAX - 1 },
		{ REG_QUEUE_DEVICE, REGS_RIG_GPA + 2 },
		{ REG_QUEUE_DEVICE, END - 4 },
		{ REG_QUEUE_DEVICE, 1ULL << 63 },
	};
	size_t i;

	get_ready(0);
	for (i = 0; i < pvio_array_size(bad); i++) {
		uint64_t good = reg_read(bad[i].reg, 8);

		reg_write(bad[i].reg, 8, bad[i].address);
		ck_assert(!enables());
		reg_write(bad[i].reg, 8, good);
	}
	ck_assert(enables());
	pci_rig_driver_ok();
	pci_rig_echo(0);
}
END_TEST

START_TEST(v04_a_queue_whose_addresses_were_never_written_does_not_start)
{
	pci_rig_enable();
	pci_rig_negotiate(0);
	reg_write(REG_QUEUE_SELECT, 2, 1);
	ck_assert(!enables());
	/* Nor does one of a device that agreed on nothing. */
	pci_rig_reset();
	pci_rig_layout(1, 16, 1);
	ck_assert(!enables());
}
END_TEST

/* Unwritten addresses are 0, and there is memory. */
START_TEST(v04_areas_at_one_address_do_not_start)
{
	static const uint64_t packed[] = { 0, PVIO_BIT(VIRTIO_F_RING_PACKED) };
	static const unsigned int area[] = { REG_QUEUE_DESC, REG_QUEUE_DRIVER,
					     REG_QUEUE_DEVICE };
	size_t i, j;

	regs_rig_add_low_memory();
	for (i = 0; i < pvio_array_size(packed); i++) {
		pci_rig_reset();
		get_ready(packed[i] | PVIO_BIT(VIRTIO_F_RING_RESET));
		ck_assert(enables());
		/* A queue reset forgets them (virtio 1.4, 2.6.1.1). */
		reg_write(REG_QUEUE_RESET, 2, 1);
		regs_rig_step();
		ck_assert(!enables());
		for (j = 0; j < pvio_array_size(area); j++) {
			pci_rig_layout(0, 16, 1);
			reg_write(area[j], 8, reg_read(area[(j + 1) % 3], 8));
			ck_assert(!enables());
		}
		pci_rig_layout(0, 16, 1);
		reg_write(area[0], 8, 0);
		ck_assert(enables()); /* it is an address like others */
	}
}
END_TEST

START_TEST(v05_queue_enable_is_written_1_or_not_at_all)
{
	get_ready(0);
	reg_write(REG_QUEUE_ENABLE, 2, 2);
	reg_write(REG_QUEUE_ENABLE, 2, 0xffff);
	ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 0);
	ck_assert(enables());
	reg_write(REG_QUEUE_ENABLE, 2, 0);
	ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 1);
	pci_rig_driver_ok();
	reg_write(REG_QUEUE_ENABLE, 2, 0);
	pci_rig_echo(0);
}
END_TEST

START_TEST(v06_vectors_that_do_not_exist_are_not_stored)
{
	static const uint16_t bad[] = { PCI_RIG_VECTORS, 0x7ff, 0x8000,
					0xfffe };
	size_t i;

	get_ready(0);
	for (i = 0; i < pvio_array_size(bad); i++) {
		reg_write(REG_CONFIG_VECTOR, 2, 0);
		reg_write(REG_QUEUE_VECTOR, 2, 1);
		reg_write(REG_CONFIG_VECTOR, 2, bad[i]);
		reg_write(REG_QUEUE_VECTOR, 2, bad[i]);
		ck_assert_uint_eq(reg_read(REG_CONFIG_VECTOR, 2), 0xffff);
		ck_assert_uint_eq(reg_read(REG_QUEUE_VECTOR, 2), 0xffff);
	}
}
END_TEST

/* --- reset --------------------------------------------------------------- */

START_TEST(v16_a_queue_is_reset_when_that_was_agreed_and_it_is_enabled)
{
	pci_rig_run(0);
	reg_write(REG_QUEUE_SELECT, 2, 0);
	reg_write(REG_QUEUE_RESET, 2, 1);
	ck_assert_uint_eq(reg_read(REG_QUEUE_RESET, 2), 0);
	ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 1);
	pci_rig_echo(0);

	pci_rig_reset();
	pci_rig_enable();
	pci_rig_negotiate(PVIO_BIT(VIRTIO_F_RING_RESET));
	reg_write(REG_QUEUE_RESET, 2, 1);
	ck_assert_uint_eq(reg_read(REG_QUEUE_RESET, 2), 0);
	ck_assert(pci_rig_start_queue(0, 16));
	reg_write(REG_QUEUE_RESET, 2, 2);
	ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 1);
}
END_TEST

START_TEST(v16_a_queue_reset_twice_and_in_flight_is_reset_once)
{
	pci_rig_run(PVIO_BIT(VIRTIO_F_RING_RESET));
	probe.hold = true;
	pci_rig_submit(0);
	regs_rig_step();
	reg_write(REG_QUEUE_SELECT, 2, 0);
	reg_write(REG_QUEUE_RESET, 2, 1);
	reg_write(REG_QUEUE_RESET, 2, 1);
	reg_write(REG_QUEUE_RESET, 2, 0);
	reg_write(REG_QUEUE_ENABLE, 2, 1);
	reg_write(REG_QUEUE_SIZE, 2, 4);
	ck_assert_uint_eq(reg_read(REG_QUEUE_RESET, 2), 1);
	regs_rig_release(0);
	ck_assert_uint_eq(reg_read(REG_QUEUE_RESET, 2), 0);
	ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 0);
	ck_assert_uint_eq(probe.queue[0].idles, 1);
	probe.hold = false;
	ck_assert(pci_rig_start_queue(0, 32));
	pci_rig_echo(0);
	pci_rig_echo(1);
}
END_TEST

START_TEST(v16_a_reset_ends_a_queue_reset)
{
	pci_rig_run(PVIO_BIT(VIRTIO_F_RING_RESET));
	probe.hold = true;
	pci_rig_submit(0);
	regs_rig_step();
	reg_write(REG_QUEUE_SELECT, 2, 0);
	reg_write(REG_QUEUE_RESET, 2, 1);
	reg_write(REG_STATUS, 1, 0);
	regs_rig_release(0);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0);
	ck_assert_uint_eq(reg_read(REG_QUEUE_RESET, 2), 0);
	probe.hold = false;
	pci_rig_run(0);
	pci_rig_echo(0);
}
END_TEST

/* --- when and where ------------------------------------------------------ */

START_TEST(v13_a_doorbell_before_driver_ok_is_remembered)
{
	get_ready(0);
	reg_write(REG_NOTIFY, 2, 0);
	ck_assert(enables());
	pci_rig_submit(0);
	ck_assert(!regs_rig_is_used(0));
	ck_assert_uint_eq(probe.queue[0].kicks, 0);
	pci_rig_driver_ok();
	ck_assert(regs_rig_is_used(0));
	ck_assert_uint_eq(prig.msix[1], 1);
}
END_TEST

START_TEST(v25_our_own_bars_are_no_memory)
{
	struct guest_segment bar = { .gpa = 0xe0000000, .len = 64 };
	struct guest_segment seg[2];
	uint32_t len = 1;

	pci_rig_run(0);
	seg[0] = rrig.seg[0];
	seg[1] = bar;
	ck_assert_int_eq(guest_ring_add(rrig.ring[0], seg, 1, 1, seg), 0);
	guest_ring_publish(rrig.ring[0]);
	reg_write(REG_NOTIFY, 2, 0);
	ck_assert(regs_rig_is_used(0));
	ck_assert_ptr_eq(guest_ring_reap(rrig.ring[0], &len), seg);
	ck_assert_uint_eq(len, 0);
	pci_rig_echo(0);

	/* Nor may a ring be in one. */
	pci_rig_reset();
	get_ready(0);
	reg_write(REG_QUEUE_DEVICE, 8, prig.bar[4].address + REG_NOTIFY);
	ck_assert(!enables());
}
END_TEST

START_TEST(v26_driver_ok_without_queues_is_idle)
{
	char answer[8];
	unsigned int q;

	pci_rig_enable();
	pci_rig_negotiate(0);
	pci_rig_enable_msix();
	reg_write(REG_CONFIG_VECTOR, 2, 0);
	pci_rig_driver_ok();
	for (q = 0; q < PROBE_QUEUES; q++)
		reg_write(REG_NOTIFY + 4 * q, 2, q);
	regs_rig_step();
	pvio_device_command(rrig.dev, "poke", "", answer, sizeof(answer));
	regs_rig_step();
	ck_assert_uint_eq(prig.msix[0], 1);
	/* One may still come (virtio 1.4, 3.1.1 does not say it may not). */
	ck_assert(pci_rig_start_queue(2, 16));
	pci_rig_echo(2);
}
END_TEST

CHECK_MAIN("hostile pci queues", pci_rig_setup, regs_rig_teardown,
	   v01_a_queue_of_a_size_that_cannot_be_stays_disabled,
	   v01_a_packed_ring_may_have_any_size_but_none_too_large,
	   v01_a_size_written_early_counts_when_rings_are_agreed_on,
	   v02_what_an_enabled_queue_runs_on_does_not_change,
	   v02_the_vector_of_an_enabled_queue_is_checked_and_moves,
	   v03_a_queue_that_does_not_exist_reads_as_absent,
	   v04_rings_that_are_not_in_memory_do_not_start,
	   v04_a_queue_whose_addresses_were_never_written_does_not_start,
	   v04_areas_at_one_address_do_not_start,
	   v05_queue_enable_is_written_1_or_not_at_all,
	   v06_vectors_that_do_not_exist_are_not_stored,
	   v16_a_queue_is_reset_when_that_was_agreed_and_it_is_enabled,
	   v16_a_queue_reset_twice_and_in_flight_is_reset_once,
	   v16_a_reset_ends_a_queue_reset,
	   v13_a_doorbell_before_driver_ok_is_remembered,
	   v25_our_own_bars_are_no_memory, v26_driver_ok_without_queues_is_idle)
