/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - pviod: options, and the order in which a daemon comes up
 *
 * Nothing is listened at before the whole configuration has been tried, and
 * nothing is removed before everything has stopped.  The daemon stays in the
 * foreground.
 *
 * Status: 0 stopped when told to; 1 could not start; 2 the configuration or
 * the command line is wrong.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include <pvio/pvio.h>

#include "control.h"
#include "core/listen.h"
#include "core/log.h"
#include "core/plugin.h"
#include "serve.h"
#include "tools/common/limits.h"
#include "tools/common/stderr-log.h"
#include "tools/common/systemd.h"

static const char usage[] =
	"usage: pviod [-c FILE] [--check] [-v]...\n"
	"\n"
	"  -c, --config=FILE  read FILE instead of " PVIO_SYSCONF_DIR
	"/pvio.conf\n"
	"      --check        read and try the configuration, then exit:\n"
	"                     0 it can be served, 2 it is wrong\n"
	"  -v, --verbose      say what starts and stops; twice: debug\n"
	"  -V, --version\n"
	"  -h, --help\n";

struct options {
	const char *path;
	bool is_check;
	unsigned int verbosity;
};

/* Returns -1 to go on, or the status to exit with. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", no_argument, NULL, 'k' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:vVh", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->path = optarg;
			break;
		case 'k':
			o->is_check = true;
			break;
		case 'v':
			o->verbosity++;
			break;
		case 'V':
			printf("pviod %s\n", pvio_version());
			return SERVE_OK;
		case 'h':
			fputs(usage, stdout);
			return SERVE_OK;
		default:
			fputs(usage, stderr);
			return SERVE_CONFIG;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "pviod: %s: what is that?\n", argv[optind]);
		return SERVE_CONFIG;
	}
	return -1;
}

/* Status of trying @plan, waiting for it. */
static int try_plan(const struct plan *plan)
{
	int status;
	pid_t pid;

	pid = supervisor_try(plan, NULL);
	if (pid < 0) {
		pvio_log(PVIO_LOG_ERROR, "fork: %s", strerror(-pid));
		return SERVE_FAILED;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return SERVE_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : SERVE_FAILED;
}

static int listen_control(const struct plan *plan, struct systemd_fds *given,
			  struct pvio_listener **listener, int *fd)
{
	int rc;

	if (!plan->control)
		return 0;
	*fd = systemd_take_fd(given, "control", plan->control);
	if (*fd >= 0)
		return 0;
	rc = pvio_listen("control", plan->control, 0600, -1, listener);
	if (rc == 0)
		*fd = pvio_listener_fd(*listener);
	return rc;
}

/* Sockets may be in a directory that a reboot has emptied: ours. */
static void make_run_dir(const struct plan *plan)
{
	static const char dir[] = PVIO_RUN_DIR "/";
	bool is_used = plan->control &&
		       strncmp(plan->control, dir, strlen(dir)) == 0;
	unsigned int i;

	for (i = 0; i < plan->nr_sockets; i++)
		is_used |= strncmp(plan->sockets[i]->path, dir, strlen(dir)) ==
			   0;
	if (is_used && mkdir(PVIO_RUN_DIR, 0755) < 0 && errno != EEXIST)
		pvio_log(PVIO_LOG_WARNING, "mkdir %s: %s", PVIO_RUN_DIR,
			 strerror(errno));
}

/* Everything is proven: serve.  Takes @plan. */
static int run(const struct options *o, struct plan *plan)
{
	struct supervisor *supervisor = NULL;
	struct pvio_listener *listener = NULL;
	struct control *control = NULL;
	struct sockets *sockets = NULL;
	struct systemd_fds given;
	struct event_base *base;
	int control_fd = -1;
	int rc = -ENOMEM;

	systemd_listen_fds(&given);
	make_run_dir(plan);
	base = event_base_new();
	if (!base)
		goto out;
	rc = sockets_create(&sockets);
	if (rc == 0)
		rc = sockets_open(sockets, plan, &given);
	if (rc == 0)
		rc = listen_control(plan, &given, &listener, &control_fd);
	systemd_close_rest(&given);
	if (rc == 0)
		rc = supervisor_create(base, o->path, plan, sockets,
				       &supervisor);
	if (rc < 0)
		goto out;
	plan = NULL;
	sockets = NULL;
	if (control_fd >= 0)
		rc = control_create(base, control_fd, supervisor, &control);
	if (rc == 0)
		rc = supervisor_run(supervisor);
out:
	if (rc < 0)
		pvio_log(PVIO_LOG_ERROR, "cannot start: %s", strerror(-rc));
	control_destroy(control);
	pvio_listener_close(listener);
	supervisor_destroy(supervisor);
	sockets_destroy(sockets);
	plan_destroy(plan);
	if (base)
		event_base_free(base);
	return rc < 0 ? SERVE_FAILED : SERVE_OK;
}

int main(int argc, char **argv)
{
	struct options o = { .path = PVIO_SYSCONF_DIR "/pvio.conf" };
	struct plan *plan;
	int rc;

	rc = parse_options(argc, argv, &o);
	if (rc >= 0)
		return rc;
	signal(SIGPIPE, SIG_IGN);
	stderr_log_start("pviod", o.verbosity);
	limits_raise();

	rc = plan_load(o.path, &plan);
	if (rc < 0)
		return SERVE_CONFIG;
	if (plan->plugin_dir && pvio_plugins_load(plan->plugin_dir) < 0) {
		plan_destroy(plan);
		return SERVE_CONFIG;
	}
	rc = try_plan(plan);
	/* What only could not be opened is tried again by its process. */
	if (rc != SERVE_OK && (o.is_check || rc == SERVE_CONFIG)) {
		plan_destroy(plan);
		return SERVE_CONFIG;
	}
	if (o.is_check) {
		plan_destroy(plan);
		return SERVE_OK;
	}
	return run(&o, plan);
}
