/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_memory_list.c - the guest's memory as a program lists it, under a
 * running PCI function
 */
#include "tests/check_main.h"
#include "tests/pci-rig.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MORE_GPA   0x40000000ULL
#define MORE_BYTES 0x10000ULL

static int more_fd;
static uint8_t *more; /* what the guest sees at MORE_GPA */

static void setup(void)
{
	pci_rig_setup();
	more_fd = memfd_create("more", MFD_CLOEXEC);
	ck_assert_int_ge(more_fd, 0);
	ck_assert_int_eq(ftruncate(more_fd, MORE_BYTES), 0);
	more = mmap(NULL, MORE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		    more_fd, 0);
	ck_assert_ptr_ne(more, MAP_FAILED);
}

static void teardown(void)
{
	regs_rig_teardown();
	munmap(more, MORE_BYTES);
	close(more_fd);
}

static void hand_over(void)
{
	ck_assert_int_eq(pvio_device_set_memory_list(rrig.dev, rrig.list), 0);
	regs_rig_step();
}

/* What the device answers to a buffer with these two segments. */
static uint32_t answer(uint64_t from, uint64_t to)
{
	struct guest_segment seg[2] = { { .gpa = from, .len = 64 },
					{ .gpa = to, .len = 64 } };
	uint32_t len = UINT32_MAX;

	ck_assert_int_eq(guest_ring_add(rrig.ring[0], seg, 1, 1, seg), 0);
	guest_ring_publish(rrig.ring[0]);
	reg_write(REG_NOTIFY, 2, 0);
	ck_assert(regs_rig_is_used(0));
	ck_assert_ptr_eq(guest_ring_reap(rrig.ring[0], &len), seg);
	return len;
}

START_TEST(ranges_are_checked_when_they_are_listed)
{
	struct pvio_memory *list = rrig.list;
	static uint8_t host[4096];

	ck_assert_int_eq(pvio_memory_add(list, 0, 0, host), -EINVAL);
	ck_assert_int_eq(pvio_memory_add(list, UINT64_MAX, 2, host), -EINVAL);
	ck_assert_int_eq(pvio_memory_add(list, REGS_RIG_GPA - 4095, 4096, host),
			 -EEXIST);
	ck_assert_int_eq(
		pvio_memory_add(list, REGS_RIG_GPA + REGS_RIG_BYTES - 1, 4096,
				host),
		-EEXIST);
	ck_assert_int_eq(pvio_memory_add_fd(list, MORE_GPA, MORE_BYTES + 1,
					    more_fd, 0, 0),
			 -EINVAL);
	ck_assert_int_eq(pvio_memory_add_fd(list, MORE_GPA, MORE_BYTES,
					    more_fd, 4096, 0),
			 -EINVAL);
	ck_assert_int_lt(pvio_memory_add_fd(list, MORE_GPA, 4096, -1, 0, 0), 0);
	ck_assert_int_eq(pvio_memory_remove(list, MORE_GPA), -ENOENT);
	ck_assert_int_eq(pvio_memory_add(list, REGS_RIG_GPA - 4096, 4096, host),
			 0);
	ck_assert_int_eq(pvio_memory_remove(list, REGS_RIG_GPA - 4096), 0);
	pvio_memory_destroy(NULL);
}
END_TEST

START_TEST(there_is_room_for_512_ranges)
{
	static uint8_t host[512];
	unsigned int i;

	for (i = 1; i < 512; i++)
		ck_assert_int_eq(pvio_memory_add(rrig.list, i, 1, host + i), 0);
	ck_assert_int_eq(pvio_memory_add(rrig.list, 0, 1, host), -ENOSPC);
	hand_over();
	pci_rig_run(0);
	pci_rig_echo(0);
}
END_TEST

START_TEST(a_list_is_what_a_device_was_given)
{
	pci_rig_run(0);
	ck_assert_int_eq(pvio_memory_add_fd(rrig.list, MORE_GPA, MORE_BYTES,
					    more_fd, 0, 0),
			 0);
	/* Not yet ... */
	ck_assert_uint_eq(answer(rrig.seg[0].gpa, MORE_GPA), 0);
	hand_over();
	memset(rrig.out, 'm', 64);
	ck_assert_uint_eq(answer(rrig.seg[0].gpa, MORE_GPA), 64);
	ck_assert_mem_eq(more, rrig.out, 64);
	/* ... and still. */
	ck_assert_int_eq(pvio_memory_remove(rrig.list, MORE_GPA), 0);
	ck_assert_uint_eq(answer(rrig.seg[0].gpa, MORE_GPA), 64);
	hand_over();
	ck_assert_uint_eq(answer(rrig.seg[0].gpa, MORE_GPA), 0);
	pci_rig_echo(0);
}
END_TEST

START_TEST(a_ring_that_is_unplugged_breaks_its_queue)
{
	pci_rig_run(0);
	ck_assert_int_eq(pvio_memory_remove(rrig.list, REGS_RIG_GPA), 0);
	hand_over();
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0x4f);
	ck_assert_uint_eq(prig.msix[0], 1);
}
END_TEST

/* F09 */
START_TEST(f09_what_is_read_only_is_read_and_not_written)
{
	uint8_t before[64];

	ck_assert_int_eq(pvio_memory_add_fd(rrig.list, MORE_GPA, MORE_BYTES,
					    more_fd, 0, 1),
			 0);
	hand_over();
	pci_rig_run(0);
	memset(more, 'r', MORE_BYTES);
	memcpy(before, more, 64);
	ck_assert_uint_eq(answer(MORE_GPA, rrig.seg[1].gpa), 64);
	ck_assert_mem_eq(rrig.in, more, 64);
	ck_assert_uint_eq(answer(rrig.seg[0].gpa, MORE_GPA), 0);
	ck_assert_uint_eq(answer(rrig.seg[0].gpa, MORE_GPA + MORE_BYTES - 64),
			  0);
	ck_assert_mem_eq(more, before, 64);
	pci_rig_echo(0);
	ck_assert_uint_eq(reg_read(REG_STATUS, 1), 0xf);
}
END_TEST

START_TEST(f09_a_buffer_that_reaches_into_what_is_read_only_is_refused)
{
	static uint8_t host[4096];

	ck_assert_int_eq(pvio_memory_add(rrig.list, MORE_GPA - 4096, 4096,
					 host),
			 0);
	ck_assert_int_eq(pvio_memory_add_fd(rrig.list, MORE_GPA, MORE_BYTES,
					    more_fd, 0, 1),
			 0);
	hand_over();
	pci_rig_run(0);
	ck_assert_uint_eq(answer(rrig.seg[0].gpa, MORE_GPA - 64), 64);
	ck_assert_uint_eq(answer(rrig.seg[0].gpa, MORE_GPA - 63), 0);
	ck_assert_uint_eq(answer(MORE_GPA - 32, rrig.seg[1].gpa), 64);
}
END_TEST

START_TEST(f09_a_ring_that_cannot_be_written_does_not_start)
{
	ck_assert_int_eq(pvio_memory_add_fd(rrig.list, MORE_GPA, MORE_BYTES,
					    more_fd, 0, 1),
			 0);
	hand_over();
	pci_rig_enable();
	pci_rig_negotiate(0);
	pci_rig_layout(0, 16, 1);
	reg_write(REG_QUEUE_DEVICE, 8, MORE_GPA);
	reg_write(REG_QUEUE_ENABLE, 2, 1);
	ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 0);
	/* What is only read may be there. */
	reg_write(REG_QUEUE_DEVICE, 8, guest_ring_device(rrig.ring[0]));
	reg_write(REG_QUEUE_DESC, 8, MORE_GPA);
	reg_write(REG_QUEUE_ENABLE, 2, 1);
	ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 1);

	/* A packed ring is written where it is read. */
	pci_rig_reset();
	pci_rig_negotiate(PVIO_BIT(VIRTIO_F_RING_PACKED));
	pci_rig_layout(0, 16, 1);
	reg_write(REG_QUEUE_DESC, 8, MORE_GPA);
	reg_write(REG_QUEUE_ENABLE, 2, 1);
	ck_assert_uint_eq(reg_read(REG_QUEUE_ENABLE, 2), 0);
}
END_TEST

CHECK_MAIN("memory list", setup, teardown,
	   ranges_are_checked_when_they_are_listed,
	   there_is_room_for_512_ranges, a_list_is_what_a_device_was_given,
	   a_ring_that_is_unplugged_breaks_its_queue,
	   f09_what_is_read_only_is_read_and_not_written,
	   f09_a_buffer_that_reaches_into_what_is_read_only_is_refused,
	   f09_a_ring_that_cannot_be_written_does_not_start)
