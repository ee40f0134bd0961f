/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_line.c - a level-triggered interrupt line and its status register
 */
#include "tests/check_main.h"

#include "core/barrier.h"
#include "core/eventfd.h"
#include "core/worker.h"
#include "transports/registers/line.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct pvio_worker *control;
static struct pvio_line line;
static char told[16]; /* "+" up, "-" down, in order */
static unsigned int nr_told;
static bool is_out_of_order;

/* Under the line's lock: plain variables will do. */
static void on_level(void *arg, bool level)
{
	(void)arg;
	/* Up and down take turns, from down. */
	if (level != (nr_told % 2 == 0))
		is_out_of_order = true;
	if (nr_told < sizeof(told) - 1)
		told[nr_told] = level ? '+' : '-';
	nr_told++;
}

static void setup(void)
{
	memset(told, 0, sizeof(told));
	nr_told = 0;
	is_out_of_order = false;
	ck_assert_int_eq(pvio_worker_create("control", &control), 0);
	ck_assert_int_eq(pvio_line_init(&line, control), 0);
	line.set = on_level;
}

static void teardown(void)
{
	pvio_line_fini(&line);
	pvio_worker_destroy(control);
}

static void rest(void)
{
	while (pvio_worker_step(control))
		;
}

/* What eventfd @fd counted since we last asked. */
static uint64_t taken(int fd)
{
	uint64_t count;

	return read(fd, &count, 8) == 8 ? count : 0;
}

START_TEST(line_is_up_while_the_register_says_why)
{
	pvio_line_raise(&line, PVIO_ISR_QUEUE);
	ck_assert_str_eq(told, "+");
	pvio_line_raise(&line, PVIO_ISR_QUEUE);
	pvio_line_raise(&line, PVIO_ISR_CONFIG);
	ck_assert_str_eq(told, "+");
	ck_assert_uint_eq(pvio_line_isr(&line), 3);
	ck_assert_str_eq(told, "+");
	/* PCI: reading takes it all. */
	ck_assert_uint_eq(pvio_line_acknowledge(&line, 0xff), 3);
	ck_assert_str_eq(told, "+-");
	ck_assert_uint_eq(pvio_line_acknowledge(&line, 0xff), 0);
	ck_assert_str_eq(told, "+-");
	ck_assert(line.asserted == 1);
}
END_TEST

START_TEST(line_stays_up_until_the_last_bit_is_acknowledged)
{
	pvio_line_raise(&line, PVIO_ISR_QUEUE | PVIO_ISR_CONFIG);
	pvio_line_acknowledge(&line, PVIO_ISR_QUEUE);
	ck_assert_str_eq(told, "+");
	ck_assert_uint_eq(pvio_line_isr(&line), PVIO_ISR_CONFIG);
	pvio_line_acknowledge(&line, PVIO_ISR_CONFIG);
	ck_assert_str_eq(told, "+-");
}
END_TEST

START_TEST(what_is_only_noted_reads_and_moves_no_line)
{
	pvio_line_set_off(&line, true);
	pvio_line_note(&line, PVIO_ISR_CONFIG);
	ck_assert_uint_eq(pvio_line_isr(&line), PVIO_ISR_CONFIG);
	pvio_line_raise(&line, PVIO_ISR_QUEUE);
	ck_assert_uint_eq(pvio_line_acknowledge(&line, 0xff), 3);
	pvio_line_note(&line, PVIO_ISR_CONFIG);
	pvio_line_set_off(&line, false);
	ck_assert_str_eq(told, "");
	ck_assert_uint_eq(pvio_line_isr(&line), 0);
	/* Raised as well, in either order, it is not only noted. */
	pvio_line_raise(&line, PVIO_ISR_CONFIG);
	pvio_line_note(&line, PVIO_ISR_CONFIG);
	pvio_line_set_off(&line, true);
	pvio_line_set_off(&line, false);
	ck_assert_str_eq(told, "+-+");
	pvio_line_acknowledge(&line, 0xff);
	pvio_line_set_off(&line, true);
	pvio_line_note(&line, PVIO_ISR_CONFIG);
	pvio_line_raise(&line, PVIO_ISR_CONFIG);
	pvio_line_set_off(&line, false);
	ck_assert_str_eq(told, "+-+-+");
}
END_TEST

START_TEST(line_that_is_off_comes_up_when_it_is_on_again)
{
	pvio_line_raise(&line, PVIO_ISR_QUEUE);
	pvio_line_set_off(&line, true);
	ck_assert_str_eq(told, "+-");
	pvio_line_raise(&line, PVIO_ISR_CONFIG);
	ck_assert_str_eq(told, "+-");
	ck_assert_uint_eq(pvio_line_isr(&line), 3);
	pvio_line_set_off(&line, false);
	ck_assert_str_eq(told, "+-+");
	pvio_line_set_off(&line, true);
	pvio_line_acknowledge(&line, 0xff);
	pvio_line_set_off(&line, false);
	ck_assert_str_eq(told, "+-+-");
	ck_assert(line.asserted == 2);
}
END_TEST

START_TEST(trigger_is_written_once_a_rise)
{
	int fd = eventfd(0, EFD_NONBLOCK);

	ck_assert_int_eq(pvio_line_set_fds(&line, fd, -1), 0);
	ck_assert_uint_eq(taken(fd), 0);
	pvio_line_raise(&line, PVIO_ISR_QUEUE);
	pvio_line_raise(&line, PVIO_ISR_QUEUE);
	pvio_line_acknowledge(&line, 0xff);
	ck_assert_uint_eq(taken(fd), 1);
	pvio_line_raise(&line, PVIO_ISR_QUEUE);
	ck_assert_uint_eq(taken(fd), 1);
	close(fd);
}
END_TEST

START_TEST(trigger_set_while_up_hears_of_it)
{
	int fd = eventfd(0, EFD_NONBLOCK);

	pvio_line_raise(&line, PVIO_ISR_QUEUE);
	ck_assert_int_eq(pvio_line_set_fds(&line, fd, -1), 0);
	ck_assert_uint_eq(taken(fd), 1);
	ck_assert_int_eq(pvio_line_set_fds(&line, -1, -1), 0);
	pvio_line_acknowledge(&line, 0xff);
	pvio_line_raise(&line, PVIO_ISR_QUEUE);
	ck_assert_uint_eq(taken(fd), 0);
	close(fd);
}
END_TEST

START_TEST(resample_triggers_again_only_what_is_still_up)
{
	int trigger = eventfd(0, EFD_NONBLOCK);
	int resample = eventfd(0, EFD_NONBLOCK);

	line.set = NULL;
	ck_assert_int_eq(pvio_line_set_fds(&line, trigger, resample), 0);
	pvio_line_raise(&line, PVIO_ISR_QUEUE);
	ck_assert_uint_eq(taken(trigger), 1);
	/* The guest ends the interrupt, and has not read the register. */
	ck_assert_int_eq(eventfd_write(resample, 1), 0);
	rest();
	ck_assert_uint_eq(taken(trigger), 1);
	/* It ends it again: each end is one event. */
	ck_assert_int_eq(eventfd_write(resample, 1), 0);
	rest();
	ck_assert_uint_eq(taken(trigger), 1);
	/* Now it has: nothing is left to say. */
	pvio_line_acknowledge(&line, 0xff);
	ck_assert_int_eq(eventfd_write(resample, 1), 0);
	rest();
	ck_assert_uint_eq(taken(trigger), 0);
	ck_assert(line.asserted == 1);
	close(trigger);
	close(resample);
}
END_TEST

START_TEST(one_eventfd_is_not_both)
{
	int fd = eventfd(0, EFD_NONBLOCK), again = dup(fd);

	ck_assert_int_eq(pvio_line_set_fds(&line, fd, again), -EINVAL);
	pvio_line_raise(&line, PVIO_ISR_QUEUE);
	ck_assert_uint_eq(taken(fd), 0);
	close(fd);
	close(again);
}
END_TEST

START_TEST(resample_by_call_tells_the_callback_again)
{
	pvio_line_resample(&line);
	ck_assert_str_eq(told, "");
	pvio_line_raise(&line, PVIO_ISR_QUEUE);
	pvio_line_resample(&line);
	ck_assert_str_eq(told, "++");
}
END_TEST

START_TEST(replaced_resample_is_no_longer_heard)
{
	int trigger = eventfd(0, EFD_NONBLOCK);
	int resample = eventfd(0, EFD_NONBLOCK);

	ck_assert_int_eq(pvio_line_set_fds(&line, trigger, resample), 0);
	pvio_line_raise(&line, PVIO_ISR_QUEUE);
	ck_assert_int_eq(pvio_line_set_fds(&line, trigger, -1), 0);
	taken(trigger);
	ck_assert_int_eq(eventfd_write(resample, 1), 0);
	rest();
	ck_assert_uint_eq(taken(trigger), 0);
	close(trigger);
	close(resample);
}
END_TEST

START_TEST(what_is_no_eventfd_is_refused_and_changes_nothing)
{
	int fd = eventfd(0, EFD_NONBLOCK), pipes[2];

	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(pvio_line_set_fds(&line, fd, -1), 0);
	ck_assert_int_eq(pvio_line_set_fds(&line, pipes[1], -1), -EINVAL);
	ck_assert_int_eq(pvio_line_set_fds(&line, -1, pipes[0]), -EINVAL);
	pvio_line_raise(&line, PVIO_ISR_QUEUE);
	ck_assert_uint_eq(taken(fd), 1);
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
}
END_TEST

START_TEST(trigger_that_blocks_is_let_go)
{
	const uint64_t most = UINT64_MAX - 1;
	int fd = eventfd(0, EFD_NONBLOCK), rc;

	/* One watch a process: without fork the tests share it. */
	rc = pvio_eventfd_watch(SIGURG);
	ck_assert(rc == 0 || rc == -EBUSY);
	ck_assert_int_eq(pvio_line_set_fds(&line, fd, -1), 0);
	ck_assert_int_eq(write(fd, &most, 8), 8);
	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
	pvio_line_raise(&line, PVIO_ISR_QUEUE);
	ck_assert_str_eq(told, "+");
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	ck_assert_uint_eq(taken(fd), most);
	pvio_line_acknowledge(&line, 0xff);
	pvio_line_raise(&line, PVIO_ISR_QUEUE);
	ck_assert_uint_eq(taken(fd), 0);
	close(fd);
}
END_TEST

#define NR_ROUNDS 2000

static void *raiser(void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < NR_ROUNDS; i++)
		pvio_line_raise(&line, PVIO_ISR_QUEUE);
	return NULL;
}

START_TEST(host_is_told_in_the_order_of_what_happened)
{
	pthread_t thread[2];
	unsigned int i;

	ck_assert_int_eq(pthread_create(&thread[0], NULL, raiser, NULL), 0);
	ck_assert_int_eq(pthread_create(&thread[1], NULL, raiser, NULL), 0);
	for (i = 0; i < NR_ROUNDS; i++)
		pvio_line_acknowledge(&line, 0xff);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	ck_assert(!is_out_of_order);
	ck_assert(line.asserted == (nr_told + 1) / 2);
	/* The last raise is not lost. */
	if (!pvio_line_isr(&line))
		pvio_line_raise(&line, PVIO_ISR_QUEUE);
	ck_assert_uint_eq(nr_told % 2, 1);
}
END_TEST

CHECK_MAIN("line", setup, teardown, line_is_up_while_the_register_says_why,
	   line_stays_up_until_the_last_bit_is_acknowledged,
	   what_is_only_noted_reads_and_moves_no_line,
	   line_that_is_off_comes_up_when_it_is_on_again,
	   trigger_is_written_once_a_rise, trigger_set_while_up_hears_of_it,
	   resample_triggers_again_only_what_is_still_up,
	   one_eventfd_is_not_both, resample_by_call_tells_the_callback_again,
	   replaced_resample_is_no_longer_heard,
	   what_is_no_eventfd_is_refused_and_changes_nothing,
	   trigger_that_blocks_is_let_go,
	   host_is_told_in_the_order_of_what_happened)
