/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-echo.c - every frame comes back to its sender
 *
 * One copy, from the guest's transmit buffer into its receive buffer, on the
 * same pair.  For benchmarks and tests of both directions; what the guest
 * cannot receive as it sent it is finished in software (net-offload.c).
 * Without receive buffers sending stops: nothing is lost.
 */
#include "backends/net.h"

#include <errno.h>
#include <stdlib.h>

struct echo_port {
	struct pvio_net_rx *rx;           /* borrowed */
	struct pvio_net_scratch *scratch; /* owned */
	bool full;                        /* the sender waits */
};

static int echo_open(const char *device, struct pvio_config *cfg,
		     unsigned int pairs, const uint8_t mac[6],
		     struct pvio_net_info *info, void **backend)
{
	(void)device;
	(void)cfg;
	(void)pairs;
	(void)mac;
	*info = (struct pvio_net_info){
		.offloads_from_guest = PVIO_NET_SOFT_OFFLOADS,
		.offloads_to_guest = PVIO_NET_SOFT_OFFLOADS,
		.max_pairs = UINT32_MAX,
		.link_up = true,
	};
	*backend = NULL;
	return 0;
}

static void echo_close(void *backend)
{
	(void)backend;
}

static int echo_start_port(void *backend, unsigned int pair,
			   struct pvio_worker *worker, struct pvio_net_rx *rx,
			   void **port_out)
{
	struct echo_port *port;

	(void)backend;
	(void)pair;
	(void)worker;
	port = calloc(1, sizeof(*port));
	if (!port)
		return -ENOMEM;
	port->rx = rx;
	port->scratch = pvio_net_scratch_create();
	if (!port->scratch) {
		free(port);
		return -ENOMEM;
	}
	*port_out = port;
	return 0;
}

static void echo_stop_port(void *p)
{
	struct echo_port *port = p;

	pvio_net_scratch_destroy(port->scratch);
	free(port);
}

static int echo_send(void *p, const struct pvio_net_frame *frame)
{
	struct echo_port *port = p;
	int rc;

	rc = pvio_net_deliver(port->rx, frame, NULL, 0, port->scratch);
	if (likely(rc == 0))
		return 0;
	port->full = true;
	return -EAGAIN;
}

static void echo_rx_ready(void *p)
{
	struct echo_port *port = p;

	if (!port->full)
		return;
	port->full = false;
	pvio_net_tx_ready(port->rx);
}

static const struct pvio_net_backend_ops echo_ops = {
	.abi = PVIO_PLUGIN_ABI,
	.name = "echo",
	.open = echo_open,
	.close = echo_close,
	.start_port = echo_start_port,
	.stop_port = echo_stop_port,
	.send = echo_send,
	.rx_ready = echo_rx_ready,
};
PVIO_PLUGIN(net_backend, echo, echo_ops);
