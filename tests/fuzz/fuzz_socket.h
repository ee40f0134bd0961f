/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_socket.h - the other side of a device's socket, told what to say
 *
 * A target creates its devices once, on one worker that it steps; they live as
 * long as the process.  The input is a script; its numbers are little-endian,
 * what is missing is 0, and a size that is larger than what is left is what is
 * left.
 *
 * Messages carry descriptors of many kinds.  The script names them by number:
 * first those of here, then those that a target has of its own.
 */
#ifndef PVIO_TESTS_FUZZ_SOCKET_H
#define PVIO_TESTS_FUZZ_SOCKET_H

#include "core/memory.h"
#include "core/util.h"

#include <pvio/pvio.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define FUZZ_RAM_BYTES   (1u << 20)
#define FUZZ_MAX_ACTIONS 64
#define FUZZ_MAX_STEPS   10000
#define FUZZ_MAX_KINDS   16
#define FUZZ_MAX_FDS     16 /* of a message */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum kind {
	KIND_RAM,
	KIND_EVENT,
	KIND_EVENT_BLOCKING,
	KIND_SMALL,
	KIND_PIPE_READ,
	KIND_PIPE_WRITE,
	KIND_DIRECTORY,
	KIND_NULL,
	KIND_EPOLL,
	KIND_SOCKET,
	KIND_OWN /* the target's first */
};

static struct pvio_worker *worker;
static uint8_t *ram;              /* what KIND_RAM is */
static int kinds[FUZZ_MAX_KINDS]; /* -1: not now */
static unsigned int nr_kinds;

struct script {
	const uint8_t *at, *end;
};

static inline void fuzz_require(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

static inline void fuzz_quiet(void *arg, enum pvio_log_level level,
			      const char *message)
{
	(void)arg;
	(void)level;
	(void)message;
}

#ifdef PVIO_MEMORY_CHECKED
/* A request header that lies in the descriptor table is read as both. */
static inline void fuzz_aliased(const void *p, size_t len)
{
	(void)p;
	(void)len;
}
#endif

/* --- once ----------------------------------------------------------------- */

/* First of all: the worker, and silence. */
static inline void fuzz_open_worker(void)
{
#ifdef PVIO_MEMORY_CHECKED
	pvio_memory_double_fetch = fuzz_aliased;
#endif
	pvio_log_set(fuzz_quiet, NULL, PVIO_LOG_DEBUG);
	fuzz_require(pvio_worker_create("fuzz", &worker) == 0, "worker");
}

static inline struct pvio_device *fuzz_open_device(const char *name,
						   const char *config)
{
	struct pvio_device *dev;

	fuzz_require(
		pvio_device_create(name, config, worker, &worker, 1, &dev) == 0,
		"device");
	fuzz_require(pvio_device_start(dev) == 0, "start");
	return dev;
}

/* A file without a name. */
static inline int fuzz_memfd(const char *name, off_t bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	fuzz_require(fd >= 0 && ftruncate(fd, bytes) == 0, "memfd");
	return fd;
}

/* Fill in the first KIND_OWN of @nr kinds; the rest is the target's. */
static inline void fuzz_open_kinds(unsigned int nr)
{
	int pipes[2], pair[2];

	nr_kinds = nr;
	kinds[KIND_RAM] = fuzz_memfd("ram", FUZZ_RAM_BYTES);
	ram = mmap(NULL, FUZZ_RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		   kinds[KIND_RAM], 0);
	fuzz_require(ram != MAP_FAILED, "mmap");
	kinds[KIND_SMALL] = fuzz_memfd("small", 100);
	kinds[KIND_EVENT] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	kinds[KIND_EVENT_BLOCKING] = eventfd(0, EFD_CLOEXEC);
	fuzz_require(pipe(pipes) == 0, "pipe");
	kinds[KIND_PIPE_READ] = pipes[0];
	kinds[KIND_PIPE_WRITE] = pipes[1];
	kinds[KIND_DIRECTORY] = open("/", O_RDONLY | O_DIRECTORY);
	kinds[KIND_NULL] = open("/dev/null", O_RDWR);
	kinds[KIND_EPOLL] = epoll_create1(0);
	fuzz_require(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0,
		"socketpair");
	kinds[KIND_SOCKET] = pair[0];
}

/* --- the script ----------------------------------------------------------- */

static inline uint32_t take(struct script *s, unsigned int bytes)
{
	uint32_t value = 0;
	unsigned int i;

	for (i = 0; i < bytes && s->at < s->end; i++)
		value |= (uint32_t)*s->at++ << (8 * i);
	return value;
}

static inline const uint8_t *take_bytes(struct script *s, size_t *size)
{
	const uint8_t *bytes = s->at;

	*size = pvio_min(*size, (size_t)(s->end - s->at));
	s->at += *size;
	return bytes;
}

static inline unsigned int take_fds(struct script *s, int fds[FUZZ_MAX_FDS])
{
	unsigned int nr = take(s, 1) % FUZZ_MAX_FDS, i;

	for (i = 0; i < nr; i++) {
		fds[i] = kinds[take(s, 1) % nr_kinds];
		if (fds[i] < 0)
			fds[i] = kinds[KIND_NULL];
	}
	return nr;
}

/* offset24 size8 bytes... */
static inline void fuzz_write_memory(struct script *s)
{
	size_t at = take(s, 3) % FUZZ_RAM_BYTES, size = take(s, 1);
	const uint8_t *bytes = take_bytes(s, &size);

	memcpy(ram + at, bytes, pvio_min(size, FUZZ_RAM_BYTES - at));
}

/* The next descriptor there will be: the same again if none was leaked. */
static inline int fuzz_lowest_fd(void)
{
	int fd = fcntl(0, F_DUPFD, 0);

	close(fd);
	return fd;
}

#endif
