/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-vhost-user.c - a device behind a vhost-user socket, ours or a peer's
 *
 * Plays the VMM that a driver's register accesses would go through.  vhost-user
 * has a status register only with its STATUS feature; otherwise the front-end
 * keeps one, and a reset is RESET_DEVICE or, failing that, the end of every
 * ring.
 *
 *	open	    features, protocol features, memory, back-end channel
 *	set_status  SET_STATUS, or our own register
 *	start_queue NUM, BASE, ADDR, ERR, CALL, KICK, ENABLE
 *
 * Requests in flight are tracked where the back-end can: its region is kept
 * over its death and given to the next one by guest_device_reconnect().
 */
#include "device-ops.h"
#include "vhost-user.h"

#include "core/barrier.h"
#include "core/util.h"
#include "core/virtio.h"
#include "core/worker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct guest_vhost_user {
	struct guest_device gd; /* first */
	struct guest_vu vu;
	struct guest_vu_options options;
	uint64_t offered, protocol;
	uint8_t status;  /* our register, where the back-end has none */
	bool is_gone;    /* connection closed, or a ring failed; atomic */
	int channel;     /* back-end's messages, or -1 */
	int err_fd;      /* every ring's */
	int epoll_fd;    /* readable when step has something to do */
	int inflight_fd; /* kept, or -1 */
	struct vu_inflight inflight;
	uint32_t base[GUEST_MAX_QUEUES]; /* where a ring is to begin */
	bool is_started[GUEST_MAX_QUEUES];
	pthread_mutex_t step_lock; /* waiters of several queues step */
};

#define WANTED_PROTOCOL                                                        \
	(PVIO_BIT(VU_PROTOCOL_MQ) | PVIO_BIT(VU_PROTOCOL_LOG_SHMFD) |          \
	 PVIO_BIT(VU_PROTOCOL_REPLY_ACK) | PVIO_BIT(VU_PROTOCOL_BACKEND_REQ) | \
	 PVIO_BIT(VU_PROTOCOL_CONFIG) | PVIO_BIT(VU_PROTOCOL_INFLIGHT_SHMFD) | \
	 PVIO_BIT(VU_PROTOCOL_RESET_DEVICE) |                                  \
	 PVIO_BIT(VU_PROTOCOL_CONFIGURE_MEM_SLOTS) |                           \
	 PVIO_BIT(VU_PROTOCOL_STATUS))

static struct guest_vhost_user *vhost_user_of(struct guest_device *gd)
{
	return pvio_container_of(gd, struct guest_vhost_user, gd);
}

struct guest_vu *guest_device_vu(struct guest_device *gd)
{
	return &vhost_user_of(gd)->vu;
}

static bool has_protocol(const struct guest_vhost_user *gv,
			 enum vu_protocol_feature bit)
{
	return gv->protocol >> bit & 1;
}

static bool is_packed(const struct guest_vhost_user *gv)
{
	return gv->gd.features[0] >> VIRTIO_F_RING_PACKED & 1;
}

/* A connection that is gone answers nothing. */
static int note_gone(struct guest_vhost_user *gv, int rc)
{
	if (rc == -EPIPE || rc == -ETIMEDOUT)
		pvio_store_once(&gv->is_gone, true);
	return rc;
}

/* --- status and features -------------------------------------------------- */

static int vhost_user_get_status(struct guest_device *gd, uint8_t *status)
{
	struct guest_vhost_user *gv = vhost_user_of(gd);
	uint64_t value;
	int rc;

	if (!has_protocol(gv, VU_PROTOCOL_STATUS)) {
		*status = gv->status;
		return 0;
	}
	rc = note_gone(gv, guest_vu_ask_u64(&gv->vu, VU_GET_STATUS, &value));
	if (rc == 0)
		*status = (uint8_t)value;
	return rc;
}

/* Stop every ring; where they stood does not matter. */
static int vhost_user_stop_rings(struct guest_vhost_user *gv)
{
	struct guest_vu_reply reply;
	unsigned int i;
	int rc = 0;

	for (i = 0; i < GUEST_MAX_QUEUES && rc == 0; i++) {
		struct vu_vring_state state = { .index = i };

		if (!gv->is_started[i])
			continue;
		rc = guest_vu_ask(&gv->vu, VU_GET_VRING_BASE, &state,
				  sizeof(state), &reply);
	}
	return rc;
}

static int vhost_user_reset(struct guest_vhost_user *gv)
{
	int rc;

	rc = vhost_user_stop_rings(gv);
	if (rc == 0 && has_protocol(gv, VU_PROTOCOL_STATUS))
		rc = guest_vu_tell_u64(&gv->vu, VU_SET_STATUS, 0);
	else if (rc == 0 && has_protocol(gv, VU_PROTOCOL_RESET_DEVICE))
		rc = guest_vu_tell(&gv->vu, VU_RESET_DEVICE, NULL, 0, NULL, 0);
	if (rc < 0)
		return note_gone(gv, rc);
	gv->status = 0;
	memset(gv->is_started, 0, sizeof(gv->is_started));
	memset(gv->base, 0, sizeof(gv->base));
	/* A new driver has nothing in flight. */
	if (gv->inflight_fd >= 0)
		close(gv->inflight_fd);
	gv->inflight_fd = -1;
	return 0;
}

static int vhost_user_set_status(struct guest_device *gd, uint8_t status)
{
	struct guest_vhost_user *gv = vhost_user_of(gd);

	if (status == 0)
		return vhost_user_reset(gv);
	gv->status = status;
	if (!has_protocol(gv, VU_PROTOCOL_STATUS))
		return 0;
	return note_gone(gv, guest_vu_tell_u64(&gv->vu, VU_SET_STATUS, status));
}

static int vhost_user_get_features(struct guest_device *gd, uint64_t bits[2])
{
	struct guest_vhost_user *gv = vhost_user_of(gd);

	bits[0] = gv->offered & ~PVIO_BIT(VU_F_LOG_ALL) &
		  ~PVIO_BIT(VU_F_PROTOCOL_FEATURES);
	bits[1] = 0;
	return 0;
}

static int vhost_user_set_features(struct guest_device *gd,
				   const uint64_t bits[2])
{
	struct guest_vhost_user *gv = vhost_user_of(gd);
	uint64_t ours = gv->offered & PVIO_BIT(VU_F_PROTOCOL_FEATURES);
	int rc;

	if (bits[1])
		return -EINVAL;
	rc = guest_vu_tell_u64(&gv->vu, VU_SET_FEATURES, bits[0] | ours);
	return rc == -EREMOTEIO ? -EINVAL : note_gone(gv, rc);
}

/* --- configuration -------------------------------------------------------- */

static int vhost_user_read_config(struct guest_device *gd, size_t offset,
				  void *buf, size_t len)
{
	struct guest_vhost_user *gv = vhost_user_of(gd);
	struct vu_config c = { .offset = (uint32_t)offset,
			       .size = (uint32_t)len };
	struct guest_vu_reply reply;
	int rc;

	if (!has_protocol(gv, VU_PROTOCOL_CONFIG))
		return -ENOTSUP;
	if (len > sizeof(c.data))
		return -EINVAL;
	rc = guest_vu_ask(&gv->vu, VU_GET_CONFIG, &c,
			  VU_CONFIG_HEADER_BYTES + len, &reply);
	if (rc < 0)
		return note_gone(gv, rc);
	if (reply.header.size == 0)
		return -EINVAL;
	if (reply.header.size != VU_CONFIG_HEADER_BYTES + len)
		return -EPROTO;
	memcpy(buf, reply.config.data, len);
	return 0;
}

static int vhost_user_write_config(struct guest_device *gd, size_t offset,
				   const void *buf, size_t len)
{
	struct guest_vhost_user *gv = vhost_user_of(gd);
	struct vu_config c = { .offset = (uint32_t)offset,
			       .size = (uint32_t)len,
			       .flags = VU_CONFIG_WRITABLE };
	int rc;

	if (!has_protocol(gv, VU_PROTOCOL_CONFIG))
		return -ENOTSUP;
	if (len > sizeof(c.data))
		return -EINVAL;
	memcpy(c.data, buf, len);
	rc = guest_vu_tell(&gv->vu, VU_SET_CONFIG, &c,
			   VU_CONFIG_HEADER_BYTES + len, NULL, 0);
	return rc == -EREMOTEIO ? -EINVAL : note_gone(gv, rc);
}

/* --- queues --------------------------------------------------------------- */

static int vhost_user_nr_queues(struct guest_device *gd)
{
	struct guest_vhost_user *gv = vhost_user_of(gd);
	uint64_t nr = 1;
	int rc = 0;

	if (has_protocol(gv, VU_PROTOCOL_MQ))
		rc = guest_vu_ask_u64(&gv->vu, VU_GET_QUEUE_NUM, &nr);
	if (gv->options.queues_per_unit > 1)
		nr *= gv->options.queues_per_unit;
	return rc < 0 ? note_gone(gv, rc) : (int)pvio_min(nr, GUEST_MAX_QUEUES);
}

/* Have requests in flight tracked: the region we kept, or a new one. */
static int vhost_user_track(struct guest_vhost_user *gv, uint16_t size)
{
	struct guest_vu_reply reply;
	int rc;

	if (!has_protocol(gv, VU_PROTOCOL_INFLIGHT_SHMFD) ||
	    gv->options.no_inflight)
		return 0;
	if (gv->inflight_fd < 0) {
		gv->inflight = (struct vu_inflight){
			.num_queues = (uint16_t)vhost_user_nr_queues(&gv->gd),
			.queue_size = size,
		};
		rc = guest_vu_ask(&gv->vu, VU_GET_INFLIGHT_FD, &gv->inflight,
				  sizeof(gv->inflight), &reply);
		if (rc < 0)
			return rc;
		if (reply.fd < 0 || reply.inflight.mmap_size == 0)
			return -EPROTO;
		gv->inflight_fd = reply.fd;
		gv->inflight = reply.inflight;
	}
	return guest_vu_tell(&gv->vu, VU_SET_INFLIGHT_FD, &gv->inflight,
			     sizeof(gv->inflight), &gv->inflight_fd, 1);
}

static bool is_any_started(const struct guest_vhost_user *gv)
{
	unsigned int i;

	for (i = 0; i < GUEST_MAX_QUEUES; i++)
		if (gv->is_started[i])
			return true;
	return false;
}

static int vhost_user_tell_addr(struct guest_vhost_user *gv, unsigned int q)
{
	const struct guest_ring *ring = gv->gd.queue[q].ring;
	const struct guest_memory *mem = gv->gd.mem;
	struct vu_vring_addr addr = {
		.index = q,
		.desc = (uintptr_t)guest_host(mem, guest_ring_desc(ring)),
		.used = (uintptr_t)guest_host(mem, guest_ring_device(ring)),
		.avail = (uintptr_t)guest_host(mem, guest_ring_driver(ring)),
		.log = guest_ring_device(ring),
	};

	return guest_vu_tell(&gv->vu, VU_SET_VRING_ADDR, &addr, sizeof(addr),
			     NULL, 0);
}

static int vhost_user_start_queue(struct guest_device *gd, unsigned int q)
{
	struct guest_vhost_user *gv = vhost_user_of(gd);
	struct guest_queue *queue = &gd->queue[q];
	bool in_band = gv->options.in_band;
	struct guest_vu *vu = &gv->vu;
	uint32_t base = gv->base[q];
	int rc = 0;

	/* Packed rings begin with their wrap counters at 1. */
	if (is_packed(gv) && base == 0)
		base = VU_PACKED_AVAIL_WRAP | VU_PACKED_USED_WRAP;
	if (!is_any_started(gv))
		rc = vhost_user_track(gv, guest_ring_size(queue->ring));
	if (rc == 0)
		rc = guest_vu_tell_state(vu, VU_SET_VRING_NUM, q,
					 guest_ring_size(queue->ring));
	if (rc == 0)
		rc = guest_vu_tell_state(vu, VU_SET_VRING_BASE, q, base);
	if (rc == 0)
		rc = vhost_user_tell_addr(gv, q);
	if (rc == 0)
		rc = guest_vu_tell_fd(vu, VU_SET_VRING_ERR, q, gv->err_fd);
	if (rc == 0)
		rc = guest_vu_tell_fd(vu, VU_SET_VRING_CALL, q,
				      in_band ? -1 : queue->call_fd);
	if (rc == 0)
		rc = guest_vu_tell_fd(vu, VU_SET_VRING_KICK, q,
				      in_band ? -1 : queue->kick_fd);
	if (rc == 0 && gv->offered >> VU_F_PROTOCOL_FEATURES & 1)
		rc = guest_vu_tell_state(vu, VU_SET_VRING_ENABLE, q, 1);
	if (rc == 0)
		gv->is_started[q] = true;
	return rc == -EREMOTEIO ? -EINVAL : note_gone(gv, rc);
}

static void vhost_user_kick(struct guest_device *gd, unsigned int q)
{
	struct guest_vhost_user *gv = vhost_user_of(gd);
	struct vu_vring_state state = { .index = q };
	const uint64_t one = 1;
	ssize_t n;

	if (gv->options.in_band) {
		note_gone(gv, guest_vu_send(&gv->vu, VU_VRING_KICK, 0, &state,
					    sizeof(state), NULL, 0));
		return;
	}
	n = write(gd->queue[q].kick_fd, &one, sizeof(one));
	(void)n; /* EAGAIN: kicked more often than anyone can count */
}

/* --- what the back-end says unasked --------------------------------------- */

static void channel_message(struct guest_vhost_user *gv,
			    const struct guest_vu_reply *msg)
{
	const uint64_t one = 1;
	uint32_t q = msg->state.index;
	ssize_t n = 0;

	switch (msg->header.request) {
	case VU_BACKEND_CONFIG_CHANGE:
		pvio_store_once(&gv->gd.config_changes,
				gv->gd.config_changes + 1);
		break;
	case VU_BACKEND_VRING_CALL:
		if (q < GUEST_MAX_QUEUES && gv->gd.queue[q].call_fd >= 0)
			n = write(gv->gd.queue[q].call_fd, &one, sizeof(one));
		break;
	case VU_BACKEND_VRING_ERR:
		n = write(gv->err_fd, &one, sizeof(one));
		break;
	}
	(void)n;
}

static bool channel_step(struct guest_vhost_user *gv)
{
	struct guest_vu channel = { .fd = gv->channel };
	struct guest_vu_reply msg;
	bool did = false;
	char byte;

	while (gv->channel >= 0 &&
	       recv(gv->channel, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1) {
		if (guest_vu_receive(&channel, &msg, 1000) < 0)
			break;
		if (msg.fd >= 0)
			close(msg.fd);
		channel_message(gv, &msg);
		did = true;
	}
	return did;
}

static bool vhost_user_step(struct guest_device *gd)
{
	struct guest_vhost_user *gv = vhost_user_of(gd);
	struct pvio_worker *worker = gv->options.step;
	bool did = false;
	uint64_t count;
	char byte;

	if (worker && pvio_worker_is_mine(worker))
		did = pvio_worker_step(worker);
	/* Another waiter is doing it. */
	if (pthread_mutex_trylock(&gv->step_lock) != 0)
		return did;
	did |= channel_step(gv);
	if (read(gv->err_fd, &count, sizeof(count)) > 0)
		pvio_store_once(&gv->is_gone, true);
	if (gv->vu.fd < 0 ||
	    recv(gv->vu.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		pvio_store_once(&gv->is_gone, true);
	pthread_mutex_unlock(&gv->step_lock);
	return did;
}

static int vhost_user_step_fd(struct guest_device *gd)
{
	struct guest_vhost_user *gv = vhost_user_of(gd);
	struct pvio_worker *worker = gv->options.step;

	return worker && pvio_worker_is_mine(worker) ? -1 : gv->epoll_fd;
}

/* What the back-end broke it has also signalled, or it is gone. */
static bool vhost_user_is_broken(struct guest_device *gd)
{
	return pvio_load_once(&vhost_user_of(gd)->is_gone);
}

/* --- connection ----------------------------------------------------------- */

static int watch(struct guest_vhost_user *gv, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP };

	return epoll_ctl(gv->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static int open_channel(struct guest_vhost_user *gv)
{
	int pair[2], rc;

	if (!has_protocol(gv, VU_PROTOCOL_BACKEND_REQ))
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		       pair) < 0)
		return -errno;
	rc = guest_vu_tell(&gv->vu, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1],
			   1);
	close(pair[1]);
	if (rc == 0)
		rc = watch(gv, pair[0]);
	if (rc < 0) {
		close(pair[0]);
		return rc;
	}
	gv->channel = pair[0];
	return 0;
}

/* Features of the protocol, our channel, memory. */
static int handshake(struct guest_vhost_user *gv)
{
	uint64_t wanted = WANTED_PROTOCOL, offered;
	int rc;

	rc = guest_vu_ask_u64(&gv->vu, VU_GET_FEATURES, &gv->offered);
	if (rc < 0)
		return rc;
	gv->protocol = 0;
	if (gv->offered >> VU_F_PROTOCOL_FEATURES & 1) {
		if (gv->options.in_band)
			wanted |= PVIO_BIT(VU_PROTOCOL_INBAND_NOTIFICATIONS);
		if (gv->options.no_status)
			wanted &= ~PVIO_BIT(VU_PROTOCOL_STATUS);
		rc = guest_vu_ask_u64(&gv->vu, VU_GET_PROTOCOL_FEATURES,
				      &offered);
		if (rc < 0)
			return rc;
		gv->protocol = offered & wanted;
		rc = guest_vu_tell_u64(&gv->vu, VU_SET_PROTOCOL_FEATURES,
				       gv->protocol);
		if (rc < 0)
			return rc;
	}
	gv->vu.has_reply_ack = has_protocol(gv, VU_PROTOCOL_REPLY_ACK);
	rc = guest_vu_tell(&gv->vu, VU_SET_OWNER, NULL, 0, NULL, 0);
	if (rc == 0)
		rc = open_channel(gv);
	if (rc == 0)
		rc = guest_vu_tell_memory(&gv->vu, gv->gd.mem);
	if (rc == 0)
		rc = watch(gv, gv->vu.fd);
	return rc;
}

void guest_device_disconnect(struct guest_device *gd)
{
	struct guest_vhost_user *gv = vhost_user_of(gd);

	guest_vu_close(&gv->vu);
	if (gv->channel >= 0)
		close(gv->channel);
	gv->channel = -1;
	memset(gv->is_started, 0, sizeof(gv->is_started));
	pvio_store_once(&gv->is_gone, true);
}

/*
 * Where a back-end that says nothing more has left ring @q: what it has
 * published.  Of a packed ring that is only in the in-flight region.
 */
static uint32_t last_base(const struct guest_vhost_user *gv, unsigned int q)
{
	struct guest_ring *ring = gv->gd.queue[q].ring;
	const struct vring_used *used = guest_ring_raw_device(ring);

	if (is_packed(gv))
		return 0;
	return le16toh(pvio_load_once(&used->idx));
}

int guest_device_reconnect(struct guest_device *gd, const char *path)
{
	struct guest_vhost_user *gv = vhost_user_of(gd);
	const uint8_t bits = VIRTIO_CONFIG_S_ACKNOWLEDGE |
			     VIRTIO_CONFIG_S_DRIVER |
			     VIRTIO_CONFIG_S_FEATURES_OK;
	unsigned int q;
	int rc;

	guest_device_disconnect(gd);
	rc = guest_vu_connect(&gv->vu, path, gv->options.step);
	if (rc < 0)
		return rc;
	pvio_store_once(&gv->is_gone, false);
	rc = handshake(gv);
	if (rc == 0)
		rc = vhost_user_set_status(gd, VIRTIO_CONFIG_S_ACKNOWLEDGE |
						       VIRTIO_CONFIG_S_DRIVER);
	if (rc == 0)
		rc = vhost_user_set_features(gd, gd->features);
	if (rc == 0)
		rc = vhost_user_set_status(gd, bits);
	for (q = 0; q < GUEST_MAX_QUEUES && rc == 0; q++) {
		if (!gd->queue[q].ring)
			continue;
		gv->base[q] = last_base(gv, q);
		rc = vhost_user_start_queue(gd, q);
	}
	if (rc == 0)
		rc = vhost_user_set_status(gd,
					   bits | VIRTIO_CONFIG_S_DRIVER_OK);
	return rc;
}

static void vhost_user_free(struct guest_vhost_user *gv)
{
	guest_device_disconnect(&gv->gd);
	if (gv->inflight_fd >= 0)
		close(gv->inflight_fd);
	if (gv->epoll_fd >= 0)
		close(gv->epoll_fd);
	if (gv->err_fd >= 0)
		close(gv->err_fd);
	guest_device_fini(&gv->gd);
	pthread_mutex_destroy(&gv->step_lock);
	free(gv);
}

static void vhost_user_close(struct guest_device *gd)
{
	struct guest_vhost_user *gv = vhost_user_of(gd);
	struct guest_vu_options options = gv->options;

	/* Rings that stop before the connection does lose nothing. */
	if (gv->vu.fd >= 0 && !gv->is_gone)
		vhost_user_reset(gv);
	vhost_user_free(gv);
	if (options.closed)
		options.closed(options.closed_arg);
}

static const struct guest_device_ops vhost_user_ops = {
	.close		= vhost_user_close,
	.get_status	= vhost_user_get_status,
	.set_status	= vhost_user_set_status,
	.get_features	= vhost_user_get_features,
	.set_features	= vhost_user_set_features,
	.read_config	= vhost_user_read_config,
	.write_config	= vhost_user_write_config,
	.nr_queues	= vhost_user_nr_queues,
	.start_queue	= vhost_user_start_queue,
	.kick		= vhost_user_kick,
	.step		= vhost_user_step,
	.is_broken	= vhost_user_is_broken,
	.step_fd	= vhost_user_step_fd,
};

int guest_device_open_vhost_user_with(const char *path,
				      struct guest_memory *mem,
				      const struct guest_vu_options *options,
				      struct guest_device **gd)
{
	struct guest_vhost_user *gv;
	int rc = 0;

	gv = calloc(1, sizeof(*gv));
	if (!gv)
		return -ENOMEM;
	guest_device_init(&gv->gd, &vhost_user_ops, mem);
	gv->options = *options;
	pthread_mutex_init(&gv->step_lock, NULL);
	gv->vu.fd = gv->channel = gv->inflight_fd = -1;
	gv->err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	gv->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (gv->err_fd < 0 || gv->epoll_fd < 0)
		rc = -errno;
	if (rc == 0)
		rc = watch(gv, gv->err_fd);
	if (rc == 0 && path)
		rc = guest_vu_connect(&gv->vu, path, options->step);
	else if (rc == 0)
		guest_vu_adopt(&gv->vu, options->fd, options->step);
	if (rc == 0)
		rc = handshake(gv);
	if (rc < 0) {
		vhost_user_free(gv);
		return rc == -ETIMEDOUT ? -EPROTO : rc;
	}
	*gd = &gv->gd;
	return 0;
}

int guest_device_open_vhost_user(const char *path, struct guest_memory *mem,
				 struct guest_device **gd)
{
	const struct guest_vu_options options = { .fd = -1 };

	return guest_device_open_vhost_user_with(path, mem, &options, gd);
}
