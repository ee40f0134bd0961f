/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * transport.c - a transport of your own, as a module
 *
 * The guest is a program that shares its memory and has settled everything
 * beforehand: one queue of a virtio 1.x device without further features, whose
 * ring is at addresses that both sides know.  All that is left is to hand over
 * three descriptors, by number, and to go:
 *
 *	transport = { type = "settled"; memory_fd = 5; kick_fd = 6; call_fd = 7;
 *	              size = 16; desc = 0x1000; driver = 0x1100;
 *	              device = 0x1200; };
 *
 * A transport that talks to its guest does the same calls as its messages or
 * registers come in; transports/loopback is the next one to read.
 */
#include "core/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct settled {
	struct pvio_device *dev; /* borrowed, outlives us */
	uint64_t memory_fd, kick_fd, call_fd;
	uint64_t size, desc, driver, device;
	bool done; /* of the call that is waited for */
	int rc;
};

static void settled_done(void *arg, int rc)
{
	struct settled *s = arg;

	s->rc = rc;
	s->done = true;
}

/* Wait for the call that was given settled_done; its result. */
static int settled_wait(struct settled *s)
{
	pvio_device_wait(s->dev, &s->done);
	s->done = false;
	return s->rc;
}

/* Read our group.  What is opened or mapped is so by start. */
static int settled_attach(struct pvio_device *dev, struct pvio_config *cfg,
			  void **transport)
{
	struct settled s = { .dev = dev }, *copy;
	struct {
		const char *key;
		uint64_t *value;
	} keys[] = {
		{ "memory_fd", &s.memory_fd }, { "kick_fd", &s.kick_fd },
		{ "call_fd", &s.call_fd },     { "size", &s.size },
		{ "desc", &s.desc },	       { "driver", &s.driver },
		{ "device", &s.device },
	};

	for (size_t i = 0; i < pvio_array_size(keys); i++)
		if (pvio_config_uint_opt(cfg, keys[i].key, 0, INT32_MAX,
					 keys[i].value) < 0)
			return -EINVAL;
	copy = malloc(sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	*copy = s;
	*transport = copy;
	return 0;
}

static int settled_share_memory(struct settled *s)
{
	struct pvio_region region = { .gpa = 0 };
	struct pvio_map *map;
	struct stat st;
	int rc;

	if (fstat((int)s->memory_fd, &st) < 0)
		return -errno;
	region.size = (uint64_t)st.st_size;
	rc = pvio_mapping_create((int)s->memory_fd, 0, region.size,
				 PROT_READ | PROT_WRITE, &region.mapping);
	if (rc < 0)
		return rc;
	rc = pvio_map_create(&region, 1, &map);
	pvio_mapping_put(region.mapping); /* the map has its own reference */
	if (rc < 0)
		return rc;
	pvio_device_set_memory(s->dev, map, settled_done, s);
	return settled_wait(s);
}

static int settled_start(void *transport)
{
	const struct pvio_features features = {
		{ PVIO_BIT(VIRTIO_F_VERSION_1), 0 }
	};
	const uint8_t driver = VIRTIO_CONFIG_S_ACKNOWLEDGE |
			       VIRTIO_CONFIG_S_DRIVER |
			       VIRTIO_CONFIG_S_FEATURES_OK;
	struct settled *s = transport;
	const struct pvio_vq_setup setup = {
		.size = (uint16_t)s->size,
		.desc = s->desc,
		.driver = s->driver,
		.device = s->device,
	};
	int rc;

	rc = settled_share_memory(s);
	if (rc == 0)
		rc = pvio_device_set_features(s->dev, &features);
	if (rc < 0)
		return rc;
	pvio_device_set_status(s->dev, driver, settled_done, s);
	settled_wait(s);
	/* The device takes what it is given: it gets copies. */
	pvio_device_vq_set_call_fd(s->dev, 0, dup((int)s->call_fd),
				   settled_done, s);
	settled_wait(s);
	pvio_device_vq_set_kick_fd(s->dev, 0, dup((int)s->kick_fd),
				   settled_done, s);
	settled_wait(s);
	pvio_device_vq_start(s->dev, 0, &setup, settled_done, s);
	rc = settled_wait(s);
	if (rc < 0)
		return rc;
	pvio_device_set_status(s->dev, driver | VIRTIO_CONFIG_S_DRIVER_OK,
			       settled_done, s);
	return settled_wait(s);
}

/* The core stops the queue itself; nothing else of ours calls the device. */
static void settled_stop(void *transport, pvio_done_fn *done, void *arg)
{
	(void)transport;
	done(arg, 0);
}

static void settled_detach(void *transport)
{
	free(transport);
}

/* The guest looks at its ring, and has no configuration space. */
static void settled_notify_config(void *transport)
{
	(void)transport;
}

static const struct pvio_transport_ops settled_ops = {
	.abi		= PVIO_PLUGIN_ABI,
	.name		= "settled",
	.features	= { PVIO_BIT(VIRTIO_F_VERSION_1) },
	.attach		= settled_attach,
	.detach		= settled_detach,
	.start		= settled_start,
	.stop		= settled_stop,
	.notify_config	= settled_notify_config,
};

PVIO_PLUGIN(transport, settled, settled_ops);
