/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.c - pvio-bench ring: nanoseconds a buffer, split and packed
 *
 * Two threads, each on a CPU of its own, poll the two sides of one virtqueue:
 * the driver keeps a number of buffers outstanding, the device answers every
 * one as it comes.  Nothing else happens, so this is the cost of the ring: the
 * cache lines that travel and the work on both sides.  "one thread" is the
 * work without the travelling.
 */
#include "bench.h"
#include "report.h"

#include "core/queue.h"
#include "guest/memory.h"
#include "guest/ring.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define RING_GPA     0x100000
#define RING_MEM     (4u << 20)
#define RING_SIZE    256
#define RING_SEGMENT 64
/*
 * Answers that one flush publishes, at most.  16 outstanding, packed: 1 a flush
 * cost 78 ns a buffer, 4 to 8 cost 35 to 37, 16 (the driver waits) 52.
 */
#define RING_BATCH   8

struct ring_options {
	unsigned int cpu[2];
	unsigned long buffers;
	unsigned long repeat;
	bool json;
};

/* A queue and its driver side, and who plays what. */
struct ring_bench {
	struct guest_memory mem;
	struct pvio_mapping *mapping;
	struct pvio_map *map;
	struct pvio_vq *vq;
	struct guest_ring *ring;
	struct guest_segment buffer[RING_SIZE];
	unsigned long buffers;
	unsigned int outstanding, driver_cpu, device_cpu;
};

static void ring_teardown(struct ring_bench *b)
{
	if (b->vq && b->vq->state != PVIO_VQ_IDLE)
		pvio_vq_stop(b->vq);
	if (b->vq)
		pvio_vq_fini(b->vq);
	free(b->vq);
	guest_ring_destroy(b->ring);
	pvio_map_put(b->map);
	if (b->mapping)
		pvio_mapping_put(b->mapping);
	guest_memory_fini(&b->mem);
}

static int ring_map(struct ring_bench *b)
{
	struct pvio_region region = { .gpa = RING_GPA, .size = RING_MEM };
	int rc;

	guest_memory_init(&b->mem);
	rc = guest_memory_add(&b->mem, RING_GPA, RING_MEM);
	if (rc < 0)
		return rc;
	rc = pvio_mapping_wrap(b->mem.region[0].host, RING_MEM, &b->mapping);
	if (rc < 0)
		return rc;
	region.mapping = b->mapping;
	return pvio_map_create(&region, 1, &b->map);
}

static int ring_setup(struct ring_bench *b, unsigned int flags)
{
	struct pvio_features features = { { PVIO_BIT(VIRTIO_F_VERSION_1), 0 } };
	struct pvio_vq_setup setup = { .size = RING_SIZE };
	uint64_t gpa;
	unsigned int i;
	void *mem;
	int rc;

	rc = ring_map(b);
	if (rc < 0)
		return rc;
	mem = guest_alloc(&b->mem, guest_ring_bytes(RING_SIZE, flags), 4096,
			  &gpa);
	rc = guest_ring_create(RING_SIZE, flags, mem, gpa, &b->ring);
	if (rc < 0)
		return rc;
	for (i = 0; i < RING_SIZE; i++) {
		guest_alloc(&b->mem, RING_SEGMENT, 64, &b->buffer[i].gpa);
		b->buffer[i].len = RING_SEGMENT;
	}

	if (flags & GUEST_RING_PACKED) {
		pvio_feature_set(&features, VIRTIO_F_RING_PACKED);
		setup.position.avail_wrap = setup.position.used_wrap = true;
	}
	if (flags & GUEST_RING_EVENT_IDX)
		pvio_feature_set(&features, VIRTIO_RING_F_EVENT_IDX);
	setup.desc = guest_ring_desc(b->ring);
	setup.driver = guest_ring_driver(b->ring);
	setup.device = guest_ring_device(b->ring);
	b->vq = aligned_alloc(PVIO_CACHE_LINE_BYTES, sizeof(*b->vq));
	if (!b->vq)
		return -ENOMEM;
	pvio_vq_init(b->vq, NULL, 0);
	rc = pvio_vq_start(b->vq, &setup, b->map, &features);
	if (rc < 0)
		return rc;
	guest_ring_disable_notify(b->ring);
	pvio_vq_disable_kick(b->vq);
	return 0;
}

/* One look of the device, as a model's: answer what there is, publish it. */
static unsigned long device_turn(struct ring_bench *b)
{
	struct pvio_chain *chain;
	unsigned long n = 0;

	while (n < RING_BATCH && (chain = pvio_vq_pop(b->vq))) {
		pvio_vq_push(b->vq, chain, chain->writable);
		n++;
	}
	pvio_vq_flush(b->vq);
	return n;
}

static void *device_thread(void *arg)
{
	struct ring_bench *b = arg;
	unsigned long done = 0;

	while (done < b->buffers)
		done += device_turn(b);
	return NULL;
}

/*
 * One look of the driver: add one if there is room, reap one if there is one.
 * Looking for more than that made it 51 instead of 34 ns (packed, 64): a look
 * at what is not there yet takes the line from the device that writes it.
 */
static bool driver_turn(struct ring_bench *b, unsigned long *started)
{
	bool reaped = false;
	uint32_t len;

	if (*started < b->buffers &&
	    guest_ring_outstanding(b->ring) < b->outstanding) {
		guest_ring_add(b->ring, &b->buffer[*started % RING_SIZE], 0, 1,
			       b);
		guest_ring_expose(b->ring);
		++*started;
	}
	if (guest_ring_reap(b->ring, &len))
		reaped = true;
	return reaped;
}

static double ring_two_threads(struct ring_bench *b)
{
	unsigned long started = 0;
	pthread_attr_t attr;
	pthread_t device;
	cpu_set_t cpu;
	uint64_t ns;
	int rc;

	bench_pin(b->driver_cpu);
	/* Born where it belongs: under a real-time policy it could not leave
	 * a CPU on which the driver spins. */
	CPU_ZERO(&cpu);
	CPU_SET(b->device_cpu, &cpu);
	pthread_attr_init(&attr);
	rc = pthread_attr_setaffinity_np(&attr, sizeof(cpu), &cpu);
	if (rc == 0)
		rc = pthread_create(&device, &attr, device_thread, b);
	pthread_attr_destroy(&attr);
	if (rc != 0)
		return 0;
	ns = pvio_now_ns();
	while (started < b->buffers || guest_ring_outstanding(b->ring))
		driver_turn(b, &started);
	ns = pvio_now_ns() - ns;
	pthread_join(device, NULL);
	return (double)ns / (double)b->buffers;
}

static double ring_one_thread(struct ring_bench *b)
{
	unsigned long started = 0;
	uint64_t ns;

	bench_pin(b->driver_cpu);
	ns = pvio_now_ns();
	while (started < b->buffers) {
		while (guest_ring_outstanding(b->ring) < b->outstanding &&
		       started < b->buffers)
			driver_turn(b, &started);
		device_turn(b);
		driver_turn(b, &started);
	}
	ns = pvio_now_ns() - ns;
	return (double)ns / (double)b->buffers;
}

static int ring_run(struct bench_report *report, const struct ring_options *o,
		    unsigned int flags, unsigned int outstanding, bool threads)
{
	struct ring_bench b = { .outstanding = outstanding,
				.buffers = o->buffers,
				.driver_cpu = o->cpu[0],
				.device_cpu = o->cpu[1] };
	char name[64];
	int rc;

	snprintf(name, sizeof(name), "%s%s, %u outstanding%s",
		 flags & GUEST_RING_PACKED ? "packed" : "split",
		 flags & GUEST_RING_EVENT_IDX ? ", event idx" : "",
		 outstanding, threads ? "" : ", one thread");
	rc = ring_setup(&b, flags);
	if (rc == 0)
		bench_report_add(report, name, "ns/buffer",
				 threads ? ring_two_threads(&b) :
					   ring_one_thread(&b));
	ring_teardown(&b);
	return rc;
}

static int ring_round(struct bench_report *report,
		      const struct ring_options *o)
{
	static const unsigned int kinds[] = {
		GUEST_RING_PACKED, GUEST_RING_PACKED | GUEST_RING_EVENT_IDX,
		0, GUEST_RING_EVENT_IDX
	};
	static const unsigned int outstanding[] = { 1, 4, 16, 64 };
	size_t i, j;
	int rc;

	for (i = 0; i < pvio_array_size(kinds); i++) {
		for (j = 0; j < pvio_array_size(outstanding); j++) {
			rc = ring_run(report, o, kinds[i], outstanding[j],
				      true);
			if (rc < 0)
				return rc;
		}
		rc = ring_run(report, o, kinds[i], 64, false);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void ring_usage(FILE *f)
{
	fprintf(f,
		"usage: pvio-bench ring [OPTION...]\n"
		"  --cpus A,B      the driver's CPU, the device's (0,1)\n"
		"  --buffers N     buffers a figure (2000000)\n"
		"  --repeat N      figures a row, rows in turn (5)\n"
		"  --json          print JSON\n");
}

int bench_ring(int argc, char **argv)
{
	struct ring_options o = { .cpu = { 0, 1 },
				  .buffers = 2000000,
				  .repeat = 5 };
	const struct bench_option options[] = {
		{ "cpus", .cpus = o.cpu },
		{ "buffers", .number = &o.buffers, .max = 1000000000 },
		{ "repeat", .number = &o.repeat, .max = 1000 },
		{ "json", .flag = &o.json },
	};
	struct bench_report *report;
	unsigned long i;
	int rc;

	rc = bench_options(argc, argv, options, pvio_array_size(options),
			   ring_usage);
	if (rc > 0)
		return rc - 1;
	report = bench_report_create("virtqueue, both sides polling");
	if (!report)
		rc = -ENOMEM;
	for (i = 0; i < o.repeat && rc == 0; i++)
		rc = ring_round(report, &o);
	if (rc == 0)
		rc = bench_report_print(report, o.json);
	if (rc < 0)
		fprintf(stderr, "pvio-bench: %d\n", rc);
	bench_report_destroy(report);
	return rc < 0 ? 1 : 0;
}
