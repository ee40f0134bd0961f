/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vhost_user_wire.c - framing, descriptors and connections of a hostile
 * vhost-user front-end
 */
#include "tests/hostile/vhost-user-hostile.h"

static struct vu_header header(uint32_t request, uint32_t flags, uint32_t size)
{
	return (struct vu_header){ request, flags, size };
}

/* --- U01 to U04: headers -------------------------------------------------- */

/* U01: reassemble. */
START_TEST(message_that_comes_byte_by_byte_is_served)
{
	struct {
		struct vu_header header;
		uint64_t features;
	} __attribute__((packed)) msg = {
		header(VU_SET_FEATURES, VU_VERSION | VU_NEED_REPLY, 8),
		PVIO_BIT(VIRTIO_F_VERSION_1),
	};
	struct guest_vu_reply reply;
	size_t i;

	hostile_connect();
	for (i = 0; i < sizeof(msg); i++) {
		expect_ok(
			guest_vu_send_bytes(&vu, (char *)&msg + i, 1, NULL, 0));
		rig_settle(&rig);
	}
	ck_assert_int_eq(guest_vu_receive(&vu, &reply, 5000), 0);
	ck_assert_uint_eq(reply.header.request, VU_SET_FEATURES);
	ck_assert_uint_eq(reply.u64, 0);
}
END_TEST

/* U01: CLOSE on timeout, however much of it has come. */
START_TEST(message_that_never_ends_is_timed_out)
{
	struct vu_header h = header(VU_SET_FEATURES, VU_VERSION, 8);
	static const size_t sent[] = { 1, 11, 12, 15 };
	uint8_t bytes[20] = { 0 };

	hostile_connect();
	memcpy(bytes, &h, sizeof(h));
	expect_ok(guest_vu_send_bytes(&vu, bytes, sent[_i], NULL, 0));
	expect_closed();
}
END_TEST

/* U01: a byte now and then does not renew the deadline. */
START_TEST(trickle_is_timed_out)
{
	struct vu_header h = header(VU_GET_CONFIG, VU_VERSION, 268);
	uint64_t begin = pvio_now_ns();
	int rc = 0;

	hostile_connect();
	expect_ok(guest_vu_send_bytes(&vu, &h, sizeof(h), NULL, 0));
	while (rc == 0 && pvio_now_ns() - begin < 10000000000ULL) {
		struct pollfd pfd = { .fd = vu.fd, .events = POLLIN };

		rc = guest_vu_send_bytes(&vu, "", 1, NULL, 0);
		rig_settle(&rig);
		poll(&pfd, 1, 20);
	}
	ck_assert_int_eq(rc, -EPIPE);
}
END_TEST

/* U02: CLOSE before the payload is read. */
START_TEST(message_larger_than_any_closes)
{
	static const uint32_t sizes[] = { 4097, 65536, 0x7fffffff, 0xffffffff };
	struct vu_header h = header(VU_SET_FEATURES, VU_VERSION | VU_NEED_REPLY,
				    sizes[_i]);

	hostile_connect();
	expect_close(guest_vu_send_bytes(&vu, &h, sizeof(h), NULL, 0));
}
END_TEST

/* U02: NAK for every message with a payload that is not its own. */
START_TEST(payload_of_the_wrong_size_is_refused)
{
	static const uint32_t requests[] = {
		VU_SET_FEATURES,     VU_SET_OWNER,
		VU_SET_MEM_TABLE,    VU_SET_VRING_NUM,
		VU_SET_VRING_ADDR,   VU_SET_VRING_BASE,
		VU_SET_VRING_KICK,   VU_SET_VRING_CALL,
		VU_SET_VRING_ERR,    VU_SET_PROTOCOL_FEATURES,
		VU_SET_VRING_ENABLE, VU_SET_CONFIG,
		VU_SET_INFLIGHT_FD,  VU_RESET_DEVICE,
		VU_ADD_MEM_REG,      VU_REM_MEM_REG,
		VU_SET_STATUS,
	};
	static const uint8_t bytes[4096];
	size_t i;

	hostile_connect();
	for (i = 0; i < pvio_array_size(requests); i++) {
		expect_nak(guest_vu_tell(&vu, requests[i], bytes, 5, NULL, 0));
		expect_nak(
			guest_vu_tell(&vu, requests[i], bytes, 4096, NULL, 0));
	}
}
END_TEST

/* U03: CLOSE for another version, or a reply that nobody asked for. */
START_TEST(wrong_version_or_reply_bit_closes)
{
	static const uint32_t flags[] = { 0, 2, 3, VU_VERSION | VU_REPLY };
	struct vu_header h = header(VU_GET_FEATURES, flags[_i], 0);

	hostile_connect();
	expect_close(guest_vu_send_bytes(&vu, &h, sizeof(h), NULL, 0));
}
END_TEST

/* U03: reserved flags are ignored. */
START_TEST(reserved_flags_are_ignored)
{
	struct vu_header h = header(VU_GET_FEATURES, VU_VERSION | 0xfffffff0,
				    0);
	struct guest_vu_reply reply;

	hostile_connect();
	expect_ok(guest_vu_send_bytes(&vu, &h, sizeof(h), NULL, 0));
	expect_ok(guest_vu_receive(&vu, &reply, 5000));
	ck_assert_uint_eq(reply.header.request, VU_GET_FEATURES);
	ck_assert_uint_eq(reply.header.flags, VU_VERSION | VU_REPLY);
}
END_TEST

/* U04, U38, U39, U47: NAK with need_reply, silence without; fds closed. */
START_TEST(unknown_request_is_refused)
{
	static const uint32_t requests[] = {
		0,
		255,
		0xffffffff,
		VU_IOTLB_MSG,
		VU_SET_VRING_ENDIAN,
		VU_POSTCOPY_ADVISE,
		VU_POSTCOPY_LISTEN,
		VU_POSTCOPY_END,
		VU_SET_DEVICE_STATE_FD,
		VU_CHECK_DEVICE_STATE,
		26,
		27,
		33,
		41,
		44,
		45,
	};
	uint8_t bytes[32] = { 0xff };
	int fd = hostile_eventfd();
	size_t i;

	hostile_connect();
	for (i = 0; i < pvio_array_size(requests); i++) {
		expect_nak(guest_vu_tell(&vu, requests[i], bytes, sizeof(bytes),
					 &fd, 1));
		expect_ok(guest_vu_send(&vu, requests[i], 0, bytes, 8, &fd, 1));
		expect_alive();
	}
	close(fd);
}
END_TEST

/* U04: what belongs to a feature that was not negotiated is not known. */
START_TEST(request_of_another_feature_is_refused)
{
	struct vu_header h = header(VU_RESET_DEVICE, VU_VERSION, 0);
	int fd = hostile_eventfd();
	uint64_t value;

	expect_ok(guest_vu_connect(&vu, rig.path, rig.worker));
	expect_ok(guest_vu_send_bytes(&vu, &h, sizeof(h), NULL, 0));
	expect_ok(guest_vu_send(&vu, VU_SET_LOG_BASE, 0, (uint64_t[2]){ 0 }, 16,
				&fd, 1));
	expect_ok(guest_vu_ask_u64(&vu, VU_GET_STATUS, &value));
	ck_assert_uint_eq(value, 0);
	expect_alive();
	close(fd);
}
END_TEST

/* --- U05 to U08: descriptors ---------------------------------------------- */

/* U05: NAK; surplus and unwanted descriptors are closed. */
START_TEST(too_many_fds_are_refused)
{
	static const unsigned int counts[] = { 2, 8, 9, 64, 253 };
	struct vu_vring_state state = { 0, 16 };
	uint64_t ring = 0;
	int fd = hostile_eventfd(), fds[253];
	size_t i;

	for (i = 0; i < 253; i++)
		fds[i] = fd;
	hostile_connect();
	expect_nak(guest_vu_tell(&vu, VU_SET_VRING_KICK, &ring, sizeof(ring),
				 fds, counts[_i]));
	expect_nak(guest_vu_tell(&vu, VU_SET_VRING_NUM, &state, sizeof(state),
				 fds, counts[_i]));
	expect_nak(guest_vu_tell(&vu, VU_SET_OWNER, NULL, 0, fds, counts[_i]));
	close(fd);
}
END_TEST

/* U06: NAK when fewer came than the message needs. */
START_TEST(too_few_fds_are_refused)
{
	struct vu_memory_table table = { .nr = 2 };
	struct vu_memory_single single = { .padding = 0 };
	uint64_t ring = 0;
	struct vu_log log = { .size = 4096 };

	hostile_connect();
	guest_vu_region(&rig.mem.region[0], &table.region[0]);
	guest_vu_region(&rig.mem.region[1], &table.region[1]);
	single.region = table.region[0];
	expect_nak(guest_vu_tell(&vu, VU_SET_MEM_TABLE, &table, 8 + 64,
				 &rig.mem.region[0].fd, 1));
	expect_nak(
		guest_vu_tell(&vu, VU_SET_MEM_TABLE, &table, 8 + 64, NULL, 0));
	expect_nak(guest_vu_tell(&vu, VU_ADD_MEM_REG, &single, sizeof(single),
				 NULL, 0));
	expect_nak(guest_vu_tell(&vu, VU_SET_VRING_KICK, &ring, sizeof(ring),
				 NULL, 0));
	expect_nak(guest_vu_tell(&vu, VU_SET_BACKEND_REQ_FD, NULL, 0, NULL, 0));
	expect_nak(guest_vu_tell(&vu, VU_SET_LOG_BASE, &log, sizeof(log), NULL,
				 0));
}
END_TEST

/* U06: NAK, and all closed, when our own limit lets only some of them in. */
START_TEST(fds_that_the_kernel_truncates_are_refused)
{
	struct rlimit limit, low;
	struct vu_memory_table table = { .nr = 4 };
	int fds[4] = { 0, 0, 0, 0 };
	int rc;

	hostile_connect();
	rig_settle(&rig);
	getrlimit(RLIMIT_NOFILE, &limit);
	low = limit;
	low.rlim_cur = (rlim_t)(dup(0) + 2);
	close((int)low.rlim_cur - 2);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	rc = guest_vu_tell(&vu, VU_SET_MEM_TABLE, &table, 8 + 4 * 32, fds, 4);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	expect_nak(rc);
}
END_TEST

/* U07: CLOSE. */
START_TEST(fds_in_the_middle_of_a_message_close)
{
	struct vu_header h = header(VU_SET_VRING_KICK, VU_VERSION, 8);
	uint64_t ring = 0;
	int fd = hostile_eventfd();

	hostile_connect();
	/* With the header, or not; in any case with the payload. */
	expect_ok(guest_vu_send_bytes(&vu, &h, sizeof(h), &fd, _i));
	expect_close(guest_vu_send_bytes(&vu, &ring, sizeof(ring), &fd, 1));
	close(fd);
}
END_TEST

/* U08: descriptors of every kind. */
static struct kind {
	const char *name;
	int fd;
} kinds[9];

static void kinds_open(void)
{
	int pair[2];

	ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
	kinds[0] = (struct kind){ "directory", open("/tmp", O_RDONLY) };
	kinds[1] = (struct kind){ "path", open("/tmp", O_PATH) };
	kinds[2] = (struct kind){ "pipe to read", pair[0] };
	kinds[3] = (struct kind){ "pipe to write", pair[1] };
	kinds[4] = (struct kind){ "device", open("/dev/null", O_RDWR) };
	kinds[5] = (struct kind){ "epoll", epoll_create1(0) };
	kinds[6] = (struct kind){ "file", hostile_memfd(1 << 20) };
	kinds[7] = (struct kind){ "eventfd", hostile_eventfd() };
	/* The front-end's own end of this very connection. */
	kinds[8] = (struct kind){ "socket", dup(vu.fd) };
}

static void kinds_close(void)
{
	size_t i;

	for (i = 0; i < pvio_array_size(kinds); i++) {
		ck_assert_int_ge(kinds[i].fd, 0);
		close(kinds[i].fd);
	}
}

static int tell_kind(uint32_t request, const void *payload, size_t size,
		     size_t kind)
{
	return guest_vu_tell(&vu, request, payload, size, &kinds[kind].fd, 1);
}

START_TEST(fd_of_the_wrong_type_is_refused)
{
	struct vu_memory_table table = { .nr = 1 };
	struct vu_memory_single single = { .padding = 0 };
	struct vu_inflight inflight = { 4096, 0, 1, 16, 0 };
	struct vu_log log = { .size = 65536 };
	uint64_t ring = 0;
	size_t k;

	hostile_connect();
	hostile_negotiate(0);
	kinds_open();
	single.region = (struct vu_memory_region){ 0, 1 << 20, 1 << 30, 0 };
	table.region[0] = single.region;
	for (k = 0; k < pvio_array_size(kinds); k++) {
		bool is_file = strcmp(kinds[k].name, "file") == 0;
		bool is_event = strcmp(kinds[k].name, "eventfd") == 0;
		bool is_pipe = strncmp(kinds[k].name, "pipe", 4) == 0;
		bool is_socket = strcmp(kinds[k].name, "socket") == 0;

		if (!is_file) {
			expect_nak(tell_kind(VU_SET_MEM_TABLE, &table, 40, k));
			expect_nak(tell_kind(VU_ADD_MEM_REG, &single, 40, k));
			expect_nak(tell_kind(VU_SET_LOG_BASE, &log, 16, k));
			expect_nak(tell_kind(VU_SET_INFLIGHT_FD, &inflight, 24,
					     k));
		}
		if (!is_event) {
			expect_nak(tell_kind(VU_SET_VRING_KICK, &ring, 8, k));
			expect_nak(tell_kind(VU_SET_VRING_ERR, &ring, 8, k));
		}
		/* User-mode Linux is notified by a pipe. */
		if (!is_event && !is_pipe)
			expect_nak(tell_kind(VU_SET_VRING_CALL, &ring, 8, k));
		if (!is_socket)
			expect_nak(
				tell_kind(VU_SET_BACKEND_REQ_FD, NULL, 0, k));
		/* Nobody looks at what comes with SET_LOG_FD (U32). */
		expect_ok(tell_kind(VU_SET_LOG_FD, NULL, 0, k));
	}
	kinds_close();
}
END_TEST

/* --- U37: the back-end's channel ------------------------------------------ */

/* U37: rubbish is ignored, a peer that does not read blocks nobody. */
START_TEST(backend_channel_full_of_rubbish_is_harmless)
{
	static const char rubbish[65536];
	int pair[2], i;

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	hostile_ready();
	expect_ok(guest_vu_tell(&vu, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1],
				1));
	close(pair[1]);
	for (i = 0; i < 100; i++) {
		ssize_t n = send(pair[0], rubbish, sizeof(rubbish),
				 MSG_NOSIGNAL);

		ck_assert(n > 0 || errno == EAGAIN);
		pvio_worker_step(rig.worker);
		pvio_device_config_changed(rig.dev);
	}
	expect_alive();
	close(pair[0]);
	/* Said into the closed channel, before its end is seen. */
	expect_ok(guest_vu_tell_u64(&vu, VU_SET_STATUS, 15));
	pvio_device_config_changed(rig.dev);
	rig_settle(&rig);
	expect_alive();
}
END_TEST

/* U37: ten thousand changes that nobody reads become a few messages. */
START_TEST(backend_channel_nobody_reads_is_bounded)
{
	int pair[2], i;

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	hostile_ready();
	expect_ok(guest_vu_tell(&vu, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1],
				1));
	expect_ok(guest_vu_tell_u64(&vu, VU_SET_STATUS, 15));
	for (i = 0; i < 10000; i++)
		pvio_device_config_changed(rig.dev);
	rig_settle(&rig);
	expect_alive();
	close(pair[0]);
	close(pair[1]);
}
END_TEST

/* --- U40 to U43: connections ---------------------------------------------- */

/* Ask, and do not read, until the socket is full; how often that was. */
static unsigned int ask_until_full(void)
{
	struct vu_header h = header(VU_GET_FEATURES, VU_VERSION, 0);
	unsigned int n;

	for (n = 0; n < 1000000; n++) {
		if (send(vu.fd, &h, sizeof(h), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
		rig_settle(&rig);
	}
	ck_assert_int_eq(errno, EAGAIN);
	return n;
}

/* U40: one that never reads is held up, by itself, and missed when it goes. */
START_TEST(front_end_that_never_reads_is_missed_when_it_goes)
{
	hostile_connect();
	ask_until_full();
	/* The fixture's end hangs up. */
}
END_TEST

/* U40: one that reads late gets every reply. */
START_TEST(front_end_that_reads_late_gets_every_reply)
{
	struct guest_vu_reply reply;
	unsigned int i, n;

	hostile_connect();
	n = ask_until_full();
	for (i = 0; i < n; i++) {
		expect_ok(guest_vu_receive(&vu, &reply, 5000));
		ck_assert_uint_eq(reply.header.request, VU_GET_FEATURES);
	}
	expect_alive();
}
END_TEST

/* U41: the second front-end waits, and is served when the first has gone. */
START_TEST(second_front_end_waits_for_the_first)
{
	struct guest_vu second;
	struct guest_vu_reply reply;
	uint64_t features;

	hostile_ready();
	expect_ok(guest_vu_connect(&second, rig.path, rig.worker));
	expect_ok(guest_vu_send(&second, VU_GET_FEATURES, 0, NULL, 0, NULL, 0));
	ck_assert_int_eq(guest_vu_receive(&second, &reply, 50), -ETIMEDOUT);
	expect_alive();
	guest_vu_close(&vu);
	expect_ok(guest_vu_receive(&second, &reply, 5000));
	expect_ok(guest_vu_ask_u64(&second, VU_GET_FEATURES, &features));
	guest_vu_close(&second);
}
END_TEST

/* U42: connections that say nothing, or half of something. */
START_TEST(storm_of_connections_leaves_nothing_behind)
{
	struct vu_header h = header(VU_SET_MEM_TABLE, VU_VERSION, 40);
	int i;

	for (i = 0; i < 10000; i++) {
		expect_ok(guest_vu_connect(&vu, rig.path, rig.worker));
		if (i % 3)
			expect_ok(guest_vu_send_bytes(
				&vu, &h, 3 * (size_t)(i % 4) + 1,
				&rig.mem.region[0].fd, i % 2));
		guest_vu_close(&vu);
		rig_settle(&rig);
	}
}
END_TEST

/* U42: gone while its rings run. */
START_TEST(disconnect_with_running_rings_stops_them)
{
	int kick = hostile_eventfd(), call = hostile_eventfd();
	int i;

	for (i = 0; i < 100; i++) {
		hostile_ready();
		memset(rig.mem.region[0].host, 0, 0x4000);
		hostile_start_ring(kick, call);
		hostile_expect_served(kick, 0);
		guest_vu_close(&vu);
		rig_settle(&rig);
		ck_assert(!pvio_device_vq_is_running(rig.dev, 0));
	}
	close(kick);
	close(call);
}
END_TEST

/*
 * U42: gone while a message waits for a queue's worker, which takes its time:
 * the session ends when the worker has answered, and not before.
 */
START_TEST(disconnect_while_a_message_waits_is_survived)
{
	struct pvio_worker *slow;
	char config[256];
	int kick = hostile_eventfd();
	int i;

	pvio_device_destroy(rig.dev);
	ck_assert_int_eq(pvio_worker_create("slow", &slow), 0);
	snprintf(config, sizeof(config),
		 "model = \"rng\"; transport = { type = \"vhost-user\"; "
		 "socket = \"%s\"; };",
		 rig.path);
	ck_assert_int_eq(pvio_device_create("vu0", config, rig.worker, &slow, 1,
					    &rig.dev),
			 0);
	rig_start(&rig);
	for (i = 0; i < 100; i++) {
		uint64_t ring = 0;
		int n;

		expect_ok(guest_vu_connect(&vu, rig.path, rig.worker));
		expect_ok(guest_vu_send(&vu, VU_SET_VRING_KICK, 0, &ring, 8,
					&kick, 1));
		expect_ok(guest_vu_send(&vu, VU_SET_VRING_CALL, 0, &ring, 8,
					&kick, 1));
		rig_settle(&rig);
		guest_vu_close(&vu);
		rig_settle(&rig);
		for (n = 0; n < 20; n++) {
			pvio_worker_step(slow);
			rig_settle(&rig);
		}
	}
	close(kick);
	pvio_device_destroy(rig.dev);
	pvio_worker_destroy(slow);
	rig_device(&rig, "model = \"rng\";", rig_transport(&rig));
	rig_start(&rig);
}
END_TEST

/* U43: no descriptor left to accept with: no spin, and service later. */
START_TEST(accept_without_descriptors_backs_off)
{
	struct rlimit limit, low;
	unsigned int steps;
	struct pollfd pfd;
	int next;

	expect_ok(guest_vu_connect(&vu, rig.path, rig.worker));
	getrlimit(RLIMIT_NOFILE, &limit);
	low = limit;
	next = dup(0);
	close(next);
	low.rlim_cur = (rlim_t)next;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	for (steps = 0; steps < 1000 && pvio_worker_step(rig.worker); steps++)
		;
	ck_assert_uint_lt(steps, 10);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	pfd = (struct pollfd){ .fd = vu.fd, .events = POLLIN };
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	expect_alive();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost_user_wire");
	TCase *tcase = tcase_create("hostile");

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, message_that_comes_byte_by_byte_is_served);
	tcase_add_loop_test(tcase, message_that_never_ends_is_timed_out, 0, 4);
	tcase_add_test(tcase, trickle_is_timed_out);
	tcase_add_loop_test(tcase, message_larger_than_any_closes, 0, 4);
	tcase_add_test(tcase, payload_of_the_wrong_size_is_refused);
	tcase_add_loop_test(tcase, wrong_version_or_reply_bit_closes, 0, 4);
	tcase_add_test(tcase, reserved_flags_are_ignored);
	tcase_add_test(tcase, unknown_request_is_refused);
	tcase_add_test(tcase, request_of_another_feature_is_refused);
	tcase_add_loop_test(tcase, too_many_fds_are_refused, 0, 5);
	tcase_add_test(tcase, too_few_fds_are_refused);
	tcase_add_test(tcase, fds_that_the_kernel_truncates_are_refused);
	tcase_add_loop_test(tcase, fds_in_the_middle_of_a_message_close, 0, 2);
	tcase_add_test(tcase, fd_of_the_wrong_type_is_refused);
	tcase_add_test(tcase, backend_channel_full_of_rubbish_is_harmless);
	tcase_add_test(tcase, backend_channel_nobody_reads_is_bounded);
	tcase_add_test(tcase,
		       front_end_that_never_reads_is_missed_when_it_goes);
	tcase_add_test(tcase, front_end_that_reads_late_gets_every_reply);
	tcase_add_test(tcase, second_front_end_waits_for_the_first);
	tcase_add_test(tcase, storm_of_connections_leaves_nothing_behind);
	tcase_add_test(tcase, disconnect_with_running_rings_stops_them);
	tcase_add_test(tcase, disconnect_while_a_message_waits_is_survived);
	tcase_add_test(tcase, accept_without_descriptors_backs_off);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
