/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.c - the virtio network device
 *
 * A device has N queue pairs and a control queue (virtio 1.4, 5.1.2):
 *
 *	0 rx of pair 0	1 tx of pair 0	2 rx of pair 1	...  2N control
 *
 * but a driver that has not negotiated MQ finds the control queue at 2.  Frames
 * are the business of net-rx.c and net-tx.c, commands of net-control.c; here is
 * what the device offers, what the driver took of it, and when the backend's
 * ports come and go: a pair has a port while one of its queues runs.
 *
 * A vhost-user front-end may keep the control queue to itself and yet accept
 * features that need one (QEMU does so with MQ).  So those are not refused
 * without CTRL_VQ; they mean nothing then, except that with MQ every pair is in
 * use whose queues the front-end enables.
 */
#include "models/net.h"

#include <errno.h>
#include <net/ethernet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIN_MTU 68
#define MAX_MTU 65535

uint64_t net_mac_pack(const uint8_t mac[6])
{
	uint64_t word = 0;

	memcpy(&word, mac, 6);
	return word;
}

/* --- link ---------------------------------------------------------------- */

static void net_set_link(struct net *net)
{
	bool up = net->admin_up && net->carrier;

	if (up == net->link_up)
		return;
	pvio_store_once(&net->link_up, up);
	pvio_log(PVIO_LOG_INFO, "%s: link %s", pvio_device_name(net->dev),
		 up ? "up" : "down");
	pvio_device_config_changed(net->dev);
}

/* A change of carrier on its way from a pair to the control worker. */
struct carrier_news {
	struct pvio_task task;
	struct net *net;
	bool up;
};

static void carrier_arrived(struct pvio_task *task)
{
	struct carrier_news *news = pvio_container_of(task, struct carrier_news,
						      task);

	news->net->carrier = news->up;
	net_set_link(news->net);
	free(news);
}

/*
 * The pair's queue stops after this was called, and tells the control worker
 * so by a later task: the news arrives while the device exists.
 */
void net_carrier_changed(struct net_pair *pair, bool up)
{
	struct net *net = pair->net;
	struct pvio_worker *control = pvio_device_control(net->dev);
	struct carrier_news *news;

	if (pair->worker == control) {
		net->carrier = up;
		net_set_link(net);
		return;
	}
	news = calloc(1, sizeof(*news));
	if (!news)
		return;
	news->task.fn = carrier_arrived;
	news->net = net;
	news->up = up;
	pvio_worker_post(control, &news->task);
}

static int net_link_command(void *model, const char *argument, char *answer,
			    size_t size)
{
	struct net *net = model;

	if (strcmp(argument, "up") == 0) {
		net->admin_up = true;
	} else if (strcmp(argument, "down") == 0) {
		net->admin_up = false;
	} else if (argument[0] != '\0') {
		snprintf(answer, size, "link takes \"up\" or \"down\"");
		return -EINVAL;
	}
	net_set_link(net);
	if (net->admin_up && !net->carrier)
		snprintf(answer, size, "down (no carrier)");
	else
		snprintf(answer, size, "%s", net->link_up ? "up" : "down");
	return 0;
}

static const struct pvio_command net_commands[] = {
	{ "link", net_link_command },
	{ NULL, NULL },
};

/* --- announcement -------------------------------------------------------- */

struct announcement {
	struct pvio_task task;
	struct net_pair *pair;
	uint8_t mac[6];
};

static void announcement_arrived(struct pvio_task *task)
{
	struct announcement *a = pvio_container_of(task, struct announcement,
						   task);

	net_tx_announce(a->pair, a->mac);
	free(a);
}

/* The driver announces by itself where it can; otherwise we do. */
static void net_announce(void *model, const uint8_t mac[6])
{
	struct net *net = model;
	struct net_pair *pair = &net->pairs[0];
	struct announcement *a;

	if (net->has_control &&
	    net->features & PVIO_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE)) {
		pvio_store_once(&net->announce, true);
		pvio_device_config_changed(net->dev);
		return;
	}
	if (!pvio_load_once(&pair->running))
		return;
	if (pair->worker == pvio_device_control(net->dev)) {
		net_tx_announce(pair, mac);
		return;
	}
	a = calloc(1, sizeof(*a));
	if (!a)
		return;
	a->task.fn = announcement_arrived;
	a->pair = pair;
	memcpy(a->mac, mac, sizeof(a->mac));
	pvio_worker_post(pair->worker, &a->task);
}

static int net_set_mtu(void *model, uint16_t mtu)
{
	struct net *net = model;

	if (mtu < MIN_MTU || (net->max_mtu != 0 && mtu > net->max_mtu))
		return -EINVAL;
	pvio_store_once(&net->mtu, mtu);
	return 0;
}

/* --- features ------------------------------------------------------------ */

unsigned int net_offloads_to_guest(uint64_t f)
{
	uint64_t uso = PVIO_BIT(VIRTIO_NET_F_GUEST_USO4) |
		       PVIO_BIT(VIRTIO_NET_F_GUEST_USO6);
	unsigned int o = 0;

	if (f & PVIO_BIT(VIRTIO_NET_F_GUEST_CSUM))
		o |= PVIO_NET_CSUM;
	if (f & PVIO_BIT(VIRTIO_NET_F_GUEST_TSO4))
		o |= PVIO_NET_TSO4;
	if (f & PVIO_BIT(VIRTIO_NET_F_GUEST_TSO6))
		o |= PVIO_NET_TSO6;
	if (f & PVIO_BIT(VIRTIO_NET_F_GUEST_ECN))
		o |= PVIO_NET_ECN;
	if (f & PVIO_BIT(VIRTIO_NET_F_GUEST_UFO))
		o |= PVIO_NET_UFO;
	if ((f & uso) == uso)
		o |= PVIO_NET_USO;
	return o;
}

/* @bit needs one of @any. */
static bool needs(uint64_t f, unsigned int bit, uint64_t any)
{
	return !(f & PVIO_BIT(bit)) || (f & any);
}

bool net_guest_offloads_ok(uint64_t f)
{
	uint64_t csum = PVIO_BIT(VIRTIO_NET_F_GUEST_CSUM);
	uint64_t tso = PVIO_BIT(VIRTIO_NET_F_GUEST_TSO4) |
		       PVIO_BIT(VIRTIO_NET_F_GUEST_TSO6);

	return needs(f, VIRTIO_NET_F_GUEST_TSO4, csum) &&
	       needs(f, VIRTIO_NET_F_GUEST_TSO6, csum) &&
	       needs(f, VIRTIO_NET_F_GUEST_UFO, csum) &&
	       needs(f, VIRTIO_NET_F_GUEST_USO4, csum) &&
	       needs(f, VIRTIO_NET_F_GUEST_USO6, csum) &&
	       needs(f, VIRTIO_NET_F_GUEST_ECN, tso);
}

/* virtio 1.4, 5.1.3.1 */
static int net_check_features(void *model, const struct pvio_features *features)
{
	uint64_t f = features->word[0];
	uint64_t csum = PVIO_BIT(VIRTIO_NET_F_CSUM);
	uint64_t tso = PVIO_BIT(VIRTIO_NET_F_HOST_TSO4) |
		       PVIO_BIT(VIRTIO_NET_F_HOST_TSO6);

	(void)model;
	if (net_guest_offloads_ok(f) &&
	    needs(f, VIRTIO_NET_F_HOST_TSO4, csum) &&
	    needs(f, VIRTIO_NET_F_HOST_TSO6, csum) &&
	    needs(f, VIRTIO_NET_F_HOST_UFO, csum) &&
	    needs(f, VIRTIO_NET_F_HOST_USO, csum) &&
	    needs(f, VIRTIO_NET_F_HOST_ECN, tso))
		return 0;
	return -EINVAL;
}

/* Do not offer what the backend cannot, or the configuration does not want. */
static void net_withhold(struct net *net, unsigned int from, unsigned int to)
{
	static const struct {
		unsigned int offload, host, guest;
	} map[] = {
		{ PVIO_NET_CSUM, VIRTIO_NET_F_CSUM, VIRTIO_NET_F_GUEST_CSUM },
		{ PVIO_NET_TSO4, VIRTIO_NET_F_HOST_TSO4,
		  VIRTIO_NET_F_GUEST_TSO4 },
		{ PVIO_NET_TSO6, VIRTIO_NET_F_HOST_TSO6,
		  VIRTIO_NET_F_GUEST_TSO6 },
		{ PVIO_NET_ECN, VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_GUEST_ECN },
		{ PVIO_NET_UFO, VIRTIO_NET_F_HOST_UFO, VIRTIO_NET_F_GUEST_UFO },
		{ PVIO_NET_USO, VIRTIO_NET_F_HOST_USO,
		  VIRTIO_NET_F_GUEST_USO4 },
	};
	unsigned int i;

	for (i = 0; i < pvio_array_size(map); i++) {
		if (!(from & map[i].offload))
			pvio_device_withhold(net->dev, map[i].host);
		if (!(to & map[i].offload))
			pvio_device_withhold(net->dev, map[i].guest);
	}
	if (!(to & PVIO_NET_USO))
		pvio_device_withhold(net->dev, VIRTIO_NET_F_GUEST_USO6);
	if (to == 0)
		pvio_device_withhold(net->dev,
				     VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	if (net->nr_pairs == 1)
		pvio_device_withhold(net->dev, VIRTIO_NET_F_MQ);
	if (net->mtu == 0)
		pvio_device_withhold(net->dev, VIRTIO_NET_F_MTU);
}

/*
 * Until the driver says what it wants to receive it gets everything: one that
 * never says - or says it to a front-end that keeps the control queue - misses
 * nothing.
 */
static void net_set_features(void *model, const struct pvio_features *features)
{
	struct net *net = model;
	struct net_rules *rules = &net->control.rules;
	uint64_t f = features->word[0];
	bool mq = f & PVIO_BIT(VIRTIO_NET_F_MQ);
	unsigned int i;

	net->features = f;
	net->has_control = f & PVIO_BIT(VIRTIO_NET_F_CTRL_VQ);
	net->control_index = mq ? 2 * net->nr_pairs : 2;
	memset(rules, 0, sizeof(*rules));
	memcpy(rules->filter.mac, net->mac, 6);
	rules->filter.promisc = true;
	rules->filter.by_vlan = net->has_control &&
				f & PVIO_BIT(VIRTIO_NET_F_CTRL_VLAN);
	rules->pairs = mq && !net->has_control ? net->nr_pairs : 1;
	rules->offloads = net_offloads_to_guest(f);
	pvio_store_once(&net->mac_now, net_mac_pack(net->mac));
	if (net->ops->set_offloads)
		net->ops->set_offloads(net->backend, rules->offloads);
	for (i = 0; i < net->nr_pairs; i++) {
		net->pairs[i].worker = pvio_device_vq(net->dev, 2 * i)->worker;
		net_rx_apply(&net->pairs[i], rules);
	}
}

static void net_reset(void *model)
{
	const struct pvio_features none = { { 0, 0 } };
	struct net *net = model;

	pvio_store_once(&net->announce, false);
	net_set_features(net, &none);
}

/* --- queues -------------------------------------------------------------- */

static bool is_control(const struct net *net, const struct pvio_vq *vq)
{
	return net->has_control && vq->index == net->control_index;
}

static bool is_rx(const struct pvio_vq *vq)
{
	return vq->index % 2 == 0;
}

static void net_stop_port(struct net_pair *pair)
{
	if (!pair->port || pair->rx.vq || pair->tx.vq)
		return;
	pvio_store_once(&pair->running, false);
	pair->net->ops->stop_port(pair->port);
	pair->port = NULL;
}

static int net_start_queue(void *model, struct pvio_vq *vq)
{
	struct net *net = model;
	struct net_pair *pair;
	int rc = 0;

	if (is_control(net, vq)) {
		net->control.vq = vq;
		net->control.busy = NULL;
		return 0;
	}
	if (vq->index / 2 >= net->nr_pairs)
		return -EINVAL;
	pair = &net->pairs[vq->index / 2];
	if (!pair->port) {
		rc = net->ops->start_port(net->backend, pair->index, vq->worker,
					  &pair->rx.face, &pair->port);
		if (rc < 0)
			return rc;
		pair->rx.in_use = true;
		pvio_store_once(&pair->running, true);
	}
	vq->priv = pair;
	if (is_rx(vq))
		rc = net_rx_start(pair, vq);
	else
		net_tx_start(pair, vq);
	if (rc < 0)
		net_stop_port(pair);
	else
		net_rx_refresh(pair);
	return rc;
}

/* A control command on its way keeps the queue from being idle. */
static void net_stop_queue(void *model, struct pvio_vq *vq)
{
	struct net *net = model;
	struct net_pair *pair = vq->priv;

	if (is_control(net, vq))
		return;
	if (is_rx(vq))
		net_rx_stop(pair);
	else
		net_tx_stop(pair);
	net_rx_refresh(pair);
	net_stop_port(pair);
}

static enum pvio_kick net_kick(void *model, struct pvio_vq *vq)
{
	struct net *net = model;

	if (unlikely(is_control(net, vq)))
		return net_control_kick(net);
	if (is_rx(vq))
		return net_rx_kick(vq->priv);
	return net_tx_kick(vq->priv);
}

static enum pvio_kick net_discard(void *model, struct pvio_vq *vq)
{
	struct net *net = model;

	if (is_control(net, vq))
		return PVIO_KICK_WAIT;
	net_rx_refresh(vq->priv);
	return is_rx(vq) ? PVIO_KICK_WAIT : net_tx_discard(vq);
}

/* --- configuration space (virtio 1.4, 5.1.4) ----------------------------- */

static void net_read_config(void *model, void *config)
{
	struct net *net = model;
	struct virtio_net_config c = { 0 };
	uint64_t mac = pvio_load_once(&net->mac_now);
	uint16_t status = 0;

	memcpy(c.mac, &mac, sizeof(c.mac));
	if (net->link_up)
		status |= VIRTIO_NET_S_LINK_UP;
	if (pvio_load_once(&net->announce))
		status |= VIRTIO_NET_S_ANNOUNCE;
	c.status = htole16(status);
	c.max_virtqueue_pairs = htole16((uint16_t)net->nr_pairs);
	c.mtu = htole16(net->mtu);
	memcpy(config, &c, offsetof(struct virtio_net_config, speed));
}

/* --- create -------------------------------------------------------------- */

/* An address that is the device's own, and the same at every start. */
static void mac_from_name(const char *name, uint8_t mac[6])
{
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3;
	hash ^= hash >> 48;
	memcpy(mac, &hash, 6);
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2); /* local, unicast */
}

/* Open the backend that the configuration names. */
static int net_open_backend(struct net *net, struct pvio_config *cfg)
{
	struct pvio_config *group;
	const char *type;
	int rc;

	rc = pvio_config_group(cfg, "backend", &group);
	if (rc < 0)
		return rc;
	rc = pvio_config_string(group, "type", &type);
	if (rc < 0)
		return rc;
	net->ops = pvio_plugin_find(PVIO_PLUGIN_net_backend, type);
	if (!net->ops)
		return pvio_config_error(group, "type",
					 "no network backend \"%s\"", type);
	rc = net->ops->open(pvio_device_name(net->dev), group, net->nr_pairs,
			    net->mac, &net->info, &net->backend);
	if (rc < 0)
		return rc;
	if (net->nr_pairs > net->info.max_pairs) {
		rc = pvio_config_error(cfg, "queues",
				       "\"%s\" has at most %u queue pairs",
				       type, net->info.max_pairs);
		net->ops->close(net->backend);
	}
	return rc;
}

static int net_create(struct pvio_device *dev, struct pvio_config *cfg,
		      void **model)
{
	uint64_t pairs = 1, mtu = 0;
	bool offloads = true;
	struct net *net;
	unsigned int i;
	int rc;

	rc = pvio_config_uint_opt(cfg, "queues", 1, NET_MAX_PAIRS, &pairs);
	if (rc < 0)
		return rc;
	net = calloc(1, sizeof(*net) + pairs * sizeof(net->pairs[0]));
	if (!net)
		return -ENOMEM;
	net->dev = dev;
	net->nr_pairs = (unsigned int)pairs;
	net->admin_up = true;
	for (i = 0; i < net->nr_pairs; i++) {
		net->pairs[i].net = net;
		net->pairs[i].index = i;
		net->pairs[i].rx.face.ops = &net_rx_ops;
	}

	mac_from_name(pvio_device_name(dev), net->mac);
	rc = pvio_config_mac_opt(cfg, "mac", net->mac);
	if (rc < 0)
		goto free_net;
	rc = pvio_config_uint_opt(cfg, "mtu", MIN_MTU, MAX_MTU, &mtu);
	if (rc < 0)
		goto free_net;
	rc = pvio_config_bool_opt(cfg, "offloads", &offloads);
	if (rc < 0)
		goto free_net;
	rc = net_open_backend(net, cfg);
	if (rc < 0)
		goto free_net;

	if (mtu > 0 && net->info.mtu > 0 && mtu > net->info.mtu) {
		rc = pvio_config_error(cfg, "mtu", "the outside has %u",
				       net->info.mtu);
		goto close_backend;
	}
	net->mtu = mtu > 0 ? (uint16_t)mtu : net->info.mtu;
	net->max_mtu = net->mtu;
	net->carrier = net->link_up = net->info.link_up;
	net->mac_now = net_mac_pack(net->mac);
	pvio_device_set_queues(dev, 2 * net->nr_pairs + 1);
	net_withhold(net, offloads ? net->info.offloads_from_guest : 0,
		     offloads ? net->info.offloads_to_guest : 0);
	*model = net;
	return 0;

close_backend:
	net->ops->close(net->backend);
free_net:
	free(net);
	return rc;
}

static void net_destroy(void *model)
{
	struct net *net = model;
	unsigned int i;

	net->ops->close(net->backend);
	for (i = 0; i < net->nr_pairs; i++)
		net_rx_fini(&net->pairs[i]);
	free(net);
}

static const struct pvio_model_ops net_ops = {
	.abi = PVIO_PLUGIN_ABI,
	.name = "net",
	.device_id = VIRTIO_ID_NET,
	.features = { PVIO_BIT(VIRTIO_NET_F_CSUM) |
		      PVIO_BIT(VIRTIO_NET_F_HOST_TSO4) |
		      PVIO_BIT(VIRTIO_NET_F_HOST_TSO6) |
		      PVIO_BIT(VIRTIO_NET_F_HOST_ECN) |
		      PVIO_BIT(VIRTIO_NET_F_HOST_UFO) |
		      PVIO_BIT(VIRTIO_NET_F_HOST_USO) | NET_GUEST_OFFLOAD_BITS |
		      PVIO_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) |
		      PVIO_BIT(VIRTIO_NET_F_MTU) | PVIO_BIT(VIRTIO_NET_F_MAC) |
		      PVIO_BIT(VIRTIO_NET_F_MRG_RXBUF) |
		      PVIO_BIT(VIRTIO_NET_F_STATUS) |
		      PVIO_BIT(VIRTIO_NET_F_CTRL_VQ) |
		      PVIO_BIT(VIRTIO_NET_F_CTRL_RX) |
		      PVIO_BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) |
		      PVIO_BIT(VIRTIO_NET_F_CTRL_VLAN) |
		      PVIO_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) |
		      PVIO_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) |
		      PVIO_BIT(VIRTIO_NET_F_MQ) },
	.max_queues = 2 * NET_MAX_PAIRS + 1,
	.queue_size = 1024,
	.config_size = offsetof(struct virtio_net_config, speed),
	.create = net_create,
	.destroy = net_destroy,
	.check_features = net_check_features,
	.set_features = net_set_features,
	.reset = net_reset,
	.start_queue = net_start_queue,
	.stop_queue = net_stop_queue,
	.kick = net_kick,
	.discard = net_discard,
	.read_config = net_read_config,
	.commands = net_commands,
	.queues_per_unit = 2,
	.announce = net_announce,
	.set_mtu = net_set_mtu,
};
PVIO_PLUGIN(model, net, net_ops);
