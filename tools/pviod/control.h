/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control.h - the control socket
 */
#ifndef PVIO_TOOLS_CONTROL_H
#define PVIO_TOOLS_CONTROL_H

#include "supervisor.h"

struct control;

/*
 * Serve the listening socket @fd (borrowed; closed after destroy) for root and
 * the user we run as.  @supervisor is borrowed.
 */
int control_create(struct event_base *base, int fd,
		   struct supervisor *supervisor, struct control **control);
/* Before the supervisor is destroyed.  NULL is allowed. */
void control_destroy(struct control *control);

#endif
