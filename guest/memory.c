/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory.c - the driver side's memory
 */
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void guest_memory_init(struct guest_memory *mem)
{
	memset(mem, 0, sizeof(*mem));
}

int guest_memory_add(struct guest_memory *mem, uint64_t gpa, uint64_t size)
{
	struct guest_region *r = &mem->region[mem->nr];
	void *host;
	int fd, rc;

	if (mem->nr == GUEST_MAX_REGIONS)
		return -ENOSPC;
	if (size == 0 || gpa + size < gpa)
		return -EINVAL;
	fd = memfd_create("guest-memory", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0)
		goto close_fd;
	host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (host == MAP_FAILED)
		goto close_fd;

	r->fd = fd;
	r->offset = 0;
	r->gpa = gpa;
	r->size = size;
	r->host = host;
	r->used = 0;
	mem->nr++;
	return 0;

close_fd:
	rc = -errno;
	close(fd);
	return rc;
}

void guest_memory_fini(struct guest_memory *mem)
{
	while (mem->nr > 0) {
		struct guest_region *r = &mem->region[--mem->nr];

		munmap(r->host, r->size);
		close(r->fd);
		r->fd = -1;
	}
}

static uint64_t page_up(uint64_t bytes)
{
	return (bytes + 4095) / 4096 * 4096;
}

uint64_t guest_memory_file_bytes(const struct guest_memory *mem)
{
	uint64_t bytes = 0;
	unsigned int i;

	for (i = 0; i < mem->nr; i++)
		bytes += page_up(mem->region[i].size);
	return bytes;
}

static int region_move(struct guest_region *r, int fd, uint64_t offset)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int rc;

	if (own < 0)
		return -errno;
	/* What nobody has allocated is zero there, too. */
	if (pwrite(own, r->host, r->used, (off_t)offset) != (ssize_t)r->used ||
	    mmap(r->host, r->size, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, own, (off_t)offset) == MAP_FAILED) {
		rc = errno ? -errno : -EIO;
		close(own);
		return rc;
	}
	close(r->fd);
	r->fd = own;
	r->offset = offset;
	return 0;
}

int guest_memory_move(struct guest_memory *mem, int fd)
{
	uint64_t offset = 0;
	unsigned int i;
	int rc = 0;

	for (i = 0; i < mem->nr && rc == 0; i++) {
		rc = region_move(&mem->region[i], fd, offset);
		offset += page_up(mem->region[i].size);
	}
	return rc;
}

void *guest_alloc(struct guest_memory *mem, size_t size, size_t align,
		  uint64_t *gpa)
{
	unsigned int i;

	if (align == 0)
		align = 1;
	for (i = 0; i < mem->nr; i++) {
		struct guest_region *r = &mem->region[i];
		uint64_t at = (r->used + align - 1) / align * align;

		if (at > r->size || size > r->size - at)
			continue;
		r->used = at + size;
		memset(r->host + at, 0, size);
		if (gpa)
			*gpa = r->gpa + at;
		return r->host + at;
	}
	return NULL;
}

void guest_alloc_reset(struct guest_memory *mem)
{
	unsigned int i;

	for (i = 0; i < mem->nr; i++)
		mem->region[i].used = 0;
}

void *guest_host(const struct guest_memory *mem, uint64_t gpa)
{
	unsigned int i;

	for (i = 0; i < mem->nr; i++) {
		const struct guest_region *r = &mem->region[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size)
			return r->host + (gpa - r->gpa);
	}
	return NULL;
}

uint64_t guest_gpa(const struct guest_memory *mem, const void *host)
{
	const uint8_t *p = host;
	unsigned int i;

	for (i = 0; i < mem->nr; i++) {
		const struct guest_region *r = &mem->region[i];

		if (p >= r->host && p < r->host + r->size)
			return r->gpa + (uint64_t)(p - r->host);
	}
	return UINT64_MAX;
}
