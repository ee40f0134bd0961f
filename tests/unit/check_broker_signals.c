/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_broker_signals.c - whose eventfd is at the other end of a kick and a call
 */
#include "tests/broker-guest.h"

#include <endian.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* --- signals -------------------------------------------------------------- */

START_TEST(kick_is_lent)
{
	int fd = event_new_fd(), next = event_new_fd();
	uint32_t number;

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_KICK, 1, fd), 0);
	number = rig_find(&rig, VU_SET_VRING_KICK)->number;
	ck_assert_uint_gt(number, 0);
	ck_assert(pvio_eventfd_is_same(rig.appliance.vector[number], fd));
	/* The same again is the same; another is another. */
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_KICK, 1, fd), 0);
	ck_assert_uint_eq(rig_find(&rig, VU_SET_VRING_KICK)->number, number);
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_KICK, 1, next), 0);
	number = rig_find(&rig, VU_SET_VRING_KICK)->number;
	ck_assert(pvio_eventfd_is_same(rig.appliance.vector[number], next));
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_KICK, 0, -1), 0);
	ck_assert_uint_eq(rig_find(&rig, VU_SET_VRING_KICK)->number, 0);
	close(fd);
	close(next);
}
END_TEST

START_TEST(kick_is_relayed_when_vectors_are_used_up)
{
	unsigned int i, ring;
	uint32_t number = 0;
	int fd = -1;

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	for (i = 0; i < 2 * RIG_VECTORS; i++) {
		if (fd >= 0)
			close(fd);
		fd = event_new_fd();
		ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_KICK, 0, fd),
				 0);
		number = rig_find(&rig, VU_SET_VRING_KICK)->number;
		ck_assert_uint_lt(number, RIG_VECTORS);
	}
	rig_settle(&rig);
	ck_assert(!pvio_eventfd_is_same(rig.appliance.vector[number], fd));
	taken(rig.appliance.vector[number]);
	ck_assert_int_eq(pvio_eventfd_signal(fd), 0);
	rig_settle(&rig);
	ck_assert_uint_gt(taken(rig.appliance.vector[number]), 0);
	ck_assert_int_gt(rig_stat(&rig, 0, "signals.relayed"), 0);
	close(fd);
	/* The port's other ring, and the other port, still get their first. */
	for (ring = 0; ring < 3; ring++) {
		if (ring == 1) {
			guest_vu_close(&b);
			rig_until(&rig, is_session, 0);
			ck_assert_int_eq(rig_dial(&rig, 1, &b), 0);
		}
		fd = event_new_fd();
		ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_KICK,
						  ring ? ring - 1 : 1, fd),
				 0);
		number = rig_find(&rig, VU_SET_VRING_KICK)->number;
		ck_assert(
			pvio_eventfd_is_same(rig.appliance.vector[number], fd));
		close(fd);
	}
	/* The server never had more of it than it can take. */
	ck_assert_uint_eq(rig.appliance.nr_vectors, RIG_VECTORS);
}
END_TEST

START_TEST(call_swap_loses_no_notification)
{
	int fd[2] = { event_new_fd(), event_new_fd() };
	uint32_t number, before;
	unsigned int i;

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_CALL, 0, fd[0]), 0);
	number = rig_find(&rig, VU_SET_VRING_CALL)->number;
	ck_assert(
		pvio_eventfd_is_same(rig.appliance.peer[number >> 16], fd[0]));
	ck_assert_uint_eq(taken(fd[0]), 0);
	for (i = 1; i < 20; i++) {
		int now = fd[i & 1];

		before = number;
		ck_assert_int_eq(
			guest_vu_tell_fd(&b, VU_SET_VRING_CALL, 0, now), 0);
		number = rig_find(&rig, VU_SET_VRING_CALL)->number;
		ck_assert(pvio_eventfd_is_same(rig.appliance.peer[number >> 16],
					       now));
		ck_assert(rig_doorbell(&rig, number));
		ck_assert_uint_gt(taken(now), 0);
		rig_settle(&rig);
		taken(fd[!(i & 1)]);
		/* A worker that has not heard of it yet rings the one before. */
		taken(now);
		ck_assert(rig_doorbell(&rig, before));
		rig_settle(&rig);
		ck_assert_uint_gt(taken(now), 0);
		taken(fd[!(i & 1)]);
	}
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_CALL, 0, -1), 0);
	rig_settle(&rig);
	ck_assert_int_lt(rig.appliance.peer[number >> 16], 0);
	ck_assert_int_lt(rig.appliance.peer[before >> 16], 0);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(masking_to_and_fro_uses_up_nothing)
{
	int fd[2] = { event_new_fd(), event_new_fd() };
	uint32_t number[2] = { 0, 0 };
	unsigned int i;

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	for (i = 0; i < 10; i++) {
		ck_assert_int_eq(
			guest_vu_tell_fd(&b, VU_SET_VRING_CALL, 0, fd[i & 1]),
			0);
		if (i >= 2)
			ck_assert_uint_eq(
				rig_find(&rig, VU_SET_VRING_CALL)->number,
				number[i & 1]);
		number[i & 1] = rig_find(&rig, VU_SET_VRING_CALL)->number;
		rig_settle(&rig);
		taken(fd[0]);
		taken(fd[1]);
		/* Either number rings the one in force, once. */
		ck_assert(rig_doorbell(&rig, number[i & 1]));
		rig_settle(&rig);
		ck_assert_uint_eq(taken(fd[i & 1]), 1);
	}
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(call_is_relayed_after_very_many_swaps)
{
	int fd[2] = { event_new_fd(), event_new_fd() };
	uint32_t number = 0, last = 0;
	unsigned int i;

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	for (i = 0; i < 1100; i++) {
		close(fd[i & 1]);
		fd[i & 1] = event_new_fd();
		ck_assert_int_eq(
			guest_vu_tell_fd(&b, VU_SET_VRING_CALL, 0, fd[i & 1]),
			0);
		last = number;
		number = rig_find(&rig, VU_SET_VRING_CALL)->number;
	}
	ck_assert_uint_eq(number, last);
	rig_settle(&rig);
	taken(fd[0]);
	taken(fd[1]);
	ck_assert(rig_doorbell(&rig, number));
	rig_settle(&rig);
	ck_assert_uint_eq(taken(fd[1]), 1);
	ck_assert_uint_eq(taken(fd[0]), 0);
	ck_assert_int_gt(rig_stat(&rig, 0, "signals.forwarded"), 0);
	/* It stays so: for the next session, too. */
	guest_vu_close(&b);
	rig_settle(&rig);
	rig_doorbell(&rig, number);
	rig_settle(&rig);
	ck_assert_uint_eq(taken(fd[1]), 0);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_CALL, 0, fd[0]), 0);
	ck_assert_uint_eq(rig_find(&rig, VU_SET_VRING_CALL)->number, number);
	ck_assert(rig_doorbell(&rig, number));
	rig_settle(&rig);
	ck_assert_uint_eq(taken(fd[0]), 1);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(nothing_of_a_session_is_rung_after_it)
{
	int kick = event_new_fd(), call = event_new_fd();
	uint32_t number;

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_CALL, 0, call), 0);
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_KICK, 0, kick), 0);
	number = rig_find(&rig, VU_SET_VRING_CALL)->number;
	guest_vu_close(&b);
	rig_settle(&rig);
	ck_assert(!rig_doorbell(&rig, number));
	close(kick);
	close(call);
}
END_TEST

/* What a hostile VMM does to an eventfd it shares with us. */
static void make_it_block(int fd)
{
	const uint64_t most = UINT64_MAX - 1;

	taken(fd);
	ck_assert_int_eq(write(fd, &most, 8), 8);
	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
}

static void let_it_be(int fd)
{
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	taken(fd);
}

static void watch(void)
{
	/* One watch a process: without fork the tests share it. */
	int rc = pvio_eventfd_watch(SIGURG);

	ck_assert(rc == 0 || rc == -EBUSY);
}

START_TEST(interrupt_that_blocks_is_given_up)
{
	int fd;

	watch();
	rig_up(&rig);
	rig_settle(&rig);
	/* The appliance's side is not to read what we look for. */
	event_del(rig.appliance.interrupt_event);
	fd = rig.appliance.vector[0];
	taken(fd);
	broker_announce(rig.broker);
	rig_settle(&rig);
	ck_assert_uint_gt(taken(fd), 0);
	make_it_block(fd);
	broker_announce(rig.broker);
	rig_settle(&rig);
	let_it_be(fd);
	broker_announce(rig.broker);
	rig_settle(&rig);
	ck_assert_uint_eq(taken(fd), 0);
	/* The next one has another. */
	rig_disconnect(&rig);
	rig_settle(&rig);
	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	event_del(rig.appliance.interrupt_event);
	fd = rig.appliance.vector[0];
	taken(fd);
	broker_announce(rig.broker);
	rig_settle(&rig);
	ck_assert_uint_gt(taken(fd), 0);
}
END_TEST

START_TEST(error_eventfd_that_blocks_is_given_up)
{
	const struct {
		struct vu_header header;
		struct vu_vring_state state;
	} error = { { VU_BACKEND_VRING_ERR, VU_VERSION, 8 }, { 1, 0 } };
	int fd = event_new_fd(), i;

	watch();
	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_ERR, 1, fd), 0);
	make_it_block(fd);
	for (i = 0; i < 2; i++) {
		rig_frame(&rig, 0, rig.appliance.port[0]->served,
			  WINDOW_BACKEND_MESSAGE, &error, sizeof(error));
		rig_settle(&rig);
		if (i == 0)
			let_it_be(fd);
	}
	ck_assert_uint_eq(taken(fd), 0);
	/* Another one is told. */
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_ERR, 1, fd), 0);
	rig_frame(&rig, 0, rig.appliance.port[0]->served,
		  WINDOW_BACKEND_MESSAGE, &error, sizeof(error));
	rig_settle(&rig);
	ck_assert_uint_eq(taken(fd), 1);
	close(fd);
}
END_TEST

START_TEST(broker_serves_on_a_thread_of_its_own)
{
	uint64_t message[3] = { 1, 1, 1 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	broker_destroy(rig.broker);
	pvio_config_close(rig.file);
	ck_assert_int_eq(pvio_worker_start(rig.worker), 0);
	ck_assert_int_eq(rig_create(&rig, ""), 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strncpy(addr.sun_path, rig.a, sizeof(addr.sun_path) - 1);
	ck_assert_int_eq(connect(fd, (void *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(recv(fd, message, sizeof(message), MSG_WAITALL),
			 sizeof(message));
	ck_assert_uint_eq(le64toh(message[2]), UINT64_MAX);
	ck_assert_int_eq(rig_stat(&rig, 0, "signals.clients"), 1);
	broker_destroy(rig.broker);
	while (recv(fd, message, sizeof(message), 0) > 0)
		;
	ck_assert_int_eq(recv(fd, message, sizeof(message), 0), 0);
	close(fd);
	pvio_worker_stop(rig.worker);
	pvio_config_close(rig.file);
	ck_assert_int_eq(rig_create(&rig, ""), 0);
}
END_TEST

CHECK_MAIN("broker, signals", setup, teardown, kick_is_lent,
	   kick_is_relayed_when_vectors_are_used_up,
	   call_swap_loses_no_notification, masking_to_and_fro_uses_up_nothing,
	   call_is_relayed_after_very_many_swaps,
	   nothing_of_a_session_is_rung_after_it,
	   interrupt_that_blocks_is_given_up,
	   error_eventfd_that_blocks_is_given_up,
	   broker_serves_on_a_thread_of_its_own)
