/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory.h - guest memory: the only code that dereferences it
 *
 * A *mapping* is one range of one fd (or of the embedding program) mapped into
 * this process.  A *memory map* is an immutable, sorted table of regions, each
 * on a mapping; it is what queues translate with.  To change memory one builds
 * a new map, which shares the mappings that stay, and gives it to the device
 * (pvio_device_set_memory), which swaps it while no queue runs.
 *
 *	gpa:   0        640K   1M                    3G        4G        5G
 *	       |--region--|     |--------region-------|         |--region--|
 *	                \           |                          /
 *	                 one mapping, or several: adjacent in the guest does
 *	                 not mean adjacent here
 *
 * All that the guest can write is hostile and changes while we look.  So:
 * metadata (ring indices, descriptors, request headers) is read once, into a
 * local, by the functions below, and only the local is checked and used.  Bulk
 * data goes to and from system calls as iovecs, or through pvio_iov_copy_*().
 *
 * A file behind a mapping can be truncated by whoever holds the fd.  The
 * module catches the resulting SIGBUS, puts private zero pages in the place of
 * what is gone and marks the mapping lost; the queue code sees that and asks
 * for a device reset.
 *
 * Flavours, chosen at link time by linking another build of the library:
 * production (these loads are plain loads), checked (PVIO_MEMORY_CHECKED:
 * reading a byte of metadata twice within one request is reported to
 * pvio_memory_double_fetch(), which ends the test), guard (PVIO_MEMORY_GUARD:
 * every mapping lies between inaccessible pages and never next to another).
 */
#ifndef PVIO_CORE_MEMORY_H
#define PVIO_CORE_MEMORY_H

#include "barrier.h"
#include "util.h"

#include <endian.h>
#include <string.h>
#include <sys/uio.h>

#pragma GCC visibility push(default)

struct pvio_mapping;

/* --- mappings and maps: control thread ---------------------------------- */

/*
 * Map @size bytes at @offset of @fd (borrowed: a duplicate is kept), readable
 * and writable as @prot (PROT_READ, PROT_WRITE) says.  @offset need not be
 * page-aligned.  -EINVAL: empty, wraps, not a regular file, or the file ends
 * before offset + size; -ENOSPC: too many mappings in the process; -ENOMEM, or
 * what mmap says.  pvio_mapping_put() it.
 */
int pvio_mapping_create(int fd, uint64_t offset, uint64_t size, int prot,
			struct pvio_mapping **mapping);
/* The same over memory of the embedding program, borrowed until the last put. */
int pvio_mapping_wrap(void *host, uint64_t size,
		      struct pvio_mapping **mapping);
void *pvio_mapping_host(const struct pvio_mapping *mapping);
uint64_t pvio_mapping_size(const struct pvio_mapping *mapping);
int pvio_mapping_prot(const struct pvio_mapping *mapping);
/*
 * Did its file shrink under it?  Asks the file.  has_faulted: and has something
 * touched what is gone; cheap.  Any thread.
 */
bool pvio_mapping_is_lost(const struct pvio_mapping *mapping);
bool pvio_mapping_has_faulted(const struct pvio_mapping *mapping);
void pvio_mapping_get(struct pvio_mapping *mapping);
void pvio_mapping_put(struct pvio_mapping *mapping); /* NULL is allowed */

struct pvio_region {
	uint64_t gpa;		      /* guest-physical start */
	uint64_t size;		      /* bytes */
	uint64_t uva;		      /* front-end's address (vhost-user), or 0 */
	uint8_t *host;		      /* filled in by pvio_map_create() */
	int prot;		      /* the same: what may be done there */
	struct pvio_mapping *mapping; /* the map holds a reference */
	uint64_t offset;	      /* of its start in the mapping */
};

/* What a transport lets its peer have, unless it says otherwise ... */
#define PVIO_MAP_MAX_REGIONS  512
/* ... and what a map can have. */
#define PVIO_MAP_MANY_REGIONS 16384

/* Where writes are logged during migration: one bit a 4 KiB page. */
struct pvio_dirty_log {
	struct pvio_mapping *mapping; /* owned reference */
	uint8_t *bits;
	uint64_t bytes;
};

struct pvio_map {
	uint32_t refs;	 /* atomic */
	uint32_t nr;	 /* regions, sorted by gpa, none overlapping */
	bool *lost_hint; /* process-wide: some mapping was lost */
	bool is_limited; /* some region can't be read, or not be written */
	struct pvio_dirty_log *log; /* NULL: not logging; owned */
	struct pvio_region region[];
};

/*
 * Build a map from @nr regions (all but host and prot).  Takes a reference on
 * each mapping.  -EINVAL when one wraps, is empty or reaches beyond its mapping;
 * -EEXIST when two overlap in gpa, or in uva where uva != 0;
 * -ENOSPC, -ENOMEM.  The empty map (nr 0) is legal: nothing translates.
 */
int pvio_map_create(const struct pvio_region *regions, unsigned int nr,
		    struct pvio_map **map);
/* The same from the ranges that an embedding program lists (pvio/memory.h). */
struct pvio_memory;
int pvio_memory_map(const struct pvio_memory *mem, struct pvio_map **map);
struct pvio_map *pvio_map_get(struct pvio_map *map);
void pvio_map_put(struct pvio_map *map); /* NULL is allowed */
/* Attach a dirty log to a map nobody uses yet.  Takes a reference. */
int pvio_map_set_log(struct pvio_map *map, struct pvio_mapping *bitmap,
		     uint64_t bytes);
/* The smallest log, in bytes, that covers every region. */
uint64_t pvio_map_log_bytes(const struct pvio_map *map);

/* Has some region of this map faulted?  Any thread. */
bool pvio_map_find_lost(const struct pvio_map *map);
static inline bool pvio_map_is_lost(const struct pvio_map *map)
{
	return unlikely(pvio_load_once(map->lost_hint)) &&
	       pvio_map_find_lost(map);
}

/* --- translation: any thread that holds the map -------------------------- */

/* The region that holds @gpa, or NULL. */
const struct pvio_region *pvio_map_find(const struct pvio_map *map,
					uint64_t gpa);

/*
 * The host address of @len bytes at @gpa when they lie in one region, else
 * NULL.  @hint is the caller's memory of the last region that served.
 */
static inline void *pvio_map_at(const struct pvio_map *map,
				const struct pvio_region **hint, uint64_t gpa,
				uint64_t len)
{
	const struct pvio_region *r = *hint;

	/* A gpa below the region wraps to a start that no range has. */
	if (unlikely(!r || !pvio_range_ok(gpa - r->gpa, len, r->size))) {
		r = pvio_map_find(map, gpa);
		if (!r || !pvio_range_ok(gpa - r->gpa, len, r->size))
			return NULL;
		*hint = r;
	}
	return r->host + (gpa - r->gpa);
}

/*
 * Translate @len bytes at @gpa piecewise into @iov.  Returns how many entries
 * it took (0 for @len 0), -EFAULT when some byte is in no region, -E2BIG when
 * @max entries are too few.
 */
int pvio_map_iov(const struct pvio_map *map, const struct pvio_region **hint,
		 uint64_t gpa, uint64_t len, struct iovec *iov, int max);

/*
 * May all of [gpa, gpa + len), which is in the map, be accessed as @prot says
 * (PROT_READ, PROT_WRITE)?  To be asked only where is_limited is set.
 */
bool pvio_map_allows(const struct pvio_map *map, uint64_t gpa, uint64_t len,
		     int prot);

/*
 * A mapping of its own of @len bytes at @gpa, for those that lie in several
 * regions and have to be in one piece: a ring that a vIOMMU cuts into pages.
 * -EFAULT: not all of them are in files, in whole pages, that @prot allows;
 * -ENOMEM, -ENOSPC, or what mmap says.  Any thread.  pvio_mapping_put() it.
 */
int pvio_map_join(const struct pvio_map *map, uint64_t gpa, uint64_t len,
		  int prot, struct pvio_mapping **joined);

/* A front-end's address as a gpa.  -EFAULT unless one region has it all. */
int pvio_map_uva_to_gpa(const struct pvio_map *map, uint64_t uva, uint64_t len,
			uint64_t *gpa);

/* --- dirty log: any thread; atomic; bounds are checked at every mark ------ */

/* Mark the pages of [gpa, gpa + len). */
void pvio_map_log_gpa(const struct pvio_map *map, uint64_t gpa, uint64_t len);
/* Mark the first @len bytes that @iov covers (host addresses of this map). */
void pvio_map_log_iov(const struct pvio_map *map, const struct iovec *iov,
		      int nr, uint64_t len);

/* --- access ----------------------------------------------------------------
 *
 * Index loads may be repeated: they are polled.  Metadata loads may not.
 */
#ifdef PVIO_MEMORY_CHECKED
/* Forget what this thread has read: a new request begins. */
void pvio_memory_request_begin(void);
void pvio_memory_note_fetch(const void *p, size_t len);
/* What a second fetch calls; the default prints both and aborts. */
extern void (*pvio_memory_double_fetch)(const void *p, size_t len);
#else
static inline void pvio_memory_request_begin(void)
{
}
static inline void pvio_memory_note_fetch(const void *p, size_t len)
{
	(void)p;
	(void)len;
}
#endif

#define pvio_guest_index_load(p)	 pvio_load_once(p)
#define pvio_guest_index_acquire(p)	 pvio_load_acquire(p)
#define pvio_guest_store(p, v)		 pvio_store_once(p, v)
#define pvio_guest_store_release(p, v)	 pvio_store_release(p, v)

static inline uint16_t pvio_guest_load16(const uint16_t *p)
{
	pvio_memory_note_fetch(p, sizeof(*p));
	return pvio_load_once(p);
}

static inline uint64_t pvio_guest_load64(const uint64_t *p)
{
	pvio_memory_note_fetch(p, sizeof(*p));
	return pvio_load_once(p);
}

/* Copy a metadata struct out of guest memory, each byte once. */
static inline void pvio_guest_fetch(void *dst, const void *src, size_t len)
{
	pvio_memory_note_fetch(src, len);
	memcpy(dst, src, len);
	/* The copy is what is used from here on, not a second load. */
	__asm__ __volatile__("" : : "r"(dst) : "memory");
}

/*
 * Copy @len bytes between @buf and the bytes that @iov covers from @offset on.
 * Returns the number copied: less than @len where the iovec ends.
 * fetch: metadata, counted by the checked flavour.  get: bulk data.
 */
static inline size_t pvio_iov_fetch(const struct iovec *iov, int nr,
				    size_t offset, void *buf, size_t len);
static inline size_t pvio_iov_get(const struct iovec *iov, int nr,
				  size_t offset, void *buf, size_t len);
static inline size_t pvio_iov_put(const struct iovec *iov, int nr,
				  size_t offset, const void *buf, size_t len);
size_t pvio_iov_zero(const struct iovec *iov, int nr, size_t offset,
		     size_t len);
/* Guest to guest: one copy.  Both ends may be guest memory. */
static inline size_t pvio_iov_copy(const struct iovec *to, int nr_to,
				   size_t to_offset, const struct iovec *from,
				   int nr_from, size_t from_offset, size_t len);
size_t pvio_iov_length(const struct iovec *iov, int nr);
/*
 * The sub-range [offset, offset + len) of @iov as entries of @out.  Returns how
 * many, -E2BIG when @max are too few, -EFAULT when @iov is too short.
 */
int pvio_iov_slice(const struct iovec *iov, int nr, size_t offset, size_t len,
		   struct iovec *out, int max);

/*
 * Nearly always the bytes lie in the first entry: then it is one copy, of a
 * length the compiler often knows (pvio-bench net --one-thread --kind loop:
 * 14.8 instead of 11.7 million frames a second).
 */
size_t pvio_iov_fetch_pieces(const struct iovec *iov, int nr, size_t offset,
			     void *buf, size_t len);
size_t pvio_iov_get_pieces(const struct iovec *iov, int nr, size_t offset,
			   void *buf, size_t len);
size_t pvio_iov_put_pieces(const struct iovec *iov, int nr, size_t offset,
			   const void *buf, size_t len);
size_t pvio_iov_copy_pieces(const struct iovec *to, int nr_to,
			    size_t to_offset, const struct iovec *from,
			    int nr_from, size_t from_offset, size_t len);

static inline bool pvio_iov_first_has(const struct iovec *iov, int nr,
				      size_t offset, size_t len)
{
	return likely(nr > 0 && pvio_range_ok(offset, len, iov->iov_len));
}

static inline size_t pvio_iov_fetch(const struct iovec *iov, int nr,
				    size_t offset, void *buf, size_t len)
{
	if (!pvio_iov_first_has(iov, nr, offset, len))
		return pvio_iov_fetch_pieces(iov, nr, offset, buf, len);
	pvio_guest_fetch(buf, (uint8_t *)iov->iov_base + offset, len);
	return len;
}

static inline size_t pvio_iov_get(const struct iovec *iov, int nr,
				  size_t offset, void *buf, size_t len)
{
	if (!pvio_iov_first_has(iov, nr, offset, len))
		return pvio_iov_get_pieces(iov, nr, offset, buf, len);
	memcpy(buf, (uint8_t *)iov->iov_base + offset, len);
	/* The copy is what is used from here on, not a second load. */
	__asm__ __volatile__("" : : "r"(buf) : "memory");
	return len;
}

static inline size_t pvio_iov_put(const struct iovec *iov, int nr,
				  size_t offset, const void *buf, size_t len)
{
	if (!pvio_iov_first_has(iov, nr, offset, len))
		return pvio_iov_put_pieces(iov, nr, offset, buf, len);
	memcpy((uint8_t *)iov->iov_base + offset, buf, len);
	return len;
}

static inline size_t pvio_iov_copy(const struct iovec *to, int nr_to,
				   size_t to_offset, const struct iovec *from,
				   int nr_from, size_t from_offset, size_t len)
{
	if (!pvio_iov_first_has(to, nr_to, to_offset, len) ||
	    !pvio_iov_first_has(from, nr_from, from_offset, len))
		return pvio_iov_copy_pieces(to, nr_to, to_offset, from,
					    nr_from, from_offset, len);
	/* A guest may hand out one buffer twice: overlap. */
	memmove((uint8_t *)to->iov_base + to_offset,
		(uint8_t *)from->iov_base + from_offset, len);
	return len;
}

#pragma GCC visibility pop
#endif
