/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plan.c - what a configuration file asks pviod to run
 *
 * Two passes over the file: the first makes the devices, in the file's order,
 * and finds which process each belongs to; the second gathers them by process.
 * Names are what pvioctl, messages and socket activation know a device by, so
 * they are unique in the whole file and of plain characters.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "core/listen.h"
#include "core/log.h"
#include "plan.h"

#define PLAN_MAX_NAME 63

const char *const plan_kinds[] = {
	[PLAN_GUEST] = "guest",
	[PLAN_SWITCH] = "switch",
	[PLAN_WINDOW] = "window",
};

static int plan_read_name(struct pvio_config *cfg, const char **name)
{
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz"
				   "0123456789._-";
	size_t len;
	int rc;

	rc = pvio_config_string(cfg, "name", name);
	if (rc < 0)
		return rc;
	len = strlen(*name);
	if (len == 0 || len > PLAN_MAX_NAME || strspn(*name, good) != len ||
	    strchr("._-", **name))
		return pvio_config_error(
			cfg, "name",
			"is 1 to %d letters, digits, '.', '_' and '-', and "
			"begins with a letter or a digit",
			PLAN_MAX_NAME);
	return 0;
}

static int plan_read_workers(struct pvio_config *cfg, unsigned int *workers)
{
	uint64_t n = 1;
	int rc;

	rc = pvio_config_uint_opt(cfg, "workers", 1, PLAN_MAX_WORKERS, &n);
	*workers = (unsigned int)n;
	return rc;
}

/* A switch with that name, or NULL. */
static struct plan_unit *plan_find(const struct plan *plan, enum plan_kind kind,
				   const char *name)
{
	unsigned int i;

	for (i = 0; i < plan->nr_units; i++)
		if (plan->units[i].kind == kind &&
		    strcmp(plan->units[i].name, name) == 0)
			return &plan->units[i];
	return NULL;
}

const struct plan_unit *plan_find_unit(const struct plan *plan,
				       enum plan_kind kind, const char *name)
{
	return plan_find(plan, kind, name);
}

static int plan_add_unit(struct plan *plan, struct pvio_config *cfg,
			 enum plan_kind kind, struct plan_unit **unit)
{
	struct plan_unit *u = &plan->units[plan->nr_units];
	int rc;

	u->kind = kind;
	u->cfg = cfg;
	rc = plan_read_name(cfg, &u->name);
	if (rc < 0)
		return rc;
	if (plan_find(plan, kind, u->name))
		return pvio_config_error(cfg, "name", "there is another \"%s\"",
					 u->name);
	rc = plan_read_workers(cfg, &u->workers);
	if (rc < 0)
		return rc;
	plan->nr_units++;
	*unit = u;
	return 0;
}

/* Is it @type?  Names of plug-ins use '-' or '_'. */
static bool plan_is_transport(const struct plan_device *dev, const char *type)
{
	const char *p = dev->transport;

	for (; *p && (*p == *type || (*p == '_' && *type == '-')); p++)
		type++;
	return *p == *type;
}

/* Devices of one bus have one socket, and one process. */
static bool plan_shares_socket(const struct plan_socket *a,
			       const struct plan_socket *b)
{
	return a->is_bus && b->is_bus && a->unit == b->unit;
}

static int plan_check_socket(const struct plan *plan,
			     const struct plan_socket *socket)
{
	unsigned int i;

	if (strlen(socket->path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return pvio_config_error(
			socket->cfg, "socket", "is longer than %zu bytes",
			sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	if (plan->control && strcmp(plan->control, socket->path) == 0)
		return pvio_config_error(socket->cfg, "socket",
					 "is the control socket");
	for (i = 0; i < plan->nr_sockets; i++) {
		const struct plan_socket *other = plan->sockets[i];

		if (strcmp(other->path, socket->path) == 0 &&
		    !plan_shares_socket(other, socket))
			return pvio_config_error(
				socket->cfg, "socket",
				"is the socket of %s as well%s", other->name,
				socket->is_bus ? ", which another "
						 "process serves"
					       : "");
	}
	return 0;
}

/* Read the keys of one that is there; the rest is filled in. */
static int plan_read_socket(struct plan *plan, struct plan_socket *socket)
{
	int rc;

	rc = pvio_config_string(socket->cfg, "socket", &socket->path);
	if (rc == 0)
		rc = pvio_listen_read_config(socket->cfg, &socket->mode,
					     &socket->group);
	if (rc == 0)
		rc = plan_check_socket(plan, socket);
	if (rc == 0)
		plan->sockets[plan->nr_sockets++] = socket;
	return rc;
}

/* What the daemon has to know of a transport: does it listen, and where? */
static int plan_read_transport(struct plan *plan, struct plan_device *dev)
{
	const char *mode = "server";
	int rc;

	rc = pvio_config_group(dev->cfg, "transport", &dev->socket.cfg);
	if (rc == 0)
		rc = pvio_config_string(dev->socket.cfg, "type",
					&dev->transport);
	if (rc < 0)
		return rc;
	if (plan_is_transport(dev, "vhost-user"))
		rc = pvio_config_string_opt(dev->socket.cfg, "mode", &mode);
	else if (!plan_is_transport(dev, "vfio-user") &&
		 !plan_is_transport(dev, "hypercall"))
		return 0;
	if (rc < 0 || strcmp(mode, "client") == 0)
		return rc;
	dev->socket.unit = dev->unit;
	dev->socket.is_bus = plan_is_transport(dev, "hypercall");
	dev->socket.is_ours = true;
	return plan_read_socket(plan, &dev->socket);
}

/* Which process is to serve it: its guest's, or that of its switch. */
static int plan_read_backend(struct plan *plan, struct plan_device *dev,
			     struct plan_unit *guest)
{
	struct pvio_config *backend;
	const char *name;
	int rc;

	dev->unit = guest;
	dev->backend = "";
	rc = pvio_config_group_opt(dev->cfg, "backend", &backend);
	if (rc < 0 || !backend)
		return rc;
	rc = pvio_config_string(backend, "type", &dev->backend);
	if (rc < 0 || strcmp(dev->backend, "switch") != 0)
		return rc;
	rc = pvio_config_string(backend, "switch", &name);
	if (rc < 0)
		return rc;
	dev->unit = plan_find(plan, PLAN_SWITCH, name);
	if (!dev->unit)
		return pvio_config_error(backend, "switch",
					 "there is no switch \"%s\"", name);
	return 0;
}

static int plan_add_device(struct plan *plan, struct pvio_config *cfg,
			   struct plan_unit *guest, struct plan_device **device)
{
	struct plan_device *dev = &plan->devices[plan->nr_devices];
	unsigned int i;
	int rc;

	if (plan->nr_devices == PLAN_MAX_DEVICES)
		return pvio_config_error(cfg, "name",
					 "there are more than %d devices",
					 PLAN_MAX_DEVICES);
	dev->cfg = cfg;
	dev->guest = guest->name;
	rc = plan_read_name(cfg, &dev->name);
	if (rc < 0)
		return rc;
	for (i = 0; i < plan->nr_devices; i++)
		if (strcmp(plan->devices[i].name, dev->name) == 0)
			return pvio_config_error(
				cfg, "name", "%s has another \"%s\"",
				plan->devices[i].guest, dev->name);
	dev->socket = (struct plan_socket){ .name = dev->name,
					    .mode = -1,
					    .group = -1 };
	plan->nr_devices++;
	*device = dev;
	return pvio_config_string(cfg, "model", &dev->model);
}

static int plan_read_guest(struct plan *plan, struct pvio_config *cfg)
{
	struct plan_device *dev = NULL;
	struct plan_unit *guest;
	int rc, i, nr;

	rc = plan_add_unit(plan, cfg, PLAN_GUEST, &guest);
	if (rc < 0)
		return rc;
	nr = pvio_config_list(cfg, "devices");
	if (nr < 0)
		return nr;
	for (i = 0; i < nr; i++) {
		rc = plan_add_device(
			plan, pvio_config_element(cfg, "devices", (unsigned)i),
			guest, &dev);
		if (rc == 0)
			rc = plan_read_backend(plan, dev, guest);
		if (rc == 0)
			rc = plan_read_transport(plan, dev);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/*
 * A port's socket is its process's to open: nobody is to be listened to there
 * while the appliance does not serve the port, or B's VMM would connect, and
 * wait in the middle of its setting up.
 */
static int plan_read_port(struct plan *plan, struct pvio_config *cfg,
			  struct plan_unit *window)
{
	struct plan_device *dev = NULL;
	int rc;

	rc = plan_add_device(plan, cfg, window, &dev);
	if (rc < 0)
		return rc;
	dev->unit = window;
	dev->backend = "window";
	dev->transport = "vhost-pci";
	dev->socket.cfg = cfg;
	dev->socket.unit = window;
	return plan_read_socket(plan, &dev->socket);
}

static int plan_read_window(struct plan *plan, struct pvio_config *cfg)
{
	struct plan_unit *window;
	int rc, i, nr;

	rc = plan_add_unit(plan, cfg, PLAN_WINDOW, &window);
	if (rc < 0)
		return rc;
	window->socket = (struct plan_socket){ .name = window->name,
					       .cfg = cfg,
					       .unit = window,
					       .is_ours = true };
	rc = plan_read_socket(plan, &window->socket);
	if (rc < 0)
		return rc;
	nr = pvio_config_list(cfg, "ports");
	if (nr == 0)
		return pvio_config_error(cfg, "ports", "there are none");
	for (i = 0; i < nr; i++) {
		rc = plan_read_port(
			plan, pvio_config_element(cfg, "ports", (unsigned)i),
			window);
		if (rc < 0)
			return rc;
	}
	return nr < 0 ? nr : 0;
}

static int plan_read_units(struct plan *plan)
{
	struct pvio_config *root = pvio_config_root(plan->file);
	struct plan_unit *unit;
	int rc, i, switches, guests, windows;

	switches = pvio_config_list(root, "switches");
	if (switches < 0)
		return switches;
	guests = pvio_config_list(root, "guests");
	if (guests < 0)
		return guests;
	windows = pvio_config_list(root, "windows");
	if (windows < 0)
		return windows;
	if (switches + guests + windows > PLAN_MAX_UNITS)
		return pvio_config_error(
			root, "guests", "switches and windows are more than %d",
			PLAN_MAX_UNITS);
	plan->units = calloc((size_t)(switches + guests + windows) + 1,
			     sizeof(*plan->units));
	plan->devices = calloc(PLAN_MAX_DEVICES, sizeof(*plan->devices));
	plan->sockets = calloc(PLAN_MAX_SOCKETS, sizeof(*plan->sockets));
	if (!plan->units || !plan->devices || !plan->sockets)
		return -ENOMEM;

	for (i = 0; i < switches; i++) {
		rc = plan_add_unit(
			plan,
			pvio_config_element(root, "switches", (unsigned)i),
			PLAN_SWITCH, &unit);
		if (rc < 0)
			return rc;
	}
	for (i = 0; i < guests; i++) {
		rc = plan_read_guest(
			plan, pvio_config_element(root, "guests", (unsigned)i));
		if (rc < 0)
			return rc;
	}
	for (i = 0; i < windows; i++) {
		rc = plan_read_window(plan, pvio_config_element(root, "windows",
								(unsigned)i));
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* All that a unit's process depends on, as one text. */
static char *plan_unit_text(const struct plan_unit *unit)
{
	char *all = NULL, *text;
	struct plan_device *dev;
	bool is_whole = true;
	size_t size;
	unsigned int i;
	FILE *f;

	f = open_memstream(&all, &size);
	if (!f)
		return NULL;
	fprintf(f, "workers %u\n", unit->workers);
	if (unit->kind == PLAN_WINDOW) {
		text = pvio_config_text(unit->cfg);
		fprintf(f, "%s\n", text ? text : "");
		is_whole = text != NULL;
		free(text);
	}
	for (i = 0; i < unit->nr_devices; i++) {
		dev = unit->devices[i];
		dev->text = pvio_config_text(dev->cfg);
		if (!dev->text)
			break;
		fprintf(f, "%s %s\n", dev->name, dev->text);
	}
	if (fclose(f) != 0 || i < unit->nr_devices || !is_whole) {
		free(all);
		return NULL;
	}
	return all;
}

static int plan_gather(struct plan *plan)
{
	struct plan_unit *unit;
	unsigned int u, d;

	for (u = 0; u < plan->nr_units; u++) {
		unit = &plan->units[u];
		unit->devices = calloc(plan->nr_devices + 1,
				       sizeof(*unit->devices));
		unit->sockets = calloc(plan->nr_sockets + 1,
				       sizeof(*unit->sockets));
		if (!unit->devices || !unit->sockets)
			return -ENOMEM;
		for (d = 0; d < plan->nr_devices; d++)
			if (plan->devices[d].unit == unit)
				unit->devices[unit->nr_devices++] =
					&plan->devices[d];
		for (d = 0; d < plan->nr_sockets; d++)
			if (plan->sockets[d]->unit == unit &&
			    plan->sockets[d]->is_ours)
				unit->sockets[unit->nr_sockets++] =
					plan->sockets[d];
		unit->text = plan_unit_text(unit);
		if (!unit->text)
			return -ENOMEM;
	}
	return 0;
}

/* Whoever may write the file decides what a daemon of root's does. */
static int plan_check_owner(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & S_IWOTH)) {
		pvio_log(PVIO_LOG_ERROR, "%s: everybody may write it", path);
		return -EINVAL;
	}
	return 0;
}

/* The same of modules that are to be loaded. */
static int plan_check_plugin_dir(const struct plan *plan)
{
	struct stat st;

	if (plan->plugin_dir && stat(plan->plugin_dir, &st) == 0 &&
	    (st.st_mode & S_IWOTH))
		return pvio_config_error(pvio_config_root(plan->file),
					 "plugin_dir", "everybody may write %s",
					 plan->plugin_dir);
	return 0;
}

int plan_load(const char *path, struct plan **plan)
{
	struct pvio_config *root;
	struct plan *p;
	int rc;

	rc = plan_check_owner(path);
	if (rc < 0)
		return rc;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	rc = pvio_config_open(path, &p->file);
	if (rc < 0)
		goto destroy_plan;
	root = pvio_config_root(p->file);
	rc = pvio_config_string_opt(root, "control", &p->control);
	if (rc == 0)
		rc = pvio_config_string_opt(root, "plugin_dir", &p->plugin_dir);
	if (rc == 0)
		rc = plan_check_plugin_dir(p);
	if (rc == 0)
		rc = plan_read_units(p);
	if (rc == 0)
		rc = plan_gather(p);
	if (rc < 0)
		goto destroy_plan;
	*plan = p;
	return 0;

destroy_plan:
	if (rc == -ENOMEM)
		pvio_log(PVIO_LOG_ERROR, "%s: out of memory", path);
	plan_destroy(p);
	return rc;
}

void plan_destroy(struct plan *plan)
{
	unsigned int i;

	if (!plan)
		return;
	for (i = 0; i < plan->nr_units; i++) {
		free(plan->units[i].text);
		free(plan->units[i].devices);
		free(plan->units[i].sockets);
	}
	for (i = 0; plan->devices && i < plan->nr_devices; i++)
		free(plan->devices[i].text);
	free(plan->units);
	free(plan->devices);
	free(plan->sockets);
	pvio_config_close(plan->file);
	free(plan);
}
