/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.h - the driver side of a virtio network card
 *
 * A small driver (virtio 1.4, 5.1) over guest/device.h: buffers of its own for
 * both directions, frames copied in and out.  It reports what the device did
 * as it was, and refuses a device that breaks the rules of merged buffers.
 */
#ifndef PVIO_GUEST_NET_H
#define PVIO_GUEST_NET_H

#include "device.h"

#include "core/virtio.h"

struct guest_net;

struct guest_net_options {
	uint64_t features[2];  /* to accept, of those offered */
	unsigned int pairs;    /* queue pairs to set up */
	uint16_t queue_size;
	uint32_t rx_bytes;     /* of a receive buffer, header included */
	unsigned int rx_buffers; /* posted to each pair */
};

/*
 * Negotiate, set up and start @gd.  @gd and @mem are borrowed.  The control
 * queue is set up when VIRTIO_NET_F_CTRL_VQ is accepted.  -EINVAL: the device
 * refuses the features; -ENOSPC; -errno.
 */
int guest_net_start(struct guest_device *gd, struct guest_memory *mem,
		    const struct guest_net_options *options,
		    struct guest_net **net);
/* Free the driver's side; the device stays as it is. */
void guest_net_destroy(struct guest_net *net);
/* What was accepted. */
uint64_t guest_net_features(const struct guest_net *net);

/*
 * Queue a frame for sending and kick.  @hdr NULL: all zero.  -EAGAIN: every
 * transmit buffer is in use.
 */
int guest_net_send(struct guest_net *net, unsigned int pair,
		   const struct virtio_net_hdr_mrg_rxbuf *hdr,
		   const void *frame, size_t bytes);
/* Wait until all that was queued is used.  0, -ETIMEDOUT. */
int guest_net_sent(struct guest_net *net, unsigned int pair, int timeout_ms);

/*
 * The next frame: its bytes, at most @size of which are copied to @frame; its
 * buffers are posted again.  -ETIMEDOUT; -EPROTO: num_buffers or lengths that
 * the device may not use.
 */
int64_t guest_net_receive(struct guest_net *net, unsigned int pair,
			  struct virtio_net_hdr_mrg_rxbuf *hdr, void *frame,
			  size_t size, int timeout_ms);
/* Post @nr receive buffers more, or again. */
int guest_net_post(struct guest_net *net, unsigned int pair, unsigned int nr);

/* A control command.  The answer, VIRTIO_NET_OK or _ERR, or -errno. */
int guest_net_command(struct guest_net *net, uint8_t class, uint8_t cmd,
		      const void *data, size_t len);
/* The index of the control queue. */
unsigned int guest_net_control_queue(const struct guest_net *net);

#endif
