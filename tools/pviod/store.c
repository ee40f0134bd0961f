/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store.c - descriptors that are kept while a process is started again
 *
 * They travel one at a time, with a message that is their tag, over a socket
 * that keeps messages apart; a tag without one is to be forgotten.  The way back
 * is fork(): the new process has the supervisor's memory, and the descriptors
 * under the same numbers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "core/eventfd.h"
#include "core/log.h"
#include "core/util.h"
#include "store.h"

/* In a turn of the supervisor's loop, which is there for others, too. */
#define STORE_BUDGET      64
/* More than a socket has room for when its process has died. */
#define STORE_MAX_WAITING (4 * STORE_MAX_FDS)
/* The supervisor always reads. */
#define STORE_SEND_S      2

struct store_entry {
	struct pvio_list node;
	char tag[STORE_TAG_BYTES];
	int fd; /* owned; -1, in the process: only the supervisor has it */
};

struct store {
	const char *name;        /* borrowed */
	struct event_base *base; /* borrowed */
	store_nonsense_fn *nonsense;
	void *arg;
	struct pvio_list entries;
	unsigned int nr;
	int fd;              /* owned: the supervisor's end; -1: no process */
	int end;             /* owned: the process's, until it is forked */
	struct event *event; /* owned, or NULL */
};

/* --- what both do --------------------------------------------------------- */

static struct store_entry *store_find(struct store *store, const char *tag)
{
	struct store_entry *e;
	struct pvio_list *pos;

	pvio_list_for_each(pos, &store->entries) {
		e = pvio_list_entry(pos, struct store_entry, node);
		if (strcmp(e->tag, tag) == 0)
			return e;
	}
	return NULL;
}

static void store_drop(struct store *store, struct store_entry *e)
{
	pvio_list_del(&e->node);
	store->nr--;
	if (e->fd >= 0)
		close(e->fd);
	free(e);
}

static void store_forget(struct store *store, const char *tag)
{
	struct store_entry *e = store_find(store, tag);

	if (e)
		store_drop(store, e);
}

/* Takes @fd on success. */
static int store_keep(struct store *store, const char *tag, int fd)
{
	struct store_entry *e;

	store_forget(store, tag);
	if (store->nr == STORE_MAX_FDS)
		return -ENOSPC;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	strcpy(e->tag, tag);
	e->fd = fd;
	pvio_list_add_tail(&store->entries, &e->node);
	store->nr++;
	return 0;
}

static bool store_is_tag(const char *tag)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	size_t len = strnlen(tag, STORE_TAG_BYTES);

	return len > 0 && len < STORE_TAG_BYTES && strspn(tag, good) == len;
}

/* --- the supervisor's ----------------------------------------------------- */

int store_create(struct event_base *base, const char *name,
		 store_nonsense_fn *nonsense, void *arg, struct store **store)
{
	struct store *s;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->base = base;
	s->name = name;
	s->nonsense = nonsense;
	s->arg = arg;
	s->fd = s->end = -1;
	pvio_list_init(&s->entries);
	*store = s;
	return 0;
}

void store_clear(struct store *store)
{
	while (!pvio_list_empty(&store->entries))
		store_drop(store, pvio_list_entry(store->entries.next,
						  struct store_entry, node));
}

void store_forked(struct store *store)
{
	if (store->end >= 0)
		close(store->end);
	store->end = -1;
}

static void store_hang_up(struct store *store)
{
	store_forked(store);
	if (store->event)
		event_free(store->event);
	store->event = NULL;
	if (store->fd >= 0)
		close(store->fd);
	store->fd = -1;
}

void store_destroy(struct store *store)
{
	if (!store)
		return;
	store_hang_up(store);
	store_clear(store);
	free(store);
}

/*
 * To close any other file can mean to wait for who serves its file system, and
 * so can to ask for more than this.
 */
static bool store_is_harmless(int fd)
{
	socklen_t len = sizeof(int);
	int domain;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0)
		return domain == AF_UNIX;
	return pvio_eventfd_is(fd) || fcntl(fd, F_GET_SEALS) >= 0;
}

/* -EPROTO: no process of ours says that.  Takes @fd, which may be -1. */
static int store_told(struct store *store, const char *tag, int fd)
{
	if (fd < 0) {
		store_forget(store, tag);
		return 0;
	}
	/* It counts as we do, so we have room. */
	if (store_is_harmless(fd) && store_keep(store, tag, fd) == 0)
		return 0;
	close(fd);
	return -EPROTO;
}

/* One message.  1; 0: there is none; -errno: nor will there be. */
static int store_receive(struct store *store)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char tag[STORE_TAG_BYTES];
	struct iovec iov = { tag, sizeof(tag) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		/* Not with its padding: a second one would find room there. */
		.msg_controllen = CMSG_LEN(sizeof(int)),
	};
	struct cmsghdr *c;
	ssize_t got;
	int fd = -1, rc;

	got = recvmsg(store->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (got == 0)
		return -EPIPE;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	if (fd < 0 && (msg.msg_flags & MSG_CTRUNC)) {
		/* Ours are used up: half of them are worse than none. */
		pvio_log(PVIO_LOG_WARNING,
			 "%s: no room for its descriptors: none is kept",
			 store->name);
		store_clear(store);
		return -EMFILE;
	}
	if (got != sizeof(tag) || !store_is_tag(tag) ||
	    (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		if (fd >= 0)
			close(fd);
		return -EPROTO;
	}
	rc = store_told(store, tag, fd);
	return rc < 0 ? rc : 1;
}

static void store_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct store *store = arg;
	int i, rc = 1;

	(void)fd;
	(void)what;
	for (i = 0; i < STORE_BUDGET && rc > 0; i++)
		rc = store_receive(store);
	if (rc >= 0)
		return;
	store_hang_up(store);
	if (rc == -EPROTO)
		store->nonsense(store->arg);
}

int store_begin(struct store *store)
{
	struct timeval tv = { .tv_sec = STORE_SEND_S };
	int fds[2];

	store_hang_up(store);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	store->fd = fds[0];
	store->end = fds[1];
	setsockopt(store->end, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	store->event = event_new(store->base, store->fd, EV_READ | EV_PERSIST,
				 store_on_readable, store);
	if (!store->event || event_add(store->event, NULL) < 0) {
		store_hang_up(store);
		return -ENOMEM;
	}
	return 0;
}

unsigned int store_fds(const struct store *store, int fds[STORE_MAX_FDS + 1])
{
	struct pvio_list *pos;
	unsigned int nr = 0;

	if (store->end >= 0)
		fds[nr++] = store->end;
	pvio_list_for_each(pos, &store->entries)
		fds[nr++] = pvio_list_entry(pos, struct store_entry, node)->fd;
	return nr;
}

void store_end(struct store *store)
{
	int i, rc = 1;

	for (i = 0; i < STORE_MAX_WAITING && store->fd >= 0 && rc > 0; i++)
		rc = store_receive(store);
	store_hang_up(store);
}

/* --- the process's -------------------------------------------------------- */

static int store_send(const struct store *store, const char *tag, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	char text[STORE_TAG_BYTES] = "";
	struct iovec iov = { text, sizeof(text) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	strcpy(text, tag);
	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		control.align.cmsg_len = CMSG_LEN(sizeof(fd));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	return sendmsg(store->end, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int store_put(void *arg, const char *tag, int fd)
{
	struct store *store = arg;
	int rc;

	if (!store_is_tag(tag))
		return -EINVAL;
	if (fd < 0) {
		store_forget(store, tag);
		return store_send(store, tag, -1);
	}
	rc = store_keep(store, tag, -1);
	if (rc == 0)
		rc = store_send(store, tag, fd);
	if (rc < 0) {
		store_forget(store, tag);
		store_send(store, tag, -1);
	}
	return rc;
}

int store_take(void *arg, const char *tag)
{
	struct store *store = arg;
	struct store_entry *e = store_find(store, tag);
	int fd;

	if (!e || e->fd < 0)
		return -ENOENT;
	fd = e->fd;
	e->fd = -1;
	return fd;
}

void store_settle(struct store *store)
{
	struct pvio_list *pos, *next;
	struct store_entry *e;

	for (pos = store->entries.next; pos != &store->entries; pos = next) {
		next = pos->next;
		e = pvio_list_entry(pos, struct store_entry, node);
		if (e->fd < 0)
			continue;
		store_send(store, e->tag, -1);
		store_drop(store, e);
	}
}
