/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_worker.c - what a worker runs, in which order, and that it sleeps
 */
#include "core/worker.h"

#include "core/barrier.h"
#include "tests/check_main.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static struct pvio_worker *worker;
static char trace[64];

static void note(char c)
{
	size_t len = strlen(trace);

	ck_assert_uint_lt(len, sizeof(trace) - 1);
	trace[len] = c;
	trace[len + 1] = '\0';
}

static void setup(void)
{
	trace[0] = '\0';
	ck_assert_int_eq(pvio_worker_create("test", &worker), 0);
}

static void teardown(void)
{
	pvio_worker_destroy(worker);
}

static void rest(void)
{
	int i;

	for (i = 0; i < 100; i++)
		if (!pvio_worker_step(worker))
			return;
	ck_abort_msg("the worker does not come to rest");
}

struct named_task {
	struct pvio_task task;
	char name;
};

static void on_task(struct pvio_task *task)
{
	note(pvio_container_of(task, struct named_task, task)->name);
}

START_TEST(idle_worker_has_nothing_to_do)
{
	ck_assert(!pvio_worker_step(worker));
	ck_assert(!pvio_worker_step(worker));
}
END_TEST

START_TEST(tasks_run_once_in_the_order_posted)
{
	struct named_task task[3];
	int i;

	for (i = 0; i < 3; i++) {
		task[i] = (struct named_task){ { .fn = on_task },
					       (char)('a' + i) };
		pvio_worker_post(worker, &task[i].task);
	}
	ck_assert_str_eq(trace, "");
	ck_assert(pvio_worker_step(worker));
	ck_assert_str_eq(trace, "abc");
	rest();
	ck_assert_str_eq(trace, "abc");
}
END_TEST

static struct pvio_job job_a, job_b;
static int again;

static void on_job_a(struct pvio_job *job)
{
	note('a');
	if (again-- > 0)
		pvio_worker_schedule(worker, job);
}

static void on_job_b(struct pvio_job *job)
{
	(void)job;
	note('b');
}

START_TEST(busy_job_lets_others_run_between)
{
	pvio_job_init(&job_a, on_job_a);
	pvio_job_init(&job_b, on_job_b);
	again = 2;
	pvio_worker_schedule(worker, &job_a);
	pvio_worker_schedule(worker, &job_a);
	pvio_worker_schedule(worker, &job_b);
	rest();
	ck_assert_str_eq(trace, "abaa");
}
END_TEST

static void cancel_b(struct pvio_job *job)
{
	(void)job;
	note('a');
	pvio_job_cancel(&job_b);
}

START_TEST(job_cancelled_by_one_before_it_does_not_run)
{
	pvio_job_init(&job_a, cancel_b);
	pvio_job_init(&job_b, on_job_b);
	pvio_worker_schedule(worker, &job_a);
	pvio_worker_schedule(worker, &job_b);
	rest();
	ck_assert_str_eq(trace, "a");
	ck_assert(!pvio_job_is_pending(&job_b));
}
END_TEST

static void end_b_soon(struct pvio_job *job)
{
	(void)job;
	note('a');
	pvio_worker_at_turn_end(worker, &job_b);
	pvio_worker_at_turn_end(worker, &job_b);
}

START_TEST(end_of_turn_comes_once_after_the_run_list)
{
	static struct pvio_job last;

	pvio_job_init(&job_a, end_b_soon);
	pvio_job_init(&job_b, on_job_b);
	pvio_job_init(&last, end_b_soon);
	pvio_worker_schedule(worker, &job_a);
	pvio_worker_schedule(worker, &last);
	ck_assert(pvio_worker_step(worker));
	ck_assert_str_eq(trace, "aab");
}
END_TEST

static void end_again(struct pvio_job *job)
{
	if (again-- > 0)
		pvio_worker_at_turn_end(worker, job);
}

START_TEST(endless_end_of_turn_does_not_hold_the_loop)
{
	pvio_job_init(&job_a, end_again);
	again = 1000000;
	pvio_worker_at_turn_end(worker, &job_a);
	ck_assert(pvio_worker_step(worker));
	ck_assert_int_gt(again, 999900);
}
END_TEST

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	note('e');
}

START_TEST(step_reports_events_and_wait_ends_on_them)
{
	int fd = eventfd(1, EFD_NONBLOCK);
	struct event *ev = event_new(pvio_worker_base(worker), fd, EV_READ,
				     on_event, NULL);

	event_add(ev, NULL);
	ck_assert(pvio_worker_step(worker));
	ck_assert_str_eq(trace, "e");
	rest();
	event_add(ev, NULL);
	ck_assert(pvio_worker_wait(worker, -1));
	ck_assert_str_eq(trace, "ee");
	event_free(ev);
	close(fd);
}
END_TEST

START_TEST(wait_ends_when_its_time_is_over)
{
	uint64_t start = pvio_now_ns();

	rest();
	ck_assert(!pvio_worker_wait(worker, 0));
	ck_assert(!pvio_worker_wait(worker, 20));
	ck_assert_uint_ge(pvio_now_ns() - start, 19000000);
	ck_assert(!pvio_worker_wait(worker, 1));
	ck_assert(!pvio_worker_step(worker));
}
END_TEST

struct ring {
	struct pvio_poller poller;
	int found;	/* work still to find by polling */
	int late;	/* work that comes while it arms */
	int sleeps;
};

static bool ring_poll(struct pvio_poller *poller)
{
	struct ring *ring = pvio_container_of(poller, struct ring, poller);

	return ring->found > 0 && ring->found-- > 0;
}

static bool ring_sleep(struct pvio_poller *poller)
{
	struct ring *ring = pvio_container_of(poller, struct ring, poller);

	ring->sleeps++;
	return ring->late > 0 && ring->late-- > 0;
}

START_TEST(poller_is_asked_until_dry_then_armed_once)
{
	struct ring ring = { .poller = { .poll = ring_poll,
					 .sleep = ring_sleep },
			     .found = 3, .late = 1 };

	pvio_worker_add_poller(worker, &ring.poller);
	rest();
	ck_assert_int_eq(ring.found, 0);
	/* Work came in while it armed for the first time. */
	ck_assert_int_eq(ring.late, 0);
	ck_assert_int_eq(ring.sleeps, 2);
	/* Asleep: not asked any more, whatever it would find. */
	ring.found = 1;
	rest();
	ck_assert_int_eq(ring.found, 1);
	ck_assert_int_eq(ring.sleeps, 2);
	pvio_worker_remove_poller(&ring.poller);
}
END_TEST

static struct ring *victim;

static bool remove_both(struct pvio_poller *poller)
{
	note('r');
	pvio_worker_remove_poller(&victim->poller);
	pvio_worker_remove_poller(poller);
	return false;
}

START_TEST(pollers_may_remove_themselves_and_others)
{
	struct pvio_poller first = { .poll = remove_both };
	struct ring second = { .poller = { .poll = ring_poll,
					   .sleep = ring_sleep },
			       .found = 1 };

	victim = &second;
	pvio_worker_add_poller(worker, &first);
	pvio_worker_add_poller(worker, &second.poller);
	rest();
	ck_assert_str_eq(trace, "r");
	ck_assert_int_eq(second.found, 1);
}
END_TEST

static int reply_fd;

static void reply(struct pvio_task *task)
{
	uint64_t one = 1;

	(void)task;
	ck_assert_int_eq(write(reply_fd, &one, sizeof(one)), sizeof(one));
}

static void expect_reply(void)
{
	uint64_t count;

	ck_assert_int_eq(read(reply_fd, &count, sizeof(count)),
			 sizeof(count));
}

START_TEST(sleeping_thread_is_woken_by_each_task)
{
	struct pvio_task task = { .fn = reply };
	int i;

	reply_fd = eventfd(0, 0);
	ck_assert(pvio_worker_is_mine(worker));
	ck_assert_int_eq(pvio_worker_start(worker), 0);
	ck_assert(!pvio_worker_is_mine(worker));
	ck_assert_int_eq(pvio_worker_start(worker), -EBUSY);
	for (i = 0; i < 10000; i++) {
		pvio_worker_post(worker, &task);
		expect_reply();
	}
	pvio_worker_stop(worker);
	ck_assert(pvio_worker_is_mine(worker));
	ck_assert(!pvio_worker_step(worker) || !pvio_worker_step(worker));
	close(reply_fd);
}
END_TEST

#define POSTERS 3
#define POSTS	20000

struct counted_task {
	struct pvio_task task;
	int poster, number;
};

static int next_number[POSTERS];
static bool out_of_order;
static unsigned int nr_run;

static void on_counted(struct pvio_task *task)
{
	struct counted_task *t =
		pvio_container_of(task, struct counted_task, task);

	if (t->number != next_number[t->poster]++)
		out_of_order = true;
	__atomic_fetch_add(&nr_run, 1, __ATOMIC_RELEASE);
}

static void *poster(void *arg)
{
	struct counted_task *task = arg;
	int i;

	for (i = 0; i < POSTS; i++)
		pvio_worker_post(worker, &task[i].task);
	return NULL;
}

START_TEST(posters_race_and_nothing_is_lost_or_reordered)
{
	static struct counted_task task[POSTERS][POSTS];
	struct pvio_task last = { .fn = reply };
	pthread_t thread[POSTERS];
	int i, j;

	reply_fd = eventfd(0, 0);
	ck_assert_int_eq(pvio_worker_start(worker), 0);
	for (i = 0; i < POSTERS; i++) {
		for (j = 0; j < POSTS; j++)
			task[i][j] = (struct counted_task){
				{ .fn = on_counted }, i, j
			};
		pthread_create(&thread[i], NULL, poster, task[i]);
	}
	for (i = 0; i < POSTERS; i++)
		pthread_join(thread[i], NULL);
	pvio_worker_post(worker, &last);
	expect_reply();
	ck_assert_uint_eq(__atomic_load_n(&nr_run, __ATOMIC_ACQUIRE),
			  POSTERS * POSTS);
	ck_assert(!out_of_order);
	pvio_worker_stop(worker);
	close(reply_fd);
}
END_TEST

static sigset_t blocked;
static char thread_name[16];

static void look_at_thread(struct pvio_task *task)
{
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	pthread_getname_np(pthread_self(), thread_name, sizeof(thread_name));
	reply(task);
}

START_TEST(thread_is_named_and_takes_no_signals_but_its_own_faults)
{
	struct pvio_task task = { .fn = look_at_thread };

	reply_fd = eventfd(0, 0);
	ck_assert_int_eq(pvio_worker_start(worker), 0);
	pvio_worker_post(worker, &task);
	expect_reply();
	pvio_worker_stop(worker);
	ck_assert_str_eq(thread_name, "test");
	ck_assert_int_eq(sigismember(&blocked, SIGTERM), 1);
	ck_assert_int_eq(sigismember(&blocked, SIGALRM), 1);
	/* A blocked fault is a killed process: core/memory needs this one. */
	ck_assert_int_eq(sigismember(&blocked, SIGBUS), 0);
	close(reply_fd);
}
END_TEST

static uint64_t thread_cpu_ns(clockid_t clock)
{
	struct timespec ts;

	ck_assert_int_eq(clock_gettime(clock, &ts), 0);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static clockid_t worker_clock;

static void get_clock(struct pvio_task *task)
{
	pthread_getcpuclockid(pthread_self(), &worker_clock);
	reply(task);
}

/* CPU time that the worker's thread uses while we wait 50 ms. */
static uint64_t cpu_ns_while_idle(unsigned int poll_us)
{
	struct pvio_task task = { .fn = get_clock };
	struct ring ring = {
		.poller = { .poll = ring_poll, .sleep = ring_sleep },
	};
	struct pvio_worker *timer;
	uint64_t used;

	reply_fd = eventfd(0, 0);
	pvio_worker_add_poller(worker, &ring.poller);
	pvio_worker_set_poll(worker, poll_us);
	ck_assert_int_eq(pvio_worker_start(worker), 0);
	pvio_worker_post(worker, &task);
	expect_reply();
	ck_assert_int_eq(pvio_worker_create("timer", &timer), 0);
	pvio_worker_wait(timer, 10);
	used = thread_cpu_ns(worker_clock);
	pvio_worker_wait(timer, 50);
	used = thread_cpu_ns(worker_clock) - used;
	pvio_worker_destroy(timer);
	pvio_worker_stop(worker);
	pvio_worker_remove_poller(&ring.poller);
	close(reply_fd);
	return used;
}

START_TEST(idle_thread_uses_no_cpu)
{
	ck_assert_uint_lt(cpu_ns_while_idle(0), 2000000);
	ck_assert_uint_lt(cpu_ns_while_idle(100), 2000000);
}
END_TEST

START_TEST(endless_budget_never_sleeps)
{
	ck_assert_uint_gt(cpu_ns_while_idle(UINT_MAX), 2000000);
}
END_TEST

static void break_it(struct pvio_task *task)
{
	(void)task;
	note('b');
	pvio_worker_break(worker);
}

START_TEST(run_ends_on_break_even_one_that_came_before)
{
	struct pvio_task task = { .fn = break_it };

	pvio_worker_post(worker, &task);
	pvio_worker_run(worker);
	ck_assert_str_eq(trace, "b");
	pvio_worker_break(worker);
	pvio_worker_run(worker);
}
END_TEST

CHECK_MAIN("worker", setup, teardown, idle_worker_has_nothing_to_do,
	   tasks_run_once_in_the_order_posted, busy_job_lets_others_run_between,
	   job_cancelled_by_one_before_it_does_not_run,
	   end_of_turn_comes_once_after_the_run_list,
	   endless_end_of_turn_does_not_hold_the_loop,
	   step_reports_events_and_wait_ends_on_them,
	   wait_ends_when_its_time_is_over,
	   poller_is_asked_until_dry_then_armed_once,
	   pollers_may_remove_themselves_and_others,
	   sleeping_thread_is_woken_by_each_task,
	   posters_race_and_nothing_is_lost_or_reordered,
	   thread_is_named_and_takes_no_signals_but_its_own_faults,
	   idle_thread_uses_no_cpu, endless_budget_never_sleeps,
	   run_ends_on_break_even_one_that_came_before)
