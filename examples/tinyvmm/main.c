// SPDX-License-Identifier: BSD-3-Clause
/*
 * main.c - tinyvmm: a guest with pvio's devices, on KVM
 *
 *	tinyvmm --kernel bzImage [--initrd FILE] [--append TEXT]
 *	tinyvmm --elf FILE [--append TEXT]
 *
 *	--mem SIZE	256M
 *	--cpus N	1
 *	--bus BUS	of all devices: pci (default), mmio, or pvio's own, with
 *			doorbells by pvio-pio, -mmio, -msr, -xen or -hyperv
 *	--disk WHAT	a file, or a fragment of pvio.conf(5), such as
 *			'backend = { type = "null"; }; queues = 2;'
 *	--net WHAT	a type of backend, or a fragment, such as
 *			'backend = { type = "tap"; ifname = "tap0"; };'
 *	--rng		a source of random bytes
 *	--stats		print, at the end, exits and counters, as JSON
 *	--no-ioeventfd	let kicks be exits
 *
 * The console is stdin and stdout; `stty -icanon -echo` before, `stty sane`
 * after makes a terminal of them.  The exit status is the guest's own: 0 when
 * it powered off, what it wrote to port 0x501, 1 when it is lost.
 */
#include "tinyvmm.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct option long_options[] = {
	{ "kernel", 1, NULL, 'k' },	   { "initrd", 1, NULL, 'i' },
	{ "append", 1, NULL, 'a' },	   { "elf", 1, NULL, 'e' },
	{ "mem", 1, NULL, 'm' },	   { "cpus", 1, NULL, 'c' },
	{ "bus", 1, NULL, 'b' },	   { "disk", 1, NULL, 'd' },
	{ "net", 1, NULL, 'n' },	   { "rng", 0, NULL, 'r' },
	{ "stats", 0, NULL, 's' },	   { "no-ioeventfd", 0, NULL, 'x' },
	{ NULL, 0, NULL, 0 },
};

static struct settings {
	struct boot boot;
	struct cards_options cards;
	const char *append;
	uint64_t mem, cpus;
	bool want_stats;
	const char *model[NR_CARDS_MAX], *what[NR_CARDS_MAX];
	unsigned int nr_cards;
} settings = { .append = "", .mem = 256 << 20, .cpus = 1 };

void die(const char *fmt, ...)
{
	va_list args;
	int err = errno;

	fputs("tinyvmm: ", stderr);
	va_start(args, fmt);
	errno = err; /* for %m */
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputs("\n", stderr);
	exit(1);
}

static uint64_t parse_number(const char *text, uint64_t min, uint64_t max)
{
	const char *suffixes = "KMG", *suffix;
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	suffix = *end ? strchr(suffixes, *end) : NULL;
	if (suffix && n <= max) {
		n <<= 10 * (suffix - suffixes + 1);
		end++;
	}
	if (*end != '\0' || end == text || n < min || n > max)
		die("%s: should be %llu to %llu", text,
		    (unsigned long long)min, (unsigned long long)max);
	return n;
}

static enum bus_kind parse_bus(const char *text)
{
	static const char *const names[] = {
		[BUS_PCI] = "pci",
		[BUS_MMIO] = "mmio",
		[BUS_PVIO_PIO] = "pvio-pio",
		[BUS_PVIO_MMIO] = "pvio-mmio",
		[BUS_PVIO_MSR] = "pvio-msr",
		[BUS_PVIO_XEN] = "pvio-xen",
		[BUS_PVIO_HYPERV] = "pvio-hyperv",
	};
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(text, names[i]))
			return i;
	die("--bus is pci, mmio, or pvio-pio, -mmio, -msr, -xen, -hyperv");
}

static void add_card(const char *model, const char *what)
{
	if (settings.nr_cards == NR_CARDS_MAX)
		die("more than %d devices", NR_CARDS_MAX);
	settings.model[settings.nr_cards] = model;
	settings.what[settings.nr_cards++] = what;
}

static void parse_options(int argc, char **argv)
{
	struct settings *s = &settings;
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case 'k': s->boot.kernel = optarg; break;
		case 'i': s->boot.initrd = optarg; break;
		case 'e': s->boot.elf = optarg; break;
		case 'a': s->append = optarg; break;
		case 's': s->want_stats = true; break;
		case 'x': s->cards.no_ioeventfd = true; break;
		case 'd': add_card("block", optarg); break;
		case 'n': add_card("net", optarg); break;
		case 'r': add_card("rng", ""); break;
		case 'c': s->cpus = parse_number(optarg, 1, NR_CPUS_MAX); break;
		case 'm':
			s->mem = parse_number(optarg, 4 << 20, RAM_MAX_BYTES) &
				 ~0xfffull;
			break;
		case 'b': s->cards.bus = parse_bus(optarg); break;
		default:
			exit(1);
		}
	}
	if (optind < argc || !s->boot.kernel == !s->boot.elf)
		die("either --kernel or --elf is needed, and no argument");
}

/* An ELF finds register pages, and what interrupts pvio's bus has, on its
 * command line, Linux by ACPI. */
static const char *command_line(void)
{
	static char text[4096];
	size_t len = snprintf(text, sizeof(text), "%s", settings.append);
	unsigned int i;

	for (i = 0; i < settings.nr_cards && settings.boot.elf &&
	     settings.cards.bus == BUS_MMIO && len < sizeof(text); i++)
		len += snprintf(text + len, sizeof(text) - len,
				" virtio_mmio.device=4K@0x%x:%u",
				MMIO_WINDOW + i * 0x1000, CARD_GSI + i);
	if (settings.boot.elf && hypercall_is_bus(settings.cards.bus) &&
	    len < sizeof(text))
		len += snprintf(text + len, sizeof(text) - len,
				" pvio_bus.irq=%u", HYPERCALL_GSI);
	if (len >= sizeof(text))
		die("the command line is too long");
	return text;
}

/* Pass on keys until the guest has ended. */
static void wait_for_end(struct vm *vm)
{
	struct pollfd fds[2] = {
		{ .fd = vm->end_fd, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};
	char c;

	while (!fds[0].revents) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			die("poll: %m");
		if (fds[1].revents && read(STDIN_FILENO, &c, 1) == 1)
			serial_input(vm, c);
		else if (fds[1].revents)
			fds[1].fd = -1; /* nobody types any more */
	}
}

static void print_stats(struct vm *vm)
{
	unsigned long long io = 0, mmio = 0, msr = 0, xen = 0;
	unsigned int i;

	for (i = 0; i < vm->nr_cpus; i++) {
		io += vm->cpus[i].exits[KVM_EXIT_IO];
		mmio += vm->cpus[i].exits[KVM_EXIT_MMIO];
		msr += vm->cpus[i].exits[KVM_EXIT_X86_RDMSR] +
		       vm->cpus[i].exits[KVM_EXIT_X86_WRMSR];
		xen += vm->cpus[i].exits[KVM_EXIT_XEN];
	}
	printf("\n{\"exits\": {\"io\": %llu, \"mmio\": %llu, \"msr\": %llu, "
	       "\"xen\": %llu},\n \"devices\": [", io, mmio, msr, xen);
	cards_print_stats();
	printf("]");
	if (hypercall_is_bus(vm->bus))
		hypercall_print_stats();
	printf("}\n");
}

int main(int argc, char **argv)
{
	static struct vm vm;
	unsigned int i;

	parse_options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	vm_create(&vm, settings.mem, settings.cpus);
	cards_create(&vm, &settings.cards);
	for (i = 0; i < settings.nr_cards; i++)
		cards_add(&vm, settings.model[i], settings.what[i]);
	settings.boot.cmdline = command_line();
	boot_load(&vm, &settings.boot);
	cards_start();
	vm_start(&vm);
	wait_for_end(&vm);
	vm_stop(&vm);
	if (settings.want_stats)
		print_stats(&vm);
	cards_destroy();
	return vm.status;
}
