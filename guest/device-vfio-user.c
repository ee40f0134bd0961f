/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-vfio-user.c - a device behind a vfio-user socket, ours or a peer's
 *
 * Plays the VMM between guest/pci.c and the server, the way QEMU does: what a
 * VMM emulates by itself is emulated here, so that servers which leave it to
 * her are served too.
 *
 *	open	   VERSION, memory, device, regions, interrupts
 *	BARs	   sizes are the server's, the registers are kept here; writes
 *		   go to the server as well
 *	MSI-X	   the table is kept here: the server is told of eventfds.  A
 *		   vector is masked while it has none
 *	writes	   are posted, unless a region is mapped: then a store to the
 *		   mapping could overtake a write that is on its way
 *	doorbells  posted writes, or stores to the mapping
 *
 * As on a bus, no access fails: what the server refuses is lost, and reads as
 * ones.  Only a server that is gone is an error.
 */
#include "device-vfio-user.h"

#include "core/barrier.h"
#include "core/util.h"
#include "core/worker.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define BAR_OFFSET	  0x10
#define BAR_BYTES	  (4 * GUEST_PCI_NR_BARS)
#define BAR_IO		  0x1
#define BAR_TYPE	  0x6
#define BAR_TYPE_64	  0x4
#define STATUS_OFFSET	  0x06
#define STATUS_CAPS	  0x10
#define CAPS_OFFSET	  0x34
#define CAP_MSIX	  0x11
#define MSIX_CONTROL	  2
#define MSIX_TABLE	  4
#define MSIX_ENABLE	  0x8000
#define MSIX_NR_MASK	  0x07ff
#define MSIX_ENTRY_BYTES  16
#define MAX_CAPABILITIES  48
#define MAX_MSIX_VECTORS  2048
#define MAX_MAPPINGS	  (GUEST_PCI_NR_BARS * GUEST_VFU_MAX_AREAS)

struct mapping {
	unsigned int bar;
	uint64_t offset, size;
	uint8_t *at;
};

struct vfio_user {
	struct guest_vfu vfu;
	bool is_gone; /* atomic */
	const struct guest_memory *mem; /* borrowed */
	uint64_t bar_size[GUEST_PCI_NR_BARS];
	uint32_t bar[GUEST_PCI_NR_BARS];      /* registers, as read */
	uint32_t bar_mask[GUEST_PCI_NR_BARS]; /* bits that can be written */
	struct mapping mapping[MAX_MAPPINGS];
	unsigned int nr_mappings;
	/* 0: no MSI-X */
	unsigned int nr_vectors;
	unsigned int msix_bar, msix_cap;
	uint64_t msix_table;
	bool is_msix_enabled;
	/* What the server was given, to give to the next: owned, or -1. */
	int vector_fd[MAX_MSIX_VECTORS];
	int intx_fd[2]; /* trigger, resample */
};

static void keep_fd(int *kept, int fd)
{
	if (*kept >= 0)
		close(*kept);
	*kept = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* Is it an answer of a server that lives?  Remember if not. */
static int vfio_user_note(struct vfio_user *v, int rc)
{
	if (rc != -EPIPE && rc != -ETIMEDOUT && rc != -EPROTO)
		return 0;
	pvio_store_once(&v->is_gone, true);
	return rc;
}

/* --- configuration space ------------------------------------------------- */

static int vfio_user_config_read(void *arg, size_t offset, void *buf,
				 size_t len)
{
	struct vfio_user *v = arg;
	uint8_t *to = buf;
	size_t i;
	int rc;

	rc = guest_vfu_read(&v->vfu, VFU_REGION_CONFIG, offset, buf, len);
	if (rc < 0)
		memset(buf, 0xff, len);
	for (i = 0; i < len; i++) {
		size_t at = offset + i - BAR_OFFSET;

		if (at < BAR_BYTES)
			to[i] = (uint8_t)(v->bar[at / 4] >> at % 4 * 8);
	}
	return vfio_user_note(v, rc);
}

/* Switching MSI-X off disables the whole index, as QEMU does it. */
static int vfio_user_msix_control(struct vfio_user *v)
{
	uint16_t control = 0;
	bool is_enabled;
	unsigned int i;
	int rc;

	rc = guest_vfu_read(&v->vfu, VFU_REGION_CONFIG,
			    v->msix_cap + MSIX_CONTROL, &control, 2);
	if (rc < 0)
		return rc;
	is_enabled = le16toh(control) & MSIX_ENABLE;
	if (v->is_msix_enabled && !is_enabled) {
		for (i = 0; i < v->nr_vectors; i++)
			keep_fd(&v->vector_fd[i], -1);
		rc = guest_vfu_set_irqs(
			&v->vfu, VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_TRIGGER,
			VFU_IRQ_MSIX, 0, 0, NULL, 0);
	}
	v->is_msix_enabled = is_enabled;
	return rc;
}

static int vfio_user_config_write(void *arg, size_t offset, const void *buf,
				  size_t len)
{
	const uint8_t *from = buf;
	struct vfio_user *v = arg;
	size_t i;
	int rc;

	for (i = 0; i < len; i++) {
		size_t at = offset + i - BAR_OFFSET;
		uint32_t mask;

		if (at >= BAR_BYTES)
			continue;
		mask = v->bar_mask[at / 4] & 0xffu << at % 4 * 8;
		v->bar[at / 4] &= ~mask;
		v->bar[at / 4] |= (uint32_t)from[i] << at % 4 * 8 & mask;
	}
	rc = guest_vfu_write(&v->vfu, VFU_REGION_CONFIG, offset, buf, len);
	if (rc == 0 && v->nr_vectors > 0 &&
	    offset <= v->msix_cap + MSIX_CONTROL + 1 &&
	    offset + len > v->msix_cap + MSIX_CONTROL)
		rc = vfio_user_msix_control(v);
	return vfio_user_note(v, rc);
}

/* --- BARs ---------------------------------------------------------------- */

/* Where @len bytes at @offset of @bar are mapped, or NULL. */
static uint8_t *vfio_user_mapped(const struct vfio_user *v, unsigned int bar,
				 uint64_t offset, size_t len)
{
	unsigned int i;

	for (i = 0; i < v->nr_mappings; i++) {
		const struct mapping *m = &v->mapping[i];

		if (m->bar == bar && offset >= m->offset &&
		    pvio_range_ok(offset - m->offset, len, m->size))
			return m->at + (offset - m->offset);
	}
	return NULL;
}

static bool is_msix_table(const struct vfio_user *v, unsigned int bar,
			  uint64_t offset)
{
	return v->nr_vectors > 0 && bar == v->msix_bar &&
	       offset >= v->msix_table &&
	       offset - v->msix_table < v->nr_vectors * MSIX_ENTRY_BYTES;
}

static int vfio_user_bar_read(void *arg, unsigned int bar, uint64_t offset,
			      void *buf, size_t len)
{
	struct vfio_user *v = arg;
	const uint8_t *at = vfio_user_mapped(v, bar, offset, len);
	int rc;

	if (at) {
		memcpy(buf, at, len);
		return 0;
	}
	rc = guest_vfu_read(&v->vfu, bar, offset, buf, len);
	if (rc < 0)
		memset(buf, 0xff, len);
	return vfio_user_note(v, rc);
}

static int vfio_user_bar_write(void *arg, unsigned int bar, uint64_t offset,
			       const void *buf, size_t len)
{
	struct vfio_user *v = arg;
	uint8_t *at = vfio_user_mapped(v, bar, offset, len);
	int rc;

	if (at) {
		memcpy(at, buf, len);
		return 0;
	}
	if (is_msix_table(v, bar, offset))
		return 0;
	rc = v->nr_mappings > 0
		     ? guest_vfu_write(&v->vfu, bar, offset, buf, len)
		     : guest_vfu_post(&v->vfu, bar, offset, buf, len);
	return vfio_user_note(v, rc);
}

static int vfio_user_find_doorbell(void *arg, unsigned int queue,
				   unsigned int bar, uint64_t offset,
				   struct guest_pci_doorbell *doorbell)
{
	struct vfio_user *v = arg;

	(void)queue;
	doorbell->mapped = vfio_user_mapped(v, bar, offset, 4);
	return doorbell->mapped ? 0 : -ENOTSUP;
}

/* --- interrupts ----------------------------------------------------------- */

/* Tell the server of @fd for one interrupt; -1: none. */
static int vfio_user_assign(struct vfio_user *v, uint32_t action,
			    uint32_t index, uint32_t which, int fd)
{
	int rc;

	rc = guest_vfu_set_irqs(&v->vfu, VFU_IRQ_DATA_EVENTFD | action, index,
				which, 1, &fd, fd < 0 ? 0 : 1);
	(void)vfio_user_note(v, rc);
	return rc;
}

static int vfio_user_set_vector_fd(void *arg, unsigned int vector, int fd)
{
	struct vfio_user *v = arg;
	int rc;

	if (vector >= v->nr_vectors)
		return -EINVAL;
	if (fd < 0 && v->vector_fd[vector] < 0)
		return 0;
	rc = vfio_user_assign(v, VFU_IRQ_ACTION_TRIGGER, VFU_IRQ_MSIX, vector,
			      fd);
	if (rc == 0)
		keep_fd(&v->vector_fd[vector], fd);
	return rc;
}

static int vfio_user_set_intx_fds(void *arg, int trigger, int resample)
{
	struct vfio_user *v = arg;
	int rc;

	rc = vfio_user_assign(v, VFU_IRQ_ACTION_TRIGGER, VFU_IRQ_INTX, 0,
			      trigger);
	if (rc == 0 && (resample >= 0 || v->intx_fd[1] >= 0))
		rc = vfio_user_assign(v, VFU_IRQ_ACTION_UNMASK, VFU_IRQ_INTX, 0,
				      resample);
	if (rc == 0) {
		keep_fd(&v->intx_fd[0], trigger);
		keep_fd(&v->intx_fd[1], resample);
	}
	return rc;
}

/* The interrupts that a server which knows of none is to have. */
static int vfio_user_assign_again(struct vfio_user *v)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < v->nr_vectors && rc == 0; i++)
		if (v->vector_fd[i] >= 0)
			rc = vfio_user_assign(v, VFU_IRQ_ACTION_TRIGGER,
					      VFU_IRQ_MSIX, i,
					      v->vector_fd[i]);
	if (rc == 0 && v->intx_fd[0] >= 0)
		rc = vfio_user_assign(v, VFU_IRQ_ACTION_TRIGGER, VFU_IRQ_INTX,
				      0, v->intx_fd[0]);
	if (rc == 0 && v->intx_fd[1] >= 0)
		rc = vfio_user_assign(v, VFU_IRQ_ACTION_UNMASK, VFU_IRQ_INTX, 0,
				      v->intx_fd[1]);
	return rc;
}

/* --- the connection ------------------------------------------------------ */

static bool vfio_user_step(void *arg)
{
	struct vfio_user *v = arg;
	struct pvio_worker *worker = v->vfu.step;
	bool did = false;
	char byte;

	if (worker && pvio_worker_is_mine(worker))
		did = pvio_worker_step(worker);
	if (v->vfu.fd < 0 ||
	    recv(v->vfu.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		pvio_store_once(&v->is_gone, true);
	return did;
}

/* It says nothing unasked: what is to be seen there is its end. */
static int vfio_user_step_fd(void *arg)
{
	struct vfio_user *v = arg;

	return v->vfu.fd;
}

static bool vfio_user_is_gone(void *arg)
{
	struct vfio_user *v = arg;

	return pvio_load_once(&v->is_gone);
}

static void vfio_user_close(void *arg)
{
	struct vfio_user *v = arg;
	unsigned int i;

	while (v->nr_mappings > 0) {
		struct mapping *m = &v->mapping[--v->nr_mappings];

		munmap(m->at, m->size);
	}
	for (i = 0; i < MAX_MSIX_VECTORS; i++)
		keep_fd(&v->vector_fd[i], -1);
	keep_fd(&v->intx_fd[0], -1);
	keep_fd(&v->intx_fd[1], -1);
	guest_vfu_close(&v->vfu);
	free(v);
}

static const struct guest_pci_access vfio_user_access = {
	.config_read	= vfio_user_config_read,
	.config_write	= vfio_user_config_write,
	.bar_read	= vfio_user_bar_read,
	.bar_write	= vfio_user_bar_write,
	.set_vector_fd	= vfio_user_set_vector_fd,
	.set_intx_fds	= vfio_user_set_intx_fds,
	.find_doorbell	= vfio_user_find_doorbell,
	.step		= vfio_user_step,
	.step_fd	= vfio_user_step_fd,
	.is_gone	= vfio_user_is_gone,
	.close		= vfio_user_close,
};

/* --- open ---------------------------------------------------------------- */

static int map_area(struct vfio_user *v, unsigned int bar,
		    const struct guest_vfu_region *r,
		    const struct vfu_sparse_area *area)
{
	int prot = (r->flags & VFU_REGION_READABLE ? PROT_READ : 0) |
		   (r->flags & VFU_REGION_WRITABLE ? PROT_WRITE : 0);
	struct mapping *m = &v->mapping[v->nr_mappings];
	void *at;

	if (area->size == 0 || v->nr_mappings == MAX_MAPPINGS ||
	    !pvio_range_ok(area->offset, area->size, r->size))
		return -EPROTO;
	at = mmap(NULL, area->size, prot, MAP_SHARED, r->fd,
		  (off_t)(r->offset + area->offset));
	if (at == MAP_FAILED)
		return -errno;
	*m = (struct mapping){ bar, area->offset, area->size, at };
	v->nr_mappings++;
	return 0;
}

static int map_region(struct vfio_user *v, unsigned int bar,
		      const struct guest_vfu_region *r)
{
	const struct vfu_sparse_area whole = { 0, r->size };
	unsigned int i;
	int rc = 0;

	if (!(r->flags & VFU_REGION_MAPPABLE) || r->fd < 0)
		return 0;
	if (!(r->flags & VFU_REGION_HAS_CAPS))
		return map_area(v, bar, r, &whole);
	for (i = 0; i < r->nr_areas && rc == 0; i++)
		rc = map_area(v, bar, r, &r->area[i]);
	return rc;
}

/* What kind of BAR it is says the server's register; how large, the region. */
static int read_bars(struct vfio_user *v)
{
	struct guest_vfu_region region;
	uint32_t value[GUEST_PCI_NR_BARS];
	unsigned int i;
	uint64_t mask;
	int rc = 0;

	rc = guest_vfu_read(&v->vfu, VFU_REGION_CONFIG, BAR_OFFSET, value,
			    sizeof(value));
	for (i = 0; i < GUEST_PCI_NR_BARS && rc == 0; i++) {
		rc = guest_vfu_region_info(&v->vfu, i, &region);
		if (rc < 0)
			break;
		rc = map_region(v, i, &region);
		if (region.fd >= 0)
			close(region.fd);
		v->bar_size[i] = region.size;
		if (region.size == 0)
			continue;
		if (region.size & (region.size - 1))
			return -EPROTO;
		mask = ~(region.size - 1);
		value[i] = le32toh(value[i]);
		v->bar[i] = value[i] & (value[i] & BAR_IO ? 0x3 : 0xf);
		v->bar_mask[i] = (uint32_t)mask &
				 (value[i] & BAR_IO ? ~0x3u : ~0xfu);
		if ((value[i] & (BAR_IO | BAR_TYPE)) == BAR_TYPE_64 &&
		    i + 1 < GUEST_PCI_NR_BARS)
			v->bar_mask[i + 1] = (uint32_t)(mask >> 32);
	}
	return rc;
}

static int find_msix(struct vfio_user *v)
{
	unsigned int left = MAX_CAPABILITIES;
	uint8_t config[256];
	struct vfu_irq_info irq;
	uint32_t table;
	uint16_t control;
	uint8_t cap;
	int rc;

	rc = guest_vfu_read(&v->vfu, VFU_REGION_CONFIG, 0, config,
			    sizeof(config));
	if (rc < 0)
		return rc;
	if (!(config[STATUS_OFFSET] & STATUS_CAPS))
		return 0;
	for (cap = config[CAPS_OFFSET] & 0xfc; cap >= 0x40 && left-- > 0;
	     cap = config[cap + 1] & 0xfc) {
		if (config[cap] != CAP_MSIX || cap > 256 - 12)
			continue;
		memcpy(&control, config + cap + MSIX_CONTROL, sizeof(control));
		memcpy(&table, config + cap + MSIX_TABLE, sizeof(table));
		v->nr_vectors = (le16toh(control) & MSIX_NR_MASK) + 1u;
		v->msix_cap = cap;
		v->msix_bar = le32toh(table) & 7;
		v->msix_table = le32toh(table) & ~7u;
		rc = guest_vfu_irq_info(&v->vfu, VFU_IRQ_MSIX, &irq);
		if (rc == 0 && irq.count < v->nr_vectors)
			return -EPROTO;
		return rc;
	}
	return 0;
}

static int handshake(struct vfio_user *v)
{
	struct vfu_device_info device;
	struct guest_vfu_region config;
	int rc;

	rc = guest_vfu_version(&v->vfu, NULL);
	if (rc == 0)
		rc = guest_vfu_map_memory(&v->vfu, v->mem);
	if (rc == 0)
		rc = guest_vfu_device_info(&v->vfu, &device);
	if (rc < 0)
		return rc;
	if (!(device.flags & VFU_DEVICE_PCI) ||
	    device.num_regions <= VFU_REGION_CONFIG ||
	    device.num_irqs <= VFU_IRQ_MSIX)
		return -EPROTO;
	rc = guest_vfu_region_info(&v->vfu, VFU_REGION_CONFIG, &config);
	if (rc == 0 && config.fd >= 0)
		close(config.fd);
	if (rc == 0 && config.size < 256)
		return -EPROTO;
	if (rc == 0)
		rc = read_bars(v);
	return rc < 0 ? rc : find_msix(v);
}

int guest_device_open_vfio_user_with(const char *path,
				     struct guest_memory *mem,
				     const struct guest_pci_options *options,
				     struct guest_device **gd)
{
	struct vfio_user *v;
	unsigned int i;
	int rc;

	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->vfu.fd = v->intx_fd[0] = v->intx_fd[1] = -1;
	for (i = 0; i < MAX_MSIX_VECTORS; i++)
		v->vector_fd[i] = -1;
	v->mem = mem;
	rc = guest_vfu_connect(&v->vfu, path, options->step);
	if (rc == 0)
		rc = handshake(v);
	if (rc == 0)
		rc = guest_device_open_pci_access(&vfio_user_access, v, mem,
						  options, gd);
	if (rc < 0) {
		vfio_user_close(v);
		return rc == -ETIMEDOUT ? -EPROTO : rc;
	}
	return 0;
}

int guest_device_open_vfio_user(const char *path, struct guest_memory *mem,
				struct guest_device **gd)
{
	const struct guest_pci_options options = { .step = NULL };

	return guest_device_open_vfio_user_with(path, mem, &options, gd);
}

struct guest_vfu *guest_device_vfu(struct guest_device *gd)
{
	struct vfio_user *v = guest_device_pci(gd)->arg;

	return &v->vfu;
}

bool guest_device_vfio_user_is_mapped(struct guest_device *gd)
{
	const struct vfio_user *v = guest_device_pci(gd)->arg;

	return v->nr_mappings > 0;
}

void guest_device_vfio_user_vanish(struct guest_device *gd)
{
	struct vfio_user *v = guest_device_pci(gd)->arg;

	shutdown(v->vfu.fd, SHUT_RDWR);
	pvio_store_once(&v->is_gone, true);
}

int guest_device_vfio_user_return(struct guest_device *gd, const char *path)
{
	struct vfio_user *v = guest_device_pci(gd)->arg;
	struct pvio_worker *step = v->vfu.step;
	int rc;

	guest_vfu_close(&v->vfu);
	rc = guest_vfu_connect(&v->vfu, path, step);
	if (rc == 0)
		rc = guest_vfu_version(&v->vfu, NULL);
	if (rc == 0)
		rc = guest_vfu_map_memory(&v->vfu, v->mem);
	if (rc == 0)
		rc = vfio_user_assign_again(v);
	pvio_store_once(&v->is_gone, rc < 0);
	return rc;
}
