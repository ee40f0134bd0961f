// SPDX-License-Identifier: BSD-3-Clause
/*
 * windowtool.c - a window of pvio, used inside a guest
 *
 *	windowtool sysfs ADDRESS CALLS	its BARs by sysfs; answers are waited for
 *					by looking
 *	windowtool vfio ADDRESS CALLS	by VFIO; answers come as interrupts
 *
 * ADDRESS is the PCI function's, with its domain.  What is in the window, and
 * what a call is: window-test.h.
 */
#include "window-test.h"

#include "transports/vhost-pci/abi.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANSWER_MS  30000
#define NR_VECTORS 2

struct window {
	volatile uint8_t *memory, *registers;
	uint64_t bytes;
	int vector_fd; /* of the answers; -1: none */
};

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("windowtool: ", stdout);
	vprintf(fmt, ap);
	putchar('\n');
	va_end(ap);
	exit(1);
}

static volatile uint64_t *word(const struct window *w, uint64_t offset)
{
	return (volatile uint64_t *)(w->memory + offset);
}

/* --- by sysfs ------------------------------------------------------------- */

static volatile uint8_t *sysfs_map(const char *address, unsigned int bar,
				   uint64_t *bytes)
{
	char path[PATH_MAX];
	struct stat st;
	void *map;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource%u",
		 address, bar);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		die("%s: %s", path, strerror(errno));
	*bytes = (uint64_t)st.st_size;
	map = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		die("%s: mmap: %s", path, strerror(errno));
	close(fd);
	return map;
}

static void sysfs_open(struct window *w, const char *address)
{
	uint64_t bytes;
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/enable", address);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		die("%s: %s", path, strerror(errno));
	close(fd);
	w->registers = sysfs_map(address, WINDOW_PCI_REGISTERS, &bytes);
	w->memory = sysfs_map(address, WINDOW_PCI_MEMORY, &w->bytes);
}

/* --- by VFIO -------------------------------------------------------------- */

static int vfio_group(const char *address)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[PATH_MAX], link[PATH_MAX];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group",
		 address);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		die("%s: %s", path, strerror(errno));
	link[n] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	if (ioctl(fd, VFIO_GROUP_GET_STATUS, &status) < 0 ||
	    !(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		die("%s is not viable", path);
	return fd;
}

static volatile uint8_t *vfio_map(int device, unsigned int bar, uint64_t *bytes)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = bar };
	void *map;

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
		die("region %u: %s", bar, strerror(errno));
	if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP))
		die("region %u cannot be mapped", bar);
	map = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, device,
		   (off_t)info.offset);
	if (map == MAP_FAILED)
		die("region %u: mmap: %s", bar, strerror(errno));
	*bytes = info.size;
	return map;
}

/* Interrupts are writes to memory. */
static void vfio_set_master(int device)
{
	struct vfio_region_info info = { .argsz = sizeof(info),
					 .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t command;
	off_t at;

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
		die("configuration space: %s", strerror(errno));
	at = (off_t)info.offset + PCI_COMMAND;
	if (pread(device, &command, sizeof(command), at) != sizeof(command))
		die("command register: %s", strerror(errno));
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	if (pwrite(device, &command, sizeof(command), at) != sizeof(command))
		die("command register: %s", strerror(errno));
}

static void vfio_set_irqs(struct window *w, int device)
{
	int32_t fd[NR_VECTORS];
	struct vfio_irq_set *set = calloc(1, sizeof(*set) + sizeof(fd));
	unsigned int i;

	if (!set)
		die("no memory");
	set->argsz = sizeof(*set) + sizeof(fd);
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = VFIO_PCI_MSIX_IRQ_INDEX;
	set->count = NR_VECTORS;
	for (i = 0; i < NR_VECTORS; i++)
		fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	memcpy(set->data, fd, sizeof(fd));
	if (ioctl(device, VFIO_DEVICE_SET_IRQS, set) < 0)
		die("MSI-X: %s", strerror(errno));
	w->vector_fd = fd[WINDOW_TEST_SLOT];
	free(set);
}

static void vfio_open(struct window *w, const char *address)
{
	int container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	int group = vfio_group(address), device;
	uint64_t bytes;

	if (container < 0 ||
	    ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) < 0 ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
		die("container: %s", strerror(errno));
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
	if (device < 0)
		die("%s: %s", address, strerror(errno));
	w->registers = vfio_map(device, WINDOW_PCI_REGISTERS, &bytes);
	w->memory = vfio_map(device, WINDOW_PCI_MEMORY, &w->bytes);
	vfio_set_master(device);
	vfio_set_irqs(w, device);
}

/* --- what both do --------------------------------------------------------- */

static void ring(const struct window *w, uint32_t slot)
{
	*(volatile uint32_t *)(w->registers + WINDOW_REG_DOORBELL) = slot;
}

static void await_interrupt(const struct window *w, uint64_t number)
{
	struct pollfd pfd = { .fd = w->vector_fd, .events = POLLIN };
	uint64_t count;

	if (poll(&pfd, 1, ANSWER_MS) != 1 ||
	    read(w->vector_fd, &count, sizeof(count)) != sizeof(count))
		die("call %llu: no interrupt", (unsigned long long)number);
}

static void call(const struct window *w, uint64_t number)
{
	unsigned int ms;

	*word(w, WINDOW_TEST_CALLED) = number;
	ring(w, WINDOW_TEST_SLOT);
	if (w->vector_fd >= 0) {
		/* One may come for nothing, of the process before us. */
		do
			await_interrupt(w, number);
		while (*word(w, WINDOW_TEST_ANSWERED) == number - 1);
	} else {
		for (ms = 0; ms < ANSWER_MS; ms++) {
			if (*word(w, WINDOW_TEST_ANSWERED) == number)
				break;
			usleep(1000);
		}
	}
	if (*word(w, WINDOW_TEST_ANSWERED) != number)
		die("call %llu: answered %llu", (unsigned long long)number,
		    (unsigned long long)*word(w, WINDOW_TEST_ANSWERED));
}

static void expect(const struct window *w, uint64_t offset, uint64_t value)
{
	if (*word(w, offset) != value)
		die("0x%llx: 0x%llx", (unsigned long long)offset,
		    (unsigned long long)*word(w, offset));
}

int main(int argc, char **argv)
{
	struct window w = { .vector_fd = -1 };
	uint64_t first, i, calls;

	if (argc != 4)
		die("sysfs or vfio, the function's address, how many calls");
	if (strcmp(argv[1], "vfio") == 0)
		vfio_open(&w, argv[2]);
	else
		sysfs_open(&w, argv[2]);
	calls = strtoull(argv[3], NULL, 10);
	printf("%llu bytes\n", (unsigned long long)w.bytes);
	expect(&w, WINDOW_TEST_HOST_AT, WINDOW_TEST_HOST);
	expect(&w, w.bytes - 8, WINDOW_TEST_HOST);
	*word(&w, WINDOW_TEST_GUEST_AT) = WINDOW_TEST_GUEST;
	*word(&w, w.bytes / 2) = WINDOW_TEST_GUEST;
	/* Nobody is there: it must not matter. */
	ring(&w, UINT32_MAX);
	first = *word(&w, WINDOW_TEST_ANSWERED);
	printf("%llu calls before\n", (unsigned long long)first);
	for (i = 1; i <= calls; i++)
		call(&w, first + i);
	printf("%llu calls\n", (unsigned long long)calls);
	return 0;
}
