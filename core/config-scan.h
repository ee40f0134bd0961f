/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config-scan.h - what a configuration is checked for before libconfig sees it
 *
 * For core/config.c only.
 */
#ifndef PVIO_CORE_CONFIG_SCAN_H
#define PVIO_CORE_CONFIG_SCAN_H

#include <stddef.h>

#define CONFIG_MAX_BYTES (1024 * 1024) /* with what is included */

/*
 * Read @path whole, NUL-terminated, for the caller to free.  -errno, or -EINVAL
 * for what is not a regular file, too long or has NUL bytes: it has been logged.
 */
int pvio_config_load(const char *path, char **text, size_t *len);

/*
 * Check @text, called @name, and all it includes from @dir (NULL: it may not).
 * -EINVAL or -errno: it has been logged.
 */
int pvio_config_scan(const char *name, const char *text, size_t len,
		     const char *dir);

#endif
