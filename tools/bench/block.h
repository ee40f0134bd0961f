/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block.h - what pvio-bench block is told
 */
#ifndef PVIO_BENCH_BLOCK_H
#define PVIO_BENCH_BLOCK_H

#include "bench.h"
#include "host.h"

#include <stdint.h>

#define BLK_RING_SIZE  256
#define BLK_MAX_JOBS   BENCH_MAX_WORKERS
#define BLK_MAX_DEPTHS 8
#define BLK_MAX_DEPTH  (BLK_RING_SIZE / 4)

enum blk_rw {
	BLK_READ,
	BLK_WRITE,
	BLK_RANDREAD,
	BLK_RANDWRITE
};

extern const char *const blk_rw_names[];

struct blk_options {
	const char *socket, *config, *label;
	struct bench_ways ways; /* of @config, in turn */
	bool is_vfio_user;      /* the socket */
	enum blk_rw rw;
	unsigned long bytes, ms, jobs, workers, repeat;
	unsigned int depth[BLK_MAX_DEPTHS], nr_depths;
	unsigned int cpu[2]; /* the jobs', the device's, if has_cpus */
	uint64_t span;
	bool poll, packed, verify, json, has_cpus;
};

/* Read the command line.  False: it is wrong, and that has been said. */
bool blk_parse(int argc, char **argv, struct blk_options *o);

#endif
