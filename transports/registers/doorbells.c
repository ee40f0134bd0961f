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

struct bell_call {
	struct pvio_access access;
	struct pvio_device_waiter waiter;
	struct pvio_doorbells *bells;
	unsigned int queue;
	int fd;   /* for the VMM, until it is the queue's doorbell */
	int core; /* its duplicate, until the core takes it */
};

static void bell_set(struct bell_call *call);

static void bell_done(void *arg, int rc)
{
	struct bell_call *call = arg;
	struct pvio_device *dev = call->bells->all->dev;

	if (rc == -EBUSY && pvio_device_await(dev, &call->waiter))
		return;
	if (rc < 0) {
		close(call->core);
		close(call->fd);
	} else {
		call->bells->fd[call->queue] = rc = call->fd;
	}
	pvio_access_done(&call->access, rc);
}

static void bell_set_again(struct pvio_device_waiter *waiter)
{
	bell_set(pvio_container_of(waiter, struct bell_call, waiter));
}

static void bell_set(struct bell_call *call)
{
	pvio_device_vq_set_kick_fd(call->bells->all->dev, call->queue,
				   call->core, bell_done, call);
}

static void bell_run(struct pvio_access *access)
{
	struct bell_call *call = pvio_container_of(access, struct bell_call,
						   access);
	int rc = call->bells->fd[call->queue];

	if (rc >= 0) {
		pvio_access_done(access, rc);
		return;
	}
	call->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (call->fd < 0) {
		pvio_access_done(access, -errno);
		return;
	}
	call->core = fcntl(call->fd, F_DUPFD_CLOEXEC, 0);
	if (call->core < 0) {
		rc = -errno;
		close(call->fd);
		pvio_access_done(access, rc);
		return;
	}
	bell_set(call);
}

int pvio_doorbells_fd(struct pvio_doorbells *bells, unsigned int queue)
{
	struct bell_call call = {
		.access.run = bell_run,
		.waiter.fn = bell_set_again,
		.bells = bells,
		.queue = queue,
	};

	if (queue >= bells->nr)
		return -EINVAL;
	return pvio_access_make(bells->all, &call.access);
}

/* @arg: the core's duplicate, which it does not take if it fails. */
static void bell_watched(void *arg, int rc)
{
	if (rc < 0)
		close((int)(intptr_t)arg);
}

void pvio_doorbells_watch(struct pvio_doorbells *bells)
{
	unsigned int i;
	int fd;

	for (i = 0; i < bells->nr; i++) {
		if (bells->fd[i] < 0)
			continue;
		fd = fcntl(bells->fd[i], F_DUPFD_CLOEXEC, 0);
		if (fd >= 0)
			pvio_device_vq_set_kick_fd(bells->all->dev, i, fd,
						   bell_watched,
						   (void *)(intptr_t)fd);
	}
}

int pvio_doorbells_init(struct pvio_doorbells *bells, struct pvio_accesses *all)
{
	unsigned int i;

	bells->all = all;
	bells->nr = pvio_device_nr_queues(all->dev);
	bells->fd = calloc(bells->nr, sizeof(*bells->fd));
	if (!bells->fd)
		return -ENOMEM;
	for (i = 0; i < bells->nr; i++)
		bells->fd[i] = -1;
	return 0;
}

void pvio_doorbells_fini(struct pvio_doorbells *bells)
{
	unsigned int i;

	for (i = 0; i < bells->nr; i++) {
		if (bells->fd[i] >= 0)
			close(bells->fd[i]);
	}
	free(bells->fd);
	bells->fd = NULL;
	bells->nr = 0;
}
