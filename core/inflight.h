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
 * Take up the part at @part (guest-shared memory of @mapping, referenced), for
 * a queue of @size entries.  A part whose version is 0 is fresh and is
 * initialised by pvio_inflight_recover().  -EINVAL when the part is too small
 * for @size.  pvio_inflight_destroy() when the queue has stopped.
 */
int pvio_inflight_create(struct pvio_mapping *mapping, uint64_t offset,
			 bool packed, uint16_t desc_num,
			 struct pvio_inflight **inflight);
void pvio_inflight_destroy(struct pvio_inflight *inflight);

/*
 * At queue start, with the ring translated: settle what was being completed
 * when the last process died, correct @vq's position, and line up what must
 * be served again; pop then returns those chains first.  -EPROTO when the
 * region contradicts itself: the caller breaks the queue, nothing is guessed.
 */
int pvio_inflight_recover(struct pvio_inflight *inflight, struct pvio_vq *vq);

#pragma GCC visibility pop
#endif
