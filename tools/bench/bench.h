/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench.h - the subcommands of pvio-bench
 */
#ifndef PVIO_BENCH_BENCH_H
#define PVIO_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct bench_ways;

/* argv[0] is the subcommand.  Returns the exit status. */
int bench_block(int argc, char **argv);
int bench_doorbell(int argc, char **argv);
int bench_kick(int argc, char **argv);
int bench_net(int argc, char **argv);
int bench_ring(int argc, char **argv);
int bench_signal(int argc, char **argv);

/* Pin the calling thread.  -errno. */
int bench_pin(unsigned int cpu);

/* --- options -------------------------------------------------------------- */

/* An option, and where what it says goes: all of these that are not NULL. */
struct bench_option {
	const char *name;
	bool *flag;            /* it takes no argument */
	const char **text;     /* borrowed */
	unsigned long *number; /* in [min, max], not 0 */
	unsigned long min, max;
	unsigned int *cpus; /* two of them */
	struct bench_ways *ways;
	unsigned int *set; /* the bit of one of @names; may be repeated */
	const char *const *names; /* ends with NULL */
};

/*
 * Read the command line by @table, which "help" is added to.  Returns 0; or,
 * after @usage was printed, the exit status plus one.
 */
int bench_options(int argc, char **argv, const struct bench_option *table,
		  size_t nr, void (*usage)(FILE *f));
/* Two CPU numbers out of "a,b".  False when that is not what @text is. */
bool bench_parse_cpus(const char *text, unsigned int cpu[2]);
/* A positive number up to @max.  False when @text is not one. */
bool bench_parse_uint(const char *text, unsigned long max,
		      unsigned long *value);

#endif
