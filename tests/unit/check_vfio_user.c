/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vfio_user.c - the vfio-user server, with a client that means well
 *
 * Driver and client are guest/device-vfio-user.c; where a test is about the
 * messages themselves it sends its own on the same connection.
 */
#include "tests/vfio-user-rig.h"
/* It has a rig of its own by that name: last. */
#include "tests/socket-disk.h"

#include <errno.h>
#include <json-c/json.h>
#include <linux/virtio_pci.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define BAR_VIRTIO   4
#define ISR_OFFSET   0x1000
#define DISK_BYTES   16384
#define STATUS_INTX  0x08 /* of configuration byte 6 */
#define TRIGGER	     (VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_TRIGGER)
#define UNMASK	     (VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_UNMASK)

static struct guest_device *gd;
static struct disk_buffer *buffer;
static uint64_t buffer_gpa;

/* A device of that transport, on this thread, and its client. */
static void begin(const char *keys, const char *transport,
		  struct guest_pci_options options)
{
	char model[256];

	snprintf(model, sizeof(model), "%s %s", MEMORY_DISK, keys);
	rig_init(&rig, model, transport);
	rig_start(&rig);
	gd = rig_open_with(&rig, options);
}

static void drive_with(uint64_t features, uint16_t size)
{
	const uint64_t bits[2] = {
		features | PVIO_BIT(VIRTIO_F_ACCESS_PLATFORM), 0
	};

	ck_assert_int_eq(guest_device_negotiate(gd, bits), 0);
	ck_assert_int_eq(guest_device_setup_queue(gd, 0, size), 0);
	ck_assert_int_eq(guest_device_start(gd), 0);
	buffer = disk_buffer(&buffer_gpa);
}

static void drive(uint64_t features)
{
	drive_with(features, 64);
}

static void begin_driven(void)
{
	begin("", "", (struct guest_pci_options){ .intx = false });
	drive(0);
}

static void end(void)
{
	guest_device_close(gd);
	rig_fini(&rig);
}

/* Write, and read back, @seed's bytes. */
static void expect_io(uint32_t seed)
{
	static uint8_t wanted[DISK_BYTES];

	fill(wanted, sizeof(wanted), seed);
	memcpy(buffer->data, wanted, sizeof(wanted));
	ck_assert_int_eq(disk_request(gd, 0, buffer, buffer_gpa,
				      VIRTIO_BLK_T_OUT, seed % 64, DISK_BYTES),
			 VIRTIO_BLK_S_OK);
	memset(buffer->data, 0, DISK_BYTES);
	ck_assert_int_eq(disk_request(gd, 0, buffer, buffer_gpa,
				      VIRTIO_BLK_T_IN, seed % 64, DISK_BYTES),
			 VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(buffer->data, wanted, DISK_BYTES);
}

static int event_fd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* How often was it signalled since we last looked? */
static uint64_t signals(int fd)
{
	uint64_t count = 0;

	rig_settle(&rig);
	if (read(fd, &count, sizeof(count)) < 0)
		ck_assert_int_eq(errno, EAGAIN);
	return count;
}

/* A number of the connection's statistics. */
static int64_t stat_of(const char *key)
{
	struct json_object *json, *connection, *value;
	int64_t number;
	char *text;

	ck_assert_int_eq(pvio_device_stats(rig.dev, false, &text), 0);
	json = json_tokener_parse(text);
	free(text);
	ck_assert(json_object_object_get_ex(json, "connection", &connection));
	ck_assert_msg(json_object_object_get_ex(connection, key, &value),
		      "no %s", key);
	number = json_object_get_int64(value);
	json_object_put(json);
	return number;
}

/* --- requests ------------------------------------------------------------ */

START_TEST(requests_are_served)
{
	begin("", "", (struct guest_pci_options){ .intx = _i & 1 });
	drive(rings[_i / 2]);
	expect_io(1);
	expect_io(2);
	ck_assert(!guest_device_is_broken(gd));
	end();
}
END_TEST

START_TEST(platform_access_is_offered_unless_refused)
{
	uint64_t bits[2];

	begin("", "", (struct guest_pci_options){ .intx = false });
	guest_device_features(gd, bits);
	ck_assert(bits[0] >> VIRTIO_F_ACCESS_PLATFORM & 1);
	end();
	begin("", "access_platform = false;",
	      (struct guest_pci_options){ .intx = false });
	guest_device_features(gd, bits);
	ck_assert(!(bits[0] >> VIRTIO_F_ACCESS_PLATFORM & 1));
	end();
}
END_TEST

/* --- doorbells ----------------------------------------------------------- */

START_TEST(trapped_kick_is_a_message)
{
	int64_t before;

	begin_driven();
	ck_assert(!guest_device_vfio_user_is_mapped(gd));
	before = stat_of("messages");
	expect_io(3);
	ck_assert_int_eq(stat_of("messages"), before + 2);
	end();
}
END_TEST

/* Workers that poll for ever, or sleep and are woken by the clock. */
START_TEST(kick_on_a_mapped_page_is_no_message)
{
	int64_t before;

	begin(_i ? "poll_us = 0;" : "", "doorbell = \"poll\";",
	      (struct guest_pci_options){ .intx = false });
	ck_assert_int_eq(pvio_worker_start(rig.worker), 0);
	drive(0);
	ck_assert(guest_device_vfio_user_is_mapped(gd));
	pvio_worker_stop(rig.worker);
	before = stat_of("messages");
	ck_assert_int_eq(pvio_worker_start(rig.worker), 0);
	expect_io(4);
	pvio_worker_stop(rig.worker);
	ck_assert_int_eq(stat_of("messages"), before);
	end();
}
END_TEST

START_TEST(mapped_page_is_all_of_the_file_that_there_will_be)
{
	struct guest_vfu_region region;

	begin("", "doorbell = \"poll\";",
	      (struct guest_pci_options){ .intx = false });
	ck_assert_int_eq(guest_vfu_region_info(guest_device_vfu(gd), BAR_VIRTIO,
					       &region),
			 0);
	ck_assert(region.flags & VFU_REGION_MAPPABLE);
	ck_assert_uint_eq(region.nr_areas, 1);
	ck_assert_uint_eq(region.area[0].size, 4096);
	ck_assert_int_eq(ftruncate(region.fd, 0), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(ftruncate(region.fd, (off_t)region.size * 2), -1);
	ck_assert_int_eq(errno, EPERM);
	close(region.fd);
	/* The registers next to it are trapped. */
	ck_assert_int_eq(guest_vfu_region_info(guest_device_vfu(gd), 0,
					       &region),
			 0);
	ck_assert_int_eq(region.fd, -1);
	end();
}
END_TEST

/* --- INTx ---------------------------------------------------------------- */

static uint8_t intx_status(void)
{
	uint8_t status;

	ck_assert_int_eq(guest_vfu_read(guest_device_vfu(gd),
					VFU_REGION_CONFIG, 6, &status, 1),
			 0);
	return status & STATUS_INTX;
}

static uint8_t read_isr(void)
{
	uint8_t isr;

	ck_assert_int_eq(guest_vfu_read(guest_device_vfu(gd), BAR_VIRTIO,
					ISR_OFFSET, &isr, 1),
			 0);
	return isr;
}

static void set_intx(uint32_t flags, int fd)
{
	ck_assert_int_eq(guest_vfu_set_irqs(guest_device_vfu(gd), flags,
					    VFU_IRQ_INTX, 0, 1, &fd,
					    fd < 0 ? 0 : 1),
			 0);
}

/* The configuration changes: the line goes up. */
static void raise_line(void)
{
	static bool is_small;
	char answer[64];

	is_small = !is_small;
	ck_assert_int_eq(pvio_device_command(rig.dev, "resize",
					     is_small ? "512K" : "1M", answer,
					     sizeof(answer)),
			 0);
}

static int begin_intx(void)
{
	int fd = event_fd();

	begin("", "", (struct guest_pci_options){ .intx = true });
	drive(0);
	set_intx(TRIGGER, fd);
	return fd;
}

START_TEST(line_is_told_once_until_it_is_unmasked)
{
	int fd = begin_intx();

	raise_line();
	ck_assert_uint_ne(intx_status(), 0);
	ck_assert_uint_eq(signals(fd), 1);
	/* Handled, and up again, before the client unmasks it. */
	ck_assert_uint_eq(read_isr(), 2);
	ck_assert_uint_eq(intx_status(), 0);
	raise_line();
	ck_assert_uint_eq(signals(fd), 0);
	set_intx(UNMASK, -1);
	ck_assert_uint_eq(signals(fd), 1);
	/* Not handled when it is unmasked: it is up, so it is told. */
	set_intx(UNMASK, -1);
	ck_assert_uint_eq(signals(fd), 1);
	ck_assert_uint_eq(read_isr(), 2);
	set_intx(UNMASK, -1);
	ck_assert_uint_eq(signals(fd), 0);
	close(fd);
	end();
}
END_TEST

START_TEST(line_is_unmasked_by_an_eventfd)
{
	int fd = begin_intx(), unmask = event_fd();
	const uint64_t one = 1;

	set_intx(VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_UNMASK, unmask);
	raise_line();
	ck_assert_uint_eq(signals(fd), 1);
	ck_assert_int_eq(write(unmask, &one, sizeof(one)), sizeof(one));
	ck_assert_uint_eq(signals(fd), 1);
	read_isr();
	ck_assert_int_eq(write(unmask, &one, sizeof(one)), sizeof(one));
	ck_assert_uint_eq(signals(fd), 0);
	close(fd);
	close(unmask);
	end();
}
END_TEST

START_TEST(masked_line_is_told_when_it_is_unmasked)
{
	int fd = begin_intx();

	set_intx(VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_MASK, -1);
	raise_line();
	ck_assert_uint_eq(signals(fd), 0);
	set_intx(UNMASK, -1);
	ck_assert_uint_eq(signals(fd), 1);
	close(fd);
	end();
}
END_TEST

START_TEST(line_that_is_up_is_told_to_a_new_eventfd)
{
	int fd = begin_intx(), other = event_fd();

	set_intx(TRIGGER, -1);
	raise_line();
	ck_assert_uint_eq(signals(fd), 0);
	set_intx(TRIGGER, other);
	ck_assert_uint_eq(signals(other), 1);
	close(fd);
	close(other);
	end();
}
END_TEST

/* --- memory -------------------------------------------------------------- */

#define RW (VFU_DMA_READABLE | VFU_DMA_WRITABLE)

static void map_piece(const struct guest_region *r, uint64_t at, uint64_t bytes)
{
	ck_assert_int_eq(guest_vfu_dma_map(guest_device_vfu(gd), RW,
					   r->gpa + at, bytes, r->fd, at),
			 0);
}

static void unmap(uint64_t gpa, uint64_t bytes)
{
	ck_assert_int_eq(guest_vfu_dma_unmap(guest_device_vfu(gd), 0, gpa,
					     bytes),
			 0);
}

/* Rings and buffers in pages of their own, as a vIOMMU maps them. */
START_TEST(queue_goes_on_when_its_memory_comes_back_in_pieces)
{
	const struct guest_region *r;
	uint64_t at;

	begin_driven();
	expect_io(5);
	r = &rig.mem.region[0];
	unmap(r->gpa, r->size);
	ck_assert(!guest_device_is_broken(gd));
	for (at = 0; at < r->size / 2; at += 4096)
		map_piece(r, r->size / 2 - 4096 - at, 4096);
	map_piece(r, r->size / 2, r->size / 2);
	ck_assert_int_eq(stat_of("dma_maps"), 1 + (int64_t)r->size / 8192 + 1);
	expect_io(6);
	ck_assert(!guest_device_is_broken(gd));
	end();
}
END_TEST

#define SCATTERED(page) ((page) ^ 1)

/* Let neighbours in the guest's memory be strangers in its file. */
static void scatter_memory(struct guest_region *r)
{
	int fd = memfd_create("scattered", MFD_CLOEXEC);
	uint64_t i;

	ck_assert_int_eq(ftruncate(fd, (off_t)r->size), 0);
	for (i = 0; i < r->size / 4096; i++)
		ck_assert_ptr_ne(mmap(r->host + i * 4096, 4096,
				      PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_FIXED, fd,
				      (off_t)(SCATTERED(i) * 4096)),
				 MAP_FAILED);
	close(r->fd);
	r->fd = fd;
}

/* What a vIOMMU makes of a ring whose pages the guest took where it could. */
START_TEST(ring_may_be_scattered_over_pages)
{
	struct guest_region *r;
	uint64_t i;

	rig_init(&rig, MEMORY_DISK " queue_size = 1024;", "");
	r = &rig.mem.region[0];
	scatter_memory(r);
	rig_start(&rig);
	gd = rig_open(&rig);
	unmap(r->gpa, r->size);
	for (i = 0; i < r->size / 4096; i++)
		ck_assert_int_eq(guest_vfu_dma_map(guest_device_vfu(gd), RW,
						   r->gpa + i * 4096, 4096,
						   r->fd, SCATTERED(i) * 4096),
				 0);
	drive_with(rings[_i], 1024);
	expect_io(15);
	/* It is put together anew from other pieces. */
	unmap(r->gpa, r->size);
	for (i = r->size / 4096; i-- > 0;)
		ck_assert_int_eq(guest_vfu_dma_map(guest_device_vfu(gd), RW,
						   r->gpa + i * 4096, 4096,
						   r->fd, SCATTERED(i) * 4096),
				 0);
	expect_io(16);
	ck_assert(!guest_device_is_broken(gd));
	end();
}
END_TEST

START_TEST(unmap_takes_what_is_within_and_splits_nothing)
{
	const struct guest_region *r;

	begin_driven();
	r = &rig.mem.region[1];
	ck_assert_int_eq(guest_vfu_dma_unmap(guest_device_vfu(gd), 0, r->gpa,
					     r->size / 2),
			 -EINVAL);
	unmap(r->gpa, r->size);
	map_piece(r, 0, 4096);
	map_piece(r, 8192, 4096);
	unmap(r->gpa - 4096, r->size);
	ck_assert_int_eq(stat_of("dma_maps"), 1);
	/* What never was there is gone, too. */
	unmap(1ULL << 40, 1ULL << 30);
	expect_io(7);
	end();
}
END_TEST

START_TEST(memory_without_a_file_costs_running_queues_nothing)
{
	int64_t before;

	begin_driven();
	expect_io(8);
	before = stat_of("dma_maps");
	ck_assert_int_eq(guest_vfu_dma_map(guest_device_vfu(gd), RW, 0xc0000,
					   0x20000, -1, 0),
			 0);
	ck_assert_int_eq(stat_of("dma_maps"), before + 1);
	ck_assert_int_eq(guest_vfu_dma_map(guest_device_vfu(gd), RW, 0xd0000,
					   0x1000, -1, 0),
			 -EEXIST);
	unmap(0xc0000, 0x20000);
	expect_io(9);
	end();
}
END_TEST

static void *remap_again_and_again(void *arg)
{
	const struct guest_region *r = &rig.mem.region[1];
	int i;

	(void)arg;
	for (i = 0; i < 100; i++) {
		unmap(r->gpa, r->size);
		map_piece(r, 0, r->size);
	}
	return NULL;
}

START_TEST(requests_survive_memory_that_changes_next_to_them)
{
	pthread_t thread;
	uint32_t i;

	begin_driven();
	ck_assert_int_eq(pvio_worker_start(rig.worker), 0);
	pthread_create(&thread, NULL, remap_again_and_again, NULL);
	for (i = 0; i < 100; i++)
		expect_io(i);
	pthread_join(thread, NULL);
	pvio_worker_stop(rig.worker);
	ck_assert(!guest_device_is_broken(gd));
	end();
}
END_TEST

/* As pviod has it: nobody's thread is another's. */
START_TEST(queues_on_workers_of_their_own_serve)
{
	struct pvio_worker *workers[2];
	char config[512];
	pthread_t thread;
	uint32_t i;

	rig_init(&rig, MEMORY_DISK, "");
	pvio_device_destroy(rig.dev);
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(pvio_worker_create("queues", &workers[i]), 0);
		ck_assert_int_eq(pvio_worker_start(workers[i]), 0);
	}
	snprintf(config, sizeof(config), "%s transport = { %s };", MEMORY_DISK,
		 rig_transport(&rig));
	ck_assert_int_eq(pvio_device_create("vfu0", config, rig.worker, workers,
					    2, &rig.dev),
			 0);
	rig_start(&rig);
	ck_assert_int_eq(pvio_worker_start(rig.worker), 0);
	gd = rig_open_with(&rig, (struct guest_pci_options){ .intx = _i });
	drive(0);
	pthread_create(&thread, NULL, remap_again_and_again, NULL);
	for (i = 0; i < 50; i++)
		expect_io(i);
	pthread_join(thread, NULL);
	guest_device_vfio_user_vanish(gd);
	ck_assert_int_eq(guest_device_vfio_user_return(gd, rig.path), 0);
	expect_io(50);
	ck_assert(!guest_device_is_broken(gd));
	guest_device_close(gd);
	pvio_worker_stop(rig.worker);
	pvio_device_destroy(rig.dev);
	rig.dev = NULL;
	for (i = 0; i < 2; i++)
		pvio_worker_destroy(workers[i]);
	rig_fini(&rig);
}
END_TEST

/* --- clients that come and go -------------------------------------------- */

START_TEST(client_that_returns_finds_its_device)
{
	begin_driven();
	expect_io(10);
	guest_device_vfio_user_vanish(gd);
	rig_settle(&rig);
	ck_assert_int_eq(stat_of("connected"), 0);
	ck_assert_int_eq(guest_device_vfio_user_return(gd, rig.path), 0);
	expect_io(11);
	ck_assert_int_eq(stat_of("connections"), 2);
	ck_assert(!guest_device_is_broken(gd));
	end();
}
END_TEST

START_TEST(interrupt_while_nobody_is_there_is_delivered_later)
{
	unsigned int before;

	begin_driven();
	before = guest_device_config_changes(gd);
	guest_device_vfio_user_vanish(gd);
	rig_settle(&rig);
	raise_line();
	rig_settle(&rig);
	ck_assert_uint_eq(guest_device_config_changes(gd), before);
	ck_assert_int_eq(guest_device_vfio_user_return(gd, rig.path), 0);
	rig_settle(&rig);
	expect_io(12);
	ck_assert_uint_eq(guest_device_config_changes(gd), before + 1);
	end();
}
END_TEST

START_TEST(stopped_device_starts_again_with_a_driver_that_begins_anew)
{
	begin_driven();
	expect_io(13);
	pvio_device_stop(rig.dev);
	ck_assert_int_ne(access(rig.path, F_OK), 0);
	guest_device_close(gd);
	rig_start(&rig);
	gd = rig_open(&rig);
	drive(0);
	expect_io(14);
	end();
}
END_TEST

static uint64_t read_common(struct guest_vfu *vfu, uint64_t offset, size_t len)
{
	uint64_t value = 0;

	ck_assert_int_eq(guest_vfu_read(vfu, BAR_VIRTIO, offset, &value, len),
			 0);
	return value;
}

START_TEST(stopped_device_comes_up_reset)
{
	struct guest_vfu vfu;

	begin_driven();
	ck_assert_uint_ne(read_common(guest_device_vfu(gd),
				      VIRTIO_PCI_COMMON_STATUS, 1),
			  0);
	pvio_device_stop(rig.dev);
	rig_start(&rig);
	ck_assert_int_eq(guest_vfu_connect(&vfu, rig.path, rig.worker), 0);
	ck_assert_int_eq(guest_vfu_version(&vfu, NULL), 0);
	ck_assert_uint_eq(read_common(&vfu, VIRTIO_PCI_COMMON_STATUS, 1), 0);
	ck_assert_uint_eq(read_common(&vfu, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	guest_vfu_close(&vfu);
	end();
}
END_TEST

START_TEST(connected_socket_can_be_inherited)
{
	char transport[64];
	struct guest_vfu vfu;
	int fds[2];

	rig_init(&rig, MEMORY_DISK, "");
	pvio_device_destroy(rig.dev);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
				    fds),
			 0);
	snprintf(transport, sizeof(transport), "type = \"vfio-user\"; fd = %d;",
		 fds[0]);
	rig_device(&rig, MEMORY_DISK, transport);
	rig_start(&rig);
	guest_vfu_adopt(&vfu, fds[1], rig.worker);
	ck_assert_int_eq(guest_vfu_version(&vfu, NULL), 0);
	guest_vfu_close(&vfu);
	rig_fini(&rig);
}
END_TEST

int main(void)
{
	const TTest *const once[] = {
		platform_access_is_offered_unless_refused,
		trapped_kick_is_a_message,
		mapped_page_is_all_of_the_file_that_there_will_be,
		line_is_told_once_until_it_is_unmasked,
		line_is_unmasked_by_an_eventfd,
		masked_line_is_told_when_it_is_unmasked,
		line_that_is_up_is_told_to_a_new_eventfd,
		queue_goes_on_when_its_memory_comes_back_in_pieces,
		unmap_takes_what_is_within_and_splits_nothing,
		memory_without_a_file_costs_running_queues_nothing,
		requests_survive_memory_that_changes_next_to_them,
		client_that_returns_finds_its_device,
		interrupt_while_nobody_is_there_is_delivered_later,
		stopped_device_starts_again_with_a_driver_that_begins_anew,
		stopped_device_comes_up_reset,
		connected_socket_can_be_inherited,
	};
	Suite *suite = suite_create("vfio_user");
	TCase *tc = tcase_create("vfio_user");
	size_t i;

	tcase_set_timeout(tc, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, requests_are_served, 0, 2 * NR_RINGS);
	tcase_add_loop_test(tc, ring_may_be_scattered_over_pages, 0, NR_RINGS);
	tcase_add_loop_test(tc, queues_on_workers_of_their_own_serve, 0, 2);
	tcase_add_loop_test(tc, kick_on_a_mapped_page_is_no_message, 0, 2);
	for (i = 0; i < pvio_array_size(once); i++)
		tcase_add_test(tc, once[i]);
	suite_add_tcase(suite, tc);
	return check_suite(suite);
}
