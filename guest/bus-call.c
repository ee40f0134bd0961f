/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus-call.c - the calls of the hypercall bus (docs/bus-abi.md, 2 and 3)
 *
 * One block, by a mutex.  What comes back is not trusted: a response that does
 * not answer the request is -EPROTO.
 */
#include "bus.h"

#include "core/barrier.h"
#include "core/util.h"
#include "core/worker.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#define HEADER sizeof(struct pvio_bus_header)

/* --- one call -------------------------------------------------------------- */

static bool step_worker(struct guest_bus *gb)
{
	return gb->step && pvio_worker_is_mine(gb->step) &&
	       pvio_worker_step(gb->step);
}

/* Issue what is in the block.  By call_lock. */
static int block_issue(struct guest_bus *gb)
{
	uint64_t end = pvio_now_ns() + gb->patience_ms * 1000000ULL;
	struct pvio_bus_call *block = gb->block;

	block->result = htole32(0xffffffff);
	/*
	 * Barrier V: the request is there before the state that issues it.
	 * Pairs with the device's look at the state.
	 */
	pvio_store_release(&block->state, htole32(PVIO_BUS_CALL_ISSUED));
	__atomic_fetch_add(&gb->count.calls, 1, __ATOMIC_RELAXED);
	guest_bus_operate(gb, gb->block_gpa);
	/* Where the operation does not wait for the call, this does. */
	(void)gb->connector->probe(gb->arg);
	/*
	 * Barrier W: the response is read after the state that completes it.
	 * Pairs with the device's store of it, last of all.
	 */
	while (pvio_load_acquire(&block->state) !=
	       htole32(PVIO_BUS_CALL_DONE)) {
		if (pvio_now_ns() >= end)
			return -ETIMEDOUT;
		if (!step_worker(gb))
			poll(NULL, 0, 1);
	}
	return (int)le32toh(pvio_load_once(&block->result));
}

int guest_bus_call_raw(struct guest_bus *gb, const void *bytes, size_t len,
		       uint8_t *response)
{
	struct pvio_bus_call *block = gb->block;
	int rc;

	pthread_mutex_lock(&gb->call_lock);
	memset(block->request, 0, sizeof(block->request));
	memcpy(block->request, bytes, pvio_min(len, sizeof(block->request)));
	memset(block->response, 0, sizeof(block->response));
	rc = block_issue(gb);
	if (response)
		memcpy(response, block->response, sizeof(block->response));
	pthread_mutex_unlock(&gb->call_lock);
	return rc;
}

int guest_bus_call(struct guest_bus *gb, uint8_t id, uint16_t device,
		   const void *in, size_t in_len, void *out, size_t out_len)
{
	const bool is_bus = device == PVIO_BUS_THE_BUS;
	uint8_t request[PVIO_BUS_MAX_MESSAGE], response[PVIO_BUS_MAX_MESSAGE];
	struct pvio_bus_header header = {
		.type = is_bus ? PVIO_BUS_TYPE_BUS : 0,
		.id = id,
		.device = htole16(is_bus ? 0 : device),
		.size = htole16((uint16_t)(HEADER + in_len)),
	};
	int rc;

	if (in_len > sizeof(request) - HEADER ||
	    out_len > sizeof(response) - HEADER)
		return -EINVAL;
	header.token = __atomic_add_fetch(&gb->token, 1, __ATOMIC_RELAXED);
	memcpy(request, &header, HEADER);
	if (in_len)
		memcpy(request + HEADER, in, in_len);
	rc = guest_bus_call_raw(gb, request, HEADER + in_len, response);
	if (rc != PVIO_BUS_OK)
		return rc;
	header.type |= PVIO_BUS_TYPE_RESPONSE;
	header.size = htole16((uint16_t)(HEADER + out_len));
	if (memcmp(response, &header, HEADER) != 0)
		return -EPROTO;
	if (out_len)
		memcpy(out, response + HEADER, out_len);
	return 0;
}

int guest_bus_error(int result)
{
	static const int errors[] = {
		[PVIO_BUS_OK] = 0,
		[PVIO_BUS_MALFORMED] = -EBADMSG,
		[PVIO_BUS_UNKNOWN] = -ENOSYS,
		[PVIO_BUS_NO_DEVICE] = -ENODEV,
		[PVIO_BUS_BAD_VALUE] = -EINVAL,
		[PVIO_BUS_BAD_STATE] = -EBUSY,
		[PVIO_BUS_BAD_ADDRESS] = -EFAULT,
		[PVIO_BUS_NO_ROOM] = -ENOSPC,
	};

	if (result < 0)
		return result;
	return (size_t)result < pvio_array_size(errors) ? errors[result]
							: -EPROTO;
}

/* --- messages to the bus --------------------------------------------------- */

int guest_bus_info(struct guest_bus *gb, struct pvio_bus_info_out *out)
{
	struct pvio_bus_info_out le;
	int rc;

	rc = guest_bus_call(gb, PVIO_BUS_INFO, PVIO_BUS_THE_BUS, NULL, 0, &le,
			    sizeof(le));
	if (rc != 0)
		return rc;
	out->magic = le32toh(le.magic);
	out->version = le32toh(le.version);
	out->max_message = le32toh(le.max_message);
	out->nr_kick_queues = le32toh(le.nr_kick_queues);
	out->nr_notify_queues = le32toh(le.nr_notify_queues);
	out->nr_signals = le32toh(le.nr_signals);
	out->max_devices = le32toh(le.max_devices);
	out->reserved = le32toh(le.reserved);
	return 0;
}

int guest_bus_reset(struct guest_bus *gb)
{
	return guest_bus_call(gb, PVIO_BUS_RESET, PVIO_BUS_THE_BUS, NULL, 0,
			      NULL, 0);
}

int guest_bus_ping(struct guest_bus *gb, uint32_t data, uint32_t *back)
{
	struct pvio_bus_ping le = { htole32(data) };
	int rc;

	rc = guest_bus_call(gb, PVIO_BUS_PING, PVIO_BUS_THE_BUS, &le,
			    sizeof(le), &le, sizeof(le));
	*back = le32toh(le.data);
	return rc;
}

int guest_bus_set_area(struct guest_bus *gb, uint32_t direction, uint32_t index,
		       uint64_t gpa, uint32_t nr_words)
{
	const struct pvio_bus_set_area_in in = {
		.direction = htole32(direction),
		.index = htole32(index),
		.address = htole64(gpa),
		.nr_words = htole32(nr_words),
	};

	return guest_bus_call(gb, PVIO_BUS_SET_AREA, PVIO_BUS_THE_BUS, &in,
			      sizeof(in), NULL, 0);
}

int guest_bus_route(struct guest_bus *gb, const struct pvio_bus_route_in *in,
		    struct pvio_bus_route_out *out)
{
	struct pvio_bus_route_in le = {
		.device = htole16(in->device),
		.mode = in->mode,
		.level = in->level,
		.queue = htole32(in->queue),
		.notify_queue = htole32(in->notify_queue),
	};
	struct pvio_bus_route_out back;
	int rc;

	rc = guest_bus_call(gb, PVIO_BUS_ROUTE, PVIO_BUS_THE_BUS, &le,
			    sizeof(le), &back, sizeof(back));
	if (rc != 0)
		return rc;
	out->signal = le32toh(back.signal);
	out->kick_queue = le32toh(back.kick_queue);
	return 0;
}

int guest_bus_get_event(struct guest_bus *gb, struct pvio_bus_event_out *out)
{
	struct pvio_bus_event_out le;
	int rc;

	rc = guest_bus_call(gb, PVIO_BUS_GET_EVENT, PVIO_BUS_THE_BUS, NULL, 0,
			    &le, sizeof(le));
	if (rc != 0)
		return rc;
	out->device = le16toh(le.device);
	out->event = le16toh(le.event);
	return 0;
}

int guest_bus_get_devices(struct guest_bus *gb, uint16_t offset, uint16_t count,
			  uint8_t *bits, uint16_t *next)
{
	const struct pvio_bus_get_devices_in in = {
		.offset = htole16(offset),
		.count = htole16(count),
	};
	uint8_t out[PVIO_BUS_MAX_MESSAGE];
	struct pvio_bus_get_devices_out head;
	size_t len = pvio_min((count + 7u) / 8,
			      sizeof(out) - HEADER - sizeof(head));
	int rc;

	rc = guest_bus_call(gb, PVIO_BUS_GET_DEVICES, PVIO_BUS_THE_BUS, &in,
			    sizeof(in), out, sizeof(head) + len);
	if (rc != 0)
		return rc;
	memcpy(&head, out, sizeof(head));
	if (head.offset != in.offset || head.count != in.count)
		return -EPROTO;
	memcpy(bits, out + sizeof(head), len);
	*next = le16toh(head.next);
	return 0;
}

/* --- messages to a device -------------------------------------------------- */

int guest_bus_device_info(struct guest_bus *gb, uint16_t device,
			  struct pvio_bus_device_info_out *out)
{
	struct pvio_bus_device_info_out le;
	int rc;

	rc = guest_bus_call(gb, PVIO_BUS_GET_DEVICE_INFO, device, NULL, 0, &le,
			    sizeof(le));
	if (rc != 0)
		return rc;
	*out = le;
	out->device_id = le32toh(le.device_id);
	out->vendor_id = le32toh(le.vendor_id);
	out->nr_feature_blocks = le32toh(le.nr_feature_blocks);
	out->config_size = le32toh(le.config_size);
	out->nr_queues = le32toh(le.nr_queues);
	out->admin_queue = le32toh(le.admin_queue);
	out->nr_admin_queues = le32toh(le.nr_admin_queues);
	return 0;
}

int guest_bus_get_features(struct guest_bus *gb, uint16_t device,
			   uint64_t bits[2])
{
	struct pvio_bus_features le = {
		.nr_blocks = htole32(PVIO_BUS_FEATURE_BLOCKS),
	};
	unsigned int i;
	int rc;

	rc = guest_bus_call(gb, PVIO_BUS_GET_DEVICE_FEATURES, device, &le, 8,
			    &le, sizeof(le));
	if (rc != 0)
		return rc;
	bits[0] = bits[1] = 0;
	for (i = 0; i < PVIO_BUS_FEATURE_BLOCKS; i++)
		bits[i / 2] |= (uint64_t)le32toh(le.bits[i]) << i % 2 * 32;
	return 0;
}

int guest_bus_set_features(struct guest_bus *gb, uint16_t device,
			   const uint64_t bits[2])
{
	struct pvio_bus_features le = {
		.nr_blocks = htole32(PVIO_BUS_FEATURE_BLOCKS),
	};
	unsigned int i;

	for (i = 0; i < PVIO_BUS_FEATURE_BLOCKS; i++)
		le.bits[i] = htole32((uint32_t)(bits[i / 2] >> i % 2 * 32));
	return guest_bus_call(gb, PVIO_BUS_SET_DRIVER_FEATURES, device, &le,
			      sizeof(le), NULL, 0);
}

/* Generation, offset, length, and then bytes: both ways. */
struct config_message {
	struct pvio_bus_config head;
	uint8_t bytes[GUEST_BUS_CONFIG_BYTES];
};

int guest_bus_get_config(struct guest_bus *gb, uint16_t device, uint32_t offset,
			 void *buf, uint32_t len, uint32_t *generation)
{
	const struct pvio_bus_get_config_in in = {
		.offset = htole32(offset),
		.length = htole32(len),
	};
	/* More than fits is asked for, but no answer is expected. */
	size_t room = pvio_min(len, GUEST_BUS_CONFIG_BYTES);
	struct config_message out;
	int rc;

	rc = guest_bus_call(gb, PVIO_BUS_GET_CONFIG, device, &in, sizeof(in),
			    &out, sizeof(out.head) + room);
	if (rc != 0)
		return rc;
	if (out.head.offset != in.offset || out.head.length != in.length)
		return -EPROTO;
	memcpy(buf, out.bytes, room);
	*generation = le32toh(out.head.generation);
	return 0;
}

int guest_bus_set_config(struct guest_bus *gb, uint16_t device, uint32_t offset,
			 const void *buf, uint32_t len, uint32_t *generation,
			 void *now)
{
	struct config_message in = {
		.head.generation = htole32(*generation),
		.head.offset = htole32(offset),
		.head.length = htole32(len),
	};
	struct config_message out;
	size_t bytes = sizeof(in.head) + len;
	int rc;

	if (len > sizeof(in.bytes))
		return -EINVAL;
	memcpy(in.bytes, buf, len);
	rc = guest_bus_call(gb, PVIO_BUS_SET_CONFIG, device, &in, bytes, &out,
			    bytes);
	if (rc != 0)
		return rc;
	if (out.head.offset != in.head.offset ||
	    out.head.length != in.head.length)
		return -EPROTO;
	*generation = le32toh(out.head.generation);
	if (now)
		memcpy(now, out.bytes, len);
	return 0;
}

int guest_bus_get_status(struct guest_bus *gb, uint16_t device,
			 uint32_t *status)
{
	struct pvio_bus_status le;
	int rc;

	rc = guest_bus_call(gb, PVIO_BUS_GET_DEVICE_STATUS, device, NULL, 0,
			    &le, sizeof(le));
	if (rc == 0)
		*status = le32toh(le.status);
	return rc;
}

int guest_bus_set_status(struct guest_bus *gb, uint16_t device, uint32_t status,
			 uint32_t *now)
{
	struct pvio_bus_status le = { htole32(status) };
	int rc;

	rc = guest_bus_call(gb, PVIO_BUS_SET_DEVICE_STATUS, device, &le,
			    sizeof(le), &le, sizeof(le));
	if (rc == 0 && now)
		*now = le32toh(le.status);
	return rc;
}

int guest_bus_get_queue(struct guest_bus *gb, uint16_t device, uint32_t index,
			struct pvio_bus_queue_out *out)
{
	const struct pvio_bus_queue_index in = { htole32(index) };
	struct pvio_bus_queue_out le;
	int rc;

	rc = guest_bus_call(gb, PVIO_BUS_GET_VQUEUE, device, &in, sizeof(in),
			    &le, sizeof(le));
	if (rc != 0)
		return rc;
	out->index = le32toh(le.index);
	out->max_size = le32toh(le.max_size);
	out->size = le32toh(le.size);
	out->flags = le32toh(le.flags);
	out->desc = le64toh(le.desc);
	out->driver = le64toh(le.driver);
	out->device = le64toh(le.device);
	return out->index == index ? 0 : -EPROTO;
}

int guest_bus_set_queue(struct guest_bus *gb, uint16_t device,
			const struct pvio_bus_set_queue_in *in)
{
	const struct pvio_bus_set_queue_in le = {
		.index = htole32(in->index),
		.flags = htole32(in->flags),
		.size = htole32(in->size),
		.reserved = htole32(in->reserved),
		.desc = htole64(in->desc),
		.driver = htole64(in->driver),
		.device = htole64(in->device),
	};

	return guest_bus_call(gb, PVIO_BUS_SET_VQUEUE, device, &le, sizeof(le),
			      NULL, 0);
}

int guest_bus_reset_queue(struct guest_bus *gb, uint16_t device, uint32_t index)
{
	const struct pvio_bus_queue_index in = { htole32(index) };

	return guest_bus_call(gb, PVIO_BUS_RESET_VQUEUE, device, &in,
			      sizeof(in), NULL, 0);
}

int guest_bus_get_shm(struct guest_bus *gb, uint16_t device, uint32_t id,
		      struct pvio_bus_shm_out *out)
{
	const uint32_t in = htole32(id);
	struct pvio_bus_shm_out le;
	int rc;

	rc = guest_bus_call(gb, PVIO_BUS_GET_SHM, device, &in, sizeof(in), &le,
			    sizeof(le));
	if (rc != 0)
		return rc;
	out->id = le32toh(le.id);
	out->reserved = le32toh(le.reserved);
	out->length = le64toh(le.length);
	out->address = le64toh(le.address);
	return 0;
}
