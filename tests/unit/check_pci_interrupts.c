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

CHECK_MAIN("pci interrupts", pci_rig_setup, regs_rig_teardown,
	   a_reset_takes_the_line_down)
