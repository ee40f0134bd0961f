/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backend-program.c - programs that are one vhost-user device
 *
 * The options are turned into the text of a pvio.conf group, so that they mean
 * the same as there, and a value that is wrong gets the same message.
 *
 * stdout stays silent but for --print-capabilities, whatever stands beside it.
 * The program never goes to the background; SIGTERM and SIGINT end it with
 * status 0, after what is in flight.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pvio/pvio.h>

#include "backend-program.h"
#include "core/eventfd.h"
#include "core/log.h"
#include "limits.h"
#include "stderr-log.h"
#include "systemd.h"

#define BACKEND_PROGRAM_MAX_OPTIONS 32

enum backend_program_option {
	OPT_SOCKET_PATH = 1,
	OPT_FD,
	OPT_CAPABILITIES,
	OPT_SOCKET_MODE,
	OPT_SOCKET_GROUP,
	OPT_CLIENT,
	OPT_VFIO_USER,
	OPT_POLL_US,
	OPT_WORKERS,
	OPT_VERSION,
	OPT_HELP,
	OPT_VERBOSE,
};

static const struct option common_options[] = {
	{ "socket-path", required_argument, NULL, OPT_SOCKET_PATH },
	{ "fd", required_argument, NULL, OPT_FD },
	{ "print-capabilities", no_argument, NULL, OPT_CAPABILITIES },
	{ "socket-mode", required_argument, NULL, OPT_SOCKET_MODE },
	{ "socket-group", required_argument, NULL, OPT_SOCKET_GROUP },
	{ "client", no_argument, NULL, OPT_CLIENT },
	{ "vfio-user", no_argument, NULL, OPT_VFIO_USER },
	{ "poll-us", required_argument, NULL, OPT_POLL_US },
	{ "workers", required_argument, NULL, OPT_WORKERS },
	{ "verbose", no_argument, NULL, OPT_VERBOSE },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static const char common_usage[] =
	"      --socket-path=PATH   listen there for a vhost-user front-end\n"
	"      --fd=FD              serve this inherited socket instead:\n"
	"                           connected or listening\n"
	"      --client             connect to --socket-path, again and again\n"
	"      --vfio-user          speak vfio-user instead: a PCI function\n"
	"      --socket-mode=MODE   permissions of the socket file, octal\n"
	"      --socket-group=GROUP its group\n"
	"      --workers=N          threads that serve the queues (1)\n"
	"      --poll-us=USEC       poll for so long before waiting (0)\n"
	"      --print-capabilities print what this program can do, as JSON\n"
	"      --verbose            say what connects; twice: debug\n"
	"      --version\n"
	"      --help\n"
	"\n"
	"Without --socket-path and --fd a socket from systemd is served.\n";

struct backend_program_run {
	const struct backend_program *program;
	const char *socket_path, *socket_mode, *socket_group;
	const char *poll_us;
	bool is_client, is_vfio_user;
	int fd;
	unsigned int workers, verbosity;
};

#define BACKEND_PROGRAM_MAX_WORKERS 64

static struct pvio_worker *backend_program_control; /* for the handler */

static void backend_program_on_signal(int signal)
{
	(void)signal;
	pvio_worker_break(backend_program_control);
}

void backend_program_quote(FILE *config, const char *key, const char *value)
{
	fprintf(config, "%s = \"", key);
	for (; *value; value++) {
		if ((unsigned char)*value < 0x20)
			fprintf(config, "\\x%02x", (unsigned char)*value);
		else
			fprintf(config,
				*value == '"' || *value == '\\' ? "\\%c" : "%c",
				*value);
	}
	fputs("\"; ", config);
}

static int backend_program_uint(const char *what, const char *text,
				unsigned long max, unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || *value > max) {
		fprintf(stderr, "%s: \"%s\" is not a number up to %lu\n", what,
			text, max);
		return -EINVAL;
	}
	return 0;
}

int backend_program_number(FILE *config, const char *key, const char *value)
{
	unsigned long n;

	if (backend_program_uint(key, value, INT32_MAX, &n) < 0)
		return -EINVAL;
	fprintf(config, "%s = %lu; ", key, n);
	return 0;
}

static int backend_program_common(struct backend_program_run *run, int val,
				  const char *value)
{
	unsigned long n;
	int rc = 0;

	switch (val) {
	case OPT_SOCKET_PATH:
		run->socket_path = value;
		break;
	case OPT_FD:
		rc = backend_program_uint("--fd", value, INT32_MAX, &n);
		run->fd = (int)n;
		break;
	case OPT_SOCKET_MODE:
		run->socket_mode = value;
		break;
	case OPT_SOCKET_GROUP:
		run->socket_group = value;
		break;
	case OPT_VFIO_USER:
		run->is_vfio_user = true;
		break;
	case OPT_CLIENT:
		run->is_client = true;
		break;
	case OPT_POLL_US:
		rc = backend_program_uint("--poll-us", value, UINT32_MAX, &n);
		run->poll_us = value;
		break;
	case OPT_WORKERS:
		rc = backend_program_uint("--workers", value,
					  BACKEND_PROGRAM_MAX_WORKERS, &n);
		run->workers = n == 0 ? 1 : (unsigned int)n;
		break;
	case OPT_VERBOSE:
		run->verbosity++;
		break;
	}
	return rc;
}

static void backend_program_usage(const struct backend_program *program,
				  FILE *to)
{
	fprintf(to, "usage: %s {--socket-path=PATH | --fd=FD} [OPTION]...\n\n",
		program->name);
	fputs(program->usage, to);
	fputs("\n", to);
	fputs(common_usage, to);
}

/* Returns -1 to go on, or the status to exit with. */
static int backend_program_options(struct backend_program_run *run, int argc,
				   char **argv)
{
	const struct backend_program *program = run->program;
	struct option all[BACKEND_PROGRAM_MAX_OPTIONS];
	unsigned int nr = 0, i;
	int val, rc;

	for (i = 0; program->options[i].name; i++)
		all[nr++] = program->options[i];
	for (i = 0; i < pvio_array_size(common_options); i++)
		all[nr++] = common_options[i];

	while ((val = getopt_long(argc, argv, "", all, NULL)) != -1) {
		if (val == OPT_HELP) {
			backend_program_usage(program, stdout);
			return EXIT_SUCCESS;
		}
		if (val == OPT_VERSION) {
			printf("%s %s\n", program->name, pvio_version());
			return EXIT_SUCCESS;
		}
		if (val == '?')
			return EXIT_FAILURE;
		rc = val >= 256 ? program->option(program->arg, val, optarg)
				: backend_program_common(run, val, optarg);
		if (rc < 0)
			return EXIT_FAILURE;
	}
	if (optind < argc) {
		fprintf(stderr, "%s: %s: what is that?\n", program->name,
			argv[optind]);
		return EXIT_FAILURE;
	}
	return -1;
}

/* Where the front-end is: -EINVAL when that was not, or twice, said. */
static int backend_program_find_socket(struct backend_program_run *run)
{
	struct systemd_fds given;
	const char *why = NULL;

	systemd_listen_fds(&given);
	if (!run->socket_path && run->fd < 0 && given.nr > 0) {
		run->fd = given.fd[0].fd;
		given.fd[0].fd = -1;
	}
	systemd_close_rest(&given);

	if (run->socket_path && run->fd >= 0)
		why = "--socket-path and --fd exclude each other";
	else if (!run->socket_path && run->fd < 0)
		why = "give --socket-path or --fd";
	else if (run->is_client && run->fd >= 0)
		why = "--client needs --socket-path";
	if (!why)
		return 0;
	fprintf(stderr, "%s: %s\n", run->program->name, why);
	return -EINVAL;
}

/* The text that pvio_device_create() takes; to be freed. */
static char *backend_program_text(const struct backend_program_run *run)
{
	char *text = NULL;
	size_t size;
	FILE *f;

	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	if (run->program->write(run->program->arg, f) < 0) {
		fclose(f);
		free(text);
		return NULL;
	}
	if (run->poll_us)
		fprintf(f, "poll_us = %sL; ", run->poll_us);
	fprintf(f, "transport = { type = \"%s\"; ",
		run->is_vfio_user ? "vfio-user" : "vhost-user");
	if (run->fd >= 0)
		fprintf(f, "fd = %d; ", run->fd);
	if (run->socket_path)
		backend_program_quote(f, "socket", run->socket_path);
	if (run->is_client)
		backend_program_quote(f, "mode", "client");
	if (run->socket_mode)
		backend_program_quote(f, "socket_mode", run->socket_mode);
	if (run->socket_group)
		backend_program_quote(f, "socket_group", run->socket_group);
	fputs("};\n", f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int backend_program_serve(const struct backend_program_run *run,
				 const char *text)
{
	struct sigaction action = { .sa_handler = backend_program_on_signal };
	struct pvio_worker *workers[BACKEND_PROGRAM_MAX_WORKERS];
	struct pvio_worker *control = NULL;
	struct pvio_device *dev = NULL;
	unsigned int nr = 0;
	char name[24];
	int rc;

	/* The VMM's eventfds may block: a signal must still end us. */
	rc = pvio_eventfd_watch(SIGURG);
	if (rc == 0)
		rc = pvio_worker_create("control", &control);
	while (rc == 0 && nr < run->workers) {
		snprintf(name, sizeof(name), "worker%u", nr);
		rc = pvio_worker_create(name, &workers[nr]);
		if (rc == 0)
			nr++;
	}
	if (rc == 0)
		rc = pvio_device_create(run->program->name, text, control,
					workers, nr, &dev);
	for (unsigned int i = 0; i < nr && rc == 0; i++)
		rc = pvio_worker_start(workers[i]);
	if (rc == 0)
		rc = pvio_device_start(dev);
	if (rc == 0) {
		backend_program_control = control;
		sigaction(SIGTERM, &action, NULL);
		sigaction(SIGINT, &action, NULL);
		pvio_log(PVIO_LOG_INFO, "serving");
		systemd_notify("READY=1");
		pvio_worker_run(control);
		systemd_notify("STOPPING=1");
		signal(SIGTERM, SIG_IGN);
		signal(SIGINT, SIG_IGN);
	} else {
		fprintf(stderr, "%s: cannot start: %s\n", run->program->name,
			strerror(-rc));
	}
	pvio_device_destroy(dev);
	while (nr > 0)
		pvio_worker_destroy(workers[--nr]);
	pvio_worker_destroy(control);
	return rc;
}

int backend_program_main(const struct backend_program *program, int argc,
			 char **argv)
{
	struct backend_program_run run = {
		.program = program,
		.fd = -1,
		.workers = 1,
	};
	char *text;
	int i, rc;

	/* It stands above all others, even those that are wrong. */
	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--print-capabilities") == 0) {
			puts(program->capabilities);
			return fflush(stdout) == 0 ? EXIT_SUCCESS
						   : EXIT_FAILURE;
		}
	}
	rc = backend_program_options(&run, argc, argv);
	if (rc >= 0)
		return rc;
	signal(SIGPIPE, SIG_IGN);
	stderr_log_start(program->name, run.verbosity);
	limits_raise();
	if (backend_program_find_socket(&run) < 0)
		return EXIT_FAILURE;
	text = backend_program_text(&run);
	if (!text)
		return EXIT_FAILURE;
	rc = backend_program_serve(&run, text);
	free(text);
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
