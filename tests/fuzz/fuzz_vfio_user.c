/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_vfio_user.c - a client that says anything, to a disk, a network card, or
 * the broker of a window
 *
 * The input is a script of the other side: messages and raw bytes, each with
 * descriptors of any kind, writes to guest memory, kicks, reconnections.  The
 * devices, their sockets and the kinds of descriptors live as long as the
 * process; after each script the client leaves, and every descriptor that the
 * device was given must be closed again, every file unmapped.
 *
 * The first byte says which device: bit 0 the network card, bit 1 doorbells
 * that are polled, bit 2 without the handshake, bit 3 the window.  Then:
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
 * and for the window, whose broker has one port:
 *
 *	'C' port8 offset16 size8 bytes...                  in the control area
 *	'K' slot16 kind                                    a kick's eventfd
 *	'N' slot16 kind                                    a call's eventfd
 *	'T'                                                B writes to its eventfd
 *
 * B's eventfds are not those that a client has: who makes an interrupt of A a
 * kick of its own has one for ever, and the worker no rest.
 */
#include "tests/fuzz/fuzz_socket.h"

#include "core/config.h"
#include "core/virtio.h"
#include "guest/vfio-user.h"
#include "transports/vhost-pci/broker/broker.h"

#include <linux/virtio_pci.h>

#define NR_DEVICES 4
#define WINDOW	   NR_DEVICES

#define WINDOW_BYTES (4u << 20)

enum own_kind {
	KIND_READ_ONLY = KIND_OWN,
	NR_KINDS
};

static struct pvio_device *devs[NR_DEVICES];
static struct broker *broker;
static struct pvio_config_file *broker_config;
static uint8_t *window;
static int b_event[2]; /* nonblocking, blocking */
static char paths[NR_DEVICES + 1][64];
static unsigned int current;
static bool wants_handshake;
static struct guest_vfu vfu = { .fd = -1 };

static void fuzz_remove_sockets(void)
{
	unsigned int i;

	for (i = 0; i < NR_DEVICES; i++)
		pvio_device_destroy(devs[i]);
	broker_destroy(broker);
	pvio_config_close(broker_config);
	munmap(window, WINDOW_BYTES);
	pvio_worker_destroy(worker);
}

static void fuzz_serve(unsigned int i)
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
	devs[i] = fuzz_open_device(name, config);
}

static void fuzz_serve_window(void)
{
	char config[512], file[64];
	int fd;

	snprintf(paths[WINDOW], sizeof(paths[WINDOW]),
		 "/tmp/pvio-fuzz-%d-w.sock", (int)getpid());
	snprintf(file, sizeof(file), "/tmp/pvio-fuzz-%d.window", (int)getpid());
	fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fuzz_require(fd >= 0 && ftruncate(fd, WINDOW_BYTES) == 0, "window");
	window = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		      fd, 0);
	fuzz_require(window != MAP_FAILED, "mmap");
	close(fd);
	snprintf(config, sizeof(config),
		 "carrier = \"vfio-user\"; socket = \"%s\"; vectors = 4; "
		 "window = \"ram\"; file = \"%s\"; "
		 "ports = ( { name = \"p\"; "
		 "socket = \"/tmp/pvio-fuzz-%d-p.sock\"; } );",
		 paths[WINDOW], file, (int)getpid());
	fuzz_require(pvio_config_parse("fuzz", config, &broker_config) == 0 &&
			     broker_create("w",
					   pvio_config_root(broker_config),
					   worker, &worker, 1, &broker) == 0 &&
			     broker_start(broker) == 0,
		     "broker");
	unlink(file);
	b_event[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	b_event[1] = eventfd(0, EFD_CLOEXEC);
}

static void fuzz_open(void)
{
	char path[64];
	unsigned int i;

	fuzz_open_worker();
	for (i = 0; i < NR_DEVICES; i++)
		fuzz_serve(i);
	fuzz_serve_window();
	atexit(fuzz_remove_sockets);
	fuzz_open_kinds(NR_KINDS);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", kinds[KIND_RAM]);
	kinds[KIND_READ_ONLY] = open(path, O_RDONLY | O_CLOEXEC);
}

/* --- the script ----------------------------------------------------------- */

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
	int fds[FUZZ_MAX_FDS];
	unsigned int nr_fds = take_fds(s, fds);
	size_t size = take(s, 2);
	const uint8_t *bytes = take_bytes(s, &size);

	/* Replies end the connection, which is seen soon enough by 'R'. */
	guest_vfu_send(&vfu, (uint16_t)command, flags & ~VFU_TYPE_MASK, bytes,
		       size, fds, nr_fds);
}

static void fuzz_bytes(struct script *s)
{
	int fds[FUZZ_MAX_FDS];
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

/* --- of the window -------------------------------------------------------- */

static void fuzz_control_area(struct script *s)
{
	uint64_t area = take(s, 1) & 7, offset = take(s, 2);
	size_t size = take(s, 1);
	const uint8_t *bytes = take_bytes(s, &size);

	guest_vfu_post(&vfu, WINDOW_PCI_MEMORY,
		       window_control_offset(WINDOW_BYTES) +
			       area * WINDOW_PORT_BYTES + offset,
		       bytes, size);
}

static void fuzz_number(void *arg, int rc)
{
	fuzz_require(rc == *(int *)arg || rc < 0, "another number");
}

static void fuzz_signal(struct script *s, bool is_kick)
{
	uint32_t slot = take(s, 2), number = UINT32_MAX;
	unsigned int kind = take(s, 1) % NR_KINDS;
	int fd = kinds[kind], wanted = (int)slot;

	if (kind == KIND_EVENT || kind == KIND_EVENT_BLOCKING)
		fd = b_event[kind - KIND_EVENT];
	if (!is_kick)
		broker->carrier_ops->call(broker->carrier, slot, fd,
					  fuzz_number, &wanted);
	else if (broker->carrier_ops->kick(broker->carrier, slot, fd,
					   &number) == 0 &&
		 fd >= 0)
		fuzz_require(number < 4, "no such vector");
}

static void fuzz_write_event(void)
{
	const uint64_t one = 1;

	/* Its counter may be full. */
	if (write(b_event[0], &one, sizeof(one)) < 0)
		return;
}

static void fuzz_act_on_window(uint32_t action, struct script *s)
{
	if (action == 'C')
		fuzz_control_area(s);
	else if (action == 'T')
		fuzz_write_event();
	else
		fuzz_signal(s, action == 'K');
}

static void fuzz_act(struct script *s)
{
	uint32_t action = take(s, 1);

	switch (action) {
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
	case 'C':
	case 'K':
	case 'N':
	case 'T':
		if (current == WINDOW)
			fuzz_act_on_window(action, s);
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
	int lowest;

	if (!worker)
		fuzz_open();
	memset(ram, 0, 65536);
	which = take(&s, 1);
	memset(window + window_port_offset(WINDOW_BYTES, 0), 0,
	       WINDOW_INFLIGHT_OFFSET);
	current = which & 8 ? WINDOW : which & 3;
	wants_handshake = !(which & 4);
	lowest = fuzz_lowest_fd();
	fuzz_connect();
	while (s.at < s.end && actions++ < FUZZ_MAX_ACTIONS)
		fuzz_act(&s);

	/* The function keeps its state: the next script begins with a reset. */
	wants_handshake = true;
	fuzz_connect();
	fuzz_require(guest_vfu_reset(&vfu) == 0, "DEVICE_RESET");
	fuzz_hang_up();
	fuzz_require(fuzz_lowest_fd() == lowest, "a descriptor was leaked");
	/* Slow, so now and then; and always over a corpus. */
	if (runs++ % 256 < 16)
		fuzz_require(fuzz_count_maps() == 1, "a mapping was leaked");
	return 0;
}
