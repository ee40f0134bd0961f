/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * access.h - register accesses of a VMM's threads, one after the other
 *
 *	thread 1   make ... done           (its write waits for a worker)
 *	thread 2      make ........ done   begins when the first is done
 *	thread 3       read done           does not wait
 *	control    run, run .. done, done
 *
 * What a guest's CPUs do at the same time the device sees in some order, as on
 * a bus, and each write sees all of the one before.  A read has nothing to wait
 * for, and sees what has been done so far.
 */
#ifndef PVIO_REGISTERS_ACCESS_H
#define PVIO_REGISTERS_ACCESS_H

#include "core/device.h"
#include "core/util.h"

/* All of it is the control worker's. */
struct pvio_accesses {
	struct pvio_device *dev;  /* borrowed */
	struct pvio_list waiting; /* struct pvio_access */
	bool is_busy;
};

/* On the stack of the thread that waits; part of what @run needs to know. */
struct pvio_access {
	struct pvio_list node;
	struct pvio_accesses *all;
	bool is_read;
	void (*run)(struct pvio_access *access); /* control */
	pvio_done_fn *done;
	void *done_arg;
};

void pvio_accesses_init(struct pvio_accesses *all, struct pvio_device *dev);
/*
 * Have @access->run called on the control worker when its turn comes, or at
 * once if it is a read, and wait for pvio_access_done(), which gives what is
 * returned.  Any thread, as pvio_device_call().
 */
int pvio_access_make(struct pvio_accesses *all, struct pvio_access *access);
/* @arg: the access.  After it the struct is its thread's again. */
void pvio_access_done(void *arg, int rc);

#endif
