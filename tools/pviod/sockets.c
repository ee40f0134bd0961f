/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sockets.c - the listening sockets of all units, held by the supervisor
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/listen.h"
#include "core/log.h"
#include "sockets.h"
#include "tools/common/systemd.h"

struct sockets_entry {
	struct pvio_list node;
	char *path;                     /* owned */
	struct pvio_listener *listener; /* owned; NULL: given to us */
	int given_fd;                   /* owned, or -1 */
	int64_t mode, group;            /* it was made with */
	bool is_new;                    /* of the sockets_open() under way */
};

struct sockets {
	struct pvio_list entries;
};

int sockets_create(struct sockets **sockets)
{
	struct sockets *s;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	pvio_list_init(&s->entries);
	*sockets = s;
	return 0;
}

static void sockets_close(struct sockets_entry *e)
{
	pvio_list_del(&e->node);
	pvio_listener_close(e->listener);
	if (e->given_fd >= 0)
		close(e->given_fd);
	free(e->path);
	free(e);
}

static struct sockets_entry *sockets_find(const struct sockets *s,
					  const char *path)
{
	struct sockets_entry *e;
	struct pvio_list *pos;

	pvio_list_for_each(pos, &s->entries) {
		e = pvio_list_entry(pos, struct sockets_entry, node);
		if (strcmp(e->path, path) == 0)
			return e;
	}
	return NULL;
}

int sockets_fd(const struct sockets *s, const char *path)
{
	const struct sockets_entry *e = sockets_find(s, path);

	if (!e)
		return -1;
	return e->listener ? pvio_listener_fd(e->listener) : e->given_fd;
}

static int sockets_add(struct sockets *s, const struct plan_socket *socket,
		       struct systemd_fds *given)
{
	struct sockets_entry *e;
	int rc = 0;

	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->is_new = true;
	e->given_fd = -1;
	e->mode = socket->mode;
	e->group = socket->group;
	pvio_list_add_tail(&s->entries, &e->node);
	e->path = strdup(socket->path);
	if (!e->path)
		return -ENOMEM;
	if (given)
		e->given_fd = systemd_take_fd(given, socket->name,
					      socket->path);
	if (e->given_fd < 0)
		rc = pvio_listen(socket->name, socket->path, socket->mode,
				 socket->group, &e->listener);
	return rc;
}

int sockets_open(struct sockets *s, const struct plan *plan,
		 struct systemd_fds *given)
{
	struct pvio_list *pos, *next;
	struct sockets_entry *e;
	unsigned int i;
	int rc = 0;

	for (i = 0; i < plan->nr_sockets && rc == 0; i++)
		if (plan->sockets[i]->is_ours &&
		    !sockets_find(s, plan->sockets[i]->path))
			rc = sockets_add(s, plan->sockets[i], given);

	for (pos = s->entries.next; pos != &s->entries; pos = next) {
		next = pos->next;
		e = pvio_list_entry(pos, struct sockets_entry, node);
		if (rc < 0 && e->is_new)
			sockets_close(e);
		else
			e->is_new = false;
	}
	return rc;
}

static const struct plan_socket *sockets_in_plan(const struct plan *plan,
						 const char *path)
{
	unsigned int i;

	for (i = 0; i < plan->nr_sockets; i++)
		if (plan->sockets[i]->is_ours &&
		    strcmp(plan->sockets[i]->path, path) == 0)
			return plan->sockets[i];
	return NULL;
}

/* The file stays; who may use it can have changed. */
static void sockets_update(struct sockets_entry *e,
			   const struct plan_socket *socket)
{
	bool ok = true;

	if (!e->listener ||
	    (e->mode == socket->mode && e->group == socket->group))
		return;
	if (socket->group >= 0)
		ok = lchown(e->path, (uid_t)-1, (gid_t)socket->group) == 0;
	if (ok && socket->mode >= 0)
		ok = chmod(e->path, (mode_t)socket->mode) == 0;
	if (!ok)
		pvio_log(PVIO_LOG_ERROR, "%s: mode and group of %s: %s",
			 socket->name, e->path, strerror(errno));
	e->mode = socket->mode;
	e->group = socket->group;
}

void sockets_keep(struct sockets *s, const struct plan *plan)
{
	const struct plan_socket *socket;
	struct pvio_list *pos, *next;
	struct sockets_entry *e;

	for (pos = s->entries.next; pos != &s->entries; pos = next) {
		next = pos->next;
		e = pvio_list_entry(pos, struct sockets_entry, node);
		socket = sockets_in_plan(plan, e->path);
		if (socket)
			sockets_update(e, socket);
		else
			sockets_close(e);
	}
}

void sockets_destroy(struct sockets *s)
{
	if (!s)
		return;
	while (!pvio_list_empty(&s->entries))
		sockets_close(pvio_list_entry(s->entries.next,
					      struct sockets_entry, node));
	free(s);
}
