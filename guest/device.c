/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.c - the driver's side of a device, whatever carries it
 *
 * The order in which a driver brings a device up (virtio 1.4, 3.1.1), its
 * rings in guest memory, and the loop that waits for a notification.  How the
 * register accesses get to the device is in device-loopback.c, device-pci.c and
 * others, behind struct guest_device_ops.
 *
 *	negotiate    reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK
 *	setup_queue  ring and eventfds, in our memory
 *	start        each queue to the device, DRIVER_OK
 */
#include "device-ops.h"

#include "core/barrier.h"
#include "core/util.h"
#include "core/virtio.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A device that does not answer for so long is taken for dead. */
#define TRANSFER_TIMEOUT_MS 20000
/* How long to wait at a time while the device has to be stepped as well. */
#define STEP_MS             1

void guest_device_init(struct guest_device *gd,
		       const struct guest_device_ops *ops,
		       struct guest_memory *mem)
{
	unsigned int i;

	memset(gd, 0, sizeof(*gd));
	gd->ops = ops;
	gd->mem = mem;
	for (i = 0; i < GUEST_MAX_QUEUES; i++)
		gd->queue[i].kick_fd = gd->queue[i].call_fd = -1;
}

static void device_drop_queue(struct guest_queue *queue)
{
	guest_ring_destroy(queue->ring);
	queue->ring = NULL;
	if (queue->kick_fd >= 0)
		close(queue->kick_fd);
	if (queue->call_fd >= 0)
		close(queue->call_fd);
	queue->kick_fd = queue->call_fd = -1;
	queue->interrupts = 0;
}

void guest_device_fini(struct guest_device *gd)
{
	unsigned int i;

	for (i = 0; i < GUEST_MAX_QUEUES; i++)
		device_drop_queue(&gd->queue[i]);
}

void guest_device_close(struct guest_device *gd)
{
	if (gd)
		gd->ops->close(gd);
}

/* --- features, configuration --------------------------------------------- */

void guest_device_features(struct guest_device *gd, uint64_t bits[2])
{
	if (gd->ops->get_features(gd, bits) < 0)
		bits[0] = bits[1] = 0;
}

static int device_add_status(struct guest_device *gd, uint8_t bit)
{
	uint8_t status;
	int rc;

	rc = gd->ops->get_status(gd, &status);
	if (rc < 0)
		return rc;
	return gd->ops->set_status(gd, status | bit);
}

int guest_device_negotiate(struct guest_device *gd, const uint64_t bits[2])
{
	uint64_t want[2] = { bits[0] | PVIO_BIT(VIRTIO_F_VERSION_1), bits[1] };
	uint8_t status;
	unsigned int i;
	int rc;

	rc = gd->ops->set_status(gd, 0);
	if (rc < 0)
		return rc;
	for (i = 0; i < GUEST_MAX_QUEUES; i++)
		device_drop_queue(&gd->queue[i]);

	rc = device_add_status(gd, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	if (rc == 0)
		rc = device_add_status(gd, VIRTIO_CONFIG_S_DRIVER);
	if (rc == 0)
		rc = gd->ops->set_features(gd, want);
	if (rc == 0)
		rc = device_add_status(gd, VIRTIO_CONFIG_S_FEATURES_OK);
	if (rc == 0)
		rc = gd->ops->get_status(gd, &status);
	if (rc < 0)
		return rc;
	/* Did it stick?  (virtio 1.4, 3.1.1, step 6) */
	if (!(status & VIRTIO_CONFIG_S_FEATURES_OK))
		return -EINVAL;
	memcpy(gd->features, want, sizeof(want));
	return 0;
}

int guest_device_read_config(struct guest_device *gd, size_t offset, void *buf,
			     size_t len)
{
	return gd->ops->read_config(gd, offset, buf, len);
}

int guest_device_write_config(struct guest_device *gd, size_t offset,
			      const void *buf, size_t len)
{
	return gd->ops->write_config(gd, offset, buf, len);
}

unsigned int guest_device_config_changes(struct guest_device *gd)
{
	if (gd->ops->step)
		gd->ops->step(gd);
	return pvio_load_once(&gd->config_changes);
}

bool guest_device_is_broken(struct guest_device *gd)
{
	if (gd->ops->step)
		gd->ops->step(gd);
	return gd->ops->is_broken(gd);
}

/* --- queues -------------------------------------------------------------- */

unsigned int guest_device_nr_queues(struct guest_device *gd)
{
	int nr = gd->ops->nr_queues(gd);

	return nr < 0 ? 0 : (unsigned int)nr;
}

static unsigned int device_ring_flags(const struct guest_device *gd)
{
	static const struct {
		unsigned int feature, flag;
	} table[] = {
		{ VIRTIO_F_RING_PACKED, GUEST_RING_PACKED },
		{ VIRTIO_RING_F_EVENT_IDX, GUEST_RING_EVENT_IDX },
		{ VIRTIO_F_IN_ORDER, GUEST_RING_IN_ORDER },
		{ VIRTIO_RING_F_INDIRECT_DESC, GUEST_RING_INDIRECT },
	};
	unsigned int i, flags = 0;

	for (i = 0; i < pvio_array_size(table); i++) {
		if (gd->features[0] & PVIO_BIT(table[i].feature))
			flags |= table[i].flag;
	}
	return flags;
}

int guest_device_setup_queue(struct guest_device *gd, unsigned int q,
			     uint16_t size)
{
	unsigned int flags = device_ring_flags(gd);
	struct guest_queue *queue;
	uint64_t gpa;
	void *mem;
	int rc;

	if (q >= GUEST_MAX_QUEUES)
		return -EINVAL;
	queue = &gd->queue[q];
	device_drop_queue(queue);
	mem = guest_alloc(gd->mem, guest_ring_bytes(size, flags), 4096, &gpa);
	if (!mem)
		return -ENOSPC;
	rc = guest_ring_create(size, flags, mem, gpa, &queue->ring);
	if (rc < 0)
		return rc;
	queue->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	queue->call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (queue->kick_fd < 0 || queue->call_fd < 0) {
		rc = -errno;
		device_drop_queue(queue);
		return rc;
	}
	return 0;
}

struct guest_ring *guest_device_ring(struct guest_device *gd, unsigned int q)
{
	return q < GUEST_MAX_QUEUES ? gd->queue[q].ring : NULL;
}

int guest_device_start(struct guest_device *gd)
{
	unsigned int q;
	int rc;

	for (q = 0; q < GUEST_MAX_QUEUES; q++) {
		if (!gd->queue[q].ring)
			continue;
		rc = gd->ops->start_queue(gd, q);
		if (rc < 0)
			return rc;
	}
	return device_add_status(gd, VIRTIO_CONFIG_S_DRIVER_OK);
}

int guest_device_reset_queue(struct guest_device *gd, unsigned int q)
{
	if (q >= GUEST_MAX_QUEUES || !gd->queue[q].ring)
		return -EINVAL;
	return gd->ops->reset_queue ? gd->ops->reset_queue(gd, q) : -ENOTSUP;
}

int guest_device_restart_queue(struct guest_device *gd, unsigned int q)
{
	if (q >= GUEST_MAX_QUEUES || !gd->queue[q].ring)
		return -EINVAL;
	return gd->ops->start_queue(gd, q);
}

/* --- kick and wait ------------------------------------------------------- */

void guest_device_kick(struct guest_device *gd, unsigned int q)
{
	const uint64_t one = 1;

	if (gd->ops->kick) {
		gd->ops->kick(gd, q);
	} else {
		ssize_t n = write(gd->queue[q].kick_fd, &one, sizeof(one));

		(void)n; /* EAGAIN: kicked more often than anyone can count */
	}
}

void guest_device_interrupt(struct guest_device *gd)
{
	const uint64_t one = 1;
	unsigned int q;
	ssize_t n;

	for (q = 0; q < GUEST_MAX_QUEUES; q++) {
		if (gd->queue[q].call_fd < 0)
			continue;
		n = write(gd->queue[q].call_fd, &one, sizeof(one));
		(void)n;
	}
}

uint64_t guest_device_interrupts(struct guest_device *gd, unsigned int q)
{
	struct guest_queue *queue = &gd->queue[q];
	uint64_t count;

	if (read(queue->call_fd, &count, sizeof(count)) > 0)
		queue->interrupts += count;
	return queue->interrupts;
}

int guest_device_notify_fd(struct guest_device *gd, unsigned int q)
{
	return gd->queue[q].call_fd;
}

int guest_device_wait(struct guest_device *gd, unsigned int q, int timeout_ms)
{
	uint64_t end = pvio_now_ns() + (uint64_t)timeout_ms * 1000000;
	struct pollfd fds[2] = {
		{ .fd = gd->queue[q].call_fd, .events = POLLIN },
		{ .fd = gd->ops->step_fd ? gd->ops->step_fd(gd) : -1,
		  .events = POLLIN },
	};

	for (;;) {
		bool stepped = gd->ops->step && gd->ops->step(gd);
		uint64_t count, now;
		int ms;

		if (read(fds[0].fd, &count, sizeof(count)) > 0) {
			gd->queue[q].interrupts += count;
			return 1;
		}
		if (gd->ops->is_broken(gd))
			return -EPIPE;
		now = pvio_now_ns();
		if (timeout_ms >= 0 && now >= end)
			return 0;
		if (stepped)
			continue;
		ms = timeout_ms < 0 ? -1 : (int)((end - now) / 1000000) + 1;
		/* Without an fd for it, nothing says when to step again. */
		if (gd->ops->step && fds[1].fd < 0)
			ms = STEP_MS;
		if (poll(fds, 2, ms) < 0 && errno != EINTR)
			return -errno;
	}
}

int64_t guest_device_transfer(struct guest_device *gd, unsigned int q,
			      const struct guest_segment *seg,
			      unsigned int nr_readable,
			      unsigned int nr_writable)
{
	uint64_t end = pvio_now_ns() + TRANSFER_TIMEOUT_MS * 1000000ULL;
	struct guest_ring *ring = gd->queue[q].ring;
	uint32_t len;
	int rc;

	rc = guest_ring_add(ring, seg, nr_readable, nr_writable, (void *)seg);
	if (rc < 0)
		return rc;
	if (guest_ring_publish(ring))
		guest_device_kick(gd, q);
	for (;;) {
		if (guest_ring_reap(ring, &len))
			return len;
		if (pvio_now_ns() >= end)
			return -ETIMEDOUT;
		if (guest_ring_enable_notify(ring))
			continue;
		rc = guest_device_wait(gd, q, TRANSFER_TIMEOUT_MS);
		if (rc < 0)
			return rc;
	}
}
