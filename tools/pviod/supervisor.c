/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * supervisor.c - keeps the processes of a plan running
 *
 * A reload (SIGHUP) happens in steps, none of which waits:
 *
 *	parse the file		here; a bad one ends the reload
 *	try it			in a process of its own, with a deadline, since
 *				a backend's open may hang
 *	open new sockets	all or none
 *	adopt the plan		start what is new, stop what is gone, restart
 *				what has another text, leave the rest alone
 *
 * Nothing has changed before the last step, so a file that cannot be served
 * changes nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>
#include <json-c/json.h>

#include "core/log.h"
#include "link.h"
#include "plug.h"
#include "serve.h"
#include "supervisor.h"
#include "tools/common/systemd.h"

#define SUPERVISOR_TRY_MS 20000

struct supervisor {
	struct event_base *base; /* borrowed */
	const char *path;        /* borrowed */
	struct plan *plan;       /* owned */
	struct sockets *sockets; /* owned */
	struct unit_env env;
	struct pvio_list units;
	struct event *term, *interrupt, *hangup, *child; /* owned */
	bool is_ready; /* told the service manager */
	bool is_stopping;

	/* a reload under way */
	struct plan *new_plan; /* owned, or NULL */
	pid_t trial;           /* 0: none */
	struct event *trial_deadline;
	bool reload_again;
};

/* --- what the service manager hears --------------------------------------- */

static void supervisor_tell(struct supervisor *s)
{
	unsigned int nr = 0, running = 0, settled = 0;
	struct pvio_list *pos;
	const struct unit *u;

	if (s->is_stopping)
		return;
	pvio_list_for_each(pos, &s->units) {
		u = pvio_list_entry(pos, struct unit, node);
		nr++;
		running += u->state == UNIT_RUNNING;
		settled += u->state == UNIT_RUNNING || u->has_failed;
	}
	if (!s->is_ready && settled == nr) {
		s->is_ready = true;
		pvio_log(PVIO_LOG_INFO, "ready");
		systemd_notify("READY=1");
	}
	systemd_notify("STATUS=%u of %u processes serve", running, nr);
}

/* --- units ---------------------------------------------------------------- */

static void supervisor_remove(struct supervisor *s, struct unit *unit)
{
	unit_destroy(unit);
	if (s->is_stopping && pvio_list_empty(&s->units))
		event_base_loopbreak(s->base);
}

static void supervisor_on_change(void *arg, struct unit *unit)
{
	struct supervisor *s = arg;

	if (unit->state == UNIT_STOPPED) {
		if (!s->is_stopping && unit->plan) {
			unit_start(unit);
			return;
		}
		supervisor_remove(s, unit);
	}
	supervisor_tell(s);
}

static struct unit *supervisor_find(struct supervisor *s, enum plan_kind kind,
				    const char *name)
{
	struct pvio_list *pos;
	struct unit *u;

	pvio_list_for_each(pos, &s->units) {
		u = pvio_list_entry(pos, struct unit, node);
		if (u->kind == kind && strcmp(u->name, name) == 0)
			return u;
	}
	return NULL;
}

static void supervisor_add(struct supervisor *s, const struct plan_unit *plan)
{
	struct unit *unit;
	int rc;

	rc = unit_create(&s->env, plan, &unit);
	if (rc < 0) {
		pvio_log(PVIO_LOG_ERROR, "%s: %s", plan->name, strerror(-rc));
		return;
	}
	pvio_list_add_tail(&s->units, &unit->node);
	unit_start(unit);
}

/* Make what runs be what @plan says.  Takes @plan. */
static void supervisor_adopt(struct supervisor *s, struct plan *plan)
{
	struct plan *old = s->plan;
	struct pvio_list *pos, *next;
	const struct plan_unit *now;
	struct unit *unit;
	unsigned int i;
	bool same;

	for (pos = s->units.next; pos != &s->units; pos = next) {
		next = pos->next;
		unit = pvio_list_entry(pos, struct unit, node);
		now = plan_find_unit(plan, unit->kind, unit->name);
		if (now && now->nr_devices == 0)
			now = NULL;
		same = now && unit->plan &&
		       strcmp(now->text, unit->plan->text) == 0;
		if (!same)
			pvio_log(PVIO_LOG_INFO, "%s: %s", unit->name,
				 now ? "has changed" : "is removed");
		same = same || (now && unit->plan && plug_apply(unit, now));
		unit->plan = now;
		if (!same)
			unit_stop(unit);
	}
	s->plan = plan;
	for (i = 0; i < plan->nr_units; i++) {
		now = &plan->units[i];
		if (now->nr_devices > 0 &&
		    !supervisor_find(s, now->kind, now->name))
			supervisor_add(s, now);
	}
	sockets_keep(s->sockets, plan);
	plan_destroy(old);
	supervisor_tell(s);
}

/* --- reload --------------------------------------------------------------- */

pid_t supervisor_try(const struct plan *plan, const struct plan *running)
{
	pid_t pid;

	pid = unit_fork("try", NULL, NULL, NULL, -1);
	if (pid == 0)
		_exit(serve_try(plan, running));
	return pid;
}

static void supervisor_on_hangup(evutil_socket_t fd, short what, void *arg);

static void supervisor_end_reload(struct supervisor *s, const char *why)
{
	event_del(s->trial_deadline);
	if (why) {
		pvio_log(PVIO_LOG_ERROR,
			 "%s: %s: going on with what was before", s->path, why);
		plan_destroy(s->new_plan);
	} else {
		pvio_log(PVIO_LOG_INFO, "%s: has been read again", s->path);
	}
	s->new_plan = NULL;
	systemd_notify("READY=1");
	if (s->reload_again) {
		s->reload_again = false;
		supervisor_on_hangup(SIGHUP, EV_SIGNAL, s);
	}
}

static void supervisor_tried(struct supervisor *s, int status)
{
	struct plan *plan = s->new_plan;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : SERVE_FAILED;

	s->trial = 0;
	if (s->is_stopping)
		return;
	if (code != SERVE_OK) {
		supervisor_end_reload(s, "cannot be served");
		return;
	}
	if (sockets_open(s->sockets, plan, NULL) < 0) {
		supervisor_end_reload(s, "cannot listen");
		return;
	}
	s->new_plan = NULL;
	supervisor_adopt(s, plan);
	supervisor_end_reload(s, NULL);
}

static void supervisor_on_trial_deadline(evutil_socket_t fd, short what,
					 void *arg)
{
	struct supervisor *s = arg;

	(void)fd;
	(void)what;
	pvio_log(PVIO_LOG_ERROR, "%s: trying it takes too long", s->path);
	if (s->trial > 0)
		kill(s->trial, SIGKILL);
}

static bool supervisor_is_same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static int supervisor_begin_reload(struct supervisor *s)
{
	struct timeval tv = { SUPERVISOR_TRY_MS / 1000, 0 };
	struct pvio_config *root;
	pid_t pid;
	int rc;

	rc = plan_load(s->path, &s->new_plan);
	if (rc < 0)
		return rc;
	root = pvio_config_root(s->new_plan->file);
	if (!supervisor_is_same(s->plan->control, s->new_plan->control))
		return pvio_config_error(root, "control",
					 "changes only with a restart");
	if (!supervisor_is_same(s->plan->plugin_dir, s->new_plan->plugin_dir))
		return pvio_config_error(root, "plugin_dir",
					 "changes only with a restart");
	pid = supervisor_try(s->new_plan, s->plan);
	if (pid < 0)
		return (int)pid;
	s->trial = pid;
	event_add(s->trial_deadline, &tv);
	return 0;
}

static void supervisor_on_hangup(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;
	int rc;

	(void)fd;
	(void)what;
	if (s->is_stopping)
		return;
	if (s->trial > 0) {
		s->reload_again = true;
		return;
	}
	systemd_notify("RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		       pvio_now_ns() / 1000);
	rc = supervisor_begin_reload(s);
	if (rc < 0)
		supervisor_end_reload(s, rc == -EINVAL ? "is wrong"
						       : strerror(-rc));
}

/* --- signals -------------------------------------------------------------- */

static void supervisor_on_child(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;
	struct pvio_list *pos;
	struct unit *u, *ended;
	int status;
	pid_t pid;

	(void)fd;
	(void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == s->trial) {
			supervisor_tried(s, status);
			continue;
		}
		ended = NULL;
		pvio_list_for_each(pos, &s->units) {
			u = pvio_list_entry(pos, struct unit, node);
			if (u->pid == pid)
				ended = u;
		}
		if (ended)
			unit_ended(ended, status);
	}
}

static void supervisor_on_term(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;
	struct pvio_list *pos, *next;

	(void)fd;
	(void)what;
	if (s->is_stopping)
		return;
	s->is_stopping = true;
	systemd_notify("STOPPING=1");
	if (s->trial > 0)
		kill(s->trial, SIGKILL);
	if (pvio_list_empty(&s->units))
		event_base_loopbreak(s->base);
	for (pos = s->units.next; pos != &s->units; pos = next) {
		next = pos->next;
		unit_stop(pvio_list_entry(pos, struct unit, node));
	}
}

/* --- for the control socket ----------------------------------------------- */

static struct json_object *supervisor_list_unit(const struct unit *unit)
{
	struct json_object *o = json_object_new_object();
	struct json_object *devices = json_object_new_array(), *d;
	const struct plan_device *dev;
	unsigned int i;

	json_object_object_add(o, "name", json_object_new_string(unit->name));
	json_object_object_add(o, "kind",
			       json_object_new_string(plan_kinds[unit->kind]));
	json_object_object_add(
		o, "state",
		json_object_new_string(unit_state_name(unit->state)));
	json_object_object_add(o, "pid", json_object_new_int(unit->pid));
	json_object_object_add(o, "restarts",
			       json_object_new_int64(unit->restarts));
	if (unit->plan && unit->plan->socket.path)
		json_object_object_add(
			o, "socket",
			json_object_new_string(unit->plan->socket.path));
	for (i = 0; unit->plan && i < unit->plan->nr_devices; i++) {
		dev = unit->plan->devices[i];
		d = json_object_new_object();
		json_object_object_add(d, "name",
				       json_object_new_string(dev->name));
		json_object_object_add(d, "guest",
				       json_object_new_string(dev->guest));
		json_object_object_add(d, "model",
				       json_object_new_string(dev->model));
		json_object_object_add(d, "backend",
				       json_object_new_string(dev->backend));
		json_object_object_add(d, "transport",
				       json_object_new_string(dev->transport));
		if (dev->socket.path)
			json_object_object_add(
				d, "socket",
				json_object_new_string(dev->socket.path));
		json_object_array_add(devices, d);
	}
	json_object_object_add(o, "devices", devices);
	return o;
}

struct json_object *supervisor_list(const struct supervisor *s)
{
	struct json_object *list = json_object_new_array();
	struct pvio_list *pos;

	pvio_list_for_each(pos, &s->units)
		json_object_array_add(
			list, supervisor_list_unit(
				      pvio_list_entry(pos, struct unit, node)));
	return list;
}

static struct unit *supervisor_unit_of(struct supervisor *s, const char *name)
{
	struct pvio_list *pos;
	struct unit *u;
	unsigned int i;

	pvio_list_for_each(pos, &s->units) {
		u = pvio_list_entry(pos, struct unit, node);
		for (i = 0; u->plan && i < u->plan->nr_devices; i++)
			if (strcmp(u->plan->devices[i]->name, name) == 0)
				return u;
	}
	return NULL;
}

void supervisor_request(struct supervisor *s, struct json_object *request,
			unit_answer_fn *answer, void *arg)
{
	const char *device = link_string(request, "device");
	struct unit *unit = device ? supervisor_unit_of(s, device) : NULL;

	if (!unit) {
		json_object_put(request);
		answer(arg, NULL,
		       device ? "there is no such device"
			      : "the command needs a device");
		return;
	}
	unit_request(unit, request, UNIT_ANSWER_S, answer, arg);
}

void supervisor_forget(struct supervisor *s, const void *arg)
{
	struct pvio_list *pos;

	pvio_list_for_each(pos, &s->units)
		unit_forget(pvio_list_entry(pos, struct unit, node), arg);
}

/* --- its life ------------------------------------------------------------- */

int supervisor_create(struct event_base *base, const char *path,
		      struct plan *plan, struct sockets *sockets,
		      struct supervisor **supervisor)
{
	struct supervisor *s;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->base = base;
	s->path = path;
	s->env = (struct unit_env){
		.base = base,
		.sockets = sockets,
		.changed = supervisor_on_change,
		.arg = s,
	};
	pvio_list_init(&s->units);
	s->term = evsignal_new(base, SIGTERM, supervisor_on_term, s);
	s->interrupt = evsignal_new(base, SIGINT, supervisor_on_term, s);
	s->hangup = evsignal_new(base, SIGHUP, supervisor_on_hangup, s);
	s->child = evsignal_new(base, SIGCHLD, supervisor_on_child, s);
	s->trial_deadline = event_new(base, -1, 0, supervisor_on_trial_deadline,
				      s);
	if (!s->term || !s->interrupt || !s->hangup || !s->child ||
	    !s->trial_deadline || event_add(s->term, NULL) < 0 ||
	    event_add(s->interrupt, NULL) < 0 ||
	    event_add(s->hangup, NULL) < 0 || event_add(s->child, NULL) < 0) {
		supervisor_destroy(s);
		return -ENOMEM;
	}
	s->plan = plan;
	s->sockets = sockets;
	*supervisor = s;
	return 0;
}

void supervisor_destroy(struct supervisor *s)
{
	struct event *events[5];
	unsigned int i;

	if (!s)
		return;
	events[0] = s->term;
	events[1] = s->interrupt;
	events[2] = s->hangup;
	events[3] = s->child;
	events[4] = s->trial_deadline;
	for (i = 0; i < pvio_array_size(events); i++)
		if (events[i])
			event_free(events[i]);
	plan_destroy(s->new_plan);
	plan_destroy(s->plan);
	sockets_destroy(s->sockets);
	free(s);
}

int supervisor_run(struct supervisor *s)
{
	unsigned int i;

	for (i = 0; i < s->plan->nr_units; i++)
		if (s->plan->units[i].nr_devices > 0)
			supervisor_add(s, &s->plan->units[i]);
	supervisor_tell(s);
	return event_base_dispatch(s->base) < 0 ? -EIO : 0;
}
