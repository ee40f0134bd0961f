/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_broker.c - the host's side of a window: who comes and goes, and when;
 * what passes; whose eventfd is at the other end
 */
#include "tests/broker-guest.h"

#include "core/virtio.h"
#include "guest/device.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool is_session(struct broker_rig *r, unsigned int served)
{
	return (r->broker->port[0].session != 0) == (served != 0);
}

static int event_new_fd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static uint64_t taken(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) < 0 ? 0 : count;
}

/* --- who comes and goes --------------------------------------------------- */

START_TEST(front_end_is_taken_only_while_the_port_is_open)
{
	ck_assert_int_eq(guest_vu_connect(&b, rig.b[0], rig.worker), -ENOENT);
	rig_connect(&rig);
	rig_boot(&rig);
	rig_settle(&rig);
	ck_assert_int_eq(guest_vu_connect(&b, rig.b[0], rig.worker), -ENOENT);
	rig_open_port(&rig, 0);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_uint_eq(rig.appliance.sessions[0], 1);
	ck_assert_int_eq(rig_stat(&rig, 0, "connection.peer"), getpid());

	rig_close_port(&rig, 0);
	rig_until(&rig, has_hung_up, 0);
	guest_vu_close(&b);
	ck_assert_int_eq(guest_vu_connect(&b, rig.b[0], rig.worker), -ENOENT);
	rig_open_port(&rig, 0);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_uint_eq(rig.appliance.sessions[0], 2);
}
END_TEST

START_TEST(front_end_that_leaves_ends_its_session_first)
{
	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	/* The appliance takes its time: the next one is not taken before. */
	rig.appliance.is_idle = true;
	guest_vu_close(&b);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.appliance.port[0]->session, 0);
	ck_assert_int_eq(guest_vu_connect(&b, rig.b[0], rig.worker), 0);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.appliance.sessions[0], 1);
	ck_assert_int_eq(rig_stat(&rig, 0, "sessions"), 1);
	guest_vu_close(&b);

	rig.appliance.is_idle = false;
	rig.appliance.port[0]->served = 0;
	rig_ring(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
}
END_TEST

START_TEST(appliance_that_begins_anew_closes_and_opens)
{
	unsigned int i;

	rig_up(&rig);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
		/* It dies, without a word, and another begins. */
		rig_boot(&rig);
		rig_until(&rig, has_hung_up, 0);
		guest_vu_close(&b);
		rig_open_port(&rig, 0);
	}
	ck_assert_int_eq(rig_stat(&rig, 0, "appliances"), 4);
}
END_TEST

START_TEST(vmm_that_goes_takes_the_appliance_with_it)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		rig_up(&rig);
		ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
		ck_assert_int_eq(rig_stat(&rig, 0, "appliance"), 1);
		rig_disconnect(&rig);
		rig_until(&rig, has_hung_up, 0);
		guest_vu_close(&b);
		ck_assert_int_eq(rig_stat(&rig, 0, "appliance"), 0);
		/* Its successor's VMM is not taken for its program. */
		rig_connect(&rig);
		rig_settle(&rig);
		ck_assert_int_eq(rig_stat(&rig, 0, "appliance"), 0);
		rig_disconnect(&rig);
	}
}
END_TEST

static bool is_silent(struct broker_rig *r, unsigned int n)
{
	return r->broker->is_silent == (n != 0);
}

static bool is_open_again(struct broker_rig *r, unsigned int n)
{
	rig_beat(r);
	return r->broker->port[n].is_open;
}

START_TEST(silent_appliance_counts_as_gone_until_it_beats)
{
	rig_restart_broker(&rig, "timeout_ms = 100; ");
	rig_up(&rig);
	rig_until(&rig, is_silent, 1);
	ck_assert_int_eq(guest_vu_connect(&b, rig.b[0], rig.worker), -ENOENT);
	rig_until(&rig, is_open_again, 0);
	ck_assert_int_eq(guest_vu_connect(&b, rig.b[0], rig.worker), 0);
}
END_TEST

START_TEST(broker_beats)
{
	struct window_header *h;
	uint32_t beat;
	int i;

	rig_restart_broker(&rig, "timeout_ms = 100; ");
	rig_connect(&rig);
	h = (void *)(rig.appliance.host +
		     window_control_offset(RIG_WINDOW_BYTES));
	ck_assert_uint_eq(h->magic, WINDOW_MAGIC);
	ck_assert_uint_eq(h->nr_ports, RIG_PORTS);
	ck_assert_uint_ne(h->epoch, 0);
	beat = pvio_load_once(&h->beat);
	for (i = 0; i < 1000 && pvio_load_once(&h->beat) < beat + 3; i++)
		pvio_worker_wait(rig.worker, 10);
	ck_assert_uint_ge(pvio_load_once(&h->beat), beat + 3);
}
END_TEST

START_TEST(session_the_appliance_gives_up_closes_the_connection)
{
	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	rig.appliance.is_idle = true;
	rig.appliance.port[0]->served = 0;
	rig_ring(&rig);
	rig_until(&rig, has_hung_up, 0);
	guest_vu_close(&b);
	rig.appliance.is_idle = false;
	rig_settle(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(rig_stat(&rig, 0, "distrusts"), 0);
}
END_TEST

/* At every message of a handshake, one of the two goes. */
START_TEST(either_may_go_at_every_step)
{
	const uint32_t asks[] = { VU_GET_FEATURES, VU_GET_PROTOCOL_FEATURES,
				  VU_GET_QUEUE_NUM };
	struct broker_port *port = &rig.broker->port[0];
	unsigned int i, who;

	rig_up(&rig);
	for (i = 0; i < pvio_array_size(asks); i++) {
		for (who = 0; who < 3; who++) {
			rig_settle(&rig);
			ck_assert_int_eq(
				guest_vu_connect(&b, rig.b[0], rig.worker), 0);
			rig.appliance.is_mute = true;
			ck_assert_int_eq(
				guest_vu_send(&b, asks[i], 0, NULL, 0, NULL, 0),
				0);
			rig_settle(&rig);
			ck_assert_ptr_nonnull(rig_find(&rig, asks[i]));
			if (who == 0) {
				guest_vu_close(&b);
				rig_boot(&rig);
			} else if (who == 1) {
				rig_boot(&rig);
			} else {
				rig_disconnect(&rig);
				rig_connect(&rig);
				rig_boot(&rig);
			}
			rig_until(&rig, is_session, 0);
			rig.appliance.is_mute = false;
			rig_open_port(&rig, 0);
			rig_open_port(&rig, 1);
			guest_vu_close(&b);
		}
	}
	rig_settle(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_uint_ne(port->session, 0);
}
END_TEST

START_TEST(appliance_that_does_not_answer_costs_the_connection)
{
	struct guest_vu_reply reply;

	rig_restart_broker(&rig, "timeout_ms = 200; ");
	rig_up(&rig);
	ck_assert_int_eq(guest_vu_connect(&b, rig.b[0], rig.worker), 0);
	rig.appliance.is_mute = true;
	ck_assert_int_eq(
		guest_vu_send(&b, VU_GET_FEATURES, 0, NULL, 0, NULL, 0), 0);
	ck_assert_int_eq(guest_vu_receive(&b, &reply, 20000), -EPIPE);
}
END_TEST

START_TEST(ports_have_nothing_of_each_other)
{
	struct guest_vu other = { .fd = -1 };

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(rig_dial(&rig, 1, &other), 0);
	rig_close_port(&rig, 1);
	rig_settle(&rig);
	ck_assert(rig_is_hung_up(&other));
	ck_assert(!rig_is_hung_up(&b));
	ck_assert_int_eq(guest_vu_tell_u64(&b, VU_SET_STATUS, 3), 0);
	guest_vu_close(&other);
}
END_TEST

START_TEST(broker_ends_with_everybody_there)
{
	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	rig_restart_broker(&rig, "");
	ck_assert(rig_is_hung_up(&b));
}
END_TEST

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

/* --- signals -------------------------------------------------------------- */

START_TEST(kick_is_lent)
{
	int fd = event_new_fd(), next = event_new_fd();
	uint32_t number;

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_KICK, 1, fd), 0);
	number = rig_find(&rig, VU_SET_VRING_KICK)->number;
	ck_assert_uint_gt(number, 0);
	ck_assert(pvio_eventfd_is_same(rig.appliance.vector[number], fd));
	/* The same again is the same; another is another. */
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_KICK, 1, fd), 0);
	ck_assert_uint_eq(rig_find(&rig, VU_SET_VRING_KICK)->number, number);
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_KICK, 1, next), 0);
	number = rig_find(&rig, VU_SET_VRING_KICK)->number;
	ck_assert(pvio_eventfd_is_same(rig.appliance.vector[number], next));
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_KICK, 0, -1), 0);
	ck_assert_uint_eq(rig_find(&rig, VU_SET_VRING_KICK)->number, 0);
	close(fd);
	close(next);
}
END_TEST

START_TEST(kick_is_relayed_when_vectors_are_used_up)
{
	unsigned int i, ring;
	uint32_t number = 0;
	int fd = -1;

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	for (i = 0; i < 2 * RIG_VECTORS; i++) {
		if (fd >= 0)
			close(fd);
		fd = event_new_fd();
		ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_KICK, 0, fd),
				 0);
		number = rig_find(&rig, VU_SET_VRING_KICK)->number;
		ck_assert_uint_lt(number, RIG_VECTORS);
	}
	rig_settle(&rig);
	ck_assert(!pvio_eventfd_is_same(rig.appliance.vector[number], fd));
	taken(rig.appliance.vector[number]);
	ck_assert_int_eq(pvio_eventfd_signal(fd), 0);
	rig_settle(&rig);
	ck_assert_uint_gt(taken(rig.appliance.vector[number]), 0);
	ck_assert_int_gt(rig_stat(&rig, 0, "signals.relayed"), 0);
	close(fd);
	/* The port's other ring, and the other port, still get their first. */
	for (ring = 0; ring < 3; ring++) {
		if (ring == 1) {
			guest_vu_close(&b);
			rig_until(&rig, is_session, 0);
			ck_assert_int_eq(rig_dial(&rig, 1, &b), 0);
		}
		fd = event_new_fd();
		ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_KICK,
						  ring ? ring - 1 : 1, fd),
				 0);
		number = rig_find(&rig, VU_SET_VRING_KICK)->number;
		ck_assert(
			pvio_eventfd_is_same(rig.appliance.vector[number], fd));
		close(fd);
	}
	/* The server never had more of it than it can take. */
	ck_assert_uint_eq(rig.appliance.nr_vectors, RIG_VECTORS);
}
END_TEST

START_TEST(call_swap_loses_no_notification)
{
	int fd[2] = { event_new_fd(), event_new_fd() };
	uint32_t number, before;
	unsigned int i;

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_CALL, 0, fd[0]), 0);
	number = rig_find(&rig, VU_SET_VRING_CALL)->number;
	ck_assert(
		pvio_eventfd_is_same(rig.appliance.peer[number >> 16], fd[0]));
	ck_assert_uint_eq(taken(fd[0]), 0);
	for (i = 1; i < 20; i++) {
		int now = fd[i & 1];

		before = number;
		ck_assert_int_eq(
			guest_vu_tell_fd(&b, VU_SET_VRING_CALL, 0, now), 0);
		number = rig_find(&rig, VU_SET_VRING_CALL)->number;
		ck_assert(pvio_eventfd_is_same(rig.appliance.peer[number >> 16],
					       now));
		ck_assert(rig_doorbell(&rig, number));
		ck_assert_uint_gt(taken(now), 0);
		rig_settle(&rig);
		taken(fd[!(i & 1)]);
		/* A worker that has not heard of it yet rings the one before. */
		taken(now);
		ck_assert(rig_doorbell(&rig, before));
		rig_settle(&rig);
		ck_assert_uint_gt(taken(now), 0);
		taken(fd[!(i & 1)]);
	}
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_CALL, 0, -1), 0);
	rig_settle(&rig);
	ck_assert_int_lt(rig.appliance.peer[number >> 16], 0);
	ck_assert_int_lt(rig.appliance.peer[before >> 16], 0);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(masking_to_and_fro_uses_up_nothing)
{
	int fd[2] = { event_new_fd(), event_new_fd() };
	uint32_t number[2] = { 0, 0 };
	unsigned int i;

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	for (i = 0; i < 10; i++) {
		ck_assert_int_eq(
			guest_vu_tell_fd(&b, VU_SET_VRING_CALL, 0, fd[i & 1]),
			0);
		if (i >= 2)
			ck_assert_uint_eq(
				rig_find(&rig, VU_SET_VRING_CALL)->number,
				number[i & 1]);
		number[i & 1] = rig_find(&rig, VU_SET_VRING_CALL)->number;
		rig_settle(&rig);
		taken(fd[0]);
		taken(fd[1]);
		/* Either number rings the one in force, once. */
		ck_assert(rig_doorbell(&rig, number[i & 1]));
		rig_settle(&rig);
		ck_assert_uint_eq(taken(fd[i & 1]), 1);
	}
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(call_is_relayed_after_very_many_swaps)
{
	int fd[2] = { event_new_fd(), event_new_fd() };
	uint32_t number = 0, last = 0;
	unsigned int i;

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	for (i = 0; i < 1100; i++) {
		close(fd[i & 1]);
		fd[i & 1] = event_new_fd();
		ck_assert_int_eq(
			guest_vu_tell_fd(&b, VU_SET_VRING_CALL, 0, fd[i & 1]),
			0);
		last = number;
		number = rig_find(&rig, VU_SET_VRING_CALL)->number;
	}
	ck_assert_uint_eq(number, last);
	rig_settle(&rig);
	taken(fd[0]);
	taken(fd[1]);
	ck_assert(rig_doorbell(&rig, number));
	rig_settle(&rig);
	ck_assert_uint_eq(taken(fd[1]), 1);
	ck_assert_uint_eq(taken(fd[0]), 0);
	ck_assert_int_gt(rig_stat(&rig, 0, "signals.forwarded"), 0);
	/* It stays so: for the next session, too. */
	guest_vu_close(&b);
	rig_settle(&rig);
	rig_doorbell(&rig, number);
	rig_settle(&rig);
	ck_assert_uint_eq(taken(fd[1]), 0);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_CALL, 0, fd[0]), 0);
	ck_assert_uint_eq(rig_find(&rig, VU_SET_VRING_CALL)->number, number);
	ck_assert(rig_doorbell(&rig, number));
	rig_settle(&rig);
	ck_assert_uint_eq(taken(fd[0]), 1);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(nothing_of_a_session_is_rung_after_it)
{
	int kick = event_new_fd(), call = event_new_fd();
	uint32_t number;

	rig_up(&rig);
	ck_assert_int_eq(rig_dial(&rig, 0, &b), 0);
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_CALL, 0, call), 0);
	ck_assert_int_eq(guest_vu_tell_fd(&b, VU_SET_VRING_KICK, 0, kick), 0);
	number = rig_find(&rig, VU_SET_VRING_CALL)->number;
	guest_vu_close(&b);
	rig_settle(&rig);
	ck_assert(!rig_doorbell(&rig, number));
	close(kick);
	close(call);
}
END_TEST

START_TEST(broker_serves_on_a_thread_of_its_own)
{
	uint64_t message[3] = { 1, 1, 1 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	broker_destroy(rig.broker);
	pvio_config_close(rig.file);
	ck_assert_int_eq(pvio_worker_start(rig.worker), 0);
	ck_assert_int_eq(rig_create(&rig, ""), 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strncpy(addr.sun_path, rig.a, sizeof(addr.sun_path) - 1);
	ck_assert_int_eq(connect(fd, (void *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(recv(fd, message, sizeof(message), MSG_WAITALL),
			 sizeof(message));
	ck_assert_uint_eq(le64toh(message[2]), UINT64_MAX);
	ck_assert_int_eq(rig_stat(&rig, 0, "signals.clients"), 1);
	broker_destroy(rig.broker);
	while (recv(fd, message, sizeof(message), 0) > 0)
		;
	ck_assert_int_eq(recv(fd, message, sizeof(message), 0), 0);
	close(fd);
	pvio_worker_stop(rig.worker);
	pvio_config_close(rig.file);
	ck_assert_int_eq(rig_create(&rig, ""), 0);
}
END_TEST

/* --- the file and the configuration --------------------------------------- */

START_TEST(window_file_grows_but_is_never_cut)
{
	struct broker_memory mem = { .fd = -1 };
	struct stat st;
	char path[80];

	snprintf(path, sizeof(path), "%s/other", rig.dir);
	ck_assert_int_eq(broker_memory_open(&mem, path, 0), -EINVAL);
	ck_assert_int_eq(broker_memory_open(&mem, path, 5 << 20), -EINVAL);
	ck_assert_int_eq(broker_memory_open(&mem, path, 4 << 20), 0);
	broker_memory_close(&mem);
	ck_assert_int_eq(broker_memory_open(&mem, path, 8 << 20), 0);
	broker_memory_close(&mem);
	ck_assert_int_eq(broker_memory_open(&mem, path, 4 << 20), -EINVAL);
	ck_assert_int_eq(broker_memory_open(&mem, path, 0), 0);
	ck_assert_uint_eq(mem.bytes, 8 << 20);
	broker_memory_close(&mem);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 8 << 20);
	ck_assert_int_eq(broker_memory_open(&mem, "/dev/zero", 4 << 20),
			 -EINVAL);
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(wrong_configurations_are_refused)
{
	static const char *const wrong[] = {
		"",
		"socket = \"/tmp/x\";",
		"socket = \"/tmp/x\"; window = \"ram\"; ports = "
		"({ name = \"a\"; socket = \"/tmp/y\"; });",
		"socket = \"/tmp/x\"; window = \"ram\"; file = \"/tmp/z\"; "
		"size = \"5M\"; ports = ({ name = \"a\"; socket = \"/tmp/y\"; });",
		"socket = \"/tmp/x\"; window = \"ram\"; file = \"/tmp/z\"; "
		"ports = ({ name = \"a\"; socket = \"/tmp/y\"; }, "
		"{ name = \"a\"; socket = \"/tmp/w\"; });",
		"socket = \"/tmp/x\"; window = \"ram\"; file = \"/tmp/z\"; "
		"nonsense = 1; ports = ({ name = \"a\"; socket = \"/tmp/y\"; });",
		"socket = \"/tmp/x\"; window = \"ram\"; file = \"/tmp/z\"; "
		"vectors = 1; ports = ({ name = \"a\"; socket = \"/tmp/y\"; });",
	};
	struct pvio_config_file *file;
	struct broker *broker;
	unsigned int i;

	for (i = 0; i < pvio_array_size(wrong); i++) {
		ck_assert_int_eq(pvio_config_parse("t", wrong[i], &file), 0);
		ck_assert_int_eq(broker_create("x", pvio_config_root(file),
					       rig.worker, &rig.worker, 1,
					       &broker),
				 -EINVAL);
		pvio_config_close(file);
	}
}
END_TEST

CHECK_MAIN("broker", setup, teardown,
	   front_end_is_taken_only_while_the_port_is_open,
	   front_end_that_leaves_ends_its_session_first,
	   appliance_that_begins_anew_closes_and_opens,
	   vmm_that_goes_takes_the_appliance_with_it,
	   silent_appliance_counts_as_gone_until_it_beats, broker_beats,
	   session_the_appliance_gives_up_closes_the_connection,
	   either_may_go_at_every_step,
	   appliance_that_does_not_answer_costs_the_connection,
	   ports_have_nothing_of_each_other, broker_ends_with_everybody_there,
	   features_that_pass_no_window_are_not_offered,
	   acknowledgements_are_exact, memory_of_the_window_passes_as_offsets,
	   memory_of_another_file_is_refused,
	   whole_guest_driver_sets_its_device_up,
	   configuration_changes_pass_unasked,
	   ring_error_reaches_the_guests_eventfd,
	   inflight_region_outlives_appliance_and_broker,
	   foreign_inflight_region_is_refused, kick_is_lent,
	   kick_is_relayed_when_vectors_are_used_up,
	   call_swap_loses_no_notification, masking_to_and_fro_uses_up_nothing,
	   call_is_relayed_after_very_many_swaps,
	   nothing_of_a_session_is_rung_after_it,
	   broker_serves_on_a_thread_of_its_own,
	   window_file_grows_but_is_never_cut, wrong_configurations_are_refused)
