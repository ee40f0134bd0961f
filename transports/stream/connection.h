/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * connection.h - one peer's connection: its events, its one message at a time
 *
 *	READING --message--> BUSY --pvio_connection_done--> READING
 *	   |                  |
 *	   '----- close ------'--> ENDING: ops->end(), once, and nothing else
 *
 * READING and BUSY alternate: while a message waits for a queue's worker,
 * nothing more is read, so no two control calls of the device overlap.
 *
 * Nor is while the peer has not taken what was sent: one that asks faster than
 * it reads the answers finds its socket full, and gets each of them; what waits
 * here is the answer to one message.
 */
#ifndef PVIO_STREAM_CONNECTION_H
#define PVIO_STREAM_CONNECTION_H

#include "core/log.h"
#include "core/worker.h"
#include "stream.h"

struct event;
struct pvio_connection;

struct pvio_connection_ops {
	const char *protocol; /* "vhost-user" */
	const char *peer;     /* "front-end" */
	/*
	 * Go on receiving.  1: a message is complete; 0: not yet; -ENOTCONN:
	 * the peer closed; -EPROTO: this is not the protocol; -EDQUOT: not
	 * until what it sent is closed; -errno.
	 */
	int (*receive)(struct pvio_connection *c);
	/* Is part of a message here? */
	bool (*is_partial)(struct pvio_connection *c);
	/* Handle it.  pvio_connection_done() follows, perhaps from here. */
	void (*handle)(struct pvio_connection *c);
	/* The message has been handled: forget it. */
	void (*next)(struct pvio_connection *c);
	/* It is over: let go of everything, of this last. */
	void (*end)(struct pvio_connection *c);
};

struct pvio_connection {
	const struct pvio_connection_ops *ops;
	const char *name;		   /* borrowed: of who serves it */
	struct pvio_worker *control;	   /* borrowed */
	struct pvio_stream *stream;	   /* borrowed */
	struct pvio_log_limit *log_limit;  /* borrowed */
	uint64_t timeout_ms;		   /* for the rest of a message */
	uint64_t messages;		   /* handled */
	int64_t peer_pid;
	/* owned */
	struct event *read_event, *write_event, *deadline, *pause;
	bool is_busy; /* a message is being handled, or this ends */
	bool is_closing;
	struct pvio_job close_job;
};

/*
 * Read from @stream, on @control, for who is called @name in the log.  -ENOMEM;
 * then there is nothing to undo.
 */
int pvio_connection_init(struct pvio_connection *c,
			 const struct pvio_connection_ops *ops,
			 const char *name, struct pvio_worker *control,
			 struct pvio_stream *stream,
			 struct pvio_log_limit *log_limit,
			 uint64_t timeout_ms);
void pvio_connection_fini(struct pvio_connection *c);
/* Something was sent; @rc: how that went. */
void pvio_connection_sent(struct pvio_connection *c, int rc);
/* The message under way has been answered: go on. */
void pvio_connection_done(struct pvio_connection *c);
/* End it, soon: after the message under way. */
void pvio_connection_close(struct pvio_connection *c);

#endif
