/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * worker.h - what runs on a worker, and when
 *
 * A worker is a libevent loop with four things of its own.  One turn is:
 *
 *	events      fds and timers that are ready (libevent); waits only when
 *	            nothing below has anything to do
 *	mailbox     tasks posted by other threads
 *	run list    jobs that asked to run: queues with work, backends to retry.
 *	            Each runs once a turn, in the order they asked, so one busy
 *	            queue cannot keep the others waiting
 *	turn's end  flushes: submit the backend's batch, publish used entries,
 *	            notify.  Once a turn, however many requests it served
 *
 * While it has work, and for a poll budget after, the worker also calls its
 * pollers, which look for work without waiting for its event: rings whose
 * kicks are off, completion queues.
 *
 * Everything here but pvio_worker_post() is for the worker's own thread, or
 * for any thread while the worker is not running.
 */
#ifndef PVIO_CORE_WORKER_H
#define PVIO_CORE_WORKER_H

#include "util.h"

#include <pvio/worker.h>

#pragma GCC visibility push(default)

struct event_base;

/* The libevent base, for fds and timers. */
struct event_base *pvio_worker_base(struct pvio_worker *worker);

/* Is the caller on the worker's thread, or is the worker not running? */
bool pvio_worker_is_mine(const struct pvio_worker *worker);

/* How often turns have been made: what was queued before is done two later. */
uint64_t pvio_worker_turns(const struct pvio_worker *worker);

/*
 * As pvio_worker_step(), but wait up to @timeout_ms (-1: for ever) until there
 * is something to do.  False when the time ran out.
 */
bool pvio_worker_wait(struct pvio_worker *worker, int timeout_ms);

/*
 * A task posted from any thread.  The struct is the caller's and must stay
 * until @fn is called, which happens once, on the worker.  Tasks of one poster
 * run in the order posted.  Posting a task that is pending is an error.
 */
struct pvio_task {
	void (*fn)(struct pvio_task *task);
	struct pvio_task *next; /* the mailbox's */
};
void pvio_worker_post(struct pvio_worker *worker, struct pvio_task *task);

/* A job on the run list or on the turn's-end list.  Initialise with _init. */
struct pvio_job {
	void (*fn)(struct pvio_job *job);
	struct pvio_list node;
};
static inline void pvio_job_init(struct pvio_job *job,
				 void (*fn)(struct pvio_job *job))
{
	job->fn = fn;
	pvio_list_init(&job->node);
}
static inline bool pvio_job_is_pending(const struct pvio_job *job)
{
	return !pvio_list_empty(&job->node);
}
/* Run @job soon: this turn, or the next if the list is being run.  Idempotent. */
void pvio_worker_schedule(struct pvio_worker *worker, struct pvio_job *job);
/* Run @job at the end of this turn.  Idempotent within the turn. */
void pvio_worker_at_turn_end(struct pvio_worker *worker, struct pvio_job *job);
/* Take it off whichever list it is on. */
void pvio_job_cancel(struct pvio_job *job);

/*
 * A poller: called over and over while the worker polls.  Returns true when it
 * found work (which it did, or scheduled).  May not block.
 *
 * When the budget runs out each poller's @sleep is called, which must arm the
 * event it will be woken by and look once more; true means there is work after
 * all and the worker goes on.  NULL: nothing to arm.  Also called
 * when polling is switched off while it was on.
 */
struct pvio_poller {
	bool (*poll)(struct pvio_poller *poller);
	bool (*sleep)(struct pvio_poller *poller);
	struct pvio_list node;
};
void pvio_worker_add_poller(struct pvio_worker *worker,
			    struct pvio_poller *poller);
void pvio_worker_remove_poller(struct pvio_poller *poller);

#pragma GCC visibility pop
#endif
