/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-faulty.h - a disk that fails when told to, and shows what it is asked
 */
#ifndef PVIO_TESTS_BLOCK_FAULTY_H
#define PVIO_TESTS_BLOCK_FAULTY_H

#include "backends/block.h"

#define FAULTY_BYTES ((uint64_t)1 << 20)

/* The test's hands on the module: the symbol "faulty" of block-faulty.so. */
struct faulty {
	/* Set by the test. */
	int error[5];      /* what requests of each op get; 0: succeed */
	unsigned int fail; /* so many of them, then all succeed */
	bool hold;         /* do not complete */
	uint64_t bytes;    /* size that refresh reports */
	/* Set by the module. */
	unsigned int seen[5]; /* requests by op */
	unsigned int held;
	unsigned int flushes;   /* batches */
	bool stable, may_unmap; /* of the last request */
	uint64_t offset, length;
	struct pvio_block_io *list;
};

/* Complete what is held: symbol "faulty_release". */
typedef void faulty_release_fn(int err);

#endif
