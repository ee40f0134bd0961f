/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * worker-internal.h - what worker.c and worker-thread.c share
 */
#ifndef PVIO_CORE_WORKER_INTERNAL_H
#define PVIO_CORE_WORKER_INTERNAL_H

#include "worker.h"

#include <pthread.h>
#include <semaphore.h>

struct event;

#define WORKER_NAME_BYTES 16 /* what Linux gives a thread's name */

struct pvio_worker {
	char name[WORKER_NAME_BYTES];
	struct event_base *base;	/* owned */
	struct event *wake_event;	/* owned */
	struct event *timeout_event;	/* owned */
	int wake_fd;			/* owned */
	pthread_t thread;
	bool has_thread;
	sem_t started;

	/* Written by any thread. */
	struct pvio_task *mailbox;	/* a stack, newest first */
	unsigned int poll_us;
	bool breaking;
	/* Written by the worker, read by any thread. */
	const void *owner;		/* identity of the thread turning it */
	bool asleep;
	uint64_t turns;

	/* The worker's own. */
	bool in_turn;
	bool awake;
	bool timed_out;			/* set by timeout_event */
	uint64_t events_at_ns;		/* when libevent was last entered */
	struct pvio_list run;
	struct pvio_list end;
	struct pvio_list pollers;
};

/*
 * As pvio_worker_run(), and post @owned once the worker is the caller's for all
 * to see.
 */
void pvio_worker_run_then(struct pvio_worker *worker, sem_t *owned);

#endif
