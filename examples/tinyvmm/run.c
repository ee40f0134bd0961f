// SPDX-License-Identifier: BSD-3-Clause
/*
 * run.c - the threads of the virtual CPUs
 *
 * What comes out of KVM_RUN is an access to a device, or the end.
 */
#include "tinyvmm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

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
		case KVM_EXIT_X86_RDMSR:
		case KVM_EXIT_X86_WRMSR:
		case KVM_EXIT_XEN:
			hypercall_exit(run);
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
