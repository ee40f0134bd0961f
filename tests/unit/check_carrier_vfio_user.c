/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_carrier_vfio_user.c - a window as a PCI function: its memory, interrupts
 * and doorbell
 *
 * The broker is played by the test: it says what window there is, and is told
 * of the appliance's VMM, a vfio-user client.  All are on this thread.
 */
#include "tests/check_main.h"

#include "core/config.h"
#include "core/worker.h"
#include "guest/vfio-user.h"
#include "transports/vhost-pci/abi.h"
#include "transports/vhost-pci/broker/broker.h"

#include <json-c/json.h>

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define WINDOW_BYTES (4u << 20)
#define NR_VECTORS   8
#define CFG_COMMAND  0x04
#define CFG_CONTROL  0xb4 /* of PCI Express: function level reset */
#define CMD_MEMORY   0x2
#define CMD_MASTER   0x4
#define TRIGGER	     (VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_TRIGGER)
#define RING(n)	     (1 + (n)) /* a slot that is not the control area's */
#define NO_NUMBER    -1000

static const struct carrier_ops *const ops = &carrier_vfio_user_ops;
static char dir[sizeof("/tmp/pvio-carrier-XXXXXX")], path[sizeof(dir) + 8];
static struct pvio_worker *worker;
static struct pvio_config_file *config;
static struct broker broker;
static struct carrier *carrier;
static struct guest_vfu client;
static uint8_t *memory;
static int came, left;	       /* how often the broker was told so */
static int irq[NR_VECTORS];    /* the client's eventfds */
static int b_kick, b_call, b_other; /* those of B's VMM */

void broker_appliance_came(struct broker *b)
{
	ck_assert_ptr_eq(b, &broker);
	ck_assert_int_eq(came, left);
	came++;
}

void broker_appliance_left(struct broker *b)
{
	ck_assert_ptr_eq(b, &broker);
	left++;
	ck_assert_int_eq(came, left);
}

static bool is_clean;

bool broker_is_clean(const struct broker *b)
{
	ck_assert_ptr_eq(b, &broker);
	return is_clean;
}

/* --- the rig ---------------------------------------------------------------- */

static int event_fd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static void settle(void)
{
	unsigned int i;

	for (i = 0; i < 1000 && pvio_worker_step(worker); i++)
		;
	ck_assert_uint_lt(i, 1000);
}

/* How often was it written since we last looked? */
static uint64_t count_of(int fd)
{
	uint64_t count = 0;

	settle();
	if (read(fd, &count, sizeof(count)) < 0)
		ck_assert_int_eq(errno, EAGAIN);
	return count;
}

static void add_one(int fd)
{
	const uint64_t one = 1;

	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
}

static int make(const char *extra)
{
	char text[256];

	snprintf(text, sizeof(text), "socket = \"%s\"; %s", path, extra);
	ck_assert_int_eq(pvio_config_parse("window", text, &config), 0);
	return ops->create(&broker, pvio_config_root(config), &carrier);
}

static void on_done(void *arg, int rc)
{
	*(int *)arg = rc;
}

static void stop(void)
{
	int rc = NO_NUMBER;

	ops->stop(carrier, on_done, &rc);
	settle();
	ck_assert_int_eq(rc, 0);
}

static void setup(void)
{
	unsigned int i;

	snprintf(dir, sizeof(dir), "/tmp/pvio-carrier-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	ck_assert_int_eq(pvio_worker_create("test", &worker), 0);
	memset(&broker, 0, sizeof(broker));
	broker.name = (char *)(uintptr_t)"window";
	broker.control = worker;
	broker.memory.fd = memfd_create("window", MFD_CLOEXEC);
	broker.memory.bytes = WINDOW_BYTES;
	ck_assert_int_eq(ftruncate(broker.memory.fd, WINDOW_BYTES), 0);
	memory = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		      broker.memory.fd, 0);
	ck_assert(memory != MAP_FAILED);
	came = left = 0;
	is_clean = true;
	client.fd = -1;
	for (i = 0; i < NR_VECTORS; i++)
		irq[i] = event_fd();
	b_kick = event_fd();
	b_call = event_fd();
	b_other = event_fd();
	ck_assert_int_eq(make("vectors = 8;"), 0);
	ck_assert_int_eq(ops->start(carrier), 0);
}

static void teardown(void)
{
	unsigned int i;

	stop();
	guest_vfu_close(&client);
	ops->destroy(carrier);
	pvio_config_close(config);
	for (i = 0; i < NR_VECTORS; i++)
		close(irq[i]);
	close(b_kick);
	close(b_call);
	close(b_other);
	munmap(memory, WINDOW_BYTES);
	close(broker.memory.fd);
	pvio_worker_destroy(worker);
	rmdir(dir);
}

/* --- the appliance's side --------------------------------------------------- */

static void set_master(bool is_on)
{
	uint16_t command = is_on ? CMD_MEMORY | CMD_MASTER : CMD_MEMORY;

	ck_assert_int_eq(guest_vfu_write(&client, VFU_REGION_CONFIG,
					 CFG_COMMAND, &command,
					 sizeof(command)),
			 0);
}

static void set_irqs(void)
{
	ck_assert_int_eq(guest_vfu_set_irqs(&client, TRIGGER, VFU_IRQ_MSIX, 0,
					    NR_VECTORS, irq, NR_VECTORS),
			 0);
}

static void connect_client(void)
{
	ck_assert_int_eq(guest_vfu_connect(&client, path, worker), 0);
	ck_assert_int_eq(guest_vfu_version(&client, NULL), 0);
}

/* A VMM, and a driver in its guest, which has all interrupts. */
static void begin(void)
{
	connect_client();
	set_irqs();
	set_master(true);
}

static void ring(uint32_t value)
{
	value = htole32(value);
	ck_assert_int_eq(guest_vfu_write(&client, WINDOW_PCI_REGISTERS,
					 WINDOW_REG_DOORBELL, &value,
					 sizeof(value)),
			 0);
}

static uint32_t register_at(uint64_t offset)
{
	uint32_t value = 0xa5a5a5a5;

	ck_assert_int_eq(guest_vfu_read(&client, WINDOW_PCI_REGISTERS, offset,
					&value, sizeof(value)),
			 0);
	return le32toh(value);
}

/* --- the broker's ----------------------------------------------------------- */

static uint32_t kick(unsigned int slot, int fd)
{
	uint32_t number = UINT32_MAX;

	ck_assert_int_eq(ops->kick(carrier, slot, fd, &number), 0);
	return number;
}

static int call(unsigned int slot, int fd)
{
	int number = NO_NUMBER;

	ops->call(carrier, slot, fd, on_done, &number);
	ck_assert_int_ne(number, NO_NUMBER);
	return number;
}

static int64_t stat_of(const char *key)
{
	char members[1024] = "", text[sizeof(members) + 2];
	struct json_object *json, *value;
	int64_t number;

	ops->describe(carrier, members, sizeof(members));
	snprintf(text, sizeof(text), "{%s}", members);
	json = json_tokener_parse(text);
	ck_assert_msg(json_object_object_get_ex(json, key, &value),
		      "no %s in %s", key, text);
	number = json_object_get_int64(value);
	json_object_put(json);
	return number;
}

/* --- what the function is --------------------------------------------------- */

START_TEST(function_is_a_window_with_registers_like_ivshmems)
{
	uint32_t ids = 0, bar = 0;
	struct vfu_irq_info info;

	connect_client();
	ck_assert_int_eq(guest_vfu_read(&client, VFU_REGION_CONFIG, 0, &ids,
					sizeof(ids)),
			 0);
	ck_assert_uint_eq(ids, 0x70771234);
	ck_assert_int_eq(guest_vfu_read(&client, VFU_REGION_CONFIG, 0x18, &bar,
					sizeof(bar)),
			 0);
	ck_assert_uint_eq(bar, 0xc);
	ck_assert_int_eq(guest_vfu_irq_info(&client, VFU_IRQ_MSIX, &info), 0);
	ck_assert_uint_eq(info.count, NR_VECTORS);
	ck_assert_uint_eq(register_at(0x00), 0);
	ck_assert_uint_eq(register_at(0x04), 0);
	ck_assert_uint_eq(register_at(WINDOW_REG_POSITION), 0);
	ck_assert_uint_eq(register_at(WINDOW_REG_DOORBELL), 0);
	ck_assert_uint_eq(register_at(0x10), UINT32_MAX);
}
END_TEST

START_TEST(window_is_the_brokers_memory)
{
	struct guest_vfu_region region;
	uint8_t *map;

	connect_client();
	ck_assert_int_eq(guest_vfu_region_info(&client, WINDOW_PCI_MEMORY,
					       &region),
			 0);
	ck_assert_uint_eq(region.size, WINDOW_BYTES);
	map = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		   region.fd, (off_t)region.offset);
	ck_assert(map != MAP_FAILED);
	close(region.fd);
	memory[WINDOW_BYTES - 1] = 0x77;
	ck_assert_uint_eq(map[WINDOW_BYTES - 1], 0x77);
	map[5] = 0x88;
	ck_assert_uint_eq(memory[5], 0x88);
	munmap(map, WINDOW_BYTES);
}
END_TEST

START_TEST(vectors_are_as_many_as_wanted)
{
	struct vfu_irq_info info;

	stop();
	ops->destroy(carrier);
	pvio_config_close(config);
	ck_assert_int_eq(make("vectors = 1;"), -EINVAL);
	pvio_config_close(config);
	ck_assert_int_eq(make("vectors = 513;"), -EINVAL);
	pvio_config_close(config);
	ck_assert_int_eq(make(""), 0);
	ck_assert_int_eq(pvio_config_finish(pvio_config_root(config)), 0);
	ck_assert_int_eq(ops->start(carrier), 0);
	connect_client();
	ck_assert_int_eq(guest_vfu_irq_info(&client, VFU_IRQ_MSIX, &info), 0);
	ck_assert_uint_eq(info.count, 64);
}
END_TEST

/* --- kicks ------------------------------------------------------------------ */

START_TEST(kick_interrupts_the_appliance)
{
	uint32_t number, control;

	begin();
	number = kick(RING(70), b_kick);
	control = kick(CARRIER_SLOT_CONTROL, b_other);
	/* Interrupt 0 is the control area's, whoever comes first. */
	ck_assert_uint_eq(control, 0);
	ck_assert_uint_eq(number, 1);
	ck_assert_uint_eq(count_of(irq[1]), 0);
	add_one(b_kick);
	ck_assert_uint_eq(count_of(irq[1]), 1);
	add_one(b_kick);
	ck_assert_uint_eq(count_of(irq[1]), 1);
	ck_assert_uint_eq(count_of(irq[0]), 0);
	add_one(b_other);
	ck_assert_uint_eq(count_of(irq[0]), 1);
	ck_assert_int_eq(stat_of("relayed_kicks"), 3);
}
END_TEST

START_TEST(kick_that_came_before_it_was_watched_is_not_lost)
{
	uint32_t number;

	begin();
	add_one(b_kick);
	number = kick(RING(0), b_kick);
	ck_assert_uint_eq(count_of(irq[number]), 1);
}
END_TEST

START_TEST(kicks_have_vectors_while_there_are_some)
{
	unsigned int i;
	uint32_t number = 0;

	begin();
	for (i = 1; i < NR_VECTORS; i++)
		ck_assert_uint_eq(kick(RING(60 * i), b_kick), i);
	ck_assert_int_eq(ops->kick(carrier, RING(1), b_kick, &number), -ENOSPC);
	/* Those who have one keep it, and there is one for control. */
	ck_assert_uint_eq(kick(RING(60), b_kick), 1);
	ck_assert_uint_eq(kick(CARRIER_SLOT_CONTROL, b_kick), 0);
	ck_assert_int_eq(ops->kick(carrier, CARRIER_MAX_SLOTS, b_kick,
				   &number),
			 -EINVAL);
}
END_TEST

START_TEST(other_eventfd_takes_the_place_of_the_one_before)
{
	uint32_t number;

	begin();
	number = kick(RING(3), b_kick);
	ck_assert_uint_eq(count_of(irq[number]), 0);
	ck_assert_uint_eq(kick(RING(3), b_other), number);
	/* Something may have come meanwhile: better once too often. */
	ck_assert_uint_eq(count_of(irq[number]), 1);
	add_one(b_kick);
	ck_assert_uint_eq(count_of(irq[number]), 0);
	add_one(b_other);
	ck_assert_uint_eq(count_of(irq[number]), 1);
	/* And none: twice is the same. */
	ck_assert_int_eq(ops->kick(carrier, RING(3), -1, &number), 0);
	ck_assert_int_eq(ops->kick(carrier, RING(3), -1, &number), 0);
	ck_assert_int_eq(ops->kick(carrier, RING(4), -1, &number), 0);
	add_one(b_other);
	ck_assert_uint_eq(count_of(irq[number]), 0);
	ck_assert_uint_eq(kick(RING(3), b_kick), number);
}
END_TEST

START_TEST(interrupt_waits_for_bus_mastering_and_for_an_eventfd)
{
	uint32_t number;

	connect_client();
	number = kick(RING(0), b_kick);
	add_one(b_kick);
	set_irqs();
	ck_assert_uint_eq(count_of(irq[number]), 0);
	set_master(true);
	ck_assert_uint_eq(count_of(irq[number]), 1);
	set_master(false);
	add_one(b_kick);
	add_one(b_kick);
	ck_assert_uint_eq(count_of(irq[number]), 0);
	/* A message for all of them. */
	set_master(true);
	ck_assert_uint_eq(count_of(irq[number]), 1);
	/* A vector that is masked has no eventfd. */
	ck_assert_int_eq(guest_vfu_set_irqs(&client, TRIGGER, VFU_IRQ_MSIX,
					    number, 1, NULL, 0),
			 0);
	add_one(b_kick);
	ck_assert_uint_eq(count_of(irq[number]), 0);
	set_irqs();
	ck_assert_uint_eq(count_of(irq[number]), 1);
}
END_TEST


/* --- calls ------------------------------------------------------------------ */

START_TEST(doorbell_notifies_the_slot_that_is_written)
{
	int value, control;

	begin();
	value = call(RING(511 - 1), b_call);
	control = call(CARRIER_SLOT_CONTROL, b_other);
	ck_assert_int_ge(value, 0);
	ck_assert_int_ge(control, 0);
	ring((uint32_t)value);
	ring((uint32_t)value);
	ck_assert_uint_eq(count_of(b_call), 2);
	ck_assert_uint_eq(count_of(b_other), 0);
	ring((uint32_t)control);
	ck_assert_uint_eq(count_of(b_other), 1);
	ck_assert_int_eq(stat_of("relayed_calls"), 3);
}
END_TEST

START_TEST(call_has_one_number_whatever_its_eventfd)
{
	int value;

	begin();
	value = call(RING(9), -1);
	ring((uint32_t)value);
	ck_assert_int_eq(call(RING(9), b_call), value);
	ring((uint32_t)value);
	ck_assert_uint_eq(count_of(b_call), 1);
	ck_assert_int_eq(call(RING(9), b_other), value);
	ring((uint32_t)value);
	ck_assert_uint_eq(count_of(b_call), 0);
	ck_assert_uint_eq(count_of(b_other), 1);
	ck_assert_int_eq(call(RING(9), -1), value);
	ring((uint32_t)value);
	ck_assert_uint_eq(count_of(b_other), 0);
	ck_assert_int_eq(stat_of("unknown_calls"), 2);
}
END_TEST

/* --- the client comes and goes ---------------------------------------------- */

START_TEST(signals_are_set_up_only_while_somebody_is_there)
{
	uint32_t number = 77;

	ck_assert_int_eq(ops->kick(carrier, RING(0), b_kick, &number),
			 -ENOTCONN);
	ck_assert_int_eq(ops->kick(carrier, RING(0), -1, &number), 0);
	ck_assert_uint_eq(number, 77);
	ck_assert_int_eq(call(RING(0), b_call), -ENOTCONN);
	ck_assert_int_eq(came, 0);
	begin();
	ck_assert_int_eq(came, 1);
	/* No eventfd at all. */
	ck_assert_int_lt(ops->kick(carrier, RING(0), broker.memory.fd,
				   &number),
			 0);
	ck_assert_int_lt(call(RING(0), broker.memory.fd), 0);
	ck_assert_int_eq(call(CARRIER_MAX_SLOTS, b_call), -EINVAL);
}
END_TEST

START_TEST(who_comes_next_finds_nothing_of_who_left)
{
	uint32_t number;
	int value;

	begin();
	number = kick(RING(5), b_kick);
	value = call(RING(5), b_call);
	/* It leaves with an interrupt that it has not taken. */
	ck_assert_int_eq(guest_vfu_set_irqs(&client, TRIGGER, VFU_IRQ_MSIX,
					    number, 1, NULL, 0),
			 0);
	add_one(b_kick);
	settle();
	guest_vfu_close(&client);
	settle();
	ck_assert_int_eq(left, 1);
	add_one(b_kick);
	settle();
	begin();
	ck_assert_int_eq(came, 2);
	ck_assert_uint_eq(count_of(irq[number]), 0);
	ring((uint32_t)value);
	ck_assert_uint_eq(count_of(b_call), 0);
	/* It begins with the vectors from the first on. */
	ck_assert_uint_eq(kick(RING(6), b_other), 1);
	ck_assert_int_eq(call(RING(5), b_call), value);
	ring((uint32_t)value);
	ck_assert_uint_eq(count_of(b_call), 1);
}
END_TEST

static bool has_client(void)
{
	char members[1024];

	ops->describe(carrier, members, sizeof(members));
	return strstr(members, "\"connected\": true");
}

/* X10 */
START_TEST(who_comes_next_waits_for_a_clean_window)
{
	uint64_t end;

	begin();
	ck_assert(has_client());
	is_clean = false;
	guest_vfu_close(&client);
	ck_assert_int_eq(guest_vfu_connect(&client, path, worker), 0);
	end = pvio_now_ns() + 300000000;
	while (pvio_now_ns() < end) {
		pvio_worker_wait(worker, 10);
		ck_assert(!has_client());
	}
	is_clean = true;
	ck_assert_int_eq(guest_vfu_version(&client, NULL), 0);
	ck_assert_int_eq(came, 2);
}
END_TEST

START_TEST(stop_lets_the_client_go_and_another_start_takes_one)
{
	begin();
	(void)kick(RING(0), b_kick);
	(void)call(RING(0), b_call);
	stop();
	ck_assert_int_eq(left, 1);
	add_one(b_kick);
	settle();
	guest_vfu_close(&client);
	ck_assert_int_eq(ops->start(carrier), 0);
	begin();
	ck_assert_int_eq(came, 2);
	ck_assert_uint_eq(kick(RING(0), b_other), 1);
	add_one(b_other);
	ck_assert_uint_eq(count_of(irq[1]), 1);
}
END_TEST

/* Set up, and a kick waits. */
static void begin_kicked(void)
{
	begin();
	(void)kick(RING(7), b_kick);
	ck_assert_uint_eq(kick(RING(0), b_kick), 2);
	(void)call(RING(0), b_call);
	set_master(false);
	add_one(b_kick);
	settle();
}

static void expect_another(void)
{
	int value;

	ck_assert_int_eq(left, 1);
	ck_assert_int_eq(came, 2);
	set_irqs();
	set_master(true);
	add_one(b_kick);
	ck_assert_uint_eq(count_of(irq[2]), 0);
	ring(RING(0));
	ck_assert_uint_eq(count_of(b_call), 0);
	/* Everything is set up again as for anybody. */
	ck_assert_uint_eq(kick(RING(0), b_other), 1);
	value = call(RING(0), b_call);
	add_one(b_other);
	ck_assert_uint_ge(count_of(irq[1]), 1);
	ring((uint32_t)value);
	ck_assert_uint_eq(count_of(b_call), 1);
}

START_TEST(machine_that_is_reset_is_another_appliance)
{
	begin_kicked();
	ck_assert_int_eq(guest_vfu_reset(&client), 0);
	expect_another();
}
END_TEST

/* What VFIO does when the process that had the function is gone. */
START_TEST(function_that_is_reset_has_another_appliance)
{
	const uint16_t flr = htole16(0x8000);

	begin_kicked();
	ck_assert_int_eq(guest_vfu_write(&client, VFU_REGION_CONFIG,
					 CFG_CONTROL, &flr, sizeof(flr)),
			 0);
	expect_another();
}
END_TEST

/* --- hostile ---------------------------------------------------------------- */

START_TEST(x07_doorbells_of_nobody_are_dropped)
{
	static const uint32_t values[] = { 1, CARRIER_MAX_SLOTS, 0x10000,
					   UINT32_MAX };
	uint64_t wide = 0;
	unsigned int i;

	begin();
	(void)call(CARRIER_SLOT_CONTROL, b_call);
	for (i = 0; i < pvio_array_size(values); i++)
		ring(values[i]);
	ck_assert_int_eq(stat_of("unknown_calls"), pvio_array_size(values));
	/* Nor is a write of another size or place one. */
	for (i = 1; i <= sizeof(wide); i++) {
		if (i == sizeof(uint32_t))
			continue;
		ck_assert_int_eq(guest_vfu_write(&client, WINDOW_PCI_REGISTERS,
						 WINDOW_REG_DOORBELL, &wide,
						 i),
				 0);
	}
	for (i = 0; i < 64; i++)
		if (i != WINDOW_REG_DOORBELL)
			ck_assert_int_eq(
				guest_vfu_write(&client, WINDOW_PCI_REGISTERS,
						i, &wide, sizeof(uint32_t)),
				0);
	ck_assert_uint_eq(count_of(b_call), 0);
	ck_assert_int_eq(stat_of("relayed_calls"), 0);
}
END_TEST

/* All that it posts is served in the end, and others are served meanwhile. */
START_TEST(x07_storm_of_doorbells_leaves_room_for_kicks)
{
	const uint32_t value = htole32(1);
	unsigned int posted = 0, i;
	uint64_t count = 0;
	uint32_t number;

	begin();
	ck_assert_int_eq(call(1, b_call), 1);
	number = kick(RING(0), b_kick);
	settle();
	for (i = 0; i < 200; i++)
		posted += guest_vfu_post(&client, WINDOW_PCI_REGISTERS,
					 WINDOW_REG_DOORBELL, &value,
					 sizeof(value)) == 0;
	add_one(b_kick);
	for (i = 0; i < 3; i++)
		pvio_worker_step(worker);
	ck_assert_int_eq(read(irq[number], &count, sizeof(count)),
			 sizeof(count));
	ck_assert_int_lt(stat_of("relayed_calls"), posted);
	settle();
	ck_assert_uint_eq(count_of(b_call), posted);
}
END_TEST

/* However often B writes between two turns, that is one interrupt. */
START_TEST(x07_storm_of_kicks_is_one_interrupt_a_turn)
{
	uint32_t number;
	unsigned int i;

	begin();
	number = kick(RING(0), b_kick);
	settle();
	for (i = 0; i < 1000; i++)
		add_one(b_kick);
	ck_assert_uint_eq(count_of(irq[number]), 1);
	ck_assert_int_eq(stat_of("relayed_kicks"), 1);
}
END_TEST

/* B's VMM shares the open file: it may have filled it, too. */
START_TEST(h12_eventfd_that_is_full_holds_nobody_up)
{
	const uint64_t full = UINT64_MAX - 1;
	int value;

	begin();
	value = call(RING(0), b_call);
	ck_assert_int_eq(write(b_call, &full, sizeof(full)), sizeof(full));
	ring((uint32_t)value);
	ring((uint32_t)value);
	ck_assert_uint_eq(count_of(b_call), full);
	ring((uint32_t)value);
	ck_assert_uint_eq(count_of(b_call), 1);
}
END_TEST

START_TEST(x06_file_that_shrinks_costs_the_broker_nothing)
{
	uint32_t word = 1;

	begin();
	memory[4096] = 0xff;
	ck_assert_int_eq(ftruncate(broker.memory.fd, 0), 0);
	ck_assert_int_eq(guest_vfu_read(&client, WINDOW_PCI_MEMORY, 4096,
					&word, sizeof(word)),
			 0);
	ck_assert_uint_eq(word, 0);
	ck_assert_int_eq(guest_vfu_write(&client, WINDOW_PCI_MEMORY, 4096,
					 &word, sizeof(word)),
			 0);
	ck_assert_uint_eq(register_at(WINDOW_REG_POSITION), 0);
}
END_TEST

/* Connects, and says nothing or rubbish. */
START_TEST(x12_who_does_not_speak_vfio_user_is_no_appliance)
{
	ck_assert_int_eq(guest_vfu_connect(&client, path, worker), 0);
	settle();
	ck_assert_int_eq(guest_vfu_send_bytes(&client, "GET / HTTP/1.0\r\n\r\n",
					      18, NULL, 0),
			 0);
	settle();
	ck_assert_int_eq(came, 0);
	guest_vfu_close(&client);
	settle();
	ck_assert_int_eq(left, 0);
	begin();
	ck_assert_int_eq(came, 1);
}
END_TEST

CHECK_MAIN("carrier-vfio-user", setup, teardown,
	   function_is_a_window_with_registers_like_ivshmems,
	   window_is_the_brokers_memory, vectors_are_as_many_as_wanted,
	   kick_interrupts_the_appliance,
	   kick_that_came_before_it_was_watched_is_not_lost,
	   kicks_have_vectors_while_there_are_some,
	   other_eventfd_takes_the_place_of_the_one_before,
	   interrupt_waits_for_bus_mastering_and_for_an_eventfd,
	   doorbell_notifies_the_slot_that_is_written,
	   call_has_one_number_whatever_its_eventfd,
	   signals_are_set_up_only_while_somebody_is_there,
	   who_comes_next_finds_nothing_of_who_left,
	   who_comes_next_waits_for_a_clean_window,
	   stop_lets_the_client_go_and_another_start_takes_one,
	   machine_that_is_reset_is_another_appliance,
	   function_that_is_reset_has_another_appliance,
	   x07_doorbells_of_nobody_are_dropped,
	   x07_storm_of_doorbells_leaves_room_for_kicks,
	   x07_storm_of_kicks_is_one_interrupt_a_turn,
	   h12_eventfd_that_is_full_holds_nobody_up,
	   x06_file_that_shrinks_costs_the_broker_nothing,
	   x12_who_does_not_speak_vfio_user_is_no_appliance)
