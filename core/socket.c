/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * socket.c - unix sockets whose peer may send descriptors, wanted or not
 */
#include "socket.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* At the end of a socket: so often, at most, and so much at once. */
#define SOCKET_DRAIN_READS 64
#define SOCKET_DRAIN_BYTES 16384

void pvio_socket_keep_oob(int fd)
{
	const int on = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
}

void pvio_rights_take(struct pvio_rights *rights, const struct msghdr *msg)
{
	/* CMSG_NXTHDR() wants it so, and changes nothing. */
	struct msghdr *m = (struct msghdr *)msg;
	struct cmsghdr *cmsg;
	size_t bytes;

	rights->nr = 0;
	rights->are_lost = msg->msg_flags & MSG_CTRUNC;
	for (cmsg = CMSG_FIRSTHDR(m); cmsg; cmsg = CMSG_NXTHDR(m, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET ||
		    cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		/* One only, and the kernel keeps to its limit. */
		bytes = cmsg->cmsg_len - CMSG_LEN(0);
		memcpy(rights->fd, CMSG_DATA(cmsg), bytes);
		rights->nr = (unsigned int)(bytes / sizeof(int));
		return;
	}
}

bool pvio_rights_close(struct pvio_rights *rights, struct pvio_closer *closer)
{
	unsigned int i;

	if (rights->nr == 0)
		return false;
	for (i = 0; i < rights->nr; i++)
		pvio_closer_close(closer, rights->fd[i]);
	rights->nr = 0;
	return true;
}

ssize_t pvio_socket_receive(int fd, void *buf, size_t len,
			    struct pvio_rights *rights)
{
	union pvio_rights_room room;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room.space,
		.msg_controllen = sizeof(room.space),
	};
	ssize_t n;

	rights->nr = 0;
	do {
		n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	pvio_rights_take(rights, &msg);
	return n;
}

/* Nothing ends a socket of datagrams, which may be empty. */
static bool socket_is_stream(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	(void)getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
	return type == SOCK_STREAM;
}

/* Read what is left in it.  True: that was all, and no more can come. */
static bool socket_drain(struct pvio_closer *closer, int fd)
{
	ssize_t n, end = socket_is_stream(fd) ? 0 : -EAGAIN;
	char rubbish[SOCKET_DRAIN_BYTES];
	struct pvio_rights rights;
	unsigned int i;

	if (shutdown(fd, SHUT_RDWR) < 0)
		return false;
	pvio_socket_keep_oob(fd);
	for (i = 0; i < SOCKET_DRAIN_READS; i++) {
		if (pvio_closer_is_full(closer))
			return false;
		n = pvio_socket_receive(fd, rubbish, sizeof(rubbish), &rights);
		if (n == end)
			return true;
		/* The peer's end closed: said once, when all is read. */
		if (n < 0 && n != -ECONNRESET)
			return false;
		pvio_rights_close(&rights, closer);
	}
	return false;
}

void pvio_socket_close(struct pvio_closer *closer, int fd)
{
	if (!closer || socket_drain(closer, fd))
		close(fd);
	else
		pvio_closer_close(closer, fd);
}
