/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * window.c - a broker, as programs see it
 */
#include "broker.h"

#include <errno.h>
#include <pvio/window.h>
#include <stdlib.h>

struct pvio_window {
	struct broker *broker; /* owned */
};

int pvio_window_create(const char *name, struct pvio_config *cfg,
		       struct pvio_worker *control,
		       struct pvio_worker *const workers[],
		       unsigned int nr_workers,
		       const struct pvio_window_store *store,
		       struct pvio_window **window)
{
	struct pvio_window *w;
	int rc;

	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	rc = broker_create(name, cfg, control, workers, nr_workers, &w->broker);
	if (rc < 0) {
		free(w);
		return rc;
	}
	w->broker->store = store;
	*window = w;
	return 0;
}

int pvio_window_start(struct pvio_window *window)
{
	return broker_start(window->broker);
}

void pvio_window_destroy(struct pvio_window *window)
{
	if (!window)
		return;
	broker_destroy(window->broker);
	free(window);
}

int pvio_window_port_stats(struct pvio_window *window, const char *port,
			   char **json)
{
	struct broker_port *p = broker_find_port(window->broker, port);

	return p ? broker_port_stats(p, json) : -ENOENT;
}
