/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * signals.h - notify and kick queues of a bus: what its workers deal with
 *
 *	queue's worker --route--> notify queue: area, interrupt --> virtual CPU
 *	virtual CPU    --area, doorbell--> kick queue --> queue's worker
 */
#ifndef PVIO_HYPERCALL_SIGNALS_H
#define PVIO_HYPERCALL_SIGNALS_H

#include "core/signal.h"
#include "core/worker.h"

#include <pthread.h>
#include <pvio/bus.h>

struct event;
struct hypercall;
struct pvio_map;

#define BUS_MAX_INTERRUPTS     2048
#define BUS_DEFAULT_INTERRUPTS 16
#define BUS_DIRECT_WORDS       (PVIO_BUS_MAX_SIGNALS / 64)

/* --- notify queues, and interrupts ---------------------------------------- */

/* An area as producers use it.  Never changes; replaced as a whole. */
struct bus_area {
	struct pvio_signal_area *area; /* in guest memory */
	unsigned int nr_words;
	struct pvio_map *map; /* reference */
	struct bus_area *next; /* of those that wait for a fence */
};

/* What the driver asked for by SET_AREA. */
struct bus_place {
	uint64_t address;
	uint32_t nr_words; /* 0: none */
};

struct bus_notify {
	struct bus_place place;
	struct bus_area *live; /* atomic; NULL: none, or not in memory */
	bool is_missed;	       /* signals may have been lost while NULL */
	pthread_mutex_t lock;  /* of fd, around its use */
	int fd;		       /* of the interrupt; owned, or -1 */
};

/* Where a queue's notifications go: atomic, as one word. */
union bus_route {
	uint32_t word;
	struct {
		uint8_t mode;
		uint8_t level;
		uint16_t notify;
	};
};

/* --- kick queues ------------------------------------------------------------ */

/* A worker's counters: of what it raised and took. */
struct bus_counters {
	uint64_t kicks, raised, coalesced, interrupts;
};

enum bus_kick_sink { BUS_KICK_DIRECT, BUS_KICK_GUEST, BUS_NR_KICK_SINKS };

/* One for each worker that serves queues of the bus.  Stays till its end. */
struct bus_kick {
	struct pvio_bus *bus;
	struct pvio_worker *worker; /* borrowed; NULL: nobody uses it now */
	unsigned int number;
	unsigned int nr_users; /* queues of started devices there */
	bool is_known;	       /* to the worker, which has to let go of it */
	struct bus_place place;
	int fd; /* the doorbell's eventfd, owned */
	/* Ours, not the guest's: what doorbells of a signal raise.  Owned. */
	struct pvio_signal_area *direct;

	/* the worker's, while there are users */
	struct event *event; /* of fd; owned */
	struct pvio_poller poller;
	struct pvio_job job;
	/* Of the direct area, and of the guest's (NULL: there is none). */
	struct pvio_signal_sink *sink[BUS_NR_KICK_SINKS]; /* owned */
	struct pvio_map *map;		  /* reference; of the guest's */
	bool is_armed;
	uint64_t rung; /* doorbells */
	struct bus_counters counters;

	/* from control to the worker and back */
	struct pvio_task task;
	struct pvio_task back;
	struct pvio_signal_sink *new_sink;
	struct pvio_map *new_map;
	bool wants_event;
	int rc;
};

/* Whom a signal stands for; read by workers, and whoever rings. */
struct bus_signal {
	struct hypercall *owner; /* atomic; NULL: nobody */
	uint16_t queue;
	uint16_t kick; /* atomic; its queue's worker */
};

/* --- notify.c ---------------------------------------------------------------- */

int pvio_bus_notify_init(struct pvio_bus *bus, unsigned int nr);
void pvio_bus_notify_fini(struct pvio_bus *bus);
/* Any worker; @counters are its own. */
void pvio_bus_notify(struct pvio_bus *bus, union bus_route route,
		     unsigned int signal, struct bus_counters *counters);
/*
 * Have all notify queues as their places and the bus's map say; NULL @map: none
 * is in memory.  What they were is freed by pvio_bus_notify_retire(), after a
 * fence.  -ENOMEM: some are not there now.
 */
int pvio_bus_notify_renew(struct pvio_bus *bus, struct pvio_map *map);
void pvio_bus_notify_retire(struct pvio_bus *bus);

/* --- kick.c ------------------------------------------------------------------ */

/*
 * Use the kick queue of @worker, made if there is none.  -ENOSPC, -errno.  The
 * worker hears of it, and of the last put, by pvio_bus_kicks_renew().
 */
int pvio_bus_kick_get(struct pvio_bus *bus, struct pvio_worker *worker,
		      struct bus_kick **kick);
void pvio_bus_kick_put(struct bus_kick *kick);
void pvio_bus_kick_free(struct bus_kick *kick);
/*
 * Have every kick queue's worker use it as its place, its users and @map say;
 * one pvio_bus_answered() comes for each that has been asked, and nr_waiting
 * counts them.
 */
void pvio_bus_kicks_renew(struct pvio_bus *bus, struct pvio_map *map);
/* Any thread: DOORBELL.  -EINVAL: it is nobody's. */
int pvio_bus_doorbell(struct pvio_bus *bus, uint64_t value);

#endif
