/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus.h - the hypercall bus as its driver sees it (docs/bus-abi.md)
 *
 *	connector   probe, call, doorbell: registers, MSRs or hypercalls
 *	calls       guest_bus_call() and a helper for each message; by a mutex
 *	            there is one at a time, on one block
 *	areas       guest_bus_raise() is the producer of a kick queue,
 *	            guest_bus_take() the consumer of a notify queue
 *	interrupts  an eventfd for each number; guest_bus_step() is the handler
 *
 * The call block and the areas are in memory of the bus's own, in two ranges
 * far above the guest's, so that a test can take either away, and so that
 * guest_alloc_reset() does not touch them.
 *
 * Any thread may use all of it but open and close.  What is opened here plays
 * the VMM as well: it hands over the memory, and takes the interrupts.
 */
#ifndef PVIO_GUEST_BUS_H
#define PVIO_GUEST_BUS_H

#include "memory.h"

#include <pthread.h>
#include <pvio/bus.h>

#define GUEST_BUS_MAX_QUEUES 64 /* of a direction, as far as we use them */
#define GUEST_BUS_NO_SIGNAL  0xffffffff

/* Where the bus's own memory is. */
#define GUEST_BUS_CALL_GPA   0x707600000000ULL
#define GUEST_BUS_CALL_BYTES 0x10000ULL
#define GUEST_BUS_AREA_GPA   0x707700000000ULL
#define GUEST_BUS_AREA_BYTES 0x200000ULL

/* --- connectors ------------------------------------------------------------ */

struct guest_bus_connector {
	const char *name;
	/* The magic and the version << 32; after a call, waits for its end. */
	uint64_t (*probe)(void *arg);
	void (*call)(void *arg, uint64_t gpa);
	void (*doorbell)(void *arg, uint32_t value);
};

enum guest_bus_kind {
	GUEST_BUS_REGISTERS,
	GUEST_BUS_HALVES, /* registers, written 32 bits at a time */
	GUEST_BUS_MSR,
	GUEST_BUS_HYPERCALL,
	GUEST_BUS_NR_KINDS
};

/* To a struct pvio_bus in this process, which is their @arg. */
extern const struct guest_bus_connector
	guest_bus_connectors[GUEST_BUS_NR_KINDS];

/* --- life ------------------------------------------------------------------ */

struct guest_bus_options {
	enum guest_bus_kind kind;
	const struct guest_bus_connector
		*connector;       /* other than @kind; or NULL */
	struct pvio_worker *step; /* borrowed, to step while waiting; or NULL */
	/* Areas to begin with: notify queues 0 and up; every kick queue. */
	unsigned int nr_notify;
	bool has_kick;
	unsigned int nr_words; /* 0: as many as there are signals for */
	bool by_callback;      /* interrupts come by guest_bus_interrupt() */
};

/* A signal area, and the driver's end of it. */
struct guest_bus_area {
	struct pvio_bus_area *area; /* in the bus's memory; NULL: none */
	uint64_t gpa;
	unsigned int nr_words;
};

/*
 * A signal was taken, or (@signal GUEST_BUS_NO_SIGNAL) an interrupt of its own
 * came.  One at a time.  May make calls, and may not listen or forget.
 */
typedef void guest_bus_handler_fn(void *arg, unsigned int signal);

struct guest_bus_handler {
	guest_bus_handler_fn *fn; /* NULL: nobody listens */
	void *arg;
};

struct guest_bus_counters {
	uint64_t calls, doorbells;
	uint64_t raised, coalesced; /* signals that were new, and were not */
	uint64_t interrupts, taken; /* interrupts, and signals that they told */
	uint64_t unknown;           /* taken, and nobody listens */
};

struct guest_bus {
	const struct guest_bus_connector *connector;
	void *arg;                /* the connector's */
	struct pvio_bus *bus;     /* borrowed */
	struct guest_memory *ram; /* borrowed */
	struct guest_memory own;  /* region 0: the call block, 1: areas */
	struct pvio_worker *step; /* borrowed, or NULL */
	bool by_callback;
	struct pvio_bus_info_out info;
	unsigned int nr_interrupts; /* that we use */
	unsigned int patience_ms; /* for a call's end; 10 s, as in section 2 */

	pthread_mutex_t call_lock;
	struct pvio_bus_call *block; /* by call_lock */
	uint64_t block_gpa;
	uint16_t token;

	/* Serialises handlers and all below.  Then call_lock. */
	pthread_mutex_t take_lock;
	struct guest_bus_area kick[GUEST_BUS_MAX_QUEUES];
	struct guest_bus_area notify[GUEST_BUS_MAX_QUEUES];
	int interrupt_fd[GUEST_BUS_MAX_QUEUES]; /* owned; -1: none */
	bool is_lent[GUEST_BUS_MAX_QUEUES];     /* to guest_bus_lend() */
	struct guest_bus_handler interrupt[GUEST_BUS_MAX_QUEUES];
	struct guest_bus_handler handler[PVIO_BUS_MAX_SIGNALS];
	int epoll_fd; /* readable when step has an interrupt to handle */

	struct guest_bus_counters count; /* atomic */
};

/*
 * Find the bus, give it the memory of @ram (borrowed), reset it, and set up the
 * areas.  -EPROTO: there is none that this driver knows, or it says nonsense.
 */
int guest_bus_open(struct pvio_bus *bus, struct guest_memory *ram,
		   const struct guest_bus_options *options,
		   struct guest_bus **gb);
/* Reset the bus if @is_there, and let it go.  NULL is allowed. */
void guest_bus_close(struct guest_bus *gb, bool is_there);

/* What of memory the host has, in bits. */
#define GUEST_BUS_HAS_RAM   0x1
#define GUEST_BUS_HAS_CALLS 0x2
#define GUEST_BUS_HAS_AREAS 0x4
#define GUEST_BUS_HAS_ALL   0x7
int guest_bus_give_memory(struct guest_bus *gb, unsigned int what);

/* --- calls ----------------------------------------------------------------- */

/* The bare operations. */
void guest_bus_operate(struct guest_bus *gb, uint64_t gpa);
void guest_bus_doorbell(struct guest_bus *gb, uint32_t value);

/*
 * Issue a call of @bytes, any @len of them that fit, in the bus's block.  The
 * host's result, or -ETIMEDOUT after patience_ms: it was dropped.  @response
 * (264 bytes) may be NULL.
 */
int guest_bus_call_raw(struct guest_bus *gb, const void *bytes, size_t len,
		       uint8_t *response);
/*
 * The message @id with @in to @device (PVIO_BUS_THE_BUS: to the bus), whose
 * response has @out_len bytes.  0, or a result of the host's (enum
 * pvio_bus_result), or -EPROTO: that is no response to it; -ETIMEDOUT.
 */
int guest_bus_call(struct guest_bus *gb, uint8_t id, uint16_t device,
		   const void *in, size_t in_len, void *out, size_t out_len);
/* What a result of a call is as an -errno. */
int guest_bus_error(int result);

/* Each message: 0, or as guest_bus_call().  Structs are of this CPU's order. */
int guest_bus_info(struct guest_bus *gb, struct pvio_bus_info_out *out);
int guest_bus_reset(struct guest_bus *gb);
int guest_bus_ping(struct guest_bus *gb, uint32_t data, uint32_t *back);
int guest_bus_set_area(struct guest_bus *gb, uint32_t direction, uint32_t index,
		       uint64_t gpa, uint32_t nr_words);
int guest_bus_route(struct guest_bus *gb, const struct pvio_bus_route_in *in,
		    struct pvio_bus_route_out *out);
int guest_bus_get_event(struct guest_bus *gb, struct pvio_bus_event_out *out);
/* @bits: (count + 7) / 8 bytes. */
int guest_bus_get_devices(struct guest_bus *gb, uint16_t offset, uint16_t count,
			  uint8_t *bits, uint16_t *next);

int guest_bus_device_info(struct guest_bus *gb, uint16_t device,
			  struct pvio_bus_device_info_out *out);
int guest_bus_get_features(struct guest_bus *gb, uint16_t device,
			   uint64_t bits[2]);
int guest_bus_set_features(struct guest_bus *gb, uint16_t device,
			   const uint64_t bits[2]);
#define GUEST_BUS_CONFIG_BYTES                                   \
	(PVIO_BUS_MAX_MESSAGE - sizeof(struct pvio_bus_header) - \
	 sizeof(struct pvio_bus_config))
int guest_bus_get_config(struct guest_bus *gb, uint16_t device, uint32_t offset,
			 void *buf, uint32_t len, uint32_t *generation);
/* @generation: for what it is written; then what it is.  @now may be NULL. */
#define GUEST_BUS_ANY_GENERATION 0xffffffff
int guest_bus_set_config(struct guest_bus *gb, uint16_t device, uint32_t offset,
			 const void *buf, uint32_t len, uint32_t *generation,
			 void *now);
int guest_bus_get_status(struct guest_bus *gb, uint16_t device,
			 uint32_t *status);
/* @now, what it is then, may be NULL. */
int guest_bus_set_status(struct guest_bus *gb, uint16_t device, uint32_t status,
			 uint32_t *now);
int guest_bus_get_queue(struct guest_bus *gb, uint16_t device, uint32_t index,
			struct pvio_bus_queue_out *out);
int guest_bus_set_queue(struct guest_bus *gb, uint16_t device,
			const struct pvio_bus_set_queue_in *in);
int guest_bus_reset_queue(struct guest_bus *gb, uint16_t device,
			  uint32_t index);
int guest_bus_get_shm(struct guest_bus *gb, uint16_t device, uint32_t id,
		      struct pvio_bus_shm_out *out);

/* --- signals --------------------------------------------------------------- */

/*
 * An area of @nr_words (0: none) for queue @index of that direction, where
 * there may be one already; nothing that was raised is lost.  Not while others
 * raise in it.  As guest_bus_call(), or -ENOSPC.
 */
int guest_bus_move_area(struct guest_bus *gb, uint32_t direction,
			unsigned int index, unsigned int nr_words);

/* Kick queue @index is told of @signal, or rung without an area. */
void guest_bus_raise(struct guest_bus *gb, unsigned int index,
		     unsigned int signal, unsigned int level);
/*
 * Take what is in notify queue @index, call who listens, and arm.  Returns how
 * many signals there were.
 */
unsigned int guest_bus_take(struct guest_bus *gb, unsigned int index);

/* Who is told of @signal; @fn NULL: nobody, and no call is under way then. */
void guest_bus_listen(struct guest_bus *gb, unsigned int signal,
		      guest_bus_handler_fn *fn, void *arg);

/* --- interrupts ------------------------------------------------------------ */

/*
 * Take a number that nobody uses, from the last one down: -ENOSPC.  @fd, borrowed,
 * is written when it comes; or (-1) @fn is called by guest_bus_step().
 */
int guest_bus_lend(struct guest_bus *gb, int fd, guest_bus_handler_fn *fn,
		   void *arg);
void guest_bus_give_back(struct guest_bus *gb, unsigned int number);

/* The VMM's callback, where there is one, for a number with no eventfd of its. */
void guest_bus_interrupt(struct guest_bus *gb, unsigned int number);
/* Step the worker, handle interrupts.  True when something was done. */
bool guest_bus_step(struct guest_bus *gb);

#endif
