/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * access-module.c - a window behind a PCI function that the Linux module
 * pvio_window is bound to: guest/linux/window
 *
 * For where there is no IOMMU, which VFIO wants, or where its uncached mapping
 * of the window costs.  When the function goes, by hot-unplug or with its
 * driver, its node says so to whoever polls it: then the window leaves, and we
 * look for the node of another one once a second.
 */
#include "window.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <pvio/window-module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MODULE_LOOK_INTERVAL_S 1

struct module {
	struct window *window; /* borrowed */
	char *node;	       /* owned: its path */
	int fd;		       /* owned; -1: it is not there */
	struct event *gone_event, *look_event; /* owned */
	void *memory;			       /* mapped; NULL */
	size_t memory_bytes;
	uint8_t *registers; /* a page of them; NULL */
	uint32_t nr_vectors;
	int *vector; /* [nr_vectors], owned; -1: not bound */
};

static size_t module_page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static void module_let_go(struct module *m)
{
	uint32_t i;

	if (m->gone_event)
		event_free(m->gone_event);
	m->gone_event = NULL;
	if (m->memory)
		munmap(m->memory, m->memory_bytes);
	if (m->registers)
		munmap(m->registers, module_page_bytes());
	m->memory = m->registers = NULL;
	/* Its interrupts end with it. */
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
	for (i = 0; i < m->nr_vectors; i++)
		if (m->vector[i] >= 0)
			close(m->vector[i]);
	free(m->vector);
	m->vector = NULL;
	m->nr_vectors = 0;
}

static void module_gone(evutil_socket_t fd, short what, void *arg)
{
	struct module *m = arg;

	(void)fd;
	(void)what;
	event_free(m->gone_event);
	m->gone_event = NULL;
	window_left(m->window);
}

/* -errno; *memory is to be unmapped by the caller all the same. */
static int module_map(struct module *m, size_t bytes, uint64_t offset,
		      void **memory)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd,
		       (off_t)offset);

	if (p == MAP_FAILED)
		return -errno;
	*memory = p;
	return 0;
}

static int module_setup_vectors(struct module *m, uint32_t nr)
{
	uint32_t i;

	nr = (uint32_t)pvio_min(nr, WINDOW_MAX_VECTORS);
	m->vector = malloc(nr * sizeof(*m->vector));
	if (!m->vector)
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		m->vector[i] = -1;
	m->nr_vectors = nr;
	return 0;
}

static int module_watch(struct module *m)
{
	m->gone_event = event_new(pvio_worker_base(m->window->control), m->fd,
				  EV_READ, module_gone, m);
	if (!m->gone_event || event_add(m->gone_event, NULL) < 0)
		return -ENOMEM;
	return 0;
}

/* Take the window.  -errno: it is as it was before, and that is not logged. */
static int module_take(struct module *m)
{
	struct pvio_window_info info;
	void *registers = NULL;
	int rc;

	m->fd = open(m->node, O_RDWR | O_CLOEXEC);
	if (m->fd < 0)
		return -errno;
	rc = ioctl(m->fd, PVIO_WINDOW_GET_INFO, &info) < 0 ? -errno : 0;
	if (rc == 0 && info.bytes > SIZE_MAX)
		rc = -EFBIG;
	if (rc == 0)
		rc = module_map(m, (size_t)info.bytes, 0, &m->memory);
	m->memory_bytes = (size_t)info.bytes;
	if (rc == 0)
		rc = module_map(m, module_page_bytes(), PVIO_WINDOW_REGISTERS,
				&registers);
	m->registers = registers;
	if (rc == 0)
		rc = module_setup_vectors(m, info.vectors);
	if (rc == 0)
		rc = module_watch(m);
	if (rc == 0)
		rc = window_came(m->window, -1, m->memory, m->memory_bytes);
	if (rc < 0)
		module_let_go(m);
	return rc;
}

static void module_look(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval interval = { .tv_sec = MODULE_LOOK_INTERVAL_S };
	struct module *m = arg;

	(void)fd;
	(void)what;
	if (module_take(m) < 0)
		event_add(m->look_event, &interval);
}

/* --- the window's --------------------------------------------------------- */

static int module_vector(void *access, uint32_t number)
{
	struct module *m = access;
	struct pvio_window_bind bind = { .vector = number };
	int rc;

	if (number >= m->nr_vectors)
		return -ENOENT;
	if (m->vector[number] >= 0)
		return m->vector[number];
	bind.eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (bind.eventfd < 0)
		return -errno;
	if (ioctl(m->fd, PVIO_WINDOW_BIND, &bind) < 0) {
		rc = -errno;
		pvio_log_limited(&m->window->log_limit, PVIO_LOG_ERROR,
				 "window %s: interrupt %u: %s",
				 m->window->place, number, strerror(-rc));
		close(bind.eventfd);
		return rc;
	}
	m->vector[number] = bind.eventfd;
	return bind.eventfd;
}

static void module_ring(void *access, uint32_t value)
{
	struct module *m = access;

	/* Used entries are there before who is told of them looks. */
	pvio_full_fence();
	pvio_store_once((uint32_t *)(void *)(m->registers +
					     PVIO_WINDOW_DOORBELL),
			htole32(value));
}

static void module_again(void *access)
{
	struct module *m = access;

	module_let_go(m);
	module_look(-1, 0, m);
}

static void module_close(void *access)
{
	struct module *m = access;

	module_let_go(m);
	if (m->look_event)
		event_free(m->look_event);
	free(m->node);
	free(m);
}

static int module_open(struct window *w, const char *place, void **access)
{
	struct module *m;
	int rc = -ENOMEM;

	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->window = w;
	m->fd = -1;
	m->look_event = event_new(pvio_worker_base(w->control), -1, 0,
				  module_look, m);
	if (!m->look_event || asprintf(&m->node, PVIO_WINDOW_NODE "%s",
				       place) < 0) {
		m->node = NULL;
		goto close;
	}
	rc = module_take(m);
	if (rc < 0) {
		pvio_log(PVIO_LOG_ERROR, "window %s: %s: %s", place, m->node,
			 strerror(-rc));
		goto close;
	}
	*access = m;
	return 0;

close:
	module_close(m);
	return rc;
}

const struct window_access_ops window_module_ops = {
	.name	= "module",
	.open	= module_open,
	.close	= module_close,
	.again	= module_again,
	.vector	= module_vector,
	.ring	= module_ring,
};
