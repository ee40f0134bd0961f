/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block.h - the block model's own structs: block.c sets up and configures,
 * block-request.c serves
 */
#ifndef PVIO_MODELS_BLOCK_H
#define PVIO_MODELS_BLOCK_H

#include "backends/block.h"
#include "core/model.h"

#define BLK_SECTOR_BYTES    ((uint64_t)512) /* virtio's unit, always */
#define BLK_HEADER_BYTES    16
#define BLK_SERIAL_BYTES    20
#define BLK_MAX_RANGES      32 /* segments of a discard or write zeroes */
#define BLK_MAX_QUEUES      64
#define BLK_SEG_MAX         126 /* with header and status: QEMU's 128 */
#define BLK_KICK_BUDGET     256 /* requests before others get a turn */
#define BLK_RANGE_MAX_BYTES ((uint64_t)1 << 30)

/* What becomes of writes the driver has not flushed. */
enum blk_cache {
	BLK_CACHE_WRITEBACK,    /* lost in a crash; the driver can choose */
	BLK_CACHE_WRITETHROUGH, /* there are none */
	BLK_CACHE_UNSAFE,       /* lost in a crash, and flush does nothing */
};

/* One range of a discard or write zeroes request, copied and checked. */
struct blk_range {
	uint64_t offset, bytes;
	bool unmap;
};

/*
 * A request belongs to the ring until pvio_blk_serve(), then to the backend
 * until blk_io_done(), then to the ring again.
 */
struct blk_request {
	struct pvio_block_io io;  /* what the backend sees */
	struct pvio_chain *chain; /* the queue's */
	struct blk_queue *queue;
	struct iovec status;       /* its byte, in guest memory; write only */
	struct iovec *shared_tail; /* segment that holds data and status: one
				      byte shorter while the backend has it */
	struct blk_range *ranges;  /* [BLK_MAX_RANGES], owned; made by the first
				      request of this slot that needs it */
	uint8_t nr_ranges, next_range;
	uint32_t sync; /* flush after a write: the sync_wanted it settles */
};

struct blk_queue {
	struct blk *blk;    /* borrowed */
	struct pvio_vq *vq; /* borrowed */
	const struct pvio_block_backend_ops *ops;
	void *backend_queue;          /* the backend's, ours to stop */
	struct blk_request *requests; /* [nr_requests], owned; by slot */
	unsigned int nr_requests;
};

struct blk {
	/*
	 * Fixed when the device is created.
	 */
	struct pvio_device *dev; /* borrowed, outlives us */
	const struct pvio_block_backend_ops *ops;
	void *backend;               /* owned */
	struct pvio_block_info info; /* bytes: see below */
	enum blk_cache cache;
	bool read_only;
	uint8_t serial[BLK_SERIAL_BYTES];
	uint32_t logical_bytes;     /* block size the driver is told */
	uint32_t size_max, seg_max; /* size_max 0: no limit */
	uint64_t max_range_bytes;   /* discard, write zeroes: one range */

	/*
	 * Fixed while a queue runs: what the driver negotiated.
	 */
	bool has_flush, has_wce, has_discard, has_write_zeroes;

	/*
	 * Written by control or, flush_failed, by any queue; read by every
	 * queue, with single loads and stores.
	 */
	uint64_t bytes;       /* capacity */
	uint8_t writeback;    /* configuration field, 0 or 1 */
	uint32_t sync_wanted; /* times the driver switched to write-through */
	uint32_t sync_done;   /* ... for which older writes are stable, too */
	uint8_t flush_failed; /* some flush failed: later ones do, too */
};

/* Serve one chain: it is pushed, or the backend has it.  queue. */
void pvio_blk_serve(struct blk_queue *queue, struct pvio_chain *chain);
/* Prepare a request slot, once: what no request changes. */
void pvio_blk_request_init(struct blk_request *req, struct blk_queue *queue);

#endif
