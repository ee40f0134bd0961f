/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_net_socket.c - a card's peer that sends descriptors which do not close
 *
 * Everything is on one thread: where one of these descriptors is waited for,
 * the test is, too.
 */
#include "core/closer.h"
#include "tests/hostile/linger.h"
#include "tests/net-rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/un.h>

static struct rig rig;
static char dir[64];
static int peer = -1;
static uint8_t frame[100];

static const struct guest_net_options plain = {
	.features = { RIG_ALL_NET, 0 },
	.pairs = 1,
	.queue_size = 256,
	.rx_bytes = 2048,
	.rx_buffers = 256,
};

static struct sockaddr_un address(const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	ck_assert_int_lt(snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s",
				  dir, name),
			 (int)sizeof(addr.sun_path));
	return addr;
}

static int dial(int type)
{
	struct sockaddr_un addr = address("ours");
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	return fd;
}

static void setup(void)
{
	strcpy(dir, "/tmp/pvio-check-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	rig_setup();
	rig_frame(frame, sizeof(frame), 1);
}

static void teardown(void)
{
	char command[128];

	close(peer);
	rig_down(&rig);
	rig_teardown();
	linger_expect_closed();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

/* As many descriptors as a message of ours has, which all close. */
static void send_others(const void *bytes, size_t len)
{
	struct linger_socket other = { .peer = -1 };

	other.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(other.fd, 0);
	linger_send_behind(&other, LINGER_MAX_OTHERS, peer, bytes, len, 0);
}

/* --- stream --------------------------------------------------------------- */

static void stream_up(void)
{
	char config[128];

	sprintf(config, "type = \"stream\"; server = true; path = \"%s/ours\";",
		dir);
	rig_up(&rig, "net0", config, "", &plain);
	peer = dial(SOCK_STREAM);
	rig_step();
}

static void stream_put(void)
{
	uint32_t length = htonl(sizeof(frame));

	ck_assert_int_eq(send(peer, &length, 4, MSG_NOSIGNAL), 4);
	ck_assert_int_eq(send(peer, frame, sizeof(frame), MSG_NOSIGNAL),
			 sizeof(frame));
}

static void stream_expect_closed(void)
{
	char byte;

	rig_step();
	ck_assert_int_eq(recv(peer, &byte, 1, 0), 0);
	close(peer);
	peer = -1;
}

static void stream_expect_served(void)
{
	peer = dial(SOCK_STREAM);
	stream_put();
	rig_expect(&rig, 0, frame, sizeof(frame));
}

static const int ways_to_send[] = { 0, MSG_OOB };

START_TEST(stream_descriptor_that_lingers_holds_up_nobody)
{
	struct linger_socket l = linger_open();

	stream_up();
	linger_send(&l, peer, "x", 1, ways_to_send[_i]);
	stream_expect_closed();
	linger_expect_waiting();
	stream_expect_served();
	linger_end(&l);
}
END_TEST

/* Behind what the connection ends for. */
START_TEST(stream_unread_descriptor_that_lingers_holds_up_nobody)
{
	struct linger_socket l = linger_open();

	stream_up();
	ck_assert_int_eq(send(peer, "\xff\xff\xff\xff", 4, MSG_NOSIGNAL), 4);
	linger_send(&l, peer, "x", 1, ways_to_send[_i]);
	stream_expect_closed();
	linger_expect_waiting();
	stream_expect_served();
	linger_end(&l);
}
END_TEST

/* Of who is not let in, as there is another. */
START_TEST(stream_waiting_descriptor_that_lingers_holds_up_nobody)
{
	struct linger_socket l[2] = { linger_open(), linger_open() };
	int others[2], i;

	stream_up();
	for (i = 0; i < 2; i++) {
		others[i] = dial(SOCK_STREAM);
		linger_send(&l[i], others[i], "x", 1, 0);
	}
	rig_step();
	rig_down(&rig);
	linger_expect_waiting();
	for (i = 0; i < 2; i++) {
		linger_end(&l[i]);
		close(others[i]);
	}
	stream_up();
	stream_put();
	rig_expect(&rig, 0, frame, sizeof(frame));
}
END_TEST

/* Nobody is let in until they have closed. */
START_TEST(stream_peer_waits_for_what_was_sent_before)
{
	struct linger_socket l = linger_open();
	unsigned int i, peers = 0;
	char byte;

	stream_up();
	linger_send(&l, peer, "x", 1, 0);
	stream_expect_closed();
	linger_expect_waiting();
	for (;;) {
		peer = dial(SOCK_STREAM);
		for (i = 0; i < 16; i++)
			send_others("x", 1);
		rig_step();
		if (recv(peer, &byte, 1, MSG_DONTWAIT) < 0)
			break;
		close(peer);
		ck_assert_uint_lt(++peers, 10);
	}
	ck_assert_uint_gt(peers, 0);
	rig_expect_rest();
	/* This one's turn comes, and then that of one who does better. */
	linger_end(&l);
	while (recv(peer, &byte, 1, MSG_DONTWAIT) < 0)
		pvio_worker_wait(rig_worker, 10);
	close(peer);
	stream_expect_served();
}
END_TEST

/* --- dgram ---------------------------------------------------------------- */

static void dgram_up(const struct guest_net_options *o)
{
	char config[256];

	sprintf(config,
		"type = \"dgram\"; local = \"%s/ours\"; remote = "
		"\"%s/theirs\";",
		dir, dir);
	rig_up(&rig, "net0", config, "", o);
	peer = dial(SOCK_DGRAM);
}

static void dgram_put(void)
{
	ck_assert_int_eq(send(peer, frame, sizeof(frame), MSG_NOSIGNAL),
			 sizeof(frame));
}

/* It is no frame, and those before and behind it are. */
START_TEST(dgram_descriptor_that_lingers_holds_up_nobody)
{
	struct linger_socket l = linger_open();

	dgram_up(&plain);
	dgram_put();
	linger_send(&l, peer, frame, _i ? sizeof(frame) : 0, 0);
	dgram_put();
	rig_expect(&rig, 0, frame, sizeof(frame));
	rig_expect(&rig, 0, frame, sizeof(frame));
	rig_expect_none(&rig, 0);
	ck_assert_uint_eq(rig_faults(&rig, 0, PVIO_FAULT_DROP), 1);
	linger_expect_waiting();
	linger_end(&l);
}
END_TEST

/* In the socket of a card that ends, behind one that is empty. */
START_TEST(dgram_unread_descriptor_that_lingers_holds_up_nobody)
{
	struct linger_socket l = linger_open();

	dgram_up(&plain);
	ck_assert_int_eq(send(peer, "", 0, MSG_NOSIGNAL), 0);
	linger_send(&l, peer, frame, sizeof(frame), 0);
	rig_down(&rig);
	linger_expect_waiting();
	linger_end(&l);
	close(peer);
	dgram_up(&plain);
	dgram_put();
	rig_expect(&rig, 0, frame, sizeof(frame));
}
END_TEST

/* While too many wait nothing is read, and then all is. */
START_TEST(dgram_reads_on_when_they_have_closed)
{
	struct linger_socket l = linger_open();
	struct guest_net_options o = plain;
	unsigned int i;

	/* Without buffers, too: then it has to wait for both. */
	if (_i == 1)
		o.rx_buffers = 0;
	dgram_up(&o);
	linger_send(&l, peer, frame, sizeof(frame), 0);
	rig_step();
	linger_expect_waiting();
	for (i = 0; i < PVIO_CLOSER_MAX_PENDING / (LINGER_MAX_OTHERS + 1);
	     i++) {
		rig_step();
		send_others("", 0);
	}
	rig_step();
	/* One more than may wait, with a frame in the same batch. */
	send_others("", 0);
	dgram_put();
	rig_step();
	dgram_put();
	rig_expect_rest();
	if (_i == 1)
		ck_assert_int_eq(guest_net_post(rig.net, 0, 10), 0);
	rig_expect(&rig, 0, frame, sizeof(frame));
	rig_expect_none(&rig, 0);
	linger_end(&l);
	rig_expect(&rig, 0, frame, sizeof(frame));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostile net socket");
	TCase *tcase = tcase_create("hostile net socket");
	int skip = linger_skip();

	if (skip)
		return skip;
	tcase_set_timeout(tcase, LINGER_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(
		tcase, stream_descriptor_that_lingers_holds_up_nobody, 0, 2);
	tcase_add_loop_test(
		tcase, stream_unread_descriptor_that_lingers_holds_up_nobody, 0,
		2);
	tcase_add_test(tcase,
		       stream_waiting_descriptor_that_lingers_holds_up_nobody);
	tcase_add_test(tcase, stream_peer_waits_for_what_was_sent_before);
	tcase_add_loop_test(
		tcase, dgram_descriptor_that_lingers_holds_up_nobody, 0, 2);
	tcase_add_test(tcase,
		       dgram_unread_descriptor_that_lingers_holds_up_nobody);
	tcase_add_loop_test(tcase, dgram_reads_on_when_they_have_closed, 0, 2);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
