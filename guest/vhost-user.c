/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user.c - the front-end side of vhost-user, message by message
 */
#include "vhost-user.h"

#include "core/util.h"
#include "stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define VU_TIMEOUT_MS 20000
#define VU_MAX_BYTES  65536

void guest_vu_adopt(struct guest_vu *vu, int fd, struct pvio_worker *step)
{
	vu->fd = fd;
	vu->has_reply_ack = false;
	vu->step = step;
}

int guest_vu_connect(struct guest_vu *vu, const char *path,
		     struct pvio_worker *step)
{
	int fd = guest_stream_connect(path);

	if (fd < 0)
		return fd;
	guest_vu_adopt(vu, fd, step);
	return 0;
}

void guest_vu_close(struct guest_vu *vu)
{
	if (vu->fd >= 0)
		close(vu->fd);
	vu->fd = -1;
}

static struct guest_stream vu_stream(const struct guest_vu *vu)
{
	return (struct guest_stream){ vu->fd, vu->step };
}

int guest_vu_send_bytes(struct guest_vu *vu, const void *bytes, size_t len,
			const int *fds, unsigned int nr_fds)
{
	struct guest_stream s = vu_stream(vu);

	return guest_stream_send(&s, bytes, len, fds, nr_fds,
				 guest_stream_end(VU_TIMEOUT_MS));
}

int guest_vu_send(struct guest_vu *vu, uint32_t request, uint32_t flags,
		  const void *payload, size_t size, const int *fds,
		  unsigned int nr_fds)
{
	struct {
		struct vu_header header;
		uint8_t payload[VU_MAX_BYTES];
	} msg;

	msg.header.request = request;
	msg.header.flags = VU_VERSION | flags;
	msg.header.size = (uint32_t)size;
	if (size > sizeof(msg.payload))
		return -EMSGSIZE;
	if (size > 0)
		memcpy(msg.payload, payload, size);
	return guest_vu_send_bytes(vu, &msg, sizeof(msg.header) + size, fds,
				   nr_fds);
}

/* --- receiving ------------------------------------------------------------ */

int guest_vu_receive(struct guest_vu *vu, struct guest_vu_reply *reply,
		     int timeout_ms)
{
	uint64_t end = guest_stream_end(timeout_ms);
	struct guest_stream s = vu_stream(vu);
	unsigned int nr_fds = 0;
	int rc;

	memset(reply, 0, sizeof(*reply));
	reply->fd = -1;
	rc = guest_stream_receive(&s, &reply->header, sizeof(reply->header),
				  &reply->fd, 1, &nr_fds, end);
	if (rc == 0 && reply->header.size > sizeof(reply->bytes))
		rc = -EPROTO;
	if (rc == 0)
		rc = guest_stream_receive(&s, reply->bytes, reply->header.size,
					  &reply->fd, 1, &nr_fds, end);
	if (rc < 0 && reply->fd >= 0) {
		close(reply->fd);
		reply->fd = -1;
	}
	return rc;
}

/* --- asking and telling --------------------------------------------------- */

int guest_vu_ask(struct guest_vu *vu, uint32_t request, const void *payload,
		 size_t size, struct guest_vu_reply *reply)
{
	int rc;

	rc = guest_vu_send(vu, request, 0, payload, size, NULL, 0);
	if (rc == 0)
		rc = guest_vu_receive(vu, reply, VU_TIMEOUT_MS);
	if (rc == 0 && (reply->header.request != request ||
			reply->header.flags != (VU_VERSION | VU_REPLY))) {
		if (reply->fd >= 0)
			close(reply->fd);
		rc = -EPROTO;
	}
	return rc;
}

int guest_vu_ask_u64(struct guest_vu *vu, uint32_t request, uint64_t *value)
{
	struct guest_vu_reply reply;
	int rc;

	rc = guest_vu_ask(vu, request, NULL, 0, &reply);
	if (rc < 0)
		return rc;
	if (reply.header.size != sizeof(*value))
		return -EPROTO;
	*value = reply.u64;
	return 0;
}

int guest_vu_tell(struct guest_vu *vu, uint32_t request, const void *payload,
		  size_t size, const int *fds, unsigned int nr_fds)
{
	struct guest_vu_reply reply;
	uint64_t ignored;
	int rc;

	rc = guest_vu_send(vu, request, vu->has_reply_ack ? VU_NEED_REPLY : 0,
			   payload, size, fds, nr_fds);
	if (rc < 0)
		return rc;
	if (!vu->has_reply_ack)
		return guest_vu_ask_u64(vu, VU_GET_FEATURES, &ignored);
	rc = guest_vu_receive(vu, &reply, VU_TIMEOUT_MS);
	if (rc < 0)
		return rc;
	if (reply.header.request != request ||
	    reply.header.size != sizeof(reply.u64))
		return -EPROTO;
	return reply.u64 ? -EREMOTEIO : 0;
}

int guest_vu_tell_u64(struct guest_vu *vu, uint32_t request, uint64_t value)
{
	return guest_vu_tell(vu, request, &value, sizeof(value), NULL, 0);
}

int guest_vu_tell_state(struct guest_vu *vu, uint32_t request, uint32_t index,
			uint32_t num)
{
	struct vu_vring_state state = { .index = index, .num = num };

	return guest_vu_tell(vu, request, &state, sizeof(state), NULL, 0);
}

int guest_vu_tell_fd(struct guest_vu *vu, uint32_t request, uint32_t index,
		     int fd)
{
	uint64_t value = index | (fd < 0 ? VU_VRING_NO_FD : 0);

	return guest_vu_tell(vu, request, &value, sizeof(value), &fd,
			     fd < 0 ? 0 : 1);
}

void guest_vu_region(const struct guest_region *r,
		     struct vu_memory_region *wire)
{
	*wire = (struct vu_memory_region){
		.gpa = r->gpa,
		.size = r->size,
		.uva = (uintptr_t)r->host,
		.mmap_offset = r->offset,
	};
}

int guest_vu_tell_memory(struct guest_vu *vu, const struct guest_memory *mem)
{
	struct vu_memory_table table = { .nr = mem->nr };
	int fds[VU_MAX_FDS];
	unsigned int i;

	if (mem->nr > VU_MAX_FDS)
		return -ENOSPC;
	for (i = 0; i < mem->nr; i++) {
		guest_vu_region(&mem->region[i], &table.region[i]);
		fds[i] = mem->region[i].fd;
	}
	return guest_vu_tell(vu, VU_SET_MEM_TABLE, &table,
			     offsetof(struct vu_memory_table, region[mem->nr]),
			     fds, mem->nr);
}
