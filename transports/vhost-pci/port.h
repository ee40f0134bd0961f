/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port.h - a device in a window
 */
#ifndef PVIO_VHOST_PCI_PORT_H
#define PVIO_VHOST_PCI_PORT_H

#include "channel.h"
#include "window.h"

#include "transports/stream/stream.h"
#include "transports/vhost-user/vhost-user.h"

#define PORT_MAX_RINGS 64

/*
 *	OFF      nothing of it is in the window
 *	WAITING  it would be opened; the host has not let go of a session yet
 *	OPEN     the host may begin a session
 *	SERVING  there is one
 *	ENDING   there was one: what it has in flight is being finished.  Then
 *	         the port is what `next` says: OFF, WAITING or OPEN
 */
enum port_state {
	PORT_OFF,
	PORT_WAITING,
	PORT_OPEN,
	PORT_SERVING,
	PORT_ENDING,
};

/* One of the sockets on which we play the front-end: our end of it. */
struct port_pipe {
	struct port *port;
	enum window_frame_kind kind; /* that what comes out of it goes into */
	struct pvio_stream stream;   /* fd -1: there is none */
	struct event *read_event, *write_event; /* owned */
	bool is_blocked; /* the channel has no room for the message here */
	size_t got;
	union {
		struct vu_header header;
		uint8_t bytes[sizeof(struct vu_header) + VU_MAX_PAYLOAD_BYTES];
	} message;
};

struct port_ring {
	uint64_t doorbell; /* atomic: the value, and PORT_HAS_DOORBELL */
	uint64_t rung;	   /* its worker's */
};
#define PORT_HAS_DOORBELL (1ULL << 32)

struct port {
	struct vu vu;
	struct window *window; /* reference */
	unsigned int index;    /* in the window */
	uint64_t timeout_ms;   /* without a beat the host counts as silent */

	enum port_state state, next;
	struct window_port *shared; /* borrowed; NULL: the window is not up */
	uint32_t session;
	struct window_channel channel;
	struct port_pipe messages, backend;
	unsigned int nr_rings;
	struct port_ring *rings; /* owned */
	uint64_t sessions, frames_in, frames_out, dropped;

	pvio_done_fn *stop_done; /* somebody waits in stop */
	void *stop_arg;
};

int port_init(struct port *port, struct pvio_device *dev);
void port_fini(struct port *port); /* off */
/* Go off, and out of the window; then @done. */
void port_stop(struct port *port, pvio_done_fn *done, void *arg);
/* The queue's worker: notify, if the host has said how. */
void port_notify(struct port *port, unsigned int ring);

/* The host has broken the rules: end the session. */
void port_distrust(struct port *port, const char *why);

/* Then others' events get their turn. */
#define PORT_FRAMES_PER_LOOK 16

/* --- pipe.c --------------------------------------------------------------- */

void port_pipe_init(struct port_pipe *pipe, struct port *port,
		    enum window_frame_kind kind);
/* Have a pipe, in place of one before; its other end comes back in *fd. */
int port_pipe_open(struct port_pipe *pipe, int *fd);
void port_pipe_close(struct port_pipe *pipe);
/* Pass on what there is, as far as there is room. */
void port_pipe_go_on(struct port_pipe *pipe);

/* --- the window's --------------------------------------------------------- */

/* The window is up. */
void port_up(struct port *port);
/* It is not, or will not be: go off. */
void port_down(struct port *port);
/* The host may have done something. */
void port_look(struct port *port);

#endif
