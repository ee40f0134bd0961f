/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.c - what a driver may ask of a device: virtio-msg
 *
 * The rules are those of the registers that PCI and MMIO have, and so is the
 * code behind them (transports/registers).  A message says all of what they say
 * in many accesses, so a queue is set as a whole, or not at all.
 *
 * No message waits for I/O.  What a reset has to wait for goes on behind the
 * answer, and the driver reads the status until it is over.
 */
#include "calls.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define DEVICE_VENDOR  0x4f495650 /* "PVIO" */
#define ANY_GENERATION 0xffffffff

/* --- what it is ------------------------------------------------------------------- */

static int device_info(struct pvio_bus *bus, struct bus_call *call)
{
	struct pvio_bus_device_info_out *out =
		pvio_bus_response(call, sizeof(*out));
	struct pvio_device *dev = call->device->dev;

	(void)bus;
	out->device_id = htole32(pvio_device_id(dev));
	out->vendor_id = htole32(DEVICE_VENDOR);
	out->nr_feature_blocks = htole32(PVIO_BUS_FEATURE_BLOCKS);
	out->config_size = htole32((uint32_t)pvio_device_config_size(dev));
	out->nr_queues = htole32(pvio_device_nr_queues(dev));
	return PVIO_BUS_OK;
}

/* --- features --------------------------------------------------------------------- */

/* Blocks that there are, at least one. */
static bool features_ok(const struct pvio_bus_features *f)
{
	uint32_t block = le32toh(f->block), nr = le32toh(f->nr_blocks);

	return nr > 0 && pvio_range_ok(block, nr, PVIO_BUS_FEATURE_BLOCKS);
}

static int device_get_features(struct pvio_bus *bus, struct bus_call *call)
{
	struct pvio_registers *regs = &call->device->regs;
	struct pvio_bus_features in, *out;
	uint32_t i, block, nr;

	(void)bus;
	memcpy(&in, call->request.payload, call->request.bytes);
	if (!features_ok(&in))
		return PVIO_BUS_BAD_VALUE;
	block = le32toh(in.block);
	nr = le32toh(in.nr_blocks);
	out = pvio_bus_response(call, offsetof(struct pvio_bus_features, bits) +
					      nr * sizeof(uint32_t));
	out->block = in.block;
	out->nr_blocks = in.nr_blocks;
	for (i = 0; i < nr; i++) {
		regs->device_select = block + i;
		out->bits[i] = htole32(pvio_registers_device_features(regs));
	}
	return PVIO_BUS_OK;
}

static int device_set_features(struct pvio_bus *bus, struct bus_call *call)
{
	const size_t head = offsetof(struct pvio_bus_features, bits);
	struct pvio_registers *regs = &call->device->regs;
	struct pvio_bus_features in;
	uint32_t i;

	(void)bus;
	memcpy(&in, call->request.payload, head);
	if (le32toh(in.nr_blocks) >
		    (sizeof(call->request.payload) - head) / sizeof(uint32_t) ||
	    call->request.bytes !=
		    head + le32toh(in.nr_blocks) * sizeof(uint32_t))
		return PVIO_BUS_MALFORMED;
	if (!features_ok(&in))
		return PVIO_BUS_BAD_VALUE;
	if (pvio_registers_status(regs) & VIRTIO_CONFIG_S_FEATURES_OK)
		return PVIO_BUS_BAD_STATE;
	memcpy(&in, call->request.payload, call->request.bytes);
	for (i = 0; i < le32toh(in.nr_blocks); i++) {
		regs->driver_select = le32toh(in.block) + i;
		pvio_registers_set_driver_features(regs, le32toh(in.bits[i]));
	}
	return PVIO_BUS_OK;
}

/* --- configuration ------------------------------------------------------------------ */

static int config_answer(struct bus_call *call, uint32_t offset, uint32_t len)
{
	struct pvio_bus_config *out =
		pvio_bus_response(call, sizeof(*out) + len);
	struct pvio_device *dev = call->device->dev;

	out->generation = htole32(pvio_device_config_changes(dev));
	out->offset = htole32(offset);
	out->length = htole32(len);
	pvio_device_read_config(dev, offset, out + 1, len);
	return PVIO_BUS_OK;
}

/* Bytes that there are, and that a message can hold. */
static bool config_ok(const struct bus_call *call, uint32_t offset,
		      uint32_t len)
{
	return len <= sizeof(call->response.payload) -
			      sizeof(struct pvio_bus_config) &&
	       pvio_range_ok(offset, len,
			     pvio_device_config_size(call->device->dev));
}

static int device_get_config(struct pvio_bus *bus, struct bus_call *call)
{
	struct pvio_bus_get_config_in in;

	(void)bus;
	memcpy(&in, call->request.payload, sizeof(in));
	if (!config_ok(call, le32toh(in.offset), le32toh(in.length)))
		return PVIO_BUS_BAD_VALUE;
	return config_answer(call, le32toh(in.offset), le32toh(in.length));
}

static int device_set_config(struct pvio_bus *bus, struct bus_call *call)
{
	struct pvio_device *dev = call->device->dev;
	uint32_t generation, offset, len;
	struct pvio_bus_config in;

	(void)bus;
	memcpy(&in, call->request.payload, sizeof(in));
	generation = le32toh(in.generation);
	offset = le32toh(in.offset);
	len = le32toh(in.length);
	if (call->request.bytes - sizeof(in) != len)
		return PVIO_BUS_MALFORMED;
	if (!config_ok(call, offset, len))
		return PVIO_BUS_BAD_VALUE;
	if (generation != ANY_GENERATION &&
	    generation != pvio_device_config_changes(dev))
		return PVIO_BUS_BAD_STATE;
	if (pvio_device_write_config(dev, offset,
				     call->request.payload + sizeof(in),
				     len) < 0)
		return PVIO_BUS_BAD_VALUE;
	return config_answer(call, offset, len);
}

/* --- status ------------------------------------------------------------------------- */

static int status_answer(struct bus_call *call)
{
	struct pvio_bus_status *out = pvio_bus_response(call, sizeof(*out));

	out->status = htole32(pvio_registers_status(&call->device->regs));
	return PVIO_BUS_OK;
}

static int device_get_status(struct pvio_bus *bus, struct bus_call *call)
{
	(void)bus;
	return status_answer(call);
}

static void status_is_set(void *arg, int rc)
{
	struct bus_call *call = arg;

	(void)rc;
	pvio_bus_call_done(call, (enum pvio_bus_result)status_answer(call));
}

static void status_goes_on(void *arg, int rc)
{
	(void)arg;
	(void)rc;
}

static int device_set_status(struct pvio_bus *bus, struct bus_call *call)
{
	struct pvio_registers *regs = &call->device->regs;
	struct pvio_bus_status in;
	uint32_t status;

	(void)bus;
	memcpy(&in, call->request.payload, sizeof(in));
	status = le32toh(in.status);
	if (status > UINT8_MAX)
		return PVIO_BUS_BAD_VALUE;
	/*
	 * What these two wait for is I/O: see above.  A reset has few places for
	 * those who want to hear of its end, which are not the driver's to fill.
	 */
	if (status == 0) {
		pvio_registers_reset(regs, NULL, NULL);
		return status_answer(call);
	}
	if (status & VIRTIO_CONFIG_S_SUSPEND) {
		pvio_registers_set_status(regs, (uint8_t)status, status_goes_on,
					  NULL);
		return status_answer(call);
	}
	pvio_registers_set_status(regs, (uint8_t)status, status_is_set, call);
	return BUS_LATER;
}

/* --- queues ------------------------------------------------------------------------ */

static struct pvio_register_queue *call_queue(struct bus_call *call,
					      uint32_t index)
{
	struct pvio_registers *regs = &call->device->regs;

	return index < regs->nr_queues ? &regs->queue[index] : NULL;
}

static int device_get_queue(struct pvio_bus *bus, struct bus_call *call)
{
	struct pvio_register_queue *queue;
	struct pvio_bus_queue_index in;
	struct pvio_bus_queue_out *out;

	(void)bus;
	memcpy(&in, call->request.payload, sizeof(in));
	queue = call_queue(call, le32toh(in.index));
	if (!queue)
		return PVIO_BUS_BAD_VALUE;
	out = pvio_bus_response(call, sizeof(*out));
	out->index = in.index;
	out->max_size = htole32(pvio_device_queue_size(call->device->dev));
	out->size = htole32(queue->size);
	if (pvio_register_queue_is_enabled(queue))
		out->flags = htole32(PVIO_BUS_QUEUE_ENABLED);
	out->desc = htole64(queue->desc);
	out->driver = htole64(queue->driver);
	out->device = htole64(queue->device);
	return PVIO_BUS_OK;
}

static void queue_set_address(struct pvio_register_queue *queue,
			      enum pvio_register_address which, uint64_t value)
{
	pvio_register_queue_set_address(queue, which, 0, (uint32_t)value);
	pvio_register_queue_set_address(queue, which, 1,
					(uint32_t)(value >> 32));
}

static void queue_put_back(struct bus_call *call, uint32_t index)
{
	struct pvio_register_queue *queue = call_queue(call, index);

	queue->size = call->was.size;
	queue->desc = call->was.desc;
	queue->driver = call->was.driver;
	queue->device = call->was.device;
}

static void queue_is_enabled(void *arg, int rc)
{
	enum pvio_bus_result result = PVIO_BUS_OK;
	struct pvio_bus_set_queue_in in;
	struct bus_call *call = arg;

	if (rc < 0) {
		memcpy(&in, call->request.payload, sizeof(in));
		queue_put_back(call, le32toh(in.index));
		result = rc == -ENOMEM ? PVIO_BUS_NO_ROOM
			 : rc == -ECANCELED ? PVIO_BUS_BAD_STATE
					    : PVIO_BUS_BAD_ADDRESS;
	}
	pvio_bus_call_done(call, result);
}

static int device_set_queue(struct pvio_bus *bus, struct bus_call *call)
{
	const uint8_t features_ok = VIRTIO_CONFIG_S_FEATURES_OK;
	struct pvio_register_queue *queue;
	struct pvio_bus_set_queue_in in;
	uint32_t flags, state, size;

	(void)bus;
	memcpy(&in, call->request.payload, sizeof(in));
	flags = le32toh(in.flags);
	state = flags & PVIO_BUS_QUEUE_STATE;
	queue = call_queue(call, le32toh(in.index));
	if (!queue || in.reserved || state == PVIO_BUS_QUEUE_STATE ||
	    flags >> 6)
		return PVIO_BUS_BAD_VALUE;
	if (queue->state != PVIO_REGISTER_QUEUE_OFF ||
	    (state == PVIO_BUS_QUEUE_ENABLE &&
	     (call->device->regs.is_resetting ||
	      !(pvio_registers_status(&call->device->regs) & features_ok))))
		return PVIO_BUS_BAD_STATE;
	size = le32toh(in.size);
	if (!(flags & PVIO_BUS_QUEUE_KEEP_SIZE) && size > UINT16_MAX)
		return PVIO_BUS_BAD_VALUE;

	call->was = *queue;
	if (!(flags & PVIO_BUS_QUEUE_KEEP_SIZE))
		pvio_register_queue_set_size(queue, (uint16_t)size);
	if (!(flags & PVIO_BUS_QUEUE_KEEP_DESC))
		queue_set_address(queue, PVIO_REGISTER_DESC,
				  le64toh(in.desc));
	if (!(flags & PVIO_BUS_QUEUE_KEEP_DRIVER))
		queue_set_address(queue, PVIO_REGISTER_DRIVER,
				  le64toh(in.driver));
	if (!(flags & PVIO_BUS_QUEUE_KEEP_DEVICE))
		queue_set_address(queue, PVIO_REGISTER_DEVICE,
				  le64toh(in.device));
	if (pvio_register_queue_size(queue) == 0) {
		queue_put_back(call, le32toh(in.index));
		return PVIO_BUS_BAD_VALUE;
	}
	if (state != PVIO_BUS_QUEUE_ENABLE)
		return PVIO_BUS_OK;
	pvio_register_queue_enable(queue, queue_is_enabled, call);
	return BUS_LATER;
}

static int device_reset_queue(struct pvio_bus *bus, struct bus_call *call)
{
	struct pvio_register_queue *queue;
	struct pvio_bus_queue_index in;

	(void)bus;
	memcpy(&in, call->request.payload, sizeof(in));
	queue = call_queue(call, le32toh(in.index));
	if (!queue)
		return PVIO_BUS_BAD_VALUE;
	if (queue->state != PVIO_REGISTER_QUEUE_ON ||
	    call->device->regs.is_resetting ||
	    !pvio_device_has_feature(call->device->dev, VIRTIO_F_RING_RESET))
		return PVIO_BUS_BAD_STATE;
	pvio_register_queue_reset(queue, NULL, NULL);
	return PVIO_BUS_OK;
}

/* --- shared memory ------------------------------------------------------------------ */

/* None of our devices has any. */
static int device_get_shm(struct pvio_bus *bus, struct bus_call *call)
{
	(void)bus;
	(void)call;
	return PVIO_BUS_BAD_VALUE;
}

/* --- the table --------------------------------------------------------------------- */

static const struct bus_row device_rows[] = {
	{ PVIO_BUS_GET_DEVICE_INFO, false, 0, "GET_DEVICE_INFO", device_info },
	{ PVIO_BUS_GET_DEVICE_FEATURES, false,
	  offsetof(struct pvio_bus_features, bits), "GET_DEVICE_FEATURES",
	  device_get_features },
	{ PVIO_BUS_SET_DRIVER_FEATURES, true,
	  offsetof(struct pvio_bus_features, bits), "SET_DRIVER_FEATURES",
	  device_set_features },
	{ PVIO_BUS_GET_CONFIG, false, sizeof(struct pvio_bus_get_config_in),
	  "GET_CONFIG", device_get_config },
	{ PVIO_BUS_SET_CONFIG, true, sizeof(struct pvio_bus_config),
	  "SET_CONFIG", device_set_config },
	{ PVIO_BUS_GET_DEVICE_STATUS, false, 0, "GET_DEVICE_STATUS",
	  device_get_status },
	{ PVIO_BUS_SET_DEVICE_STATUS, false, sizeof(struct pvio_bus_status),
	  "SET_DEVICE_STATUS", device_set_status },
	{ PVIO_BUS_GET_VQUEUE, false, sizeof(struct pvio_bus_queue_index),
	  "GET_VQUEUE", device_get_queue },
	{ PVIO_BUS_SET_VQUEUE, false, sizeof(struct pvio_bus_set_queue_in),
	  "SET_VQUEUE", device_set_queue },
	{ PVIO_BUS_RESET_VQUEUE, false, sizeof(struct pvio_bus_queue_index),
	  "RESET_VQUEUE", device_reset_queue },
	{ PVIO_BUS_GET_SHM, false, sizeof(struct pvio_bus_queue_index),
	  "GET_SHM", device_get_shm },
};

int pvio_bus_device_message(struct pvio_bus *bus, struct bus_call *call)
{
	return pvio_bus_dispatch(bus, call, device_rows,
				 sizeof(device_rows) / sizeof(*device_rows));
}
