/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config-options.c - a configuration from keys and values, without a text
 *
 * "backend.type" is the key "type" of the group "backend".  All values are
 * strings, taken as they are: who reads the key decides what they mean, so
 * that a serial number "0123" stays one and nothing needs quoting.
 */
#include "config-internal.h"

#include <errno.h>
#include <string.h>

#define OPTION_MAX_BYTES 256 /* of a key */

/* The group that @key is in, made if need be; *name is what is left of it. */
static config_setting_t *options_group(config_setting_t *group,
				       const char *key, const char **name)
{
	char part[OPTION_MAX_BYTES];
	const char *dot;

	while ((dot = strchr(key, '.')) != NULL) {
		config_setting_t *inner;
		size_t n = (size_t)(dot - key);

		if (n >= sizeof(part))
			return NULL;
		memcpy(part, key, n);
		part[n] = '\0';
		inner = config_setting_get_member(group, part);
		if (!inner)
			inner = config_setting_add(group, part,
						   CONFIG_TYPE_GROUP);
		if (!inner || !config_setting_is_group(inner))
			return NULL;
		group = inner;
		key = dot + 1;
	}
	*name = key;
	return group;
}

static int options_add(struct pvio_config *root,
		       const struct pvio_option *option)
{
	config_setting_t *group, *setting = NULL;
	const char *name;

	/* Not more groups than a text may have. */
	if (strlen(option->key) < OPTION_MAX_BYTES) {
		group = options_group(root->setting, option->key, &name);
		if (group)
			setting = config_setting_add(group, name,
						     CONFIG_TYPE_STRING);
	}
	if (!setting)
		return pvio_config_error(root, NULL,
					 "option \"%.64s\": given twice, or not "
					 "a key",
					 option->key);
	return config_setting_set_string(setting, option->value) == CONFIG_TRUE
		       ? 0 : -ENOMEM;
}

int pvio_config_options(const char *name, const struct pvio_option options[],
			struct pvio_config_file **out)
{
	struct pvio_config_file *file;
	int rc;

	rc = pvio_config_parse(name, "", &file);
	if (rc < 0)
		return rc;
	pvio_config_set_options(file);
	for (; rc == 0 && options->key; options++)
		rc = options_add(pvio_config_root(file), options);
	if (rc < 0)
		pvio_config_close(file);
	else
		*out = file;
	return rc;
}
