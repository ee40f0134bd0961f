/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_net.c - what a guest may try on its network card, and what it gets
 *
 * One test a row of the catalogue of bad inputs (N01 to N18).  After each the
 * device must still be whole: the good frame of finish() goes through and comes
 * back, and DEVICE_NEEDS_RESET was not set.
 */
#include "tests/net_rig.h"

#include "backends/net.h"

#define ECHO "type = \"echo\";"
#define HDR  sizeof(struct virtio_net_hdr_mrg_rxbuf)

static struct rig rig, peer;
static uint8_t frame[70000], got[70000];
static uint8_t *raw; /* guest memory for hand-made chains */
static uint64_t raw_gpa;

static const struct guest_net_options all = {
	.features = { RIG_ALL_NET, 0 },
	.pairs = 1,
	.queue_size = 256,
	.rx_bytes = 2048,
	.rx_buffers = 256,
};

static void up(const struct guest_net_options *o, const char *keys)
{
	rig_up(&rig, "net0", ECHO, keys, o);
	raw = guest_alloc(&rig.mem, 1 << 20, 4096, &raw_gpa);
	ck_assert_ptr_nonnull(raw);
	rig_frame(frame, sizeof(frame), 1);
}

/* Service goes on. */
static void finish(void)
{
	rig_frame(frame, 500, 77);
	rig_send(&rig, 0, frame, 500);
	rig_expect(&rig, 0, frame, 500);
	rig_expect_none(&rig, 0);
	ck_assert(!guest_device_is_broken(rig.gd));
}

static void teardown(void)
{
	if (rig.dev)
		rig_down(&rig);
	if (peer.dev)
		rig_down(&peer);
	rig_teardown();
}

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

static int command(uint8_t class, uint8_t cmd, const void *data, size_t len)
{
	return guest_net_command(rig.net, class, cmd, data, len);
}

/* N10 */
START_TEST(control_commands_that_are_unknown_or_cut_short_get_an_error)
{
	static const struct {
		uint8_t class, cmd;
		size_t needs;
	} known[] = {
		{ VIRTIO_NET_CTRL_RX, 0, 1 },
		{ VIRTIO_NET_CTRL_RX, 5, 1 },
		{ VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, 8 },
		{ VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 6 },
		{ VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 2 },
		{ VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, 2 },
		{ VIRTIO_NET_CTRL_GUEST_OFFLOADS,
		  VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, 8 },
	};
	static const uint8_t zero[16];
	unsigned int class, cmd;
	size_t i, len;

	up(&all, "");
	for (i = 0; i < pvio_array_size(known); i++) {
		for (len = 0; len < known[i].needs; len++)
			ck_assert_int_eq(command(known[i].class, known[i].cmd,
						 zero, len),
					 VIRTIO_NET_ERR);
		ck_assert_int_eq(command(known[i].class, known[i].cmd, zero,
					 known[i].needs),
				 VIRTIO_NET_OK);
	}
	for (class = 0; class < 256; class += class < 8 ? 1 : 31)
		for (cmd = 6; cmd < 256; cmd += 25)
			ck_assert_int_eq(command((uint8_t) class, (uint8_t)cmd,
						 zero, sizeof(zero)),
					 VIRTIO_NET_ERR);
	finish();
}
END_TEST

/* N10 */
START_TEST(control_command_without_room_for_an_answer_gets_none)
{
	struct guest_segment seg = { 0, 3 };

	up(&all, "");
	memset(raw, 0, 3);
	seg.gpa = raw_gpa;
	ck_assert_int_eq(guest_device_transfer(rig.gd, 2, &seg, 1, 0), 0);
	/* Nothing to read is an error, and said so. */
	seg.len = 1;
	ck_assert_int_eq(guest_device_transfer(rig.gd, 2, &seg, 0, 1), 1);
	ck_assert_uint_eq(raw[0], VIRTIO_NET_ERR);
	finish();
}
END_TEST

/* N10: 6 * n wraps in 32 bits */
START_TEST(address_table_longer_than_its_command_is_refused)
{
	static const uint32_t counts[] = { 1, 2, 0x2aaaaaab, 0x80000000,
					   0xffffffff };
	uint8_t data[8];
	size_t i;

	up(&all, "");
	for (i = 0; i < pvio_array_size(counts); i++) {
		uint32_t n = htole32(counts[i]);

		memset(data, 0, sizeof(data));
		memcpy(data, &n, 4);
		ck_assert_int_eq(command(VIRTIO_NET_CTRL_MAC,
					 VIRTIO_NET_CTRL_MAC_TABLE_SET, data,
					 sizeof(data)),
				 VIRTIO_NET_ERR);
		memset(data, 0, 4);
		memcpy(data + 4, &n, 4);
		ck_assert_int_eq(command(VIRTIO_NET_CTRL_MAC,
					 VIRTIO_NET_CTRL_MAC_TABLE_SET, data,
					 sizeof(data)),
				 VIRTIO_NET_ERR);
	}
	finish();
}
END_TEST

/* N10 */
START_TEST(values_out_of_range_are_refused)
{
	static const uint8_t vid[2] = { 0, 0x10 }, on = 2;
	static const uint8_t group[6] = { 1, 2, 3, 4, 5, 6 };
	uint64_t offloads = htole64(PVIO_BIT(VIRTIO_NET_F_GUEST_TSO4));

	up(&all, "");
	ck_assert_int_eq(command(VIRTIO_NET_CTRL_VLAN, 0, vid, 2),
			 VIRTIO_NET_ERR);
	ck_assert_int_eq(command(VIRTIO_NET_CTRL_RX, 0, &on, 1),
			 VIRTIO_NET_ERR);
	ck_assert_int_eq(command(VIRTIO_NET_CTRL_MAC,
				 VIRTIO_NET_CTRL_MAC_ADDR_SET, group, 6),
			 VIRTIO_NET_ERR);
	/* TSO without checksum; a bit that is no offload */
	ck_assert_int_eq(
		command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &offloads, 8),
		VIRTIO_NET_ERR);
	offloads = htole64(PVIO_BIT(VIRTIO_NET_F_MAC));
	ck_assert_int_eq(
		command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &offloads, 8),
		VIRTIO_NET_ERR);
	finish();
}
END_TEST

/* N11 */
START_TEST(pair_counts_out_of_range_keep_what_was)
{
	static const uint16_t bad[] = { 0, 3, 0x8000, 0xffff };
	struct guest_net_options o = all;
	uint16_t pairs = htole16(2);
	size_t i;

	o.pairs = 2;
	up(&o, "queues = 2;");
	ck_assert_int_eq(command(VIRTIO_NET_CTRL_MQ, 0, &pairs, 2),
			 VIRTIO_NET_OK);
	for (i = 0; i < pvio_array_size(bad); i++) {
		pairs = htole16(bad[i]);
		/* ... while traffic flows */
		ck_assert_int_eq(guest_net_send(rig.net, 1, NULL, frame, 400),
				 0);
		ck_assert_int_eq(command(VIRTIO_NET_CTRL_MQ, 0, &pairs, 2),
				 VIRTIO_NET_ERR);
		rig_expect(&rig, 1, frame, 400);
	}
	finish();
}
END_TEST

/* N12: steering is not offered, and its commands are errors. */
START_TEST(steering_commands_are_refused)
{
	uint8_t rss[64] = { 0 };

	up(&all, "queues = 2;");
	memset(rss, 0xff, sizeof(rss));
	ck_assert_int_eq(command(VIRTIO_NET_CTRL_MQ,
				 VIRTIO_NET_CTRL_MQ_RSS_CONFIG, rss,
				 sizeof(rss)),
			 VIRTIO_NET_ERR);
	ck_assert_int_eq(command(VIRTIO_NET_CTRL_MQ,
				 VIRTIO_NET_CTRL_MQ_HASH_CONFIG, rss,
				 sizeof(rss)),
			 VIRTIO_NET_ERR);
	finish();
}
END_TEST

/* N13 */
START_TEST(looping_control_chain_comes_back_empty)
{
	struct guest_segment seg = { 0, 2 };
	struct vring_desc *desc;
	struct guest_ring *ring;
	uint32_t len = 1;
	unsigned int i;

	up(&all, "");
	ring = guest_device_ring(rig.gd, 2);
	desc = guest_ring_raw_desc(ring);
	seg.gpa = raw_gpa;
	ck_assert_int_eq(guest_ring_add(ring, &seg, 1, 0, raw), 0);
	for (i = 0; i < 16; i++) {
		desc[i].flags = htole16(VRING_DESC_F_NEXT);
		desc[i].next = htole16((uint16_t)(i ^ 1));
		desc[i].addr = htole64(raw_gpa);
		desc[i].len = htole32(2);
	}
	if (guest_ring_publish(ring))
		guest_device_kick(rig.gd, 2);
	rig_step();
	ck_assert_ptr_eq(guest_ring_reap(ring, &len), raw);
	ck_assert_uint_eq(len, 0);
	finish();
}
END_TEST

/* N14 */
START_TEST(address_table_that_does_not_fit_lets_all_of_its_kind_pass)
{
	struct virtio_net_hdr_mrg_rxbuf hdr;
	static uint8_t data[4 + 65 * 6 + 4 + 65 * 6];
	const uint8_t off = 0;

	rig_up(&rig, "net0", "type = \"switch\"; switch = \"lan\";", "", &all);
	rig_up(&peer, "net1", "type = \"switch\"; switch = \"lan\";", "", &all);
	data[0] = data[4 + 65 * 6] = 65;
	ck_assert_int_eq(command(VIRTIO_NET_CTRL_RX, 0, &off, 1), 0);
	ck_assert_int_eq(command(VIRTIO_NET_CTRL_MAC,
				 VIRTIO_NET_CTRL_MAC_TABLE_SET, data,
				 sizeof(data)),
			 VIRTIO_NET_OK);
	rig_frame(frame, 100, 1);
	memcpy(frame, "\1\0\x5e\1\2\3", 6);
	rig_send(&peer, 0, frame, 100);
	rig_expect(&rig, 0, frame, 100);
	memcpy(frame, "\2\0\x5e\1\2\3", 6);
	rig_send(&peer, 0, frame, 100);
	ck_assert_int_eq(guest_net_receive(rig.net, 0, &hdr, got, sizeof(got),
					   RIG_TIMEOUT_MS),
			 100);
}
END_TEST

/* N14 */
START_TEST(port_that_checks_addresses_passes_no_spoofed_frame)
{
	rig_up(&rig, "net0",
	       "type = \"switch\"; switch = \"lan\"; mac_check = true;",
	       "mac = \"02:00:00:00:00:01\";", &all);
	rig_up(&peer, "net1", "type = \"switch\"; switch = \"lan\";", "", &all);
	rig_frame(frame, 100, 1);
	memcpy(frame, "\xff\xff\xff\xff\xff\xff", 6);
	memcpy(frame + 6, "\2\0\0\0\0\2", 6);
	rig_send(&rig, 0, frame, 100);
	rig_expect_none(&peer, 0);
	ck_assert_uint_eq(rig_faults(&rig, 1, PVIO_FAULT_DROP), 1);
	memcpy(frame + 6, "\2\0\0\0\0\1", 6);
	rig_send(&rig, 0, frame, 100);
	rig_expect(&peer, 0, frame, 100);
}
END_TEST

/* N17: a guest that talks to itself */
START_TEST(frames_to_oneself_stay_at_the_switch)
{
	unsigned int i;

	rig_up(&rig, "net0", "type = \"switch\"; switch = \"lan\";",
	       "mac = \"02:00:00:00:00:01\";", &all);
	rig_up(&peer, "net1", "type = \"switch\"; switch = \"lan\";", "", &all);
	rig_frame(frame, 100, 1);
	memcpy(frame, "\2\0\0\0\0\1\2\0\0\0\0\1", 12);
	for (i = 0; i < 100; i++)
		rig_send(&rig, 0, frame, 100);
	rig_expect_none(&rig, 0);
	rig_expect_none(&peer, 0);
}
END_TEST

/* N17: a storm uses up the sender's turn, not the worker's. */
START_TEST(storm_of_broadcasts_ends_at_the_budget_of_a_turn)
{
	struct guest_net_options o = all;
	struct guest_segment seg = { 0, 0 };
	struct guest_ring *ring;
	unsigned int i, used = 0;
	uint32_t len;

	o.queue_size = 1024;
	rig_up(&rig, "net0", "type = \"switch\"; switch = \"lan\";", "", &o);
	rig_up(&peer, "net1", "type = \"switch\"; switch = \"lan\";", "", &o);
	raw = guest_alloc(&rig.mem, 1 << 17, 4096, &raw_gpa);
	memset(raw, 0, HDR);
	rig_frame(raw + HDR, 65000, 1);
	memset(raw + HDR, 0xff, 6);
	seg = (struct guest_segment){ raw_gpa, HDR + 65000 };
	ring = guest_device_ring(rig.gd, 1);
	for (i = 0; i < 1024; i++)
		ck_assert_int_eq(guest_ring_add(ring, &seg, 1, 0, raw), 0);
	if (guest_ring_publish(ring))
		guest_device_kick(rig.gd, 1);
	/* No single turn serves more than a budget's worth. */
	for (i = 0; used < 1024 && i < 1000; i++) {
		unsigned int before = used;

		pvio_worker_step(rig_worker);
		while (guest_ring_reap(ring, &len))
			used++;
		ck_assert_uint_le(used - before, 256);
	}
	ck_assert_uint_eq(used, 1024);
	ck_assert_uint_gt(i, 10);
}
END_TEST

/* N18 */
START_TEST(guest_without_receive_buffers_loses_frames_and_delays_nobody)
{
	struct guest_net_options o = all;
	unsigned int i;

	o.rx_buffers = 0;
	rig_up(&rig, "net0", "type = \"switch\"; switch = \"lan\";", "", &o);
	rig_up(&peer, "net1", "type = \"switch\"; switch = \"lan\";", "", &all);
	rig_frame(frame, 100, 1);
	for (i = 0; i < 1000; i++)
		rig_send(&peer, 0, frame, 100);
	ck_assert_uint_eq(rig_faults(&rig, 0, PVIO_FAULT_DROP), 1000);
	/* Nothing spins: the worker comes to rest. */
	rig_step();
	ck_assert(!pvio_worker_step(rig_worker));
	ck_assert_int_eq(guest_net_post(rig.net, 0, 10), 0);
	rig_step();
	rig_send(&peer, 0, frame, 100);
	rig_expect(&rig, 0, frame, 100);
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
	   header_length_is_only_a_hint,
	   frames_too_short_or_too_long_are_dropped,
	   frame_larger_than_the_mtu_is_dropped,
	   receive_buffer_without_room_for_a_header_comes_back_empty,
	   receive_chain_with_only_readable_buffers_comes_back_empty,
	   frame_larger_than_the_one_buffer_is_dropped,
	   frame_that_needs_more_buffers_than_the_ring_has_is_dropped,
	   frame_waits_for_buffers_that_may_still_come,
	   longer_headers_are_not_offered,
	   control_commands_that_are_unknown_or_cut_short_get_an_error,
	   control_command_without_room_for_an_answer_gets_none,
	   address_table_longer_than_its_command_is_refused,
	   values_out_of_range_are_refused,
	   pair_counts_out_of_range_keep_what_was,
	   steering_commands_are_refused,
	   looping_control_chain_comes_back_empty,
	   address_table_that_does_not_fit_lets_all_of_its_kind_pass,
	   port_that_checks_addresses_passes_no_spoofed_frame,
	   frames_to_oneself_stay_at_the_switch,
	   storm_of_broadcasts_ends_at_the_budget_of_a_turn,
	   guest_without_receive_buffers_loses_frames_and_delays_nobody)
