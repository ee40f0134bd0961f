/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * protocol.h - vhost-user as it is on the wire
 *
 * A UNIX stream socket between a front-end (the VMM, for the driver) and a
 * back-end (the device).  Messages are a 12-byte header, a payload, and up to 8
 * file descriptors that travel with the first byte.  Host byte order.
 *
 *	0        4        8        12
 *	| request| flags  |  size  | payload ... |
 *
 * Numbers and layouts as published in QEMU's docs/interop/vhost-user.rst.
 */
#ifndef PVIO_VHOST_USER_PROTOCOL_H
#define PVIO_VHOST_USER_PROTOCOL_H

#include <assert.h>
#include <stdint.h>

#define VU_MAX_FDS	8
#define VU_VERSION	1U
#define VU_VERSION_MASK 3U
#define VU_REPLY	(1U << 2)
#define VU_NEED_REPLY	(1U << 3)

struct vu_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
};

enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_LOG_BASE = 6,
	VU_SET_LOG_FD = 7,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_SEND_RARP = 19,
	VU_NET_SET_MTU = 20,
	VU_SET_BACKEND_REQ_FD = 21,
	VU_IOTLB_MSG = 22,
	VU_SET_VRING_ENDIAN = 23,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
	VU_POSTCOPY_ADVISE = 28,
	VU_POSTCOPY_LISTEN = 29,
	VU_POSTCOPY_END = 30,
	VU_GET_INFLIGHT_FD = 31,
	VU_SET_INFLIGHT_FD = 32,
	VU_RESET_DEVICE = 34,
	VU_VRING_KICK = 35,
	VU_GET_MAX_MEM_SLOTS = 36,
	VU_ADD_MEM_REG = 37,
	VU_REM_MEM_REG = 38,
	VU_SET_STATUS = 39,
	VU_GET_STATUS = 40,
	VU_SET_DEVICE_STATE_FD = 42,
	VU_CHECK_DEVICE_STATE = 43,
};

/* On the back-end's own channel. */
enum vu_backend_request {
	VU_BACKEND_CONFIG_CHANGE = 2,
	VU_BACKEND_VRING_CALL = 4,
	VU_BACKEND_VRING_ERR = 5,
};

/* Feature bits of vhost-user among those of virtio. */
#define VU_F_LOG_ALL	       26
#define VU_F_PROTOCOL_FEATURES 30

enum vu_protocol_feature {
	VU_PROTOCOL_MQ = 0,
	VU_PROTOCOL_LOG_SHMFD = 1,
	VU_PROTOCOL_RARP = 2,
	VU_PROTOCOL_REPLY_ACK = 3,
	VU_PROTOCOL_NET_MTU = 4,
	VU_PROTOCOL_BACKEND_REQ = 5,
	VU_PROTOCOL_CONFIG = 9,
	VU_PROTOCOL_INFLIGHT_SHMFD = 12,
	VU_PROTOCOL_RESET_DEVICE = 13,
	VU_PROTOCOL_INBAND_NOTIFICATIONS = 14,
	VU_PROTOCOL_CONFIGURE_MEM_SLOTS = 15,
	VU_PROTOCOL_STATUS = 16,
};

struct vu_memory_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t uva; /* the front-end's address of it */
	uint64_t mmap_offset;
};

struct vu_memory_table {
	uint32_t nr;
	uint32_t padding;
	struct vu_memory_region region[VU_MAX_FDS];
};

struct vu_memory_single {
	uint64_t padding;
	struct vu_memory_region region;
};

struct vu_log {
	uint64_t size;
	uint64_t offset;
};

struct vu_vring_state {
	uint32_t index;
	uint32_t num;
};

#define VU_VRING_F_LOG (1U << 0)
struct vu_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc, used, avail; /* front-end's addresses */
	uint64_t log;		    /* guest-physical address of used */
};

/* SET_VRING_KICK, _CALL, _ERR */
#define VU_VRING_INDEX_MASK 0xffULL
#define VU_VRING_NO_FD	    (1ULL << 8)

#define VU_CONFIG_MAX_BYTES 256
enum vu_config_flags {
	VU_CONFIG_WRITABLE = 0,
	VU_CONFIG_MIGRATION = 1,
};
struct vu_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t data[VU_CONFIG_MAX_BYTES];
};
#define VU_CONFIG_HEADER_BYTES 12

struct vu_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t num_queues;
	uint16_t queue_size;
	/* The published layout ends here; most peers send the padding too. */
	uint32_t padding;
};
#define VU_INFLIGHT_BYTES 20

/* SET_VRING_BASE and GET_VRING_BASE of a packed ring. */
#define VU_PACKED_OFFSET	 0x7fffU
#define VU_PACKED_AVAIL_WRAP	 (1U << 15)
#define VU_PACKED_USED_SHIFT	 16
#define VU_PACKED_USED_WRAP	 (1U << 31)

static_assert(sizeof(struct vu_header) == 12, "wire layout");
static_assert(sizeof(struct vu_memory_table) == 264, "wire layout");
static_assert(sizeof(struct vu_memory_single) == 40, "wire layout");
static_assert(sizeof(struct vu_vring_addr) == 40, "wire layout");
static_assert(sizeof(struct vu_config) == 268, "wire layout");
static_assert(sizeof(struct vu_inflight) == 24, "wire layout");

#endif
