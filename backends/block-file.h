/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-file.h - the file backend's own structs: block-file.c opens and locks,
 * block-uring.c does the I/O
 */
#ifndef PVIO_BACKENDS_BLOCK_FILE_H
#define PVIO_BACKENDS_BLOCK_FILE_H

#include "backends/block.h"

/* An open disk image or block device. */
struct file {
	char *device; /* owned; names it in messages */
	char *path;   /* owned */
	int fd;       /* owned */
	bool is_device;
	bool direct;           /* O_DIRECT */
	uint32_t memory_align; /* direct: of buffers; power of 2 */
	struct pvio_block_info info;
	struct pvio_log_limit limit; /* of messages about failed I/O */

	/*
	 * What the file system turned out not to support: written and read by
	 * every queue, with single loads and stores.
	 */
	uint8_t no_punch, no_zero_range;
};

/* The queue operations of struct pvio_block_backend_ops. */
int pvio_uring_start_queue(void *backend, struct pvio_worker *worker,
			   unsigned int depth, void **queue);
void pvio_uring_stop_queue(void *queue);
void pvio_uring_submit(void *queue, struct pvio_block_io *io);
void pvio_uring_flush(void *queue);

/* Can this system do io_uring at all?  -errno, logged. */
int pvio_uring_check(const char *device);

#endif
