/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.c - a device: model, transport, queues and memory held together
 *
 * Theory of operation.  A device lives on its control worker; each of its
 * queues lives on one of its workers, which may be the same.  What control
 * changes that a queue depends on (status, features, memory map) is changed
 * only while the queue is stopped, so that workers read it without locks, and
 * a stop is complete only when the worker has said so through the control
 * worker's mailbox.
 *
 *	transport ---> control worker: status, features, memory, queue set-up
 *	                     |  task                        ^ task
 *	                     v                              |
 *	              queue's worker: start, kick ... drain, stopped
 *	                     |
 *	                     v
 *	              model->kick: pop ... push, flush
 *
 * Lifetime: create makes model and transport from the configuration and no
 * queue runs; start lets the transport take a guest; stop ends in a reset and
 * a fence, after which no task, job, event or poller of the device is queued
 * anywhere, so that destroy may free.
 */
#include "device-internal.h"
#include "device-own.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int device_read_keys(struct pvio_device *dev, struct pvio_config *cfg)
{
	uint64_t queues = 1, queue_size = dev->model_ops->queue_size;
	uint64_t poll_us = UINT64_MAX;
	bool packed = true;
	unsigned int i;
	int rc;

	rc = pvio_config_uint_opt(cfg, "queues", 1, dev->model_ops->max_queues,
				  &queues);
	if (rc < 0)
		return rc;
	dev->nr_queues = (unsigned int)queues;

	rc = pvio_config_uint_opt(cfg, "queue_size", 2, PVIO_VQ_MAX_SIZE,
				  &queue_size);
	if (rc < 0)
		return rc;
	if (queue_size & (queue_size - 1))
		return pvio_config_error(cfg, "queue_size",
					 "must be a power of 2");
	dev->queue_size = (uint16_t)queue_size;

	rc = pvio_config_bool_opt(cfg, "packed", &packed);
	if (rc < 0)
		return rc;
	if (!packed)
		pvio_device_withhold(dev, VIRTIO_F_RING_PACKED);

	rc = pvio_config_uint_opt(cfg, "poll_us", 0, UINT32_MAX, &poll_us);
	if (rc < 0 || poll_us == UINT64_MAX)
		return rc;
	for (i = 0; i < dev->nr_workers; i++)
		pvio_worker_set_poll(dev->workers[i], (unsigned int)poll_us);
	dev->has_poll = true;
	return 0;
}

void pvio_device_poll_always(struct pvio_device *dev)
{
	unsigned int i;

	for (i = 0; !dev->has_poll && i < dev->nr_workers; i++)
		pvio_worker_set_poll(dev->workers[i], UINT_MAX);
}

static int device_find_model(struct pvio_device *dev, struct pvio_config *cfg)
{
	const char *name;
	int rc;

	rc = pvio_config_string(cfg, "model", &name);
	if (rc < 0)
		return rc;
	dev->model_ops = pvio_plugin_find(PVIO_PLUGIN_model, name);
	if (!dev->model_ops)
		return pvio_config_error(cfg, "model", "no model \"%s\"", name);
	return 0;
}

/* dev->model_ops is set, or the configuration says which. */
static int device_create_model(struct pvio_device *dev, struct pvio_config *cfg,
			       void *arg)
{
	int rc = 0;

	if (!dev->model_ops)
		rc = device_find_model(dev, cfg);
	if (rc < 0)
		return rc;
	rc = device_read_keys(dev, cfg);
	if (rc < 0)
		return rc;
	dev->config = calloc(1, dev->model_ops->config_size + 1u);
	if (!dev->config)
		return -ENOMEM;
	rc = dev->model_ops->create(dev, cfg, &arg);
	if (rc == 0)
		dev->model = arg;
	return rc;
}

static int device_create_queues(struct pvio_device *dev)
{
	unsigned int i;

	dev->controls = calloc(dev->nr_queues, sizeof(*dev->controls));
	if (!dev->controls)
		return -ENOMEM;
	dev->vqs = aligned_alloc(PVIO_CACHE_LINE_BYTES,
				 dev->nr_queues * sizeof(*dev->vqs));
	if (!dev->vqs)
		return -ENOMEM;
	for (i = 0; i < dev->nr_queues; i++)
		pvio_device_queue_init(dev, i);
	return 0;
}

static int device_attach(struct pvio_device *dev, struct pvio_config *cfg)
{
	struct pvio_config *group;
	const char *type;
	int rc;

	rc = pvio_config_group(cfg, "transport", &group);
	if (rc < 0)
		return rc;
	rc = pvio_config_string(group, "type", &type);
	if (rc < 0)
		return rc;
	dev->transport_ops = pvio_plugin_find(PVIO_PLUGIN_transport, type);
	if (!dev->transport_ops)
		return pvio_config_error(group, "type", "no transport \"%s\"",
					 type);
	return dev->transport_ops->attach(dev, group, &dev->transport);
}

void pvio_device_free(struct pvio_device *dev)
{
	unsigned int i;

	if (dev->transport)
		dev->transport_ops->detach(dev->transport);
	if (dev->vqs) {
		for (i = 0; i < dev->nr_queues; i++)
			pvio_device_queue_fini(dev, i);
	}
	if (dev->model)
		dev->model_ops->destroy(dev->model);
	pvio_map_put(dev->map);
	free(dev->vqs);
	free(dev->controls);
	free(dev->config);
	free(dev->workers);
	free(dev->name);
	free(dev);
}

struct device_plan {
	const char *name;
	struct pvio_config *cfg;
	const struct pvio_model_ops *model_ops; /* NULL: the configuration's */
	void *model_arg;
	struct pvio_worker *control;
	struct pvio_worker *const *workers;
	unsigned int nr_workers;
	struct pvio_device **dev;
};

static int device_build(const struct device_plan *plan)
{
	struct pvio_config *cfg = plan->cfg;
	struct pvio_device *dev;
	int rc;

	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return -ENOMEM;
	dev->control = plan->control;
	dev->model_ops = plan->model_ops;
	pvio_device_break_init(dev);
	pvio_list_init(&dev->awaiting);

	rc = -ENOMEM;
	dev->name = strdup(plan->name);
	dev->workers = calloc(plan->nr_workers, sizeof(*dev->workers));
	if (!dev->name || !dev->workers)
		goto free_dev;
	dev->nr_workers = plan->nr_workers;
	memcpy(dev->workers, plan->workers,
	       dev->nr_workers * sizeof(*dev->workers));

	rc = pvio_map_create(NULL, 0, &dev->map);
	if (rc < 0)
		goto free_dev;
	rc = device_create_model(dev, cfg, plan->model_arg);
	if (rc < 0)
		goto free_dev;
	rc = device_create_queues(dev);
	if (rc < 0)
		goto free_dev;
	rc = device_attach(dev, cfg);
	if (rc < 0)
		goto free_dev;
	rc = pvio_config_finish(cfg);
	if (rc < 0)
		goto free_dev;

	*plan->dev = dev;
	return 0;

free_dev:
	pvio_device_free(dev);
	return rc;
}

static void create_begin(void *arg, pvio_done_fn *done, void *done_arg)
{
	done(done_arg, device_build(arg));
}

int pvio_device_create_own(const char *name, struct pvio_config *cfg,
			   const struct pvio_model_ops *ops, void *arg,
			   struct pvio_worker *control,
			   struct pvio_worker *const workers[],
			   unsigned int nr_workers, struct pvio_device **dev)
{
	struct device_plan plan = {
		.name = name,
		.cfg = cfg,
		.model_ops = ops,
		.model_arg = arg,
		.control = control,
		.workers = workers,
		.nr_workers = nr_workers,
		.dev = dev,
	};

	if (nr_workers == 0)
		return -EINVAL;
	return pvio_control_call(control, create_begin, &plan);
}

int pvio_device_create_from(const char *name, struct pvio_config *cfg,
			    struct pvio_worker *control,
			    struct pvio_worker *const workers[],
			    unsigned int nr_workers, struct pvio_device **dev)
{
	return pvio_device_create_own(name, cfg, NULL, NULL, control, workers,
				      nr_workers, dev);
}

/* From the root of @file, which is closed. */
static int device_create_file(const char *name, struct pvio_config_file *file,
			      struct pvio_worker *control,
			      struct pvio_worker *const workers[],
			      unsigned int nr_workers, struct pvio_device **dev)
{
	int rc;

	rc = pvio_device_create_from(name, pvio_config_root(file), control,
				     workers, nr_workers, dev);
	pvio_config_close(file);
	return rc;
}

int pvio_device_create(const char *name, const char *config,
		       struct pvio_worker *control,
		       struct pvio_worker *const workers[],
		       unsigned int nr_workers, struct pvio_device **dev)
{
	struct pvio_config_file *file;
	int rc;

	rc = pvio_config_parse(name, config, &file);
	if (rc < 0)
		return rc;
	return device_create_file(name, file, control, workers, nr_workers,
				  dev);
}

int pvio_device_create_options(const char *name,
			       const struct pvio_option options[],
			       struct pvio_worker *control,
			       struct pvio_worker *const workers[],
			       unsigned int nr_workers,
			       struct pvio_device **dev)
{
	struct pvio_config_file *file;
	int rc;

	rc = pvio_config_options(name, options, &file);
	if (rc < 0)
		return rc;
	return device_create_file(name, file, control, workers, nr_workers,
				  dev);
}

const char *pvio_device_name(const struct pvio_device *dev)
{
	return dev->name;
}

uint32_t pvio_device_id(const struct pvio_device *dev)
{
	return dev->model_ops->device_id;
}

const struct pvio_model_ops *pvio_device_model(const struct pvio_device *dev)
{
	return dev->model_ops;
}

void *pvio_device_transport(const struct pvio_device *dev,
			    const struct pvio_transport_ops *ops)
{
	return dev->transport_ops == ops ? dev->transport : NULL;
}

struct pvio_worker *pvio_device_control(struct pvio_device *dev)
{
	return dev->control;
}

void pvio_device_set_queues(struct pvio_device *dev, unsigned int nr)
{
	assert(!dev->vqs && nr >= 1 && nr <= dev->model_ops->max_queues);
	dev->nr_queues = nr;
}

unsigned int pvio_device_nr_queues(const struct pvio_device *dev)
{
	return dev->nr_queues;
}

uint16_t pvio_device_queue_size(const struct pvio_device *dev)
{
	return dev->queue_size;
}

struct pvio_vq *pvio_device_vq(struct pvio_device *dev, unsigned int index)
{
	return index < dev->nr_queues ? &dev->vqs[index] : NULL;
}

struct pvio_map *pvio_device_map(const struct pvio_device *dev)
{
	return dev->map;
}

size_t pvio_device_config_size(const struct pvio_device *dev)
{
	return dev->model_ops->config_size;
}

void pvio_device_read_config(struct pvio_device *dev, size_t offset, void *buf,
			     size_t len)
{
	size_t size = dev->model_ops->config_size;
	size_t n = 0;

	if (offset < size) {
		n = pvio_min(len, size - offset);
		memset(dev->config, 0, size);
		dev->model_ops->read_config(dev->model, dev->config);
		memcpy(buf, dev->config + offset, n);
	}
	memset((uint8_t *)buf + n, 0, len - n);
}

int pvio_device_write_config(struct pvio_device *dev, size_t offset,
			     const void *buf, size_t len)
{
	if (!dev->model_ops->write_config || len == 0 ||
	    !pvio_range_ok(offset, len, dev->model_ops->config_size) ||
	    (dev->status & VIRTIO_CONFIG_S_SUSPEND))
		return -EINVAL;
	return dev->model_ops->write_config(dev->model, offset, buf, len);
}

int pvio_device_announce(struct pvio_device *dev, const uint8_t mac[6])
{
	if (!dev->model_ops->announce)
		return -ENOTSUP;
	dev->model_ops->announce(dev->model, mac);
	return 0;
}

int pvio_device_set_mtu(struct pvio_device *dev, uint16_t mtu)
{
	if (!dev->model_ops->set_mtu)
		return -ENOTSUP;
	return dev->model_ops->set_mtu(dev->model, mtu);
}

uint32_t pvio_device_config_changes(const struct pvio_device *dev)
{
	return dev->config_changes;
}

void pvio_device_config_changed(struct pvio_device *dev)
{
	const struct pvio_transport_ops *ops = dev->transport_ops;

	dev->config_changes++;
	/* Told after the resume, when that comes (virtio 1.4, 2.1.2). */
	if (dev->status & VIRTIO_CONFIG_S_SUSPEND)
		dev->owes_config = true;
	else if ((pvio_device_is_live(dev) || ops->copies_config) &&
		 ops->notify_config)
		ops->notify_config(dev->transport);
}

struct device_command {
	struct pvio_device *dev;
	const char *command, *argument;
	char *answer;
	size_t size;
};

static int command_run(const struct device_command *call)
{
	const struct pvio_model_ops *ops = call->dev->model_ops;
	const struct pvio_command *c;

	for (c = ops->commands; c && c->name; c++) {
		if (strcmp(c->name, call->command) == 0)
			return c->run(call->dev->model, call->argument,
				      call->answer, call->size);
	}
	snprintf(call->answer, call->size, "a %s device has no command \"%s\"",
		 ops->name, call->command);
	return -ENOTSUP;
}

static void command_begin(void *arg, pvio_done_fn *done, void *done_arg)
{
	done(done_arg, command_run(arg));
}

int pvio_device_command(struct pvio_device *dev, const char *command,
			const char *argument, char *answer, size_t size)
{
	struct device_command call = {
		.dev = dev,
		.command = command,
		.argument = argument,
		.answer = answer,
		.size = size,
	};

	if (size > 0)
		answer[0] = '\0';
	return pvio_device_call(dev, command_begin, &call);
}
