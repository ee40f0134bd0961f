/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * broker-rig.c - a window's broker, and a fake appliance at its other end
 */
#include "broker-rig.h"

#include "core/barrier.h"
#include "core/virtio.h"

#include <check.h>
#include <endian.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Turns of 10 ms at most: far beyond what anything takes. */
#define RIG_MAX_TURNS 20000

static struct window_header *header_of(struct rig_appliance *a)
{
	return (void *)(a->host + window_control_offset(a->bytes));
}

/* --- turning -------------------------------------------------------------- */

void rig_until(struct broker_rig *rig, rig_is_so *is_so, unsigned int n)
{
	int i;

	for (i = 0; i < RIG_MAX_TURNS && !is_so(rig, n); i++)
		pvio_worker_wait(rig->worker, 10);
	ck_assert_msg(is_so(rig, n), "it does not happen");
}

void rig_settle(struct broker_rig *rig)
{
	int i;

	for (i = 0; i < RIG_MAX_TURNS && pvio_worker_wait(rig->worker, 20); i++)
		;
}

/* --- the ivshmem client --------------------------------------------------- */

static void client_memory(struct rig_appliance *a, int fd)
{
	unsigned int i;

	a->bytes = (uint64_t)lseek(fd, 0, SEEK_END);
	a->host = mmap(NULL, a->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       0);
	ck_assert_ptr_ne(a->host, MAP_FAILED);
	close(fd);
	for (i = 0; i < RIG_PORTS; i++)
		a->port[i] =
			(void *)(a->host + window_port_offset(a->bytes, i));
}

static void on_interrupt(evutil_socket_t fd, short what, void *arg);

static void client_message(struct rig_appliance *a, int64_t value, int fd)
{
	a->messages++;
	switch (a->messages) {
	case 1: /* version */
	case 2: /* our id */
		ck_assert_int_eq(value, 0);
		ck_assert_int_eq(fd, -1);
		return;
	case 3:
		ck_assert_int_eq(value, -1);
		ck_assert_int_ge(fd, 0);
		client_memory(a, fd);
		return;
	}
	if (value == 0) {
		ck_assert_int_ge(fd, 0);
		ck_assert_uint_lt(a->nr_vectors, pvio_array_size(a->vector));
		a->vector[a->nr_vectors++] = fd;
		if (a->nr_vectors > 1)
			return;
		a->interrupt_event = event_new(pvio_worker_base(a->rig->worker),
					       fd, EV_READ | EV_PERSIST,
					       on_interrupt, a);
		event_add(a->interrupt_event, NULL);
		return;
	}
	ck_assert_int_gt(value, 0);
	ck_assert_int_lt(value, (int64_t)pvio_array_size(a->peer));
	/* QEMU would write to what it has freed. */
	ck_assert_msg(a->peer[value] != -2, "peer %d is used again",
		      (int)value);
	ck_assert((fd < 0) == (a->peer[value] >= 0));
	if (a->peer[value] >= 0) {
		close(a->peer[value]);
		a->drops++;
	}
	a->peer[value] = fd < 0 ? -2 : fd;
}

static void client_readable(evutil_socket_t sock, short what, void *arg)
{
	struct rig_appliance *a = arg;
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	uint64_t value = 0;
	struct iovec iov = { &value, sizeof(value) };
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space) };
	struct cmsghdr *cmsg;
	int fd = -1;
	ssize_t n;

	(void)what;
	if (a->is_slow)
		return;
	n = recvmsg((int)sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n != sizeof(value)) {
		/* The server is gone; the memory stays. */
		event_del(a->socket_event);
		return;
	}
	cmsg = CMSG_FIRSTHDR(&mh);
	if (cmsg)
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	client_message(a, (int64_t)le64toh(value), fd);
}

int rig_dial_server(const struct broker_rig *rig)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strncpy(addr.sun_path, rig->a, sizeof(addr.sun_path) - 1);
	ck_assert_int_eq(connect(fd, (void *)&addr, sizeof(addr)), 0);
	return fd;
}

static bool is_wired(struct broker_rig *rig, unsigned int n)
{
	struct rig_appliance *a = &rig->appliance;

	(void)n;
	return a->host && a->nr_vectors > 0 &&
	       pvio_load_once(&header_of(a)->doorbell) != 0;
}

void rig_connect(struct broker_rig *rig)
{
	struct rig_appliance *a = &rig->appliance;
	unsigned int i;

	ck_assert_int_eq(a->fd, -1);
	a->messages = a->nr_vectors = a->drops = 0;
	for (i = 0; i < pvio_array_size(a->peer); i++)
		a->peer[i] = -1;
	a->fd = rig_dial_server(rig);
	a->socket_event = event_new(pvio_worker_base(rig->worker), a->fd,
				    EV_READ | EV_PERSIST, client_readable, a);
	event_add(a->socket_event, NULL);
	rig_until(rig, is_wired, 0);
}

static bool is_left(struct broker_rig *rig, unsigned int n)
{
	(void)n;
	return !rig->broker || !rig->broker->is_connected;
}

void rig_disconnect(struct broker_rig *rig)
{
	struct rig_appliance *a = &rig->appliance;
	unsigned int i;

	if (a->fd < 0)
		return;
	event_free(a->socket_event);
	if (a->interrupt_event)
		event_free(a->interrupt_event);
	a->socket_event = a->interrupt_event = NULL;
	for (i = 0; i < a->nr_vectors; i++)
		close(a->vector[i]);
	for (i = 0; i < pvio_array_size(a->peer); i++)
		if (a->peer[i] >= 0)
			close(a->peer[i]);
	if (a->host)
		munmap(a->host, a->bytes);
	a->host = NULL;
	close(a->fd);
	a->fd = -1;
	rig_until(rig, is_left, 0);
}

/* --- the appliance's program ---------------------------------------------- */

bool rig_doorbell(struct broker_rig *rig, uint32_t value)
{
	int fd = rig->appliance.peer[value >> 16];

	ck_assert_uint_eq(value & 0xffff, 0);
	return fd >= 0 && pvio_eventfd_signal(fd) == 0;
}

void rig_ring(struct broker_rig *rig)
{
	uint32_t value =
		le32toh(pvio_load_once(&header_of(&rig->appliance)->doorbell));

	rig_doorbell(rig, value);
}

void rig_beat(struct broker_rig *rig)
{
	struct window_header *h = header_of(&rig->appliance);

	pvio_store_once(&h->guest_beat,
			htole32(le32toh(pvio_load_once(&h->guest_beat)) + 1));
}

int rig_frame(struct broker_rig *rig, unsigned int port, uint32_t session,
	      uint32_t kind, const void *payload, size_t bytes)
{
	const struct window_frame frame = {
		.bytes = (uint32_t)bytes,
		.session = session,
		.kind = kind,
	};
	int rc = window_channel_send(&rig->appliance.channel[port], &frame,
				     payload);

	rig_ring(rig);
	return rc;
}

/* What a back-end answers; 0: nothing. */
static size_t answer_to(const struct broker_rig *rig, const struct rig_note *n,
			uint8_t *payload)
{
	uint64_t value = 0;

	switch (n->request) {
	case VU_GET_FEATURES:
		value = RIG_FEATURES;
		break;
	case VU_GET_PROTOCOL_FEATURES:
		value = UINT64_MAX;
		break;
	case VU_GET_QUEUE_NUM:
		value = 2;
		break;
	case VU_GET_VRING_BASE:
		memcpy(payload, &n->state, sizeof(n->state));
		return sizeof(n->state);
	case VU_GET_CONFIG:
		memcpy(payload, n->bytes, n->size);
		return n->size;
	case VU_GET_STATUS:
		value = rig_find(rig, VU_SET_STATUS)
				? rig_find(rig, VU_SET_STATUS)->u64
				: 0;
		break;
	default:
		if (!(n->flags & VU_NEED_REPLY))
			return 0;
	}
	memcpy(payload, &value, sizeof(value));
	return sizeof(value);
}

static void program_answer(struct rig_appliance *a, unsigned int port,
			   const struct rig_note *n)
{
	struct {
		struct vu_header header;
		uint8_t payload[300];
	} answer = { .header = { .request = n->request,
				 .flags = VU_VERSION | VU_REPLY } };

	answer.header.size = (uint32_t)answer_to(a->rig, n, answer.payload);
	if (answer.header.size == 0)
		return;
	if (a->answer_request)
		answer.header.request = a->answer_request;
	if (a->answer_size)
		answer.header.size = a->answer_size;
	a->answer_request = a->answer_size = 0;
	rig_frame(a->rig, port, le32toh(a->port[port]->served), WINDOW_MESSAGE,
		  &answer, sizeof(answer.header) + answer.header.size);
}

static void program_note(struct rig_appliance *a, unsigned int port,
			 const struct window_frame *frame,
			 const uint8_t *payload)
{
	struct rig_note *n = &a->note[a->nr_notes % RIG_MAX_NOTES];
	struct vu_header header;

	ck_assert_uint_eq(frame->kind, WINDOW_MESSAGE);
	ck_assert_uint_ge(frame->bytes, sizeof(header));
	memcpy(&header, payload, sizeof(header));
	ck_assert_uint_eq(header.size, frame->bytes - sizeof(header));
	ck_assert_uint_le(header.size, sizeof(n->bytes));
	*n = (struct rig_note){
		.port = port,
		.request = header.request,
		.flags = header.flags,
		.size = header.size,
		.number = frame->number,
	};
	memcpy(n->bytes, payload + sizeof(header), header.size);
	a->nr_notes++;
	if (!a->is_mute)
		program_answer(a, port, n);
}

static void program_look(struct rig_appliance *a, unsigned int port)
{
	uint8_t payload[WINDOW_MAX_PAYLOAD];
	struct window_port *w = a->port[port];
	struct window_frame frame;
	/* Barrier X: as the broker's. */
	uint32_t session = le32toh(pvio_load_acquire(&w->session));

	if (!w->is_open)
		return;
	if (!a->is_idle && session != le32toh(w->served)) {
		if (session)
			a->sessions[port]++;
		pvio_store_release(&w->served, htole32(session));
		rig_ring(a->rig);
	}
	if (a->is_full)
		return;
	while (window_channel_receive(&a->channel[port], &frame, payload) > 0)
		if (frame.session == le32toh(w->served))
			program_note(a, port, &frame, payload);
}

static void on_interrupt(evutil_socket_t fd, short what, void *arg)
{
	struct rig_appliance *a = arg;
	uint64_t count;
	unsigned int i;
	ssize_t n;

	(void)what;
	n = read((int)fd, &count, sizeof(count));
	(void)n;
	if (!a->host || !a->epoch)
		return;
	for (i = 0; i < RIG_PORTS; i++)
		program_look(a, i);
}

void rig_boot(struct broker_rig *rig)
{
	static uint32_t epochs = 41;
	struct rig_appliance *a = &rig->appliance;
	unsigned int i;

	a->epoch = ++epochs;
	a->nr_notes = 0;
	for (i = 0; i < RIG_PORTS; i++) {
		a->port[i]->is_open = a->port[i]->served = 0;
		window_channel_open(&a->channel[i], a->port[i], WINDOW_GUEST);
		window_channel_drain(&a->channel[i]);
	}
	rig_beat(rig);
	/* Barrier X: as the broker's. */
	pvio_store_release(&header_of(a)->guest_epoch, htole32(a->epoch));
	rig_ring(rig);
}

static bool is_port_open(struct broker_rig *rig, unsigned int port)
{
	return rig->broker->port[port].is_open;
}

void rig_open_port(struct broker_rig *rig, unsigned int port)
{
	struct window_port *w = rig->appliance.port[port];

	w->device_id = htole32(VIRTIO_ID_BLOCK);
	w->nr_queues = htole32(2);
	w->queue_size = htole32(256);
	w->queues_per_unit = htole32(1);
	pvio_store_release(&w->is_open, htole32(1));
	rig_ring(rig);
	rig_until(rig, is_port_open, port);
}

static bool is_port_closed(struct broker_rig *rig, unsigned int port)
{
	return !rig->broker->port[port].is_open;
}

void rig_close_port(struct broker_rig *rig, unsigned int port)
{
	struct window_port *w = rig->appliance.port[port];

	w->served = 0;
	pvio_store_release(&w->is_open, 0);
	rig_ring(rig);
	rig_until(rig, is_port_closed, port);
}

void rig_up(struct broker_rig *rig)
{
	unsigned int i;

	rig_connect(rig);
	rig_boot(rig);
	for (i = 0; i < RIG_PORTS; i++)
		rig_open_port(rig, i);
}

const struct rig_note *rig_find(const struct broker_rig *rig, uint32_t request)
{
	const struct rig_appliance *a = &rig->appliance;
	unsigned int i;

	for (i = a->nr_notes; i > 0; i--)
		if (a->note[(i - 1) % RIG_MAX_NOTES].request == request)
			return &a->note[(i - 1) % RIG_MAX_NOTES];
	return NULL;
}

/* --- B -------------------------------------------------------------------- */

int rig_dial(struct broker_rig *rig, unsigned int port, struct guest_vu *vu)
{
	uint64_t features, protocol;
	int rc;

	rc = guest_vu_connect(vu, rig->b[port], rig->worker);
	if (rc < 0)
		return rc;
	rc = guest_vu_ask_u64(vu, VU_GET_FEATURES, &features);
	if (rc == 0)
		rc = guest_vu_ask_u64(vu, VU_GET_PROTOCOL_FEATURES, &protocol);
	if (rc == 0)
		rc = guest_vu_tell_u64(vu, VU_SET_PROTOCOL_FEATURES, protocol);
	vu->has_reply_ack = true;
	if (rc == 0)
		rc = guest_vu_tell(vu, VU_SET_OWNER, NULL, 0, NULL, 0);
	if (rc == 0)
		rc = guest_vu_tell_u64(
			vu, VU_SET_FEATURES,
			PVIO_BIT(VIRTIO_F_VERSION_1) |
				PVIO_BIT(VU_F_PROTOCOL_FEATURES));
	if (rc == 0)
		rc = guest_vu_tell_memory(vu, &rig->mem);
	return rc;
}

bool rig_is_hung_up(struct guest_vu *vu)
{
	char byte;
	ssize_t n = recv(vu->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* --- the rig -------------------------------------------------------------- */

int rig_create(struct broker_rig *rig, const char *extra)
{
	char text[1024];
	int rc;

	snprintf(text, sizeof(text),
		 "socket = \"%s\"; vectors = %d; window = \"ram\"; "
		 "file = \"%s\"; %s ports = ("
		 "{ name = \"b0\"; socket = \"%s\"; },"
		 "{ name = \"b1\"; socket = \"%s\"; });",
		 rig->a, RIG_VECTORS, rig->window, extra, rig->b[0], rig->b[1]);
	ck_assert_int_eq(pvio_config_parse("test", text, &rig->file), 0);
	rc = broker_create("w", pvio_config_root(rig->file), rig->worker,
			   &rig->worker, 1, &rig->broker);
	if (rc == 0)
		rc = broker_start(rig->broker);
	return rc;
}

/* B's memory: the window's file, but for the control area. */
static void rig_add_memory(struct broker_rig *rig)
{
	struct guest_region *r = &rig->mem.region[0];

	r->fd = open(rig->window, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(r->fd, 0);
	r->gpa = 0;
	r->size = window_control_offset(RIG_WINDOW_BYTES);
	r->host = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		       0);
	ck_assert_ptr_ne(r->host, MAP_FAILED);
	rig->mem.nr = 1;
}

void rig_open(struct broker_rig *rig, const char *extra)
{
	unsigned int i;
	int fd;

	memset(rig, 0, sizeof(*rig));
	rig->appliance.rig = rig;
	rig->appliance.fd = -1;
	snprintf(rig->dir, sizeof(rig->dir), "/tmp/pvio-window-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(rig->dir));
	snprintf(rig->window, sizeof(rig->window), "%s/ram", rig->dir);
	snprintf(rig->a, sizeof(rig->a), "%s/a", rig->dir);
	for (i = 0; i < RIG_PORTS; i++)
		snprintf(rig->b[i], sizeof(rig->b[i]), "%s/b%u", rig->dir, i);
	fd = open(rig->window, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(ftruncate(fd, RIG_WINDOW_BYTES), 0);
	close(fd);
	guest_memory_init(&rig->mem);
	rig_add_memory(rig);
	ck_assert_int_eq(pvio_worker_create("test", &rig->worker), 0);
	ck_assert_int_eq(rig_create(rig, extra), 0);
}

static void rig_end_broker(struct broker_rig *rig)
{
	broker_destroy(rig->broker);
	rig->broker = NULL;
	pvio_config_close(rig->file);
}

void rig_restart_broker(struct broker_rig *rig, const char *extra)
{
	rig_end_broker(rig);
	rig_disconnect(rig);
	ck_assert_int_eq(rig_create(rig, extra), 0);
}

void rig_close(struct broker_rig *rig)
{
	rig_end_broker(rig);
	rig_disconnect(rig);
	rig_settle(rig);
	pvio_worker_destroy(rig->worker);
	guest_memory_fini(&rig->mem);
	unlink(rig->window);
	ck_assert_int_eq(rmdir(rig->dir), 0);
}

int64_t rig_stat(struct broker_rig *rig, unsigned int port, const char *key)
{
	struct json_object *root, *at;
	char path[64], *next = path;
	int64_t value;
	char *json;

	ck_assert_int_eq(broker_port_stats(&rig->broker->port[port], &json), 0);
	at = root = json_tokener_parse(json);
	free(json);
	snprintf(path, sizeof(path), "%s", key);
	while (at && next) {
		char *member = next, *dot = strchr(next, '.');

		next = dot ? dot + 1 : NULL;
		if (dot)
			*dot = '\0';
		if (!json_object_object_get_ex(at, member, &at))
			at = NULL;
	}
	ck_assert_msg(at != NULL, "no %s in the stats", key);
	value = json_object_get_int64(at);
	json_object_put(root);
	return value;
}
