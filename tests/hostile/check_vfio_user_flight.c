/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vfio_user_flight.c - what a hostile vfio-user client does while
 * requests are in flight
 *
 * The disk completes nothing before the test says so.
 */
#include "tests/hostile/vfio-user-hostile.h"
#include "tests/plugins/block-faulty.h"

#include "core/plugin.h"

#include <dlfcn.h>

static struct faulty *faulty;
static faulty_release_fn *faulty_release;

static void flight_load(void)
{
	void *module;

	if (faulty)
		return;
	ck_assert_int_eq(pvio_plugins_load(PVIO_TEST_PLUGIN_DIR), 0);
	module = dlopen(PVIO_TEST_PLUGIN_DIR "/block-faulty.so",
			RTLD_NOW | RTLD_LOCAL);
	ck_assert_ptr_nonnull(module);
	faulty = dlsym(module, "faulty");
	*(void **)&faulty_release = dlsym(module, "faulty_release");
	ck_assert(faulty && faulty_release);
}

static void flight_setup(void)
{
	flight_load();
	memset(faulty, 0, sizeof(*faulty));
	faulty->bytes = FAULTY_BYTES;
	hostile_begin("model = \"block\"; backend = { type = \"faulty\"; };",
		      "timeout_ms = 200;");
}

#define HEADER_OFFSET 0x3000
#define STATUS_OFFSET 0x3100
#define DATA_OFFSET   0x4000
#define DATA_BYTES    4096u

/* A read of 4 KiB, made available as the first chain; held by the disk. */
static void flight_begin(void)
{
	uint8_t *ram = rig.mem.region[0].host;
	struct vring_desc *desc = (struct vring_desc *)ram;
	struct vring_avail *avail = (struct vring_avail *)(ram + 0x1000);

	faulty->hold = true;
	hostile_serving();
	memset(ram + HEADER_OFFSET, 0, DATA_OFFSET + DATA_BYTES -
					       HEADER_OFFSET);
	ram[STATUS_OFFSET] = 0xff;
	desc[0] = (struct vring_desc){
		.addr = htole64(RIG_RAM_GPA + HEADER_OFFSET),
		.len = htole32(16),
		.flags = htole16(VRING_DESC_F_NEXT),
		.next = htole16(1),
	};
	desc[1] = (struct vring_desc){
		.addr = htole64(RIG_RAM_GPA + DATA_OFFSET),
		.len = htole32(DATA_BYTES),
		.flags = htole16(VRING_DESC_F_NEXT | VRING_DESC_F_WRITE),
		.next = htole16(2),
	};
	desc[2] = (struct vring_desc){
		.addr = htole64(RIG_RAM_GPA + STATUS_OFFSET),
		.len = htole32(1),
		.flags = htole16(VRING_DESC_F_WRITE),
	};
	pvio_store_release(&avail->idx, htole16(1));
	expect_ok(guest_vfu_post(&vfu, BAR_COMMON, NOTIFY, &(uint16_t){ 0 },
				 2));
	rig_settle(&rig);
	ck_assert_uint_eq(faulty->held, 1);
}

static void expect_no_answer(void)
{
	struct pollfd pfd = { .fd = vfu.fd, .events = POLLIN };

	rig_settle(&rig);
	ck_assert_int_eq(poll(&pfd, 1, 50), 0);
	rig_settle(&rig);
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
}

static void expect_answer(uint16_t command)
{
	struct guest_vfu_reply reply;

	expect_ok(guest_vfu_receive(&vfu, &reply, 5000));
	ck_assert_uint_eq(reply.header.command, command);
	ck_assert_uint_eq(reply.header.flags, VFU_TYPE_REPLY);
}

static void release(void)
{
	faulty->hold = false;
	faulty_release(0);
}

/* F10: an unmap is answered when what is in flight there is finished. */
START_TEST(unmap_is_answered_after_the_requests_in_flight)
{
	struct vfu_dma_unmap ask = { 24, 0, RIG_RAM_GPA, RIG_RAM_BYTES };
	uint8_t *ram = rig.mem.region[0].host;

	flight_begin();
	if (_i)
		ask = (struct vfu_dma_unmap){ 24, VFU_DMA_UNMAP_ALL, 0, 0 };
	expect_ok(guest_vfu_send(&vfu, VFU_DMA_UNMAP, 0, &ask, sizeof(ask),
				 NULL, 0));
	expect_no_answer();
	release();
	expect_answer(VFU_DMA_UNMAP);
	ck_assert_uint_eq(ram[STATUS_OFFSET], VIRTIO_BLK_S_OK);
	expect_alive();
}
END_TEST

/* Also that of other memory, since the answer promises nothing else. */
START_TEST(commands_wait_their_turn_behind_an_unmap)
{
	struct vfu_dma_unmap ask = { 24, 0, RIG_RAM_GPA, RIG_RAM_BYTES };
	struct vfu_device_info info = { .argsz = sizeof(info) };
	int i;

	flight_begin();
	expect_ok(guest_vfu_send(&vfu, VFU_DMA_UNMAP, 0, &ask, sizeof(ask),
				 NULL, 0));
	for (i = 0; i < 100; i++)
		expect_ok(guest_vfu_send(&vfu, VFU_DEVICE_GET_INFO, 0, &info,
					 sizeof(info), NULL, 0));
	expect_no_answer();
	release();
	expect_answer(VFU_DMA_UNMAP);
	for (i = 0; i < 100; i++)
		expect_answer(VFU_DEVICE_GET_INFO);
}
END_TEST

/* F13: a reset is answered when nothing is in flight any more. */
START_TEST(reset_is_answered_after_the_requests_in_flight)
{
	uint8_t *ram = rig.mem.region[0].host;
	uint8_t before[0x6000];

	flight_begin();
	expect_ok(guest_vfu_send(&vfu, VFU_DEVICE_RESET, 0, NULL, 0, NULL, 0));
	expect_no_answer();
	release();
	expect_answer(VFU_DEVICE_RESET);
	/* From here on the memory is the client's. */
	memcpy(before, ram, sizeof(before));
	rig_settle(&rig);
	ck_assert_int_eq(memcmp(before, ram, sizeof(before)), 0);
	config_write(4, 0x6, 2);
	ck_assert_uint_eq(hostile_status(), 0);
}
END_TEST

/* F13: memory and eventfds go, but not before the requests; state stays. */
START_TEST(client_that_leaves_in_mid_flight_leaves_nothing)
{
	int fd = hostile_eventfd();
	uint64_t count;

	flight_begin();
	expect_ok(guest_vfu_set_irqs(&vfu, IRQ_ASSIGN, VFU_IRQ_MSIX, 1, 1, &fd,
				     1));
	guest_vfu_close(&vfu);
	rig_settle(&rig);
	ck_assert_uint_gt(rig_count_maps(), maps_before);
	release();
	rig_settle(&rig);
	fds_before++;
	hostile_expect_census();
	fds_before--;
	/* Nobody was told after the client had left. */
	ck_assert_int_eq(read(fd, &count, sizeof(count)), -1);
	close(fd);

	/* The driver's state is as it was, for the client that comes next. */
	hostile_ready();
	ck_assert_uint_eq(hostile_status(), 15);
	common_write(VIRTIO_PCI_COMMON_Q_SELECT, 0, 2);
	ck_assert_uint_eq(common_read(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	ck_assert_uint_eq(common_read(VIRTIO_PCI_COMMON_Q_DESCLO, 4),
			  RIG_RAM_GPA);
}
END_TEST

/* A second client waits until the first one's requests are done. */
START_TEST(next_client_waits_for_the_requests_of_the_last)
{
	struct vfu_version version = { 0, 0 };
	struct guest_vfu_reply reply;

	flight_begin();
	guest_vfu_close(&vfu);
	rig_settle(&rig);
	hostile_dial();
	expect_ok(guest_vfu_send(&vfu, VFU_VERSION, 0, &version,
				 sizeof(version), NULL, 0));
	expect_no_answer();
	release();
	expect_ok(guest_vfu_receive(&vfu, &reply, 5000));
	ck_assert_uint_eq(reply.header.flags, VFU_TYPE_REPLY);
}
END_TEST

/* F13: the function's own resets, and bus mastering off, with requests. */
START_TEST(status_reset_in_flight_reads_back_late)
{
	flight_begin();
	common_write(VIRTIO_PCI_COMMON_STATUS, 0, 1);
	ck_assert_uint_ne(hostile_status(), 0);
	release();
	rig_settle(&rig);
	ck_assert_uint_eq(hostile_status(), 0);
}
END_TEST

int main(void)
{
	const struct hostile_test tests[] = {
		{ unmap_is_answered_after_the_requests_in_flight, 2 },
		{ commands_wait_their_turn_behind_an_unmap, 0 },
		{ reset_is_answered_after_the_requests_in_flight, 0 },
		{ client_that_leaves_in_mid_flight_leaves_nothing, 0 },
		{ next_client_waits_for_the_requests_of_the_last, 0 },
		{ status_reset_in_flight_reads_back_late, 0 },
	};

	return hostile_main("vfio_user_flight", flight_setup, teardown, tests,
			    pvio_array_size(tests));
}
