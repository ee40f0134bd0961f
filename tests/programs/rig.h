/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rig.h - a program of ours, run in a directory of its own
 *
 * Everything waits on a descriptor, with RIG_DEADLINE_MS; what does not come by
 * then fails the test.
 */
#ifndef PVIO_TESTS_PROGRAMS_RIG_H
#define PVIO_TESTS_PROGRAMS_RIG_H

#include <json-c/json.h>
#include <stdbool.h>
#include <sys/types.h>

#define RIG_DEADLINE_MS 20000

struct rig {
	char dir[64];
	pid_t pid; /* 0: not running */
	int stderr_fd;
	char log[1 << 16]; /* what it has said so far */
	size_t log_bytes;
};

/* A fresh directory; kills and removes whatever is left in fini. */
void rig_init(struct rig *rig);
void rig_fini(struct rig *rig);

/* A path in the directory: valid until eight more have been asked for. */
const char *rig_path(const struct rig *rig, const char *name);
/* Write a file there; every '@' in @text becomes the directory. */
void rig_write(const struct rig *rig, const char *name, const char *text);

/*
 * Run @argv[0], a program of the build directory.  Descriptors from 3 on are
 * those of @fds, in turn; @listen: as socket activation has it, with @names.
 */
void rig_run(struct rig *rig, char *const argv[], const int *fds,
	     unsigned int nr_fds, const char *names);
/* pviod with @config; waits until it is ready. */
void rig_run_pviod(struct rig *rig, const char *config);
/* Wait until it has said @text.  What was said before counts no more after
 * rig_forget_log(). */
void rig_wait_log(struct rig *rig, const char *text);
void rig_forget_log(struct rig *rig);
/* Wait until pviod says that @unit is served, and by which process. */
pid_t rig_wait_served(struct rig *rig, const char *unit);
/* Wait for its end.  The status as waitpid() gives it. */
int rig_wait_exit(struct rig *rig);

/* Connect; -errno. */
int rig_connect(const char *path);
/* Listen there, as an activator does. */
int rig_listen(const char *path);
/* Does a vhost-user device answer there? */
bool rig_is_served(const char *path);
/* ... at the other end of this connection? */
bool rig_answers(int fd);

/* A line from @fd, without newline, to be freed; NULL at its end. */
char *rig_read_line(int fd);
/* Has the peer closed?  Reads and drops what comes before. */
bool rig_is_closed(int fd);

/* Connect to pviod's control socket and take the greeting. */
int rig_control(const struct rig *rig);
/* One request; the answer, to be put. */
struct json_object *rig_ask(int fd, const char *request);
/* The process of @unit, by asking; 0 when it is not running. */
pid_t rig_pid_of(const struct rig *rig, const char *unit);

#endif
