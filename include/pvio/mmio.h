/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmio.h - a device as a virtio-mmio register page (virtio 1.4, 4.2)
 *
 * The device is created with `transport = { type = "mmio"; };`.  The VMM gives
 * it PVIO_MMIO_BYTES of guest-physical addresses and an interrupt line, tells
 * its guest of both (device tree, ACPI, kernel command line), and routes the
 * guest's accesses here.  Threads are as in pvio/pci.h.
 */
#ifndef PVIO_MMIO_H
#define PVIO_MMIO_H

#include <pvio/device.h>
#include <pvio/doorbell.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct pvio_mmio;

#define PVIO_MMIO_BYTES 0x1000

/* The interrupt line is asserted, or no longer.  Any thread; in order.  May
 * not block, nor call pvio. */
typedef void pvio_mmio_irq_fn(void *arg, bool level);

/* The register page of @dev, or NULL when it has another transport. */
struct pvio_mmio *pvio_mmio_of(struct pvio_device *dev);

/* Before pvio_device_start(), or -EBUSY. */
int pvio_mmio_set_irq(struct pvio_mmio *mmio, pvio_mmio_irq_fn *irq, void *arg);
/* The same by eventfds, as pvio_pci_set_intx_fds(). */
int pvio_mmio_set_irq_fds(struct pvio_mmio *mmio, int trigger, int resample);

/*
 * An access to the page.  Registers are 32 bits wide; configuration space, from
 * 0x100, is what the device type says.  Other accesses read as 0xff and are
 * dropped when written.  A write of 0 to Status returns when the device no
 * longer touches memory, since drivers of this transport do not wait for that.
 */
void pvio_mmio_read(struct pvio_mmio *mmio, uint64_t offset, void *buf,
		    size_t len);
void pvio_mmio_write(struct pvio_mmio *mmio, uint64_t offset, const void *buf,
		     size_t len);

/* The doorbell of @queue: QueueNotify, written with the queue's number. */
int pvio_mmio_doorbell(struct pvio_mmio *mmio, unsigned int queue,
		       struct pvio_doorbell *doorbell);

/* Reset the device.  Returns when it no longer touches memory. */
void pvio_mmio_reset(struct pvio_mmio *mmio);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
