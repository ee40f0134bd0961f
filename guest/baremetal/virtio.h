/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio.h - a virtio device, over PCI, a register page or pvio's bus, and its
 * queues
 *
 *	pci.c, mmio.c   find the device, its registers, its interrupts
 *	bus.c           the same, where it has neither; connector.c beneath it
 *	virtqueue.c     bring it up; rings are those of guest/ring.h
 *	block.c, net.c  what is asked of it
 */
#ifndef PVIO_BAREMETAL_VIRTIO_H
#define PVIO_BAREMETAL_VIRTIO_H

#include "interrupt.h"
#include "runtime.h"

#include "guest/ring.h"

#define BARE_MAX_QUEUES 2

struct bare_device;

struct bare_queue {
	struct bare_device *dev;
	unsigned int index;
	struct guest_ring *ring;
	volatile void *doorbell;
	struct bare_handler handler; /* by message: its own */
	/* Counted for the report. */
	unsigned int kicks, interrupts, sleeps;
};

struct bare_device_ops {
	uint8_t (*get_status)(struct bare_device *dev);
	void (*set_status)(struct bare_device *dev, uint8_t status);
	/* 32 bits at a time. */
	uint32_t (*get_features)(struct bare_device *dev, unsigned int word);
	void (*set_features)(struct bare_device *dev, unsigned int word,
			     uint32_t bits);
	uint8_t (*read_config8)(struct bare_device *dev, unsigned int offset);
	uint32_t (*read_config32)(struct bare_device *dev, unsigned int offset);
	/* The largest size of queue @q; 0: there is no such queue. */
	uint16_t (*queue_max)(struct bare_device *dev, unsigned int q);
	/* Tell it of queue->ring, fill in queue->doorbell. */
	void (*start_queue)(struct bare_device *dev, struct bare_queue *queue);
	void (*kick)(struct bare_queue *queue);
};

struct bare_device {
	const struct bare_device_ops *ops;
	bool by_line; /* interrupts come on a line, not as messages */
	uint64_t features;
	struct bare_handler handler; /* of the line */
	unsigned int line_interrupts;
	struct bare_queue queue[BARE_MAX_QUEUES];
};

/* The device of virtio type @id.  NULL: there is none there. */
struct bare_device *bare_pci_find(const struct boot_info *boot,
				  unsigned int id);
struct bare_device *bare_mmio_find(const struct boot_info *boot,
				   unsigned int id);
struct bare_device *bare_bus_find(const struct boot_info *boot,
				  unsigned int id);
/* What came to pass on the bus, if there was one, on the console. */
void bare_bus_report(void);

/* Negotiate @want, as far as offered, and VERSION_1; not yet DRIVER_OK. */
void bare_device_negotiate(struct bare_device *dev, uint64_t want);
/* Queue @q with at most @size entries. */
struct bare_queue *bare_queue_setup(struct bare_device *dev, unsigned int q,
				    uint16_t size);
void bare_device_start(struct bare_device *dev);
/* Reset it, and see that it is reset. */
void bare_device_stop(struct bare_device *dev);

/* Add a buffer, or end the guest: the caller counts.  Not visible yet. */
void bare_queue_add(struct bare_queue *queue, const struct guest_segment *seg,
		    unsigned int nr_readable, unsigned int nr_writable,
		    void *cookie);
/* Make what was added visible, and kick if the device wants that. */
void bare_queue_publish(struct bare_queue *queue);
/* The next used buffer, or NULL. */
void *bare_queue_reap(struct bare_queue *queue, uint32_t *len);
/* The same, asleep until there is one. */
void *bare_queue_wait(struct bare_queue *queue, uint32_t *len);

/*
 * For one buffer at a time: publish it, and do not look at the ring before the
 * interrupt came.
 */
void *bare_queue_exchange(struct bare_queue *queue, uint32_t *len);
/* Interrupts so far; those of a line are not told apart by queue. */
unsigned int bare_queue_interrupts(const struct bare_queue *queue);

/* Tests of a device: they print a line, or end the guest. */
void bare_block_test(struct bare_device *dev, const struct boot_info *boot);
void bare_net_test(struct bare_device *dev, const struct boot_info *boot);

#endif
