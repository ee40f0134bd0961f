/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slots.c - who is on the bus: numbers, signals, events
 *
 *	FREE --start--> COMING --its turn--> PRESENT --stop--> LEAVING
 *	  ^                                                       | reset,
 *	  |                                                       v its turn
 *	  '---- the driver has dealt with it, or there is none -- GONE
 *
 * What a device has in flight when it is stopped goes on in the driver's memory,
 * which the driver may use for something else when it hears that the device is
 * gone.  So it hears of it, from the event and from calls, when the device has
 * been reset, and until then the device is one that is being reset.
 *
 * A driver that holds a number may use it at any time.  So a number, and the
 * signals of it, are not another device's before the driver has taken the event
 * that the first is gone, and has asked for the next.  A slot has one event, the
 * last: there can be no more than there are slots, however slow the driver is.
 */
#include "hypercall.h"

#include "core/stats.h"

#include <errno.h>

/* --- events --------------------------------------------------------------------- */

void pvio_bus_tell(struct pvio_bus *bus, struct bus_slot *slot,
		   unsigned int event)
{
	slot->event = (uint8_t)event;
	pvio_bus_notify(bus, bus->events, PVIO_BUS_SIGNAL_EVENTS,
			&bus->counters);
}

bool pvio_bus_has_event(const struct pvio_bus *bus)
{
	unsigned int i;

	for (i = 0; i < BUS_MAX_DEVICES; i++)
		if (bus->slot[i].event != PVIO_BUS_EVENT_NONE)
			return true;
	return false;
}

/* What the driver was told before it has dealt with now. */
static void slots_free_told(struct pvio_bus *bus)
{
	unsigned int i;

	for (i = 0; i < BUS_MAX_DEVICES; i++)
		if (bus->slot[i].state == BUS_SLOT_GONE &&
		    bus->slot[i].event == PVIO_BUS_EVENT_NONE)
			bus->slot[i].state = BUS_SLOT_FREE;
}

unsigned int pvio_bus_take_event(struct pvio_bus *bus, unsigned int *number)
{
	unsigned int i = 0, event;

	slots_free_told(bus);
	while (i < BUS_MAX_DEVICES &&
	       bus->slot[i].event == PVIO_BUS_EVENT_NONE)
		i++;
	if (i == BUS_MAX_DEVICES)
		return PVIO_BUS_EVENT_NONE;
	*number = i;
	event = bus->slot[i].event;
	bus->slot[i].event = PVIO_BUS_EVENT_NONE;
	return event;
}

void pvio_bus_forget_events(struct pvio_bus *bus)
{
	unsigned int i;

	for (i = 0; i < BUS_MAX_DEVICES; i++)
		bus->slot[i].event = PVIO_BUS_EVENT_NONE;
	slots_free_told(bus);
}

/* --- signals ---------------------------------------------------------------------- */

/* The first of @nr that no slot has; 0, which is the bus's: there are none. */
static unsigned int signals_find(const struct pvio_bus *bus, unsigned int nr)
{
	unsigned int first = PVIO_BUS_SIGNAL_EVENTS + 1, i = 0;
	const struct bus_slot *slot;

	while (i < BUS_MAX_DEVICES) {
		slot = &bus->slot[i++];
		if (slot->state == BUS_SLOT_FREE ||
		    first >= slot->first_signal + slot->nr_signals ||
		    first + nr <= slot->first_signal)
			continue;
		first = slot->first_signal + slot->nr_signals;
		i = 0;
	}
	return first + nr <= PVIO_BUS_MAX_SIGNALS ? first : 0;
}

static void signals_give(struct hypercall *device)
{
	unsigned int i;

	for (i = 0; i < device->regs.nr_queues; i++) {
		struct bus_signal *s =
			&device->bus->signal[device->first_signal + i];

		s->queue = (uint16_t)i;
		pvio_store_once(&s->kick, (uint16_t)device->kicks[i]->number);
		/* Barrier O: see kick_serve(). */
		pvio_store_release(&s->owner, device);
	}
}

/* Workers may be reading what else there is of them. */
static void signals_take(struct hypercall *device)
{
	struct bus_signal *s = &device->bus->signal[device->first_signal];
	unsigned int i;

	for (i = 0; i < device->regs.nr_queues; i++)
		pvio_store_once(&s[i].owner, NULL);
}

/* --- slots ------------------------------------------------------------------------- */

int pvio_bus_add(struct pvio_bus *bus, struct hypercall *device)
{
	unsigned int i = 0, nr = device->regs.nr_queues + 1, first;
	struct bus_slot *slot;

	while (i < BUS_MAX_DEVICES && bus->slot[i].state != BUS_SLOT_FREE)
		i++;
	first = signals_find(bus, nr);
	if (i == BUS_MAX_DEVICES || first == 0)
		return -ENOSPC;
	slot = &bus->slot[i];
	*slot = (struct bus_slot){
		.state = BUS_SLOT_COMING,
		.device = device,
		.first_signal = (uint16_t)first,
		.nr_signals = (uint16_t)nr,
	};
	device->slot = slot;
	device->first_signal = (uint16_t)first;
	return 0;
}

void pvio_bus_show(struct hypercall *device)
{
	signals_give(device);
	device->slot->state = BUS_SLOT_PRESENT;
	if (device->bus->has_driver)
		pvio_bus_tell(device->bus, device->slot,
			      PVIO_BUS_EVENT_ADDED);
}

void pvio_bus_hide(struct hypercall *device)
{
	struct bus_slot *slot = device->slot;
	struct pvio_bus *bus = device->bus;

	signals_take(device);
	device->slot = NULL;
	slot->device = NULL;
	slot->event = PVIO_BUS_EVENT_NONE;
	slot->state = bus->has_driver ? BUS_SLOT_GONE : BUS_SLOT_FREE;
	if (bus->has_driver)
		pvio_bus_tell(bus, slot, PVIO_BUS_EVENT_REMOVED);
}

struct hypercall *pvio_bus_find(struct pvio_bus *bus, unsigned int number)
{
	const struct bus_slot *slot;

	if (number >= BUS_MAX_DEVICES)
		return NULL;
	slot = &bus->slot[number];
	if (slot->state == BUS_SLOT_PRESENT ||
	    (slot->state == BUS_SLOT_LEAVING &&
	     slot->device->regs.is_resetting))
		return slot->device;
	return NULL;
}
