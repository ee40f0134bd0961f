/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_window.c - a bounce window, whole: B's VMM, the broker, and the device
 * of an appliance that is a process of the host
 */
#include "guest/vhost-user.h"
#include "tests/check_main.h"
#include "transports/vhost-pci/broker/bounce.h"

#include <pvio/pvio.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define RAM_BYTES   (32u << 20)
#define RAM_GPA     0x100000u
#define PATIENCE_NS UINT64_C(20000000000)
#define FEATURES    (PVIO_BIT(VIRTIO_BLK_F_FLUSH) | PVIO_BIT(VIRTIO_BLK_F_MQ))
#define DATA_BYTES  16384

struct request {
	struct virtio_blk_outhdr header;
	uint8_t status;
	uint8_t data[DATA_BYTES] __attribute__((aligned(4096)));
};

static char dir[64], a[96], b[96];
static struct pvio_worker *control, *serving;
static struct pvio_config_file *file;
static struct broker *broker;
static struct pvio_device *dev;
static struct guest_memory mem;
static struct guest_device *gd;
static struct request *req[32];
static uint64_t req_gpa[32];

static void quiet(void *arg, enum pvio_log_level level, const char *message)
{
	(void)arg;
	if (getenv("PVIO_TEST_LOG"))
		fprintf(stderr, "%d %s\n", (int)level, message);
}

static void turn(void)
{
	pvio_worker_wait(control, 1);
}

#define until(cond)                                                      \
	do {                                                             \
		uint64_t end_ = pvio_now_ns() + PATIENCE_NS;             \
		while (!(cond)) {                                        \
			ck_assert_msg(pvio_now_ns() < end_, "never: %s", \
				      #cond);                            \
			turn();                                          \
		}                                                        \
	} while (0)

static void appliance_comes(void)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "model = \"block\"; queues = 2; queue_size = 64;"
		 "backend = { type = \"file\"; path = \"%s/disk\"; };"
		 "transport = { type = \"vhost-pci\"; socket = \"%s\"; "
		 "port = 0; };",
		 dir, a);
	ck_assert_int_eq(
		pvio_device_create("a", text, control, &serving, 1, &dev), 0);
	ck_assert_int_eq(pvio_device_start(dev), 0);
}

static void appliance_goes(void)
{
	pvio_device_destroy(dev);
	dev = NULL;
}

static struct bounce *port(void)
{
	return broker->port[0].state;
}

static void connect_b(void)
{
	struct guest_vu_options options = { .step = control, .fd = -1 };
	uint64_t bits[2] = { FEATURES, 0 };
	unsigned int q;

	until(port()->phase == BOUNCE_READY && port()->dev);
	ck_assert_int_eq(
		guest_device_open_vhost_user_with(b, &mem, &options, &gd), 0);
	ck_assert_int_eq(guest_device_negotiate(gd, bits), 0);
	for (q = 0; q < 2; q++)
		ck_assert_int_eq(guest_device_setup_queue(gd, q, 32), 0);
	ck_assert_int_eq(guest_device_start(gd), 0);
}

static void setup(void)
{
	char text[512];
	unsigned int i;
	FILE *disk;

	pvio_log_set(quiet, NULL, PVIO_LOG_DEBUG);
	snprintf(dir, sizeof(dir), "/tmp/pvio-window-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(a, sizeof(a), "%s/a", dir);
	snprintf(b, sizeof(b), "%s/b", dir);
	snprintf(text, sizeof(text), "%s/disk", dir);
	disk = fopen(text, "w");
	ck_assert_ptr_nonnull(disk);
	ck_assert_int_eq(ftruncate(fileno(disk), 4 << 20), 0);
	fclose(disk);
	ck_assert_int_eq(pvio_worker_create("control", &control), 0);
	ck_assert_int_eq(pvio_worker_create("serving", &serving), 0);
	ck_assert_int_eq(pvio_worker_start(serving), 0);
	snprintf(text, sizeof(text),
		 "name = \"w\"; socket = \"%s\"; size = \"16M\"; ports = ("
		 "{ name = \"b-disk\"; model = \"block\"; socket = \"%s\"; });",
		 a, b);
	ck_assert_int_eq(pvio_config_parse("window", text, &file), 0);
	ck_assert_int_eq(broker_create("w", pvio_config_root(file), control,
				       &serving, 1, &broker),
			 0);
	ck_assert_int_eq(broker_start(broker), 0);
	guest_memory_init(&mem);
	ck_assert_int_eq(guest_memory_add(&mem, RAM_GPA, RAM_BYTES), 0);
	for (i = 0; i < 32; i++)
		req[i] = guest_alloc(&mem, sizeof(*req[i]), 4096, &req_gpa[i]);
	appliance_comes();
	connect_b();
}

static void teardown(void)
{
	char path[128];

	guest_device_close(gd);
	pvio_device_destroy(dev);
	broker_destroy(broker);
	pvio_config_close(file);
	pvio_worker_destroy(serving);
	pvio_worker_destroy(control);
	guest_memory_fini(&mem);
	snprintf(path, sizeof(path), "%s/disk", dir);
	unlink(path);
	rmdir(dir);
}

static void submit(unsigned int i, uint32_t type, uint64_t sector,
		   uint32_t bytes)
{
	struct guest_ring *ring = guest_device_ring(gd, i % 2);
	struct request *r = req[i];
	struct guest_segment seg[] = {
		{ req_gpa[i], 16 },
		{ req_gpa[i] + offsetof(struct request, data), bytes },
		{ req_gpa[i] + offsetof(struct request, status), 1 },
	};
	unsigned int out = type == VIRTIO_BLK_T_OUT ? 2 : 1;

	r->header.type = htole32(type);
	r->header.sector = htole64(sector);
	r->status = 0xff;
	ck_assert_int_eq(guest_ring_add(ring, seg, out, 3 - out, r), 0);
	if (guest_ring_publish(ring))
		guest_device_kick(gd, i % 2);
}

static unsigned int reap(void)
{
	unsigned int n = 0, q;
	uint32_t len;

	for (q = 0; q < 2; q++)
		while (guest_ring_reap(guest_device_ring(gd, q), &len))
			n++;
	return n;
}

static void run_round(unsigned int seed, bool restart)
{
	unsigned int i, j, done = 0;

	for (i = 0; i < 16; i++) {
		for (j = 0; j < DATA_BYTES; j++)
			req[i]->data[j] = (uint8_t)(seed + i * 3 + j * 5);
		submit(i, VIRTIO_BLK_T_OUT, i * 64, DATA_BYTES);
	}
	if (restart) {
		appliance_goes();
		appliance_comes();
	}
	until((done += reap()) == 16);
	for (i = done = 0; i < 16; i++) {
		ck_assert_uint_eq(req[i]->status, VIRTIO_BLK_S_OK);
		memset(req[i]->data, 0, DATA_BYTES);
		submit(i, VIRTIO_BLK_T_IN, i * 64, DATA_BYTES);
	}
	until((done += reap()) == 16);
	for (i = 0; i < 16; i++) {
		ck_assert_uint_eq(req[i]->status, VIRTIO_BLK_S_OK);
		for (j = 0; j < DATA_BYTES; j++)
			if (req[i]->data[j] != (uint8_t)(seed + i * 3 + j * 5))
				ck_abort_msg("request %u, byte %u", i, j);
	}
}

START_TEST(disk_is_served)
{
	unsigned int i;

	for (i = 0; i < 20; i++)
		run_round(i, false);
}
END_TEST

START_TEST(appliance_restarts)
{
	unsigned int i;

	for (i = 0; i < 5; i++)
		run_round(i, true);
	ck_assert_uint_ge(port()->restarts, 4);
}
END_TEST

/* As a process of its own, without a word. */
static pid_t appliance_spawn(void)
{
	struct pvio_worker *own;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	if (pvio_worker_create("a", &own) < 0)
		_exit(1);
	control = serving = own;
	appliance_comes();
	pvio_worker_run(own);
	_exit(0);
}

static void appliance_is_shot(pid_t pid)
{
	int status;

	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

START_TEST(appliance_is_killed)
{
	unsigned int i, j, done, round;
	uint64_t later;
	pid_t pid;

	appliance_goes();
	pid = appliance_spawn();
	for (round = 0; round < 10; round++) {
		for (i = done = 0; i < 16; i++) {
			memset(req[i]->data, (int)(round + i), DATA_BYTES);
			submit(i, VIRTIO_BLK_T_OUT, i * 64, DATA_BYTES);
		}
		/* At some moment. */
		later = pvio_now_ns() + round * 300000;
		while (pvio_now_ns() < later)
			turn();
		appliance_is_shot(pid);
		pid = appliance_spawn();
		until((done += reap()) == 16);
		for (i = done = 0; i < 16; i++) {
			ck_assert_uint_eq(req[i]->status, VIRTIO_BLK_S_OK);
			memset(req[i]->data, 0xff, DATA_BYTES);
			submit(i, VIRTIO_BLK_T_IN, i * 64, DATA_BYTES);
		}
		until((done += reap()) == 16);
		for (i = 0; i < 16; i++)
			for (j = 0; j < DATA_BYTES; j++)
				if (req[i]->data[j] != round + i)
					ck_abort_msg("request %u", i);
	}
	appliance_is_shot(pid);
}
END_TEST

START_TEST(front_end_restarts)
{
	unsigned int i, j;

	for (i = 0; i < 5; i++) {
		run_round(i, false);
		if (i % 2)
			guest_device_disconnect(gd);
		guest_device_close(gd);
		guest_alloc_reset(&mem);
		for (j = 0; j < 32; j++)
			req[j] = guest_alloc(&mem, sizeof(*req[j]), 4096,
					     &req_gpa[j]);
		connect_b();
	}
}
END_TEST

CHECK_MAIN("window", setup, teardown, disk_is_served, appliance_restarts,
	   appliance_is_killed, front_end_restarts)
