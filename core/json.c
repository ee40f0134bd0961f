/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * json.c - a JSON object that is made member by member
 */
#include "json.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool pvio_json_add(struct json_object *object, const char *key,
		   struct json_object *value)
{
	if (value && json_object_object_add(object, key, value) == 0)
		return true;
	json_object_put(value);
	return false;
}

bool pvio_json_add_u64(struct json_object *object, const char *key,
		       uint64_t value)
{
	return pvio_json_add(object, key, json_object_new_uint64(value));
}

bool pvio_json_add_bool(struct json_object *object, const char *key, bool value)
{
	return pvio_json_add(object, key, json_object_new_boolean(value));
}

bool pvio_json_add_string(struct json_object *object, const char *key,
			  const char *value)
{
	return pvio_json_add(object, key, json_object_new_string(value));
}

bool pvio_json_add_members(struct json_object *object, const char *key,
			   const char *text)
{
	size_t size = strlen(text) + sizeof("{}");
	struct json_object *members;
	char *braced;

	if (text[0] == '\0')
		return true;
	braced = malloc(size);
	if (!braced)
		return false;
	snprintf(braced, size, "{%s}", text);
	members = json_tokener_parse(braced);
	free(braced);
	/* Text that was cut short is none. */
	return !members || pvio_json_add(object, key, members);
}

char *pvio_json_text(struct json_object *object)
{
	const char *s = object ? json_object_to_json_string_ext(
					 object, JSON_C_TO_STRING_PLAIN)
			       : NULL;
	char *text = s ? strdup(s) : NULL;

	json_object_put(object);
	return text;
}
