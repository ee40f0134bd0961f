/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_pci_threads.c - a PCI function whose guest has several CPUs
 *
 * The control worker and the queues' workers are on threads of their own; the
 * test's threads are those of a VMM.  Meant for the thread sanitizer, too.
 */
#include "tests/check_main.h"
#include "tests/pci-rig.h"

#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct cpu {
	pthread_t thread;
	void (*fn)(void);
	unsigned int done;
};

static void *cpu_main(void *arg)
{
	struct cpu *cpu = arg;

	cpu->fn();
	pvio_store_release(&cpu->done, 1);
	return NULL;
}

static void cpu_begin(struct cpu *cpu, void (*fn)(void))
{
	*cpu = (struct cpu){ .fn = fn };
	ck_assert_int_eq(pthread_create(&cpu->thread, NULL, cpu_main, cpu), 0);
}

static void cpu_end(struct cpu *cpu)
{
	regs_rig_wait_count(&cpu->done, 1);
	ck_assert_int_eq(pthread_join(cpu->thread, NULL), 0);
}

/* A request that the backend keeps. */
static void hold_one(void)
{
	pvio_store_once(&probe.hold, true);
	pci_rig_submit(0);
	regs_rig_wait_count(&probe.queue[0].nr_held, 1);
	pvio_store_once(&probe.hold, false);
}

/* Nothing to wait for: what must not happen is given a chance to. */
static void give_a_chance(void)
{
	unsigned int i;

	for (i = 0; i < 20; i++)
		(void)reg_read(REG_STATUS, 1);
}

/* --- writes that wait ---------------------------------------------------- */

static void bus_master_off(void)
{
	cfg_write(CFG_COMMAND, 2, CMD_MEMORY);
}

static void power_off(void)
{
	cfg_write(CFG_POWER, 2, 3);
}

static void expect_write_waits(void (*off)(void), void (*on)(void))
{
	struct cpu cpu;

	pci_rig_run(0);
	hold_one();
	cpu_begin(&cpu, off);
	give_a_chance();
	ck_assert_uint_eq(pvio_load_acquire(&cpu.done), 0);
	ck_assert(!guest_ring_has_used(rrig.ring[0]));
	regs_rig_release(0);
	cpu_end(&cpu);
	/* What was in flight is finished, and the driver has been told. */
	ck_assert(guest_ring_has_used(rrig.ring[0]));
	regs_rig_wait_count(&prig.msix[1], 1);

	pci_rig_submit(1);
	give_a_chance();
	ck_assert(!guest_ring_has_used(rrig.ring[1]));
	on();
	regs_rig_wait_count(&prig.msix[2], 1);
	ck_assert(guest_ring_has_used(rrig.ring[1]));
}

static void bus_master_on(void)
{
	cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER);
}

static void power_on(void)
{
	cfg_write(CFG_POWER, 2, 0);
}

START_TEST(bus_mastering_is_off_when_all_in_flight_is_done)
{
	expect_write_waits(bus_master_off, bus_master_on);
}
END_TEST

START_TEST(d3_is_reached_when_all_in_flight_is_done)
{
	expect_write_waits(power_off, power_on);
}
END_TEST

static void select_1(void)
{
	reg_write(REG_QUEUE_SELECT, 2, 1);
}

START_TEST(writes_wait_for_a_write_that_waits_and_reads_do_not)
{
	struct cpu first, second;

	pci_rig_run(0);
	hold_one();
	cpu_begin(&first, bus_master_off);
	while (cfg_read(CFG_COMMAND, 2) & CMD_MASTER)
		;
	cpu_begin(&second, select_1);
	give_a_chance();
	ck_assert_uint_eq(pvio_load_acquire(&second.done), 0);
	ck_assert_uint_eq(reg_read(REG_QUEUE_SELECT, 2), PROBE_QUEUES - 1);
	regs_rig_release(0);
	cpu_end(&first);
	cpu_end(&second);
	ck_assert_uint_eq(reg_read(REG_QUEUE_SELECT, 2), 1);
}
END_TEST

START_TEST(a_reset_in_flight_reads_0_when_it_is_done)
{
	pci_rig_run(0);
	hold_one();
	reg_write(REG_STATUS, 1, 0);
	give_a_chance();
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0xf);
	regs_rig_release(0);
	pci_rig_reset();
	pci_rig_run(0);
	pci_rig_echo(0);
}
END_TEST

static void bus_reset(void)
{
	pvio_pci_reset(prig.pci);
}

START_TEST(a_bus_reset_returns_when_memory_is_touched_no_more)
{
	struct cpu cpu;

	pci_rig_run(0);
	hold_one();
	cpu_begin(&cpu, bus_reset);
	while (cfg_read(0, 2) != 0xffff)
		;
	ck_assert_uint_eq(pvio_load_acquire(&cpu.done), 0);
	regs_rig_release(0);
	cpu_end(&cpu);
	ck_assert_uint_eq(cfg_read(CFG_COMMAND, 2), 0);
	ck_assert_uint_eq(prig.msix[1], 0);
	pci_rig_run(0);
	pci_rig_echo(0);
}
END_TEST

/* --- memory -------------------------------------------------------------- */

static void give_memory(void)
{
	ck_assert_int_eq(pvio_device_set_memory_list(rrig.dev, rrig.list), 0);
}

static void start_queue_3(void)
{
	ck_assert(pci_rig_start_queue(3, 16));
}

START_TEST(a_queue_that_starts_while_memory_changes_waits_for_it)
{
	struct cpu memory, driver;

	pci_rig_enable();
	pci_rig_negotiate(0);
	pci_rig_enable_msix();
	ck_assert(pci_rig_start_queue(0, 16));
	pci_rig_driver_ok();
	hold_one();
	cpu_begin(&memory, give_memory);
	give_a_chance();
	cpu_begin(&driver, start_queue_3);
	give_a_chance();
	ck_assert_uint_eq(pvio_load_acquire(&memory.done), 0);
	regs_rig_release(0);
	cpu_end(&memory);
	cpu_end(&driver);
	pci_rig_echo(3);
}
END_TEST

START_TEST(a_queue_reset_while_memory_changes_waits_for_it)
{
	struct cpu memory;

	pci_rig_run(PVIO_BIT(VIRTIO_F_RING_RESET));
	hold_one();
	cpu_begin(&memory, give_memory);
	give_a_chance();
	reg_write(REG_QUEUE_SELECT, 2, 1);
	reg_write(REG_QUEUE_RESET, 2, 1);
	regs_rig_release(0);
	cpu_end(&memory);
	while (reg_read(REG_QUEUE_RESET, 2))
		;
	ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 0);
	ck_assert(pci_rig_start_queue(1, 16));
	pci_rig_echo(1);
}
END_TEST

START_TEST(a_reset_drops_a_queue_reset_that_waits)
{
	struct cpu memory;

	pci_rig_run(PVIO_BIT(VIRTIO_F_RING_RESET));
	hold_one();
	cpu_begin(&memory, give_memory);
	give_a_chance();
	reg_write(REG_QUEUE_SELECT, 2, 1);
	reg_write(REG_QUEUE_RESET, 2, 1);
	reg_write(REG_STATUS, 1, 0);
	regs_rig_release(0);
	cpu_end(&memory);
	pci_rig_reset();
	ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 0);
	pci_rig_run(0);
	pci_rig_echo(1);
}
END_TEST

START_TEST(lists_of_two_threads_are_taken_one_after_the_other)
{
	struct cpu one, two;

	pci_rig_run(0);
	hold_one();
	cpu_begin(&one, give_memory);
	cpu_begin(&two, give_memory);
	give_a_chance();
	ck_assert_uint_eq(pvio_load_acquire(&one.done), 0);
	ck_assert_uint_eq(pvio_load_acquire(&two.done), 0);
	regs_rig_release(0);
	cpu_end(&one);
	cpu_end(&two);
	pci_rig_echo(1);
}
END_TEST

/* --- all at once --------------------------------------------------------- */

static void cpu_resets(void)
{
	unsigned int i;

	for (i = 0; i < 50; i++) {
		reg_write(REG_STATUS, 1, 0);
		reg_write(REG_STATUS, 1, 1);
		cfg_write(CFG_DEVICE_CONTROL, 2, 0x8000);
	}
}

static void cpu_sets_up(void)
{
	unsigned int i;

	for (i = 0; i < 50; i++) {
		cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER);
		reg_write(REG_STATUS, 1, 3);
		reg_write(REG_DRIVER_SELECT, 4, 1);
		reg_write(REG_DRIVER_FEATURE, 4, 1);
		reg_write(REG_STATUS, 1, 0xb);
		reg_write(REG_QUEUE_SELECT, 2, i % PROBE_QUEUES);
		reg_write(REG_QUEUE_DESC, 8, REGS_RIG_GPA);
		reg_write(REG_QUEUE_DRIVER, 8, REGS_RIG_GPA + 0x1000);
		reg_write(REG_QUEUE_DEVICE, 8, REGS_RIG_GPA + 0x2000);
		reg_write(REG_QUEUE_ENABLE, 2, 1);
		reg_write(REG_STATUS, 1, 0xf);
	}
}

static void cpu_rings(void)
{
	unsigned int i;

	for (i = 0; i < 500; i++) {
		reg_write(REG_NOTIFY + i % PROBE_QUEUES * 4, 2, 0);
		(void)reg_read(REG_ISR, 1);
	}
}

static void cpu_routes(void)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct pvio_doorbell bell;
	struct pvio_pci_vector now;
	unsigned int i;

	for (i = 0; i < 50; i++) {
		unsigned int v = i % PCI_RIG_VECTORS;

		cfg_write(CFG_MSIX_CONTROL, 2, i % 3 ? 0x8000 : 0);
		ck_assert_int_eq(pvio_pci_set_vector_fd(prig.pci, v, fd), 0);
		ck_assert_int_eq(pvio_pci_get_vector(prig.pci, v, &now), 0);
		ck_assert_int_eq(pvio_pci_set_intx_fds(prig.pci, fd, -1), 0);
		ck_assert_int_eq(pvio_pci_doorbell(prig.pci, i % PROBE_QUEUES,
						   &bell),
				 0);
	}
	for (i = 0; i < PCI_RIG_VECTORS; i++)
		pvio_pci_set_vector_fd(prig.pci, i, -1);
	ck_assert_int_eq(pvio_pci_set_intx_fds(prig.pci, -1, -1), 0);
	close(fd);
}

static void cpu_changes_memory(void)
{
	unsigned int i;

	for (i = 0; i < 20; i++) {
		give_memory();
		ck_assert_int_eq(pvio_device_pause(rrig.dev), 0);
		pvio_device_resume(rrig.dev);
	}
}

/* V15, and whatever else CPUs do to one function at the same time. */
START_TEST(v15_cpus_that_race_leave_a_device_that_works)
{
	static void (*const fn[])(void) = {
		cpu_resets, cpu_resets, cpu_sets_up,
		cpu_rings,  cpu_routes, cpu_changes_memory,
	};
	struct cpu cpu[pvio_array_size(fn)];
	unsigned int i;

	for (i = 0; i < pvio_array_size(fn); i++)
		cpu_begin(&cpu[i], fn[i]);
	for (i = 0; i < pvio_array_size(fn); i++)
		cpu_end(&cpu[i]);
	pvio_pci_reset(prig.pci);
	memset(prig.msix, 0, sizeof(prig.msix));
	pci_rig_run(0);
	pci_rig_echo(0);
	pci_rig_echo(PROBE_QUEUES - 1);
	regs_rig_wait_count(&prig.msix[1], 1);
}
END_TEST

CHECK_MAIN("pci_threads", pci_rig_setup_threads, regs_rig_teardown,
	   bus_mastering_is_off_when_all_in_flight_is_done,
	   d3_is_reached_when_all_in_flight_is_done,
	   writes_wait_for_a_write_that_waits_and_reads_do_not,
	   a_reset_in_flight_reads_0_when_it_is_done,
	   a_bus_reset_returns_when_memory_is_touched_no_more,
	   a_queue_that_starts_while_memory_changes_waits_for_it,
	   a_queue_reset_while_memory_changes_waits_for_it,
	   a_reset_drops_a_queue_reset_that_waits,
	   lists_of_two_threads_are_taken_one_after_the_other,
	   v15_cpus_that_race_leave_a_device_that_works)
