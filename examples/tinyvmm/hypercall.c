// SPDX-License-Identifier: BSD-3-Clause
/*
 * hypercall.c - pvio's bus: all devices behind one doorbell, without PCI
 *
 * How a guest makes calls and rings doorbells (docs/bus-abi.md, section 1) is
 * chosen by --bus:
 *
 *	pvio-pio     I/O ports           doorbells: ioeventfd
 *	pvio-mmio    window in memory    doorbells: ioeventfd
 *	pvio-msr     WRMSR, exits        the same
 *	pvio-xen     VMCALL, exits       the same
 *	pvio-hyperv  window in memory    doorbells: SignalEvent -> eventfd
 *
 * Interrupts are inputs of the I/O APIC, by irqfd.  Linux is told by ACPI, and
 * whoever cannot read that by CPUID, in the first block of hypervisor leaves
 * (0x40000000, or a multiple of 0x100 more) that begins with our name:
 *
 *	+0  eax: the last leaf; ebx, ecx, edx: "pviopviopvio"
 *	+1  eax: 0 window, 1 MSRs, 2 Xen's hypercall; ebx: the first MSR
 *	    ecx: where the window is; edx: bit 0, it is of I/O ports; bit 1,
 *	    Hyper-V's SignalEvent rings, too
 */
#include "tinyvmm.h"

#include <pvio/bus.h>

#include <asm/kvm_para.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LEAVES_AT	 0x40000000u
#define LEAVES_END	 0x40010000u
#define LEAVES_STEP	 0x100
#define NR_CPUID_MAX	 256
#define XEN_HYPERCALL_MSR 0x40000000u
#define XEN_EPERM	 (-1)
#define XEN_ENOSYS	 (-38)

static struct pvio_bus *hypercall_bus;
static _Atomic uint64_t calls, doorbells; /* that were exits */

/* --- CPUID ---------------------------------------------------------------- */

/* Room for the entries that follow the head. */
union cpuid {
	struct kvm_cpuid2 head;
	uint8_t room[sizeof(struct kvm_cpuid2) +
		     NR_CPUID_MAX * sizeof(struct kvm_cpuid_entry2)];
};

/* KVM's own leaves give way to Hyper-V's, which have to be the first. */
static void put_hyperv_leaves(struct vcpu *cpu, struct kvm_cpuid2 *cpuid)
{
	static union cpuid hyperv;
	struct kvm_enable_cap synic = { .cap = KVM_CAP_HYPERV_SYNIC2 };
	unsigned int i;

	for (i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == LEAVES_AT)
			e->eax += LEAVES_STEP;
		if (e->function >= LEAVES_AT && e->function < LEAVES_END)
			e->function += LEAVES_STEP;
	}
	hyperv.head.nent = NR_CPUID_MAX - cpuid->nent;
	if (ioctl(cpu->fd, KVM_GET_SUPPORTED_HV_CPUID, &hyperv) < 0 ||
	    ioctl(cpu->fd, KVM_ENABLE_CAP, &synic) < 0)
		die("KVM does not play Hyper-V: %m");
	memcpy(cpuid->entries + cpuid->nent, hyperv.head.entries,
	       hyperv.head.nent * sizeof(hyperv.head.entries[0]));
	cpuid->nent += hyperv.head.nent;
}

/*
 * KVM's hypercalls are not to be had beside Xen's, so nothing is said of what
 * needs them.  Its clock does not, and Linux does not get far without.
 */
static void drop_kvm_hypercalls(struct kvm_cpuid2 *cpuid)
{
	const uint32_t features = 1u << KVM_FEATURE_PV_UNHALT |
				  1u << KVM_FEATURE_PV_SEND_IPI |
				  1u << KVM_FEATURE_PV_SCHED_YIELD |
				  1u << KVM_FEATURE_HC_MAP_GPA_RANGE;
	unsigned int i;

	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == KVM_CPUID_FEATURES)
			cpuid->entries[i].eax &= ~features;
}

static bool has_leaf(const struct kvm_cpuid2 *cpuid, uint32_t leaf)
{
	unsigned int i;

	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == leaf)
			return true;
	return false;
}

static void tell_by_cpuid(struct vcpu *cpu)
{
	const enum bus_kind bus = cpu->vm->bus;
	static union cpuid room;
	struct kvm_cpuid2 *cpuid = &room.head;
	struct kvm_cpuid_entry2 *e;
	uint32_t leaf = LEAVES_AT;

	cpuid->nent = NR_CPUID_MAX;
	if (ioctl(cpu->fd, KVM_GET_CPUID2, cpuid) < 0)
		die("KVM_GET_CPUID2: %m");
	if (bus == BUS_PVIO_HYPERV)
		put_hyperv_leaves(cpu, cpuid);
	else if (bus == BUS_PVIO_XEN)
		drop_kvm_hypercalls(cpuid);
	while (has_leaf(cpuid, leaf))
		leaf += LEAVES_STEP;
	if (cpuid->nent + 2 > NR_CPUID_MAX)
		die("no room in CPUID");
	e = &cpuid->entries[cpuid->nent];
	cpuid->nent += 2;
	e[0] = (struct kvm_cpuid_entry2){
		.function = leaf, .eax = leaf + 1,
		.ebx = PVIO_BUS_MAGIC, .ecx = PVIO_BUS_MAGIC,
		.edx = PVIO_BUS_MAGIC,
	};
	e[1] = (struct kvm_cpuid_entry2){
		.function = leaf + 1,
		.eax = bus == BUS_PVIO_MSR ? 1 : bus == BUS_PVIO_XEN ? 2 : 0,
		.ebx = bus == BUS_PVIO_MSR ? HYPERCALL_MSR : 0,
		.ecx = bus == BUS_PVIO_PIO ? HYPERCALL_PORT : MMIO_WINDOW,
		.edx = bus == BUS_PVIO_PIO ? 1 : bus == BUS_PVIO_HYPERV ? 2 : 0,
	};
	if (ioctl(cpu->fd, KVM_SET_CPUID2, cpuid) < 0)
		die("KVM_SET_CPUID2: %m");
}

/* --- from the guest ------------------------------------------------------- */

static void count(bool is_doorbell)
{
	if (is_doorbell)
		doorbells++;
	else
		calls++;
}

static void window_access(void *arg, unsigned int part, uint64_t offset,
			  void *data, size_t len, bool is_write)
{
	(void)arg;
	(void)part;
	if (!is_write) {
		pvio_bus_read(hypercall_bus, offset, data, len);
		return;
	}
	count(offset == PVIO_BUS_REG_DOORBELL);
	pvio_bus_write(hypercall_bus, offset, data, len);
}

static void xen_hypercall(struct kvm_xen_exit *xen)
{
	const __u64 *params = xen->u.hcall.params;

	if (xen->u.hcall.cpl != 0) {
		xen->u.hcall.result = XEN_EPERM;
	} else if (xen->u.hcall.input != PVIO_BUS_XEN_HYPERCALL) {
		xen->u.hcall.result = XEN_ENOSYS;
	} else {
		if (params[0] != PVIO_BUS_OP_PROBE)
			count(params[0] == PVIO_BUS_OP_DOORBELL);
		xen->u.hcall.result = pvio_bus_hypercall(
			hypercall_bus, params[0], params[1]);
	}
}

void hypercall_exit(struct kvm_run *run)
{
	unsigned int msr = run->msr.index - HYPERCALL_MSR;
	uint64_t value;

	switch (run->exit_reason) {
	case KVM_EXIT_X86_RDMSR:
		run->msr.error = !pvio_bus_msr_read(hypercall_bus, msr, &value);
		if (!run->msr.error)
			run->msr.data = value;
		break;
	case KVM_EXIT_X86_WRMSR:
		count(msr == PVIO_BUS_MSR_DOORBELL);
		run->msr.error = !pvio_bus_msr_write(hypercall_bus, msr,
						     run->msr.data);
		break;
	case KVM_EXIT_XEN:
		if (run->xen.type == KVM_EXIT_XEN_HCALL)
			xen_hypercall(&run->xen);
		break;
	}
}

/* --- putting it together -------------------------------------------------- */

/* Let KVM answer for doorbell @number, whose fd is @fd. */
static int bind_doorbell(struct vm *vm, unsigned int number, int fd)
{
	const bool is_pio = vm->bus == BUS_PVIO_PIO;
	struct kvm_hyperv_eventfd event = {
		.conn_id = PVIO_BUS_HYPERV_CONNECTION + number, .fd = fd,
	};
	struct kvm_ioeventfd io = {
		.datamatch = number, .len = 4, .fd = fd,
		.addr = (is_pio ? HYPERCALL_PORT : MMIO_WINDOW) +
			PVIO_BUS_REG_DOORBELL,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH |
			 (is_pio ? KVM_IOEVENTFD_FLAG_PIO : 0),
	};

	if (vm->bus == BUS_PVIO_HYPERV)
		return ioctl(vm->fd, KVM_HYPERV_EVENTFD, &event);
	return ioctl(vm->fd, KVM_IOEVENTFD, &io);
}

/* Make accesses to our registers exits, in a filter that allows all others. */
static void filter_msrs(struct vm *vm)
{
	uint8_t none_allowed = 0;
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args = { KVM_MSR_EXIT_REASON_FILTER },
	};
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges[0] = {
			.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
			.base = HYPERCALL_MSR, .nmsrs = PVIO_BUS_NR_MSRS,
			.bitmap = &none_allowed,
		},
	};

	if (ioctl(vm->fd, KVM_ENABLE_CAP, &cap) < 0 ||
	    ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &filter) < 0)
		die("KVM_CAP_X86_USER_SPACE_MSR: %m");
}

/* The register is where Xen's guests ask for a page of hypercalls. */
static void intercept_xen(struct vm *vm)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
		.msr = XEN_HYPERCALL_MSR,
	};

	if (ioctl(vm->fd, KVM_XEN_HVM_CONFIG, &config) < 0)
		die("KVM_XEN_HVM_CONFIG: %m");
}

static void plug_interrupts(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < pvio_bus_nr_interrupts(hypercall_bus); i++) {
		struct kvm_irqfd irqfd = {
			.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			.gsi = HYPERCALL_GSI + i,
		};

		if ((int)irqfd.fd < 0 || i >= NR_HYPERCALL_GSIS ||
		    ioctl(vm->fd, KVM_IRQFD, &irqfd) < 0 ||
		    pvio_bus_set_interrupt_fd(hypercall_bus, i, irqfd.fd) < 0)
			die("no interrupt %u: %m", i);
		close(irqfd.fd);
	}
}

void hypercall_plug(struct vm *vm, struct pvio_bus *bus)
{
	unsigned int i;

	hypercall_bus = bus;
	for (i = 0; i < vm->nr_cpus; i++)
		tell_by_cpuid(&vm->cpus[i]);
	plug_interrupts(vm);
	if (vm->bus == BUS_PVIO_MSR)
		filter_msrs(vm);
	else if (vm->bus == BUS_PVIO_XEN)
		intercept_xen(vm);
	else if (vm->bus == BUS_PVIO_PIO)
		bus_map_ports(HYPERCALL_PORT, PVIO_BUS_REG_BYTES, window_access,
			      NULL);
	else
		bus_map(MMIO_WINDOW, PVIO_BUS_REG_BYTES, window_access, NULL,
			0);
}

/* There is a kick queue for each worker that serves a started device. */
void hypercall_bind(struct vm *vm)
{
	unsigned int i;

	if (vm->bus == BUS_PVIO_MSR || vm->bus == BUS_PVIO_XEN)
		return;
	for (i = 0; i < pvio_bus_nr_kick_queues(hypercall_bus); i++)
		if (bind_doorbell(vm, i, pvio_bus_doorbell_fd(hypercall_bus,
							      i)) < 0)
			die("doorbell %u: %m", i);
}

void hypercall_print_stats(void)
{
	struct pvio_bus_counters c;

	if (!hypercall_bus)
		return;
	pvio_bus_count(hypercall_bus, &c);
	printf(",\n \"bus\": {\"call_exits\": %llu, \"doorbell_exits\": %llu, "
	       "\"calls\": %llu, \"doorbells\": %llu,\n  \"kicks\": %llu, "
	       "\"raised\": %llu, \"coalesced\": %llu, \"interrupts\": %llu}",
	       (unsigned long long)calls, (unsigned long long)doorbells,
	       (unsigned long long)c.calls, (unsigned long long)c.doorbells,
	       (unsigned long long)c.kicks, (unsigned long long)c.raised,
	       (unsigned long long)c.coalesced,
	       (unsigned long long)c.interrupts);
}
