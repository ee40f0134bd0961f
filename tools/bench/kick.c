/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kick.c - pvio-bench kick: what a doorbell costs, by transport
 *
 * The driver's cost of one kick, and the time from a kick to the used buffer,
 * of a disk without anything behind it: while its worker polls, and while it
 * sleeps and has to be woken.
 *
 *	polls	requests, one at a time and apart; then kicks of an empty queue,
 *		one after the other
 *	sleeps	requests, one at a time, and apart for long enough that the
 *		worker goes to sleep
 *
 * Kicks in a row cost less than one if the other side need not be woken for
 * each, and more if it takes longer to handle them than we to send them.
 *
 * What carries a kick from a guest to here (an exit, KVM's ioeventfd) is not
 * in this: pvio-bench doorbell measures that.
 */
#include "bench.h"
#include "host.h"
#include "report.h"

#include "core/barrier.h"
#include "core/util.h"
#include "core/virtio.h"

#include <errno.h>
#include <limits.h>
#include <pvio/pvio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KICK_GPA     ((uint64_t)1 << 30)
#define KICK_RAM     (1u << 20)
#define KICK_RING    64
/* Between requests: longer than a worker takes to wait again. */
#define KICK_IDLE_NS 50000
/* A device that takes longer is taken for dead. */
#define KICK_DEAD_NS 2000000000ULL

struct kick_options {
	unsigned int cpu[2];
	unsigned long count, repeat;
	struct bench_ways ways;
	bool json;
};

struct kick_bench {
	const struct kick_options *o;
	enum guest_way way;
	struct bench_host host;
	struct bench_device device;
	struct guest_memory mem;
	struct guest_ring *ring;
	struct guest_segment seg[3];
};

static int kick_open(struct kick_bench *b)
{
	uint64_t gpa, features[2] = { 0 };
	struct virtio_blk_outhdr *header;
	int rc;

	guest_memory_init(&b->mem);
	rc = guest_memory_add(&b->mem, KICK_GPA, KICK_RAM);
	if (rc == 0)
		rc = bench_host_init(&b->host, b->way, 1);
	if (rc < 0)
		return rc;
	bench_pin(b->o->cpu[1]);
	rc = bench_host_start(&b->host);
	if (rc == 0)
		rc = bench_host_add(&b->host, "kick",
				    "model = \"block\"; "
				    "backend = { type = \"null\"; };",
				    1, &b->mem, &b->device);
	bench_pin(b->o->cpu[0]);
	if (rc == 0)
		rc = guest_device_negotiate(b->device.gd, features);
	if (rc == 0)
		rc = guest_device_setup_queue(b->device.gd, 0, KICK_RING);
	if (rc == 0)
		rc = guest_device_start(b->device.gd);
	if (rc < 0)
		return rc;
	b->ring = guest_device_ring(b->device.gd, 0);
	guest_ring_disable_notify(b->ring);
	header = guest_alloc(&b->mem, 4096, 4096, &gpa);
	if (!header)
		return -ENOSPC;
	header->type = htole32(VIRTIO_BLK_T_IN);
	b->seg[0] = (struct guest_segment){ gpa, sizeof(*header) };
	b->seg[1] = (struct guest_segment){ gpa + 512, 512 };
	b->seg[2] = (struct guest_segment){ gpa + 2048, 1 };
	return 0;
}

static void kick_close(struct kick_bench *b)
{
	bench_host_remove(&b->host, &b->device);
	bench_host_fini(&b->host);
	guest_memory_fini(&b->mem);
}

/*
 * One request: nanoseconds of the kick (and of a look at the clock), and from
 * before it to the used buffer.
 */
static int kick_request(struct kick_bench *b, uint64_t *kick, uint64_t *used)
{
	uint64_t start, now;
	uint32_t len;
	int rc;

	rc = guest_ring_add(b->ring, b->seg, 1, 2, b->seg);
	if (rc < 0)
		return rc;
	guest_ring_expose(b->ring);
	start = pvio_now_ns();
	guest_device_kick(b->device.gd, 0);
	*kick = pvio_now_ns() - start;
	do {
		now = pvio_now_ns();
		if (now - start > KICK_DEAD_NS)
			return -ETIMEDOUT;
	} while (!guest_ring_reap(b->ring, &len));
	*used = now - start;
	return 0;
}

static int kick_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double kick_median(uint64_t *value, unsigned long nr)
{
	qsort(value, nr, sizeof(*value), kick_compare);
	return (double)value[nr / 2];
}

static void kick_row(struct bench_report *report, const struct kick_bench *b,
		     const char *what, double ns)
{
	char name[96];

	snprintf(name, sizeof(name), "%s, %s", guest_way_name(b->way), what);
	bench_report_add(report, name, "ns", ns);
}

/* What a look at the clock takes. */
static double kick_clock(uint64_t *times, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++) {
		uint64_t start = pvio_now_ns();

		times[i] = pvio_now_ns() - start;
	}
	return kick_median(times, nr);
}

/* Requests apart: medians of both times, the clock's own taken off. */
static int kick_requests(struct kick_bench *b, unsigned long nr, double *kick,
			 double *used)
{
	uint64_t *times = calloc(2 * nr, sizeof(*times)), end;
	double clock;
	unsigned long i;
	int rc = 0;

	if (!times)
		return -ENOMEM;
	clock = kick_clock(times, nr);
	for (i = 0; i < nr && rc == 0; i++) {
		rc = kick_request(b, &times[i], &times[nr + i]);
		end = pvio_now_ns() + KICK_IDLE_NS;
		while (pvio_now_ns() < end)
			pvio_cpu_relax();
	}
	*kick = kick_median(times, nr) - clock;
	*used = kick_median(times + nr, nr) - clock;
	free(times);
	return rc;
}

static int kick_run(struct kick_bench *b, struct bench_report *report)
{
	unsigned long i, nr = b->o->count;
	double kick, used;
	uint64_t start;
	int rc;

	pvio_worker_set_poll(b->host.worker[0], UINT_MAX);
	/* From the first kick on it polls. */
	rc = kick_requests(b, nr / 10 + 1, &kick, &used);
	if (rc < 0)
		return rc;
	start = pvio_now_ns();
	for (i = 0; i < nr; i++)
		guest_device_kick(b->device.gd, 0);
	kick_row(report, b, "device polls: kicks in a row, each",
		 (double)(pvio_now_ns() - start) / (double)nr);
	kick_row(report, b, "device polls: kick", kick);
	kick_row(report, b, "device polls: kick to used", used);

	/* Without doorbells there is nothing that wakes a worker. */
	if (guest_way_is_polled(b->way))
		return 0;
	pvio_worker_set_poll(b->host.worker[0], 0);
	rc = kick_requests(b, nr / 10 + 1, &kick, &used);
	if (rc < 0)
		return rc;
	kick_row(report, b, "device sleeps: kick", kick);
	kick_row(report, b, "device sleeps: kick to used", used);
	return 0;
}

/* --- command line --------------------------------------------------------- */

static void kick_usage(FILE *f)
{
	fprintf(f,
		"usage: pvio-bench kick [OPTION...]\n"
		"  --transport NAME,...  in turn (all): %s\n"
		"  --cpus A,B      the driver's CPU, the device's (0,1)\n"
		"  --count N       kicks a figure (20000)\n"
		"  --repeat N      figures a row, transports in turn (5)\n"
		"  --json          print JSON\n",
		bench_way_names());
}

int bench_kick(int argc, char **argv)
{
	struct kick_options o = { .cpu = { 0, 1 },
				  .count = 20000,
				  .repeat = 5 };
	const struct bench_option options[] = {
		{ "transport", .ways = &o.ways },
		{ "cpus", .cpus = o.cpu },
		{ "count", .number = &o.count, .max = 100000000 },
		{ "repeat", .number = &o.repeat, .max = 1000 },
		{ "json", .flag = &o.json },
	};
	struct kick_bench b = { .o = &o };
	struct bench_report *report;
	unsigned long round;
	unsigned int i;
	int rc;

	bench_parse_ways("all", &o.ways);
	rc = bench_options(argc, argv, options, pvio_array_size(options),
			   kick_usage);
	if (rc > 0)
		return rc - 1;
	report = bench_report_create("doorbells");
	if (!report)
		rc = -ENOMEM;
	for (round = 0; round < o.repeat && rc == 0; round++) {
		for (i = 0; i < o.ways.nr && rc == 0; i++) {
			b = (struct kick_bench){ .o = &o,
						 .way = o.ways.way[i] };
			rc = kick_open(&b);
			if (rc == 0)
				rc = kick_run(&b, report);
			kick_close(&b);
		}
	}
	if (rc == 0)
		rc = bench_report_print(report, o.json);
	if (rc < 0)
		fprintf(stderr, "pvio-bench kick: %s: %s\n",
			guest_way_name(b.way), strerror(-rc));
	bench_report_destroy(report);
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
