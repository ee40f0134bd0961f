/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * window.h - an opened window, for the devices of this process that are in it
 *
 *	vhost-pci.c	 the transport: configuration, notifications
 *	port.c		 one device's port: its sessions
 *	pipe.c		 what comes back from the back-end
 *	window.c	 the window: who shares it, epochs, beats, interrupts
 *	channel.c	 frames
 *	access-*.c	 where it is: behind a PCI function that VFIO or our
 *			 module opens, or at an ivshmem server's socket
 *
 * All of it is for the control worker, but for what says otherwise.
 *
 *	          came             header is good            all ports closed
 *	NOWHERE --------> THERE ------------------> UP ---------------------.
 *	   ^                ^     (our epoch)          header is another's,  |
 *	   |                '------------------------- or not good <---------'
 *	   '--- left, and all ports closed
 *
 * A window goes from one to the next only when no session is left: what a
 * session has in flight is in the window.
 */
#ifndef PVIO_VHOST_PCI_WINDOW_H
#define PVIO_VHOST_PCI_WINDOW_H

#include "abi.h"

#include "core/log.h"
#include "core/memory.h"
#include "core/worker.h"

struct event;
struct port;
struct window;

#define WINDOW_MAX_VECTORS 2048

/* --- how a window is reached ---------------------------------------------- */

struct window_access_ops {
	const char *name;
	/*
	 * Look for the window at @place (borrowed): window_came() follows,
	 * perhaps from here.  What cannot be there is an error: -errno.
	 */
	int (*open)(struct window *w, const char *place, void **access);
	/* Nobody uses anything of it any more, nor the memory. */
	void (*close)(void *access);
	/*
	 * After window_left(), when nobody uses any of it any more: let go of
	 * it, and look for another.  NULL: it never leaves.
	 */
	void (*again)(void *access);
	/*
	 * The eventfd that interrupt @number is written to: borrowed, and the
	 * same until close or again.  -ENOENT: there is none (yet); -errno.
	 */
	int (*vector)(void *access, uint32_t number);
	/* Write @value to the doorbell.  Any thread. */
	void (*ring)(void *access, uint32_t value);
};

extern const struct window_access_ops window_ivshmem_ops, window_vfio_ops,
	window_module_ops;

/*
 * The window is there: @bytes at @host, which stays until close or again; or,
 * with @host NULL, of the file @fd, which it takes on success.  -EINVAL: it
 * cannot be one; -errno.
 */
int window_came(struct window *w, int fd, void *host, uint64_t bytes);
/* It is not any more; again follows. */
void window_left(struct window *w);

/* --- the window ----------------------------------------------------------- */

struct window {
	struct pvio_list node; /* of all windows */
	unsigned int refs;     /* of the list's lock */
	bool is_socket;	       /* place is an ivshmem server's */
	char *place;	       /* owned */
	struct pvio_worker *control; /* borrowed */
	struct pvio_log_limit log_limit;

	/* while a device of it is started */
	const struct window_access_ops *ops;
	void *access;
	struct port *port[WINDOW_MAX_PORTS]; /* started ones */
	unsigned int nr_started;
	struct event *beat_event, *interrupt_event; /* owned, or NULL */
	struct pvio_job look_job, tell_job;

	/* while it is there */
	struct pvio_mapping *mapping; /* reference; NULL: it is nowhere */
	int fd;			      /* owned: stands for it in messages */
	bool is_file;		      /* fd is its memory */
	uint64_t bytes;
	struct window_header *header;
	bool has_left;
	uint32_t doorbell; /* that the host was told by */
	uint32_t host_beat;
	uint64_t beat_ns; /* when that was seen to change */

	/* while it is up */
	bool is_up;
	uint32_t host_epoch, nr_ports;
};

/*
 * The window of this process at @place, or a new one: a PCI function's address,
 * or a socket's path.  -EINVAL: it has another control worker; -ENOMEM.
 */
int window_get(bool is_socket, const char *place, struct pvio_worker *control,
	       struct window **window);
void window_put(struct window *w);

/*
 * Have @port in it, which is told by port_up(), port_look() and port_down().
 * -EADDRINUSE: another device is there; or what opening it says.
 */
int window_join(struct window *w, struct port *port);
/* It is off. */
void window_leave(struct window *w, struct port *port);

/* Look at all of it, soon: something may have changed. */
void window_look_soon(struct window *w);
/* Have the host look, at the turn's end. */
void window_tell(struct window *w);
/* As the access has it, but interrupt 0 is nobody's: -ENOENT. */
int window_vector(struct window *w, uint32_t number);
/* Any thread, while a session is there. */
void window_ring(struct window *w, uint32_t value);
/* A mapping of its own of [offset, offset + size). */
int window_map(struct window *w, uint64_t offset, uint64_t size,
	       struct pvio_mapping **mapping);
/* The port's place, while the window is there. */
struct window_port *window_port(struct window *w, unsigned int index);
/* Has the host's beat been seen within @ms? */
bool window_is_host_alive(const struct window *w, uint64_t ms);

#endif
