/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vhost_user_memory.c - memory, dirty logs and in-flight regions of a
 * hostile vhost-user front-end
 */
#include "tests/hostile/vhost-user-hostile.h"

#include "core/inflight.h"

#define MIB (1ull << 20)

/* --- tables --------------------------------------------------------------- */

static struct vu_memory_region region(uint64_t gpa, uint64_t size, uint64_t uva,
				      uint64_t offset)
{
	return (struct vu_memory_region){ gpa, size, uva, offset };
}

static int tell_table(const struct vu_memory_region *r, uint32_t nr, int fd)
{
	struct vu_memory_table table = { .nr = nr };
	int fds[VU_MAX_FDS];
	uint32_t i;

	for (i = 0; i < nr; i++) {
		table.region[i] = r[i];
		fds[i] = fd;
	}
	return guest_vu_tell(&vu, VU_SET_MEM_TABLE, &table, 8 + 32 * nr, fds,
			     nr);
}

static int tell_region(uint32_t request, struct vu_memory_region r, int fd)
{
	struct vu_memory_single single = { .region = r };

	return guest_vu_tell(&vu, request, &single, sizeof(single), &fd, 1);
}

/* U10: NAK. */
START_TEST(file_smaller_than_its_region_is_refused)
{
	int fd = hostile_memfd(MIB);
	const struct vu_memory_region bad[] = {
		region(0, MIB + 1, 1ull << 40, 0),
		region(0, 2 * MIB, 1ull << 40, 0),
		region(0, MIB, 1ull << 40, 4096),
		region(0, 4096, 1ull << 40, MIB),
		region(0, 1ull << 46, 1ull << 40, 0),
	};
	size_t i;

	hostile_ready();
	for (i = 0; i < pvio_array_size(bad); i++) {
		expect_nak(tell_table(&bad[i], 1, fd));
		expect_nak(tell_region(VU_ADD_MEM_REG, bad[i], fd));
	}
	close(fd);
}
END_TEST

/* U13: NAK, with no loop over the number. */
START_TEST(number_of_regions_that_is_not_the_fds_is_refused)
{
	static const uint32_t numbers[] = { 0,   2,          7,         9,
					    512, 0x10000000, 0xffffffff };
	struct vu_memory_table table = { .nr = numbers[_i] };
	int fds[8], i;

	hostile_ready();
	for (i = 0; i < 8; i++)
		fds[i] = rig.mem.region[0].fd;
	guest_vu_region(&rig.mem.region[0], &table.region[0]);
	expect_nak(
		guest_vu_tell(&vu, VU_SET_MEM_TABLE, &table, 8 + 32, fds, 1));
	expect_nak(guest_vu_tell(&vu, VU_SET_MEM_TABLE, &table, 264, fds, 8));
	expect_nak(guest_vu_tell(&vu, VU_SET_MEM_TABLE, &table, 264, NULL, 0));
	expect_nak(guest_vu_tell(&vu, VU_SET_MEM_TABLE, &table, 8, fds, 1));
}
END_TEST

/* U14, U15: NAK, and the table before stays in force. */
START_TEST(table_that_contradicts_itself_leaves_the_old_one)
{
	int fd = hostile_memfd(4 * MIB);
	int kick = hostile_eventfd(), call = hostile_eventfd();
	const struct vu_memory_region bad[][2] = {
		/* overlapping in the guest's addresses */
		{ region(0, MIB, 1ull << 40, 0),
		  region(MIB - 1, MIB, 1ull << 41, MIB) },
		{ region(0, MIB, 1ull << 40, 0),
		  region(0, 4096, 1ull << 41, MIB) },
		/* in the front-end's */
		{ region(0, MIB, 1ull << 40, 0),
		  region(1ull << 32, MIB, (1ull << 40) + 4096, MIB) },
		/* one file range at two addresses (U16) */
		{ region(0, MIB, 1ull << 40, 0),
		  region(1ull << 32, MIB, 1ull << 41, 0) },
		/* empty */
		{ region(0, 0, 1ull << 40, 0),
		  region(1ull << 32, MIB, 1ull << 41, 0) },
		/* wrapping */
		{ region(0ull - 4096, MIB, 1ull << 40, 0),
		  region(1ull << 32, MIB, 1ull << 41, MIB) },
		{ region(0, MIB, 0ull - 4096, 0),
		  region(1ull << 32, MIB, 1ull << 41, MIB) },
		{ region(0, MIB, 1ull << 40, 0ull - 4096),
		  region(1ull << 32, MIB, 1ull << 41, MIB) },
		{ region(0, UINT64_MAX, 1ull << 40, 0),
		  region(1ull << 32, MIB, 1ull << 41, MIB) },
	};
	size_t i;

	hostile_ready();
	hostile_start_ring(kick, call);
	for (i = 0; i < pvio_array_size(bad); i++) {
		expect_nak(tell_table(bad[i], 2, fd));
		hostile_expect_served(kick, (uint16_t)i);
	}
	close(fd);
	close(kick);
	close(call);
}
END_TEST

/* U16: slots end; what is there already is refused. */
START_TEST(regions_beyond_the_slots_are_refused)
{
	int fd = hostile_memfd(2 * MIB + 8 * 4096);
	uint64_t slots, i;

	hostile_ready();
	ck_assert_int_eq(guest_vu_ask_u64(&vu, VU_GET_MAX_MEM_SLOTS, &slots),
			 0);
	for (i = 2; i < slots; i++)
		expect_ok(tell_region(VU_ADD_MEM_REG,
				      region((1ull << 40) + i * 8192, 4096,
					     (1ull << 45) + i * 8192, i * 4096),
				      fd));
	expect_nak(tell_region(VU_ADD_MEM_REG,
			       region(1ull << 41, 4096, 1ull << 46, 0), fd));
	expect_nak(tell_region(VU_ADD_MEM_REG,
			       region((1ull << 40) + 2 * 8192, 4096,
				      (1ull << 45) + 2 * 8192, 2 * 4096),
			       fd));
	close(fd);
}
END_TEST

/* U17: NAK. */
START_TEST(removing_what_is_not_there_is_refused)
{
	struct vu_memory_region r;
	int fd = rig.mem.region[1].fd;

	hostile_ready();
	guest_vu_region(&rig.mem.region[1], &r);
	r.size -= 4096;
	expect_nak(tell_region(VU_REM_MEM_REG, r, fd));
	r.size += 4096;
	r.gpa += 4096;
	expect_nak(tell_region(VU_REM_MEM_REG, r, fd));
	r.gpa -= 4096;
	r.uva++;
	expect_nak(tell_region(VU_REM_MEM_REG, r, fd));
	r.uva--;
	expect_ok(tell_region(VU_REM_MEM_REG, r, fd));
	expect_nak(tell_region(VU_REM_MEM_REG, r, fd));
}
END_TEST

/* U17: the ring stops, the device says so, nothing is touched. */
START_TEST(removing_the_memory_of_a_running_ring_needs_a_reset)
{
	int kick = hostile_eventfd(), call = hostile_eventfd();
	int err = hostile_eventfd();
	struct vu_memory_region r;
	uint64_t value;

	hostile_ready();
	expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_ERR, 0, err));
	hostile_start_ring(kick, call);
	hostile_expect_served(kick, 0);
	guest_vu_region(&rig.mem.region[0], &r);
	expect_ok(tell_region(VU_REM_MEM_REG, r, rig.mem.region[0].fd));
	rig_settle(&rig);
	ck_assert_int_eq(read(err, &value, sizeof(value)), sizeof(value));
	expect_ok(guest_vu_ask_u64(&vu, VU_GET_STATUS, &value));
	ck_assert(value & VIRTIO_CONFIG_S_NEEDS_RESET);

	/* Reset, memory back: the same ring serves again. */
	expect_ok(guest_vu_tell_u64(&vu, VU_SET_STATUS, 0));
	expect_ok(tell_region(VU_ADD_MEM_REG, r, rig.mem.region[0].fd));
	memset(rig.mem.region[0].host, 0, 0x4000);
	hostile_negotiate(0);
	hostile_start_ring(kick, call);
	hostile_expect_served(kick, 0);
	close(kick);
	close(call);
	close(err);
}
END_TEST

/* U18: rings go on; nothing is leaked (the fixture counts). */
START_TEST(table_set_again_and_again_under_load)
{
	int kick = hostile_eventfd(), call = hostile_eventfd();
	int fd = hostile_memfd(2 * MIB);
	struct vu_memory_region r = region(1ull << 41, MIB, 1ull << 45, 0);
	uint16_t i;

	hostile_ready();
	hostile_start_ring(kick, call);
	for (i = 0; i < 10000; i++) {
		r.mmap_offset = i % 2 * MIB;
		expect_ok(tell_region(VU_ADD_MEM_REG, r, fd));
		if (i % 8 == 0)
			hostile_expect_served(kick, i / 8);
		if (i % 3)
			expect_ok(tell_region(VU_REM_MEM_REG, r, fd));
		else
			expect_ok(guest_vu_tell_memory(&vu, &rig.mem));
	}
	close(fd);
	close(kick);
	close(call);
}
END_TEST

/*
 * U11: whoever truncates guest memory under a request loses its device, not
 * our process.
 */
START_TEST(memory_truncated_under_us_needs_a_reset)
{
	int kick = hostile_eventfd(), call = hostile_eventfd();
	uint8_t *ram = rig.mem.region[0].host;
	struct vring_desc *desc = (struct vring_desc *)ram;
	struct vring_avail *avail = (struct vring_avail *)(ram + 0x1000);
	struct vu_memory_region r = region(1ull << 41, MIB, 1ull << 45, 0);
	int fd = hostile_memfd(MIB);
	uint64_t one = 1, status = 0, end;

	hostile_ready();
	expect_ok(tell_region(VU_ADD_MEM_REG, r, fd));
	hostile_start_ring(kick, call);
	hostile_expect_served(kick, 0);

	ck_assert_int_eq(ftruncate(fd, 0), 0);
	desc[1] = (struct vring_desc){ .addr = htole64(1ull << 41),
				       .len = htole32(4096),
				       .flags = htole16(VRING_DESC_F_WRITE) };
	avail->ring[1] = htole16(1);
	__atomic_store_n(&avail->idx, htole16(2), __ATOMIC_RELEASE);
	ck_assert_int_eq(write(kick, &one, sizeof(one)), sizeof(one));
	end = pvio_now_ns() + 5000000000ULL;
	while (!(status & VIRTIO_CONFIG_S_NEEDS_RESET)) {
		ck_assert(pvio_now_ns() < end);
		rig_settle(&rig);
		/* It is noticed at the next look at the ring. */
		ck_assert_int_eq(write(kick, &one, sizeof(one)), sizeof(one));
		expect_ok(guest_vu_ask_u64(&vu, VU_GET_STATUS, &status));
	}
	close(fd);
	close(kick);
	close(call);
}
END_TEST

/* --- dirty log ------------------------------------------------------------ */

static int tell_log(uint64_t size, uint64_t offset, int fd)
{
	struct vu_log log = { size, offset };

	return guest_vu_tell(&vu, VU_SET_LOG_BASE, &log, sizeof(log), &fd, 1);
}

/* One bit a page up to the end of the highest region. */
#define LOG_BYTES ((RIG_HIGH_GPA + RIG_RAM_BYTES) / 4096 / 8)

/* U30: NAK. */
START_TEST(dirty_log_that_cannot_be_is_refused)
{
	int fd = hostile_memfd(LOG_BYTES + 4096);

	hostile_ready();
	expect_nak(tell_log(0, 0, fd));
	expect_nak(tell_log(1, 0, fd));
	expect_nak(tell_log(LOG_BYTES - 1, 0, fd));
	expect_nak(tell_log(LOG_BYTES, 0ull - 4096, fd));
	expect_nak(tell_log(LOG_BYTES, 8192, fd));
	expect_nak(tell_log(UINT64_MAX, 0, fd));
	expect_ok(tell_log(LOG_BYTES, 4096, fd));
	close(fd);
}
END_TEST

/* U30: another log, and memory that outgrows it, while logging. */
START_TEST(dirty_log_is_replaced_while_logging)
{
	int kick = hostile_eventfd(), call = hostile_eventfd();
	int fd = hostile_memfd(2 * LOG_BYTES);
	int more = hostile_memfd(MIB);
	uint16_t i;

	hostile_ready();
	expect_ok(tell_log(LOG_BYTES, 0, fd));
	hostile_start_ring(kick, call);
	hostile_negotiate(PVIO_BIT(VU_F_LOG_ALL));
	for (i = 0; i < 1000; i++) {
		expect_ok(tell_log(LOG_BYTES + i % 2, 0, fd));
		if (i % 16 == 0)
			hostile_expect_served(kick, i / 16);
	}
	expect_nak(tell_region(VU_ADD_MEM_REG,
			       region(1ull << 44, MIB, 1ull << 45, 0), more));
	/* A log that shrinks: bounds and SIGBUS keep us alive. */
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	hostile_negotiate(0);
	expect_alive();
	close(fd);
	close(more);
	close(kick);
	close(call);
}
END_TEST

/* U30: a log of before there was memory, and memory that is beyond it. */
START_TEST(logging_into_a_log_that_is_too_small_is_refused)
{
	int fd = hostile_memfd(4096);

	hostile_connect();
	hostile_negotiate(0);
	expect_ok(tell_log(4096, 0, fd));
	expect_ok(guest_vu_tell_memory(&vu, &rig.mem));
	expect_nak(guest_vu_tell_u64(&vu, VU_SET_FEATURES,
				     PVIO_BIT(VIRTIO_F_VERSION_1) |
					     PVIO_BIT(VU_F_PROTOCOL_FEATURES) |
					     PVIO_BIT(VU_F_LOG_ALL)));
	close(fd);
}
END_TEST

/*
 * U30: what came with it is not in force either: a ring would be packed for the
 * device, and split for the session.
 */
START_TEST(features_that_came_with_a_log_that_is_too_small_are_none)
{
	int kick = hostile_eventfd(), call = hostile_eventfd();
	int fd = hostile_memfd(4096), i;

	hostile_connect();
	expect_ok(tell_log(4096, 0, fd));
	expect_ok(guest_vu_tell_memory(&vu, &rig.mem));
	expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_NUM, 0,
				      HOSTILE_RING_SIZE));
	expect_ok(hostile_tell_addr(hostile_ring_addr()));
	expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_KICK, 0, kick));
	/* The first features, and others after good ones. */
	for (i = 0; i < 2; i++) {
		expect_nak(guest_vu_tell_u64(
			&vu, VU_SET_FEATURES,
			PVIO_BIT(VIRTIO_F_VERSION_1) |
				PVIO_BIT(VIRTIO_F_RING_PACKED) |
				PVIO_BIT(VU_F_PROTOCOL_FEATURES) |
				PVIO_BIT(VU_F_LOG_ALL)));
		expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_BASE, 0, 0));
		expect_ok(hostile_tell_addr(hostile_ring_addr()));
		ck_assert(!pvio_device_vq_is_running(rig.dev, 0));
		hostile_negotiate(0);
		ck_assert(!pvio_device_has_feature(rig.dev,
						   VIRTIO_F_RING_PACKED));
	}
	hostile_start_ring(kick, call);
	hostile_expect_served(kick, 0);
	close(fd);
	close(kick);
	close(call);
}
END_TEST

/* U31: NAK. */
START_TEST(ring_logged_beyond_the_log_is_refused)
{
	int fd = hostile_memfd(LOG_BYTES);
	struct vu_vring_addr addr = hostile_ring_addr();

	hostile_ready();
	expect_ok(tell_log(LOG_BYTES, 0, fd));
	hostile_negotiate(PVIO_BIT(VU_F_LOG_ALL));
	expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_NUM, 0, 16));
	addr.flags = VU_VRING_F_LOG;
	addr.log = LOG_BYTES * 8 * 4096 - 8;
	expect_nak(hostile_tell_addr(addr));
	addr.log = UINT64_MAX - 8;
	expect_nak(hostile_tell_addr(addr));
	addr.log = RIG_RAM_GPA;
	expect_ok(hostile_tell_addr(addr));
	close(fd);
}
END_TEST

/* --- in-flight region ----------------------------------------------------- */

static int ask_inflight(uint16_t queues, uint16_t size, struct vu_inflight *w)
{
	struct vu_inflight ask = { .num_queues = queues, .queue_size = size };
	struct guest_vu_reply reply;

	expect_ok(guest_vu_ask(&vu, VU_GET_INFLIGHT_FD, &ask, sizeof(ask),
			       &reply));
	*w = reply.inflight;
	return reply.fd;
}

static int tell_inflight(struct vu_inflight w, int fd)
{
	return guest_vu_tell(&vu, VU_SET_INFLIGHT_FD, &w, sizeof(w), &fd, 1);
}

/* U33: NAK (size 0) for what the device does not have; no leak. */
START_TEST(inflight_region_larger_than_the_device_is_refused)
{
	static const uint16_t bad[][2] = {
		{ 65535, 65535 }, { 0, 16 }, { 1, 0 }, { 2, 16 }, { 1, 65 },
	};
	struct vu_inflight w;
	size_t i;
	int fd;

	hostile_ready();
	for (i = 0; i < pvio_array_size(bad); i++) {
		fd = ask_inflight(bad[i][0], bad[i][1], &w);
		ck_assert_int_eq(fd, -1);
		ck_assert_uint_eq(w.mmap_size, 0);
	}
	for (i = 0; i < 10000; i++) {
		fd = ask_inflight(1, 64, &w);
		ck_assert_int_ge(fd, 0);
		ck_assert_uint_gt(w.mmap_size, 0);
		close(fd);
	}
}
END_TEST

/* The region can neither be cut off nor grown. */
START_TEST(inflight_file_is_sealed)
{
	struct vu_inflight w;
	int fd;

	hostile_ready();
	fd = ask_inflight(1, 64, &w);
	ck_assert_int_lt(ftruncate(fd, 0), 0);
	ck_assert_int_lt(ftruncate(fd, 1 << 20), 0);
	close(fd);
}
END_TEST

/* U34: NAK. */
START_TEST(inflight_region_that_does_not_fit_is_refused)
{
	struct vu_inflight w, bad;
	int kick = hostile_eventfd(), call = hostile_eventfd();
	int fd, small = hostile_memfd(16);

	hostile_ready();
	fd = ask_inflight(1, 16, &w);
	expect_ok(tell_inflight(w, fd));
	expect_nak(tell_inflight(w, small));
	bad = w;
	bad.mmap_size--;
	expect_nak(tell_inflight(bad, fd));
	bad = w;
	bad.mmap_size = UINT64_MAX;
	expect_nak(tell_inflight(bad, fd));
	bad = w;
	bad.mmap_offset = 1;
	expect_nak(tell_inflight(bad, fd));
	bad.mmap_offset = 0ull - 4096;
	expect_nak(tell_inflight(bad, fd));
	bad = w;
	bad.num_queues = 2;
	expect_nak(tell_inflight(bad, fd));
	bad = w;
	bad.queue_size = 64;
	expect_nak(tell_inflight(bad, fd));
	bad.queue_size = 65535;
	expect_nak(tell_inflight(bad, fd));
	/* Not under a ring that runs. */
	hostile_start_ring(kick, call);
	expect_nak(tell_inflight(w, fd));
	close(fd);
	close(small);
	close(kick);
	close(call);
}
END_TEST

/* U34: more entries than are tracked: the ring does not start. */
START_TEST(ring_larger_than_its_inflight_part_does_not_start)
{
	int kick = hostile_eventfd();
	struct vu_inflight w;
	int fd;

	hostile_ready();
	fd = ask_inflight(1, 16, &w);
	expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_NUM, 0, 32));
	expect_ok(hostile_tell_addr(hostile_ring_addr()));
	expect_nak(guest_vu_tell_fd(&vu, VU_SET_VRING_KICK, 0, kick));
	ck_assert(!pvio_device_vq_is_running(rig.dev, 0));
	close(fd);
	close(kick);
}
END_TEST

/* The region of a ring that was reset says nothing about the next one. */
START_TEST(reset_forgets_the_inflight_region)
{
	int kick = hostile_eventfd(), call = hostile_eventfd();
	struct vu_inflight w;
	uint16_t i;
	int fd;

	hostile_ready();
	fd = ask_inflight(1, 16, &w);
	hostile_start_ring(kick, call);
	for (i = 0; i < 100; i++)
		hostile_expect_served(kick, i);
	expect_ok(guest_vu_tell(&vu, VU_RESET_DEVICE, NULL, 0, NULL, 0));
	memset(rig.mem.region[0].host, 0, 0x4000);
	hostile_negotiate(0);
	hostile_start_ring(kick, call);
	hostile_expect_served(kick, 0);
	close(fd);
	close(kick);
	close(call);
}
END_TEST

/* Fields of a split part (protocol B.6), by offset. */
enum {
	PART_VERSION = 8,
	PART_DESC_NUM = 10,
	PART_LAST_BATCH = 12,
	PART_USED_IDX = 14,
	PART_DESC = 16
};

static void poke(int fd, off_t at, uint16_t value)
{
	ck_assert_int_eq(pwrite(fd, &value, sizeof(value), at), sizeof(value));
}

/* U35: the queue is broken; nothing is guessed. */
START_TEST(inflight_region_that_contradicts_itself_breaks_the_queue)
{
	static const struct {
		off_t at;
		uint16_t value;
	} bad[] = {
		{ PART_VERSION, 0x7777 },    { PART_DESC_NUM, 15 },
		{ PART_DESC_NUM, 0xffff },   { PART_LAST_BATCH, 16 },
		{ PART_LAST_BATCH, 0xffff }, { PART_USED_IDX, 0x8000 },
	};
	int kick = hostile_eventfd(), call = hostile_eventfd();
	int err = hostile_eventfd();
	struct vu_inflight w;
	uint64_t count;
	int fd;

	hostile_ready();
	fd = ask_inflight(1, 16, &w);
	poke(fd, PART_VERSION, 1);
	poke(fd, PART_DESC_NUM, 16);
	/* Something to settle: otherwise the list is not looked at. */
	if (bad[_i].at == PART_LAST_BATCH)
		poke(fd, PART_USED_IDX, 0xffff);
	poke(fd, bad[_i].at, bad[_i].value);
	expect_ok(tell_inflight(w, fd));
	expect_ok(guest_vu_tell_fd(&vu, VU_SET_VRING_ERR, 0, err));
	expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_NUM, 0, 16));
	expect_ok(guest_vu_tell_state(&vu, VU_SET_VRING_BASE, 0, 0));
	expect_ok(hostile_tell_addr(hostile_ring_addr()));
	expect_nak(guest_vu_tell_fd(&vu, VU_SET_VRING_KICK, 0, kick));
	ck_assert_int_eq(read(err, &count, sizeof(count)), sizeof(count));
	expect_ok(guest_vu_ask_u64(&vu, VU_GET_STATUS, &count));
	ck_assert(count & VIRTIO_CONFIG_S_NEEDS_RESET);
	close(fd);
	close(kick);
	close(call);
	close(err);
}
END_TEST

/* U36: what is written there while the ring runs is never read. */
START_TEST(inflight_region_scribbled_on_while_running_is_harmless)
{
	int kick = hostile_eventfd(), call = hostile_eventfd();
	struct vu_inflight w;
	uint8_t *part;
	uint16_t i;
	int fd;

	hostile_ready();
	fd = ask_inflight(1, 16, &w);
	part = mmap(NULL, w.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    0);
	ck_assert_ptr_ne(part, MAP_FAILED);
	expect_ok(tell_inflight(w, fd));
	hostile_start_ring(kick, call);
	for (i = 0; i < 256; i++) {
		memset(part, i, w.mmap_size);
		hostile_expect_served(kick, i);
	}
	munmap(part, w.mmap_size);
	close(fd);
	close(kick);
	close(call);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost_user_memory");
	TCase *tcase = tcase_create("hostile");

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, file_smaller_than_its_region_is_refused);
	tcase_add_loop_test(
		tcase, number_of_regions_that_is_not_the_fds_is_refused, 0, 7);
	tcase_add_test(tcase, table_that_contradicts_itself_leaves_the_old_one);
	tcase_add_test(tcase, regions_beyond_the_slots_are_refused);
	tcase_add_test(tcase, removing_what_is_not_there_is_refused);
	tcase_add_test(tcase,
		       removing_the_memory_of_a_running_ring_needs_a_reset);
	tcase_add_test(tcase, table_set_again_and_again_under_load);
	tcase_add_test(tcase, memory_truncated_under_us_needs_a_reset);
	tcase_add_test(tcase, dirty_log_that_cannot_be_is_refused);
	tcase_add_test(tcase, dirty_log_is_replaced_while_logging);
	tcase_add_test(tcase, logging_into_a_log_that_is_too_small_is_refused);
	tcase_add_test(
		tcase,
		features_that_came_with_a_log_that_is_too_small_are_none);
	tcase_add_test(tcase, ring_logged_beyond_the_log_is_refused);
	tcase_add_test(tcase,
		       inflight_region_larger_than_the_device_is_refused);
	tcase_add_test(tcase, inflight_file_is_sealed);
	tcase_add_test(tcase, inflight_region_that_does_not_fit_is_refused);
	tcase_add_test(tcase,
		       ring_larger_than_its_inflight_part_does_not_start);
	tcase_add_test(tcase, reset_forgets_the_inflight_region);
	tcase_add_loop_test(
		tcase, inflight_region_that_contradicts_itself_breaks_the_queue,
		0, 6);
	tcase_add_test(tcase,
		       inflight_region_scribbled_on_while_running_is_harmless);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
