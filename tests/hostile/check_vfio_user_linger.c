/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vfio_user_linger.c - a vfio-user client that sends descriptors which
 * do not close
 */
#include "tests/hostile/linger.h"
#include "tests/hostile/vfio-user-hostile.h"

/* F19: EINVAL, and the next command is served, as is everybody else. */
START_TEST(refused_descriptor_that_lingers_holds_up_nobody)
{
	struct vfu_header h = header(VFU_DEVICE_RESET, 0, sizeof(h));
	struct linger_socket l = linger_open();
	struct guest_vfu_reply reply;

	if (_i == 1)
		linger_nest(&l);
	hostile_connect();
	linger_send(&l, vfu.fd, &h, sizeof(h), 0);
	expect_ok(guest_vfu_receive(&vfu, &reply, 5000));
	ck_assert_uint_eq(reply.header.error, EINVAL);
	expect_alive();
	rig_expect_entropy(&next_door, next_door_gd);
	linger_expect_waiting();
	linger_end(&l);
	linger_expect_closed();
}
END_TEST

/* F19: CLOSE, with more behind it that is never read. */
START_TEST(unread_descriptor_that_lingers_holds_up_nobody)
{
	struct vfu_header bad = header(VFU_DEVICE_RESET, VFU_TYPE_REPLY,
				       sizeof(bad));
	struct linger_socket l = linger_open();

	hostile_connect();
	expect_ok(guest_vfu_send_bytes(&vfu, &bad, sizeof(bad), NULL, 0));
	linger_send(&l, vfu.fd, &bad, sizeof(bad), _i ? MSG_OOB : 0);
	expect_closed();
	rig_expect_entropy(&next_door, next_door_gd);
	hostile_hang_up();
	hostile_connect();
	expect_alive();
	linger_end(&l);
}
END_TEST

int main(void)
{
	const struct hostile_test tests[] = {
		{ refused_descriptor_that_lingers_holds_up_nobody, 2 },
		{ unread_descriptor_that_lingers_holds_up_nobody, 2 },
	};
	int skip = linger_skip();

	if (skip)
		return skip;
	return hostile_main("vfio_user_linger", setup, teardown, tests,
			    pvio_array_size(tests));
}
