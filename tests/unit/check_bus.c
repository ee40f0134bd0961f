/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_bus.c - the hypercall bus, as docs/bus-abi.md has it: calls
 *
 * What a driver finds out and sets up, by each connector; devices that come and
 * go; reset.  check_bus_signals.c has kicks and interrupts.
 */
#include "tests/bus-rig.h"
#include "tests/check_main.h"

#include "core/virtio.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- the bus --------------------------------------------------------------- */

START_TEST(bus_says_what_it_is)
{
	const uint64_t want = PVIO_BUS_MAGIC | (uint64_t)PVIO_BUS_VERSION << 32;
	struct pvio_bus_info_out info;
	uint32_t back = 0;

	ck_assert_uint_eq(brig.gb->connector->probe(brig.gb->arg), want);
	ck_assert_int_eq(guest_bus_info(brig.gb, &info), 0);
	ck_assert_uint_eq(info.magic, PVIO_BUS_MAGIC);
	ck_assert_uint_eq(info.version, PVIO_BUS_VERSION);
	ck_assert_uint_eq(info.max_message, PVIO_BUS_MAX_MESSAGE);
	ck_assert_uint_eq(info.nr_kick_queues,
			  pvio_bus_nr_kick_queues(brig.bus));
	ck_assert_uint_eq(info.nr_notify_queues, BUS_RIG_INTERRUPTS);
	ck_assert_uint_eq(pvio_bus_nr_interrupts(brig.bus), BUS_RIG_INTERRUPTS);
	ck_assert_uint_gt(info.nr_signals, 2 * (PROBE_QUEUES + 1));
	ck_assert_uint_le(info.nr_signals, PVIO_BUS_MAX_SIGNALS);
	ck_assert_uint_eq(info.reserved, 0);
	ck_assert_int_eq(guest_bus_ping(brig.gb, 0xfeedbeef, &back), 0);
	ck_assert_uint_eq(back, 0xfeedbeef);
}
END_TEST

START_TEST(devices_of_one_name_are_on_one_bus)
{
	struct pvio_device *other;

	ck_assert_ptr_eq(pvio_bus_of(brig.dev[1]), brig.bus);
	ck_assert_int_eq(
		pvio_device_create("other",
				   "model = \"probe\"; transport = { type = "
				   "\"hypercall\"; bus = \"another\"; };",
				   brig.control, &brig.control, 1, &other),
		0);
	ck_assert_ptr_nonnull(pvio_bus_of(other));
	ck_assert_ptr_ne(pvio_bus_of(other), brig.bus);
	pvio_device_destroy(other);
	ck_assert_int_eq(
		pvio_device_create("other",
				   "model = \"probe\"; transport = { type = "
				   "\"loopback\"; };",
				   brig.control, &brig.control, 1, &other),
		0);
	ck_assert_ptr_null(pvio_bus_of(other));
	pvio_device_destroy(other);
}
END_TEST

START_TEST(bus_that_is_in_use_gets_no_bridge)
{
	struct pvio_device *other;

	ck_assert_int_eq(
		pvio_device_create("other",
				   "model = \"probe\"; transport = { type = "
				   "\"hypercall\"; bus = \"rig\"; socket = "
				   "\"/tmp/pvio-no-bridge\"; };",
				   brig.control, &brig.control, 1, &other),
		-EINVAL);
	bus_rig_expect_service();
}
END_TEST

START_TEST(devices_are_listed_from_any_number_on)
{
	uint16_t low = (uint16_t)pvio_min(brig.number[0], brig.number[1]);
	uint16_t high = (uint16_t)pvio_max(brig.number[0], brig.number[1]);
	uint8_t bits[128] = { 0 };
	uint16_t next = 1;

	ck_assert_int_eq(guest_bus_get_devices(brig.gb, low, 1024, bits, &next),
			 0);
	ck_assert_uint_eq(bits[0] & 1, 1);
	ck_assert_uint_eq(next, 0);
	/* The first alone: next is the second. */
	ck_assert_int_eq(guest_bus_get_devices(brig.gb, low, 1, bits, &next),
			 0);
	ck_assert_uint_eq(bits[0], 1);
	ck_assert_uint_eq(next, high);
	/* Behind both there is nothing. */
	ck_assert_int_eq(
		guest_bus_get_devices(brig.gb, high + 1, 9, bits, &next), 0);
	ck_assert_uint_eq(bits[0] | bits[1], 0);
	ck_assert_uint_eq(next, 0);
}
END_TEST

/* --- a device -------------------------------------------------------------- */

START_TEST(each_device_says_what_it_is)
{
	struct pvio_bus_device_info_out info;
	unsigned int i;

	for (i = 0; i < BUS_RIG_DEVICES; i++) {
		ck_assert_int_eq(
			guest_bus_device_info(brig.gb, brig.number[i], &info),
			0);
		ck_assert_uint_eq(info.device_id, pvio_device_id(brig.dev[i]));
		ck_assert_uint_eq(info.vendor_id, 0x4f495650);
		ck_assert_uint_eq(info.nr_feature_blocks,
				  PVIO_BUS_FEATURE_BLOCKS);
		ck_assert_uint_eq(info.config_size,
				  sizeof(struct probe_config));
		ck_assert_uint_eq(info.nr_queues, PROBE_QUEUES);
		ck_assert_uint_eq(info.admin_queue, 0);
		ck_assert_uint_eq(info.nr_admin_queues, 0);
	}
}
END_TEST

START_TEST(features_are_offered_by_blocks)
{
	struct pvio_bus_features in = { .nr_blocks = htole32(1) }, out;
	struct pvio_features offered;
	uint64_t bits[2];
	unsigned int i;

	pvio_device_offered(brig.dev[0], &offered);
	ck_assert_int_eq(guest_bus_get_features(brig.gb, brig.number[0], bits),
			 0);
	ck_assert_uint_eq(bits[0], offered.word[0]);
	ck_assert_uint_eq(bits[1], offered.word[1]);
	for (i = 0; i < PVIO_BUS_FEATURE_BLOCKS; i++) {
		in.block = htole32(i);
		ck_assert_int_eq(
			guest_bus_call(brig.gb, PVIO_BUS_GET_DEVICE_FEATURES,
				       brig.number[0], &in, 8, &out, 12),
			0);
		ck_assert_uint_eq(le32toh(out.bits[0]),
				  (uint32_t)(bits[i / 2] >> i % 2 * 32));
	}
	ck_assert(bits[0] & PVIO_BIT(VIRTIO_F_VERSION_1));
	ck_assert(bits[0] & PVIO_BIT(VIRTIO_F_RING_RESET));
	ck_assert(!(bits[0] & PVIO_BIT(VIRTIO_F_NOTIFICATION_DATA)));
	ck_assert(!(bits[0] & PVIO_BIT(VIRTIO_F_NOTIF_CONFIG_DATA)));
}
END_TEST

/* In blocks, one at a time: those that were not written are 0. */
START_TEST(features_are_accepted_or_refused)
{
	const uint16_t dev = brig.number[0];
	const uint64_t good[2] = { PVIO_BIT(VIRTIO_F_VERSION_1), 0 };
	const uint64_t bad[2] = {
		PVIO_BIT(VIRTIO_F_VERSION_1) | PVIO_BIT(PROBE_F_NEEDS_BASE), 0
	};
	uint32_t status;

	ck_assert_int_eq(guest_bus_set_status(brig.gb, dev, 3, &status), 0);
	ck_assert_uint_eq(status, 3);
	ck_assert_int_eq(guest_bus_set_features(brig.gb, dev, bad), 0);
	ck_assert_int_eq(guest_bus_set_status(brig.gb, dev, 0xb, &status), 0);
	ck_assert_uint_eq(status, 3);
	ck_assert_int_eq(guest_bus_set_features(brig.gb, dev, good), 0);
	ck_assert_int_eq(guest_bus_set_status(brig.gb, dev, 0xb, &status), 0);
	ck_assert_uint_eq(status, 0xb);
	ck_assert_uint_eq(probe.features.word[0], good[0]);
	ck_assert_int_eq(guest_bus_set_status(brig.gb, dev, 0, &status), 0);
	ck_assert_int_eq(guest_bus_get_status(brig.gb, dev, &status), 0);
	ck_assert_uint_eq(status, 0);
}
END_TEST

START_TEST(reset_waits_for_requests_and_the_call_does_not)
{
	struct guest_device *gd = bus_rig_drive(0);
	uint32_t status = 0, back;

	probe.hold = true;
	bus_rig_submit(gd, 0, false);
	bus_rig_work();
	ck_assert_uint_eq(probe.queue[0].nr_held, 1);
	ck_assert_int_eq(
		guest_bus_set_status(brig.gb, brig.number[0], 0, &status), 0);
	ck_assert_uint_ne(status, 0);
	bus_rig_work();
	/* Other calls are carried out meanwhile. */
	ck_assert_int_eq(guest_bus_ping(brig.gb, 1, &back), 0);
	ck_assert_int_eq(guest_bus_get_status(brig.gb, brig.number[0], &status),
			 0);
	ck_assert_uint_ne(status, 0);
	probe.hold = false;
	bus_rig_release(0, 0);
	ck_assert_int_eq(guest_bus_get_status(brig.gb, brig.number[0], &status),
			 0);
	ck_assert_uint_eq(status, 0);
	bus_rig_expect_service();
}
END_TEST

/* --- configuration --------------------------------------------------------- */

#define WRITABLE offsetof(struct probe_config, writable)

START_TEST(configuration_is_written_for_its_generation)
{
	const uint16_t dev = brig.number[0];
	uint32_t word = htole32(7), now = 0, generation, other;

	ck_assert_int_eq(guest_bus_get_config(brig.gb, dev, WRITABLE, &now, 4,
					      &generation),
			 0);
	ck_assert_uint_eq(now, 0);
	other = generation;
	ck_assert_int_eq(guest_bus_set_config(brig.gb, dev, WRITABLE, &word, 4,
					      &other, &now),
			 0);
	ck_assert_uint_eq(now, word);
	ck_assert_uint_eq(probe.config.writable, 7);
	/* For one that is over: nothing is written. */
	word = htole32(8);
	other = generation + 5;
	ck_assert_int_eq(guest_bus_set_config(brig.gb, dev, WRITABLE, &word, 4,
					      &other, &now),
			 PVIO_BUS_BAD_STATE);
	ck_assert_uint_eq(probe.config.writable, 7);
	/* For any. */
	other = GUEST_BUS_ANY_GENERATION;
	ck_assert_int_eq(guest_bus_set_config(brig.gb, dev, WRITABLE, &word, 4,
					      &other, &now),
			 0);
	ck_assert_uint_eq(probe.config.writable, 8);
	ck_assert_uint_ne(other, GUEST_BUS_ANY_GENERATION);
}
END_TEST

START_TEST(change_of_configuration_is_told_and_has_a_generation)
{
	struct guest_device *gd = bus_rig_drive(0);
	uint32_t before, after, word;
	char answer[64];

	ck_assert_int_eq(guest_bus_get_config(brig.gb, brig.number[0], 0, &word,
					      4, &before),
			 0);
	ck_assert_int_eq(pvio_device_command(brig.dev[0], "poke", "", answer,
					     sizeof(answer)),
			 0);
	bus_rig_settle();
	ck_assert_uint_eq(guest_device_config_changes(gd), 1);
	ck_assert_int_eq(guest_bus_get_config(brig.gb, brig.number[0], 0, &word,
					      4, &after),
			 0);
	ck_assert_uint_eq(le32toh(word), 1);
	ck_assert_uint_ne(after, before);
}
END_TEST

START_TEST(there_is_no_configuration_past_its_end)
{
	const uint32_t size = sizeof(struct probe_config);
	uint32_t generation = GUEST_BUS_ANY_GENERATION;
	const uint16_t dev = brig.number[0];
	uint8_t buf[64] = { 0 };

	ck_assert_int_eq(guest_bus_get_config(brig.gb, dev, size - 1, buf, 2,
					      &generation),
			 PVIO_BUS_BAD_VALUE);
	ck_assert_int_eq(guest_bus_get_config(brig.gb, dev, size + 1, buf, 1,
					      &generation),
			 PVIO_BUS_BAD_VALUE);
	ck_assert_int_eq(guest_bus_set_config(brig.gb, dev, size, buf, 4,
					      &generation, NULL),
			 PVIO_BUS_BAD_VALUE);
	ck_assert_int_eq(
		guest_bus_get_config(brig.gb, dev, 0, buf, size, &generation),
		0);
}
END_TEST

/* --- queues ---------------------------------------------------------------- */

START_TEST(queue_reads_back_as_it_was_set_up)
{
	struct guest_device *gd = bus_rig_drive(0);
	const struct guest_ring *ring = guest_device_ring(gd, 2);
	struct pvio_bus_queue_out now;

	ck_assert_int_eq(guest_bus_get_queue(brig.gb, brig.number[0], 2, &now),
			 0);
	ck_assert_uint_eq(now.max_size, PROBE_QUEUE_SIZE);
	ck_assert_uint_eq(now.size, BUS_RIG_RING_SIZE);
	ck_assert_uint_eq(now.flags, PVIO_BUS_QUEUE_ENABLED);
	ck_assert_uint_eq(now.desc, guest_ring_desc(ring));
	ck_assert_uint_eq(now.driver, guest_ring_driver(ring));
	ck_assert_uint_eq(now.device, guest_ring_device(ring));
}
END_TEST

START_TEST(queue_is_set_up_a_part_at_a_time)
{
	const uint16_t dev = brig.number[0];
	struct pvio_bus_set_queue_in in = {
		.index = 1,
		.flags = PVIO_BUS_QUEUE_OFF | PVIO_BUS_QUEUE_KEEP_DESC |
			 PVIO_BUS_QUEUE_KEEP_DRIVER |
			 PVIO_BUS_QUEUE_KEEP_DEVICE,
		.size = 32,
		.desc = 0xbad0,
		.driver = 0xbad0,
		.device = 0xbad0,
	};
	struct pvio_bus_queue_out now;

	ck_assert_int_eq(guest_bus_set_status(brig.gb, dev, 3, NULL), 0);
	ck_assert_int_eq(guest_bus_set_queue(brig.gb, dev, &in), 0);
	in.flags = PVIO_BUS_QUEUE_KEEP | PVIO_BUS_QUEUE_KEEP_SIZE |
		   PVIO_BUS_QUEUE_KEEP_DRIVER | PVIO_BUS_QUEUE_KEEP_DEVICE;
	in.size = 64;
	in.desc = BUS_RIG_GPA;
	ck_assert_int_eq(guest_bus_set_queue(brig.gb, dev, &in), 0);
	ck_assert_int_eq(guest_bus_get_queue(brig.gb, dev, 1, &now), 0);
	ck_assert_uint_eq(now.size, 32);
	ck_assert_uint_eq(now.desc, BUS_RIG_GPA);
	ck_assert_uint_eq(now.driver, 0);
	ck_assert_uint_eq(now.device, 0);
	ck_assert_uint_eq(now.flags, 0);
}
END_TEST

START_TEST(queue_that_runs_is_not_changed)
{
	struct guest_device *gd = bus_rig_drive(0);
	struct pvio_bus_set_queue_in in = {
		.index = 0,
		.flags = PVIO_BUS_QUEUE_KEEP,
		.size = 8,
	};
	struct pvio_bus_queue_out was, now;

	ck_assert_int_eq(guest_bus_get_queue(brig.gb, brig.number[0], 0, &was),
			 0);
	ck_assert_int_eq(guest_bus_set_queue(brig.gb, brig.number[0], &in),
			 PVIO_BUS_BAD_STATE);
	in.flags = PVIO_BUS_QUEUE_OFF;
	ck_assert_int_eq(guest_bus_set_queue(brig.gb, brig.number[0], &in),
			 PVIO_BUS_BAD_STATE);
	ck_assert_int_eq(guest_bus_get_queue(brig.gb, brig.number[0], 0, &now),
			 0);
	ck_assert_mem_eq(&was, &now, sizeof(now));
	bus_rig_echo(gd, 0);
}
END_TEST

START_TEST(queue_is_reset_alone)
{
	struct guest_device *gd = bus_rig_drive(0);
	struct pvio_bus_queue_out now;

	bus_rig_echo(gd, 1);
	ck_assert_int_eq(guest_device_reset_queue(gd, 1), 0);
	ck_assert_int_eq(guest_bus_get_queue(brig.gb, brig.number[0], 1, &now),
			 0);
	ck_assert_uint_eq(now.flags & PVIO_BUS_QUEUE_ENABLED, 0);
	bus_rig_echo(gd, 0);
	ck_assert_int_eq(guest_device_setup_queue(gd, 1, 8), 0);
	ck_assert_int_eq(guest_device_restart_queue(gd, 1), 0);
	bus_rig_echo(gd, 1);
}
END_TEST

/* --- what there is not ----------------------------------------------------- */

START_TEST(there_is_no_shared_memory)
{
	struct pvio_bus_shm_out out;
	int rc = guest_bus_get_shm(brig.gb, brig.number[0], 0, &out);

	ck_assert_int_ne(rc, -ETIMEDOUT);
	ck_assert(rc == PVIO_BUS_BAD_VALUE || (rc == 0 && out.length == 0));
}
END_TEST

START_TEST(registers_that_are_not_there_read_as_ones)
{
	uint64_t value = 0;
	uint32_t word = 0;

	pvio_bus_read(brig.bus, PVIO_BUS_REG_DOORBELL, &word, 4);
	ck_assert_uint_eq(word, UINT32_MAX);
	pvio_bus_read(brig.bus, PVIO_BUS_REG_BYTES - 4, &word, 4);
	ck_assert_uint_eq(word, UINT32_MAX);
	pvio_bus_read(brig.bus, PVIO_BUS_REG_MAGIC, &value, 2);
	ck_assert_uint_eq(value, 0xffff);
	pvio_bus_write(brig.bus, PVIO_BUS_REG_MAGIC, &word, 4);
	pvio_bus_write(brig.bus, PVIO_BUS_REG_CALL + 2, &word, 4);
	ck_assert(!pvio_bus_msr_read(brig.bus, PVIO_BUS_NR_MSRS, &value));
	ck_assert(!pvio_bus_msr_write(brig.bus, PVIO_BUS_NR_MSRS, 0));
	ck_assert_uint_eq(pvio_bus_hypercall(brig.bus, 3, 0), (uint64_t)-38);
	ck_assert_uint_eq(
		pvio_bus_hypercall(brig.bus, PVIO_BUS_OP_DOORBELL, 0x7fffffff),
		(uint64_t)-22);
	bus_rig_expect_service();
}
END_TEST

/* --- devices come and go --------------------------------------------------- */

static void expect_event(unsigned int kind, uint16_t number)
{
	struct pvio_bus_event_out event;

	ck_assert_int_eq(guest_bus_get_event(brig.gb, &event), 0);
	ck_assert_uint_eq(event.event, kind);
	ck_assert_uint_eq(event.device, number);
}

START_TEST(number_is_free_when_the_driver_knows_that_it_is)
{
	uint16_t gone = brig.number[1], second = 0xffff, third = 0xffff;
	struct pvio_device *dev[2];
	struct pvio_bus_device_info_out info;
	unsigned int i;

	pvio_device_destroy(brig.dev[1]);
	brig.dev[1] = NULL;
	ck_assert_int_eq(guest_bus_device_info(brig.gb, gone, &info),
			 PVIO_BUS_NO_DEVICE);
	/* Another comes before the event was taken: by another number. */
	dev[0] = bus_rig_create("two", &second);
	ck_assert_uint_ne(second, gone);
	ck_assert_uint_ne(second, 0xffff);
	for (i = 0; i < 2; i++) {
		struct pvio_bus_event_out event;

		ck_assert_int_eq(guest_bus_get_event(brig.gb, &event), 0);
		if (event.event == PVIO_BUS_EVENT_REMOVED)
			ck_assert_uint_eq(event.device, gone);
		else
			ck_assert_uint_eq(event.device, second);
	}
	expect_event(PVIO_BUS_EVENT_NONE, 0);
	dev[1] = bus_rig_create("three", &third);
	ck_assert_uint_eq(third, gone);
	expect_event(PVIO_BUS_EVENT_ADDED, third);
	expect_event(PVIO_BUS_EVENT_NONE, 0);
	for (i = 0; i < 2; i++)
		pvio_device_destroy(dev[i]);
}
END_TEST

static unsigned int nr_bus_signals;

static void on_bus_signal(void *arg, unsigned int signal)
{
	(void)arg;
	ck_assert_uint_eq(signal, PVIO_BUS_SIGNAL_EVENTS);
	nr_bus_signals++;
}

START_TEST(events_raise_the_signal_of_the_bus)
{
	const struct pvio_bus_route_in in = {
		.device = PVIO_BUS_THE_BUS,
		.mode = PVIO_BUS_ROUTE_SIGNAL,
		.notify_queue = 1,
	};
	struct pvio_bus_route_out out;

	nr_bus_signals = 0;
	ck_assert_int_eq(guest_bus_route(brig.gb, &in, &out), 0);
	ck_assert_uint_eq(out.signal, PVIO_BUS_SIGNAL_EVENTS);
	guest_bus_listen(brig.gb, PVIO_BUS_SIGNAL_EVENTS, on_bus_signal, NULL);
	bus_rig_settle();
	nr_bus_signals = 0;
	pvio_device_destroy(brig.dev[1]);
	brig.dev[1] = NULL;
	bus_rig_settle();
	ck_assert_uint_eq(nr_bus_signals, 1);
	expect_event(PVIO_BUS_EVENT_REMOVED, brig.number[1]);
	brig.dev[1] = bus_rig_create("one", &brig.number[1]);
	bus_rig_settle();
	ck_assert_uint_eq(nr_bus_signals, 2);
	expect_event(PVIO_BUS_EVENT_ADDED, brig.number[1]);
	bus_rig_expect_service();
}
END_TEST

START_TEST(device_that_goes_is_gone_at_once_and_the_other_serves)
{
	struct guest_device *zero = bus_rig_drive(0);
	struct guest_device *one = bus_rig_drive(1);
	unsigned int signal = guest_device_bus_signal(one, 0);

	bus_rig_echo(one, 0);
	pvio_device_destroy(brig.dev[1]);
	brig.dev[1] = NULL;
	bus_rig_submit(one, 0, true);
	/* Its signals are nobody's, and its rings are left alone. */
	guest_bus_raise(brig.gb, 0, signal, 0);
	guest_bus_doorbell(brig.gb, PVIO_BUS_DOORBELL_SIGNAL | signal);
	bus_rig_settle();
	ck_assert_int_eq(bus_rig_reap(one, 0), -1);
	bus_rig_echo(zero, 0);
}
END_TEST

/* --- reset ----------------------------------------------------------------- */

START_TEST(reset_of_the_bus_resets_every_device_and_forgets)
{
	struct guest_device *zero = bus_rig_drive(0);
	struct pvio_bus_event_out event;
	uint32_t status = 1;
	unsigned int i;

	bus_rig_drive(1);
	probe.hold = true;
	bus_rig_submit(zero, 0, false);
	bus_rig_work();
	probe.hold = false;
	/* It waits for the requests: nobody else would give this one back. */
	bus_rig_release(0, 0);
	pvio_device_destroy(brig.dev[1]);
	brig.dev[1] = bus_rig_create("one", &brig.number[1]);
	ck_assert_int_eq(guest_bus_reset(brig.gb), 0);
	for (i = 0; i < BUS_RIG_DEVICES; i++) {
		ck_assert_int_eq(
			guest_bus_get_status(brig.gb, brig.number[i], &status),
			0);
		ck_assert_uint_eq(status, 0);
	}
	ck_assert_int_eq(guest_bus_get_event(brig.gb, &event), 0);
	ck_assert_uint_eq(event.event, PVIO_BUS_EVENT_NONE);
	bus_rig_expect_service();
}
END_TEST

START_TEST(reset_of_the_machine_is_reset_of_the_bus)
{
	uint32_t status = 1;

	bus_rig_drive(0);
	pvio_bus_reset(brig.bus);
	ck_assert_int_eq(guest_bus_get_status(brig.gb, brig.number[0], &status),
			 0);
	ck_assert_uint_eq(status, 0);
	bus_rig_expect_service();
}
END_TEST

/* --- every connector ------------------------------------------------------- */

START_TEST(driver_is_served_by_every_connector)
{
	unsigned int i, q;

	for (i = 0; i < BUS_RIG_DEVICES; i++) {
		bus_rig_drive(i);
		for (q = 0; q < PROBE_QUEUES; q++)
			bus_rig_echo(brig.gd[i], q);
	}
	for (q = 0; q < 100; q++)
		bus_rig_echo(brig.gd[q % 2], q / 2 % PROBE_QUEUES);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		bus_says_what_it_is,
		devices_of_one_name_are_on_one_bus,
		bus_that_is_in_use_gets_no_bridge,
		devices_are_listed_from_any_number_on,
		each_device_says_what_it_is,
		features_are_offered_by_blocks,
		features_are_accepted_or_refused,
		reset_waits_for_requests_and_the_call_does_not,
		configuration_is_written_for_its_generation,
		change_of_configuration_is_told_and_has_a_generation,
		there_is_no_configuration_past_its_end,
		queue_reads_back_as_it_was_set_up,
		queue_is_set_up_a_part_at_a_time,
		queue_that_runs_is_not_changed,
		queue_is_reset_alone,
		there_is_no_shared_memory,
		registers_that_are_not_there_read_as_ones,
		number_is_free_when_the_driver_knows_that_it_is,
		events_raise_the_signal_of_the_bus,
		device_that_goes_is_gone_at_once_and_the_other_serves,
		reset_of_the_bus_resets_every_device_and_forgets,
		reset_of_the_machine_is_reset_of_the_bus,
		driver_is_served_by_every_connector,
	};
	int rc = EXIT_SUCCESS;
	char title[64];

	for (brig.kind = 0; brig.kind < GUEST_BUS_NR_KINDS; brig.kind++) {
		snprintf(title, sizeof(title), "bus by %s",
			 guest_bus_connectors[brig.kind].name);
		if (check_run(title, bus_rig_setup, bus_rig_teardown, tests,
			      pvio_array_size(tests)) != EXIT_SUCCESS)
			rc = EXIT_FAILURE;
	}
	return rc;
}
