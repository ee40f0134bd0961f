/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * relay.h - a port of a "ram" window, between its files
 *
 *	relay.c		 B's connection, and the session it is
 *	relay-messages.c which messages may pass, and what becomes of them
 *	relay-memory.c	 memory and the in-flight region
 */
#ifndef PVIO_VHOST_PCI_RELAY_H
#define PVIO_VHOST_PCI_RELAY_H

#include "broker.h"

#include "transports/stream/connection.h"
#include "transports/stream/endpoint.h"
#include "transports/vhost-user/shape.h"

/* What the message under way waits for. */
enum relay_wait {
	RELAY_NOTHING,
	RELAY_ANSWER, /* the appliance's */
	RELAY_CALL,   /* a call that is to be in force before it is passed on */
	RELAY_ROOM,   /* in the channel, before the next one is read */
};

/* What a message's handler returns besides -errno, which refuses it. */
enum relay_result {
	RELAY_PASS,     /* it is as it can go to the appliance */
	RELAY_ANSWERED, /* here */
	RELAY_ACCEPTED, /* here: acknowledge it, if B wants that */
	RELAY_LATER,    /* relay_later() follows, or has been called */
};

struct relay_session {
	struct relay *relay;
	struct pvio_connection connection;
	struct vu_wire wire;
	const struct vu_shape *shape; /* of the message under way */
	enum relay_wait wait;
	uint64_t wait_id; /* of this wait among all of the relay's */
	bool is_ending;   /* only the appliance's end of it is missing */

	uint64_t features;            /* as acknowledged */
	uint64_t offered_protocol;    /* as B was told; 0: it has not asked */
	uint64_t protocol_features;   /* as acknowledged */
	uint64_t kicked;              /* bits: rings that may run */
	int channel_fd;               /* owned, or -1: for what comes unasked */
	int err_fd[BROKER_MAX_RINGS]; /* owned, or -1 */
};

struct relay {
	struct broker_port *port;
	struct pvio_endpoint endpoint;
	struct pvio_log_limit log_limit;
	int waiting_fd; /* owned; B, until its session is served; or -1 */
	struct relay_session *session; /* owned, or NULL */
	struct event *deadline;        /* owned: of what is waited for */
	struct event *open_event;      /* owned: listen, again */
	uint64_t waits;
	uint64_t connections, messages, refused;
	bool is_started;
	pvio_done_fn *stop_done; /* somebody waits in stop */
	void *stop_arg;
};

/* --- relay.c -------------------------------------------------------------- */

/* The message under way waits for @wait, and not for ever. */
void relay_wait(struct relay_session *s, enum relay_wait wait);
/* It has been handled: go on reading. */
void relay_done(struct relay_session *s);
/* Answer the message under way. */
void relay_reply(struct relay_session *s, const void *payload, size_t len,
		 int fd);

/* --- relay-memory.c ------------------------------------------------------- */

/* Handlers of messages: an enum relay_result, or -errno. */
int relay_set_mem_table(struct relay_session *s, struct vu_message *msg,
			uint32_t *number);
int relay_get_inflight_fd(struct relay_session *s, struct vu_message *msg,
			  uint32_t *number);
int relay_set_inflight_fd(struct relay_session *s, struct vu_message *msg,
			  uint32_t *number);

/* --- relay-messages.c ----------------------------------------------------- */

void relay_message(struct relay_session *s);
/* Say why a message is refused.  Returns -EINVAL. */
int relay_refuse(struct relay_session *s, const char *fmt, ...)
	pvio_printf(2, 3);
/* What the appliance says, of either kind. */
void relay_answer(struct relay_session *s, const void *payload, size_t bytes);
void relay_unasked(struct relay_session *s, const void *payload, size_t bytes);

#endif
