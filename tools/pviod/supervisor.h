/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * supervisor.h - keeps the processes of a plan running
 *
 * The supervisor serves no guest itself and has one thread, an event loop.  It
 * holds the listening sockets, starts a process for each unit of the plan,
 * starts those again that end, and follows the configuration file when told.
 */
#ifndef PVIO_TOOLS_SUPERVISOR_H
#define PVIO_TOOLS_SUPERVISOR_H

#include "plan.h"
#include "sockets.h"
#include "unit.h"

struct supervisor;

/*
 * @path is the configuration file, for reloads; borrowed.  Takes @plan and
 * @sockets, which are open, on success.
 */
int supervisor_create(struct event_base *base, const char *path,
		      struct plan *plan, struct sockets *sockets,
		      struct supervisor **supervisor);
/* After supervisor_run() has returned. */
void supervisor_destroy(struct supervisor *supervisor);

/* Start everything; serve until SIGTERM or SIGINT and all has stopped. */
int supervisor_run(struct supervisor *supervisor);

/* What runs, as JSON; to be put. */
struct json_object *supervisor_list(const struct supervisor *supervisor);
/*
 * Ask the process that serves the device which @request names ("device").
 * Takes @request.
 */
void supervisor_request(struct supervisor *supervisor,
			struct json_object *request, unit_answer_fn *answer,
			void *arg);
void supervisor_forget(struct supervisor *supervisor, const void *arg);

/*
 * Is @plan one that can be served?  Fork and find out, but for what @running
 * (or NULL) has as well.  Returns the process, or -errno.
 */
pid_t supervisor_try(const struct plan *plan, const struct plan *running);

#endif
