/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-rx.c - frames to the guest, and which of them it wants
 *
 * The backend asks for room, fills it, and commits.  Room is made of chains of
 * the receive queue: with mergeable buffers as many as the frame needs, else
 * exactly one (virtio 1.4, 5.1.6.3.1).  How long a frame is may be known only
 * after it was read, so more chains are popped than are used in the end; they
 * are held for the next frame:
 *
 *	held:  [ c7 ][ c8 ][ c9 ][ c10 ]    popped, oldest first
 *	         |<- committed ->|  stays
 *	room:  12 | bytes .......... bytes
 *	       header, written by commit
 *
 * Nobody has looked at a held chain's content, so all of it can be unpopped
 * when the queue stops.
 */
#include "models/net.h"

#include <errno.h>
#include <stdlib.h>

#define HDR PVIO_NET_HDR_BYTES

static struct net_pair *rx_pair(struct net_rx *rx)
{
	return pvio_container_of(rx, struct net_pair, rx);
}

static unsigned int rx_nr_held(const struct net_rx *rx)
{
	return rx->held_tail - rx->held_head;
}

static struct pvio_chain *rx_held(const struct net_rx *rx, unsigned int i)
{
	return rx->held[(rx->held_head + i) & rx->held_mask];
}

/*
 * Pop one more chain and hold it.  Chains that have no room for a header are
 * given back on the way; the driver may not offer them (5.1.6.3.1).
 */
static struct pvio_chain *rx_pop(struct net_rx *rx)
{
	struct pvio_vq *vq = rx->vq;
	struct pvio_chain *chain;
	unsigned int tries;

	for (tries = vq->size; tries > 0; tries--) {
		chain = pvio_vq_pop(vq);
		if (!chain)
			return NULL;
		if (likely(chain->writable > HDR)) {
			rx->held[rx->held_tail++ & rx->held_mask] = chain;
			return chain;
		}
		pvio_vq_fault(vq, PVIO_FAULT_REQUEST,
			      "receive buffer of %u bytes", chain->writable);
		pvio_vq_push(vq, chain, 0);
		pvio_vq_flush_soon(vq);
	}
	return NULL;
}

/* The guest has given too little: the queue's next kick calls rx_ready(). */
static pvio_cold int rx_starve(struct net_rx *rx)
{
	rx->starved = true;
	if (!rx->in_kick)
		pvio_vq_schedule(rx->vq);
	return -ENOBUFS;
}

/* Append what @chain has after the first @skip bytes to the room. */
static bool rx_gather_chain(struct net_rx *rx, const struct pvio_chain *chain,
			    size_t skip, struct pvio_net_room *room)
{
	const struct iovec *seg = pvio_chain_writable(chain);
	unsigned int i;

	for (i = 0; i < chain->nr_writable; i++) {
		if (skip >= seg[i].iov_len) {
			skip -= seg[i].iov_len;
			continue;
		}
		if (room->nr_iov == NET_MAX_IOV)
			return false;
		rx->iov[room->nr_iov].iov_base = (uint8_t *)seg[i].iov_base +
						 skip;
		rx->iov[room->nr_iov].iov_len = seg[i].iov_len - skip;
		room->bytes += seg[i].iov_len - skip;
		room->nr_iov++;
		skip = 0;
	}
	return true;
}

/* One buffer has to hold the frame, or the frame is not for this guest. */
static int rx_begin_single(struct net_rx *rx, size_t least,
			   struct pvio_net_room *room)
{
	struct pvio_chain *chain = rx_held(rx, 0);

	if (unlikely(chain->writable - HDR < least)) {
		pvio_vq_fault(rx->vq, PVIO_FAULT_REQUEST,
			      "receive buffer of %u bytes for a frame of %zu",
			      chain->writable, least);
		rx->held_head++;
		pvio_vq_push(rx->vq, chain, 0);
		pvio_vq_flush_soon(rx->vq);
		return -EMSGSIZE;
	}
	rx_gather_chain(rx, chain, HDR, room);
	return room->bytes >= least ? 0 : -EMSGSIZE;
}

/*
 * Is every entry of the ring with us, so that no more can come?  Some may be
 * given back already, and wait for those before them (in-order).
 */
static bool rx_has_whole_ring(const struct net_rx *rx)
{
	const struct pvio_vq *vq = rx->vq;

	return vq->nr_in_flight >= vq->size || vq->desc_in_flight >= vq->size;
}

static int rx_begin_merged(struct net_rx *rx, size_t least, size_t want,
			   struct pvio_net_room *room)
{
	struct pvio_chain *chain;
	unsigned int i;

	for (i = 0; room->bytes < want; i++) {
		chain = i < rx_nr_held(rx) ? rx_held(rx, i) : rx_pop(rx);
		if (!chain) {
			if (!rx_has_whole_ring(rx))
				return rx_starve(rx);
			break;
		}
		if (!rx_gather_chain(rx, chain, i == 0 ? HDR : 0, room))
			break;
	}
	return room->bytes >= least ? 0 : -EMSGSIZE;
}

static int rx_begin(struct pvio_net_rx *face, size_t least, size_t want,
		    struct pvio_net_room *room)
{
	struct net_rx *rx = pvio_container_of(face, struct net_rx, face);
	const struct iovec *seg;
	struct pvio_chain *chain;

	if (unlikely(!rx->vq || !rx->vq->enabled || !rx->active ||
		     !pvio_load_once(&rx_pair(rx)->net->link_up)))
		return -ENETDOWN;
	if (rx_nr_held(rx) > 0)
		chain = rx_held(rx, 0);
	else
		chain = rx_pop(rx);
	if (unlikely(!chain))
		return rx_starve(rx);

	room->iov = rx->iov;
	seg = pvio_chain_writable(chain);
	/* Nearly every buffer is one segment, and large enough. */
	if (likely(chain->nr_writable == 1 && chain->writable - HDR >= want)) {
		rx->iov[0].iov_base = (uint8_t *)seg->iov_base + HDR;
		rx->iov[0].iov_len = seg->iov_len - HDR;
		room->nr_iov = 1;
		room->bytes = rx->iov[0].iov_len;
		return 0;
	}
	room->nr_iov = 0;
	room->bytes = 0;
	if (rx->mergeable)
		return rx_begin_merged(rx, least, want, room);
	return rx_begin_single(rx, least, room);
}

/*
 * All buffers but the last are filled to the end, and num_buffers is in the
 * first before any of them is published (virtio 1.4, 5.1.6.4.1).
 */
static void rx_commit(struct pvio_net_rx *face,
		      const struct virtio_net_hdr_mrg_rxbuf *from, size_t bytes)
{
	struct net_rx *rx = pvio_container_of(face, struct net_rx, face);
	struct virtio_net_hdr_mrg_rxbuf hdr = *from;
	struct pvio_chain *chain = rx_held(rx, 0);
	size_t left = bytes + HDR;
	unsigned int n = 1;

	if (unlikely(left > chain->writable)) {
		size_t sum = chain->writable;

		while (sum < left)
			sum += rx_held(rx, n++)->writable;
	}
	hdr.num_buffers = htole16((uint16_t)n);
	pvio_chain_put(chain, 0, &hdr, sizeof(hdr));
	pvio_count(&rx->vq->stats.bytes_out, bytes);

	for (;;) {
		size_t take = pvio_min(left, chain->writable);

		rx->held_head++;
		pvio_vq_push(rx->vq, chain, (uint32_t)take);
		left -= take;
		if (left == 0)
			break;
		chain = rx_held(rx, 0);
	}
	pvio_vq_flush_soon(rx->vq);
}

static void rx_drop(struct pvio_net_rx *face)
{
	struct net_rx *rx = pvio_container_of(face, struct net_rx, face);

	if (rx->vq)
		pvio_count(&rx->vq->stats.faults[PVIO_FAULT_DROP], 1);
}

static void rx_tx_ready(struct pvio_net_rx *face)
{
	struct net_rx *rx = pvio_container_of(face, struct net_rx, face);
	struct net_pair *pair = rx_pair(rx);

	if (pair->tx.vq)
		pvio_vq_schedule(pair->tx.vq);
}

static void rx_link_changed(struct pvio_net_rx *face, bool up)
{
	struct net_rx *rx = pvio_container_of(face, struct net_rx, face);

	net_carrier_changed(rx_pair(rx), up);
}

/* --- filters -------------------------------------------------------------- */

static bool mac_is_in(const uint8_t (*table)[6], unsigned int nr,
		      const uint8_t *mac)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (memcmp(table[i], mac, 6) == 0)
			return true;
	return false;
}

static bool rx_wants(const struct pvio_net_rx *face, const uint8_t *head,
		     size_t len)
{
	static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };
	const struct net_rx *rx = pvio_container_of(face, struct net_rx, face);
	const struct net_filter *f = &rx->rules.filter;

	if (f->promisc)
		return true;
	if (len < PVIO_NET_MIN_FRAME)
		return false;
	if (f->by_vlan && len >= 18 && head[12] == 0x81 && head[13] == 0x00) {
		unsigned int vid = (head[14] << 8 | head[15]) % NET_VLANS;

		if (!(f->vlan[vid / 64] >> (vid % 64) & 1))
			return false;
	}
	if (head[0] & 1) {
		if (memcmp(head, broadcast, 6) == 0)
			return !f->nobcast;
		return !f->nomulti && (f->allmulti || f->multi_full ||
				       mac_is_in(f->multi, f->nr_multi, head));
	}
	return !f->nouni &&
	       (f->alluni || f->uni_full || memcmp(head, f->mac, 6) == 0 ||
		mac_is_in(f->uni, f->nr_uni, head));
}

const struct pvio_net_rx_ops net_rx_ops = {
	.begin = rx_begin,
	.commit = rx_commit,
	.wants = rx_wants,
	.drop = rx_drop,
	.tx_ready = rx_tx_ready,
	.link_changed = rx_link_changed,
};

/* --- the queue ------------------------------------------------------------ */

void net_rx_refresh(struct net_pair *pair)
{
	const struct pvio_net_backend_ops *ops = pair->net->ops;
	struct net_rx *rx = &pair->rx;
	bool use = rx->vq && rx->vq->enabled && rx->active;

	if (use == rx->in_use || !pair->port)
		return;
	rx->in_use = use;
	if (ops->use_port)
		ops->use_port(pair->port, use);
}

void net_rx_apply(struct net_pair *pair, const struct net_rules *rules)
{
	struct net_rx *rx = &pair->rx;

	rx->rules = *rules;
	rx->face.offloads = rules->offloads;
	rx->face.wants_all = rules->filter.promisc;
	rx->active = pair->index < rules->pairs;
	net_rx_refresh(pair);
}

int net_rx_start(struct net_pair *pair, struct pvio_vq *vq)
{
	struct net_rx *rx = &pair->rx;
	unsigned int slots = 1;

	while (slots < vq->size)
		slots *= 2;
	net_rx_fini(pair);
	rx->held = calloc(slots, sizeof(*rx->held));
	rx->iov = calloc(NET_MAX_IOV, sizeof(*rx->iov));
	if (!rx->held || !rx->iov) {
		net_rx_fini(pair);
		return -ENOMEM;
	}
	rx->held_mask = slots - 1;
	rx->held_head = rx->held_tail = 0;
	rx->starved = true; /* whatever the port waited for may be there */
	rx->mergeable = pair->net->features & PVIO_BIT(VIRTIO_NET_F_MRG_RXBUF);
	rx->vq = vq;
	return 0;
}

void net_rx_stop(struct net_pair *pair)
{
	struct net_rx *rx = &pair->rx;

	if (!rx->vq)
		return;
	while (rx_nr_held(rx) > 0)
		pvio_vq_unpop(rx->vq,
			      rx->held[--rx->held_tail & rx->held_mask]);
	rx->vq = NULL;
}

void net_rx_fini(struct net_pair *pair)
{
	free(pair->rx.held);
	free(pair->rx.iov);
	pair->rx.held = NULL;
	pair->rx.iov = NULL;
}

/* There may be receive buffers again; is anyone waiting for them? */
enum pvio_kick net_rx_kick(struct net_pair *pair)
{
	struct net_rx *rx = &pair->rx;

	net_rx_refresh(pair);
	if (!rx->starved)
		return PVIO_KICK_WAIT;
	/* A full ring will not give more: then what there is must do. */
	if (!rx_has_whole_ring(rx) && !rx_pop(rx) && !rx_has_whole_ring(rx))
		return PVIO_KICK_NOTIFY;
	rx->starved = false;
	rx->in_kick = true;
	pair->net->ops->rx_ready(pair->port);
	rx->in_kick = false;
	return rx->starved ? PVIO_KICK_NOTIFY : PVIO_KICK_WAIT;
}
