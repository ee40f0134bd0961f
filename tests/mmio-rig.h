/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmio-rig.h - a probe device as a register page, and a VMM of few words
 *
 *	mmio_rig_setup()          one worker for everything, stepped by the test
 *	mmio_rig_setup_threads()  control and queues' workers on threads
 *	mmio_rig_run(bits)        negotiate, every queue, DRIVER_OK
 *
 * Registers are accessed one by one, by the test: what a driver may not do can
 * be done here.
 */
#ifndef PVIO_TESTS_MMIO_RIG_H
#define PVIO_TESTS_MMIO_RIG_H

#include "tests/regs-rig.h"

#include <linux/virtio_mmio.h>
#include <pvio/mmio.h>

#define REG(name)       VIRTIO_MMIO_##name
#define REG_QUEUE_RESET 0x0c0 /* virtio 1.2 */

struct mmio_rig {
	struct pvio_mmio *mmio;
	/* what the host was told; atomic */
	bool level;
	unsigned int ups;
};

extern struct mmio_rig mrig;

#define MMIO_RIG_CONFIG                  \
	"model = \"probe\"; queues = 4;" \
	"transport = { type = \"mmio\"; };"

void mmio_rig_setup(void);
void mmio_rig_setup_threads(void);

uint32_t reg_read(uint64_t offset);
void reg_write(uint64_t offset, uint32_t value);

/* Up to FEATURES_OK with VERSION_1 and @bits; the status that came of it. */
uint32_t mmio_rig_negotiate(uint64_t bits);
/* A new ring for queue @q, in the registers but not ready. */
void mmio_rig_layout(unsigned int q, uint16_t size);
/* The same, and ready: true if that reads back. */
bool mmio_rig_start_queue(unsigned int q, uint16_t size);
void mmio_rig_driver_ok(void);
/* All of it. */
void mmio_rig_run(uint64_t bits);

/* Make the rig's buffer available on @q, and ring the doorbell. */
void mmio_rig_submit(unsigned int q);
/* Submit, wait until it is used, and take it: it was echoed. */
void mmio_rig_echo(unsigned int q);
/* Submit what stays in flight: until release, which ends holding, too. */
void mmio_rig_hold(unsigned int q);
/* Let the held chains of @q go, on its worker. */
void mmio_rig_release(unsigned int q);
/* The device, after a reset, is as good as new. */
void mmio_rig_expect_service(void);

#endif
