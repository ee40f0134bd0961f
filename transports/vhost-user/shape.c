/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shape.c - the table of a front-end's messages
 */
#include "shape.h"

#include "core/virtio.h"

#include <errno.h>
#include <stdio.h>

#define SHAPE(request_, answer_, ...)                                      \
	[VU_##request_] = { VU_##request_, #request_, VU_ANSWER_##answer_, \
			    __VA_ARGS__ }
#define ANY           VU_NO_FEATURE
#define FEATURE(name) VU_PROTOCOL_##name

static const struct vu_shape shapes[VU_NR_REQUESTS] = {
	/* request, answer, payload bytes, fds, protocol feature */
	SHAPE(GET_FEATURES, U64, 0, 0, 0, 0, ANY),
	SHAPE(SET_FEATURES, ACK, 8, 8, 0, 0, ANY),
	SHAPE(SET_OWNER, ACK, 0, 0, 0, 0, ANY),
	SHAPE(RESET_OWNER, ACK, 0, 0, 0, 0, ANY),
	SHAPE(SET_MEM_TABLE, ACK, 8, 264, 0, 8, ANY),
	SHAPE(SET_LOG_BASE, LOG, 16, 16, 1, 1, FEATURE(LOG_SHMFD)),
	SHAPE(SET_LOG_FD, ACK, 0, 8, 1, 1, ANY),
	SHAPE(SET_VRING_NUM, ACK, 8, 8, 0, 0, ANY),
	SHAPE(SET_VRING_ADDR, ACK, 40, 40, 0, 0, ANY),
	SHAPE(SET_VRING_BASE, ACK, 8, 8, 0, 0, ANY),
	SHAPE(GET_VRING_BASE, STATE, 8, 8, 0, 0, ANY),
	SHAPE(SET_VRING_KICK, ACK, 8, 8, 0, 1, ANY),
	SHAPE(SET_VRING_CALL, ACK, 8, 8, 0, 1, ANY),
	SHAPE(SET_VRING_ERR, ACK, 8, 8, 0, 1, ANY),
	SHAPE(GET_PROTOCOL_FEATURES, U64, 0, 0, 0, 0, ANY),
	SHAPE(SET_PROTOCOL_FEATURES, ACK, 8, 8, 0, 0, ANY),
	SHAPE(GET_QUEUE_NUM, U64, 0, 0, 0, 0, ANY),
	SHAPE(SET_VRING_ENABLE, ACK, 8, 8, 0, 0, ANY),
	SHAPE(SEND_RARP, ACK, 8, 8, 0, 0, FEATURE(RARP)),
	SHAPE(NET_SET_MTU, ACK, 8, 8, 0, 0, FEATURE(NET_MTU)),
	SHAPE(SET_BACKEND_REQ_FD, ACK, 0, 0, 1, 1, FEATURE(BACKEND_REQ)),
	SHAPE(GET_CONFIG, CONFIG, 12, 268, 0, 0, FEATURE(CONFIG)),
	SHAPE(SET_CONFIG, ACK, 12, 268, 0, 0, FEATURE(CONFIG)),
	SHAPE(GET_INFLIGHT_FD, INFLIGHT, 20, 24, 0, 0, FEATURE(INFLIGHT_SHMFD)),
	SHAPE(SET_INFLIGHT_FD, ACK, 20, 24, 1, 1, FEATURE(INFLIGHT_SHMFD)),
	SHAPE(RESET_DEVICE, ACK, 0, 0, 0, 0, FEATURE(RESET_DEVICE)),
	SHAPE(VRING_KICK, ACK, 8, 8, 0, 0, FEATURE(INBAND_NOTIFICATIONS)),
	SHAPE(GET_MAX_MEM_SLOTS, U64, 0, 0, 0, 0, ANY),
	SHAPE(ADD_MEM_REG, ACK, 40, 40, 1, 1, FEATURE(CONFIGURE_MEM_SLOTS)),
	/* Old front-ends sent the region's fd along. */
	SHAPE(REM_MEM_REG, ACK, 40, 40, 0, 1, FEATURE(CONFIGURE_MEM_SLOTS)),
	SHAPE(SET_STATUS, ACK, 8, 8, 0, 0, FEATURE(STATUS)),
	SHAPE(GET_STATUS, U64, 0, 0, 0, 0, FEATURE(STATUS)),
};

const struct vu_shape *vu_shape_of(uint32_t request)
{
	if (request >= VU_NR_REQUESTS || !shapes[request].name)
		return NULL;
	return &shapes[request];
}

int vu_shape_check(const struct vu_shape *shape, const struct vu_message *msg,
		   uint64_t protocol_features, char *why, size_t size)
{
	if (shape->feature != VU_NO_FEATURE &&
	    !(protocol_features >> shape->feature & 1)) {
		snprintf(why, size, "its feature was not negotiated");
	} else if (msg->header.size < shape->min_size ||
		   msg->header.size > shape->max_size) {
		snprintf(why, size, "%u bytes of payload", msg->header.size);
	} else if (msg->fds.are_lost || msg->fds.nr < shape->min_fds ||
		   msg->fds.nr > shape->max_fds) {
		snprintf(why, size, "%u file descriptors%s", msg->fds.nr,
			 msg->fds.are_lost ? " and more" : "");
	} else {
		return 0;
	}
	return -EINVAL;
}

bool vu_config_is_legal(const struct vu_message *msg)
{
	const struct vu_config *c = &msg->config;

	return c->size > 0 &&
	       pvio_range_ok(c->offset, c->size, VU_CONFIG_MAX_BYTES) &&
	       msg->header.size == VU_CONFIG_HEADER_BYTES + c->size;
}

/* --- answers --------------------------------------------------------------- */

bool vu_is_answered(const struct vu_shape *shape, const struct vu_message *msg,
		    uint64_t protocol_features)
{
	enum vu_answer_kind answer = shape ? shape->answer : VU_ANSWER_ACK;

	if (answer == VU_ANSWER_LOG &&
	    protocol_features & PVIO_BIT(VU_PROTOCOL_LOG_SHMFD))
		return true;
	if (answer == VU_ANSWER_ACK || answer == VU_ANSWER_LOG)
		return protocol_features & PVIO_BIT(VU_PROTOCOL_REPLY_ACK) &&
		       msg->header.flags & VU_NEED_REPLY;
	return true;
}

size_t vu_refusal(const struct vu_shape *shape, const struct vu_message *msg,
		  union vu_refusal *payload)
{
	uint32_t index = msg->header.size == sizeof(msg->state)
				 ? msg->state.index
				 : 0;

	switch (shape ? shape->answer : VU_ANSWER_ACK) {
	case VU_ANSWER_STATE:
		payload->state = (struct vu_vring_state){ .index = index };
		return sizeof(payload->state);
	case VU_ANSWER_CONFIG:
		return 0;
	case VU_ANSWER_INFLIGHT:
		payload->inflight = (struct vu_inflight){ .mmap_size = 0 };
		return sizeof(payload->inflight);
	case VU_ANSWER_U64:
		payload->u64 = 0;
		return sizeof(payload->u64);
	case VU_ANSWER_LOG:
	case VU_ANSWER_ACK:
		break;
	}
	payload->u64 = 1;
	return sizeof(payload->u64);
}
