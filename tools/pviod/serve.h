/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve.h - the process that serves one guest's devices, a switch or a window
 */
#ifndef PVIO_TOOLS_SERVE_H
#define PVIO_TOOLS_SERVE_H

#include "plan.h"
#include "sockets.h"
#include "store.h"

/* How such a process ends; pviod's own codes are the same. */
enum serve_exit {
	SERVE_OK = 0,
	SERVE_FAILED = 1, /* something could not be opened; has been logged */
	SERVE_CONFIG = 2, /* the configuration is wrong; has been logged */
};

/*
 * Serve @unit until SIGTERM, or until the supervisor at @link (taken) is gone.
 * @store is what the process before has left; NULL for all but windows.  Runs in
 * a process of its own, which ends with the result.
 */
int serve(const struct plan_unit *unit, const struct sockets *sockets,
	  struct store *store, int link);

/*
 * Create the devices of @plan as serve() would, but as a trial: does the
 * configuration make sense?  Units whose text @running has too are passed over.
 * Runs in a process of its own, which ends with the result.
 */
int serve_try(const struct plan *plan, const struct plan *running);

#endif
