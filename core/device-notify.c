/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-notify.c - kicks from the driver and notifications to it
 *
 * Theory of operation.  The kick eventfd is watched edge-triggered and not
 * read: every write to it is an edge, whatever its count.  That saves a system
 * call a kick.  A queue that stops takes the count back, once: the VMM owns the
 * eventfd again, and QEMU takes what it finds there for a kick that is its own
 * to serve.
 *
 * The other end of both descriptors is in hostile hands, which share the open
 * file: they can clear O_NONBLOCK, or fill the counter, whenever they like.  So
 * what is not an eventfd is not taken (but for the pipe that notifies User-mode
 * Linux, which is opened anew), and what is read is read without waiting.
 *
 * A kick by function call or message goes through the mailbox of the queue's
 * worker, and any number of them while it is on its way are one.
 */
#include "device-internal.h"
#include "eventfd.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* --- kicks --------------------------------------------------------------- */

static void queue_on_kick_fd(evutil_socket_t fd, short what, void *arg)
{
	struct pvio_vq *vq = arg;

	(void)fd;
	(void)what;
	pvio_count(&vq->stats.kicks, 1);
	pvio_queue_wake(vq);
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
	if (pvio_exchange(&ctl->is_kicked, false))
		pvio_count(&vq->stats.kicks, 1);
	if (vq->state == PVIO_VQ_RUNNING)
		pvio_queue_wake(vq);
}

void pvio_device_kick(struct pvio_device *dev, unsigned int index)
{
	if (index >= dev->nr_queues)
		return;
	pvio_store_once(&dev->controls[index].is_kicked, true);
	pvio_device_look(dev, index);
}

void pvio_device_kick_here(struct pvio_device *dev, unsigned int index)
{
	struct pvio_vq *vq = &dev->vqs[index];

	pvio_count(&vq->stats.kicks, 1);
	if (vq->state == PVIO_VQ_RUNNING)
		pvio_queue_wake(vq);
}

void pvio_device_look(struct pvio_device *dev, unsigned int index)
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

/*
 * Take back the kicks we have been told of.  RWF_NOWAIT, since the peer shares
 * the open file and may have cleared O_NONBLOCK.
 */
void pvio_queue_take_kicks(const struct pvio_vq *vq)
{
	uint64_t count;
	struct iovec iov = { &count, sizeof(count) };
	ssize_t ignored = preadv2(vq->kick_fd, &iov, 1, -1, RWF_NOWAIT);

	(void)ignored;
}

/* --- descriptors --------------------------------------------------------- */

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
		pvio_queue_wake(vq);
	pvio_queue_op_done(op, 0);
}

void pvio_device_vq_set_kick_fd(struct pvio_device *dev, unsigned int index,
				int fd, pvio_done_fn *done, void *arg)
{
	struct pvio_vq_control *ctl;
	int rc;

	if (index >= dev->nr_queues || (fd >= 0 && !pvio_eventfd_is(fd))) {
		done(arg, -EINVAL);
		return;
	}
	ctl = &dev->controls[index];
	if (!pvio_queue_op_may_begin(dev, &ctl->set_kick, done, arg))
		return;
	rc = fd >= 0 ? pvio_eventfd_set_nonblocking(fd) : 0;
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
	/* What came to the one before may never have been seen. */
	if (vq->state == PVIO_VQ_RUNNING && vq->call_fd >= 0 &&
	    pvio_vq_has_answered(vq))
		pvio_vq_notify(vq);
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
	if (!pvio_queue_op_may_begin(dev, &ctl->set_call, done, arg))
		return;
	if (fd >= 0 && !pvio_eventfd_is(fd))
		rc = pipe_fd = fd_reopen_pipe(fd);
	else if (fd >= 0)
		rc = pvio_eventfd_set_nonblocking(fd);
	if (rc < 0) {
		done(arg, rc);
		return;
	}
	if (pipe_fd >= 0)
		close(fd);
	ctl->new_call_fd = pipe_fd >= 0 ? pipe_fd : fd < 0 ? -1 : fd;
	pvio_queue_op_begin(&ctl->set_call, done, arg);
}

void pvio_queue_drop_fds(struct pvio_vq *vq)
{
	if (vq->kick_event)
		event_free(vq->kick_event);
	vq->kick_event = NULL;
	if (vq->kick_fd >= 0)
		close(vq->kick_fd);
	if (vq->call_fd >= 0)
		close(vq->call_fd);
	vq->kick_fd = vq->call_fd = -1;
}

void pvio_queue_notify_init(struct pvio_vq *vq)
{
	struct pvio_vq_control *ctl = vq->control;

	ctl->kick.fn = queue_on_kick;
	pvio_queue_op_init(&ctl->set_kick, vq, set_kick_work, NULL);
	pvio_queue_op_init(&ctl->set_call, vq, set_call_work, NULL);
}
