/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_device_life.c - devices come and go while their workers run
 *
 * By the public interface alone, as in a VMM: its threads create, start, stop
 * and destroy devices, whose control worker serves others all the while.
 */
#include "tests/check_main.h"

#include <errno.h>
#include <pthread.h>
#include <pvio/memory.h>
#include <pvio/mmio.h>
#include <pvio/pci.h>
#include <pvio/pvio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS    100
#define RAM_BYTES (1 << 20)
#define STATUS    0x14 /* of common configuration (virtio 1.4, 4.1.4.3) */

static struct pvio_worker *control, *io;
static struct pvio_memory *memory;
static uint8_t *ram;

static void setup(void)
{
	ram = aligned_alloc(4096, RAM_BYTES);
	ck_assert_ptr_nonnull(ram);
	memset(ram, 0, RAM_BYTES);
	ck_assert_int_eq(pvio_worker_create("control", &control), 0);
	ck_assert_int_eq(pvio_worker_create("io", &io), 0);
	ck_assert_int_eq(pvio_memory_create(&memory), 0);
	ck_assert_int_eq(pvio_memory_add(memory, 0, RAM_BYTES, ram), 0);
}

static void teardown(void)
{
	pvio_worker_destroy(io);
	pvio_worker_destroy(control);
	pvio_memory_destroy(memory);
	free(ram);
}

static void run_workers(void)
{
	ck_assert_int_eq(pvio_worker_start(control), 0);
	ck_assert_int_eq(pvio_worker_start(io), 0);
}

static struct pvio_device *disk_create(const char *transport)
{
	const struct pvio_option options[] = {
		{ "model", "block" },
		{ "queues", "4" },
		{ "backend.type", "memory" },
		{ "backend.size", "1M" },
		{ "transport.type", transport },
		{ NULL, NULL },
	};
	struct pvio_device *dev;

	ck_assert_int_eq(pvio_device_create_options("disk", options, control,
						    &io, 1, &dev),
			 0);
	ck_assert_int_eq(pvio_device_set_memory_list(dev, memory), 0);
	return dev;
}

static void bells_bind(struct pvio_pci *pci)
{
	struct pvio_doorbell bell;
	unsigned int q;

	for (q = 0; q < 4; q++)
		ck_assert_int_eq(pvio_pci_doorbell(pci, q, &bell), 0);
}

static uint64_t reg_read(struct pvio_pci *pci, uint64_t offset, size_t len)
{
	uint64_t value = 0;

	pvio_pci_bar_read(pci, 4, offset, &value, len);
	return value;
}

static void reg_write(struct pvio_pci *pci, uint64_t offset, uint64_t value,
		      size_t len)
{
	pvio_pci_bar_write(pci, 4, offset, &value, len);
}

/* As Linux' driver begins: the status it has then. */
static uint8_t driver_begin(struct pvio_pci *pci)
{
	const uint16_t command = 6;

	pvio_pci_config_write(pci, 4, &command, 2);
	reg_write(pci, STATUS, 0, 1);
	while (reg_read(pci, STATUS, 1) != 0)
		;
	reg_write(pci, STATUS, 1, 1);
	reg_write(pci, STATUS, 3, 1);
	reg_write(pci, 0x08, 1, 4);
	reg_write(pci, 0x0c, 1, 4); /* VERSION_1 */
	reg_write(pci, STATUS, 0xb, 1);
	return (uint8_t)reg_read(pci, STATUS, 1);
}

/* --- create, start, stop, destroy ------------------------------------------ */

/* The bystander: a guest's processor that has to do with another device. */
static atomic_bool is_over;

static void *other_guest(void *arg)
{
	while (!atomic_load(&is_over))
		ck_assert_uint_eq(driver_begin(arg), 0xb);
	return NULL;
}

START_TEST(devices_come_and_go_beside_one_that_is_used)
{
	struct pvio_device *other, *dev;
	pthread_t thread;
	unsigned int i;

	run_workers();
	other = disk_create("pci");
	ck_assert_int_eq(pvio_device_start(other), 0);
	atomic_store(&is_over, false);
	ck_assert_int_eq(
		pthread_create(&thread, NULL, other_guest, pvio_pci_of(other)),
		0);
	for (i = 0; i < ROUNDS; i++) {
		dev = disk_create("pci");
		bells_bind(pvio_pci_of(dev));
		ck_assert_int_eq(pvio_device_start(dev), 0);
		ck_assert_int_eq(pvio_device_start(dev), -EBUSY);
		ck_assert_uint_eq(driver_begin(pvio_pci_of(dev)), 0xb);
		if (i % 2)
			pvio_device_stop(dev);
		pvio_device_destroy(dev);
	}
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
	pvio_device_destroy(other);
}
END_TEST

START_TEST(a_device_that_is_wrong_is_not_created_either_way)
{
	const char *const config = "model = \"block\"; transport = { type = "
				   "\"pci\"; }; backend = { type = \"no\"; };";
	struct pvio_device *dev = NULL;

	ck_assert_int_eq(pvio_device_create("d", config, control, &io, 1, &dev),
			 -EINVAL);
	run_workers();
	ck_assert_int_eq(pvio_device_create("d", config, control, &io, 1, &dev),
			 -EINVAL);
	ck_assert_ptr_null(dev);
}
END_TEST

/* --- starting --------------------------------------------------------------- */

/* Doorbells that were bound before are on their way to the queues then. */
START_TEST(a_driver_finds_a_device_that_was_just_started)
{
	struct pvio_device *dev;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		dev = disk_create("pci");
		bells_bind(pvio_pci_of(dev));
		ck_assert_int_eq(pvio_device_start(dev), 0);
		if (_i == 1)
			ck_assert_int_eq(pvio_worker_start(io), 0);
		if (_i > 0)
			ck_assert_int_eq(pvio_worker_start(control), 0);
		if (_i == 2)
			ck_assert_int_eq(pvio_worker_start(io), 0);
		ck_assert_uint_eq(driver_begin(pvio_pci_of(dev)), 0xb);
		pvio_device_stop(dev);
		ck_assert_int_eq(pvio_device_start(dev), 0);
		ck_assert_uint_eq(driver_begin(pvio_pci_of(dev)), 0xb);
		pvio_device_destroy(dev);
		pvio_worker_stop(io);
		pvio_worker_stop(control);
	}
}
END_TEST

/* --- stopped ---------------------------------------------------------------- */

START_TEST(a_pci_function_that_is_not_started_has_no_registers)
{
	struct pvio_device *dev = disk_create("pci");
	struct pvio_pci *pci = pvio_pci_of(dev);
	unsigned int i;
	uint32_t id;

	run_workers();
	for (i = 0; i < 2; i++) {
		/* Its host may have a look and prepare it. */
		pvio_pci_config_read(pci, 0, &id, 4);
		ck_assert_uint_eq(id, 0x10421af4);
		reg_write(pci, STATUS, 1, 1);
		ck_assert_uint_eq(reg_read(pci, STATUS, 1), 0xff);
		ck_assert_int_eq(pvio_device_start(dev), 0);
		ck_assert_uint_eq(reg_read(pci, STATUS, 1), 0);
		ck_assert_uint_eq(driver_begin(pci), 0xb);
		pvio_device_stop(dev);
	}
	pvio_device_destroy(dev);
}
END_TEST

START_TEST(a_register_page_that_is_not_started_is_not_there)
{
	struct pvio_device *dev = disk_create("mmio");
	struct pvio_mmio *mmio = pvio_mmio_of(dev);
	uint32_t value = 1;

	run_workers();
	pvio_mmio_write(mmio, 0x70, &value, 4);
	pvio_mmio_read(mmio, 0x70, &value, 4);
	ck_assert_uint_eq(value, 0xffffffff);
	ck_assert_int_eq(pvio_device_start(dev), 0);
	pvio_mmio_read(mmio, 0x70, &value, 4);
	ck_assert_uint_eq(value, 0);
	pvio_device_stop(dev);
	pvio_mmio_read(mmio, 0x0, &value, 4);
	ck_assert_uint_eq(value, 0xffffffff);
	pvio_device_destroy(dev);
}
END_TEST

/* --- looking at it ---------------------------------------------------------- */

static void *look(void *arg)
{
	char *json, answer[64];

	while (!atomic_load(&is_over)) {
		ck_assert_int_eq(pvio_device_stats(arg, true, &json), 0);
		ck_assert_ptr_nonnull(strstr(json, "\"regions\":1"));
		free(json);
		ck_assert_int_eq(pvio_device_command(arg, "resize", "512K",
						     answer, sizeof(answer)),
				 0);
	}
	return NULL;
}

START_TEST(counters_are_read_while_memory_changes)
{
	struct pvio_device *dev = disk_create("pci");
	pthread_t thread;
	unsigned int i;

	run_workers();
	ck_assert_int_eq(pvio_device_start(dev), 0);
	atomic_store(&is_over, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, look, dev), 0);
	for (i = 0; i < 10 * ROUNDS; i++)
		ck_assert_int_eq(pvio_device_set_memory_list(dev, memory), 0);
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
	pvio_device_destroy(dev);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device_life");
	TCase *tcase = tcase_create("device_life");

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, devices_come_and_go_beside_one_that_is_used);
	tcase_add_test(tcase, a_device_that_is_wrong_is_not_created_either_way);
	tcase_add_loop_test(
		tcase, a_driver_finds_a_device_that_was_just_started, 0, 3);
	tcase_add_test(tcase,
		       a_pci_function_that_is_not_started_has_no_registers);
	tcase_add_test(tcase, a_register_page_that_is_not_started_is_not_there);
	tcase_add_test(tcase, counters_are_read_while_memory_changes);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
