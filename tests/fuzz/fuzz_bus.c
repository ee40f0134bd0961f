/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_bus.c - a driver that does anything to the hypercall bus
 *
 * A disk and a network card on one bus live as long as the process.  The input
 * is a script, with numbers little-endian and what is missing 0:
 *
 *	'c' flags8 type8 id8 device8 len8 bytes...
 *				a call; flags: 1, the size is wrong by one; 2, the
 *				block lies across the end of memory; 4, it was
 *				not issued; 8, the high half of its address is
 *				not 0; 16, misaligned; 32, by hypercall
 *	'a' direction8 index8 place8 words8
 *				SET_AREA at a place there is
 *	'm' offset24 len8 bytes...	write memory, areas too
 *	'd' value32			doorbell
 *	'h' op8 arg32			hypercall
 *	'w' offset8 len8 bytes...	write the window
 *	'r' offset8 len8		read it
 *	'i' number8 kind8		give an interrupt an eventfd
 *	'l' which8			another list of memory
 *	'x'				the VM's reset
 *	's' which8			stop a device and start it
 *
 * What must hold: a call that is answered has a result there is, nothing is read
 * past the end, the worker comes to rest, no descriptor is leaked - and in the
 * end a driver that does all as it should is served.
 */
#include "fuzz_script.h"

#include "core/virtio.h"
#include "guest/device-bus.h"

#include <pvio/memory.h>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FUZZ_AREA_BYTES  8192u /* apart; a page of them at the beginning */
#define FUZZ_BLOCK       (200u << 10)
#define FUZZ_INTERRUPTS  16

enum fuzz_list {
	LIST_ALL,
	LIST_LOW,
	LIST_NONE,
	NR_LISTS
};

static struct pvio_device *fuzz_devices[2]; /* disk, card */
static struct pvio_bus *fuzz_bus;
static struct pvio_memory *fuzz_lists[NR_LISTS];
static int fuzz_eventfd, fuzz_pipe[2];

/* --- life ------------------------------------------------------------------ */

static void fuzz_close(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		pvio_device_destroy(fuzz_devices[i]);
	for (i = 0; i < NR_LISTS; i++)
		pvio_memory_destroy(fuzz_lists[i]);
	pvio_worker_destroy(fuzz_worker);
	guest_memory_fini(&fuzz_mem);
}

static void fuzz_create(unsigned int i, const char *what)
{
	char config[256];

	snprintf(config, sizeof(config),
		 "%s transport = { type = \"hypercall\"; };", what);
	fuzz_expect(pvio_device_create("fuzz", config, fuzz_worker,
				       &fuzz_worker, 1,
				       &fuzz_devices[i]) == 0 &&
			    pvio_device_start(fuzz_devices[i]) == 0,
		    "a device can be made");
}

static void fuzz_open(void)
{
	uint8_t *ram;
	unsigned int i;
	int rc = 0;

#ifdef PVIO_MEMORY_CHECKED
	pvio_memory_double_fetch = fuzz_aliased;
#endif
	pvio_log_set(fuzz_silence, NULL, PVIO_LOG_DEBUG);
	guest_memory_init(&fuzz_mem);
	fuzz_eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fuzz_expect(fuzz_eventfd >= 0 && pipe(fuzz_pipe) == 0 &&
			    guest_memory_add(&fuzz_mem, FUZZ_RAM_GPA,
					     FUZZ_RAM_BYTES) == 0 &&
			    pvio_worker_create("fuzz", &fuzz_worker) == 0,
		    "there is memory");
	ram = fuzz_mem.region[0].host;
	for (i = 0; i < NR_LISTS; i++)
		rc |= pvio_memory_create(&fuzz_lists[i]);
	rc |= pvio_memory_add(fuzz_lists[LIST_ALL], FUZZ_RAM_GPA,
			      FUZZ_RAM_BYTES, ram);
	/* The call block, but not every area. */
	rc |= pvio_memory_add(
		fuzz_lists[LIST_LOW], FUZZ_RAM_GPA + FUZZ_BLOCK / 2,
		FUZZ_RAM_BYTES - FUZZ_BLOCK / 2, ram + FUZZ_BLOCK / 2);
	fuzz_expect(rc == 0, "there are lists");
	fuzz_create(0, "model = \"block\"; queues = 2; queue_size = 64; "
		       "backend = { type = \"memory\"; size = \"64K\"; };");
	fuzz_create(1, "model = \"net\"; queue_size = 64; "
		       "backend = { type = \"null\"; };");
	fuzz_bus = pvio_bus_of(fuzz_devices[0]);
	atexit(fuzz_close);
}

/* --- the script ------------------------------------------------------------ */

static void fuzz_issue(const struct pvio_bus_call *call, unsigned int flags)
{
	uint32_t at = flags & 2 ? FUZZ_RAM_BYTES - 264 : FUZZ_BLOCK;
	uint8_t *host = fuzz_mem.region[0].host;
	uint64_t gpa;
	uint32_t state = 0, result;

	at += flags & 16 ? 4 : 0;
	gpa = FUZZ_RAM_GPA + at;
	gpa |= flags & 8 ? 1ULL << 44 : 0;
	memcpy(host + at, call, pvio_min(sizeof(*call), FUZZ_RAM_BYTES - at));
	gpa = htole64(gpa);
	if (flags & 32)
		pvio_bus_hypercall(fuzz_bus, PVIO_BUS_OP_CALL, le64toh(gpa));
	else
		pvio_bus_write(fuzz_bus, PVIO_BUS_REG_CALL, &gpa, sizeof(gpa));
	fuzz_settle();
	memcpy(&state, host + at, 4);
	memcpy(&result, host + at + 4, 4);
	if (flags & (2 | 4 | 8 | 16))
		fuzz_expect(state == call->state, "it is not carried out");
	else if (le32toh(state) == PVIO_BUS_CALL_DONE)
		fuzz_expect(le32toh(result) <= PVIO_BUS_NO_ROOM,
			    "it has a result there is");
}

static void fuzz_call(struct fuzz_script *s)
{
	struct pvio_bus_call call = { 0 };
	struct pvio_bus_header header = { 0 };
	unsigned int flags = fuzz_take(s, 1);
	size_t len;

	header.type = (uint8_t)fuzz_take(s, 1);
	header.id = (uint8_t)fuzz_take(s, 1);
	header.device = htole16((uint16_t)fuzz_take(s, 1));
	len = pvio_min(fuzz_take(s, 1), sizeof(call.request) - sizeof(header));
	header.size = htole16((uint16_t)(sizeof(header) + len + (flags & 1)));
	fuzz_take_bytes(s, call.request + sizeof(header), len);
	memcpy(call.request, &header, sizeof(header));
	call.state = htole32(flags & 4 ? PVIO_BUS_CALL_DONE
				       : PVIO_BUS_CALL_ISSUED);
	fuzz_issue(&call, flags);
}

static void fuzz_set_area(struct fuzz_script *s)
{
	const struct pvio_bus_header header = {
		.type = PVIO_BUS_TYPE_BUS,
		.id = PVIO_BUS_SET_AREA,
		.size = htole16(sizeof(header) +
				sizeof(struct pvio_bus_set_area_in)),
	};
	struct pvio_bus_set_area_in in = { 0 };
	struct pvio_bus_call call = { 0 };

	in.direction = htole32(fuzz_take(s, 1) % 2);
	in.index = htole32(fuzz_take(s, 1));
	in.address =
		htole64(FUZZ_RAM_GPA + fuzz_take(s, 1) % 16 * FUZZ_AREA_BYTES);
	in.nr_words = htole32(fuzz_take(s, 1) % 66);
	memcpy(call.request, &header, sizeof(header));
	memcpy(call.request + sizeof(header), &in, sizeof(in));
	call.state = htole32(PVIO_BUS_CALL_ISSUED);
	fuzz_issue(&call, 0);
}

static void fuzz_access(struct fuzz_script *s, bool is_write)
{
	uint64_t offset = fuzz_take(s, 1);
	size_t len = fuzz_take(s, 1) % 17;
	/* Of their exact size, so that a sanitizer sees what is past it. */
	uint8_t *buf = malloc(len ? len : 1);

	fuzz_expect(buf != NULL, "there is memory");
	memset(buf, FUZZ_GUARD, len ? len : 1);
	if (is_write) {
		fuzz_take_bytes(s, buf, len);
		pvio_bus_write(fuzz_bus, offset, buf, len);
	} else {
		pvio_bus_read(fuzz_bus, offset, buf, len);
	}
	free(buf);
}

static void fuzz_hypercall(struct fuzz_script *s)
{
	uint32_t op = fuzz_take(s, 1), arg = fuzz_take(s, 4);
	uint64_t got = pvio_bus_hypercall(fuzz_bus, op, arg);

	fuzz_expect(op > PVIO_BUS_OP_DOORBELL ? got == (uint64_t)-38
					      : got != (uint64_t)-38,
		    "operations are three");
}

static void fuzz_action(struct fuzz_script *s)
{
	const int fds[] = { -1, fuzz_eventfd, fuzz_pipe[1] };
	unsigned int which;
	uint32_t word;

	switch (fuzz_take(s, 1)) {
	case 'c':
		fuzz_call(s);
		break;
	case 'a':
		fuzz_set_area(s);
		break;
	case 'm':
		fuzz_memory(s);
		break;
	case 'd':
		word = htole32(fuzz_take(s, 4));
		pvio_bus_write(fuzz_bus, PVIO_BUS_REG_DOORBELL, &word, 4);
		break;
	case 'h':
		fuzz_hypercall(s);
		break;
	case 'w':
		fuzz_access(s, true);
		break;
	case 'r':
		fuzz_access(s, false);
		break;
	case 'i':
		which = fuzz_take(s, 1);
		(void)pvio_bus_set_interrupt_fd(fuzz_bus, which,
						fds[fuzz_take(s, 1) % 3]);
		break;
	case 'l':
		fuzz_expect(pvio_bus_set_memory_list(
				    fuzz_bus,
				    fuzz_lists[fuzz_take(s, 1) % NR_LISTS]) ==
				    0,
			    "memory can be changed");
		break;
	case 'x':
		pvio_bus_reset(fuzz_bus);
		break;
	case 's':
		which = fuzz_take(s, 1) % 2;
		pvio_device_stop(fuzz_devices[which]);
		fuzz_expect(pvio_device_start(fuzz_devices[which]) == 0,
			    "it can be started again");
		break;
	default:
		break;
	}
	fuzz_settle();
}

/* --- the end --------------------------------------------------------------- */

/* The device of @device_id among those on the bus. */
static int fuzz_find(struct guest_bus *gb, uint32_t device_id)
{
	struct pvio_bus_device_info_out info;
	uint16_t i;

	for (i = 0; i < gb->info.max_devices; i++)
		if (guest_bus_device_info(gb, i, &info) == 0 &&
		    info.device_id == device_id)
			return i;
	return -1;
}

static void fuzz_serve(struct guest_bus *gb, unsigned int i)
{
	const struct guest_device_bus_options options = {
		.bus = gb,
		.number = fuzz_find(gb, i ? VIRTIO_ID_NET : VIRTIO_ID_BLOCK),
	};
	const uint64_t features[2] = { 0, 0 };
	struct guest_device *gd = NULL;
	struct guest_segment seg[2];
	uint8_t *header;
	int64_t len;

	fuzz_expect(options.number >= 0 && guest_device_open_bus_with(
						   fuzz_devices[i], &fuzz_mem,
						   &options, &gd) == 0,
		    "a driver finds its device");
	fuzz_expect(guest_device_negotiate(gd, features) == 0 &&
			    guest_device_setup_queue(gd, 0, 16) == 0 &&
			    guest_device_setup_queue(gd, 1, 16) == 0 &&
			    guest_device_start(gd) == 0,
		    "a driver starts its device");
	header = guest_alloc(&fuzz_mem, 64, 8, &seg[0].gpa);
	memset(header, 0, 64);
	guest_alloc(&fuzz_mem, 513, 8, &seg[1].gpa);
	seg[0].len = i ? 64 : 16; /* a frame; reads sector 0 */
	seg[1].len = 513;
	len = guest_device_transfer(gd, 1, seg, 1, !i);
	fuzz_expect(len == (i ? 0 : 513), "a driver is served");
	guest_device_close(gd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guest_bus_options options = { .nr_notify = 1, .has_kick = true };
	struct fuzz_script s = { data, data + size };
	unsigned int actions = 0, i;
	struct guest_bus *gb;
	int lowest, fd;

	if (!fuzz_worker)
		fuzz_open();
	options.step = fuzz_worker;
	lowest = fcntl(0, F_DUPFD, 0);
	close(lowest);
	memset(fuzz_mem.region[0].host, 0, FUZZ_RAM_BYTES);
	fuzz_expect(pvio_bus_set_memory_list(fuzz_bus, fuzz_lists[LIST_ALL]) ==
			    0,
		    "memory can be given");
	while (s.at < s.end && actions++ < FUZZ_MAX_ACTIONS)
		fuzz_action(&s);
	guest_alloc_reset(&fuzz_mem);
	fuzz_expect(guest_bus_open(fuzz_bus, &fuzz_mem, &options, &gb) == 0,
		    "a driver finds the bus");
	for (i = 0; i < 2; i++)
		fuzz_serve(gb, i);
	guest_bus_close(gb, true);
	for (i = 0; i < FUZZ_INTERRUPTS; i++)
		(void)pvio_bus_set_interrupt_fd(fuzz_bus, i, -1);
	fd = fcntl(0, F_DUPFD, 0);
	close(fd);
	fuzz_expect(fd == lowest, "no descriptor is leaked");
	return 0;
}
