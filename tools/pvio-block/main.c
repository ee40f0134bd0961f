/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - pvio-block: one disk, for one vhost-user front-end
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "tools/common/backend-program.h"

enum block_option {
	OPT_BLK_FILE = 256,
	OPT_READ_ONLY,
	OPT_DIRECT,
	OPT_NULL,
	OPT_MEMORY,
	OPT_NUM_QUEUES,
	OPT_QUEUE_SIZE,
	OPT_SERIAL,
	OPT_CACHE,
	OPT_BLOCK_SIZE,
};

static const struct option block_options[] = {
	{ "blk-file", required_argument, NULL, OPT_BLK_FILE },
	{ "read-only", no_argument, NULL, OPT_READ_ONLY },
	{ "direct", no_argument, NULL, OPT_DIRECT },
	{ "null", required_argument, NULL, OPT_NULL },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "num-queues", required_argument, NULL, OPT_NUM_QUEUES },
	{ "queue-size", required_argument, NULL, OPT_QUEUE_SIZE },
	{ "serial", required_argument, NULL, OPT_SERIAL },
	{ "cache", required_argument, NULL, OPT_CACHE },
	{ "block-size", required_argument, NULL, OPT_BLOCK_SIZE },
	{ 0 },
};

static const char block_usage[] =
	"      --blk-file=PATH      a file or block device, as it is (raw)\n"
	"      --memory=SIZE        a disk of memory, lost at the end\n"
	"      --null=SIZE          no disk: writes vanish, reads give zeroes\n"
	"      --read-only          refuse writes\n"
	"      --direct             go round the host's page cache\n"
	"      --cache=MODE         writeback (default), writethrough, unsafe\n"
	"      --serial=TEXT        what the guest sees, up to 20 bytes\n"
	"      --block-size=BYTES   logical blocks\n"
	"      --num-queues=N       request queues\n"
	"      --queue-size=N       entries of the largest ring\n";

struct block {
	const char *file, *memory, *null;
	const char *queues, *queue_size, *serial, *cache, *block_size;
	bool is_read_only, is_direct;
};

static int block_option(void *arg, int val, const char *value)
{
	struct block *b = arg;

	switch (val) {
	case OPT_BLK_FILE:
		b->file = value;
		break;
	case OPT_READ_ONLY:
		b->is_read_only = true;
		break;
	case OPT_DIRECT:
		b->is_direct = true;
		break;
	case OPT_NULL:
		b->null = value;
		break;
	case OPT_MEMORY:
		b->memory = value;
		break;
	case OPT_NUM_QUEUES:
		b->queues = value;
		break;
	case OPT_QUEUE_SIZE:
		b->queue_size = value;
		break;
	case OPT_SERIAL:
		b->serial = value;
		break;
	case OPT_CACHE:
		b->cache = value;
		break;
	case OPT_BLOCK_SIZE:
		b->block_size = value;
		break;
	}
	return 0;
}

static int block_write_backend(const struct block *b, FILE *config)
{
	int nr = (b->file != NULL) + (b->memory != NULL) + (b->null != NULL);

	if (nr != 1) {
		fputs("pvio-block: give one of --blk-file, --memory and "
		      "--null\n",
		      stderr);
		return -EINVAL;
	}
	if (b->is_direct && !b->file) {
		fputs("pvio-block: --direct is for --blk-file\n", stderr);
		return -EINVAL;
	}
	fputs("backend = { ", config);
	if (b->file) {
		backend_program_quote(config, "type", "file");
		backend_program_quote(config, "path", b->file);
		if (b->is_direct)
			fputs("direct = true; ", config);
	} else {
		backend_program_quote(config, "type",
				      b->memory ? "memory" : "null");
		backend_program_quote(config, "size",
				      b->memory ? b->memory : b->null);
		if (b->null)
			fputs("zero = false; ", config);
	}
	fputs("}; ", config);
	return 0;
}

static int block_write(void *arg, FILE *config)
{
	const struct block *b = arg;
	int rc = 0;

	backend_program_quote(config, "model", "block");
	if (b->is_read_only)
		fputs("read_only = true; ", config);
	if (b->queues)
		rc = backend_program_number(config, "queues", b->queues);
	if (rc == 0 && b->queue_size)
		rc = backend_program_number(config, "queue_size",
					    b->queue_size);
	if (rc < 0)
		return rc;
	if (b->block_size)
		backend_program_quote(config, "block_size", b->block_size);
	if (b->serial)
		backend_program_quote(config, "serial", b->serial);
	if (b->cache)
		backend_program_quote(config, "cache", b->cache);
	return block_write_backend(b, config);
}

int main(int argc, char **argv)
{
	struct block block = { 0 };
	const struct backend_program program = {
		.name = "pvio-block",
		.capabilities = "{\"type\": \"block\", \"features\": "
				"[\"read-only\", \"blk-file\"]}",
		.usage = block_usage,
		.options = block_options,
		.option = block_option,
		.write = block_write,
		.arg = &block,
	};

	return backend_program_main(&program, argc, argv);
}
