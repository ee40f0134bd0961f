/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_bus_bridge.c - what a client and its guest do to the bridge of a bus
 *
 *	guest_bus   --- connector: BAR 2, by messages --->   bridge
 *	the client  --- memory, config space ------------>   bus, devices
 *
 * The client is QEMU's part, played by guest_vfu; the driver is that of the
 * other tests of the bus.  Interrupts are taken from the bus, and do not go
 * through the client.
 */
#include "tests/bus-rig.h"
#include "tests/check_main.h"

#include "guest/vfio-user.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CFG_COMMAND 0x04
#define CFG_POWER   0xa8
#define CFG_CONTROL 0xb4
#define CMD_MEMORY  0x2
#define CMD_MASTER  0x4
#define FLR	    0x8000
#define D3HOT	    3

static char dir[32], path[40];
static struct guest_vfu client;
/* Calls are sent, and nobody waits for them. */
static bool is_hasty;

/* --- the client --------------------------------------------------------------- */

static void config_write(size_t offset, uint16_t value)
{
	ck_assert_int_eq(guest_vfu_write(&client, VFU_REGION_CONFIG, offset,
					 &value, sizeof(value)),
			 0);
}

static uint32_t config_read(size_t offset)
{
	uint32_t value = 0;

	ck_assert_int_eq(guest_vfu_read(&client, VFU_REGION_CONFIG, offset,
					&value, sizeof(value)),
			 0);
	return value;
}

static void set_master(bool is_master)
{
	config_write(CFG_COMMAND, CMD_MEMORY | (is_master ? CMD_MASTER : 0));
}

static void client_connect(void)
{
	ck_assert_int_eq(guest_vfu_connect(&client, path,
					   brig.nr_workers ? NULL
							   : brig.control),
			 0);
	ck_assert_int_eq(guest_vfu_version(&client, guest_vfu_capabilities), 0);
}

static void client_map_all(void)
{
	ck_assert_int_eq(guest_vfu_map_memory(&client, &brig.mem), 0);
	ck_assert_int_eq(guest_vfu_map_memory(&client, &brig.gb->own), 0);
}

static void client_unmap(const struct guest_memory *mem)
{
	unsigned int i;

	for (i = 0; i < mem->nr; i++)
		ck_assert_int_eq(guest_vfu_dma_unmap(&client, 0,
						     mem->region[i].gpa,
						     mem->region[i].size),
				 0);
}

/* --- the connector ------------------------------------------------------------- */

static uint64_t bar_probe(void *arg)
{
	uint32_t word[2] = { 0, 0 };

	(void)arg;
	if (is_hasty)
		return 0;
	(void)guest_vfu_read(&client, PVIO_BUS_PCI_BAR, PVIO_BUS_REG_MAGIC,
			     &word[0], 4);
	(void)guest_vfu_read(&client, PVIO_BUS_PCI_BAR, PVIO_BUS_REG_VERSION,
			     &word[1], 4);
	return word[0] | (uint64_t)word[1] << 32;
}

static void bar_call(void *arg, uint64_t gpa)
{
	(void)arg;
	if (is_hasty)
		(void)guest_vfu_post(&client, PVIO_BUS_PCI_BAR,
				     PVIO_BUS_REG_CALL, &gpa, sizeof(gpa));
	else
		(void)guest_vfu_write(&client, PVIO_BUS_PCI_BAR,
				      PVIO_BUS_REG_CALL, &gpa, sizeof(gpa));
}

static void bar_doorbell(void *arg, uint32_t value)
{
	(void)arg;
	(void)guest_vfu_write(&client, PVIO_BUS_PCI_BAR, PVIO_BUS_REG_DOORBELL,
			      &value, sizeof(value));
}

static const struct guest_bus_connector bar_connector = {
	.name		= "bar",
	.probe		= bar_probe,
	.call		= bar_call,
	.doorbell	= bar_doorbell,
};

/* --- life ----------------------------------------------------------------------- */

static struct pvio_device *create(const char *name)
{
	struct pvio_device *dev;
	char text[256];

	snprintf(text, sizeof(text),
		 "model = \"probe\"; queues = 4; transport = { type = "
		 "\"hypercall\"; socket = \"%s\"; interrupts = %d; };",
		 path, BUS_RIG_INTERRUPTS);
	ck_assert_int_eq(pvio_device_create(
				 name, text, brig.control,
				 brig.nr_workers ? brig.workers : &brig.control,
				 brig.nr_workers ? brig.nr_workers : 1, &dev),
			 0);
	return dev;
}

static void open_workers(unsigned int nr)
{
	unsigned int i;

	memset(&brig, 0, sizeof(brig));
	memset(&probe, 0, sizeof(probe));
	is_hasty = false;
	brig.nr_workers = nr;
	ck_assert_int_eq(pvio_worker_create("control", &brig.control), 0);
	for (i = 0; i < nr; i++) {
		ck_assert_int_eq(pvio_worker_create("queue", &brig.workers[i]),
				 0);
		ck_assert_int_eq(pvio_worker_start(brig.workers[i]), 0);
	}
	if (nr)
		ck_assert_int_eq(pvio_worker_start(brig.control), 0);
}

static void open_bridge(unsigned int nr_workers)
{
	struct guest_bus_options options = {
		.connector = &bar_connector,
		.nr_notify = BUS_RIG_NOTIFY,
		.has_kick = true,
	};
	static bool is_loaded;

	if (!is_loaded)
		ck_assert_int_eq(pvio_plugins_load(PROBE_DIR), 0);
	is_loaded = true;
	open_workers(nr_workers);
	snprintf(dir, sizeof(dir), "/tmp/pvio-bus-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	guest_memory_init(&brig.mem);
	ck_assert_int_eq(
		guest_memory_add(&brig.mem, BUS_RIG_GPA, BUS_RIG_BYTES), 0);
	brig.dev[0] = create("zero");
	brig.dev[1] = create("one");
	brig.number[1] = 1;
	brig.bus = pvio_bus_of(brig.dev[0]);
	ck_assert_int_eq(pvio_device_start(brig.dev[0]), 0);
	client_connect();
	set_master(true);
	options.step = brig.control;
	/* Who opens it gives it memory; the client has the last word. */
	ck_assert_int_eq(
		guest_bus_open(brig.bus, &brig.mem, &options, &brig.gb), 0);
	client_map_all();
}

static void setup(void)
{
	open_bridge(0);
}

static void setup_threads(void)
{
	open_bridge(2);
}

static void teardown(void)
{
	unsigned int i;

	pvio_store_once(&probe.hold, false);
	for (i = 0; i < BUS_RIG_DEVICES; i++)
		guest_device_close(brig.gd[i]);
	for (i = 0; i < BUS_RIG_DEVICES; i++)
		pvio_device_destroy(brig.dev[i]);
	guest_bus_close(brig.gb, false);
	guest_vfu_close(&client);
	for (i = 0; i < brig.nr_workers; i++)
		pvio_worker_destroy(brig.workers[i]);
	pvio_worker_destroy(brig.control);
	guest_memory_fini(&brig.mem);
	rmdir(dir);
}

/* Device 0 serves a driver that begins anew. */
static void expect_service(void)
{
	pvio_store_once(&probe.hold, false);
	bus_rig_begin_anew();
	bus_rig_echo(bus_rig_drive(0), 0);
}

static void hold_one(void)
{
	bus_rig_drive(0);
	pvio_store_once(&probe.hold, true);
	bus_rig_submit(brig.gd[0], 0, false);
	bus_rig_wait(&probe.queue[0].nr_held, 1);
}

/* --- bus mastering, power --------------------------------------------------------- */

START_TEST(call_of_a_function_that_is_no_bus_master_is_dropped)
{
	uint32_t back;

	brig.gb->patience_ms = 1;
	set_master(false);
	ck_assert_int_eq(guest_bus_ping(brig.gb, 1, &back), -ETIMEDOUT);
	set_master(true);
	config_write(CFG_POWER, D3HOT);
	ck_assert_int_eq(guest_bus_ping(brig.gb, 1, &back), -ETIMEDOUT);
	config_write(CFG_POWER, 0);
	brig.gb->patience_ms = 10000;
	ck_assert_int_eq(guest_bus_ping(brig.gb, 1, &back), 0);
	expect_service();
}
END_TEST

START_TEST(rings_and_areas_go_on_when_it_is_bus_master_again)
{
	unsigned int i;

	bus_rig_drive(0);
	for (i = 0; i < 20; i++) {
		bus_rig_echo(brig.gd[0], i % PROBE_QUEUES);
		set_master(false);
		bus_rig_submit(brig.gd[0], 0, false);
		set_master(true);
		while (bus_rig_reap(brig.gd[0], 0) < 0)
			if (!guest_bus_step(brig.gb))
				usleep(100);
	}
	expect_service();
}
END_TEST

/* --- reset -------------------------------------------------------------------------- */

START_TEST(function_is_away_until_requests_are_done_after_flr)
{
	hold_one();
	config_write(CFG_CONTROL, FLR);
	ck_assert_uint_eq(config_read(0), UINT32_MAX);
	pvio_store_once(&probe.hold, false);
	bus_rig_release(0, 0);
	while (config_read(0) == UINT32_MAX)
		bus_rig_work();
	ck_assert_uint_eq(config_read(CFG_COMMAND) & CMD_MASTER, 0);
	set_master(true);
	expect_service();
}
END_TEST

/* --- memory ------------------------------------------------------------------------- */

START_TEST(memory_of_areas_and_calls_goes_and_comes)
{
	uint32_t back;
	unsigned int i;

	bus_rig_drive(0);
	for (i = 0; i < 20; i++) {
		client_unmap(&brig.gb->own);
		brig.gb->patience_ms = 1;
		ck_assert_int_eq(guest_bus_ping(brig.gb, 1, &back), -ETIMEDOUT);
		brig.gb->patience_ms = 10000;
		bus_rig_submit(brig.gd[0], 0, true);
		guest_bus_doorbell(
			brig.gb, PVIO_BUS_DOORBELL_SIGNAL |
					 guest_device_bus_signal(brig.gd[0], 0));
		ck_assert_int_eq(guest_vfu_map_memory(&client, &brig.gb->own),
				 0);
		while (bus_rig_reap(brig.gd[0], 0) < 0)
			if (!guest_bus_step(brig.gb))
				usleep(100);
		bus_rig_echo(brig.gd[0], 0);
	}
	expect_service();
}
END_TEST

/* Of the device's end: the driver has not looked at it since. */
START_TEST(file_of_the_areas_is_truncated)
{
	const struct guest_region *areas = &brig.gb->own.region[1];
	unsigned int i;

	bus_rig_echo(bus_rig_drive(0), 0);
	ck_assert_int_eq(ftruncate(areas->fd, 0), 0);
	for (i = 0; i < 5; i++) {
		bus_rig_submit(brig.gd[0], 0, true);
		guest_bus_doorbell(
			brig.gb, PVIO_BUS_DOORBELL_SIGNAL |
					 guest_device_bus_signal(brig.gd[0], 0));
		guest_bus_doorbell(brig.gb, 0);
		bus_rig_work();
	}
	ck_assert_int_eq(ftruncate(areas->fd, (off_t)areas->size), 0);
	client_unmap(&brig.gb->own);
	ck_assert_int_eq(guest_vfu_map_memory(&client, &brig.gb->own), 0);
	expect_service();
}
END_TEST

/* What a vIOMMU may say of it: the device reads, and does not write. */
START_TEST(memory_of_the_areas_becomes_read_only)
{
	const struct guest_region *areas = &brig.gb->own.region[1];
	unsigned int i;

	bus_rig_echo(bus_rig_drive(0), 0);
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(guest_vfu_dma_unmap(&client, 0, areas->gpa,
						     areas->size),
				 0);
		ck_assert_int_eq(guest_vfu_dma_map(
					 &client,
					 i ? VFU_DMA_READABLE | VFU_DMA_WRITABLE
					   : VFU_DMA_READABLE,
					 areas->gpa, areas->size, areas->fd, 0),
				 0);
		bus_rig_submit(brig.gd[0], 0, true);
		guest_bus_doorbell(
			brig.gb, PVIO_BUS_DOORBELL_SIGNAL |
					 guest_device_bus_signal(brig.gd[0], 0));
		while (bus_rig_reap(brig.gd[0], 0) < 0)
			if (!guest_bus_step(brig.gb))
				usleep(100);
	}
	expect_service();
}
END_TEST

/* --- clients that leave ------------------------------------------------------------- */

static void client_again(void)
{
	guest_vfu_close(&client);
	client_connect();
	client_map_all();
}

START_TEST(driver_goes_on_with_the_next_client)
{
	unsigned int i;

	bus_rig_drive(0);
	for (i = 0; i < 10; i++) {
		bus_rig_echo(brig.gd[0], i % PROBE_QUEUES);
		bus_rig_submit(brig.gd[0], 0, false);
		client_again();
		while (bus_rig_reap(brig.gd[0], 0) < 0)
			if (!guest_bus_step(brig.gb))
				usleep(100);
	}
	expect_service();
}
END_TEST

/* A RESET that waits for requests is under way, and nobody waits for it. */
static void reset_under_way(void)
{
	struct pvio_bus_counters before, now;

	hold_one();
	pvio_bus_count(brig.bus, &before);
	is_hasty = true;
	brig.gb->patience_ms = 1;
	ck_assert_int_eq(guest_bus_reset(brig.gb), -ETIMEDOUT);
	brig.gb->patience_ms = 10000;
	is_hasty = false;
	do {
		bus_rig_work();
		pvio_bus_count(brig.bus, &now);
	} while (now.calls == before.calls);
}

START_TEST(client_leaves_in_the_middle_of_a_call)
{
	reset_under_way();
	guest_vfu_close(&client);
	bus_rig_work();
	pvio_store_once(&probe.hold, false);
	bus_rig_release(0, 0);
	client_connect();
	client_map_all();
	expect_service();
}
END_TEST

/* --- devices that leave ------------------------------------------------------------- */

struct stop {
	pthread_t thread;
	unsigned int nr_held; /* when it was over */
};

static void *stop_zero(void *arg)
{
	struct stop *stop = arg;

	pvio_device_stop(brig.dev[0]);
	stop->nr_held = pvio_load_acquire(&probe.queue[0].nr_held);
	return NULL;
}

START_TEST(last_device_stops_in_the_middle_of_a_call)
{
	struct stop stop;

	reset_under_way();
	ck_assert_int_eq(
		pthread_create(&stop.thread, NULL, stop_zero, &stop), 0);
	pvio_store_once(&probe.hold, false);
	bus_rig_release(0, 0);
	pthread_join(stop.thread, NULL);
	ck_assert_uint_eq(stop.nr_held, 0);
	/* The client was let go. */
	ck_assert_int_lt(guest_vfu_reset(&client), 0);
	ck_assert_int_eq(pvio_device_start(brig.dev[0]), 0);
	guest_vfu_close(&client);
	client_connect();
	client_map_all();
	set_master(true);
	expect_service();
}
END_TEST

/* One comes while what was the last one is still on its way out. */
START_TEST(device_that_starts_then_keeps_the_bridge)
{
	const struct pvio_bus_route_in in = { .device = 0 };
	struct pvio_bus_route_out out;
	struct stop stop;

	hold_one();
	ck_assert_int_eq(
		pthread_create(&stop.thread, NULL, stop_zero, &stop), 0);
	while (guest_bus_route(brig.gb, &in, &out) == 0)
		;
	ck_assert_int_eq(pvio_device_start(brig.dev[1]), 0);
	pvio_store_once(&probe.hold, false);
	bus_rig_release(0, 0);
	pthread_join(stop.thread, NULL);
	bus_rig_echo(bus_rig_drive(1), 1);
}
END_TEST

/* --- everything at once ------------------------------------------------------------ */

static bool is_over;

/* Device 1 comes and goes. */
static void *plug(void *arg)
{
	struct pvio_device *dev;
	bool *is_wrong = arg;
	int rc;

	while (!pvio_load_once(&is_over)) {
		dev = create("more");
		/* -ENOSPC: the driver takes no events. */
		rc = pvio_device_start(dev);
		*is_wrong |= rc < 0 && rc != -ENOSPC;
		pvio_device_destroy(dev);
	}
	return NULL;
}

static void *ring(void *arg)
{
	unsigned int i = 0;

	(void)arg;
	while (!pvio_load_once(&is_over))
		(void)pvio_bus_hypercall(brig.bus, PVIO_BUS_OP_DOORBELL,
					 PVIO_BUS_DOORBELL_SIGNAL | i++ % 40);
	return NULL;
}

START_TEST(client_does_what_it_likes_while_devices_come_and_go)
{
	struct pvio_bus_event_out event;
	pthread_t threads[3];
	bool is_wrong[2] = { false, false };
	unsigned int i;

	is_over = false;
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL,
						i < 2 ? plug : ring,
						&is_wrong[i % 2]),
				 0);
	for (i = 0; i < 60; i++) {
		switch (i % 6) {
		case 0:
			set_master(false);
			set_master(true);
			break;
		case 1:
			client_unmap(&brig.gb->own);
			ck_assert_int_eq(guest_vfu_map_memory(&client,
							      &brig.gb->own),
					 0);
			break;
		case 2:
			client_again();
			break;
		case 3:
			ck_assert_int_eq(guest_vfu_reset(&client), 0);
			set_master(true);
			break;
		case 4:
			config_write(CFG_CONTROL, FLR);
			while (config_read(0) == UINT32_MAX)
				;
			set_master(true);
			break;
		case 5:
			expect_service();
			break;
		}
		ck_assert_int_eq(guest_bus_get_event(brig.gb, &event), 0);
	}
	pvio_store_once(&is_over, true);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	ck_assert(!is_wrong[0] && !is_wrong[1]);
	expect_service();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		call_of_a_function_that_is_no_bus_master_is_dropped,
		rings_and_areas_go_on_when_it_is_bus_master_again,
		function_is_away_until_requests_are_done_after_flr,
		memory_of_areas_and_calls_goes_and_comes,
		file_of_the_areas_is_truncated,
		memory_of_the_areas_becomes_read_only,
		driver_goes_on_with_the_next_client,
		client_leaves_in_the_middle_of_a_call,
	};
	const TTest *const threads[] = {
		last_device_stops_in_the_middle_of_a_call,
		device_that_starts_then_keeps_the_bridge,
		client_does_what_it_likes_while_devices_come_and_go,
	};
	int rc;

	rc = check_run("hostile: bridge", setup, teardown, tests,
		       pvio_array_size(tests));
	if (check_run("hostile: bridge, threads", setup_threads, teardown,
		      tests, pvio_array_size(tests)) != EXIT_SUCCESS ||
	    check_run("hostile: bridge, devices", setup_threads, teardown,
		      threads, pvio_array_size(threads)) != EXIT_SUCCESS)
		rc = EXIT_FAILURE;
	return rc;
}
