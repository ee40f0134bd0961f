/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * switch.h - a learning Ethernet switch between devices of one process
 *
 * A switch is found by its name and exists while somebody holds it.  All its
 * ports are served by one worker, so a frame goes from the sender's buffers
 * into the receiver's in one copy, with no queue and no lock in between.
 */
#ifndef PVIO_BACKENDS_SWITCH_H
#define PVIO_BACKENDS_SWITCH_H

#include "backends/net.h"

#define PVIO_SWITCH_NAME_BYTES 64
#define PVIO_SWITCH_MAX_PORTS  256

struct pvio_switch;

/* A port, in its user's memory; the fields up to `sw` are the user's to fill
 * in before attach and to leave alone until detach. */
struct pvio_switch_port {
	const char *name;	/* begins messages; borrowed */
	struct pvio_net_rx *rx; /* where frames for it go; borrowed */
	uint8_t mac[6];		/* its own address, if has_mac */
	bool has_mac;		/* ... which no other port can learn away */
	bool mac_check;		/* it may send from its own address only */

	struct pvio_switch *sw;
	struct pvio_list node;
	struct pvio_job retry;	/* the flood budget is there again */
	unsigned int learned;	/* entries of the address table */
	uint64_t turn;		/* of the worker: the budgets below are its */
	unsigned int floods;	/* copies sent this turn */
	size_t flood_bytes;
};

/* The switch called @name, new if need be.  control.  -ENOMEM, -EINVAL. */
int pvio_switch_get(const char *name, struct pvio_switch **sw);
void pvio_switch_put(struct pvio_switch *sw);

/*
 * Plug @port in, on the caller's @worker.  -EXDEV: the ports so far are on
 * another worker; -ENOSPC: too many ports.  Logged.
 */
int pvio_switch_attach(struct pvio_switch *sw, struct pvio_switch_port *port,
		       struct pvio_worker *worker);
void pvio_switch_detach(struct pvio_switch_port *port);

/*
 * A frame came in at @port.  0: forwarded to whom it concerns, if to anyone;
 * -EPERM: not from an address the port may use; -EAGAIN: it has flooded too
 * much this turn, pvio_net_tx_ready() will follow.  Worker of the switch.
 */
int pvio_switch_forward(struct pvio_switch_port *port,
			const struct pvio_net_frame *frame);

#endif
