/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rig.h - a queue on its own, and a driver that can do anything
 *
 * Guest memory has a hole, and two regions that touch in the guest but not
 * here:
 *
 *	RAM   1 MiB: ring, tables, buffers
 *	LOW   64 KiB, then at once HIGH, 64 KiB, then the hole
 *
 * A chain is written as text: "r16 w512 w1" is 16 readable bytes, then 512 and
 * 1 writable ones; "r16 (w512 w1)" has the last two in an indirect table; and
 * "w64@span" is at a particular place:
 *
 *	@hole  in no region		@edge  begins in HIGH, ends in the hole
 *	@span  from LOW into HIGH	@wrap  past the end of the address space
 *	@ring  on the descriptor table
 *
 * A test changes what rig_chain() built through rig_desc() and rig.table, and
 * makes it available with rig_publish().  All along the rig keeps two books:
 * what the device may write (granted by publishing a writable segment, revoked
 * by its used entry), and how often each chain was answered.
 */
#ifndef PVIO_TESTS_RIG_H
#define PVIO_TESTS_RIG_H

#include "core/queue.h"
#include "guest/memory.h"
#include "guest/ring.h"

#define RIG_RAM_GPA   0x100000ULL
#define RIG_RAM_BYTES (1u << 20)
#define RIG_LOW_GPA   0x40000000ULL
#define RIG_EDGE_BYTES (64u << 10)
#define RIG_HIGH_GPA  (RIG_LOW_GPA + RIG_EDGE_BYTES)
#define RIG_HOLE_GPA  (RIG_HIGH_GPA + RIG_EDGE_BYTES)
#define RIG_REGIONS   3
#define RIG_MAX_SIZE  1024
#define RIG_GRANTS    2048

/* A descriptor as the driver will write it.  Packed: next is the id. */
struct rig_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct rig_chain {
	uint16_t id;	/* split: head; packed: buffer id */
	uint16_t first; /* its first descriptor */
	uint16_t nr;
	bool wrap;	/* packed: of the first */
};

struct rig {
	unsigned int flags; /* GUEST_RING_* */
	bool packed;
	uint16_t size;
	struct guest_memory mem;
	struct pvio_mapping *mapping[RIG_REGIONS];
	struct pvio_map *map;
	struct pvio_features features;
	struct pvio_vq_setup setup;
	struct pvio_vq *vq;
	struct guest_ring *ring; /* areas; and the well-behaved driver */
	int call_fd;

	struct rig_desc desc[RIG_MAX_SIZE];
	uint16_t next_desc, next_id, avail_idx;
	bool wrap;
	struct rig_desc *table; /* the last indirect table, to be changed */
	uint64_t table_gpa;
	uint16_t table_nr;
	struct rig_desc tables[64];

	uint16_t used_idx; /* packed: position */
	bool used_wrap;
	uint16_t nr_desc[65536]; /* of each chain */
	uint16_t made_available[65536], answered[65536];

	uint8_t *before[RIG_REGIONS];	 /* memory as the driver left it */
	uint8_t *may_write[RIG_REGIONS]; /* 1: the device may write it */
	struct rig_grant {
		uint64_t gpa;
		uint32_t len;
		uint16_t id;
		bool published, in_use;
	} grant[RIG_GRANTS];
	unsigned int nr_grants;
};

/* Memory, map, and a queue that runs.  rig_init_idle: that does not yet. */
void rig_init(struct rig *rig, uint16_t size, unsigned int flags);
void rig_init_idle(struct rig *rig, uint16_t size, unsigned int flags);
int rig_start(struct rig *rig);
void rig_fini(struct rig *rig);

/* Build a chain; nothing of it is in the ring yet. */
struct rig_chain rig_chain(struct rig *rig, const char *text);
struct rig_desc *rig_desc(struct rig *rig, struct rig_chain chain,
			  unsigned int i);
/* Write it to the ring and make it available. */
void rig_publish(struct rig *rig, struct rig_chain chain);
/* Both. */
struct rig_chain rig_add(struct rig *rig, const char *text);
/* Split: make any head available; move avail->idx by @n without entries. */
void rig_make_available(struct rig *rig, uint16_t head);
void rig_skip_available(struct rig *rig, int n);
/* Write guest memory as the driver. */
void rig_poke(struct rig *rig, void *host, const void *data, size_t len);

/* Pop, fill and push all there is, then flush.  Returns how many. */
unsigned int rig_serve(struct rig *rig);
/* The next used entry; false when there is none. */
bool rig_next_used(struct rig *rig, uint32_t *id, uint32_t *len);
/* The next used entry is this one, or there is none. */
void rig_expect_used(struct rig *rig, uint16_t id, uint32_t len);
void rig_expect_none_used(struct rig *rig);
uint64_t rig_faults(const struct rig *rig, enum pvio_fault fault);
/* A good request is served, nothing was written where it may not be, and each
 * chain was answered at most once. */
void rig_expect_sound(struct rig *rig);
/* Chain @bad is given back with length 0 for @fault, and all is well. */
void rig_expect_refused(struct rig *rig, struct rig_chain bad,
			enum pvio_fault fault);
/* The queue asked for a reset, does nothing any more, and works after it. */
void rig_expect_reset(struct rig *rig);
/* Only the second part of rig_expect_sound(). */
void rig_expect_untouched(struct rig *rig);

#endif
