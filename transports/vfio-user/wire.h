/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wire.h - framing of vfio-user messages, without blocking
 */
#ifndef PVIO_VFIO_USER_WIRE_H
#define PVIO_VFIO_USER_WIRE_H

#include "protocol.h"
#include "transports/stream/stream.h"

/*
 * No message is longer, known or not: a transfer of the largest size that we
 * agree to, with what is in front of it.  One that claims to be ends the
 * connection before its payload is read.
 */
#define VFU_MAX_PAYLOAD_BYTES \
	(VFU_DEFAULT_MAX_XFER_BYTES + sizeof(struct vfu_region_access))
/* What most messages need; a longer one has a buffer of its own. */
#define VFU_SMALL_BYTES 4352

struct vfu_message {
	struct vfu_header header;
	size_t size;	     /* of the payload */
	uint8_t *payload;    /* small, or large */
	uint8_t *large;	     /* owned, or NULL */
	struct pvio_fds fds;
	union {
		uint64_t align;
		uint8_t small[VFU_SMALL_BYTES];
	};
};

struct vfu_wire {
	struct pvio_stream stream;
	size_t got; /* bytes of the message under way */
	struct vfu_message message;
};

/* Takes @fd; see pvio_stream_init(). */
void vfu_wire_init(struct vfu_wire *wire, int fd, struct pvio_closer *closer);
/* Closes everything, also what was received. */
void vfu_wire_fini(struct vfu_wire *wire);

/*
 * Go on receiving.  1: wire->message is complete and stays until
 * vfu_wire_next(); 0: nothing more for the moment; -ENOTCONN: the peer closed;
 * -EPROTO: not a command of vfio-user, or fds in the middle; -ENOMEM; or what
 * recvmsg says.
 */
int vfu_wire_receive(struct vfu_wire *wire);
/* Done with the message: close the fds nobody took. */
void vfu_wire_next(struct vfu_wire *wire);
/* Is part of a message here? */
bool vfu_wire_is_partial(const struct vfu_wire *wire);

/*
 * Send a message, or queue what the socket does not take.  @fd (borrowed) goes
 * with it unless -1.  -ENOMEM, -EMFILE, or what sendmsg says.
 */
int vfu_wire_send(struct vfu_wire *wire, const struct vfu_header *header,
		  const void *payload, size_t len, int fd);

#endif
