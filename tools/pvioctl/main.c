/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - pvioctl: talk to a running pviod
 *
 * One connection, one or a few requests, each a line of JSON; the answers as
 * tables, or with --json as they come.
 *
 * Status: 0 done; 1 the daemon refused, or could not be reached; 2 the command
 * line is wrong.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <json-c/json.h>

#include <pvio/pvio.h>

#include "show.h"
#include "tools/pviod/link.h"

#define ANSWER_SECONDS   10
#define ANSWER_MAX_BYTES (16 << 20)

static const char usage[] =
	"usage: pvioctl [-s SOCKET] [--json] COMMAND\n"
	"\n"
	"  list                  what is served, by which process\n"
	"  stats [DEVICE]        counters of every queue\n"
	"  latency [DEVICE]      where the time of requests goes\n"
	"  resize DEVICE [SIZE]  a disk has a new size: its file's, or SIZE\n"
	"  link DEVICE up|down   plug or unplug a network card's cable\n"
	"  clear-error DEVICE    let flushes of a disk succeed again\n"
	"\n"
	"  -s, --socket=PATH     instead of " PVIO_RUN_DIR "/control.sock\n"
	"  -j, --json            print the daemon's answer\n"
	"  -V, --version\n"
	"  -h, --help\n";

enum status {
	STATUS_OK = 0,
	STATUS_REFUSED = 1,
	STATUS_USAGE = 2,
};

struct ctl {
	const char *path;
	bool is_json;
	FILE *in; /* the connection */
	int fd;
	int last_id;
};

static int ctl_connect(struct ctl *ctl)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = ANSWER_SECONDS };
	int rc;

	if (strlen(ctl->path) >= sizeof(addr.sun_path)) {
		fprintf(stderr, "pvioctl: %s: %s\n", ctl->path,
			strerror(ENAMETOOLONG));
		return -ENAMETOOLONG;
	}
	strcpy(addr.sun_path, ctl->path);
	ctl->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (ctl->fd < 0 ||
	    setsockopt(ctl->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
	    setsockopt(ctl->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0 ||
	    connect(ctl->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		rc = -errno;
		fprintf(stderr, "pvioctl: %s: %s\n", ctl->path, strerror(-rc));
		return rc;
	}
	ctl->in = fdopen(ctl->fd, "r");
	return ctl->in ? 0 : -ENOMEM;
}

/* The next line, as an object to be put; NULL after a message. */
static struct json_object *ctl_read(struct ctl *ctl)
{
	struct json_object *object = NULL;
	size_t size = 0, bytes = 0;
	char *line = NULL, *more;
	int c;

	/* Not getline(): a daemon gone mad shall not fill our memory. */
	while ((c = getc(ctl->in)) != EOF && c != '\n') {
		if (bytes + 1 >= size) {
			size = size ? size * 2 : 4096;
			more = size <= ANSWER_MAX_BYTES ? realloc(line, size)
							: NULL;
			if (!more)
				break;
			line = more;
		}
		line[bytes++] = (char)c;
	}
	if (c == '\n' && line) {
		line[bytes] = '\0';
		object = link_parse(line, bytes);
	}
	if (!object)
		fprintf(stderr, "pvioctl: %s: %s\n", ctl->path,
			c == EOF ? "closed by the daemon, or no answer"
				 : "the answer makes no sense");
	free(line);
	return object;
}

/* The result, to be put; NULL after a message. */
static struct json_object *ctl_ask(struct ctl *ctl, const char *command,
				   const char *device, const char *argument)
{
	struct json_object *request = json_object_new_object(), *answer;
	struct json_object *result = NULL;
	const char *error;
	char *text;
	int len;

	json_object_object_add(request, "id",
			       json_object_new_int(++ctl->last_id));
	json_object_object_add(request, "command",
			       json_object_new_string(command));
	if (device)
		json_object_object_add(request, "device",
				       json_object_new_string(device));
	if (argument)
		json_object_object_add(request, "argument",
				       json_object_new_string(argument));
	len = asprintf(&text, "%s\n",
		       json_object_to_json_string_ext(request,
						      JSON_C_TO_STRING_PLAIN));
	json_object_put(request);
	if (len < 0)
		return NULL;
	if (send(ctl->fd, text, (size_t)len, MSG_NOSIGNAL) != len) {
		fprintf(stderr, "pvioctl: %s: %s\n", ctl->path,
			strerror(errno));
		free(text);
		return NULL;
	}
	free(text);

	answer = ctl_read(ctl);
	if (!answer)
		return NULL;
	if (json_object_object_get_ex(answer, "result", &result)) {
		result = json_object_get(result);
	} else {
		error = link_string(answer, "error");
		fprintf(stderr, "pvioctl: %s%s%s\n", device ? device : "",
			device ? ": " : "", error ? error : "no result");
	}
	json_object_put(answer);
	return result;
}

static void ctl_show(const struct ctl *ctl, struct json_object *result,
		     const char *device,
		     void (*show)(const char *device,
				  struct json_object *result))
{
	if (ctl->is_json)
		printf("%s\n", json_object_to_json_string_ext(
				       result, JSON_C_TO_STRING_PRETTY));
	else
		show(device, result);
}

/* @command for every device there is. */
static int ctl_each(struct ctl *ctl, const char *command,
		    void (*show)(const char *device,
				 struct json_object *result))
{
	struct json_object *list, *devices, *result;
	int rc = STATUS_OK;
	size_t i, d;

	list = ctl_ask(ctl, "list", NULL, NULL);
	if (!list || !json_object_is_type(list, json_type_array)) {
		json_object_put(list);
		return STATUS_REFUSED;
	}
	for (i = 0; i < json_object_array_length(list); i++) {
		if (!json_object_object_get_ex(
			    json_object_array_get_idx(list, i), "devices",
			    &devices) ||
		    !json_object_is_type(devices, json_type_array))
			continue;
		for (d = 0; d < json_object_array_length(devices); d++) {
			const char *name = link_string(
				json_object_array_get_idx(devices, d), "name");

			result = name ? ctl_ask(ctl, command, name, NULL)
				      : NULL;
			if (result)
				ctl_show(ctl, result, name, show);
			else
				rc = STATUS_REFUSED;
			json_object_put(result);
		}
	}
	json_object_put(list);
	return rc;
}

static int ctl_run(struct ctl *ctl, int argc, char **argv)
{
	static const struct {
		const char *name;
		int min, max; /* arguments */
		void (*show)(const char *device, struct json_object *result);
	} commands[] = {
		{ "list", 0, 0, show_list },
		{ "stats", 0, 1, show_stats },
		{ "latency", 0, 1, show_latency },
		{ "resize", 1, 2, show_answer },
		{ "link", 2, 2, show_answer },
		{ "clear-error", 1, 1, show_answer },
	};
	struct json_object *result;
	unsigned int i, nr = sizeof(commands) / sizeof(commands[0]);
	const char *device = argc > 1 ? argv[1] : NULL;
	int rc;

	for (i = 0; i < nr; i++)
		if (strcmp(argv[0], commands[i].name) == 0)
			break;
	if (i == nr || argc - 1 < commands[i].min ||
	    argc - 1 > commands[i].max) {
		fputs(usage, stderr);
		return STATUS_USAGE;
	}
	if (ctl_connect(ctl) < 0)
		return STATUS_REFUSED;
	/* The greeting. */
	result = ctl_read(ctl);
	if (!result)
		return STATUS_REFUSED;
	json_object_put(result);

	if (!device && (commands[i].show == show_stats ||
			commands[i].show == show_latency))
		return ctl_each(ctl, argv[0], commands[i].show);
	result = ctl_ask(ctl, argv[0], device, argc > 2 ? argv[2] : NULL);
	rc = result ? STATUS_OK : STATUS_REFUSED;
	if (result)
		ctl_show(ctl, result, device, commands[i].show);
	json_object_put(result);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct ctl ctl = { .path = PVIO_RUN_DIR "/control.sock", .fd = -1 };
	int c, rc;

	while ((c = getopt_long(argc, argv, "+s:jVh", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			ctl.path = optarg;
			break;
		case 'j':
			ctl.is_json = true;
			break;
		case 'V':
			printf("pvioctl %s\n", pvio_version());
			return STATUS_OK;
		case 'h':
			fputs(usage, stdout);
			return STATUS_OK;
		default:
			fputs(usage, stderr);
			return STATUS_USAGE;
		}
	}
	if (optind == argc) {
		fputs(usage, stderr);
		return STATUS_USAGE;
	}
	rc = ctl_run(&ctl, argc - optind, argv + optind);
	if (ctl.in)
		fclose(ctl.in);
	else if (ctl.fd >= 0)
		close(ctl.fd);
	return fflush(stdout) == 0 ? rc : STATUS_REFUSED;
}
