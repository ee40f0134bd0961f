/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block.h - the seam between the block model and where a disk's bytes are
 *
 * A backend is opened once, and gives each queue of the device a *queue* of
 * its own, on that queue's worker, so that queues share nothing but the open
 * file.  A request belongs to the backend from submit until it calls
 * pvio_block_done(), which it may do from inside submit.
 *
 * The model has checked every request: inside the capacity, whole blocks,
 * writable, supported.  Errors are -errno; short transfers are the backend's
 * to finish.
 */
#ifndef PVIO_BACKENDS_BLOCK_H
#define PVIO_BACKENDS_BLOCK_H

#include "core/config.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/plugin.h"
#include "core/worker.h"

enum pvio_block_op {
	PVIO_BLOCK_READ,
	PVIO_BLOCK_WRITE,
	PVIO_BLOCK_FLUSH,	 /* what was completed before is stable after */
	PVIO_BLOCK_DISCARD,	 /* [offset, +bytes): content no longer matters */
	PVIO_BLOCK_WRITE_ZEROES, /* ... reads as zero afterwards */
};

/* One request.  Embedded in the model's own. */
struct pvio_block_io {
	enum pvio_block_op op;
	bool stable;	  /* WRITE, WRITE_ZEROES: on stable storage when done */
	bool may_unmap;	  /* WRITE_ZEROES: may free the space */
	uint64_t offset;  /* bytes */
	uint64_t bytes;
	const struct iovec *iov; /* READ, WRITE: guest memory, until done */
	int nr_iov;
	void (*done)(struct pvio_block_io *io, int err); /* 0 or -errno */
	/* The backend's, from submit to done. */
	uint64_t progress;
	void *bounce;
	struct pvio_block_io *next;
	uint8_t phase, retries;
};

static inline void pvio_block_done(struct pvio_block_io *io, int err)
{
	io->done(io, err);
}

/* What a backend is, filled in by open, and updated by refresh. */
struct pvio_block_info {
	uint64_t bytes;		  /* capacity; a multiple of 512 */
	uint32_t block_bytes;	  /* logical block, power of 2, >= 512 */
	uint32_t physical_bytes;  /* physical block; 0 = as logical */
	uint32_t optimal_bytes;	  /* good size for I/O; 0 = unknown */
	bool read_only;
	bool can_discard;
	bool can_write_zeroes;
	bool volatile_cache;	  /* writes need FLUSH to be stable */
	uint64_t discard_align;	  /* bytes; 0 = block_bytes */
	uint64_t max_discard;	  /* bytes a DISCARD or WRITE_ZEROES; 0 = any */
};

struct pvio_block_backend_ops {
	uint32_t abi;
	const char *name; /* "file": backend.type */

	/*
	 * control.  Read the `backend` group and open.  @want_read_only: the
	 * device is configured so; open accordingly.  -errno, logged with the
	 * path.
	 */
	int (*open)(const char *device, struct pvio_config *cfg,
		    bool want_read_only, struct pvio_block_info *info,
		    void **backend);
	void (*close)(void *backend);
	/* control.  The size may have changed: read it again. */
	int (*refresh)(void *backend, struct pvio_block_info *info);

	/*
	 * queue.  Make what a queue of up to @depth requests at a time needs,
	 * on @worker; and free it, when none is outstanding.
	 */
	int (*start_queue)(void *backend, struct pvio_worker *worker,
			   unsigned int depth, void **queue);
	void (*stop_queue)(void *queue);
	/* queue.  Start a request; may hold it until flush. */
	void (*submit)(void *queue, struct pvio_block_io *io);
	/* queue.  Once after a batch of submits: start what was held. */
	void (*flush)(void *queue);
};

#endif
