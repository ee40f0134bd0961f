/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slots.c - who is on the bus: numbers, signals, events
 *
 *	FREE --start--> COMING --its turn--> PRESENT --stop--> LEAVING
 *	  ^                                                       | reset,
 *	  |                                                       v its turn
 *	  '---- the driver takes the event, or there is none ---- GONE
 *
 * What a device has in flight when it is stopped goes on in the driver's memory,
 * which the driver may use for something else when it hears that the device is
 * gone.  So it hears of it, from the event and from calls, when the device has
 * been reset, and until then the device is one that is being reset.
 *
 * A driver that holds a number may use it at any time.  So a number, and the
 * signals of it, are not another device's before the driver has taken the event
 * that the first is gone.  Events are bits of the slot: there can be no more of
 * them than there are slots, however slow the driver is.
 */
#include "hypercall.h"

#include "core/stats.h"

#include <errno.h>

/* --- events --------------------------------------------------------------------- */

static void slot_tell(struct pvio_bus *bus, struct bus_slot *slot)
{
	slot->has_event = true;
	pvio_bus_notify(bus, bus->events, PVIO_BUS_SIGNAL_EVENTS,
			&bus->counters);
}

bool pvio_bus_has_event(const struct pvio_bus *bus)
{
	unsigned int i;

	for (i = 0; i < BUS_MAX_DEVICES; i++)
		if (bus->slot[i].has_event)
			return true;
	return false;
}

unsigned int pvio_bus_take_event(struct pvio_bus *bus, bool *is_added)
{
	struct bus_slot *slot;
	unsigned int i = 0;

	while (i < BUS_MAX_DEVICES && !bus->slot[i].has_event)
		i++;
	if (i == BUS_MAX_DEVICES)
		return i;
	slot = &bus->slot[i];
	*is_added = slot->state != BUS_SLOT_GONE;
	slot->has_event = false;
	if (slot->state == BUS_SLOT_GONE)
		slot->state = BUS_SLOT_FREE;
	return i;
}

void pvio_bus_forget_events(struct pvio_bus *bus)
{
	bool is_added;

	while (pvio_bus_take_event(bus, &is_added) < BUS_MAX_DEVICES)
		;
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
		slot_tell(device->bus, device->slot);
}

void pvio_bus_hide(struct hypercall *device)
{
	struct bus_slot *slot = device->slot;
	struct pvio_bus *bus = device->bus;

	signals_take(device);
	device->slot = NULL;
	slot->device = NULL;
	slot->has_event = false;
	slot->state = bus->has_driver ? BUS_SLOT_GONE : BUS_SLOT_FREE;
	if (bus->has_driver)
		slot_tell(bus, slot);
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
