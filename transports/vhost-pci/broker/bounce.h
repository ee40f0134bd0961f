/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bounce.h - a port of a "bounce" window, between its files
 *
 *	B's driver      ring in B's memory       core/queue, vhost-user
 *	    |                  ^ |
 *	    |     bounce-queue.c copies chains   the queue's worker
 *	    |                  | v
 *	the appliance   ring in the window       shadow.c, arena.c
 *
 *	bounce.c	  the port: the appliance comes and goes, and with it
 *			  the device that B's VMM finds
 *	bounce-model.c	  that device's model: what the appliance offers
 *	bounce-session.c  the conversation with the appliance, to which we are
 *			  a vhost-user front-end: one message at a time
 *	bounce-ring.c	  which rings the appliance is to have: control's half
 *			  of a queue
 *	bounce-queue.c	  its other half, and all that is done with chains
 *
 * The two halves of a queue.  The worker knows whether B's queue runs, and says
 * so in `life`, which grows with each start and each stop: odd is running.
 * Control gives the appliance a ring for a life, takes it back when that life
 * is over, and has the worker do its part by commands, one at a time, each of
 * which comes back:
 *
 *	worker                         control
 *	start: life = 1  --news-->
 *	                 <-PREPARE--   features and memory are told
 *	ring laid out    --done--->    SET_VRING_... ENABLE
 *	                 <--LIVE----
 *	copies both ways
 *	stop: life = 2   --news-->     GET_VRING_BASE
 *	                 <-RELEASE--   the appliance has let go
 *	gives back what is left
 *
 * When the appliance goes while the queue runs, LOSE takes the place of the
 * last three: chains stay where they are, and the next PREPARE adds them again.
 */
#ifndef PVIO_VHOST_PCI_BOUNCE_H
#define PVIO_VHOST_PCI_BOUNCE_H

#include "arena.h"
#include "broker.h"
#include "shadow.h"

#include "core/device-own.h"
#include "transports/vhost-user/protocol.h"

struct bounce;
struct event;

#define BOUNCE_MAX_CONFIG VU_CONFIG_MAX_BYTES
#define BOUNCE_NONE       UINT16_MAX /* no slot */

/* A chain that is with the appliance, or will be; by slot. */
struct bounce_request {
	struct pvio_chain *chain; /* the queue's; NULL: not in use */
	uint16_t before, after;   /* slots, in the order of pop */
	uint64_t number;          /* counts, in that order */
	uint16_t lead;            /* bytes of the first page left free */
	uint8_t nr_readable, nr;  /* runs; 0: not in the arena */
	struct arena_run run[SHADOW_MAX_PIECES];
};

/* What an appliance may have done to a queue. */
enum bounce_fault {
	BOUNCE_FINE,
	BOUNCE_BAD_RING, /* it broke its ring */
	BOUNCE_BLOCKS,   /* it had an eventfd block */
	BOUNCE_LATE,     /* it does not answer a request */
};

/* What control has the queue's worker do. */
enum bounce_command {
	BOUNCE_PREPARE, /* lay a ring out, with all chains that we hold */
	BOUNCE_LIVE,    /* the appliance serves it */
	BOUNCE_ENABLE,  /* and was told of vq->enabled */
	BOUNCE_LOSE,    /* it does not any more: leave the ring alone */
	BOUNCE_RELEASE, /* B's queue has stopped: give back what we hold */
};

/* How, when a queue stops and the appliance will not do the rest. */
enum bounce_rest {
	BOUNCE_REST_UNTAKEN, /* it has answered all it took */
	BOUNCE_REST_LOST,    /* it is gone: nobody knows */
	BOUNCE_REST_FAIL,    /* and has been for too long */
};

/* What the appliance knows of a ring.  Control's. */
enum bounce_ring_state {
	BOUNCE_RING_NONE,      /* nothing.  -> PREPARING */
	BOUNCE_RING_PREPARING, /* PREPARE is under way.  -> NUM, NONE */
	BOUNCE_RING_NUM,       /* these messages are next, one after another */
	BOUNCE_RING_BASE,
	BOUNCE_RING_ADDR,
	BOUNCE_RING_CALL,
	BOUNCE_RING_CALLING, /* the carrier sets up the call */
	BOUNCE_RING_CALLED,  /* it has: SET_VRING_CALL is next */
	BOUNCE_RING_KICK,
	BOUNCE_RING_ENABLE,
	BOUNCE_RING_LIVE,      /* all of it */
	BOUNCE_RING_REFUSED,   /* it would not have it, until it is reset */
	BOUNCE_RING_RETURNING, /* GET_VRING_BASE is under way.  -> NONE */
};

struct bounce_queue {
	struct bounce *bounce;
	unsigned int index;
	/* Fixed while there is a device. */
	struct pvio_worker *worker; /* borrowed */
	uint8_t *host;              /* its part of the window ... */
	uint64_t gpa, bytes;        /* ... and where that is */
	int kick_fd, call_fd;       /* owned eventfds, or -1 */
	bool is_tx;                 /* frames on their way out */
	bool is_control;            /* of a network card */
	bool is_patient;            /* an answer may take for ever */

	/* The worker's. */
	struct pvio_vq *vq; /* borrowed; NULL: B's queue is idle */
	struct shadow ring;
	struct arena arena;
	struct bounce_request *request; /* [vq->size], owned */
	uint16_t first, last;     /* the oldest chain we hold, the newest */
	bool is_live;             /* the appliance has the ring */
	bool is_blocked;          /* kick_fd: the next session has another */
	uint32_t told_wish;       /* what it knows of vq->enabled */
	bool is_starved;          /* a chain waits for pages */
	bool is_armed;            /* the appliance calls; else we poll */
	struct event *call_event; /* owned */
	struct event *late_event; /* owned; NULL: an answer may take for ever */
	uint64_t nr_held;         /* chains, ever: the last one's number */
	uint64_t late_number;     /* held when we looked last */
	struct pvio_poller poller;
	struct pvio_job reap_job;
	uint64_t copied_in, copied_out, reposted, clamped; /* bytes, chains */

	/* From the worker to control; atomic. */
	uint32_t life;
	uint32_t wish;  /* bit 0: vq->enabled; another one each time */
	uint8_t fault; /* enum bounce_fault */

	/* Control's. */
	enum bounce_ring_state state;
	uint32_t ring_life;     /* of which life the appliance's ring is */
	uint32_t released_life; /* the last that was released */
	uint32_t heard_wish;    /* of which the appliance was told */
	bool is_lost;           /* LOSE is owed */
	uint16_t size;          /* of the ring that was laid out */
	bool is_returned; /* by the appliance, all that it took answered */
	/* For the session: */
	bool has_kick, has_call;
	uint32_t kick_number, call_number;
	unsigned int nr_calling; /* broker_ring_call()s that are not done */

	/* The command under way. */
	struct pvio_task task;
	bool is_busy;
	enum bounce_command command;
	enum bounce_rest rest;
	uint32_t command_life;
	uint32_t command_wish;
	struct shadow_areas at; /* PREPARE: where the ring is */
	int rc;                 /* PREPARE: its size */
};

/* A byte of configuration space, and B's driver. */
enum bounce_written {
	BOUNCE_UNWRITTEN,
	BOUNCE_WRITTEN,      /* it wrote, and the appliance is to be told */
	BOUNCE_WRITTEN_TOLD, /* it was, and so is the one after it */
};

/* How far the appliance has come. */
enum bounce_phase {
	BOUNCE_CLOSED, /* it is not there */
	BOUNCE_OPEN,   /* it is; a session begins when what was, is over */
	BOUNCE_BEGUN,  /* until it serves the session */
	BOUNCE_ASKING, /* what it offers */
	BOUNCE_UNFIT,  /* nothing that we could use: until it closes */
	BOUNCE_KNOWN,  /* but the device is still another one */
	BOUNCE_READY,  /* it serves the device */
	BOUNCE_LATE_END, /* the session ends, since it was late; then OPEN */
	BOUNCE_ENDING, /* the session ends, since the port stops */
};

/* The message that waits for an answer, and what was asked by it. */
struct bounce_question {
	uint32_t request; /* 0: none */
	void (*answered)(struct bounce *b, const uint8_t *payload, size_t size);
	unsigned int ring;
};

/* What the appliance offers. */
struct bounce_offer {
	uint64_t features, protocol;
};

struct bounce {
	struct broker_port *port;          /* borrowed, outlives us */
	const struct pvio_model_ops *real; /* of which the device is one */
	char *socket;                      /* owned; configuration */
	int64_t socket_mode, socket_group;

	enum bounce_phase phase;
	struct event *answer_event, *return_event; /* owned timers */
	struct bounce_question question;
	bool has_session;
	struct bounce_offer offer;

	/* The device, which outlives a session. */
	struct pvio_device *dev; /* owned; NULL: none */
	struct pvio_model_ops ops;
	struct broker_facts facts;
	struct bounce_offer dev_offer;
	struct pvio_device_stop stop;
	bool is_dying; /* the device stops ... */
	bool is_dead;  /* ... has, and is to be freed */
	struct pvio_job free_job;
	enum bounce_rest rest; /* of what it holds without an appliance */
	uint8_t config[BOUNCE_MAX_CONFIG];
	uint8_t fresh_config[BOUNCE_MAX_CONFIG]; /* asked for */
	uint8_t is_written[BOUNCE_MAX_CONFIG];   /* enum bounce_written */
	bool config_is_stale;
	bool has_features; /* B's driver has chosen: */
	uint64_t features;
	uint16_t mtu; /* 0: not told */
	bool mtu_is_owed, rarp_is_owed;
	uint8_t rarp_mac[6];

	/* What the appliance was told in this session. */
	bool told_protocol, told_features, told_memory, needs_reset;

	unsigned int nr_queues;
	struct bounce_queue *queue; /* [BROKER_MAX_RINGS], owned */
	bool is_dirty; /* the share holds what no other appliance may see */

	struct pvio_task news_task;
	uint8_t news_are_posted; /* atomic */
	uint8_t has_commanded;   /* atomic: a command may change config */

	bool is_stopping;
	pvio_done_fn *stop_done;
	void *stop_arg;
	uint64_t restarts; /* sessions that took a device over */
};

/* --- bounce.c -------------------------------------------------------------- */

/* Do whatever can be done now.  Control; called after anything has changed. */
void bounce_go_on(struct bounce *b);
/* The driver has to reset the device, unless that is on its way out. */
void bounce_break(struct bounce *b, const char *why);
/* The handshake is over. */
void bounce_known(struct bounce *b);
/* Any thread: have control look. */
void bounce_post_news(struct bounce *b);

/* --- bounce-model.c -------------------------------------------------------- */

/* The bits of the device type, not of rings and transports. */
uint64_t bounce_device_bits(uint64_t features);
/* A device of what the appliance offers: b->dev.  -errno, logged. */
int bounce_create_device(struct bounce *b);

/* --- bounce-session.c ------------------------------------------------------ */

/* Ask what the appliance offers. */
void bounce_session_ask(struct bounce *b);
/* Tell it what is new, if it listens. */
void bounce_session_go_on(struct bounce *b);
/* It is gone. */
void bounce_session_forget(struct bounce *b);
void bounce_session_frame(struct bounce *b, const struct window_frame *frame,
			  const void *payload);
/*
 * Say @request, with @size bytes, and be answered by an acknowledgement, or by
 * what the request asks for.  @number as in the frame.
 */
void bounce_ask(struct bounce *b, uint32_t request, const void *payload,
		size_t size, uint32_t number,
		void (*answered)(struct bounce *, const uint8_t *, size_t));
/* Is @payload, of @size bytes, an acknowledgement that all is well? */
bool bounce_is_ack(const uint8_t *payload, size_t size);
/* Begin, and end, to wait for the appliance, @ms; 0: for ever. */
void bounce_await(struct bounce *b, uint64_t ms);
void bounce_await_no_more(struct bounce *b);

/* --- bounce-ring.c --------------------------------------------------------- */

/* Have the workers do what needs no message. */
void bounce_rings_command(struct bounce *b);
/* The next message about rings: to take back, to give.  True: one was sent. */
bool bounce_rings_return(struct bounce *b);
bool bounce_rings_give(struct bounce *b);
/* Where they are. */
void bounce_memory_table(const struct bounce *b, struct vu_memory_table *table);
/* The appliance is gone: none of its rings are. */
void bounce_rings_lose(struct bounce *b);
/* What one did is not the fault of the next. */
void bounce_rings_forgive(struct bounce *b);
/* Has the appliance none? */
bool bounce_rings_are_none(const struct bounce *b);
/* No worker is at work on one, or will be before it is told. */
bool bounce_rings_are_quiet(const struct bounce *b);
/* And never will be: their queues have stopped, and that is known. */
bool bounce_rings_are_over(const struct bounce *b);
/* Has the appliance broken one? */
enum bounce_fault bounce_rings_fault(const struct bounce *b);
/* A command has come back. */
void bounce_ring_commanded(struct bounce_queue *q);

/* --- bounce-queue.c -------------------------------------------------------- */

/* Queue @q of the device, which is about to be made.  -ENOMEM, -EMFILE. */
int bounce_queue_open(struct bounce_queue *q);
void bounce_queue_close(struct bounce_queue *q);
/* Another kick_fd for one that blocked.  Control, while the worker has no ring. */
void bounce_queue_renew_kick(struct bounce_queue *q);
/* Begin the command of @q.  bounce_ring_commanded() follows. */
void bounce_queue_command(struct bounce_queue *q);
/* The model's, on the queue's worker. */
int bounce_queue_start(struct bounce_queue *q, struct pvio_vq *vq);
void bounce_queue_stop(struct bounce_queue *q);
void bounce_queue_idle(struct bounce_queue *q);
enum pvio_kick bounce_queue_kick(struct bounce_queue *q);

#endif
