/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bounce.c - a port of a "bounce" window: the appliance has copies
 *
 * Theory of operation.  B's VMM finds an ordinary vhost-user back-end, which is
 * a device of ours.  What it offers is what the appliance offers, so it is made
 * when the appliance has told, and until then nobody listens at the socket.
 *
 *	appliance   CLOSED  OPEN  BEGUN  ASKING      READY     CLOSED
 *	                      |                        |         |
 *	device      none      |         created -------+---------+--> timeout_ms:
 *	                      |                        |         |    failed, gone
 *	in flight             |                        |         '--> back in time:
 *	                      |                        |              READY, and
 *	session               begin ... served ... messages           all again
 *
 * Over a restart of the appliance the device stays, and B's VMM with it: chains
 * in flight wait, and are given to the next one if it offers the same.  A disk's
 * requests are executed again, which is what in-flight recovery does; buffers
 * for frames are posted again; frames that were on their way out, sent or not,
 * count as sent, as a network may lose them, but shall not double them.
 *
 * After timeout_ms, or when another device is offered, requests fail and the
 * device goes: B's VMM is disconnected, and comes back when there is one again.
 * So it is, too, when the appliance is late with an answer.  It may be B that
 * keeps it, so nobody else is to notice: READY, LATE_END until it has let go, and
 * OPEN for another session.
 *
 * The window holds nothing that the next appliance must not see: it is emptied
 * when the one before has gone, before another is let in.
 */
#include "bounce.h"

#include "core/listen.h"
#include "core/plugin.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define BOUNCE_CREATE_AGAIN_MS 1000

static struct bounce *bounce_of(struct broker_port *port)
{
	return port->state;
}

static struct pvio_worker *control_of(const struct bounce *b)
{
	return b->port->broker->control;
}

/* --- news from workers ----------------------------------------------------- */

static void news_arrived(struct pvio_task *task)
{
	struct bounce *b = pvio_container_of(task, struct bounce, news_task);

	/*
	 * Barrier N: it may be posted again before we look.  Pairs with the
	 * exchange below.
	 */
	(void)pvio_exchange(&b->news_are_posted, 0);
	if (pvio_exchange(&b->has_commanded, 0))
		b->config_is_stale = true;
	bounce_go_on(b);
}

void bounce_post_news(struct bounce *b)
{
	/* Barrier N: what is new is there before we find the task posted. */
	if (!pvio_exchange(&b->news_are_posted, 1))
		pvio_worker_post(control_of(b), &b->news_task);
}

/* --- the window's memory --------------------------------------------------- */

/* Zero the share, and give its pages back.  X10. */
static void share_empty(struct bounce *b)
{
	const struct broker_port *port = b->port;
	const struct broker_memory *memory = &port->broker->memory;
	struct iovec all;

	b->is_dirty = false;
	if (memory->fd >= 0 &&
	    fallocate(memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)port->share_offset, (off_t)port->share_bytes) == 0)
		return;
	all.iov_base = memory->host + port->share_offset;
	all.iov_len = port->share_bytes;
	pvio_iov_zero(&all, 1, 0, port->share_bytes);
}

/* --- the device ------------------------------------------------------------ */

static void device_free(struct pvio_job *job)
{
	struct bounce *b = pvio_container_of(job, struct bounce, free_job);

	pvio_device_free(b->dev);
	b->dev = NULL;
	b->nr_queues = 0;
	b->is_dying = b->is_dead = false;
	bounce_go_on(b);
}

static void device_stopped(void *arg, int rc)
{
	struct bounce *b = arg;

	(void)rc;
	b->is_dead = true;
	bounce_go_on(b);
}

void bounce_break(struct bounce *b, const char *why)
{
	/* It would be freed before it had done with that. */
	if (b->dev && !b->is_dying)
		pvio_device_break(b->dev, why);
}

/* Disconnect B's VMM.  What is in flight, and nobody answers: @rest. */
static void device_let_go(struct bounce *b, enum bounce_rest rest)
{
	if (!b->dev || b->is_dying)
		return;
	b->is_dying = true;
	b->rest = rest;
	event_del(b->return_event);
	b->stop = (struct pvio_device_stop){
		.dev = b->dev,
		.done = device_stopped,
		.arg = b,
	};
	pvio_device_stop_begin(&b->stop);
}

static bool device_is_same(const struct bounce *b)
{
	const struct broker_facts *was = &b->facts, *is = &b->port->facts;

	return was->device_id == is->device_id &&
	       was->nr_queues == is->nr_queues &&
	       was->queue_size == is->queue_size &&
	       was->queues_per_unit == is->queues_per_unit &&
	       b->dev_offer.features == b->offer.features &&
	       b->dev_offer.protocol == b->offer.protocol;
}

/* The appliance is back, with the device that B has. */
static void device_resume(struct bounce *b)
{
	bool is_changed = false;
	size_t i;

	pvio_log_limited(&b->port->broker->log_limit, PVIO_LOG_INFO,
			 "%s: the appliance is back", b->port->name);
	b->restarts++;
	event_del(b->return_event);
	for (i = 0; i < sizeof(b->config); i++) {
		if (b->is_written[i]) {
			b->is_written[i] = BOUNCE_WRITTEN;
			continue;
		}
		is_changed |= b->config[i] != b->fresh_config[i];
		b->config[i] = b->fresh_config[i];
	}
	b->mtu_is_owed = b->mtu != 0;
	b->phase = BOUNCE_READY;
	if (is_changed)
		pvio_device_config_changed(b->dev);
}

/* What the appliance offers is known. */
static void device_meet(struct bounce *b)
{
	int rc;

	if (b->dev && !b->is_dying && device_is_same(b)) {
		device_resume(b);
		return;
	}
	if (b->dev) {
		if (!b->is_dying)
			pvio_log_limited(&b->port->broker->log_limit,
					 PVIO_LOG_WARNING,
					 "%s: the appliance is back, with "
					 "another device",
					 b->port->name);
		device_let_go(b, BOUNCE_REST_FAIL);
		return;
	}
	b->rest = BOUNCE_REST_LOST;
	rc = bounce_create_device(b);
	if (rc == -ENOSPC) {
		b->phase = BOUNCE_UNFIT;
	} else if (rc < 0) {
		/* Somebody is in the way, perhaps for a moment. */
		bounce_await(b, BOUNCE_CREATE_AGAIN_MS);
	} else {
		b->phase = BOUNCE_READY;
		pvio_log_limited(&b->port->broker->log_limit, PVIO_LOG_INFO,
				 "%s: the appliance serves it, %u queues",
				 b->port->name, b->nr_queues);
	}
}

static void return_is_late(evutil_socket_t fd, short what, void *arg)
{
	struct bounce *b = arg;

	(void)fd;
	(void)what;
	if (!b->dev || b->is_dying)
		return;
	pvio_log(PVIO_LOG_WARNING,
		 "%s: the appliance does not come back: requests fail",
		 b->port->name);
	device_let_go(b, BOUNCE_REST_FAIL);
	bounce_go_on(b);
}

/* --- going on -------------------------------------------------------------- */

static void session_begin(struct bounce *b)
{
	b->phase = BOUNCE_BEGUN;
	b->has_session = true;
	bounce_rings_forgive(b);
	bounce_await(b, b->port->broker->timeout_ms);
	broker_session_begin(b->port);
}

/* The port stops: device, session, and then that is all. */
static void stop_go_on(struct bounce *b)
{
	pvio_done_fn *done = b->stop_done;

	if (!done || b->dev || !bounce_rings_are_quiet(b) ||
	    pvio_load_acquire(&b->news_are_posted) || b->phase == BOUNCE_ENDING)
		return;
	if (b->has_session) {
		bounce_session_forget(b);
		b->phase = BOUNCE_ENDING;
		bounce_await(b, b->port->broker->timeout_ms);
		broker_session_end(b->port);
		return;
	}
	bounce_await_no_more(b);
	b->phase = BOUNCE_CLOSED;
	b->stop_done = NULL;
	done(b->stop_arg, 0);
}

void bounce_known(struct bounce *b)
{
	b->phase = BOUNCE_KNOWN;
}

/*
 * It has not done in time what B asked of it, or what we did.  It may be waiting
 * for its disk, and serve others: only this session ends.  When it has let go,
 * so that nothing is written any more, there is another.
 */
static void appliance_is_late(struct bounce *b, const char *fmt, ...)
	pvio_printf(2, 3);
static void appliance_is_late(struct bounce *b, const char *fmt, ...)
{
	char what[80];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	pvio_log_limited(&b->port->broker->log_limit, PVIO_LOG_WARNING,
			 "%s: the appliance does not answer %s: its session "
			 "ends, and requests fail",
			 b->port->name, what);
	b->phase = BOUNCE_LATE_END;
	b->is_dirty = true;
	bounce_session_forget(b);
	bounce_rings_lose(b);
	broker_session_end(b->port);
	device_let_go(b, BOUNCE_REST_FAIL);
	bounce_go_on(b);
}

static void appliance_failed(struct bounce *b, enum bounce_fault fault)
{
	if (fault == BOUNCE_LATE)
		appliance_is_late(b, "a request");
	else if (fault == BOUNCE_BLOCKS)
		broker_distrust(b->port, "an eventfd that it made block");
	else
		broker_distrust(b->port, "a used ring that makes no sense");
}

void bounce_go_on(struct bounce *b)
{
	enum bounce_fault fault = bounce_rings_fault(b);

	if (fault != BOUNCE_FINE && b->phase == BOUNCE_READY) {
		appliance_failed(b, fault);
		return;
	}
	bounce_rings_command(b);
	/* We may be called from inside of it. */
	if (b->is_dead && bounce_rings_are_over(b))
		pvio_worker_schedule(control_of(b), &b->free_job);
	if (b->is_stopping && b->phase != BOUNCE_READY) {
		stop_go_on(b);
		return;
	}
	if (b->is_dirty && b->phase <= BOUNCE_OPEN && bounce_rings_are_quiet(b))
		share_empty(b);
	if (b->phase == BOUNCE_OPEN && !b->is_dirty)
		session_begin(b);
	if (b->phase == BOUNCE_KNOWN && !evtimer_pending(b->answer_event, NULL))
		device_meet(b);
	if (b->phase == BOUNCE_READY) {
		bounce_rings_command(b);
		bounce_session_go_on(b);
	}
	if (b->is_stopping)
		stop_go_on(b);
}

/* --- the broker's calls ---------------------------------------------------- */

static void bounce_opened(struct broker_port *port)
{
	struct bounce *b = bounce_of(port);

	if (b->is_stopping)
		return;
	b->phase = BOUNCE_OPEN;
	if (port->facts.device_id != b->real->device_id ||
	    port->facts.queue_size < SHADOW_MAX_PIECES) {
		pvio_log_limited(
			&port->broker->log_limit, PVIO_LOG_ERROR,
			"%s: the appliance has a device of type %u there, with "
			"queues of %u: no %s, or too small",
			port->name, port->facts.device_id,
			port->facts.queue_size, b->real->name);
		b->phase = BOUNCE_UNFIT;
	}
	bounce_go_on(b);
}

static void bounce_closed(struct broker_port *port)
{
	struct bounce *b = bounce_of(port);
	uint64_t ms = port->broker->timeout_ms;
	const struct timeval tv = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000),
	};

	b->phase = BOUNCE_CLOSED;
	b->has_session = false;
	b->is_dirty = true;
	bounce_session_forget(b);
	bounce_rings_lose(b);
	if (b->dev && !b->is_dying && !evtimer_pending(b->return_event, NULL)) {
		pvio_log_limited(&port->broker->log_limit, PVIO_LOG_WARNING,
				 "%s: the appliance is gone", port->name);
		event_add(b->return_event, &tv);
	}
	bounce_go_on(b);
}

static void bounce_served(struct broker_port *port)
{
	struct bounce *b = bounce_of(port);

	if (b->phase != BOUNCE_BEGUN)
		return;
	b->phase = BOUNCE_ASKING;
	bounce_session_ask(b);
}

static void bounce_ended(struct broker_port *port)
{
	struct bounce *b = bounce_of(port);

	b->has_session = false;
	if (b->phase < BOUNCE_LATE_END)
		return;
	b->phase = b->phase == BOUNCE_LATE_END ? BOUNCE_OPEN : BOUNCE_CLOSED;
	bounce_go_on(b);
}

static void bounce_frame(struct broker_port *port,
			 const struct window_frame *frame, const void *payload)
{
	bounce_session_frame(bounce_of(port), frame, payload);
}

static void answer_is_late(evutil_socket_t fd, short what, void *arg)
{
	struct bounce *b = arg;

	(void)fd;
	(void)what;
	if (b->phase == BOUNCE_ENDING) {
		bounce_ended(b->port);
	} else if (b->phase == BOUNCE_BEGUN) {
		broker_distrust(b->port, "does not serve a session");
	} else if (b->question.request) {
		appliance_is_late(b, "message %u", b->question.request);
	} else {
		bounce_go_on(b);
	}
}

static bool bounce_is_dirty(const struct broker_port *port)
{
	const struct bounce *b = port->state;

	return b->is_dirty;
}

static void bounce_describe(struct broker_port *port, char *text, size_t size)
{
	static const char *const phases[] = {
		[BOUNCE_CLOSED] = "closed", [BOUNCE_OPEN] = "open",
		[BOUNCE_BEGUN] = "begun",   [BOUNCE_ASKING] = "asking",
		[BOUNCE_UNFIT] = "unfit",   [BOUNCE_KNOWN] = "known",
		[BOUNCE_READY] = "ready",   [BOUNCE_LATE_END] = "late",
		[BOUNCE_ENDING] = "ending",
	};
	const struct bounce *b = bounce_of(port);
	uint64_t in = 0, out = 0, again = 0, clamped = 0;
	unsigned int i;

	for (i = 0; i < b->nr_queues; i++) {
		const struct bounce_queue *q = &b->queue[i];

		in += pvio_load_once(&q->copied_in);
		out += pvio_load_once(&q->copied_out);
		again += pvio_load_once(&q->reposted);
		clamped += pvio_load_once(&q->clamped);
	}
	snprintf(text, size,
		 "\"appliance\": \"%s\", \"device\": %s, \"restarts\": %" PRIu64
		 ", \"copied_in\": %" PRIu64 ", \"copied_out\": %" PRIu64
		 ", \"reposted\": %" PRIu64 ", \"clamped\": %" PRIu64,
		 phases[b->phase], b->dev ? "true" : "false", b->restarts, in,
		 out, again, clamped);
}

/* --- life ------------------------------------------------------------------ */

static int bounce_start(struct broker_port *port)
{
	struct bounce *b = bounce_of(port);

	b->is_stopping = false;
	share_empty(b);
	return 0;
}

static void bounce_stop(struct broker_port *port, pvio_done_fn *done, void *arg)
{
	struct bounce *b = bounce_of(port);

	b->is_stopping = true;
	b->stop_done = done;
	b->stop_arg = arg;
	if (b->question.request)
		bounce_await(b, port->broker->timeout_ms);
	device_let_go(b, BOUNCE_REST_LOST);
	bounce_go_on(b);
}

static void bounce_destroy(struct broker_port *port)
{
	struct bounce *b = bounce_of(port);
	unsigned int i;

	for (i = 0; b->queue && i < BROKER_MAX_RINGS; i++)
		bounce_queue_close(&b->queue[i]);
	if (b->answer_event)
		event_free(b->answer_event);
	if (b->return_event)
		event_free(b->return_event);
	free(b->queue);
	free(b->socket);
	free(b);
	port->state = NULL;
}

static int read_config(struct bounce *b, struct pvio_config *cfg)
{
	const char *model, *socket;

	if (pvio_config_string(cfg, "model", &model) < 0 ||
	    pvio_config_string(cfg, "socket", &socket) < 0 ||
	    pvio_listen_read_config(cfg, &b->socket_mode, &b->socket_group) < 0)
		return -EINVAL;
	b->real = pvio_plugin_find(PVIO_PLUGIN_model, model);
	if (!b->real)
		return pvio_config_error(cfg, "model", "no model \"%s\"",
					 model);
	b->socket = strdup(socket);
	return b->socket ? 0 : -ENOMEM;
}

static int make_events(struct bounce *b)
{
	struct event_base *base = pvio_worker_base(control_of(b));

	b->answer_event = evtimer_new(base, answer_is_late, b);
	b->return_event = evtimer_new(base, return_is_late, b);
	return b->answer_event && b->return_event ? 0 : -ENOMEM;
}

static int bounce_create(struct broker_port *port, struct pvio_config *cfg)
{
	struct bounce *b;
	unsigned int i;
	int rc;

	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	port->state = b;
	b->port = port;
	b->rest = BOUNCE_REST_LOST;
	b->news_task.fn = news_arrived;
	pvio_job_init(&b->free_job, device_free);
	rc = read_config(b, cfg);
	if (rc == 0)
		rc = make_events(b);
	if (rc == 0) {
		b->queue = calloc(BROKER_MAX_RINGS, sizeof(*b->queue));
		rc = b->queue ? 0 : -ENOMEM;
	}
	if (rc < 0) {
		bounce_destroy(port);
		return rc;
	}
	for (i = 0; i < BROKER_MAX_RINGS; i++) {
		b->queue[i].bounce = b;
		b->queue[i].index = i;
		b->queue[i].kick_fd = b->queue[i].call_fd = -1;
	}
	return 0;
}

const struct broker_port_ops broker_bounce_ops = {
	.window = "bounce",
	.create = bounce_create,
	.destroy = bounce_destroy,
	.start = bounce_start,
	.stop = bounce_stop,
	.opened = bounce_opened,
	.closed = bounce_closed,
	.served = bounce_served,
	.ended = bounce_ended,
	.frame = bounce_frame,
	.is_dirty = bounce_is_dirty,
	.describe = bounce_describe,
};
