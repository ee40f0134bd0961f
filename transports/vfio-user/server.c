/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server.c - the server of a PCI function: configuration, life
 *
 *	VMM (client)                                pvio (server)
 *	config space, BARs  --- unix socket ------> a PCI function of ours
 *	guest's RAM         --- fds --------------> memory map
 *	driver's kicks      --- messages, or a page both map
 *	interrupts          <-- eventfds ---------- INTx, MSI-X
 *
 * It can do: memory that comes and goes while queues run, also as a vIOMMU maps
 * it; clients that leave and return, and find the device as they left it.  It
 * cannot: migration; memory that comes without a file.
 *
 * Registers, capabilities and their rules are those of transports/pci/; what is
 * here is messages about them.
 */
#include "vfio-user.h"

#include "core/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VFU_DEFAULT_TIMEOUT_MS 10000

static int vfu_read_config(struct vfu *vfu, struct pvio_config *cfg)
{
	static const char *const doorbells[] = { "trap", "poll", NULL };
	unsigned int doorbell = VFU_DOORBELL_TRAP;
	int rc;

	rc = pvio_endpoint_read_config(&vfu->endpoint, cfg);
	if (rc < 0)
		return rc;
	if (pvio_config_uint_opt(cfg, "timeout_ms", 1, 3600000,
				 &vfu->timeout_ms) < 0)
		return -EINVAL;
	if (vfu->pci->ops->doorbell_bytes > 0 &&
	    pvio_config_choice_opt(cfg, "doorbell", doorbells, &doorbell) < 0)
		return -EINVAL;
	vfu->doorbell = (enum vfu_doorbell)doorbell;
	rc = vfu_doorbell_init(vfu);
	if (rc < 0)
		return pvio_config_error(cfg, "doorbell", "cannot poll: %s",
					 strerror(-rc));
	return 0;
}

bool vfu_is_polled(const struct vfu *vfu)
{
	return vfu->doorbell == VFU_DOORBELL_POLL;
}

void vfu_describe(const struct vfu *vfu, char *text, size_t size)
{
	const struct vfu_session *s = vfu->session;
	size_t len;
	int n;

	n = snprintf(text, size,
		     "\"connected\": %s, \"peer\": %lld, \"connections\": "
		     "%" PRIu64 ", \"messages\": %" PRIu64
		     ", \"refused\": %" PRIu64 ", \"doorbell\": \"%s\", "
		     "\"dma_maps\": %u, ",
		     s ? "true" : "false",
		     s ? (long long)s->connection.peer_pid : 0, vfu->sessions,
		     vfu->messages, vfu->refused,
		     vfu_is_polled(vfu) ? "poll" : "trap", s ? s->nr_dma : 0);
	len = n < 0 || (size_t)n >= size ? size : (size_t)n;
	pci_describe(vfu->pci, text + len, size - len);
}

/* --- life ----------------------------------------------------------------- */

void vfu_destroy(struct vfu *vfu)
{
	if (!vfu)
		return;
	vfu_irqs_fini(vfu);
	vfu_doorbell_fini(vfu);
	pvio_endpoint_fini(&vfu->endpoint);
	free(vfu);
}

int vfu_create(struct pvio_pci *pci, struct pvio_config *cfg,
	       struct vfu **out)
{
	struct vfu *vfu;
	int rc;

	vfu = calloc(1, sizeof(*vfu));
	if (!vfu)
		return -ENOMEM;
	vfu->pci = pci;
	vfu->base = pvio_worker_base(pci->control);
	vfu->timeout_ms = VFU_DEFAULT_TIMEOUT_MS;
	vfu->doorbell_fd = -1;
	pvio_endpoint_init(&vfu->endpoint, pci->name, pci->control,
			   "vfio-user", vfu_session_create, vfu);
	rc = vfu_irqs_init(vfu);
	if (rc < 0) {
		pvio_endpoint_fini(&vfu->endpoint);
		free(vfu);
		return rc;
	}
	rc = vfu_read_config(vfu, cfg);
	if (rc < 0) {
		vfu_destroy(vfu);
		return rc;
	}
	*out = vfu;
	return 0;
}

int vfu_start(struct vfu *vfu)
{
	return pvio_endpoint_open(&vfu->endpoint);
}

static bool vfu_may_serve(void *arg)
{
	const struct vfu *vfu = arg;

	return vfu->client_ops->may_come(vfu->client_arg);
}

void vfu_watch_clients(struct vfu *vfu, const struct vfu_client_ops *ops,
		       void *arg)
{
	vfu->client_ops = ops;
	vfu->client_arg = arg;
	vfu->endpoint.may_serve = vfu_may_serve;
}

static void vfu_tell_client(struct vfu *vfu, bool is_there)
{
	if (is_there == vfu->is_client_there)
		return;
	vfu->is_client_there = is_there;
	if (vfu->client_ops)
		vfu->client_ops->client(vfu->client_arg, is_there);
}

void vfu_session_came(struct vfu *vfu)
{
	vfu_tell_client(vfu, true);
}

void vfu_session_gone(struct vfu *vfu)
{
	pvio_done_fn *done = vfu->stop_done;

	vfu->stop_done = NULL;
	vfu_tell_client(vfu, false);
	pvio_endpoint_again(&vfu->endpoint);
	if (!done)
		return;
	/* Who stops a device resets it, and with it what shows it. */
	vfu_irqs_review(vfu);
	pci_reset(vfu->pci, done, vfu->stop_arg);
}

void vfu_stop(struct vfu *vfu, pvio_done_fn *done, void *arg)
{
	pvio_endpoint_close(&vfu->endpoint);
	vfu->stop_done = done;
	vfu->stop_arg = arg;
	if (vfu->session)
		vfu_session_close(vfu->session);
	else
		vfu_session_gone(vfu);
}
