/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * notify.c - the eventfds of rings: kick, call, error
 *
 * Kick and call belong to the queue's worker as soon as they are here; the
 * core checks what they are.  They may be replaced at any time: QEMU swaps the
 * call eventfd whenever the guest masks an interrupt.
 */
#include "vhost-user.h"

#include "core/eventfd.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <unistd.h>

/* How often a ring is looked at whose front-end said it will not kick. */
#define POLL_INTERVAL_US 1000
/* How often, and how many times, a new session is asked whether it works. */
#define HINT_INTERVAL_S  2
#define HINT_LOOKS       5

/* --- rings that nobody kicks ---------------------------------------------- */

static void poll_rings(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval interval = { .tv_usec = POLL_INTERVAL_US };
	struct vu_session *s = arg;
	bool is_any = false;
	unsigned int i;

	(void)fd;
	(void)what;
	for (i = 0; i < s->nr_rings; i++) {
		if (!s->rings[i].is_started || !s->rings[i].is_polled)
			continue;
		is_any = true;
		pvio_device_look(s->dev, i);
	}
	if (is_any)
		event_add(s->poll_event, &interval);
}

void vu_poll_begin(struct vu_session *s)
{
	if (!s->poll_event)
		s->poll_event = evtimer_new(s->vu->base, poll_rings, s);
	if (s->poll_event)
		poll_rings(-1, 0, s);
}

/* --- kick and call -------------------------------------------------------- */

/*
 * The ring that an eventfd message is for.  NULL when the number, the "no fd"
 * bit, the fds and the rest of the 64 bits do not go together.
 */
static struct vu_ring *notify_ring(struct vu_session *s,
				   const struct vu_message *msg)
{
	uint64_t index = msg->u64 & VU_VRING_INDEX_MASK;
	bool no_fd = msg->u64 & VU_VRING_NO_FD;

	if (msg->u64 & ~(VU_VRING_INDEX_MASK | VU_VRING_NO_FD) ||
	    msg->fds.nr != (no_fd ? 0 : 1))
		return NULL;
	return vu_ring_find(s, (uint32_t)index);
}

static int notify_refuse(struct vu_session *s, const struct vu_message *msg)
{
	return vu_refuse(s, "0x%llx, %u fds", (unsigned long long)msg->u64,
			 msg->fds.nr);
}

static int notify_fd(const struct vu_message *msg)
{
	return msg->fds.nr ? msg->fds.fd[0] : -1;
}

/* The device took the message's fd, or not. */
static int notify_taken(struct vu_session *s, int rc)
{
	struct vu_message *msg = &s->wire.message;

	if (rc < 0)
		return vu_refuse(
			s, "ring %llu: %s",
			(unsigned long long)(msg->u64 & VU_VRING_INDEX_MASK),
			rc == -EINVAL ? "not an eventfd" : strerror(-rc));
	msg->fds.fd[0] = -1;
	return VU_DONE;
}

static void notify_kick_set(void *arg, int rc)
{
	struct vu_session *s = arg;
	const struct vu_message *msg = &s->wire.message;
	unsigned int i = msg->u64 & VU_VRING_INDEX_MASK;
	struct vu_ring *ring = &s->rings[i];

	rc = notify_taken(s, rc);
	if (rc == VU_DONE) {
		ring->is_kicked = true;
		ring->is_polled =
			msg->fds.nr == 0 &&
			!vu_has_protocol(s, VU_PROTOCOL_INBAND_NOTIFICATIONS);
		if (ring->is_started)
			vu_poll_begin(s);
		rc = vu_ring_start_if_ready(s, i);
	}
	if (rc != VU_LATER)
		vu_message_done(s, rc);
}

int vu_set_vring_kick(struct vu_session *s, struct vu_message *msg)
{
	if (!notify_ring(s, msg))
		return notify_refuse(s, msg);
	pvio_device_vq_set_kick_fd(s->dev, msg->u64 & VU_VRING_INDEX_MASK,
				   notify_fd(msg), notify_kick_set, s);
	return VU_LATER;
}

static void notify_call_set(void *arg, int rc)
{
	vu_message_done(arg, notify_taken(arg, rc));
}

int vu_set_vring_call(struct vu_session *s, struct vu_message *msg)
{
	if (!notify_ring(s, msg))
		return notify_refuse(s, msg);
	pvio_device_vq_set_call_fd(s->dev, msg->u64 & VU_VRING_INDEX_MASK,
				   notify_fd(msg), notify_call_set, s);
	return VU_LATER;
}

int vu_vring_kick(struct vu_session *s, struct vu_message *msg)
{
	struct vu_ring *ring = vu_ring_find(s, msg->state.index);

	if (!ring)
		return vu_refuse(s, "ring %u", msg->state.index);
	ring->is_kicked = true;
	if (!ring->is_started)
		return vu_ring_start_if_ready(s, msg->state.index);
	pvio_device_kick(s->dev, msg->state.index);
	return VU_DONE;
}

/* --- error ---------------------------------------------------------------- */

/* Not found out by writing: that can block, whatever the flags say. */
static bool error_fd_is_good(int fd)
{
	return pvio_eventfd_is(fd) && pvio_eventfd_set_nonblocking(fd) == 0;
}

int vu_set_vring_err(struct vu_session *s, struct vu_message *msg)
{
	struct vu_ring *ring = notify_ring(s, msg);
	int fd = notify_fd(msg);

	if (!ring || (fd >= 0 && !error_fd_is_good(fd)))
		return notify_refuse(s, msg);
	if (ring->err_fd >= 0)
		close(ring->err_fd);
	ring->err_fd = fd;
	msg->fds.fd[0] = -1;
	return VU_DONE;
}

void vu_ring_signal_error(struct vu_session *s, unsigned int ring)
{
	int fd = s->rings[ring].err_fd;
	int rc = fd < 0 ? 0 : pvio_eventfd_signal(fd);

	if (rc < 0) {
		pvio_log_limited(&s->vu->log_limit, PVIO_LOG_WARNING,
				 "%s: ring %u: error eventfd: %s",
				 pvio_device_name(s->dev), ring, strerror(-rc));
		close(fd);
		s->rings[ring].err_fd = -1;
	}
	vu_channel_ring_error(s, ring);
	if (s->vu->ops->ring_error)
		s->vu->ops->ring_error(s->vu, ring);
}
