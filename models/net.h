/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.h - what the files of the net model share
 *
 *	net.c          the device: configuration, features, commands, queues
 *	net-rx.c       frames to the guest; its receive filters
 *	net-tx.c       frames from the guest
 *	net-control.c  the control queue
 *
 * Who may touch what.  A pair belongs to the worker of its queues.  The control
 * queue may be on another worker: what a command changes travels from worker to
 * worker, and the driver is answered when every pair has it (net-control.c).
 * What the control worker and pairs share - link, MTU, address - is a single
 * word, loaded and stored at once.
 */
#ifndef PVIO_MODELS_NET_H
#define PVIO_MODELS_NET_H

#include "backends/net.h"
#include "core/model.h"

#define NET_MAX_PAIRS 32
#define NET_MAX_MACS  64 /* a kind; more, and all of that kind pass */
#define NET_MAX_IOV   1024 /* of one received frame: the system's IOV_MAX */
#define NET_VLANS     4096

/* What CTRL_GUEST_OFFLOADS may switch (virtio 1.4, 5.1.6.5.6). */
#define NET_GUEST_OFFLOAD_BITS                                              \
	(PVIO_BIT(VIRTIO_NET_F_GUEST_CSUM) |                                \
	 PVIO_BIT(VIRTIO_NET_F_GUEST_TSO4) |                                \
	 PVIO_BIT(VIRTIO_NET_F_GUEST_TSO6) |                                \
	 PVIO_BIT(VIRTIO_NET_F_GUEST_ECN) |                                 \
	 PVIO_BIT(VIRTIO_NET_F_GUEST_UFO) |                                 \
	 PVIO_BIT(VIRTIO_NET_F_GUEST_USO4) |                                \
	 PVIO_BIT(VIRTIO_NET_F_GUEST_USO6))

/* Work of one kick: bounds how long one guest holds a worker. */
#define NET_BUDGET_FRAMES 256
#define NET_BUDGET_BYTES  ((size_t)2 << 20)

/* What the guest wants to receive (virtio 1.4, 5.1.6.5.1 to 5.1.6.5.3). */
struct net_filter {
	uint8_t mac[6];
	bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
	bool by_vlan; /* VLAN filtering was negotiated */
	bool uni_full, multi_full; /* the driver's table did not fit */
	unsigned int nr_uni, nr_multi;
	uint8_t uni[NET_MAX_MACS][6];
	uint8_t multi[NET_MAX_MACS][6];
	uint64_t vlan[NET_VLANS / 64];
};

/* What the control queue decides for every pair. */
struct net_rules {
	struct net_filter filter;
	unsigned int pairs;	/* in use */
	unsigned int offloads;	/* to the guest */
};

struct net_rx {
	struct pvio_net_rx face; /* what the backend holds */
	struct pvio_vq *vq;	 /* NULL: not running */
	/*
	 * Chains popped and not yet used, oldest first: a ring of pointers,
	 * kept between frames so that none is walked twice.
	 */
	struct pvio_chain **held; /* owned; [held_mask + 1] */
	unsigned int held_mask;
	unsigned int held_head, held_tail;
	bool mergeable;
	bool active;   /* the driver uses this pair */
	bool in_use;   /* what the backend was told of that */
	bool starved;  /* the backend waits for buffers */
	bool in_kick;  /* rx_ready() is being called: no need to schedule */
	struct net_rules rules;
	struct iovec *iov; /* owned; [NET_MAX_IOV] room being filled */
};

struct net_tx {
	struct pvio_vq *vq;	  /* NULL: not running */
	struct pvio_chain *held;  /* the backend was full: try again */
	struct pvio_net_frame frame; /* of held */
	unsigned int offloads;	  /* what the driver may ask for */
	size_t max_plain;	  /* largest frame without GSO */
};

struct net_pair {
	struct net *net;
	unsigned int index;
	void *port;	/* backend's, while a queue of the pair runs; owned */
	struct net_rx rx;
	struct net_tx tx;
	struct pvio_worker *worker; /* of both queues; borrowed */
	bool running;	/* atomic: there is a port */
};

struct net_control {
	struct pvio_vq *vq;	 /* NULL: not running */
	struct pvio_chain *busy; /* its change is on its way; or NULL */
	struct pvio_task hop;	 /* the change, going from worker to worker */
	struct pvio_worker *here; /* where hop is */
	unsigned int at;	 /* the next pair it visits */
	struct net_rules rules;	 /* what is in force */
};

struct net {
	struct pvio_device *dev; /* borrowed, outlives us */
	const struct pvio_net_backend_ops *ops;
	void *backend;	  /* owned */
	struct pvio_net_info info;
	unsigned int nr_pairs;
	uint8_t mac[6];	  /* configured */
	uint64_t mac_now; /* atomic: the driver may have changed it */
	uint16_t mtu;	  /* atomic; 0: not said */
	uint16_t max_mtu; /* configured or the backend's; 0: not said */
	bool admin_up;	  /* "link" command */
	bool carrier;	  /* of the backend */
	bool link_up;	  /* atomic: both */
	bool announce;	  /* atomic: the driver is asked to announce */
	/* Latched from the driver's features. */
	uint64_t features;
	bool has_control;	/* a control queue, and ours */
	unsigned int control_index;
	struct net_control control;
	struct net_pair pairs[];
};

/* net.c */
/* Guest offloads in feature bits, as enum pvio_net_offload. */
unsigned int net_offloads_to_guest(uint64_t features);
/* Does every dependency among guest offloads hold (virtio 1.4, 5.1.3.1)? */
bool net_guest_offloads_ok(uint64_t features);
/* The backend says the outside is there or not.  Worker of the pair. */
void net_carrier_changed(struct net_pair *pair, bool up);
uint64_t net_mac_pack(const uint8_t mac[6]);

/* net-rx.c */
extern const struct pvio_net_rx_ops net_rx_ops;
int net_rx_start(struct net_pair *pair, struct pvio_vq *vq);
void net_rx_stop(struct net_pair *pair);
void net_rx_fini(struct net_pair *pair);
enum pvio_kick net_rx_kick(struct net_pair *pair);
/* Put @rules in force.  Worker of the pair. */
void net_rx_apply(struct net_pair *pair, const struct net_rules *rules);
/* Tell the backend whether the guest receives on this pair, if that changed. */
void net_rx_refresh(struct net_pair *pair);

/* net-tx.c */
void net_tx_start(struct net_pair *pair, struct pvio_vq *vq);
void net_tx_stop(struct net_pair *pair);
enum pvio_kick net_tx_kick(struct net_pair *pair);
enum pvio_kick net_tx_discard(struct pvio_vq *vq);
/* Send a RARP request for @mac.  Worker of the pair. */
void net_tx_announce(struct net_pair *pair, const uint8_t mac[6]);

/* net-control.c */
enum pvio_kick net_control_kick(struct net *net);

#endif
