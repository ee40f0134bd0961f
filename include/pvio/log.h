/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log.h - where messages of the library go
 *
 * One process-wide sink.  Text that came from a guest or a peer is escaped
 * before it reaches the sink, and messages that a guest can cause are limited
 * in rate, so a sink may write to a terminal or a file as it is.
 */
#ifndef PVIO_LOG_H
#define PVIO_LOG_H

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum pvio_log_level {
	PVIO_LOG_ERROR,   /* something the operator must see */
	PVIO_LOG_WARNING, /* a guest or peer misbehaved; service goes on */
	PVIO_LOG_INFO,    /* start, stop, connect, disconnect */
	PVIO_LOG_DEBUG,   /* per message and per state change; never per request */
};

/*
 * Receives one message, without a newline.  Called from any thread, several at
 * a time; may not call into the library, and may not block for long.
 */
typedef void pvio_log_fn(void *arg, enum pvio_log_level level,
			 const char *message);

/*
 * Set the sink and the most verbose level it wants.  NULL restores the
 * default: errors and warnings on stderr.  Call before any device exists, or
 * from the control thread; @arg is borrowed until the sink is replaced.
 */
void pvio_log_set(pvio_log_fn *fn, void *arg, enum pvio_log_level level);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
