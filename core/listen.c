/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * listen.c - listening at a path of the file system
 *
 * Whether a socket file is stale can only be found out by connecting to it,
 * and between that and replacing it somebody else may do the same.  So all of
 * us hold a lock on PATH.lock, from before the question until we no longer
 * listen:
 *
 *	open PATH.lock, flock it, see that it is still the file of that name
 *	connect to PATH		answered: in use by a stranger without a lock
 *				refused: stale, unlink it
 *	bind, listen
 *	...
 *	unlink PATH, if it is the socket we bound; unlink PATH.lock; close
 *
 * The lock goes with the process, however it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config.h"
#include "listen.h"
#include "log.h"
#include "socket.h"

struct pvio_listener {
	struct sockaddr_un addr;
	char lock_path[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	int fd, lock_fd; /* owned */
	dev_t dev;       /* of the socket file we made */
	ino_t ino;
};

static int listen_error(const char *name, const char *path, int rc,
			const char *why)
{
	pvio_log(PVIO_LOG_ERROR, "%s: listen at %s: %s", name, path,
		 why ? why : strerror(-rc));
	return rc;
}

/* In a directory that all may write, the file could be anybody's. */
static int listen_check_directory(const char *name, const char *path)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct stat st;

	snprintf(copy, sizeof(copy), "%s", path);
	if (stat(dirname(copy), &st) < 0)
		return listen_error(name, path, -errno, NULL);
	if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
		return listen_error(name, path, -EPERM,
				    "everybody may write its directory");
	return 0;
}

static int listen_lock(const char *name, struct pvio_listener *l)
{
	struct stat held, named;

	for (;;) {
		l->lock_fd = open(l->lock_path,
				  O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
				  0600);
		if (l->lock_fd < 0)
			return listen_error(name, l->lock_path, -errno, NULL);
		if (flock(l->lock_fd, LOCK_EX | LOCK_NB) < 0)
			return listen_error(name, l->addr.sun_path, -EADDRINUSE,
					    "in use by another process");
		/* The one who held it may have removed it when it let go. */
		if (fstat(l->lock_fd, &held) == 0 &&
		    stat(l->lock_path, &named) == 0 &&
		    held.st_ino == named.st_ino && held.st_dev == named.st_dev)
			return 0;
		close(l->lock_fd);
		l->lock_fd = -1;
	}
}

/* With the lock held: make the path free, unless somebody listens there. */
static int listen_clear_path(const char *name, struct pvio_listener *l)
{
	struct stat st;
	int fd, rc;

	if (lstat(l->addr.sun_path, &st) < 0)
		return errno == ENOENT ? 0
				       : listen_error(name, l->addr.sun_path,
						      -errno, NULL);
	if (!S_ISSOCK(st.st_mode))
		return listen_error(name, l->addr.sun_path, -EEXIST,
				    "exists and is not a socket");

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return listen_error(name, l->addr.sun_path, -errno, NULL);
	rc = connect(fd, (struct sockaddr *)&l->addr, sizeof(l->addr)) < 0
		     ? -errno
		     : 0;
	close(fd);
	if (rc != -ECONNREFUSED)
		return listen_error(name, l->addr.sun_path, -EADDRINUSE,
				    "in use by another process");
	if (unlink(l->addr.sun_path) < 0)
		return listen_error(name, l->addr.sun_path, -errno, NULL);
	return 0;
}

static int listen_bind(const char *name, struct pvio_listener *l, int64_t mode,
		       int64_t group)
{
	const char *path = l->addr.sun_path;
	struct stat st;

	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return listen_error(name, path, -errno, NULL);
	/*
	 * The file begins with the mode of the unbound socket, less the umask:
	 * so it is at no time more open than it is going to be.
	 */
	if ((mode >= 0 && fchmod(l->fd, (mode_t)mode) < 0) ||
	    bind(l->fd, (struct sockaddr *)&l->addr, sizeof(l->addr)) < 0)
		return listen_error(name, path, -errno, NULL);
	if (lstat(path, &st) < 0)
		return listen_error(name, path, -errno, NULL);
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	if ((group >= 0 && lchown(path, (uid_t)-1, (gid_t)group) < 0) ||
	    (mode >= 0 && chmod(path, (mode_t)mode) < 0) ||
	    listen(l->fd, SOMAXCONN) < 0)
		return listen_error(name, path, -errno, NULL);
	return 0;
}

int pvio_listen(const char *name, const char *path, int64_t mode, int64_t group,
		struct pvio_listener **listener)
{
	struct pvio_listener *l;
	int rc;

	if (strlen(path) == 0 || strlen(path) >= sizeof(l->addr.sun_path))
		return listen_error(name, path, -ENAMETOOLONG,
				    "a socket's path has 1 to 107 bytes");
	l = calloc(1, sizeof(*l));
	if (!l)
		return listen_error(name, path, -ENOMEM, NULL);
	l->fd = l->lock_fd = -1;
	l->addr.sun_family = AF_UNIX;
	strcpy(l->addr.sun_path, path);
	snprintf(l->lock_path, sizeof(l->lock_path), "%s.lock", path);

	rc = listen_check_directory(name, path);
	if (rc == 0)
		rc = listen_lock(name, l);
	if (rc == 0)
		rc = listen_clear_path(name, l);
	if (rc == 0)
		rc = listen_bind(name, l, mode, group);
	if (rc < 0) {
		pvio_listener_close(l);
		return rc;
	}
	*listener = l;
	return 0;
}

int pvio_listen_read_config(struct pvio_config *cfg, int64_t *mode,
			    int64_t *group)
{
	const char *text = NULL;
	const struct group *named;
	char *end;

	*mode = *group = -1;
	if (pvio_config_string_opt(cfg, "socket_mode", &text) < 0)
		return -EINVAL;
	if (text) {
		*mode = strtol(text, &end, 8);
		if (*text == '\0' || *end != '\0' || *mode < 0 || *mode > 0777)
			return pvio_config_error(
				cfg, "socket_mode",
				"\"%s\" is no mode such as \"0660\"", text);
	}
	text = NULL;
	if (pvio_config_string_opt(cfg, "socket_group", &text) < 0)
		return -EINVAL;
	if (!text)
		return 0;
	named = getgrnam(text);
	if (named) {
		*group = named->gr_gid;
		return 0;
	}
	*group = strtol(text, &end, 10);
	if (*text == '\0' || *end != '\0' || *group < 0 ||
	    *group > (int64_t)UINT32_MAX - 1)
		return pvio_config_error(cfg, "socket_group",
					 "there is no group \"%s\"", text);
	return 0;
}

int pvio_listener_fd(const struct pvio_listener *l)
{
	return l->fd;
}

/* Nobody comes any more, and who waits goes with what he has sent. */
static void listen_end(struct pvio_listener *l)
{
	struct pvio_closer *closer = NULL;
	int peer, last;

	shutdown(l->fd, SHUT_RDWR);
	peer = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (peer < 0) {
		close(l->fd);
		return;
	}
	/* There may be more, and whoever closes the listener closes them. */
	last = l->fd;
	(void)pvio_closer_create(&closer);
	pvio_socket_close(closer, peer);
	pvio_closer_close(closer, last);
	pvio_closer_destroy(closer);
}

void pvio_listener_close(struct pvio_listener *l)
{
	struct stat st;

	if (!l)
		return;
	/* Bound by us, and not replaced since. */
	if (l->ino != 0 && lstat(l->addr.sun_path, &st) == 0 &&
	    st.st_ino == l->ino && st.st_dev == l->dev)
		unlink(l->addr.sun_path);
	if (l->fd >= 0)
		listen_end(l);
	if (l->lock_fd >= 0) {
		if (l->ino != 0)
			unlink(l->lock_path);
		close(l->lock_fd);
	}
	free(l);
}
