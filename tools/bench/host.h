/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host.h - the host's side of a benchmark, in this process
 *
 * Devices, and the workers they run on, reached by any transport.  Whatever it
 * is, the same threads do the same work: queues on workers, registers and
 * messages on the control worker, which has a thread but for loopback, whose
 * calls are its driver's own.
 */
#ifndef PVIO_BENCH_HOST_H
#define PVIO_BENCH_HOST_H

#include "guest/way.h"

#include <stdbool.h>

#define BENCH_MAX_WORKERS 16

struct bench_host {
	enum guest_way way;
	struct pvio_worker *control;
	struct pvio_worker *worker[BENCH_MAX_WORKERS];
	unsigned int nr_workers;
	bool has_threads; /* the workers' */
};

struct bench_device {
	struct pvio_device *dev;
	struct guest_device *gd;
	char dir[32]; /* of its socket */
};

/* Ways, in the order they were named. */
struct bench_ways {
	enum guest_way way[GUEST_NR_WAYS];
	unsigned int nr;
};
/* "NAME,NAME..." or "all".  False when one is not known. */
bool bench_parse_ways(const char *text, struct bench_ways *ways);
/* All names, for a usage text: valid until called again. */
const char *bench_way_names(void);

/* Make @nr workers.  Next: bench_host_start(), before or after devices. */
int bench_host_init(struct bench_host *host, enum guest_way way,
		    unsigned int nr);
/* Run the workers, on threads that inherit the caller's CPUs. */
int bench_host_start(struct bench_host *host);
/*
 * Create a device from @config (all but its transport), and open the driver's
 * side of it.
 */
int bench_host_add(struct bench_host *host, const char *name,
		   const char *config, unsigned int queues_per_unit,
		   struct guest_memory *mem, struct bench_device *device);
/* Let go of a device; one that is all 0 is allowed. */
void bench_host_remove(struct bench_host *host, struct bench_device *device);
void bench_host_fini(struct bench_host *host);

#endif
