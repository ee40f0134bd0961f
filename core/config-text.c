/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config-text.c - a group of a configuration as text again
 *
 * One line a key, in the order of the file, without comments: two groups that
 * say the same in the same order have the same text.
 */
#include "config.h"

#include "config-internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void text_members(FILE *out, const config_setting_t *group);

static void text_string(FILE *out, const char *string)
{
	fputc('"', out);
	for (; *string; string++) {
		unsigned char c = (unsigned char)*string;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void text_float(FILE *out, double value)
{
	char number[64];

	if (isinf(value)) {
		fputs(value < 0 ? "-1e999" : "1e999", out);
		return;
	}
	snprintf(number, sizeof(number), "%.17g", value);
	/* "5" would come back as an integer. */
	fprintf(out, "%s%s", number, strpbrk(number, ".e") ? "" : ".0");
}

static void text_value(FILE *out, const config_setting_t *setting)
{
	const char *braces = "";
	int i, nr;

	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_INT:
		fprintf(out, "%d", config_setting_get_int(setting));
		return;
	case CONFIG_TYPE_INT64:
		fprintf(out, "%lldL", config_setting_get_int64(setting));
		return;
	case CONFIG_TYPE_FLOAT:
		text_float(out, config_setting_get_float(setting));
		return;
	case CONFIG_TYPE_BOOL:
		fputs(config_setting_get_bool(setting) ? "true" : "false", out);
		return;
	case CONFIG_TYPE_STRING:
		text_string(out, config_setting_get_string(setting));
		return;
	case CONFIG_TYPE_GROUP:
		fputs("{ ", out);
		text_members(out, setting);
		fputs("}", out);
		return;
	case CONFIG_TYPE_ARRAY:
		braces = "[]";
		break;
	case CONFIG_TYPE_LIST:
		braces = "()";
		break;
	}
	if (!*braces)
		return;
	fputc(braces[0], out);
	nr = config_setting_length(setting);
	for (i = 0; i < nr; i++) {
		if (i)
			fputs(", ", out);
		text_value(out,
			   config_setting_get_elem(setting, (unsigned int)i));
	}
	fputc(braces[1], out);
}

static void text_members(FILE *out, const config_setting_t *group)
{
	int i, nr = config_setting_length(group);

	for (i = 0; i < nr; i++) {
		const config_setting_t *member =
			config_setting_get_elem(group, (unsigned int)i);

		fprintf(out, "%s = ", config_setting_name(member));
		text_value(out, member);
		fputs(";\n", out);
	}
}

char *pvio_config_text(struct pvio_config *cfg)
{
	char *text = NULL;
	size_t size;
	FILE *out;

	out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	text_members(out, cfg->setting);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
