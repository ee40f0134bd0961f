/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arena.c - pages of a window that chains are copied to, and given back
 *
 * A bitmap, searched from where the last run ended: requests come and go in
 * about the same order, so what is free is nearly always ahead, and whole.
 */
#include "arena.h"

#include "core/util.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int arena_init(struct arena *arena, uint32_t nr)
{
	arena->taken = calloc(nr / 64 + 1, sizeof(*arena->taken));
	if (!arena->taken)
		return -ENOMEM;
	arena->nr = nr;
	arena_clear(arena);
	return 0;
}

void arena_fini(struct arena *arena)
{
	free(arena->taken);
	*arena = (struct arena){ .taken = NULL };
}

void arena_clear(struct arena *arena)
{
	memset(arena->taken, 0, (arena->nr / 64 + 1) * sizeof(*arena->taken));
	arena->nr_free = arena->nr;
	arena->hint = 0;
}

static bool arena_is_taken(const struct arena *arena, uint32_t page)
{
	return arena->taken[page / 64] >> (page % 64) & 1;
}

static void arena_mark(struct arena *arena, const struct arena_run *run,
		       bool is_taken)
{
	uint32_t page;

	for (page = run->page; page < run->page + run->nr; page++) {
		assert(arena_is_taken(arena, page) != is_taken);
		arena->taken[page / 64] ^= UINT64_C(1) << page % 64;
	}
	if (is_taken)
		arena->nr_free -= run->nr;
	else
		arena->nr_free += run->nr;
}

/*
 * The first run of free pages in [from, to), cut at @max.  Its nr is 0: there
 * is none.
 */
static struct arena_run arena_next(const struct arena *arena, uint32_t from,
				   uint32_t to, uint32_t max)
{
	struct arena_run run = { .page = from, .nr = 0 };
	uint64_t free_ones;

	while (run.page < to) {
		free_ones = ~arena->taken[run.page / 64] >> (run.page % 64);
		if (free_ones) {
			run.page += (uint32_t)__builtin_ctzll(free_ones);
			break;
		}
		run.page += 64 - run.page % 64;
	}
	while (run.page + run.nr < to && run.nr < max &&
	       !arena_is_taken(arena, run.page + run.nr))
		run.nr++;
	return run;
}

/* One run of @nr pages in [from, to).  False: there is none. */
static bool arena_find(const struct arena *arena, uint32_t from, uint32_t to,
		       uint32_t nr, struct arena_run *run)
{
	*run = arena_next(arena, from, to, nr);
	while (run->nr > 0 && run->nr < nr)
		*run = arena_next(arena, run->page + run->nr, to, nr);
	return run->nr == nr;
}

/* Whatever there is, from the start, in @max runs. */
static int arena_gather(struct arena *arena, uint32_t nr, struct arena_run *run,
			unsigned int max)
{
	uint32_t at = 0;
	unsigned int n;

	for (n = 0; n < max; n++) {
		run[n] = arena_next(arena, at, arena->nr, nr);
		if (run[n].nr == 0)
			return -ENOSPC;
		at = run[n].page + run[n].nr;
		nr -= run[n].nr;
		if (nr == 0)
			return (int)n + 1;
	}
	return -ENOSPC;
}

int arena_take(struct arena *arena, uint32_t nr, struct arena_run *run,
	       unsigned int max)
{
	int i, n = 1;

	if (nr > arena->nr_free)
		return -ENOSPC;
	if (!arena_find(arena, arena->hint, arena->nr, nr, run) &&
	    !arena_find(arena, 0, arena->nr, nr, run))
		n = arena_gather(arena, nr, run, max);
	for (i = 0; i < n; i++)
		arena_mark(arena, &run[i], true);
	if (n > 0)
		arena->hint = run[n - 1].page + run[n - 1].nr;
	return n;
}

void arena_give(struct arena *arena, const struct arena_run *run)
{
	arena_mark(arena, run, false);
}
