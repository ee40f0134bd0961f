/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_ring.h - a ring whose memory, and whose driver, is the input
 *
 *	byte 0      features
 *	byte 1      size of the ring (an index), position
 *	byte 2..3   how much of what follows is memory
 *	memory      goes over the ring, and what lies behind it
 *	the rest    operations: of the model, and of the driver that writes
 *	            to memory in between
 *
 * What must hold: every segment of a chain lies in guest memory, lengths add
 * up, slots are unique, and whatever was popped can be given back.
 */
#ifndef PVIO_TESTS_FUZZ_RING_H
#define PVIO_TESTS_FUZZ_RING_H

#include "core/inflight.h"
#include "core/queue.h"

#include <stdlib.h>

#define FUZZ_RAM_GPA   0x1000
#define FUZZ_RAM_BYTES 0x4000
#define FUZZ_TOP_GPA   (FUZZ_RAM_GPA + FUZZ_RAM_BYTES)
#define FUZZ_TOP_BYTES 0x1000
#define FUZZ_MAX_SIZE  16

/* Next to each other in the guest only: TOP first, then a gap. */
static struct {
	uint8_t top[FUZZ_TOP_BYTES];
	uint8_t gap[64];
	uint8_t ram[FUZZ_RAM_BYTES];
} fuzz_memory __attribute__((aligned(4096)));

static struct pvio_map *fuzz_map;
static struct pvio_vq *fuzz_vq;

struct fuzz_input {
	const uint8_t *data;
	size_t size;
};

static void fuzz_expect(bool is_so)
{
	if (!is_so)
		abort();
}

static uint8_t fuzz_byte(struct fuzz_input *in)
{
	if (in->size == 0)
		return 0;
	in->size--;
	return *in->data++;
}

static uint16_t fuzz_word(struct fuzz_input *in)
{
	unsigned int low = fuzz_byte(in);

	return (uint16_t)(low | fuzz_byte(in) << 8);
}

static void fuzz_silence(void *arg, enum pvio_log_level level,
			 const char *message)
{
	(void)arg;
	(void)level;
	(void)message;
}

static void fuzz_set_up(void)
{
	struct pvio_region region[2] = {
		{ .gpa = FUZZ_RAM_GPA, .size = FUZZ_RAM_BYTES },
		{ .gpa = FUZZ_TOP_GPA, .size = FUZZ_TOP_BYTES },
	};

	if (fuzz_map)
		return;
	pvio_log_set(fuzz_silence, NULL, PVIO_LOG_WARNING);
	fuzz_expect(pvio_mapping_wrap(fuzz_memory.ram, FUZZ_RAM_BYTES,
				      &region[0].mapping) == 0);
	fuzz_expect(pvio_mapping_wrap(fuzz_memory.top, FUZZ_TOP_BYTES,
				      &region[1].mapping) == 0);
	fuzz_expect(pvio_map_create(region, 2, &fuzz_map) == 0);
	pvio_mapping_put(region[0].mapping);
	pvio_mapping_put(region[1].mapping);
	fuzz_vq = aligned_alloc(PVIO_CACHE_LINE_BYTES, sizeof(*fuzz_vq));
	fuzz_expect(fuzz_vq != NULL);
}

static bool fuzz_in(const uint8_t *p, size_t len, const uint8_t *area,
		    size_t bytes)
{
	return p >= area && len <= bytes && p - area <= (long)(bytes - len);
}

static void fuzz_check_chain(const struct pvio_chain *chain)
{
	unsigned int i, nr = chain->nr_readable + chain->nr_writable;
	uint64_t bytes[2] = { 0, 0 };

	fuzz_expect(chain->slot < fuzz_vq->size && chain->in_flight);
	for (i = 0; i < nr; i++) {
		const struct iovec *v = &chain->iov[i];

		fuzz_expect(v->iov_len > 0);
		fuzz_expect(fuzz_in(v->iov_base, v->iov_len, fuzz_memory.ram,
				    FUZZ_RAM_BYTES) ||
			    fuzz_in(v->iov_base, v->iov_len, fuzz_memory.top,
				    FUZZ_TOP_BYTES));
		bytes[i >= chain->nr_readable] += v->iov_len;
	}
	fuzz_expect(bytes[0] == chain->readable);
	fuzz_expect(bytes[1] == chain->writable);
}

/* Pop, answer, give back, in the order that the input says. */
static void fuzz_operate(struct fuzz_input *in)
{
	struct pvio_chain *held[FUZZ_MAX_SIZE + 1];
	unsigned int nr = 0, i, at;
	struct pvio_chain *chain;

	while (in->size > 0) {
		uint8_t op = fuzz_byte(in);

		switch (op & 7) {
		case 0:
		case 1:
			if (nr > FUZZ_MAX_SIZE)
				break;
			chain = pvio_vq_pop(fuzz_vq);
			if (!chain)
				break;
			fuzz_check_chain(chain);
			for (i = 0; i < nr; i++)
				fuzz_expect(held[i]->slot != chain->slot);
			held[nr++] = chain;
			fuzz_expect(nr <= fuzz_vq->size);
			break;
		case 2:
			if (nr == 0)
				break;
			at = (op >> 3) % nr;
			chain = held[at];
			memmove(&held[at], &held[at + 1],
				(--nr - at) * sizeof(held[0]));
			pvio_iov_zero(pvio_chain_writable(chain),
				      chain->nr_writable, 0, chain->writable);
			pvio_vq_push(fuzz_vq, chain, chain->writable);
			break;
		case 3:
			pvio_vq_flush(fuzz_vq);
			break;
		case 4:
			if (op & 8)
				pvio_vq_enable_kick(fuzz_vq);
			else
				pvio_vq_disable_kick(fuzz_vq);
			break;
		case 5:
			/* The newest, while nothing newer was answered. */
			if (nr > 0 && (fuzz_vq->packed ||
				       held[nr - 1]->recovered ||
				       (uint16_t)(held[nr - 1]->pos + 1) ==
					       fuzz_vq->next_avail))
				pvio_vq_unpop(fuzz_vq, held[--nr]);
			break;
		default: {
			/* The driver writes. */
			uint16_t to = fuzz_word(in);
			unsigned int n = (op >> 3) + 1u;

			for (i = 0; i < n; i++)
				fuzz_memory.ram[(to + i) % FUZZ_RAM_BYTES] =
					fuzz_byte(in);
		}
		}
	}
	while (nr > 0)
		pvio_vq_push(fuzz_vq, held[--nr], 0);
	pvio_vq_flush(fuzz_vq);
	fuzz_expect(fuzz_vq->nr_in_flight == 0);
}

/* @inflight: bytes of memory, at its end, that are an in-flight region. */
static int fuzz_ring(bool packed, bool has_inflight, const uint8_t *data,
		     size_t size)
{
	static const uint16_t sizes[] = { 1, 2, 4, 8, 16, 3, 7, 13 };
	struct fuzz_input in = { data, size };
	struct pvio_features features = { { PVIO_BIT(VIRTIO_F_VERSION_1), 0 } };
	struct pvio_vq_setup setup = { .desc = FUZZ_RAM_GPA,
				       .driver = FUZZ_RAM_GPA + 0x100,
				       .device = FUZZ_RAM_GPA + 0x140,
				       .recover_used = has_inflight };
	uint8_t bits = fuzz_byte(&in), shape = fuzz_byte(&in);
	uint16_t image = fuzz_word(&in);
	struct pvio_mapping *mapping = NULL;

	fuzz_set_up();
	if (packed)
		pvio_feature_set(&features, VIRTIO_F_RING_PACKED);
	if (bits & 1)
		pvio_feature_set(&features, VIRTIO_RING_F_EVENT_IDX);
	if (bits & 2)
		pvio_feature_set(&features, VIRTIO_F_IN_ORDER);
	if (bits & 4)
		pvio_feature_set(&features, VIRTIO_RING_F_INDIRECT_DESC);
	setup.size = sizes[shape % (packed ? 8 : 5)];
	setup.position.avail_wrap = setup.position.used_wrap = packed;
	if (packed && bits & 8) {
		setup.position.avail_wrap = setup.position.used_wrap = false;
		setup.position.avail = setup.position.used =
			(uint16_t)(setup.size - 1);
	}

	memset(&fuzz_memory, 0, sizeof(fuzz_memory));
	for (size_t i = 0; i < image && i < FUZZ_RAM_BYTES && in.size; i++)
		fuzz_memory.ram[i] = fuzz_byte(&in);
	pvio_vq_init(fuzz_vq, NULL, 0);
	if (has_inflight) {
		fuzz_expect(pvio_mapping_wrap(fuzz_memory.ram, FUZZ_RAM_BYTES,
					      &mapping) == 0);
		fuzz_expect(pvio_inflight_create(mapping, 0x200, packed,
						 setup.size,
						 &setup.inflight) == 0);
	}
	if (pvio_vq_start(fuzz_vq, &setup, fuzz_map, &features) == 0)
		fuzz_operate(&in);
	if (fuzz_vq->state != PVIO_VQ_IDLE)
		pvio_vq_stop(fuzz_vq);
	pvio_vq_fini(fuzz_vq);
	pvio_inflight_destroy(setup.inflight);
	if (mapping)
		pvio_mapping_put(mapping);
	return 0;
}

#endif
