/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plan.h - what a configuration file asks pviod to run
 *
 * The file lists guests with their devices, switches, and windows with their
 * ports.  The plan lists *units*: what one process serves.  That is a guest's
 * devices, or a switch with the network devices, of whatever guests, that are
 * plugged into it, or a window.  A port is a device to all but its process.
 */
#ifndef PVIO_TOOLS_PLAN_H
#define PVIO_TOOLS_PLAN_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/config.h"

#define PLAN_MAX_DEVICES 1024
#define PLAN_MAX_UNITS   1024
#define PLAN_MAX_SOCKETS (PLAN_MAX_DEVICES + PLAN_MAX_UNITS)
#define PLAN_MAX_WORKERS 64

/* Where somebody is listened to.  All is borrowed. */
struct plan_socket {
	const char *path;        /* NULL: nowhere */
	const char *name;        /* whose it is */
	int64_t mode, group;     /* -1: as it comes */
	struct pvio_config *cfg; /* the group that has it */
	const struct plan_unit *unit;
	bool is_bus;  /* other devices of the unit may have it, too */
	bool is_ours; /* the supervisor holds it; else the unit opens it */
};

/* Strings and groups belong to the plan's file. */
struct plan_device {
	const char *name;
	const char *guest; /* or the window it is a port of */
	const char *model;
	const char *backend;   /* its type; "" for a model without */
	const char *transport; /* its type */
	struct plan_socket socket;
	struct pvio_config *cfg;
	char *text; /* owned: all that it depends on */
	const struct plan_unit *unit;
};

enum plan_kind {
	PLAN_GUEST,
	PLAN_SWITCH,
	PLAN_WINDOW,
};
extern const char *const plan_kinds[]; /* "guest" ... */

struct plan_unit {
	enum plan_kind kind;
	const char *name;
	unsigned int workers;
	char *text; /* owned: all that it depends on, to see what changed */
	unsigned int nr_devices;
	struct plan_device **devices; /* owned array */
	unsigned int nr_sockets;
	const struct plan_socket **sockets; /* owned array: we hold them */
	struct plan_socket socket;          /* of a window */
	struct pvio_config *cfg;
};

struct plan {
	struct pvio_config_file *file; /* owned */
	const char *control;           /* path, or NULL */
	const char *plugin_dir;        /* or NULL */
	unsigned int nr_devices, nr_units, nr_sockets;
	struct plan_device *devices; /* owned */
	struct plan_unit *units;     /* owned */
	const struct plan_socket **sockets; /* owned array: all there are */
};

/*
 * Read the file and find out what it asks for, as far as the daemon itself is
 * concerned: the keys of a device are left to whoever serves it.  -EINVAL for
 * what is wrong, logged with its place, or -errno.
 */
int plan_load(const char *path, struct plan **plan);
void plan_destroy(struct plan *plan); /* NULL is allowed */

/* The unit of that kind and name, or NULL. */
const struct plan_unit *plan_find_unit(const struct plan *plan,
				       enum plan_kind kind, const char *name);

#endif
