/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - pvio-bench: what pvio costs, by the part
 */
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static const struct bench_command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} bench_commands[] = {
	{ "block", bench_block, "requests a second of a disk" },
	{ "doorbell", bench_doorbell, "doorbells of this host's KVM" },
	{ "kick", bench_kick, "what a doorbell costs, by transport" },
	{ "net", bench_net, "frames a second of a network card" },
	{ "ring", bench_ring, "virtqueues between two threads that poll" },
	{ "signal", bench_signal, "signal queues, two layouts of them" },
};

static void bench_usage(FILE *f)
{
	size_t i;

	fprintf(f, "usage: pvio-bench COMMAND [OPTION...]\n");
	for (i = 0; i < sizeof(bench_commands) / sizeof(bench_commands[0]);
	     i++)
		fprintf(f, "  %-9s %s\n", bench_commands[i].name,
			bench_commands[i].help);
	fprintf(f, "pvio-bench COMMAND --help tells its options.\n");
}

int bench_pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return -pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc < 2) {
		bench_usage(stderr);
		return 2;
	}
	if (strcmp(argv[1], "--help") == 0) {
		bench_usage(stdout);
		return 0;
	}
	for (i = 0; i < sizeof(bench_commands) / sizeof(bench_commands[0]);
	     i++)
		if (strcmp(argv[1], bench_commands[i].name) == 0)
			return bench_commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "pvio-bench: no command \"%s\"\n", argv[1]);
	bench_usage(stderr);
	return 2;
}
