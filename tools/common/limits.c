/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * limits.c - what the kernel lets a program of ours have
 */
#include "limits.h"

#include <sys/resource.h>

void limits_raise(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
}
