/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * messages.c - what a driver may ask of the bus itself
 *
 * GET_DEVICES and PING are virtio-msg's; the others are this bus's own: what it
 * has, where the signal areas are, where notifications go, who came and went.
 */
#include "calls.h"

#include "core/stats.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define GET_DEVICES_MAX 1024

static int message_info(struct pvio_bus *bus, struct bus_call *call)
{
	struct pvio_bus_info_out *out = pvio_bus_response(call, sizeof(*out));

	out->magic = htole32(PVIO_BUS_MAGIC);
	out->version = htole32(PVIO_BUS_VERSION);
	out->max_message = htole32(PVIO_BUS_MAX_MESSAGE);
	out->nr_kick_queues = htole32(bus->nr_kicks);
	out->nr_notify_queues = htole32(bus->nr_notify);
	out->nr_signals = htole32(PVIO_BUS_MAX_SIGNALS);
	out->max_devices = htole32(BUS_MAX_DEVICES);
	return PVIO_BUS_OK;
}

static int message_ping(struct pvio_bus *bus, struct bus_call *call)
{
	(void)bus;
	memcpy(pvio_bus_response(call, call->request.bytes),
	       call->request.payload, call->request.bytes);
	return PVIO_BUS_OK;
}

static int message_get_devices(struct pvio_bus *bus, struct bus_call *call)
{
	struct pvio_bus_get_devices_in in;
	struct pvio_bus_get_devices_out *out;
	unsigned int offset, count, i;
	uint8_t *bits;

	memcpy(&in, call->request.payload, sizeof(in));
	offset = le16toh(in.offset);
	count = le16toh(in.count);
	if (count == 0 || count > GET_DEVICES_MAX)
		return PVIO_BUS_BAD_VALUE;
	out = pvio_bus_response(call, sizeof(*out) + (count + 7) / 8);
	bits = (uint8_t *)(out + 1);
	out->offset = in.offset;
	out->count = in.count;
	for (i = 0; i < count; i++)
		if (pvio_bus_find(bus, offset + i))
			bits[i / 8] |= (uint8_t)(1 << i % 8);
	for (i = offset + count; i < BUS_MAX_DEVICES; i++) {
		if (pvio_bus_find(bus, i)) {
			out->next = htole16((uint16_t)i);
			break;
		}
	}
	return PVIO_BUS_OK;
}

/* --- areas --------------------------------------------------------------------------- */

static void call_is_done(struct pvio_bus *bus)
{
	struct bus_call *call = bus->done_arg;

	pvio_bus_notify_retire(bus);
	pvio_bus_call_done(call, bus->rc < 0 ? PVIO_BUS_NO_ROOM : PVIO_BUS_OK);
}

static int message_reset(struct pvio_bus *bus, struct bus_call *call)
{
	bus->done_arg = call;
	bus->rc = 0;
	pvio_bus_reset_all(bus, true, call_is_done);
	return BUS_LATER;
}

/* Which area is meant?  NULL: there is none of that number. */
static struct bus_place *area_place(struct pvio_bus *bus, uint32_t direction,
				    uint32_t index)
{
	if (direction == PVIO_BUS_AREA_KICK && index < bus->nr_kicks)
		return &bus->kick[index]->place;
	if (direction == PVIO_BUS_AREA_NOTIFY && index < bus->nr_notify)
		return &bus->notify[index].place;
	return NULL;
}

static int message_set_area(struct pvio_bus *bus, struct bus_call *call)
{
	struct pvio_bus_set_area_in in;
	struct bus_place place, *at;

	memcpy(&in, call->request.payload, sizeof(in));
	at = area_place(bus, le32toh(in.direction), le32toh(in.index));
	place.address = le64toh(in.address);
	place.nr_words = le32toh(in.nr_words);
	if (!at || place.nr_words > PVIO_BUS_MAX_WORDS || in.reserved)
		return PVIO_BUS_BAD_VALUE;
	if (place.nr_words > 0 && !pvio_bus_find_area(bus->map, &place))
		return PVIO_BUS_BAD_ADDRESS;
	*at = place;
	bus->done_arg = call;
	bus->rc = 0;
	pvio_bus_await(bus, call_is_done);
	/* The workers take it up; and have let go of what was before. */
	if (pvio_bus_notify_renew(bus, bus->map) < 0)
		bus->rc = -ENOMEM;
	pvio_bus_kicks_renew(bus, bus->map);
	pvio_bus_answered(bus, 0);
	return BUS_LATER;
}

/* --- routes -------------------------------------------------------------------------- */

/* The bus's own events. */
static int route_events(struct pvio_bus *bus, struct bus_call *call,
			union bus_route route)
{
	struct pvio_bus_route_out *out = pvio_bus_response(call, sizeof(*out));

	pvio_store_once(&bus->events.word, route.word);
	out->signal = htole32(PVIO_BUS_SIGNAL_EVENTS);
	out->kick_queue = htole32(UINT32_MAX);
	/* What was to be said before there was somebody to say it to. */
	if (pvio_bus_has_event(bus))
		pvio_bus_notify(bus, route, PVIO_BUS_SIGNAL_EVENTS,
				&bus->counters);
	return PVIO_BUS_OK;
}

static int message_route(struct pvio_bus *bus, struct bus_call *call)
{
	struct pvio_bus_route_out *out;
	struct pvio_bus_route_in in;
	struct hypercall *device;
	uint32_t queue, notify;
	union bus_route route;

	memcpy(&in, call->request.payload, sizeof(in));
	queue = le32toh(in.queue);
	notify = le32toh(in.notify_queue);
	if (in.mode > PVIO_BUS_ROUTE_SIGNAL || in.level >= PVIO_BUS_LEVELS ||
	    (in.mode != PVIO_BUS_ROUTE_NONE && notify >= bus->nr_notify))
		return PVIO_BUS_BAD_VALUE;
	route = (union bus_route){ .word = 0 };
	route.mode = in.mode;
	route.level = in.level;
	route.notify = (uint16_t)notify;
	if (le16toh(in.device) == PVIO_BUS_THE_BUS)
		return queue == 0 ? route_events(bus, call, route)
				  : PVIO_BUS_BAD_VALUE;

	device = pvio_bus_find(bus, le16toh(in.device));
	if (!device)
		return PVIO_BUS_NO_DEVICE;
	if (queue == PVIO_BUS_QUEUE_CONFIG)
		queue = device->regs.nr_queues;
	else if (queue >= device->regs.nr_queues)
		return PVIO_BUS_BAD_VALUE;
	if (device->regs.is_resetting)
		return PVIO_BUS_BAD_STATE;
	pvio_store_once(&device->routes[queue].word, route.word);
	out = pvio_bus_response(call, sizeof(*out));
	out->signal = htole32(device->first_signal + queue);
	out->kick_queue = htole32(queue < device->regs.nr_queues
					  ? device->kicks[queue]->number
					  : UINT32_MAX);
	return PVIO_BUS_OK;
}

/* --- events -------------------------------------------------------------------------- */

static int message_get_event(struct pvio_bus *bus, struct bus_call *call)
{
	struct pvio_bus_event_out *out = pvio_bus_response(call, sizeof(*out));
	unsigned int number = 0;

	out->event = htole16((uint16_t)pvio_bus_take_event(bus, &number));
	out->device = htole16((uint16_t)number);
	return PVIO_BUS_OK;
}

/* --- the table -------------------------------------------------------------------------- */

static const struct bus_row message_rows[] = {
	{ PVIO_BUS_GET_DEVICES, false, sizeof(struct pvio_bus_get_devices_in),
	  "GET_DEVICES", message_get_devices },
	{ PVIO_BUS_PING, false, sizeof(struct pvio_bus_ping), "PING",
	  message_ping },
	{ PVIO_BUS_INFO, false, 0, "INFO", message_info },
	{ PVIO_BUS_RESET, false, 0, "RESET", message_reset },
	{ PVIO_BUS_SET_AREA, false, sizeof(struct pvio_bus_set_area_in),
	  "SET_AREA", message_set_area },
	{ PVIO_BUS_ROUTE, false, sizeof(struct pvio_bus_route_in), "ROUTE",
	  message_route },
	{ PVIO_BUS_GET_EVENT, false, 0, "GET_EVENT", message_get_event },
};

int pvio_bus_message(struct pvio_bus *bus, struct bus_call *call)
{
	if (call->request.header.device)
		return PVIO_BUS_MALFORMED;
	return pvio_bus_dispatch(bus, call, message_rows,
				 sizeof(message_rows) / sizeof(*message_rows));
}
