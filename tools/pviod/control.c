/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control.c - the control socket
 *
 * One JSON object a line, each way.  The daemon greets, the client asks:
 *
 *	<- {"pvio": "0.1.0"}
 *	-> {"id": 1, "command": "list"}
 *	<- {"id": 1, "result": [...]}
 *	-> {"id": 2, "command": "resize", "device": "disk0", "argument": "20G"}
 *	<- {"id": 2, "error": "why not"}
 *
 * "list" is answered here; all else goes to the process of the device.  A
 * client's next line is read when the one before is answered, and "id" may be
 * any JSON value or absent.
 *
 * A client is root or ourselves, which the kernel says; still it may be broken.
 * It gets an error for nonsense, and is closed for lines that are too long, or
 * take too long, or for not reading.  When all seats are taken the client that
 * has been silent longest makes room.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <json-c/json.h>

#include <pvio/pvio.h>

#include "control.h"
#include "core/log.h"
#include "link.h"

#define CONTROL_MAX_CLIENTS 16

static const struct lines_limits control_limits = {
	.in_bytes = 64 << 10,
	.out_bytes = 8 << 20,
	.deadline_ms = 5000,
};

struct control_client {
	struct pvio_list node;
	struct control *control;
	struct lines *lines;    /* owned */
	struct json_object *id; /* owned: of the request under way */
	uint64_t active_at_ns;
};

struct control {
	struct event_base *base;       /* borrowed */
	struct supervisor *supervisor; /* borrowed */
	struct event *accept;          /* owned */
	struct pvio_list clients;
	unsigned int nr_clients;
	struct pvio_log_limit log_limit;
};

static void control_drop(struct control_client *c)
{
	supervisor_forget(c->control->supervisor, c);
	pvio_list_del(&c->node);
	c->control->nr_clients--;
	lines_destroy(c->lines);
	json_object_put(c->id);
	free(c);
}

/* unit_answer_fn */
static void control_answer(void *arg, struct json_object *result,
			   const char *error)
{
	struct json_object *reply = json_object_new_object();
	struct control_client *c = arg;

	json_object_object_add(reply, "id", c->id);
	c->id = NULL;
	if (result)
		json_object_object_add(reply, "result",
				       json_object_get(result));
	else
		json_object_object_add(
			reply, "error",
			json_object_new_string(error ? error : "no answer"));
	lines_send(c->lines, json_object_to_json_string_ext(
				     reply, JSON_C_TO_STRING_PLAIN));
	json_object_put(reply);
	lines_resume(c->lines);
}

/* Only what the device's process is to see of a request. */
static struct json_object *control_forward(struct json_object *request)
{
	static const char *const keys[] = { "command", "device", "argument" };
	struct json_object *copy = json_object_new_object();
	const char *text;
	unsigned int i;

	for (i = 0; i < pvio_array_size(keys); i++) {
		text = link_string(request, keys[i]);
		if (text)
			json_object_object_add(copy, keys[i],
					       json_object_new_string(text));
	}
	return copy;
}

static void control_on_line(void *arg, char *line, size_t bytes)
{
	struct json_object *request, *result, *id;
	struct control_client *c = arg;
	const char *command;

	c->active_at_ns = pvio_now_ns();
	lines_pause(c->lines);
	request = link_parse(line, bytes);
	if (!request) {
		control_answer(c, NULL, "a request is one JSON object a line");
		return;
	}
	if (json_object_object_get_ex(request, "id", &id))
		c->id = json_object_get(id);
	command = link_string(request, "command");
	if (!command) {
		control_answer(c, NULL, "there is no \"command\"");
	} else if (strcmp(command, "list") == 0) {
		result = supervisor_list(c->control->supervisor);
		control_answer(c, result, NULL);
		json_object_put(result);
	} else {
		supervisor_request(c->control->supervisor,
				   control_forward(request), control_answer, c);
	}
	json_object_put(request);
}

static void control_on_end(void *arg, const char *why)
{
	struct control_client *c = arg;

	pvio_log_limited(&c->control->log_limit, PVIO_LOG_DEBUG,
			 "control: client: %s", why);
	control_drop(c);
}

static bool control_is_allowed(struct control *control, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;
	pvio_log_limited(&control->log_limit, PVIO_LOG_WARNING,
			 "control: refused process %d of user %u",
			 (int)peer.pid, (unsigned)peer.uid);
	return false;
}

static void control_make_room(struct control *control)
{
	struct control_client *c, *oldest = NULL;
	struct pvio_list *pos;

	if (control->nr_clients < CONTROL_MAX_CLIENTS)
		return;
	pvio_list_for_each(pos, &control->clients) {
		c = pvio_list_entry(pos, struct control_client, node);
		if (!oldest || c->active_at_ns < oldest->active_at_ns)
			oldest = c;
	}
	pvio_log_limited(&control->log_limit, PVIO_LOG_WARNING,
			 "control: too many clients, dropping one");
	control_drop(oldest);
}

static int control_add(struct control *control, int fd)
{
	struct control_client *c;
	char greeting[64];
	int rc;

	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	rc = lines_create(control->base, fd, &control_limits, control_on_line,
			  control_on_end, c, &c->lines);
	if (rc < 0) {
		free(c);
		return rc;
	}
	c->control = control;
	c->active_at_ns = pvio_now_ns();
	pvio_list_add_tail(&control->clients, &c->node);
	control->nr_clients++;
	snprintf(greeting, sizeof(greeting), "{\"pvio\":\"%s\"}",
		 pvio_version());
	lines_send(c->lines, greeting);
	return 0;
}

static void control_on_accept(evutil_socket_t listener, short what, void *arg)
{
	struct control *control = arg;
	int fd;

	(void)what;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			pvio_log_limited(&control->log_limit, PVIO_LOG_ERROR,
					 "control: accept: %s",
					 strerror(errno));
		return;
	}
	if (!control_is_allowed(control, fd)) {
		close(fd);
		return;
	}
	control_make_room(control);
	if (control_add(control, fd) < 0)
		close(fd);
}

int control_create(struct event_base *base, int fd,
		   struct supervisor *supervisor, struct control **control)
{
	struct control *c;

	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->base = base;
	c->supervisor = supervisor;
	pvio_list_init(&c->clients);
	c->accept = event_new(base, fd, EV_READ | EV_PERSIST, control_on_accept,
			      c);
	if (!c->accept || evutil_make_socket_nonblocking(fd) < 0 ||
	    event_add(c->accept, NULL) < 0) {
		control_destroy(c);
		return -ENOMEM;
	}
	*control = c;
	return 0;
}

void control_destroy(struct control *control)
{
	if (!control)
		return;
	while (!pvio_list_empty(&control->clients))
		control_drop(pvio_list_entry(control->clients.next,
					     struct control_client, node));
	if (control->accept)
		event_free(control->accept);
	free(control);
}
