/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memfd.h - memory that is shared with a process nobody trusts
 */
#ifndef PVIO_CORE_MEMFD_H
#define PVIO_CORE_MEMFD_H

#include <stdint.h>

/*
 * A memory file of @bytes zeroes, to be closed, whose length is sealed: nobody
 * it is given to can take pages away from under us.  @name is for /proc.
 * -errno.
 */
int pvio_memfd_create(const char *name, uint64_t bytes);

#endif
