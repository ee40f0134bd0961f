/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * way.h - programs whose tests all run on every way to reach a device
 *
 * They are run once for each, or only for the one that PVIO_TEST_WAY in the
 * environment names.
 */
#ifndef PVIO_TESTS_WAY_H
#define PVIO_TESTS_WAY_H

#include "guest/way.h"
#include "core/worker.h"
#include "tests/check_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The way that is tested now. */
static enum guest_way way_now;

/*
 * Long enough that all who have something to do have begun, timers of 1 ms
 * included.
 */
#define WAY_REST_MS 5

/* All that is on @worker has come to rest. */
static inline void way_settle(struct pvio_worker *worker)
{
	if (guest_way_is_window(way_now))
		while (pvio_worker_wait(worker, WAY_REST_MS))
			;
	else
		while (pvio_worker_step(worker))
			;
}

static inline int way_check_run(const char *name, void (*setup)(void),
				void (*teardown)(void),
				const TTest *const *tests, size_t nr)
{
	const char *only = getenv("PVIO_TEST_WAY");
	int rc = EXIT_SUCCESS;
	char title[128];

	for (way_now = 0; way_now < GUEST_NR_WAYS; way_now++) {
		const char *way = guest_way_name(way_now);

		if (only && strcmp(only, way) != 0)
			continue;
		snprintf(title, sizeof(title), "%s over %s", name, way);
		if (check_run(title, setup, teardown, tests, nr) !=
		    EXIT_SUCCESS)
			rc = EXIT_FAILURE;
	}
	return rc;
}

/* CHECK_MAIN(), on every way. */
#define WAY_MAIN(name, setup, teardown, ...)                            \
	int main(void)                                                  \
	{                                                               \
		const TTest *const tests[] = { __VA_ARGS__ };           \
		return way_check_run(name, setup, teardown, tests,      \
				     sizeof(tests) / sizeof(tests[0])); \
	}

#endif
