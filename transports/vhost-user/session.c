/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.c - one front-end's connection, from accept to its last request
 *
 * Its end resets the device (which drains every queue), takes back eventfds
 * and memory; then the socket is closed and the session freed.
 *
 * The socket is closed last.  A front-end that sees it closed may hand the
 * requests that were in flight to the next back-end, so none may be in flight
 * here any more.
 */
#include "vhost-user.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct vu_session *session_of(struct pvio_connection *c)
{
	return pvio_container_of(c, struct vu_session, connection);
}

bool vu_has_protocol(const struct vu_session *s, enum vu_protocol_feature bit)
{
	return s->protocol_features >> bit & 1;
}

/* --- in-band notifications ------------------------------------------------ */

static void session_gone(struct vu *vu)
{
	/* A task of ours in the mailbox: it comes back here. */
	vu->is_end_waiting = pvio_load_acquire(&vu->call_posted);
	if (!vu->is_end_waiting)
		vu->ops->gone(vu);
}

/* On the control worker: send what workers have asked for. */
static void vu_send_calls(struct pvio_task *task)
{
	struct vu *vu = pvio_container_of(task, struct vu, call_task);

	/*
	 * Barrier N: the task may be posted again before the flags are looked
	 * at.  Pairs with vu_notify_queue().
	 */
	(void)pvio_exchange(&vu->call_posted, 0);
	if (vu->session)
		vu_channel_send(vu->session);
	if (vu->is_end_waiting)
		session_gone(vu);
}

/* While the queue runs, and so while there is a session. */
void vu_notify_queue(struct vu *vu, unsigned int queue)
{
	if (!pvio_load_once(&vu->call_in_band))
		return;
	/* Barrier N: the flag is set before we find the task posted. */
	(void)pvio_exchange(&vu->session->rings[queue].call_pending, 1);
	if (!pvio_exchange(&vu->call_posted, 1))
		pvio_worker_post(vu->control, &vu->call_task);
}

/* --- messages ------------------------------------------------------------- */

int vu_map(struct vu_session *s, int fd, uint64_t offset, uint64_t size,
	   struct pvio_mapping **mapping)
{
	if (s->vu->ops->map)
		return s->vu->ops->map(s->vu, &s->wire.message, fd, offset,
				       size, mapping);
	return pvio_mapping_create(fd, offset, size, PROT_READ | PROT_WRITE,
				   mapping);
}

void vu_reply(struct vu_session *s, const void *payload, size_t len, int fd)
{
	struct vu_header header = {
		.request = s->wire.message.header.request,
		.flags = VU_VERSION | VU_REPLY,
		.size = (uint32_t)len,
	};

	pvio_connection_sent(&s->connection,
			     vu_wire_send(&s->wire, &header, payload, fd));
}

void vu_reply_u64(struct vu_session *s, uint64_t value)
{
	vu_reply(s, &value, sizeof(value), -1);
}

void vu_message_done(struct vu_session *s, int rc)
{
	if (rc == VU_CLOSE)
		vu_session_close(s);
	else
		vu_message_answer(s, rc);
	pvio_connection_done(&s->connection);
}

void vu_done(void *arg, int rc)
{
	vu_message_done(arg, rc);
}

static int session_receive(struct pvio_connection *c)
{
	return vu_wire_receive(&session_of(c)->wire);
}

static bool session_is_partial(struct pvio_connection *c)
{
	return vu_wire_is_partial(&session_of(c)->wire);
}

static void session_next(struct pvio_connection *c)
{
	vu_wire_next(&session_of(c)->wire);
}

static void session_handle(struct pvio_connection *c)
{
	session_of(c)->vu->messages++;
	vu_message_handle(session_of(c));
}

/* --- the end -------------------------------------------------------------- */

/* Its connection is over, or has not begun. */
static void session_free(struct vu_session *s)
{
	struct vu *vu = s->vu;

	vu_channel_fini(s);
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
	pvio_connection_fini(&s->connection);
	session_free(s);
	session_gone(vu);
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

static void session_end(struct pvio_connection *c)
{
	struct vu_session *s = session_of(c);

	pvio_store_once(&s->vu->call_in_band, 0);
	vu_reset(s, session_rings_gone);
}

void vu_session_close(struct vu_session *s)
{
	pvio_connection_close(&s->connection);
}

void vu_close(struct vu *vu)
{
	if (vu->session)
		vu_session_close(vu->session);
	else
		session_gone(vu);
}

/* --- the core's events ---------------------------------------------------- */

void vu_notify_config(struct vu *vu)
{
	if (vu->session && !vu->session->connection.is_closing)
		vu_channel_config_change(vu->session);
}

void vu_queue_broken(struct vu *vu, unsigned int queue)
{
	if (vu->session && !vu->session->connection.is_closing)
		vu_ring_signal_error(vu->session, queue);
}

/* --- the beginning -------------------------------------------------------- */

static const struct pvio_connection_ops session_ops = {
	.protocol	= "vhost-user",
	.peer		= "front-end",
	.receive	= session_receive,
	.is_partial	= session_is_partial,
	.handle		= session_handle,
	.next		= session_next,
	.end		= session_end,
};

void vu_init(struct vu *vu, const struct vu_ops *ops, struct pvio_device *dev)
{
	*vu = (struct vu){
		.ops = ops,
		.dev = dev,
		.control = pvio_device_control(dev),
		.timeout_ms = VU_DEFAULT_TIMEOUT_MS,
		.call_task.fn = vu_send_calls,
	};
	vu->base = pvio_worker_base(vu->control);
}

int vu_session_create(void *arg, int fd)
{
	struct vu *vu = arg;
	struct vu_session *s;
	int rc;

	s = calloc(1, sizeof(*s));
	if (!s) {
		pvio_socket_close(vu->closer, fd);
		return -ENOMEM;
	}
	s->vu = vu;
	s->dev = vu->dev;
	s->nr_rings = pvio_device_nr_queues(vu->dev);
	vu_wire_init(&s->wire, fd, vu->closer);
	s->channel.fd = -1;
	vu->session = s;

	rc = vu_rings_init(s);
	if (rc < 0)
		goto free_session;
	rc = vu_channel_init(s);
	if (rc < 0)
		goto free_session;
	rc = pvio_connection_init(&s->connection, &session_ops,
				  pvio_device_name(vu->dev), vu->control,
				  &s->wire.stream, &vu->log_limit,
				  vu->timeout_ms);
	if (rc < 0)
		goto free_session;
	vu->sessions++;
	return 0;

free_session:
	session_free(s);
	return rc;
}
