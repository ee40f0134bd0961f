/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_backend_program.c - pvio-block and pvio-net keep the conventions
 *
 * Those of QEMU's "Backend program conventions" for vhost-user.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/vfio-user.h"
#include "rig.h"
#include "tests/check_main.h"

static struct rig rig;

static void setup(void)
{
	rig_init(&rig);
}

static void teardown(void)
{
	rig_fini(&rig);
}

static int run_to_end(char *const argv[])
{
	int status;

	rig_run(&rig, argv, NULL, 0, NULL);
	status = rig_wait_exit(&rig);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void expect_failure(char *const argv[], const char *says)
{
	ck_assert_int_ne(run_to_end(argv), 0);
	ck_assert_msg(strstr(rig.log, says) != NULL, "said \"%s\"", rig.log);
}

static void expect_clean_exit_by(int signal)
{
	int status;

	kill(rig.pid, signal);
	status = rig_wait_exit(&rig);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}

static void expect_capabilities(const char *command, const char *type)
{
	const char *build = getenv("PVIO_BUILD");
	struct json_object *object, *value;
	char line[256], out[512] = "";
	FILE *f;

	snprintf(line, sizeof(line), "%s/%s 2>&1", build ? build : ".",
		 command);
	f = popen(line, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_gt(fread(out, 1, sizeof(out) - 1, f), 0);
	ck_assert_int_eq(pclose(f), 0);
	object = json_tokener_parse(out);
	ck_assert_msg(object != NULL, "no JSON: %s", out);
	ck_assert(json_object_object_get_ex(object, "type", &value));
	ck_assert_str_eq(json_object_get_string(value), type);
	ck_assert(json_object_object_get_ex(object, "features", &value));
	ck_assert(json_object_is_type(value, json_type_array));
	json_object_put(object);
}

START_TEST(capabilities_are_printed_whatever_else_is_said)
{
	expect_capabilities("pvio-block --print-capabilities", "block");
	expect_capabilities("pvio-net --print-capabilities", "net");
	expect_capabilities("pvio-block --nonsense x --print-capabilities",
			    "block");
	expect_capabilities("pvio-net --tap=nowhere --print-capabilities y",
			    "net");
}
END_TEST

START_TEST(device_is_served_at_socket_path)
{
	char option[160];
	char *block[] = { "pvio-block",     option,      "--memory=1M",
			  "--num-queues=2", "--verbose", NULL };
	char *net[] = { "pvio-net",     option,      "--echo",
			"--poll-us=50", "--verbose", NULL };
	char *const *programs[] = { block, net };
	const char *path = rig_path(&rig, "socket");
	size_t i;

	snprintf(option, sizeof(option), "--socket-path=%s", path);
	for (i = 0; i < 2; i++) {
		rig_run(&rig, programs[i], NULL, 0, NULL);
		rig_wait_log(&rig, "serving");
		ck_assert(rig_is_served(path));
		/* A second front-end, after the first has gone. */
		ck_assert(rig_is_served(path));
		expect_clean_exit_by(i ? SIGINT : SIGTERM);
		ck_assert_int_eq(rig_connect(path), -ENOENT);
	}
}
END_TEST

START_TEST(vfio_user_client_is_served)
{
	char option[160];
	char *argv[] = { "pvio-block",  option,      "--memory=1M",
			 "--vfio-user", "--verbose", NULL };
	const char *path = rig_path(&rig, "socket");
	struct vfu_device_info info;
	struct guest_vfu vfu;

	snprintf(option, sizeof(option), "--socket-path=%s", path);
	rig_run(&rig, argv, NULL, 0, NULL);
	rig_wait_log(&rig, "serving");
	ck_assert_int_eq(guest_vfu_connect(&vfu, path, NULL), 0);
	ck_assert_int_eq(guest_vfu_version(&vfu, NULL), 0);
	ck_assert_int_eq(guest_vfu_device_info(&vfu, &info), 0);
	ck_assert(info.flags & VFU_DEVICE_PCI);
	guest_vfu_close(&vfu);
	expect_clean_exit_by(SIGTERM);
}
END_TEST

/* A VMM that fills its eventfd, and has writes to it wait, holds up nothing. */
START_TEST(eventfd_that_blocks_is_given_up)
{
	const uint32_t fire = VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_TRIGGER;
	const uint32_t assign = VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_TRIGGER;
	const uint64_t full = UINT64_MAX - 1;
	char *argv[] = { "pvio-block", "--fd=3", "--memory=1M", "--vfio-user",
			 NULL };
	int fd = eventfd(0, EFD_CLOEXEC), pair[2];
	struct guest_vfu vfu;

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	rig_run(&rig, argv, &pair[1], 1, NULL);
	close(pair[1]);
	guest_vfu_adopt(&vfu, pair[0], NULL);
	ck_assert_int_eq(guest_vfu_version(&vfu, NULL), 0);
	ck_assert_int_eq(
		guest_vfu_set_irqs(&vfu, assign, VFU_IRQ_MSIX, 0, 1, &fd, 1),
		0);
	ck_assert_int_eq(write(fd, &full, sizeof(full)), sizeof(full));
	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
	ck_assert_int_eq(
		guest_vfu_set_irqs(&vfu, fire, VFU_IRQ_MSIX, 0, 1, NULL, 0), 0);
	expect_clean_exit_by(SIGTERM);
	guest_vfu_close(&vfu);
	close(fd);
}
END_TEST

START_TEST(connected_fd_is_served)
{
	char *argv[] = { "pvio-block", "--fd=3", "--memory=1M", NULL };
	int pair[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	rig_run(&rig, argv, &pair[1], 1, NULL);
	close(pair[1]);
	ck_assert(rig_answers(pair[0]));
	expect_clean_exit_by(SIGTERM);
	close(pair[0]);
}
END_TEST

START_TEST(listening_fd_is_served)
{
	char *argv[] = { "pvio-net", "--fd=3", "--null", NULL };
	const char *path = rig_path(&rig, "socket");
	int fd = rig_listen(path);

	rig_run(&rig, argv, &fd, 1, NULL);
	ck_assert(rig_is_served(path));
	ck_assert(rig_is_served(path));
	expect_clean_exit_by(SIGTERM);
	close(fd);
}
END_TEST

START_TEST(socket_of_the_service_manager_is_served)
{
	char *argv[] = { "pvio-block", "--memory=1M", NULL };
	const char *path = rig_path(&rig, "socket");
	int fd = rig_listen(path);

	rig_run(&rig, argv, &fd, 1, "disk");
	ck_assert(rig_is_served(path));
	expect_clean_exit_by(SIGTERM);
	close(fd);
}
END_TEST

START_TEST(mistakes_fail_early_with_a_message)
{
	char *none[] = { "pvio-block", "--memory=1M", NULL };
	char *both[] = { "pvio-block", "--memory=1M", "--fd=3",
			 "--socket-path=/tmp/x", NULL };
	char *two[] = { "pvio-block", "--memory=1M", "--null=1M", "--fd=3",
			NULL };
	char *what[] = { "pvio-net", "--fd=3", NULL };
	char *fd[] = { "pvio-net", "--fd=stdin", "--null", NULL };
	char *closed[] = { "pvio-net", "--fd=7", "--null", NULL };
	char *mac[] = { "pvio-net", "--socket-path=/tmp/pvio-never", "--null",
			"--mac=33:33:00:00:00:01", NULL };
	char *option[] = { "pvio-net", "--nonsense", NULL };
	char *missing[] = { "pvio-block", "--socket-path=/tmp/pvio-never",
			    "--blk-file=/nonexistent/disk.img", NULL };

	expect_failure(none, "give --socket-path or --fd");
	expect_failure(both, "exclude each other");
	expect_failure(two, "give one of");
	expect_failure(what, "give one of");
	expect_failure(fd, "is not a number");
	expect_failure(closed, "fd: 7");
	expect_failure(mac, "mac");
	expect_failure(option, "nonsense");
	expect_failure(missing, "/nonexistent/disk.img: No such file");
}
END_TEST

/* What a path may contain does not change what the configuration says. */
START_TEST(path_is_taken_as_it_is)
{
	const char *name = "a\"; read_only = true; b = \"\\x\n#.img";
	char file[256];
	char *argv[] = { "pvio-block", "--fd=3", file, NULL };
	const char *path = rig_path(&rig, "socket");
	int fd = rig_listen(path);

	rig_write(&rig, name, "");
	ck_assert_int_eq(truncate(rig_path(&rig, name), 1 << 20), 0);
	snprintf(file, sizeof(file), "--blk-file=%s", rig_path(&rig, name));
	rig_run(&rig, argv, &fd, 1, NULL);
	ck_assert(rig_is_served(path));
	expect_clean_exit_by(SIGTERM);
	close(fd);
}
END_TEST

CHECK_MAIN("backend_program", setup, teardown,
	   capabilities_are_printed_whatever_else_is_said,
	   device_is_served_at_socket_path, vfio_user_client_is_served,
	   eventfd_that_blocks_is_given_up, connected_fd_is_served,
	   listening_fd_is_served, socket_of_the_service_manager_is_served,
	   mistakes_fail_early_with_a_message, path_is_taken_as_it_is)
