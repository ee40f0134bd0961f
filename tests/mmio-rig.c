/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmio-rig.c - see mmio-rig.h
 */
#include "mmio-rig.h"

#include "core/plugin.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct mmio_rig mrig;
struct probe probe;

/* --- life -------------------------------------------------------------------- */

static void on_irq(void *arg, bool level)
{
	ck_assert_ptr_eq(arg, &mrig);
	ck_assert(level != mrig.level);
	pvio_store_once(&mrig.level, level);
	if (level)
		probe_count(&mrig.ups);
}

static void rig_alloc_buffer(void)
{
	mrig.out = guest_alloc(&mrig.mem, 64, 8, &mrig.seg[0].gpa);
	mrig.in = guest_alloc(&mrig.mem, 64, 8, &mrig.seg[1].gpa);
	ck_assert_ptr_nonnull(mrig.in);
	mrig.seg[0].len = mrig.seg[1].len = 64;
}

static void rig_open(void)
{
	static bool is_loaded;

	if (!is_loaded)
		ck_assert_int_eq(pvio_plugins_load(PROBE_DIR), 0);
	is_loaded = true;
	memset(&probe, 0, sizeof(probe));
	ck_assert_int_eq(pvio_device_create(
				 "dut", MMIO_RIG_CONFIG, mrig.control,
				 mrig.nr_workers ? mrig.workers : &mrig.control,
				 mrig.nr_workers ? mrig.nr_workers : 1,
				 &mrig.dev),
			 0);
	mrig.mmio = pvio_mmio_of(mrig.dev);
	ck_assert_ptr_nonnull(mrig.mmio);
	ck_assert_int_eq(pvio_mmio_set_irq(mrig.mmio, on_irq, &mrig), 0);
	ck_assert_int_eq(pvio_device_start(mrig.dev), 0);

	guest_memory_init(&mrig.mem);
	ck_assert_int_eq(
		guest_memory_add(&mrig.mem, MMIO_RIG_GPA, MMIO_RIG_BYTES), 0);
	ck_assert_int_eq(pvio_memory_create(&mrig.list), 0);
	ck_assert_int_eq(pvio_memory_add_fd(mrig.list, MMIO_RIG_GPA,
					    MMIO_RIG_BYTES,
					    mrig.mem.region[0].fd, 0, 0),
			 0);
	ck_assert_int_eq(pvio_device_set_memory_list(mrig.dev, mrig.list), 0);
	rig_alloc_buffer();
}

void mmio_rig_setup(void)
{
	memset(&mrig, 0, sizeof(mrig));
	ck_assert_int_eq(pvio_worker_create("dut", &mrig.control), 0);
	rig_open();
}

void mmio_rig_setup_threads(void)
{
	unsigned int i;

	memset(&mrig, 0, sizeof(mrig));
	mrig.nr_workers = 2;
	ck_assert_int_eq(pvio_worker_create("control", &mrig.control), 0);
	for (i = 0; i < mrig.nr_workers; i++)
		ck_assert_int_eq(pvio_worker_create("queue", &mrig.workers[i]),
				 0);
	rig_open();
	for (i = 0; i < mrig.nr_workers; i++)
		ck_assert_int_eq(pvio_worker_start(mrig.workers[i]), 0);
	ck_assert_int_eq(pvio_worker_start(mrig.control), 0);
}

void mmio_rig_teardown(void)
{
	unsigned int i;

	for (i = 0; i < PROBE_QUEUES; i++)
		mmio_rig_release(i);
	pvio_worker_stop(mrig.control);
	pvio_device_destroy(mrig.dev);
	for (i = 0; i < mrig.nr_workers; i++)
		pvio_worker_destroy(mrig.workers[i]);
	pvio_worker_destroy(mrig.control);
	pvio_memory_destroy(mrig.list);
	for (i = 0; i < PROBE_QUEUES; i++)
		guest_ring_destroy(mrig.ring[i]);
	guest_memory_fini(&mrig.mem);
}

/* --- accesses ----------------------------------------------------------------- */

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

void mmio_rig_step(void)
{
	unsigned int i;

	if (mrig.nr_workers)
		return;
	for (i = 0; i < 1000; i++) {
		if (!pvio_worker_step(mrig.control))
			return;
	}
	ck_abort_msg("the worker does not come to rest");
}

void mmio_rig_wait_count(const unsigned int *count, unsigned int least)
{
	uint64_t end = pvio_now_ns() + MMIO_RIG_WAIT_MS * 1000000ULL;

	while (pvio_load_acquire(count) < least) {
		ck_assert_uint_lt(pvio_now_ns(), end);
		if (mrig.nr_workers)
			poll(NULL, 0, 1);
		else
			pvio_worker_wait(mrig.control, 1);
	}
}

/* --- a driver's steps ----------------------------------------------------------- */

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
	unsigned int flags = 0;
	uint64_t gpa;
	void *mem;

	if (pvio_device_has_feature(mrig.dev, VIRTIO_F_RING_PACKED))
		flags |= GUEST_RING_PACKED;
	guest_ring_destroy(mrig.ring[q]);
	mrig.ring[q] = NULL;
	mem = guest_alloc(&mrig.mem, guest_ring_bytes(size, flags), 4096, &gpa);
	ck_assert_ptr_nonnull(mem);
	ck_assert_int_eq(
		guest_ring_create(size, flags, mem, gpa, &mrig.ring[q]), 0);
	reg_write(REG(QUEUE_SEL), q);
	reg_write(REG(QUEUE_NUM), size);
	write_address(REG(QUEUE_DESC_LOW), guest_ring_desc(mrig.ring[q]));
	write_address(REG(QUEUE_AVAIL_LOW), guest_ring_driver(mrig.ring[q]));
	write_address(REG(QUEUE_USED_LOW), guest_ring_device(mrig.ring[q]));
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
		ck_assert(mmio_rig_start_queue(q, MMIO_RIG_RING_SIZE));
	mmio_rig_driver_ok();
}

void mmio_rig_add(unsigned int q)
{
	memset(mrig.out, 'x', 64);
	memset(mrig.in, 0, 64);
	ck_assert_int_eq(guest_ring_add(mrig.ring[q], mrig.seg, 1, 1, mrig.seg),
			 0);
	guest_ring_publish(mrig.ring[q]);
}

void mmio_rig_submit(unsigned int q)
{
	mmio_rig_add(q);
	reg_write(REG(QUEUE_NOTIFY), q);
}

bool mmio_rig_is_used(unsigned int q)
{
	mmio_rig_step();
	return guest_ring_has_used(mrig.ring[q]);
}

void mmio_rig_reap(unsigned int q)
{
	uint64_t end = pvio_now_ns() + MMIO_RIG_WAIT_MS * 1000000ULL;
	uint32_t len = 0;

	while (!mmio_rig_is_used(q)) {
		ck_assert_uint_lt(pvio_now_ns(), end);
		if (mrig.nr_workers)
			poll(NULL, 0, 1);
	}
	ck_assert_ptr_eq(guest_ring_reap(mrig.ring[q], &len), mrig.seg);
	ck_assert_uint_eq(len, 64);
	ck_assert_mem_eq(mrig.in, mrig.out, 64);
}

void mmio_rig_echo(unsigned int q)
{
	mmio_rig_submit(q);
	mmio_rig_reap(q);
}

void mmio_rig_hold(unsigned int q)
{
	const uint64_t *requests = &pvio_device_vq(mrig.dev, q)->stats.requests;
	uint64_t end = pvio_now_ns() + MMIO_RIG_WAIT_MS * 1000000ULL;
	uint64_t before = pvio_load_once(requests);

	pvio_store_once(&probe.hold, true);
	mmio_rig_submit(q);
	while (pvio_load_once(requests) == before) {
		ck_assert_uint_lt(pvio_now_ns(), end);
		mmio_rig_step();
		if (mrig.nr_workers)
			poll(NULL, 0, 1);
	}
}

struct rig_release {
	struct pvio_task task;
	struct pvio_vq *vq;
	unsigned int done;
};

static void rig_on_release(struct pvio_task *task)
{
	struct rig_release *r = pvio_container_of(task, struct rig_release,
						  task);

	probe_release(r->vq);
	pvio_store_release(&r->done, 1);
}

void mmio_rig_release(unsigned int q)
{
	struct rig_release r = { .task.fn = rig_on_release };

	pvio_store_once(&probe.hold, false);
	r.vq = pvio_device_vq(mrig.dev, q);
	pvio_worker_post(r.vq->worker, &r.task);
	mmio_rig_wait_count(&r.done, 1);
	mmio_rig_step();
}

void mmio_rig_expect_service(void)
{
	reg_write(REG(STATUS), 0);
	ck_assert_uint_eq(reg_read(REG(STATUS)), 0);
	guest_alloc_reset(&mrig.mem);
	rig_alloc_buffer();
	mmio_rig_run(0);
	mmio_rig_echo(0);
	mmio_rig_echo(PROBE_QUEUES - 1);
}
