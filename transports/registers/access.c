/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * access.c - register accesses of a VMM's threads, one after the other
 */
#include "transports/registers/access.h"

static void access_next(struct pvio_accesses *all)
{
	struct pvio_access *access;

	if (all->is_busy || pvio_list_empty(&all->waiting))
		return;
	access = pvio_list_entry(all->waiting.next, struct pvio_access, node);
	pvio_list_del(&access->node);
	all->is_busy = true;
	access->run(access);
}

void pvio_access_done(void *arg, int rc)
{
	struct pvio_access *access = arg;
	struct pvio_accesses *all = access->all;

	bool was_turn = !access->is_read;

	if (was_turn)
		all->is_busy = false;
	access->done(access->done_arg, rc); /* last: the caller's stack */
	if (was_turn)
		access_next(all);
}

static void access_begin(void *arg, pvio_done_fn *done, void *done_arg)
{
	struct pvio_access *access = arg;

	access->done = done;
	access->done_arg = done_arg;
	if (access->is_read) {
		access->run(access);
		return;
	}
	pvio_list_add_tail(&access->all->waiting, &access->node);
	access_next(access->all);
}

int pvio_access_make(struct pvio_accesses *all, struct pvio_access *access)
{
	access->all = all;
	return pvio_device_call(all->dev, access_begin, access);
}

void pvio_accesses_init(struct pvio_accesses *all, struct pvio_device *dev)
{
	all->dev = dev;
	all->is_busy = false;
	pvio_list_init(&all->waiting);
}
