/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config-internal.h - what config.c and config-text.c share
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

#endif
