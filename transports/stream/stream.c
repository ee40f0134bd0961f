/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stream.c - messages with file descriptors on a unix stream socket
 *
 * File descriptors arrive with the first byte of a message, and the kernel
 * glues nothing across them.  So each read here asks for no byte beyond the
 * current message, and what arrives in mid-message is recognised.
 */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct stream_packet {
	struct pvio_list node;
	size_t len, sent;
	struct pvio_fds fds; /* owned; they go with the first byte */
	uint8_t bytes[];
};

static void fds_close(struct pvio_closer *closer, struct pvio_fds *fds)
{
	unsigned int i;

	for (i = 0; i < fds->nr; i++)
		if (fds->fd[i] >= 0)
			pvio_closer_close(closer, fds->fd[i]);
	fds->nr = 0;
	fds->are_lost = false;
}

void pvio_stream_close_fds(struct pvio_stream *stream, struct pvio_fds *fds)
{
	fds_close(stream->closer, fds);
}

void pvio_stream_init(struct pvio_stream *stream, int fd,
		      struct pvio_closer *closer)
{
	stream->fd = fd;
	stream->closer = closer;
	stream->nr_queued = 0;
	pvio_list_init(&stream->queue);
	if (fd >= 0)
		pvio_socket_keep_oob(fd);
}

static void packet_free(struct pvio_stream *stream,
			struct stream_packet *packet)
{
	pvio_list_del(&packet->node);
	stream->nr_queued--;
	/* Of what we had checked, or made. */
	fds_close(NULL, &packet->fds);
	free(packet);
}

void pvio_stream_fini(struct pvio_stream *stream)
{
	while (!pvio_list_empty(&stream->queue))
		packet_free(stream, pvio_list_entry(stream->queue.next,
						    struct stream_packet,
						    node));
	if (stream->fd >= 0)
		pvio_socket_close(stream->closer, stream->fd);
	stream->fd = -1;
}

/* Add them to @fds, and close those that there is no room for. */
static void fds_add(struct pvio_fds *fds, const struct pvio_rights *rights,
		    struct pvio_closer *closer)
{
	unsigned int i;

	for (i = 0; i < rights->nr; i++) {
		if (fds->nr < PVIO_STREAM_MAX_FDS) {
			fds->fd[fds->nr++] = rights->fd[i];
		} else {
			pvio_closer_close(closer, rights->fd[i]);
			fds->are_lost = true;
		}
	}
	fds->are_lost |= rights->are_lost;
}

ssize_t pvio_stream_receive(struct pvio_stream *stream, void *buf, size_t len,
			    struct pvio_fds *fds)
{
	struct pvio_rights rights;
	ssize_t n;

	if (pvio_closer_is_full(stream->closer))
		return -EDQUOT;
	n = pvio_socket_receive(stream->fd, buf, len, &rights);
	if (n < 0)
		return n == -EAGAIN ? 0 : n;
	if (fds)
		fds_add(fds, &rights, stream->closer);
	else if (pvio_rights_close(&rights, stream->closer))
		return -EPROTO;
	return n > 0 ? n : -ENOTCONN;
}

/* Send what is left of @packet.  The count, 0 for not now, -errno. */
static ssize_t stream_send_some(struct pvio_stream *stream,
				struct stream_packet *packet)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(PVIO_STREAM_MAX_FDS * sizeof(int))];
	} control;
	size_t fds_len = packet->fds.nr * sizeof(int);
	struct iovec iov = { .iov_base = packet->bytes + packet->sent,
			     .iov_len = packet->len - packet->sent };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	ssize_t n;

	if (fds_len > 0 && packet->sent == 0) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = control.space;
		mh.msg_controllen = CMSG_SPACE(fds_len);
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(fds_len);
		memcpy(CMSG_DATA(cmsg), packet->fds.fd, fds_len);
	}
	do {
		n = sendmsg(stream->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n;
}

int pvio_stream_flush(struct pvio_stream *stream)
{
	struct stream_packet *packet;
	ssize_t n;

	while (!pvio_list_empty(&stream->queue)) {
		packet = pvio_list_entry(stream->queue.next,
					 struct stream_packet, node);
		n = stream_send_some(stream, packet);
		if (n < 0)
			return (int)n;
		packet->sent += (size_t)n;
		if (packet->sent < packet->len)
			return 0;
		packet_free(stream, packet);
	}
	return 0;
}

int pvio_stream_send(struct pvio_stream *stream, const void *header,
		     size_t header_len, const void *payload,
		     size_t payload_len, int fd)
{
	return pvio_stream_send_fds(stream, header, header_len, payload,
				    payload_len, &fd, fd >= 0);
}

/* A packet of @len bytes, with duplicates of @fds. */
static int packet_create(size_t len, const int *fds, unsigned int nr_fds,
			 struct stream_packet **out)
{
	struct stream_packet *packet;
	int fd, rc;

	packet = malloc(sizeof(*packet) + len);
	if (!packet)
		return -ENOMEM;
	packet->fds = (struct pvio_fds){ .nr = 0 };
	while (packet->fds.nr < nr_fds) {
		fd = fcntl(fds[packet->fds.nr], F_DUPFD_CLOEXEC, 0);
		if (fd < 0) {
			rc = -errno;
			fds_close(NULL, &packet->fds);
			free(packet);
			return rc;
		}
		packet->fds.fd[packet->fds.nr++] = fd;
	}
	packet->len = len;
	packet->sent = 0;
	*out = packet;
	return 0;
}

int pvio_stream_send_fds(struct pvio_stream *stream, const void *header,
			 size_t header_len, const void *payload,
			 size_t payload_len, const int *fds,
			 unsigned int nr_fds)
{
	size_t len = header_len + payload_len;
	struct stream_packet *packet = NULL;
	int rc;

	rc = packet_create(len, fds, nr_fds, &packet);
	if (rc < 0)
		return rc;
	memcpy(packet->bytes, header, header_len);
	if (payload_len > 0)
		memcpy(packet->bytes + header_len, payload, payload_len);
	pvio_list_add_tail(&stream->queue, &packet->node);
	stream->nr_queued++;
	return pvio_stream_flush(stream);
}

bool pvio_stream_is_sending(const struct pvio_stream *stream)
{
	return stream->nr_queued > 0;
}
