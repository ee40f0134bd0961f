/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory.h - the driver side's memory: a memfd, and a bump allocator on it
 *
 * Plays the guest's RAM in tests and benchmarks.  It may consist of several
 * regions, with holes between them in guest-physical space; each can be handed
 * to a device, by host address (loopback) or by fd (vhost-user).
 */
#ifndef PVIO_GUEST_MEMORY_H
#define PVIO_GUEST_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#define GUEST_MAX_REGIONS 8

struct guest_region {
	int fd;		/* memfd, owned */
	uint64_t offset; /* in it */
	uint64_t gpa, size;
	uint8_t *host;	/* our own mapping of it */
	uint64_t used;	/* allocated from the start */
};

struct guest_memory {
	unsigned int nr;
	struct guest_region region[GUEST_MAX_REGIONS];
};

void guest_memory_init(struct guest_memory *mem);
/* Add @size bytes at @gpa.  0 or -errno. */
int guest_memory_add(struct guest_memory *mem, uint64_t gpa, uint64_t size);
void guest_memory_fini(struct guest_memory *mem);
/* How long a file is that all of it is in. */
uint64_t guest_memory_file_bytes(const struct guest_memory *mem);
/*
 * Have all of it in the file @fd (borrowed) instead, one region behind the
 * other, with what is in it; host addresses stay.  Before anybody else has it.
 */
int guest_memory_move(struct guest_memory *mem, int fd);

/* Allocate @size zeroed bytes, aligned; NULL when no region has room. */
void *guest_alloc(struct guest_memory *mem, size_t size, size_t align,
		  uint64_t *gpa);
/* Give everything allocated back. */
void guest_alloc_reset(struct guest_memory *mem);
/* Addresses both ways; NULL and UINT64_MAX for what is not guest memory. */
void *guest_host(const struct guest_memory *mem, uint64_t gpa);
uint64_t guest_gpa(const struct guest_memory *mem, const void *host);

#endif
