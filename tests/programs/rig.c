/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rig.c - a program of ours, run in a directory of its own
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/util.h"
#include "rig.h"

static uint64_t rig_deadline(void)
{
	return pvio_now_ns() + RIG_DEADLINE_MS * 1000000ULL;
}

/* Wait until @fd can be read; false when time is up. */
static bool rig_poll(int fd, uint64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t now = pvio_now_ns();

	return now < deadline &&
	       poll(&p, 1, (int)((deadline - now) / 1000000) + 1) > 0;
}

/* --- its directory -------------------------------------------------------- */

void rig_init(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	rig->stderr_fd = -1;
	strcpy(rig->dir, "/tmp/pvio-programs.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(rig->dir));
	signal(SIGPIPE, SIG_IGN);
}

void rig_fini(struct rig *rig)
{
	char command[128];

	if (rig->pid > 0) {
		kill(rig->pid, SIGKILL);
		waitpid(rig->pid, NULL, 0);
	}
	if (rig->stderr_fd >= 0)
		close(rig->stderr_fd);
	snprintf(command, sizeof(command), "rm -rf '%s'", rig->dir);
	ck_assert_int_eq(system(command), 0);
}

const char *rig_path(const struct rig *rig, const char *name)
{
	static char paths[8][128];
	static unsigned int next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", rig->dir, name);
	return path;
}

void rig_write(const struct rig *rig, const char *name, const char *text)
{
	FILE *f = fopen(rig_path(rig, name), "w");

	ck_assert_ptr_nonnull(f);
	for (; *text; text++) {
		if (*text == '@')
			fputs(rig->dir, f);
		else
			fputc(*text, f);
	}
	ck_assert_int_eq(fclose(f), 0);
}

/* --- its process ---------------------------------------------------------- */

static void rig_exec(char *const argv[], const int *fds, unsigned int nr_fds,
		     const char *names)
{
	const char *build = getenv("PVIO_BUILD");
	char path[512], text[32];
	unsigned int i;
	int copies[8];

	/* Out of the way first: a copy may land on another's number. */
	for (i = 0; i < nr_fds; i++)
		copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 64);
	for (i = 0; i < nr_fds; i++)
		dup2(copies[i], 3 + (int)i);
	close_range(3 + nr_fds, ~0U, 0);
	if (names) {
		snprintf(text, sizeof(text), "%d", (int)getpid());
		setenv("LISTEN_PID", text, 1);
		snprintf(text, sizeof(text), "%u", nr_fds);
		setenv("LISTEN_FDS", text, 1);
		setenv("LISTEN_FDNAMES", names, 1);
	}
	snprintf(path, sizeof(path), "%s/%s", build ? build : ".", argv[0]);
	execv(path, argv);
	_exit(127);
}

void rig_run(struct rig *rig, char *const argv[], const int *fds,
	     unsigned int nr_fds, const char *names)
{
	int said[2];

	ck_assert_int_eq(rig->pid, 0);
	ck_assert_int_eq(pipe2(said, O_CLOEXEC), 0);
	rig->pid = fork();
	ck_assert_int_ge(rig->pid, 0);
	if (rig->pid == 0) {
		dup2(said[1], STDERR_FILENO);
		rig_exec(argv, fds, nr_fds, names);
	}
	close(said[1]);
	if (rig->stderr_fd >= 0)
		close(rig->stderr_fd);
	rig->stderr_fd = said[0];
	rig_forget_log(rig);
}

void rig_run_pviod(struct rig *rig, const char *config)
{
	char path[128];
	char *argv[] = { "pviod", "-v", "-c", path, NULL };

	rig_write(rig, "pvio.conf", config);
	strcpy(path, rig_path(rig, "pvio.conf"));
	rig_run(rig, argv, NULL, 0, NULL);
	rig_wait_log(rig, "pviod: ready");
}

/* Take more of what it says.  False at the end, or when time is up. */
static bool rig_read_log(struct rig *rig, uint64_t deadline)
{
	ssize_t got;

	if (rig->log_bytes >= sizeof(rig->log) - 1 ||
	    !rig_poll(rig->stderr_fd, deadline))
		return false;
	got = read(rig->stderr_fd, rig->log + rig->log_bytes,
		   sizeof(rig->log) - 1 - rig->log_bytes);
	if (got <= 0)
		return false;
	rig->log_bytes += (size_t)got;
	rig->log[rig->log_bytes] = '\0';
	return true;
}

void rig_wait_log(struct rig *rig, const char *text)
{
	uint64_t deadline = rig_deadline();

	while (!strstr(rig->log, text))
		if (!rig_read_log(rig, deadline))
			ck_abort_msg("never said \"%s\", but:\n%s", text,
				     rig->log);
}

pid_t rig_wait_served(struct rig *rig, const char *unit)
{
	char text[128];
	char *said;

	snprintf(text, sizeof(text), "pviod: %s: served by process ", unit);
	rig_wait_log(rig, text);
	said = strstr(rig->log, text) + strlen(text);
	/* The line is written whole. */
	return atoi(said);
}

void rig_forget_log(struct rig *rig)
{
	rig->log_bytes = 0;
	rig->log[0] = '\0';
}

int rig_wait_exit(struct rig *rig)
{
	uint64_t deadline = rig_deadline();
	int status;

	/* All that hold its stderr have ended when that ends. */
	while (rig_read_log(rig, deadline))
		continue;
	ck_assert_msg(pvio_now_ns() < deadline, "does not end; it said:\n%s",
		      rig->log);
	ck_assert_int_eq(waitpid(rig->pid, &status, 0), rig->pid);
	rig->pid = 0;
	return status;
}

/* --- sockets -------------------------------------------------------------- */

static int rig_socket(const char *path, struct sockaddr_un *addr)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	ck_assert_uint_lt(strlen(path), sizeof(addr->sun_path));
	strcpy(addr->sun_path, path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

int rig_connect(const char *path)
{
	struct sockaddr_un addr;
	int fd = rig_socket(path, &addr), rc;

	ck_assert_int_ge(fd, 0);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

int rig_listen(const char *path)
{
	struct sockaddr_un addr;
	int fd = rig_socket(path, &addr);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	return fd;
}

bool rig_answers(int fd)
{
	/* VHOST_USER_GET_FEATURES, version 1, no payload. */
	const uint32_t request[3] = { 1, 1, 0 };
	uint64_t deadline = rig_deadline();
	uint8_t reply[20];
	size_t have = 0;
	ssize_t got;

	if (send(fd, request, sizeof(request), MSG_NOSIGNAL) != sizeof(request))
		return false;
	while (have < sizeof(reply) && rig_poll(fd, deadline)) {
		got = recv(fd, reply + have, sizeof(reply) - have, 0);
		if (got <= 0)
			return false;
		have += (size_t)got;
	}
	/* The same request, flagged as a reply, and VIRTIO_F_VERSION_1. */
	return have == sizeof(reply) && reply[0] == 1 && (reply[4] & 4) &&
	       (reply[12 + 4] & 1);
}

bool rig_is_served(const char *path)
{
	int fd = rig_connect(path);
	bool is_served;

	if (fd < 0)
		return false;
	is_served = rig_answers(fd);
	close(fd);
	return is_served;
}

char *rig_read_line(int fd)
{
	uint64_t deadline = rig_deadline();
	size_t bytes = 0, size = 0;
	char *line = NULL, c;

	while (rig_poll(fd, deadline) && recv(fd, &c, 1, 0) == 1) {
		if (bytes + 1 >= size) {
			size = size ? size * 2 : 256;
			line = realloc(line, size);
			ck_assert_ptr_nonnull(line);
		}
		if (c == '\n') {
			line[bytes] = '\0';
			return line;
		}
		line[bytes++] = c;
	}
	ck_assert_msg(pvio_now_ns() < deadline, "no line came");
	free(line);
	return NULL;
}

bool rig_is_closed(int fd)
{
	uint64_t deadline = rig_deadline();
	char buffer[4096];

	while (rig_poll(fd, deadline))
		if (recv(fd, buffer, sizeof(buffer), 0) <= 0)
			return true;
	return false;
}

/* --- pviod's control socket ----------------------------------------------- */

int rig_control(const struct rig *rig)
{
	int fd = rig_connect(rig_path(rig, "control.sock"));
	char *greeting;

	ck_assert_int_ge(fd, 0);
	greeting = rig_read_line(fd);
	ck_assert_ptr_nonnull(greeting);
	ck_assert_ptr_nonnull(strstr(greeting, "\"pvio\""));
	free(greeting);
	return fd;
}

struct json_object *rig_ask(int fd, const char *request)
{
	struct json_object *answer;
	char *line;

	ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL),
			 (ssize_t)strlen(request));
	ck_assert_int_eq(send(fd, "\n", 1, MSG_NOSIGNAL), 1);
	line = rig_read_line(fd);
	ck_assert_msg(line != NULL, "closed instead of answering %s", request);
	answer = json_tokener_parse(line);
	ck_assert_msg(answer != NULL, "no JSON: %s", line);
	free(line);
	return answer;
}

pid_t rig_pid_of(const struct rig *rig, const char *unit)
{
	struct json_object *answer, *list, *u, *value;
	int fd = rig_control(rig);
	pid_t pid = 0;
	size_t i;

	answer = rig_ask(fd, "{\"command\": \"list\"}");
	ck_assert(json_object_object_get_ex(answer, "result", &list));
	for (i = 0; i < json_object_array_length(list); i++) {
		u = json_object_array_get_idx(list, i);
		json_object_object_get_ex(u, "name", &value);
		if (strcmp(json_object_get_string(value), unit) != 0)
			continue;
		json_object_object_get_ex(u, "state", &value);
		if (strcmp(json_object_get_string(value), "running") != 0)
			continue;
		json_object_object_get_ex(u, "pid", &value);
		pid = json_object_get_int(value);
	}
	json_object_put(answer);
	close(fd);
	return pid;
}
