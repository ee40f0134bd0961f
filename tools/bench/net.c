/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.c - pvio-bench net: frames a second through a network card
 *
 * Plays a guest's poll-mode driver against a card in this process, by any
 * transports in turn, or behind any vhost-user-net or vfio-user socket, ours or
 * a peer's, that returns what it gets.
 * Driver and device each have a CPU and poll; frames go in bursts of 32, and
 * enough are under way to keep both sides busy.
 *
 *	loop-back      a frame out and back in: two rings, one copy
 *	transmit       a frame out, into nothing: one ring, no copy
 *	guest to guest out of one guest, through the switch, into another
 */
#include "bench.h"
#include "host.h"
#include "report.h"

#include "core/util.h"
#include "core/virtio.h"
#include "core/worker.h"
#include "guest/device-vfio-user.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <pvio/pvio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NET_GPA    ((uint64_t)1 << 30)
#define NET_RAM    (8u << 20)
#define NET_RING   256
#define NET_BURST  32
#define NET_WINDOW 192 /* frames under way: receive buffers never run out */
#define NET_BUFFER 2048
#define NET_HDR    sizeof(struct virtio_net_hdr_mrg_rxbuf)
#define NET_RX     0
#define NET_TX     1

/* Without one that arrives all that are under way are lost. */
#define NET_LOST_NS 20000000

/* Without one that arrives there is no figure. */
#define NET_GIVE_UP_NS 10000000000

enum net_kind {
	NET_LOOP,
	NET_TRANSMIT,
	NET_SWITCH,
	NET_NR_KINDS
};

static const char *const net_kind_names[] = { "loop-back", "transmit",
					      "guest to guest" };

struct net_options {
	const char *socket, *label;
	unsigned int cpu[2];
	unsigned long repeat, ms, size;
	unsigned int kinds; /* bits */
	struct bench_ways ways; /* of a card in this process, in turn */
	bool is_vfio_user;	/* the socket */
	bool json, kick, one_thread;
};

/* A guest: its device, and the driver's buffers. */
struct net_side {
	struct guest_memory mem;
	struct bench_device device;
	struct guest_device *gd;
	struct guest_ring *rx, *tx;
	struct guest_segment rx_seg[NET_RING], tx_seg[NET_RING];
	struct guest_segment *tx_free[NET_RING];
	unsigned int nr_tx_free;
};

struct net_bench {
	const struct net_options *o;
	enum guest_way way;
	struct bench_host host;
	struct net_side side[2]; /* of a switch; else the first */
	unsigned int nr_sides;
	unsigned long size; /* of a frame */
	enum net_kind kind;
	uint64_t sent, got;
	uint64_t begin, begin_ns; /* what had been got when the time began */
	uint64_t end_ns, give_up_ns;
	uint64_t seen, seen_ns; /* what had been got, and when that was new */
	unsigned long reaped, turns;
	struct pvio_poller poller; /* the driver, on one thread */
};

/*
 * Does the device sleep, and need kicks?  Of two threads on one CPU, a broker's
 * and an appliance's, neither may look all the time.
 */
static bool net_kicks(const struct net_bench *b)
{
	return b->o->kick || b->way == GUEST_WAY_WINDOW_BOUNCE;
}

/* --- set up --------------------------------------------------------------- */

static int net_side_start(struct net_side *s, uint64_t features)
{
	uint64_t bits[2] = { features | PVIO_BIT(VIRTIO_NET_F_MRG_RXBUF), 0 };
	unsigned int i;
	int rc;

	rc = guest_device_negotiate(s->gd, bits);
	for (i = 0; i < 2 && rc == 0; i++)
		rc = guest_device_setup_queue(s->gd, i, NET_RING);
	if (rc < 0)
		return rc;
	s->rx = guest_device_ring(s->gd, NET_RX);
	s->tx = guest_device_ring(s->gd, NET_TX);
	for (i = 0; i < NET_RING; i++) {
		if (!guest_alloc(&s->mem, NET_BUFFER, 64, &s->rx_seg[i].gpa) ||
		    !guest_alloc(&s->mem, NET_BUFFER, 64, &s->tx_seg[i].gpa))
			return -ENOSPC;
		s->rx_seg[i].len = NET_BUFFER;
		s->tx_free[s->nr_tx_free++] = &s->tx_seg[i];
	}
	rc = guest_device_start(s->gd);
	if (rc < 0)
		return rc;
	for (i = 0; i < NET_RING && rc == 0; i++)
		rc = guest_ring_add(s->rx, &s->rx_seg[i], 0, 1, &s->rx_seg[i]);
	guest_ring_disable_notify(s->rx);
	guest_ring_disable_notify(s->tx);
	if (guest_ring_publish(s->rx))
		guest_device_kick(s->gd, NET_RX);
	return rc;
}

/* Frames from side @from to side @to, addressed as the switch needs it. */
static void net_prepare_frames(struct net_bench *b, unsigned int from,
			       unsigned int to)
{
	struct net_side *s = &b->side[from];
	unsigned int i;

	for (i = 0; i < NET_RING; i++) {
		uint8_t *frame = guest_host(&s->mem, s->tx_seg[i].gpa);

		memset(frame, 0, NET_HDR + b->size);
		frame += NET_HDR;
		memcpy(frame, "\2\0\0\0\0\0\2\0\0\0\0\0\x88\xb5", 14);
		frame[5] = (uint8_t)to;
		frame[11] = (uint8_t)from;
		s->tx_seg[i].len = (uint32_t)(NET_HDR + b->size);
	}
}

static int net_side_open(struct net_bench *b, unsigned int i,
			 const char *backend)
{
	struct net_side *s = &b->side[i];
	char config[256], name[16];
	int rc;

	guest_memory_init(&s->mem);
	rc = guest_memory_add(&s->mem, NET_GPA, NET_RAM);
	if (rc < 0)
		return rc;
	b->nr_sides = i + 1;
	if (b->o->socket && b->o->is_vfio_user)
		return guest_device_open_vfio_user(b->o->socket, &s->mem,
						   &s->gd);
	if (b->o->socket)
		return guest_device_open_vhost_user(b->o->socket, &s->mem,
						    &s->gd);
	snprintf(name, sizeof(name), "guest%u", i);
	snprintf(config, sizeof(config),
		 "model = \"net\"; mac = \"02:00:00:00:00:%02x\"; "
		 "backend = { %s };",
		 i, backend);
	rc = bench_host_add(&b->host, name, config, 2, &s->mem, &s->device);
	s->gd = s->device.gd;
	return rc;
}

static int net_setup(struct net_bench *b, enum net_kind kind, uint64_t features)
{
	static const char *const backends[] = {
		[NET_LOOP] = "type = \"echo\";",
		[NET_TRANSMIT] = "type = \"null\";",
		[NET_SWITCH] = "type = \"switch\"; switch = \"bench\";",
	};
	unsigned int i, nr = kind == NET_SWITCH ? 2 : 1;
	int rc = 0;

	if (!b->o->socket) {
		rc = bench_host_init(&b->host, b->way, 1);
		if (rc < 0)
			return rc;
		pvio_worker_set_poll(b->host.worker[0],
				     b->way == GUEST_WAY_WINDOW_BOUNCE
					     ? 0
					     : UINT_MAX);
		/* A thread inherits its creator's CPU. */
		bench_pin(b->o->cpu[1]);
		rc = bench_host_start(&b->host);
	}
	bench_pin(b->o->cpu[0]);
	for (i = 0; i < nr && rc == 0; i++) {
		rc = net_side_open(b, i, backends[kind]);
		if (rc == 0)
			rc = net_side_start(&b->side[i], features);
		if (rc == 0)
			net_prepare_frames(b, i, nr - 1 - i);
	}
	return rc;
}

static void net_teardown(struct net_bench *b)
{
	unsigned int i;

	for (i = 0; i < b->nr_sides; i++) {
		if (b->o->socket)
			guest_device_close(b->side[i].gd);
		else
			bench_host_remove(&b->host, &b->side[i].device);
		guest_memory_fini(&b->side[i].mem);
	}
	bench_host_fini(&b->host);
}

/* --- drive ---------------------------------------------------------------- */

static void net_publish(struct net_bench *b, struct net_side *s,
			struct guest_ring *ring, unsigned int q)
{
	if (!net_kicks(b))
		guest_ring_expose(ring);
	else if (guest_ring_publish(ring))
		guest_device_kick(s->gd, q);
}

/* Take up to a burst of frames, and give their buffers back. */
static unsigned int net_receive(struct net_bench *b, struct net_side *s)
{
	struct guest_segment *seg;
	unsigned int n = 0;
	uint32_t len;

	while (n < NET_BURST && (seg = guest_ring_reap(s->rx, &len))) {
		guest_ring_add(s->rx, seg, 0, 1, seg);
		n++;
	}
	if (n > 0)
		net_publish(b, s, s->rx, NET_RX);
	return n;
}

/* Reap what was sent; send a burst if @room frames may be under way. */
static unsigned int net_send(struct net_bench *b, struct net_side *s,
			     uint64_t room, unsigned long *reaped)
{
	struct guest_segment *seg;
	unsigned int n;
	uint32_t len;

	for (n = 0; n < 2 * NET_BURST && (seg = guest_ring_reap(s->tx, &len));
	     n++)
		s->tx_free[s->nr_tx_free++] = seg;
	*reaped += n;
	if (room < NET_BURST || s->nr_tx_free < NET_BURST)
		return 0;
	for (n = 0; n < NET_BURST; n++) {
		seg = s->tx_free[--s->nr_tx_free];
		guest_ring_add(s->tx, seg, 1, 0, seg);
	}
	net_publish(b, s, s->tx, NET_TX);
	return n;
}

/* On one thread its own CPU time is what counts, whatever else runs here. */
static uint64_t net_now_ns(const struct net_bench *b)
{
	struct timespec ts;

	if (!b->o->one_thread)
		return pvio_now_ns();
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* How many frames have got where they were to. */
static uint64_t net_done(const struct net_bench *b)
{
	return b->kind == NET_TRANSMIT ? b->reaped : b->got;
}

/* One look of the driver at both directions. */
static void net_turn(struct net_bench *b)
{
	b->sent += net_send(b, &b->side[0], NET_WINDOW - (b->sent - net_done(b)),
			    &b->reaped);
	if (b->kind != NET_TRANSMIT)
		b->got += net_receive(b, &b->side[b->nr_sides - 1]);
	else
		b->got = b->reaped;
}

/*
 * What nobody has got for a while is lost: a network may do that, and does while
 * the other side has not put buffers there.
 */
static void net_forget_lost(struct net_bench *b, uint64_t now)
{
	if (b->seen != b->got || b->seen_ns == 0) {
		b->seen = b->got;
		b->seen_ns = now;
	} else if (now - b->seen_ns > NET_LOST_NS) {
		b->sent = net_done(b);
		b->seen_ns = now;
	}
}

/*
 * After some turns: has it lasted long enough?  The time begins when the first
 * frames have got where they were to, which other threads may have a part in.
 */
static bool net_is_over(struct net_bench *b)
{
	uint64_t now = net_now_ns(b);

	net_forget_lost(b, now);
	if (b->got == b->begin)
		return pvio_now_ns() >= b->give_up_ns;
	if (b->begin_ns == 0) {
		b->begin = b->got;
		b->begin_ns = now;
	}
	b->end_ns = now;
	return now - b->begin_ns >= b->o->ms * 1000000;
}

/* The driver as a guest of the device's worker. */
static bool net_poll(struct pvio_poller *poller)
{
	struct net_bench *b = pvio_container_of(poller, struct net_bench,
						poller);

	net_turn(b);
	if (++b->turns % 1000 == 0 && net_is_over(b))
		pvio_worker_break(b->host.worker[0]);
	return true;
}

/* Million frames a second, or negative when nothing moves. */
static double net_drive(struct net_bench *b)
{
	struct pvio_worker *worker = b->host.worker[0];
	unsigned int turn;

	/* Its thread was for bringing the device up. */
	if (b->o->one_thread)
		pvio_worker_stop(worker);
	b->give_up_ns = pvio_now_ns() + NET_GIVE_UP_NS;
	/* From here on the device looks by itself, unless net_kicks(). */
	for (turn = 0; turn < b->nr_sides; turn++) {
		guest_device_kick(b->side[turn].gd, NET_RX);
		guest_device_kick(b->side[turn].gd, NET_TX);
	}
	if (b->o->one_thread) {
		b->poller.poll = net_poll;
		pvio_worker_add_poller(worker, &b->poller);
		pvio_worker_run(worker);
		pvio_worker_remove_poller(&b->poller);
	} else {
		do {
			for (turn = 0; turn < 1000; turn++)
				net_turn(b);
		} while (!net_is_over(b));
	}
	if (b->o->one_thread && pvio_worker_start(worker) < 0)
		return -1;
	if (b->end_ns == b->begin_ns)
		return -1;
	return (double)(b->got - b->begin) * 1000 /
	       (double)(b->end_ns - b->begin_ns);
}

static int net_run(struct bench_report *report, const struct net_options *o,
		   enum guest_way way, enum net_kind kind, uint64_t features,
		   unsigned long size)
{
	struct net_bench b = {
		.o = o, .way = way, .size = size, .kind = kind
	};
	const char *prefix = o->ways.nr > 1 ? guest_way_name(way) : o->label;
	char name[128];
	double mpps;
	int rc;

	snprintf(name, sizeof(name), "%s%s%s, %lu B, %s", prefix,
		 prefix[0] ? ": " : "", net_kind_names[kind], size,
		 features & PVIO_BIT(VIRTIO_F_RING_PACKED) ? "packed"
							   : "split");
	rc = net_setup(&b, kind, features);
	if (rc == 0) {
		mpps = net_drive(&b);
		if (mpps < 0)
			rc = -ETIMEDOUT;
		else
			bench_report_add(report, name, "Mpps", mpps);
	}
	net_teardown(&b);
	return rc;
}

/* One figure for each transport and each kind of ring. */
static int net_round_of(struct bench_report *report,
			const struct net_options *o, enum net_kind kind,
			unsigned long size)
{
	static const uint64_t formats[] = { 0, PVIO_BIT(VIRTIO_F_RING_PACKED) };
	unsigned int w;
	size_t f;
	int rc;

	for (f = 0; f < pvio_array_size(formats); f++) {
		for (w = 0; w < o->ways.nr; w++) {
			rc = net_run(report, o, o->ways.way[w], kind,
				     formats[f], size);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static int net_round(struct bench_report *report, const struct net_options *o)
{
	static const unsigned long sizes[] = { 64, 1500 };
	int kind, rc = 0;
	size_t s;

	for (kind = 0; kind < NET_NR_KINDS; kind++) {
		if (!(o->kinds >> kind & 1))
			continue;
		for (s = 0; s < pvio_array_size(sizes) && rc == 0; s++) {
			if (o->size && o->size != sizes[s] && s > 0)
				continue;
			rc = net_round_of(report, o, (enum net_kind)kind,
					  o->size ? o->size : sizes[s]);
		}
	}
	return rc;
}

/* --- options -------------------------------------------------------------- */

static void net_usage(FILE *f)
{
	fprintf(f,
		"usage: pvio-bench net [OPTION...]\n"
		"  --cpus A,B      the driver's CPU, the device's (0,1)\n"
		"  --kind KIND     loop, transmit or switch; may be repeated "
		"(all)\n"
		"  --size BYTES    of a frame (64 and 1500)\n"
		"  --ms N          milliseconds a figure (1000)\n"
		"  --repeat N      figures a row, rows in turn (5)\n"
		"  --socket PATH   a device behind a socket that returns "
		"frames\n"
		"  --transport NAME,...  in turn: how a card in this process is "
		"reached\n"
		"                  (loopback; all); for --socket vhost-user or "
		"vfio-user\n"
		"  --one-thread    driver and device on one, and CPU time is "
		"counted\n"
		"  --label TEXT    begins the rows' names\n"
		"  --kick          look whether the device wants kicks\n"
		"  --json          print JSON\n");
}

/* 0, or the exit status plus one. */
static int net_options(int argc, char **argv, struct net_options *o)
{
	static const char *const kinds[] = { "loop", "transmit", "switch",
					     NULL };
	const char *transport = NULL;
	const struct bench_option options[] = {
		{ "cpus", .cpus = o->cpu },
		{ "kind", .set = &o->kinds, .names = kinds },
		{ "size", .number = &o->size, .min = 14, .max = 1518 },
		{ "ms", .number = &o->ms, .max = 1000000 },
		{ "repeat", .number = &o->repeat, .max = 1000 },
		{ "socket", .text = &o->socket },
		{ "transport", .text = &transport, .ways = &o->ways },
		{ "label", .text = &o->label },
		{ "one-thread", .flag = &o->one_thread },
		{ "kick", .flag = &o->kick },
		{ "json", .flag = &o->json },
	};
	bool ok = true;
	int rc;

	rc = bench_options(argc, argv, options, pvio_array_size(options),
			   net_usage);
	if (rc > 0)
		return rc;
	if (o->socket && transport) {
		o->is_vfio_user = strcmp(transport, "vfio-user") == 0;
		ok = o->is_vfio_user || strcmp(transport, "vhost-user") == 0;
	}
	if (ok && !(o->socket && o->one_thread))
		return 0;
	net_usage(stderr);
	return 3;
}

int bench_net(int argc, char **argv)
{
	struct net_options o = {
		.label = "",
		.cpu = { 0, 1 },
		.repeat = 5,
		.ms = 1000,
		.ways = { { GUEST_WAY_LOOPBACK }, 1 },
	};
	struct bench_report *report;
	unsigned long i;
	int rc;

	rc = net_options(argc, argv, &o);
	if (rc > 0)
		return rc - 1;
	if (o.socket) {
		o.kinds = 1u << NET_LOOP;
		o.ways.nr = 1;
	} else if (o.kinds == 0) {
		o.kinds = (1u << NET_NR_KINDS) - 1;
	}
	report = bench_report_create("network card, both sides polling");
	if (!report)
		rc = -ENOMEM;
	for (i = 0; i < o.repeat && rc == 0; i++)
		rc = net_round(report, &o);
	if (rc == 0)
		rc = bench_report_print(report, o.json);
	if (rc < 0)
		fprintf(stderr, "pvio-bench: %s\n", strerror(-rc));
	bench_report_destroy(report);
	return rc < 0 ? 1 : 0;
}
