/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-bus.c - a device on the hypercall bus in this process
 *
 * Registers are calls (guest/bus.h).  What comes and goes by itself:
 *
 *	kicks       a signal to the queue's kick queue; or a doorbell each
 *	interrupts  a signal in a notify queue's area, which whoever waits takes,
 *	            for all queues and devices, and passes on to the queue's call
 *	            eventfd; or a number each, bound to that eventfd
 *
 * A reset undoes the device's routes: a queue is routed when it is started, and
 * the configuration after each reset.  NEEDS_RESET comes with a configuration
 * notification.
 */
#include "device-bus.h"

#include "device-ops.h"

#include "core/barrier.h"
#include "core/util.h"
#include "core/virtio.h"
#include "core/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

/* A device or queue that takes longer to reset is taken for dead. */
#define RESET_TIMEOUT_NS 10000000000ULL
/* Configuration that changes more often while it is read is not readable. */
#define MAX_GENERATIONS  64

/* Where a queue's, or the configuration's, notifications and kicks go. */
struct member_route {
	unsigned int signal; /* GUEST_BUS_NO_SIGNAL: not routed */
	unsigned int kick_queue;
	int interrupt; /* of its own, lent by the bus; or -1 */
};

struct member {
	struct guest_device gd; /* first */
	struct guest_bus *bus;  /* owned or borrowed */
	bool owns_bus;
	bool is_gone;
	bool is_broken; /* atomic: NEEDS_RESET */
	uint16_t number;
	struct guest_device_bus_options options;
	struct pvio_bus_device_info_out info;
	struct member_route config, queue[GUEST_MAX_QUEUES];
};

static struct member *member_of(struct guest_device *gd)
{
	return pvio_container_of(gd, struct member, gd);
}

struct guest_bus *guest_device_bus(struct guest_device *gd)
{
	return member_of(gd)->bus;
}

uint16_t guest_device_bus_number(struct guest_device *gd)
{
	return member_of(gd)->number;
}

unsigned int guest_device_bus_signal(struct guest_device *gd, unsigned int q)
{
	struct member *m = member_of(gd);

	return q < GUEST_MAX_QUEUES ? m->queue[q].signal : m->config.signal;
}

void guest_device_bus_gone(struct guest_device *gd)
{
	member_of(gd)->is_gone = true;
}

/* --- notifications --------------------------------------------------------- */

static void member_config_changed(void *arg, unsigned int signal)
{
	struct member *m = arg;
	uint32_t status = 0;

	(void)signal;
	pvio_store_once(&m->gd.config_changes, m->gd.config_changes + 1);
	if (guest_bus_get_status(m->bus, m->number, &status) != 0 ||
	    status & VIRTIO_CONFIG_S_NEEDS_RESET)
		pvio_store_once(&m->is_broken, true);
}

static void member_queue_has_news(void *arg, unsigned int signal)
{
	(void)signal;
	(void)eventfd_write(((struct guest_queue *)arg)->call_fd, 1);
}

static void member_unroute(struct member *m, struct member_route *r)
{
	if (r->signal != GUEST_BUS_NO_SIGNAL)
		guest_bus_listen(m->bus, r->signal, NULL, NULL);
	if (r->interrupt >= 0)
		guest_bus_give_back(m->bus, (unsigned int)r->interrupt);
	r->signal = GUEST_BUS_NO_SIGNAL;
	r->interrupt = -1;
}

/*
 * Route @queue.  Its signal is told to @fn; an interrupt of its own writes @fd,
 * or is told to @fn, if there is none.
 */
static int member_route(struct member *m, struct member_route *r,
			uint32_t queue, int fd, guest_bus_handler_fn *fn,
			void *arg)
{
	struct pvio_bus_route_in in = {
		.device = m->number,
		.mode = PVIO_BUS_ROUTE_SIGNAL,
		.level = (uint8_t)m->options.level,
		.queue = queue,
	};
	struct pvio_bus_route_out out;
	int rc;

	member_unroute(m, r);
	if (m->options.direct_interrupts) {
		rc = guest_bus_lend(m->bus, fd, fd < 0 ? fn : NULL, arg);
		if (rc < 0)
			return rc;
		r->interrupt = rc;
		in.mode = PVIO_BUS_ROUTE_DIRECT;
		in.notify_queue = (uint32_t)rc;
	} else {
		while (in.notify_queue + 1 < GUEST_BUS_MAX_QUEUES &&
		       m->bus->notify[in.notify_queue + 1].area)
			in.notify_queue++;
		if (queue != PVIO_BUS_QUEUE_CONFIG)
			in.notify_queue = queue % (in.notify_queue + 1);
	}
	rc = guest_bus_error(guest_bus_route(m->bus, &in, &out));
	if (rc < 0)
		return rc;
	r->signal = out.signal;
	r->kick_queue = out.kick_queue;
	if (!m->options.direct_interrupts)
		guest_bus_listen(m->bus, r->signal, fn, arg);
	return 0;
}

static int member_route_config(struct member *m)
{
	return member_route(m, &m->config, PVIO_BUS_QUEUE_CONFIG, -1,
			    member_config_changed, m);
}

/* --- registers ------------------------------------------------------------- */

static bool member_step(struct member *m)
{
	struct pvio_worker *worker = m->bus->step;

	return worker && pvio_worker_is_mine(worker) &&
	       pvio_worker_step(worker);
}

static int bus_get_status(struct guest_device *gd, uint8_t *status)
{
	struct member *m = member_of(gd);
	uint32_t value = 0;
	int rc;

	rc = guest_bus_error(guest_bus_get_status(m->bus, m->number, &value));
	*status = (uint8_t)value;
	return rc;
}

static int member_wait_reset(struct member *m)
{
	uint64_t end = pvio_now_ns() + RESET_TIMEOUT_NS;
	uint32_t status;
	int rc;

	for (;;) {
		rc = guest_bus_error(
			guest_bus_get_status(m->bus, m->number, &status));
		if (rc < 0 || status == 0)
			return rc;
		if (pvio_now_ns() >= end)
			return -ETIMEDOUT;
		if (!member_step(m))
			poll(NULL, 0, 1);
	}
}

static int bus_set_status(struct guest_device *gd, uint8_t status)
{
	struct member *m = member_of(gd);
	unsigned int q;
	int rc;

	rc = guest_bus_error(
		guest_bus_set_status(m->bus, m->number, status, NULL));
	if (rc == 0 && status == 0)
		rc = member_wait_reset(m);
	if (rc < 0 || status)
		return rc;
	for (q = 0; q < GUEST_MAX_QUEUES; q++)
		member_unroute(m, &m->queue[q]);
	pvio_store_once(&m->is_broken, false);
	return member_route_config(m);
}

static int bus_get_features(struct guest_device *gd, uint64_t bits[2])
{
	struct member *m = member_of(gd);

	return guest_bus_error(guest_bus_get_features(m->bus, m->number, bits));
}

static int bus_set_features(struct guest_device *gd, const uint64_t bits[2])
{
	struct member *m = member_of(gd);

	return guest_bus_error(guest_bus_set_features(m->bus, m->number, bits));
}

/* One that is of one generation, in as many messages as it takes. */
static int bus_read_config(struct guest_device *gd, size_t offset, void *buf,
			   size_t len)
{
	struct member *m = member_of(gd);
	uint32_t generation = 0, first = 0;
	unsigned int tries;
	size_t at, part;
	int rc;

	/* What is not there reads as 0. */
	memset(buf, 0, len);
	len = offset < m->info.config_size
		      ? pvio_min(len, m->info.config_size - offset)
		      : 0;
	for (tries = 0; tries < MAX_GENERATIONS; tries++) {
		for (at = 0; at < len; at += part) {
			part = pvio_min(len - at, GUEST_BUS_CONFIG_BYTES);
			rc = guest_bus_get_config(m->bus, m->number,
						  (uint32_t)(offset + at),
						  (uint8_t *)buf + at,
						  (uint32_t)part, &generation);
			if (rc != 0)
				return guest_bus_error(rc);
			if (at == 0)
				first = generation;
			if (generation != first)
				break;
		}
		if (at >= len)
			return 0;
	}
	return -EAGAIN;
}

static int bus_write_config(struct guest_device *gd, size_t offset,
			    const void *buf, size_t len)
{
	uint32_t generation = GUEST_BUS_ANY_GENERATION;
	struct member *m = member_of(gd);

	if (!pvio_range_ok(offset, len, m->info.config_size))
		return -EINVAL;
	return guest_bus_error(
		guest_bus_set_config(m->bus, m->number, (uint32_t)offset, buf,
				     (uint32_t)len, &generation, NULL));
}

static int bus_nr_queues(struct guest_device *gd)
{
	return (int)pvio_min(member_of(gd)->info.nr_queues, GUEST_MAX_QUEUES);
}

/* --- queues ---------------------------------------------------------------- */

static int bus_start_queue(struct guest_device *gd, unsigned int q)
{
	const struct guest_ring *ring = gd->queue[q].ring;
	struct member *m = member_of(gd);
	const struct pvio_bus_set_queue_in in = {
		.index = q,
		.flags = PVIO_BUS_QUEUE_ENABLE,
		.size = guest_ring_size(ring),
		.desc = guest_ring_desc(ring),
		.driver = guest_ring_driver(ring),
		.device = guest_ring_device(ring),
	};
	int rc;

	rc = member_route(m, &m->queue[q], q, gd->queue[q].call_fd,
			  member_queue_has_news, &gd->queue[q]);
	if (rc < 0)
		return rc;
	rc = guest_bus_set_queue(m->bus, m->number, &in);
	/* The other ways do not tell why a queue does not start. */
	return rc == PVIO_BUS_BAD_ADDRESS ? -EINVAL : guest_bus_error(rc);
}

static int bus_reset_queue(struct guest_device *gd, unsigned int q)
{
	uint64_t end = pvio_now_ns() + RESET_TIMEOUT_NS;
	struct member *m = member_of(gd);
	struct pvio_bus_queue_out now;
	int rc;

	if (!(gd->features[0] & PVIO_BIT(VIRTIO_F_RING_RESET)))
		return -ENOTSUP;
	rc = guest_bus_reset_queue(m->bus, m->number, q);
	while (rc == 0) {
		rc = guest_bus_get_queue(m->bus, m->number, q, &now);
		if (rc != 0 || !(now.flags & PVIO_BUS_QUEUE_ENABLED))
			break;
		if (pvio_now_ns() >= end)
			return -ETIMEDOUT;
		if (!member_step(m))
			poll(NULL, 0, 1);
	}
	if (rc == 0)
		member_unroute(m, &m->queue[q]);
	return guest_bus_error(rc);
}

static void bus_kick(struct guest_device *gd, unsigned int q)
{
	struct member *m = member_of(gd);
	const struct member_route *r = &m->queue[q];

	if (r->signal == GUEST_BUS_NO_SIGNAL)
		return;
	if (m->options.direct_doorbells)
		guest_bus_doorbell(m->bus,
				   PVIO_BUS_DOORBELL_SIGNAL | r->signal);
	else
		guest_bus_raise(m->bus, r->kick_queue, r->signal,
				m->options.level);
}

/* --- waiting --------------------------------------------------------------- */

static bool bus_step(struct guest_device *gd)
{
	return guest_bus_step(member_of(gd)->bus);
}

static int bus_step_fd(struct guest_device *gd)
{
	struct guest_bus *bus = member_of(gd)->bus;

	/* A worker that the caller steps has no fd to say when. */
	return bus->step && pvio_worker_is_mine(bus->step) ? -1 : bus->epoll_fd;
}

static bool bus_is_broken(struct guest_device *gd)
{
	return pvio_load_once(&member_of(gd)->is_broken);
}

/* --- open and close -------------------------------------------------------- */

static void bus_close(struct guest_device *gd)
{
	struct member *m = member_of(gd);
	unsigned int q;

	if (!m->is_gone) {
		(void)bus_set_status(gd, 0);
		member_unroute(m, &m->config);
		/* A device that was pulled out has not unrouted them. */
		for (q = 0; q < GUEST_MAX_QUEUES; q++)
			member_unroute(m, &m->queue[q]);
	}
	if (m->owns_bus)
		guest_bus_close(m->bus, !m->is_gone);
	guest_device_fini(gd);
	free(m);
}

static const struct guest_device_ops bus_ops = {
	.close = bus_close,
	.get_status = bus_get_status,
	.set_status = bus_set_status,
	.get_features = bus_get_features,
	.set_features = bus_set_features,
	.read_config = bus_read_config,
	.write_config = bus_write_config,
	.nr_queues = bus_nr_queues,
	.start_queue = bus_start_queue,
	.reset_queue = bus_reset_queue,
	.kick = bus_kick,
	.step = bus_step,
	.is_broken = bus_is_broken,
	.step_fd = bus_step_fd,
};

/* The number of the only device that there is. */
static int find_device(struct guest_bus *gb, uint16_t *number)
{
	uint8_t bits[128] = { 0 };
	uint16_t next;
	unsigned int i, nr = 0;
	int rc;

	rc = guest_bus_get_devices(gb, 0, 8 * sizeof(bits), bits, &next);
	if (rc != 0)
		return guest_bus_error(rc);
	for (i = 0; i < 8 * sizeof(bits); i++) {
		if (!(bits[i / 8] >> i % 8 & 1))
			continue;
		*number = (uint16_t)i;
		nr++;
	}
	return nr == 1 && next == 0 ? 0 : -EINVAL;
}

static int member_find(struct member *m, struct pvio_bus *bus)
{
	int rc = 0;

	m->bus = m->options.bus;
	if (!m->bus) {
		rc = guest_bus_open(bus, m->gd.mem, &m->options.bus_options,
				    &m->bus);
		m->owns_bus = rc == 0;
	}
	if (rc == 0 && m->options.number >= 0)
		m->number = (uint16_t)m->options.number;
	else if (rc == 0)
		rc = find_device(m->bus, &m->number);
	if (rc == 0)
		rc = guest_bus_error(
			guest_bus_device_info(m->bus, m->number, &m->info));
	return rc;
}

int guest_device_open_bus_with(struct pvio_device *dev,
			       struct guest_memory *mem,
			       const struct guest_device_bus_options *options,
			       struct guest_device **gd)
{
	struct pvio_bus *bus = pvio_bus_of(dev);
	struct member *m;
	unsigned int q;
	int rc;

	if (!bus)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	guest_device_init(&m->gd, &bus_ops, mem);
	m->options = *options;
	m->config.signal = GUEST_BUS_NO_SIGNAL;
	m->config.interrupt = -1;
	for (q = 0; q < GUEST_MAX_QUEUES; q++)
		m->queue[q] = m->config;
	rc = member_find(m, bus);
	/* A driver resets before it looks at anything else. */
	if (rc == 0)
		rc = bus_set_status(&m->gd, 0);
	if (rc < 0)
		goto free_member;
	m->gd.config_changes = 0;
	*gd = &m->gd;
	return 0;

free_member:
	if (m->bus)
		member_unroute(m, &m->config);
	if (m->owns_bus)
		guest_bus_close(m->bus, true);
	free(m);
	return rc;
}

int guest_device_open_bus(struct pvio_device *dev, struct guest_memory *mem,
			  struct pvio_worker *step, struct guest_device **gd)
{
	const struct guest_device_bus_options options = {
		.bus_options = {
			.step = step,
			.nr_notify = 1,
			.has_kick = true,
		},
		.number = -1,
	};

	return guest_device_open_bus_with(dev, mem, &options, gd);
}
