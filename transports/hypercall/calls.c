/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * calls.c - call blocks: copied in, carried out, answered
 *
 * A block is guest memory, and another CPU of the guest may write it at any
 * time.  So the request is copied, once, and only the copy is looked at; the
 * answer is made in memory of ours and copied out, and the state is stored
 * last.  The map is held meanwhile: the block stays where it is even if the
 * memory is taken back before the answer.
 *
 * A block that cannot be read, or does not say that it was issued, gets no
 * answer: there is nowhere to put one.
 */
#include "calls.h"

#include "core/stats.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof(struct pvio_bus_call) == 8 + 2 * PVIO_BUS_MAX_MESSAGE,
	      "as docs/bus-abi.md has it");

/* --- the end ------------------------------------------------------------------- */

static void call_end(struct bus_call *call, struct pvio_bus *bus, int rc)
{
	pvio_done_fn *done = call->done;
	void *arg = call->arg;

	pvio_map_put(call->map);
	call->map = NULL;
	done(arg, rc); /* its thread may go on, and the call with it */
	pvio_bus_end_turn(bus);
}

static void call_answer(struct bus_call *call)
{
	const struct bus_message *m = &call->response;
	struct iovec iov = { call->block->response,
			     sizeof(call->block->response) };

	pvio_iov_put(&iov, 1, 0, &m->header, sizeof(m->header));
	pvio_iov_put(&iov, 1, sizeof(m->header), m->payload, m->bytes);
}

void pvio_bus_call_done(struct bus_call *call, enum pvio_bus_result result)
{
	struct pvio_bus *bus = call->bus;

	if (result == PVIO_BUS_OK)
		call_answer(call);
	else
		pvio_log_limited(&bus->log_limit, PVIO_LOG_WARNING,
				 "bus %s: message 0x%02x of device %u is "
				 "refused: result %d",
				 bus->name, call->request.header.id,
				 le16toh(call->request.header.device), result);
	pvio_guest_store(&call->block->result, htole32(result));
	/* Barrier C: the answer is there before the state says so. */
	pvio_guest_store_release(&call->block->state,
				 htole32(PVIO_BUS_CALL_DONE));
	call_end(call, bus, 0);
}

void *pvio_bus_response(struct bus_call *call, size_t bytes)
{
	struct bus_message *m = &call->response;

	m->header = call->request.header;
	m->header.type |= PVIO_BUS_TYPE_RESPONSE;
	m->header.size = htole16((uint16_t)(sizeof(m->header) + bytes));
	m->bytes = bytes;
	memset(m->payload, 0, bytes);
	return m->payload;
}

/* --- the beginning -------------------------------------------------------------- */

static void call_drop(struct bus_call *call, struct pvio_bus *bus,
		      const char *why)
{
	pvio_log_limited(&bus->log_limit, PVIO_LOG_WARNING,
			 "bus %s: call at 0x%llx is ignored: %s", bus->name,
			 (unsigned long long)call->address, why);
	call_end(call, bus, -EFAULT);
}

static int call_dispatch(struct pvio_bus *bus, struct bus_call *call)
{
	const struct pvio_bus_header *h = &call->request.header;
	size_t size = le16toh(h->size);

	if (size < sizeof(*h) || size > PVIO_BUS_MAX_MESSAGE ||
	    (h->type & ~PVIO_BUS_TYPE_BUS))
		return PVIO_BUS_MALFORMED;
	call->request.bytes = size - sizeof(*h);
	if (h->type & PVIO_BUS_TYPE_BUS)
		return pvio_bus_message(bus, call);
	call->device = pvio_bus_find(bus, le16toh(h->device));
	if (!call->device)
		return PVIO_BUS_NO_DEVICE;
	return pvio_bus_device_message(bus, call);
}

static void call_run(struct pvio_bus *bus, struct bus_turn *turn)
{
	struct bus_call *call = pvio_container_of(turn, struct bus_call, turn);
	int result;

	pvio_count(&bus->calls, 1);
	call->map = pvio_map_get(bus->map);
	if (bus->is_quiet) {
		call_drop(call, bus, "the bridge may not touch memory");
		return;
	}
	call->block = pvio_bus_find_shared(bus->map, call->address,
					   sizeof(*call->block),
					   PVIO_BUS_CALL_ALIGN);
	if (!call->block) {
		call_drop(call, bus, "it is not in memory");
		return;
	}
	/* Barrier C: the request is there when the state says so. */
	if (le32toh(pvio_guest_index_acquire(&call->block->state)) !=
	    PVIO_BUS_CALL_ISSUED) {
		call_drop(call, bus, "it was not issued");
		return;
	}
	pvio_memory_request_begin();
	pvio_guest_fetch(&call->request, call->block->request,
			 sizeof(call->block->request));
	pvio_bus_response(call, 0);
	result = call_dispatch(bus, call);
	if (result != BUS_LATER)
		pvio_bus_call_done(call, (enum pvio_bus_result)result);
}

void pvio_bus_call_begin(struct pvio_bus *bus, struct bus_call *call,
			 uint64_t address, pvio_done_fn *done, void *arg)
{
	*call = (struct bus_call){
		.turn.run = call_run,
		.bus = bus,
		.address = address,
		.done = done,
		.arg = arg,
	};
	pvio_bus_take_turn(bus, &call->turn);
}

/* --- which message ----------------------------------------------------------------- */

int pvio_bus_dispatch(struct pvio_bus *bus, struct bus_call *call,
		      const struct bus_row *rows, unsigned int nr)
{
	size_t bytes = call->request.bytes;
	const struct bus_row *row;

	for (row = rows; row < rows + nr; row++) {
		if (row->id != call->request.header.id)
			continue;
		if (row->is_open ? bytes < row->bytes : bytes != row->bytes)
			return PVIO_BUS_MALFORMED;
		return row->handle(bus, call);
	}
	return PVIO_BUS_UNKNOWN;
}
