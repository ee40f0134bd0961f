/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plugin.h - how models, backends and transports are found
 *
 * Each is a const ops record that begins with its ABI number and its name, and
 * is announced by PVIO_PLUGIN(kind, ops).  Those built in are listed in
 * plugins.def; others are loaded from a directory (pvio.conf: plugin_dir, or
 * pvio_plugins_load()) and must have been built for exactly this ABI.
 */
#ifndef PVIO_CORE_PLUGIN_H
#define PVIO_CORE_PLUGIN_H

#include <stdint.h>

#pragma GCC visibility push(default)

/* Changes with every change of a struct that a plug-in sees. */
#define PVIO_PLUGIN_ABI 1

enum pvio_plugin_kind {
	PVIO_PLUGIN_model,
	PVIO_PLUGIN_transport,
	PVIO_PLUGIN_block_backend,
	PVIO_PLUGIN_net_backend,
	PVIO_NR_PLUGIN_KINDS
};

struct pvio_plugin {
	uint32_t abi;
	enum pvio_plugin_kind kind;
	const char *name;
	const void *ops;
};

/*
 * PVIO_PLUGIN(block_backend, memory, ops): kind, name, record.  A module has
 * one, and exports it as "pvio_plugin"; a built-in one as pvio_plugin_<kind>_
 * <name>, which plugins.def lists.
 */
#ifdef PVIO_MODULE
#define PVIO_PLUGIN(kind_, name_, ops_)                                   \
	extern const struct pvio_plugin pvio_plugin;                      \
	__attribute__((visibility("default")))                            \
	const struct pvio_plugin pvio_plugin = { PVIO_PLUGIN_ABI,         \
						 PVIO_PLUGIN_##kind_,     \
						 #name_, &(ops_) }
#else
#define PVIO_PLUGIN(kind_, name_, ops_)                                   \
	extern const struct pvio_plugin pvio_plugin_##kind_##_##name_;    \
	const struct pvio_plugin pvio_plugin_##kind_##_##name_ = {        \
		PVIO_PLUGIN_ABI, PVIO_PLUGIN_##kind_, #name_, &(ops_)     \
	}
#endif

/* The ops record of that kind and name, or NULL.  Names use '-' or '_'. */
const void *pvio_plugin_find(enum pvio_plugin_kind kind, const char *name);
/* Every plug-in of @kind in turn: @i = 0, 1, ... until NULL. */
const struct pvio_plugin *pvio_plugin_nth(enum pvio_plugin_kind kind,
					  unsigned int i);
/*
 * Load every *.so of @dir, in the order of their names.  -ENOENT; -EPERM when
 * anyone may write to @dir; -EINVAL when one is not a plug-in, has another ABI
 * number or a name that is taken: it has been logged, those before it stay
 * loaded.  Control thread, before devices are created; not undone.
 */
int pvio_plugins_load(const char *dir);

#pragma GCC visibility pop
#endif
