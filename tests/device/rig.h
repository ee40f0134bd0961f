/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rig.h - a probe device on loopback, and a driver for it
 *
 *	rig_setup()          one worker for everything, stepped by the test
 *	rig_setup_threads()  a control worker, stepped, and two with threads
 *	rig_run(features)    negotiate, set every queue up, DRIVER_OK
 */
#ifndef PVIO_TESTS_DEVICE_RIG_H
#define PVIO_TESTS_DEVICE_RIG_H

#include "probe.h"

#include "core/device.h"
#include "guest/device-ops.h"

#include <pvio/pvio.h>

#include <check.h>

#define RIG_GPA	      0x100000
#define RIG_BYTES     (1 << 20)
#define RIG_GPA_2     0x4000000
#define RIG_RING_SIZE 16
#define RIG_WAIT_MS   20000

struct rig {
	struct pvio_worker *control;
	struct pvio_worker *workers[2];
	unsigned int nr_workers; /* 0: control serves the queues */
	struct pvio_device *dev;
	struct pvio_loopback *lb;
	struct guest_memory mem;
	struct guest_device *gd;
	/* one buffer: readable half, writable half */
	struct guest_segment seg[2];
	uint8_t *out, *in;
};

extern struct rig rig;

#define RIG_BUFFER_BYTES 64

#define RIG_CONFIG                              \
	"model = \"probe\"; queues = 4;"        \
	"transport = { type = \"loopback\"; };"

void rig_setup(void);
void rig_setup_threads(void);
void rig_teardown(void);

/* Negotiate VERSION_1 and @bits, set up and start every queue. */
void rig_run(uint64_t bits);
/* Allocate the buffer anew: after memory was reset. */
void rig_alloc_buffer(void);

/* Make the rig's buffer available on @q and kick; nothing is waited for. */
void rig_submit(unsigned int q);
/* Do all there is to do, on the workers that are ours to step. */
void rig_step(void);
/* Is the buffer of @q used?  Steps, does not wait. */
bool rig_is_used(unsigned int q);
/* Submit on @q and wait: the device echoed. */
void rig_echo(unsigned int q);
/* Step until *flag, with a deadline. */
void rig_wait(const bool *flag);
/* Let the held chains of @q go, on its worker. */
void rig_release(unsigned int q);

/* Write the status register, and read it back. */
uint8_t rig_write_status(uint8_t status);
/* The device, after a reset, is as good as new. */
void rig_expect_service(void);
/* What /proc/self/fd lists: two counts tell of a leak. */
unsigned int rig_count_fds(void);

/* A pvio_done_fn that notes that it was called, and how often. */
struct rig_done {
	bool done;
	int rc;
	unsigned int calls;
};
void rig_note_done(void *arg, int rc);

#endif
