/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.c - the driver side of a virtio network card
 *
 * Each transmit buffer holds one frame of any size; a receive buffer is what
 * the options say.  A cookie is the buffer itself.  Received chains are reaped
 * in the order the device used them; with merged buffers the first header says
 * how many belong together.
 */
#include "net.h"

#include "core/barrier.h"
#include "core/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HDR        sizeof(struct virtio_net_hdr_mrg_rxbuf)
#define TX_BUFFERS 32
#define TX_BYTES   (66 * 1024)
#define MAX_PAIRS  31

struct net_buffer {
	struct guest_segment seg;
	uint8_t *host;
	struct net_buffer *next; /* free list */
};

struct net_pair {
	struct net_buffer tx[TX_BUFFERS];
	struct net_buffer *tx_free;
	struct net_buffer *rx; /* owned */
	struct net_buffer *rx_free;
};

struct guest_net {
	struct guest_device *gd;
	struct guest_memory *mem;
	struct guest_net_options o;
	uint64_t features;
	unsigned int control_queue;
	struct net_buffer control;
	struct net_pair pair[MAX_PAIRS];
};

static int buffer_init(struct guest_net *net, struct net_buffer *b,
		       uint32_t bytes)
{
	b->host = guest_alloc(net->mem, bytes, 64, &b->seg.gpa);
	b->seg.len = bytes;
	return b->host ? 0 : -ENOSPC;
}

static int pair_init(struct guest_net *net, unsigned int index)
{
	struct net_pair *p = &net->pair[index];
	unsigned int i;
	int rc;

	for (i = 0; i < TX_BUFFERS; i++) {
		rc = buffer_init(net, &p->tx[i], TX_BYTES);
		if (rc < 0)
			return rc;
		p->tx[i].next = p->tx_free;
		p->tx_free = &p->tx[i];
	}
	p->rx = calloc(net->o.queue_size, sizeof(*p->rx));
	if (!p->rx)
		return -ENOMEM;
	for (i = 0; i < net->o.queue_size; i++) {
		rc = buffer_init(net, &p->rx[i], net->o.rx_bytes);
		if (rc < 0)
			return rc;
		p->rx[i].next = p->rx_free;
		p->rx_free = &p->rx[i];
	}
	rc = guest_device_setup_queue(net->gd, 2 * index, net->o.queue_size);
	if (rc == 0)
		rc = guest_device_setup_queue(net->gd, 2 * index + 1,
					      net->o.queue_size);
	return rc;
}

static int net_setup(struct guest_net *net)
{
	uint16_t max_pairs = 1;
	unsigned int i;
	int rc;

	for (i = 0; i < net->o.pairs; i++) {
		rc = pair_init(net, i);
		if (rc < 0)
			return rc;
	}
	if (!(net->features & PVIO_BIT(VIRTIO_NET_F_CTRL_VQ)))
		return 0;
	if (net->features & PVIO_BIT(VIRTIO_NET_F_MQ)) {
		rc = guest_device_read_config(
			net->gd,
			offsetof(struct virtio_net_config, max_virtqueue_pairs),
			&max_pairs, sizeof(max_pairs));
		if (rc < 0)
			return rc;
		max_pairs = le16toh(max_pairs);
	}
	net->control_queue = 2u * max_pairs;
	rc = buffer_init(net, &net->control, 4096);
	if (rc < 0)
		return rc;
	return guest_device_setup_queue(net->gd, net->control_queue, 16);
}

int guest_net_start(struct guest_device *gd, struct guest_memory *mem,
		    const struct guest_net_options *options,
		    struct guest_net **out)
{
	uint64_t bits[2], want[2];
	struct guest_net *net;
	unsigned int i;
	int rc;

	if (options->pairs == 0 || options->pairs > MAX_PAIRS)
		return -EINVAL;
	net = calloc(1, sizeof(*net));
	if (!net)
		return -ENOMEM;
	net->gd = gd;
	net->mem = mem;
	net->o = *options;
	guest_device_features(gd, bits);
	want[0] = bits[0] & options->features[0];
	want[1] = bits[1] & options->features[1];
	rc = guest_device_negotiate(gd, want);
	if (rc < 0)
		goto destroy;
	net->features = want[0];
	rc = net_setup(net);
	if (rc == 0)
		rc = guest_device_start(gd);
	for (i = 0; i < options->pairs && rc == 0; i++)
		rc = guest_net_post(net, i, options->rx_buffers);
	if (rc < 0)
		goto destroy;
	*out = net;
	return 0;

destroy:
	guest_net_destroy(net);
	return rc;
}

void guest_net_destroy(struct guest_net *net)
{
	unsigned int i;

	if (!net)
		return;
	for (i = 0; i < MAX_PAIRS; i++)
		free(net->pair[i].rx);
	free(net);
}

uint64_t guest_net_features(const struct guest_net *net)
{
	return net->features;
}

unsigned int guest_net_control_queue(const struct guest_net *net)
{
	return net->control_queue;
}

static void net_kick(struct guest_net *net, unsigned int q)
{
	if (guest_ring_publish(guest_device_ring(net->gd, q)))
		guest_device_kick(net->gd, q);
}

/* --- transmit ------------------------------------------------------------ */

static void tx_reap(struct guest_net *net, unsigned int pair)
{
	struct net_pair *p = &net->pair[pair];
	struct guest_ring *ring = guest_device_ring(net->gd, 2 * pair + 1);
	struct net_buffer *b;
	uint32_t len;

	while ((b = guest_ring_reap(ring, &len))) {
		b->next = p->tx_free;
		p->tx_free = b;
	}
}

int guest_net_send(struct guest_net *net, unsigned int pair,
		   const struct virtio_net_hdr_mrg_rxbuf *hdr,
		   const void *frame, size_t bytes)
{
	struct net_pair *p = &net->pair[pair];
	struct guest_ring *ring = guest_device_ring(net->gd, 2 * pair + 1);
	struct net_buffer *b;
	int rc;

	if (bytes > TX_BYTES - HDR)
		return -EMSGSIZE;
	tx_reap(net, pair);
	b = p->tx_free;
	if (!b)
		return -EAGAIN;
	memset(b->host, 0, HDR);
	if (hdr)
		memcpy(b->host, hdr, HDR);
	memcpy(b->host + HDR, frame, bytes);
	b->seg.len = (uint32_t)(HDR + bytes);
	rc = guest_ring_add(ring, &b->seg, 1, 0, b);
	if (rc < 0)
		return rc == -ENOSPC ? -EAGAIN : rc;
	p->tx_free = b->next;
	net_kick(net, 2 * pair + 1);
	return 0;
}

int guest_net_sent(struct guest_net *net, unsigned int pair, int timeout_ms)
{
	unsigned int q = 2 * pair + 1;
	struct guest_ring *ring = guest_device_ring(net->gd, q);
	int rc;

	for (;;) {
		tx_reap(net, pair);
		if (guest_ring_outstanding(ring) == 0)
			return 0;
		if (guest_ring_enable_notify(ring))
			continue;
		rc = guest_device_wait(net->gd, q, timeout_ms);
		if (rc <= 0)
			return rc < 0 ? rc : -ETIMEDOUT;
	}
}

/* --- receive ------------------------------------------------------------- */

int guest_net_post(struct guest_net *net, unsigned int pair, unsigned int nr)
{
	struct net_pair *p = &net->pair[pair];
	struct guest_ring *ring = guest_device_ring(net->gd, 2 * pair);
	struct net_buffer *b;
	int rc;

	for (; nr > 0; nr--) {
		b = p->rx_free;
		if (!b)
			return -ENOSPC;
		rc = guest_ring_add(ring, &b->seg, 0, 1, b);
		if (rc < 0)
			return rc;
		p->rx_free = b->next;
	}
	net_kick(net, 2 * pair);
	return 0;
}

/* The next used receive buffer, waiting for it.  0 or -errno. */
static int rx_next(struct guest_net *net, unsigned int pair, int timeout_ms,
		   struct net_buffer **buffer, uint32_t *len)
{
	struct guest_ring *ring = guest_device_ring(net->gd, 2 * pair);
	uint64_t end = pvio_now_ns() + (uint64_t)timeout_ms * 1000000;
	int rc;

	for (;;) {
		*buffer = guest_ring_reap(ring, len);
		if (*buffer)
			return 0;
		if (pvio_now_ns() >= end)
			return -ETIMEDOUT;
		if (guest_ring_enable_notify(ring))
			continue;
		rc = guest_device_wait(net->gd, 2 * pair, timeout_ms);
		if (rc < 0)
			return rc;
	}
}

int64_t guest_net_receive(struct guest_net *net, unsigned int pair,
			  struct virtio_net_hdr_mrg_rxbuf *hdr, void *frame,
			  size_t size, int timeout_ms)
{
	struct net_pair *p = &net->pair[pair];
	unsigned int i, nr = 1;
	struct net_buffer *b;
	size_t bytes = 0;
	uint32_t len;
	int rc;

	for (i = 0; i < nr; i++) {
		size_t skip = i == 0 ? HDR : 0;

		/* What belongs together is used together (5.1.6.4.1). */
		rc = rx_next(net, pair, i == 0 ? timeout_ms : 0, &b, &len);
		if (rc < 0)
			return i == 0 ? rc : -EPROTO;
		b->next = p->rx_free;
		p->rx_free = b;
		if (len < skip || len > b->seg.len)
			return -EPROTO;
		if (i == 0) {
			memcpy(hdr, b->host, HDR);
			nr = le16toh(hdr->num_buffers);
			if (nr == 0)
				return -EPROTO;
		}
		if (i + 1 < nr && len != b->seg.len)
			return -EPROTO;
		if (bytes < size)
			memcpy((uint8_t *)frame + bytes, b->host + skip,
			       pvio_min(len - skip, size - bytes));
		bytes += len - skip;
	}
	rc = guest_net_post(net, pair, nr);
	return rc < 0 ? rc : (int64_t)bytes;
}

/* --- control ------------------------------------------------------------- */

int guest_net_command(struct guest_net *net, uint8_t class, uint8_t cmd,
		      const void *data, size_t len)
{
	struct net_buffer *b = &net->control;
	struct guest_segment seg[3];
	unsigned int nr = 1;
	int64_t rc;

	if (len > 4000)
		return -EMSGSIZE;
	b->host[0] = class;
	b->host[1] = cmd;
	b->host[4095] = 0xff;
	seg[0] = (struct guest_segment){ b->seg.gpa, 2 };
	if (len > 0) {
		memcpy(b->host + 16, data, len);
		seg[nr++] = (struct guest_segment){ b->seg.gpa + 16,
						    (uint32_t)len };
	}
	seg[nr] = (struct guest_segment){ b->seg.gpa + 4095, 1 };
	rc = guest_device_transfer(net->gd, net->control_queue, seg, nr, 1);
	if (rc < 0)
		return (int)rc;
	return rc == 1 ? b->host[4095] : -EPROTO;
}
