/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-status.c - features, status, reset, and what a broken device does
 *
 * Theory of operation.  The status register (virtio 1.4, 2.1) is the driver's
 * to write and ours to believe only where a transition is legal:
 *
 *	0 --> ACKNOWLEDGE, DRIVER --> FEATURES_OK --> DRIVER_OK
 *	        (any order)            sticks after      queues serve
 *	                               set_features
 *	DRIVER_OK --> SUSPEND: drained, DRIVER_OK off; --> DRIVER_OK again
 *	any --> FAILED: only 0 is taken
 *	any --> NEEDS_RESET: ours alone
 *	any --> 0: a reset, done when the register reads 0
 *
 * All that happens on the control worker.  Breaking begins on whatever thread
 * found the reason: it sets is_broken, which stops every queue at its next
 * turn, and posts a task to control, which sets DEVICE_NEEDS_RESET, tells the
 * driver, and takes the other queues off their rings for good.  Only a reset
 * ends it - or, where the transport has no status register, stopping the last
 * queue, which is all that such a front-end does when its guest resets.
 */
#include "device-internal.h"

#include <errno.h>
#include <string.h>

#define STATUS_KNOWN                                               \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |    \
	 VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_SUSPEND | VIRTIO_CONFIG_S_NEEDS_RESET |   \
	 VIRTIO_CONFIG_S_FAILED)

/* Bits of the queue and the transport, not of the device type (2.2). */
#define FEATURES_COMMON_FIRST 24
#define FEATURES_COMMON_LAST  49
#define FEATURES_COMMON \
	(PVIO_BIT(FEATURES_COMMON_LAST + 1) - PVIO_BIT(FEATURES_COMMON_FIRST))

/* Those of them that core/queue implements. */
#define FEATURES_CORE                                                       \
	(PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |                            \
	 PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) | PVIO_BIT(VIRTIO_F_VERSION_1) | \
	 PVIO_BIT(VIRTIO_F_RING_PACKED) | PVIO_BIT(VIRTIO_F_IN_ORDER) |     \
	 PVIO_BIT(VIRTIO_F_NOTIFICATION_DATA) |                             \
	 PVIO_BIT(VIRTIO_F_NOTIF_CONFIG_DATA) |                             \
	 PVIO_BIT(VIRTIO_F_RING_RESET) | PVIO_BIT(VIRTIO_F_SUSPEND) |       \
	 PVIO_BIT(VIRTIO_F_ACCESS_PLATFORM))

/* --- features ------------------------------------------------------------ */

void pvio_device_withhold(struct pvio_device *dev, unsigned int bit)
{
	pvio_feature_set(&dev->withheld, bit);
}

void pvio_device_offered(const struct pvio_device *dev, struct pvio_features *f)
{
	const uint64_t *model = dev->model_ops->features;
	const uint64_t *transport = dev->transport_ops->features;

	f->word[0] = (model[0] & ~FEATURES_COMMON) |
		     (FEATURES_CORE & transport[0]);
	f->word[1] = model[1];
	f->word[0] &= ~dev->withheld.word[0];
	f->word[1] &= ~dev->withheld.word[1];
}

static int features_refuse(struct pvio_device *dev, const char *why)
{
	pvio_log_limited(&dev->log_limit, PVIO_LOG_WARNING,
			 "%s: features refused: %s", dev->name, why);
	return -EINVAL;
}

int pvio_device_set_features(struct pvio_device *dev,
			     const struct pvio_features *f)
{
	const struct pvio_model_ops *ops = dev->model_ops;
	struct pvio_features offered;

	if (dev->features_valid && f->word[0] == dev->features.word[0] &&
	    f->word[1] == dev->features.word[1])
		return 0;
	if ((dev->status & VIRTIO_CONFIG_S_FEATURES_OK) || dev->exclusive ||
	    pvio_device_any_running(dev) || pvio_device_any_starting(dev))
		return -EBUSY;

	pvio_device_offered(dev, &offered);
	if (!pvio_features_subset(f, &offered))
		return features_refuse(dev, "not all were offered");
	if (!pvio_feature_has(f, VIRTIO_F_VERSION_1))
		return features_refuse(dev, "no VERSION_1: a legacy driver, or "
					    "legacy mode of the VMM");
	if (ops->check_features && ops->check_features(dev->model, f) < 0)
		return features_refuse(
			dev, "one depends on another that is missing");
	dev->features = *f;
	dev->features_valid = true;
	if (ops->set_features)
		ops->set_features(dev->model, f);
	return 0;
}

const struct pvio_features *pvio_device_features(const struct pvio_device *dev)
{
	return &dev->features;
}

bool pvio_device_has_feature(const struct pvio_device *dev, unsigned int bit)
{
	return pvio_feature_has(&dev->features, bit);
}

/* --- status -------------------------------------------------------------- */

uint8_t pvio_device_status(const struct pvio_device *dev)
{
	return pvio_load_once(&dev->status);
}

/* Does the driver expect to hear of changes? */
bool pvio_device_is_live(const struct pvio_device *dev)
{
	if (dev->status & ~VIRTIO_CONFIG_S_NEEDS_RESET)
		return dev->status & VIRTIO_CONFIG_S_DRIVER_OK;
	return pvio_device_any_running(dev);
}

void pvio_device_hold(struct pvio_device *dev)
{
	bool was_held = dev->is_held;
	uint8_t status = dev->status;
	bool hold = ((status & ~VIRTIO_CONFIG_S_NEEDS_RESET) &&
		     !(status & VIRTIO_CONFIG_S_DRIVER_OK)) ||
		    dev->quiet;
	unsigned int i;

	pvio_store_once(&dev->is_held, hold);
	for (i = 0; was_held && !hold && i < dev->nr_queues; i++) {
		struct pvio_vq_control *ctl = &dev->controls[i];

		if (ctl->is_running && !ctl->go.is_busy)
			pvio_queue_op_begin(&ctl->go, NULL, NULL);
	}
}

static void status_store(struct pvio_device *dev, uint8_t status)
{
	pvio_store_once(&dev->status, status);
	pvio_device_hold(dev);
}

/* --- suspend (virtio 1.4, 2.1.2) ------------------------------------------ */

/* All that was in flight is finished, and the driver has been notified. */
static void suspend_done(void *arg, int rc)
{
	struct pvio_device *dev = arg;
	uint8_t status = dev->status;

	dev->quiet &= ~(unsigned int)PVIO_QUIET_SUSPEND;
	if (rc < 0)
		pvio_device_break(dev, "could not suspend");
	/* A reset came in between, or the device broke. */
	if (rc == 0 && (status & VIRTIO_CONFIG_S_DRIVER_OK) &&
	    !(status & VIRTIO_CONFIG_S_NEEDS_RESET))
		status = (uint8_t)((status & ~VIRTIO_CONFIG_S_DRIVER_OK) |
				   VIRTIO_CONFIG_S_SUSPEND);
	status_store(dev, status);
}

static void suspend_end(struct pvio_device *dev)
{
	bool owes = dev->owes_config;

	dev->owes_config = false;
	if (owes && dev->transport_ops->notify_config)
		dev->transport_ops->notify_config(dev->transport);
}

/* Is writing @status a step that a driver may take?  Else it is none at all. */
static bool status_is_legal(const struct pvio_device *dev, uint8_t status)
{
	const uint8_t ours = VIRTIO_CONFIG_S_NEEDS_RESET;
	const uint8_t suspend = VIRTIO_CONFIG_S_SUSPEND;
	uint8_t old = dev->status;

	if ((old & VIRTIO_CONFIG_S_FAILED) || (status & ~STATUS_KNOWN))
		return false;
	/* No bit is taken back but those that we set. */
	return !(old & ~ours & ~suspend & ~status) && !(status & ~old & ours);
}

/* What a legal write of @status turns the register into. */
static uint8_t status_next(const struct pvio_device *dev, uint8_t status)
{
	const uint8_t suspend = VIRTIO_CONFIG_S_SUSPEND;
	uint8_t old = dev->status;
	uint8_t added = status & (uint8_t)~old;

	/* Set by us when it is done; cleared by going on. */
	added &= (uint8_t)~suspend;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK)
		old &= (uint8_t)~suspend;
	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && !dev->features_valid)
		added &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	if ((added & VIRTIO_CONFIG_S_DRIVER_OK) &&
	    !((old | added) & VIRTIO_CONFIG_S_FEATURES_OK))
		added &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
	return old | added;
}

/*
 * Does writing @status ask for a suspend?  Only of a device that runs, and
 * once: until that has shown, the driver may write it as often as it likes.
 */
static bool status_suspends(const struct pvio_device *dev, uint8_t old,
			    uint8_t status)
{
	const uint8_t runs = VIRTIO_CONFIG_S_DRIVER_OK;

	return (status & VIRTIO_CONFIG_S_SUSPEND) && (old & runs) &&
	       (dev->status & runs) && !(dev->quiet & PVIO_QUIET_SUSPEND) &&
	       pvio_device_has_feature(dev, VIRTIO_F_SUSPEND) &&
	       !(dev->status & (VIRTIO_CONFIG_S_NEEDS_RESET |
				VIRTIO_CONFIG_S_FAILED));
}

void pvio_device_set_status(struct pvio_device *dev, uint8_t status,
			    pvio_done_fn *done, void *arg)
{
	uint8_t old = dev->status, next;

	if (status == 0) {
		pvio_device_reset(dev, done, arg);
		return;
	}
	if (dev->nr_waiters == 0 && status_is_legal(dev, status)) {
		next = status_next(dev, status);
		status_store(dev, next);
		if ((old & ~next) & VIRTIO_CONFIG_S_SUSPEND)
			suspend_end(dev);
		if (status_suspends(dev, old, status))
			pvio_device_quiesce(dev, PVIO_QUIET_SUSPEND,
					    suspend_done, dev);
	}
	done(arg, 0);
}

/* --- reset --------------------------------------------------------------- */

static void reset_finish(struct pvio_device *dev)
{
	struct pvio_waiter waiters[PVIO_RESET_WAITERS];
	unsigned int i, n = dev->nr_waiters;

	for (i = 0; i < dev->nr_queues; i++) {
		struct pvio_vq_control *ctl = &dev->controls[i];

		ctl->is_running = false;
		ctl->is_reported = false;
		pvio_store_once(&ctl->is_broken, false);
		/* The worker has let go of it, and starts only by our task. */
		dev->vqs[i].enabled = true;
	}
	if (dev->model_ops->reset)
		dev->model_ops->reset(dev->model);
	dev->features = (struct pvio_features){ { 0, 0 } };
	dev->features_valid = false;
	dev->owes_config = false;
	pvio_store_once(&dev->is_broken, false);
	status_store(dev, 0);
	dev->exclusive = PVIO_DEVICE_SHARED;

	/* A callback may ask for the next reset. */
	memcpy(waiters, dev->waiters, sizeof(waiters));
	dev->nr_waiters = 0;
	for (i = 0; i < n; i++)
		waiters[i].done(waiters[i].arg, 0);
	pvio_device_settle(dev);
}

static void reset_queue_stopped(void *arg, int rc)
{
	struct pvio_device *dev = arg;

	(void)rc;
	if (--dev->exclusive_left == 0)
		reset_finish(dev);
}

void pvio_device_reset_begin(struct pvio_device *dev)
{
	unsigned int i;

	dev->exclusive = PVIO_DEVICE_RESETTING;
	dev->exclusive_left = 1;
	for (i = 0; i < dev->nr_queues; i++) {
		if (!dev->controls[i].is_running)
			continue;
		dev->exclusive_left++;
		pvio_device_queue_halt(&dev->controls[i], reset_queue_stopped,
				       dev);
	}
	reset_queue_stopped(dev, 0);
}

void pvio_device_reset(struct pvio_device *dev, pvio_done_fn *done, void *arg)
{
	if (dev->nr_waiters == PVIO_RESET_WAITERS) {
		done(arg, -EBUSY);
		return;
	}
	dev->waiters[dev->nr_waiters].done = done;
	dev->waiters[dev->nr_waiters].arg = arg;
	dev->nr_waiters++;
	pvio_device_settle(dev);
}

/* --- breaking ------------------------------------------------------------ */

/* Control: make public that the device is broken. */
static void break_run(struct pvio_task *task)
{
	struct pvio_device *dev = pvio_container_of(task, struct pvio_device,
						    break_task);
	const struct pvio_transport_ops *ops = dev->transport_ops;
	bool was_live = pvio_device_is_live(dev);
	bool is_new = !(dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	unsigned int i;

	(void)pvio_exchange(&dev->break_is_posted, false);
	if (!pvio_load_once(&dev->is_broken) ||
	    dev->exclusive == PVIO_DEVICE_RESETTING)
		return;

	status_store(dev, dev->status | VIRTIO_CONFIG_S_NEEDS_RESET);
	for (i = 0; i < dev->nr_queues; i++) {
		struct pvio_vq_control *ctl = &dev->controls[i];

		if (ctl->is_running && !ctl->quiet.is_busy)
			pvio_queue_op_begin(&ctl->quiet, NULL, NULL);
		if (!pvio_load_once(&ctl->is_broken) || ctl->is_reported)
			continue;
		ctl->is_reported = true;
		if (ops->queue_broken)
			ops->queue_broken(dev->transport, i);
	}
	if (is_new && was_live && ops->notify_config)
		ops->notify_config(dev->transport);
}

void pvio_device_break_init(struct pvio_device *dev)
{
	dev->break_task.fn = break_run;
}

static void device_break(struct pvio_device *dev)
{
	pvio_store_once(&dev->is_broken, true);
	/*
	 * Barrier V: what says that we broke is stored before the task is
	 * posted, or before the posted task's own exchange in break_run(),
	 * which comes before its loads.
	 */
	if (!pvio_exchange(&dev->break_is_posted, true))
		pvio_worker_post(dev->control, &dev->break_task);
}

void pvio_device_queue_broken(struct pvio_device *dev, struct pvio_vq *vq)
{
	pvio_store_once(&vq->control->is_broken, true);
	device_break(dev);
}

void pvio_device_break(struct pvio_device *dev, const char *why)
{
	unsigned int i;

	/* All of it. */
	for (i = 0; i < dev->nr_queues; i++)
		pvio_store_once(&dev->controls[i].is_broken, true);
	pvio_log_limited(&dev->log_limit, PVIO_LOG_ERROR,
			 "%s: needs a reset: %s", dev->name, why);
	device_break(dev);
}

void pvio_device_all_stopped(struct pvio_device *dev)
{
	unsigned int i;

	if (dev->status & ~VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	for (i = 0; i < dev->nr_queues; i++) {
		dev->controls[i].is_reported = false;
		pvio_store_once(&dev->controls[i].is_broken, false);
	}
	pvio_store_once(&dev->is_broken, false);
	status_store(dev, 0);
}
