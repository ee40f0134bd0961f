/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stream.c - a UNIX stream socket that carries file descriptors
 */
#include "stream.h"

#include "core/util.h"
#include "core/worker.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int guest_stream_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, rc;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

uint64_t guest_stream_end(int timeout_ms)
{
	return pvio_now_ns() + (uint64_t)timeout_ms * 1000000;
}

/* Wait for @events, no longer than until @end. */
static int stream_wait(const struct guest_stream *s, short events,
		       uint64_t end)
{
	struct pollfd pfd = { .fd = s->fd, .events = events };
	bool is_mine = s->step && pvio_worker_is_mine(s->step);

	for (;;) {
		bool did = is_mine && pvio_worker_step(s->step);
		uint64_t now = pvio_now_ns();

		if (poll(&pfd, 1, 0) > 0)
			return 0;
		if (now >= end)
			return -ETIMEDOUT;
		if (!did)
			poll(&pfd, 1,
			     is_mine ? 1 : (int)((end - now) / 1000000) + 1);
	}
}

int guest_stream_send(const struct guest_stream *s, const void *bytes,
		      size_t len, const int *fds, unsigned int nr_fds,
		      uint64_t end)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(GUEST_STREAM_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	ssize_t n;
	int rc;

	if (nr_fds > GUEST_STREAM_MAX_FDS)
		return -EMSGSIZE;
	if (nr_fds > 0) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = control.space;
		mh.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nr_fds * sizeof(int));
	}
	while (iov.iov_len > 0) {
		n = sendmsg(s->fd, &mh, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			rc = stream_wait(s, POLLOUT, end);
			if (rc < 0)
				return rc;
			continue;
		}
		if (n < 0)
			return errno == ECONNRESET ? -EPIPE : -errno;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		mh.msg_control = NULL;
		mh.msg_controllen = 0;
	}
	return 0;
}

static void stream_collect_fds(struct msghdr *mh, int *fds,
			       unsigned int max_fds, unsigned int *nr_fds)
{
	struct cmsghdr *cmsg;
	size_t i, nr;
	int fd;

	for (cmsg = CMSG_FIRSTHDR(mh); cmsg; cmsg = CMSG_NXTHDR(mh, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET ||
		    cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		nr = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < nr; i++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd),
			       sizeof(fd));
			if (*nr_fds < max_fds)
				fds[(*nr_fds)++] = fd;
			else
				close(fd);
		}
	}
}

int guest_stream_receive(const struct guest_stream *s, void *buf, size_t len,
			 int *fds, unsigned int max_fds, unsigned int *nr_fds,
			 uint64_t end)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(GUEST_STREAM_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	ssize_t n;
	int rc;

	while (iov.iov_len > 0) {
		struct msghdr mh = { .msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control.space,
				     .msg_controllen = sizeof(control.space) };

		n = recvmsg(s->fd, &mh, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EAGAIN) {
			rc = stream_wait(s, POLLIN, end);
			if (rc < 0)
				return rc;
			continue;
		}
		if (n < 0 && errno != ECONNRESET)
			return -errno;
		if (n <= 0)
			return -EPIPE;
		stream_collect_fds(&mh, fds, max_fds, nr_fds);
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
	}
	return 0;
}
