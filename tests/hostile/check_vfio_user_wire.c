/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vfio_user_wire.c - framing, descriptors and connections of a hostile
 * vfio-user client
 */
#include "tests/hostile/vfio-user-hostile.h"

/* --- F01: headers -------------------------------------------------------- */

/* F01: reassemble. */
START_TEST(message_that_comes_byte_by_byte_is_served)
{
	struct {
		struct vfu_header header;
		struct vfu_device_info info;
	} msg = {
		header(VFU_DEVICE_GET_INFO, 0, sizeof(msg)),
		{ .argsz = sizeof(msg.info) },
	};
	struct guest_vfu_reply reply;
	size_t i;

	hostile_connect();
	for (i = 0; i < sizeof(msg); i++) {
		expect_ok(guest_vfu_send_bytes(&vfu, (char *)&msg + i, 1, NULL,
					       0));
		rig_settle(&rig);
	}
	expect_ok(guest_vfu_receive(&vfu, &reply, 5000));
	ck_assert_uint_eq(reply.header.id, 7);
	ck_assert_uint_eq(reply.header.command, VFU_DEVICE_GET_INFO);
	ck_assert_uint_eq(reply.header.flags, VFU_TYPE_REPLY);
	ck_assert_uint_eq(reply.size, sizeof(msg.info));
}
END_TEST

/* F01: a size that is less than the header, or more than any: CLOSE. */
START_TEST(impossible_size_closes)
{
	static const uint32_t sizes[] = {
		0, 1, 15, 2u << 20, 4u << 20, 0x7fffffff, 0xffffffff,
	};
	struct vfu_header h = header(VFU_DEVICE_GET_INFO, 0, sizes[_i]);

	hostile_connect();
	expect_close(guest_vfu_send_bytes(&vfu, &h, sizeof(h), NULL, 0));
}
END_TEST

/* F01: CLOSE on timeout, however much of it has come. */
START_TEST(message_that_never_ends_is_timed_out)
{
	static const size_t sent[] = { 1, 15, 16, 17, 31 };
	struct vfu_header h = header(VFU_DEVICE_GET_INFO, 0, 32);
	uint8_t bytes[32] = { 0 };

	hostile_connect();
	memcpy(bytes, &h, sizeof(h));
	expect_ok(guest_vfu_send_bytes(&vfu, bytes, sent[_i], NULL, 0));
	expect_closed();
}
END_TEST

/* F01: a byte now and then does not renew the deadline. */
START_TEST(trickle_is_timed_out)
{
	struct vfu_header h = header(VFU_REGION_WRITE, 0, 16 + 16 + 4096);
	uint64_t begin = pvio_now_ns();
	int rc = 0;

	hostile_connect();
	expect_ok(guest_vfu_send_bytes(&vfu, &h, sizeof(h), NULL, 0));
	while (rc == 0 && pvio_now_ns() - begin < 10000000000ULL) {
		struct pollfd pfd = { .fd = vfu.fd, .events = POLLIN };

		rc = guest_vfu_send_bytes(&vfu, "", 1, NULL, 0);
		rig_settle(&rig);
		poll(&pfd, 1, 20);
	}
	ck_assert_int_eq(rc, -EPIPE);
}
END_TEST

/* F01: a reply that nobody asked for, or a type there is none of: CLOSE. */
START_TEST(wrong_type_closes)
{
	static const uint32_t flags[] = { VFU_TYPE_REPLY, 2, 3, 8, 15,
					  VFU_TYPE_REPLY | VFU_ERROR };
	struct vfu_header h = header(VFU_DEVICE_RESET, flags[_i], sizeof(h));

	hostile_connect();
	expect_close(guest_vfu_send_bytes(&vfu, &h, sizeof(h), NULL, 0));
}
END_TEST

/* F11: the answer to a DMA_READ or DMA_WRITE that we never send: CLOSE. */
START_TEST(answer_to_no_question_closes)
{
	struct {
		struct vfu_header header;
		struct vfu_dma_access access;
		uint8_t data[64];
	} msg = {
		header(_i ? VFU_DMA_READ : VFU_DMA_WRITE, VFU_TYPE_REPLY,
		       sizeof(msg)),
		{ RIG_RAM_GPA, sizeof(msg.data) },
		{ 0 },
	};

	hostile_serving();
	expect_close(guest_vfu_send_bytes(&vfu, &msg, sizeof(msg), NULL, 0));
}
END_TEST

/* F01: reserved flags, the error bit and an error in a command mean nothing. */
START_TEST(reserved_flags_are_ignored)
{
	struct {
		struct vfu_header header;
		struct vfu_device_info info;
	} msg = {
		header(VFU_DEVICE_GET_INFO, 0xffffffe0, sizeof(msg)),
		{ .argsz = sizeof(msg.info) },
	};
	struct guest_vfu_reply reply;

	msg.header.error = 0xdeadbeef;
	hostile_connect();
	expect_ok(guest_vfu_send_bytes(&vfu, &msg, sizeof(msg), NULL, 0));
	expect_ok(guest_vfu_receive(&vfu, &reply, 5000));
	ck_assert_uint_eq(reply.header.flags, VFU_TYPE_REPLY);
	ck_assert_uint_eq(reply.header.error, 0);
}
END_TEST

/* F01: EINVAL for every command with a payload that is not its own. */
START_TEST(payload_of_the_wrong_size_is_refused)
{
	const struct hostile_command *c = &commands[_i];
	static const uint8_t bytes[4096];
	uint32_t size;

	hostile_connect();
	for (size = 0; size < c->bytes; size++)
		expect_refused(EINVAL, guest_vfu_tell(&vfu, c->command, bytes,
						      size, NULL, 0));
	/* An argsz of 0, too; a write's count of 0 is another (F05). */
	expect_refused(EINVAL, guest_vfu_tell(&vfu, c->command, bytes,
					      sizeof(bytes), NULL, 0));
}
END_TEST

/* A command that we do not have is refused, with its payload and fds. */
START_TEST(unknown_command_is_refused)
{
	uint8_t bytes[32] = { 0xff };
	int fd = hostile_eventfd();

	hostile_connect();
	expect_refused(ENOSYS, guest_vfu_tell(&vfu, strangers[_i], bytes,
					       sizeof(bytes), NULL, 0));
	ck_assert_int_lt(guest_vfu_tell(&vfu, strangers[_i], bytes,
					sizeof(bytes), &fd, 1),
			 0);
	expect_alive();
	close(fd);
}
END_TEST

/* --- F12: commands that want no answer ----------------------------------- */

/* F12: no answer, whatever is wrong with it; the order is kept. */
START_TEST(command_without_reply_is_not_answered)
{
	static const uint8_t bytes[64];
	int fd = hostile_eventfd(), i;

	hostile_connect();
	for (i = 0; i < NR_COMMANDS; i++) {
		expect_ok(guest_vfu_send(&vfu, commands[i].command,
					 VFU_NO_REPLY, bytes,
					 commands[i].bytes, NULL, 0));
		expect_ok(guest_vfu_send(&vfu, commands[i].command,
					 VFU_NO_REPLY, bytes, 3, &fd, 1));
	}
	for (i = 0; i < NR_STRANGERS; i++)
		expect_ok(guest_vfu_send(&vfu, strangers[i], VFU_NO_REPLY,
					 bytes, sizeof(bytes), &fd, 1));
	/* The next answer is to the next question. */
	expect_alive();
	close(fd);
}
END_TEST

/* F12: a legal one is done, in its turn. */
START_TEST(posted_writes_are_done_before_the_read_behind_them)
{
	uint8_t status;
	unsigned int i;

	hostile_connect();
	config_write(4, 0x6, 2);
	for (i = 0; i < 100; i++) {
		status = 1;
		expect_ok(guest_vfu_post(&vfu, BAR_COMMON,
					 VIRTIO_PCI_COMMON_STATUS, &status, 1));
		/* In between: refused, and nobody hears of it. */
		expect_ok(guest_vfu_post(&vfu, 99, 0, &status, 1));
		status = 3;
		expect_ok(guest_vfu_post(&vfu, BAR_COMMON,
					 VIRTIO_PCI_COMMON_STATUS, &status, 1));
		ck_assert_uint_eq(hostile_status(), 3);
		status = 0;
		expect_ok(guest_vfu_post(&vfu, BAR_COMMON,
					 VIRTIO_PCI_COMMON_STATUS, &status, 1));
		ck_assert_uint_eq(hostile_status(), 0);
	}
}
END_TEST

/* F12: refusals are counted, answered or not. */
static unsigned int refused(void)
{
	unsigned int n;
	char *json, *at;

	ck_assert_int_eq(pvio_device_stats(rig.dev, false, &json), 0);
	at = strstr(json, "\"refused\":");
	ck_assert_msg(at != NULL, "no count in %s", json);
	n = (unsigned int)strtoul(at + strlen("\"refused\":"), NULL, 10);
	free(json);
	return n;
}

START_TEST(refusals_are_counted)
{
	unsigned int before;

	hostile_connect();
	before = refused();
	ck_assert_int_eq(guest_vfu_tell(&vfu, VFU_SET_IRQS, "", 1, NULL, 0),
			 -EINVAL);
	expect_ok(guest_vfu_send(&vfu, VFU_SET_IRQS, VFU_NO_REPLY, "", 1, NULL,
				 0));
	expect_alive();
	ck_assert_uint_eq(refused(), before + 2);
}
END_TEST

/* --- F18: identifiers ---------------------------------------------------- */

/* F18: opaque: the same one for two that are under way, in both directions. */
START_TEST(message_ids_are_opaque)
{
	struct {
		struct vfu_header header;
		struct vfu_irq_info irq;
	} msg[2] = {
		{ header(VFU_GET_IRQ_INFO, 0, sizeof(msg[0])),
		  { .argsz = sizeof(msg[0].irq), .index = VFU_IRQ_MSIX } },
		{ header(VFU_GET_IRQ_INFO, 0, sizeof(msg[0])),
		  { .argsz = sizeof(msg[0].irq), .index = VFU_IRQ_INTX } },
	};
	static const uint16_t ids[] = { 0, 1, 0x8000, 0xffff };
	struct guest_vfu_reply reply;

	hostile_connect();
	msg[0].header.id = msg[1].header.id = ids[_i];
	expect_ok(guest_vfu_send_bytes(&vfu, msg, sizeof(msg), NULL, 0));
	expect_ok(guest_vfu_receive(&vfu, &reply, 5000));
	ck_assert_uint_eq(reply.header.id, ids[_i]);
	ck_assert_uint_eq(reply.irq.index, VFU_IRQ_MSIX);
	expect_ok(guest_vfu_receive(&vfu, &reply, 5000));
	ck_assert_uint_eq(reply.header.id, ids[_i]);
	ck_assert_uint_eq(reply.irq.index, VFU_IRQ_INTX);
}
END_TEST

/* F18: a second socket was not asked for: closed, and not used. */
START_TEST(twin_socket_is_not_taken)
{
	static const char json[] =
		"{\"capabilities\":{\"twin_socket\":"
		"{\"supported\":true,\"fd_index\":0}}}";
	struct {
		struct vfu_version version;
		char json[sizeof(json)];
	} ask = { .version = { 0, 0 } };
	struct pollfd pfd = { .events = POLLIN };
	int pair[2], rc;

	memcpy(ask.json, json, sizeof(json));
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	hostile_dial();
	rc = guest_vfu_tell(&vfu, VFU_VERSION, &ask, sizeof(ask), &pair[1], 1);
	close(pair[1]);
	ck_assert_msg(rc == 0 || rc == -EPIPE || rc == -EINVAL, "%d", rc);
	rig_settle(&rig);
	/* Its other end is gone. */
	pfd.fd = pair[0];
	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
	ck_assert(pfd.revents & POLLHUP);
	close(pair[0]);
}
END_TEST

/* --- F19: descriptors ---------------------------------------------------- */

/* F19: EINVAL, and all of them closed, where none belongs. */
START_TEST(fds_on_commands_that_take_none_are_closed)
{
	static const uint16_t takes_none[] = {
		VFU_DMA_UNMAP,	  VFU_DEVICE_GET_INFO, VFU_GET_REGION_INFO,
		VFU_GET_IRQ_INFO, VFU_REGION_READ,     VFU_REGION_WRITE,
		VFU_DEVICE_RESET,
	};
	/* Good by themselves: what is wrong is the descriptor. */
	union {
		struct vfu_dma_unmap unmap;
		struct vfu_device_info device;
		struct vfu_region_info region;
		struct vfu_irq_info irq;
		struct vfu_region_access access;
		uint8_t bytes[20];
	} ask;
	int pair[2], fds[8];
	struct pollfd pfd = { .events = POLLIN };
	size_t i, size;
	unsigned int k;

	hostile_ready();
	for (i = 0; i < pvio_array_size(takes_none); i++) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		for (k = 0; k < pvio_array_size(fds); k++)
			fds[k] = pair[1];
		memset(&ask, 0, sizeof(ask));
		size = 16;
		switch (takes_none[i]) {
		case VFU_DMA_UNMAP:
			ask.unmap = (struct vfu_dma_unmap){
				24, 0, RIG_RAM_GPA, RIG_RAM_BYTES
			};
			size = sizeof(ask.unmap);
			break;
		case VFU_GET_REGION_INFO:
			ask.region.argsz = size = sizeof(ask.region);
			break;
		case VFU_REGION_READ:
			ask.access.count = 4;
			break;
		case VFU_REGION_WRITE:
			ask.access.count = 4;
			size = 20;
			break;
		case VFU_DEVICE_RESET:
			size = 0;
			break;
		default:
			ask.device.argsz = (uint32_t)size;
		}
		expect_refused(EINVAL, guest_vfu_tell(&vfu, takes_none[i], &ask,
						      size, fds, 1));
		expect_refused(EINVAL, guest_vfu_tell(&vfu, takes_none[i], &ask,
						      size, fds, 8));
		close(pair[1]);
		pfd.fd = pair[0];
		ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
		close(pair[0]);
	}
}
END_TEST

/* What is open while the server sends.  The test is its client, in one process. */
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
static bool is_counting;
static unsigned int fds_at_reply;
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	if (is_counting && fd != vfu.fd)
		fds_at_reply = rig_count_fds();
	return __real_sendmsg(fd, msg, flags);
}

/* F19: who has the answer, and counts, finds none of those that were sent. */
START_TEST(fds_are_closed_before_the_answer)
{
	int fd = hostile_eventfd(), fds[8], i;
	unsigned int before;

	for (i = 0; i < 8; i++)
		fds[i] = fd;
	hostile_connect();
	before = rig_count_fds();
	is_counting = true;
	ck_assert_int_eq(
		guest_vfu_tell(&vfu, VFU_DEVICE_RESET, NULL, 0, fds, 8),
		-EINVAL);
	ck_assert_uint_eq(fds_at_reply, before);
	expect_ok(guest_vfu_set_irqs(&vfu, IRQ_ASSIGN, VFU_IRQ_ERR, 0, 1, fds,
				     1));
	ck_assert_uint_eq(fds_at_reply, before + 1);
	is_counting = false;
	close(fd);
}
END_TEST

/* F19: more than were agreed on, or than any message has: closed, EINVAL. */
START_TEST(too_many_fds_are_refused)
{
	static const unsigned int counts[] = { 1, 2, 64, 253 };
	unsigned int nr = vfu.max_fds + 1, i;
	struct vfu_irq_set ask = { .argsz = sizeof(ask),
				   .flags = IRQ_ASSIGN,
				   .index = VFU_IRQ_MSIX,
				   .count = 1 };
	int fd = hostile_eventfd(), fds[253];

	for (i = 0; i < 253; i++)
		fds[i] = fd;
	hostile_connect();
	nr = vfu.max_fds + counts[_i];
	if (nr > 253)
		nr = 253;
	ask.count = nr;
	expect_refused(EINVAL, guest_vfu_tell(&vfu, VFU_SET_IRQS, &ask,
					      sizeof(ask), fds, nr));
	expect_refused(EINVAL,
		       guest_vfu_tell(&vfu, VFU_DEVICE_RESET, NULL, 0, fds, nr));
	close(fd);
}
END_TEST

/* F19: EINVAL, and all closed, when our own limit lets only some of them in. */
START_TEST(fds_that_the_kernel_truncates_are_refused)
{
	int fd = hostile_eventfd(), fds[4] = { fd, fd, fd, fd }, rc;
	struct rlimit limit, low;

	hostile_connect();
	rig_settle(&rig);
	getrlimit(RLIMIT_NOFILE, &limit);
	low = limit;
	low.rlim_cur = (rlim_t)(dup(0) + 1);
	close((int)low.rlim_cur - 1);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	rc = guest_vfu_set_irqs(&vfu, IRQ_ASSIGN, VFU_IRQ_MSIX, 0, 2, fds, 4);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	expect_refused(EINVAL, rc);
	close(fd);
}
END_TEST

/* F19: CLOSE. */
START_TEST(fds_in_the_middle_of_a_message_close)
{
	struct vfu_header h = header(VFU_DEVICE_GET_INFO, 0, 32);
	struct vfu_device_info ask = { .argsz = sizeof(ask) };
	int fd = hostile_eventfd();

	hostile_connect();
	/* With the header, or not; in any case with the payload. */
	expect_ok(guest_vfu_send_bytes(&vfu, &h, sizeof(h), &fd,
				       (unsigned int)_i));
	expect_close(guest_vfu_send_bytes(&vfu, &ask, sizeof(ask), &fd, 1));
	close(fd);
}
END_TEST

int main(void)
{
	const struct hostile_test tests[] = {
		{ message_that_comes_byte_by_byte_is_served, 0 },
		{ impossible_size_closes, 7 },
		{ message_that_never_ends_is_timed_out, 5 },
		{ trickle_is_timed_out, 0 },
		{ wrong_type_closes, 6 },
		{ answer_to_no_question_closes, 2 },
		{ reserved_flags_are_ignored, 0 },
		{ payload_of_the_wrong_size_is_refused, NR_COMMANDS },
		{ unknown_command_is_refused, NR_STRANGERS },
		{ command_without_reply_is_not_answered, 0 },
		{ posted_writes_are_done_before_the_read_behind_them, 0 },
		{ refusals_are_counted, 0 },
		{ message_ids_are_opaque, 4 },
		{ twin_socket_is_not_taken, 0 },
		{ fds_on_commands_that_take_none_are_closed, 0 },
		{ fds_are_closed_before_the_answer, 0 },
		{ too_many_fds_are_refused, 4 },
		{ fds_that_the_kernel_truncates_are_refused, 0 },
		{ fds_in_the_middle_of_a_message_close, 2 },
	};

	return hostile_main("vfio_user_wire", setup, teardown, tests,
			    pvio_array_size(tests));
}
