/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * connector.h - how pvio's bus is reached: two operations (docs/bus-abi.md, 1)
 */
#ifndef PVIO_BAREMETAL_CONNECTOR_H
#define PVIO_BAREMETAL_CONNECTOR_H

#include <stdint.h>

struct bare_connector {
	const char *name;
	/* Magic, and version << 32; all ones where there is no bus. */
	uint64_t (*probe)(void);
	/* Carry out the call block at @address; may return before it is done. */
	void (*call)(uint64_t address);
	/* Returns when the call is done; NULL: one has to look. */
	void (*settle)(void);
	void (*doorbell)(uint32_t what);
};

/* What CPUID says there is, or the end of the guest. */
const struct bare_connector *bare_connector_find(void);

#endif
