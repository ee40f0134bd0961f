/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-control.c - the control queue: filters, pairs, offloads
 *
 * A command is {class, command, data} to read and one byte of answer to write
 * (virtio 1.4, 5.1.6.5).  Each command is tried on a copy of the rules in
 * force, so one that turns out wrong half way has changed nothing.
 *
 * New rules have to reach every pair before the driver is answered: after
 * VQ_PAIRS_SET was used nothing may arrive on a pair that is off.  Pairs live on
 * several workers, so one task walks along: it applies the rules to the pairs of
 * the worker it is on, posts itself to the next, and in the end to the worker of
 * the control queue, which answers.  Where there is one worker, all of that is a
 * loop.  Meanwhile the control queue takes no further command.
 */
#include "models/net.h"

#include <errno.h>
#include <string.h>

#define CONTROL_BUDGET 64 /* commands a kick */

/* A command while it is looked at. */
struct command {
	struct net *net;
	struct pvio_chain *chain;
	uint8_t code;
	struct net_rules *next; /* to be put in force */
	bool changes;           /* ... is different */
};

static bool has(const struct command *c, unsigned int feature)
{
	return c->net->features >> feature & 1;
}

/* Copy @len bytes of data at @offset: -EINVAL when the command is shorter. */
static int fetch(const struct command *c, size_t offset, void *to, size_t len)
{
	offset += sizeof(struct virtio_net_ctrl_hdr);
	return pvio_chain_fetch(c->chain, offset, to, len) == len ? 0 : -EINVAL;
}

static int do_rx_mode(struct command *c)
{
	struct net_filter *f = &c->next->filter;
	bool extra = c->code > VIRTIO_NET_CTRL_RX_ALLMULTI;
	bool *const modes[] = {
		[VIRTIO_NET_CTRL_RX_PROMISC] = &f->promisc,
		[VIRTIO_NET_CTRL_RX_ALLMULTI] = &f->allmulti,
		[VIRTIO_NET_CTRL_RX_ALLUNI] = &f->alluni,
		[VIRTIO_NET_CTRL_RX_NOMULTI] = &f->nomulti,
		[VIRTIO_NET_CTRL_RX_NOUNI] = &f->nouni,
		[VIRTIO_NET_CTRL_RX_NOBCAST] = &f->nobcast,
	};
	uint8_t on;

	if (c->code >= pvio_array_size(modes) ||
	    !has(c, extra ? VIRTIO_NET_F_CTRL_RX_EXTRA : VIRTIO_NET_F_CTRL_RX))
		return -EINVAL;
	if (fetch(c, 0, &on, sizeof(on)) < 0 || on > 1)
		return -EINVAL;
	*modes[c->code] = on;
	c->changes = true;
	return 0;
}

/* One of the two tables at *offset: le32 n, then n addresses. */
static int fetch_macs(const struct command *c, size_t *offset,
		      uint8_t table[NET_MAX_MACS][6], unsigned int *nr,
		      bool *full)
{
	uint32_t n;

	if (fetch(c, *offset, &n, sizeof(n)) < 0)
		return -EINVAL;
	n = le32toh(n);
	*offset += sizeof(n);
	if (!pvio_range_ok(sizeof(struct virtio_net_ctrl_hdr) + *offset,
			   (uint64_t)n * 6, c->chain->readable))
		return -EINVAL;
	*full = n > NET_MAX_MACS;
	*nr = *full ? 0 : n;
	if (*nr > 0 && fetch(c, *offset, table, (size_t)*nr * 6) < 0)
		return -EINVAL;
	*offset += (size_t)n * 6;
	return 0;
}

static int do_mac(struct command *c)
{
	struct net_filter *f = &c->next->filter;
	size_t offset = 0;
	uint8_t mac[6];

	c->changes = true;
	switch (c->code) {
	case VIRTIO_NET_CTRL_MAC_TABLE_SET:
		if (!has(c, VIRTIO_NET_F_CTRL_RX))
			return -EINVAL;
		if (fetch_macs(c, &offset, f->uni, &f->nr_uni, &f->uni_full) <
		    0)
			return -EINVAL;
		return fetch_macs(c, &offset, f->multi, &f->nr_multi,
				  &f->multi_full);
	case VIRTIO_NET_CTRL_MAC_ADDR_SET:
		if (!has(c, VIRTIO_NET_F_CTRL_MAC_ADDR) ||
		    fetch(c, 0, mac, sizeof(mac)) < 0 || mac[0] & 1)
			return -EINVAL;
		memcpy(f->mac, mac, sizeof(mac));
		pvio_store_once(&c->net->mac_now, net_mac_pack(mac));
		return 0;
	default:
		return -EINVAL;
	}
}

static int do_vlan(struct command *c)
{
	uint64_t *vlan = c->next->filter.vlan;
	uint16_t vid;

	if (!has(c, VIRTIO_NET_F_CTRL_VLAN) ||
	    fetch(c, 0, &vid, sizeof(vid)) < 0)
		return -EINVAL;
	vid = le16toh(vid);
	if (vid >= NET_VLANS)
		return -EINVAL;
	c->changes = true;
	switch (c->code) {
	case VIRTIO_NET_CTRL_VLAN_ADD:
		vlan[vid / 64] |= 1ULL << (vid % 64);
		return 0;
	case VIRTIO_NET_CTRL_VLAN_DEL:
		vlan[vid / 64] &= ~(1ULL << (vid % 64));
		return 0;
	default:
		return -EINVAL;
	}
}

static int do_announce(struct command *c)
{
	if (c->code != VIRTIO_NET_CTRL_ANNOUNCE_ACK ||
	    !has(c, VIRTIO_NET_F_GUEST_ANNOUNCE))
		return -EINVAL;
	pvio_store_once(&c->net->announce, false);
	return 0;
}

static int do_pairs(struct command *c)
{
	uint16_t pairs;

	if (c->code != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET ||
	    !has(c, VIRTIO_NET_F_MQ) || fetch(c, 0, &pairs, sizeof(pairs)) < 0)
		return -EINVAL;
	pairs = le16toh(pairs);
	if (pairs < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || pairs > c->net->nr_pairs)
		return -EINVAL;
	c->next->pairs = pairs;
	c->changes = true;
	return 0;
}

static int do_offloads(struct command *c)
{
	struct net *net = c->net;
	uint64_t bits;

	if (c->code != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET ||
	    !has(c, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
	    fetch(c, 0, &bits, sizeof(bits)) < 0)
		return -EINVAL;
	bits = le64toh(bits);
	if (bits & ~(net->features & NET_GUEST_OFFLOAD_BITS) ||
	    !net_guest_offloads_ok(bits))
		return -EINVAL;
	c->next->offloads = net_offloads_to_guest(bits);
	c->changes = true;
	if (net->ops->set_offloads)
		return net->ops->set_offloads(net->backend, c->next->offloads);
	return 0;
}

static int command_run(struct command *c)
{
	struct virtio_net_ctrl_hdr hdr;

	if (pvio_chain_fetch(c->chain, 0, &hdr, sizeof(hdr)) < sizeof(hdr))
		return -EINVAL;
	c->code = hdr.cmd;
	switch (hdr.class) {
	case VIRTIO_NET_CTRL_RX:
		return do_rx_mode(c);
	case VIRTIO_NET_CTRL_MAC:
		return do_mac(c);
	case VIRTIO_NET_CTRL_VLAN:
		return do_vlan(c);
	case VIRTIO_NET_CTRL_ANNOUNCE:
		return do_announce(c);
	case VIRTIO_NET_CTRL_MQ:
		return do_pairs(c);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return do_offloads(c);
	default:
		return -EINVAL;
	}
}

static void control_answer(struct pvio_vq *vq, struct pvio_chain *chain,
			   uint8_t answer)
{
	uint32_t written = (uint32_t)pvio_chain_put(chain, 0, &answer,
						    sizeof(answer));

	pvio_vq_push(vq, chain, written);
	pvio_vq_flush_soon(vq);
}

/*
 * Bring the new rules on from the worker they are on.  True: they came all the
 * way round, and the driver has its answer.  False: they went to another
 * worker, and nothing of the walk may be looked at any more.
 */
static bool control_walk(struct net_control *control)
{
	struct net *net = pvio_container_of(control, struct net, control);
	struct pvio_chain *chain = control->busy;
	struct pvio_worker *next;

	for (; control->at < net->nr_pairs; control->at++) {
		next = net->pairs[control->at].worker;
		if (next != control->here)
			goto post;
		net_rx_apply(&net->pairs[control->at], &control->rules);
	}
	next = control->vq->worker;
	if (next != control->here)
		goto post;
	control->busy = NULL;
	control_answer(control->vq, chain, VIRTIO_NET_OK);
	return true;

post:
	control->here = next;
	pvio_worker_post(next, &control->hop);
	return false;
}

static void control_hop(struct pvio_task *task)
{
	struct net_control *control =
		pvio_container_of(task, struct net_control, hop);

	if (control_walk(control))
		pvio_vq_schedule(control->vq);
}

static void control_one(struct net *net, struct pvio_chain *chain)
{
	struct net_control *control = &net->control;
	struct net_rules next = control->rules;
	struct command c = { .net = net, .chain = chain, .next = &next };

	if (chain->writable == 0) {
		pvio_vq_fault(control->vq, PVIO_FAULT_REQUEST,
			      "control command without room for an answer");
		pvio_vq_push(control->vq, chain, 0);
		pvio_vq_flush_soon(control->vq);
		return;
	}
	if (command_run(&c) < 0) {
		pvio_vq_fault(control->vq, PVIO_FAULT_REQUEST,
			      "control command of %u bytes refused",
			      chain->readable);
		control_answer(control->vq, chain, VIRTIO_NET_ERR);
		return;
	}
	if (!c.changes) {
		control_answer(control->vq, chain, VIRTIO_NET_OK);
		return;
	}
	control->rules = next;
	control->busy = chain;
	control->at = 0;
	control->here = control->vq->worker;
	control->hop.fn = control_hop;
	control_walk(control);
}

enum pvio_kick net_control_kick(struct net *net)
{
	struct net_control *control = &net->control;
	struct pvio_chain *chain;
	unsigned int budget;

	for (budget = CONTROL_BUDGET; budget > 0; budget--) {
		if (control->busy)
			return PVIO_KICK_WAIT;
		chain = pvio_vq_pop(control->vq);
		if (!chain)
			return PVIO_KICK_DRAINED;
		control_one(net, chain);
	}
	return PVIO_KICK_AGAIN;
}
