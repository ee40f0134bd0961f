/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * transport.h - the seam between a transport and the core
 *
 * A transport turns the outside world into the calls of core/device.h, and the
 * core's events into interrupts.  It never touches ring contents, and models
 * never see it.
 */
#ifndef PVIO_CORE_TRANSPORT_H
#define PVIO_CORE_TRANSPORT_H

#include "device.h"
#include "plugin.h"

#pragma GCC visibility push(default)

struct pvio_transport_ops {
	uint32_t abi;
	const char *name; /* "vhost-user" */
	/*
	 * The ring and common feature bits (virtio 1.4, 6) that this transport
	 * can carry: an allow-list.  Device type bits pass by themselves.
	 */
	uint64_t features[2];
	/*
	 * A queue whose ring is not in the device's new memory waits for memory
	 * that has it, and goes on where it stood; else it breaks.
	 */
	bool awaits_memory;

	/* control.  Read the `transport` group.  Opens nothing yet. */
	int (*attach)(struct pvio_device *dev, struct pvio_config *cfg,
		      void **transport);
	void (*detach)(void *transport);
	/* control.  Take a guest: listen, connect.  -errno. */
	int (*start)(void *transport);
	/*
	 * control.  Let the guest go; @done when nothing of the transport will
	 * call the device any more, which may be before it returns.
	 */
	void (*stop)(void *transport, pvio_done_fn *done, void *arg);
	/*
	 * Whoever waits for the device, and turns control: turn those workers
	 * once that are not the device's, but that it waits for, and that nobody
	 * runs.  True: something was done.  Optional.
	 */
	bool (*step)(void *transport);

	/*
	 * queue.  Notify the driver of used buffers: once a published batch, for
	 * queues that have no call fd.  May not block.  Optional when the
	 * transport always sets call fds.
	 */
	void (*notify_queue)(void *transport, unsigned int queue);
	/* control.  Configuration or status (NEEDS_RESET) changed. */
	void (*notify_config)(void *transport);
	/*
	 * Somebody at the other side keeps a copy of configuration space: it is
	 * notified while there is no driver, too.
	 */
	bool copies_config;
	/* control.  The queue broke: tell the driver's VMM.  Optional. */
	void (*queue_broken)(void *transport, unsigned int queue);
	/* control.  Add facts of the connection to the stats, as JSON members
	 * ("\"peer\": 123"), or nothing.  Optional. */
	void (*describe)(void *transport, char *text, size_t size);
};

#pragma GCC visibility pop
#endif
