/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_net.c - what a guest may try on its network card, and what it gets
 *
 * One test or more a row of the catalogue of bad inputs: here the frames that
 * it sends and the buffers that it gives (N01 to N09).  The control queue is in
 * check_net_control.c, its neighbours at a switch are in check_net_switch.c.
 */
#include "tests/hostile/net-hostile.h"

#include "backends/net.h"

static uint8_t got[70000];

/* Send @nr segments as one chain, and have it back with length 0. */
static void send_raw(const struct guest_segment *seg, unsigned int nr)
{
	ck_assert_int_eq(guest_device_transfer(rig.gd, 1, seg, nr, 0), 0);
}

/* Send header and frame made of @raw, and see whether it is refused. */
static bool refused(const struct virtio_net_hdr *hdr, size_t bytes)
{
	struct guest_segment seg = { raw_gpa, (uint32_t)(HDR + bytes) };
	uint64_t before = rig_faults(&rig, 1, PVIO_FAULT_REQUEST);
	struct virtio_net_hdr_mrg_rxbuf dummy;

	memset(raw, 0, HDR);
	memcpy(raw, hdr, sizeof(*hdr));
	rig_frame(raw + HDR, bytes, 2);
	send_raw(&seg, 1);
	rig_step();
	if (rig_faults(&rig, 1, PVIO_FAULT_REQUEST) == before + 1) {
		rig_expect_none(&rig, 0);
		return true;
	}
	while (guest_net_receive(rig.net, 0, &dummy, got, sizeof(got), 0) >= 0)
		;
	return false;
}

/* N01 */
START_TEST(chain_shorter_than_a_header_is_dropped)
{
	struct guest_segment seg = { 0, 0 };
	uint32_t len;

	up(&all, "");
	seg.gpa = raw_gpa;
	for (len = 1; len < HDR; len++) {
		seg.len = len;
		send_raw(&seg, 1);
	}
	ck_assert_uint_eq(rig_faults(&rig, 1, PVIO_FAULT_REQUEST), HDR - 1);
	finish();
}
END_TEST

/* N01 */
START_TEST(chain_of_one_byte_segments_is_served)
{
	struct guest_segment seg[HDR + 60];
	unsigned int i;

	up(&all, "");
	memset(raw, 0, HDR);
	memcpy(raw + HDR, frame, 60);
	for (i = 0; i < HDR + 60; i++)
		seg[i] = (struct guest_segment){ raw_gpa + i, 1 };
	send_raw(seg, HDR + 60);
	rig_expect(&rig, 0, frame, 60);
	finish();
}
END_TEST

/* N01 */
START_TEST(transmit_chain_with_only_writable_buffers_is_dropped)
{
	struct guest_segment seg = { 0, 100 };

	up(&all, "");
	seg.gpa = raw_gpa;
	ck_assert_int_eq(guest_device_transfer(rig.gd, 1, &seg, 0, 1), 0);
	ck_assert_uint_eq(rig_faults(&rig, 1, PVIO_FAULT_REQUEST), 1);
	finish();
}
END_TEST

/* N02 */
START_TEST(checksum_outside_the_frame_is_dropped)
{
	static const struct {
		uint16_t start, offset;
		bool bad;
	} cases[] = {
		{ 34, 16, false },  { 82, 16, false },   { 83, 16, true },
		{ 100, 0, true },   { 98, 0, false },    { 99, 0, true },
		{ 0, 0, true },     { 13, 2, true },     { 14, 0, false },
		{ 65535, 0, true }, { 34, 65535, true }, { 65535, 65535, true },
		{ 35, 17, false },
	};
	size_t i;

	up(&all, "");
	for (i = 0; i < pvio_array_size(cases); i++) {
		struct virtio_net_hdr hdr = {
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.csum_start = htole16(cases[i].start),
			.csum_offset = htole16(cases[i].offset),
		};

		ck_assert_int_eq(refused(&hdr, 100), cases[i].bad);
	}
	finish();
}
END_TEST

/* N02: without the flag the fields mean nothing. */
START_TEST(checksum_fields_without_the_flag_are_ignored)
{
	struct virtio_net_hdr hdr = { .csum_start = 0xffff,
				      .csum_offset = 0xffff };
	struct virtio_net_hdr_mrg_rxbuf back;

	up(&all, "");
	rig_frame(frame, 100, 2);
	memcpy(&back.hdr, &hdr, sizeof(hdr));
	back.num_buffers = 0xffff;
	ck_assert_int_eq(guest_net_send(rig.net, 0, &back, frame, 100), 0);
	ck_assert_int_eq(guest_net_receive(rig.net, 0, &back, got, sizeof(got),
					   RIG_TIMEOUT_MS),
			 100);
	ck_assert_uint_eq(back.hdr.csum_start, 0);
	ck_assert_uint_eq(back.hdr.flags, 0);
	ck_assert_uint_eq(le16toh(back.num_buffers), 1);
	finish();
}
END_TEST

/* N02: not negotiated */
START_TEST(checksum_request_that_was_not_negotiated_is_dropped)
{
	struct virtio_net_hdr hdr = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				      .csum_start = htole16(34),
				      .csum_offset = htole16(16) };
	struct guest_net_options o = all;

	o.features[0] = RIG_PLAIN | PVIO_BIT(VIRTIO_NET_F_MRG_RXBUF);
	up(&o, "");
	ck_assert(refused(&hdr, 100));
	finish();
}
END_TEST

static struct virtio_net_hdr gso(uint8_t type, uint16_t size)
{
	return (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = type,
		.gso_size = htole16(size),
		.csum_start = htole16(34),
		.csum_offset = htole16(16),
	};
}

/* N03: every value of the field */
START_TEST(segmentation_types_unknown_or_not_negotiated_are_dropped)
{
	struct virtio_net_hdr hdr;
	unsigned int type;

	/* Echo takes everything but UFO. */
	up(&all, "");
	for (type = 0; type < 256; type++) {
		bool good = type == VIRTIO_NET_HDR_GSO_NONE ||
			    type == VIRTIO_NET_HDR_GSO_TCPV4 ||
			    type == VIRTIO_NET_HDR_GSO_TCPV6 ||
			    type == VIRTIO_NET_HDR_GSO_UDP_L4 ||
			    type == (VIRTIO_NET_HDR_GSO_TCPV4 |
				     VIRTIO_NET_HDR_GSO_ECN) ||
			    type == (VIRTIO_NET_HDR_GSO_TCPV6 |
				     VIRTIO_NET_HDR_GSO_ECN);

		hdr = gso((uint8_t)type, 1000);
		ck_assert_int_eq(refused(&hdr, 5000), !good);
	}
	finish();
}
END_TEST

/* N03 */
START_TEST(segmentation_that_was_not_negotiated_is_dropped)
{
	struct virtio_net_hdr hdr = gso(VIRTIO_NET_HDR_GSO_TCPV4, 1000);
	struct guest_net_options o = all;

	o.features[0] = RIG_PLAIN | PVIO_BIT(VIRTIO_NET_F_MRG_RXBUF) |
			PVIO_BIT(VIRTIO_NET_F_CSUM) |
			PVIO_BIT(VIRTIO_NET_F_HOST_TSO6);
	up(&o, "");
	ck_assert(refused(&hdr, 5000));
	finish();
}
END_TEST

/* N04 */
START_TEST(segment_sizes_that_make_no_sense_are_dropped)
{
	struct virtio_net_hdr hdr;

	up(&all, "");
	hdr = gso(VIRTIO_NET_HDR_GSO_TCPV4, 0);
	ck_assert(refused(&hdr, 5000));
	hdr = gso(VIRTIO_NET_HDR_GSO_TCPV4, 5001);
	ck_assert(refused(&hdr, 5000));
	/* 60000 segments of one byte */
	hdr = gso(VIRTIO_NET_HDR_GSO_TCPV4, 1);
	ck_assert(refused(&hdr, 60000));
	/* no checksum asked for */
	hdr = gso(VIRTIO_NET_HDR_GSO_TCPV4, 1000);
	hdr.flags = 0;
	ck_assert(refused(&hdr, 5000));
	finish();
}
END_TEST

/* N05 */
START_TEST(header_length_is_only_a_hint)
{
	static const uint16_t lengths[] = { 0, 1, 54, 5000, 5001, 65535 };
	struct virtio_net_hdr_mrg_rxbuf hdr;
	size_t i;

	up(&all, "");
	for (i = 0; i < pvio_array_size(lengths); i++) {
		memset(&hdr, 0, sizeof(hdr));
		hdr.hdr = gso(VIRTIO_NET_HDR_GSO_TCPV4, 1000);
		hdr.hdr.hdr_len = htole16(lengths[i]);
		ck_assert_int_eq(guest_net_send(rig.net, 0, &hdr, frame, 5000),
				 0);
		ck_assert_int_eq(guest_net_receive(rig.net, 0, &hdr, got,
						   sizeof(got), RIG_TIMEOUT_MS),
				 5000);
		ck_assert_uint_le(le16toh(hdr.hdr.hdr_len), 5000);
	}
	finish();
}
END_TEST

/* N06 */
START_TEST(frames_too_short_or_too_long_are_dropped)
{
	struct virtio_net_hdr hdr = { 0 };
	size_t bytes;

	up(&all, "");
	for (bytes = 0; bytes < 14; bytes++)
		ck_assert(refused(&hdr, bytes));
	ck_assert(!refused(&hdr, 14));
	ck_assert(!refused(&hdr, PVIO_NET_MAX_FRAME));
	ck_assert(refused(&hdr, PVIO_NET_MAX_FRAME + 1));
	ck_assert(refused(&hdr, 300000));
	finish();
}
END_TEST

/* N06: a driver that knows the MTU keeps to it, unless it is cut anyway. */
START_TEST(frame_larger_than_the_mtu_is_dropped)
{
	struct virtio_net_hdr plain = { 0 };
	struct virtio_net_hdr cut = gso(VIRTIO_NET_HDR_GSO_TCPV4, 1400);

	up(&all, "mtu = 1500;");
	ck_assert(!refused(&plain, 1514));
	ck_assert(!refused(&plain, 1522));
	ck_assert(refused(&plain, 1523));
	ck_assert(!refused(&cut, 9000));
	finish();
}
END_TEST

/* N07 */
START_TEST(receive_buffer_without_room_for_a_header_comes_back_empty)
{
	struct guest_net_options o = all;
	struct guest_segment seg = { 0, HDR };
	struct guest_ring *ring;
	uint32_t len = 1;

	o.rx_buffers = 0;
	up(&o, "");
	ring = guest_device_ring(rig.gd, 0);
	seg.gpa = raw_gpa;
	memset(raw, 0xee, 64);
	ck_assert_int_eq(guest_ring_add(ring, &seg, 0, 1, raw), 0);
	ck_assert_int_eq(guest_net_post(rig.net, 0, 100), 0);
	rig_step();
	rig_frame(frame, 500, 7);
	ck_assert_int_eq(guest_net_send(rig.net, 0, NULL, frame, 500), 0);
	rig_step();
	ck_assert_ptr_eq(guest_ring_reap(ring, &len), raw);
	ck_assert_uint_eq(len, 0);
	ck_assert_uint_eq(raw[0], 0xee);
	rig_expect(&rig, 0, frame, 500);
	finish();
}
END_TEST

/* N07 */
START_TEST(receive_chain_with_only_readable_buffers_comes_back_empty)
{
	struct guest_net_options o = all;
	struct guest_segment seg = { 0, 2048 };
	struct guest_ring *ring;
	uint32_t len = 1;

	o.rx_buffers = 0;
	up(&o, "");
	ring = guest_device_ring(rig.gd, 0);
	seg.gpa = raw_gpa;
	ck_assert_int_eq(guest_ring_add(ring, &seg, 1, 0, raw), 0);
	ck_assert_int_eq(guest_net_post(rig.net, 0, 100), 0);
	rig_step();
	rig_frame(frame, 500, 7);
	ck_assert_int_eq(guest_net_send(rig.net, 0, NULL, frame, 500), 0);
	rig_step();
	ck_assert_ptr_eq(guest_ring_reap(ring, &len), raw);
	ck_assert_uint_eq(len, 0);
	rig_expect(&rig, 0, frame, 500);
	finish();
}
END_TEST

/* N07: no merging */
START_TEST(frame_larger_than_the_one_buffer_is_dropped)
{
	struct guest_net_options o = all;
	struct guest_ring *ring;
	uint32_t len = 1;

	o.features[0] = RIG_PLAIN;
	o.rx_bytes = 1000;
	up(&o, "");
	memset(frame + 988, 0xee, 1);
	ck_assert_int_eq(guest_net_send(rig.net, 0, NULL, frame, 989), 0);
	ck_assert_int_eq(guest_net_sent(rig.net, 0, RIG_TIMEOUT_MS), 0);
	ring = guest_device_ring(rig.gd, 0);
	ck_assert_ptr_nonnull(guest_ring_reap(ring, &len));
	ck_assert_uint_eq(len, 0);
	/* Exactly that large: served. */
	rig_send(&rig, 0, frame, 988);
	rig_expect(&rig, 0, frame, 988);
	finish();
}
END_TEST

/* N08 */
START_TEST(frame_that_needs_more_buffers_than_the_ring_has_is_dropped)
{
	struct guest_net_options o = all;

	o.queue_size = 8;
	o.rx_buffers = 8;
	up(&o, "");
	/* 8 buffers of 2048 hold 16372 bytes. */
	rig_frame(frame, 16373, 1);
	rig_send(&rig, 0, frame, 16373);
	rig_expect_none(&rig, 0);
	rig_send(&rig, 0, frame, 16372);
	rig_expect(&rig, 0, frame, 16372);
	finish();
}
END_TEST

/* N08 */
START_TEST(frame_waits_for_buffers_that_may_still_come)
{
	struct guest_net_options o = all;

	o.rx_buffers = 3;
	up(&o, "");
	rig_frame(frame, 8000, 1);
	ck_assert_int_eq(guest_net_send(rig.net, 0, NULL, frame, 8000), 0);
	rig_expect_none(&rig, 0);
	ck_assert_int_eq(guest_net_post(rig.net, 0, 1), 0);
	rig_expect(&rig, 0, frame, 8000);
	finish();
}
END_TEST

/* N09: the hash report's longer header is not offered, and refused. */
START_TEST(longer_headers_are_not_offered)
{
	uint64_t bits[2], want[2] = { PVIO_BIT(VIRTIO_NET_F_HASH_REPORT), 0 };

	up(&all, "");
	guest_device_features(rig.gd, bits);
	ck_assert(!(bits[0] & PVIO_BIT(VIRTIO_NET_F_HASH_REPORT)));
	ck_assert_uint_eq(bits[1], 0);
	ck_assert_int_eq(guest_device_negotiate(rig.gd, want), -EINVAL);
	guest_net_destroy(rig.net);
	guest_alloc_reset(&rig.mem);
	ck_assert_int_eq(rig_drive(&rig, &all), 0);
	finish();
}
END_TEST

WAY_MAIN("hostile net", rig_setup, teardown,
	 chain_shorter_than_a_header_is_dropped,
	 chain_of_one_byte_segments_is_served,
	 transmit_chain_with_only_writable_buffers_is_dropped,
	 checksum_outside_the_frame_is_dropped,
	 checksum_fields_without_the_flag_are_ignored,
	 checksum_request_that_was_not_negotiated_is_dropped,
	 segmentation_types_unknown_or_not_negotiated_are_dropped,
	 segmentation_that_was_not_negotiated_is_dropped,
	 segment_sizes_that_make_no_sense_are_dropped,
	 header_length_is_only_a_hint, frames_too_short_or_too_long_are_dropped,
	 frame_larger_than_the_mtu_is_dropped,
	 receive_buffer_without_room_for_a_header_comes_back_empty,
	 receive_chain_with_only_readable_buffers_comes_back_empty,
	 frame_larger_than_the_one_buffer_is_dropped,
	 frame_that_needs_more_buffers_than_the_ring_has_is_dropped,
	 frame_waits_for_buffers_that_may_still_come,
	 longer_headers_are_not_offered)
