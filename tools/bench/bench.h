/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench.h - the subcommands of pvio-bench
 */
#ifndef PVIO_BENCH_BENCH_H
#define PVIO_BENCH_BENCH_H

#include <stdbool.h>

/* argv[0] is the subcommand.  Returns the exit status. */
int bench_block(int argc, char **argv);
int bench_doorbell(int argc, char **argv);
int bench_kick(int argc, char **argv);
int bench_net(int argc, char **argv);
int bench_ring(int argc, char **argv);

/* Pin the calling thread.  -errno. */
int bench_pin(unsigned int cpu);
/* Two CPU numbers out of "a,b".  False when that is not what @text is. */
bool bench_parse_cpus(const char *text, unsigned int cpu[2]);
/* A positive number up to @max.  False when @text is not one. */
bool bench_parse_uint(const char *text, unsigned long max,
		      unsigned long *value);

#endif
