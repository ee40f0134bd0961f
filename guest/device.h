/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.h - a virtio device as its driver sees it, over any transport
 *
 * What every test and benchmark drives: it finds the device, negotiates, sets
 * up queues in guest memory, kicks, waits and resets, and does not know whether
 * the device is in this process (loopback) or behind a vhost-user socket -
 * ours or a peer's.
 *
 * One thread, except that kick and wait of different queues may be on
 * different threads once the device is running.
 */
#ifndef PVIO_GUEST_DEVICE_H
#define PVIO_GUEST_DEVICE_H

#include "memory.h"
#include "ring.h"

struct guest_device;
struct pvio_device;
struct pvio_worker;

/*
 * Reach @dev, created with the loopback transport, in this process.  While
 * @step (may be NULL) is not running on a thread, waiting steps it.  @mem is
 * borrowed and has its regions already.
 */
int guest_device_open_loopback(struct pvio_device *dev,
			       struct guest_memory *mem,
			       struct pvio_worker *step,
			       struct guest_device **gd);
/*
 * Connect to a vhost-user back-end at @path as its front-end.  @mem is shared
 * with it.  -errno of connect, -EPROTO for an answer that is not legal.
 */
int guest_device_open_vhost_user(const char *path, struct guest_memory *mem,
				 struct guest_device **gd);
/*
 * Drive @dev, created with transport "pci" and started, as a PCI function in
 * this process, with MSI-X and doorbells by eventfd; device-pci.h has more.
 * @step and @mem as for loopback.
 */
int guest_device_open_pci(struct pvio_device *dev, struct guest_memory *mem,
			  struct pvio_worker *step, struct guest_device **gd);
/*
 * Connect to a vfio-user server at @path as its client, and drive the PCI
 * function it serves, with MSI-X and the doorbells that the server has in mind;
 * device-vfio-user.h has more.  Errors as for vhost-user.
 */
int guest_device_open_vfio_user(const char *path, struct guest_memory *mem,
				struct guest_device **gd);
/* The same by transport "mmio", with one interrupt line; device-mmio.h. */
int guest_device_open_mmio(struct pvio_device *dev, struct guest_memory *mem,
			   struct pvio_worker *step, struct guest_device **gd);
/*
 * The same on a hypercall bus of its own, with signals both ways; device-bus.h
 * has more.
 */
int guest_device_open_bus(struct pvio_device *dev, struct guest_memory *mem,
			  struct pvio_worker *step, struct guest_device **gd);
/* Reset the device and let it go.  NULL is allowed. */
void guest_device_close(struct guest_device *gd);

/* Features offered: 128 bits. */
void guest_device_features(struct guest_device *gd, uint64_t bits[2]);
/*
 * Reset, then accept @bits (VERSION_1 added), FEATURES_OK.  -EINVAL when the
 * device refuses.
 */
int guest_device_negotiate(struct guest_device *gd, const uint64_t bits[2]);
int guest_device_read_config(struct guest_device *gd, size_t offset, void *buf,
			     size_t len);
int guest_device_write_config(struct guest_device *gd, size_t offset,
			      const void *buf, size_t len);
/* How many queues there are. */
unsigned int guest_device_nr_queues(struct guest_device *gd);

/* Lay out queue @q with @size entries, as negotiated.  Before start. */
int guest_device_setup_queue(struct guest_device *gd, unsigned int q,
			     uint16_t size);
struct guest_ring *guest_device_ring(struct guest_device *gd, unsigned int q);
/* DRIVER_OK: every queue set up runs. */
int guest_device_start(struct guest_device *gd);
/*
 * Reset queue @q alone: when this returns the device has let go of its ring.
 * -ENOTSUP: RING_RESET is not negotiated, or the transport cannot.  Next:
 * guest_device_setup_queue(), and guest_device_restart_queue().
 */
int guest_device_reset_queue(struct guest_device *gd, unsigned int q);
int guest_device_restart_queue(struct guest_device *gd, unsigned int q);

/* Kick; and wait for a notification of @q: 1, 0 on time-out, -errno when the
 * device is gone. */
void guest_device_kick(struct guest_device *gd, unsigned int q);
int guest_device_wait(struct guest_device *gd, unsigned int q,
		      int timeout_ms);
/* The eventfd that the device notifies queue @q by. */
int guest_device_notify_fd(struct guest_device *gd, unsigned int q);
/* How often the device has interrupted for queue @q since it was set up. */
uint64_t guest_device_interrupts(struct guest_device *gd, unsigned int q);

/* Has the device said DEVICE_NEEDS_RESET (or closed its connection)? */
bool guest_device_is_broken(struct guest_device *gd);
/* Configuration change notifications so far. */
unsigned int guest_device_config_changes(struct guest_device *gd);

/*
 * The convenience of most tests: add one buffer, publish, kick, wait until it
 * is used.  Returns the length written, -ETIMEDOUT, or -errno.
 */
int64_t guest_device_transfer(struct guest_device *gd, unsigned int q,
			      const struct guest_segment *seg,
			      unsigned int nr_readable,
			      unsigned int nr_writable);

#endif
