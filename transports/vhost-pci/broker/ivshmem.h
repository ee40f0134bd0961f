/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ivshmem.h - the server of an ivshmem client, between its files
 *
 *	ivshmem.c	 the client: it comes, is sent to, goes
 *	ivshmem-signals.c kicks and calls: vectors and peers
 *	ivshmem-kept.c	 what outlives its process
 */
#ifndef PVIO_VHOST_PCI_IVSHMEM_H
#define PVIO_VHOST_PCI_IVSHMEM_H

#include "broker.h"

#include "transports/stream/endpoint.h"
#include "transports/stream/stream.h"

#include <sys/socket.h>

#define IVSHMEM_CLIENT	    0
#define IVSHMEM_MAX_VECTORS 2048 /* QEMU's limit is MSI-X's */
#define IVSHMEM_PEER_SHIFT  16
#define IVSHMEM_LINKS	    4
/* A doorbell's value is also a return code: not negative. */
#define IVSHMEM_NOBODY	    0x7fff
/* From there on some peers are left for every slot. */
#define IVSHMEM_LAST_LENT   (IVSHMEM_NOBODY - CARRIER_MAX_SLOTS)

struct ivshmem_kick {
	uint32_t vector;
	int lent_fd;         /* owned; what the vector is; -1: it has none */
	int from_fd;         /* owned; relayed to it; -1: nothing is */
	struct event *event; /* owned; of from_fd */
	struct carrier *carrier;
};

struct ivshmem_call;
struct ivshmem_kept;

/* A peer, and what its doorbell writes to. */
struct ivshmem_link {
	uint32_t peer;       /* 0: none */
	int fd;              /* owned */
	struct event *event; /* owned; of fd, where it is not the slot's own */
	struct ivshmem_call *call;
};

struct ivshmem_call {
	struct carrier *carrier;
	int fd; /* owned; to be written to; -1 */
	/* The latest first. */
	struct ivshmem_link *link[IVSHMEM_LINKS];
	bool is_relayed; /* the latest is an eventfd of ours, for good */
	unsigned int lent;
};

/* One who waits until what was sent is in force. */
struct ivshmem_wait {
	struct pvio_list node;
	uint32_t peer;
	pvio_done_fn *done;
	void *arg;
};

struct carrier {
	struct broker *broker; /* borrowed */
	struct pvio_endpoint endpoint;
	uint64_t nr_vectors; /* configuration */

	bool has_client;
	struct pvio_stream stream;
	struct event *read_event, *write_event, *poll_event; /* owned */
	struct pvio_job leave_job;
	struct ucred cred; /* whose it is */
	unsigned int next_vector;
	int spare_fd[IVSHMEM_MAX_VECTORS]; /* owned, by vector; -1 */
	unsigned int nr_spares;
	struct ivshmem_kept *kept; /* mapping; NULL: it ends with us */
	struct ivshmem_kick kicks[CARRIER_MAX_SLOTS];
	uint32_t next_peer;
	struct ivshmem_call calls[CARRIER_MAX_SLOTS];
	struct pvio_list waits;
	uint64_t waits_ns; /* since when some wait */

	uint64_t clients, refused, lent, swaps;
	uint64_t relayed, forwarded; /* kicks; calls */
};

/* --- ivshmem.c ------------------------------------------------------------ */

/* The client is at @fd (taken), and has been sent nothing that we know of. */
int ivshmem_attach(struct carrier *c, int fd);
/* @fd (borrowed) goes along, unless -1. */
void ivshmem_send(struct carrier *c, int64_t value, int fd);
/* See soon whether what was sent is in force. */
void ivshmem_poll_soon(struct carrier *c);

/* --- ivshmem-signals.c ---------------------------------------------------- */

int ivshmem_set_kick(struct carrier *c, unsigned int slot, int fd,
		     uint32_t *number);
void ivshmem_set_call(struct carrier *c, unsigned int slot, int fd,
		      pvio_done_fn *done, void *arg);
/* The client is gone: so is what it was sent. */
void ivshmem_forget_signals(struct carrier *c);

/* --- ivshmem-kept.c ------------------------------------------------------- */

/* The client is new: it is to outlive us, if somebody keeps it. */
void ivshmem_keep_begin(struct carrier *c);
/*
 * Vector @n is @fd; peer @n is there, or is no more.  ivshmem_send() of that
 * follows, and at its end ivshmem_keep_sent().
 */
void ivshmem_keep_vector(struct carrier *c, unsigned int n, int fd);
void ivshmem_keep_peer(struct carrier *c, uint32_t n, bool is_there);
void ivshmem_keep_sent(struct carrier *c);
void ivshmem_keep_nothing(struct carrier *c);
/* A vector that was lent before us: its descriptor is the caller's now. */
int ivshmem_take_spare(struct carrier *c, unsigned int vector);
/* Let @k have one of those, if there is one. */
void ivshmem_kick_spare(struct carrier *c, struct ivshmem_kick *k);
/* Has whoever is at the other end of @fd closed it? */
bool ivshmem_is_hung_up(int fd);
/* Go on with the client of a process before us, if there is one. */
void ivshmem_resume(struct carrier *c);

#endif
