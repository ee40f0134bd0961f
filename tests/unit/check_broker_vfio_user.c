/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_broker_vfio_user.c - a window's broker behind a PCI function: a front-end
 * of B reaches an appliance that has the window from a vfio-user client
 *
 * The appliance is written here by hand, message by message; it has the BAR, an
 * eventfd for each vector, and the doorbell.  All are on this thread.
 */
#include "tests/check_main.h"

#include "core/config.h"
#include "core/virtio.h"
#include "core/worker.h"
#include "guest/vfio-user.h"
#include "guest/vhost-user.h"
#include "transports/vhost-pci/broker/broker.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define WINDOW_BYTES (8u << 20)
#define NR_VECTORS   8
#define MAX_TURNS    1000
#define MASTER	     0x6 /* memory, too */
#define TRIGGER	     (VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_TRIGGER)

static char dir[sizeof("/tmp/pvio-broker-XXXXXX")], a_path[64], b_path[64],
	ram[64];
static struct pvio_worker *worker;
static struct pvio_config_file *config;
static struct broker *broker;
static struct guest_vfu a;
static struct guest_vu b;
static uint8_t *window; /* as the appliance has it, or NULL */
static struct window_header *header;
static struct window_port *port;
static struct window_channel channel;
static int irq[NR_VECTORS];

/* --- the rig ---------------------------------------------------------------- */

static void settle(void)
{
	unsigned int i;

	for (i = 0; i < MAX_TURNS && pvio_worker_step(worker); i++)
		;
	ck_assert_uint_lt(i, MAX_TURNS);
}

static uint64_t count_of(int fd)
{
	uint64_t count = 0;

	settle();
	if (read(fd, &count, sizeof(count)) < 0)
		ck_assert_int_eq(errno, EAGAIN);
	return count;
}

static void broker_make(void)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "carrier = \"vfio-user\"; socket = \"%s\"; vectors = %d; "
		 "window = \"ram\"; file = \"%s\"; "
		 "ports = ( { name = \"b\"; socket = \"%s\"; } );",
		 a_path, NR_VECTORS, ram, b_path);
	ck_assert_int_eq(pvio_config_parse("window", text, &config), 0);
	ck_assert_int_eq(broker_create("w", pvio_config_root(config), worker,
				       &worker, 1, &broker),
			 0);
	ck_assert_int_eq(broker_start(broker), 0);
}

static void setup(void)
{
	unsigned int i;
	int fd;

	snprintf(dir, sizeof(dir), "/tmp/pvio-broker-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(a_path, sizeof(a_path), "%s/a", dir);
	snprintf(b_path, sizeof(b_path), "%s/b", dir);
	snprintf(ram, sizeof(ram), "%s/ram", dir);
	fd = open(ram, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(ftruncate(fd, WINDOW_BYTES), 0);
	close(fd);
	ck_assert_int_eq(pvio_worker_create("test", &worker), 0);
	a.fd = b.fd = -1;
	for (i = 0; i < NR_VECTORS; i++)
		irq[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	broker_make();
}

static void a_leaves(void)
{
	if (window)
		munmap(window, WINDOW_BYTES);
	window = NULL;
	guest_vfu_close(&a);
}

static void teardown(void)
{
	unsigned int i;

	guest_vu_close(&b);
	a_leaves();
	broker_destroy(broker);
	pvio_config_close(config);
	pvio_worker_destroy(worker);
	for (i = 0; i < NR_VECTORS; i++)
		close(irq[i]);
	unlink(ram);
	unlink(b_path);
	ck_assert_int_eq(rmdir(dir), 0);
}

/* --- the appliance ---------------------------------------------------------- */

/* Its driver takes the function: interrupts, bus mastering. */
static void a_drives(void)
{
	const uint16_t command = htole16(MASTER);

	ck_assert_int_eq(guest_vfu_set_irqs(&a, TRIGGER, VFU_IRQ_MSIX, 0,
					    NR_VECTORS, irq, NR_VECTORS),
			 0);
	ck_assert_int_eq(guest_vfu_write(&a, VFU_REGION_CONFIG, 4, &command,
					 sizeof(command)),
			 0);
}

static void a_comes(void)
{
	struct guest_vfu_region region;

	ck_assert_int_eq(guest_vfu_connect(&a, a_path, worker), 0);
	ck_assert_int_eq(guest_vfu_version(&a, NULL), 0);
	ck_assert_int_eq(guest_vfu_region_info(&a, WINDOW_PCI_MEMORY, &region),
			 0);
	ck_assert_uint_eq(region.size, WINDOW_BYTES);
	window = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		      region.fd, (off_t)region.offset);
	ck_assert(window != MAP_FAILED);
	close(region.fd);
	header = (void *)(window + window_control_offset(WINDOW_BYTES));
	port = (void *)(window + window_port_offset(WINDOW_BYTES, 0));
	ck_assert(le64toh(header->magic) == WINDOW_MAGIC);
	ck_assert_uint_eq(le64toh(header->bytes), WINDOW_BYTES);
	a_drives();
}

static void a_rings(uint32_t value)
{
	value = htole32(value);
	ck_assert_int_eq(guest_vfu_write(&a, WINDOW_PCI_REGISTERS,
					 WINDOW_REG_DOORBELL, &value,
					 sizeof(value)),
			 0);
	settle();
}

static void a_tells(void)
{
	a_rings(le32toh(header->doorbell));
}

/* Its program begins, and opens its port. */
static void a_opens(void)
{
	static uint32_t epoch = 100;

	window_channel_open(&channel, port, WINDOW_GUEST);
	window_channel_drain(&channel);
	port->device_id = htole32(VIRTIO_ID_BLOCK);
	port->nr_queues = htole32(2);
	port->queue_size = htole32(256);
	port->queues_per_unit = htole32(1);
	pvio_store_release(&header->guest_epoch, htole32(++epoch));
	pvio_store_release(&port->is_open, htole32(1));
	a_tells();
}

/* It serves whoever is there. */
static void a_serves(void)
{
	uint32_t session = pvio_load_acquire(&port->session);

	ck_assert_uint_ne(session, 0);
	pvio_store_release(&port->served, session);
	a_tells();
}

/* The next frame, a message of that kind. */
static void a_takes(uint32_t request, struct window_frame *frame)
{
	uint8_t payload[WINDOW_MAX_PAYLOAD];
	struct vu_header message;

	settle();
	ck_assert_int_eq(window_channel_receive(&channel, frame, payload), 1);
	ck_assert_uint_eq(frame->session, le32toh(port->session));
	memcpy(&message, payload, sizeof(message));
	ck_assert_uint_eq(message.request, request);
}

static void a_answers(uint32_t request, uint64_t value)
{
	const struct vu_header message = { request, VU_VERSION | VU_REPLY,
					   sizeof(value) };
	uint8_t bytes[sizeof(message) + sizeof(value)];
	const struct window_frame frame = {
		.bytes = sizeof(bytes),
		.session = le32toh(port->session),
		.kind = WINDOW_MESSAGE,
	};

	memcpy(bytes, &message, sizeof(message));
	memcpy(bytes + sizeof(message), &value, sizeof(value));
	ck_assert_int_eq(window_channel_send(&channel, &frame, bytes), 0);
	a_tells();
}

/* --- B's VMM ---------------------------------------------------------------- */

static void b_comes(void)
{
	ck_assert_int_eq(guest_vu_connect(&b, b_path, worker), 0);
	settle();
}

static bool b_is_hung_up(void)
{
	struct guest_vu_reply reply;

	settle();
	return guest_vu_receive(&b, &reply, 1000) == -EPIPE;
}

static void b_sends_fd(uint32_t request, int fd)
{
	const uint64_t ring = 0;

	ck_assert_int_eq(guest_vu_send(&b, request, 0, &ring, sizeof(ring),
				       &fd, 1),
			 0);
}

/* All are there, and B's VMM is served. */
static void begin(void)
{
	struct guest_vu_reply reply;
	struct window_frame frame;

	a_comes();
	a_opens();
	b_comes();
	a_serves();
	ck_assert_int_eq(guest_vu_send(&b, VU_GET_FEATURES, 0, NULL, 0, NULL,
				       0),
			 0);
	a_takes(VU_GET_FEATURES, &frame);
	a_answers(VU_GET_FEATURES, PVIO_BIT(VIRTIO_F_VERSION_1));
	ck_assert_int_eq(guest_vu_receive(&b, &reply, 1000), 0);
	ck_assert_uint_eq(reply.header.request, VU_GET_FEATURES);
	ck_assert(reply.u64 & PVIO_BIT(VIRTIO_F_VERSION_1));
}

/* --- tests ------------------------------------------------------------------ */

START_TEST(message_and_answer_go_through_the_function)
{
	begin();
	/* The appliance was interrupted for what it was to look at. */
	ck_assert_uint_ge(count_of(irq[0]), 1);
}
END_TEST

START_TEST(kick_and_call_of_a_ring_are_carried)
{
	int kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	const uint64_t one = 1;
	struct window_frame frame;
	uint32_t vector;

	begin();
	b_sends_fd(VU_SET_VRING_KICK, kick);
	a_takes(VU_SET_VRING_KICK, &frame);
	vector = frame.number;
	ck_assert_uint_gt(vector, 0);
	ck_assert_uint_lt(vector, NR_VECTORS);
	(void)count_of(irq[vector]);
	ck_assert_int_eq(write(kick, &one, sizeof(one)), sizeof(one));
	ck_assert_uint_eq(count_of(irq[vector]), 1);

	b_sends_fd(VU_SET_VRING_CALL, call);
	a_takes(VU_SET_VRING_CALL, &frame);
	(void)count_of(call);
	a_rings(frame.number);
	ck_assert_uint_eq(count_of(call), 1);
	close(kick);
	close(call);
}
END_TEST

START_TEST(function_that_is_reset_lets_b_go)
{
	begin();
	ck_assert_int_eq(guest_vfu_reset(&a), 0);
	ck_assert(b_is_hung_up());
	guest_vu_close(&b);
	/* Whoever resets it begins anew, and so does B. */
	a_drives();
	a_opens();
	b_comes();
	a_serves();
	ck_assert_uint_eq(port->served, port->session);
}
END_TEST

START_TEST(client_that_leaves_lets_b_go)
{
	begin();
	a_leaves();
	ck_assert(b_is_hung_up());
	guest_vu_close(&b);
	begin();
}
END_TEST

/* The appliance, interrupted: the session is over, and it says so. */
static void a_lets_go(evutil_socket_t fd, short what, void *arg)
{
	const uint32_t value = header->doorbell;
	uint64_t count;

	(void)what;
	(void)arg;
	if (read((int)fd, &count, sizeof(count)) < 0 ||
	    pvio_load_acquire(&port->session) != 0)
		return;
	pvio_store_release(&port->served, 0);
	ck_assert_int_eq(guest_vfu_post(&a, WINDOW_PCI_REGISTERS,
					WINDOW_REG_DOORBELL, &value,
					sizeof(value)),
			 0);
}

START_TEST(broker_that_ends_lets_both_go_and_comes_back)
{
	struct event *event;

	begin();
	event = event_new(pvio_worker_base(worker), irq[0],
			  EV_READ | EV_PERSIST, a_lets_go, NULL);
	ck_assert_int_eq(event_add(event, NULL), 0);
	broker_destroy(broker);
	event_free(event);
	ck_assert_uint_eq(port->served, 0);
	ck_assert(b_is_hung_up());
	guest_vu_close(&b);
	a_leaves();
	pvio_config_close(config);
	broker_make();
	begin();
}
END_TEST

CHECK_MAIN("broker-vfio-user", setup, teardown,
	   message_and_answer_go_through_the_function,
	   kick_and_call_of_a_ring_are_carried,
	   function_that_is_reset_lets_b_go, client_that_leaves_lets_b_go,
	   broker_that_ends_lets_both_go_and_comes_back)
