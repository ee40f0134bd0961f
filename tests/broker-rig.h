/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * broker-rig.h - a window's broker, and a fake appliance at its other end
 *
 * The appliance is a client of the ivshmem server and a control area written by
 * hand.  It runs on the broker's own worker, so whoever steps that, as a
 * guest_vu that waits does, has it do its part: it serves sessions, notes each
 * message that comes, and gives it the answer a back-end would.  A test tells it
 * to do other things, or to be silent.
 */
#ifndef PVIO_TESTS_BROKER_RIG_H
#define PVIO_TESTS_BROKER_RIG_H

#include "core/config.h"
#include "core/device.h"
#include "core/eventfd.h"
#include "guest/memory.h"
#include "guest/vhost-user.h"
#include "transports/vhost-pci/broker/broker.h"

#include <pvio/pvio.h>

#include <stdbool.h>

#define RIG_WINDOW_BYTES (8u << 20)
#define RIG_VECTORS      16
#define RIG_PORTS        2
#define RIG_MAX_NOTES    128
#define RIG_FEATURES                                             \
	(PVIO_BIT(VIRTIO_F_VERSION_1) | PVIO_BIT(VU_F_LOG_ALL) | \
	 PVIO_BIT(VU_F_PROTOCOL_FEATURES) | PVIO_BIT(VIRTIO_F_RING_PACKED))

/* A message that the appliance was sent. */
struct rig_note {
	unsigned int port;
	uint32_t request, flags, size, number;
	union {
		uint64_t u64;
		struct vu_memory_table table;
		struct vu_inflight inflight;
		struct vu_vring_state state;
		uint8_t bytes[300];
	};
};

struct rig_appliance {
	struct broker_rig *rig;
	int fd; /* of the server's socket, or -1 */
	struct event *socket_event, *interrupt_event;
	unsigned int messages; /* of the server */
	uint8_t *host;         /* the window, or NULL */
	uint64_t bytes;
	int vector[64];
	unsigned int nr_vectors;
	int peer[0x8000];   /* -1: none; -2: was dropped, for good */
	unsigned int drops; /* of peers */
	bool is_slow;       /* does not read the server's socket */
	bool is_mute;       /* does not answer */
	bool is_idle;       /* does not serve sessions, nor end them */
	bool is_full;       /* does not take frames */
	uint32_t epoch;
	struct window_port *port[RIG_PORTS];
	struct window_channel channel[RIG_PORTS];
	uint32_t sessions[RIG_PORTS]; /* ever served */
	/* The next answer, to garble; 0: as it should be. */
	uint32_t answer_request, answer_size;
	struct rig_note note[RIG_MAX_NOTES];
	unsigned int nr_notes;
};

struct broker_rig {
	struct pvio_worker *worker;
	struct pvio_config_file *file;
	struct broker *broker;
	char dir[40], window[64], a[64], b[RIG_PORTS][64];
	struct guest_memory mem; /* B's: in the window's file */
	struct rig_appliance appliance;
};

/* @extra: more keys of the window. */
void rig_open(struct broker_rig *rig, const char *extra);
void rig_close(struct broker_rig *rig);
/* The broker ends, without a word of the others, and begins anew. */
void rig_restart_broker(struct broker_rig *rig, const char *extra);
int rig_create(struct broker_rig *rig, const char *extra);

/* Turn the worker until @is_so(@arg); fails when that takes too long. */
typedef bool rig_is_so(struct broker_rig *rig, unsigned int n);
void rig_until(struct broker_rig *rig, rig_is_so *is_so, unsigned int n);
/* Turn it until nothing happens any more. */
void rig_settle(struct broker_rig *rig);

/* The server's end of a VMM's ivshmem device, which nobody reads. */
int rig_dial_server(const struct broker_rig *rig);
/* The appliance's VMM comes; its program begins, with another epoch each time. */
void rig_connect(struct broker_rig *rig);
void rig_disconnect(struct broker_rig *rig);
void rig_boot(struct broker_rig *rig);
void rig_open_port(struct broker_rig *rig, unsigned int port);
void rig_close_port(struct broker_rig *rig, unsigned int port);
void rig_beat(struct broker_rig *rig);
/* Ring for the host. */
void rig_ring(struct broker_rig *rig);
/* Write to the doorbell, as the VMM does: false: nobody is there. */
bool rig_doorbell(struct broker_rig *rig, uint32_t value);
/* A frame of any kind; -errno of window_channel_send(). */
int rig_frame(struct broker_rig *rig, unsigned int port, uint32_t session,
	      uint32_t kind, const void *payload, size_t bytes);
/* All of it: VMM, program, both ports. */
void rig_up(struct broker_rig *rig);
/* The last message of that kind, or NULL. */
const struct rig_note *rig_find(const struct broker_rig *rig, uint32_t request);

/* B's VMM connects to @port and negotiates; -errno of the first failure. */
int rig_dial(struct broker_rig *rig, unsigned int port, struct guest_vu *vu);
/* Is the other end closed? */
bool rig_is_hung_up(struct guest_vu *vu);

/* A number of the port's stats, which may be in a group: "signals.relayed". */
int64_t rig_stat(struct broker_rig *rig, unsigned int port, const char *key);

#endif
