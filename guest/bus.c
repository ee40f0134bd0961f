/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus.c - the hypercall bus: connectors, and how a driver comes and goes
 *
 * Here is what a VMM carries between its guest and include/pvio/bus.h, and the
 * beginning of section 7 of docs/bus-abi.md: PROBE, RESET, INFO, SET_AREA.
 */
#include "bus.h"

#include "core/barrier.h"
#include "core/util.h"

#include <endian.h>
#include <errno.h>
#include <pvio/memory.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PATIENCE_MS 10000

/* --- connectors ------------------------------------------------------------ */

static uint32_t window_read(struct pvio_bus *bus, uint64_t offset)
{
	uint32_t value = 0;

	pvio_bus_read(bus, offset, &value, sizeof(value));
	return le32toh(value);
}

static void window_write(struct pvio_bus *bus, uint64_t offset, uint32_t value)
{
	value = htole32(value);
	pvio_bus_write(bus, offset, &value, sizeof(value));
}

static uint64_t window_probe(void *arg)
{
	return window_read(arg, PVIO_BUS_REG_MAGIC) |
	       (uint64_t)window_read(arg, PVIO_BUS_REG_VERSION) << 32;
}

static void window_call(void *arg, uint64_t gpa)
{
	gpa = htole64(gpa);
	pvio_bus_write(arg, PVIO_BUS_REG_CALL, &gpa, sizeof(gpa));
}

static void window_call_halves(void *arg, uint64_t gpa)
{
	window_write(arg, PVIO_BUS_REG_CALL, (uint32_t)gpa);
	window_write(arg, PVIO_BUS_REG_CALL + 4, (uint32_t)(gpa >> 32));
}

static void window_doorbell(void *arg, uint32_t value)
{
	window_write(arg, PVIO_BUS_REG_DOORBELL, value);
}

static uint64_t msr_probe(void *arg)
{
	uint64_t value = 0;

	/* A fault is no bus. */
	return pvio_bus_msr_read(arg, PVIO_BUS_MSR_PROBE, &value) ? value : 0;
}

static void msr_call(void *arg, uint64_t gpa)
{
	(void)pvio_bus_msr_write(arg, PVIO_BUS_MSR_CALL, gpa);
}

static void msr_doorbell(void *arg, uint32_t value)
{
	(void)pvio_bus_msr_write(arg, PVIO_BUS_MSR_DOORBELL, value);
}

static uint64_t hypercall_probe(void *arg)
{
	return pvio_bus_hypercall(arg, PVIO_BUS_OP_PROBE, 0);
}

static void hypercall_call(void *arg, uint64_t gpa)
{
	(void)pvio_bus_hypercall(arg, PVIO_BUS_OP_CALL, gpa);
}

static void hypercall_doorbell(void *arg, uint32_t value)
{
	(void)pvio_bus_hypercall(arg, PVIO_BUS_OP_DOORBELL, value);
}

const struct guest_bus_connector guest_bus_connectors[GUEST_BUS_NR_KINDS] = {
	[GUEST_BUS_REGISTERS] = {
		.name		= "registers",
		.probe		= window_probe,
		.call		= window_call,
		.doorbell	= window_doorbell,
	},
	[GUEST_BUS_HALVES] = {
		.name		= "halves of registers",
		.probe		= window_probe,
		.call		= window_call_halves,
		.doorbell	= window_doorbell,
	},
	[GUEST_BUS_MSR] = {
		.name		= "msr",
		.probe		= msr_probe,
		.call		= msr_call,
		.doorbell	= msr_doorbell,
	},
	[GUEST_BUS_HYPERCALL] = {
		.name		= "hypercall",
		.probe		= hypercall_probe,
		.call		= hypercall_call,
		.doorbell	= hypercall_doorbell,
	},
};

void guest_bus_operate(struct guest_bus *gb, uint64_t gpa)
{
	gb->connector->call(gb->arg, gpa);
}

void guest_bus_doorbell(struct guest_bus *gb, uint32_t value)
{
	__atomic_fetch_add(&gb->count.doorbells, 1, __ATOMIC_RELAXED);
	gb->connector->doorbell(gb->arg, value);
}

/* --- memory ---------------------------------------------------------------- */

static int list_add(struct pvio_memory *list, const struct guest_region *r)
{
	return pvio_memory_add(list, r->gpa, r->size, r->host);
}

int guest_bus_give_memory(struct guest_bus *gb, unsigned int what)
{
	struct pvio_memory *list;
	unsigned int i;
	int rc;

	rc = pvio_memory_create(&list);
	if (rc < 0)
		return rc;
	for (i = 0; what & GUEST_BUS_HAS_RAM && i < gb->ram->nr && rc == 0; i++)
		rc = list_add(list, &gb->ram->region[i]);
	if (what & GUEST_BUS_HAS_CALLS && rc == 0)
		rc = list_add(list, &gb->own.region[0]);
	if (what & GUEST_BUS_HAS_AREAS && rc == 0)
		rc = list_add(list, &gb->own.region[1]);
	if (rc == 0)
		rc = pvio_bus_set_memory_list(gb->bus, list);
	pvio_memory_destroy(list);
	return rc;
}

static int bus_alloc(struct guest_bus *gb)
{
	int rc;

	rc = guest_memory_add(&gb->own, GUEST_BUS_CALL_GPA,
			      GUEST_BUS_CALL_BYTES);
	if (rc == 0)
		rc = guest_memory_add(&gb->own, GUEST_BUS_AREA_GPA,
				      GUEST_BUS_AREA_BYTES);
	if (rc < 0)
		return rc;
	gb->block = guest_alloc(&gb->own, sizeof(*gb->block),
				PVIO_BUS_CALL_ALIGN, &gb->block_gpa);
	/* So that what comes now is in the other range. */
	gb->own.region[0].used = gb->own.region[0].size;
	return 0;
}

/* --- open and close -------------------------------------------------------- */

static int bus_open_interrupts(struct guest_bus *gb)
{
	struct epoll_event ev = { .events = EPOLLIN };
	unsigned int i;
	int rc = 0;

	gb->nr_interrupts = (unsigned int)pvio_min(
		pvio_bus_nr_interrupts(gb->bus), GUEST_BUS_MAX_QUEUES);
	gb->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (gb->epoll_fd < 0)
		return -errno;
	for (i = 0; i < gb->nr_interrupts && rc == 0; i++) {
		gb->interrupt_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (gb->interrupt_fd[i] < 0 ||
		    epoll_ctl(gb->epoll_fd, EPOLL_CTL_ADD, gb->interrupt_fd[i],
			      &ev) < 0)
			return -errno;
		if (!gb->by_callback)
			rc = pvio_bus_set_interrupt_fd(gb->bus, i,
						       gb->interrupt_fd[i]);
	}
	return rc;
}

static int bus_meet(struct guest_bus *gb)
{
	uint64_t id = gb->connector->probe(gb->arg);
	int rc;

	if ((uint32_t)id != PVIO_BUS_MAGIC ||
	    id >> 48 != PVIO_BUS_VERSION >> 16)
		return -EPROTO;
	rc = guest_bus_reset(gb);
	if (rc == 0)
		rc = guest_bus_info(gb, &gb->info);
	if (rc != 0)
		return guest_bus_error(rc);
	if (gb->info.magic != PVIO_BUS_MAGIC || gb->info.version != id >> 32 ||
	    gb->info.max_message < PVIO_BUS_MAX_MESSAGE ||
	    gb->info.nr_signals > PVIO_BUS_MAX_SIGNALS ||
	    gb->info.nr_signals == 0 || gb->info.nr_kick_queues == 0 ||
	    gb->info.max_devices == 0 ||
	    gb->info.max_devices > PVIO_BUS_THE_BUS)
		return -EPROTO;
	return 0;
}

static int bus_make_areas(struct guest_bus *gb,
			  const struct guest_bus_options *options)
{
	unsigned int nr_words = options->nr_words, i;
	int rc = 0;

	if (nr_words == 0)
		nr_words = (gb->info.nr_signals + 63) / 64;
	if (options->nr_notify > gb->info.nr_notify_queues ||
	    options->nr_notify > gb->nr_interrupts)
		return -ENOSPC;
	for (i = 0; i < options->nr_notify && rc == 0; i++)
		rc = guest_bus_move_area(gb, PVIO_BUS_AREA_NOTIFY, i, nr_words);
	/* A kick queue that has none is rung by the signal's number. */
	for (i = 0; options->has_kick && i < gb->info.nr_kick_queues &&
		    i < GUEST_BUS_MAX_QUEUES && rc == 0;
	     i++)
		rc = guest_bus_move_area(gb, PVIO_BUS_AREA_KICK, i, nr_words);
	return guest_bus_error(rc);
}

static void bus_free(struct guest_bus *gb)
{
	unsigned int i;

	for (i = 0; i < GUEST_BUS_MAX_QUEUES; i++)
		if (gb->interrupt_fd[i] >= 0)
			close(gb->interrupt_fd[i]);
	if (gb->epoll_fd >= 0)
		close(gb->epoll_fd);
	pthread_mutex_destroy(&gb->call_lock);
	pthread_mutex_destroy(&gb->take_lock);
	guest_memory_fini(&gb->own);
	free(gb);
}

static void bus_leave(struct guest_bus *gb)
{
	unsigned int i;

	(void)guest_bus_reset(gb);
	for (i = 0; i < gb->nr_interrupts; i++)
		if (gb->interrupt_fd[i] >= 0 || gb->is_lent[i])
			(void)pvio_bus_set_interrupt_fd(gb->bus, i, -1);
	(void)guest_bus_give_memory(gb, 0);
}

int guest_bus_open(struct pvio_bus *bus, struct guest_memory *ram,
		   const struct guest_bus_options *options,
		   struct guest_bus **out)
{
	struct guest_bus *gb;
	unsigned int i;
	int rc;

	gb = calloc(1, sizeof(*gb));
	if (!gb)
		return -ENOMEM;
	gb->connector = options->connector
				? options->connector
				: &guest_bus_connectors[options->kind];
	gb->arg = gb->bus = bus;
	gb->ram = ram;
	gb->step = options->step;
	gb->by_callback = options->by_callback;
	gb->patience_ms = PATIENCE_MS;
	gb->epoll_fd = -1;
	for (i = 0; i < GUEST_BUS_MAX_QUEUES; i++)
		gb->interrupt_fd[i] = -1;
	pthread_mutex_init(&gb->call_lock, NULL);
	pthread_mutex_init(&gb->take_lock, NULL);
	guest_memory_init(&gb->own);
	rc = bus_alloc(gb);
	if (rc == 0)
		rc = guest_bus_give_memory(gb, GUEST_BUS_HAS_ALL);
	if (rc < 0)
		goto free_bus;
	rc = bus_open_interrupts(gb);
	if (rc == 0)
		rc = bus_meet(gb);
	if (rc == 0)
		rc = bus_make_areas(gb, options);
	if (rc < 0)
		goto leave;
	*out = gb;
	return 0;

leave:
	bus_leave(gb);
free_bus:
	bus_free(gb);
	return rc;
}

void guest_bus_close(struct guest_bus *gb, bool is_there)
{
	if (!gb)
		return;
	if (is_there)
		bus_leave(gb);
	bus_free(gb);
}
