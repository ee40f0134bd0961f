/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * regions.c - BARs and configuration space, read and written by messages
 *
 *	region 0   MSI-X table and pending bits.  The client keeps the table and
 *	           shows the guest its own; it may read the pending bits
 *	region n   the card's registers; the page of its doorbells can be mapped
 *	           when those are polled, and nothing can otherwise
 *	region m   the card's window, if it has one: all of it can be mapped
 *	region 7   configuration space, 4096 bytes.  The client emulates some of
 *	           it, and forwards what is written there too
 *
 * Regions that the function does not have exist, and are empty.
 */
#include "vfio-user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t region_size(const struct vfu *vfu, uint32_t index)
{
	if (index == VFU_REGION_CONFIG)
		return PCI_CONFIG_BYTES;
	return index < PVIO_PCI_NR_BARS ? pci_bar_size(vfu->pci, index) : 0;
}

/* --- what there is ------------------------------------------------------- */

/*
 * A client whose structure has no room for the capability asks again with more.
 * The file goes with either answer, since QEMU takes it from the last, and
 * closes that of the first; and so does the capability's place, which QEMU looks
 * at even where there is none yet.
 */
static void region_reply_mappable(struct vfu_session *s, uint32_t argsz,
				  const struct vfu_region_info *info,
				  struct vfu_sparse_area area, int fd)
{
	struct {
		struct vfu_region_info info;
		/* struct vfu_sparse_mmap, with one area */
		struct vfu_capability header;
		uint32_t nr_areas, reserved;
		struct vfu_sparse_area area;
	} reply = {
		.info = *info,
		.header = {
			.id = VFU_CAP_SPARSE_MMAP,
			.version = VFU_CAP_SPARSE_MMAP_VERSION,
		},
		.nr_areas = 1,
		.area = area,
	};
	size_t len = argsz < sizeof(reply) ? sizeof(reply.info) : sizeof(reply);

	reply.info.argsz = sizeof(reply);
	reply.info.flags |= VFU_REGION_MAPPABLE | VFU_REGION_HAS_CAPS;
	reply.info.cap_offset = sizeof(reply.info);
	vfu_reply(s, &reply, len, fd);
}

static void region_reply(struct vfu_session *s, uint32_t argsz,
			 struct vfu_region_info *info)
{
	const struct pvio_pci *pci = s->vfu->pci;
	const struct vfu_sparse_area doorbells = {
		pci->ops->doorbell_offset, pci->ops->doorbell_bytes
	};
	const struct vfu_sparse_area window = { 0, pci->window.bytes };

	if (info->index == pci->ops->bar && s->vfu->doorbell_fd >= 0) {
		region_reply_mappable(s, argsz, info, doorbells,
				      s->vfu->doorbell_fd);
	} else if (info->index == pci->window.bar && window.size > 0) {
		info->offset = pci->window.offset;
		region_reply_mappable(s, argsz, info, window, pci->window.fd);
	} else {
		vfu_reply(s, info, sizeof(*info), -1);
	}
}

int vfu_get_region_info(struct vfu_session *s, struct vfu_message *msg)
{
	struct vfu_region_info info;
	uint32_t argsz;

	memcpy(&info, msg->payload, sizeof(info));
	argsz = info.argsz;
	if (argsz < sizeof(info) || info.index >= VFU_NR_REGIONS)
		return vfu_refuse(s, -EINVAL, "region %u, argsz %u",
				  info.index, argsz);
	info = (struct vfu_region_info){
		.argsz = sizeof(info),
		.index = info.index,
		.size = region_size(s->vfu, info.index),
	};
	if (info.size > 0)
		info.flags = VFU_REGION_READABLE | VFU_REGION_WRITABLE;
	region_reply(s, argsz, &info);
	return VFU_REPLIED;
}

/* No part of a region has a descriptor that would stand for writing to it. */
int vfu_get_region_io_fds(struct vfu_session *s, struct vfu_message *msg)
{
	struct vfu_region_io_fds io;

	memcpy(&io, msg->payload, sizeof(io));
	if (io.argsz < sizeof(io) || io.index >= VFU_NR_REGIONS || io.flags)
		return vfu_refuse(s, -EINVAL, "region %u, argsz %u, flags 0x%x",
				  io.index, io.argsz, io.flags);
	io = (struct vfu_region_io_fds){
		.argsz = sizeof(io),
		.index = io.index,
	};
	vfu_reply(s, &io, sizeof(io), -1);
	return VFU_REPLIED;
}

/* --- access -------------------------------------------------------------- */

static int access_check(struct vfu_session *s,
			const struct vfu_region_access *a)
{
	if (a->count == 0 || a->count > VFU_MAX_XFER_BYTES ||
	    !pvio_range_ok(a->offset, a->count, region_size(s->vfu, a->region)))
		return vfu_refuse(s, -EINVAL, "%u bytes at 0x%llx of region %u",
				  a->count, (unsigned long long)a->offset,
				  a->region);
	return 0;
}

int vfu_region_read(struct vfu_session *s, struct vfu_message *msg)
{
	struct vfu_region_access a;
	uint8_t small[sizeof(a) + 64], *reply = small;
	int rc;

	memcpy(&a, msg->payload, sizeof(a));
	rc = access_check(s, &a);
	if (rc < 0)
		return rc;
	if (a.count > sizeof(small) - sizeof(a))
		reply = malloc(sizeof(a) + a.count);
	if (!reply)
		return -ENOMEM;
	memcpy(reply, &a, sizeof(a));
	if (a.region == VFU_REGION_CONFIG)
		pci_config_read(s->vfu->pci, a.offset, reply + sizeof(a),
				a.count);
	else if (!pci_bar_read_fast(s->vfu->pci, a.region, a.offset,
				    reply + sizeof(a), a.count))
		pci_bar_read(s->vfu->pci, a.region, a.offset,
			     reply + sizeof(a), a.count);
	vfu_reply(s, reply, sizeof(a) + a.count, -1);
	if (reply != small)
		free(reply);
	return VFU_REPLIED;
}

/*
 * A driver's memory that is where we cannot reach is the mistake that everybody
 * makes once: say what to do.
 */
static void region_explain(struct vfu_session *s,
			   const struct vfu_region_access *a)
{
	struct pvio_pci *pci = s->vfu->pci;
	uint64_t address[PCI_CARD_MISSED];
	bool is_out_of_reach = false;
	unsigned int i, nr;

	if (a->region != pci->ops->bar || !pci->ops->missed)
		return;
	nr = pci->ops->missed(pci, a->offset, address);
	for (i = 0; i < nr; i++)
		is_out_of_reach |= vfu_dma_is_out_of_reach(s, address[i], 1);
	if (is_out_of_reach)
		pvio_log_limited(&s->vfu->log_limit, PVIO_LOG_ERROR,
				 "%s: vfio-user: the guest's memory is not "
				 "shared with us: the client needs "
				 "memory-backend-memfd,share=on",
				 pci->name);
}

/* A write to a register cannot fail: what makes no sense there is dropped. */
static void region_is_written(void *arg, int rc)
{
	struct vfu_session *s = arg;
	struct vfu_region_access a;

	(void)rc;
	memcpy(&a, s->wire.message.payload, sizeof(a));
	if (a.region == VFU_REGION_CONFIG)
		vfu_irqs_route(s->vfu);
	region_explain(s, &a);
	vfu_reply(s, &a, sizeof(a), -1);
	vfu_message_done(s, VFU_REPLIED);
}

int vfu_region_write(struct vfu_session *s, struct vfu_message *msg)
{
	const uint8_t *data = msg->payload + sizeof(struct vfu_region_access);
	struct vfu_region_access a;
	int rc;

	memcpy(&a, msg->payload, sizeof(a));
	if (a.count != msg->size - sizeof(a))
		return vfu_refuse(s, -EINVAL, "%u bytes, and %zu came", a.count,
				  msg->size - sizeof(a));
	rc = access_check(s, &a);
	if (rc < 0)
		return rc;
	if (a.region == VFU_REGION_CONFIG)
		pci_config_write(s->vfu->pci, a.offset, data, a.count,
				 region_is_written, s);
	else if (pci_bar_write_fast(s->vfu->pci, a.region, a.offset, data,
				    a.count))
		region_is_written(s, 0);
	else
		pci_bar_write(s->vfu->pci, a.region, a.offset, data, a.count,
			      region_is_written, s);
	return VFU_LATER;
}

/* We do not say that we can, so no client may. */
int vfu_region_write_multi(struct vfu_session *s, struct vfu_message *msg)
{
	struct vfu_region_write_multi m;

	memcpy(&m, msg->payload, sizeof(m));
	if (m.count > (msg->size - sizeof(m)) / sizeof(struct vfu_multi_write))
		return vfu_refuse(s, -EINVAL, "%llu writes in %zu bytes",
				  (unsigned long long)m.count, msg->size);
	return vfu_refuse(s, -ENOTSUP, "it was not offered");
}
