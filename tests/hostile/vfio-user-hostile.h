/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-hostile.h - the bad client, and what must hold after it
 *
 * A test speaks through `vfu`, a raw connection.  The fixture's end then closes
 * it and checks the invariants: descriptors and mappings are back to where they
 * were, the device next to it has not noticed, and a well-behaved client is
 * served.
 */
#ifndef PVIO_TESTS_VFIO_USER_HOSTILE_H
#define PVIO_TESTS_VFIO_USER_HOSTILE_H

#include "core/barrier.h"
#include "tests/check_main.h"
#include "tests/vfio-user-rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct rig rig, next_door;
static struct guest_device *next_door_gd;
static struct guest_vfu vfu;
static unsigned int fds_before, maps_before;

#define HOSTILE_RING_SIZE 16u
#define HOSTILE_NR_BARS	  6

/* Our function (transports/pci): what a client finds by looking. */
#define BAR_COMMON 4
#define NOTIFY	   0x3000

#define IRQ_ASSIGN (VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_TRIGGER)
#define DMA_RW	   (VFU_DMA_READABLE | VFU_DMA_WRITABLE)

static inline void quiet(void *arg, enum pvio_log_level level,
			 const char *message)
{
	(void)arg;
	(void)level;
	if (getenv("HOSTILE_VERBOSE"))
		fprintf(stderr, "%s\n", message);
}

/* --- answers (hostile-input words) --------------------------------------- */

/* Done. */
#define expect_ok(call) ck_assert_int_eq((call), 0)
/* Refused with that error, and the connection lives. */
#define expect_refused(err, call)                \
	do {                                     \
		ck_assert_int_eq((call), -(err)); \
		expect_alive();                  \
	} while (0)
/* CLOSE: the connection is gone. */
#define expect_close(call)                                              \
	do {                                                            \
		int rc_ = (call);                                       \
		ck_assert_msg(rc_ == 0 || rc_ == -EPIPE, "sending: %s", \
			      strerror(-rc_));                          \
		expect_closed();                                        \
	} while (0)

static inline void expect_alive(void)
{
	struct vfu_device_info info;

	ck_assert_int_eq(guest_vfu_device_info(&vfu, &info), 0);
	ck_assert(info.flags & VFU_DEVICE_PCI);
}

static inline void expect_closed(void)
{
	struct guest_vfu_reply reply;
	int rc;

	do {
		rc = guest_vfu_receive(&vfu, &reply, 5000);
		if (rc == 0)
			guest_vfu_close_fds(&reply);
	} while (rc == 0);
	ck_assert_int_eq(rc, -EPIPE);
}

/* --- making a connection ------------------------------------------------- */

static inline void hostile_dial(void)
{
	ck_assert_int_eq(guest_vfu_connect(&vfu, rig.path, rig.worker), 0);
}

static inline void hostile_connect(void)
{
	hostile_dial();
	expect_ok(guest_vfu_version(&vfu, NULL));
}

static inline void hostile_hang_up(void)
{
	guest_vfu_close(&vfu);
	rig_settle(&rig);
}

/* Connected, and memory set. */
static inline void hostile_ready(void)
{
	hostile_connect();
	expect_ok(guest_vfu_map_memory(&vfu, &rig.mem));
}

static inline int hostile_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static inline int hostile_memfd(uint64_t bytes)
{
	int fd = memfd_create("pvio-hostile", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

/* --- raw messages -------------------------------------------------------- */

static inline struct vfu_header header(uint16_t command, uint32_t flags, uint32_t size)
{
	return (struct vfu_header){
		.id = 7, .command = command, .size = size, .flags = flags
	};
}

/* Every command of a client, with the payload it has at least. */
struct hostile_command {
	uint16_t command;
	uint32_t bytes;
};
static const struct hostile_command commands[] = {
	{ VFU_DMA_MAP, sizeof(struct vfu_dma_map) },
	{ VFU_DMA_UNMAP, sizeof(struct vfu_dma_unmap) },
	{ VFU_DEVICE_GET_INFO, sizeof(struct vfu_device_info) },
	{ VFU_GET_REGION_INFO, sizeof(struct vfu_region_info) },
	{ VFU_GET_IRQ_INFO, sizeof(struct vfu_irq_info) },
	{ VFU_SET_IRQS, sizeof(struct vfu_irq_set) },
	{ VFU_REGION_READ, sizeof(struct vfu_region_access) },
	{ VFU_REGION_WRITE, sizeof(struct vfu_region_access) },
};
#define NR_COMMANDS ((int)pvio_array_size(commands))

/* Some that we do not have, or that are the server's. */
static const uint16_t strangers[] = {
	0,  VFU_DMA_READ, VFU_DMA_WRITE, VFU_DIRTY_PAGES,
	19, 0x7fff,	  0xffff,
};
#define NR_STRANGERS ((int)pvio_array_size(strangers))

/* --- a driver of few words ----------------------------------------------- */

static inline void common_write(uint64_t offset, uint64_t value, size_t len)
{
	value = htole64(value);
	expect_ok(guest_vfu_write(&vfu, BAR_COMMON, offset, &value, len));
}

static inline uint64_t common_read(uint64_t offset, size_t len)
{
	uint64_t value = 0;

	expect_ok(guest_vfu_read(&vfu, BAR_COMMON, offset, &value, len));
	return le64toh(value);
}

static inline uint8_t hostile_status(void)
{
	return (uint8_t)common_read(VIRTIO_PCI_COMMON_STATUS, 1);
}

/* Read what is at @offset of configuration space. */
static inline uint32_t config_read(uint64_t offset, size_t len)
{
	uint32_t value = 0;

	expect_ok(guest_vfu_read(&vfu, VFU_REGION_CONFIG, offset, &value, len));
	return le32toh(value);
}

static inline void config_write(uint64_t offset, uint32_t value, size_t len)
{
	value = htole32(value);
	expect_ok(guest_vfu_write(&vfu, VFU_REGION_CONFIG, offset, &value,
				  len));
}

/* Memory and bus mastering on; the device accepts VERSION_1. */
static inline void hostile_negotiate(void)
{
	config_write(4, 0x6, 2);
	common_write(VIRTIO_PCI_COMMON_STATUS, 0, 1);
	while (hostile_status() != 0)
		;
	common_write(VIRTIO_PCI_COMMON_STATUS, 1, 1);
	common_write(VIRTIO_PCI_COMMON_STATUS, 3, 1);
	common_write(VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
	common_write(VIRTIO_PCI_COMMON_GF, 1, 4);
	common_write(VIRTIO_PCI_COMMON_STATUS, 11, 1);
	ck_assert_uint_eq(hostile_status(), 11);
}

/* Queue 0 at @gpa: descriptors, available, used, a page each; DRIVER_OK. */
static inline void hostile_start_ring(uint64_t gpa)
{
	common_write(VIRTIO_PCI_COMMON_Q_SELECT, 0, 2);
	common_write(VIRTIO_PCI_COMMON_Q_SIZE, HOSTILE_RING_SIZE, 2);
	common_write(VIRTIO_PCI_COMMON_Q_DESCLO, gpa, 4);
	common_write(VIRTIO_PCI_COMMON_Q_DESCHI, gpa >> 32, 4);
	common_write(VIRTIO_PCI_COMMON_Q_AVAILLO, gpa + 0x1000, 4);
	common_write(VIRTIO_PCI_COMMON_Q_AVAILHI, gpa >> 32, 4);
	common_write(VIRTIO_PCI_COMMON_Q_USEDLO, gpa + 0x2000, 4);
	common_write(VIRTIO_PCI_COMMON_Q_USEDHI, gpa >> 32, 4);
	common_write(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
	common_write(VIRTIO_PCI_COMMON_STATUS, 15, 1);
}

/* Make a 64-byte buffer at @gpa available as entry @n of the ring in @ram. */
static inline void hostile_submit(uint8_t *ram, uint64_t gpa, uint16_t n)
{
	struct vring_desc *desc = (struct vring_desc *)ram;
	struct vring_avail *avail = (struct vring_avail *)(ram + 0x1000);
	const uint16_t queue = 0;

	desc[n % HOSTILE_RING_SIZE] = (struct vring_desc){
		.addr = htole64(gpa),
		.len = htole32(64),
		.flags = htole16(VRING_DESC_F_WRITE),
	};
	avail->ring[n % HOSTILE_RING_SIZE] = htole16(n % HOSTILE_RING_SIZE);
	pvio_store_release(&avail->idx, htole16((uint16_t)(n + 1)));
	expect_ok(guest_vfu_post(&vfu, BAR_COMMON, NOTIFY, &queue,
				 sizeof(queue)));
}

/* Wait until @n buffers are used; the length written to the last of them. */
static inline uint32_t hostile_wait_used(uint8_t *ram, uint16_t n)
{
	struct vring_used *used = (struct vring_used *)(ram + 0x2000);
	uint64_t end = pvio_now_ns() + 5000000000ULL;

	while (le16toh(pvio_load_acquire(&used->idx)) != n) {
		ck_assert_msg(pvio_now_ns() < end, "not served");
		pvio_worker_step(rig.worker);
	}
	return le32toh(used->ring[(n - 1) % HOSTILE_RING_SIZE].len);
}

/* A connection whose queue 0 is in the rig's first region, and serves. */
static inline void hostile_serving(void)
{
	hostile_ready();
	hostile_negotiate();
	memset(rig.mem.region[0].host, 0, 0x4000);
	hostile_start_ring(RIG_RAM_GPA);
}

static inline void hostile_expect_served(uint16_t n)
{
	uint8_t *ram = rig.mem.region[0].host;

	hostile_submit(ram, RIG_RAM_GPA + 0x3000, n);
	ck_assert_uint_eq(hostile_wait_used(ram, (uint16_t)(n + 1)), 64);
}

/* --- fixture ------------------------------------------------------------- */

/* The other device: of another guest, on the same worker. */
static inline void next_door_begin(void)
{
	char transport[192];

	memset(&next_door, 0, sizeof(next_door));
	next_door.worker = rig.worker;
	snprintf(next_door.path, sizeof(next_door.path), "%s/n", rig.dir);
	snprintf(transport, sizeof(transport),
		 "type = \"vfio-user\"; socket = \"%s\";", next_door.path);
	rig_device(&next_door, "model = \"rng\";", transport);
	guest_memory_init(&next_door.mem);
	ck_assert_int_eq(guest_memory_add(&next_door.mem, RIG_RAM_GPA,
					  RIG_RAM_BYTES),
			 0);
	rig_start(&next_door);
	next_door_gd = rig_open(&next_door);
	rig_bring_up(next_door_gd, 0, 1, 16);
}

static inline void next_door_end(void)
{
	rig_expect_entropy(&next_door, next_door_gd);
	ck_assert(!guest_device_is_broken(next_door_gd));
	guest_device_close(next_door_gd);
	rig_settle(&rig);
	pvio_device_destroy(next_door.dev);
	guest_memory_fini(&next_door.mem);
}

static inline void hostile_begin(const char *model, const char *transport)
{
	pvio_log_set(quiet, NULL, PVIO_LOG_DEBUG);
	rig_init(&rig, model, transport);
	rig_start(&rig);
	next_door_begin();
	rig_settle(&rig);
	vfu.fd = -1;
	fds_before = rig_count_fds();
	maps_before = rig_count_maps();
}

static inline void hostile_expect_census(void)
{
	rig_expect_fds(&rig, fds_before);
	ck_assert_uint_eq(rig_count_maps(), maps_before);
}

/* The invariants: I1 and I4, and I7 by the neighbour and a good client. */
static inline void hostile_end(void)
{
	struct guest_device *gd;

	hostile_hang_up();
	hostile_expect_census();

	guest_alloc_reset(&rig.mem);
	gd = rig_open(&rig);
	rig_bring_up(gd, 0, 1, 16);
	if (pvio_device_id(rig.dev) == VIRTIO_ID_RNG)
		rig_expect_entropy(&rig, gd);
	guest_device_close(gd);
	rig_settle(&rig);
	hostile_expect_census();
	next_door_end();
	rig_fini(&rig);
}

static inline void setup(void)
{
	hostile_begin("model = \"rng\";", "timeout_ms = 200;");
}

static inline void teardown(void)
{
	hostile_end();
}

/* --- main ---------------------------------------------------------------- */

struct hostile_test {
	const TTest *test;
	int loops; /* 0: once */
};

static inline int hostile_main(const char *name, void (*begin)(void),
			       void (*end)(void),
			       const struct hostile_test *tests, size_t nr)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	size_t i;

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, begin, end);
	for (i = 0; i < nr; i++)
		tcase_add_loop_test(tcase, tests[i].test, 0,
				    tests[i].loops ? tests[i].loops : 1);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}

#endif
