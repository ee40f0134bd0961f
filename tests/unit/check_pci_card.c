/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_pci_card.c - a PCI function that is no virtio device, and its server
 *
 * The card behind it is a small one:
 *
 *	BAR 2:	0x0  value: reads back; after a reset 7
 *		0x4  ring: any write fires vector 0; on any thread
 *		0x8  load: value = the 32 bits at the address that is written
 *	BAR 4:	if a test wants it, a window over a file
 *
 * Control worker, host, driver and client are all on this thread.
 */
#include "tests/check_main.h"

#include "core/config.h"
#include "core/worker.h"
#include "guest/vfio-user.h"
#include "transports/pci/pci.h"
#include "transports/vfio-user/server.h"

#include <pvio/log.h>

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define BAR	  2
#define BAR_BYTES 4096
#define REG_VALUE 0x0
#define REG_RING  0x4
#define REG_LOAD  0x8
#define NO_VALUE  7

#define WINDOW	      4
#define WINDOW_BYTES  (1u << 20)
#define WINDOW_OFFSET 8192 /* in its file */

#define CFG_COMMAND  0x04
#define CFG_BAR2     0x18
#define CFG_CAPS     0x34
#define CFG_POWER    0xa8
#define CFG_EXPRESS  0xac
#define CFG_CONTROL  (CFG_EXPRESS + 8)
#define CMD_MEMORY   0x2
#define CMD_MASTER   0x4
#define HAS_FLR	     (1u << 28)
#define FLR	     0x8000

#define RAM_GPA	  0x100000u
#define RAM_BYTES (1u << 20)

/* A call whose end the test decides about. */
struct held {
	pvio_done_fn *done;
	void *arg;
};

struct little {
	struct pvio_pci pci;
	uint32_t value;
	bool works;	  /* between unquiesce() and quiesce() */
	bool is_holding;  /* resets and quiesces are not done by themselves */
	struct held held; /* the one that is not */
	unsigned int resets, quiesces, unquiesces, maps, writes;
	const char *broken;
	uint64_t missed; /* the address of the last load that failed, or 0 */
	struct pvio_map *map; /* reference */
};

static struct little card;
static struct pvio_worker *worker;

/* --- the card ------------------------------------------------------------ */

static struct little *little_of(struct pvio_pci *pci)
{
	return pvio_container_of(pci, struct little, pci);
}

static void little_finish(struct little *l, pvio_done_fn *done, void *arg)
{
	if (l->is_holding)
		l->held = (struct held){ done, arg };
	else
		done(arg, 0);
}

static void little_reset(struct pvio_pci *pci, pvio_done_fn *done, void *arg)
{
	struct little *l = little_of(pci);

	l->resets++;
	l->value = NO_VALUE;
	l->missed = 0;
	l->broken = NULL;
	little_finish(l, done, arg);
}

static void little_quiesce(struct pvio_pci *pci, pvio_done_fn *done, void *arg)
{
	struct little *l = little_of(pci);

	l->quiesces++;
	l->works = false;
	little_finish(l, done, arg);
}

static void little_unquiesce(struct pvio_pci *pci)
{
	little_of(pci)->unquiesces++;
	little_of(pci)->works = true;
}

static void little_broken(struct pvio_pci *pci, const char *why)
{
	little_of(pci)->broken = why;
}

static void little_set_memory(struct pvio_pci *pci, struct pvio_map *map,
			      pvio_done_fn *done, void *arg)
{
	struct little *l = little_of(pci);

	pvio_map_put(l->map);
	l->map = map;
	l->maps++;
	done(arg, 0);
}

static void little_load(struct little *l, uint64_t gpa)
{
	const struct pvio_region *hint = NULL;
	const void *at = NULL;

	if (l->map && l->works)
		at = pvio_map_at(l->map, &hint, gpa, sizeof(l->value));
	l->missed = at ? 0 : gpa;
	if (at)
		memcpy(&l->value, at, sizeof(l->value));
}

static unsigned int little_missed(struct pvio_pci *pci, uint64_t offset,
				  uint64_t address[PCI_CARD_MISSED])
{
	address[0] = little_of(pci)->missed;
	return offset == REG_LOAD && address[0] != 0;
}

static void little_read(struct pvio_pci *pci, uint64_t offset, void *buf,
			size_t len)
{
	if (offset == REG_VALUE && len == sizeof(uint32_t))
		memcpy(buf, &little_of(pci)->value, len);
}

static void little_write(struct pvio_pci *pci, uint64_t offset,
			 const void *buf, size_t len, pvio_done_fn *done,
			 void *arg)
{
	struct little *l = little_of(pci);
	uint64_t gpa = 0;

	l->writes++;
	if (offset == REG_VALUE && len == sizeof(l->value)) {
		memcpy(&l->value, buf, len);
	} else if (offset == REG_LOAD && len <= sizeof(gpa)) {
		memcpy(&gpa, buf, len);
		little_load(l, gpa);
	}
	done(arg, 0);
}

static bool little_write_fast(struct pvio_pci *pci, uint64_t offset,
			      const void *buf, size_t len)
{
	(void)buf;
	(void)len;
	if (offset != REG_RING)
		return false;
	pvio_msix_fire(&pci->msix, 0);
	return true;
}

static const struct pci_card_ops little_ops = {
	.bar		= BAR,
	.bar_bytes	= BAR_BYTES,
	.read		= little_read,
	.write		= little_write,
	.write_fast	= little_write_fast,
	.missed		= little_missed,
	.reset		= little_reset,
	.quiesce	= little_quiesce,
	.unquiesce	= little_unquiesce,
	.broken		= little_broken,
	.set_memory	= little_set_memory,
};

static const struct pci_card_id little_id = {
	.vendor = 0x1234,
	.device = 0x7077,
	.subsystem_vendor = 0x1111,
	.subsystem = 0x2222,
	.class = 0x088000,
	.revision = 3,
};

static void setup(void)
{
	memset(&card, 0, sizeof(card));
	card.value = NO_VALUE;
	ck_assert_int_eq(pvio_worker_create("test", &worker), 0);
	ck_assert_int_eq(pci_init(&card.pci, &little_ops, &little_id, "little",
				  worker, 1),
			 0);
}

static void teardown(void)
{
	pci_fini(&card.pci);
	pvio_map_put(card.map);
	pvio_worker_destroy(worker);
}

/* --- a driver, by the function itself ------------------------------------ */

static uint32_t cfg_read(size_t offset, size_t len)
{
	uint32_t value = 0;

	pci_config_read(&card.pci, offset, &value, len);
	return le32toh(value);
}

static void on_done(void *arg, int rc)
{
	ck_assert_int_eq(rc, 0);
	*(bool *)arg = true;
}

/* Is it over at once? */
static bool cfg_write(size_t offset, size_t len, uint32_t value)
{
	static bool is_done;

	is_done = false;
	value = htole32(value);
	pci_config_write(&card.pci, offset, &value, len, on_done, &is_done);
	return is_done;
}

static uint32_t reg_read(uint64_t offset)
{
	uint32_t value = 0;

	pci_bar_read(&card.pci, BAR, offset, &value, sizeof(value));
	return value;
}

static void reg_write(uint64_t offset, uint32_t value)
{
	bool is_done = false;

	pci_bar_write(&card.pci, BAR, offset, &value, sizeof(value), on_done,
		      &is_done);
	ck_assert(is_done);
}

/* Let the card have done what it was asked last. */
static void release(int rc)
{
	struct held held = card.held;

	ck_assert_ptr_nonnull(held.done);
	card.held.done = NULL;
	held.done(held.arg, rc);
}

START_TEST(function_is_what_its_card_says)
{
	ck_assert_uint_eq(cfg_read(0x00, 4), 0x70771234);
	ck_assert_uint_eq(cfg_read(0x08, 4), 0x08800003);
	ck_assert_uint_eq(cfg_read(0x2c, 4), 0x22221111);
	ck_assert_uint_eq(cfg_read(0x3d, 1), 0); /* no INTx, nor a way to ... */
	cfg_write(CFG_COMMAND, 2, 0xffff);
	ck_assert_uint_eq(cfg_read(CFG_COMMAND, 2) & 0x400, 0); /* disable it */
}
END_TEST

START_TEST(bars_are_sized_as_the_card_says)
{
	static const uint32_t sizes[PVIO_PCI_NR_BARS] = {
		0xffff0000, 0, 0xfffff000, 0, 0, 0,
	};
	unsigned int i;

	for (i = 0; i < PVIO_PCI_NR_BARS; i++) {
		cfg_write(0x10 + 4 * i, 4, UINT32_MAX);
		ck_assert_uint_eq(cfg_read(0x10 + 4 * i, 4), sizes[i]);
		ck_assert_uint_eq(pci_bar_size(&card.pci, i),
				  (uint32_t)-sizes[i]);
	}
}
END_TEST

START_TEST(capabilities_are_those_of_every_function)
{
	static const uint8_t ids[] = { PCI_CAP_ID_MSIX, PCI_CAP_ID_POWER,
				       PCI_CAP_ID_EXPRESS };
	size_t at = cfg_read(CFG_CAPS, 1);
	unsigned int i;

	for (i = 0; i < pvio_array_size(ids); i++) {
		ck_assert_uint_eq(cfg_read(at, 1), ids[i]);
		at = cfg_read(at + 1, 1);
	}
	ck_assert_uint_eq(at, 0);
	ck_assert(cfg_read(CFG_EXPRESS + 4, 4) & HAS_FLR);
}
END_TEST

START_TEST(card_sees_what_is_in_its_bar_only)
{
	uint64_t wide = 0;

	ck_assert_uint_eq(reg_read(REG_VALUE), NO_VALUE);
	reg_write(REG_VALUE, 0x1234);
	ck_assert_uint_eq(reg_read(REG_VALUE), 0x1234);
	ck_assert_uint_eq(card.writes, 1);
	/* What the card does not know reads as ones ... */
	ck_assert_uint_eq(reg_read(0x10), UINT32_MAX);
	/* ... and what is not all in the BAR never gets there. */
	reg_write(BAR_BYTES - 2, 1);
	reg_write(UINT64_MAX - 1, 1);
	pci_bar_read(&card.pci, BAR, BAR_BYTES - 4, &wide, sizeof(wide));
	ck_assert(wide == UINT64_MAX);
	pci_bar_read(&card.pci, BAR + 1, REG_VALUE, &wide, sizeof(wide));
	ck_assert(wide == UINT64_MAX);
	ck_assert_uint_eq(card.writes, 1);
	/* Nor does what was dealt with on the way. */
	reg_write(REG_RING, 1);
	ck_assert_uint_eq(card.writes, 1);
}
END_TEST

START_TEST(card_works_while_it_is_bus_master_with_power)
{
	ck_assert_uint_eq(card.unquiesces, 0);
	ck_assert(cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER));
	ck_assert(card.works);
	/* Going to D3hot, and giving bus mastering up, wait for it. */
	card.is_holding = true;
	ck_assert(!cfg_write(CFG_POWER, 2, 3));
	ck_assert(!card.works);
	release(0);
	ck_assert(cfg_write(CFG_COMMAND, 2, CMD_MEMORY));
	ck_assert_uint_eq(card.quiesces, 1);
	ck_assert(cfg_write(CFG_POWER, 2, 0));
	ck_assert(!card.works);
	ck_assert(cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER));
	ck_assert(card.works);
	ck_assert(!cfg_write(CFG_COMMAND, 2, CMD_MEMORY));
	release(0);
	ck_assert_uint_eq(card.quiesces, 2);
	ck_assert_uint_eq(card.unquiesces, 2);
	ck_assert_ptr_null(card.broken);
}
END_TEST

START_TEST(card_that_cannot_be_quiet_is_broken)
{
	cfg_write(CFG_COMMAND, 2, CMD_MASTER);
	card.is_holding = true;
	ck_assert(!cfg_write(CFG_COMMAND, 2, 0));
	release(-EBUSY);
	ck_assert_ptr_nonnull(card.broken);
}
END_TEST

START_TEST(flr_resets_the_card_and_is_not_waited_for)
{
	cfg_write(CFG_BAR2, 4, 0xfebf0000);
	cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER);
	reg_write(REG_VALUE, 1);
	card.is_holding = true;
	ck_assert(cfg_write(CFG_CONTROL, 2, FLR));
	ck_assert_uint_eq(card.resets, 1);
	/* Until it is over nobody is there. */
	ck_assert_uint_eq(cfg_read(0, 4), UINT32_MAX);
	ck_assert_uint_eq(reg_read(REG_VALUE), UINT32_MAX);
	release(0);
	ck_assert_uint_eq(card.quiesces, 1);
	ck_assert_uint_eq(cfg_read(0, 4), UINT32_MAX);
	release(0);
	ck_assert_uint_eq(cfg_read(0, 4), 0x70771234);
	ck_assert_uint_eq(cfg_read(CFG_COMMAND, 2), 0);
	ck_assert_uint_eq(cfg_read(CFG_BAR2, 4), 0);
	ck_assert_uint_eq(reg_read(REG_VALUE), NO_VALUE);
	ck_assert(!card.works);
}
END_TEST

/* --- a window ------------------------------------------------------------ */

static int window_fd;
static uint8_t *window; /* the file's mapping, from the window's start */

static void window_open(void)
{
	const struct pci_card_window w = {
		WINDOW, memfd_create("window", MFD_CLOEXEC), WINDOW_OFFSET,
		WINDOW_BYTES,
	};

	window_fd = w.fd;
	ck_assert_int_ge(window_fd, 0);
	ck_assert_int_eq(ftruncate(window_fd, WINDOW_OFFSET + WINDOW_BYTES), 0);
	window = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		      window_fd, WINDOW_OFFSET);
	ck_assert(window != MAP_FAILED);
	ck_assert_int_eq(pci_set_window(&card.pci, &w), 0);
}

static void window_close(void)
{
	munmap(window, WINDOW_BYTES);
	close(window_fd);
}

START_TEST(window_is_a_bar_of_64_bits)
{
	ck_assert_uint_eq(pci_bar_size(&card.pci, WINDOW), 0);
	window_open();
	ck_assert_uint_eq(pci_bar_size(&card.pci, WINDOW), WINDOW_BYTES);
	ck_assert_uint_eq(pci_bar_size(&card.pci, WINDOW + 1), 0);
	ck_assert_uint_eq(cfg_read(0x20, 4), PCI_BAR_64 | PCI_BAR_PREFETCH);
	cfg_write(0x20, 4, UINT32_MAX);
	cfg_write(0x24, 4, UINT32_MAX);
	ck_assert_uint_eq(cfg_read(0x20, 4), 0xfff00000 | PCI_BAR_64 |
						     PCI_BAR_PREFETCH);
	ck_assert_uint_eq(cfg_read(0x24, 4), UINT32_MAX);
	/* A reset takes its address, and not the window. */
	ck_assert(cfg_write(CFG_CONTROL, 2, FLR));
	ck_assert_uint_eq(cfg_read(0x20, 4), PCI_BAR_64 | PCI_BAR_PREFETCH);
	ck_assert_uint_eq(pci_bar_size(&card.pci, WINDOW), WINDOW_BYTES);
	window_close();
}
END_TEST

START_TEST(accesses_to_the_window_are_to_its_file)
{
	static const uint8_t pattern[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	uint8_t bytes[sizeof(pattern)];
	bool is_done = false;
	uint64_t wide;
	size_t len;

	window_open();
	for (len = 1; len <= sizeof(pattern); len++) {
		pci_bar_write(&card.pci, WINDOW, 64 * len, pattern, len,
			      on_done, &is_done);
		ck_assert(is_done);
		ck_assert_mem_eq(window + 64 * len, pattern, len);
		ck_assert_uint_eq(window[64 * len + len], 0);
		pci_bar_read(&card.pci, WINDOW, 64 * len, bytes, len);
		ck_assert_mem_eq(bytes, pattern, len);
		pci_bar_read(&card.pci, WINDOW, 64 * len + 1, bytes, len);
		ck_assert_mem_eq(bytes, window + 64 * len + 1, len);
	}
	/* What is not all inside is nowhere. */
	window[WINDOW_BYTES - 1] = 0x5a;
	pci_bar_read(&card.pci, WINDOW, WINDOW_BYTES - 4, &wide, 8);
	ck_assert(wide == UINT64_MAX);
	pci_bar_write(&card.pci, WINDOW, WINDOW_BYTES - 1, pattern, 2, on_done,
		      &is_done);
	pci_bar_write(&card.pci, WINDOW, UINT64_MAX, pattern, 2, on_done,
		      &is_done);
	ck_assert_uint_eq(window[WINDOW_BYTES - 1], 0x5a);
	/* The card sees nothing of all that. */
	ck_assert_uint_eq(card.writes, 0);
	window_close();
}
END_TEST

START_TEST(window_whose_file_shrinks_reads_as_zeros)
{
	uint64_t wide = 1;

	window_open();
	memset(window, 0xff, WINDOW_BYTES);
	ck_assert_int_eq(ftruncate(window_fd, 0), 0);
	pci_bar_read(&card.pci, WINDOW, 4096, &wide, sizeof(wide));
	ck_assert_uint_eq(wide, 0);
	window_close();
}
END_TEST

START_TEST(window_that_makes_no_sense_is_refused)
{
	struct pci_card_window good = { WINDOW, -1, WINDOW_OFFSET,
					WINDOW_BYTES }, bad;

	window_open();
	good.fd = window_fd;
#define REFUSED(member, value)                                             \
	do {                                                               \
		bad = good;                                                \
		bad.member = value;                                        \
		ck_assert_int_lt(pci_set_window(&card.pci, &bad), 0);      \
	} while (0)
	REFUSED(bar, PCI_BAR_MSIX);
	REFUSED(bar, BAR);
	REFUSED(bar, BAR - 1);
	REFUSED(bar, PVIO_PCI_NR_BARS - 1);
	REFUSED(bar, UINT32_MAX);
	REFUSED(bytes, 2048);
	REFUSED(bytes, WINDOW_BYTES - 4096);
	REFUSED(offset, 4097);
	/* It ends behind its file. */
	REFUSED(offset, WINDOW_OFFSET + 4096);
	REFUSED(bytes, 1ULL << 63);
	REFUSED(fd, -1);
#undef REFUSED
	ck_assert_uint_eq(pci_bar_size(&card.pci, WINDOW), WINDOW_BYTES);
	/* None is one that does. */
	ck_assert_int_eq(pci_set_window(
				 &card.pci,
				 &(struct pci_card_window){ .bytes = 0 }),
			 0);
	ck_assert_uint_eq(pci_bar_size(&card.pci, WINDOW), 0);
	ck_assert_uint_eq(cfg_read(0x20, 4), 0);
	window_close();
}
END_TEST

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

	ck_assert_int_eq(guest_vfu_read(&client, region, offset, &value,
					sizeof(value)),
			 0);
	return value;
}

static void client_write(uint32_t region, uint64_t offset, uint32_t value)
{
	ck_assert_int_eq(guest_vfu_write(&client, region, offset, &value,
					 sizeof(value)),
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
	ck_assert_int_eq(guest_vfu_read(&client, WINDOW, 4096, bytes,
					sizeof(bytes)),
			 0);
	ck_assert_mem_eq(bytes, window + 4096, sizeof(bytes));
	memset(bytes, 0x44, sizeof(bytes));
	ck_assert_int_eq(guest_vfu_write(&client, WINDOW, 4097, bytes,
					 sizeof(bytes)),
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
	ck_assert_int_lt(guest_vfu_read(&client, WINDOW, WINDOW_BYTES - 3,
					&word, 4),
			 0);
	ck_assert_int_lt(guest_vfu_write(&client, WINDOW, WINDOW_BYTES, &word,
					 1),
			 0);
	ck_assert_int_lt(guest_vfu_write(&client, WINDOW, UINT64_MAX - 1,
					 &word, 4),
			 0);
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

START_TEST(client_that_comes_and_goes_is_told_of)
{
	int told = 0;

	serve();
	vfu_watch_clients(server, on_client, &told);
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

CHECK_MAIN("pci-card", setup, teardown, function_is_what_its_card_says,
	   bars_are_sized_as_the_card_says,
	   capabilities_are_those_of_every_function,
	   card_sees_what_is_in_its_bar_only,
	   card_works_while_it_is_bus_master_with_power,
	   card_that_cannot_be_quiet_is_broken,
	   flr_resets_the_card_and_is_not_waited_for,
	   window_is_a_bar_of_64_bits,
	   accesses_to_the_window_are_to_its_file,
	   window_whose_file_shrinks_reads_as_zeros,
	   window_that_makes_no_sense_is_refused,
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
