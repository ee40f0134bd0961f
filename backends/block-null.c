/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-null.c - a disk with nothing behind it, to measure everything else
 *
 * Every request succeeds at once and writes are forgotten.  Reads give zeroes.
 * With `zero = false` they leave the guest's buffers as they are, which no
 * real disk does: for measurements that are not about memset().
 */
#include "backends/block.h"

#include <errno.h>
#include <stdlib.h>

struct null {
	struct pvio_block_info info;
	bool zero;
};

static int null_open(const char *device, struct pvio_config *cfg,
		     bool want_read_only, struct pvio_block_info *info,
		     void **backend)
{
	struct null *null;
	uint64_t bytes = (uint64_t)1 << 30;
	bool zero = true;

	(void)device;
	if (pvio_config_size_opt(cfg, "size", 512, INT64_MAX, &bytes) < 0 ||
	    pvio_config_bool_opt(cfg, "zero", &zero) < 0)
		return -EINVAL;
	null = calloc(1, sizeof(*null));
	if (!null)
		return -ENOMEM;
	null->zero = zero;
	null->info.bytes = bytes - bytes % 512;
	null->info.block_bytes = 512;
	null->info.read_only = want_read_only;
	null->info.can_discard = true;
	null->info.can_write_zeroes = zero;
	*info = null->info;
	*backend = null;
	return 0;
}

static void null_close(void *backend)
{
	free(backend);
}

static int null_refresh(void *backend, struct pvio_block_info *info)
{
	struct null *null = backend;

	info->bytes = null->info.bytes;
	return 0;
}

static int null_start_queue(void *backend, struct pvio_worker *worker,
			    unsigned int depth, void **queue)
{
	(void)worker;
	(void)depth;
	*queue = backend;
	return 0;
}

static void null_stop_queue(void *queue)
{
	(void)queue;
}

static void null_submit(void *queue, struct pvio_block_io *io)
{
	struct null *null = queue;

	if (io->op == PVIO_BLOCK_READ && null->zero)
		pvio_iov_zero(io->iov, io->nr_iov, 0, io->bytes);
	pvio_block_done(io, 0);
}

static void null_flush(void *queue)
{
	(void)queue;
}

static const struct pvio_block_backend_ops null_ops = {
	.abi = PVIO_PLUGIN_ABI,
	.name = "null",
	.open = null_open,
	.close = null_close,
	.refresh = null_refresh,
	.start_queue = null_start_queue,
	.stop_queue = null_stop_queue,
	.submit = null_submit,
	.flush = null_flush,
};
PVIO_PLUGIN(block_backend, null, null_ops);
