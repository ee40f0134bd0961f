/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * channel.h - frames through a window, both ways
 *
 * One side's end of a port's channel: it appends to one ring and takes from the
 * other.  The other side can write anything anywhere at any time.  So where we
 * stand is kept here, each word of theirs is read once, and a frame is checked
 * in our copy of it.
 *
 * For one thread.  Nothing here waits or rings: the caller tells the other side
 * when it has sent.
 */
#ifndef PVIO_VHOST_PCI_CHANNEL_H
#define PVIO_VHOST_PCI_CHANNEL_H

#include "abi.h"

#include <stdbool.h>

struct window_channel {
	struct window_ring *out, *in; /* borrowed: in the window */
	uint8_t *out_bytes, *in_bytes;
	uint32_t head, tail; /* ours: of out, of in */
};

enum window_side { WINDOW_HOST, WINDOW_GUEST };

/*
 * The end of @side of the port at @port, in memory that outlives it.  Goes on
 * where its side stood; what is waiting to be taken, is.
 */
void window_channel_open(struct window_channel *ch, void *port,
			 enum window_side side);
/* Drop what has come and was not taken. */
void window_channel_drain(struct window_channel *ch);

/*
 * Send @frame (its `bytes` and the rest filled in) with its payload.  -EAGAIN:
 * no room until the other side takes some; -EPROTO: what it says of that makes
 * no sense; -EMSGSIZE.
 */
int window_channel_send(struct window_channel *ch,
			const struct window_frame *frame, const void *payload);
/*
 * Take the next frame, its payload to @payload, of WINDOW_MAX_PAYLOAD bytes.
 * 1; 0: there is none; -EPROTO: this is no channel, and was emptied.
 */
int window_channel_receive(struct window_channel *ch,
			   struct window_frame *frame, void *payload);

#endif
