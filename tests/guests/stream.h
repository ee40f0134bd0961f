/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stream.h - bytes that both ends can compute: 64-bit word @i of a stream
 * depends on the seed and on i alone, so any piece can be checked anywhere
 */
#ifndef PVIO_TESTS_STREAM_H
#define PVIO_TESTS_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

static inline uint64_t stream_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static inline uint64_t stream_word(uint64_t seed, uint64_t i)
{
	return stream_mix(stream_mix(seed) ^ i);
}

/* Fill @bytes at stream position @offset, a multiple of 8. */
static inline void stream_fill(void *buf, size_t bytes, uint64_t seed,
			       uint64_t offset)
{
	unsigned char *p = buf;
	uint64_t w;
	size_t i;

	for (i = 0; i < bytes; i += 8) {
		w = stream_word(seed, (offset + i) / 8);
		memcpy(p + i, &w, bytes - i < 8 ? bytes - i : 8);
	}
}

/* Offset in @buf of the first wrong word, or -1. */
static inline long stream_check(const void *buf, size_t bytes, uint64_t seed,
				uint64_t offset)
{
	const unsigned char *p = buf;
	uint64_t want;
	size_t i;

	for (i = 0; i < bytes; i += 8) {
		want = stream_word(seed, (offset + i) / 8);
		if (memcmp(p + i, &want, bytes - i < 8 ? bytes - i : 8) != 0)
			return (long)i;
	}
	return -1;
}

static inline double stream_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#endif
