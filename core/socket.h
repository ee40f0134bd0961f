/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * socket.h - unix sockets whose peer may send descriptors, wanted or not
 *
 * A reader has to have room for them.  Those that it has none for the kernel
 * closes for it, and so it does with what is unread in a socket that is closed:
 * in the reader's context, and for as long as that takes (see closer.h).
 */
#ifndef PVIO_CORE_SOCKET_H
#define PVIO_CORE_SOCKET_H

#include "closer.h"

#include <sys/socket.h>
#include <sys/types.h>

/* The most that Linux passes in one message (SCM_MAX_FD). */
#define PVIO_RIGHTS_MAX 253

/* Room for them, for msg_control. */
union pvio_rights_room {
	struct cmsghdr align;
	char space[CMSG_SPACE(PVIO_RIGHTS_MAX * sizeof(int))];
};

/* The descriptors of a message. */
struct pvio_rights {
	unsigned int nr;
	bool are_lost;           /* more came than this process may have */
	int fd[PVIO_RIGHTS_MAX]; /* owned */
};

/*
 * Before the first byte is read: the one that MSG_OOB sends can have
 * descriptors, too, and is dropped with them by who reads on, but if it is read
 * like the others.
 */
void pvio_socket_keep_oob(int fd);

/* What came with @msg, whose control room was a union pvio_rights_room. */
void pvio_rights_take(struct pvio_rights *rights, const struct msghdr *msg);
/* Give them all to @closer.  False: there were none. */
bool pvio_rights_close(struct pvio_rights *rights, struct pvio_closer *closer);

/*
 * recvmsg() without waiting: the bytes to @buf, the rest to @rights.  What it
 * says, or -errno, but never -EINTR.
 */
ssize_t pvio_socket_receive(int fd, void *buf, size_t len,
			    struct pvio_rights *rights);

/*
 * Close a socket that only we have, with what was sent to it; its peer finds it
 * closed from here on.  @closer NULL: the peer is ours, too.
 */
void pvio_socket_close(struct pvio_closer *closer, int fd);

#endif
