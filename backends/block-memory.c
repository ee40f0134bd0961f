/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-memory.c - a disk in this process's memory, gone when it ends
 *
 * Requests are copies and complete inside submit.  Pages are made when they
 * are first written, and given back by discard, so an empty disk of any size
 * costs nothing.
 */
#include "backends/block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Zeroing so much holds up the other queues of a worker for about 1 ms. */
#define RAM_MAX_RANGE_BYTES ((uint64_t)4 << 20)

struct ram {
	uint8_t *bytes; /* owned mapping */
	struct pvio_block_info info;
	uint64_t page_bytes;
};

static int ram_open(const char *device, struct pvio_config *cfg,
		    bool want_read_only, struct pvio_block_info *info,
		    void **backend)
{
	struct ram *ram;
	uint64_t bytes = 0;
	void *map;
	int rc;

	if (pvio_config_size_opt(cfg, "size", 512, (uint64_t)1 << 46, &bytes) <
	    0)
		return -EINVAL;
	if (bytes == 0)
		return pvio_config_error(cfg, "size", "is required");
	bytes -= bytes % 512;
	ram = calloc(1, sizeof(*ram));
	if (!ram)
		return -ENOMEM;
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED) {
		rc = -errno;
		pvio_log(PVIO_LOG_ERROR, "%s: %llu bytes of memory: %s", device,
			 (unsigned long long)bytes, strerror(-rc));
		free(ram);
		return rc;
	}
	ram->bytes = map;
	ram->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	ram->info.bytes = bytes;
	ram->info.block_bytes = 512;
	ram->info.read_only = want_read_only;
	ram->info.can_discard = true;
	ram->info.can_write_zeroes = true;
	ram->info.discard_align = ram->page_bytes;
	ram->info.max_discard = RAM_MAX_RANGE_BYTES;
	*info = ram->info;
	*backend = ram;
	return 0;
}

static void ram_close(void *backend)
{
	struct ram *ram = backend;

	munmap(ram->bytes, ram->info.bytes);
	free(ram);
}

static int ram_refresh(void *backend, struct pvio_block_info *info)
{
	struct ram *ram = backend;

	info->bytes = ram->info.bytes;
	return 0;
}

static int ram_start_queue(void *backend, struct pvio_worker *worker,
			   unsigned int depth, void **queue)
{
	(void)worker;
	(void)depth;
	*queue = backend;
	return 0;
}

static void ram_stop_queue(void *queue)
{
	(void)queue;
}

/* Whole pages go back to the system and read as zero; the rest is zeroed. */
static void ram_zero(struct ram *ram, uint64_t offset, uint64_t bytes,
		     bool free_pages)
{
	uint64_t mask = ram->page_bytes - 1;
	uint64_t first = (offset + mask) & ~mask;
	uint64_t end = (offset + bytes) & ~mask;

	if (!free_pages || first >= end ||
	    madvise(ram->bytes + first, end - first, MADV_DONTNEED) < 0) {
		memset(ram->bytes + offset, 0, bytes);
		return;
	}
	memset(ram->bytes + offset, 0, first - offset);
	memset(ram->bytes + end, 0, offset + bytes - end);
}

static void ram_submit(void *queue, struct pvio_block_io *io)
{
	struct ram *ram = queue;

	switch (io->op) {
	case PVIO_BLOCK_READ:
		pvio_iov_put(io->iov, io->nr_iov, 0, ram->bytes + io->offset,
			     io->bytes);
		break;
	case PVIO_BLOCK_WRITE:
		pvio_iov_get(io->iov, io->nr_iov, 0, ram->bytes + io->offset,
			     io->bytes);
		break;
	case PVIO_BLOCK_FLUSH:
		break;
	case PVIO_BLOCK_DISCARD:
		ram_zero(ram, io->offset, io->bytes, true);
		break;
	case PVIO_BLOCK_WRITE_ZEROES:
		ram_zero(ram, io->offset, io->bytes, io->may_unmap);
		break;
	}
	pvio_block_done(io, 0);
}

static void ram_flush(void *queue)
{
	(void)queue;
}

static const struct pvio_block_backend_ops ram_ops = {
	.abi = PVIO_PLUGIN_ABI,
	.name = "memory",
	.open = ram_open,
	.close = ram_close,
	.refresh = ram_refresh,
	.start_queue = ram_start_queue,
	.stop_queue = ram_stop_queue,
	.submit = ram_submit,
	.flush = ram_flush,
};
PVIO_PLUGIN(block_backend, memory, ram_ops);
