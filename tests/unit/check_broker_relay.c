/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_broker_relay.c - what passes a window, B's VMM's messages and the
 * appliance's, and what stays
 */
#include "tests/broker-guest.h"

#include "core/virtio.h"
#include "guest/device.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- what passes ---------------------------------------------------------- */

START_TEST(features_that_pass_no_window_are_not_offered)
{
	uint64_t value;

	rig_up(&rig);
	ck_assert_int_eq(guest_vu_connect(&b, rig.b[0], rig.worker), 0);
	ck_assert_int_eq(guest_vu_ask_u64(&b, VU_GET_FEATURES, &value), 0);
	ck_assert_uint_eq(value, RIG_FEATURES & ~PVIO_BIT(VU_F_LOG_ALL));
	ck_assert_int_eq(guest_vu_ask_u64(&b, VU_GET_PROTOCOL_FEATURES, &value),
			 0);
	ck_assert_uint_eq(value & (PVIO_BIT(VU_PROTOCOL_LOG_SHMFD) |
				   PVIO_BIT(VU_PROTOCOL_CONFIGURE_MEM_SLOTS) |
				   PVIO_BIT(VU_PROTOCOL_INBAND_NOTIFICATIONS)),
			  0);
	ck_assert_uint_eq(value >> 20, 0);
	ck_assert(value & PVIO_BIT(VU_PROTOCOL_BACKEND_REQ));
}
END_TEST

START_TEST(acknowledgements_are_exact)
{
	struct guest_vu_reply reply;
	const uint64_t features = PVIO_BIT(VIRTIO_F_VERSION_1);

	rig_up(&rig);
	ck_assert_int_eq(guest_vu_connect(&b, rig.b[0], rig.worker), 0);
	/* Not negotiated: asking for one changes nothing. */
	ck_assert_int_eq(guest_vu_send(&b, VU_SET_FEATURES, VU_NEED_REPLY,
				       &features, 8, NULL, 0),
			 0);
	ck_assert_int_eq(guest_vu_ask(&b, VU_GET_FEATURES, NULL, 0, &reply), 0);
	ck_assert_uint_eq(rig_find(&rig, VU_SET_FEATURES)->flags, VU_VERSION);
	guest_vu_close(&b);
	rig_settle(&rig);

	/* Negotiated: where one is asked for, and only there. */
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(guest_vu_tell_u64(&b, VU_SET_FEATURES, features), 0);
	ck_assert_uint_eq(rig_find(&rig, VU_SET_FEATURES)->flags,
			  VU_VERSION | VU_NEED_REPLY);
	ck_assert_int_eq(
		guest_vu_send(&b, VU_SET_FEATURES, 0, &features, 8, NULL, 0),
		0);
	ck_assert_int_eq(guest_vu_ask(&b, VU_GET_FEATURES, NULL, 0, &reply), 0);
	/* What has an answer has one. */
	ck_assert_int_eq(guest_vu_send(&b, VU_GET_FEATURES, VU_NEED_REPLY, NULL,
				       0, NULL, 0),
			 0);
	ck_assert_int_eq(guest_vu_receive(&b, &reply, 20000), 0);
	ck_assert_uint_eq(reply.header.request, VU_GET_FEATURES);
	ck_assert_int_eq(guest_vu_tell_u64(&b, VU_SET_STATUS, 1), 0);
}
END_TEST

START_TEST(memory_of_the_window_passes_as_offsets)
{
	const struct rig_note *n;

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	n = rig_find(&rig, VU_SET_MEM_TABLE);
	ck_assert_uint_eq(n->table.nr, 1);
	ck_assert_uint_eq(n->table.region[0].mmap_offset, 0);
	ck_assert_uint_eq(n->table.region[0].size,
			  window_control_offset(RIG_WINDOW_BYTES));
}
END_TEST

START_TEST(memory_of_another_file_is_refused)
{
	struct guest_memory other;
	unsigned int notes;

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	notes = rig.appliance.nr_notes;
	guest_memory_init(&other);
	ck_assert_int_eq(guest_memory_add(&other, 0, 1 << 20), 0);
	ck_assert_int_eq(guest_vu_tell_memory(&b, &other), -EREMOTEIO);
	/* And so is the control area. */
	rig.mem.region[0].size += 4096;
	ck_assert_int_eq(guest_vu_tell_memory(&b, &rig.mem), -EREMOTEIO);
	rig.mem.region[0].size -= 4096;
	ck_assert_uint_eq(rig.appliance.nr_notes, notes);
	ck_assert_int_eq(guest_vu_tell_memory(&b, &rig.mem), 0);
	guest_memory_fini(&other);
}
END_TEST

START_TEST(whole_guest_driver_sets_its_device_up)
{
	const struct guest_vu_options options = { .step = rig.worker };
	const uint64_t none[2] = { 0, 0 };
	struct guest_device *gd;
	const struct rig_note *n;
	unsigned int q;

	rig_up(&rig);
	ck_assert_int_eq(guest_device_open_vhost_user_with(rig.b[0], &rig.mem,
							   &options, &gd),
			 0);
	ck_assert_int_eq(guest_device_negotiate(gd, none), 0);
	ck_assert_uint_eq(guest_device_nr_queues(gd), 2);
	for (q = 0; q < 2; q++)
		ck_assert_int_eq(guest_device_setup_queue(gd, q, 64), 0);
	ck_assert_int_eq(guest_device_start(gd), 0);

	n = rig_find(&rig, VU_SET_VRING_CALL);
	ck_assert_uint_eq(n->u64, 1);
	/* What the appliance rings is what the guest hears. */
	ck_assert(rig_doorbell(&rig, n->number));
	ck_assert_int_eq(guest_device_wait(gd, 1, 20000), 1);
	/* What the guest kicks is what interrupts the appliance. */
	n = rig_find(&rig, VU_SET_VRING_KICK);
	ck_assert_uint_eq(n->u64, 1);
	guest_device_kick(gd, 1);
	ck_assert_uint_gt(taken(rig.appliance.vector[n->number]), 0);
	ck_assert_int_eq(rig_stat(&rig, 0, "signals.relayed"), 0);
	guest_device_close(gd);
}
END_TEST

START_TEST(configuration_changes_pass_unasked)
{
	const struct vu_header change = { VU_BACKEND_CONFIG_CHANGE, VU_VERSION,
					  0 };
	struct vu_header got;
	int pair[2];

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(
		guest_vu_tell(&b, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1),
		0);
	close(pair[1]);
	ck_assert_int_eq(rig_frame(&rig, 0, rig.appliance.port[0]->served,
				   WINDOW_BACKEND_MESSAGE, &change,
				   sizeof(change)),
			 0);
	rig_settle(&rig);
	ck_assert_int_eq(recv(pair[0], &got, sizeof(got), MSG_DONTWAIT),
			 sizeof(got));
	ck_assert_int_eq(memcmp(&got, &change, sizeof(got)), 0);
	close(pair[0]);
}
END_TEST

START_TEST(ring_error_reaches_the_guests_eventfd)
{
	const struct {
		struct vu_header header;
		struct vu_vring_state state;
	} error = { { VU_BACKEND_VRING_ERR, VU_VERSION, 8 }, { 1, 0 } };
	int fd = event_new_fd();

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_ERR, 1, fd), 0);
	ck_assert_ptr_null(rig_find(&rig, VU_SET_VRING_ERR));
	rig_frame(&rig, 0, rig.appliance.port[0]->served,
		  WINDOW_BACKEND_MESSAGE, &error, sizeof(error));
	rig_settle(&rig);
	ck_assert_uint_eq(taken(fd), 1);
	close(fd);
}
END_TEST

/* --- the in-flight region ------------------------------------------------- */

static int get_inflight(struct vu_inflight *w)
{
	struct guest_vu_reply reply;

	*w = (struct vu_inflight){ .num_queues = 2, .queue_size = 64 };
	ck_assert_int_eq(
		guest_vu_ask(&b, VU_GET_INFLIGHT_FD, w, sizeof(*w), &reply), 0);
	*w = reply.inflight;
	return reply.fd;
}

static void inflight_write(int fd, const struct vu_inflight *w, uint8_t byte)
{
	ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)w->mmap_offset), 1);
}

static uint8_t inflight_read(int fd, const struct vu_inflight *w)
{
	uint8_t byte = 0xff;

	ck_assert_int_eq(pread(fd, &byte, 1, (off_t)w->mmap_offset), 1);
	return byte;
}

START_TEST(inflight_region_outlives_appliance_and_broker)
{
	struct vu_inflight w, again;
	struct stat st, ram;
	int fd, fd2;

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	fd = get_inflight(&w);
	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(w.mmap_offset,
			  window_port_offset(RIG_WINDOW_BYTES, 0) +
				  WINDOW_INFLIGHT_OFFSET);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(stat(rig.window, &ram), 0);
	ck_assert_uint_eq(st.st_ino, ram.st_ino);
	/* The appliance uses it, and is told again when it is given back. */
	rig_settle(&rig);
	ck_assert_uint_eq(
		rig_find(&rig, VU_SET_INFLIGHT_FD)->inflight.mmap_size,
		w.mmap_size);
	inflight_write(fd, &w, 42);
	ck_assert_int_eq(
		guest_vu_tell(&b, VU_SET_INFLIGHT_FD, &w, sizeof(w), &fd, 1),
		0);

	rig_boot(&rig);
	rig_until(&rig, has_hung_up, 0);
	guest_vu_close(&b);
	rig_open_port(&rig, 0);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(
		guest_vu_tell(&b, VU_SET_INFLIGHT_FD, &w, sizeof(w), &fd, 1),
		0);
	ck_assert_uint_eq(
		rig_find(&rig, VU_SET_INFLIGHT_FD)->inflight.mmap_offset,
		w.mmap_offset);
	ck_assert_uint_eq(inflight_read(fd, &w), 42);

	guest_vu_close(&b);
	rig_restart_broker(&rig, "");
	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(
		guest_vu_tell(&b, VU_SET_INFLIGHT_FD, &w, sizeof(w), &fd, 1),
		0);
	ck_assert_uint_eq(inflight_read(fd, &w), 42);

	/* A new driver's is a fresh one, at the same place. */
	fd2 = get_inflight(&again);
	ck_assert_uint_eq(again.mmap_offset, w.mmap_offset);
	ck_assert_uint_eq(inflight_read(fd2, &again), 0);
	close(fd);
	close(fd2);
}
END_TEST

START_TEST(foreign_inflight_region_is_refused)
{
	struct vu_inflight w, other;
	int fd, memfd;

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	fd = get_inflight(&w);
	other = w;
	other.mmap_offset += WINDOW_PORT_BYTES; /* the next port's */
	ck_assert_int_eq(guest_vu_tell(&b, VU_SET_INFLIGHT_FD, &other,
				       sizeof(other), &fd, 1),
			 -EREMOTEIO);
	other.mmap_offset = 0; /* the guest's own memory */
	ck_assert_int_eq(guest_vu_tell(&b, VU_SET_INFLIGHT_FD, &other,
				       sizeof(other), &fd, 1),
			 -EREMOTEIO);
	memfd = open("/dev/zero", O_RDWR);
	ck_assert_int_eq(
		guest_vu_tell(&b, VU_SET_INFLIGHT_FD, &w, sizeof(w), &memfd, 1),
		-EREMOTEIO);
	ck_assert_int_eq(
		guest_vu_tell(&b, VU_SET_INFLIGHT_FD, &w, sizeof(w), &fd, 1),
		0);
	close(memfd);
	close(fd);
}
END_TEST

CHECK_MAIN("broker, relay", setup, teardown,
	   features_that_pass_no_window_are_not_offered,
	   acknowledgements_are_exact, memory_of_the_window_passes_as_offsets,
	   memory_of_another_file_is_refused,
	   whole_guest_driver_sets_its_device_up,
	   configuration_changes_pass_unasked,
	   ring_error_reaches_the_guests_eventfd,
	   inflight_region_outlives_appliance_and_broker,
	   foreign_inflight_region_is_refused)
