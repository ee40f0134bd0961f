/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_plugin.c - built-in and loaded plug-ins are found; others refused
 *
 * The modules are real shared objects, built next to this program.
 */
#include "core/plugin.h"

#include "core/log.h"
#include "core/util.h"
#include "tests/check_main.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/check_plugin.XXXXXX";
static char message[1024];

static void keep(void *arg, enum pvio_log_level level, const char *text)
{
	(void)arg;
	(void)level;
	snprintf(message, sizeof(message), "%s", text);
}

static void setup(void)
{
	message[0] = '\0';
	pvio_log_set(keep, NULL, PVIO_LOG_DEBUG);
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

/* Put module @from (of the build) into the directory as @to. */
static void install(const char *from, const char *to)
{
	char path[256], target[512];

	snprintf(path, sizeof(path), "%s/%s", dir, to);
	snprintf(target, sizeof(target), "%s/%s", MODULE_DIR, from);
	ck_assert_int_eq(access(target, R_OK), 0);
	ck_assert_int_eq(symlink(target, path), 0);
}

static void teardown(void)
{
	static const char *const names[] = { "a.so", "b.so", "notes.txt" };
	char path[256];
	size_t i;

	for (i = 0; i < pvio_array_size(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
	pvio_log_set(NULL, NULL, PVIO_LOG_WARNING);
}

START_TEST(unknown_name_is_not_found)
{
	ck_assert_ptr_null(pvio_plugin_find(PVIO_PLUGIN_model, "none such"));
	ck_assert_ptr_null(pvio_plugin_find(PVIO_PLUGIN_model, ""));
}
END_TEST

START_TEST(builtin_plugins_have_this_abi_and_unlike_names)
{
	const struct pvio_plugin *p;
	unsigned int kind, i;

	for (kind = 0; kind < PVIO_NR_PLUGIN_KINDS; kind++)
		for (i = 0; (p = pvio_plugin_nth(kind, i)) != NULL; i++) {
			ck_assert_uint_eq(p->abi, PVIO_PLUGIN_ABI);
			ck_assert_ptr_eq(pvio_plugin_find(kind, p->name),
					 p->ops);
		}
}
END_TEST

START_TEST(module_is_loaded_and_found_by_either_spelling)
{
	const struct pvio_plugin *p;
	unsigned int i = 0;
	const void *ops;

	install("plugin_good.so", "a.so");
	ck_assert_int_eq(pvio_plugins_load(dir), 0);
	ops = pvio_plugin_find(PVIO_PLUGIN_net_backend, "test-echo");
	ck_assert_ptr_nonnull(ops);
	ck_assert_ptr_eq(pvio_plugin_find(PVIO_PLUGIN_net_backend, "test_echo"),
			 ops);
	/* A name belongs to one kind, and is matched whole. */
	ck_assert_ptr_null(pvio_plugin_find(PVIO_PLUGIN_model, "test-echo"));
	ck_assert_ptr_null(pvio_plugin_find(PVIO_PLUGIN_net_backend, "test"));
	ck_assert_ptr_null(
		pvio_plugin_find(PVIO_PLUGIN_net_backend, "test-echoes"));
	/* It comes after those built in. */
	while ((p = pvio_plugin_nth(PVIO_PLUGIN_net_backend, i)) != NULL) {
		if (p->ops == ops)
			break;
		i++;
	}
	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_null(pvio_plugin_nth(PVIO_PLUGIN_net_backend, i + 1));
	/* The name is taken now. */
	ck_assert_int_eq(pvio_plugins_load(dir), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message, "already"));
}
END_TEST

START_TEST(module_for_another_abi_is_refused_by_number)
{
	char expected[64];

	install("plugin_wrong_abi.so", "a.so");
	ck_assert_int_eq(pvio_plugins_load(dir), -EINVAL);
	snprintf(expected, sizeof(expected), "ABI %d, this is %d",
		 PVIO_PLUGIN_ABI + 1, PVIO_PLUGIN_ABI);
	ck_assert_ptr_nonnull(strstr(message, expected));
	ck_assert_ptr_null(pvio_plugin_find(PVIO_PLUGIN_model, "late"));
}
END_TEST

START_TEST(shared_object_that_is_no_plugin_is_refused)
{
	install("plugin_none.so", "b.so");
	ck_assert_int_eq(pvio_plugins_load(dir), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message, "b.so: not a plug-in"));
}
END_TEST

START_TEST(file_that_is_no_shared_object_is_refused)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/b.so", dir);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs("#!/bin/sh\n", f);
	fclose(f);
	ck_assert_int_eq(pvio_plugins_load(dir), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message, "b.so"));
}
END_TEST

START_TEST(other_files_in_the_directory_are_left_alone)
{
	install("plugin_none.so", "notes.txt");
	ck_assert_int_eq(pvio_plugins_load(dir), 0);
}
END_TEST

START_TEST(missing_directory_is_reported)
{
	ck_assert_int_eq(pvio_plugins_load("/nonexistent/pvio"), -ENOENT);
	ck_assert_ptr_nonnull(strstr(message, "/nonexistent/pvio"));
}
END_TEST

/* C04: code is not loaded from where anyone can put it */
START_TEST(directory_that_anyone_may_write_is_refused)
{
	ck_assert_int_eq(chmod(dir, 0777), 0);
	ck_assert_int_eq(pvio_plugins_load(dir), -EPERM);
	ck_assert_ptr_nonnull(strstr(message, "anyone may write"));
}
END_TEST

CHECK_MAIN("plugin", setup, teardown, unknown_name_is_not_found,
	   builtin_plugins_have_this_abi_and_unlike_names,
	   module_for_another_abi_is_refused_by_number,
	   shared_object_that_is_no_plugin_is_refused,
	   file_that_is_no_shared_object_is_refused,
	   other_files_in_the_directory_are_left_alone,
	   missing_directory_is_reported,
	   directory_that_anyone_may_write_is_refused,
	   module_is_loaded_and_found_by_either_spelling)
