/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * way-window.c - a device on the other side of a window
 *
 * The broker is on the worker that is stepped; else, as all the rest runs, it
 * has a thread, too.
 */
#include "way-window.h"

#include "core/config.h"
#include "core/device.h"
#include "core/util.h"
#include "core/virtio.h"
#include "core/worker.h"
#include "vhost-user.h"

#include <pvio/window.h>
#include <pvio/worker.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The control area is the last of the window. */
#define WINDOW_CONTROL_BYTES (2u << 20)
#define WINDOW_LEAST_BYTES   (4u << 20)
#define WINDOW_OPEN_MS       20000

struct way_window {
	struct pvio_worker *worker; /* ours, or the one that is stepped */
	bool is_ours;
	struct pvio_window *window;
	int fd; /* of its memory, or -1 */
};

static const char *model_of(const struct pvio_device *dev)
{
	switch (pvio_device_id(dev)) {
	case VIRTIO_ID_NET:
		return "net";
	case VIRTIO_ID_BLOCK:
		return "block";
	default:
		return "rng";
	}
}

/* --- memory --------------------------------------------------------------- */

static uint64_t window_bytes(const struct guest_memory *mem)
{
	uint64_t bytes = WINDOW_LEAST_BYTES;

	while (bytes - WINDOW_CONTROL_BYTES < guest_memory_file_bytes(mem))
		bytes *= 2;
	return bytes;
}

/* A file as long as a window with all of @mem in it. */
static int make_file(struct way_window *w, struct guest_memory *mem)
{
	w->fd = memfd_create("pvio-window-ram", MFD_CLOEXEC);
	if (w->fd < 0)
		return -errno;
	if (ftruncate(w->fd, (off_t)window_bytes(mem)) < 0)
		return -errno;
	return guest_memory_move(mem, w->fd);
}

/* --- the broker ----------------------------------------------------------- */

static int create_broker(struct way_window *w, const char *text)
{
	struct pvio_config_file *file;
	int rc;

	rc = pvio_config_parse("window", text, &file);
	if (rc < 0)
		return rc;
	rc = pvio_window_create("window", pvio_config_root(file), w->worker,
				&w->worker, 1, NULL, &w->window);
	pvio_config_close(file);
	return rc < 0 ? rc : pvio_window_start(w->window);
}

static int start_broker(struct way_window *w,
			const struct guest_way_setup *setup, const char *socket,
			const char *port)
{
	char text[640], ram[96];
	int rc = 0;

	w->worker = setup->step;
	w->is_ours = !setup->step;
	if (w->is_ours)
		rc = pvio_worker_create("window", &w->worker);
	if (rc < 0)
		return rc;
	snprintf(ram, sizeof(ram),
		 "window = \"ram\"; file = \"/proc/self/fd/%d\"; ", w->fd);
	snprintf(text, sizeof(text),
		 "socket = \"%s\"; vectors = 256; %s"
		 "ports = ( { name = \"port\"; model = \"%s\"; "
		 "socket = \"%s\"; } );",
		 socket, w->fd < 0 ? "" : ram, model_of(setup->dev), port);
	rc = create_broker(w, text);
	if (rc == 0 && w->is_ours)
		rc = pvio_worker_start(w->worker);
	return rc;
}

static void close_window(void *arg)
{
	struct way_window *w = arg;

	if (w->is_ours && w->worker)
		pvio_worker_stop(w->worker);
	pvio_window_destroy(w->window);
	if (w->is_ours)
		pvio_worker_destroy(w->worker);
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}

/* --- the driver's side ---------------------------------------------------- */

static void let_it_run(const struct guest_way_setup *setup)
{
	if (setup->step)
		pvio_worker_wait(setup->step, 1);
	else
		(void)poll(NULL, 0, 1);
}

/* The broker listens when it has the device. */
static int connect_port(const struct guest_way_setup *setup, const char *port,
			struct way_window *w, struct guest_device **gd)
{
	const struct guest_vu_options options = {
		.step = setup->step,
		.queues_per_unit = setup->queues_per_unit,
		.fd = -1,
		.closed = close_window,
		.closed_arg = w,
	};
	uint64_t end = pvio_now_ns() + WINDOW_OPEN_MS * UINT64_C(1000000);
	int rc;

	do {
		let_it_run(setup);
		rc = guest_device_open_vhost_user_with(port, setup->mem,
						       &options, gd);
	} while ((rc == -ENOENT || rc == -ECONNREFUSED) && pvio_now_ns() < end);
	return rc;
}

int guest_way_window_open(const struct guest_way_setup *setup,
			  const char *socket, bool bounce,
			  struct guest_device **gd)
{
	struct way_window *w;
	char port[128];
	int rc = 0;

	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->fd = -1;
	snprintf(port, sizeof(port), "%s/port", setup->dir);
	if (!bounce)
		rc = make_file(w, setup->mem);
	if (rc == 0)
		rc = start_broker(w, setup, socket, port);
	if (rc == 0)
		rc = connect_port(setup, port, w, gd);
	if (rc < 0)
		close_window(w);
	return rc;
}
