/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_bounce_reset.c - a port of a bounce window whose driver starts over, or
 * its VMM, whatever is under way
 */
#include "guest/device-ops.h"
#include "tests/bounce-guest.h"

START_TEST(driver_starts_over)
{
	struct disk_request req;
	int i;

	disk_up(rings[0], _i, SHARE_BYTES);
	disk_make(&rig, &req);
	for (i = 0; i < 2 * NR_RINGS; i++) {
		uint64_t ring = rings[i % NR_RINGS];
		uint16_t size = (uint16_t)(16 << i % 3);

		/* Packed, it may be of any size (virtio 1.4, 2.8.10.1). */
		if (ring >> VIRTIO_F_RING_PACKED & 1)
			size = (uint16_t)(size - 3);
		bounce_rig_bring_up(&rig, ring | DISK_FEATURES, 2, size);
		fill(req.data, 8192, (unsigned)i);
		ck_assert_uint_eq(disk_do(&rig, i % 2, &req, VIRTIO_BLK_T_OUT,
					  8, 8192, 3),
				  VIRTIO_BLK_S_OK);
	}
	ck_assert_uint_ge(rig.told[VU_RESET_DEVICE], 2 * NR_RINGS - 1);
	bounce_rig_fini(&rig);
}
END_TEST

/* Requests that the appliance sits on, and its answer to a reset. */
START_TEST(reset_in_mid_flight)
{
	static struct disk_request req[8];
	unsigned int i;

	disk_up(rings[_i], false, SHARE_BYTES);
	bounce_rig_freeze(&rig);
	for (i = 0; i < 8; i++) {
		disk_make(&rig, &req[i]);
		disk_submit(&rig, 0, &req[i], VIRTIO_BLK_T_IN, i, 512, 1);
	}
	bounce_rig_pass(&rig, 5);
	bounce_rig_bring_up(&rig, rings[_i] | DISK_FEATURES, 2, 32);
	for (i = 0; i < 8; i++)
		ck_assert_uint_eq(req[i].answers, 0);
	bounce_rig_thaw(&rig);
	ck_assert_uint_eq(disk_do(&rig, 0, &req[0], VIRTIO_BLK_T_IN, 0, 512, 1),
			  VIRTIO_BLK_S_OK);
	bounce_rig_fini(&rig);
}
END_TEST

/* Rings stop before the appliance has heard of them, or just when it does. */
START_TEST(rings_start_and_stop_at_once)
{
	struct guest_vu *vu;
	struct disk_request req;
	unsigned int i;

	disk_up(rings[0], _i, SHARE_BYTES);
	vu = guest_device_vu(rig.gd);
	disk_make(&rig, &req);
	for (i = 0; i < 200; i++) {
		struct vu_vring_state state = { .index = i % 2 };
		struct guest_vu_reply reply;
		unsigned int j;

		ck_assert_int_eq(guest_vu_ask(vu, VU_GET_VRING_BASE, &state,
					      sizeof(state), &reply),
				 0);
		ck_assert_int_eq(guest_vu_tell_fd(vu, VU_SET_VRING_KICK, i % 2,
						  rig.gd->queue[i % 2].kick_fd),
				 0);
		for (j = 0; j < i % 7; j++)
			pvio_worker_step(rig.worker);
		if (i % 5 == 0)
			ck_assert_uint_eq(disk_do(&rig, i % 2, &req,
						  VIRTIO_BLK_T_IN, 0, 512, 1),
					  VIRTIO_BLK_S_OK);
	}
	ck_assert_uint_eq(rig.distrusted, 0);
	bounce_rig_fini(&rig);
}
END_TEST

START_TEST(front_ends_come_and_go)
{
	struct disk_request req;
	int i;

	disk_up(rings[0], _i, SHARE_BYTES);
	for (i = 0; i < 20; i++) {
		disk_make(&rig, &req);
		disk_submit(&rig, 0, &req, VIRTIO_BLK_T_IN, 0, 512, 1);
		if (i % 2)
			guest_device_disconnect(rig.gd);
		bounce_rig_connect(&rig);
		bounce_rig_bring_up(&rig, rings[i % NR_RINGS] | DISK_FEATURES,
				    2, 32);
		ck_assert_uint_eq(
			disk_do(&rig, 1, &req, VIRTIO_BLK_T_IN, 0, 512, 1),
			VIRTIO_BLK_S_OK);
		guest_alloc_reset(&rig.mem);
	}
	ck_assert_uint_eq(rig.port->sessions, 1);
	bounce_rig_fini(&rig);
}
END_TEST

/* --- while the appliance is asked ------------------------------------------ */

/* The first of these is kept: its answer is under way for as long as we like. */
static uint32_t keep;
static bool is_kept;
static struct vu_config asked;

static bool keep_one(struct bounce_rig *r, const struct vu_header *header,
		     const uint8_t *payload)
{
	if (header->request != keep || is_kept)
		return false;
	is_kept = true;
	if (keep == VU_GET_CONFIG) {
		memcpy(&asked, payload, header->size);
		pvio_device_read_config(r->dev, 0, asked.data, asked.size);
	}
	return true;
}

static void answer_kept(void)
{
	const struct vu_vring_state state = { .index = 0 };
	const uint64_t ok = 0;

	ck_assert(is_kept);
	if (keep == VU_GET_CONFIG)
		bounce_rig_answer(&rig, WINDOW_MESSAGE, keep, VU_REPLY, &asked,
				  VU_CONFIG_HEADER_BYTES + asked.size);
	else if (keep == VU_GET_VRING_BASE)
		bounce_rig_answer(&rig, WINDOW_MESSAGE, keep, VU_REPLY, &state,
				  sizeof(state));
	else
		bounce_rig_answer(&rig, WINDOW_MESSAGE, keep, VU_REPLY, &ok,
				  sizeof(ok));
}

/* All that B does of it; nothing of it waits for the appliance. */
static void start_over(uint64_t features)
{
	unsigned int q;

	ck_assert_int_eq(
		guest_device_negotiate(rig.gd, (uint64_t[2]){ features }), 0);
	for (q = 0; q < 2; q++)
		ck_assert_int_eq(guest_device_setup_queue(rig.gd, q, 32), 0);
	ck_assert_int_eq(guest_device_start(rig.gd), 0);
	bounce_rig_pass(&rig, 5);
}

static void keep_from_here(uint32_t request)
{
	memset(rig.told, 0, sizeof(rig.told));
	keep = request;
	is_kept = false;
	rig.intercept = keep_one;
}

static void expect_served(void)
{
	struct disk_request req;
	unsigned int q;

	disk_make(&rig, &req);
	for (q = 0; q < 2; q++)
		ck_assert_uint_eq(
			disk_do(&rig, q, &req, VIRTIO_BLK_T_IN, 0, 512, 1),
			VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(rig.distrusted, 0);
	ck_assert(!guest_device_is_broken(rig.gd));
}

/* The reset that is owed then is told before the new rings are. */
START_TEST(reset_while_a_ring_is_returned)
{
	disk_up(rings[_i % NR_RINGS], _i >= NR_RINGS, SHARE_BYTES);
	keep_from_here(VU_GET_VRING_BASE);
	start_over(rings[_i % NR_RINGS] | DISK_FEATURES);
	answer_kept();
	expect_served();
	ck_assert_uint_eq(rig.told[VU_RESET_DEVICE], 1);
	bounce_rig_fini(&rig);
}
END_TEST

START_TEST(reset_while_configuration_is_asked_for)
{
	disk_up(rings[_i % NR_RINGS], _i >= NR_RINGS, SHARE_BYTES);
	/* What the reset before had it ask for is there. */
	bounce_rig_pass(&rig, 5);
	keep_from_here(VU_GET_CONFIG);
	bounce_rig_answer(&rig, WINDOW_BACKEND_MESSAGE,
			  VU_BACKEND_CONFIG_CHANGE, 0, NULL, 0);
	bounce_rig_until(&rig, is_kept);
	start_over(rings[_i % NR_RINGS] | DISK_FEATURES);
	ck_assert_uint_eq(rig.told[VU_GET_VRING_BASE], 0);
	answer_kept();
	expect_served();
	ck_assert_uint_eq(rig.told[VU_RESET_DEVICE], 1);
	bounce_rig_fini(&rig);
}
END_TEST

/* Another driver's features are not left to the next one. */
START_TEST(reset_while_features_are_told)
{
	disk_up(rings[_i % NR_RINGS], _i >= NR_RINGS, SHARE_BYTES);
	keep_from_here(VU_SET_FEATURES);
	start_over(rings[_i % NR_RINGS] | DISK_FEATURES);
	bounce_rig_until(&rig, is_kept);
	start_over(rings[_i % NR_RINGS] | PVIO_BIT(VIRTIO_BLK_F_FLUSH));
	answer_kept();
	expect_served();
	ck_assert_uint_eq(rig.features & DISK_FEATURES,
			  PVIO_BIT(VIRTIO_BLK_F_FLUSH));
	ck_assert_uint_eq(rig.told[VU_RESET_DEVICE], 2);
	bounce_rig_fini(&rig);
}
END_TEST

static Suite *bounce_suite(void)
{
	Suite *suite = suite_create("bounce, resets");
	TCase *tcase = tcase_create("bounce");

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, driver_starts_over, 0, 2);
	tcase_add_loop_test(tcase, reset_in_mid_flight, 0, NR_RINGS);
	tcase_add_loop_test(tcase, rings_start_and_stop_at_once, 0, 2);
	tcase_add_loop_test(tcase, front_ends_come_and_go, 0, 2);
	tcase_add_loop_test(tcase, reset_while_a_ring_is_returned, 0,
			    2 * NR_RINGS);
	tcase_add_loop_test(tcase, reset_while_configuration_is_asked_for, 0,
			    2 * NR_RINGS);
	tcase_add_loop_test(tcase, reset_while_features_are_told, 0,
			    2 * NR_RINGS);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return check_suite(bounce_suite());
}
