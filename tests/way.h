/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * way.h - every way to reach a device, for tests that run on all of them
 *
 * A test of a model does not care what carries its driver's accesses, and runs
 * once for each way.  What differs is in a table: the transport's part of the
 * configuration, and how the driver's side is opened.
 */
#ifndef PVIO_TESTS_WAY_H
#define PVIO_TESTS_WAY_H

#include "guest/device.h"
#include "tests/check_main.h"

#include <stdbool.h>
#include <stddef.h>

enum way {
	WAY_LOOPBACK,
	WAY_VHOST_USER,
	WAY_NR
};

const char *way_name(enum way way);
/* Is there a socket in between, and maybe another process? */
bool way_has_socket(enum way way);
/* The `transport` group, for a device whose socket, if any, is in @dir. */
void way_transport(enum way way, const char *dir, char *text, size_t size);

struct way_guest {
	struct pvio_device *dev; /* created from way_transport(), started */
	const char *dir;
	struct guest_memory *mem;
	/*
	 * Borrowed: stepped while the driver waits, if no thread runs it.  A
	 * device behind a socket is served by it too.
	 */
	struct pvio_worker *step;
	unsigned int queues_per_unit; /* see struct guest_vu_options */
};
int way_open(enum way way, const struct way_guest *guest,
	     struct guest_device **gd);

/* --- programs whose tests all run on every way ------------------------------ */

/* The way that is tested now. */
extern enum way way_now;
/*
 * check_run() once for each way, or only for the one that PVIO_TEST_WAY in the
 * environment names.
 */
int way_check_run(const char *name, void (*setup)(void),
		  void (*teardown)(void), const TTest *const *tests, size_t nr);

/* CHECK_MAIN(), on every way. */
#define WAY_MAIN(name, setup, teardown, ...)                               \
	int main(void)                                                     \
	{                                                                  \
		const TTest *const tests[] = { __VA_ARGS__ };              \
		return way_check_run(name, setup, teardown, tests,         \
				     sizeof(tests) / sizeof(tests[0]));    \
	}

#endif
