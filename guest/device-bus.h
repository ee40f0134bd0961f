/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-bus.h - a device on the hypercall bus, for guest/device.h
 */
#ifndef PVIO_GUEST_DEVICE_BUS_H
#define PVIO_GUEST_DEVICE_BUS_H

#include "bus.h"
#include "device.h"

struct guest_device_bus_options {
	/*
	 * Borrowed: the bus as another device's driver has opened it.  NULL: it
	 * is opened, and its own; then @bus_options are how.
	 */
	struct guest_bus *bus;
	struct guest_bus_options bus_options;
	/* Its number on the bus; -1: it is the only one. */
	int number;
	bool direct_interrupts; /* one for each queue, without signals */
	bool direct_doorbells;  /* a doorbell for each kick, without signals */
	unsigned int level;
};

/*
 * Drive @dev, created with transport "hypercall" and started, in this process:
 * the bus's memory becomes @mem.  -EPROTO: not a bus that a driver can use;
 * -EINVAL: there are several devices on it; -ENOSPC: too few interrupts.
 */
int guest_device_open_bus_with(struct pvio_device *dev,
			       struct guest_memory *mem,
			       const struct guest_device_bus_options *options,
			       struct guest_device **gd);
/* Its bus, and its number there, to do something out of order. */
struct guest_bus *guest_device_bus(struct guest_device *gd);
uint16_t guest_device_bus_number(struct guest_device *gd);
/* The signal of queue @q, or of (PVIO_BUS_QUEUE_CONFIG) its configuration. */
unsigned int guest_device_bus_signal(struct guest_device *gd, unsigned int q);
/* Nothing on the bus can be called any more: only free it when it is closed. */
void guest_device_bus_gone(struct guest_device *gd);

#endif
