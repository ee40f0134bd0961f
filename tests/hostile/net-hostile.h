/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-hostile.h - a bad guest with a network card, and what must hold after it
 *
 * Whatever it did, the device must still be whole: the good frame of finish()
 * goes through and comes back, and DEVICE_NEEDS_RESET was not set.  Tests at a
 * switch have a second guest, `peer`, and see it served.
 */
#ifndef PVIO_TESTS_NET_HOSTILE_H
#define PVIO_TESTS_NET_HOSTILE_H

#include "tests/net-rig.h"

#define ECHO "type = \"echo\";"
#define HDR  sizeof(struct virtio_net_hdr_mrg_rxbuf)

static struct rig rig, peer;
static uint8_t frame[70000];
static uint8_t *raw; /* guest memory for hand-made chains */
static uint64_t raw_gpa;

static const struct guest_net_options all = {
	.features = { RIG_ALL_NET, 0 },
	.pairs = 1,
	.queue_size = 256,
	.rx_bytes = 2048,
	.rx_buffers = 256,
};

static inline void up(const struct guest_net_options *o, const char *keys)
{
	rig_up(&rig, "net0", ECHO, keys, o);
	raw = guest_alloc(&rig.mem, 1 << 20, 4096, &raw_gpa);
	ck_assert_ptr_nonnull(raw);
	rig_frame(frame, sizeof(frame), 1);
}

/* Service goes on. */
static inline void finish(void)
{
	rig_frame(frame, 500, 77);
	rig_send(&rig, 0, frame, 500);
	rig_expect(&rig, 0, frame, 500);
	rig_expect_none(&rig, 0);
	ck_assert(!guest_device_is_broken(rig.gd));
}

static inline void teardown(void)
{
	if (rig.dev)
		rig_down(&rig);
	if (peer.dev)
		rig_down(&peer);
	rig_teardown();
}

static inline int command(uint8_t class, uint8_t cmd, const void *data,
			  size_t len)
{
	return guest_net_command(rig.net, class, cmd, data, len);
}

#endif
