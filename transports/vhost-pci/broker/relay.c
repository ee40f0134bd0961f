/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * relay.c - a port of a "ram" window: B's connection, and the session it is
 *
 *	B's VMM connects      accepted only while the appliance has the port
 *	                      open: who is refused tries again (reconnect=1),
 *	                      who is kept waiting may hang
 *	session begins        it is read from when the appliance serves that
 *	messages              one at a time: passed on, and answered, before
 *	                      the next is read
 *	B leaves              the session ends; when the appliance says that it
 *	                      does not touch anything any more, the socket is
 *	                      closed, last
 *	the appliance leaves  the socket is closed at once
 *
 * Nothing of B's is kept from one connection to the next.  What has to outlive
 * one, the requests in flight, is in the in-flight region.
 */
#include "relay.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RELAY_OPEN_AGAIN_MS 1000
#define RELAY_ROOM_US       2000

static struct relay_session *session_of(struct pvio_connection *c)
{
	return pvio_container_of(c, struct relay_session, connection);
}

/* --- messages ------------------------------------------------------------- */

void relay_wait(struct relay_session *s, enum relay_wait wait)
{
	uint64_t ms = s->relay->port->broker->timeout_ms;
	const struct timeval tv = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000),
	};
	const struct timeval soon = { .tv_usec = RELAY_ROOM_US };

	s->wait = wait;
	s->wait_id = ++s->relay->waits;
	event_add(s->relay->deadline, wait == RELAY_ROOM ? &soon : &tv);
}

void relay_done(struct relay_session *s)
{
	event_del(s->relay->deadline);
	/* What finds no room waits, and so does B. */
	if (!s->connection.is_closing && broker_is_sending(s->relay->port)) {
		relay_wait(s, RELAY_ROOM);
		return;
	}
	s->wait = RELAY_NOTHING;
	pvio_connection_done(&s->connection);
}

static void relay_timed_out(evutil_socket_t fd, short what, void *arg)
{
	struct relay *relay = arg;
	struct relay_session *s = relay->session;

	(void)fd;
	(void)what;
	if (!s || s->wait == RELAY_NOTHING)
		return;
	if (s->wait != RELAY_ROOM) {
		pvio_log_limited(&relay->log_limit, PVIO_LOG_WARNING,
				 "%s: vhost-user: the appliance does not "
				 "answer: connection closed",
				 relay->port->name);
		pvio_connection_close(&s->connection);
	}
	relay_done(s);
}

void relay_reply(struct relay_session *s, const void *payload, size_t len,
		 int fd)
{
	const struct vu_header header = {
		.request = s->wire.message.header.request,
		.flags = VU_VERSION | VU_REPLY,
		.size = (uint32_t)len,
	};

	if (s->connection.is_closing)
		return;
	pvio_connection_sent(&s->connection,
			     vu_wire_send(&s->wire, &header, payload, fd));
}

static int relay_receive(struct pvio_connection *c)
{
	return vu_wire_receive(&session_of(c)->wire);
}

static bool relay_is_partial(struct pvio_connection *c)
{
	return vu_wire_is_partial(&session_of(c)->wire);
}

static void relay_handle(struct pvio_connection *c)
{
	session_of(c)->relay->messages++;
	relay_message(session_of(c));
}

static void relay_next(struct pvio_connection *c)
{
	vu_wire_next(&session_of(c)->wire);
}

/* --- the end -------------------------------------------------------------- */

static void relay_stop_if_asked(struct relay *relay)
{
	pvio_done_fn *done = relay->stop_done;

	if (!done || relay->session || relay->waiting_fd >= 0 ||
	    relay->port->session != 0)
		return;
	relay->stop_done = NULL;
	event_free(relay->deadline);
	event_free(relay->open_event);
	relay->deadline = relay->open_event = NULL;
	done(relay->stop_arg, 0);
}

static void relay_session_free(struct relay_session *s)
{
	struct relay *relay = s->relay;
	unsigned int i;

	event_del(relay->deadline);
	pvio_connection_fini(&s->connection);
	for (i = 0; i < BROKER_MAX_RINGS; i++)
		if (s->err_fd[i] >= 0)
			close(s->err_fd[i]);
	if (s->channel_fd >= 0)
		pvio_closer_close(relay->endpoint.closer, s->channel_fd);
	vu_wire_fini(&s->wire);
	free(s);
	relay->session = NULL;
}

/* Nobody is connected any more: the next may come, or the relay stop. */
static void relay_gone(struct relay *relay)
{
	if (relay->session)
		relay_session_free(relay->session);
	if (relay->waiting_fd >= 0)
		pvio_socket_close(relay->endpoint.closer, relay->waiting_fd);
	relay->waiting_fd = -1;
	pvio_endpoint_again(&relay->endpoint);
	relay_stop_if_asked(relay);
}

/* The connection has ended; what the appliance has of it follows. */
static void relay_end(struct pvio_connection *c)
{
	struct relay_session *s = session_of(c);
	struct broker_port *port = s->relay->port;

	if (port->session == 0) {
		relay_gone(s->relay);
		return;
	}
	s->is_ending = true;
	broker_session_end(port);
}

/* --- the beginning -------------------------------------------------------- */

static const struct pvio_connection_ops relay_connection_ops = {
	.protocol	= "vhost-user",
	.peer		= "front-end",
	.receive	= relay_receive,
	.is_partial	= relay_is_partial,
	.handle		= relay_handle,
	.next		= relay_next,
	.end		= relay_end,
};

static int relay_serve(void *arg, int fd)
{
	struct relay *relay = arg;

	relay->waiting_fd = fd;
	relay->connections++;
	broker_session_begin(relay->port);
	return 0;
}

static int relay_session_create(struct relay *relay, int fd)
{
	struct relay_session *s;
	unsigned int i;
	int rc;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->relay = relay;
	s->channel_fd = -1;
	for (i = 0; i < BROKER_MAX_RINGS; i++)
		s->err_fd[i] = -1;
	vu_wire_init(&s->wire, fd, relay->endpoint.closer);
	rc = pvio_connection_init(
		&s->connection, &relay_connection_ops, relay->port->name,
		relay->port->broker->control, &s->wire.stream,
		&relay->log_limit, relay->port->broker->timeout_ms);
	if (rc < 0) {
		s->wire.stream.fd = -1; /* the caller's still */
		free(s);
		return rc;
	}
	relay->session = s;
	return 0;
}

static void relay_served(struct broker_port *port)
{
	struct relay *relay = port->state;
	int rc;

	rc = relay_session_create(relay, relay->waiting_fd);
	if (rc == 0) {
		relay->waiting_fd = -1;
		return;
	}
	pvio_log_limited(&relay->log_limit, PVIO_LOG_ERROR,
			 "%s: vhost-user: cannot serve: %s", port->name,
			 strerror(-rc));
	broker_session_end(port);
}

static void relay_ended(struct broker_port *port)
{
	relay_gone(port->state);
}

/* --- the appliance comes and goes ----------------------------------------- */

static void relay_open(struct relay *relay)
{
	const struct timeval tv = { .tv_sec = RELAY_OPEN_AGAIN_MS / 1000 };

	if (!relay->is_started || !relay->port->is_open ||
	    relay->endpoint.is_open)
		return;
	/* Somebody is in the way, perhaps for a moment; it has been logged. */
	if (pvio_endpoint_open(&relay->endpoint) < 0)
		event_add(relay->open_event, &tv);
}

static void relay_open_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	relay_open(arg);
}

static void relay_opened(struct broker_port *port)
{
	relay_open(port->state);
}

static void relay_closed(struct broker_port *port)
{
	struct relay *relay = port->state;
	struct relay_session *s = relay->session;

	/* Stopped before: nothing is left. */
	if (!relay->open_event)
		return;
	event_del(relay->open_event);
	if (relay->endpoint.is_open)
		pvio_endpoint_close(&relay->endpoint);
	if (!s || s->is_ending) {
		relay_gone(relay);
		return;
	}
	/* The rest of it from its own end, which is to come. */
	pvio_connection_close(&s->connection);
	if (s->wait != RELAY_NOTHING)
		relay_done(s);
}

static void relay_frame(struct broker_port *port,
			const struct window_frame *frame, const void *payload)
{
	struct relay *relay = port->state;

	if (!relay->session)
		return;
	if (frame->kind == WINDOW_MESSAGE)
		relay_answer(relay->session, payload, frame->bytes);
	else
		relay_unasked(relay->session, payload, frame->bytes);
}

/* --- life ----------------------------------------------------------------- */

static void relay_destroy(struct broker_port *port)
{
	struct relay *relay = port->state;

	pvio_endpoint_fini(&relay->endpoint);
	free(relay);
}

static int relay_create(struct broker_port *port, struct pvio_config *cfg)
{
	struct relay *relay;
	const char *model;
	int rc;

	relay = calloc(1, sizeof(*relay));
	if (!relay)
		return -ENOMEM;
	relay->port = port;
	relay->waiting_fd = -1;
	pvio_endpoint_init(&relay->endpoint, port->name, port->broker->control,
			   "vhost-user", relay_serve, relay);
	rc = pvio_endpoint_read_config(&relay->endpoint, cfg);
	/* What is passed on is the same for all of them. */
	if (rc == 0)
		rc = pvio_config_string_opt(cfg, "model", &model);
	if (rc < 0) {
		pvio_endpoint_fini(&relay->endpoint);
		free(relay);
		return rc;
	}
	port->state = relay;
	return 0;
}

static int relay_start(struct broker_port *port)
{
	struct event_base *base = pvio_worker_base(port->broker->control);
	struct relay *relay = port->state;

	relay->deadline = evtimer_new(base, relay_timed_out, relay);
	relay->open_event = evtimer_new(base, relay_open_again, relay);
	relay->is_started = relay->deadline && relay->open_event;
	if (relay->is_started)
		return 0;
	if (relay->deadline)
		event_free(relay->deadline);
	relay->deadline = NULL;
	return -ENOMEM;
}

static void relay_stop(struct broker_port *port, pvio_done_fn *done, void *arg)
{
	struct relay *relay = port->state;

	relay->is_started = false;
	relay->stop_done = done;
	relay->stop_arg = arg;
	event_del(relay->open_event);
	if (relay->endpoint.is_open)
		pvio_endpoint_close(&relay->endpoint);
	if (relay->session && !relay->session->is_ending)
		pvio_connection_close(&relay->session->connection);
	else if (port->session != 0)
		broker_session_end(port);
	else
		relay_stop_if_asked(relay);
}

static void relay_describe(struct broker_port *port, char *text, size_t size)
{
	const struct relay *relay = port->state;
	const struct relay_session *s = relay->session;

	snprintf(text, size,
		 "\"connected\": %s, \"peer\": %lld, \"connections\": %" PRIu64
		 ", \"messages\": %" PRIu64 ", \"refused\": %" PRIu64
		 ", \"protocol_features\": %" PRIu64,
		 s ? "true" : "false",
		 s ? (long long)s->connection.peer_pid : 0, relay->connections,
		 relay->messages, relay->refused, s ? s->protocol_features : 0);
}

const struct broker_port_ops broker_relay_ops = {
	.window		= "ram",
	.create		= relay_create,
	.destroy	= relay_destroy,
	.start		= relay_start,
	.stop		= relay_stop,
	.opened		= relay_opened,
	.closed		= relay_closed,
	.served		= relay_served,
	.ended		= relay_ended,
	.frame		= relay_frame,
	.describe	= relay_describe,
};
