/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tinyvmm.h - a virtual machine monitor for KVM around pvio, whole
 *
 *	main.c    options, and waiting for the end
 *	vm.c      memory, virtual CPUs, interrupt routes
 *	run.c     the virtual CPUs' threads
 *	boot.c    a Linux bzImage, or a freestanding ELF, into memory
 *	acpi.c    what Linux is told of the machine
 *	bus.c     which address is whose; PCI configuration
 *	serial.c  the console
 *	cards.c   pvio's devices: the file to read if you write a VMM
 *	hypercall.c  the bus that they may be on instead of PCI
 *
 * What the guest finds:
 *
 *	0           RAM, up to 3 GiB
 *	0xd0000000  register pages (--bus mmio), one after the other; or the
 *	            window of --bus pvio-mmio and pvio-hyperv
 *	0xe0000000  PCI BARs (--bus pci), where the guest puts them
 *	0xfec00000  I/O APIC; 0xfee00000 local APICs
 *	ports       0x20, 0xa0 PICs; 0x40 PIT; 0x3f8 console; 0xcf8 PCI
 *	            0x600 window of --bus pvio-pio
 *	            0x500 power: any write ends the VM, as does ACPI's S5
 *	            0x501 exit: ends it with the byte written as exit status
 *
 * One thread per virtual CPU; pvio's two workers; main() waits.
 */
#ifndef TINYVMM_H
#define TINYVMM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MMIO_WINDOW	  0xd0000000u
#define PCI_WINDOW	  0xe0000000u
#define PCI_WINDOW_BYTES  0x10000000u
#define RAM_MAX_BYTES	  0xc0000000u
#define NR_CPUS_MAX	  16
#define NR_CARDS_MAX	  8
#define SERIAL_PORT	  0x3f8
#define SERIAL_GSI	  4
#define CARD_GSI	  5 /* of the first card, and one each */
#define HYPERCALL_GSI	  16 /* of the bus's first interrupt */
#define NR_HYPERCALL_GSIS 8
#define MSI_GSI		  24 /* numbers above the I/O APIC's */
#define NR_GSIS		  512
#define POWER_PORT	  0x500
#define EXIT_PORT	  0x501
#define HYPERCALL_PORT	  0x600
#define HYPERCALL_MSR	  0x70760000u

void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* What devices are on. */
enum bus_kind {
	BUS_PCI,
	BUS_MMIO,	 /* a register page each */
	/* pvio's own, and how a guest makes calls and rings doorbells. */
	BUS_PVIO_PIO,	 /* I/O ports */
	BUS_PVIO_MMIO,	 /* a window in memory */
	BUS_PVIO_MSR,	 /* model specific registers */
	BUS_PVIO_XEN,	 /* a hypercall with Xen's registers */
	BUS_PVIO_HYPERV, /* calls by a window, doorbells by SignalEvent */
};

/* --- vm.c, run.c ---------------------------------------------------------- */

struct vm;
struct vcpu {
	struct vm *vm;
	unsigned int id;
	int fd;
	pthread_t thread;
	struct kvm_run *run;
	uint64_t exits[64]; /* by reason */
};

struct vm {
	int kvm_fd, fd;
	enum bus_kind bus; /* see cards_create() */
	uint8_t *ram;
	uint64_t ram_bytes;
	unsigned int nr_cpus;
	struct vcpu cpus[NR_CPUS_MAX];
	int end_fd; /* eventfd: readable when the guest has ended */
	atomic_bool is_ended;
	int status;
	pthread_mutex_t routes_lock;
	unsigned int nr_gsis;
	struct kvm_irq_routing *routes; /* by routes_lock */
};

void vm_create(struct vm *vm, uint64_t ram_bytes, unsigned int nr_cpus);
/* @size bytes of RAM at @gpa; ends the program when there are not so many. */
void *vm_ram(struct vm *vm, uint64_t gpa, uint64_t size);
/*
 * Let the first virtual CPU begin at @entry, in long mode with the first 4 GiB
 * mapped to themselves and @arg in rdi and rsi.  Takes 0x500 to 0x520 and
 * 0x9000 to 0xf000 of RAM for tables.
 */
void vm_enter(struct vm *vm, uint64_t entry, uint64_t arg);
void vm_start(struct vm *vm);
/* Any thread: the guest has ended.  The first status counts. */
void vm_end(struct vm *vm, int status);
/* When it returns, no virtual CPU is running. */
void vm_stop(struct vm *vm);
void vm_set_irq(struct vm *vm, unsigned int gsi, bool level);
/* A number for an interrupt that has no line; route it before it is used. */
unsigned int vm_new_gsi(struct vm *vm);
void vm_set_route(struct vm *vm, const struct kvm_irq_routing_entry *route);

/* --- boot.c, acpi.c ------------------------------------------------------- */

struct boot {
	const char *kernel, *initrd, *elf;
	const char *cmdline;
};

/* Load, and set the registers of the first virtual CPU. */
void boot_load(struct vm *vm, const struct boot *boot);
/* Build the tables; returns the address of the first. */
uint64_t acpi_build(struct vm *vm);

/* --- bus.c ---------------------------------------------------------------- */

/* An access to part @part (a BAR) of a device; offset from the start of it. */
typedef void bus_fn(void *arg, unsigned int part, uint64_t offset, void *data,
		    size_t len, bool is_write);

void bus_io(struct vm *vm, uint16_t port, void *data, size_t len,
	    bool is_write);
void bus_mmio(uint64_t address, void *data, size_t len, bool is_write);
/* Let @part of @arg answer at @address.  Any thread. */
void bus_map(uint64_t address, uint64_t bytes, bus_fn *fn, void *arg,
	     unsigned int part);
void bus_unmap(void *arg, unsigned int part);
/* Let @fn answer for the configuration space of PCI slot @slot. */
void bus_plug(unsigned int slot, bus_fn *fn, void *arg);
/* Let @fn answer for @nr ports from @port on; one such range, before CPUs run. */
void bus_map_ports(uint16_t port, uint16_t nr, bus_fn *fn, void *arg);

/* --- serial.c ------------------------------------------------------------- */

uint8_t serial_read(struct vm *vm, unsigned int reg);
void serial_write(struct vm *vm, unsigned int reg, uint8_t value);
/* A key was pressed; lost when the guest does not look. */
void serial_input(struct vm *vm, char c);

/* --- cards.c -------------------------------------------------------------- */

struct cards_options {
	enum bus_kind bus;
	bool no_ioeventfd;	/* kicks are exits, to measure that */
};

/* Once, before the first card; and after the last virtual CPU has stopped. */
void cards_create(struct vm *vm, const struct cards_options *options);
void cards_destroy(void);
/* @what is a fragment of pvio.conf(5), a file for a disk, a backend's type. */
void cards_add(struct vm *vm, const char *model, const char *what);
void cards_start(void);
unsigned int cards_count(void);
void cards_print_stats(void);

/* --- hypercall.c ---------------------------------------------------------- */

struct pvio_bus;

static inline bool hypercall_is_bus(enum bus_kind bus)
{
	return bus >= BUS_PVIO_PIO;
}

/* Connect @bus (borrowed; outlives the virtual CPUs) with KVM. */
void hypercall_plug(struct vm *vm, struct pvio_bus *bus);
/* The devices have started: let KVM answer for doorbells where it can. */
void hypercall_bind(struct vm *vm);
/* KVM_RUN came back for a register or a hypercall. */
void hypercall_exit(struct kvm_run *run);
void hypercall_print_stats(void);

#endif
