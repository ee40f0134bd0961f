/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rig.c - see rig.h
 */
#include "rig.h"

#include "core/plugin.h"
#include "core/virtio.h"
#include "core/worker.h"

#include <dirent.h>
#include <string.h>

struct rig rig;
struct probe probe;

static void rig_open(void)
{
	static bool is_loaded;

	if (!is_loaded)
		ck_assert_int_eq(pvio_plugins_load(PROBE_DIR), 0);
	is_loaded = true;
	memset(&probe, 0, sizeof(probe));

	ck_assert_int_eq(pvio_device_create("dut", RIG_CONFIG, rig.control,
					    rig.nr_workers ? rig.workers :
							     &rig.control,
					    rig.nr_workers ? rig.nr_workers : 1,
					    &rig.dev),
			 0);
	ck_assert_int_eq(pvio_device_start(rig.dev), 0);
	rig.lb = pvio_loopback_of(rig.dev);
	ck_assert_ptr_nonnull(rig.lb);
	guest_memory_init(&rig.mem);
	ck_assert_int_eq(guest_memory_add(&rig.mem, RIG_GPA, RIG_BYTES), 0);
	ck_assert_int_eq(guest_device_open_loopback(rig.dev, &rig.mem,
						    rig.control, &rig.gd),
			 0);
	rig_alloc_buffer();
}

void rig_setup(void)
{
	memset(&rig, 0, sizeof(rig));
	ck_assert_int_eq(pvio_worker_create("dut", &rig.control), 0);
	rig_open();
}

void rig_setup_threads(void)
{
	unsigned int i;

	memset(&rig, 0, sizeof(rig));
	rig.nr_workers = 2;
	ck_assert_int_eq(pvio_worker_create("control", &rig.control), 0);
	for (i = 0; i < rig.nr_workers; i++) {
		ck_assert_int_eq(pvio_worker_create("queue", &rig.workers[i]),
				 0);
		ck_assert_int_eq(pvio_worker_start(rig.workers[i]), 0);
	}
	rig_open();
}

void rig_teardown(void)
{
	unsigned int i;

	pvio_store_once(&probe.hold, false);
	for (i = 0; i < PROBE_QUEUES && rig.dev; i++)
		rig_release(i);
	guest_device_close(rig.gd);
	pvio_device_destroy(rig.dev);
	for (i = 0; i < rig.nr_workers; i++)
		pvio_worker_destroy(rig.workers[i]);
	pvio_worker_destroy(rig.control);
	guest_memory_fini(&rig.mem);
	memset(&rig, 0, sizeof(rig));
}

void rig_alloc_buffer(void)
{
	rig.out = guest_alloc(&rig.mem, RIG_BUFFER_BYTES, 8, &rig.seg[0].gpa);
	rig.in = guest_alloc(&rig.mem, RIG_BUFFER_BYTES, 8, &rig.seg[1].gpa);
	ck_assert_ptr_nonnull(rig.in);
	rig.seg[0].len = rig.seg[1].len = RIG_BUFFER_BYTES;
}

void rig_run(uint64_t bits)
{
	const uint64_t want[2] = { bits, 0 };
	unsigned int q;

	ck_assert_int_eq(guest_device_negotiate(rig.gd, want), 0);
	for (q = 0; q < PROBE_QUEUES; q++)
		ck_assert_int_eq(guest_device_setup_queue(rig.gd, q,
							  RIG_RING_SIZE),
				 0);
	ck_assert_int_eq(guest_device_start(rig.gd), 0);
}

void rig_step(void)
{
	unsigned int i;

	for (i = 0; i < 1000; i++) {
		if (!pvio_worker_step(rig.control))
			return;
	}
	ck_abort_msg("the worker does not come to rest");
}

void rig_wait(const bool *flag)
{
	uint64_t end = pvio_now_ns() + RIG_WAIT_MS * 1000000ULL;

	while (!pvio_load_acquire(flag)) {
		ck_assert_uint_lt(pvio_now_ns(), end);
		if (!pvio_worker_step(rig.control))
			pvio_worker_wait(rig.control, 1);
	}
}

void rig_submit(unsigned int q)
{
	struct guest_ring *ring = guest_device_ring(rig.gd, q);

	memset(rig.out, 'x', RIG_BUFFER_BYTES);
	memset(rig.in, 0, RIG_BUFFER_BYTES);
	ck_assert_int_eq(guest_ring_add(ring, rig.seg, 1, 1, rig.seg), 0);
	guest_ring_publish(ring);
	guest_device_kick(rig.gd, q);
}

bool rig_is_used(unsigned int q)
{
	rig_step();
	return guest_ring_has_used(guest_device_ring(rig.gd, q));
}

void rig_echo(unsigned int q)
{
	memset(rig.out, 'e', RIG_BUFFER_BYTES);
	memset(rig.in, 0, RIG_BUFFER_BYTES);
	ck_assert_int_eq(guest_device_transfer(rig.gd, q, rig.seg, 1, 1),
			 RIG_BUFFER_BYTES);
	ck_assert_mem_eq(rig.in, rig.out, RIG_BUFFER_BYTES);
}

struct rig_release_task {
	struct pvio_task task;
	struct pvio_vq *vq;
	bool done;
};

static void rig_on_release(struct pvio_task *task)
{
	struct rig_release_task *t =
		pvio_container_of(task, struct rig_release_task, task);

	probe_release(t->vq);
	pvio_store_release(&t->done, true);
}

void rig_release(unsigned int q)
{
	struct rig_release_task t = { .task.fn = rig_on_release };

	t.vq = pvio_device_vq(rig.dev, q);
	pvio_worker_post(t.vq->worker, &t.task);
	rig_wait(&t.done);
}

void rig_note_done(void *arg, int rc)
{
	struct rig_done *d = arg;

	d->rc = rc;
	d->calls++;
	d->done = true;
}

uint8_t rig_write_status(uint8_t status)
{
	pvio_loopback_set_status(rig.lb, status);
	return pvio_loopback_get_status(rig.lb);
}

void rig_expect_service(void)
{
	guest_alloc_reset(&rig.mem);
	rig_alloc_buffer();
	rig_run(0);
	rig_echo(0);
	rig_echo(PROBE_QUEUES - 1);
}

unsigned int rig_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}
