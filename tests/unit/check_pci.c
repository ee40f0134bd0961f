/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_pci.c - a PCI function, register by register, under a VMM of few words
 */
#include "tests/check_main.h"
#include "tests/pci-rig.h"

#include <string.h>

/* --- running ------------------------------------------------------------------ */

START_TEST(a_driver_is_served_with_msix)
{
	unsigned int q;

	pci_rig_run(0);
	for (q = 0; q < PROBE_QUEUES; q++) {
		pci_rig_echo(q);
		ck_assert_uint_eq(prig.msix[q + 1], 1);
	}
	ck_assert_uint_eq(prig.msix[0], 0);
	ck_assert(!prig.intx);
}
END_TEST

START_TEST(a_driver_is_served_with_intx)
{
	pci_rig_enable();
	pci_rig_negotiate(0);
	pci_rig_start_queue(2, 16);
	pci_rig_driver_ok();
	pci_rig_echo(2);
	ck_assert(prig.intx);
	ck_assert(cfg_read(CFG_STATUS, 2) & 0x8);
	ck_assert_uint_eq(reg_read(REG_ISR, 1), 1);
	ck_assert(!prig.intx);
	ck_assert_uint_eq(reg_read(REG_ISR, 1), 0);
	ck_assert(!(cfg_read(CFG_STATUS, 2) & 0x8));
}
END_TEST

START_TEST(packed_rings_are_served)
{
	unsigned int i;

	pci_rig_run(PVIO_BIT(VIRTIO_F_RING_PACKED));
	for (i = 0; i < 40; i++)
		pci_rig_echo(1);
	ck_assert_uint_eq(prig.msix[2], 40);
}
END_TEST

CHECK_MAIN("pci", pci_rig_setup, pci_rig_teardown,
	   a_driver_is_served_with_msix, a_driver_is_served_with_intx,
	   packed_rings_are_served)
