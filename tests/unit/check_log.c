/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_log.c - messages reach the sink safe, and at a bounded rate
 */
#include "core/log.h"

#include "tests/check_main.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static char last[2048];
static unsigned int nr_messages;

static void sink(void *arg, enum pvio_log_level level, const char *message)
{
	ck_assert_ptr_eq(arg, last);
	ck_assert_int_le(level, PVIO_LOG_DEBUG);
	snprintf(last, sizeof(last), "%s", message);
	__atomic_fetch_add(&nr_messages, 1, __ATOMIC_RELAXED);
}

static void setup(void)
{
	last[0] = '\0';
	nr_messages = 0;
	pvio_log_set(sink, last, PVIO_LOG_INFO);
}

static void teardown(void)
{
	pvio_log_set(NULL, NULL, PVIO_LOG_WARNING);
}

START_TEST(message_reaches_sink)
{
	pvio_log(PVIO_LOG_INFO, "disk%d: %s", 3, "ready");
	ck_assert_str_eq(last, "disk3: ready");
}
END_TEST

START_TEST(level_nobody_wants_is_not_formatted)
{
	pvio_log(PVIO_LOG_DEBUG, "quiet");
	ck_assert_uint_eq(nr_messages, 0);
}
END_TEST

/* C07: a line of the log cannot be forged by what it quotes */
START_TEST(control_characters_are_escaped)
{
	pvio_log(PVIO_LOG_ERROR, "%s", "a\nb\x1b[2J\x7f\xc2\x9b");
	ck_assert_str_eq(last, "a\\x0ab\\x1b[2J\\x7f\\xc2\\x9b");
}
END_TEST

START_TEST(long_message_is_cut_and_says_so)
{
	char text[5000];
	size_t len;

	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	pvio_log(PVIO_LOG_ERROR, "%s", text);
	len = strlen(last);
	ck_assert_uint_lt(len, 1024);
	ck_assert_str_eq(last + len - 3, "...");
}
END_TEST

START_TEST(burst_passes_then_messages_are_dropped_and_counted)
{
	struct pvio_log_limit limit = { 0 };
	int i;

	for (i = 0; i < PVIO_LOG_BURST + 5; i++)
		pvio_log_limited(&limit, PVIO_LOG_WARNING, "bad ring");
	ck_assert_uint_eq(nr_messages, PVIO_LOG_BURST);
	ck_assert_uint_eq(limit.dropped, 5);

	/* As if a second had gone by. */
	limit.tokens_at_ns -= 1000000000ULL;
	pvio_log_limited(&limit, PVIO_LOG_WARNING, "bad ring");
	ck_assert_str_eq(last, "(5 messages dropped) bad ring");
	pvio_log_limited(&limit, PVIO_LOG_WARNING, "bad ring");
	ck_assert_uint_eq(nr_messages, PVIO_LOG_BURST + 1);
}
END_TEST

START_TEST(idle_bucket_holds_one_burst_not_more)
{
	struct pvio_log_limit limit = { .tokens_at_ns = 1 };
	int i;

	for (i = 0; i < 10 * PVIO_LOG_BURST; i++)
		pvio_log_limited(&limit, PVIO_LOG_WARNING, "again");
	ck_assert_uint_eq(nr_messages, PVIO_LOG_BURST);
}
END_TEST

static void *flood(void *arg)
{
	int i;

	for (i = 0; i < 1000; i++)
		pvio_log_limited(arg, PVIO_LOG_WARNING, "flood");
	return NULL;
}

static void count_only(void *arg, enum pvio_log_level level,
		       const char *message)
{
	(void)level;
	(void)message;
	__atomic_fetch_add((unsigned int *)arg, 1, __ATOMIC_RELAXED);
}

START_TEST(threads_share_one_budget)
{
	struct pvio_log_limit limit = { 0 };
	pthread_t thread[4];
	unsigned int count = 0;
	int i;

	pvio_log_set(count_only, &count, PVIO_LOG_INFO);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, flood,
						&limit), 0);
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	/* One more for each second that a slow machine takes. */
	ck_assert_uint_ge(count, PVIO_LOG_BURST);
	ck_assert_uint_le(count, PVIO_LOG_BURST + CHECK_TIMEOUT_S);
}
END_TEST

CHECK_MAIN("log", setup, teardown, message_reaches_sink,
	   level_nobody_wants_is_not_formatted,
	   control_characters_are_escaped, long_message_is_cut_and_says_so,
	   burst_passes_then_messages_are_dropped_and_counted,
	   idle_bucket_holds_one_burst_not_more, threads_share_one_budget)
