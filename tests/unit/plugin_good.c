/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plugin_good.c - a module as somebody else would build it, for check_plugin
 */
#define PVIO_MODULE
#include "core/plugin.h"

static const struct {
	uint32_t abi;
	const char *name;
} test_ops = { PVIO_PLUGIN_ABI, "test-echo" };

PVIO_PLUGIN(net_backend, test_echo, test_ops);
