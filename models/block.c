/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block.c - virtio block device model: configuration, queues, commands
 *
 * A disk of a fixed capacity with any number of request queues (virtio 1.4,
 * 5.2).  Queues share the backend's open file and the few words at the end of
 * struct blk, and nothing else, so each can be on a worker of its own.
 *
 * Caching.  FLUSH and CONFIG_WCE are always offered.  What that means is the
 * "cache" key's: writeback - completed writes are volatile until flushed,
 * unless the driver sets the `writeback` field to 0, or does not take FLUSH at
 * all; writethrough - the field is 0 and stays 0; unsafe - nothing is ever
 * made stable, for disks that are thrown away.
 *
 * The capacity changes only by the "resize" command.  Requests are checked
 * against the capacity when they are taken; one that was taken before a shrink
 * is the backend's to fail if the bytes are gone.
 */
#include "models/block.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Through write_zeroes_may_unmap and its padding (virtio 1.4, 5.2.4). */
#define BLK_CONFIG_BYTES 60

static const char *const blk_cache_words[] = { "writeback", "writethrough",
					       "unsafe", NULL };

/* --- configuration space -------------------------------------------------- */

static uint32_t blk_sectors(uint64_t bytes)
{
	return (uint32_t)pvio_min(bytes / BLK_SECTOR_BYTES, UINT32_MAX);
}

static void blk_read_topology(const struct blk *blk,
			      struct virtio_blk_config *config)
{
	uint32_t logical = blk->logical_bytes;
	uint32_t physical = blk->info.physical_bytes;

	config->blk_size = htole32(logical);
	if (physical > logical) {
		config->physical_block_exp =
			(uint8_t)__builtin_ctz(physical / logical);
		config->min_io_size = htole16(
			(uint16_t)pvio_min(physical / logical, UINT16_MAX));
	}
	config->opt_io_size = htole32(blk->info.optimal_bytes / logical);
}

static void blk_read_config(void *model, void *buf)
{
	struct blk *blk = model;
	struct virtio_blk_config config = { 0 };
	uint64_t align = blk->info.discard_align;

	config.capacity =
		htole64(pvio_load_once(&blk->bytes) / BLK_SECTOR_BYTES);
	config.size_max = htole32(blk->size_max);
	config.seg_max = htole32(blk->seg_max);
	blk_read_topology(blk, &config);
	config.wce = pvio_load_once(&blk->writeback);
	config.num_queues = htole16((uint16_t)pvio_device_nr_queues(blk->dev));
	if (blk->info.can_discard) {
		config.max_discard_sectors =
			htole32(blk_sectors(blk->max_range_bytes));
		config.max_discard_seg = htole32(BLK_MAX_RANGES);
		config.discard_sector_alignment = htole32(
			blk_sectors(align ? align : blk->logical_bytes));
	}
	if (blk->info.can_write_zeroes) {
		config.max_write_zeroes_sectors =
			htole32(blk_sectors(blk->max_range_bytes));
		config.max_write_zeroes_seg = htole32(BLK_MAX_RANGES);
		config.write_zeroes_may_unmap = blk->info.can_discard;
	}
	memcpy(buf, &config, BLK_CONFIG_BYTES);
}

/* Only `writeback` can be written, and only when CONFIG_WCE was negotiated. */
static int blk_write_config(void *model, size_t offset, const void *data,
			    size_t len)
{
	struct blk *blk = model;
	uint8_t value;

	if (!blk->has_wce || len != sizeof(value) ||
	    offset != offsetof(struct virtio_blk_config, wce))
		return -EINVAL;
	value = *(const uint8_t *)data != 0;
	if (value && blk->cache == BLK_CACHE_WRITETHROUGH)
		return -EINVAL;
	if (!value && blk->writeback)
		pvio_store_once(&blk->sync_wanted, blk->sync_wanted + 1);
	pvio_store_once(&blk->writeback, value);
	return 0;
}

/* --- features ------------------------------------------------------------- */

static void blk_set_features(void *model, const struct pvio_features *f)
{
	struct blk *blk = model;

	blk->has_flush = pvio_feature_has(f, VIRTIO_BLK_F_FLUSH);
	blk->has_wce = pvio_feature_has(f, VIRTIO_BLK_F_CONFIG_WCE);
	blk->has_discard = pvio_feature_has(f, VIRTIO_BLK_F_DISCARD);
	blk->has_write_zeroes = pvio_feature_has(f, VIRTIO_BLK_F_WRITE_ZEROES);
	/* A driver that cannot flush starts write-through (5.2.5.2). */
	if (blk->has_wce && !blk->has_flush)
		pvio_store_once(&blk->writeback, 0);
}

static void blk_reset(void *model)
{
	struct blk *blk = model;

	blk->has_flush = blk->has_wce = false;
	blk->has_discard = blk->has_write_zeroes = false;
	pvio_store_once(&blk->writeback, blk->cache != BLK_CACHE_WRITETHROUGH);
}

/* --- queues --------------------------------------------------------------- */

static void blk_idle_queue(void *model, struct pvio_vq *vq)
{
	struct blk_queue *queue = vq->priv;
	unsigned int i;

	(void)model;
	if (!queue)
		return;
	queue->ops->stop_queue(queue->backend_queue);
	for (i = 0; i < queue->nr_requests; i++)
		free(queue->requests[i].ranges);
	free(queue->requests);
	free(queue);
	vq->priv = NULL;
}

static int blk_start_queue(void *model, struct pvio_vq *vq)
{
	struct blk *blk = model;
	struct blk_queue *queue;
	unsigned int i;
	int rc = -ENOMEM;

	queue = calloc(1, sizeof(*queue));
	if (!queue)
		return -ENOMEM;
	queue->blk = blk;
	queue->vq = vq;
	queue->ops = blk->ops;
	queue->nr_requests = vq->size;
	queue->requests = calloc(vq->size, sizeof(*queue->requests));
	if (!queue->requests)
		goto free_queue;
	for (i = 0; i < queue->nr_requests; i++)
		pvio_blk_request_init(&queue->requests[i], queue);
	rc = blk->ops->start_queue(blk->backend, vq->worker, vq->size,
				   &queue->backend_queue);
	if (rc < 0)
		goto free_requests;
	vq->priv = queue;
	return 0;

free_requests:
	free(queue->requests);
free_queue:
	free(queue);
	return rc;
}

static enum pvio_kick blk_kick(void *model, struct pvio_vq *vq)
{
	struct blk_queue *queue = vq->priv;
	enum pvio_kick result = PVIO_KICK_AGAIN;
	struct pvio_chain *chain;
	unsigned int left = BLK_KICK_BUDGET;

	(void)model;
	while (left-- > 0) {
		chain = pvio_vq_pop(vq);
		if (!chain) {
			result = PVIO_KICK_DRAINED;
			break;
		}
		pvio_blk_serve(queue, chain);
	}
	queue->ops->flush(queue->backend_queue);
	return result;
}

/* --- commands ------------------------------------------------------------- */

/* "resize": to so many bytes, or empty: to what the backend has now. */
static int blk_resize(void *model, const char *argument, char *answer,
		      size_t size)
{
	struct blk *blk = model;
	struct pvio_block_info info = blk->info;
	uint64_t bytes;
	int rc;

	rc = blk->ops->refresh(blk->backend, &info);
	if (rc < 0) {
		snprintf(answer, size, "cannot read the backend's size: %s",
			 strerror(-rc));
		return rc;
	}
	bytes = info.bytes;
	if (argument && *argument) {
		rc = pvio_parse_size(argument, &bytes);
		if (rc < 0) {
			snprintf(answer, size, "not a size: %s", argument);
			return rc;
		}
	}
	if (bytes > info.bytes) {
		snprintf(answer, size, "the backend has only %" PRIu64 " bytes",
			 info.bytes);
		return -EINVAL;
	}
	if (bytes % blk->logical_bytes) {
		if (argument && *argument) {
			snprintf(answer, size, "not a multiple of %u bytes",
				 blk->logical_bytes);
			return -EINVAL;
		}
		bytes -= bytes % blk->logical_bytes;
	}
	blk->info.bytes = info.bytes;
	if (bytes != pvio_load_once(&blk->bytes)) {
		pvio_store_once(&blk->bytes, bytes);
		pvio_device_config_changed(blk->dev);
		pvio_log(PVIO_LOG_INFO, "%s: capacity is now %" PRIu64 " bytes",
			 pvio_device_name(blk->dev), bytes);
	}
	snprintf(answer, size, "%" PRIu64, bytes);
	return 0;
}

/* "clear-error": let flushes succeed again after one has failed. */
static int blk_clear_error(void *model, const char *argument, char *answer,
			   size_t size)
{
	struct blk *blk = model;

	(void)argument;
	snprintf(answer, size, "%s",
		 pvio_load_once(&blk->flush_failed) ? "cleared" : "no error");
	pvio_store_once(&blk->flush_failed, 0);
	return 0;
}

static const struct pvio_command blk_commands[] = {
	{ "resize", blk_resize },
	{ "clear-error", blk_clear_error },
	{ NULL, NULL },
};

/* --- create --------------------------------------------------------------- */

/* The keys of the device group that are the model's. */
static int blk_read_keys(struct blk *blk, struct pvio_config *cfg,
			 unsigned int *nr_queues, bool *discard)
{
	const char *serial = pvio_device_name(blk->dev);
	uint64_t queues = *nr_queues, size_max = 0, seg_max = BLK_SEG_MAX;
	uint64_t logical = 0;
	unsigned int cache = BLK_CACHE_WRITEBACK;
	bool has_serial = false;

	if (pvio_config_bool_opt(cfg, "read_only", &blk->read_only) < 0 ||
	    pvio_config_uint_opt(cfg, "queues", 1, BLK_MAX_QUEUES, &queues) <
		    0 ||
	    pvio_config_size_opt(cfg, "block_size", 512, 65536, &logical) < 0 ||
	    pvio_config_choice_opt(cfg, "cache", blk_cache_words, &cache) < 0 ||
	    pvio_config_bool_opt(cfg, "discard", discard) < 0 ||
	    pvio_config_size_opt(cfg, "size_max", 4096, UINT32_MAX, &size_max) <
		    0 ||
	    pvio_config_uint_opt(cfg, "seg_max", 1, PVIO_VQ_MAX_SIZE - 2,
				 &seg_max) < 0)
		return -EINVAL;
	if (logical & (logical - 1))
		return pvio_config_error(cfg, "block_size",
					 "must be a power of 2");
	*nr_queues = (unsigned int)queues;
	blk->logical_bytes = (uint32_t)logical;
	blk->cache = cache;
	blk->size_max = (uint32_t)size_max;
	blk->seg_max = (uint32_t)seg_max;

	if (pvio_config_string_opt(cfg, "serial", &serial) < 0)
		return -EINVAL;
	has_serial = serial != pvio_device_name(blk->dev);
	if (has_serial && strlen(serial) > BLK_SERIAL_BYTES)
		return pvio_config_error(cfg, "serial",
					 "longer than %d characters",
					 BLK_SERIAL_BYTES);
	memcpy(blk->serial, serial, strnlen(serial, BLK_SERIAL_BYTES));
	return 0;
}

static int blk_open_backend(struct blk *blk, struct pvio_config *cfg)
{
	struct pvio_config *group;
	const char *type;

	if (pvio_config_group(cfg, "backend", &group) < 0 ||
	    pvio_config_string(group, "type", &type) < 0)
		return -EINVAL;
	blk->ops = pvio_plugin_find(PVIO_PLUGIN_block_backend, type);
	if (!blk->ops)
		return pvio_config_error(group, "type",
					 "no block backend \"%s\"", type);
	return blk->ops->open(pvio_device_name(blk->dev), group, blk->read_only,
			      &blk->info, &blk->backend);
}

/* Settle what configuration and backend say about each other. */
static int blk_check_backend(struct blk *blk, struct pvio_config *cfg,
			     bool discard)
{
	struct pvio_block_info *info = &blk->info;
	uint64_t max = info->max_discard ? info->max_discard
					 : BLK_RANGE_MAX_BYTES;

	if (!blk->logical_bytes)
		blk->logical_bytes = info->block_bytes;
	if (blk->logical_bytes < info->block_bytes)
		return pvio_config_error(cfg, "block_size",
					 "the backend's blocks are %u bytes",
					 info->block_bytes);
	blk->read_only |= info->read_only;
	if (blk->read_only)
		info->can_discard = info->can_write_zeroes = false;
	info->can_discard &= discard;
	blk->max_range_bytes = pvio_min(max, BLK_RANGE_MAX_BYTES);
	blk->max_range_bytes -= blk->max_range_bytes % blk->logical_bytes;
	blk->bytes = info->bytes - info->bytes % blk->logical_bytes;
	return 0;
}

static void blk_withhold(struct blk *blk, unsigned int nr_queues)
{
	if (!blk->read_only)
		pvio_device_withhold(blk->dev, VIRTIO_BLK_F_RO);
	if (!blk->size_max)
		pvio_device_withhold(blk->dev, VIRTIO_BLK_F_SIZE_MAX);
	if (nr_queues == 1)
		pvio_device_withhold(blk->dev, VIRTIO_BLK_F_MQ);
	if (!blk->info.can_discard)
		pvio_device_withhold(blk->dev, VIRTIO_BLK_F_DISCARD);
	if (!blk->info.can_write_zeroes)
		pvio_device_withhold(blk->dev, VIRTIO_BLK_F_WRITE_ZEROES);
}

static int blk_create(struct pvio_device *dev, struct pvio_config *cfg,
		      void **model)
{
	unsigned int nr_queues = 1, queue_size;
	bool discard = true;
	struct blk *blk;
	int rc;

	blk = calloc(1, sizeof(*blk));
	if (!blk)
		return -ENOMEM;
	blk->dev = dev;

	rc = blk_read_keys(blk, cfg, &nr_queues, &discard);
	if (rc < 0)
		goto free_blk;
	rc = blk_open_backend(blk, cfg);
	if (rc < 0)
		goto free_blk;
	rc = blk_check_backend(blk, cfg, discard);
	if (rc < 0)
		goto close_backend;

	/* A chain has two descriptors more than it has segments of data. */
	queue_size = pvio_device_queue_size(dev);
	if (blk->seg_max + 2 > queue_size)
		blk->seg_max = queue_size > 2 ? queue_size - 2 : 1;
	pvio_device_set_queues(dev, nr_queues);
	blk_withhold(blk, nr_queues);
	blk_reset(blk);
	*model = blk;
	return 0;

close_backend:
	blk->ops->close(blk->backend);
free_blk:
	free(blk);
	return rc;
}

static void blk_destroy(void *model)
{
	struct blk *blk = model;

	blk->ops->close(blk->backend);
	free(blk);
}

static const struct pvio_model_ops blk_ops = {
	.abi = PVIO_PLUGIN_ABI,
	.name = "block",
	.device_id = VIRTIO_ID_BLOCK,
	.features = { PVIO_BIT(VIRTIO_BLK_F_SIZE_MAX) |
			      PVIO_BIT(VIRTIO_BLK_F_SEG_MAX) |
			      PVIO_BIT(VIRTIO_BLK_F_RO) |
			      PVIO_BIT(VIRTIO_BLK_F_BLK_SIZE) |
			      PVIO_BIT(VIRTIO_BLK_F_FLUSH) |
			      PVIO_BIT(VIRTIO_BLK_F_TOPOLOGY) |
			      PVIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) |
			      PVIO_BIT(VIRTIO_BLK_F_MQ) |
			      PVIO_BIT(VIRTIO_BLK_F_DISCARD) |
			      PVIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES),
		      0 },
	.max_queues = BLK_MAX_QUEUES,
	.queue_size = 256,
	.config_size = BLK_CONFIG_BYTES,
	.failed_status = VIRTIO_BLK_S_IOERR,
	.create = blk_create,
	.destroy = blk_destroy,
	.set_features = blk_set_features,
	.reset = blk_reset,
	.start_queue = blk_start_queue,
	.idle_queue = blk_idle_queue,
	.kick = blk_kick,
	.read_config = blk_read_config,
	.write_config = blk_write_config,
	.commands = blk_commands,
};
PVIO_PLUGIN(model, block, blk_ops);
