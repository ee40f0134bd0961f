/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doorbell.h - the ways for a guest to ring its host, for pvio-bench doorbell
 *
 *	doorbell.c	  a VM that rings, the command, the report
 *	doorbell-kinds.c  what each way needs of KVM and of the guest
 *	doorbell-guest.S  the guest
 */
#ifndef PVIO_BENCH_DOORBELL_H
#define PVIO_BENCH_DOORBELL_H

#include "examples/tinyvmm/tinyvmm.h"

#include <stddef.h>

struct doorbell;

struct doorbell_kind {
	const char *name;
	/* What the guest runs; NULL: the hypercall of this host's CPU. */
	const char *loop;
	/*
	 * Ask KVM for it, before the virtual CPU runs, and fill in what its
	 * registers are to hold.  0, or doorbell_absent()'s.
	 */
	int (*setup)(struct doorbell *d, struct kvm_regs *regs);
};

/* One VM, for one kind. */
struct doorbell {
	const struct doorbell_kind *kind;
	struct vm vm;
	int eventfd; /* where the host rings; -1: it exits to us */
	uint64_t exits;
	char why[128]; /* it is not there; empty: it is */
};

/* The first is the empty loop; the last has no name. */
extern const struct doorbell_kind doorbell_kinds[];

/* Say why this host does not have it.  Returns -EOPNOTSUPP. */
__attribute__((format(printf, 2, 3))) int doorbell_absent(struct doorbell *d,
							  const char *format,
							  ...);

#endif
