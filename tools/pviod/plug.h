/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plug.h - devices that come and go while their process goes on
 */
#ifndef PVIO_TOOLS_PLUG_H
#define PVIO_TOOLS_PLUG_H

#include "unit.h"

/*
 * Have @unit, which runs what its plan says, run what @now says, if that needs
 * no new process.  False: it does, and nothing has been done.  True: it has been
 * asked for; should its process refuse, it is stopped, to be started anew.
 */
bool plug_apply(struct unit *unit, const struct plan_unit *now);

#endif
