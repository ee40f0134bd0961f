/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vfio_user_threads.c - a vfio-user server whose queues are served by
 * threads of their own, while its client changes everything under them
 *
 * The driver writes and reads blocks; at the same time the client, from another
 * thread and on the same connection, maps and unmaps other memory, takes
 * interrupts away and gives them back, and asks for what there is.
 */
#include "core/barrier.h"
#include "tests/check_main.h"
#include "tests/vfio-user-rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define NR_QUEUES   2u
#define ROUNDS	    150
#define BLOCK_BYTES 4096u
#define FREE_GPA    0x200000000ull
#define MAP_BYTES   0x10000u
#define WAIT_MS	    20000
#define NOTIFY	    0x3000 /* of region 4 */

static struct rig rig;
static struct pvio_worker *workers[NR_QUEUES];
static struct guest_device *gd;
/* Held while there is no connection: nobody kicks. */
static pthread_mutex_t kick_lock = PTHREAD_MUTEX_INITIALIZER;

struct request {
	struct virtio_blk_outhdr header;
	uint8_t status;
	uint8_t data[BLOCK_BYTES] __attribute__((aligned(4096)));
};

struct driver {
	pthread_t thread;
	unsigned int q;
	struct request *r;
	unsigned int wrong;
	bool is_done; /* atomic */
};

static void quiet(void *arg, enum pvio_log_level level, const char *message)
{
	(void)arg;
	(void)level;
	(void)message;
}

static const char *const doorbells[] = { "trap", "poll" };

static void begin(const char *doorbell, uint64_t features)
{
	char config[512];
	unsigned int i;

	pvio_log_set(quiet, NULL, PVIO_LOG_DEBUG);
	rig_init(&rig, "model = \"rng\";", "");
	pvio_device_destroy(rig.dev);
	for (i = 0; i < NR_QUEUES; i++) {
		ck_assert_int_eq(pvio_worker_create("queue", &workers[i]), 0);
		ck_assert_int_eq(pvio_worker_start(workers[i]), 0);
	}
	snprintf(config, sizeof(config),
		 "model = \"block\"; queues = %u; poll_us = 0; "
		 "backend = { type = \"memory\"; size = \"1M\"; }; "
		 "transport = { %s doorbell = \"%s\"; };",
		 NR_QUEUES, rig_transport(&rig), doorbell);
	ck_assert_int_eq(pvio_device_create("vu0", config, rig.worker, workers,
					    NR_QUEUES, &rig.dev),
			 0);
	rig_start(&rig);
	ck_assert_int_eq(pvio_worker_start(rig.worker), 0);
	gd = rig_open(&rig);
	rig_bring_up(gd, features, NR_QUEUES, 16);
}

static void end(void)
{
	unsigned int i;

	guest_device_close(gd);
	pvio_worker_stop(rig.worker);
	pvio_device_destroy(rig.dev);
	for (i = 0; i < NR_QUEUES; i++)
		pvio_worker_destroy(workers[i]);
	pvio_worker_destroy(rig.worker);
	guest_memory_fini(&rig.mem);
	rmdir(rig.dir);
}

/* --- the driver ----------------------------------------------------------- */

/* Waits by looking: while its interrupt is somebody else's, none comes. */
static bool driver_reap(struct driver *d)
{
	uint64_t limit = pvio_now_ns() + WAIT_MS * 1000000ull;
	struct guest_ring *ring = guest_device_ring(gd, d->q);
	uint32_t len;

	while (!guest_ring_reap(ring, &len)) {
		if (pvio_now_ns() > limit)
			return false;
		sched_yield();
	}
	return d->r->status == VIRTIO_BLK_S_OK;
}

static bool driver_do(struct driver *d, uint32_t type, uint64_t sector)
{
	uint64_t gpa = guest_gpa(&rig.mem, d->r);
	struct guest_segment seg[3] = {
		{ gpa + offsetof(struct request, header), 16 },
		{ gpa + offsetof(struct request, data), BLOCK_BYTES },
		{ gpa + offsetof(struct request, status), 1 },
	};
	unsigned int nr_readable = type == VIRTIO_BLK_T_OUT ? 2 : 1;

	d->r->header = (struct virtio_blk_outhdr){
		.type = htole32(type),
		.sector = htole64(sector),
	};
	d->r->status = 0xff;
	if (guest_ring_add(guest_device_ring(gd, d->q), seg, nr_readable,
			   3 - nr_readable, d) < 0)
		return false;
	if (guest_ring_publish(guest_device_ring(gd, d->q))) {
		pthread_mutex_lock(&kick_lock);
		guest_device_kick(gd, d->q);
		pthread_mutex_unlock(&kick_lock);
	}
	return driver_reap(d);
}

static void *driver_run(void *arg)
{
	struct driver *d = arg;
	uint64_t sector = d->q * 8;
	unsigned int i, k;

	for (i = 1; i <= ROUNDS && d->wrong == 0; i++) {
		memset(d->r->data, (int)i, BLOCK_BYTES);
		d->wrong += !driver_do(d, VIRTIO_BLK_T_OUT, sector);
		memset(d->r->data, 0, BLOCK_BYTES);
		d->wrong += !driver_do(d, VIRTIO_BLK_T_IN, sector);
		for (k = 0; k < BLOCK_BYTES; k++)
			d->wrong += d->r->data[k] != (uint8_t)i;
	}
	pvio_store_release(&d->is_done, true);
	return NULL;
}

static void drivers_start(struct driver d[NR_QUEUES])
{
	uint64_t gpa;
	unsigned int q;

	for (q = 0; q < NR_QUEUES; q++) {
		memset(&d[q], 0, sizeof(d[q]));
		d[q].q = q;
		d[q].r = guest_alloc(&rig.mem, sizeof(struct request), 4096,
				     &gpa);
		ck_assert_ptr_nonnull(d[q].r);
	}
	for (q = 0; q < NR_QUEUES; q++)
		ck_assert_int_eq(pthread_create(&d[q].thread, NULL, driver_run,
						&d[q]),
				 0);
}

static bool drivers_are_done(struct driver d[NR_QUEUES])
{
	unsigned int q;

	for (q = 0; q < NR_QUEUES; q++)
		if (!pvio_load_acquire(&d[q].is_done))
			return false;
	return true;
}

static void drivers_join(struct driver d[NR_QUEUES])
{
	unsigned int q;

	for (q = 0; q < NR_QUEUES; q++) {
		pthread_join(d[q].thread, NULL);
		ck_assert_uint_eq(d[q].wrong, 0);
	}
	ck_assert(!guest_device_is_broken(gd));
}

/* --- what the client does meanwhile --------------------------------------- */

#define DMA_RW (VFU_DMA_READABLE | VFU_DMA_WRITABLE)

/* F10: memory beside the rings comes and goes. */
START_TEST(maps_change_while_threads_serve)
{
	struct guest_vfu *vfu = guest_device_vfu(gd);
	int fd = memfd_create("other", MFD_CLOEXEC);
	struct driver d[NR_QUEUES];
	unsigned int i = 0;

	ck_assert_int_eq(ftruncate(fd, MAP_BYTES), 0);
	drivers_start(d);
	while (!drivers_are_done(d)) {
		uint64_t iova = FREE_GPA + i++ % 8 * MAP_BYTES;

		ck_assert_int_eq(guest_vfu_dma_map(vfu, DMA_RW, iova, MAP_BYTES,
						   i % 3 ? fd : -1, 0),
				 0);
		ck_assert_int_eq(guest_vfu_dma_unmap(vfu, 0, iova, MAP_BYTES),
				 0);
	}
	drivers_join(d);
	ck_assert_uint_gt(i, 0);
	close(fd);
}
END_TEST

/* R34, F10: that of the rings does, too; nothing is lost that was published. */
START_TEST(memory_of_rings_goes_and_returns_while_threads_serve)
{
	struct guest_vfu *vfu = guest_device_vfu(gd);
	const struct guest_region *r = &rig.mem.region[0];
	struct driver d[NR_QUEUES];
	unsigned int i = 0;

	drivers_start(d);
	while (!drivers_are_done(d)) {
		ck_assert_int_eq(guest_vfu_dma_unmap(vfu, 0, r->gpa, r->size),
				 0);
		ck_assert_int_eq(guest_vfu_dma_map(vfu, DMA_RW, r->gpa, r->size,
						   r->fd, 0),
				 0);
		i++;
	}
	drivers_join(d);
	ck_assert_uint_gt(i, 0);
}
END_TEST

/* F07, F16: eventfds come and go, one of them full and blocking. */
START_TEST(interrupts_change_while_threads_serve)
{
	const uint32_t assign = VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_TRIGGER;
	const uint32_t fire = VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_TRIGGER;
	struct guest_vfu *vfu = guest_device_vfu(gd);
	const uint64_t full = UINT64_MAX - 1;
	struct driver d[NR_QUEUES];
	unsigned int i = 0;
	int fds[2];

	fds[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fds[1] = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(write(fds[1], &full, sizeof(full)), sizeof(full));
	drivers_start(d);
	while (!drivers_are_done(d)) {
		unsigned int vector = i++ % (NR_QUEUES + 1);

		ck_assert_int_eq(guest_vfu_set_irqs(vfu, assign, VFU_IRQ_MSIX,
						    vector, 1, &fds[i / 3 % 2],
						    1),
				 0);
		ck_assert_int_eq(guest_vfu_set_irqs(vfu, fire, VFU_IRQ_MSIX,
						    vector, 1, NULL, 0),
				 0);
		ck_assert_int_eq(guest_vfu_set_irqs(vfu, assign, VFU_IRQ_MSIX,
						    vector, 1, NULL, 0),
				 0);
		if (i % 64 == 0)
			ck_assert_int_eq(guest_vfu_set_irqs(vfu, fire,
							    VFU_IRQ_MSIX, 0, 0,
							    NULL, 0),
					 0);
	}
	drivers_join(d);
	ck_assert_uint_gt(i, 0);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* F13: the client goes and returns; what was published is served at last. */
START_TEST(client_goes_and_returns_while_threads_serve)
{
	struct driver d[NR_QUEUES];
	unsigned int i = 0;
	uint16_t q;

	drivers_start(d);
	while (!drivers_are_done(d)) {
		struct pollfd nap = { .fd = guest_device_notify_fd(gd, 0),
				      .events = POLLIN };

		pthread_mutex_lock(&kick_lock);
		guest_device_vfio_user_vanish(gd);
		ck_assert_int_eq(guest_device_vfio_user_return(gd, rig.path),
				 0);
		/* What the drivers said last may have gone nowhere. */
		for (q = 0; q < NR_QUEUES; q++)
			ck_assert_int_eq(guest_vfu_post(guest_device_vfu(gd), 4,
							NOTIFY + 4 * q, &q,
							sizeof(q)),
					 0);
		pthread_mutex_unlock(&kick_lock);
		poll(&nap, 1, 2);
		i++;
	}
	drivers_join(d);
	ck_assert_uint_gt(i, 0);
}
END_TEST

/* F13: DEVICE_RESET under the drivers' feet, and a driver that begins anew. */
START_TEST(reset_while_threads_serve_is_survived)
{
	struct guest_vfu *vfu = guest_device_vfu(gd);
	unsigned int i, q, k;

	for (i = 0; i < 20; i++) {
		for (q = 0; q < NR_QUEUES; q++) {
			struct guest_ring *ring = guest_device_ring(gd, q);
			struct guest_segment seg = {
				RIG_HIGH_GPA + q * 4096, 64
			};

			for (k = 0; k < 16; k++)
				(void)guest_ring_add(ring, &seg, 0, 1, ring);
			if (guest_ring_publish(ring))
				guest_device_kick(gd, q);
		}
		ck_assert_int_eq(guest_vfu_reset(vfu), 0);
		guest_device_close(gd);
		guest_alloc_reset(&rig.mem);
		gd = rig_open(&rig);
		rig_bring_up(gd, 0, NR_QUEUES, 16);
		vfu = guest_device_vfu(gd);
	}
}
END_TEST

static unsigned int variant;

static void setup(void)
{
	static const uint64_t features[] = {
		0,
		PVIO_BIT(VIRTIO_F_RING_PACKED) |
			PVIO_BIT(VIRTIO_RING_F_EVENT_IDX),
	};

	begin(doorbells[variant & 1], features[variant >> 1]);
}

static void teardown(void)
{
	end();
}

static void add_variant(Suite *suite, void (*set)(void), const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, 2 * CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, set, NULL);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, maps_change_while_threads_serve);
	tcase_add_test(tcase,
		       memory_of_rings_goes_and_returns_while_threads_serve);
	tcase_add_test(tcase, interrupts_change_while_threads_serve);
	tcase_add_test(tcase, client_goes_and_returns_while_threads_serve);
	tcase_add_test(tcase, reset_while_threads_serve_is_survived);
	suite_add_tcase(suite, tcase);
}

static void trap_split(void)
{
	variant = 0;
}

static void poll_split(void)
{
	variant = 1;
}

static void trap_packed(void)
{
	variant = 2;
}

static void poll_packed(void)
{
	variant = 3;
}

int main(void)
{
	Suite *suite = suite_create("vfio_user_threads");

	add_variant(suite, trap_split, "trapped, split");
	add_variant(suite, poll_split, "polled, split");
	add_variant(suite, trap_packed, "trapped, packed");
	add_variant(suite, poll_packed, "polled, packed");
	return check_suite(suite);
}
