/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_mmio.c - a register page, register by register, under a VMM of few words
 */
#include "tests/check_main.h"
#include "tests/mmio-rig.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* --- identity and configuration ------------------------------------------ */

START_TEST(page_says_what_it_is)
{
	ck_assert_uint_eq(reg_read(REG(MAGIC_VALUE)), 0x74726976);
	ck_assert_uint_eq(reg_read(REG(VERSION)), 2);
	ck_assert_uint_eq(reg_read(REG(DEVICE_ID)), pvio_device_id(rrig.dev));
	ck_assert_uint_eq(reg_read(REG(VENDOR_ID)), 0x4f495650);
	ck_assert_uint_eq(reg_read(REG(STATUS)), 0);
	ck_assert_uint_eq(reg_read(REG(INTERRUPT_STATUS)), 0);
}
END_TEST

START_TEST(device_of_another_transport_has_no_page)
{
	struct pvio_device *dev;

	ck_assert_int_eq(
		pvio_device_create("other",
				   "model = \"probe\";"
				   "transport = { type = \"loopback\"; };",
				   rrig.control, &rrig.control, 1, &dev),
		0);
	ck_assert_ptr_null(pvio_mmio_of(dev));
	pvio_device_destroy(dev);
}
END_TEST

START_TEST(features_are_offered_by_words)
{
	struct pvio_features offered;
	unsigned int i;

	pvio_device_offered(rrig.dev, &offered);
	for (i = 0; i < 4; i++) {
		reg_write(REG(DEVICE_FEATURES_SEL), i);
		ck_assert_uint_eq(
			reg_read(REG(DEVICE_FEATURES)),
			(uint32_t)(offered.word[i / 2] >> i % 2 * 32));
	}
	reg_write(REG(DEVICE_FEATURES_SEL), 4);
	ck_assert_uint_eq(reg_read(REG(DEVICE_FEATURES)), 0);
	/* The doorbell of a VMM is bound to the value that is written. */
	ck_assert(!pvio_feature_has(&offered, VIRTIO_F_NOTIFICATION_DATA));
	ck_assert(!pvio_feature_has(&offered, VIRTIO_F_NOTIF_CONFIG_DATA));
	ck_assert(pvio_feature_has(&offered, VIRTIO_F_RING_RESET));
	ck_assert(pvio_feature_has(&offered, VIRTIO_F_SUSPEND));
	ck_assert(pvio_feature_has(&offered, VIRTIO_F_ACCESS_PLATFORM));
	ck_assert_uint_eq(
		mmio_rig_negotiate(PVIO_BIT(VIRTIO_F_ACCESS_PLATFORM)), 0xb);
}
END_TEST

START_TEST(there_is_no_shared_memory)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		reg_write(REG(SHM_SEL), i);
		ck_assert_uint_eq(reg_read(REG(SHM_LEN_LOW)), UINT32_MAX);
		ck_assert_uint_eq(reg_read(REG(SHM_LEN_HIGH)), UINT32_MAX);
		ck_assert_uint_eq(reg_read(REG(SHM_BASE_LOW)), UINT32_MAX);
		ck_assert_uint_eq(reg_read(REG(SHM_BASE_HIGH)), UINT32_MAX);
	}
}
END_TEST

START_TEST(configuration_is_read_in_any_width)
{
	uint64_t wide;
	uint16_t half;
	uint8_t byte;

	reg_write(REG(CONFIG) + 4, 0x11223344);
	ck_assert_uint_eq(reg_read(REG(CONFIG) + 4), 0x11223344);
	pvio_mmio_read(mrig.mmio, REG(CONFIG) + 6, &half, 2);
	ck_assert_uint_eq(le16toh(half), 0x1122);
	pvio_mmio_read(mrig.mmio, REG(CONFIG), &wide, 8);
	ck_assert(le64toh(wide) >> 32 == 0x11223344);
	pvio_mmio_read(mrig.mmio, REG(CONFIG) + 7, &byte, 1);
	ck_assert_uint_eq(byte, 0x11);
}
END_TEST

START_TEST(generation_changes_with_the_configuration)
{
	uint32_t before = reg_read(REG(CONFIG_GENERATION));
	char answer[8];

	ck_assert_uint_eq(reg_read(REG(CONFIG_GENERATION)), before);
	mmio_rig_run(0);
	pvio_device_command(rrig.dev, "poke", "", answer, sizeof(answer));
	ck_assert_uint_ne(reg_read(REG(CONFIG_GENERATION)), before);
	ck_assert(mrig.level);
	ck_assert_uint_eq(reg_read(REG(INTERRUPT_STATUS)), 2);
	reg_write(REG(INTERRUPT_ACK), 2);
	ck_assert(!mrig.level);
}
END_TEST

/* --- queues -------------------------------------------------------------- */

START_TEST(driver_is_served_on_every_queue)
{
	unsigned int q;

	mmio_rig_run(0);
	for (q = 0; q < PROBE_QUEUES; q++) {
		mmio_rig_echo(q);
		ck_assert(mrig.level);
		ck_assert_uint_eq(reg_read(REG(INTERRUPT_STATUS)), 1);
		reg_write(REG(INTERRUPT_ACK), 1);
		ck_assert(!mrig.level);
		ck_assert_uint_eq(mrig.ups, q + 1);
	}
}
END_TEST

START_TEST(packed_rings_are_served)
{
	unsigned int i;

	mmio_rig_run(PVIO_BIT(VIRTIO_F_RING_PACKED));
	for (i = 0; i < 40; i++)
		mmio_rig_echo(1);
}
END_TEST

START_TEST(queue_that_is_not_there_has_no_size)
{
	reg_write(REG(QUEUE_SEL), 3);
	ck_assert_uint_eq(reg_read(REG(QUEUE_NUM_MAX)), PROBE_QUEUE_SIZE);
	reg_write(REG(QUEUE_SEL), 4);
	ck_assert_uint_eq(reg_read(REG(QUEUE_NUM_MAX)), 0);
	ck_assert_uint_eq(reg_read(REG(QUEUE_READY)), 0);
	/* Sixteen bits of the number are not looked at alone. */
	reg_write(REG(QUEUE_SEL), 0x10000);
	ck_assert_uint_eq(reg_read(REG(QUEUE_NUM_MAX)), 0);
}
END_TEST

/* As Linux' virtio_mmio deletes a queue: written once, read once. */
START_TEST(queue_whose_ready_is_0_has_stopped)
{
	uint64_t bits[] = { 0, PVIO_BIT(VIRTIO_F_RING_RESET) };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		mmio_rig_expect_service();
		reg_write(REG(STATUS), 0);
		mmio_rig_run(bits[i]);
		mmio_rig_echo(1);
		reg_write(REG(QUEUE_SEL), 1);
		reg_write(REG(QUEUE_READY), 0);
		ck_assert_uint_eq(reg_read(REG(QUEUE_READY)), 0);
		mmio_rig_submit(1);
		ck_assert(!regs_rig_is_used(1));
		/* The others go on, and this one may begin anew. */
		mmio_rig_echo(0);
		ck_assert(mmio_rig_start_queue(1, 8));
		mmio_rig_echo(1);
	}
}
END_TEST

START_TEST(queue_is_reset_by_its_register)
{
	mmio_rig_run(PVIO_BIT(VIRTIO_F_RING_RESET));
	reg_write(REG(QUEUE_SEL), 2);
	ck_assert_uint_eq(reg_read(REG_QUEUE_RESET), 0);
	mmio_rig_hold(2);
	reg_write(REG_QUEUE_RESET, 1);
	ck_assert_uint_eq(reg_read(REG_QUEUE_RESET), 1);
	mmio_rig_release(2);
	ck_assert_uint_eq(reg_read(REG_QUEUE_RESET), 0);
	ck_assert_uint_eq(reg_read(REG(QUEUE_READY)), 0);
	ck_assert(mmio_rig_start_queue(2, 32));
	mmio_rig_echo(2);
	mmio_rig_echo(0);
}
END_TEST

START_TEST(status_of_0_resets_everything)
{
	mmio_rig_run(0);
	mmio_rig_echo(0);
	ck_assert(mrig.level);
	reg_write(REG(STATUS), 0);
	ck_assert_uint_eq(reg_read(REG(STATUS)), 0);
	ck_assert(!mrig.level);
	ck_assert_uint_eq(reg_read(REG(INTERRUPT_STATUS)), 0);
	reg_write(REG(QUEUE_SEL), 0);
	ck_assert_uint_eq(reg_read(REG(QUEUE_READY)), 0);
	mmio_rig_expect_service();
	pvio_mmio_reset(mrig.mmio);
	ck_assert_uint_eq(reg_read(REG(STATUS)), 0);
	mmio_rig_expect_service();
}
END_TEST

START_TEST(device_stopped_and_started_serves_again)
{
	struct pvio_doorbell bell;

	ck_assert_int_eq(pvio_mmio_doorbell(mrig.mmio, 0, &bell), 0);
	mmio_rig_run(0);
	mmio_rig_echo(0);
	pvio_device_stop(rrig.dev);
	ck_assert(!mrig.level);
	ck_assert_int_eq(pvio_device_start(rrig.dev), 0);
	mmio_rig_expect_service();
	/* The doorbell that the VMM has bound is heard as before. */
	regs_rig_add(0);
	ck_assert_int_eq(eventfd_write(bell.fd, 1), 0);
	ck_assert(regs_rig_is_used(0));
}
END_TEST

/* --- doorbells and the line ---------------------------------------------- */

START_TEST(doorbells_are_told_apart_by_value)
{
	struct pvio_doorbell bell[PROBE_QUEUES], again;
	uint64_t kicks[PROBE_QUEUES];
	unsigned int q;

	for (q = 0; q < PROBE_QUEUES; q++) {
		ck_assert_int_eq(pvio_mmio_doorbell(mrig.mmio, q, &bell[q]), 0);
		ck_assert(bell[q].bar == 0 && bell[q].offset == 0x50);
		ck_assert(bell[q].width == 4 && bell[q].has_match);
		ck_assert(bell[q].match == q);
	}
	ck_assert_int_eq(pvio_mmio_doorbell(mrig.mmio, 1, &again), 0);
	ck_assert_int_eq(again.fd, bell[1].fd);
	ck_assert_int_eq(pvio_mmio_doorbell(mrig.mmio, PROBE_QUEUES, &again),
			 -EINVAL);

	mmio_rig_run(0);
	regs_rig_step();
	for (q = 0; q < PROBE_QUEUES; q++)
		kicks[q] = pvio_device_vq(rrig.dev, q)->stats.kicks;
	ck_assert_int_eq(eventfd_write(bell[2].fd, 1), 0);
	regs_rig_step();
	for (q = 0; q < PROBE_QUEUES; q++)
		ck_assert(pvio_device_vq(rrig.dev, q)->stats.kicks ==
			  kicks[q] + (q == 2));
	regs_rig_add(1);
	ck_assert_int_eq(eventfd_write(bell[1].fd, 1), 0);
	ck_assert(regs_rig_is_used(1));
}
END_TEST

START_TEST(interrupt_comes_by_eventfd_until_it_is_acknowledged)
{
	int trigger = eventfd(0, EFD_NONBLOCK);
	int resample = eventfd(0, EFD_NONBLOCK);
	uint64_t count;

	ck_assert_int_eq(pvio_mmio_set_irq_fds(mrig.mmio, trigger, resample),
			 0);
	mmio_rig_run(0);
	mmio_rig_echo(0);
	ck_assert_int_eq(read(trigger, &count, 8), 8);
	/* The guest ended the interrupt, and did not acknowledge. */
	ck_assert_int_eq(eventfd_write(resample, 1), 0);
	regs_rig_step();
	ck_assert_int_eq(read(trigger, &count, 8), 8);
	reg_write(REG(INTERRUPT_ACK), 1);
	ck_assert_int_eq(eventfd_write(resample, 1), 0);
	regs_rig_step();
	ck_assert_int_eq(read(trigger, &count, 8), -1);
	ck_assert_int_eq(pvio_mmio_set_irq_fds(mrig.mmio, -1, -1), 0);
	close(trigger);
	close(resample);
}
END_TEST

START_TEST(callback_is_set_before_the_start)
{
	ck_assert_int_eq(pvio_mmio_set_irq(mrig.mmio, NULL, NULL), -EBUSY);
}
END_TEST

START_TEST(counters_tell_of_interrupts)
{
	char *json;

	mmio_rig_run(0);
	mmio_rig_echo(0);
	ck_assert_int_eq(pvio_device_stats(rrig.dev, false, &json), 0);
	ck_assert_ptr_nonnull(strstr(json, "\"transport\":\"mmio\""));
	ck_assert_ptr_nonnull(strstr(json, "\"irq_asserted\":1"));
	free(json);
}
END_TEST

/* --- threads ------------------------------------------------------------- */

static void with_threads(void)
{
	regs_rig_teardown();
	mmio_rig_setup_threads();
}

struct writer {
	pthread_t thread;
	uint64_t offset;
	uint32_t value;
	bool is_done; /* atomic */
};

static void *write_register(void *arg)
{
	struct writer *w = arg;

	reg_write(w->offset, w->value);
	pvio_store_release(&w->is_done, true);
	return NULL;
}

static void writer_start(struct writer *w, uint64_t offset, uint32_t value)
{
	*w = (struct writer){ .offset = offset, .value = value };
	ck_assert_int_eq(pthread_create(&w->thread, NULL, write_register, w),
			 0);
}

/* What a write waits for: the driver may free its memory when it returns. */
static void expect_to_wait_for_request(uint64_t offset)
{
	struct writer w;

	with_threads();
	mmio_rig_run(0);
	mmio_rig_hold(1);
	reg_write(REG(QUEUE_SEL), 1);
	writer_start(&w, offset, 0);
	regs_rig_wait_count(&probe.queue[1].stops, 1);
	ck_assert(!pvio_load_acquire(&w.is_done));
	/* Meanwhile doorbells and interrupts are answered. */
	reg_write(REG(QUEUE_NOTIFY), 0);
	reg_write(REG(INTERRUPT_ACK), 3);
	ck_assert_uint_eq(reg_read(REG(INTERRUPT_STATUS)), 0);
	ck_assert(!pvio_load_acquire(&w.is_done));
	mmio_rig_release(1);
	pthread_join(w.thread, NULL);
	reg_write(REG(QUEUE_SEL), 1);
	ck_assert_uint_eq(reg_read(REG(QUEUE_READY)), 0);
	mmio_rig_expect_service();
}

START_TEST(status_of_0_returns_when_nothing_is_in_flight)
{
	expect_to_wait_for_request(REG(STATUS));
}
END_TEST

START_TEST(ready_of_0_returns_when_nothing_is_in_flight)
{
	expect_to_wait_for_request(REG(QUEUE_READY));
}
END_TEST

static void *reset_often(void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < 100; i++)
		reg_write(REG(STATUS), 0);
	return NULL;
}

static void *look_often(void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < 300; i++) {
		reg_write(REG(QUEUE_NOTIFY), i % 5);
		reg_read(REG(STATUS));
		reg_write(REG(STATUS), 3);
		reg_write(REG(INTERRUPT_ACK), reg_read(REG(INTERRUPT_STATUS)));
	}
	return NULL;
}

START_TEST(V15_resets_of_several_threads_all_end)
{
	pthread_t thread[12];
	unsigned int i;

	with_threads();
	mmio_rig_run(0);
	for (i = 0; i < 12; i++)
		ck_assert_int_eq(
			pthread_create(&thread[i], NULL,
				       i % 2 ? look_often : reset_often, NULL),
			0);
	for (i = 0; i < 12; i++)
		pthread_join(thread[i], NULL);
	mmio_rig_expect_service();
}
END_TEST

START_TEST(line_follows_a_driver_that_races_with_its_device)
{
	unsigned int i;

	with_threads();
	mmio_rig_run(0);
	for (i = 0; i < 500; i++) {
		mmio_rig_submit(i % PROBE_QUEUES);
		/* As an interrupt handler: acknowledge first, then look. */
		while (!pvio_load_once(&mrig.level))
			sched_yield();
		reg_write(REG(INTERRUPT_ACK), reg_read(REG(INTERRUPT_STATUS)));
		ck_assert(guest_ring_has_used(rrig.ring[i % PROBE_QUEUES]));
		regs_rig_reap(i % PROBE_QUEUES);
	}
}
END_TEST

CHECK_MAIN("mmio", mmio_rig_setup, regs_rig_teardown, page_says_what_it_is,
	   device_of_another_transport_has_no_page,
	   features_are_offered_by_words, there_is_no_shared_memory,
	   configuration_is_read_in_any_width,
	   generation_changes_with_the_configuration,
	   driver_is_served_on_every_queue, packed_rings_are_served,
	   queue_that_is_not_there_has_no_size,
	   queue_whose_ready_is_0_has_stopped, queue_is_reset_by_its_register,
	   status_of_0_resets_everything,
	   device_stopped_and_started_serves_again,
	   doorbells_are_told_apart_by_value,
	   interrupt_comes_by_eventfd_until_it_is_acknowledged,
	   callback_is_set_before_the_start, counters_tell_of_interrupts,
	   status_of_0_returns_when_nothing_is_in_flight,
	   ready_of_0_returns_when_nothing_is_in_flight,
	   V15_resets_of_several_threads_all_end,
	   line_follows_a_driver_that_races_with_its_device)
