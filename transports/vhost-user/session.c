/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.c - one front-end's connection, from accept to its last request
 *
 *	READING --message--> BUSY --vu_message_done--> READING
 *	   |                  |
 *	   +--- close --------+--> ENDING: reset (drains every queue), take back
 *	                           eventfds, memory; then the socket is closed
 *	                           and the session freed
 *
 * READING and BUSY alternate: while a message waits for a queue's worker,
 * nothing more is read, so no two control calls of the device overlap.
 *
 * The socket is closed last.  A front-end that sees it closed may hand the
 * requests that were in flight to the next back-end, so none may be in flight
 * here any more.
 */
#include "vhost-user.h"

#include "core/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Then others' events get their turn. */
#define SESSION_MESSAGES_PER_TURN 16

static const struct timeval *session_deadline(const struct vu_session *s,
					      struct timeval *tv)
{
	tv->tv_sec = (time_t)(s->vu->timeout_ms / 1000);
	tv->tv_usec = (suseconds_t)(s->vu->timeout_ms % 1000 * 1000);
	return tv;
}

bool vu_has_protocol(const struct vu_session *s, enum vu_protocol_feature bit)
{
	return s->protocol_features >> bit & 1;
}

/* --- sending -------------------------------------------------------------- */

static void session_sent(struct vu_session *s, int rc)
{
	if (rc < 0) {
		if (!s->is_closing)
			pvio_log_limited(&s->vu->log_limit, PVIO_LOG_WARNING,
					 "%s: vhost-user: send: %s",
					 pvio_device_name(s->dev),
					 strerror(-rc));
		vu_session_close(s);
		return;
	}
	if (pvio_stream_is_sending(&s->wire.stream))
		event_add(s->write_event, NULL);
}

static void session_writable(evutil_socket_t fd, short what, void *arg)
{
	struct vu_session *s = arg;

	(void)fd;
	(void)what;
	session_sent(s, pvio_stream_flush(&s->wire.stream));
}

void vu_reply(struct vu_session *s, const void *payload, size_t len, int fd)
{
	struct vu_header header = {
		.request = s->wire.message.header.request,
		.flags = VU_VERSION | VU_REPLY,
		.size = (uint32_t)len,
	};

	session_sent(s, vu_wire_send(&s->wire, &header, payload, fd));
}

void vu_reply_u64(struct vu_session *s, uint64_t value)
{
	vu_reply(s, &value, sizeof(value), -1);
}

/* --- receiving ------------------------------------------------------------ */

void vu_message_done(struct vu_session *s, int rc)
{
	if (rc != VU_CLOSE)
		vu_message_answer(s, rc);
	vu_wire_next(&s->wire);
	s->is_busy = false;
	if (rc == VU_CLOSE)
		vu_session_close(s);
	else if (s->is_closing)
		pvio_worker_schedule(s->vu->control, &s->close_job);
	else
		event_add(s->read_event, NULL);
}

void vu_done(void *arg, int rc)
{
	vu_message_done(arg, rc);
}

static void session_ended(struct vu_session *s, int rc)
{
	if (rc == -ENOTCONN)
		pvio_log_limited(&s->vu->log_limit, PVIO_LOG_INFO,
				 "%s: vhost-user: front-end left",
				 pvio_device_name(s->dev));
	else
		pvio_log_limited(&s->vu->log_limit, PVIO_LOG_WARNING,
				 "%s: vhost-user: connection closed: %s",
				 pvio_device_name(s->dev),
				 rc == -EPROTO ? "not vhost-user"
					       : strerror(-rc));
	vu_session_close(s);
}

static void session_readable(evutil_socket_t fd, short what, void *arg)
{
	struct vu_session *s = arg;
	struct timeval tv;
	unsigned int n;
	int rc;

	(void)fd;
	(void)what;
	for (n = 0; n < SESSION_MESSAGES_PER_TURN; n++) {
		rc = vu_wire_receive(&s->wire);
		if (rc < 0) {
			session_ended(s, rc);
			return;
		}
		if (rc == 0) {
			/* Not renewed by each byte: a trickle is no progress. */
			if (vu_wire_is_partial(&s->wire) &&
			    !event_pending(s->deadline, EV_TIMEOUT, NULL))
				event_add(s->deadline,
					  session_deadline(s, &tv));
			return;
		}
		event_del(s->deadline);
		s->is_busy = true;
		s->vu->messages++;
		vu_message_handle(s);
		if (s->is_busy)
			event_del(s->read_event);
		if (s->is_busy || s->is_closing)
			return;
	}
}

static void session_timed_out(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	session_ended(arg, -ETIMEDOUT);
}

/* --- the end -------------------------------------------------------------- */

static void session_free(struct vu_session *s)
{
	struct vu *vu = s->vu;

	pvio_job_cancel(&s->close_job);
	vu_channel_fini(s);
	if (s->read_event)
		event_free(s->read_event);
	if (s->write_event)
		event_free(s->write_event);
	if (s->deadline)
		event_free(s->deadline);
	if (s->poll_event)
		event_free(s->poll_event);
	vu_inflight_fini(s);
	vu_rings_fini(s);
	vu_memory_fini(s);
	vu_wire_fini(&s->wire);
	free(s);
	vu->session = NULL;
}

static void session_memory_gone(void *arg, int rc)
{
	struct vu_session *s = arg;
	struct vu *vu = s->vu;

	if (rc < 0)
		pvio_map_put(s->new_map);
	session_free(s);
	vu_session_gone(vu);
}

static void session_calls_gone(struct vu_session *s, int rc)
{
	(void)rc;
	/*
	 * Without memory for an empty map the old one stays, and with it the
	 * guest's pages until the next front-end brings its own; no queue runs.
	 */
	if (pvio_map_create(NULL, 0, &s->new_map) < 0) {
		session_memory_gone(s, 0);
		return;
	}
	pvio_device_set_memory(s->dev, s->new_map, session_memory_gone, s);
}

static void session_drop_call(struct vu_session *s, unsigned int ring)
{
	pvio_device_vq_set_call_fd(s->dev, ring, -1, vu_step_done, s);
}

static void session_rings_gone(struct vu_session *s, int rc)
{
	(void)rc;
	vu_rings_each(s, session_drop_call, session_calls_gone);
}

static void session_end(struct pvio_job *job)
{
	struct vu_session *s = pvio_container_of(job, struct vu_session,
						 close_job);

	if (s->is_busy)
		return;
	/* From here on nothing else of the session runs: this is busy too. */
	s->is_busy = true;
	vu_reset(s, session_rings_gone);
}

void vu_session_close(struct vu_session *s)
{
	if (s->is_closing)
		return;
	s->is_closing = true;
	event_del(s->read_event);
	event_del(s->write_event);
	event_del(s->deadline);
	pvio_store_once(&s->vu->call_in_band, 0);
	/* Not from here: the caller may be in the middle of a message. */
	pvio_worker_schedule(s->vu->control, &s->close_job);
}

/* --- the beginning -------------------------------------------------------- */

static void session_log_peer(struct vu_session *s)
{
	struct ucred cred = { .pid = 0 };
	socklen_t len = sizeof(cred);

	if (getsockopt(s->wire.stream.fd, SOL_SOCKET, SO_PEERCRED, &cred,
		       &len) == 0)
		s->peer_pid = cred.pid;
	pvio_log_limited(&s->vu->log_limit, PVIO_LOG_INFO,
			 "%s: vhost-user: front-end is process %lld",
			 pvio_device_name(s->dev), (long long)s->peer_pid);
}

int vu_session_create(void *arg, int fd)
{
	struct vu *vu = arg;
	struct vu_session *s;
	int rc = -ENOMEM;

	s = calloc(1, sizeof(*s));
	if (!s) {
		close(fd);
		return -ENOMEM;
	}
	s->vu = vu;
	s->dev = vu->dev;
	s->nr_rings = pvio_device_nr_queues(vu->dev);
	pvio_job_init(&s->close_job, session_end);
	vu_wire_init(&s->wire, fd);
	s->channel.fd = -1;
	vu->session = s;

	s->read_event = event_new(vu->base, fd, EV_READ | EV_PERSIST,
				  session_readable, s);
	s->write_event = event_new(vu->base, fd, EV_WRITE, session_writable, s);
	s->deadline = evtimer_new(vu->base, session_timed_out, s);
	if (!s->read_event || !s->write_event || !s->deadline)
		goto free_session;
	rc = vu_rings_init(s);
	if (rc < 0)
		goto free_session;
	rc = vu_channel_init(s);
	if (rc < 0)
		goto free_session;
	if (event_add(s->read_event, NULL) < 0) {
		rc = -ENOMEM;
		goto free_session;
	}
	vu->sessions++;
	session_log_peer(s);
	return 0;

free_session:
	session_free(s);
	return rc;
}
