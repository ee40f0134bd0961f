// SPDX-License-Identifier: BSD-3-Clause
/*
 * vm.c - memory, virtual CPUs, interrupt routes
 *
 * The interrupt controllers are KVM's, so that an eventfd can raise an
 * interrupt without us; a virtual CPU that waits for one sleeps in the kernel.
 */
#include "tinyvmm.h"

#include "guest/baremetal/boot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define GDT_AT	  0x500
#define TABLES_AT 0x9000
#define NR_CPUID_MAX 256

static void vcpu_set_cpuid(struct vcpu *cpu)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) +
		NR_CPUID_MAX * sizeof(cpuid->entries[0]));
	int kvm = cpu->vm->kvm_fd;
	unsigned int i;

	if (!cpuid)
		die("out of memory");
	cpuid->nent = NR_CPUID_MAX;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
		die("KVM_GET_SUPPORTED_CPUID: %m");
	for (i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == 1) {
			e->ebx = (e->ebx & 0xffffff) | cpu->id << 24;
			e->ecx |= 1u << 31; /* a hypervisor is present */
			/* Linux need not calibrate the local APIC's timer. */
			if (ioctl(kvm, KVM_CHECK_EXTENSION,
				  KVM_CAP_TSC_DEADLINE_TIMER) > 0)
				e->ecx |= 1u << 24;
		} else if (e->function == 0xb || e->function == 0x1f) {
			e->edx = cpu->id;
		}
	}
	if (ioctl(cpu->fd, KVM_SET_CPUID2, cpuid) < 0)
		die("KVM_SET_CPUID2: %m");
	free(cpuid);
}

/* What the controllers have, as KVM sets it up: our table replaces it. */
static void routes_create(struct vm *vm)
{
	unsigned int pin;

	pthread_mutex_init(&vm->routes_lock, NULL);
	vm->nr_gsis = MSI_GSI;
	vm->routes = calloc(1, sizeof(*vm->routes) +
		(NR_GSIS + 16) * sizeof(vm->routes->entries[0]));
	if (!vm->routes)
		die("out of memory");
	for (pin = 0; pin < 16 + MSI_GSI; pin++) {
		struct kvm_irq_routing_entry *e = &vm->routes->entries[pin];

		e->type = KVM_IRQ_ROUTING_IRQCHIP;
		e->gsi = pin < 16 ? pin : pin - 16;
		e->u.irqchip.irqchip = pin >= 16 ? KVM_IRQCHIP_IOAPIC :
			pin < 8 ? KVM_IRQCHIP_PIC_MASTER :
			KVM_IRQCHIP_PIC_SLAVE;
		e->u.irqchip.pin = pin < 16 ? pin % 8 : e->gsi;
	}
	vm->routes->nr = pin;
}

void vm_create(struct vm *vm, uint64_t ram_bytes, unsigned int nr_cpus)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct kvm_userspace_memory_region region = {
		.memory_size = ram_bytes,
	};
	unsigned int i;
	int run_bytes;

	memset(vm, 0, sizeof(*vm));
	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		die("/dev/kvm: %m");
	vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	vm->end_fd = eventfd(0, EFD_CLOEXEC);
	if (vm->fd < 0 || vm->end_fd < 0)
		die("KVM_CREATE_VM: %m");
	/* Three pages that Intel's processors need, where no RAM is. */
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000) < 0 ||
	    ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0 ||
	    ioctl(vm->fd, KVM_CREATE_PIT2, &pit) < 0)
		die("KVM_CREATE_IRQCHIP: %m");
	routes_create(vm);

	vm->ram_bytes = ram_bytes;
	vm->ram = mmap(NULL, ram_bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (vm->ram == MAP_FAILED)
		die("no %llu bytes of memory: %m",
		    (unsigned long long)ram_bytes);
	region.userspace_addr = (uintptr_t)vm->ram;
	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		die("KVM_SET_USER_MEMORY_REGION: %m");

	run_bytes = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm->nr_cpus = nr_cpus;
	for (i = 0; i < nr_cpus; i++) {
		struct vcpu *cpu = &vm->cpus[i];

		cpu->vm = vm;
		cpu->id = i;
		cpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, i);
		if (cpu->fd < 0 || run_bytes < 0)
			die("KVM_CREATE_VCPU: %m");
		cpu->run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE,
				MAP_SHARED, cpu->fd, 0);
		if (cpu->run == MAP_FAILED)
			die("virtual CPU %u: %m", i);
		vcpu_set_cpuid(cpu);
	}
}

void *vm_ram(struct vm *vm, uint64_t gpa, uint64_t size)
{
	if (gpa > vm->ram_bytes || size > vm->ram_bytes - gpa)
		die("does not fit into the guest's memory: use a larger --mem");
	return vm->ram + gpa;
}

/* One level-4 table, one level-3, four level-2 of 2 MiB pages. */
void vm_enter(struct vm *vm, uint64_t entry, uint64_t arg)
{
	static const uint64_t gdt[] = {
		0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff,
	};
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = BOOT_CS, .type = 11,
		.present = 1, .s = 1, .l = 1, .g = 1,
	};
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = BOOT_DS, .type = 3,
		.present = 1, .s = 1, .db = 1, .g = 1,
	};
	struct kvm_regs regs = {
		.rip = entry, .rsi = arg, .rdi = arg, .rflags = 2,
	};
	uint64_t *tables = vm_ram(vm, TABLES_AT, 6 * 4096);
	struct kvm_sregs sregs;
	unsigned int i;

	memcpy(vm_ram(vm, GDT_AT, sizeof(gdt)), gdt, sizeof(gdt));
	tables[0] = (TABLES_AT + 4096) | 3;
	for (i = 0; i < 4; i++)
		tables[512 + i] = (TABLES_AT + (2 + i) * 4096) | 3;
	for (i = 0; i < 4 * 512; i++)
		tables[1024 + i] = (uint64_t)i << 21 | 0x83;

	if (ioctl(vm->cpus[0].fd, KVM_GET_SREGS, &sregs) < 0)
		die("KVM_GET_SREGS: %m");
	sregs.gdt.base = GDT_AT;
	sregs.gdt.limit = sizeof(gdt) - 1;
	sregs.idt.limit = 0;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr3 = TABLES_AT;
	sregs.cr4 = 1 << 5;			/* PAE */
	sregs.efer = 1 << 8 | 1 << 10;		/* LME, LMA */
	sregs.cr0 = 1u << 31 | 1 << 4 | 1 << 0;	/* PG, ET, PE */
	if (ioctl(vm->cpus[0].fd, KVM_SET_SREGS, &sregs) < 0 ||
	    ioctl(vm->cpus[0].fd, KVM_SET_REGS, &regs) < 0)
		die("KVM_SET_SREGS: %m");
}

/* --- interrupts ----------------------------------------------------------- */

void vm_set_irq(struct vm *vm, unsigned int gsi, bool level)
{
	struct kvm_irq_level irq = { .irq = gsi, .level = level };

	if (ioctl(vm->fd, KVM_IRQ_LINE, &irq) < 0)
		perror("tinyvmm: KVM_IRQ_LINE");
}

unsigned int vm_new_gsi(struct vm *vm)
{
	if (vm->nr_gsis == NR_GSIS)
		die("more than %d interrupts", NR_GSIS);
	return vm->nr_gsis++;
}

void vm_set_route(struct vm *vm, const struct kvm_irq_routing_entry *route)
{
	unsigned int i;

	pthread_mutex_lock(&vm->routes_lock);
	for (i = 16 + MSI_GSI; i < vm->routes->nr; i++)
		if (vm->routes->entries[i].gsi == route->gsi)
			break;
	vm->routes->entries[i] = *route;
	if (i == vm->routes->nr)
		vm->routes->nr++;
	if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, vm->routes) < 0)
		perror("tinyvmm: KVM_SET_GSI_ROUTING");
	pthread_mutex_unlock(&vm->routes_lock);
}
