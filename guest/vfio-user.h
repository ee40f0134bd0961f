/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user.h - the client side of vfio-user, message by message
 *
 * Plays the VMM.  guest/device-vfio-user.c is made of these; hostile tests use
 * them to say what no client would.  Nothing here checks what it is told to
 * send.
 *
 * One thread, except guest_vfu_post(), which any may call, and the asking
 * calls, of which one is made at a time, whoever makes it.
 */
#ifndef PVIO_GUEST_VFIO_USER_H
#define PVIO_GUEST_VFIO_USER_H

#include "device.h"

#include "transports/vfio-user/protocol.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_VFU_MAX_FDS   16
#define GUEST_VFU_MAX_AREAS 8

struct guest_vfu {
	int fd; /* owned, or -1; non-blocking */
	struct pvio_worker *step; /* borrowed: stepped while waiting; or NULL */
	/* What the server said in VERSION, or what holds if it did not. */
	unsigned int max_fds;
	uint32_t max_xfer_bytes;
	uint16_t last_id;	   /* by send_lock */
	pthread_mutex_t send_lock; /* a message is sent whole; innermost */
	pthread_mutex_t ask_lock;  /* the answer is the asker's */
};

struct guest_vfu_reply {
	struct vfu_header header;
	size_t size; /* of the payload */
	union {
		struct vfu_version version;
		struct vfu_device_info device;
		struct vfu_region_info region;
		struct vfu_irq_info irq;
		struct vfu_region_access access;
		struct vfu_feature feature;
		struct vfu_dma_unmap unmap;
		uint8_t bytes[16384];
	};
	int fd[GUEST_VFU_MAX_FDS]; /* the caller's to close */
	unsigned int nr_fds;
};

/* Connect to the server at @path; nothing is said yet.  -errno. */
int guest_vfu_connect(struct guest_vfu *vfu, const char *path,
		      struct pvio_worker *step);
/* Use a socket that is connected.  Takes @fd. */
void guest_vfu_adopt(struct guest_vfu *vfu, int fd, struct pvio_worker *step);
/* Hang up.  What was connected, or has fd -1. */
void guest_vfu_close(struct guest_vfu *vfu);

/* Send any bytes, with any fds (borrowed), in one sendmsg.  -errno. */
int guest_vfu_send_bytes(struct guest_vfu *vfu, const void *bytes, size_t len,
			 const int *fds, unsigned int nr_fds);
/* Send a command with the next id; @flags besides the type. */
int guest_vfu_send(struct guest_vfu *vfu, uint16_t command, uint32_t flags,
		   const void *payload, size_t size, const int *fds,
		   unsigned int nr_fds);
/*
 * Receive one message.  -ETIMEDOUT, -EPIPE when the peer closed, -EPROTO when
 * its size is not that of any message.
 */
int guest_vfu_receive(struct guest_vfu *vfu, struct guest_vfu_reply *reply,
		      int timeout_ms);
void guest_vfu_close_fds(struct guest_vfu_reply *reply);

/*
 * Ask, and receive the answer to that: 0, the error that it carries as
 * -errno, or -EPROTO when it answers another.
 */
int guest_vfu_ask(struct guest_vfu *vfu, uint16_t command, const void *payload,
		  size_t size, const int *fds, unsigned int nr_fds,
		  struct guest_vfu_reply *reply);
/* The same for those that do not look at the answer; its fds are closed. */
int guest_vfu_tell(struct guest_vfu *vfu, uint16_t command,
		   const void *payload, size_t size, const int *fds,
		   unsigned int nr_fds);

/* --- commands ------------------------------------------------------------ */

/* What guest_vfu_version() proposes by itself: what QEMU does. */
extern const char guest_vfu_capabilities[];
/* @json: or NULL.  Sent with its NUL. */
int guest_vfu_version(struct guest_vfu *vfu, const char *json);
int guest_vfu_device_info(struct guest_vfu *vfu, struct vfu_device_info *info);

struct guest_vfu_region {
	uint64_t size;
	uint32_t flags;
	uint64_t offset; /* of its start in @fd */
	int fd;		 /* the caller's to close, or -1 */
	unsigned int nr_areas; /* that can be mapped; 0 with MAPPABLE: all */
	struct vfu_sparse_area area[GUEST_VFU_MAX_AREAS];
};
/* Asks again, with more room, if the answer has capabilities. */
int guest_vfu_region_info(struct guest_vfu *vfu, uint32_t index,
			  struct guest_vfu_region *region);
int guest_vfu_irq_info(struct guest_vfu *vfu, uint32_t index,
		       struct vfu_irq_info *info);
/* @flags: data and action; no data, or fds (borrowed). */
int guest_vfu_set_irqs(struct guest_vfu *vfu, uint32_t flags, uint32_t index,
		       uint32_t start, uint32_t count, const int *fds,
		       unsigned int nr_fds);

int guest_vfu_read(struct guest_vfu *vfu, uint32_t region, uint64_t offset,
		   void *buf, size_t len);
int guest_vfu_write(struct guest_vfu *vfu, uint32_t region, uint64_t offset,
		    const void *buf, size_t len);
/* Write, and do not wait for an answer: there is none. */
int guest_vfu_post(struct guest_vfu *vfu, uint32_t region, uint64_t offset,
		   const void *buf, size_t len);

/* @fd: -1: none; @offset: in it. */
int guest_vfu_dma_map(struct guest_vfu *vfu, uint32_t flags, uint64_t iova,
		      uint64_t size, int fd, uint64_t offset);
int guest_vfu_dma_unmap(struct guest_vfu *vfu, uint32_t flags, uint64_t iova,
			uint64_t size);
/* All of @mem, readable and writable. */
int guest_vfu_map_memory(struct guest_vfu *vfu, const struct guest_memory *mem);
int guest_vfu_reset(struct guest_vfu *vfu);

#endif
