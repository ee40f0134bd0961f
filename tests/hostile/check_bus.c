/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_bus.c - what a driver can do wrong with the hypercall bus
 *
 * The ids are those of the catalogue of hostile input (hypercall connectors and
 * signals in shared memory), read as the ABI of docs/bus-abi.md has it.  Each
 * case ends with a driver that begins anew and is served.  check_bus_areas.c
 * has the signal areas.
 */
#include "tests/bus-rig.h"
#include "tests/check_main.h"

#include "core/virtio.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define HEADER sizeof(struct pvio_bus_header)

/* --- calls ----------------------------------------------------------------- */

/* A message whose header says @size, with @len bytes of payload 0xff. */
static int message(uint8_t type, uint8_t id, uint16_t device, uint16_t size,
		   size_t len)
{
	uint8_t bytes[PVIO_BUS_MAX_MESSAGE];
	const struct pvio_bus_header header = {
		.type = type,
		.id = id,
		.device = htole16(device),
		.size = htole16(size),
	};

	memset(bytes, 0xff, sizeof(bytes));
	memcpy(bytes, &header, HEADER);
	return guest_bus_call_raw(brig.gb, bytes, HEADER + len, NULL);
}

/* A call block made by hand: what became of its state. */
static uint32_t call_at(void *host, uint64_t gpa, uint32_t state)
{
	const struct pvio_bus_header header = {
		.type = PVIO_BUS_TYPE_BUS,
		.id = PVIO_BUS_PING,
		.size = htole16(HEADER + 4),
	};
	uint32_t word = htole32(state);

	memcpy((uint8_t *)host + 8, &header, HEADER);
	memcpy(host, &word, 4);
	guest_bus_operate(brig.gb, gpa);
	bus_rig_work();
	memcpy(&word, host, 4);
	return le32toh(word);
}

/* H01, H17 */
START_TEST(unknown_operation_is_refused_or_ignored)
{
	static const uint64_t ops[] = { 3,
					255,
					0x7076,
					1ULL << 32,
					(1ULL << 32) + PVIO_BUS_OP_CALL,
					UINT64_MAX };
	uint64_t value;
	size_t i;

	for (i = 0; i < pvio_array_size(ops); i++)
		ck_assert_uint_eq(pvio_bus_hypercall(brig.bus, ops[i], 0),
				  (uint64_t)-38);
	for (i = PVIO_BUS_NR_MSRS; i < 64; i++) {
		ck_assert(
			!pvio_bus_msr_read(brig.bus, (unsigned int)i, &value));
		ck_assert(!pvio_bus_msr_write(brig.bus, (unsigned int)i, 0));
	}
	ck_assert(!pvio_bus_msr_read(brig.bus, UINT32_MAX, &value));
	bus_rig_expect_service();
}
END_TEST

/* H01 */
START_TEST(access_that_is_no_register_reads_as_ones)
{
	uint8_t buf[64], ones[64];
	uint64_t offset;
	size_t len;

	memset(ones, 0xff, sizeof(ones));
	for (offset = 0; offset < 2 * PVIO_BUS_REG_BYTES; offset++) {
		for (len = 1; len <= 16; len++) {
			if (len == 4 && offset <= PVIO_BUS_REG_VERSION)
				continue;
			memset(buf, 0, sizeof(buf));
			pvio_bus_read(brig.bus, offset, buf, len);
			if (offset + len > 8)
				ck_assert_mem_eq(buf, ones, len);
			if (offset + len <= PVIO_BUS_REG_CALL ||
			    offset > PVIO_BUS_REG_DOORBELL)
				pvio_bus_write(brig.bus, offset, ones, len);
		}
	}
	pvio_bus_read(brig.bus, UINT64_MAX - 1, buf, 4);
	ck_assert_mem_eq(buf, ones, 4);
	pvio_bus_write(brig.bus, UINT64_MAX - 1, ones, 4);
	bus_rig_expect_service();
}
END_TEST

static uint64_t wrong_probe;

static uint64_t probe_wrong(void *arg)
{
	(void)arg;
	return wrong_probe;
}

/* H01: of the driver */
START_TEST(driver_does_not_go_on_with_a_bus_it_does_not_know)
{
	static const uint64_t wrong[] = {
		0,
		UINT64_MAX,
		PVIO_BUS_MAGIC,
		(PVIO_BUS_MAGIC + 1) | (uint64_t)PVIO_BUS_VERSION << 32,
		PVIO_BUS_MAGIC | 0x00020000ULL << 32,
	};
	struct guest_bus_connector connector;
	struct guest_bus_options options = { .step = brig.control };
	struct guest_bus *gb;
	size_t i;

	connector = guest_bus_connectors[GUEST_BUS_REGISTERS];
	connector.probe = probe_wrong;
	options.connector = &connector;
	for (i = 0; i < pvio_array_size(wrong); i++) {
		wrong_probe = wrong[i];
		ck_assert_int_eq(
			guest_bus_open(brig.bus, &brig.mem, &options, &gb),
			-EPROTO);
	}
	ck_assert_int_eq(guest_bus_give_memory(brig.gb, GUEST_BUS_HAS_ALL), 0);
	bus_rig_expect_service();
}
END_TEST

static bool is_known(bool is_bus, unsigned int id)
{
	return is_bus ? id == 2 || id == 3 || (id >= 0x80 && id <= 0x84)
		      : id >= 2 && id <= 0xc;
}

/* H01 */
START_TEST(unknown_message_is_unknown)
{
	unsigned int id, is_bus;

	for (is_bus = 0; is_bus < 2; is_bus++)
		for (id = 0; id < 256; id++)
			if (!is_known(is_bus, id))
				ck_assert_int_eq(
					message((uint8_t)(2 * is_bus),
						(uint8_t)id,
						is_bus ? 0 : brig.number[0],
						HEADER, 0),
					PVIO_BUS_UNKNOWN);
	bus_rig_expect_service();
}
END_TEST

/* H02 */
START_TEST(message_that_lies_about_its_size_is_malformed)
{
	static const uint16_t sizes[] = { 0, 1, 7, 265, 0x1008, 0xffff };
	unsigned int id, is_bus;
	uint16_t device;
	size_t i;

	for (is_bus = 0; is_bus < 2; is_bus++)
		for (id = 0; id < 256; id++)
			for (i = 0; i < pvio_array_size(sizes); i++) {
				device = is_bus ? 0 : brig.number[0];
				ck_assert_int_eq(message((uint8_t)(2 * is_bus),
							 (uint8_t)id, device,
							 sizes[i], 0),
						 PVIO_BUS_MALFORMED);
			}
	bus_rig_expect_service();
}
END_TEST

/* H02: longer or shorter than the message is, by any number of bytes */
START_TEST(message_of_another_length_is_malformed)
{
	static const struct {
		uint8_t is_bus, id, bytes;
	} rows[] = {
		{ 0, 0x02, 0 },  { 0, 0x03, 8 },  { 0, 0x05, 8 },
		{ 0, 0x07, 0 },  { 0, 0x08, 4 },  { 0, 0x09, 4 },
		{ 0, 0x0a, 40 }, { 0, 0x0b, 4 },  { 0, 0x0c, 4 },
		{ 1, 0x02, 4 },  { 1, 0x03, 4 },  { 1, 0x80, 0 },
		{ 1, 0x81, 0 },  { 1, 0x82, 24 }, { 1, 0x83, 12 },
		{ 1, 0x84, 0 },
	};
	size_t i, len;

	for (i = 0; i < pvio_array_size(rows); i++)
		for (len = 0; len <= PVIO_BUS_MAX_MESSAGE - HEADER; len++)
			if (len != rows[i].bytes)
				ck_assert_int_eq(
					message(rows[i].is_bus ? 2 : 0,
						rows[i].id,
						rows[i].is_bus ? 0
							       : brig.number[0],
						(uint16_t)(HEADER + len), len),
					PVIO_BUS_MALFORMED);
	bus_rig_expect_service();
}
END_TEST

/* H02: counts inside a message */
START_TEST(counts_that_do_not_fit_the_message_are_refused)
{
	static const uint32_t bad[] = { 0,          5,          0x40000000,
					0x40000001, 0x80000000, UINT32_MAX };
	struct pvio_bus_features features = { 0 };
	uint32_t generation = GUEST_BUS_ANY_GENERATION, words[4] = { 0 };
	uint8_t out[PVIO_BUS_MAX_MESSAGE];
	size_t i, j;

	for (i = 0; i < pvio_array_size(bad); i++)
		for (j = 0; j < pvio_array_size(bad); j++) {
			features.block = htole32(bad[i]);
			features.nr_blocks = htole32(bad[j]);
			(void)guest_bus_call(
				brig.gb, PVIO_BUS_GET_DEVICE_FEATURES,
				brig.number[0], &features, 8, out, 8);
			if (bad[j] != 0)
				ck_assert_int_eq(
					guest_bus_call(
						brig.gb,
						PVIO_BUS_SET_DRIVER_FEATURES,
						brig.number[0], &features, 8,
						NULL, 0),
					PVIO_BUS_MALFORMED);
			words[0] = htole32(GUEST_BUS_ANY_GENERATION);
			words[1] = htole32(bad[i]);
			words[2] = htole32(bad[j]);
			if (bad[j] != 0)
				ck_assert_int_eq(
					guest_bus_call(brig.gb,
						       PVIO_BUS_SET_CONFIG,
						       brig.number[0], words,
						       12, out, 12),
					PVIO_BUS_MALFORMED);
			if (bad[i] > 8 || bad[j] > 8)
				ck_assert_int_eq(
					guest_bus_get_config(
						brig.gb, brig.number[0], bad[i],
						out, bad[j], &generation),
					PVIO_BUS_BAD_VALUE);
		}
	bus_rig_expect_service();
}
END_TEST

/* H02 */
START_TEST(call_that_is_not_wholly_in_memory_is_dropped)
{
	uint8_t *ram = brig.mem.region[0].host;
	const uint64_t fits = BUS_RIG_BYTES - sizeof(struct pvio_bus_call);
	static const uint64_t bad[] = {
		0,
		BUS_RIG_HOLE_GPA,
		BUS_RIG_GPA - 8,
		UINT64_MAX,
		UINT64_MAX - 7,
		UINT64_MAX - sizeof(struct pvio_bus_call) + 1,
		1ULL << 63,
	};
	unsigned int i;

	ck_assert_uint_eq(call_at(ram + fits, BUS_RIG_GPA + fits, 1), 2);
	for (i = 8; i < sizeof(struct pvio_bus_call); i += 8) {
		memset(ram + fits, 0, sizeof(struct pvio_bus_call));
		ram[fits + i] = PVIO_BUS_CALL_ISSUED;
		guest_bus_operate(brig.gb, BUS_RIG_GPA + fits + i);
		bus_rig_work();
		ck_assert_uint_eq(ram[fits + i], PVIO_BUS_CALL_ISSUED);
	}
	for (i = 1; i < 8; i++)
		ck_assert_uint_eq(call_at(ram + i, BUS_RIG_GPA + i, 1), 1);
	for (i = 0; i < pvio_array_size(bad); i++)
		guest_bus_operate(brig.gb, bad[i]);
	bus_rig_expect_service();
}
END_TEST

/* H16: of a block that is the device's, or nobody's */
START_TEST(call_that_was_not_issued_is_dropped)
{
	static const uint32_t states[] = { 0,         2,          3,
					   0x100,     0x01000000, 0x10001,
					   UINT32_MAX };
	uint64_t gpa;
	void *block = guest_alloc(&brig.mem, sizeof(struct pvio_bus_call), 8,
				  &gpa);
	size_t i;

	for (i = 0; i < pvio_array_size(states); i++)
		ck_assert_uint_eq(call_at(block, gpa, states[i]), states[i]);
	ck_assert_uint_eq(call_at(block, gpa, 1), 2);
	/* The same again, without issuing it: it stays done. */
	memset((uint8_t *)block + 272, 0xee, 264);
	guest_bus_operate(brig.gb, gpa);
	bus_rig_work();
	ck_assert_uint_eq(((uint8_t *)block)[272], 0xee);
	bus_rig_expect_service();
}
END_TEST

/* H02: a response's bits and those nobody knows */
START_TEST(header_of_no_request_is_malformed)
{
	static const uint8_t types[] = { 0x01, 0x03, 0x04, 0x06,
					 0x80, 0x82, 0xfe, 0xff };
	size_t i;

	for (i = 0; i < pvio_array_size(types); i++)
		ck_assert_int_eq(
			message(types[i], PVIO_BUS_PING, 0, HEADER + 4, 4),
			PVIO_BUS_MALFORMED);
	bus_rig_expect_service();
}
END_TEST

/* --- whose it is ----------------------------------------------------------- */

/* H03 */
START_TEST(device_that_is_not_there_is_no_device)
{
	struct pvio_bus_device_info_out info;
	uint16_t gone = brig.number[1];
	unsigned int number;

	pvio_device_destroy(brig.dev[1]);
	brig.dev[1] = NULL;
	for (number = 0; number < 0xffff; number += number < 300 ? 1 : 251)
		if (number != brig.number[0])
			ck_assert_int_eq(guest_bus_device_info(brig.gb,
							       (uint16_t)number,
							       &info),
					 PVIO_BUS_NO_DEVICE);
	ck_assert_int_eq(
		message(0, PVIO_BUS_GET_DEVICE_STATUS, 0xffff, HEADER, 0),
		PVIO_BUS_NO_DEVICE);
	ck_assert_int_eq(guest_bus_set_status(brig.gb, gone, 0, NULL),
			 PVIO_BUS_NO_DEVICE);
	bus_rig_expect_service();
}
END_TEST

/* H17 */
START_TEST(doorbell_of_nobody_is_ignored)
{
	static const uint32_t fixed[] = { 64, 255, 0x7fffffff, 0x80000800,
					  0xffffffff };
	uint32_t i;

	bus_rig_drive(0);
	for (i = 0; i < pvio_array_size(fixed); i++)
		guest_bus_doorbell(brig.gb, fixed[i]);
	for (i = 0; i < 70000; i += i < 3000 ? 1 : 501)
		guest_bus_doorbell(brig.gb, PVIO_BUS_DOORBELL_SIGNAL | i);
	for (i = 0; i < 3000; i++)
		guest_bus_doorbell(brig.gb, i);
	bus_rig_settle();
	bus_rig_expect_service();
}
END_TEST

/* H17 */
START_TEST(route_to_nowhere_is_refused)
{
	static const struct {
		uint16_t device;
		uint8_t mode, level;
		uint32_t queue, notify_queue;
	} bad[] = {
		{ 0, 3, 0, 0, 0 },
		{ 0, 255, 0, 0, 0 },
		{ 0, 2, 8, 0, 0 },
		{ 0, 2, 255, 0, 0 },
		{ 0, 2, 0, PROBE_QUEUES, 0 },
		{ 0, 2, 0, 0x10000, 0 },
		{ 0, 2, 0, 0xfffffffe, 0 },
		{ 0, 1, 0, 0, BUS_RIG_INTERRUPTS },
		{ 0, 2, 0, 0, BUS_RIG_INTERRUPTS },
		{ 0, 2, 0, 0, 0x10000 },
		{ 0, 2, 0, 0, UINT32_MAX },
		{ PVIO_BUS_THE_BUS, 2, 0, 1, 0 },
		{ PVIO_BUS_THE_BUS, 2, 0, PVIO_BUS_QUEUE_CONFIG, 0 },
		{ PVIO_BUS_THE_BUS, 3, 0, 0, 0 },
	};
	struct guest_device *gd = bus_rig_drive(0);
	struct pvio_bus_route_in in;
	struct pvio_bus_route_out out;
	size_t i;

	for (i = 0; i < pvio_array_size(bad); i++) {
		in = (struct pvio_bus_route_in){
			.device = bad[i].device ? bad[i].device
						: brig.number[0],
			.mode = bad[i].mode,
			.level = bad[i].level,
			.queue = bad[i].queue,
			.notify_queue = bad[i].notify_queue,
		};
		ck_assert_msg(guest_bus_route(brig.gb, &in, &out) ==
				      PVIO_BUS_BAD_VALUE,
			      "route %zu", i);
	}
	/* Nothing has changed. */
	bus_rig_echo(gd, 0);
	in = (struct pvio_bus_route_in){ .device = 0x1234 };
	ck_assert_int_eq(guest_bus_route(brig.gb, &in, &out),
			 PVIO_BUS_NO_DEVICE);
	bus_rig_expect_service();
}
END_TEST

/* --- life ------------------------------------------------------------------ */

/* H04 */
START_TEST(reset_twice_and_in_the_middle_of_it_is_a_reset)
{
	struct guest_device *gd = bus_rig_drive(0);
	uint32_t status;
	int rc;

	probe.hold = true;
	bus_rig_submit(gd, 0, false);
	bus_rig_work();
	rc = guest_bus_reset_queue(brig.gb, brig.number[0], 0);
	ck_assert_int_eq(rc, 0);
	(void)guest_bus_reset_queue(brig.gb, brig.number[0], 0);
	for (rc = 0; rc < 5; rc++)
		ck_assert_int_eq(guest_bus_set_status(brig.gb, brig.number[0],
						      0, &status),
				 0);
	/* What is started now has to wait, or is refused; it is not lost. */
	(void)guest_bus_set_status(brig.gb, brig.number[0], 1, &status);
	probe.hold = false;
	bus_rig_release(0, 0);
	bus_rig_expect_service();
}
END_TEST

/* H04 */
START_TEST(device_is_pulled_out_with_requests_in_flight)
{
	struct guest_device *gd = bus_rig_drive(1);

	bus_rig_drive(0);
	bus_rig_submit(gd, 1, false);
	/* The kick is there, and nobody has looked. */
	pvio_device_destroy(brig.dev[1]);
	brig.dev[1] = NULL;
	guest_device_kick(gd, 1);
	bus_rig_settle();
	bus_rig_expect_service();
}
END_TEST

/* H13: the driver never asks what came and went */
START_TEST(events_that_nobody_takes_cost_nothing)
{
	struct pvio_bus_event_out event;
	struct pvio_device *dev;
	unsigned int i, nr = 0;

	for (i = 0; i < 400; i++) {
		ck_assert_int_eq(pvio_device_create("guest", BUS_RIG_CONFIG,
						    brig.control, &brig.control,
						    1, &dev),
				 0);
		/* There may be no number left: that is the guest's doing. */
		if (pvio_device_start(dev) == 0)
			nr++;
		pvio_device_destroy(dev);
	}
	ck_assert_uint_ge(nr, 200);
	do {
		ck_assert_int_eq(guest_bus_get_event(brig.gb, &event), 0);
		ck_assert_uint_le(i--, 400);
	} while (event.event != PVIO_BUS_EVENT_NONE);
	dev = bus_rig_create("after", &event.device);
	pvio_device_destroy(dev);
	bus_rig_expect_service();
}
END_TEST

/* H07 */
START_TEST(queue_is_what_it_was_when_it_was_enabled)
{
	static const uint32_t sizes[] = { 0,       3,
					  17,      2 * PROBE_QUEUE_SIZE,
					  0x8000,  0x10000,
					  0x10010, UINT32_MAX };
	struct guest_device *gd = bus_rig_drive(0);
	const struct guest_ring *ring = guest_device_ring(gd, 0);
	struct pvio_bus_set_queue_in in = {
		.flags = PVIO_BUS_QUEUE_ENABLE,
		.desc = guest_ring_desc(ring),
		.driver = guest_ring_driver(ring),
		.device = guest_ring_device(ring),
	};
	size_t i;

	in.size = 8;
	ck_assert_int_eq(guest_bus_set_queue(brig.gb, brig.number[0], &in),
			 PVIO_BUS_BAD_STATE);
	bus_rig_echo(gd, 0);
	ck_assert_int_eq(guest_device_reset_queue(gd, 0), 0);
	for (i = 0; i < pvio_array_size(sizes); i++) {
		in.size = sizes[i];
		ck_assert_msg(guest_bus_set_queue(brig.gb, brig.number[0],
						  &in) == PVIO_BUS_BAD_VALUE,
			      "size %u", sizes[i]);
	}
	in.size = 16;
	in.index = PROBE_QUEUES;
	ck_assert_int_eq(guest_bus_set_queue(brig.gb, brig.number[0], &in),
			 PVIO_BUS_BAD_VALUE);
	in.index = 0x10000;
	ck_assert_int_eq(guest_bus_set_queue(brig.gb, brig.number[0], &in),
			 PVIO_BUS_BAD_VALUE);
	in.index = 0;
	in.desc = BUS_RIG_HOLE_GPA;
	ck_assert_int_eq(guest_bus_set_queue(brig.gb, brig.number[0], &in),
			 PVIO_BUS_BAD_ADDRESS);
	in.desc = guest_ring_desc(ring) + 1;
	ck_assert_int_eq(guest_bus_set_queue(brig.gb, brig.number[0], &in),
			 PVIO_BUS_BAD_ADDRESS);
	bus_rig_expect_service();
}
END_TEST

/* --- threads --------------------------------------------------------------- */

static bool stop;

/* What another CPU does meanwhile: no thread of ours, for TSan. */
static __attribute__((no_sanitize("thread"))) void *rewrite_request(void *arg)
{
	volatile uint8_t *block = arg;
	unsigned int i = 0;

	while (!pvio_load_once(&stop)) {
		block[8 + i % 16] = (uint8_t)i;
		block[0] = (uint8_t)(i % 3);
		i += 7;
	}
	return NULL;
}

/* H09 */
START_TEST(request_is_what_it_was_when_it_was_copied)
{
	struct pvio_bus_call *block;
	pthread_t thread;
	unsigned int i;
	uint64_t gpa;

	block = guest_alloc(&brig.mem, sizeof(*block), 8, &gpa);
	stop = false;
	ck_assert_int_eq(pthread_create(&thread, NULL, rewrite_request, block),
			 0);
	for (i = 0; i < 20000; i++)
		guest_bus_operate(brig.gb, gpa);
	pvio_store_once(&stop, true);
	pthread_join(thread, NULL);
	bus_rig_expect_service();
}
END_TEST

struct vcpu {
	pthread_t thread;
	struct pvio_bus_call *block;
	uint64_t gpa;
	unsigned int seed;
};

/* Calls of all kinds on a block of one's own, beside those of others. */
static void *call_around(void *arg)
{
	struct vcpu *v = arg;
	struct pvio_bus_header header = { 0 };
	uint32_t words[10];
	unsigned int i, j;

	for (i = 0; i < 3000; i++) {
		bool is_bus = rand_r(&v->seed) % 2;
		static const uint8_t bytes[2][16] = {
			{ [3] = 8,
			  [5] = 8,
			  [8] = 4,
			  [9] = 4,
			  [10] = 40,
			  [11] = 4,
			  [12] = 4 },
			{ [2] = 4,
			  [3] = 4,
			  [8] = 0,
			  [9] = 0,
			  [10] = 24,
			  [11] = 12,
			  [12] = 0 },
		};
		unsigned int id = 2 + (unsigned int)rand_r(&v->seed) % 11;
		uint8_t len = bytes[is_bus][id];

		for (j = 0; j < 10; j++)
			words[j] = (uint32_t)rand_r(&v->seed) % 4;
		words[2] = rand_r(&v->seed) % 2 ? BUS_RIG_GPA : 0;
		header.type = is_bus ? PVIO_BUS_TYPE_BUS : 0;
		header.id = (uint8_t)(is_bus && id >= 8 ? id + 0x78 : id);
		header.device = is_bus ? 0 : brig.number[i % 2];
		header.size = (uint16_t)(HEADER + len);
		memcpy(v->block->request, &header, HEADER);
		memcpy(v->block->request + HEADER, words, len);
		pvio_store_release(&v->block->state, 1);
		guest_bus_operate(brig.gb, v->gpa);
		if (pvio_load_acquire(&v->block->state) != 2)
			return "a call was lost";
		if (v->block->result > PVIO_BUS_NO_ROOM)
			return "no such result";
	}
	return NULL;
}

/* H15 */
START_TEST(calls_of_several_cpus_are_one_after_the_other)
{
	struct vcpu vcpus[4];
	void *failed;
	unsigned int i;

	/* Where they have areas: not on a block. */
	ck_assert_ptr_nonnull(guest_alloc(&brig.mem, 8192, 4096, NULL));
	for (i = 0; i < 4; i++) {
		vcpus[i].seed = i;
		vcpus[i].block = guest_alloc(&brig.mem, sizeof(*vcpus[i].block),
					     8, &vcpus[i].gpa);
		ck_assert_int_eq(pthread_create(&vcpus[i].thread, NULL,
						call_around, &vcpus[i]),
				 0);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(vcpus[i].thread, &failed);
		ck_assert_msg(!failed, "%s", (const char *)failed);
	}
	bus_rig_expect_service();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		unknown_operation_is_refused_or_ignored,
		access_that_is_no_register_reads_as_ones,
		driver_does_not_go_on_with_a_bus_it_does_not_know,
		unknown_message_is_unknown,
		message_that_lies_about_its_size_is_malformed,
		message_of_another_length_is_malformed,
		counts_that_do_not_fit_the_message_are_refused,
		call_that_is_not_wholly_in_memory_is_dropped,
		call_that_was_not_issued_is_dropped,
		header_of_no_request_is_malformed,
		device_that_is_not_there_is_no_device,
		doorbell_of_nobody_is_ignored,
		route_to_nowhere_is_refused,
		reset_twice_and_in_the_middle_of_it_is_a_reset,
		device_is_pulled_out_with_requests_in_flight,
		events_that_nobody_takes_cost_nothing,
		queue_is_what_it_was_when_it_was_enabled,
	};
	const TTest *const threads[] = {
		request_is_what_it_was_when_it_was_copied,
		calls_of_several_cpus_are_one_after_the_other,
	};

	return bus_rig_run("hostile: bus", tests, pvio_array_size(tests), threads,
			   pvio_array_size(threads));
}
