/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_broker.c - a window between an appliance and a guest that say anything
 *
 * The input is a script for both: bytes of the control area, frames and
 * doorbells of the appliance, messages of the guest's VMM with descriptors of
 * any kind.  The broker lives as long as the process; after each script
 * everybody leaves, and every descriptor must be closed again.
 *
 *	'O'                                    the appliance begins, opens
 *	'S' port                               serves what it is to serve
 *	'W' offset24 size8 bytes...            writes to the control area
 *	'F' port kind8 size16 bytes...         sends a frame of the session
 *	'A' port size16 bytes...               answers the last question
 *	'X'                                    hang up, connect
 *	'Z' size8 bytes...                     says something to the server
 *	'M' port request flags nr_fds kind... size16 bytes...    a message
 *	'R' port nr_fds kind... size8 bytes... bytes as they are
 *	'Y' port                               hang up, connect
 */
#include "tests/fuzz/fuzz_socket.h"

#include "core/config.h"
#include "core/eventfd.h"
#include "guest/vhost-user.h"
#include "transports/vhost-pci/broker/relay.h"

#include <sys/un.h>

#define WINDOW_BYTES WINDOW_MIN_BYTES
#define NR_PORTS     2

enum own_kind {
	KIND_WINDOW = KIND_OWN,
	NR_KINDS
};

static struct broker *broker;
static struct pvio_config_file *file;
static char dir[40], paths[1 + NR_PORTS][64];
static uint8_t *window;
static int client = -1;
static struct guest_vu vu[NR_PORTS] = { { .fd = -1 }, { .fd = -1 } };
static struct window_channel channel[NR_PORTS];
static uint32_t epoch;

static void fuzz_end(void)
{
	unsigned int i;

	broker_destroy(broker);
	pvio_config_close(file);
	pvio_worker_destroy(worker);
	for (i = 0; i <= NR_PORTS; i++)
		unlink(paths[i]);
	rmdir(dir);
}

static void fuzz_open(void)
{
	char config[600];
	unsigned int i;

	fuzz_open_worker();
	fuzz_open_kinds(NR_KINDS);
	kinds[KIND_WINDOW] = fuzz_memfd("window", WINDOW_BYTES);
	window = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		      kinds[KIND_WINDOW], 0);
	fuzz_require(window != MAP_FAILED, "mmap");
	snprintf(dir, sizeof(dir), "/tmp/pvio-fuzz-XXXXXX");
	fuzz_require(mkdtemp(dir) != NULL, "mkdtemp");
	for (i = 0; i <= NR_PORTS; i++)
		snprintf(paths[i], sizeof(paths[i]), "%s/%u", dir, i);
	snprintf(config, sizeof(config),
		 "socket = \"%s\"; vectors = 8; window = \"ram\"; "
		 "file = \"/proc/self/fd/%d\"; timeout_ms = 3600000; ports = ("
		 "{ name = \"0\"; socket = \"%s\"; }, "
		 "{ name = \"1\"; socket = \"%s\"; });",
		 paths[0], kinds[KIND_WINDOW], paths[1], paths[2]);
	fuzz_require(pvio_config_parse("fuzz", config, &file) == 0, "config");
	fuzz_require(broker_create("fuzz", pvio_config_root(file), worker,
				   &worker, 1, &broker) == 0,
		     "broker");
	fuzz_require(broker_start(broker) == 0, "start");
	atexit(fuzz_end);
}

static struct window_header *header(void)
{
	return (void *)(window + window_control_offset(WINDOW_BYTES));
}

static struct window_port *port_at(unsigned int i)
{
	return (void *)(window + window_port_offset(WINDOW_BYTES, i));
}

/* --- what comes ----------------------------------------------------------- */

/* Read what the server says: a descriptor that it sends is closed. */
static bool client_read(void)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	uint64_t value;
	struct iovec iov = { &value, sizeof(value) };
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space) };
	struct cmsghdr *cmsg;
	int fd;

	if (client < 0 || recvmsg(client, &mh, MSG_DONTWAIT) <= 0)
		return false;
	cmsg = CMSG_FIRSTHDR(&mh);
	if (cmsg) {
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
		close(fd);
	}
	return true;
}

static bool guest_read(struct guest_vu *v)
{
	struct guest_vu_reply reply;
	char byte;

	if (v->fd < 0 || recv(v->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 1 ||
	    guest_vu_receive(v, &reply, 100) < 0)
		return false;
	if (reply.fd >= 0)
		close(reply.fd);
	return true;
}

/* Is it only a matter of time that something happens? */
static bool is_waiting(unsigned int port)
{
	const struct relay *relay = broker->port[port].state;

	return relay->session && relay->session->wait == RELAY_CALL;
}

static void fuzz_settle(void)
{
	bool did = true;
	int i;

	for (i = 0; i < FUZZ_MAX_STEPS && did; i++) {
		did = pvio_worker_step(worker);
		did |= client_read();
		did |= guest_read(&vu[0]);
		did |= guest_read(&vu[1]);
		/* A call is in force soon after the client has read. */
		if (!did && (is_waiting(0) || is_waiting(1)))
			did = pvio_worker_wait(worker, 5);
	}
	fuzz_require(i < FUZZ_MAX_STEPS, "the worker never comes to rest");
}

/* --- the appliance -------------------------------------------------------- */

static void appliance_ring(void)
{
	pvio_eventfd_signal(broker->control_fd);
}

static void appliance_leave(void)
{
	if (client >= 0)
		close(client);
	client = -1;
	fuzz_settle();
}

static void appliance_connect(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	appliance_leave();
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strncpy(addr.sun_path, paths[0], sizeof(addr.sun_path) - 1);
	fuzz_require(connect(client, (void *)&addr, sizeof(addr)) == 0,
		     "connect");
	fuzz_settle();
}

static void appliance_begin(void)
{
	unsigned int i;

	for (i = 0; i < NR_PORTS; i++) {
		struct window_port *w = port_at(i);

		window_channel_open(&channel[i], w, WINDOW_GUEST);
		w->device_id = 2;
		w->nr_queues = 2;
		w->queue_size = 64;
		w->queues_per_unit = 1;
		w->is_open = 1;
	}
	header()->guest_epoch = ++epoch;
	appliance_ring();
	fuzz_settle();
	for (i = 0; i < NR_PORTS; i++)
		if (vu[i].fd < 0 &&
		    guest_vu_connect(&vu[i], paths[1 + i], worker) < 0)
			vu[i].fd = -1;
}

static void appliance_frame(struct script *s, unsigned int port, uint32_t kind,
			    bool is_answer)
{
	size_t size = take(s, 2);
	const uint8_t *bytes = take_bytes(s, &size);
	uint8_t payload[WINDOW_MAX_PAYLOAD] = { 0 };
	struct window_frame frame, last;
	struct vu_header head = { .request = 0 };

	if (!channel[port].out)
		return;
	while (window_channel_receive(&channel[port], &last, payload) > 0)
		memcpy(&head, payload, sizeof(head));
	head.flags = VU_VERSION | VU_REPLY;
	size = pvio_min(size, sizeof(payload) - sizeof(head));
	head.size = (uint32_t)size;
	frame = (struct window_frame){ .session = port_at(port)->session,
				       .kind = kind };
	if (is_answer) {
		memcpy(payload, &head, sizeof(head));
		memcpy(payload + sizeof(head), bytes, size);
		size += sizeof(head);
	} else {
		memcpy(payload, bytes, size);
	}
	frame.bytes = (uint32_t)size;
	(void)window_channel_send(&channel[port], &frame, payload);
	appliance_ring();
}

static void appliance_write(struct script *s)
{
	size_t at = take(s, 3) % WINDOW_CONTROL_BYTES, size = take(s, 1);
	const uint8_t *bytes = take_bytes(s, &size);

	memcpy((uint8_t *)header() + at, bytes,
	       pvio_min(size, WINDOW_CONTROL_BYTES - at));
	appliance_ring();
}

/* --- the guest ------------------------------------------------------------ */

static void guest_connect(unsigned int port)
{
	guest_vu_close(&vu[port]);
	fuzz_settle();
	if (guest_vu_connect(&vu[port], paths[1 + port], worker) < 0)
		vu[port].fd = -1;
}

static void guest_message(struct script *s, struct guest_vu *v)
{
	uint32_t request = take(s, 1), flags = take(s, 1);
	int fds[FUZZ_MAX_FDS];
	unsigned int nr_fds = take_fds(s, fds);
	size_t size = take(s, 2);
	const uint8_t *bytes = take_bytes(s, &size);

	if (v->fd >= 0)
		guest_vu_send(v, request, flags & ~(VU_VERSION_MASK | VU_REPLY),
			      bytes, size, fds, nr_fds);
}

static void guest_bytes(struct script *s, struct guest_vu *v)
{
	int fds[FUZZ_MAX_FDS];
	unsigned int nr_fds = take_fds(s, fds);
	size_t size = take(s, 1);
	const uint8_t *bytes = take_bytes(s, &size);

	if (v->fd >= 0 && size > 0)
		guest_vu_send_bytes(v, bytes, size, fds, nr_fds);
}

/* --- the script ----------------------------------------------------------- */

static void fuzz_action(struct script *s)
{
	uint8_t action = (uint8_t)take(s, 1);
	unsigned int port;
	const uint8_t *bytes;
	size_t size;

	switch (action) {
	case 'O':
		appliance_begin();
		return;
	case 'W':
		appliance_write(s);
		return;
	case 'X':
		appliance_connect();
		return;
	case 'Z':
		size = take(s, 1);
		bytes = take_bytes(s, &size);
		if (client >= 0)
			(void)!send(client, bytes, size,
				    MSG_DONTWAIT | MSG_NOSIGNAL);
		return;
	}
	port = take(s, 1) % NR_PORTS;
	switch (action) {
	case 'S':
		port_at(port)->served = port_at(port)->session;
		appliance_ring();
		break;
	case 'F':
		appliance_frame(s, port, take(s, 1), false);
		break;
	case 'A':
		appliance_frame(s, port, WINDOW_MESSAGE, true);
		break;
	case 'M':
		guest_message(s, &vu[port]);
		break;
	case 'R':
		guest_bytes(s, &vu[port]);
		break;
	case 'Y':
		guest_connect(port);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, data + size };
	unsigned int actions = 0;
	int lowest;

	if (!worker)
		fuzz_open();
	memset(header(), 0, sizeof(*header()));
	header()->magic = WINDOW_MAGIC;
	lowest = fuzz_lowest_fd();
	appliance_connect();
	while (s.at < s.end && actions++ < FUZZ_MAX_ACTIONS) {
		fuzz_action(&s);
		fuzz_settle();
	}
	guest_vu_close(&vu[0]);
	guest_vu_close(&vu[1]);
	appliance_leave();
	fuzz_require(fuzz_lowest_fd() == lowest, "a descriptor was leaked");
	return 0;
}
