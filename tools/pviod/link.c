/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * link.c - what the lines between pviod's processes, and to pvioctl, hold
 */
#include <json-c/json.h>
#include <string.h>

#include "link.h"

#define LINK_MAX_DEPTH 16

/* Statistics of a device with many queues are the largest thing sent. */
const struct lines_limits link_limits = {
	.in_bytes = 4 << 20,
	.out_bytes = 4 << 20,
	.deadline_ms = 5000,
};

struct json_object *link_parse(const char *line, size_t bytes)
{
	struct json_tokener *tok;
	struct json_object *object;

	if (strlen(line) != bytes)
		return NULL;
	tok = json_tokener_new_ex(LINK_MAX_DEPTH);
	if (!tok)
		return NULL;
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT |
					    JSON_TOKENER_VALIDATE_UTF8);
	/* With its NUL, so that a text cut short is an error, not a wait. */
	object = json_tokener_parse_ex(tok, line, (int)bytes + 1);
	if (json_tokener_get_error(tok) != json_tokener_success ||
	    !json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		object = NULL;
	}
	json_tokener_free(tok);
	return object;
}

const char *link_string(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}
