/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_stats.c - histograms put a time in the right bucket
 */
#include "core/stats.h"

#include "tests/check_main.h"

START_TEST(time_falls_into_its_power_of_two)
{
	struct pvio_histogram h = { 0 };

	pvio_histogram_add(&h, 0);
	pvio_histogram_add(&h, 1);
	pvio_histogram_add(&h, 2);
	pvio_histogram_add(&h, 3);
	pvio_histogram_add(&h, 4);
	pvio_histogram_add(&h, 1023);
	pvio_histogram_add(&h, 1024);
	ck_assert_uint_eq(h.bucket[0], 2);
	ck_assert_uint_eq(h.bucket[1], 2);
	ck_assert_uint_eq(h.bucket[2], 1);
	ck_assert_uint_eq(h.bucket[9], 1);
	ck_assert_uint_eq(h.bucket[10], 1);
	ck_assert_uint_eq(h.count, 7);
	ck_assert_uint_eq(h.sum_ns, 0 + 1 + 2 + 3 + 4 + 1023 + 1024);
}
END_TEST

START_TEST(endless_time_is_in_the_last_bucket)
{
	struct pvio_histogram h = { 0 };

	pvio_histogram_add(&h, UINT64_MAX);
	ck_assert_uint_eq(h.bucket[PVIO_HISTOGRAM_BUCKETS - 1], 1);
}
END_TEST

START_TEST(percentile_is_upper_bound_of_its_bucket)
{
	struct pvio_histogram h = { 0 };
	int i;

	ck_assert_uint_eq(pvio_histogram_percentile(&h, 50), 0);
	for (i = 0; i < 99; i++)
		pvio_histogram_add(&h, 100);
	pvio_histogram_add(&h, 1000000);
	ck_assert_uint_eq(pvio_histogram_percentile(&h, 0), 128);
	ck_assert_uint_eq(pvio_histogram_percentile(&h, 50), 128);
	ck_assert_uint_eq(pvio_histogram_percentile(&h, 99), 128);
	ck_assert_uint_eq(pvio_histogram_percentile(&h, 99.9), 1048576);
	ck_assert_uint_eq(pvio_histogram_percentile(&h, 100), 1048576);
}
END_TEST

START_TEST(every_stage_and_fault_has_a_name)
{
	int i;

	for (i = 0; i < PVIO_NR_STAGES; i++)
		ck_assert_ptr_nonnull(pvio_stage_names[i]);
	for (i = 0; i < PVIO_NR_FAULTS; i++)
		ck_assert_ptr_nonnull(pvio_fault_names[i]);
}
END_TEST

CHECK_MAIN("stats", NULL, NULL, time_falls_into_its_power_of_two,
	   endless_time_is_in_the_last_bucket,
	   percentile_is_upper_bound_of_its_bucket,
	   every_stage_and_fault_has_a_name)
