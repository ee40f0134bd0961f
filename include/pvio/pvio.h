/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pvio.h - the whole public API of libpvio, and its version
 *
 * libpvio gives virtual machines their network card and disk.  A program that
 * embeds it creates a worker (pvio/worker.h), creates a device on it
 * (pvio/device.h) and connects the device to a guest through a transport: in
 * the same process by pvio/loopback.h, or whatever the device's configuration
 * names.  pvio(7) is the tour.
 *
 * Conventions of every function here.  Functions that can fail return 0 or a
 * positive count, or -errno.  Objects come back through an out-parameter that
 * is written on success only.  Arguments are borrowed for the call unless the
 * comment says "takes".  Nothing here exits, aborts or prints: messages go to
 * the log callback (pvio/log.h).
 */
#ifndef PVIO_PVIO_H
#define PVIO_PVIO_H

#include <pvio/device.h>
#include <pvio/log.h>
#include <pvio/loopback.h>
#include <pvio/memory.h>
#include <pvio/mmio.h>
#include <pvio/pci.h>
#include <pvio/worker.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* The version of the library that is running, as "0.1.0".  Any thread. */
const char *pvio_version(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
