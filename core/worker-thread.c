/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * worker-thread.c - making workers, and giving them threads
 */
#include "worker-internal.h"

#include "barrier.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void *worker_thread(void *arg)
{
	struct pvio_worker *worker = arg;

	pthread_setname_np(pthread_self(), worker->name);
	pvio_worker_run_then(worker, &worker->started);
	return NULL;
}

int pvio_worker_start(struct pvio_worker *worker)
{
	sigset_t all, before;
	int rc;

	if (worker->has_thread || !pvio_worker_is_mine(worker) ||
	    worker->in_turn)
		return -EBUSY;
	pvio_store_once(&worker->breaking, false);
	/*
	 * Signals are the program's business, but for those that the thread's
	 * own instructions raise: the kernel kills a process that has them
	 * blocked, and core/memory lives by SIGBUS.
	 */
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGTRAP);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&worker->thread, NULL, worker_thread, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return -rc;
	worker->has_thread = true;
	/* From here on the worker is the thread's, for all to see. */
	while (sem_wait(&worker->started) < 0)
		;
	return 0;
}

void pvio_worker_stop(struct pvio_worker *worker)
{
	if (!worker->has_thread)
		return;
	pvio_worker_break(worker);
	pthread_join(worker->thread, NULL);
	worker->has_thread = false;
	pvio_store_once(&worker->breaking, false);
}

static void worker_on_wake(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;
	ssize_t n;

	(void)what;
	(void)arg;
	/* What woke us is in the mailbox or a flag; this only disarms it. */
	n = read(fd, &count, sizeof(count));
	(void)n;
}

static void worker_on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct pvio_worker *worker = arg;

	(void)fd;
	(void)what;
	worker->timed_out = true;
}

static struct event_base *worker_new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (!config)
		return NULL;
	/* One thread at a time; rate limits want timers finer than 1 ms. */
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK |
					      EVENT_BASE_FLAG_IGNORE_ENV |
					      EVENT_BASE_FLAG_PRECISE_TIMER);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

int pvio_worker_create(const char *name, struct pvio_worker **out)
{
	struct pvio_worker *worker;
	int rc;

	worker = calloc(1, sizeof(*worker));
	if (!worker)
		return -ENOMEM;
	snprintf(worker->name, sizeof(worker->name), "%s", name);
	worker->awake = true;
	pvio_list_init(&worker->run);
	pvio_list_init(&worker->end);
	pvio_list_init(&worker->pollers);
	sem_init(&worker->started, 0, 0);

	worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->wake_fd < 0) {
		rc = -errno;
		goto free_worker;
	}
	errno = 0;
	worker->base = worker_new_base();
	if (!worker->base) {
		rc = errno ? -errno : -ENOMEM;
		goto close_wake;
	}
	worker->wake_event = event_new(worker->base, worker->wake_fd,
				       EV_READ | EV_PERSIST, worker_on_wake,
				       worker);
	worker->timeout_event = evtimer_new(worker->base, worker_on_timeout,
					    worker);
	if (!worker->wake_event || !worker->timeout_event ||
	    event_add(worker->wake_event, NULL) < 0) {
		rc = -ENOMEM;
		goto free_base;
	}
	*out = worker;
	return 0;

free_base:
	if (worker->timeout_event)
		event_free(worker->timeout_event);
	if (worker->wake_event)
		event_free(worker->wake_event);
	event_base_free(worker->base);
close_wake:
	close(worker->wake_fd);
free_worker:
	sem_destroy(&worker->started);
	free(worker);
	return rc;
}

void pvio_worker_destroy(struct pvio_worker *worker)
{
	if (!worker)
		return;
	pvio_worker_stop(worker);
	event_free(worker->timeout_event);
	event_free(worker->wake_event);
	event_base_free(worker->base);
	close(worker->wake_fd);
	sem_destroy(&worker->started);
	free(worker);
}
