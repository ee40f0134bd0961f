/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * endpoint.h - where a transport's peers come from: listen, connect, fd
 */
#ifndef PVIO_STREAM_ENDPOINT_H
#define PVIO_STREAM_ENDPOINT_H

#include "core/log.h"
#include "core/config.h"

struct event;
struct event_base;
struct pvio_closer;
struct pvio_listener;
struct pvio_worker;

struct pvio_endpoint {
	const char *name;	 /* borrowed: of who serves, for messages */
	const char *protocol;	 /* the same: "vhost-user" */
	struct event_base *base; /* borrowed */
	/* Serve the peer at @fd.  Takes @fd, also on failure. */
	int (*serve)(void *arg, int fd);
	void *arg;
	/* May a peer come in?  Asked again soon if not.  NULL: always. */
	bool (*may_serve)(void *arg);
	struct pvio_log_limit log_limit;
	struct pvio_closer *closer; /* owned: for what its peers send */

	/* configuration */
	char *path;	/* owned, or NULL */
	bool connects;	/* a client: to @path */
	int given_fd;	/* owned, or -1: listening or connected */
	bool given_listens;
	uint64_t reconnect_ms;
	int64_t socket_mode, socket_group; /* -1: not set */

	struct pvio_listener *listener;		  /* owned, or NULL */
	struct event *listen_event, *retry_event; /* owned */
	uint64_t retry_ms;			  /* the next back-off */
	int connect_error;			  /* last said in the log */
	bool is_open;
	bool is_taken; /* somebody is served */
	bool is_held;  /* until the closer has less to do */
};

void pvio_endpoint_init(struct pvio_endpoint *ep, const char *name,
			struct pvio_worker *control, const char *protocol,
			int (*serve)(void *arg, int fd), void *arg);
void pvio_endpoint_fini(struct pvio_endpoint *ep);
/* Its keys: socket, fd, socket_mode, socket_group.  -EINVAL, -ENOMEM. */
int pvio_endpoint_read_config(struct pvio_endpoint *ep,
			      struct pvio_config *cfg);
/* Listen, or connect; then peers come.  -errno. */
int pvio_endpoint_open(struct pvio_endpoint *ep);
void pvio_endpoint_close(struct pvio_endpoint *ep);
/* The peer left: take, or look for, the next, if it is open. */
void pvio_endpoint_again(struct pvio_endpoint *ep);

#endif
