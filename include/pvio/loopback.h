/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loopback.h - reach a device from the program that embeds it
 *
 * The transport with no hypervisor under it: the caller plays the guest's
 * side of virtio by function calls.  It hands over memory, negotiates
 * features, sets up queues, kicks, and is told of notifications.  It is what
 * tests, examples and pvio-bench use, and a model for a VMM's own glue.
 *
 * The device is created with `transport = { type = "loopback"; };`.  All calls
 * are made on the control thread, except pvio_loopback_kick() and _kick_data(),
 * which any thread may call.  Calls that must wait for the device (set_status,
 * memory, queue stop) turn the control worker until it is done.
 */
#ifndef PVIO_LOOPBACK_H
#define PVIO_LOOPBACK_H

#include <pvio/device.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct pvio_loopback;

/* How the driver side lays out one queue (virtio 1.4, 2.7 and 2.8). */
struct pvio_loopback_queue {
	uint16_t size;	       /* entries */
	uint64_t desc, driver, device; /* guest-physical */
	int call_fd; /* eventfd written on notify, or -1: callback.  Borrowed
			until the queue is stopped. */
	int kick_fd; /* eventfd the device waits on, or -1: function call.
			Borrowed likewise. */
};

/* Called on the queue's worker when the device notifies.  May not block. */
typedef void pvio_loopback_notify_fn(void *arg, unsigned int queue);
/* Called on the control worker when configuration or status changed. */
typedef void pvio_loopback_config_fn(void *arg);

/* The loopback of @dev, or NULL when it has another transport. */
struct pvio_loopback *pvio_loopback_of(struct pvio_device *dev);

/* Set both callbacks (either may be NULL); before status DRIVER_OK. */
void pvio_loopback_set_callbacks(struct pvio_loopback *lb,
				 pvio_loopback_notify_fn *notify,
				 pvio_loopback_config_fn *config, void *arg);

/*
 * Give the device one more range of guest memory: @size bytes at guest address
 * @gpa are at @host.  Borrowed until removed or the device is destroyed.
 * -EINVAL (wraps, empty), -EEXIST (overlaps), -ENOSPC.
 */
int pvio_loopback_add_memory(struct pvio_loopback *lb, uint64_t gpa,
			     uint64_t size, void *host);
/* Take the range at @gpa back.  Requests in flight are finished first. */
int pvio_loopback_remove_memory(struct pvio_loopback *lb, uint64_t gpa);

/* Feature words: 128 bits as two uint64_t. */
void pvio_loopback_get_features(struct pvio_loopback *lb, uint64_t bits[2]);
/* -EINVAL when not offered or a dependency is broken. */
int pvio_loopback_set_features(struct pvio_loopback *lb,
			       const uint64_t bits[2]);

/* The status register (virtio 1.4, 2.1).  Writing 0 resets and returns when
 * the device no longer touches memory. */
uint8_t pvio_loopback_get_status(struct pvio_loopback *lb);
void pvio_loopback_set_status(struct pvio_loopback *lb, uint8_t status);

/* Configuration space.  Reads past the end give 0; -EINVAL for a write that
 * the device does not take. */
void pvio_loopback_read_config(struct pvio_loopback *lb, size_t offset,
			       void *buf, size_t len);
int pvio_loopback_write_config(struct pvio_loopback *lb, size_t offset,
			       const void *buf, size_t len);

/* Queues: how many, the largest size, enable, stop (queue reset). */
unsigned int pvio_loopback_nr_queues(struct pvio_loopback *lb);
uint16_t pvio_loopback_queue_max(struct pvio_loopback *lb, unsigned int queue);
int pvio_loopback_start_queue(struct pvio_loopback *lb, unsigned int queue,
			      const struct pvio_loopback_queue *setup);
int pvio_loopback_stop_queue(struct pvio_loopback *lb, unsigned int queue);

/* The driver's kick.  Any thread.  A queue that does not exist is ignored. */
void pvio_loopback_kick(struct pvio_loopback *lb, unsigned int queue);
/*
 * The same by the word that a driver sends which has negotiated
 * NOTIFICATION_DATA (virtio 1.4, 2.9): queue in the low 16 bits, then offset
 * and wrap counter, which are taken for the hint they are.
 */
void pvio_loopback_kick_data(struct pvio_loopback *lb, uint32_t data);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
