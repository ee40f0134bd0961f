/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backend-channel.c - what the back-end says unasked
 *
 * A second socket, which the front-end passes, for messages in the other
 * direction: configuration changed, and, where in-band notifications were
 * negotiated, "ring 3 has used buffers" in place of an eventfd.
 *
 * Messages carry no content that could grow old, so nothing is queued: what is
 * to be said is kept as flags, and one message at a time is on its way.  A
 * channel that fails is closed without the main one.
 *
 * None asks for a reply, and what comes nevertheless is not read.  The front-end
 * has our end of the socket, too, if it likes, and sets its options and reads
 * from it: whatever we did, the next thing to be read could be a descriptor
 * that the kernel drops in our context, and that does not close (see
 * core/closer.h).  So the end is seen when something is said, and
 * the socket is closed elsewhere, with what is in it.
 *
 * A queue's worker only sets its ring's flag and posts one task to control;
 * the task sends.
 */
#include "vhost-user.h"

#include "core/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void channel_close(struct vu_session *s)
{
	struct vu_channel *c = &s->channel;

	if (c->write_event)
		event_free(c->write_event);
	c->write_event = NULL;
	if (c->fd >= 0)
		pvio_closer_close(s->vu->closer, c->fd);
	c->fd = -1;
	c->out_len = c->out_sent = 0;
}

int vu_channel_init(struct vu_session *s)
{
	s->channel.fd = -1;
	s->channel.err_pending = calloc(s->nr_rings, 1);
	return s->channel.err_pending ? 0 : -ENOMEM;
}

void vu_channel_fini(struct vu_session *s)
{
	channel_close(s);
	free(s->channel.err_pending);
	s->channel.err_pending = NULL;
}

/* --- sending -------------------------------------------------------------- */

static void channel_prepare(struct vu_channel *c, uint32_t request,
			    uint32_t size, unsigned int ring)
{
	c->out.header.request = request;
	c->out.header.flags = VU_VERSION;
	c->out.header.size = size;
	c->out.state.index = ring;
	c->out.state.num = 0;
	c->out_len = sizeof(c->out.header) + size;
	c->out_sent = 0;
}

/* Choose what to say next.  False: nothing. */
static bool channel_next(struct vu_session *s)
{
	bool in_band = vu_has_protocol(s, VU_PROTOCOL_INBAND_NOTIFICATIONS);
	struct vu_channel *c = &s->channel;
	unsigned int i;

	if (c->config_pending) {
		c->config_pending = false;
		channel_prepare(c, VU_BACKEND_CONFIG_CHANGE, 0, 0);
		return true;
	}
	for (i = 0; in_band && i < s->nr_rings; i++) {
		/*
		 * Barrier N: cleared before the message is sent, so used
		 * buffers that come later get a message of their own.  Pairs
		 * with the store in vu_notify_queue().
		 */
		if (pvio_exchange(&s->rings[i].call_pending, 0)) {
			channel_prepare(c, VU_BACKEND_VRING_CALL,
					sizeof(c->out.state), i);
			return true;
		}
		if (c->err_pending[i]) {
			c->err_pending[i] = 0;
			channel_prepare(c, VU_BACKEND_VRING_ERR,
					sizeof(c->out.state), i);
			return true;
		}
	}
	return false;
}

void vu_channel_send(struct vu_session *s)
{
	struct vu_channel *c = &s->channel;
	ssize_t n;

	while (c->fd >= 0 && !s->connection.is_closing &&
	       (c->out_sent < c->out_len || channel_next(s))) {
		n = send(c->fd, (const char *)&c->out + c->out_sent,
			 c->out_len - c->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			event_add(c->write_event, NULL);
			return;
		}
		if (n < 0) {
			vu_refuse(s, "back-end channel: %s", strerror(errno));
			channel_close(s);
			return;
		}
		c->out_sent += (size_t)n;
	}
}

static void channel_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	vu_channel_send(arg);
}

void vu_channel_config_change(struct vu_session *s)
{
	if (s->channel.fd < 0 || !vu_has_protocol(s, VU_PROTOCOL_CONFIG))
		return;
	s->channel.config_pending = true;
	vu_channel_send(s);
}

void vu_channel_ring_error(struct vu_session *s, unsigned int ring)
{
	if (!vu_has_protocol(s, VU_PROTOCOL_INBAND_NOTIFICATIONS))
		return;
	s->channel.err_pending[ring] = 1;
	vu_channel_send(s);
}

/* --- where it comes from -------------------------------------------------- */

static bool channel_is_stream_socket(int fd)
{
	int type = 0, domain = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       domain == AF_UNIX && type == SOCK_STREAM;
}

int vu_set_backend_req_fd(struct vu_session *s, struct vu_message *msg)
{
	struct vu_channel *c = &s->channel;

	if (!channel_is_stream_socket(msg->fds.fd[0]))
		return vu_refuse(s, "not a unix stream socket");
	channel_close(s);
	c->write_event = event_new(s->vu->base, msg->fds.fd[0], EV_WRITE,
				   channel_writable, s);
	if (!c->write_event)
		return -ENOMEM;
	c->fd = msg->fds.fd[0];
	msg->fds.fd[0] = -1;
	vu_channel_send(s);
	return VU_DONE;
}
