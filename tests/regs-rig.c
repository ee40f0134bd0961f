/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * regs-rig.c - see regs-rig.h
 */
#include "regs-rig.h"

#include "core/plugin.h"

#include <poll.h>
#include <string.h>

struct regs_rig rrig;
struct probe probe;

/* --- life ---------------------------------------------------------------- */

void regs_rig_alloc_buffer(void)
{
	rrig.out = guest_alloc(&rrig.mem, 64, 8, &rrig.seg[0].gpa);
	rrig.in = guest_alloc(&rrig.mem, 64, 8, &rrig.seg[1].gpa);
	ck_assert_ptr_nonnull(rrig.in);
	rrig.seg[0].len = rrig.seg[1].len = 64;
}

void regs_rig_add_low_memory(void)
{
	static uint8_t low[REGS_RIG_GPA];

	ck_assert_int_eq(pvio_memory_add(rrig.list, 0, sizeof(low), low), 0);
	ck_assert_int_eq(pvio_device_set_memory_list(rrig.dev, rrig.list), 0);
}

static void rig_create(const char *config, void (*attach)(void))
{
	static bool is_loaded;

	if (!is_loaded)
		ck_assert_int_eq(pvio_plugins_load(PROBE_DIR), 0);
	is_loaded = true;
	memset(&probe, 0, sizeof(probe));
	ck_assert_int_eq(
		pvio_device_create("dut", config, rrig.control,
				   rrig.nr_workers ? rrig.workers :
						     &rrig.control,
				   rrig.nr_workers ? rrig.nr_workers : 1,
				   &rrig.dev),
		0);
	attach();
	ck_assert_int_eq(pvio_device_start(rrig.dev), 0);

	guest_memory_init(&rrig.mem);
	ck_assert_int_eq(
		guest_memory_add(&rrig.mem, REGS_RIG_GPA, REGS_RIG_BYTES), 0);
	ck_assert_int_eq(pvio_memory_create(&rrig.list), 0);
	ck_assert_int_eq(pvio_memory_add_fd(rrig.list, REGS_RIG_GPA,
					    REGS_RIG_BYTES,
					    rrig.mem.region[0].fd, 0, 0),
			 0);
	ck_assert_int_eq(pvio_device_set_memory_list(rrig.dev, rrig.list), 0);
	regs_rig_alloc_buffer();
}

void regs_rig_open(const char *config, void (*attach)(void))
{
	memset(&rrig, 0, sizeof(rrig));
	ck_assert_int_eq(pvio_worker_create("dut", &rrig.control), 0);
	rig_create(config, attach);
}

void regs_rig_open_threads(const char *config, void (*attach)(void))
{
	unsigned int i;

	memset(&rrig, 0, sizeof(rrig));
	rrig.nr_workers = 2;
	ck_assert_int_eq(pvio_worker_create("control", &rrig.control), 0);
	for (i = 0; i < rrig.nr_workers; i++)
		ck_assert_int_eq(pvio_worker_create("queue", &rrig.workers[i]),
				 0);
	rig_create(config, attach);
	for (i = 0; i < rrig.nr_workers; i++)
		ck_assert_int_eq(pvio_worker_start(rrig.workers[i]), 0);
	ck_assert_int_eq(pvio_worker_start(rrig.control), 0);
}

void regs_rig_teardown(void)
{
	unsigned int i;

	pvio_store_once(&probe.hold, false);
	for (i = 0; i < PROBE_QUEUES; i++)
		regs_rig_release(i);
	pvio_worker_stop(rrig.control);
	pvio_device_destroy(rrig.dev);
	for (i = 0; i < rrig.nr_workers; i++)
		pvio_worker_destroy(rrig.workers[i]);
	pvio_worker_destroy(rrig.control);
	pvio_memory_destroy(rrig.list);
	for (i = 0; i < PROBE_QUEUES; i++)
		guest_ring_destroy(rrig.ring[i]);
	guest_memory_fini(&rrig.mem);
}

struct guest_ring *regs_rig_new_ring(unsigned int q, uint16_t size)
{
	unsigned int flags = 0;
	uint64_t gpa;
	void *mem;

	if (pvio_device_has_feature(rrig.dev, VIRTIO_F_RING_PACKED))
		flags |= GUEST_RING_PACKED;
	guest_ring_destroy(rrig.ring[q]);
	rrig.ring[q] = NULL;
	mem = guest_alloc(&rrig.mem, guest_ring_bytes(size, flags), 4096, &gpa);
	ck_assert_ptr_nonnull(mem);
	ck_assert_int_eq(
		guest_ring_create(size, flags, mem, gpa, &rrig.ring[q]), 0);
	return rrig.ring[q];
}

/* --- waiting ------------------------------------------------------------- */

void regs_rig_step(void)
{
	unsigned int i;

	if (rrig.nr_workers)
		return;
	for (i = 0; i < 1000; i++) {
		if (!pvio_worker_step(rrig.control))
			return;
	}
	ck_abort_msg("the worker does not come to rest");
}

void regs_rig_wait_count(const unsigned int *count, unsigned int least)
{
	uint64_t end = pvio_now_ns() + REGS_RIG_WAIT_MS * 1000000ULL;

	while (pvio_load_acquire(count) < least) {
		ck_assert_uint_lt(pvio_now_ns(), end);
		if (rrig.nr_workers)
			poll(NULL, 0, 1);
		else
			pvio_worker_wait(rrig.control, 1);
	}
}

/* --- requests ------------------------------------------------------------ */

void regs_rig_add(unsigned int q)
{
	memset(rrig.out, 'x', 64);
	memset(rrig.in, 0, 64);
	ck_assert_int_eq(guest_ring_add(rrig.ring[q], rrig.seg, 1, 1, rrig.seg),
			 0);
	guest_ring_publish(rrig.ring[q]);
}

bool regs_rig_is_used(unsigned int q)
{
	regs_rig_step();
	return guest_ring_has_used(rrig.ring[q]);
}

void regs_rig_reap(unsigned int q)
{
	uint64_t end = pvio_now_ns() + REGS_RIG_WAIT_MS * 1000000ULL;
	uint32_t len = 0;

	while (!regs_rig_is_used(q)) {
		ck_assert_uint_lt(pvio_now_ns(), end);
		if (rrig.nr_workers)
			poll(NULL, 0, 1);
	}
	ck_assert_ptr_eq(guest_ring_reap(rrig.ring[q], &len), rrig.seg);
	ck_assert_uint_eq(len, 64);
	ck_assert_mem_eq(rrig.in, rrig.out, 64);
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

void regs_rig_release(unsigned int q)
{
	struct rig_release r = { .task.fn = rig_on_release };

	r.vq = pvio_device_vq(rrig.dev, q);
	pvio_worker_post(r.vq->worker, &r.task);
	regs_rig_wait_count(&r.done, 1);
	regs_rig_step();
}
