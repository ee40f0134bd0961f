/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-rig.c - a block device and a driver for it, over every transport
 */
#include "tests/block-rig.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool rig_is_packed(enum block_way way)
{
	return way % 2;
}

static enum guest_way rig_way(const struct block_rig *rig)
{
	return (enum guest_way)(rig->way / 2);
}

/*
 * Is all of it on this thread?  Others have a thread that serves the device, as
 * behind a socket and under most VMMs.
 */
static bool rig_is_stepped(const struct block_rig *rig)
{
	static const bool is_stepped[GUEST_NR_WAYS] = {
		[GUEST_WAY_LOOPBACK] = true,
		[GUEST_WAY_PCI] = true,
		[GUEST_WAY_MMIO] = true,
		[GUEST_WAY_BUS] = true,
	};

	return is_stepped[rig_way(rig)];
}

static void rig_text(const struct block_rig *rig, const char *config,
		     char *text, size_t size)
{
	char transport[256];

	guest_way_transport(rig_way(rig), rig->dir, transport,
			    sizeof(transport));
	snprintf(text, size, "model = \"block\"; %s %s", config, transport);
}

int rig_try_create(const char *config)
{
	struct block_rig rig = { .way = BLOCK_LOOPBACK_SPLIT };
	struct pvio_worker *worker;
	struct pvio_device *dev = NULL;
	char text[2048];
	int rc;

	rig_text(&rig, config, text, sizeof(text));
	ck_assert_int_eq(pvio_worker_create("worker", &worker), 0);
	rc = pvio_device_create("disk0", text, worker, &worker, 1, &dev);
	if (rc == 0)
		pvio_device_destroy(dev);
	pvio_worker_destroy(worker);
	return rc;
}

static void rig_start_queues(struct block_rig *rig)
{
	unsigned int q, nr = guest_device_nr_queues(rig->gd);

	ck_assert_uint_ge(nr, 1);
	ck_assert_int_eq(guest_device_negotiate(rig->gd, rig->features), 0);
	for (q = 0; q < nr; q++)
		ck_assert_int_eq(
			guest_device_setup_queue(rig->gd, q, RIG_QUEUE_SIZE),
			0);
	ck_assert_int_eq(guest_device_start(rig->gd), 0);
	rig->arena = guest_alloc(&rig->mem, RIG_ARENA_BYTES, 4096,
				 &rig->arena_gpa);
	ck_assert_ptr_nonnull(rig->arena);
	rig->arena_used = 0;
}

void rig_open(struct block_rig *rig, enum block_way way, const char *config,
	      uint64_t refuse)
{
	struct guest_way_setup guest = { 0 };
	char text[2048];

	memset(rig, 0, sizeof(*rig));
	rig->way = way;
	strcpy(rig->dir, "/tmp/pvio-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(rig->dir));
	rig_text(rig, config, text, sizeof(text));
	ck_assert_int_eq(pvio_worker_create("worker", &rig->worker), 0);
	ck_assert_int_eq(pvio_device_create("disk0", text, rig->worker,
					    &rig->worker, 1, &rig->dev),
			 0);
	ck_assert_int_eq(pvio_device_start(rig->dev), 0);

	guest_memory_init(&rig->mem);
	/* Rings and small things below a hole; buffers above. */
	ck_assert_int_eq(guest_memory_add(&rig->mem, 0, 1 << 20), 0);
	ck_assert_int_eq(guest_memory_add(&rig->mem, 1ULL << 32, 8 << 20), 0);
	if (!rig_is_stepped(rig))
		ck_assert_int_eq(pvio_worker_start(rig->worker), 0);
	guest.dev = rig->dev;
	guest.dir = rig->dir;
	guest.mem = &rig->mem;
	guest.step = rig_is_stepped(rig) ? rig->worker : NULL;
	ck_assert_int_eq(guest_way_open(rig_way(rig), &guest, &rig->gd), 0);
	guest_device_features(rig->gd, rig->features);
	rig->features[0] &= ~refuse;
	if (!rig_is_packed(way))
		rig->features[0] &= ~PVIO_BIT(VIRTIO_F_RING_PACKED);
	rig_start_queues(rig);
}

void rig_restart(struct block_rig *rig)
{
	guest_alloc_reset(&rig->mem);
	rig_start_queues(rig);
}

static void rig_remove_dir(const char *dir)
{
	struct dirent *entry;
	char path[300];
	DIR *d;

	d = opendir(dir);
	if (!d)
		return;
	while ((entry = readdir(d)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		unlink(path);
	}
	closedir(d);
	rmdir(dir);
}

void rig_close(struct block_rig *rig)
{
	guest_device_close(rig->gd);
	if (!rig_is_stepped(rig))
		pvio_worker_stop(rig->worker);
	pvio_device_destroy(rig->dev);
	pvio_worker_destroy(rig->worker);
	guest_memory_fini(&rig->mem);
	rig_remove_dir(rig->dir);
}

/*
 * Lay @shape out in the arena, each segment apart from the next so that none
 * can be taken for part of another.
 */
static unsigned int rig_shape(struct block_rig *rig, const char *shape,
			      struct guest_segment *seg, uint8_t **host,
			      unsigned int *nr_readable)
{
	const char *p = shape;
	unsigned int nr = 0;
	bool is_writable;
	char *end;

	*nr_readable = 0;
	rig->arena_used = 0;
	while (*p) {
		ck_assert(*p == 'r' || *p == 'w');
		ck_assert_uint_lt(nr, RIG_MAX_SEGMENTS);
		is_writable = *p++ == 'w';
		seg[nr].len = (uint32_t)strtoul(p, &end, 10);
		p = end + strspn(end, " ");
		ck_assert_uint_le(rig->arena_used + seg[nr].len,
				  RIG_ARENA_BYTES);
		seg[nr].gpa = rig->arena_gpa + rig->arena_used;
		host[nr] = rig->arena + rig->arena_used;
		rig->arena_used += (seg[nr].len + 64 + 15) & ~(size_t)15;
		if (!is_writable)
			(*nr_readable)++;
		nr++;
	}
	return nr;
}

int64_t rig_chain(struct block_rig *rig, unsigned int q, const char *shape,
		  const void *out, void *in)
{
	struct guest_segment seg[RIG_MAX_SEGMENTS] = { 0 };
	uint8_t *host[RIG_MAX_SEGMENTS];
	const uint8_t *from = out;
	unsigned int i, nr, nr_readable;
	uint8_t *to = in;
	int64_t rc;

	nr = rig_shape(rig, shape, seg, host, &nr_readable);
	for (i = 0; i < nr; i++) {
		if (i < nr_readable) {
			memcpy(host[i], from, seg[i].len);
			from += seg[i].len;
		} else {
			memset(host[i], 0xee, seg[i].len);
		}
	}
	rc = guest_device_transfer(rig->gd, q, seg, nr_readable,
				   nr - nr_readable);
	if (rc < 0)
		return RIG_LOST;
	for (i = nr_readable; i < nr && to; i++) {
		memcpy(to, host[i], seg[i].len);
		to += seg[i].len;
	}
	return rc;
}

int rig_request(struct block_rig *rig, unsigned int q, uint32_t type,
		uint64_t sector, const void *out, size_t out_len, void *in,
		size_t in_len)
{
	struct virtio_blk_outhdr header = {
		.type = htole32(type),
		.sector = htole64(sector),
	};
	uint8_t *readable, *writable;
	char shape[64], *p = shape;
	int status;

	readable = malloc(sizeof(header) + out_len);
	writable = malloc(in_len + 1);
	ck_assert(readable && writable);
	memcpy(readable, &header, sizeof(header));
	if (out_len)
		memcpy(readable + sizeof(header), out, out_len);
	p += sprintf(p, "r16");
	if (out_len)
		p += sprintf(p, " r%zu", out_len);
	if (in_len)
		p += sprintf(p, " w%zu", in_len);
	sprintf(p, " w1");
	rig->used = rig_chain(rig, q, shape, readable, writable);
	if (in_len && in)
		memcpy(in, writable, in_len);
	status = rig->used == RIG_LOST ? RIG_LOST : writable[in_len];
	free(readable);
	free(writable);
	return status;
}

int rig_read(struct block_rig *rig, uint64_t sector, void *buf, size_t len)
{
	return rig_request(rig, 0, VIRTIO_BLK_T_IN, sector, NULL, 0, buf, len);
}

int rig_write(struct block_rig *rig, uint64_t sector, const void *buf,
	      size_t len)
{
	return rig_request(rig, 0, VIRTIO_BLK_T_OUT, sector, buf, len, NULL, 0);
}

int rig_flush(struct block_rig *rig)
{
	return rig_request(rig, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, NULL, 0);
}

int rig_range(struct block_rig *rig, uint32_t type, uint64_t sector,
	      uint32_t sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = {
		.sector = htole64(sector),
		.num_sectors = htole32(sectors),
		.flags = htole32(flags),
	};

	return rig_request(rig, 0, type, 0, &range, sizeof(range), NULL, 0);
}

int rig_command(struct block_rig *rig, const char *command,
		const char *argument, char *answer)
{
	char text[256] = "";
	int rc;

	if (!rig_is_stepped(rig))
		pvio_worker_stop(rig->worker);
	rc = pvio_device_command(rig->dev, command, argument, text,
				 sizeof(text));
	if (answer)
		memcpy(answer, text, sizeof(text));
	if (!rig_is_stepped(rig))
		ck_assert_int_eq(pvio_worker_start(rig->worker), 0);
	return rc;
}

void rig_config(struct block_rig *rig, struct virtio_blk_config *config)
{
	memset(config, 0, sizeof(*config));
	ck_assert_int_eq(guest_device_read_config(rig->gd, 0, config, 60), 0);
}

void rig_settle(struct block_rig *rig)
{
	if (rig_is_stepped(rig))
		while (pvio_worker_step(rig->worker))
			;
	else
		guest_device_wait(rig->gd, 0, 10);
}

void rig_pattern(void *buf, size_t len, unsigned int seed)
{
	uint8_t *p = buf;
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)(seed * 131 + i * 7 + (i >> 8));
}

void rig_expect_alive(struct block_rig *rig)
{
	uint8_t out[512], in[512];

	ck_assert(!guest_device_is_broken(rig->gd));
	rig_pattern(out, sizeof(out), 99);
	ck_assert_int_eq(rig_write(rig, 0, out, sizeof(out)), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(rig_read(rig, 0, in, sizeof(in)), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(out, in, sizeof(in));
}
