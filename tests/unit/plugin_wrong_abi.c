/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plugin_wrong_abi.c - a module built for the pvio after this one
 */
#include "core/plugin.h"

extern const struct pvio_plugin pvio_plugin;
const struct pvio_plugin pvio_plugin = { PVIO_PLUGIN_ABI + 1,
					 PVIO_PLUGIN_model, "late",
					 &pvio_plugin };
