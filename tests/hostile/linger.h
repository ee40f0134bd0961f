/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * linger.h - a descriptor whose last close() waits for somebody else
 *
 * A TCP socket with data that nobody reads, and SO_LINGER: close() waits until
 * it is read, an hour at most.  Who is to close it must have the last one.
 */
#ifndef PVIO_TESTS_LINGER_H
#define PVIO_TESTS_LINGER_H

#include "core/util.h"

#include <check.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A test that is held up says so early. */
#define LINGER_TIMEOUT_S 60

struct linger_socket {
	int fd;   /* to be passed, and closed */
	int peer; /* who does not read */
};

/* Is there a network to speak of? */
static inline int linger_listen(struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*addr);
	const int small = 4096;

	*addr = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) < 0 ||
	    bind(fd, (struct sockaddr *)addr, len) < 0 || listen(fd, 1) < 0 ||
	    getsockname(fd, (struct sockaddr *)addr, &len) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static inline struct linger_socket linger_open(void)
{
	const struct linger hour = { .l_onoff = 1, .l_linger = 3600 };
	static const char data[65536];
	struct linger_socket l;
	struct sockaddr_in addr;
	struct pollfd pfd;
	int listen_fd = linger_listen(&addr);

	ck_assert_int_ge(listen_fd, 0);
	l.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(l.fd, 0);
	ck_assert_int_eq(connect(l.fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	l.peer = accept(listen_fd, NULL, NULL);
	ck_assert_int_ge(l.peer, 0);
	close(listen_fd);
	pfd = (struct pollfd){ .fd = l.fd, .events = POLLOUT };
	/* Full, and still so after a while. */
	do {
		while (send(l.fd, data, sizeof(data), MSG_DONTWAIT) > 0)
			;
	} while (poll(&pfd, 1, 20) > 0);
	ck_assert_int_eq(
		setsockopt(l.fd, SOL_SOCKET, SO_LINGER, &hour, sizeof(hour)),
		0);
	return l;
}

/*
 * Send @len bytes, and with them @nr descriptors that do no harm and the one
 * that lingers, of which nothing is left here.
 */
#define LINGER_MAX_OTHERS 8
static inline void linger_send_behind(struct linger_socket *l, unsigned int nr,
				      int to, const void *bytes, size_t len,
				      int flags)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE((LINGER_MAX_OTHERS + 1) * sizeof(int))];
	} control = { .space = { 0 } };
	int fds[LINGER_MAX_OTHERS + 1] = { STDIN_FILENO };
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = CMSG_SPACE((nr + 1) * sizeof(int)),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&mh);

	ck_assert_uint_le(nr, LINGER_MAX_OTHERS);
	fds[nr] = l->fd;
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN((nr + 1) * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, (nr + 1) * sizeof(int));
	ck_assert_int_eq(sendmsg(to, &mh, flags | MSG_NOSIGNAL), (ssize_t)len);
	close(l->fd);
	l->fd = -1;
}

static inline void linger_send(struct linger_socket *l, int to,
			       const void *bytes, size_t len, int flags)
{
	linger_send_behind(l, 0, to, bytes, len, flags);
}

/* A unix socket, to be passed, with what lingers in its queue. */
static inline void linger_nest(struct linger_socket *l)
{
	int pair[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	linger_send(l, pair[0], "", 1, 0);
	close(pair[0]);
	l->fd = pair[1];
}

/* Now it closes. */
static inline void linger_end(struct linger_socket *l)
{
	close(l->peer);
	l->peer = -1;
}

/* How many threads are about closing something. */
static inline unsigned int linger_closers(void)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *task;
	char path[300], name[32];
	unsigned int n = 0;
	FILE *f;

	ck_assert_ptr_nonnull(dir);
	while ((task = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm",
			 task->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fgets(name, sizeof(name), f) &&
		    strcmp(name, "pvio-closer\n") == 0)
			n++;
		fclose(f);
	}
	closedir(dir);
	return n;
}

/* Somebody waits in close(), and still does after a while. */
static inline void linger_expect_waiting(void)
{
	uint64_t end = pvio_now_ns() + 20000000000ULL;

	while (linger_closers() == 0 && pvio_now_ns() < end)
		poll(NULL, 0, 1);
	poll(NULL, 0, 50);
	ck_assert_uint_eq(linger_closers(), 1);
}

/* Nobody does, soon. */
static inline void linger_expect_closed(void)
{
	uint64_t end = pvio_now_ns() + 20000000000ULL;

	while (linger_closers() > 0 && pvio_now_ns() < end)
		poll(NULL, 0, 1);
	ck_assert_uint_eq(linger_closers(), 0);
}

/* The exit status if there is no such socket here; or 0. */
static inline int linger_skip(void)
{
	struct sockaddr_in addr;
	int fd = linger_listen(&addr);

	if (fd < 0) {
		puts("SKIP: no TCP on the loopback device");
		return 77;
	}
	close(fd);
	return 0;
}

#endif
