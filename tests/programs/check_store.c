/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_store.c - what pviod keeps for a process that is started again
 *
 * The supervisor is the test; its units' processes are forked from it, as
 * tools/pviod/unit.c does, and end with what they found.
 */
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/check_main.h"
#include "tools/pviod/store.h"

static struct event_base *base;
static struct store *store;
static bool is_nonsense;
static unsigned int fds_before;

static unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int nr = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

static void on_nonsense(void *arg)
{
	(void)arg;
	is_nonsense = true;
}

static void setup(void)
{
	base = event_base_new();
	ck_assert_ptr_nonnull(base);
	is_nonsense = false;
	ck_assert_int_eq(store_create(base, "unit", on_nonsense, NULL, &store),
			 0);
	fds_before = count_fds();
}

static void teardown(void)
{
	store_destroy(store);
	event_base_free(base);
}

/* What a process of the unit does; its result is its status. */
typedef int process_fn(void);

/* Run one from its fork to its end, as the supervisor sees it. */
static int run(process_fn *process)
{
	int status, fds[STORE_MAX_FDS + 1];
	pid_t pid;

	ck_assert_int_eq(store_begin(store), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(process());
	store_forked(store);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	event_base_loop(base, EVLOOP_NONBLOCK);
	store_end(store);
	ck_assert(WIFEXITED(status));
	/* All that is kept is open, and is all that is open. */
	ck_assert_uint_eq(count_fds(), fds_before + store_fds(store, fds));
	return WEXITSTATUS(status);
}

static int put_eventfd(const char *tag, unsigned int value)
{
	int fd = eventfd(value, EFD_CLOEXEC | EFD_NONBLOCK), rc;

	rc = store_put(store, tag, fd);
	close(fd);
	return rc;
}

/* What is in the eventfd with @tag, or 99. */
static int take_eventfd(const char *tag)
{
	int fd = store_take(store, tag);
	uint64_t value = 99;

	if (fd < 0)
		return fd == -ENOENT ? 99 : 98;
	if (read(fd, &value, sizeof(value)) != sizeof(value))
		value = 97;
	close(fd);
	return (int)value;
}

static int put_two(void)
{
	return put_eventfd("one", 1) | put_eventfd("two", 2);
}

static int take_one(void)
{
	return take_eventfd("one");
}

static int take_two(void)
{
	return take_eventfd("two");
}

START_TEST(next_process_has_what_was_put)
{
	ck_assert_int_eq(run(put_two), 0);
	ck_assert_int_eq(run(take_two), 2);
	ck_assert_int_eq(run(take_one), 1);
}
END_TEST

static int fetch_memory(void)
{
	char *at;
	int fd = store_take(store, "memory");

	at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	return at == MAP_FAILED ? 99 : at[5];
}

static int put_memory(void)
{
	int fd = memfd_create("window", MFD_CLOEXEC);
	char *at;

	if (fd < 0 || ftruncate(fd, 4096) < 0)
		return 1;
	at = mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return 2;
	at[5] = 55;
	return store_put(store, "memory", fd);
}

START_TEST(memory_stays_what_it_was)
{
	ck_assert_int_eq(run(put_memory), 0);
	ck_assert_int_eq(run(fetch_memory), 55);
}
END_TEST

static int put_again(void)
{
	return put_eventfd("one", 11) | store_put(store, "two", -1);
}

START_TEST(later_put_counts)
{
	ck_assert_int_eq(run(put_two), 0);
	ck_assert_int_eq(run(put_again), 0);
	ck_assert_int_eq(run(take_one), 11);
	ck_assert_int_eq(run(take_two), 99);
}
END_TEST

static int take_one_only(void)
{
	int one = take_eventfd("one");

	store_settle(store);
	return one;
}

START_TEST(what_nobody_takes_is_given_up)
{
	ck_assert_int_eq(run(put_two), 0);
	ck_assert_int_eq(run(take_one_only), 1);
	ck_assert_int_eq(run(take_two), 99);
}
END_TEST

static int put_too_many(void)
{
	char tag[STORE_TAG_BYTES];
	int i, rc = 0;

	for (i = 0; i < STORE_MAX_FDS && rc == 0; i++) {
		snprintf(tag, sizeof(tag), "vector-%d", i);
		rc = put_eventfd(tag, 1);
		/* Another one for a tag needs no more room. */
		if (rc == 0 && i == 0)
			rc = put_eventfd(tag, 1);
	}
	if (rc < 0)
		return 1;
	return put_eventfd("one-more", 1) == -ENOSPC ? 0 : 2;
}

/* Runs the loop meanwhile: a socket does not take them all. */
START_TEST(there_is_an_end_to_it)
{
	int fds[STORE_MAX_FDS + 1], status;
	pid_t pid, ended;

	ck_assert_int_eq(store_begin(store), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(put_too_many());
	store_forked(store);
	while ((ended = waitpid(pid, &status, WNOHANG)) == 0)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_int_eq(ended, pid);
	store_end(store);
	ck_assert(WIFEXITED(status));
	/* Where there may not be so many, none is kept. */
	if (store_fds(store, fds) != 0) {
		ck_assert_int_eq(WEXITSTATUS(status), 0);
		ck_assert_uint_eq(store_fds(store, fds), STORE_MAX_FDS);
	}
	ck_assert(!is_nonsense);
	store_clear(store);
	ck_assert_uint_eq(store_fds(store, fds), 0);
	ck_assert_uint_eq(count_fds(), fds_before);
}
END_TEST

/* --- processes that have been taken over ---------------------------------- */

/* C15: @bytes of @tag, with @nr_fds of @fds. */
static int send_raw(const char *tag, size_t bytes, const int *fds,
		    unsigned int nr_fds)
{
	char control[CMSG_SPACE(4 * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)tag, bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int kept[STORE_MAX_FDS + 1];
	struct cmsghdr *c;

	if (nr_fds > 0) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nr_fds * sizeof(int));
	}
	/* The first is the way to the supervisor. */
	store_fds(store, kept);
	return sendmsg(kept[0], &msg, MSG_NOSIGNAL) < 0 ? errno : 0;
}

static const char good_tag[STORE_TAG_BYTES] = "tag";

static int send_short(void)
{
	int fd = eventfd(0, 0);

	return send_raw(good_tag, 4, &fd, 1);
}

static int send_long(void)
{
	char tag[2 * STORE_TAG_BYTES] = "tag";

	return send_raw(tag, sizeof(tag), NULL, 0);
}

static int send_bad_tag(void)
{
	char tag[STORE_TAG_BYTES] = "../tag";
	int fd = eventfd(0, 0);

	return send_raw(tag, sizeof(tag), &fd, 1);
}

static int send_endless_tag(void)
{
	char tag[STORE_TAG_BYTES];

	memset(tag, 'a', sizeof(tag));
	return send_raw(tag, sizeof(tag), NULL, 0);
}

static int send_no_tag(void)
{
	char tag[STORE_TAG_BYTES] = "";

	return send_raw(tag, sizeof(tag), NULL, 0);
}

static int send_two(void)
{
	int fds[] = { eventfd(0, 0), eventfd(0, 0) };

	return send_raw(good_tag, sizeof(good_tag), fds, 2);
}

static int send_file(void)
{
	int fd = open("/proc/self/status", O_RDONLY);

	return send_raw(good_tag, sizeof(good_tag), &fd, 1);
}

static int send_pipe(void)
{
	int fds[2];

	return pipe(fds) < 0 ? 1
			     : send_raw(good_tag, sizeof(good_tag), fds, 1);
}

START_TEST(c15_nonsense_is_told_and_not_kept)
{
	static process_fn *const processes[] = {
		send_short,  send_long, send_bad_tag, send_endless_tag,
		send_no_tag, send_two,	send_file,    send_pipe,
	};
	int fds[STORE_MAX_FDS + 1];
	size_t i;

	for (i = 0; i < sizeof(processes) / sizeof(processes[0]); i++) {
		is_nonsense = false;
		ck_assert_int_eq(run(processes[i]), 0);
		ck_assert_msg(is_nonsense, "%zu is taken for sense", i);
		ck_assert_uint_eq(store_fds(store, fds), 0);
	}
}
END_TEST

CHECK_MAIN("pviod's store", setup, teardown, next_process_has_what_was_put,
	   memory_stays_what_it_was, later_put_counts,
	   what_nobody_takes_is_given_up, there_is_an_end_to_it,
	   c15_nonsense_is_told_and_not_kept)
