/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-life.c - start, stop, destroy
 *
 * Any thread may ask, and the control worker does it, beside all that it does
 * for other devices.  So a stop is a chain, each part of which begins the next:
 *
 *	the transport lets its guest go
 *	a reset: every queue is drained and stopped
 *	a fence: what is on its way between workers has arrived
 *
 * After it nothing but the caller knows of the device.  It is freed by a call
 * of its own: the last task of the stop is still at work in the device when it
 * tells that it is done.
 */
#include "device-internal.h"
#include "device-own.h"

#include <errno.h>

int pvio_device_start_here(struct pvio_device *dev)
{
	int rc = -EBUSY;

	if (!dev->is_started)
		rc = dev->transport_ops->start(dev->transport);
	if (rc == 0)
		dev->is_started = true;
	return rc;
}

static void start_begin(void *arg, pvio_done_fn *done, void *done_arg)
{
	done(done_arg, pvio_device_start_here(arg));
}

int pvio_device_start(struct pvio_device *dev)
{
	return pvio_device_call(dev, start_begin, dev);
}

/* --- waiting --------------------------------------------------------------- */

bool pvio_worker_step_idle(struct pvio_worker *worker)
{
	return pvio_worker_is_mine(worker) && pvio_worker_step(worker);
}

void pvio_control_wait(struct pvio_worker *control, bool (*step)(void *arg),
		       void *arg, const bool *flag)
{
	while (!*flag) {
		bool did = pvio_worker_step(control);

		did |= step(arg);
		/* What is not on a thread cannot wake us: look every ms. */
		if (!did)
			pvio_worker_wait(control, 1);
	}
}

static bool device_step(void *arg)
{
	struct pvio_device *dev = arg;
	bool did = false;
	unsigned int i;

	for (i = 0; i < dev->nr_workers; i++)
		if (dev->workers[i] != dev->control)
			did |= pvio_worker_step_idle(dev->workers[i]);
	if (dev->transport_ops->step)
		did |= dev->transport_ops->step(dev->transport);
	return did;
}

void pvio_device_wait(struct pvio_device *dev, const bool *flag)
{
	pvio_control_wait(dev->control, device_step, dev, flag);
}

/* --- stop, destroy --------------------------------------------------------- */

static void stop_reset(struct pvio_device_stop *stop);

static void stop_reset_again(struct pvio_device_waiter *waiter)
{
	stop_reset(
		pvio_container_of(waiter, struct pvio_device_stop, waiter));
}

static void stop_is_reset(void *arg, int rc)
{
	struct pvio_device_stop *stop = arg;

	/* Resets that others asked for may be all it can remember. */
	if (rc == -EBUSY && pvio_device_await(stop->dev, &stop->waiter))
		return;
	pvio_device_fence(stop->dev, stop->done, stop->arg);
}

static void stop_reset(struct pvio_device_stop *stop)
{
	pvio_device_reset(stop->dev, stop_is_reset, stop);
}

static void stop_let_go(void *arg, int rc)
{
	struct pvio_device_stop *stop = arg;

	(void)rc;
	stop->dev->is_started = false;
	stop_reset(stop);
}

void pvio_device_stop_begin(struct pvio_device_stop *stop)
{
	struct pvio_device *dev = stop->dev;

	stop->waiter.fn = stop_reset_again;
	if (dev->is_started)
		dev->transport_ops->stop(dev->transport, stop_let_go, stop);
	else
		stop_reset(stop);
}

static void stop_begin(void *arg, pvio_done_fn *done, void *done_arg)
{
	struct pvio_device_stop *stop = arg;

	stop->done = done;
	stop->arg = done_arg;
	pvio_device_stop_begin(stop);
}

void pvio_device_stop(struct pvio_device *dev)
{
	struct pvio_device_stop stop = { .dev = dev };

	(void)pvio_device_call(dev, stop_begin, &stop);
}

static void free_begin(void *arg, pvio_done_fn *done, void *done_arg)
{
	pvio_device_free(arg);
	done(done_arg, 0);
}

void pvio_device_destroy(struct pvio_device *dev)
{
	if (!dev)
		return;
	pvio_device_stop(dev);
	/* After the task that ended the stop, which is in the device. */
	(void)pvio_control_call(dev->control, free_begin, dev);
}
