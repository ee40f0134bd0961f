/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vfio_user.c - pviod serves disks over vfio-user, and dies
 *
 * The test is the VMM and its guest, which writes versions (disk-guest.h).  What
 * the device has not acknowledged before its death is written again by the next
 * driver.
 */
#include "core/util.h"
#include "core/virtio.h"
#include "guest/device-vfio-user.h"
#include "disk-guest.h"
#include "rig.h"
#include "tests/check_main.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct rig rig;

#define RAM_GPA	  0x100000u
#define RAM_BYTES (8u << 20)
#define NR_KILLS  6

#define CONFIG(keys)                                                        \
	"control = \"@/control.sock\";\n"                                   \
	"guests = ( { name = \"vm1\"; devices = ( { name = \"a\"; "         \
	"model = \"block\"; backend = { type = \"file\"; path = "           \
	"\"@/disk.img\"; }; transport = { type = \"vfio-user\"; socket = "  \
	"\"@/a.sock\"; " keys " }; } ); } );\n"

/* --- coming up ------------------------------------------------------------ */

static void guest_up(const char *path, uint64_t features)
{
	int rc;

	guest_alloc_reset(&guest.mem);
	memset(guest.mem.region[0].host, 0, RAM_BYTES);
	rc = guest_device_open_vfio_user(path, &guest.mem, &guest.gd);
	ck_assert_msg(rc == 0, "open: %s; it said:\n%s", strerror(-rc),
		      rig.log);
	guest_begin(features);
}

/* What was acknowledged is there; what was not is written again. */
static void guest_recover(void)
{
	unsigned int block;
	uint32_t now;
	int slot;

	for (block = 0; block < NR_BLOCKS; block++) {
		now = read_block(block);
		ck_assert_msg(now >= guest.acked[block] &&
				      now <= guest.sent[block],
			      "block %u: version %u, acknowledged %u, sent %u",
			      block, now, guest.acked[block],
			      guest.sent[block]);
	}
	for (block = 0; block < NR_BLOCKS; block++) {
		if (guest.acked[block] == guest.sent[block])
			continue;
		write_block(0, block);
		publish();
		slot = reap_wait();
		ck_assert_int_eq(slot, 0);
		note_ack((unsigned int)slot);
		guest.resubmitted++;
	}
}

/* The server is dead: what it has published is all there will be. */
static void guest_down(void)
{
	int slot;

	while (!guest_device_is_broken(guest.gd))
		if (guest_device_wait(guest.gd, 0, WAIT_MS) == 0)
			ck_abort_msg("the end of the server is not noticed");
	for (slot = reap(); slot >= 0; slot = reap())
		note_ack((unsigned int)slot);
	guest_device_close(guest.gd);
	guest.gd = NULL;
}

/* --- fixture -------------------------------------------------------------- */

static void setup(void)
{
	rig_init(&rig);
	memset(&guest, 0, sizeof(guest));
	guest_memory_init(&guest.mem);
	ck_assert_int_eq(guest_memory_add(&guest.mem, RAM_GPA, RAM_BYTES), 0);
	make_image(rig_path(&rig, "disk.img"));
}

static void teardown(void)
{
	guest_device_close(guest.gd);
	guest_memory_fini(&guest.mem);
	rig_fini(&rig);
}

/* --- death ---------------------------------------------------------------- */

static const struct way {
	const char *config;
	uint64_t features;
} ways[] = {
	{ CONFIG(""), 0 },
	{ CONFIG(""), PVIO_BIT(VIRTIO_F_RING_PACKED) |
			      PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) },
	{ CONFIG("doorbell = \"poll\";"), PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) },
};
#define NR_WAYS ((int)pvio_array_size(ways))

enum victim { THE_PROCESS, THE_DAEMON };

/* With a full queue; stopped before that, it is sure to leave some of it. */
static void murder(pid_t pid, bool is_stopped_first)
{
	if (is_stopped_first) {
		ck_assert_int_eq(kill(pid, SIGSTOP), 0);
		guest_fill();
	}
	rig_forget_log(&rig);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	guest_down();
}

static void die_and_recover(const struct way *way, enum victim victim)
{
	unsigned int i, cut_short = 0;
	pid_t pid;

	rig_run_pviod(&rig, way->config);
	guest_up(rig_path(&rig, "a.sock"), way->features);
	for (i = 0; i < NR_KILLS; i++) {
		pid = rig_pid_of(&rig, "vm1");
		guest_run(40 + 17 * i);
		if (victim == THE_DAEMON)
			ck_assert_int_eq(kill(rig.pid, SIGKILL), 0);
		murder(pid, i % 2);
		cut_short += guest.busy;
		if (victim == THE_DAEMON) {
			rig_wait_exit(&rig);
			rig_run_pviod(&rig, way->config);
		} else {
			ck_assert_int_ne(rig_wait_served(&rig, "vm1"), pid);
		}
		guest_up(rig_path(&rig, "a.sock"), way->features);
		guest_recover();
	}
	/* Else nothing of it was put to the test. */
	ck_assert_uint_gt(cut_short, 0);
	ck_assert_uint_gt(guest.resubmitted, 0);
	guest_run(40);
	while (guest.busy > 0)
		note_ack((unsigned int)reap_wait());
	guest_device_close(guest.gd);
	guest.gd = NULL;
	expect_image(rig_path(&rig, "disk.img"));
}

START_TEST(killed_process_loses_no_acknowledged_write)
{
	die_and_recover(&ways[_i], THE_PROCESS);
}
END_TEST

START_TEST(killed_daemon_loses_no_acknowledged_write)
{
	die_and_recover(&ways[0], THE_DAEMON);
}
END_TEST

/* --- clients that vanish -------------------------------------------------- */

static unsigned int count_lines(const char *path, const char *what)
{
	FILE *f = fopen(path, "r");
	unsigned int n = 0;
	char line[512];

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		if (strstr(line, what))
			n++;
	fclose(f);
	return n;
}

struct census {
	unsigned int fds, maps;
};

/*
 * What process @pid has while it serves a client of no demands: everything
 * about the one before has been seen to, or this one would not be served.
 */
static struct census take_census(pid_t pid)
{
	struct census c = { 0, 0 };
	struct guest_vfu vfu;
	char path[64];
	DIR *dir;

	ck_assert_int_eq(guest_vfu_connect(&vfu, rig_path(&rig, "a.sock"),
					   NULL),
			 0);
	ck_assert_int_eq(guest_vfu_version(&vfu, NULL), 0);
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		c.fds++;
	closedir(dir);
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	c.maps = count_lines(path, "memfd:");
	guest_vfu_close(&vfu);
	return c;
}

/* A client with memory and interrupts, gone after @at bytes of a message. */
static void vanish(size_t at, int event)
{
	struct {
		struct vfu_header header;
		struct vfu_dma_map map;
	} msg = {
		{ 1, VFU_DMA_MAP, sizeof(msg), VFU_TYPE_COMMAND, 0 },
		{ sizeof(msg.map), VFU_DMA_READABLE | VFU_DMA_WRITABLE, 0,
		  1ull << 32, RAM_BYTES },
	};
	int fds[4] = { event, event, event, event };
	struct guest_vfu vfu;

	ck_assert_int_eq(guest_vfu_connect(&vfu, rig_path(&rig, "a.sock"),
					   NULL),
			 0);
	ck_assert_int_eq(guest_vfu_version(&vfu, NULL), 0);
	ck_assert_int_eq(guest_vfu_map_memory(&vfu, &guest.mem), 0);
	ck_assert_int_eq(guest_vfu_set_irqs(&vfu,
					    VFU_IRQ_DATA_EVENTFD |
						    VFU_IRQ_ACTION_TRIGGER,
					    VFU_IRQ_MSIX, 0, 2, fds, 2),
			 0);
	/* One file, or more than there may be. */
	if (at > 0)
		ck_assert_int_eq(
			guest_vfu_send_bytes(&vfu, &msg, at,
					     at % 2 ? fds :
						      &guest.mem.region[0].fd,
					     at % 2 ? 4 : 1),
			0);
	guest_vfu_close(&vfu);
}

START_TEST(clients_that_vanish_leave_nothing_in_the_process)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct census before, after;
	size_t i;
	pid_t pid;

	rig_run_pviod(&rig, ways[_i].config);
	pid = rig_pid_of(&rig, "vm1");
	vanish(48, event);
	before = take_census(pid);
	for (i = 0; i < 4 * 49; i++)
		vanish(i % 49, event);
	after = take_census(pid);
	ck_assert_uint_eq(before.fds, after.fds);
	ck_assert_uint_eq(before.maps, after.maps);
	ck_assert_int_eq(rig_pid_of(&rig, "vm1"), pid);
	close(event);

	/* And a guest is served as if nothing had been. */
	guest_up(rig_path(&rig, "a.sock"), ways[_i].features);
	guest_run(40);
}
END_TEST

/* The VMM's connection breaks; the guest's driver does not notice. */
START_TEST(client_that_comes_back_finds_its_device)
{
	unsigned int i;

	rig_run_pviod(&rig, ways[_i].config);
	guest_up(rig_path(&rig, "a.sock"), ways[_i].features);
	for (i = 0; i < 10; i++) {
		guest_run(30);
		guest_device_vfio_user_vanish(guest.gd);
		ck_assert_int_eq(guest_device_vfio_user_return(
					 guest.gd, rig_path(&rig, "a.sock")),
				 0);
		guest_device_kick(guest.gd, 0);
	}
	guest_run(30);
	while (guest.busy > 0)
		note_ack((unsigned int)reap_wait());
	guest_device_close(guest.gd);
	guest.gd = NULL;
	expect_image(rig_path(&rig, "disk.img"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vfio_user");
	TCase *tcase = tcase_create("vfio_user");

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, killed_process_loses_no_acknowledged_write,
			    0, NR_WAYS);
	tcase_add_test(tcase, killed_daemon_loses_no_acknowledged_write);
	tcase_add_loop_test(tcase,
			    clients_that_vanish_leave_nothing_in_the_process, 0,
			    NR_WAYS);
	tcase_add_loop_test(tcase, client_that_comes_back_finds_its_device, 0,
			    NR_WAYS);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
