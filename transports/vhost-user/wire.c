/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wire.c - framing of vhost-user messages, without blocking
 */
#include "wire.h"

#include <errno.h>
#include <string.h>

#define WIRE_HEADER_BYTES sizeof(struct vu_header)

void vu_wire_init(struct vu_wire *wire, int fd, struct pvio_closer *closer)
{
	memset(wire, 0, sizeof(*wire));
	pvio_stream_init(&wire->stream, fd, closer);
}

void vu_wire_next(struct vu_wire *wire)
{
	pvio_stream_close_fds(&wire->stream, &wire->message.fds);
	wire->got = 0;
}

void vu_wire_fini(struct vu_wire *wire)
{
	vu_wire_next(wire);
	pvio_stream_fini(&wire->stream);
}

bool vu_wire_is_partial(const struct vu_wire *wire)
{
	return wire->got > 0;
}

/* Receive up to @len bytes to @buf.  The count, 0 for not now, -errno. */
static ssize_t wire_recv(struct vu_wire *wire, void *buf, size_t len)
{
	ssize_t n = pvio_stream_receive(&wire->stream, buf, len,
					wire->got ? NULL : &wire->message.fds);

	if (n > 0)
		wire->got += (size_t)n;
	return n;
}

static bool wire_header_is_legal(const struct vu_header *header)
{
	return (header->flags & VU_VERSION_MASK) == VU_VERSION &&
	       !(header->flags & VU_REPLY) &&
	       header->size <= VU_MAX_PAYLOAD_BYTES;
}

int vu_wire_receive(struct vu_wire *wire)
{
	struct vu_message *msg = &wire->message;
	ssize_t n;

	while (wire->got < WIRE_HEADER_BYTES) {
		n = wire_recv(wire, (char *)&msg->header + wire->got,
			      WIRE_HEADER_BYTES - wire->got);
		if (n <= 0)
			return (int)n;
		if (wire->got == WIRE_HEADER_BYTES &&
		    !wire_header_is_legal(&msg->header))
			return -EPROTO;
	}
	while (wire->got < WIRE_HEADER_BYTES + msg->header.size) {
		n = wire_recv(wire,
			      msg->bytes + (wire->got - WIRE_HEADER_BYTES),
			      WIRE_HEADER_BYTES + msg->header.size - wire->got);
		if (n <= 0)
			return (int)n;
	}
	return 1;
}

int vu_wire_send(struct vu_wire *wire, const struct vu_header *header,
		 const void *payload, int fd)
{
	return pvio_stream_send(&wire->stream, header, sizeof(*header), payload,
				header->size, fd);
}
