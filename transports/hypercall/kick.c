/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kick.c - kick queues: signals to workers, and doorbells
 *
 *	guest     raises signal s in the area of kick queue k,
 *	          and rings doorbell k if its worker sleeps
 *	worker k  awake: its poller takes signals, in turn with rings
 *	          asleep: armed, and woken by the doorbell's eventfd
 *
 * A signal tells a worker only of queues that are its own.  So nothing that the
 * guest raises makes a worker touch what is another's, and a device is off the bus
 * when its own workers have let go of it.
 *
 * What a worker uses, control hands over by a task and gets back by another.
 * Doorbells are for any thread: an eventfd that lasts as long as the bus.
 */
#include "hypercall.h"

#include "core/eventfd.h"
#include "core/stats.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Signals that are taken in one turn of the worker. */
#define KICK_BUDGET 64

/* --- on the worker ------------------------------------------------------------ */

static void kick_disarm(struct bus_kick *kick)
{
	unsigned int i;

	if (!kick->is_armed)
		return;
	kick->is_armed = false;
	for (i = 0; i < BUS_NR_KICK_SINKS; i++)
		if (kick->sink[i])
			pvio_signal_disarm(kick->sink[i]);
}

static void kick_serve(struct bus_kick *kick, unsigned int number)
{
	struct bus_signal *s;
	struct hypercall *owner;

	if (number >= PVIO_BUS_MAX_SIGNALS)
		return;
	s = &kick->bus->signal[number];
	/* Barrier O: whose it is, is there before the owner. */
	owner = pvio_load_acquire(&s->owner);
	if (!owner || pvio_load_once(&s->kick) != kick->number)
		return;
	pvio_count(&kick->counters.kicks, 1);
	pvio_device_kick_here(owner->dev, s->queue);
}

static unsigned int kick_drain(struct bus_kick *kick,
			       struct pvio_signal_sink *sink, unsigned int left)
{
	unsigned int number;

	while (left > 0 && pvio_signal_next(sink, &number)) {
		kick_serve(kick, number);
		left--;
	}
	return left;
}

static void kick_run(struct pvio_job *job)
{
	struct bus_kick *kick = pvio_container_of(job, struct bus_kick, job);
	unsigned int i, left;

	kick_disarm(kick);
	for (i = 0; i < BUS_NR_KICK_SINKS; i++) {
		left = KICK_BUDGET;
		if (kick->sink[i])
			left = kick_drain(kick, kick->sink[i], left);
		if (left == 0)
			pvio_worker_schedule(kick->worker, job);
	}
}

static bool kick_poll(struct pvio_poller *poller)
{
	struct bus_kick *kick =
		pvio_container_of(poller, struct bus_kick, poller);
	bool any = false;
	unsigned int i;

	kick_disarm(kick);
	for (i = 0; i < BUS_NR_KICK_SINKS; i++)
		if (kick->sink[i])
			any |= pvio_signal_has_next(kick->sink[i]);
	if (any)
		pvio_worker_schedule(kick->worker, &kick->job);
	return any;
}

static bool kick_sleep(struct pvio_poller *poller)
{
	struct bus_kick *kick =
		pvio_container_of(poller, struct bus_kick, poller);
	bool any = false;
	unsigned int i;

	kick->is_armed = true;
	for (i = 0; i < BUS_NR_KICK_SINKS; i++)
		if (kick->sink[i])
			any |= !pvio_signal_arm(kick->sink[i]);
	if (any)
		pvio_worker_schedule(kick->worker, &kick->job);
	return any;
}

/* Edge-triggered, as the queues' own: the count is nobody's business. */
static void kick_on_doorbell(evutil_socket_t fd, short what, void *arg)
{
	struct bus_kick *kick = arg;

	(void)fd;
	(void)what;
	pvio_count(&kick->rung, 1);
	pvio_worker_schedule(kick->worker, &kick->job);
}

/* --- control to worker and back ------------------------------------------------ */

static void kick_is_taken(struct pvio_task *task)
{
	struct bus_kick *kick = pvio_container_of(task, struct bus_kick, back);

	pvio_map_put(kick->new_map);
	kick->new_map = NULL;
	if (kick->nr_users == 0) {
		kick->is_known = false;
		kick->worker = NULL;
	}
	pvio_bus_answered(kick->bus, kick->rc);
}

static int kick_watch(struct bus_kick *kick)
{
	kick->event = event_new(pvio_worker_base(kick->worker), kick->fd,
				EV_READ | EV_PERSIST | EV_ET, kick_on_doorbell,
				kick);
	if (!kick->event)
		return -ENOMEM;
	if (event_add(kick->event, NULL) < 0) {
		event_free(kick->event);
		kick->event = NULL;
		return -ENOMEM;
	}
	pvio_worker_add_poller(kick->worker, &kick->poller);
	return 0;
}

static void kick_forget(struct bus_kick *kick)
{
	pvio_worker_remove_poller(&kick->poller);
	pvio_job_cancel(&kick->job);
	event_free(kick->event);
	kick->event = NULL;
}

/* Put the new sink in the old one's place, which goes back with its map. */
static void kick_take(struct pvio_task *task)
{
	struct bus_kick *kick = pvio_container_of(task, struct bus_kick, task);
	struct pvio_signal_sink **sink = &kick->sink[BUS_KICK_GUEST];
	struct pvio_map *map = kick->map;

	kick_disarm(kick);
	if (*sink) {
		/* What was taken and not served is in the guest's memory. */
		pvio_signal_save(*sink);
		pvio_signal_sink_destroy(*sink);
	}
	*sink = kick->new_sink;
	kick->map = kick->new_map;
	kick->new_sink = NULL;
	kick->new_map = map;
	kick->rc = 0;
	if (kick->wants_event && !kick->event)
		kick->rc = kick_watch(kick);
	else if (!kick->wants_event && kick->event)
		kick_forget(kick);
	if (kick->event)
		pvio_worker_schedule(kick->worker, &kick->job);
	pvio_worker_post(kick->bus->control, &kick->back);
}

static int sink_open_all(void *area, unsigned int nr_words,
			 struct pvio_signal_sink **sink)
{
	unsigned int i;
	int rc;

	rc = pvio_signal_sink_create(area, nr_words, sink);
	if (rc < 0)
		return rc;
	/* Whose a signal is, is looked up when it is served. */
	for (i = 0; i < nr_words * 64; i++)
		pvio_signal_open(*sink, i);
	return 0;
}

static void kick_renew(struct bus_kick *kick, struct pvio_map *map)
{
	struct pvio_signal_area *at = NULL;

	if (kick->nr_users > 0)
		at = pvio_bus_find_area(map, &kick->place);
	if (at) {
		if (sink_open_all(at, kick->place.nr_words,
				  &kick->new_sink) == 0)
			kick->new_map = pvio_map_get(map);
		else
			kick->bus->rc = -ENOMEM;
	}
	kick->wants_event = kick->nr_users > 0;
	kick->is_known = true;
	kick->bus->nr_waiting++;
	pvio_worker_post(kick->worker, &kick->task);
}

void pvio_bus_kicks_renew(struct pvio_bus *bus, struct pvio_map *map)
{
	unsigned int i;

	for (i = 0; i < bus->nr_kicks; i++)
		if (bus->kick[i]->worker)
			kick_renew(bus->kick[i], map);
}

/* --- doorbells ------------------------------------------------------------------- */

/* A signal's own: in an area that is ours, and never out of reach. */
static int doorbell_signal(struct pvio_bus *bus, uint64_t number)
{
	struct bus_signal *s;
	struct bus_kick *kick;

	if (number >= PVIO_BUS_MAX_SIGNALS)
		return -EINVAL;
	s = &bus->signal[number];
	/* Barrier O: as in kick_serve(). */
	if (!pvio_load_acquire(&s->owner))
		return -EINVAL;
	kick = bus->kick[pvio_load_once(&s->kick)];
	if (pvio_signal_raise(kick->direct, BUS_DIRECT_WORDS,
			      (unsigned int)number, 0) != PVIO_RAISED_RING)
		return 0;
	return pvio_eventfd_signal(kick->fd);
}

int pvio_bus_doorbell(struct pvio_bus *bus, uint64_t value)
{
	if (value > UINT32_MAX)
		return -EINVAL;
	if (value & PVIO_BUS_DOORBELL_SIGNAL)
		return doorbell_signal(bus, value ^ PVIO_BUS_DOORBELL_SIGNAL);
	/* Barrier N: a kick queue is whole before it is counted. */
	if (value >= pvio_load_acquire(&bus->nr_kicks))
		return -EINVAL;
	return pvio_eventfd_signal(bus->kick[value]->fd);
}

int pvio_bus_doorbell_fd(struct pvio_bus *bus, unsigned int number)
{
	if (number >= pvio_load_acquire(&bus->nr_kicks))
		return -EINVAL;
	return bus->kick[number]->fd;
}

unsigned int pvio_bus_nr_kick_queues(struct pvio_bus *bus)
{
	return pvio_load_acquire(&bus->nr_kicks);
}

/* --- life -------------------------------------------------------------------------- */

static int kick_create(struct pvio_bus *bus, struct bus_kick **out)
{
	struct bus_kick *kick;
	int rc = -ENOMEM;

	kick = calloc(1, sizeof(*kick));
	if (!kick)
		return -ENOMEM;
	kick->bus = bus;
	kick->number = bus->nr_kicks;
	kick->fd = -1;
	kick->poller.poll = kick_poll;
	kick->poller.sleep = kick_sleep;
	pvio_job_init(&kick->job, kick_run);
	kick->task.fn = kick_take;
	kick->back.fn = kick_is_taken;
	kick->direct = aligned_alloc(PVIO_SIGNAL_ALIGN,
				     pvio_signal_bytes(BUS_DIRECT_WORDS));
	if (!kick->direct)
		goto free_kick;
	memset(kick->direct, 0, pvio_signal_bytes(BUS_DIRECT_WORDS));
	rc = sink_open_all(kick->direct, BUS_DIRECT_WORDS,
			   &kick->sink[BUS_KICK_DIRECT]);
	if (rc < 0)
		goto free_kick;
	kick->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (kick->fd < 0) {
		rc = -errno;
		goto free_kick;
	}
	*out = kick;
	return 0;

free_kick:
	pvio_bus_kick_free(kick);
	return rc;
}

void pvio_bus_kick_free(struct bus_kick *kick)
{
	if (kick->fd >= 0)
		close(kick->fd);
	pvio_signal_sink_destroy(kick->sink[BUS_KICK_DIRECT]);
	free(kick->direct);
	free(kick);
}

/* That of @worker, or one that nobody has. */
static struct bus_kick *kick_find(struct pvio_bus *bus,
				  struct pvio_worker *worker)
{
	struct bus_kick *unused = NULL;
	unsigned int i;

	for (i = 0; i < bus->nr_kicks; i++) {
		if (bus->kick[i]->worker == worker)
			return bus->kick[i];
		if (!bus->kick[i]->worker)
			unused = bus->kick[i];
	}
	return unused;
}

int pvio_bus_kick_get(struct pvio_bus *bus, struct pvio_worker *worker,
		      struct bus_kick **out)
{
	struct bus_kick *kick = kick_find(bus, worker);
	int rc;

	if (!kick) {
		if (bus->nr_kicks == BUS_MAX_KICKS)
			return -ENOSPC;
		rc = kick_create(bus, &kick);
		if (rc < 0)
			return rc;
		bus->kick[bus->nr_kicks] = kick;
		/* Barrier N: see pvio_bus_doorbell(). */
		pvio_store_release(&bus->nr_kicks, bus->nr_kicks + 1);
	}
	/* A worker that has it may be reading this. */
	if (!kick->worker)
		kick->worker = worker;
	kick->nr_users++;
	*out = kick;
	return 0;
}

void pvio_bus_kick_put(struct bus_kick *kick)
{
	/* A device that could not start may have been its only user. */
	if (--kick->nr_users == 0 && !kick->is_known)
		kick->worker = NULL;
}
