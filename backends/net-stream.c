/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-stream.c - frames over a stream socket, as QEMU and passt speak it
 *
 *	backend = { type = "stream"; path = "/run/passt.sock"; };
 *	backend = { type = "stream"; path = "/run/lan.sock"; server = true; };
 *
 *	| length, 32 bits, big-endian | frame | length | frame | ...
 *
 * Both directions go through a buffer: the stream is read and written in large
 * pieces, many frames a system call.  Frames from the guest collect in `tx`
 * until the batch is flushed.  A peer that stops reading fills it, and sending
 * waits - for STALL_MS; from then on frames are dropped until the peer reads
 * again, as a cable with nothing at its end would drop them.
 *
 *	closed -- connect or accept --> open -- error, end, bad length --> closed
 *
 * A client tries again every reconnect_ms.  A server takes one peer at a time.
 * Who sends a descriptor is closed, and no peer is let in while those that came
 * have yet to close.
 * The guest's link is up while the connection is open.  The connection belongs
 * to the backend and stays over a reset of the guest.
 */
#include "backends/net.h"
#include "core/listen.h"
#include "core/socket.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LENGTH_BYTES sizeof(uint32_t)
#define BUFFER_BYTES (4 * (PVIO_NET_MAX_FRAME + LENGTH_BYTES))
#define RX_BUDGET    (4 * BUFFER_BYTES) /* bytes a turn */
#define STALL_MS     1000
#define HOLD_MS      100

/* Bytes on their way: [start, end) of data. */
struct buffer {
	size_t start, end;
	uint8_t data[BUFFER_BYTES];
};

struct stream {
	char *device;                   /* owned; begins messages */
	char *path;                     /* owned */
	struct pvio_listener *listener; /* owned; NULL: client */
	unsigned int reconnect_ms;
	int fd; /* owned; -1: closed */
	struct pvio_closer *closer; /* owned */
	struct pvio_log_limit limit;
	struct buffer rx, tx;

	/* While the port runs: */
	struct pvio_net_rx *out;  /* the guest; NULL: no port */
	struct event_base *base;  /* borrowed */
	struct event *readable;   /* owned; of fd */
	struct event *writable;   /* owned; of fd */
	struct event *acceptable; /* owned; of the listener */
	struct event *timer;      /* owned; look for a peer again */
	bool starved;             /* frames wait for rx_ready() */
	bool full;                /* the model waits for pvio_net_tx_ready() */
	uint64_t stalled_ns;      /* since when the peer takes nothing; or 0 */
};

static void stream_on_readable(evutil_socket_t fd, short what, void *arg);
static void stream_on_writable(evutil_socket_t fd, short what, void *arg);

/* --- connection ---------------------------------------------------------- */

static int stream_connect(struct stream *s)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, rc;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	strcpy(addr.sun_path, s->path); /* its length was checked */
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	pvio_socket_keep_oob(fd);
	s->fd = fd;
	return 0;
}

/* Watch the connection, if there is one and a port to do it for. */
static int stream_watch(struct stream *s)
{
	s->readable = event_new(s->base, s->fd, EV_READ | EV_PERSIST,
				stream_on_readable, s);
	s->writable = event_new(s->base, s->fd, EV_WRITE, stream_on_writable,
				s);
	if (s->readable && s->writable && event_add(s->readable, NULL) == 0)
		return 0;
	return -ENOMEM;
}

static void stream_unwatch(struct stream *s)
{
	if (s->readable)
		event_free(s->readable);
	if (s->writable)
		event_free(s->writable);
	s->readable = s->writable = NULL;
}

static void stream_set_timer(struct stream *s, unsigned int ms)
{
	const struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	event_add(s->timer, &tv);
}

static void stream_wait_for_peer(struct stream *s)
{
	if (s->listener)
		event_add(s->acceptable, NULL);
	else if (s->reconnect_ms > 0)
		stream_set_timer(s, s->reconnect_ms);
}

static void stream_close(struct stream *s, const char *why)
{
	pvio_log_limited(&s->limit, PVIO_LOG_INFO, "%s: %s: %s", s->device,
			 s->path, why);
	stream_unwatch(s);
	pvio_socket_close(s->closer, s->fd);
	s->fd = -1;
	s->rx.start = s->rx.end = s->tx.start = s->tx.end = 0;
	s->stalled_ns = 0;
	stream_wait_for_peer(s);
	pvio_net_link_changed(s->out, false);
	if (s->full) {
		s->full = false;
		pvio_net_tx_ready(s->out);
	}
}

static void stream_opened(struct stream *s)
{
	if (stream_watch(s) < 0) {
		stream_close(s, "out of memory");
		return;
	}
	pvio_log_limited(&s->limit, PVIO_LOG_INFO, "%s: %s: connected",
			 s->device, s->path);
	pvio_net_link_changed(s->out, true);
}

static void stream_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	if (s->listener || pvio_closer_is_full(s->closer))
		stream_wait_for_peer(s);
	else if (stream_connect(s) == 0)
		stream_opened(s);
	else
		stream_wait_for_peer(s);
}

static void stream_on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	int peer;

	(void)what;
	if (pvio_closer_is_full(s->closer)) {
		event_del(s->acceptable);
		stream_set_timer(s, HOLD_MS);
		return;
	}
	peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (peer < 0)
		return;
	/* One peer at a time: the next is taken when this one is gone. */
	event_del(s->acceptable);
	pvio_socket_keep_oob(peer);
	s->fd = peer;
	stream_opened(s);
}

/* --- from the peer ------------------------------------------------------- */

/* Hand one frame to the guest.  False: the guest has to give buffers first. */
static bool stream_deliver(struct stream *s, const uint8_t *frame, size_t bytes)
{
	static const struct virtio_net_hdr_mrg_rxbuf none;
	struct pvio_net_room room;
	int rc;

	if (bytes < PVIO_NET_MIN_FRAME) {
		pvio_net_rx_drop(s->out);
		return true;
	}
	if (!pvio_net_rx_wants(s->out, frame, bytes))
		return true;
	rc = pvio_net_rx_begin(s->out, bytes, bytes, &room);
	if (rc == -ENOBUFS)
		return false;
	if (rc < 0 || room.bytes < bytes) {
		pvio_net_rx_drop(s->out);
		return true;
	}
	pvio_iov_put(room.iov, room.nr_iov, 0, frame, bytes);
	pvio_net_rx_commit(s->out, &none, bytes);
	return true;
}

/* Deliver every whole frame of the buffer.  -EPROTO: no frame is that long. */
static int stream_parse(struct stream *s)
{
	struct buffer *b = &s->rx;
	uint32_t bytes;

	while (b->end - b->start >= LENGTH_BYTES) {
		memcpy(&bytes, b->data + b->start, LENGTH_BYTES);
		bytes = be32toh(bytes);
		if (bytes > PVIO_NET_MAX_FRAME)
			return -EPROTO;
		if (b->end - b->start - LENGTH_BYTES < bytes)
			break;
		if (!stream_deliver(s, b->data + b->start + LENGTH_BYTES,
				    bytes)) {
			s->starved = true;
			return 0;
		}
		b->start += LENGTH_BYTES + bytes;
	}
	if (b->start > 0) {
		memmove(b->data, b->data + b->start, b->end - b->start);
		b->end -= b->start;
		b->start = 0;
	}
	return 0;
}

static void stream_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	struct buffer *b = &s->rx;
	size_t budget = RX_BUDGET;
	struct pvio_rights rights;
	ssize_t n;

	(void)what;
	for (;;) {
		if (stream_parse(s) < 0) {
			stream_close(s, "the peer sent a frame too long");
			return;
		}
		if (s->starved) {
			event_del(s->readable);
			return;
		}
		/* After parse there is room: no frame fills the buffer. */
		if (budget == 0)
			return;
		n = pvio_socket_receive(
			fd, b->data + b->end,
			pvio_min(budget, sizeof(b->data) - b->end), &rights);
		if (n == -EAGAIN)
			return;
		if (pvio_rights_close(&rights, s->closer)) {
			stream_close(s, "the peer sent descriptors");
			return;
		}
		if (n <= 0) {
			stream_close(s, n == 0 ? "the peer closed the "
						 "connection"
					       : strerror((int)-n));
			return;
		}
		b->end += (size_t)n;
		budget -= (size_t)n;
	}
}

static void stream_rx_ready(void *p)
{
	struct stream *s = p;

	if (!s->starved)
		return;
	s->starved = false;
	if (s->fd < 0)
		return;
	event_add(s->readable, NULL);
	stream_on_readable(s->fd, EV_READ, s);
}

/* --- to the peer --------------------------------------------------------- */

/* Write what has collected.  -errno: the connection is lost. */
static int stream_write(struct stream *s)
{
	static const struct timeval stall = { STALL_MS / 1000,
					      STALL_MS % 1000 * 1000 };
	struct buffer *b = &s->tx;
	ssize_t n;

	while (b->start < b->end) {
		n = send(s->fd, b->data + b->start, b->end - b->start,
			 MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			if (s->stalled_ns == 0)
				s->stalled_ns = pvio_now_ns();
			event_add(s->writable, &stall);
			return 0;
		}
		if (n < 0)
			return -errno;
		s->stalled_ns = 0;
		b->start += (size_t)n;
	}
	b->start = b->end = 0;
	return 0;
}

static void stream_flush(void *p)
{
	struct stream *s = p;

	/* Where an event waits for the peer, writing is its business. */
	if (s->fd < 0 || s->stalled_ns != 0)
		return;
	/* A lost connection is noticed by reading, too, and closed there. */
	stream_write(s);
}

/* The peer takes bytes again - or did not for so long that frames go lost. */
static void stream_on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	if (stream_write(s) < 0) {
		stream_close(s, "the connection broke");
		return;
	}
	if (s->full) {
		s->full = false;
		pvio_net_tx_ready(s->out);
	}
}

static bool stream_is_stuck(const struct stream *s)
{
	return s->stalled_ns != 0 &&
	       pvio_now_ns() - s->stalled_ns >= STALL_MS * 1000000ULL;
}

static int stream_send(void *p, const struct pvio_net_frame *frame)
{
	struct stream *s = p;
	struct buffer *b = &s->tx;
	size_t need = LENGTH_BYTES + frame->bytes;
	uint32_t length = htobe32((uint32_t)frame->bytes);

	if (s->fd < 0)
		return -ENETDOWN;
	if (sizeof(b->data) - b->end < need) {
		if (s->stalled_ns == 0 && stream_write(s) < 0)
			return -EPIPE;
		if (b->start > 0) {
			memmove(b->data, b->data + b->start, b->end - b->start);
			b->end -= b->start;
			b->start = 0;
		}
		if (sizeof(b->data) - b->end < need) {
			if (stream_is_stuck(s))
				return -ENOBUFS;
			s->full = true;
			return -EAGAIN;
		}
	}
	memcpy(b->data + b->end, &length, LENGTH_BYTES);
	pvio_iov_get(frame->iov, frame->nr_iov, 0,
		     b->data + b->end + LENGTH_BYTES, frame->bytes);
	b->end += need;
	return 0;
}

/* --- open, ports --------------------------------------------------------- */

static void stream_backend_close(void *backend)
{
	struct stream *s = backend;

	pvio_listener_close(s->listener);
	if (s->fd >= 0)
		pvio_socket_close(s->closer, s->fd);
	pvio_closer_destroy(s->closer);
	free(s->path);
	free(s->device);
	free(s);
}

static int stream_open(const char *device, struct pvio_config *cfg,
		       unsigned int pairs, const uint8_t mac[6],
		       struct pvio_net_info *info, void **backend)
{
	uint64_t reconnect_ms = 1000;
	bool server = false;
	const char *path;
	struct stream *s;
	int rc;

	(void)pairs;
	(void)mac;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->fd = -1;
	rc = pvio_config_string(cfg, "path", &path);
	if (rc < 0)
		goto close_stream;
	rc = pvio_config_bool_opt(cfg, "server", &server);
	if (rc < 0)
		goto close_stream;
	rc = pvio_config_uint_opt(cfg, "reconnect_ms", 0, 3600000,
				  &reconnect_ms);
	if (rc < 0)
		goto close_stream;
	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		rc = pvio_config_error(cfg, "path", "too long for a socket");
		goto close_stream;
	}
	s->reconnect_ms = (unsigned int)reconnect_ms;
	s->device = strdup(device);
	s->path = strdup(path);
	rc = s->device && s->path ? pvio_closer_create(&s->closer) : -ENOMEM;
	if (rc < 0)
		goto close_stream;
	if (pvio_config_is_trial(cfg)) {
		rc = 0;
	} else if (server) {
		rc = pvio_listen(device, path, -1, -1, &s->listener);
		if (rc < 0)
			goto close_stream;
	} else {
		rc = stream_connect(s);
		if (rc < 0 && reconnect_ms == 0) {
			pvio_log(PVIO_LOG_ERROR, "%s: connect %s: %s", device,
				 path, strerror(-rc));
			goto close_stream;
		}
	}
	*info = (struct pvio_net_info){
		.max_pairs = 1,
		.link_up = s->fd >= 0,
	};
	*backend = s;
	return 0;

close_stream:
	stream_backend_close(s);
	return rc;
}

static void stream_stop_port(void *p)
{
	struct stream *s = p;

	stream_unwatch(s);
	if (s->acceptable)
		event_free(s->acceptable);
	if (s->timer)
		event_free(s->timer);
	s->acceptable = s->timer = NULL;
	s->out = NULL;
}

static int stream_start_port(void *backend, unsigned int pair,
			     struct pvio_worker *worker, struct pvio_net_rx *rx,
			     void **port)
{
	struct stream *s = backend;

	(void)pair;
	s->out = rx;
	s->base = pvio_worker_base(worker);
	s->starved = s->rx.end > s->rx.start;
	s->full = false;
	s->stalled_ns = 0;
	s->timer = event_new(s->base, -1, 0, stream_on_timer, s);
	if (!s->timer)
		goto no_memory;
	if (s->listener) {
		s->acceptable = event_new(
			s->base, pvio_listener_fd(s->listener),
			EV_READ | EV_PERSIST, stream_on_acceptable, s);
		if (!s->acceptable)
			goto no_memory;
	}
	if (s->fd < 0)
		stream_wait_for_peer(s);
	else if (stream_watch(s) < 0)
		goto no_memory;
	else if (s->tx.end > s->tx.start)
		event_add(s->writable, NULL);
	*port = s;
	return 0;

no_memory:
	stream_stop_port(s);
	return -ENOMEM;
}

static const struct pvio_net_backend_ops stream_ops = {
	.abi = PVIO_PLUGIN_ABI,
	.name = "stream",
	.open = stream_open,
	.close = stream_backend_close,
	.start_port = stream_start_port,
	.stop_port = stream_stop_port,
	.send = stream_send,
	.flush = stream_flush,
	.rx_ready = stream_rx_ready,
};
PVIO_PLUGIN(net_backend, stream, stream_ops);
