/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-hostile.h - the bad front-end, and what must hold after it
 *
 * A test speaks through `vu`, a raw connection.  The fixture's end then closes
 * it and checks the invariants: descriptors and mappings are back to where they
 * were, and a well-behaved front-end is served.
 */
#ifndef PVIO_TESTS_VHOST_USER_HOSTILE_H
#define PVIO_TESTS_VHOST_USER_HOSTILE_H

#include "tests/check_main.h"
#include "tests/vhost-user-rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

static struct rig rig;
static struct guest_vu vu;
static unsigned int fds_before, maps_before;

#define HOSTILE_RING_SIZE 16u

#define PROTOCOL_ALL                                                           \
	(PVIO_BIT(VU_PROTOCOL_MQ) | PVIO_BIT(VU_PROTOCOL_LOG_SHMFD) |          \
	 PVIO_BIT(VU_PROTOCOL_REPLY_ACK) | PVIO_BIT(VU_PROTOCOL_BACKEND_REQ) | \
	 PVIO_BIT(VU_PROTOCOL_CONFIG) | PVIO_BIT(VU_PROTOCOL_INFLIGHT_SHMFD) | \
	 PVIO_BIT(VU_PROTOCOL_RESET_DEVICE) |                                  \
	 PVIO_BIT(VU_PROTOCOL_CONFIGURE_MEM_SLOTS) |                           \
	 PVIO_BIT(VU_PROTOCOL_STATUS))

static inline void quiet(void *arg, enum pvio_log_level level,
			 const char *message)
{
	(void)arg;
	(void)level;
	(void)message;
}

/* --- answers (hostile-input words) ---------------------------------------- */

/* Done: acknowledged with 0. */
#define expect_ok(call) ck_assert_int_eq((call), 0)
/* NAK: refused by a reply, and the connection lives. */
#define expect_nak(call)                              \
	do {                                          \
		ck_assert_int_eq((call), -EREMOTEIO); \
		expect_alive();                       \
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
	uint64_t features;

	ck_assert_int_eq(guest_vu_ask_u64(&vu, VU_GET_FEATURES, &features), 0);
	ck_assert(features & PVIO_BIT(VIRTIO_F_VERSION_1));
}

static inline void expect_closed(void)
{
	struct guest_vu_reply reply;
	int rc;

	do {
		rc = guest_vu_receive(&vu, &reply, 5000);
		if (rc == 0 && reply.fd >= 0)
			close(reply.fd);
	} while (rc == 0);
	ck_assert_int_eq(rc, -EPIPE);
}

/* --- making a connection -------------------------------------------------- */

static inline void hostile_connect(void)
{
	ck_assert_int_eq(guest_vu_connect(&vu, rig.path, rig.worker), 0);
	expect_ok(
		guest_vu_tell_u64(&vu, VU_SET_PROTOCOL_FEATURES, PROTOCOL_ALL));
	vu.has_reply_ack = true;
}

static inline void hostile_negotiate(uint64_t features)
{
	expect_ok(guest_vu_tell_u64(&vu, VU_SET_FEATURES,
				    features | PVIO_BIT(VIRTIO_F_VERSION_1) |
					    PVIO_BIT(VU_F_PROTOCOL_FEATURES)));
}

/* Connected, features and memory set. */
static inline void hostile_ready(void)
{
	hostile_connect();
	hostile_negotiate(0);
	expect_ok(guest_vu_tell_memory(&vu, &rig.mem));
}

/* A ring at the start of memory: descriptors, available, used. */
static inline struct vu_vring_addr hostile_ring_addr(void)
{
	uint64_t base = (uintptr_t)rig.mem.region[0].host;

	return (struct vu_vring_addr){ .desc = base,
				       .avail = base + 0x1000,
				       .used = base + 0x2000,
				       .log = RIG_RAM_GPA + 0x2000 };
}

static inline int hostile_tell_addr(struct vu_vring_addr addr)
{
	return guest_vu_tell(&vu, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL,
			     0);
}

/* Set ring 0 up by hand and start it; @kick and @call are the test's. */
static inline void hostile_start_ring(int kick, int call)
{
	expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_NUM, 0,
				      HOSTILE_RING_SIZE));
	expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_BASE, 0, 0));
	expect_ok(hostile_tell_addr(hostile_ring_addr()));
	expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_CALL, 0, call));
	expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_KICK, 0, kick));
	expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_ENABLE, 0, 1));
	ck_assert(pvio_device_vq_is_running(rig.dev, 0));
}

/* Make one 64-byte buffer available on that ring, as entry @n; is it used? */
static inline void hostile_expect_served(int kick, uint16_t n)
{
	uint8_t *ram = rig.mem.region[0].host;
	struct vring_desc *desc = (struct vring_desc *)ram;
	struct vring_avail *avail = (struct vring_avail *)(ram + 0x1000);
	struct vring_used *used = (struct vring_used *)(ram + 0x2000);
	uint64_t end = pvio_now_ns() + 5000000000ULL;
	const uint64_t one = 1;

	desc[0] = (struct vring_desc){ .addr = htole64(RIG_RAM_GPA + 0x3000),
				       .len = htole32(64),
				       .flags = htole16(VRING_DESC_F_WRITE) };
	avail->ring[n % HOSTILE_RING_SIZE] = 0;
	__atomic_store_n(&avail->idx, htole16((uint16_t)(n + 1)),
			 __ATOMIC_RELEASE);
	ck_assert_int_eq(write(kick, &one, sizeof(one)), sizeof(one));
	while (le16toh(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE)) !=
	       (uint16_t)(n + 1)) {
		ck_assert_msg(pvio_now_ns() < end, "not served");
		pvio_worker_step(rig.worker);
	}
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

/* --- fixture -------------------------------------------------------------- */

static inline void hostile_begin(const char *model, const char *transport)
{
	pvio_log_set(quiet, NULL, PVIO_LOG_DEBUG);
	rig_init(&rig, model, transport);
	rig_start(&rig);
	rig_settle(&rig);
	vu.fd = -1;
	fds_before = rig_count_fds();
	maps_before = rig_count_maps();
}

/* The invariants: I1 and I4, and I7 by a front-end that behaves. */
static inline void hostile_end(void)
{
	struct guest_device *gd;

	guest_vu_close(&vu);
	rig_settle(&rig);
	rig_expect_fds(&rig, fds_before);
	ck_assert_uint_eq(rig_count_maps(), maps_before);

	guest_alloc_reset(&rig.mem);
	gd = rig_open(&rig);
	rig_bring_up(gd, 0, 1, 16);
	if (pvio_device_id(rig.dev) == VIRTIO_ID_RNG)
		rig_expect_entropy(&rig, gd);
	guest_device_close(gd);
	rig_settle(&rig);
	rig_expect_fds(&rig, fds_before);
	ck_assert_uint_eq(rig_count_maps(), maps_before);
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

#endif
