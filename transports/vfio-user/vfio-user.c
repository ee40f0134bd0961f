/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user.c - the transport: configuration, life, the core's events
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

#include "core/config.h"
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
	bool access_platform = true;
	int rc;

	rc = pvio_endpoint_read_config(&vfu->endpoint, cfg);
	if (rc < 0)
		return rc;
	if (pvio_config_choice_opt(cfg, "doorbell", doorbells, &doorbell) < 0 ||
	    pvio_config_bool_opt(cfg, "access_platform", &access_platform) <
		    0 ||
	    pvio_config_uint_opt(cfg, "timeout_ms", 1, 3600000,
				 &vfu->timeout_ms) < 0)
		return -EINVAL;
	vfu->doorbell = (enum vfu_doorbell)doorbell;
	if (!access_platform)
		pvio_device_withhold(vfu->dev, VIRTIO_F_ACCESS_PLATFORM);
	rc = vfu_doorbell_init(vfu);
	if (rc < 0)
		return pvio_config_error(cfg, "doorbell", "cannot poll: %s",
					 strerror(-rc));
	return 0;
}

/* --- the core's events ---------------------------------------------------- */

static void vfu_notify_queue(void *transport, unsigned int queue)
{
	struct vfu *vfu = transport;

	pci_virtio_notify_queue(&vfu->card, queue);
}

static void vfu_notify_config(void *transport)
{
	struct vfu *vfu = transport;

	pci_virtio_notify_config(&vfu->card);
}

static void vfu_describe(void *transport, char *text, size_t size)
{
	struct vfu *vfu = transport;
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
		     vfu->doorbell == VFU_DOORBELL_POLL ? "poll" : "trap",
		     s ? s->nr_dma : 0);
	len = n < 0 || (size_t)n >= size ? size : (size_t)n;
	pci_describe(&vfu->card.pci, text + len, size - len);
}

/* --- life ----------------------------------------------------------------- */

static void vfu_detach(void *transport)
{
	struct vfu *vfu = transport;

	vfu_irqs_fini(vfu);
	vfu_doorbell_fini(vfu);
	pvio_endpoint_fini(&vfu->endpoint);
	pci_virtio_fini(&vfu->card);
	free(vfu);
}

static int vfu_attach(struct pvio_device *dev, struct pvio_config *cfg,
		      void **transport)
{
	struct vfu *vfu;
	int rc;

	vfu = calloc(1, sizeof(*vfu));
	if (!vfu)
		return -ENOMEM;
	vfu->dev = dev;
	vfu->control = pvio_device_control(dev);
	vfu->base = pvio_worker_base(vfu->control);
	vfu->timeout_ms = VFU_DEFAULT_TIMEOUT_MS;
	vfu->doorbell_fd = -1;
	pvio_endpoint_init(&vfu->endpoint, pvio_device_name(dev), vfu->control,
			   "vfio-user", vfu_session_create, vfu);
	rc = pci_virtio_init(&vfu->card, dev, cfg);
	if (rc < 0)
		goto free_vfu;
	rc = vfu_irqs_init(vfu);
	if (rc < 0)
		goto fini_pci;
	rc = vfu_read_config(vfu, cfg);
	if (rc < 0) {
		vfu_detach(vfu);
		return rc;
	}
	*transport = vfu;
	return 0;

fini_pci:
	pci_virtio_fini(&vfu->card);
free_vfu:
	free(vfu);
	return rc;
}

static int vfu_start(void *transport)
{
	struct vfu *vfu = transport;

	return pvio_endpoint_open(&vfu->endpoint);
}

void vfu_session_gone(struct vfu *vfu)
{
	pvio_done_fn *done = vfu->stop_done;

	vfu->stop_done = NULL;
	pvio_endpoint_again(&vfu->endpoint);
	if (!done)
		return;
	/* Who stops a device resets it, and with it what shows it. */
	vfu_irqs_review(vfu);
	pci_reset(&vfu->card.pci, done, vfu->stop_arg);
}

static void vfu_stop(void *transport, pvio_done_fn *done, void *arg)
{
	struct vfu *vfu = transport;

	pvio_endpoint_close(&vfu->endpoint);
	vfu->stop_done = done;
	vfu->stop_arg = arg;
	if (vfu->session)
		vfu_session_close(vfu->session);
	else
		vfu_session_gone(vfu);
}

static const struct pvio_transport_ops vfu_ops = {
	.abi		= PVIO_PLUGIN_ABI,
	.name		= "vfio-user",
	.features	= { PCI_FEATURES },
	.awaits_memory	= true,
	.attach		= vfu_attach,
	.detach		= vfu_detach,
	.start		= vfu_start,
	.stop		= vfu_stop,
	.notify_queue	= vfu_notify_queue,
	.notify_config	= vfu_notify_config,
	.describe	= vfu_describe,
};

PVIO_PLUGIN(transport, vfio_user, vfu_ops);
