/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * worker.h - event loops: the control loop and the threads that serve queues
 *
 * Every device has one control worker, on which its configuration, connection
 * and memory map change, and one or more queue workers.  They may be the same
 * worker; a program that wants no threads uses one and steps it itself.
 *
 * A worker runs on one thread at a time: its own (pvio_worker_start), the
 * caller's until told to stop (pvio_worker_run), or the caller's a little at a
 * time (pvio_worker_step).
 */
#ifndef PVIO_WORKER_H
#define PVIO_WORKER_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct pvio_worker;

/*
 * Create a worker.  @name is copied and names the thread.  -ENOMEM, -EMFILE.
 * Destroy it with pvio_worker_destroy() after every device that uses it.
 */
int pvio_worker_create(const char *name, struct pvio_worker **worker);

/* Stop @worker if it runs on its own thread, and free it.  NULL is allowed. */
void pvio_worker_destroy(struct pvio_worker *worker);

/*
 * Run @worker on a thread of its own, with all signals blocked, until
 * pvio_worker_stop().  -EBUSY when it has one already, or -errno.
 */
int pvio_worker_start(struct pvio_worker *worker);

/* End the worker's thread and wait for it.  Not from the worker itself. */
void pvio_worker_stop(struct pvio_worker *worker);

/* Run on the calling thread until pvio_worker_break(). */
void pvio_worker_run(struct pvio_worker *worker);

/* Make pvio_worker_run() return soon.  Any thread; async-signal-safe. */
void pvio_worker_break(struct pvio_worker *worker);

/*
 * Do everything that is ready now, and return without waiting.  True when
 * something was done: call again until false to come to rest.
 */
bool pvio_worker_step(struct pvio_worker *worker);

/*
 * Poll queues for @usec microseconds after their last work before waiting for
 * kicks: 0 never polls, UINT_MAX never sleeps.  Any thread, at any time; takes
 * effect on the next turn.  A device's "poll_us" key sets it for its workers.
 */
void pvio_worker_set_poll(struct pvio_worker *worker, unsigned int usec);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
