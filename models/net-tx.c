/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-tx.c - frames from the guest
 *
 * A frame is one chain: the 12-byte header, then the bytes, cut into segments
 * anyhow (virtio 1.4, 2.7.4.1).  The header is copied out once and checked;
 * the backend gets the copy.  A frame that breaks a rule is dropped, counted,
 * and its chain given back like any other: the driver learns nothing from us.
 *
 * When the backend is full, the chain it refused is held, header already cut,
 * until pvio_net_tx_ready() has the queue scheduled again.
 */
#include "models/net.h"

#include <errno.h>
#include <net/ethernet.h>
#include <string.h>

#define HDR PVIO_NET_HDR_BYTES

/*
 * Cut the header off @chain's segments, in place: the ring has its own copy of
 * what it needs to give the chain back.
 */
static void tx_cut_header(struct pvio_chain *chain,
			  struct pvio_net_frame *frame)
{
	struct iovec *iov = chain->iov;
	int nr = chain->nr_readable;
	size_t skip = HDR;

	while (nr > 0 && skip >= iov->iov_len) {
		skip -= iov->iov_len;
		iov++;
		nr--;
	}
	if (nr > 0) {
		iov->iov_base = (uint8_t *)iov->iov_base + skip;
		iov->iov_len -= skip;
	}
	frame->iov = iov;
	frame->nr_iov = nr;
	frame->bytes = chain->readable - HDR;
}

/* Why a frame is not sent, or NULL. */
static const char *tx_parse(struct net_tx *tx, struct pvio_chain *chain,
			    struct pvio_net_frame *frame)
{
	if (unlikely(pvio_chain_fetch(chain, 0, &frame->hdr, HDR) < HDR))
		return "no room for a header";
	tx_cut_header(chain, frame);
	if (unlikely(frame->bytes < PVIO_NET_MIN_FRAME))
		return "runt";
	if (unlikely(frame->bytes > PVIO_NET_MAX_FRAME))
		return "larger than any frame";
	/* Nothing asked for: nothing to check. */
	if (likely(frame->hdr.hdr.flags == 0 &&
		   frame->hdr.hdr.gso_type == VIRTIO_NET_HDR_GSO_NONE)) {
		if (unlikely(frame->bytes > tx->max_plain))
			return "larger than the MTU";
		memset(&frame->hdr, 0, sizeof(frame->hdr));
		return NULL;
	}
	if (unlikely(!pvio_net_hdr_check(&frame->hdr, frame->bytes,
					 tx->offloads)))
		return "offload fields out of range";
	if (unlikely(frame->hdr.hdr.gso_type == VIRTIO_NET_HDR_GSO_NONE &&
		     frame->bytes > tx->max_plain))
		return "larger than the MTU";
	return NULL;
}

/* Drop or send the frame of @chain.  False: the backend is full. */
static bool tx_one(struct net_pair *pair, struct pvio_chain *chain, bool again)
{
	struct net_tx *tx = &pair->tx;
	struct pvio_net_frame *frame = &tx->frame;
	const char *why;
	int rc;

	if (likely(!again)) {
		why = tx_parse(tx, chain, frame);
		if (unlikely(why)) {
			pvio_vq_fault(tx->vq, PVIO_FAULT_REQUEST,
				      "frame of %u bytes: %s", chain->readable,
				      why);
			return true;
		}
	}
	rc = -ENETDOWN;
	pvio_vq_stamp(tx->vq, chain, PVIO_STAGE_SUBMIT);
	if (likely(pvio_load_once(&pair->net->link_up)))
		rc = pair->net->ops->send(pair->port, frame);
	if (unlikely(rc == -EAGAIN))
		return false;
	pvio_vq_stamp(tx->vq, chain, PVIO_STAGE_COMPLETE);
	if (unlikely(rc < 0))
		pvio_count(&tx->vq->stats.faults[PVIO_FAULT_DROP], 1);
	else
		pvio_count(&tx->vq->stats.bytes_in, frame->bytes);
	return true;
}

enum pvio_kick net_tx_kick(struct net_pair *pair)
{
	const struct pvio_net_backend_ops *ops = pair->net->ops;
	enum pvio_kick rc = PVIO_KICK_AGAIN;
	struct net_tx *tx = &pair->tx;
	struct pvio_vq *vq = tx->vq;
	struct pvio_chain *chain;
	unsigned int budget;
	size_t bytes = 0;

	for (budget = NET_BUDGET_FRAMES; budget > 0; budget--) {
		bool again = tx->held != NULL;

		chain = again ? tx->held : pvio_vq_pop(vq);
		if (!chain) {
			rc = PVIO_KICK_DRAINED;
			break;
		}
		if (unlikely(!tx_one(pair, chain, again))) {
			tx->held = chain;
			rc = PVIO_KICK_WAIT;
			break;
		}
		tx->held = NULL;
		bytes += chain->readable;
		pvio_vq_push(vq, chain, 0);
		if (unlikely(bytes > NET_BUDGET_BYTES))
			break;
	}
	if (ops->flush)
		ops->flush(pair->port);
	if (budget < NET_BUDGET_FRAMES || rc == PVIO_KICK_AGAIN)
		pvio_vq_flush_soon(vq);
	return rc;
}

/* The ring runs but is not enabled: what is sent goes nowhere. */
enum pvio_kick net_tx_discard(struct pvio_vq *vq)
{
	struct pvio_chain *chain;
	unsigned int budget;

	for (budget = NET_BUDGET_FRAMES; budget > 0; budget--) {
		chain = pvio_vq_pop(vq);
		if (!chain)
			break;
		pvio_count(&vq->stats.faults[PVIO_FAULT_DROP], 1);
		pvio_vq_push(vq, chain, 0);
	}
	pvio_vq_flush_soon(vq);
	return budget == 0 ? PVIO_KICK_AGAIN : PVIO_KICK_DRAINED;
}

/*
 * The frame QEMU and libvirt expect of a back-end that announces: a reverse
 * ARP request (RFC 903) from @mac about itself, to everyone.
 */
void net_tx_announce(struct net_pair *pair, const uint8_t mac[6])
{
	const struct pvio_net_backend_ops *ops = pair->net->ops;
	uint8_t rarp[60] = { 0 };
	struct iovec iov = { rarp, sizeof(rarp) };
	struct pvio_net_frame frame = {
		.iov = &iov,
		.nr_iov = 1,
		.bytes = sizeof(rarp),
	};

	if (!pair->port || !pvio_load_once(&pair->net->link_up))
		return;
	memset(rarp, 0xff, 6);
	memcpy(rarp + 6, mac, 6);
	memcpy(rarp + 12, "\x80\x35\x00\x01\x08\x00\x06\x04\x00\x03", 10);
	memcpy(rarp + 22, mac, 6);
	memcpy(rarp + 32, mac, 6);
	ops->send(pair->port, &frame);
	if (ops->flush)
		ops->flush(pair->port);
}

void net_tx_start(struct net_pair *pair, struct pvio_vq *vq)
{
	uint64_t f = pair->net->features;
	struct net_tx *tx = &pair->tx;
	uint16_t mtu = pvio_load_once(&pair->net->mtu);

	tx->offloads = 0;
	if (f & PVIO_BIT(VIRTIO_NET_F_CSUM))
		tx->offloads |= PVIO_NET_CSUM;
	if (f & PVIO_BIT(VIRTIO_NET_F_HOST_TSO4))
		tx->offloads |= PVIO_NET_TSO4;
	if (f & PVIO_BIT(VIRTIO_NET_F_HOST_TSO6))
		tx->offloads |= PVIO_NET_TSO6;
	if (f & PVIO_BIT(VIRTIO_NET_F_HOST_ECN))
		tx->offloads |= PVIO_NET_ECN;
	if (f & PVIO_BIT(VIRTIO_NET_F_HOST_UFO))
		tx->offloads |= PVIO_NET_UFO;
	if (f & PVIO_BIT(VIRTIO_NET_F_HOST_USO))
		tx->offloads |= PVIO_NET_USO;
	/* A driver that was told the MTU keeps to it (virtio 1.4, 5.1.4.2). */
	tx->max_plain = PVIO_NET_MAX_FRAME;
	if (f & PVIO_BIT(VIRTIO_NET_F_MTU) && mtu > 0)
		tx->max_plain = mtu + PVIO_NET_LINK_BYTES;
	tx->held = NULL;
	tx->vq = vq;
}

void net_tx_stop(struct net_pair *pair)
{
	struct net_tx *tx = &pair->tx;

	if (!tx->vq)
		return;
	if (tx->held)
		pvio_vq_unpop(tx->vq, tx->held);
	tx->held = NULL;
	tx->vq = NULL;
}
