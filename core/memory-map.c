/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory-map.c - the table of regions: translation, and the dirty log
 *
 * A map never changes once it is built, so any thread that holds a reference
 * translates with it without a lock.  Regions are sorted by guest address and
 * do not overlap; none reaches the end of the 64-bit space, so the sum of a
 * region's start and size never wraps.
 *
 * Most buffers lie in one region, and mostly in the one that the buffer before
 * was in: that case is a subtraction and two comparisons, inline in memory.h.
 * The rest is a binary search for each piece.
 */
#include "memory.h"

#include "memory-sigbus.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define LOG_PAGE_SHIFT 12 /* of vhost-user's dirty log, whatever the host's */

/* --- building a map ------------------------------------------------------ */

static int region_check(const struct pvio_region *r)
{
	if (!r->mapping || r->size == 0 ||
	    !pvio_range_ok(r->offset, r->size, pvio_mapping_size(r->mapping)) ||
	    r->size > UINT64_MAX - r->gpa || r->size > UINT64_MAX - r->uva)
		return -EINVAL;
	return 0;
}

static int region_compare(const void *a, const void *b)
{
	const struct pvio_region *ra = a, *rb = b;

	return ra->gpa < rb->gpa ? -1 : ra->gpa > rb->gpa;
}

/* Who keeps a sorted list, and changes one, shall not pay for sorting all. */
static void regions_sort(struct pvio_region *r, uint32_t nr)
{
	uint32_t i;

	for (i = 1; i < nr; i++) {
		if (r[i - 1].gpa <= r[i].gpa)
			continue;
		qsort(r, nr, sizeof(*r), region_compare);
		return;
	}
}

static bool regions_overlap(uint64_t a, uint64_t a_size, uint64_t b,
			    uint64_t b_size)
{
	return a < b ? b - a < a_size : a - b < b_size;
}

static int map_check_overlap(const struct pvio_map *map)
{
	const struct pvio_region *r = map->region;
	uint32_t i, j;

	/* Sorted: in gpa it is enough to look at neighbours. */
	for (i = 1; i < map->nr; i++)
		if (regions_overlap(r[i - 1].gpa, r[i - 1].size, r[i].gpa,
				    r[i].size))
			return -EEXIST;
	for (i = 0; i < map->nr; i++)
		for (j = 0; r[i].uva && j < i; j++)
			if (r[j].uva &&
			    regions_overlap(r[i].uva, r[i].size, r[j].uva,
					    r[j].size))
				return -EEXIST;
	return 0;
}

int pvio_map_create(const struct pvio_region *regions, unsigned int nr,
		    struct pvio_map **out)
{
	struct pvio_map *map;
	unsigned int i;
	int rc;

	if (nr > PVIO_MAP_MANY_REGIONS)
		return -ENOSPC;
	for (i = 0; i < nr; i++) {
		rc = region_check(&regions[i]);
		if (rc < 0)
			return rc;
	}
	map = calloc(1, sizeof(*map) + nr * sizeof(map->region[0]));
	if (!map)
		return -ENOMEM;
	map->refs = 1;
	map->nr = nr;
	map->lost_hint = &pvio_sigbus_any_lost;
	if (nr) {
		memcpy(map->region, regions, nr * sizeof(*regions));
		regions_sort(map->region, nr);
	}
	rc = map_check_overlap(map);
	if (rc < 0) {
		free(map);
		return rc;
	}
	for (i = 0; i < nr; i++) {
		pvio_mapping_get(map->region[i].mapping);
		map->region[i].host = pvio_mapping_host(map->region[i].mapping);
		map->region[i].prot = pvio_mapping_prot(map->region[i].mapping);
		map->is_limited |= ~map->region[i].prot &
				   (PROT_READ | PROT_WRITE);
		map->region[i].host += map->region[i].offset;
	}
	*out = map;
	return 0;
}

struct pvio_map *pvio_map_get(struct pvio_map *map)
{
	__atomic_fetch_add(&map->refs, 1, __ATOMIC_RELAXED);
	return map;
}

void pvio_map_put(struct pvio_map *map)
{
	uint32_t i;

	if (!map || __atomic_sub_fetch(&map->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (i = 0; i < map->nr; i++)
		pvio_mapping_put(map->region[i].mapping);
	if (map->log) {
		pvio_mapping_put(map->log->mapping);
		free(map->log);
	}
	free(map);
}

bool pvio_map_find_lost(const struct pvio_map *map)
{
	uint32_t i;

	/* Only what has faulted: this may be asked for every chain. */
	for (i = 0; i < map->nr; i++)
		if (pvio_mapping_has_faulted(map->region[i].mapping))
			return true;
	return map->log && pvio_mapping_has_faulted(map->log->mapping);
}

/* --- translation --------------------------------------------------------- */

const struct pvio_region *pvio_map_find(const struct pvio_map *map,
					uint64_t gpa)
{
	uint32_t low = 0, high = map->nr;

	/* The region, if any, is in [low, high). */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct pvio_region *r = &map->region[middle];

		if (gpa < r->gpa)
			high = middle;
		else if (gpa - r->gpa >= r->size)
			low = middle + 1;
		else
			return r;
	}
	return NULL;
}

/* More than the one piece that pvio_map_at() finds. */
static pvio_cold int map_iov_pieces(const struct pvio_map *map,
				    const struct pvio_region **hint,
				    uint64_t gpa, uint64_t len,
				    struct iovec *iov, int max)
{
	const struct pvio_region *r;
	uint64_t piece;
	int nr = 0;

	while (len > 0) {
		r = pvio_map_find(map, gpa);
		if (!r)
			return -EFAULT;
		if (nr == max)
			return -E2BIG;
		piece = pvio_min(len, r->size - (gpa - r->gpa));
		iov[nr].iov_base = r->host + (gpa - r->gpa);
		iov[nr].iov_len = piece;
		nr++;
		*hint = r;
		/* Ends at most where the region does: it does not wrap. */
		gpa += piece;
		len -= piece;
	}
	return nr;
}

int pvio_map_iov(const struct pvio_map *map, const struct pvio_region **hint,
		 uint64_t gpa, uint64_t len, struct iovec *iov, int max)
{
	const struct pvio_region *r = *hint;

	if (likely(r && max > 0 && len > 0 &&
		   pvio_range_ok(gpa - r->gpa, len, r->size))) {
		iov->iov_base = r->host + (gpa - r->gpa);
		iov->iov_len = len;
		return 1;
	}
	return map_iov_pieces(map, hint, gpa, len, iov, max);
}

bool pvio_map_allows(const struct pvio_map *map, uint64_t gpa, uint64_t len,
		     int prot)
{
	const struct pvio_region *r;
	uint64_t piece;

	while (len > 0) {
		r = pvio_map_find(map, gpa);
		if (!r || (r->prot & prot) != prot)
			return false;
		piece = pvio_min(len, r->size - (gpa - r->gpa));
		gpa += piece;
		len -= piece;
	}
	return true;
}

int pvio_map_uva_to_gpa(const struct pvio_map *map, uint64_t uva, uint64_t len,
			uint64_t *gpa)
{
	uint32_t i;

	for (i = 0; i < map->nr; i++) {
		const struct pvio_region *r = &map->region[i];

		if (r->uva == 0 || uva - r->uva >= r->size ||
		    !pvio_range_ok(uva - r->uva, len, r->size))
			continue;
		*gpa = r->gpa + (uva - r->uva);
		return 0;
	}
	return -EFAULT;
}

/* --- dirty log ----------------------------------------------------------- */

uint64_t pvio_map_log_bytes(const struct pvio_map *map)
{
	const struct pvio_region *last;

	if (map->nr == 0)
		return 0;
	last = &map->region[map->nr - 1];
	return ((last->gpa + last->size - 1) >> LOG_PAGE_SHIFT) / 8 + 1;
}

int pvio_map_set_log(struct pvio_map *map, struct pvio_mapping *bitmap,
		     uint64_t bytes)
{
	struct pvio_dirty_log *log;

	if (bytes > pvio_mapping_size(bitmap))
		return -EINVAL;
	log = calloc(1, sizeof(*log));
	if (!log)
		return -ENOMEM;
	pvio_mapping_get(bitmap);
	log->mapping = bitmap;
	log->bits = pvio_mapping_host(bitmap);
	log->bytes = bytes;
	if (map->log) {
		pvio_mapping_put(map->log->mapping);
		free(map->log);
	}
	map->log = log;
	return 0;
}

void pvio_map_log_gpa(const struct pvio_map *map, uint64_t gpa, uint64_t len)
{
	const struct pvio_dirty_log *log = map->log;
	uint64_t page, last, at;
	uint8_t bits;

	if (!log || len == 0)
		return;
	page = gpa >> LOG_PAGE_SHIFT;
	last = len - 1 > UINT64_MAX - gpa ? UINT64_MAX : gpa + len - 1;
	last >>= LOG_PAGE_SHIFT;
	while (page <= last && page / 8 < log->bytes) {
		at = page / 8;
		for (bits = 0; page <= last && page / 8 == at; page++)
			bits |= (uint8_t)(1u << page % 8);
		/*
		 * Barrier L: what was written to the page is there before its
		 * bit.  The front-end takes the bits by an atomic exchange
		 * before it copies pages.  Not skipped when the bits seem set:
		 * that load could pass our writes to the page.
		 */
		pvio_or_release(&log->bits[at], bits);
	}
}

/* The region of @map that has host address @p, starting to look at @hint. */
static const struct pvio_region *map_find_host(const struct pvio_map *map,
					       const struct pvio_region *hint,
					       const uint8_t *p)
{
	uint32_t i;

	if (hint && (uintptr_t)p - (uintptr_t)hint->host < hint->size)
		return hint;
	for (i = 0; i < map->nr; i++) {
		const struct pvio_region *r = &map->region[i];

		if ((uintptr_t)p - (uintptr_t)r->host < r->size)
			return r;
	}
	return NULL;
}

void pvio_map_log_iov(const struct pvio_map *map, const struct iovec *iov,
		      int nr, uint64_t len)
{
	const struct pvio_region *r = NULL;
	int i;

	if (!map->log)
		return;
	for (i = 0; i < nr && len > 0; i++) {
		uint8_t *p = iov[i].iov_base;
		uint64_t left = pvio_min(iov[i].iov_len, len);

		len -= left;
		while (left > 0 && (r = map_find_host(map, r, p)) != NULL) {
			uint64_t in_region = (uint64_t)(p - r->host);
			uint64_t piece = pvio_min(left, r->size - in_region);

			pvio_map_log_gpa(map, r->gpa + in_region, piece);
			p += piece;
			left -= piece;
		}
	}
}
