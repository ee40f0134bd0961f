/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doorbell.h - where a driver's kick arrives, so that a VMM can catch it
 *
 * A kick is a write to a register.  A VMM may pass it on like any other
 * access, or have the host turn it into a write to an eventfd, which wakes the
 * queue's worker without the VMM: KVM's and others' ioeventfd.
 */
#ifndef PVIO_DOORBELL_H
#define PVIO_DOORBELL_H

#include <stdint.h>

/* One queue's doorbell.  Fixed for the life of the device. */
struct pvio_doorbell {
	unsigned int bar;  /* pci: the BAR it is in; mmio: 0 */
	uint64_t offset;   /* bytes from the start of BAR or register page */
	unsigned int width; /* bytes of the write; 0: 2 or 4, both are kicks */
	int has_match;	   /* only a write of ... */
	uint64_t match;	   /* ... this value is for this queue */
	int fd;		   /* eventfd the device waits on; the device's own,
			      valid until it is destroyed */
};

#endif
