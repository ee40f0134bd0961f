/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port.c - a device in a window: its sessions
 *
 * A session is served by the back-end of transports/vhost-user, which thinks
 * that a front-end has connected.  We are at the other end of its socket:
 *
 *	window                port                      vhost-user
 *	to_guest --frames--> numbers become descriptors --socket--> back-end
 *	to_host  <--frames-- answers <----------------------------- back-end
 *	         <--frames-- what it says unasked <--2nd socket----
 *
 * So all that messages may say is checked where it always is.  What is checked
 * here is what only a window has: frames, and that memory is the window's.
 *
 * The descriptor of memory stands for the window; its mapping is made by
 * port_map().  A kick is the eventfd of an interrupt.  A call is told as "no
 * descriptor": the worker then calls port_notify(), which has the number.
 *
 * What breaks the rules ends the session: the port closes, and opens again when
 * the host has let go of it.
 */
#include "port.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *port_name(const struct port *port)
{
	return pvio_device_name(port->vu.dev);
}

/* --- what the host reads -------------------------------------------------- */

static void port_set_served(struct port *port, uint32_t session)
{
	/*
	 * Barrier X: what the session before had in flight is written, and what
	 * it was sent is taken.
	 */
	pvio_store_release(&port->shared->served, htole32(session));
	window_tell(port->window);
}

static void port_open(struct port *port)
{
	const struct pvio_model_ops *model = pvio_device_model(port->vu.dev);
	struct window_port *p = port->shared;

	pvio_store_once(&p->served, 0);
	pvio_store_once(&p->device_id,
			htole32(pvio_device_id(port->vu.dev)));
	pvio_store_once(&p->nr_queues, htole32(port->nr_rings));
	pvio_store_once(&p->queue_size,
			htole32(pvio_device_queue_size(port->vu.dev)));
	pvio_store_once(&p->queues_per_unit,
			htole32(model->queues_per_unit ? model->queues_per_unit
						       : 1));
	/* Barrier X: the facts are there before it is open. */
	pvio_store_release(&p->is_open, htole32(1));
	port->state = PORT_OPEN;
	window_tell(port->window);
}

static void port_close(struct port *port)
{
	port_set_served(port, 0);
	/* Barrier X: what was in flight is written before it is closed. */
	pvio_store_release(&port->shared->is_open, 0);
}

/* --- the end of a session ------------------------------------------------- */

/* End the session, and then be @next; or be it at once. */
static void port_end(struct port *port, enum port_state next)
{
	if (port->state == PORT_ENDING) {
		port->next = (enum port_state)pvio_min(port->next, next);
		return;
	}
	if (port->state == PORT_SERVING) {
		port->state = PORT_ENDING;
		port->next = next;
		vu_close(&port->vu);
		return;
	}
	if (port->state == PORT_OFF)
		return;
	if (next != PORT_OPEN)
		port_close(port);
	port->state = next;
	if (next == PORT_OFF)
		port->shared = NULL;
}

void port_distrust(struct port *port, const char *why)
{
	if (port->state != PORT_SERVING)
		return;
	pvio_log_limited(&port->vu.log_limit, PVIO_LOG_WARNING,
			 "%s: window %s: session ended: %s", port_name(port),
			 port->window->place, why);
	port_end(port, PORT_WAITING);
}

/* --- frames: from the window to the back-end ------------------------------- */

/* A message, with the descriptors that stand in for its numbers. */
struct port_message {
	struct vu_message vu; /* header, and payload */
	struct window_frame frame;
	int fd[PVIO_STREAM_MAX_FDS]; /* borrowed */
	unsigned int nr_fds;
	int own_fd; /* one of them, to be closed once it is sent; or -1 */
};

static void message_add_fd(struct port_message *m, int fd)
{
	m->fd[m->nr_fds++] = fd;
}

/* As many as it says, or none: then it is refused. */
static void message_memory(struct port *port, struct port_message *m)
{
	unsigned int nr = m->vu.table.nr;

	if (m->vu.header.size < sizeof(nr) || nr > PVIO_STREAM_MAX_FDS)
		return;
	while (m->nr_fds < nr)
		message_add_fd(m, port->window->fd);
}

static bool message_names_ring(const struct port_message *m)
{
	return m->vu.header.size == sizeof(m->vu.u64) &&
	       !(m->vu.u64 & ~(VU_VRING_INDEX_MASK | VU_VRING_NO_FD));
}

static void message_kick(struct port *port, struct port_message *m)
{
	int fd;

	if (!message_names_ring(m) || m->vu.u64 & VU_VRING_NO_FD)
		return;
	fd = window_vector(port->window, m->frame.number);
	if (fd >= 0)
		message_add_fd(m, fd);
}

static void message_call(struct port *port, struct port_message *m)
{
	unsigned int ring = m->vu.u64 & VU_VRING_INDEX_MASK;
	uint64_t doorbell = 0;

	if (!message_names_ring(m) || ring >= port->nr_rings)
		return;
	if (!(m->vu.u64 & VU_VRING_NO_FD))
		doorbell = PORT_HAS_DOORBELL | m->frame.number;
	pvio_store_once(&port->rings[ring].doorbell, doorbell);
	/* What came to the one before may never have been seen. */
	if (doorbell)
		window_ring(port->window, m->frame.number);
	m->vu.u64 |= VU_VRING_NO_FD;
}

static int message_backend(struct port *port, struct port_message *m)
{
	int rc;

	rc = port_pipe_open(&port->backend, &m->own_fd);
	if (rc == 0)
		message_add_fd(m, m->own_fd);
	return rc;
}

/* Put descriptors where the other side has numbers. */
static int message_complete(struct port *port, struct port_message *m)
{
	switch (m->vu.header.request) {
	case VU_SET_MEM_TABLE:
		message_memory(port, m);
		return 0;
	case VU_SET_INFLIGHT_FD:
		message_add_fd(m, port->window->fd);
		return 0;
	case VU_SET_VRING_KICK:
		message_kick(port, m);
		return 0;
	case VU_SET_VRING_CALL:
		message_call(port, m);
		return 0;
	case VU_SET_BACKEND_REQ_FD:
		return message_backend(port, m);
	case VU_GET_INFLIGHT_FD:
		/* The host has the area for that, and answers itself. */
		return -EPROTO;
	default:
		return 0;
	}
}

static int port_deliver(struct port *port, struct port_message *m)
{
	const struct vu_header *header = &m->vu.header;
	int rc;

	if (m->frame.kind != WINDOW_MESSAGE ||
	    m->frame.bytes < sizeof(*header) ||
	    header->size != m->frame.bytes - sizeof(*header) ||
	    header->size > VU_MAX_PAYLOAD_BYTES)
		return -EPROTO;
	rc = message_complete(port, m);
	if (rc < 0)
		return rc;
	rc = pvio_stream_send_fds(&port->messages.stream, header,
				  sizeof(*header), m->vu.bytes, header->size,
				  m->fd, m->nr_fds);
	if (m->own_fd >= 0)
		close(m->own_fd);
	if (rc == 0 && pvio_stream_is_sending(&port->messages.stream))
		event_add(port->messages.write_event, NULL);
	/* The back-end is ending the session: port_gone() follows. */
	return rc == -EPIPE ? 0 : rc;
}

/* 1: there may be more; 0; -errno. */
static int port_receive_one(struct port *port)
{
	uint8_t payload[WINDOW_MAX_PAYLOAD];
	struct port_message m;
	int rc;

	rc = window_channel_receive(&port->channel, &m.frame, payload);
	if (rc <= 0)
		return rc;
	if (m.frame.session != port->session) {
		port->dropped++;
		return 1;
	}
	port->frames_in++;
	m.nr_fds = 0;
	m.own_fd = -1;
	memset(&m.vu.header, 0, sizeof(m.vu.header));
	m.vu.u64 = 0;
	memcpy(&m.vu.header, payload,
	       pvio_min(m.frame.bytes, sizeof(m.vu.header)));
	if (m.frame.bytes > sizeof(m.vu.header))
		memcpy(m.vu.bytes, payload + sizeof(m.vu.header),
		       pvio_min(m.frame.bytes - sizeof(m.vu.header),
				sizeof(m.vu.bytes)));
	rc = port_deliver(port, &m);
	return rc < 0 ? rc : 1;
}

static void port_receive(struct port *port)
{
	unsigned int n = 0;
	int rc = 1;

	/* What the back-end does not take stays in the window. */
	while (rc == 1 && n < PORT_FRAMES_PER_LOOK &&
	       !pvio_stream_is_sending(&port->messages.stream)) {
		rc = port_receive_one(port);
		n += rc != 0;
	}
	/* There is room again: the host may wait for it. */
	if (n > 0)
		window_tell(port->window);
	if (rc == -EPROTO)
		port_distrust(port, "rubbish in the channel");
	else if (rc < 0)
		port_distrust(port, strerror(-rc));
	else if (n == PORT_FRAMES_PER_LOOK)
		window_look_soon(port->window);
}

/* --- sessions -------------------------------------------------------------- */

static void port_begin(struct port *port, uint32_t session)
{
	int fd, rc;

	rc = port_pipe_open(&port->messages, &fd);
	if (rc == 0)
		rc = vu_session_create(&port->vu, fd);
	if (rc < 0) {
		pvio_log_limited(&port->vu.log_limit, PVIO_LOG_ERROR,
				 "%s: window %s: no session: %s",
				 port_name(port), port->window->place,
				 strerror(-rc));
		port_pipe_close(&port->messages);
		port_end(port, PORT_WAITING);
		return;
	}
	window_channel_open(&port->channel, port->shared, WINDOW_GUEST);
	window_channel_drain(&port->channel);
	port->session = session;
	port->sessions++;
	port->state = PORT_SERVING;
	port_set_served(port, session);
}

void port_look(struct port *port)
{
	uint32_t session;

	if (!port->shared)
		return;
	/* Barrier X: what the host wrote before it began a session is there. */
	session = le32toh(pvio_load_acquire(&port->shared->session));
	switch (port->state) {
	case PORT_WAITING:
		if (session == 0)
			port_open(port);
		break;
	case PORT_OPEN:
		if (session != 0)
			port_begin(port, session);
		break;
	case PORT_SERVING:
		if (session != port->session) {
			port_end(port, PORT_OPEN);
			break;
		}
		if (port->messages.is_blocked)
			port_pipe_go_on(&port->messages);
		if (port->backend.is_blocked)
			port_pipe_go_on(&port->backend);
		if (port->state == PORT_SERVING)
			port_receive(port);
		break;
	case PORT_OFF:
	case PORT_ENDING:
		break;
	}
}

static void port_is_off(struct port *port)
{
	pvio_done_fn *done = port->stop_done;

	port->stop_done = NULL;
	if (!done) {
		window_look_soon(port->window);
		return;
	}
	window_leave(port->window, port);
	done(port->stop_arg, 0);
}

/* The session is over, and so is what it had in flight. */
static void port_gone(struct vu *vu)
{
	struct port *port = pvio_container_of(vu, struct port, vu);
	/* The back-end ends it by itself when it makes no sense to it. */
	enum port_state next = port->state == PORT_ENDING ? port->next
							  : PORT_WAITING;
	unsigned int i;

	port_pipe_close(&port->messages);
	port_pipe_close(&port->backend);
	for (i = 0; i < port->nr_rings; i++)
		pvio_store_once(&port->rings[i].doorbell, 0);
	port->session = 0;
	port->state = next;
	if (next == PORT_OPEN)
		port_set_served(port, 0);
	else
		port_close(port);
	if (next != PORT_OFF) {
		window_look_soon(port->window);
		return;
	}
	port->shared = NULL;
	port_is_off(port);
}

void port_up(struct port *port)
{
	if (port->index >= port->window->nr_ports) {
		pvio_log_limited(&port->vu.log_limit, PVIO_LOG_ERROR,
				 "%s: window %s has %u ports, and not port %u",
				 port_name(port), port->window->place,
				 port->window->nr_ports, port->index);
		return;
	}
	port->shared = window_port(port->window, port->index);
	port->state = PORT_WAITING;
}

void port_down(struct port *port)
{
	port_end(port, PORT_OFF);
}

void port_stop(struct port *port, pvio_done_fn *done, void *arg)
{
	port->stop_done = done;
	port->stop_arg = arg;
	port_end(port, PORT_OFF);
	if (port->state == PORT_OFF)
		port_is_off(port);
}

/* --- what the back-end asks of us ------------------------------------------ */

/* Memory is all but the control area; in-flight regions are in the port. */
static int port_map(struct vu *vu, const struct vu_message *msg, int fd,
		    uint64_t offset, uint64_t size,
		    struct pvio_mapping **mapping)
{
	struct port *port = pvio_container_of(vu, struct port, vu);
	struct window *w = port->window;
	uint64_t start = 0, bytes = window_control_offset(w->bytes);

	(void)fd;
	if (msg->header.request == VU_SET_INFLIGHT_FD) {
		start = window_port_offset(w->bytes, port->index) +
			WINDOW_INFLIGHT_OFFSET;
		bytes = WINDOW_INFLIGHT_BYTES;
	}
	if (offset < start || !pvio_range_ok(offset - start, size, bytes))
		return -ERANGE;
	return window_map(w, offset, size, mapping);
}

void port_notify(struct port *port, unsigned int ring)
{
	uint64_t doorbell = pvio_load_once(&port->rings[ring].doorbell);

	if (!(doorbell & PORT_HAS_DOORBELL))
		return;
	pvio_store_once(&port->rings[ring].rung, port->rings[ring].rung + 1);
	window_ring(port->window, (uint32_t)doorbell);
}

/* The host has the error eventfds.  Without room it is not told. */
static void port_ring_error(struct vu *vu, unsigned int ring)
{
	struct port *port = pvio_container_of(vu, struct port, vu);
	const struct {
		struct vu_header header;
		struct vu_vring_state state;
	} message = {
		.header = { VU_BACKEND_VRING_ERR, VU_VERSION,
			    sizeof(message.state) },
		.state.index = ring,
	};
	const struct window_frame frame = {
		.bytes = sizeof(message),
		.session = port->session,
		.kind = WINDOW_BACKEND_MESSAGE,
	};

	if (port->state != PORT_SERVING ||
	    window_channel_send(&port->channel, &frame, &message) < 0)
		return;
	port->frames_out++;
	window_tell(port->window);
}

static const struct vu_ops port_vu_ops = {
	.map	= port_map,
	.ring_error = port_ring_error,
	.gone	= port_gone,
	.withheld_features = PVIO_BIT(VU_F_LOG_ALL),
	.withheld_protocol_features =
		PVIO_BIT(VU_PROTOCOL_LOG_SHMFD) |
		PVIO_BIT(VU_PROTOCOL_INBAND_NOTIFICATIONS) |
		PVIO_BIT(VU_PROTOCOL_CONFIGURE_MEM_SLOTS),
};

/* --- life ------------------------------------------------------------------ */

int port_init(struct port *port, struct pvio_device *dev)
{
	vu_init(&port->vu, &port_vu_ops, dev);
	port_pipe_init(&port->messages, port, WINDOW_MESSAGE);
	port_pipe_init(&port->backend, port, WINDOW_BACKEND_MESSAGE);
	port->nr_rings = pvio_device_nr_queues(dev);
	port->rings = calloc(port->nr_rings, sizeof(*port->rings));
	return port->rings ? 0 : -ENOMEM;
}

void port_fini(struct port *port)
{
	free(port->rings);
}
