/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus-rig.c - see bus-rig.h
 */
#include "bus-rig.h"

#include "core/plugin.h"
#include "tests/check_main.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bus_rig brig;
struct probe probe;

/* --- life ------------------------------------------------------------------ */

static void list_devices(uint8_t bits[32])
{
	uint16_t next;

	memset(bits, 0, 32);
	ck_assert_int_eq(guest_bus_get_devices(brig.gb, 0, 256, bits, &next),
			 0);
}

struct pvio_device *bus_rig_create(const char *name, uint16_t *number)
{
	uint8_t before[32], after[32];
	struct pvio_device *dev;
	unsigned int i;

	if (brig.gb)
		list_devices(before);
	ck_assert_int_eq(pvio_device_create(
				 name, BUS_RIG_CONFIG, brig.control,
				 brig.nr_workers ? brig.workers : &brig.control,
				 brig.nr_workers ? brig.nr_workers : 1, &dev),
			 0);
	if (!brig.gb)
		return dev;
	ck_assert_int_eq(pvio_device_start(dev), 0);
	list_devices(after);
	for (i = 0; i < 256; i++)
		if ((after[i / 8] ^ before[i / 8]) >> i % 8 & 1)
			*number = (uint16_t)i;
	return dev;
}

/* For interrupts that have no eventfd. */
static void on_interrupt(void *arg, unsigned int number)
{
	(void)arg;
	guest_bus_interrupt(brig.gb, number);
}

static void rig_open_bus(void)
{
	const struct guest_bus_options options = {
		.kind = brig.kind,
		.step = brig.control,
		.nr_notify = BUS_RIG_NOTIFY,
		.has_kick = true,
	};
	struct pvio_bus_event_out event;
	uint8_t bits[32];
	unsigned int i;

	brig.bus = pvio_bus_of(brig.dev[0]);
	ck_assert_ptr_nonnull(brig.bus);
	ck_assert_int_eq(pvio_bus_set_host(brig.bus, on_interrupt, NULL), 0);
	ck_assert_int_eq(pvio_device_start(brig.dev[0]), 0);
	ck_assert_int_eq(
		guest_bus_open(brig.bus, &brig.mem, &options, &brig.gb), 0);
	list_devices(bits);
	for (i = 0; i < 256; i++)
		if (bits[i / 8] >> i % 8 & 1)
			brig.number[0] = (uint16_t)i;
	brig.dev[1] = bus_rig_create("one", &brig.number[1]);
	ck_assert_int_eq(guest_bus_get_event(brig.gb, &event), 0);
	ck_assert_uint_eq(event.event, PVIO_BUS_EVENT_ADDED);
	ck_assert_uint_eq(event.device, brig.number[1]);
}

static void rig_open(unsigned int nr_workers)
{
	enum guest_bus_kind kind = brig.kind;
	static bool is_loaded;
	unsigned int i;

	if (!is_loaded)
		ck_assert_int_eq(pvio_plugins_load(PROBE_DIR), 0);
	is_loaded = true;
	memset(&brig, 0, sizeof(brig));
	memset(&probe, 0, sizeof(probe));
	brig.kind = kind;
	brig.nr_workers = nr_workers;
	ck_assert_int_eq(pvio_worker_create("control", &brig.control), 0);
	for (i = 0; i < nr_workers; i++)
		ck_assert_int_eq(pvio_worker_create("queue", &brig.workers[i]),
				 0);
	for (i = 0; i < nr_workers; i++)
		ck_assert_int_eq(pvio_worker_start(brig.workers[i]), 0);
	if (nr_workers)
		ck_assert_int_eq(pvio_worker_start(brig.control), 0);
	guest_memory_init(&brig.mem);
	ck_assert_int_eq(
		guest_memory_add(&brig.mem, BUS_RIG_GPA, BUS_RIG_BYTES), 0);
	brig.dev[0] = bus_rig_create("zero", NULL);
	rig_open_bus();
}

void bus_rig_setup(void)
{
	rig_open(0);
}

void bus_rig_setup_threads(void)
{
	rig_open(2);
}

void bus_rig_teardown(void)
{
	unsigned int i;

	pvio_store_once(&probe.hold, false);
	for (i = 0; i < BUS_RIG_DEVICES; i++)
		guest_device_close(brig.gd[i]);
	guest_bus_close(brig.gb, true);
	for (i = 0; i < BUS_RIG_DEVICES; i++)
		pvio_device_destroy(brig.dev[i]);
	for (i = 0; i < brig.nr_workers; i++)
		pvio_worker_destroy(brig.workers[i]);
	pvio_worker_destroy(brig.control);
	guest_memory_fini(&brig.mem);
}

/* --- waiting --------------------------------------------------------------- */

void bus_rig_work(void)
{
	unsigned int i;

	for (i = 0; !brig.nr_workers && i < 1000; i++)
		if (!pvio_worker_step(brig.control))
			return;
	ck_assert_msg(brig.nr_workers > 0, "the worker does not come to rest");
}

void bus_rig_settle(void)
{
	unsigned int i;

	for (i = 0; i < 1000; i++)
		if (!guest_bus_step(brig.gb))
			return;
	ck_abort_msg("the bus does not come to rest");
}

void bus_rig_wait(const unsigned int *count, unsigned int least)
{
	uint64_t end = pvio_now_ns() + BUS_RIG_WAIT_MS * 1000000ULL;

	while (pvio_load_acquire(count) < least) {
		ck_assert_uint_lt(pvio_now_ns(), end);
		if (!guest_bus_step(brig.gb))
			poll(NULL, 0, 1);
	}
}

/* --- a driver's steps ------------------------------------------------------ */

void bus_rig_start(struct guest_device *gd)
{
	const uint64_t bits[2] = { PVIO_BIT(VIRTIO_F_RING_RESET), 0 };
	unsigned int q;

	ck_assert_int_eq(guest_device_negotiate(gd, bits), 0);
	for (q = 0; q < PROBE_QUEUES; q++)
		ck_assert_int_eq(
			guest_device_setup_queue(gd, q, BUS_RIG_RING_SIZE), 0);
	ck_assert_int_eq(guest_device_start(gd), 0);
}

struct guest_device *bus_rig_drive(unsigned int i)
{
	brig.options.bus = brig.gb;
	brig.options.number = brig.number[i];
	ck_assert_int_eq(guest_device_open_bus_with(brig.dev[i], &brig.mem,
						    &brig.options, &brig.gd[i]),
			 0);
	bus_rig_start(brig.gd[i]);
	return brig.gd[i];
}

static void alloc_buffer(struct guest_segment seg[2], uint8_t *host[2])
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		host[i] = guest_alloc(&brig.mem, 64, 8, &seg[i].gpa);
		ck_assert_ptr_nonnull(host[i]);
		seg[i].len = 64;
	}
	memset(host[0], 'x', 64);
}

void bus_rig_echo(struct guest_device *gd, unsigned int q)
{
	uint64_t used = brig.mem.region[0].used;
	struct guest_segment seg[2];
	uint8_t *host[2];

	alloc_buffer(seg, host);
	ck_assert_int_eq(guest_device_transfer(gd, q, seg, 1, 1), 64);
	ck_assert_mem_eq(host[0], host[1], 64);
	/* While one thread allocates. */
	brig.mem.region[0].used = used;
}

void bus_rig_submit(struct guest_device *gd, unsigned int q, bool is_quiet)
{
	struct guest_ring *ring = guest_device_ring(gd, q);
	struct guest_segment seg[2];
	uint8_t *host[2];
	bool wants_kick;

	alloc_buffer(seg, host);
	ck_assert_int_eq(guest_ring_add(ring, seg, 1, 1, host[1]), 0);
	wants_kick = guest_ring_publish(ring);
	if (wants_kick && !is_quiet)
		guest_device_kick(gd, q);
}

int64_t bus_rig_reap(struct guest_device *gd, unsigned int q)
{
	uint32_t len;

	return guest_ring_reap(guest_device_ring(gd, q), &len) ? (int64_t)len
							       : -1;
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

void bus_rig_release(unsigned int i, unsigned int q)
{
	struct rig_release r = { .task.fn = rig_on_release };
	uint64_t end = pvio_now_ns() + BUS_RIG_WAIT_MS * 1000000ULL;

	r.vq = pvio_device_vq(brig.dev[i], q);
	pvio_worker_post(r.vq->worker, &r.task);
	while (!pvio_load_acquire(&r.done)) {
		ck_assert_uint_lt(pvio_now_ns(), end);
		if (brig.nr_workers)
			poll(NULL, 0, 1);
		else
			pvio_worker_step(brig.control);
	}
	bus_rig_work();
}

void bus_rig_begin_anew(void)
{
	unsigned int i;

	for (i = 0; i < BUS_RIG_DEVICES; i++) {
		guest_device_close(brig.gd[i]);
		brig.gd[i] = NULL;
	}
	ck_assert_int_eq(guest_bus_reset(brig.gb), 0);
	guest_alloc_reset(&brig.mem);
	for (i = 0; i < BUS_RIG_NOTIFY; i++)
		ck_assert_int_eq(guest_bus_move_area(
					 brig.gb, PVIO_BUS_AREA_NOTIFY, i, 32),
				 0);
	for (i = 0; i < brig.gb->info.nr_kick_queues; i++)
		ck_assert_int_eq(
			guest_bus_move_area(brig.gb, PVIO_BUS_AREA_KICK, i, 32),
			0);
}

void bus_rig_expect_service(void)
{
	unsigned int i;

	bus_rig_begin_anew();
	for (i = 0; i < BUS_RIG_DEVICES; i++)
		if (brig.dev[i])
			bus_rig_echo(bus_rig_drive(i), i);
}

int bus_rig_run(const char *name, const TTest *const *tests, size_t nr,
		const TTest *const *threads, size_t nr_threads)
{
	char title[64];
	int rc;

	rc = check_run(name, bus_rig_setup, bus_rig_teardown, tests, nr);
	snprintf(title, sizeof(title), "%s, threads", name);
	if (check_run(title, bus_rig_setup_threads, bus_rig_teardown, threads,
		      nr_threads) != EXIT_SUCCESS)
		rc = EXIT_FAILURE;
	return rc;
}
