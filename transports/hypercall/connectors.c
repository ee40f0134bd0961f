/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * connectors.c - how operations arrive from a VMM
 *
 *	window    registers, of memory or I/O ports   pvio_bus_read, _write
 *	MSR       three of them                       pvio_bus_msr_read, _write
 *	operation a hypercall with two arguments      pvio_bus_hypercall
 *
 * All are three operations in other clothes: probe, call, doorbell.  A call is
 * made on the control worker while the thread that brought it waits; a doorbell
 * is one write to an eventfd, here.
 */
#include "calls.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* --- operations --------------------------------------------------------------------- */

struct bus_thread_call {
	struct pvio_bus *bus;
	uint64_t address;
	struct bus_call call;
};

static void call_begin(void *arg, pvio_done_fn *done, void *done_arg)
{
	struct bus_thread_call *c = arg;

	pvio_bus_call_begin(c->bus, &c->call, c->address, done, done_arg);
}

uint64_t pvio_bus_hypercall(struct pvio_bus *bus, uint64_t op, uint64_t arg)
{
	struct bus_thread_call call;

	switch (op) {
	case PVIO_BUS_OP_PROBE:
		return PVIO_BUS_MAGIC | (uint64_t)PVIO_BUS_VERSION << 32;
	case PVIO_BUS_OP_CALL:
		call.bus = bus;
		call.address = arg;
		(void)pvio_bus_make(bus, call_begin, &call);
		return 0;
	case PVIO_BUS_OP_DOORBELL:
		return (uint64_t)(int64_t)pvio_bus_doorbell(bus, arg);
	default:
		return (uint64_t)(int64_t)-ENOSYS;
	}
}

/* --- model specific registers --------------------------------------------------------- */

bool pvio_bus_msr_read(struct pvio_bus *bus, unsigned int msr, uint64_t *value)
{
	if (msr != PVIO_BUS_MSR_PROBE)
		return false;
	*value = pvio_bus_hypercall(bus, PVIO_BUS_OP_PROBE, 0);
	return true;
}

/* An argument that makes no sense is no fault: it is ignored. */
bool pvio_bus_msr_write(struct pvio_bus *bus, unsigned int msr, uint64_t value)
{
	if (msr == PVIO_BUS_MSR_CALL)
		(void)pvio_bus_hypercall(bus, PVIO_BUS_OP_CALL, value);
	else if (msr == PVIO_BUS_MSR_DOORBELL)
		(void)pvio_bus_hypercall(bus, PVIO_BUS_OP_DOORBELL, value);
	return msr == PVIO_BUS_MSR_CALL || msr == PVIO_BUS_MSR_DOORBELL;
}

/* --- the window ------------------------------------------------------------------------ */

void pvio_bus_read(struct pvio_bus *bus, uint64_t offset, void *buf, size_t len)
{
	uint32_t value;

	(void)bus;
	memset(buf, 0xff, len);
	if (len != sizeof(value))
		return;
	if (offset == PVIO_BUS_REG_MAGIC)
		value = htole32(PVIO_BUS_MAGIC);
	else if (offset == PVIO_BUS_REG_VERSION)
		value = htole32(PVIO_BUS_VERSION);
	else
		return;
	memcpy(buf, &value, sizeof(value));
}

enum pvio_bus_op_kind
pvio_bus_decode(struct pvio_bus *bus, uint64_t offset, const void *buf,
		size_t len, uint64_t *arg)
{
	uint64_t value = 0;

	if (len != 4 && len != 8)
		return BUS_OP_NONE;
	memcpy(&value, buf, len);
	value = le64toh(value);
	if (offset == PVIO_BUS_REG_DOORBELL && len == 4) {
		*arg = value;
		return BUS_OP_DOORBELL;
	}
	if (offset == PVIO_BUS_REG_CALL && len == 8) {
		*arg = value;
		return BUS_OP_CALL;
	}
	if (offset == PVIO_BUS_REG_CALL) {
		pvio_store_once(&bus->call_low, (uint32_t)value);
	} else if (offset == PVIO_BUS_REG_CALL + 4 && len == 4) {
		*arg = value << 32 | pvio_load_once(&bus->call_low);
		return BUS_OP_CALL;
	}
	return BUS_OP_NONE;
}

void pvio_bus_write(struct pvio_bus *bus, uint64_t offset, const void *buf,
		    size_t len)
{
	uint64_t arg;

	switch (pvio_bus_decode(bus, offset, buf, len, &arg)) {
	case BUS_OP_CALL:
		(void)pvio_bus_hypercall(bus, PVIO_BUS_OP_CALL, arg);
		break;
	case BUS_OP_DOORBELL:
		(void)pvio_bus_doorbell(bus, arg);
		break;
	case BUS_OP_NONE:
		break;
	}
}
