/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_vhost_user.c - a front-end that says anything, to a disk
 *
 * The input is a script of the other side: messages and raw bytes, each with
 * descriptors of any kind, writes to guest memory, kicks, reconnections.  The
 * device, its socket and the kinds of descriptors live as long as the process;
 * after each script the front-end leaves, and every descriptor that the device
 * was given must be closed again.
 *
 *	'M' request flags nr_fds kind... size16 bytes...   a message
 *	'R' nr_fds kind... size8 bytes...                  bytes as they are
 *	'W' offset24 size8 bytes...                        guest memory
 *	'K'                                                kick
 *	'X'                                                hang up, connect
 *
 * Numbers are little-endian.  A size that is larger than what is left is what
 * is left.
 */
#include "core/memory.h"
#include "guest/vhost-user.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pvio_worker *worker;
static struct pvio_device *dev;
static struct guest_vu vu = { .fd = -1 };
static char path[64];
static uint8_t *ram;
static int inflight_fd = -1; /* the last one the device sent */

enum kind {
	KIND_RAM,
	KIND_KICK,
	KIND_CALL,
	KIND_SMALL,
	KIND_PIPE_READ,
	KIND_PIPE_WRITE,
	KIND_DIRECTORY,
	KIND_NULL,
	KIND_EPOLL,
	KIND_SOCKET,
	KIND_LOG,
	KIND_INFLIGHT,
	NR_KINDS
};
static int kinds[NR_KINDS];

struct script {
	const uint8_t *at, *end;
};

static void fuzz_require(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

static void fuzz_quiet(void *arg, enum pvio_log_level level,
		       const char *message)
{
	(void)arg;
	(void)level;
	(void)message;
}

#ifdef PVIO_MEMORY_CHECKED
/* A request header that lies in the descriptor table is read as both. */
static void fuzz_aliased(const void *p, size_t len)
{
	(void)p;
	(void)len;
}
#endif

static void fuzz_remove_socket(void)
{
	pvio_device_destroy(dev);
	pvio_worker_destroy(worker);
}

static void fuzz_open(void)
{
	int pipes[2], pair[2];
	char config[256];

#ifdef PVIO_MEMORY_CHECKED
	pvio_memory_double_fetch = fuzz_aliased;
#endif
	pvio_log_set(fuzz_quiet, NULL, PVIO_LOG_DEBUG);
	snprintf(path, sizeof(path), "/tmp/pvio-fuzz-%d.sock", (int)getpid());
	snprintf(config, sizeof(config),
		 "model = \"block\"; queues = 2; queue_size = 64; "
		 "backend = { type = \"memory\"; size = \"64K\"; }; "
		 "transport = { type = \"vhost-user\"; socket = \"%s\"; };",
		 path);
	fuzz_require(pvio_worker_create("fuzz", &worker) == 0, "worker");
	fuzz_require(pvio_device_create("fuzz", config, worker, &worker, 1,
					&dev) == 0,
		     "device");
	fuzz_require(pvio_device_start(dev) == 0, "start");
	atexit(fuzz_remove_socket);

	kinds[KIND_RAM] = memfd_create("ram", MFD_CLOEXEC);
	kinds[KIND_SMALL] = memfd_create("small", MFD_CLOEXEC);
	kinds[KIND_LOG] = memfd_create("log", MFD_CLOEXEC);
	fuzz_require(ftruncate(kinds[KIND_RAM], FUZZ_RAM_BYTES) == 0 &&
			     ftruncate(kinds[KIND_SMALL], 100) == 0 &&
			     ftruncate(kinds[KIND_LOG], 1 << 20) == 0,
		     "memfd");
	ram = mmap(NULL, FUZZ_RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		   kinds[KIND_RAM], 0);
	fuzz_require(ram != MAP_FAILED, "mmap");
	kinds[KIND_KICK] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	kinds[KIND_CALL] = eventfd(0, EFD_CLOEXEC);
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
	kinds[KIND_INFLIGHT] = -1;
}

/* --- the script ----------------------------------------------------------- */

static uint32_t take(struct script *s, unsigned int bytes)
{
	uint32_t value = 0;
	unsigned int i;

	for (i = 0; i < bytes && s->at < s->end; i++)
		value |= (uint32_t)*s->at++ << (8 * i);
	return value;
}

static const uint8_t *take_bytes(struct script *s, size_t *size)
{
	const uint8_t *bytes = s->at;

	*size = pvio_min(*size, (size_t)(s->end - s->at));
	s->at += *size;
	return bytes;
}

static unsigned int take_fds(struct script *s, int fds[16])
{
	unsigned int nr = take(s, 1) % 16, i;

	for (i = 0; i < nr; i++) {
		fds[i] = kinds[take(s, 1) % NR_KINDS];
		if (fds[i] < 0)
			fds[i] = kinds[KIND_NULL];
	}
	return nr;
}

static void fuzz_settle(void)
{
	struct guest_vu_reply reply;
	char byte;
	int i;

	for (i = 0; i < FUZZ_MAX_STEPS && pvio_worker_step(worker); i++)
		;
	fuzz_require(i < FUZZ_MAX_STEPS, "the worker never comes to rest");
	while (vu.fd >= 0 &&
	       recv(vu.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1) {
		if (guest_vu_receive(&vu, &reply, 100) < 0)
			break;
		if (reply.fd < 0)
			continue;
		if (inflight_fd >= 0)
			close(inflight_fd);
		inflight_fd = kinds[KIND_INFLIGHT] = reply.fd;
	}
}

static void fuzz_connect(void)
{
	guest_vu_close(&vu);
	fuzz_settle();
	fuzz_require(guest_vu_connect(&vu, path, worker) == 0, "connect");
	fuzz_settle();
}

static void fuzz_message(struct script *s)
{
	uint32_t request = take(s, 1), flags = take(s, 1);
	int fds[16];
	unsigned int nr_fds = take_fds(s, fds);
	size_t size = take(s, 2);
	const uint8_t *bytes = take_bytes(s, &size);

	guest_vu_send(&vu, request, flags & ~(VU_VERSION_MASK | VU_REPLY),
		      bytes, size, fds, nr_fds);
}

static void fuzz_bytes(struct script *s)
{
	int fds[16];
	unsigned int nr_fds = take_fds(s, fds);
	size_t size = take(s, 1);
	const uint8_t *bytes = take_bytes(s, &size);

	guest_vu_send_bytes(&vu, bytes, size, fds, nr_fds);
}

static void fuzz_write(struct script *s)
{
	size_t at = take(s, 3) % FUZZ_RAM_BYTES, size = take(s, 1);
	const uint8_t *bytes = take_bytes(s, &size);

	memcpy(ram + at, bytes, pvio_min(size, FUZZ_RAM_BYTES - at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, data + size };
	const uint64_t one = 1;
	unsigned int actions = 0;
	int lowest, fd;

	if (!worker)
		fuzz_open();
	memset(ram, 0, 65536);
	lowest = fcntl(0, F_DUPFD, 0);
	close(lowest);
	fuzz_connect();
	while (s.at < s.end && actions++ < FUZZ_MAX_ACTIONS) {
		switch (take(&s, 1)) {
		case 'M':
			fuzz_message(&s);
			break;
		case 'R':
			fuzz_bytes(&s);
			break;
		case 'W':
			fuzz_write(&s);
			break;
		case 'K':
			if (write(kinds[KIND_KICK], &one, sizeof(one)) < 0)
				break;
			break;
		case 'X':
			fuzz_connect();
			break;
		}
		fuzz_settle();
	}
	guest_vu_close(&vu);
	if (inflight_fd >= 0)
		close(inflight_fd);
	inflight_fd = kinds[KIND_INFLIGHT] = -1;
	fuzz_settle();
	fd = fcntl(0, F_DUPFD, 0);
	close(fd);
	fuzz_require(fd == lowest, "a descriptor was leaked");
	return 0;
}
