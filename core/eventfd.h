/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * eventfd.h - signal a peer's eventfd, and not be held up by it
 *
 * The eventfds that notify a driver are its VMM's.  We make them nonblocking,
 * but the open file is shared: a hostile VMM can take that back and fill the
 * counter, and the next write then sleeps until the VMM pleases.  A process
 * that serves several, or that nobody kills when it does not end, starts the
 * watch: a thread that interrupts a write which does not end.
 */
#ifndef PVIO_CORE_EVENTFD_H
#define PVIO_CORE_EVENTFD_H

#include <stdbool.h>

#pragma GCC visibility push(default)

/* Is @fd an eventfd?  Without /proc, whatever looks like one. */
bool pvio_eventfd_is(int fd);
/* -errno.  The flag is the open file's: the peer shares it, and may undo it. */
int pvio_eventfd_set_nonblocking(int fd);
/*
 * A nonblocking duplicate of @fd, to be closed.  -EINVAL: it is no eventfd;
 * -EMFILE, -EBADF.
 */
int pvio_eventfd_dup(int fd);

/* Do both stand for one counter?  Without /proc: false. */
bool pvio_eventfd_is_same(int a, int b);

/*
 * Add 1 to @fd.  Any thread.  0: done, or the counter is full and so its
 * reader told already.  -EINTR: it blocked; let go of it.  Or -errno of write.
 */
int pvio_eventfd_signal(int fd);

/*
 * From now on writes that block are interrupted within PVIO_EVENTFD_WATCH_MS,
 * by signal @signo, whose action becomes ours.  Once in a process, before the
 * threads that are to be watched signal anything; it lasts.  -errno.
 */
#define PVIO_EVENTFD_WATCH_MS 500
int pvio_eventfd_watch(int signo);

#pragma GCC visibility pop
#endif
