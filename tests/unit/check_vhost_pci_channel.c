/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vhost_pci_channel.c - frames through a window: order, room, rubbish
 */
#include "tests/check_main.h"
#include "transports/vhost-pci/channel.h"

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *port;
static struct window_channel host, guest;
static struct window_port *shared;

static void setup(void)
{
	port = aligned_alloc(4096, WINDOW_PORT_BYTES);
	ck_assert_ptr_nonnull(port);
	memset(port, 0, WINDOW_PORT_BYTES);
	shared = (struct window_port *)port;
	window_channel_open(&host, port, WINDOW_HOST);
	window_channel_open(&guest, port, WINDOW_GUEST);
}

static void teardown(void)
{
	free(port);
}

/* A frame whose every byte depends on @seed. */
static int send(struct window_channel *ch, uint32_t seed, uint32_t bytes)
{
	const struct window_frame frame = {
		.bytes = bytes,
		.session = seed,
		.kind = WINDOW_MESSAGE,
		.number = ~seed,
	};
	uint8_t payload[WINDOW_MAX_PAYLOAD];
	uint32_t i;

	for (i = 0; i < bytes && i < sizeof(payload); i++)
		payload[i] = (uint8_t)(seed + i * 7);
	return window_channel_send(ch, &frame, payload);
}

static void expect(struct window_channel *ch, uint32_t seed, uint32_t bytes)
{
	uint8_t payload[WINDOW_MAX_PAYLOAD];
	struct window_frame frame;
	uint32_t i;

	ck_assert_int_eq(window_channel_receive(ch, &frame, payload), 1);
	ck_assert_uint_eq(frame.bytes, bytes);
	ck_assert_uint_eq(frame.session, seed);
	ck_assert_uint_eq(frame.kind, WINDOW_MESSAGE);
	ck_assert_uint_eq(frame.number, ~seed);
	for (i = 0; i < bytes && payload[i] == (uint8_t)(seed + i * 7); i++)
		;
	ck_assert_uint_eq(i, bytes);
}

static int receive(struct window_channel *ch)
{
	uint8_t payload[WINDOW_MAX_PAYLOAD];
	struct window_frame frame;

	return window_channel_receive(ch, &frame, payload);
}

START_TEST(frames_arrive_in_order_both_ways)
{
	ck_assert_int_eq(receive(&guest), 0);
	ck_assert_int_eq(receive(&host), 0);
	ck_assert_int_eq(send(&host, 1, 12), 0);
	ck_assert_int_eq(send(&host, 2, 0), 0);
	ck_assert_int_eq(send(&guest, 3, 20), 0);
	expect(&guest, 1, 12);
	expect(&guest, 2, 0);
	ck_assert_int_eq(receive(&guest), 0);
	expect(&host, 3, 20);
	ck_assert_int_eq(receive(&host), 0);
}
END_TEST

/* All lengths, over the ring's end at every place. */
START_TEST(frames_wrap)
{
	uint32_t seed;

	for (seed = 0; seed < 20000; seed++) {
		uint32_t bytes = seed * 31 % (WINDOW_MAX_PAYLOAD + 1);

		ck_assert_int_eq(send(&host, seed, bytes), 0);
		expect(&guest, seed, bytes);
	}
}
END_TEST

START_TEST(counts_wrap_at_32_bits)
{
	uint32_t seed;

	shared->to_guest.head = htole32(UINT32_MAX - 1023);
	shared->to_guest.tail = shared->to_guest.head;
	window_channel_open(&host, port, WINDOW_HOST);
	window_channel_open(&guest, port, WINDOW_GUEST);
	for (seed = 0; seed < 100; seed++) {
		ck_assert_int_eq(send(&host, seed, 300), 0);
		ck_assert_int_eq(send(&host, ~seed, 5), 0);
		expect(&guest, seed, 300);
		expect(&guest, ~seed, 5);
	}
}
END_TEST

START_TEST(full_channel_takes_no_more)
{
	uint32_t sent = 0, taken;

	while (send(&host, sent, 1000) == 0)
		sent++;
	ck_assert_uint_eq(sent, WINDOW_CHANNEL_BYTES / (16 + 1008));
	ck_assert_int_eq(send(&host, sent, 1000), -EAGAIN);
	/* There is room for less. */
	while (send(&host, sent, 0) == 0)
		sent++;
	expect(&guest, 0, 1000);
	ck_assert_int_eq(send(&host, sent, 1000), 0);
	ck_assert_int_eq(send(&host, sent, 1000), -EAGAIN);
	for (taken = 1; receive(&guest) == 1; taken++)
		;
	ck_assert_uint_eq(taken, sent + 1);
}
END_TEST

START_TEST(message_that_is_too_long_is_not_sent)
{
	ck_assert_int_eq(send(&host, 1, WINDOW_MAX_PAYLOAD), 0);
	ck_assert_int_eq(send(&host, 1, WINDOW_MAX_PAYLOAD + 1), -EMSGSIZE);
	ck_assert_int_eq(send(&host, 1, UINT32_MAX), -EMSGSIZE);
	expect(&guest, 1, WINDOW_MAX_PAYLOAD);
	ck_assert_int_eq(receive(&guest), 0);
}
END_TEST

START_TEST(end_that_opens_anew_goes_on)
{
	ck_assert_int_eq(send(&host, 1, 50), 0);
	ck_assert_int_eq(send(&host, 2, 50), 0);
	expect(&guest, 1, 50);
	window_channel_open(&guest, port, WINDOW_GUEST);
	window_channel_open(&host, port, WINDOW_HOST);
	ck_assert_int_eq(send(&host, 3, 50), 0);
	expect(&guest, 2, 50);
	window_channel_drain(&guest);
	ck_assert_int_eq(receive(&guest), 0);
	ck_assert_int_eq(send(&host, 4, 50), 0);
	expect(&guest, 4, 50);
}
END_TEST

/* --- the other side is hostile --------------------------------------------- */

/* After it the channel is empty, and frames go through it. */
static void expect_recovered(void)
{
	/* The producer goes on where it stands, if that is a frame's place. */
	window_channel_open(&host, port, WINDOW_HOST);
	window_channel_drain(&guest);
	ck_assert_int_eq(send(&host, 9, 100), 0);
	expect(&guest, 9, 100);
}

START_TEST(head_that_makes_no_sense_is_refused)
{
	static const uint32_t heads[] = {
		1, 8, 15, WINDOW_CHANNEL_BYTES + 1, WINDOW_CHANNEL_BYTES + 16,
		0x7fffffff, 0x80000000, UINT32_MAX, UINT32_MAX - 15,
	};

	ck_assert_int_eq(send(&host, 1, 100), 0);
	expect(&guest, 1, 100);
	shared->to_guest.head = htole32(guest.tail + heads[_i]);
	ck_assert_int_eq(receive(&guest), -EPROTO);
	expect_recovered();
}
END_TEST

START_TEST(frame_that_is_not_there_is_refused)
{
	static const uint32_t bytes[] = {
		1, 17, WINDOW_MAX_PAYLOAD, WINDOW_MAX_PAYLOAD + 1, 0x7fffffff,
		UINT32_MAX - 15, UINT32_MAX,
	};
	struct window_frame *frame =
		(struct window_frame *)(port + WINDOW_TO_GUEST_OFFSET);

	frame->bytes = htole32(bytes[_i]);
	shared->to_guest.head = htole32(16);
	ck_assert_int_eq(receive(&guest), -EPROTO);
	expect_recovered();
}
END_TEST

START_TEST(tail_that_makes_no_sense_is_refused)
{
	static const uint32_t tails[] = { 1, 16, 0x7fffffff, UINT32_MAX / 2,
					  0x80000000 };

	shared->to_host.tail = htole32(tails[_i]);
	ck_assert_int_eq(send(&guest, 1, 100), -EPROTO);
	/* Nothing was written. */
	ck_assert_uint_eq(shared->to_host.head, 0);
	shared->to_host.tail = 0;
	ck_assert_int_eq(send(&guest, 1, 100), 0);
	expect(&host, 1, 100);
}
END_TEST

/* What is ours, and in reach of the other side, is not believed either. */
START_TEST(own_counts_that_were_changed_do_no_harm)
{
	ck_assert_int_eq(send(&host, 1, 100), 0);
	shared->to_guest.tail = htole32(0x12345677);
	expect(&guest, 1, 100);
	shared->to_host.head = htole32(0x12345677);
	ck_assert_int_eq(send(&guest, 2, 100), 0);
	expect(&host, 2, 100);
	/* Opened where no frame can be: at the multiple below. */
	shared->to_guest.tail = htole32(0xffffffff);
	window_channel_open(&guest, port, WINDOW_GUEST);
	ck_assert_uint_eq(guest.tail % WINDOW_FRAME_ALIGN, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost-pci channel");
	TCase *tcase = tcase_create("channel");

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, frames_arrive_in_order_both_ways);
	tcase_add_test(tcase, frames_wrap);
	tcase_add_test(tcase, counts_wrap_at_32_bits);
	tcase_add_test(tcase, full_channel_takes_no_more);
	tcase_add_test(tcase, message_that_is_too_long_is_not_sent);
	tcase_add_test(tcase, end_that_opens_anew_goes_on);
	tcase_add_loop_test(tcase, head_that_makes_no_sense_is_refused, 0, 9);
	tcase_add_loop_test(tcase, frame_that_is_not_there_is_refused, 0, 7);
	tcase_add_loop_test(tcase, tail_that_makes_no_sense_is_refused, 0, 5);
	tcase_add_test(tcase, own_counts_that_were_changed_do_no_harm);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
