// SPDX-License-Identifier: BSD-3-Clause
/*
 * blktool.c - verified disk I/O, inside a guest and on the image it leaves
 *
 *	blktool fill PATH OFFSET BYTES SEED	write a stream
 *	blktool check PATH OFFSET BYTES SEED	read it back
 *	blktool hammer PATH SEED THREADS BLOCKS	tagged writes, until told to stop
 *	blktool verify PATH SEED BLOCKS WRITES...  are they all there?
 *	blktool bench PATH read|write BYTES THREADS SECONDS
 *						in the second half of the disk
 *	blktool random BYTES DEPTH SECONDS PATH...
 *						read at random, DEPTH at a time
 *						of each disk, all at once
 *	blktool ring PATH OFFSET VALUE COUNT	time COUNT writes of VALUE to a
 *						register of a PCI function
 *	blktool tsc				kHz of the time stamp counter
 *
 * hammer: every thread owns BLOCKS blocks of the disk and writes them in an
 * order that follows from the seed, each write with its number in it, and now
 * and then reads one back.  It stops when the block after the last thread's
 * is not zero any more (whoever owns the image writes it) and prints how many
 * writes of each thread were acknowledged; verify computes from those numbers
 * what every block must hold.  A write that was lost, or repeated after a
 * later one of the same block, shows in both places.
 */
#include "build-config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "histogram.h"
#include "stream.h"

#define BLOCK_BYTES  ((size_t)4096)
#define CHUNK_BYTES  ((size_t)65536)
#define THREADS_MAX  16
#define DEPTH_MAX    128
#define HAMMER_MAGIC 0x7076696f68616d72u

static void __attribute__((format(printf, 1, 2), noreturn))
die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("blktool: ", stdout);
	vprintf(fmt, args);
	fputs("\n", stdout);
	va_end(args);
	exit(1);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno || end == text || *end)
		die("%s: not a number", text);
	return n;
}

/* Past the page cache where the file system can: in a guest it always can. */
static int open_disk(const char *path, int flags)
{
	int fd = open(path, flags | O_DIRECT | O_CLOEXEC, 0644);

	if (fd < 0 && errno == EINVAL)
		fd = open(path, flags | O_CLOEXEC, 0644);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

static void *buffer(size_t bytes)
{
	void *p;

	if (posix_memalign(&p, BLOCK_BYTES, bytes))
		die("out of memory");
	return p;
}

static void put(int fd, const void *buf, size_t bytes, uint64_t offset)
{
	ssize_t n = pwrite(fd, buf, bytes, (off_t)offset);

	if (n != (ssize_t)bytes)
		die("write of %zu at %llu: %s", bytes,
		    (unsigned long long)offset,
		    n < 0 ? strerror(errno) : "short");
}

static void get(int fd, void *buf, size_t bytes, uint64_t offset)
{
	ssize_t n = pread(fd, buf, bytes, (off_t)offset);

	if (n != (ssize_t)bytes)
		die("read of %zu at %llu: %s", bytes,
		    (unsigned long long)offset,
		    n < 0 ? strerror(errno) : "short");
}

static int stream_command(bool check, char **arg)
{
	uint64_t offset = number(arg[1]);
	uint64_t left = number(arg[2]);
	uint64_t seed = number(arg[3]);
	char *buf = buffer(CHUNK_BYTES);
	int fd, flags;
	uint64_t at;
	size_t n;
	long bad;

	flags = check ? O_RDONLY : O_WRONLY | O_CREAT;
	if (offset % BLOCK_BYTES || left % BLOCK_BYTES)
		fd = open(arg[0], flags | O_CLOEXEC, 0644);
	else
		fd = open_disk(arg[0], flags);
	if (fd < 0)
		die("%s: %s", arg[0], strerror(errno));
	for (at = offset; left; at += n, left -= n) {
		n = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
		if (check) {
			get(fd, buf, n, at);
			bad = stream_check(buf, n, seed, at);
			if (bad >= 0)
				die("wrong data at %llu",
				    (unsigned long long)at +
					    (unsigned long long)bad);
		} else {
			stream_fill(buf, n, seed, at);
			put(fd, buf, n, at);
		}
	}
	if (!check && fsync(fd))
		die("fsync: %s", strerror(errno));
	free(buf);
	close(fd);
	return 0;
}

/* --- hammer -------------------------------------------------------------- */

struct tag {
	uint64_t magic;
	uint64_t thread;
	uint64_t block;
	uint64_t write; /* its number; the rest of the block is its stream */
};

struct hammer {
	int fd;
	uint64_t seed;
	uint64_t thread;
	uint64_t blocks;
	uint64_t *last; /* by block: number of the last write, 0 = none */
	uint64_t writes;
	double slowest;
	pthread_t id;
};

static atomic_bool hammer_stop;

static uint64_t hammer_block(uint64_t seed, uint64_t thread, uint64_t write,
			     uint64_t blocks)
{
	return stream_mix(stream_word(seed, thread) ^ write) % blocks;
}

static void hammer_fill(char *buf, uint64_t seed, uint64_t thread,
			uint64_t block, uint64_t write)
{
	struct tag tag = { HAMMER_MAGIC, thread, block, write };

	stream_fill(buf, BLOCK_BYTES, seed ^ (thread << 56) ^ write, 0);
	memcpy(buf, &tag, sizeof(tag));
}

/* Does the block hold write @write, or when 0, is it untouched? */
static bool hammer_holds(const char *buf, uint64_t seed, uint64_t thread,
			 uint64_t block, uint64_t write)
{
	static const char zero[BLOCK_BYTES];
	char want[BLOCK_BYTES];
	struct tag tag;

	if (write) {
		hammer_fill(want, seed, thread, block, write);
		if (!memcmp(buf, want, BLOCK_BYTES))
			return true;
	} else if (!memcmp(buf, zero, BLOCK_BYTES)) {
		return true;
	}
	memcpy(&tag, buf, sizeof(tag));
	printf("blktool: thread %llu block %llu: want write %llu, ",
	       (unsigned long long)thread, (unsigned long long)block,
	       (unsigned long long)write);
	if (tag.magic == HAMMER_MAGIC)
		printf("found thread %llu block %llu write %llu\n",
		       (unsigned long long)tag.thread,
		       (unsigned long long)tag.block,
		       (unsigned long long)tag.write);
	else
		printf("found no tag\n");
	return false;
}

static void *hammer_thread(void *arg)
{
	struct hammer *h = arg;
	uint64_t base = h->thread * h->blocks;
	char *buf = buffer(BLOCK_BYTES);
	double before, took;
	uint64_t block, n;

	for (n = 1; !atomic_load(&hammer_stop); n++) {
		before = stream_now();
		block = hammer_block(h->seed, h->thread, n, h->blocks);
		hammer_fill(buf, h->seed, h->thread, block, n);
		put(h->fd, buf, BLOCK_BYTES, (base + block) * BLOCK_BYTES);
		h->last[block] = n;
		h->writes = n;
		if (n % 4 == 0) {
			block = stream_mix(n) % h->blocks;
			get(h->fd, buf, BLOCK_BYTES,
			    (base + block) * BLOCK_BYTES);
			if (!hammer_holds(buf, h->seed, h->thread, block,
					  h->last[block]))
				die("hammer: a write was lost");
		}
		if (n % 64 == 0 && fdatasync(h->fd))
			die("fdatasync: %s", strerror(errno));
		took = stream_now() - before;
		if (took > h->slowest)
			h->slowest = took;
		if (h->thread == 0 && n % 16 == 0) {
			printf("@@ progress %llu\n", (unsigned long long)n);
			fflush(stdout);
		}
	}
	free(buf);
	return NULL;
}

static int hammer_command(char **arg)
{
	struct hammer h[THREADS_MAX];
	uint64_t threads = number(arg[2]);
	char *buf = buffer(BLOCK_BYTES);
	double slowest = 0;
	uint64_t i;

	if (threads == 0 || threads > THREADS_MAX)
		die("1 to %d threads", THREADS_MAX);
	for (i = 0; i < threads; i++) {
		h[i] = (struct hammer){
			.fd = open_disk(arg[0], O_RDWR),
			.seed = number(arg[1]),
			.thread = i,
			.blocks = number(arg[3]),
		};
		h[i].last = calloc(h[i].blocks, sizeof(*h[i].last));
		if (!h[i].last)
			die("out of memory");
	}
	for (i = 0; i < threads; i++)
		if (pthread_create(&h[i].id, NULL, hammer_thread, &h[i]))
			die("pthread_create");
	do {
		usleep(50000);
		get(h[0].fd, buf, BLOCK_BYTES,
		    threads * h[0].blocks * BLOCK_BYTES);
	} while (!buf[0]);
	atomic_store(&hammer_stop, true);
	for (i = 0; i < threads; i++) {
		pthread_join(h[i].id, NULL);
		if (h[i].slowest > slowest)
			slowest = h[i].slowest;
	}
	printf("@@ slowest %.2f s\n@@ writes", slowest);
	for (i = 0; i < threads; i++)
		printf(" %llu", (unsigned long long)h[i].writes);
	printf("\n");
	return 0;
}

static int verify_command(int argc, char **arg)
{
	int fd = open_disk(arg[0], O_RDONLY);
	uint64_t seed = number(arg[1]);
	uint64_t blocks = number(arg[2]);
	uint64_t *last = calloc(blocks, sizeof(*last));
	char *buf = buffer(BLOCK_BYTES);
	uint64_t total = 0, writes, t, n;
	bool good = true;

	if (!last)
		die("out of memory");
	for (t = 0; t + 3 < (uint64_t)argc; t++) {
		writes = number(arg[t + 3]);
		total += writes;
		memset(last, 0, blocks * sizeof(*last));
		for (n = 1; n <= writes; n++)
			last[hammer_block(seed, t, n, blocks)] = n;
		for (n = 0; n < blocks; n++) {
			get(fd, buf, BLOCK_BYTES,
			    (t * blocks + n) * BLOCK_BYTES);
			good &= hammer_holds(buf, seed, t, n, last[n]);
		}
	}
	if (!good || total == 0)
		die("verify: the image is wrong");
	printf("%llu acknowledged writes, all of them in the image\n",
	       (unsigned long long)total);
	return 0;
}

/* --- bench --------------------------------------------------------------- */

struct bench {
	int fd;
	bool write;
	size_t bytes;
	uint64_t start;
	uint64_t span;
	double until;
	uint64_t requests;
	pthread_t id;
};

static void *bench_thread(void *arg)
{
	struct bench *b = arg;
	char *buf = buffer(b->bytes);
	uint64_t at;

	memset(buf, 0x5a, b->bytes);
	while (stream_now() < b->until) {
		at = b->start + b->requests * b->bytes % b->span;
		if (b->write)
			put(b->fd, buf, b->bytes, at);
		else
			get(b->fd, buf, b->bytes, at);
		b->requests++;
	}
	free(buf);
	return NULL;
}

static int bench_command(char **arg)
{
	struct bench b[THREADS_MAX];
	bool write = !strcmp(arg[1], "write");
	size_t bytes = (size_t)number(arg[2]);
	uint64_t threads = number(arg[3]);
	uint64_t i, requests = 0, disk;
	double before, took;
	int fd = open_disk(arg[0], O_RDWR);

	if (threads == 0 || threads > THREADS_MAX || bytes % BLOCK_BYTES)
		die("1 to %d threads, a multiple of %zu bytes", THREADS_MAX,
		    BLOCK_BYTES);
	disk = (uint64_t)lseek(fd, 0, SEEK_END);
	before = stream_now();
	for (i = 0; i < threads; i++) {
		b[i] = (struct bench){ .fd = fd,
				       .write = write,
				       .bytes = bytes,
				       .until = before +
						(double)number(arg[4]) };
		b[i].span = disk / 2 / threads / bytes * bytes;
		b[i].start = disk / 2 / bytes * bytes + i * b[i].span;
		if (b[i].span < bytes)
			die("the disk is too small");
		if (pthread_create(&b[i].id, NULL, bench_thread, &b[i]))
			die("pthread_create");
	}
	for (i = 0; i < threads; i++) {
		pthread_join(b[i].id, NULL);
		requests += b[i].requests;
	}
	took = stream_now() - before;
	printf("%s, %zu KiB x %llu: %.0f requests/s, %.1f MB/s\n", arg[1],
	       bytes / 1024, (unsigned long long)threads,
	       (double)requests / took,
	       (double)requests * (double)bytes / took / 1e6);
	close(fd);
	return 0;
}

/* --- random -------------------------------------------------------------- */

struct random {
	int fd;
	size_t bytes;
	unsigned int depth;
	uint64_t blocks; /* of the disk */
	uint64_t seed;
	double until;
	struct histogram times;
	pthread_t id;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Submit @nr of @cb, as one; when, is in their data. */
static void random_submit(aio_context_t context, struct iocb **cb, long nr)
{
	uint64_t now = now_ns();
	long i, n;

	for (i = 0; i < nr; i++)
		cb[i]->aio_data = now;
	for (i = 0; i < nr; i += n) {
		n = syscall(SYS_io_submit, context, nr - i, cb + i);
		if (n <= 0)
			die("io_submit: %s", strerror(errno));
	}
}

/* What is there is reaped, at least one, and as many are submitted again. */
static void *random_thread(void *arg)
{
	struct random *r = arg;
	struct iocb cb[DEPTH_MAX], *again[DEPTH_MAX];
	struct io_event event[DEPTH_MAX];
	char *buf = buffer(r->bytes * r->depth);
	aio_context_t context = 0;
	long i, n, in_flight = 0;
	uint64_t now;

	if (syscall(SYS_io_setup, r->depth, &context))
		die("io_setup: %s", strerror(errno));
	for (i = 0; i < (long)r->depth; i++) {
		cb[i] = (struct iocb){
			.aio_lio_opcode = IOCB_CMD_PREAD,
			.aio_fildes = (uint32_t)r->fd,
			.aio_buf = (uintptr_t)buf + (size_t)i * r->bytes,
			.aio_nbytes = r->bytes,
		};
		again[i] = &cb[i];
	}
	n = (long)r->depth;
	do {
		for (i = 0; i < n; i++)
			again[i]->aio_offset =
				(int64_t)(stream_word(r->seed,
						      r->times.count +
							      (uint64_t)i) %
					  r->blocks * r->bytes);
		random_submit(context, again, n);
		in_flight += n;
		n = syscall(SYS_io_getevents, context, 1L, (long)r->depth,
			    event, NULL);
		if (n <= 0)
			die("io_getevents: %s", strerror(errno));
		in_flight -= n;
		now = now_ns();
		for (i = 0; i < n; i++) {
			if (event[i].res != (int64_t)r->bytes)
				die("read: %s", strerror((int)-event[i].res));
			histogram_add(&r->times, now - event[i].data);
			again[i] = (struct iocb *)(uintptr_t)event[i].obj;
		}
	} while (stream_now() < r->until);
	for (; in_flight > 0; in_flight -= n) {
		n = syscall(SYS_io_getevents, context, in_flight, in_flight,
			    event, NULL);
		if (n <= 0)
			die("io_getevents: %s", strerror(errno));
		now = now_ns();
		for (i = 0; i < n; i++)
			histogram_add(&r->times, now - event[i].data);
	}
	syscall(SYS_io_destroy, context);
	free(buf);
	return NULL;
}

static int random_command(int nr, char **arg)
{
	static struct random r[THREADS_MAX];
	static struct histogram all;
	double before;
	int i, nr_disks = nr - 3;
	uint64_t depth = number(arg[1]);

	if (nr_disks > THREADS_MAX || depth == 0 || depth > DEPTH_MAX ||
	    number(arg[0]) % BLOCK_BYTES || number(arg[0]) == 0)
		die("up to %d disks, %d at a time, a multiple of %zu bytes",
		    THREADS_MAX, DEPTH_MAX, BLOCK_BYTES);
	before = stream_now();
	for (i = 0; i < nr_disks; i++) {
		r[i] = (struct random){
			.fd = open_disk(arg[3 + i], O_RDONLY),
			.bytes = (size_t)number(arg[0]),
			.depth = (unsigned int)depth,
			.seed = (uint64_t)i + 1,
			.until = before + strtod(arg[2], NULL),
		};
		r[i].blocks = (uint64_t)lseek(r[i].fd, 0, SEEK_END) /
			      r[i].bytes;
		if (r[i].blocks == 0)
			die("%s is too small", arg[3 + i]);
		if (pthread_create(&r[i].id, NULL, random_thread, &r[i]))
			die("pthread_create");
	}
	for (i = 0; i < nr_disks; i++) {
		pthread_join(r[i].id, NULL);
		histogram_join(&all, &r[i].times);
	}
	printf("blocks ");
	histogram_print(&all, stream_now() - before);
	return 0;
}

/* --- ring ---------------------------------------------------------------- */

/* What a write costs its processor, until that goes on. */
static int ring_command(char **arg)
{
	static struct histogram times;
	int fd = open(arg[0], O_RDWR | O_SYNC | O_CLOEXEC);
	uint64_t offset = number(arg[1]), i, before;
	volatile uint32_t *page;
	double start;

	if (fd < 0)
		die("%s: %s", arg[0], strerror(errno));
	page = mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    (off_t)(offset / BLOCK_BYTES * BLOCK_BYTES));
	if (page == MAP_FAILED)
		die("mmap %s: %s", arg[0], strerror(errno));
	start = stream_now();
	for (i = number(arg[3]); i > 0; i--) {
		before = now_ns();
		page[offset % BLOCK_BYTES / 4] = (uint32_t)number(arg[2]);
		histogram_add(&times, now_ns() - before);
		/* Rings in a row would wait for each other. */
		usleep(1000);
	}
	printf("rings ");
	histogram_print(&times, stream_now() - start);
	return 0;
}

/* --- tsc ----------------------------------------------------------------- */

static int tsc_command(void)
{
#ifdef __x86_64__
	uint64_t before = now_ns(), ticks = __builtin_ia32_rdtsc();
	uint64_t took;

	usleep(200000);
	ticks = __builtin_ia32_rdtsc() - ticks;
	took = now_ns() - before;
	printf("%llu\n", (unsigned long long)(ticks * 1000000 / took));
	return 0;
#else
	die("tsc: there is none");
#endif
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	int nr = argc - 2;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(command, "fill") && nr == 4)
		return stream_command(false, argv + 2);
	if (!strcmp(command, "check") && nr == 4)
		return stream_command(true, argv + 2);
	if (!strcmp(command, "hammer") && nr == 4)
		return hammer_command(argv + 2);
	if (!strcmp(command, "verify") && nr >= 4)
		return verify_command(nr, argv + 2);
	if (!strcmp(command, "bench") && nr == 5)
		return bench_command(argv + 2);
	if (!strcmp(command, "random") && nr >= 4)
		return random_command(nr, argv + 2);
	if (!strcmp(command, "ring") && nr == 4)
		return ring_command(argv + 2);
	if (!strcmp(command, "tsc") && nr == 0)
		return tsc_command();
	die("fill|check PATH OFFSET BYTES SEED, hammer PATH SEED THREADS "
	    "BLOCKS, verify PATH SEED BLOCKS WRITES..., bench PATH read|write "
	    "BYTES THREADS SECONDS, random BYTES DEPTH SECONDS PATH..., ring "
	    "PATH OFFSET VALUE COUNT, tsc");
}
