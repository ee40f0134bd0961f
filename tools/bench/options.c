/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.c - the options of pvio-bench's subcommands
 */
#include "bench.h"
#include "host.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define BENCH_MAX_OPTIONS 16

bool bench_parse_uint(const char *text, unsigned long max, unsigned long *value)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || *end != '\0' || n == 0 || n > max)
		return false;
	*value = n;
	return true;
}

bool bench_parse_cpus(const char *text, unsigned int cpu[2])
{
	char rest;

	return sscanf(text, "%u,%u%c", &cpu[0], &cpu[1], &rest) == 2 &&
	       cpu[0] < CPU_SETSIZE && cpu[1] < CPU_SETSIZE;
}

static bool bench_parse_name(const char *text, const char *const *names,
			     unsigned int *set)
{
	unsigned int i;

	for (i = 0; names[i]; i++) {
		if (strcmp(text, names[i]) == 0) {
			*set |= 1u << i;
			return true;
		}
	}
	return false;
}

static bool bench_take_option(const struct bench_option *o, const char *text)
{
	if (o->flag)
		*o->flag = true;
	if (o->text)
		*o->text = text;
	if (o->number &&
	    (!bench_parse_uint(text, o->max, o->number) || *o->number < o->min))
		return false;
	if (o->cpus && !bench_parse_cpus(text, o->cpus))
		return false;
	if (o->ways && !bench_parse_ways(text, o->ways))
		return false;
	return !o->set || bench_parse_name(text, o->names, o->set);
}

int bench_options(int argc, char **argv, const struct bench_option *table,
		  size_t nr, void (*usage)(FILE *f))
{
	struct option options[BENCH_MAX_OPTIONS + 2] = { { 0 } };
	bool ok = true;
	size_t i;
	int c;

	assert(nr <= BENCH_MAX_OPTIONS);
	for (i = 0; i < nr; i++) {
		options[i].name = table[i].name;
		options[i].has_arg = table[i].flag ? no_argument
						   : required_argument;
		options[i].val = (int)i;
	}
	options[i].name = "help";
	options[i].val = (int)nr;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == (int)nr) {
			usage(stdout);
			return 1;
		}
		ok = ok && c < (int)nr && bench_take_option(&table[c], optarg);
	}
	if (ok && optind == argc)
		return 0;
	usage(stderr);
	return 3;
}
