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

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VU_DEFAULT_TIMEOUT_MS   10000

/* --- configuration -------------------------------------------------------- */

static int vu_read_config(struct vu *vu, struct pvio_config *cfg)
{
	static const char *const modes[] = { "server", "client", NULL };
	unsigned int mode = VU_MODE_SERVER;
	int rc;

	rc = pvio_endpoint_read_config(&vu->endpoint, cfg);
	if (rc < 0)
		return rc;
	if (pvio_config_choice_opt(cfg, "mode", modes, &mode) < 0 ||
	    pvio_config_uint_opt(cfg, "reconnect_ms", 1, 3600000,
				 &vu->endpoint.reconnect_ms) < 0 ||
	    pvio_config_uint_opt(cfg, "timeout_ms", 1, 3600000,
				 &vu->timeout_ms) < 0)
		return -EINVAL;
	vu->endpoint.connects = mode == VU_MODE_CLIENT;
	return 0;
}

/* --- the core's events ---------------------------------------------------- */

/* On the control worker: send what workers have asked for. */
static void vu_send_calls(struct pvio_task *task)
{
	struct vu *vu = pvio_container_of(task, struct vu, call_task);

	/*
	 * Barrier N: the task may be posted again before the flags are looked
	 * at.  Pairs with vu_notify_queue().
	 */
	(void)pvio_exchange(&vu->call_posted, 0);
	if (vu->session)
		vu_channel_send(vu->session);
	if (vu->is_end_waiting)
		vu_session_gone(vu);
}

/*
 * On the queue's worker, while the queue runs, and so while there is a
 * session.  Without eventfd and in-band notifications the driver polls.
 */
static void vu_notify_queue(void *transport, unsigned int queue)
{
	struct vu *vu = transport;

	if (!pvio_load_once(&vu->call_in_band))
		return;
	/* Barrier N: the flag is set before we find the task posted. */
	(void)pvio_exchange(&vu->session->rings[queue].call_pending, 1);
	if (!pvio_exchange(&vu->call_posted, 1))
		pvio_worker_post(vu->control, &vu->call_task);
}

static void vu_notify_config(void *transport)
{
	struct vu *vu = transport;

	if (vu->session && !vu->session->connection.is_closing)
		vu_channel_config_change(vu->session);
}

static void vu_queue_broken(void *transport, unsigned int queue)
{
	struct vu *vu = transport;

	if (vu->session && !vu->session->connection.is_closing)
		vu_ring_signal_error(vu->session, queue);
}

static void vu_describe(void *transport, char *text, size_t size)
{
	const struct vu *vu = transport;
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

static void vu_detach(void *transport)
{
	struct vu *vu = transport;

	pvio_endpoint_fini(&vu->endpoint);
	free(vu);
}

static int vu_attach(struct pvio_device *dev, struct pvio_config *cfg,
		     void **transport)
{
	struct vu *vu;
	int rc;

	vu = calloc(1, sizeof(*vu));
	if (!vu)
		return -ENOMEM;
	vu->dev = dev;
	vu->control = pvio_device_control(dev);
	vu->base = pvio_worker_base(vu->control);
	pvio_endpoint_init(&vu->endpoint, pvio_device_name(dev), vu->control,
			   "vhost-user", vu_session_create, vu);
	vu->timeout_ms = VU_DEFAULT_TIMEOUT_MS;
	vu->call_task.fn = vu_send_calls;
	rc = vu_read_config(vu, cfg);
	if (rc < 0) {
		vu_detach(vu);
		return rc;
	}
	*transport = vu;
	return 0;
}

static int vu_start(void *transport)
{
	struct vu *vu = transport;

	return pvio_endpoint_open(&vu->endpoint);
}

void vu_session_gone(struct vu *vu)
{
	pvio_done_fn *done = vu->stop_done;

	/* A task of ours in the mailbox: it comes back here. */
	vu->is_end_waiting = pvio_load_acquire(&vu->call_posted);
	if (vu->is_end_waiting)
		return;
	vu->stop_done = NULL;
	pvio_endpoint_again(&vu->endpoint);
	if (done)
		done(vu->stop_arg, 0);
}

static void vu_stop(void *transport, pvio_done_fn *done, void *arg)
{
	struct vu *vu = transport;

	pvio_endpoint_close(&vu->endpoint);
	vu->stop_done = done;
	vu->stop_arg = arg;
	if (vu->session)
		vu_session_close(vu->session);
	else
		vu_session_gone(vu);
}

static const struct pvio_transport_ops vu_ops = {
	.abi		= PVIO_PLUGIN_ABI,
	.name		= "vhost-user",
	.features	= { PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
		      PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
		      PVIO_BIT(VIRTIO_F_VERSION_1) |
		      PVIO_BIT(VIRTIO_F_RING_PACKED) |
		      PVIO_BIT(VIRTIO_F_IN_ORDER) },
	.attach		= vu_attach,
	.detach		= vu_detach,
	.start		= vu_start,
	.stop		= vu_stop,
	.notify_queue	= vu_notify_queue,
	.notify_config	= vu_notify_config,
	.queue_broken	= vu_queue_broken,
	.describe	= vu_describe,
};

PVIO_PLUGIN(transport, vhost_user, vu_ops);
