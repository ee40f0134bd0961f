/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-switch.c - a port of a switch between the devices of this process
 *
 *	backend = { type = "switch"; switch = "lan0"; mac_check = true; };
 *
 * With an uplink, another backend is plugged into the same switch, so that the
 * guests on it reach the outside:
 *
 *	backend = { type = "switch"; switch = "lan0";
 *	            uplink = { type = "stream"; path = "/run/passt.sock"; }; };
 *
 * To the switch, the uplink is a receiver like a guest: `out` lends its buffer
 * as room, and sends what is committed.  To the other backend it is one, too:
 * `in` lends the same kind of room, and forwards.
 *
 *	            +--------+  out.begin, commit   +---------+
 *	 guests ----| switch |--------------------->| backend |---- outside
 *	            |        |<---------------------|         |
 *	            +--------+   in.begin, commit   +---------+
 *
 * The uplink is there while the device that has it runs.
 */
#include "backends/switch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room of our own: one frame, lent and taken back within a call. */
struct bounce {
	struct pvio_net_rx rx;
	struct iovec iov;
	uint8_t frame[PVIO_NET_MAX_FRAME];
};

struct uplink {
	const struct pvio_net_backend_ops *ops;
	struct pvio_net_info info;
	void *backend;              /* owned */
	void *port;                 /* owned, while the device's port runs */
	struct pvio_worker *worker; /* borrowed, while there is a port */
	struct pvio_job flush;      /* at turn's end: something was sent */
	bool sending;               /* out_commit is under way */
	struct pvio_switch_port switch_port;
	struct bounce out, in;
};

struct net_switch {
	char *device;           /* owned */
	struct pvio_switch *sw; /* owned reference */
	struct pvio_switch_port port;
	struct uplink *uplink; /* owned, or NULL */
};

/* --- uplink -------------------------------------------------------------- */

static int bounce_begin(struct pvio_net_rx *rx, size_t least, size_t want,
			struct pvio_net_room *room)
{
	struct bounce *b = pvio_container_of(rx, struct bounce, rx);

	(void)want;
	if (least > sizeof(b->frame))
		return -EMSGSIZE;
	b->iov.iov_base = b->frame;
	b->iov.iov_len = sizeof(b->frame);
	room->iov = &b->iov;
	room->nr_iov = 1;
	room->bytes = sizeof(b->frame);
	return 0;
}

/* The frame that was put into @b's room. */
static struct pvio_net_frame bounce_frame(
	struct bounce *b, const struct virtio_net_hdr_mrg_rxbuf *hdr,
	size_t bytes)
{
	b->iov.iov_len = bytes;
	return (struct pvio_net_frame){
		.iov = &b->iov,
		.nr_iov = 1,
		.bytes = bytes,
		.hdr = *hdr,
	};
}

/* The switch sends to the outside.  What does not fit at once is lost. */
static void out_commit(struct pvio_net_rx *rx,
		       const struct virtio_net_hdr_mrg_rxbuf *hdr, size_t bytes)
{
	struct uplink *up = pvio_container_of(rx, struct uplink, out.rx);
	struct pvio_net_frame frame = bounce_frame(&up->out, hdr, bytes);

	if (!up->port || up->sending)
		return;
	up->sending = true;
	up->ops->send(up->port, &frame);
	up->sending = false;
	if (up->ops->flush)
		pvio_worker_at_turn_end(up->worker, &up->flush);
}

static void uplink_flush(struct pvio_job *job)
{
	struct uplink *up = pvio_container_of(job, struct uplink, flush);

	up->ops->flush(up->port);
}

/* The outside sends to the switch - but not from within a send of ours. */
static void in_commit(struct pvio_net_rx *rx,
		      const struct virtio_net_hdr_mrg_rxbuf *hdr, size_t bytes)
{
	struct uplink *up = pvio_container_of(rx, struct uplink, in.rx);
	struct pvio_net_frame frame = bounce_frame(&up->in, hdr, bytes);

	if (!up->sending)
		pvio_switch_forward(&up->switch_port, &frame);
}

static bool bounce_wants(const struct pvio_net_rx *rx, const uint8_t *head,
			 size_t len)
{
	(void)rx;
	(void)head;
	(void)len;
	return true;
}

static void bounce_ignore(struct pvio_net_rx *rx)
{
	(void)rx;
}

static void bounce_link_changed(struct pvio_net_rx *rx, bool up)
{
	(void)rx;
	(void)up;
}

static const struct pvio_net_rx_ops out_ops = {
	.begin = bounce_begin,
	.commit = out_commit,
	.wants = bounce_wants,
	.drop = bounce_ignore,
	.tx_ready = bounce_ignore,
	.link_changed = bounce_link_changed,
};

static const struct pvio_net_rx_ops in_ops = {
	.begin = bounce_begin,
	.commit = in_commit,
	.wants = bounce_wants,
	.drop = bounce_ignore,
	.tx_ready = bounce_ignore,
	.link_changed = bounce_link_changed,
};

static int uplink_open(struct net_switch *ns, struct pvio_config *cfg,
		       const uint8_t mac[6])
{
	struct uplink *up;
	const char *type;
	int rc;

	rc = pvio_config_string(cfg, "type", &type);
	if (rc < 0)
		return rc;
	up = calloc(1, sizeof(*up));
	if (!up)
		return -ENOMEM;
	up->ops = pvio_plugin_find(PVIO_PLUGIN_net_backend, type);
	if (!up->ops || strcmp(type, "switch") == 0) {
		rc = pvio_config_error(cfg, "type", "no uplink \"%s\"", type);
		goto free_up;
	}
	rc = up->ops->open(ns->device, cfg, 1, mac, &up->info, &up->backend);
	if (rc < 0)
		goto free_up;
	/* What comes in may be as large as the switch can cut. */
	up->in.rx.ops = &in_ops;
	up->in.rx.offloads = up->info.offloads_to_guest &
			     PVIO_NET_SOFT_OFFLOADS;
	up->in.rx.wants_all = true;
	up->out.rx.ops = &out_ops;
	up->out.rx.offloads = up->info.offloads_from_guest;
	up->out.rx.wants_all = true;
	up->switch_port.name = ns->device;
	up->switch_port.rx = &up->out.rx;
	if (up->ops->set_offloads)
		up->ops->set_offloads(up->backend, up->in.rx.offloads);
	ns->uplink = up;
	return 0;

free_up:
	free(up);
	return rc;
}

static void uplink_close(struct uplink *up)
{
	if (!up)
		return;
	up->ops->close(up->backend);
	free(up);
}

static int uplink_start(struct net_switch *ns, struct pvio_worker *worker)
{
	struct uplink *up = ns->uplink;
	int rc;

	up->worker = worker;
	pvio_job_init(&up->flush, uplink_flush);
	rc = pvio_switch_attach(ns->sw, &up->switch_port, worker);
	if (rc < 0)
		return rc;
	rc = up->ops->start_port(up->backend, 0, worker, &up->in.rx, &up->port);
	if (rc < 0)
		pvio_switch_detach(&up->switch_port);
	return rc;
}

static void uplink_stop(struct uplink *up)
{
	pvio_job_cancel(&up->flush);
	up->ops->stop_port(up->port);
	up->port = NULL;
	pvio_switch_detach(&up->switch_port);
}

/* --- the device's port --------------------------------------------------- */

static void switch_close(void *backend)
{
	struct net_switch *ns = backend;

	uplink_close(ns->uplink);
	if (ns->sw)
		pvio_switch_put(ns->sw);
	free(ns->device);
	free(ns);
}

static int switch_open(const char *device, struct pvio_config *cfg,
		       unsigned int pairs, const uint8_t mac[6],
		       struct pvio_net_info *info, void **backend)
{
	struct pvio_config *uplink;
	struct net_switch *ns;
	const char *name;
	int rc;

	(void)pairs;
	ns = calloc(1, sizeof(*ns));
	if (!ns)
		return -ENOMEM;
	rc = -ENOMEM;
	ns->device = strdup(device);
	if (!ns->device)
		goto close_switch;
	rc = pvio_config_string(cfg, "switch", &name);
	if (rc < 0)
		goto close_switch;
	rc = pvio_config_bool_opt(cfg, "mac_check", &ns->port.mac_check);
	if (rc < 0)
		goto close_switch;
	rc = pvio_config_group_opt(cfg, "uplink", &uplink);
	if (rc < 0)
		goto close_switch;
	rc = pvio_switch_get(name, &ns->sw);
	if (rc < 0) {
		if (rc == -EINVAL)
			pvio_config_error(cfg, "switch",
					  "a name has at most %d bytes",
					  PVIO_SWITCH_NAME_BYTES - 1);
		goto close_switch;
	}
	if (uplink)
		rc = uplink_open(ns, uplink, mac);
	if (rc < 0)
		goto close_switch;
	ns->port.name = ns->device;
	ns->port.has_mac = true;
	memcpy(ns->port.mac, mac, sizeof(ns->port.mac));
	*info = (struct pvio_net_info){
		.offloads_from_guest = PVIO_NET_SOFT_OFFLOADS,
		.offloads_to_guest = PVIO_NET_SOFT_OFFLOADS,
		.max_pairs = 1,
		.link_up = true,
	};
	*backend = ns;
	return 0;

close_switch:
	switch_close(ns);
	return rc;
}

static int switch_start_port(void *backend, unsigned int pair,
			     struct pvio_worker *worker, struct pvio_net_rx *rx,
			     void **port)
{
	struct net_switch *ns = backend;
	int rc;

	(void)pair;
	ns->port.rx = rx;
	rc = pvio_switch_attach(ns->sw, &ns->port, worker);
	if (rc < 0)
		return rc;
	if (ns->uplink) {
		rc = uplink_start(ns, worker);
		if (rc < 0) {
			pvio_switch_detach(&ns->port);
			return rc;
		}
	}
	*port = ns;
	return 0;
}

static void switch_stop_port(void *port)
{
	struct net_switch *ns = port;

	if (ns->uplink)
		uplink_stop(ns->uplink);
	pvio_switch_detach(&ns->port);
}

static int switch_send(void *port, const struct pvio_net_frame *frame)
{
	struct net_switch *ns = port;

	return pvio_switch_forward(&ns->port, frame);
}

/* Nobody waits for a receiver that gave no buffers. */
static void switch_rx_ready(void *port)
{
	(void)port;
}

static const struct pvio_net_backend_ops switch_ops = {
	.abi = PVIO_PLUGIN_ABI,
	.name = "switch",
	.open = switch_open,
	.close = switch_close,
	.start_port = switch_start_port,
	.stop_port = switch_stop_port,
	.send = switch_send,
	.rx_ready = switch_rx_ready,
};
PVIO_PLUGIN(net_backend, switch, switch_ops);
