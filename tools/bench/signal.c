/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * signal.c - pvio-bench signal: what a signal costs, in both layouts
 *
 * "alone": one thread raises a number of signals and then takes them, so all of
 * it is in its cache: the work.  "again": one that is pending already is raised
 * once more.  "between two": producer and consumer on a CPU each; the producer
 * raises as many different signals as stand there and waits until all have been
 * served, and the consumer polls: the work and the cache lines that travel.
 *
 * "bitmap" is core/signal.c; "ring" is signal-ring.h, which trusts its other
 * side.
 */
#include "bench.h"
#include "report.h"
#include "signal-ring.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIGNAL_WORDS (SIGNAL_RING_SIGNALS / 64)

struct signal_options {
	unsigned int cpu[2];
	unsigned long signals; /* a figure */
	unsigned long repeat;
	bool json;
};

/* One of the two is used. */
struct signal_bench {
	struct pvio_signal_area *area; /* owned */
	struct pvio_signal_sink *sink; /* owned */
	struct signal_ring *ring;      /* owned */
	unsigned int batch, cpu;
	unsigned long served __attribute__((aligned(PVIO_CACHE_LINE_BYTES)));
	bool is_over;
};

/* Which signals and levels: spread, as devices of several queues would be. */
static inline unsigned int signal_number(unsigned int i)
{
	return i * 37 % SIGNAL_RING_SIGNALS;
}

static inline unsigned int signal_level(unsigned int i)
{
	return i % 4 ? 3 : 1;
}

static inline void bench_raise(struct signal_bench *b, unsigned int i)
{
	if (b->ring)
		signal_ring_raise(b->ring, signal_number(i), signal_level(i));
	else
		pvio_signal_raise(b->area, SIGNAL_WORDS, signal_number(i),
				  signal_level(i));
}

static inline bool bench_next(struct signal_bench *b)
{
	unsigned int signal;

	return b->ring ? signal_ring_next(b->ring, &signal)
		       : pvio_signal_next(b->sink, &signal);
}

static void signal_teardown(struct signal_bench *b)
{
	pvio_signal_sink_destroy(b->sink);
	free(b->area);
	free(b->ring);
}

static int signal_setup(struct signal_bench *b, bool is_ring)
{
	size_t bytes = is_ring ? sizeof(*b->ring)
			       : pvio_signal_bytes(SIGNAL_WORDS);
	void *area = aligned_alloc(PVIO_CACHE_LINE_BYTES, bytes);
	unsigned int i;
	int rc;

	if (!area)
		return -ENOMEM;
	memset(area, 0, bytes);
	if (is_ring) {
		b->ring = area;
		return 0;
	}
	b->area = area;
	rc = pvio_signal_sink_create(area, SIGNAL_WORDS, &b->sink);
	for (i = 0; rc == 0 && i < SIGNAL_RING_SIGNALS; i++)
		pvio_signal_open(b->sink, i);
	return rc;
}

/* --- what is measured ------------------------------------------------------ */

/* Nanoseconds a signal. */
typedef double signal_fn(struct signal_bench *b, const struct signal_options *o);

static double signal_alone(struct signal_bench *b,
			   const struct signal_options *o)
{
	unsigned long done = 0;
	unsigned int i;
	uint64_t ns;

	ns = pvio_now_ns();
	while (done < o->signals) {
		for (i = 0; i < b->batch; i++)
			bench_raise(b, i);
		while (bench_next(b))
			done++;
	}
	return (double)(pvio_now_ns() - ns) / (double)done;
}

static double signal_again(struct signal_bench *b,
			   const struct signal_options *o)
{
	unsigned long n;
	uint64_t ns;

	bench_raise(b, 0);
	ns = pvio_now_ns();
	for (n = 0; n < o->signals; n++)
		bench_raise(b, 0);
	return (double)(pvio_now_ns() - ns) / (double)o->signals;
}

static void *consumer(void *arg)
{
	struct signal_bench *b = arg;
	unsigned long served = 0;

	bench_pin(b->cpu);
	while (!pvio_load_once(&b->is_over)) {
		if (bench_next(b))
			pvio_store_release(&b->served, ++served);
	}
	return NULL;
}

static double signal_between(struct signal_bench *b,
			     const struct signal_options *o)
{
	unsigned long raised = 0;
	pthread_t thread;
	unsigned int i;
	uint64_t ns;

	b->cpu = o->cpu[1];
	if (pthread_create(&thread, NULL, consumer, b) != 0)
		return 0;
	ns = pvio_now_ns();
	while (raised < o->signals) {
		for (i = 0; i < b->batch; i++)
			bench_raise(b, i);
		raised += b->batch;
		while (pvio_load_acquire(&b->served) < raised)
			;
	}
	ns = pvio_now_ns() - ns;
	pvio_store_once(&b->is_over, true);
	pthread_join(thread, NULL);
	return (double)ns / (double)raised;
}

/* --- the command ------------------------------------------------------------ */

static const struct signal_row {
	const char *name;
	signal_fn *fn;
	unsigned int batch;
} signal_rows[] = {
	{ "alone, 1", signal_alone, 1 },
	{ "alone, 8", signal_alone, 8 },
	{ "alone, 64", signal_alone, 64 },
	{ "again", signal_again, 1 },
	{ "between two, 1", signal_between, 1 },
	{ "between two, 8", signal_between, 8 },
	{ "between two, 64", signal_between, 64 },
};

static int signal_round(struct bench_report *report,
			const struct signal_options *o)
{
	char name[64];
	size_t i;
	int kind, rc = 0;

	for (i = 0; i < pvio_array_size(signal_rows) && rc == 0; i++) {
		for (kind = 0; kind < 2 && rc == 0; kind++) {
			struct signal_bench b = {
				.batch = signal_rows[i].batch,
			};

			snprintf(name, sizeof(name), "%s: %s",
				 signal_rows[i].name, kind ? "ring" : "bitmap");
			rc = signal_setup(&b, kind == 1);
			if (rc == 0)
				bench_report_add(report, name, "ns/signal",
						 signal_rows[i].fn(&b, o));
			signal_teardown(&b);
		}
	}
	return rc;
}

static void signal_usage(FILE *f)
{
	fprintf(f,
		"usage: pvio-bench signal [OPTION...]\n"
		"  --cpus A,B      the producer's CPU, the consumer's (0,1)\n"
		"  --signals N     signals a figure (1000000)\n"
		"  --repeat N      figures a row, rows in turn (5)\n"
		"  --json          print JSON\n");
}

int bench_signal(int argc, char **argv)
{
	struct signal_options o = { .cpu = { 0, 1 },
				    .signals = 1000000,
				    .repeat = 5 };
	const struct bench_option options[] = {
		{ "cpus", .cpus = o.cpu },
		{ "signals", .number = &o.signals, .max = 1000000000 },
		{ "repeat", .number = &o.repeat, .max = 1000 },
		{ "json", .flag = &o.json },
	};
	struct bench_report *report;
	unsigned long i;
	int rc;

	rc = bench_options(argc, argv, options, pvio_array_size(options),
			   signal_usage);
	if (rc > 0)
		return rc - 1;
	bench_pin(o.cpu[0]);
	report = bench_report_create("signal queue");
	if (!report)
		rc = -ENOMEM;
	for (i = 0; i < o.repeat && rc == 0; i++)
		rc = signal_round(report, &o);
	if (rc == 0)
		rc = bench_report_print(report, o.json);
	if (rc < 0)
		fprintf(stderr, "pvio-bench: %d\n", rc);
	bench_report_destroy(report);
	return rc < 0 ? 1 : 0;
}
