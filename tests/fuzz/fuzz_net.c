/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_net.c - any frames, headers, buffers and commands at a network card
 *
 * The input is a driver's program: which features to accept (8 bytes), then
 * operations.  Rings are well-formed - their own target takes care of others -
 * and what is in the buffers is not.  The echo backend makes every frame that
 * passes come back, through checksums and segmentation where this guest did
 * not accept them.  Whatever happened, with enough receive buffers everything
 * that was sent is used in the end, and the device is whole.
 */
#include "guest/device.h"

#include "core/util.h"
#include "core/virtio.h"

#include <pvio/pvio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RAM       (8u << 20)
#define RING_SIZE 32
#define ARENA     (1u << 20) /* of transmit and command bytes; reused */
#define LARGE     70000

static struct pvio_worker *worker;
static struct pvio_device *dev;
static struct guest_memory mem;
static struct guest_device *gd;

struct input {
	const uint8_t *data;
	size_t left;
};

static uint64_t take(struct input *in, unsigned int bytes)
{
	uint64_t value = 0;

	if (bytes > in->left)
		bytes = (unsigned int)in->left;
	memcpy(&value, in->data, bytes);
	in->data += bytes;
	in->left -= bytes;
	return value;
}

static void quiet(void *arg, enum pvio_log_level level, const char *message)
{
	(void)arg;
	(void)level;
	(void)message;
}

#define must(ok) ((ok) ? (void)0 : broken(#ok, __LINE__))
static void broken(const char *what, int line)
{
	fprintf(stderr, "fuzz_net.c:%d: not so: %s\n", line, what);
	abort();
}

static void init(void)
{
	pvio_log_set(quiet, NULL, PVIO_LOG_ERROR);
	must(pvio_worker_create("fuzz", &worker) == 0);
	must(pvio_device_create("net0",
				"model = \"net\"; queues = 2; mtu = 9000; "
				"backend = { type = \"echo\"; }; "
				"transport = { type = \"loopback\"; };",
				worker, &worker, 1, &dev) == 0);
	must(pvio_device_start(dev) == 0);
	guest_memory_init(&mem);
	must(guest_memory_add(&mem, 0x100000, RAM) == 0);
	must(guest_device_open_loopback(dev, &mem, worker, &gd) == 0);
}

static void rest(void)
{
	unsigned int i;

	for (i = 0; pvio_worker_step(worker); i++)
		must(i < 10000); /* a queue that spins */
}

static void reap(unsigned int q)
{
	struct guest_ring *ring = guest_device_ring(gd, q);
	uint32_t len;

	if (!ring)
		return;
	while (guest_ring_reap(ring, &len))
		;
	must(!guest_ring_is_broken(ring));
}

/* A chain of up to 7 segments, in the arena; sizes and bytes as the input. */
static void add_chain(struct input *in, unsigned int q, uint64_t arena,
		      unsigned int nr_writable)
{
	unsigned int nr = 1 + (unsigned int)take(in, 1) % 7, i;
	struct guest_ring *ring = guest_device_ring(gd, q);
	struct guest_segment seg[8];
	uint64_t at = arena;

	if (!ring)
		return;
	for (i = 0; i < nr; i++) {
		uint32_t len = (uint32_t)take(in, 2);
		size_t copy = pvio_min(pvio_min(len, in->left), take(in, 1));

		/* A few bytes are given, what follows is what was there. */
		seg[i].gpa = at;
		seg[i].len = len;
		copy = pvio_min(copy, in->left);
		memcpy(guest_host(&mem, at), in->data, copy);
		in->data += copy;
		in->left -= copy;
		at += pvio_min(len, LARGE);
	}
	if (nr_writable > 0) {
		seg[nr].gpa = at;
		seg[nr].len = (uint32_t)nr_writable;
	}
	guest_ring_add(ring, seg, nr, nr_writable > 0, ring);
	if (guest_ring_publish(ring))
		guest_device_kick(gd, q);
}

static void add_receive(unsigned int q, uint64_t at, uint32_t len)
{
	struct guest_ring *ring = guest_device_ring(gd, q);
	struct guest_segment seg = { at, len };

	guest_ring_add(ring, &seg, 0, 1, ring);
	if (guest_ring_publish(ring))
		guest_device_kick(gd, q);
}

/* The features asked for, as far as the device has them and they agree. */
static unsigned int negotiate(struct input *in)
{
	uint64_t offered[2], want[2] = { take(in, 8), 0 };

	guest_device_features(gd, offered);
	want[0] &= offered[0];
	if (guest_device_negotiate(gd, want) < 0) {
		want[0] = 0;
		must(guest_device_negotiate(gd, want) == 0);
	}
	if (!(want[0] & PVIO_BIT(VIRTIO_NET_F_CTRL_VQ)))
		return 1; /* no control queue: the transmit queue stands in */
	return want[0] & PVIO_BIT(VIRTIO_NET_F_MQ) ? 4 : 2;
}

static void run(struct input *in, unsigned int control, uint64_t arena,
		uint64_t receive)
{
	while (in->left > 0) {
		switch (take(in, 1) % 6) {
		case 0:
		case 1:
			add_chain(in, 1, arena, 0);
			break;
		case 2:
			add_chain(in, control, arena + ARENA / 2,
				  (unsigned int)take(in, 1) % 3);
			break;
		case 3:
			add_receive(0, receive, (uint32_t)take(in, 2));
			break;
		case 4:
			rest();
			break;
		case 5:
			reap(0);
			reap(1);
			reap(control);
			break;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint64_t arena, receive;
	unsigned int control, i;

	if (!worker)
		init();
	control = negotiate(&in);
	guest_alloc_reset(&mem);
	must(guest_device_setup_queue(gd, 0, RING_SIZE) == 0);
	must(guest_device_setup_queue(gd, 1, RING_SIZE) == 0);
	if (control > 1)
		must(guest_device_setup_queue(gd, control, RING_SIZE) == 0);
	must(guest_alloc(&mem, ARENA, 4096, &arena) != NULL);
	must(guest_alloc(&mem, LARGE, 4096, &receive) != NULL);
	must(guest_device_start(gd) == 0);

	run(&in, control, arena, receive);

	/* Buffers for everything that still waits: it is used in the end. */
	for (i = 0; i < 64; i++) {
		rest();
		reap(0);
		reap(1);
		reap(control);
		if (guest_ring_outstanding(guest_device_ring(gd, 1)) == 0)
			break;
		add_receive(0, receive, LARGE);
	}
	must(guest_ring_outstanding(guest_device_ring(gd, 1)) == 0);
	must(guest_ring_outstanding(guest_device_ring(gd, control)) == 0);
	must(!guest_device_is_broken(gd));
	return 0;
}
