/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_script.h - a driver with memory, whose device is in this process, told
 * what to do
 *
 * A target creates its devices once, on one worker that it steps; they live as
 * long as the process.  The input is a script, whose numbers are little-endian;
 * what is missing is 0.  Targets for a device behind a socket: fuzz_socket.h.
 */
#ifndef PVIO_TESTS_FUZZ_SCRIPT_H
#define PVIO_TESTS_FUZZ_SCRIPT_H

#include "core/memory.h"
#include "core/util.h"
#include "guest/memory.h"

#include <pvio/pvio.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_RAM_GPA     0x100000
#define FUZZ_RAM_BYTES   (256u << 10)
#define FUZZ_MAX_ACTIONS 200
#define FUZZ_MAX_STEPS   10000
#define FUZZ_GUARD       0xa5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pvio_worker *fuzz_worker;
static struct guest_memory fuzz_mem; /* one region */

struct fuzz_script {
	const uint8_t *at, *end;
};

static inline void fuzz_expect(bool ok, const char *claim)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz: not so: %s\n", claim);
	abort();
}

static inline void fuzz_silence(void *arg, enum pvio_log_level level,
				const char *message)
{
	(void)arg;
	(void)level;
	(void)message;
}

#ifdef PVIO_MEMORY_CHECKED
/* A request header that lies in the descriptor table is read as both. */
static inline void fuzz_aliased(const void *p, size_t len)
{
	(void)p;
	(void)len;
}
#endif

static inline void fuzz_settle(void)
{
	unsigned int i = 0;

	while (pvio_worker_step(fuzz_worker))
		fuzz_expect(++i < FUZZ_MAX_STEPS, "the worker comes to rest");
}

static inline uint32_t fuzz_take(struct fuzz_script *s, unsigned int bytes)
{
	uint32_t value = 0;
	unsigned int i;

	for (i = 0; i < bytes && s->at < s->end; i++)
		value |= (uint32_t)*s->at++ << (8 * i);
	return value;
}

static inline void fuzz_take_bytes(struct fuzz_script *s, uint8_t *to,
				   size_t size)
{
	size_t n = pvio_min(size, (size_t)(s->end - s->at));

	memset(to, 0, size);
	memcpy(to, s->at, n);
	s->at += n;
}

/* Write memory: offset24 len8 bytes... */
static inline void fuzz_memory(struct fuzz_script *s)
{
	uint32_t at = fuzz_take(s, 3) % FUZZ_RAM_BYTES;
	size_t len = fuzz_take(s, 1);
	uint8_t bytes[255];

	fuzz_take_bytes(s, bytes, len);
	memcpy(fuzz_mem.region[0].host + at, bytes,
	       pvio_min(len, FUZZ_RAM_BYTES - at));
}

#endif
