/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hypercall.h - the bus and its devices, between its files
 *
 *	hypercall.c	the transport of one device: its place on the bus
 *	bus.c		the bus: one thing at a time, memory, reset
 *	slots.c		who is on it: numbers, signals, events
 *	unplug.c	asking the driver to let a device go
 *	calls.c		call blocks: copied in, carried out, answered
 *	messages.c	the table of messages, and those to the bus
 *	device.c	those to a device
 *	notify.c	notify queues, and interrupts
 *	kick.c		kick queues, and doorbells
 *	connectors.c	how operations arrive from a VMM
 *	bridge.c	how they arrive from QEMU: a PCI function
 *
 * Three planes, as docs/bus-abi.md has them.  Control is the control worker's,
 * one *turn* at a time: a call, a change of memory, a reset.  A turn may wait
 * for workers; what comes meanwhile queues up.  Signals are raised and taken on
 * the queues' workers, which read three things of the bus: the route of a queue,
 * a notify queue's area, and who a signal belongs to.  Control changes each by one
 * store, and frees what it replaced when every worker has answered
 * (pvio_bus_kicks_renew()), and so is between two of its jobs.  Data is the core's.
 *
 * signals.h has notify and kick queues, calls.h calls and their messages.
 */
#ifndef PVIO_HYPERCALL_H
#define PVIO_HYPERCALL_H

#include "core/log.h"
#include "core/transport.h"
#include "signals.h"
#include "transports/registers/registers.h"

struct bus_bridge;
struct bus_unplug;

#define BUS_MAX_DEVICES 256
#define BUS_MAX_KICKS	64

/* --- one thing at a time ------------------------------------------------- */

/* Waits to be run on the control worker; over with pvio_bus_end_turn(). */
struct bus_turn {
	struct pvio_list node;
	void (*run)(struct pvio_bus *bus, struct bus_turn *turn);
};

/* --- devices ------------------------------------------------------------------ */

enum bus_slot_state {
	BUS_SLOT_FREE,
	BUS_SLOT_COMING, /* its start waits for its turn */
	BUS_SLOT_PRESENT,
	BUS_SLOT_LEAVING, /* stopped, and reset for the last time */
	BUS_SLOT_GONE,	  /* the driver has not taken the event */
};

/* A device's number, and its signals: one a queue, and configuration's. */
struct bus_slot {
	enum bus_slot_state state;
	uint8_t event;		  /* to be told; PVIO_BUS_EVENT_ */
	struct hypercall *device; /* COMING, PRESENT, LEAVING */
	uint16_t first_signal, nr_signals;
};

/* A device on the bus. */
struct hypercall {
	struct pvio_device *dev; /* borrowed */
	struct pvio_bus *bus;	 /* reference */
	struct pvio_registers regs;
	struct bus_slot *slot;	 /* NULL: not started */
	uint16_t first_signal;	 /* the slot's, for workers */
	union bus_route *routes; /* [nr_queues + 1], owned; config's last */
	struct bus_kick **kicks; /* [nr_queues], owned: of their workers */
	struct bus_turn start, stop, gone;
	struct pvio_map *new_map; /* reference; until the device has taken it */
	struct bus_unplug *unplug; /* the driver is asked for it */
	pvio_done_fn *done; /* of the stop */
	void *done_arg;
};

struct pvio_bus {
	struct pvio_list node; /* of all buses */
	unsigned int refs;     /* devices created; of the list's lock */
	char *name;
	struct pvio_worker *control; /* borrowed */
	struct pvio_log_limit log_limit;

	pvio_bus_interrupt_fn *interrupt;
	void *interrupt_arg;
	struct bus_bridge *bridge; /* owned, or NULL: the VMM embeds us */
	unsigned int nr_started;   /* devices */

	struct pvio_list turns; /* waiting */
	bool is_busy, is_turning;
	struct pvio_map *map; /* reference; never NULL */
	bool is_quiet;	      /* touches no memory; atomic */
	bool has_driver;      /* one has begun with RESET */
	union bus_route events; /* where the bus's own go */

	unsigned int nr_notify;
	struct bus_notify *notify; /* [nr_notify], owned */
	struct bus_area *retired;  /* until a fence */
	unsigned int nr_kicks;	   /* atomic: grows only */
	struct bus_kick *kick[BUS_MAX_KICKS]; /* owned */
	struct bus_slot slot[BUS_MAX_DEVICES];
	struct bus_signal signal[PVIO_BUS_MAX_SIGNALS];
	struct bus_counters counters; /* control's */
	uint64_t calls;
	uint32_t call_low; /* half of an address, written before the other */

	/* of the turn under way: what it waits for, and what comes then */
	unsigned int nr_waiting;
	void (*then)(struct pvio_bus *bus);
	pvio_done_fn *done;
	void *done_arg;
	int rc;
	struct pvio_map *new_map;
};

/* --- bus.c ------------------------------------------------------------------- */

/* The bus @name of this process, or a new one.  -EINVAL: another control. */
int pvio_bus_get(const char *name, struct pvio_worker *control,
		 unsigned int nr_interrupts, struct pvio_bus **bus);
void pvio_bus_put(struct pvio_bus *bus);
/* Queue @turn; it runs now if nothing else is under way. */
void pvio_bus_take_turn(struct pvio_bus *bus, struct bus_turn *turn);
void pvio_bus_end_turn(struct pvio_bus *bus);
/*
 * Call @begin on the control worker, and wait for what it gives @done.  Any
 * thread but queues' workers.
 */
int pvio_bus_make(struct pvio_bus *bus, pvio_begin_fn *begin, void *arg);
/*
 * Who turns control: one turn of each worker that turns wait for and that
 * nobody runs.  True: something was done.  @arg is the bus.
 */
bool pvio_bus_step(void *arg);

/*
 * Parts of a turn.  It begins things that end by pvio_bus_answered() (a
 * pvio_done_fn; @arg is the bus), each counted in nr_waiting; when all have, @then
 * follows.  The turn's own part is one: pvio_bus_answered() at its end.
 */
void pvio_bus_await(struct pvio_bus *bus, void (*then)(struct pvio_bus *bus));
void pvio_bus_answered(void *arg, int rc);
/* One of them: @device's memory is @map from its answer on. */
void pvio_bus_give_memory(struct hypercall *device, struct pvio_map *map);

/*
 * Turns that others take, too: @done on the control worker, when the turn has
 * ended.  memory: takes @map.  reset: @has_driver, it is the driver's.  quiet:
 * touch no memory, as a PCI function that is no bus master.
 */
struct bus_order {
	struct bus_turn turn;
	pvio_done_fn *done;
	void *arg;
	struct pvio_map *map;
	bool has_driver, is_quiet;
};
void pvio_bus_set_memory(struct pvio_bus *bus, struct bus_order *order);
void pvio_bus_order_reset(struct pvio_bus *bus, struct bus_order *order);
void pvio_bus_order_quiet(struct pvio_bus *bus, struct bus_order *order);
/*
 * What the driver and we share: NULL, it is not in @map as one piece that is
 * aligned to @align and may be read and written.
 */
void *pvio_bus_find_shared(const struct pvio_map *map, uint64_t address,
			   uint64_t bytes, unsigned int align);
/* The same of an area; NULL @map: none is. */
struct pvio_signal_area *pvio_bus_find_area(const struct pvio_map *map,
					    const struct bus_place *place);
/* The part of a turn that a driver's RESET is; @then ends it. */
void pvio_bus_reset_all(struct pvio_bus *bus, bool has_driver,
			void (*then)(struct pvio_bus *bus));

/* --- slots.c ----------------------------------------------------------------- */

/* A number and signals for @device, COMING.  -ENOSPC. */
int pvio_bus_add(struct pvio_bus *bus, struct hypercall *device);
/* It is there, and its signals are its own; the driver is told. */
void pvio_bus_show(struct hypercall *device);
/* It is not there any more; the driver is told. */
void pvio_bus_hide(struct hypercall *device);
/* PRESENT, or LEAVING and not reset yet, or NULL. */
struct hypercall *pvio_bus_find(struct pvio_bus *bus, unsigned int number);
/* Have an event of @slot, and say so. */
void pvio_bus_tell(struct pvio_bus *bus, struct bus_slot *slot,
		   unsigned int event);
/* Take one, and whose it is; EVENT_NONE. */
unsigned int pvio_bus_take_event(struct pvio_bus *bus, unsigned int *number);
bool pvio_bus_has_event(const struct pvio_bus *bus);
void pvio_bus_forget_events(struct pvio_bus *bus);

/* --- bridge.c ------------------------------------------------------------------ */

/* Have a bridge, as @cfg says; vfu_create() has the errors. */
int pvio_bus_bridge_create(struct pvio_bus *bus, struct pvio_config *cfg);
void pvio_bus_bridge_destroy(struct bus_bridge *bridge); /* stopped, or NULL */
/* Take a client.  -EBUSY: a stop is under way; -errno. */
int pvio_bus_bridge_start(struct bus_bridge *bridge);
/* Let the client go.  Between turns, since it resets the bus. */
void pvio_bus_bridge_stop(struct bus_bridge *bridge, pvio_done_fn *done,
			  void *arg);
void pvio_bus_bridge_describe(const struct bus_bridge *bridge, char *text,
			      size_t size);

/* --- hypercall.c, unplug.c -------------------------------------------------------- */

/* NULL: it is on no bus. */
struct hypercall *pvio_hypercall_of(struct pvio_device *dev);
/* A reset is over: who asked for the device need not wait longer. */
void pvio_bus_was_reset(struct hypercall *device);

#endif
