/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user.c - the transport: configuration, life, the core's events
 *
 *	VMM (front-end)                            pvio (back-end)
 *	control: messages  ------ unix socket ---> core/device.h calls
 *	guest's RAM        ------ fds -----------> memory map
 *	driver's kicks     ------ eventfds ------> the queue's worker
 *	interrupts        <------ eventfds ------- used buffers
 *	configuration     <------ 2nd socket ----- changed
 *
 * It can do: memory that comes and goes while rings run, eventfds that are
 * swapped, a dirty log for migration, requests that survive a kill of this
 * process, notifications as messages where there are no eventfds, reconnection
 * in both directions.  It cannot: guests behind an IOMMU, post-copy, rings of
 * the legacy (pre-1.0) driver.
 *
 * Feature bits 30 (protocol features) and 26 (log all writes) look like
 * virtio's and are vhost-user's own; the core never sees them.
 */
#include "vhost-user.h"

#include "core/worker.h"
#include "transports/stream/endpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct vu_transport {
	struct vu vu;
	struct pvio_endpoint endpoint;
	pvio_done_fn *stop_done; /* somebody waits in stop */
	void *stop_arg;
};

static struct vu_transport *transport_of(struct vu *vu)
{
	return pvio_container_of(vu, struct vu_transport, vu);
}

/* --- configuration -------------------------------------------------------- */

static int vu_read_config(struct vu_transport *t, struct pvio_config *cfg)
{
	static const char *const modes[] = { "server", "client", NULL };
	unsigned int mode = 0;
	int rc;

	rc = pvio_endpoint_read_config(&t->endpoint, cfg);
	if (rc < 0)
		return rc;
	if (pvio_config_choice_opt(cfg, "mode", modes, &mode) < 0 ||
	    pvio_config_uint_opt(cfg, "reconnect_ms", 1, 3600000,
				 &t->endpoint.reconnect_ms) < 0 ||
	    pvio_config_uint_opt(cfg, "timeout_ms", 1, 3600000,
				 &t->vu.timeout_ms) < 0)
		return -EINVAL;
	t->endpoint.connects = mode == 1;
	return 0;
}

/* --- the core's events ---------------------------------------------------- */

/* Without eventfd and in-band notifications the driver polls. */
static void transport_notify_queue(void *transport, unsigned int queue)
{
	struct vu_transport *t = transport;

	vu_notify_queue(&t->vu, queue);
}

static void transport_notify_config(void *transport)
{
	struct vu_transport *t = transport;

	vu_notify_config(&t->vu);
}

static void transport_queue_broken(void *transport, unsigned int queue)
{
	struct vu_transport *t = transport;

	vu_queue_broken(&t->vu, queue);
}

static void transport_describe(void *transport, char *text, size_t size)
{
	const struct vu *vu = &((struct vu_transport *)transport)->vu;
	const struct vu_session *s = vu->session;

	snprintf(text, size,
		 "\"connected\": %s, \"peer\": %lld, \"connections\": %" PRIu64
		 ", \"messages\": %" PRIu64 ", \"refused\": %" PRIu64
		 ", \"protocol_features\": %" PRIu64,
		 s ? "true" : "false", s ? (long long)s->connection.peer_pid : 0,
		 vu->sessions, vu->messages, vu->refused,
		 s ? s->protocol_features : 0);
}

/* --- life ----------------------------------------------------------------- */

static void transport_gone(struct vu *vu)
{
	struct vu_transport *t = transport_of(vu);
	pvio_done_fn *done = t->stop_done;

	t->stop_done = NULL;
	pvio_endpoint_again(&t->endpoint);
	if (done)
		done(t->stop_arg, 0);
}

static const struct vu_ops transport_vu_ops = {
	.gone = transport_gone,
};

static void transport_detach(void *transport)
{
	struct vu_transport *t = transport;

	pvio_endpoint_fini(&t->endpoint);
	free(t);
}

static int transport_attach(struct pvio_device *dev, struct pvio_config *cfg,
			    void **transport)
{
	struct vu_transport *t;
	int rc;

	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	vu_init(&t->vu, &transport_vu_ops, dev);
	pvio_endpoint_init(&t->endpoint, pvio_device_name(dev), t->vu.control,
			   "vhost-user", vu_session_create, &t->vu);
	t->vu.closer = t->endpoint.closer;
	rc = vu_read_config(t, cfg);
	if (rc < 0) {
		transport_detach(t);
		return rc;
	}
	*transport = t;
	return 0;
}

static int transport_start(void *transport)
{
	struct vu_transport *t = transport;

	return pvio_endpoint_open(&t->endpoint);
}

static void transport_stop(void *transport, pvio_done_fn *done, void *arg)
{
	struct vu_transport *t = transport;

	pvio_endpoint_close(&t->endpoint);
	t->stop_done = done;
	t->stop_arg = arg;
	vu_close(&t->vu);
}

static const struct pvio_transport_ops vu_ops = {
	.abi		= PVIO_PLUGIN_ABI,
	.name		= "vhost-user",
	.features	= { PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
		      PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
		      PVIO_BIT(VIRTIO_F_VERSION_1) |
		      PVIO_BIT(VIRTIO_F_RING_PACKED) |
		      PVIO_BIT(VIRTIO_F_IN_ORDER) },
	.attach		= transport_attach,
	.detach		= transport_detach,
	.start		= transport_start,
	.stop		= transport_stop,
	.notify_queue	= transport_notify_queue,
	.notify_config	= transport_notify_config,
	.queue_broken	= transport_queue_broken,
	.describe	= transport_describe,
};

PVIO_PLUGIN(transport, vhost_user, vu_ops);
