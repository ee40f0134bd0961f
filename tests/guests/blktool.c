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
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream.h"

#define BLOCK_BYTES ((size_t)4096)
#define CHUNK_BYTES ((size_t)65536)
#define THREADS_MAX 16
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
	die("fill|check PATH OFFSET BYTES SEED, hammer PATH SEED THREADS "
	    "BLOCKS, verify PATH SEED BLOCKS WRITES..., bench PATH read|write "
	    "BYTES THREADS SECONDS");
}
