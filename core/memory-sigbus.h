/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory-sigbus.h - surviving files that shrink under a mapping
 *
 * For core/memory.c only.
 */
#ifndef PVIO_CORE_MEMORY_SIGBUS_H
#define PVIO_CORE_MEMORY_SIGBUS_H

#include <stdbool.h>
#include <stddef.h>

/* Set while some watched range is lost. */
extern bool pvio_sigbus_any_lost;

/*
 * Watch [start, start + len), whole pages of @page bytes mapped with @prot.
 * Returns a slot number, or -ENOSPC, or -errno of sigaction.  Control thread.
 */
int pvio_sigbus_watch(void *start, size_t len, size_t page, int prot);
/* Stop watching, before the range is unmapped. */
void pvio_sigbus_unwatch(int slot);
/* Has a page of it been replaced?  Any thread. */
bool pvio_sigbus_is_lost(int slot);

#endif
