/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bounce-guest.h - B, for tests of a bounce window: its disk, its network card
 */
#ifndef PVIO_TESTS_BOUNCE_GUEST_H
#define PVIO_TESTS_BOUNCE_GUEST_H

#include "tests/bounce-rig.h"
#include "tests/check_main.h"

#include <pvio/pvio.h>

#include <stdio.h>

#define SHARE_BYTES (8u << 20)
#define DISK                                               \
	"model = \"block\"; queues = 2; queue_size = 64; " \
	"backend = { type = \"memory\"; size = \"4M\"; };"

static struct bounce_rig rig;

static const uint64_t rings[] = {
	0,
	PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
		PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC),
	PVIO_BIT(VIRTIO_F_RING_PACKED),
	PVIO_BIT(VIRTIO_F_RING_PACKED) | PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
		PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
		PVIO_BIT(VIRTIO_F_IN_ORDER),
};
#define NR_RINGS      ((int)pvio_array_size(rings))
#define DISK_FEATURES (PVIO_BIT(VIRTIO_BLK_F_FLUSH) | PVIO_BIT(VIRTIO_BLK_F_MQ))

static inline void quiet(void *arg, enum pvio_log_level level,
			 const char *message)
{
	(void)arg;
	if (getenv("PVIO_TEST_LOG"))
		fprintf(stderr, "%d %s\n", (int)level, message);
}

static inline void setup(void)
{
	pvio_log_set(quiet, NULL, PVIO_LOG_DEBUG);
	srand(1);
}

static inline void disk_up(uint64_t features, bool threaded, uint64_t share)
{
	bounce_rig_init(&rig, "block", threaded, share);
	bounce_rig_appear(&rig, DISK);
	bounce_rig_connect(&rig);
	bounce_rig_bring_up(&rig, features | DISK_FEATURES, 2, 32);
}

static inline void fill(uint8_t *data, uint32_t bytes, unsigned int seed)
{
	uint32_t i;

	for (i = 0; i < bytes; i++)
		data[i] = (uint8_t)(seed * 31 + i * 7 + (i >> 8));
}

static inline bool is_filled(const uint8_t *data, uint32_t bytes,
			     unsigned int seed)
{
	uint32_t i;

	for (i = 0; i < bytes; i++)
		if (data[i] != (uint8_t)(seed * 31 + i * 7 + (i >> 8)))
			return false;
	return true;
}

/* --- a network card -------------------------------------------------------- */

#define NET    "model = \"net\"; queue_size = 64; backend = { type = \"echo\"; };"
#define FRAMES 24

static struct {
	uint8_t *bytes;
	uint64_t gpa;
	bool is_back;
	uint32_t len;
} rx[FRAMES], tx[FRAMES];

static inline unsigned int net_reap(unsigned int q, void *of, size_t size)
{
	unsigned int n = 0;
	uint32_t len;
	uint8_t *p;

	while ((p = guest_ring_reap(guest_device_ring(rig.gd, q), &len))) {
		size_t i = (size_t)(p - (uint8_t *)of) / size;

		(q ? tx : rx)[i].is_back = true;
		(q ? tx : rx)[i].len = len;
		n++;
	}
	return n;
}

static inline void net_add(unsigned int q, unsigned int i, uint32_t len)
{
	struct guest_segment seg[2];
	unsigned int cut = 1 + (unsigned)rand() % (len - 1);

	(q ? tx : rx)[i].is_back = false;
	seg[0] = (struct guest_segment){ (q ? tx : rx)[i].gpa, cut };
	seg[1] = (struct guest_segment){ seg[0].gpa + cut, len - cut };
	ck_assert_int_eq(guest_ring_add(guest_device_ring(rig.gd, q), seg,
					q ? 2 : 0, q ? 0 : 2,
					q ? (void *)&tx[i] : (void *)&rx[i]),
			 0);
	guest_ring_publish(guest_device_ring(rig.gd, q));
	guest_device_kick(rig.gd, q);
}

/* Of a rig that was made for one. */
static inline void net_serve(uint64_t features)
{
	unsigned int i;

	bounce_rig_appear(&rig, NET);
	bounce_rig_connect(&rig);
	bounce_rig_bring_up(&rig, features | PVIO_BIT(VIRTIO_NET_F_MAC), 2, 64);
	for (i = 0; i < FRAMES; i++) {
		rx[i].bytes = guest_alloc(&rig.mem, 2048, 64, &rx[i].gpa);
		tx[i].bytes = guest_alloc(&rig.mem, 2048, 64, &tx[i].gpa);
	}
}

static inline void net_up(uint64_t features, bool threaded)
{
	bounce_rig_init(&rig, "net", threaded, SHARE_BYTES);
	net_serve(features);
}

#endif
