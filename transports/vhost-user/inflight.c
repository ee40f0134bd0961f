/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflight.c - the region that the front-end keeps while we die
 *
 * GET_INFLIGHT_FD makes a sealed memory file, one part a queue, and gives the
 * front-end its descriptor; SET_INFLIGHT_FD is the front-end giving one back:
 * to us, or to whoever comes after us.  Either way it is in use from then on,
 * for the rings that start later.  What is in it is core/inflight's, which
 * trusts it as little as guest memory.
 */
#include "vhost-user.h"

#include "core/memfd.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void vu_inflight_fini(struct vu_session *s)
{
	if (s->inflight)
		pvio_mapping_put(s->inflight);
	s->inflight = NULL;
}

static uint64_t inflight_part_bytes(const struct vu_session *s, uint16_t size)
{
	uint64_t bytes = pvio_inflight_part_bytes(vu_is_packed(s), size);

	return (bytes + PVIO_INFLIGHT_ALIGN - 1) / PVIO_INFLIGHT_ALIGN *
	       PVIO_INFLIGHT_ALIGN;
}

/* Numbers we would track; so no region is larger than the device is. */
static bool inflight_is_legal(const struct vu_session *s,
			      const struct vu_inflight *w)
{
	return w->num_queues > 0 && w->num_queues <= s->nr_rings &&
	       w->queue_size > 0 &&
	       w->queue_size <= pvio_device_queue_size(s->dev) &&
	       !vu_ring_is_any_started(s);
}

/* Use @size bytes at @offset of @fd from now on. */
static int inflight_adopt(struct vu_session *s, int fd,
			  const struct vu_inflight *w)
{
	struct pvio_mapping *mapping;
	int rc;

	rc = vu_map(s, fd, w->mmap_offset, w->mmap_size, &mapping);
	if (rc < 0)
		return rc;
	vu_inflight_fini(s);
	s->inflight = mapping;
	s->inflight_queues = w->num_queues;
	s->inflight_size = w->queue_size;
	return 0;
}

int vu_get_inflight_fd(struct vu_session *s, struct vu_message *msg)
{
	struct vu_inflight reply = {
		.num_queues = msg->inflight.num_queues,
		.queue_size = msg->inflight.queue_size,
	};
	int fd, rc;

	if (!inflight_is_legal(s, &reply))
		return vu_refuse(s, "%u queues of %u", reply.num_queues,
				 reply.queue_size);
	reply.mmap_size = inflight_part_bytes(s, reply.queue_size) *
			  reply.num_queues;
	fd = pvio_memfd_create("pvio-inflight", reply.mmap_size);
	if (fd < 0)
		return vu_refuse(s, "%s", strerror(-fd));
	rc = inflight_adopt(s, fd, &reply);
	/* As long as the question was: the padding is not everybody's. */
	if (rc == 0)
		vu_reply(s, &reply, msg->header.size, fd);
	close(fd);
	return rc < 0 ? vu_refuse(s, "%s", strerror(-rc)) : VU_REPLIED;
}

int vu_set_inflight_fd(struct vu_session *s, struct vu_message *msg)
{
	const struct vu_inflight *w = &msg->inflight;
	int rc;

	if (!inflight_is_legal(s, w) ||
	    w->mmap_offset % PVIO_INFLIGHT_ALIGN != 0 ||
	    w->mmap_size <
		    inflight_part_bytes(s, w->queue_size) * w->num_queues)
		return vu_refuse(s, "%u queues of %u, %llu bytes at %llu",
				 w->num_queues, w->queue_size,
				 (unsigned long long)w->mmap_size,
				 (unsigned long long)w->mmap_offset);
	rc = inflight_adopt(s, msg->fds.fd[0], w);
	return rc < 0 ? vu_refuse(s, "%s", strerror(-rc)) : VU_DONE;
}

int vu_inflight_part(struct vu_session *s, unsigned int ring,
		     struct pvio_inflight **inflight)
{
	*inflight = NULL;
	if (!s->inflight || ring >= s->inflight_queues)
		return 0;
	/* The driver may use fewer entries than the front-end reckoned with. */
	if (s->rings[ring].size > s->inflight_size)
		return -EINVAL;
	return pvio_inflight_create(
		s->inflight, ring * inflight_part_bytes(s, s->inflight_size),
		vu_is_packed(s), s->inflight_size, inflight);
}
