/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-rig.c - see pci-rig.h
 */
#include "pci-rig.h"

#include <string.h>

struct pci_rig prig;

/* --- what the host is told ----------------------------------------------- */

static void on_msix(void *arg, unsigned int vector, uint64_t address,
		    uint32_t data)
{
	ck_assert_ptr_eq(arg, &prig);
	ck_assert_uint_eq(address, 0xfee00000 + vector);
	ck_assert_uint_eq(data, 0x40 + vector);
	probe_count(&prig.msix[vector]);
}

static void on_changed(void *arg, unsigned int vector,
		       const struct pvio_pci_vector *now)
{
	(void)arg;
	(void)vector;
	(void)now;
	probe_count(&prig.changed);
}

static void on_intx(void *arg, bool level)
{
	(void)arg;
	pvio_store_once(&prig.intx, level);
	if (level)
		probe_count(&prig.intx_ups);
}

static void on_moved(void *arg, unsigned int bar, uint64_t address,
		     bool is_enabled)
{
	(void)arg;
	probe_count(&prig.moves);
	prig.bar[bar].address = address;
	prig.bar[bar].is_enabled = is_enabled;
}

static const struct pvio_pci_host host = {
	.msix = on_msix,
	.msix_changed = on_changed,
	.intx = on_intx,
	.bar_moved = on_moved,
};

/* --- life ---------------------------------------------------------------- */

static void rig_attach(void)
{
	memset(&prig, 0, sizeof(prig));
	prig.pci = pvio_pci_of(rrig.dev);
	ck_assert_ptr_nonnull(prig.pci);
	ck_assert_int_eq(pvio_pci_set_host(prig.pci, &host, &prig), 0);
}

void pci_rig_setup(void)
{
	regs_rig_open(PCI_RIG_CONFIG, rig_attach);
}

void pci_rig_setup_threads(void)
{
	regs_rig_open_threads(PCI_RIG_CONFIG, rig_attach);
}

/* --- accesses ------------------------------------------------------------ */

uint32_t cfg_read(size_t offset, size_t len)
{
	uint32_t le = 0;

	pvio_pci_config_read(prig.pci, offset, &le, len);
	return le32toh(le);
}

void cfg_write(size_t offset, size_t len, uint32_t value)
{
	uint32_t le = htole32(value);

	pvio_pci_config_write(prig.pci, offset, &le, len);
}

uint64_t reg_read(uint64_t offset, size_t len)
{
	uint64_t le = 0;

	pvio_pci_bar_read(prig.pci, 4, offset, &le, len);
	return le64toh(le);
}

void reg_write(uint64_t offset, size_t len, uint64_t value)
{
	uint64_t le = htole64(value);

	pvio_pci_bar_write(prig.pci, 4, offset, &le, len);
}

/* --- a driver's steps ---------------------------------------------------- */

void pci_rig_enable(void)
{
	cfg_write(CFG_BAR0, 4, 0xe0000000);
	cfg_write(CFG_BAR4, 4, 0);
	cfg_write(CFG_BAR4 + 4, 4, 0x38);
	cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER);
}

void pci_rig_reset(void)
{
	uint64_t end = pvio_now_ns() + REGS_RIG_WAIT_MS * 1000000ULL;

	reg_write(REG_STATUS, 1, 0);
	while (reg_read(REG_STATUS, 1)) {
		ck_assert_uint_lt(pvio_now_ns(), end);
		regs_rig_step();
	}
}

uint8_t pci_rig_negotiate(uint64_t bits)
{
	bits |= PVIO_BIT(VIRTIO_F_VERSION_1);
	reg_write(REG_STATUS, 1, 1);
	reg_write(REG_STATUS, 1, 3);
	reg_write(REG_DRIVER_SELECT, 4, 0);
	reg_write(REG_DRIVER_FEATURE, 4, (uint32_t)bits);
	reg_write(REG_DRIVER_SELECT, 4, 1);
	reg_write(REG_DRIVER_FEATURE, 4, bits >> 32);
	reg_write(REG_STATUS, 1, 0xb);
	return (uint8_t)reg_read(REG_STATUS, 1);
}

void pci_rig_enable_msix(void)
{
	uint32_t entry[4];
	unsigned int i;

	cfg_write(CFG_MSIX_CONTROL, 2, 0x8000);
	for (i = 0; i < PCI_RIG_VECTORS; i++) {
		entry[0] = htole32(0xfee00000 + i);
		entry[1] = 0;
		entry[2] = htole32(0x40 + i);
		entry[3] = 0;
		pvio_pci_bar_write(prig.pci, 0, i * 16, entry, 8);
		pvio_pci_bar_write(prig.pci, 0, i * 16 + 8, entry + 2, 8);
	}
}

void pci_rig_layout(unsigned int q, uint16_t size, uint16_t vector)
{
	struct guest_ring *ring = regs_rig_new_ring(q, size);

	reg_write(REG_QUEUE_SELECT, 2, q);
	reg_write(REG_QUEUE_SIZE, 2, size);
	reg_write(REG_QUEUE_VECTOR, 2, vector);
	reg_write(REG_QUEUE_DESC, 8, guest_ring_desc(ring));
	reg_write(REG_QUEUE_DRIVER, 8, guest_ring_driver(ring));
	reg_write(REG_QUEUE_DEVICE, 8, guest_ring_device(ring));
}

bool pci_rig_start_queue(unsigned int q, uint16_t size)
{
	pci_rig_layout(q, size, (uint16_t)(q + 1));
	reg_write(REG_QUEUE_ENABLE, 2, 1);
	return reg_read(REG_QUEUE_ENABLE, 2) == 1;
}

void pci_rig_driver_ok(void)
{
	reg_write(REG_STATUS, 1, 0xf);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0xf);
}

void pci_rig_run(uint64_t bits)
{
	unsigned int q;

	pci_rig_enable();
	ck_assert_uint_eq(pci_rig_negotiate(bits), 0xb);
	pci_rig_enable_msix();
	reg_write(REG_CONFIG_VECTOR, 2, 0);
	for (q = 0; q < PROBE_QUEUES; q++)
		ck_assert(pci_rig_start_queue(q, REGS_RIG_RING_SIZE));
	pci_rig_driver_ok();
}

void pci_rig_submit(unsigned int q)
{
	regs_rig_add(q);
	reg_write(REG_NOTIFY + 4 * q, 2, q);
}

void pci_rig_echo(unsigned int q)
{
	pci_rig_submit(q);
	regs_rig_reap(q);
}

