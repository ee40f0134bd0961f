/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * systemd.c - socket activation and notification, without libsystemd
 *
 * Both are a few environment variables: NOTIFY_SOCKET names a datagram socket
 * for news of our state, LISTEN_FDS says how many descriptors from 3 on are
 * listening sockets that were opened for us.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/log.h"
#include "systemd.h"

#define SYSTEMD_FIRST_FD 3

void systemd_notify(const char *fmt, ...)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char text[512];
	socklen_t len;
	va_list ap;
	int fd, n;

	if (!path || (path[0] != '/' && path[0] != '@') ||
	    strlen(path) >= sizeof(addr.sun_path))
		return;
	strcpy(addr.sun_path, path);
	/* A path that begins with '@' means an abstract name, without NUL. */
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			  strlen(path));
	if (path[0] == '@')
		addr.sun_path[0] = '\0';
	else
		len++;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(text))
		n = sizeof(text) - 1;

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, (size_t)n, MSG_NOSIGNAL, (struct sockaddr *)&addr,
		   len) < 0)
		pvio_log(PVIO_LOG_WARNING, "notify %s: %s", path,
			 strerror(errno));
	close(fd);
}

static bool systemd_env_uint(const char *name, unsigned long *value)
{
	const char *text = getenv(name);
	char *end;

	if (!text || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*value = strtoul(text, &end, 10);
	return errno == 0 && *end == '\0';
}

/* Is @fd a listening unix stream socket?  Fill in where it listens. */
static bool systemd_check_fd(struct systemd_fd *s)
{
	struct sockaddr_un addr = { 0 };
	socklen_t len = sizeof(addr);
	int value = 0;

	if (getsockname(s->fd, (struct sockaddr *)&addr, &len) < 0 ||
	    addr.sun_family != AF_UNIX)
		return false;
	if (len > offsetof(struct sockaddr_un, sun_path) && addr.sun_path[0])
		snprintf(s->path, sizeof(s->path), "%.107s", addr.sun_path);

	len = sizeof(value);
	if (getsockopt(s->fd, SOL_SOCKET, SO_TYPE, &value, &len) < 0 ||
	    value != SOCK_STREAM)
		return false;
	len = sizeof(value);
	return getsockopt(s->fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) ==
		       0 &&
	       value;
}

void systemd_listen_fds(struct systemd_fds *fds)
{
	const char *names = getenv("LISTEN_FDNAMES");
	unsigned long pid, nr, i;
	struct systemd_fd *s;
	size_t len;

	fds->nr = 0;
	if (!systemd_env_uint("LISTEN_PID", &pid) ||
	    pid != (unsigned long)getpid() ||
	    !systemd_env_uint("LISTEN_FDS", &nr) || nr > SYSTEMD_FDS_MAX)
		nr = 0;

	for (i = 0; i < nr; i++) {
		s = &fds->fd[fds->nr];
		memset(s, 0, sizeof(*s));
		s->fd = SYSTEMD_FIRST_FD + (int)i;
		if (names && *names) {
			len = strcspn(names, ":");
			snprintf(s->name, sizeof(s->name), "%.*s", (int)len,
				 names);
			names += len + (names[len] == ':');
		}
		/* A guest's or child's program shall not inherit it. */
		if (fcntl(s->fd, F_SETFD, FD_CLOEXEC) < 0)
			continue;
		if (!systemd_check_fd(s)) {
			pvio_log(PVIO_LOG_WARNING,
				 "inherited descriptor %d \"%s\" is no "
				 "listening unix stream socket",
				 s->fd, s->name);
			close(s->fd);
			continue;
		}
		fds->nr++;
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

int systemd_take_fd(struct systemd_fds *fds, const char *name, const char *path)
{
	unsigned int i;
	int fd;

	for (i = 0; i < fds->nr; i++) {
		struct systemd_fd *s = &fds->fd[i];

		if (s->fd < 0 || !((name && strcmp(s->name, name) == 0) ||
				   (path && strcmp(s->path, path) == 0)))
			continue;
		fd = s->fd;
		s->fd = -1;
		return fd;
	}
	return -1;
}

void systemd_close_rest(struct systemd_fds *fds)
{
	unsigned int i;

	for (i = 0; i < fds->nr; i++) {
		struct systemd_fd *s = &fds->fd[i];

		if (s->fd < 0)
			continue;
		pvio_log(PVIO_LOG_WARNING,
			 "no device is for inherited socket \"%s\" %s", s->name,
			 s->path);
		close(s->fd);
		s->fd = -1;
	}
	fds->nr = 0;
}

bool systemd_is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return text && sscanf(text, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 &&
	       (unsigned long long)st.st_dev == dev &&
	       (unsigned long long)st.st_ino == ino;
}
