/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * access-vfio.c - a window behind a PCI function that vfio-pci is bound to
 *
 *	          BAR 2: window   registers   doorbell   interrupts
 *	1af4:1110 ivshmem         BAR 0       0x0c       MSI-X
 *	1234:7077 pvio            BAR 1       0x0c       MSI-X
 *
 * The function does no DMA, so nothing is mapped for it, and a VM without an
 * IOMMU does (/dev/vfio/noiommu-N).
 *
 * All vectors are there from the beginning, but none is enabled before somebody
 * wants it: Linux before 6.5 cannot add any later, and QEMU's ivshmem cannot
 * bear one to be enabled for which its server has sent no eventfd yet.
 *
 * When the function is to go, by hot-unplug or with its driver, the kernel waits
 * until nobody has it open, and asks for that by an interrupt of its own: then
 * the window leaves, and we look for another one there once a second.
 */
#include "window.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define VFIO_WINDOW_BAR	  2
#define VFIO_REG_DOORBELL 0x0c
#define VFIO_REG_BYTES	  0x10

#define VFIO_LOOK_INTERVAL_S 1

static const struct vfio_function {
	uint16_t vendor, device;
	uint32_t register_bar;
} functions[] = {
	{ 0x1af4, 0x1110, 0 },
	{ 0x1234, 0x7077, 1 },
};

struct vfio {
	struct window *window;	      /* borrowed */
	int container, group, device; /* owned */
	uint32_t *doorbell;	      /* NULL: written by system calls ... */
	uint64_t doorbell_at;	      /* ... there */
	void *registers, *memory;     /* mapped; NULL */
	size_t registers_bytes, memory_bytes;
	uint32_t nr_vectors;
	int *vector; /* [nr_vectors], owned; -1: not enabled */
	int request; /* owned: the function is to go; -1 */
	struct event *request_event, *look_event; /* owned */
};

/* --- the function --------------------------------------------------------- */

static int vfio_open_group(struct vfio *v, const char *address,
			   bool *has_iommu)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[PATH_MAX], link[PATH_MAX];
	const char *number;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group",
		 address);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return -errno;
	link[n] = '\0';
	number = strrchr(link, '/');
	number = number ? number + 1 : link;
	snprintf(path, sizeof(path), "/dev/vfio/%.64s", number);
	v->group = open(path, O_RDWR | O_CLOEXEC);
	*has_iommu = v->group >= 0;
	if (v->group < 0 && errno == ENOENT) {
		snprintf(path, sizeof(path), "/dev/vfio/noiommu-%.64s",
			 number);
		v->group = open(path, O_RDWR | O_CLOEXEC);
	}
	if (v->group < 0)
		return -errno;
	if (ioctl(v->group, VFIO_GROUP_GET_STATUS, &status) < 0)
		return -errno;
	/* Others of the group have drivers of the kernel's. */
	return status.flags & VFIO_GROUP_FLAGS_VIABLE ? 0 : -EBUSY;
}

static int vfio_open_device(struct vfio *v, const char *address)
{
	bool has_iommu;
	int rc;

	v->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (v->container < 0)
		return -errno;
	if (ioctl(v->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION)
		return -ENOTSUP;
	rc = vfio_open_group(v, address, &has_iommu);
	if (rc < 0)
		return rc;
	if (ioctl(v->group, VFIO_GROUP_SET_CONTAINER, &v->container) < 0 ||
	    ioctl(v->container, VFIO_SET_IOMMU,
		  has_iommu ? VFIO_TYPE1_IOMMU : VFIO_NOIOMMU_IOMMU) < 0)
		return -errno;
	v->device = ioctl(v->group, VFIO_GROUP_GET_DEVICE_FD, address);
	return v->device < 0 ? -errno : 0;
}

static int vfio_region(struct vfio *v, uint32_t index,
		       struct vfio_region_info *info)
{
	*info = (struct vfio_region_info){ .argsz = sizeof(*info),
					   .index = index };
	if (ioctl(v->device, VFIO_DEVICE_GET_REGION_INFO, info) < 0)
		return -errno;
	return 0;
}

static int vfio_map(struct vfio *v, const struct vfio_region_info *info,
		    size_t bytes, void **memory)
{
	void *p;

	if (!(info->flags & VFIO_REGION_INFO_FLAG_MMAP))
		return -ENOTSUP;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->device,
		 (off_t)info->offset);
	if (p == MAP_FAILED)
		return -errno;
	*memory = p;
	return 0;
}

/*
 * Which function it is; and let it interrupt, which is writing to memory as a
 * bus master.
 */
static int vfio_setup_function(struct vfio *v,
			       const struct vfio_function **function)
{
	struct vfio_region_info config;
	uint16_t id[2], command;
	off_t at;
	size_t i;
	int rc;

	rc = vfio_region(v, VFIO_PCI_CONFIG_REGION_INDEX, &config);
	if (rc < 0)
		return rc;
	if (pread(v->device, id, sizeof(id), (off_t)config.offset) !=
	    sizeof(id))
		return -EIO;
	*function = NULL;
	for (i = 0; i < pvio_array_size(functions); i++)
		if (le16toh(id[0]) == functions[i].vendor &&
		    le16toh(id[1]) == functions[i].device)
			*function = &functions[i];
	if (!*function)
		return -ENODEV;
	at = (off_t)config.offset + PCI_COMMAND;
	if (pread(v->device, &command, sizeof(command), at) != sizeof(command))
		return -EIO;
	command |= htole16(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	if (pwrite(v->device, &command, sizeof(command), at) !=
	    sizeof(command))
		return -EIO;
	return 0;
}

/* A small BAR need not have a page of its own: then it is not mapped. */
static int vfio_setup_registers(struct vfio *v, uint32_t bar)
{
	struct vfio_region_info info;
	int rc;

	rc = vfio_region(v, bar, &info);
	if (rc < 0)
		return rc;
	if (info.size < VFIO_REG_BYTES)
		return -ENODEV;
	v->doorbell_at = info.offset + VFIO_REG_DOORBELL;
	if (vfio_map(v, &info, (size_t)info.size, &v->registers) == 0) {
		v->registers_bytes = (size_t)info.size;
		v->doorbell = (void *)((uint8_t *)v->registers +
				       VFIO_REG_DOORBELL);
	}
	return 0;
}

static int vfio_setup_memory(struct vfio *v)
{
	struct vfio_region_info info;
	int rc;

	rc = vfio_region(v, VFIO_WINDOW_BAR, &info);
	if (rc == 0 && info.size > SIZE_MAX)
		rc = -EFBIG;
	if (rc == 0)
		rc = vfio_map(v, &info, (size_t)info.size, &v->memory);
	if (rc == 0)
		v->memory_bytes = (size_t)info.size;
	return rc;
}

/* --- interrupts ----------------------------------------------------------- */

/* Write interrupts [start, start + nr) of @index to @fds.  As the ioctl. */
static int vfio_set_irqs(struct vfio *v, uint32_t index, uint32_t start,
			 uint32_t nr, const int *fds)
{
	struct vfio_irq_set *set;
	size_t fds_len = nr * sizeof(int);
	int rc;

	set = calloc(1, sizeof(*set) + fds_len);
	if (!set)
		return -ENOMEM;
	set->argsz = (uint32_t)(sizeof(*set) + fds_len);
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = index;
	set->start = start;
	set->count = nr;
	memcpy(set->data, fds, fds_len);
	rc = ioctl(v->device, VFIO_DEVICE_SET_IRQS, set);
	if (rc < 0)
		rc = -errno;
	free(set);
	return rc;
}

static int vfio_set_vectors(struct vfio *v, uint32_t start, uint32_t nr)
{
	return vfio_set_irqs(v, VFIO_PCI_MSIX_IRQ_INDEX, start, nr,
			     &v->vector[start]);
}

static int vfio_vector(void *access, uint32_t number)
{
	struct vfio *v = access;
	int fd, rc;

	if (number >= v->nr_vectors)
		return -ENOENT;
	if (v->vector[number] >= 0)
		return v->vector[number];
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	v->vector[number] = fd;
	rc = vfio_set_vectors(v, number, 1);
	if (rc == 0)
		return fd;
	close(fd);
	v->vector[number] = -1;
	pvio_log_limited(&v->window->log_limit, PVIO_LOG_ERROR,
			 "window %s: interrupt %u: %s", v->window->place,
			 number, strerror(rc < 0 ? -rc : ENOSPC));
	return rc < 0 ? rc : -ENOSPC;
}

static int vfio_setup_vectors(struct vfio *v)
{
	struct vfio_irq_info info = { .argsz = sizeof(info),
				      .index = VFIO_PCI_MSIX_IRQ_INDEX };
	uint32_t i, nr;
	int rc;

	if (ioctl(v->device, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0)
		return -errno;
	nr = (uint32_t)pvio_min(info.count, WINDOW_MAX_VECTORS);
	if (nr == 0)
		return -ENODEV;
	v->vector = malloc(nr * sizeof(*v->vector));
	if (!v->vector)
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		v->vector[i] = -1;
	rc = vfio_set_vectors(v, 0, nr);
	/* Not so many: that is how many there could be. */
	if (rc > 0 && (uint32_t)rc < nr) {
		nr = (uint32_t)rc;
		rc = vfio_set_vectors(v, 0, nr);
	}
	if (rc != 0)
		return rc < 0 ? rc : -ENOSPC;
	v->nr_vectors = nr;
	return 0;
}

/* --- the function comes and goes ------------------------------------------ */

static void vfio_let_go(struct vfio *v)
{
	uint32_t i;

	if (v->request_event)
		event_free(v->request_event);
	v->request_event = NULL;
	if (v->memory)
		munmap(v->memory, v->memory_bytes);
	if (v->registers)
		munmap(v->registers, v->registers_bytes);
	v->memory = v->registers = NULL;
	v->doorbell = NULL;
	/* Its interrupts end with it. */
	if (v->device >= 0)
		close(v->device);
	if (v->group >= 0)
		close(v->group);
	if (v->container >= 0)
		close(v->container);
	if (v->request >= 0)
		close(v->request);
	v->container = v->group = v->device = v->request = -1;
	for (i = 0; i < v->nr_vectors; i++)
		if (v->vector[i] >= 0)
			close(v->vector[i]);
	free(v->vector);
	v->vector = NULL;
	v->nr_vectors = 0;
}

/* The kernel asks again and again; we have heard. */
static void vfio_requested(evutil_socket_t fd, short what, void *arg)
{
	struct vfio *v = arg;

	(void)fd;
	(void)what;
	event_free(v->request_event);
	v->request_event = NULL;
	window_left(v->window);
}

static int vfio_watch(struct vfio *v)
{
	v->request = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->request < 0)
		return -errno;
	v->request_event = event_new(pvio_worker_base(v->window->control),
				     v->request, EV_READ, vfio_requested, v);
	if (!v->request_event || event_add(v->request_event, NULL) < 0)
		return -ENOMEM;
	return vfio_set_irqs(v, VFIO_PCI_REQ_IRQ_INDEX, 0, 1, &v->request);
}

/* Take the window.  -errno: it is as it was before, and *what is missing. */
static int vfio_take(struct vfio *v, const char **what)
{
	const struct vfio_function *function;
	int rc;

	*what = "VFIO";
	rc = vfio_open_device(v, v->window->place);
	if (rc == 0) {
		*what = "not a window";
		rc = vfio_setup_function(v, &function);
	}
	if (rc == 0) {
		*what = "registers";
		rc = vfio_setup_registers(v, function->register_bar);
	}
	if (rc == 0) {
		*what = "memory";
		rc = vfio_setup_memory(v);
	}
	if (rc == 0) {
		*what = "interrupts";
		rc = vfio_setup_vectors(v);
	}
	if (rc == 0)
		rc = vfio_watch(v);
	if (rc == 0)
		rc = window_came(v->window, -1, v->memory, v->memory_bytes);
	if (rc < 0)
		vfio_let_go(v);
	return rc;
}

static void vfio_look_later(struct vfio *v)
{
	const struct timeval interval = { .tv_sec = VFIO_LOOK_INTERVAL_S };

	event_add(v->look_event, &interval);
}

static void vfio_look(evutil_socket_t fd, short what, void *arg)
{
	const char *missing;
	struct vfio *v = arg;

	(void)fd;
	(void)what;
	if (vfio_take(v, &missing) < 0)
		vfio_look_later(v);
}

/* --- the window's --------------------------------------------------------- */

static void vfio_ring(void *access, uint32_t value)
{
	struct vfio *v = access;
	uint32_t wire = htole32(value);
	ssize_t n;

	/* Used entries are there before who is told of them looks. */
	pvio_full_fence();
	if (v->doorbell) {
		pvio_store_once(v->doorbell, wire);
		return;
	}
	n = pwrite(v->device, &wire, sizeof(wire), (off_t)v->doorbell_at);
	(void)n;
}

static void vfio_again(void *access)
{
	struct vfio *v = access;

	vfio_let_go(v);
	vfio_look_later(v);
}

static void vfio_close(void *access)
{
	struct vfio *v = access;

	vfio_let_go(v);
	if (v->look_event)
		event_free(v->look_event);
	free(v);
}

/*
 * Linux maps what is behind VFIO as device memory.  On arm64 that faults where
 * an access is not aligned, and at DC ZVA: memcpy() and memset() do both.
 */
static bool vfio_is_memory(void)
{
#ifdef __aarch64__
	return false;
#else
	return true;
#endif
}

static int vfio_open(struct window *w, const char *place, void **access)
{
	const char *what = "VFIO";
	int rc = -ENOMEM;
	struct vfio *v;

	if (!vfio_is_memory()) {
		pvio_log(PVIO_LOG_ERROR,
			 "window %s: on arm64 VFIO maps it as device memory, "
			 "which faults: bind the module pvio_window to it",
			 place);
		return -ENOTSUP;
	}
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->window = w;
	v->container = v->group = v->device = v->request = -1;
	v->look_event = event_new(pvio_worker_base(w->control), -1, 0,
				  vfio_look, v);
	if (v->look_event)
		rc = vfio_take(v, &what);
	if (rc < 0) {
		pvio_log(PVIO_LOG_ERROR, "window %s: %s: %s", place, what,
			 strerror(-rc));
		vfio_close(v);
		return rc;
	}
	*access = v;
	return 0;
}

const struct window_access_ops window_vfio_ops = {
	.name	= "vfio",
	.open	= vfio_open,
	.close	= vfio_close,
	.again	= vfio_again,
	.vector	= vfio_vector,
	.ring	= vfio_ring,
};
