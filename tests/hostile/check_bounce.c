/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_bounce.c - a port of a bounce window, and an appliance that is hostile
 *
 * Rows X of the list of bad input: what the device's side of a pair of virtual
 * machines can do to the other.  The appliance is a real one that is frozen, in
 * whose name the test writes to the window, or whose messages it sends.
 */
#include "tests/bounce-rig.h"
#include "tests/check_main.h"

#include "core/eventfd.h"

#include <pvio/pvio.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SHARE_BYTES (2u << 20)
#define DISK                                               \
	"model = \"block\"; queues = 2; queue_size = 64; " \
	"backend = { type = \"memory\"; size = \"4M\"; };"
#define OTHER_DISK                                         \
	"model = \"block\"; queues = 1; queue_size = 64; " \
	"backend = { type = \"memory\"; size = \"4M\"; };"
#define DISK_FEATURES (PVIO_BIT(VIRTIO_BLK_F_FLUSH) | PVIO_BIT(VIRTIO_BLK_F_MQ))

static struct bounce_rig rig;
static struct disk_request req[8];

static void quiet(void *arg, enum pvio_log_level level, const char *message)
{
	(void)arg;
	(void)level;
	(void)message;
}

static void disk_up(uint64_t request_timeout_ms)
{
	unsigned int i;

	bounce_rig_init(&rig, "block", false, SHARE_BYTES);
	rig.broker.request_timeout_ms = request_timeout_ms;
	bounce_rig_appear(&rig, DISK);
	bounce_rig_connect(&rig);
	bounce_rig_bring_up(&rig, DISK_FEATURES, 2, 32);
	for (i = 0; i < pvio_array_size(req); i++)
		disk_make(&rig, &req[i]);
}

static void setup(void)
{
	pvio_log_set(quiet, NULL, PVIO_LOG_DEBUG);
	srand(1);
	disk_up(0);
}

static void teardown(void)
{
	bounce_rig_fini(&rig);
}

/* The slot of the chain that was posted last on queue @q. */
static uint16_t last_posted(unsigned int q)
{
	const struct vring_avail *avail = bounce_rig_avail(&rig, q);
	uint16_t idx = le16toh(pvio_load_once(&avail->idx));

	return le16toh(avail->ring[(idx - 1) & 31]);
}

/* A read of a sector that the appliance has, and will not answer. */
static void hold(unsigned int i)
{
	bounce_rig_freeze(&rig);
	ck_assert_int_eq(
		disk_submit(&rig, 0, &req[i], VIRTIO_BLK_T_IN, i, 512, 1), 0);
	bounce_rig_until(&rig, bounce_rig_avail(&rig, 0)->idx);
	bounce_rig_pass(&rig, 2);
}

/* It was thrown out, and what it had is the next one's, once. */
static void expect_distrusted(unsigned int held)
{
	unsigned int i;

	bounce_rig_until(&rig, rig.distrusted == 1);
	ck_assert_uint_eq(disk_reap(&rig, 0), 0);
	ck_assert(!guest_device_is_broken(rig.gd));
	rig.intercept = NULL;
	bounce_rig_vanish(&rig);
	bounce_rig_appear(&rig, DISK);
	bounce_rig_until(&rig, disk_reap(&rig, 0) || held == 0);
	for (i = 0; i < held; i++) {
		ck_assert_uint_eq(req[i].answers, 1);
		ck_assert_uint_eq(*req[i].status, VIRTIO_BLK_S_OK);
	}
	ck_assert_uint_eq(disk_do(&rig, 1, &req[7], VIRTIO_BLK_T_IN, 0, 512, 1),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(rig.distrusted, 1);
}

/* --- used rings ------------------------------------------------------------ */

START_TEST(x01_used_id_that_is_not_out)
{
	hold(0);
	if (_i == 0)
		bounce_rig_use(&rig, 0, 32, 512);
	else if (_i == 1)
		bounce_rig_use(&rig, 0, UINT32_MAX, 512);
	else if (_i == 2)
		bounce_rig_use(&rig, 0, last_posted(0) ^ 1u, 512);
	else
		bounce_rig_use(&rig, 0, 0x10000u | last_posted(0), 512);
	expect_distrusted(1);
}
END_TEST

START_TEST(x01_used_id_twice)
{
	uint16_t slot;

	hold(0);
	slot = last_posted(0);
	disk_submit(&rig, 0, &req[1], VIRTIO_BLK_T_IN, 1, 512, 1);
	bounce_rig_pass(&rig, 2);
	bounce_rig_use(&rig, 0, slot, 513);
	bounce_rig_until(&rig, disk_reap(&rig, 0) == 1);
	bounce_rig_use(&rig, 0, slot, 513);
	bounce_rig_until(&rig, rig.distrusted == 1);
	ck_assert_uint_eq(req[0].answers, 1);
	ck_assert_uint_eq(req[1].answers, 0);
}
END_TEST

/* Not a byte more than was posted, and no status that nobody wrote. */
START_TEST(x02_used_length_beyond_what_was_posted)
{
	unsigned int i;

	memset(req[0].data, 0x5a, DISK_MAX_BYTES);
	hold(0);
	bounce_rig_use(&rig, 0, last_posted(0), _i ? UINT32_MAX : 514);
	bounce_rig_until(&rig, disk_reap(&rig, 0) == 1);
	ck_assert_uint_eq(req[0].len, 513);
	ck_assert_uint_eq(*req[0].status, VIRTIO_BLK_S_IOERR);
	for (i = 512; i < DISK_MAX_BYTES; i++)
		ck_assert_uint_eq(req[0].data[i], 0x5a);
	ck_assert_uint_eq(bounce_rig_port(&rig)->queue[0].clamped, 1);
	ck_assert_uint_eq(rig.distrusted, 0);
}
END_TEST

/* Short: only so much is copied, and the status. */
START_TEST(x02_used_length_that_is_short)
{
	memset(req[0].data, 0x5a, 512);
	hold(0);
	bounce_rig_use(&rig, 0, last_posted(0), 100);
	bounce_rig_until(&rig, disk_reap(&rig, 0) == 1);
	ck_assert_uint_eq(req[0].len, 100);
	ck_assert_uint_ne(req[0].data[99], 0x5a);
	ck_assert_uint_eq(req[0].data[100], 0x5a);
	ck_assert_uint_eq(*req[0].status, VIRTIO_BLK_S_IOERR);
}
END_TEST

START_TEST(x03_used_index_jumps)
{
	static const uint16_t jumps[] = { 2, 33, 0x8000, 0xffff };
	struct vring_used *used;

	hold(0);
	used = bounce_rig_used(&rig, 0);
	pvio_store_release(&used->idx,
			   htole16((uint16_t)(le16toh(used->idx) + jumps[_i])));
	bounce_rig_call(&rig, 0);
	expect_distrusted(1);
}
END_TEST

/* --- storms and silence ---------------------------------------------------- */

/* However often it rings, others get their turn. */
START_TEST(x07_storm_of_calls)
{
	unsigned int i, turn;

	hold(0);
	bounce_rig_thaw(&rig);
	bounce_rig_until(&rig, disk_reap(&rig, 0) == 1);
	for (turn = 0; turn < 200; turn++) {
		for (i = 0; i < 100; i++)
			bounce_rig_call(&rig, 0);
		ck_assert_uint_eq(
			disk_do(&rig, 1, &req[1], VIRTIO_BLK_T_IN, 0, 512, 1),
			VIRTIO_BLK_S_OK);
	}
	ck_assert_uint_eq(rig.distrusted, 0);
}
END_TEST

/* A thousand changes of configuration are one question at a time. */
START_TEST(x07_storm_of_configuration_changes)
{
	unsigned int i, before = rig.told[VU_GET_CONFIG];

	for (i = 0; i < 1000; i++)
		bounce_rig_answer(&rig, WINDOW_BACKEND_MESSAGE,
				  VU_BACKEND_CONFIG_CHANGE, 0, NULL, 0);
	bounce_rig_pass(&rig, 10);
	ck_assert_uint_ge(rig.told[VU_GET_CONFIG], before + 1);
	ck_assert_uint_le(rig.told[VU_GET_CONFIG], before + 3);
	/* What nobody knows is nothing. */
	bounce_rig_answer(&rig, WINDOW_BACKEND_MESSAGE, 77, 0, NULL, 0);
	ck_assert_uint_eq(disk_do(&rig, 1, &req[1], VIRTIO_BLK_T_IN, 0, 512, 1),
			  VIRTIO_BLK_S_OK);
}
END_TEST

static uint32_t swallowed;

static bool swallow(struct bounce_rig *r, const struct vu_header *header,
		    const uint8_t *payload)
{
	(void)r;
	(void)payload;
	return header->request == swallowed;
}

/* Its session has ended, and the device with it; both are there again. */
static void expect_anew(void)
{
	rig.intercept = NULL;
	/* Timers that run are not changed by that. */
	rig.broker.timeout_ms = RIG_PATIENCE_MS;
	rig.broker.request_timeout_ms = 0;
	bounce_rig_thaw(&rig);
	bounce_rig_until(&rig, !bounce_rig_port(&rig)->dev ||
				       bounce_rig_port(&rig)->is_dying);
	bounce_rig_connect(&rig);
	bounce_rig_bring_up(&rig, DISK_FEATURES, 2, 32);
	ck_assert_uint_eq(disk_do(&rig, 1, &req[7], VIRTIO_BLK_T_IN, 0, 512, 1),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(rig.distrusted, 0);
}

/* It does not give a ring back: B's reset ends all the same. */
START_TEST(x08_ring_is_never_returned)
{
	rig.broker.timeout_ms = 50;
	rig.broker.request_timeout_ms = 60;
	hold(0);
	rig.intercept = swallow;
	swallowed = VU_GET_VRING_BASE;
	(void)guest_device_negotiate(rig.gd, (uint64_t[2]){ DISK_FEATURES });
	ck_assert_uint_eq(rig.told[VU_GET_VRING_BASE], 1);
	expect_anew();
}
END_TEST

/* It has to finish first what it is at work on, which takes its time. */
START_TEST(x08_ring_is_returned_as_late_as_requests_are_answered)
{
	struct guest_vu *vu = guest_device_vu(rig.gd);
	struct vu_vring_state state = { .index = 0 };
	struct guest_vu_reply reply;

	rig.broker.timeout_ms = 20;
	rig.broker.request_timeout_ms = _i ? 10000 : 0;
	rig.intercept = swallow;
	swallowed = VU_GET_VRING_BASE;
	ck_assert_int_eq(guest_vu_send(vu, VU_GET_VRING_BASE, 0, &state,
				       sizeof(state), NULL, 0),
			 0);
	bounce_rig_until(&rig, rig.told[VU_GET_VRING_BASE] == 1);
	bounce_rig_pass(&rig, 100);
	bounce_rig_answer(&rig, WINDOW_MESSAGE, VU_GET_VRING_BASE, VU_REPLY,
			  &state, sizeof(state));
	ck_assert_int_eq(guest_vu_receive(vu, &reply, RIG_PATIENCE_MS), 0);
	ck_assert_uint_eq(reply.header.request, VU_GET_VRING_BASE);
	/* But nobody waits who wants to end. */
	ck_assert_uint_eq(rig.distrusted, 0);
	ck_assert_uint_eq(rig.port->sessions, 1);
}
END_TEST

START_TEST(x08_messages_that_are_not_answered)
{
	static const uint32_t requests[] = {
		VU_GET_FEATURES,   VU_GET_PROTOCOL_FEATURES,
		VU_SET_OWNER,      VU_SET_BACKEND_REQ_FD,
		VU_GET_CONFIG,     VU_SET_FEATURES,
		VU_SET_MEM_TABLE,  VU_SET_VRING_NUM,
		VU_SET_VRING_KICK, VU_SET_VRING_ENABLE,
	};
	unsigned int before;

	rig.broker.timeout_ms = 50;
	bounce_rig_vanish(&rig);
	rig.intercept = swallow;
	swallowed = requests[_i];
	before = rig.told[swallowed];
	bounce_rig_appear(&rig, DISK);
	bounce_rig_until(&rig, rig.told[swallowed] > before);
	/* B's VMM is let go, and found again. */
	expect_anew();
}
END_TEST

/*
 * It lives and takes requests, and one of them is not answered, which may be
 * B's doing: B is told so, and nobody else is.
 */
START_TEST(x08_request_that_is_not_answered)
{
	bounce_rig_fini(&rig);
	disk_up(30);
	hold(0);
	bounce_rig_until(&rig, disk_reap(&rig, 0) == 1);
	ck_assert_uint_eq(*req[0].status, VIRTIO_BLK_S_IOERR);
	expect_anew();
	ck_assert_uint_eq(req[0].answers, 1);
}
END_TEST

/* B has its VMM disable the ring, and nobody need serve it then. */
START_TEST(x08_request_on_a_ring_that_is_not_enabled)
{
	bounce_rig_fini(&rig);
	disk_up(20);
	ck_assert_int_eq(guest_vu_tell_state(guest_device_vu(rig.gd),
					     VU_SET_VRING_ENABLE, 0, 0),
			 0);
	ck_assert_int_eq(
		disk_submit(&rig, 0, &req[0], VIRTIO_BLK_T_IN, 0, 512, 1), 0);
	bounce_rig_pass(&rig, 150);
	ck_assert_uint_eq(disk_reap(&rig, 0), 0);
	ck_assert_int_eq(guest_vu_tell_state(guest_device_vu(rig.gd),
					     VU_SET_VRING_ENABLE, 0, 1),
			 0);
	bounce_rig_until(&rig, disk_reap(&rig, 0) == 1);
	ck_assert_uint_eq(*req[0].status, VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(rig.distrusted, 0);
	ck_assert_uint_eq(rig.port->sessions, 1);
}
END_TEST

/* Many are, for longer than one may take. */
START_TEST(x08_requests_that_are_answered)
{
	uint64_t until = pvio_now_ns() + UINT64_C(200000000);

	bounce_rig_fini(&rig);
	disk_up(20);
	while (pvio_now_ns() < until)
		ck_assert_uint_eq(
			disk_do(&rig, 0, &req[0], VIRTIO_BLK_T_IN, 0, 512, 1),
			VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(rig.distrusted, 0);
}
END_TEST

START_TEST(x08_session_that_is_not_served)
{
	rig.broker.timeout_ms = 50;
	bounce_rig_vanish(&rig);
	rig.is_mute = true;
	bounce_rig_appear(&rig, DISK);
	bounce_rig_until(&rig, rig.distrusted == 1);
	bounce_rig_until(&rig, !bounce_rig_port(&rig)->dev);
}
END_TEST

/* Its VMM has the eventfd that it is kicked by, too: B's worker waits once. */
START_TEST(x07_kick_that_blocks)
{
	const uint64_t most = UINT64_MAX - 1;
	int rc = pvio_eventfd_watch(SIGURG);
	struct bounce_queue *q = &bounce_rig_port(&rig)->queue[0];
	uint64_t count;
	int fd;

	/* Without fork the tests share it. */
	ck_assert(rc == 0 || rc == -EBUSY);
	bounce_rig_freeze(&rig);
	fd = fcntl(q->kick_fd, F_DUPFD_CLOEXEC, 0);
	(void)!read(fd, &count, sizeof(count));
	ck_assert_int_eq(write(fd, &most, sizeof(most)), sizeof(most));
	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
	disk_submit(&rig, 0, &req[0], VIRTIO_BLK_T_IN, 0, 512, 1);
	expect_distrusted(1);
	/* The next one's is another. */
	ck_assert(!pvio_eventfd_is_same(fd, q->kick_fd));
	close(fd);
}
END_TEST

/* --- what the next one sees ------------------------------------------------ */

static bool is_all(const uint8_t *p, size_t n, uint8_t byte)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] != byte)
			return false;
	return true;
}

static bool is_in(const uint8_t *p, size_t n, const char *secret)
{
	return memmem(p, n, secret, strlen(secret)) != NULL;
}

START_TEST(x10_next_appliance_finds_nothing)
{
	static const char secret[] = "the answer is 42";
	const uint8_t *window = rig.broker.memory.host;
	const struct broker_port *port = rig.port;
	const uint8_t *share = window + port->share_offset;

	memcpy(req[0].data, secret, sizeof(secret));
	ck_assert_uint_eq(
		disk_do(&rig, 0, &req[0], VIRTIO_BLK_T_OUT, 0, 512, 1),
		VIRTIO_BLK_S_OK);
	ck_assert(is_in(share, SHARE_BYTES, secret));
	bounce_rig_vanish(&rig);
	bounce_rig_pass(&rig, 5);
	ck_assert(is_all(share, SHARE_BYTES, 0));
	/* What is another port's is left alone. */
	ck_assert(is_all(window, port->share_offset, 0xa5));
	ck_assert(is_all(share + SHARE_BYTES,
			 RIG_WINDOW_BYTES - port->share_offset - SHARE_BYTES,
			 0xa5));
}
END_TEST

/* --- messages -------------------------------------------------------------- */

static void (*lie)(uint32_t request);
static uint32_t lie_to;

static bool tell_lies(struct bounce_rig *r, const struct vu_header *header,
		      const uint8_t *payload)
{
	(void)r;
	(void)payload;
	if (header->request != lie_to)
		return false;
	lie(header->request);
	return true;
}

static void lie_request(uint32_t request)
{
	const uint64_t zero = 0;

	bounce_rig_answer(&rig, WINDOW_MESSAGE, request + 1, VU_REPLY, &zero,
			  sizeof(zero));
}

static void lie_no_reply(uint32_t request)
{
	const uint64_t zero = 0;

	bounce_rig_answer(&rig, WINDOW_MESSAGE, request, 0, &zero,
			  sizeof(zero));
}

static void lie_short(uint32_t request)
{
	bounce_rig_answer(&rig, WINDOW_MESSAGE, request, VU_REPLY, NULL, 0);
}

static void lie_long(uint32_t request)
{
	const uint8_t much[200] = { 0 };

	bounce_rig_answer(&rig, WINDOW_MESSAGE, request, VU_REPLY, much,
			  sizeof(much));
}

static void (*const lies[])(uint32_t) = { lie_request, lie_no_reply, lie_short,
					  lie_long };

START_TEST(x_answers_that_are_none)
{
	static const uint32_t requests[] = { VU_GET_FEATURES,
					     VU_GET_PROTOCOL_FEATURES,
					     VU_SET_OWNER, VU_GET_CONFIG,
					     VU_SET_MEM_TABLE };

	bounce_rig_vanish(&rig);
	lie = lies[_i % 4];
	lie_to = requests[_i / 4];
	rig.intercept = tell_lies;
	bounce_rig_appear(&rig, DISK);
	expect_distrusted(0);
}
END_TEST

START_TEST(x_answer_to_nothing)
{
	const uint64_t zero = 0;

	bounce_rig_pass(&rig, 5);
	bounce_rig_answer(&rig, WINDOW_MESSAGE, VU_SET_OWNER, VU_REPLY, &zero,
			  sizeof(zero));
	expect_distrusted(0);
}
END_TEST

START_TEST(x_frame_that_is_too_short)
{
	const struct window_frame frame = { .bytes = (uint32_t)_i,
					    .kind = 1 + _i % 2 };
	const uint8_t payload[16] = { 0 };

	bounce_rig_pass(&rig, 5);
	rig.port->ops->frame(rig.port, &frame, payload);
	ck_assert_uint_eq(rig.distrusted, 1);
}
END_TEST

static void refuse(uint32_t request)
{
	const uint64_t one = 1;

	bounce_rig_answer(&rig, WINDOW_MESSAGE, request, VU_REPLY, &one,
			  sizeof(one));
}

/* B's driver is told, by what drivers know, and begins anew. */
START_TEST(x09_driver_is_refused)
{
	static const uint32_t requests[] = { VU_SET_FEATURES, VU_SET_VRING_ADDR,
					     VU_SET_VRING_ENABLE };

	bounce_rig_vanish(&rig);
	lie = refuse;
	lie_to = requests[_i];
	rig.intercept = tell_lies;
	bounce_rig_appear(&rig, DISK);
	bounce_rig_until(&rig, pvio_device_status(bounce_rig_port(&rig)->dev) &
				       VIRTIO_CONFIG_S_NEEDS_RESET);
	rig.intercept = NULL;
	bounce_rig_connect(&rig);
	bounce_rig_bring_up(&rig, DISK_FEATURES, 2, 32);
	ck_assert_uint_eq(disk_do(&rig, 1, &req[1], VIRTIO_BLK_T_IN, 0, 512, 1),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(rig.distrusted, 0);
}
END_TEST

/* Also one that knows of no status register, but of its ring's error. */
START_TEST(x09_refusal_is_an_error_of_the_ring)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t count = 0;
	unsigned int q;

	ck_assert_int_eq(
		guest_device_negotiate(rig.gd, (uint64_t[2]){ DISK_FEATURES }),
		0);
	for (q = 0; q < 2; q++)
		ck_assert_int_eq(guest_device_setup_queue(rig.gd, q, 32), 0);
	swallowed = VU_SET_VRING_ENABLE;
	rig.intercept = swallow;
	rig.told[VU_SET_VRING_ENABLE] = 0;
	ck_assert_int_eq(guest_device_start(rig.gd), 0);
	ck_assert_int_eq(guest_vu_tell_fd(guest_device_vu(rig.gd),
					  VU_SET_VRING_ERR, 1, fd),
			 0);
	bounce_rig_until(&rig, rig.told[VU_SET_VRING_ENABLE] == 1);
	refuse(VU_SET_VRING_ENABLE);
	bounce_rig_until(&rig, read(fd, &count, sizeof(count)) > 0);
	ck_assert_uint_eq(count, 1);
	close(fd);
}
END_TEST

static void offer_nothing(uint32_t request)
{
	const uint64_t zero = 0;

	bounce_rig_answer(&rig, WINDOW_MESSAGE, request, VU_REPLY, &zero,
			  sizeof(zero));
}

START_TEST(x09_offer_that_is_not_enough)
{
	bounce_rig_vanish(&rig);
	lie = offer_nothing;
	lie_to = _i ? VU_GET_FEATURES : VU_GET_PROTOCOL_FEATURES;
	rig.intercept = tell_lies;
	bounce_rig_appear(&rig, DISK);
	bounce_rig_until(&rig, bounce_rig_port(&rig)->phase == BOUNCE_UNFIT);
	rig.intercept = NULL;
}
END_TEST

/*
 * It says that its queue is broken, again and again, while B's device goes: not
 * when that is gone.
 */
START_TEST(x07_ring_errors_while_the_device_goes)
{
	const struct vu_vring_state state = { .index = 0 };
	struct bounce *b = bounce_rig_port(&rig);
	unsigned int i, sessions = (unsigned int)rig.port->sessions;

	bounce_rig_vanish(&rig);
	bounce_rig_appear(&rig, OTHER_DISK);
	for (i = 0; i < 100000 && (!b->dev || b->phase != BOUNCE_READY); i++) {
		bounce_rig_answer(&rig, WINDOW_BACKEND_MESSAGE,
				  VU_BACKEND_VRING_ERR, 0, &state,
				  sizeof(state));
		pvio_worker_step(rig.worker);
	}
	ck_assert_uint_eq(rig.port->sessions, sessions + 1);
	bounce_rig_pass(&rig, 5);
	bounce_rig_connect(&rig);
	bounce_rig_bring_up(&rig, 0, 1, 32);
	ck_assert_uint_eq(disk_do(&rig, 0, &req[1], VIRTIO_BLK_T_IN, 0, 512, 1),
			  VIRTIO_BLK_S_OK);
}
END_TEST

/* --- anything -------------------------------------------------------------- */

/* It writes all over the window, all of the time.  We live, and so does B. */
START_TEST(x04_window_full_of_rubbish)
{
	uint8_t *share = rig.broker.memory.host + rig.port->share_offset;
	unsigned int i, round;

	for (round = 0; round < 300; round++) {
		for (i = 0; i < pvio_array_size(req); i++)
			if (disk_submit(&rig, i % 2, &req[i], VIRTIO_BLK_T_IN,
					i, 512 * (1 + i), 1 + i % 4) == 0)
				req[i].answers = 0;
		for (i = 0; i < 50; i++) {
			/* Mostly where rings are. */
			uint32_t at = (uint32_t)rand() %
				      (i % 2 ? 4096 : SHARE_BYTES);

			pvio_store_once(&share[at], (uint8_t)rand());
		}
		bounce_rig_call(&rig, 0);
		bounce_rig_turn(&rig);
		disk_reap(&rig, 0);
		disk_reap(&rig, 1);
		if (rig.port->is_open)
			continue;
		bounce_rig_vanish(&rig);
		bounce_rig_appear(&rig, DISK);
		bounce_rig_until(&rig, bounce_rig_is_live(&rig, 0) &&
					       bounce_rig_is_live(&rig, 1));
	}
	/* B resets, and finds its disk again. */
	bounce_rig_vanish(&rig);
	bounce_rig_appear(&rig, DISK);
	bounce_rig_bring_up(&rig, DISK_FEATURES, 2, 32);
	ck_assert_uint_eq(disk_do(&rig, 1, &req[1], VIRTIO_BLK_T_IN, 0, 512, 1),
			  VIRTIO_BLK_S_OK);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bounce, hostile");
	TCase *tcase = tcase_create("bounce");

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, x01_used_id_that_is_not_out, 0, 4);
	tcase_add_test(tcase, x01_used_id_twice);
	tcase_add_loop_test(tcase, x02_used_length_beyond_what_was_posted, 0,
			    2);
	tcase_add_test(tcase, x02_used_length_that_is_short);
	tcase_add_loop_test(tcase, x03_used_index_jumps, 0, 4);
	tcase_add_test(tcase, x04_window_full_of_rubbish);
	tcase_add_test(tcase, x07_storm_of_calls);
	tcase_add_test(tcase, x07_storm_of_configuration_changes);
	tcase_add_test(tcase, x07_ring_errors_while_the_device_goes);
	tcase_add_test(tcase, x07_kick_that_blocks);
	tcase_add_test(tcase, x08_ring_is_never_returned);
	tcase_add_loop_test(
		tcase, x08_ring_is_returned_as_late_as_requests_are_answered, 0,
		2);
	tcase_add_loop_test(tcase, x08_messages_that_are_not_answered, 0, 10);
	tcase_add_test(tcase, x08_request_that_is_not_answered);
	tcase_add_test(tcase, x08_request_on_a_ring_that_is_not_enabled);
	tcase_add_test(tcase, x08_requests_that_are_answered);
	tcase_add_test(tcase, x08_session_that_is_not_served);
	tcase_add_loop_test(tcase, x09_driver_is_refused, 0, 3);
	tcase_add_test(tcase, x09_refusal_is_an_error_of_the_ring);
	tcase_add_loop_test(tcase, x09_offer_that_is_not_enough, 0, 2);
	tcase_add_test(tcase, x10_next_appliance_finds_nothing);
	tcase_add_loop_test(tcase, x_answers_that_are_none, 0, 20);
	tcase_add_test(tcase, x_answer_to_nothing);
	tcase_add_loop_test(tcase, x_frame_that_is_too_short, 0, 12);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
