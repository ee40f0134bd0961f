/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-pci-host.c - the host's side of a window, as small as can be
 */
#include "tests/vhost-pci-host.h"

#include "core/barrier.h"

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONTROL_OFFSET (HOST_BYTES - WINDOW_CONTROL_BYTES)

/* --- the ivshmem server ---------------------------------------------------- */

void host_say(struct host *h, int64_t value, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	uint64_t wire = htole64((uint64_t)value);
	struct iovec iov = { &wire, sizeof(wire) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	ssize_t n;

	if (h->fd < 0)
		return;
	if (fd >= 0) {
		mh.msg_control = control.space;
		mh.msg_controllen = sizeof(control.space);
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	n = sendmsg(h->fd, &mh, MSG_NOSIGNAL);
	(void)n; /* it may be gone */
}

uint32_t host_give_vector(struct host *h, int fd)
{
	host_say(h, 0, fd);
	return h->nr_vectors++;
}

void host_give_peer(struct host *h, unsigned int peer, int fd)
{
	host_say(h, peer, -1);
	if (fd >= 0)
		host_say(h, peer, fd);
}

void host_interrupt(struct host *h)
{
	const uint64_t one = 1;
	ssize_t n = write(h->interrupt_fd, &one, sizeof(one));

	(void)n;
}

/* --- a port's sessions ------------------------------------------------------ */

static void port_set_session(struct host_port *p, uint32_t session)
{
	p->session = session;
	p->is_served = false;
	pvio_store_release(&p->shared->session, htole32(session));
	host_interrupt(p->host);
}

static void port_drop(struct host_port *p)
{
	if (p->read_event)
		event_free(p->read_event);
	p->read_event = NULL;
	if (p->wire.stream.fd >= 0)
		vu_wire_fini(&p->wire);
	if (p->backend_fd >= 0)
		close(p->backend_fd);
	p->backend_fd = -1;
	port_set_session(p, 0);
}

void host_end_session(struct host *h, unsigned int port)
{
	port_drop(&h->port[port]);
}

static void port_reply(struct host_port *p, const void *bytes, size_t len,
		       int fd)
{
	ck_assert_int_eq(pvio_stream_send(&p->wire.stream, bytes, len, NULL, 0,
					  fd),
			 0);
}

static void port_send(struct host_port *p, uint32_t number)
{
	const struct vu_message *m = &p->wire.message;
	uint8_t payload[WINDOW_MAX_PAYLOAD];
	struct window_frame frame = {
		.bytes = (uint32_t)sizeof(m->header) + m->header.size,
		.session = p->session,
		.kind = WINDOW_MESSAGE,
		.number = number,
	};

	memcpy(payload, &m->header, sizeof(m->header));
	memcpy(payload + sizeof(m->header), m->bytes, m->header.size);
	ck_assert_int_eq(window_channel_send(&p->channel, &frame, payload), 0);
	host_interrupt(p->host);
}

/* The in-flight area, whichever size is asked for. */
static void port_answer_inflight(struct host_port *p)
{
	const struct vu_message *m = &p->wire.message;
	struct {
		struct vu_header header;
		struct vu_inflight inflight;
	} __attribute__((packed)) reply = {
		.header = { VU_GET_INFLIGHT_FD, VU_VERSION | VU_REPLY,
			    m->header.size },
		.inflight = m->inflight,
	};
	uint64_t at = window_port_offset(HOST_BYTES, p->index) +
		      WINDOW_INFLIGHT_OFFSET;

	reply.inflight.mmap_size = WINDOW_INFLIGHT_BYTES;
	reply.inflight.mmap_offset = at;
	memset(p->host->base + at, 0, WINDOW_INFLIGHT_BYTES);
	port_reply(p, &reply, sizeof(reply.header) + m->header.size,
		   p->host->memory_fd);
}

static void port_acknowledge(struct host_port *p)
{
	const struct vu_header *h = &p->wire.message.header;
	struct {
		struct vu_header header;
		uint64_t value;
	} __attribute__((packed)) reply = {
		.header = { h->request, VU_VERSION | VU_REPLY, 8 },
	};

	if (h->flags & VU_NEED_REPLY)
		port_reply(p, &reply, sizeof(reply), -1);
}

static void port_message(struct host_port *p)
{
	const struct vu_message *m = &p->wire.message;
	int fd = m->fds.nr ? m->fds.fd[0] : -1;
	unsigned int peer = HOST_PEER(p->index, (unsigned int)(m->u64 & 0x3f));

	switch (m->header.request) {
	case VU_GET_INFLIGHT_FD:
		port_answer_inflight(p);
		return;
	case VU_SET_VRING_ERR:
		port_acknowledge(p);
		return;
	case VU_SET_VRING_KICK:
		port_send(p, fd < 0 ? 0 : host_give_vector(p->host, fd));
		return;
	case VU_SET_VRING_CALL:
		host_give_peer(p->host, peer, fd);
		port_send(p, peer << 16);
		return;
	case VU_SET_BACKEND_REQ_FD:
		if (p->backend_fd >= 0)
			close(p->backend_fd);
		p->backend_fd = fd < 0 ? -1 : dup(fd);
		break;
	}
	port_send(p, 0);
}

static void port_readable(evutil_socket_t fd, short what, void *arg)
{
	struct host_port *p = arg;
	int rc;

	(void)fd;
	(void)what;
	while ((rc = vu_wire_receive(&p->wire)) > 0) {
		port_message(p);
		vu_wire_next(&p->wire);
	}
	if (rc < 0)
		port_drop(p);
}

/* --- what the appliance does ------------------------------------------------- */

static void port_receive(struct host_port *p)
{
	uint8_t payload[WINDOW_MAX_PAYLOAD];
	struct window_frame frame;
	bool took = false;
	ssize_t n;

	while (window_channel_receive(&p->channel, &frame, payload) > 0) {
		took = true;
		if (frame.session != p->session || p->session == 0)
			continue;
		if (frame.kind == WINDOW_MESSAGE) {
			port_reply(p, payload, frame.bytes, -1);
			continue;
		}
		p->host->backend_messages++;
		if (p->backend_fd < 0)
			continue;
		n = send(p->backend_fd, payload, frame.bytes,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		(void)n;
	}
	if (took)
		host_interrupt(p->host);
}

static void port_accept(struct host_port *p)
{
	int fd = accept4(p->listen_fd, NULL, NULL,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	vu_wire_init(&p->wire, fd, NULL);
	window_channel_open(&p->channel, p->shared, WINDOW_HOST);
	port_set_session(p, ++p->host->sessions);
}

static void port_look(struct host_port *p)
{
	bool is_open = le32toh(pvio_load_acquire(&p->shared->is_open));
	uint32_t served = le32toh(pvio_load_acquire(&p->shared->served));
	struct event_base *base = pvio_worker_base(p->host->worker);

	if (p->session && !is_open)
		port_drop(p);
	else if (!p->session && is_open)
		port_accept(p);
	if (p->session && served == p->session && !p->is_served) {
		p->is_served = true;
		p->read_event = event_new(base, p->wire.stream.fd,
					  EV_READ | EV_PERSIST, port_readable,
					  p);
		event_add(p->read_event, NULL);
	}
	if (p->is_served)
		port_receive(p);
}

static void host_look(struct host *h)
{
	uint32_t epoch;
	unsigned int i;

	if (h->is_raw || !h->base)
		return;
	epoch = le32toh(pvio_load_acquire(&h->header->guest_epoch));
	/* What one that is gone has left. */
	if (epoch == h->dead_epoch)
		return;
	if (epoch != h->guest_epoch)
		for (i = 0; i < HOST_PORTS; i++)
			port_drop(&h->port[i]);
	h->guest_epoch = epoch;
	for (i = 0; i < HOST_PORTS; i++)
		port_look(&h->port[i]);
}

static void host_event(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	host_look(arg);
}

/* --- the appliance comes and goes -------------------------------------------- */

static void host_accept(struct host *h);

/* It says nothing: it is gone. */
static void host_readable(evutil_socket_t fd, short what, void *arg)
{
	struct host *h = arg;
	unsigned int i;

	(void)fd;
	(void)what;
	event_free(h->read_event);
	h->read_event = NULL;
	close(h->fd);
	h->fd = -1;
	h->dead_epoch = le32toh(pvio_load_acquire(&h->header->guest_epoch));
	for (i = 0; i < HOST_PORTS && !h->is_raw; i++)
		port_drop(&h->port[i]);
	host_accept(h);
}

static void host_accept(struct host *h)
{
	if (h->fd >= 0)
		return;
	h->fd = accept4(h->listen_fd, NULL, NULL,
			SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (h->fd < 0)
		return;
	h->read_event = event_new(pvio_worker_base(h->worker), h->fd, EV_READ,
				  host_readable, h);
	event_add(h->read_event, NULL);
	host_say(h, 0, -1);
	host_say(h, 0, -1);
	host_say(h, -1, h->memory_fd);
	h->nr_vectors = 0;
	host_give_vector(h, h->interrupt_fd);
	host_give_peer(h, HOST_PEER_CONTROL, h->control_fd);
}

static void host_acceptable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	host_accept(arg);
}

/* --- life -------------------------------------------------------------------- */

static int host_listen(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	return fd;
}

/* Each connection, each write, is an edge. */
static struct event *host_watch(struct host *h, int fd,
				event_callback_fn fn, void *arg)
{
	struct event *event = event_new(pvio_worker_base(h->worker), fd,
					EV_READ | EV_PERSIST | EV_ET, fn, arg);

	event_add(event, NULL);
	return event;
}

static void host_write_header(struct host *h)
{
	static uint32_t epoch;
	struct window_header *header = h->header;

	header->version = htole32(WINDOW_VERSION);
	header->nr_ports = htole32(HOST_PORTS);
	header->bytes = htole64(HOST_BYTES);
	header->doorbell = htole32(HOST_PEER_CONTROL << 16);
	header->epoch = htole32(++epoch);
	pvio_store_release(&header->magic, htole64(WINDOW_MAGIC));
}

static void host_make_memory(struct host *h)
{
	unsigned int i;

	h->memory_fd = memfd_create("pvio-test-window", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(h->memory_fd, HOST_BYTES), 0);
	h->base = mmap(NULL, HOST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		       h->memory_fd, 0);
	ck_assert_ptr_ne(h->base, MAP_FAILED);
	h->header = (void *)(h->base + CONTROL_OFFSET);
	for (i = 0; i < HOST_PORTS; i++) {
		h->port[i].shared = (void *)(h->base + window_port_offset(
							       HOST_BYTES, i));
		window_channel_open(&h->port[i].channel, h->port[i].shared,
				    WINDOW_HOST);
	}
	host_write_header(h);
}

static void host_drop_memory(struct host *h)
{
	munmap(h->base, HOST_BYTES);
	close(h->memory_fd);
}

void host_init(struct host *h, struct pvio_worker *worker)
{
	unsigned int i;

	memset(h, 0, sizeof(*h));
	h->worker = worker;
	snprintf(h->dir, sizeof(h->dir), "/tmp/pvio-vp-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(h->dir));
	snprintf(h->path, sizeof(h->path), "%s/window", h->dir);
	h->fd = -1;
	h->control_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	h->interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	h->listen_fd = host_listen(h->path);
	h->listen_event = host_watch(h, h->listen_fd, host_acceptable, h);
	h->control_event = host_watch(h, h->control_fd, host_event, h);
	for (i = 0; i < HOST_PORTS; i++) {
		struct host_port *p = &h->port[i];

		p->host = h;
		p->index = i;
		p->wire.stream.fd = p->backend_fd = -1;
		snprintf(p->path, sizeof(p->path), "%s/port%u", h->dir, i);
		p->listen_fd = host_listen(p->path);
		p->listen_event = host_watch(h, p->listen_fd, host_event, h);
	}
	host_make_memory(h);
}

void host_fini(struct host *h)
{
	unsigned int i;

	for (i = 0; i < HOST_PORTS; i++) {
		port_drop(&h->port[i]);
		event_free(h->port[i].listen_event);
		close(h->port[i].listen_fd);
		unlink(h->port[i].path);
	}
	if (h->read_event)
		event_free(h->read_event);
	if (h->fd >= 0)
		close(h->fd);
	event_free(h->listen_event);
	event_free(h->control_event);
	close(h->listen_fd);
	close(h->control_fd);
	close(h->interrupt_fd);
	host_drop_memory(h);
	unlink(h->path);
	rmdir(h->dir);
}

void host_add_memory(struct host *h, struct guest_memory *mem)
{
	struct guest_region *r = &mem->region[mem->nr++];

	r->fd = dup(h->memory_fd);
	r->gpa = HOST_RAM_GPA;
	r->size = HOST_RAM_BYTES;
	r->used = 0;
	r->host = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED,
		       r->fd, 0);
	ck_assert_ptr_ne(r->host, MAP_FAILED);
}

/* Its memory is as a new one's; what was connected is not any more. */
void host_begin_anew(struct host *h)
{
	unsigned int i;

	for (i = 0; i < HOST_PORTS; i++)
		port_drop(&h->port[i]);
	memset(h->base + CONTROL_OFFSET, 0, WINDOW_CONTROL_BYTES);
	h->guest_epoch = 0;
	h->sessions = 0;
	host_write_header(h);
	host_interrupt(h);
}

void host_server_restarts(struct host *h)
{
	unsigned int i;

	for (i = 0; i < HOST_PORTS; i++)
		port_drop(&h->port[i]);
	host_drop_memory(h);
	host_make_memory(h);
	h->guest_epoch = 0;
	h->sessions = 0;
	if (h->fd >= 0)
		host_readable(h->fd, EV_READ, h);
}
