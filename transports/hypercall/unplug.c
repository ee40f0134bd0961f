/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * unplug.c - ask the guest to let a device go
 *
 *	VMM       unplug ............................... returns, destroys
 *	driver         event "leave" -> ends its use -> status 0
 *
 * A device that is simply destroyed leaves requests without an answer, and a
 * driver that waits for them.  One that is asked for first has none.  A driver
 * may refuse, by doing nothing: so there is a limit.
 */
#include "hypercall.h"

#include <errno.h>
#include <event2/event.h>

struct bus_unplug {
	struct hypercall *device;
	unsigned int timeout_ms;
	struct event *timer;
	pvio_done_fn *done;
	void *arg;
};

static void unplug_end(struct bus_unplug *unplug, int rc)
{
	unplug->device->unplug = NULL;
	event_free(unplug->timer);
	unplug->done(unplug->arg, rc); /* last: the caller's stack */
}

static void unplug_is_late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	unplug_end(arg, -ETIMEDOUT);
}

void pvio_bus_was_reset(struct hypercall *device)
{
	if (device->unplug)
		unplug_end(device->unplug, 0);
}

static int unplug_ask(struct bus_unplug *unplug)
{
	struct hypercall *device = unplug->device;
	struct pvio_bus *bus = device->bus;
	struct timeval limit = {
		.tv_sec = unplug->timeout_ms / 1000,
		.tv_usec = (suseconds_t)(unplug->timeout_ms % 1000) * 1000,
	};

	unplug->timer = event_new(pvio_worker_base(bus->control), -1, 0,
				  unplug_is_late, unplug);
	if (!unplug->timer)
		return -ENOMEM;
	if (event_add(unplug->timer, &limit) < 0) {
		event_free(unplug->timer);
		return -ENOMEM;
	}
	device->unplug = unplug;
	pvio_bus_tell(bus, device->slot, PVIO_BUS_EVENT_LEAVE);
	return 0;
}

static void unplug_begin(void *arg, pvio_done_fn *done, void *done_arg)
{
	struct bus_unplug *unplug = arg;
	struct hypercall *device = unplug->device;
	struct pvio_bus *bus = device->bus;
	int rc;

	unplug->done = done;
	unplug->arg = done_arg;
	if (!device->slot || device->slot->state != BUS_SLOT_PRESENT)
		rc = -EINVAL;
	else if (device->unplug)
		rc = -EBUSY;
	else if (!bus->has_driver || bus->events.mode == PVIO_BUS_ROUTE_NONE ||
		 pvio_registers_status(&device->regs) == 0)
		rc = 0; /* there is nobody to ask, or nothing to end */
	else if ((rc = unplug_ask(unplug)) == 0)
		return;
	done(done_arg, rc);
}

int pvio_bus_unplug(struct pvio_device *dev, unsigned int timeout_ms)
{
	struct bus_unplug unplug = {
		.device = pvio_hypercall_of(dev),
		.timeout_ms = timeout_ms,
	};

	if (!unplug.device)
		return -EINVAL;
	return pvio_bus_make(unplug.device->bus, unplug_begin, &unplug);
}
