/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * endpoint.c - where peers come from
 *
 *	server	listen at a path, or on a socket that was inherited; take one
 *		peer at a time.  While one is served the listening socket
 *		is not looked at: the next one waits in its queue
 *	client	connect to a path; when nobody listens, or the connection ends,
 *		try again, each time later
 *	fd	an inherited socket that is connected already: one peer,
 *		and no second
 */
#include "endpoint.h"

#include "core/listen.h"
#include "core/worker.h"
#include "stream.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* After accept() failed for want of descriptors or memory. */
#define ACCEPT_RETRY_MS       200
/* While what earlier peers sent is not closed. */
#define HOLD_RETRY_MS         100
#define ENDPOINT_RECONNECT_MS 1000
/* The longest pause of a client, in units of reconnect_ms. */
#define CONNECT_BACKOFF_MAX   16

/* --- configuration -------------------------------------------------------- */

static int endpoint_check_given(struct pvio_endpoint *ep)
{
	int domain = 0, type = 0, listens = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(ep->given_fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) <
		    0 ||
	    getsockopt(ep->given_fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(ep->given_fd, SOL_SOCKET, SO_ACCEPTCONN, &listens,
		       &len) < 0)
		return -errno;
	if (domain != AF_UNIX || type != SOCK_STREAM)
		return -EPROTOTYPE;
	ep->given_listens = listens;
	/* Accepting must not block, and nobody's child shall have it. */
	if (fcntl(ep->given_fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(ep->given_fd, F_SETFL,
		  fcntl(ep->given_fd, F_GETFL) | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/*
 * "socket", "fd", or both: then the socket at that path was opened by somebody
 * else, and this is it.
 */
static int endpoint_read_socket(struct pvio_endpoint *ep,
				struct pvio_config *cfg)
{
	uint64_t fd = UINT64_MAX;
	const char *path = NULL;
	int rc;

	if (pvio_config_string_opt(cfg, "socket", &path) < 0 ||
	    pvio_config_uint_opt(cfg, "fd", 0, INT32_MAX, &fd) < 0)
		return -EINVAL;
	if (!path && fd == UINT64_MAX)
		return pvio_config_error(cfg, "socket",
					 "socket or fd is needed");
	if (fd == UINT64_MAX) {
		if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
			return pvio_config_error(
				cfg, "socket",
				"longer than the 107 bytes a socket can have");
		ep->path = strdup(path);
		return ep->path ? 0 : -ENOMEM;
	}
	ep->given_fd = (int)fd;
	rc = endpoint_check_given(ep);
	if (rc < 0) {
		ep->given_fd = -1;
		return pvio_config_error(cfg, "fd", "%d: %s", (int)fd,
					 rc == -EPROTOTYPE
						 ? "not a unix stream socket"
						 : strerror(-rc));
	}
	return 0;
}

int pvio_endpoint_read_config(struct pvio_endpoint *ep,
			      struct pvio_config *cfg)
{
	int rc;

	if (!ep->closer)
		return -ENOMEM;
	rc = endpoint_read_socket(ep, cfg);
	if (rc < 0)
		return rc;
	return pvio_listen_read_config(cfg, &ep->socket_mode,
				       &ep->socket_group);
}

void pvio_endpoint_init(struct pvio_endpoint *ep, const char *name,
			struct pvio_worker *control, const char *protocol,
			int (*serve)(void *arg, int fd), void *arg)
{
	*ep = (struct pvio_endpoint){
		.name = name,
		.protocol = protocol,
		.base = pvio_worker_base(control),
		.serve = serve,
		.arg = arg,
		.given_fd = -1,
		.reconnect_ms = ENDPOINT_RECONNECT_MS,
		.socket_mode = -1,
		.socket_group = -1,
	};
	/* Without one there is no configuration, and it does not open. */
	(void)pvio_closer_create(&ep->closer);
}

void pvio_endpoint_fini(struct pvio_endpoint *ep)
{
	if (ep->given_fd >= 0 && ep->given_listens)
		/* The last to have it closes what waits in its queue, too. */
		pvio_closer_close(ep->closer, ep->given_fd);
	else if (ep->given_fd >= 0)
		pvio_socket_close(ep->closer, ep->given_fd);
	pvio_closer_destroy(ep->closer);
	free(ep->path);
}

/* --- pauses -------------------------------------------------------------- */

static void endpoint_retry_in(struct pvio_endpoint *ep, uint64_t ms)
{
	struct timeval tv = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000),
	};

	event_add(ep->retry_event, &tv);
}

/*
 * Nobody is let in for the moment: whom it serves says so, or what its peers
 * sent takes long to close, which is theirs to wait for.
 */
static bool endpoint_hold(struct pvio_endpoint *ep)
{
	bool was_held = ep->is_held;

	ep->is_held = pvio_closer_is_full(ep->closer);
	if (!ep->is_held && (!ep->may_serve || ep->may_serve(ep->arg)))
		return false;
	if (ep->is_held && !was_held)
		pvio_log_limited(&ep->log_limit, PVIO_LOG_WARNING,
				 "%s: %s: nobody is let in until the "
				 "descriptors that came have closed",
				 ep->name, ep->protocol);
	endpoint_retry_in(ep, HOLD_RETRY_MS);
	return true;
}

static void endpoint_serve(struct pvio_endpoint *ep, int fd)
{
	int rc;

	ep->is_taken = true;
	rc = ep->serve(ep->arg, fd);
	if (rc < 0) {
		ep->is_taken = false;
		pvio_log_limited(&ep->log_limit, PVIO_LOG_ERROR,
				 "%s: %s: cannot serve: %s", ep->name,
				 ep->protocol, strerror(-rc));
		endpoint_retry_in(ep, ACCEPT_RETRY_MS);
	}
}

/* --- server --------------------------------------------------------------- */

static void endpoint_accept(evutil_socket_t listen_fd, short what, void *arg)
{
	struct pvio_endpoint *ep = arg;
	int fd;

	(void)what;
	if (endpoint_hold(ep)) {
		event_del(ep->listen_event);
		return;
	}
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0) {
		event_del(ep->listen_event);
		endpoint_serve(ep, fd);
		return;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	/*
	 * The peer stays in the queue, so the event would fire again at
	 * once; leave it alone for a while.
	 */
	pvio_log_limited(&ep->log_limit, PVIO_LOG_ERROR,
			 "%s: %s: accept: %s", ep->name, ep->protocol,
			 strerror(errno));
	event_del(ep->listen_event);
	endpoint_retry_in(ep, ACCEPT_RETRY_MS);
}

/* --- client --------------------------------------------------------------- */

static int endpoint_connect(const char *path)
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

static void endpoint_try(struct pvio_endpoint *ep)
{
	int fd = endpoint_connect(ep->path);

	if (fd >= 0) {
		ep->retry_ms = 0;
		ep->connect_error = 0;
		endpoint_serve(ep, fd);
		return;
	}
	/* Said once, then in silence until it changes. */
	if (fd != ep->connect_error)
		pvio_log(PVIO_LOG_INFO, "%s: %s: %s: %s; trying again",
			 ep->name, ep->protocol, ep->path, strerror(-fd));
	ep->connect_error = fd;
	if (ep->retry_ms < ep->reconnect_ms)
		ep->retry_ms = ep->reconnect_ms;
	endpoint_retry_in(ep, ep->retry_ms);
	if (ep->retry_ms < ep->reconnect_ms * CONNECT_BACKOFF_MAX)
		ep->retry_ms *= 2;
}

/* --- all three ------------------------------------------------------------ */

static void endpoint_resume(struct pvio_endpoint *ep);

static void endpoint_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	endpoint_resume(arg);
}

/* Nobody is served: take, or look for, the next. */
static void endpoint_resume(struct pvio_endpoint *ep)
{
	int fd = ep->given_fd;

	if (!ep->is_open || ep->is_taken || endpoint_hold(ep))
		return;
	if (ep->listen_event) {
		event_add(ep->listen_event, NULL);
	} else if (ep->connects && ep->path) {
		endpoint_try(ep);
	} else if (fd >= 0) {
		ep->given_fd = -1;
		endpoint_serve(ep, fd);
	}
}

void pvio_endpoint_again(struct pvio_endpoint *ep)
{
	ep->is_taken = false;
	/* Not at once: it may be closing whatever it accepts. */
	if (ep->is_open && ep->connects && ep->path)
		endpoint_retry_in(ep, ep->reconnect_ms);
	else
		endpoint_resume(ep);
}

int pvio_endpoint_open(struct pvio_endpoint *ep)
{
	int fd = ep->given_listens ? ep->given_fd : -1;
	int rc;

	if (!ep->path && ep->given_fd < 0)
		return -ENOTCONN;
	if (!ep->closer)
		return -ENOMEM;
	if (ep->path && !ep->connects) {
		rc = pvio_listen(ep->name, ep->path, ep->socket_mode,
				 ep->socket_group, &ep->listener);
		if (rc < 0)
			return rc;
		fd = pvio_listener_fd(ep->listener);
	}
	ep->retry_event = evtimer_new(ep->base, endpoint_retry, ep);
	if (fd >= 0)
		ep->listen_event = event_new(ep->base, fd, EV_READ | EV_PERSIST,
					     endpoint_accept, ep);
	if (!ep->retry_event || (fd >= 0 && !ep->listen_event)) {
		pvio_endpoint_close(ep);
		return -ENOMEM;
	}
	ep->retry_ms = 0;
	ep->connect_error = 0;
	ep->is_open = true;
	endpoint_resume(ep);
	return 0;
}

void pvio_endpoint_close(struct pvio_endpoint *ep)
{
	ep->is_open = false;
	if (ep->listen_event)
		event_free(ep->listen_event);
	if (ep->retry_event)
		event_free(ep->retry_event);
	ep->listen_event = ep->retry_event = NULL;
	pvio_listener_close(ep->listener);
	ep->listener = NULL;
}
