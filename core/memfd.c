/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memfd.c - memory that is shared with a process nobody trusts
 */
#include "memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int pvio_memfd_create(const char *name, uint64_t bytes)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int fd, rc;

	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0 ||
	    fcntl(fd, F_ADD_SEALS, seals) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}
