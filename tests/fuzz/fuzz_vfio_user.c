/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_vfio_user.c - a client that says anything, to a disk or a network card
 *
 * The input is a script of the other side: messages and raw bytes, each with
 * descriptors of any kind, writes to guest memory, kicks, reconnections.  The
 * devices, their sockets and the kinds of descriptors live as long as the
 * process; after each script the client leaves, and every descriptor that the
 * device was given must be closed again, every file unmapped.
 *
 * The first byte says which device: bit 0 the network card, bit 1 doorbells
 * that are polled, bit 2 without the handshake.  Then:
 *
 *	'M' command flags nr_fds kind... size16 bytes...   a message
 *	'R' nr_fds kind... size8 bytes...                  bytes as they are
 *	'A' region8 offset16 size8 bytes...                a register is written
 *	'L' region8 offset16 size8                         ... is read
 *	'D' page8 pages8 kind                              memory is mapped
 *	'U' page8 pages8                                   ... and unmapped
 *	'V' vector8 kind                                   a vector's eventfd
 *	'W' offset24 size8 bytes...                        guest memory
 *	'Q' queue8                                         a queue by the book
 *	'X'                                                hang up, connect
 *
 * Numbers are little-endian.  A size that is larger than what is left is what
 * is left.
 */
#include "core/device.h"
#include "core/memory.h"
#include "core/virtio.h"
#include "guest/vfio-user.h"

#include <pvio/pvio.h>

#include <fcntl.h>
#include <linux/virtio_pci.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define FUZZ_RAM_BYTES	 (1u << 20)
#define FUZZ_MAX_ACTIONS 64
#define FUZZ_MAX_STEPS	 10000
#define NR_DEVICES	 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pvio_worker *worker;
static struct pvio_device *devs[NR_DEVICES];
static char paths[NR_DEVICES][64];
static unsigned int current;
static bool wants_handshake;
static struct guest_vfu vfu = { .fd = -1 };
static uint8_t *ram;

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
	KIND_READ_ONLY,
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

static void fuzz_remove_sockets(void)
{
	unsigned int i;

	for (i = 0; i < NR_DEVICES; i++)
		pvio_device_destroy(devs[i]);
	pvio_worker_destroy(worker);
}

static void fuzz_open_device(unsigned int i)
{
	static const char *const models[] = {
		"model = \"block\"; queues = 2; queue_size = 64; "
		"backend = { type = \"memory\"; size = \"64K\"; };",
		"model = \"net\"; queues = 2; queue_size = 64; "
		"backend = { type = \"null\"; };",
	};
	static const char *const doorbells[] = { "trap", "poll" };
	char config[512], name[8];

	snprintf(paths[i], sizeof(paths[i]), "/tmp/pvio-fuzz-%d-%u.sock",
		 (int)getpid(), i);
	snprintf(name, sizeof(name), "fuzz%u", i);
	snprintf(config, sizeof(config),
		 "%s transport = { type = \"vfio-user\"; socket = \"%s\"; "
		 "doorbell = \"%s\"; };",
		 models[i & 1], paths[i], doorbells[i >> 1 & 1]);
	fuzz_require(pvio_device_create(name, config, worker, &worker, 1,
					&devs[i]) == 0,
		     "device");
	fuzz_require(pvio_device_start(devs[i]) == 0, "start");
}

static void fuzz_open_kinds(void)
{
	int pipes[2], pair[2];
	char path[64];

	kinds[KIND_RAM] = memfd_create("ram", MFD_CLOEXEC);
	kinds[KIND_SMALL] = memfd_create("small", MFD_CLOEXEC);
	fuzz_require(ftruncate(kinds[KIND_RAM], FUZZ_RAM_BYTES) == 0 &&
			     ftruncate(kinds[KIND_SMALL], 100) == 0,
		     "memfd");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", kinds[KIND_RAM]);
	kinds[KIND_READ_ONLY] = open(path, O_RDONLY | O_CLOEXEC);
	ram = mmap(NULL, FUZZ_RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		   kinds[KIND_RAM], 0);
	fuzz_require(ram != MAP_FAILED, "mmap");
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

static void fuzz_open(void)
{
	unsigned int i;

#ifdef PVIO_MEMORY_CHECKED
	pvio_memory_double_fetch = fuzz_aliased;
#endif
	pvio_log_set(fuzz_quiet, NULL, PVIO_LOG_DEBUG);
	fuzz_require(pvio_worker_create("fuzz", &worker) == 0, "worker");
	for (i = 0; i < NR_DEVICES; i++)
		fuzz_open_device(i);
	atexit(fuzz_remove_sockets);
	fuzz_open_kinds();
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

	for (i = 0; i < nr; i++)
		fds[i] = kinds[take(s, 1) % NR_KINDS];
	return nr;
}

/* Let everything be done, and throw away what it says. */
static void fuzz_settle(void)
{
	static uint8_t bytes[65536];
	int i;

	for (i = 0; i < FUZZ_MAX_STEPS && pvio_worker_step(worker); i++)
		if (vfu.fd >= 0 && i % 64 == 63)
			while (recv(vfu.fd, bytes, sizeof(bytes),
				    MSG_DONTWAIT) > 0)
				;
	fuzz_require(i < FUZZ_MAX_STEPS, "the worker never comes to rest");
	while (vfu.fd >= 0 &&
	       recv(vfu.fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void fuzz_hang_up(void)
{
	guest_vfu_close(&vfu);
	fuzz_settle();
}

static void fuzz_connect(void)
{
	fuzz_hang_up();
	fuzz_require(guest_vfu_connect(&vfu, paths[current], worker) == 0,
		     "connect");
	fuzz_settle();
	if (wants_handshake)
		fuzz_require(guest_vfu_version(&vfu, NULL) == 0, "VERSION");
	fuzz_settle();
}

static void fuzz_message(struct script *s)
{
	uint32_t command = take(s, 1), flags = take(s, 1);
	int fds[16];
	unsigned int nr_fds = take_fds(s, fds);
	size_t size = take(s, 2);
	const uint8_t *bytes = take_bytes(s, &size);

	/* Replies end the connection, which is seen soon enough by 'R'. */
	guest_vfu_send(&vfu, (uint16_t)command, flags & ~VFU_TYPE_MASK, bytes,
		       size, fds, nr_fds);
}

static void fuzz_bytes(struct script *s)
{
	int fds[16];
	unsigned int nr_fds = take_fds(s, fds);
	size_t size = take(s, 1);
	const uint8_t *bytes = take_bytes(s, &size);

	guest_vfu_send_bytes(&vfu, bytes, size, fds, nr_fds);
}

static void fuzz_write_register(struct script *s)
{
	uint32_t region = take(s, 1), offset = take(s, 2);
	size_t size = take(s, 1);
	const uint8_t *bytes = take_bytes(s, &size);

	guest_vfu_post(&vfu, region, offset, bytes, size);
}

static void fuzz_read_register(struct script *s)
{
	struct vfu_region_access access;

	access.region = take(s, 1);
	access.offset = take(s, 2);
	access.count = take(s, 1);
	guest_vfu_send(&vfu, VFU_REGION_READ, 0, &access, sizeof(access), NULL,
		       0);
}

static void fuzz_map(struct script *s, uint16_t command)
{
	uint64_t iova = (uint64_t)take(s, 1) << 12;
	uint64_t size = (uint64_t)(take(s, 1) + 1) << 12;
	struct vfu_dma_map map = { sizeof(map), 3, 0, iova, size };
	struct vfu_dma_unmap unmap = { sizeof(unmap), 0, iova, size };
	unsigned int kind;

	if (command == VFU_DMA_UNMAP) {
		guest_vfu_send(&vfu, command, 0, &unmap, sizeof(unmap), NULL,
			       0);
		return;
	}
	kind = take(s, 1);
	map.flags = kind & 0x80 ? 1 : 3;
	guest_vfu_send(&vfu, command, 0, &map, sizeof(map),
		       &kinds[kind % NR_KINDS], kind & 0x40 ? 0 : 1);
}

static void fuzz_vector(struct script *s)
{
	struct vfu_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_TRIGGER,
		.index = VFU_IRQ_MSIX,
		.start = take(s, 1),
		.count = 1,
	};
	unsigned int kind = take(s, 1);

	if (kind & 0x40)
		set.index = VFU_IRQ_INTX;
	guest_vfu_send(&vfu, VFU_SET_IRQS, 0, &set, sizeof(set),
		       &kinds[kind % NR_KINDS], kind & 0x80 ? 0 : 1);
}

static void fuzz_write_memory(struct script *s)
{
	size_t at = take(s, 3) % FUZZ_RAM_BYTES, size = take(s, 1);
	const uint8_t *bytes = take_bytes(s, &size);

	memcpy(ram + at, bytes, pvio_min(size, FUZZ_RAM_BYTES - at));
}

static void fuzz_common(uint64_t offset, uint64_t value, size_t len)
{
	guest_vfu_post(&vfu, 4, offset, &value, len);
}

/* What a driver would say: rings at 0x4000 for each queue, and DRIVER_OK. */
static void fuzz_start_queue(struct script *s)
{
	uint64_t q = take(s, 1) % 8, base = 0x4000 * q;
	const uint16_t command = 0x6;

	guest_vfu_post(&vfu, VFU_REGION_CONFIG, 4, &command, sizeof(command));
	fuzz_common(VIRTIO_PCI_COMMON_STATUS, 3, 1);
	fuzz_common(VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
	fuzz_common(VIRTIO_PCI_COMMON_GF, 1, 4);
	fuzz_common(VIRTIO_PCI_COMMON_STATUS, 11, 1);
	fuzz_common(VIRTIO_PCI_COMMON_Q_SELECT, q, 2);
	fuzz_common(VIRTIO_PCI_COMMON_Q_SIZE, 16, 2);
	fuzz_common(VIRTIO_PCI_COMMON_Q_DESCLO, base, 4);
	fuzz_common(VIRTIO_PCI_COMMON_Q_AVAILLO, base + 0x1000, 4);
	fuzz_common(VIRTIO_PCI_COMMON_Q_USEDLO, base + 0x2000, 4);
	fuzz_common(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
	fuzz_common(VIRTIO_PCI_COMMON_STATUS, 15, 1);
}

static void fuzz_act(struct script *s)
{
	switch (take(s, 1)) {
	case 'M':
		fuzz_message(s);
		break;
	case 'R':
		fuzz_bytes(s);
		break;
	case 'A':
		fuzz_write_register(s);
		break;
	case 'L':
		fuzz_read_register(s);
		break;
	case 'D':
		fuzz_map(s, VFU_DMA_MAP);
		break;
	case 'U':
		fuzz_map(s, VFU_DMA_UNMAP);
		break;
	case 'V':
		fuzz_vector(s);
		break;
	case 'W':
		fuzz_write_memory(s);
		break;
	case 'Q':
		fuzz_start_queue(s);
		break;
	case 'X':
		fuzz_connect();
		break;
	default:
		return;
	}
	fuzz_settle();
}

/* Mappings of guest memory, but for our own. */
static unsigned int fuzz_count_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned int n = 0;
	char line[512];

	fuzz_require(f != NULL, "maps");
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "memfd:ram") || strstr(line, "memfd:small"))
			n++;
	fclose(f);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned int runs;
	struct script s = { data, data + size };
	unsigned int actions = 0, which;
	int lowest, fd;

	if (!worker)
		fuzz_open();
	memset(ram, 0, 65536);
	which = take(&s, 1);
	current = which & 3;
	wants_handshake = !(which & 4);
	lowest = fcntl(0, F_DUPFD, 0);
	close(lowest);
	fuzz_connect();
	while (s.at < s.end && actions++ < FUZZ_MAX_ACTIONS)
		fuzz_act(&s);

	/* The function keeps its state: the next script begins with a reset. */
	wants_handshake = true;
	fuzz_connect();
	fuzz_require(guest_vfu_reset(&vfu) == 0, "DEVICE_RESET");
	fuzz_hang_up();
	fd = fcntl(0, F_DUPFD, 0);
	close(fd);
	fuzz_require(fd == lowest, "a descriptor was leaked");
	/* Slow, so now and then; and always over a corpus. */
	if (runs++ % 256 < 16)
		fuzz_require(fuzz_count_maps() == 1, "a mapping was leaked");
	return 0;
}
