/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * socket.c - where front-ends come from
 *
 *	server	listen at a path, or on a socket that was inherited; take one
 *		front-end at a time.  While one is served the listening socket
 *		is not looked at: the next one waits in its queue
 *	client	connect to a path; when nobody listens, or the connection ends,
 *		try again, each time later
 *	fd	an inherited socket that is connected already: one front-end,
 *		and no second
 */
#include "vhost-user.h"

#include "core/listen.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* After accept() failed for want of descriptors or memory. */
#define ACCEPT_RETRY_MS     200
/* The longest pause of a client, in units of reconnect_ms. */
#define CONNECT_BACKOFF_MAX 16

static void socket_retry_in(struct vu *vu, uint64_t ms)
{
	struct timeval tv = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000),
	};

	event_add(vu->retry_event, &tv);
}

static void socket_serve(struct vu *vu, int fd)
{
	int rc = vu_session_create(vu, fd);

	if (rc < 0) {
		pvio_log_limited(&vu->log_limit, PVIO_LOG_ERROR,
				 "%s: vhost-user: cannot serve: %s",
				 pvio_device_name(vu->dev), strerror(-rc));
		socket_retry_in(vu, ACCEPT_RETRY_MS);
	}
}

/* --- server --------------------------------------------------------------- */

static void socket_accept(evutil_socket_t listen_fd, short what, void *arg)
{
	struct vu *vu = arg;
	int fd;

	(void)what;
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0) {
		event_del(vu->listen_event);
		socket_serve(vu, fd);
		return;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	/*
	 * The front-end stays in the queue, so the event would fire again at
	 * once; leave it alone for a while.
	 */
	pvio_log_limited(&vu->log_limit, PVIO_LOG_ERROR,
			 "%s: vhost-user: accept: %s",
			 pvio_device_name(vu->dev), strerror(errno));
	event_del(vu->listen_event);
	socket_retry_in(vu, ACCEPT_RETRY_MS);
}

/* --- client --------------------------------------------------------------- */

static int socket_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, rc;

	strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* A unix socket connects at once or not at all. */
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

static void socket_try(struct vu *vu)
{
	int fd = socket_connect(vu->path);

	if (fd >= 0) {
		vu->retry_ms = 0;
		vu->connect_error = 0;
		socket_serve(vu, fd);
		return;
	}
	/* Said once, then in silence until it changes. */
	if (fd != vu->connect_error)
		pvio_log(PVIO_LOG_INFO, "%s: vhost-user: %s: %s; trying again",
			 pvio_device_name(vu->dev), vu->path, strerror(-fd));
	vu->connect_error = fd;
	if (vu->retry_ms < vu->reconnect_ms)
		vu->retry_ms = vu->reconnect_ms;
	socket_retry_in(vu, vu->retry_ms);
	if (vu->retry_ms < vu->reconnect_ms * CONNECT_BACKOFF_MAX)
		vu->retry_ms *= 2;
}

/* --- all three ------------------------------------------------------------ */

static void socket_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	vu_socket_resume(arg);
}

void vu_socket_resume(struct vu *vu)
{
	int fd = vu->given_fd;

	if (!vu->is_started || vu->session)
		return;
	if (vu->listen_event) {
		event_add(vu->listen_event, NULL);
	} else if (vu->mode == VU_MODE_CLIENT && vu->path) {
		socket_try(vu);
	} else if (fd >= 0) {
		vu->given_fd = -1;
		socket_serve(vu, fd);
	}
}

void vu_socket_again(struct vu *vu)
{
	/* Not at once: it may be closing whatever it accepts. */
	if (vu->is_started && vu->mode == VU_MODE_CLIENT && vu->path)
		socket_retry_in(vu, vu->reconnect_ms);
	else
		vu_socket_resume(vu);
}

int vu_socket_check_given(struct vu *vu)
{
	int domain = 0, type = 0, listens = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(vu->given_fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) <
		    0 ||
	    getsockopt(vu->given_fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(vu->given_fd, SOL_SOCKET, SO_ACCEPTCONN, &listens,
		       &len) < 0)
		return -errno;
	if (domain != AF_UNIX || type != SOCK_STREAM)
		return -EPROTOTYPE;
	vu->given_listens = listens;
	/* Accepting must not block, and nobody's child shall have it. */
	if (fcntl(vu->given_fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(vu->given_fd, F_SETFL,
		  fcntl(vu->given_fd, F_GETFL) | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int vu_socket_open(struct vu *vu)
{
	int fd = vu->given_listens ? vu->given_fd : -1;
	int rc;

	if (!vu->path && vu->given_fd < 0)
		return -ENOTCONN;
	if (vu->path && vu->mode == VU_MODE_SERVER) {
		rc = pvio_listen(pvio_device_name(vu->dev), vu->path,
				 vu->socket_mode, vu->socket_group,
				 &vu->listener);
		if (rc < 0)
			return rc;
		fd = pvio_listener_fd(vu->listener);
	}
	vu->retry_event = evtimer_new(vu->base, socket_retry, vu);
	if (fd >= 0)
		vu->listen_event = event_new(vu->base, fd, EV_READ | EV_PERSIST,
					     socket_accept, vu);
	if (!vu->retry_event || (fd >= 0 && !vu->listen_event)) {
		vu_socket_close(vu);
		return -ENOMEM;
	}
	vu->retry_ms = 0;
	vu->connect_error = 0;
	return 0;
}

void vu_socket_close(struct vu *vu)
{
	if (vu->listen_event)
		event_free(vu->listen_event);
	if (vu->retry_event)
		event_free(vu->retry_event);
	vu->listen_event = vu->retry_event = NULL;
	pvio_listener_close(vu->listener);
	vu->listener = NULL;
}
