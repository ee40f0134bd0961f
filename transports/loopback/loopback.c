/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loopback.c - the transport with no hypervisor under it
 *
 *	embedding program                          device
 *	pvio_loopback_set_status() ------------->  status, reset
 *	pvio_loopback_add_memory() ------------->  memory map
 *	pvio_loopback_start_queue() ------------>  queue
 *	pvio_loopback_kick(), or kick_fd ------->  the queue's worker
 *	notify callback, or call_fd  <-----------  used buffers
 *	config callback  <-----------------------  configuration, NEEDS_RESET
 *
 * There are no registers and no messages: the calls of pvio/loopback.h are
 * those of core/device.h, made to wait.  What a hypervisor's transport learns
 * piecemeal (a queue's three addresses, a table of memory) arrives whole here,
 * so there is no shadow state beyond the list of memory ranges.
 *
 * It can do what the device can: memory may come and go while queues run,
 * every queue has its own notification, configuration changes are told.
 */
#include <pvio/loopback.h>

#include "core/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pvio_loopback {
	struct pvio_device *dev; /* borrowed, outlives us */
	pvio_loopback_notify_fn *notify;
	pvio_loopback_config_fn *config;
	void *arg; /* of both */
	unsigned int nr_regions;
	struct pvio_region region[PVIO_MAP_MAX_REGIONS]; /* mappings: owned */
};

/* A call of core/device.h that is waited for. */
struct loopback_wait {
	bool done;
	int rc;
};

static void loopback_done(void *arg, int rc)
{
	struct loopback_wait *wait = arg;

	wait->rc = rc;
	wait->done = true;
}

static int loopback_wait(struct pvio_loopback *lb, struct loopback_wait *wait)
{
	pvio_device_wait(lb->dev, &wait->done);
	return wait->rc;
}

/* --- memory -------------------------------------------------------------- */

/* Give the device the ranges as they are listed now. */
static int loopback_remap(struct pvio_loopback *lb)
{
	struct loopback_wait wait = { 0 };
	struct pvio_map *map;
	int rc;

	rc = pvio_map_create(lb->region, lb->nr_regions, &map);
	if (rc < 0)
		return rc;
	pvio_device_set_memory(lb->dev, map, loopback_done, &wait);
	rc = loopback_wait(lb, &wait);
	if (rc < 0)
		pvio_map_put(map);
	return rc;
}

int pvio_loopback_add_memory(struct pvio_loopback *lb, uint64_t gpa,
			     uint64_t size, void *host)
{
	struct pvio_region *region;
	int rc;

	if (size == 0 || gpa + size < gpa)
		return -EINVAL;
	if (lb->nr_regions == PVIO_MAP_MAX_REGIONS)
		return -ENOSPC;
	region = &lb->region[lb->nr_regions];
	*region = (struct pvio_region){ .gpa = gpa, .size = size };
	rc = pvio_mapping_wrap(host, size, &region->mapping);
	if (rc < 0)
		return rc;

	lb->nr_regions++;
	rc = loopback_remap(lb);
	if (rc < 0) {
		lb->nr_regions--;
		pvio_mapping_put(region->mapping);
	}
	return rc;
}

int pvio_loopback_remove_memory(struct pvio_loopback *lb, uint64_t gpa)
{
	struct pvio_region removed;
	unsigned int i = 0;
	int rc;

	while (i < lb->nr_regions && lb->region[i].gpa != gpa)
		i++;
	if (i == lb->nr_regions)
		return -EINVAL;
	removed = lb->region[i];
	lb->region[i] = lb->region[--lb->nr_regions];
	rc = loopback_remap(lb);
	if (rc < 0) {
		lb->region[lb->nr_regions++] = lb->region[i];
		lb->region[i] = removed;
		return rc;
	}
	pvio_mapping_put(removed.mapping);
	return 0;
}

/* --- features, status, configuration ------------------------------------- */

void pvio_loopback_get_features(struct pvio_loopback *lb, uint64_t bits[2])
{
	struct pvio_features offered;

	pvio_device_offered(lb->dev, &offered);
	memcpy(bits, offered.word, sizeof(offered.word));
}

int pvio_loopback_set_features(struct pvio_loopback *lb, const uint64_t bits[2])
{
	struct pvio_features f = { { bits[0], bits[1] } };

	return pvio_device_set_features(lb->dev, &f);
}

uint8_t pvio_loopback_get_status(struct pvio_loopback *lb)
{
	return pvio_device_status(lb->dev);
}

void pvio_loopback_set_status(struct pvio_loopback *lb, uint8_t status)
{
	struct loopback_wait wait = { 0 };

	pvio_device_set_status(lb->dev, status, loopback_done, &wait);
	loopback_wait(lb, &wait);
}

void pvio_loopback_read_config(struct pvio_loopback *lb, size_t offset,
			       void *buf, size_t len)
{
	pvio_device_read_config(lb->dev, offset, buf, len);
}

int pvio_loopback_write_config(struct pvio_loopback *lb, size_t offset,
			       const void *buf, size_t len)
{
	return pvio_device_write_config(lb->dev, offset, buf, len);
}

/* --- queues -------------------------------------------------------------- */

unsigned int pvio_loopback_nr_queues(struct pvio_loopback *lb)
{
	return pvio_device_nr_queues(lb->dev);
}

uint16_t pvio_loopback_queue_max(struct pvio_loopback *lb, unsigned int queue)
{
	/* (virtio 1.4, 4.1.4.3.1): 0 for a queue that does not exist. */
	if (queue >= pvio_device_nr_queues(lb->dev))
		return 0;
	return pvio_device_queue_size(lb->dev);
}

typedef void loopback_set_fd_fn(struct pvio_device *dev, unsigned int index,
				int fd, pvio_done_fn *done, void *arg);

/* Give the queue a duplicate of the caller's @fd, or -1. */
static int loopback_set_fd(struct pvio_loopback *lb, loopback_set_fd_fn *set,
			   unsigned int queue, int fd)
{
	struct loopback_wait wait = { 0 };
	int own = -1, rc;

	if (fd >= 0) {
		own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (own < 0)
			return -errno;
	}
	set(lb->dev, queue, own, loopback_done, &wait);
	rc = loopback_wait(lb, &wait);
	if (rc < 0 && own >= 0)
		close(own);
	return rc;
}

static void loopback_drop_fds(struct pvio_loopback *lb, unsigned int queue)
{
	loopback_set_fd(lb, pvio_device_vq_set_kick_fd, queue, -1);
	loopback_set_fd(lb, pvio_device_vq_set_call_fd, queue, -1);
}

int pvio_loopback_start_queue(struct pvio_loopback *lb, unsigned int queue,
			      const struct pvio_loopback_queue *setup)
{
	struct pvio_vq_setup vq = {
		.size = setup->size,
		.desc = setup->desc,
		.driver = setup->driver,
		.device = setup->device,
	};
	struct loopback_wait wait = { 0 };
	int rc;

	/* Frozen until it is stopped (virtio 1.4, 4.1.4.3.2). */
	if (pvio_device_vq_is_running(lb->dev, queue))
		return -EBUSY;
	/* A packed ring begins with both wrap counters at 1 (2.8.1). */
	if (pvio_device_has_feature(lb->dev, VIRTIO_F_RING_PACKED))
		vq.position.avail_wrap = vq.position.used_wrap = true;
	rc = loopback_set_fd(lb, pvio_device_vq_set_call_fd, queue,
			     setup->call_fd);
	if (rc < 0)
		return rc;
	rc = loopback_set_fd(lb, pvio_device_vq_set_kick_fd, queue,
			     setup->kick_fd);
	if (rc < 0)
		goto drop_fds;
	pvio_device_vq_start(lb->dev, queue, &vq, loopback_done, &wait);
	rc = loopback_wait(lb, &wait);
	if (rc < 0)
		goto drop_fds;
	return 0;

drop_fds:
	loopback_drop_fds(lb, queue);
	return rc;
}

int pvio_loopback_stop_queue(struct pvio_loopback *lb, unsigned int queue)
{
	struct loopback_wait wait = { 0 };
	int rc;

	pvio_device_vq_stop(lb->dev, queue, NULL, loopback_done, &wait);
	rc = loopback_wait(lb, &wait);
	if (rc == 0)
		loopback_drop_fds(lb, queue);
	return rc;
}

void pvio_loopback_kick(struct pvio_loopback *lb, unsigned int queue)
{
	pvio_device_kick(lb->dev, queue);
}

/* How far the driver has got is in the ring, and there we look. */
void pvio_loopback_kick_data(struct pvio_loopback *lb, uint32_t data)
{
	pvio_device_kick(lb->dev, data & 0xffff);
}

/* --- the core's events --------------------------------------------------- */

void pvio_loopback_set_callbacks(struct pvio_loopback *lb,
				 pvio_loopback_notify_fn *notify,
				 pvio_loopback_config_fn *config, void *arg)
{
	lb->notify = notify;
	lb->config = config;
	lb->arg = arg;
}

static void loopback_notify_queue(void *transport, unsigned int queue)
{
	struct pvio_loopback *lb = transport;

	if (lb->notify)
		lb->notify(lb->arg, queue);
}

static void loopback_notify_config(void *transport)
{
	struct pvio_loopback *lb = transport;

	if (lb->config)
		lb->config(lb->arg);
}

/* --- life ---------------------------------------------------------------- */

static int loopback_attach(struct pvio_device *dev, struct pvio_config *cfg,
			   void **transport)
{
	struct pvio_loopback *lb;

	(void)cfg; /* no keys but type */
	lb = calloc(1, sizeof(*lb));
	if (!lb)
		return -ENOMEM;
	lb->dev = dev;
	*transport = lb;
	return 0;
}

static void loopback_detach(void *transport)
{
	struct pvio_loopback *lb = transport;

	while (lb->nr_regions)
		pvio_mapping_put(lb->region[--lb->nr_regions].mapping);
	free(lb);
}

static int loopback_start(void *transport)
{
	(void)transport; /* the guest is whoever calls */
	return 0;
}

static void loopback_stop(void *transport, pvio_done_fn *done, void *arg)
{
	(void)transport;
	done(arg, 0);
}

static const struct pvio_transport_ops loopback_ops = {
	.abi		= PVIO_PLUGIN_ABI,
	.name		= "loopback",
	.features	= { PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			    PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
			    PVIO_BIT(VIRTIO_F_VERSION_1) |
			    PVIO_BIT(VIRTIO_F_RING_PACKED) |
			    PVIO_BIT(VIRTIO_F_IN_ORDER) |
			    PVIO_BIT(VIRTIO_F_NOTIFICATION_DATA) |
			    PVIO_BIT(VIRTIO_F_RING_RESET) |
			    PVIO_BIT(VIRTIO_F_SUSPEND) },
	.attach		= loopback_attach,
	.detach		= loopback_detach,
	.start		= loopback_start,
	.stop		= loopback_stop,
	.notify_queue	= loopback_notify_queue,
	.notify_config	= loopback_notify_config,
};

struct pvio_loopback *pvio_loopback_of(struct pvio_device *dev)
{
	return pvio_device_transport(dev, &loopback_ops);
}

PVIO_PLUGIN(transport, loopback, loopback_ops);
