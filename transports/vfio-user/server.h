/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server.h - a PCI function, served to a vfio-user client
 *
 *	struct pvio_pci  <--borrowed--  struct vfu  <--socket--  client (VMM)
 *
 * For whoever has a function to show.  The client's memory goes to the
 * function's card, messages of MSI-X to the client's eventfds, and a client
 * that leaves takes its memory with it, but nothing of the function's state.
 * All of it is for the function's control worker.
 */
#ifndef PVIO_VFIO_USER_SERVER_H
#define PVIO_VFIO_USER_SERVER_H

#include "core/config.h"
#include "transports/pci/pci.h"

struct vfu;

/*
 * A server of @pci, which is borrowed, has been initialised and outlives it.
 * Reads the keys of pvio_endpoint_read_config(), "timeout_ms" and, if the card
 * has a page of them, "doorbell".  Opens nothing yet.  -EINVAL, -errno.
 */
int vfu_create(struct pvio_pci *pci, struct pvio_config *cfg,
	       struct vfu **vfu);
/* One that has not been started, or was stopped. */
void vfu_destroy(struct vfu *vfu);
/* Does nobody listen to the card's doorbells?  Then it is told to look. */
bool vfu_is_polled(const struct vfu *vfu);

struct vfu_client_ops {
	/*
	 * A client has agreed on a version, or it is gone: then it has no
	 * eventfds any more, nor memory.
	 */
	void (*client)(void *arg, bool is_there);
	/* May one come?  Asked again soon if not. */
	bool (*may_come)(void *arg);
};

/* To be set before there are clients. */
void vfu_watch_clients(struct vfu *vfu, const struct vfu_client_ops *ops,
		       void *arg);

/* Take clients, one at a time.  -errno. */
int vfu_start(struct vfu *vfu);
/*
 * Let the client go, and reset the function.  @done when both is over, which
 * may be before it returns; it may be started again then.
 */
void vfu_stop(struct vfu *vfu, pvio_done_fn *done, void *arg);

/* Facts of connection and function for the stats, as JSON members. */
void vfu_describe(const struct vfu *vfu, char *text, size_t size);

#endif
