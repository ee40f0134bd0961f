/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doorbells.c - eventfds that a VMM may bind to a device's doorbells
 */
#include "transports/registers/doorbells.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static unsigned int bell_queue(const struct pvio_bell *bell)
{
	return (unsigned int)(bell - bell->bells->bell);
}

/* --- giving it to the queue ----------------------------------------------- */

static void bell_set(struct pvio_bell *bell);

static void bell_is_set(void *arg, int rc)
{
	struct pvio_bell *bell = arg;
	struct pvio_access *access = bell->access;

	if (rc == -EBUSY &&
	    pvio_device_await(bell->bells->all->dev, &bell->waiter))
		return;
	if (rc < 0 && bell->core >= 0)
		close(bell->core);
	bell->core = -1;
	bell->access = NULL;
	if (!access)
		return;
	if (rc < 0) {
		close(bell->fd);
		bell->fd = -1;
	}
	pvio_access_done(access, rc < 0 ? rc : bell->fd);
}

static void bell_set_again(struct pvio_device_waiter *waiter)
{
	bell_set(pvio_container_of(waiter, struct pvio_bell, waiter));
}

static void bell_set(struct pvio_bell *bell)
{
	pvio_device_vq_set_kick_fd(bell->bells->all->dev, bell_queue(bell),
				   bell->core, bell_is_set, bell);
}

/* Have the queue watch a duplicate. */
static void bell_watch(struct pvio_bell *bell)
{
	if (bell->core >= 0)
		return; /* on its way */
	bell->core = fcntl(bell->fd, F_DUPFD_CLOEXEC, 0);
	if (bell->core < 0)
		bell_is_set(bell, -errno);
	else
		bell_set(bell);
}

void pvio_doorbells_watch(struct pvio_doorbells *bells)
{
	unsigned int i;

	for (i = 0; i < bells->nr; i++) {
		if (bells->bell[i].fd >= 0)
			bell_watch(&bells->bell[i]);
	}
}

/* --- making one ------------------------------------------------------------ */

struct bell_call {
	struct pvio_access access;
	struct pvio_bell *bell;
};

static void bell_run(struct pvio_access *access)
{
	struct bell_call *call = pvio_container_of(access, struct bell_call,
						   access);
	struct pvio_bell *bell = call->bell;

	if (bell->fd < 0) {
		bell->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (bell->fd >= 0) {
			bell->access = access;
			bell_watch(bell);
			return;
		}
	}
	pvio_access_done(access, bell->fd < 0 ? -errno : bell->fd);
}

int pvio_doorbells_fd(struct pvio_doorbells *bells, unsigned int queue)
{
	struct bell_call call = { .access.run = bell_run };

	if (queue >= bells->nr)
		return -EINVAL;
	call.bell = &bells->bell[queue];
	return pvio_access_make(bells->all, &call.access);
}

/* --- life ------------------------------------------------------------------ */

int pvio_doorbells_init(struct pvio_doorbells *bells, struct pvio_accesses *all)
{
	unsigned int i;

	bells->all = all;
	bells->nr = pvio_device_nr_queues(all->dev);
	bells->bell = calloc(bells->nr, sizeof(*bells->bell));
	if (!bells->bell)
		return -ENOMEM;
	for (i = 0; i < bells->nr; i++) {
		bells->bell[i].bells = bells;
		bells->bell[i].fd = bells->bell[i].core = -1;
		bells->bell[i].waiter.fn = bell_set_again;
	}
	return 0;
}

void pvio_doorbells_fini(struct pvio_doorbells *bells)
{
	unsigned int i;

	for (i = 0; i < bells->nr; i++) {
		if (bells->bell[i].fd >= 0)
			close(bells->bell[i].fd);
	}
	free(bells->bell);
	bells->bell = NULL;
	bells->nr = 0;
}
