/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-rig.h - a guest with a network card, for the tests of net
 *
 * Device and driver are in this process, on one worker that waiting steps.
 * Several guests may share the worker, as the ports of a switch do.
 *
 * Between them is the way that is tested now (tests/way.h); with a socket,
 * both ends of that are on the worker.
 */
#ifndef PVIO_TESTS_NET_RIG_H
#define PVIO_TESTS_NET_RIG_H

#include "guest/net.h"
#include "tests/way.h"

#include "core/device-internal.h"
#include "core/util.h"

#include <errno.h>
#include <pvio/pvio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RIG_TIMEOUT_MS 10000
#define RIG_RAM        (64u << 20)
/* Everything but the ring features, which a test adds. */
#define RIG_ALL_NET                                \
	(~(PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
	   PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) |     \
	   PVIO_BIT(VIRTIO_F_RING_PACKED) | PVIO_BIT(VIRTIO_F_IN_ORDER)))
#define RIG_PLAIN PVIO_BIT(VIRTIO_NET_F_MAC)

struct rig {
	char dir[32]; /* of the socket */
	struct guest_memory mem;
	struct pvio_device *dev;
	struct guest_device *gd;
	struct guest_net *net;
};

static struct pvio_worker *rig_worker;

/* A device of backend group @backend, with @keys besides, on @workers. */
static inline int rig_create_on(struct rig *rig, const char *name,
				const char *backend, const char *keys,
				struct pvio_worker *const *workers,
				unsigned int nr_workers)
{
	char config[1024], transport[256];
	int rc;

	strcpy(rig->dir, "/tmp/pvio-net-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(rig->dir));
	guest_way_transport(way_now, rig->dir, transport, sizeof(transport));
	snprintf(config, sizeof(config),
		 "model = \"net\"; backend = { %s }; %s %s", backend, keys,
		 transport);
	rc = pvio_device_create(name, config, rig_worker, workers, nr_workers,
				&rig->dev);
	if (rc < 0)
		rmdir(rig->dir);
	return rc;
}

static inline int rig_create(struct rig *rig, const char *name,
			     const char *backend, const char *keys)
{
	return rig_create_on(rig, name, backend, keys, &rig_worker, 1);
}

static inline int rig_open_driver(struct rig *rig)
{
	const struct guest_way_setup guest = {
		.dev = rig->dev,
		.dir = rig->dir,
		.mem = &rig->mem,
		.step = rig_worker,
		.queues_per_unit = 2,
	};

	return guest_way_open(way_now, &guest, &rig->gd);
}

/* The device is there: give it memory and a driver's registers. */
static inline void rig_open(struct rig *rig)
{
	ck_assert_int_eq(pvio_device_start(rig->dev), 0);
	guest_memory_init(&rig->mem);
	ck_assert_int_eq(guest_memory_add(&rig->mem, 0x100000, RIG_RAM), 0);
	ck_assert_int_eq(rig_open_driver(rig), 0);
}

static inline int rig_drive(struct rig *rig,
			    const struct guest_net_options *options)
{
	int rc = guest_net_start(rig->gd, &rig->mem, options, &rig->net);

	/* The device has the buffers that are to receive what comes next. */
	if (rc == 0 && guest_way_is_window(way_now))
		way_settle(rig_worker);
	return rc;
}

static inline void rig_up(struct rig *rig, const char *name,
			  const char *backend, const char *keys,
			  const struct guest_net_options *options)
{
	ck_assert_int_eq(rig_create(rig, name, backend, keys), 0);
	rig_open(rig);
	ck_assert_int_eq(rig_drive(rig, options), 0);
}

static inline void rig_down(struct rig *rig)
{
	guest_net_destroy(rig->net);
	guest_device_close(rig->gd);
	pvio_device_destroy(rig->dev);
	guest_memory_fini(&rig->mem);
	rmdir(rig->dir);
	memset(rig, 0, sizeof(*rig));
}

static inline void rig_step(void)
{
	way_settle(rig_worker);
}

/*
 * Nothing spins.  One of our timers, or a transport's clock, may be due in any
 * turn: one that spins does something in every turn.
 */
static inline void rig_expect_rest(void)
{
	unsigned int i, busy = 0;

	rig_step();
	for (i = 0; i < 100; i++)
		busy += pvio_worker_step(rig_worker);
	ck_assert_uint_lt(busy, 50);
}

static inline void rig_setup(void)
{
	ck_assert_int_eq(pvio_worker_create("net", &rig_worker), 0);
}

static inline void rig_teardown(void)
{
	pvio_worker_destroy(rig_worker);
	rig_worker = NULL;
}

/* A frame of @bytes whose content depends on @tag. */
static inline void rig_frame(uint8_t *frame, size_t bytes, unsigned int tag)
{
	static const uint8_t head[14] = { 2, 0, 0, 0, 0, 1,    2,
					  0, 0, 0, 0, 2, 0x88, 0xb5 };
	size_t i;

	for (i = 0; i < bytes; i++)
		frame[i] = (uint8_t)(i * 31 + tag * 7 + (i >> 8));
	memcpy(frame, head, pvio_min(bytes, sizeof(head)));
}

/* The counter of @queue for @fault. */
static inline uint64_t rig_faults(struct rig *rig, unsigned int queue,
				  enum pvio_fault fault)
{
	return pvio_device_vq(rig->dev, queue)->stats.faults[fault];
}

/* The next frame the guest gets is @frame. */
static inline void rig_expect(struct rig *rig, unsigned int pair,
			      const uint8_t *frame, size_t bytes)
{
	static uint8_t got[70000];
	struct virtio_net_hdr_mrg_rxbuf hdr;

	ck_assert_int_eq(guest_net_receive(rig->net, pair, &hdr, got,
					   sizeof(got), RIG_TIMEOUT_MS),
			 (int64_t)bytes);
	ck_assert_mem_eq(got, frame, bytes);
}

/* Nothing more comes to this guest. */
static inline void rig_expect_none(struct rig *rig, unsigned int pair)
{
	struct virtio_net_hdr_mrg_rxbuf hdr;
	uint8_t got[64];

	rig_step();
	ck_assert_int_eq(
		guest_net_receive(rig->net, pair, &hdr, got, sizeof(got), 0),
		-ETIMEDOUT);
}

static inline void rig_send(struct rig *rig, unsigned int pair,
			    const uint8_t *frame, size_t bytes)
{
	ck_assert_int_eq(guest_net_send(rig->net, pair, NULL, frame, bytes), 0);
	ck_assert_int_eq(guest_net_sent(rig->net, pair, RIG_TIMEOUT_MS), 0);
}

#endif
