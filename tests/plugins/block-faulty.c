/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-faulty.c - a disk that fails when told to, and shows what it is asked
 *
 * Loaded as any backend of others would be (pvio_plugins_load), by tests, which
 * steer it through the struct below, from the thread of its worker.
 */
#define PVIO_MODULE
#include "tests/plugins/block-faulty.h"

#pragma GCC visibility push(default)
extern struct faulty faulty;
faulty_release_fn faulty_release;
struct faulty faulty = { .bytes = FAULTY_BYTES };
#pragma GCC visibility pop

void faulty_release(int err)
{
	struct pvio_block_io *io, *next;

	for (io = faulty.list; io; io = next) {
		next = io->next;
		faulty.held--;
		pvio_block_done(io, err);
	}
	faulty.list = NULL;
}

static int faulty_open(const char *device, struct pvio_config *cfg,
		       bool want_read_only, struct pvio_block_info *info,
		       void **backend)
{
	(void)device;
	(void)cfg;
	info->bytes = faulty.bytes;
	info->block_bytes = 512;
	info->read_only = want_read_only;
	info->can_discard = info->can_write_zeroes = true;
	info->volatile_cache = true;
	*backend = &faulty;
	return 0;
}

static void faulty_close(void *backend)
{
	(void)backend;
}

static int faulty_refresh(void *backend, struct pvio_block_info *info)
{
	(void)backend;
	info->bytes = faulty.bytes;
	return 0;
}

static int faulty_start_queue(void *backend, struct pvio_worker *worker,
			      unsigned int depth, void **queue)
{
	(void)worker;
	(void)depth;
	*queue = backend;
	return 0;
}

static void faulty_stop_queue(void *queue)
{
	(void)queue;
}

static void faulty_submit(void *queue, struct pvio_block_io *io)
{
	int err = 0;

	(void)queue;
	faulty.seen[io->op]++;
	faulty.stable = io->stable;
	faulty.may_unmap = io->may_unmap;
	faulty.offset = io->offset;
	faulty.length = io->bytes;
	if (faulty.hold) {
		faulty.held++;
		io->next = faulty.list;
		faulty.list = io;
		return;
	}
	if (faulty.fail > 0 && faulty.error[io->op]) {
		faulty.fail--;
		err = faulty.error[io->op];
	}
	pvio_block_done(io, err);
}

static void faulty_flush(void *queue)
{
	(void)queue;
	faulty.flushes++;
}

static const struct pvio_block_backend_ops faulty_ops = {
	.abi = PVIO_PLUGIN_ABI,
	.name = "faulty",
	.open = faulty_open,
	.close = faulty_close,
	.refresh = faulty_refresh,
	.start_queue = faulty_start_queue,
	.stop_queue = faulty_stop_queue,
	.submit = faulty_submit,
	.flush = faulty_flush,
};
PVIO_PLUGIN(block_backend, faulty, faulty_ops);
