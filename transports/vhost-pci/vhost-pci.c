/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-pci.c - the transport: a device for another virtual machine
 *
 *	other VM                host            this VM (or a process)
 *	driver's kicks  -------------------->   the queue's worker
 *	interrupts      <-----------doorbell    used buffers
 *	rings, buffers  ====== window ======>   memory map
 *	its VMM         -- broker -- channel -> port.c -> transports/vhost-user
 *
 * It can do what vhost-user can but for the dirty log, memory slots, and
 * notifications as messages.  Requests in flight survive a kill of this
 * process: their region is in the window.
 *
 * Devices of a process that name the same window share it.
 */
#include "port.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define VHOST_PCI_DEFAULT_TIMEOUT_MS 10000

/* --- the core's events ---------------------------------------------------- */

/* With VFIO one store to a register. */
static void vhost_pci_notify_queue(void *transport, unsigned int queue)
{
	port_notify(transport, queue);
}

static void vhost_pci_notify_config(void *transport)
{
	struct port *port = transport;

	vu_notify_config(&port->vu);
}

static void vhost_pci_queue_broken(void *transport, unsigned int queue)
{
	struct port *port = transport;

	vu_queue_broken(&port->vu, queue);
}

static void vhost_pci_describe(void *transport, char *text, size_t size)
{
	static const char *const states[] = {
		[PORT_OFF] = "off",	    [PORT_WAITING] = "waiting",
		[PORT_OPEN] = "open",	    [PORT_SERVING] = "serving",
		[PORT_ENDING] = "ending",
	};
	const struct port *port = transport;
	uint64_t rung = 0;
	unsigned int i;

	for (i = 0; i < port->nr_rings; i++)
		rung += pvio_load_once(&port->rings[i].rung);
	snprintf(text, size,
		 "\"port\": %u, \"state\": \"%s\", \"host_alive\": %s, "
		 "\"sessions\": %" PRIu64 ", \"frames_in\": %" PRIu64
		 ", \"frames_out\": %" PRIu64 ", \"frames_dropped\": %" PRIu64
		 ", \"refused\": %" PRIu64 ", \"doorbells\": %" PRIu64,
		 port->index, states[port->state],
		 window_is_host_alive(port->window, port->timeout_ms) ? "true"
								      : "false",
		 port->sessions, port->frames_in, port->frames_out,
		 port->dropped, port->vu.refused, rung);
}

/* --- configuration -------------------------------------------------------- */

/* "0000:00:04.0", as the kernel writes it: it becomes part of a path. */
static bool is_pci_address(const char *text)
{
	static const char form[] = "hhhh:hh:hh.o";
	size_t i;

	for (i = 0; form[i]; i++) {
		if (form[i] == 'h') {
			if (!text[i] || !strchr("0123456789abcdef", text[i]))
				return false;
		} else if (form[i] == 'o') {
			if (text[i] < '0' || text[i] > '7')
				return false;
		} else if (text[i] != form[i]) {
			return false;
		}
	}
	return text[i] == '\0';
}

static int vhost_pci_read_config(struct port *port, struct pvio_config *cfg)
{
	const char *window = NULL, *socket = NULL;
	struct pvio_worker *control = port->vu.control;
	uint64_t index = 0;
	int rc;

	if (pvio_config_string_opt(cfg, "window", &window) < 0 ||
	    pvio_config_string_opt(cfg, "socket", &socket) < 0 ||
	    pvio_config_uint_opt(cfg, "port", 0, WINDOW_MAX_PORTS - 1,
				 &index) < 0 ||
	    pvio_config_uint_opt(cfg, "timeout_ms", 1, 3600000,
				 &port->timeout_ms) < 0)
		return -EINVAL;
	if (!window == !socket)
		return pvio_config_error(cfg, window ? "socket" : "window",
					 "one of window and socket is needed");
	if (window && !is_pci_address(window))
		return pvio_config_error(cfg, "window",
					 "not a PCI address, such as "
					 "0000:00:04.0");
	if (socket &&
	    strlen(socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return pvio_config_error(
			cfg, "socket",
			"longer than the 107 bytes a socket can have");
	if (port->nr_rings > PORT_MAX_RINGS)
		return pvio_config_error(cfg, "type",
					 "more than %u queues in a window",
					 PORT_MAX_RINGS);
	port->index = (unsigned int)index;
	rc = window_get(socket != NULL, socket ? socket : window, control,
			&port->window);
	if (rc == -EINVAL)
		return pvio_config_error(cfg, "type",
					 "the window has another control "
					 "worker");
	return rc;
}

/* --- life ----------------------------------------------------------------- */

static void vhost_pci_detach(void *transport)
{
	struct port *port = transport;

	if (port->window)
		window_put(port->window);
	port_fini(port);
	free(port);
}

static int vhost_pci_attach(struct pvio_device *dev, struct pvio_config *cfg,
			    void **transport)
{
	struct port *port;
	int rc;

	port = calloc(1, sizeof(*port));
	if (!port)
		return -ENOMEM;
	port->timeout_ms = VHOST_PCI_DEFAULT_TIMEOUT_MS;
	rc = port_init(port, dev);
	if (rc == 0)
		rc = vhost_pci_read_config(port, cfg);
	if (rc < 0) {
		vhost_pci_detach(port);
		return rc;
	}
	*transport = port;
	return 0;
}

static int vhost_pci_start(void *transport)
{
	struct port *port = transport;

	return window_join(port->window, port);
}

static void vhost_pci_stop(void *transport, pvio_done_fn *done, void *arg)
{
	port_stop(transport, done, arg);
}

static const struct pvio_transport_ops vhost_pci_ops = {
	.abi		= PVIO_PLUGIN_ABI,
	.name		= "vhost-pci",
	.features	= { PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			    PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
			    PVIO_BIT(VIRTIO_F_VERSION_1) |
			    PVIO_BIT(VIRTIO_F_RING_PACKED) |
			    PVIO_BIT(VIRTIO_F_IN_ORDER) },
	.attach		= vhost_pci_attach,
	.detach		= vhost_pci_detach,
	.start		= vhost_pci_start,
	.stop		= vhost_pci_stop,
	.notify_queue	= vhost_pci_notify_queue,
	.notify_config	= vhost_pci_notify_config,
	.copies_config	= true, /* a broker that bounces does */
	.queue_broken	= vhost_pci_queue_broken,
	.describe	= vhost_pci_describe,
};

PVIO_PLUGIN(transport, vhost_pci, vhost_pci_ops);
