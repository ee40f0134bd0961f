/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmio.c - a virtio device on a register page (virtio 1.4, 4.2)
 *
 * Where the pages are is on the command line, in Linux' words:
 * virtio_mmio.device=4K@0xd0000000:5, as often as there are devices.
 */
#include "virtio.h"

#include "core/util.h"

#include <linux/virtio_mmio.h>

#define MMIO_MAGIC   0x74726976u /* "virt" */
#define MMIO_VERSION 2

struct bare_mmio {
	struct bare_device dev;
	volatile uint8_t *page;
};

static volatile uint8_t *mmio_register(struct bare_device *dev,
				       unsigned int offset)
{
	return pvio_container_of(dev, struct bare_mmio, dev)->page + offset;
}

static uint8_t mmio_get_status(struct bare_device *dev)
{
	return (uint8_t)bare_read32(mmio_register(dev, VIRTIO_MMIO_STATUS));
}

static void mmio_set_status(struct bare_device *dev, uint8_t status)
{
	bare_write32(mmio_register(dev, VIRTIO_MMIO_STATUS), status);
}

static uint32_t mmio_get_features(struct bare_device *dev, unsigned int word)
{
	bare_write32(mmio_register(dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL), word);
	return bare_read32(mmio_register(dev, VIRTIO_MMIO_DEVICE_FEATURES));
}

static void mmio_set_features(struct bare_device *dev, unsigned int word,
			      uint32_t bits)
{
	bare_write32(mmio_register(dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL), word);
	bare_write32(mmio_register(dev, VIRTIO_MMIO_DRIVER_FEATURES), bits);
}

static uint8_t mmio_read_config8(struct bare_device *dev, unsigned int offset)
{
	return bare_read8(mmio_register(dev, VIRTIO_MMIO_CONFIG + offset));
}

static uint32_t mmio_read_config32(struct bare_device *dev, unsigned int offset)
{
	return bare_read32(mmio_register(dev, VIRTIO_MMIO_CONFIG + offset));
}

static uint16_t mmio_queue_max(struct bare_device *dev, unsigned int q)
{
	bare_write32(mmio_register(dev, VIRTIO_MMIO_QUEUE_SEL), q);
	return (uint16_t)bare_read32(
		mmio_register(dev, VIRTIO_MMIO_QUEUE_NUM_MAX));
}

static void mmio_write_address(struct bare_device *dev, unsigned int offset,
			       uint64_t address)
{
	bare_write32(mmio_register(dev, offset), (uint32_t)address);
	bare_write32(mmio_register(dev, offset + 4), (uint32_t)(address >> 32));
}

static void mmio_start_queue(struct bare_device *dev, struct bare_queue *queue)
{
	struct guest_ring *ring = queue->ring;

	bare_write32(mmio_register(dev, VIRTIO_MMIO_QUEUE_SEL), queue->index);
	bare_write32(mmio_register(dev, VIRTIO_MMIO_QUEUE_NUM),
		     guest_ring_size(ring));
	mmio_write_address(dev, VIRTIO_MMIO_QUEUE_DESC_LOW,
			   guest_ring_desc(ring));
	mmio_write_address(dev, VIRTIO_MMIO_QUEUE_AVAIL_LOW,
			   guest_ring_driver(ring));
	mmio_write_address(dev, VIRTIO_MMIO_QUEUE_USED_LOW,
			   guest_ring_device(ring));
	queue->doorbell = mmio_register(dev, VIRTIO_MMIO_QUEUE_NOTIFY);
	bare_write32(mmio_register(dev, VIRTIO_MMIO_QUEUE_READY), 1);
}

static void mmio_kick(struct bare_queue *queue)
{
	bare_write32(queue->doorbell, queue->index);
}

static void mmio_handle(void *arg)
{
	struct bare_device *dev = arg;
	uint32_t why =
		bare_read32(mmio_register(dev, VIRTIO_MMIO_INTERRUPT_STATUS));

	if (why & VIRTIO_MMIO_INT_VRING)
		dev->line_interrupts++;
	if (why)
		bare_write32(mmio_register(dev, VIRTIO_MMIO_INTERRUPT_ACK),
			     why);
}

static const struct bare_device_ops mmio_ops = {
	.get_status = mmio_get_status,
	.set_status = mmio_set_status,
	.get_features = mmio_get_features,
	.set_features = mmio_set_features,
	.read_config8 = mmio_read_config8,
	.read_config32 = mmio_read_config32,
	.queue_max = mmio_queue_max,
	.start_queue = mmio_start_queue,
	.kick = mmio_kick,
};

/* BYTES@ADDRESS:IRQ.  False when that is not what @text is. */
static bool mmio_parse(const char *text, uint64_t *address, unsigned int *input)
{
	bare_number(text, &text);
	if (*text++ != '@')
		return false;
	*address = bare_number(text, &text);
	if (*text++ != ':')
		return false;
	*input = (unsigned int)bare_number(text, NULL);
	return true;
}

static struct bare_device *mmio_attach(uint64_t address, unsigned int input)
{
	struct bare_mmio *mmio = bare_alloc(sizeof(*mmio), 16);

	mmio->dev.ops = &mmio_ops;
	mmio->dev.by_line = true;
	mmio->page = (volatile uint8_t *)(uintptr_t)address;
	mmio->dev.handler = (struct bare_handler){ .handle = mmio_handle,
						   .arg = &mmio->dev };
	bare_line_attach(&mmio->dev.handler, input);
	return &mmio->dev;
}

struct bare_device *bare_mmio_find(const struct boot_info *boot,
				   unsigned int id)
{
	struct boot_info rest = *boot;
	const char *text;

	while ((text = bare_option(&rest, "virtio_mmio.device"))) {
		volatile uint8_t *page;
		unsigned int input;
		uint64_t address;

		rest.cmdline = (uintptr_t)text;
		if (!mmio_parse(text, &address, &input))
			bare_fail("virtio_mmio.device=%s", text);
		page = (volatile uint8_t *)(uintptr_t)address;
		if (bare_read32(page + VIRTIO_MMIO_MAGIC_VALUE) != MMIO_MAGIC ||
		    bare_read32(page + VIRTIO_MMIO_VERSION) != MMIO_VERSION)
			bare_fail("no virtio registers at %lx", address);
		if (bare_read32(page + VIRTIO_MMIO_DEVICE_ID) == id)
			return mmio_attach(address, input);
	}
	return NULL;
}
