/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sockets.h - the listening sockets of all units, held by the supervisor
 *
 * They outlive the processes that serve them: while one is being restarted,
 * its front-ends' connections wait in the socket's queue.
 */
#ifndef PVIO_TOOLS_SOCKETS_H
#define PVIO_TOOLS_SOCKETS_H

#include "plan.h"

struct sockets;
struct systemd_fds;

int sockets_create(struct sockets **sockets);
/* Close all, and remove the files of those we made. */
void sockets_destroy(struct sockets *sockets);

/*
 * Open those of @plan that are not open yet, taking them from @given (NULL:
 * none) by its owner's name or by path.  All or none: -errno, logged.
 */
int sockets_open(struct sockets *sockets, const struct plan *plan,
		 struct systemd_fds *given);
/* Close those that @plan does not name; give the others its mode and group. */
void sockets_keep(struct sockets *sockets, const struct plan *plan);
/* The descriptor for @path: borrowed; -1 when there is none. */
int sockets_fd(const struct sockets *sockets, const char *path);

#endif
