/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_pviod.c - processes, signals and sockets of the daemon
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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

#define CONTROL "control = \"@/control.sock\";\n"
#define VHOST(name) \
	"transport = { type = \"vhost-user\"; socket = \"@/" name ".sock\"; };"
#define DISK(name, size)                                     \
	"{ name = \"" name "\"; model = \"block\"; "         \
	"backend = { type = \"memory\"; size = \"" size      \
	"\"; }; " VHOST(name) " }"
#define GUEST(name, devices) \
	"{ name = \"" name "\"; devices = ( " devices " ); }"
#define GUESTS(list) "guests = ( " list " );\n"

#define TWO_GUESTS                                     \
	CONTROL GUESTS(GUEST("vm1", DISK("a", "1M")) ", " \
		       GUEST("vm2", DISK("b", "1M")))

static void expect_served(const char *device)
{
	char name[32];

	snprintf(name, sizeof(name), "%s.sock", device);
	ck_assert_msg(rig_is_served(rig_path(&rig, name)),
		      "%s is not served; the daemon said:\n%s", device,
		      rig.log);
}

static bool exists(const char *name)
{
	struct stat st;

	return lstat(rig_path(&rig, name), &st) == 0;
}

static void expect_clean_exit(void)
{
	int status = rig_wait_exit(&rig);

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		      "status %x; it said:\n%s", (unsigned)status, rig.log);
}

/* --- processes ------------------------------------------------------------ */

START_TEST(each_guest_has_a_process)
{
	pid_t vm1, vm2;

	rig_run_pviod(&rig, TWO_GUESTS);
	expect_served("a");
	expect_served("b");
	vm1 = rig_pid_of(&rig, "vm1");
	vm2 = rig_pid_of(&rig, "vm2");
	ck_assert_int_ne(vm1, vm2);
	ck_assert_int_ne(vm1, rig.pid);
	ck_assert_int_ne(vm2, rig.pid);
}
END_TEST

/* Peers can make a process have many for a moment. */
START_TEST(processes_may_have_as_many_descriptors_as_allowed)
{
	struct rlimit before, low, vm1;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = 256;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	rig_run_pviod(&rig, TWO_GUESTS);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(
		prlimit(rig_pid_of(&rig, "vm1"), RLIMIT_NOFILE, NULL, &vm1), 0);
	ck_assert_uint_eq(vm1.rlim_cur, before.rlim_max);
}
END_TEST

/* C11: a crash of one guest's process is nobody else's. */
START_TEST(killed_process_is_restarted_and_the_other_is_left_alone)
{
	pid_t vm1, vm2;
	int waiting;

	rig_run_pviod(&rig, TWO_GUESTS);
	vm1 = rig_pid_of(&rig, "vm1");
	vm2 = rig_pid_of(&rig, "vm2");

	/* The front-end connects while nobody serves, and is served. */
	rig_forget_log(&rig);
	kill(vm1, SIGKILL);
	waiting = rig_connect(rig_path(&rig, "a.sock"));
	ck_assert_int_ge(waiting, 0);
	expect_served("b");

	ck_assert_int_ne(rig_wait_served(&rig, "vm1"), vm1);
	/* ... unless it was the dying process that took it. */
	if (!rig_answers(waiting))
		expect_served("a");
	close(waiting);
	ck_assert_int_eq(rig_pid_of(&rig, "vm2"), vm2);
}
END_TEST

START_TEST(restarts_are_counted)
{
	struct json_object *answer, *list, *restarts;
	int fd, i;

	rig_run_pviod(&rig, CONTROL GUESTS(GUEST("vm1", DISK("a", "1M"))));
	for (i = 0; i < 2; i++) {
		pid_t pid = rig_pid_of(&rig, "vm1");

		rig_forget_log(&rig);
		kill(pid, SIGKILL);
		rig_wait_served(&rig, "vm1");
	}
	fd = rig_control(&rig);
	answer = rig_ask(fd, "{\"command\": \"list\"}");
	ck_assert(json_object_object_get_ex(answer, "result", &list));
	ck_assert(json_object_object_get_ex(json_object_array_get_idx(list, 0),
					    "restarts", &restarts));
	ck_assert_int_eq(json_object_get_int(restarts), 2);
	json_object_put(answer);
	close(fd);
}
END_TEST

/* C10: whatever a killed daemon has left behind, the next one starts. */
START_TEST(daemon_starts_after_one_that_was_killed)
{
	rig_run_pviod(&rig, TWO_GUESTS);
	kill(rig.pid, SIGKILL);
	/* Its processes die with it: the end is when none holds its stderr. */
	ck_assert(WIFSIGNALED(rig_wait_exit(&rig)));
	ck_assert(exists("a.sock"));

	rig_run_pviod(&rig, TWO_GUESTS);
	expect_served("a");
	expect_served("b");
}
END_TEST

/* C05: never a second daemon at the same sockets. */
START_TEST(second_daemon_does_not_take_the_sockets_of_the_first)
{
	struct rig second;
	char conf[128];
	char *argv[] = { "pviod", "-c", conf, NULL };
	int status;

	rig_run_pviod(&rig, TWO_GUESTS);
	strcpy(conf, rig_path(&rig, "pvio.conf"));
	rig_init(&second);
	rig_run(&second, argv, NULL, 0, NULL);
	rig_wait_log(&second, "in use by another process");
	status = rig_wait_exit(&second);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 1);
	rig_fini(&second);
	expect_served("a");
}
END_TEST

/* An image that another daemon has is not opened, until it is free. */
START_TEST(image_in_use_is_waited_for)
{
	static const char image[] =
		CONTROL GUESTS(GUEST("vm1",
				     "{ name = \"a\"; model = \"block\"; "
				     "backend = { type = \"file\"; "
				     "path = \"@/disk.img\"; "
				     "lock_wait_ms = 0; }; " VHOST("a") " }"));
	struct rig second;
	char text[1024];
	pid_t first;

	rig_write(&rig, "disk.img", "");
	ck_assert_int_eq(truncate(rig_path(&rig, "disk.img"), 1 << 20), 0);
	rig_run_pviod(&rig, image);

	rig_init(&second);
	snprintf(text, sizeof(text),
		 "control = \"@/control.sock\"; guests = ( { name = \"vm\"; "
		 "devices = ( { name = \"a\"; model = \"block\"; "
		 "backend = { type = \"file\"; path = \"%s/disk.img\"; "
		 "lock_wait_ms = 0; }; " VHOST("a") " } ); } );",
		 rig.dir);
	/* Ready: it has tried, and will go on trying. */
	rig_run_pviod(&second, text);
	rig_wait_log(&second, "in use by another process");

	first = rig.pid;
	kill(first, SIGTERM);
	expect_clean_exit();
	rig_wait_served(&second, "vm");
	ck_assert(rig_is_served(rig_path(&second, "a.sock")));
	rig_fini(&second);
}
END_TEST

/* A process that hangs costs itself, not the daemon. */
START_TEST(stopped_process_stops_nobody_else)
{
	static const char request[] =
		"{\"command\": \"stats\", \"device\": \"a\"}\n";
	struct json_object *answer, *error;
	char *line;
	pid_t vm1;
	int fd, other;

	rig_run_pviod(&rig, TWO_GUESTS);
	vm1 = rig_pid_of(&rig, "vm1");
	kill(vm1, SIGSTOP);
	fd = rig_control(&rig);
	ck_assert_int_gt(send(fd, request, sizeof(request) - 1, 0), 0);
	/* While that waits, others get their answers. */
	other = rig_control(&rig);
	answer = rig_ask(other,
			 "{\"command\": \"stats\", \"device\": \"b\"}");
	ck_assert(json_object_object_get_ex(answer, "result", NULL));
	json_object_put(answer);
	expect_served("b");

	line = rig_read_line(fd);
	ck_assert_ptr_nonnull(line);
	answer = json_tokener_parse(line);
	free(line);
	ck_assert(json_object_object_get_ex(answer, "error", &error));
	ck_assert_str_eq(json_object_get_string(error),
			 "the process of vm1 does not answer");
	json_object_put(answer);
	close(fd);
	close(other);

	/* It is killed in the end when the daemon stops. */
	kill(rig.pid, SIGTERM);
	expect_clean_exit();
}
END_TEST

/* --- signals -------------------------------------------------------------- */

START_TEST(sigterm_stops_everything_and_leaves_no_files)
{
	rig_run_pviod(&rig, TWO_GUESTS);
	kill(rig.pid, SIGTERM);
	expect_clean_exit();
	ck_assert(!exists("a.sock"));
	ck_assert(!exists("a.sock.lock"));
	ck_assert(!exists("control.sock"));
}
END_TEST

/* C09: many signals are like one. */
START_TEST(storm_of_signals_is_survived)
{
	int i;

	rig_run_pviod(&rig, TWO_GUESTS);
	for (i = 0; i < 200; i++) {
		kill(rig.pid, SIGHUP);
		kill(rig.pid, SIGCHLD);
		kill(rig.pid, SIGPIPE);
	}
	rig_wait_log(&rig, "has been read again");
	expect_served("a");
	expect_served("b");
	for (i = 0; i < 10; i++)
		kill(rig.pid, i % 2 ? SIGTERM : SIGINT);
	expect_clean_exit();
}
END_TEST

static void reload(const char *config, const char *says)
{
	rig_write(&rig, "pvio.conf", config);
	rig_forget_log(&rig);
	kill(rig.pid, SIGHUP);
	rig_wait_log(&rig, says);
}

START_TEST(reload_starts_stops_and_restarts_what_changed)
{
	pid_t same, changed;

	rig_run_pviod(&rig, CONTROL GUESTS(GUEST("same", DISK("a", "1M")) ", "
					   GUEST("changed", DISK("b", "1M")) ", "
					   GUEST("gone", DISK("c", "1M"))));
	same = rig_pid_of(&rig, "same");
	changed = rig_pid_of(&rig, "changed");

	reload(CONTROL GUESTS(GUEST("new", DISK("d", "1M")) ", "
			      GUEST("changed", DISK("b", "2M")) ", "
			      GUEST("same", DISK("a", "1M"))),
	       "has been read again");
	ck_assert_int_ne(rig_wait_served(&rig, "changed"), changed);
	rig_wait_served(&rig, "new");
	ck_assert_int_eq(rig_pid_of(&rig, "same"), same);
	expect_served("a");
	expect_served("b");
	expect_served("d");
	ck_assert(!exists("c.sock"));
	ck_assert_int_eq(rig_pid_of(&rig, "gone"), 0);
}
END_TEST

/* Who may connect changes with the file; the socket stays. */
START_TEST(reload_changes_the_mode_of_a_socket)
{
#define WITH_MODE(mode)                                                    \
	CONTROL GUESTS(GUEST("vm1",                                        \
			     "{ name = \"a\"; model = \"rng\"; transport = " \
			     "{ type = \"vhost-user\"; socket = "          \
			     "\"@/a.sock\"; socket_mode = \"" mode "\"; }; }"))
	struct stat before, after;

	rig_run_pviod(&rig, WITH_MODE("0600"));
	ck_assert_int_eq(stat(rig_path(&rig, "a.sock"), &before), 0);
	ck_assert_uint_eq(before.st_mode & 0777, 0600);
	reload(WITH_MODE("0660"), "has been read again");
	ck_assert_int_eq(stat(rig_path(&rig, "a.sock"), &after), 0);
	ck_assert_uint_eq(after.st_mode & 0777, 0660);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	rig_wait_served(&rig, "vm1");
	expect_served("a");
#undef WITH_MODE
}
END_TEST

/* C06 */
START_TEST(reload_of_a_bad_file_changes_nothing)
{
	static const char *const bad[] = {
		"guests = (",
		CONTROL GUESTS(GUEST("vm1", DISK("a", "2M"))) "oops = 1;",
		CONTROL GUESTS(GUEST("vm1", DISK("a", "eleven"))),
		CONTROL GUESTS(GUEST("vm1",
				     "{ name = \"a\"; model = \"block\"; "
				     "backend = { type = \"file\"; path = "
				     "\"@/missing\"; }; " VHOST("a") " }")),
		CONTROL GUESTS(GUEST("vm1", DISK("a", "1M")) ", "
			       GUEST("new", DISK("nowhere/c", "1M"))),
		"control = \"@/other.sock\"; " GUESTS(GUEST("vm1",
							    DISK("a", "1M"))),
	};
	pid_t vm1, vm2;
	size_t i;

	rig_run_pviod(&rig, TWO_GUESTS);
	vm1 = rig_pid_of(&rig, "vm1");
	vm2 = rig_pid_of(&rig, "vm2");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reload(bad[i], "going on with what was before");
		ck_assert_int_eq(rig_pid_of(&rig, "vm1"), vm1);
		ck_assert_int_eq(rig_pid_of(&rig, "vm2"), vm2);
		expect_served("a");
		expect_served("b");
	}
}
END_TEST

/* --- processes that have been taken over ---------------------------------- */

#define ROGUE(mode)                                                      \
	"plugin_dir = \"" ROGUE_DIR "\";\n" CONTROL GUESTS(               \
		GUEST("bad", "{ name = \"r\"; model = \"rogue\"; says = \"" \
			     mode "\"; " VHOST("r") " }") ", "            \
		GUEST("vm2", DISK("b", "1M")))

/* It is ended and started again; the daemon and the other guest go on. */
static void expect_rogue_is_ended(const char *config, const char *says)
{
	pid_t vm2;

	rig_run_pviod(&rig, config);
	vm2 = rig_pid_of(&rig, "vm2");
	rig_wait_log(&rig, says);
	rig_forget_log(&rig);
	rig_wait_log(&rig, says);
	expect_served("b");
	ck_assert_int_eq(rig_pid_of(&rig, "vm2"), vm2);
	kill(rig.pid, SIGTERM);
	expect_clean_exit();
}

/* C11 */
START_TEST(process_that_aborts_is_contained)
{
	expect_rogue_is_ended(ROGUE("abort"), "ended by signal 6");
}
END_TEST

/* C15 */
START_TEST(process_that_talks_nonsense_is_ended)
{
	expect_rogue_is_ended(ROGUE("nonsense"), "its process talks nonsense");
}
END_TEST

/* C15 */
START_TEST(process_that_talks_without_end_is_ended)
{
	expect_rogue_is_ended(ROGUE("endless"), "ended by signal 9");
}
END_TEST

/* C15: answers to questions that nobody asked are dropped. */
START_TEST(process_that_answers_unasked_is_ignored)
{
	rig_run_pviod(&rig, ROGUE("unasked"));
	ck_assert_int_gt(rig_pid_of(&rig, "bad"), 0);
	expect_served("r");
	expect_served("b");
}
END_TEST

/* The ports of a switch are served by its process, not their guests'. */
START_TEST(network_cards_on_a_switch_share_its_process)
{
#define PORT(name)                                               \
	"{ name = \"" name "\"; model = \"net\"; backend = "     \
	"{ type = \"switch\"; switch = \"lan\"; }; " VHOST(name) " }"
	pid_t lan;

	rig_run_pviod(&rig,
		      CONTROL "switches = ( { name = \"lan\"; } );\n" GUESTS(
			      GUEST("vm1", DISK("a", "1M") ", " PORT("p")) ", "
			      GUEST("vm2", PORT("q"))));
	lan = rig_pid_of(&rig, "lan");
	ck_assert_int_gt(lan, 0);
	ck_assert_int_gt(rig_pid_of(&rig, "vm1"), 0);
	/* Nothing is left for a process of its own. */
	ck_assert_int_eq(rig_pid_of(&rig, "vm2"), 0);
	expect_served("a");
	expect_served("p");
	expect_served("q");

	rig_forget_log(&rig);
	kill(rig_pid_of(&rig, "vm1"), SIGKILL);
	expect_served("p");
	ck_assert_int_eq(rig_pid_of(&rig, "lan"), lan);
#undef PORT
}
END_TEST

/* --- the service manager -------------------------------------------------- */

/* Sockets that were opened for us serve, by name or path, and stay. */
START_TEST(sockets_of_the_service_manager_are_used)
{
	char conf[128];
	char *argv[] = { "pviod", "-v", "-c", conf, NULL };
	int fds[3];

	fds[0] = rig_listen(rig_path(&rig, "elsewhere.sock"));
	fds[1] = rig_listen(rig_path(&rig, "b.sock"));
	fds[2] = rig_listen(rig_path(&rig, "control.sock"));
	rig_write(&rig, "pvio.conf", TWO_GUESTS);
	strcpy(conf, rig_path(&rig, "pvio.conf"));
	rig_run(&rig, argv, fds, 3, "a:unknown:control");
	rig_wait_log(&rig, "pviod: ready");
	ck_assert(rig_is_served(rig_path(&rig, "elsewhere.sock")));
	expect_served("b");
	ck_assert_int_gt(rig_pid_of(&rig, "vm1"), 0);
	ck_assert(!exists("a.sock"));

	kill(rig.pid, SIGTERM);
	expect_clean_exit();
	ck_assert(exists("elsewhere.sock"));
	ck_assert(exists("b.sock"));
	close(fds[0]);
	close(fds[1]);
	close(fds[2]);
}
END_TEST

START_TEST(service_manager_is_told)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = RIG_DEADLINE_MS / 1000 };
	bool ready = false, stopping = false;
	char news[512];
	ssize_t got;
	int fd;

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strcpy(addr.sun_path, rig_path(&rig, "notify"));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setenv("NOTIFY_SOCKET", addr.sun_path, 1);
	rig_run_pviod(&rig, TWO_GUESTS);
	unsetenv("NOTIFY_SOCKET");
	kill(rig.pid, SIGTERM);
	while (!stopping) {
		got = recv(fd, news, sizeof(news) - 1, 0);
		ck_assert_msg(got > 0, "not told that it is %s",
			      ready ? "stopping" : "ready");
		news[got] = '\0';
		ready |= strcmp(news, "READY=1") == 0;
		stopping = strcmp(news, "STOPPING=1") == 0;
	}
	ck_assert(ready);
	expect_clean_exit();
	close(fd);
}
END_TEST

/* --- vfio-user ----------------------------------------------------------- */

#define VFIO_DISK(name)                                            \
	"{ name = \"" name "\"; model = \"block\"; "               \
	"backend = { type = \"memory\"; size = \"1M\"; }; "        \
	"transport = { type = \"vfio-user\"; socket = \"@/" name    \
	".sock\"; }; }"

/* The device behind "@/<name>.sock", and what a driver finds in its status. */
static void open_vfio(const char *name, struct guest_vfu *vfu)
{
	char file[32];

	snprintf(file, sizeof(file), "%s.sock", name);
	ck_assert_int_eq(guest_vfu_connect(vfu, rig_path(&rig, file), NULL), 0);
	ck_assert_int_eq(guest_vfu_version(vfu, NULL), 0);
}

#define STATUS_OFFSET 0x14 /* of the common structure, in BAR 4 */

static uint8_t vfio_status(struct guest_vfu *vfu)
{
	uint8_t status = 0xff;

	ck_assert_int_eq(guest_vfu_read(vfu, 4, STATUS_OFFSET, &status, 1), 0);
	return status;
}

START_TEST(vfio_user_device_outlives_its_client_not_its_process)
{
	const uint8_t status = 1;
	struct guest_vfu vfu;
	pid_t vm1;

	rig_run_pviod(&rig, CONTROL GUESTS(GUEST("vm1", VFIO_DISK("a"))));
	vm1 = rig_pid_of(&rig, "vm1");
	open_vfio("a", &vfu);
	ck_assert_int_eq(guest_vfu_write(&vfu, 4, STATUS_OFFSET, &status, 1),
			 0);

	/* The next client finds what the driver wrote ... */
	guest_vfu_close(&vfu);
	open_vfio("a", &vfu);
	ck_assert_int_eq(vfio_status(&vfu), 1);

	/* ... and behind the same socket, in the next process, a new device. */
	rig_forget_log(&rig);
	kill(vm1, SIGKILL);
	ck_assert_int_ne(rig_wait_served(&rig, "vm1"), vm1);
	guest_vfu_close(&vfu);
	open_vfio("a", &vfu);
	ck_assert_int_eq(vfio_status(&vfu), 0);
	guest_vfu_close(&vfu);
}
END_TEST

START_TEST(vfio_user_connection_is_in_the_stats)
{
	struct json_object *answer, *result, *value;
	struct guest_vfu vfu;
	int fd;

	rig_run_pviod(&rig, CONTROL GUESTS(GUEST("vm1", VFIO_DISK("a"))));
	open_vfio("a", &vfu);
	fd = rig_control(&rig);
	answer = rig_ask(fd, "{\"command\": \"stats\", \"device\": \"a\"}");
	ck_assert(json_object_object_get_ex(answer, "result", &result));
	ck_assert(json_object_object_get_ex(result, "transport", &value));
	ck_assert_str_eq(json_object_get_string(value), "vfio-user");
	ck_assert_msg(json_object_object_get_ex(result, "connection", &result),
		      "%s", json_object_get_string(answer));
	ck_assert(json_object_object_get_ex(result, "connected", &value));
	ck_assert(json_object_get_boolean(value));
	ck_assert(json_object_object_get_ex(result, "peer", &value));
	ck_assert_int_eq(json_object_get_int(value), getpid());
	ck_assert(json_object_object_get_ex(result, "doorbell", &value));
	ck_assert_str_eq(json_object_get_string(value), "trap");
	json_object_put(answer);
	close(fd);
	guest_vfu_close(&vfu);
}
END_TEST

CHECK_MAIN("pviod", setup, teardown, each_guest_has_a_process,
	   processes_may_have_as_many_descriptors_as_allowed,
	   killed_process_is_restarted_and_the_other_is_left_alone,
	   restarts_are_counted, daemon_starts_after_one_that_was_killed,
	   second_daemon_does_not_take_the_sockets_of_the_first,
	   image_in_use_is_waited_for, stopped_process_stops_nobody_else,
	   sigterm_stops_everything_and_leaves_no_files,
	   storm_of_signals_is_survived,
	   reload_starts_stops_and_restarts_what_changed,
	   reload_changes_the_mode_of_a_socket,
	   reload_of_a_bad_file_changes_nothing,
	   process_that_aborts_is_contained,
	   process_that_talks_nonsense_is_ended,
	   process_that_talks_without_end_is_ended,
	   process_that_answers_unasked_is_ignored,
	   network_cards_on_a_switch_share_its_process,
	   sockets_of_the_service_manager_are_used, service_manager_is_told,
	   vfio_user_device_outlives_its_client_not_its_process,
	   vfio_user_connection_is_in_the_stats)
