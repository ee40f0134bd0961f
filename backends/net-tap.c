/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-tap.c - a tap interface of the host
 *
 *	backend = { type = "tap"; ifname = "tap0"; };
 *	backend = { type = "tap"; fds = "5:6"; };	opened by somebody else
 *
 * One file descriptor a queue pair (IFF_MULTI_QUEUE), each with the 12-byte
 * virtio-net header in front of every frame, so that checksums stay open and
 * TCP stays uncut between the guest and the host's stack or its real card.  The
 * kernel reads frames straight out of the guest's buffers and writes them
 * straight into them; only the header goes through our memory, where it is
 * checked.
 *
 * A frame's size is known only after it was read, so the read is offered room
 * for the largest one, and a byte of ours after it: where that was needed the
 * frame was cut off, and is dropped.
 *
 * The kernel keeps frames the guest has no buffers for, as many as the
 * interface's queue is long, and drops the others; we stop looking until
 * rx_ready().  An interface that is deleted leaves the descriptor useless: the
 * guest sees its link go down.
 */
#include "backends/net.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TAP_MAX_PAIRS 32
#define TAP_BUDGET    64            /* frames read a turn */
#define TAP_MAX_IOV   (IOV_MAX - 2) /* of a frame: header and spill besides */

struct tap {
	char *device; /* owned; begins messages */
	char ifname[IFNAMSIZ];
	unsigned int nr;
	int fds[TAP_MAX_PAIRS]; /* owned */
	/* Left out by the kernel's flow steering.  Each is its pair's worker's
	   while there is a port. */
	bool detached[TAP_MAX_PAIRS];
	unsigned int offloads; /* what the kernel can do */
};

struct tap_port {
	struct tap *tap;        /* borrowed, outlives us */
	struct pvio_net_rx *rx; /* borrowed */
	unsigned int pair;
	int fd;                 /* borrowed, the tap's */
	struct event *readable; /* owned */
	struct event *writable; /* owned */
	bool gone;              /* the interface does not exist any more */
	bool starved;           /* waits for rx_ready() */
	size_t largest;         /* frame without segmentation offload */
	struct iovec *iov; /* owned; [IOV_MAX] */
	uint8_t scratch[PVIO_NET_MAX_FRAME];
};

/* --- the interface ------------------------------------------------------- */

static unsigned int tap_flags(unsigned int offloads)
{
	unsigned int flags = 0;

	if (offloads & PVIO_NET_CSUM)
		flags |= TUN_F_CSUM;
	if (offloads & PVIO_NET_TSO4)
		flags |= TUN_F_TSO4;
	if (offloads & PVIO_NET_TSO6)
		flags |= TUN_F_TSO6;
	if (offloads & PVIO_NET_ECN)
		flags |= TUN_F_TSO_ECN;
	if (offloads & PVIO_NET_UFO)
		flags |= TUN_F_UFO;
	if (offloads & PVIO_NET_USO)
		flags |= TUN_F_USO4 | TUN_F_USO6;
	return flags;
}

static int tap_set_offloads(void *backend, unsigned int to_guest)
{
	struct tap *tap = backend;

	if (ioctl(tap->fds[0], TUNSETOFFLOAD,
		  (unsigned long)tap_flags(to_guest)) < 0)
		return -errno;
	return 0;
}

/* Ask for everything, then for what older kernels know. */
static void tap_probe_offloads(struct tap *tap)
{
	static const unsigned int sets[] = {
		PVIO_NET_SOFT_OFFLOADS | PVIO_NET_UFO,
		PVIO_NET_SOFT_OFFLOADS,
		PVIO_NET_CSUM | PVIO_NET_TSO4 | PVIO_NET_TSO6 | PVIO_NET_ECN |
			PVIO_NET_UFO,
		PVIO_NET_CSUM | PVIO_NET_TSO4 | PVIO_NET_TSO6 | PVIO_NET_ECN,
		PVIO_NET_CSUM,
		0,
	};
	unsigned int i;

	for (i = 0; i < pvio_array_size(sets); i++)
		if (tap_set_offloads(tap, sets[i]) == 0)
			break;
	tap->offloads = i < pvio_array_size(sets) ? sets[i] : 0;
	tap_set_offloads(tap, 0);
}

/* The interface's MTU, as far as our network namespace knows it; else 0. */
static unsigned int tap_mtu(const struct tap *tap)
{
	struct ifreq ifr;
	int fd, rc;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	memset(&ifr, 0, sizeof(ifr));
	memcpy(ifr.ifr_name, tap->ifname, IFNAMSIZ);
	rc = ioctl(fd, SIOCGIFMTU, &ifr);
	close(fd);
	return rc < 0 || ifr.ifr_mtu < 0 || ifr.ifr_mtu > UINT16_MAX
		       ? 0
		       : (unsigned int)ifr.ifr_mtu;
}

static int tap_error(const struct tap *tap, const char *what, int err)
{
	pvio_log(PVIO_LOG_ERROR, "%s: %s: %s: %s", tap->device,
		 tap->ifname[0] ? tap->ifname : "tap", what, strerror(err));
	return -err;
}

/*
 * The kernel spreads flows over the queues that are attached: one whose guest
 * side is off must be left out.  The first always stays, and drops.
 */
static void tap_attach(struct tap *tap, unsigned int pair, bool attach)
{
	struct ifreq ifr;

	if (pair == 0 || attach != tap->detached[pair])
		return;
	memset(&ifr, 0, sizeof(ifr));
	ifr.ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
	if (ioctl(tap->fds[pair], TUNSETQUEUE, &ifr) < 0)
		tap_error(tap, "change the queues in use", errno);
	else
		tap->detached[pair] = !attach;
}

/*
 * What both ways of getting a descriptor end in.  Takes @fd as the next pair's;
 * an error is returned.
 */
static int tap_add_fd(struct tap *tap, int fd)
{
	int size = PVIO_NET_HDR_BYTES, little = 1, flags;

	if (fd < 0)
		return fd;
	tap->fds[tap->nr++] = fd;
	if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0)
		return tap_error(tap, "set header size", errno);
	if (ioctl(fd, TUNSETVNETLE, &little) < 0)
		return tap_error(tap, "set header byte order", errno);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return tap_error(tap, "set non-blocking", errno);
	return 0;
}

/* Attach one more queue of the interface @tap->ifname. */
static int tap_open_queue(struct tap *tap, bool multi)
{
	struct ifreq ifr;
	int fd, rc;

	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return tap_error(tap, "open /dev/net/tun", errno);
	memset(&ifr, 0, sizeof(ifr));
	memcpy(ifr.ifr_name, tap->ifname, IFNAMSIZ);
	ifr.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	if (multi)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	rc = ioctl(fd, TUNSETIFF, &ifr);
	/* One queue of an interface that was made for several is fine. */
	if (rc < 0 && errno == EINVAL && !multi) {
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
		rc = ioctl(fd, TUNSETIFF, &ifr);
	}
	if (rc < 0) {
		rc = tap_error(tap, "attach", errno);
		close(fd);
		return rc;
	}
	memcpy(tap->ifname, ifr.ifr_name, IFNAMSIZ);
	return fd;
}

/* Take over a descriptor of a tap that somebody else has attached. */
static int tap_take_fd(struct tap *tap, int fd)
{
	struct ifreq ifr;
	int copy, rc;

	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return tap_error(tap, "duplicate the descriptor", errno);
	memset(&ifr, 0, sizeof(ifr));
	if (ioctl(copy, TUNGETIFF, &ifr) < 0) {
		rc = tap_error(tap, "the descriptor is not a tap's", errno);
		goto close_copy;
	}
	if ((ifr.ifr_flags & (IFF_TAP | IFF_VNET_HDR)) !=
	    (IFF_TAP | IFF_VNET_HDR)) {
		rc = tap_error(tap, "not a tap with IFF_VNET_HDR", EINVAL);
		goto close_copy;
	}
	memcpy(tap->ifname, ifr.ifr_name, IFNAMSIZ);
	return copy;

close_copy:
	close(copy);
	return rc;
}

/* --- open ---------------------------------------------------------------- */

static void tap_close(void *backend)
{
	struct tap *tap = backend;
	unsigned int i;

	for (i = 0; i < tap->nr; i++)
		close(tap->fds[i]);
	free(tap->device);
	free(tap);
}

/* "5:6:7": one descriptor a pair. */
static int tap_open_fds(struct tap *tap, struct pvio_config *cfg,
			const char *text, unsigned int pairs)
{
	char *end;
	int rc;

	while (tap->nr < pairs) {
		unsigned long n = strtoul(text, &end, 10);

		if (end == text || n > INT_MAX ||
		    *end != (tap->nr + 1 < pairs ? ':' : '\0'))
			return pvio_config_error(cfg, "fds",
						 "not %u numbers with colons",
						 pairs);
		text = end + 1;
		rc = tap_add_fd(tap, tap_take_fd(tap, (int)n));
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int tap_open_name(struct tap *tap, struct pvio_config *cfg,
			 const char *ifname, unsigned int pairs, bool create)
{
	int rc;

	if (strlen(ifname) >= IFNAMSIZ || ifname[0] == '\0')
		return pvio_config_error(cfg, "ifname",
					 "not an interface name");
	if (!create && if_nametoindex(ifname) == 0)
		return pvio_config_error(cfg, "ifname",
					 "there is no interface %s "
					 "(create = true makes one)",
					 ifname);
	strcpy(tap->ifname, ifname);
	while (tap->nr < pairs && !pvio_config_is_trial(cfg)) {
		rc = tap_add_fd(tap, tap_open_queue(tap, pairs > 1));
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int tap_open(const char *device, struct pvio_config *cfg,
		    unsigned int pairs, const uint8_t mac[6],
		    struct pvio_net_info *info, void **backend)
{
	const char *ifname = NULL, *fds = NULL;
	bool create = false;
	struct tap *tap;
	unsigned int i;
	int rc;

	(void)mac;
	if (pairs > TAP_MAX_PAIRS)
		return pvio_config_error(cfg, "type",
					 "a tap has at most %d queue pairs",
					 TAP_MAX_PAIRS);
	tap = calloc(1, sizeof(*tap));
	if (!tap)
		return -ENOMEM;
	tap->device = strdup(device);
	rc = -ENOMEM;
	if (!tap->device)
		goto close_tap;
	rc = pvio_config_string_opt(cfg, "ifname", &ifname);
	if (rc < 0)
		goto close_tap;
	rc = pvio_config_string_opt(cfg, "fds", &fds);
	if (rc < 0)
		goto close_tap;
	rc = pvio_config_bool_opt(cfg, "create", &create);
	if (rc < 0)
		goto close_tap;
	if (!ifname == !fds)
		rc = pvio_config_error(cfg, "type",
				       "a tap needs \"ifname\" or \"fds\"");
	else if (ifname)
		rc = tap_open_name(tap, cfg, ifname, pairs, create);
	else
		rc = tap_open_fds(tap, cfg, fds, pairs);
	if (rc < 0)
		goto close_tap;

	if (tap->nr > 0)
		tap_probe_offloads(tap);
	/* Until a pair has a port nobody reads its queue. */
	for (i = 1; i < tap->nr; i++)
		tap_attach(tap, i, false);
	*info = (struct pvio_net_info){
		.offloads_from_guest = tap->offloads,
		.offloads_to_guest = tap->offloads,
		.max_pairs = TAP_MAX_PAIRS,
		.mtu = (uint16_t)tap_mtu(tap),
		.link_up = true,
	};
	*backend = tap;
	return 0;

close_tap:
	tap_close(tap);
	return rc;
}

/* --- frames -------------------------------------------------------------- */

static pvio_cold void tap_gone(struct tap_port *port, int err)
{
	port->gone = true;
	event_del(port->readable);
	event_del(port->writable);
	tap_error(port->tap, "interface is gone", err);
	pvio_net_link_changed(port->rx, false);
}

/*
 * What a read that failed means: false, there is no more.  EFAULT would be guest
 * memory that was truncated, which the queue finds out for itself.
 */
static bool tap_read_error(struct tap_port *port)
{
	int err = errno;

	if (err == EBADFD || err == EIO || err == ENODEV)
		tap_gone(port, err);
	else if (err != EAGAIN && err != EINTR)
		pvio_net_rx_drop(port->rx);
	return false;
}

/* Is a frame that was read one that the guest can take, and wants? */
static bool tap_accept(struct tap_port *port, const struct pvio_net_room *room,
		       struct virtio_net_hdr_mrg_rxbuf *hdr, size_t bytes)
{
	uint8_t valid = hdr->hdr.flags & VIRTIO_NET_HDR_F_DATA_VALID;
	struct pvio_net_rx *rx = port->rx;
	uint8_t head[18];
	size_t len;

	if (bytes < PVIO_NET_MIN_FRAME || bytes > PVIO_NET_MAX_FRAME ||
	    !pvio_net_hdr_check(hdr, bytes, rx->offloads)) {
		pvio_net_rx_drop(rx);
		return false;
	}
	if (rx->offloads & PVIO_NET_CSUM && !hdr->hdr.flags)
		hdr->hdr.flags = valid;
	if (rx->wants_all)
		return true;
	len = pvio_iov_get(room->iov, room->nr_iov, 0, head,
			   pvio_min(sizeof(head), bytes));
	return pvio_net_rx_wants(rx, head, len);
}

/* Read one frame.  False: none has come, or there is no buffer for it. */
static bool tap_receive(struct tap_port *port)
{
	struct virtio_net_hdr_mrg_rxbuf hdr;
	struct pvio_net_rx *rx = port->rx;
	bool large = rx->offloads & ~(PVIO_NET_CSUM | PVIO_NET_ECN);
	size_t want = large ? PVIO_NET_MAX_FRAME : port->largest;
	struct pvio_net_room room;
	uint8_t spill;
	ssize_t n;
	int rc, nr;

	rc = pvio_net_rx_begin(rx, PVIO_NET_MIN_FRAME, want, &room);
	if (rc == -ENOBUFS) {
		port->starved = true;
		event_del(port->readable);
		return false;
	}
	if (rc < 0) {
		if (read(port->fd, port->scratch, sizeof(port->scratch)) < 0)
			return tap_read_error(port);
		pvio_net_rx_drop(rx);
		return true;
	}
	nr = (int)pvio_min((uint64_t)room.nr_iov, TAP_MAX_IOV);
	if (nr < room.nr_iov)
		room.bytes = pvio_iov_length(room.iov, nr);
	port->iov[0].iov_base = &hdr;
	port->iov[0].iov_len = sizeof(hdr);
	memcpy(port->iov + 1, room.iov, (size_t)nr * sizeof(*room.iov));
	port->iov[nr + 1].iov_base = &spill;
	port->iov[nr + 1].iov_len = sizeof(spill);
	n = readv(port->fd, port->iov, nr + 2);
	if (n < 0)
		return tap_read_error(port);
	if ((size_t)n < sizeof(hdr))
		return true;
	if ((size_t)n > sizeof(hdr) + room.bytes) {
		pvio_net_rx_drop(rx);
		return true;
	}
	if (tap_accept(port, &room, &hdr, (size_t)n - sizeof(hdr)))
		pvio_net_rx_commit(rx, &hdr, (size_t)n - sizeof(hdr));
	return true;
}

static void tap_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct tap_port *port = arg;
	unsigned int budget = TAP_BUDGET;

	(void)fd;
	(void)what;
	while (budget-- > 0 && tap_receive(port))
		;
}

static void tap_rx_ready(void *p)
{
	struct tap_port *port = p;

	if (!port->starved || port->gone)
		return;
	port->starved = false;
	if (port->tap->detached[port->pair])
		return;
	event_add(port->readable, NULL);
	tap_on_readable(port->fd, EV_READ, port);
}

static void tap_on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct tap_port *port = arg;

	(void)fd;
	(void)what;
	pvio_net_tx_ready(port->rx);
}

static int tap_send(void *p, const struct pvio_net_frame *frame)
{
	struct tap_port *port = p;
	struct virtio_net_hdr_mrg_rxbuf hdr = frame->hdr;
	int nr = frame->nr_iov;
	ssize_t n;

	if (unlikely(port->gone || port->tap->detached[port->pair]))
		return -ENETDOWN;
	port->iov[0].iov_base = &hdr;
	port->iov[0].iov_len = sizeof(hdr);
	if (likely(nr <= TAP_MAX_IOV)) {
		memcpy(port->iov + 1, frame->iov,
		       (size_t)nr * sizeof(*frame->iov));
	} else {
		/* More pieces than the system takes: in one of ours. */
		nr = 1;
		port->iov[1].iov_base = port->scratch;
		port->iov[1].iov_len = pvio_iov_get(frame->iov, frame->nr_iov,
						    0, port->scratch,
						    frame->bytes);
	}
	n = writev(port->fd, port->iov, nr + 1);
	if (likely(n >= 0))
		return 0;
	switch (errno) {
	case EAGAIN:
		event_add(port->writable, NULL);
		return -EAGAIN;
	case EBADFD:
	case ENODEV:
		tap_gone(port, errno);
		return -ENETDOWN;
	default:
		/* EINVAL: the kernel does not like it; EIO: interface down. */
		return -errno;
	}
}

/* --- ports --------------------------------------------------------------- */

static void tap_stop_port(void *p)
{
	struct tap_port *port = p;

	tap_attach(port->tap, port->pair, false);
	if (port->readable)
		event_free(port->readable);
	if (port->writable)
		event_free(port->writable);
	free(port->iov);
	free(port);
}

static int tap_start_port(void *backend, unsigned int pair,
			  struct pvio_worker *worker, struct pvio_net_rx *rx,
			  void **port_out)
{
	struct event_base *base = pvio_worker_base(worker);
	struct tap *tap = backend;
	struct tap_port *port;
	unsigned int mtu = tap_mtu(tap);

	port = calloc(1, sizeof(*port));
	if (!port)
		return -ENOMEM;
	port->tap = tap;
	port->rx = rx;
	port->pair = pair;
	port->fd = tap->fds[pair];
	port->largest = pvio_max(mtu, 1500) + PVIO_NET_LINK_BYTES - 4;
	port->readable = event_new(base, port->fd, EV_READ | EV_PERSIST,
				   tap_on_readable, port);
	port->writable = event_new(base, port->fd, EV_WRITE, tap_on_writable,
				   port);
	port->iov = calloc(IOV_MAX, sizeof(*port->iov));
	if (!port->readable || !port->writable || !port->iov ||
	    event_add(port->readable, NULL) < 0) {
		tap_stop_port(port);
		return -ENOMEM;
	}
	tap_attach(tap, pair, true);
	*port_out = port;
	return 0;
}

static void tap_use_port(void *p, bool use)
{
	struct tap_port *port = p;

	if (port->gone)
		return;
	if (!use && port->pair > 0)
		event_del(port->readable);
	tap_attach(port->tap, port->pair, use);
	if (use && !port->starved)
		event_add(port->readable, NULL);
}

static const struct pvio_net_backend_ops tap_ops = {
	.abi = PVIO_PLUGIN_ABI,
	.name = "tap",
	.open = tap_open,
	.close = tap_close,
	.set_offloads = tap_set_offloads,
	.start_port = tap_start_port,
	.stop_port = tap_stop_port,
	.use_port = tap_use_port,
	.send = tap_send,
	.rx_ready = tap_rx_ready,
};
PVIO_PLUGIN(net_backend, tap, tap_ops);
