/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_pci_server.c - a PCI function that is no virtio device, served to a
 * vfio-user client
 *
 * Control worker, server and client are all on this thread.
 */
#include "tests/little-card.h"

#include "core/config.h"
#include "guest/vfio-user.h"
#include "transports/vfio-user/server.h"

#include <pvio/log.h>

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>

#define RAM_GPA   0x100000u
#define RAM_BYTES (1u << 20)

/* --- a client ------------------------------------------------------------ */

static char dir[] = "/tmp/pvio-card-XXXXXX", path[sizeof(dir) + 8];
static struct pvio_config_file *config;
static struct vfu *server;
static struct guest_vfu client;
static struct guest_memory mem;

static int server_create(const char *extra)
{
	char text[256];

	snprintf(text, sizeof(text), "socket = \"%s\"; %s", path, extra);
	ck_assert_int_eq(pvio_config_parse("little", text, &config), 0);
	return vfu_create(&card.pci, pvio_config_root(config), &server);
}

static void serve(void)
{
	struct vfu_device_info info;

	snprintf(dir, sizeof(dir), "/tmp/pvio-card-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	ck_assert_int_eq(server_create(""), 0);
	ck_assert_int_eq(vfu_start(server), 0);
	ck_assert_int_eq(guest_vfu_connect(&client, path, worker), 0);
	ck_assert_int_eq(guest_vfu_version(&client, guest_vfu_capabilities), 0);
	ck_assert_int_eq(guest_vfu_device_info(&client, &info), 0);
	guest_memory_init(&mem);
	ck_assert_int_eq(guest_memory_add(&mem, RAM_GPA, RAM_BYTES), 0);
}

static void stop(void)
{
	bool is_done = false;

	vfu_stop(server, on_done, &is_done);
	while (!is_done)
		pvio_worker_wait(worker, 1000);
}

static void end(void)
{
	stop();
	guest_vfu_close(&client);
	guest_memory_fini(&mem);
	vfu_destroy(server);
	pvio_config_close(config);
	rmdir(dir);
}

static uint32_t client_read(uint32_t region, uint64_t offset)
{
	uint32_t value = 0;

	ck_assert_int_eq(
		guest_vfu_read(&client, region, offset, &value, sizeof(value)),
		0);
	return value;
}

static void client_write(uint32_t region, uint64_t offset, uint32_t value)
{
	ck_assert_int_eq(
		guest_vfu_write(&client, region, offset, &value, sizeof(value)),
		0);
}

START_TEST(client_finds_what_the_function_has)
{
	struct guest_vfu_region region;
	struct vfu_irq_info irq;

	serve();
	ck_assert_int_eq(guest_vfu_region_info(&client, BAR, &region), 0);
	ck_assert_uint_eq(region.size, BAR_BYTES);
	/* Its doorbells are heard: no page of it can be mapped. */
	ck_assert(!(region.flags & VFU_REGION_MAPPABLE));
	ck_assert_int_eq(guest_vfu_region_info(&client, 4, &region), 0);
	ck_assert_uint_eq(region.size, 0);
	ck_assert_int_eq(guest_vfu_irq_info(&client, VFU_IRQ_INTX, &irq), 0);
	ck_assert_uint_eq(irq.count, 0);
	ck_assert_int_eq(guest_vfu_irq_info(&client, VFU_IRQ_MSIX, &irq), 0);
	ck_assert_uint_eq(irq.count, 1);
	end();
}
END_TEST

START_TEST(client_reaches_registers_and_configuration)
{
	serve();
	ck_assert_uint_eq(client_read(VFU_REGION_CONFIG, 0), 0x70771234);
	client_write(BAR, REG_VALUE, 0xabcd);
	ck_assert_uint_eq(client_read(BAR, REG_VALUE), 0xabcd);
	ck_assert_int_eq(guest_vfu_reset(&client), 0);
	ck_assert_uint_eq(card.resets, 1);
	ck_assert_uint_eq(client_read(BAR, REG_VALUE), NO_VALUE);
	/* A client that hangs up changes nothing, a stop does. */
	client_write(BAR, REG_VALUE, 1);
	guest_vfu_close(&client);
	ck_assert_int_eq(guest_vfu_connect(&client, path, worker), 0);
	ck_assert_int_eq(guest_vfu_version(&client, NULL), 0);
	ck_assert_uint_eq(client_read(BAR, REG_VALUE), 1);
	stop();
	ck_assert_uint_eq(card.resets, 2);
	ck_assert_int_eq(vfu_start(server), 0);
	end();
}
END_TEST

START_TEST(memory_of_the_client_is_the_cards)
{
	uint64_t gpa;
	uint32_t *word;

	serve();
	word = guest_alloc(&mem, sizeof(*word), 4, &gpa);
	*word = 0x600df00d;
	client_write(VFU_REGION_CONFIG, CFG_COMMAND, CMD_MEMORY | CMD_MASTER);
	client_write(BAR, REG_LOAD, (uint32_t)gpa);
	ck_assert_uint_eq(client_read(BAR, REG_VALUE), NO_VALUE);

	ck_assert_int_eq(guest_vfu_map_memory(&client, &mem), 0);
	ck_assert_uint_eq(card.maps, 1);
	client_write(BAR, REG_LOAD, (uint32_t)gpa);
	ck_assert_uint_eq(client_read(BAR, REG_VALUE), 0x600df00d);

	ck_assert_int_eq(guest_vfu_dma_unmap(&client, 0, RAM_GPA, RAM_BYTES),
			 0);
	ck_assert_uint_eq(card.maps, 2);
	ck_assert_uint_eq(card.map->nr, 0);
	/* What a client brought goes with it. */
	ck_assert_int_eq(guest_vfu_map_memory(&client, &mem), 0);
	ck_assert_uint_eq(card.map->nr, 1);
	stop();
	ck_assert_uint_eq(card.map->nr, 0);
	end();
}
END_TEST

static void on_log(void *arg, enum pvio_log_level level, const char *message)
{
	(void)level;
	*(bool *)arg |= strstr(message, "memory is not shared") != NULL;
}

/* Of an address that is nowhere nothing is said. */
START_TEST(memory_that_is_not_shared_is_explained)
{
	bool is_explained = false;

	serve();
	pvio_log_set(on_log, &is_explained, PVIO_LOG_ERROR);
	client_write(VFU_REGION_CONFIG, CFG_COMMAND, CMD_MEMORY | CMD_MASTER);
	client_write(BAR, REG_LOAD, RAM_GPA);
	ck_assert(!is_explained);
	ck_assert_int_eq(guest_vfu_dma_map(&client,
					   VFU_DMA_READABLE | VFU_DMA_WRITABLE,
					   RAM_GPA, RAM_BYTES, -1, 0),
			 0);
	client_write(BAR, REG_VALUE, RAM_GPA);
	ck_assert(!is_explained);
	client_write(BAR, REG_LOAD, RAM_GPA);
	ck_assert(is_explained);
	pvio_log_set(NULL, NULL, PVIO_LOG_WARNING);
	end();
}
END_TEST

START_TEST(vector_of_the_card_is_the_clients_eventfd)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	uint64_t count = 0;

	serve();
	/* What is fired before there is one waits for it. */
	client_write(BAR, REG_RING, 1);
	ck_assert_int_eq(guest_vfu_set_irqs(&client,
					    VFU_IRQ_DATA_EVENTFD |
						    VFU_IRQ_ACTION_TRIGGER,
					    VFU_IRQ_MSIX, 0, 1, &fd, 1),
			 0);
	ck_assert_int_eq(read(fd, &count, sizeof(count)), sizeof(count));
	ck_assert_uint_eq(count, 1);
	client_write(BAR, REG_RING, 1);
	client_write(BAR, REG_RING, 1);
	ck_assert_int_eq(read(fd, &count, sizeof(count)), sizeof(count));
	ck_assert_uint_eq(count, 2);
	ck_assert_uint_eq(card.writes, 0);
	close(fd);
	end();
}
END_TEST

/* Ask for the window's region with so much room, and get an answer and a fd. */
static void ask_window(uint32_t argsz, struct guest_vfu_reply *reply)
{
	struct vfu_region_info ask = { .argsz = argsz, .index = WINDOW };

	ck_assert_int_eq(guest_vfu_ask(&client, VFU_GET_REGION_INFO, &ask,
				       sizeof(ask), NULL, 0, reply),
			 0);
	ck_assert_uint_eq(reply->nr_fds, 1);
	guest_vfu_close_fds(reply);
	ck_assert_uint_eq(reply->region.size, WINDOW_BYTES);
	ck_assert_uint_eq(reply->region.offset, WINDOW_OFFSET);
	ck_assert_uint_eq(reply->region.cap_offset, sizeof(ask));
	ck_assert_uint_eq(reply->region.flags,
			  VFU_REGION_READABLE | VFU_REGION_WRITABLE |
				  VFU_REGION_MAPPABLE | VFU_REGION_HAS_CAPS);
}

START_TEST(client_learns_of_the_window_whatever_room_it_has)
{
	struct vfu_sparse_area area;
	struct guest_vfu_reply reply;
	uint32_t room;

	window_open();
	serve();
	ask_window(sizeof(struct vfu_region_info), &reply);
	ck_assert_uint_eq(reply.size, sizeof(struct vfu_region_info));
	room = reply.region.argsz;
	ask_window(room - 1, &reply);
	ck_assert_uint_eq(reply.size, sizeof(struct vfu_region_info));
	ask_window(room, &reply);
	ck_assert_uint_eq(reply.size, room);
	memcpy(&area, reply.bytes + room - sizeof(area), sizeof(area));
	ck_assert_uint_eq(area.offset, 0);
	ck_assert_uint_eq(area.size, WINDOW_BYTES);
	end();
	window_close();
}
END_TEST

START_TEST(client_maps_the_window_and_sees_what_others_write)
{
	struct guest_vfu_region region;
	uint8_t *map, bytes[4000];

	window_open();
	serve();
	ck_assert_int_eq(guest_vfu_region_info(&client, WINDOW, &region), 0);
	ck_assert_uint_eq(region.nr_areas, 1);
	ck_assert_uint_eq(region.area[0].size, WINDOW_BYTES);
	map = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		   region.fd, (off_t)region.offset);
	ck_assert(map != MAP_FAILED);
	close(region.fd);
	window[WINDOW_BYTES - 1] = 0x11;
	ck_assert_uint_eq(map[WINDOW_BYTES - 1], 0x11);
	map[0] = 0x22;
	ck_assert_uint_eq(window[0], 0x22);
	/* The same by messages, of which one can be long. */
	client_write(WINDOW, 8, 0xfeedbeef);
	ck_assert_mem_eq(map + 8, window + 8, 8);
	ck_assert_uint_eq(client_read(WINDOW, 8), 0xfeedbeef);
	memset(window + 4096, 0x33, sizeof(bytes));
	ck_assert_int_eq(
		guest_vfu_read(&client, WINDOW, 4096, bytes, sizeof(bytes)), 0);
	ck_assert_mem_eq(bytes, window + 4096, sizeof(bytes));
	memset(bytes, 0x44, sizeof(bytes));
	ck_assert_int_eq(
		guest_vfu_write(&client, WINDOW, 4097, bytes, sizeof(bytes)),
		0);
	ck_assert_uint_eq(map[4096], 0x33);
	ck_assert_mem_eq(map + 4097, bytes, sizeof(bytes));
	munmap(map, WINDOW_BYTES);
	end();
	window_close();
}
END_TEST

START_TEST(x04_access_beyond_the_window_is_refused)
{
	uint32_t word = 0;

	window_open();
	serve();
	ck_assert_int_lt(
		guest_vfu_read(&client, WINDOW, WINDOW_BYTES - 3, &word, 4), 0);
	ck_assert_int_lt(
		guest_vfu_write(&client, WINDOW, WINDOW_BYTES, &word, 1), 0);
	ck_assert_int_lt(
		guest_vfu_write(&client, WINDOW, UINT64_MAX - 1, &word, 4), 0);
	ck_assert_int_lt(guest_vfu_read(&client, WINDOW + 1, 0, &word, 4), 0);
	ck_assert_uint_eq(client_read(WINDOW, WINDOW_BYTES - 4), 0);
	end();
	window_close();
}
END_TEST

/* Who watches the server's clients is told of those that have agreed. */
static void on_client(void *arg, bool is_there)
{
	*(int *)arg += is_there ? 1 : 10;
}

static bool may_come(void *arg)
{
	(void)arg;
	return true;
}

START_TEST(client_that_comes_and_goes_is_told_of)
{
	static const struct vfu_client_ops watcher = { on_client, may_come };
	int told = 0;

	serve();
	vfu_watch_clients(server, &watcher, &told);
	guest_vfu_close(&client);
	ck_assert_int_eq(guest_vfu_connect(&client, path, worker), 0);
	while (pvio_worker_step(worker))
		;
	/* The one before came before anybody watched. */
	ck_assert_int_eq(told, 10);
	ck_assert_int_eq(guest_vfu_version(&client, NULL), 0);
	ck_assert_int_eq(told, 11);
	stop();
	ck_assert_int_eq(told, 21);
	ck_assert_int_eq(vfu_start(server), 0);
	/* One that does not agree never was a client. */
	guest_vfu_close(&client);
	ck_assert_int_eq(guest_vfu_connect(&client, path, worker), 0);
	ck_assert_int_lt(guest_vfu_reset(&client), 0);
	end();
	ck_assert_int_eq(told, 21);
}
END_TEST

/* Of a page of doorbells that the card does not have. */
START_TEST(doorbells_that_are_none_cannot_be_polled)
{
	snprintf(path, sizeof(path), "/nowhere");
	ck_assert_int_eq(server_create("doorbell = \"poll\";"), 0);
	ck_assert(!vfu_is_polled(server));
	vfu_destroy(server);
	pvio_config_close(config);
}
END_TEST

CHECK_MAIN("pci-server", little_setup, little_teardown,
	   client_finds_what_the_function_has,
	   client_reaches_registers_and_configuration,
	   memory_of_the_client_is_the_cards,
	   memory_that_is_not_shared_is_explained,
	   vector_of_the_card_is_the_clients_eventfd,
	   client_learns_of_the_window_whatever_room_it_has,
	   client_maps_the_window_and_sees_what_others_write,
	   x04_access_beyond_the_window_is_refused,
	   client_that_comes_and_goes_is_told_of,
	   doorbells_that_are_none_cannot_be_polled)
