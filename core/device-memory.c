/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-memory.c - new memory under running queues
 *
 * Theory of operation.  Requests in flight have buffers in the old map, so the
 * running queues are stopped, which drains them; then maps are swapped, and
 * each queue is started again where it stood, with the same in-flight region.
 *
 *	queue 0  running | drain |        | start | running
 *	queue 1  running | drain ....     | start | running
 *	control          | all stopped -> swap -> | all started -> done
 *
 * For its transport the queue runs all the while.  One that cannot start, since
 * its ring is not in the new map, breaks: the driver must reset.  Or it waits,
 * stopped, for a map that has its ring, if the transport is one of those
 * (awaits_memory): to stop it again does nothing, so it is tried each time.
 *
 * To keep quiet is to move to the memory that the device has: that drains every
 * queue and starts it again where it stood, and what is held serves nothing.
 * Who asks for it while it goes on waits for the next one.
 */
#include "device-internal.h"

#include <errno.h>
#include <string.h>

static void quiet_done(struct pvio_device *dev)
{
	struct pvio_waiter waiters[PVIO_QUIET_WAITERS];
	unsigned int i, n = dev->nr_quieting;

	memcpy(waiters, dev->quiet_waiters, sizeof(waiters));
	dev->nr_quiet -= n;
	dev->nr_quieting = 0;
	memmove(dev->quiet_waiters, dev->quiet_waiters + n,
		dev->nr_quiet * sizeof(*waiters));
	for (i = 0; i < n; i++)
		waiters[i].done(waiters[i].arg, 0);
}

static void remap_done(struct pvio_device *dev)
{
	pvio_done_fn *done = dev->memory_done;
	void *arg = dev->memory_arg;

	dev->exclusive = PVIO_DEVICE_SHARED;
	if (dev->nr_quieting) {
		quiet_done(dev);
	} else {
		dev->memory_done = NULL;
		done(arg, 0);
	}
	pvio_device_settle(dev);
}

static void remap_queue_started(void *arg, int rc)
{
	struct pvio_device *dev = arg;

	(void)rc; /* start_finish() has broken it */
	if (--dev->exclusive_left == 0)
		remap_done(dev);
}

/* No queue holds anything of the old map any more. */
static void remap_swap(struct pvio_device *dev)
{
	bool is_broken = pvio_load_once(&dev->is_broken);
	unsigned int i;

	if (!dev->nr_quieting) {
		pvio_map_put(dev->map);
		dev->map = dev->new_map;
		dev->new_map = NULL;
	}

	dev->exclusive_left = 1;
	for (i = 0; i < dev->nr_queues; i++) {
		struct pvio_vq_control *ctl = &dev->controls[i];

		if (!ctl->is_running || is_broken)
			continue;
		ctl->setup.position = ctl->position;
		ctl->setup.recover_used = false;
		ctl->is_taken_over = false;
		dev->exclusive_left++;
		pvio_queue_op_begin(&ctl->start, remap_queue_started, dev);
	}
	remap_queue_started(dev, 0);
}

static void remap_queue_stopped(void *arg, int rc)
{
	struct pvio_device *dev = arg;

	(void)rc;
	if (--dev->exclusive_left == 0)
		remap_swap(dev);
}

void pvio_device_remap_begin(struct pvio_device *dev)
{
	unsigned int i;

	dev->exclusive = PVIO_DEVICE_REMAPPING;
	dev->exclusive_left = 1;
	for (i = 0; i < dev->nr_queues; i++) {
		if (!dev->controls[i].is_running)
			continue;
		dev->exclusive_left++;
		pvio_device_queue_halt(&dev->controls[i], remap_queue_stopped,
				       dev);
	}
	remap_queue_stopped(dev, 0);
}

void pvio_device_set_memory(struct pvio_device *dev, struct pvio_map *map,
			    pvio_done_fn *done, void *arg)
{
	if (dev->memory_done) {
		done(arg, -EBUSY);
		return;
	}
	dev->new_map = map;
	dev->memory_done = done;
	dev->memory_arg = arg;
	pvio_device_settle(dev);
}

/* --- quiet ---------------------------------------------------------------- */

void pvio_device_quiet_begin(struct pvio_device *dev)
{
	dev->nr_quieting = dev->nr_quiet;
	pvio_device_remap_begin(dev);
}

void pvio_device_quiesce(struct pvio_device *dev, enum pvio_quiet reason,
			 pvio_done_fn *done, void *arg)
{
	bool is_idle = dev->is_held && dev->exclusive == PVIO_DEVICE_SHARED &&
		       !dev->nr_waiters && !dev->nr_quiet;

	if (dev->nr_quiet == PVIO_QUIET_WAITERS) {
		done(arg, -EBUSY);
		return;
	}
	dev->quiet |= reason;
	pvio_device_hold(dev);
	if (is_idle) {
		done(arg, 0);
		return;
	}
	dev->quiet_waiters[dev->nr_quiet].done = done;
	dev->quiet_waiters[dev->nr_quiet].arg = arg;
	dev->nr_quiet++;
	pvio_device_settle(dev);
}

void pvio_device_unquiesce(struct pvio_device *dev, enum pvio_quiet reason)
{
	dev->quiet &= ~(unsigned int)reason;
	pvio_device_hold(dev);
}
