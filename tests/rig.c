/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rig.c - a queue on its own, and a driver that can do anything
 */
#include "rig.h"

#include <check.h>
#include <ctype.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define PACKED_AVAIL ((uint16_t)(1u << VRING_PACKED_DESC_F_AVAIL))
#define PACKED_USED  ((uint16_t)(1u << VRING_PACKED_DESC_F_USED))

static const struct {
	uint64_t gpa, size;
} rig_region[RIG_REGIONS] = {
	{ RIG_RAM_GPA, RIG_RAM_BYTES },
	{ RIG_LOW_GPA, RIG_EDGE_BYTES },
	{ RIG_HIGH_GPA, RIG_EDGE_BYTES },
};

/* --- the books ----------------------------------------------------------- */

/* The region of @gpa, or -1. */
static int rig_region_of(uint64_t gpa)
{
	int i;

	for (i = 0; i < RIG_REGIONS; i++)
		if (gpa - rig_region[i].gpa < rig_region[i].size)
			return i;
	return -1;
}

/* Grant or revoke [gpa, gpa + len), as far as it exists. */
static void rig_allow(struct rig *rig, uint64_t gpa, uint64_t len, bool allow)
{
	uint64_t i;

	for (i = 0; i < len && gpa + i >= gpa; i++) {
		int r = rig_region_of(gpa + i);
		uint64_t at;

		if (r < 0)
			break;
		at = gpa + i - rig_region[r].gpa;
		rig->may_write[r][at] = allow;
		/* What was written while it was allowed stands. */
		if (!allow)
			rig->before[r][at] = rig->mem.region[r].host[at];
	}
}

void rig_poke(struct rig *rig, void *host, const void *data, size_t len)
{
	uint64_t gpa = guest_gpa(&rig->mem, host);
	int r = rig_region_of(gpa);

	if (r < 0)
		ck_abort_msg("gpa %#llx is not in memory",
			     (unsigned long long)gpa);
	memcpy(host, data, len);
	memcpy(rig->before[r] + (gpa - rig_region[r].gpa), data, len);
}

static void rig_note_segment(struct rig *rig, uint16_t id, uint64_t gpa,
			     uint32_t len)
{
	struct rig_grant *grant;

	ck_assert_uint_lt(rig->nr_grants, RIG_GRANTS);
	grant = &rig->grant[rig->nr_grants++];
	*grant = (struct rig_grant){ gpa, len, id, false, true };
}

/* What a chain that got length 0 granted is as the driver left it. */
static void rig_expect_unwritten(const struct rig *rig,
				 const struct rig_grant *grant)
{
	uint64_t i;

	for (i = 0; i < grant->len && grant->gpa + i >= grant->gpa; i++) {
		int r = rig_region_of(grant->gpa + i);
		uint64_t at;

		if (r < 0)
			break;
		at = grant->gpa + i - rig_region[r].gpa;
		if (rig->mem.region[r].host[at] != rig->before[r][at])
			ck_abort_msg("a refused chain was written");
	}
}

static void rig_revoke(struct rig *rig, uint16_t id, bool is_unwritten)
{
	unsigned int i, kept = 0;

	for (i = 0; i < rig->nr_grants; i++) {
		struct rig_grant *grant = &rig->grant[i];

		if (grant->id != id || !grant->published) {
			rig->grant[kept++] = *grant;
			continue;
		}
		if (is_unwritten)
			rig_expect_unwritten(rig, grant);
		rig_allow(rig, grant->gpa, grant->len, false);
	}
	rig->nr_grants = kept;
}

/* What the device may always write: its part of the ring. */
static void rig_allow_ring(struct rig *rig)
{
	uint64_t size = rig->size, i;

	if (rig->packed) {
		for (i = 0; i < size; i++)
			rig_allow(rig, rig->setup.desc + i * 16 + 8, 8, true);
		rig_allow(rig, rig->setup.device, 4, true);
		return;
	}
	rig_allow(rig, rig->setup.device, 4 + size * 8 + 2, true);
}

/* --- set up -------------------------------------------------------------- */

static void rig_memory(struct rig *rig)
{
	struct pvio_region region[RIG_REGIONS];
	int i;

	memset(region, 0, sizeof(region));
	guest_memory_init(&rig->mem);
	for (i = 0; i < RIG_REGIONS; i++) {
		struct guest_region *r = &rig->mem.region[i];

		ck_assert_int_eq(guest_memory_add(&rig->mem, rig_region[i].gpa,
						  rig_region[i].size),
				 0);
		/* Through the fd, so that the flavour decides what is around
		 * it; and so that what lies together there does not here. */
		ck_assert_int_eq(pvio_mapping_create(r->fd, 0, r->size,
						     PROT_READ | PROT_WRITE,
						     &rig->mapping[i]),
				 0);
		region[i].gpa = r->gpa;
		region[i].size = r->size;
		region[i].mapping = rig->mapping[i];
		rig->before[i] = calloc(1, r->size);
		rig->may_write[i] = calloc(1, r->size);
	}
	ck_assert_int_eq(pvio_map_create(region, RIG_REGIONS, &rig->map), 0);
}

void rig_init_idle(struct rig *rig, uint16_t size, unsigned int flags)
{
	uint64_t gpa;
	void *mem;

	memset(rig, 0, sizeof(*rig));
	rig->flags = flags;
	rig->packed = flags & GUEST_RING_PACKED;
	rig->size = size;
	rig_memory(rig);
	mem = guest_alloc(&rig->mem, guest_ring_bytes(size, flags), 4096,
			  &gpa);
	ck_assert_ptr_nonnull(mem);
	ck_assert_int_eq(guest_ring_create(size, flags, mem, gpa, &rig->ring),
			 0);

	pvio_feature_set(&rig->features, VIRTIO_F_VERSION_1);
	if (rig->packed)
		pvio_feature_set(&rig->features, VIRTIO_F_RING_PACKED);
	if (flags & GUEST_RING_EVENT_IDX)
		pvio_feature_set(&rig->features, VIRTIO_RING_F_EVENT_IDX);
	if (flags & GUEST_RING_IN_ORDER)
		pvio_feature_set(&rig->features, VIRTIO_F_IN_ORDER);
	if (flags & GUEST_RING_INDIRECT)
		pvio_feature_set(&rig->features, VIRTIO_RING_F_INDIRECT_DESC);
	rig->setup.size = size;
	rig->setup.desc = guest_ring_desc(rig->ring);
	rig->setup.driver = guest_ring_driver(rig->ring);
	rig->setup.device = guest_ring_device(rig->ring);
	rig->setup.position.avail_wrap = rig->packed;
	rig->setup.position.used_wrap = rig->packed;
	rig->wrap = rig->used_wrap = true;
	rig->next_id = 100; /* no relation to anything */

	rig->vq = aligned_alloc(PVIO_CACHE_LINE_BYTES, sizeof(*rig->vq));
	pvio_vq_init(rig->vq, NULL, 0);
	rig->call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rig->vq->call_fd = rig->call_fd;
	rig_allow_ring(rig);
}

int rig_start(struct rig *rig)
{
	int rc = pvio_vq_start(rig->vq, &rig->setup, rig->map, &rig->features);

	if (rc == 0)
		pvio_vq_enable_kick(rig->vq);
	return rc;
}

void rig_init(struct rig *rig, uint16_t size, unsigned int flags)
{
	rig_init_idle(rig, size, flags);
	ck_assert_int_eq(rig_start(rig), 0);
}

void rig_fini(struct rig *rig)
{
	int i;

	if (rig->vq->state != PVIO_VQ_IDLE)
		pvio_vq_stop(rig->vq);
	pvio_vq_fini(rig->vq);
	free(rig->vq);
	guest_ring_destroy(rig->ring);
	pvio_map_put(rig->map);
	for (i = 0; i < RIG_REGIONS; i++) {
		pvio_mapping_put(rig->mapping[i]);
		free(rig->before[i]);
		free(rig->may_write[i]);
	}
	guest_memory_fini(&rig->mem);
	close(rig->call_fd);
}

/* --- building chains ----------------------------------------------------- */

static uint64_t rig_place(struct rig *rig, const char *name, uint32_t len)
{
	static const uint8_t pattern = 0x5a;
	uint64_t gpa;
	uint8_t *host;
	uint32_t i;

	if (strncmp(name, "@hole", 5) == 0)
		return RIG_HOLE_GPA + 4096;
	if (strncmp(name, "@edge", 5) == 0)
		return RIG_HOLE_GPA - len / 2;
	if (strncmp(name, "@span", 5) == 0)
		return RIG_HIGH_GPA - len / 2;
	if (strncmp(name, "@wrap", 5) == 0)
		return 0 - (uint64_t)(len / 2);
	if (strncmp(name, "@ring", 5) == 0)
		return rig->setup.desc;
	host = guest_alloc(&rig->mem, len ? len : 1, 8, &gpa);
	ck_assert_ptr_nonnull(host);
	for (i = 0; i < len; i++)
		rig_poke(rig, host + i, &pattern, 1);
	return gpa;
}

/* One token: "w512@span".  Returns what follows. */
static const char *rig_segment(struct rig *rig, const char *text,
			       struct rig_desc *desc, uint16_t id)
{
	char *end;

	ck_assert(*text == 'r' || *text == 'w');
	desc->flags = *text == 'w' ? VRING_DESC_F_WRITE : 0;
	desc->len = (uint32_t)strtoul(text + 1, &end, 0);
	desc->addr = rig_place(rig, end, desc->len);
	if (desc->flags)
		rig_note_segment(rig, id, desc->addr, desc->len);
	while (*end && *end != ' ' && *end != ')')
		end++;
	return end;
}

/* "(r16 w1)": fill rig->tables, which publish writes out. */
static const char *rig_indirect(struct rig *rig, const char *text,
				struct rig_desc *desc, uint16_t id)
{
	void *host;

	rig->table = rig->tables;
	rig->table_nr = 0;
	for (text++; *text != ')'; ) {
		if (*text == ' ') {
			text++;
			continue;
		}
		ck_assert_uint_lt(rig->table_nr,
				  pvio_array_size(rig->tables));
		text = rig_segment(rig, text, &rig->table[rig->table_nr], id);
		if (!rig->packed && rig->table_nr > 0) {
			rig->table[rig->table_nr - 1].flags |=
				VRING_DESC_F_NEXT;
			rig->table[rig->table_nr - 1].next = rig->table_nr;
		}
		rig->table[rig->table_nr++].next = 0;
	}
	host = guest_alloc(&rig->mem, (rig->table_nr + 1) * 16u, 16,
			   &rig->table_gpa);
	ck_assert_ptr_nonnull(host);
	desc->addr = rig->table_gpa;
	desc->len = rig->table_nr * 16u;
	desc->flags = VRING_DESC_F_INDIRECT;
	return text + 1;
}

struct rig_desc *rig_desc(struct rig *rig, struct rig_chain chain,
			  unsigned int i)
{
	return &rig->desc[(chain.first + i) % rig->size];
}

struct rig_chain rig_chain(struct rig *rig, const char *text)
{
	struct rig_chain chain = { .first = rig->next_desc,
				   .wrap = rig->wrap };
	struct rig_desc *desc = NULL;
	unsigned int i;

	chain.id = rig->packed ? rig->next_id++ : chain.first;
	while (*text) {
		if (*text == ' ') {
			text++;
			continue;
		}
		ck_assert_uint_lt(chain.nr, rig->size);
		desc = rig_desc(rig, chain, chain.nr++);
		text = *text == '(' ?
			       rig_indirect(rig, text, desc, chain.id) :
			       rig_segment(rig, text, desc, chain.id);
	}
	for (i = 0; i < chain.nr; i++) {
		desc = rig_desc(rig, chain, i);
		desc->next = rig->packed ? chain.id :
					   (chain.first + i + 1) % rig->size;
		if (i + 1 < chain.nr)
			desc->flags |= VRING_DESC_F_NEXT;
	}
	rig->nr_desc[chain.id] = chain.nr;
	rig->next_desc = (uint16_t)(rig->next_desc + chain.nr);
	if (rig->next_desc >= rig->size) {
		rig->next_desc = (uint16_t)(rig->next_desc - rig->size);
		rig->wrap = !rig->wrap;
	}
	return chain;
}

static void rig_write_desc(struct rig *rig, void *at,
			   const struct rig_desc *desc, uint16_t flags)
{
	struct vring_desc split = { htole64(desc->addr), htole32(desc->len),
				    htole16(flags), htole16(desc->next) };
	struct vring_packed_desc packed = { htole64(desc->addr),
					    htole32(desc->len),
					    htole16(desc->next),
					    htole16(flags) };

	if (rig->packed)
		rig_poke(rig, at, &packed, sizeof(packed));
	else
		rig_poke(rig, at, &split, sizeof(split));
}

void rig_make_available(struct rig *rig, uint16_t head)
{
	struct vring_avail *avail = guest_ring_raw_driver(rig->ring);
	uint16_t value = htole16(head);

	rig_poke(rig, &avail->ring[rig->avail_idx++ % rig->size], &value, 2);
	rig_skip_available(rig, 0);
	rig->made_available[head]++;
}

void rig_skip_available(struct rig *rig, int n)
{
	struct vring_avail *avail = guest_ring_raw_driver(rig->ring);
	uint16_t value;

	rig->avail_idx = (uint16_t)(rig->avail_idx + n);
	value = htole16(rig->avail_idx);
	rig_poke(rig, &avail->idx, &value, 2);
}

void rig_publish(struct rig *rig, struct rig_chain chain)
{
	uint8_t *ring = guest_ring_raw_desc(rig->ring);
	unsigned int i;

	if (rig->table) {
		uint8_t *table = guest_host(&rig->mem, rig->table_gpa);

		for (i = 0; i < rig->table_nr; i++)
			rig_write_desc(rig, table + i * 16, &rig->table[i],
				       rig->table[i].flags);
		rig->table = NULL;
	}
	for (i = 0; i < rig->nr_grants; i++) {
		if (rig->grant[i].id != chain.id || rig->grant[i].published)
			continue;
		rig->grant[i].published = true;
		rig_allow(rig, rig->grant[i].gpa, rig->grant[i].len, true);
	}
	/* Last first, as a packed ring's driver must. */
	for (i = chain.nr; i-- > 0; ) {
		unsigned int at = (chain.first + i) % rig->size;
		bool wrap = chain.first + i >= rig->size ? !chain.wrap :
							    chain.wrap;
		uint16_t flags = rig->desc[at].flags;

		if (rig->packed)
			flags |= wrap ? PACKED_AVAIL : PACKED_USED;
		rig_write_desc(rig, ring + at * 16, &rig->desc[at], flags);
	}
	if (rig->packed)
		rig->made_available[chain.id]++;
	else
		rig_make_available(rig, chain.id);
}

struct rig_chain rig_add(struct rig *rig, const char *text)
{
	struct rig_chain chain = rig_chain(rig, text);

	rig_publish(rig, chain);
	return chain;
}

/* --- expectations -------------------------------------------------------- */

unsigned int rig_serve(struct rig *rig)
{
	static const uint8_t answer[4096] = { 0xa5, 0xa5, 0xa5 };
	struct pvio_chain *chain;
	unsigned int n = 0;

	while ((chain = pvio_vq_pop(rig->vq))) {
		size_t at, put;

		for (at = 0; at < chain->writable; at += put) {
			put = pvio_chain_put(chain, at, answer,
					     sizeof(answer));
			ck_assert_uint_gt(put, 0);
		}
		pvio_vq_push(rig->vq, chain, chain->writable);
		n++;
	}
	pvio_vq_flush(rig->vq);
	return n;
}

bool rig_next_used(struct rig *rig, uint32_t *id, uint32_t *len)
{
	if (rig->packed) {
		struct vring_packed_desc *ring =
			guest_ring_raw_desc(rig->ring);
		uint64_t word = le64toh(pvio_load_acquire(
			(uint64_t *)&ring[rig->used_idx] + 1));
		uint16_t flags = (uint16_t)(word >> 48);
		uint16_t both = PACKED_AVAIL | PACKED_USED;

		if ((flags & both) != (rig->used_wrap ? both : 0))
			return false;
		*id = (uint16_t)(word >> 32);
		*len = (uint32_t)word;
		ck_assert_int_eq(!!(flags & VRING_DESC_F_WRITE), *len != 0);
		/* How many descriptors to skip is the driver's to know. */
		rig->used_idx = (uint16_t)(rig->used_idx +
					   rig->nr_desc[*id]);
		if (rig->used_idx >= rig->size) {
			rig->used_idx = (uint16_t)(rig->used_idx - rig->size);
			rig->used_wrap = !rig->used_wrap;
		}
		return true;
	} else {
		struct vring_used *used = guest_ring_raw_device(rig->ring);
		struct vring_used_elem *elem =
			&used->ring[rig->used_idx % rig->size];

		if (le16toh(pvio_load_acquire(&used->idx)) == rig->used_idx)
			return false;
		*id = le32toh(elem->id);
		*len = le32toh(elem->len);
		rig->used_idx++;
		return true;
	}
}

void rig_expect_used(struct rig *rig, uint16_t id, uint32_t len)
{
	uint32_t got_id, got_len;

	ck_assert_msg(rig_next_used(rig, &got_id, &got_len),
		      "no used entry, expected %u", id);
	ck_assert_uint_eq(got_id, id);
	ck_assert_uint_eq(got_len, len);
	rig->answered[id]++;
	ck_assert_uint_le(rig->answered[id], rig->made_available[id]);
	rig_revoke(rig, id, len == 0);
}

void rig_expect_none_used(struct rig *rig)
{
	uint32_t id, len;

	ck_assert(!rig_next_used(rig, &id, &len));
}

uint64_t rig_faults(const struct rig *rig, enum pvio_fault fault)
{
	return rig->vq->stats.faults[fault];
}

void rig_expect_untouched(struct rig *rig)
{
	unsigned int r;

	for (r = 0; r < RIG_REGIONS; r++) {
		const uint8_t *now = rig->mem.region[r].host;
		uint64_t i, size = rig->mem.region[r].size;

		if (memcmp(now, rig->before[r], size) == 0)
			continue;
		for (i = 0; i < size; i++)
			/* Check's own assertions cost too much for each. */
			if (now[i] != rig->before[r][i] &&
			    !rig->may_write[r][i])
				ck_abort_msg("the device wrote gpa %#llx",
					     (unsigned long long)
						     rig_region[r].gpa +
						     i);
	}
}

void rig_expect_sound(struct rig *rig)
{
	struct rig_chain good;

	ck_assert_int_eq(rig->vq->state, PVIO_VQ_RUNNING);
	rig_expect_none_used(rig);
	good = rig_add(rig, "r16 w32");
	ck_assert_uint_eq(rig_serve(rig), 1);
	rig_expect_used(rig, good.id, 32);
	rig_expect_none_used(rig);
	rig_expect_untouched(rig);
	ck_assert_uint_eq(rig->vq->nr_in_flight, 0);
}

void rig_expect_refused(struct rig *rig, struct rig_chain bad,
			enum pvio_fault fault)
{
	struct rig_chain good = rig_add(rig, "r16 w8");

	ck_assert_uint_eq(rig_serve(rig), 1);
	rig_expect_used(rig, bad.id, 0);
	rig_expect_used(rig, good.id, 8);
	ck_assert_uint_eq(rig_faults(rig, fault), 1);
	rig_expect_sound(rig);
}

void rig_expect_reset(struct rig *rig)
{
	uint64_t eventfd_value;
	unsigned int r;

	ck_assert_int_eq(rig->vq->state, PVIO_VQ_BROKEN);
	ck_assert_uint_eq(rig_faults(rig, PVIO_FAULT_RING), 1);
	rig_expect_untouched(rig);
	/* Whatever comes, nothing is read, written or signalled. */
	(void)!read(rig->call_fd, &eventfd_value, sizeof(eventfd_value));
	for (r = 0; r < RIG_REGIONS; r++)
		memcpy(rig->before[r], rig->mem.region[r].host,
		       rig->mem.region[r].size);
	ck_assert_ptr_null(pvio_vq_pop(rig->vq));
	ck_assert(!pvio_vq_has_available(rig->vq));
	ck_assert(!pvio_vq_enable_kick(rig->vq));
	pvio_vq_disable_kick(rig->vq);
	pvio_vq_flush(rig->vq);
	for (r = 0; r < RIG_REGIONS; r++)
		ck_assert_mem_eq(rig->mem.region[r].host, rig->before[r],
				 rig->mem.region[r].size);
	ck_assert_int_lt((int)read(rig->call_fd, &eventfd_value,
				   sizeof(eventfd_value)),
			 0);

	/* Reset: the driver begins anew, and so does the queue. */
	pvio_vq_stop(rig->vq);
	rig_fini(rig);
	rig_init(rig, rig->size, rig->flags);
	rig_expect_sound(rig);
}
