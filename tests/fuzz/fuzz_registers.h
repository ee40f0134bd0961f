/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_registers.h - a driver that does anything, to a device behind registers
 *
 * The input is a script of what a guest and its VMM do.  A disk and a network
 * card live as long as the process; the first byte says which of them it is
 * for.  Then, with numbers little-endian and what is missing 0:
 *
 *	'w' space offset24 size8 bytes...   write registers
 *	'r' space offset24 size8            read them
 *	'm' offset24 size8 bytes...         write guest memory
 *	'k' queue                           kick by eventfd; 0xff: resample
 *	'e' interrupt kind                  give it an eventfd
 *	'l' which                           another list of memory
 *	'p', 'c'                            pause, continue
 *	'x'                                 the bus's reset
 *	's'                                 stop the device and start it
 *	'q'                                 kick every queue by eventfd
 *
 * What must hold: nothing is read past the end, registers do not leave their
 * page, interrupts come only where and while the guest wants them, a device
 * that is reset, paused or no bus master leaves memory alone, no descriptor is
 * leaked - and in the end a driver that does all as it should is served.
 *
 * Before this is included: FUZZ_TRANSPORT, and a declaration of what differs.
 */
#ifndef PVIO_TESTS_FUZZ_REGISTERS_H
#define PVIO_TESTS_FUZZ_REGISTERS_H

#include "fuzz_script.h"

#include "core/virtio.h"
#include "guest/device.h"

#include <pvio/memory.h>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FUZZ_MAX_ACCESS  64
#define FUZZ_QUEUES      3
#define FUZZ_INTERRUPTS  8 /* vectors, and then the line */

enum fuzz_list {
	LIST_ALL,
	LIST_LOW,
	LIST_NONE,
	LIST_HOLE,
	NR_LISTS
};

struct fuzz_device {
	struct pvio_device *dev;
	unsigned int nr_queues;
	int doorbell[FUZZ_QUEUES]; /* borrowed */
	bool is_paused, is_reset;
};

/* --- what the including file has ----------------------------------------- */

/* After the device was created and before it is started. */
static void fuzz_attach(struct fuzz_device *d);
static int fuzz_doorbell(struct fuzz_device *d, unsigned int queue);
static void fuzz_read(struct fuzz_device *d, unsigned int space,
		      uint64_t offset, void *buf, size_t len);
static void fuzz_write(struct fuzz_device *d, unsigned int space,
		       uint64_t offset, const void *buf, size_t len);
/* @fd: -1, an eventfd, or no eventfd. */
static void fuzz_set_fd(struct fuzz_device *d, unsigned int which, int fd);
static void fuzz_bus_reset(struct fuzz_device *d);
/* The guest sees to it that the device leaves memory alone. */
static bool fuzz_is_quiet(struct fuzz_device *d);
/* Nothing of what holds at any time is broken. */
static void fuzz_check(struct fuzz_device *d);
static int fuzz_open_driver(struct fuzz_device *d, struct guest_memory *mem,
			    struct pvio_worker *step, struct guest_device **gd);

/* ----------------------------------------------------------------------------- */

static struct pvio_memory *fuzz_lists[NR_LISTS];
static struct fuzz_device fuzz_devices[2]; /* disk, card */
static uint8_t *fuzz_copy;
/* Of a VMM; the second comes back: what resamples is not what is triggered. */
static int fuzz_eventfd, fuzz_resample, fuzz_pipe[2];

static void fuzz_close(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		pvio_device_destroy(fuzz_devices[i].dev);
	for (i = 0; i < NR_LISTS; i++)
		pvio_memory_destroy(fuzz_lists[i]);
	pvio_worker_destroy(fuzz_worker);
	guest_memory_fini(&fuzz_mem);
	free(fuzz_copy);
}

static void fuzz_make_lists(void)
{
	const uint32_t half = FUZZ_RAM_BYTES / 2, page = 4096;
	uint8_t *ram = fuzz_mem.region[0].host;
	unsigned int i;
	int rc = 0;

	for (i = 0; i < NR_LISTS; i++)
		rc |= pvio_memory_create(&fuzz_lists[i]);
	rc |= pvio_memory_add_fd(fuzz_lists[LIST_ALL], FUZZ_RAM_GPA,
				 FUZZ_RAM_BYTES, fuzz_mem.region[0].fd, 0, 0);
	rc |= pvio_memory_add(fuzz_lists[LIST_LOW], FUZZ_RAM_GPA, half, ram);
	/* In two parts, the second elsewhere and read-only, a page missing. */
	rc |= pvio_memory_add(fuzz_lists[LIST_HOLE], FUZZ_RAM_GPA, half, ram);
	rc |= pvio_memory_add_fd(fuzz_lists[LIST_HOLE],
				 FUZZ_RAM_GPA + half + page, half - page,
				 fuzz_mem.region[0].fd, half, 1);
	fuzz_expect(rc == 0, "there are lists");
}

static void fuzz_create(struct fuzz_device *d, const char *what,
			unsigned int nr_queues)
{
	char config[256];
	unsigned int q;

	snprintf(config, sizeof(config),
		 "%s transport = { type = \"" FUZZ_TRANSPORT "\"; };", what);
	fuzz_expect(pvio_device_create("fuzz", config, fuzz_worker,
				       &fuzz_worker, 1, &d->dev) == 0,
		    "a device can be made");
	d->nr_queues = nr_queues;
	fuzz_attach(d);
	fuzz_expect(pvio_device_start(d->dev) == 0, "it can be started");
	for (q = 0; q < nr_queues; q++)
		d->doorbell[q] = fuzz_doorbell(d, q);
}

static void fuzz_open(void)
{
#ifdef PVIO_MEMORY_CHECKED
	pvio_memory_double_fetch = fuzz_aliased;
#endif
	pvio_log_set(fuzz_silence, NULL, PVIO_LOG_DEBUG);
	guest_memory_init(&fuzz_mem);
	fuzz_copy = malloc(FUZZ_RAM_BYTES);
	fuzz_eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fuzz_resample = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fuzz_expect(fuzz_copy && fuzz_resample >= 0 && pipe(fuzz_pipe) == 0 &&
			    guest_memory_add(&fuzz_mem, FUZZ_RAM_GPA,
					     FUZZ_RAM_BYTES) == 0 &&
			    pvio_worker_create("fuzz", &fuzz_worker) == 0,
		    "there is memory");
	fuzz_make_lists();
	fuzz_create(&fuzz_devices[0],
		    "model = \"block\"; queues = 2; queue_size = 64; "
		    "backend = { type = \"memory\"; size = \"64K\"; };",
		    2);
	fuzz_create(&fuzz_devices[1],
		    "model = \"net\"; queue_size = 64; "
		    "backend = { type = \"null\"; };",
		    FUZZ_QUEUES);
	atexit(fuzz_close);
}

/* --- the script ---------------------------------------------------------- */

static void fuzz_access(struct fuzz_device *d, struct fuzz_script *s,
			bool is_write)
{
	unsigned int space = fuzz_take(s, 1);
	uint32_t offset = fuzz_take(s, 3);
	size_t len = fuzz_take(s, 1) % (FUZZ_MAX_ACCESS + 1);
	/* Of their exact size, so that a sanitizer sees what is past it. */
	uint8_t *buf = malloc(len ? len : 1);

	fuzz_expect(buf != NULL, "there is memory");
	if (is_write) {
		fuzz_take_bytes(s, buf, len);
		d->is_reset = false;
		fuzz_write(d, space, offset, buf, len);
	} else {
		memset(buf, FUZZ_GUARD, len ? len : 1);
		fuzz_read(d, space, offset, buf, len);
	}
	free(buf);
}

static void fuzz_kick(struct fuzz_device *d, unsigned int q)
{
	eventfd_write(q == 0xff ? fuzz_resample : d->doorbell[q % d->nr_queues],
		      1);
}

static void fuzz_pause(struct fuzz_device *d, bool pause)
{
	if (pause)
		fuzz_expect(pvio_device_pause(d->dev) == 0, "it pauses");
	else
		pvio_device_resume(d->dev);
	d->is_paused = pause;
}

static void fuzz_restart(struct fuzz_device *d)
{
	pvio_device_stop(d->dev);
	fuzz_expect(pvio_device_start(d->dev) == 0, "it can be started again");
	d->is_reset = true;
}

static void fuzz_action(struct fuzz_device *d, struct fuzz_script *s)
{
	const int fds[] = { -1, fuzz_eventfd, fuzz_pipe[1] };
	unsigned int which;

	switch (fuzz_take(s, 1)) {
	case 'w':
		fuzz_access(d, s, true);
		break;
	case 'r':
		fuzz_access(d, s, false);
		break;
	case 'm':
		fuzz_memory(s);
		break;
	case 'k':
		fuzz_kick(d, fuzz_take(s, 1));
		break;
	case 'e':
		which = fuzz_take(s, 1);
		fuzz_set_fd(d, which % FUZZ_INTERRUPTS,
			    fds[fuzz_take(s, 1) % 3]);
		break;
	case 'l':
		fuzz_expect(pvio_device_set_memory_list(
				    d->dev,
				    fuzz_lists[fuzz_take(s, 1) % NR_LISTS]) ==
				    0,
			    "memory can be changed");
		break;
	case 'p':
		fuzz_pause(d, true);
		break;
	case 'c':
		fuzz_pause(d, false);
		break;
	case 'x':
		fuzz_bus_reset(d);
		d->is_reset = true;
		break;
	case 's':
		fuzz_restart(d);
		break;
	case 'q':
		for (which = 0; which < d->nr_queues; which++)
			fuzz_kick(d, which);
		break;
	}
}

static bool fuzz_keeps_quiet(struct fuzz_device *d)
{
	return d->is_paused || d->is_reset || fuzz_is_quiet(d);
}

/* The next action, and what must hold after it. */
static void fuzz_step(struct fuzz_device *d, struct fuzz_script *s)
{
	uint8_t *ram = fuzz_mem.region[0].host;
	bool is_quiet;

	/* What the guest writes is no concern of the device. */
	while (s->at < s->end && *s->at == 'm')
		fuzz_action(d, s);
	is_quiet = fuzz_keeps_quiet(d);
	memcpy(fuzz_copy, ram, FUZZ_RAM_BYTES);
	fuzz_action(d, s);
	fuzz_settle();
	fuzz_check(d);
	fuzz_expect(!is_quiet || !fuzz_keeps_quiet(d) ||
			    !memcmp(fuzz_copy, ram, FUZZ_RAM_BYTES),
		    "a device that is quiet leaves memory alone");
}

/* Whatever was done to it: a reset, and it does what it is for. */
static void fuzz_serve(struct fuzz_device *d)
{
	const bool is_disk = d == &fuzz_devices[0];
	uint64_t features[2] = { 0, 0 };
	struct guest_device *gd;
	struct guest_segment seg[2];
	uint8_t *header;
	int64_t len;

	fuzz_pause(d, false);
	fuzz_bus_reset(d);
	guest_alloc_reset(&fuzz_mem);
	fuzz_expect(fuzz_open_driver(d, &fuzz_mem, fuzz_worker, &gd) == 0,
		    "a driver finds its device");
	fuzz_expect(guest_device_negotiate(gd, features) == 0 &&
			    guest_device_setup_queue(gd, 0, 16) == 0 &&
			    guest_device_setup_queue(gd, 1, 16) == 0 &&
			    guest_device_start(gd) == 0,
		    "a driver starts its device");
	header = guest_alloc(&fuzz_mem, 64, 8, &seg[0].gpa);
	memset(header, 0, 64);
	guest_alloc(&fuzz_mem, 513, 8, &seg[1].gpa);
	seg[0].len = is_disk ? 16 : 64; /* reads sector 0; a frame */
	seg[1].len = 513;
	len = guest_device_transfer(gd, 1, seg, 1, is_disk);
	fuzz_expect(len == (is_disk ? 513 : 0), "a driver is served");
	guest_device_close(gd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_script s = { data, data + size };
	unsigned int actions = 0;
	struct fuzz_device *d;
	int lowest, fd;

	if (!fuzz_worker)
		fuzz_open();
	d = &fuzz_devices[fuzz_take(&s, 1) % 2];
	memset(fuzz_mem.region[0].host, 0, FUZZ_RAM_BYTES);
	fuzz_expect(pvio_device_set_memory_list(d->dev, fuzz_lists[LIST_ALL]) ==
			    0,
		    "memory can be given");
	d->is_reset = true;
	lowest = fcntl(0, F_DUPFD, 0);
	close(lowest);
	while (s.at < s.end && actions++ < FUZZ_MAX_ACTIONS)
		fuzz_step(d, &s);
	fuzz_serve(d);
	for (actions = 0; actions < FUZZ_INTERRUPTS; actions++)
		fuzz_set_fd(d, actions, -1);
	fd = fcntl(0, F_DUPFD, 0);
	close(fd);
	fuzz_expect(fd == lowest, "no descriptor is leaked");
	return 0;
}

#endif
