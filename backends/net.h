/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.h - the seam between the net model and where frames go
 *
 * A backend gives each queue pair of the device a *port*.  Frames from the
 * guest come to it by send(), one at a time with a flush after the batch.
 * Frames for the guest it puts straight into the guest's buffers: it asks the
 * pair's receive side for room with pvio_net_rx_begin(), fills it - a read
 * from a tap needs no copy of ours - and hands it over with
 * pvio_net_rx_commit().
 *
 * Room and frames are without the virtio-net header, which travels beside
 * them as a struct of our own memory: what was checked in it stays true.  A
 * backend that has no use for offloads offers none, ignores the header of
 * frames it gets and commits with a zeroed one.
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

/* struct virtio_net_hdr_mrg_rxbuf (virtio 1.4, 5.1.6) */
#define PVIO_NET_HDR_BYTES sizeof(struct virtio_net_hdr_mrg_rxbuf)
/* The largest frame: a 64 KiB IP packet with Ethernet and VLAN headers. */
#define PVIO_NET_MAX_FRAME ((size_t)65553)
#define PVIO_NET_MIN_FRAME ((size_t)14)
/* Ethernet and two VLAN headers: what a frame may have on top of the MTU. */
#define PVIO_NET_LINK_BYTES ((size_t)22)
/* Most segments that one GSO frame may ask to be cut into. */
#define PVIO_NET_MAX_SEGMENTS 2048

/* Offloads, both as capabilities and as what the guest agreed to. */
enum pvio_net_offload {
	PVIO_NET_CSUM = 1 << 0,
	PVIO_NET_TSO4 = 1 << 1,
	PVIO_NET_TSO6 = 1 << 2,
	PVIO_NET_ECN = 1 << 3,
	PVIO_NET_UFO = 1 << 4,
	PVIO_NET_USO = 1 << 5,
};
/* What backends/net-offload.c can do in software for a receiver that cannot. */
#define PVIO_NET_SOFT_OFFLOADS \
	(PVIO_NET_CSUM | PVIO_NET_TSO4 | PVIO_NET_TSO6 | PVIO_NET_ECN | \
	 PVIO_NET_USO)

/* A frame on its way from the guest, in guest memory. */
struct pvio_net_frame {
	const struct iovec *iov; /* after the header */
	int nr_iov;
	size_t bytes;
	struct virtio_net_hdr_mrg_rxbuf hdr; /* copied and checked: NEEDS_CSUM
						 and GSO fields are in range */
};

/* Room in a guest's receive buffers, as iovecs of guest memory. */
struct pvio_net_room {
	const struct iovec *iov;
	int nr_iov;
	size_t bytes;
};

/*
 * The receive side of a queue pair, as its backend sees it: the model's, or
 * whatever else wants frames from a backend.
 */
struct pvio_net_rx {
	const struct pvio_net_rx_ops *ops;
	/* What the receiver can take: enum pvio_net_offload bits. */
	unsigned int offloads;
	/* It takes every frame: @wants need not be asked. */
	bool wants_all;
};

struct pvio_net_rx_ops {
	int (*begin)(struct pvio_net_rx *rx, size_t least, size_t want,
		     struct pvio_net_room *room);
	void (*commit)(struct pvio_net_rx *rx,
		       const struct virtio_net_hdr_mrg_rxbuf *hdr,
		       size_t bytes);
	bool (*wants)(const struct pvio_net_rx *rx, const uint8_t *head,
		      size_t len);
	void (*drop)(struct pvio_net_rx *rx);
	void (*tx_ready)(struct pvio_net_rx *rx);
	void (*link_changed)(struct pvio_net_rx *rx, bool up);
};

/*
 * Room for a frame of up to @want bytes, in *room.  Where a frame's size is not
 * known beforehand, @least may be less: a receiver whose whole ring cannot hold
 * @want gives what it has, at least @least.  0, or:
 * -ENOBUFS: the guest has given too few buffers; the port's rx_ready() is
 * called when there are more.  -EMSGSIZE: @least can never fit: drop the frame.
 * -ENETDOWN: the link is down or the queue is not running: drop it.
 * Nothing is consumed until commit; a second begin replaces the first.  The
 * room stays valid until the receive side is next called.  Worker of the pair.
 */
static inline int pvio_net_rx_begin(struct pvio_net_rx *rx, size_t least,
				    size_t want, struct pvio_net_room *room)
{
	return rx->ops->begin(rx, least, want, room);
}

/*
 * The room now holds a frame of @bytes: give it to the guest under @hdr, whose
 * num_buffers is not looked at.  Published at the end of the turn.
 */
static inline void
pvio_net_rx_commit(struct pvio_net_rx *rx,
		   const struct virtio_net_hdr_mrg_rxbuf *hdr, size_t bytes)
{
	rx->ops->commit(rx, hdr, bytes);
}

/* Does the guest want this frame, by its receive filters?  @head: its first
 * @len bytes; 18 are enough, 14 needed. */
static inline bool pvio_net_rx_wants(const struct pvio_net_rx *rx,
				     const uint8_t *head, size_t len)
{
	return rx->wants_all || rx->ops->wants(rx, head, len);
}

/* Count a frame that was meant for the guest and could not be delivered. */
static inline void pvio_net_rx_drop(struct pvio_net_rx *rx)
{
	rx->ops->drop(rx);
}

/* The backend can send again, after -EAGAIN.  Worker of the pair. */
static inline void pvio_net_tx_ready(struct pvio_net_rx *rx)
{
	rx->ops->tx_ready(rx);
}

/* The outside was plugged in or out.  Worker of the pair. */
static inline void pvio_net_link_changed(struct pvio_net_rx *rx, bool up)
{
	rx->ops->link_changed(rx, up);
}

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
	 * device is configured for, @mac its address.
	 */
	int (*open)(const char *device, struct pvio_config *cfg,
		    unsigned int pairs, const uint8_t mac[6],
		    struct pvio_net_info *info, void **backend);
	void (*close)(void *backend);
	/*
	 * control, or the worker of a control queue.  What the guest agreed to
	 * receive, now.  Ports may be running.  Optional.
	 */
	int (*set_offloads)(void *backend, unsigned int to_guest);

	/* queue.  Make the port of queue pair @pair; deliver into @rx, which
	 * outlives it. */
	int (*start_port)(void *backend, unsigned int pair,
			  struct pvio_worker *worker, struct pvio_net_rx *rx,
			  void **port);
	/* queue.  When it returns nothing of the port calls @rx any more. */
	void (*stop_port)(void *port);
	/*
	 * queue.  The guest uses this pair's receive queue, or not any more: a
	 * backend that spreads flows over pairs leaves it out.  Ports start in
	 * use.  Optional.
	 */
	void (*use_port)(void *port, bool use);
	/*
	 * queue.  Take a frame: 0; -EAGAIN: full; the model keeps it, and tries
	 * again after the backend has called pvio_net_tx_ready(); any other
	 * -errno: it was dropped, and the model counts it.  The frame is good
	 * for the call.
	 */
	int (*send)(void *port, const struct pvio_net_frame *frame);
	/* queue.  Once after a batch of sends.  Optional. */
	void (*flush)(void *port);
	/* queue.  The guest has given receive buffers again. */
	void (*rx_ready)(void *port);
};

/* --- what backends share (backends/net-offload.c) ------------------------ */

/*
 * Deliver a copy of @frame to @rx.  What its header asks for and the receiver
 * cannot do - complete a checksum, cut TCP or UDP into segments - is done on
 * the way, in @scratch.  Where @head_len is not 0, @head is written over the
 * frame's first bytes: they were looked at, and the sender may have changed
 * them since.
 *
 * 0: delivered, or could not be and was counted.  -ENOBUFS: nothing was
 * delivered for lack of buffers; rx_ready() will come.  Worker of the pair.
 */
struct pvio_net_scratch;
int pvio_net_deliver(struct pvio_net_rx *rx, const struct pvio_net_frame *frame,
		     const uint8_t *head, size_t head_len,
		     struct pvio_net_scratch *scratch);
struct pvio_net_scratch *pvio_net_scratch_create(void);
void pvio_net_scratch_destroy(struct pvio_net_scratch *scratch);

/*
 * Is @hdr sound for a frame of @bytes, with @offloads allowed?  Clears what
 * means nothing.  What a frame from the outside has to pass as well.
 */
bool pvio_net_hdr_check(struct virtio_net_hdr_mrg_rxbuf *hdr, size_t bytes,
			unsigned int offloads);

#pragma GCC visibility pop
#endif
