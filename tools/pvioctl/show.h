/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * show.h - answers of the daemon, for people
 */
#ifndef PVIO_TOOLS_SHOW_H
#define PVIO_TOOLS_SHOW_H

struct json_object;

/* All: @result is what the command's answer had; what it lacks is shown as
 * empty or 0.  @device is NULL for the list. */
void show_list(const char *device, struct json_object *result);
void show_stats(const char *device, struct json_object *result);
void show_latency(const char *device, struct json_object *result);
void show_answer(const char *device, struct json_object *result);

#endif
