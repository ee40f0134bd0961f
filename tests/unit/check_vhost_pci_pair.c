/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vhost_pci_pair.c - a window with both its real sides
 *
 * A front-end, the broker, and the appliance with the real device, on one
 * thread; the appliance may also be a process of its own, and be killed.  The
 * window is "ram", and then "bounce".
 */
#include "guest/vhost-user.h"
#include "transports/vhost-pci/broker/broker.h"
/* It has a rig of its own by that name: last. */
#include "tests/kill-disk.h"

#include <errno.h>
#include <fcntl.h>

#define PAIR_RAM_BYTES (8u << 20)

static struct {
	char window[96], ram[96], port[2][96];
	struct pvio_config_file *file;
	struct broker *broker;
	struct pvio_device *dev[2];
	bool bounce;
} pair;

/* A test runs for each kind of window, and some for each kind of ring. */
#define NR_WINDOWS       2
#define NR_RINGS_WINDOWS (NR_WINDOWS * NR_RINGS)

/* --- the host ------------------------------------------------------------- */

static void broker_begin(void)
{
	char text[1024], ram[160];

	snprintf(ram, sizeof(ram), "window = \"ram\"; file = \"%s\";",
		 pair.ram);
	snprintf(text, sizeof(text),
		 "carrier = \"ivshmem\"; socket = \"%s\"; vectors = 64; "
		 "%s size = \"16M\"; "
		 "ports = ( { name = \"p0\"; model = \"block\"; "
		 "socket = \"%s\"; }, { name = \"p1\"; model = \"block\"; "
		 "socket = \"%s\"; } );",
		 pair.window, pair.bounce ? "window = \"bounce\";" : ram,
		 pair.port[0], pair.port[1]);
	ck_assert_int_eq(pvio_config_parse("test", text, &pair.file), 0);
	ck_assert_int_eq(broker_create("w", pvio_config_root(pair.file),
				       rig.worker, &rig.worker, 1,
				       &pair.broker),
			 0);
	ck_assert_int_eq(broker_start(pair.broker), 0);
}

static void broker_end(void)
{
	broker_destroy(pair.broker);
	pair.broker = NULL;
	pvio_config_close(pair.file);
}

/* In the window, unless that has copies. */
static void add_memory(void)
{
	int fd;

	guest_memory_init(&rig.mem);
	ck_assert_int_eq(
		guest_memory_add(&rig.mem, RIG_RAM_GPA, PAIR_RAM_BYTES), 0);
	if (pair.bounce)
		return;
	fd = open(pair.ram, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(guest_memory_move(&rig.mem, fd), 0);
	close(fd);
}

static void pair_init(int window)
{
	memset(&rig, 0, sizeof(rig));
	memset(&pair, 0, sizeof(pair));
	pair.bounce = window;
	snprintf(rig.dir, sizeof(rig.dir), "/tmp/pvio-pair-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(rig.dir));
	snprintf(pair.window, sizeof(pair.window), "%s/w", rig.dir);
	snprintf(pair.ram, sizeof(pair.ram), "%s/ram", rig.dir);
	snprintf(pair.port[0], sizeof(pair.port[0]), "%s/p0", rig.dir);
	snprintf(pair.port[1], sizeof(pair.port[1]), "%s/p1", rig.dir);
	ck_assert_int_eq(pvio_worker_create("test", &rig.worker), 0);
	broker_begin();
	add_memory();
}

static void pair_fini(void)
{
	pvio_device_destroy(pair.dev[0]);
	pvio_device_destroy(pair.dev[1]);
	broker_end();
	guest_memory_fini(&rig.mem);
	pvio_worker_destroy(rig.worker);
	unlink(pair.ram);
	rmdir(rig.dir);
}

/* --- the appliance -------------------------------------------------------- */

static void appliance(unsigned int port, const char *model)
{
	char config[512];

	snprintf(config, sizeof(config),
		 "%s transport = { type = \"vhost-pci\"; socket = \"%s\"; "
		 "port = %u; };",
		 model, pair.window, port);
	ck_assert_int_eq(pvio_device_create("dev", config, rig.worker,
					    &rig.worker, 1, &pair.dev[port]),
			 0);
	ck_assert_int_eq(pvio_device_start(pair.dev[port]), 0);
}

/* The broker listens for B only while the port is open. */
static struct guest_device *open_port(unsigned int port)
{
	struct guest_vu_options options = { .step = rig.worker, .fd = -1 };
	uint64_t end = pvio_now_ns() + 20000000000ULL;
	struct guest_device *gd = NULL;
	int rc;

	do {
		pvio_worker_wait(rig.worker, 1);
		rc = guest_device_open_vhost_user_with(pair.port[port],
						       &rig.mem, &options, &gd);
	} while (rc < 0 && pvio_now_ns() < end);
	ck_assert_int_eq(rc, 0);
	return gd;
}

static void requests(struct guest_device *gd, int n)
{
	struct disk_buffer *b;
	uint64_t gpa;
	int i;

	b = disk_buffer(&gpa);
	for (i = 0; i < n; i++)
		ck_assert_int_eq(
			disk_request(gd, 0, b, gpa,
				     i % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
				     8 * (unsigned)(i % 16), 4096),
			VIRTIO_BLK_S_OK);
}

START_TEST(disk_is_served)
{
	struct guest_device *gd;

	pair_init(_i / NR_RINGS);
	appliance(0, MEMORY_DISK);
	gd = open_port(0);
	rig_bring_up(gd, rings[_i % NR_RINGS], 4, 16);
	requests(gd, 200);
	guest_device_close(gd);
	pair_fini();
}
END_TEST

/* The broker has asked for the disk's configuration long before. */
START_TEST(resize_without_a_front_end_is_seen_by_the_next)
{
	uint64_t end = pvio_now_ns() + 20000000000ULL;
	struct guest_device *gd;
	uint64_t capacity = 0;
	char answer[64];

	pair_init(_i);
	appliance(0, MEMORY_DISK);
	gd = open_port(0);
	guest_device_close(gd);
	rig_settle(&rig);
	ck_assert_int_eq(pvio_device_command(pair.dev[0], "resize", "512K",
					     answer, sizeof(answer)),
			 0);
	gd = open_port(0);
	do
		ck_assert_int_eq(guest_device_read_config(gd, 0, &capacity, 8),
				 0);
	while (le64toh(capacity) != 1024 && pvio_now_ns() < end);
	ck_assert_uint_eq(le64toh(capacity), 1024);
	guest_device_close(gd);
	pair_fini();
}
END_TEST

START_TEST(front_ends_come_and_go)
{
	struct guest_device *gd;
	int i;

	pair_init(_i);
	appliance(0, MEMORY_DISK);
	for (i = 0; i < 12; i++) {
		guest_alloc_reset(&rig.mem);
		gd = open_port(0);
		rig_bring_up(gd, rings[i % NR_RINGS], 4, 16);
		requests(gd, 4);
		if (i % 2)
			guest_device_disconnect(gd);
		guest_device_close(gd);
	}
	pair_fini();
}
END_TEST

START_TEST(two_devices_and_one_begins_anew)
{
	struct guest_device *gd[2];
	int i;

	pair_init(_i);
	appliance(0, MEMORY_DISK);
	appliance(1, MEMORY_DISK);
	gd[0] = open_port(0);
	gd[1] = open_port(1);
	rig_bring_up(gd[0], 0, 1, 16);
	rig_bring_up(gd[1], 0, 1, 16);
	for (i = 0; i < 4; i++) {
		requests(gd[0], 4);
		requests(gd[1], 4);
		guest_device_disconnect(gd[0]);
		pvio_device_stop(pair.dev[0]);
		requests(gd[1], 4);
		ck_assert_int_eq(pvio_device_start(pair.dev[0]), 0);
		guest_device_close(gd[0]);
		gd[0] = open_port(0);
		rig_bring_up(gd[0], 0, 1, 16);
	}
	guest_device_close(gd[0]);
	guest_device_close(gd[1]);
	pair_fini();
}
END_TEST

START_TEST(broker_begins_anew)
{
	struct guest_device *gd;
	int i;

	pair_init(_i);
	appliance(0, MEMORY_DISK);
	for (i = 0; i < 3; i++) {
		guest_alloc_reset(&rig.mem);
		gd = open_port(0);
		rig_bring_up(gd, 0, 1, 16);
		requests(gd, 4);
		broker_end();
		broker_begin();
		guest_device_disconnect(gd);
		guest_device_close(gd);
	}
	gd = open_port(0);
	guest_device_close(gd);
	pair_fini();
}
END_TEST

static int reconnect(struct guest_device *gd)
{
	uint64_t end = pvio_now_ns() + 20000000000ULL;
	int rc;

	do {
		pvio_worker_wait(rig.worker, 1);
		rc = guest_device_reconnect(gd, pair.port[0]);
	} while (rc < 0 && pvio_now_ns() < end);
	return rc;
}

/* Who has copies keeps B's connection. */
START_TEST(requests_in_flight_survive_a_kill)
{
	struct kill_disk k = { .rounds = 8 };
	char transport[160];

	pair_init(_i / NR_RINGS);
	if (!pair.bounce)
		k.reconnect = reconnect;
	snprintf(transport, sizeof(transport),
		 "type = \"vhost-pci\"; socket = \"%s\";", pair.window);
	kill_disk_begin(&k, rig.dir, transport);
	kill_disk_hammer(&k, open_port(0), rings[_i % NR_RINGS]);
	kill_disk_end(&k);
	rig_settle(&rig);
	pair_fini();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost-pci pair");
	TCase *tcase = tcase_create("pair");

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, disk_is_served, 0, NR_RINGS_WINDOWS);
	tcase_add_loop_test(tcase,
			    resize_without_a_front_end_is_seen_by_the_next, 0,
			    NR_WINDOWS);
	tcase_add_loop_test(tcase, front_ends_come_and_go, 0, NR_WINDOWS);
	tcase_add_loop_test(tcase, two_devices_and_one_begins_anew, 0,
			    NR_WINDOWS);
	tcase_add_loop_test(tcase, broker_begins_anew, 0, NR_WINDOWS);
	tcase_add_loop_test(tcase, requests_in_flight_survive_a_kill, 0,
			    NR_RINGS_WINDOWS);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
