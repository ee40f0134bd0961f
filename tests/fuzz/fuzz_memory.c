/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_memory.c - translation, dirty log and iovecs against a model of them
 *
 * The input is a program: regions, then operations on addresses near theirs
 * and near the ends of the address space.  The model looks at every region;
 * both must agree.
 */
#include "core/memory.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_REGIONS 6
#define ARENA	    0x4000
#define MAX_IOV	    8
#define LOG_BYTES   64

static uint8_t arena[MAX_REGIONS][ARENA];

struct input {
	const uint8_t *p, *end;
};

static unsigned int take(struct input *in, unsigned int max)
{
	return in->p < in->end ? *in->p++ % (max + 1) : 0;
}

/* A number near one of those where arithmetic goes wrong. */
static uint64_t take_address(struct input *in)
{
	static const uint64_t near[] = {
		0, 0x1000, 0x2000, 0x4000, 0x8000, 1ULL << 32, 1ULL << 63,
		UINT64_MAX - 0x4000, UINT64_MAX - 0xff,
	};
	uint64_t base = near[take(in, pvio_array_size(near) - 1)];

	return base + (uint64_t)take(in, 255) * (take(in, 1) ? 1 : 64);
}

static uint64_t take_length(struct input *in)
{
	static const uint64_t near[] = { 0, 1, 2, 0x40, 0x1000, 0x2000,
					 ARENA, UINT64_MAX };

	return near[take(in, pvio_array_size(near) - 1)] - take(in, 3);
}

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* --- the model ----------------------------------------------------------- */

struct model {
	struct pvio_region r[MAX_REGIONS];
	unsigned int nr;
};

static const struct pvio_region *model_find(const struct model *m, uint64_t gpa)
{
	unsigned int i;

	for (i = 0; i < m->nr; i++)
		if (gpa >= m->r[i].gpa && gpa - m->r[i].gpa < m->r[i].size)
			return &m->r[i];
	return NULL;
}

/* Where byte @i from @gpa is; NULL for nowhere, or past the last address. */
static uint8_t *model_byte(const struct model *m, uint64_t gpa, uint64_t i)
{
	const struct pvio_region *r;

	if (i > UINT64_MAX - gpa)
		return NULL;
	r = model_find(m, gpa + i);
	if (!r)
		return NULL;
	return (uint8_t *)pvio_mapping_host(r->mapping) + (gpa + i - r->gpa);
}

static bool model_is_legal(const struct model *m)
{
	unsigned int i, j;

	for (i = 0; i < m->nr; i++) {
		const struct pvio_region *r = &m->r[i];

		if (r->size == 0 || r->size > ARENA ||
		    r->gpa + r->size < r->gpa)
			return false;
		for (j = 0; j < i; j++)
			if (r->gpa < m->r[j].gpa + m->r[j].size &&
			    m->r[j].gpa < r->gpa + r->size)
				return false;
	}
	return true;
}

/* --- operations ---------------------------------------------------------- */

static void compare_translation(const struct pvio_map *map,
				const struct model *m,
				const struct pvio_region **hint, uint64_t gpa,
				uint64_t len)
{
	struct iovec iov[MAX_REGIONS], small;
	const struct pvio_region *r;
	uint64_t i, at = 0;
	int nr, k;
	uint8_t *p;

	nr = pvio_map_iov(map, hint, gpa, len, iov, MAX_REGIONS);
	if (nr < 0) {
		check(nr == -EFAULT);
		/* Some byte is in no region; no region reaches the end. */
		for (i = 0; i < len; i = r->gpa + r->size - gpa) {
			r = model_find(m, gpa + i);
			if (!r)
				break;
		}
		check(i < len);
	}
	/* A region is in one piece: the ends of an entry say where it all is. */
	for (k = 0; k < nr; k++) {
		check(iov[k].iov_len > 0);
		check(iov[k].iov_base == model_byte(m, gpa, at));
		at += iov[k].iov_len;
		check((uint8_t *)iov[k].iov_base + iov[k].iov_len - 1 ==
		      model_byte(m, gpa, at - 1));
	}
	if (nr >= 0)
		check(at == len);
	if (nr > 1)
		check(pvio_map_iov(map, hint, gpa, len, &small, 1) == -E2BIG);

	p = pvio_map_at(map, hint, gpa, len);
	if (len > 0)
		check((p != NULL) == (nr == 1));
	if (p && len > 0)
		check(p == model_byte(m, gpa, 0) &&
		      p + len - 1 == model_byte(m, gpa, len - 1));
}

static void compare_log(const struct pvio_map *map, uint8_t *bits,
			uint64_t gpa, uint64_t len)
{
	uint64_t page, last = len - 1 > UINT64_MAX - gpa ? UINT64_MAX :
							   gpa + len - 1;

	memset(bits, 0, LOG_BYTES + 1);
	pvio_map_log_gpa(map, gpa, len);
	for (page = 0; page < LOG_BYTES * 8; page++) {
		bool is_set = bits[page / 8] >> (page % 8) & 1;

		check(is_set == (len > 0 && page >= gpa >> 12 &&
				 page <= last >> 12));
	}
	check(bits[LOG_BYTES] == 0);
}

/* Cut iovecs out of two arenas, and compare slices and copies of them. */
static void compare_iovecs(struct input *in)
{
	static uint8_t flat[ARENA], other[ARENA];
	struct iovec from[4], to[4], slice[4];
	size_t i, nr_bytes = 0, offset, at, len, n;
	int k, nr;

	for (k = 0; k < 4; k++) {
		from[k].iov_base = arena[0] + 1024 * k + take(in, 255);
		from[k].iov_len = take(in, 255);
		to[k].iov_base = arena[1] + 1024 * (3 - k);
		to[k].iov_len = take(in, 255);
		memcpy(flat + nr_bytes, from[k].iov_base, from[k].iov_len);
		nr_bytes += from[k].iov_len;
	}
	offset = take_length(in);
	len = take_length(in);
	at = take(in, 255);
	check(pvio_iov_length(from, 4) == nr_bytes);

	nr = pvio_iov_slice(from, 4, offset, len, slice, 4);
	if (!pvio_range_ok(offset, len, nr_bytes)) {
		check(nr == -EFAULT);
	} else {
		check(nr >= 0 && pvio_iov_length(slice, nr) == len);
		check(pvio_iov_get(slice, nr, 0, other, ARENA) == len);
		check(memcmp(other, flat + offset, len) == 0);
	}

	n = pvio_iov_copy(to, 4, at, from, 4, offset, len);
	len = offset < nr_bytes ? pvio_min(len, nr_bytes - offset) : 0;
	i = pvio_iov_length(to, 4);
	len = at < i ? pvio_min(len, i - at) : 0;
	check(n == len && pvio_iov_get(to, 4, at, other, n) == n);
	check(memcmp(other, flat + (n ? offset : 0), n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	struct pvio_mapping *mapping[MAX_REGIONS], *log;
	const struct pvio_region *hint = NULL;
	uint8_t bits[LOG_BYTES + 1];
	struct pvio_map *map = NULL;
	struct model m = { .nr = 0 };
	unsigned int i;
	int rc;

	for (i = 0; i < 4096; i++)
		arena[0][i] = (uint8_t)(i * 31 + (i >> 8));
	for (i = 0; i < MAX_REGIONS; i++)
		if (pvio_mapping_wrap(arena[i], ARENA, &mapping[i]) < 0)
			return 0;
	m.nr = take(&in, MAX_REGIONS);
	for (i = 0; i < m.nr; i++) {
		m.r[i].gpa = take_address(&in);
		m.r[i].size = take_length(&in);
		m.r[i].mapping = mapping[i];
	}
	rc = pvio_map_create(m.r, m.nr, &map);
	check((rc == 0) == model_is_legal(&m));
	if (rc == 0 && pvio_mapping_wrap(bits, LOG_BYTES, &log) == 0) {
		rc = pvio_map_set_log(map, log, LOG_BYTES);
		pvio_mapping_put(log);
	}
	while (rc == 0 && in.p < in.end) {
		uint64_t gpa = take_address(&in), len = take_length(&in);

		compare_translation(map, &m, &hint, gpa, len);
		compare_log(map, bits, gpa, len);
		compare_iovecs(&in);
	}
	pvio_map_put(map);
	for (i = 0; i < MAX_REGIONS; i++)
		pvio_mapping_put(mapping[i]);
	return 0;
}
