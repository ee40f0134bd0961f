/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * calls.h - calls of a driver, and the messages in them
 *
 *	calls.c  -- dispatch: rows, by id and length --> messages.c, device.c
 *	    ^                                                  |
 *	    '--------------- a result, or later ---------------'
 */
#ifndef PVIO_HYPERCALL_CALLS_H
#define PVIO_HYPERCALL_CALLS_H

#include "hypercall.h"

/* A message of ours, where nobody else writes. */
struct bus_message {
	struct pvio_bus_header header;
	uint8_t payload[PVIO_BUS_MAX_MESSAGE - sizeof(struct pvio_bus_header)];
	size_t bytes; /* of the payload */
};

struct bus_call {
	struct bus_turn turn;
	struct pvio_bus *bus;
	uint64_t address;
	pvio_done_fn *done;
	void *arg;

	/* while it is its turn */
	struct pvio_map *map;	     /* reference */
	struct pvio_bus_call *block; /* in guest memory */
	struct bus_message request, response;
	struct hypercall *device; /* that it is for */
	struct pvio_register_queue was; /* SET_VQUEUE: before it */
};

/* --- calls.c, messages.c, device.c ---------------------------------------- */

#define BUS_LATER (-1) /* of handlers: pvio_bus_call_done() comes */

void pvio_bus_call_begin(struct pvio_bus *bus, struct bus_call *call,
			 uint64_t address, pvio_done_fn *done, void *arg);
void pvio_bus_call_done(struct bus_call *call, enum pvio_bus_result result);
/* Handlers: a result, or BUS_LATER. */
int pvio_bus_message(struct pvio_bus *bus, struct bus_call *call);
int pvio_bus_device_message(struct pvio_bus *bus, struct bus_call *call);
/* Room for the answer. */
void *pvio_bus_response(struct bus_call *call, size_t bytes);

/* A message that there is: rows of both tables. */
struct bus_row {
	uint8_t id;
	bool is_open; /* at least so long, and the handler looks */
	uint8_t bytes; /* of the payload */
	const char *name;
	int (*handle)(struct pvio_bus *bus, struct bus_call *call);
};
/* Find it, look at its size, call it. */
int pvio_bus_dispatch(struct pvio_bus *bus, struct bus_call *call,
		      const struct bus_row *rows, unsigned int nr);

/* --- connectors.c -------------------------------------------------------------- */

/* What a write to the window means; of CALL and DOORBELL, *arg is whose. */
enum pvio_bus_op_kind { BUS_OP_NONE, BUS_OP_CALL, BUS_OP_DOORBELL };
enum pvio_bus_op_kind
pvio_bus_decode(struct pvio_bus *bus, uint64_t offset, const void *buf,
		size_t len, uint64_t *arg);

#endif
