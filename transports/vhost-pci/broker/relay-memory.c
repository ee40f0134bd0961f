/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * relay-memory.c - what B's memory and in-flight region are in a ram window
 *
 * B's memory is the window's file, and must be, for the appliance has no other.
 * The in-flight region is a part of that file, too: B keeps it, as it would the
 * file that another back-end gives it, and brings it back to us or to whoever
 * comes after us.
 */
#include "relay.h"

#include "core/inflight.h"

#include <string.h>
#include <sys/stat.h>

#define RING_PACKED 34 /* VIRTIO_F_RING_PACKED (virtio 1.4, 6) */

/* Is @fd the window's file? */
static bool fd_is_window(const struct relay_session *s, int fd)
{
	const struct broker_memory *mem = &s->relay->port->broker->memory;
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       st.st_dev == mem->dev && st.st_ino == mem->ino;
}

int relay_set_mem_table(struct relay_session *s, struct vu_message *msg,
			uint32_t *number)
{
	const struct broker *broker = s->relay->port->broker;
	uint64_t limit = window_control_offset(broker->memory.bytes);
	const struct vu_memory_table *table = &msg->table;
	unsigned int i, nr = table->nr;

	(void)number;
	if (nr == 0 || nr != msg->fds.nr ||
	    msg->header.size < offsetof(struct vu_memory_table, region[nr]))
		return relay_refuse(s, "%u regions, %u fds, %u bytes", nr,
				    msg->fds.nr, msg->header.size);
	for (i = 0; i < nr; i++) {
		const struct vu_memory_region *r = &table->region[i];

		if (!fd_is_window(s, msg->fds.fd[i]))
			return relay_refuse(s,
					    "region %u is another file: the "
					    "guest's memory must be a "
					    "memory-backend-file,share=on,"
					    "mem-path=%s",
					    i, broker->file);
		if (!pvio_range_ok(r->mmap_offset, r->size, limit))
			return relay_refuse(
				s,
				"region %u, 0x%llx bytes at 0x%llx of "
				"the file, reaches beyond 0x%llx: the "
				"last 2M of the window are not the "
				"guest's",
				i, (unsigned long long)r->size,
				(unsigned long long)r->mmap_offset,
				(unsigned long long)limit);
	}
	return RELAY_PASS;
}

/* --- the in-flight region ------------------------------------------------- */

static uint64_t inflight_offset(const struct relay_session *s)
{
	const struct broker_port *port = s->relay->port;

	return window_port_offset(port->broker->memory.bytes, port->index) +
	       WINDOW_INFLIGHT_OFFSET;
}

static uint64_t inflight_bytes(const struct relay_session *s,
			       const struct vu_inflight *w)
{
	uint64_t part = pvio_inflight_part_bytes(s->features >> RING_PACKED & 1,
						 w->queue_size);

	return (part + PVIO_INFLIGHT_ALIGN - 1) / PVIO_INFLIGHT_ALIGN *
	       PVIO_INFLIGHT_ALIGN * w->num_queues;
}

static bool inflight_is_legal(const struct relay_session *s,
			      const struct vu_inflight *w)
{
	const struct broker_facts *facts = &s->relay->port->facts;

	return w->num_queues > 0 && w->num_queues <= facts->nr_queues &&
	       w->queue_size > 0 && w->queue_size <= facts->queue_size &&
	       !s->kicked && inflight_bytes(s, w) <= WINDOW_INFLIGHT_BYTES;
}

/* The appliance uses it from now on, as a back-end that had made it would. */
static int inflight_tell(struct relay_session *s, const struct vu_inflight *w)
{
	const struct vu_header header = {
		.request = VU_SET_INFLIGHT_FD,
		.flags = VU_VERSION,
		.size = sizeof(*w),
	};
	uint8_t message[sizeof(header) + sizeof(*w)];

	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), w, sizeof(*w));
	return broker_send(s->relay->port, WINDOW_MESSAGE, 0, message,
			   sizeof(message));
}

int relay_get_inflight_fd(struct relay_session *s, struct vu_message *msg,
			  uint32_t *number)
{
	const struct broker *broker = s->relay->port->broker;
	struct vu_inflight reply = {
		.mmap_offset = inflight_offset(s),
		.num_queues = msg->inflight.num_queues,
		.queue_size = msg->inflight.queue_size,
	};
	int rc;

	(void)number;
	if (!inflight_is_legal(s, &reply))
		return relay_refuse(s, "%u queues of %u", reply.num_queues,
				    reply.queue_size);
	reply.mmap_size = inflight_bytes(s, &reply);
	memset(broker->memory.host + reply.mmap_offset, 0,
	       WINDOW_INFLIGHT_BYTES);
	rc = inflight_tell(s, &reply);
	if (rc < 0)
		return rc;
	/* As long as the question was: the padding is not everybody's. */
	relay_reply(s, &reply, msg->header.size, broker->memory.fd);
	return RELAY_ANSWERED;
}

int relay_set_inflight_fd(struct relay_session *s, struct vu_message *msg,
			  uint32_t *number)
{
	const struct vu_inflight *w = &msg->inflight;

	(void)number;
	if (!fd_is_window(s, msg->fds.fd[0]) || !inflight_is_legal(s, w) ||
	    w->mmap_offset < inflight_offset(s) ||
	    !pvio_range_ok(w->mmap_offset - inflight_offset(s), w->mmap_size,
			   WINDOW_INFLIGHT_BYTES) ||
	    w->mmap_size < inflight_bytes(s, w))
		return relay_refuse(s,
				    "%u queues of %u, %llu bytes at %llu: not "
				    "what this port has given",
				    w->num_queues, w->queue_size,
				    (unsigned long long)w->mmap_size,
				    (unsigned long long)w->mmap_offset);
	return RELAY_PASS;
}
