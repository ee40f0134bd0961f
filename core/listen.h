/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * listen.h - listening at a path of the file system
 *
 * A socket file outlives a process that is killed, and must then be replaced;
 * but one that somebody listens at must never be.
 */
#ifndef PVIO_CORE_LISTEN_H
#define PVIO_CORE_LISTEN_H

#include <stdint.h>

#pragma GCC visibility push(default)

struct pvio_listener;

/*
 * Bind a unix stream socket to @path and listen.  @mode and @group are the
 * file's, or -1 to leave them: 0666 less the umask, and the process's.  @name
 * begins messages.  Any thread.
 *
 * -EADDRINUSE: somebody else listens there, or is about to; -EEXIST: the file
 * is no socket; -EPERM: its directory can be written by everybody;
 * -ENAMETOOLONG; -errno.  All have been logged.
 */
int pvio_listen(const char *name, const char *path, int64_t mode, int64_t group,
		struct pvio_listener **listener);

struct pvio_config;
/*
 * The keys "socket_mode" ("0660") and "socket_group" (name or number) of a
 * group, for pvio_listen(); -1 what is absent.  -EINVAL.
 */
int pvio_listen_read_config(struct pvio_config *cfg, int64_t *mode,
			    int64_t *group);

/* The listening descriptor, non-blocking and close-on-exec; borrowed. */
int pvio_listener_fd(const struct pvio_listener *listener);

/* Stop listening and remove the file, if it is still ours.  NULL is allowed. */
void pvio_listener_close(struct pvio_listener *listener);

#pragma GCC visibility pop
#endif
