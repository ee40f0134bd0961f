/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * histogram.h - times of requests, to 3 %: 32 buckets for each power of two of
 * nanoseconds
 */
#ifndef PVIO_TESTS_HISTOGRAM_H
#define PVIO_TESTS_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

#define HISTOGRAM_BITS    5
#define HISTOGRAM_SUB     (1u << HISTOGRAM_BITS)
#define HISTOGRAM_BUCKETS (40 * HISTOGRAM_SUB)

struct histogram {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

static inline void histogram_add(struct histogram *h, uint64_t ns)
{
	unsigned int shift = 0, b;

	h->count++;
	h->sum_ns += ns;
	if (ns >= HISTOGRAM_SUB)
		shift = 63u - HISTOGRAM_BITS -
			(unsigned int)__builtin_clzll(ns);
	/* Below 2^BITS each has its own; the top bit is not told twice. */
	b = (unsigned int)(ns >> shift) + shift * HISTOGRAM_SUB;
	if (b >= HISTOGRAM_BUCKETS)
		b = HISTOGRAM_BUCKETS - 1;
	h->bucket[b]++;
}

static inline void histogram_join(struct histogram *to,
				  const struct histogram *from)
{
	unsigned int b;

	to->count += from->count;
	to->sum_ns += from->sum_ns;
	for (b = 0; b < HISTOGRAM_BUCKETS; b++)
		to->bucket[b] += from->bucket[b];
}

/* Microseconds that @percent of all did not exceed. */
static inline double histogram_us(const struct histogram *h,
				  unsigned int percent)
{
	uint64_t seen = 0;
	unsigned int b, shift, sub;

	for (b = 0; b < HISTOGRAM_BUCKETS; b++) {
		seen += h->bucket[b];
		if (seen && seen * 100 >= h->count * percent)
			break;
	}
	shift = b < 2 * HISTOGRAM_SUB ? 0 : b / HISTOGRAM_SUB - 1;
	sub = b - shift * HISTOGRAM_SUB;
	return (double)((uint64_t)(sub + 1) << shift) / 1000;
}

/* What tests/bench/signals reads. */
static inline void histogram_print(const struct histogram *h, double seconds)
{
	printf("requests %llu seconds %.3f mean_us %.1f p50_us %.1f p99_us "
	       "%.1f\n",
	       (unsigned long long)h->count, seconds,
	       h->count ? (double)h->sum_ns / (double)h->count / 1000 : 0,
	       histogram_us(h, 50), histogram_us(h, 99));
}

#endif
