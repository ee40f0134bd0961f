/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * window.c - an opened window: who shares it, epochs, beats, interrupts
 *
 * Whatever may have changed (an interrupt, the second that is over, a session
 * that ended, memory that came or left) leads to one job, window_look(), which
 * looks at everything.  So nothing depends on an interrupt that is not lost,
 * nor on the order of two changes; and however often the host interrupts, it
 * is looked at once a turn.
 *
 * The host's half is read at each look, each field once.  A header that is not
 * good is a host that is not there.
 */
#include "port.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BEAT_INTERVAL_S 1

/* All windows of the process; devices come and go on many threads. */
static pthread_mutex_t window_list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pvio_list window_list = { &window_list, &window_list };

/* --- the other side's ----------------------------------------------------- */

/* The host's epoch, or 0: there is no host. */
static uint32_t window_read_header(struct window *w)
{
	struct window_header *h = w->header;
	uint32_t epoch, beat, nr_ports;

	/* Barrier X: the host writes magic last, so the rest is there. */
	if (le64toh(pvio_load_acquire(&h->magic)) != WINDOW_MAGIC)
		return 0;
	nr_ports = le32toh(pvio_load_once(&h->nr_ports));
	if (le32toh(pvio_load_once(&h->version)) != WINDOW_VERSION ||
	    le64toh(pvio_load_once(&h->bytes)) != w->bytes ||
	    nr_ports > WINDOW_MAX_PORTS) {
		pvio_log_limited(&w->log_limit, PVIO_LOG_WARNING,
				 "window %s: not of version %u and %" PRIu64
				 " bytes",
				 w->place, WINDOW_VERSION, w->bytes);
		return 0;
	}
	beat = le32toh(pvio_load_once(&h->beat));
	if (beat != w->host_beat) {
		w->host_beat = beat;
		w->beat_ns = pvio_now_ns();
	}
	epoch = le32toh(pvio_load_once(&h->epoch));
	if (!w->is_up)
		w->nr_ports = nr_ports;
	return epoch;
}

bool window_is_host_alive(const struct window *w, uint64_t ms)
{
	return w->is_up && pvio_now_ns() - w->beat_ns < ms * 1000000;
}

static void window_ring_host(struct window *w)
{
	w->doorbell = le32toh(pvio_load_once(&w->header->doorbell));
	w->ops->ring(w->access, w->doorbell);
}

static void window_tell_now(struct pvio_job *job)
{
	struct window *w = pvio_container_of(job, struct window, tell_job);

	if (w->mapping)
		window_ring_host(w);
}

void window_tell(struct window *w)
{
	pvio_worker_at_turn_end(w->control, &w->tell_job);
}

/* --- up and down ---------------------------------------------------------- */

/* Another one than that which is there, and than most that were. */
static uint32_t window_new_epoch(struct window *w)
{
	uint32_t before = le32toh(pvio_load_once(&w->header->guest_epoch));
	uint64_t now = pvio_now_ns();
	uint32_t epoch = (uint32_t)(now ^ now >> 32);

	while (epoch == 0 || epoch == before)
		epoch++;
	return epoch;
}

static void window_up(struct window *w, uint32_t host_epoch)
{
	struct window_port *p;
	unsigned int i;

	w->host_epoch = host_epoch;
	w->is_up = true;
	w->beat_ns = pvio_now_ns();
	/* What one before us left. */
	for (i = 0; i < WINDOW_MAX_PORTS; i++) {
		p = window_port(w, i);
		pvio_store_once(&p->served, 0);
		pvio_store_once(&p->is_open, 0);
	}
	/* Barrier X: no port is open when our epoch is there. */
	pvio_store_release(&w->header->guest_epoch,
			   htole32(window_new_epoch(w)));
	window_tell(w);
	pvio_log_limited(&w->log_limit, PVIO_LOG_INFO,
			 "window %s: %" PRIu64 " MiB, %u ports", w->place,
			 w->bytes >> 20, w->nr_ports);
	for (i = 0; i < WINDOW_MAX_PORTS; i++)
		if (w->port[i])
			port_up(w->port[i]);
}

static void window_down(struct window *w)
{
	unsigned int i;

	w->is_up = false;
	pvio_log_limited(&w->log_limit, PVIO_LOG_INFO,
			 "window %s: the host %s", w->place,
			 w->has_left ? "left" : "begins anew");
	for (i = 0; i < WINDOW_MAX_PORTS; i++)
		if (w->port[i])
			port_down(w->port[i]);
}

/* Is there a session, or what is left of one? */
static bool window_is_in_use(const struct window *w)
{
	unsigned int i;

	for (i = 0; i < WINDOW_MAX_PORTS; i++)
		if (w->port[i] && w->port[i]->state != PORT_OFF)
			return true;
	return false;
}

/* --- interrupts and beats ------------------------------------------------- */

/*
 * Watched edge-triggered and never read: each write is an edge, and the open
 * file is the host's, too, which might make a read block.
 */
static void window_interrupted(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	window_look_soon(arg);
}

/* Interrupt 0 may come later than the memory; till then there are beats. */
static void window_watch(struct window *w)
{
	int fd;

	if (w->interrupt_event)
		return;
	fd = w->ops->vector(w->access, 0);
	if (fd < 0)
		return;
	w->interrupt_event = event_new(pvio_worker_base(w->control), fd,
				       EV_READ | EV_PERSIST | EV_ET,
				       window_interrupted, w);
	if (w->interrupt_event && event_add(w->interrupt_event, NULL) < 0) {
		event_free(w->interrupt_event);
		w->interrupt_event = NULL;
	}
}

static void window_beat(evutil_socket_t fd, short what, void *arg)
{
	struct window *w = arg;
	uint32_t *beat = &w->header->guest_beat;

	(void)fd;
	(void)what;
	pvio_store_once(beat, htole32(le32toh(pvio_load_once(beat)) + 1));
	window_look_soon(w);
}

/* --- memory --------------------------------------------------------------- */

/* Nobody uses the window any more: unmap it. */
static void window_release(struct window *w)
{
	if (!w->mapping)
		return;
	pvio_store_release(&w->header->guest_epoch, 0);
	window_ring_host(w);
	event_del(w->beat_event);
	if (w->interrupt_event)
		event_free(w->interrupt_event);
	w->interrupt_event = NULL;
	w->header = NULL;
	pvio_mapping_put(w->mapping);
	w->mapping = NULL;
	close(w->fd);
	w->fd = -1;
	w->has_left = false;
}

/*
 * A descriptor that stands for memory which is no file's.  Regions of messages
 * are told apart by their file, and by where in it they are.
 */
static int window_stand_in(uint64_t bytes)
{
	int fd, rc;

	fd = memfd_create("pvio-window", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

int window_came(struct window *w, int fd, void *host, uint64_t bytes)
{
	const struct timeval interval = { .tv_sec = BEAT_INTERVAL_S };
	struct pvio_mapping *mapping;
	int rc;

	if (w->mapping || bytes < WINDOW_MIN_BYTES || (bytes & (bytes - 1))) {
		pvio_log_limited(&w->log_limit, PVIO_LOG_ERROR,
				 "window %s: %" PRIu64 " bytes: not a power of "
				 "two of at least %u",
				 w->place, bytes, WINDOW_MIN_BYTES);
		return -EINVAL;
	}
	if (host)
		rc = pvio_mapping_wrap(host, bytes, &mapping);
	else
		rc = pvio_mapping_create(fd, 0, bytes, PROT_READ | PROT_WRITE,
					 &mapping);
	if (rc < 0)
		return rc;
	if (host) {
		fd = window_stand_in(bytes);
		if (fd < 0) {
			pvio_mapping_put(mapping);
			return fd;
		}
	}
	w->mapping = mapping;
	w->fd = fd;
	w->is_file = !host;
	w->bytes = bytes;
	w->header = (void *)((uint8_t *)pvio_mapping_host(mapping) +
			     window_control_offset(bytes));
	event_add(w->beat_event, &interval);
	window_look_soon(w);
	return 0;
}

void window_left(struct window *w)
{
	w->has_left = true;
	window_look_soon(w);
}

struct window_port *window_port(struct window *w, unsigned int index)
{
	return (void *)((uint8_t *)pvio_mapping_host(w->mapping) +
			window_port_offset(w->bytes, index));
}

int window_map(struct window *w, uint64_t offset, uint64_t size,
	       struct pvio_mapping **mapping)
{
	uint8_t *base = pvio_mapping_host(w->mapping);

	if (!pvio_range_ok(offset, size, w->bytes))
		return -EINVAL;
	if (w->is_file)
		return pvio_mapping_create(w->fd, offset, size,
					   PROT_READ | PROT_WRITE, mapping);
	return pvio_mapping_wrap(base + offset, size, mapping);
}

int window_vector(struct window *w, uint32_t number)
{
	if (number == 0)
		return -ENOENT;
	return w->ops->vector(w->access, number);
}

void window_ring(struct window *w, uint32_t value)
{
	w->ops->ring(w->access, value);
}

/* --- looking -------------------------------------------------------------- */

void window_look_soon(struct window *w)
{
	pvio_worker_schedule(w->control, &w->look_job);
}

static void window_look(struct pvio_job *job)
{
	struct window *w = pvio_container_of(job, struct window, look_job);
	uint32_t epoch = 0;
	unsigned int i;

	if (w->mapping && !w->has_left)
		epoch = window_read_header(w);
	if (w->is_up && epoch != w->host_epoch)
		window_down(w);
	if (!w->is_up) {
		/* Each port that has gone off has us look again. */
		if (window_is_in_use(w))
			return;
		if (w->has_left) {
			window_release(w);
			w->has_left = false;
			w->ops->again(w->access);
			return;
		}
		if (epoch == 0)
			return;
		window_up(w, epoch);
	}
	window_watch(w);
	/* What was told so far has reached nobody. */
	if (le32toh(pvio_load_once(&w->header->doorbell)) != w->doorbell)
		window_tell(w);
	for (i = 0; i < WINDOW_MAX_PORTS; i++)
		if (w->port[i])
			port_look(w->port[i]);
}

/* --- ports come and go ---------------------------------------------------- */

/* What is bound to the PCI function decides how we get at it. */
static int window_find_driver(const char *address,
			      const struct window_access_ops **ops)
{
	static const struct {
		const char *driver;
		const struct window_access_ops *ops;
	} drivers[] = {
		{ "vfio-pci", &window_vfio_ops },
		{ "pvio_window", &window_module_ops },
	};
	char path[64], link[PATH_MAX];
	const char *driver;
	ssize_t n;
	size_t i;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver",
		 address);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0) {
		pvio_log(PVIO_LOG_ERROR,
			 "window %s: no driver is bound to it: %s", address,
			 strerror(errno));
		return -ENODEV;
	}
	link[n] = '\0';
	driver = strrchr(link, '/');
	driver = driver ? driver + 1 : link;
	for (i = 0; i < pvio_array_size(drivers); i++) {
		if (strcmp(driver, drivers[i].driver) == 0) {
			*ops = drivers[i].ops;
			return 0;
		}
	}
	pvio_log(PVIO_LOG_ERROR,
		 "window %s: driver %s is bound to it, not vfio-pci or "
		 "pvio_window",
		 address, driver);
	return -ENODEV;
}

static void window_close(struct window *w)
{
	w->is_up = false;
	window_release(w);
	pvio_job_cancel(&w->look_job);
	pvio_job_cancel(&w->tell_job);
	if (w->access)
		w->ops->close(w->access);
	w->access = NULL;
	if (w->beat_event)
		event_free(w->beat_event);
	w->beat_event = NULL;
	w->has_left = false;
}

static int window_open(struct window *w)
{
	int rc = 0;

	w->ops = &window_ivshmem_ops;
	if (!w->is_socket)
		rc = window_find_driver(w->place, &w->ops);
	if (rc < 0)
		return rc;
	w->beat_event = event_new(pvio_worker_base(w->control), -1, EV_PERSIST,
				  window_beat, w);
	if (!w->beat_event)
		return -ENOMEM;
	rc = w->ops->open(w, w->place, &w->access);
	if (rc < 0)
		window_close(w);
	return rc;
}

int window_join(struct window *w, struct port *port)
{
	int rc;

	if (w->port[port->index]) {
		pvio_log(PVIO_LOG_ERROR, "%s: window %s: port %u is %s's",
			 pvio_device_name(port->vu.dev), w->place, port->index,
			 pvio_device_name(w->port[port->index]->vu.dev));
		return -EADDRINUSE;
	}
	if (w->nr_started == 0) {
		rc = window_open(w);
		if (rc < 0)
			return rc;
	}
	w->nr_started++;
	w->port[port->index] = port;
	if (w->is_up)
		port_up(port);
	window_look_soon(w);
	return 0;
}

void window_leave(struct window *w, struct port *port)
{
	w->port[port->index] = NULL;
	if (--w->nr_started == 0)
		window_close(w);
	else
		window_look_soon(w);
}

/* --- life ----------------------------------------------------------------- */

static int window_create(bool is_socket, const char *place,
			 struct pvio_worker *control, struct window **out)
{
	struct window *w;

	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->place = strdup(place);
	if (!w->place) {
		free(w);
		return -ENOMEM;
	}
	w->is_socket = is_socket;
	w->control = control;
	w->fd = -1;
	pvio_job_init(&w->look_job, window_look);
	pvio_job_init(&w->tell_job, window_tell_now);
	*out = w;
	return 0;
}

static struct window *window_find(bool is_socket, const char *place)
{
	struct pvio_list *node;
	struct window *w;

	pvio_list_for_each(node, &window_list) {
		w = pvio_list_entry(node, struct window, node);
		if (w->is_socket == is_socket && strcmp(w->place, place) == 0)
			return w;
	}
	return NULL;
}

int window_get(bool is_socket, const char *place, struct pvio_worker *control,
	       struct window **out)
{
	struct window *w;
	int rc = 0;

	pthread_mutex_lock(&window_list_lock);
	w = window_find(is_socket, place);
	if (w && w->control != control)
		rc = -EINVAL;
	else if (!w)
		rc = window_create(is_socket, place, control, &w);
	if (rc == 0) {
		if (w->refs++ == 0)
			pvio_list_add_tail(&window_list, &w->node);
		*out = w;
	}
	pthread_mutex_unlock(&window_list_lock);
	return rc;
}

void window_put(struct window *w)
{
	bool is_last;

	pthread_mutex_lock(&window_list_lock);
	is_last = --w->refs == 0;
	if (is_last)
		pvio_list_del(&w->node);
	pthread_mutex_unlock(&window_list_lock);
	if (!is_last)
		return;
	free(w->place);
	free(w);
}
