/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wire.c - framing of vhost-user messages, without blocking
 *
 * File descriptors arrive with the first byte of a message.  The kernel drops
 * those that a reader has no room for, and glues nothing across them, so each
 * recvmsg here asks for no byte beyond the current message and always brings
 * room for as many as one sendmsg can carry: none is ever lost or leaked
 * unseen, and what arrives in mid-message is recognised and ends the
 * connection.
 */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The most that Linux passes in one message (SCM_MAX_FD). */
#define WIRE_SCM_MAX_FDS  253
#define WIRE_HEADER_BYTES sizeof(struct vu_header)

struct vu_packet {
	struct pvio_list node;
	size_t len, sent;
	int fd; /* owned, or -1; goes with the first byte */
	uint8_t bytes[];
};

void vu_wire_init(struct vu_wire *wire, int fd)
{
	memset(wire, 0, sizeof(*wire));
	wire->fd = fd;
	pvio_list_init(&wire->queue);
}

void vu_wire_next(struct vu_wire *wire)
{
	struct vu_message *msg = &wire->message;
	unsigned int i;

	for (i = 0; i < msg->nr_fds; i++)
		if (msg->fd[i] >= 0)
			close(msg->fd[i]);
	msg->nr_fds = 0;
	msg->fds_lost = false;
	wire->got = 0;
}

static void packet_free(struct vu_wire *wire, struct vu_packet *packet)
{
	pvio_list_del(&packet->node);
	wire->nr_queued--;
	if (packet->fd >= 0)
		close(packet->fd);
	free(packet);
}

void vu_wire_fini(struct vu_wire *wire)
{
	vu_wire_next(wire);
	while (!pvio_list_empty(&wire->queue))
		packet_free(wire, pvio_list_entry(wire->queue.next,
						  struct vu_packet, node));
	if (wire->fd >= 0)
		close(wire->fd);
	wire->fd = -1;
}

bool vu_wire_is_partial(const struct vu_wire *wire)
{
	return wire->got > 0;
}

/* Keep the fds of @control, or close those that there is no room for. */
static unsigned int wire_collect_fds(struct vu_message *msg,
				     struct msghdr *control)
{
	struct cmsghdr *cmsg;
	unsigned int seen = 0;
	size_t i, nr;
	int fd;

	for (cmsg = CMSG_FIRSTHDR(control); cmsg;
	     cmsg = CMSG_NXTHDR(control, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET ||
		    cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		nr = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < nr; i++, seen++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd),
			       sizeof(fd));
			if (msg->nr_fds < VU_MAX_FDS) {
				msg->fd[msg->nr_fds++] = fd;
			} else {
				close(fd);
				msg->fds_lost = true;
			}
		}
	}
	if (control->msg_flags & MSG_CTRUNC)
		msg->fds_lost = true;
	return seen;
}

/* Receive up to @len bytes to @buf.  The count, 0 for not now, -errno. */
static ssize_t wire_recv(struct vu_wire *wire, void *buf, size_t len)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(WIRE_SCM_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	ssize_t n;

	do {
		n = recvmsg(wire->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (wire_collect_fds(&wire->message, &mh) > 0 && wire->got > 0)
		return -EPROTO;
	return n > 0 ? n : -ENOTCONN;
}

static bool wire_header_is_legal(const struct vu_header *header)
{
	return (header->flags & VU_VERSION_MASK) == VU_VERSION &&
	       !(header->flags & VU_REPLY) &&
	       header->size <= VU_MAX_PAYLOAD_BYTES;
}

int vu_wire_receive(struct vu_wire *wire)
{
	struct vu_message *msg = &wire->message;
	ssize_t n;

	while (wire->got < WIRE_HEADER_BYTES) {
		n = wire_recv(wire, (char *)&msg->header + wire->got,
			      WIRE_HEADER_BYTES - wire->got);
		if (n <= 0)
			return (int)n;
		wire->got += (size_t)n;
		if (wire->got == WIRE_HEADER_BYTES &&
		    !wire_header_is_legal(&msg->header))
			return -EPROTO;
	}
	while (wire->got < WIRE_HEADER_BYTES + msg->header.size) {
		n = wire_recv(wire,
			      msg->bytes + (wire->got - WIRE_HEADER_BYTES),
			      WIRE_HEADER_BYTES + msg->header.size - wire->got);
		if (n <= 0)
			return (int)n;
		wire->got += (size_t)n;
	}
	return 1;
}

/* Send from byte @sent on.  The count, 0 for not now, -errno. */
static ssize_t wire_send_some(struct vu_wire *wire, const void *bytes,
			      size_t len, size_t sent, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = (char *)bytes + sent,
			     .iov_len = len - sent };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	ssize_t n;

	if (fd >= 0 && sent == 0) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = control.space;
		mh.msg_controllen = sizeof(control.space);
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	do {
		n = sendmsg(wire->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n;
}

int vu_wire_flush(struct vu_wire *wire)
{
	struct vu_packet *packet;
	ssize_t n;

	while (!pvio_list_empty(&wire->queue)) {
		packet = pvio_list_entry(wire->queue.next, struct vu_packet,
					 node);
		n = wire_send_some(wire, packet->bytes, packet->len,
				   packet->sent, packet->fd);
		if (n < 0)
			return (int)n;
		packet->sent += (size_t)n;
		if (packet->sent < packet->len)
			return 0;
		packet_free(wire, packet);
	}
	return 0;
}

int vu_wire_send(struct vu_wire *wire, const struct vu_header *header,
		 const void *payload, int fd)
{
	size_t len = sizeof(*header) + header->size;
	struct vu_packet *packet;
	int rc;

	if (wire->nr_queued >= VU_MAX_QUEUED)
		return -ENOBUFS;
	packet = malloc(sizeof(*packet) + len);
	if (!packet)
		return -ENOMEM;
	packet->fd = -1;
	if (fd >= 0) {
		packet->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (packet->fd < 0) {
			rc = -errno;
			free(packet);
			return rc;
		}
	}
	packet->len = len;
	packet->sent = 0;
	memcpy(packet->bytes, header, sizeof(*header));
	if (header->size > 0)
		memcpy(packet->bytes + sizeof(*header), payload, header->size);
	pvio_list_add_tail(&wire->queue, &packet->node);
	wire->nr_queued++;
	return vu_wire_flush(wire);
}

bool vu_wire_is_sending(const struct vu_wire *wire)
{
	return wire->nr_queued > 0;
}
