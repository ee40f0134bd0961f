/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue.c - what split and packed queues share, device side
 *
 * The rings themselves are in queue-split.c and queue-packed.c; here is what
 * does not depend on their layout: starting and stopping, building chains out
 * of descriptors that were copied already, refusing them, notifying, breaking,
 * and the time stamps of the chain that is sampled now and then.
 *
 * Three kinds of memory meet here, and are kept apart:
 *
 *	shared    the ring in guest memory: read once into a local, written
 *	          through core/memory, never read back to learn our own state
 *	private   struct pvio_vq and its chains: indices, wrap counters, who is
 *	          in flight.  Nothing in it is indexed by a value from the guest
 *	          that was not compared with the size first
 *	frozen    size, addresses, features: copied by pvio_vq_start(); what the
 *	          driver writes later reaches the queue only through a new start
 *
 * A bad chain costs its sender that chain: length 0, and on to the next.  At
 * most `size` of them are refused in one pop, so a driver that makes bad ones
 * as fast as we refuse them holds the worker no longer than one that makes
 * good ones.  A bad ring breaks the queue.
 */
#include "device.h"
#include "eventfd.h"
#include "queue-chain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Indirect tables, and so chains, are no longer than this. */
#define VQ_CHAIN_MAX 1024
/* Segments beyond one a descriptor, for buffers that span regions. */
#define VQ_IOV_SPARE 16

static const char *vq_name(const struct pvio_vq *vq)
{
	return vq->dev ? pvio_device_name(vq->dev) : "queue";
}

/* --- trouble ------------------------------------------------------------- */

void pvio_vq_fault(struct pvio_vq *vq, enum pvio_fault fault, const char *fmt,
		   ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pvio_count(&vq->stats.faults[fault], 1);
	pvio_log_limited(&vq->log_limit, PVIO_LOG_WARNING, "%s: queue %u: %s",
			 vq_name(vq), vq->index, text);
}

/* A queue that is stopping, or broken, has got a chain back. */
static pvio_cold void vq_gave_back(struct pvio_vq *vq)
{
	if (vq->nr_in_flight == 0 && vq->dev)
		pvio_device_queue_drained(vq->dev, vq);
}

void pvio_vq_abandon(struct pvio_vq *vq)
{
	unsigned int i;

	vq->state = PVIO_VQ_BROKEN;
	vq->nr_resubmit = 0;
	vq->nr_staged = 0;
	vq->nr_staged_samples = 0;
	if (!vq->in_order)
		return;
	/* Chains that wait for their turn are nobody's any more. */
	for (i = 0; i < vq->size; i++) {
		struct pvio_chain *chain = &vq->chains[i];

		if (!chain->in_flight || !chain->done)
			continue;
		chain->in_flight = false;
		vq->nr_in_flight--;
	}
	vq_gave_back(vq);
}

void pvio_vq_break(struct pvio_vq *vq, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	if (vq->state == PVIO_VQ_BROKEN)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pvio_vq_abandon(vq);
	pvio_vq_fault(vq, PVIO_FAULT_RING, "%s; needs reset", text);
	if (vq->dev)
		pvio_device_queue_broken(vq->dev, vq);
}

static const char *const chain_faults[PVIO_NR_FAULTS] = {
	[PVIO_FAULT_HEAD] = "next descriptor does not exist",
	[PVIO_FAULT_DUPLICATE] = "already in flight",
	[PVIO_FAULT_LOOP] = "loops, or is longer than the queue",
	[PVIO_FAULT_INDIRECT] = "misuses an indirect table",
	[PVIO_FAULT_ADDRESS] = "has a buffer outside memory",
	[PVIO_FAULT_ORDER] = "readable after writable, or 4 GiB and more",
};

void pvio_chain_refuse(struct pvio_vq *vq, struct pvio_chain *chain, int error)
{
	enum pvio_fault fault = CHAIN_FAULT_OF(error);

	pvio_vq_fault(vq, fault, "chain %u refused: %s", chain->id,
		      chain_faults[fault]);
	/* What it covers is not known, and nothing was written. */
	chain->iov = chain->inline_iov;
	chain->readable = chain->writable = 0;
	chain->nr_readable = chain->nr_writable = 0;
	pvio_vq_push(vq, chain, 0);
	pvio_vq_flush_soon(vq);
}

/* --- building chains ----------------------------------------------------- */

int pvio_chain_add_slow(struct pvio_vq *vq, struct pvio_chain *chain,
			struct chain_builder *b, uint64_t gpa, uint32_t len)
{
	int n;

	if (b->max == PVIO_CHAIN_INLINE_SEGMENTS) {
		b->iov = vq->long_iov + (size_t)chain->slot * vq->iov_max;
		b->max = vq->iov_max;
		memcpy(b->iov, chain->inline_iov, b->nr * sizeof(*b->iov));
	}
	n = pvio_map_iov(vq->map, &vq->hint, gpa, len, b->iov + b->nr,
			 (int)(b->max - b->nr));
	if (n == -E2BIG)
		return CHAIN_REFUSE(PVIO_FAULT_LOOP);
	if (n < 0)
		b->lost_at = b->nr;
	else
		b->nr += (uint32_t)n;
	return CHAIN_OK;
}

/*
 * Some of the chain is in memory that we do not have, or may not use so.  It is
 * given back with length 0; but drivers of a disk look at the status only, and
 * what is there from the request before may say that all went well.
 */
int pvio_chain_lost(struct pvio_vq *vq, const struct chain_builder *b)
{
	struct iovec status;

	if (vq->failed_status && b->nr > b->nr_readable && b->nr > b->lost_at) {
		status = b->iov[b->nr - 1];
		status.iov_base = (uint8_t *)status.iov_base + status.iov_len - 1;
		status.iov_len = 1;
		pvio_guest_store((uint8_t *)status.iov_base, vq->failed_status);
		if (vq->map->log)
			pvio_map_log_iov(vq->map, &status, 1, 1);
	}
	return CHAIN_REFUSE(PVIO_FAULT_ADDRESS);
}

const void *pvio_chain_table(struct pvio_vq *vq, uint64_t gpa, uint32_t len,
			     unsigned int *entries, int *error)
{
	struct iovec iov[VQ_IOV_SPARE];
	const void *table;
	int n;

	/* (virtio 1.4, 2.7.5.3.1): no longer than the queue. */
	*error = CHAIN_REFUSE(PVIO_FAULT_INDIRECT);
	if (unlikely(!vq->indirect_ok || len == 0 ||
		     len % sizeof(struct vring_desc) != 0))
		return NULL;
	*entries = len / sizeof(struct vring_desc);
	if (unlikely(*entries > vq->chain_max))
		return NULL;
	if (unlikely(!chain_may_access(vq, gpa, len, PROT_READ))) {
		*error = CHAIN_REFUSE(PVIO_FAULT_ADDRESS);
		return NULL;
	}

	/*
	 * It may lie over the ring, so that bytes are read again in another
	 * role: no double fetch, since neither copy stands for the other.
	 */
	pvio_memory_request_begin();
	table = pvio_map_at(vq->map, &vq->hint, gpa, len);
	if (likely(table && (uintptr_t)table % sizeof(uint64_t) == 0))
		return table;
	*error = CHAIN_REFUSE(PVIO_FAULT_ADDRESS);
	n = pvio_map_iov(vq->map, &vq->hint, gpa, len, iov, VQ_IOV_SPARE);
	if (n < 0 || pvio_iov_fetch(iov, n, 0, vq->table, len) != len)
		return NULL;
	return vq->table;
}

/* --- time stamps --------------------------------------------------------- */

void pvio_vq_sample_pop(struct pvio_vq *vq, struct pvio_chain *chain)
{
	struct pvio_vq_stamp *stamp = &vq->stamps[chain->slot];
	uint64_t now = pvio_now_ns();

	vq->sample_in = PVIO_SAMPLE_EVERY - 1;
	chain->sampled = true;
	stamp->popped = stamp->last = now;
	if (vq->kick_ns) {
		pvio_histogram_add(&vq->stats.stage[PVIO_STAGE_POP],
				   now - vq->kick_ns);
		vq->kick_ns = 0;
	}
}

void pvio_vq_stamp_slow(struct pvio_vq *vq, struct pvio_chain *chain,
			enum pvio_stage stage)
{
	struct pvio_vq_stamp *stamp = &vq->stamps[chain->slot];
	uint64_t now = pvio_now_ns();

	pvio_histogram_add(&vq->stats.stage[stage], now - stamp->last);
	stamp->last = now;
}

void pvio_vq_sample_push(struct pvio_vq *vq, struct pvio_chain *chain)
{
	pvio_vq_stamp_slow(vq, chain, PVIO_STAGE_PUSH);
	if (vq->nr_staged_samples < PVIO_VQ_STAGED_SAMPLES)
		vq->staged_sample[vq->nr_staged_samples++] =
			vq->stamps[chain->slot];
}

static pvio_cold void vq_sample_published(struct pvio_vq *vq)
{
	uint64_t now = pvio_now_ns();
	unsigned int i;

	for (i = 0; i < vq->nr_staged_samples; i++) {
		const struct pvio_vq_stamp *stamp = &vq->staged_sample[i];

		pvio_histogram_add(&vq->stats.stage[PVIO_STAGE_NOTIFY],
				   now - stamp->last);
		pvio_histogram_add(&vq->stats.stage[PVIO_STAGE_TOTAL],
				   now - stamp->popped);
	}
	vq->nr_staged_samples = 0;
}

/* --- the calls of a model ------------------------------------------------ */

struct pvio_chain *pvio_vq_pop(struct pvio_vq *vq)
{
	if (unlikely(vq->nr_resubmit && vq->state == PVIO_VQ_RUNNING)) {
		struct pvio_chain *chain = vq->packed ?
						   pvio_packed_recovered(vq) :
						   pvio_split_recovered(vq);

		if (chain)
			return chain;
	}
	return vq->packed ? pvio_packed_pop(vq) : pvio_split_pop(vq);
}

/* The queue broke while a model held @chain: forget it. */
static pvio_cold void vq_drop(struct pvio_vq *vq, struct pvio_chain *chain)
{
	chain->in_flight = false;
	vq->nr_in_flight--;
	vq_gave_back(vq);
}

void pvio_vq_unpop(struct pvio_vq *vq, struct pvio_chain *chain)
{
	assert(chain->in_flight && !chain->done);
	if (likely(vq->state != PVIO_VQ_BROKEN) &&
	    (vq->packed ? pvio_packed_unpop(vq, chain) :
			  pvio_split_unpop(vq, chain))) {
		if (unlikely(vq->state != PVIO_VQ_RUNNING))
			vq_gave_back(vq);
		return;
	}
	pvio_vq_push(vq, chain, 0);
	pvio_vq_flush_soon(vq);
}


void pvio_vq_push(struct pvio_vq *vq, struct pvio_chain *chain,
		  uint32_t written)
{
	assert(chain->in_flight && !chain->done);
	if (unlikely(vq->state == PVIO_VQ_BROKEN)) {
		vq_drop(vq, chain);
		return;
	}
	/*
	 * All that could have been written, which may be more than @written: a
	 * read that failed half-way, a status byte at the end.
	 */
	if (unlikely(vq->logging))
		pvio_map_log_iov(vq->map, pvio_chain_writable(chain),
				 chain->nr_writable, chain->writable);
	if (unlikely(chain->sampled))
		pvio_vq_sample_push(vq, chain);
	if (vq->packed)
		pvio_packed_push(vq, chain, written);
	else
		pvio_split_push(vq, chain, written);
	if (unlikely(vq->state != PVIO_VQ_RUNNING))
		vq_gave_back(vq);
}

/* Whoever holds its other end made it block. */
static pvio_cold void vq_drop_call_fd(struct pvio_vq *vq)
{
	pvio_log_limited(&vq->log_limit, PVIO_LOG_WARNING,
			 "%s: queue %u: the call eventfd blocks; no more "
			 "notifications",
			 vq_name(vq), vq->index);
	close(vq->call_fd);
	vq->call_fd = -1;
}

void pvio_vq_notify(struct pvio_vq *vq)
{
	pvio_count(&vq->stats.notifications, 1);
	if (likely(vq->call_fd >= 0)) {
		if (unlikely(pvio_eventfd_signal(vq->call_fd) == -EINTR))
			vq_drop_call_fd(vq);
	} else if (vq->dev) {
		pvio_device_notify_queue(vq->dev, vq->index);
	}
}

void pvio_vq_flush(struct pvio_vq *vq)
{
	if (vq->nr_staged == 0)
		return;
	if (vq->packed ? pvio_packed_publish(vq) : pvio_split_publish(vq))
		pvio_vq_notify(vq);
	else
		pvio_count(&vq->stats.suppressed, 1);
	pvio_count(&vq->stats.flushes, 1);
	if (unlikely(vq->nr_staged_samples))
		vq_sample_published(vq);
}

static void vq_flush_job(struct pvio_job *job)
{
	pvio_vq_flush(pvio_container_of(job, struct pvio_vq, flush));
}

void pvio_vq_flush_soon(struct pvio_vq *vq)
{
	if (unlikely(!vq->worker))
		pvio_vq_flush(vq);
	else if (!pvio_job_is_pending(&vq->flush))
		pvio_worker_at_turn_end(vq->worker, &vq->flush);
}

void pvio_vq_schedule(struct pvio_vq *vq)
{
	if (vq->worker && !pvio_job_is_pending(&vq->run))
		pvio_worker_schedule(vq->worker, &vq->run);
}

bool pvio_vq_has_available(struct pvio_vq *vq)
{
	if (unlikely(vq->state != PVIO_VQ_RUNNING))
		return false;
	if (unlikely(vq->nr_resubmit))
		return true;
	return vq->packed ? pvio_packed_has_available(vq) :
			    pvio_split_has_available(vq);
}

void pvio_vq_disable_kick(struct pvio_vq *vq)
{
	if (unlikely(vq->state != PVIO_VQ_RUNNING))
		return;
	if (vq->packed)
		pvio_packed_disable_kick(vq);
	else
		pvio_split_disable_kick(vq);
}

bool pvio_vq_enable_kick(struct pvio_vq *vq)
{
	if (unlikely(vq->state != PVIO_VQ_RUNNING))
		return false;
	return (vq->packed ? pvio_packed_enable_kick(vq) :
			     pvio_split_enable_kick(vq)) ||
	       vq->nr_resubmit > 0;
}

/* --- start and stop ------------------------------------------------------ */

static void vq_free(struct pvio_vq *vq)
{
	if (vq->long_iov)
		munmap(vq->long_iov, vq->long_iov_bytes);
	free(vq->chains);
	free(vq->free_slots);
	free(vq->order);
	free(vq->table);
	free(vq->stamps);
	vq->long_iov = NULL;
	vq->chains = NULL;
	vq->free_slots = NULL;
	vq->order = NULL;
	vq->table = NULL;
	vq->stamps = NULL;
}

static int vq_alloc(struct pvio_vq *vq)
{
	size_t size = vq->size;
	void *iov;
	size_t i;

	vq->chain_max = (uint16_t)pvio_min(size, VQ_CHAIN_MAX);
	vq->iov_max = vq->chain_max + VQ_IOV_SPARE;
	vq->chains = aligned_alloc(PVIO_CACHE_LINE_BYTES,
				   size * sizeof(*vq->chains));
	vq->free_slots = calloc(size, sizeof(*vq->free_slots));
	vq->order = calloc(size, sizeof(*vq->order));
	vq->table = calloc(vq->chain_max, sizeof(struct vring_desc));
	vq->stamps = calloc(size, sizeof(*vq->stamps));
	/* Most chains never need theirs, and pages come when touched. */
	vq->long_iov_bytes = size * vq->iov_max * sizeof(*vq->long_iov);
	iov = mmap(NULL, vq->long_iov_bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	vq->long_iov = iov == MAP_FAILED ? NULL : iov;
	if (!vq->chains || !vq->free_slots || !vq->order || !vq->table ||
	    !vq->stamps || !vq->long_iov) {
		vq_free(vq);
		return -ENOMEM;
	}

	memset(vq->chains, 0, size * sizeof(*vq->chains));
	for (i = 0; i < size; i++) {
		vq->chains[i].slot = (uint16_t)i;
		vq->free_slots[i] = (uint16_t)(size - 1 - i);
	}
	return 0;
}

bool pvio_vq_find_lost(const struct pvio_vq *vq)
{
	unsigned int i;

	for (i = 0; i < PVIO_VQ_AREAS; i++)
		if (vq->joined[i] && pvio_mapping_has_faulted(vq->joined[i]))
			return true;
	return pvio_map_find_lost(vq->map);
}

static void vq_drop_areas(struct pvio_vq *vq)
{
	unsigned int i;

	for (i = 0; i < PVIO_VQ_AREAS; i++) {
		pvio_mapping_put(vq->joined[i]);
		vq->joined[i] = NULL;
	}
	vq->desc = vq->driver = vq->device = NULL;
}

/*
 * One area of the ring: in one piece, which can be accessed as we do, and
 * aligned here as in the guest.
 */
static int vq_area(struct pvio_vq *vq, unsigned int index, uint64_t gpa,
		   uint64_t len, unsigned int align, int prot)
{
	void **const areas[] = { &vq->desc, &vq->driver, &vq->device };
	void *area;

	static_assert(pvio_array_size(areas) == PVIO_VQ_AREAS, "all of them");
	if (gpa % align != 0)
		return -EINVAL;
	area = pvio_map_at(vq->map, &vq->hint, gpa, len);
	if (area && (vq->hint->prot & prot) != prot)
		return -EFAULT;
	if (!area) {
		if (pvio_map_join(vq->map, gpa, len, prot,
				  &vq->joined[index]) < 0)
			return -EFAULT;
		area = pvio_mapping_host(vq->joined[index]);
	}
	*areas[index] = area;
	return (uintptr_t)area % align != 0 ? -EINVAL : 0;
}

/* (virtio 1.4, 2.7 and 2.8) */
static int vq_areas(struct pvio_vq *vq, const struct pvio_vq_setup *setup)
{
	const uint64_t used = sizeof(struct vring_used_elem);
	uint64_t size = vq->size, event = vq->event_idx ? 2 : 0;
	const int both = PROT_READ | PROT_WRITE;
	int rc;

	/* A packed ring is read and written in place. */
	rc = vq_area(vq, 0, setup->desc, size * sizeof(struct vring_desc), 16,
		     vq->packed ? both : PROT_READ);
	if (rc == 0)
		rc = vq_area(vq, 1, setup->driver,
			     vq->packed ? sizeof(struct vring_packed_desc_event)
					: 4 + size * 2 + event,
			     vq->packed ? 4 : 2, PROT_READ);
	if (rc == 0)
		rc = vq_area(vq, 2, setup->device,
			     vq->packed ? sizeof(struct vring_packed_desc_event)
					: 4 + size * used + event,
			     4, both);
	if (rc < 0)
		vq_drop_areas(vq);
	return rc;
}

int pvio_vq_start(struct pvio_vq *vq, const struct pvio_vq_setup *setup,
		  const struct pvio_map *map,
		  const struct pvio_features *features)
{
	int rc;

	assert(vq->state == PVIO_VQ_IDLE);
	vq->packed = pvio_feature_has(features, VIRTIO_F_RING_PACKED);
	vq->event_idx = pvio_feature_has(features, VIRTIO_RING_F_EVENT_IDX);
	vq->in_order = pvio_feature_has(features, VIRTIO_F_IN_ORDER);
	vq->indirect_ok =
		pvio_feature_has(features, VIRTIO_RING_F_INDIRECT_DESC);
	vq->size = setup->size;
	if (vq->size == 0 || vq->size > PVIO_VQ_MAX_SIZE)
		return -EINVAL;
	vq->map = map;
	vq->logging = map->log != NULL;
	vq->limited = map->is_limited;
	vq->hint = NULL;
	rc = vq_areas(vq, setup);
	if (rc < 0)
		return rc;

	vq->setup = *setup;
	vq->next_avail = setup->position.avail;
	vq->next_used = setup->position.used;
	vq->avail_wrap = setup->position.avail_wrap;
	vq->used_wrap = setup->position.used_wrap;
	/* Not known, so that the first enable says it. */
	vq->kicks_off = true;
	vq->nr_free = vq->size;
	vq->nr_in_flight = vq->desc_in_flight = 0;
	vq->nr_resubmit = 0;
	vq->sample_in = 0;
	vq->nr_staged = 0;
	vq->nr_staged_samples = 0;
	vq->order_head = vq->order_tail = 0;
	vq->kick_ns = 0;
	rc = vq->packed ? pvio_packed_start(vq) : pvio_split_start(vq);
	if (rc < 0)
		goto drop_areas;
	vq_free(vq);
	rc = vq_alloc(vq);
	if (rc < 0)
		goto drop_areas;

	vq->inflight = setup->inflight;
	vq->state = PVIO_VQ_RUNNING;
	if (vq->inflight) {
		rc = pvio_inflight_recover(vq->inflight, vq);
		if (rc < 0)
			pvio_vq_break(vq, "in-flight region is not sound");
	}
	return rc;

drop_areas:
	vq_drop_areas(vq);
	return rc;
}

void pvio_vq_stop(struct pvio_vq *vq)
{
	assert(vq->nr_in_flight == 0);
	pvio_vq_flush(vq);
	pvio_job_cancel(&vq->flush);
	vq->state = PVIO_VQ_IDLE;
	vq->inflight = NULL;
	vq->map = NULL;
	vq->hint = NULL;
	vq_drop_areas(vq);
}

void pvio_vq_get_position(const struct pvio_vq *vq,
			  struct pvio_vq_position *position)
{
	position->avail = vq->next_avail;
	position->used = vq->next_used;
	position->avail_wrap = vq->avail_wrap;
	position->used_wrap = vq->used_wrap;
}

void pvio_vq_init(struct pvio_vq *vq, struct pvio_device *dev,
		  unsigned int index)
{
	memset(vq, 0, sizeof(*vq));
	vq->dev = dev;
	vq->index = (uint16_t)index;
	vq->enabled = true;
	vq->kick_fd = vq->call_fd = -1;
	pvio_job_init(&vq->run, NULL);
	pvio_job_init(&vq->flush, vq_flush_job);
}

void pvio_vq_fini(struct pvio_vq *vq)
{
	vq_free(vq);
}
