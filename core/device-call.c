/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-call.c - the control worker's work, asked for by other threads
 *
 * Theory of operation.  A VMM's threads make register accesses, and what those
 * change belongs to the control worker.  So a thread leaves a task there, on
 * its own stack, and sleeps until the work it began is done:
 *
 *	caller        post ........................... sem_wait --> returns
 *	control             begin()  ...  done(): rc, sem_post
 *
 * Where the control worker is the caller's own to turn, nobody else would do
 * the work: then it is begun by a call, and the caller turns the worker.
 */
#include "device-internal.h"

#include <errno.h>
#include <semaphore.h>

struct device_call {
	struct pvio_task task;
	pvio_begin_fn *begin;
	void *arg;
	int rc;
	bool is_done;	/* turned by the caller */
	bool is_waited; /* by semaphore */
	sem_t sem;
};

static void call_done(void *arg, int rc)
{
	struct device_call *call = arg;

	call->rc = rc;
	if (!call->is_waited)
		call->is_done = true;
	else
		sem_post(&call->sem); /* last: the caller's stack */
}

static void call_run(struct pvio_task *task)
{
	struct device_call *call =
		pvio_container_of(task, struct device_call, task);

	call->begin(call->arg, call_done, call);
}

/* @control is turned by another thread. */
static int call_post(struct pvio_worker *control, struct device_call *call)
{
	call->task.fn = call_run;
	call->is_waited = true;
	sem_init(&call->sem, 0, 0);
	pvio_worker_post(control, &call->task);
	while (sem_wait(&call->sem) < 0)
		; /* EINTR */
	sem_destroy(&call->sem);
	return call->rc;
}

int pvio_device_call(struct pvio_device *dev, pvio_begin_fn *begin, void *arg)
{
	struct device_call call = { .begin = begin, .arg = arg };

	if (!pvio_worker_is_mine(dev->control))
		return call_post(dev->control, &call);
	begin(arg, call_done, &call);
	pvio_device_wait(dev, &call.is_done);
	return call.rc;
}

int pvio_control_call(struct pvio_worker *control, pvio_begin_fn *begin,
		      void *arg)
{
	struct device_call call = { .begin = begin, .arg = arg };

	if (!pvio_worker_is_mine(control))
		return call_post(control, &call);
	begin(arg, call_done, &call);
	return call.rc;
}

/* --- pause and resume, for a VMM ------------------------------------------ */

static void pause_begin(void *arg, pvio_done_fn *done, void *done_arg)
{
	pvio_device_quiesce(arg, PVIO_QUIET_HOST, done, done_arg);
}

int pvio_device_pause(struct pvio_device *dev)
{
	return pvio_device_call(dev, pause_begin, dev);
}

static void resume_begin(void *arg, pvio_done_fn *done, void *done_arg)
{
	pvio_device_unquiesce(arg, PVIO_QUIET_HOST);
	done(done_arg, 0);
}

void pvio_device_resume(struct pvio_device *dev)
{
	(void)pvio_device_call(dev, resume_begin, dev);
}
