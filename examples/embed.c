/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * embed.c - a disk inside a program, and one sector written and read back
 *
 * What a VMM does: make a device from a piece of configuration, hand it the
 * guest's memory, pass on what the guest's driver does to its registers.  The
 * VMM is played by main() and pvio's public API; the guest's driver is played
 * by guest/ring.h, which writes the ring a guest would write.
 *
 *	$ examples/embed
 *	sector 0 says: Hello from the guest
 */
#include <pvio/pvio.h>

#include "guest/ring.h"

#include <endian.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <string.h>

#define RING_SIZE 16
#define RING_AT	  0x1000 /* guest-physical */
#define DATA_AT	  0x8000

static const char config[] =
	"model = \"block\";"
	"backend = { type = \"memory\"; size = \"1M\"; };"
	"transport = { type = \"loopback\"; };";

static uint8_t ram[0x10000] __attribute__((aligned(4096)));

/* What the guest puts into its memory for one request. */
struct request {
	struct virtio_blk_outhdr header;
	char sector[512];
	uint8_t status;
};
static struct request *const request = (struct request *)(ram + DATA_AT);

/* One request from the guest's driver; 0 when the device says it is done. */
static int transfer(struct pvio_loopback *vmm, struct pvio_worker *worker,
		    struct guest_ring *ring, uint32_t type)
{
	unsigned int nr_readable = type == VIRTIO_BLK_T_IN ? 1 : 2;
	struct guest_segment segments[] = {
		{ DATA_AT + offsetof(struct request, header), 16 },
		{ DATA_AT + offsetof(struct request, sector), 512 },
		{ DATA_AT + offsetof(struct request, status), 1 },
	};
	uint32_t written;

	request->header.type = htole32(type); /* of sector 0 */
	request->status = 0xff;
	if (guest_ring_add(ring, segments, nr_readable, 3 - nr_readable,
			   request) < 0)
		return -1;
	if (guest_ring_publish(ring))
		pvio_loopback_kick(vmm, 0);
	/* No threads here: the worker does what is to be done, then returns. */
	while (!guest_ring_reap(ring, &written))
		pvio_worker_step(worker);
	return request->status == VIRTIO_BLK_S_OK ? 0 : -1;
}

/* What a guest's driver does to bring the device up (virtio 1.4, 3.1.1). */
static int bring_up(struct pvio_loopback *vmm, struct guest_ring *ring)
{
	const uint64_t features[2] = { 1ULL << VIRTIO_F_VERSION_1, 0 };
	struct pvio_loopback_queue queue = {
		.size = RING_SIZE,
		.desc = guest_ring_desc(ring),
		.driver = guest_ring_driver(ring),
		.device = guest_ring_device(ring),
		.call_fd = -1, .kick_fd = -1, /* we look, and call */
	};
	uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	pvio_loopback_set_status(vmm, status);
	if (pvio_loopback_set_features(vmm, features) < 0)
		return -1;
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	pvio_loopback_set_status(vmm, status);
	if (pvio_loopback_start_queue(vmm, 0, &queue) < 0)
		return -1;
	pvio_loopback_set_status(vmm, status | VIRTIO_CONFIG_S_DRIVER_OK);
	return 0;
}

int main(void)
{
	struct pvio_worker *worker = NULL;
	struct pvio_device *disk = NULL;
	struct guest_ring *ring = NULL;
	struct pvio_loopback *vmm;
	int failed = 1;

	if (pvio_worker_create("vmm", &worker) < 0 ||
	    pvio_device_create("disk", config, worker, &worker, 1, &disk) < 0 ||
	    pvio_device_start(disk) < 0)
		goto out;
	vmm = pvio_loopback_of(disk);
	if (pvio_loopback_add_memory(vmm, 0, sizeof(ram), ram) < 0 ||
	    guest_ring_create(RING_SIZE, 0, ram + RING_AT, RING_AT, &ring) ||
	    bring_up(vmm, ring) < 0)
		goto out;

	strcpy(request->sector, "Hello from the guest");
	failed = transfer(vmm, worker, ring, VIRTIO_BLK_T_OUT);
	memset(request->sector, 0, sizeof(request->sector));
	failed = failed || transfer(vmm, worker, ring, VIRTIO_BLK_T_IN);
	if (!failed)
		printf("sector 0 says: %.511s\n", request->sector);
out:
	pvio_device_destroy(disk);
	pvio_worker_destroy(worker);
	guest_ring_destroy(ring);
	return failed;
}
