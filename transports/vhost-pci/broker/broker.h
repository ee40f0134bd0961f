/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * broker.h - the host's side of a window, between its files
 *
 *	B's VMM             the broker                       A's VMM
 *	vhost-user   port -- relay or bounce --.             ivshmem, or
 *	sockets      port -- relay or bounce --+-- carrier -- vfio-user
 *	                                       '-- control area of the window
 *
 *	broker.c	 life; configuration; stats
 *	appliance.c	 the appliance: its epoch and beat, ports that open,
 *			 sessions, frames
 *	memory.c	 the window's file
 *	relay.c		 a port of a "ram" window: passes messages on, with
 *			 numbers for descriptors
 *	bounce.c	 a port of a "bounce" window: a device (core/device.h)
 *			 whose model passes chains on; shadow.c has its rings
 *	carrier.h	 how the appliance's VMM shows the window, and rings
 *
 * All of it is for the control worker, but for what says otherwise.
 */
#ifndef PVIO_VHOST_PCI_BROKER_H
#define PVIO_VHOST_PCI_BROKER_H

#include "carrier.h"

#include "core/config.h"
#include "core/device.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/worker.h"
#include "transports/vhost-pci/channel.h"

#include <pvio/window.h>

#define BROKER_MAX_RINGS 64 /* of a port */

struct broker;
struct broker_port;
struct event;

/* What the appliance says of the device at a port: read once, and checked. */
struct broker_facts {
	uint32_t device_id;
	uint32_t nr_queues;  /* 1 to BROKER_MAX_RINGS */
	uint32_t queue_size; /* a power of two up to 32768 */
	uint32_t queues_per_unit; /* 1 or 2 */
};

/* What a port does with B. */
struct broker_port_ops {
	const char *window; /* "ram": the configuration's `window = ` */
	/*
	 * Read the port's own keys from @cfg; open nothing yet.  -EINVAL, and
	 * so on.
	 */
	int (*create)(struct broker_port *port, struct pvio_config *cfg);
	/* Stopped, or never started. */
	void (*destroy)(struct broker_port *port);
	/* Be there for B's VMM, as far as an appliance is. */
	int (*start)(struct broker_port *port);
	/* Let B go; @done when nothing uses the window any more. */
	void (*stop)(struct broker_port *port, pvio_done_fn *done, void *arg);
	/* The appliance serves port->facts from now on: B may come. */
	void (*opened)(struct broker_port *port);
	/*
	 * It does not any more: it is gone, or begins anew.  A session is over,
	 * and needs no broker_session_end().
	 */
	void (*closed)(struct broker_port *port);
	/* It serves the session that broker_session_begin() began. */
	void (*served)(struct broker_port *port);
	/* It has let go of the one that broker_session_end() ended. */
	void (*ended)(struct broker_port *port);
	/* A frame of the session, of either kind.  @payload: until we return. */
	void (*frame)(struct broker_port *port,
		      const struct window_frame *frame, const void *payload);
	/* Its share of the window is yet to be emptied.  NULL: it has none. */
	bool (*is_dirty)(const struct broker_port *port);
	/* Facts for the stats, as JSON members. */
	void (*describe)(struct broker_port *port, char *text, size_t size);
};

extern const struct broker_port_ops broker_relay_ops, broker_bounce_ops;

struct broker_port {
	struct broker *broker;
	unsigned int index;
	char *name; /* owned */
	const struct broker_port_ops *ops;
	void *state; /* of the ops */
	struct window_port *window;
	struct window_channel channel;
	bool is_open; /* ops->opened was called, and not ops->closed */
	struct broker_facts facts;
	uint32_t session;   /* 0: none */
	bool is_served;
	bool is_ending;
	uint64_t frames_in, frames_out, sessions;
	/* Where this port's share of a bounce window is, once started. */
	uint64_t share_offset, share_bytes;
	/* appliance.c's own follow */
	struct pvio_list queue; /* frames that found no room */
	unsigned int nr_queued;
	uint64_t sent_ns; /* when some found room */
	uint32_t last_session;
	uint64_t deadline_ns; /* for what the appliance has to do; 0: nothing */
	uint64_t kicked, called; /* bits: rings that have a kick, a call fd */
	struct pvio_job job; /* frames have come */
};

/* --- for ports: appliance.c ------------------------------------------------ */

/* Only while it is open and there is none.  ops->served() follows, or closed. */
void broker_session_begin(struct broker_port *port);
/* ops->ended() follows, or ops->closed(); not before this returns. */
void broker_session_end(struct broker_port *port);
/*
 * Send to the appliance; it is told at the end of the turn.  What finds no room
 * waits.  -ENOMEM, also when too much waits; -EMSGSIZE; -ENOTCONN: no session
 * is served; -EPROTO: the appliance was distrusted.
 */
int broker_send(struct broker_port *port, enum window_frame_kind kind,
		uint32_t number, const void *payload, size_t bytes);
/* Does some of it wait? */
bool broker_is_sending(const struct broker_port *port);
/*
 * The appliance has broken the rules: @fmt goes to the log, and all it serves
 * is closed until it begins anew.  ops->closed() is called before this returns.
 */
void broker_distrust(struct broker_port *port, const char *fmt, ...)
	pvio_printf(2, 3);

/*
 * B's notifications.  kick: what is written to @fd (borrowed; an eventfd)
 * interrupts the appliance; *number is for SET_VRING_KICK.  call: what the
 * appliance notifies is written to @fd (-1: nowhere); @done with the number,
 * for SET_VRING_CALL, as its rc, when it is in force, or -errno.  Either may be
 * done again for the same ring.  With the session both end.
 */
int broker_ring_kick(struct broker_port *port, unsigned int ring, int fd,
		     uint32_t *number);
void broker_ring_call(struct broker_port *port, unsigned int ring, int fd,
		      pvio_done_fn *done, void *arg);

/* --- appliance.c, for broker.c ------------------------------------------- */

/* Look at the control area, and for frames. */
void broker_look(struct broker *broker);
/* The appliance's doorbell has rung. */
void broker_doorbell(struct broker *broker);
/* A pause is over: go on with what waited for that. */
void broker_retry(struct broker *broker);
/* Tell the appliance at the end of the turn. */
void broker_announce(struct broker *broker);
/* Is there one that is served? */
bool broker_is_served(const struct broker *broker);
void broker_port_init(struct broker_port *port);
/* pvio_job of a port: go on receiving. */
void broker_port_run(struct pvio_job *job);

/* --- memory.c ------------------------------------------------------------- */

struct broker_memory {
	int fd; /* owned */
	uint8_t *host;
	uint64_t bytes; /* a power of two; the control area is in it */
	uint64_t dev, ino;
	struct pvio_mapping *mapping; /* reference: survives a file that shrinks */
};

/*
 * Open @path, or make it, with @bytes (0: as long as it is); NULL: a memory file
 * that ends with us.  -EINVAL: no regular file, or not a power of two.
 */
int broker_memory_open(struct broker_memory *mem, const char *path,
		       uint64_t bytes);
/* One that broker_memory_open() has made without a path.  Takes @fd. */
int broker_memory_adopt(struct broker_memory *mem, int fd, uint64_t bytes);
void broker_memory_close(struct broker_memory *mem);

/* --- broker.c ------------------------------------------------------------- */

struct broker {
	char *name; /* owned */
	struct pvio_worker *control;	 /* borrowed */
	struct pvio_worker **workers;	 /* owned array of borrowed ones */
	unsigned int nr_workers;
	struct pvio_log_limit log_limit;
	struct broker_memory memory;
	struct window_header *header;
	const struct carrier_ops *carrier_ops;
	struct carrier *carrier; /* owned */
	unsigned int nr_ports;
	struct broker_port port[WINDOW_MAX_PORTS];
	uint64_t timeout_ms; /* without a beat the appliance counts as gone */
	uint64_t request_timeout_ms; /* without an answer, too; 0: never */
	const struct pvio_window_store *store; /* borrowed, or NULL */
	bool is_kept;         /* the memory is that of a process before us */
	uint32_t guest_epoch; /* 0: no appliance */
	char *file; /* owned, or NULL */
	uint64_t bytes; /* configuration: of the window; 0: the file's */
	/* appliance.c's own follow */
	bool is_connected;  /* the appliance's VMM is there */
	bool is_silent;	    /* it has not beaten for too long */
	bool is_distrusted; /* until it begins anew */
	bool is_lost;	    /* the window's file has shrunk: for good */
	uint32_t guest_beat;
	uint64_t beat_ns;
	struct pvio_job look_job; /* the control area is to be looked at */
	struct pvio_job tell_job; /* the appliance is to be told */
	struct pvio_job stop_job; /* the ports have stopped */
	unsigned int tokens;	  /* of looks that its doorbell may cause */
	uint64_t tokens_ns;
	struct event *beat_event;  /* owned */
	uint32_t beat;
	struct event *retry_event; /* owned: frames wait, or the doorbell does */
	bool is_rested;		   /* it does: rung too often */
	int control_fd; /* eventfd that the appliance rings; owned */
	/* Eventfd that interrupts it (number 0); owned; -1: it blocked. */
	int interrupt_fd;
	struct event *control_event; /* owned */
	uint64_t appliances, distrusts, storms;
	/* broker.c's own: the end */
	unsigned int nr_started; /* ports */
	bool is_carrier_started;
	unsigned int nr_stopping;
	pvio_done_fn *stop_done;
	void *stop_arg;
};

/* --- keep.c --------------------------------------------------------------- */

/* The store's two functions, with a tag to be put together. */
int broker_keep(struct broker *broker, int fd, const char *fmt, ...)
	pvio_printf(3, 4);
int broker_kept(struct broker *broker, const char *fmt, ...) pvio_printf(2, 3);
/* Have the memory that a process before us has left, or what there is. */
int broker_open_memory(struct broker *broker);

/* --- for whoever runs one: pviod, tests ------------------------------------ */

/*
 * A broker from the group @cfg of a configuration; pvio.conf(5), `windows`.
 * Opens nothing yet.  All is borrowed, and outlives it.  -EINVAL, -errno.
 */
int broker_create(const char *name, struct pvio_config *cfg,
		  struct pvio_worker *control,
		  struct pvio_worker *const workers[], unsigned int nr_workers,
		  struct broker **broker);
int broker_start(struct broker *broker);
/* Stop, wait, free: turns the control worker.  NULL is allowed. */
void broker_destroy(struct broker *broker);
struct broker_port *broker_find_port(struct broker *broker, const char *name);
/* The counters of @port, as JSON; to be freed.  -ENOMEM. */
int broker_port_stats(struct broker_port *port, char **json);

#endif
