/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * unit.h - one process that serves, as its supervisor sees it
 *
 *	        start                ready
 *	STOPPED ------> STARTING ------------> RUNNING
 *	   ^               |  \                   | process ended
 *	   |               |   +--------------+   |
 *	   |          stop |                  v   v
 *	   |               |   time is up    WAITING (back-off)
 *	   |               |  <-------------     | stop
 *	   +- STOPPING <---+                     |
 *	   |   (SIGTERM, then SIGKILL)           |
 *	   +-------------------------------------+
 *
 * What the process says is not trusted: it serves a guest, and may have been
 * taken over by it.
 */
#ifndef PVIO_TOOLS_UNIT_H
#define PVIO_TOOLS_UNIT_H

#include <stdbool.h>
#include <sys/types.h>

#include "plan.h"
#include "sockets.h"
#include "store.h"

struct event_base;
struct json_object;
struct unit;

enum unit_state {
	UNIT_STOPPED,
	UNIT_STARTING,
	UNIT_RUNNING,
	UNIT_WAITING,
	UNIT_STOPPING,
	UNIT_NR_STATES
};

/* What units have in common; outlives them. */
struct unit_env {
	struct event_base *base;
	struct sockets *sockets;
	/* The unit's state has changed.  May destroy it when STOPPED. */
	void (*changed)(void *arg, struct unit *unit);
	void *arg;
};

/*
 * The answer to a request: @result (borrowed) or @error.  Called once, from
 * the loop, unless it is forgotten first.
 */
typedef void unit_answer_fn(void *arg, struct json_object *result,
			    const char *error);

struct unit {
	struct pvio_list node; /* the owner's */
	const struct unit_env *env;
	const struct plan_unit *plan; /* what to run when it starts; borrowed */
	enum plan_kind kind;
	char *name; /* owned */
	enum unit_state state;
	bool has_failed; /* since it was last ready */
	pid_t pid;       /* 0: no process */
	unsigned int restarts;
	unsigned int delay_ms; /* before the next restart */
	uint64_t ready_at_ns;
	struct lines *link; /* owned; NULL: none */
	struct store *store; /* owned; NULL: it leaves nothing behind */
	struct event *timer;
	struct pvio_list requests;
	unsigned int nr_requests;
	uint64_t last_id;
};

int unit_create(const struct unit_env *env, const struct plan_unit *plan,
		struct unit **unit);
/* Only when STOPPED, or in a process that is not the supervisor. */
void unit_destroy(struct unit *unit);

void unit_start(struct unit *unit);
void unit_stop(struct unit *unit);
/* Its process ended with @status, as from waitpid(). */
void unit_ended(struct unit *unit, int status);

/*
 * Ask the process, and wait @limit_s seconds for its answer.  Takes @request on
 * success and failure.
 */
#define UNIT_ANSWER_S 3 /* for what it need not wait for */
void unit_request(struct unit *unit, struct json_object *request,
		  unsigned int limit_s, unit_answer_fn *answer, void *arg);
/* Answer no request of @arg any more. */
void unit_forget(struct unit *unit, const void *arg);

const char *unit_state_name(enum unit_state state);

/*
 * Fork a process that is not the supervisor: no signal of its, no descriptor
 * but 0 to 2, those of @sockets (NULL: none) that @plan names and we hold, those
 * of @store (NULL: none), and @keep (-1: none).  Returns as fork() does, or
 * -errno.
 */
pid_t unit_fork(const char *name, const struct plan_unit *plan,
		const struct sockets *sockets, const struct store *store,
		int keep);

#endif
