/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stream.h - messages with file descriptors on a unix stream socket
 *
 * What the protocols of transports that serve a VMM by a socket share: bytes
 * and descriptors come and go without blocking.  What a message is, they know
 * themselves.
 */
#ifndef PVIO_STREAM_H
#define PVIO_STREAM_H

#include "core/socket.h"
#include "core/util.h"

#include <sys/types.h>

/* No message of ours may have more. */
#define PVIO_STREAM_MAX_FDS 8

struct pvio_fds {
	int fd[PVIO_STREAM_MAX_FDS]; /* owned; -1 where somebody took it */
	unsigned int nr;	     /* that came */
	bool are_lost;		     /* more came than may, or than we could hold */
};

struct pvio_stream {
	int fd; /* owned */
	struct pvio_closer *closer; /* borrowed; NULL: the peer is ours, too */
	struct pvio_list queue; /* to be sent */
	unsigned int nr_queued;
};

/*
 * Takes @fd, which nobody else reads from; or -1.  What is received by it goes
 * to @closer, if nobody wants it.
 */
void pvio_stream_init(struct pvio_stream *stream, int fd,
		      struct pvio_closer *closer);
/* Close it; what was queued is not sent. */
void pvio_stream_fini(struct pvio_stream *stream);
/* Close those of @fds that nobody took, and forget them. */
void pvio_stream_close_fds(struct pvio_stream *stream, struct pvio_fds *fds);

/*
 * Receive up to @len bytes of a message to @buf.  Its descriptors travel with
 * its first byte and are added to @fds; NULL: that byte is here already.
 *
 * The count; 0: nothing for the moment; -ENOTCONN: the peer closed; -EPROTO:
 * descriptors in mid-message; -EDQUOT: too many that came are not closed yet;
 * or what recvmsg says.
 */
ssize_t pvio_stream_receive(struct pvio_stream *stream, void *buf, size_t len,
			    struct pvio_fds *fds);

/*
 * Send a message, or queue what the socket does not take.  @fd (borrowed) goes
 * with it unless -1.  -ENOMEM, -EMFILE, or what sendmsg says.
 */
int pvio_stream_send(struct pvio_stream *stream, const void *header,
		     size_t header_len, const void *payload,
		     size_t payload_len, int fd);
/* The same with up to PVIO_STREAM_MAX_FDS of them. */
int pvio_stream_send_fds(struct pvio_stream *stream, const void *header,
			 size_t header_len, const void *payload,
			 size_t payload_len, const int *fds,
			 unsigned int nr_fds);
/* Send what was queued.  0 (see pvio_stream_is_sending()) or -errno. */
int pvio_stream_flush(struct pvio_stream *stream);
bool pvio_stream_is_sending(const struct pvio_stream *stream);

#endif
