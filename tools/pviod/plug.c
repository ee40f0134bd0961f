/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plug.c - devices that come and go while their process goes on
 *
 * A device on a bus has no socket of its own.  So it can be told to a process
 * that runs, and guests take it for hot-plug; all other changes begin a new
 * process, to which guests connect again.  The bus itself, and one device of it,
 * have to be there before and after.
 *
 *	{"command": "unplug", "device": "disk1"}
 *	{"command": "plug", "device": "disk2", "config": "model = ..."}
 */
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "core/log.h"
#include "link.h"
#include "plug.h"

/* Guests may take their time to let devices go, one after the other. */
#define PLUG_ANSWER_S 120

static const struct plan_device *plug_find(const struct plan_unit *unit,
					   const char *name)
{
	unsigned int i;

	for (i = 0; i < unit->nr_devices; i++)
		if (strcmp(unit->devices[i]->name, name) == 0)
			return unit->devices[i];
	return NULL;
}

/* Is @device of @unit there in @other, too, and the same? */
static bool plug_stays(const struct plan_device *device,
		       const struct plan_unit *other)
{
	const struct plan_device *twin = plug_find(other, device->name);

	return twin && strcmp(twin->text, device->text) == 0;
}

/* Is it on a bus of which a device stays? */
static bool plug_is_possible(const struct plan_device *device,
			     const struct plan_unit *unit,
			     const struct plan_unit *other)
{
	const struct plan_device *d;
	unsigned int i;

	if (!device->socket.path || strcmp(device->transport, "hypercall") != 0)
		return false;
	for (i = 0; i < unit->nr_devices; i++) {
		d = unit->devices[i];
		if (d->socket.path &&
		    strcmp(d->socket.path, device->socket.path) == 0 &&
		    strcmp(d->transport, "hypercall") == 0 &&
		    plug_stays(d, other))
			return true;
	}
	return false;
}

static bool plug_all_possible(const struct plan_unit *unit,
			      const struct plan_unit *other)
{
	unsigned int i;

	for (i = 0; i < unit->nr_devices; i++)
		if (!plug_stays(unit->devices[i], other) &&
		    !plug_is_possible(unit->devices[i], unit, other))
			return false;
	return true;
}

static void plug_answered(void *arg, struct json_object *result,
			  const char *error)
{
	struct unit *unit = arg;

	(void)result;
	if (!error)
		return;
	pvio_log(PVIO_LOG_ERROR, "%s: %s: it is started anew", unit->name,
		 error);
	unit_stop(unit);
}

static void plug_request(struct unit *unit, const struct plan_device *device,
			 const char *command, const char *config)
{
	struct json_object *request = json_object_new_object();

	json_object_object_add(request, "command",
			       json_object_new_string(command));
	json_object_object_add(request, "device",
			       json_object_new_string(device->name));
	if (config)
		json_object_object_add(request, "config",
				       json_object_new_string(config));
	unit_request(unit, request, PLUG_ANSWER_S, plug_answered, unit);
}

bool plug_apply(struct unit *unit, const struct plan_unit *now)
{
	const struct plan_unit *was = unit->plan;
	unsigned int i;

	if (unit->state != UNIT_RUNNING || unit->kind == PLAN_WINDOW ||
	    was->workers != now->workers || !plug_all_possible(was, now) ||
	    !plug_all_possible(now, was))
		return false;
	for (i = 0; i < was->nr_devices; i++)
		if (!plug_stays(was->devices[i], now))
			plug_request(unit, was->devices[i], "unplug", NULL);
	for (i = 0; i < now->nr_devices; i++)
		if (!plug_stays(now->devices[i], was))
			plug_request(unit, now->devices[i], "plug",
				     now->devices[i]->text);
	return true;
}
