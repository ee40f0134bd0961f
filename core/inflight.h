/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflight.h - the in-flight region: requests survive a kill -9 of the process
 *
 * A shared memory file, kept by the vhost-user front-end over our death, in
 * which every queue notes the chains it has taken and not yet answered
 * (vhost-user, "Inflight I/O tracking").  The next process reads it once,
 * validates it - the front-end can write it too - and serves those chains
 * again, in the order in which they were taken.
 *
 * Layout of one queue's part, host byte order; parts follow one another,
 * each rounded up to PVIO_INFLIGHT_ALIGN bytes:
 *
 *	split:  header 16 B, then desc_num x 16 B, indexed by head
 *	packed: header 32 B, then desc_num x 32 B, a free list of entries
 */
#ifndef PVIO_CORE_INFLIGHT_H
#define PVIO_CORE_INFLIGHT_H

#include "queue.h"

#pragma GCC visibility push(default)

#define PVIO_INFLIGHT_ALIGN 64

struct pvio_inflight;

/* Bytes of one queue's part. */
uint64_t pvio_inflight_part_bytes(bool packed, uint16_t queue_size);

/*
 * Take up the part at @offset of @mapping (shared with the front-end;
 * referenced), with entries for @desc_num descriptors.  A part whose version is
 * 0 is fresh and is initialised by pvio_inflight_recover().  -EINVAL when the
 * mapping is too small or @offset not a multiple of 8; -ENOMEM.
 * pvio_inflight_destroy() when the queue has stopped.
 */
int pvio_inflight_create(struct pvio_mapping *mapping, uint64_t offset,
			 bool packed, uint16_t desc_num,
			 struct pvio_inflight **inflight);
void pvio_inflight_destroy(struct pvio_inflight *inflight); /* or NULL */

/*
 * By pvio_vq_start(): settle what was being completed when the last process
 * died, correct @vq's position, and line up what must be served again; pop then
 * returns those chains first.  -EPROTO when the region contradicts itself, or
 * is for another kind or size of ring: the caller breaks the queue, nothing is
 * guessed.
 */
int pvio_inflight_recover(struct pvio_inflight *inflight, struct pvio_vq *vq);

/* --- for core/queue-split.c and core/queue-packed.c ---------------------- */

/* One descriptor, as noted when it was taken. */
struct pvio_inflight_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t id;
};

/* The head of the chain to serve again next: vq->nr_resubmit counts them. */
uint16_t pvio_inflight_next(struct pvio_inflight *inflight);
/* Not now: next time. */
void pvio_inflight_back(struct pvio_inflight *inflight, uint16_t head);

/* Popped; unpopped; pushed; after the used index was published. */
void pvio_inflight_split_take(struct pvio_inflight *inflight, uint16_t head);
void pvio_inflight_split_untake(struct pvio_inflight *inflight, uint16_t head);
void pvio_inflight_split_stage(struct pvio_inflight *inflight, uint16_t head);
void pvio_inflight_split_published(struct pvio_inflight *inflight,
				   uint16_t used_idx);
int pvio_inflight_split_recover(struct pvio_inflight *inflight,
				struct pvio_vq *vq);

/* Each descriptor of the chain being popped, then the chain. */
void pvio_inflight_packed_desc(struct pvio_inflight *inflight,
			       const struct pvio_inflight_desc *desc);
/* Returns its head entry. */
uint16_t pvio_inflight_packed_take(struct pvio_inflight *inflight);
void pvio_inflight_packed_untake(struct pvio_inflight *inflight,
				 uint16_t head);
void pvio_inflight_packed_stage(struct pvio_inflight *inflight, uint16_t head);
/* Before, and after, the used descriptors are published. */
void pvio_inflight_packed_publish(struct pvio_inflight *inflight,
				  uint16_t used_idx, bool used_wrap);
void pvio_inflight_packed_published(struct pvio_inflight *inflight);
int pvio_inflight_packed_recover(struct pvio_inflight *inflight,
				 struct pvio_vq *vq);
/* Descriptor @i of the recovered chain at @head; how many it has. */
void pvio_inflight_packed_get(const struct pvio_inflight *inflight,
			      uint16_t head, unsigned int i,
			      struct pvio_inflight_desc *desc);
unsigned int pvio_inflight_packed_num(const struct pvio_inflight *inflight,
				      uint16_t head);

#pragma GCC visibility pop
#endif
