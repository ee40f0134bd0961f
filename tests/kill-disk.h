/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kill-disk.h - a disk whose process is killed again and again while requests
 * are in flight: no write that is acknowledged is lost, none is done too late
 */
#ifndef PVIO_TESTS_KILL_DISK_H
#define PVIO_TESTS_KILL_DISK_H

#include "tests/socket-disk.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILL_DEPTH 16

struct kill_disk {
	unsigned int rounds; /* how often it is killed */
	/* After each; NULL: the front-end's connection outlives the process. */
	int (*reconnect)(struct guest_device *gd);

	char transport[256], image[96];
	int fd; /* of the image */
	pid_t pid;
};

static inline void kill_disk_serve(struct kill_disk *k)
{
	struct pvio_worker *worker;
	struct pvio_device *dev;
	char config[512];
	int fd;

	k->pid = fork();
	ck_assert_int_ge(k->pid, 0);
	if (k->pid > 0)
		return;
	/* The sockets of the other side are not ours to keep open. */
	for (fd = 3; fd < 256; fd++)
		close(fd);
	snprintf(config, sizeof(config),
		 "model = \"block\"; backend = { type = \"file\"; path = "
		 "\"%s\"; lock_wait_ms = 10000; }; transport = { %s };",
		 k->image, k->transport);
	if (pvio_worker_create("child", &worker) < 0 ||
	    pvio_device_create("disk", config, worker, &worker, 1, &dev) < 0 ||
	    pvio_device_start(dev) < 0)
		_exit(1);
	pvio_worker_run(worker);
	_exit(0);
}

static inline void kill_disk_kill(struct kill_disk *k)
{
	kill(k->pid, SIGKILL);
	waitpid(k->pid, NULL, 0);
}

/* A process with a disk, of an image in @dir, at @transport. */
static inline void kill_disk_begin(struct kill_disk *k, const char *dir,
				   const char *transport)
{
	snprintf(k->transport, sizeof(k->transport), "%s", transport);
	snprintf(k->image, sizeof(k->image), "%s/image", dir);
	k->fd = open(k->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(ftruncate(k->fd, 1 << 20), 0);
	kill_disk_serve(k);
}

/* Writes are made as fast as they are done, by a driver of @features at @gd. */
static inline void kill_disk_hammer(struct kill_disk *k,
				    struct guest_device *gd, uint64_t features)
{
	struct disk_buffer *b[KILL_DEPTH];
	struct guest_segment seg[KILL_DEPTH][8];
	uint32_t seed[KILL_DEPTH] = { 0 }, seeds = 1, len;
	uint64_t gpa[KILL_DEPTH], next_kill;
	struct guest_ring *ring;
	unsigned int i, n, kills = 0;
	uint8_t want[4096];

	rig_bring_up(gd, features, 1, 64);
	ring = guest_device_ring(gd, 0);
	for (i = 0; i < KILL_DEPTH; i++)
		b[i] = disk_buffer(&gpa[i]);

	next_kill = pvio_now_ns() + 3000000;
	while (kills < k->rounds || guest_ring_outstanding(ring) > 0) {
		struct disk_buffer *done = guest_ring_reap(ring, &len);

		if (done) {
			ck_assert_uint_eq(done->status, VIRTIO_BLK_S_OK);
			done->header.sector = UINT64_MAX; /* idle */
		}
		for (i = 0; i < KILL_DEPTH && kills < k->rounds; i++) {
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
		if (kills < k->rounds && pvio_now_ns() > next_kill) {
			kill_disk_kill(k);
			kills++;
			kill_disk_serve(k);
			if (k->reconnect)
				ck_assert_int_eq(k->reconnect(gd), 0);
			next_kill = pvio_now_ns() + 500000 * (1 + kills % 7);
		}
		if (!done)
			guest_device_wait(gd, 0, 1);
	}
	for (i = 0; i < KILL_DEPTH; i++) {
		fill(want, sizeof(want), seed[i]);
		ck_assert_int_eq(pread(k->fd, b[i]->data, 4096, i * 4096),
				 4096);
		ck_assert_mem_eq(b[i]->data, want, sizeof(want));
	}
	guest_device_close(gd);
}

static inline void kill_disk_end(struct kill_disk *k)
{
	kill_disk_kill(k);
	close(k->fd);
	unlink(k->image);
}

#endif
