/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-pci.h - a device that is a virtio PCI function, for guest/device.h
 */
#ifndef PVIO_GUEST_DEVICE_PCI_H
#define PVIO_GUEST_DEVICE_PCI_H

#include "device.h"
#include "pci.h"

struct guest_pci_options {
	/* Borrowed: stepped by waiting while no thread runs it; or NULL. */
	struct pvio_worker *step;
	bool intx;     /* one interrupt line, not MSI-X */
	bool bar_kick; /* kick by a register write, even where there is a
			    better way */
};

/*
 * Drive the function that @access reaches.  Takes @arg, on success: closing the
 * device closes it.  -EPROTO: not a function that a driver can use.
 */
int guest_device_open_pci_access(const struct guest_pci_access *access,
				 void *arg, struct guest_memory *mem,
				 const struct guest_pci_options *options,
				 struct guest_device **gd);
/*
 * Drive @dev, created with transport "pci" and started, in this process: its
 * memory becomes @mem.
 */
int guest_device_open_pci_with(struct pvio_device *dev,
			       struct guest_memory *mem,
			       const struct guest_pci_options *options,
			       struct guest_device **gd);
/* Its driver, to do something out of order. */
struct guest_pci *guest_device_pci(struct guest_device *gd);

#endif
