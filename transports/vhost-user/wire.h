/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wire.h - framing of vhost-user messages, without blocking
 */
#ifndef PVIO_VHOST_USER_WIRE_H
#define PVIO_VHOST_USER_WIRE_H

#include "protocol.h"
#include "transports/stream/stream.h"

/*
 * No message is longer, known or not.  One that claims to be ends the
 * connection before its payload is read.
 */
#define VU_MAX_PAYLOAD_BYTES 4096

struct vu_message {
	struct vu_header header;
	union {
		uint64_t u64;
		struct vu_memory_table table;
		struct vu_memory_single single;
		struct vu_log log;
		struct vu_vring_state state;
		struct vu_vring_addr addr;
		struct vu_config config;
		struct vu_inflight inflight;
		uint8_t bytes[VU_MAX_PAYLOAD_BYTES];
	};
	struct pvio_fds fds;
};

struct vu_wire {
	struct pvio_stream stream;
	size_t got; /* bytes of the message under way */
	struct vu_message message;
};

/* Takes @fd; see pvio_stream_init(). */
void vu_wire_init(struct vu_wire *wire, int fd, struct pvio_closer *closer);
/* Closes everything, also what was received. */
void vu_wire_fini(struct vu_wire *wire);

/*
 * Go on receiving.  1: wire->message is complete and stays until
 * vu_wire_next(); 0: nothing more for the moment; -ENOTCONN: the peer closed;
 * -EPROTO: not vhost-user, or fds in the middle; or what recvmsg says.
 */
int vu_wire_receive(struct vu_wire *wire);
/* Done with the message: close the fds nobody took. */
void vu_wire_next(struct vu_wire *wire);
/* Is part of a message here? */
bool vu_wire_is_partial(const struct vu_wire *wire);

/*
 * Send a message, or queue what the socket does not take.  @fd (borrowed) goes
 * with it unless -1.  -ENOMEM, -EMFILE, or what sendmsg says.
 */
int vu_wire_send(struct vu_wire *wire, const struct vu_header *header,
		 const void *payload, int fd);

#endif
