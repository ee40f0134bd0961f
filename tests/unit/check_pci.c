/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_pci.c - a PCI function, register by register, under a VMM of few words
 *
 * One thread: the test is the VMM, the driver, and what turns the workers.
 * Configuration space is in check_pci_config.c.
 */
#include "tests/check_main.h"
#include "tests/pci-rig.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void poke(void)
{
	char answer[8];

	ck_assert_int_eq(pvio_device_command(rrig.dev, "poke", "", answer,
					     sizeof(answer)),
			 0);
	regs_rig_step();
}

static bool is_readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1;
}

static void drain(int fd)
{
	uint64_t count;

	ck_assert_int_eq(read(fd, &count, 8), 8);
}

static void signal_fd(int fd)
{
	const uint64_t one = 1;

	ck_assert_int_eq(write(fd, &one, 8), 8);
}

/* --- running ------------------------------------------------------------- */

START_TEST(a_driver_is_served_with_msix)
{
	unsigned int q;

	pci_rig_run(0);
	for (q = 0; q < PROBE_QUEUES; q++) {
		pci_rig_echo(q);
		ck_assert_uint_eq(prig.msix[q + 1], 1);
	}
	ck_assert_uint_eq(prig.msix[0], 0);
	ck_assert(!prig.intx);
}
END_TEST

START_TEST(a_driver_is_served_with_intx)
{
	pci_rig_enable();
	pci_rig_negotiate(0);
	pci_rig_start_queue(2, 16);
	pci_rig_driver_ok();
	pci_rig_echo(2);
	ck_assert(prig.intx);
	ck_assert(cfg_read(CFG_STATUS, 2) & 0x8);
	ck_assert_uint_eq(reg_read(REG_ISR, 1), 1);
	ck_assert(!prig.intx);
	ck_assert_uint_eq(reg_read(REG_ISR, 1), 0);
	ck_assert(!(cfg_read(CFG_STATUS, 2) & 0x8));

	/* Disabled: the status bit says it, the line does not. */
	cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER | CMD_INTX_DISABLE);
	pci_rig_echo(2);
	ck_assert(!prig.intx);
	ck_assert(cfg_read(CFG_STATUS, 2) & 0x8);
	cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER);
	ck_assert(prig.intx);
}
END_TEST

START_TEST(packed_rings_are_served)
{
	unsigned int i;

	pci_rig_run(PVIO_BIT(VIRTIO_F_RING_PACKED));
	for (i = 0; i < 40; i++)
		pci_rig_echo(1);
	ck_assert_uint_eq(prig.msix[2], 40);
}
END_TEST

START_TEST(eventfds_carry_doorbells_and_vectors)
{
	struct pvio_doorbell bell, again;
	int fd = eventfd(0, EFD_NONBLOCK);

	ck_assert_int_eq(pvio_pci_doorbell(prig.pci, 1, &bell), 0);
	ck_assert_uint_eq(bell.bar, 4);
	ck_assert_uint_eq(bell.offset, REG_NOTIFY + 4);
	ck_assert(!bell.has_match && bell.width == 0);
	ck_assert_int_eq(pvio_pci_doorbell(prig.pci, 1, &again), 0);
	ck_assert_int_eq(again.fd, bell.fd);
	ck_assert_int_eq(pvio_pci_doorbell(prig.pci, PROBE_QUEUES, &again),
			 -EINVAL);
	ck_assert_int_eq(pvio_pci_set_vector_fd(prig.pci, 2, fd), 0);

	pci_rig_run(0);
	regs_rig_step();
	regs_rig_add(1);
	signal_fd(bell.fd);
	ck_assert(regs_rig_is_used(1));
	ck_assert(is_readable(fd));
	ck_assert_uint_eq(prig.msix[2], 0);

	ck_assert_int_eq(pvio_pci_set_vector_fd(prig.pci, 2, -1), 0);
	regs_rig_add(1);
	signal_fd(bell.fd);
	regs_rig_step();
	ck_assert_uint_eq(prig.msix[2], 1);
	close(fd);
}
END_TEST

START_TEST(doorbells_outlive_a_stop)
{
	struct pvio_doorbell bell;

	ck_assert_int_eq(pvio_pci_doorbell(prig.pci, 0, &bell), 0);
	pci_rig_run(0);
	pci_rig_echo(0);
	pvio_device_stop(rrig.dev);
	ck_assert_int_eq(pvio_device_start(rrig.dev), 0);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0);
	ck_assert_uint_eq(cfg_read(CFG_COMMAND, 2), 0);

	pci_rig_run(0);
	regs_rig_step();
	regs_rig_add(0);
	signal_fd(bell.fd);
	ck_assert(regs_rig_is_used(0));
}
END_TEST

START_TEST(intx_by_eventfd_is_asserted_again_until_its_cause_is_gone)
{
	int trigger = eventfd(0, EFD_NONBLOCK);
	int resample = eventfd(0, EFD_NONBLOCK);

	ck_assert_int_eq(pvio_pci_set_intx_fds(prig.pci, trigger, resample), 0);
	pci_rig_enable();
	pci_rig_negotiate(0);
	pci_rig_start_queue(0, 16);
	pci_rig_driver_ok();
	pci_rig_echo(0);
	ck_assert(is_readable(trigger));
	drain(trigger);
	signal_fd(resample);
	regs_rig_step();
	ck_assert(is_readable(trigger));
	drain(trigger);
	ck_assert_uint_eq(reg_read(REG_ISR, 1), 1);
	signal_fd(resample);
	regs_rig_step();
	ck_assert(!is_readable(trigger));
	ck_assert_int_eq(pvio_pci_set_intx_fds(prig.pci, -1, -1), 0);
	close(trigger);
	close(resample);
}
END_TEST

START_TEST(a_kick_is_any_write_to_its_doorbell)
{
	pci_rig_run(PVIO_BIT(VIRTIO_F_NOTIFICATION_DATA));
	regs_rig_step();
	regs_rig_add(3);
	reg_write(REG_NOTIFY + 12, 4, 0x80000003 | 1 << 16);
	ck_assert(regs_rig_is_used(3));
	/* What the data says is a hint. */
	regs_rig_add(1);
	reg_write(REG_NOTIFY + 4, 4, 0xffffffff);
	ck_assert(regs_rig_is_used(1));
	regs_rig_add(2);
	reg_write(REG_NOTIFY + 8, 2, 0);
	ck_assert(regs_rig_is_used(2));
	ck_assert_uint_eq(reg_read(REG_NOTIFY, 4), 0);
}
END_TEST

START_TEST(a_doorbell_takes_the_number_that_the_device_chose)
{
	unsigned int q;

	pci_rig_run(PVIO_BIT(VIRTIO_F_NOTIF_CONFIG_DATA));
	regs_rig_step();
	for (q = 0; q < PROBE_QUEUES; q++) {
		uint64_t off, data;

		reg_write(REG_QUEUE_SELECT, 2, q);
		off = reg_read(REG_QUEUE_NOTIFY, 2);
		data = reg_read(REG_NOTIFY_DATA, 2);
		regs_rig_add(q);
		reg_write(REG_NOTIFY + 4 * off, 2, data);
		ck_assert(regs_rig_is_used(q));
	}
}
END_TEST

/* --- features, configuration --------------------------------------------- */

static uint32_t offered(uint32_t select)
{
	reg_write(REG_DEVICE_SELECT, 4, select);
	ck_assert_uint_eq(reg_read(REG_DEVICE_SELECT, 4), select);
	return (uint32_t)reg_read(REG_DEVICE_FEATURE, 4);
}

START_TEST(features_are_128_bits)
{
	ck_assert_uint_eq(offered(0) & 3, 3);
	ck_assert(offered(1) & 1);
	ck_assert_uint_eq(offered(2), 1u << (PROBE_F_HIGH - 64));
	ck_assert_uint_eq(offered(3), 0);

	reg_write(REG_DRIVER_SELECT, 4, 2);
	reg_write(REG_DRIVER_FEATURE, 4, 1u << (PROBE_F_HIGH - 64));
	ck_assert_uint_eq(pci_rig_negotiate(PVIO_BIT(PROBE_F_BASE)), 0xb);
	ck_assert(pvio_feature_has(&probe.features, PROBE_F_HIGH));
	ck_assert(pvio_feature_has(&probe.features, PROBE_F_BASE));
	reg_write(REG_DRIVER_SELECT, 4, 2);
	ck_assert_uint_eq(reg_read(REG_DRIVER_FEATURE, 4),
			  1u << (PROBE_F_HIGH - 64));
}
END_TEST

START_TEST(the_generation_moves_when_something_changed)
{
	uint64_t before = reg_read(REG_GENERATION, 1);

	ck_assert_uint_eq(reg_read(REG_GENERATION, 1), before);
	poke();
	poke();
	ck_assert_uint_eq(reg_read(REG_DEVICE, 4), 2);
	ck_assert_uint_eq(reg_read(REG_GENERATION, 1), (before + 1) & 0xff);
	ck_assert_uint_eq(reg_read(REG_DEVICE, 4), 2);
	ck_assert_uint_eq(reg_read(REG_GENERATION, 1), (before + 1) & 0xff);
}
END_TEST

START_TEST(a_change_of_configuration_interrupts)
{
	pci_rig_run(0);
	poke();
	ck_assert_uint_eq(prig.msix[0], 1);
	reg_write(REG_CONFIG_VECTOR, 2, 0xffff);
	poke();
	ck_assert_uint_eq(prig.msix[0], 1);
	/* Without MSI-X by the line. */
	cfg_write(CFG_MSIX_CONTROL, 2, 0);
	poke();
	ck_assert(prig.intx);
	ck_assert_uint_eq(reg_read(REG_ISR, 1), 2);
}
END_TEST

START_TEST(needs_reset_interrupts)
{
	pci_rig_run(0);
	pvio_device_break(rrig.dev, "said the test");
	regs_rig_step();
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0x4f);
	ck_assert_uint_eq(prig.msix[0], 1);
	pci_rig_reset();
	ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 0);
	pci_rig_run(0);
	pci_rig_echo(0);
}
END_TEST

START_TEST(device_configuration_is_read_in_any_width)
{
	uint8_t bytes[8];
	unsigned int i;

	reg_write(REG_DEVICE + 4, 4, 0x44332211);
	ck_assert_uint_eq(reg_read(REG_DEVICE + 4, 4), 0x44332211);
	ck_assert_uint_eq(reg_read(REG_DEVICE + 5, 2), 0x3322);
	ck_assert_uint_eq(reg_read(REG_DEVICE, 8), 0x4433221100000000);
	pvio_pci_bar_read(prig.pci, 4, REG_DEVICE + 3, bytes, 5);
	for (i = 0; i < 5; i++)
		ck_assert_uint_eq(bytes[i], 0x11 * i);
}
END_TEST

/* --- queues -------------------------------------------------------------- */

START_TEST(addresses_come_as_one_or_as_halves)
{
	pci_rig_enable();
	reg_write(REG_QUEUE_DESC + 4, 4, 0x11223344);
	reg_write(REG_QUEUE_DESC, 4, 0x55667780);
	ck_assert_uint_eq(reg_read(REG_QUEUE_DESC, 8), 0x1122334455667780);
	ck_assert_uint_eq(reg_read(REG_QUEUE_DESC + 4, 4), 0x11223344);
	reg_write(REG_QUEUE_DEVICE, 8, 0x0102030405060708);
	ck_assert_uint_eq(reg_read(REG_QUEUE_DEVICE, 4), 0x05060708);
	ck_assert_uint_eq(reg_read(REG_QUEUE_DEVICE + 4, 4), 0x01020304);
	ck_assert_uint_eq(reg_read(REG_QUEUE_DRIVER, 8), 0);
}
END_TEST

START_TEST(a_queue_is_reset_and_starts_with_another_size)
{
	pci_rig_run(PVIO_BIT(VIRTIO_F_RING_RESET));
	pci_rig_echo(0);
	pci_rig_echo(1);
	reg_write(REG_QUEUE_SELECT, 2, 0);
	reg_write(REG_QUEUE_RESET, 2, 1);
	regs_rig_step();
	ck_assert_uint_eq(reg_read(REG_QUEUE_RESET, 2), 0);
	ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 0);
	ck_assert_uint_eq(reg_read(REG_QUEUE_SIZE, 2), PROBE_QUEUE_SIZE);
	ck_assert_uint_eq(reg_read(REG_QUEUE_VECTOR, 2), 0xffff);
	pci_rig_echo(1);

	ck_assert(pci_rig_start_queue(0, 32));
	pci_rig_echo(0);
	ck_assert_uint_eq(prig.msix[1], 2);
}
END_TEST

START_TEST(a_queue_reset_reads_1_until_it_is_done)
{
	pci_rig_run(PVIO_BIT(VIRTIO_F_RING_RESET));
	probe.hold = true;
	pci_rig_submit(2);
	regs_rig_step();
	reg_write(REG_QUEUE_SELECT, 2, 2);
	reg_write(REG_QUEUE_RESET, 2, 1);
	regs_rig_step();
	ck_assert_uint_eq(reg_read(REG_QUEUE_RESET, 2), 1);
	regs_rig_release(2);
	ck_assert_uint_eq(reg_read(REG_QUEUE_RESET, 2), 0);
	ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 0);
}
END_TEST

/* --- reset, suspend, power ----------------------------------------------- */

START_TEST(a_reset_forgets_the_registers)
{
	pci_rig_run(0);
	reg_write(REG_DRIVER_SELECT, 4, 1);
	pci_rig_reset();
	ck_assert_uint_eq(reg_read(REG_QUEUE_SELECT, 2), 0);
	ck_assert_uint_eq(reg_read(REG_DRIVER_SELECT, 4), 0);
	ck_assert_uint_eq(reg_read(REG_DRIVER_FEATURE, 4), 0);
	ck_assert_uint_eq(reg_read(REG_QUEUE_SIZE, 2), PROBE_QUEUE_SIZE);
	ck_assert_uint_eq(reg_read(REG_QUEUE_DESC, 8), 0);
	ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 0);
	ck_assert_uint_eq(reg_read(REG_QUEUE_VECTOR, 2), 0xffff);
	ck_assert_uint_eq(reg_read(REG_CONFIG_VECTOR, 2), 0xffff);
	/* Not the business of virtio: MSI-X, command register. */
	ck_assert_uint_eq(cfg_read(CFG_MSIX_CONTROL, 2) & 0x8000, 0x8000);
	ck_assert_uint_eq(cfg_read(CFG_COMMAND, 2), CMD_MEMORY | CMD_MASTER);
}
END_TEST

static void expect_power_on_state(void)
{
	uint8_t entry[16];

	ck_assert_uint_eq(cfg_read(CFG_COMMAND, 2), 0);
	ck_assert_uint_eq(cfg_read(CFG_MSIX_CONTROL, 2), PCI_RIG_VECTORS - 1);
	ck_assert_uint_eq(cfg_read(CFG_BAR0, 4), 0);
	ck_assert_uint_eq(cfg_read(CFG_BAR4 + 4, 4), 0);
	ck_assert(!prig.bar[4].is_enabled);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0);
	ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 0);
	pvio_pci_bar_read(prig.pci, 0, 0, entry, 8);
	pvio_pci_bar_read(prig.pci, 0, 8, entry + 8, 8);
	ck_assert_uint_eq(entry[3], 0);
	ck_assert_uint_eq(entry[12], 1);
	ck_assert(!prig.intx);
}

START_TEST(a_bus_reset_goes_back_to_power_on)
{
	pci_rig_run(0);
	pci_rig_echo(0);
	pvio_pci_reset(prig.pci);
	expect_power_on_state();
	pci_rig_run(0);
	pci_rig_echo(0);
}
END_TEST

START_TEST(flr_is_over_when_the_function_answers_again)
{
	pci_rig_run(0);
	probe.hold = true;
	pci_rig_submit(0);
	regs_rig_step();
	cfg_write(CFG_DEVICE_CONTROL, 2, 0x8000);
	regs_rig_step();
	ck_assert_uint_eq(cfg_read(0, 4), 0xffffffff);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0xff);
	cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER);
	regs_rig_release(0);
	ck_assert_uint_eq(cfg_read(0, 2), 0x1af4);
	expect_power_on_state();
	ck_assert_uint_eq(prig.msix[1], 0);
	probe.hold = false;
	pci_rig_run(0);
	pci_rig_echo(0);
}
END_TEST

START_TEST(a_device_suspends_and_resumes)
{
	pci_rig_run(PVIO_BIT(VIRTIO_F_SUSPEND));
	pci_rig_echo(0);
	reg_write(REG_STATUS, 1, 0x1f);
	regs_rig_step();
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0x1b);
	pci_rig_submit(1);
	ck_assert(!regs_rig_is_used(1));
	poke();
	ck_assert_uint_eq(prig.msix[0], 0);
	reg_write(REG_STATUS, 1, 0xf);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0xf);
	ck_assert(regs_rig_is_used(1));
	ck_assert_uint_eq(prig.msix[0], 1);
}
END_TEST

START_TEST(in_d3_nothing_is_served_and_nothing_is_forgotten)
{
	pci_rig_run(0);
	cfg_write(CFG_POWER, 2, 3);
	ck_assert_uint_eq(cfg_read(CFG_POWER, 2), 0x3);
	ck_assert(!prig.bar[4].is_enabled);
	pci_rig_submit(0);
	ck_assert(!regs_rig_is_used(0));
	cfg_write(CFG_POWER, 2, 0);
	ck_assert(regs_rig_is_used(0));
	ck_assert(prig.bar[4].is_enabled);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0xf);
	ck_assert_uint_eq(prig.msix[1], 1);
	/* D1 and D2 do not exist: nothing happens. */
	cfg_write(CFG_POWER, 2, 1);
	ck_assert_uint_eq(cfg_read(CFG_POWER, 2), 0x0);
}
END_TEST

START_TEST(messages_pend_while_the_function_is_no_bus_master)
{
	pci_rig_run(0);
	cfg_write(CFG_COMMAND, 2, CMD_MEMORY);
	poke();
	ck_assert_uint_eq(prig.msix[0], 0);
	cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER);
	ck_assert_uint_eq(prig.msix[0], 1);
}
END_TEST

/* --- the API ------------------------------------------------------------- */

START_TEST(the_host_is_set_before_the_start)
{
	static const struct pvio_pci_host none;
	struct pvio_pci_vector now;

	ck_assert_int_eq(pvio_pci_set_host(prig.pci, &none, NULL), -EBUSY);
	ck_assert_int_eq(pvio_pci_get_vector(prig.pci, PCI_RIG_VECTORS, &now),
			 -EINVAL);
	ck_assert_int_eq(pvio_pci_set_vector_fd(prig.pci, PCI_RIG_VECTORS, -1),
			 -EINVAL);
	pci_rig_run(0);
	ck_assert_int_eq(pvio_pci_get_vector(prig.pci, 3, &now), 0);
	ck_assert_uint_eq(now.address, 0xfee00003);
	ck_assert_uint_eq(now.data, 0x43);
	ck_assert(!now.is_masked);
}
END_TEST

START_TEST(counters_say_how_interrupts_went)
{
	char *json;

	pci_rig_run(0);
	pci_rig_echo(0);
	ck_assert_int_eq(pvio_device_stats(rrig.dev, false, &json), 0);
	ck_assert_ptr_nonnull(strstr(json, "\"msix_sent\":1"));
	ck_assert_ptr_nonnull(strstr(json, "\"intx_asserted\":0"));
	free(json);
}
END_TEST

CHECK_MAIN("pci", pci_rig_setup, regs_rig_teardown,
	   a_driver_is_served_with_msix, a_driver_is_served_with_intx,
	   packed_rings_are_served, eventfds_carry_doorbells_and_vectors,
	   doorbells_outlive_a_stop,
	   intx_by_eventfd_is_asserted_again_until_its_cause_is_gone,
	   a_kick_is_any_write_to_its_doorbell,
	   a_doorbell_takes_the_number_that_the_device_chose,
	   features_are_128_bits, the_generation_moves_when_something_changed,
	   a_change_of_configuration_interrupts, needs_reset_interrupts,
	   device_configuration_is_read_in_any_width,
	   addresses_come_as_one_or_as_halves,
	   a_queue_is_reset_and_starts_with_another_size,
	   a_queue_reset_reads_1_until_it_is_done,
	   a_reset_forgets_the_registers, a_bus_reset_goes_back_to_power_on,
	   flr_is_over_when_the_function_answers_again,
	   a_device_suspends_and_resumes,
	   in_d3_nothing_is_served_and_nothing_is_forgotten,
	   messages_pend_while_the_function_is_no_bus_master,
	   the_host_is_set_before_the_start, counters_say_how_interrupts_went)
