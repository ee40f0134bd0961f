/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shape.h - what each message of a front-end may carry, and how it is answered
 *
 * Whoever takes messages from a front-end, a device or a relay, looks here
 * first: one that has no shape, or not its shape, never reaches a handler.
 */
#ifndef PVIO_VHOST_USER_SHAPE_H
#define PVIO_VHOST_USER_SHAPE_H

#include "wire.h"

enum vu_answer_kind {
	VU_ANSWER_ACK,      /* u64 0 or 1, if REPLY_ACK and need_reply say so */
	VU_ANSWER_U64,      /* always; refused: 0 */
	VU_ANSWER_LOG,      /* with LOG_SHMFD always, else as ACK */
	VU_ANSWER_STATE,    /* refused: position 0 */
	VU_ANSWER_CONFIG,   /* refused: no payload */
	VU_ANSWER_INFLIGHT, /* refused: size 0 */
};

struct vu_shape {
	uint32_t request;
	const char *name;
	enum vu_answer_kind answer;
	uint16_t min_size, max_size; /* payload bytes */
	uint8_t min_fds, max_fds;
	uint8_t feature; /* enum vu_protocol_feature, or VU_NO_FEATURE */
};

#define VU_NO_FEATURE  0xff
/* One more than the number of the last request that has a shape. */
#define VU_NR_REQUESTS (VU_GET_STATUS + 1)

/* NULL: there is no such message. */
const struct vu_shape *vu_shape_of(uint32_t request);

/*
 * Is @msg of @shape, and of a feature that was negotiated?  -EINVAL: no, and
 * @why, of @size bytes, says so.
 */
int vu_shape_check(const struct vu_shape *shape, const struct vu_message *msg,
		   uint64_t protocol_features, char *why, size_t size);

/* Does a configuration message have as many bytes as it says, in the space? */
bool vu_config_is_legal(const struct vu_message *msg);

/* Does the front-end wait for an answer?  @shape: NULL if there is none. */
bool vu_is_answered(const struct vu_shape *shape, const struct vu_message *msg,
		    uint64_t protocol_features);

/* The answer's payload when @msg is refused; its size in bytes. */
union vu_refusal {
	uint64_t u64;
	struct vu_vring_state state;
	struct vu_inflight inflight;
};
size_t vu_refusal(const struct vu_shape *shape, const struct vu_message *msg,
		  union vu_refusal *payload);

#endif
