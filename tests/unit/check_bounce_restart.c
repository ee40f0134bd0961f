/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_bounce_restart.c - a port of a bounce window whose appliance goes, and
 * perhaps comes back
 */
#include "tests/bounce-guest.h"

#include <unistd.h>

/* Each request is answered once, and well; B stays connected. */
START_TEST(appliance_restarts_with_requests_in_flight)
{
	static struct disk_request req[16];
	unsigned int i, done = 0, round;

	disk_up(rings[_i % NR_RINGS], _i >= NR_RINGS, SHARE_BYTES);
	for (i = 0; i < 16; i++)
		disk_make(&rig, &req[i]);
	for (round = 0; round < 3; round++) {
		bounce_rig_freeze(&rig);
		for (i = done = 0; i < 8; i++) {
			fill(req[i].data, 4096, i + round);
			req[i].answers = 0;
			ck_assert_int_eq(disk_submit(&rig, i % 2, &req[i],
						     VIRTIO_BLK_T_OUT, i * 8,
						     4096, 1 + i % 2),
					 0);
		}
		bounce_rig_pass(&rig, 5);
		bounce_rig_vanish(&rig);
		/* And some that nobody has seen. */
		for (i = 8; i < 12; i++) {
			req[i].answers = 0;
			ck_assert_int_eq(disk_submit(&rig, i % 2, &req[i],
						     VIRTIO_BLK_T_FLUSH, 0, 0,
						     1),
					 0);
		}
		bounce_rig_pass(&rig, 5);
		for (i = 0; i < 12; i++)
			ck_assert_uint_eq(req[i].answers, 0);
		bounce_rig_appear(&rig, DISK);
		bounce_rig_until(&rig, (done += disk_reap(&rig, 0) +
						disk_reap(&rig, 1)) == 12);
		for (i = 0; i < 12; i++) {
			ck_assert_uint_eq(req[i].answers, 1);
			ck_assert_uint_eq(*req[i].status, VIRTIO_BLK_S_OK);
		}
		/* What was re-executed is there. */
		for (i = 0; i < 8; i++) {
			memset(req[i].data, 0, 4096);
			ck_assert_uint_eq(disk_do(&rig, 0, &req[i],
						  VIRTIO_BLK_T_IN, i * 8, 4096,
						  1),
					  VIRTIO_BLK_S_OK);
			ck_assert(is_filled(req[i].data, 4096, i + round));
		}
	}
	ck_assert_uint_eq(bounce_rig_port(&rig)->restarts, 3);
	ck_assert(!guest_device_is_broken(rig.gd));
	bounce_rig_fini(&rig);
}
END_TEST

/* Buffers to receive are posted again; what was to be sent is not. */
START_TEST(frames_are_not_sent_twice)
{
	unsigned int i, back = 0, sent = 0;

	net_up(rings[_i], false);
	for (i = 0; i < FRAMES; i++)
		net_add(0, i, 2048);
	bounce_rig_pass(&rig, 5);
	bounce_rig_freeze(&rig);
	for (i = 0; i < 4; i++) {
		memset(tx[i].bytes, 0, 100);
		net_add(1, i, 100);
	}
	bounce_rig_pass(&rig, 5);
	bounce_rig_vanish(&rig);
	bounce_rig_appear(&rig, NET);
	/* Done, but gone. */
	bounce_rig_until(&rig, (sent += net_reap(1, tx, sizeof(tx[0]))) == 4);
	for (i = 4; i < 10; i++) {
		fill(tx[i].bytes, 100, i);
		memset(tx[i].bytes, 0, 12);
		net_add(1, i, 100);
	}
	bounce_rig_until(&rig, (back += net_reap(0, rx, sizeof(rx[0]))) == 6);
	bounce_rig_pass(&rig, 5);
	ck_assert_uint_eq(net_reap(0, rx, sizeof(rx[0])), 0);
	bounce_rig_fini(&rig);
}
END_TEST

/* Nobody comes back: requests fail in time, and B's VMM is let go. */
START_TEST(requests_fail_when_the_appliance_stays_away)
{
	struct disk_request req;

	disk_up(rings[_i], false, SHARE_BYTES);
	rig.broker.timeout_ms = 50;
	disk_make(&rig, &req);
	bounce_rig_freeze(&rig);
	disk_submit(&rig, 0, &req, VIRTIO_BLK_T_IN, 0, 512, 1);
	bounce_rig_pass(&rig, 5);
	bounce_rig_vanish(&rig);
	bounce_rig_until(&rig, !bounce_rig_port(&rig)->dev);
	ck_assert_uint_eq(disk_reap(&rig, 0), 1);
	ck_assert_uint_eq(*req.status, VIRTIO_BLK_S_IOERR);
	bounce_rig_until(&rig, guest_device_is_broken(rig.gd));
	ck_assert_int_ne(access(rig.path, F_OK), 0);
	/* Another time, another appliance. */
	bounce_rig_appear(&rig, DISK);
	bounce_rig_connect(&rig);
	bounce_rig_bring_up(&rig, rings[_i] | DISK_FEATURES, 2, 32);
	ck_assert_uint_eq(disk_do(&rig, 0, &req, VIRTIO_BLK_T_IN, 0, 512, 1),
			  VIRTIO_BLK_S_OK);
	bounce_rig_fini(&rig);
}
END_TEST

START_TEST(another_device_takes_no_requests_over)
{
	struct disk_request req;

	disk_up(rings[_i], false, SHARE_BYTES);
	disk_make(&rig, &req);
	bounce_rig_freeze(&rig);
	disk_submit(&rig, 0, &req, VIRTIO_BLK_T_IN, 0, 512, 1);
	bounce_rig_pass(&rig, 5);
	bounce_rig_vanish(&rig);
	bounce_rig_appear(&rig, "model = \"block\"; queue_size = 64; "
				"backend = { type = \"memory\"; "
				"size = \"1M\"; };");
	bounce_rig_until(&rig, disk_reap(&rig, 0) == 1);
	ck_assert_uint_eq(*req.status, VIRTIO_BLK_S_IOERR);
	bounce_rig_until(&rig, guest_device_is_broken(rig.gd));
	bounce_rig_connect(&rig);
	bounce_rig_bring_up(&rig, rings[_i], 1, 32);
	ck_assert_uint_eq(disk_do(&rig, 0, &req, VIRTIO_BLK_T_IN, 0, 512, 1),
			  VIRTIO_BLK_S_OK);
	bounce_rig_fini(&rig);
}
END_TEST

/* A VMM that comes, and goes, while the appliance is away for a moment. */
START_TEST(front_end_comes_while_the_appliance_is_away)
{
	struct disk_request req;
	unsigned int q;

	disk_up(rings[_i], false, SHARE_BYTES);
	disk_make(&rig, &req);
	bounce_rig_vanish(&rig);
	bounce_rig_connect(&rig);
	ck_assert_int_eq(
		guest_device_negotiate(
			rig.gd, (uint64_t[2]){ rings[_i] | DISK_FEATURES }),
		0);
	for (q = 0; q < 2; q++)
		ck_assert_int_eq(guest_device_setup_queue(rig.gd, q, 16), 0);
	ck_assert_int_eq(guest_device_start(rig.gd), 0);
	disk_submit(&rig, 0, &req, VIRTIO_BLK_T_IN, 0, 512, 1);
	bounce_rig_pass(&rig, 5);
	ck_assert_uint_eq(disk_reap(&rig, 0), 0);
	bounce_rig_appear(&rig, DISK);
	bounce_rig_until(&rig, disk_reap(&rig, 0) == 1);
	ck_assert_uint_eq(*req.status, VIRTIO_BLK_S_OK);
	bounce_rig_fini(&rig);
}
END_TEST

START_TEST(appliance_dies_at_every_message)
{
	struct disk_request req;
	unsigned int i, told, n;

	bounce_rig_init(&rig, "block", false, SHARE_BYTES);
	for (n = 1;; n++) {
		bounce_rig_appear(&rig, DISK);
		if (n == 20) {
			bounce_rig_connect(&rig);
			bounce_rig_bring_up(&rig, DISK_FEATURES, 2, 32);
			disk_make(&rig, &req);
			disk_submit(&rig, 0, &req, VIRTIO_BLK_T_IN, 0, 512, 1);
		}
		memset(rig.told, 0, sizeof(rig.told));
		for (;;) {
			pvio_worker_step(rig.worker);
			for (i = told = 0; i < 64; i++)
				told += rig.told[i];
			if (told >= n || bounce_rig_is_live(&rig, 1))
				break;
			if (n < 20 &&
			    bounce_rig_port(&rig)->phase == BOUNCE_READY)
				break;
		}
		if (n > 60)
			break;
		bounce_rig_vanish(&rig);
	}
	bounce_rig_until(&rig, disk_reap(&rig, 0) == 1);
	ck_assert_uint_eq(*req.status, VIRTIO_BLK_S_OK);
	bounce_rig_fini(&rig);
}
END_TEST

/* X10: what B wrote, and read, is not for the next one. */
START_TEST(share_is_dirty_until_it_is_empty)
{
	const struct broker_port *port;
	const uint8_t *share;
	struct disk_request req;
	uint64_t i, before = 0;

	disk_up(0, false, SHARE_BYTES);
	port = rig.port;
	share = rig.broker.memory.host + port->share_offset;
	disk_make(&rig, &req);
	fill(req.data, 4096, 1);
	ck_assert_uint_eq(disk_do(&rig, 0, &req, VIRTIO_BLK_T_OUT, 0, 4096, 1),
			  VIRTIO_BLK_S_OK);
	for (i = 0; i < port->share_bytes; i++)
		before += share[i] != 0;
	ck_assert_uint_gt(before, 4000);
	ck_assert(!port->ops->is_dirty(port));
	bounce_rig_vanish(&rig);
	/* A worker has it still. */
	ck_assert(port->ops->is_dirty(port));
	bounce_rig_until(&rig, !port->ops->is_dirty(port));
	for (i = 0; i < port->share_bytes; i++)
		ck_assert_uint_eq(share[i], 0);
	bounce_rig_fini(&rig);
}
END_TEST

static Suite *bounce_suite(void)
{
	Suite *suite = suite_create("bounce, restarts");
	TCase *tcase = tcase_create("bounce");

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, appliance_restarts_with_requests_in_flight,
			    0, 2 * NR_RINGS);
	tcase_add_loop_test(tcase, frames_are_not_sent_twice, 0, NR_RINGS);
	tcase_add_loop_test(tcase, requests_fail_when_the_appliance_stays_away,
			    0, NR_RINGS);
	tcase_add_loop_test(tcase, another_device_takes_no_requests_over, 0,
			    NR_RINGS);
	tcase_add_loop_test(tcase, front_end_comes_while_the_appliance_is_away,
			    0, NR_RINGS);
	tcase_add_test(tcase, appliance_dies_at_every_message);
	tcase_add_test(tcase, share_is_dirty_until_it_is_empty);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return check_suite(bounce_suite());
}
