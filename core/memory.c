/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory.c - mappings: ranges of a file, or of the program, that a guest uses
 *
 *	file      ......|<------ size ------>|.....
 *	                ^ offset
 *	mapped      [page][page][page][page]
 *	            ^ base    ^ host = base + (offset - base's offset)
 *
 * The file must be one whose length can be known and that cannot block: a
 * regular file on any file system, which is what memfd and hugetlbfs give.
 * Its end is compared with the range before it is mapped.  It can still shrink
 * later: core/memory-sigbus.c catches what that leads to, and a duplicate of
 * the fd is kept so that pvio_mapping_is_lost() can ask the file itself.
 *
 * In the guard flavour each mapping is put into a reservation of inaccessible
 * addresses, one page larger at either end.
 */
#include "memory.h"

#include "memory-sigbus.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

struct pvio_mapping {
	uint32_t refs;     /* atomic */
	uint8_t *host;     /* what @offset of the file is at */
	uint64_t size;     /* bytes from there on */
	uint64_t file_end; /* of the range, in the file */
	void *area;        /* owned: to unmap, guards included; or NULL */
	size_t area_len;
	int fd;             /* owned: a duplicate; -1: the program's memory */
	int slot;           /* of core/memory-sigbus.c; -1: not watched */
	int prot;
	bool cannot_shrink; /* sealed */
};

/* The size of the pages that back @fd. */
static int mapping_page_size(int fd, size_t *page)
{
	long base = sysconf(_SC_PAGESIZE);
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	*page = (size_t)base;
	if (fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize > base)
		*page = (size_t)fs.f_bsize;
	return 0;
}

/* Is [offset, offset + size) in the file, and can it be mapped? */
static int mapping_check_file(int fd, uint64_t offset, uint64_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || size == 0 || size > SIZE_MAX / 2 ||
	    !pvio_range_ok(offset, size, (uint64_t)st.st_size))
		return -EINVAL;
	return 0;
}

/*
 * Map @len bytes, whole pages, at @offset of @fd.  *@area is what to unmap and
 * *@base where the file is in it.
 */
static int mapping_map(int fd, uint64_t offset, size_t len, size_t page,
		       int prot, struct pvio_mapping *m, uint8_t **base)
{
	const int flags = MAP_SHARED | MAP_NORESERVE;
	uint8_t *p;

#ifdef PVIO_MEMORY_GUARD
	/* A page before, a page behind, and one to align the base with. */
	m->area_len = len + 3 * page;
	m->area = mmap(NULL, m->area_len, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->area == MAP_FAILED)
		return -errno;
	p = (uint8_t *)(((uintptr_t)m->area + 2 * page - 1) & ~(page - 1));
	p = mmap(p, len, prot, flags | MAP_FIXED, fd, (off_t)offset);
	if (p == MAP_FAILED) {
		int rc = -errno;

		munmap(m->area, m->area_len);
		return rc;
	}
#else
	(void)page;
	p = mmap(NULL, len, prot, flags, fd, (off_t)offset);
	if (p == MAP_FAILED)
		return -errno;
	m->area = p;
	m->area_len = len;
#endif
	/* Guests' memory has no place in our core dumps.  Best effort. */
	madvise(p, len, MADV_DONTDUMP);
	*base = p;
	return 0;
}

int pvio_mapping_create(int fd, uint64_t offset, uint64_t size, int prot,
			struct pvio_mapping **mapping)
{
	uint64_t before, len;
	struct pvio_mapping *m;
	uint8_t *base = NULL;
	size_t page = 0;
	int rc, seals;

	rc = mapping_check_file(fd, offset, size);
	if (rc < 0)
		return rc;
	rc = mapping_page_size(fd, &page);
	if (rc < 0)
		return rc;
	before = offset & (page - 1);
	len = (before + size + page - 1) & ~(uint64_t)(page - 1);

	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->refs = 1;
	m->size = size;
	m->file_end = offset + size;
	m->prot = prot;
	m->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (m->fd < 0) {
		rc = -errno;
		goto free_mapping;
	}
	/* Not every file has seals; one that has none may shrink. */
	seals = fcntl(fd, F_GET_SEALS);
	m->cannot_shrink = seals >= 0 && (seals & F_SEAL_SHRINK);

	rc = mapping_map(fd, offset - before, len, page, prot, m, &base);
	if (rc < 0)
		goto close_fd;
	m->host = base + before;
	m->slot = pvio_sigbus_watch(base, len, page, prot);
	if (m->slot < 0) {
		rc = m->slot;
		goto unmap;
	}
	*mapping = m;
	return 0;

unmap:
	munmap(m->area, m->area_len);
close_fd:
	close(m->fd);
free_mapping:
	free(m);
	return rc;
}

/* --- several regions as one ---------------------------------------------- */

/* Map whole pages from @gpa on, as many of @len bytes as one region has, at @to. */
static int join_piece(const struct pvio_map *map, uint64_t gpa, uint64_t len,
		      size_t page, int prot, uint8_t *to, uint64_t *done)
{
	const struct pvio_region *r = pvio_map_find(map, gpa);
	const struct pvio_mapping *m;
	uint64_t offset;

	if (!r || r->mapping->fd < 0 || (r->prot & prot) != prot)
		return -EFAULT;
	m = r->mapping;
	*done = pvio_min(len, r->size - (gpa - r->gpa));
	offset = m->file_end - m->size + r->offset + (gpa - r->gpa);
	if (((*done | offset) & (page - 1)) != 0)
		return -EFAULT;
	if (mmap(to, *done, prot, MAP_SHARED | MAP_NORESERVE | MAP_FIXED,
		 m->fd, (off_t)offset) == MAP_FAILED)
		return -errno;
	return 0;
}

int pvio_map_join(const struct pvio_map *map, uint64_t gpa, uint64_t len,
		  int prot, struct pvio_mapping **joined)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t before = gpa & (page - 1), at, done;
	struct pvio_mapping *m;
	int rc = 0;

	if (len == 0 || len > SIZE_MAX / 2 || gpa > UINT64_MAX - len - page)
		return -EFAULT;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->refs = 1;
	m->size = len;
	m->fd = -1;
	m->prot = prot;
	m->area_len = (before + len + page - 1) & ~(page - 1);
	m->area = mmap(NULL, m->area_len, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->area == MAP_FAILED) {
		rc = -errno;
		goto free_mapping;
	}
	m->host = (uint8_t *)m->area + before;
	for (at = 0; at < m->area_len && rc == 0; at += done)
		rc = join_piece(map, gpa - before + at, m->area_len - at, page,
				prot, (uint8_t *)m->area + at, &done);
	if (rc < 0)
		goto unmap;
	madvise(m->area, m->area_len, MADV_DONTDUMP);
	m->slot = pvio_sigbus_watch(m->area, m->area_len, page, prot);
	if (m->slot < 0) {
		rc = m->slot;
		goto unmap;
	}
	*joined = m;
	return 0;

unmap:
	munmap(m->area, m->area_len);
free_mapping:
	free(m);
	return rc;
}

/* --- the program's memory, and all of them ------------------------------- */

int pvio_mapping_wrap(void *host, uint64_t size, struct pvio_mapping **mapping)
{
	struct pvio_mapping *m;

	if (!host || size == 0 || size > SIZE_MAX / 2 ||
	    size > UINTPTR_MAX - (uintptr_t)host)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->refs = 1;
	m->host = host;
	m->size = size;
	m->prot = PROT_READ | PROT_WRITE;
	m->fd = -1;
	m->slot = -1;
	*mapping = m;
	return 0;
}

void *pvio_mapping_host(const struct pvio_mapping *mapping)
{
	return mapping->host;
}

uint64_t pvio_mapping_size(const struct pvio_mapping *mapping)
{
	return mapping->size;
}

int pvio_mapping_prot(const struct pvio_mapping *mapping)
{
	return mapping->prot;
}

bool pvio_mapping_is_lost(const struct pvio_mapping *mapping)
{
	struct stat st;

	if (mapping->slot < 0)
		return false;
	if (pvio_sigbus_is_lost(mapping->slot))
		return true;
	/* No page that is gone has been touched yet. */
	return !mapping->cannot_shrink && fstat(mapping->fd, &st) == 0 &&
	       (uint64_t)st.st_size < mapping->file_end;
}

bool pvio_mapping_has_faulted(const struct pvio_mapping *mapping)
{
	return mapping->slot >= 0 && pvio_sigbus_is_lost(mapping->slot);
}

void pvio_mapping_get(struct pvio_mapping *mapping)
{
	__atomic_fetch_add(&mapping->refs, 1, __ATOMIC_RELAXED);
}

void pvio_mapping_put(struct pvio_mapping *mapping)
{
	if (!mapping || __atomic_sub_fetch(&mapping->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (mapping->slot >= 0)
		pvio_sigbus_unwatch(mapping->slot);
	if (mapping->area)
		munmap(mapping->area, mapping->area_len);
	if (mapping->fd >= 0)
		close(mapping->fd);
	free(mapping);
}
