/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doorbell.c - pvio-bench doorbell: nanoseconds a kick, by what the guest does
 *
 * A virtual CPU rings N times and then ends its batch; that takes away what N
 * rounds of the same loop without ringing take, and is divided by N.  Rung is
 * whoever reads a counter: either this program, for which the virtual CPU left
 * the guest and the kernel, or an eventfd that nobody waits for.  To wake
 * somebody comes on top, and is the same for all of them.
 *
 * That every ring arrives is checked, so that what a host pretends to have is
 * not taken for cheap.
 */
#include "bench.h"
#include "doorbell-guest.h"
#include "doorbell.h"
#include "report.h"

#include "core/util.h"

#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define RAM_BYTES (4u << 20)
#define LOAD_AT   0x100000u
#define KINDS_MAX 16
#define FIRST_MS  500 /* 1000 times what it takes when emulated */
#define UNIT      "ns/ring"

struct doorbell_options {
	unsigned long rings;
	unsigned long repeat;
	bool json;
};

/* What examples/tinyvmm/vm.c calls when there is no going on. */
void die(const char *format, ...)
{
	va_list args;

	fputs("pvio-bench: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\n", stderr);
	exit(1);
}

int doorbell_absent(struct doorbell *d, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(d->why, sizeof(d->why), format, args);
	va_end(args);
	return -EOPNOTSUPP;
}

/* The other maker's instruction is invalid, or replaced at great cost. */
static const char *hypercall_loop(void)
{
	unsigned int max, b = 0, c, d;

	__get_cpuid(0, &max, &b, &c, &d);
	return b == signature_INTEL_ebx || b == signature_CENTAUR_ebx
		       ? doorbell_loop_vmcall
		       : doorbell_loop_vmmcall;
}

/*
 * A host that emulates virtual CPUs may spin on an instruction it does not
 * know, so the first ring has a time-out.  The signal comes again and again: one
 * that comes just before KVM_RUN does not end it.
 */
static volatile sig_atomic_t is_late;

static void on_alarm(int signo)
{
	(void)signo;
	is_late = true;
}

static void timeout_start(unsigned int ms)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct timeval tv = { .tv_sec = ms / 1000,
				    .tv_usec = ms % 1000 * 1000 };
	const struct itimerval timer = { .it_interval = tv, .it_value = tv };

	is_late = false;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void timeout_stop(void)
{
	const struct itimerval timer = { .it_value = { 0 } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Run the guest until it says that its batch is at its end. */
static int doorbell_run(struct doorbell *d)
{
	struct vcpu *cpu = &d->vm.cpus[0];
	struct kvm_run *run = cpu->run;

	for (;;) {
		if (ioctl(cpu->fd, KVM_RUN, 0) < 0) {
			if ((errno == EINTR || errno == EAGAIN) && !is_late)
				continue;
			if (is_late)
				return doorbell_absent(
					d, "is offered, but the guest hangs");
			return doorbell_absent(d, "KVM_RUN: %s",
					       strerror(errno));
		}
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			if (run->io.port == DOORBELL_END_PORT)
				return 0;
			break;
		case KVM_EXIT_MMIO:
			break;
		case KVM_EXIT_X86_WRMSR:
			run->msr.error = 0;
			break;
		case KVM_EXIT_HYPERCALL:
			run->hypercall.ret = 0;
			break;
		case KVM_EXIT_XEN:
			run->xen.u.hcall.result = 0;
			break;
		default:
			return doorbell_absent(d, "ends the guest: exit %u",
					       run->exit_reason);
		}
		d->exits++;
	}
}

/*
 * The time this thread had a CPU: the guest's, the kernel's and ours.  Nobody
 * sleeps here, so without other work on the machine it is the clock's; with 10
 * other processes on 2 CPUs, figures of 15 us spread by 5 % instead of 200 %.
 */
static uint64_t thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Ring @n times.  How long it took, or doorbell_absent()'s. */
static int doorbell_ring(struct doorbell *d, uint64_t n, uint64_t *ns)
{
	int cpu = d->vm.cpus[0].fd, rc;
	struct kvm_regs regs;
	uint64_t arrived;

	if (ioctl(cpu, KVM_GET_REGS, &regs) < 0)
		die("KVM_GET_REGS: %m");
	regs.r15 = n;
	if (ioctl(cpu, KVM_SET_REGS, &regs) < 0)
		die("KVM_SET_REGS: %m");
	d->exits = 0;
	*ns = thread_ns();
	rc = doorbell_run(d);
	*ns = thread_ns() - *ns;
	if (rc < 0)
		return rc;
	arrived = d->exits;
	if (d->eventfd >= 0 && read(d->eventfd, &arrived, sizeof(arrived)) < 0)
		arrived = 0;
	if (d->kind != doorbell_kinds && arrived != n)
		return doorbell_absent(
			d, "is offered, but %llu of %llu rings arrive",
			(unsigned long long)arrived, (unsigned long long)n);
	return 0;
}

/* A VM for @kind, and one ring to see that it works; or d->why not. */
static void doorbell_create(struct doorbell *d,
			    const struct doorbell_kind *kind)
{
	size_t bytes = (size_t)(doorbell_guest_end - doorbell_guest);
	const char *loop = kind->loop ? kind->loop : hypercall_loop();
	struct kvm_regs regs;
	uint64_t ns;

	d->kind = kind;
	d->eventfd = -1;
	vm_create(&d->vm, RAM_BYTES, 1);
	memcpy(vm_ram(&d->vm, LOAD_AT, bytes), doorbell_guest, bytes);
	vm_enter(&d->vm, LOAD_AT + (uint64_t)(loop - doorbell_guest), 0);
	if (ioctl(d->vm.cpus[0].fd, KVM_GET_REGS, &regs) < 0)
		die("KVM_GET_REGS: %m");
	if (kind->setup(d, &regs) < 0)
		return;
	if (ioctl(d->vm.cpus[0].fd, KVM_SET_REGS, &regs) < 0)
		die("KVM_SET_REGS: %m");
	timeout_start(FIRST_MS);
	doorbell_ring(d, 1, &ns);
	timeout_stop();
}

/* All kinds in turn, once; @doorbell[0] is the empty loop. */
static void doorbell_round(struct bench_report *report,
			   struct doorbell *doorbell, unsigned int nr,
			   unsigned long rings)
{
	uint64_t ns, empty_ns = 0;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		struct doorbell *d = &doorbell[i];

		if (d->why[0] || doorbell_ring(d, rings, &ns) < 0)
			continue;
		if (i == 0) {
			empty_ns = ns;
			bench_report_add(report, d->kind->name, "ns/round",
					 (double)ns / (double)rings);
			continue;
		}
		bench_report_add(report, d->kind->name, UNIT,
				 ((double)ns - (double)empty_ns) /
					 (double)rings);
	}
}

static void doorbell_usage(FILE *f)
{
	fprintf(f, "usage: pvio-bench doorbell [OPTION...]\n"
		   "  --rings N       rings a figure (2000)\n"
		   "  --repeat N      figures a row, rows in turn (11)\n"
		   "  --json          print JSON\n");
}

int bench_doorbell(int argc, char **argv)
{
	/* Virtual CPUs and eventfds live as long as the program. */
	static struct doorbell doorbell[KINDS_MAX];
	struct doorbell_options o = { .rings = 2000, .repeat = 11 };
	const struct bench_option options[] = {
		{ "rings", .number = &o.rings, .max = 1000000000 },
		{ "repeat", .number = &o.repeat, .max = 1000 },
		{ "json", .flag = &o.json },
	};
	struct bench_report *report;
	unsigned int i, nr;
	unsigned long round;
	int rc;

	rc = bench_options(argc, argv, options, pvio_array_size(options),
			   doorbell_usage);
	if (rc > 0)
		return rc - 1;
	report = bench_report_create("doorbells of this host's KVM");
	if (!report)
		return 1;
	for (nr = 0; doorbell_kinds[nr].name; nr++)
		doorbell_create(&doorbell[nr], &doorbell_kinds[nr]);
	for (round = 0; round < o.repeat; round++)
		doorbell_round(report, doorbell, nr, o.rings);
	for (i = 0; i < nr; i++) {
		if (doorbell[i].why[0])
			bench_report_absent(report, doorbell[i].kind->name,
					    doorbell[i].why);
	}
	bench_report_compare(report, UNIT);
	rc = bench_report_print(report, o.json);
	bench_report_destroy(report);
	return rc < 0 ? 1 : 0;
}
