// SPDX-License-Identifier: BSD-3-Clause
/*
 * vm.c - memory, virtual CPUs, interrupt routes
 *
 * The interrupt controllers are KVM's, so that an eventfd can raise an
 * interrupt without us; a virtual CPU that waits for one sleeps in the kernel.
 * What comes out of KVM_RUN is an access to a device, or the end.
 */
#include "tinyvmm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static void vcpu_set_cpuid(struct vcpu *cpu)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpuid = { .head.nent = 256 };
	int kvm = cpu->vm->kvm_fd;
	unsigned int i;

	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0)
		die("KVM_GET_SUPPORTED_CPUID: %m");
	for (i = 0; i < cpuid.head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid.entries[i];

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
	if (ioctl(cpu->fd, KVM_SET_CPUID2, &cpuid) < 0)
		die("KVM_SET_CPUID2: %m");
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
			pin < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
		e->u.irqchip.pin = pin < 16 ? pin % 8 : e->gsi;
	}
	vm->routes->nr = pin;
}

void vm_create(struct vm *vm, uint64_t ram_bytes, unsigned int nr_cpus)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct kvm_userspace_memory_region region = { .memory_size = ram_bytes };
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

/* --- virtual CPUs --------------------------------------------------------- */

static void vcpu_io(struct vcpu *cpu)
{
	struct kvm_run *run = cpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	uint32_t i;

	for (i = 0; i < run->io.count; i++, data += run->io.size)
		bus_io(cpu->vm, run->io.port, data, run->io.size,
		       run->io.direction == KVM_EXIT_IO_OUT);
}

static void *vcpu_main(void *arg)
{
	struct vcpu *cpu = arg;
	struct vm *vm = cpu->vm;
	struct kvm_run *run = cpu->run;

	while (!atomic_load(&vm->is_ended)) {
		if (ioctl(cpu->fd, KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			perror("tinyvmm: KVM_RUN");
			vm_end(vm, 1);
			break;
		}
		cpu->exits[run->exit_reason % 64]++;
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			vcpu_io(cpu);
			break;
		case KVM_EXIT_MMIO:
			bus_mmio(run->mmio.phys_addr, run->mmio.data,
				 run->mmio.len, run->mmio.is_write);
			break;
		default:
			/* A triple fault, or what we can't emulate. */
			fprintf(stderr, "tinyvmm: CPU %u: exit reason %u, "
				"the guest is lost\n", cpu->id,
				run->exit_reason);
			vm_end(vm, 1);
		}
	}
	return NULL;
}

/* Its being delivered ends KVM_RUN, and that is all. */
static void on_signal(int signo)
{
	(void)signo;
}

void vm_start(struct vm *vm)
{
	struct sigaction action = { .sa_handler = on_signal };
	unsigned int i;

	sigaction(SIGUSR1, &action, NULL);
	for (i = 0; i < vm->nr_cpus; i++)
		if (pthread_create(&vm->cpus[i].thread, NULL, vcpu_main,
				   &vm->cpus[i]) != 0)
			die("no thread for virtual CPU %u", i);
}

void vm_end(struct vm *vm, int status)
{
	if (atomic_exchange(&vm->is_ended, true))
		return;
	vm->status = status;
	if (eventfd_write(vm->end_fd, 1) < 0)
		die("eventfd: %m");
}

void vm_stop(struct vm *vm)
{
	unsigned int i;

	atomic_store(&vm->is_ended, true);
	for (i = 0; i < vm->nr_cpus; i++) {
		/* For a thread that is on its way into KVM_RUN. */
		vm->cpus[i].run->immediate_exit = 1;
		pthread_kill(vm->cpus[i].thread, SIGUSR1);
		pthread_join(vm->cpus[i].thread, NULL);
	}
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
