/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user.h - the back-end side of vhost-user, between its files
 *
 *	session.c	 one connection: its events, its one message at a time,
 *			 its end
 *	wire.c		 framing
 *	shape.c		 the table of messages: what each may carry
 *	messages.c	 who handles each; features, configuration, status
 *	memory.c	 the front-end's memory, and the dirty log
 *	rings.c		 setting rings up, starting and stopping them
 *	notify.c	 kick, call and error eventfds
 *	inflight.c	 the region that outlives us
 *	backend-channel.c  what we say unasked: configuration changed, in-band
 *			 notifications
 *	vhost-user.c	 the transport: sockets that front-ends connect to
 *
 * A transport that has another way to its front-end has a struct vu of its own,
 * and hands sockets to vu_session_create().
 *
 * All of it runs on the device's control worker, but for the one function
 * that a queue's worker calls (vu_notify_queue).
 *
 * A message whose answer has to wait for the queues' workers keeps the session
 * `busy`: nothing more is read until vu_message_done().
 */
#ifndef PVIO_VHOST_USER_H
#define PVIO_VHOST_USER_H

#include "core/inflight.h"
#include "core/log.h"
#include "core/transport.h"
#include "transports/stream/connection.h"
#include "wire.h"

struct event;
struct event_base;
struct vu;
struct vu_session;

/* What a message's handler returns besides -errno, which refuses it. */
enum vu_answer {
	VU_DONE,    /* acknowledge, if the front-end wants that */
	VU_LATER,   /* vu_message_done() is called, or has been */
	VU_REPLIED, /* the handler has replied */
	VU_CLOSE,   /* the rules say: end the connection */
};

#define VU_MAX_OWED 64

struct vu_region {
	struct vu_memory_region wire; /* as the front-end described it */
	uint64_t dev, ino;	      /* the file behind it */
	unsigned int more_times;      /* it was told again: see memory.c */
	struct pvio_mapping *mapping; /* reference */
};

/*
 * A ring as the front-end has described it so far.  Nothing of this is in use
 * by the device before the ring starts, nor changes what runs.
 */
struct vu_ring {
	uint16_t size;			  /* 0: not told yet */
	bool has_addr;			  /* addr is set */
	bool is_kicked;			  /* kick fd, or kicked in-band */
	bool is_polled;			  /* the front-end will not kick */
	bool is_enabled;
	bool is_started;		  /* the device's queue was started */
	struct vu_vring_addr addr;
	struct pvio_vq_position base;
	struct pvio_inflight *inflight;	  /* owned, while started */
	int err_fd;			  /* owned, or -1 */
	uint8_t call_pending;		  /* atomic; in-band call to be sent */
};

/* Do @step for every ring in turn, then @then. */
typedef void vu_step_fn(struct vu_session *s, unsigned int ring);
typedef void vu_then_fn(struct vu_session *s, int rc);
struct vu_walk {
	vu_step_fn *step;
	vu_then_fn *then;
	unsigned int next;
	int rc;	      /* the first failure */
	bool in_loop, has_stepped;
};

struct vu_channel {
	int fd;                      /* owned, or -1 */
	struct event *write_event;   /* waits for room */
	struct {
		struct vu_header header;
		struct vu_vring_state state;
	} out;			     /* being sent ... */
	size_t out_len, out_sent;    /* ... how much, and how far */
	bool config_pending;
	uint8_t *err_pending;	     /* per ring; owned */
};

struct vu_session {
	struct vu *vu;
	struct pvio_device *dev; /* borrowed */
	unsigned int nr_rings;
	struct pvio_connection connection;
	struct vu_wire wire;
	struct event *poll_event; /* owned */
	const struct vu_shape *shape; /* of the message being handled */

	uint64_t features;	    /* as acknowledged, with ours */
	uint64_t protocol_features; /* as acknowledged */
	uint64_t old_features;      /* while new ones are tried */
	bool has_features;	    /* legal ones were acknowledged */

	struct vu_region *regions; /* [nr_regions], owned */
	unsigned int nr_regions;
	struct vu_memory_region owed[VU_MAX_OWED]; /* removals to come */
	unsigned int nr_owed;
	struct vu_region *new_regions; /* while set_memory is under way */
	unsigned int new_nr_regions;
	struct pvio_map *new_map;      /* likewise; the device takes it */
	struct pvio_mapping *log; /* reference, or NULL */
	uint64_t log_bytes;

	struct pvio_mapping *inflight; /* reference, or NULL */
	uint16_t inflight_queues, inflight_size;

	struct vu_ring *rings; /* [nr_rings], owned */
	struct vu_walk walk;
	unsigned int ring;	/* the one being started or stopped */
	vu_then_fn *ring_then;	/* what follows */
	vu_then_fn *memory_then; /* what follows set_memory */
	vu_then_fn *reset_then;
	struct pvio_vq_position stopped_at;

	struct vu_channel channel;
};

/* What the transport does. */
struct vu_ops {
	/*
	 * Map @size bytes at @offset of what @msg told by @fd.  NULL:
	 * pvio_mapping_create(), which has the errors.
	 */
	int (*map)(struct vu *vu, const struct vu_message *msg, int fd,
		   uint64_t offset, uint64_t size,
		   struct pvio_mapping **mapping);
	/* @ring cannot be served: tell the front-end otherwise.  Optional. */
	void (*ring_error)(struct vu *vu, unsigned int ring);
	/* The session is gone.  There may be another one. */
	void (*gone)(struct vu *vu);
	/* Not to be offered: bits of vhost-user, and protocol features. */
	uint64_t withheld_features, withheld_protocol_features;
};

struct vu {
	const struct vu_ops *ops;
	struct pvio_device *dev;     /* borrowed */
	struct pvio_worker *control; /* borrowed */
	struct event_base *base;     /* borrowed */
	struct pvio_log_limit log_limit;
	uint64_t timeout_ms; /* for the rest of a message; configuration */
	struct pvio_closer *closer; /* borrowed; NULL: the peer is ours, too */

	struct vu_session *session; /* owned; NULL: nobody connected */
	uint64_t sessions, messages, refused;

	/* in-band notifications: from queue workers to here */
	struct pvio_task call_task;
	uint8_t call_posted;   /* atomic */
	uint8_t call_in_band;  /* atomic: the session has negotiated it */
	bool is_end_waiting;   /* the session's end waits for call_task */
};

/* --- session.c ------------------------------------------------------------ */

#define VU_DEFAULT_TIMEOUT_MS 10000

/* Nothing to undo once its session is gone. */
void vu_init(struct vu *vu, const struct vu_ops *ops, struct pvio_device *dev);
/*
 * Serve the front-end at @fd, which it takes, also on failure; there is no
 * session.  ops->gone() follows, but on failure.  @arg is a struct vu.
 */
int vu_session_create(void *arg, int fd);
/* End it, soon: after the message under way, and what is in flight. */
void vu_session_close(struct vu_session *s);
/* Answer the message under way and go on reading.  @rc: as from a handler. */
void vu_message_done(struct vu_session *s, int rc);
/* The same as a pvio_done_fn; @arg is the session. */
void vu_done(void *arg, int rc);
/* Reply to the message under way. */
void vu_reply(struct vu_session *s, const void *payload, size_t len, int fd);
void vu_reply_u64(struct vu_session *s, uint64_t value);
bool vu_has_protocol(const struct vu_session *s, enum vu_protocol_feature bit);
/* Notify by message, if the session does that.  On the queue's worker. */
void vu_notify_queue(struct vu *vu, unsigned int queue);
/* The core's events. */
void vu_notify_config(struct vu *vu);
void vu_queue_broken(struct vu *vu, unsigned int queue);
/* End the session, if there is one.  ops->gone() follows in any case. */
void vu_close(struct vu *vu);
/* Map what the message under way told by @fd. */
int vu_map(struct vu_session *s, int fd, uint64_t offset, uint64_t size,
	   struct pvio_mapping **mapping);

/* --- messages.c ----------------------------------------------------------- */

void vu_message_handle(struct vu_session *s);
/* The answer that a refused message's kind of reply has for that. */
void vu_message_answer(struct vu_session *s, int rc);
/* Say why a message is refused.  Returns -EINVAL. */
int vu_refuse(struct vu_session *s, const char *fmt, ...) pvio_printf(2, 3);

/* --- memory.c ------------------------------------------------------------- */

int vu_set_mem_table(struct vu_session *s, struct vu_message *msg);
int vu_add_mem_reg(struct vu_session *s, struct vu_message *msg);
int vu_rem_mem_reg(struct vu_session *s, struct vu_message *msg);
int vu_set_log_base(struct vu_session *s, struct vu_message *msg);
/* Does logging start or end with s->features?  Then @then follows, returns 1. */
int vu_memory_relog(struct vu_session *s, vu_then_fn *then);
/* Is the dirty log large enough for [gpa, gpa + len)? */
bool vu_log_covers(const struct vu_session *s, uint64_t gpa, uint64_t len);
void vu_memory_fini(struct vu_session *s);

/* --- rings.c -------------------------------------------------------------- */

int vu_rings_init(struct vu_session *s);
void vu_rings_fini(struct vu_session *s);
void vu_rings_each(struct vu_session *s, vu_step_fn *step, vu_then_fn *then);
/* pvio_done_fn for the steps of vu_rings_each(). */
void vu_step_done(void *arg, int rc);
/* Start every ring that has become ready, then @then. */
void vu_rings_start_ready(struct vu_session *s, vu_then_fn *then);
/*
 * Reset the device: every queue is drained and stopped, and what the front-end
 * said of rings is forgotten but for size, position and eventfds to notify by.
 */
void vu_reset(struct vu_session *s, vu_then_fn *then);
/* The ring of a message that names it by 32 bits, or NULL. */
struct vu_ring *vu_ring_find(struct vu_session *s, uint32_t index);
/*
 * The message under way was the last one that @ring needed, perhaps.  Returns
 * what its handler returns.
 */
int vu_ring_start_if_ready(struct vu_session *s, unsigned int ring);
bool vu_ring_is_any_started(const struct vu_session *s);
int vu_set_vring_num(struct vu_session *s, struct vu_message *msg);
int vu_set_vring_addr(struct vu_session *s, struct vu_message *msg);
int vu_set_vring_base(struct vu_session *s, struct vu_message *msg);
int vu_get_vring_base(struct vu_session *s, struct vu_message *msg);
int vu_set_vring_enable(struct vu_session *s, struct vu_message *msg);
bool vu_is_packed(const struct vu_session *s);

/* --- notify.c ------------------------------------------------------------- */

int vu_set_vring_kick(struct vu_session *s, struct vu_message *msg);
int vu_set_vring_call(struct vu_session *s, struct vu_message *msg);
int vu_set_vring_err(struct vu_session *s, struct vu_message *msg);
int vu_vring_kick(struct vu_session *s, struct vu_message *msg);
/* Tell the front-end that @ring cannot be served. */
void vu_ring_signal_error(struct vu_session *s, unsigned int ring);
/* Look at rings that nobody will kick, every now and then. */
void vu_poll_begin(struct vu_session *s);

/* --- inflight.c ----------------------------------------------------------- */

int vu_get_inflight_fd(struct vu_session *s, struct vu_message *msg);
int vu_set_inflight_fd(struct vu_session *s, struct vu_message *msg);
/* The part of @ring, for its start: *inflight is NULL when nothing is tracked. */
int vu_inflight_part(struct vu_session *s, unsigned int ring,
		     struct pvio_inflight **inflight);
void vu_inflight_fini(struct vu_session *s);

/* --- backend-channel.c ---------------------------------------------------- */

int vu_channel_init(struct vu_session *s);
void vu_channel_fini(struct vu_session *s);
int vu_set_backend_req_fd(struct vu_session *s, struct vu_message *msg);
/* Tell the front-end that configuration changed, if it can be told. */
void vu_channel_config_change(struct vu_session *s);
void vu_channel_ring_error(struct vu_session *s, unsigned int ring);
/* Send the in-band notifications that queue workers have asked for. */
void vu_channel_send(struct vu_session *s);

#endif
