/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_bounce.c - a port of a bounce window: B is served by the appliance, and
 * notices nothing of what is in between
 */
#include "guest/device-ops.h"
#include "tests/bounce-guest.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* --- data ------------------------------------------------------------------ */

START_TEST(disk_keeps_what_is_written)
{
	struct disk_request req;
	unsigned int i;

	disk_up(rings[_i % NR_RINGS], _i >= NR_RINGS, SHARE_BYTES);
	disk_make(&rig, &req);
	for (i = 0; i < 60; i++) {
		uint32_t bytes = 512 * (1 + (uint32_t)rand() % 40);
		uint64_t sector = (uint64_t)rand() % 1000;

		fill(req.data, bytes, i);
		ck_assert_uint_eq(disk_do(&rig, i % 2, &req, VIRTIO_BLK_T_OUT,
					  sector, bytes, 1 + i % 7),
				  VIRTIO_BLK_S_OK);
		memset(req.data, 0, bytes);
		ck_assert_uint_eq(disk_do(&rig, i % 2, &req, VIRTIO_BLK_T_IN,
					  sector, bytes, 1 + i % 5),
				  VIRTIO_BLK_S_OK);
		ck_assert_uint_eq(req.len, bytes + 1);
		ck_assert(is_filled(req.data, bytes, i));
	}
	bounce_rig_fini(&rig);
}
END_TEST

/* Each in flight has sectors of its own; how they are cut is never the same. */
START_TEST(many_at_once_are_not_mixed_up)
{
	static struct disk_request req[16];
	unsigned int i, round, done;

	disk_up(rings[_i % NR_RINGS], _i >= NR_RINGS, SHARE_BYTES);
	for (i = 0; i < 16; i++)
		disk_make(&rig, &req[i]);
	for (round = 0; round < 20; round++) {
		bool is_out = round % 2 == 0;

		for (i = done = 0; i < 16; i++) {
			uint32_t bytes = 512 * (1 + i * 5);

			if (is_out)
				fill(req[i].data, bytes, round + i);
			else
				memset(req[i].data, 0, bytes);
			while (disk_submit(&rig, 0, &req[i],
					   is_out ? VIRTIO_BLK_T_OUT
						  : VIRTIO_BLK_T_IN,
					   i * 128, bytes,
					   1 + (unsigned)rand() % 6) ==
			       -ENOSPC) {
				done += disk_reap(&rig, 0);
				bounce_rig_turn(&rig);
			}
		}
		bounce_rig_until(&rig, (done += disk_reap(&rig, 0)) == 16);
		for (i = 0; i < 16; i++) {
			ck_assert_uint_eq(*req[i].status, VIRTIO_BLK_S_OK);
			ck_assert(is_filled(req[i].data, 512 * (1 + i * 5),
					    round / 2 * 2 + i));
		}
	}
	bounce_rig_fini(&rig);
}
END_TEST

/* One request nearly fills the arena: the others wait, and are all served. */
START_TEST(chains_wait_for_room)
{
	static struct disk_request req[12];
	unsigned int i, round, done;

	/* Two queues of rings and 64 pages. */
	disk_up(rings[_i], false,
		2 * (shadow_bytes(64) + 64 * ARENA_PAGE_BYTES));
	for (i = 0; i < 12; i++)
		disk_make(&rig, &req[i]);
	for (round = 0; round < 4; round++) {
		for (i = done = 0; i < 12; i++) {
			uint32_t bytes = i % 3 ? 32768 : 4096;

			fill(req[i].data, bytes, i);
			while (disk_submit(&rig, 1, &req[i],
					   round % 2 ? VIRTIO_BLK_T_IN
						     : VIRTIO_BLK_T_OUT,
					   i * 128, bytes, 1) == -ENOSPC) {
				done += disk_reap(&rig, 1);
				bounce_rig_turn(&rig);
			}
		}
		bounce_rig_until(&rig, (done += disk_reap(&rig, 1)) == 12);
		for (i = 0; i < 12; i++) {
			ck_assert_uint_eq(*req[i].status, VIRTIO_BLK_S_OK);
			ck_assert(is_filled(req[i].data, i % 3 ? 32768 : 4096,
					    i));
		}
	}
	bounce_rig_fini(&rig);
}
END_TEST

/* A request of more than there can ever be is failed, and service goes on. */
START_TEST(chain_that_never_fits_is_failed)
{
	struct guest_segment seg[3];
	struct disk_request req;
	uint64_t gpa;

	disk_up(rings[_i], false,
		2 * (shadow_bytes(64) + 64 * ARENA_PAGE_BYTES));
	disk_make(&rig, &req);
	req.header->type = htole32(VIRTIO_BLK_T_IN);
	*req.status = DISK_QUEUED;
	ck_assert_ptr_nonnull(guest_alloc(&rig.mem, 512 << 10, 4096, &gpa));
	seg[0] = (struct guest_segment){ req.header_gpa, 16 };
	seg[1] = (struct guest_segment){ gpa, 512 << 10 };
	seg[2] = (struct guest_segment){ req.status_gpa, 1 };
	ck_assert_int_eq(guest_device_transfer(rig.gd, 0, seg, 1, 2), 0);
	ck_assert_uint_eq(*req.status, VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(disk_do(&rig, 0, &req, VIRTIO_BLK_T_IN, 0, 4096, 1),
			  VIRTIO_BLK_S_OK);
	bounce_rig_fini(&rig);
}
END_TEST

/* --- frames ---------------------------------------------------------------- */

/* What is sent comes back, and not a byte behind it is touched. */
START_TEST(frames_pass_both_ways)
{
	unsigned int i, round, back, sent;

	net_up(rings[_i % NR_RINGS], _i >= NR_RINGS);
	for (round = 0; round < 8; round++) {
		for (i = 0; i < FRAMES; i++) {
			memset(rx[i].bytes, 0xee, 2048);
			net_add(0, i, 2048);
		}
		for (i = 0; i < FRAMES; i++) {
			memset(tx[i].bytes, 0, 12);
			fill(tx[i].bytes + 12, 1500, i);
			net_add(1, i, 12 + 64 + i * 50);
		}
		back = sent = 0;
		bounce_rig_until(&rig,
				 (back += net_reap(0, rx, sizeof(rx[0]))) ==
					 FRAMES);
		bounce_rig_until(&rig,
				 (sent += net_reap(1, tx, sizeof(tx[0]))) ==
					 FRAMES);
		for (i = 0; i < FRAMES; i++) {
			ck_assert_uint_eq(rx[i].len, 12 + 64 + i * 50);
			ck_assert(is_filled(rx[i].bytes + 12, 64 + i * 50, i));
			ck_assert_uint_eq(rx[i].bytes[12 + 64 + i * 50], 0xee);
		}
	}
	bounce_rig_fini(&rig);
}
END_TEST

/* What the appliance has not used is in B's ring again, and used later. */
START_TEST(buffers_to_receive_are_given_back)
{
	struct vu_vring_state state = { .index = 0 };
	struct guest_vu_reply reply;
	unsigned int i, back = 0;
	struct guest_vu *vu;

	net_up(rings[_i], false);
	vu = guest_device_vu(rig.gd);
	for (i = 0; i < 10; i++)
		net_add(0, i, 2048);
	for (i = 0; i < 3; i++)
		net_add(1, i, 100);
	bounce_rig_until(&rig, (back += net_reap(0, rx, sizeof(rx[0]))) == 3);
	ck_assert_int_eq(guest_vu_ask(vu, VU_GET_VRING_BASE, &state,
				      sizeof(state), &reply),
			 0);
	ck_assert_uint_eq(reply.state.num & 0x7fff, _i == 2 ? 6 : 3);
	ck_assert_int_eq(
		guest_vu_tell_state(vu, VU_SET_VRING_BASE, 0, reply.state.num),
		0);
	ck_assert_int_eq(guest_vu_tell_fd(vu, VU_SET_VRING_KICK, 0,
					  rig.gd->queue[0].kick_fd),
			 0);
	bounce_rig_until(&rig, bounce_rig_is_live(&rig, 0));
	bounce_rig_pass(&rig, 5);
	for (i = 3; i < 10; i++)
		net_add(1, i, 100);
	bounce_rig_until(&rig, (back += net_reap(0, rx, sizeof(rx[0]))) == 10);
	bounce_rig_fini(&rig);
}
END_TEST

/* It is no fault of the appliance's that nobody sends. */
START_TEST(buffers_to_receive_may_wait)
{
	unsigned int i;

	bounce_rig_init(&rig, "net", false, SHARE_BYTES);
	rig.broker.request_timeout_ms = 10;
	net_serve(0);
	for (i = 0; i < 4; i++)
		net_add(0, i, 2048);
	bounce_rig_pass(&rig, 100);
	ck_assert_uint_eq(rig.distrusted, 0);
	net_add(1, 0, 100);
	bounce_rig_until(&rig, net_reap(0, rx, sizeof(rx[0])) == 1);
	bounce_rig_fini(&rig);
}
END_TEST

/* A ring that is not enabled loses what it is to send, there as here. */
START_TEST(enabling_is_mirrored)
{
	unsigned int i, back = 0, sent = 0;
	struct guest_vu *vu;

	net_up(rings[_i], false);
	vu = guest_device_vu(rig.gd);
	for (i = 0; i < 10; i++)
		net_add(0, i, 2048);
	ck_assert_int_eq(guest_vu_tell_state(vu, VU_SET_VRING_ENABLE, 1, 0), 0);
	for (i = 0; i < 3; i++)
		net_add(1, i, 100);
	bounce_rig_until(&rig, (sent += net_reap(1, tx, sizeof(tx[0]))) == 3);
	ck_assert_int_eq(guest_vu_tell_state(vu, VU_SET_VRING_ENABLE, 1, 1), 0);
	for (i = 3; i < 8; i++)
		net_add(1, i, 100);
	bounce_rig_until(&rig, (back += net_reap(0, rx, sizeof(rx[0]))) == 5);
	bounce_rig_pass(&rig, 5);
	ck_assert_uint_eq(net_reap(0, rx, sizeof(rx[0])), 0);
	bounce_rig_fini(&rig);
}
END_TEST

START_TEST(words_to_a_network_card_pass)
{
	const uint8_t rarp[8] = { 0x52, 0x54, 0, 1, 2, 3 };
	struct guest_vu *vu;
	uint64_t protocol;

	net_up(rings[0], false);
	vu = guest_device_vu(rig.gd);
	ck_assert_int_eq(
		guest_vu_ask_u64(vu, VU_GET_PROTOCOL_FEATURES, &protocol), 0);
	protocol &= ~PVIO_BIT(VU_PROTOCOL_INBAND_NOTIFICATIONS);
	ck_assert_int_eq(
		guest_vu_tell_u64(vu, VU_SET_PROTOCOL_FEATURES, protocol), 0);
	ck_assert_int_eq(guest_vu_tell_u64(vu, VU_NET_SET_MTU, 1400), 0);
	ck_assert_int_eq(
		guest_vu_tell(vu, VU_SEND_RARP, rarp, sizeof(rarp), NULL, 0),
		0);
	bounce_rig_until(&rig, rig.told[VU_NET_SET_MTU] == 1 &&
				       rig.told[VU_SEND_RARP] == 1);
	bounce_rig_fini(&rig);
}
END_TEST

/* --- what is offered ------------------------------------------------------- */

/* The driver finds the appliance's features and configuration, and it hers. */
START_TEST(offers_are_mirrored)
{
	const uint64_t ours = PVIO_BIT(VIRTIO_F_RING_PACKED) |
			      PVIO_BIT(VIRTIO_F_IN_ORDER);
	struct virtio_blk_config config, theirs;
	struct pvio_features offered;
	uint64_t bits[2];

	disk_up(rings[3], false, SHARE_BYTES);
	guest_device_features(rig.gd, bits);
	pvio_device_offered(rig.dev, &offered);
	ck_assert_uint_eq(bounce_device_bits(bits[0]),
			  bounce_device_bits(offered.word[0]));
	ck_assert_uint_eq(guest_device_nr_queues(rig.gd), 2);
	ck_assert_int_eq(guest_device_read_config(rig.gd, 0, &config, 60), 0);
	pvio_device_read_config(rig.dev, 0, &theirs, 60);
	ck_assert_int_eq(memcmp(&config, &theirs, 60), 0);
	/* Bits of rings are between us and each of them. */
	ck_assert_uint_eq(bounce_device_bits(rig.features), DISK_FEATURES);
	ck_assert_uint_eq(rig.features & ours, 0);
	bounce_rig_fini(&rig);
}
END_TEST

/* The appliance's answer, which is under way for as long as we like. */
static struct vu_config asked;

static bool answer_config_later(struct bounce_rig *r,
				const struct vu_header *header,
				const uint8_t *payload)
{
	if (header->request != VU_GET_CONFIG || asked.size != 0)
		return false;
	memcpy(&asked, payload, header->size);
	pvio_device_read_config(r->dev, 0, asked.data, asked.size);
	return true;
}

START_TEST(write_while_configuration_is_asked_for_is_not_lost)
{
	const size_t at = offsetof(struct virtio_blk_config, wce);
	uint64_t capacity = 0;
	char answer[64];
	uint8_t wce = 0;

	bounce_rig_init(&rig, "block", false, SHARE_BYTES);
	bounce_rig_appear(&rig, DISK);
	bounce_rig_connect(&rig);
	bounce_rig_bring_up(
		&rig, DISK_FEATURES | PVIO_BIT(VIRTIO_BLK_F_CONFIG_WCE), 1, 32);
	bounce_rig_until(&rig, bounce_rig_is_live(&rig, 0));
	memset(&asked, 0, sizeof(asked));
	rig.intercept = answer_config_later;
	ck_assert_int_eq(pvio_device_command(rig.dev, "resize", "2M", answer,
					     sizeof(answer)),
			 0);
	bounce_rig_until(&rig, asked.size != 0);
	ck_assert_uint_eq(asked.data[at], 1);
	/* The driver writes what the answer has otherwise. */
	ck_assert_int_eq(guest_device_write_config(rig.gd, at, &wce, 1), 0);
	bounce_rig_answer(&rig, WINDOW_MESSAGE, VU_GET_CONFIG, VU_REPLY, &asked,
			  VU_CONFIG_HEADER_BYTES + asked.size);
	do {
		bounce_rig_turn(&rig);
		pvio_device_read_config(rig.dev, at, &wce, 1);
	} while (wce != 0);
	do {
		guest_device_read_config(rig.gd, 0, &capacity, 8);
	} while (le64toh(capacity) != 4096);
	ck_assert_int_eq(guest_device_read_config(rig.gd, at, &wce, 1), 0);
	ck_assert_uint_eq(wce, 0);
	bounce_rig_fini(&rig);
}
END_TEST

START_TEST(configuration_passes_both_ways)
{
	const size_t at = offsetof(struct virtio_blk_config, wce);
	char answer[64];
	uint64_t capacity = 0;
	uint8_t wce = 1;

	bounce_rig_init(&rig, "block", false, SHARE_BYTES);
	bounce_rig_appear(&rig, DISK);
	bounce_rig_connect(&rig);
	bounce_rig_bring_up(
		&rig, DISK_FEATURES | PVIO_BIT(VIRTIO_BLK_F_CONFIG_WCE), 1, 32);
	wce = 0;
	ck_assert_int_eq(guest_device_write_config(rig.gd, at, &wce, 1), 0);
	do {
		bounce_rig_turn(&rig);
		pvio_device_read_config(rig.dev, at, &wce, 1);
	} while (wce != 0);
	/* Read-only: the copy here is put right again. */
	ck_assert_int_eq(guest_device_write_config(rig.gd, 0, &capacity, 8), 0);
	do {
		guest_device_read_config(rig.gd, 0, &capacity, 8);
	} while (le64toh(capacity) != 8192);
	/* And from there. */
	ck_assert_int_eq(pvio_device_command(rig.dev, "resize", "2M", answer,
					     sizeof(answer)),
			 0);
	do {
		guest_device_read_config(rig.gd, 0, &capacity, 8);
	} while (le64toh(capacity) != 4096);
	bounce_rig_until(&rig, guest_device_config_changes(rig.gd) > 0);
	/* What was written holds for the next appliance, too. */
	bounce_rig_vanish(&rig);
	bounce_rig_appear(&rig, DISK);
	do {
		bounce_rig_turn(&rig);
		pvio_device_read_config(rig.dev, at, &wce, 1);
	} while (wce != 0);
	bounce_rig_fini(&rig);
}
END_TEST

START_TEST(other_kind_of_device_is_refused)
{
	bounce_rig_init(&rig, "block", false, SHARE_BYTES);
	bounce_rig_appear(&rig, NET);
	bounce_rig_pass(&rig, 20);
	ck_assert_int_eq(bounce_rig_port(&rig)->phase, BOUNCE_UNFIT);
	ck_assert_int_ne(access(rig.path, F_OK), 0);
	bounce_rig_vanish(&rig);
	bounce_rig_appear(&rig, DISK);
	bounce_rig_connect(&rig);
	bounce_rig_bring_up(&rig, DISK_FEATURES, 1, 32);
	bounce_rig_fini(&rig);
}
END_TEST

/* Somebody listens where B's VMM is to connect, for a while. */
START_TEST(device_whose_socket_is_taken_is_made_later)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct disk_request req;

	bounce_rig_init(&rig, "block", false, SHARE_BYTES);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", rig.path);
	ck_assert_int_eq(bind(fd, (void *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	bounce_rig_appear(&rig, DISK);
	bounce_rig_until(&rig, bounce_rig_port(&rig)->phase == BOUNCE_KNOWN);
	bounce_rig_pass(&rig, 20);
	ck_assert_ptr_null(bounce_rig_port(&rig)->dev);
	close(fd);
	bounce_rig_connect(&rig);
	bounce_rig_bring_up(&rig, DISK_FEATURES, 1, 32);
	disk_make(&rig, &req);
	ck_assert_uint_eq(disk_do(&rig, 0, &req, VIRTIO_BLK_T_IN, 0, 512, 1),
			  VIRTIO_BLK_S_OK);
	bounce_rig_fini(&rig);
}
END_TEST

START_TEST(window_that_is_too_small_is_refused)
{
	bounce_rig_init(&rig, "block", false, 64 << 10);
	bounce_rig_appear(&rig, DISK);
	bounce_rig_until(&rig, bounce_rig_port(&rig)->phase == BOUNCE_UNFIT);
	ck_assert_ptr_null(bounce_rig_port(&rig)->dev);
	bounce_rig_fini(&rig);
}
END_TEST

/* --- memory ---------------------------------------------------------------- */

/* B's memory is described anew while requests are in flight. */
START_TEST(memory_changes_under_running_rings)
{
	static struct disk_request req[8];
	unsigned int i, round, done;

	disk_up(rings[_i % NR_RINGS], _i >= NR_RINGS, SHARE_BYTES);
	for (i = 0; i < 8; i++)
		disk_make(&rig, &req[i]);
	for (round = 0; round < 10; round++) {
		if (round % 2)
			bounce_rig_freeze(&rig);
		for (i = done = 0; i < 8; i++) {
			req[i].answers = 0;
			disk_submit(&rig, i % 2, &req[i], VIRTIO_BLK_T_IN, i,
				    4096, 2);
		}
		bounce_rig_pass(&rig, round % 3);
		ck_assert_int_eq(
			guest_vu_tell_memory(guest_device_vu(rig.gd), &rig.mem),
			0);
		if (round % 2)
			bounce_rig_thaw(&rig);
		bounce_rig_until(&rig, (done += disk_reap(&rig, 0) +
						disk_reap(&rig, 1)) == 8);
		for (i = 0; i < 8; i++) {
			ck_assert_uint_eq(req[i].answers, 1);
			ck_assert_uint_eq(*req[i].status, VIRTIO_BLK_S_OK);
		}
	}
	bounce_rig_fini(&rig);
}
END_TEST

/* --- notifications --------------------------------------------------------- */

/* A batch is one kick there, and one interrupt back. */
START_TEST(batches_cost_one_notification)
{
	static struct disk_request req[8];
	struct pvio_vq *vq;
	unsigned int i, done = 0;
	uint64_t kicks, interrupts;

	disk_up(rings[1], false, SHARE_BYTES);
	bounce_rig_pass(&rig, 5);
	vq = pvio_device_vq(rig.dev, 0);
	kicks = vq->stats.kicks;
	interrupts = guest_device_interrupts(rig.gd, 0);
	for (i = 0; i < 8; i++) {
		disk_make(&rig, &req[i]);
		disk_submit(&rig, 0, &req[i], VIRTIO_BLK_T_IN, i, 512, 1);
	}
	guest_ring_enable_notify(guest_device_ring(rig.gd, 0));
	bounce_rig_until(&rig, (done += disk_reap(&rig, 0)) == 8);
	ck_assert_uint_le(vq->stats.kicks - kicks, 1);
	ck_assert_uint_le(guest_device_interrupts(rig.gd, 0) - interrupts, 1);
	bounce_rig_fini(&rig);
}
END_TEST

/* The doorbell takes its time to be set up. */
START_TEST(calls_may_be_set_up_late)
{
	struct disk_request req;

	bounce_rig_init(&rig, "block", false, SHARE_BYTES);
	rig.late_calls = true;
	bounce_rig_appear(&rig, DISK);
	bounce_rig_connect(&rig);
	bounce_rig_bring_up(&rig, DISK_FEATURES, 2, 32);
	disk_make(&rig, &req);
	ck_assert_uint_eq(disk_do(&rig, 0, &req, VIRTIO_BLK_T_IN, 0, 512, 1),
			  VIRTIO_BLK_S_OK);
	bounce_rig_fini(&rig);
}
END_TEST

static Suite *bounce_suite(void)
{
	Suite *suite = suite_create("bounce");
	TCase *tcase = tcase_create("bounce");

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, disk_keeps_what_is_written, 0, 2 * NR_RINGS);
	tcase_add_loop_test(tcase, many_at_once_are_not_mixed_up, 0,
			    2 * NR_RINGS);
	tcase_add_loop_test(tcase, chains_wait_for_room, 0, NR_RINGS);
	tcase_add_loop_test(tcase, chain_that_never_fits_is_failed, 0,
			    NR_RINGS);
	tcase_add_loop_test(tcase, frames_pass_both_ways, 0, 2 * NR_RINGS);
	tcase_add_loop_test(tcase, buffers_to_receive_are_given_back, 0,
			    NR_RINGS);
	tcase_add_test(tcase, buffers_to_receive_may_wait);
	tcase_add_loop_test(tcase, enabling_is_mirrored, 0, NR_RINGS);
	tcase_add_test(tcase, words_to_a_network_card_pass);
	tcase_add_test(tcase, offers_are_mirrored);
	tcase_add_test(tcase, configuration_passes_both_ways);
	tcase_add_test(tcase,
		       write_while_configuration_is_asked_for_is_not_lost);
	tcase_add_test(tcase, other_kind_of_device_is_refused);
	tcase_add_test(tcase, window_that_is_too_small_is_refused);
	tcase_add_test(tcase, device_whose_socket_is_taken_is_made_later);
	tcase_add_loop_test(tcase, memory_changes_under_running_rings, 0,
			    2 * NR_RINGS);
	tcase_add_test(tcase, batches_cost_one_notification);
	tcase_add_test(tcase, calls_may_be_set_up_late);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return check_suite(bounce_suite());
}
