/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block.c - pvio-bench block: requests a second of a disk
 *
 * Plays a guest's driver against any vhost-user-blk or vfio-user socket, ours
 * or a peer's, or against a device in this process, by any transports in turn.
 * Every job is a thread with a queue of
 * its own; it keeps a number of requests outstanding and starts a new one for
 * each that ends, as a guest's kernel does: header, data and status are
 * segments of one indirect chain if the device takes that.
 *
 * --wait irq sleeps on the notification and suppresses it while it reaps, like
 * a driver; --wait poll spins on the used ring, like SPDK.
 */
#include "block.h"
#include "host.h"
#include "report.h"

#include "core/barrier.h"
#include "core/util.h"
#include "core/virtio.h"
#include "guest/device.h"
#include "guest/device-vfio-user.h"

#include <errno.h>
#include <pthread.h>
#include <pvio/device.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLK_SECTOR      512
#define BLK_HEADER_ROOM 64 /* header, and status behind it */
#define BLK_GPA         ((uint64_t)1 << 30)
/* 16 buckets for each power of two: percentiles to 6 %. */
#define BLK_SUB_BUCKETS 16
#define BLK_BUCKETS     (64 * BLK_SUB_BUCKETS)

struct blk_slot {
	struct guest_segment seg[3];
	struct virtio_blk_outhdr *header;
	uint8_t *data, *status;
	uint64_t sector, start_ns;
};

struct blk_job {
	const struct blk_options *options;
	struct guest_device *gd;
	struct guest_ring *ring;
	unsigned int queue, depth;
	struct blk_slot slot[BLK_MAX_DEPTH];
	uint64_t blocks, next, random;
	bool is_write, is_random;
	uint64_t end_ns, limit; /* stop at a time, or after so many */
	/* results */
	uint64_t started, done, kicks, interrupts, bad, bucket[BLK_BUCKETS];
	int error;
	pthread_t thread;
};

struct blk_bench {
	const struct blk_options *options;
	enum guest_way way;
	bool is_open;
	struct guest_memory mem;
	struct bench_host host;
	struct bench_device device;
	struct guest_device *gd;
	uint64_t capacity; /* bytes */
	struct blk_job job[BLK_MAX_JOBS];
};

/* --- latency -------------------------------------------------------------- */

static unsigned int blk_bucket(uint64_t ns)
{
	unsigned int log;

	if (ns < BLK_SUB_BUCKETS)
		return (unsigned int)ns;
	log = 63 - (unsigned int)__builtin_clzll(ns);
	return (log - 3) * BLK_SUB_BUCKETS +
	       (unsigned int)(ns >> (log - 4)) % BLK_SUB_BUCKETS;
}

static double blk_bucket_us(unsigned int b)
{
	unsigned int log = b / BLK_SUB_BUCKETS + 3;

	if (b < BLK_SUB_BUCKETS)
		return b / 1e3;
	return (double)((uint64_t)(BLK_SUB_BUCKETS + b % BLK_SUB_BUCKETS + 1)
			<< (log - 4)) /
	       1e3;
}

static double blk_percentile(const uint64_t *bucket, uint64_t total, double p)
{
	uint64_t seen = 0;
	unsigned int b;

	for (b = 0; b < BLK_BUCKETS; b++) {
		seen += bucket[b];
		if ((double)seen >= p * (double)total)
			return blk_bucket_us(b);
	}
	return 0;
}

/* --- one job -------------------------------------------------------------- */

/* Every sector carries its own number, so that a wrong one is noticed. */
static void blk_stamp(struct blk_slot *slot, unsigned long bytes)
{
	unsigned long i;
	uint64_t tag;

	for (i = 0; i < bytes / BLK_SECTOR; i++) {
		tag = (slot->sector + i) * 0x9e3779b97f4a7c15ULL;
		memcpy(slot->data + i * BLK_SECTOR, &tag, sizeof(tag));
		memcpy(slot->data + (i + 1) * BLK_SECTOR - sizeof(tag), &tag,
		       sizeof(tag));
	}
}

static bool blk_is_stamped(const struct blk_slot *slot, unsigned long bytes)
{
	unsigned long i;
	uint64_t tag;

	for (i = 0; i < bytes / BLK_SECTOR; i++) {
		tag = (slot->sector + i) * 0x9e3779b97f4a7c15ULL;
		if (memcmp(slot->data + i * BLK_SECTOR, &tag, sizeof(tag)) ||
		    memcmp(slot->data + (i + 1) * BLK_SECTOR - sizeof(tag),
			   &tag, sizeof(tag)))
			return false;
	}
	return true;
}

static uint64_t blk_random(struct blk_job *job)
{
	/* xorshift64: cheap, and the same sequence in every run. */
	job->random ^= job->random << 13;
	job->random ^= job->random >> 7;
	job->random ^= job->random << 17;
	return job->random;
}

static void blk_start(struct blk_job *job, struct blk_slot *slot)
{
	unsigned long bytes = job->options->bytes;
	uint64_t block;
	int rc;

	block = job->is_random ? blk_random(job) % job->blocks
			       : job->next++ % job->blocks;
	slot->sector = block * (bytes / BLK_SECTOR);
	slot->header->type = htole32(job->is_write ? VIRTIO_BLK_T_OUT
						   : VIRTIO_BLK_T_IN);
	slot->header->sector = htole64(slot->sector);
	*slot->status = 0xff;
	if (job->is_write && job->options->verify)
		blk_stamp(slot, bytes);
	rc = guest_ring_add(job->ring, slot->seg, job->is_write ? 2 : 1,
			    job->is_write ? 1 : 2, slot);
	if (rc < 0)
		job->error = rc;
	slot->start_ns = pvio_now_ns();
	job->started++;
}

static void blk_end(struct blk_job *job, struct blk_slot *slot, uint64_t now)
{
	job->bucket[blk_bucket(now - slot->start_ns)]++;
	job->done++;
	if (*slot->status != VIRTIO_BLK_S_OK ||
	    (!job->is_write && job->options->verify &&
	     !blk_is_stamped(slot, job->options->bytes)))
		job->bad++;
}

static bool blk_has_more(const struct blk_job *job, uint64_t now)
{
	return job->limit ? job->started < job->limit : now < job->end_ns;
}

static void blk_publish(struct blk_job *job)
{
	if (guest_ring_publish(job->ring)) {
		guest_device_kick(job->gd, job->queue);
		job->kicks++;
	}
}

/* Wait until there is something to reap. */
static int blk_wait(struct blk_job *job)
{
	int rc;

	if (job->options->poll) {
		pvio_cpu_relax();
		return 0;
	}
	if (guest_ring_enable_notify(job->ring))
		return 0;
	rc = guest_device_wait(job->gd, job->queue, 10000);
	guest_ring_disable_notify(job->ring);
	return rc < 0 ? rc : rc == 0 ? -ETIMEDOUT : 0;
}

static void *blk_job_run(void *arg)
{
	struct blk_job *job = arg;
	uint64_t before = guest_device_interrupts(job->gd, job->queue);
	uint64_t now = pvio_now_ns();
	struct blk_slot *slot;
	unsigned int i;
	bool reaped;
	uint32_t len;

	guest_ring_disable_notify(job->ring);
	for (i = 0; i < job->depth && blk_has_more(job, now); i++)
		blk_start(job, &job->slot[i]);
	blk_publish(job);
	while (!job->error && guest_ring_outstanding(job->ring)) {
		reaped = false;
		while ((slot = guest_ring_reap(job->ring, &len)) != NULL) {
			now = pvio_now_ns();
			blk_end(job, slot, now);
			if (blk_has_more(job, now))
				blk_start(job, slot);
			reaped = true;
		}
		if (reaped)
			blk_publish(job);
		else
			job->error = blk_wait(job);
	}
	job->interrupts = guest_device_interrupts(job->gd, job->queue) - before;
	return NULL;
}

/* --- the device ----------------------------------------------------------- */

static int blk_make_device(struct blk_bench *b)
{
	const struct blk_options *o = b->options;
	char *text;
	int rc;

	rc = bench_host_init(&b->host, b->way, (unsigned int)o->workers);
	if (rc < 0)
		return rc;
	if (o->has_cpus)
		bench_pin(o->cpu[1]);
	rc = bench_host_start(&b->host);
	if (rc < 0)
		return rc;
	if (asprintf(&text, "%s queues = %lu;", o->config, o->jobs) < 0)
		return -ENOMEM;
	rc = bench_host_add(&b->host, "bench", text, 1, &b->mem, &b->device);
	free(text);
	b->gd = b->device.gd;
	return rc;
}

static int blk_reach(struct blk_bench *b)
{
	const struct blk_options *o = b->options;

	if (!o->socket)
		return blk_make_device(b);
	return o->is_vfio_user ?
		       guest_device_open_vfio_user(o->socket, &b->mem, &b->gd) :
		       guest_device_open_vhost_user(o->socket, &b->mem, &b->gd);
}

static int blk_layout(struct blk_bench *b, struct blk_job *job)
{
	unsigned long bytes = b->options->bytes;
	struct blk_slot *slot;
	uint64_t gpa, data_gpa;
	unsigned int i;
	uint8_t *small;

	for (i = 0; i < BLK_MAX_DEPTH; i++) {
		slot = &job->slot[i];
		small = guest_alloc(&b->mem, BLK_HEADER_ROOM, 64, &gpa);
		slot->data = guest_alloc(&b->mem, bytes, 4096, &data_gpa);
		if (!small || !slot->data)
			return -ENOSPC;
		slot->header = (struct virtio_blk_outhdr *)small;
		slot->status = small + sizeof(*slot->header);
		slot->seg[0] = (struct guest_segment){ gpa, 16 };
		slot->seg[1] = (struct guest_segment){ data_gpa,
						       (uint32_t)bytes };
		slot->seg[2] = (struct guest_segment){ gpa + 16, 1 };
	}
	return 0;
}

static int blk_open(struct blk_bench *b)
{
	const struct blk_options *o = b->options;
	uint64_t features[2], sectors = 0;
	unsigned int q;
	int rc;

	b->is_open = true;
	guest_memory_init(&b->mem);
	rc = guest_memory_add(&b->mem, BLK_GPA,
			      ((uint64_t)1 << 20) * (1 + o->jobs) +
				      o->jobs * BLK_MAX_DEPTH *
					      (o->bytes + 8192));
	if (rc < 0)
		return rc;
	rc = blk_reach(b);
	if (o->has_cpus)
		bench_pin(o->cpu[0]);
	if (rc < 0)
		return rc;
	guest_device_features(b->gd, features);
	if (!o->packed)
		features[0] &= ~PVIO_BIT(VIRTIO_F_RING_PACKED);
	features[0] &= ~PVIO_BIT(VIRTIO_F_IN_ORDER);
	rc = guest_device_negotiate(b->gd, features);
	if (rc < 0)
		return rc;
	if (guest_device_nr_queues(b->gd) < o->jobs)
		return -E2BIG;
	for (q = 0; q < o->jobs && rc == 0; q++)
		rc = guest_device_setup_queue(b->gd, q, BLK_RING_SIZE);
	for (q = 0; q < o->jobs && rc == 0; q++)
		rc = blk_layout(b, &b->job[q]);
	if (rc == 0)
		rc = guest_device_start(b->gd);
	if (rc == 0)
		rc = guest_device_read_config(b->gd, 0, &sectors,
					      sizeof(sectors));
	b->capacity = le64toh(sectors) * BLK_SECTOR;
	return rc;
}

static void blk_close(struct blk_bench *b)
{
	if (b->options->socket)
		guest_device_close(b->gd);
	else
		bench_host_remove(&b->host, &b->device);
	bench_host_fini(&b->host);
	guest_memory_fini(&b->mem);
	b->gd = NULL;
}

/* --- runs ----------------------------------------------------------------- */

/*
 * Run every job, or with @limit only one, for so many requests.  The seconds it
 * took, or -errno.
 */
static double blk_run(struct blk_bench *b, unsigned int depth, bool is_write,
		      bool is_random, uint64_t limit)
{
	const struct blk_options *o = b->options;
	uint64_t span = o->span && o->span < b->capacity ? o->span
							 : b->capacity;
	uint64_t start = pvio_now_ns();
	unsigned int nr = limit ? 1 : (unsigned int)o->jobs;
	struct blk_job *job;
	unsigned int i;
	double rc = 0;

	for (i = 0; i < nr; i++) {
		job = &b->job[i];
		memset(&job->started, 0,
		       sizeof(*job) - offsetof(struct blk_job, started));
		job->options = o;
		job->gd = b->gd;
		job->ring = guest_device_ring(b->gd, i);
		job->queue = i;
		job->depth = depth;
		job->blocks = span / o->bytes;
		job->next = job->blocks / o->jobs * i;
		job->random = 88172645463325252ULL + i;
		job->is_write = is_write;
		job->is_random = is_random;
		job->limit = limit;
		job->end_ns = start + o->ms * 1000000ULL;
		if (pthread_create(&job->thread, NULL, blk_job_run, job) != 0)
			exit(EXIT_FAILURE);
	}
	for (i = 0; i < nr; i++) {
		pthread_join(b->job[i].thread, NULL);
		if (b->job[i].error)
			rc = b->job[i].error;
	}
	return rc < 0 ? rc : (double)(pvio_now_ns() - start) / 1e9;
}

/* Returns how many requests failed, or read what was not there. */
static uint64_t blk_report(struct bench_report *report,
			   const struct blk_bench *b, unsigned int depth,
			   double seconds)
{
	const struct blk_options *o = b->options;
	uint64_t done = 0, kicks = 0, interrupts = 0, bad = 0;
	uint64_t bucket[BLK_BUCKETS] = { 0 };
	const char *way = o->ways.nr > 1 ? guest_way_name(b->way) : "";
	char name[128];
	unsigned int i, k;

	for (i = 0; i < o->jobs; i++) {
		done += b->job[i].done;
		kicks += b->job[i].kicks;
		interrupts += b->job[i].interrupts;
		bad += b->job[i].bad;
		for (k = 0; k < BLK_BUCKETS; k++)
			bucket[k] += b->job[i].bucket[k];
	}
#define BLK_ROW(what, unit, value)                                        \
	do {                                                              \
		snprintf(name, sizeof(name), "%s%s%s depth %u, %s",       \
			 way, o->ways.nr > 1 ? ": " : "", o->label,       \
			 depth, what);                                    \
		bench_report_add(report, name, unit, value);              \
	} while (0)
	BLK_ROW("IOPS", "1/s", (double)done / seconds);
	BLK_ROW("throughput", "MB/s",
		(double)done * (double)o->bytes / seconds / 1e6);
	BLK_ROW("p50", "us", blk_percentile(bucket, done, 0.5));
	BLK_ROW("p99", "us", blk_percentile(bucket, done, 0.99));
	BLK_ROW("doorbells", "/request", (double)kicks / (double)done);
	BLK_ROW("interrupts", "/request", (double)interrupts / (double)done);
	if (bad || o->verify)
		BLK_ROW("errors", "", (double)bad);
	return bad;
}

/* What is verified has to be there first. */
static int blk_fill(struct blk_bench *b, uint64_t span)
{
	double seconds = blk_run(b, BLK_MAX_DEPTH / 2, true, false,
				 span / b->options->bytes);

	return seconds < 0 ? (int)seconds : 0;
}

/* Every depth once.  -EIO: there were errors, which are reported. */
static int blk_bench_depths(struct blk_bench *b, struct bench_report *report)
{
	const struct blk_options *o = b->options;
	bool is_write = o->rw == BLK_WRITE || o->rw == BLK_RANDWRITE;
	bool is_random = o->rw == BLK_RANDREAD || o->rw == BLK_RANDWRITE;
	uint64_t bad = 0;
	unsigned int i;
	double seconds;

	for (i = 0; i < o->nr_depths; i++) {
		seconds = blk_run(b, o->depth[i], is_write, is_random, 0);
		if (seconds < 0)
			return (int)seconds;
		bad += blk_report(report, b, o->depth[i], seconds);
	}
	return bad ? -EIO : 0;
}

static int blk_bench_way(struct blk_bench *b, struct bench_report *report)
{
	const struct blk_options *o = b->options;
	uint64_t span;
	int rc = 0;

	if (!b->is_open) {
		rc = blk_open(b);
		span = o->span && o->span < b->capacity ? o->span : b->capacity;
		if (rc == 0 && (o->bytes % BLK_SECTOR || o->bytes > span))
			rc = -EINVAL;
		if (rc == 0 && o->verify)
			rc = blk_fill(b, span);
	}
	return rc < 0 ? rc : blk_bench_depths(b, report);
}

/* Rounds of all transports, each with a device of its own. */
static int blk_bench_all(struct blk_bench *b, struct bench_report *report)
{
	const struct blk_options *o = b->options;
	unsigned long round;
	unsigned int i;
	int rc = 0;

	for (round = 0; round < o->repeat; round++)
		for (i = 0; i < o->ways.nr; i++) {
			b->way = o->ways.way[i];
			rc = blk_bench_way(b, report);
			if (rc < 0)
				return rc;
			if (o->ways.nr == 1)
				continue;
			blk_close(b);
			memset(b, 0, sizeof(*b));
			b->options = o;
		}
	return 0;
}

int bench_block(int argc, char **argv)
{
	struct blk_options o = { .rw = BLK_RANDREAD,
				 .bytes = 4096,
				 .ms = 2000,
				 .jobs = 1,
				 .workers = 1,
				 .repeat = 3,
				 .depth = { 1, 32 },
				 .nr_depths = 2,
				 .ways = { { GUEST_WAY_LOOPBACK }, 1 } };
	struct bench_report *report;
	struct blk_bench *b;
	char label[64];
	int rc;

	if (!blk_parse(argc, argv, &o))
		return 2;
	if (o.socket)
		o.ways.nr = 1;
	if (!o.label) {
		snprintf(label, sizeof(label), "%s %lu, %lu queue%s,",
			 blk_rw_names[o.rw], o.bytes, o.jobs,
			 o.jobs > 1 ? "s" : "");
		o.label = label;
	}
	report = bench_report_create("block");
	b = calloc(1, sizeof(*b));
	if (!report || !b) {
		fprintf(stderr, "pvio-bench: no memory\n");
		return EXIT_FAILURE;
	}
	b->options = &o;
	rc = blk_bench_all(b, report);
	if (rc == 0)
		rc = bench_report_print(report, o.json);
	if (rc < 0)
		fprintf(stderr, "pvio-bench block: %s: %s\n",
			o.socket ? o.socket : guest_way_name(b->way),
			strerror(-rc));
	if (b->is_open)
		blk_close(b);
	free(b);
	bench_report_destroy(report);
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
