/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bounce-model.c - the device that B's VMM finds at a port: a model that offers
 * what the appliance does, and leaves the work to it
 *
 * Its record is that of the model which the appliance runs, as far as that is
 * data, and is made anew for each device.  So the core, and vhost-user, do with
 * it what they do with the real one.
 *
 * Configuration space is a copy of the appliance's: read at once, written here
 * and told to the appliance, which may think otherwise, and then the copy is
 * corrected and the driver notified.
 */
#include "bounce.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Fewer pages than that would do nothing but wait. */
#define QUEUE_MIN_PAGES 64

/* Those of rings and transports (virtio 1.4, 2.2). */
#define COMMON_FIRST 24
#define COMMON_LAST  49

uint64_t bounce_device_bits(uint64_t features)
{
	return features & ~(PVIO_BIT(COMMON_LAST + 1) - PVIO_BIT(COMMON_FIRST));
}

/* --- the model ------------------------------------------------------------- */

static int model_create(struct pvio_device *dev, struct pvio_config *cfg,
			void **model)
{
	struct bounce *b = *model;

	(void)cfg;
	pvio_device_set_queues(dev, b->facts.nr_queues);
	return 0;
}

/* The port outlives it. */
static void model_destroy(void *model)
{
	(void)model;
}

static void model_set_features(void *model, const struct pvio_features *f)
{
	struct bounce *b = model;

	b->features = bounce_device_bits(f->word[0]);
	b->has_features = true;
	bounce_go_on(b);
}

static void model_reset(void *model)
{
	struct bounce *b = model;

	b->has_features = false;
	memset(b->is_written, 0, sizeof(b->is_written));
	if (b->told_features || b->question.request == VU_SET_FEATURES)
		b->needs_reset = true;
	bounce_go_on(b);
}

static int model_start_queue(void *model, struct pvio_vq *vq)
{
	struct bounce *b = model;

	vq->priv = &b->queue[vq->index];
	return bounce_queue_start(vq->priv, vq);
}

static void model_stop_queue(void *model, struct pvio_vq *vq)
{
	(void)model;
	bounce_queue_stop(vq->priv);
}

static void model_idle_queue(void *model, struct pvio_vq *vq)
{
	(void)model;
	bounce_queue_idle(vq->priv);
}

static enum pvio_kick model_kick(void *model, struct pvio_vq *vq)
{
	(void)model;
	return bounce_queue_kick(vq->priv);
}

static void model_read_config(void *model, void *config)
{
	struct bounce *b = model;

	memcpy(config, b->config, b->ops.config_size);
}

static int model_write_config(void *model, size_t offset, const void *data,
			      size_t len)
{
	struct bounce *b = model;

	/* What nobody can take now, nobody can refuse later. */
	if (b->phase != BOUNCE_READY || !b->has_features)
		return -EINVAL;
	memcpy(b->config + offset, data, len);
	memset(b->is_written + offset, BOUNCE_WRITTEN, len);
	bounce_go_on(b);
	return 0;
}

static void model_announce(void *model, const uint8_t mac[6])
{
	struct bounce *b = model;

	memcpy(b->rarp_mac, mac, sizeof(b->rarp_mac));
	b->rarp_is_owed = true;
	bounce_go_on(b);
}

static int model_set_mtu(void *model, uint16_t mtu)
{
	struct bounce *b = model;

	b->mtu = mtu;
	b->mtu_is_owed = true;
	bounce_go_on(b);
	return 0;
}

static void make_ops(struct bounce *b)
{
	const struct bounce_offer *offer = &b->offer;

	b->ops = (struct pvio_model_ops){
		.abi = PVIO_PLUGIN_ABI,
		.name = b->real->name,
		.device_id = b->real->device_id,
		.features = { offer->features, 0 },
		.max_queues = (uint16_t)b->facts.nr_queues,
		.queue_size = (uint16_t)b->facts.queue_size,
		.config_size = b->real->config_size,
		.failed_status = b->real->failed_status,
		.create = model_create,
		.destroy = model_destroy,
		.set_features = model_set_features,
		.reset = model_reset,
		.start_queue = model_start_queue,
		.stop_queue = model_stop_queue,
		.idle_queue = model_idle_queue,
		.kick = model_kick,
		.discard = b->real->discard ? model_kick : NULL,
		.read_config = model_read_config,
		.write_config = model_write_config,
		.queues_per_unit = (uint8_t)b->facts.queues_per_unit,
	};
	if (offer->protocol >> VU_PROTOCOL_RARP & 1)
		b->ops.announce = model_announce;
	if (offer->protocol >> VU_PROTOCOL_NET_MTU & 1)
		b->ops.set_mtu = model_set_mtu;
}

/* --- the device ------------------------------------------------------------ */

/* Each queue's part of the share.  -ENOSPC, logged. */
static int share_out(struct bounce *b)
{
	const struct broker_port *port = b->port;
	uint64_t least, part = port->share_bytes / b->facts.nr_queues /
			       ARENA_PAGE_BYTES * ARENA_PAGE_BYTES;
	unsigned int i;

	least = shadow_bytes((uint16_t)b->facts.queue_size) +
		QUEUE_MIN_PAGES * ARENA_PAGE_BYTES;
	if (part < least) {
		pvio_log_limited(&port->broker->log_limit, PVIO_LOG_ERROR,
				 "%s: the window is too small: %u queues of %u "
				 "have %" PRIu64 " bytes each, and need "
				 "%" PRIu64,
				 port->name, b->facts.nr_queues,
				 b->facts.queue_size, part, least);
		return -ENOSPC;
	}
	for (i = 0; i < b->facts.nr_queues; i++) {
		struct bounce_queue *q = &b->queue[i];

		q->gpa = port->share_offset + i * part;
		q->host = port->broker->memory.host + q->gpa;
		q->bytes = part;
		/* Receive and transmit in turn (virtio 1.4, 5.1.2). */
		q->is_tx = b->real->device_id == VIRTIO_ID_NET && i % 2;
		/* Without a partner, and the last. */
		q->is_control = b->real->device_id == VIRTIO_ID_NET &&
				i % 2 == 0 && i + 1 == b->facts.nr_queues;
		/* Frames come when they come. */
		q->is_patient = port->broker->request_timeout_ms == 0 ||
				(b->real->device_id == VIRTIO_ID_NET &&
				 !q->is_tx && !q->is_control);
	}
	return 0;
}

static int open_queues(struct bounce *b)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < b->facts.nr_queues && rc == 0; i++)
		rc = bounce_queue_open(&b->queue[i]);
	return rc;
}

/* The keys of the port, as those of a device. */
static int device_options(const struct bounce *b,
			  struct pvio_config_file **file)
{
	char size[16], mode[16], group[24];
	struct pvio_option options[] = {
		{ "queue_size", size },
		{ "transport.type", "vhost-user" },
		{ "transport.socket", b->socket },
		{ NULL, NULL },
		{ NULL, NULL },
		{ NULL, NULL },
	};
	struct pvio_option *more = &options[3];

	snprintf(size, sizeof(size), "%u", b->facts.queue_size);
	snprintf(mode, sizeof(mode), "%04o", (unsigned int)b->socket_mode);
	snprintf(group, sizeof(group), "%" PRId64, b->socket_group);
	if (b->socket_mode >= 0)
		*more++ = (struct pvio_option){ "transport.socket_mode", mode };
	if (b->socket_group >= 0)
		*more = (struct pvio_option){ "transport.socket_group", group };
	return pvio_config_options(b->port->name, options, file);
}

static int create_from_options(struct bounce *b)
{
	const struct broker *broker = b->port->broker;
	struct pvio_config_file *file;
	struct pvio_device *dev;
	unsigned int i;
	int rc;

	rc = device_options(b, &file);
	if (rc < 0)
		return rc;
	rc = pvio_device_create_own(b->port->name, pvio_config_root(file),
				    &b->ops, b, broker->control,
				    broker->workers, broker->nr_workers, &dev);
	pvio_config_close(file);
	if (rc < 0)
		return rc;
	b->dev = dev;
	b->nr_queues = b->facts.nr_queues;
	for (i = 0; i < b->nr_queues; i++)
		b->queue[i].worker = pvio_device_vq(dev, i)->worker;
	return 0;
}

int bounce_create_device(struct bounce *b)
{
	int rc;

	b->facts = b->port->facts;
	b->dev_offer = b->offer;
	memcpy(b->config, b->fresh_config, sizeof(b->config));
	memset(b->is_written, 0, sizeof(b->is_written));
	b->mtu = 0;
	b->has_features = b->mtu_is_owed = b->rarp_is_owed = false;
	make_ops(b);
	rc = share_out(b);
	if (rc == 0)
		rc = open_queues(b);
	if (rc == 0)
		rc = create_from_options(b);
	if (rc < 0)
		return rc;
	rc = pvio_device_start_here(b->dev);
	if (rc < 0) {
		pvio_device_free(b->dev);
		b->dev = NULL;
		b->nr_queues = 0;
	}
	return rc;
}
