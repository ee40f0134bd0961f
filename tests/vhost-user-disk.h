/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-disk.h - the driver of a disk behind a vhost-user socket
 */
#ifndef PVIO_TESTS_VHOST_USER_DISK_H
#define PVIO_TESTS_VHOST_USER_DISK_H

#include "tests/vhost-user-rig.h"
/* It has a rig of its own by that name: last. */
#include "tests/socket-disk.h"

#endif
