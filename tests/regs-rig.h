/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * regs-rig.h - a probe device behind registers: what PCI and MMIO tests share
 *
 * Workers, the device, guest memory by the list of pvio/memory.h, rings and one
 * buffer.  tests/pci-rig.h and tests/mmio-rig.h add the registers: they open
 * the device, and their tests access it register by register.
 */
#ifndef PVIO_TESTS_REGS_RIG_H
#define PVIO_TESTS_REGS_RIG_H

#include "tests/device/probe.h"

#include "core/device.h"
#include "guest/memory.h"
#include "guest/ring.h"

#include <check.h>
#include <pvio/memory.h>

#define REGS_RIG_GPA	   0x100000
#define REGS_RIG_BYTES	   (1 << 20)
#define REGS_RIG_RING_SIZE 16
#define REGS_RIG_WAIT_MS   20000

struct regs_rig {
	struct pvio_worker *control;
	struct pvio_worker *workers[2];
	unsigned int nr_workers; /* 0: control serves the queues */
	struct pvio_device *dev;
	struct guest_memory mem;
	struct pvio_memory *list;
	struct guest_ring *ring[PROBE_QUEUES];
	/* one buffer: readable half, writable half */
	struct guest_segment seg[2];
	uint8_t *out, *in;
};

extern struct regs_rig rrig;

/*
 * One worker for everything, stepped by the test; or control and two queues'
 * workers on threads.  @attach is called when the device is there, not started.
 */
void regs_rig_open(const char *config, void (*attach)(void));
void regs_rig_open_threads(const char *config, void (*attach)(void));
void regs_rig_teardown(void);

/* Allocate the buffer anew: after memory was reset. */
void regs_rig_alloc_buffer(void);
/* There is memory at guest-physical address 0, too. */
void regs_rig_add_low_memory(void);
/* A new ring for queue @q, as negotiated. */
struct guest_ring *regs_rig_new_ring(unsigned int q, uint16_t size);

/* Do all there is to do, on the workers that are ours to step. */
void regs_rig_step(void);
/* Step, or yield, until *count is at least @least. */
void regs_rig_wait_count(const unsigned int *count, unsigned int least);

/* Make the rig's buffer available on @q.  No doorbell is rung. */
void regs_rig_add(unsigned int q);
/* Is a buffer of @q used?  Steps, does not wait. */
bool regs_rig_is_used(unsigned int q);
/* Wait until the buffer is used, and take it: it was echoed. */
void regs_rig_reap(unsigned int q);
/* Let the held chains of @q go, on its worker. */
void regs_rig_release(unsigned int q);

#endif
