/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * limits.h - what the kernel lets a program of ours have
 */
#ifndef PVIO_TOOLS_LIMITS_H
#define PVIO_TOOLS_LIMITS_H

/*
 * As many descriptors as we may have, and what we start: peers can make us have
 * thousands for a moment.  The usual 1024 is for programs that call select().
 */
void limits_raise(void);

#endif
