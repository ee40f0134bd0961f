/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vfio_user_device.c - regions, interrupts and features, as a hostile
 * vfio-user client would have them
 */
#include "core/eventfd.h"
#include "tests/hostile/vfio-user-hostile.h"

#include <signal.h>

/* --- F04: argsz ---------------------------------------------------------- */

/* The three that ask, filled in but for argsz, which comes first in each. */
union question {
	uint32_t argsz;
	struct vfu_device_info device;
	struct vfu_region_info region;
	struct vfu_irq_info irq;
	uint8_t bytes[32];
};

static const struct {
	uint16_t command;
	uint32_t bytes;
} questions[] = {
	{ VFU_DEVICE_GET_INFO, sizeof(struct vfu_device_info) },
	{ VFU_GET_REGION_INFO, sizeof(struct vfu_region_info) },
	{ VFU_GET_IRQ_INFO, sizeof(struct vfu_irq_info) },
};

static int ask(int which, uint32_t argsz, struct guest_vfu_reply *reply)
{
	union question q = { .bytes = { 0 } };

	q.argsz = argsz;
	return guest_vfu_ask(&vfu, questions[which].command, &q,
			     questions[which].bytes, NULL, 0, reply);
}

/* F04 */
START_TEST(argsz_smaller_than_the_struct_is_refused)
{
	struct guest_vfu_reply reply;
	uint32_t argsz;

	hostile_connect();
	for (argsz = 0; argsz < questions[_i].bytes; argsz++)
		expect_refused(EINVAL, ask(_i, argsz, &reply));
}
END_TEST

/* F04: the reply is what there is, not what there is said to be room for. */
START_TEST(argsz_of_four_gigabytes_is_answered)
{
	static const uint32_t sizes[] = { 4096, 0x7fffffff, 0xffffffff };
	struct guest_vfu_reply reply;
	size_t i;

	hostile_connect();
	for (i = 0; i < pvio_array_size(sizes); i++) {
		expect_ok(ask(_i, sizes[i], &reply));
		ck_assert_uint_eq(reply.size, questions[_i].bytes);
		ck_assert_uint_eq(reply.device.argsz, questions[_i].bytes);
		guest_vfu_close_fds(&reply);
	}
}
END_TEST

START_TEST(index_of_nothing_is_refused)
{
	static const uint32_t indexes[] = { 9, 100, 0x7fffffff, 0xffffffff };
	struct vfu_region_info region = { .argsz = sizeof(region),
					  .index = indexes[_i] };
	struct vfu_irq_info irq = { .argsz = sizeof(irq),
				    .index = indexes[_i] };

	hostile_connect();
	expect_refused(EINVAL, guest_vfu_tell(&vfu, VFU_GET_REGION_INFO,
					      &region, sizeof(region), NULL,
					      0));
	expect_refused(EINVAL, guest_vfu_tell(&vfu, VFU_GET_IRQ_INFO, &irq,
					      sizeof(irq), NULL, 0));
}
END_TEST

/* --- F05: regions -------------------------------------------------------- */

#define MIB (1u << 20)

static const struct vfu_region_access outside[] = {
	/* past the end, or wrapping */
	{ 0x4000, 4, 4 },
	{ 0x3ffe, 4, 4 },
	{ UINT64_MAX, 4, 1 },
	{ UINT64_MAX - 3, 4, 4 },
	{ UINT64_MAX - 1, 4, 4 },
	{ 1ull << 32, 4, 4 },
	{ 1ull << 63, 4, 4 },
	{ 4096, VFU_REGION_CONFIG, 1 },
	{ 4095, VFU_REGION_CONFIG, 2 },
	{ 4092, VFU_REGION_CONFIG, 8 },
	{ UINT64_MAX - 3, VFU_REGION_CONFIG, 4 },
	{ 1, VFU_REGION_CONFIG, 4096 },
	/* no such region, or one of no size */
	{ 0, 1, 4 },
	{ 0, 2, 1 },
	{ 0, 3, 4 },
	{ 0, 5, 4 },
	{ 0, VFU_REGION_ROM, 4 },
	{ 0, VFU_REGION_VGA, 1 },
	{ 0, 9, 4 },
	{ 0, 0x7fffffff, 4 },
	{ 0, 0xffffffff, 4 },
	/* counts */
	{ 0, 4, 0 },
	{ 0, VFU_REGION_CONFIG, 0 },
	{ 0, 4, MIB + 1 },
	{ 0, VFU_REGION_CONFIG, 0x80000000 },
	{ 0, 4, 0xffffffff },
	{ 1, 4, 0xffffffff },
};
#define NR_OUTSIDE ((int)pvio_array_size(outside))

START_TEST(read_outside_is_refused)
{
	struct vfu_region_access access = outside[_i];

	hostile_connect();
	expect_refused(EINVAL, guest_vfu_tell(&vfu, VFU_REGION_READ, &access,
					      sizeof(access), NULL, 0));
}
END_TEST

START_TEST(write_outside_is_refused)
{
	struct {
		struct vfu_region_access access;
		uint8_t data[8192];
	} ask = { .access = outside[_i] };
	size_t len = pvio_min(ask.access.count, sizeof(ask.data));

	hostile_connect();
	expect_refused(EINVAL, guest_vfu_tell(&vfu, VFU_REGION_WRITE, &ask,
					      sizeof(ask.access) + len, NULL,
					      0));
	expect_ok(guest_vfu_send(&vfu, VFU_REGION_WRITE, VFU_NO_REPLY, &ask,
				 sizeof(ask.access) + len, NULL, 0));
	expect_alive();
}
END_TEST

/* F05: nothing is written when it is not clear how much there is. */
START_TEST(write_of_another_count_than_its_data_is_refused)
{
	static const uint32_t counts[][2] = {
		{ 1, 0 }, { 1, 2 }, { 4, 1 },  { 4, 3 },
		{ 4, 5 }, { 2, 4 }, { 1, 64 }, { 0xffffffff, 4 },
	};
	struct {
		struct vfu_region_access access;
		uint8_t data[64];
	} ask = { { VIRTIO_PCI_COMMON_STATUS, BAR_COMMON, counts[_i][0] },
		  { 1, 1, 1, 1 } };

	hostile_connect();
	config_write(4, 0x6, 2);
	expect_refused(EINVAL,
		       guest_vfu_tell(&vfu, VFU_REGION_WRITE, &ask,
				      sizeof(ask.access) + counts[_i][1], NULL,
				      0));
	ck_assert_uint_eq(hostile_status(), 0);
}
END_TEST

/* Whatever the widths: answered, and the device is none the worse. */
START_TEST(accesses_of_any_width_are_answered)
{
	static const uint32_t counts[] = { 1, 2, 3, 4, 5, 7, 8, 9, 16, 64, 256 };
	uint8_t data[256], ones[256];
	uint64_t offset;
	size_t i;

	hostile_ready();
	memset(ones, 0xff, sizeof(ones));
	for (offset = 0; offset < 0x4000; offset += offset < 64 ? 1 : 1021) {
		for (i = 0; i < pvio_array_size(counts); i++) {
			int rc = guest_vfu_read(&vfu, BAR_COMMON, offset, data,
						counts[i]);

			ck_assert(rc == 0 || rc == -EINVAL);
			rc = guest_vfu_write(&vfu, BAR_COMMON, offset, ones,
					     counts[i]);
			ck_assert(rc == 0 || rc == -EINVAL);
		}
	}
	expect_ok(guest_vfu_reset(&vfu));
	hostile_hang_up();
	hostile_serving();
	hostile_expect_served(0);
}
END_TEST

/* --- F06: several writes in one message ---------------------------------- */

START_TEST(multiple_write_of_more_than_there_is_is_refused)
{
	static const uint64_t counts[] = {
		2, 3, 1ull << 32, UINT64_MAX, UINT64_MAX / 24 + 1,
		(UINT64_MAX - 8) / 24 + 2,
	};
	struct {
		uint64_t count;
		struct vfu_multi_write write[1];
	} ask = { counts[_i],
		  { { VIRTIO_PCI_COMMON_STATUS, BAR_COMMON, 1, { 1 } } } };
	int rc;

	hostile_connect();
	config_write(4, 0x6, 2);
	rc = guest_vfu_tell(&vfu, VFU_REGION_WRITE_MULTI, &ask, sizeof(ask),
			    NULL, 0);
	ck_assert_msg(rc == -EINVAL || rc == -ENOTSUP, "%d", rc);
	ck_assert_uint_eq(hostile_status(), 0);
}
END_TEST

START_TEST(multiple_write_to_nowhere_is_refused)
{
	static const struct vfu_multi_write bad[] = {
		{ 0, 9, 4, { 0 } },
		{ 0x4000, BAR_COMMON, 4, { 0 } },
		{ UINT64_MAX, BAR_COMMON, 1, { 0 } },
		{ 0, BAR_COMMON, 0, { 0 } },
		{ 0, BAR_COMMON, 9, { 0 } },
		{ 0, BAR_COMMON, 0xffffffff, { 0 } },
	};
	struct {
		uint64_t count;
		struct vfu_multi_write write[2];
	} ask = { 2, { bad[_i], bad[_i] } };
	int rc;

	hostile_connect();
	rc = guest_vfu_tell(&vfu, VFU_REGION_WRITE_MULTI, &ask, sizeof(ask),
			    NULL, 0);
	ck_assert_msg(rc == -EINVAL || rc == -ENOTSUP, "%d", rc);
	expect_alive();
}
END_TEST

/* --- F07: SET_IRQS ------------------------------------------------------- */

static const struct irq_case {
	uint32_t flags, index, start, count;
	unsigned int nr_fds, bytes;
} bad_irqs[] = {
	/* ranges */
	{ IRQ_ASSIGN, VFU_IRQ_MSIX, 0xffffffff, 1, 1, 0 },
	{ IRQ_ASSIGN, VFU_IRQ_MSIX, 0xffffffff, 2, 2, 0 },
	{ IRQ_ASSIGN, VFU_IRQ_MSIX, 1, 0xffffffff, 1, 0 },
	{ IRQ_ASSIGN, VFU_IRQ_MSIX, 0, 0xffffffff, 0, 0 },
	{ IRQ_ASSIGN, VFU_IRQ_MSIX, 2048, 1, 1, 0 },
	{ IRQ_ASSIGN, VFU_IRQ_INTX, 0, 2, 2, 0 },
	{ IRQ_ASSIGN, VFU_IRQ_INTX, 1, 1, 1, 0 },
	/* what there is none of */
	{ IRQ_ASSIGN, VFU_IRQ_MSI, 0, 1, 1, 0 },
	{ IRQ_ASSIGN, 5, 0, 1, 1, 0 },
	{ IRQ_ASSIGN, 0xffffffff, 0, 1, 1, 0 },
	/* flags */
	{ 0, VFU_IRQ_MSIX, 0, 1, 0, 0 },
	{ VFU_IRQ_DATA_EVENTFD, VFU_IRQ_MSIX, 0, 1, 1, 0 },
	{ VFU_IRQ_ACTION_TRIGGER, VFU_IRQ_MSIX, 0, 1, 0, 0 },
	{ VFU_IRQ_DATA_MASK | VFU_IRQ_ACTION_TRIGGER, VFU_IRQ_MSIX, 0, 1, 1,
	  1 },
	{ VFU_IRQ_DATA_NONE | VFU_IRQ_DATA_BOOL | VFU_IRQ_ACTION_TRIGGER,
	  VFU_IRQ_MSIX, 0, 1, 0, 1 },
	{ VFU_IRQ_DATA_NONE | VFU_IRQ_ACTIONS, VFU_IRQ_MSIX, 0, 1, 0, 0 },
	{ VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_MASK | VFU_IRQ_ACTION_UNMASK,
	  VFU_IRQ_INTX, 0, 1, 0, 0 },
	{ IRQ_ASSIGN | 1u << 6, VFU_IRQ_MSIX, 0, 1, 1, 0 },
	{ IRQ_ASSIGN | 1u << 31, VFU_IRQ_MSIX, 0, 1, 1, 0 },
	/* fewer or more descriptors than it says */
	{ IRQ_ASSIGN, VFU_IRQ_MSIX, 0, 2, 1, 0 },
	{ IRQ_ASSIGN, VFU_IRQ_MSIX, 0, 1, 2, 0 },
	{ IRQ_ASSIGN, VFU_IRQ_MSIX, 0, 0, 1, 0 },
	{ IRQ_ASSIGN, VFU_IRQ_INTX, 0, 1, 8, 0 },
	{ VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_TRIGGER, VFU_IRQ_MSIX, 0, 1, 1,
	  0 },
	{ VFU_IRQ_DATA_BOOL | VFU_IRQ_ACTION_TRIGGER, VFU_IRQ_MSIX, 0, 1, 1,
	  1 },
	/* less or more data */
	{ VFU_IRQ_DATA_BOOL | VFU_IRQ_ACTION_TRIGGER, VFU_IRQ_MSIX, 0, 2, 0,
	  0 },
	{ VFU_IRQ_DATA_BOOL | VFU_IRQ_ACTION_TRIGGER, VFU_IRQ_MSIX, 0, 2, 0,
	  1 },
	{ VFU_IRQ_DATA_BOOL | VFU_IRQ_ACTION_TRIGGER, VFU_IRQ_MSIX, 0, 1, 0,
	  64 },
	{ VFU_IRQ_DATA_BOOL | VFU_IRQ_ACTION_TRIGGER, VFU_IRQ_MSIX, 0,
	  0xffffffff, 0, 4 },
	{ VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_TRIGGER, VFU_IRQ_MSIX, 0, 1, 0,
	  1 },
	{ IRQ_ASSIGN, VFU_IRQ_MSIX, 0, 1, 1, 1 },
};
#define NR_BAD_IRQS ((int)pvio_array_size(bad_irqs))

static int tell_irqs(const struct irq_case *c, uint32_t argsz, const int *fds)
{
	uint8_t bytes[sizeof(struct vfu_irq_set) + 64] = { 0 };
	struct vfu_irq_set set = {
		.argsz = argsz,
		.flags = c->flags,
		.index = c->index,
		.start = c->start,
		.count = c->count,
	};

	memcpy(bytes, &set, sizeof(set));
	return guest_vfu_tell(&vfu, VFU_SET_IRQS, bytes,
			      sizeof(set) + c->bytes, fds, c->nr_fds);
}

START_TEST(set_irqs_that_makes_no_sense_is_refused)
{
	const struct irq_case *c = &bad_irqs[_i];
	int fd = hostile_eventfd(), fds[8] = { fd, fd, fd, fd, fd, fd, fd, fd };

	hostile_connect();
	expect_refused(EINVAL, tell_irqs(c, sizeof(struct vfu_irq_set) +
						    c->bytes,
					 fds));
	close(fd);
}
END_TEST

START_TEST(set_irqs_with_a_small_argsz_is_refused)
{
	static const struct irq_case good = {
		VFU_IRQ_DATA_BOOL | VFU_IRQ_ACTION_TRIGGER, VFU_IRQ_MSIX, 0, 1,
		0, 1,
	};
	uint32_t argsz;

	hostile_connect();
	for (argsz = 0; argsz < sizeof(struct vfu_irq_set); argsz++)
		expect_refused(EINVAL, tell_irqs(&good, argsz, NULL));
}
END_TEST

/* F07: what cannot be written to as an interrupt is not taken. */
START_TEST(fd_that_is_no_eventfd_is_refused)
{
	int fds[] = {
		hostile_memfd(4096), open("/dev/null", O_RDWR),
		epoll_create1(0),    open("/tmp", O_RDONLY | O_DIRECTORY),
		open("/tmp", O_PATH), dup(0),
	};
	size_t i;

	hostile_connect();
	for (i = 0; i < pvio_array_size(fds); i++) {
		ck_assert_int_ge(fds[i], 0);
		expect_refused(EINVAL,
			       guest_vfu_set_irqs(&vfu, IRQ_ASSIGN,
						  VFU_IRQ_MSIX, 0, 1, &fds[i],
						  1));
		expect_refused(EINVAL,
			       guest_vfu_set_irqs(&vfu, IRQ_ASSIGN,
						  VFU_IRQ_INTX, 0, 1, &fds[i],
						  1));
		close(fds[i]);
	}
}
END_TEST

/* One bad among good: all are closed, and the vectors are what they were. */
START_TEST(set_irqs_is_all_or_nothing)
{
	int fd = hostile_eventfd(), old = hostile_eventfd();
	int fds[2] = { fd, hostile_memfd(4096) };
	uint64_t count;

	hostile_connect();
	expect_ok(guest_vfu_set_irqs(&vfu, IRQ_ASSIGN, VFU_IRQ_MSIX, 0, 1, &old,
				     1));
	expect_refused(EINVAL, guest_vfu_set_irqs(&vfu, IRQ_ASSIGN,
						  VFU_IRQ_MSIX, 0, 2, fds, 2));
	expect_ok(guest_vfu_set_irqs(
		&vfu, VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_TRIGGER, VFU_IRQ_MSIX,
		0, 1, NULL, 0));
	ck_assert_int_eq(read(old, &count, sizeof(count)), sizeof(count));
	ck_assert_int_eq(read(fd, &count, sizeof(count)), -1);
	close(fds[0]);
	close(fds[1]);
	close(old);
}
END_TEST

/* --- F16: eventfds that would block -------------------------------------- */

START_TEST(full_and_blocking_eventfd_blocks_nobody)
{
	const uint64_t full = UINT64_MAX - 1;
	int fd = eventfd(0, EFD_CLOEXEC);
	uint16_t n;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, &full, sizeof(full)), sizeof(full));
	hostile_ready();
	hostile_negotiate();
	memset(rig.mem.region[0].host, 0, 0x4000);
	expect_ok(guest_vfu_set_irqs(&vfu, IRQ_ASSIGN, VFU_IRQ_MSIX, 0, 1, &fd,
				     1));
	common_write(VIRTIO_PCI_COMMON_Q_SELECT, 0, 2);
	common_write(VIRTIO_PCI_COMMON_Q_MSIX, 0, 2);
	hostile_start_ring(RIG_RAM_GPA);
	for (n = 0; n < 4; n++)
		hostile_expect_served(n);
	/* Also when the client fires it. */
	expect_ok(guest_vfu_set_irqs(
		&vfu, VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_TRIGGER, VFU_IRQ_MSIX,
		0, 1, NULL, 0));
	expect_alive();
	close(fd);
}
END_TEST

#define IRQ_FIRE (VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_TRIGGER)

/* Set an eventfd for @index, and make it one that blocks. */
static int set_blocking_eventfd(uint32_t index)
{
	const uint64_t full = UINT64_MAX - 1;
	/* One watch a process: without fork the tests share it. */
	int rc = pvio_eventfd_watch(SIGURG), fd = eventfd(0, EFD_CLOEXEC);

	ck_assert(rc == 0 || rc == -EBUSY);
	ck_assert_int_ge(fd, 0);
	expect_ok(guest_vfu_set_irqs(&vfu, IRQ_ASSIGN, index, 0, 1, &fd, 1));
	ck_assert_int_eq(write(fd, &full, sizeof(full)), sizeof(full));
	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
	return fd;
}

/* It holds the worker up once; when another is set, the line is told to it. */
START_TEST(line_eventfd_that_blocks_is_let_go)
{
	unsigned int before;
	uint64_t count;
	int fd, next = hostile_eventfd();

	hostile_serving();
	fd = set_blocking_eventfd(VFU_IRQ_INTX);
	before = rig_count_fds();
	if (_i == 0)
		expect_ok(guest_vfu_set_irqs(&vfu, IRQ_FIRE, VFU_IRQ_INTX, 0, 1,
					     NULL, 0));
	hostile_expect_served(0);
	rig_settle(&rig);
	ck_assert_uint_eq(rig_count_fds(), before - 1);
	expect_ok(guest_vfu_set_irqs(&vfu, IRQ_ASSIGN, VFU_IRQ_INTX, 0, 1,
				     &next, 1));
	ck_assert_int_eq(read(next, &count, sizeof(count)), sizeof(count));
	close(next);
	close(fd);
}
END_TEST

/* ERR and REQ: what the client fires reaches its eventfd, if that is set. */
START_TEST(error_and_request_are_fired_by_the_client)
{
	const uint32_t index = _i ? VFU_IRQ_REQ : VFU_IRQ_ERR;
	const struct vfu_irq_set set = {
		.argsz = sizeof(set) + 1,
		.flags = VFU_IRQ_DATA_BOOL | VFU_IRQ_ACTION_TRIGGER,
		.index = index,
		.count = 1,
	};
	uint8_t msg[sizeof(set) + 1] = { 0 }; /* and whether it is meant */
	int fd = hostile_eventfd();
	uint64_t count;

	memcpy(msg, &set, sizeof(set));
	hostile_connect();
	expect_ok(guest_vfu_set_irqs(&vfu, IRQ_FIRE, index, 0, 1, NULL, 0));
	expect_ok(guest_vfu_set_irqs(&vfu, IRQ_ASSIGN, index, 0, 1, &fd, 1));
	expect_ok(guest_vfu_tell(&vfu, VFU_SET_IRQS, msg, sizeof(msg), NULL,
				 0));
	ck_assert_int_eq(read(fd, &count, sizeof(count)), -1);
	msg[sizeof(set)] = 1;
	expect_ok(guest_vfu_tell(&vfu, VFU_SET_IRQS, msg, sizeof(msg), NULL,
				 0));
	expect_ok(guest_vfu_set_irqs(&vfu, IRQ_FIRE, index, 0, 1, NULL, 0));
	ck_assert_int_eq(read(fd, &count, sizeof(count)), sizeof(count));
	ck_assert_uint_eq(count, 2);
	close(fd);
}
END_TEST

START_TEST(error_eventfd_that_blocks_is_let_go)
{
	const uint32_t index = _i ? VFU_IRQ_REQ : VFU_IRQ_ERR;
	unsigned int before;
	int fd;

	hostile_connect();
	fd = set_blocking_eventfd(index);
	before = rig_count_fds();
	expect_ok(guest_vfu_set_irqs(&vfu, IRQ_FIRE, index, 0, 1, NULL, 0));
	ck_assert_uint_eq(rig_count_fds(), before - 1);
	close(fd);
}
END_TEST

/* Else the one would raise the other for ever. */
START_TEST(one_eventfd_does_not_trigger_and_unmask)
{
	const uint32_t unmask = VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_UNMASK;
	int fd = hostile_eventfd(), other = hostile_eventfd();
	unsigned int before;

	hostile_connect();
	before = rig_count_fds();
	expect_ok(guest_vfu_set_irqs(&vfu, IRQ_ASSIGN, VFU_IRQ_INTX, 0, 1, &fd,
				     1));
	expect_refused(EINVAL, guest_vfu_set_irqs(&vfu, unmask, VFU_IRQ_INTX, 0,
						  1, &fd, 1));
	expect_ok(guest_vfu_set_irqs(&vfu, unmask, VFU_IRQ_INTX, 0, 1, &other,
				     1));
	expect_refused(EINVAL, guest_vfu_set_irqs(&vfu, IRQ_ASSIGN,
						  VFU_IRQ_INTX, 0, 1, &other,
						  1));
	ck_assert_uint_eq(rig_count_fds(), before + 2);
	close(fd);
	close(other);
}
END_TEST

/* A read may block, since the client can take O_NONBLOCK away: there is none. */
START_TEST(unmask_eventfd_is_not_read)
{
	const uint64_t one = 1;
	int trigger = hostile_eventfd(), unmask = hostile_eventfd();
	uint64_t count;
	int i;

	hostile_connect();
	expect_ok(guest_vfu_set_irqs(&vfu, IRQ_ASSIGN, VFU_IRQ_INTX, 0, 1,
				     &trigger, 1));
	expect_ok(guest_vfu_set_irqs(
		&vfu, VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_UNMASK,
		VFU_IRQ_INTX, 0, 1, &unmask, 1));
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(write(unmask, &one, sizeof(one)), sizeof(one));
		rig_settle(&rig);
	}
	ck_assert_int_eq(read(unmask, &count, sizeof(count)), sizeof(count));
	ck_assert_uint_eq(count, 3);
	expect_alive();
	close(trigger);
	close(unmask);
}
END_TEST

/* --- F14, F15: what we do not have --------------------------------------- */

/* Migration, dirty logs: refused, and the device runs on. */
START_TEST(features_and_migration_are_refused)
{
	static const uint32_t actions[] = {
		0,
		VFU_FEATURE_GET,
		VFU_FEATURE_SET,
		VFU_FEATURE_PROBE | VFU_FEATURE_GET,
		VFU_FEATURE_PROBE | VFU_FEATURE_SET,
		VFU_FEATURE_GET | VFU_FEATURE_SET | VFU_FEATURE_PROBE,
		0xffff0000,
	};
	static const uint32_t sizes[] = { 8, 0, 7, 4096, 0xffffffff };
	uint8_t bytes[64] = { 0 };
	struct vfu_feature feature;
	struct vfu_mig_data data;
	uint16_t n = 0;
	size_t i, k;

	hostile_serving();
	for (i = 0; i < pvio_array_size(actions); i++) {
		for (k = 0; k < pvio_array_size(sizes); k++) {
			/* page size 0, iova that wraps (F15), state 0 to 7 */
			memset(bytes, k ? 0xff : 0, sizeof(bytes));
			feature = (struct vfu_feature){
				sizes[k], actions[i] | (uint32_t)(i + k)
			};
			memcpy(bytes, &feature, sizeof(feature));
			expect_refused(ENOTSUP,
				       guest_vfu_tell(&vfu, VFU_DEVICE_FEATURE,
						      bytes, sizeof(bytes),
						      NULL, 0));
			data = (struct vfu_mig_data){ sizes[k], sizes[k] };
			memcpy(bytes, &data, sizeof(data));
			expect_refused(ENOTSUP,
				       guest_vfu_tell(&vfu, VFU_MIG_DATA_READ,
						      bytes, sizeof(data), NULL,
						      0));
			expect_refused(ENOTSUP,
				       guest_vfu_tell(&vfu, VFU_MIG_DATA_WRITE,
						      bytes, sizeof(bytes),
						      NULL, 0));
		}
		hostile_expect_served(n++);
	}
}
END_TEST

START_TEST(doorbells_by_descriptor_are_refused)
{
	struct vfu_region_io_fds ask = { .argsz = sizeof(ask),
					 .index = BAR_COMMON,
					 .count = 0xffffffff };
	int rc;

	hostile_connect();
	rc = guest_vfu_tell(&vfu, VFU_GET_REGION_IO_FDS, &ask, sizeof(ask),
			    NULL, 0);
	ck_assert_msg(rc == 0 || rc == -EINVAL || rc == -ENOTSUP, "%d", rc);
	expect_alive();
}
END_TEST

/* --- F17: configuration space -------------------------------------------- */

/* What a driver relies on: identity, classes, the chain of capabilities. */
static bool is_constant(const uint8_t *before, size_t offset)
{
	uint8_t cap = before[0x34];

	if (offset < 4 || (offset >= 8 && offset < 0xc) || offset == 0xe ||
	    offset == 0x34 || offset == 0x3d ||
	    (offset >= 0x2c && offset < 0x30))
		return true;
	for (; cap; cap = before[cap + 1])
		if (offset == cap || offset == cap + 1u)
			return true;
	return false;
}

static void config_read_all(uint8_t *config)
{
	expect_ok(guest_vfu_read(&vfu, VFU_REGION_CONFIG, 0, config, 4096));
}

START_TEST(constant_bytes_of_configuration_cannot_be_written)
{
	static const uint8_t patterns[] = { 0xff, 0x00, 0xa5 };
	uint8_t before[4096], after[4096];
	size_t at;

	hostile_connect();
	config_read_all(before);
	for (at = 0; at < 4096; at++)
		expect_ok(guest_vfu_write(&vfu, VFU_REGION_CONFIG, at,
					  &patterns[_i], 1));
	config_read_all(after);
	for (at = 0; at < 256; at++)
		if (is_constant(before, at))
			ck_assert_msg(before[at] == after[at],
				      "0x%zx: 0x%02x, was 0x%02x", at,
				      after[at], before[at]);
	/* Capabilities are still announced: RW1C bits aside, status is ours. */
	ck_assert_uint_eq(before[6] & 0x10, after[6] & 0x10);
	/* The bus's reset undoes the rest. */
	expect_ok(guest_vfu_reset(&vfu));
	config_read_all(after);
	ck_assert_int_eq(memcmp(before, after, sizeof(before)), 0);
}
END_TEST

START_TEST(bars_are_sized_as_the_regions_are)
{
	struct guest_vfu_region region;
	unsigned int i;
	uint32_t bits;

	hostile_connect();
	for (i = 0; i < HOSTILE_NR_BARS; i++) {
		expect_ok(guest_vfu_region_info(&vfu, i, &region));
		if (region.fd >= 0)
			close(region.fd);
		config_write(0x10 + 4 * i, 0xffffffff, 4);
		bits = config_read(0x10 + 4 * i, 4);
		if (region.size)
			ck_assert_uint_eq(~(bits & ~0xfu) + 1, region.size);
		/* An upper half, or nothing. */
		else if (i == 0 || (config_read(0x10 + 4 * (i - 1), 4) & 7) != 4)
			ck_assert_uint_eq(bits, 0);
	}
}
END_TEST

int main(void)
{
	const struct hostile_test tests[] = {
		{ argsz_smaller_than_the_struct_is_refused, 3 },
		{ argsz_of_four_gigabytes_is_answered, 3 },
		{ index_of_nothing_is_refused, 4 },
		{ read_outside_is_refused, NR_OUTSIDE },
		{ write_outside_is_refused, NR_OUTSIDE },
		{ write_of_another_count_than_its_data_is_refused, 8 },
		{ accesses_of_any_width_are_answered, 0 },
		{ multiple_write_of_more_than_there_is_is_refused, 6 },
		{ multiple_write_to_nowhere_is_refused, 6 },
		{ set_irqs_that_makes_no_sense_is_refused, NR_BAD_IRQS },
		{ set_irqs_with_a_small_argsz_is_refused, 0 },
		{ fd_that_is_no_eventfd_is_refused, 0 },
		{ set_irqs_is_all_or_nothing, 0 },
		{ full_and_blocking_eventfd_blocks_nobody, 0 },
		{ line_eventfd_that_blocks_is_let_go, 2 },
		{ error_and_request_are_fired_by_the_client, 2 },
		{ error_eventfd_that_blocks_is_let_go, 2 },
		{ one_eventfd_does_not_trigger_and_unmask, 0 },
		{ unmask_eventfd_is_not_read, 0 },
		{ features_and_migration_are_refused, 0 },
		{ doorbells_by_descriptor_are_refused, 0 },
		{ constant_bytes_of_configuration_cannot_be_written, 3 },
		{ bars_are_sized_as_the_regions_are, 0 },
	};

	return hostile_main("vfio_user_device", setup, teardown, tests,
			    pvio_array_size(tests));
}
