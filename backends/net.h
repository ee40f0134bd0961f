/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.h - the seam between the net model and where frames go
 *
 * A backend gives each queue pair of the device a *port*.  Frames from the
 * guest come to it by send(), one at a time with a flush after the batch.
 * Frames for the guest it puts straight into the guest's buffers: it asks the
 * model for room with pvio_net_rx_begin(), fills it - a read from a tap needs
 * no copy of ours - and hands it over with pvio_net_rx_commit().
 *
 * On both ways a frame is preceded by the 12-byte virtio-net header of virtio
 * 1.4, 5.1.6 with num_buffers last.  A backend that has no use for offloads
 * does not offer any, ignores the header of frames it gets and fills in a
 * zeroed one.
 *
 * A port works on the worker of its queue pair; both queues of a pair are on
 * one worker.
 */
#ifndef PVIO_BACKENDS_NET_H
#define PVIO_BACKENDS_NET_H

#include "core/config.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/plugin.h"
#include "core/virtio.h"
#include "core/worker.h"

#pragma GCC visibility push(default)

#define PVIO_NET_HDR_BYTES ((size_t)12) /* struct virtio_net_hdr_mrg_rxbuf */
/* The largest frame: a 64 KiB IP packet with Ethernet and VLAN headers. */
#define PVIO_NET_MAX_FRAME ((size_t)65553)

/* Offloads, both as capabilities and as what the guest agreed to. */
enum pvio_net_offload {
	PVIO_NET_CSUM = 1 << 0,
	PVIO_NET_TSO4 = 1 << 1,
	PVIO_NET_TSO6 = 1 << 2,
	PVIO_NET_ECN = 1 << 3,
	PVIO_NET_UFO = 1 << 4,
	PVIO_NET_USO = 1 << 5,
};

/* A frame on its way from the guest, in guest memory. */
struct pvio_net_frame {
	const struct iovec *iov; /* after the header */
	int nr_iov;
	size_t bytes;
	struct virtio_net_hdr_mrg_rxbuf hdr; /* copied and checked: NEEDS_CSUM
						 and GSO fields are in range */
};

/* The model's half of a queue pair, as its backend sees it. */
struct pvio_net_rx;

/*
 * Room in the guest's receive buffers for a frame of up to @want bytes (header
 * included), as iovecs of guest memory.  Returns their number, or:
 * -ENOBUFS: the guest has given too few buffers; the model calls the port's
 * rx_ready() when there are more.  -EMSGSIZE: it can never fit in one frame
 * (no mergeable buffers): drop it.  -ENETDOWN: the link is down or the queue
 * is not running: drop it.  Nothing is consumed until commit; a second begin
 * replaces the first.  Worker of the pair.
 */
int pvio_net_rx_begin(struct pvio_net_rx *rx, size_t want,
		      const struct iovec **iov);
/*
 * The room now holds @bytes (header included): give it to the guest.  num_
 * buffers is filled in here.  Published at the end of the turn.
 */
void pvio_net_rx_commit(struct pvio_net_rx *rx, size_t bytes);
/* What this guest can take: enum pvio_net_offload bits. */
unsigned int pvio_net_rx_offloads(const struct pvio_net_rx *rx);
/* Count a frame that was meant for the guest and could not be delivered. */
void pvio_net_rx_drop(struct pvio_net_rx *rx);
/* Does the guest want this frame, by its receive filters?  @head: its first
 * 14 bytes or more. */
bool pvio_net_rx_wants(const struct pvio_net_rx *rx, const uint8_t *head);

struct pvio_net_info {
	unsigned int offloads_from_guest; /* what send() can take */
	unsigned int offloads_to_guest;	  /* what it may deliver */
	unsigned int max_pairs;
	uint16_t mtu; /* 0 = unknown */
	bool link_up; /* carrier of the outside */
};

struct pvio_net_backend_ops {
	uint32_t abi;
	const char *name;

	/*
	 * control.  Read the `backend` group and open; @pairs is what the
	 * device is configured for.
	 */
	int (*open)(const char *device, struct pvio_config *cfg,
		    unsigned int pairs, const uint8_t mac[6],
		    struct pvio_net_info *info, void **backend);
	void (*close)(void *backend);
	/* control, no port running.  What the guest agreed to receive. */
	int (*set_offloads)(void *backend, unsigned int to_guest);

	/* queue.  Make the port of queue pair @pair; deliver into @rx. */
	int (*start_port)(void *backend, unsigned int pair,
			  struct pvio_worker *worker, struct pvio_net_rx *rx,
			  void **port);
	void (*stop_port)(void *port);
	/*
	 * queue.  Take a frame: 0 (sent, or dropped and counted by the backend),
	 * -EAGAIN: full; the model keeps it, and tries again after the backend
	 * has called @writable of pvio_net_tx_ready().
	 */
	int (*send)(void *port, const struct pvio_net_frame *frame);
	/* queue.  Once after a batch of sends. */
	void (*flush)(void *port);
	/* queue.  The guest has given receive buffers again. */
	void (*rx_ready)(void *port);
};

/* The backend can send again.  Worker of the pair. */
void pvio_net_tx_ready(struct pvio_net_rx *rx);

#pragma GCC visibility pop
#endif
