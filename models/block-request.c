/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-request.c - one request of the block model
 *
 * A request is one chain (virtio 1.4, 5.2.6):
 *
 *	readable                              writable
 *	| type | reserved | sector | data .. | .. data | status |
 *	   4        4         8       OUT         IN        1
 *
 * Nothing says that the driver puts these in separate descriptors (2.7.4.1),
 * so segment boundaries mean nothing: the header is the first 16 readable
 * bytes, the status the last writable one, wherever they lie.  The header is
 * copied out once, checked as a whole against the capacity of this moment, and
 * only then does the backend see anything.
 *
 * The data goes to the backend as the chain's own segments, without what
 * belongs to header and status; no copy is made of a single iovec.
 *
 * Whether a write must be stable is decided when it is submitted (5.2.6.2): by
 * configuration, by what was negotiated, and by the `writeback` field then.
 */
#include "models/block.h"

#include <errno.h>
#include <stdlib.h>

static uint8_t blk_status(int err)
{
	if (err == 0)
		return VIRTIO_BLK_S_OK;
	return err == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

/*
 * Answer @req: the status byte, then the chain.  @data: how many bytes at the
 * start of the writable part have been written.
 *
 * The used length counts bytes from the first writable one that are surely
 * written (virtio 1.4, 2.7.8.2), so it includes the status only when all
 * before it is.  What was written beyond goes to the dirty log here.
 */
static void blk_answer(struct blk_request *req, int err, uint32_t data)
{
	struct pvio_vq *vq = req->queue->vq;
	struct pvio_chain *chain = req->chain;
	uint8_t status = blk_status(err);
	uint32_t written = data;

	if (req->shared_tail)
		req->shared_tail->iov_len++;
	pvio_iov_put(&req->status, 1, 0, &status, sizeof(status));
	if (data + 1 == chain->writable)
		written++;
	else if (vq->map->log)
		pvio_map_log_iov(vq->map, pvio_chain_writable(chain),
				 chain->nr_writable, chain->writable);
	pvio_vq_push(vq, chain, written);
	/* One notification a turn, however many requests finish in it. */
	pvio_vq_flush_soon(vq);
}

/* Answer without I/O what cannot be served, and say why. */
static void blk_refuse(struct blk_request *req, int err, const char *why,
		       uint64_t detail) pvio_cold;
static void blk_refuse(struct blk_request *req, int err, const char *why,
		       uint64_t detail)
{
	pvio_vq_fault(req->queue->vq, PVIO_FAULT_REQUEST, "%s (%llu)", why,
		      (unsigned long long)detail);
	blk_answer(req, err, 0);
}

/* Are writes of this moment stable when they complete? */
static bool blk_is_write_through(const struct blk *blk)
{
	if (blk->cache == BLK_CACHE_UNSAFE || !blk->info.volatile_cache)
		return false;
	if (blk->has_wce)
		return !pvio_load_once(&blk->writeback);
	/* Offered FLUSH and not taken: the driver will never flush. */
	return blk->cache == BLK_CACHE_WRITETHROUGH || !blk->has_flush;
}

static void blk_submit(struct blk_request *req)
{
	struct blk_queue *queue = req->queue;

	pvio_vq_stamp(queue->vq, req->chain, PVIO_STAGE_SUBMIT);
	queue->ops->submit(queue->backend_queue, &req->io);
}

/*
 * After one failed flush the kernel forgets what it could not write, and the
 * next fdatasync() succeeds without it.  So no flush of this disk succeeds
 * again until the operator has looked ("clear-error").
 */
static void blk_flush_done(struct blk_request *req, int err)
{
	struct blk *blk = req->queue->blk;

	if (err < 0 && !pvio_load_once(&blk->flush_failed)) {
		pvio_store_once(&blk->flush_failed, 1);
		pvio_log(PVIO_LOG_ERROR,
			 "%s: flush failed (%d): data may be lost; every flush "
			 "fails from here on until \"clear-error\"",
			 pvio_device_name(blk->dev), err);
	}
	if (err == 0 && req->sync)
		pvio_store_once(&blk->sync_done, req->sync);
	blk_answer(req, err, 0);
}

/*
 * A write is done.  The first one after the driver switched to write-through
 * also makes stable what was volatile until then: after it no flush may come.
 */
static void blk_write_done(struct blk_request *req, int err)
{
	struct blk *blk = req->queue->blk;
	uint32_t wanted = pvio_load_once(&blk->sync_wanted);

	if (err < 0) {
		blk_answer(req, err, 0);
		return;
	}
	pvio_count(&req->queue->vq->stats.bytes_in, req->io.bytes);
	if (unlikely(req->io.stable &&
		     pvio_load_once(&blk->sync_done) != wanted)) {
		req->sync = wanted;
		req->io.op = PVIO_BLOCK_FLUSH;
		blk_submit(req);
		return;
	}
	blk_answer(req, 0, 0);
}

static void blk_next_range(struct blk_request *req);

/* The backend is done with @io. */
static void blk_io_done(struct pvio_block_io *io, int err)
{
	struct blk_request *req = pvio_container_of(io, struct blk_request, io);
	struct pvio_vq *vq = req->queue->vq;

	pvio_vq_stamp(vq, req->chain, PVIO_STAGE_COMPLETE);
	switch (io->op) {
	case PVIO_BLOCK_READ:
		if (err == 0)
			pvio_count(&vq->stats.bytes_out, io->bytes);
		blk_answer(req, err, err == 0 ? (uint32_t)io->bytes : 0);
		break;
	case PVIO_BLOCK_WRITE:
		blk_write_done(req, err);
		break;
	case PVIO_BLOCK_FLUSH:
		blk_flush_done(req, err);
		break;
	case PVIO_BLOCK_DISCARD:
	case PVIO_BLOCK_WRITE_ZEROES:
		if (err == 0 && req->next_range < req->nr_ranges)
			blk_next_range(req);
		else
			blk_answer(req, err, 0);
		break;
	}
}

/* The data of a write: the readable segments without the header's bytes. */
static void blk_cut_header(struct blk_request *req)
{
	struct iovec *iov = req->chain->iov;
	int nr = req->chain->nr_readable;
	size_t cut = BLK_HEADER_BYTES;

	while (nr > 0 && cut >= iov->iov_len) {
		cut -= iov->iov_len;
		iov++;
		nr--;
	}
	if (nr > 0 && cut > 0) {
		iov->iov_base = (uint8_t *)iov->iov_base + cut;
		iov->iov_len -= cut;
	}
	req->io.iov = iov;
	req->io.nr_iov = nr;
}

/* The data of a read: the writable segments without the status byte. */
static void blk_cut_status(struct blk_request *req)
{
	struct pvio_chain *chain = req->chain;
	struct iovec *iov = chain->iov + chain->nr_readable;
	struct iovec *tail = iov + chain->nr_writable - 1;

	req->io.iov = iov;
	req->io.nr_iov = chain->nr_writable;
	if (tail->iov_len == 1) {
		req->io.nr_iov--;
		return;
	}
	tail->iov_len--;
	req->shared_tail = tail;
}

/* IN and OUT.  @sector is the driver's word. */
static void blk_transfer(struct blk_request *req, bool is_write,
			 uint64_t sector)
{
	struct blk *blk = req->queue->blk;
	uint64_t capacity = pvio_load_once(&blk->bytes);
	struct pvio_block_io *io = &req->io;
	uint64_t bytes = is_write ? req->chain->readable - BLK_HEADER_BYTES
				  : req->chain->writable - 1;

	if (unlikely(is_write && blk->read_only)) {
		blk_refuse(req, -EROFS, "write to a read-only disk", sector);
		return;
	}
	if (unlikely(bytes == 0 || bytes % blk->info.block_bytes)) {
		blk_refuse(req, -EINVAL, "length is not in whole blocks",
			   bytes);
		return;
	}
	if (unlikely(sector > capacity / BLK_SECTOR_BYTES ||
		     !pvio_range_ok(sector * BLK_SECTOR_BYTES, bytes,
				    capacity))) {
		blk_refuse(req, -EINVAL, "beyond the end, at sector", sector);
		return;
	}
	io->offset = sector * BLK_SECTOR_BYTES;
	io->bytes = bytes;
	if (unlikely(io->offset % blk->info.block_bytes)) {
		blk_refuse(req, -EINVAL, "not on a block boundary, sector",
			   sector);
		return;
	}
	if (is_write) {
		io->op = PVIO_BLOCK_WRITE;
		io->stable = blk_is_write_through(blk);
		blk_cut_header(req);
	} else {
		io->op = PVIO_BLOCK_READ;
		blk_cut_status(req);
	}
	blk_submit(req);
}

/*
 * FLUSH.  The files of all queues are one, so what any queue has completed is
 * stable when the backend's flush is.  Whatever sector or data comes with it is
 * ignored.
 */
static void blk_flush(struct blk_request *req)
{
	struct blk *blk = req->queue->blk;

	if (blk->cache == BLK_CACHE_UNSAFE) {
		blk_answer(req, 0, 0);
		return;
	}
	if (unlikely(pvio_load_once(&blk->flush_failed))) {
		blk_answer(req, -EIO, 0);
		return;
	}
	req->io.op = PVIO_BLOCK_FLUSH;
	blk_submit(req);
}

/* GET_ID: 20 bytes, zero-padded, no terminator. */
static void blk_get_id(struct blk_request *req)
{
	uint32_t room = req->chain->writable - 1;
	uint32_t len = (uint32_t)pvio_min(room, BLK_SERIAL_BYTES);

	pvio_chain_put(req->chain, 0, req->queue->blk->serial, len);
	blk_answer(req, 0, len);
}

static void blk_next_range(struct blk_request *req)
{
	const struct blk_range *range = &req->ranges[req->next_range++];
	struct pvio_block_io *io = &req->io;

	io->offset = range->offset;
	io->bytes = range->bytes;
	io->may_unmap = range->unmap;
	blk_submit(req);
}

/*
 * Copy and check range @i of a discard or write zeroes request.  0, or the
 * error to answer: the driver is told -EOPNOTSUPP for flags it may not use, as
 * virtio 1.4, 5.2.6.2 says, and of the rest that it failed.
 */
static int blk_fetch_range(struct blk_request *req, unsigned int i,
			   const char **why)
{
	struct virtio_blk_discard_write_zeroes raw;
	struct blk *blk = req->queue->blk;
	uint64_t capacity = pvio_load_once(&blk->bytes);
	bool is_discard = req->io.op == PVIO_BLOCK_DISCARD;
	struct blk_range *range = &req->ranges[i];
	uint32_t flags, known;
	uint64_t sector;

	pvio_chain_fetch(req->chain, BLK_HEADER_BYTES + i * sizeof(raw), &raw,
			 sizeof(raw));
	flags = le32toh(raw.flags);
	known = is_discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	if (flags & ~known) {
		*why = "range has flags that are not legal";
		return -EOPNOTSUPP;
	}
	sector = le64toh(raw.sector);
	range->bytes = le32toh(raw.num_sectors) * BLK_SECTOR_BYTES;
	range->unmap = is_discard || flags;
	*why = "range is beyond the end or too long";
	if (range->bytes == 0 || range->bytes > blk->max_range_bytes ||
	    sector > capacity / BLK_SECTOR_BYTES ||
	    !pvio_range_ok(sector * BLK_SECTOR_BYTES, range->bytes, capacity))
		return -EINVAL;
	range->offset = sector * BLK_SECTOR_BYTES;
	*why = "range is not in whole blocks";
	if ((range->offset | range->bytes) % blk->info.block_bytes)
		return -EINVAL;
	return 0;
}

/* DISCARD and WRITE_ZEROES: all ranges are checked before the first is done. */
static void blk_ranges(struct blk_request *req, enum pvio_block_op op)
{
	struct blk *blk = req->queue->blk;
	uint32_t bytes = req->chain->readable - BLK_HEADER_BYTES;
	uint32_t nr = bytes / sizeof(struct virtio_blk_discard_write_zeroes);
	const char *why;
	uint32_t i;
	int rc;

	if (blk->read_only) {
		blk_refuse(req, -EROFS, "discard on a read-only disk", op);
		return;
	}
	if (nr == 0 || nr > BLK_MAX_RANGES ||
	    bytes % sizeof(struct virtio_blk_discard_write_zeroes)) {
		blk_refuse(req, -EINVAL, "ranges of odd length or number",
			   bytes);
		return;
	}
	if (!req->ranges) {
		req->ranges = calloc(BLK_MAX_RANGES, sizeof(*req->ranges));
		if (!req->ranges) {
			blk_answer(req, -ENOMEM, 0);
			return;
		}
	}
	req->io.op = op;
	req->io.stable = blk_is_write_through(blk);
	for (i = 0; i < nr; i++) {
		rc = blk_fetch_range(req, i, &why);
		if (rc < 0) {
			blk_refuse(req, rc, why, i);
			return;
		}
	}
	req->nr_ranges = (uint8_t)nr;
	req->next_range = 0;
	blk_next_range(req);
}

void pvio_blk_serve(struct blk_queue *queue, struct pvio_chain *chain)
{
	struct blk_request *req = &queue->requests[chain->slot];
	struct virtio_blk_outhdr header;
	const struct iovec *tail;
	uint32_t type;

	if (unlikely(chain->writable == 0)) {
		pvio_vq_fault(queue->vq, PVIO_FAULT_REQUEST,
			      "request without a status byte");
		pvio_vq_push(queue->vq, chain, 0);
		pvio_vq_flush_soon(queue->vq);
		return;
	}
	tail = pvio_chain_writable(chain) + chain->nr_writable - 1;
	req->chain = chain;
	req->shared_tail = NULL;
	req->sync = 0;
	req->status.iov_base = (uint8_t *)tail->iov_base + tail->iov_len - 1;
	req->status.iov_len = 1;
	req->io.stable = req->io.may_unmap = false;

	if (unlikely(pvio_chain_fetch(chain, 0, &header, sizeof(header)) <
		     sizeof(header))) {
		blk_refuse(req, -EINVAL, "header too short", chain->readable);
		return;
	}
	type = le32toh(header.type);
	switch (type) {
	case VIRTIO_BLK_T_IN:
		blk_transfer(req, false, le64toh(header.sector));
		return;
	case VIRTIO_BLK_T_OUT:
		blk_transfer(req, true, le64toh(header.sector));
		return;
	case VIRTIO_BLK_T_FLUSH:
		blk_flush(req);
		return;
	case VIRTIO_BLK_T_GET_ID:
		blk_get_id(req);
		return;
	case VIRTIO_BLK_T_DISCARD:
		if (!queue->blk->has_discard)
			break;
		blk_ranges(req, PVIO_BLOCK_DISCARD);
		return;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		if (!queue->blk->has_write_zeroes)
			break;
		blk_ranges(req, PVIO_BLOCK_WRITE_ZEROES);
		return;
	default:
		break;
	}
	blk_refuse(req, -EOPNOTSUPP, "request type not supported", type);
}

void pvio_blk_request_init(struct blk_request *req, struct blk_queue *queue)
{
	req->queue = queue;
	req->io.done = blk_io_done;
}
