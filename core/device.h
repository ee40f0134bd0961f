/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.h - what a transport may ask of a device
 *
 * The device holds what all virtio transports share: status, features,
 * configuration space, queues, guest memory.  Everything here is for the
 * control worker, unless it says otherwise.
 *
 * Work that has to wait for the queues' workers ends in a callback, on the
 * control worker, perhaps before the call returns.  Such calls on one device
 * may overlap only as each says; a transport therefore handles one message of
 * its guest at a time.
 *
 *	        set_features         vq_start(q)
 *	reset --------------> ready -------------> q running
 *	  ^                                           |  vq_stop(q): takes no
 *	  |          reset: stops every queue,        |  more chains, waits for
 *	  +-------------- then the model -------------+  those in flight
 *
 * set_memory pauses the running queues (waiting for what is in flight, since
 * its buffers may be in memory that goes away), swaps, and goes on.
 */
#ifndef PVIO_CORE_DEVICE_H
#define PVIO_CORE_DEVICE_H

#include "model.h"

#include <pvio/device.h>

#pragma GCC visibility push(default)

struct pvio_transport_ops;

/* @rc: 0 or -errno.  On the control worker. */
typedef void pvio_done_fn(void *arg, int rc);

/*
 * As pvio_device_create(), from a group of an open file: messages name the
 * file's lines.  Reads and finishes the group; keys that the caller has read
 * before (its "name") are no errors.  The file may be closed afterwards.
 */
int pvio_device_create_from(const char *name, struct pvio_config *cfg,
			    struct pvio_worker *control,
			    struct pvio_worker *const workers[],
			    unsigned int nr_workers, struct pvio_device **dev);

/* --- from other threads -------------------------------------------------- */

/*
 * Have @begin done on the control worker, and wait until it has called @done.
 * Any thread but the queues' workers; on the control worker itself, or while
 * that is not running, this thread turns it (pvio_device_wait()).  Returns
 * what @done was given.
 */
typedef void pvio_begin_fn(void *arg, pvio_done_fn *done, void *done_arg);
int pvio_device_call(struct pvio_device *dev, pvio_begin_fn *begin, void *arg);

/*
 * The same where there is no device yet, or none any more, or several.  On the
 * control worker itself @begin calls @done before it returns.
 */
int pvio_control_call(struct pvio_worker *control, pvio_begin_fn *begin,
		      void *arg);

/*
 * Who was refused with -EBUSY, since a reset or a change of memory excludes
 * everything else, and would try again.  True: @waiter->fn is called when that
 * is over, once, on the control worker; false: it is over.  The struct stays
 * until then, or until it is taken off the list by pvio_list_del().
 */
struct pvio_device_waiter {
	void (*fn)(struct pvio_device_waiter *waiter);
	struct pvio_list node;
};
bool pvio_device_await(struct pvio_device *dev,
		       struct pvio_device_waiter *waiter);

/* --- identity ------------------------------------------------------------ */
uint32_t pvio_device_id(const struct pvio_device *dev);
const struct pvio_model_ops *pvio_device_model(const struct pvio_device *dev);
/* Where the device's state lives for its transport: set by attach. */
void *pvio_device_transport(const struct pvio_device *dev,
			    const struct pvio_transport_ops *ops);

/* --- features (virtio 1.4, 2.2) ------------------------------------------ */

/* Model's bits, ring bits, and what the transport's allow-list leaves. */
void pvio_device_offered(const struct pvio_device *dev,
			 struct pvio_features *features);
/*
 * What the driver accepted.  -EINVAL, nothing changed: a bit that was not
 * offered, a dependency that does not hold, VERSION_1 missing (legacy drivers
 * are not served); -EBUSY: a queue is running or FEATURES_OK is set (unless
 * nothing changes).
 */
int pvio_device_set_features(struct pvio_device *dev,
			     const struct pvio_features *features);
const struct pvio_features *
pvio_device_features(const struct pvio_device *dev);

/* --- status (virtio 1.4, 2.1) -------------------------------------------- */

uint8_t pvio_device_status(const struct pvio_device *dev);
/*
 * The driver writes the status register.  Illegal transitions are ignored:
 * bits cleared, DRIVER_OK before FEATURES_OK, NEEDS_RESET set by the driver,
 * reserved bits, anything but 0 after FAILED.  FEATURES_OK sticks only after
 * set_features succeeded.  Writing 0 resets: @done comes when no queue touches
 * memory any more, and until then the register reads as before.
 *
 * A transport without a status register leaves it 0, and then its queues run
 * from vq_start on, and stopping the last of them ends a broken state.  Once
 * it is not 0 they serve nothing before DRIVER_OK.
 */
void pvio_device_set_status(struct pvio_device *dev, uint8_t status,
			    pvio_done_fn *done, void *arg);
/*
 * Stop all queues and go back to the state after create; memory, kick and call
 * fds stay.  At any time: it waits for other calls under way, and during it
 * those are refused with -EBUSY.
 */
void pvio_device_reset(struct pvio_device *dev, pvio_done_fn *done, void *arg);

/* Why a device serves nothing, though its driver would have it: a set. */
enum pvio_quiet {
	PVIO_QUIET_TRANSPORT = 1 << 0, /* no bus mastering, or powered down */
	PVIO_QUIET_HOST = 1 << 1,      /* pvio_device_pause() */
	PVIO_QUIET_SUSPEND = 1 << 2,   /* the driver asked for it (core) */
};

/*
 * Serve nothing, and touch no guest memory: a PCI function whose bus mastering
 * is off, a VM that is paused.  @done when all that was in flight is finished.
 * Resume goes on where it was.  What has been negotiated, and which queues run,
 * stays; queues may be started, stopped and reset meanwhile.  Idempotent.
 * @rc: 0, or -EBUSY: eight wait for that already.
 */
void pvio_device_quiesce(struct pvio_device *dev, enum pvio_quiet reason,
			 pvio_done_fn *done, void *arg);
void pvio_device_unquiesce(struct pvio_device *dev, enum pvio_quiet reason);

/* --- configuration space ------------------------------------------------- */

size_t pvio_device_config_size(const struct pvio_device *dev);
/* Bytes past the end read as 0. */
void pvio_device_read_config(struct pvio_device *dev, size_t offset, void *buf,
			     size_t len);
/* -EINVAL: past the end, read-only, or a value that is not legal. */
int pvio_device_write_config(struct pvio_device *dev, size_t offset,
			     const void *buf, size_t len);
/* How often it has changed. */
uint32_t pvio_device_config_changes(const struct pvio_device *dev);

/*
 * What a front-end asks of a network card: announce the guest, which moved
 * here, as @mac; take @mtu.  -ENOTSUP, or what the model says.
 */
int pvio_device_announce(struct pvio_device *dev, const uint8_t mac[6]);
int pvio_device_set_mtu(struct pvio_device *dev, uint16_t mtu);

/* --- memory -------------------------------------------------------------- */

/*
 * Give the device a new memory map.  Takes @map, unless @rc is -EBUSY: another
 * set_memory is under way.  A reset or a quiesce is waited for.  Running queues
 * are paused, drained, moved to the new map and resumed; one whose ring is not
 * in it breaks.
 */
void pvio_device_set_memory(struct pvio_device *dev, struct pvio_map *map,
			    pvio_done_fn *done, void *arg);
/* The map in use: borrowed until the next set_memory.  Never NULL. */
struct pvio_map *pvio_device_map(const struct pvio_device *dev);

/* --- queues -------------------------------------------------------------- */

/*
 * Start queue @index.  @rc: -EINVAL (no such queue, running, bad size or
 * alignment), -EFAULT (ring outside memory), -EPROTO (in-flight region
 * contradicts itself: the queue is broken), or what the model says.
 */
void pvio_device_vq_start(struct pvio_device *dev, unsigned int index,
			  const struct pvio_vq_setup *setup,
			  pvio_done_fn *done, void *arg);
/*
 * Take no more chains, finish those in flight; then @done, after which
 * *position (if not NULL) says where the ring stands.  A queue that is idle is
 * done at once.  Kick and call fds stay.
 */
void pvio_device_vq_stop(struct pvio_device *dev, unsigned int index,
			 struct pvio_vq_position *position, pvio_done_fn *done,
			 void *arg);
bool pvio_device_vq_is_running(const struct pvio_device *dev,
			       unsigned int index);
/* vhost-user's SET_VRING_ENABLE.  Queues begin enabled. */
void pvio_device_vq_enable(struct pvio_device *dev, unsigned int index,
			   bool enable, pvio_done_fn *done, void *arg);
/*
 * Set the eventfd that the driver kicks, or that notifies it.  Takes @fd (-1:
 * none) if @rc is 0; the one before is closed when the worker has let go of
 * it.  May be called while the queue runs.  -EINVAL: no such queue, or not an
 * eventfd (a call fd may also be a pipe).
 */
void pvio_device_vq_set_kick_fd(struct pvio_device *dev, unsigned int index,
				int fd, pvio_done_fn *done, void *arg);
void pvio_device_vq_set_call_fd(struct pvio_device *dev, unsigned int index,
				int fd, pvio_done_fn *done, void *arg);
/* The driver kicked by other means.  Any thread.  Unknown queues: ignored. */
void pvio_device_kick(struct pvio_device *dev, unsigned int index);
/* The same, for the queue's own worker, at once. */
void pvio_device_kick_here(struct pvio_device *dev, unsigned int index);
/* Nobody kicked, but look at the ring all the same. */
void pvio_device_look(struct pvio_device *dev, unsigned int index);
/*
 * The driver's kicks do not arrive: the queues' workers poll for ever, unless
 * the device's "poll_us" says otherwise.  While attaching.
 */
void pvio_device_poll_always(struct pvio_device *dev);

/*
 * Turn the control worker, and those of the queues' workers that nobody runs,
 * until *@flag is set (for the C API's waiting calls); or what @step turns.
 */
void pvio_device_wait(struct pvio_device *dev, const bool *flag);
void pvio_control_wait(struct pvio_worker *control, bool (*step)(void *arg),
		       void *arg, const bool *flag);
/* For such a @step: one turn, if nobody runs it.  True: something was done. */
bool pvio_worker_step_idle(struct pvio_worker *worker);

#pragma GCC visibility pop
#endif
