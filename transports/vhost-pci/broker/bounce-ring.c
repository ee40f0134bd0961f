/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bounce-ring.c - which rings the appliance is to have
 *
 * All that happens is compared with what should be, and the first difference is
 * worked on: a command of a queue's worker, or a message to the appliance.  So
 * a queue may stop, a driver reset its device, or the appliance go, at any
 * moment, and nothing has to be undone in a particular order.
 */
#include "bounce.h"

#include <errno.h>
#include <string.h>

/* Where the front-end, which we are, has the window's first byte. */
#define RING_UVA UINT64_C(0x100000000000)

static uint32_t ring_life(const struct bounce_queue *q)
{
	return pvio_load_acquire(&q->life);
}

/* Has the appliance a ring that belongs to a life that is over? */
static bool ring_is_stale(const struct bounce_queue *q)
{
	return q->state > BOUNCE_RING_PREPARING &&
	       q->state != BOUNCE_RING_RETURNING &&
	       q->ring_life != ring_life(q);
}

/* --- commands -------------------------------------------------------------- */

static void ring_command(struct bounce_queue *q, enum bounce_command command,
			 uint32_t life)
{
	q->command = command;
	q->command_life = life;
	bounce_queue_command(q);
}

/* B's queue is over, and nobody will answer what it had: back with it. */
static void ring_release(struct bounce_queue *q, uint32_t life)
{
	bool is_answered = q->is_returned && life == q->ring_life + 1;

	q->rest = is_answered ? BOUNCE_REST_UNTAKEN : q->bounce->rest;
	ring_command(q, BOUNCE_RELEASE, life);
}

void bounce_rings_command(struct bounce *b)
{
	/* A reset that is owed goes first, and waits until there is no ring. */
	bool may_prepare = b->phase == BOUNCE_READY && b->told_features &&
			   !b->needs_reset && b->told_memory && !b->is_dying;
	unsigned int i;

	for (i = 0; i < b->nr_queues; i++) {
		struct bounce_queue *q = &b->queue[i];
		uint32_t life = ring_life(q);

		if (q->is_busy)
			continue;
		if (q->is_lost) {
			q->is_lost = false;
			ring_command(q, BOUNCE_LOSE, life);
		} else if (q->state != BOUNCE_RING_NONE) {
			continue;
		} else if (life & 1) {
			if (!may_prepare)
				continue;
			q->state = BOUNCE_RING_PREPARING;
			ring_command(q, BOUNCE_PREPARE, life);
		} else if (q->released_life != life) {
			ring_release(q, life);
		}
	}
}

void bounce_ring_commanded(struct bounce_queue *q)
{
	switch (q->command) {
	case BOUNCE_PREPARE:
		if (q->state != BOUNCE_RING_PREPARING)
			break;
		q->state = q->rc < 0 ? BOUNCE_RING_NONE : BOUNCE_RING_NUM;
		q->size = (uint16_t)q->rc;
		q->ring_life = q->command_life;
		q->is_returned = false;
		break;
	case BOUNCE_RELEASE:
		q->released_life = q->command_life;
		break;
	case BOUNCE_LOSE:
		/* It may have been found after the appliance had gone. */
		pvio_store_once(&q->fault, BOUNCE_FINE);
		break;
	case BOUNCE_LIVE:
	case BOUNCE_ENABLE:
		break;
	}
	bounce_go_on(q->bounce);
}

void bounce_rings_lose(struct bounce *b)
{
	unsigned int i;

	for (i = 0; i < b->nr_queues; i++) {
		struct bounce_queue *q = &b->queue[i];

		q->is_lost = q->is_lost || q->state != BOUNCE_RING_NONE;
		q->state = BOUNCE_RING_NONE;
		q->is_returned = q->has_kick = q->has_call = false;
		pvio_store_once(&q->fault, BOUNCE_FINE);
	}
}

void bounce_rings_forgive(struct bounce *b)
{
	unsigned int i;

	for (i = 0; i < b->nr_queues; i++)
		pvio_store_once(&b->queue[i].fault, BOUNCE_FINE);
}

bool bounce_rings_are_none(const struct bounce *b)
{
	unsigned int i;

	for (i = 0; i < b->nr_queues; i++)
		if (b->queue[i].state != BOUNCE_RING_NONE)
			return false;
	return true;
}

bool bounce_rings_are_quiet(const struct bounce *b)
{
	unsigned int i;

	for (i = 0; i < b->nr_queues; i++)
		if (b->queue[i].is_busy || b->queue[i].is_lost)
			return false;
	return true;
}

bool bounce_rings_are_over(const struct bounce *b)
{
	unsigned int i;

	for (i = 0; i < b->nr_queues; i++)
		if (b->queue[i].released_life != ring_life(&b->queue[i]))
			return false;
	return bounce_rings_are_none(b) && bounce_rings_are_quiet(b);
}

enum bounce_fault bounce_rings_fault(const struct bounce *b)
{
	enum bounce_fault fault = BOUNCE_FINE;
	unsigned int i;

	for (i = 0; i < b->nr_queues && fault == BOUNCE_FINE; i++)
		fault = pvio_load_acquire(&b->queue[i].fault);
	return fault;
}

/* --- messages: back -------------------------------------------------------- */

static struct bounce_queue *ring_asked(struct bounce *b)
{
	return &b->queue[b->question.ring];
}

static void ring_returned(struct bounce *b, const uint8_t *payload, size_t size)
{
	struct bounce_queue *q = ring_asked(b);

	(void)payload;
	if (size != sizeof(struct vu_vring_state)) {
		broker_distrust(b->port,
				"answers GET_VRING_BASE with %zu bytes", size);
		return;
	}
	q->state = BOUNCE_RING_NONE;
	q->is_returned = true;
}

static void ring_ask(struct bounce_queue *q, uint32_t request,
		     const void *payload, size_t size, uint32_t number,
		     void (*answered)(struct bounce *, const uint8_t *, size_t))
{
	q->bounce->question.ring = q->index;
	bounce_ask(q->bounce, request, payload, size, number, answered);
}

bool bounce_rings_return(struct bounce *b)
{
	struct vu_vring_state state = { .num = 0 };
	unsigned int i;

	for (i = 0; i < b->nr_queues; i++) {
		struct bounce_queue *q = &b->queue[i];

		if (!ring_is_stale(q))
			continue;
		q->state = BOUNCE_RING_RETURNING;
		state.index = i;
		ring_ask(q, VU_GET_VRING_BASE, &state, sizeof(state), 0,
			 ring_returned);
		return true;
	}
	return false;
}

/* --- messages: there ------------------------------------------------------- */

/*
 * What the appliance will not take from us no driver gets: it is told that the
 * device is broken, and begins anew.
 */
static bool ring_is_taken(struct bounce *b, const uint8_t *payload, size_t size)
{
	if (bounce_is_ack(payload, size))
		return true;
	bounce_break(b, "the appliance refuses its queue");
	ring_asked(b)->state = BOUNCE_RING_REFUSED;
	return false;
}

/* On to the next message: the states are in the order of these. */
static void ring_told(struct bounce *b, const uint8_t *payload, size_t size)
{
	struct bounce_queue *q = ring_asked(b);

	if (ring_is_taken(b, payload, size))
		q->state++;
}

/* The call is set up.  Of several that were under way only the last counts. */
static void ring_call_done(void *arg, int rc)
{
	struct bounce_queue *q = arg;
	struct bounce *b = q->bounce;

	if (--q->nr_calling > 0 || q->state != BOUNCE_RING_CALLING ||
	    rc == -ENOTCONN)
		return;
	if (rc < 0) {
		pvio_log_limited(&b->port->broker->log_limit, PVIO_LOG_WARNING,
				 "%s: queue %u: no doorbell: %s", b->port->name,
				 q->index, strerror(-rc));
		bounce_break(b, "the appliance has no doorbell");
		q->state = BOUNCE_RING_REFUSED;
		return;
	}
	q->call_number = (uint32_t)rc;
	q->has_call = true;
	q->state = BOUNCE_RING_CALLED;
	bounce_go_on(b);
}

static void ring_tell_addr(struct bounce_queue *q)
{
	const struct vu_vring_addr addr = {
		.index = q->index,
		.desc = RING_UVA + q->at.desc,
		.avail = RING_UVA + q->at.avail,
		.used = RING_UVA + q->at.used,
	};

	ring_ask(q, VU_SET_VRING_ADDR, &addr, sizeof(addr), 0, ring_told);
}

static void ring_tell_kick(struct bounce_queue *q)
{
	const uint64_t index = q->index;
	struct bounce *b = q->bounce;
	int rc = 0;

	if (!q->has_kick) {
		bounce_queue_renew_kick(q);
		rc = broker_ring_kick(b->port, q->index, q->kick_fd,
				      &q->kick_number);
	}
	if (rc < 0) {
		pvio_log_limited(&b->port->broker->log_limit, PVIO_LOG_WARNING,
				 "%s: queue %u: no interrupt: %s",
				 b->port->name, q->index, strerror(-rc));
		bounce_break(b, "the appliance has no interrupt");
		q->state = BOUNCE_RING_REFUSED;
		return;
	}
	q->has_kick = true;
	ring_ask(q, VU_SET_VRING_KICK, &index, sizeof(index), q->kick_number,
		 ring_told);
}

static void ring_is_enabled(struct bounce *b, const uint8_t *payload,
			    size_t size)
{
	struct bounce_queue *q = ring_asked(b);
	bool was_live = q->state == BOUNCE_RING_LIVE;

	if (!ring_is_taken(b, payload, size))
		return;
	q->state = BOUNCE_RING_LIVE;
	q->command_wish = q->heard_wish;
	ring_command(q, was_live ? BOUNCE_ENABLE : BOUNCE_LIVE, q->ring_life);
}

/* Once a session: the eventfds are the same for each life. */
static void ring_set_call(struct bounce_queue *q)
{
	q->state = BOUNCE_RING_CALLING;
	q->nr_calling++;
	broker_ring_call(q->bounce->port, q->index, q->call_fd, ring_call_done,
			 q);
}

static void ring_tell_call(struct bounce_queue *q)
{
	const uint64_t index = q->index;

	ring_ask(q, VU_SET_VRING_CALL, &index, sizeof(index), q->call_number,
		 ring_told);
}

static void ring_tell_enable(struct bounce_queue *q)
{
	struct vu_vring_state state = { .index = q->index };

	q->heard_wish = pvio_load_acquire(&q->wish);
	state.num = q->heard_wish & 1;
	ring_ask(q, VU_SET_VRING_ENABLE, &state, sizeof(state), 0,
		 ring_is_enabled);
}

static void ring_tell_state(struct bounce_queue *q, uint32_t request,
			    uint32_t num)
{
	const struct vu_vring_state state = { .index = q->index, .num = num };

	ring_ask(q, request, &state, sizeof(state), 0, ring_told);
}

/* The message that is next for @q.  False: none is, yet. */
static bool ring_tell(struct bounce_queue *q)
{
	switch (q->state) {
	case BOUNCE_RING_NUM:
		ring_tell_state(q, VU_SET_VRING_NUM, q->size);
		return true;
	case BOUNCE_RING_BASE:
		ring_tell_state(q, VU_SET_VRING_BASE, 0);
		return true;
	case BOUNCE_RING_ADDR:
		ring_tell_addr(q);
		return true;
	case BOUNCE_RING_CALL:
		if (!q->has_call) {
			ring_set_call(q);
			return true;
		}
		q->state = BOUNCE_RING_CALLED;
		ring_tell_call(q);
		return true;
	case BOUNCE_RING_CALLED:
		ring_tell_call(q);
		return true;
	case BOUNCE_RING_KICK:
		ring_tell_kick(q);
		return true;
	case BOUNCE_RING_ENABLE:
		ring_tell_enable(q);
		return true;
	case BOUNCE_RING_LIVE:
		if (q->heard_wish == pvio_load_acquire(&q->wish) || q->is_busy)
			return false;
		ring_tell_enable(q);
		return true;
	case BOUNCE_RING_NONE:
	case BOUNCE_RING_PREPARING:
	case BOUNCE_RING_CALLING:
	case BOUNCE_RING_RETURNING:
	case BOUNCE_RING_REFUSED:
		break;
	}
	return false;
}

bool bounce_rings_give(struct bounce *b)
{
	unsigned int i;

	for (i = 0; i < b->nr_queues; i++)
		if (ring_tell(&b->queue[i]))
			return true;
	return false;
}

/* --- the memory that they are in ------------------------------------------- */

void bounce_memory_table(const struct bounce *b, struct vu_memory_table *table)
{
	const struct broker_port *port = b->port;

	*table = (struct vu_memory_table){
		.nr = 1,
		.region[0] = {
			.gpa = port->share_offset,
			.size = port->share_bytes,
			.uva = RING_UVA + port->share_offset,
			.mmap_offset = port->share_offset,
		},
	};
}
