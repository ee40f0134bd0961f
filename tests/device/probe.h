/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * probe.h - a model that does what a test tells it, and notes what it is told
 *
 * It echoes: what is readable in a chain is copied to what is writable.  While
 * probe.hold is set it keeps the chains instead, like a backend that is slow,
 * until the test gives them back with probe_release().
 *
 * The model is a module (model-probe.c), loaded through the plug-in registry;
 * the struct is the test program's, which exports it.
 */
#ifndef PVIO_TESTS_DEVICE_PROBE_H
#define PVIO_TESTS_DEVICE_PROBE_H

#include "core/barrier.h"
#include "core/model.h"

#define PROBE_QUEUES	 4
#define PROBE_QUEUE_SIZE 64

#define PROBE_F_BASE	   0
#define PROBE_F_NEEDS_BASE 1
#define PROBE_F_HIGH	   70 /* in the second word */

/* Configuration space, little-endian. */
struct probe_config {
	uint32_t changes;  /* read-only */
	uint32_t writable;
};

struct probe_queue {
	/* the queue's worker */
	struct pvio_chain *held[PROBE_QUEUE_SIZE];
	/* atomic */
	unsigned int nr_held; /* the queue's worker changes it */
	unsigned int starts, stops, idles, kicks, discards, served;
};

struct probe {
	/* the test's wishes; atomic */
	bool hold;
	int start_error;
	int create_error;
	enum pvio_kick report; /* instead of DRAINED, if not 0 */
	/* what happened */
	struct pvio_features features;
	unsigned int resets, destroys;
	struct probe_config config;
	unsigned int in_callback; /* atomic: callbacks running now */
	struct probe_queue queue[PROBE_QUEUES];
};

extern struct probe probe __attribute__((visibility("default")));

static inline void probe_count(unsigned int *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
}

/* Echo @chain and give it back. */
static inline void probe_answer(struct pvio_vq *vq, struct pvio_chain *chain)
{
	size_t n = pvio_iov_copy(pvio_chain_writable(chain),
				 chain->nr_writable, 0,
				 pvio_chain_readable(chain), chain->nr_readable,
				 0, chain->readable);

	probe_count(&probe.queue[vq->index].served);
	pvio_vq_push(vq, chain, (uint32_t)n);
	pvio_vq_flush_soon(vq);
}

static inline void probe_keep(struct probe_queue *q, struct pvio_chain *chain)
{
	q->held[q->nr_held] = chain;
	pvio_store_release(&q->nr_held, q->nr_held + 1);
}

/* On the queue's worker: the slow backend has finished. */
static inline void probe_release(struct pvio_vq *vq)
{
	struct probe_queue *q = &probe.queue[vq->index];

	while (q->nr_held > 0) {
		pvio_store_once(&q->nr_held, q->nr_held - 1);
		probe_answer(vq, q->held[q->nr_held]);
	}
}

#endif
