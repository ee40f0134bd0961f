/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * broker-guest.h - B, for tests of a broker: its connection
 */
#ifndef PVIO_TESTS_BROKER_GUEST_H
#define PVIO_TESTS_BROKER_GUEST_H

#include "tests/broker-rig.h"
#include "tests/check_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct broker_rig rig;
static struct guest_vu b = { .fd = -1 };

static inline void quiet(void *arg, enum pvio_log_level level,
			 const char *message)
{
	(void)arg;
	(void)level;
	if (getenv("PVIO_TEST_LOG"))
		fprintf(stderr, "%s\n", message);
}

static inline void setup(void)
{
	pvio_log_set(quiet, NULL, PVIO_LOG_DEBUG);
	b.fd = -1;
	rig_open(&rig, "");
}

static inline void teardown(void)
{
	guest_vu_close(&b);
	rig_close(&rig);
}

static inline bool has_hung_up(struct broker_rig *r, unsigned int n)
{
	(void)r;
	(void)n;
	return rig_is_hung_up(&b);
}

static inline bool is_session(struct broker_rig *r, unsigned int served)
{
	return (r->broker->port[0].session != 0) == (served != 0);
}

static inline int event_new_fd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static inline uint64_t taken(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) < 0 ? 0 : count;
}

#endif
