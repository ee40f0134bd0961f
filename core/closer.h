/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * closer.h - closing what a peer sent, where it holds up nobody else
 *
 * A file descriptor that comes from outside can be of any kind, and ours its
 * last reference.  Then close() takes as long as its sender likes: of a TCP
 * socket with SO_LINGER, for one, until somebody reads what is in it.
 */
#ifndef PVIO_CORE_CLOSER_H
#define PVIO_CORE_CLOSER_H

#include <stdbool.h>

/* So many may wait; with more no more are received. */
#define PVIO_CLOSER_MAX_PENDING 256
/* So many may come, at most, between two questions whether it is full. */
#define PVIO_CLOSER_MAX_AT_ONCE 4096

/* One for each place that peers come from: they hold up each other. */
struct pvio_closer;

/* -ENOMEM. */
int pvio_closer_create(struct pvio_closer **closer);
/* Waits for nothing: what it has is closed after it.  NULL is allowed. */
void pvio_closer_destroy(struct pvio_closer *closer);

/*
 * Take @fd and close it, soon.  Never blocks.  One thread at a time calls this
 * and the next.  @closer may be NULL: what was received is our own, and is
 * closed at once.
 */
void pvio_closer_close(struct pvio_closer *closer, int fd);
/* Receive nothing, and accept nobody, while this is so. */
bool pvio_closer_is_full(struct pvio_closer *closer);

#endif
