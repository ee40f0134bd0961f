/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arena.h - pages of a window that chains are copied to, and given back
 *
 * For one thread.  Nothing of it is in the window but the pages themselves.
 */
#ifndef PVIO_VHOST_PCI_ARENA_H
#define PVIO_VHOST_PCI_ARENA_H

#include <stdint.h>

#define ARENA_PAGE_BYTES 4096u

struct arena_run {
	uint32_t page, nr;
};

struct arena {
	uint64_t *taken; /* owned; a bit a page */
	uint32_t nr, nr_free;
	uint32_t hint; /* where the last run ended */
};

static inline uint32_t arena_pages(uint64_t bytes)
{
	return (uint32_t)((bytes + ARENA_PAGE_BYTES - 1) / ARENA_PAGE_BYTES);
}

/* @nr pages, all free.  -ENOMEM. */
int arena_init(struct arena *arena, uint32_t nr);
void arena_fini(struct arena *arena);
/* All are free again. */
void arena_clear(struct arena *arena);

/*
 * Take @nr pages (not 0), as one run if there is one, else as up to @max.
 * Returns how many runs, or -ENOSPC: not now.  Where all pages are free they
 * are one run.
 */
int arena_take(struct arena *arena, uint32_t nr, struct arena_run *run,
	       unsigned int max);
void arena_give(struct arena *arena, const struct arena_run *run);

#endif
