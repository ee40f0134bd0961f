/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-mmio.c - a device that is a virtio-mmio register page in this process
 *
 * A driver of version 2 of the page (virtio 1.4, 4.2), and the VMM under it, by
 * pvio/mmio.h.  There is one interrupt line for everything: whoever waits reads
 * why it was raised, acknowledges, and passes queue interrupts on to every
 * queue's call eventfd.  The device's NEEDS_RESET comes with a configuration
 * interrupt.
 */
#include "device-mmio.h"

#include "device-ops.h"

#include "core/barrier.h"
#include "core/util.h"
#include "core/virtio.h"
#include "core/worker.h"

#include <errno.h>
#include <linux/virtio_mmio.h>
#include <poll.h>
#include <pthread.h>
#include <pvio/mmio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MMIO_MAGIC	 0x74726976
#define MMIO_QUEUE_RESET 0x0c0 /* since virtio 1.2 */

/* A queue that takes longer to reset is taken for dead. */
#define RESET_TIMEOUT_NS 10000000000ULL
/* Configuration that changes more often while it is read is not readable. */
#define MAX_GENERATIONS 64

struct guest_page {
	struct guest_device gd; /* first */
	struct pvio_device *dev; /* borrowed */
	struct pvio_mmio *mmio;	 /* the device's */
	struct guest_mmio_options options;
	bool is_broken; /* atomic: NEEDS_RESET */
	int irq_fd, resample_fd;
	int doorbell[GUEST_MAX_QUEUES]; /* the device's eventfds, or -1 */
	pthread_mutex_t step_lock;	/* waiters of several queues step */
};

static struct guest_page *page_of(struct guest_device *gd)
{
	return pvio_container_of(gd, struct guest_page, gd);
}

static uint32_t page_read(struct guest_page *p, uint64_t offset)
{
	uint32_t value;

	pvio_mmio_read(p->mmio, offset, &value, sizeof(value));
	return le32toh(value);
}

static void page_write(struct guest_page *p, uint64_t offset, uint32_t value)
{
	value = htole32(value);
	pvio_mmio_write(p->mmio, offset, &value, sizeof(value));
}

static bool page_step(struct guest_page *p)
{
	struct pvio_worker *worker = p->options.step;

	return worker && pvio_worker_is_mine(worker) &&
	       pvio_worker_step(worker);
}

static bool has_feature(const struct guest_page *p, unsigned int bit)
{
	return p->gd.features[bit / 64] >> bit % 64 & 1;
}

/* --- registers ------------------------------------------------------------ */

static int mmio_get_status(struct guest_device *gd, uint8_t *status)
{
	*status = (uint8_t)page_read(page_of(gd), VIRTIO_MMIO_STATUS);
	return 0;
}

static int mmio_set_status(struct guest_device *gd, uint8_t status)
{
	struct guest_page *p = page_of(gd);

	page_write(p, VIRTIO_MMIO_STATUS, status);
	if (status)
		return 0;
	pvio_store_once(&p->is_broken, false);
	return page_read(p, VIRTIO_MMIO_STATUS) == 0 ? 0 : -EPROTO;
}

static int mmio_get_features(struct guest_device *gd, uint64_t bits[2])
{
	struct guest_page *p = page_of(gd);
	unsigned int i;

	bits[0] = bits[1] = 0;
	for (i = 0; i < 4; i++) {
		page_write(p, VIRTIO_MMIO_DEVICE_FEATURES_SEL, i);
		bits[i / 2] |= (uint64_t)page_read(p,
						   VIRTIO_MMIO_DEVICE_FEATURES)
			       << i % 2 * 32;
	}
	return 0;
}

static int mmio_set_features(struct guest_device *gd, const uint64_t bits[2])
{
	struct guest_page *p = page_of(gd);
	unsigned int i;

	for (i = 0; i < 4; i++) {
		page_write(p, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
		page_write(p, VIRTIO_MMIO_DRIVER_FEATURES,
			   (uint32_t)(bits[i / 2] >> i % 2 * 32));
	}
	return 0;
}

/* --- configuration space -------------------------------------------------- */

/* The widest access at @offset for what is left. */
static size_t config_width(size_t offset, size_t len)
{
	return offset % 4 == 0 && len >= 4 ? 4 :
	       offset % 2 == 0 && len >= 2 ? 2 :
					     1;
}

static size_t config_room(size_t offset)
{
	const size_t bytes = PVIO_MMIO_BYTES - VIRTIO_MMIO_CONFIG;

	return offset < bytes ? bytes - offset : 0;
}

static int mmio_read_config(struct guest_device *gd, size_t offset, void *buf,
			    size_t len)
{
	struct guest_page *p = page_of(gd);
	unsigned int tries;
	size_t at, width;
	uint32_t before;

	memset(buf, 0, len);
	len = pvio_min(len, config_room(offset));
	for (tries = 0; tries < MAX_GENERATIONS; tries++) {
		before = page_read(p, VIRTIO_MMIO_CONFIG_GENERATION);
		for (at = 0; at < len; at += width) {
			width = config_width(offset + at, len - at);
			pvio_mmio_read(p->mmio,
				       VIRTIO_MMIO_CONFIG + offset + at,
				       (uint8_t *)buf + at, width);
		}
		if (before == page_read(p, VIRTIO_MMIO_CONFIG_GENERATION))
			return 0;
	}
	return -EAGAIN;
}

static int mmio_write_config(struct guest_device *gd, size_t offset,
			     const void *buf, size_t len)
{
	struct guest_page *p = page_of(gd);
	size_t at, width;

	if (len > config_room(offset))
		return -EINVAL;
	for (at = 0; at < len; at += width) {
		width = config_width(offset + at, len - at);
		pvio_mmio_write(p->mmio, VIRTIO_MMIO_CONFIG + offset + at,
				(const uint8_t *)buf + at, width);
	}
	return 0;
}

/* --- queues --------------------------------------------------------------- */

/* No register says how many: those that are not there have no size. */
static int mmio_nr_queues(struct guest_device *gd)
{
	struct guest_page *p = page_of(gd);
	unsigned int q;

	for (q = 0; q < GUEST_MAX_QUEUES; q++) {
		page_write(p, VIRTIO_MMIO_QUEUE_SEL, q);
		if (page_read(p, VIRTIO_MMIO_QUEUE_NUM_MAX) == 0)
			break;
	}
	return (int)q;
}

static void write_address(struct guest_page *p, uint64_t offset, uint64_t gpa)
{
	page_write(p, offset, (uint32_t)gpa);
	page_write(p, offset + 4, (uint32_t)(gpa >> 32));
}

static int find_doorbell(struct guest_page *p, unsigned int q)
{
	struct pvio_doorbell at;
	int rc;

	p->doorbell[q] = -1;
	if (p->options.bar_kick)
		return 0;
	rc = pvio_mmio_doorbell(p->mmio, q, &at);
	if (rc < 0)
		return rc;
	/* What a driver writes must be what a VMM would have it caught by. */
	if (at.offset != VIRTIO_MMIO_QUEUE_NOTIFY ||
	    (at.has_match && at.match != q) || at.fd < 0)
		return -EPROTO;
	p->doorbell[q] = at.fd;
	return 0;
}

static int mmio_start_queue(struct guest_device *gd, unsigned int q)
{
	const struct guest_ring *ring = gd->queue[q].ring;
	struct guest_page *p = page_of(gd);

	page_write(p, VIRTIO_MMIO_QUEUE_SEL, q);
	if (page_read(p, VIRTIO_MMIO_QUEUE_READY) != 0)
		return -EINVAL;
	if (guest_ring_size(ring) > page_read(p, VIRTIO_MMIO_QUEUE_NUM_MAX))
		return -EINVAL;
	page_write(p, VIRTIO_MMIO_QUEUE_NUM, guest_ring_size(ring));
	write_address(p, VIRTIO_MMIO_QUEUE_DESC_LOW, guest_ring_desc(ring));
	write_address(p, VIRTIO_MMIO_QUEUE_AVAIL_LOW, guest_ring_driver(ring));
	write_address(p, VIRTIO_MMIO_QUEUE_USED_LOW, guest_ring_device(ring));
	page_write(p, VIRTIO_MMIO_QUEUE_READY, 1);
	if (page_read(p, VIRTIO_MMIO_QUEUE_READY) != 1)
		return -EINVAL;
	return find_doorbell(p, q);
}

static int mmio_reset_queue(struct guest_device *gd, unsigned int q)
{
	uint64_t end = pvio_now_ns() + RESET_TIMEOUT_NS;
	struct guest_page *p = page_of(gd);

	if (!has_feature(p, VIRTIO_F_RING_RESET))
		return -ENOTSUP;
	page_write(p, VIRTIO_MMIO_QUEUE_SEL, q);
	page_write(p, MMIO_QUEUE_RESET, 1);
	while (page_read(p, MMIO_QUEUE_RESET) != 0 ||
	       page_read(p, VIRTIO_MMIO_QUEUE_READY) != 0) {
		if (pvio_now_ns() >= end)
			return -ETIMEDOUT;
		if (!page_step(p))
			poll(NULL, 0, 1);
	}
	return 0;
}

static void mmio_kick(struct guest_device *gd, unsigned int q)
{
	struct guest_page *p = page_of(gd);
	const uint64_t one = 1;
	uint32_t word = q;
	ssize_t n;

	if (p->doorbell[q] >= 0) {
		n = write(p->doorbell[q], &one, sizeof(one));
		(void)n; /* EAGAIN: kicked more often than anyone can count */
		return;
	}
	if (has_feature(p, VIRTIO_F_NOTIFICATION_DATA))
		word |= (uint32_t)guest_ring_position(gd->queue[q].ring) << 16;
	page_write(p, VIRTIO_MMIO_QUEUE_NOTIFY, word);
}

/* --- the interrupt -------------------------------------------------------- */

static void page_interrupt(struct guest_page *p)
{
	uint32_t isr = page_read(p, VIRTIO_MMIO_INTERRUPT_STATUS);
	const uint64_t one = 1;
	ssize_t n;

	page_write(p, VIRTIO_MMIO_INTERRUPT_ACK, isr);
	if (isr & VIRTIO_MMIO_INT_VRING)
		guest_device_interrupt(&p->gd);
	if (isr & VIRTIO_MMIO_INT_CONFIG) {
		pvio_store_once(&p->gd.config_changes,
				p->gd.config_changes + 1);
		if (page_read(p, VIRTIO_MMIO_STATUS) &
		    VIRTIO_CONFIG_S_NEEDS_RESET)
			pvio_store_once(&p->is_broken, true);
	}
	n = write(p->resample_fd, &one, sizeof(one));
	(void)n;
}

static bool mmio_step(struct guest_device *gd)
{
	struct guest_page *p = page_of(gd);
	uint64_t count;
	bool did;

	did = page_step(p);
	/* Another waiter is doing it. */
	if (pthread_mutex_trylock(&p->step_lock) != 0)
		return did;
	if (read(p->irq_fd, &count, sizeof(count)) > 0) {
		page_interrupt(p);
		did = true;
	}
	pthread_mutex_unlock(&p->step_lock);
	return did;
}

static int mmio_step_fd(struct guest_device *gd)
{
	struct guest_page *p = page_of(gd);
	struct pvio_worker *worker = p->options.step;

	return worker && pvio_worker_is_mine(worker) ? -1 : p->irq_fd;
}

static bool mmio_is_broken(struct guest_device *gd)
{
	return pvio_load_once(&page_of(gd)->is_broken);
}

/* --- open and close ------------------------------------------------------- */

static void page_free(struct guest_page *p)
{
	if (p->irq_fd >= 0)
		close(p->irq_fd);
	if (p->resample_fd >= 0)
		close(p->resample_fd);
	pthread_mutex_destroy(&p->step_lock);
	guest_device_fini(&p->gd);
	free(p);
}

static void mmio_close(struct guest_device *gd)
{
	struct guest_page *p = page_of(gd);

	mmio_set_status(gd, 0);
	(void)pvio_mmio_set_irq_fds(p->mmio, -1, -1);
	(void)guest_give_memory(p->dev, NULL);
	page_free(p);
}

static const struct guest_device_ops mmio_ops = {
	.close		= mmio_close,
	.get_status	= mmio_get_status,
	.set_status	= mmio_set_status,
	.get_features	= mmio_get_features,
	.set_features	= mmio_set_features,
	.read_config	= mmio_read_config,
	.write_config	= mmio_write_config,
	.nr_queues	= mmio_nr_queues,
	.start_queue	= mmio_start_queue,
	.reset_queue	= mmio_reset_queue,
	.kick		= mmio_kick,
	.step		= mmio_step,
	.is_broken	= mmio_is_broken,
	.step_fd	= mmio_step_fd,
};

/* Is it a page that this driver knows, with a device?  (virtio 1.4, 4.2.3.1) */
static int page_identify(struct guest_page *p)
{
	if (page_read(p, VIRTIO_MMIO_MAGIC_VALUE) != MMIO_MAGIC ||
	    page_read(p, VIRTIO_MMIO_VERSION) != 2 ||
	    page_read(p, VIRTIO_MMIO_DEVICE_ID) == 0)
		return -EPROTO;
	return 0;
}

int guest_device_open_mmio_with(struct pvio_device *dev,
				struct guest_memory *mem,
				const struct guest_mmio_options *options,
				struct guest_device **gd)
{
	struct pvio_mmio *mmio = pvio_mmio_of(dev);
	struct guest_page *p;
	int rc;

	if (!mmio)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	guest_device_init(&p->gd, &mmio_ops, mem);
	p->dev = dev;
	p->mmio = mmio;
	p->options = *options;
	pthread_mutex_init(&p->step_lock, NULL);
	p->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->resample_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = p->irq_fd < 0 || p->resample_fd < 0 ? -errno : 0;
	if (rc == 0)
		rc = page_identify(p);
	if (rc == 0)
		rc = guest_give_memory(dev, mem);
	if (rc < 0)
		goto free_p;
	/* A driver resets before it looks at anything else. */
	rc = mmio_set_status(&p->gd, 0);
	if (rc == 0)
		rc = pvio_mmio_set_irq_fds(p->mmio, p->irq_fd, p->resample_fd);
	if (rc < 0)
		goto clear_memory;
	*gd = &p->gd;
	return 0;

clear_memory:
	(void)guest_give_memory(p->dev, NULL);
free_p:
	page_free(p);
	return rc;
}

int guest_device_open_mmio(struct pvio_device *dev, struct guest_memory *mem,
			   struct pvio_worker *step, struct guest_device **gd)
{
	const struct guest_mmio_options options = { .step = step };

	return guest_device_open_mmio_with(dev, mem, &options, gd);
}
