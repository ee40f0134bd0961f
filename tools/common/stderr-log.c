/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stderr-log.c - the library's messages on stderr, as programs show them
 *
 * Several processes and threads share stderr: a message is one write(2), so
 * that lines do not mix.  When the journal reads stderr, a line begins with
 * its priority as sd-daemon(3) says and the journal adds who and when.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <pvio/log.h>

#include "stderr-log.h"
#include "systemd.h"

struct stderr_log {
	const char *program;
	bool is_journal;
};
static struct stderr_log stderr_log;

static void stderr_log_write(void *arg, enum pvio_log_level level,
			     const char *message)
{
	static const char *const priority[] = {
		[PVIO_LOG_ERROR] = "<3>",
		[PVIO_LOG_WARNING] = "<4>",
		[PVIO_LOG_INFO] = "<6>",
		[PVIO_LOG_DEBUG] = "<7>",
	};
	const struct stderr_log *log = arg;
	char line[1024];
	int n;

	if (log->is_journal)
		n = snprintf(line, sizeof(line), "%s%s\n", priority[level],
			     message);
	else
		n = snprintf(line, sizeof(line), "%s: %s\n", log->program,
			     message);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(line)) {
		n = sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	/* A full disk or a closed stderr loses the line, nothing else. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

void stderr_log_start(const char *program, unsigned int verbosity)
{
	enum pvio_log_level level = PVIO_LOG_WARNING;

	if (verbosity == 1)
		level = PVIO_LOG_INFO;
	else if (verbosity > 1)
		level = PVIO_LOG_DEBUG;
	stderr_log.program = program;
	stderr_log.is_journal = systemd_is_journal();
	pvio_log_set(stderr_log_write, &stderr_log, level);
}
