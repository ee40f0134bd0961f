/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * connector.c - pvio's bus by ports, memory, MSRs and hypercalls
 *
 * Which of them there is stands in CPUID (examples/tinyvmm/hypercall.c): in
 * the block of hypervisor leaves that begins with "pviopviopvio", in leaf 1
 * eax the kind, ebx the first MSR, ecx the window, edx the flags.
 */
#include "connector.h"

#include "runtime.h"

#include <pvio/bus-abi.h>

#define LEAVES_AT   0x40000000u
#define LEAVES_END  0x40010000u
#define LEAVES_STEP 0x100u

enum connector_kind {
	KIND_WINDOW = 0,
	KIND_MSR = 1,
	KIND_XEN = 2,
};
#define FLAG_PORTS  (1u << 0)
#define FLAG_HYPERV (1u << 1)

#define HV_GUEST_OS_ID    0x40000000u
#define HV_HYPERCALL_PAGE 0x40000001u
#define HV_ENABLE         1u
#define HV_SIGNAL_EVENT   0x1005du /* the parameter is in a register */

static uint32_t first_msr, window;
static bool is_amd; /* which has another instruction for hypercalls */
static void *hv_page;

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static struct cpuid cpuid_read(uint32_t leaf)
{
	struct cpuid id;

	__asm__ volatile("cpuid"
			 : "=a"(id.eax), "=b"(id.ebx), "=c"(id.ecx),
			   "=d"(id.edx)
			 : "a"(leaf), "c"(0));
	return id;
}

/* --- ports ---------------------------------------------------------------- */

static uint64_t port_probe(void)
{
	uint16_t at = (uint16_t)window;

	return bare_in32(at + PVIO_BUS_REG_MAGIC) |
	       (uint64_t)bare_in32(at + PVIO_BUS_REG_VERSION) << 32;
}

static void port_call(uint64_t address)
{
	uint16_t at = (uint16_t)(window + PVIO_BUS_REG_CALL);

	bare_out32(at, (uint32_t)address);
	bare_out32(at + 4, (uint32_t)(address >> 32));
}

static void port_settle(void)
{
	bare_in32((uint16_t)(window + PVIO_BUS_REG_MAGIC));
}

static void port_doorbell(uint32_t what)
{
	bare_out32((uint16_t)(window + PVIO_BUS_REG_DOORBELL), what);
}

static const struct bare_connector port_connector = {
	.name = "ports",
	.probe = port_probe,
	.call = port_call,
	.settle = port_settle,
	.doorbell = port_doorbell,
};

/* --- memory --------------------------------------------------------------- */

static volatile uint8_t *memory_register(unsigned int offset)
{
	return (volatile uint8_t *)(uintptr_t)(window + offset);
}

static uint64_t memory_probe(void)
{
	return bare_read32(memory_register(PVIO_BUS_REG_MAGIC)) |
	       (uint64_t)bare_read32(memory_register(PVIO_BUS_REG_VERSION))
		       << 32;
}

static void memory_call(uint64_t address)
{
	bare_write64(memory_register(PVIO_BUS_REG_CALL), address);
}

static void memory_settle(void)
{
	bare_read32(memory_register(PVIO_BUS_REG_MAGIC));
}

static void memory_doorbell(uint32_t what)
{
	bare_write32(memory_register(PVIO_BUS_REG_DOORBELL), what);
}

static const struct bare_connector memory_connector = {
	.name = "memory",
	.probe = memory_probe,
	.call = memory_call,
	.settle = memory_settle,
	.doorbell = memory_doorbell,
};

/* --- MSRs ----------------------------------------------------------------- */

static void msr_write(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)value),
			   "d"((uint32_t)(value >> 32))
			 : "memory");
}

static uint64_t msr_probe(void)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr"
			 : "=a"(low), "=d"(high)
			 : "c"(first_msr + PVIO_BUS_MSR_PROBE)
			 : "memory");
	return low | (uint64_t)high << 32;
}

static void msr_call(uint64_t address)
{
	msr_write(first_msr + PVIO_BUS_MSR_CALL, address);
}

static void msr_doorbell(uint32_t what)
{
	msr_write(first_msr + PVIO_BUS_MSR_DOORBELL, what);
}

static const struct bare_connector msr_connector = {
	.name = "msr",
	.probe = msr_probe,
	.call = msr_call,
	.doorbell = msr_doorbell,
};

/* --- Xen's hypercall ------------------------------------------------------ */

static uint64_t xen_operation(uint64_t op, uint64_t arg)
{
	uint64_t result = PVIO_BUS_XEN_HYPERCALL;

	if (is_amd)
		__asm__ volatile("vmmcall"
				 : "+a"(result)
				 : "D"(op), "S"(arg)
				 : "memory");
	else
		__asm__ volatile("vmcall"
				 : "+a"(result)
				 : "D"(op), "S"(arg)
				 : "memory");
	return result;
}

static uint64_t xen_probe(void)
{
	return xen_operation(PVIO_BUS_OP_PROBE, 0);
}

static void xen_call(uint64_t address)
{
	xen_operation(PVIO_BUS_OP_CALL, address);
}

static void xen_doorbell(uint32_t what)
{
	xen_operation(PVIO_BUS_OP_DOORBELL, what);
}

static const struct bare_connector xen_connector = {
	.name = "xen",
	.probe = xen_probe,
	.call = xen_call,
	.doorbell = xen_doorbell,
};

/* --- Hyper-V's SignalEvent ------------------------------------------------ */

/* Hypercalls are for guests that have a name; the host fills the page. */
static void hyperv_init(void)
{
	hv_page = bare_alloc(BARE_PAGE_BYTES, BARE_PAGE_BYTES);
	msr_write(HV_GUEST_OS_ID, 1);
	msr_write(HV_HYPERCALL_PAGE, (uintptr_t)hv_page | HV_ENABLE);
}

/* Signals have no connection: those go by the window. */
static void hyperv_doorbell(uint32_t what)
{
	uint64_t control = HV_SIGNAL_EVENT, status;
	uint64_t connection = PVIO_BUS_HYPERV_CONNECTION + what;

	if (what & PVIO_BUS_DOORBELL_SIGNAL) {
		memory_doorbell(what);
		return;
	}
	__asm__ volatile("call *%3"
			 : "=a"(status), "+c"(control), "+d"(connection)
			 : "r"(hv_page)
			 : "r8", "r9", "r10", "r11", "memory", "cc");
	if (status != 0)
		bare_fail("Hyper-V's SignalEvent says %lx", status);
}

static const struct bare_connector hyperv_connector = {
	.name = "hyperv",
	.probe = memory_probe,
	.call = memory_call,
	.settle = memory_settle,
	.doorbell = hyperv_doorbell,
};

/* --- which it is ---------------------------------------------------------- */

const struct bare_connector *bare_connector_find(void)
{
	struct cpuid id;
	uint32_t leaf;

	for (leaf = LEAVES_AT; leaf < LEAVES_END; leaf += LEAVES_STEP) {
		id = cpuid_read(leaf);
		if (id.ebx == PVIO_BUS_MAGIC && id.ecx == PVIO_BUS_MAGIC &&
		    id.edx == PVIO_BUS_MAGIC)
			break;
	}
	if (leaf == LEAVES_END)
		bare_fail("CPUID knows of no bus");
	id = cpuid_read(leaf + 1);
	first_msr = id.ebx;
	window = id.ecx;
	if (id.eax == KIND_MSR)
		return &msr_connector;
	if (id.eax == KIND_XEN) {
		is_amd = cpuid_read(0).ebx == 0x68747541; /* "Auth" */
		return &xen_connector;
	}
	if (id.eax != KIND_WINDOW)
		bare_fail("CPUID has connector %u", id.eax);
	if (id.edx & FLAG_HYPERV) {
		hyperv_init();
		return &hyperv_connector;
	}
	return id.edx & FLAG_PORTS ? &port_connector : &memory_connector;
}
