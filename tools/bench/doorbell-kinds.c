/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doorbell-kinds.c - the doorbells that KVM on x86 knows
 *
 *	out, mov   an exit to user space, or ioeventfd: the kernel writes an
 *	           eventfd and the guest goes on
 *	wrmsr      an exit to user space, for registers that a filter names
 *	vmcall     one instruction, four calling conventions.  KVM's own reaches
 *	           user space with one call only, MAP_GPA_RANGE; Xen's with all,
 *	           once KVM is told to intercept them, and an event channel may
 *	           be an eventfd; so may a connection of Hyper-V's
 *
 * Each is set up in a VM of its own: the conventions exclude one another.
 */
#include "doorbell.h"

#include "doorbell-guest.h"

#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#define PIO_PORT             0x600 /* nobody's */
#define MMIO_ADDRESS         MMIO_WINDOW
#define RING_BYTES           4
#define MSR_DOORBELL         0x4b564dc0u /* within KVM's range, unused */
#define SCRATCH_PAGE         0x200000u
#define HC_MAP_GPA_RANGE     12
#define XEN_EVENT_CHANNEL    32 /* hypercall; its sub-command: */
#define XEN_EVTCHNOP_SEND    4
#define XEN_INTERDOMAIN      2
#define XEN_PORT             1
#define XEN_HYPERCALL_MSR    0x40000000u
#define HV_GUEST_OS_ID       0x40000000u
#define HV_HYPERCALL_PAGE    0x40000001u
#define HV_ENABLE            1
#define HV_SIGNAL_EVENT      0x1005d /* parameters in registers */
#define HV_CONNECTION        1
#define HYPERVISOR_CPUID     0x40000000u
#define HYPERVISOR_CPUID_END 0x40010000u
#define CPUID_MAX            256

static int vm_capability(const struct doorbell *d, unsigned long cap)
{
	int rc = ioctl(d->vm.fd, KVM_CHECK_EXTENSION, cap);

	return rc < 0 ? 0 : rc;
}

/* @fd: a VM or a virtual CPU. */
static int enable(int fd, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap enabled = { .cap = cap, .args = { arg } };

	return ioctl(fd, KVM_ENABLE_CAP, &enabled) < 0 ? -errno : 0;
}

static int new_eventfd(struct doorbell *d)
{
	d->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->eventfd < 0)
		return doorbell_absent(d, "no eventfd: %s", strerror(errno));
	return 0;
}

/* --- out and mov --------------------------------------------------------- */

static int setup_none(struct doorbell *d, struct kvm_regs *regs)
{
	(void)d;
	(void)regs;
	return 0;
}

static int setup_pio(struct doorbell *d, struct kvm_regs *regs)
{
	(void)d;
	regs->rdx = PIO_PORT;
	return 0;
}

static int setup_mmio(struct doorbell *d, struct kvm_regs *regs)
{
	(void)d;
	regs->rdi = MMIO_ADDRESS;
	return 0;
}

static int ioeventfd(struct doorbell *d, uint64_t address, uint32_t len,
		     uint32_t flags)
{
	struct kvm_ioeventfd bind = {
		.addr = address,
		.len = len,
		.flags = flags,
	};
	int rc;

	if (!vm_capability(d, KVM_CAP_IOEVENTFD))
		return doorbell_absent(d, "KVM_CAP_IOEVENTFD is missing");
	rc = new_eventfd(d);
	if (rc < 0)
		return rc;
	bind.fd = d->eventfd;
	if (ioctl(d->vm.fd, KVM_IOEVENTFD, &bind) < 0)
		return doorbell_absent(d, "KVM_IOEVENTFD: %s", strerror(errno));
	return 0;
}

static int setup_pio_eventfd(struct doorbell *d, struct kvm_regs *regs)
{
	setup_pio(d, regs);
	return ioeventfd(d, PIO_PORT, RING_BYTES, KVM_IOEVENTFD_FLAG_PIO);
}

static int setup_mmio_eventfd(struct doorbell *d, struct kvm_regs *regs)
{
	setup_mmio(d, regs);
	return ioeventfd(d, MMIO_ADDRESS, RING_BYTES, 0);
}

/* Any length: the kernel need not decode the instruction, if the CPU helps. */
static int setup_mmio_fast(struct doorbell *d, struct kvm_regs *regs)
{
	if (!vm_capability(d, KVM_CAP_IOEVENTFD_ANY_LENGTH))
		return doorbell_absent(
			d, "KVM_CAP_IOEVENTFD_ANY_LENGTH is missing");
	setup_mmio(d, regs);
	return ioeventfd(d, MMIO_ADDRESS, 0, 0);
}

/* --- wrmsr --------------------------------------------------------------- */

static int setup_wrmsr(struct doorbell *d, struct kvm_regs *regs)
{
	uint8_t nothing_allowed[8] = { 0 };
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges[0] = { .flags = KVM_MSR_FILTER_WRITE,
			       .base = MSR_DOORBELL,
			       .nmsrs = 8 * sizeof(nothing_allowed),
			       .bitmap = nothing_allowed },
	};
	int rc;

	if (!vm_capability(d, KVM_CAP_X86_USER_SPACE_MSR))
		return doorbell_absent(d,
				       "KVM_CAP_X86_USER_SPACE_MSR is missing");
	if (!vm_capability(d, KVM_CAP_X86_MSR_FILTER))
		return doorbell_absent(d, "KVM_CAP_X86_MSR_FILTER is missing");
	rc = enable(d->vm.fd, KVM_CAP_X86_USER_SPACE_MSR,
		    KVM_MSR_EXIT_REASON_FILTER);
	if (rc == 0 && ioctl(d->vm.fd, KVM_X86_SET_MSR_FILTER, &filter) < 0)
		rc = -errno;
	if (rc < 0)
		return doorbell_absent(d, "KVM_X86_SET_MSR_FILTER: %s",
				       strerror(-rc));
	regs->rcx = MSR_DOORBELL;
	return 0;
}

/* --- hypercalls ---------------------------------------------------------- */

/* The one hypercall of KVM's own that leaves the kernel. */
static int setup_kvm(struct doorbell *d, struct kvm_regs *regs)
{
	const uint64_t bit = 1u << HC_MAP_GPA_RANGE;
	int rc;

	if (!(vm_capability(d, KVM_CAP_EXIT_HYPERCALL) & bit))
		return doorbell_absent(d, "KVM_CAP_EXIT_HYPERCALL is missing");
	rc = enable(d->vm.fd, KVM_CAP_EXIT_HYPERCALL, bit);
	if (rc < 0)
		return doorbell_absent(d, "KVM_CAP_EXIT_HYPERCALL: %s",
				       strerror(-rc));
	regs->r14 = HC_MAP_GPA_RANGE;
	regs->rbx = SCRATCH_PAGE;
	regs->rcx = 1; /* page */
	return 0;
}

static int xen_config(struct doorbell *d)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
		.msr = XEN_HYPERCALL_MSR,
	};

	if (!(vm_capability(d, KVM_CAP_XEN_HVM) &
	      KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL))
		return doorbell_absent(d, "KVM_CAP_XEN_HVM is missing");
	if (ioctl(d->vm.fd, KVM_XEN_HVM_CONFIG, &config) < 0)
		return doorbell_absent(d, "KVM_XEN_HVM_CONFIG: %s",
				       strerror(errno));
	return 0;
}

static int setup_xen(struct doorbell *d, struct kvm_regs *regs)
{
	/* A number that KVM does nothing for itself. */
	regs->r14 = 63;
	return xen_config(d);
}

static int setup_xen_event(struct doorbell *d, struct kvm_regs *regs)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_EVTCHN,
		.u.evtchn = { .send_port = XEN_PORT, .type = XEN_INTERDOMAIN },
	};
	uint32_t *port = vm_ram(&d->vm, SCRATCH_PAGE, sizeof(*port));
	int rc;

	rc = xen_config(d);
	if (rc < 0)
		return rc;
	if (!(vm_capability(d, KVM_CAP_XEN_HVM) &
	      KVM_XEN_HVM_CONFIG_EVTCHN_SEND))
		return doorbell_absent(
			d, "KVM_XEN_HVM_CONFIG_EVTCHN_SEND is missing");
	rc = new_eventfd(d);
	if (rc < 0)
		return rc;
	attr.u.evtchn.deliver.eventfd.fd = d->eventfd;
	if (ioctl(d->vm.fd, KVM_XEN_HVM_SET_ATTR, &attr) < 0)
		return doorbell_absent(d, "KVM_XEN_HVM_SET_ATTR: %s",
				       strerror(errno));
	*port = XEN_PORT;
	regs->r14 = XEN_EVENT_CHANNEL;
	regs->rdi = XEN_EVTCHNOP_SEND;
	regs->rsi = SCRATCH_PAGE;
	return 0;
}

/* Room for the entries that follow the head. */
union cpuid {
	struct kvm_cpuid2 head;
	uint8_t room[sizeof(struct kvm_cpuid2) +
		     2 * CPUID_MAX * sizeof(struct kvm_cpuid_entry2)];
};

union msrs {
	struct kvm_msrs head;
	uint8_t room[sizeof(struct kvm_msrs) +
		     2 * sizeof(struct kvm_msr_entry)];
};

/* Be Hyper-V in CPUID, instead of KVM. */
static int hyperv_cpuid(struct doorbell *d)
{
	union cpuid cpuid = { .head.nent = CPUID_MAX };
	union cpuid hyperv = { .head.nent = CPUID_MAX };
	struct kvm_cpuid_entry2 *entry = cpuid.head.entries;
	unsigned int i, n = 0;

	if (ioctl(d->vm.kvm_fd, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0 ||
	    ioctl(d->vm.cpus[0].fd, KVM_GET_SUPPORTED_HV_CPUID, &hyperv) < 0)
		return -errno;
	for (i = 0; i < cpuid.head.nent; i++) {
		if (entry[i].function >= HYPERVISOR_CPUID &&
		    entry[i].function < HYPERVISOR_CPUID_END)
			continue;
		entry[n++] = entry[i];
	}
	for (i = 0; i < hyperv.head.nent; i++)
		entry[n++] = hyperv.head.entries[i];
	cpuid.head.nent = n;
	if (ioctl(d->vm.cpus[0].fd, KVM_SET_CPUID2, &cpuid) < 0)
		return -errno;
	return 0;
}

/* A hypercall page is for a guest that has a name: in this order. */
static int hyperv_msrs(struct doorbell *d)
{
	union msrs msrs = { .head.nmsrs = 2 };
	struct kvm_msr_entry *entry = msrs.head.entries;

	entry[0].index = HV_GUEST_OS_ID;
	entry[0].data = 1;
	entry[1].index = HV_HYPERCALL_PAGE;
	entry[1].data = SCRATCH_PAGE | HV_ENABLE;
	return ioctl(d->vm.cpus[0].fd, KVM_SET_MSRS, &msrs) == 2 ? 0 : -EINVAL;
}

static int setup_hyperv(struct doorbell *d, struct kvm_regs *regs)
{
	struct kvm_hyperv_eventfd bind = { .conn_id = HV_CONNECTION };
	int rc;

	if (!vm_capability(d, KVM_CAP_HYPERV_EVENTFD))
		return doorbell_absent(d, "KVM_CAP_HYPERV_EVENTFD is missing");
	rc = hyperv_cpuid(d);
	if (rc == 0)
		rc = enable(d->vm.cpus[0].fd, KVM_CAP_HYPERV_SYNIC2, 0);
	if (rc == 0)
		rc = hyperv_msrs(d);
	if (rc < 0)
		return doorbell_absent(d, "KVM does not play Hyper-V: %s",
				       strerror(-rc));
	rc = new_eventfd(d);
	if (rc < 0)
		return rc;
	bind.fd = d->eventfd;
	if (ioctl(d->vm.fd, KVM_HYPERV_EVENTFD, &bind) < 0)
		return doorbell_absent(d, "KVM_HYPERV_EVENTFD: %s",
				       strerror(errno));
	regs->rcx = HV_SIGNAL_EVENT;
	regs->rdx = HV_CONNECTION;
	return 0;
}

const struct doorbell_kind doorbell_kinds[] = {
	{ "empty loop", doorbell_loop_none, setup_none },
	{ "PIO, exit", doorbell_loop_pio, setup_pio },
	{ "PIO, ioeventfd", doorbell_loop_pio, setup_pio_eventfd },
	{ "MMIO, exit", doorbell_loop_mmio, setup_mmio },
	{ "MMIO, ioeventfd, length 4", doorbell_loop_mmio, setup_mmio_eventfd },
	{ "MMIO, ioeventfd, any length", doorbell_loop_mmio, setup_mmio_fast },
	{ "WRMSR, exit", doorbell_loop_wrmsr, setup_wrmsr },
	{ "hypercall, KVM's MAP_GPA_RANGE, exit", NULL, setup_kvm },
	{ "hypercall, Xen's, exit", NULL, setup_xen },
	{ "hypercall, Xen event channel, eventfd", NULL, setup_xen_event },
	{ "hypercall, Hyper-V signal, eventfd", NULL, setup_hyperv },
	{ .name = NULL },
};
