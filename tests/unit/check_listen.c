/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_listen.c - socket files are made, replaced when stale, and never stolen
 */
#include "core/listen.h"

#include "core/config.h"
#include "core/log.h"
#include "tests/check_main.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[] = "/tmp/check_listen.XXXXXX";
static char path[64];
static struct pvio_listener *listener;

static void quiet(void *arg, enum pvio_log_level level, const char *message)
{
	(void)arg;
	(void)level;
	(void)message;
}

static void setup(void)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	pvio_log_set(quiet, NULL, PVIO_LOG_ERROR);
	listener = NULL;
}

static void teardown(void)
{
	char command[80];

	pvio_listener_close(listener);
	pvio_log_set(NULL, NULL, PVIO_LOG_WARNING);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

/* Bind there as a program without our manners does. */
static int stranger(bool listens)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(addr.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	if (listens)
		ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

static bool is_answered(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), rc;

	strcpy(addr.sun_path, path);
	rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	close(fd);
	return rc == 0;
}

static int try_listen(void)
{
	return pvio_listen("test", path, -1, -1, &listener);
}

START_TEST(listener_is_reached_and_leaves_nothing)
{
	struct stat st;

	ck_assert_int_eq(pvio_listen("test", path, 0660, getegid(), &listener),
			 0);
	ck_assert(is_answered());
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0660);
	pvio_listener_close(listener);
	listener = NULL;
	ck_assert_int_ne(stat(path, &st), 0);
	ck_assert_int_eq(rmdir(dir), 0);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
}
END_TEST

/* C05 */
START_TEST(file_that_nobody_listens_at_is_replaced)
{
	close(stranger(true));
	ck_assert(!is_answered());
	ck_assert_int_eq(try_listen(), 0);
	ck_assert(is_answered());
}
END_TEST

/* C05 */
START_TEST(socket_of_a_stranger_is_left_alone)
{
	int fd = stranger(true);

	ck_assert_int_eq(try_listen(), -EADDRINUSE);
	ck_assert(is_answered());
	close(fd);
}
END_TEST

/* C05 */
START_TEST(second_of_us_is_refused)
{
	struct pvio_listener *second = NULL;

	ck_assert_int_eq(try_listen(), 0);
	ck_assert_int_eq(pvio_listen("second", path, -1, -1, &second),
			 -EADDRINUSE);
	ck_assert_ptr_null(second);
	ck_assert(is_answered());
}
END_TEST

START_TEST(file_that_is_no_socket_is_left_alone)
{
	FILE *f = fopen(path, "w");
	struct stat st;

	ck_assert_ptr_nonnull(f);
	fclose(f);
	ck_assert_int_eq(try_listen(), -EEXIST);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISREG(st.st_mode));
}
END_TEST

/* C04 */
START_TEST(link_is_not_followed)
{
	char target[80];

	snprintf(target, sizeof(target), "%s/target", dir);
	ck_assert_int_eq(symlink(target, path), 0);
	ck_assert_int_eq(try_listen(), -EEXIST);
	ck_assert_int_ne(access(target, F_OK), 0);
}
END_TEST

/* C04 */
START_TEST(directory_that_all_may_write_is_refused)
{
	ck_assert_int_eq(chmod(dir, 0777), 0);
	ck_assert_int_eq(try_listen(), -EPERM);
	/* With the sticky bit, nobody else can remove our file. */
	ck_assert_int_eq(chmod(dir, 01777), 0);
	ck_assert_int_eq(try_listen(), 0);
}
END_TEST

/* C04 */
START_TEST(path_that_is_too_long_is_refused)
{
	char name[200];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_assert_int_eq(pvio_listen("test", name, -1, -1, &listener),
			 -ENAMETOOLONG);
	ck_assert_int_eq(pvio_listen("test", "", -1, -1, &listener),
			 -ENAMETOOLONG);
}
END_TEST

START_TEST(file_of_a_successor_is_not_removed)
{
	int fd;

	ck_assert_int_eq(try_listen(), 0);
	ck_assert_int_eq(unlink(path), 0);
	fd = stranger(true);
	pvio_listener_close(listener);
	listener = NULL;
	ck_assert(is_answered());
	close(fd);
}
END_TEST

START_TEST(mode_and_group_are_read)
{
	struct pvio_config_file *file;
	int64_t mode, group;

	ck_assert_int_eq(pvio_config_parse("test",
					   "socket_mode = \"0640\"; "
					   "socket_group = \"7\";",
					   &file),
			 0);
	ck_assert_int_eq(
		pvio_listen_read_config(pvio_config_root(file), &mode, &group),
		0);
	ck_assert_int_eq(mode, 0640);
	ck_assert_int_eq(group, 7);
	pvio_config_close(file);

	ck_assert_int_eq(pvio_config_parse("test", "", &file), 0);
	ck_assert_int_eq(
		pvio_listen_read_config(pvio_config_root(file), &mode, &group),
		0);
	ck_assert_int_eq(mode, -1);
	ck_assert_int_eq(group, -1);
	pvio_config_close(file);
}
END_TEST

CHECK_MAIN("listen", setup, teardown, listener_is_reached_and_leaves_nothing,
	   file_that_nobody_listens_at_is_replaced,
	   socket_of_a_stranger_is_left_alone, second_of_us_is_refused,
	   file_that_is_no_socket_is_left_alone, link_is_not_followed,
	   directory_that_all_may_write_is_refused,
	   path_that_is_too_long_is_refused, file_of_a_successor_is_not_removed,
	   mode_and_group_are_read)
