/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vhost_user_rings.c - features, rings, eventfds and configuration of a
 * hostile vhost-user front-end
 */
#include "tests/hostile/vhost-user-hostile.h"

static int kick = -1, call = -1;

static void ring_setup(void)
{
	setup();
	kick = hostile_eventfd();
	call = hostile_eventfd();
	fds_before = rig_count_fds();
}

static void ring_teardown(void)
{
	int fds[2] = { kick, call };

	/* hostile_end() counts them. */
	teardown();
	close(fds[0]);
	close(fds[1]);
}

static uint64_t device_status(void)
{
	uint64_t status;

	expect_ok(guest_vu_ask_u64(&vu, VU_GET_STATUS, &status));
	return status;
}

static struct vu_vring_state ask_base(uint32_t index)
{
	struct vu_vring_state state = { .index = index };
	struct guest_vu_reply reply;

	expect_ok(guest_vu_ask(&vu, VU_GET_VRING_BASE, &state, sizeof(state),
			       &reply));
	ck_assert_uint_eq(reply.header.size, sizeof(reply.state));
	return reply.state;
}

static int tell_fd_value(uint32_t request, uint64_t value, int fd)
{
	return guest_vu_tell(&vu, request, &value, sizeof(value), &fd,
			     fd < 0 ? 0 : 1);
}

/* --- U24 to U26: features ------------------------------------------------- */

/* U24: deprecated or repeated messages are accepted and mean nothing. */
START_TEST(owner_messages_are_ignored)
{
	int i;

	hostile_ready();
	hostile_start_ring(kick, call);
	for (i = 0; i < 1000; i++) {
		expect_ok(guest_vu_tell(&vu, VU_SET_OWNER, NULL, 0, NULL, 0));
		expect_ok(guest_vu_tell(&vu, VU_RESET_OWNER, NULL, 0, NULL, 0));
	}
	hostile_expect_served(kick, 0);
}
END_TEST

/* U24: NAK, but for LOG_ALL. */
START_TEST(features_do_not_change_under_running_rings)
{
	const uint64_t same = PVIO_BIT(VIRTIO_F_VERSION_1) |
			      PVIO_BIT(VU_F_PROTOCOL_FEATURES);

	hostile_ready();
	hostile_start_ring(kick, call);
	expect_nak(guest_vu_tell_u64(&vu, VU_SET_FEATURES,
				     same | PVIO_BIT(VIRTIO_F_RING_PACKED)));
	expect_nak(guest_vu_tell_u64(&vu, VU_SET_FEATURES,
				     PVIO_BIT(VIRTIO_F_VERSION_1)));
	expect_ok(guest_vu_tell_u64(&vu, VU_SET_FEATURES,
				    same | PVIO_BIT(VU_F_LOG_ALL)));
	expect_ok(guest_vu_tell_u64(&vu, VU_SET_FEATURES, same));
	hostile_expect_served(kick, 0);
}
END_TEST

/* U25: NAK. */
START_TEST(features_that_were_not_offered_are_refused)
{
	uint64_t offered, bit;

	hostile_connect();
	expect_ok(guest_vu_ask_u64(&vu, VU_GET_FEATURES, &offered));
	for (bit = 0; bit < 64; bit++) {
		if (offered >> bit & 1)
			continue;
		expect_nak(guest_vu_tell_u64(&vu, VU_SET_FEATURES,
					     offered | PVIO_BIT(bit)));
	}
	ck_assert_uint_eq(device_status() & VIRTIO_CONFIG_S_FEATURES_OK, 0);
}
END_TEST

/* A driver of before virtio 1.0: NAK, and its rings do not start. */
START_TEST(legacy_driver_is_refused)
{
	uint64_t value = 0;

	hostile_connect();
	expect_nak(guest_vu_tell_u64(&vu, VU_SET_FEATURES,
				     PVIO_BIT(VU_F_PROTOCOL_FEATURES)));
	expect_ok(guest_vu_send(&vu, VU_SET_FEATURES, 0, &value, 8, NULL, 0));
	expect_ok(guest_vu_tell_memory(&vu, &rig.mem));
	expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_NUM, 0, 16));
	expect_ok(hostile_tell_addr(hostile_ring_addr()));
	expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_KICK, 0, kick));
	ck_assert(!pvio_device_vq_is_running(rig.dev, 0));
}
END_TEST

/* U26: CLOSE. */
START_TEST(protocol_features_out_of_order_close)
{
	static const uint64_t bad[] = {
		PVIO_BIT(63),
		PVIO_BIT(VU_PROTOCOL_RARP),
		PVIO_BIT(6) | PVIO_BIT(VU_PROTOCOL_REPLY_ACK),
		PVIO_BIT(VU_PROTOCOL_INBAND_NOTIFICATIONS),
		PVIO_BIT(VU_PROTOCOL_INBAND_NOTIFICATIONS) |
			PVIO_BIT(VU_PROTOCOL_REPLY_ACK),
		PVIO_BIT(VU_PROTOCOL_INBAND_NOTIFICATIONS) |
			PVIO_BIT(VU_PROTOCOL_BACKEND_REQ),
	};

	expect_ok(guest_vu_connect(&vu, rig.path, rig.worker));
	expect_close(guest_vu_send(&vu, VU_SET_PROTOCOL_FEATURES, 0, &bad[_i],
				   8, NULL, 0));
}
END_TEST

/* --- U19 to U23: rings ---------------------------------------------------- */

/* U19: NAK; a question is answered with position 0. */
START_TEST(ring_that_does_not_exist_is_refused)
{
	static const uint32_t bad[] = { 1,       0xff,       0x100,
					0x10000, 0x80000000, 0xffffffff };
	struct vu_vring_addr addr = hostile_ring_addr();
	uint32_t ring = bad[_i];

	hostile_ready();
	expect_nak(guest_vu_tell_state(&vu, VU_SET_VRING_NUM, ring, 16));
	expect_nak(guest_vu_tell_state(&vu, VU_SET_VRING_BASE, ring, 0));
	expect_nak(guest_vu_tell_state(&vu, VU_SET_VRING_ENABLE, ring, 1));
	addr.index = ring;
	expect_nak(hostile_tell_addr(addr));
	ck_assert_uint_eq(ask_base(ring).num, 0);
	expect_alive();
}
END_TEST

/* U19: the ring's 8 bits, the "no fd" bit, and nothing else. */
START_TEST(eventfd_of_a_ring_that_does_not_exist_is_refused)
{
	static const uint64_t bad[] = {
		1, 0xff, 0x200, 1ull << 32, 0xffffffffffffff00, UINT64_MAX
	};
	static const uint32_t requests[] = { VU_SET_VRING_KICK,
					     VU_SET_VRING_CALL,
					     VU_SET_VRING_ERR };
	uint32_t r = requests[_i];
	size_t i;

	hostile_ready();
	for (i = 0; i < pvio_array_size(bad); i++) {
		expect_nak(tell_fd_value(r, bad[i], kick));
		expect_nak(tell_fd_value(r, bad[i] | VU_VRING_NO_FD, -1));
	}
	/* The bit and the descriptors contradict each other. */
	expect_nak(tell_fd_value(r, VU_VRING_NO_FD, kick));
	expect_nak(tell_fd_value(r, 0, -1));
}
END_TEST

/* U20: NAK, and nothing grows. */
START_TEST(ring_of_an_illegal_size_is_refused)
{
	static const uint32_t bad[] = { 0,     3,     15,      65,        128,
					32768, 32769, 0x10010, 0xffffffff };
	size_t i;

	hostile_ready();
	for (i = 0; i < pvio_array_size(bad); i++)
		expect_nak(
			guest_vu_tell_state(&vu, VU_SET_VRING_NUM, 0, bad[i]));
	for (i = 0; i < 10000; i++)
		expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_NUM, 0,
					      1u << (i % 7)));
	hostile_start_ring(kick, call);
	expect_nak(guest_vu_tell_state(&vu, VU_SET_VRING_NUM, 0, 32));
	expect_nak(guest_vu_tell_state(&vu, VU_SET_VRING_BASE, 0, 0));
	hostile_expect_served(kick, 0);
}
END_TEST

/* U21: notes are kept until there is memory for them. */
START_TEST(ring_described_before_memory_starts_with_it)
{
	hostile_connect();
	hostile_negotiate(0);
	expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_KICK, 0, kick));
	expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_ENABLE, 0, 1));
	expect_ok(hostile_tell_addr(hostile_ring_addr()));
	expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_NUM, 0, 16));
	ck_assert(!pvio_device_vq_is_running(rig.dev, 0));
	expect_ok(guest_vu_tell_memory(&vu, &rig.mem));
	ck_assert(pvio_device_vq_is_running(rig.dev, 0));
	hostile_expect_served(kick, 0);
}
END_TEST

/* U21: only the start fails, and is said; then it may be done right. */
START_TEST(ring_at_an_impossible_address_does_not_start)
{
	struct vu_vring_addr addr = hostile_ring_addr();
	int err = hostile_eventfd();
	uint64_t end = (uintptr_t)rig.mem.region[0].host + RIG_RAM_BYTES;
	uint64_t count;

	switch (_i) {
	case 0: /* not aligned (virtio 1.4, 2.7) */
		addr.desc += 8;
		break;
	case 1:
		addr.used += 2;
		break;
	case 2:
		addr.avail += 1;
		break;
	case 3: /* across the end of its region */
		addr.desc = end - 16 * 15;
		break;
	case 4:
		addr.used = end - 64;
		break;
	case 5: /* in none */
		addr.avail = 0;
		break;
	case 6: /* wrapping */
		addr.desc = 0ull - 16;
		break;
	case 7: /* a guest's address, not the front-end's */
		addr.desc = RIG_RAM_GPA;
		break;
	}
	hostile_ready();
	expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_NUM, 0, 16));
	expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_ENABLE, 0, 1));
	expect_ok(hostile_tell_addr(addr));
	expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_ERR, 0, err));
	expect_nak(guest_vu_tell_fd(&vu, VU_SET_VRING_KICK, 0, kick));
	ck_assert(!pvio_device_vq_is_running(rig.dev, 0));
	ck_assert_int_eq(read(err, &count, sizeof(count)), sizeof(count));
	expect_ok(hostile_tell_addr(hostile_ring_addr()));
	ck_assert(pvio_device_vq_is_running(rig.dev, 0));
	hostile_expect_served(kick, 0);
	close(err);
}
END_TEST

/* U21: flags nobody knows; and addresses that move under a running ring. */
START_TEST(addresses_of_a_running_ring_are_frozen)
{
	struct vu_vring_addr addr = hostile_ring_addr();

	hostile_ready();
	addr.flags = 2;
	expect_nak(hostile_tell_addr(addr));
	hostile_start_ring(kick, call);
	hostile_expect_served(kick, 0);
	addr = hostile_ring_addr();
	expect_ok(hostile_tell_addr(addr));
	addr.used += 0x1000;
	expect_nak(hostile_tell_addr(addr));
	hostile_expect_served(kick, 1);
}
END_TEST

/* U22: masked. */
START_TEST(base_of_a_split_ring_has_16_bits)
{
	hostile_ready();
	expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_BASE, 0, 0xabcd0007));
	ck_assert_uint_eq(ask_base(0).num, 7);
}
END_TEST

/* U22: a position that the ring contradicts: RESETREQ. */
START_TEST(base_far_from_the_used_index_needs_a_reset)
{
	struct vring_used *used =
		(struct vring_used *)(rig.mem.region[0].host + 0x2000);
	const uint64_t one = 1;

	hostile_ready();
	memset(rig.mem.region[0].host, 0, 0x4000);
	used->idx = htole16(0x4000);
	expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_NUM, 0, 16));
	expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_BASE, 0, 0));
	expect_ok(hostile_tell_addr(hostile_ring_addr()));
	guest_vu_tell_fd(&vu, VU_SET_VRING_KICK, 0, kick);
	ck_assert_int_eq(write(kick, &one, sizeof(one)), sizeof(one));
	rig_settle(&rig);
	ck_assert(device_status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	expect_alive();
}
END_TEST

/* U23: the same answer however often. */
START_TEST(stopping_and_enabling_again_and_again_is_idempotent)
{
	int i;

	hostile_ready();
	for (i = 0; i < 100; i++) {
		expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_ENABLE, 0,
					      i % 2));
		ck_assert_uint_eq(ask_base(0).num, 0);
	}
	expect_nak(guest_vu_tell_state(&vu, VU_SET_VRING_ENABLE, 0, 2));
	hostile_start_ring(kick, call);
	hostile_expect_served(kick, 0);
	for (i = 0; i < 100; i++)
		ck_assert_uint_eq(ask_base(0).num, 1);
	/* And on, from there. */
	expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_KICK, 0, kick));
	hostile_expect_served(kick, 1);
}
END_TEST

/* --- U09, U27, U32: eventfds ---------------------------------------------- */

/* U27: the one before is closed (the fixture counts). */
START_TEST(eventfds_replaced_again_and_again)
{
	int i;

	hostile_ready();
	hostile_start_ring(kick, call);
	for (i = 0; i < 10000; i++) {
		int other = i % 2 ? kick : call;

		expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_CALL, 0, other));
		expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_ERR, 0, other));
		if (i % 16 == 0) {
			expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_CALL, 0,
						   -1));
			expect_ok(
				guest_vu_tell_fd(&vu, VU_SET_VRING_ERR, 0, -1));
			expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_KICK, 0,
						   -1));
		}
		expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_KICK, 0, kick));
	}
	hostile_expect_served(kick, 0);
}
END_TEST

/* U09: a full counter and no O_NONBLOCK do not block the worker. */
START_TEST(full_eventfds_block_nobody)
{
	uint64_t full = 0xfffffffffffffffe;
	int blocking = eventfd(0, EFD_CLOEXEC);

	ck_assert_int_eq(write(blocking, &full, sizeof(full)), sizeof(full));
	hostile_ready();
	expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_ERR, 0, blocking));
	hostile_start_ring(kick, blocking);
	hostile_expect_served(kick, 0);
	/* An error to signal. */
	expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_ERR, 0, blocking));
	pvio_device_break(rig.dev, "by the test");
	rig_settle(&rig);
	ck_assert(device_status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	close(blocking);
}
END_TEST

/*
 * U09: not even zero, which adds nothing, but is an edge, and blocks when an
 * event of the kernel's has filled the counter to its very end.
 */
START_TEST(error_eventfd_is_not_written_to_when_it_is_told)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int fd = eventfd(1, EFD_CLOEXEC), epoll = epoll_create1(EPOLL_CLOEXEC);

	ck_assert_int_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
	ck_assert_int_eq(epoll_wait(epoll, &event, 1, 0), 1);
	hostile_ready();
	expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_ERR, 0, fd));
	ck_assert_int_eq(epoll_wait(epoll, &event, 1, 0), 0);
	close(epoll);
	close(fd);
}
END_TEST

/* A front-end that says it will not kick is polled. */
START_TEST(ring_without_kick_fd_is_polled)
{
	struct vring_avail *avail =
		(struct vring_avail *)(rig.mem.region[0].host + 0x1000);

	hostile_ready();
	memset(rig.mem.region[0].host, 0, 0x4000);
	hostile_start_ring(-1, -1);
	rig_settle(&rig);
	/* The eventfd that this writes is nobody's. */
	hostile_expect_served(kick, 0);
	ck_assert_uint_eq(le16toh(avail->idx), 1);
}
END_TEST

/* --- U28, U29: configuration ---------------------------------------------- */

static int ask_config(uint32_t offset, uint32_t size, size_t bytes)
{
	struct vu_config c = { .offset = offset, .size = size };
	struct guest_vu_reply reply;
	int rc;

	rc = guest_vu_ask(&vu, VU_GET_CONFIG, &c,
			  VU_CONFIG_HEADER_BYTES + bytes, &reply);
	return rc < 0 ? rc : (int)reply.header.size;
}

/* U28: an answer without payload; no byte of ours past the end. */
START_TEST(configuration_out_of_bounds_is_refused)
{
	struct vu_config c = { .size = 256 };
	struct guest_vu_reply reply;
	unsigned int i;

	hostile_connect();
	ck_assert_int_eq(ask_config(0, 0, 0), 0);
	ck_assert_int_eq(ask_config(0, 257, 256), 0);
	ck_assert_int_eq(ask_config(0, 8, 16), 0);
	ck_assert_int_eq(ask_config(0, 16, 8), 0);
	ck_assert_int_eq(ask_config(250, 8, 8), 0);
	ck_assert_int_eq(ask_config(0xfffffff8, 16, 16), 0);
	ck_assert_int_eq(ask_config(0xffffffff, 0xffffffff, 256), 0);
	ck_assert_int_eq(ask_config(248, 8, 8), 12 + 8);
	/* The entropy device has none at all: all zero. */
	expect_ok(guest_vu_ask(&vu, VU_GET_CONFIG, &c, sizeof(c), &reply));
	ck_assert_uint_eq(reply.header.size, sizeof(c));
	for (i = 0; i < 256; i++)
		ck_assert_uint_eq(reply.config.data[i], 0);
}
END_TEST

static int tell_config(uint32_t offset, uint32_t size, uint32_t flags,
		       size_t bytes)
{
	struct vu_config c = { offset, size, flags, { 0xff } };

	return guest_vu_tell(&vu, VU_SET_CONFIG, &c,
			     VU_CONFIG_HEADER_BYTES + bytes, NULL, 0);
}

/* U29: NAK. */
START_TEST(configuration_that_cannot_be_written_is_refused)
{
	hostile_connect();
	expect_nak(tell_config(0, 0, 0, 0));
	expect_nak(tell_config(0, 8, 0, 8));
	expect_nak(tell_config(0, 8, 1, 8));
	expect_nak(tell_config(0, 8, 2, 8));
	expect_nak(tell_config(0, 256, 0, 256));
	expect_nak(tell_config(0xfffffff8, 16, 0, 16));
}
END_TEST

/* --- status and reset ----------------------------------------------------- */

START_TEST(status_that_is_none_is_refused)
{
	hostile_connect();
	expect_nak(guest_vu_tell_u64(&vu, VU_SET_STATUS, 0x100));
	expect_nak(guest_vu_tell_u64(&vu, VU_SET_STATUS, UINT64_MAX));
	/* FEATURES_OK and DRIVER_OK need features. */
	expect_ok(guest_vu_tell_u64(&vu, VU_SET_STATUS, 0x0f));
	ck_assert_uint_eq(device_status() & VIRTIO_CONFIG_S_FEATURES_OK, 0);
	ck_assert_uint_eq(device_status() & VIRTIO_CONFIG_S_DRIVER_OK, 0);
	/* Nobody breaks the device by saying so. */
	hostile_negotiate(0);
	expect_ok(guest_vu_tell_u64(&vu, VU_SET_STATUS, 0x4f));
	ck_assert_uint_eq(device_status() & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}
END_TEST

/* U48: rings are drained and stopped; setting up starts over. */
START_TEST(reset_stops_rings_and_forgets_them)
{
	int i;

	hostile_ready();
	for (i = 0; i < 100; i++) {
		memset(rig.mem.region[0].host, 0, 0x4000);
		hostile_start_ring(kick, call);
		hostile_expect_served(kick, 0);
		expect_ok(
			guest_vu_tell(&vu, VU_RESET_DEVICE, NULL, 0, NULL, 0));
		ck_assert(!pvio_device_vq_is_running(rig.dev, 0));
		ck_assert_uint_eq(device_status(), 0);
		/* QEMU 7.2 resets first, and asks then. */
		ck_assert_uint_eq(ask_base(0).num, 1);
		hostile_negotiate(0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost_user_rings");
	TCase *tcase = tcase_create("hostile");

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, ring_setup, ring_teardown);
	tcase_add_test(tcase, owner_messages_are_ignored);
	tcase_add_test(tcase, features_do_not_change_under_running_rings);
	tcase_add_test(tcase, features_that_were_not_offered_are_refused);
	tcase_add_test(tcase, legacy_driver_is_refused);
	tcase_add_loop_test(tcase, protocol_features_out_of_order_close, 0, 6);
	tcase_add_loop_test(tcase, ring_that_does_not_exist_is_refused, 0, 6);
	tcase_add_loop_test(
		tcase, eventfd_of_a_ring_that_does_not_exist_is_refused, 0, 3);
	tcase_add_test(tcase, ring_of_an_illegal_size_is_refused);
	tcase_add_test(tcase, ring_described_before_memory_starts_with_it);
	tcase_add_loop_test(tcase, ring_at_an_impossible_address_does_not_start,
			    0, 8);
	tcase_add_test(tcase, addresses_of_a_running_ring_are_frozen);
	tcase_add_test(tcase, base_of_a_split_ring_has_16_bits);
	tcase_add_test(tcase, base_far_from_the_used_index_needs_a_reset);
	tcase_add_test(tcase,
		       stopping_and_enabling_again_and_again_is_idempotent);
	tcase_add_test(tcase, eventfds_replaced_again_and_again);
	tcase_add_test(tcase, full_eventfds_block_nobody);
	tcase_add_test(tcase, error_eventfd_is_not_written_to_when_it_is_told);
	tcase_add_test(tcase, ring_without_kick_fd_is_polled);
	tcase_add_test(tcase, configuration_out_of_bounds_is_refused);
	tcase_add_test(tcase, configuration_that_cannot_be_written_is_refused);
	tcase_add_test(tcase, status_that_is_none_is_refused);
	tcase_add_test(tcase, reset_stops_rings_and_forgets_them);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
