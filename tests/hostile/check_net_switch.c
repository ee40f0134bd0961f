/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_net_switch.c - what a guest may do to the others on its switch
 *
 * Tests name their rows, N14 to N18, as in check_net.c.
 */
#include "tests/hostile/net-hostile.h"

static uint8_t got[70000];

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
	rig_expect_rest();
	ck_assert_int_eq(guest_net_post(rig.net, 0, 10), 0);
	rig_step();
	rig_send(&peer, 0, frame, 100);
	rig_expect(&rig, 0, frame, 100);
}
END_TEST

WAY_MAIN("hostile net switch", rig_setup, teardown,
	 address_table_that_does_not_fit_lets_all_of_its_kind_pass,
	 port_that_checks_addresses_passes_no_spoofed_frame,
	 frames_to_oneself_stay_at_the_switch,
	 storm_of_broadcasts_ends_at_the_budget_of_a_turn,
	 guest_without_receive_buffers_loses_frames_and_delays_nobody)
