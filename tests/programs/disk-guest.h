/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * disk-guest.h - a guest that keeps its disk busy, and knows what is on it
 *
 * Every block of the disk has a number of versions, each written once.  What the
 * device has acknowledged must be there after any death:
 *
 *	acked <= what is on the disk <= sent
 */
#ifndef PVIO_TESTS_PROGRAMS_DISK_GUEST_H
#define PVIO_TESTS_PROGRAMS_DISK_GUEST_H

#include "core/util.h"
#include "core/virtio.h"
#include "guest/device.h"

#include <check.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#define BLOCK_BYTES 4096u
#define NR_BLOCKS   64u
#define DEPTH	    16u
#define RING_SIZE   64
#define WAIT_MS	    20000

struct request {
	struct virtio_blk_outhdr header;
	uint8_t status;
	uint8_t data[BLOCK_BYTES] __attribute__((aligned(4096)));
};

static struct guest {
	struct guest_memory mem;
	struct guest_device *gd;
	struct request *slot[DEPTH];
	unsigned int block[DEPTH]; /* that a slot is about */
	bool is_busy[DEPTH];
	uint32_t sent[NR_BLOCKS], acked[NR_BLOCKS];
	unsigned int next, busy, acks, resubmitted;
} guest;

/* --- the driver ----------------------------------------------------------- */

static inline void fill(uint8_t *data, unsigned int block, uint32_t version)
{
	uint32_t *word = (uint32_t *)data;
	unsigned int i;

	for (i = 0; i < BLOCK_BYTES / 8; i++) {
		word[2 * i] = version;
		word[2 * i + 1] = block;
	}
}

/* Which version is it?  One, and whole. */
static inline uint32_t version_of(const uint8_t *data, unsigned int block)
{
	const uint32_t *word = (const uint32_t *)data;
	uint32_t version = word[0];
	unsigned int i;

	/* Never written. */
	if (version == 0)
		block = 0;
	for (i = 0; i < BLOCK_BYTES / 8; i++) {
		ck_assert_uint_eq(word[2 * i], version);
		ck_assert_uint_eq(word[2 * i + 1], block);
	}
	return version;
}

static inline void submit(unsigned int slot, uint32_t type, unsigned int block)
{
	struct request *r = guest.slot[slot];
	uint64_t gpa = guest_gpa(&guest.mem, r);
	struct guest_segment seg[3] = {
		{ gpa + offsetof(struct request, header), sizeof(r->header) },
		{ gpa + offsetof(struct request, data), BLOCK_BYTES },
		{ gpa + offsetof(struct request, status), 1 },
	};
	unsigned int nr_readable = type == VIRTIO_BLK_T_OUT ? 2 : 1;

	r->header = (struct virtio_blk_outhdr){
		.type = htole32(type),
		.sector = htole64(block * (BLOCK_BYTES / 512)),
	};
	r->status = 0xff;
	guest.block[slot] = block;
	guest.is_busy[slot] = true;
	guest.busy++;
	ck_assert_int_eq(guest_ring_add(guest_device_ring(guest.gd, 0), seg,
					nr_readable, 3 - nr_readable,
					(void *)(uintptr_t)(slot + 1)),
			 0);
}

static inline void publish(void)
{
	if (guest_ring_publish(guest_device_ring(guest.gd, 0)))
		guest_device_kick(guest.gd, 0);
}

/* The slot of a request that is done, or -1. */
static inline int reap(void)
{
	uint32_t len;
	void *cookie = guest_ring_reap(guest_device_ring(guest.gd, 0), &len);
	unsigned int slot = (unsigned int)(uintptr_t)cookie - 1;

	if (!cookie)
		return -1;
	ck_assert_uint_lt(slot, DEPTH);
	ck_assert(guest.is_busy[slot]);
	ck_assert_uint_eq(guest.slot[slot]->status, VIRTIO_BLK_S_OK);
	guest.is_busy[slot] = false;
	guest.busy--;
	return (int)slot;
}

/* The same, waiting for it; -EPIPE when the device is gone. */
static inline int reap_wait(void)
{
	int slot, rc;

	for (;;) {
		slot = reap();
		if (slot >= 0)
			return slot;
		if (guest_ring_enable_notify(guest_device_ring(guest.gd, 0)))
			continue;
		rc = guest_device_wait(guest.gd, 0, WAIT_MS);
		ck_assert_msg(rc == 1 || rc == -EPIPE, "wait: %d", rc);
		if (rc < 0)
			return rc;
	}
}

static inline void note_ack(unsigned int slot)
{
	guest.acked[guest.block[slot]] = guest.sent[guest.block[slot]];
	guest.acks++;
}

/* The device is there: have it run, with every slot free. */
static inline void guest_begin(uint64_t features)
{
	uint64_t bits[2] = { features, 0 }, gpa;
	unsigned int i;

	ck_assert_int_eq(guest_device_negotiate(guest.gd, bits), 0);
	ck_assert_int_eq(guest_device_setup_queue(guest.gd, 0, RING_SIZE), 0);
	ck_assert_int_eq(guest_device_start(guest.gd), 0);
	for (i = 0; i < DEPTH; i++) {
		guest.slot[i] = guest_alloc(&guest.mem, sizeof(struct request),
					    4096, &gpa);
		ck_assert_ptr_nonnull(guest.slot[i]);
		guest.is_busy[i] = false;
	}
	guest.busy = 0;
}

static inline uint32_t read_block(unsigned int block)
{
	submit(0, VIRTIO_BLK_T_IN, block);
	publish();
	ck_assert_int_eq(reap_wait(), 0);
	return version_of(guest.slot[0]->data, block);
}

static inline void write_block(unsigned int slot, unsigned int block)
{
	fill(guest.slot[slot]->data, block, guest.sent[block]);
	submit(slot, VIRTIO_BLK_T_OUT, block);
}

/* Is a request about @block under way? */
static inline bool is_block_busy(unsigned int block)
{
	unsigned int i;

	for (i = 0; i < DEPTH; i++)
		if (guest.is_busy[i] && guest.block[i] == block)
			return true;
	return false;
}

/* Fill the queue with the next writes. */
static inline void guest_fill(void)
{
	unsigned int slot, block;

	for (slot = 0; slot < DEPTH; slot++) {
		block = guest.next % NR_BLOCKS;
		if (guest.is_busy[slot] || is_block_busy(block))
			continue;
		guest.next++;
		guest.sent[block]++;
		write_block(slot, block);
	}
	publish();
}

/* Keep it full until @acks more are acknowledged; then it is full again. */
static inline void guest_run(unsigned int acks)
{
	unsigned int end = guest.acks + acks;
	int slot;

	guest_fill();
	while (guest.acks < end) {
		slot = reap_wait();
		ck_assert_msg(slot >= 0, "the device is gone");
		note_ack((unsigned int)slot);
		guest_fill();
	}
}

/* The disk as nobody has written it. */
static inline void make_image(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, NR_BLOCKS * BLOCK_BYTES), 0);
	close(fd);
}

/* What the host sees on the disk when all is over. */
static inline void expect_image(const char *path)
{
	uint8_t data[BLOCK_BYTES] __attribute__((aligned(8)));
	unsigned int block;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	for (block = 0; block < NR_BLOCKS; block++) {
		ck_assert_int_eq(pread(fd, data, sizeof(data),
				       block * BLOCK_BYTES),
				 sizeof(data));
		ck_assert_uint_eq(version_of(data, block), guest.sent[block]);
	}
	close(fd);
}

#endif
