/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * smccc-vmm.c - a VMM for KVM on arm64, just large enough for guest/baremetal
 * with a disk on pvio's bus, which it reaches by SMCCC
 *
 *	smccc-vmm ELF "COMMAND LINE" IMAGE
 *
 * KVM passes on calls of the functions that a filter names.  There is no
 * interrupt controller: the guest looks by itself.
 */
#include "guest/baremetal/arm64/arch.h"
#include "guest/baremetal/boot.h"

#include <pvio/bus.h>
#include <pvio/memory.h>
#include <pvio/pvio.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_BYTES    (16u << 20)
#define INFO_AT      0x7000
#define CMDLINE_AT   0x20000
#define NR_FUNCTIONS 16 /* passed on, more than there are */
#define REG_PC       32 /* of struct user_pt_regs, in units of 8 bytes */

static int vm_fd, cpu_fd;
static struct kvm_run *run;
static uint8_t *ram;
static unsigned int calls, doorbells;

__attribute__((noreturn)) static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t *reg_access(unsigned int number, unsigned long request,
			    uint64_t *value)
{
	struct kvm_one_reg reg = {
		.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
		      2 * number,
		.addr = (uintptr_t)value,
	};

	if (ioctl(cpu_fd, request, &reg) < 0)
		die("a register");
	return value;
}

static uint64_t reg_get(unsigned int number)
{
	uint64_t value;

	return *reg_access(number, KVM_GET_ONE_REG, &value);
}

static void reg_set(unsigned int number, uint64_t value)
{
	reg_access(number, KVM_SET_ONE_REG, &value);
}

static void vm_create(void)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = RAM_BYTES,
	};
	struct kvm_smccc_filter filter = {
		.base = PVIO_BUS_SMCCC_FID,
		.nr_functions = NR_FUNCTIONS,
		.action = KVM_SMCCC_FILTER_FWD_TO_USER,
	};
	struct kvm_device_attr attr = {
		.group = KVM_ARM_VM_SMCCC_CTRL,
		.attr = KVM_ARM_VM_SMCCC_FILTER,
		.addr = (uintptr_t)&filter,
	};
	struct kvm_vcpu_init init;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	region.userspace_addr = (uintptr_t)ram;
	vm_fd = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm_fd < 0 || ram == MAP_FAILED ||
	    ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		die("/dev/kvm");
	if (ioctl(vm_fd, KVM_SET_DEVICE_ATTR, &attr) < 0)
		die("KVM_ARM_VM_SMCCC_FILTER");
	cpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	if (cpu_fd < 0 || ioctl(vm_fd, KVM_ARM_PREFERRED_TARGET, &init) < 0 ||
	    ioctl(cpu_fd, KVM_ARM_VCPU_INIT, &init) < 0)
		die("KVM_CREATE_VCPU");
	run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
		   PROT_READ | PROT_WRITE, MAP_SHARED, cpu_fd, 0);
	if (run == MAP_FAILED)
		die("KVM_GET_VCPU_MMAP_SIZE");
}

/* The file is our own build's, and trusted. */
static void guest_load(const char *path, const char *cmdline)
{
	static uint8_t file[1 << 20];
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)file;
	const Elf64_Phdr *ph;
	struct boot_info info = {
		.magic = BOOT_MAGIC,
		.bytes = sizeof(info),
		.memory_bytes = RAM_BYTES,
		.cmdline = CMDLINE_AT,
	};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned int i;

	if (fd < 0 || read(fd, file, sizeof(file)) < (ssize_t)sizeof(*elf))
		die(path);
	close(fd);
	ph = (const Elf64_Phdr *)(file + elf->e_phoff);
	for (i = 0; i < elf->e_phnum; i++)
		if (ph[i].p_type == PT_LOAD)
			memcpy(ram + ph[i].p_paddr, file + ph[i].p_offset,
			       ph[i].p_filesz);
	memcpy(ram + CMDLINE_AT, cmdline, strlen(cmdline) + 1);
	memcpy(ram + INFO_AT, &info, sizeof(info));
	reg_set(0, INFO_AT);
	reg_set(REG_PC, elf->e_entry);
}

static struct pvio_bus *disk_create(const char *image)
{
	struct pvio_worker *control, *queues;
	struct pvio_memory *memory;
	struct pvio_device *dev;
	struct pvio_bus *bus;
	char config[512];

	snprintf(config, sizeof(config),
		 "model = \"block\"; transport = { type = \"hypercall\"; "
		 "bus = \"guest\"; interrupts = 4; };"
		 "backend = { type = \"file\"; path = \"%s\"; };",
		 image);
	if (pvio_worker_create("control", &control) < 0 ||
	    pvio_worker_create("queues", &queues) < 0 ||
	    pvio_memory_create(&memory) < 0 ||
	    pvio_memory_add(memory, 0, RAM_BYTES, ram) < 0 ||
	    pvio_device_create("disk", config, control, &queues, 1, &dev) < 0)
		exit(1);
	bus = pvio_bus_of(dev);
	if (pvio_bus_set_memory_list(bus, memory) < 0 ||
	    pvio_device_start(dev) < 0 || pvio_worker_start(control) < 0 ||
	    pvio_worker_start(queues) < 0)
		exit(1);
	return bus;
}

static void guest_call(struct pvio_bus *bus)
{
	uint32_t op = (uint32_t)run->hypercall.nr - PVIO_BUS_SMCCC_FID;

	calls += op == PVIO_BUS_OP_CALL;
	doorbells += op == PVIO_BUS_OP_DOORBELL;
	reg_set(0, pvio_bus_hypercall(bus, op, reg_get(1)));
}

/* Its exit status. */
static int guest_run(struct pvio_bus *bus)
{
	for (;;) {
		if (ioctl(cpu_fd, KVM_RUN, 0) < 0) {
			if (errno == EINTR)
				continue;
			die("KVM_RUN");
		}
		if (run->exit_reason == KVM_EXIT_HYPERCALL) {
			guest_call(bus);
		} else if (run->exit_reason != KVM_EXIT_MMIO ||
			   !run->mmio.is_write) {
			fprintf(stderr, "exit reason %u at %#llx\n",
				run->exit_reason,
				(unsigned long long)reg_get(REG_PC));
			return 1;
		} else if (run->mmio.phys_addr == ARM64_CONSOLE) {
			putchar(run->mmio.data[0]);
		} else if (run->mmio.phys_addr == ARM64_EXIT) {
			return run->mmio.data[0];
		}
	}
}

int main(int argc, char **argv)
{
	struct pvio_bus_counters c;
	struct pvio_bus *bus;
	int status;

	if (argc != 4) {
		fprintf(stderr, "usage: smccc-vmm ELF CMDLINE IMAGE\n");
		return 1;
	}
	vm_create();
	guest_load(argv[1], argv[2]);
	bus = disk_create(argv[3]);
	status = guest_run(bus);
	pvio_bus_count(bus, &c);
	printf("exits: calls=%u doorbells=%u\n", calls, doorbells);
	printf("pvio: calls=%llu doorbells=%llu kicks=%llu raised=%llu\n",
	       (unsigned long long)c.calls, (unsigned long long)c.doorbells,
	       (unsigned long long)c.kicks, (unsigned long long)c.raised);
	return status;
}
