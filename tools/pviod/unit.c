/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * unit.c - one process that serves, as its supervisor sees it
 *
 * A process that ends without being told to is started again: after 100 ms
 * the first time, and twice as long each time it ends within a minute of being
 * ready, up to 30 s.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>
#include <json-c/json.h>

#include "core/log.h"
#include "link.h"
#include "serve.h"
#include "unit.h"

#define UNIT_FIRST_DELAY_MS 100
#define UNIT_MAX_DELAY_MS   30000
#define UNIT_READY_DELAY_MS 1000 /* at most, when it had been serving */
#define UNIT_STEADY_NS      (60 * 1000000000ULL)
#define UNIT_STOP_MS        5000
#define UNIT_MAX_REQUESTS   64

static const char *const unit_states[] = {
	[UNIT_STOPPED] = "stopped",   [UNIT_STARTING] = "starting",
	[UNIT_RUNNING] = "running",   [UNIT_WAITING] = "waiting",
	[UNIT_STOPPING] = "stopping",
};
static_assert(pvio_array_size(unit_states) == UNIT_NR_STATES, "all named");

const char *unit_state_name(enum unit_state state)
{
	return unit_states[state];
}

struct unit_pending {
	struct pvio_list node;
	struct unit *unit;
	uint64_t id;
	unit_answer_fn *answer;
	void *arg; /* borrowed, or forgotten first */
	struct event *deadline;
};

static void unit_set_timer(struct unit *unit, unsigned int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	event_add(unit->timer, &tv);
}

static void unit_set_state(struct unit *unit, enum unit_state state)
{
	unit->state = state;
	unit->env->changed(unit->env->arg, unit);
}

/* --- requests ------------------------------------------------------------- */

static void unit_drop(struct unit_pending *p)
{
	pvio_list_del(&p->node);
	p->unit->nr_requests--;
	event_free(p->deadline);
	free(p);
}

/* The answer may make further requests, or forget others. */
static void unit_answer(struct unit_pending *p, struct json_object *result,
			const char *error)
{
	unit_answer_fn *answer = p->answer;
	void *arg = p->arg;

	unit_drop(p);
	answer(arg, result, error);
}

static void unit_answer_all(struct unit *unit, const char *error)
{
	while (!pvio_list_empty(&unit->requests))
		unit_answer(pvio_list_entry(unit->requests.next,
					    struct unit_pending, node),
			    NULL, error);
}

static void unit_on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct unit_pending *p = arg;
	char text[128];

	(void)fd;
	(void)what;
	snprintf(text, sizeof(text), "the process of %s does not answer",
		 p->unit->name);
	pvio_log(PVIO_LOG_WARNING, "%s", text);
	unit_answer(p, NULL, text);
}

void unit_request(struct unit *unit, struct json_object *request,
		  unsigned int limit_s, unit_answer_fn *answer, void *arg)
{
	struct timeval tv = { limit_s, 0 };
	const char *why = "the device is not being served";
	struct unit_pending *p;

	if (unit->state != UNIT_RUNNING || !unit->link)
		goto refuse;
	why = "too many requests";
	if (unit->nr_requests >= UNIT_MAX_REQUESTS)
		goto refuse;
	why = "out of memory";
	p = calloc(1, sizeof(*p));
	if (!p)
		goto refuse;
	p->deadline = event_new(unit->env->base, -1, 0, unit_on_deadline, p);
	if (!p->deadline || event_add(p->deadline, &tv) < 0)
		goto free_pending;
	p->unit = unit;
	p->id = ++unit->last_id;
	p->answer = answer;
	p->arg = arg;
	pvio_list_add_tail(&unit->requests, &p->node);
	unit->nr_requests++;
	json_object_object_add(request, "id",
			       json_object_new_int64((int64_t)p->id));
	lines_send(unit->link, json_object_to_json_string_ext(
				       request, JSON_C_TO_STRING_PLAIN));
	json_object_put(request);
	return;

free_pending:
	if (p->deadline)
		event_free(p->deadline);
	free(p);
refuse:
	json_object_put(request);
	answer(arg, NULL, why);
}

void unit_forget(struct unit *unit, const void *arg)
{
	struct pvio_list *pos, *next;
	struct unit_pending *p;

	for (pos = unit->requests.next; pos != &unit->requests; pos = next) {
		next = pos->next;
		p = pvio_list_entry(pos, struct unit_pending, node);
		if (p->arg == arg)
			unit_drop(p);
	}
}

static void unit_on_answer(struct unit *unit, struct json_object *line,
			   int64_t id)
{
	struct json_object *result = NULL;
	struct unit_pending *p;
	struct pvio_list *pos;

	pvio_list_for_each(pos, &unit->requests) {
		p = pvio_list_entry(pos, struct unit_pending, node);
		if ((int64_t)p->id != id)
			continue;
		if (json_object_object_get_ex(line, "result", &result))
			unit_answer(p, result, NULL);
		else
			unit_answer(p, NULL, link_string(line, "error"));
		return;
	}
	/* Nobody waits for it any more. */
}

/* --- the process ---------------------------------------------------------- */

static void unit_on_line(void *arg, char *text, size_t bytes)
{
	struct json_object *line, *value;
	struct unit *unit = arg;

	line = link_parse(text, bytes);
	if (line && json_object_object_get_ex(line, "id", &value) &&
	    json_object_is_type(value, json_type_int)) {
		unit_on_answer(unit, line, json_object_get_int64(value));
	} else if (line && json_object_object_get_ex(line, "ready", &value) &&
		   unit->state == UNIT_STARTING) {
		pvio_log(PVIO_LOG_INFO, "%s: served by process %d", unit->name,
			 (int)unit->pid);
		unit->ready_at_ns = pvio_now_ns();
		unit->has_failed = false;
		unit_set_state(unit, UNIT_RUNNING);
	} else {
		pvio_log(PVIO_LOG_WARNING, "%s: its process talks nonsense",
			 unit->name);
		kill(unit->pid, SIGKILL);
	}
	json_object_put(line);
}

/* It ended, or broke the rules: then it is not worth keeping. */
static void unit_on_link_end(void *arg, const char *why)
{
	struct unit *unit = arg;

	pvio_log(PVIO_LOG_DEBUG, "%s: link: %s", unit->name, why);
	lines_destroy(unit->link);
	unit->link = NULL;
	if (unit->pid > 0 && unit->state != UNIT_STOPPING)
		kill(unit->pid, SIGKILL);
}

static void unit_wait(struct unit *unit)
{
	if (unit->delay_ms == 0)
		unit->delay_ms = UNIT_FIRST_DELAY_MS;
	pvio_log(PVIO_LOG_WARNING, "%s: is started again in %u ms", unit->name,
		 unit->delay_ms);
	unit_set_timer(unit, unit->delay_ms);
	unit->delay_ms *= 2;
	if (unit->delay_ms > UNIT_MAX_DELAY_MS)
		unit->delay_ms = UNIT_MAX_DELAY_MS;
	unit->has_failed = true;
	unit->restarts++;
	unit_set_state(unit, UNIT_WAITING);
}

/* --- what it leaves for its next process ---------------------------------- */

static void unit_keep_nothing(struct unit *unit)
{
	if (unit->store)
		store_clear(unit->store);
}

/* store_nonsense_fn */
static void unit_on_nonsense(void *arg)
{
	struct unit *unit = arg;

	pvio_log(PVIO_LOG_WARNING, "%s: its process talks nonsense",
		 unit->name);
	unit_keep_nothing(unit);
	if (unit->pid > 0)
		kill(unit->pid, SIGKILL);
}

/* Its process is no more. */
static void unit_take_leavings(struct unit *unit)
{
	if (!unit->store)
		return;
	store_end(unit->store);
	/* What it stopped with is done with, or may have been its end. */
	if (unit->state != UNIT_RUNNING)
		unit_keep_nothing(unit);
}

/* --- its life ------------------------------------------------------------- */

void unit_start(struct unit *unit)
{
	int link[2], rc;
	pid_t pid;

	assert(unit->state == UNIT_STOPPED || unit->state == UNIT_WAITING);
	rc = unit->store ? store_begin(unit->store) : 0;
	if (rc == 0 &&
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) < 0)
		rc = -errno;
	if (rc < 0)
		goto failed;
	pid = unit_fork(unit->name, unit->plan, unit->env->sockets, unit->store,
			link[1]);
	if (pid == 0)
		_exit(serve(unit->plan, unit->env->sockets, unit->store,
			    link[1]));
	close(link[1]);
	if (unit->store)
		store_forked(unit->store);
	if (pid < 0) {
		close(link[0]);
		rc = (int)pid;
		goto failed;
	}
	unit->pid = pid;
	rc = lines_create(unit->env->base, link[0], &link_limits, unit_on_line,
			  unit_on_link_end, unit, &unit->link);
	if (rc < 0) {
		/* It will find its link closed, and end. */
		close(link[0]);
		pvio_log(PVIO_LOG_ERROR, "%s: link: %s", unit->name,
			 strerror(-rc));
	}
	unit_set_state(unit, UNIT_STARTING);
	return;

failed:
	pvio_log(PVIO_LOG_ERROR, "%s: cannot start a process: %s", unit->name,
		 strerror(-rc));
	unit_wait(unit);
}

void unit_stop(struct unit *unit)
{
	switch (unit->state) {
	case UNIT_STOPPED:
	case UNIT_STOPPING:
		return;
	case UNIT_WAITING:
		event_del(unit->timer);
		unit_keep_nothing(unit);
		unit_set_state(unit, UNIT_STOPPED);
		return;
	default:
		break;
	}
	kill(unit->pid, SIGTERM);
	unit_set_timer(unit, UNIT_STOP_MS);
	unit_set_state(unit, UNIT_STOPPING);
}

static void unit_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct unit *unit = arg;

	(void)fd;
	(void)what;
	if (unit->state == UNIT_WAITING) {
		unit_start(unit);
	} else if (unit->state == UNIT_STOPPING) {
		pvio_log(PVIO_LOG_WARNING,
			 "%s: process %d does not end, killing it", unit->name,
			 (int)unit->pid);
		kill(unit->pid, SIGKILL);
	}
}

void unit_ended(struct unit *unit, int status)
{
	pid_t pid = unit->pid;

	unit->pid = 0;
	event_del(unit->timer);
	lines_destroy(unit->link);
	unit->link = NULL;
	unit_answer_all(unit, "the device's process ended");
	unit_take_leavings(unit);

	if (unit->state == UNIT_STOPPING) {
		pvio_log(PVIO_LOG_INFO, "%s: process %d has stopped",
			 unit->name, (int)pid);
		unit->delay_ms = 0;
		unit_set_state(unit, UNIT_STOPPED);
		return;
	}
	if (WIFSIGNALED(status))
		pvio_log(PVIO_LOG_ERROR, "%s: process %d ended by signal %d",
			 unit->name, (int)pid, WTERMSIG(status));
	else
		pvio_log(PVIO_LOG_ERROR, "%s: process %d ended with status %d",
			 unit->name, (int)pid, WEXITSTATUS(status));
	if (unit->state == UNIT_RUNNING) {
		if (pvio_now_ns() - unit->ready_at_ns > UNIT_STEADY_NS)
			unit->delay_ms = 0;
		else if (unit->delay_ms > UNIT_READY_DELAY_MS)
			unit->delay_ms = UNIT_READY_DELAY_MS;
	}
	unit_wait(unit);
}

int unit_create(const struct unit_env *env, const struct plan_unit *plan,
		struct unit **unit)
{
	struct unit *u;

	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	u->env = env;
	u->plan = plan;
	u->kind = plan->kind;
	u->name = strdup(plan->name);
	u->timer = event_new(env->base, -1, 0, unit_on_timer, u);
	pvio_list_init(&u->node);
	pvio_list_init(&u->requests);
	if (!u->name || !u->timer ||
	    (u->kind == PLAN_WINDOW &&
	     store_create(env->base, u->name, unit_on_nonsense, u, &u->store) <
		     0)) {
		unit_destroy(u);
		return -ENOMEM;
	}
	*unit = u;
	return 0;
}

void unit_destroy(struct unit *unit)
{
	pvio_list_del(&unit->node);
	unit_answer_all(unit, "the device has been removed");
	lines_destroy(unit->link);
	store_destroy(unit->store);
	if (unit->timer)
		event_free(unit->timer);
	free(unit->name);
	free(unit);
}
