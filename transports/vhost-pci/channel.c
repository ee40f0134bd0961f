/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * channel.c - frames through a window, both ways
 *
 * head and tail count bytes and are never masked, so that full and empty
 * differ.  Frames are padded to 16 bytes, of which the ring is a multiple: a
 * frame's own 16 never wrap, its payload may.
 */
#include "channel.h"

#include "core/barrier.h"
#include "core/util.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

static uint32_t frame_room(uint32_t payload)
{
	return (uint32_t)sizeof(struct window_frame) +
	       (payload + WINDOW_FRAME_ALIGN - 1) / WINDOW_FRAME_ALIGN *
		       WINDOW_FRAME_ALIGN;
}

/* Where a count of bytes points; the low bits are ours, or have been checked. */
static uint32_t ring_at(uint32_t count)
{
	return count % WINDOW_CHANNEL_BYTES;
}

static void ring_put(uint8_t *ring, uint32_t count, const void *src, size_t len)
{
	size_t first = pvio_min(len, (size_t)(WINDOW_CHANNEL_BYTES -
					      ring_at(count)));

	memcpy(ring + ring_at(count), src, first);
	memcpy(ring, (const uint8_t *)src + first, len - first);
}

static void ring_get(const uint8_t *ring, uint32_t count, void *dst, size_t len)
{
	size_t first = pvio_min(len, (size_t)(WINDOW_CHANNEL_BYTES -
					      ring_at(count)));

	memcpy(dst, ring + ring_at(count), first);
	memcpy((uint8_t *)dst + first, ring, len - first);
}

void window_channel_open(struct window_channel *ch, void *port,
			 enum window_side side)
{
	struct window_port *p = port;
	uint8_t *to_guest = (uint8_t *)port + WINDOW_TO_GUEST_OFFSET;
	uint8_t *to_host = (uint8_t *)port + WINDOW_TO_HOST_OFFSET;
	bool is_host = side == WINDOW_HOST;

	ch->out = is_host ? &p->to_guest : &p->to_host;
	ch->in = is_host ? &p->to_host : &p->to_guest;
	ch->out_bytes = is_host ? to_guest : to_host;
	ch->in_bytes = is_host ? to_host : to_guest;
	/* Ours, but in reach of the other side: multiples of a frame's. */
	ch->head = le32toh(pvio_load_once(&ch->out->head)) &
		   ~(uint32_t)(WINDOW_FRAME_ALIGN - 1);
	ch->tail = le32toh(pvio_load_once(&ch->in->tail)) &
		   ~(uint32_t)(WINDOW_FRAME_ALIGN - 1);
	/* Of whoever left garbage there, nothing stays. */
	pvio_store_once(&ch->out->head, htole32(ch->head));
	pvio_store_once(&ch->in->tail, htole32(ch->tail));
}

/* Barrier W: the bytes were read before they may be written over. */
static void channel_took(struct window_channel *ch, uint32_t tail)
{
	ch->tail = tail;
	pvio_store_release(&ch->in->tail, htole32(tail));
}

void window_channel_drain(struct window_channel *ch)
{
	uint32_t head = le32toh(pvio_load_once(&ch->in->head));

	channel_took(ch, head & ~(uint32_t)(WINDOW_FRAME_ALIGN - 1));
}

int window_channel_send(struct window_channel *ch,
			const struct window_frame *frame, const void *payload)
{
	const struct window_frame wire = {
		.bytes = htole32(frame->bytes),
		.session = htole32(frame->session),
		.kind = htole32(frame->kind),
		.number = htole32(frame->number),
	};
	uint32_t room = frame_room(frame->bytes), used;

	if (frame->bytes > WINDOW_MAX_PAYLOAD)
		return -EMSGSIZE;
	/* Barrier W: what was taken is written over only after this load. */
	used = ch->head - le32toh(pvio_load_acquire(&ch->out->tail));
	if (used > WINDOW_CHANNEL_BYTES)
		return -EPROTO;
	if (room > WINDOW_CHANNEL_BYTES - used)
		return -EAGAIN;
	ring_put(ch->out_bytes, ch->head, &wire, sizeof(wire));
	ring_put(ch->out_bytes, ch->head + (uint32_t)sizeof(wire), payload,
		 frame->bytes);
	ch->head += room;
	/* Barrier V: the frame is there before the count says so. */
	pvio_store_release(&ch->out->head, htole32(ch->head));
	return 0;
}

int window_channel_receive(struct window_channel *ch,
			   struct window_frame *frame, void *payload)
{
	struct window_frame wire;
	uint32_t there, room;

	/* Barrier V: the frame is read after the count that says it is there. */
	there = le32toh(pvio_load_acquire(&ch->in->head)) - ch->tail;
	if (there == 0)
		return 0;
	if (there > WINDOW_CHANNEL_BYTES || there < sizeof(wire))
		goto refuse;
	ring_get(ch->in_bytes, ch->tail, &wire, sizeof(wire));
	frame->bytes = le32toh(wire.bytes);
	frame->session = le32toh(wire.session);
	frame->kind = le32toh(wire.kind);
	frame->number = le32toh(wire.number);
	if (frame->bytes > WINDOW_MAX_PAYLOAD)
		goto refuse;
	room = frame_room(frame->bytes);
	if (room > there)
		goto refuse;
	ring_get(ch->in_bytes, ch->tail + (uint32_t)sizeof(wire), payload,
		 frame->bytes);
	channel_took(ch, ch->tail + room);
	return 1;

refuse:
	window_channel_drain(ch);
	return -EPROTO;
}
