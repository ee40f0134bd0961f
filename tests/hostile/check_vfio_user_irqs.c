/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vfio_user_irqs.c - interrupts, as a hostile vfio-user client would have
 * them: SET_IRQS that makes no sense, and eventfds that block
 */
#include "core/eventfd.h"
#include "tests/hostile/vfio-user-hostile.h"

#include <signal.h>

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

int main(void)
{
	const struct hostile_test tests[] = {
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
	};

	return hostile_main("vfio_user_irqs", setup, teardown, tests,
			    pvio_array_size(tests));
}
