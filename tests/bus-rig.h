/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus-rig.h - probe devices on a hypercall bus, and the driver of the bus
 *
 *	bus_rig_setup()          one worker for everything, stepped by the test
 *	bus_rig_setup_threads()  control and queues' workers on threads
 *	bus_rig_drive(i)         all that a driver does for device i
 *
 * Device 0 is there when the driver finds the bus, device 1 comes then; the
 * event of that is taken.  There are two notify queues with areas, and one for
 * each kick queue.  Interrupts without an eventfd come as the VMM's callback.
 */
#ifndef PVIO_TESTS_BUS_RIG_H
#define PVIO_TESTS_BUS_RIG_H

#include "tests/device/probe.h"

#include "core/device.h"
#include "guest/device-bus.h"

#include <check.h>
#include <pvio/bus.h>

#define BUS_RIG_DEVICES    2
#define BUS_RIG_NOTIFY     2
#define BUS_RIG_GPA        0x100000
#define BUS_RIG_BYTES      (1 << 20)
#define BUS_RIG_HOLE_GPA   0x40000000ULL
#define BUS_RIG_RING_SIZE  16
#define BUS_RIG_WAIT_MS    20000
#define BUS_RIG_INTERRUPTS 32
#define BUS_RIG_CONFIG                         \
	"model = \"probe\"; queues = 4;"       \
	"transport = { type = \"hypercall\"; " \
	"bus = \"rig\"; interrupts = 32; };"

struct bus_rig {
	struct pvio_worker *control;
	struct pvio_worker *workers[2];
	unsigned int nr_workers; /* 0: control serves the queues */
	struct pvio_device *dev[BUS_RIG_DEVICES];
	uint16_t number[BUS_RIG_DEVICES];
	struct pvio_bus *bus;
	struct guest_bus *gb;
	struct guest_memory mem;
	struct guest_device *gd[BUS_RIG_DEVICES]; /* driven, or NULL */
	struct guest_device_bus_options options;  /* of bus_rig_drive() */
	enum guest_bus_kind kind;                 /* of the connector */
};

extern struct bus_rig brig;

void bus_rig_setup(void);
void bus_rig_setup_threads(void);
void bus_rig_teardown(void);

/*
 * Create a device, and start it; its number.  The first, before the driver is
 * there, is only created.
 */
struct pvio_device *bus_rig_create(const char *name, uint16_t *number);
/* Do all there is to do on the worker; interrupts stay where they are. */
void bus_rig_work(void);
/* The same, and handle interrupts, until there is nothing left. */
void bus_rig_settle(void);
/* Step or yield until *count is at least @least. */
void bus_rig_wait(const unsigned int *count, unsigned int least);

/* Negotiate, start every queue; the device's driver. */
struct guest_device *bus_rig_drive(unsigned int i);
void bus_rig_start(struct guest_device *gd);
/* A buffer goes to queue @q of @gd and comes back. */
void bus_rig_echo(struct guest_device *gd, unsigned int q);
/* Make one available; kicked unless @is_quiet.  Reap it: the length, or -1. */
void bus_rig_submit(struct guest_device *gd, unsigned int q, bool is_quiet);
int64_t bus_rig_reap(struct guest_device *gd, unsigned int q);
/*
 * Let the held chains of queue @q of device @i go, on its worker.  The probe
 * keeps those of both devices together: hold different queues of them.
 */
void bus_rig_release(unsigned int i, unsigned int q);
/* The driver begins anew: RESET, and its areas; it drives no device. */
void bus_rig_begin_anew(void);
/* All devices serve, after that. */
void bus_rig_expect_service(void);

/* main() of a program: @tests with one worker, @threads with several. */
int bus_rig_run(const char *name, const TTest *const *tests, size_t nr,
		const TTest *const *threads, size_t nr_threads);

#endif
