/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_net_control.c - what a guest may try on the control queue of its card
 *
 * Tests name their rows, N10 to N13, as in check_net.c.
 */
#include "tests/hostile/net-hostile.h"

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

WAY_MAIN("hostile net control", rig_setup, teardown,
	 control_commands_that_are_unknown_or_cut_short_get_an_error,
	 control_command_without_room_for_an_answer_gets_none,
	 address_table_longer_than_its_command_is_refused,
	 values_out_of_range_are_refused,
	 pair_counts_out_of_range_keep_what_was, steering_commands_are_refused,
	 looping_control_chain_comes_back_empty)
