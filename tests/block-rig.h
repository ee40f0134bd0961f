/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-rig.h - a block device and a driver for it, over every transport
 *
 * Tests run once for each way to reach the device (tcase_add_loop_test over
 * BLOCK_NR_WAYS) and say what the driver sends in terms of a shape: "r16 w512
 * w1" is a chain of a readable segment of 16 bytes and writable ones of 512 and
 * 1.  What is written into the readable ones, and found in the writable ones,
 * is one run of bytes each, however it was cut.
 */
#ifndef PVIO_TESTS_BLOCK_RIG_H
#define PVIO_TESTS_BLOCK_RIG_H

#include "core/device.h"
#include "core/virtio.h"
#include "guest/device.h"
#include "guest/way.h"

#include <check.h>

/* Each way twice: split rings, then packed ones. */
enum block_way {
	BLOCK_LOOPBACK_SPLIT = 2 * GUEST_WAY_LOOPBACK,
	BLOCK_NR_WAYS = 2 * GUEST_NR_WAYS
};

#define RIG_ARENA_BYTES  ((size_t)4 << 20)
#define RIG_MAX_SEGMENTS 512
#define RIG_QUEUE_SIZE   128
#define RIG_LOST         (-1000) /* nothing came back in time */

struct block_rig {
	enum block_way way;
	struct pvio_worker *worker;
	struct pvio_device *dev;
	struct guest_memory mem;
	struct guest_device *gd;
	uint64_t features[2]; /* accepted */
	uint8_t *arena;       /* guest memory for buffers */
	uint64_t arena_gpa;
	size_t arena_used;
	char dir[32]; /* socket and files; removed at close */
	int64_t used; /* length of the last request's used entry */
};

/*
 * Make a device from @config (all but its transport), accept every feature
 * offered but those of @refuse, start every queue.
 */
void rig_open(struct block_rig *rig, enum block_way way, const char *config,
	      uint64_t refuse);
void rig_close(struct block_rig *rig);
/* Only make the device: its error. */
int rig_try_create(const char *config);
/* Reset and start again with the same features. */
void rig_restart(struct block_rig *rig);

/* Send a chain of @shape; the used length, or RIG_LOST. */
int64_t rig_chain(struct block_rig *rig, unsigned int q, const char *shape,
		  const void *out, void *in);
/*
 * A request: header, @out_len bytes, @in_len bytes back, status.  Returns the
 * status, and leaves the used length in rig->used.
 */
int rig_request(struct block_rig *rig, unsigned int q, uint32_t type,
		uint64_t sector, const void *out, size_t out_len, void *in,
		size_t in_len);
int rig_read(struct block_rig *rig, uint64_t sector, void *buf, size_t len);
int rig_write(struct block_rig *rig, uint64_t sector, const void *buf,
	      size_t len);
int rig_flush(struct block_rig *rig);
/* DISCARD or WRITE_ZEROES of one range. */
int rig_range(struct block_rig *rig, uint32_t type, uint64_t sector,
	      uint32_t sectors, uint32_t flags);

/* A command of the model: its error; @answer (256 bytes) may be NULL. */
int rig_command(struct block_rig *rig, const char *command,
		const char *argument, char *answer);
void rig_config(struct block_rig *rig, struct virtio_blk_config *config);
/*
 * Read it until @cond of it: the driver of a window's device finds out later
 * than others, which find at once.
 */
#define rig_config_until(rig, config, cond)                                \
	do {                                                               \
		enum guest_way way_ = (enum guest_way)((rig)->way / 2);    \
		unsigned int tries_ = guest_way_is_window(way_) ? 500 : 0; \
		rig_config(rig, config);                                   \
		while (!(cond) && tries_-- > 0) {                          \
			rig_settle(rig);                                   \
			rig_config(rig, config);                           \
		}                                                          \
		ck_assert(cond);                                           \
	} while (0)
/* Do what is ready, and wait a little for what another thread does. */
void rig_settle(struct block_rig *rig);

/* The service goes on: a write and a read back of sector 0 succeed. */
void rig_expect_alive(struct block_rig *rig);

/* Fill @buf with a pattern that differs by @seed. */
void rig_pattern(void *buf, size_t len, unsigned int seed);

#endif
