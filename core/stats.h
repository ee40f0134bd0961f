/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stats.h - what is counted for every queue of every transport
 *
 * Counters are written by the worker that owns the queue and read by the
 * control thread, with single loads and stores: a reader may be a little
 * behind, never torn.
 *
 * Latency is kept by stage in log2 histograms of nanoseconds.  Reading a clock
 * costs as much as a quarter of a request on a fast ring, so one request in
 * PVIO_SAMPLE_EVERY carries time stamps (and the first of a queue, so that
 * short runs show something).
 */
#ifndef PVIO_CORE_STATS_H
#define PVIO_CORE_STATS_H

#include "barrier.h"
#include "util.h"

#pragma GCC visibility push(default)

#define PVIO_SAMPLE_EVERY 64

/* How long a sampled request spent before it reached each point. */
enum pvio_stage {
	PVIO_STAGE_POP,	     /* from the kick seen (or poll) to popped */
	PVIO_STAGE_SUBMIT,   /* from popped to given to the backend */
	PVIO_STAGE_COMPLETE, /* from there to the backend's answer */
	PVIO_STAGE_PUSH,     /* from the answer to the used entry staged */
	PVIO_STAGE_NOTIFY,   /* from staged to published and notified */
	PVIO_STAGE_TOTAL,    /* from popped to published */
	PVIO_NR_STAGES
};
extern const char *const pvio_stage_names[PVIO_NR_STAGES];

/* Why something of a guest's was refused (hostile input, by class). */
enum pvio_fault {
	PVIO_FAULT_HEAD,      /* ring names a descriptor that does not exist */
	PVIO_FAULT_DUPLICATE, /* a chain made available while in flight */
	PVIO_FAULT_LOOP,      /* chain loops, or is longer than the queue */
	PVIO_FAULT_INDIRECT,  /* indirect table misused */
	PVIO_FAULT_ADDRESS,   /* buffer outside memory, or wraps */
	PVIO_FAULT_ORDER,     /* readable after writable; too long in total */
	PVIO_FAULT_RING,      /* ring state not to be trusted: needs reset */
	PVIO_FAULT_REQUEST,   /* the model refused what it says */
	PVIO_FAULT_DROP,      /* a frame was dropped */
	PVIO_NR_FAULTS
};
extern const char *const pvio_fault_names[PVIO_NR_FAULTS];

#define PVIO_HISTOGRAM_BUCKETS 40 /* bucket b: [2^b, 2^(b+1)) ns; 0: < 2 ns */
struct pvio_histogram {
	uint64_t count, sum_ns;
	uint64_t bucket[PVIO_HISTOGRAM_BUCKETS];
};

struct pvio_vq_stats {
	uint64_t kicks;	       /* doorbells seen (eventfd reads, calls) */
	uint64_t polls;	       /* times work was found by polling instead */
	uint64_t requests;     /* chains popped */
	uint64_t completions;  /* chains pushed */
	uint64_t flushes;      /* batches published */
	uint64_t notifications; /* interrupts sent */
	uint64_t suppressed;   /* batches the driver did not want to hear of */
	uint64_t bytes_in;     /* from the guest: written to disk, sent */
	uint64_t bytes_out;    /* to the guest: read from disk, received */
	uint64_t faults[PVIO_NR_FAULTS];
	struct pvio_histogram stage[PVIO_NR_STAGES];
};

/* Add to a counter that only this thread writes. */
static inline void pvio_count(uint64_t *counter, uint64_t n)
{
	pvio_store_once(counter, *counter + n);
}

void pvio_histogram_add(struct pvio_histogram *h, uint64_t ns);
/* Upper bound of the bucket that holds the @p-th percentile; 0 when empty. */
uint64_t pvio_histogram_percentile(const struct pvio_histogram *h, double p);

#pragma GCC visibility pop
#endif
