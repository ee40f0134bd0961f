/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * connection.c - one peer's connection: its events, its one message at a time
 */
#include "connection.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>

/* Then others' events get their turn. */
#define CONNECTION_MESSAGES_PER_TURN 16
/* While the descriptors that came have not closed. */
#define CONNECTION_PAUSE_US          5000

/* Read on, if nothing is in the way. */
static void connection_read(struct pvio_connection *c)
{
	if (!c->is_busy && !c->is_closing && !pvio_stream_is_sending(c->stream))
		event_add(c->read_event, NULL);
}

static void connection_set_deadline(struct pvio_connection *c)
{
	struct timeval tv = {
		.tv_sec = (time_t)(c->timeout_ms / 1000),
		.tv_usec = (suseconds_t)(c->timeout_ms % 1000 * 1000),
	};

	/* Not renewed by each byte: a trickle is no progress. */
	if (!event_pending(c->deadline, EV_TIMEOUT, NULL))
		event_add(c->deadline, &tv);
}

/* --- sending -------------------------------------------------------------- */

void pvio_connection_sent(struct pvio_connection *c, int rc)
{
	if (rc < 0) {
		if (!c->is_closing)
			pvio_log_limited(c->log_limit, PVIO_LOG_WARNING,
					 "%s: %s: send: %s", c->name,
					 c->ops->protocol, strerror(-rc));
		pvio_connection_close(c);
		return;
	}
	/* What asks for more replies waits in the socket meanwhile. */
	if (pvio_stream_is_sending(c->stream) && !c->is_closing) {
		event_del(c->read_event);
		event_add(c->write_event, NULL);
	}
}

/* Or the peer is gone: then the flush says so. */
static void connection_writable(evutil_socket_t fd, short what, void *arg)
{
	struct pvio_connection *c = arg;

	(void)fd;
	(void)what;
	pvio_connection_sent(c, pvio_stream_flush(c->stream));
	connection_read(c);
}

/* --- receiving ------------------------------------------------------------ */

void pvio_connection_done(struct pvio_connection *c)
{
	c->ops->next(c);
	c->is_busy = false;
	if (c->is_closing)
		pvio_worker_schedule(c->control, &c->close_job);
	else
		connection_read(c);
}

static const char *connection_error(int rc)
{
	if (rc == -EDQUOT)
		return "too many descriptors came that do not close";
	return strerror(-rc);
}

static void connection_ended(struct pvio_connection *c, int rc)
{
	if (rc == -ENOTCONN)
		pvio_log_limited(c->log_limit, PVIO_LOG_INFO, "%s: %s: %s left",
				 c->name, c->ops->protocol, c->ops->peer);
	else
		pvio_log_limited(c->log_limit, PVIO_LOG_WARNING,
				 "%s: %s: connection closed: %s%s", c->name,
				 c->ops->protocol, rc == -EPROTO ? "not " : "",
				 rc == -EPROTO ? c->ops->protocol
					       : connection_error(rc));
	pvio_connection_close(c);
}

/*
 * More are to be closed than may be: not read on until they are, which is soon,
 * or in time to be waited for.
 */
static void connection_pause(struct pvio_connection *c)
{
	const struct timeval tv = { .tv_usec = CONNECTION_PAUSE_US };

	event_del(c->read_event);
	event_add(c->pause, &tv);
	connection_set_deadline(c);
}

static void connection_paused(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	connection_read(arg);
}

static void connection_readable(evutil_socket_t fd, short what, void *arg)
{
	struct pvio_connection *c = arg;
	unsigned int n;
	int rc;

	(void)fd;
	(void)what;
	for (n = 0; n < CONNECTION_MESSAGES_PER_TURN; n++) {
		rc = c->ops->receive(c);
		if (rc == -EDQUOT) {
			connection_pause(c);
			return;
		}
		if (rc < 0) {
			connection_ended(c, rc);
			return;
		}
		if (rc == 0) {
			if (c->ops->is_partial(c))
				connection_set_deadline(c);
			else
				event_del(c->deadline);
			return;
		}
		event_del(c->deadline);
		c->is_busy = true;
		c->messages++;
		c->ops->handle(c);
		if (c->is_busy)
			event_del(c->read_event);
		if (c->is_busy || c->is_closing ||
		    pvio_stream_is_sending(c->stream))
			return;
	}
}

static void connection_timed_out(evutil_socket_t fd, short what, void *arg)
{
	struct pvio_connection *c = arg;

	(void)fd;
	(void)what;
	connection_ended(c, pvio_closer_is_full(c->stream->closer)
				    ? -EDQUOT
				    : -ETIMEDOUT);
}

/* --- beginning and end ---------------------------------------------------- */

static void connection_end(struct pvio_job *job)
{
	struct pvio_connection *c =
		pvio_container_of(job, struct pvio_connection, close_job);

	if (c->is_busy)
		return;
	/* From here on nothing else of it runs: this is busy too. */
	c->is_busy = true;
	c->ops->end(c);
}

void pvio_connection_close(struct pvio_connection *c)
{
	if (c->is_closing)
		return;
	c->is_closing = true;
	event_del(c->read_event);
	event_del(c->write_event);
	event_del(c->deadline);
	event_del(c->pause);
	/* Not from here: the caller may be in the middle of a message. */
	pvio_worker_schedule(c->control, &c->close_job);
}

static void connection_log_peer(struct pvio_connection *c)
{
	struct ucred cred = { .pid = 0 };
	socklen_t len = sizeof(cred);

	if (getsockopt(c->stream->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) ==
	    0)
		c->peer_pid = cred.pid;
	pvio_log_limited(c->log_limit, PVIO_LOG_INFO,
			 "%s: %s: %s is process %lld", c->name,
			 c->ops->protocol, c->ops->peer,
			 (long long)c->peer_pid);
}

int pvio_connection_init(struct pvio_connection *c,
			 const struct pvio_connection_ops *ops,
			 const char *name, struct pvio_worker *control,
			 struct pvio_stream *stream,
			 struct pvio_log_limit *log_limit, uint64_t timeout_ms)
{
	struct event_base *base = pvio_worker_base(control);

	*c = (struct pvio_connection){
		.ops = ops,
		.name = name,
		.control = control,
		.stream = stream,
		.log_limit = log_limit,
		.timeout_ms = timeout_ms,
	};
	pvio_job_init(&c->close_job, connection_end);
	c->read_event = event_new(base, stream->fd, EV_READ | EV_PERSIST,
				  connection_readable, c);
	c->write_event = event_new(base, stream->fd, EV_WRITE,
				   connection_writable, c);
	c->deadline = evtimer_new(base, connection_timed_out, c);
	c->pause = evtimer_new(base, connection_paused, c);
	if (!c->read_event || !c->write_event || !c->deadline || !c->pause ||
	    event_add(c->read_event, NULL) < 0) {
		pvio_connection_fini(c);
		return -ENOMEM;
	}
	connection_log_peer(c);
	return 0;
}

void pvio_connection_fini(struct pvio_connection *c)
{
	pvio_job_cancel(&c->close_job);
	if (c->read_event)
		event_free(c->read_event);
	if (c->write_event)
		event_free(c->write_event);
	if (c->deadline)
		event_free(c->deadline);
	if (c->pause)
		event_free(c->pause);
	c->read_event = c->write_event = c->deadline = c->pause = NULL;
}
