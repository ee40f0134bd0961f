/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * socket-disk.h - what tests of devices behind a socket share: kinds of rings,
 * and the driver of a disk
 */
#ifndef PVIO_TESTS_SOCKET_DISK_H
#define PVIO_TESTS_SOCKET_DISK_H

#include "tests/check_main.h"
#include "tests/socket-rig.h"

static struct rig rig;

#define MEMORY_DISK                                                      \
	"model = \"block\"; queues = 4; backend = { type = \"memory\"; " \
	"size = \"1M\"; };"

static const uint64_t rings[] = {
	0,
	PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
		PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC),
	PVIO_BIT(VIRTIO_F_RING_PACKED),
	PVIO_BIT(VIRTIO_F_RING_PACKED) | PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
		PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
		PVIO_BIT(VIRTIO_F_IN_ORDER),
};
#define NR_RINGS ((int)pvio_array_size(rings))

static inline void quiet(void *arg, enum pvio_log_level level,
			 const char *message)
{
	(void)arg;
	(void)level;
	(void)message;
}

static inline void setup(void)
{
	pvio_log_set(quiet, NULL, PVIO_LOG_DEBUG);
}

/* --- a disk's driver ------------------------------------------------------ */

struct disk_buffer {
	struct virtio_blk_outhdr header;
	uint8_t status;
	uint8_t data[16384] __attribute__((aligned(4096)));
};

static inline struct disk_buffer *disk_buffer(uint64_t *gpa)
{
	struct disk_buffer *b = guest_alloc(&rig.mem, sizeof(*b), 4096, gpa);

	ck_assert_ptr_nonnull(b);
	return b;
}

/* Segments of a request of @len bytes, 4096 each. */
static inline unsigned int disk_segments(struct disk_buffer *b, uint64_t gpa,
					 uint32_t type, uint64_t sector,
					 uint32_t len,
					 struct guest_segment *seg)
{
	unsigned int n = 0;
	uint32_t done;

	b->header.type = htole32(type);
	b->header.sector = htole64(sector);
	b->status = 0xff;
	seg[n++] = (struct guest_segment){ gpa, sizeof(b->header) };
	for (done = 0; done < len; done += 4096)
		seg[n++] = (struct guest_segment){
			gpa + offsetof(struct disk_buffer, data) + done,
			(uint32_t)pvio_min(4096, len - done),
		};
	seg[n++] = (struct guest_segment){
		gpa + offsetof(struct disk_buffer, status), 1
	};
	return n;
}

static inline int disk_request(struct guest_device *gd, unsigned int q,
			       struct disk_buffer *b, uint64_t gpa,
			       uint32_t type, uint64_t sector, uint32_t len)
{
	struct guest_segment seg[8];
	unsigned int n = disk_segments(b, gpa, type, sector, len, seg);
	unsigned int readable = type == VIRTIO_BLK_T_OUT ? n - 1 : 1;

	ck_assert_int_ge(
		guest_device_transfer(gd, q, seg, readable, n - readable), 0);
	return b->status;
}

static inline void fill(uint8_t *p, size_t len, uint32_t seed)
{
	size_t i;

	for (i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

#endif
