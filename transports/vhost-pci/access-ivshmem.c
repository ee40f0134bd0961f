/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * access-ivshmem.c - a window at an ivshmem server's socket
 *
 * We are a client of the server, as QEMU's ivshmem-doorbell is.  It only talks,
 * in messages of 64 bits, some with a descriptor:
 *
 *	0			the version
 *	n			our number
 *	-1  + fd		the memory
 *	n   + fd		our next interrupt is this eventfd
 *	m   + fd		the next one of peer m: the doorbell writes to it
 *	m			peer m is gone
 *
 * The value m << 16 | i for the doorbell is the eventfd i of peer m.  Queues'
 * workers write to those while peers come and go: that is what the lock is for.
 *
 * When the server goes the window leaves; we connect again when nobody uses it
 * any more.
 */
#include "window.h"

#include "core/eventfd.h"
#include "transports/stream/endpoint.h"
#include "transports/stream/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Numbers are 16 bits; so many can be there at once, and those beyond are not. */
#define IVSHMEM_NR_PEERS    65536
#define IVSHMEM_MAX_PEERS   4096
#define IVSHMEM_MAX_VECTORS 16 /* of a peer */
#define IVSHMEM_VERSION	    0
/* At first; a server that is not there for long is asked less often. */
#define IVSHMEM_RECONNECT_MS 50
/* Then others' events get their turn. */
#define IVSHMEM_MESSAGES_PER_TURN 64

enum ivshmem_stage {
	IVSHMEM_WANT_VERSION,
	IVSHMEM_WANT_NUMBER,
	IVSHMEM_WANT_MEMORY,
	IVSHMEM_PEERS,
	IVSHMEM_OVER, /* the window has left, or nobody is connected */
};

struct ivshmem_peer {
	unsigned int nr;
	int fd[IVSHMEM_MAX_VECTORS]; /* owned; -1: of no use */
	/* It blocks, and is closed when the peer goes; atomic. */
	bool is_given_up[IVSHMEM_MAX_VECTORS];
};

struct ivshmem {
	struct window *window; /* borrowed */
	struct pvio_endpoint endpoint;
	struct pvio_stream stream;
	struct event *read_event; /* owned */
	enum ivshmem_stage stage;
	uint8_t message[sizeof(uint64_t)]; /* being received */
	size_t got;
	struct pvio_fds fds; /* of it */

	int64_t number;
	unsigned int nr_vectors;
	int vector[WINDOW_MAX_VECTORS]; /* owned; -1: of no use */
	unsigned int nr_peers;
	pthread_rwlock_t lock;
	struct ivshmem_peer *peer[IVSHMEM_NR_PEERS]; /* owned; of the lock */
};

/* --- messages ------------------------------------------------------------- */

static int ivshmem_take_memory(struct ivshmem *iv, int *fd)
{
	struct stat st;
	int rc;

	if (fstat(*fd, &st) < 0)
		return -errno;
	rc = window_came(iv->window, *fd, NULL, (uint64_t)st.st_size);
	if (rc == 0)
		*fd = -1;
	return rc;
}

static void ivshmem_close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

/*
 * What another VMM made, and the server hands on: -1 in its place if it is no
 * eventfd, since that is not the server's fault.
 */
static int ivshmem_take_eventfd(int *fd)
{
	int eventfd = *fd;

	if (!pvio_eventfd_is(eventfd) ||
	    pvio_eventfd_set_nonblocking(eventfd) < 0)
		return -1;
	*fd = -1;
	return eventfd;
}

static int ivshmem_take_vector(struct ivshmem *iv, int *fd)
{
	if (iv->nr_vectors == WINDOW_MAX_VECTORS)
		return -ENOSPC;
	iv->vector[iv->nr_vectors++] = ivshmem_take_eventfd(fd);
	/* Interrupt 0 may be what the window waits for. */
	window_look_soon(iv->window);
	return 0;
}

/* The peer, or a new one; NULL: there can be no more. */
static struct ivshmem_peer *ivshmem_find_peer(struct ivshmem *iv,
					      int64_t number)
{
	if (iv->peer[number] || iv->nr_peers == IVSHMEM_MAX_PEERS)
		return iv->peer[number];
	iv->peer[number] = calloc(1, sizeof(*iv->peer[number]));
	if (iv->peer[number])
		iv->nr_peers++;
	return iv->peer[number];
}

static void ivshmem_take_peer(struct ivshmem *iv, int64_t number, int *fd)
{
	int eventfd = ivshmem_take_eventfd(fd);
	struct ivshmem_peer *peer;

	pthread_rwlock_wrlock(&iv->lock);
	peer = ivshmem_find_peer(iv, number);
	if (peer && peer->nr < IVSHMEM_MAX_VECTORS) {
		peer->fd[peer->nr++] = eventfd;
		eventfd = -1;
	}
	pthread_rwlock_unlock(&iv->lock);
	ivshmem_close_fd(eventfd);
	/* The host may be this peer, which could not be told anything yet. */
	window_tell(iv->window);
}

static void ivshmem_drop_peer(struct ivshmem *iv, int64_t number)
{
	struct ivshmem_peer *peer;

	pthread_rwlock_wrlock(&iv->lock);
	peer = iv->peer[number];
	iv->peer[number] = NULL;
	pthread_rwlock_unlock(&iv->lock);
	if (!peer)
		return;
	iv->nr_peers--;
	while (peer->nr > 0)
		ivshmem_close_fd(peer->fd[--peer->nr]);
	free(peer);
}

static int ivshmem_take_peers(struct ivshmem *iv, int64_t value, int *fd)
{
	if (value < 0 || value >= IVSHMEM_NR_PEERS)
		return -EPROTO;
	if (value == iv->number)
		return *fd < 0 ? 0 : ivshmem_take_vector(iv, fd);
	if (*fd < 0)
		ivshmem_drop_peer(iv, value);
	else
		ivshmem_take_peer(iv, value, fd);
	return 0;
}

/* A message, with *fd or -1; what is taken of it is -1 then. */
static int ivshmem_handle(struct ivshmem *iv, int64_t value, int *fd)
{
	int rc = -EPROTO;

	switch (iv->stage) {
	case IVSHMEM_WANT_VERSION:
		if (value != IVSHMEM_VERSION || *fd >= 0)
			return -EPROTO;
		iv->stage = IVSHMEM_WANT_NUMBER;
		return 0;
	case IVSHMEM_WANT_NUMBER:
		if (value < 0 || value > UINT16_MAX || *fd >= 0)
			return -EPROTO;
		iv->number = value;
		iv->stage = IVSHMEM_WANT_MEMORY;
		return 0;
	case IVSHMEM_WANT_MEMORY:
		if (value == -1 && *fd >= 0)
			rc = ivshmem_take_memory(iv, fd);
		if (rc == 0)
			iv->stage = IVSHMEM_PEERS;
		return rc;
	case IVSHMEM_PEERS:
		return ivshmem_take_peers(iv, value, fd);
	case IVSHMEM_OVER:
		break;
	}
	return rc;
}

/* Go on receiving.  1: a message was handled; 0: nothing more; -errno. */
static int ivshmem_receive(struct ivshmem *iv)
{
	uint64_t value;
	ssize_t n;
	int rc;

	while (iv->got < sizeof(iv->message)) {
		n = pvio_stream_receive(&iv->stream, iv->message + iv->got,
					sizeof(iv->message) - iv->got,
					iv->got ? NULL : &iv->fds);
		if (n <= 0)
			return (int)n;
		iv->got += (size_t)n;
	}
	memcpy(&value, iv->message, sizeof(value));
	rc = -EPROTO;
	if (iv->fds.nr == 0)
		iv->fds.fd[0] = -1;
	if (iv->fds.nr <= 1 && !iv->fds.are_lost)
		rc = ivshmem_handle(iv, (int64_t)le64toh(value),
				    &iv->fds.fd[0]);
	pvio_stream_close_fds(&iv->stream, &iv->fds);
	iv->got = 0;
	return rc < 0 ? rc : 1;
}

/* --- connections ---------------------------------------------------------- */

/* Everything of the connection; nobody uses it any more. */
static void ivshmem_disconnect(struct ivshmem *iv)
{
	unsigned int i;

	if (iv->read_event)
		event_free(iv->read_event);
	iv->read_event = NULL;
	pvio_stream_fini(&iv->stream);
	pvio_stream_close_fds(&iv->stream, &iv->fds);
	iv->got = 0;
	while (iv->nr_vectors > 0)
		ivshmem_close_fd(iv->vector[--iv->nr_vectors]);
	for (i = 0; i < IVSHMEM_NR_PEERS && iv->nr_peers > 0; i++)
		ivshmem_drop_peer(iv, i);
	iv->stage = IVSHMEM_OVER;
}

static void ivshmem_again(void *access)
{
	struct ivshmem *iv = access;

	ivshmem_disconnect(iv);
	pvio_endpoint_again(&iv->endpoint);
}

static void ivshmem_lose(struct ivshmem *iv, int rc)
{
	bool is_there = iv->stage == IVSHMEM_PEERS;

	if (iv->stage == IVSHMEM_OVER)
		return;
	if (rc == -ENOTCONN)
		pvio_log_limited(&iv->endpoint.log_limit, PVIO_LOG_INFO,
				 "window %s: the server left",
				 iv->window->place);
	else
		pvio_log_limited(&iv->endpoint.log_limit, PVIO_LOG_WARNING,
				 "window %s: connection closed: %s",
				 iv->window->place,
				 rc == -EPROTO ? "not an ivshmem server"
					       : strerror(-rc));
	iv->stage = IVSHMEM_OVER;
	event_del(iv->read_event);
	/* Sessions may still use eventfds and memory. */
	if (is_there)
		window_left(iv->window);
	else
		ivshmem_again(iv);
}

static void ivshmem_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ivshmem *iv = arg;
	unsigned int i;
	int rc = 1;

	(void)fd;
	(void)what;
	for (i = 0; i < IVSHMEM_MESSAGES_PER_TURN && rc > 0; i++)
		rc = ivshmem_receive(iv);
	if (rc < 0)
		ivshmem_lose(iv, rc);
}

static int ivshmem_serve(void *arg, int fd)
{
	struct ivshmem *iv = arg;

	pvio_stream_init(&iv->stream, fd, iv->endpoint.closer);
	iv->read_event = event_new(iv->endpoint.base, fd, EV_READ | EV_PERSIST,
				   ivshmem_readable, iv);
	if (!iv->read_event || event_add(iv->read_event, NULL) < 0) {
		ivshmem_disconnect(iv);
		return -ENOMEM;
	}
	iv->stage = IVSHMEM_WANT_VERSION;
	return 0;
}

/* --- the window's --------------------------------------------------------- */

/*
 * Who names an interrupt has sent it before: it may be in the socket.  What is
 * wrong there the next event finds, too.
 */
static int ivshmem_vector(void *access, uint32_t number)
{
	struct ivshmem *iv = access;
	unsigned int i;

	for (i = 0; i < WINDOW_MAX_VECTORS && number >= iv->nr_vectors &&
		    iv->stage == IVSHMEM_PEERS; i++) {
		int rc = ivshmem_receive(iv);

		if (rc < 0)
			ivshmem_lose(iv, rc);
		if (rc <= 0)
			break;
	}
	if (number >= iv->nr_vectors || iv->vector[number] < 0)
		return -ENOENT;
	return iv->vector[number];
}

/* -EINTR: it blocked, and is not written to again. */
static int ivshmem_signal(struct ivshmem_peer *peer, unsigned int vector)
{
	int rc;

	if (peer->fd[vector] < 0 || pvio_load_once(&peer->is_given_up[vector]))
		return 0;
	rc = pvio_eventfd_signal(peer->fd[vector]);
	/* Not closed: other workers may be about to write to it. */
	if (unlikely(rc == -EINTR))
		pvio_store_once(&peer->is_given_up[vector], true);
	return rc;
}

static void ivshmem_ring(void *access, uint32_t value)
{
	struct ivshmem *iv = access;
	unsigned int number = value >> 16, vector = value & UINT16_MAX;
	struct ivshmem_peer *peer;
	int rc = 0;

	pthread_rwlock_rdlock(&iv->lock);
	peer = iv->peer[number];
	if (peer && vector < peer->nr)
		rc = ivshmem_signal(peer, vector);
	pthread_rwlock_unlock(&iv->lock);
	if (unlikely(rc == -EINTR))
		pvio_log_limited(&iv->window->log_limit, PVIO_LOG_WARNING,
				 "window %s: eventfd %u of peer %u blocks: let "
				 "go",
				 iv->window->place, vector, number);
}

static void ivshmem_close(void *access)
{
	struct ivshmem *iv = access;

	pvio_endpoint_close(&iv->endpoint);
	ivshmem_disconnect(iv);
	pvio_endpoint_fini(&iv->endpoint);
	pthread_rwlock_destroy(&iv->lock);
	free(iv);
}

static int ivshmem_open(struct window *w, const char *place, void **access)
{
	struct ivshmem *iv;
	int rc;

	iv = calloc(1, sizeof(*iv));
	if (!iv)
		return -ENOMEM;
	iv->window = w;
	iv->stage = IVSHMEM_OVER;
	pvio_stream_init(&iv->stream, -1, NULL);
	pthread_rwlock_init(&iv->lock, NULL);
	pvio_endpoint_init(&iv->endpoint, place, w->control, "ivshmem",
			   ivshmem_serve, iv);
	iv->endpoint.connects = true;
	iv->endpoint.reconnect_ms = IVSHMEM_RECONNECT_MS;
	iv->endpoint.path = strdup(place);
	rc = iv->endpoint.path ? pvio_endpoint_open(&iv->endpoint) : -ENOMEM;
	if (rc < 0) {
		ivshmem_close(iv);
		return rc;
	}
	*access = iv;
	return 0;
}

const struct window_access_ops window_ivshmem_ops = {
	.name	= "ivshmem",
	.open	= ivshmem_open,
	.close	= ivshmem_close,
	.again	= ivshmem_again,
	.vector	= ivshmem_vector,
	.ring	= ivshmem_ring,
};
