/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * embed-pci.c - a VMM's side of a virtio PCI disk
 *
 * The device has threads of its own; the VMM lends it memory, passes on the
 * guest's accesses, and carries interrupts by eventfd.  The part of the guest
 * is played by the PCI driver in guest/, which knows the function only by the
 * accesses that this file passes on.
 *
 *	$ examples/embed-pci
 *	sector 0 says: Hello from the guest
 */
#include <pvio/pvio.h>

#include "guest/device-pci.h"

#include <linux/virtio_blk.h>
#include <stdio.h>
#include <string.h>

/* --- what a VMM routes, on whatever thread the guest's access comes ------- */

static int config_read(void *pci, size_t offset, void *buf, size_t len)
{
	pvio_pci_config_read(pci, offset, buf, len);
	return 0;
}

static int config_write(void *pci, size_t offset, const void *buf, size_t len)
{
	pvio_pci_config_write(pci, offset, buf, len);
	return 0;
}

static int bar_read(void *pci, unsigned int bar, uint64_t offset, void *buf,
		    size_t len)
{
	pvio_pci_bar_read(pci, bar, offset, buf, len);
	return 0;
}

static int bar_write(void *pci, unsigned int bar, uint64_t offset,
		     const void *buf, size_t len)
{
	pvio_pci_bar_write(pci, bar, offset, buf, len);
	return 0;
}

/* On KVM @fd is an irqfd, and this goes with a route (pvio/kvm.h). */
static int set_vector_fd(void *pci, unsigned int vector, int fd)
{
	return pvio_pci_set_vector_fd(pci, vector, fd);
}

static const struct guest_pci_access bus = {
	.config_read = config_read, .config_write = config_write,
	.bar_read = bar_read, .bar_write = bar_write,
	.set_vector_fd = set_vector_fd,
};

/* --- what a guest does with its disk ------------------------------------- */

struct request {
	struct virtio_blk_outhdr header; /* sector 0 */
	char sector[512];
	uint8_t status;
};

static int transfer(struct guest_device *gd, struct request *request,
		    uint64_t gpa, uint32_t type)
{
	unsigned int nr_readable = type == VIRTIO_BLK_T_IN ? 1 : 2;
	struct guest_segment segments[] = {
		{ gpa + offsetof(struct request, header), 16 },
		{ gpa + offsetof(struct request, sector), 512 },
		{ gpa + offsetof(struct request, status), 1 },
	};

	request->header.type = type;
	request->status = 0xff;
	if (guest_device_transfer(gd, 0, segments, nr_readable,
				  3 - nr_readable) < 0)
		return -1;
	return request->status == VIRTIO_BLK_S_OK ? 0 : -1;
}

static int guest_run(struct guest_device *gd, struct guest_memory *ram)
{
	struct request *request;
	uint64_t gpa;

	request = guest_alloc(ram, sizeof(*request), 16, &gpa);
	if (guest_device_negotiate(gd, (uint64_t[2]){ 0, 0 }) < 0 ||
	    guest_device_setup_queue(gd, 0, 16) < 0 ||
	    guest_device_start(gd) < 0)
		return -1;
	strcpy(request->sector, "Hello from the guest");
	if (transfer(gd, request, gpa, VIRTIO_BLK_T_OUT) < 0)
		return -1;
	memset(request->sector, 0, sizeof(request->sector));
	if (transfer(gd, request, gpa, VIRTIO_BLK_T_IN) < 0)
		return -1;
	printf("sector 0 says: %.511s\n", request->sector);
	return 0;
}

int main(void)
{
	static const struct pvio_option disk_options[] = {
		{ "model", "block" },
		{ "backend.type", "memory" }, { "backend.size", "1M" },
		{ "transport.type", "pci" }, { NULL, NULL },
	};
	struct pvio_worker *control = NULL, *io = NULL;
	struct pvio_memory *memory = NULL;
	struct pvio_device *disk = NULL;
	struct guest_device *gd = NULL;
	struct guest_memory ram;
	int failed = 1;

	guest_memory_init(&ram);
	if (guest_memory_add(&ram, 0, 1 << 20) < 0 ||
	    pvio_worker_create("control", &control) < 0 ||
	    pvio_worker_create("io", &io) < 0 ||
	    pvio_worker_start(io) < 0 || pvio_worker_start(control) < 0 ||
	    pvio_device_create_options("disk", disk_options, control, &io, 1,
				       &disk) < 0 ||
	    pvio_memory_create(&memory) < 0 ||
	    pvio_memory_add(memory, 0, 1 << 20, ram.region[0].host) < 0 ||
	    pvio_device_set_memory_list(disk, memory) < 0 ||
	    pvio_device_start(disk) < 0)
		goto out;

	/* The machine is on: the guest's driver finds a PCI function. */
	if (guest_device_open_pci_access(&bus, pvio_pci_of(disk), &ram,
					 &(struct guest_pci_options){ 0 },
					 &gd) == 0)
		failed = guest_run(gd, &ram) < 0;
	guest_device_close(gd);
out:
	/* ... and off: devices, then workers, then memory. */
	pvio_device_destroy(disk);
	pvio_worker_destroy(io);
	pvio_worker_destroy(control);
	pvio_memory_destroy(memory);
	guest_memory_fini(&ram);
	return failed;
}
