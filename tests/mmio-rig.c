/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmio-rig.c - see mmio-rig.h
 */
#include "mmio-rig.h"

#include <poll.h>
#include <string.h>

struct mmio_rig mrig;

/* --- life ---------------------------------------------------------------- */

static void on_irq(void *arg, bool level)
{
	ck_assert_ptr_eq(arg, &mrig);
	ck_assert(level != mrig.level);
	pvio_store_once(&mrig.level, level);
	if (level)
		probe_count(&mrig.ups);
}

static void rig_attach(void)
{
	memset(&mrig, 0, sizeof(mrig));
	mrig.mmio = pvio_mmio_of(rrig.dev);
	ck_assert_ptr_nonnull(mrig.mmio);
	ck_assert_int_eq(pvio_mmio_set_irq(mrig.mmio, on_irq, &mrig), 0);
}

void mmio_rig_setup(void)
{
	regs_rig_open(MMIO_RIG_CONFIG, rig_attach);
}

void mmio_rig_setup_threads(void)
{
	regs_rig_open_threads(MMIO_RIG_CONFIG, rig_attach);
}

/* --- accesses ------------------------------------------------------------ */

uint32_t reg_read(uint64_t offset)
{
	uint32_t le = 0;

	pvio_mmio_read(mrig.mmio, offset, &le, 4);
	return le32toh(le);
}

void reg_write(uint64_t offset, uint32_t value)
{
	uint32_t le = htole32(value);

	pvio_mmio_write(mrig.mmio, offset, &le, 4);
}

/* --- a driver's steps ---------------------------------------------------- */

uint32_t mmio_rig_negotiate(uint64_t bits)
{
	bits |= PVIO_BIT(VIRTIO_F_VERSION_1);
	reg_write(REG(STATUS), 1);
	reg_write(REG(STATUS), 3);
	reg_write(REG(DRIVER_FEATURES_SEL), 0);
	reg_write(REG(DRIVER_FEATURES), (uint32_t)bits);
	reg_write(REG(DRIVER_FEATURES_SEL), 1);
	reg_write(REG(DRIVER_FEATURES), (uint32_t)(bits >> 32));
	reg_write(REG(STATUS), 0xb);
	return reg_read(REG(STATUS));
}

static void write_address(uint64_t offset, uint64_t gpa)
{
	reg_write(offset, (uint32_t)gpa);
	reg_write(offset + 4, (uint32_t)(gpa >> 32));
}

void mmio_rig_layout(unsigned int q, uint16_t size)
{
	struct guest_ring *ring = regs_rig_new_ring(q, size);

	reg_write(REG(QUEUE_SEL), q);
	reg_write(REG(QUEUE_NUM), size);
	write_address(REG(QUEUE_DESC_LOW), guest_ring_desc(ring));
	write_address(REG(QUEUE_AVAIL_LOW), guest_ring_driver(ring));
	write_address(REG(QUEUE_USED_LOW), guest_ring_device(ring));
}

bool mmio_rig_start_queue(unsigned int q, uint16_t size)
{
	mmio_rig_layout(q, size);
	reg_write(REG(QUEUE_READY), 1);
	return reg_read(REG(QUEUE_READY)) == 1;
}

void mmio_rig_driver_ok(void)
{
	reg_write(REG(STATUS), 0xf);
	ck_assert_uint_eq(reg_read(REG(STATUS)), 0xf);
}

void mmio_rig_run(uint64_t bits)
{
	unsigned int q;

	ck_assert_uint_eq(mmio_rig_negotiate(bits), 0xb);
	for (q = 0; q < PROBE_QUEUES; q++)
		ck_assert(mmio_rig_start_queue(q, REGS_RIG_RING_SIZE));
	mmio_rig_driver_ok();
}

void mmio_rig_submit(unsigned int q)
{
	regs_rig_add(q);
	reg_write(REG(QUEUE_NOTIFY), q);
}

void mmio_rig_echo(unsigned int q)
{
	mmio_rig_submit(q);
	regs_rig_reap(q);
}

void mmio_rig_hold(unsigned int q)
{
	const uint64_t *requests = &pvio_device_vq(rrig.dev, q)->stats.requests;
	uint64_t end = pvio_now_ns() + REGS_RIG_WAIT_MS * 1000000ULL;
	uint64_t before = pvio_load_once(requests);

	pvio_store_once(&probe.hold, true);
	mmio_rig_submit(q);
	while (pvio_load_once(requests) == before) {
		ck_assert_uint_lt(pvio_now_ns(), end);
		regs_rig_step();
		if (rrig.nr_workers)
			poll(NULL, 0, 1);
	}
}

void mmio_rig_release(unsigned int q)
{
	pvio_store_once(&probe.hold, false);
	regs_rig_release(q);
}

void mmio_rig_expect_service(void)
{
	reg_write(REG(STATUS), 0);
	ck_assert_uint_eq(reg_read(REG(STATUS)), 0);
	guest_alloc_reset(&rrig.mem);
	regs_rig_alloc_buffer();
	mmio_rig_run(0);
	mmio_rig_echo(0);
	mmio_rig_echo(PROBE_QUEUES - 1);
}
