/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-vfio-user.h - a device behind a vfio-user socket, for guest/device.h
 */
#ifndef PVIO_GUEST_DEVICE_VFIO_USER_H
#define PVIO_GUEST_DEVICE_VFIO_USER_H

#include "device-pci.h"
#include "vfio-user.h"

/*
 * Connect to the server at @path, and drive its PCI function.  @mem is shared
 * with it.  -errno of connect; -EPROTO for what a driver or a VMM cannot use.
 */
int guest_device_open_vfio_user_with(const char *path,
				     struct guest_memory *mem,
				     const struct guest_pci_options *options,
				     struct guest_device **gd);
/* Its connection, to say something out of order. */
struct guest_vfu *guest_device_vfu(struct guest_device *gd);
/* Does it ring doorbells in mapped memory? */
bool guest_device_vfio_user_is_mapped(struct guest_device *gd);
/* Let the connection go without a word, as a VMM that is killed. */
void guest_device_vfio_user_vanish(struct guest_device *gd);
/*
 * Be back, after that: connect to the same server, which has kept the device,
 * and hand it memory and eventfds again.  The driver goes on where it was, but
 * kicks on the way are lost: kick what was published.
 */
int guest_device_vfio_user_return(struct guest_device *gd, const char *path);

#endif
