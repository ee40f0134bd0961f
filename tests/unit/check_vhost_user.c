/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vhost_user.c - devices behind vhost-user: life, sockets, queues
 */
#include "tests/vhost-user-disk.h"

#include "guest/device-ops.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

/* --- life ----------------------------------------------------------------- */

START_TEST(device_serves_requests)
{
	struct guest_device *gd;
	int i;

	rig_init(&rig, "model = \"rng\";", "");
	rig_start(&rig);
	gd = rig_open(&rig);
	rig_bring_up(gd, rings[_i], 1, 16);
	for (i = 0; i < 100; i++)
		rig_expect_entropy(&rig, gd);
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

START_TEST(front_ends_come_and_go)
{
	struct guest_device *gd;
	unsigned int fds;
	int i;

	rig_init(&rig, "model = \"rng\";", "");
	rig_start(&rig);
	fds = rig_count_fds();
	for (i = 0; i < 50; i++) {
		guest_alloc_reset(&rig.mem);
		gd = rig_open(&rig);
		rig_bring_up(gd, rings[i % NR_RINGS], 1, 16);
		rig_expect_entropy(&rig, gd);
		if (i % 2)
			guest_device_disconnect(gd);
		guest_device_close(gd);
	}
	rig_expect_fds(&rig, fds);
	rig_fini(&rig);
}
END_TEST

/* A driver's reset, and then another kind of ring on the same connection. */
START_TEST(driver_negotiates_anew)
{
	struct guest_vu_options no_status = { .no_status = true };
	struct guest_device *gd;
	int i;

	rig_init(&rig, "model = \"rng\";", "");
	rig_start(&rig);
	gd = rig_open_with(&rig, _i ? no_status
				    : (struct guest_vu_options){ .fd = -1 });
	for (i = 0; i < 3 * NR_RINGS; i++) {
		rig_bring_up(gd, rings[i % NR_RINGS], 1, 8 << i % 3);
		rig_expect_entropy(&rig, gd);
	}
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

START_TEST(stopped_device_starts_again)
{
	struct guest_device *gd;
	int i;

	rig_init(&rig, "model = \"rng\";", "");
	for (i = 0; i < 3; i++) {
		rig_start(&rig);
		gd = rig_open(&rig);
		rig_bring_up(gd, 0, 1, 16);
		rig_expect_entropy(&rig, gd);
		/* With the front-end connected. */
		pvio_device_stop(rig.dev);
		ck_assert_int_lt(access(rig.path, F_OK), 0);
		guest_device_close(gd);
	}
	rig_fini(&rig);
}
END_TEST

/* The ring goes on where GET_VRING_BASE said that it stands. */
START_TEST(ring_resumes_at_its_base)
{
	struct vu_vring_state state = { .index = 0 };
	struct guest_vu_reply reply;
	struct guest_device *gd;
	struct guest_vu *vu;
	int i, j;

	rig_init(&rig, "model = \"rng\";", "");
	rig_start(&rig);
	gd = rig_open(&rig);
	vu = guest_device_vu(gd);
	rig_bring_up(gd, rings[_i], 1, 8);
	for (i = 1; i < 20; i++) {
		for (j = 0; j < 5; j++)
			rig_expect_entropy(&rig, gd);
		ck_assert_int_eq(guest_vu_ask(vu, VU_GET_VRING_BASE, &state,
					      sizeof(state), &reply),
				 0);
		ck_assert(!pvio_device_vq_is_running(rig.dev, 0));
		if (!(rings[_i] & PVIO_BIT(VIRTIO_F_RING_PACKED)))
			ck_assert_uint_eq(reply.state.num, 5 * (unsigned)i);
		ck_assert_int_eq(guest_vu_tell_state(vu, VU_SET_VRING_BASE, 0,
						     reply.state.num),
				 0);
		ck_assert_int_eq(guest_vu_tell_fd(vu, VU_SET_VRING_KICK, 0,
						  gd->queue[0].kick_fd),
				 0);
	}
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

START_TEST(queues_on_workers_of_their_own_serve)
{
	struct pvio_worker *workers[2];
	struct guest_vu_options options = { .fd = -1 };
	struct disk_buffer *b[4];
	struct guest_device *gd;
	uint64_t gpa[4];
	char config[256];
	unsigned int q;
	int i;

	rig_init(&rig, "model = \"rng\";", "");
	pvio_device_destroy(rig.dev);
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(pvio_worker_create("queue", &workers[i]), 0);
	snprintf(config, sizeof(config),
		 MEMORY_DISK " transport = { type = \"vhost-user\"; "
			     "socket = \"%s\"; };",
		 rig.path);
	ck_assert_int_eq(pvio_device_create("vu0", config, rig.worker, workers,
					    2, &rig.dev),
			 0);
	rig_start(&rig);
	ck_assert_int_eq(pvio_worker_start(workers[0]), 0);
	ck_assert_int_eq(pvio_worker_start(workers[1]), 0);
	ck_assert_int_eq(pvio_worker_start(rig.worker), 0);
	options.in_band = _i;
	ck_assert_int_eq(guest_device_open_vhost_user_with(rig.path, &rig.mem,
							   &options, &gd),
			 0);
	ck_assert_uint_eq(guest_device_nr_queues(gd), 4);
	rig_bring_up(gd, 0, 4, 16);
	for (q = 0; q < 4; q++)
		b[q] = disk_buffer(&gpa[q]);
	for (i = 0; i < 100; i++)
		for (q = 0; q < 4; q++)
			ck_assert_int_eq(disk_request(gd, q, b[q], gpa[q],
						      VIRTIO_BLK_T_IN, 8 * q,
						      4096),
					 VIRTIO_BLK_S_OK);
	guest_device_close(gd);
	pvio_worker_stop(rig.worker);
	pvio_worker_stop(workers[0]);
	pvio_worker_stop(workers[1]);
	pvio_device_destroy(rig.dev);
	rig.dev = NULL;
	pvio_worker_destroy(workers[0]);
	pvio_worker_destroy(workers[1]);
	rig_fini(&rig);
}
END_TEST

START_TEST(in_band_notifications_take_the_place_of_eventfds)
{
	struct guest_vu_options options = { .in_band = true };
	struct guest_device *gd;
	int i;

	rig_init(&rig, "model = \"rng\";", "");
	rig_start(&rig);
	gd = rig_open_with(&rig, options);
	rig_bring_up(gd, rings[_i], 1, 16);
	for (i = 0; i < 100; i++)
		rig_expect_entropy(&rig, gd);
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

/* --- where front-ends come from ------------------------------------------- */

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

static int accept_one(int listen_fd)
{
	uint64_t end = pvio_now_ns() + 10000000000ULL;
	int fd;

	fcntl(listen_fd, F_SETFL, O_NONBLOCK);
	while ((fd = accept4(listen_fd, NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0) {
		ck_assert(pvio_now_ns() < end);
		pvio_worker_step(rig.worker);
	}
	return fd;
}

START_TEST(client_connects_and_reconnects)
{
	struct guest_vu_options options = { .step = NULL };
	struct guest_device *gd;
	int listen_fd, i;

	rig_init(&rig, "model = \"rng\";",
		 "mode = \"client\"; reconnect_ms = 5;");
	rig_start(&rig);
	/* Nobody there yet. */
	rig_settle(&rig);
	listen_fd = listen_at(rig.path);
	for (i = 0; i < 3; i++) {
		guest_alloc_reset(&rig.mem);
		options.step = rig.worker;
		options.fd = accept_one(listen_fd);
		ck_assert_int_eq(guest_device_open_vhost_user_with(
					 NULL, &rig.mem, &options, &gd),
				 0);
		rig_bring_up(gd, 0, 1, 16);
		rig_expect_entropy(&rig, gd);
		guest_device_close(gd);
	}
	close(listen_fd);
	rig_settle(&rig);
	unlink(rig.path);
	rig_fini(&rig);
}
END_TEST

START_TEST(inherited_socket_is_served)
{
	struct guest_vu_options options = { .fd = -1 };
	struct guest_device *gd;
	char transport[64];
	int pair[2];

	rig_init(&rig, "model = \"rng\";", "");
	pvio_device_destroy(rig.dev);
	if (_i == 0) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		fcntl(pair[1], F_SETFL, O_NONBLOCK);
		options.fd = pair[1];
	} else {
		pair[0] = listen_at(rig.path);
	}
	snprintf(transport, sizeof(transport),
		 "type = \"vhost-user\"; fd = %d;", pair[0]);
	rig_device(&rig, "model = \"rng\";", transport);
	rig_start(&rig);
	options.step = rig.worker;
	ck_assert_int_eq(guest_device_open_vhost_user_with(
				 _i ? rig.path : NULL, &rig.mem, &options, &gd),
			 0);
	rig_bring_up(gd, 0, 1, 16);
	rig_expect_entropy(&rig, gd);
	guest_device_close(gd);
	unlink(rig.path);
	rig_fini(&rig);
}
END_TEST

START_TEST(impossible_sockets_are_refused)
{
	char config[512], path[160];
	struct pvio_device *dev;
	int fd;

	rig_init(&rig, "model = \"rng\";", "");
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[108] = '\0';
	snprintf(config, sizeof(config),
		 "model = \"rng\"; transport = { type = \"vhost-user\"; "
		 "socket = \"%s\"; };",
		 path);
	ck_assert_int_eq(pvio_device_create("v", config, rig.worker,
					    &rig.worker, 1, &dev),
			 -EINVAL);
	fd = open("/dev/null", O_RDWR);
	snprintf(config, sizeof(config),
		 "model = \"rng\"; transport = { type = \"vhost-user\"; "
		 "fd = %d; };",
		 fd);
	ck_assert_int_eq(pvio_device_create("v", config, rig.worker,
					    &rig.worker, 1, &dev),
			 -EINVAL);
	close(fd);
	/* Somebody listens there: he keeps it. */
	fd = listen_at(rig.path);
	ck_assert_int_eq(pvio_device_start(rig.dev), -EADDRINUSE);
	ck_assert_int_eq(access(rig.path, F_OK), 0);
	/* Nobody does any more: the file is stale. */
	close(fd);
	ck_assert_int_eq(pvio_device_start(rig.dev), 0);
	rig_fini(&rig);
}
END_TEST

/* --- back-ends that misbehave (U44, U45) ---------------------------------- */

START_TEST(front_end_refuses_answers_that_are_none)
{
	static const struct {
		struct vu_header header;
		uint64_t value;
		size_t bytes;
	} bad[] = {
		{ { VU_GET_FEATURES, VU_VERSION, 8 }, 0, 20 },
		{ { VU_GET_CONFIG, VU_VERSION | VU_REPLY, 8 }, 0, 20 },
		{ { VU_GET_FEATURES, VU_VERSION | VU_REPLY, 0 }, 0, 12 },
		{ { VU_GET_FEATURES, VU_VERSION | VU_REPLY, 0xffffffff },
		  0,
		  20 },
		{ { VU_GET_FEATURES, VU_VERSION | VU_REPLY, 8 }, 0, 15 },
		{ { 0, 0, 0 }, 0, 0 },
	};
	struct guest_vu_options options = { .fd = -1 };
	struct guest_device *gd = NULL;
	struct guest_memory mem;
	char bytes[20];
	int pair[2], rc;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	fcntl(pair[1], F_SETFL, O_NONBLOCK);
	memcpy(bytes, &bad[_i].header, 12);
	memcpy(bytes + 12, &bad[_i].value, 8);
	ck_assert_int_eq(write(pair[0], bytes, bad[_i].bytes),
			 (ssize_t)bad[_i].bytes);
	shutdown(pair[0], SHUT_WR);
	guest_memory_init(&mem);
	options.fd = pair[1];
	rc = guest_device_open_vhost_user_with(NULL, &mem, &options, &gd);
	ck_assert(rc == -EPROTO || rc == -EPIPE);
	ck_assert_ptr_null(gd);
	close(pair[0]);
	guest_memory_fini(&mem);
}
END_TEST

/* --- configuration, queues ------------------------------------------------ */

START_TEST(change_of_configuration_is_told)
{
	struct guest_device *gd;
	uint64_t capacity;
	char answer[64];

	rig_init(&rig,
		 "model = \"block\"; backend = { type = \"memory\"; "
		 "size = \"1M\"; };",
		 "");
	rig_start(&rig);
	gd = rig_open(&rig);
	rig_bring_up(gd, 0, 1, 16);
	ck_assert_uint_eq(guest_device_config_changes(gd), 0);
	ck_assert_int_eq(pvio_device_command(rig.dev, "resize", "512K", answer,
					     sizeof(answer)),
			 0);
	rig_settle(&rig);
	ck_assert_uint_eq(guest_device_config_changes(gd), 1);
	ck_assert_int_eq(guest_device_read_config(gd, 0, &capacity, 8), 0);
	ck_assert_uint_eq(le64toh(capacity), 1024);
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

/* GET_QUEUE_NUM of a network card counts pairs, without the control queue. */
START_TEST(queue_pairs_are_counted_as_the_front_end_does)
{
	struct guest_device *gd;

	rig_init(&rig,
		 "model = \"net\"; queues = 3; backend = { type = \"null\"; };",
		 "");
	rig_start(&rig);
	gd = rig_open(&rig);
	ck_assert_uint_eq(guest_device_nr_queues(gd), 3);
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

/* A card announces a guest that moved here, and takes an MTU. */
START_TEST(network_messages_reach_the_card)
{
	const uint64_t mac = 0x563412005452;
	struct guest_device *gd;
	struct guest_vu *vu;
	uint64_t offered;

	rig_init(&rig,
		 "model = \"net\"; mtu = 1500; backend = { type = \"null\"; };",
		 "");
	rig_start(&rig);
	gd = rig_open(&rig);
	vu = guest_device_vu(gd);
	ck_assert_int_eq(
		guest_vu_ask_u64(vu, VU_GET_PROTOCOL_FEATURES, &offered), 0);
	ck_assert(offered & PVIO_BIT(VU_PROTOCOL_RARP));
	ck_assert(offered & PVIO_BIT(VU_PROTOCOL_NET_MTU));
	ck_assert_int_eq(guest_vu_tell_u64(vu, VU_SEND_RARP, mac), -EREMOTEIO);
	ck_assert_int_eq(
		guest_vu_tell_u64(vu, VU_SET_PROTOCOL_FEATURES, offered), 0);
	ck_assert_int_eq(guest_vu_tell_u64(vu, VU_SEND_RARP, mac), 0);
	ck_assert_int_eq(guest_vu_tell_u64(vu, VU_NET_SET_MTU, 1400), 0);
	ck_assert_int_eq(guest_vu_tell_u64(vu, VU_NET_SET_MTU, 1), -EREMOTEIO);
	ck_assert_int_eq(guest_vu_tell_u64(vu, VU_NET_SET_MTU, 0x10000),
			 -EREMOTEIO);
	/* What needs GUEST_CSUM without it (virtio 1.4, 5.1.3.1). */
	ck_assert_int_eq(
		guest_vu_tell_u64(vu, VU_SET_FEATURES,
				  PVIO_BIT(VIRTIO_F_VERSION_1) |
					  PVIO_BIT(VU_F_PROTOCOL_FEATURES) |
					  PVIO_BIT(VIRTIO_NET_F_GUEST_TSO4)),
		-EREMOTEIO);
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

/* The device breaks: the driver's VMM hears of it, by eventfd or in band. */
START_TEST(broken_device_is_told)
{
	struct guest_vu_options options = { .in_band = _i };
	struct guest_device *gd;
	struct guest_ring *ring;
	struct vring_avail *avail;

	rig_init(&rig, "model = \"rng\";", "");
	rig_start(&rig);
	gd = rig_open_with(&rig, options);
	rig_bring_up(gd, 0, 1, 16);
	rig_expect_entropy(&rig, gd);
	ring = guest_device_ring(gd, 0);
	avail = guest_ring_raw_driver(ring);
	avail->idx = htole16(le16toh(avail->idx) + 1000);
	guest_device_kick(gd, 0);
	ck_assert_int_eq(guest_device_wait(gd, 0, 5000), -EPIPE);
	ck_assert(guest_device_is_broken(gd));
	ck_assert_uint_gt(guest_device_config_changes(gd), 0);
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost_user");
	TCase *tcase = tcase_create("vhost_user");

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, device_serves_requests, 0, NR_RINGS);
	tcase_add_test(tcase, front_ends_come_and_go);
	tcase_add_loop_test(tcase, driver_negotiates_anew, 0, 2);
	tcase_add_test(tcase, stopped_device_starts_again);
	tcase_add_loop_test(tcase, ring_resumes_at_its_base, 0, NR_RINGS);
	tcase_add_loop_test(tcase, queues_on_workers_of_their_own_serve, 0, 2);
	tcase_add_loop_test(tcase,
			    in_band_notifications_take_the_place_of_eventfds, 0,
			    NR_RINGS);
	tcase_add_test(tcase, client_connects_and_reconnects);
	tcase_add_loop_test(tcase, inherited_socket_is_served, 0, 2);
	tcase_add_test(tcase, impossible_sockets_are_refused);
	tcase_add_loop_test(tcase, front_end_refuses_answers_that_are_none, 0,
			    6);
	tcase_add_test(tcase, change_of_configuration_is_told);
	tcase_add_test(tcase, queue_pairs_are_counted_as_the_front_end_does);
	tcase_add_test(tcase, network_messages_reach_the_card);
	tcase_add_loop_test(tcase, broken_device_is_told, 0, 2);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
