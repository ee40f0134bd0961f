/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rings.c - rings: described piece by piece, started when whole, stopped
 *
 *	SET_VRING_NUM, _BASE, _ADDR      notes, in struct vu_ring
 *	SET_VRING_KICK, or VRING_KICK    the last note; starts the ring once
 *	                                 size, addresses and features are there
 *	GET_VRING_BASE                   drains and stops it; tells its position
 *
 * The specification lets a back-end wait for the first kick.  This one starts
 * with the kick fd, and looks at the ring at once: a front-end that reconnects
 * does not kick for what its driver put there before.
 *
 * Addresses are the front-end's own and mean something only with its memory
 * table, so a ring described before that waits for a table that has it.  What
 * runs is frozen: later messages change notes, or are refused.
 */
#include "vhost-user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void ring_clear(struct vu_ring *ring)
{
	ring->has_addr = false;
	ring->is_kicked = false;
	ring->is_polled = false;
	ring->is_enabled = false;
}

int vu_rings_init(struct vu_session *s)
{
	unsigned int i;

	s->rings = calloc(s->nr_rings, sizeof(*s->rings));
	if (!s->rings)
		return -ENOMEM;
	for (i = 0; i < s->nr_rings; i++) {
		s->rings[i].err_fd = -1;
		/* Wrap counters begin at 1 (virtio 1.4, 2.8.1). */
		s->rings[i].base = (struct pvio_vq_position){ 0, 0, true,
							      true };
	}
	return 0;
}

void vu_rings_fini(struct vu_session *s)
{
	unsigned int i;

	for (i = 0; s->rings && i < s->nr_rings; i++) {
		if (s->rings[i].err_fd >= 0)
			close(s->rings[i].err_fd);
		pvio_inflight_destroy(s->rings[i].inflight);
	}
	free(s->rings);
	s->rings = NULL;
}

bool vu_is_packed(const struct vu_session *s)
{
	return s->features >> VIRTIO_F_RING_PACKED & 1;
}

bool vu_ring_is_any_started(const struct vu_session *s)
{
	unsigned int i;

	for (i = 0; i < s->nr_rings; i++)
		if (s->rings[i].is_started)
			return true;
	return false;
}

struct vu_ring *vu_ring_find(struct vu_session *s, uint32_t index)
{
	return index < s->nr_rings ? &s->rings[index] : NULL;
}

/* --- one step for every ring ---------------------------------------------- */

static void walk_go_on(struct vu_session *s)
{
	struct vu_walk *w = &s->walk;

	/* A step that is done at once comes back here through this loop. */
	w->in_loop = true;
	while (w->next < s->nr_rings) {
		w->has_stepped = false;
		w->step(s, w->next++);
		if (!w->has_stepped) {
			w->in_loop = false;
			return;
		}
	}
	w->in_loop = false;
	w->then(s, w->rc);
}

void vu_step_done(void *arg, int rc)
{
	struct vu_session *s = arg;

	if (rc < 0 && s->walk.rc == 0)
		s->walk.rc = rc;
	s->walk.has_stepped = true;
	if (!s->walk.in_loop)
		walk_go_on(s);
}

void vu_rings_each(struct vu_session *s, vu_step_fn *step, vu_then_fn *then)
{
	s->walk = (struct vu_walk){ .step = step, .then = then };
	walk_go_on(s);
}

/* --- start ---------------------------------------------------------------- */

static bool ring_is_ready(const struct vu_session *s, unsigned int i)
{
	const struct vu_ring *ring = &s->rings[i];

	return ring->is_kicked && ring->has_addr && ring->size &&
	       !ring->is_started && s->has_features;
}

static uint64_t ring_used_bytes(const struct vu_session *s, uint16_t size)
{
	if (vu_is_packed(s))
		return sizeof(struct vring_packed_desc_event);
	return sizeof(struct vring_used) +
	       (uint64_t)size * sizeof(struct vring_used_elem) +
	       (s->features >> VIRTIO_RING_F_EVENT_IDX & 1) * sizeof(uint16_t);
}

static uint64_t ring_avail_bytes(const struct vu_session *s, uint16_t size)
{
	if (vu_is_packed(s))
		return sizeof(struct vring_packed_desc_event);
	return sizeof(struct vring_avail) + (uint64_t)size * sizeof(uint16_t) +
	       (s->features >> VIRTIO_RING_F_EVENT_IDX & 1) * sizeof(uint16_t);
}

/* What the front-end has said, as the device wants it. */
static int ring_setup(struct vu_session *s, unsigned int i,
		      struct pvio_vq_setup *setup)
{
	const struct pvio_map *map = pvio_device_map(s->dev);
	const struct vu_ring *ring = &s->rings[i];

	*setup = (struct pvio_vq_setup){
		.size = ring->size,
		.position = ring->base,
		/* Only the available index of a split ring is told. */
		.recover_used = !vu_is_packed(s),
		.log_used = ring->addr.flags & VU_VRING_F_LOG,
		.log_gpa = ring->addr.log,
	};
	if (pvio_map_uva_to_gpa(map, ring->addr.desc,
				(uint64_t)ring->size *
					sizeof(struct vring_desc),
				&setup->desc) < 0 ||
	    pvio_map_uva_to_gpa(map, ring->addr.avail,
				ring_avail_bytes(s, ring->size),
				&setup->driver) < 0 ||
	    pvio_map_uva_to_gpa(map, ring->addr.used,
				ring_used_bytes(s, ring->size),
				&setup->device) < 0)
		return -EFAULT;
	return 0;
}

static void ring_started(void *arg, int rc)
{
	struct vu_session *s = arg;
	struct vu_ring *ring = &s->rings[s->ring];

	if (rc < 0) {
		pvio_inflight_destroy(ring->inflight);
		ring->inflight = NULL;
		vu_ring_signal_error(s, s->ring);
	} else {
		ring->is_started = true;
		vu_poll_begin(s);
		pvio_log(PVIO_LOG_DEBUG, "%s: vhost-user: ring %u starts",
			 pvio_device_name(s->dev), s->ring);
	}
	s->ring_then(s, rc);
}

static void ring_start_enabled(void *arg, int rc)
{
	struct vu_session *s = arg;
	struct vu_ring *ring = &s->rings[s->ring];
	struct pvio_vq_setup setup;

	if (rc == 0)
		rc = ring_setup(s, s->ring, &setup);
	if (rc == 0)
		rc = vu_inflight_part(s, s->ring, &ring->inflight);
	if (rc < 0) {
		vu_refuse(s, "ring %u does not start: %s", s->ring,
			  rc == -EFAULT ? "it is not in memory"
					: strerror(-rc));
		ring_started(s, rc);
		return;
	}
	setup.inflight = ring->inflight;
	pvio_device_vq_start(s->dev, s->ring, &setup, ring_started, s);
}

static void ring_start_status(void *arg, int rc)
{
	struct vu_session *s = arg;
	bool has_enable = s->features >> VU_F_PROTOCOL_FEATURES & 1;

	(void)rc;
	/* Without that feature bit rings are born enabled. */
	pvio_device_vq_enable(s->dev, s->ring,
			      !has_enable || s->rings[s->ring].is_enabled,
			      ring_start_enabled, s);
}

/* Start ring @i, which is ready, then @then. */
static void ring_start(struct vu_session *s, unsigned int i, vu_then_fn *then)
{
	s->ring = i;
	s->ring_then = then;
	pvio_device_set_status(
		s->dev, pvio_device_status(s->dev) | VIRTIO_CONFIG_S_DRIVER_OK,
		ring_start_status, s);
}

/* That one ring does not start is no reason to refuse what let it try. */
static void ring_start_stepped(struct vu_session *s, int rc)
{
	(void)rc;
	vu_step_done(s, 0);
}

static void ring_start_step(struct vu_session *s, unsigned int i)
{
	struct pvio_vq_setup setup;

	if (ring_is_ready(s, i) && ring_setup(s, i, &setup) == 0)
		ring_start(s, i, ring_start_stepped);
	else
		vu_step_done(s, 0);
}

void vu_rings_start_ready(struct vu_session *s, vu_then_fn *then)
{
	vu_rings_each(s, ring_start_step, then);
}

int vu_ring_start_if_ready(struct vu_session *s, unsigned int i)
{
	if (!ring_is_ready(s, i) || s->nr_regions == 0)
		return VU_DONE;
	ring_start(s, i, vu_message_done);
	return VU_LATER;
}

/* --- stop ----------------------------------------------------------------- */

static void ring_stopped(struct vu_session *s)
{
	struct vu_ring *ring = &s->rings[s->ring];

	ring->is_started = false;
	ring->base = s->stopped_at;
	pvio_inflight_destroy(ring->inflight);
	ring->inflight = NULL;
}

static void ring_reply_base(struct vu_session *s, unsigned int i)
{
	const struct pvio_vq_position *p = &s->rings[i].base;
	struct vu_vring_state reply = { .index = i, .num = p->avail };

	if (vu_is_packed(s))
		reply.num = (p->avail & VU_PACKED_OFFSET) |
			    (p->avail_wrap ? VU_PACKED_AVAIL_WRAP : 0) |
			    (p->used & VU_PACKED_OFFSET)
				    << VU_PACKED_USED_SHIFT |
			    (p->used_wrap ? VU_PACKED_USED_WRAP : 0);
	vu_reply(s, &reply, sizeof(reply), -1);
	vu_message_done(s, VU_REPLIED);
}

static void ring_base_unkicked(void *arg, int rc)
{
	struct vu_session *s = arg;

	(void)rc;
	s->rings[s->ring].is_kicked = false;
	s->rings[s->ring].is_polled = false;
	ring_reply_base(s, s->ring);
}

static void ring_base_stopped(void *arg, int rc)
{
	struct vu_session *s = arg;

	if (rc == 0 && s->rings[s->ring].is_started)
		ring_stopped(s);
	pvio_device_vq_set_kick_fd(s->dev, s->ring, -1, ring_base_unkicked, s);
}

/* Asked twice, or of a ring that never ran, it tells the same. */
int vu_get_vring_base(struct vu_session *s, struct vu_message *msg)
{
	struct vu_ring *ring = vu_ring_find(s, msg->state.index);

	if (!ring)
		return vu_refuse(s, "ring %u", msg->state.index);
	s->ring = msg->state.index;
	if (ring->is_started)
		pvio_device_vq_stop(s->dev, s->ring, &s->stopped_at,
				    ring_base_stopped, s);
	else
		ring_base_stopped(s, 0);
	return VU_LATER;
}

static void ring_unkick_step(struct vu_session *s, unsigned int i)
{
	struct vu_ring *ring = &s->rings[i];

	ring_clear(ring);
	ring->is_started = false;
	pvio_inflight_destroy(ring->inflight);
	ring->inflight = NULL;
	pvio_device_vq_set_kick_fd(s->dev, i, -1, vu_step_done, s);
}

static void ring_reset_walked(struct vu_session *s, int rc)
{
	s->has_features = false;
	s->reset_then(s, rc);
}

static void ring_device_is_reset(void *arg, int rc)
{
	struct vu_session *s = arg;

	(void)rc;
	/* A driver that starts over has nothing in flight. */
	vu_inflight_fini(s);
	vu_rings_each(s, ring_unkick_step, ring_reset_walked);
}

static void ring_stop_stepped(void *arg, int rc)
{
	struct vu_session *s = arg;

	if (rc == 0)
		ring_stopped(s);
	vu_step_done(s, 0);
}

/*
 * QEMU 7.2 writes status 0 when it stops a guest, and only then asks where the
 * rings stand; so that is kept over the reset.
 */
static void ring_stop_step(struct vu_session *s, unsigned int i)
{
	s->ring = i;
	if (s->rings[i].is_started)
		pvio_device_vq_stop(s->dev, i, &s->stopped_at,
				    ring_stop_stepped, s);
	else
		vu_step_done(s, 0);
}

static void ring_all_stopped(struct vu_session *s, int rc)
{
	(void)rc;
	pvio_device_reset(s->dev, ring_device_is_reset, s);
}

void vu_reset(struct vu_session *s, vu_then_fn *then)
{
	s->reset_then = then;
	vu_rings_each(s, ring_stop_step, ring_all_stopped);
}

/* --- notes ---------------------------------------------------------------- */

int vu_set_vring_num(struct vu_session *s, struct vu_message *msg)
{
	struct vu_ring *ring = vu_ring_find(s, msg->state.index);
	uint32_t num = msg->state.num;

	if (!ring || num == 0 || num > pvio_device_queue_size(s->dev) ||
	    (s->has_features && !vu_is_packed(s) && (num & (num - 1))) ||
	    (ring->is_started && num != ring->size))
		return vu_refuse(s, "ring %u, %u entries", msg->state.index,
				 num);
	ring->size = (uint16_t)num;
	return VU_DONE;
}

int vu_set_vring_base(struct vu_session *s, struct vu_message *msg)
{
	struct vu_ring *ring = vu_ring_find(s, msg->state.index);
	uint32_t num = msg->state.num;

	if (!ring || ring->is_started)
		return vu_refuse(s, "ring %u%s", msg->state.index,
				 ring ? " is running" : "");
	/*
	 * User-mode Linux agrees to packed rings and then sends 0 for every
	 * new ring, which has its wrap counters at 1 (virtio 1.4, 2.8.1).  It
	 * never resumes a ring, and no other front-end notifies in band.
	 */
	if (vu_is_packed(s) && num == 0 &&
	    vu_has_protocol(s, VU_PROTOCOL_INBAND_NOTIFICATIONS))
		ring->base = (struct pvio_vq_position){ 0, 0, true, true };
	else if (vu_is_packed(s))
		ring->base = (struct pvio_vq_position){
			.avail = num & VU_PACKED_OFFSET,
			.avail_wrap = num & VU_PACKED_AVAIL_WRAP,
			.used = num >> VU_PACKED_USED_SHIFT & VU_PACKED_OFFSET,
			.used_wrap = num & VU_PACKED_USED_WRAP,
		};
	else
		ring->base = (struct pvio_vq_position){
			.avail = (uint16_t)num,
			.used = (uint16_t)num,
		};
	return VU_DONE;
}

static void ring_restart_stopped(void *arg, int rc)
{
	struct vu_session *s = arg;

	if (rc < 0) {
		vu_message_done(s, rc);
		return;
	}
	ring_stopped(s);
	ring_start(s, s->ring, vu_message_done);
}

/*
 * While a ring runs its addresses may be sent again with the LOG flag set or
 * cleared: migration begins or ends.  The ring is stopped for a moment.
 */
int vu_set_vring_addr(struct vu_session *s, struct vu_message *msg)
{
	const struct vu_vring_addr *want = &msg->addr;
	struct vu_ring *ring = vu_ring_find(s, want->index);

	if (!ring || want->flags & ~VU_VRING_F_LOG)
		return vu_refuse(s, "ring %u, flags 0x%x", want->index,
				 want->flags);
	if (want->flags & VU_VRING_F_LOG && s->log &&
	    !vu_log_covers(s, want->log,
			   ring_used_bytes(s, ring->size ? ring->size : 1)))
		return vu_refuse(s, "ring %u: 0x%llx is beyond the dirty log",
				 want->index, (unsigned long long)want->log);
	if (!ring->is_started) {
		ring->addr = *want;
		ring->has_addr = true;
		return vu_ring_start_if_ready(s, want->index);
	}
	if (want->desc != ring->addr.desc || want->used != ring->addr.used ||
	    want->avail != ring->addr.avail)
		return vu_refuse(s, "ring %u is running", want->index);
	if (want->flags == ring->addr.flags && want->log == ring->addr.log)
		return VU_DONE;
	ring->addr = *want;
	s->ring = want->index;
	pvio_device_vq_stop(s->dev, s->ring, &s->stopped_at,
			    ring_restart_stopped, s);
	return VU_LATER;
}

/* A ring that runs but is not enabled is for the model to know: see discard. */
int vu_set_vring_enable(struct vu_session *s, struct vu_message *msg)
{
	struct vu_ring *ring = vu_ring_find(s, msg->state.index);

	if (!ring || msg->state.num > 1)
		return vu_refuse(s, "ring %u, %u", msg->state.index,
				 msg->state.num);
	ring->is_enabled = msg->state.num;
	pvio_device_vq_enable(s->dev, msg->state.index, ring->is_enabled,
			      vu_done, s);
	return VU_LATER;
}
