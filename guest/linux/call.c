// SPDX-License-Identifier: GPL-2.0-only
/*
 * call.c - a message to the device, and its answer (sections 2 and 3)
 *
 * There is one call block, and a mutex.  The device writes the block only
 * between the operation and state 2, so a call that was not answered in time
 * leaves the block, and the bus, unusable: pvio_bus_lost().
 */
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/string.h>

#include "pvio_bus.h"

#define CALL_TIMEOUT_US	 (10 * USEC_PER_SEC)
/* It waits for the I/O of all devices. */
#define RESET_TIMEOUT_US (120 * USEC_PER_SEC)
#define PAUSE_MIN_US	 10
#define PAUSE_MAX_US	 10000

static int call_error(u32 result)
{
	switch (result) {
	case PVIO_BUS_OK:
		return 0;
	case PVIO_BUS_UNKNOWN:
		return -EOPNOTSUPP;
	case PVIO_BUS_NO_DEVICE:
		return -ENODEV;
	case PVIO_BUS_BAD_VALUE:
		return -EINVAL;
	case PVIO_BUS_BAD_STATE:
		return -EBUSY;
	case PVIO_BUS_BAD_ADDRESS:
		return -EFAULT;
	case PVIO_BUS_NO_ROOM:
		return -ENOSPC;
	default:
		return -EPROTO;
	}
}

/* Barrier B: the answer is read after the state.  Pairs with the device's. */
static bool call_is_done(struct pvio_bus_call *call)
{
	return virt_load_acquire(&call->state) == PVIO_BUS_CALL_DONE;
}

/*
 * Time is what we have slept, not what a clock says: a machine that was stopped
 * for a while has not waited.
 */
static int call_wait(struct pvio_bus *bus, unsigned long limit_us)
{
	unsigned long pause = PAUSE_MIN_US, slept = 0;
	int rc;

	if (call_is_done(bus->block))
		return 0;
	if (bus->connector->settle) {
		rc = bus->connector->settle(bus);
		if (rc)
			return rc;
	}
	while (!call_is_done(bus->block)) {
		if (slept >= limit_us)
			return -ETIMEDOUT;
		usleep_range(pause, 2 * pause);
		slept += pause;
		pause = min_t(unsigned long, 2 * pause, PAUSE_MAX_US);
	}
	return 0;
}

/* The response is the device's word: checked before any of it is used. */
static int call_take(struct pvio_bus *bus, const struct pvio_bus_header *asked,
		     void *out, size_t out_bytes)
{
	struct pvio_bus_header header;

	memcpy(&header, bus->block->response, sizeof(header));
	if (header.type != (asked->type | PVIO_BUS_TYPE_RESPONSE) ||
	    header.id != asked->id || header.device != asked->device ||
	    header.token != asked->token ||
	    header.size < sizeof(header) + out_bytes ||
	    header.size > PVIO_BUS_MAX_MESSAGE) {
		dev_err_ratelimited(bus->dev, "message %02x: a bad answer\n",
				    asked->id);
		return -EPROTO;
	}
	memcpy(out, bus->block->response + sizeof(header), out_bytes);
	return 0;
}

static int call_locked(struct pvio_bus *bus, struct pvio_bus_header *header,
		       const void *in, size_t in_bytes, void *out,
		       size_t out_bytes)
{
	struct pvio_bus_call *call = bus->block;
	bool is_reset = header->type == PVIO_BUS_TYPE_BUS &&
			header->id == PVIO_BUS_RESET;
	int rc;

	if (bus->is_dead)
		return -EIO;
	header->token = ++bus->token;
	memcpy(call->request, header, sizeof(*header));
	memcpy(call->request + sizeof(*header), in, in_bytes);
	pvio_count(bus, calls);
	/* Barrier A: the request is there before the state says so. */
	virt_store_release(&call->state, PVIO_BUS_CALL_ISSUED);
	rc = bus->connector->call(bus, bus->block_address);
	if (!rc)
		rc = call_wait(bus, is_reset ? RESET_TIMEOUT_US :
					       CALL_TIMEOUT_US);
	if (rc) {
		dev_err(bus->dev, "message %02x: no answer (%d)\n", header->id,
			rc);
		pvio_bus_lost(bus, rc == -ENODEV);
		return -EIO;
	}
	rc = call_error(READ_ONCE(call->result));
	if (!rc)
		rc = call_take(bus, header, out, out_bytes);
	return rc;
}

/*
 * Make a call.  0, or -errno: -EIO without a bus, else by the result (section
 * 2).  @out is written on success only; an answer may be longer.  Sleeps.
 */
int pvio_call(struct pvio_bus *bus, u8 type, u8 message, u16 device,
	      const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
	struct pvio_bus_header header = {
		.type = type,
		.id = message,
		.device = device,
		.size = sizeof(header) + in_bytes,
	};
	int rc;

	if (WARN_ON(in_bytes > PVIO_BUS_MAX_MESSAGE - sizeof(header)))
		return -EINVAL;
	mutex_lock(&bus->call_lock);
	rc = call_locked(bus, &header, in, in_bytes, out, out_bytes);
	mutex_unlock(&bus->call_lock);
	return rc;
}

int pvio_call_bus(struct pvio_bus *bus, u8 message, const void *in,
		  size_t in_bytes, void *out, size_t out_bytes)
{
	return pvio_call(bus, PVIO_BUS_TYPE_BUS, message, 0, in, in_bytes, out,
			 out_bytes);
}

int pvio_route(struct pvio_bus *bus, struct pvio_bus_route_in *in,
	       struct pvio_bus_route_out *out)
{
	return pvio_call_bus(bus, PVIO_BUS_ROUTE, in, sizeof(*in), out,
			     sizeof(*out));
}
