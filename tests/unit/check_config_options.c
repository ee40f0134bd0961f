/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_config_options.c - configuration from keys and values
 */
#include "core/config.h"

#include "core/device.h"
#include "core/log.h"
#include "tests/check_main.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static char message[1024];
static struct pvio_config_file *file;

static void keep(void *arg, enum pvio_log_level level, const char *text)
{
	(void)arg;
	(void)level;
	snprintf(message, sizeof(message), "%s", text);
}

static void setup(void)
{
	message[0] = '\0';
	file = NULL;
	pvio_log_set(keep, NULL, PVIO_LOG_DEBUG);
}

static void teardown(void)
{
	pvio_config_close(file);
	pvio_log_set(NULL, NULL, PVIO_LOG_WARNING);
}

START_TEST(a_value_is_what_its_reader_asks_for)
{
	static const struct pvio_option options[] = {
		{ "serial", "0123" }, { "queues", "0123" },
		{ "read_only", "true" }, { "backend.size", "64K" },
		{ "backend.path", "/a \"b\"\\c;" }, { "sector", "512" },
		{ NULL, NULL },
	};
	struct pvio_config *root, *group;
	const char *serial, *path;
	uint64_t n, size, sector;
	bool read_only = false;

	ck_assert_int_eq(pvio_config_options("test", options, &file), 0);
	root = pvio_config_root(file);
	ck_assert_int_eq(pvio_config_string(root, "serial", &serial), 0);
	ck_assert_int_eq(pvio_config_uint_opt(root, "queues", 1, 200, &n), 0);
	ck_assert_int_eq(pvio_config_bool_opt(root, "read_only", &read_only),
			 0);
	ck_assert_int_eq(pvio_config_size_opt(root, "sector", 1, 4096, &sector),
			 0);
	ck_assert_int_eq(pvio_config_group(root, "backend", &group), 0);
	ck_assert_int_eq(pvio_config_size_opt(group, "size", 0, 1 << 20, &size),
			 0);
	ck_assert_int_eq(pvio_config_string(group, "path", &path), 0);
	ck_assert_int_eq(pvio_config_finish(root), 0);
	ck_assert_str_eq(serial, "0123");
	ck_assert_uint_eq(n, 123);
	ck_assert(read_only);
	ck_assert_uint_eq(size, 65536);
	ck_assert_uint_eq(sector, 512);
	ck_assert_str_eq(path, "/a \"b\"\\c;");
}
END_TEST

START_TEST(a_value_that_does_not_fit_is_refused_by_key)
{
	static const struct pvio_option options[] = {
		{ "a", "7x" }, { "b", "" }, { "c", "99999999999999999999" },
		{ "d", "yes" }, { "e", "8" }, { "f", "-1" }, { NULL, NULL },
	};
	struct pvio_config *root;
	uint64_t n = 5;
	bool b = true;

	ck_assert_int_eq(pvio_config_options("test", options, &file), 0);
	root = pvio_config_root(file);
	ck_assert_int_eq(pvio_config_uint_opt(root, "a", 0, 9, &n), -EINVAL);
	ck_assert_str_eq(message, "test: a: must be a whole number");
	ck_assert_int_eq(pvio_config_uint_opt(root, "b", 0, 9, &n), -EINVAL);
	ck_assert_int_eq(pvio_config_uint_opt(root, "c", 0, 9, &n), -EINVAL);
	ck_assert_int_eq(pvio_config_bool_opt(root, "d", &b), -EINVAL);
	ck_assert_int_eq(pvio_config_uint_opt(root, "e", 0, 7, &n), -EINVAL);
	ck_assert_str_eq(message, "test: e: 8 is not between 0 and 7");
	ck_assert_int_eq(pvio_config_uint_opt(root, "f", 0, 7, &n), -EINVAL);
	ck_assert_uint_eq(n, 5);
	ck_assert(b);
}
END_TEST

START_TEST(a_key_that_is_none_is_refused)
{
	static char long_key[300];
	const struct pvio_option bad[][3] = {
		{ { "a", "1" }, { "a", "2" }, { NULL, NULL } },
		{ { "a", "1" }, { "a.b", "2" }, { NULL, NULL } },
		{ { "a.b", "1" }, { "a", "2" }, { NULL, NULL } },
		{ { "", "1" }, { NULL, NULL } },
		{ { "a..b", "1" }, { NULL, NULL } },
		{ { "a b", "1" }, { NULL, NULL } },
		{ { "a.", "1" }, { NULL, NULL } },
		{ { long_key, "1" }, { NULL, NULL } },
	};
	size_t i;

	memset(long_key, 'k', sizeof(long_key) - 1);
	for (i = 0; i < pvio_array_size(bad); i++) {
		message[0] = '\0';
		ck_assert_int_eq(pvio_config_options("test", bad[i], &file),
				 -EINVAL);
		ck_assert_ptr_null(file);
		ck_assert_ptr_nonnull(strstr(message, "not a key"));
	}
}
END_TEST

START_TEST(a_device_is_made_from_options)
{
	struct pvio_option options[] = {
		{ "model", "block" }, { "backend.type", "memory" },
		{ "backend.size", "1M" }, { "transport.type", "loopback" },
		{ "queues", "3" }, { NULL, NULL },
	};
	struct pvio_worker *worker;
	struct pvio_device *dev = NULL;

	ck_assert_int_eq(pvio_worker_create("w", &worker), 0);
	ck_assert_int_eq(pvio_device_create_options("disk", options, worker,
						    &worker, 1, &dev),
			 0);
	ck_assert_uint_eq(pvio_device_nr_queues(dev), 3);
	pvio_device_destroy(dev);

	options[4].key = "quews";
	dev = NULL;
	ck_assert_int_eq(pvio_device_create_options("disk", options, worker,
						    &worker, 1, &dev),
			 -EINVAL);
	ck_assert_str_eq(message, "disk: quews: unknown key");
	ck_assert_ptr_null(dev);
	pvio_worker_destroy(worker);
}
END_TEST

CHECK_MAIN("config-options", setup, teardown,
	   a_value_is_what_its_reader_asks_for,
	   a_value_that_does_not_fit_is_refused_by_key,
	   a_key_that_is_none_is_refused,
	   a_device_is_made_from_options)
