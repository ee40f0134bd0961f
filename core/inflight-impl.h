/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflight-impl.h - the in-flight region's layout and our private copy of it
 */
#ifndef PVIO_CORE_INFLIGHT_IMPL_H
#define PVIO_CORE_INFLIGHT_IMPL_H

#include "inflight.h"

#define INFLIGHT_VERSION 1

/* vhost-user, "Inflight I/O tracking": one queue's part, host byte order. */
struct inflight_split_entry {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next; /* in the last batch */
	uint64_t counter;
};

struct inflight_split {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct inflight_split_entry desc[]; /* by head */
};

struct inflight_packed_entry {
	uint8_t inflight; /* of a chain's first entry */
	uint8_t padding;
	uint16_t next; /* of a chain, or of the free list; desc_num ends it */
	uint16_t last; /* first entry: the chain's last */
	uint16_t num;  /* first entry: how many */
	uint64_t counter;
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};

struct inflight_packed {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t free_head;
	uint16_t old_free_head;
	union {
		struct {
			uint16_t used_idx;
			uint16_t old_used_idx;
			uint8_t used_wrap;
			uint8_t old_used_wrap;
			uint8_t zero[2];
		};
		uint64_t used_word; /* all of that, in one store */
	};
	uint8_t padding[8];
	struct inflight_packed_entry desc[];
};

static_assert(sizeof(struct inflight_split) == 16, "split header");
static_assert(sizeof(struct inflight_split_entry) == 16, "split entry");
static_assert(sizeof(struct inflight_packed) == 32, "packed header");
static_assert(offsetof(struct inflight_packed, used_idx) == 16,
	      "the used indices are one aligned word");
static_assert(sizeof(struct inflight_packed_entry) == 32, "packed entry");

struct pvio_inflight {
	struct pvio_mapping *mapping; /* reference */
	uint16_t desc_num;
	bool packed;
	uint64_t bytes;
	uint64_t counter; /* of the next chain taken */

	/* The shared region: after recovery it is only written. */
	union {
		struct inflight_split *split;
		struct inflight_packed *ring;
	} shared;
	/* What we believe; the same layout. */
	union {
		struct inflight_split *split;
		struct inflight_packed *ring;
		void *any;
	} own; /* owned */

	uint16_t *resubmit;    /* [desc_num] heads by counter; owned */
	uint16_t resubmit_at;  /* the next of them */
	uint16_t *staged;      /* [desc_num] heads pushed since; owned */
	uint16_t nr_staged;
	uint16_t taking_head, taking_at, taking_num; /* packed: chain so far */
};

/*
 * List the entries of @inflight whose mark is set, by counter.  Returns how
 * many, or -EPROTO when two have the same counter or one has the last there is.
 */
int inflight_line_up(struct pvio_inflight *inflight);

#endif
