/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue.h - the device side of a virtqueue
 *
 * A *chain* is one request: some readable segments, then some writable ones.
 * A model takes chains with pop, and gives every one of them back exactly
 * once: with push when it is answered, or with unpop as if never taken.  push
 * stages; flush publishes the batch to the driver and notifies it at most once.
 *
 *	driver               ring in guest memory              device
 *	add   ------------>  available  ---- pop --->  in flight
 *	reap  <------------  used  <-- flush -- push ---/
 *
 * Split and packed rings (virtio 1.4, 2.7 and 2.8) are behind the same calls,
 * chosen when the queue starts.  All of this is for the worker that owns the
 * queue, unless it says otherwise.
 *
 * What bad input gets.  A chain that cannot be served is given back with
 * length 0 by pop itself, which goes on with the next; a ring whose own state
 * cannot be trusted breaks the queue: DEVICE_NEEDS_RESET, and pop, push and
 * flush become quiet no-ops that touch no guest memory until reset.
 */
#ifndef PVIO_CORE_QUEUE_H
#define PVIO_CORE_QUEUE_H

#include "log.h"
#include "memory.h"
#include "stats.h"
#include "util.h"
#include "virtio.h"
#include "worker.h"

#include <assert.h>

#pragma GCC visibility push(default)

struct event;
struct pvio_device;
struct pvio_inflight;
struct pvio_vq;

/*
 * Segments that fit without touching a second array; chosen so that a chain
 * is two cache lines.
 */
#define PVIO_CHAIN_INLINE_SEGMENTS 5

struct pvio_chain {
	struct iovec *iov;   /* readable segments, then writable ones */
	uint32_t readable;   /* bytes */
	uint32_t writable;   /* bytes */
	uint16_t nr_readable; /* entries of iov */
	uint16_t nr_writable;
	uint16_t slot;	/* < queue size, unique while in flight: index your
			   per-request state by it */
	uint16_t id;	/* the ring's: split head, packed buffer id */
	uint16_t nr_desc; /* ring entries it takes */
	uint16_t pos;	  /* the first of them: where unpop goes back to */
	uint16_t inflight; /* in-flight region: head entry (packed) */
	bool in_flight;	  /* popped, not pushed */
	bool done;	  /* pushed, waits for its turn (in-order) */
	bool sampled;	  /* carries time stamps */
	bool recovered;	  /* from an in-flight region: not in the ring */
	uint32_t written; /* pushed length, while it waits for its turn */
	struct iovec inline_iov[PVIO_CHAIN_INLINE_SEGMENTS];
} __attribute__((aligned(PVIO_CACHE_LINE_BYTES)));

/* Where a ring stands.  Split rings have no wrap counters. */
struct pvio_vq_position {
	uint16_t avail, used;
	bool avail_wrap, used_wrap;
};

/* How the driver laid a queue out.  Copied when the queue starts. */
struct pvio_vq_setup {
	uint16_t size;
	uint64_t desc, driver, device; /* gpa; 1.x names of the three areas */
	struct pvio_vq_position position;
	bool recover_used; /* split: take the used index from the ring */
	bool log_used;	   /* dirty log: mark used-ring writes ... */
	uint64_t log_gpa;  /* ... at this address */
	struct pvio_inflight *inflight; /* or NULL; borrowed until stopped */
};

/* The time stamps of a sampled chain: CLOCK_MONOTONIC, ns. */
struct pvio_vq_stamp {
	uint64_t popped, last;
};

/* Samples whose notification is outstanding; more are not followed further. */
#define PVIO_VQ_STAGED_SAMPLES 4

/* Descriptors, driver's area, device's area. */
#define PVIO_VQ_AREAS 3

enum pvio_vq_state {
	PVIO_VQ_IDLE,	  /* not set up, or stopped: nothing in flight, no
			     guest memory touched.  -> RUNNING */
	PVIO_VQ_RUNNING,  /* serving.  -> DRAINING, BROKEN */
	PVIO_VQ_DRAINING, /* no new chains; waits for those in flight.
			     -> IDLE, BROKEN */
	PVIO_VQ_BROKEN,	  /* ring not to be trusted.  -> IDLE by stop */
};

struct pvio_vq {
	/*
	 * Fixed once started: read by pop and push, written by neither.
	 */
	__attribute__((aligned(PVIO_CACHE_LINE_BYTES))) uint16_t size;
	uint16_t chain_max; /* descriptors a chain may have */
	uint8_t state;	    /* enum pvio_vq_state */
	bool packed;
	bool event_idx;
	bool in_order;
	bool indirect_ok;
	bool logging;	 /* the map has a dirty log */
	bool enabled;	 /* vhost-user: driver wants side effects */
	bool limited;	 /* the map has what may not be read, or written */
	uint16_t index;	 /* in the device */
	const struct pvio_map *map;
	void *desc;	 /* struct vring_desc or vring_packed_desc [size] */
	void *driver;	 /* struct vring_avail, or driver event struct */
	void *device;	 /* struct vring_used, or device event struct */
	struct pvio_chain *chains; /* [size], owned; split: by head */
	struct pvio_inflight *inflight; /* or NULL; borrowed */

	/*
	 * Written by pop.
	 */
	__attribute__((aligned(PVIO_CACHE_LINE_BYTES))) uint16_t next_avail;
	uint16_t avail_seen;	/* split: last index loaded from the ring */
	bool avail_wrap;
	bool kicks_off;		/* the driver was told not to kick */
	uint16_t nr_free;	/* of free_slots */
	uint16_t nr_resubmit;	/* recovered chains to pop first */
	uint32_t nr_in_flight;	/* chains popped, not pushed */
	uint32_t desc_in_flight; /* packed: ring entries not yet published */
	uint32_t sample_in;	/* chains until the next sampled one */
	const struct pvio_region *hint; /* region that served last */
	uint16_t *free_slots;	/* packed: [size], owned; a stack: hot first */
	uint16_t *order;	/* in-order: ring of slots [size], owned */
	uint16_t order_tail;

	/*
	 * Written by push and flush.
	 */
	__attribute__((aligned(PVIO_CACHE_LINE_BYTES))) uint16_t next_used;
	bool used_wrap;
	uint16_t nr_staged;	/* ring entries pushed since the last flush */
	uint16_t first_staged;	/* packed: the first of them ... */
	uint64_t first_word;	/* ... and what, written last, publishes all */
	uint16_t order_head;

	/*
	 * Cold: once a turn or less.
	 */
	__attribute__((aligned(PVIO_CACHE_LINE_BYTES))) struct pvio_device *dev;
	struct pvio_worker *worker; /* borrowed */
	int kick_fd;		/* owned, or -1 */
	int call_fd;		/* owned, or -1: transport's notify_queue */
	struct event *kick_event; /* owned */
	struct pvio_job run;	/* calls the model's kick */
	struct pvio_job flush;	/* at turn's end */
	struct pvio_poller poller;
	struct iovec *long_iov;	/* [size][iov_max], lazily touched; owned */
	size_t long_iov_bytes;
	uint32_t iov_max;	/* entries per chain */
	void *table;		/* private indirect table; owned */
	uint8_t failed_status;	/* pvio_model_ops's */
	struct pvio_vq_stamp *stamps; /* [size], by slot; owned */
	struct pvio_vq_stamp staged_sample[PVIO_VQ_STAGED_SAMPLES];
	unsigned int nr_staged_samples;
	uint64_t kick_ns;	/* when the last kick was seen; 0: unknown */
	struct pvio_vq_setup setup; /* what it was started with */
	struct pvio_log_limit log_limit;
	struct pvio_vq_stats stats;
	void *priv; /* the model's: set in start_queue */
	/* Areas of the ring that lie in several regions; owned, or NULL. */
	struct pvio_mapping *joined[PVIO_VQ_AREAS];
	struct pvio_vq_control *control; /* core/device's; owned */
};

static_assert(sizeof(struct pvio_chain) == 2 * PVIO_CACHE_LINE_BYTES,
	      "a chain is two cache lines");
static_assert(offsetof(struct pvio_vq, next_avail) % PVIO_CACHE_LINE_BYTES == 0,
	      "what pop writes starts a cache line");
static_assert(offsetof(struct pvio_vq, next_used) % PVIO_CACHE_LINE_BYTES == 0,
	      "what push writes starts a cache line");

/* --- for models ---------------------------------------------------------- */

/*
 * Take the next chain, or NULL when there is none (or the queue is broken or
 * not running).  The chain is the queue's; it stays valid until pushed or
 * unpopped.  Its segments are translated and checked; their content is not.
 */
struct pvio_chain *pvio_vq_pop(struct pvio_vq *vq);

/*
 * Give back the chain popped last, as if it had never been taken.  Several
 * may be given back, last first, if none popped after them is in flight.  (One
 * that pop refused in between is answered already: what came before it is then
 * answered with length 0 instead, since the ring cannot go back past it.)
 */
void pvio_vq_unpop(struct pvio_vq *vq, struct pvio_chain *chain);

/*
 * Answer @chain: @written bytes, counted from its first writable one, were
 * surely written.  Staged until flush; the chain is no longer the caller's.
 * With IN_ORDER it waits here for those popped before it.
 */
void pvio_vq_push(struct pvio_vq *vq, struct pvio_chain *chain,
		  uint32_t written);

/* Publish what was pushed, and notify the driver if it wants that. */
void pvio_vq_flush(struct pvio_vq *vq);
/* The same once, at the end of the worker's turn. */
void pvio_vq_flush_soon(struct pvio_vq *vq);

/* Call the model's kick soon: a backend is ready again. */
void pvio_vq_schedule(struct pvio_vq *vq);

/* Count something refused, and say so in the log at a limited rate. */
void pvio_vq_fault(struct pvio_vq *vq, enum pvio_fault fault, const char *fmt,
		   ...) pvio_printf(3, 4) pvio_cold;

/* The ring cannot be trusted: DEVICE_NEEDS_RESET. */
void pvio_vq_break(struct pvio_vq *vq, const char *fmt, ...)
	pvio_printf(2, 3) pvio_cold;

/* The two halves of a chain. */
static inline const struct iovec *
pvio_chain_readable(const struct pvio_chain *chain)
{
	return chain->iov;
}
static inline const struct iovec *
pvio_chain_writable(const struct pvio_chain *chain)
{
	return chain->iov + chain->nr_readable;
}

/*
 * Copy a header, @len bytes at @offset of the readable part, into @dst: once,
 * then look at @dst only.  Returns the bytes copied, fewer than @len when the
 * chain is shorter.
 */
static inline size_t pvio_chain_fetch(const struct pvio_chain *chain,
				      size_t offset, void *dst, size_t len)
{
	return pvio_iov_fetch(chain->iov, chain->nr_readable, offset, dst, len);
}
/* Copy @len bytes to @offset of the writable part. */
static inline size_t pvio_chain_put(const struct pvio_chain *chain,
				    size_t offset, const void *src, size_t len)
{
	return pvio_iov_put(pvio_chain_writable(chain), chain->nr_writable,
			    offset, src, len);
}

/* Note when a sampled chain reached @stage. */
void pvio_vq_stamp_slow(struct pvio_vq *vq, struct pvio_chain *chain,
			enum pvio_stage stage);
static inline void pvio_vq_stamp(struct pvio_vq *vq, struct pvio_chain *chain,
				 enum pvio_stage stage)
{
	if (unlikely(chain->sampled))
		pvio_vq_stamp_slow(vq, chain, stage);
}

/* --- for core/device ----------------------------------------------------- */

/* Are there chains to pop?  A look that changes nothing. */
bool pvio_vq_has_available(struct pvio_vq *vq);
/* Tell the driver it need not kick. */
void pvio_vq_disable_kick(struct pvio_vq *vq);
/* Ask for kicks, then look again: true when chains came in between. */
bool pvio_vq_enable_kick(struct pvio_vq *vq);

/*
 * Start serving as @setup says, with the device's negotiated features; IDLE ->
 * RUNNING.  -EINVAL: size, alignment (virtio 1.4, 2.7 and 2.8), a position
 * outside the ring; -EFAULT: an area is not in one region of @map; -EPROTO: the
 * position contradicts the ring, or the in-flight region itself (the queue is
 * then BROKEN); -ENOMEM.  pvio_vq_fini() frees.
 *
 * Next: pvio_vq_enable_kick(), since what the driver sees may still say, from
 * an earlier run, that no kicks are wanted.
 *
 * A queue may stand on its own, without device and worker (tests, benchmarks):
 * it then notifies by call_fd only, and flush_soon flushes at once.
 */
int pvio_vq_start(struct pvio_vq *vq, const struct pvio_vq_setup *setup,
		  const struct pvio_map *map,
		  const struct pvio_features *features);
/* RUNNING, DRAINING -> BROKEN: another queue of the device broke. */
void pvio_vq_abandon(struct pvio_vq *vq);
/* RUNNING, DRAINING, BROKEN -> IDLE, when nothing is in flight.  Flushes. */
void pvio_vq_stop(struct pvio_vq *vq);
/* Where the ring stands, to go on from later. */
void pvio_vq_get_position(const struct pvio_vq *vq,
			  struct pvio_vq_position *position);
void pvio_vq_init(struct pvio_vq *vq, struct pvio_device *dev,
		  unsigned int index);
void pvio_vq_fini(struct pvio_vq *vq);
/* Notify the driver, whether it wants that or not.  The queue's worker. */
void pvio_vq_notify(struct pvio_vq *vq);
/*
 * Is there an answer in its ring, ours or of somebody before us?  Not known of
 * a split ring with a multiple of 65536 of them.
 */
static inline bool pvio_vq_has_answered(const struct pvio_vq *vq)
{
	return vq->next_used != 0 || (vq->packed && !vq->used_wrap);
}

/* --- what core/device does for core/queue, on the queue's worker --------- */

/* Notify the driver of a queue that has no call fd. */
void pvio_device_notify_queue(struct pvio_device *dev, unsigned int index);
/* The queue has just broken: DEVICE_NEEDS_RESET, tell driver and VMM. */
void pvio_device_queue_broken(struct pvio_device *dev, struct pvio_vq *vq);
/*
 * Nothing is in flight any more in a queue that is not RUNNING: push and unpop
 * call it, in state DRAINING or BROKEN.  What follows (flush, stop) happens
 * later in the turn, so the caller may go on using the queue.
 */
void pvio_device_queue_drained(struct pvio_device *dev, struct pvio_vq *vq);

/* core/queue-split.c, core/queue-packed.c */
struct pvio_chain *pvio_split_pop(struct pvio_vq *vq);
struct pvio_chain *pvio_split_recovered(struct pvio_vq *vq);
/* False: a chain refused since is in the way. */
bool pvio_split_unpop(struct pvio_vq *vq, struct pvio_chain *chain);
void pvio_split_push(struct pvio_vq *vq, struct pvio_chain *chain,
		     uint32_t written);
bool pvio_split_publish(struct pvio_vq *vq); /* true: notify */
int pvio_split_start(struct pvio_vq *vq);
bool pvio_split_has_available(struct pvio_vq *vq);
void pvio_split_disable_kick(struct pvio_vq *vq);
bool pvio_split_enable_kick(struct pvio_vq *vq);
struct pvio_chain *pvio_packed_pop(struct pvio_vq *vq);
struct pvio_chain *pvio_packed_recovered(struct pvio_vq *vq);
bool pvio_packed_unpop(struct pvio_vq *vq, struct pvio_chain *chain);
void pvio_packed_push(struct pvio_vq *vq, struct pvio_chain *chain,
		      uint32_t written);
bool pvio_packed_publish(struct pvio_vq *vq);
int pvio_packed_start(struct pvio_vq *vq);
bool pvio_packed_has_available(struct pvio_vq *vq);
void pvio_packed_disable_kick(struct pvio_vq *vq);
bool pvio_packed_enable_kick(struct pvio_vq *vq);

#pragma GCC visibility pop
#endif
