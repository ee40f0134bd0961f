/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * link.h - what the lines between pviod's processes, and to pvioctl, hold
 */
#ifndef PVIO_TOOLS_LINK_H
#define PVIO_TOOLS_LINK_H

#include <stddef.h>

#include "tools/common/lines.h"

struct json_object;

/* Of the link between the supervisor and a process that serves. */
extern const struct lines_limits link_limits;

/* @line as one JSON object, to be put; NULL for anything else. */
struct json_object *link_parse(const char *line, size_t bytes);
/* The string under @key of @object, borrowed; NULL when there is none. */
const char *link_string(struct json_object *object, const char *key);

#endif
