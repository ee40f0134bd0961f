/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_packed.c - the device side of packed rings
 */
#include "fuzz_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_ring(true, false, data, size);
}
