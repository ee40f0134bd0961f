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
 */
#include "tests/fuzz/fuzz_socket.h"

#include "guest/vhost-user.h"

enum own_kind {
	KIND_LOG = KIND_OWN,
	KIND_INFLIGHT,
	NR_KINDS
};

static struct pvio_device *dev;
static struct guest_vu vu = { .fd = -1 };
static char path[64];
static int inflight_fd = -1; /* the last one the device sent */

static void fuzz_remove_socket(void)
{
	pvio_device_destroy(dev);
	pvio_worker_destroy(worker);
}

static void fuzz_open(void)
{
	char config[256];

	snprintf(path, sizeof(path), "/tmp/pvio-fuzz-%d.sock", (int)getpid());
	snprintf(config, sizeof(config),
		 "model = \"block\"; queues = 2; queue_size = 64; "
		 "backend = { type = \"memory\"; size = \"64K\"; }; "
		 "transport = { type = \"vhost-user\"; socket = \"%s\"; };",
		 path);
	fuzz_open_worker();
	dev = fuzz_open_device("fuzz", config);
	atexit(fuzz_remove_socket);
	fuzz_open_kinds(NR_KINDS);
	kinds[KIND_LOG] = fuzz_memfd("log", 1 << 20);
	kinds[KIND_INFLIGHT] = -1;
}

/* --- the script ----------------------------------------------------------- */

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
	int fds[FUZZ_MAX_FDS];
	unsigned int nr_fds = take_fds(s, fds);
	size_t size = take(s, 2);
	const uint8_t *bytes = take_bytes(s, &size);

	guest_vu_send(&vu, request, flags & ~(VU_VERSION_MASK | VU_REPLY),
		      bytes, size, fds, nr_fds);
}

static void fuzz_bytes(struct script *s)
{
	int fds[FUZZ_MAX_FDS];
	unsigned int nr_fds = take_fds(s, fds);
	size_t size = take(s, 1);
	const uint8_t *bytes = take_bytes(s, &size);

	guest_vu_send_bytes(&vu, bytes, size, fds, nr_fds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, data + size };
	const uint64_t one = 1;
	unsigned int actions = 0;
	int lowest;

	if (!worker)
		fuzz_open();
	memset(ram, 0, 65536);
	lowest = fuzz_lowest_fd();
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
			fuzz_write_memory(&s);
			break;
		case 'K':
			if (write(kinds[KIND_EVENT], &one, sizeof(one)) < 0)
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
	fuzz_require(fuzz_lowest_fd() == lowest, "a descriptor was leaked");
	return 0;
}
