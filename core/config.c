/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config.c - groups of keys, read once, over libconfig
 *
 * libconfig parses and knows where each setting came from.  What is added here
 * is that every key is asked for by somebody: each setting that has been read
 * carries a mark (libconfig's hook), and finish refuses the rest.  The mark of
 * a group is the struct pvio_config that was handed out for it, so finish can
 * descend into those, and a group that is asked for twice is the same.
 */
#include "config.h"

#include "config-internal.h"
#include "config-scan.h"
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pvio_config_file {
	config_t libconfig;
	char *name;
	char *dir;                  /* for includes; NULL: none */
	struct pvio_config *groups; /* owned */
	struct pvio_config *root;   /* one of them */
	bool is_trial, is_options;
};

/* The mark of a setting that was read and is no group. */
static char config_mark;

/* --- files --------------------------------------------------------------- */

/* The struct of group @setting, made at the first call.  NULL: no memory. */
static struct pvio_config *config_of(struct pvio_config_file *file,
				     config_setting_t *setting)
{
	struct pvio_config *cfg = config_setting_get_hook(setting);

	if (cfg && cfg != (void *)&config_mark)
		return cfg;
	cfg = calloc(1, sizeof(*cfg));
	if (!cfg)
		return NULL;
	cfg->file = file;
	cfg->setting = setting;
	cfg->next = file->groups;
	file->groups = cfg;
	config_setting_set_hook(setting, cfg);
	return cfg;
}

/*
 * The name of the file that libconfig calls @where: NULL is the first, and
 * those included are as they were written (1.5), or in the directory.
 */
static const char *config_path(const struct pvio_config_file *file,
			       const char *where, char *buf, size_t size)
{
	if (!where)
		return file->name;
	if (!file->dir || strncmp(where, file->dir, strlen(file->dir)) == 0)
		return where;
	snprintf(buf, size, "%s/%s", file->dir, where);
	return buf;
}

/* Parse scanned text. */
static int config_feed(struct pvio_config_file *file, const char *text)
{
	char path[512];

	if (file->dir)
		config_set_include_dir(&file->libconfig, file->dir);
	if (config_read_string(&file->libconfig, text) != CONFIG_TRUE) {
		pvio_log(PVIO_LOG_ERROR, "%s:%d: %s",
			 config_path(file, config_error_file(&file->libconfig),
				     path, sizeof(path)),
			 config_error_line(&file->libconfig),
			 config_error_text(&file->libconfig));
		return -EINVAL;
	}
	file->root = config_of(file, config_root_setting(&file->libconfig));
	return file->root ? 0 : -ENOMEM;
}

static int config_new(const char *name, const char *text, size_t len,
		      const char *dir, struct pvio_config_file **out)
{
	struct pvio_config_file *file;
	int rc;

	rc = pvio_config_scan(name, text, len, dir);
	if (rc < 0)
		return rc;
	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	config_init(&file->libconfig);
	file->name = strdup(name);
	file->dir = dir ? strdup(dir) : NULL;
	rc = !file->name || (dir && !file->dir) ? -ENOMEM
						: config_feed(file, text);
	if (rc < 0) {
		pvio_config_close(file);
		return rc;
	}
	*out = file;
	return 0;
}

int pvio_config_open(const char *path, struct pvio_config_file **file)
{
	const char *slash = strrchr(path, '/');
	char *text, *dir;
	size_t len;
	int rc;

	rc = pvio_config_load(path, &text, &len);
	if (rc < 0)
		return rc;
	/* "/x" is in "/". */
	dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path))
		    : strdup(".");
	rc = dir ? config_new(path, text, len, dir, file) : -ENOMEM;
	free(dir);
	free(text);
	return rc;
}

int pvio_config_parse(const char *name, const char *text,
		      struct pvio_config_file **file)
{
	return config_new(name, text, strlen(text), NULL, file);
}

void pvio_config_close(struct pvio_config_file *file)
{
	struct pvio_config *cfg, *next;

	if (!file)
		return;
	for (cfg = file->groups; cfg; cfg = next) {
		next = cfg->next;
		free(cfg);
	}
	config_destroy(&file->libconfig);
	free(file->dir);
	free(file->name);
	free(file);
}

struct pvio_config *pvio_config_root(struct pvio_config_file *file)
{
	return file->root;
}

/* --- errors -------------------------------------------------------------- */

static int pvio_printf(4, 0)
	config_verror(const struct pvio_config *cfg,
		      const config_setting_t *setting, const char *key,
		      const char *fmt, va_list ap)
{
	char text[512], path[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	if (cfg->file->is_options) {
		/* No lines: the key says where. */
		pvio_log(PVIO_LOG_ERROR, "%s: %s%s%s", cfg->file->name,
			 key ? key : "", key ? ": " : "", text);
		return -EINVAL;
	}
	pvio_log(PVIO_LOG_ERROR, "%s:%u: %s%s%s",
		 config_path(cfg->file, config_setting_source_file(setting),
			     path, sizeof(path)),
		 config_setting_source_line(setting), key ? key : "",
		 key ? ": " : "", text);
	return -EINVAL;
}

int pvio_config_error_at(const struct pvio_config *cfg,
			 const config_setting_t *setting, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = config_verror(cfg, setting, config_setting_name(setting), fmt, ap);
	va_end(ap);
	return rc;
}

int pvio_config_error(struct pvio_config *cfg, const char *key, const char *fmt,
		      ...)
{
	config_setting_t *setting = NULL;
	va_list ap;
	int rc;

	if (key)
		setting = config_setting_get_member(cfg->setting, key);
	va_start(ap, fmt);
	rc = config_verror(cfg, setting ? setting : cfg->setting, key, fmt, ap);
	va_end(ap);
	return rc;
}

config_setting_t *pvio_config_take(struct pvio_config *cfg, const char *key)
{
	config_setting_t *setting = config_setting_get_member(cfg->setting,
							      key);

	if (setting && !config_setting_get_hook(setting))
		config_setting_set_hook(setting, &config_mark);
	return setting;
}

/* --- groups and lists ---------------------------------------------------- */

int pvio_config_group_opt(struct pvio_config *cfg, const char *key,
			  struct pvio_config **group)
{
	config_setting_t *setting = pvio_config_take(cfg, key);
	struct pvio_config *inner;

	*group = NULL;
	if (!setting)
		return 0;
	if (config_setting_type(setting) != CONFIG_TYPE_GROUP)
		return pvio_config_error_at(cfg, setting,
					    "must be a group: { ... }");
	inner = config_of(cfg->file, setting);
	if (!inner)
		return -ENOMEM;
	*group = inner;
	return 0;
}

int pvio_config_group(struct pvio_config *cfg, const char *key,
		      struct pvio_config **group)
{
	int rc = pvio_config_group_opt(cfg, key, group);

	if (rc == 0 && !*group)
		rc = pvio_config_error(cfg, key, "missing");
	return rc;
}

/* How many elements of libconfig's @type the list at @key has. */
static int config_list(struct pvio_config *cfg, const char *key, int type,
		       const char *what)
{
	config_setting_t *setting = pvio_config_take(cfg, key), *element;
	int i, nr;

	if (!setting)
		return 0;
	if (config_setting_type(setting) != CONFIG_TYPE_LIST &&
	    config_setting_type(setting) != CONFIG_TYPE_ARRAY)
		return pvio_config_error_at(cfg, setting,
					    "must be a list of %s", what);
	nr = config_setting_length(setting);
	for (i = 0; i < nr; i++) {
		element = config_setting_get_elem(setting, (unsigned int)i);
		if (config_setting_type(element) != type)
			return pvio_config_error(cfg, key,
						 "element %d: must be a list "
						 "of %s",
						 i, what);
	}
	return nr;
}

int pvio_config_list(struct pvio_config *cfg, const char *key)
{
	return config_list(cfg, key, CONFIG_TYPE_GROUP, "groups");
}

struct pvio_config *pvio_config_element(struct pvio_config *cfg,
					const char *key, unsigned int i)
{
	config_setting_t *list = config_setting_get_member(cfg->setting, key);
	config_setting_t *element = list ? config_setting_get_elem(list, i)
					 : NULL;

	if (!element || config_setting_type(element) != CONFIG_TYPE_GROUP)
		return NULL;
	return config_of(cfg->file, element);
}

int pvio_config_string_list(struct pvio_config *cfg, const char *key)
{
	return config_list(cfg, key, CONFIG_TYPE_STRING, "strings");
}

const char *pvio_config_string_element(struct pvio_config *cfg, const char *key,
				       unsigned int i)
{
	config_setting_t *list = config_setting_get_member(cfg->setting, key);
	config_setting_t *element = list ? config_setting_get_elem(list, i)
					 : NULL;

	return element ? config_setting_get_string(element) : NULL;
}

/* --- finishing ----------------------------------------------------------- */

/*
 * Refuse members of @setting, and of what was read in it, without a mark.  As
 * deep as the scan allowed.
 */
static int config_finish(struct pvio_config *cfg, config_setting_t *setting)
{
	bool in_list = !config_setting_is_group(setting);
	int i, rc = 0, nr = config_setting_length(setting);

	for (i = 0; i < nr; i++) {
		config_setting_t *member =
			config_setting_get_elem(setting, (unsigned int)i);

		/* A list that was read is read whole, but for its groups. */
		if (in_list && !config_setting_is_group(member))
			continue;
		if (!config_setting_get_hook(member))
			rc = pvio_config_error_at(
				cfg, member,
				in_list ? "element not expected"
					: "unknown key");
		else if (config_setting_is_aggregate(member) &&
			 config_finish(cfg, member) < 0)
			rc = -EINVAL;
	}
	return rc;
}

int pvio_config_finish(struct pvio_config *cfg)
{
	return config_finish(cfg, cfg->setting);
}

static void config_skip(config_setting_t *setting)
{
	int i, nr = config_setting_length(setting);

	for (i = 0; i < nr; i++) {
		config_setting_t *member =
			config_setting_get_elem(setting, (unsigned int)i);

		if (!config_setting_get_hook(member))
			config_setting_set_hook(member, &config_mark);
		if (config_setting_is_aggregate(member))
			config_skip(member);
	}
}

void pvio_config_skip(struct pvio_config *cfg)
{
	config_skip(cfg->setting);
}

void pvio_config_set_trial(struct pvio_config_file *file)
{
	file->is_trial = true;
}

bool pvio_config_is_trial(const struct pvio_config *cfg)
{
	return cfg->file->is_trial;
}

void pvio_config_set_options(struct pvio_config_file *file)
{
	file->is_options = true;
}

bool pvio_config_is_options(const struct pvio_config *cfg)
{
	return cfg->file->is_options;
}

int pvio_config_set_int(struct pvio_config *cfg, const char *key, int value)
{
	config_setting_t *setting;

	/* Whatever is there, of whatever type, makes room. */
	if (config_setting_get_member(cfg->setting, key))
		config_setting_remove(cfg->setting, key);
	setting = config_setting_add(cfg->setting, key, CONFIG_TYPE_INT);
	if (!setting)
		return -ENOMEM;
	config_setting_set_int(setting, value);
	return 0;
}
