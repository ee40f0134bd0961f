/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ivshmem.c - the carrier for any QEMU: the server of its ivshmem-doorbell
 *
 *	-chardev socket,path=SOCKET,id=w
 *	-device ivshmem-doorbell,chardev=w,vectors=32
 *
 * A message to the client is a little-endian int64, perhaps with a descriptor;
 * the client says nothing.
 *
 *	0             the protocol's version
 *	0             the client's own id
 *	-1 + fd       the memory: until here the client waits
 *	0 + fd        its next interrupt vector: whoever writes to fd interrupts
 *	n + fd        peer n: what it writes to its doorbell for n goes to fd
 *	n             peer n is gone
 *
 * Vectors cannot be taken back: a kick slot that gets another eventfd takes the
 * next vector, and when they are used up it keeps the last one, and we relay
 * from the new eventfd to the one that was lent.
 *
 * The doorbell's value is peer << 16 | vector.  A call slot that gets another
 * eventfd becomes another peer, with one vector: QEMU (7.2) frees what it had
 * for a peer that is gone, and if the same one came again would write there.
 * The appliance learns the new number some time later.  What it rings meanwhile
 * reaches the eventfd before, so we watch the last few, without reading them,
 * and pass on what is not consumed there.  A slot that has had its share of
 * peers becomes an eventfd of ours, from which we relay, for good.
 *
 * What a client has not read is not in force.  So whoever hands out a number
 * waits until the socket is empty.
 */
#include "broker.h"

#include "core/eventfd.h"
#include "transports/stream/endpoint.h"
#include "transports/stream/stream.h"

#include <endian.h>
#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define IVSHMEM_VERSION	    0
#define IVSHMEM_CLIENT	    0
#define IVSHMEM_MEMORY	    (-1)
#define IVSHMEM_MAX_VECTORS 2048 /* QEMU's limit is MSI-X's */
#define IVSHMEM_VECTORS	    32
#define IVSHMEM_PEER_SHIFT  16
/* A doorbell's value is also a return code: not negative. */
#define IVSHMEM_NOBODY	    0x7fff
/* What a slot may use up of them, of which some are left for every slot. */
#define IVSHMEM_SLOT_PEERS  1024
#define IVSHMEM_LAST_LENT   (IVSHMEM_NOBODY - CARRIER_MAX_SLOTS)
#define IVSHMEM_LINKS	    4

/* Each has a descriptor: a client that reads as it should leaves none. */
#define IVSHMEM_MAX_QUEUED 1024
#define IVSHMEM_POLL_US	   1000

struct ivshmem_kick {
	uint32_t vector;
	int lent_fd;	     /* owned; what the vector is; -1: it has none */
	int from_fd;	     /* owned; relayed to it; -1: nothing is */
	struct event *event; /* owned; of from_fd */
	struct carrier *carrier;
};

struct ivshmem_call;

/* A peer, and what its doorbell writes to. */
struct ivshmem_link {
	uint32_t peer;	     /* 0: none */
	int fd;		     /* owned */
	struct event *event; /* owned; of fd, where it is not the slot's own */
	struct ivshmem_call *call;
};

struct ivshmem_call {
	struct carrier *carrier;
	int fd; /* owned; to be written to; -1 */
	/* The latest first. */
	struct ivshmem_link *link[IVSHMEM_LINKS];
	bool is_relayed; /* the latest is an eventfd of ours, for good */
	unsigned int lent;
};

/* One who waits until what was sent is in force. */
struct ivshmem_wait {
	struct pvio_list node;
	uint32_t peer;
	pvio_done_fn *done;
	void *arg;
};

struct carrier {
	struct broker *broker; /* borrowed */
	struct pvio_endpoint endpoint;
	uint64_t nr_vectors; /* configuration */

	bool has_client;
	struct pvio_stream stream;
	struct event *read_event, *write_event, *poll_event; /* owned */
	struct pvio_job leave_job;
	struct ucred cred; /* whose it is */
	unsigned int next_vector;
	struct ivshmem_kick kicks[CARRIER_MAX_SLOTS];
	uint32_t next_peer;
	struct ivshmem_call calls[CARRIER_MAX_SLOTS];
	struct pvio_list waits;
	uint64_t waits_ns; /* since when some wait */

	uint64_t clients, refused, lent, swaps;
	uint64_t relayed, forwarded; /* kicks; calls */
};

/* --- the client's end ----------------------------------------------------- */

static void ivshmem_kick_rest(struct ivshmem_kick *k)
{
	if (k->event)
		event_free(k->event);
	if (k->from_fd >= 0)
		close(k->from_fd);
	k->event = NULL;
	k->from_fd = -1;
}

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

static void ivshmem_waits_end(struct carrier *c, int rc)
{
	struct ivshmem_wait *wait;
	struct pvio_list waits;

	/* What is asked for from within waits for the next time. */
	pvio_list_init(&waits);
	while (!pvio_list_empty(&c->waits)) {
		wait = pvio_list_entry(c->waits.next, struct ivshmem_wait,
				       node);
		pvio_list_del(&wait->node);
		pvio_list_add_tail(&waits, &wait->node);
	}
	while (!pvio_list_empty(&waits)) {
		wait = pvio_list_entry(waits.next, struct ivshmem_wait, node);
		pvio_list_del(&wait->node);
		wait->done(wait->arg,
			   rc < 0 ? rc
				  : (int)(wait->peer << IVSHMEM_PEER_SHIFT));
		free(wait);
	}
}

static void ivshmem_forget(struct carrier *c)
{
	unsigned int i;

	pvio_job_cancel(&c->leave_job);
	if (c->read_event)
		event_free(c->read_event);
	if (c->write_event)
		event_free(c->write_event);
	if (c->poll_event)
		event_free(c->poll_event);
	c->read_event = c->write_event = c->poll_event = NULL;
	pvio_stream_fini(&c->stream);
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

static void ivshmem_gone(struct carrier *c)
{
	if (!c->has_client)
		return;
	c->has_client = false;
	ivshmem_forget(c);
	ivshmem_waits_end(c, -ENOTCONN);
	broker_appliance_left(c->broker);
}

static void ivshmem_leave(struct pvio_job *job)
{
	ivshmem_gone(pvio_container_of(job, struct carrier, leave_job));
}

/* Not from here: the caller may be in the middle of something. */
static void ivshmem_drop(struct carrier *c, const char *why)
{
	if (!c->has_client || pvio_job_is_pending(&c->leave_job))
		return;
	pvio_log_limited(&c->broker->log_limit, PVIO_LOG_WARNING,
			 "%s: ivshmem: client dropped: %s", c->broker->name,
			 why);
	event_del(c->read_event);
	event_del(c->write_event);
	pvio_worker_schedule(c->broker->control, &c->leave_job);
}

/* A client has nothing to say: it has left, or is none. */
static void ivshmem_readable(evutil_socket_t fd, short what, void *arg)
{
	struct carrier *c = arg;
	char byte;
	ssize_t n;

	(void)what;
	n = recv((int)fd, &byte, 1, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		ivshmem_drop(c, "it sends");
		return;
	}
	pvio_log_limited(&c->broker->log_limit, PVIO_LOG_INFO,
			 "%s: ivshmem: client left", c->broker->name);
	ivshmem_gone(c);
}

/* --- sending -------------------------------------------------------------- */

static void ivshmem_sent(struct carrier *c, int rc)
{
	if (rc < 0)
		ivshmem_drop(c, strerror(-rc));
	else if (c->stream.nr_queued > IVSHMEM_MAX_QUEUED)
		ivshmem_drop(c, "it reads nothing");
	else if (pvio_stream_is_sending(&c->stream))
		event_add(c->write_event, NULL);
}

static void ivshmem_writable(evutil_socket_t fd, short what, void *arg)
{
	struct carrier *c = arg;

	(void)fd;
	(void)what;
	ivshmem_sent(c, pvio_stream_flush(&c->stream));
}

static void ivshmem_send(struct carrier *c, int64_t value, int fd)
{
	uint64_t wire = htole64((uint64_t)value);

	/* One that is being dropped gets no more. */
	if (pvio_job_is_pending(&c->leave_job))
		return;
	ivshmem_sent(c, pvio_stream_send(&c->stream, &wire, sizeof(wire), NULL,
					 0, fd));
}

/* Has the client read all that it was sent? */
static bool ivshmem_is_read(struct carrier *c)
{
	int left = 0;

	return !pvio_stream_is_sending(&c->stream) &&
	       ioctl(c->stream.fd, SIOCOUTQ, &left) == 0 && left == 0;
}

static void ivshmem_poll_soon(struct carrier *c)
{
	const struct timeval tv = { .tv_usec = IVSHMEM_POLL_US };

	event_add(c->poll_event, &tv);
}

static void ivshmem_poll(evutil_socket_t fd, short what, void *arg)
{
	struct carrier *c = arg;

	(void)fd;
	(void)what;
	if (pvio_list_empty(&c->waits))
		return;
	if (ivshmem_is_read(c))
		ivshmem_waits_end(c, 0);
	else if (pvio_now_ns() - c->waits_ns >
		 c->broker->timeout_ms * 1000000)
		ivshmem_drop(c, "it reads nothing");
	else
		ivshmem_poll_soon(c);
}

/* --- kicks ---------------------------------------------------------------- */

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
	return nr;
}

static int ivshmem_set_kick(struct carrier *c, unsigned int slot, int fd,
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
	if (k->lent_fd < 0)
		rc = left > 0 ? ivshmem_kick_lend(c, k, fd) : -ENOSPC;
	else if (!pvio_eventfd_is_same(k->lent_fd, fd))
		rc = left > ivshmem_reserved(c) ? ivshmem_kick_lend(c, k, fd)
						: ivshmem_kick_relay(c, k, fd);
	if (rc == 0)
		*number = k->vector;
	return rc;
}

/* --- calls ---------------------------------------------------------------- */

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
					 : can_tell && !pvio_eventfd_is_same(
							       link->fd,
							       call->fd);

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
	if (link)
		ivshmem_send(c, link->peer, -1);
	ivshmem_link_free(link);
}

/* @link is the slot's latest; the one in place @last makes room for it. */
static void ivshmem_link_first(struct ivshmem_call *call,
			       struct ivshmem_link *link, unsigned int last)
{
	memmove(&call->link[1], &call->link[0],
		last * sizeof(call->link[0]));
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
	*link = (struct ivshmem_link){
		.peer = c->next_peer++, .fd = fd, .call = call
	};
	ivshmem_link_drop(c, call->link[IVSHMEM_LINKS - 1]);
	ivshmem_link_first(call, link, IVSHMEM_LINKS - 1);
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
	int fd;

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
	call->is_relayed = true;
	return ivshmem_link(call, fd);
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
	return rc < 0 ? rc : ivshmem_links_watch(call);
}

static void ivshmem_set_call(struct carrier *c, unsigned int slot, int fd,
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
	*wait = (struct ivshmem_wait){
		.peer = call->link[0]->peer, .done = done, .arg = arg
	};
	if (pvio_list_empty(&c->waits))
		c->waits_ns = pvio_now_ns();
	pvio_list_add_tail(&c->waits, &wait->node);
	ivshmem_poll_soon(c);
}

/* --- the client's beginning ----------------------------------------------- */

static int ivshmem_begin(struct carrier *c, int fd)
{
	struct event_base *base = pvio_worker_base(c->broker->control);
	socklen_t len = sizeof(c->cred);

	pvio_stream_init(&c->stream, fd);
	c->read_event = event_new(base, fd, EV_READ | EV_PERSIST,
				  ivshmem_readable, c);
	c->write_event = event_new(base, fd, EV_WRITE, ivshmem_writable, c);
	c->poll_event = evtimer_new(base, ivshmem_poll, c);
	if (!c->read_event || !c->write_event || !c->poll_event ||
	    event_add(c->read_event, NULL) < 0) {
		ivshmem_forget(c);
		return -ENOMEM;
	}
	c->cred = (struct ucred){ .pid = 0 };
	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c->cred, &len);
	c->has_client = true;
	c->clients++;
	pvio_log_limited(&c->broker->log_limit, PVIO_LOG_INFO,
			 "%s: ivshmem: client is process %lld of user %lld",
			 c->broker->name, (long long)c->cred.pid,
			 (long long)c->cred.uid);
	ivshmem_send(c, IVSHMEM_VERSION, -1);
	ivshmem_send(c, IVSHMEM_CLIENT, -1);
	ivshmem_send(c, IVSHMEM_MEMORY, c->broker->memory.fd);
	broker_appliance_came(c->broker);
	return 0;
}

/* A second one would wait for ever for what we have to say: let it know. */
static int ivshmem_serve(void *arg, int fd)
{
	struct carrier *c = arg;
	int rc = 0;

	if (c->has_client) {
		c->refused++;
		pvio_log_limited(&c->broker->log_limit, PVIO_LOG_WARNING,
				 "%s: ivshmem: a second client is refused",
				 c->broker->name);
		close(fd);
	} else {
		rc = ivshmem_begin(c, fd);
	}
	if (rc == 0)
		pvio_endpoint_again(&c->endpoint);
	return rc;
}

/* --- life ----------------------------------------------------------------- */

static void ivshmem_destroy(struct carrier *c)
{
	if (!c)
		return;
	pvio_endpoint_fini(&c->endpoint);
	free(c);
}

static int ivshmem_create(struct broker *broker, struct pvio_config *cfg,
			  struct carrier **carrier)
{
	struct carrier *c;
	unsigned int i;
	int rc;

	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->broker = broker;
	c->nr_vectors = IVSHMEM_VECTORS;
	c->stream.fd = -1;
	pvio_list_init(&c->waits);
	c->next_peer = IVSHMEM_CLIENT + 1;
	pvio_list_init(&c->stream.queue);
	pvio_job_init(&c->leave_job, ivshmem_leave);
	for (i = 0; i < CARRIER_MAX_SLOTS; i++) {
		c->kicks[i].carrier = c;
		c->kicks[i].lent_fd = c->kicks[i].from_fd = -1;
		c->calls[i].carrier = c;
		c->calls[i].fd = -1;
	}
	pvio_endpoint_init(&c->endpoint, broker->name, broker->control,
			   "ivshmem", ivshmem_serve, c);
	rc = pvio_endpoint_read_config(&c->endpoint, cfg);
	if (rc == 0)
		rc = pvio_config_uint_opt(cfg, "vectors", 2,
					  IVSHMEM_MAX_VECTORS, &c->nr_vectors);
	if (rc < 0) {
		ivshmem_destroy(c);
		return rc;
	}
	*carrier = c;
	return 0;
}

static int ivshmem_start(struct carrier *c)
{
	return pvio_endpoint_open(&c->endpoint);
}

static void ivshmem_stop(struct carrier *c, pvio_done_fn *done, void *arg)
{
	pvio_endpoint_close(&c->endpoint);
	ivshmem_gone(c);
	done(arg, 0);
}

static void ivshmem_describe(struct carrier *c, char *text, size_t size)
{
	snprintf(text, size,
		 "\"peer\": %lld, \"user\": %lld, \"clients\": %" PRIu64
		 ", \"refused\": %" PRIu64 ", \"vectors\": %" PRIu64
		 ", \"vectors_used\": %u, \"lent\": %" PRIu64
		 ", \"relayed\": %" PRIu64 ", \"forwarded\": %" PRIu64
		 ", \"swaps\": %" PRIu64,
		 c->has_client ? (long long)c->cred.pid : 0,
		 c->has_client ? (long long)c->cred.uid : 0, c->clients,
		 c->refused, c->nr_vectors, c->next_vector, c->lent, c->relayed,
		 c->forwarded, c->swaps);
}

const struct carrier_ops carrier_ivshmem_ops = {
	.name		= "ivshmem",
	.create		= ivshmem_create,
	.destroy	= ivshmem_destroy,
	.start		= ivshmem_start,
	.stop		= ivshmem_stop,
	.kick		= ivshmem_set_kick,
	.call		= ivshmem_set_call,
	.describe	= ivshmem_describe,
};
