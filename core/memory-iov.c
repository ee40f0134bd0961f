/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory-iov.c - bytes in and out of guest memory that iovecs point at
 *
 * Each function walks the entries once.  Entries were bounds-checked when they
 * were translated; here an offset or a length beyond them only makes the
 * result shorter.
 */
#include "memory.h"

#include <errno.h>

/* A place in an iovec: the entry, and how much of it is behind us. */
struct iov_cursor {
	const struct iovec *iov;
	int nr; /* entries left, this one included */
	size_t used;
};

static struct iov_cursor iov_seek(const struct iovec *iov, int nr,
				  size_t offset)
{
	struct iov_cursor c = { iov, nr, 0 };

	while (c.nr > 0 && offset >= c.iov->iov_len) {
		offset -= c.iov->iov_len;
		c.iov++;
		c.nr--;
	}
	c.used = offset;
	return c;
}

/* The next run of at most @max bytes in one entry.  0: the end. */
static size_t iov_next(struct iov_cursor *c, size_t max, uint8_t **p)
{
	size_t piece;

	while (c->nr > 0 && c->used == c->iov->iov_len) {
		c->iov++;
		c->nr--;
		c->used = 0;
	}
	if (c->nr <= 0)
		return 0;
	piece = pvio_min(max, c->iov->iov_len - c->used);
	*p = (uint8_t *)c->iov->iov_base + c->used;
	c->used += piece;
	return piece;
}

size_t pvio_iov_fetch_pieces(const struct iovec *iov, int nr, size_t offset,
			     void *buf, size_t len)
{
	struct iov_cursor c = iov_seek(iov, nr, offset);
	size_t done = 0, piece;
	uint8_t *p;

	while (done < len && (piece = iov_next(&c, len - done, &p)) > 0) {
		pvio_guest_fetch((uint8_t *)buf + done, p, piece);
		done += piece;
	}
	return done;
}

size_t pvio_iov_get_pieces(const struct iovec *iov, int nr, size_t offset,
			   void *buf, size_t len)
{
	struct iov_cursor c = iov_seek(iov, nr, offset);
	size_t done = 0, piece;
	uint8_t *p;

	while (done < len && (piece = iov_next(&c, len - done, &p)) > 0) {
		memcpy((uint8_t *)buf + done, p, piece);
		done += piece;
	}
	return done;
}

size_t pvio_iov_put_pieces(const struct iovec *iov, int nr, size_t offset,
			   const void *buf, size_t len)
{
	struct iov_cursor c = iov_seek(iov, nr, offset);
	size_t done = 0, piece;
	uint8_t *p;

	while (done < len && (piece = iov_next(&c, len - done, &p)) > 0) {
		memcpy(p, (const uint8_t *)buf + done, piece);
		done += piece;
	}
	return done;
}

size_t pvio_iov_zero(const struct iovec *iov, int nr, size_t offset, size_t len)
{
	struct iov_cursor c = iov_seek(iov, nr, offset);
	size_t done = 0, piece;
	uint8_t *p;

	while (done < len && (piece = iov_next(&c, len - done, &p)) > 0) {
		memset(p, 0, piece);
		done += piece;
	}
	return done;
}

size_t pvio_iov_copy_pieces(const struct iovec *to, int nr_to, size_t to_offset,
			    const struct iovec *from, int nr_from,
			    size_t from_offset, size_t len)
{
	struct iov_cursor src = iov_seek(from, nr_from, from_offset);
	struct iov_cursor dst = iov_seek(to, nr_to, to_offset);
	size_t done = 0, piece, room;
	uint8_t *s, *d;

	while (done < len && (piece = iov_next(&src, len - done, &s)) > 0) {
		while (piece > 0) {
			room = iov_next(&dst, piece, &d);
			if (room == 0)
				return done;
			/* A guest may hand out one buffer twice: overlap. */
			memmove(d, s, room);
			s += room;
			piece -= room;
			done += room;
		}
	}
	return done;
}

size_t pvio_iov_length(const struct iovec *iov, int nr)
{
	size_t len = 0;
	int i;

	for (i = 0; i < nr; i++)
		len += iov[i].iov_len;
	return len;
}

int pvio_iov_slice(const struct iovec *iov, int nr, size_t offset, size_t len,
		   struct iovec *out, int max)
{
	struct iov_cursor c = iov_seek(iov, nr, offset);
	size_t piece;
	uint8_t *p;
	int n = 0;

	/* Past the end, not at it. */
	if (c.nr <= 0 && c.used > 0)
		return -EFAULT;
	while (len > 0) {
		piece = iov_next(&c, len, &p);
		if (piece == 0)
			return -EFAULT;
		if (n == max)
			return -E2BIG;
		out[n].iov_base = p;
		out[n].iov_len = piece;
		n++;
		len -= piece;
	}
	return n;
}
