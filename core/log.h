/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log.h - messages from inside the library
 *
 * The layer that knows a cause logs it, once, with the object's name first:
 * "disk0: open /srv/disk.img: Permission denied".  What a guest or peer can
 * provoke goes through pvio_log_limited(), so that it cannot fill a disk.
 */
#ifndef PVIO_CORE_LOG_H
#define PVIO_CORE_LOG_H

#include "util.h"

#include <pvio/log.h>

#pragma GCC visibility push(default)

/* Log.  Any thread.  Control characters in the result are escaped. */
void pvio_log(enum pvio_log_level level, const char *fmt, ...)
	pvio_printf(2, 3);

/*
 * A budget of messages: PVIO_LOG_BURST at once, then one a second; the next
 * message that passes says how many were dropped.  Zero-initialised is ready.
 * One limit belongs to one device or connection; any thread may use it.
 */
#define PVIO_LOG_BURST 10
struct pvio_log_limit {
	uint64_t tokens_at_ns; /* one a second gathers since then; atomic */
	uint32_t dropped;      /* atomic */
};

void pvio_log_limited(struct pvio_log_limit *limit, enum pvio_log_level level,
		      const char *fmt, ...) pvio_printf(3, 4);

#pragma GCC visibility pop
#endif
