/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bounce-rig.c - a port of a bounce window between two real sides
 */
#include "tests/bounce-rig.h"

#include "core/eventfd.h"

#include <pvio/pvio.h>

#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RAM_GPA 0x100000u

static struct bounce_rig *the_rig;

struct rig_answer {
	struct pvio_list node;
	struct window_frame frame;
	struct vu_header header; /* with what follows: the payload */
	uint8_t payload[sizeof(struct vu_config)];
};

/* --- the appliance's end of the channel ------------------------------------ */

static void unwire(struct bounce_rig *rig)
{
	if (!rig->is_wired)
		return;
	event_free(rig->event);
	if (rig->channel_event)
		event_free(rig->channel_event);
	if (rig->channel >= 0)
		close(rig->channel);
	rig->channel_event = NULL;
	rig->channel = -1;
	vu_wire_fini(&rig->wire);
	rig->is_wired = false;
}

static void on_wire(evutil_socket_t fd, short what, void *arg)
{
	struct bounce_rig *rig = arg;

	(void)fd;
	(void)what;
	while (rig->is_wired && vu_wire_receive(&rig->wire) == 1) {
		const struct vu_message *msg = &rig->wire.message;

		bounce_rig_answer(rig, WINDOW_MESSAGE, msg->header.request,
				  msg->header.flags & ~VU_VERSION, msg->bytes,
				  msg->header.size);
		vu_wire_next(&rig->wire);
	}
}

static void on_channel(evutil_socket_t fd, short what, void *arg)
{
	struct vu_header header;

	(void)what;
	while (recv(fd, &header, sizeof(header), MSG_DONTWAIT) ==
	       sizeof(header))
		bounce_rig_answer(arg, WINDOW_BACKEND_MESSAGE, header.request,
				  0, NULL, 0);
}

static void wire_up(struct bounce_rig *rig)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s",
		 rig->appliance_path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	evutil_make_socket_nonblocking(fd);
	vu_wire_init(&rig->wire, fd, NULL);
	rig->event = event_new(pvio_worker_base(rig->worker), fd,
			       EV_READ | EV_PERSIST, on_wire, rig);
	ck_assert_int_eq(event_add(rig->event, NULL), 0);
	rig->is_wired = true;
	rig->channel = -1;
}

/* The descriptor that goes with @header; -1: none. */
static int wire_fd(struct bounce_rig *rig, uint32_t request, uint32_t ring)
{
	int pair[2];

	switch (request) {
	case VU_SET_MEM_TABLE:
		return rig->broker.memory.fd;
	case VU_SET_VRING_KICK:
		return rig->kick_fd[ring];
	case VU_SET_VRING_CALL:
		return rig->call_fd[ring];
	case VU_SET_BACKEND_REQ_FD:
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC,
					    0, pair),
				 0);
		rig->channel = pair[0];
		rig->channel_event = event_new(pvio_worker_base(rig->worker),
					       pair[0], EV_READ | EV_PERSIST,
					       on_channel, rig);
		event_add(rig->channel_event, NULL);
		return pair[1];
	}
	return -1;
}

static void note(struct bounce_rig *rig, const struct vu_header *header,
		 const uint8_t *payload)
{
	struct vu_vring_addr addr;

	ck_assert_uint_lt(header->request, pvio_array_size(rig->told));
	rig->told[header->request]++;
	if (header->request == VU_SET_VRING_ADDR) {
		memcpy(&addr, payload, sizeof(addr));
		rig->addr[addr.index] = addr;
	}
	if (header->request == VU_SET_FEATURES)
		memcpy(&rig->features, payload, sizeof(rig->features));
}

static void relay(struct bounce_rig *rig, const struct vu_header *header,
		  const uint8_t *payload)
{
	uint64_t ring = 0;
	int fd;

	if (header->size >= sizeof(ring))
		memcpy(&ring, payload, sizeof(ring));
	fd = wire_fd(rig, header->request, ring % BROKER_MAX_RINGS);
	ck_assert_int_eq(vu_wire_send(&rig->wire, header, payload, fd), 0);
	if (header->request == VU_SET_BACKEND_REQ_FD)
		close(fd);
}

/* --- what a port asks of the broker ---------------------------------------- */

static void served(struct pvio_job *job)
{
	struct bounce_rig *rig = pvio_container_of(job, struct bounce_rig,
						   served_job);

	if (rig->is_mute || !rig->port->is_open)
		return;
	wire_up(rig);
	rig->port->is_served = true;
	rig->port->ops->served(rig->port);
}

static void forget_answers(struct bounce_rig *rig)
{
	while (!pvio_list_empty(&rig->answers)) {
		struct rig_answer *a = pvio_list_entry(rig->answers.next,
						       struct rig_answer, node);

		pvio_list_del(&a->node);
		free(a);
	}
}

static void session_over(struct bounce_rig *rig)
{
	rig->port->session = 0;
	rig->port->is_served = false;
	unwire(rig);
	forget_answers(rig);
}

static void ended(struct pvio_job *job)
{
	struct bounce_rig *rig = pvio_container_of(job, struct bounce_rig,
						   ended_job);

	session_over(rig);
	rig->port->ops->ended(rig->port);
}

void broker_session_begin(struct broker_port *port)
{
	ck_assert(port->is_open && port->session == 0);
	port->session = (uint32_t)++port->sessions;
	pvio_worker_schedule(the_rig->worker, &the_rig->served_job);
}

void broker_session_end(struct broker_port *port)
{
	ck_assert_uint_ne(port->session, 0);
	pvio_worker_schedule(the_rig->worker, &the_rig->ended_job);
}

int broker_send(struct broker_port *port, enum window_frame_kind kind,
		uint32_t number, const void *payload, size_t bytes)
{
	struct bounce_rig *rig = the_rig;
	struct vu_header header;

	ck_assert_int_eq(kind, WINDOW_MESSAGE);
	if (!port->is_served)
		return -ENOTCONN;
	ck_assert_uint_ge(bytes, sizeof(header));
	memcpy(&header, payload, sizeof(header));
	payload = (const uint8_t *)payload + sizeof(header);
	ck_assert_uint_eq(header.size, bytes - sizeof(header));
	if (header.request == VU_SET_VRING_KICK)
		ck_assert_uint_ge(number, 1);
	note(rig, &header, payload);
	if (!rig->intercept || !rig->intercept(rig, &header, payload))
		relay(rig, &header, payload);
	return 0;
}

/* Calls that were being set up are not any more. */
static void drop_calls(struct bounce_rig *rig)
{
	unsigned int i;

	pvio_job_cancel(&rig->calls_job);
	for (i = 0; i < BROKER_MAX_RINGS; i++) {
		pvio_done_fn *done = rig->call_done[i];

		rig->call_done[i] = NULL;
		if (done)
			done(rig->call_arg[i], -ENOTCONN);
	}
}

static void close_port(struct bounce_rig *rig)
{
	rig->port->is_open = false;
	drop_calls(rig);
	session_over(rig);
	rig->port->ops->closed(rig->port);
}

void broker_distrust(struct broker_port *port, const char *fmt, ...)
{
	struct bounce_rig *rig = the_rig;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(rig->why, sizeof(rig->why), fmt, ap);
	va_end(ap);
	rig->distrusted++;
	if (port->is_open)
		close_port(rig);
}

int broker_ring_kick(struct broker_port *port, unsigned int ring, int fd,
		     uint32_t *number)
{
	(void)port;
	the_rig->kick_fd[ring] = fd;
	*number = 1 + ring;
	return 0;
}

static void calls(struct pvio_job *job)
{
	struct bounce_rig *rig = pvio_container_of(job, struct bounce_rig,
						   calls_job);
	unsigned int i;

	for (i = 0; i < BROKER_MAX_RINGS; i++) {
		pvio_done_fn *done = rig->call_done[i];

		rig->call_done[i] = NULL;
		if (done)
			done(rig->call_arg[i], (int)(i + 1) << 16);
	}
}

void broker_ring_call(struct broker_port *port, unsigned int ring, int fd,
		      pvio_done_fn *done, void *arg)
{
	struct bounce_rig *rig = the_rig;

	(void)port;
	rig->call_fd[ring] = fd;
	if (!rig->late_calls) {
		done(arg, (int)(ring + 1) << 16);
		return;
	}
	rig->call_done[ring] = done;
	rig->call_arg[ring] = arg;
	pvio_worker_schedule(rig->worker, &rig->calls_job);
}

/* --- the appliance --------------------------------------------------------- */

static void answers(struct pvio_job *job)
{
	struct bounce_rig *rig = pvio_container_of(job, struct bounce_rig,
						   answers_job);

	while (!pvio_list_empty(&rig->answers)) {
		struct rig_answer *a = pvio_list_entry(rig->answers.next,
						       struct rig_answer, node);

		pvio_list_del(&a->node);
		if (rig->port->is_served)
			rig->port->ops->frame(rig->port, &a->frame, &a->header);
		free(a);
	}
}

void bounce_rig_answer(struct bounce_rig *rig, enum window_frame_kind kind,
		       uint32_t request, uint32_t flags, const void *payload,
		       size_t size)
{
	struct rig_answer *a = calloc(1, sizeof(*a));

	ck_assert_ptr_nonnull(a);
	ck_assert_uint_le(size, sizeof(a->payload));
	a->frame.kind = kind;
	a->frame.session = rig->port->session;
	a->frame.bytes = (uint32_t)(sizeof(a->header) + size);
	a->header = (struct vu_header){ request, VU_VERSION | flags,
					(uint32_t)size };
	if (size > 0)
		memcpy(a->payload, payload, size);
	pvio_list_add_tail(&rig->answers, &a->node);
	pvio_worker_schedule(rig->worker, &rig->answers_job);
}

void bounce_rig_appear(struct bounce_rig *rig, const char *config)
{
	struct broker_port *port = rig->port;
	const struct pvio_model_ops *ops;
	char text[512];

	snprintf(text, sizeof(text),
		 "%s transport = { type = \"vhost-user\"; socket = \"%s\"; };",
		 config, rig->appliance_path);
	ck_assert_int_eq(pvio_device_create("appliance", text, rig->worker,
					    &rig->worker, 1, &rig->dev),
			 0);
	ck_assert_int_eq(pvio_device_start(rig->dev), 0);
	ops = pvio_device_model(rig->dev);
	port->facts = (struct broker_facts){
		.device_id = ops->device_id,
		.nr_queues = pvio_device_nr_queues(rig->dev),
		.queue_size = pvio_device_queue_size(rig->dev),
		.queues_per_unit = ops->queues_per_unit ? ops->queues_per_unit
							: 1,
	};
	port->is_open = true;
	port->ops->opened(port);
}

void bounce_rig_vanish(struct bounce_rig *rig)
{
	struct pvio_device *dev = rig->dev;

	rig->dev = NULL;
	/* What it says while it dies nobody hears. */
	unwire(rig);
	pvio_device_destroy(dev);
	if (rig->port->is_open)
		close_port(rig);
}

void bounce_rig_freeze(struct bounce_rig *rig)
{
	ck_assert_int_eq(pvio_device_pause(rig->dev), 0);
}

void bounce_rig_thaw(struct bounce_rig *rig)
{
	pvio_device_resume(rig->dev);
}

/* --- life ------------------------------------------------------------------ */

static void make_window(struct bounce_rig *rig, uint64_t share_bytes)
{
	struct broker_memory *memory = &rig->broker.memory;

	memory->fd = memfd_create("window", MFD_CLOEXEC);
	ck_assert_int_ge(memory->fd, 0);
	ck_assert_int_eq(ftruncate(memory->fd, RIG_WINDOW_BYTES), 0);
	memory->bytes = RIG_WINDOW_BYTES;
	memory->host = mmap(NULL, RIG_WINDOW_BYTES, PROT_READ | PROT_WRITE,
			    MAP_SHARED, memory->fd, 0);
	ck_assert_ptr_ne(memory->host, MAP_FAILED);
	/* Not its first byte, which would be too simple. */
	rig->port->share_offset = 1u << 20;
	rig->port->share_bytes = share_bytes;
	memset(memory->host, 0xa5, RIG_WINDOW_BYTES);
}

static void make_port(struct bounce_rig *rig, const char *model)
{
	struct pvio_config_file *file;
	char text[256];

	snprintf(text, sizeof(text), "model = \"%s\"; socket = \"%s\";", model,
		 rig->path);
	ck_assert_int_eq(pvio_config_parse("port", text, &file), 0);
	ck_assert_int_eq(
		broker_bounce_ops.create(rig->port, pvio_config_root(file)), 0);
	ck_assert_int_eq(pvio_config_finish(pvio_config_root(file)), 0);
	pvio_config_close(file);
	ck_assert_int_eq(broker_bounce_ops.start(rig->port), 0);
}

void bounce_rig_init(struct bounce_rig *rig, const char *model, bool threaded,
		     uint64_t share_bytes)
{
	memset(rig, 0, sizeof(*rig));
	the_rig = rig;
	snprintf(rig->dir, sizeof(rig->dir), "/tmp/pvio-bounce-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(rig->dir));
	snprintf(rig->path, sizeof(rig->path), "%s/b", rig->dir);
	snprintf(rig->appliance_path, sizeof(rig->appliance_path), "%s/a",
		 rig->dir);
	ck_assert_int_eq(pvio_worker_create("control", &rig->worker), 0);
	rig->serving = rig->worker;
	if (threaded) {
		ck_assert_int_eq(pvio_worker_create("serving", &rig->serving),
				 0);
		ck_assert_int_eq(pvio_worker_start(rig->serving), 0);
	}
	rig->channel = -1;
	pvio_list_init(&rig->answers);
	pvio_job_init(&rig->served_job, served);
	pvio_job_init(&rig->ended_job, ended);
	pvio_job_init(&rig->calls_job, calls);
	pvio_job_init(&rig->answers_job, answers);

	rig->broker.name = rig->dir;
	rig->broker.control = rig->worker;
	rig->broker.workers = &rig->serving;
	rig->broker.nr_workers = 1;
	rig->broker.timeout_ms = RIG_PATIENCE_MS;
	rig->port = &rig->broker.port[0];
	rig->port->broker = &rig->broker;
	rig->port->name = rig->dir;
	rig->port->ops = &broker_bounce_ops;
	make_window(rig, share_bytes);
	make_port(rig, model);
	guest_memory_init(&rig->mem);
	ck_assert_int_eq(guest_memory_add(&rig->mem, RAM_GPA, RIG_RAM_BYTES),
			 0);
}

static void note_stopped(void *arg, int rc)
{
	(void)rc;
	*(bool *)arg = true;
}

void bounce_rig_fini(struct bounce_rig *rig)
{
	struct broker_memory *memory = &rig->broker.memory;
	bool is_stopped = false;

	broker_bounce_ops.stop(rig->port, note_stopped, &is_stopped);
	bounce_rig_until(rig, is_stopped);
	broker_bounce_ops.destroy(rig->port);
	session_over(rig);
	guest_device_close(rig->gd);
	pvio_device_destroy(rig->dev);
	if (rig->serving != rig->worker)
		pvio_worker_destroy(rig->serving);
	pvio_worker_destroy(rig->worker);
	munmap(memory->host, RIG_WINDOW_BYTES);
	close(memory->fd);
	guest_memory_fini(&rig->mem);
	ck_assert_int_eq(rmdir(rig->dir), 0);
}

void bounce_rig_turn(struct bounce_rig *rig)
{
	if (!pvio_worker_step(rig->worker))
		pvio_worker_wait(rig->worker, 1);
}

void bounce_rig_pass(struct bounce_rig *rig, unsigned int ms)
{
	uint64_t until = pvio_now_ns() + ms * UINT64_C(1000000);

	while (pvio_now_ns() < until)
		bounce_rig_turn(rig);
}

struct bounce *bounce_rig_port(const struct bounce_rig *rig)
{
	return rig->port->state;
}

void bounce_rig_connect(struct bounce_rig *rig)
{
	struct guest_vu_options options = {
		.step = rig->worker,
		.queues_per_unit = rig->port->facts.queues_per_unit,
		.fd = -1,
	};

	guest_device_close(rig->gd);
	rig->gd = NULL;
	bounce_rig_until(rig, bounce_rig_port(rig)->dev &&
				      !bounce_rig_port(rig)->is_dying);
	ck_assert_int_eq(guest_device_open_vhost_user_with(rig->path, &rig->mem,
							   &options, &rig->gd),
			 0);
}

void bounce_rig_bring_up(struct bounce_rig *rig, uint64_t features,
			 unsigned int queues, uint16_t size)
{
	uint64_t bits[2] = { features, 0 };
	unsigned int q;

	ck_assert_int_eq(guest_device_negotiate(rig->gd, bits), 0);
	for (q = 0; q < queues; q++)
		ck_assert_int_eq(guest_device_setup_queue(rig->gd, q, size), 0);
	ck_assert_int_eq(guest_device_start(rig->gd), 0);
	for (q = 0; q < queues; q++)
		bounce_rig_until(rig, bounce_rig_is_live(rig, q));
}

bool bounce_rig_is_live(const struct bounce_rig *rig, unsigned int q)
{
	const struct bounce_queue *queue = &bounce_rig_port(rig)->queue[q];

	return queue->state == BOUNCE_RING_LIVE && !queue->is_busy &&
	       queue->heard_wish == pvio_load_acquire(&queue->wish);
}

/* --- the window ------------------------------------------------------------ */

static void *window_at(const struct bounce_rig *rig, uint64_t uva)
{
	return rig->broker.memory.host + (uva & 0xffffffff);
}

struct vring_used *bounce_rig_used(const struct bounce_rig *rig, unsigned int q)
{
	return window_at(rig, rig->addr[q].used);
}

const struct vring_avail *bounce_rig_avail(const struct bounce_rig *rig,
					   unsigned int q)
{
	return window_at(rig, rig->addr[q].avail);
}

void bounce_rig_call(struct bounce_rig *rig, unsigned int q)
{
	ck_assert_int_eq(pvio_eventfd_signal(rig->call_fd[q]), 0);
}

void bounce_rig_use(struct bounce_rig *rig, unsigned int q, uint32_t id,
		    uint32_t len)
{
	const struct bounce_queue *queue = &bounce_rig_port(rig)->queue[q];
	struct vring_used *used = bounce_rig_used(rig, q);
	uint16_t idx = le16toh(pvio_load_once(&used->idx));
	struct vring_used_elem *elem = &used->ring[idx & (queue->size - 1)];

	pvio_store_once(&elem->id, htole32(id));
	pvio_store_once(&elem->len, htole32(len));
	pvio_store_release(&used->idx, htole16((uint16_t)(idx + 1)));
	bounce_rig_call(rig, q);
}

/* --- a disk's driver ------------------------------------------------------- */

void disk_make(struct bounce_rig *rig, struct disk_request *req)
{
	memset(req, 0, sizeof(*req));
	req->header = guest_alloc(&rig->mem, sizeof(*req->header), 16,
				  &req->header_gpa);
	req->data = guest_alloc(&rig->mem, DISK_MAX_BYTES, 4096,
				&req->data_gpa);
	req->status = guest_alloc(&rig->mem, 1, 1, &req->status_gpa);
	ck_assert_ptr_nonnull(req->header);
	ck_assert_ptr_nonnull(req->data);
	ck_assert_ptr_nonnull(req->status);
}

/* @bytes at @gpa in @pieces of odd sizes. */
static unsigned int disk_cut(struct guest_segment *seg, uint64_t gpa,
			     uint32_t bytes, unsigned int pieces)
{
	unsigned int n = 0;

	while (bytes > 0) {
		uint32_t len = bytes;

		if (pieces > 1 && bytes > 1)
			len = 1 + (uint32_t)rand() % (bytes / pieces * 2 + 1);
		len = (uint32_t)pvio_min(len, bytes);
		seg[n++] = (struct guest_segment){ gpa, len };
		gpa += len;
		bytes -= len;
		pieces -= pieces > 1;
	}
	return n;
}

int disk_submit(struct bounce_rig *rig, unsigned int q,
		struct disk_request *req, uint32_t type, uint64_t sector,
		uint32_t bytes, unsigned int pieces)
{
	struct guest_ring *ring = guest_device_ring(rig->gd, q);
	bool is_out = type == VIRTIO_BLK_T_OUT;
	struct guest_segment seg[64];
	unsigned int n = 1, nr_readable;
	int rc;

	req->header->type = htole32(type);
	req->header->sector = htole64(sector);
	*req->status = DISK_QUEUED;
	req->type = type;
	req->bytes = bytes;
	seg[0] = (struct guest_segment){ req->header_gpa,
					 sizeof(*req->header) };
	n += disk_cut(seg + n, req->data_gpa, bytes, pieces);
	nr_readable = is_out ? n : 1;
	seg[n++] = (struct guest_segment){ req->status_gpa, 1 };
	rc = guest_ring_add(ring, seg, nr_readable, n - nr_readable, req);
	if (rc == 0 && guest_ring_publish(ring))
		guest_device_kick(rig->gd, q);
	return rc;
}

unsigned int disk_reap(struct bounce_rig *rig, unsigned int q)
{
	struct guest_ring *ring = guest_device_ring(rig->gd, q);
	struct disk_request *req;
	unsigned int n = 0;
	uint32_t len;

	while ((req = guest_ring_reap(ring, &len)) != NULL) {
		req->answers++;
		req->len = len;
		n++;
	}
	ck_assert(!guest_ring_is_broken(ring));
	return n;
}

uint8_t disk_do(struct bounce_rig *rig, unsigned int q,
		struct disk_request *req, uint32_t type, uint64_t sector,
		uint32_t bytes, unsigned int pieces)
{
	ck_assert_int_eq(disk_submit(rig, q, req, type, sector, bytes, pieces),
			 0);
	req->answers = 0;
	bounce_rig_until(rig, disk_reap(rig, q) == 1 || req->answers);
	ck_assert_uint_eq(req->answers, 1);
	return *req->status;
}
