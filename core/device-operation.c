/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-operation.c - control asks a queue's worker, and hears when it is done
 *
 * Theory of operation.  What control wants of a queue travels to the queue's
 * worker as a task, is done there, at once or later, and travels back.  Several
 * operations of one queue may be under way, one of each kind; as mailboxes keep
 * their order, so do they.
 *
 * What concerns the whole device, a reset and a change of memory, excludes all
 * that: it waits until no operation is under way, during which no new one is
 * let in, then begins operations of its own.  pvio_device_settle() is called
 * whenever one of these conditions may have come true.
 *
 *	operations on queues:  ---==--===---=-|                     |--==---
 *	reset wanted:                     ----|                     |
 *	exclusive:                            |=====================|
 */
#include "device-internal.h"

#include <errno.h>

void pvio_queue_op_init(struct pvio_queue_op *op, struct pvio_vq *vq,
			void (*work)(struct pvio_queue_op *),
			void (*finish)(struct pvio_queue_op *))
{
	op->vq = vq;
	op->work = work;
	op->finish = finish;
}

static void op_on_worker(struct pvio_task *task)
{
	struct pvio_queue_op *op = pvio_container_of(task, struct pvio_queue_op,
						     task);

	op->work(op);
}

static void op_on_control(struct pvio_task *task)
{
	struct pvio_queue_op *op = pvio_container_of(task, struct pvio_queue_op,
						     task);
	struct pvio_device *dev = op->vq->dev;
	pvio_done_fn *done = op->done;
	void *arg = op->arg;
	int rc = op->rc;

	dev->nr_ops--;
	op->is_busy = false;
	if (op->finish)
		op->finish(op);
	if (done)
		done(arg, rc);
	pvio_device_settle(dev);
}

static void op_prepare(struct pvio_queue_op *op, pvio_done_fn *done, void *arg)
{
	op->done = done;
	op->arg = arg;
	op->rc = 0;
	op->is_busy = true;
	op->vq->dev->nr_ops++;
	op->task.fn = op_on_worker;
}

void pvio_queue_op_begin(struct pvio_queue_op *op, pvio_done_fn *done,
			 void *arg)
{
	op_prepare(op, done, arg);
	op->is_called = op->vq->worker == op->vq->dev->control;
	if (op->is_called)
		op->work(op);
	else
		pvio_worker_post(op->vq->worker, &op->task);
}

/* The same by the mailboxes, whichever workers they are. */
static void op_post(struct pvio_queue_op *op, pvio_done_fn *done, void *arg)
{
	op_prepare(op, done, arg);
	op->is_called = false;
	pvio_worker_post(op->vq->worker, &op->task);
}

void pvio_queue_op_done(struct pvio_queue_op *op, int rc)
{
	op->rc = rc;
	if (op->is_called) {
		op_on_control(&op->task);
		return;
	}
	op->task.fn = op_on_control;
	pvio_worker_post(op->vq->dev->control, &op->task);
}

/* Does something exclude operations on queues, or is about to? */
static bool device_is_excluded(const struct pvio_device *dev)
{
	return dev->exclusive != PVIO_DEVICE_SHARED || dev->nr_waiters ||
	       dev->new_map;
}

bool pvio_queue_op_may_begin(struct pvio_device *dev,
			     const struct pvio_queue_op *op, pvio_done_fn *done,
			     void *arg)
{
	if (!op->is_busy && !device_is_excluded(dev))
		return true;
	done(arg, -EBUSY);
	return false;
}

bool pvio_device_await(struct pvio_device *dev,
		       struct pvio_device_waiter *waiter)
{
	if (!device_is_excluded(dev))
		return false;
	pvio_list_add_tail(&dev->awaiting, &waiter->node);
	return true;
}

/* One of these may exclude the others again. */
static void settle_waiters(struct pvio_device *dev)
{
	while (!pvio_list_empty(&dev->awaiting) && !device_is_excluded(dev)) {
		struct pvio_device_waiter *w =
			pvio_list_entry(dev->awaiting.next,
					struct pvio_device_waiter, node);

		pvio_list_del(&w->node);
		w->fn(w);
	}
}

void pvio_device_settle(struct pvio_device *dev)
{
	if (dev->exclusive != PVIO_DEVICE_SHARED)
		return;
	if (dev->nr_ops == 0) {
		if (dev->new_map)
			pvio_device_remap_begin(dev);
		else if (dev->nr_waiters)
			pvio_device_reset_begin(dev);
		else if (dev->nr_quiet)
			pvio_device_quiet_begin(dev);
	}
	settle_waiters(dev);
}

/* The last thing that a queue's worker does for a device. */
static void fence_work(struct pvio_queue_op *op)
{
	pvio_queue_drop_fds(op->vq);
	pvio_queue_op_done(op, 0);
}

void pvio_queue_fence_init(struct pvio_vq *vq)
{
	pvio_queue_op_init(&vq->control->fence, vq, fence_work, NULL);
}

static void fence_passed(void *arg, int rc)
{
	struct pvio_device *dev = arg;

	if (--dev->fences_left == 0)
		dev->fenced.done(dev->fenced.arg, rc);
}

void pvio_device_fence(struct pvio_device *dev, pvio_done_fn *done, void *arg)
{
	unsigned int i;

	dev->fences_left = dev->nr_queues;
	dev->fenced = (struct pvio_waiter){ .done = done, .arg = arg };
	/*
	 * Mailboxes are in order, and a fence goes through both even where
	 * worker and control are the same.
	 */
	for (i = 0; i < dev->nr_queues; i++)
		op_post(&dev->controls[i].fence, fence_passed, dev);
}
