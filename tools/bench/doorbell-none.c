/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doorbell-none.c - pvio-bench doorbell, where pvio has no virtual machine
 */
#include "bench.h"

#include <stdio.h>

int bench_doorbell(int argc, char **argv)
{
	(void)argc;
	fprintf(stderr, "pvio-bench %s: needs KVM on x86-64\n", argv[0]);
	return 1;
}
