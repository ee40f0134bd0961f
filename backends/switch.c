/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * switch.c - a learning Ethernet switch between devices of one process
 *
 *	port in --> may it send from there? --> learn the source
 *	                                            |
 *	        known address: that port  <---------+---------> else flood:
 *	        (never the one it came from)            every other port whose
 *	                                                receiver wants it
 *
 * Delivery (net-offload.c) is one copy into the receiver's buffers, or none
 * and a count: a receiver that gives no buffers loses its frames and delays
 * nobody.  A frame is never sent on by being received, so nothing recurses and
 * nothing loops.
 *
 * The address table is a bounded hash of 4-way sets.  An address that belongs
 * to a port by configuration is pinned: no other port can learn it away, and it
 * does not age.  What is learned besides ages, is limited for each port, and
 * never evicts what another port has learned: a port that makes up addresses
 * only spoils its own.
 *
 * The bytes that decide are copied once.  The copy is what the receiver gets,
 * so a sender that changes them meanwhile deceives nobody.
 *
 * One flooded frame is many copies.  Each port has a budget of them a turn;
 * when it is used up the port waits for the next turn, and the others do not.
 */
#include "backends/switch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SETS         1024 /* of the address table */
#define WAYS         4
#define AGE_S        300               /* IEEE 802.1Q, 8.8.3 */
#define PORT_LEARNS  512               /* addresses besides its own */
#define FLOOD_COPIES 1024              /* of one port, a turn */
#define FLOOD_BYTES  ((size_t)4 << 20) /* of one port, a turn */
#define NO_TURN      UINT64_MAX
#define HEAD_BYTES   18 /* addresses, VLAN tag, type */

struct entry {
	uint64_t mac;                  /* 0: free */
	struct pvio_switch_port *port; /* borrowed: purged by its detach */
	uint32_t seen_s;
	bool pinned;
};

struct pvio_switch {
	char name[PVIO_SWITCH_NAME_BYTES];
	struct pvio_list node;      /* in switches; lock */
	unsigned int refs;          /* lock */
	struct pvio_worker *worker; /* of every port; NULL: no port; lock */
	/* The worker's: */
	struct pvio_list ports;
	unsigned int nr_ports;
	uint64_t turn;
	uint32_t now_s; /* as of that turn */
	uint64_t seed;  /* of the hash: sets cannot be aimed at */
	struct pvio_net_scratch *scratch; /* owned */
	struct entry table[SETS][WAYS];
};

/* The names in use.  Only control paths take the lock; never two. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct pvio_list switches = { &switches, &switches };

/* --- the address table --------------------------------------------------- */

static uint64_t mac_word(const uint8_t *mac)
{
	uint64_t word = 0;

	memcpy(&word, mac, 6);
	return word;
}

static struct entry *table_set(struct pvio_switch *sw, uint64_t mac)
{
	uint64_t h = (mac ^ sw->seed) * 0x9e3779b97f4a7c15;

	return sw->table[h >> 54];
}

static bool entry_is_old(const struct pvio_switch *sw, const struct entry *e)
{
	return !e->pinned && sw->now_s - e->seen_s > AGE_S;
}

static void entry_clear(struct entry *e)
{
	if (e->port && !e->pinned)
		e->port->learned--;
	memset(e, 0, sizeof(*e));
}

static struct entry *table_find(struct pvio_switch *sw, uint64_t mac)
{
	struct entry *set = table_set(sw, mac);
	unsigned int i;

	if (unlikely(mac == 0))
		return NULL;
	for (i = 0; i < WAYS; i++)
		if (set[i].mac == mac)
			return &set[i];
	return NULL;
}

/* A way that @port may take: free, aged, or its own oldest.  NULL: none. */
static struct entry *table_room(struct pvio_switch *sw, uint64_t mac,
				const struct pvio_switch_port *port)
{
	struct entry *set = table_set(sw, mac), *own = NULL;
	unsigned int i;

	for (i = 0; i < WAYS; i++) {
		struct entry *e = &set[i];

		if (e->mac == 0 || entry_is_old(sw, e)) {
			if (port->learned < PORT_LEARNS)
				return e;
			continue;
		}
		if (!e->pinned && e->port == port &&
		    (!own || sw->now_s - e->seen_s > sw->now_s - own->seen_s))
			own = e;
	}
	return own;
}

static void table_learn(struct pvio_switch *sw, struct pvio_switch_port *port,
			uint64_t mac)
{
	struct entry *e = table_find(sw, mac);

	if (likely(e && e->port == port)) {
		e->seen_s = sw->now_s;
		return;
	}
	if (e && (e->pinned || port->learned >= PORT_LEARNS))
		return;
	if (!e)
		e = table_room(sw, mac, port);
	if (!e)
		return;
	entry_clear(e);
	*e = (struct entry){ mac, port, sw->now_s, false };
	port->learned++;
}

/* The address of a port by configuration.  One in four can be displaced. */
static void table_pin(struct pvio_switch *sw, struct pvio_switch_port *port)
{
	uint64_t mac = mac_word(port->mac);
	struct entry *e = table_find(sw, mac), *set = table_set(sw, mac);
	unsigned int i;

	if (e && e->pinned) {
		pvio_log(PVIO_LOG_WARNING,
			 "%s: switch %s: address is also that of %s",
			 port->name, sw->name, e->port->name);
		return;
	}
	for (i = 0; i < WAYS && !e; i++)
		if (set[i].mac == 0)
			e = &set[i];
	for (i = 0; i < WAYS && !e; i++)
		if (!set[i].pinned)
			e = &set[i];
	if (!e)
		return; /* four pinned ones share the set: frames are flooded */
	entry_clear(e);
	*e = (struct entry){ mac, port, sw->now_s, true };
}

/* --- forwarding ---------------------------------------------------------- */

static void switch_deliver(struct pvio_switch_port *to,
			   const struct pvio_net_frame *frame,
			   const uint8_t *head, size_t head_len)
{
	struct pvio_net_rx *rx = to->rx;

	if (!pvio_net_rx_wants(rx, head, head_len))
		return;
	if (pvio_net_deliver(rx, frame, head, head_len, to->sw->scratch) ==
	    -ENOBUFS)
		pvio_net_rx_drop(rx);
}

static int switch_flood(struct pvio_switch *sw, struct pvio_switch_port *from,
			const struct pvio_net_frame *frame, const uint8_t *head,
			size_t head_len)
{
	struct pvio_list *pos;

	if (from->floods >= FLOOD_COPIES || from->flood_bytes >= FLOOD_BYTES) {
		pvio_worker_schedule(sw->worker, &from->retry);
		return -EAGAIN;
	}
	from->floods += sw->nr_ports - 1;
	from->flood_bytes += frame->bytes * (sw->nr_ports - 1);
	pvio_list_for_each(pos, &sw->ports) {
		struct pvio_switch_port *to =
			pvio_list_entry(pos, struct pvio_switch_port, node);

		if (to != from)
			switch_deliver(to, frame, head, head_len);
	}
	return 0;
}

/* Once a turn: what time it is, and that a port may flood again. */
static void switch_tick(struct pvio_switch *sw, struct pvio_switch_port *port)
{
	uint64_t turn = pvio_worker_turns(sw->worker);

	if (sw->turn != turn) {
		sw->turn = turn;
		sw->now_s = (uint32_t)(pvio_now_ns() / 1000000000);
	}
	if (port->turn != turn) {
		port->turn = turn;
		port->floods = 0;
		port->flood_bytes = 0;
	}
}

int pvio_switch_forward(struct pvio_switch_port *port,
			const struct pvio_net_frame *frame)
{
	static const uint8_t link_local[5] = { 0x01, 0x80, 0xc2, 0, 0 };
	struct pvio_switch *sw = port->sw;
	uint8_t head[HEAD_BYTES];
	uint64_t from;
	struct entry *e;
	size_t len;

	len = pvio_iov_get(frame->iov, frame->nr_iov, 0, head,
			   pvio_min(sizeof(head), frame->bytes));
	if (unlikely(len < PVIO_NET_MIN_FRAME))
		return -EINVAL;
	from = mac_word(head + 6);
	if (unlikely(head[6] & 1 || from == 0 ||
		     (port->mac_check && from != mac_word(port->mac))))
		return -EPERM;
	switch_tick(sw, port);
	table_learn(sw, port, from);

	if (unlikely(head[0] & 1)) {
		/* Bridges' own protocols end at a bridge (802.1Q, 8.6.3). */
		if (memcmp(head, link_local, sizeof(link_local)) == 0 &&
		    head[5] < 0x10)
			return 0;
		return switch_flood(sw, port, frame, head, len);
	}
	e = table_find(sw, mac_word(head));
	if (unlikely(!e || entry_is_old(sw, e)))
		return switch_flood(sw, port, frame, head, len);
	if (likely(e->port != port))
		switch_deliver(e->port, frame, head, len);
	return 0;
}

static void switch_retry(struct pvio_job *job)
{
	struct pvio_switch_port *port =
		pvio_container_of(job, struct pvio_switch_port, retry);

	pvio_net_tx_ready(port->rx);
}

/* --- ports --------------------------------------------------------------- */

int pvio_switch_attach(struct pvio_switch *sw, struct pvio_switch_port *port,
		       struct pvio_worker *worker)
{
	int rc = 0;

	pthread_mutex_lock(&lock);
	if (!sw->worker)
		sw->worker = worker;
	if (sw->worker != worker)
		rc = -EXDEV;
	pthread_mutex_unlock(&lock);
	if (rc < 0) {
		pvio_log(PVIO_LOG_ERROR,
			 "%s: the other ports of switch %s are on another "
			 "worker: serve them all by one",
			 port->name, sw->name);
		return rc;
	}
	if (sw->nr_ports == PVIO_SWITCH_MAX_PORTS) {
		pvio_log(PVIO_LOG_ERROR, "%s: switch %s has %d ports already",
			 port->name, sw->name, PVIO_SWITCH_MAX_PORTS);
		return -ENOSPC;
	}
	port->sw = sw;
	port->learned = 0;
	port->turn = NO_TURN;
	port->floods = 0;
	port->flood_bytes = 0;
	pvio_job_init(&port->retry, switch_retry);
	pvio_list_add_tail(&sw->ports, &port->node);
	sw->nr_ports++;
	if (port->has_mac)
		table_pin(sw, port);
	return 0;
}

void pvio_switch_detach(struct pvio_switch_port *port)
{
	struct pvio_switch *sw = port->sw;
	unsigned int i, j;

	pvio_job_cancel(&port->retry);
	pvio_list_del(&port->node);
	for (i = 0; i < SETS; i++)
		for (j = 0; j < WAYS; j++)
			if (sw->table[i][j].port == port)
				entry_clear(&sw->table[i][j]);
	port->sw = NULL;
	if (--sw->nr_ports > 0)
		return;
	/* The next first port may be on another worker. */
	pthread_mutex_lock(&lock);
	sw->worker = NULL;
	pthread_mutex_unlock(&lock);
}

int pvio_switch_get(const char *name, struct pvio_switch **out)
{
	struct pvio_switch *sw;
	struct pvio_list *pos;
	int rc = 0;

	if (strlen(name) >= PVIO_SWITCH_NAME_BYTES)
		return -EINVAL;
	pthread_mutex_lock(&lock);
	pvio_list_for_each(pos, &switches) {
		sw = pvio_list_entry(pos, struct pvio_switch, node);
		if (strcmp(sw->name, name) == 0)
			goto found;
	}
	sw = calloc(1, sizeof(*sw));
	if (!sw) {
		rc = -ENOMEM;
		goto unlock;
	}
	sw->scratch = pvio_net_scratch_create();
	if (!sw->scratch) {
		free(sw);
		rc = -ENOMEM;
		goto unlock;
	}
	strcpy(sw->name, name);
	sw->turn = NO_TURN;
	sw->seed = pvio_now_ns() ^ (uintptr_t)sw;
	pvio_list_init(&sw->ports);
	pvio_list_add_tail(&switches, &sw->node);
found:
	sw->refs++;
	*out = sw;
unlock:
	pthread_mutex_unlock(&lock);
	return rc;
}

void pvio_switch_put(struct pvio_switch *sw)
{
	bool last;

	pthread_mutex_lock(&lock);
	last = --sw->refs == 0;
	if (last)
		pvio_list_del(&sw->node);
	pthread_mutex_unlock(&lock);
	if (!last)
		return;
	pvio_net_scratch_destroy(sw->scratch);
	free(sw);
}
