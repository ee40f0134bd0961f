/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backend.c - a disk backend of your own, as a module
 *
 * A read-only disk that stores nothing: every 8 bytes of it are their own
 * offset, as a little-endian number.  Handy for finding out which blocks a
 * guest really reads.
 *
 *	$ cc -DPVIO_MODULE -I/usr/include/pvio/plugin -fPIC -shared \
 *	     -o offsets.so backend.c
 *	...	{ model = "block";
 *		  backend = { type = "offsets"; size = "1T"; }; ... }
 *
 * The block model has checked each request before it gets here: it lies inside
 * the disk, is whole blocks, and is something that open() said we can do.
 */
#include "backends/block.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#define OFFSETS_BLOCK_BYTES 512

struct offsets {
	uint64_t bytes;
};

static int offsets_open(const char *device, struct pvio_config *cfg,
			bool want_read_only, struct pvio_block_info *info,
			void **backend)
{
	struct offsets *o;
	uint64_t bytes = 1 << 20;
	int rc;

	(void)device;
	(void)want_read_only;
	rc = pvio_config_size_opt(cfg, "size", OFFSETS_BLOCK_BYTES, 1ULL << 62,
				  &bytes);
	if (rc < 0)
		return rc;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->bytes = bytes - bytes % OFFSETS_BLOCK_BYTES;

	/* What the guest is told, and what the model checks for us. */
	info->bytes = o->bytes;
	info->block_bytes = OFFSETS_BLOCK_BYTES;
	info->read_only = true;
	*backend = o;
	return 0;
}

static void offsets_close(void *backend)
{
	free(backend);
}

static int offsets_refresh(void *backend, struct pvio_block_info *info)
{
	struct offsets *o = backend;

	info->bytes = o->bytes;
	return 0;
}

/* A queue of ours needs nothing that the others do not have. */
static int offsets_start_queue(void *backend, struct pvio_worker *worker,
			       unsigned int depth, void **queue)
{
	(void)worker;
	(void)depth;
	*queue = backend;
	return 0;
}

static void offsets_stop_queue(void *queue)
{
	(void)queue;
}

/*
 * A backend with real I/O would start it here and call pvio_block_done() from
 * an event later; on this worker, once for each request.
 */
static void offsets_submit(void *queue, struct pvio_block_io *io)
{
	uint64_t done;

	(void)queue;
	for (done = 0; io->op == PVIO_BLOCK_READ && done < io->bytes;
	     done += 8) {
		uint64_t word = htole64(io->offset + done);

		pvio_iov_put(io->iov, io->nr_iov, done, &word, sizeof(word));
	}
	pvio_block_done(io, 0);
}

static void offsets_flush(void *queue)
{
	(void)queue; /* nothing is held back in submit */
}

static const struct pvio_block_backend_ops offsets_ops = {
	.abi		= PVIO_PLUGIN_ABI,
	.name		= "offsets",
	.open		= offsets_open,
	.close		= offsets_close,
	.refresh	= offsets_refresh,
	.start_queue	= offsets_start_queue,
	.stop_queue	= offsets_stop_queue,
	.submit		= offsets_submit,
	.flush		= offsets_flush,
};

PVIO_PLUGIN(block_backend, offsets, offsets_ops);
