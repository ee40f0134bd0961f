/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-queue.c - queues: run, kick, start, stop, move to other memory
 *
 * Theory of operation.  A queue is served by its worker.  Something says that
 * there may be chains - the kick eventfd, pvio_device_kick(), the poller, the
 * model - and schedules the queue's run job, which calls the model's kick once
 * a turn, however many reasons there were.  What the model reports decides how
 * the next chain will be noticed:
 *
 *	       DRAINED, NOTIFY          the worker is about to wait
 *	   run job ----------> POLLED ------------------------------> ARMED
 *	    ^  | AGAIN          |  poller sees chains                   |
 *	    |  '----.           v                                       | kick,
 *	    |<------'-----------'<--------------------------------------' or chains
 *	    |                                                             came in
 *	    |  WAIT                                                       between
 *	    '--------> PARKED   the model asks for the next run
 *
 * So while a worker has anything to do its drained queues are looked at for
 * free, and the driver is told to kick only when the worker goes to sleep (or
 * gives up its poll budget).  Arming and looking again is queue_arm(), and
 * nowhere else.
 *
 * The kick eventfd is watched edge-triggered and not read: every write to it is
 * an edge, whatever its count.  That saves a system call a kick.  A queue that
 * stops takes the count back, once: the VMM owns the eventfd again, and QEMU
 * takes what it finds there for a kick that is its own to serve.
 *
 * Starting and stopping are operations (device-internal.h): asked for by
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
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* --- running ---------------------------------------------------------------- */

static bool queue_may_run(const struct pvio_vq *vq)
{
	return vq->state == PVIO_VQ_RUNNING &&
	       !pvio_load_once(&vq->dev->is_held) &&
	       !pvio_load_once(&vq->dev->is_broken);
}

/* There may be chains: look soon. */
static void queue_wake(struct pvio_vq *vq)
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
	queue_wake(vq);
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
	queue_wake(vq);
	return true;
}

static bool queue_sleep(struct pvio_poller *poller)
{
	struct pvio_vq *vq = pvio_container_of(poller, struct pvio_vq, poller);

	return vq->control->mode == PVIO_QUEUE_POLLED && queue_may_run(vq) &&
	       queue_arm(vq);
}

static void queue_on_kick_fd(evutil_socket_t fd, short what, void *arg)
{
	struct pvio_vq *vq = arg;

	(void)fd;
	(void)what;
	pvio_count(&vq->stats.kicks, 1);
	queue_wake(vq);
}

/* The mailbox task of pvio_device_kick(). */
static void queue_on_kick(struct pvio_task *task)
{
	struct pvio_vq_control *ctl =
		pvio_container_of(task, struct pvio_vq_control, kick);
	struct pvio_vq *vq = ctl->start.vq;

	/*
	 * Barrier K1: the task may be posted again before we look at the ring;
	 * a kick that came earlier is served by this look.  Pairs with K2.
	 */
	(void)pvio_exchange(&ctl->kick_is_posted, false);
	pvio_count(&vq->stats.kicks, 1);
	if (vq->state == PVIO_VQ_RUNNING)
		queue_wake(vq);
}

void pvio_device_kick(struct pvio_device *dev, unsigned int index)
{
	struct pvio_vq_control *ctl;

	if (index >= dev->nr_queues)
		return;
	ctl = &dev->controls[index];
	/* Barrier K2: the ring is written before we find the task pending. */
	if (!pvio_exchange(&ctl->kick_is_posted, true))
		pvio_worker_post(dev->vqs[index].worker, &ctl->kick);
}

void pvio_device_notify_queue(struct pvio_device *dev, unsigned int index)
{
	if (dev->transport_ops->notify_queue)
		dev->transport_ops->notify_queue(dev->transport, index);
}

/* --- operations ------------------------------------------------------------- */

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

/*
 * May operation @op of queue @index begin?  Says so to @done if not.  A reset
 * or a change of memory that waits for its turn lets no more in.
 */
static bool op_may_begin(struct pvio_device *dev,
			 const struct pvio_queue_op *op, pvio_done_fn *done,
			 void *arg)
{
	if (!op->is_busy && dev->exclusive == PVIO_DEVICE_SHARED &&
	    dev->nr_waiters == 0 && !dev->new_map)
		return true;
	done(arg, -EBUSY);
	return false;
}

void pvio_device_settle(struct pvio_device *dev)
{
	if (dev->nr_ops || dev->exclusive != PVIO_DEVICE_SHARED)
		return;
	if (dev->new_map)
		pvio_device_remap_begin(dev);
	else if (dev->nr_waiters)
		pvio_device_reset_begin(dev);
}

/* --- start ------------------------------------------------------------------ */

static int queue_begin(struct pvio_vq *vq)
{
	if (vq->kick_event && event_add(vq->kick_event, NULL))
		return -ENOMEM;
	/*
	 * What the ring says of kicks is from an earlier life: only from a
	 * known state can the run job turn them off.  It looks at whatever the
	 * driver put there before, so it does not matter what comes in between.
	 */
	(void)pvio_vq_enable_kick(vq);
	vq->control->mode = PVIO_QUEUE_POLLED;
	vq->control->first_kick = vq->stats.kicks;
	vq->control->is_deaf = false;
	pvio_worker_add_poller(vq->worker, &vq->poller);
	queue_wake(vq);
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
	if (!op_may_begin(dev, &ctl->start, done, arg))
		return;
	/* What is running is frozen (virtio 1.4, 4.1.4.3.2). */
	if (ctl->is_running) {
		done(arg, -EINVAL);
		return;
	}
	ctl->setup = *setup;
	pvio_queue_op_begin(&ctl->start, done, arg);
}

/* --- stop ------------------------------------------------------------------- */

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

/*
 * Take back the kicks we have been told of.  RWF_NOWAIT, since the peer shares
 * the open file and may have cleared O_NONBLOCK.
 */
static void queue_take_kicks(const struct pvio_vq *vq)
{
	uint64_t count;
	struct iovec iov = { &count, sizeof(count) };
	ssize_t ignored = preadv2(vq->kick_fd, &iov, 1, -1, RWF_NOWAIT);

	(void)ignored;
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
		queue_take_kicks(vq);
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
	if (!op_may_begin(dev, &ctl->stop, done, arg))
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

/* --- enable, go, quiet ------------------------------------------------------ */

static void enable_work(struct pvio_queue_op *op)
{
	struct pvio_vq *vq = op->vq;

	vq->enabled = vq->control->want_enabled;
	if (vq->state == PVIO_VQ_RUNNING)
		queue_wake(vq);
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
	if (!op_may_begin(dev, &ctl->enable, done, arg))
		return;
	ctl->want_enabled = enable;
	pvio_queue_op_begin(&ctl->enable, done, arg);
}

static void go_work(struct pvio_queue_op *op)
{
	if (op->vq->state == PVIO_VQ_RUNNING)
		queue_wake(op->vq);
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

/* --- kick and call fds ------------------------------------------------------ */

static bool fd_is_eventfd(int fd)
{
	char path[32], name[32];
	struct stat st;
	ssize_t n;

	/* Anonymous inodes have no type. */
	if (fstat(fd, &st) < 0 || (st.st_mode & S_IFMT) != 0)
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, name, sizeof(name) - 1);
	/* In a sandbox without /proc the inode has to be enough. */
	if (n < 0)
		return errno != EBADF;
	name[n] = '\0';
	return strcmp(name, "anon_inode:[eventfd]") == 0;
}

static int fd_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/*
 * User-mode Linux is notified by a pipe.  Opened anew it is ours to make
 * nonblocking; and as a reader of it, too, we never get SIGPIPE.
 */
static int fd_reopen_pipe(int fd)
{
	char path[32];
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return rc < 0 ? -errno : rc;
}

static void set_kick_work(struct pvio_queue_op *op)
{
	struct pvio_vq *vq = op->vq;
	struct pvio_vq_control *ctl = vq->control;
	int fd = ctl->new_kick_fd;
	struct event *event = NULL;

	if (fd >= 0) {
		event = event_new(pvio_worker_base(vq->worker), fd,
				  EV_READ | EV_PERSIST | EV_ET,
				  queue_on_kick_fd, vq);
		if (!event) {
			pvio_queue_op_done(op, -ENOMEM);
			return;
		}
		/* Also proves that this fd can be watched at all. */
		if (event_add(event, NULL) < 0) {
			event_free(event);
			pvio_queue_op_done(op, -EINVAL);
			return;
		}
		if (vq->state != PVIO_VQ_RUNNING)
			event_del(event);
	}
	if (vq->kick_event)
		event_free(vq->kick_event);
	if (vq->kick_fd >= 0)
		close(vq->kick_fd);
	vq->kick_event = event;
	vq->kick_fd = fd;
	if (vq->state == PVIO_VQ_RUNNING)
		queue_wake(vq);
	pvio_queue_op_done(op, 0);
}

void pvio_device_vq_set_kick_fd(struct pvio_device *dev, unsigned int index,
				int fd, pvio_done_fn *done, void *arg)
{
	struct pvio_vq_control *ctl;
	int rc;

	if (index >= dev->nr_queues || (fd >= 0 && !fd_is_eventfd(fd))) {
		done(arg, -EINVAL);
		return;
	}
	ctl = &dev->controls[index];
	if (!op_may_begin(dev, &ctl->set_kick, done, arg))
		return;
	rc = fd >= 0 ? fd_set_nonblocking(fd) : 0;
	if (rc < 0) {
		done(arg, rc);
		return;
	}
	ctl->new_kick_fd = fd < 0 ? -1 : fd;
	pvio_queue_op_begin(&ctl->set_kick, done, arg);
}

static void set_call_work(struct pvio_queue_op *op)
{
	struct pvio_vq *vq = op->vq;

	if (vq->call_fd >= 0)
		close(vq->call_fd);
	vq->call_fd = vq->control->new_call_fd;
	pvio_queue_op_done(op, 0);
}

void pvio_device_vq_set_call_fd(struct pvio_device *dev, unsigned int index,
				int fd, pvio_done_fn *done, void *arg)
{
	struct pvio_vq_control *ctl;
	int pipe_fd = -1, rc = 0;

	if (index >= dev->nr_queues) {
		done(arg, -EINVAL);
		return;
	}
	ctl = &dev->controls[index];
	if (!op_may_begin(dev, &ctl->set_call, done, arg))
		return;
	if (fd >= 0 && !fd_is_eventfd(fd))
		rc = pipe_fd = fd_reopen_pipe(fd);
	else if (fd >= 0)
		rc = fd_set_nonblocking(fd);
	if (rc < 0) {
		done(arg, rc);
		return;
	}
	if (pipe_fd >= 0)
		close(fd);
	ctl->new_call_fd = pipe_fd >= 0 ? pipe_fd : fd < 0 ? -1 : fd;
	pvio_queue_op_begin(&ctl->set_call, done, arg);
}

/* --- memory ----------------------------------------------------------------- */

static void remap_done(struct pvio_device *dev)
{
	pvio_done_fn *done = dev->memory_done;
	void *arg = dev->memory_arg;

	dev->exclusive = PVIO_DEVICE_SHARED;
	dev->memory_done = NULL;
	done(arg, 0);
	pvio_device_settle(dev);
}

static void remap_queue_started(void *arg, int rc)
{
	struct pvio_device *dev = arg;

	(void)rc; /* start_finish() has broken it */
	if (--dev->exclusive_left == 0)
		remap_done(dev);
}

/* No queue holds anything of the old map any more. */
static void remap_swap(struct pvio_device *dev)
{
	bool is_broken = pvio_load_once(&dev->is_broken);
	unsigned int i;

	pvio_map_put(dev->map);
	dev->map = dev->new_map;
	dev->new_map = NULL;

	dev->exclusive_left = 1;
	for (i = 0; i < dev->nr_queues; i++) {
		struct pvio_vq_control *ctl = &dev->controls[i];

		if (!ctl->is_running || is_broken)
			continue;
		ctl->setup.position = ctl->position;
		ctl->setup.recover_used = false;
		dev->exclusive_left++;
		pvio_queue_op_begin(&ctl->start, remap_queue_started, dev);
	}
	remap_queue_started(dev, 0);
}

static void remap_queue_stopped(void *arg, int rc)
{
	struct pvio_device *dev = arg;

	(void)rc;
	if (--dev->exclusive_left == 0)
		remap_swap(dev);
}

void pvio_device_remap_begin(struct pvio_device *dev)
{
	unsigned int i;

	dev->exclusive = PVIO_DEVICE_REMAPPING;
	dev->exclusive_left = 1;
	for (i = 0; i < dev->nr_queues; i++) {
		if (!dev->controls[i].is_running)
			continue;
		dev->exclusive_left++;
		pvio_device_queue_halt(&dev->controls[i], remap_queue_stopped,
				       dev);
	}
	remap_queue_stopped(dev, 0);
}

void pvio_device_set_memory(struct pvio_device *dev, struct pvio_map *map,
			    pvio_done_fn *done, void *arg)
{
	if (dev->memory_done || dev->nr_waiters) {
		done(arg, -EBUSY);
		return;
	}
	dev->new_map = map;
	dev->memory_done = done;
	dev->memory_arg = arg;
	pvio_device_settle(dev);
}

/* --- making and unmaking ---------------------------------------------------- */

/* Also the last thing a queue's worker does for a device. */
static void fence_work(struct pvio_queue_op *op)
{
	struct pvio_vq *vq = op->vq;
	if (vq->kick_event)
		event_free(vq->kick_event);
	vq->kick_event = NULL;
	if (vq->kick_fd >= 0)
		close(vq->kick_fd);
	if (vq->call_fd >= 0)
		close(vq->call_fd);
	vq->kick_fd = vq->call_fd = -1;
	pvio_queue_op_done(op, 0);
}

static void fence_passed(void *arg, int rc)
{
	unsigned int *left = arg;

	(void)rc;
	--*left;
}

void pvio_device_fence(struct pvio_device *dev)
{
	unsigned int left = dev->nr_queues;
	unsigned int i;

	/*
	 * Mailboxes are in order, and a fence goes through both even where
	 * worker and control are the same.
	 */
	for (i = 0; i < dev->nr_queues; i++)
		op_post(&dev->controls[i].fence, fence_passed, &left);
	while (left)
		pvio_device_wait_turn(dev);
}

static void queue_op_init(struct pvio_queue_op *op, struct pvio_vq *vq,
			  void (*work)(struct pvio_queue_op *),
			  void (*finish)(struct pvio_queue_op *))
{
	op->vq = vq;
	op->work = work;
	op->finish = finish;
}

void pvio_device_queue_init(struct pvio_device *dev, unsigned int index)
{
	struct pvio_vq_control *ctl = &dev->controls[index];
	struct pvio_vq *vq = &dev->vqs[index];
	unsigned int unit = dev->model_ops->queues_per_unit;

	pvio_vq_init(vq, dev, index);
	vq->control = ctl;
	vq->enabled = true;
	/* Queues that are counted together are served together. */
	vq->worker = dev->workers[index / (unit ? unit : 1) % dev->nr_workers];
	pvio_job_init(&vq->run, queue_run);
	vq->poller.poll = queue_poll;
	vq->poller.sleep = queue_sleep;
	pvio_list_init(&vq->poller.node);

	pvio_job_init(&ctl->drained, queue_on_drained);
	ctl->kick.fn = queue_on_kick;
	queue_op_init(&ctl->start, vq, start_work, start_finish);
	queue_op_init(&ctl->stop, vq, stop_work, stop_finish);
	queue_op_init(&ctl->enable, vq, enable_work, NULL);
	queue_op_init(&ctl->set_kick, vq, set_kick_work, NULL);
	queue_op_init(&ctl->set_call, vq, set_call_work, NULL);
	queue_op_init(&ctl->quiet, vq, quiet_work, NULL);
	queue_op_init(&ctl->go, vq, go_work, NULL);
	queue_op_init(&ctl->fence, vq, fence_work, NULL);
}

void pvio_device_queue_fini(struct pvio_device *dev, unsigned int index)
{
	pvio_vq_fini(&dev->vqs[index]);
}
