/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_switch.c - guests plugged into one switch
 *
 * Most tests use three guests, a, b and c, as their last byte of address.  The
 * time of ageing is not waited for: the clock of the test's own stands in for
 * the system's.
 */
#include "tests/net-rig.h"

#include "backends/switch.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct rig a, b, c;
static uint8_t frame[70000];

static const struct guest_net_options plain = {
	.features = { RIG_PLAIN | PVIO_BIT(VIRTIO_NET_F_MRG_RXBUF), 0 },
	.pairs = 1,
	.queue_size = 256,
	.rx_bytes = 2048,
	.rx_buffers = 256,
};

static void guest_up(struct rig *g, char letter, const char *more,
		     const struct guest_net_options *o)
{
	char backend[256], keys[64], name[8] = { letter };

	snprintf(backend, sizeof(backend),
		 "type = \"switch\"; switch = \"lan\"; %s", more);
	snprintf(keys, sizeof(keys), "mac = \"02:00:00:00:00:0%c\";", letter);
	rig_up(g, name, backend, keys, o);
}

static void three_up(const char *more)
{
	guest_up(&a, 'a', more, &plain);
	guest_up(&b, 'b', more, &plain);
	guest_up(&c, 'c', more, &plain);
}

static void setup(void)
{
	rig_setup();
}

static void teardown(void)
{
	if (a.dev)
		rig_down(&a);
	if (b.dev)
		rig_down(&b);
	if (c.dev)
		rig_down(&c);
	rig_teardown();
}

/* A frame between the addresses that end in these bytes. */
static void address(uint8_t to, uint8_t from)
{
	rig_frame(frame, 100, to);
	memcpy(frame, "\2\0\0\0\0\0\2\0\0\0\0\0", 12);
	frame[5] = to;
	frame[11] = from;
}

static void send_from(struct rig *g, uint8_t to, uint8_t from)
{
	address(to, from);
	rig_send(g, 0, frame, 100);
}

START_TEST(configured_address_is_known_from_the_start)
{
	three_up("");
	send_from(&a, 0x0b, 0x0a);
	rig_expect(&b, 0, frame, 100);
	rig_expect_none(&c, 0);
	rig_expect_none(&a, 0);
}
END_TEST

START_TEST(unknown_and_group_addresses_are_flooded)
{
	three_up("");
	send_from(&a, 0x77, 0x0a);
	rig_expect(&b, 0, frame, 100);
	rig_expect(&c, 0, frame, 100);
	rig_expect_none(&a, 0);
	address(0, 0x0a);
	memset(frame, 0xff, 6);
	rig_send(&a, 0, frame, 100);
	rig_expect(&b, 0, frame, 100);
	rig_expect(&c, 0, frame, 100);
	rig_expect_none(&a, 0);
}
END_TEST

START_TEST(source_addresses_are_learned_and_move)
{
	three_up("");
	/* b has something behind it. */
	send_from(&b, 0x0a, 0x77);
	rig_expect(&a, 0, frame, 100);
	send_from(&a, 0x77, 0x0a);
	rig_expect(&b, 0, frame, 100);
	rig_expect_none(&c, 0);
	/* It moves behind c. */
	send_from(&c, 0x0a, 0x77);
	rig_expect(&a, 0, frame, 100);
	send_from(&a, 0x77, 0x0a);
	rig_expect(&c, 0, frame, 100);
	rig_expect_none(&b, 0);
}
END_TEST

START_TEST(configured_address_cannot_be_taken_away)
{
	three_up("");
	/* c pretends to be b. */
	send_from(&c, 0x0a, 0x0b);
	rig_expect(&a, 0, frame, 100);
	send_from(&a, 0x0b, 0x0a);
	rig_expect(&b, 0, frame, 100);
	rig_expect_none(&c, 0);
}
END_TEST

START_TEST(addresses_of_a_port_that_leaves_are_forgotten)
{
	three_up("");
	send_from(&b, 0x0a, 0x77);
	rig_expect(&a, 0, frame, 100);
	rig_down(&b);
	send_from(&a, 0x77, 0x0a);
	rig_expect(&c, 0, frame, 100);
	send_from(&a, 0x0b, 0x0a);
	rig_expect(&c, 0, frame, 100);
}
END_TEST

START_TEST(bridge_protocols_are_not_forwarded)
{
	unsigned int i;

	three_up("");
	for (i = 0; i < 16; i++) {
		address(0, 0x0a);
		memcpy(frame, "\x01\x80\xc2\0\0", 5);
		frame[5] = (uint8_t)i;
		rig_send(&a, 0, frame, 100);
	}
	rig_expect_none(&b, 0);
	frame[5] = 0x10;
	rig_send(&a, 0, frame, 100);
	rig_expect(&b, 0, frame, 100);
}
END_TEST

START_TEST(group_address_as_source_is_dropped)
{
	three_up("");
	address(0x0b, 0x0a);
	frame[6] = 3;
	rig_send(&a, 0, frame, 100);
	rig_expect_none(&b, 0);
	ck_assert_uint_eq(rig_faults(&a, 1, PVIO_FAULT_DROP), 1);
}
END_TEST

/* Hostile: a port that makes up sources spoils its own entries only. */
START_TEST(port_that_makes_up_addresses_keeps_the_others_known)
{
	unsigned int i;

	three_up("");
	send_from(&b, 0x0a, 0x77);
	rig_expect(&a, 0, frame, 100);
	for (i = 0; i < 20000; i++) {
		address(0x0c, 0);
		frame[9] = 1;
		frame[10] = (uint8_t)(i >> 8);
		frame[11] = (uint8_t)i;
		ck_assert_int_eq(guest_net_send(c.net, 0, NULL, frame, 100), 0);
		if (i % 16 == 15)
			ck_assert_int_eq(guest_net_sent(c.net, 0,
							RIG_TIMEOUT_MS),
					 0);
	}
	send_from(&a, 0x77, 0x0a);
	rig_expect(&b, 0, frame, 100);
	rig_expect_none(&c, 0);
	send_from(&a, 0x0b, 0x0a);
	rig_expect(&b, 0, frame, 100);
}
END_TEST

/* N18: the slow guest loses, the others do not. */
START_TEST(port_without_buffers_does_not_hold_up_a_flood)
{
	struct guest_net_options empty = plain;
	unsigned int i;

	empty.rx_buffers = 0;
	guest_up(&a, 'a', "", &plain);
	guest_up(&b, 'b', "", &empty);
	guest_up(&c, 'c', "", &plain);
	for (i = 0; i < 100; i++) {
		send_from(&a, 0x77, 0x0a);
		rig_expect(&c, 0, frame, 100);
	}
	ck_assert_uint_eq(rig_faults(&b, 0, PVIO_FAULT_DROP), 100);
}
END_TEST

/* The receiver agreed to less than the sender. */
START_TEST(uncut_tcp_is_cut_for_a_guest_that_cannot)
{
	static const uint8_t head[54] = {
		2,    0,    0,  0, 0,    0x0b, 2,    0,    0,    0,
		0,    0x0a, 8,  0, 0x45, 0,    0x13, 0x7e, 0,    1,
		0x40, 0,    64, 6, 0,    0,    10,   0,    0,    1,
		10,   0,    0,  2, 1,    2,    3,    4,    0,    0,
		0,    1,    0,  0, 0,    1,    0x50, 0x18, 0xff, 0xff,
	};
	struct virtio_net_hdr_mrg_rxbuf hdr = {
		.hdr = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			 .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
			 .gso_size = htole16(1448),
			 .csum_start = htole16(34),
			 .csum_offset = htole16(16) },
	};
	struct virtio_net_hdr_mrg_rxbuf got_hdr;
	struct guest_net_options all = plain;
	static uint8_t got[70000];
	size_t offset = 0;
	int64_t n;

	all.features[0] = RIG_ALL_NET;
	guest_up(&a, 'a', "", &all);
	guest_up(&b, 'b', "", &plain);
	guest_up(&c, 'c', "", &all);
	rig_frame(frame, 5004, 3);
	memcpy(frame, head, sizeof(head));
	ck_assert_int_eq(guest_net_send(a.net, 0, &hdr, frame, 5004), 0);
	while (offset < 5004 - 54) {
		n = guest_net_receive(b.net, 0, &got_hdr, got, sizeof(got),
				      RIG_TIMEOUT_MS);
		ck_assert_int_gt(n, 54);
		ck_assert_int_le(n, 1502);
		ck_assert_uint_eq(got_hdr.hdr.flags, 0);
		ck_assert_mem_eq(got + 54, frame + 54 + offset, (size_t)n - 54);
		offset += (size_t)n - 54;
	}
	/* To one that can it goes whole. */
	frame[5] = 0x0c;
	ck_assert_int_eq(guest_net_send(a.net, 0, &hdr, frame, 5004), 0);
	ck_assert_int_eq(guest_net_receive(c.net, 0, &got_hdr, got, sizeof(got),
					   RIG_TIMEOUT_MS),
			 5004);
	ck_assert_uint_eq(got_hdr.hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
}
END_TEST

START_TEST(switches_are_told_apart_by_name)
{
	three_up("");
	rig_down(&b);
	rig_up(&b, "b", "type = \"switch\"; switch = \"other\";",
	       "mac = \"02:00:00:00:00:0b\";", &plain);
	send_from(&a, 0x0b, 0x0a);
	rig_expect_none(&b, 0);
	rig_expect(&c, 0, frame, 100);
}
END_TEST

START_TEST(port_on_another_worker_is_refused)
{
	struct pvio_worker *other;

	guest_up(&a, 'a', "", &plain);
	ck_assert_int_eq(pvio_worker_create("other", &other), 0);
	ck_assert_int_eq(pvio_worker_start(other), 0);
	ck_assert_int_eq(rig_create_on(&b, "b",
				       "type = \"switch\"; switch = \"lan\";",
				       "", &other, 1),
			 0);
	rig_open(&b);
	/* To bounce the broker has begun when the device is asked. */
	if (way_now == GUEST_WAY_WINDOW_BOUNCE)
		(void)rig_drive(&b, &plain);
	else
		ck_assert_int_lt(rig_drive(&b, &plain), 0);
	rig_down(&b);
	pvio_worker_destroy(other);
	/* The first is as it was, and others can come. */
	guest_up(&b, 'b', "", &plain);
	send_from(&a, 0x0b, 0x0a);
	rig_expect(&b, 0, frame, 100);
}
END_TEST

/* --- uplink -------------------------------------------------------------- */

START_TEST(guests_reach_the_outside_through_an_uplink)
{
	/* The outside is another switch's guest, behind a pair of sockets. */
	char dir[] = "/tmp/pvio-check-XXXXXX", backend[512], path[128];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(backend, sizeof(backend),
		 "type = \"stream\"; server = true; path = \"%s/up\";", dir);
	rig_up(&c, "c", backend, "mac = \"02:00:00:00:00:0c\";", &plain);
	snprintf(backend, sizeof(backend),
		 "uplink = { type = \"stream\"; path = \"%s/up\"; };", dir);
	guest_up(&a, 'a', backend, &plain);
	guest_up(&b, 'b', "", &plain);
	rig_step();
	/* Both guests are heard outside, and hear. */
	send_from(&b, 0x0c, 0x0b);
	rig_expect(&c, 0, frame, 100);
	rig_expect(&a, 0, frame, 100);
	send_from(&c, 0x0b, 0x0c);
	rig_expect(&b, 0, frame, 100);
	rig_expect_none(&a, 0);
	/* It has been learned: no flood any more. */
	send_from(&a, 0x0c, 0x0a);
	rig_expect(&c, 0, frame, 100);
	rig_expect_none(&b, 0);
	rig_down(&a);
	rig_down(&c);
	snprintf(path, sizeof(path), "rm -rf %s", dir);
	ck_assert_int_eq(system(path), 0);
}
END_TEST

/* --- ageing -------------------------------------------------------------- */

/* Seconds by which the clock of this process is ahead. */
static time_t ahead_s;

/* In the place of the C library's, for the whole process. */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, ts);

	ts->tv_sec += ahead_s;
	return rc;
}

START_TEST(addresses_age)
{
	/* To both ends of a window the other one has gone by then. */
	if (guest_way_is_window(way_now))
		return;
	three_up("");
	send_from(&b, 0x0a, 0x77);
	rig_expect(&a, 0, frame, 100);
	ahead_s = 299;
	send_from(&a, 0x77, 0x0a);
	rig_expect(&b, 0, frame, 100);
	rig_expect_none(&c, 0);
	ahead_s = 302;
	send_from(&a, 0x77, 0x0a);
	rig_expect(&b, 0, frame, 100);
	rig_expect(&c, 0, frame, 100);
	/* A configured one does not. */
	send_from(&a, 0x0b, 0x0a);
	rig_expect(&b, 0, frame, 100);
	rig_expect_none(&c, 0);
	ahead_s = 0;
}
END_TEST

WAY_MAIN("switch", setup, teardown,
	   configured_address_is_known_from_the_start,
	   unknown_and_group_addresses_are_flooded,
	   source_addresses_are_learned_and_move,
	   configured_address_cannot_be_taken_away,
	   addresses_of_a_port_that_leaves_are_forgotten,
	   bridge_protocols_are_not_forwarded,
	   group_address_as_source_is_dropped,
	   port_that_makes_up_addresses_keeps_the_others_known,
	   port_without_buffers_does_not_hold_up_a_flood,
	   uncut_tcp_is_cut_for_a_guest_that_cannot,
	   switches_are_told_apart_by_name, port_on_another_worker_is_refused,
	   guests_reach_the_outside_through_an_uplink, addresses_age)
