/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ivshmem-signals.c - kicks are vectors of the client, calls are peers of it
 *
 * Vectors cannot be taken back: a kick slot that gets another eventfd takes the
 * next vector, and when they are used up it keeps the last one, and we relay
 * from the new eventfd to the one that was lent.  Those that a process before us
 * has lent (ivshmem-kept.c) are relayed to when there are no others.
 *
 * A call slot that gets another eventfd becomes another peer, with one vector:
 * QEMU (7.2) frees what it had for a peer that is gone, and if the same one came
 * again would write there.  The appliance learns the new number some time later.
 * What it rings meanwhile reaches the eventfd before, so we watch the last few,
 * without reading them, and pass on what is not consumed there.  A slot that has
 * had its share of peers becomes an eventfd of ours, from which we relay, for
 * good.
 */
#include "ivshmem.h"

#include "core/eventfd.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

/* What a slot may use up of them. */
#define IVSHMEM_SLOT_PEERS 1024

/* --- kicks ---------------------------------------------------------------- */

/*
 * What we have relayed is taken back: a VMM takes what it finds in its eventfd
 * for a kick that is its own to serve.  Without waiting: it is not only ours.
 */
static void ivshmem_kick_rest(struct ivshmem_kick *k)
{
	uint64_t count;
	struct iovec iov = { &count, sizeof(count) };

	if (k->event)
		event_free(k->event);
	if (k->from_fd >= 0) {
		(void)!preadv2(k->from_fd, &iov, 1, -1, RWF_NOWAIT);
		close(k->from_fd);
	}
	k->event = NULL;
	k->from_fd = -1;
}

/* Every write is an edge, and however many there are in a turn, they are one. */
static void ivshmem_relay(evutil_socket_t fd, short what, void *arg)
{
	struct ivshmem_kick *k = arg;

	(void)fd;
	(void)what;
	k->carrier->relayed++;
	/* One that is made to block is of no use to its owner any more. */
	if (pvio_eventfd_signal(k->lent_fd) < 0)
		ivshmem_kick_rest(k);
}

/* From @fd to the vector that the slot has. */
static int ivshmem_kick_relay(struct carrier *c, struct ivshmem_kick *k, int fd)
{
	int own = pvio_eventfd_dup(fd);

	if (own < 0)
		return own;
	k->event = event_new(pvio_worker_base(c->broker->control), own,
			     EV_READ | EV_PERSIST | EV_ET, ivshmem_relay, k);
	if (!k->event || event_add(k->event, NULL) < 0) {
		if (k->event)
			event_free(k->event);
		k->event = NULL;
		close(own);
		return -ENOMEM;
	}
	k->from_fd = own;
	return 0;
}

static int ivshmem_kick_lend(struct carrier *c, struct ivshmem_kick *k, int fd)
{
	int own = pvio_eventfd_dup(fd);

	if (own < 0)
		return own;
	if (k->lent_fd >= 0)
		close(k->lent_fd);
	k->lent_fd = own;
	k->vector = c->next_vector++;
	c->lent++;
	ivshmem_keep_vector(c, k->vector, own);
	ivshmem_send(c, IVSHMEM_CLIENT, own);
	return 0;
}

/* Vectors that must be left for rings which have had none yet. */
static unsigned int ivshmem_reserved(const struct carrier *c)
{
	const struct broker *broker = c->broker;
	unsigned int port, ring, nr = 0;

	for (port = 0; port < broker->nr_ports; port++)
		for (ring = 0; ring < broker->port[port].facts.nr_queues;
		     ring++)
			if (c->kicks[carrier_slot(port, ring)].lent_fd < 0)
				nr++;
	return nr > c->nr_spares ? nr - c->nr_spares : 0;
}

int ivshmem_set_kick(struct carrier *c, unsigned int slot, int fd,
		     uint32_t *number)
{
	struct ivshmem_kick *k = &c->kicks[slot];
	unsigned int left = (unsigned int)c->nr_vectors - c->next_vector;
	int rc = 0;

	if (!c->has_client)
		return fd < 0 ? 0 : -ENOTCONN;
	ivshmem_kick_rest(k);
	if (fd < 0)
		return 0;
	if (k->lent_fd < 0 && left == 0)
		ivshmem_kick_spare(c, k);
	if (k->lent_fd < 0)
		rc = left > 0 ? ivshmem_kick_lend(c, k, fd) : -ENOSPC;
	else if (!pvio_eventfd_is_same(k->lent_fd, fd))
		/* Control's number is the same for ever. */
		rc = slot != CARRIER_SLOT_CONTROL && left > ivshmem_reserved(c)
			     ? ivshmem_kick_lend(c, k, fd)
			     : ivshmem_kick_relay(c, k, fd);
	if (rc == 0)
		*number = k->vector;
	return rc;
}

/* --- calls ---------------------------------------------------------------- */

static void ivshmem_link_free(struct ivshmem_link *link)
{
	if (!link)
		return;
	if (link->event)
		event_free(link->event);
	if (link->fd >= 0)
		close(link->fd);
	free(link);
}

/* What came to a peer's eventfd is for the one that the slot has now. */
static void ivshmem_forward(evutil_socket_t fd, short what, void *arg)
{
	struct ivshmem_link *link = arg;
	struct ivshmem_call *call = link->call;

	(void)fd;
	(void)what;
	if (call->fd < 0)
		return;
	call->carrier->forwarded++;
	if (pvio_eventfd_signal(call->fd) < 0) {
		close(call->fd);
		call->fd = -1;
	}
}

/*
 * Watch each link whose eventfd is not the one that the slot has now: of that
 * one nothing has to be passed on, nor may be, for it would come here again.
 * Where nobody can tell which it is, none of the ones before is watched.
 */
static int ivshmem_links_watch(struct ivshmem_call *call)
{
	struct event_base *base =
		pvio_worker_base(call->carrier->broker->control);
	bool can_tell = pvio_eventfd_is_same(call->fd, call->fd);
	unsigned int i;

	for (i = 0; i < IVSHMEM_LINKS && call->link[i]; i++) {
		struct ivshmem_link *link = call->link[i];
		bool is_watched = i == 0 ? call->is_relayed
					 : can_tell &&
						   !pvio_eventfd_is_same(
							   link->fd, call->fd);

		if (link->event && !is_watched) {
			event_free(link->event);
			link->event = NULL;
		}
		if (link->event || !is_watched)
			continue;
		link->event = event_new(base, link->fd,
					EV_READ | EV_PERSIST | EV_ET,
					ivshmem_forward, link);
		if (!link->event || event_add(link->event, NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void ivshmem_link_drop(struct carrier *c, struct ivshmem_link *link)
{
	if (link) {
		ivshmem_keep_peer(c, link->peer, false);
		ivshmem_send(c, link->peer, -1);
	}
	ivshmem_link_free(link);
}

/* @link is the slot's latest; the one in place @last makes room for it. */
static void ivshmem_link_first(struct ivshmem_call *call,
			       struct ivshmem_link *link, unsigned int last)
{
	memmove(&call->link[1], &call->link[0], last * sizeof(call->link[0]));
	call->link[0] = link;
}

/* A new peer that rings @fd (taken). */
static int ivshmem_link(struct ivshmem_call *call, int fd)
{
	struct ivshmem_link *link = calloc(1, sizeof(*link));
	struct carrier *c = call->carrier;

	if (!link) {
		close(fd);
		return -ENOMEM;
	}
	*link = (struct ivshmem_link){ .peer = c->next_peer++,
				       .fd = fd,
				       .call = call };
	ivshmem_link_drop(c, call->link[IVSHMEM_LINKS - 1]);
	ivshmem_link_first(call, link, IVSHMEM_LINKS - 1);
	ivshmem_keep_peer(c, link->peer, true);
	ivshmem_send(c, link->peer, fd);
	return 0;
}

/*
 * Have a peer ring @call->fd, which is another one than before: often that
 * before the last, since QEMU goes to and fro when its guest masks a vector.
 */
static int ivshmem_call_link(struct ivshmem_call *call)
{
	unsigned int i;
	int fd, rc;

	if (call->is_relayed)
		return 0;
	call->carrier->swaps += call->link[0] != NULL;
	for (i = 0; i < IVSHMEM_LINKS && call->link[i]; i++)
		if (pvio_eventfd_is_same(call->link[i]->fd, call->fd)) {
			ivshmem_link_first(call, call->link[i], i);
			return 0;
		}
	if (call->lent < IVSHMEM_SLOT_PEERS &&
	    call->carrier->next_peer < IVSHMEM_LAST_LENT) {
		call->lent++;
		fd = pvio_eventfd_dup(call->fd);
		return fd < 0 ? fd : ivshmem_link(call, fd);
	}
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	rc = ivshmem_link(call, fd);
	call->is_relayed = rc == 0;
	return rc;
}

/* Nobody rings it any more: but one of ours may. */
static void ivshmem_call_rest(struct ivshmem_call *call)
{
	unsigned int i;

	if (call->fd >= 0)
		close(call->fd);
	call->fd = -1;
	for (i = call->is_relayed; i < IVSHMEM_LINKS; i++) {
		ivshmem_link_drop(call->carrier, call->link[i]);
		call->link[i] = NULL;
	}
}

static int ivshmem_call_set(struct ivshmem_call *call, int fd)
{
	int own, rc;

	if (call->fd >= 0 && pvio_eventfd_is_same(call->fd, fd))
		return 0;
	own = pvio_eventfd_dup(fd);
	if (own < 0)
		return own;
	if (call->fd >= 0)
		close(call->fd);
	call->fd = own;
	rc = ivshmem_call_link(call);
	if (rc == 0)
		rc = ivshmem_links_watch(call);
	if (rc < 0) {
		close(call->fd);
		call->fd = -1;
	}
	return rc;
}

void ivshmem_set_call(struct carrier *c, unsigned int slot, int fd,
		      pvio_done_fn *done, void *arg)
{
	struct ivshmem_call *call = &c->calls[slot];
	struct ivshmem_wait *wait;
	int rc = 0;

	if (!c->has_client) {
		done(arg, -ENOTCONN);
		return;
	}
	if (fd < 0)
		ivshmem_call_rest(call);
	else
		rc = ivshmem_call_set(call, fd);
	if (fd < 0 || rc < 0) {
		done(arg, rc < 0 ? rc : IVSHMEM_NOBODY << IVSHMEM_PEER_SHIFT);
		return;
	}
	wait = malloc(sizeof(*wait));
	if (!wait) {
		done(arg, -ENOMEM);
		return;
	}
	*wait = (struct ivshmem_wait){ .peer = call->link[0]->peer,
				       .done = done,
				       .arg = arg };
	if (pvio_list_empty(&c->waits))
		c->waits_ns = pvio_now_ns();
	pvio_list_add_tail(&c->waits, &wait->node);
	ivshmem_poll_soon(c);
}

/* --- the end -------------------------------------------------------------- */

static void ivshmem_call_forget(struct ivshmem_call *call)
{
	unsigned int i;

	for (i = 0; i < IVSHMEM_LINKS; i++) {
		ivshmem_link_free(call->link[i]);
		call->link[i] = NULL;
	}
	if (call->fd >= 0)
		close(call->fd);
	call->fd = -1;
	call->is_relayed = false;
	call->lent = 0;
}

void ivshmem_forget_signals(struct carrier *c)
{
	unsigned int i;

	for (i = 0; i < IVSHMEM_MAX_VECTORS && c->nr_spares > 0; i++)
		if (c->spare_fd[i] >= 0)
			close(ivshmem_take_spare(c, i));
	for (i = 0; i < CARRIER_MAX_SLOTS; i++) {
		ivshmem_kick_rest(&c->kicks[i]);
		if (c->kicks[i].lent_fd >= 0)
			close(c->kicks[i].lent_fd);
		c->kicks[i].lent_fd = -1;
		ivshmem_call_forget(&c->calls[i]);
	}
	c->next_vector = 0;
	c->next_peer = IVSHMEM_CLIENT + 1;
}
