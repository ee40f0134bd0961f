/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vhost_pci_guest.c - what a hostile host writes to a window, and says
 *
 * Rows of 2.7 (X..) and 2.4 (U..) seen from the appliance, and the window's own
 * (W..): header, port, channel, ivshmem server.  After each the device serves
 * a host that behaves, and no descriptor or mapping is left.
 */
#include "tests/vhost-pci-rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

static unsigned int fds_before, maps_before;
static uint32_t session;
static struct window_port *p;

#define CONTROL_AREA (HOST_BYTES - WINDOW_CONTROL_BYTES)

/* --- the host, by hand ----------------------------------------------------- */

static void begin(void)
{
	pvio_log_set(quiet, NULL, PVIO_LOG_DEBUG);
	rig_init_window("model = \"rng\";");
	host.is_raw = true;
	p = host.port[0].shared;
	session = 100;
	rig_start(&rig);
	rig_await(rig_read(&p->is_open) == 1);
	rig_settle(&rig);
	fds_before = rig_count_fds();
	maps_before = rig_count_maps();
}

/* A host that begins anew, and behaves. */
static void end(void)
{
	struct guest_device *gd;

	p = host.port[0].shared;
	host.is_raw = false;
	host_begin_anew(&host);
	rig_await(rig_read(&host.header->guest_epoch) != 0 &&
		  rig_read(&p->is_open) == 1);
	rig_expect_fds(&rig, fds_before);
	ck_assert_uint_eq(rig_count_maps(), maps_before);
	guest_alloc_reset(&rig.mem);
	gd = rig_open_port(0);
	rig_bring_up(gd, 0, 1, 16);
	rig_expect_entropy(&rig, gd);
	guest_device_close(gd);
	rig_fini_window();
}

static void begin_session(void)
{
	__atomic_store_n(&p->session, htole32(++session), __ATOMIC_RELEASE);
	host_interrupt(&host);
	rig_await(rig_read(&p->served) == session);
	window_channel_open(&host.port[0].channel, p, WINDOW_HOST);
	window_channel_drain(&host.port[0].channel);
}

static void end_session(void)
{
	__atomic_store_n(&p->session, 0, __ATOMIC_RELEASE);
	host_interrupt(&host);
	rig_await(rig_read(&p->is_open) == 1 && rig_read(&p->served) == 0);
}

/* It was ended; the port opens again when the host lets go. */
static void expect_ended(void)
{
	host_interrupt(&host);
	rig_await(rig_read(&p->is_open) == 0);
	ck_assert_uint_eq(rig_read(&p->served), 0);
	end_session();
}

static int send_frame(uint32_t kind, uint32_t number, const void *payload,
		      uint32_t bytes)
{
	const struct window_frame frame = {
		.bytes = bytes,
		.session = session,
		.kind = kind,
		.number = number,
	};
	int rc = window_channel_send(&host.port[0].channel, &frame, payload);

	host_interrupt(&host);
	return rc;
}

struct message {
	struct vu_header header;
	uint8_t payload[VU_MAX_PAYLOAD_BYTES];
};

static int tell_flags(uint32_t request, uint32_t flags, uint32_t number,
		      const void *payload, uint32_t size)
{
	struct message m = { .header = { request, VU_VERSION | flags, size } };

	if (size)
		memcpy(m.payload, payload, size);
	return send_frame(WINDOW_MESSAGE, number, &m,
			  (uint32_t)sizeof(m.header) + size);
}

static int tell(uint32_t request, uint32_t number, const void *payload,
		uint32_t size)
{
	return tell_flags(request, 0, number, payload, size);
}

static int tell_u64(uint32_t request, uint32_t number, uint64_t value)
{
	return tell(request, number, &value, sizeof(value));
}

/* The answer to the question that was asked last. */
static void receive(struct message *m)
{
	uint8_t payload[WINDOW_MAX_PAYLOAD];
	struct window_frame frame;

	rig_await(window_channel_receive(&host.port[0].channel, &frame,
					 payload) == 1);
	ck_assert_uint_eq(frame.session, session);
	ck_assert_uint_eq(frame.kind, WINDOW_MESSAGE);
	ck_assert_uint_le(frame.bytes, sizeof(*m));
	memcpy(m, payload, frame.bytes);
}

/* The session lives, and whatever came before was handled. */
static void expect_alive(void)
{
	struct message m;

	ck_assert_int_eq(tell(VU_GET_FEATURES, 0, NULL, 0), 0);
	receive(&m);
	ck_assert_uint_eq(m.header.request, VU_GET_FEATURES);
}

/* Refused by a reply. */
static void expect_nak(uint32_t request, uint32_t number, const void *payload,
		       uint32_t size)
{
	const uint64_t ack = PVIO_BIT(VU_PROTOCOL_REPLY_ACK) |
			     PVIO_BIT(VU_PROTOCOL_INFLIGHT_SHMFD) |
			     PVIO_BIT(VU_PROTOCOL_BACKEND_REQ);
	struct message m;

	tell_u64(VU_SET_PROTOCOL_FEATURES, 0, ack);
	tell_flags(request, VU_NEED_REPLY, number, payload, size);
	receive(&m);
	ck_assert_uint_eq(m.header.request, request);
	ck_assert_uint_ne(m.payload[0], 0);
	expect_alive();
}

/* --- header ----------------------------------------------------------------- */

START_TEST(w01_header_of_another_kind_is_no_host)
{
	struct window_header *h = host.header;
	const struct window_header good = *h;
	uint32_t epoch;
	int i;

	for (i = 0; i < 6; i++) {
		begin_session();
		epoch = rig_read(&h->guest_epoch);
		if (i == 0)
			h->magic = 0;
		else if (i == 1)
			h->version = UINT32_MAX;
		else if (i == 2)
			h->bytes = UINT64_MAX;
		else if (i == 3)
			h->nr_ports = htole32(8);
		else if (i == 4)
			h->nr_ports = UINT32_MAX;
		else
			h->epoch = 0;
		host_interrupt(&host);
		rig_await(rig_read(&p->is_open) == 0);
		rig_settle(&rig);
		h->magic = good.magic;
		h->version = good.version;
		h->bytes = good.bytes;
		h->nr_ports = good.nr_ports;
		h->epoch = good.epoch;
		host_interrupt(&host);
		rig_await(rig_read(&h->guest_epoch) != epoch);
		end_session();
	}
}
END_TEST

/* The whole control area, again and again: no crash, no spin. */
START_TEST(w02_control_area_of_noise_is_survived)
{
	uint32_t *area = (void *)(host.base + CONTROL_AREA);
	uint32_t seed = (uint32_t)_i * 7919 + 1;
	size_t i, n;

	for (n = 0; n < 200; n++) {
		for (i = 0; i < 2 * WINDOW_PORT_BYTES / 4; i++) {
			/* Sometimes of a host that seems to live. */
			if (n % 2 && i < sizeof(struct window_header) / 4)
				continue;
			seed = seed * 1664525 + 1013904223;
			if (seed >> 28 == 0)
				area[i] = seed;
		}
		if (n % 3 == 0)
			p->session = htole32((uint32_t)n + 1);
		host_interrupt(&host);
		for (i = 0; i < 1000 && pvio_worker_step(rig.worker); i++)
			;
		ck_assert_uint_lt(i, 1000);
	}
}
END_TEST

START_TEST(w03_epoch_that_changes_all_the_time_is_followed)
{
	uint32_t i, n, before = rig_read(&host.header->guest_epoch);

	for (i = 0; i < 500; i++) {
		host.header->epoch = htole32(i + 1000);
		p->session = htole32(i % 3);
		host_interrupt(&host);
		for (n = 0; n < 1000 && pvio_worker_step(rig.worker); n++)
			;
		ck_assert_uint_lt(n, 1000);
	}
	ck_assert_uint_ne(rig_read(&host.header->guest_epoch), before);
}
END_TEST

/* --- port ------------------------------------------------------------------- */

START_TEST(w04_session_that_changes_all_the_time_is_followed)
{
	uint32_t i, n;

	for (i = 0; i < 500; i++) {
		p->session = htole32(i % 7 ? i : 0);
		host_interrupt(&host);
		for (n = 0; n < 1000 && pvio_worker_step(rig.worker); n++)
			;
		ck_assert_uint_lt(n, 1000);
	}
	end_session();
}
END_TEST

/* What the appliance writes is not what it goes by. */
START_TEST(w05_appliances_fields_are_not_believed)
{
	begin_session();
	p->is_open = 0;
	p->served = htole32(12345);
	p->nr_queues = UINT32_MAX;
	p->queue_size = UINT32_MAX;
	host.header->guest_epoch = 0;
	expect_alive();
	__atomic_store_n(&p->session, 0, __ATOMIC_RELEASE);
	host_interrupt(&host);
	rig_await(rig_read(&p->served) == 0);
}
END_TEST

/* --- channel ---------------------------------------------------------------- */

START_TEST(w06_channel_of_rubbish_ends_the_session)
{
	static const uint32_t heads[] = { 1, 17, WINDOW_CHANNEL_BYTES + 16,
					  0x80000000, UINT32_MAX };

	begin_session();
	p->to_guest.head = htole32(rig_read(&p->to_guest.tail) + heads[_i]);
	expect_ended();
}
END_TEST

START_TEST(w07_reply_that_finds_no_channel_ends_the_session)
{
	begin_session();
	p->to_host.tail = htole32(rig_read(&p->to_host.head) + 1000);
	tell(VU_GET_FEATURES, 0, NULL, 0);
	expect_ended();
}
END_TEST

START_TEST(w08_frame_that_is_no_message_ends_the_session)
{
	struct message m = { .header = { VU_GET_FEATURES, VU_VERSION, 0 } };

	begin_session();
	switch (_i) {
	case 0:
		send_frame(0, 0, &m, 12);
		break;
	case 1:
		send_frame(WINDOW_BACKEND_MESSAGE, 0, &m, 12);
		break;
	case 2:
		send_frame(WINDOW_MESSAGE, 0, &m, 11);
		break;
	case 3:
		send_frame(WINDOW_MESSAGE, 0, &m, 0);
		break;
	case 4:
		m.header.size = 1;
		send_frame(WINDOW_MESSAGE, 0, &m, 12);
		break;
	case 5:
		m.header.size = UINT32_MAX;
		send_frame(WINDOW_MESSAGE, 0, &m, 12);
		break;
	case 6:
		m.header.size = 4;
		send_frame(WINDOW_MESSAGE, 0, &m, 12);
		break;
	case 7:
		m.header.size = WINDOW_MAX_PAYLOAD - 12;
		{
			uint8_t longest[WINDOW_MAX_PAYLOAD] = { 0 };

			memcpy(longest, &m.header, sizeof(m.header));
			send_frame(WINDOW_MESSAGE, 0, longest,
				   sizeof(longest));
		}
		break;
	case 8: /* of no version */
		m.header.flags = 0;
		send_frame(WINDOW_MESSAGE, 0, &m, 12);
		break;
	case 9: /* an answer */
		m.header.flags = VU_VERSION | VU_REPLY;
		send_frame(WINDOW_MESSAGE, 0, &m, 12);
		break;
	case 10: /* the host's own to answer */
		m.header.request = VU_GET_INFLIGHT_FD;
		m.header.size = 24;
		send_frame(WINDOW_MESSAGE, 0, &m, 36);
		break;
	}
	expect_ended();
}
END_TEST

START_TEST(w09_frame_of_another_session_is_dropped)
{
	begin_session();
	session--;
	tell(VU_SET_PROTOCOL_FEATURES, 0, "\xff\xff\xff\xff\xff\xff\xff", 8);
	session += 2;
	tell(VU_GET_FEATURES, 0, NULL, 0);
	session--;
	expect_alive();
	end_session();
}
END_TEST

/* Nobody takes the answers: they wait, and nothing is lost but the session. */
START_TEST(w10_host_that_takes_nothing_waits_for_itself)
{
	unsigned int i, n, sent = 0;

	begin_session();
	for (i = 0; i < 5000; i++) {
		if (tell(VU_GET_FEATURES, 0, NULL, 0) == 0)
			sent++;
		for (n = 0; n < 100 && pvio_worker_step(rig.worker); n++)
			;
		ck_assert_uint_lt(n, 100);
	}
	ck_assert_uint_gt(sent, WINDOW_CHANNEL_BYTES / 64);
	ck_assert_uint_lt(sent, 5000);
	end_session();
	begin_session();
	expect_alive();
	end_session();
}
END_TEST

START_TEST(w11_interrupts_without_end_are_one_look_a_turn)
{
	int i;

	begin_session();
	for (i = 0; i < 10000; i++)
		host_interrupt(&host);
	rig_settle(&rig);
	expect_alive();
	end_session();
}
END_TEST

/* --- messages (U..) --------------------------------------------------------- */

static void expect_region_nak(uint64_t offset, uint64_t size)
{
	const struct vu_memory_table table = {
		.nr = 1,
		.region[0] = { .gpa = 0, .size = size, .uva = 4096,
			       .mmap_offset = offset },
	};

	expect_nak(VU_SET_MEM_TABLE, 0, &table,
		   offsetof(struct vu_memory_table, region[1]));
}

START_TEST(x05_memory_beyond_the_window_is_refused)
{
	struct vu_memory_table table = { .nr = 9 };

	begin_session();
	expect_region_nak(0, CONTROL_AREA + 1);
	expect_region_nak(CONTROL_AREA, WINDOW_CONTROL_BYTES);
	expect_region_nak(HOST_BYTES, 4096);
	expect_region_nak(UINT64_MAX - 4095, 4096);
	expect_region_nak(4096, UINT64_MAX - 4095);
	expect_region_nak(0, UINT64_MAX);
	expect_region_nak(0, 0);
	/* More than there can be; none; fewer than it says. */
	expect_nak(VU_SET_MEM_TABLE, 0, &table, sizeof(table));
	table.nr = UINT32_MAX;
	expect_nak(VU_SET_MEM_TABLE, 0, &table, sizeof(table));
	table.nr = 0;
	expect_nak(VU_SET_MEM_TABLE, 0, &table, sizeof(table));
	table.nr = 8;
	expect_nak(VU_SET_MEM_TABLE, 0, &table, 8);
	expect_nak(VU_SET_MEM_TABLE, 0, &table, 2);
	end_session();
}
END_TEST

START_TEST(u06_interrupt_that_is_none_is_refused)
{
	uint64_t ring = 0;
	uint32_t number[] = { 0, 1, 31, 2047, 2048, 0x80000000, UINT32_MAX };

	begin_session();
	expect_nak(VU_SET_VRING_KICK, number[_i], &ring, sizeof(ring));
	ring = 255;
	expect_nak(VU_SET_VRING_KICK, number[_i], &ring, sizeof(ring));
	ring = UINT64_MAX;
	expect_nak(VU_SET_VRING_KICK, number[_i], &ring, sizeof(ring));
	end_session();
}
END_TEST

START_TEST(u07_call_of_a_ring_that_is_none_is_refused)
{
	static const uint64_t ring[] = { 1, 63, 64, 255, 0x200, UINT64_MAX };

	begin_session();
	expect_nak(VU_SET_VRING_CALL, UINT32_MAX, &ring[_i], 8);
	expect_nak(VU_SET_VRING_CALL, 0, &ring[_i], 4);
	/* One that is, with a doorbell nobody has. */
	tell_u64(VU_SET_VRING_CALL, UINT32_MAX, 0);
	expect_alive();
	end_session();
}
END_TEST

/* What was withheld cannot be had, and no descriptor comes with it. */
START_TEST(u08_messages_with_descriptors_that_do_not_travel_are_refused)
{
	static const struct {
		uint32_t request, size;
	} m[] = {
		{ VU_SET_LOG_BASE, 16 },     { VU_SET_LOG_FD, 0 },
		{ VU_ADD_MEM_REG, 40 },	     { VU_REM_MEM_REG, 40 },
		{ VU_SET_VRING_ERR, 8 },     { VU_VRING_KICK, 8 },
		{ VU_SET_DEVICE_STATE_FD, 8 },
	};
	uint8_t payload[64] = { 0 };

	begin_session();
	expect_nak(m[_i].request, 0, payload, m[_i].size);
	end_session();
}
END_TEST

START_TEST(u09_features_that_were_withheld_are_refused)
{
	uint64_t features = PVIO_BIT(VIRTIO_F_VERSION_1) |
			    PVIO_BIT(VU_F_LOG_ALL);

	begin_session();
	expect_nak(VU_SET_FEATURES, 0, &features, sizeof(features));
	tell_u64(VU_SET_PROTOCOL_FEATURES, 0,
		 PVIO_BIT(VU_PROTOCOL_LOG_SHMFD));
	expect_ended();
}
END_TEST

/* The one before is closed each time. */
START_TEST(u10_backend_channels_without_end_are_one)
{
	int i;

	begin_session();
	tell_u64(VU_SET_PROTOCOL_FEATURES, 0,
		 PVIO_BIT(VU_PROTOCOL_BACKEND_REQ));
	for (i = 0; i < 200; i++) {
		tell(VU_SET_BACKEND_REQ_FD, 0, NULL, 0);
		expect_alive();
		/* The session's two, and this one's two. */
		ck_assert_uint_le(rig_count_fds(), fds_before + 4);
	}
	end_session();
}
END_TEST

/* --- ivshmem server ---------------------------------------------------------- */

/* It is hung up on, and found again. */
static void expect_reconnected(void)
{
	host_begin_anew(&host);
	rig_await(rig_read(&p->is_open) == 1);
}

START_TEST(w12_server_that_says_nonsense_is_left)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int memfd = memfd_create("pvio-hostile", MFD_CLOEXEC);

	begin_session();
	switch (_i) {
	case 0:
		host_say(&host, -2, -1);
		break;
	case 1:
		host_say(&host, 65536, -1);
		break;
	case 2:
		host_say(&host, INT64_MIN, null);
		break;
	case 3: /* memory a second time */
		host_say(&host, -1, memfd);
		break;
	}
	rig_await(host.fd < 0 || rig_read(&p->is_open) == 0);
	p->session = 0;
	close(null);
	close(memfd);
	expect_reconnected();
}
END_TEST

/* Another VMM's, which the server has handed on: only its ring has none. */
START_TEST(w15_what_is_no_eventfd_is_nobodys_interrupt)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	uint64_t ring = 0;

	begin_session();
	expect_nak(VU_SET_VRING_KICK, host_give_vector(&host, null), &ring, 8);
	host_give_peer(&host, HOST_PEER(0, 0), null);
	tell_u64(VU_SET_VRING_CALL, HOST_PEER(0, 0) << 16, 0);
	expect_alive();
	host_give_peer(&host, HOST_PEER(0, 0), -1);
	close(null);
	end_session();
}
END_TEST

/* The file is cut off under the window: zeroes, and no SIGBUS. */
START_TEST(w13_memory_that_is_truncated_is_survived)
{
	begin_session();
	ck_assert_int_eq(ftruncate(host.memory_fd, CONTROL_AREA), 0);
	write(host.interrupt_fd, &(uint64_t){ 1 }, 8);
	rig_settle(&rig);
	/* Another file: a server that begins anew. */
	guest_memory_fini(&rig.mem);
	ck_assert_int_eq(ftruncate(host.memory_fd, HOST_BYTES), 0);
	host_server_restarts(&host);
	host_add_memory(&host, &rig.mem);
	p = host.port[0].shared;
	rig_await(rig_read(&p->is_open) == 1);
}
END_TEST

START_TEST(w14_peers_and_interrupts_without_end_are_bounded)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), i;
	unsigned int fds;

	begin_session();
	for (i = 0; i < 200; i++)
		host_say(&host, 5, fd);
	for (i = 0; i < 200; i++)
		host_say(&host, 60000, fd);
	rig_settle(&rig);
	/* 16 of each. */
	fds = rig_count_fds();
	ck_assert_uint_eq(fds, fds_before + 2 + 2 * 16 + 1);
	host_say(&host, 5, -1);
	host_say(&host, 5, -1);
	host_say(&host, 60000, -1);
	rig_settle(&rig);
	ck_assert_uint_eq(rig_count_fds(), fds_before + 2 + 1);
	close(fd);
	expect_alive();
	end_session();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost-pci: hostile host");
	TCase *tcase = tcase_create("hostile");

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(tcase, w01_header_of_another_kind_is_no_host);
	tcase_add_loop_test(tcase, w02_control_area_of_noise_is_survived, 0,
			    8);
	tcase_add_test(tcase, w03_epoch_that_changes_all_the_time_is_followed);
	tcase_add_test(tcase,
		       w04_session_that_changes_all_the_time_is_followed);
	tcase_add_test(tcase, w05_appliances_fields_are_not_believed);
	tcase_add_loop_test(tcase, w06_channel_of_rubbish_ends_the_session, 0,
			    5);
	tcase_add_test(tcase, w07_reply_that_finds_no_channel_ends_the_session);
	tcase_add_loop_test(tcase,
			    w08_frame_that_is_no_message_ends_the_session, 0,
			    11);
	tcase_add_test(tcase, w09_frame_of_another_session_is_dropped);
	tcase_add_test(tcase, w10_host_that_takes_nothing_waits_for_itself);
	tcase_add_test(tcase, w11_interrupts_without_end_are_one_look_a_turn);
	tcase_add_test(tcase, x05_memory_beyond_the_window_is_refused);
	tcase_add_loop_test(tcase, u06_interrupt_that_is_none_is_refused, 0, 7);
	tcase_add_loop_test(tcase, u07_call_of_a_ring_that_is_none_is_refused,
			    0, 6);
	tcase_add_loop_test(
		tcase,
		u08_messages_with_descriptors_that_do_not_travel_are_refused, 0,
		7);
	tcase_add_test(tcase, u09_features_that_were_withheld_are_refused);
	tcase_add_test(tcase, u10_backend_channels_without_end_are_one);
	tcase_add_loop_test(tcase, w12_server_that_says_nonsense_is_left, 0, 4);
	tcase_add_test(tcase, w15_what_is_no_eventfd_is_nobodys_interrupt);
	tcase_add_test(tcase, w13_memory_that_is_truncated_is_survived);
	tcase_add_test(tcase,
		       w14_peers_and_interrupts_without_end_are_bounded);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
