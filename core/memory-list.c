/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory-list.c - the guest's memory, as the program that embeds pvio has it
 *
 * Theory of operation.  A struct pvio_memory is a table of regions, each with a
 * mapping of its own; nobody translates with it.  What devices translate with
 * are maps built from it: immutable, and sharing its mappings, so that a range
 * which is taken off the list stays mapped until the last device has moved to a
 * map without it.
 *
 *	list:    [ region ] [ region ] [ region ]
 *	              |          |          |       add, remove: the list's
 *	              v          v          v       reference
 *	          mapping    mapping    mapping
 *	              ^          ^
 *	              |          |                  set_memory_list: the map's
 *	map of a device, built before the third was added
 */
#include "device.h"
#include "memory.h"

#include <pvio/memory.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

struct pvio_memory {
	unsigned int nr;
	struct pvio_region region[PVIO_MAP_MAX_REGIONS]; /* mappings: owned */
};

int pvio_memory_create(struct pvio_memory **mem)
{
	*mem = calloc(1, sizeof(**mem));
	return *mem ? 0 : -ENOMEM;
}

void pvio_memory_destroy(struct pvio_memory *mem)
{
	if (!mem)
		return;
	while (mem->nr)
		pvio_mapping_put(mem->region[--mem->nr].mapping);
	free(mem);
}

/* May [gpa, gpa + size) be added? */
static int memory_check(const struct pvio_memory *mem, uint64_t gpa,
			uint64_t size)
{
	unsigned int i;

	if (size == 0 || size > UINT64_MAX - gpa)
		return -EINVAL;
	for (i = 0; i < mem->nr; i++) {
		const struct pvio_region *r = &mem->region[i];

		if (gpa < r->gpa + r->size && r->gpa < gpa + size)
			return -EEXIST;
	}
	return mem->nr == PVIO_MAP_MAX_REGIONS ? -ENOSPC : 0;
}

/* Takes @mapping. */
static void memory_append(struct pvio_memory *mem, uint64_t gpa, uint64_t size,
			  struct pvio_mapping *mapping)
{
	mem->region[mem->nr++] = (struct pvio_region){
		.gpa = gpa,
		.size = size,
		.mapping = mapping,
	};
}

int pvio_memory_add(struct pvio_memory *mem, uint64_t gpa, uint64_t size,
		    void *host)
{
	struct pvio_mapping *mapping;
	int rc = memory_check(mem, gpa, size);

	if (rc < 0)
		return rc;
	rc = pvio_mapping_wrap(host, size, &mapping);
	if (rc < 0)
		return rc;
	memory_append(mem, gpa, size, mapping);
	return 0;
}

int pvio_memory_add_fd(struct pvio_memory *mem, uint64_t gpa, uint64_t size,
		       int fd, uint64_t offset, int read_only)
{
	int prot = read_only ? PROT_READ : PROT_READ | PROT_WRITE;
	struct pvio_mapping *mapping;
	int rc = memory_check(mem, gpa, size);

	if (rc < 0)
		return rc;
	rc = pvio_mapping_create(fd, offset, size, prot, &mapping);
	if (rc < 0)
		return rc;
	memory_append(mem, gpa, size, mapping);
	return 0;
}

int pvio_memory_remove(struct pvio_memory *mem, uint64_t gpa)
{
	unsigned int i;

	for (i = 0; i < mem->nr; i++) {
		if (mem->region[i].gpa != gpa)
			continue;
		pvio_mapping_put(mem->region[i].mapping);
		mem->region[i] = mem->region[--mem->nr];
		return 0;
	}
	return -ENOENT;
}

/* --- to a device --------------------------------------------------------- */

struct memory_call {
	struct pvio_device *dev;
	struct pvio_map *map; /* the device's when it has succeeded */
	struct pvio_device_waiter waiter;
	pvio_done_fn *done;
	void *arg;
};

static void memory_set(struct memory_call *call);

static void memory_is_set(void *arg, int rc)
{
	struct memory_call *call = arg;

	/* Another thread's list goes first. */
	if (rc == -EBUSY && pvio_device_await(call->dev, &call->waiter))
		return;
	call->done(call->arg, rc);
}

static void memory_set_again(struct pvio_device_waiter *waiter)
{
	memory_set(pvio_container_of(waiter, struct memory_call, waiter));
}

static void memory_set(struct memory_call *call)
{
	pvio_device_set_memory(call->dev, call->map, memory_is_set, call);
}

static void memory_begin(void *arg, pvio_done_fn *done, void *done_arg)
{
	struct memory_call *call = arg;

	call->done = done;
	call->arg = done_arg;
	memory_set(call);
}

int pvio_memory_map(const struct pvio_memory *mem, struct pvio_map **map)
{
	return pvio_map_create(mem->region, mem->nr, map);
}

int pvio_device_set_memory_list(struct pvio_device *dev,
				const struct pvio_memory *mem)
{
	struct memory_call call = {
		.dev = dev,
		.waiter.fn = memory_set_again,
	};
	int rc;

	rc = pvio_memory_map(mem, &call.map);
	if (rc < 0)
		return rc;
	rc = pvio_device_call(dev, memory_begin, &call);
	if (rc < 0)
		pvio_map_put(call.map);
	return rc;
}
