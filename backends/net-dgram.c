/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-dgram.c - frames over a unix datagram socket, one frame a datagram
 *
 *	backend = { type = "dgram"; local = "/run/a.sock";
 *	            remote = "/run/b.sock"; };
 *
 * What QEMU speaks as `-netdev dgram` with unix addresses.  Datagrams are
 * received and sent a batch a system call; frames from the guest collect in
 * `tx` until the batch is flushed.  There is no connection: while nobody is at
 * the remote path, frames are lost.  A remote that does not read fills its
 * socket and then our buffer, and sending waits - for STALL_MS, then frames are
 * dropped until it reads again.
 *
 * A datagram with descriptors is none: those are closed, and nothing is read
 * while too many have yet to close.
 */
#include "backends/net.h"
#include "core/socket.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RX_BATCH 16
#define RX_TURNS 4 /* batches a turn of the worker */
#define TX_BATCH 64
#define TX_BYTES (4 * PVIO_NET_MAX_FRAME)
#define STALL_MS 1000
#define HOLD_MS  100

_Static_assert(RX_BATCH *PVIO_RIGHTS_MAX <= PVIO_CLOSER_MAX_AT_ONCE,
	       "a closer takes what a batch can bring");

struct dgram {
	int fd;      /* owned */
	struct pvio_closer *closer; /* owned */
	char *local; /* owned; the file is removed at the end */
	struct sockaddr_un remote;

	/* Received: messages [next, nr). */
	unsigned int rx_next, rx_nr;
	struct mmsghdr rx_msg[RX_BATCH];
	struct iovec rx_iov[RX_BATCH];
	union pvio_rights_room rx_rights[RX_BATCH];
	/* One byte more than a frame: what fills it was too long. */
	uint8_t rx_data[RX_BATCH][PVIO_NET_MAX_FRAME + 1];

	/* To be sent: messages [next, nr), in the first `bytes` of data. */
	unsigned int tx_next, tx_nr;
	size_t tx_bytes;
	struct mmsghdr tx_msg[TX_BATCH];
	struct iovec tx_iov[TX_BATCH];
	uint8_t tx_data[TX_BYTES];

	/* While the port runs: */
	struct pvio_net_rx *out;
	struct event *readable; /* owned */
	struct event *writable; /* owned */
	struct event *timer;    /* owned; while held */
	bool starved;           /* frames wait for rx_ready() */
	bool held;              /* nothing is read: the closer is full */
	bool full;              /* the model waits for pvio_net_tx_ready() */
	uint64_t stalled_ns;    /* since when the remote takes nothing; or 0 */
};

/* --- from the remote ----------------------------------------------------- */

/* Hand one frame to the guest.  False: the guest has to give buffers first. */
static bool dgram_deliver(struct dgram *d, const uint8_t *frame, size_t bytes)
{
	static const struct virtio_net_hdr_mrg_rxbuf none;
	struct pvio_net_room room;
	int rc;

	if (bytes < PVIO_NET_MIN_FRAME || bytes > PVIO_NET_MAX_FRAME) {
		pvio_net_rx_drop(d->out);
		return true;
	}
	if (!pvio_net_rx_wants(d->out, frame, bytes))
		return true;
	rc = pvio_net_rx_begin(d->out, bytes, bytes, &room);
	if (rc == -ENOBUFS)
		return false;
	if (rc < 0 || room.bytes < bytes) {
		pvio_net_rx_drop(d->out);
		return true;
	}
	pvio_iov_put(room.iov, room.nr_iov, 0, frame, bytes);
	pvio_net_rx_commit(d->out, &none, bytes);
	return true;
}

/* Deliver what was received.  False: the guest has no buffers. */
static bool dgram_drain(struct dgram *d)
{
	for (; d->rx_next < d->rx_nr; d->rx_next++)
		if (!dgram_deliver(d, d->rx_data[d->rx_next],
				   d->rx_msg[d->rx_next].msg_len))
			return false;
	return true;
}

/* What its peers sent takes long to close: that is theirs to wait for. */
static void dgram_hold(struct dgram *d)
{
	static const struct timeval tv = { 0, HOLD_MS * 1000 };

	d->held = pvio_closer_is_full(d->closer);
	if (d->held)
		event_add(d->timer, &tv);
}

/* What came with one of the batch makes it no frame. */
static void dgram_close_rights(struct dgram *d)
{
	struct pvio_rights rights;
	bool any = false;
	unsigned int i;

	for (i = 0; i < d->rx_nr; i++) {
		if (likely(d->rx_msg[i].msg_hdr.msg_controllen == 0))
			continue;
		pvio_rights_take(&rights, &d->rx_msg[i].msg_hdr);
		if (!pvio_rights_close(&rights, d->closer))
			continue;
		d->rx_msg[i].msg_len = 0;
		any = true;
	}
	if (any)
		dgram_hold(d);
}

/* The next batch.  False: there is none, or nothing is read while held. */
static bool dgram_receive(struct dgram *d)
{
	unsigned int i;
	int n;

	if (unlikely(d->held)) {
		event_del(d->readable);
		return false;
	}
	for (i = 0; i < RX_BATCH; i++)
		d->rx_msg[i].msg_hdr.msg_controllen = sizeof(d->rx_rights[i]);
	n = recvmmsg(d->fd, d->rx_msg, RX_BATCH,
		     MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
	d->rx_next = 0;
	d->rx_nr = n > 0 ? (unsigned int)n : 0;
	dgram_close_rights(d);
	return n > 0;
}

static void dgram_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct dgram *d = arg;
	unsigned int turns = RX_TURNS;

	(void)fd;
	(void)what;
	while (dgram_drain(d))
		if (turns-- == 0 || !dgram_receive(d))
			return;
	d->starved = true;
	event_del(d->readable);
}

static void dgram_read_again(struct dgram *d)
{
	event_add(d->readable, NULL);
	dgram_on_readable(d->fd, EV_READ, d);
}

static void dgram_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct dgram *d = arg;

	(void)fd;
	(void)what;
	dgram_hold(d);
	if (!d->held && !d->starved)
		dgram_read_again(d);
}

static void dgram_rx_ready(void *p)
{
	struct dgram *d = p;

	if (!d->starved)
		return;
	d->starved = false;
	dgram_read_again(d);
}

/* --- to the remote ------------------------------------------------------- */

static void dgram_stalled(struct dgram *d)
{
	static const struct timeval stall = { STALL_MS / 1000,
					      STALL_MS % 1000 * 1000 };

	if (d->stalled_ns == 0)
		d->stalled_ns = pvio_now_ns();
	event_add(d->writable, &stall);
}

static void dgram_write(struct dgram *d)
{
	int n;

	while (d->tx_next < d->tx_nr) {
		n = sendmmsg(d->fd, d->tx_msg + d->tx_next,
			     d->tx_nr - d->tx_next,
			     MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			dgram_stalled(d);
			return;
		}
		if (n < 0) {
			/* Nobody there, or it does not like this one. */
			d->tx_next++;
			pvio_net_rx_drop(d->out);
			continue;
		}
		d->stalled_ns = 0;
		d->tx_next += (unsigned int)n;
	}
	d->tx_next = d->tx_nr = 0;
	d->tx_bytes = 0;
}

static void dgram_flush(void *p)
{
	struct dgram *d = p;

	if (d->stalled_ns == 0)
		dgram_write(d);
}

/* The remote takes frames again - or did not for so long that they go lost. */
static void dgram_on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct dgram *d = arg;

	(void)fd;
	(void)what;
	dgram_write(d);
	if (d->full) {
		d->full = false;
		pvio_net_tx_ready(d->out);
	}
}

static bool dgram_is_stuck(const struct dgram *d)
{
	return d->stalled_ns != 0 &&
	       pvio_now_ns() - d->stalled_ns >= STALL_MS * 1000000ULL;
}

static int dgram_send(void *p, const struct pvio_net_frame *frame)
{
	struct dgram *d = p;
	struct msghdr *msg;

	if (d->tx_nr == TX_BATCH || TX_BYTES - d->tx_bytes < frame->bytes) {
		dgram_flush(d);
		if (d->tx_nr > 0) {
			if (dgram_is_stuck(d))
				return -ENOBUFS;
			d->full = true;
			return -EAGAIN;
		}
	}
	d->tx_iov[d->tx_nr].iov_base = d->tx_data + d->tx_bytes;
	d->tx_iov[d->tx_nr].iov_len = pvio_iov_get(frame->iov, frame->nr_iov, 0,
						   d->tx_data + d->tx_bytes,
						   frame->bytes);
	msg = &d->tx_msg[d->tx_nr].msg_hdr;
	memset(msg, 0, sizeof(*msg));
	msg->msg_name = &d->remote;
	msg->msg_namelen = sizeof(d->remote);
	msg->msg_iov = &d->tx_iov[d->tx_nr];
	msg->msg_iovlen = 1;
	d->tx_bytes += frame->bytes;
	d->tx_nr++;
	return 0;
}

/* --- open, ports --------------------------------------------------------- */

static void dgram_close(void *backend)
{
	struct dgram *d = backend;

	if (d->fd >= 0)
		pvio_socket_close(d->closer, d->fd);
	if (d->local)
		unlink(d->local);
	pvio_closer_destroy(d->closer);
	free(d->local);
	free(d);
}

static int path_to_address(struct pvio_config *cfg, const char *key,
			   const char *path, struct sockaddr_un *addr)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	if (path[0] == '\0' || strlen(path) >= sizeof(addr->sun_path))
		return pvio_config_error(cfg, key, "no path for a socket");
	strcpy(addr->sun_path, path);
	return 0;
}

/*
 * Bind to @addr.  A socket file that nobody is bound to was left behind by a
 * process that was killed, and is replaced.
 */
static int dgram_bind(const char *device, struct dgram *d,
		      const struct sockaddr_un *addr)
{
	const struct sockaddr *sa = (const struct sockaddr *)addr;
	struct stat st;
	int rc;

	if (bind(d->fd, sa, sizeof(*addr)) == 0)
		goto bound;
	rc = -errno;
	if (rc == -EADDRINUSE && lstat(addr->sun_path, &st) == 0 &&
	    S_ISSOCK(st.st_mode) && connect(d->fd, sa, sizeof(*addr)) < 0 &&
	    errno == ECONNREFUSED && unlink(addr->sun_path) == 0 &&
	    bind(d->fd, sa, sizeof(*addr)) == 0)
		goto bound;
	pvio_log(PVIO_LOG_ERROR, "%s: bind %s: %s", device, addr->sun_path,
		 strerror(-rc));
	return rc;

bound:
	d->local = strdup(addr->sun_path);
	return d->local ? 0 : -ENOMEM;
}

static int dgram_open(const char *device, struct pvio_config *cfg,
		      unsigned int pairs, const uint8_t mac[6],
		      struct pvio_net_info *info, void **backend)
{
	const char *local, *remote;
	struct sockaddr_un addr;
	struct dgram *d;
	unsigned int i;
	int rc;

	(void)pairs;
	(void)mac;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->fd = -1;
	rc = pvio_closer_create(&d->closer);
	if (rc < 0)
		goto close_dgram;
	rc = pvio_config_string(cfg, "local", &local);
	if (rc < 0)
		goto close_dgram;
	rc = pvio_config_string(cfg, "remote", &remote);
	if (rc < 0)
		goto close_dgram;
	rc = path_to_address(cfg, "local", local, &addr);
	if (rc < 0)
		goto close_dgram;
	rc = path_to_address(cfg, "remote", remote, &d->remote);
	if (rc < 0)
		goto close_dgram;
	d->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0) {
		rc = -errno;
		goto close_dgram;
	}
	rc = pvio_config_is_trial(cfg) ? 0 : dgram_bind(device, d, &addr);
	if (rc < 0)
		goto close_dgram;
	for (i = 0; i < RX_BATCH; i++) {
		d->rx_iov[i].iov_base = d->rx_data[i];
		d->rx_iov[i].iov_len = sizeof(d->rx_data[i]);
		d->rx_msg[i].msg_hdr.msg_iov = &d->rx_iov[i];
		d->rx_msg[i].msg_hdr.msg_iovlen = 1;
		d->rx_msg[i].msg_hdr.msg_control = d->rx_rights[i].space;
	}
	*info = (struct pvio_net_info){
		.max_pairs = 1,
		.link_up = true,
	};
	*backend = d;
	return 0;

close_dgram:
	dgram_close(d);
	return rc;
}

static void dgram_stop_port(void *p)
{
	struct dgram *d = p;

	if (d->readable)
		event_free(d->readable);
	if (d->writable)
		event_free(d->writable);
	if (d->timer)
		event_free(d->timer);
	d->readable = d->writable = d->timer = NULL;
	d->out = NULL;
}

static int dgram_start_port(void *backend, unsigned int pair,
			    struct pvio_worker *worker, struct pvio_net_rx *rx,
			    void **port)
{
	struct event_base *base = pvio_worker_base(worker);
	struct dgram *d = backend;

	(void)pair;
	d->out = rx;
	d->starved = d->rx_next < d->rx_nr;
	d->full = false;
	d->stalled_ns = 0;
	d->readable = event_new(base, d->fd, EV_READ | EV_PERSIST,
				dgram_on_readable, d);
	d->writable = event_new(base, d->fd, EV_WRITE, dgram_on_writable, d);
	d->timer = evtimer_new(base, dgram_on_timer, d);
	if (!d->readable || !d->writable || !d->timer ||
	    event_add(d->readable, NULL) < 0) {
		dgram_stop_port(d);
		return -ENOMEM;
	}
	dgram_hold(d);
	*port = d;
	return 0;
}

static const struct pvio_net_backend_ops dgram_ops = {
	.abi = PVIO_PLUGIN_ABI,
	.name = "dgram",
	.open = dgram_open,
	.close = dgram_close,
	.start_port = dgram_start_port,
	.stop_port = dgram_stop_port,
	.send = dgram_send,
	.flush = dgram_flush,
	.rx_ready = dgram_rx_ready,
};
PVIO_PLUGIN(net_backend, dgram, dgram_ops);
