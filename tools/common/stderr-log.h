/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stderr-log.h - the library's messages on stderr, as programs show them
 */
#ifndef PVIO_TOOLS_STDERR_LOG_H
#define PVIO_TOOLS_STDERR_LOG_H

/*
 * Send messages to stderr, each in one write: errors and warnings, with
 * @verbosity 1 what starts and stops too, with 2 everything.  @program begins
 * each line unless the journal reads it; borrowed for ever.
 */
void stderr_log_start(const char *program, unsigned int verbosity);

#endif
