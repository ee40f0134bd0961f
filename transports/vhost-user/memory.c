/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory.c - the front-end's memory: its table of regions, and the dirty log
 *
 * A region is a range of a file that the front-end passed, known by two
 * addresses: the guest's (gpa, used in descriptors) and the front-end's own
 * (uva, used for rings).
 *
 * Every change makes a whole new map, which the device swaps in while its
 * queues pause; the regions that stay keep their mappings, so their pages need
 * not be faulted in again.  If anything is wrong with the new table the old one
 * stays in force.
 */
#include "vhost-user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define LOG_PAGE_SHIFT 12

static void regions_free(struct vu_region *regions, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (regions[i].mapping)
			pvio_mapping_put(regions[i].mapping);
	free(regions);
}

void vu_memory_fini(struct vu_session *s)
{
	regions_free(s->regions, s->nr_regions);
	s->regions = NULL;
	s->nr_regions = 0;
	if (s->log)
		pvio_mapping_put(s->log);
	s->log = NULL;
}

static bool region_is_same_file(const struct vu_region *a,
				const struct vu_region *b)
{
	return a->dev == b->dev && a->ino == b->ino &&
	       a->wire.mmap_offset == b->wire.mmap_offset &&
	       a->wire.size == b->wire.size;
}

/* Fill in @r: map the file, or share the mapping of a region we have. */
static int region_open(struct vu_session *s, struct vu_region *r,
		       const struct vu_memory_region *wire, int fd)
{
	struct stat st;
	unsigned int i;
	int rc;

	r->wire = *wire;
	if (fstat(fd, &st) < 0)
		return -errno;
	r->dev = st.st_dev;
	r->ino = st.st_ino;
	for (i = 0; i < s->nr_regions; i++) {
		if (!region_is_same_file(&s->regions[i], r) ||
		    pvio_mapping_is_lost(s->regions[i].mapping) ||
		    !pvio_range_ok(wire->mmap_offset, wire->size,
				   (uint64_t)st.st_size))
			continue;
		r->mapping = s->regions[i].mapping;
		pvio_mapping_get(r->mapping);
		return 0;
	}
	rc = vu_map(s, fd, wire->mmap_offset, wire->size, &r->mapping);
	if (rc < 0)
		r->mapping = NULL;
	return rc;
}

/* One file range twice would be one page under two guest addresses. */
static bool regions_have_twins(const struct vu_region *r, unsigned int nr)
{
	unsigned int i, j;

	for (i = 0; i < nr; i++)
		for (j = i + 1; j < nr; j++)
			if (region_is_same_file(&r[i], &r[j]))
				return true;
	return false;
}

/* --- applying a table ----------------------------------------------------- */

static bool memory_is_logging(const struct vu_session *s)
{
	return s->log && s->features >> VU_F_LOG_ALL & 1;
}

static int memory_build_map(struct vu_session *s,
			    const struct vu_region *regions, unsigned int nr,
			    struct pvio_map **map)
{
	struct pvio_region *r;
	unsigned int i;
	int rc;

	r = calloc(nr ? nr : 1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		r[i].gpa = regions[i].wire.gpa;
		r[i].size = regions[i].wire.size;
		r[i].uva = regions[i].wire.uva;
		r[i].mapping = regions[i].mapping;
	}
	rc = pvio_map_create(r, nr, map);
	free(r);
	if (rc < 0 || !memory_is_logging(s))
		return rc;

	rc = s->log_bytes < pvio_map_log_bytes(*map)
		     ? -ERANGE
		     : pvio_map_set_log(*map, s->log, s->log_bytes);
	if (rc < 0)
		pvio_map_put(*map);
	return rc;
}

static void memory_is_set(void *arg, int rc)
{
	struct vu_session *s = arg;

	/* Refused: the map is still ours. */
	if (rc < 0)
		pvio_map_put(s->new_map);
	s->new_map = NULL;
	if (s->new_regions != s->regions) {
		if (rc == 0) {
			regions_free(s->regions, s->nr_regions);
			s->regions = s->new_regions;
			s->nr_regions = s->new_nr_regions;
		} else {
			regions_free(s->new_regions, s->new_nr_regions);
		}
	}
	s->new_regions = NULL;
	s->memory_then(s, rc);
}

/*
 * Have the device use @regions (s->regions, or others, which are taken when
 * this succeeds), with the dirty log if one is on; then @then.
 */
static int memory_apply(struct vu_session *s, struct vu_region *regions,
			unsigned int nr, vu_then_fn *then)
{
	struct pvio_map *map;
	int rc;

	rc = memory_build_map(s, regions, nr, &map);
	if (rc < 0)
		return rc;
	s->new_map = map;
	s->new_regions = regions;
	s->new_nr_regions = nr;
	s->memory_then = then;
	pvio_device_set_memory(s->dev, map, memory_is_set, s);
	return 0;
}

/* Rings whose addresses were in no region may start now. */
static void memory_then_start(struct vu_session *s, int rc)
{
	if (rc < 0)
		vu_message_done(s, rc);
	else
		vu_rings_start_ready(s, vu_message_done);
}

/* Apply @regions for the message under way; takes them in any case. */
static int memory_change(struct vu_session *s, struct vu_region *regions,
			 unsigned int nr)
{
	int rc = -EEXIST;

	if (!regions_have_twins(regions, nr))
		rc = memory_apply(s, regions, nr, memory_then_start);
	if (rc < 0) {
		regions_free(regions, nr);
		return vu_refuse(s, "%u regions: %s", nr, strerror(-rc));
	}
	return VU_LATER;
}

/* --- messages ------------------------------------------------------------- */

/* Is @regions what is in force?  QEMU sends its table for each queue pair. */
static bool regions_are_current(const struct vu_session *s,
				const struct vu_region *regions,
				unsigned int nr)
{
	unsigned int i;

	if (nr != s->nr_regions)
		return false;
	for (i = 0; i < nr; i++)
		if (memcmp(&regions[i].wire, &s->regions[i].wire,
			   sizeof(regions[i].wire)) != 0 ||
		    regions[i].mapping != s->regions[i].mapping)
			return false;
	return true;
}

int vu_set_mem_table(struct vu_session *s, struct vu_message *msg)
{
	const struct vu_memory_table *table = &msg->table;
	unsigned int i, nr = table->nr;
	struct vu_region *regions;
	int rc;

	/* nr is as large as it likes until it equals the number of fds. */
	if (nr == 0 || nr != msg->fds.nr ||
	    msg->header.size < offsetof(struct vu_memory_table, region[nr]))
		return vu_refuse(s, "%u regions, %u fds, %u bytes", nr,
				 msg->fds.nr, msg->header.size);
	regions = calloc(nr, sizeof(*regions));
	if (!regions)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		rc = region_open(s, &regions[i], &table->region[i], msg->fds.fd[i]);
		if (rc < 0) {
			regions_free(regions, nr);
			return vu_refuse(s, "region %u: %s", i, strerror(-rc));
		}
	}
	if (regions_are_current(s, regions, nr)) {
		regions_free(regions, nr);
		return VU_DONE;
	}
	return memory_change(s, regions, nr);
}

/* The regions in force, with room for one more, each with a reference. */
static struct vu_region *regions_copy(const struct vu_session *s)
{
	struct vu_region *copy;
	unsigned int i;

	copy = calloc(s->nr_regions + 1, sizeof(*copy));
	for (i = 0; copy && i < s->nr_regions; i++) {
		copy[i] = s->regions[i];
		pvio_mapping_get(copy[i].mapping);
	}
	return copy;
}

/*
 * QEMU 7.2 tells each region, and takes it back, once for every queue
 * pair of a network card.  A region told again is counted; the first removal
 * removes it, and leaves the others owed.
 */
static unsigned int regions_times(const struct vu_session *s)
{
	return s->nr_rings / 2;
}

static bool region_is_told_again(struct vu_session *s,
				 const struct vu_region *region)
{
	struct vu_region *r;
	unsigned int i;

	for (i = 0; i < s->nr_regions; i++) {
		r = &s->regions[i];
		if (memcmp(&r->wire, &region->wire, sizeof(r->wire)) == 0 &&
		    r->mapping == region->mapping &&
		    r->more_times + 1 < regions_times(s)) {
			r->more_times++;
			return true;
		}
	}
	return false;
}

static bool region_is_owed(struct vu_session *s,
			   const struct vu_memory_region *gone)
{
	unsigned int i;

	for (i = 0; i < s->nr_owed; i++) {
		if (s->owed[i].gpa != gone->gpa || s->owed[i].uva != gone->uva ||
		    s->owed[i].size != gone->size)
			continue;
		s->owed[i] = s->owed[--s->nr_owed];
		return true;
	}
	return false;
}

static void region_owe(struct vu_session *s, const struct vu_region *region)
{
	unsigned int i;

	for (i = 0; i < region->more_times && s->nr_owed < VU_MAX_OWED; i++)
		s->owed[s->nr_owed++] = region->wire;
}

int vu_add_mem_reg(struct vu_session *s, struct vu_message *msg)
{
	struct vu_region *regions;
	int rc;

	if (s->nr_regions >= PVIO_MAP_MAX_REGIONS)
		return vu_refuse(s, "there are %u regions", s->nr_regions);
	regions = regions_copy(s);
	if (!regions)
		return -ENOMEM;
	rc = region_open(s, &regions[s->nr_regions], &msg->single.region,
			 msg->fds.fd[0]);
	if (rc < 0) {
		regions_free(regions, s->nr_regions);
		return vu_refuse(s, "%s", strerror(-rc));
	}
	if (region_is_told_again(s, &regions[s->nr_regions])) {
		regions_free(regions, s->nr_regions + 1);
		return VU_DONE;
	}
	return memory_change(s, regions, s->nr_regions + 1);
}

int vu_rem_mem_reg(struct vu_session *s, struct vu_message *msg)
{
	const struct vu_memory_region *gone = &msg->single.region;
	struct vu_region *regions;
	unsigned int i;

	for (i = 0; i < s->nr_regions; i++)
		if (s->regions[i].wire.gpa == gone->gpa &&
		    s->regions[i].wire.uva == gone->uva &&
		    s->regions[i].wire.size == gone->size)
			break;
	if (i == s->nr_regions)
		return region_is_owed(s, gone) ? VU_DONE
					       : vu_refuse(s, "no such region");
	regions = regions_copy(s);
	if (!regions)
		return -ENOMEM;
	region_owe(s, &regions[i]);
	pvio_mapping_put(regions[i].mapping);
	memmove(&regions[i], &regions[i + 1],
		(s->nr_regions - i) * sizeof(*regions));
	return memory_change(s, regions, s->nr_regions - 1);
}

/* --- the dirty log -------------------------------------------------------- */

bool vu_log_covers(const struct vu_session *s, uint64_t gpa, uint64_t len)
{
	return len > 0 && gpa + len - 1 >= gpa &&
	       ((gpa + len - 1) >> (LOG_PAGE_SHIFT + 3)) < s->log_bytes;
}

int vu_memory_relog(struct vu_session *s, vu_then_fn *then)
{
	int rc;

	if (memory_is_logging(s) == (pvio_device_map(s->dev)->log != NULL))
		return 0;
	rc = memory_apply(s, s->regions, s->nr_regions, then);
	if (rc < 0)
		vu_refuse(s, "dirty log: %s", strerror(-rc));
	return rc < 0 ? rc : 1;
}

int vu_set_log_base(struct vu_session *s, struct vu_message *msg)
{
	uint64_t bytes = msg->log.size, old_bytes = s->log_bytes;
	struct pvio_mapping *log, *old = s->log;
	int rc;

	if (bytes < pvio_map_log_bytes(pvio_device_map(s->dev)))
		return vu_refuse(s, "%llu bytes are too few",
				 (unsigned long long)bytes);
	rc = pvio_mapping_create(msg->fds.fd[0], msg->log.offset, bytes,
				 PROT_READ | PROT_WRITE, &log);
	if (rc < 0)
		return vu_refuse(s, "%s", strerror(-rc));
	s->log = log;
	s->log_bytes = bytes;
	rc = 0;
	if (memory_is_logging(s))
		rc = memory_apply(s, s->regions, s->nr_regions,
				  vu_message_done);
	if (rc < 0) {
		s->log = old;
		s->log_bytes = old_bytes;
		pvio_mapping_put(log);
		return vu_refuse(s, "%s", strerror(-rc));
	}
	/* The map that still logs to the old one has its own reference. */
	if (old)
		pvio_mapping_put(old);
	return memory_is_logging(s) ? VU_LATER : VU_DONE;
}
