/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pipe.c - from the back-end to the window: answers, and what it says unasked
 *
 * A message that finds no room in the channel stays where it is, and nothing
 * more is read: the next look tries again.
 */
#include "port.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void port_pipe_close(struct port_pipe *pipe)
{
	if (pipe->read_event)
		event_free(pipe->read_event);
	if (pipe->write_event)
		event_free(pipe->write_event);
	pipe->read_event = pipe->write_event = NULL;
	pvio_stream_fini(&pipe->stream);
	pipe->is_blocked = false;
	pipe->got = 0;
}

/* Bytes of the message that has begun. */
static size_t pipe_wanted(const struct port_pipe *pipe)
{
	if (pipe->got < sizeof(struct vu_header))
		return sizeof(struct vu_header);
	return sizeof(struct vu_header) + pipe->message.header.size;
}

/* Go on with a message.  1: it is whole; 0: not yet; -errno. */
static int pipe_receive(struct port_pipe *pipe)
{
	struct pvio_fds fds = { .nr = 0 };
	ssize_t n;

	while (pipe->got < pipe_wanted(pipe)) {
		n = pvio_stream_receive(&pipe->stream,
					pipe->message.bytes + pipe->got,
					pipe_wanted(pipe) - pipe->got,
					pipe->got ? NULL : &fds);
		/* None of its answers that get here has any. */
		pvio_stream_close_fds(&pipe->stream, &fds);
		if (n <= 0)
			return (int)n;
		pipe->got += (size_t)n;
		if (pipe_wanted(pipe) > sizeof(pipe->message))
			return -EPROTO;
	}
	return 1;
}

static int pipe_pass_on(struct port_pipe *pipe)
{
	struct port *port = pipe->port;
	const struct window_frame frame = {
		.bytes = (uint32_t)pipe->got,
		.session = port->session,
		.kind = pipe->kind,
	};
	int rc;

	rc = window_channel_send(&port->channel, &frame, pipe->message.bytes);
	if (rc < 0)
		return rc;
	port->frames_out++;
	pipe->got = 0;
	window_tell(port->window);
	return 0;
}

/* The back-end has closed its end: of the session, or of this. */
static void pipe_lost(struct port_pipe *pipe, int rc)
{
	event_del(pipe->read_event);
	if (pipe == &pipe->port->backend)
		port_pipe_close(pipe);
	else if (rc != -ENOTCONN)
		port_distrust(pipe->port, strerror(-rc));
}

void port_pipe_go_on(struct port_pipe *pipe)
{
	unsigned int i;
	int rc;

	pipe->is_blocked = false;
	for (i = 0; i < PORT_FRAMES_PER_LOOK; i++) {
		rc = pipe_receive(pipe);
		if (rc == 0)
			break;
		if (rc < 0) {
			pipe_lost(pipe, rc);
			return;
		}
		rc = pipe_pass_on(pipe);
		if (rc == -EAGAIN) {
			/* The next look tries again. */
			pipe->is_blocked = true;
			event_del(pipe->read_event);
			return;
		}
		if (rc < 0) {
			port_distrust(pipe->port, "rubbish in the channel");
			return;
		}
	}
	event_add(pipe->read_event, NULL);
}

static void pipe_readable(evutil_socket_t fd, short what, void *arg)
{
	struct port_pipe *pipe = arg;

	(void)fd;
	(void)what;
	if (pipe->port->state == PORT_SERVING)
		port_pipe_go_on(pipe);
	else
		event_del(pipe->read_event);
}

/* The back-end takes more: so do we. */
static void pipe_writable(evutil_socket_t fd, short what, void *arg)
{
	struct port_pipe *pipe = arg;
	int rc;

	(void)fd;
	(void)what;
	rc = pvio_stream_flush(&pipe->stream);
	/* It is ending the session. */
	if (rc < 0)
		return;
	if (pvio_stream_is_sending(&pipe->stream))
		event_add(pipe->write_event, NULL);
	else
		window_look_soon(pipe->port->window);
}

int port_pipe_open(struct port_pipe *pipe, int *fd)
{
	struct event_base *base = pipe->port->vu.base;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		       pair) < 0)
		return -errno;
	port_pipe_close(pipe);
	pvio_stream_init(&pipe->stream, pair[0], NULL);
	pipe->read_event = event_new(base, pair[0], EV_READ | EV_PERSIST,
				     pipe_readable, pipe);
	pipe->write_event = event_new(base, pair[0], EV_WRITE, pipe_writable,
				      pipe);
	if (!pipe->read_event || !pipe->write_event ||
	    event_add(pipe->read_event, NULL) < 0) {
		port_pipe_close(pipe);
		close(pair[1]);
		return -ENOMEM;
	}
	*fd = pair[1];
	return 0;
}

void port_pipe_init(struct port_pipe *pipe, struct port *port,
		      enum window_frame_kind kind)
{
	pipe->port = port;
	pipe->kind = kind;
	pvio_stream_init(&pipe->stream, -1, NULL);
}
