/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config-value.c - reading keys with their types, ranges and units
 *
 * A key that is absent leaves the value as it was; one that is there and wrong
 * is an error that says what would be right.
 */
#include "config.h"

#include "config-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int config_get_string(struct pvio_config *cfg,
			     const config_setting_t *setting,
			     const char **value)
{
	if (config_setting_type(setting) != CONFIG_TYPE_STRING)
		return pvio_config_error_at(cfg, setting,
					    "must be a string in quotes");
	*value = config_setting_get_string(setting);
	return 0;
}

int pvio_config_string(struct pvio_config *cfg, const char *key,
		       const char **value)
{
	config_setting_t *setting = pvio_config_take(cfg, key);

	if (!setting)
		return pvio_config_error(cfg, key, "missing");
	return config_get_string(cfg, setting, value);
}

int pvio_config_string_opt(struct pvio_config *cfg, const char *key,
			   const char **value)
{
	config_setting_t *setting = pvio_config_take(cfg, key);

	return setting ? config_get_string(cfg, setting, value) : 0;
}

/* The text of an option, which may stand for anything; NULL: not an option. */
static const char *config_option(const struct pvio_config *cfg,
				 const config_setting_t *setting)
{
	if (!pvio_config_is_options(cfg))
		return NULL;
	return config_setting_get_string(setting);
}

int pvio_config_bool_opt(struct pvio_config *cfg, const char *key, bool *value)
{
	config_setting_t *setting = pvio_config_take(cfg, key);
	const char *text;

	if (!setting)
		return 0;
	text = config_option(cfg, setting);
	if (text && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)) {
		*value = *text == 't';
		return 0;
	}
	if (config_setting_type(setting) != CONFIG_TYPE_BOOL)
		return pvio_config_error_at(cfg, setting,
					    "must be true or false");
	*value = config_setting_get_bool(setting);
	return 0;
}

/* The integer in @setting, of either width, if it is in [min, max]. */
static int config_get_uint(struct pvio_config *cfg,
			   const config_setting_t *setting, uint64_t min,
			   uint64_t max, uint64_t *value)
{
	const char *text = config_option(cfg, setting);
	long long n = 0;
	uint64_t number;

	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_STRING:
		/* Digits, without a unit: a size that is a number. */
		if (!text || strspn(text, "0123456789") != strlen(text) ||
		    pvio_parse_size(text, &number) < 0 || number > INT64_MAX)
			return pvio_config_error_at(cfg, setting,
						    "must be a whole number");
		n = (long long)number;
		break;
	case CONFIG_TYPE_INT:
		n = config_setting_get_int(setting);
		break;
	case CONFIG_TYPE_INT64:
		n = config_setting_get_int64(setting);
		break;
	default:
		return pvio_config_error_at(cfg, setting,
					    "must be a whole number");
	}
	if (n < 0 || (uint64_t)n < min || (uint64_t)n > max)
		return pvio_config_error_at(
			cfg, setting, "%lld is not between %llu and %llu", n,
			(unsigned long long)min, (unsigned long long)max);
	*value = (uint64_t)n;
	return 0;
}

int pvio_config_uint_opt(struct pvio_config *cfg, const char *key, uint64_t min,
			 uint64_t max, uint64_t *value)
{
	config_setting_t *setting = pvio_config_take(cfg, key);

	if (!setting)
		return 0;
	return config_get_uint(cfg, setting, min, max, value);
}

int pvio_parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGTPE";
	uint64_t n = 0;
	unsigned int shift = 0;
	const char *unit;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return -ERANGE;
	}
	if (*text) {
		unit = strchr(units, *text);
		if (!unit || text[1])
			return -EINVAL;
		shift = 10 * (unsigned int)(unit - units + 1);
	}
	if (n > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes = n << shift;
	return 0;
}

int pvio_config_size_opt(struct pvio_config *cfg, const char *key, uint64_t min,
			 uint64_t max, uint64_t *value)
{
	config_setting_t *setting = pvio_config_take(cfg, key);
	const char *text;
	uint64_t bytes;
	int rc;

	if (!setting)
		return 0;
	if (config_setting_type(setting) != CONFIG_TYPE_STRING)
		return config_get_uint(cfg, setting, min, max, value);
	text = config_setting_get_string(setting);
	rc = pvio_parse_size(text, &bytes);
	if (rc == -EINVAL)
		return pvio_config_error_at(
			cfg, setting,
			"\"%s\" is not a size such as \"512\", "
			"\"64K\" or \"10G\"",
			text);
	if (rc < 0 || bytes < min || bytes > max)
		return pvio_config_error_at(
			cfg, setting,
			"\"%s\" is not between %llu and %llu "
			"bytes",
			text, (unsigned long long)min, (unsigned long long)max);
	*value = bytes;
	return 0;
}

int pvio_config_choice_opt(struct pvio_config *cfg, const char *key,
			   const char *const *words, unsigned int *value)
{
	config_setting_t *setting = pvio_config_take(cfg, key);
	const char *text = "";
	char list[256] = "";
	size_t used = 0;
	unsigned int i;
	int rc;

	if (!setting)
		return 0;
	rc = config_get_string(cfg, setting, &text);
	if (rc < 0)
		return rc;
	for (i = 0; words[i]; i++) {
		if (strcmp(words[i], text) == 0) {
			*value = i;
			return 0;
		}
		if (used < sizeof(list))
			used += (size_t)snprintf(
				list + used, sizeof(list) - used, "%s\"%s\"",
				i ? ", " : "", words[i]);
	}
	return pvio_config_error_at(cfg, setting, "\"%s\" is none of %s", text,
				    list);
}

static int config_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "52:54:00:12:34:56", nothing before or after. */
static bool config_parse_mac(const char *text, uint8_t mac[6])
{
	int i, high, low;

	for (i = 0; i < 6; i++, text += 3) {
		high = config_hex_digit(text[0]);
		low = high < 0 ? -1 : config_hex_digit(text[1]);
		if (low < 0 || text[2] != (i < 5 ? ':' : '\0'))
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

int pvio_config_mac_opt(struct pvio_config *cfg, const char *key,
			uint8_t mac[6])
{
	static const uint8_t zero[6];
	config_setting_t *setting = pvio_config_take(cfg, key);
	const char *text = "";
	uint8_t parsed[6];
	int rc;

	if (!setting)
		return 0;
	rc = config_get_string(cfg, setting, &text);
	if (rc < 0)
		return rc;
	if (!config_parse_mac(text, parsed))
		return pvio_config_error_at(
			cfg, setting,
			"\"%s\" is not a MAC address such as "
			"\"52:54:00:12:34:56\"",
			text);
	if ((parsed[0] & 1) || memcmp(parsed, zero, 6) == 0)
		return pvio_config_error_at(
			cfg, setting, "%s is not the address of one station",
			text);
	memcpy(mac, parsed, 6);
	return 0;
}
