/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * way.c - every way to reach a device, for tests that run on all of them
 */
#include "tests/way.h"

#include "guest/vhost-user.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int open_loopback(const struct way_guest *guest,
			 struct guest_device **gd)
{
	return guest_device_open_loopback(guest->dev, guest->mem, guest->step,
					  gd);
}

static void socket_path(const char *dir, char *path, size_t size)
{
	snprintf(path, size, "%s/socket", dir);
}

static int open_vhost_user(const struct way_guest *guest,
			   struct guest_device **gd)
{
	const struct guest_vu_options options = {
		.step = guest->step,
		.queues_per_unit = guest->queues_per_unit,
		.fd = -1,
	};
	char path[128];

	socket_path(guest->dir, path, sizeof(path));
	return guest_device_open_vhost_user_with(path, guest->mem, &options,
						 gd);
}

static const struct way_ops {
	const char *name;
	const char *type, *keys; /* of the transport */
	bool has_socket;
	int (*open)(const struct way_guest *guest, struct guest_device **gd);
} ways[WAY_NR] = {
	[WAY_LOOPBACK] = { "loopback", "loopback", "", false, open_loopback },
	[WAY_VHOST_USER] = { "vhost-user", "vhost-user", "", true,
			     open_vhost_user },
};

const char *way_name(enum way way)
{
	return ways[way].name;
}

bool way_has_socket(enum way way)
{
	return ways[way].has_socket;
}

void way_transport(enum way way, const char *dir, char *text, size_t size)
{
	const struct way_ops *ops = &ways[way];
	char path[128], socket[160] = "";

	if (ops->has_socket) {
		socket_path(dir, path, sizeof(path));
		snprintf(socket, sizeof(socket), "socket = \"%s\"; ", path);
	}
	snprintf(text, size, "transport = { type = \"%s\"; %s%s};", ops->type,
		 socket, ops->keys);
}

int way_open(enum way way, const struct way_guest *guest,
	     struct guest_device **gd)
{
	return ways[way].open(guest, gd);
}

enum way way_now;

int way_check_run(const char *name, void (*setup)(void),
		  void (*teardown)(void), const TTest *const *tests, size_t nr)
{
	const char *only = getenv("PVIO_TEST_WAY");
	int rc = EXIT_SUCCESS;
	char title[128];

	for (way_now = 0; way_now < WAY_NR; way_now++) {
		if (only && strcmp(only, way_name(way_now)) != 0)
			continue;
		snprintf(title, sizeof(title), "%s over %s", name,
			 way_name(way_now));
		if (check_run(title, setup, teardown, tests, nr) !=
		    EXIT_SUCCESS)
			rc = EXIT_FAILURE;
	}
	return rc;
}
