/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_iov.c - copying bytes between buffers and iovecs of any shape
 */
#include "core/memory.h"

#include "tests/check_main.h"

#include <errno.h>

static char text[] = "0123456789";
/* "01" "" "234" "5" "6789": empty entries are legal. */
static const struct iovec pieces[] = {
	{ text, 2 }, { text + 2, 0 }, { text + 2, 3 },
	{ text + 5, 1 }, { text + 6, 4 },
};

START_TEST(bytes_are_copied_across_entries)
{
	char out[16], expected[16];
	size_t offset, len, n;

	for (offset = 0; offset <= 12; offset++)
		for (len = 0; len <= 12; len++) {
			n = offset > 10 ? 0 : pvio_min(len, 10 - offset);
			memset(expected, '.', sizeof(expected));
			memcpy(expected, text + (n ? offset : 0), n);
			memset(out, '.', sizeof(out));
			ck_assert_uint_eq(pvio_iov_get(pieces, 5, offset, out,
						       len), n);
			ck_assert_mem_eq(out, expected, sizeof(out));
			memset(out, '.', sizeof(out));
			pvio_memory_request_begin();
			ck_assert_uint_eq(pvio_iov_fetch(pieces, 5, offset,
							 out, len), n);
			ck_assert_mem_eq(out, expected, sizeof(out));
		}
	ck_assert_uint_eq(pvio_iov_length(pieces, 5), 10);
	ck_assert_uint_eq(pvio_iov_get(pieces, 0, 0, out, 1), 0);
	ck_assert_uint_eq(pvio_iov_get(pieces, 5, SIZE_MAX, out, SIZE_MAX), 0);
}
END_TEST

START_TEST(bytes_are_put_and_zeroed_across_entries)
{
	char bytes[8] = "........";
	struct iovec iov[] = { { bytes + 4, 2 }, { bytes, 3 } };

	ck_assert_uint_eq(pvio_iov_put(iov, 2, 1, "abc", 3), 3);
	ck_assert_mem_eq(bytes, "bc...a..", 8);
	ck_assert_uint_eq(pvio_iov_put(iov, 2, 4, "xyz", 3), 1);
	ck_assert_mem_eq(bytes, "bcx..a..", 8);
	ck_assert_uint_eq(pvio_iov_zero(iov, 2, 1, 2), 2);
	ck_assert_mem_eq(bytes, "\0cx..\0..", 8);
	ck_assert_uint_eq(pvio_iov_zero(iov, 2, 0, SIZE_MAX), 5);
}
END_TEST

START_TEST(guest_to_guest_copy_follows_both_sides)
{
	char bytes[10];
	struct iovec to[] = { { bytes, 1 }, { bytes + 1, 4 }, { bytes, 0 },
			      { bytes + 5, 5 } };
	size_t from, at, len, n;

	for (from = 0; from <= 11; from++)
		for (at = 0; at <= 11; at++)
			for (len = 0; len <= 12; len++) {
				memset(bytes, '.', sizeof(bytes));
				n = pvio_min(len, from < 10 ? 10 - from : 0);
				n = pvio_min(n, at < 10 ? 10 - at : 0);
				ck_assert_uint_eq(
					pvio_iov_copy(to, 4, at, pieces, 5,
						      from, len), n);
				if (n)
					ck_assert_mem_eq(bytes + at,
							 text + from, n);
			}
}
END_TEST

START_TEST(slice_is_the_same_bytes_or_an_error)
{
	struct iovec out[5];
	size_t offset, len, i;
	char got[16];
	int nr;

	for (offset = 0; offset <= 11; offset++)
		for (len = 0; len <= 11; len++) {
			nr = pvio_iov_slice(pieces, 5, offset, len, out, 5);
			if (offset + len > 10) {
				ck_assert_int_eq(nr, -EFAULT);
				continue;
			}
			ck_assert_int_ge(nr, 0);
			ck_assert_uint_eq(pvio_iov_length(out, nr), len);
			ck_assert_uint_eq(pvio_iov_get(out, nr, 0, got, 16),
					  len);
			if (len)
				ck_assert_mem_eq(got, text + offset, len);
			for (i = 0; i < (size_t)nr; i++)
				ck_assert_uint_gt(out[i].iov_len, 0);
		}
	ck_assert_int_eq(pvio_iov_slice(pieces, 5, 1, 2, out, 1), -E2BIG);
	ck_assert_int_eq(pvio_iov_slice(pieces, 5, SIZE_MAX, SIZE_MAX, out, 5),
			 -EFAULT);
	ck_assert_int_eq(pvio_iov_slice(pieces, 5, 1, SIZE_MAX, out, 5),
			 -EFAULT);
}
END_TEST

CHECK_MAIN("iov", NULL, NULL, bytes_are_copied_across_entries,
	   bytes_are_put_and_zeroed_across_entries,
	   guest_to_guest_copy_follows_both_sides,
	   slice_is_the_same_bytes_or_an_error)
