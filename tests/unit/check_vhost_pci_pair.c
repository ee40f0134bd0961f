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
#include "tests/socket-disk.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

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

static pid_t serve_file(const char *image)
{
	struct pvio_worker *worker;
	struct pvio_device *dev;
	char config[384];
	pid_t pid = fork();
	int fd;

	if (pid != 0)
		return pid;
	for (fd = 3; fd < 256; fd++)
		close(fd);
	snprintf(config, sizeof(config),
		 "model = \"block\"; backend = { type = \"file\"; "
		 "path = \"%s\"; }; transport = { type = \"vhost-pci\"; "
		 "socket = \"%s\"; };",
		 image, pair.window);
	if (pvio_worker_create("child", &worker) < 0 ||
	    pvio_device_create("disk", config, worker, &worker, 1, &dev) < 0 ||
	    pvio_device_start(dev) < 0)
		_exit(1);
	pvio_worker_run(worker);
	_exit(0);
}

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

#define KILL_DEPTH  8
#define KILL_ROUNDS 8

START_TEST(requests_in_flight_survive_a_kill)
{
	struct disk_buffer *b[KILL_DEPTH];
	struct guest_segment seg[KILL_DEPTH][8];
	uint32_t seed[KILL_DEPTH] = { 0 }, seeds = 1, len;
	uint64_t gpa[KILL_DEPTH], next_kill;
	struct guest_device *gd;
	struct guest_ring *ring;
	unsigned int i, n, kills = 0;
	char image[128];
	uint8_t want[4096];
	pid_t pid;
	int fd;

	pair_init(_i / NR_RINGS);
	snprintf(image, sizeof(image), "%s/image", rig.dir);
	fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	pid = serve_file(image);
	gd = open_port(0);
	rig_bring_up(gd, rings[_i % NR_RINGS], 1, 64);
	ring = guest_device_ring(gd, 0);
	for (i = 0; i < KILL_DEPTH; i++)
		b[i] = disk_buffer(&gpa[i]);

	next_kill = pvio_now_ns() + 3000000;
	while (kills < KILL_ROUNDS || guest_ring_outstanding(ring) > 0) {
		struct disk_buffer *done = guest_ring_reap(ring, &len);

		if (done) {
			ck_assert_uint_eq(done->status, VIRTIO_BLK_S_OK);
			done->header.sector = UINT64_MAX; /* idle */
		}
		for (i = 0; i < KILL_DEPTH && kills < KILL_ROUNDS; i++) {
			if (seed[i] && b[i]->header.sector != UINT64_MAX)
				continue;
			seed[i] = seeds++;
			fill(b[i]->data, 4096, seed[i]);
			n = disk_segments(b[i], gpa[i], VIRTIO_BLK_T_OUT, i * 8,
					  4096, seg[i]);
			ck_assert_int_eq(
				guest_ring_add(ring, seg[i], n - 1, 1, b[i]),
				0);
		}
		if (guest_ring_publish(ring))
			guest_device_kick(gd, 0);
		if (kills < KILL_ROUNDS && pvio_now_ns() > next_kill) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			kills++;
			pid = serve_file(image);
			/* Who has copies keeps B's connection. */
			if (!pair.bounce)
				ck_assert_int_eq(reconnect(gd), 0);
			next_kill = pvio_now_ns() + 500000 * (1 + kills % 7);
		}
		if (!done)
			guest_device_wait(gd, 0, 1);
	}
	for (i = 0; i < KILL_DEPTH; i++) {
		fill(want, sizeof(want), seed[i]);
		ck_assert_int_eq(pread(fd, b[i]->data, 4096, i * 4096), 4096);
		ck_assert_mem_eq(b[i]->data, want, sizeof(want));
	}
	guest_device_close(gd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fd);
	unlink(image);
	rig_settle(&rig);
	pair_fini();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost-pci pair");
	TCase *tcase = tcase_create("pair");
	SRunner *runner = srunner_create(suite);
	int failed;

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
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
