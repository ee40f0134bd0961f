/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * socket-rig.h - a device behind a socket, and its guest, on one thread
 *
 * What tests/vhost-user-rig.h and tests/vfio-user-rig.h have in common.
 */
#ifndef PVIO_TESTS_SOCKET_RIG_H
#define PVIO_TESTS_SOCKET_RIG_H

#include "core/device.h"
#include "core/util.h"
#include "core/virtio.h"
#include "core/worker.h"
#include "guest/device.h"

#include <pvio/pvio.h>

#include <check.h>
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RIG_RAM_BYTES (4u << 20)
#define RIG_RAM_GPA   0x100000u
#define RIG_HIGH_GPA  0x100000000u

struct rig {
	const char *type; /* of the transport */
	char dir[64];
	char path[96];
	struct pvio_worker *worker;
	struct pvio_device *dev;
	struct guest_memory mem;
};

/* @transport: all its keys. */
static inline void rig_device(struct rig *rig, const char *model,
			      const char *transport)
{
	char config[512];

	snprintf(config, sizeof(config), "%s transport = { %s };", model,
		 transport);
	ck_assert_int_eq(pvio_device_create("vu0", config, rig->worker,
					    &rig->worker, 1, &rig->dev),
			 0);
}

/* The transport's keys for the rig's socket. */
static inline const char *rig_transport(const struct rig *rig)
{
	static char text[192];

	snprintf(text, sizeof(text), "type = \"%s\"; socket = \"%s\";",
		 rig->type, rig->path);
	return text;
}

/*
 * @type: of the transport; @model: keys of the device; @extra: keys of the
 * transport but type and socket.
 */
static inline void rig_init_type(struct rig *rig, const char *type,
				 const char *model, const char *extra)
{
	char transport[256];

	memset(rig, 0, sizeof(*rig));
	rig->type = type;
	snprintf(rig->dir, sizeof(rig->dir), "/tmp/pvio-vu-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(rig->dir));
	snprintf(rig->path, sizeof(rig->path), "%s/s", rig->dir);
	ck_assert_int_eq(pvio_worker_create("test", &rig->worker), 0);
	snprintf(transport, sizeof(transport), "%s %s", rig_transport(rig),
		 extra);
	rig_device(rig, model, transport);
	guest_memory_init(&rig->mem);
	ck_assert_int_eq(
		guest_memory_add(&rig->mem, RIG_RAM_GPA, RIG_RAM_BYTES), 0);
	ck_assert_int_eq(
		guest_memory_add(&rig->mem, RIG_HIGH_GPA, RIG_RAM_BYTES), 0);
}

static inline void rig_start(struct rig *rig)
{
	ck_assert_int_eq(pvio_device_start(rig->dev), 0);
}

static inline void rig_fini(struct rig *rig)
{
	pvio_device_destroy(rig->dev);
	pvio_worker_destroy(rig->worker);
	guest_memory_fini(&rig->mem);
	rmdir(rig->dir);
}

/* Everything that is ready. */
static inline void rig_settle(struct rig *rig)
{
	while (pvio_worker_step(rig->worker))
		;
}

/* --- what must come back to where it was ---------------------------------- */

static inline unsigned int rig_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* What a peer sent is closed in the background: soon there are @nr. */
static inline void rig_expect_fds(struct rig *rig, unsigned int nr)
{
	uint64_t end = pvio_now_ns() + 20000000000ULL;
	unsigned int now;

	while ((now = rig_count_fds()) != nr && pvio_now_ns() < end) {
		rig_settle(rig);
		poll(NULL, 0, 1);
	}
	ck_assert_uint_eq(now, nr);
}

/* Mappings of files: those that a peer can cause. */
static inline unsigned int rig_count_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned int n = 0;
	char line[512];

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "memfd:") || strstr(line, "pvio-"))
			n++;
	fclose(f);
	return n;
}

/* --- a guest -------------------------------------------------------------- */

static inline void rig_bring_up(struct guest_device *gd, uint64_t features,
				unsigned int queues, uint16_t size)
{
	uint64_t bits[2] = { features, 0 };
	unsigned int q;

	ck_assert_int_eq(guest_device_negotiate(gd, bits), 0);
	for (q = 0; q < queues; q++)
		ck_assert_int_eq(guest_device_setup_queue(gd, q, size), 0);
	ck_assert_int_eq(guest_device_start(gd), 0);
}

/* One request to the entropy device: is it served? */
static inline void rig_expect_entropy(struct rig *rig, struct guest_device *gd)
{
	struct guest_segment seg = { .len = 64 };
	uint8_t zero[64] = { 0 }, *buf;

	buf = guest_alloc(&rig->mem, 64, 64, &seg.gpa);
	ck_assert_ptr_nonnull(buf);
	ck_assert_int_eq(guest_device_transfer(gd, 0, &seg, 0, 1), 64);
	ck_assert_int_ne(memcmp(buf, zero, sizeof(zero)), 0);
}

#endif
