/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtqueue.c - bring a device up (virtio 1.4, 3.1.1), and wait for its queues
 */
#include "virtio.h"

#include "core/barrier.h"
#include "core/util.h"
#include "core/virtio.h"

void bare_device_stop(struct bare_device *dev)
{
	dev->ops->set_status(dev, 0);
	/* Over PCI the device says when it is done (4.1.4.3.2). */
	while (dev->ops->get_status(dev) != 0)
		;
}

static void device_add_status(struct bare_device *dev, uint8_t bit)
{
	dev->ops->set_status(dev, dev->ops->get_status(dev) | bit);
}

void bare_device_negotiate(struct bare_device *dev, uint64_t want)
{
	uint64_t offered;
	unsigned int i;

	bare_device_stop(dev);
	device_add_status(dev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	device_add_status(dev, VIRTIO_CONFIG_S_DRIVER);
	offered = dev->ops->get_features(dev, 0) |
		  (uint64_t)dev->ops->get_features(dev, 1) << 32;
	dev->features = offered & (want | PVIO_BIT(VIRTIO_F_VERSION_1));
	for (i = 0; i < 2; i++)
		dev->ops->set_features(dev, i,
				       (uint32_t)(dev->features >> 32 * i));
	device_add_status(dev, VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(dev->ops->get_status(dev) & VIRTIO_CONFIG_S_FEATURES_OK))
		bare_fail("features %lx of %lx are refused", dev->features,
			  offered);
}

struct bare_queue *bare_queue_setup(struct bare_device *dev, unsigned int q,
				    uint16_t size)
{
	static const struct {
		unsigned int feature, flag;
	} table[] = {
		{ VIRTIO_F_RING_PACKED, GUEST_RING_PACKED },
		{ VIRTIO_RING_F_EVENT_IDX, GUEST_RING_EVENT_IDX },
		{ VIRTIO_RING_F_INDIRECT_DESC, GUEST_RING_INDIRECT },
	};
	struct bare_queue *queue = &dev->queue[q];
	uint16_t max = dev->ops->queue_max(dev, q);
	unsigned int flags = 0, i;
	void *mem;

	if (max == 0)
		bare_fail("there is no queue %u", q);
	if (size > max)
		size = max;
	for (i = 0; i < pvio_array_size(table); i++) {
		if (dev->features & PVIO_BIT(table[i].feature))
			flags |= table[i].flag;
	}
	mem = bare_alloc(guest_ring_bytes(size, flags), BARE_PAGE_BYTES);
	if (guest_ring_create(size, flags, mem, (uintptr_t)mem, &queue->ring) <
	    0)
		bare_fail("no ring of %u entries", size);
	queue->dev = dev;
	queue->index = q;
	dev->ops->start_queue(dev, queue);
	/* Only somebody who sleeps wants to be woken. */
	guest_ring_disable_notify(queue->ring);
	return queue;
}

void bare_device_start(struct bare_device *dev)
{
	device_add_status(dev, VIRTIO_CONFIG_S_DRIVER_OK);
}

void bare_queue_add(struct bare_queue *queue, const struct guest_segment *seg,
		    unsigned int nr_readable, unsigned int nr_writable,
		    void *cookie)
{
	if (guest_ring_add(queue->ring, seg, nr_readable, nr_writable, cookie) <
	    0)
		bare_fail("queue %u is full", queue->index);
}

void bare_queue_publish(struct bare_queue *queue)
{
	if (!guest_ring_publish(queue->ring))
		return;
	queue->kicks++;
	queue->dev->ops->kick(queue);
}

void *bare_queue_reap(struct bare_queue *queue, uint32_t *len)
{
	void *cookie = guest_ring_reap(queue->ring, len);

	if (!cookie && guest_ring_is_broken(queue->ring))
		bare_fail("queue %u: used what is not in flight", queue->index);
	return cookie;
}

static bool queue_has_used(void *arg)
{
	struct bare_queue *queue = arg;

	return guest_ring_has_used(queue->ring);
}

void *bare_queue_wait(struct bare_queue *queue, uint32_t *len)
{
	void *cookie;

	for (;;) {
		cookie = bare_queue_reap(queue, len);
		if (cookie)
			return cookie;
		if (guest_ring_enable_notify(queue->ring))
			continue;
		queue->sleeps++;
		bare_wait(queue_has_used, queue);
		guest_ring_disable_notify(queue->ring);
	}
}

unsigned int bare_queue_interrupts(const struct bare_queue *queue)
{
	const struct bare_device *dev = queue->dev;

	/* Interrupt handlers write them. */
	return pvio_load_once(dev->by_line ? &dev->line_interrupts
					   : &queue->interrupts);
}

struct bare_sleeper {
	const struct bare_queue *queue;
	unsigned int interrupts; /* when it went to sleep */
};

static bool sleeper_was_interrupted(void *arg)
{
	const struct bare_sleeper *sleeper = arg;

	return bare_queue_interrupts(sleeper->queue) != sleeper->interrupts;
}

void *bare_queue_exchange(struct bare_queue *queue, uint32_t *len)
{
	struct bare_sleeper sleeper = {
		.queue = queue,
		.interrupts = bare_queue_interrupts(queue),
	};
	void *cookie;

	guest_ring_enable_notify(queue->ring);
	bare_queue_publish(queue);
	queue->sleeps++;
	bare_wait(sleeper_was_interrupted, &sleeper);
	cookie = bare_queue_reap(queue, len);
	if (!cookie)
		bare_fail("queue %u: an interrupt for nothing", queue->index);
	return cookie;
}
