/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_eventfd.c - a VMM that makes its call eventfd block (row U09)
 *
 * Two devices share a worker, as the ports of a switch do.  The one whose VMM
 * misbehaves must not take the other's service away.
 */
#include "tests/check_main.h"

#include "core/device.h"
#include "core/eventfd.h"
#include "guest/device.h"

#include <pvio/pvio.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MEMORY_BYTES (1 << 20)

static struct pvio_worker *control, *worker;
static struct tenant {
	struct pvio_device *dev;
	struct guest_memory mem;
	struct guest_device *gd;
	struct guest_segment seg;
} tenants[2];

static void tenant_start(struct tenant *t)
{
	const uint64_t none[2] = { 0 };

	ck_assert_int_eq(pvio_device_create(
				 "rng",
				 "model = \"rng\";"
				 "transport = { type = \"loopback\"; };",
				 control, &worker, 1, &t->dev),
			 0);
	guest_memory_init(&t->mem);
	ck_assert_int_eq(guest_memory_add(&t->mem, 0x10000, MEMORY_BYTES), 0);
	ck_assert_int_eq(guest_device_open_loopback(t->dev, &t->mem, control,
						    &t->gd),
			 0);
	ck_assert_int_eq(guest_device_negotiate(t->gd, none), 0);
	ck_assert_int_eq(guest_device_setup_queue(t->gd, 0, 16), 0);
	ck_assert_ptr_nonnull(guest_alloc(&t->mem, 16, 8, &t->seg.gpa));
	t->seg.len = 16;
	ck_assert_int_eq(guest_device_start(t->gd), 0);
}

static void setup(void)
{
	/* One watch a process: without fork the tests share it. */
	int rc = pvio_eventfd_watch(SIGURG);

	ck_assert(rc == 0 || rc == -EBUSY);
	ck_assert_int_eq(pvio_worker_create("control", &control), 0);
	ck_assert_int_eq(pvio_worker_create("shared", &worker), 0);
	ck_assert_int_eq(pvio_worker_start(worker), 0);
	tenant_start(&tenants[0]);
	tenant_start(&tenants[1]);
}

static void teardown(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		guest_device_close(tenants[i].gd);
		pvio_device_destroy(tenants[i].dev);
		guest_memory_fini(&tenants[i].mem);
	}
	pvio_worker_destroy(worker);
	pvio_worker_destroy(control);
}

/* What a hostile VMM does to an eventfd it shares with us. */
static void make_it_block(int fd)
{
	const uint64_t most = UINT64_MAX - 1;
	uint64_t count;

	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	if (read(fd, &count, 8) < 0)
		ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(write(fd, &most, 8), 8);
	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
}

START_TEST(a_call_eventfd_that_blocks_costs_only_its_own_device)
{
	struct tenant *bad = &tenants[0], *good = &tenants[1];
	struct guest_ring *ring = guest_device_ring(bad->gd, 0);
	uint64_t deadline = pvio_now_ns() + 10000000000ULL;

	make_it_block(guest_device_notify_fd(bad->gd, 0));
	ck_assert_int_eq(guest_ring_add(ring, &bad->seg, 0, 1, bad), 0);
	guest_ring_publish(ring);
	guest_device_kick(bad->gd, 0);

	/* However the worker is held up, it comes back for the other. */
	ck_assert_int_eq(guest_device_transfer(good->gd, 0, &good->seg, 0, 1),
			 16);
	/* And serves the bad one, too, which now has to look by itself. */
	while (!guest_ring_has_used(ring) && pvio_now_ns() < deadline)
		sched_yield();
	ck_assert(guest_ring_has_used(ring));
}
END_TEST

START_TEST(a_full_counter_is_no_error)
{
	const uint64_t most = UINT64_MAX - 1;
	int fd = eventfd(0, EFD_NONBLOCK);

	ck_assert_int_eq(write(fd, &most, 8), 8);
	ck_assert_int_eq(pvio_eventfd_signal(fd), 0);
	close(fd);
	ck_assert_int_eq(pvio_eventfd_signal(fd), -EBADF);
}
END_TEST

START_TEST(a_write_that_blocks_is_interrupted)
{
	int fd = eventfd(0, 0);

	make_it_block(fd);
	ck_assert_int_eq(pvio_eventfd_signal(fd), -EINTR);
	close(fd);
}
END_TEST

START_TEST(duplicates_are_known_for_the_same)
{
	int a = eventfd(0, EFD_CLOEXEC), b = eventfd(0, EFD_CLOEXEC);
	int again = dup(a);

	ck_assert(pvio_eventfd_is_same(a, again));
	ck_assert(!pvio_eventfd_is_same(a, b));
	ck_assert(!pvio_eventfd_is_same(a, -1));
	ck_assert(!pvio_eventfd_is_same(-1, -1));
	close(a);
	close(b);
	close(again);
}
END_TEST

START_TEST(what_is_duplicated_is_an_eventfd_and_does_not_block)
{
	int fd = eventfd(0, 0), own, pipes[2];
	uint64_t count;

	own = pvio_eventfd_dup(fd);
	ck_assert_int_ge(own, 0);
	ck_assert_int_ne(own, fd);
	ck_assert_int_eq(pvio_eventfd_signal(own), 0);
	ck_assert_int_eq(read(fd, &count, 8), 8);
	ck_assert_int_eq(read(own, &count, 8), -1);
	ck_assert_int_eq(errno, EAGAIN);
	close(own);
	close(fd);

	ck_assert_int_eq(pvio_eventfd_dup(fd), -EBADF);
	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(pvio_eventfd_dup(pipes[1]), -EINVAL);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

CHECK_MAIN("eventfd", setup, teardown,
	   a_call_eventfd_that_blocks_costs_only_its_own_device,
	   a_full_counter_is_no_error, a_write_that_blocks_is_interrupted,
	   duplicates_are_known_for_the_same,
	   what_is_duplicated_is_an_eventfd_and_does_not_block)
