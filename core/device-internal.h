/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-internal.h - what the files of core/device share
 *
 *	device.c         create; configuration space, commands
 *	device-life.c    start, stop, destroy
 *	device-status.c  features, status, reset, breaking
 *	device-queue.c   running, starting and stopping queues
 *	device-notify.c  kicks and notifications, and their descriptors
 *	device-memory.c  new memory under running queues; keeping quiet
 *	device-call.c    the control worker's work, asked for by other threads
 *	device-operation.c  how control has a queue's worker do something
 *	device-stats.c   counters as JSON
 */
#ifndef PVIO_CORE_DEVICE_INTERNAL_H
#define PVIO_CORE_DEVICE_INTERNAL_H

#include "device.h"
#include "log.h"
#include "transport.h"

/*
 * An operation: control asks the queue's worker to do something, and hears
 * when it is done.  The struct travels to the worker and back.
 *
 *	control            worker
 *	begin ----task---> work: now, or when the queue has drained
 *	finish <---task--- pvio_queue_op_done()
 *	done
 *
 * When the queue's worker is the control worker all this happens by calls.
 */
struct pvio_queue_op {
	struct pvio_task task;
	struct pvio_vq *vq;
	void (*work)(struct pvio_queue_op *op);	  /* queue's worker */
	void (*finish)(struct pvio_queue_op *op); /* control; or NULL */
	pvio_done_fn *done;
	void *arg;
	int rc;
	bool is_busy;	/* control: between begin and finish */
	bool is_called; /* worker and control are one: no mailbox */
};

/*
 * How the queue's next chain will be noticed.  Only the queue's worker looks.
 */
enum pvio_queue_mode {
	PVIO_QUEUE_ARMED,   /* the driver kicks.  -> POLLED, PARKED by a run */
	PVIO_QUEUE_POLLED,  /* kicks are off, the poller looks.  -> ARMED by its
			       sleep, or as above by a run */
	PVIO_QUEUE_PARKED,  /* kicks are off, the model will schedule a run */
};

/* What the device keeps for each queue, beside struct pvio_vq. */
struct pvio_vq_control {
	/* control */
	bool is_running;	/* started and not stopped, broken or not */
	bool is_reported;	/* the transport knows that it broke */
	struct pvio_vq_setup setup;
	struct pvio_vq_position *position_out;
	struct pvio_queue_op start, stop, enable, set_kick, set_call;
	struct pvio_queue_op quiet; /* stops serving: the device is broken */
	struct pvio_queue_op go;    /* DRIVER_OK came */
	struct pvio_queue_op fence; /* after it nothing is in the mailbox */
	/* to the worker and back with an operation */
	struct pvio_vq_position position;
	bool want_enabled;
	int new_kick_fd, new_call_fd;
	/* the queue's worker */
	enum pvio_queue_mode mode;
	bool is_draining;
	bool is_fresh;	     /* nothing was written to the ring yet */
	bool is_deaf;	     /* kicked without requests: has been said */
	bool is_taken_over;  /* to be started by its transport, not by us again */
	uint64_t first_kick; /* stats.kicks at start */
	struct pvio_job drained;
	/* any thread; atomic */
	bool is_broken;
	bool kick_is_posted;
	bool is_kicked; /* by the driver, not only to be looked at */
	struct pvio_task kick;
};

/* What excludes everything else on the device. */
enum pvio_device_exclusive {
	PVIO_DEVICE_SHARED, /* nothing: operations on queues are allowed */
	PVIO_DEVICE_RESETTING,
	PVIO_DEVICE_REMAPPING,
};

#define PVIO_RESET_WAITERS 8
#define PVIO_QUIET_WAITERS 8

struct pvio_waiter {
	pvio_done_fn *done;
	void *arg;
};

struct pvio_device {
	char *name; /* owned */
	const struct pvio_model_ops *model_ops;
	void *model; /* owned */
	const struct pvio_transport_ops *transport_ops;
	void *transport; /* owned */
	struct pvio_worker *control; /* borrowed, outlives us */
	struct pvio_worker **workers; /* owned array of borrowed ones */
	unsigned int nr_workers;
	bool is_started;
	bool has_poll; /* configured: how long workers poll */
	uint16_t queue_size;
	uint8_t *config; /* owned; model_ops->config_size bytes */
	uint32_t config_changes;
	bool owes_config; /* one happened while suspended */

	unsigned int nr_queues;
	struct pvio_vq *vqs;		  /* owned */
	struct pvio_vq_control *controls; /* owned */
	struct pvio_map *map;		  /* owned reference, never NULL */

	/* control writes, workers read with pvio_load_once() */
	uint8_t status;
	bool is_held;	/* no DRIVER_OK yet, or quiet */
	/* any thread; atomic */
	bool is_broken;
	bool break_is_posted;
	struct pvio_task break_task;

	/* changed while no queue runs */
	struct pvio_features withheld;
	struct pvio_features features; /* negotiated */
	bool features_valid; /* set_features succeeded since reset */

	/* control: what is under way */
	unsigned int nr_ops; /* of queues */
	enum pvio_device_exclusive exclusive;
	unsigned int exclusive_left; /* queues it waits for */
	unsigned int quiet;   /* set of enum pvio_quiet */
	struct pvio_map *new_map; /* owned; set_memory's, wanted or under way */
	pvio_done_fn *memory_done;
	void *memory_arg;
	unsigned int nr_waiters; /* for a reset, wanted or under way */
	struct pvio_waiter waiters[PVIO_RESET_WAITERS];
	unsigned int nr_quiet;	  /* who waits until all has drained ... */
	unsigned int nr_quieting; /* ... the first so many by what is going on */
	struct pvio_waiter quiet_waiters[PVIO_QUIET_WAITERS];
	struct pvio_list awaiting; /* struct pvio_device_waiter */
	unsigned int fences_left;
	struct pvio_waiter fenced; /* when that is 0 */

	struct pvio_log_limit log_limit;
};

/* device-queue.c */
void pvio_device_queue_init(struct pvio_device *dev, unsigned int index);
void pvio_device_queue_fini(struct pvio_device *dev, unsigned int index);
/* Stop a queue, as part of an exclusive operation. */
void pvio_device_queue_halt(struct pvio_vq_control *ctl, pvio_done_fn *done,
			    void *arg);
bool pvio_device_any_running(const struct pvio_device *dev);
bool pvio_device_any_starting(const struct pvio_device *dev);
/* Queue's worker: there may be chains, look soon. */
void pvio_queue_wake(struct pvio_vq *vq);

/* device-operation.c */
void pvio_queue_op_init(struct pvio_queue_op *op, struct pvio_vq *vq,
			void (*work)(struct pvio_queue_op *),
			void (*finish)(struct pvio_queue_op *));
void pvio_queue_op_begin(struct pvio_queue_op *op, pvio_done_fn *done,
			 void *arg);
void pvio_queue_op_done(struct pvio_queue_op *op, int rc);
/*
 * May @op begin for a transport?  Says so to @done if not.  A reset or a change
 * of memory that waits for its turn lets no more in.
 */
bool pvio_queue_op_may_begin(struct pvio_device *dev,
			     const struct pvio_queue_op *op, pvio_done_fn *done,
			     void *arg);
/* Begin what waited for the operations on queues to end. */
void pvio_device_settle(struct pvio_device *dev);
void pvio_queue_fence_init(struct pvio_vq *vq);
/* Drop kick and call fds; @done when no other task of @dev is in a mailbox. */
void pvio_device_fence(struct pvio_device *dev, pvio_done_fn *done, void *arg);

/* device-notify.c */
void pvio_queue_notify_init(struct pvio_vq *vq);
/* Queue's worker, stopping: the eventfd's count is not for the VMM to find. */
void pvio_queue_take_kicks(const struct pvio_vq *vq);
/* Queue's worker, idle. */
void pvio_queue_drop_fds(struct pvio_vq *vq);

/* device-status.c: @status or @quiet changed. */
void pvio_device_hold(struct pvio_device *dev);

/* device-memory.c */
void pvio_device_remap_begin(struct pvio_device *dev);
void pvio_device_quiet_begin(struct pvio_device *dev);

/* device-status.c */
void pvio_device_break_init(struct pvio_device *dev);
void pvio_device_reset_begin(struct pvio_device *dev);
/* The last queue stopped: does that end a broken state? */
void pvio_device_all_stopped(struct pvio_device *dev);
bool pvio_device_is_live(const struct pvio_device *dev);

#endif
