/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arch.c - arm64: pvio's bus by SMCCC, and interrupts that are not there
 *
 * There is no interrupt controller: who waits looks again and again, and calls
 * the handlers as if their interrupt had come, which they have to bear.
 */
#include "guest/baremetal/connector.h"
#include "guest/baremetal/virtio.h"

#include <pvio/bus-abi.h>

/* As a hypercall that is refused answers (docs/bus-abi.md, section 1). */
#define REFUSED_UNKNOWN  (-38)
#define REFUSED_ARGUMENT (-22)

static struct bare_handler *handlers;

void bare_interrupt_init(void)
{
}

void bare_edge_attach(struct bare_handler *handler, unsigned int input)
{
	(void)input;
	handler->next = handlers;
	handlers = handler;
}

void bare_wait(bool (*is_done)(void *arg), void *arg)
{
	struct bare_handler *h;

	while (!is_done(arg)) {
		for (h = handlers; h; h = h->next)
			h->handle(h->arg);
	}
}

/* SMCCC 1.1 keeps what is neither argument nor result; 1.0 only x18 and up. */
static uint64_t smccc_operation(uint32_t op, uint64_t arg)
{
	register uint64_t x0 __asm__("x0") = PVIO_BUS_SMCCC_FID + op;
	register uint64_t x1 __asm__("x1") = arg;

	__asm__ volatile("hvc #0"
			 : "+r"(x0), "+r"(x1)
			 :
			 : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9",
			   "x10", "x11", "x12", "x13", "x14", "x15", "x16",
			   "x17", "memory");
	return x0;
}

static uint64_t smccc_probe(void)
{
	return smccc_operation(PVIO_BUS_OP_PROBE, 0);
}

static void smccc_call(uint64_t address)
{
	smccc_operation(PVIO_BUS_OP_CALL, address);
}

static void smccc_doorbell(uint32_t what)
{
	smccc_operation(PVIO_BUS_OP_DOORBELL, what);
}

static const struct bare_connector smccc_connector = {
	.name = "smccc",
	.probe = smccc_probe,
	.call = smccc_call,
	.doorbell = smccc_doorbell,
};

const struct bare_connector *bare_connector_find(void)
{
	if ((int64_t)smccc_operation(7, 0) != REFUSED_UNKNOWN)
		bare_fail("operation 7 is not refused");
	if ((int64_t)smccc_operation(PVIO_BUS_OP_DOORBELL, 1ull << 32) !=
	    REFUSED_ARGUMENT)
		bare_fail("a doorbell of more than 32 bits is not refused");
	return &smccc_connector;
}

/* What else a device may be on is not there. */
struct bare_device *bare_pci_find(const struct boot_info *boot, unsigned int id)
{
	(void)boot;
	(void)id;
	return NULL;
}

struct bare_device *bare_mmio_find(const struct boot_info *boot,
				   unsigned int id)
{
	return bare_pci_find(boot, id);
}
