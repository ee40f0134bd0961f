/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stream.h - a UNIX stream socket that carries file descriptors
 *
 * The socket is non-blocking, because the peer may live on a worker that the
 * same thread steps: whoever waits, for room or for bytes, steps it.
 */
#ifndef PVIO_GUEST_STREAM_H
#define PVIO_GUEST_STREAM_H

#include <stddef.h>
#include <stdint.h>

/* The most that Linux passes in one message. */
#define GUEST_STREAM_MAX_FDS 253

struct pvio_worker;

struct guest_stream {
	int fd;			  /* owned, or -1; non-blocking */
	struct pvio_worker *step; /* borrowed: stepped while waiting; or NULL */
};

/* Connect to @path: the socket, or -errno. */
int guest_stream_connect(const char *path);
/* The moment @timeout_ms from now, for the calls below. */
uint64_t guest_stream_end(int timeout_ms);

/*
 * Send all bytes, with any fds (borrowed) at the first.  -errno, -EPIPE when
 * the peer closed, -ETIMEDOUT when it takes no more.
 */
int guest_stream_send(const struct guest_stream *s, const void *bytes,
		      size_t len, const int *fds, unsigned int nr_fds,
		      uint64_t end);
/*
 * Receive all of @len bytes, and up to @max_fds fds, which are added to the
 * *@nr_fds there are; more are closed.  They are the caller's, also on error.
 * -errno as above.
 */
int guest_stream_receive(const struct guest_stream *s, void *buf, size_t len,
			 int *fds, unsigned int max_fds, unsigned int *nr_fds,
			 uint64_t end);

#endif
