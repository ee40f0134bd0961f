/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_net_socket.c - the stream and dgram backends against a peer
 *
 * The peer is a socket of the test's own, which does all that a peer may: split
 * frames anywhere, claim lengths, stop reading, leave and come back.  Where
 * passt is installed it is one of the peers.
 */
#include "tests/net-rig.h"

#include "backends/net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct rig rig;
static char dir[64];
static int listener = -1, peer = -1;
static uint8_t frame[70000], got[70000];

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

static void setup(void)
{
	strcpy(dir, "/tmp/pvio-check-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	rig_setup();
}

static void close_peer(void)
{
	if (peer >= 0)
		close(peer);
	peer = -1;
}

static void teardown(void)
{
	char command[128];

	close_peer();
	if (listener >= 0)
		close(listener);
	listener = -1;
	if (rig.dev)
		rig_down(&rig);
	rig_teardown();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd pfd = { fd, POLLIN, 0 };

	return poll(&pfd, 1, timeout_ms) == 1;
}

static uint16_t status(void)
{
	uint16_t s;

	rig_step();
	ck_assert_int_eq(guest_device_read_config(
				 rig.gd,
				 offsetof(struct virtio_net_config, status), &s,
				 sizeof(s)),
			 0);
	return le16toh(s);
}

/* --- stream -------------------------------------------------------------- */

static void peer_listen(void)
{
	struct sockaddr_un addr = address("stream");

	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	ck_assert_int_eq(listen(listener, 8), 0);
}

static void peer_accept(void)
{
	ck_assert(readable(listener, RIG_TIMEOUT_MS));
	peer = accept(listener, NULL, NULL);
	ck_assert_int_ge(peer, 0);
}

static void stream_config(char *config, const char *more)
{
	sprintf(config, "type = \"stream\"; path = \"%s/stream\"; %s", dir,
		more);
}

static void stream_up(void)
{
	char config[256];

	peer_listen();
	stream_config(config, "reconnect_ms = 100;");
	rig_up(&rig, "net0", config, "", &plain);
	peer_accept();
}

/* @bytes of the frame with its length, as the peer sends it. */
static size_t encode(uint8_t *out, size_t bytes, unsigned int tag)
{
	uint32_t length = htonl((uint32_t)bytes);

	memcpy(out, &length, 4);
	rig_frame(out + 4, bytes, tag);
	return bytes + 4;
}

static void peer_write(const uint8_t *data, size_t bytes)
{
	ck_assert_int_eq(send(peer, data, bytes, MSG_NOSIGNAL), (ssize_t)bytes);
}

static void peer_read(uint8_t *data, size_t bytes)
{
	ssize_t n;

	for (; bytes > 0; bytes -= (size_t)n, data += n) {
		while (!readable(peer, 0))
			ck_assert(pvio_worker_wait(rig_worker, 1000) ||
				  readable(peer, 1000));
		n = read(peer, data, bytes);
		ck_assert_int_gt(n, 0);
	}
}

/* The peer gets this frame next. */
static void peer_expect(size_t bytes, unsigned int tag)
{
	size_t len = encode(frame, bytes, tag);

	peer_read(got, len);
	ck_assert_mem_eq(got, frame, len);
}

START_TEST(stream_carries_frames_of_every_size)
{
	static const size_t sizes[] = { 14, 60, 1514, 9014, 65535, 65553 };
	size_t i, len;

	stream_up();
	ck_assert_uint_eq(status(), VIRTIO_NET_S_LINK_UP);
	for (i = 0; i < pvio_array_size(sizes); i++) {
		rig_frame(frame, sizes[i], (unsigned int)i);
		rig_send(&rig, 0, frame, sizes[i]);
		peer_expect(sizes[i], (unsigned int)i);
		len = encode(got, sizes[i], (unsigned int)i);
		peer_write(got, len);
		rig_expect(&rig, 0, frame + 4, sizes[i]);
	}
}
END_TEST

START_TEST(stream_split_at_every_byte_is_put_together)
{
	uint8_t data[3 * 104];
	size_t cut, len = 0;
	unsigned int i;

	stream_up();
	for (i = 0; i < 3; i++)
		len += encode(data + len, 100, i);
	for (cut = 1; cut < len; cut++) {
		peer_write(data, cut);
		rig_step();
		peer_write(data + cut, len - cut);
		for (i = 0; i < 3; i++) {
			rig_frame(frame, 100, i);
			rig_expect(&rig, 0, frame, 100);
		}
	}
	/* And one byte at a time. */
	for (cut = 0; cut < len; cut++) {
		peer_write(data + cut, 1);
		rig_step();
	}
	for (i = 0; i < 3; i++) {
		rig_frame(frame, 100, i);
		rig_expect(&rig, 0, frame, 100);
	}
}
END_TEST

START_TEST(stream_with_a_length_no_frame_has_is_closed)
{
	static const uint32_t lengths[] = { 65554, 0x7fffffff, 0xffffffff };
	uint8_t byte;
	size_t i;

	stream_up();
	for (i = 0; i < pvio_array_size(lengths); i++) {
		uint32_t length = htonl(lengths[i]);

		peer_write((uint8_t *)&length, 4);
		rig_step();
		ck_assert_uint_eq(status(), 0);
		ck_assert_int_eq(read(peer, &byte, 1), 0);
		close_peer();
		/* It comes back. */
		while (!readable(listener, 0))
			pvio_worker_wait(rig_worker, 1000);
		peer_accept();
		ck_assert_uint_eq(status(), VIRTIO_NET_S_LINK_UP);
	}
	rig_frame(frame, 60, 1);
	rig_send(&rig, 0, frame, 60);
	peer_expect(60, 1);
}
END_TEST

START_TEST(stream_runts_are_dropped_and_the_next_frame_comes)
{
	size_t len;
	unsigned int i;

	stream_up();
	for (i = 0; i < 14; i++) {
		len = encode(got, i, 0);
		peer_write(got, len);
	}
	len = encode(got, 14, 5);
	peer_write(got, len);
	rig_frame(frame, 14, 5);
	rig_expect(&rig, 0, frame, 14);
	ck_assert_uint_eq(rig_faults(&rig, 0, PVIO_FAULT_DROP), 14);
}
END_TEST

START_TEST(stream_peer_that_leaves_takes_the_link_and_brings_it_back)
{
	unsigned int changes;

	stream_up();
	ck_assert_uint_eq(status(), VIRTIO_NET_S_LINK_UP);
	changes = guest_device_config_changes(rig.gd);
	close_peer();
	ck_assert_uint_eq(status(), 0);
	ck_assert_uint_gt(guest_device_config_changes(rig.gd), changes);
	/* What is sent meanwhile goes nowhere, and comes back used. */
	rig_frame(frame, 60, 1);
	rig_send(&rig, 0, frame, 60);
	while (!readable(listener, 0))
		pvio_worker_wait(rig_worker, 1000);
	peer_accept();
	rig_frame(frame, 60, 2);
	while (status() == 0)
		;
	rig_send(&rig, 0, frame, 60);
	peer_expect(60, 2);
}
END_TEST

START_TEST(stream_server_takes_one_peer_after_the_other)
{
	struct sockaddr_un addr = address("stream");
	char config[256];
	unsigned int i;

	stream_config(config, "server = true;");
	rig_up(&rig, "net0", config, "", &plain);
	ck_assert_uint_eq(status(), 0);
	for (i = 0; i < 3; i++) {
		peer = socket(AF_UNIX, SOCK_STREAM, 0);
		ck_assert_int_eq(
			connect(peer, (struct sockaddr *)&addr, sizeof(addr)),
			0);
		ck_assert_uint_eq(status(), VIRTIO_NET_S_LINK_UP);
		rig_frame(frame, 60, i);
		rig_send(&rig, 0, frame, 60);
		peer_expect(60, i);
		close_peer();
		ck_assert_uint_eq(status(), 0);
	}
}
END_TEST

START_TEST(stream_peer_that_stops_reading_costs_frames_not_the_queue)
{
	uint64_t start = pvio_now_ns();
	unsigned int sent = 0, dropped, i;
	int rc;

	stream_up();
	/* Until the socket, our buffer and the driver's queue are full. */
	rig_frame(frame, 60000, 1);
	for (;;) {
		rc = guest_net_send(rig.net, 0, NULL, frame, 60000);
		if (rc == -EAGAIN) {
			rig_step();
			rc = guest_net_send(rig.net, 0, NULL, frame, 60000);
			if (rc == -EAGAIN)
				break;
		}
		sent++;
		ck_assert_uint_lt(sent, 10000);
	}
	/* It waits for a while, not for ever, and does not spin. */
	ck_assert_int_eq(guest_net_sent(rig.net, 0, 0), -ETIMEDOUT);
	rig_expect_rest();
	ck_assert_int_eq(guest_net_sent(rig.net, 0, RIG_TIMEOUT_MS), 0);
	ck_assert_uint_ge(pvio_now_ns() - start, 900000000);
	dropped = (unsigned int)rig_faults(&rig, 1, PVIO_FAULT_DROP);
	ck_assert_uint_gt(dropped, 0);
	/* It reads again: whole frames, then new ones. */
	for (i = 0; i < sent - dropped; i++)
		peer_expect(60000, 1);
	rig_frame(frame, 60, 7);
	rig_send(&rig, 0, frame, 60);
	peer_expect(60, 7);
}
END_TEST

START_TEST(stream_waits_for_receive_buffers)
{
	struct guest_net_options o = plain;
	char config[256];
	unsigned int i;
	size_t len;

	o.rx_buffers = 0;
	peer_listen();
	stream_config(config, "");
	rig_up(&rig, "net0", config, "", &o);
	peer_accept();
	for (i = 0; i < 20; i++) {
		len = encode(got, 100, i);
		peer_write(got, len);
	}
	rig_expect_rest();
	ck_assert_int_eq(guest_net_post(rig.net, 0, 100), 0);
	for (i = 0; i < 20; i++) {
		rig_frame(frame, 100, i);
		rig_expect(&rig, 0, frame, 100);
	}
}
END_TEST

START_TEST(stream_stays_connected_over_a_reset_of_the_guest)
{
	stream_up();
	guest_net_destroy(rig.net);
	guest_alloc_reset(&rig.mem);
	ck_assert_int_eq(rig_drive(&rig, &plain), 0);
	ck_assert(!readable(listener, 0));
	rig_frame(frame, 60, 2);
	rig_send(&rig, 0, frame, 60);
	peer_expect(60, 2);
}
END_TEST

/* --- dgram --------------------------------------------------------------- */

static void dgram_up(const struct guest_net_options *o)
{
	struct sockaddr_un addr = address("theirs");
	char config[256];

	peer = socket(AF_UNIX, SOCK_DGRAM, 0);
	ck_assert_int_eq(bind(peer, (struct sockaddr *)&addr, sizeof(addr)), 0);
	sprintf(config,
		"type = \"dgram\"; local = \"%s/ours\"; remote = "
		"\"%s/theirs\";",
		dir, dir);
	rig_up(&rig, "net0", config, "", o);
	addr = address("ours");
	ck_assert_int_eq(connect(peer, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
}

START_TEST(dgram_carries_a_frame_a_datagram)
{
	static const size_t sizes[] = { 14, 60, 1514, 9014, 65535, 65553 };
	size_t i;

	dgram_up(&plain);
	for (i = 0; i < pvio_array_size(sizes); i++) {
		rig_frame(frame, sizes[i], (unsigned int)i);
		rig_send(&rig, 0, frame, sizes[i]);
		ck_assert_int_eq(recv(peer, got, sizeof(got), 0),
				 (ssize_t)sizes[i]);
		ck_assert_mem_eq(got, frame, sizes[i]);
		peer_write(frame, sizes[i]);
		rig_expect(&rig, 0, frame, sizes[i]);
	}
}
END_TEST

START_TEST(dgram_batches_keep_order)
{
	unsigned int i, j;

	dgram_up(&plain);
	for (j = 0; j < 20; j++) {
		for (i = 0; i < 8; i++) {
			rig_frame(frame, 200, i);
			peer_write(frame, 200);
			ck_assert_int_eq(
				guest_net_send(rig.net, 0, NULL, frame, 200),
				0);
		}
		rig_step();
		for (i = 0; i < 8; i++) {
			rig_frame(frame, 200, i);
			rig_expect(&rig, 0, frame, 200);
			ck_assert_int_eq(recv(peer, got, sizeof(got), 0), 200);
			ck_assert_mem_eq(got, frame, 200);
		}
	}
}
END_TEST

START_TEST(dgram_of_no_frames_size_is_dropped)
{
	dgram_up(&plain);
	rig_frame(frame, 66000, 1);
	peer_write(frame, 0);
	peer_write(frame, 13);
	peer_write(frame, 65554);
	peer_write(frame, 66000);
	peer_write(frame, 100);
	rig_expect(&rig, 0, frame, 100);
	ck_assert_uint_eq(rig_faults(&rig, 0, PVIO_FAULT_DROP), 4);
}
END_TEST

START_TEST(dgram_remote_that_is_not_there_costs_frames)
{
	dgram_up(&plain);
	close_peer();
	rig_frame(frame, 100, 1);
	rig_send(&rig, 0, frame, 100);
	ck_assert(!guest_device_is_broken(rig.gd));
}
END_TEST

START_TEST(dgram_remote_that_stops_reading_costs_frames_not_the_queue)
{
	unsigned int sent = 0, taken = 0;
	int rc;

	dgram_up(&plain);
	rig_frame(frame, 1000, 1);
	for (;;) {
		rc = guest_net_send(rig.net, 0, NULL, frame, 1000);
		if (rc == -EAGAIN) {
			rig_step();
			rc = guest_net_send(rig.net, 0, NULL, frame, 1000);
			if (rc == -EAGAIN)
				break;
		}
		sent++;
		ck_assert_uint_lt(sent, 100000);
	}
	ck_assert_int_eq(guest_net_sent(rig.net, 0, RIG_TIMEOUT_MS), 0);
	ck_assert_uint_gt(rig_faults(&rig, 1, PVIO_FAULT_DROP), 0);
	while (recv(peer, got, sizeof(got), MSG_DONTWAIT) > 0) {
		taken++;
		rig_step();
	}
	ck_assert_uint_gt(taken, 0);
	rig_frame(frame, 100, 9);
	rig_send(&rig, 0, frame, 100);
	ck_assert_int_eq(recv(peer, got, sizeof(got), 0), 100);
}
END_TEST

START_TEST(dgram_waits_for_receive_buffers)
{
	struct guest_net_options o = plain;
	unsigned int i;

	o.rx_buffers = 0;
	dgram_up(&o);
	for (i = 0; i < 8; i++) {
		rig_frame(frame, 100, i);
		peer_write(frame, 100);
	}
	rig_expect_rest();
	ck_assert_int_eq(guest_net_post(rig.net, 0, 100), 0);
	for (i = 0; i < 8; i++) {
		rig_frame(frame, 100, i);
		rig_expect(&rig, 0, frame, 100);
	}
}
END_TEST

START_TEST(dgram_replaces_a_file_nobody_is_bound_to)
{
	struct sockaddr_un addr = address("ours");
	struct rig second = { 0 };
	int stale = socket(AF_UNIX, SOCK_DGRAM, 0);
	char config[256];

	ck_assert_int_eq(bind(stale, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	close(stale);
	dgram_up(&plain);
	/* But never one that is in use. */
	sprintf(config,
		"type = \"dgram\"; local = \"%s/ours\"; remote = "
		"\"%s/theirs\";",
		dir, dir);
	ck_assert_int_eq(rig_create(&second, "net1", config, ""), -EADDRINUSE);
}
END_TEST

/* --- passt --------------------------------------------------------------- */

/* Ask passt's gateway for its address, as a guest would. */
START_TEST(passt_answers_arp)
{
	static const uint8_t arp[42] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0,  1, 8, 6,
		0,    1,    8,    0,    6,    4,    0, 1, 2, 0, 0,  0, 0, 1,
		10,   9,    8,    7,    0,    0,    0, 0, 0, 0, 10, 9, 8, 1,
	};
	struct virtio_net_hdr_mrg_rxbuf hdr;
	char config[256], path[128];
	unsigned int tries;
	int64_t n;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/stream", dir);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		dup2(null, 2);
		execlp("passt", "passt", "-f", "-1", "--runas", "0", "-4", "-a",
		       "10.9.8.7", "-n", "24", "-g", "10.9.8.1", "-s", path,
		       (char *)NULL);
		_exit(127);
	}
	stream_config(config, "reconnect_ms = 10;");
	rig_up(&rig, "net0", config, "", &plain);
	for (tries = 0; status() == 0 && tries < 500; tries++) {
		if (waitpid(pid, NULL, WNOHANG) == pid) {
			fprintf(stderr, "passt does not start here: not "
					"tested\n");
			return;
		}
		pvio_worker_wait(rig_worker, 10);
	}
	ck_assert_uint_eq(status(), VIRTIO_NET_S_LINK_UP);
	rig_send(&rig, 0, arp, sizeof(arp));
	do {
		n = guest_net_receive(rig.net, 0, &hdr, got, sizeof(got),
				      RIG_TIMEOUT_MS);
		ck_assert_int_ge(n, 42);
	} while (memcmp(got + 12, "\x08\x06", 2) != 0);
	ck_assert_mem_eq(got + 28, "\x0a\x09\x08\x01", 4);
	ck_assert_mem_eq(got, arp + 6, 6);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
}
END_TEST

CHECK_MAIN("net socket", setup, teardown, stream_carries_frames_of_every_size,
	   stream_split_at_every_byte_is_put_together,
	   stream_with_a_length_no_frame_has_is_closed,
	   stream_runts_are_dropped_and_the_next_frame_comes,
	   stream_peer_that_leaves_takes_the_link_and_brings_it_back,
	   stream_server_takes_one_peer_after_the_other,
	   stream_peer_that_stops_reading_costs_frames_not_the_queue,
	   stream_waits_for_receive_buffers,
	   stream_stays_connected_over_a_reset_of_the_guest,
	   dgram_carries_a_frame_a_datagram, dgram_batches_keep_order,
	   dgram_of_no_frames_size_is_dropped,
	   dgram_remote_that_is_not_there_costs_frames,
	   dgram_remote_that_stops_reading_costs_frames_not_the_queue,
	   dgram_waits_for_receive_buffers,
	   dgram_replaces_a_file_nobody_is_bound_to, passt_answers_arp)
