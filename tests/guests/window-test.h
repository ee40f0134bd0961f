/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * window-test.h - what window-host and windowtool say to each other
 *
 *	0     the host's magic           bytes - 8  it again
 *	8     the guest's                bytes / 2  it again
 *	16    how many calls the host has answered
 *
 * A call: the guest adds one to what it has written at 24, and rings slot 1; the
 * host looks whether all is as it should be, copies that to 16, and kicks, which
 * is vector 1.
 */
#ifndef PVIO_TESTS_GUESTS_WINDOW_TEST_H
#define PVIO_TESTS_GUESTS_WINDOW_TEST_H

#define WINDOW_TEST_HOST  0x74736f682d6f7670ULL
#define WINDOW_TEST_GUEST 0x74736575672d7670ULL
#define WINDOW_TEST_SLOT  1

enum window_test_offset {
	WINDOW_TEST_HOST_AT = 0,
	WINDOW_TEST_GUEST_AT = 8,
	WINDOW_TEST_ANSWERED = 16,
	WINDOW_TEST_CALLED = 24,
};

#endif
