/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user.c - the transport: a virtio device, served to a vfio-user client
 *
 * The device is a PCI function (transports/pci/virtio.h), and that is served
 * (server.h).
 */
#include "server.h"

#include "core/transport.h"
#include "transports/pci/virtio.h"

#include <errno.h>
#include <stdlib.h>

struct vfu_transport {
	struct pci_virtio card;
	struct vfu *vfu; /* owned */
};

static int transport_attach(struct pvio_device *dev, struct pvio_config *cfg,
			    void **transport)
{
	bool access_platform = true;
	struct vfu_transport *t;
	int rc;

	rc = pvio_config_bool_opt(cfg, "access_platform", &access_platform);
	if (rc < 0)
		return rc;
	t = malloc(sizeof(*t));
	if (!t)
		return -ENOMEM;
	rc = pci_virtio_init(&t->card, dev, cfg);
	if (rc < 0)
		goto free_transport;
	rc = vfu_create(&t->card.pci, cfg, &t->vfu);
	if (rc < 0)
		goto fini_card;
	if (!access_platform)
		pvio_device_withhold(dev, VIRTIO_F_ACCESS_PLATFORM);
	if (vfu_is_polled(t->vfu))
		pvio_device_poll_always(dev);
	*transport = t;
	return 0;

fini_card:
	pci_virtio_fini(&t->card);
free_transport:
	free(t);
	return rc;
}

static void transport_detach(void *transport)
{
	struct vfu_transport *t = transport;

	vfu_destroy(t->vfu);
	pci_virtio_fini(&t->card);
	free(t);
}

static int transport_start(void *transport)
{
	struct vfu_transport *t = transport;

	return vfu_start(t->vfu);
}

static void transport_stop(void *transport, pvio_done_fn *done, void *arg)
{
	struct vfu_transport *t = transport;

	vfu_stop(t->vfu, done, arg);
}

static void transport_notify_queue(void *transport, unsigned int queue)
{
	struct vfu_transport *t = transport;

	pci_virtio_notify_queue(&t->card, queue);
}

static void transport_notify_config(void *transport)
{
	struct vfu_transport *t = transport;

	pci_virtio_notify_config(&t->card);
}

static void transport_describe(void *transport, char *text, size_t size)
{
	struct vfu_transport *t = transport;

	vfu_describe(t->vfu, text, size);
}

static const struct pvio_transport_ops vfu_ops = {
	.abi		= PVIO_PLUGIN_ABI,
	.name		= "vfio-user",
	.features	= { PCI_FEATURES },
	.awaits_memory	= true,
	.attach		= transport_attach,
	.detach		= transport_detach,
	.start		= transport_start,
	.stop		= transport_stop,
	.notify_queue	= transport_notify_queue,
	.notify_config	= transport_notify_config,
	.describe	= transport_describe,
};

PVIO_PLUGIN(transport, vfio_user, vfu_ops);
