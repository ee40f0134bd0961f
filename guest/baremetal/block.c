/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block.c - fill a whole disk, flush it, read it back
 *
 * What word i of the disk (64 bits) says: i + seed in its low half, and the
 * complement of that in its high half, so that whoever reads the image from
 * outside can tell whether each is in its place.  On the command line are
 * seed=N, depth=N for how many requests at a time, disk=read to read only, and
 * wait=interrupt for one request at a time and an interrupt for each.
 */
#include "virtio.h"

#include "core/util.h"
#include "core/virtio.h"

#define QUEUE_SIZE   16
#define SLOTS        4 /* requests at a time, at most: 3 descriptors each */
#define CHUNK_BYTES  4096u
#define SECTOR_BYTES 512u
/* From one word to the next: low half 1 more, high half 1 less. */
#define WORD_STEP    0xffffffff00000001u

struct slot {
	struct virtio_blk_outhdr header;
	uint8_t status;
	bool is_busy;
	uint64_t sector;
	uint32_t bytes;  /* of data */
	uint32_t answer; /* bytes the device is to have written */
	uint64_t *data;
};

struct disk {
	struct bare_queue *queue;
	uint64_t bytes;
	uint32_t seed;
	unsigned int depth, requests;
	bool by_interrupt;
	struct slot slot[SLOTS];
};

static uint64_t disk_word(const struct disk *disk, uint64_t sector)
{
	uint32_t low = (uint32_t)(sector * (SECTOR_BYTES / 8)) + disk->seed;

	return low | (uint64_t)~low << 32;
}

static void slot_fill(const struct disk *disk, struct slot *slot)
{
	uint64_t word = disk_word(disk, slot->sector), *at = slot->data;
	uint64_t *end = at + slot->bytes / 8;

	for (; at < end; at++, word += WORD_STEP)
		*at = word;
}

static void slot_compare(const struct disk *disk, const struct slot *slot)
{
	uint64_t word = disk_word(disk, slot->sector), *at = slot->data;
	uint64_t *end = at + slot->bytes / 8;

	for (; at < end; at++, word += WORD_STEP) {
		if (*at != word)
			bare_fail("disk: sector %lx + %lx says %lx, not %lx",
				  slot->sector,
				  (uint64_t)((at - slot->data) * 8), *at, word);
	}
}

/* What is there from before must not pass for what is to be read. */
static void slot_spoil(struct slot *slot)
{
	uint32_t at;

	for (at = 0; at < slot->bytes; at += SECTOR_BYTES)
		slot->data[at / 8] = 0;
}

/* Publish what was submitted, and wait for one answer. */
static void disk_reap(struct disk *disk)
{
	struct slot *slot;
	uint32_t len;

	if (disk->by_interrupt) {
		slot = bare_queue_exchange(disk->queue, &len);
	} else {
		bare_queue_publish(disk->queue);
		slot = bare_queue_wait(disk->queue, &len);
	}
	if (slot->status != VIRTIO_BLK_S_OK)
		bare_fail("disk: request %u at %lx: status %u",
			  slot->header.type, slot->sector, slot->status);
	if (len != slot->answer)
		bare_fail("disk: request %u at %lx: %u bytes written, not %u",
			  slot->header.type, slot->sector, len, slot->answer);
	if (slot->header.type == VIRTIO_BLK_T_IN)
		slot_compare(disk, slot);
	slot->is_busy = false;
}

static void disk_submit(struct disk *disk, struct slot *slot, uint32_t type)
{
	bool reads = type == VIRTIO_BLK_T_IN;
	struct guest_segment seg[3] = {
		{ (uintptr_t)&slot->header, sizeof(slot->header) },
		{ (uintptr_t)slot->data, slot->bytes },
		{ (uintptr_t)&slot->status, 1 },
	};
	unsigned int nr = 3;

	if (slot->bytes == 0) {
		seg[1] = seg[2];
		nr = 2;
	}
	slot->header.type = type;
	slot->header.sector = slot->sector;
	slot->status = 0xff;
	slot->is_busy = true;
	slot->answer = reads ? slot->bytes + 1 : 1;
	bare_queue_add(disk->queue, seg, reads ? 1 : nr - 1, reads ? nr - 1 : 1,
		       slot);
	disk->requests++;
}

/* A slot to use, after the answer to an older request if all are busy. */
static struct slot *disk_slot(struct disk *disk)
{
	unsigned int i;

	for (;;) {
		for (i = 0; i < disk->depth; i++) {
			if (!disk->slot[i].is_busy)
				return &disk->slot[i];
		}
		disk_reap(disk);
	}
}

static void disk_settle(struct disk *disk)
{
	while (guest_ring_outstanding(disk->queue->ring))
		disk_reap(disk);
}

static void disk_pass(struct disk *disk, uint32_t type)
{
	uint64_t at;

	for (at = 0; at < disk->bytes; at += CHUNK_BYTES) {
		struct slot *slot = disk_slot(disk);

		slot->sector = at / SECTOR_BYTES;
		slot->bytes = (uint32_t)pvio_min(CHUNK_BYTES, disk->bytes - at);
		if (type == VIRTIO_BLK_T_OUT)
			slot_fill(disk, slot);
		else
			slot_spoil(slot);
		disk_submit(disk, slot, type);
	}
	disk_settle(disk);
}

static void disk_flush(struct disk *disk)
{
	struct slot *slot = disk_slot(disk);

	slot->sector = 0;
	slot->bytes = 0;
	disk_submit(disk, slot, VIRTIO_BLK_T_FLUSH);
	disk_settle(disk);
}

void bare_block_test(struct bare_device *dev, const struct boot_info *boot)
{
	struct disk disk = {
		.seed = (uint32_t)bare_option_number(boot, "seed", 0),
		.depth = (uint32_t)bare_option_number(boot, "depth", SLOTS),
	};
	struct bare_queue *queue;
	unsigned int i;

	disk.by_interrupt = bare_option_is(bare_option(boot, "wait"),
					   "interrupt");
	if (disk.by_interrupt)
		disk.depth = 1;
	if (disk.depth == 0 || disk.depth > SLOTS)
		bare_fail("depth=%u", disk.depth);
	disk.bytes = (dev->ops->read_config32(dev, 0) |
		      (uint64_t)dev->ops->read_config32(dev, 4) << 32) *
		     SECTOR_BYTES;
	for (i = 0; i < SLOTS; i++)
		disk.slot[i].data = bare_alloc(CHUNK_BYTES, BARE_PAGE_BYTES);
	queue = disk.queue = bare_queue_setup(dev, 0, QUEUE_SIZE);
	bare_device_start(dev);

	if (!bare_option_is(bare_option(boot, "disk"), "read")) {
		disk_pass(&disk, VIRTIO_BLK_T_OUT);
		if (dev->features & PVIO_BIT(VIRTIO_BLK_F_FLUSH))
			disk_flush(&disk);
	}
	disk_pass(&disk, VIRTIO_BLK_T_IN);
	bare_device_stop(dev);
	bare_print("ok disk: bytes=%u requests=%u kicks=%u sleeps=%u "
		   "interrupts=%u\n",
		   (unsigned int)disk.bytes, disk.requests, queue->kicks,
		   queue->sleeps, bare_queue_interrupts(queue));
}
