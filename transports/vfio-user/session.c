/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.c - one client's connection, from accept to its last command
 *
 * What ends with it is the client's: its eventfds, then its memory, which
 * drains the card.  The function stays as the guest's driver has set it up:
 * registers, queues and where they stand, interrupts that nobody was there to
 * take.  A client that returns maps its memory and sets its eventfds, and the
 * driver notices nothing.
 *
 * The socket is closed last: a client that sees it closed may use the memory
 * for something else.
 */
#include "vfio-user.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct vfu_session *session_of(struct pvio_connection *c)
{
	return pvio_container_of(c, struct vfu_session, connection);
}

/* --- messages ------------------------------------------------------------- */

static void session_reply(struct vfu_session *s, struct vfu_header *reply,
			  const void *payload, size_t len, int fd)
{
	const struct vfu_header *command = &s->wire.message.header;

	/* Who has the answer finds nothing open that was not kept. */
	pvio_stream_close_fds(&s->wire.stream, &s->wire.message.fds);
	if (command->flags & VFU_NO_REPLY || s->connection.is_closing)
		return;
	reply->id = command->id;
	reply->command = command->command;
	reply->size = (uint32_t)(sizeof(*reply) + len);
	pvio_connection_sent(&s->connection,
			     vfu_wire_send(&s->wire, reply, payload, len, fd));
}

void vfu_reply(struct vfu_session *s, const void *payload, size_t len, int fd)
{
	struct vfu_header reply = { .flags = VFU_TYPE_REPLY };

	session_reply(s, &reply, payload, len, fd);
}

void vfu_reply_error(struct vfu_session *s, int rc)
{
	struct vfu_header reply = {
		.flags = VFU_TYPE_REPLY | VFU_ERROR,
		.error = (uint32_t)-rc,
	};

	s->vfu->refused++;
	session_reply(s, &reply, NULL, 0, -1);
}

void vfu_message_done(struct vfu_session *s, int rc)
{
	if (rc < 0)
		vfu_reply_error(s, rc);
	else if (rc == VFU_DONE)
		vfu_reply(s, NULL, 0, -1);
	else if (rc == VFU_CLOSE)
		vfu_session_close(s);
	pvio_connection_done(&s->connection);
}

void vfu_done(void *arg, int rc)
{
	vfu_message_done(arg, rc);
}

static int session_receive(struct pvio_connection *c)
{
	return vfu_wire_receive(&session_of(c)->wire);
}

static bool session_is_partial(struct pvio_connection *c)
{
	return vfu_wire_is_partial(&session_of(c)->wire);
}

static void session_next(struct pvio_connection *c)
{
	vfu_wire_next(&session_of(c)->wire);
}

static void session_handle(struct pvio_connection *c)
{
	session_of(c)->vfu->messages++;
	vfu_message_handle(session_of(c));
}

/* --- the end -------------------------------------------------------------- */

static void session_free(struct vfu_session *s)
{
	s->vfu->session = NULL;
	vfu_dma_fini(s);
	vfu_wire_fini(&s->wire);
	free(s);
}

static void session_memory_gone(struct vfu_session *s, int rc)
{
	struct vfu *vfu = s->vfu;

	(void)rc;
	pvio_connection_fini(&s->connection);
	session_free(s);
	vfu_session_gone(vfu);
}

static void session_end(struct pvio_connection *c)
{
	struct vfu_session *s = session_of(c);

	vfu_doorbell_watch(s->vfu, false);
	vfu_irqs_drop(s->vfu);
	vfu_dma_drop(s, session_memory_gone);
}

void vfu_session_close(struct vfu_session *s)
{
	pvio_connection_close(&s->connection);
}

/* --- the beginning -------------------------------------------------------- */

static const struct pvio_connection_ops session_ops = {
	.protocol	= "vfio-user",
	.peer		= "client",
	.receive	= session_receive,
	.is_partial	= session_is_partial,
	.handle		= session_handle,
	.next		= session_next,
	.end		= session_end,
};

int vfu_session_create(void *arg, int fd)
{
	struct vfu *vfu = arg;
	struct vfu_session *s;
	int rc;

	s = calloc(1, sizeof(*s));
	if (!s) {
		pvio_socket_close(vfu->endpoint.closer, fd);
		return -ENOMEM;
	}
	s->vfu = vfu;
	s->max_fds = VFU_DEFAULT_MAX_FDS;
	pvio_list_init(&s->files);
	vfu_wire_init(&s->wire, fd, vfu->endpoint.closer);
	vfu->session = s;
	rc = pvio_connection_init(&s->connection, &session_ops,
				  vfu->pci->name, vfu->pci->control,
				  &s->wire.stream, &vfu->log_limit,
				  vfu->timeout_ms);
	if (rc < 0) {
		session_free(s);
		return rc;
	}
	vfu->sessions++;
	vfu_doorbell_watch(vfu, true);
	return 0;
}
