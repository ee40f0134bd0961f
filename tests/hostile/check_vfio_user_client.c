/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vfio_user_client.c - vfio-user clients that come and go
 */
#include "tests/hostile/vfio-user-hostile.h"

/* --- connections --------------------------------------------------------- */

/* Ask, and do not read, until the socket is full; how often that was. */
static unsigned int ask_until_full(void)
{
	struct {
		struct vfu_header header;
		struct vfu_device_info info;
	} msg = {
		header(VFU_DEVICE_GET_INFO, 0, sizeof(msg)),
		{ .argsz = sizeof(msg.info) },
	};
	unsigned int n;

	for (n = 0; n < 1000000; n++) {
		if (send(vfu.fd, &msg, sizeof(msg),
			 MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
		rig_settle(&rig);
	}
	ck_assert_int_eq(errno, EAGAIN);
	return n;
}

/* Who asks without reading waits, and what waits with us is bounded. */
START_TEST(client_that_reads_late_gets_every_answer)
{
	struct guest_vfu_reply reply;
	unsigned int i, n;

	hostile_connect();
	n = ask_until_full();
	for (i = 0; i < n; i++) {
		expect_ok(guest_vfu_receive(&vfu, &reply, 5000));
		ck_assert_uint_eq(reply.header.command, VFU_DEVICE_GET_INFO);
		ck_assert_uint_eq(reply.size, sizeof(reply.device));
	}
	expect_alive();
}
END_TEST

START_TEST(client_that_never_reads_is_missed_when_it_goes)
{
	hostile_connect();
	ask_until_full();
	hostile_hang_up();
	hostile_expect_census();
}
END_TEST

START_TEST(device_stops_under_a_client_that_never_reads)
{
	hostile_connect();
	ask_until_full();
	pvio_device_stop(rig.dev);
	expect_closed();
	rig_start(&rig);
}
END_TEST

/* The next client waits its turn, and is served. */
START_TEST(second_client_is_served_after_the_first)
{
	struct guest_vfu first;

	hostile_serving();
	hostile_expect_served(0);
	first = vfu;
	hostile_dial();
	expect_ok(guest_vfu_send_bytes(&vfu, "abc", 3, NULL, 0));
	rig_settle(&rig);
	guest_vfu_close(&first);
	expect_closed();
	hostile_hang_up();
	hostile_connect();
}
END_TEST

/*
 * What a client sends before it vanishes: in front of each the good handshake,
 * but for VERSION itself.
 */
static const struct last_words {
	uint16_t command;
	unsigned int nr_fds;
} last_words[] = {
	{ VFU_VERSION, 0 },	 { VFU_VERSION, 3 },
	{ VFU_DMA_MAP, 1 },	 { VFU_DMA_MAP, 2 },
	{ VFU_DMA_UNMAP, 0 },	 { VFU_SET_IRQS, 1 },
	{ VFU_SET_IRQS, 8 },	 { VFU_REGION_WRITE, 0 },
	{ VFU_REGION_WRITE, 1 }, { VFU_REGION_READ, 0 },
	{ VFU_DEVICE_RESET, 0 },
};
#define NR_LAST_WORDS ((int)pvio_array_size(last_words))

static size_t last_words_payload(uint16_t command, uint8_t *to)
{
	struct vfu_dma_map map = { 32, DMA_RW, 0, RIG_HIGH_GPA, RIG_RAM_BYTES };
	struct vfu_dma_unmap unmap = { 24, 0, RIG_RAM_GPA, RIG_RAM_BYTES };
	struct vfu_irq_set set = { .argsz = sizeof(set),
				   .flags = IRQ_ASSIGN,
				   .index = VFU_IRQ_MSIX,
				   .count = 1 };
	struct vfu_region_access access = { VIRTIO_PCI_COMMON_STATUS,
					    BAR_COMMON, 1 };

	switch (command) {
	case VFU_VERSION:
		memset(to, 0, sizeof(struct vfu_version));
		strcpy((char *)to + 4, guest_vfu_capabilities);
		return 4 + strlen(guest_vfu_capabilities) + 1;
	case VFU_DMA_MAP:
		memcpy(to, &map, sizeof(map));
		return sizeof(map);
	case VFU_DMA_UNMAP:
		memcpy(to, &unmap, sizeof(unmap));
		return sizeof(unmap);
	case VFU_SET_IRQS:
		memcpy(to, &set, sizeof(set));
		return sizeof(set);
	case VFU_REGION_READ:
	case VFU_REGION_WRITE:
		memcpy(to, &access, sizeof(access));
		to[sizeof(access)] = 3;
		return sizeof(access) + (command == VFU_REGION_WRITE);
	default:
		return 0;
	}
}

/* F13: a client that vanishes at any byte of a message leaves nothing. */
START_TEST(client_that_vanishes_at_any_byte_leaves_nothing)
{
	const struct last_words *words = &last_words[_i];
	bool is_first = words->command == VFU_VERSION;
	struct {
		struct vfu_header header;
		uint8_t payload[512];
	} msg = { .header = { .command = words->command } };
	int fds[8], memfd = hostile_memfd(RIG_RAM_BYTES), k;
	int event = hostile_eventfd();
	size_t at;

	for (k = 0; k < 8; k++)
		fds[k] = words->command == VFU_DMA_MAP ? memfd : event;
	msg.header.size = (uint32_t)(sizeof(msg.header) +
				     last_words_payload(words->command,
							msg.payload));
	fds_before += 2;
	for (at = 0; at <= msg.header.size; at++) {
		hostile_dial();
		if (!is_first) {
			expect_ok(guest_vfu_version(&vfu, NULL));
			expect_ok(guest_vfu_dma_map(&vfu, DMA_RW, RIG_RAM_GPA,
						    RIG_RAM_BYTES,
						    rig.mem.region[0].fd, 0));
			expect_ok(guest_vfu_set_irqs(&vfu, IRQ_ASSIGN,
						     VFU_IRQ_MSIX, 1, 1, &event,
						     1));
		}
		if (at > 0)
			expect_ok(guest_vfu_send_bytes(&vfu, &msg, at, fds,
						       words->nr_fds));
		/* Sometimes it sees part of it before the end. */
		if (at % 2)
			rig_settle(&rig);
		hostile_hang_up();
		hostile_expect_census();
	}
	close(memfd);
	close(event);
	fds_before -= 2;
}
END_TEST

/* --- interrupts between two connections ----------------------------------- */

#define MSIX_DISABLE (VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_TRIGGER)

/* Queue 0 serves, with vector 0, which the guest has not enabled. */
static void serve_with_messages(int event)
{
	hostile_ready();
	hostile_negotiate();
	memset(rig.mem.region[0].host, 0, 0x4000);
	expect_ok(guest_vfu_set_irqs(&vfu, IRQ_ASSIGN, VFU_IRQ_MSIX, 0, 1,
				     &event, 1));
	common_write(VIRTIO_PCI_COMMON_Q_SELECT, 0, 2);
	common_write(VIRTIO_PCI_COMMON_Q_MSIX, 0, 2);
	hostile_start_ring(RIG_RAM_GPA);
	hostile_expect_served(0);
}

static uint64_t event_count(int event)
{
	uint64_t count = 0;

	rig_settle(&rig);
	if (read(event, &count, sizeof(count)) < 0)
		ck_assert_int_eq(errno, EAGAIN);
	return count;
}

/* The client returns, and maps memory before it sets its eventfd. */
START_TEST(message_between_memory_and_eventfd_is_not_lost)
{
	int event = hostile_eventfd();

	serve_with_messages(event);
	ck_assert_uint_eq(event_count(event), 1);
	hostile_hang_up();
	hostile_ready();
	hostile_expect_served(1);
	ck_assert_uint_eq(event_count(event), 0);
	expect_ok(guest_vfu_set_irqs(&vfu, IRQ_ASSIGN, VFU_IRQ_MSIX, 0, 1,
				     &event, 1));
	ck_assert_uint_eq(event_count(event), 1);
	close(event);
}
END_TEST

/* What a client can do to have the line again, whoever it was used messages. */
static void begin_anew(int how, int line)
{
	switch (how) {
	case 0:
		expect_ok(guest_vfu_set_irqs(&vfu, MSIX_DISABLE, VFU_IRQ_MSIX,
					     0, 0, NULL, 0));
		break;
	case 1:
		expect_ok(guest_vfu_reset(&vfu));
		break;
	case 2:
		pvio_device_stop(rig.dev);
		rig_start(&rig);
		hostile_hang_up();
		hostile_ready();
		break;
	}
	expect_ok(guest_vfu_set_irqs(&vfu, IRQ_ASSIGN, VFU_IRQ_INTX, 0, 1,
				     &line, 1));
	hostile_negotiate();
	memset(rig.mem.region[0].host, 0, 0x4000);
	hostile_start_ring(RIG_RAM_GPA);
}

START_TEST(line_is_used_by_a_client_that_begins_anew)
{
	int event = hostile_eventfd(), line = hostile_eventfd();

	serve_with_messages(event);
	hostile_hang_up();
	hostile_ready();
	begin_anew(_i, line);
	hostile_expect_served(0);
	ck_assert_uint_eq(event_count(line), 1);
	close(event);
	close(line);
}
END_TEST

/* As with a device that is passed through: a reset takes no eventfd away. */
START_TEST(messages_go_on_after_a_reset)
{
	int event = hostile_eventfd();

	serve_with_messages(event);
	ck_assert_uint_eq(event_count(event), 1);
	expect_ok(guest_vfu_reset(&vfu));
	hostile_negotiate();
	memset(rig.mem.region[0].host, 0, 0x4000);
	common_write(VIRTIO_PCI_COMMON_Q_SELECT, 0, 2);
	common_write(VIRTIO_PCI_COMMON_Q_MSIX, 0, 2);
	hostile_start_ring(RIG_RAM_GPA);
	hostile_expect_served(0);
	ck_assert_uint_eq(event_count(event), 1);
	close(event);
}
END_TEST

int main(void)
{
	const struct hostile_test tests[] = {
		{ client_that_reads_late_gets_every_answer, 0 },
		{ client_that_never_reads_is_missed_when_it_goes, 0 },
		{ device_stops_under_a_client_that_never_reads, 0 },
		{ second_client_is_served_after_the_first, 0 },
		{ client_that_vanishes_at_any_byte_leaves_nothing,
		  NR_LAST_WORDS },
		{ message_between_memory_and_eventfd_is_not_lost, 0 },
		{ line_is_used_by_a_client_that_begins_anew, 4 },
		{ messages_go_on_after_a_reset, 0 },
	};

	return hostile_main("vfio_user_client", setup, teardown, tests,
			    pvio_array_size(tests));
}
