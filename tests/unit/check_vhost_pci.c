/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vhost_pci.c - devices in a window: life, sessions, memory, who shares it
 */
#include "tests/vhost-pci-rig.h"
#include "tests/kill-disk.h"

#include "core/eventfd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

static struct window_port *port_of(unsigned int i)
{
	return host.port[i].shared;
}

/* --- life ----------------------------------------------------------------- */

START_TEST(device_serves_requests)
{
	struct guest_device *gd;
	int i;

	rig_init_window("model = \"rng\";");
	rig_start(&rig);
	gd = rig_open_port(0);
	rig_bring_up(gd, rings[_i], 1, 16);
	for (i = 0; i < 100; i++)
		rig_expect_entropy(&rig, gd);
	ck_assert_uint_gt(guest_device_interrupts(gd, 0), 0);
	guest_device_close(gd);
	rig_fini_window();
}
END_TEST

START_TEST(front_ends_come_and_go)
{
	struct guest_device *gd;
	unsigned int fds = 0, maps = 0;
	int i;

	rig_init_window("model = \"rng\";");
	rig_start(&rig);
	for (i = 0; i < 20; i++) {
		guest_alloc_reset(&rig.mem);
		gd = rig_open_port(0);
		rig_bring_up(gd, rings[i % NR_RINGS], 1, 16);
		rig_expect_entropy(&rig, gd);
		if (i % 2)
			guest_device_disconnect(gd);
		guest_device_close(gd);
		rig_await(rig_read(&port_of(0)->served) == 0);
		rig_settle(&rig);
		if (i == 0)
			maps = rig_count_maps();
		/* One more for each ring's vector, which nothing takes back. */
		if (i == 0)
			fds = rig_count_fds();
	}
	ck_assert_uint_eq(rig_count_fds(), fds + 19);
	ck_assert_uint_eq(rig_count_maps(), maps);
	rig_fini_window();
}
END_TEST

START_TEST(driver_negotiates_anew)
{
	struct guest_device *gd;
	int i;

	rig_init_window("model = \"rng\";");
	rig_start(&rig);
	gd = rig_open_port(0);
	for (i = 0; i < 2 * NR_RINGS; i++) {
		rig_bring_up(gd, rings[i % NR_RINGS], 1, 8 << i % 3);
		rig_expect_entropy(&rig, gd);
	}
	guest_device_close(gd);
	rig_fini_window();
}
END_TEST

START_TEST(facts_are_there_while_it_is_open)
{
	struct window_port *p;

	rig_init_window("model = \"block\"; queues = 3; queue_size = 64; "
			"backend = { type = \"memory\"; size = \"1M\"; };");
	p = port_of(0);
	rig_start(&rig);
	rig_await(rig_read(&p->is_open) == 1);
	ck_assert_uint_eq(rig_read(&p->device_id), 2);
	ck_assert_uint_eq(rig_read(&p->nr_queues), 3);
	ck_assert_uint_eq(rig_read(&p->queue_size), 64);
	ck_assert_uint_eq(rig_read(&p->queues_per_unit), 1);
	ck_assert_uint_ne(rig_read(&host.header->guest_epoch), 0);
	pvio_device_stop(rig.dev);
	ck_assert_uint_eq(rig_read(&p->is_open), 0);
	ck_assert_uint_eq(rig_read(&host.header->guest_epoch), 0);
	rig_fini_window();
}
END_TEST

START_TEST(beat_goes_on)
{
	rig_init_window("model = \"rng\";");
	rig_start(&rig);
	rig_await(rig_read(&host.header->guest_beat) >= 2);
	rig_fini_window();
}
END_TEST

START_TEST(stopped_device_starts_again)
{
	struct guest_device *gd;
	int i;

	rig_init_window("model = \"rng\";");
	for (i = 0; i < 4; i++) {
		rig_start(&rig);
		guest_alloc_reset(&rig.mem);
		gd = rig_open_port(0);
		rig_bring_up(gd, 0, 1, 16);
		rig_expect_entropy(&rig, gd);
		/* With the front-end connected, or not. */
		if (i % 2)
			guest_device_close(gd);
		pvio_device_stop(rig.dev);
		if (i % 2 == 0)
			guest_device_close(gd);
	}
	rig_fini_window();
}
END_TEST

START_TEST(queues_on_workers_of_their_own_serve)
{
	struct pvio_worker *workers[2];
	struct disk_buffer *b[4];
	struct guest_device *gd;
	uint64_t gpa[4];
	char config[256];
	unsigned int q;
	int i;

	rig_init_window(NULL);
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(pvio_worker_create("queue", &workers[i]), 0);
	snprintf(config, sizeof(config),
		 MEMORY_DISK " transport = { type = \"vhost-pci\"; "
			     "socket = \"%s\"; };",
		 host.path);
	ck_assert_int_eq(pvio_device_create("vp0", config, rig.worker, workers,
					    2, &rig.dev),
			 0);
	rig_start(&rig);
	ck_assert_int_eq(pvio_worker_start(workers[0]), 0);
	ck_assert_int_eq(pvio_worker_start(workers[1]), 0);
	gd = rig_open_port(0);
	ck_assert_uint_eq(guest_device_nr_queues(gd), 4);
	rig_bring_up(gd, 0, 4, 16);
	for (q = 0; q < 4; q++)
		b[q] = disk_buffer(&gpa[q]);
	for (i = 0; i < 100; i++) {
		/* Peers come and go while others are rung. */
		host_give_peer(&host, HOST_PEER(1, 0),
			       i % 2 ? host.control_fd : -1);
		for (q = 0; q < 4; q++)
			ck_assert_int_eq(disk_request(gd, q, b[q], gpa[q],
						      VIRTIO_BLK_T_IN, 8 * q,
						      4096),
					 VIRTIO_BLK_S_OK);
	}
	guest_device_close(gd);
	pvio_device_stop(rig.dev);
	pvio_worker_stop(workers[0]);
	pvio_worker_stop(workers[1]);
	pvio_device_destroy(rig.dev);
	rig.dev = NULL;
	pvio_worker_destroy(workers[0]);
	pvio_worker_destroy(workers[1]);
	rig_fini_window();
}
END_TEST

/* --- either side begins anew ---------------------------------------------- */

static void expect_served(unsigned int port)
{
	struct guest_device *gd;

	guest_alloc_reset(&rig.mem);
	gd = rig_open_port(port);
	rig_bring_up(gd, 0, 1, 16);
	rig_expect_entropy(&rig, gd);
	guest_device_close(gd);
}

START_TEST(host_that_begins_anew_is_served_anew)
{
	struct guest_device *gd;
	uint32_t epoch;
	int i;

	rig_init_window("model = \"rng\";");
	rig_start(&rig);
	for (i = 0; i < 3; i++) {
		guest_alloc_reset(&rig.mem);
		gd = rig_open_port(0);
		rig_bring_up(gd, 0, 1, 16);
		rig_expect_entropy(&rig, gd);
		epoch = rig_read(&host.header->guest_epoch);
		host_begin_anew(&host);
		rig_await(rig_read(&host.header->guest_epoch) != 0 &&
			  rig_read(&port_of(0)->is_open));
		ck_assert_uint_ne(rig_read(&host.header->guest_epoch), epoch);
		guest_device_close(gd);
	}
	expect_served(0);
	rig_fini_window();
}
END_TEST

START_TEST(server_that_comes_back_is_found)
{
	struct guest_device *gd;
	int i;

	rig_init_window("model = \"rng\";");
	rig_start(&rig);
	for (i = 0; i < 2; i++) {
		guest_alloc_reset(&rig.mem);
		gd = rig_open_port(0);
		rig_bring_up(gd, 0, 1, 16);
		rig_expect_entropy(&rig, gd);
		host_server_restarts(&host);
		guest_device_close(gd);
		guest_memory_fini(&rig.mem);
		host_add_memory(&host, &rig.mem);
	}
	rig_await(rig_read(&port_of(0)->is_open));
	expect_served(0);
	rig_fini_window();
}
END_TEST

/* A header whose magic is not there yet is nobody's. */
START_TEST(host_that_comes_later_is_waited_for)
{
	rig_init_window("model = \"rng\";");
	host.header->magic = 0;
	rig_start(&rig);
	rig_settle(&rig);
	ck_assert_uint_eq(rig_read(&host.header->guest_epoch), 0);
	ck_assert_uint_eq(rig_read(&port_of(0)->is_open), 0);
	host_begin_anew(&host);
	expect_served(0);
	rig_fini_window();
}
END_TEST

/* What an appliance that was killed has left is no port of ours. */
START_TEST(port_opens_when_the_host_has_let_go)
{
	struct window_port *p;

	rig_init_window("model = \"rng\";");
	p = port_of(0);
	host.is_raw = true;
	p->session = htole32(7);
	p->served = htole32(7);
	p->is_open = htole32(1);
	port_of(1)->is_open = htole32(1);
	host.header->guest_epoch = htole32(4711);
	rig_start(&rig);
	rig_await(rig_read(&host.header->guest_epoch) != 4711);
	rig_settle(&rig);
	ck_assert_uint_eq(rig_read(&p->is_open), 0);
	ck_assert_uint_eq(rig_read(&p->served), 0);
	ck_assert_uint_eq(rig_read(&port_of(1)->is_open), 0);
	p->session = 0;
	host_interrupt(&host);
	rig_await(rig_read(&p->is_open) == 1);
	host.is_raw = false;
	host_interrupt(&host);
	expect_served(0);
	rig_fini_window();
}
END_TEST

/* The one before is ended, and drained, before the next is served. */
START_TEST(session_follows_session_without_a_pause)
{
	struct window_port *p;

	rig_init_window("model = \"rng\";");
	p = port_of(0);
	host.is_raw = true;
	rig_start(&rig);
	rig_await(rig_read(&p->is_open) == 1);
	p->session = htole32(3);
	host_interrupt(&host);
	rig_await(rig_read(&p->served) == 3);
	p->session = htole32(4);
	host_interrupt(&host);
	rig_await(rig_read(&p->served) == 4);
	ck_assert_uint_eq(rig_read(&p->is_open), 1);
	p->session = 0;
	host_interrupt(&host);
	rig_await(rig_read(&p->served) == 0);
	ck_assert_uint_eq(rig_read(&p->is_open), 1);
	rig_fini_window();
}
END_TEST

/* Nothing depends on interrupts: every second is a look. */
START_TEST(lost_interrupt_is_made_up_for)
{
	struct window_port *p;

	rig_init_window("model = \"rng\";");
	p = port_of(0);
	host.is_raw = true;
	rig_start(&rig);
	rig_await(rig_read(&p->is_open) == 1);
	rig_settle(&rig);
	p->session = htole32(3);
	rig_await(rig_read(&p->served) == 3);
	rig_fini_window();
}
END_TEST

/* Its device is held up once, and not each time. */
START_TEST(peer_whose_eventfd_blocks_is_given_up)
{
	const uint64_t most = UINT64_MAX - 1;
	struct guest_segment seg = { .len = 16 };
	struct guest_device *gd;
	struct guest_ring *ring;
	uint64_t count;
	uint32_t len;
	int fd, i, rc;

	/* One watch a process: without fork the tests share it. */
	rc = pvio_eventfd_watch(SIGURG);
	ck_assert(rc == 0 || rc == -EBUSY);
	rig_init_window("model = \"rng\";");
	rig_start(&rig);
	gd = rig_open_port(0);
	rig_bring_up(gd, 0, 1, 16);
	ck_assert_ptr_nonnull(guest_alloc(&rig.mem, 16, 8, &seg.gpa));
	ring = guest_device_ring(gd, 0);
	fd = guest_device_notify_fd(gd, 0);
	for (i = 0; i < 2; i++) {
		if (read(fd, &count, 8) < 0)
			ck_assert_int_eq(errno, EAGAIN);
		if (i == 0) {
			ck_assert_int_eq(write(fd, &most, 8), 8);
			ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
		}
		ck_assert_int_eq(guest_ring_add(ring, &seg, 0, 1, &seg), 0);
		guest_ring_publish(ring);
		guest_device_kick(gd, 0);
		rig_await(guest_ring_has_used(ring));
		rig_settle(&rig);
		ck_assert_ptr_nonnull(guest_ring_reap(ring, &len));
		ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	}
	/* It does not block any more, but nobody tries. */
	ck_assert_int_eq(read(fd, &count, 8), -1);
	ck_assert_int_eq(errno, EAGAIN);
	guest_device_close(gd);
	rig_fini_window();
}
END_TEST

/* Without descriptors there is no session; with them the next one is served. */
START_TEST(session_that_cannot_begin_closes_the_port)
{
	struct rlimit before, none = { 0 };
	struct window_port *p;

	rig_init_window("model = \"rng\";");
	p = port_of(0);
	host.is_raw = true;
	rig_start(&rig);
	rig_await(rig_read(&p->is_open) == 1);
	rig_settle(&rig);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	p->session = htole32(3);
	host_interrupt(&host);
	rig_await(rig_read(&p->is_open) == 0);
	ck_assert_uint_eq(rig_read(&p->served), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	p->session = 0;
	host.is_raw = false;
	host_interrupt(&host);
	expect_served(0);
	rig_fini_window();
}
END_TEST

START_TEST(statistics_say_how_it_stands)
{
	struct guest_device *gd;
	char *json;

	rig_init_window("model = \"rng\";");
	rig_start(&rig);
	gd = rig_open_port(0);
	rig_bring_up(gd, 0, 1, 16);
	rig_expect_entropy(&rig, gd);
	ck_assert_int_eq(pvio_device_stats(rig.dev, false, &json), 0);
	ck_assert_msg(strstr(json, "\"state\":\"serving\"") &&
			      strstr(json, "\"host_alive\":true") &&
			      strstr(json, "\"sessions\":1") &&
			      !strstr(json, "\"doorbells\":0"),
		      "%s", json);
	free(json);
	guest_device_close(gd);
	rig_fini_window();
}
END_TEST

/* --- memory --------------------------------------------------------------- */

static struct guest_vu vu;

static void raw_connect(void)
{
	ck_assert_int_eq(guest_vu_connect(&vu, rig.path, rig.worker), 0);
	ck_assert_int_eq(
		guest_vu_tell_u64(&vu, VU_SET_PROTOCOL_FEATURES,
				  PVIO_BIT(VU_PROTOCOL_REPLY_ACK) |
					  PVIO_BIT(VU_PROTOCOL_MQ) |
					  PVIO_BIT(VU_PROTOCOL_CONFIG) |
					  PVIO_BIT(VU_PROTOCOL_BACKEND_REQ) |
					  PVIO_BIT(VU_PROTOCOL_INFLIGHT_SHMFD)),
		0);
	vu.has_reply_ack = true;
	ck_assert_int_eq(guest_vu_tell_u64(&vu, VU_SET_FEATURES,
					   PVIO_BIT(VIRTIO_F_VERSION_1)),
			 0);
}

static int tell_region(uint64_t offset, uint64_t size)
{
	const struct vu_memory_table table = {
		.nr = 1,
		.region[0] = { .gpa = HOST_RAM_GPA, .size = size, .uva = 4096,
			       .mmap_offset = offset },
	};
	int fd = host.memory_fd;

	return guest_vu_tell(&vu, VU_SET_MEM_TABLE, &table,
			     offsetof(struct vu_memory_table, region[1]), &fd,
			     1);
}

START_TEST(memory_is_all_but_the_control_area)
{
	uint64_t end = HOST_BYTES - WINDOW_CONTROL_BYTES;

	rig_init_window("model = \"rng\";");
	rig_start(&rig);
	raw_connect();
	ck_assert_int_eq(tell_region(0, end), 0);
	ck_assert_int_eq(tell_region(4096, end - 4096), 0);
	ck_assert_int_eq(tell_region(0, end + 1), -EREMOTEIO);
	ck_assert_int_eq(tell_region(4096, end), -EREMOTEIO);
	ck_assert_int_eq(tell_region(end, 4096), -EREMOTEIO);
	ck_assert_int_eq(tell_region(end + WINDOW_PORT_BYTES, 4096),
			 -EREMOTEIO);
	ck_assert_int_eq(tell_region(HOST_BYTES, 4096), -EREMOTEIO);
	ck_assert_int_eq(tell_region(UINT64_MAX - 4095, 4096), -EREMOTEIO);
	ck_assert_int_eq(tell_region(0, UINT64_MAX), -EREMOTEIO);
	ck_assert_int_eq(tell_region(0, 0), -EREMOTEIO);
	guest_vu_close(&vu);
	rig_fini_window();
}
END_TEST

static int tell_inflight(uint64_t offset, uint64_t size)
{
	const struct vu_inflight inflight = {
		.mmap_size = size,
		.mmap_offset = offset,
		.num_queues = 1,
		.queue_size = 64,
	};
	int fd = host.memory_fd;

	return guest_vu_tell(&vu, VU_SET_INFLIGHT_FD, &inflight,
			     sizeof(inflight), &fd, 1);
}

START_TEST(inflight_region_is_the_ports_own)
{
	uint64_t at = window_port_offset(HOST_BYTES, 0) +
		      WINDOW_INFLIGHT_OFFSET;

	rig_init_window("model = \"rng\";");
	rig_start(&rig);
	raw_connect();
	ck_assert_int_eq(tell_inflight(at, WINDOW_INFLIGHT_BYTES), 0);
	ck_assert_int_eq(tell_inflight(at + 64, 8192), 0);
	ck_assert_int_eq(tell_inflight(at - 64, 8192), -EREMOTEIO);
	ck_assert_int_eq(tell_inflight(at, WINDOW_INFLIGHT_BYTES + 64),
			 -EREMOTEIO);
	ck_assert_int_eq(tell_inflight(at + WINDOW_PORT_BYTES, 8192),
			 -EREMOTEIO);
	ck_assert_int_eq(tell_inflight(0, 8192), -EREMOTEIO);
	guest_vu_close(&vu);
	rig_fini_window();
}
END_TEST

START_TEST(what_cannot_travel_is_not_offered)
{
	uint64_t features, protocol;

	rig_init_window("model = \"rng\";");
	rig_start(&rig);
	raw_connect();
	ck_assert_int_eq(guest_vu_ask_u64(&vu, VU_GET_FEATURES, &features), 0);
	ck_assert(!(features & PVIO_BIT(VU_F_LOG_ALL)));
	ck_assert_int_eq(guest_vu_ask_u64(&vu, VU_GET_PROTOCOL_FEATURES,
					  &protocol),
			 0);
	ck_assert(!(protocol & (PVIO_BIT(VU_PROTOCOL_LOG_SHMFD) |
				PVIO_BIT(VU_PROTOCOL_CONFIGURE_MEM_SLOTS) |
				PVIO_BIT(VU_PROTOCOL_INBAND_NOTIFICATIONS))));
	ck_assert(protocol & PVIO_BIT(VU_PROTOCOL_INFLIGHT_SHMFD));
	ck_assert(protocol & PVIO_BIT(VU_PROTOCOL_BACKEND_REQ));
	guest_vu_close(&vu);
	rig_fini_window();
}
END_TEST

START_TEST(configuration_change_reaches_the_host)
{
	struct guest_device *gd;
	char answer[256];

	rig_init_window("model = \"block\"; backend = { type = \"memory\"; "
			"size = \"1M\"; };");
	rig_start(&rig);
	gd = rig_open_port(0);
	rig_bring_up(gd, 0, 1, 16);
	ck_assert_int_eq(pvio_device_command(rig.dev, "resize", "512K",
					     answer, sizeof(answer)),
			 0);
	rig_await(host.backend_messages == 1);
	guest_device_close(gd);
	rig_fini_window();
}
END_TEST

/* By a message, and that its status has changed. */
START_TEST(broken_ring_reaches_the_host)
{
	struct guest_device *gd;
	struct vring_avail *avail;

	rig_init_window("model = \"rng\";");
	rig_start(&rig);
	gd = rig_open_port(0);
	rig_bring_up(gd, 0, 1, 16);
	rig_expect_entropy(&rig, gd);
	avail = guest_ring_raw_driver(guest_device_ring(gd, 0));
	avail->idx = htole16(le16toh(avail->idx) + 1000);
	guest_device_kick(gd, 0);
	ck_assert_int_eq(guest_device_wait(gd, 0, 5000), -EPIPE);
	ck_assert_uint_eq(host.backend_messages, 2);
	guest_device_close(gd);
	rig_fini_window();
}
END_TEST

/* --- who shares it --------------------------------------------------------- */

START_TEST(devices_share_a_window)
{
	struct guest_device *gd[2];
	struct pvio_device *dev;
	unsigned int i, n;

	rig_init_window("model = \"rng\";");
	rig_device_at(&dev, "model = \"rng\";", 1, "");
	rig_start(&rig);
	ck_assert_int_eq(pvio_device_start(dev), 0);
	for (i = 0; i < 2; i++) {
		gd[i] = rig_open_port(i);
		rig_bring_up(gd[i], 0, 1, 16);
	}
	for (n = 0; n < 10; n++)
		for (i = 0; i < 2; i++)
			rig_expect_entropy(&rig, gd[i]);
	/* One goes, and the other does not notice. */
	pvio_device_stop(rig.dev);
	rig_expect_entropy(&rig, gd[1]);
	guest_device_close(gd[0]);
	ck_assert_int_eq(pvio_device_start(rig.dev), 0);
	gd[0] = rig_open_port(0);
	rig_bring_up(gd[0], 0, 1, 16);
	rig_expect_entropy(&rig, gd[0]);
	rig_expect_entropy(&rig, gd[1]);
	for (i = 0; i < 2; i++)
		guest_device_close(gd[i]);
	pvio_device_destroy(dev);
	rig_fini_window();
}
END_TEST

START_TEST(port_is_one_devices)
{
	struct pvio_device *dev;

	rig_init_window("model = \"rng\";");
	rig_device_at(&dev, "model = \"rng\";", 0, "");
	rig_start(&rig);
	ck_assert_int_eq(pvio_device_start(dev), -EADDRINUSE);
	expect_served(0);
	pvio_device_stop(rig.dev);
	ck_assert_int_eq(pvio_device_start(dev), 0);
	expect_served(0);
	pvio_device_destroy(dev);
	rig_fini_window();
}
END_TEST

START_TEST(port_that_the_window_has_not_stays_closed)
{
	struct pvio_device *dev;

	rig_init_window("model = \"rng\";");
	rig_device_at(&dev, "model = \"rng\";", HOST_PORTS, "");
	rig_start(&rig);
	ck_assert_int_eq(pvio_device_start(dev), 0);
	expect_served(0);
	pvio_device_destroy(dev);
	rig_fini_window();
}
END_TEST

START_TEST(impossible_configurations_are_refused)
{
	static const char *const bad[] = {
		"",
		"window = \"0000:00:04.0\"; socket = \"/tmp/x\";",
		"window = \"00:04.0\";",
		"window = \"0000:00:04.8\";",
		"window = \"0000:00:04.0/\";",
		"window = \"../../../../x\";",
		"socket = \"/tmp/x\"; port = 7;",
		"socket = \"/tmp/x\"; port = -1;",
		"socket = \"/tmp/x\"; timeout_ms = 0;",
		"socket = \"/tmp/x\"; vectors = 3;",
	};
	struct pvio_device *dev;
	char config[256];
	size_t i;

	rig_init_window(NULL);
	for (i = 0; i < pvio_array_size(bad); i++) {
		snprintf(config, sizeof(config),
			 "model = \"rng\"; transport = { "
			 "type = \"vhost-pci\"; %s };",
			 bad[i]);
		ck_assert_int_eq(pvio_device_create("v", config, rig.worker,
						    &rig.worker, 1, &dev),
				 -EINVAL);
	}
	rig_fini_window();
}
END_TEST

START_TEST(function_that_is_not_there_is_an_error)
{
	struct pvio_device *dev;

	rig_init_window(NULL);
	ck_assert_int_eq(
		pvio_device_create("v",
				   "model = \"rng\"; transport = { "
				   "type = \"vhost-pci\"; "
				   "window = \"ffff:ff:1f.7\"; };",
				   rig.worker, &rig.worker, 1, &dev),
		0);
	ck_assert_int_eq(pvio_device_start(dev), -ENODEV);
	pvio_device_destroy(dev);
	rig_fini_window();
}
END_TEST

/* --- requests in flight ------------------------------------------------------ */

static int reconnect(struct guest_device *gd)
{
	return guest_device_reconnect(gd, rig.path);
}

START_TEST(requests_in_flight_survive_a_kill)
{
	struct kill_disk k = { .rounds = 6, .reconnect = reconnect };
	char transport[160];

	rig_init_window(NULL);
	snprintf(transport, sizeof(transport),
		 "type = \"vhost-pci\"; socket = \"%s\";", host.path);
	kill_disk_begin(&k, host.dir, transport);
	kill_disk_hammer(&k, rig_open_port(0), rings[_i]);
	kill_disk_end(&k);
	rig_settle(&rig);
	rig_fini_window();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost-pci");
	TCase *life = tcase_create("life");
	TCase *anew = tcase_create("anew");
	TCase *rest = tcase_create("rest");

	tcase_set_timeout(life, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(life, setup, NULL);
	tcase_add_loop_test(life, device_serves_requests, 0, NR_RINGS);
	tcase_add_test(life, front_ends_come_and_go);
	tcase_add_test(life, driver_negotiates_anew);
	tcase_add_test(life, facts_are_there_while_it_is_open);
	tcase_add_test(life, beat_goes_on);
	tcase_add_test(life, stopped_device_starts_again);
	tcase_add_test(life, queues_on_workers_of_their_own_serve);
	tcase_set_timeout(anew, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(anew, setup, NULL);
	tcase_add_test(anew, host_that_begins_anew_is_served_anew);
	tcase_add_test(anew, server_that_comes_back_is_found);
	tcase_add_test(anew, host_that_comes_later_is_waited_for);
	tcase_add_test(anew, port_opens_when_the_host_has_let_go);
	tcase_add_test(anew, session_follows_session_without_a_pause);
	tcase_add_test(anew, lost_interrupt_is_made_up_for);
	tcase_add_test(anew, peer_whose_eventfd_blocks_is_given_up);
	tcase_add_test(anew, session_that_cannot_begin_closes_the_port);
	tcase_add_test(life, statistics_say_how_it_stands);
	tcase_add_loop_test(anew, requests_in_flight_survive_a_kill, 0,
			    NR_RINGS);
	tcase_set_timeout(rest, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(rest, setup, NULL);
	tcase_add_test(rest, memory_is_all_but_the_control_area);
	tcase_add_test(rest, inflight_region_is_the_ports_own);
	tcase_add_test(rest, what_cannot_travel_is_not_offered);
	tcase_add_test(rest, configuration_change_reaches_the_host);
	tcase_add_test(rest, broken_ring_reaches_the_host);
	tcase_add_test(rest, devices_share_a_window);
	tcase_add_test(rest, port_is_one_devices);
	tcase_add_test(rest, port_that_the_window_has_not_stays_closed);
	tcase_add_test(rest, impossible_configurations_are_refused);
	tcase_add_test(rest, function_that_is_not_there_is_an_error);
	suite_add_tcase(suite, life);
	suite_add_tcase(suite, anew);
	suite_add_tcase(suite, rest);
	return check_suite(suite);
}
