/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-null.c - a cable that ends in the air
 *
 * Takes every frame and never delivers one: what remains is the cost of the
 * transmit queue itself.
 */
#include "backends/net.h"

#include <stdlib.h>

static int null_open(const char *device, struct pvio_config *cfg,
		     unsigned int pairs, const uint8_t mac[6],
		     struct pvio_net_info *info, void **backend)
{
	(void)device;
	(void)cfg;
	(void)pairs;
	(void)mac;
	*info = (struct pvio_net_info){
		.offloads_from_guest = PVIO_NET_SOFT_OFFLOADS | PVIO_NET_UFO,
		.offloads_to_guest = PVIO_NET_SOFT_OFFLOADS | PVIO_NET_UFO,
		.max_pairs = UINT32_MAX,
		.link_up = true,
	};
	*backend = NULL;
	return 0;
}

static void null_close(void *backend)
{
	(void)backend;
}

static int null_start_port(void *backend, unsigned int pair,
			   struct pvio_worker *worker, struct pvio_net_rx *rx,
			   void **port)
{
	(void)backend;
	(void)pair;
	(void)worker;
	/* A port is an address to hold on to; there is nothing behind it. */
	*port = rx;
	return 0;
}

static void null_stop_port(void *port)
{
	(void)port;
}

static int null_send(void *port, const struct pvio_net_frame *frame)
{
	(void)port;
	(void)frame;
	return 0;
}

static void null_rx_ready(void *port)
{
	(void)port;
}

static const struct pvio_net_backend_ops null_ops = {
	.abi = PVIO_PLUGIN_ABI,
	.name = "null",
	.open = null_open,
	.close = null_close,
	.start_port = null_start_port,
	.stop_port = null_stop_port,
	.send = null_send,
	.rx_ready = null_rx_ready,
};
PVIO_PLUGIN(net_backend, null, null_ops);
