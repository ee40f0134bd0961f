/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_block.c - any bytes as requests of any shape, to a disk in memory
 *
 * Input: one byte of features to leave out, then requests:
 *
 *	shape   low 3 bits: readable segments; next 3: writable ones;
 *		bit 6: publish with the next; bit 7: readable and writable
 *		segments share one place in memory
 *	length  one byte for each segment, an index of fuzz_lengths[]
 *	n       how many bytes follow
 *	bytes   header and payload; what is missing is zero
 *
 * Whatever comes, every chain is given back, with a length that is no more than
 * there was room for and a status that exists; what the device may not write
 * is as it was; and the device is not broken, since the ring was sound.
 */
#include "core/device.h"
#include "core/virtio.h"
#include "guest/device.h"

#include <pvio/pvio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_MAX_SEGMENTS 7
#define FUZZ_MAX_BATCH    8
#define FUZZ_QUEUE_SIZE   128
#define FUZZ_GUARD        0xa5
#define FUZZ_GUARD_BYTES  64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint32_t fuzz_lengths[] = {
	16,  1,   512, 1024, 0,   8,    2,     15,    17,   511,
	513, 528, 3,   4,    100, 4096, 65536, 32768, 1000, 20,
};

struct fuzz_chain {
	struct guest_segment seg[2 * FUZZ_MAX_SEGMENTS];
	uint8_t *host[2 * FUZZ_MAX_SEGMENTS];
	unsigned int nr_readable, nr_writable;
	uint64_t readable, writable;
	bool is_shared;
};

static struct guest_memory fuzz_mem;
static struct pvio_worker *fuzz_worker;
static struct pvio_device *fuzz_dev;
static struct guest_device *fuzz_gd;
static uint8_t *fuzz_arena, *fuzz_copy;
static uint64_t fuzz_arena_gpa;
static size_t fuzz_used;

#define FUZZ_ARENA_BYTES ((size_t)FUZZ_MAX_BATCH * 14 * (65536 + 128))

static void fuzz_expect(bool ok, const char *claim)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_block: not so: %s\n", claim);
	abort();
}

static void fuzz_quiet(void *arg, enum pvio_log_level level,
		       const char *message)
{
	(void)arg;
	(void)level;
	(void)message;
}

static void fuzz_open(void)
{
	static const char config[] =
		"model = \"block\"; "
		"backend = { type = \"memory\"; size = \"64K\"; }; "
		"transport = { type = \"loopback\"; };";

	pvio_log_set(fuzz_quiet, NULL, PVIO_LOG_ERROR);
	guest_memory_init(&fuzz_mem);
	fuzz_copy = malloc(FUZZ_ARENA_BYTES);
	fuzz_expect(fuzz_copy &&
			    guest_memory_add(&fuzz_mem, 4096, 1 << 20) == 0 &&
			    guest_memory_add(&fuzz_mem, 1ULL << 32,
					     FUZZ_ARENA_BYTES) == 0,
		    "there is memory");
	fuzz_expect(
		pvio_worker_create("fuzz", &fuzz_worker) == 0 &&
			pvio_device_create("fuzz", config, fuzz_worker,
					   &fuzz_worker, 1, &fuzz_dev) == 0 &&
			pvio_device_start(fuzz_dev) == 0 &&
			guest_device_open_loopback(fuzz_dev, &fuzz_mem,
						   fuzz_worker, &fuzz_gd) == 0,
		"a device can be made");
	/* Rings fit below; all of this region is for buffers. */
	fuzz_arena = fuzz_mem.region[1].host;
	fuzz_arena_gpa = fuzz_mem.region[1].gpa;
}

static void fuzz_negotiate(uint8_t without)
{
	static const unsigned int bits[8] = {
		VIRTIO_F_RING_PACKED,      VIRTIO_RING_F_INDIRECT_DESC,
		VIRTIO_RING_F_EVENT_IDX,   VIRTIO_BLK_F_DISCARD,
		VIRTIO_BLK_F_WRITE_ZEROES, VIRTIO_BLK_F_FLUSH,
		VIRTIO_BLK_F_CONFIG_WCE,   VIRTIO_F_IN_ORDER,
	};
	uint64_t features[2];
	unsigned int i;

	guest_alloc_reset(&fuzz_mem);
	guest_device_features(fuzz_gd, features);
	for (i = 0; i < 8; i++)
		if (without & 1u << i)
			features[0] &= ~PVIO_BIT(bits[i]);
	fuzz_expect(guest_device_negotiate(fuzz_gd, features) == 0 &&
			    guest_device_setup_queue(fuzz_gd, 0,
						     FUZZ_QUEUE_SIZE) == 0 &&
			    guest_device_start(fuzz_gd) == 0,
		    "it can be started");
}

/* Take one byte of the input; 0 when it has ended. */
static uint8_t fuzz_byte(const uint8_t **data, size_t *size)
{
	if (*size == 0)
		return 0;
	--*size;
	return *(*data)++;
}

static void fuzz_place(struct fuzz_chain *chain, unsigned int i, uint32_t len)
{
	chain->host[i] = fuzz_arena + fuzz_used;
	chain->seg[i].gpa = fuzz_arena_gpa + fuzz_used;
	chain->seg[i].len = len;
	memset(chain->host[i], FUZZ_GUARD, len + FUZZ_GUARD_BYTES);
	fuzz_used += len + FUZZ_GUARD_BYTES;
}

/* Lay a request out as the input says.  False when there is none. */
static bool fuzz_build(struct fuzz_chain *chain, const uint8_t **data,
		       size_t *size, uint8_t *shape)
{
	unsigned int i, nr;
	uint8_t n, *to;
	uint32_t len;

	*shape = fuzz_byte(data, size);
	memset(chain, 0, sizeof(*chain));
	chain->nr_readable = *shape & 7;
	chain->nr_writable = *shape >> 3 & 7;
	chain->is_shared = *shape & 0x80;
	nr = chain->nr_readable + chain->nr_writable;
	if (nr == 0)
		return false;
	for (i = 0; i < nr; i++) {
		len = fuzz_lengths[fuzz_byte(data, size) %
				   (sizeof(fuzz_lengths) /
				    sizeof(fuzz_lengths[0]))];
		fuzz_place(chain, i, len);
		if (i < chain->nr_readable)
			chain->readable += len;
		else
			chain->writable += len;
	}
	if (chain->is_shared && chain->nr_readable && chain->nr_writable &&
	    chain->seg[0].len) {
		len = chain->seg[nr - 1].len;
		if (len > chain->seg[0].len)
			len = chain->seg[0].len;
		chain->writable -= chain->seg[nr - 1].len - len;
		chain->seg[nr - 1].gpa = chain->seg[0].gpa;
		chain->seg[nr - 1].len = len;
	} else {
		chain->is_shared = false;
	}

	n = fuzz_byte(data, size);
	for (i = 0; i < chain->nr_readable; i++) {
		to = chain->host[i];
		memset(to, 0, chain->seg[i].len);
		for (len = 0; len < chain->seg[i].len && n > 0; len++, n--)
			to[len] = fuzz_byte(data, size);
	}
	return true;
}

/* The chain came back with @len. */
static void fuzz_check(const struct fuzz_chain *chain, uint32_t len)
{
	unsigned int i, nr = chain->nr_readable + chain->nr_writable;
	const uint8_t *p, *before;
	uint8_t status = 0xff;
	size_t k;

	fuzz_expect(len <= chain->writable, "the length fits");
	if (chain->is_shared)
		return;
	for (i = 0; i < nr; i++) {
		p = chain->host[i];
		for (k = 0; k < FUZZ_GUARD_BYTES; k++)
			fuzz_expect(p[chain->seg[i].len + k] == FUZZ_GUARD,
				    "nothing is written past a segment");
		before = fuzz_copy + (p - fuzz_arena);
		if (i < chain->nr_readable)
			fuzz_expect(!memcmp(p, before, chain->seg[i].len),
				    "readable segments are not written");
		else if (chain->seg[i].len)
			status = p[chain->seg[i].len - 1];
	}
	if (chain->writable)
		fuzz_expect(status <= VIRTIO_BLK_S_UNSUPP, "the status exists");
	else
		fuzz_expect(len == 0, "without status the length is 0");
}

static void fuzz_run(struct fuzz_chain *chains, unsigned int nr)
{
	struct guest_ring *ring = guest_device_ring(fuzz_gd, 0);
	const struct fuzz_chain *chain;
	unsigned int i, done = 0;
	uint32_t len;

	if (nr == 0)
		return;
	memcpy(fuzz_copy, fuzz_arena, fuzz_used);
	for (i = 0; i < nr; i++)
		fuzz_expect(guest_ring_add(
				    ring, chains[i].seg, chains[i].nr_readable,
				    chains[i].nr_writable, &chains[i]) == 0,
			    "the ring has room");
	if (guest_ring_publish(ring))
		guest_device_kick(fuzz_gd, 0);
	while (pvio_worker_step(fuzz_worker))
		;
	while ((chain = guest_ring_reap(ring, &len)) != NULL) {
		fuzz_check(chain, len);
		done++;
	}
	fuzz_expect(done == nr, "every chain is given back");
	fuzz_expect(!guest_device_is_broken(fuzz_gd),
		    "a bad request does not break the device");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_chain chains[FUZZ_MAX_BATCH];
	unsigned int nr = 0;
	uint8_t shape;

	if (!fuzz_gd)
		fuzz_open();
	fuzz_negotiate(fuzz_byte(&data, &size));
	fuzz_used = 0;
	while (size > 0 && fuzz_build(&chains[nr], &data, &size, &shape)) {
		nr++;
		if (!(shape & 0x40) || nr == FUZZ_MAX_BATCH) {
			fuzz_run(chains, nr);
			nr = 0;
			fuzz_used = 0;
		}
	}
	fuzz_run(chains, nr);
	return 0;
}
