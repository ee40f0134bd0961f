/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vhost_user_linger.c - a vhost-user front-end that sends descriptors
 * which do not close
 *
 * Everything is on one thread: where one of these descriptors is waited for,
 * the test is, too.
 */
#include "tests/hostile/linger.h"
#include "tests/hostile/vhost-user-hostile.h"

static struct rig next_door;
static struct guest_device *next_door_gd;
static unsigned int fds_alone;

/* The other device: of another guest, on the same worker. */
static void begin_two(const char *keys)
{
	char transport[192];

	hostile_begin("model = \"rng\";", keys);
	fds_alone = fds_before;
	memset(&next_door, 0, sizeof(next_door));
	next_door.worker = rig.worker;
	snprintf(next_door.path, sizeof(next_door.path), "%s/n", rig.dir);
	snprintf(transport, sizeof(transport),
		 "type = \"vhost-user\"; socket = \"%s\";", next_door.path);
	rig_device(&next_door, "model = \"rng\";", transport);
	guest_memory_init(&next_door.mem);
	ck_assert_int_eq(
		guest_memory_add(&next_door.mem, RIG_RAM_GPA, RIG_RAM_BYTES),
		0);
	rig_start(&next_door);
	next_door_gd = rig_open(&next_door);
	rig_bring_up(next_door_gd, 0, 1, 16);
	fds_before = rig_count_fds();
}

static void setup_two(void)
{
	begin_two("timeout_ms = 200;");
}

static void setup_patient(void)
{
	begin_two("timeout_ms = 10000;");
}

static void next_door_is_served(void)
{
	rig_expect_entropy(&next_door, next_door_gd);
}

static void teardown_two(void)
{
	next_door_is_served();
	guest_vu_close(&vu);
	rig_expect_fds(&rig, fds_before);
	linger_expect_closed();
	guest_device_close(next_door_gd);
	rig_settle(&rig);
	pvio_device_destroy(next_door.dev);
	guest_memory_fini(&next_door.mem);
	fds_before = fds_alone;
	maps_before = rig_count_maps();
	teardown();
}

/* A message with a descriptor that it has not. */
static void send_unwanted(struct linger_socket *l)
{
	struct vu_header h = { VU_SET_OWNER, VU_VERSION | VU_NEED_REPLY, 0 };

	linger_send(l, vu.fd, &h, sizeof(h), 0);
}

/* U05: NAK, and the next message is served, as is everybody else. */
START_TEST(refused_descriptor_that_lingers_holds_up_nobody)
{
	struct linger_socket l = linger_open();
	struct guest_vu_reply reply;

	if (_i == 1)
		linger_nest(&l);
	hostile_connect();
	send_unwanted(&l);
	expect_ok(guest_vu_receive(&vu, &reply, 5000));
	ck_assert_uint_ne(reply.u64, 0);
	expect_alive();
	next_door_is_served();
	/* Somebody waits, until there is nothing to wait for. */
	linger_expect_waiting();
	linger_end(&l);
	linger_expect_closed();
}
END_TEST

/* U05: one more than any message has. */
START_TEST(surplus_descriptor_that_lingers_holds_up_nobody)
{
	struct vu_header h = { VU_SET_OWNER, VU_VERSION | VU_NEED_REPLY, 0 };
	struct linger_socket l = linger_open();
	struct guest_vu_reply reply;

	hostile_connect();
	linger_send_behind(&l, 8, vu.fd, &h, sizeof(h), 0);
	expect_ok(guest_vu_receive(&vu, &reply, 5000));
	ck_assert_uint_ne(reply.u64, 0);
	next_door_is_served();
	linger_expect_waiting();
	linger_end(&l);
}
END_TEST

/* U07: CLOSE, and who comes next is served. */
START_TEST(stray_descriptor_that_lingers_holds_up_nobody)
{
	struct vu_header h = { VU_SET_VRING_KICK, VU_VERSION, 8 };
	struct linger_socket l = linger_open();
	const uint64_t ring = 0;

	hostile_connect();
	expect_ok(guest_vu_send_bytes(&vu, &h, sizeof(h), NULL, 0));
	linger_send(&l, vu.fd, &ring, sizeof(ring), 0);
	expect_closed();
	guest_vu_close(&vu);
	hostile_connect();
	expect_alive();
	next_door_is_served();
	linger_end(&l);
}
END_TEST

/* U07: CLOSE, with more behind it that is never read. */
START_TEST(unread_descriptor_that_lingers_holds_up_nobody)
{
	static const int flags[] = { 0, MSG_OOB };
	struct vu_header bad = { VU_SET_OWNER, VU_VERSION | VU_REPLY, 0 };
	struct linger_socket l = linger_open();

	hostile_connect();
	expect_ok(guest_vu_send_bytes(&vu, &bad, sizeof(bad), NULL, 0));
	linger_send(&l, vu.fd, &bad, sizeof(bad), flags[_i]);
	expect_closed();
	next_door_is_served();
	guest_vu_close(&vu);
	hostile_connect();
	expect_alive();
	linger_end(&l);
}
END_TEST

/* U07: out of band, and so before the bytes of the message it is in. */
START_TEST(descriptor_out_of_band_that_lingers_holds_up_nobody)
{
	struct linger_socket l = linger_open();

	hostile_connect();
	linger_send(&l, vu.fd, "", 1, MSG_OOB);
	expect_ok(guest_vu_send_bytes(&vu, "", 1, NULL, 0));
	expect_closed();
	next_door_is_served();
	linger_end(&l);
}
END_TEST

/* U41: of one who is still in the queue when the device goes. */
START_TEST(descriptor_of_one_who_waits_holds_up_nobody)
{
	struct linger_socket l = linger_open(), more = linger_open();
	struct guest_vu second, third;

	hostile_connect();
	expect_ok(guest_vu_connect(&second, rig.path, rig.worker));
	expect_ok(guest_vu_connect(&third, rig.path, rig.worker));
	linger_send(&l, second.fd, "", 1, 0);
	linger_send(&more, third.fd, "", 1, 0);
	guest_vu_close(&second);
	guest_vu_close(&third);
	pvio_device_destroy(rig.dev);
	next_door_is_served();
	linger_end(&l);
	linger_end(&more);
	guest_vu_close(&vu);
	rig_device(&rig, "model = \"rng\";", rig_transport(&rig));
	rig_start(&rig);
}
END_TEST

/* --- U37: the back-end's channel ------------------------------------------ */

static void channel_open(int pair[2])
{
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	hostile_ready();
	expect_ok(guest_vu_tell(&vu, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1],
				1));
}

/* U37: as an answer, or what looks like one. */
START_TEST(descriptor_in_the_channel_that_lingers_holds_up_nobody)
{
	static const int flags[] = { 0, MSG_OOB };
	struct linger_socket l = linger_open();
	int pair[2];

	channel_open(pair);
	close(pair[1]);
	linger_send(&l, pair[0], "a", 1, flags[_i]);
	send(pair[0], "b", 1, MSG_NOSIGNAL);
	rig_settle(&rig);
	expect_ok(guest_vu_tell_u64(&vu, VU_SET_STATUS, 15));
	pvio_device_config_changed(rig.dev);
	expect_alive();
	next_door_is_served();
	/* Nor is it when the channel goes. */
	expect_ok(guest_vu_tell(&vu, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[0],
				1));
	close(pair[0]);
	expect_alive();
	guest_vu_close(&vu);
	next_door_is_served();
	linger_end(&l);
}
END_TEST

/* U37: the front-end has the channel's other end, too, and reads from it. */
START_TEST(descriptor_left_behind_in_the_channel_holds_up_nobody)
{
	struct linger_socket l = linger_open();
	int pair[2];
	char byte;

	channel_open(pair);
	linger_send(&l, pair[0], "a", 1, MSG_OOB);
	ck_assert_int_eq(recv(pair[1], &byte, 1, MSG_OOB), 1);
	close(pair[1]);
	ck_assert_int_eq(send(pair[0], "b", 1, MSG_NOSIGNAL), 1);
	expect_alive();
	guest_vu_close(&vu);
	next_door_is_served();
	close(pair[0]);
	linger_end(&l);
}
END_TEST

/* --- how many ------------------------------------------------------------- */

/* Connect and send, until that is not answered; how often it was. */
static unsigned int send_until_closed(unsigned int per_message)
{
	struct vu_header h = { VU_SET_OWNER, VU_VERSION, 0 };
	struct guest_vu_reply reply;
	unsigned int taken = 0, tries;
	int fds[253], rc = 0, fd;

	fd = open("/dev/null", O_RDWR);
	ck_assert_int_ge(fd, 0);
	for (tries = 0; tries < per_message; tries++)
		fds[tries] = fd;
	for (tries = 0; tries < 1000 && rc == 0; tries++) {
		guest_vu_close(&vu);
		expect_ok(guest_vu_connect(&vu, rig.path, rig.worker));
		rc = guest_vu_send_bytes(&vu, &h, sizeof(h), fds, per_message);
		if (rc == 0)
			rc = guest_vu_send(&vu, VU_GET_FEATURES, 0, NULL, 0,
					   NULL, 0);
		if (rc == 0)
			rc = guest_vu_receive(&vu, &reply, 5000);
		taken += rc == 0;
	}
	close(fd);
	ck_assert_int_eq(rc, -EPIPE);
	return taken;
}

/* U42: more than may wait, and then they close: nothing is lost. */
START_TEST(descriptors_that_close_late_are_waited_for)
{
	struct linger_socket l = linger_open();
	struct guest_vu_reply reply;
	uint64_t features;
	int fds[253], i;

	hostile_connect();
	send_unwanted(&l);
	expect_ok(guest_vu_receive(&vu, &reply, 5000));
	linger_expect_waiting();
	fds[0] = open("/dev/null", O_RDWR);
	for (i = 1; i < 253; i++)
		fds[i] = fds[0];
	for (i = 0; i < 3; i++)
		expect_ok(
			guest_vu_send(&vu, VU_SET_OWNER, 0, NULL, 0, fds, 253));
	expect_ok(guest_vu_send(&vu, VU_GET_FEATURES, 0, NULL, 0, NULL, 0));
	ck_assert_int_eq(guest_vu_receive(&vu, &reply, 50), -ETIMEDOUT);
	linger_end(&l);
	expect_ok(guest_vu_receive(&vu, &reply, 5000));
	expect_ok(guest_vu_ask_u64(&vu, VU_GET_FEATURES, &features));
	close(fds[0]);
}
END_TEST

/* U42: what does not close is bounded, and stops only who sent it. */
START_TEST(descriptors_that_do_not_close_are_bounded)
{
	static const unsigned int counts[] = { 1, 64, 253 };
	struct linger_socket l = linger_open();
	struct guest_vu_reply reply;
	unsigned int fds;

	hostile_connect();
	send_unwanted(&l);
	expect_ok(guest_vu_receive(&vu, &reply, 5000));
	linger_expect_waiting();
	/* This one was in already: its time was up. */
	ck_assert_uint_ge(send_until_closed(counts[_i]), 1);
	ck_assert_uint_le(rig_count_fds(), fds_before + 600);
	next_door_is_served();
	/* The next one is not: there are our descriptors, and no others. */
	fds = rig_count_fds();
	guest_vu_close(&vu);
	expect_ok(guest_vu_connect(&vu, rig.path, rig.worker));
	expect_ok(guest_vu_send(&vu, VU_GET_FEATURES, 0, NULL, 0, NULL, 0));
	ck_assert_int_eq(guest_vu_receive(&vu, &reply, 150), -ETIMEDOUT);
	ck_assert_uint_eq(rig_count_fds(), fds);
	next_door_is_served();
	/* Who waits is let in when they have closed. */
	linger_end(&l);
	expect_ok(guest_vu_receive(&vu, &reply, 5000));
	expect_alive();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost_user_linger");
	TCase *tcase = tcase_create("hostile");
	int skip = linger_skip();

	if (skip)
		return skip;
	tcase_set_timeout(tcase, LINGER_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup_two, teardown_two);
	tcase_add_loop_test(
		tcase, refused_descriptor_that_lingers_holds_up_nobody, 0, 2);
	tcase_add_test(tcase, surplus_descriptor_that_lingers_holds_up_nobody);
	tcase_add_test(tcase, stray_descriptor_that_lingers_holds_up_nobody);
	tcase_add_loop_test(
		tcase, unread_descriptor_that_lingers_holds_up_nobody, 0, 2);
	tcase_add_test(tcase,
		       descriptor_out_of_band_that_lingers_holds_up_nobody);
	tcase_add_test(tcase, descriptor_of_one_who_waits_holds_up_nobody);
	tcase_add_loop_test(
		tcase, descriptor_in_the_channel_that_lingers_holds_up_nobody,
		0, 2);
	tcase_add_test(tcase,
		       descriptor_left_behind_in_the_channel_holds_up_nobody);
	tcase_add_loop_test(tcase, descriptors_that_do_not_close_are_bounded, 0,
			    3);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("patient");
	tcase_set_timeout(tcase, LINGER_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup_patient, teardown_two);
	tcase_add_test(tcase, descriptors_that_close_late_are_waited_for);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
