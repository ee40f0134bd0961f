// SPDX-License-Identifier: GPL-2.0-only
/*
 * connector.c - PROBE, CALL and DOORBELL, by each way (section 1)
 *
 * Registers are those of the bridge, or of the window that firmware describes.
 * Without a window the host is asked: on x86 by a leaf of CPUID, base +
 * n * 0x100, whose signature is "pviopviopvio" and whose next leaf says in eax
 * 1, and in ebx the first of the MSRs; or 2, a hypercall.  On arm64 it is HVC.
 */
#include <linux/device.h>
#include <linux/io.h>

#include "pvio_bus.h"

/* --- registers ------------------------------------------------------------- */

/* ioread32() and iowrite32(): the window may be of memory or of I/O ports. */
static u64 registers_probe(struct pvio_bus *bus)
{
	u64 magic = ioread32(bus->regs + PVIO_BUS_REG_MAGIC);

	return magic | (u64)ioread32(bus->regs + PVIO_BUS_REG_VERSION) << 32;
}

static int registers_call(struct pvio_bus *bus, u64 block)
{
	iowrite32(lower_32_bits(block), bus->regs + PVIO_BUS_REG_CALL);
	iowrite32(upper_32_bits(block), bus->regs + PVIO_BUS_REG_CALL + 4);
	return 0;
}

static void registers_doorbell(struct pvio_bus *bus, u32 what)
{
	iowrite32(what, bus->regs + PVIO_BUS_REG_DOORBELL);
}

static int registers_settle(struct pvio_bus *bus)
{
	return ioread32(bus->regs + PVIO_BUS_REG_MAGIC) == PVIO_BUS_MAGIC ?
		       0 :
		       -ENODEV;
}

const struct pvio_connector pvio_connector_registers = {
	.name = "registers",
	.probe = registers_probe,
	.call = registers_call,
	.doorbell = registers_doorbell,
	.settle = registers_settle,
};

#ifdef CONFIG_X86_64

#include <asm/alternative.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>
/* Where cpuid() has gone. */
#if __has_include(<asm/cpuid/api.h>)
#include <asm/cpuid/api.h>
#endif

/* --- MSRs ------------------------------------------------------------------ */

static u64 msr_probe(struct pvio_bus *bus)
{
	u32 low, high;

	if (rdmsr_safe(bus->msr + PVIO_BUS_MSR_PROBE, &low, &high))
		return 0;
	return low | (u64)high << 32;
}

static int msr_call(struct pvio_bus *bus, u64 block)
{
	return wrmsr_safe(bus->msr + PVIO_BUS_MSR_CALL, lower_32_bits(block),
			  upper_32_bits(block));
}

static void msr_doorbell(struct pvio_bus *bus, u32 what)
{
	wrmsr_safe(bus->msr + PVIO_BUS_MSR_DOORBELL, what, 0);
}

static const struct pvio_connector connector_msr = {
	.name = "MSRs",
	.probe = msr_probe,
	.call = msr_call,
	.doorbell = msr_doorbell,
};

/* --- Xen-style hypercalls -------------------------------------------------- */

/* A host may destroy the other registers of arguments, and those of syscall. */
static long xen_hypercall(unsigned long operation, unsigned long argument)
{
	long result = PVIO_BUS_XEN_HYPERCALL;

	asm volatile(ALTERNATIVE("vmcall", "vmmcall", X86_FEATURE_VMMCALL)
		     : "+a"(result), "+D"(operation), "+S"(argument)
		     :
		     : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory");
	return result;
}

static u64 xen_probe(struct pvio_bus *bus)
{
	return xen_hypercall(PVIO_BUS_OP_PROBE, 0);
}

static int xen_call(struct pvio_bus *bus, u64 block)
{
	return xen_hypercall(PVIO_BUS_OP_CALL, block) < 0 ? -EIO : 0;
}

static void xen_doorbell(struct pvio_bus *bus, u32 what)
{
	xen_hypercall(PVIO_BUS_OP_DOORBELL, what);
}

static const struct pvio_connector connector_xen = {
	.name = "hypercalls",
	.probe = xen_probe,
	.call = xen_call,
	.doorbell = xen_doorbell,
};

#define CPUID_BASE 0x40000000
#define CPUID_STEP 0x100
#define CPUID_NR   256
/* "pvio" */
#define CPUID_SIGNATURE PVIO_BUS_MAGIC

enum cpuid_connector {
	CPUID_MSR = 1,
	CPUID_XEN = 2,
};

const struct pvio_connector *pvio_connector_find(struct pvio_bus *bus)
{
	u32 leaf, eax, ebx, ecx, edx;
	unsigned int n;

	if (!boot_cpu_has(X86_FEATURE_HYPERVISOR))
		return NULL;
	for (n = 0; n < CPUID_NR; n++) {
		leaf = CPUID_BASE + n * CPUID_STEP;
		cpuid(leaf, &eax, &ebx, &ecx, &edx);
		if (ebx == CPUID_SIGNATURE && ecx == CPUID_SIGNATURE &&
		    edx == CPUID_SIGNATURE)
			break;
	}
	if (n == CPUID_NR)
		return NULL;
	cpuid(leaf + 1, &eax, &ebx, &ecx, &edx);
	switch (eax) {
	case CPUID_MSR:
		bus->msr = ebx;
		return &connector_msr;
	case CPUID_XEN:
		return &connector_xen;
	default:
		dev_err(bus->dev, "CPUID names a connector %u\n", eax);
		return NULL;
	}
}

#elif defined(CONFIG_ARM64)

#include <linux/arm-smccc.h>
#include <linux/of.h>

/* --- SMCCC ----------------------------------------------------------------- */

static u64 smccc(u32 operation, u64 argument)
{
	struct arm_smccc_res result;

	arm_smccc_1_1_hvc(PVIO_BUS_SMCCC_FID + operation, argument, 0, 0, 0, 0,
			  0, 0, &result);
	return result.a0;
}

static u64 smccc_probe(struct pvio_bus *bus)
{
	return smccc(PVIO_BUS_OP_PROBE, 0);
}

static int smccc_call(struct pvio_bus *bus, u64 block)
{
	return (s64)smccc(PVIO_BUS_OP_CALL, block) < 0 ? -EIO : 0;
}

static void smccc_doorbell(struct pvio_bus *bus, u32 what)
{
	smccc(PVIO_BUS_OP_DOORBELL, what);
}

static const struct pvio_connector connector_smccc = {
	.name = "SMCCC",
	.probe = smccc_probe,
	.call = smccc_call,
	.doorbell = smccc_doorbell,
};

/* A node of the device tree, or of ACPI, says that the host has them. */
const struct pvio_connector *pvio_connector_find(struct pvio_bus *bus)
{
	return &connector_smccc;
}

#else

const struct pvio_connector *pvio_connector_find(struct pvio_bus *bus)
{
	return NULL;
}

#endif
