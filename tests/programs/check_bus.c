/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_bus.c - pviod and the buses of its guests
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <pvio/bus-abi.h>

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
#define DISK(name, size, socket)                                        \
	"{ name = \"" name "\"; model = \"block\"; "                    \
	"backend = { type = \"memory\"; size = \"" size "\"; }; "       \
	"transport = { type = \"hypercall\"; socket = \"@/" socket      \
	".sock\"; }; }"
#define GUEST(devices) \
	CONTROL "guests = ( { name = \"vm1\"; devices = ( " devices " ); } );\n"

static void reload(const char *config)
{
	rig_write(&rig, "pvio.conf", config);
	rig_forget_log(&rig);
	kill(rig.pid, SIGHUP);
	rig_wait_log(&rig, "has been read again");
}

static void open_bridge(struct guest_vfu *vfu)
{
	ck_assert_int_eq(guest_vfu_connect(vfu, rig_path(&rig, "bus.sock"),
					   NULL),
			 0);
	ck_assert_int_eq(guest_vfu_version(vfu, NULL), 0);
}

static uint32_t bridge_magic(struct guest_vfu *vfu)
{
	uint32_t magic = 0;

	ck_assert_int_eq(guest_vfu_read(vfu, PVIO_BUS_PCI_BAR,
					PVIO_BUS_REG_MAGIC, &magic,
					sizeof(magic)),
			 0);
	return magic;
}

/* What pviod says of a device; NULL: that there is none.  To be put. */
static struct json_object *stats_of(const char *device)
{
	struct json_object *answer, *result;
	char request[128];
	int fd;

	snprintf(request, sizeof(request),
		 "{\"command\": \"stats\", \"device\": \"%s\"}", device);
	fd = rig_control(&rig);
	answer = rig_ask(fd, request);
	close(fd);
	if (json_object_object_get_ex(answer, "result", &result))
		return answer;
	json_object_put(answer);
	return NULL;
}

static void expect_device(const char *device, bool is_there)
{
	struct json_object *answer = stats_of(device);

	ck_assert_msg(!!answer == is_there, "%s: %s", device,
		      answer ? "there" : "not there");
	json_object_put(answer);
}

START_TEST(devices_with_one_socket_are_behind_one_bridge)
{
	struct json_object *answer, *result, *value;
	struct guest_vfu vfu;

	rig_run_pviod(&rig, GUEST(DISK("a", "1M", "bus") ", "
				  DISK("b", "1M", "bus")));
	open_bridge(&vfu);
	ck_assert_uint_eq(bridge_magic(&vfu), PVIO_BUS_MAGIC);
	answer = stats_of("b");
	ck_assert_ptr_nonnull(answer);
	ck_assert(json_object_object_get_ex(answer, "result", &result));
	ck_assert(json_object_object_get_ex(result, "connection", &result));
	ck_assert(json_object_object_get_ex(result, "number", &value));
	ck_assert_int_eq(json_object_get_int(value), 1);
	ck_assert(json_object_object_get_ex(result, "connected", &value));
	ck_assert(json_object_get_boolean(value));
	json_object_put(answer);
	guest_vfu_close(&vfu);
}
END_TEST

/* The guest's VMM stays connected, and to the same process. */
START_TEST(devices_of_a_bus_come_and_go_while_it_serves)
{
	struct guest_vfu vfu;
	pid_t process;

	rig_run_pviod(&rig, GUEST(DISK("a", "1M", "bus") ", "
				  DISK("b", "1M", "bus")));
	process = rig_pid_of(&rig, "vm1");
	open_bridge(&vfu);

	reload(GUEST(DISK("a", "1M", "bus") ", " DISK("c", "1M", "bus")));
	rig_wait_log(&rig, "b: has been unplugged");
	rig_wait_log(&rig, "c: has been plugged");
	expect_device("a", true);
	expect_device("b", false);
	expect_device("c", true);
	/* One that has changed is another. */
	reload(GUEST(DISK("a", "1M", "bus") ", " DISK("c", "2M", "bus")));
	rig_wait_log(&rig, "c: has been plugged");
	expect_device("c", true);

	ck_assert_int_eq(rig_pid_of(&rig, "vm1"), process);
	ck_assert_uint_eq(bridge_magic(&vfu), PVIO_BUS_MAGIC);
	guest_vfu_close(&vfu);
}
END_TEST

START_TEST(bus_of_which_nothing_stays_needs_another_process)
{
	pid_t process;

	rig_run_pviod(&rig, GUEST(DISK("a", "1M", "bus")));
	process = rig_pid_of(&rig, "vm1");
	reload(GUEST(DISK("b", "1M", "bus")));
	ck_assert_int_ne(rig_wait_served(&rig, "vm1"), process);
	expect_device("b", true);
}
END_TEST

CHECK_MAIN("pviod and buses", setup, teardown,
	   devices_with_one_socket_are_behind_one_bridge,
	   devices_of_a_bus_come_and_go_while_it_serves,
	   bus_of_which_nothing_stays_needs_another_process)
