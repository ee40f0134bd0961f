/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-rig.c - see pci-rig.h
 */
#include "pci-rig.h"

#include "core/plugin.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct pci_rig prig;
struct probe probe;

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

void pci_rig_alloc_buffer(void)
{
	prig.out = guest_alloc(&prig.mem, 64, 8, &prig.seg[0].gpa);
	prig.in = guest_alloc(&prig.mem, 64, 8, &prig.seg[1].gpa);
	ck_assert_ptr_nonnull(prig.in);
	prig.seg[0].len = prig.seg[1].len = 64;
}

static void rig_open(void)
{
	static bool is_loaded;

	if (!is_loaded)
		ck_assert_int_eq(pvio_plugins_load(PROBE_DIR), 0);
	is_loaded = true;
	memset(&probe, 0, sizeof(probe));
	ck_assert_int_eq(pvio_device_create("dut", PCI_RIG_CONFIG, prig.control,
					    prig.nr_workers ? prig.workers :
							      &prig.control,
					    prig.nr_workers ? prig.nr_workers :
							      1,
					    &prig.dev),
			 0);
	prig.pci = pvio_pci_of(prig.dev);
	ck_assert_ptr_nonnull(prig.pci);
	ck_assert_int_eq(pvio_pci_set_host(prig.pci, &host, &prig), 0);
	ck_assert_int_eq(pvio_device_start(prig.dev), 0);

	guest_memory_init(&prig.mem);
	ck_assert_int_eq(guest_memory_add(&prig.mem, PCI_RIG_GPA,
					  PCI_RIG_BYTES),
			 0);
	ck_assert_int_eq(pvio_memory_create(&prig.list), 0);
	ck_assert_int_eq(pvio_memory_add_fd(prig.list, PCI_RIG_GPA,
					    PCI_RIG_BYTES,
					    prig.mem.region[0].fd, 0, 0),
			 0);
	ck_assert_int_eq(pvio_device_set_memory_list(prig.dev, prig.list), 0);
	pci_rig_alloc_buffer();
}

void pci_rig_setup(void)
{
	memset(&prig, 0, sizeof(prig));
	ck_assert_int_eq(pvio_worker_create("dut", &prig.control), 0);
	rig_open();
}

void pci_rig_setup_threads(void)
{
	unsigned int i;

	memset(&prig, 0, sizeof(prig));
	prig.nr_workers = 2;
	ck_assert_int_eq(pvio_worker_create("control", &prig.control), 0);
	for (i = 0; i < prig.nr_workers; i++)
		ck_assert_int_eq(pvio_worker_create("queue", &prig.workers[i]),
				 0);
	rig_open();
	for (i = 0; i < prig.nr_workers; i++)
		ck_assert_int_eq(pvio_worker_start(prig.workers[i]), 0);
	ck_assert_int_eq(pvio_worker_start(prig.control), 0);
}

void pci_rig_teardown(void)
{
	unsigned int i;

	pvio_store_once(&probe.hold, false);
	for (i = 0; i < PROBE_QUEUES; i++)
		pci_rig_release(i);
	pvio_worker_stop(prig.control);
	pvio_device_destroy(prig.dev);
	for (i = 0; i < prig.nr_workers; i++)
		pvio_worker_destroy(prig.workers[i]);
	pvio_worker_destroy(prig.control);
	pvio_memory_destroy(prig.list);
	for (i = 0; i < PROBE_QUEUES; i++)
		guest_ring_destroy(prig.ring[i]);
	guest_memory_fini(&prig.mem);
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

void pci_rig_step(void)
{
	unsigned int i;

	if (prig.nr_workers)
		return;
	for (i = 0; i < 1000; i++) {
		if (!pvio_worker_step(prig.control))
			return;
	}
	ck_abort_msg("the worker does not come to rest");
}

void pci_rig_wait_count(const unsigned int *count, unsigned int least)
{
	uint64_t end = pvio_now_ns() + PCI_RIG_WAIT_MS * 1000000ULL;

	while (pvio_load_acquire(count) < least) {
		ck_assert_uint_lt(pvio_now_ns(), end);
		if (prig.nr_workers)
			poll(NULL, 0, 1);
		else
			pvio_worker_wait(prig.control, 1);
	}
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
	uint64_t end = pvio_now_ns() + PCI_RIG_WAIT_MS * 1000000ULL;

	reg_write(REG_STATUS, 1, 0);
	while (reg_read(REG_STATUS, 1)) {
		ck_assert_uint_lt(pvio_now_ns(), end);
		pci_rig_step();
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
	unsigned int flags = 0;
	uint64_t gpa;
	void *mem;

	if (pvio_device_has_feature(prig.dev, VIRTIO_F_RING_PACKED))
		flags |= GUEST_RING_PACKED;
	guest_ring_destroy(prig.ring[q]);
	prig.ring[q] = NULL;
	mem = guest_alloc(&prig.mem, guest_ring_bytes(size, flags), 4096, &gpa);
	ck_assert_ptr_nonnull(mem);
	ck_assert_int_eq(guest_ring_create(size, flags, mem, gpa,
					   &prig.ring[q]),
			 0);
	reg_write(REG_QUEUE_SELECT, 2, q);
	reg_write(REG_QUEUE_SIZE, 2, size);
	reg_write(REG_QUEUE_VECTOR, 2, vector);
	reg_write(REG_QUEUE_DESC, 8, guest_ring_desc(prig.ring[q]));
	reg_write(REG_QUEUE_DRIVER, 8, guest_ring_driver(prig.ring[q]));
	reg_write(REG_QUEUE_DEVICE, 8, guest_ring_device(prig.ring[q]));
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
		ck_assert(pci_rig_start_queue(q, PCI_RIG_RING_SIZE));
	pci_rig_driver_ok();
}

void pci_rig_add(unsigned int q)
{
	memset(prig.out, 'x', 64);
	memset(prig.in, 0, 64);
	ck_assert_int_eq(guest_ring_add(prig.ring[q], prig.seg, 1, 1,
					prig.seg),
			 0);
	guest_ring_publish(prig.ring[q]);
}

void pci_rig_submit(unsigned int q)
{
	pci_rig_add(q);
	reg_write(REG_NOTIFY + 4 * q, 2, q);
}

bool pci_rig_is_used(unsigned int q)
{
	pci_rig_step();
	return guest_ring_has_used(prig.ring[q]);
}

void pci_rig_echo(unsigned int q)
{
	uint64_t end = pvio_now_ns() + PCI_RIG_WAIT_MS * 1000000ULL;
	uint32_t len = 0;

	pci_rig_submit(q);
	while (!pci_rig_is_used(q)) {
		ck_assert_uint_lt(pvio_now_ns(), end);
		if (prig.nr_workers)
			poll(NULL, 0, 1);
	}
	ck_assert_ptr_eq(guest_ring_reap(prig.ring[q], &len), prig.seg);
	ck_assert_uint_eq(len, 64);
	ck_assert_mem_eq(prig.in, prig.out, 64);
}

struct rig_release {
	struct pvio_task task;
	struct pvio_vq *vq;
	unsigned int done;
};

static void rig_on_release(struct pvio_task *task)
{
	struct rig_release *r =
		pvio_container_of(task, struct rig_release, task);

	probe_release(r->vq);
	pvio_store_release(&r->done, 1);
}

void pci_rig_release(unsigned int q)
{
	struct rig_release r = { .task.fn = rig_on_release };

	r.vq = pvio_device_vq(prig.dev, q);
	pvio_worker_post(r.vq->worker, &r.task);
	pci_rig_wait_count(&r.done, 1);
	pci_rig_step();
}
