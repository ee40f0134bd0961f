/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_ways.c - what a driver does with registers, on every way to a device
 *
 * And what our driver makes of a PCI function that is not as it should be.
 */
#include "tests/block-rig.h"
#include "tests/check_main.h"

#include "guest/device-pci.h"

#include <pvio/pci.h>
#include <pvio/pvio.h>

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RAM_DISK "backend = { type = \"memory\"; size = \"1M\"; };"

static struct block_rig rig;

static bool is_vhost_user(int i)
{
	return guest_way_is_vhost_user((enum guest_way)(i / 2));
}

static void expect_queue_serves(unsigned int q, unsigned int seed)
{
	uint8_t out[4096], in[4096];

	rig_pattern(out, sizeof(out), seed);
	ck_assert_int_eq(rig_request(&rig, q, VIRTIO_BLK_T_OUT, 8 * seed, out,
				     sizeof(out), NULL, 0),
			 VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig_request(&rig, q, VIRTIO_BLK_T_IN, 8 * seed, NULL,
				     0, in, sizeof(in)),
			 VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(in, out, sizeof(in));
}

/* --- features of the transport -------------------------------------------- */

START_TEST(registers_offer_what_a_driver_of_them_can_use)
{
	/* A page's doorbell is told apart by its value, and so is a bus's. */
	bool has_no_data = _i / 2 == GUEST_WAY_MMIO ||
			   _i / 2 == GUEST_WAY_MMIO_WRITE ||
			   _i / 2 == GUEST_WAY_BUS ||
			   _i / 2 == GUEST_WAY_BUS_DIRECT;

	rig_open(&rig, _i, RAM_DISK, 0);
	if (_i / 2 >= GUEST_WAY_PCI && !is_vhost_user(_i)) {
		ck_assert(rig.features[0] & PVIO_BIT(VIRTIO_F_RING_RESET));
		ck_assert(has_no_data !=
			  !!(rig.features[0] &
			     PVIO_BIT(VIRTIO_F_NOTIFICATION_DATA)));
	}
	expect_queue_serves(0, 1);
	rig_close(&rig);
}
END_TEST

/* Kicks are two bytes, or four that say how far the driver is. */
START_TEST(doorbells_of_either_width_are_heard)
{
	unsigned int i;

	rig_open(&rig, _i, RAM_DISK,
		 PVIO_BIT(VIRTIO_F_NOTIFICATION_DATA) |
			 PVIO_BIT(VIRTIO_F_NOTIF_CONFIG_DATA));
	for (i = 0; i < 300; i++)
		expect_queue_serves(0, i % 16);
	rig_close(&rig);
	/* More than once round the ring, and so with either wrap counter. */
	rig_open(&rig, _i, RAM_DISK, 0);
	for (i = 0; i < 300; i++)
		expect_queue_serves(0, i % 16);
	rig_close(&rig);
}
END_TEST

/* --- queues --------------------------------------------------------------- */

START_TEST(queue_is_reset_alone_and_starts_with_another_size)
{
	unsigned int round;
	int rc;

	rig_open(&rig, _i, "queues = 2; " RAM_DISK, 0);
	for (round = 0; round < 4; round++) {
		expect_queue_serves(1, 1);
		rc = guest_device_reset_queue(rig.gd, 1);
		if (is_vhost_user(_i)) {
			ck_assert_int_eq(rc, -ENOTSUP);
			break;
		}
		ck_assert_int_eq(rc, 0);
		/* The other queue goes on. */
		expect_queue_serves(0, 2);
		ck_assert_int_eq(guest_device_setup_queue(
					 rig.gd, 1, (uint16_t)(32 << round)),
				 0);
		ck_assert_int_eq(guest_device_restart_queue(rig.gd, 1), 0);
	}
	expect_queue_serves(1, 3);
	expect_queue_serves(0, 4);
	rig_close(&rig);
}
END_TEST

START_TEST(queue_is_not_reset_unless_that_was_negotiated)
{
	rig_open(&rig, _i, RAM_DISK, PVIO_BIT(VIRTIO_F_RING_RESET));
	ck_assert_int_eq(guest_device_reset_queue(rig.gd, 0), -ENOTSUP);
	expect_queue_serves(0, 1);
	rig_close(&rig);
}
END_TEST

/* --- interrupts ----------------------------------------------------------- */

/* A driver that waits for each request is told of each, once. */
START_TEST(each_request_interrupts_its_queue)
{
	uint64_t before[2];
	unsigned int i;

	rig_open(&rig, _i, "queues = 2; " RAM_DISK, 0);
	before[0] = guest_device_interrupts(rig.gd, 0);
	before[1] = guest_device_interrupts(rig.gd, 1);
	for (i = 0; i < 50; i++)
		expect_queue_serves(1, i % 16);
	/* A line's handler is run by who waits, and perhaps nobody had to. */
	ck_assert(!guest_device_is_broken(rig.gd));
	/* Two requests each; some may be used before we ask to be told. */
	ck_assert_uint_le(guest_device_interrupts(rig.gd, 1) - before[1], 100);
	ck_assert_uint_gt(guest_device_interrupts(rig.gd, 1), before[1]);
	/* One line is for all queues; else the other hears nothing. */
	if (_i / 2 == GUEST_WAY_PCI || _i / 2 == GUEST_WAY_VFIO_USER ||
	    _i / 2 >= GUEST_WAY_BUS)
		ck_assert_uint_eq(guest_device_interrupts(rig.gd, 0),
				  before[0]);
	rig_close(&rig);
}
END_TEST

/* --- a function that is not as it should be ------------------------------- */

/* A function whose configuration space reads otherwise in one place. */
struct spoiled {
	struct pvio_pci *pci;
	size_t offset, len; /* 0: not spoiled */
	uint32_t value;
};

static int spoiled_config_read(void *arg, size_t offset, void *buf, size_t len)
{
	struct spoiled *s = arg;
	uint32_t value = htole32(s->value);
	size_t i;

	pvio_pci_config_read(s->pci, offset, buf, len);
	for (i = 0; i < len; i++)
		if (offset + i >= s->offset && offset + i < s->offset + s->len)
			((uint8_t *)buf)[i] =
				((uint8_t *)&value)[offset + i - s->offset];
	return 0;
}

static int spoiled_config_write(void *arg, size_t offset, const void *buf,
				size_t len)
{
	pvio_pci_config_write(((struct spoiled *)arg)->pci, offset, buf, len);
	return 0;
}

static int spoiled_bar_read(void *arg, unsigned int bar, uint64_t offset,
			    void *buf, size_t len)
{
	pvio_pci_bar_read(((struct spoiled *)arg)->pci, bar, offset, buf, len);
	return 0;
}

static int spoiled_bar_write(void *arg, unsigned int bar, uint64_t offset,
			     const void *buf, size_t len)
{
	pvio_pci_bar_write(((struct spoiled *)arg)->pci, bar, offset, buf, len);
	return 0;
}

static const struct guest_pci_access spoiled_access = {
	.config_read = spoiled_config_read,
	.config_write = spoiled_config_write,
	.bar_read = spoiled_bar_read,
	.bar_write = spoiled_bar_write,
};

/* Where the virtio capability of @type is; the first capability if 0. */
static size_t find_cap(struct pvio_pci *pci, uint8_t type)
{
	uint8_t cap = 0, head[4] = { 0 };

	pvio_pci_config_read(pci, 0x34, &cap, 1);
	while (type && cap) {
		pvio_pci_config_read(pci, cap, head, sizeof(head));
		if (head[0] == 0x09 && head[3] == type)
			break;
		cap = head[1];
	}
	ck_assert_uint_ne(cap, 0);
	return cap;
}

static const struct {
	const char *what;
	int cap; /* its virtio capability's type; 0: the first; -1: header */
	size_t offset, len;
	uint32_t value;
	int rc;
} spoils[] = {
	{ "nothing", -1, 0, 0, 0, 0 },
	{ "another vendor", -1, 0x00, 2, 0x8086, -EPROTO },
	{ "no function", -1, 0x00, 4, 0xffffffff, -EPROTO },
	{ "a legacy revision", -1, 0x08, 1, 0, -EPROTO },
	{ "a bridge", -1, 0x0e, 1, 1, -EPROTO },
	{ "no capabilities", -1, 0x06, 2, 0, -EPROTO },
	{ "an empty list", -1, 0x34, 1, 0, -EPROTO },
	{ "a list that begins in the header", -1, 0x34, 1, 0x10, -EPROTO },
	{ "a list that is one loop", 0, 1, 1, 0x40, -EPROTO },
	{ "common in a BAR that cannot be", 1, 4, 1, 7, -EPROTO },
	{ "common in a BAR that is not there", 1, 4, 1, 2, -EPROTO },
	{ "common past its BAR", 1, 8, 4, 0xfffff000, -EPROTO },
	{ "common of no length", 1, 12, 4, 0, -EPROTO },
	{ "common too short to have a queue count", 1, 12, 4, 16, -EPROTO },
	{ "notify that wraps", 2, 12, 4, 0xffffffff, -EPROTO },
	{ "notify without a multiplier", 2, 2, 1, 16, -EPROTO },
	{ "no ISR", 3, 3, 1, 0x77, -EPROTO },
};

START_TEST(function_that_cannot_be_used_is_refused)
{
	struct spoiled s = { .offset = spoils[_i].offset,
			     .len = spoils[_i].len,
			     .value = spoils[_i].value };
	struct pvio_worker *worker;
	struct pvio_device *dev;
	struct guest_pci pci;

	ck_assert_int_eq(pvio_worker_create("worker", &worker), 0);
	ck_assert_int_eq(pvio_device_create("rng",
					    "model = \"rng\"; transport = "
					    "{ type = \"pci\"; };",
					    worker, &worker, 1, &dev),
			 0);
	ck_assert_int_eq(pvio_device_start(dev), 0);
	s.pci = pvio_pci_of(dev);
	if (spoils[_i].cap >= 0)
		s.offset += find_cap(s.pci, (uint8_t)spoils[_i].cap);
	ck_assert_msg(guest_pci_init(&pci, &spoiled_access, &s) ==
			      spoils[_i].rc,
		      "%s", spoils[_i].what);
	if (spoils[_i].rc == 0)
		guest_pci_fini(&pci);
	pvio_device_destroy(dev);
	pvio_worker_destroy(worker);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ways");
	TCase *every = tcase_create("every way");
	TCase *pci = tcase_create("pci");

#define EVERY_WAY(test) tcase_add_loop_test(every, test, 0, BLOCK_NR_WAYS)
	EVERY_WAY(registers_offer_what_a_driver_of_them_can_use);
	EVERY_WAY(doorbells_of_either_width_are_heard);
	EVERY_WAY(queue_is_reset_alone_and_starts_with_another_size);
	EVERY_WAY(queue_is_not_reset_unless_that_was_negotiated);
	EVERY_WAY(each_request_interrupts_its_queue);
	tcase_set_timeout(every, 60);
	suite_add_tcase(s, every);

	tcase_add_loop_test(pci, function_that_cannot_be_used_is_refused, 0,
			    (int)pvio_array_size(spoils));
	suite_add_tcase(s, pci);

	return check_suite(s);
}
