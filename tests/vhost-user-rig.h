/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-rig.h - a device behind a vhost-user socket, and its front-end,
 * on one thread
 */
#ifndef PVIO_TESTS_VHOST_USER_RIG_H
#define PVIO_TESTS_VHOST_USER_RIG_H

#include "guest/vhost-user.h"
#include "tests/socket-rig.h"

static inline void rig_init(struct rig *rig, const char *model,
			    const char *extra)
{
	rig_init_type(rig, "vhost-user", model, extra);
}

static inline struct guest_device *rig_open_with(
	struct rig *rig, struct guest_vu_options options)
{
	struct guest_device *gd;

	options.step = rig->worker;
	options.fd = -1;
	ck_assert_int_eq(guest_device_open_vhost_user_with(rig->path, &rig->mem,
							   &options, &gd),
			 0);
	return gd;
}

static inline struct guest_device *rig_open(struct rig *rig)
{
	return rig_open_with(rig, (struct guest_vu_options){ .fd = -1 });
}

#endif
