/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_pci_interrupts.c - when a PCI function interrupts, and when it may not
 *
 * That interrupts come at all is in check_pci.c; here is what may not come, and
 * what the registers say of it.
 */
#include "tests/check_main.h"
#include "tests/pci-rig.h"

#define STATUS_INTX 0x8
#define PBA	    0x8000

/* The bit of vector @v's own entry. */
static void mask_vector(unsigned int v, uint32_t is_masked)
{
	uint32_t le = htole32(is_masked);

	pvio_pci_bar_write(prig.pci, 0, v * 16 + 12, &le, 4);
}

static uint64_t pending(void)
{
	uint64_t le;

	pvio_pci_bar_read(prig.pci, 0, PBA, &le, 8);
	return le64toh(le);
}

/* Its configuration changes. */
static void poke(void)
{
	char answer[64];

	pvio_device_command(rrig.dev, "poke", "", answer, sizeof(answer));
	regs_rig_step();
}

/* Queue 0 by the line, which is up when this returns. */
static void raise_line(void)
{
	pci_rig_enable();
	ck_assert_uint_eq(pci_rig_negotiate(0), 0xb);
	ck_assert(pci_rig_start_queue(0, REGS_RIG_RING_SIZE));
	pci_rig_driver_ok();
	pci_rig_echo(0);
	ck_assert(prig.intx);
}

/* --- the ISR beside MSI-X (virtio 1.4, 4.1.4.5.1) ------------------------- */

START_TEST(a_change_of_configuration_shows_with_msix_too)
{
	pci_rig_run(0);
	pci_rig_echo(0);
	ck_assert_uint_eq(reg_read(REG_ISR, 1), 0);
	poke();
	ck_assert_uint_eq(prig.msix[0], 1);
	ck_assert_uint_eq(reg_read(REG_ISR, 1), 2);
	ck_assert_uint_eq(reg_read(REG_ISR, 1), 0);
	/* A driver that did not look hears of it no second time. */
	poke();
	ck_assert(!(cfg_read(CFG_STATUS, 2) & STATUS_INTX));
	cfg_write(CFG_MSIX_CONTROL, 2, 0);
	ck_assert(!(cfg_read(CFG_STATUS, 2) & STATUS_INTX));
	ck_assert_uint_eq(prig.intx_ups, 0);
	ck_assert_uint_eq(reg_read(REG_ISR, 1), 0);
	/* Without MSI-X the line is the way, and stays it. */
	poke();
	ck_assert(prig.intx);
	cfg_write(CFG_MSIX_CONTROL, 2, 0x8000);
	ck_assert(!prig.intx);
	poke();
	cfg_write(CFG_MSIX_CONTROL, 2, 0);
	ck_assert(prig.intx);
	ck_assert_uint_eq(reg_read(REG_ISR, 1), 2);
}
END_TEST

/* --- power ---------------------------------------------------------------- */

START_TEST(in_d3_the_line_is_down_and_comes_back)
{
	raise_line();
	cfg_write(CFG_POWER, 2, 3);
	ck_assert(!prig.intx);
	/* What was not acknowledged is still there ... */
	cfg_write(CFG_POWER, 2, 0);
	ck_assert(prig.intx);
	ck_assert_uint_eq(reg_read(REG_ISR, 1), 1);
	/* ... and what happens meanwhile is told when there is power. */
	cfg_write(CFG_POWER, 2, 3);
	poke();
	ck_assert(!prig.intx);
	cfg_write(CFG_POWER, 2, 0);
	ck_assert(prig.intx);
	ck_assert_uint_eq(reg_read(REG_ISR, 1), 2);
}
END_TEST

/* --- reset (virtio 1.4, 2.4.1) ------------------------------------------- */

START_TEST(a_reset_takes_the_line_down)
{
	raise_line();
	ck_assert(cfg_read(CFG_STATUS, 2) & STATUS_INTX);
	pci_rig_reset();
	ck_assert(!prig.intx);
	ck_assert(!(cfg_read(CFG_STATUS, 2) & STATUS_INTX));
	ck_assert_uint_eq(reg_read(REG_ISR, 1), 0);
	raise_line();
}
END_TEST

START_TEST(a_message_that_pends_is_dropped_by_a_reset)
{
	pci_rig_run(0);
	mask_vector(0, 1);
	mask_vector(1, 1);
	pci_rig_echo(0);
	pvio_device_break(rrig.dev, "said the test");
	regs_rig_step();
	ck_assert_uint_eq(pending(), 3);
	pci_rig_reset();
	ck_assert_uint_eq(pending(), 0);
	mask_vector(0, 0);
	mask_vector(1, 0);
	ck_assert_uint_eq(prig.msix[0] + prig.msix[1], 0);
	pci_rig_run(0);
	pci_rig_echo(0);
	ck_assert_uint_eq(prig.msix[1], 1);
}
END_TEST

/* 2.6.1.1; a vector that others have, too, is theirs. */
START_TEST(a_queue_reset_drops_what_pends_on_its_own_vector)
{
	unsigned int q;

	pci_rig_run(PVIO_BIT(VIRTIO_F_RING_RESET));
	reg_write(REG_QUEUE_SELECT, 2, 1);
	reg_write(REG_QUEUE_VECTOR, 2, 0);
	reg_write(REG_QUEUE_SELECT, 2, 3);
	reg_write(REG_QUEUE_VECTOR, 2, 3);
	for (q = 0; q < PCI_RIG_VECTORS; q++)
		mask_vector(q, 1);
	for (q = 0; q < PROBE_QUEUES; q++)
		pci_rig_echo(q);
	/* 0: configuration and queue 1; 1: queue 0; 3: queues 2 and 3. */
	ck_assert_uint_eq(pending(), 0xb);
	for (q = 0; q < 3; q++) {
		reg_write(REG_QUEUE_SELECT, 2, q);
		reg_write(REG_QUEUE_RESET, 2, 1);
		regs_rig_step();
	}
	ck_assert_uint_eq(pending(), 0x9);
	mask_vector(1, 0);
	mask_vector(3, 0);
	ck_assert_uint_eq(prig.msix[1], 0);
	ck_assert_uint_eq(prig.msix[3], 1);
}
END_TEST

CHECK_MAIN("pci interrupts", pci_rig_setup, regs_rig_teardown,
	   a_change_of_configuration_shows_with_msix_too,
	   in_d3_the_line_is_down_and_comes_back,
	   a_reset_takes_the_line_down,
	   a_message_that_pends_is_dropped_by_a_reset,
	   a_queue_reset_drops_what_pends_on_its_own_vector)
