/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_net.c - the network card, driver's side and ours
 *
 * A guest drives the device, in every way there is (tests/way.h); the echo
 * backend sends back what it sends.
 */
#include "tests/net-rig.h"

#include <netinet/in.h>

#define ECHO "type = \"echo\";"
#define NIL  "type = \"null\";"

static struct rig rig;
static uint8_t frame[70000], other[70000];

static const struct guest_net_options merged = {
	.features = { RIG_PLAIN | PVIO_BIT(VIRTIO_NET_F_MRG_RXBUF), 0 },
	.pairs = 1,
	.queue_size = 256,
	.rx_bytes = 1536,
	.rx_buffers = 256,
};

static void teardown(void)
{
	if (rig.dev)
		rig_down(&rig);
	rig_teardown();
}

/* --- frames -------------------------------------------------------------- */

static const uint64_t ring_kinds[] = {
	0,
	PVIO_BIT(VIRTIO_F_RING_PACKED),
	PVIO_BIT(VIRTIO_RING_F_EVENT_IDX),
	PVIO_BIT(VIRTIO_F_RING_PACKED) | PVIO_BIT(VIRTIO_RING_F_EVENT_IDX),
	PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC),
	PVIO_BIT(VIRTIO_F_IN_ORDER),
	PVIO_BIT(VIRTIO_F_RING_PACKED) | PVIO_BIT(VIRTIO_F_IN_ORDER),
};

START_TEST(frames_of_every_size_come_back_on_every_ring)
{
	static const size_t sizes[] = { 14,   15,   60,   64,   1514,  1523,
					1524, 1525, 3060, 9000, 65535, 65550 };
	struct guest_net_options o = merged;
	size_t i, j;

	ck_assert_int_eq(rig_create(&rig, "net0", ECHO, ""), 0);
	rig_open(&rig);
	for (j = 0; j < pvio_array_size(ring_kinds); j++) {
		o.features[0] = merged.features[0] | ring_kinds[j];
		guest_alloc_reset(&rig.mem);
		ck_assert_int_eq(rig_drive(&rig, &o), 0);
		for (i = 0; i < pvio_array_size(sizes); i++) {
			rig_frame(frame, sizes[i], (unsigned int)i);
			rig_send(&rig, 0, frame, sizes[i]);
			rig_expect(&rig, 0, frame, sizes[i]);
		}
		guest_net_destroy(rig.net);
		rig.net = NULL;
	}
}
END_TEST

/* Many in flight, and more in all than the ring has entries. */
START_TEST(frames_keep_their_order)
{
	unsigned int sent = 0, got = 0;
	int rc;

	rig_up(&rig, "net0", ECHO, "", &merged);
	while (got < 5000) {
		rig_frame(frame, 100, sent);
		rc = sent < 5000 ? guest_net_send(rig.net, 0, NULL, frame, 100)
				 : -EAGAIN;
		if (rc == 0) {
			sent++;
			continue;
		}
		ck_assert_int_eq(rc, -EAGAIN);
		rig_frame(frame, 100, got++);
		rig_expect(&rig, 0, frame, 100);
	}
}
END_TEST

START_TEST(without_merging_a_frame_is_one_buffer)
{
	struct guest_net_options o = merged;
	struct virtio_net_hdr_mrg_rxbuf hdr;

	o.features[0] = RIG_PLAIN;
	o.rx_bytes = 12 + 1514;
	rig_up(&rig, "net0", ECHO, "", &o);
	rig_frame(frame, 1514, 1);
	rig_send(&rig, 0, frame, 1514);
	ck_assert_int_eq(guest_net_receive(rig.net, 0, &hdr, other,
					   sizeof(other), RIG_TIMEOUT_MS),
			 1514);
	ck_assert_uint_eq(le16toh(hdr.num_buffers), 1);
	ck_assert_mem_eq(frame, other, 1514);
}
END_TEST

START_TEST(sender_waits_while_the_guest_gives_no_buffers)
{
	struct guest_net_options o = merged;
	unsigned int i;

	o.rx_buffers = 0;
	rig_up(&rig, "net0", ECHO, "", &o);
	for (i = 0; i < 10; i++) {
		rig_frame(frame, 200, i);
		ck_assert_int_eq(guest_net_send(rig.net, 0, NULL, frame, 200),
				 0);
	}
	rig_step();
	ck_assert_int_eq(guest_net_sent(rig.net, 0, 0), -ETIMEDOUT);
	/* Buffers come: nothing was lost. */
	ck_assert_int_eq(guest_net_post(rig.net, 0, 20), 0);
	for (i = 0; i < 10; i++) {
		rig_frame(frame, 200, i);
		rig_expect(&rig, 0, frame, 200);
	}
}
END_TEST

START_TEST(held_buffers_survive_a_stop_of_the_queue)
{
	struct guest_net_options o = merged;

	/* One frame needs three buffers; the guest has given two. */
	o.rx_buffers = 2;
	rig_up(&rig, "net0", ECHO, "", &o);
	rig_frame(frame, 4000, 3);
	ck_assert_int_eq(guest_net_send(rig.net, 0, NULL, frame, 4000), 0);
	rig_step();
	/* Reset with two chains held and one frame kept: none is in flight. */
	guest_net_destroy(rig.net);
	guest_alloc_reset(&rig.mem);
	ck_assert_int_eq(rig_drive(&rig, &merged), 0);
	rig_send(&rig, 0, frame, 4000);
	rig_expect(&rig, 0, frame, 4000);
	rig_expect_none(&rig, 0);
}
END_TEST

START_TEST(null_backend_takes_all_and_sends_nothing)
{
	rig_up(&rig, "net0", NIL, "", &merged);
	rig_frame(frame, 1000, 0);
	rig_send(&rig, 0, frame, 1000);
	rig_expect_none(&rig, 0);
	ck_assert_uint_eq(pvio_device_vq(rig.dev, 1)->stats.bytes_in, 1000);
}
END_TEST

/* --- configuration ------------------------------------------------------- */

static void read_config(struct virtio_net_config *c)
{
	memset(c, 0, sizeof(*c));
	ck_assert_int_eq(guest_device_read_config(rig.gd, 0, c, 12), 0);
}

/* It counts pairs, and leaves the control queue out. */
static bool is_vhost_user(void)
{
	return guest_way_is_vhost_user(way_now);
}

START_TEST(config_space_says_what_was_configured)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
	struct virtio_net_config c;
	uint64_t bits[2];

	ck_assert_int_eq(rig_create(&rig, "net0", NIL,
				    "mac = \"52:54:00:12:34:56\"; "
				    "mtu = 9000; queues = 4;"),
			 0);
	rig_open(&rig);
	read_config(&c);
	ck_assert_mem_eq(c.mac, mac, 6);
	ck_assert_uint_eq(le16toh(c.mtu), 9000);
	ck_assert_uint_eq(le16toh(c.status), VIRTIO_NET_S_LINK_UP);
	ck_assert_uint_eq(le16toh(c.max_virtqueue_pairs), 4);
	ck_assert_uint_eq(guest_device_nr_queues(rig.gd),
			  is_vhost_user() ? 8 : 9);
	guest_device_features(rig.gd, bits);
	ck_assert(bits[0] & PVIO_BIT(VIRTIO_NET_F_MTU));
	ck_assert(bits[0] & PVIO_BIT(VIRTIO_NET_F_MQ));
}
END_TEST

START_TEST(default_address_is_local_stable_and_the_names_own)
{
	struct virtio_net_config a, b, again;

	ck_assert_int_eq(rig_create(&rig, "alpha", NIL, ""), 0);
	rig_open(&rig);
	read_config(&a);
	rig_down(&rig);
	ck_assert_int_eq(rig_create(&rig, "beta", NIL, ""), 0);
	rig_open(&rig);
	read_config(&b);
	rig_down(&rig);
	ck_assert_int_eq(rig_create(&rig, "alpha", NIL, ""), 0);
	rig_open(&rig);
	read_config(&again);
	ck_assert_uint_eq(a.mac[0] & 3, 2);
	ck_assert_mem_eq(a.mac, again.mac, 6);
	ck_assert_mem_ne(a.mac, b.mac, 6);
}
END_TEST

START_TEST(offloads_can_be_configured_away)
{
	uint64_t bits[2];

	ck_assert_int_eq(rig_create(&rig, "net0", NIL, "offloads = false;"), 0);
	rig_open(&rig);
	guest_device_features(rig.gd, bits);
	ck_assert(!(bits[0] & PVIO_BIT(VIRTIO_NET_F_CSUM)));
	ck_assert(!(bits[0] & PVIO_BIT(VIRTIO_NET_F_HOST_TSO4)));
	ck_assert(!(bits[0] & PVIO_BIT(VIRTIO_NET_F_GUEST_USO6)));
	ck_assert(!(bits[0] & PVIO_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)));
	ck_assert(!(bits[0] & PVIO_BIT(VIRTIO_NET_F_MTU)));
	ck_assert(!(bits[0] & PVIO_BIT(VIRTIO_NET_F_MQ)));
}
END_TEST

START_TEST(wrong_configurations_are_refused)
{
	ck_assert_int_eq(rig_create(&rig, "net0", "type = \"no-such\";", ""),
			 -EINVAL);
	ck_assert_int_eq(rig_create(&rig, "net0", NIL, "queues = 0;"), -EINVAL);
	ck_assert_int_eq(rig_create(&rig, "net0", NIL, "queues = 33;"),
			 -EINVAL);
	ck_assert_int_eq(rig_create(&rig, "net0", NIL, "mtu = 67;"), -EINVAL);
	ck_assert_int_eq(rig_create(&rig, "net0", NIL,
				    "mac = \"01:00:00:00:"
				    "00:00\";"),
			 -EINVAL);
	ck_assert_int_eq(rig_create(&rig, "net0", NIL, "unheard_of = 1;"),
			 -EINVAL);
	ck_assert_int_eq(rig_create(&rig, "net0",
				    "type = \"switch\"; "
				    "switch = \"lan0\";",
				    "queues = 2;"),
			 -EINVAL);
	ck_assert_ptr_null(rig.dev);
}
END_TEST

/* V09: bits that need others which were not accepted (5.1.3.1). */
START_TEST(features_that_lack_what_they_need_are_refused)
{
	static const unsigned int alone[] = {
		VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6,
		VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO6,
		VIRTIO_NET_F_GUEST_UFO,  VIRTIO_NET_F_GUEST_ECN,
		VIRTIO_NET_F_HOST_TSO4,  VIRTIO_NET_F_HOST_TSO6,
		VIRTIO_NET_F_HOST_UFO,   VIRTIO_NET_F_HOST_USO,
		VIRTIO_NET_F_HOST_ECN,
	};
	/* Who knows is asked behind the driver's back, and breaks the device. */
	int refusal = way_now == GUEST_WAY_WINDOW_BOUNCE ? 0 : -EINVAL;
	uint64_t bits[2] = { 0, 0 };
	size_t i;

	ck_assert_int_eq(rig_create(&rig, "net0", NIL, ""), 0);
	rig_open(&rig);
	for (i = 0; i < pvio_array_size(alone); i++) {
		bits[0] = PVIO_BIT(alone[i]);
		ck_assert_int_eq(guest_device_negotiate(rig.gd, bits), refusal);
	}
	bits[0] = PVIO_BIT(VIRTIO_NET_F_CSUM) |
		  PVIO_BIT(VIRTIO_NET_F_HOST_TSO4) |
		  PVIO_BIT(VIRTIO_NET_F_HOST_ECN);
	ck_assert_int_eq(guest_device_negotiate(rig.gd, bits), 0);
}
END_TEST

/* --- link, MTU, announcement --------------------------------------------- */

START_TEST(link_down_drops_both_ways_and_tells_the_driver)
{
	struct virtio_net_config c;
	unsigned int changes;
	char answer[64];

	rig_up(&rig, "net0", ECHO, "", &merged);
	changes = guest_device_config_changes(rig.gd);
	ck_assert_int_eq(pvio_device_command(rig.dev, "link", "down", answer,
					     sizeof(answer)),
			 0);
	ck_assert_str_eq(answer, "down");
	rig_step();
	ck_assert_uint_gt(guest_device_config_changes(rig.gd), changes);
	read_config(&c);
	ck_assert_uint_eq(le16toh(c.status), 0);
	rig_frame(frame, 100, 1);
	rig_send(&rig, 0, frame, 100);
	rig_expect_none(&rig, 0);
	ck_assert_uint_eq(rig_faults(&rig, 1, PVIO_FAULT_DROP), 1);

	ck_assert_int_eq(pvio_device_command(rig.dev, "link", "up", answer,
					     sizeof(answer)),
			 0);
	rig_send(&rig, 0, frame, 100);
	rig_expect(&rig, 0, frame, 100);
	ck_assert_int_eq(pvio_device_command(rig.dev, "link", "sideways",
					     answer, sizeof(answer)),
			 -EINVAL);
}
END_TEST

START_TEST(announcement_without_the_driver_is_a_rarp_frame)
{
	static const uint8_t mac[6] = { 2, 3, 4, 5, 6, 7 };
	struct virtio_net_hdr_mrg_rxbuf hdr;

	rig_up(&rig, "net0", ECHO, "", &merged);
	pvio_device_model(rig.dev)->announce(rig.dev->model, mac);
	ck_assert_int_eq(guest_net_receive(rig.net, 0, &hdr, other,
					   sizeof(other), RIG_TIMEOUT_MS),
			 60);
	ck_assert_mem_eq(other, "\xff\xff\xff\xff\xff\xff", 6);
	ck_assert_mem_eq(other + 6, mac, 6);
	ck_assert_mem_eq(other + 12, "\x80\x35", 2);
	ck_assert_mem_eq(other + 20, "\0\3", 2);
	ck_assert_mem_eq(other + 22, mac, 6);
	ck_assert_mem_eq(other + 32, mac, 6);
}
END_TEST

/* --- control queue ------------------------------------------------------- */

static const struct guest_net_options controlled = {
	.features = { RIG_ALL_NET, 0 },
	.pairs = 1,
	.queue_size = 256,
	.rx_bytes = 2048,
	.rx_buffers = 256,
};

START_TEST(driver_that_can_announce_is_asked_to)
{
	static const uint8_t mac[6] = { 2, 3, 4, 5, 6, 7 };
	struct virtio_net_config c;

	rig_up(&rig, "net0", ECHO, "", &controlled);
	pvio_device_model(rig.dev)->announce(rig.dev->model, mac);
	rig_step();
	read_config(&c);
	ck_assert_uint_eq(le16toh(c.status),
			  VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	ck_assert_int_eq(guest_net_command(rig.net, VIRTIO_NET_CTRL_ANNOUNCE,
					   VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL,
					   0),
			 VIRTIO_NET_OK);
	rig_step();
	read_config(&c);
	ck_assert_uint_eq(le16toh(c.status), VIRTIO_NET_S_LINK_UP);
	rig_expect_none(&rig, 0);
}
END_TEST

static int command(uint8_t class, uint8_t cmd, const void *data, size_t len)
{
	return guest_net_command(rig.net, class, cmd, data, len);
}

static int rx_mode(uint8_t cmd, uint8_t on)
{
	return command(VIRTIO_NET_CTRL_RX, cmd, &on, 1);
}

static struct rig peer;

/* The guest under test and a peer on one switch; both hear everything. */
static void switch_up(const struct guest_net_options *o)
{
	rig_up(&rig, "net0", "type = \"switch\"; switch = \"lan\";",
	       "mac = \"02:00:00:00:00:aa\";", o);
	rig_up(&peer, "net1", "type = \"switch\"; switch = \"lan\";",
	       "mac = \"02:00:00:00:00:bb\";", &merged);
}

/* Does a frame that the peer sends to @to come through? */
static bool passes(const char *to, const char *tag)
{
	struct virtio_net_hdr_mrg_rxbuf hdr;

	rig_frame(frame, 64, 5);
	memcpy(frame, to, 6);
	if (tag)
		memcpy(frame + 12, tag, 4);
	rig_send(&peer, 0, frame, 64);
	rig_step();
	return guest_net_receive(rig.net, 0, &hdr, other, sizeof(other), 0) ==
	       64;
}

#define OWN   "\x02\0\0\0\0\xaa"
#define ALIEN "\x02\0\0\0\0\xcc"
#define GROUP "\x01\0\x5e\0\0\x05"
#define EVERY "\xff\xff\xff\xff\xff\xff"

START_TEST(receive_modes_filter)
{
	switch_up(&controlled);
	ck_assert(passes(OWN, NULL));
	ck_assert(passes(ALIEN, NULL));
	ck_assert(passes(GROUP, NULL));

	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), 0);
	ck_assert(passes(OWN, NULL));
	ck_assert(passes(EVERY, NULL));
	ck_assert(!passes(ALIEN, NULL));
	ck_assert(!passes(GROUP, NULL));

	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_ALLMULTI, 1), 0);
	ck_assert(passes(GROUP, NULL));
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_NOMULTI, 1), 0);
	ck_assert(!passes(GROUP, NULL));
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_ALLUNI, 1), 0);
	ck_assert(passes(ALIEN, NULL));
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_NOUNI, 1), 0);
	ck_assert(!passes(OWN, NULL));
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_NOBCAST, 1), 0);
	ck_assert(!passes(EVERY, NULL));
	rig_down(&peer);
}
END_TEST

START_TEST(address_tables_and_address_set_filter)
{
	static const uint8_t tables[] = {
		1, 0, 0, 0, 2, 0, 0,    0, 0, 0xcc, /* unicast */
		1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 5,    /* multicast */
	};
	struct virtio_net_config c;

	switch_up(&controlled);
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), 0);
	ck_assert_int_eq(command(VIRTIO_NET_CTRL_MAC,
				 VIRTIO_NET_CTRL_MAC_TABLE_SET, tables,
				 sizeof(tables)),
			 VIRTIO_NET_OK);
	ck_assert(passes(ALIEN, NULL));
	ck_assert(passes(GROUP, NULL));
	ck_assert(!passes("\x02\0\0\0\0\xdd", NULL));

	ck_assert_int_eq(command(VIRTIO_NET_CTRL_MAC,
				 VIRTIO_NET_CTRL_MAC_ADDR_SET,
				 "\x02\0\0\0\0\xdd", 6),
			 VIRTIO_NET_OK);
	ck_assert(passes("\x02\0\0\0\0\xdd", NULL));
	rig_step();
	read_config(&c);
	ck_assert_uint_eq(c.mac[5], 0xdd);
	rig_down(&peer);
}
END_TEST

START_TEST(vlan_filter_passes_what_was_added)
{
	static const uint8_t vid[2] = { 7, 0 };

	switch_up(&controlled);
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), 0);
	ck_assert(passes(OWN, NULL));
	ck_assert(!passes(OWN, "\x81\0\x20\7"));
	ck_assert_int_eq(
		command(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, vid, 2),
		VIRTIO_NET_OK);
	ck_assert(passes(OWN, "\x81\0\x20\7"));
	ck_assert(!passes(OWN, "\x81\0\0\x08"));
	ck_assert_int_eq(
		command(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, vid, 2),
		VIRTIO_NET_OK);
	ck_assert(!passes(OWN, "\x81\0\x20\7"));
	rig_down(&peer);
}
END_TEST

/* --- queue pairs --------------------------------------------------------- */

START_TEST(pairs_beyond_the_first_work_after_the_driver_sets_them)
{
	struct guest_net_options o = controlled;
	uint16_t pairs = htole16(3);

	o.pairs = 3;
	rig_up(&rig, "net0", ECHO, "queues = 4;", &o);
	rig_frame(frame, 300, 1);
	rig_send(&rig, 0, frame, 300);
	rig_expect(&rig, 0, frame, 300);
	/* Off: nothing may be received there (5.1.6.5.5). */
	rig_send(&rig, 2, frame, 300);
	rig_expect_none(&rig, 2);

	ck_assert_int_eq(command(VIRTIO_NET_CTRL_MQ,
				 VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2),
			 VIRTIO_NET_OK);
	rig_send(&rig, 2, frame, 300);
	rig_expect(&rig, 2, frame, 300);

	pairs = htole16(1);
	ck_assert_int_eq(command(VIRTIO_NET_CTRL_MQ,
				 VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2),
			 VIRTIO_NET_OK);
	rig_send(&rig, 2, frame, 300);
	rig_expect_none(&rig, 2);
}
END_TEST

START_TEST(without_multi_queue_the_control_queue_is_the_third)
{
	struct guest_net_options o = controlled;

	o.features[0] &= ~PVIO_BIT(VIRTIO_NET_F_MQ);
	rig_up(&rig, "net0", ECHO, "queues = 4;", &o);
	ck_assert_uint_eq(guest_net_control_queue(rig.net), 2);
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 1), VIRTIO_NET_OK);
}
END_TEST

/* A front-end that keeps the control queue accepts MQ without it. */
START_TEST(without_a_control_queue_every_started_pair_works)
{
	struct guest_net_options o = merged;

	o.features[0] |= PVIO_BIT(VIRTIO_NET_F_MQ);
	o.pairs = 2;
	rig_up(&rig, "net0", ECHO, "queues = 2;", &o);
	rig_frame(frame, 300, 1);
	rig_send(&rig, 1, frame, 300);
	rig_expect(&rig, 1, frame, 300);
}
END_TEST

/* Each pair on a worker of its own: commands reach all of them. */
START_TEST(control_commands_reach_pairs_on_other_workers)
{
	struct pvio_worker *workers[3];
	struct guest_net_options o = controlled;
	uint16_t pairs = htole16(2);
	unsigned int i;

	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(pvio_worker_create("pair", &workers[i]), 0);
		ck_assert_int_eq(pvio_worker_start(workers[i]), 0);
	}
	ck_assert_int_eq(
		rig_create_on(&rig, "net0", ECHO, "queues = 2;", workers, 3),
		0);
	rig_open(&rig);
	o.pairs = 2;
	ck_assert_int_eq(rig_drive(&rig, &o), 0);
	for (i = 0; i < 20; i++) {
		pairs = htole16((uint16_t)(i % 2 + 1));
		ck_assert_int_eq(command(VIRTIO_NET_CTRL_MQ,
					 VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
					 &pairs, 2),
				 VIRTIO_NET_OK);
	}
	rig_frame(frame, 300, 1);
	rig_send(&rig, 1, frame, 300);
	rig_expect(&rig, 1, frame, 300);
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
	rig_down(&rig);
	for (i = 0; i < 3; i++)
		pvio_worker_destroy(workers[i]);
}
END_TEST

/* --- offloads ------------------------------------------------------------ */

START_TEST(open_checksum_reaches_a_guest_that_takes_it_as_it_is)
{
	struct virtio_net_hdr_mrg_rxbuf hdr = {
		.hdr = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			 .csum_start = htole16(34),
			 .csum_offset = htole16(16) },
	};
	uint64_t off = 0;

	rig_up(&rig, "net0", ECHO, "", &controlled);
	rig_frame(frame, 100, 9);
	ck_assert_int_eq(guest_net_send(rig.net, 0, &hdr, frame, 100), 0);
	ck_assert_int_eq(guest_net_receive(rig.net, 0, &hdr, other,
					   sizeof(other), RIG_TIMEOUT_MS),
			 100);
	ck_assert_uint_eq(hdr.hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	ck_assert_uint_eq(le16toh(hdr.hdr.csum_start), 34);
	ck_assert_mem_eq(frame, other, 100);

	/* Switched off, the checksum is completed for it. */
	ck_assert_int_eq(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &off, 8),
			 VIRTIO_NET_OK);
	ck_assert_int_eq(guest_net_send(rig.net, 0, &hdr, frame, 100), 0);
	ck_assert_int_eq(guest_net_receive(rig.net, 0, &hdr, other,
					   sizeof(other), RIG_TIMEOUT_MS),
			 100);
	ck_assert_uint_eq(hdr.hdr.flags, 0);
	ck_assert_mem_ne(frame + 50, other + 50, 2);
	ck_assert_mem_eq(frame, other, 50);
	ck_assert_mem_eq(frame + 52, other + 52, 48);
}
END_TEST

WAY_MAIN("net", rig_setup, teardown,
	   frames_of_every_size_come_back_on_every_ring,
	   frames_keep_their_order, without_merging_a_frame_is_one_buffer,
	   sender_waits_while_the_guest_gives_no_buffers,
	   held_buffers_survive_a_stop_of_the_queue,
	   null_backend_takes_all_and_sends_nothing,
	   config_space_says_what_was_configured,
	   default_address_is_local_stable_and_the_names_own,
	   offloads_can_be_configured_away, wrong_configurations_are_refused,
	   features_that_lack_what_they_need_are_refused,
	   link_down_drops_both_ways_and_tells_the_driver,
	   announcement_without_the_driver_is_a_rarp_frame,
	   driver_that_can_announce_is_asked_to, receive_modes_filter,
	   address_tables_and_address_set_filter,
	   vlan_filter_passes_what_was_added,
	   pairs_beyond_the_first_work_after_the_driver_sets_them,
	   without_multi_queue_the_control_queue_is_the_third,
	   without_a_control_queue_every_started_pair_works,
	   control_commands_reach_pairs_on_other_workers,
	   open_checksum_reaches_a_guest_that_takes_it_as_it_is)
