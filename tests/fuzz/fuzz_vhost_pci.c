/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_vhost_pci.c - a host that writes anything to a window, to a disk in it
 *
 * The input is a script of the host: frames, sessions, scribbles over the
 * control area, writes to the other machine's memory, and what an ivshmem
 * server says.  The device and the window live as long as the process; after
 * each script the host begins anew, and every descriptor that the device had
 * for it must be closed again.
 *
 *	'F' request flags number16 size16 bytes...     a message's frame
 *	'G' bytes32 kind session number16 size8 bytes  any frame
 *	'C' offset24 size8 bytes...                    control area
 *	'S' session                                    as it is
 *	'X'                                            the next session
 *	'I' value32 kind                               the server's connection
 *	'W' offset24 size8 bytes...                    memory
 *	'K'                                            kick
 */
#include "tests/fuzz/fuzz_socket.h"

#include "core/worker.h"
#include "transports/vhost-pci/channel.h"
#include "transports/vhost-user/protocol.h"

#include <sys/un.h>

#define WINDOW_BYTES   WINDOW_MIN_BYTES
/* What of the control area is scribbled over: header, and two ports. */
#define SCRIBBLE_BYTES (3 * WINDOW_PORT_BYTES)
#define NR_VECTORS     4

static struct pvio_device *dev;
static struct window_header *header;
static struct window_port *port;
static struct window_channel channel;
static char path[64];
static int listen_fd, server_fd = -1, memory_fd, interrupt_fd, doorbell_fd;
static uint8_t *window;
static uint32_t epoch, session;
static bool has_spoken; /* the script used the server's connection */

static void fuzz_remove(void)
{
	pvio_device_destroy(dev);
	pvio_worker_destroy(worker);
	unlink(path);
}

/* --- the ivshmem server ---------------------------------------------------- */

static void say(int64_t value, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = { &value, sizeof(value) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (fd >= 0) {
		mh.msg_control = control.space;
		mh.msg_controllen = sizeof(control.space);
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	if (sendmsg(server_fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return; /* it has hung up */
}

static void settle(void)
{
	const uint64_t one = 1;
	ssize_t n = write(interrupt_fd, &one, sizeof(one));
	int i;

	(void)n;
	for (i = 0; i < FUZZ_MAX_STEPS && pvio_worker_step(worker); i++)
		;
	fuzz_require(i < FUZZ_MAX_STEPS, "the worker never comes to rest");
}

static void write_header(void)
{
	header->version = htole32(WINDOW_VERSION);
	header->nr_ports = htole32(2);
	header->bytes = htole64(WINDOW_BYTES);
	header->doorbell = htole32(1 << 16);
	header->epoch = htole32(++epoch);
	header->magic = htole64(WINDOW_MAGIC);
}

static void begin_anew(void)
{
	memset(header, 0, SCRIBBLE_BYTES);
	write_header();
	settle();
	settle();
	fuzz_require(port->is_open != 0, "the port does not open");
	session = 0;
}

/* The device connects when it starts. */
static void serve(void)
{
	int i;

	fuzz_require(pvio_device_start(dev) == 0, "start");
	server_fd = accept4(listen_fd, NULL, NULL,
			    SOCK_CLOEXEC | SOCK_NONBLOCK);
	fuzz_require(server_fd >= 0, "accept");
	say(0, -1);
	say(0, -1);
	say(-1, memory_fd);
	say(0, interrupt_fd);
	for (i = 1; i < NR_VECTORS; i++)
		say(0, kinds[KIND_EVENT]);
	say(1, doorbell_fd);
	begin_anew();
}

static void hang_up(void)
{
	int fd;

	pvio_device_stop(dev);
	/* On a slow machine it may have connected again by itself. */
	while ((fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
	close(server_fd);
	server_fd = -1;
}

static void fuzz_listen(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(path, sizeof(path), "/tmp/pvio-fuzz-%d.window", (int)getpid());
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			   0);
	fuzz_require(bind(listen_fd, (struct sockaddr *)&addr, sizeof(addr)) ==
				     0 &&
			     listen(listen_fd, 1) == 0,
		     "listen");
}

static void fuzz_open(void)
{
	char config[256];

	fuzz_open_worker();
	fuzz_open_kinds(KIND_OWN);
	fuzz_listen();
	memory_fd = fuzz_memfd("window", WINDOW_BYTES);
	window = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		      memory_fd, 0);
	fuzz_require(window != MAP_FAILED, "mmap");
	ram = window;
	header = (void *)(window + window_control_offset(WINDOW_BYTES));
	port = (void *)(window + window_port_offset(WINDOW_BYTES, 0));
	interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	doorbell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	snprintf(config, sizeof(config),
		 "model = \"block\"; queues = 2; queue_size = 64; "
		 "backend = { type = \"memory\"; size = \"64K\"; }; "
		 "transport = { type = \"vhost-pci\"; socket = \"%s\"; };",
		 path);
	fuzz_require(pvio_device_create("fuzz", config, worker, &worker, 1,
					&dev) == 0,
		     "device");
	atexit(fuzz_remove);
	serve();
}

/* --- the script ------------------------------------------------------------ */

static void fuzz_send(const struct window_frame *frame, const void *payload)
{
	int rc;

	window_channel_open(&channel, port, WINDOW_HOST);
	rc = window_channel_send(&channel, frame, payload);
	(void)rc; /* no room, or it has scribbled over the counts */
}

static void fuzz_message(struct script *s)
{
	uint8_t payload[WINDOW_MAX_PAYLOAD] = { 0 };
	struct vu_header h = { .request = take(s, 1),
			       .flags = take(s, 1) | VU_VERSION };
	struct window_frame frame = { .session = session,
				      .kind = WINDOW_MESSAGE };
	const uint8_t *bytes;
	size_t size;

	frame.number = take(s, 2);
	size = take(s, 2);
	bytes = take_bytes(s, &size);
	size = pvio_min(size, sizeof(payload) - sizeof(h));
	h.size = (uint32_t)size;
	memcpy(payload, &h, sizeof(h));
	memcpy(payload + sizeof(h), bytes, size);
	frame.bytes = (uint32_t)(sizeof(h) + size);
	fuzz_send(&frame, payload);
}

static void fuzz_frame(struct script *s)
{
	uint8_t payload[WINDOW_MAX_PAYLOAD] = { 0 };
	struct window_frame frame = { .bytes = take(s, 4) };
	const uint8_t *bytes;
	size_t size;

	frame.kind = take(s, 1);
	frame.session = session + take(s, 1);
	frame.number = take(s, 2);
	size = take(s, 1);
	bytes = take_bytes(s, &size);
	memcpy(payload, bytes, size);
	fuzz_send(&frame, payload);
}

static void fuzz_scribble(struct script *s)
{
	size_t at = take(s, 3) % SCRIBBLE_BYTES, size = take(s, 1);
	const uint8_t *bytes = take_bytes(s, &size);

	memcpy((uint8_t *)header + at, bytes,
	       pvio_min(size, SCRIBBLE_BYTES - at));
}

static void fuzz_say(struct script *s)
{
	int64_t value = (int32_t)take(s, 4);
	unsigned int kind = take(s, 1);

	has_spoken = true;
	say(value, kind < nr_kinds ? kinds[kind] : -1);
}

static void fuzz_act(struct script *s)
{
	const uint64_t one = 1;
	ssize_t n = 0;

	switch (take(s, 1)) {
	case 'F':
		fuzz_message(s);
		break;
	case 'G':
		fuzz_frame(s);
		break;
	case 'C':
		fuzz_scribble(s);
		break;
	case 'S':
		session = take(s, 1);
		port->session = htole32(session);
		break;
	case 'X':
		port->session = htole32(++session);
		break;
	case 'I':
		fuzz_say(s);
		break;
	case 'W':
		fuzz_write_memory(s);
		break;
	case 'K':
		n = write(kinds[KIND_EVENT], &one, sizeof(one));
		break;
	}
	(void)n;
	settle();
	/* What it says is taken, whatever it is. */
	window_channel_open(&channel, port, WINDOW_HOST);
	window_channel_drain(&channel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, data + size };
	unsigned int actions = 0;
	int lowest;

	if (!worker)
		fuzz_open();
	memset(ram, 0, 65536);
	has_spoken = false;
	lowest = fuzz_lowest_fd();
	while (s.at < s.end && actions++ < FUZZ_MAX_ACTIONS)
		fuzz_act(&s);
	if (has_spoken) {
		hang_up();
		serve();
	} else {
		begin_anew();
	}
	fuzz_require(fuzz_lowest_fd() == lowest, "a descriptor was leaked");
	return 0;
}
