/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-ops.h - what each way to reach a device does for guest/device.c
 *
 * guest/device.c keeps what is common: memory, rings, negotiation, the loop
 * that waits.  A way (loopback, vhost-user, pci, ...) embeds struct guest_device
 * as its first member, fills in ops and mem, and returns it from its open
 * function.
 */
#ifndef PVIO_GUEST_DEVICE_OPS_H
#define PVIO_GUEST_DEVICE_OPS_H

#include "device.h"

#include <stdint.h>

#define GUEST_MAX_QUEUES 64

struct guest_device_ops {
	/* Reset, let the device go, free @gd. */
	void (*close)(struct guest_device *gd);

	/* The status register.  Writing 0 returns when the reset is done. */
	int (*get_status)(struct guest_device *gd, uint8_t *status);
	int (*set_status)(struct guest_device *gd, uint8_t status);
	int (*get_features)(struct guest_device *gd, uint64_t bits[2]);
	/* -EINVAL when the device refuses. */
	int (*set_features)(struct guest_device *gd, const uint64_t bits[2]);
	int (*read_config)(struct guest_device *gd, size_t offset, void *buf,
			   size_t len);
	int (*write_config)(struct guest_device *gd, size_t offset,
			    const void *buf, size_t len);
	int (*nr_queues)(struct guest_device *gd);

	/*
	 * Start queue @q, whose ring and both eventfds are in gd->queue[q].
	 * Called from guest_device_start() before DRIVER_OK is set.
	 */
	int (*start_queue)(struct guest_device *gd, unsigned int q);
	/*
	 * Reset queue @q alone (RING_RESET): returns when the device has let
	 * go of it.  NULL, or -ENOTSUP: it can't be.
	 */
	int (*reset_queue)(struct guest_device *gd, unsigned int q);

	/* Kick @q other than by its eventfd; NULL: write the eventfd. */
	void (*kick)(struct guest_device *gd, unsigned int q);
	/*
	 * Let the device and its connection get on while somebody waits,
	 * without blocking: true when something was done.  NULL: nothing to
	 * do.
	 */
	bool (*step)(struct guest_device *gd);
	/* Is the device gone or NEEDS_RESET set?  Also called by waiters. */
	bool (*is_broken)(struct guest_device *gd);
	/*
	 * An fd that becomes readable when step() has something to do, for the
	 * waiting loop to poll; -1: none, step is called again and again.
	 */
	int (*step_fd)(struct guest_device *gd);
};

struct guest_queue {
	struct guest_ring *ring; /* owned; NULL: not set up */
	int kick_fd;	/* eventfd, owned: the driver writes it */
	int call_fd;	/* eventfd, owned: the device writes it */
	uint64_t interrupts; /* read from call_fd so far */
};

struct guest_device {
	const struct guest_device_ops *ops;
	struct guest_memory *mem; /* borrowed */
	uint64_t features[2];	  /* negotiated */
	unsigned int config_changes; /* atomic; the way counts them */
	struct guest_queue queue[GUEST_MAX_QUEUES];
};

/* For open functions: the common part, no queue set up. */
void guest_device_init(struct guest_device *gd,
		       const struct guest_device_ops *ops,
		       struct guest_memory *mem);
/* For close: free rings and eventfds.  After the device let go of them. */
void guest_device_fini(struct guest_device *gd);
/* A device of this process, by pvio/memory.h: give it @mem, or (NULL) none. */
int guest_give_memory(struct pvio_device *dev, const struct guest_memory *mem);
/* One interrupt for all queues arrived: wake every queue's waiter. */
void guest_device_interrupt(struct guest_device *gd);

#endif
