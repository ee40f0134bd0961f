/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve.c - the process that serves one guest's devices, a switch or a window
 *
 * It is forked from the supervisor, whose parsed configuration it has
 * inherited, and creates its devices from that: a control worker on its main
 * thread and, as configured, workers that serve the queues.
 *
 * The supervisor asks it for things with a line of JSON, and gets one back:
 *
 *	{"id": 7, "command": "stats", "device": "disk0"}
 *	{"id": 7, "result": {...}}  or  {"id": 7, "error": "why not"}
 *
 * Devices that come and go (plug.c) are seen to between two runs of the control
 * worker: who destroys one has to turn that worker until its requests are done.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include <pvio/bus.h>
#include <pvio/pvio.h>
#include <pvio/window.h>

#include "core/device.h"
#include "core/eventfd.h"
#include "core/log.h"
#include "core/worker.h"
#include "link.h"
#include "serve.h"
#include "tools/common/lines.h"

/* How long a guest may take to let a device go. */
#define SERVE_UNPLUG_MS 10000

struct serve {
	const struct plan_unit *unit;
	const struct sockets *sockets; /* NULL: do not listen */
	struct pvio_worker *control;
	struct pvio_worker *workers[PLAN_MAX_WORKERS];
	unsigned int nr_workers;
	struct pvio_device **devices; /* owned */
	unsigned int nr_devices;
	struct pvio_window *window; /* owned; of a window, instead of devices */
	struct store *store;        /* borrowed, or NULL */
	struct pvio_window_store window_store;
	struct lines *link; /* owned */
	struct json_object *plugs; /* owned: an array of requests, or NULL */
};

static volatile sig_atomic_t serve_is_over; /* SIGTERM, or nobody to serve for */

/* --- what the supervisor asks --------------------------------------------- */

static struct pvio_device *serve_find(struct serve *s, const char *name)
{
	unsigned int i;

	for (i = 0; name && i < s->nr_devices; i++)
		if (strcmp(pvio_device_name(s->devices[i]), name) == 0)
			return s->devices[i];
	return NULL;
}

/* Takes @text, which is NULL when there is none. */
static void serve_counters(char *text, struct json_object *reply)
{
	struct json_object *result = text ? json_tokener_parse(text) : NULL;

	free(text);
	if (result)
		json_object_object_add(reply, "result", result);
	else
		json_object_object_add(
			reply, "error",
			json_object_new_string("the counters are not to be "
					       "had"));
}

static void serve_stats(struct pvio_device *dev, bool with_latency,
			struct json_object *reply)
{
	char *text = NULL;

	if (pvio_device_stats(dev, with_latency, &text) < 0)
		text = NULL;
	serve_counters(text, reply);
}

static void serve_refuse(struct json_object *reply, const char *why)
{
	json_object_object_add(reply, "error", json_object_new_string(why));
}

/* A port has counters, of which none tell where time went. */
static void serve_port(struct serve *s, const char *port, const char *command,
		       struct json_object *reply)
{
	char *text = NULL;
	int rc;

	rc = pvio_window_port_stats(s->window, port ? port : "", &text);
	if (rc == -ENOENT) {
		serve_refuse(reply, "there is no such device");
	} else if (command && (strcmp(command, "stats") == 0 ||
			       strcmp(command, "latency") == 0)) {
		serve_counters(rc == 0 ? text : NULL, reply);
		return;
	} else {
		serve_refuse(reply, "a port of a window has no such command");
	}
	if (rc == 0)
		free(text);
}

static void serve_command(struct pvio_device *dev, const char *command,
			  const char *argument, struct json_object *reply)
{
	char answer[256] = "";
	int rc;

	rc = pvio_device_command(dev, command, argument ? argument : "", answer,
				 sizeof(answer));
	if (rc < 0 && answer[0] == '\0')
		snprintf(answer, sizeof(answer), "%s: %s", command,
			 rc == -ENOTSUP ? "the device has no such command"
					: strerror(-rc));
	json_object_object_add(reply, rc < 0 ? "error" : "result",
			       json_object_new_string(answer));
}

static void serve_answer(struct serve *s, struct json_object *request,
			 struct json_object *reply)
{
	struct json_object *id;

	if (json_object_object_get_ex(request, "id", &id))
		json_object_object_add(reply, "id", json_object_get(id));
	lines_send(s->link, json_object_to_json_string_ext(
				    reply, JSON_C_TO_STRING_PLAIN));
	json_object_put(reply);
}

/* Later, when the control worker is between two runs. */
static void serve_defer(struct serve *s, struct json_object *request)
{
	if (!s->plugs)
		s->plugs = json_object_new_array();
	json_object_array_add(s->plugs, json_object_get(request));
	pvio_worker_break(s->control);
}

static void serve_on_line(void *arg, char *line, size_t bytes)
{
	struct json_object *request, *reply;
	struct serve *s = arg;
	struct pvio_device *dev;
	const char *command;

	request = link_parse(line, bytes);
	if (!request)
		return;
	command = link_string(request, "command");
	if (command && (strcmp(command, "plug") == 0 ||
			strcmp(command, "unplug") == 0)) {
		serve_defer(s, request);
		json_object_put(request);
		return;
	}
	reply = json_object_new_object();
	dev = serve_find(s, link_string(request, "device"));
	if (s->window)
		serve_port(s, link_string(request, "device"), command, reply);
	else if (!dev || !command)
		serve_refuse(reply, "there is no such device");
	else if (strcmp(command, "stats") == 0)
		serve_stats(dev, false, reply);
	else if (strcmp(command, "latency") == 0)
		serve_stats(dev, true, reply);
	else
		serve_command(dev, command, link_string(request, "argument"),
			      reply);
	serve_answer(s, request, reply);
	json_object_put(request);
}

/* The supervisor is gone, or would not listen: there is nobody to serve for. */
static void serve_on_end(void *arg, const char *why)
{
	struct serve *s = arg;

	pvio_log(PVIO_LOG_WARNING, "%s: supervisor: %s", s->unit->name, why);
	serve_is_over = 1;
	pvio_worker_break(s->control);
}

/* --- its devices ---------------------------------------------------------- */

static int serve_create_workers(struct serve *s)
{
	char name[24];
	int rc;

	rc = pvio_worker_create("control", &s->control);
	while (rc == 0 && s->nr_workers < s->unit->workers) {
		snprintf(name, sizeof(name), "worker%u", s->nr_workers);
		rc = pvio_worker_create(name, &s->workers[s->nr_workers]);
		if (rc == 0)
			s->nr_workers++;
	}
	if (rc < 0)
		pvio_log(PVIO_LOG_ERROR, "%s: worker: %s", s->unit->name,
			 strerror(-rc));
	return rc;
}

/* The listening socket is the supervisor's: it is in the file as fd. */
static int serve_give_socket(struct serve *s, const struct plan_socket *socket)
{
	return pvio_config_set_int(socket->cfg, "fd",
				   sockets_fd(s->sockets, socket->path));
}

static int serve_create_device(struct serve *s, const struct plan_device *pd)
{
	int rc = 0;

	if (pd->socket.path && s->sockets)
		rc = serve_give_socket(s, &pd->socket);
	if (rc == 0)
		rc = pvio_device_create_from(pd->name, pd->cfg, s->control,
					     s->workers, s->nr_workers,
					     &s->devices[s->nr_devices]);
	if (rc == 0)
		s->nr_devices++;
	return rc;
}

static int serve_create_window(struct serve *s)
{
	const struct pvio_window_store *store = NULL;
	int rc = 0;

	if (s->store) {
		s->window_store = (struct pvio_window_store){
			.put = store_put, .take = store_take, .arg = s->store
		};
		store = &s->window_store;
	}
	if (s->sockets)
		rc = serve_give_socket(s, &s->unit->socket);
	if (rc == 0)
		rc = pvio_window_create(s->unit->name, s->unit->cfg, s->control,
					s->workers, s->nr_workers, store,
					&s->window);
	return rc;
}

/* Create all of the unit's devices.  Goes on after a failure: tell them all. */
static int serve_create(struct serve *s)
{
	unsigned int i;
	int rc, first;

	s->devices = calloc(s->unit->nr_devices + 1, sizeof(*s->devices));
	if (!s->devices)
		return -ENOMEM;
	first = serve_create_workers(s);
	if (s->unit->kind == PLAN_WINDOW)
		return first < 0 ? first : serve_create_window(s);
	for (i = 0;
	     s->nr_workers == s->unit->workers && i < s->unit->nr_devices;
	     i++) {
		rc = serve_create_device(s, s->unit->devices[i]);
		if (rc < 0 && (first == 0 || rc == -EINVAL))
			first = rc;
	}
	return first;
}

static int serve_start(struct serve *s)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < s->nr_workers && rc == 0; i++)
		rc = pvio_worker_start(s->workers[i]);
	for (i = 0; i < s->nr_devices && rc == 0; i++)
		rc = pvio_device_start(s->devices[i]);
	if (s->window && rc == 0)
		rc = pvio_window_start(s->window);
	if (s->store && rc == 0)
		store_settle(s->store);
	return rc;
}

/* --- while it serves ------------------------------------------------------- */

static int serve_plug(struct serve *s, const char *name, const char *config)
{
	struct pvio_config_file *file;
	struct pvio_device **devices;
	const char *told;
	int rc;

	devices = realloc(s->devices,
			  (s->nr_devices + 2) * sizeof(*s->devices));
	if (!devices)
		return -ENOMEM;
	s->devices = devices;
	rc = pvio_config_parse(name, config, &file);
	if (rc < 0)
		return rc;
	/* The supervisor's part of the text, which it has used. */
	rc = pvio_config_string(pvio_config_root(file), "name", &told);
	if (rc == 0)
		rc = pvio_device_create_from(name, pvio_config_root(file),
					     s->control, s->workers,
					     s->nr_workers,
					     &devices[s->nr_devices]);
	pvio_config_close(file);
	if (rc < 0)
		return rc;
	rc = pvio_device_start(devices[s->nr_devices]);
	if (rc < 0)
		pvio_device_destroy(devices[s->nr_devices]);
	else
		s->nr_devices++;
	return rc;
}

static int serve_unplug(struct serve *s, const char *name)
{
	struct pvio_device *dev = serve_find(s, name);
	unsigned int i = 0;

	if (!dev)
		return -ENOENT;
	/* A driver that does not let it go does not keep it. */
	if (pvio_bus_unplug(dev, SERVE_UNPLUG_MS) == -ETIMEDOUT)
		pvio_log(PVIO_LOG_WARNING,
			 "%s: its driver does not let it go: taken away", name);
	while (s->devices[i] != dev)
		i++;
	s->nr_devices--;
	memmove(&s->devices[i], &s->devices[i + 1],
		(s->nr_devices - i) * sizeof(*s->devices));
	pvio_device_destroy(dev);
	return 0;
}

static void serve_do_plug(struct serve *s, struct json_object *request)
{
	struct json_object *reply = json_object_new_object();
	const char *command = link_string(request, "command");
	const char *name = link_string(request, "device");
	const char *config = link_string(request, "config");
	char answer[256];
	int rc = -EINVAL;

	if (name && strcmp(command, "unplug") == 0)
		rc = serve_unplug(s, name);
	else if (name && config)
		rc = serve_plug(s, name, config);
	snprintf(answer, sizeof(answer), "%s: %s", command, strerror(-rc));
	json_object_object_add(reply, rc < 0 ? "error" : "result",
			       json_object_new_string(rc < 0 ? answer
							     : "done"));
	if (rc == 0)
		pvio_log(PVIO_LOG_INFO, "%s: has been %sged", name, command);
	serve_answer(s, request, reply);
}

static void serve_do_plugs(struct serve *s)
{
	struct json_object *plugs = s->plugs;
	size_t i;

	/* More may come while a device's last requests are waited for. */
	s->plugs = NULL;
	for (i = 0; i < json_object_array_length(plugs); i++)
		serve_do_plug(s, json_object_array_get_idx(plugs, i));
	json_object_put(plugs);
}

/* Until it is told to end: what else breaks the loop are requests. */
static void serve_run(struct serve *s)
{
	while (!serve_is_over) {
		pvio_worker_run(s->control);
		while (s->plugs && !serve_is_over)
			serve_do_plugs(s);
	}
}

static void serve_destroy(struct serve *s)
{
	while (s->nr_devices > 0)
		pvio_device_destroy(s->devices[--s->nr_devices]);
	pvio_window_destroy(s->window);
	lines_destroy(s->link);
	json_object_put(s->plugs);
	while (s->nr_workers > 0)
		pvio_worker_destroy(s->workers[--s->nr_workers]);
	pvio_worker_destroy(s->control);
	free(s->devices);
}

static int serve_exit_code(int rc)
{
	if (rc == 0)
		return SERVE_OK;
	return rc == -EINVAL ? SERVE_CONFIG : SERVE_FAILED;
}

/* --- the process ---------------------------------------------------------- */

static struct pvio_worker *serve_control; /* for the signal's handler */

static void serve_on_term(int signal)
{
	(void)signal;
	serve_is_over = 1;
	pvio_worker_break(serve_control);
}

int serve(const struct plan_unit *unit, const struct sockets *sockets,
	  struct store *store, int link)
{
	struct sigaction term = { .sa_handler = serve_on_term };
	struct serve s = { .unit = unit, .sockets = sockets, .store = store };
	int rc;

	/* The VMMs of a switch, or a window, must not hold each other up. */
	if (unit->kind != PLAN_GUEST) {
		rc = pvio_eventfd_watch(SIGURG);
		if (rc < 0)
			return serve_exit_code(rc);
	}
	rc = serve_create(&s);
	if (rc < 0)
		goto destroy;
	rc = lines_create(pvio_worker_base(s.control), link, &link_limits,
			  serve_on_line, serve_on_end, &s, &s.link);
	if (rc < 0)
		goto destroy;
	rc = serve_start(&s);
	if (rc < 0)
		goto destroy;

	serve_control = s.control;
	sigaction(SIGTERM, &term, NULL);
	lines_send(s.link, "{\"ready\":true}");
	serve_run(&s);
destroy:
	/* A second SIGTERM must not find a worker that is gone. */
	signal(SIGTERM, SIG_IGN);
	serve_destroy(&s);
	return serve_exit_code(rc);
}

/* Its keys are known to be good. */
static void serve_skip(const struct plan_unit *unit)
{
	unsigned int i;

	for (i = 0; i < unit->nr_devices; i++)
		pvio_config_skip(unit->devices[i]->cfg);
	if (unit->kind == PLAN_WINDOW)
		pvio_config_skip(unit->cfg);
}

int serve_try(const struct plan *plan, const struct plan *running)
{
	const struct plan_unit *old;
	unsigned int i;
	int rc, worst = 0;

	pvio_config_set_trial(plan->file);
	for (i = 0; i < plan->nr_units; i++) {
		struct serve s = { .unit = &plan->units[i] };

		old = running ? plan_find_unit(running, s.unit->kind,
					       s.unit->name)
			      : NULL;
		if (old && strcmp(old->text, s.unit->text) == 0) {
			serve_skip(s.unit);
			continue;
		}
		rc = serve_create(&s);
		if (rc < 0 && (worst == 0 || rc == -EINVAL))
			worst = rc;
		serve_destroy(&s);
	}
	/*
	 * Now that every device has read its own, what is left is unknown.  A
	 * device that could not be opened may have left keys unread.
	 */
	if (worst == 0) {
		rc = pvio_config_finish(pvio_config_root(plan->file));
		if (rc < 0)
			worst = rc;
	}
	return serve_exit_code(worst);
}
