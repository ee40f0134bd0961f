/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user.h - the front-end side of vhost-user, message by message
 *
 * guest/device-vhost-user.c is made of these; hostile tests use them to say
 * what no front-end would.  Nothing here checks what it is told to send.
 */
#ifndef PVIO_GUEST_VHOST_USER_H
#define PVIO_GUEST_VHOST_USER_H

#include "device.h"

#include "transports/vhost-user/protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_vu {
	int fd;			  /* owned, or -1; non-blocking */
	bool has_reply_ack;	  /* the feature was negotiated */
	struct pvio_worker *step; /* borrowed: stepped while waiting; or NULL */
};

struct guest_vu_reply {
	struct vu_header header;
	union {
		uint64_t u64;
		struct vu_vring_state state;
		struct vu_config config;
		struct vu_inflight inflight;
		uint8_t bytes[512];
	};
	int fd; /* the caller's to close, or -1 */
};

/* Connect to the back-end at @path.  -errno. */
int guest_vu_connect(struct guest_vu *vu, const char *path,
		     struct pvio_worker *step);
/* Use a socket that is connected.  Takes @fd. */
void guest_vu_adopt(struct guest_vu *vu, int fd, struct pvio_worker *step);
void guest_vu_close(struct guest_vu *vu);

/*
 * Send any bytes, with any fds (borrowed), in one sendmsg.  -errno, -ETIMEDOUT
 * when the peer takes no more for too long.
 */
int guest_vu_send_bytes(struct guest_vu *vu, const void *bytes, size_t len,
			const int *fds, unsigned int nr_fds);
/* Send a message; @flags besides the version. */
int guest_vu_send(struct guest_vu *vu, uint32_t request, uint32_t flags,
		  const void *payload, size_t size, const int *fds,
		  unsigned int nr_fds);
/*
 * Receive one message.  -ETIMEDOUT, -EPIPE when the peer closed, -EPROTO when
 * it is longer than any reply.
 */
int guest_vu_receive(struct guest_vu *vu, struct guest_vu_reply *reply,
		     int timeout_ms);

/* Ask, and receive the answer to that.  -EPROTO when it answers another. */
int guest_vu_ask(struct guest_vu *vu, uint32_t request, const void *payload,
		 size_t size, struct guest_vu_reply *reply);
int guest_vu_ask_u64(struct guest_vu *vu, uint32_t request, uint64_t *value);

/*
 * Tell, and wait until it is done: -EREMOTEIO when the back-end refuses.
 * Without REPLY_ACK a question behind it makes sure that it was handled.
 */
int guest_vu_tell(struct guest_vu *vu, uint32_t request, const void *payload,
		  size_t size, const int *fds, unsigned int nr_fds);
int guest_vu_tell_u64(struct guest_vu *vu, uint32_t request, uint64_t value);
int guest_vu_tell_state(struct guest_vu *vu, uint32_t request, uint32_t index,
			uint32_t num);
/* SET_VRING_KICK, _CALL, _ERR; @fd borrowed, -1: the "no fd" flag. */
int guest_vu_tell_fd(struct guest_vu *vu, uint32_t request, uint32_t index,
		     int fd);
/* SET_MEM_TABLE of all of @mem. */
int guest_vu_tell_memory(struct guest_vu *vu, const struct guest_memory *mem);
/* One region of it, for ADD_MEM_REG and REM_MEM_REG. */
void guest_vu_region(const struct guest_region *r,
		     struct vu_memory_region *wire);

/* --- the front-end under a guest_device ----------------------------------- */

struct guest_vu_options {
	struct pvio_worker *step; /* see struct guest_vu */
	unsigned int queues_per_unit; /* what GET_QUEUE_NUM counts; 0: 1 */
	bool in_band;	 /* notifications as messages, no eventfds */
	bool no_status;	 /* do not use the STATUS feature */
	bool no_inflight; /* do not track requests in flight */
	int fd;		 /* with path NULL: a connected socket; taken */
	/* Called when a device that was opened is closed, last of all. */
	void (*closed)(void *arg);
	void *closed_arg;
};

int guest_device_open_vhost_user_with(const char *path,
				      struct guest_memory *mem,
				      const struct guest_vu_options *options,
				      struct guest_device **gd);
/* Its connection, to say something out of order. */
struct guest_vu *guest_device_vu(struct guest_device *gd);
/*
 * The back-end died and another one listens at @path: connect, negotiate the
 * same features, hand over memory, in-flight region and rings, and run on.
 */
int guest_device_reconnect(struct guest_device *gd, const char *path);
/* Let the connection go without a word, as a front-end that is killed. */
void guest_device_disconnect(struct guest_device *gd);

#endif
