/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-pci-rig.h - a device in a window, its host, and a front-end, on one
 * thread
 *
 * rig.path is the ivshmem server's socket; a front-end connects to that of a
 * port of `host`.
 */
#ifndef PVIO_TESTS_VHOST_PCI_RIG_H
#define PVIO_TESTS_VHOST_PCI_RIG_H

#include "guest/vhost-user.h"
#include "tests/vhost-pci-host.h"
/* It has a rig of its own by that name: last. */
#include "tests/socket-disk.h"

static struct host host;

static inline void rig_device_at(struct pvio_device **dev, const char *model,
				 unsigned int port, const char *extra)
{
	char config[512], name[16];

	snprintf(name, sizeof(name), "vp%u", port);
	snprintf(config, sizeof(config),
		 "%s transport = { type = \"vhost-pci\"; socket = \"%s\"; "
		 "port = %u; %s };",
		 model, host.path, port, extra);
	ck_assert_int_eq(pvio_device_create(name, config, rig.worker,
					    &rig.worker, 1, dev),
			 0);
}

static inline void rig_init_window(const char *model)
{
	memset(&rig, 0, sizeof(rig));
	ck_assert_int_eq(pvio_worker_create("test", &rig.worker), 0);
	host_init(&host, rig.worker);
	guest_memory_init(&rig.mem);
	host_add_memory(&host, &rig.mem);
	snprintf(rig.path, sizeof(rig.path), "%s", host.port[0].path);
	if (model)
		rig_device_at(&rig.dev, model, 0, "");
}

static inline void rig_fini_window(void)
{
	pvio_device_destroy(rig.dev);
	host_fini(&host);
	guest_memory_fini(&rig.mem);
	pvio_worker_destroy(rig.worker);
}

static inline struct guest_device *rig_open_port(unsigned int port)
{
	struct guest_vu_options options = { .step = rig.worker, .fd = -1 };
	struct guest_device *gd;

	ck_assert_int_eq(guest_device_open_vhost_user_with(
				 host.port[port].path, &rig.mem, &options, &gd),
			 0);
	return gd;
}

/* Turn the worker until it is so; it always is in time. */
#define rig_await(condition)                                      \
	do {                                                      \
		uint64_t end_ = pvio_now_ns() + 20000000000ULL;   \
		while (!(condition)) {                            \
			ck_assert_msg(pvio_now_ns() < end_,       \
				      "never: " #condition);      \
			pvio_worker_wait(rig.worker, 10);         \
		}                                                 \
	} while (0)

static inline uint32_t rig_read(const uint32_t *field)
{
	return le32toh(__atomic_load_n(field, __ATOMIC_ACQUIRE));
}

#endif
