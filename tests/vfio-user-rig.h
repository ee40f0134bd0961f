/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-rig.h - a device behind a vfio-user socket, and its client, on one
 * thread
 */
#ifndef PVIO_TESTS_VFIO_USER_RIG_H
#define PVIO_TESTS_VFIO_USER_RIG_H

#include "guest/device-vfio-user.h"
#include "tests/socket-rig.h"

static inline void rig_init(struct rig *rig, const char *model,
			    const char *extra)
{
	rig_init_type(rig, "vfio-user", model, extra);
}

static inline struct guest_device *rig_open_with(
	struct rig *rig, struct guest_pci_options options)
{
	struct guest_device *gd;

	options.step = rig->worker;
	ck_assert_int_eq(guest_device_open_vfio_user_with(rig->path, &rig->mem,
							  &options, &gd),
			 0);
	return gd;
}

static inline struct guest_device *rig_open(struct rig *rig)
{
	return rig_open_with(rig, (struct guest_pci_options){ .intx = false });
}

#endif
