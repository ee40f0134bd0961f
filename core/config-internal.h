/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config-internal.h - what the parts of config share
 */
#ifndef PVIO_CORE_CONFIG_INTERNAL_H
#define PVIO_CORE_CONFIG_INTERNAL_H

#include "config.h"

#include <libconfig.h>

struct pvio_config {
	struct pvio_config_file *file; /* borrowed: it owns us */
	config_setting_t *setting;
	struct pvio_config *next; /* of the file's */
};

/* The setting called @key, which counts as read from now on; or NULL. */
config_setting_t *pvio_config_take(struct pvio_config *cfg, const char *key);
/* Its values are strings that stand for what is asked for (config-options.c). */
void pvio_config_set_options(struct pvio_config_file *file);
bool pvio_config_is_options(const struct pvio_config *cfg);
/* An error at @setting, a member of @cfg. */
int pvio_config_error_at(const struct pvio_config *cfg,
			 const config_setting_t *setting, const char *fmt, ...)
	pvio_printf(3, 4);

#endif
