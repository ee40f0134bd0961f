/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * notify.c - notify queues: signals to virtual CPUs, and interrupts
 *
 *	queue's worker  -- route --> signal raised in the area of notify queue n
 *	                             and, if its CPU sleeps, interrupt n
 *
 * An area is guest memory that may go away.  The worker finds it by one load of
 * `live`, and what it finds stays mapped until the worker has ended the job in
 * which it found it: control waits for that (a fence) before it lets go.
 *
 * While an area is out of reach its signals cannot be kept.  So when it is back
 * all signals that are routed there are raised, once: a signal for nothing is
 * allowed.
 */
#include "hypercall.h"

#include "core/eventfd.h"
#include "core/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* --- interrupts ------------------------------------------------------------ */

static void notify_interrupt(struct pvio_bus *bus, unsigned int number,
			     struct bus_counters *counters)
{
	struct bus_notify *n = &bus->notify[number];
	int fd;

	pvio_count(&counters->interrupts, 1);
	pthread_mutex_lock(&n->lock);
	fd = n->fd;
	/* One that blocks is its reader's own doing: it gets no more. */
	if (fd >= 0 && pvio_eventfd_signal(fd) == -EINTR) {
		close(n->fd);
		n->fd = -1;
	}
	pthread_mutex_unlock(&n->lock);
	if (fd < 0 && bus->interrupt)
		bus->interrupt(bus->interrupt_arg, number);
}

int pvio_bus_set_interrupt_fd(struct pvio_bus *bus, unsigned int number, int fd)
{
	struct bus_notify *n;
	int own = -1, old;

	if (number >= bus->nr_notify)
		return -EINVAL;
	n = &bus->notify[number];
	if (fd >= 0) {
		own = pvio_eventfd_dup(fd);
		if (own < 0)
			return own;
	}
	pthread_mutex_lock(&n->lock);
	old = n->fd;
	n->fd = own;
	pthread_mutex_unlock(&n->lock);
	if (old >= 0)
		close(old);
	return 0;
}

/* --- signals ----------------------------------------------------------------- */

void pvio_bus_notify(struct pvio_bus *bus, union bus_route route,
		     unsigned int signal, struct bus_counters *counters)
{
	struct bus_area *live;

	if (route.mode == PVIO_BUS_ROUTE_NONE)
		return;
	if (likely(route.mode == PVIO_BUS_ROUTE_SIGNAL)) {
		/* Barrier L: what an area says is there before it is found. */
		live = pvio_load_acquire(&bus->notify[route.notify].live);
		if (likely(live && signal / 64 < live->nr_words)) {
			switch (pvio_signal_raise(live->area, live->nr_words,
						  signal, route.level)) {
			case PVIO_RAISED_COALESCED:
				pvio_count(&counters->coalesced, 1);
				return;
			case PVIO_RAISED_QUIET:
				pvio_count(&counters->raised, 1);
				return;
			case PVIO_RAISED_RING:
				pvio_count(&counters->raised, 1);
				break;
			}
		}
	}
	notify_interrupt(bus, route.notify, counters);
}

/* --- areas -------------------------------------------------------------------- */

static int notify_renew(struct pvio_bus *bus, struct bus_notify *n,
			struct pvio_map *map)
{
	struct pvio_signal_area *at = pvio_bus_find_area(map, &n->place);
	struct bus_area *old = n->live, *area = NULL;
	int rc = 0;

	if (old && at && old->area == at && old->nr_words == n->place.nr_words &&
	    old->map == map)
		return 0;
	if (at) {
		area = malloc(sizeof(*area));
		if (area)
			*area = (struct bus_area){
				.area = at,
				.nr_words = n->place.nr_words,
				.map = pvio_map_get(map),
			};
		else
			rc = -ENOMEM;
	}
	/* Barrier L: see pvio_bus_notify(). */
	pvio_store_release(&n->live, area);
	if (old) {
		old->next = bus->retired;
		bus->retired = old;
	}
	if (!area)
		n->is_missed = n->place.nr_words > 0;
	return rc;
}

/* The signals of @device that go to notify queue @number. */
static void notify_again(struct hypercall *device, unsigned int number)
{
	struct pvio_bus *bus = device->bus;
	unsigned int i;

	for (i = 0; i <= device->regs.nr_queues; i++) {
		union bus_route route = device->routes[i];

		if (route.mode == PVIO_BUS_ROUTE_SIGNAL &&
		    route.notify == number)
			pvio_bus_notify(bus, route,
					device->slot->first_signal + i,
					&bus->counters);
	}
}

static void notify_make_up(struct pvio_bus *bus, unsigned int number)
{
	unsigned int i;

	bus->notify[number].is_missed = false;
	for (i = 0; i < BUS_MAX_DEVICES; i++)
		if (bus->slot[i].state == BUS_SLOT_PRESENT)
			notify_again(bus->slot[i].device, number);
	if (bus->events.notify == number)
		pvio_bus_notify(bus, bus->events, PVIO_BUS_SIGNAL_EVENTS,
				&bus->counters);
}

int pvio_bus_notify_renew(struct pvio_bus *bus, struct pvio_map *map)
{
	unsigned int i;
	int rc = 0, failed;

	for (i = 0; i < bus->nr_notify; i++) {
		failed = notify_renew(bus, &bus->notify[i], map);
		if (failed < 0)
			rc = failed;
		else if (bus->notify[i].live && bus->notify[i].is_missed)
			notify_make_up(bus, i);
	}
	return rc;
}

void pvio_bus_notify_retire(struct pvio_bus *bus)
{
	struct bus_area *area;

	while ((area = bus->retired) != NULL) {
		bus->retired = area->next;
		pvio_map_put(area->map);
		free(area);
	}
}

/* --- life --------------------------------------------------------------------- */

int pvio_bus_notify_init(struct pvio_bus *bus, unsigned int nr)
{
	unsigned int i;

	bus->notify = calloc(nr, sizeof(*bus->notify));
	if (!bus->notify)
		return -ENOMEM;
	bus->nr_notify = nr;
	for (i = 0; i < nr; i++) {
		pthread_mutex_init(&bus->notify[i].lock, NULL);
		bus->notify[i].fd = -1;
	}
	return 0;
}

void pvio_bus_notify_fini(struct pvio_bus *bus)
{
	unsigned int i;

	for (i = 0; i < bus->nr_notify; i++) {
		struct bus_notify *n = &bus->notify[i];

		if (n->live) {
			pvio_map_put(n->live->map);
			free(n->live);
		}
		if (n->fd >= 0)
			close(n->fd);
		pthread_mutex_destroy(&n->lock);
	}
	pvio_bus_notify_retire(bus);
	free(bus->notify);
}
