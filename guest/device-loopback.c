/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-loopback.c - a device in this process, by pvio/loopback.h
 *
 * Kicks are function calls; notifications come by eventfd, so that a driver
 * can wait for them on any thread.
 */
#include "device-ops.h"

#include "core/barrier.h"
#include "core/device.h"
#include "core/worker.h"

#include <pvio/loopback.h>

#include <errno.h>
#include <stdlib.h>

struct guest_loopback {
	struct guest_device gd; /* first */
	struct pvio_loopback *lb; /* borrowed */
	struct pvio_worker *worker; /* borrowed: to step, or NULL */
};

static struct guest_loopback *loopback_of(struct guest_device *gd)
{
	return pvio_container_of(gd, struct guest_loopback, gd);
}

static int loopback_get_status(struct guest_device *gd, uint8_t *status)
{
	*status = pvio_loopback_get_status(loopback_of(gd)->lb);
	return 0;
}

static int loopback_set_status(struct guest_device *gd, uint8_t status)
{
	pvio_loopback_set_status(loopback_of(gd)->lb, status);
	return 0;
}

static int loopback_get_features(struct guest_device *gd, uint64_t bits[2])
{
	pvio_loopback_get_features(loopback_of(gd)->lb, bits);
	return 0;
}

static int loopback_set_features(struct guest_device *gd,
				 const uint64_t bits[2])
{
	return pvio_loopback_set_features(loopback_of(gd)->lb, bits);
}

static int loopback_read_config(struct guest_device *gd, size_t offset,
				void *buf, size_t len)
{
	pvio_loopback_read_config(loopback_of(gd)->lb, offset, buf, len);
	return 0;
}

static int loopback_write_config(struct guest_device *gd, size_t offset,
				 const void *buf, size_t len)
{
	return pvio_loopback_write_config(loopback_of(gd)->lb, offset, buf,
					  len);
}

static int loopback_nr_queues(struct guest_device *gd)
{
	return (int)pvio_loopback_nr_queues(loopback_of(gd)->lb);
}

static int loopback_start_queue(struct guest_device *gd, unsigned int q)
{
	const struct guest_queue *queue = &gd->queue[q];
	struct pvio_loopback_queue setup = {
		.size = guest_ring_size(queue->ring),
		.desc = guest_ring_desc(queue->ring),
		.driver = guest_ring_driver(queue->ring),
		.device = guest_ring_device(queue->ring),
		.call_fd = queue->call_fd,
		.kick_fd = -1,
	};

	return pvio_loopback_start_queue(loopback_of(gd)->lb, q, &setup);
}

static int loopback_reset_queue(struct guest_device *gd, unsigned int q)
{
	if (!(gd->features[0] & PVIO_BIT(VIRTIO_F_RING_RESET)))
		return -ENOTSUP;
	return pvio_loopback_stop_queue(loopback_of(gd)->lb, q);
}

static void loopback_kick(struct guest_device *gd, unsigned int q)
{
	pvio_loopback_kick(loopback_of(gd)->lb, q);
}

static bool loopback_step(struct guest_device *gd)
{
	struct guest_loopback *gl = loopback_of(gd);

	return gl->worker && pvio_worker_is_mine(gl->worker) &&
	       pvio_worker_step(gl->worker);
}

static bool loopback_is_broken(struct guest_device *gd)
{
	return pvio_loopback_get_status(loopback_of(gd)->lb) &
	       VIRTIO_CONFIG_S_NEEDS_RESET;
}

static void loopback_on_config(void *arg)
{
	struct guest_loopback *gl = arg;

	/* Only the control worker adds. */
	pvio_store_once(&gl->gd.config_changes, gl->gd.config_changes + 1);
}

static void loopback_close(struct guest_device *gd)
{
	struct guest_loopback *gl = loopback_of(gd);
	unsigned int i;

	pvio_loopback_set_status(gl->lb, 0);
	pvio_loopback_set_callbacks(gl->lb, NULL, NULL, NULL);
	for (i = 0; i < gd->mem->nr; i++)
		pvio_loopback_remove_memory(gl->lb, gd->mem->region[i].gpa);
	guest_device_fini(gd);
	free(gl);
}

static const struct guest_device_ops loopback_ops = {
	.close		= loopback_close,
	.get_status	= loopback_get_status,
	.set_status	= loopback_set_status,
	.get_features	= loopback_get_features,
	.set_features	= loopback_set_features,
	.read_config	= loopback_read_config,
	.write_config	= loopback_write_config,
	.nr_queues	= loopback_nr_queues,
	.start_queue	= loopback_start_queue,
	.reset_queue	= loopback_reset_queue,
	.kick		= loopback_kick,
	.step		= loopback_step,
	.is_broken	= loopback_is_broken,
};

int guest_device_open_loopback(struct pvio_device *dev,
			       struct guest_memory *mem,
			       struct pvio_worker *step,
			       struct guest_device **gd)
{
	struct guest_loopback *gl;
	unsigned int i;
	int rc;

	gl = calloc(1, sizeof(*gl));
	if (!gl)
		return -ENOMEM;
	guest_device_init(&gl->gd, &loopback_ops, mem);
	gl->worker = step;
	gl->lb = pvio_loopback_of(dev);
	if (!gl->lb) {
		rc = -EINVAL;
		goto free_gl;
	}
	for (i = 0; i < mem->nr; i++) {
		struct guest_region *region = &mem->region[i];

		rc = pvio_loopback_add_memory(gl->lb, region->gpa,
					      region->size, region->host);
		if (rc < 0)
			goto remove_memory;
	}
	pvio_loopback_set_callbacks(gl->lb, NULL, loopback_on_config, gl);
	*gd = &gl->gd;
	return 0;

remove_memory:
	while (i-- > 0)
		pvio_loopback_remove_memory(gl->lb, mem->region[i].gpa);
free_gl:
	free(gl);
	return rc;
}
