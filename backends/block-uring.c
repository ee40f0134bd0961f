/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-uring.c - the file backend's I/O: one io_uring for each queue
 *
 *	submit --> submission ring --+--> kernel --> completion ring --> done
 *	   |            ^            flush                  |
 *	   +-> held ----+  (ring full)      ring's fd is readable, or the
 *	   +-> waiting --> bounce buffer    worker polls, or flush saw it
 *
 * A batch of requests is one system call, made by flush; what the kernel
 * completes within it (the page cache had it) is taken up at once.  The guest's
 * own segments are the I/O vector.
 *
 * A request may take several rounds, and keeps its place in the fields that
 * struct pvio_block_io reserves for us:
 * - short transfers, and more segments than one call takes, go on where the
 *   last round ended;
 * - direct I/O wants aligned buffers: a guest that gives others is served
 *   through one of a few bounce buffers, piece by piece, so that what a guest
 *   asks for never decides how much memory we need;
 * - write zeroes tries the cheapest way the file system has, and what must be
 *   stable is followed by a sync.
 *
 * Nothing here blocks.  What the kernel has no asynchronous way for (sync,
 * fallocate) runs on its own bounded pool of helper threads.
 */
#include "backends/block-file.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#define URING_MAX_ENTRIES  256
#define URING_REAP_BATCH   32
#define URING_MAX_RETRIES  64
#define URING_RETRY_MS     1
#define URING_NR_BOUNCE    4
#define URING_BOUNCE_BYTES ((size_t)256 << 10)
#define URING_BOUNCE_ALIGN 4096
#define URING_ZERO_BYTES   ((size_t)128 << 10)

/* Where a request is; those that are not named here have one phase. */
enum uring_phase {
	URING_TRANSFER,   /* read, write */
	URING_PUNCH,      /* write zeroes: free the space, */
	URING_ZERO_RANGE, /* or have the file system mark it, */
	URING_WRITE_ZERO, /* or write it */
	URING_SYNC,       /* make stable what was done */
};

struct uring_list {
	struct pvio_block_io *head, **tail;
};

struct uring {
	struct file *file;          /* borrowed */
	struct pvio_worker *worker; /* borrowed */
	struct io_uring ring;
	struct event *readable; /* owned: the ring's fd */
	struct event *retry;    /* owned: timer, after a failed submit */
	struct pvio_poller poller;
	unsigned int outstanding;      /* in the kernel or on its way there */
	unsigned int limit;            /* so many that completions always fit */
	struct uring_list held;        /* no room in the ring */
	struct uring_list waiting;     /* no bounce buffer */
	void *bounce[URING_NR_BOUNCE]; /* free ones come first; owned */
	unsigned int nr_bounce;        /* free */
	unsigned int nr_bounce_made;
};

/* Never written, so it costs no memory either. */
static uint8_t uring_zeroes[URING_ZERO_BYTES]
	__attribute__((aligned(URING_BOUNCE_ALIGN)));

static void uring_start(struct uring *q, struct pvio_block_io *io);

static void uring_list_init(struct uring_list *list)
{
	list->head = NULL;
	list->tail = &list->head;
}

static void uring_list_add(struct uring_list *list, struct pvio_block_io *io)
{
	io->next = NULL;
	*list->tail = io;
	list->tail = &io->next;
}

static struct pvio_block_io *uring_list_take(struct uring_list *list)
{
	struct pvio_block_io *io = list->head;

	if (io) {
		list->head = io->next;
		if (!list->head)
			list->tail = &list->head;
	}
	return io;
}

/* --- bounce buffers ------------------------------------------------------- */

/* Does direct I/O refuse these buffers? */
static bool uring_is_misaligned(const struct file *file,
				const struct pvio_block_io *io)
{
	uintptr_t base_mask = file->memory_align - 1;
	size_t len_mask = file->info.block_bytes - 1;
	int i;

	if (!file->direct)
		return false;
	for (i = 0; i < io->nr_iov; i++)
		if (((uintptr_t)io->iov[i].iov_base & base_mask) ||
		    (io->iov[i].iov_len & len_mask))
			return true;
	return false;
}

static void *uring_bounce_get(struct uring *q)
{
	void *buffer;

	if (q->nr_bounce > 0)
		return q->bounce[--q->nr_bounce];
	if (q->nr_bounce_made == URING_NR_BOUNCE ||
	    posix_memalign(&buffer, URING_BOUNCE_ALIGN, URING_BOUNCE_BYTES))
		return NULL;
	q->nr_bounce_made++;
	return buffer;
}

static void uring_bounce_put(struct uring *q, void *buffer)
{
	struct pvio_block_io *io;

	q->bounce[q->nr_bounce++] = buffer;
	io = uring_list_take(&q->waiting);
	if (io) {
		io->bounce = uring_bounce_get(q);
		uring_start(q, io);
	}
}

static size_t uring_bounce_bytes(const struct pvio_block_io *io)
{
	return pvio_min(io->bytes - io->progress, URING_BOUNCE_BYTES);
}

/* --- from request to submission entry ------------------------------------- */

/* The next round of a transfer straight from or to the guest's segments. */
static void uring_prep_segments(struct io_uring_sqe *sqe,
				const struct pvio_block_io *io)
{
	const struct iovec *iov = io->iov;
	uint64_t skip = io->progress;
	int nr = io->nr_iov;
	bool is_write = io->op == PVIO_BLOCK_WRITE;
	uint8_t *base;

	while (skip > 0 && skip >= iov->iov_len) {
		skip -= iov->iov_len;
		iov++;
		nr--;
	}
	if (skip == 0 && nr > 1) {
		nr = nr < IOV_MAX ? nr : IOV_MAX;
		if (is_write)
			io_uring_prep_writev(sqe, 0, iov, (unsigned int)nr,
					     io->offset + io->progress);
		else
			io_uring_prep_readv(sqe, 0, iov, (unsigned int)nr,
					    io->offset + io->progress);
		return;
	}
	base = (uint8_t *)iov->iov_base + skip;
	if (is_write)
		io_uring_prep_write(sqe, 0, base,
				    (unsigned int)(iov->iov_len - skip),
				    io->offset + io->progress);
	else
		io_uring_prep_read(sqe, 0, base,
				   (unsigned int)(iov->iov_len - skip),
				   io->offset + io->progress);
}

static void uring_prep_transfer(struct io_uring_sqe *sqe,
				const struct pvio_block_io *io)
{
	size_t bytes;

	if (!io->bounce) {
		uring_prep_segments(sqe, io);
	} else if (io->op == PVIO_BLOCK_WRITE) {
		bytes = uring_bounce_bytes(io);
		pvio_iov_get(io->iov, io->nr_iov, io->progress, io->bounce,
			     bytes);
		io_uring_prep_write(sqe, 0, io->bounce, (unsigned int)bytes,
				    io->offset + io->progress);
	} else {
		io_uring_prep_read(sqe, 0, io->bounce,
				   (unsigned int)uring_bounce_bytes(io),
				   io->offset + io->progress);
	}
	if (io->op == PVIO_BLOCK_WRITE && io->stable)
		sqe->rw_flags = RWF_DSYNC;
}

static void uring_prep(struct io_uring_sqe *sqe, struct pvio_block_io *io)
{
	uint64_t left = io->bytes - io->progress;

	switch ((enum uring_phase)io->phase) {
	case URING_TRANSFER:
		uring_prep_transfer(sqe, io);
		break;
	case URING_PUNCH:
		io_uring_prep_fallocate(
			sqe, 0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)io->offset, (off_t)io->bytes);
		break;
	case URING_ZERO_RANGE:
		io_uring_prep_fallocate(
			sqe, 0, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
			(off_t)io->offset, (off_t)io->bytes);
		break;
	case URING_WRITE_ZERO:
		io_uring_prep_write(
			sqe, 0, uring_zeroes,
			(unsigned int)pvio_min(left, URING_ZERO_BYTES),
			io->offset + io->progress);
		if (io->stable)
			sqe->rw_flags = RWF_DSYNC;
		break;
	case URING_SYNC:
		io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
		break;
	}
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, io);
}

/*
 * Hand what was prepared to the kernel.  When it has no memory for it, or says
 * that we should reap first, the entries stay where they are until the timer.
 */
static void uring_enter(struct uring *q)
{
	const struct timeval soon = { 0, URING_RETRY_MS * 1000 };
	int rc;

	do
		rc = io_uring_submit(&q->ring);
	while (rc == -EINTR || (rc > 0 && io_uring_sq_ready(&q->ring)));
	if (likely(!io_uring_sq_ready(&q->ring)))
		return;
	if (rc < 0 && rc != -EAGAIN && rc != -EBUSY && rc != -ENOMEM)
		pvio_log_limited(&q->file->limit, PVIO_LOG_ERROR,
				 "%s: io_uring submit: %s", q->file->device,
				 strerror(-rc));
	evtimer_add(q->retry, &soon);
}

/* Put @io in the submission ring, if there is room. */
static bool uring_place(struct uring *q, struct pvio_block_io *io)
{
	struct io_uring_sqe *sqe;

	if (unlikely(q->outstanding == q->limit))
		return false;
	sqe = io_uring_get_sqe(&q->ring);
	if (unlikely(!sqe)) {
		uring_enter(q);
		sqe = io_uring_get_sqe(&q->ring);
		if (!sqe)
			return false;
	}
	uring_prep(sqe, io);
	q->outstanding++;
	return true;
}

static void uring_start(struct uring *q, struct pvio_block_io *io)
{
	if (unlikely(q->held.head || !uring_place(q, io)))
		uring_list_add(&q->held, io);
}

/* --- from completion to the next phase, or done --------------------------- */

static void uring_finish(struct uring *q, struct pvio_block_io *io, int rc)
{
	static const char *const words[] = {
		[PVIO_BLOCK_READ] = "read",
		[PVIO_BLOCK_WRITE] = "write",
		[PVIO_BLOCK_FLUSH] = "sync",
		[PVIO_BLOCK_DISCARD] = "discard",
		[PVIO_BLOCK_WRITE_ZEROES] = "write zeroes",
	};
	void *bounce = io->bounce;

	if (unlikely(rc < 0 && rc != -EOPNOTSUPP))
		pvio_log_limited(&q->file->limit, PVIO_LOG_ERROR,
				 "%s: %s: %s of %llu bytes at %llu: %s",
				 q->file->device, q->file->path, words[io->op],
				 (unsigned long long)io->bytes,
				 (unsigned long long)io->offset, strerror(-rc));
	pvio_block_done(io, rc);
	if (unlikely(bounce))
		uring_bounce_put(q, bounce);
}

/* A transfer moved @res bytes. */
static void uring_advance(struct uring *q, struct pvio_block_io *io, int res)
{
	/* Nothing at all: the file is shorter than it was. */
	if (unlikely(res == 0)) {
		uring_finish(q, io, -EIO);
		return;
	}
	if (unlikely(io->bounce) && io->op == PVIO_BLOCK_READ)
		pvio_iov_put(io->iov, io->nr_iov, io->progress, io->bounce,
			     (size_t)res);
	io->progress += (uint64_t)res;
	if (unlikely(io->progress < io->bytes))
		uring_start(q, io);
	else
		uring_finish(q, io, 0);
}

/* The first way to write zeroes that is not known to be missing. */
static enum uring_phase uring_zero_phase(const struct file *file,
					 const struct pvio_block_io *io)
{
	if (io->may_unmap && !pvio_load_once(&file->no_punch))
		return URING_PUNCH;
	if (!pvio_load_once(&file->no_zero_range))
		return URING_ZERO_RANGE;
	return URING_WRITE_ZERO;
}

/* fallocate() ended a discard, or a phase of write zeroes. */
static void uring_fallocate_done(struct uring *q, struct pvio_block_io *io,
				 int res)
{
	if (res == -EOPNOTSUPP) {
		pvio_store_once(io->phase == URING_PUNCH
					? &q->file->no_punch
					: &q->file->no_zero_range,
				1);
		if (io->op == PVIO_BLOCK_WRITE_ZEROES) {
			io->phase = uring_zero_phase(q->file, io);
			uring_start(q, io);
			return;
		}
	}
	if (res == 0 && io->op == PVIO_BLOCK_WRITE_ZEROES && io->stable) {
		io->phase = URING_SYNC;
		uring_start(q, io);
		return;
	}
	uring_finish(q, io, res);
}

static void uring_complete(struct uring *q, struct pvio_block_io *io, int res)
{
	q->outstanding--;
	if (unlikely((res == -EINTR || res == -EAGAIN) &&
		     io->retries++ < URING_MAX_RETRIES)) {
		uring_start(q, io);
		return;
	}
	switch ((enum uring_phase)io->phase) {
	case URING_TRANSFER:
	case URING_WRITE_ZERO:
		if (unlikely(res < 0))
			uring_finish(q, io, res);
		else
			uring_advance(q, io, res);
		break;
	case URING_PUNCH:
	case URING_ZERO_RANGE:
		uring_fallocate_done(q, io, res);
		break;
	case URING_SYNC:
		uring_finish(q, io, res);
		break;
	}
}

/*
 * Take up what has completed, start what waited for room, until neither gives
 * anything new.  Returns whether there was something.
 */
static bool uring_reap(struct uring *q)
{
	struct io_uring_cqe *cqes[URING_REAP_BATCH];
	struct {
		struct pvio_block_io *io;
		int res;
	} batch[URING_REAP_BATCH];
	unsigned int i, nr;
	bool found = false;

	for (;;) {
		nr = io_uring_peek_batch_cqe(&q->ring, cqes, URING_REAP_BATCH);
		/* done() may submit, so the ring is let go first. */
		for (i = 0; i < nr; i++) {
			batch[i].io = io_uring_cqe_get_data(cqes[i]);
			batch[i].res = cqes[i]->res;
		}
		io_uring_cq_advance(&q->ring, nr);
		for (i = 0; i < nr; i++)
			uring_complete(q, batch[i].io, batch[i].res);
		while (unlikely(q->held.head) && uring_place(q, q->held.head))
			uring_list_take(&q->held);
		if (io_uring_sq_ready(&q->ring) && nr > 0)
			uring_enter(q);
		if (nr == 0)
			return found;
		found = true;
	}
}

static void uring_on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	uring_reap(arg);
}

static void uring_on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct uring *q = arg;

	(void)fd;
	(void)what;
	uring_reap(q);
	if (io_uring_sq_ready(&q->ring))
		uring_enter(q);
}

/* Has the kernel completed something, or would it if we let it? */
static bool uring_has_news(struct uring *q)
{
	return io_uring_cq_ready(&q->ring) ||
	       (pvio_load_once(q->ring.sq.kflags) & IORING_SQ_TASKRUN);
}

static bool uring_poll(struct pvio_poller *poller)
{
	struct uring *q = pvio_container_of(poller, struct uring, poller);

	return uring_has_news(q) && uring_reap(q);
}

/* --- the backend's queue operations --------------------------------------- */

void pvio_uring_submit(void *queue, struct pvio_block_io *io)
{
	struct uring *q = queue;

	io->progress = 0;
	io->bounce = NULL;
	io->retries = 0;
	io->phase = URING_TRANSFER;
	switch (io->op) {
	case PVIO_BLOCK_READ:
	case PVIO_BLOCK_WRITE:
		if (unlikely(uring_is_misaligned(q->file, io))) {
			io->bounce = uring_bounce_get(q);
			/* Someone has one, and will give it back. */
			if (!io->bounce && q->nr_bounce_made > 0) {
				uring_list_add(&q->waiting, io);
				return;
			}
			if (!io->bounce) {
				pvio_block_done(io, -ENOMEM);
				return;
			}
		}
		break;
	case PVIO_BLOCK_FLUSH:
		io->phase = URING_SYNC;
		break;
	case PVIO_BLOCK_DISCARD:
		io->phase = URING_PUNCH;
		break;
	case PVIO_BLOCK_WRITE_ZEROES:
		io->phase = uring_zero_phase(q->file, io);
		break;
	}
	uring_start(q, io);
}

void pvio_uring_flush(void *queue)
{
	struct uring *q = queue;

	if (io_uring_sq_ready(&q->ring))
		uring_enter(q);
	if (uring_has_news(q))
		uring_reap(q);
}

/*
 * COOP_TASKRUN: a completion does not interrupt our thread, which enters the
 * kernel soon enough anyway; while it polls instead, TASKRUN_FLAG tells it to.
 * Kernels before 5.19 refuse these.
 *
 * DEFER_TASKRUN would do the same and bind a ring to one thread for ever, but a
 * worker may be stepped by one and then started on another.
 */
static int uring_make(struct io_uring *ring, unsigned int depth)
{
	const unsigned int modern = IORING_SETUP_COOP_TASKRUN |
				    IORING_SETUP_TASKRUN_FLAG |
				    IORING_SETUP_SUBMIT_ALL;
	struct io_uring_params params = { 0 };
	unsigned int entries = (unsigned int)pvio_min(depth, URING_MAX_ENTRIES);
	int rc;

	params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | modern;
	params.cq_entries = (unsigned int)pvio_max(depth, entries);
	rc = io_uring_queue_init_params(entries, ring, &params);
	if (rc == -EINVAL) {
		params.flags &= ~modern;
		rc = io_uring_queue_init_params(entries, ring, &params);
	}
	return rc;
}

int pvio_uring_check(const char *device)
{
	struct io_uring ring;
	int rc;

	rc = uring_make(&ring, 1);
	if (rc < 0) {
		pvio_log(
			PVIO_LOG_ERROR,
			"%s: io_uring: %s (needs Linux 5.6 or later, not "
			"forbidden by kernel.io_uring_disabled, a container or "
			"RLIMIT_MEMLOCK)",
			device, strerror(-rc));
		return rc;
	}
	io_uring_queue_exit(&ring);
	return 0;
}

int pvio_uring_start_queue(void *backend, struct pvio_worker *worker,
			   unsigned int depth, void **queue)
{
	struct event_base *base = pvio_worker_base(worker);
	struct file *file = backend;
	struct uring *q;
	int rc;

	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->file = file;
	q->worker = worker;
	uring_list_init(&q->held);
	uring_list_init(&q->waiting);
	rc = uring_make(&q->ring, depth);
	if (rc < 0)
		goto free_queue;
	q->limit = *q->ring.cq.kring_entries;
	rc = io_uring_register_files(&q->ring, &file->fd, 1);
	if (rc < 0)
		goto exit_ring;
	rc = -ENOMEM;
	q->readable = event_new(base, q->ring.ring_fd, EV_READ | EV_PERSIST,
				uring_on_readable, q);
	q->retry = evtimer_new(base, uring_on_retry, q);
	if (!q->readable || !q->retry || event_add(q->readable, NULL) < 0)
		goto free_events;
	q->poller.poll = uring_poll;
	pvio_worker_add_poller(worker, &q->poller);
	*queue = q;
	return 0;

free_events:
	if (q->readable)
		event_free(q->readable);
	if (q->retry)
		event_free(q->retry);
exit_ring:
	io_uring_queue_exit(&q->ring);
free_queue:
	free(q);
	pvio_log(PVIO_LOG_ERROR, "%s: io_uring: %s", file->device,
		 strerror(-rc));
	return rc;
}

void pvio_uring_stop_queue(void *queue)
{
	struct uring *q = queue;

	pvio_worker_remove_poller(&q->poller);
	event_free(q->readable);
	event_free(q->retry);
	io_uring_queue_exit(&q->ring);
	while (q->nr_bounce > 0)
		free(q->bounce[--q->nr_bounce]);
	free(q);
}
