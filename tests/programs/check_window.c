/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_window.c - pviod and its windows
 *
 * The host's pviod has a window.  The appliance is a second pviod, which reaches
 * it by the window's socket, or a VMM whose one device is played here; the other
 * machine is a guest whose disk the appliance serves (disk-guest.h).
 */
#include "disk-guest.h"
#include "guest/vhost-user.h"
#include "rig.h"
#include "tests/check_main.h"
#include "transports/vhost-pci/abi.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

static struct rig host, appliance;

#define WINDOW_BYTES (16u << 20)
#define NR_KILLS     5

#define CONTROL "control = \"@/control.sock\";\n"
#define PORT(name)                                            \
	"{ name = \"" name "\"; model = \"block\"; socket = " \
	"\"@/" name ".sock\"; }"
#define WINDOW(keys, ports)                                           \
	CONTROL "windows = ( { name = \"w\"; socket = \"@/a.sock\"; " \
		"size = \"16M\"; " keys " ports = ( " ports " ); } );\n"
#define BOUNCE "window = \"bounce\"; "
#define RAM    "window = \"ram\"; file = \"@/ram\"; "

/* --- fixture -------------------------------------------------------------- */

static void setup(void)
{
	rig_init(&host);
	rig_init(&appliance);
	memset(&guest, 0, sizeof(guest));
	guest_memory_init(&guest.mem);
}

static void teardown(void)
{
	guest_device_close(guest.gd);
	guest_memory_fini(&guest.mem);
	rig_fini(&appliance);
	rig_fini(&host);
}

static struct json_object *result_of(const struct rig *rig, const char *request)
{
	struct json_object *answer, *result;
	int fd = rig_control(rig);

	answer = rig_ask(fd, request);
	close(fd);
	if (!json_object_object_get_ex(answer, "result", &result))
		result = NULL;
	result = json_object_get(result);
	json_object_put(answer);
	return result;
}

static void expect_string(struct json_object *object, const char *key,
			  const char *text)
{
	struct json_object *value;

	ck_assert_msg(json_object_object_get_ex(object, key, &value), "no %s",
		      key);
	ck_assert_str_eq(json_object_get_string(value), text);
}

/* There are some.  Then its process has done what it had to do before, too. */
static void expect_stats(const char *port)
{
	struct json_object *stats;
	char request[96];

	snprintf(request, sizeof(request),
		 "{\"command\": \"stats\", \"device\": \"%s\"}", port);
	stats = result_of(&host, request);
	ck_assert(json_object_is_type(stats, json_type_object));
	json_object_put(stats);
}

static void reload(const char *config)
{
	rig_write(&host, "pvio.conf", config);
	rig_forget_log(&host);
	kill(host.pid, SIGHUP);
	rig_wait_log(&host, "has been read again");
}

/* --- what pvioctl sees ---------------------------------------------------- */

START_TEST(ports_are_listed_as_devices)
{
	struct json_object *list, *unit, *devices, *port;

	rig_run_pviod(&host, WINDOW(RAM, PORT("one") ", " PORT("two")));
	list = result_of(&host, "{\"command\": \"list\"}");
	ck_assert_uint_eq(json_object_array_length(list), 1);
	unit = json_object_array_get_idx(list, 0);
	expect_string(unit, "name", "w");
	expect_string(unit, "kind", "window");
	expect_string(unit, "state", "running");
	expect_string(unit, "socket", rig_path(&host, "a.sock"));
	ck_assert(json_object_object_get_ex(unit, "devices", &devices));
	ck_assert_uint_eq(json_object_array_length(devices), 2);
	port = json_object_array_get_idx(devices, 1);
	expect_string(port, "name", "two");
	expect_string(port, "guest", "w");
	expect_string(port, "model", "block");
	expect_string(port, "backend", "window");
	expect_string(port, "transport", "vhost-pci");
	expect_string(port, "socket", rig_path(&host, "two.sock"));
	json_object_put(list);

	expect_stats("two");
	ck_assert_ptr_null(result_of(&host, "{\"command\": \"resize\", "
					    "\"device\": \"two\"}"));
	ck_assert_ptr_null(result_of(&host, "{\"command\": \"stats\", "
					    "\"device\": \"w\"}"));
}
END_TEST

/* --- a VMM whose device is an ivshmem-doorbell ----------------------------- */

struct client {
	int fd, memory;
	int64_t value; /* of the last message */
	int with;      /* descriptor that came with it, or -1 */
	const struct window_header *header;
};

/* The next message; false when the server has closed. */
static bool client_read(struct client *c)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { &c->value, sizeof(c->value) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	struct cmsghdr *cmsg;

	ck_assert_int_eq(poll(&p, 1, RIG_DEADLINE_MS), 1);
	if (recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC | MSG_WAITALL) !=
	    sizeof(c->value))
		return false;
	c->value = (int64_t)le64toh((uint64_t)c->value);
	c->with = -1;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg)
		memcpy(&c->with, CMSG_DATA(cmsg), sizeof(c->with));
	return true;
}

/* A message with that value, and with or without a descriptor. */
static int client_expect(struct client *c, int64_t value, bool has_fd)
{
	ck_assert_msg(client_read(c), "closed; it said:\n%s", host.log);
	ck_assert_int_eq(c->value, value);
	ck_assert_int_eq(c->with >= 0, has_fd);
	return c->with;
}

static void client_connect(struct client *c)
{
	const uint8_t *at;

	c->fd = rig_connect(rig_path(&host, "a.sock"));
	ck_assert_int_ge(c->fd, 0);
	client_expect(c, 0, false);
	client_expect(c, 0, false);
	c->memory = client_expect(c, -1, true);
	at = mmap(NULL, WINDOW_BYTES, PROT_READ, MAP_SHARED, c->memory, 0);
	ck_assert_ptr_ne(at, MAP_FAILED);
	c->header = (const void *)(at + window_control_offset(WINDOW_BYTES));
	/* The control area's interrupt, and its doorbell. */
	close(client_expect(c, 0, true));
	close(client_expect(c, 1, true));
}

static void client_close(struct client *c)
{
	munmap((void *)((uintptr_t)c->header -
			window_control_offset(WINDOW_BYTES)),
	       WINDOW_BYTES);
	close(c->memory);
	close(c->fd);
}

static uint32_t epoch_of(const struct client *c)
{
	/* Another process writes it. */
	const volatile struct window_header *h = c->header;

	ck_assert_uint_eq(le64toh(h->magic), WINDOW_MAGIC);
	return le32toh(h->epoch);
}

static const char *const modes[] = {
	WINDOW(RAM, PORT("b-disk")),
	/* With the second process these are used up: it relays. */
	WINDOW(RAM "vectors = 2; ", PORT("b-disk")),
	WINDOW(BOUNCE, PORT("b-disk")),
};
#define NR_MODES ((int)pvio_array_size(modes))

/* QEMU would not connect again: what it has stays good. */
START_TEST(appliance_stays_connected_when_the_process_is_killed)
{
	struct client c;
	uint32_t epoch;
	pid_t pid;
	int i;

	rig_run_pviod(&host, modes[_i]);
	client_connect(&c);
	for (i = 0; i < NR_KILLS; i++) {
		expect_stats("b-disk");
		epoch = epoch_of(&c);
		pid = rig_pid_of(&host, "w");
		rig_forget_log(&host);
		kill(pid, SIGKILL);
		ck_assert_int_ne(rig_wait_served(&host, "w"), pid);
		/* Its doorbell is another one; it keeps its interrupt. */
		client_expect(&c, i + 1, false);
		close(client_expect(&c, i + 2, true));
		/* Of the memory it has in its BAR. */
		ck_assert_uint_ne(epoch_of(&c), epoch);
	}
	client_close(&c);
}
END_TEST

/* What a client has left is nothing to the next one. */
START_TEST(appliance_that_left_is_not_kept)
{
	struct client c;

	rig_run_pviod(&host, modes[_i]);
	client_connect(&c);
	client_close(&c);
	rig_wait_log(&host, "client left");
	expect_stats("b-disk");
	rig_forget_log(&host);
	kill(rig_pid_of(&host, "w"), SIGKILL);
	rig_wait_served(&host, "w");
	client_connect(&c);
	ck_assert_ptr_null(strstr(host.log, "goes on"));
	client_close(&c);
}
END_TEST

/* It leaves while nobody serves it. */
START_TEST(appliance_that_leaves_a_dead_process_is_noticed)
{
	struct client c;
	pid_t pid;

	rig_run_pviod(&host, modes[_i]);
	client_connect(&c);
	pid = rig_pid_of(&host, "w");
	kill(pid, SIGSTOP);
	client_close(&c);
	rig_forget_log(&host);
	kill(pid, SIGKILL);
	rig_wait_served(&host, "w");
	ck_assert_ptr_null(strstr(host.log, "goes on"));
	client_connect(&c);
	client_close(&c);
}
END_TEST

START_TEST(changed_window_lets_the_appliance_go)
{
	struct client c;
	pid_t pid;

	rig_run_pviod(&host, modes[_i]);
	pid = rig_pid_of(&host, "w");
	client_connect(&c);
	reload(WINDOW(RAM "vectors = 16;", PORT("b-disk")));
	ck_assert(!client_read(&c));
	ck_assert_int_ne(rig_wait_served(&host, "w"), pid);
	client_close(&c);
	client_connect(&c);
	client_close(&c);

	/* And without a window there is nobody. */
	reload(CONTROL);
	ck_assert_int_lt(rig_connect(rig_path(&host, "a.sock")), 0);
}
END_TEST

/* C06: a window that cannot be is not tried on those who use the one there is. */
START_TEST(window_that_is_wrong_changes_nothing)
{
	static const char *const bad[] = {
		WINDOW(RAM "vectors = 1;", PORT("b-disk")),
		WINDOW(RAM "colour = 7;", PORT("b-disk")),
		WINDOW("window = \"ram\";", PORT("b-disk")),
		WINDOW(RAM, ""),
	};
	struct pollfd p = { .events = POLLIN };
	struct client c;
	size_t i;
	pid_t pid;

	rig_run_pviod(&host, modes[_i]);
	client_connect(&c);
	p.fd = c.fd;
	pid = rig_pid_of(&host, "w");
	for (i = 0; i < pvio_array_size(bad); i++) {
		rig_write(&host, "pvio.conf", bad[i]);
		rig_forget_log(&host);
		kill(host.pid, SIGHUP);
		rig_wait_log(&host, "going on with what was before");
		ck_assert_int_eq(rig_pid_of(&host, "w"), pid);
	}
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	client_close(&c);
}
END_TEST

/* --- an appliance that serves a disk ---------------------------------------- */

/* B's memory: the window's, but for the control area; or its own. */
static void guest_add_memory(void)
{
	struct guest_region *r = &guest.mem.region[0];
	int fd;

	fd = open(rig_path(&host, "ram"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, WINDOW_BYTES), 0);
	r->fd = fd;
	r->size = window_control_offset(WINDOW_BYTES);
	r->host = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       0);
	ck_assert_ptr_ne(r->host, MAP_FAILED);
	guest.mem.nr = 1;
}

static void appliance_run(void)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 CONTROL "guests = ( { name = \"b\"; devices = ( { "
			 "name = \"disk\"; model = \"block\"; backend = "
			 "{ type = \"file\"; path = \"@/disk.img\"; "
			 "lock_wait_ms = 10000; }; transport = { type = "
			 "\"vhost-pci\"; socket = \"%s/a.sock\"; "
			 "port = 0; }; } ); } );\n",
		 host.dir);
	rig_run_pviod(&appliance, text);
}

/* B's VMM: tries until the appliance serves its port, as reconnect=1 does. */
static int guest_try(void)
{
	const char *path = rig_path(&host, "b-disk.sock");

	return guest.gd ? guest_device_reconnect(guest.gd, path)
			: guest_device_open_vhost_user(path, &guest.mem,
						       &guest.gd);
}

static void guest_connect(void)
{
	uint64_t end = pvio_now_ns() + RIG_DEADLINE_MS * 1000000ULL;
	int rc;

	while ((rc = guest_try()) < 0) {
		ck_assert_msg(pvio_now_ns() < end,
			      "%s; the host said:\n%s\nthe appliance:\n%s",
			      strerror(-rc), host.log, appliance.log);
		poll(NULL, 0, 10);
	}
}

/* The next answer, from whoever is there by then. */
static void guest_next(void)
{
	int slot;

	while ((slot = reap_wait()) < 0)
		guest_connect();
	note_ack((unsigned int)slot);
}

static void guest_drain(void)
{
	while (guest.busy > 0)
		guest_next();
}

/* As guest_run(), over deaths. */
static void guest_run_on(unsigned int acks)
{
	unsigned int end = guest.acks + acks;

	guest_fill();
	while (guest.acks < end) {
		guest_next();
		guest_fill();
	}
}

static void pair_up(const char *config)
{
	guest_add_memory();
	make_image(rig_path(&appliance, "disk.img"));
	rig_run_pviod(&host, config);
	appliance_run();
	guest_connect();
	guest_begin(0);
}

static void pair_down(void)
{
	guest_drain();
	guest_device_close(guest.gd);
	guest.gd = NULL;
	expect_image(rig_path(&appliance, "disk.img"));
}

START_TEST(disk_is_served_through_a_window)
{
	unsigned int block;

	pair_up(modes[_i]);
	guest_run(400);
	guest_drain();
	for (block = 0; block < NR_BLOCKS; block++)
		ck_assert_uint_eq(read_block(block), guest.sent[block]);
	pair_down();
}
END_TEST

START_TEST(disk_is_served_on_when_the_windows_process_is_killed)
{
	pid_t serves, pid;
	int i;

	pair_up(modes[_i]);
	serves = rig_pid_of(&appliance, "b");
	for (i = 0; i < NR_KILLS; i++) {
		guest_run_on(30 + 11 * (unsigned int)i);
		pid = rig_pid_of(&host, "w");
		rig_forget_log(&host);
		kill(pid, SIGKILL);
		rig_wait_served(&host, "w");
		/* The appliance has not noticed but for that. */
		ck_assert_int_eq(rig_pid_of(&appliance, "b"), serves);
	}
	guest_run_on(40);
	pair_down();
}
END_TEST

START_TEST(disk_is_served_on_when_the_appliance_is_killed)
{
	pid_t pid;
	int i;

	pair_up(modes[_i]);
	for (i = 0; i < NR_KILLS; i++) {
		guest_run_on(30 + 11 * (unsigned int)i);
		pid = rig_pid_of(&appliance, "b");
		rig_forget_log(&appliance);
		kill(pid, SIGKILL);
		rig_wait_served(&appliance, "b");
	}
	guest_run_on(40);
	pair_down();
}
END_TEST

/* Nobody waits there for an appliance that may not come. */
START_TEST(nobody_is_listened_to_while_the_appliance_is_away)
{
	const char *path = rig_path(&host, "b-disk.sock");
	int status;

	guest_add_memory();
	make_image(rig_path(&appliance, "disk.img"));
	rig_run_pviod(&host, modes[_i]);
	ck_assert_int_lt(rig_connect(path), 0);
	appliance_run();
	guest_connect();
	guest_begin(0);
	guest_run(20);
	guest_drain();

	kill(appliance.pid, SIGTERM);
	status = rig_wait_exit(&appliance);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	/* It may be given some time to come back. */
	ck_assert_int_lt(guest_device_wait(guest.gd, 0, WAIT_MS), 0);
	ck_assert_int_lt(rig_connect(path), 0);
	appliance_run();
	guest_connect();
	guest_run(20);
	pair_down();
}
END_TEST

int main(void)
{
	const TTest *const in_each_mode[] = {
		appliance_stays_connected_when_the_process_is_killed,
		appliance_that_left_is_not_kept,
		appliance_that_leaves_a_dead_process_is_noticed,
		changed_window_lets_the_appliance_go,
		window_that_is_wrong_changes_nothing,
		disk_is_served_through_a_window,
		disk_is_served_on_when_the_windows_process_is_killed,
		disk_is_served_on_when_the_appliance_is_killed,
		nobody_is_listened_to_while_the_appliance_is_away,
	};
	Suite *suite = suite_create("window");
	TCase *tcase = tcase_create("window");
	size_t i;

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, ports_are_listed_as_devices);
	for (i = 0; i < pvio_array_size(in_each_mode); i++)
		tcase_add_loop_test(tcase, in_each_mode[i], 0, NR_MODES);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
