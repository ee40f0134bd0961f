/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio.h - virtio's numbers: the system's BSD-licensed headers, and what
 * virtio 1.4 has that they may not have yet
 */
#ifndef PVIO_CORE_VIRTIO_H
#define PVIO_CORE_VIRTIO_H

#include <endian.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

/* virtio 1.4, 6: reserved feature bits */
#ifndef VIRTIO_F_NOTIFICATION_DATA
#define VIRTIO_F_NOTIFICATION_DATA 38
#endif
#ifndef VIRTIO_F_RING_RESET
#define VIRTIO_F_RING_RESET 40
#endif

#ifndef VIRTIO_F_NOTIF_CONFIG_DATA
#define VIRTIO_F_NOTIF_CONFIG_DATA 39
#endif
#ifndef VIRTIO_F_SUSPEND
#define VIRTIO_F_SUSPEND 43
#endif

/* virtio 1.4, 2.1: status */
#ifndef VIRTIO_CONFIG_S_SUSPEND
#define VIRTIO_CONFIG_S_SUSPEND 0x10
#endif

/* virtio 1.4, 5.1.3: network feature bits */
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO	56
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/* The largest queue (virtio 1.4, 2.7 and 2.8). */
#define PVIO_VQ_MAX_SIZE 32768

/* A set of feature bits (virtio 1.4, 2.2): 128 of them. */
struct pvio_features {
	uint64_t word[2];
};

static inline bool pvio_feature_has(const struct pvio_features *f,
				    unsigned int bit)
{
	return f->word[bit / 64] >> (bit % 64) & 1;
}

static inline void pvio_feature_set(struct pvio_features *f, unsigned int bit)
{
	f->word[bit / 64] |= 1ULL << (bit % 64);
}

static inline void pvio_feature_clear(struct pvio_features *f,
				      unsigned int bit)
{
	f->word[bit / 64] &= ~(1ULL << (bit % 64));
}

static inline bool pvio_features_subset(const struct pvio_features *a,
					const struct pvio_features *of)
{
	return !(a->word[0] & ~of->word[0]) && !(a->word[1] & ~of->word[1]);
}

#define PVIO_BIT(n) (1ULL << (n))

#endif
