/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * systemd.h - socket activation and notification, without libsystemd
 */
#ifndef PVIO_TOOLS_SYSTEMD_H
#define PVIO_TOOLS_SYSTEMD_H

#include <stdbool.h>

/*
 * Tell the service manager, as sd_notify(3): "READY=1\nSTATUS=...".  Does
 * nothing when no manager asked to be told.
 */
void systemd_notify(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A socket the service manager opened for us. */
struct systemd_fd {
	int fd;         /* -1: taken */
	char name[64];  /* FileDescriptorName=, or "" */
	char path[108]; /* where it listens, or "" */
};

#define SYSTEMD_FDS_MAX 64
struct systemd_fds {
	unsigned int nr;
	struct systemd_fd fd[SYSTEMD_FDS_MAX];
};

/*
 * Collect the sockets that were passed (LISTEN_FDS, sd_listen_fds(3)), and
 * forget the environment that said so.  Those that are not listening unix
 * stream sockets are closed, with a warning.
 */
void systemd_listen_fds(struct systemd_fds *fds);
/* The socket called @name or listening at @path (either may be NULL), which
 * becomes the caller's; -1 when there is none. */
int systemd_take_fd(struct systemd_fds *fds, const char *name,
		    const char *path);
/* Close those nobody took, with a warning each. */
void systemd_close_rest(struct systemd_fds *fds);

/* Are stderr's lines read by the journal, which wants "<3>" in front? */
bool systemd_is_journal(void);

#endif
