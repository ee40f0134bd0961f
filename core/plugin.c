/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plugin.c - the registry of models, backends and transports
 *
 * Those built in are named in plugins.def.  The table below takes the address
 * of each record, so one that is listed and not linked fails the link; nothing
 * depends on constructors or on the order of objects in an archive.
 *
 * Those loaded are appended, and stay: a device may hold a pointer to their
 * functions for as long as the process lives.
 */
#include "plugin.h"

#include "log.h"
#include "util.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PVIO_BUILTIN(kind, name) \
	extern const struct pvio_plugin pvio_plugin_##kind##_##name;
#include "plugins.def"
#undef PVIO_BUILTIN

static const struct pvio_plugin *const plugin_builtin[] = {
#define PVIO_BUILTIN(kind, name) &pvio_plugin_##kind##_##name,
#include "plugins.def"
#undef PVIO_BUILTIN
	NULL
};

static const char *const plugin_kind_names[PVIO_NR_PLUGIN_KINDS] = {
	[PVIO_PLUGIN_model] = "model",
	[PVIO_PLUGIN_transport] = "transport",
	[PVIO_PLUGIN_block_backend] = "block backend",
	[PVIO_PLUGIN_net_backend] = "net backend",
};

/* Written by pvio_plugins_load() before devices exist, read ever after. */
static const struct pvio_plugin **plugin_loaded;
static size_t plugin_nr_loaded;

static bool plugin_name_matches(const char *a, const char *b)
{
	for (; *a && *b; a++, b++) {
		char ca = *a == '-' ? '_' : *a;
		char cb = *b == '-' ? '_' : *b;

		if (ca != cb)
			return false;
	}
	return *a == *b;
}

/* All plug-ins in one row: built in, then loaded.  NULL after the last. */
static const struct pvio_plugin *plugin_at(size_t i)
{
	const size_t nr_builtin = pvio_array_size(plugin_builtin) - 1;

	if (i + 1 <= nr_builtin)
		return plugin_builtin[i];
	i -= nr_builtin;
	return i < plugin_nr_loaded ? plugin_loaded[i] : NULL;
}

const void *pvio_plugin_find(enum pvio_plugin_kind kind, const char *name)
{
	const struct pvio_plugin *p;
	size_t i;

	for (i = 0; (p = plugin_at(i)) != NULL; i++)
		if (p->kind == kind && plugin_name_matches(p->name, name))
			return p->ops;
	return NULL;
}

const struct pvio_plugin *pvio_plugin_nth(enum pvio_plugin_kind kind,
					  unsigned int n)
{
	const struct pvio_plugin *p;
	size_t i;

	for (i = 0; (p = plugin_at(i)) != NULL; i++)
		if (p->kind == kind && n-- == 0)
			return p;
	return NULL;
}

static int plugin_check(const char *path, const struct pvio_plugin *p)
{
	/* The number comes first in every version of the record. */
	if (p->abi != PVIO_PLUGIN_ABI) {
		pvio_log(PVIO_LOG_ERROR,
			 "%s: built for plug-in ABI %u, this is %u: rebuild it",
			 path, p->abi, PVIO_PLUGIN_ABI);
		return -EINVAL;
	}
	if ((unsigned int)p->kind >= PVIO_NR_PLUGIN_KINDS || !p->name ||
	    !p->ops) {
		pvio_log(PVIO_LOG_ERROR, "%s: its plug-in record is not whole",
			 path);
		return -EINVAL;
	}
	if (pvio_plugin_find(p->kind, p->name)) {
		pvio_log(PVIO_LOG_ERROR, "%s: there is a %s \"%s\" already",
			 path, plugin_kind_names[p->kind], p->name);
		return -EINVAL;
	}
	return 0;
}

static int plugin_load(const char *path)
{
	const struct pvio_plugin **grown;
	const struct pvio_plugin *p;
	void *module;
	int rc;

	module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!module) {
		pvio_log(PVIO_LOG_ERROR, "%s: %s", path, dlerror());
		return -EINVAL;
	}
	p = dlsym(module, "pvio_plugin");
	if (!p) {
		pvio_log(PVIO_LOG_ERROR,
			 "%s: not a plug-in: it exports no \"pvio_plugin\"",
			 path);
		rc = -EINVAL;
		goto close_module;
	}
	rc = plugin_check(path, p);
	if (rc < 0)
		goto close_module;

	grown = realloc(plugin_loaded,
			(plugin_nr_loaded + 1) * sizeof(plugin_loaded[0]));
	if (!grown) {
		rc = -ENOMEM;
		goto close_module;
	}
	plugin_loaded = grown;
	plugin_loaded[plugin_nr_loaded++] = p;
	return 0;

close_module:
	dlclose(module);
	return rc;
}

static int plugin_is_module(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 3 && strcmp(entry->d_name + len - 3, ".so") == 0;
}

int pvio_plugins_load(const char *dir)
{
	struct dirent **entry;
	struct stat st;
	int i, nr, rc = 0;
	char *path;

	if (stat(dir, &st) == 0 && (st.st_mode & S_IWOTH)) {
		pvio_log(PVIO_LOG_ERROR,
			 "plug-in directory %s: anyone may write to it", dir);
		return -EPERM;
	}
	/* Sorted, so that a name taken twice is the same error everywhere. */
	nr = scandir(dir, &entry, plugin_is_module, alphasort);
	if (nr < 0) {
		rc = -errno;
		pvio_log(PVIO_LOG_ERROR, "plug-in directory %s: %s", dir,
			 strerror(-rc));
		return rc;
	}
	for (i = 0; i < nr; i++) {
		if (rc == 0) {
			if (asprintf(&path, "%s/%s", dir, entry[i]->d_name) <
			    0) {
				rc = -ENOMEM;
			} else {
				rc = plugin_load(path);
				free(path);
			}
		}
		free(entry[i]);
	}
	free(entry);
	return rc;
}
