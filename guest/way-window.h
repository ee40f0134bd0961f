/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * way-window.h - a device on the other side of a window (docs/vhost-pci.md)
 *
 * The device under test is the appliance's.  The window's broker is made when
 * the way is opened, and ends with the guest_device.
 *
 *	guest_device -- vhost-user -- broker -- window -- the device
 *	                 DIR/port              DIR/socket
 */
#ifndef PVIO_GUEST_WAY_WINDOW_H
#define PVIO_GUEST_WAY_WINDOW_H

#include "way.h"

/*
 * @socket is the window's, in setup->dir.  With @bounce the window has copies;
 * without it the window is setup->mem, which is moved there.  -errno.
 */
int guest_way_window_open(const struct guest_way_setup *setup,
			  const char *socket, bool bounce,
			  struct guest_device **gd);

#endif
