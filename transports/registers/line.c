/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * line.c - a level-triggered interrupt line with a status register
 *
 * Theory of operation.  The line is up while the ISR has a bit that is not only
 * noted, and nothing has turned it off.  The host hears of a level by callback,
 * up and down; or of the way up by eventfd, and then KVM (or whoever reads that)
 * keeps its line up until the guest ends the interrupt, takes it down by itself,
 * and writes the resample eventfd.  If the cause is still there, we write again:
 *
 *	raise        ->  trigger        ....  guest: handler, ISR read  -> 0
 *	raise, again ->  trigger                     EOI  ->  resample
 *	                 trigger  <-  still up?  <-------------'
 */
#include "transports/registers/line.h"

#include "core/barrier.h"
#include "core/eventfd.h"
#include "core/log.h"
#include "core/stats.h"
#include "core/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <unistd.h>

/* --- with the lock -------------------------------------------------------- */

static void line_trigger(struct pvio_line *line)
{
	if (line->trigger_fd < 0)
		return;
	if (likely(pvio_eventfd_signal(line->trigger_fd) != -EINTR))
		return;
	pvio_log(PVIO_LOG_WARNING, "%s: interrupt's eventfd blocks: let go",
		 line->name);
	close(line->trigger_fd);
	line->trigger_fd = -1;
}

static void line_tell(struct pvio_line *line)
{
	if (line->level)
		line_trigger(line);
	if (line->set)
		line->set(line->arg, line->level);
}

static void line_update(struct pvio_line *line)
{
	bool level = (line->isr & ~line->noted) && !line->is_off;

	if (level == line->level)
		return;
	line->level = level;
	if (level)
		pvio_count(&line->asserted, 1);
	line_tell(line);
}

/* --- any thread ---------------------------------------------------------- */

void pvio_line_raise(struct pvio_line *line, uint8_t bits)
{
	pthread_mutex_lock(&line->lock);
	line->isr |= bits;
	line->noted &= (uint8_t)~bits;
	line_update(line);
	pthread_mutex_unlock(&line->lock);
}

void pvio_line_note(struct pvio_line *line, uint8_t bits)
{
	pthread_mutex_lock(&line->lock);
	/* What the line owes the driver it goes on owing. */
	line->noted |= bits & (uint8_t)~line->isr;
	line->isr |= bits;
	pthread_mutex_unlock(&line->lock);
}

uint8_t pvio_line_acknowledge(struct pvio_line *line, uint8_t clear)
{
	uint8_t isr;

	pthread_mutex_lock(&line->lock);
	isr = line->isr;
	line->isr &= (uint8_t)~clear;
	line->noted &= line->isr;
	line_update(line);
	pthread_mutex_unlock(&line->lock);
	return isr;
}

uint8_t pvio_line_isr(struct pvio_line *line)
{
	return pvio_line_acknowledge(line, 0);
}

void pvio_line_set_off(struct pvio_line *line, bool is_off)
{
	pthread_mutex_lock(&line->lock);
	line->is_off = is_off;
	if (!is_off) {
		line->isr &= (uint8_t)~line->noted;
		line->noted = 0;
	}
	line_update(line);
	pthread_mutex_unlock(&line->lock);
}

void pvio_line_resample(struct pvio_line *line)
{
	pthread_mutex_lock(&line->lock);
	/* By the way it was told: a callback beside an eventfd knows. */
	if (line->level && line->trigger_fd >= 0)
		line_trigger(line);
	else if (line->level)
		line_tell(line);
	pthread_mutex_unlock(&line->lock);
}

/* --- eventfds ------------------------------------------------------------ */

/* Watched by edges and not read, as kicks are: what it counts is no matter. */
static void line_on_resample(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	pvio_line_resample(arg);
}

static int line_dup(int fd, int *own)
{
	*own = fd < 0 ? -1 : pvio_eventfd_dup(fd);
	return fd >= 0 && *own < 0 ? *own : 0;
}

int pvio_line_set_fds(struct pvio_line *line, int trigger, int resample)
{
	struct event *event = NULL;
	int own_trigger, own_resample, old, rc;

	/* Each trigger would be an end of interrupt, and that a trigger. */
	if (trigger >= 0 && resample >= 0 &&
	    pvio_eventfd_is_same(trigger, resample))
		return -EINVAL;
	rc = line_dup(trigger, &own_trigger);
	if (rc < 0)
		return rc;
	rc = line_dup(resample, &own_resample);
	if (rc < 0)
		goto close_trigger;
	if (own_resample >= 0) {
		event = event_new(pvio_worker_base(line->control), own_resample,
				  EV_READ | EV_PERSIST | EV_ET,
				  line_on_resample, line);
		if (!event || event_add(event, NULL) < 0) {
			rc = -ENOMEM;
			goto free_event;
		}
	}
	if (line->resample_event)
		event_free(line->resample_event);
	if (line->resample_fd >= 0)
		close(line->resample_fd);
	line->resample_event = event;
	line->resample_fd = own_resample;

	pthread_mutex_lock(&line->lock);
	old = line->trigger_fd;
	line->trigger_fd = own_trigger;
	/* It has not heard of what was told its predecessor. */
	if (line->level)
		line_trigger(line);
	pthread_mutex_unlock(&line->lock);
	if (old >= 0)
		close(old);
	return 0;

free_event:
	if (event)
		event_free(event);
	close(own_resample);
close_trigger:
	if (own_trigger >= 0)
		close(own_trigger);
	return rc;
}

/* --- life ---------------------------------------------------------------- */

int pvio_line_init(struct pvio_line *line, struct pvio_worker *control)
{
	memset(line, 0, sizeof(*line));
	line->control = control;
	line->name = "device";
	line->trigger_fd = line->resample_fd = -1;
	return -pthread_mutex_init(&line->lock, NULL);
}

void pvio_line_fini(struct pvio_line *line)
{
	if (line->resample_event)
		event_free(line->resample_event);
	if (line->resample_fd >= 0)
		close(line->resample_fd);
	if (line->trigger_fd >= 0)
		close(line->trigger_fd);
	line->resample_event = NULL;
	line->resample_fd = line->trigger_fd = -1;
	pthread_mutex_destroy(&line->lock);
}
