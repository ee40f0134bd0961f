/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doorbell.c - doorbells that nobody traps
 *
 *	trap	a driver's kick leaves the guest, and the client sends it
 *	poll	a driver's kick is a store to a page of ours, which goes
 *		unnoticed: the card looks at its rings instead
 *
 * The page is a file that the client maps.  It cannot shrink under it, and has
 * the whole region's size, so that offsets in both are the same.  No byte of
 * the rest of it means anything, and none of it is read.
 *
 * Workers that poll for ever are the fast way, and the default with this.  For
 * those that were told to sleep a slow clock looks at every ring.
 *
 * The two are never mixed: as soon as one region can be mapped QEMU waits for
 * the answer to every write, which is several times as slow as posting it.
 */
#include "vfio-user.h"

#include "core/memfd.h"

#include <errno.h>
#include <event2/event.h>
#include <unistd.h>

#define DOORBELL_INTERVAL_US 1000

static void doorbell_look(evutil_socket_t fd, short what, void *arg)
{
	struct vfu *vfu = arg;

	(void)fd;
	(void)what;
	vfu->pci->ops->look(vfu->pci);
}

void vfu_doorbell_watch(struct vfu *vfu, bool is_on)
{
	const struct timeval interval = { .tv_usec = DOORBELL_INTERVAL_US };

	if (!vfu->poll_event)
		return;
	if (is_on)
		event_add(vfu->poll_event, &interval);
	else
		event_del(vfu->poll_event);
}

int vfu_doorbell_init(struct vfu *vfu)
{
	const struct pci_card_ops *card = vfu->pci->ops;

	vfu->doorbell_fd = -1;
	if (vfu->doorbell != VFU_DOORBELL_POLL)
		return 0;
	/* The page next to it must stay trapped. */
	if ((uint64_t)sysconf(_SC_PAGESIZE) > card->doorbell_bytes)
		return -EOPNOTSUPP;
	vfu->doorbell_fd = pvio_memfd_create("pvio-doorbell", card->bar_bytes);
	if (vfu->doorbell_fd < 0)
		return vfu->doorbell_fd;
	vfu->poll_event = event_new(vfu->base, -1, EV_PERSIST, doorbell_look,
				    vfu);
	if (!vfu->poll_event) {
		vfu_doorbell_fini(vfu);
		return -ENOMEM;
	}
	return 0;
}

void vfu_doorbell_fini(struct vfu *vfu)
{
	if (vfu->poll_event)
		event_free(vfu->poll_event);
	vfu->poll_event = NULL;
	if (vfu->doorbell_fd >= 0)
		close(vfu->doorbell_fd);
	vfu->doorbell_fd = -1;
}
