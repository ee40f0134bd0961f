/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stats.c - latency histograms, and the names of what is counted
 *
 * A bucket is a power of two of nanoseconds.  Forty of them reach from 1 ns to
 * eighteen minutes; what takes longer is in the last.  Adding is a count of
 * leading zeros and three stores to lines that only this worker writes.
 */
#include "stats.h"

#include <assert.h>

const char *const pvio_stage_names[PVIO_NR_STAGES] = {
	[PVIO_STAGE_POP] = "pop",
	[PVIO_STAGE_SUBMIT] = "submit",
	[PVIO_STAGE_COMPLETE] = "complete",
	[PVIO_STAGE_PUSH] = "push",
	[PVIO_STAGE_NOTIFY] = "notify",
	[PVIO_STAGE_TOTAL] = "total",
};

const char *const pvio_fault_names[PVIO_NR_FAULTS] = {
	[PVIO_FAULT_HEAD] = "head",
	[PVIO_FAULT_DUPLICATE] = "duplicate",
	[PVIO_FAULT_LOOP] = "loop",
	[PVIO_FAULT_INDIRECT] = "indirect",
	[PVIO_FAULT_ADDRESS] = "address",
	[PVIO_FAULT_ORDER] = "order",
	[PVIO_FAULT_RING] = "ring",
	[PVIO_FAULT_REQUEST] = "request",
	[PVIO_FAULT_DROP] = "drop",
};

static_assert(PVIO_NR_STAGES == 6, "name the new stage");
static_assert(PVIO_NR_FAULTS == 9, "name the new fault");

static unsigned int histogram_bucket(uint64_t ns)
{
	unsigned int bucket;

	if (ns < 2)
		return 0;
	bucket = 63 - (unsigned int)__builtin_clzll(ns);
	return bucket < PVIO_HISTOGRAM_BUCKETS ? bucket :
						 PVIO_HISTOGRAM_BUCKETS - 1;
}

void pvio_histogram_add(struct pvio_histogram *h, uint64_t ns)
{
	pvio_count(&h->bucket[histogram_bucket(ns)], 1);
	pvio_count(&h->sum_ns, ns);
	pvio_count(&h->count, 1);
}

uint64_t pvio_histogram_percentile(const struct pvio_histogram *h, double p)
{
	uint64_t bucket[PVIO_HISTOGRAM_BUCKETS];
	uint64_t total = 0, seen = 0;
	unsigned int b;

	/* The writer goes on while we read: what is summed is what is ranked. */
	for (b = 0; b < PVIO_HISTOGRAM_BUCKETS; b++) {
		bucket[b] = pvio_load_once(&h->bucket[b]);
		total += bucket[b];
	}
	if (total == 0)
		return 0;
	for (b = 0; b < PVIO_HISTOGRAM_BUCKETS - 1; b++) {
		seen += bucket[b];
		if ((double)seen >= (double)total * p / 100.0 && seen > 0)
			break;
	}
	return 2ULL << b;
}
