/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dma.c - the client's memory: what it maps for us, and takes back
 *
 * A map comes with a file, which we map, or without one: memory that only the
 * client can reach (ROM, other devices' BARs, RAM that it does not share).  The
 * latter is remembered, and is no memory for the device: nothing translates to
 * it.  Asking the client for its bytes is no way out, since QEMU answers such
 * requests while it holds the lock that a vCPU, which waits for us, has too.
 *
 * Of a file all is mapped at once, and every range of it that the client maps is
 * part of that: a vIOMMU cuts memory into thousands of pages.  How many files,
 * and how large, is limited: other clients' devices may share the process.
 * Ranges that lie side by side both in the file and for the guest become one
 * region again, so that a ring may span them.
 *
 * Every change makes a whole new map, which the device swaps in while its
 * queues pause; what was taken back is unmapped, and answered, only when
 * nothing of the device uses it any more.  A queue whose ring went waits until
 * memory that has it comes (struct pvio_transport_ops, awaits_memory): a
 * client may remap in pieces, or be replaced by another.
 *
 * An unmap takes all maps within its range, as a Linux container of type 1 does:
 * a vIOMMU that is flushed takes back what was never there.  It does not split
 * one.
 */
#include "vfio-user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* --- files ---------------------------------------------------------------- */

/* That of which [@offset, @offset + @size) is mapped already; NULL: none is. */
static struct vfu_file *file_find(const struct vfu_session *s,
				  const struct stat *st, int prot,
				  uint64_t offset, uint64_t size)
{
	struct pvio_list *node;
	struct vfu_file *file;

	pvio_list_for_each(node, &s->files) {
		file = pvio_list_entry(node, struct vfu_file, node);
		if (file->dev == st->st_dev && file->ino == st->st_ino &&
		    file->prot == prot &&
		    pvio_range_ok(offset, size,
				  pvio_mapping_size(file->mapping)) &&
		    !pvio_mapping_is_lost(file->mapping))
			return file;
	}
	return NULL;
}

static int file_create(struct vfu_session *s, const struct stat *st, int prot,
		       int fd, struct vfu_file **out)
{
	struct vfu_file *file;
	int rc;

	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	rc = pvio_mapping_create(fd, 0, (uint64_t)st->st_size, prot,
				 &file->mapping);
	if (rc < 0) {
		free(file);
		return rc;
	}
	file->dev = st->st_dev;
	file->ino = st->st_ino;
	file->prot = prot;
	pvio_list_add_tail(&s->files, &file->node);
	s->nr_files++;
	s->file_bytes += pvio_mapping_size(file->mapping);
	*out = file;
	return 0;
}

static void file_put(struct vfu_session *s, struct vfu_file *file)
{
	if (!file || --file->nr_dma > 0)
		return;
	pvio_list_del(&file->node);
	s->nr_files--;
	s->file_bytes -= pvio_mapping_size(file->mapping);
	pvio_mapping_put(file->mapping);
	free(file);
}

/* --- the list ------------------------------------------------------------- */

/* The first that ends behind @iova; nr_dma if none does. */
static unsigned int dma_find(const struct vfu_session *s, uint64_t iova)
{
	unsigned int low = 0, high = s->nr_dma, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (s->dma[middle].iova + (s->dma[middle].size - 1) < iova)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool vfu_dma_is_out_of_reach(const struct vfu_session *s, uint64_t iova,
			     uint64_t len)
{
	unsigned int i = dma_find(s, iova);
	uint64_t last = len ? iova + (len - 1) : iova;

	if (last < iova)
		last = UINT64_MAX;
	for (; i < s->nr_dma && s->dma[i].iova <= last; i++)
		if (!s->dma[i].file)
			return true;
	return false;
}

static int dma_make_room(struct vfu_session *s)
{
	unsigned int room = s->room ? s->room * 2 : 64;
	struct vfu_dma *dma;

	if (s->nr_dma < s->room)
		return 0;
	if (s->nr_dma >= VFU_MAX_DMA)
		return -ENOSPC;
	dma = realloc(s->dma, room * sizeof(*dma));
	if (!dma)
		return -ENOMEM;
	s->dma = dma;
	s->room = room;
	return 0;
}

static void dma_remove(struct vfu_session *s, unsigned int first,
		       unsigned int nr)
{
	/* Of a list that is empty there may not even be memory. */
	if (nr == 0)
		return;
	memmove(&s->dma[first], &s->dma[first + nr],
		(s->nr_dma - first - nr) * sizeof(*s->dma));
	s->nr_dma -= nr;
}

static void dma_put(struct vfu_session *s, struct vfu_dma *dma, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		file_put(s, dma[i].file);
}

void vfu_dma_fini(struct vfu_session *s)
{
	if (s->nr_dma > 0)
		dma_put(s, s->dma, s->nr_dma);
	free(s->dma);
	s->dma = NULL;
	s->nr_dma = s->room = 0;
}

/* --- giving it to the device ---------------------------------------------- */

/* Does @next go on where @r ends? */
static bool dma_adjoins(const struct pvio_region *r,
			const struct vfu_dma *next)
{
	return r->mapping == next->file->mapping &&
	       r->gpa + r->size == next->iova &&
	       r->offset + r->size == next->offset;
}

static int dma_build_map(const struct vfu_session *s, struct pvio_map **map)
{
	const struct vfu_dma *d = s->dma;
	struct pvio_region *r;
	unsigned int i, nr = 0;
	int rc;

	r = calloc(s->nr_dma ? s->nr_dma : 1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	for (i = 0; i < s->nr_dma; i++, d++) {
		if (!d->file)
			continue;
		if (nr > 0 && dma_adjoins(&r[nr - 1], d)) {
			r[nr - 1].size += d->size;
			continue;
		}
		r[nr].gpa = d->iova;
		r[nr].size = d->size;
		r[nr].mapping = d->file->mapping;
		r[nr].offset = d->offset;
		nr++;
	}
	rc = pvio_map_create(r, nr, map);
	free(r);
	return rc;
}

static void dma_is_set(void *arg, int rc)
{
	struct vfu_session *s = arg;

	if (rc < 0)
		pvio_map_put(s->new_map);
	s->new_map = NULL;
	s->memory_then(s, rc);
}

/* Have the device use what is listed; then @then. */
static int dma_apply(struct vfu_session *s,
		     void (*then)(struct vfu_session *s, int rc))
{
	int rc;

	rc = dma_build_map(s, &s->new_map);
	if (rc < 0)
		return rc;
	s->memory_then = then;
	s->vfu->pci->ops->set_memory(s->vfu->pci, s->new_map, dma_is_set, s);
	return 0;
}

/* --- DMA_MAP -------------------------------------------------------------- */

static int map_check(struct vfu_session *s, const struct vfu_dma_map *m)
{
	const uint32_t known = VFU_DMA_READABLE | VFU_DMA_WRITABLE;
	uint64_t at = m->iova | m->size | m->offset;
	unsigned int i;

	if (m->argsz < sizeof(*m) || m->flags & ~known || !(m->flags & known))
		return vfu_refuse(s, -EINVAL, "argsz %u, flags 0x%x", m->argsz,
				  m->flags);
	/* As in any map of regions, the last page of all is not used. */
	if (m->size == 0 || at & (VFU_PAGE_BYTES - 1) ||
	    m->size > UINT64_MAX - m->iova)
		return vfu_refuse(s, -EINVAL, "0x%llx bytes at 0x%llx",
				  (unsigned long long)m->size,
				  (unsigned long long)m->iova);
	i = dma_find(s, m->iova);
	if (i < s->nr_dma && s->dma[i].iova <= m->iova + (m->size - 1))
		return vfu_refuse(s, -EEXIST,
				  "0x%llx bytes at 0x%llx are mapped in part",
				  (unsigned long long)m->size,
				  (unsigned long long)m->iova);
	return 0;
}

static void map_is_set(struct vfu_session *s, int rc)
{
	struct vfu_dma_map m;
	unsigned int i;

	if (rc < 0) {
		memcpy(&m, s->wire.message.payload, sizeof(m));
		i = dma_find(s, m.iova);
		dma_put(s, &s->dma[i], 1);
		dma_remove(s, i, 1);
	}
	vfu_message_done(s, rc);
}

/* Map the file of @d, or share what is mapped of it.  -errno, logged. */
static int map_open(struct vfu_session *s, struct vfu_dma *d, int prot, int fd)
{
	struct stat st;
	int rc = 0;

	if (fstat(fd, &st) < 0)
		rc = -errno;
	else if (!pvio_range_ok(d->offset, d->size, (uint64_t)st.st_size))
		rc = -EINVAL;
	if (rc < 0)
		return vfu_refuse(s, rc, "%s", strerror(-rc));
	d->file = file_find(s, &st, prot, d->offset, d->size);
	if (!d->file) {
		if (s->nr_files >= VFU_MAX_FILES ||
		    !pvio_range_ok(s->file_bytes, (uint64_t)st.st_size,
				   VFU_MAX_FILE_BYTES))
			return vfu_refuse(s, -ENOSPC,
					  "%u files, %llu MiB, are mapped, "
					  "this has %llu MiB",
					  s->nr_files,
					  (unsigned long long)s->file_bytes >>
						  20,
					  (unsigned long long)st.st_size >> 20);
		rc = file_create(s, &st, prot, fd, &d->file);
		if (rc < 0)
			return vfu_refuse(s, rc, "%s", strerror(-rc));
	}
	d->file->nr_dma++;
	return 0;
}

static void map_insert(struct vfu_session *s, const struct vfu_dma *d)
{
	unsigned int i = dma_find(s, d->iova);

	memmove(&s->dma[i + 1], &s->dma[i], (s->nr_dma - i) * sizeof(*s->dma));
	s->dma[i] = *d;
	s->nr_dma++;
}

int vfu_dma_map(struct vfu_session *s, struct vfu_message *msg)
{
	struct vfu_dma d = { .file = NULL };
	struct vfu_dma_map m;
	int rc, prot;

	memcpy(&m, msg->payload, sizeof(m));
	rc = map_check(s, &m);
	if (rc < 0)
		return rc;
	d.iova = m.iova;
	d.size = m.size;
	d.offset = m.offset;
	prot = (m.flags & VFU_DMA_READABLE ? PROT_READ : 0) |
	       (m.flags & VFU_DMA_WRITABLE ? PROT_WRITE : 0);
	rc = dma_make_room(s);
	if (rc < 0)
		return vfu_refuse(s, rc, "%s", strerror(-rc));
	if (msg->fds.nr > 0) {
		rc = map_open(s, &d, prot, msg->fds.fd[0]);
		if (rc < 0)
			return rc;
	}
	map_insert(s, &d);
	if (!d.file)
		return VFU_DONE;
	rc = dma_apply(s, map_is_set);
	if (rc < 0) {
		dma_remove(s, dma_find(s, d.iova), 1);
		dma_put(s, &d, 1);
		return vfu_refuse(s, rc, "%s", strerror(-rc));
	}
	return VFU_LATER;
}

/* --- DMA_UNMAP ------------------------------------------------------------ */

static void gone_put(struct vfu_session *s)
{
	if (s->nr_gone > 0)
		dma_put(s, s->gone, s->nr_gone);
	free(s->gone);
	s->gone = NULL;
	s->nr_gone = 0;
}

/* Take [@first, @first + @nr) off the list, but keep it till the map is gone. */
static int dma_take(struct vfu_session *s, unsigned int first, unsigned int nr,
		    void (*then)(struct vfu_session *s, int rc))
{
	struct vfu_dma *gone;
	int rc;

	gone = malloc((nr ? nr : 1) * sizeof(*gone));
	if (!gone)
		return -ENOMEM;
	if (nr > 0)
		memcpy(gone, &s->dma[first], nr * sizeof(*gone));
	dma_remove(s, first, nr);
	s->gone = gone;
	s->nr_gone = nr;
	rc = dma_apply(s, then);
	if (rc < 0) {
		/* As it was: there is room where it came from. */
		memmove(&s->dma[first + nr], &s->dma[first],
			(s->nr_dma - first) * sizeof(*s->dma));
		memcpy(&s->dma[first], gone, nr * sizeof(*gone));
		s->nr_dma += nr;
		s->nr_gone = 0;
		gone_put(s);
	}
	return rc;
}

static void unmap_reply(struct vfu_session *s)
{
	vfu_reply(s, s->wire.message.payload, sizeof(struct vfu_dma_unmap),
		  -1);
}

static void unmap_is_set(struct vfu_session *s, int rc)
{
	gone_put(s);
	if (rc == 0)
		unmap_reply(s);
	vfu_message_done(s, rc < 0 ? rc : VFU_REPLIED);
}

/* Which are within the range?  -EINVAL: it would split one. */
static int unmap_find(struct vfu_session *s, const struct vfu_dma_unmap *u,
		      unsigned int *first, unsigned int *nr)
{
	uint64_t last = u->iova + (u->size - 1);
	unsigned int i = dma_find(s, u->iova);

	*first = i;
	for (; i < s->nr_dma && s->dma[i].iova <= last; i++)
		if (s->dma[i].iova < u->iova ||
		    s->dma[i].iova + (s->dma[i].size - 1) > last)
			return vfu_refuse(s, -EINVAL,
					  "0x%llx bytes at 0x%llx split a map",
					  (unsigned long long)u->size,
					  (unsigned long long)u->iova);
	*nr = i - *first;
	return 0;
}

/* Of those that came without a file the device knows nothing. */
static bool dma_has_file(const struct vfu_session *s, unsigned int first,
			 unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (s->dma[first + i].file)
			return true;
	return false;
}

int vfu_dma_unmap(struct vfu_session *s, struct vfu_message *msg)
{
	unsigned int first = 0, nr = s->nr_dma;
	struct vfu_dma_unmap u;
	bool is_all;
	int rc;

	memcpy(&u, msg->payload, sizeof(u));
	is_all = u.flags & VFU_DMA_UNMAP_ALL;
	if (u.argsz < sizeof(u) || u.flags & ~VFU_DMA_UNMAP_ALL)
		return vfu_refuse(s, -EINVAL, "argsz %u, flags 0x%x", u.argsz,
				  u.flags);
	if (is_all ? u.iova || u.size
		   : u.size == 0 || (u.iova | u.size) & (VFU_PAGE_BYTES - 1) ||
			     u.size - 1 > UINT64_MAX - u.iova)
		return vfu_refuse(s, -EINVAL, "0x%llx bytes at 0x%llx%s",
				  (unsigned long long)u.size,
				  (unsigned long long)u.iova,
				  is_all ? ", all" : "");
	if (!is_all) {
		rc = unmap_find(s, &u, &first, &nr);
		if (rc < 0)
			return rc;
	}
	if (!dma_has_file(s, first, nr)) {
		dma_remove(s, first, nr);
		unmap_reply(s);
		return VFU_REPLIED;
	}
	rc = dma_take(s, first, nr, unmap_is_set);
	return rc < 0 ? rc : VFU_LATER;
}

/* --- the client is gone --------------------------------------------------- */

static void drop_is_set(struct vfu_session *s, int rc)
{
	gone_put(s);
	s->drop_then(s, rc);
}

void vfu_dma_drop(struct vfu_session *s,
		  void (*then)(struct vfu_session *s, int rc))
{
	int rc;

	s->drop_then = then;
	rc = dma_take(s, 0, s->nr_dma, drop_is_set);
	/*
	 * Without memory for an empty map the old one stays, and with it the
	 * guest's pages until the next client brings its own.
	 */
	if (rc < 0)
		then(s, rc);
}
