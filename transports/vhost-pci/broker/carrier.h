/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * carrier.h - how the appliance's VMM shows it a window
 *
 *	ivshmem.c    we are the server of its ivshmem-doorbell device: any QEMU
 *	vfio-user.c  we serve a PCI function: QEMU >= 10.1.1
 *
 * A carrier shows the window's memory as a BAR, and carries two kinds of
 * signals, each of which has a *slot*: kicks, which are interrupts of the
 * appliance, and calls, which are what it writes to its doorbell.  Where the
 * VMM takes an eventfd for one, whoever is at the other end reaches the
 * appliance, or is reached, without us; else we relay, and count it.
 *
 * All of it is for the control worker.
 */
#ifndef PVIO_VHOST_PCI_CARRIER_H
#define PVIO_VHOST_PCI_CARRIER_H

#include "core/config.h"
#include "core/device.h"

/* Slot 0 is the control area's, both ways; then each ring of each port. */
#define CARRIER_SLOT_CONTROL 0
#define CARRIER_SLOTS_PER_PORT 64
#define CARRIER_MAX_SLOTS 512
static inline unsigned int carrier_slot(unsigned int port, unsigned int ring)
{
	return 1 + port * CARRIER_SLOTS_PER_PORT + ring;
}

struct broker;
struct carrier; /* the carrier's own */

struct carrier_ops {
	const char *name; /* "ivshmem": the configuration's `carrier = ` */
	/* Read @cfg: "socket" and more.  Opens nothing.  -EINVAL, -errno. */
	int (*create)(struct broker *broker, struct pvio_config *cfg,
		      struct carrier **carrier);
	void (*destroy)(struct carrier *carrier); /* NULL is allowed */
	/* Let the appliance's VMM come: broker_appliance_came() follows. */
	int (*start)(struct carrier *carrier);
	/* Let it go; @done when it does not touch anything any more. */
	void (*stop)(struct carrier *carrier, pvio_done_fn *done, void *arg);

	/*
	 * What is written to @fd (borrowed, an eventfd) interrupts the
	 * appliance: *number says which of its interrupts.  Another @fd for a
	 * slot takes the place of the one before, perhaps with another number.
	 * Only while there is an appliance.  -ENOSPC: it has too few; -errno.
	 * @fd -1: let go of the one before; 0, and no number.
	 */
	int (*kick)(struct carrier *carrier, unsigned int slot, int fd,
		    uint32_t *number);
	/*
	 * What the appliance writes to its doorbell as the number that @done is
	 * given (its rc) is written to @fd (borrowed; -1: nowhere).  @done when
	 * that is in force, and perhaps before this returns.  Another @fd may
	 * have another number; what the appliance still writes for the one
	 * before is written to @fd, too.  -ENOTCONN: there is no appliance, or
	 * it left meanwhile; -errno.
	 */
	void (*call)(struct carrier *carrier, unsigned int slot, int fd,
		     pvio_done_fn *done, void *arg);
	/* Facts for the stats, as JSON members: relayed signals among them. */
	void (*describe)(struct carrier *carrier, char *text, size_t size);
};

extern const struct carrier_ops carrier_ivshmem_ops, carrier_vfio_user_ops;

/* --- broker.c, for carriers ----------------------------------------------- */

/* The appliance's VMM has the window; control's slot is to be set up. */
void broker_appliance_came(struct broker *broker);
/* It is gone, and nothing that was set up for it counts any more. */
void broker_appliance_left(struct broker *broker);
/* Is there nothing in the window that the next must not see?  Soon, if not. */
bool broker_is_clean(const struct broker *broker);

#endif
