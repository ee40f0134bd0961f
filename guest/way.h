/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * way.h - every way to reach a device that is created in this process
 *
 * What drives a device does not care what carries its accesses.  What differs
 * is in a table: the transport's part of the configuration, and how the
 * driver's side is opened.  With a socket both ends of it are in this process.
 */
#ifndef PVIO_GUEST_WAY_H
#define PVIO_GUEST_WAY_H

#include "device.h"

#include <stdbool.h>
#include <stddef.h>

enum guest_way {
	GUEST_WAY_LOOPBACK,
	GUEST_WAY_VHOST_USER,           /* tracks requests in flight */
	GUEST_WAY_VHOST_USER_UNTRACKED, /* does not */
	GUEST_WAY_PCI,                  /* MSI-X, doorbells are eventfds */
	GUEST_WAY_PCI_WRITE, /* MSI-X, doorbells are register writes */
	GUEST_WAY_PCI_INTX,  /* one interrupt line, register writes */
	GUEST_WAY_MMIO,
	GUEST_WAY_MMIO_WRITE,
	GUEST_WAY_VFIO_USER,	  /* doorbells are messages */
	GUEST_WAY_VFIO_USER_POLL, /* doorbells are memory nobody looks at */
	GUEST_WAY_BUS,	      /* hypercalls; signals both ways */
	GUEST_WAY_BUS_DIRECT, /* a doorbell and an interrupt for each queue */
	GUEST_WAY_WINDOW,     /* another machine's, who sees our memory */
	GUEST_WAY_WINDOW_BOUNCE, /* another machine's, who sees copies */
	GUEST_NR_WAYS
};

const char *guest_way_name(enum guest_way way);
/* GUEST_NR_WAYS: there is none of that name. */
enum guest_way guest_way_find(const char *name);
/* Does the device look for work, because no doorbell tells it of any? */
bool guest_way_is_polled(enum guest_way way);
/* Is there a socket, so that the device must run while the driver is opened? */
bool guest_way_has_socket(enum guest_way way);
/* Does the driver's side speak vhost-user, which is no bus of registers? */
bool guest_way_is_vhost_user(enum guest_way way);
/*
 * Is there somebody between the two sides, so that what one does, or has
 * answered, reaches the other some turns later?
 */
bool guest_way_is_window(enum guest_way way);
/* The `transport` group, for a device whose socket, if any, is in @dir. */
void guest_way_transport(enum guest_way way, const char *dir, char *text,
			 size_t size);

struct guest_way_setup {
	struct pvio_device *dev; /* created from guest_way_transport(), and
				    started */
	const char *dir;
	struct guest_memory *mem;
	/*
	 * Borrowed: stepped while the driver waits, if no thread runs it; the
	 * other end of a socket is served by it too.  NULL: it all runs.
	 */
	struct pvio_worker *step;
	unsigned int queues_per_unit; /* see struct guest_vu_options */
};
int guest_way_open(enum guest_way way, const struct guest_way_setup *setup,
		   struct guest_device **gd);

#endif
