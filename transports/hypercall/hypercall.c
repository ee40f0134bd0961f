/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hypercall.c - the transport of a device on the bus
 *
 *	calls      SET_DEVICE_STATUS, SET_VQUEUE ...  -> registers, core
 *	kick       signal, or doorbell of it          -> the queue's worker
 *	notify     the queue's worker -> route -> signal, interrupt
 *
 * Every device of a guest is on one bus, named by `bus`, or by `socket` of the
 * bridge that shows it to QEMU.  What the guest sees is in docs/bus-abi.md; how
 * it gets there is the bus's.  Here a device gets its place, and gives it back.
 *
 * It can do what the device can: an own notification for every queue, per-queue
 * reset, memory that comes and goes while queues run.
 */
#include "hypercall.h"

#include "core/config.h"
#include "core/listen.h"
#include "core/stats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the core's events ------------------------------------------------------------ */

static void hypercall_notify_queue(void *transport, unsigned int queue)
{
	struct hypercall *device = transport;
	union bus_route route = {
		.word = pvio_load_once(&device->routes[queue].word),
	};

	/* Who resets the device wants to hear no more of it. */
	if (unlikely(pvio_load_once(&device->regs.is_resetting)))
		return;
	pvio_bus_notify(device->bus, route, device->first_signal + queue,
			&device->kicks[queue]->counters);
}

static void hypercall_notify_config(void *transport)
{
	struct hypercall *device = transport;
	unsigned int config = device->regs.nr_queues;

	if (device->regs.is_resetting)
		return;
	pvio_bus_notify(device->bus, device->routes[config],
			device->first_signal + config, &device->bus->counters);
}

/* After a reset there is nothing to say, and nowhere to say it. */
static void hypercall_silence(struct pvio_registers *regs, uint16_t vector)
{
	struct hypercall *device =
		pvio_container_of(regs, struct hypercall, regs);
	unsigned int i;

	(void)vector;
	for (i = 0; i <= regs->nr_queues; i++)
		pvio_store_once(&device->routes[i].word, 0);
	pvio_bus_was_reset(device);
}

static void hypercall_describe(void *transport, char *text, size_t size)
{
	struct hypercall *device = transport;
	struct pvio_bus *bus = device->bus;
	struct pvio_bus_counters c;
	int n;

	pvio_bus_count(bus, &c);
	n = snprintf(text, size,
		     "\"bus\": \"%s\", \"number\": %d, \"calls\": %" PRIu64
		     ", \"doorbells\": %" PRIu64 ", \"kicks\": %" PRIu64
		     ", \"raised\": %" PRIu64 ", \"coalesced\": %" PRIu64
		     ", \"interrupts\": %" PRIu64,
		     bus->name,
		     device->slot ? (int)(device->slot - bus->slot) : -1,
		     c.calls, c.doorbells, c.kicks, c.raised, c.coalesced,
		     c.interrupts);
	if (!bus->bridge || n < 0 || (size_t)n + 2 >= size)
		return;
	text[n++] = ',';
	text[n++] = ' ';
	pvio_bus_bridge_describe(bus->bridge, text + n, size - (size_t)n);
}

/* --- start, stop ------------------------------------------------------------------- */

static void kicks_put(struct hypercall *device, unsigned int nr)
{
	while (nr > 0)
		pvio_bus_kick_put(device->kicks[--nr]);
}

static int kicks_get(struct hypercall *device)
{
	unsigned int i;
	int rc;

	for (i = 0; i < device->regs.nr_queues; i++) {
		rc = pvio_bus_kick_get(device->bus,
				       pvio_device_vq(device->dev, i)->worker,
				       &device->kicks[i]);
		if (rc < 0) {
			kicks_put(device, i);
			return rc;
		}
	}
	return 0;
}

static void start_is_done(struct pvio_bus *bus)
{
	struct hypercall *device = bus->done_arg;

	if (bus->rc < 0)
		pvio_log(PVIO_LOG_ERROR,
			 "%s: bus %s: kicks may not be heard: %s",
			 pvio_device_name(device->dev), bus->name,
			 strerror(-bus->rc));
	pvio_bus_show(device);
	pvio_bus_end_turn(bus);
}

static void start_run(struct pvio_bus *bus, struct bus_turn *turn)
{
	struct hypercall *device =
		pvio_container_of(turn, struct hypercall, start);

	bus->done_arg = device;
	bus->rc = 0;
	pvio_bus_await(bus, start_is_done);
	if (bus->is_quiet) {
		bus->nr_waiting++;
		pvio_device_quiesce(device->dev, PVIO_QUIET_TRANSPORT,
				    pvio_bus_answered, bus);
	} else {
		pvio_device_unquiesce(device->dev, PVIO_QUIET_TRANSPORT);
	}
	pvio_bus_give_memory(device, bus->map);
	pvio_bus_kicks_renew(bus, bus->is_quiet ? NULL : bus->map);
	pvio_bus_answered(bus, 0);
}

static int hypercall_start(void *transport)
{
	struct hypercall *device = transport;
	struct pvio_bus *bus = device->bus;
	int rc;

	rc = kicks_get(device);
	if (rc < 0)
		return rc;
	rc = pvio_bus_add(bus, device);
	if (rc < 0)
		goto put_kicks;
	if (bus->bridge && bus->nr_started == 0) {
		rc = pvio_bus_bridge_start(bus->bridge);
		if (rc < 0)
			goto free_slot;
	}
	bus->nr_started++;
	pvio_bus_take_turn(bus, &device->start);
	return 0;

free_slot:
	*device->slot = (struct bus_slot){ .state = BUS_SLOT_FREE };
	device->slot = NULL;
put_kicks:
	kicks_put(device, device->regs.nr_queues);
	return rc;
}

/* No worker is in the device on the bus's behalf any more. */
static void gone_is_done(struct pvio_bus *bus)
{
	struct hypercall *device = bus->done_arg;

	pvio_bus_end_turn(bus);
	/* With the last device the bridge goes: there is nothing behind it. */
	if (--bus->nr_started == 0 && bus->bridge)
		pvio_bus_bridge_stop(bus->bridge, device->done,
				     device->done_arg);
	else
		device->done(device->done_arg, 0);
}

static void gone_run(struct pvio_bus *bus, struct bus_turn *turn)
{
	struct hypercall *device =
		pvio_container_of(turn, struct hypercall, gone);

	bus->done_arg = device;
	pvio_bus_hide(device);
	kicks_put(device, device->regs.nr_queues);
	pvio_bus_await(bus, gone_is_done);
	pvio_bus_kicks_renew(bus, bus->is_quiet ? NULL : bus->map);
	pvio_bus_answered(bus, 0);
}

static void stop_is_reset(void *arg, int rc)
{
	struct hypercall *device = arg;

	(void)rc;
	pvio_bus_take_turn(device->bus, &device->gone);
}

/* The driver's other calls do not wait for what the device has in flight. */
static void stop_run(struct pvio_bus *bus, struct bus_turn *turn)
{
	struct hypercall *device =
		pvio_container_of(turn, struct hypercall, stop);

	device->slot->state = BUS_SLOT_LEAVING;
	pvio_registers_reset(&device->regs, stop_is_reset, device);
	pvio_bus_end_turn(bus);
}

static void hypercall_stop(void *transport, pvio_done_fn *done, void *arg)
{
	struct hypercall *device = transport;

	device->done = done;
	device->done_arg = arg;
	pvio_bus_take_turn(device->bus, &device->stop);
}

/* A turn of the bus is every device's: it waits for the workers of all. */
static bool hypercall_step(void *transport)
{
	struct hypercall *device = transport;

	return pvio_bus_step(device->bus);
}

/* --- life ------------------------------------------------------------------------- */

static void hypercall_detach(void *transport)
{
	struct hypercall *device = transport;

	if (device->bus)
		pvio_bus_put(device->bus);
	pvio_registers_fini(&device->regs);
	free(device->kicks);
	free(device->routes);
	free(device);
}

/* The bridge is there, as the first device wanted it: what others say of it. */
static int bridge_keys(struct pvio_config *cfg)
{
	int64_t mode, group;
	uint64_t number = 0;

	if (pvio_config_uint_opt(cfg, "fd", 0, INT32_MAX, &number) < 0 ||
	    pvio_config_uint_opt(cfg, "timeout_ms", 1, 3600000, &number) < 0)
		return -EINVAL;
	return pvio_listen_read_config(cfg, &mode, &group);
}

static int hypercall_join(struct hypercall *device, struct pvio_config *cfg)
{
	const char *socket = NULL, *name = NULL;
	uint64_t interrupts = 0;
	int rc;

	if (pvio_config_string_opt(cfg, "socket", &socket) < 0 ||
	    pvio_config_string_opt(cfg, "bus", &name) < 0 ||
	    pvio_config_uint_opt(cfg, "interrupts", 1, BUS_MAX_INTERRUPTS,
				 &interrupts) < 0)
		return -EINVAL;
	if (!name)
		name = socket ? socket : "";
	rc = pvio_bus_get(name, pvio_device_control(device->dev),
			  (unsigned int)interrupts, &device->bus);
	if (rc == -EINVAL)
		return pvio_config_error(cfg, "type",
					 "the bus \"%s\" has another control "
					 "worker, or number of interrupts",
					 name);
	if (rc < 0 || !socket)
		return rc;
	if (device->bus->bridge)
		return bridge_keys(cfg);
	/* Interrupts have one way to go, which workers may be looking at. */
	if (device->bus->nr_started > 0 || device->bus->interrupt)
		return pvio_config_error(cfg, "socket",
					 "the bus \"%s\" is in use without one",
					 name);
	return pvio_bus_bridge_create(device->bus, cfg);
}

static int hypercall_attach(struct pvio_device *dev, struct pvio_config *cfg,
			    void **transport)
{
	struct hypercall *device;
	int rc;

	device = calloc(1, sizeof(*device));
	if (!device)
		return -ENOMEM;
	device->dev = dev;
	device->start.run = start_run;
	device->stop.run = stop_run;
	device->gone.run = gone_run;
	rc = pvio_registers_init(&device->regs, dev, 0, hypercall_silence);
	if (rc < 0)
		goto detach;
	rc = -ENOMEM;
	device->routes = calloc(device->regs.nr_queues + 1,
				sizeof(*device->routes));
	device->kicks = calloc(device->regs.nr_queues, sizeof(*device->kicks));
	if (!device->routes || !device->kicks)
		goto detach;
	rc = hypercall_join(device, cfg);
	if (rc < 0)
		goto detach;
	*transport = device;
	return 0;

detach:
	hypercall_detach(device);
	return rc;
}

static const struct pvio_transport_ops hypercall_ops = {
	.abi		= PVIO_PLUGIN_ABI,
	.name		= "hypercall",
	.features	= { PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			    PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
			    PVIO_BIT(VIRTIO_F_VERSION_1) |
			    PVIO_BIT(VIRTIO_F_RING_PACKED) |
			    PVIO_BIT(VIRTIO_F_ACCESS_PLATFORM) |
			    PVIO_BIT(VIRTIO_F_IN_ORDER) |
			    PVIO_BIT(VIRTIO_F_RING_RESET) |
			    PVIO_BIT(VIRTIO_F_SUSPEND) },
	.awaits_memory	= true,
	.attach		= hypercall_attach,
	.detach		= hypercall_detach,
	.start		= hypercall_start,
	.stop		= hypercall_stop,
	.step		= hypercall_step,
	.notify_queue	= hypercall_notify_queue,
	.notify_config	= hypercall_notify_config,
	.describe	= hypercall_describe,
};

struct hypercall *pvio_hypercall_of(struct pvio_device *dev)
{
	return pvio_device_transport(dev, &hypercall_ops);
}

struct pvio_bus *pvio_bus_of(struct pvio_device *dev)
{
	struct hypercall *device = pvio_hypercall_of(dev);

	return device ? device->bus : NULL;
}

PVIO_PLUGIN(transport, hypercall, hypercall_ops);
