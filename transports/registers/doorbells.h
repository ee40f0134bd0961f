/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doorbells.h - eventfds that a VMM may bind to a device's doorbells
 *
 * One a queue, made when it is first asked for and kept until the device is
 * destroyed: the VMM has it bound for as long.  The queue watches a duplicate,
 * which a device that is stopped lets go of.
 */
#ifndef PVIO_REGISTERS_DOORBELLS_H
#define PVIO_REGISTERS_DOORBELLS_H

#include "transports/registers/access.h"

struct pvio_bell {
	struct pvio_doorbells *bells;
	int fd;	  /* owned; -1 until asked for */
	int core; /* its duplicate, until the core takes it */
	struct pvio_access *access; /* that asked for it and waits, or NULL */
	struct pvio_device_waiter waiter; /* to give the core that */
};

struct pvio_doorbells {
	struct pvio_accesses *all; /* borrowed */
	unsigned int nr;
	struct pvio_bell *bell; /* [nr], owned */
};

int pvio_doorbells_init(struct pvio_doorbells *bells,
			struct pvio_accesses *all);
void pvio_doorbells_fini(struct pvio_doorbells *bells);
/*
 * The eventfd of @queue, borrowed until fini.  -EINVAL: no such queue; -EMFILE.
 * Any thread.
 */
int pvio_doorbells_fd(struct pvio_doorbells *bells, unsigned int queue);
/* Control worker: the device starts, perhaps again. */
void pvio_doorbells_watch(struct pvio_doorbells *bells);

#endif
