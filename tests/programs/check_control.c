/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_control.c - what clients of the control socket may do to the daemon
 *
 * Row C13 of the hostile inputs: garbage, huge, slow, a peer that stops
 * reading, a user who is not allowed.  After each the daemon answers others.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"
#include "tests/check_main.h"

static struct rig rig;

static void setup(void)
{
	rig_init(&rig);
	rig_run_pviod(
		&rig,
		"control = \"@/control.sock\"; guests = ( { name = \"vm1\"; "
		"devices = ( { name = \"a\"; model = \"block\"; backend = "
		"{ type = \"memory\"; size = \"1M\"; }; transport = "
		"{ type = \"vhost-user\"; socket = \"@/a.sock\"; }; } ); } );");
}

static void teardown(void)
{
	/* Whatever the test did. */
	ck_assert_int_gt(rig_pid_of(&rig, "vm1"), 0);
	rig_fini(&rig);
}

static void expect(int fd, const char *request, const char *key,
		   const char *value)
{
	struct json_object *answer = rig_ask(fd, request), *got;

	ck_assert_msg(json_object_object_get_ex(answer, key, &got),
		      "%s: no \"%s\" in %s", request, key,
		      json_object_to_json_string(answer));
	if (value)
		ck_assert_str_eq(json_object_get_string(got), value);
	json_object_put(answer);
}

START_TEST(commands_are_answered)
{
	int fd = rig_control(&rig);

	expect(fd, "{\"id\": 1, \"command\": \"list\"}", "result", NULL);
	expect(fd, "{\"id\": \"x\", \"command\": \"list\"}", "id", "x");
	expect(fd, "{\"command\": \"stats\", \"device\": \"a\"}", "result",
	       NULL);
	expect(fd, "{\"command\": \"latency\", \"device\": \"a\"}", "result",
	       NULL);
	expect(fd,
	       "{\"command\": \"resize\", \"device\": \"a\", "
	       "\"argument\": \"nonsense\"}",
	       "error", NULL);
	expect(fd, "{\"command\": \"fly\", \"device\": \"a\"}", "error", NULL);
	expect(fd, "{\"command\": \"stats\", \"device\": \"b\"}", "error",
	       "there is no such device");
	expect(fd, "{\"command\": \"stats\"}", "error",
	       "the command needs a device");
	close(fd);
}
END_TEST

START_TEST(garbage_is_answered_with_an_error)
{
	static const char *const garbage[] = {
		"",
		"nonsense",
		"[]",
		"7",
		"{}",
		"{\"command\": 7}",
		"{\"command\": \"list\"} {\"command\": \"list\"}",
		"{\"command\": \"li",
		"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
		"{\"command\": \"\xff\xfe\"}",
		"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
		"\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
		"\"a\":1}}}}}}}}}}}}}}}}}",
	};
	int fd = rig_control(&rig);
	size_t i;

	for (i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++)
		expect(fd, garbage[i], "error", NULL);
	expect(fd, "{\"command\": \"list\"}", "result", NULL);
	close(fd);
}
END_TEST

START_TEST(bytes_of_every_value_are_survived)
{
	int fd = rig_control(&rig), i;
	char bytes[512];

	for (i = 0; i < 512; i++)
		bytes[i] = (char)i;
	bytes[511] = '\n';
	ck_assert_int_eq(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL), 512);
	/* Two newlines were among them. */
	for (i = 0; i < 2; i++)
		free(rig_read_line(fd));
	close(fd);
}
END_TEST

START_TEST(endless_line_ends_the_connection)
{
	int fd = rig_control(&rig);
	char text[4096];

	memset(text, 'x', sizeof(text));
	while (send(fd, text, sizeof(text), MSG_NOSIGNAL) > 0)
		continue;
	ck_assert(errno == EPIPE || errno == ECONNRESET);
	close(fd);
}
END_TEST

START_TEST(line_that_is_never_finished_ends_the_connection)
{
	int fd = rig_control(&rig);

	ck_assert_int_eq(send(fd, "{", 1, MSG_NOSIGNAL), 1);
	ck_assert(rig_is_closed(fd));
	close(fd);
}
END_TEST

/* Idle is not slow: a client may keep its connection. */
START_TEST(client_that_says_nothing_is_kept)
{
	int idle = rig_control(&rig), slow = rig_control(&rig);

	ck_assert_int_eq(send(slow, "{", 1, MSG_NOSIGNAL), 1);
	ck_assert(rig_is_closed(slow));
	expect(idle, "{\"command\": \"list\"}", "result", NULL);
	close(idle);
	close(slow);
}
END_TEST

START_TEST(peer_that_does_not_read_is_dropped)
{
	static const char request[] =
		"{\"command\": \"latency\", \"device\": \"a\"}\n";
	int fd = rig_control(&rig), other;
	struct timeval tv = { .tv_sec = RIG_DEADLINE_MS / 1000 };
	ssize_t sent;

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	other = rig_control(&rig);
	do {
		sent = send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
	} while (sent > 0);
	/* Dropped, rather than left waiting until our own deadline. */
	ck_assert(errno == EPIPE || errno == ECONNRESET);
	expect(other, "{\"command\": \"list\"}", "result", NULL);
	close(fd);
	close(other);
}
END_TEST

START_TEST(crowd_of_clients_keeps_nobody_out)
{
	int crowd[40], i, fd;

	for (i = 0; i < 40; i++) {
		crowd[i] = rig_connect(rig_path(&rig, "control.sock"));
		ck_assert_int_ge(crowd[i], 0);
	}
	fd = rig_control(&rig);
	expect(fd, "{\"command\": \"list\"}", "result", NULL);
	for (i = 0; i < 40; i++)
		close(crowd[i]);
	close(fd);
}
END_TEST

START_TEST(client_that_leaves_before_its_answer_is_no_trouble)
{
	static const char request[] =
		"{\"command\": \"stats\", \"device\": \"a\"}\n";
	int fd, i;

	for (i = 0; i < 50; i++) {
		fd = rig_control(&rig);
		ck_assert_int_gt(
			send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL),
			0);
		close(fd);
	}
}
END_TEST

START_TEST(socket_is_only_for_its_user)
{
	struct stat st;

	ck_assert_int_eq(stat(rig_path(&rig, "control.sock"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

/* Even where the file's mode would let them in. */
START_TEST(another_user_is_refused)
{
	const char *path = rig_path(&rig, "control.sock");
	int status;
	pid_t pid;

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(chmod(rig.dir, 0711), 0);
	ck_assert_int_eq(chmod(path, 0666), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		char greeting;
		int fd;

		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		fd = rig_connect(path);
		if (fd < 0)
			_exit(2);
		_exit(recv(fd, &greeting, 1, 0) == 0 ? 0 : 3);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	rig_wait_log(&rig, "refused process");
}
END_TEST

CHECK_MAIN("control", setup, teardown, commands_are_answered,
	   garbage_is_answered_with_an_error, bytes_of_every_value_are_survived,
	   endless_line_ends_the_connection,
	   line_that_is_never_finished_ends_the_connection,
	   client_that_says_nothing_is_kept, peer_that_does_not_read_is_dropped,
	   crowd_of_clients_keeps_nobody_out,
	   client_that_leaves_before_its_answer_is_no_trouble,
	   socket_is_only_for_its_user, another_user_is_refused)
