/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_closer.c - descriptors that do not close hold up nobody
 */
#include "tests/check_main.h"
#include "tests/hostile/linger.h"
#include "tests/socket-rig.h"
#include "transports/stream/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

static struct pvio_closer *closer;
static unsigned int fds_before;

/* Threads that were made. */
static bool cannot_make_threads;
static unsigned int threads;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg)
{
	if (cannot_make_threads)
		return EAGAIN;
	threads++;
	return __real_pthread_create(thread, attr, fn, arg);
}

static void setup(void)
{
	ck_assert_int_eq(pvio_closer_create(&closer), 0);
	cannot_make_threads = false;
	threads = 0;
	fds_before = rig_count_fds();
}

static void expect_fds(unsigned int nr)
{
	uint64_t end = pvio_now_ns() + 20000000000ULL;
	unsigned int now;

	while ((now = rig_count_fds()) != nr && pvio_now_ns() < end)
		poll(NULL, 0, 1);
	ck_assert_uint_eq(now, nr);
}

static void teardown(void)
{
	expect_fds(fds_before);
	linger_expect_closed();
	pvio_closer_destroy(closer);
}

static int some_fd(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* What no peer can make last is closed on the spot. */
START_TEST(eventfds_and_memory_need_no_thread)
{
	pvio_closer_close(closer, eventfd(0, EFD_CLOEXEC));
	pvio_closer_close(closer, memfd_create("pvio-closer", MFD_CLOEXEC));
	ck_assert_uint_eq(rig_count_fds(), fds_before);
	ck_assert_uint_eq(threads, 0);
}
END_TEST

/* Others go to the thread: one, however many they are. */
START_TEST(descriptor_that_lingers_is_not_waited_for)
{
	struct linger_socket l = linger_open();
	unsigned int i;

	pvio_closer_close(closer, l.fd);
	for (i = 0; i < 10; i++)
		pvio_closer_close(closer, some_fd());
	ck_assert(!pvio_closer_is_full(closer));
	linger_expect_waiting();
	linger_end(&l);
	expect_fds(fds_before);
	ck_assert_uint_eq(threads, 1);
}
END_TEST

/* Full, and nobody waits, and it is empty again when it may be. */
START_TEST(closer_says_when_it_is_full)
{
	struct linger_socket l = linger_open();
	uint64_t end;
	unsigned int i;

	/* In the thread's hands: then the others stay. */
	pvio_closer_close(closer, l.fd);
	poll(NULL, 0, 50);
	for (i = 0; i < PVIO_CLOSER_MAX_PENDING; i++) {
		ck_assert(!pvio_closer_is_full(closer));
		pvio_closer_close(closer, some_fd());
	}
	ck_assert(pvio_closer_is_full(closer));
	linger_end(&l);
	end = pvio_now_ns() + 20000000000ULL;
	while (pvio_closer_is_full(closer) && pvio_now_ns() < end)
		poll(NULL, 0, 1);
	ck_assert(!pvio_closer_is_full(closer));
	ck_assert_uint_eq(threads, 1);
}
END_TEST

/* Without a thread they wait, and the next call tries again. */
START_TEST(descriptors_wait_for_a_thread)
{
	cannot_make_threads = true;
	pvio_closer_close(closer, some_fd());
	pvio_closer_close(closer, some_fd());
	ck_assert_uint_eq(rig_count_fds(), fds_before + 2);
	cannot_make_threads = false;
	ck_assert(!pvio_closer_is_full(closer));
	expect_fds(fds_before);
}
END_TEST

/* Who destroys it waits for nothing, and nothing stays open. */
START_TEST(destroyed_closer_closes_what_it_has)
{
	struct linger_socket l = linger_open();

	pvio_closer_close(closer, l.fd);
	pvio_closer_close(closer, some_fd());
	pvio_closer_destroy(closer);
	closer = NULL;
	linger_expect_waiting();
	linger_end(&l);
}
END_TEST

/* --- the end of a socket -------------------------------------------------- */

static void fill(int fd)
{
	static const char data[4096];

	while (send(fd, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	ck_assert_int_eq(errno, EAGAIN);
}

/* A socket is read empty: then it is closed on the spot, and finally. */
START_TEST(socket_with_data_needs_no_thread)
{
	int pair[2];
	char byte;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	fill(pair[1]);
	pvio_socket_close(closer, pair[0]);
	ck_assert_int_eq(send(pair[1], "", 1, MSG_NOSIGNAL), -1);
	ck_assert_int_eq(recv(pair[1], &byte, 1, 0), 0);
	close(pair[1]);
	ck_assert_uint_eq(rig_count_fds(), fds_before);
	ck_assert_uint_eq(threads, 0);
}
END_TEST

/* The same with a descriptor in it, in each way that it can be. */
START_TEST(socket_with_what_lingers_is_not_waited_for)
{
	static const int flags[] = { 0, MSG_OOB };
	struct linger_socket l = linger_open();
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(send(pair[1], "ab", 2, 0), 2);
	linger_send(&l, pair[1], "c", 1, flags[_i]);
	ck_assert_int_eq(send(pair[1], "de", 2, 0), 2);
	pvio_socket_close(closer, pair[0]);
	close(pair[1]);
	linger_expect_waiting();
	linger_end(&l);
}
END_TEST

/* Out of band: read like the rest, and so not lost by who reads on. */
START_TEST(descriptor_out_of_band_is_received)
{
	struct linger_socket l = linger_open();
	struct pvio_fds fds = { .nr = 0 };
	struct pvio_stream stream;
	int pair[2];
	char byte;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	linger_send(&l, pair[1], "a", 1, MSG_OOB);
	ck_assert_int_eq(send(pair[1], "b", 1, 0), 1);
	pvio_stream_init(&stream, pair[0], closer);
	ck_assert_int_eq(pvio_stream_receive(&stream, &byte, 1, &fds), 1);
	ck_assert_int_eq(byte, 'a');
	ck_assert_uint_eq(fds.nr, 1);
	pvio_stream_close_fds(&stream, &fds);
	ck_assert_int_eq(pvio_stream_receive(&stream, &byte, 1, &fds), 1);
	ck_assert_int_eq(byte, 'b');
	pvio_stream_fini(&stream);
	close(pair[1]);
	linger_end(&l);
}
END_TEST

/* More than a closer takes: the socket itself is left to it. */
START_TEST(socket_of_a_full_closer_is_closed_by_it)
{
	struct linger_socket l = linger_open(), unread = linger_open();
	unsigned int i;
	int pair[2];

	pvio_closer_close(closer, l.fd);
	for (i = 0; !pvio_closer_is_full(closer) && i < 1000; i++)
		pvio_closer_close(closer, some_fd());
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	linger_send(&unread, pair[1], "a", 1, 0);
	pvio_socket_close(closer, pair[0]);
	close(pair[1]);
	linger_end(&l);
	linger_end(&unread);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("closer");
	TCase *tcase = tcase_create("closer");
	int skip = linger_skip();

	if (skip)
		return skip;
	tcase_set_timeout(tcase, LINGER_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, eventfds_and_memory_need_no_thread);
	tcase_add_test(tcase, descriptor_that_lingers_is_not_waited_for);
	tcase_add_test(tcase, closer_says_when_it_is_full);
	tcase_add_test(tcase, descriptors_wait_for_a_thread);
	tcase_add_test(tcase, destroyed_closer_closes_what_it_has);
	tcase_add_test(tcase, socket_with_data_needs_no_thread);
	tcase_add_loop_test(tcase, socket_with_what_lingers_is_not_waited_for,
			    0, 2);
	tcase_add_test(tcase, descriptor_out_of_band_is_received);
	tcase_add_test(tcase, socket_of_a_full_closer_is_closed_by_it);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
