/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_split.c - the device side of split rings
 */
#include "fuzz_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_ring(false, false, data, size);
}
