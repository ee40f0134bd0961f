/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_device_status.c - what a driver or front-end can do wrong with status,
 * features, configuration space and resets
 *
 * The ids are those of the catalogue of hostile input.  Each case ends with a
 * good request: whatever was tried, the device serves (after a reset, where
 * only that helps).
 */
#include "tests/check_main.h"
#include "tests/device/rig.h"

#include "core/worker.h"

#include <errno.h>
#include <string.h>

#define ACK	    VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER	    VIRTIO_CONFIG_S_DRIVER
#define DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define SUSPEND	    VIRTIO_CONFIG_S_SUSPEND
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define FAILED	    VIRTIO_CONFIG_S_FAILED

static const uint64_t version_1[2] = { PVIO_BIT(VIRTIO_F_VERSION_1), 0 };

/* --- status -------------------------------------------------------------- */

/* V12 */
START_TEST(illegal_status_transitions_are_ignored)
{
	/* FEATURES_OK does not stick before features were accepted. */
	ck_assert_uint_eq(rig_write_status(ACK | DRIVER | FEATURES_OK),
			  ACK | DRIVER);
	ck_assert_uint_eq(rig_write_status(ACK | DRIVER | DRIVER_OK), ACK | DRIVER);
	/* Bits are not taken back one by one, and what does that counts not. */
	ck_assert_uint_eq(rig_write_status(ACK), ACK | DRIVER);
	ck_assert_uint_eq(rig_write_status(ACK | FAILED), ACK | DRIVER);
	/* Reserved ones are not taken at all. */
	ck_assert_uint_eq(rig_write_status(ACK | DRIVER | 0x10), ACK | DRIVER);
	ck_assert_uint_eq(rig_write_status(ACK | DRIVER | 0x20), ACK | DRIVER);
	ck_assert_int_eq(pvio_loopback_set_features(rig.lb, version_1), 0);
	ck_assert_uint_eq(rig_write_status(ACK | DRIVER | FEATURES_OK),
			  ACK | DRIVER | FEATURES_OK);
	rig_expect_service();
}
END_TEST

/* V12: SUSPEND again, before it has shown. */
START_TEST(suspending_many_times_is_suspending_once)
{
	const uint8_t runs = ACK | DRIVER | FEATURES_OK | DRIVER_OK;
	unsigned int i;

	rig_run(PVIO_BIT(VIRTIO_F_SUSPEND));
	pvio_store_once(&probe.hold, true);
	rig_submit(0);
	rig_step();
	for (i = 0; i < 100; i++)
		ck_assert_uint_eq(rig_write_status(runs | SUSPEND), runs);
	rig_release(0);
	rig_step();
	ck_assert_uint_eq(pvio_loopback_get_status(rig.lb),
			  ACK | DRIVER | FEATURES_OK | SUSPEND);
	ck_assert(rig_is_used(0));
	pvio_store_once(&probe.hold, false);
	ck_assert_uint_eq(rig_write_status(0), 0);
	rig_expect_service();
}
END_TEST

/* V12: SUSPEND, by a write that is illegal for another reason. */
START_TEST(illegal_writes_do_not_suspend)
{
	const uint8_t runs = ACK | DRIVER | FEATURES_OK | DRIVER_OK;
	const uint8_t bad[] = {
		SUSPEND,		       /* takes the others back */
		SUSPEND | (runs & ~DRIVER_OK), /* what it would read as */
		SUSPEND | runs | 0x20,
		SUSPEND | runs | NEEDS_RESET,
	};
	unsigned int i;

	rig_run(PVIO_BIT(VIRTIO_F_SUSPEND));
	for (i = 0; i < pvio_array_size(bad); i++) {
		rig_write_status(bad[i]);
		rig_step();
		ck_assert_uint_eq(pvio_loopback_get_status(rig.lb), runs);
	}
	rig_echo(0);
	/* Having failed, the driver may only reset. */
	rig_write_status(runs | FAILED);
	rig_write_status(runs | FAILED | SUSPEND);
	rig_step();
	ck_assert_uint_eq(pvio_loopback_get_status(rig.lb), runs | FAILED);
	ck_assert_uint_eq(rig_write_status(0), 0);
	rig_expect_service();
}
END_TEST

/* V12: any byte, in any order. */
START_TEST(no_sequence_of_status_writes_upsets_the_device)
{
	uint32_t seed = 1;
	unsigned int i;

	for (i = 0; i < 20000; i++) {
		uint8_t before = pvio_loopback_get_status(rig.lb), after;

		seed = seed * 1664525 + 1013904223;
		after = rig_write_status((uint8_t)(seed >> 24));
		if (after == 0)
			continue;
		ck_assert_uint_eq(after & before, before);
		ck_assert_uint_eq(after & (0x30 | NEEDS_RESET | FEATURES_OK |
					   DRIVER_OK),
				  0);
	}
	rig_write_status(0);
	rig_expect_service();
}
END_TEST

/* V17 */
START_TEST(needs_reset_is_not_the_drivers_to_write)
{
	rig_run(0);
	ck_assert_uint_eq(rig_write_status(ACK | DRIVER | FEATURES_OK | DRIVER_OK |
				       NEEDS_RESET),
			  ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	rig_echo(0);
}
END_TEST

/* V17 */
START_TEST(a_driver_that_failed_must_reset)
{
	ck_assert_uint_eq(rig_write_status(ACK | FAILED), ACK | FAILED);
	ck_assert_uint_eq(rig_write_status(ACK | DRIVER | FAILED), ACK | FAILED);
	ck_assert_uint_eq(rig_write_status(0), 0);
	rig_expect_service();
}
END_TEST

/* V26 */
START_TEST(driver_ok_without_queues_is_idle)
{
	ck_assert_int_eq(guest_device_negotiate(rig.gd, version_1), 0);
	ck_assert_int_eq(guest_device_start(rig.gd), 0);
	ck_assert_uint_eq(pvio_loopback_get_status(rig.lb),
			  ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	pvio_loopback_kick(rig.lb, 0);
	rig_step();
	ck_assert_uint_eq(probe.queue[0].kicks, 0);
	rig_expect_service();
}
END_TEST

/* --- features ------------------------------------------------------------ */

/* V08 */
START_TEST(features_that_were_not_offered_are_refused)
{
	unsigned int bit;
	uint64_t offered[2];

	pvio_loopback_get_features(rig.lb, offered);
	for (bit = 0; bit < 128; bit++) {
		uint64_t bits[2] = { version_1[0], 0 };

		if (offered[bit / 64] & PVIO_BIT(bit % 64))
			continue;
		bits[bit / 64] |= PVIO_BIT(bit % 64);
		ck_assert_int_eq(pvio_loopback_set_features(rig.lb, bits),
				 -EINVAL);
	}
	ck_assert_uint_eq(rig_write_status(ACK | DRIVER | FEATURES_OK),
			  ACK | DRIVER);
	rig_expect_service();
}
END_TEST

START_TEST(legacy_drivers_are_refused)
{
	const uint64_t none[2] = { 0, 0 };
	const uint64_t base[2] = { PVIO_BIT(PROBE_F_BASE), 0 };

	ck_assert_int_eq(pvio_loopback_set_features(rig.lb, none), -EINVAL);
	ck_assert_int_eq(pvio_loopback_set_features(rig.lb, base), -EINVAL);
	rig_expect_service();
}
END_TEST

/* V09 */
START_TEST(features_that_miss_what_they_depend_on_are_refused)
{
	uint64_t bits[2] = { version_1[0] | PVIO_BIT(PROBE_F_NEEDS_BASE), 0 };

	ck_assert_int_eq(pvio_loopback_set_features(rig.lb, bits), -EINVAL);
	bits[0] |= PVIO_BIT(PROBE_F_BASE);
	ck_assert_int_eq(pvio_loopback_set_features(rig.lb, bits), 0);
}
END_TEST

/* V10 */
START_TEST(features_are_latched_by_features_ok)
{
	const uint64_t more[2] = { version_1[0] | PVIO_BIT(PROBE_F_BASE), 0 };

	rig_run(0);
	ck_assert_int_eq(pvio_loopback_set_features(rig.lb, more), -EBUSY);
	ck_assert(!pvio_device_has_feature(rig.dev, PROBE_F_BASE));
	ck_assert(!pvio_feature_has(&probe.features, PROBE_F_BASE));
	/* The same again changes nothing, and is fine. */
	ck_assert_int_eq(pvio_loopback_set_features(rig.lb, version_1), 0);
	rig_echo(0);
}
END_TEST

/* --- configuration space ------------------------------------------------- */

/* V19, V20 */
START_TEST(configuration_space_ends_where_it_ends)
{
	uint8_t buf[64], value[8] = { 1 };
	size_t offset, len;

	for (offset = 0; offset < 16; offset++) {
		for (len = 0; len <= 16; len++) {
			memset(buf, 0xee, sizeof(buf));
			pvio_loopback_read_config(rig.lb, offset, buf, len);
			ck_assert_uint_eq(buf[len], 0xee);
			if (offset + len > 8 && len > 0)
				ck_assert_uint_eq(buf[len - 1], 0);
		}
	}
	pvio_loopback_read_config(rig.lb, SIZE_MAX, buf, 8);
	ck_assert_uint_eq(buf[7], 0);
	/* Only one field is the driver's to write, and only whole. */
	for (offset = 0; offset < 12; offset++) {
		for (len = 0; len <= 8; len++) {
			int rc = pvio_loopback_write_config(rig.lb, offset,
							    value, len);

			ck_assert_int_eq(rc, offset == 4 && len == 4 ? 0 :
								       -EINVAL);
		}
	}
	ck_assert_int_eq(pvio_loopback_write_config(rig.lb, SIZE_MAX - 3, value,
						    4),
			 -EINVAL);
	ck_assert_uint_eq(probe.config.changes, 0);
}
END_TEST

/* V21 */
START_TEST(the_generation_changes_with_the_configuration)
{
	uint8_t seen[4], i;
	char answer[8];

	for (i = 0; i < 4; i++) {
		seen[i] = pvio_device_config_changes(rig.dev);
		ck_assert(i == 0 || seen[i] != seen[i - 1]);
		/* A look changes nothing. */
		ck_assert_uint_eq(pvio_device_config_changes(rig.dev),
				  seen[i]);
		pvio_device_command(rig.dev, "poke", "", answer, 8);
	}
}
END_TEST

/* --- reset --------------------------------------------------------------- */

/* V14 */
START_TEST(status_reads_0_only_when_nothing_touches_memory)
{
	struct rig_done done = { 0 };

	rig_run(0);
	probe.hold = true;
	rig_submit(3);
	ck_assert(!rig_is_used(3));
	pvio_device_set_status(rig.dev, 0, rig_note_done, &done);
	rig_step();
	ck_assert(!done.done);
	ck_assert_uint_eq(pvio_device_status(rig.dev),
			  ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	/* Writes meanwhile do not count. */
	pvio_device_set_status(rig.dev,
			       ACK | DRIVER | FEATURES_OK | DRIVER_OK | FAILED,
			       rig_note_done, &(struct rig_done){ 0 });
	ck_assert_uint_eq(pvio_device_status(rig.dev),
			  ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	probe.hold = false;
	rig_release(3);
	rig_step();
	ck_assert_int_eq(done.calls, 1);
	ck_assert_uint_eq(pvio_device_status(rig.dev), 0);
	ck_assert_uint_eq(probe.resets, 2);
	/* And the ring is left alone from now on. */
	memset(rig.in, 0x55, RIG_BUFFER_BYTES);
	pvio_loopback_kick(rig.lb, 3);
	rig_step();
	ck_assert_uint_eq(rig.in[0], 0x55);
	rig_expect_service();
}
END_TEST

START_TEST(a_reset_forgets_features_and_enables_every_queue)
{
	struct rig_done done = { 0 };

	rig_run(0);
	pvio_device_vq_enable(rig.dev, 0, false, rig_note_done, &done);
	ck_assert(done.done);
	ck_assert_uint_eq(rig_write_status(0), 0);
	ck_assert_uint_eq(rig_write_status(ACK | DRIVER | FEATURES_OK),
			  ACK | DRIVER);
	ck_assert(!pvio_device_has_feature(rig.dev, VIRTIO_F_VERSION_1));
	rig_expect_service();
	ck_assert_uint_eq(probe.queue[0].discards, 0);
}
END_TEST

/* V15 */
START_TEST(resets_on_top_of_resets_all_end)
{
	struct rig_done done[10];
	unsigned int i;

	memset(done, 0, sizeof(done));
	rig_run(0);
	probe.hold = true;
	rig_submit(0);
	rig_step();
	for (i = 0; i < 10; i++)
		pvio_device_reset(rig.dev, rig_note_done, &done[i]);
	rig_step();
	/* More than it remembers are sent away. */
	ck_assert_int_eq(done[9].rc, -EBUSY);
	ck_assert(!done[0].done);
	probe.hold = false;
	rig_release(0);
	rig_step();
	for (i = 0; i < 10; i++)
		ck_assert_uint_eq(done[i].calls, 1);
	ck_assert_uint_eq(probe.resets, 2);
	rig_expect_service();
}
END_TEST

static void reset_again(void *arg, int rc)
{
	unsigned int *left = arg;

	(void)rc;
	if (--*left > 0)
		pvio_device_reset(rig.dev, reset_again, left);
}

/* V15 */
START_TEST(a_reset_may_be_asked_for_when_one_ends)
{
	unsigned int left = 5;

	rig_run(0);
	pvio_device_reset(rig.dev, reset_again, &left);
	rig_step();
	ck_assert_uint_eq(left, 0);
	rig_expect_service();
}
END_TEST

CHECK_MAIN("hostile-device-status", rig_setup, rig_teardown,
	   illegal_status_transitions_are_ignored,
	   suspending_many_times_is_suspending_once,
	   illegal_writes_do_not_suspend,
	   no_sequence_of_status_writes_upsets_the_device,
	   needs_reset_is_not_the_drivers_to_write,
	   a_driver_that_failed_must_reset,
	   driver_ok_without_queues_is_idle,
	   features_that_were_not_offered_are_refused,
	   legacy_drivers_are_refused,
	   features_that_miss_what_they_depend_on_are_refused,
	   features_are_latched_by_features_ok,
	   configuration_space_ends_where_it_ends,
	   the_generation_changes_with_the_configuration,
	   status_reads_0_only_when_nothing_touches_memory,
	   a_reset_forgets_features_and_enables_every_queue,
	   resets_on_top_of_resets_all_end,
	   a_reset_may_be_asked_for_when_one_ends)
