/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * window.h - the host's side of a window, for a program that runs one
 *
 * A window lets one virtual machine (A, the appliance) serve the devices of
 * another (B), see docs/vhost-pci.md.  Here is what stands between them on the
 * host: where A's VMM gets the window, and B's VMM its devices.  pviod runs one
 * for each of its `windows`.
 *
 * Threads.  Every function is for the thread of the control worker, between two
 * runs of it.
 */
#ifndef PVIO_WINDOW_H
#define PVIO_WINDOW_H

#include <pvio/worker.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct pvio_config;
struct pvio_window;

/*
 * Where a window leaves descriptors for the process that takes its place after
 * its own has been killed: A's VMM would not connect a second time.
 */
struct pvio_window_store {
	/*
	 * Keep a copy of @fd (borrowed) as @tag, instead of what had that tag;
	 * -1: nothing any more.  A tag is up to 31 of a-z, 0-9 and '-'.
	 * -ENOSPC, -errno: it is not kept, and nothing else has that tag.
	 */
	int (*put)(void *arg, const char *tag, int fd);
	/*
	 * What a process before us has put as @tag, and stays there: to be
	 * closed by the caller.  -ENOENT.
	 */
	int (*take)(void *arg, const char *tag);
	void *arg;
};

/*
 * A window from the group @cfg of an open configuration (pvio.conf(5),
 * `windows`), called @name in messages.  Reads and finishes the group, and opens
 * nothing yet.  Queues of ports are given out to @workers in turn.  @store may
 * be NULL.  All but @name is borrowed, and outlives the window.
 *
 * -EINVAL: the configuration is wrong, as the log says; -ENOMEM.
 */
int pvio_window_create(const char *name, struct pvio_config *cfg,
		       struct pvio_worker *control,
		       struct pvio_worker *const workers[],
		       unsigned int nr_workers,
		       const struct pvio_window_store *store,
		       struct pvio_window **window);

/* Make the memory, and let both VMMs come.  Once.  -errno. */
int pvio_window_start(struct pvio_window *window);

/* Let them go, wait until they have, and free it.  NULL is allowed. */
void pvio_window_destroy(struct pvio_window *window);

/*
 * The counters of the port called @port as JSON, for the caller to free().
 * -ENOENT: there is none of that name; -ENOMEM.
 */
int pvio_window_port_stats(struct pvio_window *window, const char *port,
			   char **json);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
