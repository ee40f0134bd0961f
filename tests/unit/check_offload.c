/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_offload.c - checksums and segments made for receivers that need them
 *
 * Frames are delivered to a receiver of the test's own.  What comes out is
 * checked by a checksum written here, byte by byte, and by putting the payload
 * together again.
 */
#include "backends/net.h"

#include "tests/check_main.h"

#include <errno.h>
#include <string.h>

#define MAX_FRAMES 64

/* A receiver that keeps what it gets. */
static struct {
	struct pvio_net_rx rx;
	struct iovec iov[2];
	uint8_t room[70000];
	unsigned int nr, nr_dropped, fail_at;
	int fail;
	size_t bytes[MAX_FRAMES];
	struct virtio_net_hdr hdr[MAX_FRAMES];
	uint8_t frame[MAX_FRAMES][10000];
} sink;
static struct pvio_net_scratch *scratch;
static uint8_t packet[70000];

static int sink_begin(struct pvio_net_rx *rx, size_t least, size_t want,
		      struct pvio_net_room *room)
{
	(void)rx;
	(void)least;
	if (sink.fail && sink.nr >= sink.fail_at)
		return sink.fail;
	ck_assert_uint_le(want, sizeof(sink.room));
	/* In two pieces, cut at an odd place. */
	sink.iov[0] = (struct iovec){ sink.room, 41 };
	sink.iov[1] = (struct iovec){ sink.room + 41, sizeof(sink.room) - 41 };
	*room = (struct pvio_net_room){ sink.iov, 2, sizeof(sink.room) };
	return 0;
}

static void sink_commit(struct pvio_net_rx *rx,
			const struct virtio_net_hdr_mrg_rxbuf *hdr,
			size_t bytes)
{
	(void)rx;
	ck_assert_uint_lt(sink.nr, MAX_FRAMES);
	sink.hdr[sink.nr] = hdr->hdr;
	sink.bytes[sink.nr] = bytes;
	memcpy(sink.frame[sink.nr], sink.room,
	       pvio_min(bytes, sizeof(sink.frame[0])));
	sink.nr++;
}

static void sink_drop(struct pvio_net_rx *rx)
{
	(void)rx;
	sink.nr_dropped++;
}

static const struct pvio_net_rx_ops sink_ops = {
	.begin = sink_begin,
	.commit = sink_commit,
	.drop = sink_drop,
};

static void setup(void)
{
	memset(&sink, 0, sizeof(sink));
	sink.rx.ops = &sink_ops;
	sink.rx.wants_all = true;
	scratch = pvio_net_scratch_create();
	ck_assert_ptr_nonnull(scratch);
}

static void teardown(void)
{
	pvio_net_scratch_destroy(scratch);
}

/* --- packets ------------------------------------------------------------- */

static void put16(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static unsigned int get16(const uint8_t *p)
{
	return (unsigned int)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* RFC 1071, the slow way. */
static uint32_t sum(uint32_t total, const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		total += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (total > 0xffff)
		total = (total & 0xffff) + (total >> 16);
	return total;
}

struct shape {
	unsigned int vlans;
	bool v6, udp;
	unsigned int options; /* bytes of TCP options */
	size_t payload;
};

struct at {
	size_t l3, l4, hlen, bytes;
};

static struct at layout(const struct shape *s)
{
	struct at at;

	at.l3 = 14 + 4 * s->vlans;
	at.l4 = at.l3 + (s->v6 ? 40 : 20);
	at.hlen = at.l4 + (s->udp ? 8 : 20 + s->options);
	at.bytes = at.hlen + s->payload;
	return at;
}

static uint32_t pseudo(const uint8_t *frame, const struct at *at,
		       const struct shape *s, size_t l4_len)
{
	uint32_t total = (uint32_t)(s->udp ? 17 : 6) + (uint32_t)l4_len;

	return s->v6 ? sum(total, frame + at->l3 + 8, 32)
		     : sum(total, frame + at->l3 + 12, 8);
}

/* Build the packet; the header that goes with it is returned. */
static struct pvio_net_frame build(const struct shape *s, uint16_t mss,
				   struct iovec *iov)
{
	struct at at = layout(s);
	struct pvio_net_frame f = { .iov = iov,
				    .nr_iov = 1,
				    .bytes = at.bytes };
	uint8_t *ip = packet + at.l3, *l4 = packet + at.l4;
	size_t field = s->udp ? 6 : 16, i;
	unsigned int type = s->v6 ? VIRTIO_NET_HDR_GSO_TCPV6
				  : VIRTIO_NET_HDR_GSO_TCPV4;

	for (i = 0; i < at.bytes; i++)
		packet[i] = (uint8_t)(i * 13 + (i >> 8));
	for (i = 0; i < s->vlans; i++)
		put16(packet + 12 + 4 * i, i + 1 < s->vlans ? 0x88a8 : 0x8100);
	put16(ip - 2, s->v6 ? 0x86dd : 0x0800);
	if (s->v6) {
		ip[0] = 0x60;
		put16(ip + 4, at.bytes - at.l4);
		ip[6] = s->udp ? 17 : 6;
	} else {
		ip[0] = 0x45;
		put16(ip + 2, at.bytes - at.l3);
		put16(ip + 4, 0xfffe);
		ip[9] = s->udp ? 17 : 6;
		put16(ip + 10, 0);
		put16(ip + 10, ~sum(0, ip, 20));
	}
	if (s->udp) {
		put16(l4 + 4, at.bytes - at.l4);
	} else {
		l4[12] = (uint8_t)((20 + s->options) / 4 << 4);
		l4[13] = 0x99; /* CWR ACK PSH FIN */
		put16(l4 + 4, 0xffff);
		put16(l4 + 6, 0xff00);
	}
	put16(l4 + field, pseudo(packet, &at, s, at.bytes - at.l4));
	iov->iov_base = packet;
	iov->iov_len = at.bytes;
	f.hdr.hdr = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = htole16((uint16_t)at.l4),
		.csum_offset = htole16((uint16_t)field),
		.gso_size = htole16(mss),
	};
	if (mss)
		f.hdr.hdr.gso_type =
			(uint8_t)(s->udp ? VIRTIO_NET_HDR_GSO_UDP_L4 : type);
	return f;
}

/* Frame @i that came out has right checksums, and lengths that fit it. */
static void check_sums(unsigned int i, const struct shape *s)
{
	const uint8_t *frame = sink.frame[i];
	struct at at = layout(s);
	size_t l4_len = sink.bytes[i] - at.l4;
	uint32_t total;

	if (s->v6) {
		ck_assert_uint_eq(get16(frame + at.l3 + 4), l4_len);
	} else {
		ck_assert_uint_eq(get16(frame + at.l3 + 2),
				  sink.bytes[i] - at.l3);
		ck_assert_uint_eq(sum(0, frame + at.l3, 20), 0xffff);
	}
	if (s->udp)
		ck_assert_uint_eq(get16(frame + at.l4 + 4), l4_len);
	total = pseudo(frame, &at, s, l4_len);
	ck_assert_uint_eq(sum(total, frame + at.l4, l4_len), 0xffff);
	ck_assert_uint_eq(sink.hdr[i].flags, 0);
	ck_assert_uint_eq(sink.hdr[i].gso_type, 0);
}

static int deliver(const struct pvio_net_frame *f)
{
	return pvio_net_deliver(&sink.rx, f, NULL, 0, scratch);
}

/* --- tests --------------------------------------------------------------- */

START_TEST(receiver_that_can_gets_the_frame_as_it_was)
{
	const struct shape s = { .payload = 5000 };
	struct pvio_net_frame f;
	struct iovec iov;

	f = build(&s, 1000, &iov);
	sink.rx.offloads = PVIO_NET_CSUM | PVIO_NET_TSO4;
	ck_assert_int_eq(deliver(&f), 0);
	ck_assert_uint_eq(sink.nr, 1);
	ck_assert_uint_eq(sink.bytes[0], f.bytes);
	ck_assert_mem_eq(&sink.hdr[0], &f.hdr.hdr, sizeof(sink.hdr[0]));
	ck_assert_mem_eq(sink.frame[0], packet, f.bytes);
}
END_TEST

START_TEST(open_checksums_are_completed_at_every_length)
{
	struct shape s = { 0 };
	struct pvio_net_frame f;
	struct iovec iov;
	unsigned int kind;

	for (kind = 0; kind < 8; kind++) {
		s.v6 = kind & 1;
		s.udp = kind & 2;
		s.vlans = kind >> 2;
		for (s.payload = 0; s.payload < 70; s.payload++) {
			sink.nr = 0;
			f = build(&s, 0, &iov);
			ck_assert_int_eq(deliver(&f), 0);
			ck_assert_uint_eq(sink.nr, 1);
			check_sums(0, &s);
		}
	}
}
END_TEST

/* A sum of 0 would say that there is none (RFC 768). */
START_TEST(udp_checksum_is_never_zero)
{
	const struct shape s = { .udp = true, .payload = 2 };
	struct pvio_net_frame f;
	struct iovec iov;
	unsigned int i, seen = 0;

	for (i = 0; i < 65536; i++) {
		sink.nr = 0;
		f = build(&s, 0, &iov);
		put16(packet + 42, i);
		ck_assert_int_eq(deliver(&f), 0);
		ck_assert_uint_ne(get16(sink.frame[0] + 40), 0);
		seen += get16(sink.frame[0] + 40) == 0xffff;
	}
	ck_assert_uint_gt(seen, 0);
}
END_TEST

/* Segments of @s at @mss put together give the payload again. */
static void check_segments(const struct shape *s, uint16_t mss)
{
	struct at at = layout(s);
	struct pvio_net_frame f;
	struct iovec iov;
	size_t offset = 0;
	unsigned int i;

	sink.nr = 0;
	f = build(s, mss, &iov);
	ck_assert_int_eq(deliver(&f), 0);
	ck_assert_uint_eq(sink.nr, (s->payload + mss - 1) / mss);
	for (i = 0; i < sink.nr; i++) {
		const uint8_t *l4 = sink.frame[i] + at.l4;
		size_t len = sink.bytes[i] - at.hlen;
		bool last = i + 1 == sink.nr;

		check_sums(i, s);
		ck_assert_uint_eq(len, last ? s->payload - offset : mss);
		ck_assert_mem_eq(sink.frame[i] + at.hlen,
				 packet + at.hlen + offset, len);
		ck_assert_mem_eq(sink.frame[i], packet, at.l3);
		if (!s->udp) {
			ck_assert_uint_eq(get32(l4 + 4),
					  0xffffff00u + (uint32_t)offset);
			/* CWR on the first, PSH and FIN on the last */
			ck_assert_uint_eq(l4[13], 0x10 | (i == 0 ? 0x80 : 0) |
							  (last ? 0x09 : 0));
		}
		if (!s->v6)
			ck_assert_uint_eq(get16(sink.frame[i] + at.l3 + 4),
					  (0xfffe + i) & 0xffff);
		offset += len;
	}
	ck_assert_uint_eq(offset, s->payload);
}

START_TEST(tcp_and_udp_are_cut_into_right_segments)
{
	static const size_t payloads[] = { 1, 999, 1000, 1001, 5000, 9999 };
	struct shape s = { 0 };
	unsigned int kind, i;

	for (kind = 0; kind < 24; kind++) {
		s.v6 = kind & 1;
		s.udp = kind & 2;
		s.options = s.udp ? 0 : (kind & 4) * 10;
		s.vlans = kind >> 3;
		for (i = 0; i < pvio_array_size(payloads); i++) {
			s.payload = payloads[i];
			check_segments(&s, 1000);
		}
	}
}
END_TEST

START_TEST(head_that_was_checked_is_what_arrives)
{
	static const uint8_t head[14] = { 1, 2, 3,  4,  5,  6, 7,
					  8, 9, 10, 11, 12, 8, 0 };
	const struct shape s = { .payload = 3000 };
	struct pvio_net_frame f;
	struct iovec iov;
	unsigned int i, round;

	for (round = 0; round < 2; round++) {
		sink.nr = 0;
		sink.rx.offloads = round ? PVIO_NET_CSUM | PVIO_NET_TSO4 : 0;
		f = build(&s, 1000, &iov);
		memset(packet, 0xee, 12); /* changed since it was looked at */
		ck_assert_int_eq(
			pvio_net_deliver(&sink.rx, &f, head, 14, scratch), 0);
		for (i = 0; i < sink.nr; i++)
			ck_assert_mem_eq(sink.frame[i], head, 14);
		ck_assert_uint_eq(sink.nr, round ? 1 : 3);
	}
}
END_TEST

START_TEST(nothing_is_delivered_when_the_first_segment_has_no_room)
{
	const struct shape s = { .payload = 3000 };
	struct pvio_net_frame f;
	struct iovec iov;

	f = build(&s, 1000, &iov);
	sink.fail = -ENOBUFS;
	ck_assert_int_eq(deliver(&f), -ENOBUFS);
	ck_assert_uint_eq(sink.nr_dropped, 0);
	/* After the first, the rest is lost and counted. */
	sink.fail_at = 1;
	ck_assert_int_eq(deliver(&f), 0);
	ck_assert_uint_eq(sink.nr, 1);
	ck_assert_uint_eq(sink.nr_dropped, 1);
	sink.fail_at = 0;
	sink.fail = -ENETDOWN;
	ck_assert_int_eq(deliver(&f), 0);
	ck_assert_uint_eq(sink.nr_dropped, 2);
}
END_TEST

/* Headers that say one thing and packets that say another. */
START_TEST(packets_that_do_not_parse_are_dropped)
{
	static const struct {
		size_t at;
		uint8_t value;
	} v4[] = {
		{ 12, 0x86 }, /* type: not IPv4 */
		{ 14, 0x65 }, /* version 6 */
		{ 14, 0x46 }, /* longer than up to TCP */
		{ 14, 0x44 }, /* shorter than can be */
		{ 23, 17 },   /* not TCP */
		{ 46, 0x40 }, /* TCP header of 16 bytes */
	};
	const struct shape s = { .payload = 3000 };
	struct shape tiny = { .payload = 5 };
	struct pvio_net_frame f;
	struct iovec iov;
	unsigned int i;

	for (i = 0; i < pvio_array_size(v4); i++) {
		f = build(&s, 1000, &iov);
		packet[v4[i].at] = v4[i].value;
		ck_assert_int_eq(deliver(&f), 0);
		ck_assert_uint_eq(sink.nr_dropped, i + 1);
	}
	/* A TCP header that ends after the packet */
	f = build(&tiny, 5, &iov);
	packet[46] = 0xf0;
	ck_assert_int_eq(deliver(&f), 0);
	/* VLAN tags without end */
	f = build(&s, 1000, &iov);
	for (i = 12; i < 100; i += 4)
		put16(packet + i, 0x8100);
	ck_assert_int_eq(deliver(&f), 0);
	/* UFO has no software */
	f = build(&s, 1000, &iov);
	f.hdr.hdr.gso_type = VIRTIO_NET_HDR_GSO_UDP;
	ck_assert_int_eq(deliver(&f), 0);
	ck_assert_uint_eq(sink.nr_dropped, pvio_array_size(v4) + 3);
	ck_assert_uint_eq(sink.nr, 0);
}
END_TEST

CHECK_MAIN("offload", setup, teardown,
	   receiver_that_can_gets_the_frame_as_it_was,
	   open_checksums_are_completed_at_every_length,
	   udp_checksum_is_never_zero, tcp_and_udp_are_cut_into_right_segments,
	   head_that_was_checked_is_what_arrives,
	   nothing_is_delivered_when_the_first_segment_has_no_room,
	   packets_that_do_not_parse_are_dropped)
