/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-queue.c - queues: run, start, drain, stop
 *
 * Theory of operation.  A queue is served by its worker.  Something says that
 * there may be chains - the kick eventfd, pvio_device_kick(), the poller, the
 * model - and schedules the queue's run job, which calls the model's kick once
 * a turn, however many reasons there were.  What the model reports decides how
 * the next chain will be noticed:
 *
 *	       DRAINED, NOTIFY        the worker is about to wait
 *	   run job ----------> POLLED -------------------------> ARMED
 *	    ^  | AGAIN           |  poller sees chains             |
 *	    |  '----.            v                                 | kick, or
 *	    |<------'------------'<--------------------------------' chains came
 *	    |                                                        in between
 *	    |  WAIT
 *	    '--------> PARKED    the model asks for the next run
 *
 * So while a worker has anything to do its drained queues are looked at for
 * free, and the driver is told to kick only when the worker goes to sleep (or
 * gives up its poll budget).  Arming and looking again is queue_arm(), and
 * nowhere else.
 *
 * Starting and stopping are operations (device-operation.c): asked for by
 * control, done by the worker.  A stop first drains:
 *
 *	RUNNING -> DRAINING: poller, event and run job gone; the model gives
 *	           back what it holds, the backend finishes what it has
 *	nothing in flight: flush, note the position, IDLE, tell control
 *
 * A broken queue is stopped the same way, so that buffers of requests which a
 * backend still works on stay mapped until it is done with them.
 */
#include "device-internal.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

/* --- running ------------------------------------------------------------- */

static bool queue_may_run(const struct pvio_vq *vq)
{
	return vq->state == PVIO_VQ_RUNNING &&
	       !pvio_load_once(&vq->dev->is_held) &&
	       !pvio_load_once(&vq->dev->is_broken);
}

void pvio_queue_wake(struct pvio_vq *vq)
{
	vq->kick_ns = pvio_now_ns();
	pvio_worker_schedule(vq->worker, &vq->run);
}

/* Ask for kicks and look again; true when chains came in between. */
static bool queue_arm(struct pvio_vq *vq)
{
	vq->control->mode = PVIO_QUEUE_ARMED;
	if (!pvio_vq_enable_kick(vq))
		return false;
	pvio_queue_wake(vq);
	return true;
}

/*
 * Kicks for a ring in which there is never anything: QEMU hands over the file
 * of memory that it has mapped privately without a word, and we look at other
 * pages than the guest.  One kick may be for nothing: QEMU's own, at start.
 */
static pvio_cold void queue_find_deaf(struct pvio_vq *vq)
{
	struct pvio_vq_control *ctl = vq->control;

	if (ctl->is_deaf || vq->stats.requests || pvio_vq_has_available(vq) ||
	    vq->stats.kicks < ctl->first_kick + 2)
		return;
	ctl->is_deaf = true;
	pvio_log_limited(&vq->dev->log_limit, PVIO_LOG_WARNING,
			 "%s: queue %u is kicked, and empty: is the guest's "
			 "memory not shared with us (share=on)?",
			 pvio_device_name(vq->dev), vq->index);
}

static void queue_run(struct pvio_job *job)
{
	struct pvio_vq *vq = pvio_container_of(job, struct pvio_vq, run);
	const struct pvio_model_ops *ops = vq->dev->model_ops;
	struct pvio_vq_control *ctl = vq->control;
	enum pvio_kick result = PVIO_KICK_WAIT;

	/* DRIVER_OK, or the next start, schedules it again. */
	if (unlikely(!queue_may_run(vq)))
		return;
	/*
	 * What the ring says of kicks is from an earlier life: only from a
	 * known state can we turn them off.  Not before we may run, since until
	 * then the ring is not ours to touch (virtio 1.4, 2.1.2).  We look at
	 * whatever the driver put there before, so what came in between is seen.
	 */
	if (unlikely(ctl->is_fresh)) {
		ctl->is_fresh = false;
		(void)pvio_vq_enable_kick(vq);
	}
	pvio_vq_disable_kick(vq);
	if (likely(vq->enabled))
		result = ops->kick(vq->dev->model, vq);
	else if (ops->discard)
		result = ops->discard(vq->dev->model, vq);

	if (unlikely(vq->stats.requests == 0))
		queue_find_deaf(vq);

	switch (result) {
	case PVIO_KICK_DRAINED:
	case PVIO_KICK_NOTIFY:
		ctl->mode = PVIO_QUEUE_POLLED;
		break;
	case PVIO_KICK_AGAIN:
		ctl->mode = PVIO_QUEUE_PARKED;
		pvio_worker_schedule(vq->worker, &vq->run);
		break;
	case PVIO_KICK_WAIT:
		ctl->mode = PVIO_QUEUE_PARKED;
		break;
	}
}

static bool queue_poll(struct pvio_poller *poller)
{
	struct pvio_vq *vq = pvio_container_of(poller, struct pvio_vq, poller);

	if (vq->control->mode != PVIO_QUEUE_POLLED ||
	    pvio_job_is_pending(&vq->run) || !pvio_vq_has_available(vq) ||
	    !queue_may_run(vq))
		return false;
	pvio_count(&vq->stats.polls, 1);
	pvio_queue_wake(vq);
	return true;
}

static bool queue_sleep(struct pvio_poller *poller)
{
	struct pvio_vq *vq = pvio_container_of(poller, struct pvio_vq, poller);

	return vq->control->mode == PVIO_QUEUE_POLLED && queue_may_run(vq) &&
	       queue_arm(vq);
}

/* --- start --------------------------------------------------------------- */

static int queue_begin(struct pvio_vq *vq)
{
	if (vq->kick_event && event_add(vq->kick_event, NULL))
		return -ENOMEM;
	vq->control->is_fresh = true;
	vq->control->mode = PVIO_QUEUE_POLLED;
	vq->control->first_kick = vq->stats.kicks;
	vq->control->is_deaf = false;
	pvio_worker_add_poller(vq->worker, &vq->poller);
	pvio_queue_wake(vq);
	return 0;
}

static void start_work(struct pvio_queue_op *op)
{
	struct pvio_vq *vq = op->vq;
	struct pvio_device *dev = vq->dev;
	const struct pvio_model_ops *ops = dev->model_ops;
	int rc;

	rc = pvio_vq_start(vq, &vq->control->setup, dev->map, &dev->features);
	if (rc < 0)
		goto stop_vq;
	if (ops->start_queue) {
		rc = ops->start_queue(dev->model, vq);
		if (rc < 0)
			goto stop_vq;
	}
	rc = queue_begin(vq);
	if (rc < 0)
		goto idle_queue;
	/*
	 * Whoever served it before us may have ended between an answer and the
	 * notification.  Ours would not make up for that: with an event index
	 * the driver has asked for that one, and for none that comes after it.
	 */
	if (vq->control->is_taken_over && pvio_vq_has_answered(vq))
		pvio_vq_notify(vq);
	pvio_queue_op_done(op, 0);
	return;

idle_queue:
	if (ops->stop_queue)
		ops->stop_queue(dev->model, vq);
	if (ops->idle_queue)
		ops->idle_queue(dev->model, vq);
stop_vq:
	if (vq->state != PVIO_VQ_IDLE)
		pvio_vq_stop(vq);
	pvio_queue_op_done(op, rc);
}

static void start_finish(struct pvio_queue_op *op)
{
	struct pvio_vq *vq = op->vq;
	struct pvio_vq_control *ctl = vq->control;

	if (op->rc == 0) {
		ctl->is_running = true;
		return;
	}
	if (ctl->is_running && op->rc == -EFAULT &&
	    vq->dev->transport_ops->awaits_memory) {
		pvio_log_limited(&vq->dev->log_limit, PVIO_LOG_INFO,
				 "%s: queue %u waits for memory with its ring",
				 pvio_device_name(vq->dev), vq->index);
		return;
	}
	pvio_log_limited(&vq->dev->log_limit, PVIO_LOG_WARNING,
			 "%s: queue %u does not start: %s",
			 pvio_device_name(vq->dev), vq->index,
			 op->rc == -EFAULT ? "its ring is not in memory"
					   : strerror(-op->rc));
	/* Paused for new memory it was running, and is still the driver's. */
	if (ctl->is_running || op->rc == -EPROTO)
		pvio_device_queue_broken(vq->dev, vq);
}

void pvio_device_vq_start(struct pvio_device *dev, unsigned int index,
			  const struct pvio_vq_setup *setup, pvio_done_fn *done,
			  void *arg)
{
	struct pvio_vq_control *ctl;

	if (index >= dev->nr_queues || setup->size > dev->queue_size) {
		done(arg, -EINVAL);
		return;
	}
	ctl = &dev->controls[index];
	if (!pvio_queue_op_may_begin(dev, &ctl->start, done, arg))
		return;
	/* What is running is frozen (virtio 1.4, 4.1.4.3.2). */
	if (ctl->is_running) {
		done(arg, -EINVAL);
		return;
	}
	ctl->setup = *setup;
	ctl->is_taken_over = true;
	pvio_queue_op_begin(&ctl->start, done, arg);
}

/* --- stop ---------------------------------------------------------------- */

/* Nothing is in flight: let go of the ring. */
static void queue_idle(struct pvio_vq *vq)
{
	struct pvio_vq_control *ctl = vq->control;
	const struct pvio_model_ops *ops = vq->dev->model_ops;

	ctl->is_draining = false;
	pvio_vq_flush(vq);
	pvio_vq_get_position(vq, &ctl->position);
	pvio_vq_stop(vq);
	if (ops->idle_queue)
		ops->idle_queue(vq->dev->model, vq);
	pvio_job_cancel(&vq->run);
	pvio_job_cancel(&vq->flush);
	pvio_job_cancel(&ctl->drained);
	pvio_queue_op_done(&ctl->stop, 0);
}

static void queue_on_drained(struct pvio_job *job)
{
	struct pvio_vq_control *ctl =
		pvio_container_of(job, struct pvio_vq_control, drained);

	if (ctl->is_draining && ctl->stop.vq->nr_in_flight == 0)
		queue_idle(ctl->stop.vq);
}

void pvio_device_queue_drained(struct pvio_device *dev, struct pvio_vq *vq)
{
	(void)dev;
	if (vq->control->is_draining)
		pvio_worker_schedule(vq->worker, &vq->control->drained);
}

static void stop_work(struct pvio_queue_op *op)
{
	struct pvio_vq *vq = op->vq;
	struct pvio_vq_control *ctl = vq->control;
	const struct pvio_model_ops *ops = vq->dev->model_ops;

	/* Broken while it was moved to other memory: stopped already. */
	if (vq->state == PVIO_VQ_IDLE) {
		pvio_queue_op_done(op, 0);
		return;
	}
	pvio_worker_remove_poller(&vq->poller);
	pvio_job_cancel(&vq->run);
	if (vq->kick_event) {
		event_del(vq->kick_event);
		pvio_queue_take_kicks(vq);
	}
	if (vq->state == PVIO_VQ_RUNNING)
		vq->state = PVIO_VQ_DRAINING;
	ctl->is_draining = true;
	if (ops->stop_queue)
		ops->stop_queue(vq->dev->model, vq);
	if (vq->nr_in_flight == 0)
		queue_idle(vq);
}

static void stop_finish(struct pvio_queue_op *op)
{
	struct pvio_vq_control *ctl = op->vq->control;
	struct pvio_device *dev = op->vq->dev;

	if (dev->exclusive != PVIO_DEVICE_SHARED)
		return;
	if (ctl->position_out)
		*ctl->position_out = ctl->position;
	ctl->is_running = false;
	if (!pvio_device_any_running(dev))
		pvio_device_all_stopped(dev);
}

void pvio_device_queue_halt(struct pvio_vq_control *ctl, pvio_done_fn *done,
			    void *arg)
{
	pvio_queue_op_begin(&ctl->stop, done, arg);
}

void pvio_device_vq_stop(struct pvio_device *dev, unsigned int index,
			 struct pvio_vq_position *position, pvio_done_fn *done,
			 void *arg)
{
	struct pvio_vq_control *ctl;

	if (index >= dev->nr_queues) {
		done(arg, -EINVAL);
		return;
	}
	ctl = &dev->controls[index];
	if (!pvio_queue_op_may_begin(dev, &ctl->stop, done, arg))
		return;
	if (!ctl->is_running) {
		if (position)
			*position = ctl->position;
		done(arg, 0);
		return;
	}
	ctl->position_out = position;
	pvio_queue_op_begin(&ctl->stop, done, arg);
}

bool pvio_device_vq_is_running(const struct pvio_device *dev,
			       unsigned int index)
{
	return index < dev->nr_queues && dev->controls[index].is_running;
}

bool pvio_device_any_running(const struct pvio_device *dev)
{
	unsigned int i;

	for (i = 0; i < dev->nr_queues; i++) {
		if (dev->controls[i].is_running)
			return true;
	}
	return false;
}

bool pvio_device_any_starting(const struct pvio_device *dev)
{
	unsigned int i;

	for (i = 0; i < dev->nr_queues; i++) {
		if (dev->controls[i].start.is_busy)
			return true;
	}
	return false;
}

/* --- enable, go, quiet --------------------------------------------------- */

static void enable_work(struct pvio_queue_op *op)
{
	struct pvio_vq *vq = op->vq;

	vq->enabled = vq->control->want_enabled;
	if (vq->state == PVIO_VQ_RUNNING)
		pvio_queue_wake(vq);
	pvio_queue_op_done(op, 0);
}

void pvio_device_vq_enable(struct pvio_device *dev, unsigned int index,
			   bool enable, pvio_done_fn *done, void *arg)
{
	struct pvio_vq_control *ctl;

	if (index >= dev->nr_queues) {
		done(arg, -EINVAL);
		return;
	}
	ctl = &dev->controls[index];
	if (!pvio_queue_op_may_begin(dev, &ctl->enable, done, arg))
		return;
	ctl->want_enabled = enable;
	pvio_queue_op_begin(&ctl->enable, done, arg);
}

static void go_work(struct pvio_queue_op *op)
{
	if (op->vq->state == PVIO_VQ_RUNNING)
		pvio_queue_wake(op->vq);
	pvio_queue_op_done(op, 0);
}

/* The device is broken: no queue of it touches guest memory until reset. */
static void quiet_work(struct pvio_queue_op *op)
{
	struct pvio_vq *vq = op->vq;

	if (vq->state == PVIO_VQ_RUNNING || vq->state == PVIO_VQ_DRAINING)
		pvio_vq_abandon(vq);
	pvio_queue_op_done(op, 0);
}

/* --- making and unmaking ------------------------------------------------- */

void pvio_device_queue_init(struct pvio_device *dev, unsigned int index)
{
	struct pvio_vq_control *ctl = &dev->controls[index];
	struct pvio_vq *vq = &dev->vqs[index];
	unsigned int unit = dev->model_ops->queues_per_unit;

	pvio_vq_init(vq, dev, index);
	vq->control = ctl;
	vq->enabled = true;
	vq->failed_status = dev->model_ops->failed_status;
	/* Queues that are counted together are served together. */
	vq->worker = dev->workers[index / (unit ? unit : 1) % dev->nr_workers];
	pvio_job_init(&vq->run, queue_run);
	vq->poller.poll = queue_poll;
	vq->poller.sleep = queue_sleep;
	pvio_list_init(&vq->poller.node);

	pvio_job_init(&ctl->drained, queue_on_drained);
	pvio_queue_op_init(&ctl->start, vq, start_work, start_finish);
	pvio_queue_op_init(&ctl->stop, vq, stop_work, stop_finish);
	pvio_queue_op_init(&ctl->enable, vq, enable_work, NULL);
	pvio_queue_op_init(&ctl->quiet, vq, quiet_work, NULL);
	pvio_queue_op_init(&ctl->go, vq, go_work, NULL);
	pvio_queue_notify_init(vq);
	pvio_queue_fence_init(vq);
}

void pvio_device_queue_fini(struct pvio_device *dev, unsigned int index)
{
	pvio_vq_fini(&dev->vqs[index]);
}
