/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_kvm.c - pvio/kvm.h: what KVM makes of a doorbell and of a vector
 *
 * The guest is a few instructions in real mode: it writes 2, then 4 bytes to
 * one address and ends with a write to a port.
 */
#include "tests/check_main.h"

#include <pvio/kvm.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define CODE_AT	   0x1000
#define BAR_AT	   0xd0000 /* in reach of real mode; no RAM there */
#define OFFSET	   0x10
#define VALUE	   7
#define GSI	   24
#define VECTOR	   0x41
#define LAPIC_SPIV 0xf0
#define LAPIC_IRR  0x200

static const uint8_t code[] = {
	0xb8, 0x00, 0xd0,			/* mov $0xd000, %ax */
	0x8e, 0xd8,				/* mov %ax, %ds */
	0xc7, 0x06, OFFSET, 0, VALUE, 0,	/* movw $7, 0x10 */
	0x66, 0xc7, 0x06, OFFSET, 0, VALUE, 0, 0, 0, /* movl $7, 0x10 */
	0xe6, 0x10,				/* out %al, $0x10 */
};

static int vm, cpu;
static uint8_t *ram;
static struct kvm_run *run;
static struct pvio_doorbell doorbell;

static void setup(void)
{
	struct kvm_userspace_memory_region region = { .memory_size = 0x2000 };
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(kvm, 0);
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	ck_assert_int_ge(vm, 0);
	ck_assert_int_eq(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000), 0);
	ck_assert_int_eq(ioctl(vm, KVM_CREATE_IRQCHIP, 0), 0);
	ram = mmap(NULL, 0x2000, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(ram != MAP_FAILED);
	region.userspace_addr = (uintptr_t)ram;
	ck_assert_int_eq(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), 0);
	memcpy(ram + CODE_AT, code, sizeof(code));
	cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	ck_assert_int_ge(cpu, 0);
	run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
		   PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
	ck_assert(run != MAP_FAILED);
	close(kvm);
	doorbell = (struct pvio_doorbell){
		.offset = OFFSET, .fd = eventfd(0, EFD_NONBLOCK),
	};
}

static void teardown(void)
{
	close(doorbell.fd);
	close(cpu);
	close(vm);
}

/* Run the code: how many of its two writes came out as exits. */
static unsigned int guest_exits(void)
{
	struct kvm_regs regs = { .rip = CODE_AT, .rflags = 2 };
	struct kvm_sregs sregs;
	unsigned int nr = 0;

	ck_assert_int_eq(ioctl(cpu, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	ck_assert_int_eq(ioctl(cpu, KVM_SET_SREGS, &sregs), 0);
	ck_assert_int_eq(ioctl(cpu, KVM_SET_REGS, &regs), 0);
	for (;;) {
		ck_assert_int_eq(ioctl(cpu, KVM_RUN, 0), 0);
		if (run->exit_reason == KVM_EXIT_IO)
			return nr;
		ck_assert_uint_eq(run->exit_reason, KVM_EXIT_MMIO);
		ck_assert_uint_eq(run->mmio.phys_addr, BAR_AT + OFFSET);
		nr++;
	}
}

static uint64_t kicks(void)
{
	eventfd_t n = 0;

	return eventfd_read(doorbell.fd, &n) < 0 ? 0 : n;
}

START_TEST(doorbell_of_any_width_takes_both_writes)
{
	ck_assert_uint_eq(guest_exits(), 2);
	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &doorbell, BAR_AT, true),
			 0);
	ck_assert_uint_eq(guest_exits(), 0);
	ck_assert_uint_eq(kicks(), 2);

	/* The guest has moved its BAR: nothing is left at the old address. */
	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &doorbell, BAR_AT, false),
			 0);
	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &doorbell, 0xe0000000,
						true), 0);
	ck_assert_uint_eq(guest_exits(), 2);
	ck_assert_uint_eq(kicks(), 0);
}
END_TEST

/* As two queues have on one register: a value each. */
START_TEST(doorbell_with_a_value_takes_only_that)
{
	struct pvio_doorbell other = doorbell;

	other.has_match = doorbell.has_match = 1;
	other.width = doorbell.width = 4;
	other.match = VALUE + 1;
	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &other, BAR_AT, true), 0);
	ck_assert_uint_eq(guest_exits(), 2);
	ck_assert_uint_eq(kicks(), 0);

	doorbell.match = VALUE;
	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &doorbell, BAR_AT, true),
			 0);
	ck_assert_uint_eq(guest_exits(), 1); /* the write of 2 bytes */
	ck_assert_uint_eq(kicks(), 1);

	/* Of any width, with a value: both widths have to be bound. */
	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &doorbell, BAR_AT, false),
			 0);
	doorbell.width = 0;
	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &doorbell, BAR_AT, true),
			 0);
	ck_assert_uint_eq(guest_exits(), 0);
	ck_assert_uint_eq(kicks(), 2);
	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &doorbell, BAR_AT, false),
			 0);
	ck_assert_uint_eq(guest_exits(), 2);
}
END_TEST

START_TEST(doorbell_that_cannot_be_bound_leaves_nothing_behind)
{
	struct pvio_doorbell first = doorbell;

	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &doorbell, BAR_AT, true),
			 0);
	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &doorbell, BAR_AT, true),
			 -EEXIST);
	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &doorbell, BAR_AT, false),
			 0);
	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &doorbell, BAR_AT, false),
			 -ENOENT);

	/* The second of two bindings fails: the first is taken back. */
	first.width = 4;
	first.has_match = doorbell.has_match = 1;
	first.match = doorbell.match = VALUE;
	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &first, BAR_AT, true), 0);
	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &doorbell, BAR_AT, true),
			 -EEXIST);
	ck_assert_uint_eq(guest_exits(), 1);
	ck_assert_uint_eq(kicks(), 1);
}
END_TEST

START_TEST(unbinding_takes_both_bindings_even_if_one_is_gone)
{
	struct pvio_doorbell word = doorbell;

	word.width = 2;
	word.has_match = doorbell.has_match = 1;
	word.match = doorbell.match = VALUE;
	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &doorbell, BAR_AT, true),
			 0);
	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &word, BAR_AT, false), 0);
	ck_assert_int_eq(pvio_kvm_bind_doorbell(vm, &doorbell, BAR_AT, false),
			 -ENOENT);
	ck_assert_uint_eq(guest_exits(), 2);
	ck_assert_uint_eq(kicks(), 0);
}
END_TEST

START_TEST(vector_arrives_by_its_eventfd)
{
	const struct pvio_pci_vector vector = {
		.address = 0xfee00000, .data = VECTOR,
	};
	struct kvm_irq_routing *routes =
		calloc(1, sizeof(*routes) + sizeof(routes->entries[0]));
	struct kvm_lapic_state lapic;
	int fd = eventfd(0, 0);
	uint32_t irr = 0;
	int tries;

	ck_assert_int_eq(ioctl(cpu, KVM_GET_LAPIC, &lapic), 0);
	lapic.regs[LAPIC_SPIV + 1] |= 1; /* enabled by software */
	ck_assert_int_eq(ioctl(cpu, KVM_SET_LAPIC, &lapic), 0);
	routes->nr = 1;
	pvio_kvm_msi_route(&routes->entries[0], GSI, &vector);
	ck_assert_int_eq(ioctl(vm, KVM_SET_GSI_ROUTING, routes), 0);
	ck_assert_int_eq(pvio_kvm_irqfd(vm, GSI, fd, -1, true), 0);

	ck_assert_int_eq(eventfd_write(fd, 1), 0);
	/* KVM may do it in a thread of its own. */
	for (tries = 0; !irr && tries < 1000000; tries++) {
		ck_assert_int_eq(ioctl(cpu, KVM_GET_LAPIC, &lapic), 0);
		memcpy(&irr, lapic.regs + LAPIC_IRR + VECTOR / 32 * 16, 4);
	}
	ck_assert_uint_eq(irr, 1u << VECTOR % 32);
	ck_assert_int_eq(pvio_kvm_irqfd(vm, GSI, fd, -1, false), 0);
	free(routes);
	close(fd);
}
END_TEST

START_TEST(line_takes_a_trigger_and_a_resampler)
{
	int trigger = eventfd(0, 0), resample = eventfd(0, 0);

	ck_assert_int_eq(pvio_kvm_irqfd(vm, 5, trigger, resample, true), 0);
	/* KVM lets an eventfd trigger one interrupt. */
	ck_assert_int_eq(pvio_kvm_irqfd(vm, 6, trigger, resample, true),
			 -EBUSY);
	ck_assert_int_eq(pvio_kvm_irqfd(vm, 5, trigger, resample, false), 0);
	ck_assert_int_eq(pvio_kvm_irqfd(vm, 6, trigger, resample, true), 0);
	ck_assert_int_eq(pvio_kvm_irqfd(vm, 7, resample, doorbell.fd, true), 0);
	close(trigger);
	close(resample);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		doorbell_of_any_width_takes_both_writes,
		doorbell_with_a_value_takes_only_that,
		doorbell_that_cannot_be_bound_leaves_nothing_behind,
		unbinding_takes_both_bindings_even_if_one_is_gone,
		vector_arrives_by_its_eventfd,
		line_takes_a_trigger_and_a_resampler,
	};

	vm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm < 0 || ioctl(vm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		printf("SKIP: /dev/kvm: %m\n");
		return 77;
	}
	close(vm);
	return check_run("kvm", setup, teardown, tests,
			 sizeof(tests) / sizeof(tests[0]));
}
