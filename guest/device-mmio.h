/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-mmio.h - a device that is a virtio-mmio page, for guest/device.h
 */
#ifndef PVIO_GUEST_DEVICE_MMIO_H
#define PVIO_GUEST_DEVICE_MMIO_H

#include "device.h"

struct guest_mmio_options {
	/* Borrowed: stepped by waiting while no thread runs it; or NULL. */
	struct pvio_worker *step;
	bool bar_kick; /* kick by a register write, not by eventfd */
};

/*
 * Drive @dev, created with transport "mmio" and started, in this process: its
 * memory becomes @mem.  -EPROTO: not a page that a driver can use.
 */
int guest_device_open_mmio_with(struct pvio_device *dev,
				struct guest_memory *mem,
				const struct guest_mmio_options *options,
				struct guest_device **gd);

#endif
