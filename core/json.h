/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * json.h - a JSON object that is made member by member
 *
 * Each returns false when memory has run out: the caller adds no more, and says
 * so at the end.
 */
#ifndef PVIO_CORE_JSON_H
#define PVIO_CORE_JSON_H

#include <stdbool.h>
#include <stdint.h>

struct json_object;

/* Takes @value, which is NULL when there was no memory for it. */
bool pvio_json_add(struct json_object *object, const char *key,
		   struct json_object *value);
bool pvio_json_add_u64(struct json_object *object, const char *key,
		       uint64_t value);
bool pvio_json_add_bool(struct json_object *object, const char *key,
			bool value);
bool pvio_json_add_string(struct json_object *object, const char *key,
			  const char *value);
/*
 * An object of what @text has: members ("\"peer\": 123") with a comma between,
 * or nothing, and then nothing is added.
 */
bool pvio_json_add_members(struct json_object *object, const char *key,
			   const char *text);

/* Takes @object, which may be NULL: its text, to be freed, or NULL. */
char *pvio_json_text(struct json_object *object);

#endif
