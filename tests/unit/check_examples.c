/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_examples.c - the modules of examples/, in the library as installed
 *
 * Linked with libpvio.so: what a module may use is what that exports.
 */
#include "tests/check_main.h"

#include "core/plugin.h"
#include "core/worker.h"
#include "guest/device.h"

#include <pvio/pvio.h>

#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

static struct pvio_worker *worker;
static struct pvio_device *dev;
static struct guest_memory mem;
static struct guest_device *gd;

static void setup(void)
{
	static bool is_loaded;

	if (!is_loaded)
		ck_assert_int_eq(pvio_plugins_load(EXAMPLES_DIR), 0);
	is_loaded = true;
	ck_assert_int_eq(pvio_worker_create("example", &worker), 0);
	guest_memory_init(&mem);
	ck_assert_int_eq(guest_memory_add(&mem, 0, 1 << 20), 0);
	dev = NULL;
	gd = NULL;
}

static void teardown(void)
{
	guest_device_close(gd);
	pvio_device_destroy(dev);
	pvio_worker_destroy(worker);
	guest_memory_fini(&mem);
}

static void bring_up(const char *config)
{
	uint64_t bits[2];

	ck_assert_int_eq(pvio_device_create("example", config, worker, &worker,
					    1, &dev),
			 0);
	ck_assert_int_eq(guest_device_open_loopback(dev, &mem, worker, &gd), 0);
	guest_device_features(gd, bits);
	ck_assert_int_eq(guest_device_negotiate(gd, bits), 0);
	ck_assert_int_eq(guest_device_setup_queue(gd, 0, 16), 0);
	ck_assert_int_eq(guest_device_start(gd), 0);
}

static void *segment(struct guest_segment *seg, uint32_t len)
{
	void *p = guest_alloc(&mem, len, 8, &seg->gpa);

	ck_assert_ptr_nonnull(p);
	seg->len = len;
	return p;
}

START_TEST(the_model_answers_in_capitals)
{
	struct guest_segment seg[2];
	char *in, *out;

	bring_up("model = \"capitals\"; max_bytes = 400;"
		 "transport = { type = \"loopback\"; };");
	in = segment(&seg[0], 300);
	out = segment(&seg[1], 500);
	memset(in, 'q', 300);
	ck_assert_int_eq(guest_device_transfer(gd, 0, seg, 1, 1), 300);
	ck_assert_int_eq(out[0], 'Q');
	ck_assert_int_eq(out[299], 'Q');
	ck_assert_int_eq(out[300], 0);
	ck_assert_int_eq(in[0], 'q');
}
END_TEST

START_TEST(the_model_refuses_a_bad_key)
{
	ck_assert_int_eq(pvio_device_create(
				 "example",
				 "model = \"capitals\"; max_bytes = 0;"
				 "transport = { type = \"loopback\"; };",
				 worker, &worker, 1, &dev),
			 -EINVAL);
}
END_TEST

static uint8_t disk_request(uint32_t type, uint64_t sector, uint64_t words[64])
{
	struct virtio_blk_outhdr *header;
	struct guest_segment seg[3];
	uint8_t *data, *status;
	bool is_read = type == VIRTIO_BLK_T_IN;

	header = segment(&seg[0], sizeof(*header));
	data = segment(&seg[1], 512);
	status = segment(&seg[2], 1);
	header->type = htole32(type);
	header->sector = htole64(sector);
	*status = 0xff;
	ck_assert_int_ge(guest_device_transfer(gd, 0, seg, is_read ? 1 : 2,
					       is_read ? 2 : 1),
			 0);
	memcpy(words, data, 512);
	return *status;
}

START_TEST(the_backend_reads_as_offsets_and_takes_no_writes)
{
	uint64_t words[64];

	bring_up("model = \"block\";"
		 "backend = { type = \"offsets\"; size = \"1T\"; };"
		 "transport = { type = \"loopback\"; };");
	ck_assert_uint_eq(disk_request(VIRTIO_BLK_T_IN, 123456, words),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(le64toh(words[0]), 123456 * 512);
	ck_assert_uint_eq(le64toh(words[63]), 123456 * 512 + 63 * 8);
	ck_assert_uint_eq(disk_request(VIRTIO_BLK_T_OUT, 0, words),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(disk_request(VIRTIO_BLK_T_IN, 1ULL << 31, words),
			  VIRTIO_BLK_S_IOERR);
}
END_TEST

START_TEST(the_transport_serves_a_guest_that_shares_memory)
{
	int kick = eventfd(0, EFD_CLOEXEC), call = eventfd(0, EFD_CLOEXEC);
	int ram_fd = memfd_create("guest", MFD_CLOEXEC);
	struct guest_segment seg = { .gpa = 0x8000, .len = 64 };
	struct pollfd notified = { .fd = call, .events = POLLIN };
	struct guest_ring *ring;
	uint32_t written = 0;
	char config[512];
	uint8_t *ram;

	ck_assert_int_eq(ftruncate(ram_fd, 0x10000), 0);
	ram = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd,
		   0);
	ck_assert_ptr_ne(ram, MAP_FAILED);
	ck_assert_int_eq(guest_ring_create(16, 0, ram + 0x1000, 0x1000, &ring),
			 0);
	snprintf(config, sizeof(config),
		 "model = \"rng\"; transport = { type = \"settled\";"
		 "memory_fd = %d; kick_fd = %d; call_fd = %d; size = 16;"
		 "desc = %d; driver = %d; device = %d; };",
		 ram_fd, kick, call, (int)guest_ring_desc(ring),
		 (int)guest_ring_driver(ring), (int)guest_ring_device(ring));
	ck_assert_int_eq(pvio_device_create("example", config, worker, &worker,
					    1, &dev),
			 0);
	ck_assert_int_eq(pvio_device_start(dev), 0);

	ck_assert_int_eq(guest_ring_add(ring, &seg, 0, 1, ring), 0);
	ck_assert(guest_ring_publish(ring));
	ck_assert_int_eq(eventfd_write(kick, 1), 0);
	while (poll(&notified, 1, 0) == 0)
		ck_assert(pvio_worker_wait(worker, 10000));
	ck_assert_ptr_eq(guest_ring_reap(ring, &written), ring);
	ck_assert_uint_eq(written, 64);

	pvio_device_destroy(dev);
	dev = NULL;
	guest_ring_destroy(ring);
	munmap(ram, 0x10000);
	close(ram_fd);
	close(kick);
	close(call);
}
END_TEST

CHECK_MAIN("examples", setup, teardown, the_model_answers_in_capitals,
	   the_model_refuses_a_bad_key,
	   the_backend_reads_as_offsets_and_takes_no_writes,
	   the_transport_serves_a_guest_that_shares_memory)
