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
 * The doorbell's value is peer << 16 | vector; ivshmem-signals.c says who is
 * which.
 *
 * What a client has not read is not in force.  So whoever hands out a number
 * waits until the socket is empty.
 */
#include "ivshmem.h"

#include <endian.h>
#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define IVSHMEM_VERSION	    0
#define IVSHMEM_MEMORY	    (-1)
#define IVSHMEM_VECTORS	    32

/* Each has a descriptor: a client that reads as it should leaves none. */
#define IVSHMEM_MAX_QUEUED 1024
#define IVSHMEM_POLL_US    1000

/* --- the client's end ----------------------------------------------------- */

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
	pvio_job_cancel(&c->leave_job);
	if (c->read_event)
		event_free(c->read_event);
	if (c->write_event)
		event_free(c->write_event);
	if (c->poll_event)
		event_free(c->poll_event);
	c->read_event = c->write_event = c->poll_event = NULL;
	ivshmem_keep_nothing(c);
	pvio_stream_fini(&c->stream);
	ivshmem_forget_signals(c);
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

static void ivshmem_left(struct carrier *c)
{
	pvio_log_limited(&c->broker->log_limit, PVIO_LOG_INFO,
			 "%s: ivshmem: client left", c->broker->name);
	ivshmem_gone(c);
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

	(void)fd;
	(void)what;
	n = pvio_stream_receive(&c->stream, &byte, 1, NULL);
	if (n == 0)
		return;
	if (n > 0 || n == -EPROTO) {
		ivshmem_drop(c, "it sends");
		return;
	}
	ivshmem_left(c);
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
	else
		ivshmem_keep_sent(c);
}

static void ivshmem_writable(evutil_socket_t fd, short what, void *arg)
{
	struct carrier *c = arg;

	(void)fd;
	(void)what;
	ivshmem_sent(c, pvio_stream_flush(&c->stream));
}

void ivshmem_send(struct carrier *c, int64_t value, int fd)
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

void ivshmem_poll_soon(struct carrier *c)
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
	else if (pvio_now_ns() - c->waits_ns > c->broker->timeout_ms * 1000000)
		ivshmem_drop(c, "it reads nothing");
	else
		ivshmem_poll_soon(c);
}

/* --- the client's beginning ----------------------------------------------- */

int ivshmem_attach(struct carrier *c, int fd)
{
	struct event_base *base = pvio_worker_base(c->broker->control);
	socklen_t len = sizeof(c->cred);

	pvio_stream_init(&c->stream, fd, c->endpoint.closer);
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
	return 0;
}

static int ivshmem_begin(struct carrier *c, int fd)
{
	int rc = ivshmem_attach(c, fd);

	if (rc < 0)
		return rc;
	pvio_log_limited(&c->broker->log_limit, PVIO_LOG_INFO,
			 "%s: ivshmem: client is process %lld of user %lld",
			 c->broker->name, (long long)c->cred.pid,
			 (long long)c->cred.uid);
	ivshmem_keep_begin(c);
	ivshmem_send(c, IVSHMEM_VERSION, -1);
	ivshmem_send(c, IVSHMEM_CLIENT, -1);
	ivshmem_send(c, IVSHMEM_MEMORY, c->broker->memory.fd);
	broker_appliance_came(c->broker);
	return 0;
}

static bool ivshmem_may_serve(void *arg)
{
	struct carrier *c = arg;

	/* It may have left, and come again, before we look. */
	if (c->has_client && ivshmem_is_hung_up(c->stream.fd))
		ivshmem_left(c);
	return c->has_client || broker_is_clean(c->broker);
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
		pvio_socket_close(c->endpoint.closer, fd);
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
	for (i = 0; i < IVSHMEM_MAX_VECTORS; i++)
		c->spare_fd[i] = -1;
	for (i = 0; i < CARRIER_MAX_SLOTS; i++) {
		c->kicks[i].carrier = c;
		c->kicks[i].lent_fd = c->kicks[i].from_fd = -1;
		c->calls[i].carrier = c;
		c->calls[i].fd = -1;
	}
	pvio_endpoint_init(&c->endpoint, broker->name, broker->control,
			   "ivshmem", ivshmem_serve, c);
	c->endpoint.may_serve = ivshmem_may_serve;
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
	int rc = pvio_endpoint_open(&c->endpoint);

	if (rc == 0)
		ivshmem_resume(c);
	return rc;
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
