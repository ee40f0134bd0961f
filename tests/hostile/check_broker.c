/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_broker.c - a window whose appliance, or whose guest, means harm
 *
 * Whatever one of them does, the broker lives, the other port's connection
 * goes on where it is not the same appliance's, and nothing is leaked.
 */
#include "tests/broker-guest.h"
#include "tests/hostile/linger.h"

#include "core/virtio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_distrusted(struct broker_rig *r, unsigned int n)
{
	return r->broker->is_distrusted == (n != 0);
}

static bool has_left(struct broker_rig *r, unsigned int n)
{
	(void)n;
	return !r->broker->is_connected;
}

static struct linger_socket lingering;

static unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* How many there are when nothing is being closed in the background. */
static unsigned int settled_fds(void)
{
	rig_settle(&rig);
	linger_expect_closed();
	return count_fds();
}

/* What a peer sent is closed in the background: soon there are @min to @max. */
static void expect_fds_of(unsigned int min, unsigned int max)
{
	uint64_t end = pvio_now_ns() + 20000000000ULL;
	unsigned int now;

	while (((now = count_fds()) < min || now > max) &&
	       pvio_now_ns() < end) {
		rig_settle(&rig);
		poll(NULL, 0, 1);
	}
	ck_assert_uint_ge(now, min);
	ck_assert_uint_le(now, max);
}

static void expect_fds(unsigned int nr)
{
	expect_fds_of(nr, nr);
}

static void up(void)
{
	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
}

/* The appliance has had its say: B is let go, and it is not served any more. */
static void expect_distrust(void)
{
	rig_until(&rig, is_distrusted, 1);
	rig_until(&rig, has_hung_up, 0);
	guest_vu_close(&b);
	ck_assert_int_eq(guest_vu_connect(&b, rig.b[0], rig.worker), -ENOENT);
	/* What it says goes on meaning nothing ... */
	rig_beat(&rig);
	rig_ring(&rig);
	rig_settle(&rig);
	ck_assert(!rig.broker->port[1].is_open);
	/* ... until it begins anew. */
	rig_boot(&rig);
	rig_open_port(&rig, 0);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
}

static struct window_port *port_of(unsigned int n)
{
	return rig.appliance.port[n];
}

/* --- the appliance -------------------------------------------------------- */

START_TEST(garbage_facts)
{
	static const uint32_t facts[][4] = {
		{ 0, 2, 256, 1 }, { 64, 2, 256, 1 }, { 0xffffffff, 2, 256, 1 },
		{ 2, 0, 256, 1 }, { 2, 65, 256, 1 }, { 2, 0xffffffff, 256, 1 },
		{ 2, 2, 0, 1 },   { 2, 2, 100, 1 },  { 2, 2, 65536, 1 },
		{ 2, 2, 256, 0 }, { 2, 2, 256, 3 },
	};
	unsigned int i;

	rig_connect(&rig);
	for (i = 0; i < pvio_array_size(facts); i++) {
		rig_boot(&rig);
		port_of(0)->device_id = htole32(facts[i][0]);
		port_of(0)->nr_queues = htole32(facts[i][1]);
		port_of(0)->queue_size = htole32(facts[i][2]);
		port_of(0)->queues_per_unit = htole32(facts[i][3]);
		port_of(0)->is_open = 1;
		rig_ring(&rig);
		rig_until(&rig, is_distrusted, 1);
		ck_assert(!rig.broker->port[0].is_open);
	}
}
END_TEST

START_TEST(garbage_in_its_channel)
{
	static const uint32_t heads[] = { 1,          15,         17,
					  16384 + 16, 0x80000000, 0xfffffff0 };
	unsigned int i;

	up();
	for (i = 0; i < pvio_array_size(heads); i++) {
		struct window_ring *out = rig.appliance.channel[0].out;

		out->head = htole32(le32toh(out->head) + heads[i]);
		rig_ring(&rig);
		expect_distrust();
	}
}
END_TEST

START_TEST(garbage_tail_of_what_it_is_sent)
{
	const uint64_t features = PVIO_BIT(VIRTIO_F_VERSION_1);

	up();
	rig.appliance.channel[0].in->tail = htole32(0x12345678);
	ck_assert_int_eq(
		guest_vu_send(&b, VU_SET_FEATURES, 0, &features, 8, NULL, 0),
		0);
	expect_distrust();
}
END_TEST

START_TEST(frame_of_no_known_kind)
{
	up();
	rig_frame(&rig, 0, le32toh(port_of(0)->served), 3, "abcdefgh", 8);
	expect_distrust();
}
END_TEST

/* X12 */
START_TEST(x12_frame_of_another_session_is_dropped)
{
	struct guest_vu_reply reply;
	struct {
		struct vu_header header;
		uint32_t value[2];
	} forged = { { VU_GET_FEATURES, VU_VERSION | VU_REPLY, 8 }, { 1, 1 } };
	uint32_t session;

	up();
	session = le32toh(port_of(0)->served);
	guest_vu_close(&b);
	rig_settle(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_uint_ne(le32toh(port_of(0)->served), session);
	rig.appliance.is_mute = true;
	ck_assert_int_eq(
		guest_vu_send(&b, VU_GET_FEATURES, 0, NULL, 0, NULL, 0), 0);
	rig_settle(&rig);
	rig_frame(&rig, 0, session, WINDOW_MESSAGE, &forged, sizeof(forged));
	rig_settle(&rig);
	ck_assert_int_lt(recv(b.fd, &reply, sizeof(reply), MSG_DONTWAIT), 0);
	rig_frame(&rig, 0, le32toh(port_of(0)->served), WINDOW_MESSAGE, &forged,
		  sizeof(forged));
	ck_assert_int_eq(guest_vu_receive(&b, &reply, 20000), 0);
}
END_TEST

START_TEST(answer_to_nothing)
{
	const struct vu_header answer = { VU_GET_FEATURES,
					  VU_VERSION | VU_REPLY, 0 };

	up();
	rig_frame(&rig, 0, le32toh(port_of(0)->served), WINDOW_MESSAGE, &answer,
		  sizeof(answer));
	expect_distrust();
}
END_TEST

START_TEST(answer_to_something_else)
{
	up();
	rig.appliance.answer_request = VU_GET_QUEUE_NUM;
	ck_assert_int_eq(
		guest_vu_send(&b, VU_GET_FEATURES, 0, NULL, 0, NULL, 0), 0);
	expect_distrust();
}
END_TEST

START_TEST(answer_of_the_wrong_size)
{
	static const struct {
		uint32_t request, size;
	} wrong[] = {
		{ VU_GET_FEATURES, 4 },    { VU_GET_FEATURES, 16 },
		{ VU_GET_VRING_BASE, 16 }, { VU_GET_CONFIG, 12 },
		{ VU_GET_CONFIG, 200 },
	};
	struct vu_config config = { .size = 8 };
	unsigned int i;

	up();
	for (i = 0; i < pvio_array_size(wrong); i++) {
		rig.appliance.answer_size = wrong[i].size;
		ck_assert_int_eq(
			guest_vu_send(&b, wrong[i].request, 0, &config,
				      wrong[i].request == VU_GET_CONFIG ? 20
				      : wrong[i].request == VU_GET_VRING_BASE
					      ? 8
					      : 0,
				      NULL, 0),
			0);
		expect_distrust();
	}
}
END_TEST

START_TEST(unasked_that_no_back_end_says)
{
	static const struct {
		struct vu_header header;
		uint32_t more[2];
		size_t bytes;
	} wrong[] = {
		{ { 1, VU_VERSION, 0 }, { 0 }, 12 },
		{ { VU_BACKEND_CONFIG_CHANGE, VU_VERSION, 8 }, { 0 }, 20 },
		{ { VU_BACKEND_CONFIG_CHANGE, VU_VERSION, 0 }, { 0 }, 20 },
		{ { VU_BACKEND_CONFIG_CHANGE, VU_VERSION | VU_NEED_REPLY, 0 },
		  { 0 },
		  12 },
		{ { VU_BACKEND_VRING_ERR, VU_VERSION, 8 }, { 2, 0 }, 20 },
		{ { VU_BACKEND_VRING_ERR, VU_VERSION, 8 },
		  { 0xffffffff, 0 },
		  20 },
		{ { VU_BACKEND_CONFIG_CHANGE, VU_VERSION, 0 }, { 0 }, 5 },
		{ { 9, VU_VERSION, 0 }, { 0 }, 12 },
	};
	unsigned int i;

	up();
	for (i = 0; i < pvio_array_size(wrong); i++) {
		rig_frame(&rig, 0, le32toh(port_of(0)->served),
			  WINDOW_BACKEND_MESSAGE, &wrong[i], wrong[i].bytes);
		expect_distrust();
	}
}
END_TEST

START_TEST(appliance_that_never_serves_nor_ends)
{
	rig_restart_broker(&rig, "timeout_ms = 150; ");
	rig_up(&rig);
	rig.appliance.is_idle = true;
	ck_assert_int_eq(guest_vu_connect(&b, rig.b[0], rig.worker), 0);
	rig_until(&rig, has_hung_up, 0);
	guest_vu_close(&b);

	rig.appliance.is_idle = false;
	rig_boot(&rig);
	rig_open_port(&rig, 0);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	rig.appliance.is_idle = true;
	guest_vu_close(&b);
	/* The broker's end does not wait for it for ever either. */
}
END_TEST

/* It has I/O of B's to finish: only B waits, and comes back. */
START_TEST(session_that_takes_its_time_to_end)
{
	struct guest_vu other = { .fd = -1 };
	uint64_t features, until;

	rig_restart_broker(&rig, "timeout_ms = 400; ");
	up();
	ck_assert_int_eq(rig_dial(&rig, 1, &other), 0);
	rig.appliance.is_idle = true;
	guest_vu_close(&b);
	until = pvio_now_ns() + UINT64_C(800000000);
	while (pvio_now_ns() < until) {
		rig_beat(&rig);
		pvio_worker_wait(rig.worker, 10);
	}
	rig_beat(&rig);
	ck_assert_int_eq(guest_vu_ask_u64(&other, VU_GET_FEATURES, &features),
			 0);
	rig.appliance.is_idle = false;
	broker_announce(rig.broker);
	rig_settle(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(rig_stat(&rig, 0, "distrusts"), 0);
	guest_vu_close(&other);
}
END_TEST

/* X07 */
START_TEST(x07_doorbell_storm_costs_others_nothing)
{
	struct guest_vu other = { .fd = -1 };
	unsigned int i;
	uint64_t turns;

	up();
	ck_assert_int_eq(rig_dial(&rig, 1, &other), 0);
	turns = pvio_worker_turns(rig.worker);
	for (i = 0; i < 20000; i++) {
		rig_ring(&rig);
		pvio_worker_step(rig.worker);
	}
	ck_assert_uint_gt(pvio_worker_turns(rig.worker), turns);
	ck_assert_int_gt(rig_stat(&rig, 0, "storms"), 0);
	ck_assert_int_eq(guest_vu_tell_u64(&other, VU_SET_STATUS, 1), 0);
	ck_assert_int_eq(guest_vu_tell_u64(&b, VU_SET_STATUS, 1), 0);
	guest_vu_close(&other);
}
END_TEST

/* X08 */
START_TEST(x08_appliance_that_takes_no_frames)
{
	const uint64_t features = PVIO_BIT(VIRTIO_F_VERSION_1);
	unsigned int i;

	rig_restart_broker(&rig, "timeout_ms = 300; ");
	up();
	rig.appliance.is_full = true;
	b.step = NULL;
	/* Far more than the channel holds: it waits where it is B's own. */
	for (i = 0; i < 2000; i++) {
		struct {
			struct vu_header header;
			uint64_t value;
		} __attribute__((packed))
		msg = { { VU_SET_FEATURES, VU_VERSION, 8 }, features };

		if (send(b.fd, &msg, sizeof(msg),
			 MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof(msg))
			break;
		rig_beat(&rig);
		pvio_worker_step(rig.worker);
		ck_assert_uint_le(rig.broker->port[0].nr_queued, 1);
	}
	for (i = 0; i < 2000 && !rig_is_hung_up(&b); i++) {
		rig_beat(&rig);
		pvio_worker_wait(rig.worker, 10);
	}
	ck_assert(rig_is_hung_up(&b));
	ck_assert_int_eq(rig_stat(&rig, 0, "distrusts"), 1);
}
END_TEST

/* X11 */
START_TEST(x11_both_come_and_go_without_end)
{
	unsigned int i, fds;

	up();
	guest_vu_close(&b);
	fds = settled_fds();
	for (i = 0; i < 200; i++) {
		int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

		if (guest_vu_connect(&b, rig.b[0], rig.worker) < 0)
			b.fd = -1;
		if (b.fd >= 0 && i % 3)
			guest_vu_send(&b, VU_GET_FEATURES, 0, NULL, 0, NULL, 0);
		if (b.fd >= 0 && i % 5 == 0)
			guest_vu_tell_fd(&b, VU_SET_VRING_CALL, 0, fd);
		if (i % 2)
			pvio_worker_step(rig.worker);
		if (i % 7 == 0)
			rig_boot(&rig);
		port_of(0)->is_open = htole32(i % 4 != 0);
		rig_ring(&rig);
		pvio_worker_step(rig.worker);
		guest_vu_close(&b);
		close(fd);
	}
	rig_settle(&rig);
	rig_boot(&rig);
	rig_open_port(&rig, 0);
	rig_settle(&rig);
	expect_fds_of(0, fds + 4);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
}
END_TEST

/* X06 */
START_TEST(x06_window_file_shrinks)
{
	up();
	ck_assert_int_eq(truncate(rig.window, 4096), 0);
	/* Both sides' next access is to what is not there any more. */
	rig_until(&rig, has_hung_up, 0);
	guest_vu_close(&b);
	ck_assert_int_eq(guest_vu_connect(&b, rig.b[0], rig.worker), -ENOENT);
	ck_assert_int_eq(rig_stat(&rig, 0, "appliance"), 0);
	/* For the rig, which has it mapped, too. */
	ck_assert_int_eq(truncate(rig.window, RIG_WINDOW_BYTES), 0);
}
END_TEST

/* X10 */
START_TEST(x10_nothing_of_a_stranger_is_in_the_control_area)
{
	uint64_t at = window_control_offset(RIG_WINDOW_BYTES);
	uint8_t *dirt = malloc(WINDOW_CONTROL_BYTES);
	uint32_t i;
	int fd;

	broker_destroy(rig.broker);
	rig.broker = NULL;
	pvio_config_close(rig.file);
	memset(dirt, 0xaa, WINDOW_CONTROL_BYTES);
	fd = open(rig.window, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, dirt, WINDOW_CONTROL_BYTES, (off_t)at),
			 WINDOW_CONTROL_BYTES);
	ck_assert_int_eq(rig_create(&rig, ""), 0);
	ck_assert_int_eq(pread(fd, dirt, WINDOW_CONTROL_BYTES, (off_t)at),
			 WINDOW_CONTROL_BYTES);
	for (i = sizeof(struct window_header); i < WINDOW_CONTROL_BYTES; i++)
		ck_assert_uint_eq(dirt[i], 0);
	close(fd);
	free(dirt);
}
END_TEST

/* --- the appliance's VMM -------------------------------------------------- */

START_TEST(x12_second_client_is_refused)
{
	char byte;
	int fd;

	up();
	fd = rig_dial_server(&rig);
	rig_settle(&rig);
	ck_assert_int_eq(recv(fd, &byte, 1, 0), 0);
	close(fd);
	ck_assert_int_eq(rig_stat(&rig, 0, "signals.refused"), 1);
	ck_assert_int_eq(guest_vu_tell_u64(&b, VU_SET_STATUS, 1), 0);
}
END_TEST

START_TEST(client_that_sends_is_dropped)
{
	up();
	ck_assert_int_eq(send(rig.appliance.fd, "x", 1, 0), 1);
	rig_until(&rig, has_left, 0);
	rig_until(&rig, has_hung_up, 0);
	rig_disconnect(&rig);
	guest_vu_close(&b);
	up();
}
END_TEST

/* What lingers, from each who can send it, and by each way there is. */
static void send_what_lingers(int to, unsigned int way)
{
	struct vu_header h = { VU_SET_OWNER, VU_VERSION | VU_NEED_REPLY, 0 };
	struct guest_vu_reply reply;
	int pair[2];

	switch (way) {
	case 0: /* the appliance's VMM, which has nothing to say */
		linger_send(&lingering, rig.appliance.fd, "", 1, 0);
		rig_until(&rig, has_left, 0);
		break;
	case 1: /* a second one */
		to = rig_dial_server(&rig);
		linger_send(&lingering, to, "", 1, 0);
		rig_settle(&rig);
		close(to);
		break;
	case 2: /* B, with a message that is refused */
		linger_send(&lingering, to, &h, sizeof(h), 0);
		ck_assert_int_eq(guest_vu_receive(&b, &reply, 5000), 0);
		ck_assert_uint_ne(reply.u64, 0);
		break;
	case 3: /* B, in the channel that it takes along */
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		linger_send(&lingering, pair[0], "", 1, 0);
		ck_assert_int_eq(guest_vu_tell(&b, VU_SET_BACKEND_REQ_FD, NULL,
					       0, &pair[1], 1),
				 0);
		close(pair[0]);
		close(pair[1]);
		guest_vu_close(&b);
		rig_settle(&rig);
		break;
	}
}

START_TEST(descriptor_that_lingers_holds_up_nobody)
{
	unsigned int way;

	if (linger_skip())
		return;
	up();
	for (way = 0; way < 4; way++) {
		lingering = linger_open();
		send_what_lingers(b.fd, way);
		rig_disconnect(&rig);
		guest_vu_close(&b);
		up();
		ck_assert_int_eq(guest_vu_tell_u64(&b, VU_SET_STATUS, 1), 0);
		linger_expect_waiting();
		linger_end(&lingering);
		linger_expect_closed();
	}
}
END_TEST

START_TEST(client_that_reads_nothing_is_dropped)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t value = 0;

	rig_restart_broker(&rig, "timeout_ms = 300; ");
	up();
	rig.appliance.is_slow = true;
	ck_assert_int_eq(guest_vu_send(&b, VU_SET_VRING_CALL, VU_NEED_REPLY,
				       &value, 8, &fd, 1),
			 0);
	while (!rig_is_hung_up(&b)) {
		rig_beat(&rig);
		pvio_worker_wait(rig.worker, 10);
	}
	rig_until(&rig, has_left, 0);
	rig.appliance.is_slow = false;
	close(fd);
}
END_TEST

START_TEST(client_that_comes_and_goes_leaks_nothing)
{
	unsigned int i, fds;

	fds = settled_fds();
	for (i = 0; i < 100; i++) {
		int fd = rig_dial_server(&rig);

		if (i & 1)
			pvio_worker_step(rig.worker);
		close(fd);
		rig_until(&rig, has_left, 0);
	}
	expect_fds(fds);
}
END_TEST

/* --- the guest's VMM ------------------------------------------------------ */

/* X05 */
START_TEST(x05_memory_that_is_not_in_the_window)
{
	static const struct {
		uint32_t nr;
		uint64_t size, offset;
	} wrong[] = {
		{ 0, 4096, 0 },
		{ 2, 4096, 0 },
		{ 9, 4096, 0 },
		{ 0xffffffff, 4096, 0 },
		{ 1, RIG_WINDOW_BYTES, 0 },
		{ 1, UINT64_MAX, 0 },
		{ 1, 4096, UINT64_MAX - 4095 },
		{ 1, 4096, RIG_WINDOW_BYTES },
		{ 1, 4096, RIG_WINDOW_BYTES - WINDOW_CONTROL_BYTES },
		{ 1, 8192, RIG_WINDOW_BYTES - WINDOW_CONTROL_BYTES - 4096 },
	};
	struct vu_memory_table table = { .nr = 1 };
	unsigned int i, notes;
	int fds[8];

	up();
	notes = rig.appliance.nr_notes;
	for (i = 0; i < 8; i++)
		fds[i] = rig.mem.region[0].fd;
	for (i = 0; i < pvio_array_size(wrong); i++) {
		table.nr = wrong[i].nr;
		table.region[0].size = wrong[i].size;
		table.region[0].mmap_offset = wrong[i].offset;
		ck_assert_int_eq(guest_vu_tell(&b, VU_SET_MEM_TABLE, &table,
					       offsetof(struct vu_memory_table,
							region[1]),
					       fds, 1),
				 -EREMOTEIO);
	}
	/* Regions without descriptors, and descriptors without regions. */
	table.nr = 1;
	ck_assert_int_eq(guest_vu_tell(&b, VU_SET_MEM_TABLE, &table,
				       sizeof(table), fds, 2),
			 -EREMOTEIO);
	ck_assert_int_eq(guest_vu_tell(&b, VU_SET_MEM_TABLE, &table,
				       sizeof(table), NULL, 0),
			 -EREMOTEIO);
	ck_assert_uint_eq(rig.appliance.nr_notes, notes);
}
END_TEST

START_TEST(descriptors_of_every_wrong_kind)
{
	static const uint32_t requests[] = {
		VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR,
		VU_SET_INFLIGHT_FD, VU_SET_MEM_TABLE
	};
	const struct vu_memory_table table = { .nr = 1,
					       .region[0].size = 4096 };
	unsigned int i, j, before, notes;
	int fds[7], pipes[2];

	up();
	ck_assert_int_eq(pipe(pipes), 0);
	fds[0] = pipes[0];
	fds[1] = pipes[1];
	fds[2] = open("/", O_RDONLY | O_DIRECTORY);
	fds[3] = open("/dev/null", O_RDWR);
	fds[4] = epoll_create1(0);
	fds[5] = socket(AF_UNIX, SOCK_STREAM, 0);
	fds[6] = open(rig.window, O_PATH);
	before = settled_fds();
	notes = rig.appliance.nr_notes;
	for (i = 0; i < pvio_array_size(requests); i++)
		for (j = 0; j < pvio_array_size(fds); j++) {
			bool is_vring = requests[i] <= VU_SET_VRING_ERR &&
					requests[i] >= VU_SET_VRING_KICK;
			size_t size = is_vring                          ? 8
				      : requests[i] == VU_SET_MEM_TABLE ? 40
									: 24;

			/* The window itself, by name only, is the window. */
			if (j == 6 && !is_vring)
				continue;
			ck_assert_int_eq(
				guest_vu_tell(
					&b, requests[i],
					is_vring
						? (const void *)"\0\0\0\0\0\0\0"
						: &table,
					size, &fds[j], 1),
				-EREMOTEIO);
		}
	for (j = 0; j < pvio_array_size(fds); j++)
		if (j != 5)
			ck_assert_int_eq(guest_vu_tell(&b,
						       VU_SET_BACKEND_REQ_FD,
						       NULL, 0, &fds[j], 1),
					 -EREMOTEIO);
	expect_fds(before);
	ck_assert_uint_eq(rig.appliance.nr_notes, notes);
	for (j = 0; j < pvio_array_size(fds); j++)
		close(fds[j]);
}
END_TEST

START_TEST(messages_of_every_size_and_count)
{
	uint8_t bytes[600] = { 0 };
	struct guest_vu_reply reply;
	unsigned int request, size, nr, before;
	int fds[20];

	up();
	for (nr = 0; nr < 20; nr++)
		fds[nr] = rig.mem.region[0].fd;
	before = settled_fds();
	for (request = 0; request < 60; request++)
		for (size = 0; size < sizeof(bytes); size += size < 64 ? 4 : 67)
			for (nr = 0; nr < 20; nr += nr < 2 ? 1 : 8) {
				/* No answers any more: true, and no test. */
				if (request == VU_SET_PROTOCOL_FEATURES &&
				    size == 8 && nr == 0)
					continue;
				ck_assert_int_eq(guest_vu_send(&b, request,
							       VU_NEED_REPLY,
							       bytes, size, fds,
							       nr),
						 0);
				/* Each has one answer, and only one. */
				ck_assert_int_eq(
					guest_vu_receive(&b, &reply, 20000), 0);
				ck_assert_uint_eq(reply.header.request,
						  request);
				if (reply.fd >= 0)
					close(reply.fd);
			}
	expect_fds(before);
	ck_assert_int_eq(rig_stat(&rig, 0, "distrusts"), 0);
}
END_TEST

/* A front-end that asks waits for the answer, whatever it is. */
START_TEST(question_that_does_not_pass_is_answered)
{
	unsigned int notes;
	uint64_t slots = 1;

	up();
	notes = rig.appliance.nr_notes;
	ck_assert_int_eq(guest_vu_ask_u64(&b, VU_GET_MAX_MEM_SLOTS, &slots), 0);
	ck_assert_uint_eq(slots, 0);
	ck_assert_uint_eq(rig.appliance.nr_notes, notes);
}
END_TEST

START_TEST(rings_that_do_not_exist)
{
	static const uint64_t wrong[] = {
		2, 63, 64, 255, 0x200, 0x10000, 1ULL << 32, UINT64_MAX
	};
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	unsigned int i;
	uint32_t r;

	up();
	for (i = 0; i < pvio_array_size(wrong); i++)
		for (r = VU_SET_VRING_KICK; r <= VU_SET_VRING_ERR; r++)
			ck_assert_int_eq(
				guest_vu_tell(&b, r, &wrong[i], 8, &fd, 1),
				-EREMOTEIO);
	/* The flag and the descriptor contradict each other. */
	for (r = VU_SET_VRING_KICK; r <= VU_SET_VRING_ERR; r++) {
		const uint64_t none = VU_VRING_NO_FD, zero = 0;

		ck_assert_int_eq(guest_vu_tell(&b, r, &none, 8, &fd, 1),
				 -EREMOTEIO);
		ck_assert_int_eq(guest_vu_tell(&b, r, &zero, 8, NULL, 0),
				 -EREMOTEIO);
	}
	close(fd);
}
END_TEST

/* X09 */
START_TEST(x09_features_that_were_not_offered)
{
	up();
	ck_assert_int_eq(
		guest_vu_tell_u64(&b, VU_SET_FEATURES, PVIO_BIT(VU_F_LOG_ALL)),
		-EREMOTEIO);
	ck_assert_int_eq(guest_vu_tell_u64(&b, VU_SET_PROTOCOL_FEATURES,
					   PVIO_BIT(VU_PROTOCOL_LOG_SHMFD)),
			 -EREMOTEIO);
	ck_assert_int_eq(
		guest_vu_tell_u64(&b, VU_SET_PROTOCOL_FEATURES, UINT64_MAX),
		-EREMOTEIO);
	/* Nor asked for: none was. */
	guest_vu_close(&b);
	rig_settle(&rig);
	ck_assert_int_eq(guest_vu_connect(&b, rig.b[0], rig.worker), 0);
	ck_assert_int_eq(guest_vu_tell_u64(&b, VU_SET_PROTOCOL_FEATURES,
					   PVIO_BIT(VU_PROTOCOL_REPLY_ACK)),
			 0);
	ck_assert_ptr_null(rig_find(&rig, 99));
	b.has_reply_ack = false;
	ck_assert_int_eq(guest_vu_tell_u64(&b, VU_SET_FEATURES, 0), 0);
}
END_TEST

START_TEST(inflight_of_impossible_sizes)
{
	static const uint16_t wrong[][2] = { { 0, 64 },     { 3, 64 },
					     { 65535, 64 }, { 1, 0 },
					     { 1, 512 },    { 65535, 65535 } };
	struct guest_vu_reply reply;
	unsigned int i;

	up();
	for (i = 0; i < pvio_array_size(wrong); i++) {
		struct vu_inflight w = { .num_queues = wrong[i][0],
					 .queue_size = wrong[i][1] };

		ck_assert_int_eq(guest_vu_ask(&b, VU_GET_INFLIGHT_FD, &w,
					      sizeof(w), &reply),
				 0);
		ck_assert_uint_eq(reply.inflight.mmap_size, 0);
		ck_assert_int_eq(reply.fd, -1);
	}
}
END_TEST

START_TEST(inflight_region_of_rings_that_run_is_not_cleared)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct vu_inflight w = { .num_queues = 2, .queue_size = 64 };
	struct guest_vu_reply reply;

	up();
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_KICK, 1, fd), 0);
	ck_assert_int_eq(
		guest_vu_ask(&b, VU_GET_INFLIGHT_FD, &w, sizeof(w), &reply), 0);
	ck_assert_uint_eq(reply.inflight.mmap_size, 0);
	close(fd);
}
END_TEST

START_TEST(message_that_never_ends)
{
	rig_restart_broker(&rig, "timeout_ms = 200; ");
	up();
	b.step = NULL;
	ck_assert_int_eq(guest_vu_send_bytes(&b, "\1\0\0\0\1", 5, NULL, 0), 0);
	while (!rig_is_hung_up(&b)) {
		rig_beat(&rig);
		pvio_worker_wait(rig.worker, 10);
	}
}
END_TEST

CHECK_MAIN("broker, hostile", setup, teardown, garbage_facts,
	   garbage_in_its_channel, garbage_tail_of_what_it_is_sent,
	   frame_of_no_known_kind, x12_frame_of_another_session_is_dropped,
	   answer_to_nothing, answer_to_something_else,
	   answer_of_the_wrong_size, unasked_that_no_back_end_says,
	   appliance_that_never_serves_nor_ends,
	   session_that_takes_its_time_to_end,
	   x07_doorbell_storm_costs_others_nothing,
	   x08_appliance_that_takes_no_frames, x11_both_come_and_go_without_end,
	   x06_window_file_shrinks,
	   x10_nothing_of_a_stranger_is_in_the_control_area,
	   x12_second_client_is_refused, client_that_sends_is_dropped,
	   descriptor_that_lingers_holds_up_nobody,
	   client_that_reads_nothing_is_dropped,
	   client_that_comes_and_goes_leaks_nothing,
	   x05_memory_that_is_not_in_the_window,
	   descriptors_of_every_wrong_kind, messages_of_every_size_and_count,
	   question_that_does_not_pass_is_answered, rings_that_do_not_exist,
	   x09_features_that_were_not_offered, inflight_of_impossible_sizes,
	   inflight_region_of_rings_that_run_is_not_cleared,
	   message_that_never_ends)
