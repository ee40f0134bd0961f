/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.h - the driver side of a virtqueue, split and packed
 *
 * What a guest's driver does, for tests, benchmarks and bare-metal guests: add
 * buffers, make them available, kick if the device wants that, reap what was
 * used.  Written to the driver's requirements of virtio 1.4, 2.7 and 2.8, with
 * the letters of the device side's barriers.  It trusts the device no more
 * than it must: ids out of range are refused.
 *
 * One thread per ring.  add stages; publish makes the whole batch visible.
 */
#ifndef PVIO_GUEST_RING_H
#define PVIO_GUEST_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One piece of a buffer, by guest-physical address. */
struct guest_segment {
	uint64_t gpa;
	uint32_t len;
};

enum guest_ring_flags {
	GUEST_RING_PACKED = 1 << 0,
	GUEST_RING_EVENT_IDX = 1 << 1,
	GUEST_RING_IN_ORDER = 1 << 2,
	GUEST_RING_INDIRECT = 1 << 3, /* chains of 2 or more go indirect */
};

struct guest_ring;

/* Bytes of ring memory for @size entries, indirect tables included. */
size_t guest_ring_bytes(uint16_t size, unsigned int flags);
/*
 * Make a ring in @mem (zeroed, 4096-aligned, guest_ring_bytes() long), which
 * the device sees at @gpa.  -EINVAL, -ENOMEM.
 */
int guest_ring_create(uint16_t size, unsigned int flags, void *mem,
		      uint64_t gpa, struct guest_ring **ring);
void guest_ring_destroy(struct guest_ring *ring);

/* Where its three areas are, for the device. */
uint64_t guest_ring_desc(const struct guest_ring *ring);
uint64_t guest_ring_driver(const struct guest_ring *ring);
uint64_t guest_ring_device(const struct guest_ring *ring);
uint16_t guest_ring_size(const struct guest_ring *ring);

/*
 * Add a buffer: @nr_readable segments, then @nr_writable.  @cookie (not NULL)
 * comes back from reap.  -ENOSPC when the ring is full.
 */
int guest_ring_add(struct guest_ring *ring, const struct guest_segment *seg,
		   unsigned int nr_readable, unsigned int nr_writable,
		   void *cookie);
/* Make what was added available.  True: the device wants a kick. */
bool guest_ring_publish(struct guest_ring *ring);
/* The same for a device that is known to poll: no look whether it wants one. */
void guest_ring_expose(struct guest_ring *ring);

/* The cookie of the next used buffer and the length written, or NULL. */
void *guest_ring_reap(struct guest_ring *ring, uint32_t *len);
/* Is there anything to reap?  A look that changes nothing. */
bool guest_ring_has_used(struct guest_ring *ring);

/* Do not notify; and: notify of the next used buffer - true: some came in
 * between, reap first. */
void guest_ring_disable_notify(struct guest_ring *ring);
bool guest_ring_enable_notify(struct guest_ring *ring);

/*
 * Where the driver stands, as NOTIFICATION_DATA wants it (virtio 1.4, 2.9): the
 * next available index, its upper bit the wrap counter for packed rings.
 */
uint16_t guest_ring_position(const struct guest_ring *ring);
/* Buffers added and not reaped. */
unsigned int guest_ring_outstanding(const struct guest_ring *ring);
/* Has the device named a buffer that is not in flight? */
bool guest_ring_is_broken(const struct guest_ring *ring);

/*
 * For hostile tests: the raw areas, as the driver maps them, and the state a
 * test needs to forge entries.
 */
void *guest_ring_raw_desc(struct guest_ring *ring);
void *guest_ring_raw_driver(struct guest_ring *ring);
void *guest_ring_raw_device(struct guest_ring *ring);

#endif
