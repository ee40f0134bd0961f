/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-pci-host.h - the host's side of a window, as small as can be
 *
 * An ivshmem server with 8 MiB of memory and two ports.  A front-end connects
 * to a port's socket; what it says goes through the window, with numbers for
 * descriptors.  It runs on a worker, which may be that of the device, too.
 *
 * With `is_raw` nothing is passed on: the test writes to the window itself.
 */
#ifndef PVIO_TESTS_VHOST_PCI_HOST_H
#define PVIO_TESTS_VHOST_PCI_HOST_H

#include "core/worker.h"
#include "guest/memory.h"
#include "transports/vhost-pci/channel.h"
#include "transports/vhost-user/wire.h"

#define HOST_PORTS    2
#define HOST_BYTES    (8u << 20)
#define HOST_RAM_GPA  0x100000u
#define HOST_RAM_BYTES (4u << 20) /* of the window, from its start */

/* Peers of the appliance: the control area's, and those of rings. */
#define HOST_PEER_CONTROL 1
#define HOST_PEER(port, ring) (2 + 64 * (port) + (ring))

struct event;
struct host;

struct host_port {
	struct host *host;
	unsigned int index;
	char path[96]; /* where front-ends connect */
	int listen_fd;
	struct event *listen_event, *read_event;
	struct vu_wire wire; /* fd -1: nobody is connected */
	int backend_fd;
	struct window_port *shared;
	struct window_channel channel;
	uint32_t session;
	bool is_served;
};

struct host {
	struct pvio_worker *worker; /* borrowed */
	char dir[64], path[96];	    /* of the ivshmem server */
	int listen_fd, fd, memory_fd, control_fd, interrupt_fd;
	struct event *listen_event, *read_event, *control_event;
	uint8_t *base;
	struct window_header *header;
	uint32_t guest_epoch, dead_epoch, sessions;
	unsigned int nr_vectors; /* given to the appliance */
	bool is_raw;
	struct host_port port[HOST_PORTS];
	unsigned int backend_messages;
};

void host_init(struct host *h, struct pvio_worker *worker);
void host_fini(struct host *h);
/* RAM of the other VM: the window's first part. */
void host_add_memory(struct host *h, struct guest_memory *mem);
/* The host's program begins anew, with or without new memory and server. */
void host_begin_anew(struct host *h);
void host_server_restarts(struct host *h);
/* Interrupt the appliance. */
void host_interrupt(struct host *h);
/* Send an eventfd as the appliance's next interrupt; its number. */
uint32_t host_give_vector(struct host *h, int fd);
/* Announce peer @peer with @fd, or (-1) that it is gone. */
void host_give_peer(struct host *h, unsigned int peer, int fd);
/* Anything, on the server's connection. */
void host_say(struct host *h, int64_t value, int fd);
/* As a front-end's death. */
void host_end_session(struct host *h, unsigned int port);

#endif
