/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus.c - the bus: one thing at a time, memory, reset
 *
 * Whatever changes the bus is a turn on the control worker: a call of the
 * guest, a device that comes or goes, memory that changes, a reset.  Turns wait
 * for each other, in the order in which they were asked for, so what a turn
 * finds stays until it ends.  A turn that waits for workers, or for devices,
 * counts what it has begun, and goes on when the last of it has answered:
 *
 *	take_turn --> run --> begin, begin, ... await(then)
 *	                      answered, answered ... --> then --> end_turn
 */
#include "hypercall.h"

#include "core/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* All buses of the process; devices come and go on many threads. */
static pthread_mutex_t bus_list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pvio_list bus_list = { &bus_list, &bus_list };

/* --- turns ------------------------------------------------------------------- */

static void bus_go_on(struct pvio_bus *bus)
{
	struct bus_turn *turn;

	/* One that ends at once is followed by the next in this loop. */
	if (bus->is_turning)
		return;
	bus->is_turning = true;
	while (!bus->is_busy && !pvio_list_empty(&bus->turns)) {
		turn = pvio_list_entry(bus->turns.next, struct bus_turn, node);
		pvio_list_del(&turn->node);
		bus->is_busy = true;
		turn->run(bus, turn);
	}
	bus->is_turning = false;
}

void pvio_bus_take_turn(struct pvio_bus *bus, struct bus_turn *turn)
{
	pvio_list_add_tail(&bus->turns, &turn->node);
	bus_go_on(bus);
}

void pvio_bus_end_turn(struct pvio_bus *bus)
{
	bus->is_busy = false;
	bus_go_on(bus);
}

void pvio_bus_await(struct pvio_bus *bus, void (*then)(struct pvio_bus *bus))
{
	bus->then = then;
	bus->nr_waiting = 1; /* whoever begins what is waited for */
}

void pvio_bus_answered(void *arg, int rc)
{
	struct pvio_bus *bus = arg;

	if (rc < 0)
		bus->rc = rc;
	if (--bus->nr_waiting == 0)
		bus->then(bus);
}

/* --- shared memory ------------------------------------------------------------- */

void *pvio_bus_find_shared(const struct pvio_map *map, uint64_t address,
			   uint64_t bytes, unsigned int align)
{
	const struct pvio_region *hint = NULL;
	uint8_t *at = pvio_map_at(map, &hint, address, bytes);

	/* The host's address counts, and an embedder's may be any. */
	if (address % align || (uintptr_t)at % align ||
	    (map->is_limited &&
	     !pvio_map_allows(map, address, bytes, PROT_READ | PROT_WRITE)))
		return NULL;
	return at;
}

struct pvio_signal_area *pvio_bus_find_area(const struct pvio_map *map,
					    const struct bus_place *place)
{
	if (!map || place->nr_words == 0)
		return NULL;
	return pvio_bus_find_shared(map, place->address,
				    pvio_signal_bytes(place->nr_words),
				    PVIO_BUS_AREA_ALIGN);
}

/* --- orders: memory, reset, quiet ---------------------------------------------- */

static void order_begin(struct pvio_bus *bus, struct bus_turn *turn)
{
	struct bus_order *order =
		pvio_container_of(turn, struct bus_order, turn);

	bus->done = order->done;
	bus->done_arg = order->arg;
	bus->rc = 0;
}

static void order_end(struct pvio_bus *bus)
{
	pvio_bus_notify_retire(bus);
	bus->done(bus->done_arg, bus->rc); /* its thread may go on */
	pvio_bus_end_turn(bus);
}

/* Every device that may touch memory. */
#define for_each_device(i, bus)                                  \
	for (i = 0; i < BUS_MAX_DEVICES; i++)                     \
		if ((bus)->slot[i].state == BUS_SLOT_PRESENT ||   \
		    (bus)->slot[i].state == BUS_SLOT_LEAVING)

/* Who embeds us may be giving this device other memory, and it has refused. */
static void memory_is_given(void *arg, int rc)
{
	struct hypercall *device = arg;

	if (rc == -EBUSY)
		pvio_map_put(device->new_map);
	device->new_map = NULL;
	pvio_bus_answered(device->bus, rc);
}

static void memory_is_set(struct pvio_bus *bus)
{
	pvio_map_put(bus->map);
	bus->map = bus->new_map;
	bus->new_map = NULL;
	order_end(bus);
}

void pvio_bus_give_memory(struct hypercall *device, struct pvio_map *map)
{
	device->new_map = pvio_map_get(map);
	device->bus->nr_waiting++;
	pvio_device_set_memory(device->dev, device->new_map, memory_is_given,
			       device);
}

static void memory_run(struct pvio_bus *bus, struct bus_turn *turn)
{
	struct bus_order *order =
		pvio_container_of(turn, struct bus_order, turn);
	unsigned int i;

	order_begin(bus, turn);
	bus->new_map = order->map;
	pvio_bus_await(bus, memory_is_set);
	if (!bus->is_quiet) {
		if (pvio_bus_notify_renew(bus, bus->new_map) < 0)
			bus->rc = -ENOMEM;
		pvio_bus_kicks_renew(bus, bus->new_map);
	}
	for_each_device(i, bus)
		pvio_bus_give_memory(bus->slot[i].device, bus->new_map);
	pvio_bus_answered(bus, 0);
}

void pvio_bus_set_memory(struct pvio_bus *bus, struct bus_order *order)
{
	order->turn.run = memory_run;
	pvio_bus_take_turn(bus, &order->turn);
}

void pvio_bus_reset_all(struct pvio_bus *bus, bool has_driver,
			void (*then)(struct pvio_bus *bus))
{
	unsigned int i, q;

	bus->has_driver = has_driver;
	pvio_store_once(&bus->events.word, 0);
	pvio_bus_forget_events(bus);
	pvio_bus_await(bus, then);
	for (i = 0; i < bus->nr_notify; i++)
		bus->notify[i].place.nr_words = 0;
	for (i = 0; i < bus->nr_kicks; i++)
		bus->kick[i]->place.nr_words = 0;
	for_each_device(i, bus) {
		struct hypercall *device = bus->slot[i].device;

		for (q = 0; q <= device->regs.nr_queues; q++)
			pvio_store_once(&device->routes[q].word, 0);
		bus->nr_waiting++;
		pvio_registers_reset(&device->regs, pvio_bus_answered, bus);
	}
	(void)pvio_bus_notify_renew(bus, NULL);
	pvio_bus_kicks_renew(bus, NULL);
	pvio_bus_answered(bus, 0);
}

static void reset_run(struct pvio_bus *bus, struct bus_turn *turn)
{
	struct bus_order *order =
		pvio_container_of(turn, struct bus_order, turn);

	order_begin(bus, turn);
	pvio_bus_reset_all(bus, order->has_driver, order_end);
}

void pvio_bus_order_reset(struct pvio_bus *bus, struct bus_order *order)
{
	order->turn.run = reset_run;
	pvio_bus_take_turn(bus, &order->turn);
}

/* The devices are quiet, and have said so: now the areas. */
static void devices_are_quiet(struct pvio_bus *bus)
{
	pvio_bus_await(bus, order_end);
	(void)pvio_bus_notify_renew(bus, NULL);
	pvio_bus_kicks_renew(bus, NULL);
	pvio_bus_answered(bus, 0);
}

static void quiet_run(struct pvio_bus *bus, struct bus_turn *turn)
{
	struct bus_order *order =
		pvio_container_of(turn, struct bus_order, turn);
	unsigned int i;

	order_begin(bus, turn);
	pvio_store_ordered(&bus->is_quiet, order->is_quiet);
	if (bus->is_quiet) {
		pvio_bus_await(bus, devices_are_quiet);
		for_each_device(i, bus) {
			bus->nr_waiting++;
			pvio_device_quiesce(bus->slot[i].device->dev,
					    PVIO_QUIET_TRANSPORT,
					    pvio_bus_answered, bus);
		}
	} else {
		pvio_bus_await(bus, order_end);
		if (pvio_bus_notify_renew(bus, bus->map) < 0)
			bus->rc = -ENOMEM;
		pvio_bus_kicks_renew(bus, bus->map);
		for_each_device(i, bus)
			pvio_device_unquiesce(bus->slot[i].device->dev,
					      PVIO_QUIET_TRANSPORT);
	}
	pvio_bus_answered(bus, 0);
}

void pvio_bus_order_quiet(struct pvio_bus *bus, struct bus_order *order)
{
	order->turn.run = quiet_run;
	pvio_bus_take_turn(bus, &order->turn);
}

/* --- other threads ---------------------------------------------------------------- */

struct bus_wait {
	bool is_done;
	int rc;
};

static void wait_is_over(void *arg, int rc)
{
	struct bus_wait *wait = arg;

	wait->rc = rc;
	wait->is_done = true;
}

bool pvio_bus_step(void *arg)
{
	struct pvio_bus *bus = arg;
	bool did = false;
	unsigned int i;

	for (i = 0; i < bus->nr_kicks; i++) {
		struct pvio_worker *worker = bus->kick[i]->worker;

		if (worker && worker != bus->control)
			did |= pvio_worker_step_idle(worker);
	}
	return did;
}

/* As pvio_device_call(), with the workers of every device to be turned. */
int pvio_bus_make(struct pvio_bus *bus, pvio_begin_fn *begin, void *arg)
{
	struct bus_wait wait = { .is_done = false };

	if (!pvio_worker_is_mine(bus->control))
		return pvio_control_call(bus->control, begin, arg);
	begin(arg, wait_is_over, &wait);
	pvio_control_wait(bus->control, pvio_bus_step, bus, &wait.is_done);
	return wait.rc;
}

struct bus_ask {
	struct pvio_bus *bus;
	struct bus_order order;
};

static void memory_begin(void *arg, pvio_done_fn *done, void *done_arg)
{
	struct bus_ask *ask = arg;

	ask->order.done = done;
	ask->order.arg = done_arg;
	pvio_bus_set_memory(ask->bus, &ask->order);
}

int pvio_bus_set_memory_list(struct pvio_bus *bus,
			     const struct pvio_memory *mem)
{
	struct bus_ask ask = { .bus = bus };
	int rc;

	rc = pvio_memory_map(mem, &ask.order.map);
	if (rc < 0)
		return rc;
	return pvio_bus_make(bus, memory_begin, &ask);
}

static void reset_begin(void *arg, pvio_done_fn *done, void *done_arg)
{
	struct bus_ask *ask = arg;

	ask->order.done = done;
	ask->order.arg = done_arg;
	pvio_bus_order_reset(ask->bus, &ask->order);
}

void pvio_bus_reset(struct pvio_bus *bus)
{
	struct bus_ask ask = { .bus = bus };

	(void)pvio_bus_make(bus, reset_begin, &ask);
}

int pvio_bus_set_host(struct pvio_bus *bus, pvio_bus_interrupt_fn *interrupt,
		      void *arg)
{
	if (bus->bridge || bus->nr_started > 0)
		return -EBUSY;
	bus->interrupt = interrupt;
	bus->interrupt_arg = arg;
	return 0;
}

unsigned int pvio_bus_nr_interrupts(struct pvio_bus *bus)
{
	return bus->nr_notify;
}

static void count_add(struct pvio_bus_counters *to,
		      const struct bus_counters *from)
{
	to->kicks += pvio_load_once(&from->kicks);
	to->raised += pvio_load_once(&from->raised);
	to->coalesced += pvio_load_once(&from->coalesced);
	to->interrupts += pvio_load_once(&from->interrupts);
}

void pvio_bus_count(struct pvio_bus *bus, struct pvio_bus_counters *counters)
{
	unsigned int i, nr = pvio_load_acquire(&bus->nr_kicks);

	*counters = (struct pvio_bus_counters){
		.calls = pvio_load_once(&bus->calls),
	};
	count_add(counters, &bus->counters);
	for (i = 0; i < nr; i++) {
		counters->doorbells += pvio_load_once(&bus->kick[i]->rung);
		count_add(counters, &bus->kick[i]->counters);
	}
}

/* --- life ------------------------------------------------------------------------- */

static void bus_free(struct pvio_bus *bus)
{
	unsigned int i;

	pvio_bus_bridge_destroy(bus->bridge);
	for (i = 0; i < bus->nr_kicks; i++)
		pvio_bus_kick_free(bus->kick[i]);
	pvio_bus_notify_fini(bus);
	pvio_map_put(bus->map);
	free(bus->name);
	free(bus);
}

static int bus_create(const char *name, struct pvio_worker *control,
		      unsigned int nr_interrupts, struct pvio_bus **out)
{
	struct pvio_bus *bus;
	int rc;

	bus = calloc(1, sizeof(*bus));
	if (!bus)
		return -ENOMEM;
	bus->control = control;
	pvio_list_init(&bus->turns);
	bus->name = strdup(name);
	rc = bus->name ? pvio_map_create(NULL, 0, &bus->map) : -ENOMEM;
	if (rc == 0)
		rc = pvio_bus_notify_init(bus, nr_interrupts);
	if (rc < 0) {
		bus_free(bus);
		return rc;
	}
	*out = bus;
	return 0;
}

static struct pvio_bus *bus_find(const char *name)
{
	struct pvio_list *node;
	struct pvio_bus *bus;

	pvio_list_for_each(node, &bus_list) {
		bus = pvio_list_entry(node, struct pvio_bus, node);
		if (strcmp(bus->name, name) == 0)
			return bus;
	}
	return NULL;
}

int pvio_bus_get(const char *name, struct pvio_worker *control,
		 unsigned int nr_interrupts, struct pvio_bus **out)
{
	struct pvio_bus *bus;
	int rc = 0;

	pthread_mutex_lock(&bus_list_lock);
	bus = bus_find(name);
	if (bus && (bus->control != control ||
		    (nr_interrupts && bus->nr_notify != nr_interrupts)))
		rc = -EINVAL;
	else if (!bus)
		rc = bus_create(name, control,
				nr_interrupts ? nr_interrupts
					      : BUS_DEFAULT_INTERRUPTS,
				&bus);
	if (rc == 0) {
		if (bus->refs++ == 0)
			pvio_list_add_tail(&bus_list, &bus->node);
		*out = bus;
	}
	pthread_mutex_unlock(&bus_list_lock);
	return rc;
}

void pvio_bus_put(struct pvio_bus *bus)
{
	bool is_last;

	pthread_mutex_lock(&bus_list_lock);
	is_last = --bus->refs == 0;
	if (is_last)
		pvio_list_del(&bus->node);
	pthread_mutex_unlock(&bus_list_lock);
	if (is_last)
		bus_free(bus);
}
