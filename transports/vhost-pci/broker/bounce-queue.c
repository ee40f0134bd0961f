/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bounce-queue.c - chains of B's, through the window and back
 *
 * Theory of operation.  B's queue is served as any other: the model's kick pops
 * chains.  Each is copied to pages of the queue's arena,
 *
 *	| lead | readable bytes, up to a page's end |
 *	| writable bytes, from a page's start ...          |
 *
 * (so that a disk's data, behind its header, begins as aligned as in B), and
 * put on the shadow ring under its slot; a batch costs one kick.  The appliance
 * answers in any order: as many bytes as it says, but no more than there are,
 * are copied to B.
 *
 * How we hear of answers is core/device-queue.c's way: after the last one we
 * look, for as long as the worker is awake; then the appliance is asked to
 * call.  A call is an edge of our eventfd, which is never read, so a storm of
 * them costs one look a turn.
 *
 * A chain that finds no room waits in B's ring.  Since all of the arena is one
 * run when nothing is in it, what fits at all fits then.
 *
 * A chain is B's until it is popped, and ours until it is pushed; what the
 * appliance does with its copy, or with the window, reaches B only as far as
 * said here.  So nothing has to be waited for when it dies: what it had is
 * copied again for the one that comes after it.  But frames may have been sent,
 * and are not sent twice: they count as sent.
 */
#include "bounce.h"

#include "core/eventfd.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Then it is the turn of others. */
#define BUDGET_CHAINS 64
#define BUDGET_BYTES  (1u << 20)

static struct bounce_request *request_of(struct bounce_queue *q,
					 const struct pvio_chain *chain)
{
	return &q->request[chain->slot];
}

static uint8_t failed_status(const struct bounce_queue *q)
{
	return q->vq->failed_status;
}

/* --- the chains we hold ---------------------------------------------------- */

static void request_hold(struct bounce_queue *q, struct pvio_chain *chain)
{
	struct bounce_request *req = request_of(q, chain);

	req->chain = chain;
	req->nr = 0;
	req->number = ++q->nr_held;
	req->before = q->last;
	req->after = BOUNCE_NONE;
	if (q->last == BOUNCE_NONE)
		q->first = chain->slot;
	else
		q->request[q->last].after = chain->slot;
	q->last = chain->slot;
}

/* The chain is nobody's: push it, or unpop it. */
static struct pvio_chain *request_drop(struct bounce_queue *q,
				       struct bounce_request *req)
{
	struct pvio_chain *chain = req->chain;
	unsigned int i;

	for (i = 0; i < req->nr; i++)
		arena_give(&q->arena, &req->run[i]);
	req->nr = 0;
	req->chain = NULL;
	if (req->before == BOUNCE_NONE)
		q->first = req->after;
	else
		q->request[req->before].after = req->after;
	if (req->after == BOUNCE_NONE)
		q->last = req->before;
	else
		q->request[req->after].before = req->before;
	return chain;
}

/* Drivers of a disk look at its last byte only. */
static void chain_put_failed(const struct bounce_queue *q,
			     const struct pvio_chain *chain)
{
	uint8_t status = failed_status(q);

	if (status && chain->writable > 0)
		pvio_chain_put(chain, chain->writable - 1, &status, 1);
}

static void chain_fail(struct bounce_queue *q, struct pvio_chain *chain)
{
	chain_put_failed(q, chain);
	pvio_vq_push(q->vq, chain, 0);
	pvio_vq_flush_soon(q->vq);
}

/* --- to the window --------------------------------------------------------- */

/*
 * Runs @from to @to as host addresses.  All of the request's pages are listed,
 * but for the lead of the first.
 */
static int request_iov(const struct bounce_queue *q,
		       const struct bounce_request *req, unsigned int from,
		       unsigned int to, struct iovec iov[SHADOW_MAX_PIECES])
{
	uint8_t *pages = q->host + q->ring.bytes;
	unsigned int i;

	for (i = from; i < to; i++) {
		uint64_t lead = i == 0 && req->nr_readable ? req->lead : 0;
		const struct arena_run *run = &req->run[i];

		iov[i - from].iov_base =
			pages + (uint64_t)run->page * ARENA_PAGE_BYTES + lead;
		iov[i - from].iov_len = (uint64_t)run->nr * ARENA_PAGE_BYTES -
					lead;
	}
	return (int)(to - from);
}

/* The same for the appliance, cut at @len bytes. */
static void request_pieces(const struct bounce_queue *q,
			   const struct iovec iov[], int nr, uint64_t len,
			   struct shadow_piece piece[])
{
	int i;

	for (i = 0; i < nr; i++) {
		uint64_t n = pvio_min(len, iov[i].iov_len);

		piece[i].gpa = q->gpa +
			       (uint64_t)((uint8_t *)iov[i].iov_base - q->host);
		piece[i].len = (uint32_t)n;
		len -= n;
	}
}

/* Pages for both halves of @req's chain.  -ENOSPC: not now. */
static int request_take_pages(struct bounce_queue *q,
			      struct bounce_request *req)
{
	const struct pvio_chain *chain = req->chain;
	uint32_t readable = arena_pages(chain->readable);
	uint32_t writable = arena_pages(chain->writable);
	int n = 0, m = 0;

	if (readable + writable > q->arena.nr_free)
		return -ENOSPC;
	if (readable)
		n = arena_take(&q->arena, readable, req->run,
			       SHADOW_MAX_PIECES - 1);
	if (n < 0)
		return n;
	req->nr_readable = req->nr = (uint8_t)n;
	req->lead = (uint16_t)((uint64_t)readable * ARENA_PAGE_BYTES -
			       chain->readable);
	if (writable)
		m = arena_take(&q->arena, writable, req->run + n,
			       SHADOW_MAX_PIECES - (unsigned int)n);
	if (m < 0) {
		while (req->nr > 0)
			arena_give(&q->arena, &req->run[--req->nr]);
		return m;
	}
	req->nr = (uint8_t)(n + m);
	return 0;
}

/*
 * Copy @req's chain and put it on the ring.  0; -ENOSPC: no room now; -EMSGSIZE:
 * there never is.
 */
static int request_post(struct bounce_queue *q, struct bounce_request *req)
{
	const struct pvio_chain *chain = req->chain;
	struct shadow_piece piece[SHADOW_MAX_PIECES];
	struct iovec iov[SHADOW_MAX_PIECES];
	uint8_t status = failed_status(q);
	int n, m, rc;

	if (chain->readable + chain->writable == 0 ||
	    arena_pages(chain->readable) + arena_pages(chain->writable) >
		    q->arena.nr)
		return -EMSGSIZE;
	rc = request_take_pages(q, req);
	if (rc < 0)
		return rc;

	n = request_iov(q, req, 0, req->nr_readable, iov);
	pvio_iov_copy(iov, n, 0, pvio_chain_readable(chain), chain->nr_readable,
		      0, chain->readable);
	request_pieces(q, iov, n, chain->readable, piece);
	m = request_iov(q, req, req->nr_readable, req->nr, iov);
	/* What it says if the appliance forgets to. */
	if (status && m > 0)
		pvio_iov_put(iov, m, chain->writable - 1, &status, 1);
	request_pieces(q, iov, m, chain->writable, piece + n);

	shadow_add(&q->ring, chain->slot, piece, (unsigned int)n,
		   (unsigned int)m);
	pvio_count(&q->copied_in, chain->readable);
	return 0;
}

/* --- from the window ------------------------------------------------------- */

/* The appliance says that it wrote @len bytes for the chain in @slot. */
static void request_answer(struct bounce_queue *q, uint16_t slot, uint32_t len)
{
	struct bounce_request *req = &q->request[slot];
	struct pvio_chain *chain = req->chain;
	struct iovec iov[SHADOW_MAX_PIECES];
	int n = request_iov(q, req, req->nr_readable, req->nr, iov);

	if (unlikely(len > chain->writable)) {
		len = chain->writable;
		pvio_count(&q->clamped, 1);
	}
	/* A driver that broke its ring has its memory left alone. */
	if (unlikely(q->vq->state == PVIO_VQ_BROKEN)) {
		pvio_vq_push(q->vq, request_drop(q, req), 0);
		return;
	}
	pvio_vq_stamp(q->vq, chain, PVIO_STAGE_COMPLETE);
	pvio_iov_copy(pvio_chain_writable(chain), chain->nr_writable, 0, iov, n,
		      0, len);
	/* The status, which need not be among the bytes that count. */
	if (failed_status(q) && chain->writable > 0)
		pvio_iov_copy(pvio_chain_writable(chain), chain->nr_writable,
			      chain->writable - 1, iov, n, chain->writable - 1,
			      1);
	pvio_count(&q->copied_out, len);
	pvio_count(&q->vq->stats.bytes_out, len);
	pvio_vq_push(q->vq, request_drop(q, req), len);
	/* Nobody notifies a driver of what it did itself (virtio 1.4, 5.1.4). */
	if (q->is_control) {
		pvio_store_release(&q->bounce->has_commanded, 1);
		bounce_post_news(q->bounce);
	}
}

/* Leave the ring alone, and have control say why. */
static pvio_cold void queue_distrust(struct bounce_queue *q,
				     enum bounce_fault fault)
{
	q->is_live = false;
	pvio_store_release(&q->fault, (uint8_t)fault);
	bounce_post_news(q->bounce);
}

/* Take up to @budget answers.  True: there may be more. */
static bool queue_reap(struct bounce_queue *q, unsigned int budget)
{
	uint16_t slot;
	uint32_t len;
	int rc = 1;

	while (q->is_live && budget-- > 0) {
		rc = shadow_reap(&q->ring, &slot, &len);
		if (rc <= 0)
			break;
		request_answer(q, slot, len);
	}
	pvio_vq_flush_soon(q->vq);
	if (rc < 0)
		queue_distrust(q, BOUNCE_BAD_RING);
	if (q->is_starved) {
		q->is_starved = false;
		pvio_vq_schedule(q->vq);
	}
	return rc > 0;
}

static void queue_reap_job(struct pvio_job *job)
{
	struct bounce_queue *q = pvio_container_of(job, struct bounce_queue,
						   reap_job);

	q->is_armed = false;
	if (q->is_live && queue_reap(q, BUDGET_CHAINS))
		pvio_worker_schedule(q->worker, &q->reap_job);
}

/* --- hearing of answers ---------------------------------------------------- */

static void queue_on_call(evutil_socket_t fd, short what, void *arg)
{
	struct bounce_queue *q = arg;

	(void)fd;
	(void)what;
	if (q->is_live)
		pvio_worker_schedule(q->worker, &q->reap_job);
}

static bool queue_poll(struct pvio_poller *poller)
{
	struct bounce_queue *q = pvio_container_of(poller, struct bounce_queue,
						   poller);

	if (!q->is_live || q->is_armed || pvio_job_is_pending(&q->reap_job) ||
	    !shadow_has_used(&q->ring))
		return false;
	pvio_worker_schedule(q->worker, &q->reap_job);
	return true;
}

static bool queue_sleep(struct pvio_poller *poller)
{
	struct bounce_queue *q = pvio_container_of(poller, struct bounce_queue,
						   poller);

	if (!q->is_live || q->is_armed)
		return false;
	q->is_armed = true;
	if (!shadow_ask_call(&q->ring))
		return false;
	pvio_worker_schedule(q->worker, &q->reap_job);
	return true;
}

/*
 * Look at the oldest chain, once in a while: was it there the last time?  X08.
 * Answers that we have not seen yet are taken first.
 */
static void queue_on_time(evutil_socket_t fd, short what, void *arg)
{
	struct bounce_queue *q = arg;

	(void)fd;
	(void)what;
	if (!q->is_live || queue_reap(q, BUDGET_CHAINS))
		return;
	/* It need not serve a ring that is not enabled, or may not have been. */
	if (!q->vq->enabled || q->told_wish != q->wish) {
		q->late_number = 0;
		return;
	}
	if (q->first != BOUNCE_NONE &&
	    q->request[q->first].number <= q->late_number)
		queue_distrust(q, BOUNCE_LATE);
	q->late_number = q->nr_held;
}

static void queue_watch_time(struct bounce_queue *q)
{
	uint64_t ms = q->bounce->port->broker->request_timeout_ms;
	const struct timeval tv = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000),
	};

	q->late_number = 0;
	if (q->is_patient)
		return;
	if (!q->late_event)
		q->late_event = event_new(pvio_worker_base(q->worker), -1,
					  EV_PERSIST, queue_on_time, q);
	if (q->late_event)
		event_add(q->late_event, &tv);
}

static void queue_listen(struct bounce_queue *q)
{
	q->is_live = true;
	q->is_armed = false;
	if (!q->call_event)
		q->call_event = event_new(
			pvio_worker_base(q->worker), q->call_fd,
			EV_READ | EV_PERSIST | EV_ET, queue_on_call, q);
	/* Without an event we hear of answers whenever the worker is awake. */
	if (q->call_event)
		event_add(q->call_event, NULL);
	queue_watch_time(q);
	pvio_worker_remove_poller(&q->poller);
	pvio_worker_add_poller(q->worker, &q->poller);
}

static void queue_listen_no_more(struct bounce_queue *q)
{
	q->is_live = false;
	pvio_worker_remove_poller(&q->poller);
	pvio_job_cancel(&q->reap_job);
	if (q->call_event)
		event_free(q->call_event);
	if (q->late_event)
		event_free(q->late_event);
	q->call_event = q->late_event = NULL;
}

/* --- kick ------------------------------------------------------------------ */

/* Its VMM has the eventfd, too, and can have it block: once, and no more. */
static void queue_kick_appliance(struct bounce_queue *q)
{
	if (likely(pvio_eventfd_signal(q->kick_fd) != -EINTR))
		return;
	q->is_blocked = true;
	queue_distrust(q, BOUNCE_BLOCKS);
}

/* Post the chain that was popped last.  False: it has to wait. */
static bool queue_post(struct bounce_queue *q, struct pvio_chain *chain)
{
	struct bounce_request *req = request_of(q, chain);
	int rc;

	request_hold(q, chain);
	rc = request_post(q, req);
	if (likely(rc == 0)) {
		pvio_vq_stamp(q->vq, chain, PVIO_STAGE_SUBMIT);
		pvio_count(&q->vq->stats.bytes_in, chain->readable);
		return true;
	}
	request_drop(q, req);
	if (rc == -ENOSPC) {
		pvio_vq_unpop(q->vq, chain);
		q->is_starved = true;
		return false;
	}
	pvio_vq_fault(q->vq, PVIO_FAULT_REQUEST,
		      "chain of %u and %u bytes does not fit into the window",
		      chain->readable, chain->writable);
	chain_fail(q, chain);
	return true;
}

static enum pvio_kick queue_post_all(struct bounce_queue *q)
{
	unsigned int left = BUDGET_CHAINS;
	uint64_t bytes = 0;

	while (left-- > 0 && bytes < BUDGET_BYTES) {
		struct pvio_chain *chain = pvio_vq_pop(q->vq);

		if (!chain)
			return PVIO_KICK_DRAINED;
		bytes += chain->readable;
		if (!queue_post(q, chain))
			return PVIO_KICK_WAIT;
	}
	return PVIO_KICK_AGAIN;
}

/* The appliance is to know whether the queue is enabled. */
static void queue_wish(struct bounce_queue *q)
{
	q->late_number = 0;
	pvio_store_release(&q->wish, ((q->wish | 1) + 1) | q->vq->enabled);
	bounce_post_news(q->bounce);
}

enum pvio_kick bounce_queue_kick(struct bounce_queue *q)
{
	enum pvio_kick result;

	if (!q->is_live)
		return PVIO_KICK_WAIT;
	/* A ring that is not enabled does other things: it is told first. */
	if (unlikely(q->vq->enabled != (q->wish & 1)))
		queue_wish(q);
	if (unlikely(q->told_wish != q->wish))
		return PVIO_KICK_WAIT;
	result = queue_post_all(q);
	if (shadow_publish(&q->ring))
		queue_kick_appliance(q);
	return result;
}

/* --- the life of a queue --------------------------------------------------- */

static void queue_free(struct bounce_queue *q)
{
	free(q->request);
	q->request = NULL;
	arena_fini(&q->arena);
	shadow_fini(&q->ring);
}

int bounce_queue_start(struct bounce_queue *q, struct pvio_vq *vq)
{
	uint16_t size = shadow_size(vq->size);
	uint64_t ring = shadow_bytes(size);
	int rc;

	/* bounce_create_device() has seen to that. */
	if (ring + ARENA_PAGE_BYTES > q->bytes)
		return -ENOSPC;
	rc = shadow_init(&q->ring, size, q->host, q->gpa);
	if (rc < 0)
		return rc;
	rc = arena_init(&q->arena,
			(uint32_t)((q->bytes - ring) / ARENA_PAGE_BYTES));
	q->request = calloc(vq->size, sizeof(*q->request));
	if (rc < 0 || !q->request) {
		queue_free(q);
		return -ENOMEM;
	}
	q->vq = vq;
	q->first = q->last = BOUNCE_NONE;
	q->nr_held = 0;
	q->is_starved = false;
	queue_wish(q);
	pvio_store_release(&q->life, q->life + 1);
	bounce_post_news(q->bounce);
	return 0;
}

void bounce_queue_stop(struct bounce_queue *q)
{
	q->is_starved = false;
	pvio_store_release(&q->life, q->life + 1);
	bounce_post_news(q->bounce);
}

void bounce_queue_idle(struct bounce_queue *q)
{
	queue_listen_no_more(q);
	queue_free(q);
	q->vq = NULL;
}

/* --- commands -------------------------------------------------------------- */

/*
 * Lay the ring out, and add what the appliance before had: as the arena is
 * empty each takes one run, in the order in which they found room before.
 */
static int queue_prepare(struct bounce_queue *q)
{
	uint16_t slot, after;

	shadow_clear(&q->ring);
	arena_clear(&q->arena);
	for (slot = q->first; slot != BOUNCE_NONE;
	     slot = q->request[slot].after)
		q->request[slot].nr = 0;
	for (slot = q->first; slot != BOUNCE_NONE; slot = after) {
		struct bounce_request *req = &q->request[slot];

		after = req->after;
		if (q->is_tx) {
			pvio_vq_push(q->vq, request_drop(q, req), 0);
		} else if (request_post(q, req) < 0) {
			chain_fail(q, request_drop(q, req));
		} else {
			pvio_count(&q->reposted, 1);
		}
	}
	pvio_vq_flush_soon(q->vq);
	(void)shadow_publish(&q->ring);
	q->at = q->ring.at;
	return q->ring.size;
}

static void queue_go_live(struct bounce_queue *q)
{
	q->told_wish = q->command_wish;
	queue_listen(q);
	queue_kick_appliance(q);
	pvio_vq_schedule(q->vq);
}

/* What nobody will answer, newest first, as unpop wants it. */
static void queue_release(struct bounce_queue *q)
{
	/* It answered before it let go, perhaps before we went live. */
	q->is_live = q->rest == BOUNCE_REST_UNTAKEN && q->fault == BOUNCE_FINE;
	while (q->is_live && queue_reap(q, q->ring.size))
		;
	queue_listen_no_more(q);
	while (q->vq && q->last != BOUNCE_NONE) {
		struct pvio_chain *chain = request_drop(q,
							&q->request[q->last]);

		if (q->is_tx && q->rest != BOUNCE_REST_UNTAKEN) {
			pvio_vq_push(q->vq, chain, 0);
			continue;
		}
		/* Should the ring not go back, it says so. */
		chain_put_failed(q, chain);
		if (q->rest == BOUNCE_REST_FAIL && failed_status(q))
			pvio_vq_push(q->vq, chain, 0);
		else
			pvio_vq_unpop(q->vq, chain);
	}
	pvio_vq_flush_soon(q->vq);
}

static int queue_obey(struct bounce_queue *q)
{
	/* Another life, or none: it has nothing to do with us. */
	if (!q->vq || q->life != q->command_life)
		return -ECANCELED;
	switch (q->command) {
	case BOUNCE_PREPARE:
		return queue_prepare(q);
	case BOUNCE_LIVE:
		queue_go_live(q);
		break;
	case BOUNCE_ENABLE:
		q->told_wish = q->command_wish;
		pvio_vq_schedule(q->vq);
		break;
	case BOUNCE_LOSE:
		break;
	case BOUNCE_RELEASE:
		queue_release(q);
		break;
	}
	return 0;
}

static void queue_come_back(struct pvio_task *task)
{
	struct bounce_queue *q = pvio_container_of(task, struct bounce_queue,
						   task);

	q->is_busy = false;
	bounce_ring_commanded(q);
}

static void queue_take_command(struct pvio_task *task)
{
	struct bounce_queue *q = pvio_container_of(task, struct bounce_queue,
						   task);

	/* Whichever life it is: the appliance has no ring any more. */
	if (q->command == BOUNCE_LOSE && q->vq)
		queue_listen_no_more(q);
	q->rc = queue_obey(q);
	task->fn = queue_come_back;
	pvio_worker_post(q->bounce->port->broker->control, task);
}

void bounce_queue_command(struct bounce_queue *q)
{
	q->is_busy = true;
	q->task.fn = queue_take_command;
	pvio_worker_post(q->worker, &q->task);
}

int bounce_queue_open(struct bounce_queue *q)
{
	pvio_job_init(&q->reap_job, queue_reap_job);
	q->poller.poll = queue_poll;
	q->poller.sleep = queue_sleep;
	pvio_list_init(&q->poller.node);
	if (q->kick_fd < 0)
		q->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->call_fd < 0)
		q->call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return q->kick_fd < 0 || q->call_fd < 0 ? -errno : 0;
}

void bounce_queue_renew_kick(struct bounce_queue *q)
{
	int fd = q->is_blocked ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1;

	if (fd < 0)
		return;
	close(q->kick_fd);
	q->kick_fd = fd;
	q->is_blocked = false;
}

void bounce_queue_close(struct bounce_queue *q)
{
	if (q->kick_fd >= 0)
		close(q->kick_fd);
	if (q->call_fd >= 0)
		close(q->call_fd);
	q->kick_fd = q->call_fd = -1;
}
