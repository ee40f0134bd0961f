/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * way.c - every way to reach a device that is created in this process
 */
#include "way.h"

#include "device-bus.h"
#include "device-mmio.h"
#include "device-pci.h"
#include "device-vfio-user.h"
#include "vhost-user.h"
#include "way-window.h"

#include <stdio.h>
#include <string.h>

static void socket_path(const char *dir, char *path, size_t size)
{
	snprintf(path, size, "%s/socket", dir);
}

static int open_loopback(const struct guest_way_setup *setup,
			 struct guest_device **gd)
{
	return guest_device_open_loopback(setup->dev, setup->mem, setup->step,
					  gd);
}

static int open_vhost_user(const struct guest_way_setup *setup,
			   struct guest_device **gd)
{
	const struct guest_vu_options options = {
		.step = setup->step,
		.queues_per_unit = setup->queues_per_unit,
		.fd = -1,
	};
	char path[128];

	socket_path(setup->dir, path, sizeof(path));
	return guest_device_open_vhost_user_with(path, setup->mem, &options,
						 gd);
}

static int open_vhost_user_untracked(const struct guest_way_setup *setup,
				     struct guest_device **gd)
{
	const struct guest_vu_options options = {
		.step = setup->step,
		.queues_per_unit = setup->queues_per_unit,
		.no_inflight = true,
		.fd = -1,
	};
	char path[128];

	socket_path(setup->dir, path, sizeof(path));
	return guest_device_open_vhost_user_with(path, setup->mem, &options,
						 gd);
}

static int open_pci(const struct guest_way_setup *setup,
		    struct guest_device **gd)
{
	return guest_device_open_pci(setup->dev, setup->mem, setup->step, gd);
}

static int open_pci_write(const struct guest_way_setup *setup,
			  struct guest_device **gd)
{
	const struct guest_pci_options options = {
		.step = setup->step,
		.bar_kick = true,
	};

	return guest_device_open_pci_with(setup->dev, setup->mem, &options, gd);
}

static int open_pci_intx(const struct guest_way_setup *setup,
			 struct guest_device **gd)
{
	const struct guest_pci_options options = {
		.step = setup->step,
		.intx = true,
		.bar_kick = true,
	};

	return guest_device_open_pci_with(setup->dev, setup->mem, &options, gd);
}

static int open_mmio(const struct guest_way_setup *setup,
		     struct guest_device **gd)
{
	return guest_device_open_mmio(setup->dev, setup->mem, setup->step, gd);
}

static int open_mmio_write(const struct guest_way_setup *setup,
			   struct guest_device **gd)
{
	const struct guest_mmio_options options = {
		.step = setup->step,
		.bar_kick = true,
	};

	return guest_device_open_mmio_with(setup->dev, setup->mem, &options,
					   gd);
}

static int open_vfio_user(const struct guest_way_setup *setup,
			  struct guest_device **gd)
{
	const struct guest_pci_options options = { .step = setup->step };
	char path[128];

	socket_path(setup->dir, path, sizeof(path));
	return guest_device_open_vfio_user_with(path, setup->mem, &options, gd);
}

static int open_bus(const struct guest_way_setup *setup,
		    struct guest_device **gd)
{
	return guest_device_open_bus(setup->dev, setup->mem, setup->step, gd);
}

static int open_bus_direct(const struct guest_way_setup *setup,
			   struct guest_device **gd)
{
	const struct guest_device_bus_options options = {
		.bus_options.step = setup->step,
		.number = -1,
		.direct_interrupts = true,
		.direct_doorbells = true,
	};

	return guest_device_open_bus_with(setup->dev, setup->mem, &options, gd);
}

static int open_window(const struct guest_way_setup *setup,
		       struct guest_device **gd)
{
	char path[128];

	socket_path(setup->dir, path, sizeof(path));
	return guest_way_window_open(setup, path, false, gd);
}

static int open_window_bounce(const struct guest_way_setup *setup,
			      struct guest_device **gd)
{
	char path[128];

	socket_path(setup->dir, path, sizeof(path));
	return guest_way_window_open(setup, path, true, gd);
}

static const struct guest_way_row {
	const char *name;
	const char *type, *keys; /* of the transport */
	bool has_socket, is_polled, is_window;
	bool has_bus; /* of the name of the directory: none but this device's */
	int (*open)(const struct guest_way_setup *setup,
		    struct guest_device **gd);
} way_rows[GUEST_NR_WAYS] = {
	[GUEST_WAY_LOOPBACK] = {
		.name = "loopback", .type = "loopback", .keys = "",
		.open = open_loopback,
	},
	[GUEST_WAY_VHOST_USER] = {
		.name = "vhost-user", .type = "vhost-user", .keys = "",
		.has_socket = true, .open = open_vhost_user,
	},
	[GUEST_WAY_VHOST_USER_UNTRACKED] = {
		.name = "vhost-user-untracked", .type = "vhost-user",
		.keys = "", .has_socket = true,
		.open = open_vhost_user_untracked,
	},
	[GUEST_WAY_PCI] = {
		.name = "pci", .type = "pci", .keys = "", .open = open_pci,
	},
	[GUEST_WAY_PCI_WRITE] = {
		.name = "pci-write", .type = "pci", .keys = "",
		.open = open_pci_write,
	},
	[GUEST_WAY_PCI_INTX] = {
		.name = "pci-intx", .type = "pci", .keys = "",
		.open = open_pci_intx,
	},
	[GUEST_WAY_MMIO] = {
		.name = "mmio", .type = "mmio", .keys = "", .open = open_mmio,
	},
	[GUEST_WAY_MMIO_WRITE] = {
		.name = "mmio-write", .type = "mmio", .keys = "",
		.open = open_mmio_write,
	},
	[GUEST_WAY_VFIO_USER] = {
		.name = "vfio-user", .type = "vfio-user", .keys = "",
		.has_socket = true, .open = open_vfio_user,
	},
	[GUEST_WAY_VFIO_USER_POLL] = {
		.name = "vfio-user-poll", .type = "vfio-user",
		.keys = "doorbell = \"poll\"; ", .has_socket = true,
		.is_polled = true, .open = open_vfio_user,
	},
	[GUEST_WAY_BUS] = {
		.name = "bus", .type = "hypercall", .keys = "",
		.has_bus = true, .open = open_bus,
	},
	[GUEST_WAY_BUS_DIRECT] = {
		.name = "bus-direct", .type = "hypercall",
		.keys = "interrupts = 64; ", .has_bus = true,
		.open = open_bus_direct,
	},
	[GUEST_WAY_WINDOW] = {
		.name = "window", .type = "vhost-pci", .keys = "",
		.has_socket = true, .is_window = true,
		.open = open_window,
	},
	[GUEST_WAY_WINDOW_BOUNCE] = {
		.name = "window-bounce", .type = "vhost-pci", .keys = "",
		.has_socket = true, .is_window = true,
		.open = open_window_bounce,
	},
};

const char *guest_way_name(enum guest_way way)
{
	return way_rows[way].name;
}

enum guest_way guest_way_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < GUEST_NR_WAYS; i++)
		if (strcmp(name, way_rows[i].name) == 0)
			break;
	return (enum guest_way)i;
}

bool guest_way_has_socket(enum guest_way way)
{
	return way_rows[way].has_socket;
}

bool guest_way_is_polled(enum guest_way way)
{
	return way_rows[way].is_polled;
}

bool guest_way_is_window(enum guest_way way)
{
	return way_rows[way].is_window;
}

bool guest_way_is_vhost_user(enum guest_way way)
{
	return way == GUEST_WAY_VHOST_USER ||
	       way == GUEST_WAY_VHOST_USER_UNTRACKED ||
	       guest_way_is_window(way);
}

void guest_way_transport(enum guest_way way, const char *dir, char *text,
			 size_t size)
{
	const struct guest_way_row *row = &way_rows[way];
	const char *slash = dir ? strrchr(dir, '/') : NULL;
	char path[128], socket[160] = "";

	if (row->has_socket) {
		socket_path(dir, path, sizeof(path));
		snprintf(socket, sizeof(socket), "socket = \"%s\"; ", path);
	} else if (row->has_bus && slash) {
		snprintf(socket, sizeof(socket), "bus = \"%s\"; ", slash + 1);
	}
	snprintf(text, size, "transport = { type = \"%s\"; %s%s};", row->type,
		 socket, row->keys);
}

int guest_way_open(enum guest_way way, const struct guest_way_setup *setup,
		   struct guest_device **gd)
{
	return way_rows[way].open(setup, gd);
}
