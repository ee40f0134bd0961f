/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_broker.c - the host's side of a window: who comes and goes, and when
 */
#include "tests/broker-guest.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

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

static bool is_dirty;

static bool says_dirty(const struct broker_port *port)
{
	(void)port;
	return is_dirty;
}

/* X10: also one that comes as the one before goes. */
START_TEST(next_vmm_waits_for_a_clean_window)
{
	struct broker_port *port = &rig.broker->port[1];
	static struct broker_port_ops ops;
	uint64_t end, word;
	int first, second;

	ops = *port->ops;
	ops.is_dirty = says_dirty;
	port->ops = &ops;
	is_dirty = false;
	first = rig_dial_server(&rig);
	rig_settle(&rig);
	ck_assert_int_eq(recv(first, &word, sizeof(word), 0), sizeof(word));
	is_dirty = true;
	close(first);
	second = rig_dial_server(&rig);
	end = pvio_now_ns() + 300000000;
	while (pvio_now_ns() < end) {
		pvio_worker_wait(rig.worker, 10);
		ck_assert_int_eq(recv(second, &word, sizeof(word), 0), -1);
	}
	ck_assert_int_eq(errno, EAGAIN);
	is_dirty = false;
	while (recv(second, &word, sizeof(word), 0) < 0)
		pvio_worker_wait(rig.worker, 10);
	close(second);
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
	   next_vmm_waits_for_a_clean_window,
	   silent_appliance_counts_as_gone_until_it_beats, broker_beats,
	   session_the_appliance_gives_up_closes_the_connection,
	   either_may_go_at_every_step,
	   appliance_that_does_not_answer_costs_the_connection,
	   ports_have_nothing_of_each_other, broker_ends_with_everybody_there,
	   window_file_grows_but_is_never_cut, wrong_configurations_are_refused)
