/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config.h - reading configuration: every key once, every error with its place
 *
 * A struct pvio_config is one group of a libconfig file.  Whoever owns a key
 * reads it with the right function; what nobody has read when the group is
 * finished is an unknown key, and refused.  Every error is logged once, as
 * "file:line: key: what is wrong", and returned as -EINVAL, so callers only
 * pass it up.
 */
#ifndef PVIO_CORE_CONFIG_H
#define PVIO_CORE_CONFIG_H

#include "util.h"

#include <pvio/device.h>

#pragma GCC visibility push(default)

struct pvio_config;	 /* one group; belongs to its file */
struct pvio_config_file; /* a parsed file */

/*
 * Parse a file or a text (called @name in messages).  -EINVAL for syntax, or
 * a file over 1 MiB or nested deeper than 16; -errno when it cannot be read.
 * Close with pvio_config_close(), which ends every group of it.
 */
int pvio_config_open(const char *path, struct pvio_config_file **file);
int pvio_config_parse(const char *name, const char *text,
		      struct pvio_config_file **file);
/* The same from options, as pvio_device_create_options() has them. */
int pvio_config_options(const char *name, const struct pvio_option options[],
			struct pvio_config_file **file);
void pvio_config_close(struct pvio_config_file *file);
struct pvio_config *pvio_config_root(struct pvio_config_file *file);

/*
 * Read one key of the group.  _opt: leaves *value as it was when absent.
 * Without _opt the key is required.  Strings belong to the file.
 */
int pvio_config_string(struct pvio_config *cfg, const char *key,
		       const char **value);
int pvio_config_string_opt(struct pvio_config *cfg, const char *key,
			   const char **value);
int pvio_config_bool_opt(struct pvio_config *cfg, const char *key, bool *value);
int pvio_config_uint_opt(struct pvio_config *cfg, const char *key,
			 uint64_t min, uint64_t max, uint64_t *value);
/* Bytes: a number, or a string such as "512", "64K", "10G" (powers of 1024). */
int pvio_config_size_opt(struct pvio_config *cfg, const char *key,
			 uint64_t min, uint64_t max, uint64_t *value);
/* One of @words (NULL-terminated); *value is its index. */
int pvio_config_choice_opt(struct pvio_config *cfg, const char *key,
			   const char *const *words, unsigned int *value);
/* "52:54:00:12:34:56", unicast. */
int pvio_config_mac_opt(struct pvio_config *cfg, const char *key,
			uint8_t mac[6]);
/* A group under @key; absent: *group = NULL for _opt, else an error. */
int pvio_config_group(struct pvio_config *cfg, const char *key,
		      struct pvio_config **group);
int pvio_config_group_opt(struct pvio_config *cfg, const char *key,
			  struct pvio_config **group);
/*
 * A list or array of groups under @key; 0 when absent.  Returns how many;
 * element @i by pvio_config_element().
 */
int pvio_config_list(struct pvio_config *cfg, const char *key);
struct pvio_config *pvio_config_element(struct pvio_config *cfg,
					const char *key, unsigned int i);
/* The same for a list or array of strings (element @i). */
int pvio_config_string_list(struct pvio_config *cfg, const char *key);
const char *pvio_config_string_element(struct pvio_config *cfg,
				       const char *key, unsigned int i);

/* An error that only the caller can see, at the place of @key. */
int pvio_config_error(struct pvio_config *cfg, const char *key,
		      const char *fmt, ...) pvio_printf(3, 4);

/* Refuse every key of @cfg, and of the groups read from it, nobody has read. */
int pvio_config_finish(struct pvio_config *cfg);

/* Every key of @cfg, and of the groups in it, counts as read. */
void pvio_config_skip(struct pvio_config *cfg);

/* Set a key as if the file had it: a descriptor to hand on.  -ENOMEM. */
int pvio_config_set_int(struct pvio_config *cfg, const char *key, int value);

/*
 * A trial of the configuration: backends check all they can, but touch nothing
 * that others see: take no lock, bind and connect no socket, make no interface.
 */
void pvio_config_set_trial(struct pvio_config_file *file);
bool pvio_config_is_trial(const struct pvio_config *cfg);

/*
 * The group as text that parses to the same, for the caller to free(): to
 * compare, or to hand on.  NULL: no memory.  Its keys do not count as read.
 */
char *pvio_config_text(struct pvio_config *cfg);

/* Parse "10G" and the like: K, M, G, T, P, E.  -EINVAL, -ERANGE. */
int pvio_parse_size(const char *text, uint64_t *bytes);

#pragma GCC visibility pop
#endif
