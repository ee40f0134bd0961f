/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_inflight.c - recovery from an in-flight region, both kinds of ring
 */
#include "fuzz_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_ring(size > 0 && data[0] & 0x80, true, data, size);
}
