/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * messages.c - the commands of a client, and what each may carry
 *
 * The table is the access check: a command that no row describes, or whose
 * payload or number of file descriptors is not the row's, never reaches a
 * handler.  It is refused, its fds are closed, and the connection goes on;
 * unless the two sides have not agreed on a version, which comes first.
 *
 * A refused command that wanted no reply gets none: it is counted, and the
 * order of the others stays.
 */
#include "vfio-user.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct vfu_row {
	uint16_t command;
	const char *name;
	uint32_t min_size, max_size; /* payload bytes */
	uint8_t max_fds;
	int (*handle)(struct vfu_session *s, struct vfu_message *msg);
};

int vfu_refuse(struct vfu_session *s, int rc, const char *fmt, ...)
{
	char why[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	pvio_log_limited(&s->vfu->log_limit, PVIO_LOG_WARNING,
			 "%s: vfio-user: %s refused: %s",
			 s->vfu->pci->name,
			 s->row ? s->row->name : "command", why);
	return rc;
}

static int get_info(struct vfu_session *s, struct vfu_message *msg)
{
	struct vfu_device_info info;

	memcpy(&info, msg->payload, sizeof(info));
	if (info.argsz < sizeof(info))
		return vfu_refuse(s, -EINVAL, "argsz %u", info.argsz);
	info = (struct vfu_device_info){
		.argsz = sizeof(info),
		.flags = VFU_DEVICE_RESETS | VFU_DEVICE_PCI,
		.num_regions = VFU_NR_REGIONS,
		.num_irqs = VFU_NR_IRQS,
	};
	vfu_reply(s, &info, sizeof(info), -1);
	return VFU_REPLIED;
}

static void is_reset(void *arg, int rc)
{
	struct vfu_session *s = arg;

	vfu_irqs_review(s->vfu);
	vfu_message_done(s, rc);
}

static int reset(struct vfu_session *s, struct vfu_message *msg)
{
	(void)msg;
	pci_reset(s->vfu->pci, is_reset, s);
	return VFU_LATER;
}

/* Migration and dirty logs: the client finds out that there are none. */
static int not_supported(struct vfu_session *s, struct vfu_message *msg)
{
	(void)s;
	(void)msg;
	return -ENOTSUP;
}

#define ROW(command_, min_, max_, max_fds_, fn_)                        \
	{                                                               \
		VFU_##command_, #command_, min_, max_, max_fds_, fn_    \
	}
#define ANY VFU_MAX_PAYLOAD_BYTES

static const struct vfu_row rows[] = {
	/* command, payload bytes, fds, handler */
	ROW(VERSION, 4, ANY, 0, vfu_version),
	ROW(DMA_MAP, 32, 32, 1, vfu_dma_map),
	ROW(DMA_UNMAP, 24, ANY, 0, vfu_dma_unmap),
	ROW(DEVICE_GET_INFO, 16, ANY, 0, get_info),
	ROW(GET_REGION_INFO, 32, ANY, 0, vfu_get_region_info),
	ROW(GET_REGION_IO_FDS, 16, ANY, 0, vfu_get_region_io_fds),
	ROW(GET_IRQ_INFO, 16, ANY, 0, vfu_get_irq_info),
	ROW(SET_IRQS, 20, 20 + PVIO_MSIX_MAX_VECTORS, VFU_MAX_MSG_FDS,
	    vfu_set_irqs),
	ROW(REGION_READ, 16, 16, 0, vfu_region_read),
	ROW(REGION_WRITE, 16, ANY, 0, vfu_region_write),
	ROW(DEVICE_RESET, 0, 0, 0, reset),
	ROW(REGION_WRITE_MULTI, 8, ANY, 0, vfu_region_write_multi),
	ROW(DEVICE_FEATURE, 8, ANY, 0, not_supported),
	ROW(MIG_DATA_READ, 8, ANY, 0, not_supported),
	ROW(MIG_DATA_WRITE, 8, ANY, 0, not_supported),
};

static const struct vfu_row *row_find(uint16_t command)
{
	size_t i;

	for (i = 0; i < pvio_array_size(rows); i++)
		if (rows[i].command == command)
			return &rows[i];
	return NULL;
}

static int row_check(struct vfu_session *s, const struct vfu_message *msg)
{
	const struct vfu_row *row = s->row;

	if (!row)
		return vfu_refuse(s, -ENOSYS, "%u is not known",
				  msg->header.command);
	if (msg->size < row->min_size || msg->size > row->max_size)
		return vfu_refuse(s, -EINVAL, "%zu bytes of payload",
				  msg->size);
	if (msg->fds.are_lost || msg->fds.nr > row->max_fds)
		return vfu_refuse(s, -EINVAL, "%u file descriptors%s",
				  msg->fds.nr,
				  msg->fds.are_lost ? " and more" : "");
	return 0;
}

void vfu_message_handle(struct vfu_session *s)
{
	struct vfu_message *msg = &s->wire.message;
	int rc;

	s->row = row_find(msg->header.command);
	pvio_log(PVIO_LOG_DEBUG, "%s: vfio-user: %s, %zu bytes, %u fds",
		 s->vfu->pci->name, s->row ? s->row->name : "?",
		 msg->size, msg->fds.nr);
	rc = row_check(s, msg);
	if (!s->has_version && (rc < 0 || s->row->command != VFU_VERSION)) {
		if (rc == 0)
			rc = vfu_refuse(s, -EINVAL, "before VERSION");
		vfu_reply_error(s, rc);
		rc = VFU_CLOSE;
	}
	if (rc == 0)
		rc = s->row->handle(s, msg);
	if (rc != VFU_LATER)
		vfu_message_done(s, rc);
}
