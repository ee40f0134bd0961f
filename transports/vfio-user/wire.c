/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wire.c - framing of vfio-user messages, without blocking
 *
 * We send no commands, so no reply is ever due: one that comes, or a type that
 * is neither, means that the peer and we are not in step.
 */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WIRE_HEADER_BYTES sizeof(struct vfu_header)

void vfu_wire_init(struct vfu_wire *wire, int fd, struct pvio_closer *closer)
{
	memset(wire, 0, sizeof(*wire));
	pvio_stream_init(&wire->stream, fd, closer);
}

void vfu_wire_next(struct vfu_wire *wire)
{
	pvio_stream_close_fds(&wire->stream, &wire->message.fds);
	free(wire->message.large);
	wire->message.large = NULL;
	wire->got = 0;
}

void vfu_wire_fini(struct vfu_wire *wire)
{
	vfu_wire_next(wire);
	pvio_stream_fini(&wire->stream);
}

bool vfu_wire_is_partial(const struct vfu_wire *wire)
{
	return wire->got > 0;
}

/* Receive up to @len bytes to @buf.  The count, 0 for not now, -errno. */
static ssize_t wire_recv(struct vfu_wire *wire, void *buf, size_t len)
{
	ssize_t n = pvio_stream_receive(&wire->stream, buf, len,
					wire->got ? NULL : &wire->message.fds);

	if (n > 0)
		wire->got += (size_t)n;
	return n;
}

/* The header is here: make room for the payload. */
static int wire_begin_payload(struct vfu_message *msg)
{
	const struct vfu_header *header = &msg->header;

	if ((header->flags & VFU_TYPE_MASK) != VFU_TYPE_COMMAND ||
	    header->size < WIRE_HEADER_BYTES ||
	    header->size > WIRE_HEADER_BYTES + VFU_MAX_PAYLOAD_BYTES)
		return -EPROTO;
	msg->size = header->size - WIRE_HEADER_BYTES;
	msg->payload = msg->small;
	if (msg->size <= sizeof(msg->small))
		return 0;
	msg->large = malloc(msg->size);
	msg->payload = msg->large;
	return msg->large ? 0 : -ENOMEM;
}

int vfu_wire_receive(struct vfu_wire *wire)
{
	struct vfu_message *msg = &wire->message;
	ssize_t n;
	int rc;

	while (wire->got < WIRE_HEADER_BYTES) {
		n = wire_recv(wire, (char *)&msg->header + wire->got,
			      WIRE_HEADER_BYTES - wire->got);
		if (n <= 0)
			return (int)n;
		if (wire->got < WIRE_HEADER_BYTES)
			continue;
		rc = wire_begin_payload(msg);
		if (rc < 0)
			return rc;
	}
	while (wire->got < WIRE_HEADER_BYTES + msg->size) {
		n = wire_recv(wire,
			      msg->payload + (wire->got - WIRE_HEADER_BYTES),
			      WIRE_HEADER_BYTES + msg->size - wire->got);
		if (n <= 0)
			return (int)n;
	}
	return 1;
}

int vfu_wire_send(struct vfu_wire *wire, const struct vfu_header *header,
		  const void *payload, size_t len, int fd)
{
	return pvio_stream_send(&wire->stream, header, sizeof(*header), payload,
				len, fd);
}
