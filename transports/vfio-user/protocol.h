/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * protocol.h - vfio-user as it is on the wire
 *
 * A UNIX stream socket between a client (the VMM, for the driver) and a server
 * (the device).  Messages are a 16-byte header, a payload, and file descriptors
 * that travel with the first byte.  Host byte order.
 *
 *	0     2         4        8        12        16
 *	| id  | command |  size  | flags  | error   | payload ... |
 *
 * The size counts the header too.  A command is answered by a reply of the same
 * id, unless it says NO_REPLY; a reply that says ERROR is a header alone, with
 * an errno in it.  Both sides may send commands; their ids have nothing to do
 * with each other.
 *
 * Numbers and layouts as published in QEMU's docs/interop/vfio-user.rst.
 */
#ifndef PVIO_VFIO_USER_PROTOCOL_H
#define PVIO_VFIO_USER_PROTOCOL_H

#include <assert.h>
#include <stdint.h>

#define VFU_VERSION_MAJOR 0
#define VFU_VERSION_MINOR 0

/* What holds for a side that does not say otherwise in VERSION. */
#define VFU_DEFAULT_MAX_FDS	   1
#define VFU_DEFAULT_MAX_XFER_BYTES (1U << 20)
#define VFU_DEFAULT_MAX_DMA_MAPS   65535
#define VFU_DEFAULT_PAGE_SIZES	   4096

enum vfu_command {
	VFU_VERSION = 1,
	VFU_DMA_MAP = 2,
	VFU_DMA_UNMAP = 3,
	VFU_DEVICE_GET_INFO = 4,
	VFU_GET_REGION_INFO = 5,
	VFU_GET_REGION_IO_FDS = 6,
	VFU_GET_IRQ_INFO = 7,
	VFU_SET_IRQS = 8,
	VFU_REGION_READ = 9,
	VFU_REGION_WRITE = 10,
	VFU_DMA_READ = 11, /* the server's, as is the next */
	VFU_DMA_WRITE = 12,
	VFU_DEVICE_RESET = 13,
	VFU_DIRTY_PAGES = 14, /* withdrawn */
	VFU_REGION_WRITE_MULTI = 15,
	VFU_DEVICE_FEATURE = 16,
	VFU_MIG_DATA_READ = 17,
	VFU_MIG_DATA_WRITE = 18,
};

/* header.flags */
#define VFU_TYPE_MASK	 0xfU
#define VFU_TYPE_COMMAND 0U
#define VFU_TYPE_REPLY	 1U
#define VFU_NO_REPLY	 (1U << 4)
#define VFU_ERROR	 (1U << 5)

struct vfu_header {
	uint16_t id;
	uint16_t command;
	uint32_t size; /* of the message, with this header */
	uint32_t flags;
	uint32_t error;
};

/* VERSION: JSON with its NUL follows. */
struct vfu_version {
	uint16_t major, minor;
};

/* DMA_MAP: with an fd the device maps it, without it must ask for bytes. */
#define VFU_DMA_READABLE (1U << 0)
#define VFU_DMA_WRITABLE (1U << 1)
struct vfu_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t offset; /* in the fd */
	uint64_t iova;
	uint64_t size;
};

#define VFU_DMA_UNMAP_BITMAP (1U << 0) /* withdrawn */
#define VFU_DMA_UNMAP_ALL    (1U << 1) /* of iova 0, size 0 */
struct vfu_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova;
	uint64_t size;
};

#define VFU_DEVICE_RESETS (1U << 0)
#define VFU_DEVICE_PCI	  (1U << 1)
struct vfu_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t num_regions;
	uint32_t num_irqs;
};

/* Regions of a PCI device; 0 to 5 are the BARs. */
enum vfu_region {
	VFU_REGION_ROM = 6,
	VFU_REGION_CONFIG = 7,
	VFU_REGION_VGA = 8,
	VFU_NR_REGIONS = 9,
};

#define VFU_REGION_READABLE  (1U << 0)
#define VFU_REGION_WRITABLE  (1U << 1)
#define VFU_REGION_MAPPABLE  (1U << 2)
#define VFU_REGION_HAS_CAPS  (1U << 3)
struct vfu_region_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t cap_offset; /* of the first capability, from here */
	uint64_t size;
	uint64_t offset; /* in the fd that comes with the reply */
};

struct vfu_capability {
	uint16_t id;
	uint16_t version;
	uint32_t next; /* from the start of the info; 0: the last */
};

#define VFU_CAP_SPARSE_MMAP	    1
#define VFU_CAP_SPARSE_MMAP_VERSION 1
struct vfu_sparse_area {
	uint64_t offset; /* in the region */
	uint64_t size;
};
struct vfu_sparse_mmap {
	struct vfu_capability header;
	uint32_t nr_areas;
	uint32_t reserved;
	struct vfu_sparse_area area[];
};

struct vfu_region_io_fds {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};

enum vfu_irq {
	VFU_IRQ_INTX = 0,
	VFU_IRQ_MSI = 1,
	VFU_IRQ_MSIX = 2,
	VFU_IRQ_ERR = 3,
	VFU_IRQ_REQ = 4,
	VFU_NR_IRQS = 5,
};

#define VFU_IRQ_EVENTFD	   (1U << 0)
#define VFU_IRQ_MASKABLE   (1U << 1)
#define VFU_IRQ_AUTOMASKED (1U << 2)
#define VFU_IRQ_NORESIZE   (1U << 3)
struct vfu_irq_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};

/* SET_IRQS: one kind of data, one action. */
#define VFU_IRQ_DATA_NONE      (1U << 0)
#define VFU_IRQ_DATA_BOOL      (1U << 1)
#define VFU_IRQ_DATA_EVENTFD   (1U << 2)
#define VFU_IRQ_DATA_MASK      0x7U
#define VFU_IRQ_ACTION_MASK    (1U << 3)
#define VFU_IRQ_ACTION_UNMASK  (1U << 4)
#define VFU_IRQ_ACTION_TRIGGER (1U << 5)
#define VFU_IRQ_ACTIONS	       0x38U
struct vfu_irq_set {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t start;
	uint32_t count;
	uint8_t data[]; /* VFU_IRQ_DATA_BOOL: one each */
};

/* REGION_READ and _WRITE; data follows a write, and the answer to a read. */
struct vfu_region_access {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
};

struct vfu_region_write_multi {
	uint64_t count; /* of struct vfu_multi_write */
};
struct vfu_multi_write {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
	uint8_t data[8];
};

/* DMA_READ and _WRITE; data follows as above. */
struct vfu_dma_access {
	uint64_t address;
	uint64_t count;
};

#define VFU_FEATURE_INDEX_MASK 0xffffU
#define VFU_FEATURE_GET	       (1U << 16)
#define VFU_FEATURE_SET	       (1U << 17)
#define VFU_FEATURE_PROBE      (1U << 18)
struct vfu_feature {
	uint32_t argsz;
	uint32_t flags;
};

struct vfu_mig_data {
	uint32_t argsz;
	uint32_t size;
};

static_assert(sizeof(struct vfu_header) == 16, "wire layout");
static_assert(sizeof(struct vfu_version) == 4, "wire layout");
static_assert(sizeof(struct vfu_dma_map) == 32, "wire layout");
static_assert(sizeof(struct vfu_dma_unmap) == 24, "wire layout");
static_assert(sizeof(struct vfu_device_info) == 16, "wire layout");
static_assert(sizeof(struct vfu_region_info) == 32, "wire layout");
static_assert(sizeof(struct vfu_sparse_mmap) == 16, "wire layout");
static_assert(sizeof(struct vfu_region_io_fds) == 16, "wire layout");
static_assert(sizeof(struct vfu_irq_info) == 16, "wire layout");
static_assert(sizeof(struct vfu_irq_set) == 20, "wire layout");
static_assert(sizeof(struct vfu_region_access) == 16, "wire layout");
static_assert(sizeof(struct vfu_multi_write) == 24, "wire layout");
static_assert(sizeof(struct vfu_dma_access) == 16, "wire layout");

#endif
