/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * worker.c - the event loop that serves queues
 *
 *	other threads        this thread
 *	post ──► mailbox ──┐
 *	                   ▼
 *	 ┌► events ─► mailbox ─► pollers ─► run list ─► turn's end ─┐
 *	 │                                                          │
 *	 └──────── something was done, or the budget lasts ◄────────┤
 *	                                                            ▼
 *	   wait in libevent ◄─ nothing after all ◄─ arm and look again
 *
 * A worker is awake or asleep.  Awake, it makes turns without waiting; its
 * pollers look for work, their events disarmed.  It stays awake for the poll
 * budget after the last work.  Then every poller arms its event and looks once
 * more, and only if none found work the worker waits.
 *
 * The mailbox is a stack of tasks that posters push with one compare-and-swap
 * and the worker takes whole, then turns round, so each poster's tasks run in
 * order.  Posting to a worker that is awake costs no system call; one that
 * waits is woken through an eventfd.
 *
 * While it is awake the worker does not enter libevent every turn: that is a
 * system call of several hundred nanoseconds, more than a whole turn that
 * finds nothing.  It goes there every WORKER_EVENTS_NS, which bounds what
 * polling adds to the latency of fds and timers and costs a few percent of a
 * core that would be spinning anyway.
 */
#include "worker-internal.h"

#include "barrier.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <unistd.h>

#define WORKER_EVENTS_NS  20000
/*
 * A turn's-end job may cause another (a backend that completes at once has
 * used entries to publish); what is still left after so many rounds waits for
 * the next turn, so no job can hold the loop.
 */
#define WORKER_END_ROUNDS 4

/* The address of this names a thread. */
static __thread char worker_thread_identity;

struct event_base *pvio_worker_base(struct pvio_worker *worker)
{
	return worker->base;
}

uint64_t pvio_worker_turns(const struct pvio_worker *worker)
{
	return pvio_load_once(&worker->turns);
}

bool pvio_worker_is_mine(const struct pvio_worker *worker)
{
	const void *owner = pvio_load_once(&worker->owner);

	return owner == NULL || owner == &worker_thread_identity;
}

/* --- mailbox ------------------------------------------------------------- */

static void worker_wake(struct pvio_worker *worker)
{
	uint64_t one = 1;
	ssize_t n;

	/* EAGAIN: the counter is full, so the worker wakes anyway. */
	do {
		n = write(worker->wake_fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
}

void pvio_worker_post(struct pvio_worker *worker, struct pvio_task *task)
{
	struct pvio_task *head = pvio_load_once(&worker->mailbox);

	/*
	 * Barrier W1: the task, and whatever the poster wrote for it, is there
	 * before the mailbox names it.  Pairs with W2.
	 */
	do {
		task->next = head;
	} while (!pvio_cas_release(&worker->mailbox, &head, task));
	/*
	 * Barrier W3: the mailbox is not empty before we look whether the
	 * worker waits.  Pairs with W4, where it says that it waits before it
	 * looks at the mailbox: one of us sees the other.
	 */
	pvio_full_fence();
	if (pvio_load_once(&worker->asleep))
		worker_wake(worker);
}

static bool worker_run_mailbox(struct pvio_worker *worker)
{
	struct pvio_task *task, *next, *in_order = NULL;

	if (!pvio_load_once(&worker->mailbox))
		return false;
	/* Barrier W2: pairs with W1, tasks are whole once they are taken. */
	task = pvio_exchange_acquire(&worker->mailbox, NULL);
	for (; task; task = next) {
		next = task->next;
		task->next = in_order;
		in_order = task;
	}
	/* The struct is its poster's again as soon as fn is called. */
	for (task = in_order; task; task = next) {
		next = task->next;
		task->fn(task);
	}
	return true;
}

/* --- jobs and pollers ---------------------------------------------------- */

void pvio_worker_schedule(struct pvio_worker *worker, struct pvio_job *job)
{
	if (!pvio_job_is_pending(job))
		pvio_list_add_tail(&worker->run, &job->node);
}

void pvio_worker_at_turn_end(struct pvio_worker *worker, struct pvio_job *job)
{
	if (!pvio_job_is_pending(job))
		pvio_list_add_tail(&worker->end, &job->node);
}

void pvio_job_cancel(struct pvio_job *job)
{
	pvio_list_del(&job->node);
}

void pvio_worker_add_poller(struct pvio_worker *worker,
			    struct pvio_poller *poller)
{
	pvio_list_add_tail(&worker->pollers, &poller->node);
	/* It may have its event disarmed: see it through sleep() once. */
	worker->awake = true;
}

void pvio_worker_remove_poller(struct pvio_poller *poller)
{
	pvio_list_del(&poller->node);
}

/* Move all of @from to the empty head @to. */
static void worker_list_take(struct pvio_list *to, struct pvio_list *from)
{
	pvio_list_init(to);
	if (pvio_list_empty(from))
		return;
	*to = *from;
	to->next->prev = to;
	to->prev->next = to;
	pvio_list_init(from);
}

/*
 * Run each job that is on @list now.  They are on a list of our own meanwhile,
 * from which jobs may cancel each other, and a job that asks to run again does
 * not run twice.
 */
static bool worker_run_jobs(struct pvio_list *list)
{
	struct pvio_list now;
	bool any = false;

	worker_list_take(&now, list);
	while (!pvio_list_empty(&now)) {
		struct pvio_job *job = pvio_list_entry(now.next,
						       struct pvio_job, node);

		pvio_list_del(&job->node);
		job->fn(job);
		any = true;
	}
	return any;
}

/* Call poll, or sleep, of each poller; any may remove itself or another. */
static bool worker_run_pollers(struct pvio_worker *worker, bool sleep)
{
	struct pvio_list now;
	bool any = false;

	worker_list_take(&now, &worker->pollers);
	while (!pvio_list_empty(&now)) {
		struct pvio_poller *p =
			pvio_list_entry(now.next, struct pvio_poller, node);

		pvio_list_del(&p->node);
		pvio_list_add_tail(&worker->pollers, &p->node);
		if (!sleep)
			any |= p->poll(p);
		else if (p->sleep)
			any |= p->sleep(p);
	}
	return any;
}

/* --- turns --------------------------------------------------------------- */

/*
 * Enter libevent; with @until, wait there unless *@until is set or there is
 * mail.  True when a callback ran.
 */
static bool worker_run_events(struct pvio_worker *worker, const bool *until)
{
	int flags = EVLOOP_ONCE | EVLOOP_NONBLOCK;

	if (until) {
		pvio_store_once(&worker->asleep, true);
		/*
		 * Barrier W4: we say that we wait before we look whether there
		 * is mail, or a reason to end.  Pairs with W3.
		 */
		pvio_full_fence();
		if (!pvio_load_once(&worker->mailbox) && !pvio_load_once(until))
			flags = EVLOOP_ONCE;
	}
	event_base_loop(worker->base, flags);
	pvio_store_once(&worker->asleep, false);
	worker->events_at_ns = pvio_now_ns();
	/*
	 * How many were active at once since we last asked: 0 is none.  The end
	 * of a wait is not work.
	 */
	return event_base_get_max_events(worker->base, EVENT_BASE_COUNT_ACTIVE,
					 1) > worker->timed_out;
}

static bool worker_has_jobs(const struct pvio_worker *worker)
{
	return !pvio_list_empty(&worker->run) || !pvio_list_empty(&worker->end);
}

enum worker_events {
	WORKER_EVENTS_SKIP,
	WORKER_EVENTS_LOOK,
	WORKER_EVENTS_WAIT,
};

/* One turn.  @until: what ends a wait.  True when something was done. */
static bool worker_turn(struct pvio_worker *worker, enum worker_events events,
			const bool *until)
{
	unsigned int rounds;
	bool any = false;

	assert(!worker->in_turn);
	worker->in_turn = true;
	if (events != WORKER_EVENTS_SKIP)
		any |= worker_run_events(
			worker, events == WORKER_EVENTS_WAIT ? until : NULL);
	any |= worker_run_mailbox(worker);
	if (worker->awake)
		any |= worker_run_pollers(worker, false);
	any |= worker_run_jobs(&worker->run);
	for (rounds = 0; rounds < WORKER_END_ROUNDS; rounds++) {
		if (!worker_run_jobs(&worker->end))
			break;
		any = true;
	}
	pvio_store_once(&worker->turns, worker->turns + 1);
	worker->in_turn = false;
	if (any)
		worker->awake = true;
	return any;
}

/*
 * Go to sleep: true when every poller armed its event and nothing came in
 * between.
 */
static bool worker_fall_asleep(struct pvio_worker *worker)
{
	bool any;

	if (worker_has_jobs(worker))
		return false;
	if (!worker->awake)
		return true;
	worker->in_turn = true;
	any = worker_run_pollers(worker, true);
	worker->in_turn = false;
	if (any || worker_has_jobs(worker))
		return false;
	worker->awake = false;
	return true;
}

/* Turn until *@until. */
static void worker_loop(struct pvio_worker *worker, const bool *until)
{
	uint64_t now = pvio_now_ns(), work_at_ns = now;
	enum worker_events events = WORKER_EVENTS_LOOK;
	unsigned int budget;

	while (!pvio_load_once(until)) {
		bool any = worker_turn(worker, events, until);

		now = pvio_now_ns();
		events = now - worker->events_at_ns >= WORKER_EVENTS_NS
				 ? WORKER_EVENTS_LOOK
				 : WORKER_EVENTS_SKIP;
		if (any) {
			work_at_ns = now;
			continue;
		}
		budget = pvio_load_once(&worker->poll_us);
		if (worker->awake && (budget == UINT_MAX ||
				      now - work_at_ns < budget * 1000ULL)) {
			pvio_cpu_relax();
			continue;
		}
		work_at_ns = now;
		events = worker_fall_asleep(worker) ? WORKER_EVENTS_WAIT
						    : WORKER_EVENTS_LOOK;
	}
}

/* Become the thread that turns @worker.  Returns the one that was. */
static const void *worker_own(struct pvio_worker *worker)
{
	const void *before = worker->owner;

	assert(pvio_worker_is_mine(worker));
	pvio_store_once(&worker->owner, &worker_thread_identity);
	return before;
}

static void worker_disown(struct pvio_worker *worker, const void *before)
{
	pvio_store_once(&worker->owner, before);
}

void pvio_worker_run_then(struct pvio_worker *worker, sem_t *owned)
{
	const void *before = worker_own(worker);

	if (owned)
		sem_post(owned);
	worker_loop(worker, &worker->breaking);
	pvio_store_once(&worker->breaking, false);
	worker_disown(worker, before);
}

void pvio_worker_run(struct pvio_worker *worker)
{
	pvio_worker_run_then(worker, NULL);
}

bool pvio_worker_step(struct pvio_worker *worker)
{
	const void *before = worker_own(worker);
	bool any = worker_turn(worker, WORKER_EVENTS_LOOK, NULL);

	if (!any)
		any = !worker_fall_asleep(worker);
	worker_disown(worker, before);
	return any;
}

bool pvio_worker_wait(struct pvio_worker *worker, int timeout_ms)
{
	struct timeval tv = {
		.tv_sec = timeout_ms / 1000,
		.tv_usec = timeout_ms % 1000 * 1000,
	};
	const bool never = false;
	const void *before;
	bool any;

	if (pvio_worker_step(worker))
		return true;
	if (timeout_ms == 0)
		return false;
	before = worker_own(worker);
	worker->timed_out = false;
	if (timeout_ms > 0)
		event_add(worker->timeout_event, &tv);
	do {
		any = worker_turn(worker, WORKER_EVENTS_WAIT, &never);
	} while (!any && !worker->timed_out);
	event_del(worker->timeout_event);
	worker->timed_out = false;
	worker_disown(worker, before);
	return any;
}

void pvio_worker_break(struct pvio_worker *worker)
{
	int saved_errno = errno;

	pvio_store_once(&worker->breaking, true);
	worker_wake(worker);
	errno = saved_errno;
}

void pvio_worker_set_poll(struct pvio_worker *worker, unsigned int usec)
{
	pvio_store_once(&worker->poll_us, usec);
	if (pvio_load_once(&worker->asleep))
		worker_wake(worker);
}
