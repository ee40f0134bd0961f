/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user.c - the client side of vfio-user, message by message
 */
#include "vfio-user.h"

#include "core/util.h"
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VFU_TIMEOUT_MS 20000
#define VFU_MAX_BYTES  65536

const char guest_vfu_capabilities[] =
	"{\"capabilities\":{\"max_msg_fds\":16,"
	"\"max_data_xfer_size\":1048576,\"pgsizes\":4096,"
	"\"max_dma_maps\":65535,\"write_multiple\":true}}";

/* --- messages ------------------------------------------------------------ */

void guest_vfu_adopt(struct guest_vfu *vfu, int fd, struct pvio_worker *step)
{
	memset(vfu, 0, sizeof(*vfu));
	vfu->fd = fd;
	vfu->step = step;
	vfu->max_fds = VFU_DEFAULT_MAX_FDS;
	vfu->max_xfer_bytes = VFU_DEFAULT_MAX_XFER_BYTES;
	pthread_mutex_init(&vfu->send_lock, NULL);
	pthread_mutex_init(&vfu->ask_lock, NULL);
}

int guest_vfu_connect(struct guest_vfu *vfu, const char *path,
		      struct pvio_worker *step)
{
	int fd = guest_stream_connect(path);

	if (fd < 0)
		return fd;
	guest_vfu_adopt(vfu, fd, step);
	return 0;
}

void guest_vfu_close(struct guest_vfu *vfu)
{
	if (vfu->fd < 0)
		return;
	close(vfu->fd);
	vfu->fd = -1;
	pthread_mutex_destroy(&vfu->send_lock);
	pthread_mutex_destroy(&vfu->ask_lock);
}

static struct guest_stream vfu_stream(const struct guest_vfu *vfu)
{
	return (struct guest_stream){ vfu->fd, vfu->step };
}

int guest_vfu_send_bytes(struct guest_vfu *vfu, const void *bytes, size_t len,
			 const int *fds, unsigned int nr_fds)
{
	struct guest_stream s = vfu_stream(vfu);
	int rc;

	pthread_mutex_lock(&vfu->send_lock);
	rc = guest_stream_send(&s, bytes, len, fds, nr_fds,
			       guest_stream_end(VFU_TIMEOUT_MS));
	pthread_mutex_unlock(&vfu->send_lock);
	return rc;
}

/* Send; *@id: of the message, for who waits for its answer. */
static int vfu_send(struct guest_vfu *vfu, uint16_t command, uint32_t flags,
		    const void *payload, size_t size, const int *fds,
		    unsigned int nr_fds, uint16_t *id)
{
	struct {
		struct vfu_header header;
		uint8_t payload[VFU_MAX_BYTES];
	} msg;
	struct guest_stream s = vfu_stream(vfu);
	int rc;

	if (size > sizeof(msg.payload))
		return -EMSGSIZE;
	msg.header = (struct vfu_header){
		.command = command,
		.size = (uint32_t)(sizeof(msg.header) + size),
		.flags = VFU_TYPE_COMMAND | flags,
	};
	if (size > 0)
		memcpy(msg.payload, payload, size);
	pthread_mutex_lock(&vfu->send_lock);
	msg.header.id = *id = ++vfu->last_id;
	rc = guest_stream_send(&s, &msg, msg.header.size, fds, nr_fds,
			       guest_stream_end(VFU_TIMEOUT_MS));
	pthread_mutex_unlock(&vfu->send_lock);
	return rc;
}

int guest_vfu_send(struct guest_vfu *vfu, uint16_t command, uint32_t flags,
		   const void *payload, size_t size, const int *fds,
		   unsigned int nr_fds)
{
	uint16_t id;

	return vfu_send(vfu, command, flags, payload, size, fds, nr_fds, &id);
}

void guest_vfu_close_fds(struct guest_vfu_reply *reply)
{
	while (reply->nr_fds > 0)
		close(reply->fd[--reply->nr_fds]);
}

int guest_vfu_receive(struct guest_vfu *vfu, struct guest_vfu_reply *reply,
		      int timeout_ms)
{
	uint64_t end = guest_stream_end(timeout_ms);
	struct guest_stream s = vfu_stream(vfu);
	int rc;

	reply->nr_fds = 0;
	reply->size = 0;
	rc = guest_stream_receive(&s, &reply->header, sizeof(reply->header),
				  reply->fd, GUEST_VFU_MAX_FDS, &reply->nr_fds,
				  end);
	if (rc == 0 &&
	    (reply->header.size < sizeof(reply->header) ||
	     reply->header.size > sizeof(reply->header) + sizeof(reply->bytes)))
		rc = -EPROTO;
	if (rc == 0) {
		reply->size = reply->header.size - sizeof(reply->header);
		rc = guest_stream_receive(&s, reply->bytes, reply->size,
					  reply->fd, GUEST_VFU_MAX_FDS,
					  &reply->nr_fds, end);
	}
	if (rc < 0)
		guest_vfu_close_fds(reply);
	return rc;
}

/* Is it the answer to @command?  0, its error, or -EPROTO. */
static int vfu_judge(const struct guest_vfu_reply *reply, uint16_t command,
		     uint16_t id)
{
	const struct vfu_header *h = &reply->header;

	if ((h->flags & VFU_TYPE_MASK) != VFU_TYPE_REPLY ||
	    h->command != command || h->id != id)
		return -EPROTO;
	if (!(h->flags & VFU_ERROR))
		return 0;
	/* An error is a header alone, and says which. */
	if (reply->size > 0 || reply->nr_fds > 0 || h->error == 0 ||
	    h->error > 4095)
		return -EPROTO;
	return -(int)h->error;
}

int guest_vfu_ask(struct guest_vfu *vfu, uint16_t command, const void *payload,
		  size_t size, const int *fds, unsigned int nr_fds,
		  struct guest_vfu_reply *reply)
{
	uint16_t id;
	int rc;

	pthread_mutex_lock(&vfu->ask_lock);
	rc = vfu_send(vfu, command, 0, payload, size, fds, nr_fds, &id);
	if (rc == 0)
		rc = guest_vfu_receive(vfu, reply, VFU_TIMEOUT_MS);
	pthread_mutex_unlock(&vfu->ask_lock);
	if (rc < 0)
		return rc;
	rc = vfu_judge(reply, command, id);
	if (rc < 0)
		guest_vfu_close_fds(reply);
	return rc;
}

int guest_vfu_tell(struct guest_vfu *vfu, uint16_t command,
		   const void *payload, size_t size, const int *fds,
		   unsigned int nr_fds)
{
	struct guest_vfu_reply reply;
	int rc;

	rc = guest_vfu_ask(vfu, command, payload, size, fds, nr_fds, &reply);
	if (rc == 0)
		guest_vfu_close_fds(&reply);
	return rc;
}

/* The same for an answer of @want bytes at least, and no fds. */
static int vfu_ask_for(struct guest_vfu *vfu, uint16_t command,
		       const void *payload, size_t size, size_t want,
		       struct guest_vfu_reply *reply)
{
	int rc;

	rc = guest_vfu_ask(vfu, command, payload, size, NULL, 0, reply);
	if (rc < 0)
		return rc;
	guest_vfu_close_fds(reply);
	return reply->size < want ? -EPROTO : 0;
}

/* --- version and device -------------------------------------------------- */

/* The number that follows @key in @json, or @otherwise. */
static uint64_t vfu_number(const char *json, const char *key,
			   uint64_t otherwise)
{
	const char *at = strstr(json, key);
	uint64_t value;
	char *end;

	if (!at)
		return otherwise;
	at += strlen(key);
	at += strspn(at, "\" \t\r\n:");
	value = strtoull(at, &end, 10);
	return end == at ? otherwise : value;
}

int guest_vfu_version(struct guest_vfu *vfu, const char *json)
{
	const char *text = json ? json : guest_vfu_capabilities;
	size_t len = strlen(text) + 1;
	struct guest_vfu_reply reply;
	struct {
		struct vfu_version version;
		char json[4096];
	} ask = { .version = { VFU_VERSION_MAJOR, VFU_VERSION_MINOR } };
	const char *said = (const char *)reply.bytes + sizeof(ask.version);
	int rc;

	if (len > sizeof(ask.json))
		return -EMSGSIZE;
	memcpy(ask.json, text, len);
	rc = vfu_ask_for(vfu, VFU_VERSION, &ask, sizeof(ask.version) + len,
			 sizeof(ask.version), &reply);
	if (rc < 0)
		return rc;
	/* No JSON at all is allowed; with it, its NUL is there. */
	if (reply.version.major != VFU_VERSION_MAJOR ||
	    reply.version.minor > VFU_VERSION_MINOR)
		return -EPROTO;
	if (reply.size == sizeof(ask.version))
		return 0;
	if (reply.bytes[reply.size - 1] != '\0')
		return -EPROTO;
	vfu->max_fds = (unsigned int)pvio_min(
		vfu_number(said, "\"max_msg_fds", VFU_DEFAULT_MAX_FDS),
		GUEST_VFU_MAX_FDS);
	vfu->max_xfer_bytes = (uint32_t)pvio_min(
		vfu_number(said, "\"max_data_xfer_size",
			   VFU_DEFAULT_MAX_XFER_BYTES),
		UINT32_MAX);
	return 0;
}

int guest_vfu_device_info(struct guest_vfu *vfu, struct vfu_device_info *info)
{
	struct vfu_device_info ask = { .argsz = sizeof(ask) };
	struct guest_vfu_reply reply;
	int rc;

	rc = vfu_ask_for(vfu, VFU_DEVICE_GET_INFO, &ask, sizeof(ask),
			 sizeof(ask), &reply);
	if (rc == 0)
		*info = reply.device;
	return rc;
}

int guest_vfu_reset(struct guest_vfu *vfu)
{
	return guest_vfu_tell(vfu, VFU_DEVICE_RESET, NULL, 0, NULL, 0);
}

/* --- regions ------------------------------------------------------------- */

/* What can be mapped, from the capabilities of @reply.  -EPROTO. */
static int vfu_find_areas(const struct guest_vfu_reply *reply,
			  struct guest_vfu_region *region)
{
	uint32_t at = reply->region.cap_offset;
	unsigned int left = 16;
	struct vfu_sparse_mmap cap;
	size_t bytes;

	while (at != 0) {
		if (left-- == 0 ||
		    !pvio_range_ok(at, sizeof(struct vfu_capability),
				   reply->size))
			return -EPROTO;
		memset(&cap, 0, sizeof(cap));
		memcpy(&cap, reply->bytes + at,
		       pvio_min(sizeof(cap), reply->size - at));
		if (cap.header.id != VFU_CAP_SPARSE_MMAP) {
			at = cap.header.next;
			continue;
		}
		if (cap.nr_areas > GUEST_VFU_MAX_AREAS)
			return -EPROTO;
		bytes = cap.nr_areas * sizeof(region->area[0]);
		if (!pvio_range_ok(at + sizeof(cap), bytes, reply->size))
			return -EPROTO;
		memcpy(region->area, reply->bytes + at + sizeof(cap), bytes);
		region->nr_areas = cap.nr_areas;
		at = cap.header.next;
	}
	return 0;
}

int guest_vfu_region_info(struct guest_vfu *vfu, uint32_t index,
			  struct guest_vfu_region *region)
{
	struct vfu_region_info ask = { .argsz = sizeof(ask), .index = index };
	struct guest_vfu_reply reply;
	int rc;

	memset(region, 0, sizeof(*region));
	region->fd = -1;
	rc = guest_vfu_ask(vfu, VFU_GET_REGION_INFO, &ask, sizeof(ask), NULL,
			   0, &reply);
	if (rc == 0 && reply.size >= sizeof(ask) &&
	    reply.region.argsz > sizeof(ask)) {
		guest_vfu_close_fds(&reply);
		ask.argsz = reply.region.argsz;
		rc = guest_vfu_ask(vfu, VFU_GET_REGION_INFO, &ask, sizeof(ask),
				   NULL, 0, &reply);
	}
	if (rc < 0)
		return rc;
	if (reply.size < sizeof(ask) || reply.region.index != index ||
	    reply.nr_fds > 1) {
		guest_vfu_close_fds(&reply);
		return -EPROTO;
	}
	region->size = reply.region.size;
	region->flags = reply.region.flags;
	region->offset = reply.region.offset;
	if (region->flags & VFU_REGION_HAS_CAPS)
		rc = vfu_find_areas(&reply, region);
	if (rc < 0) {
		guest_vfu_close_fds(&reply);
		return rc;
	}
	if (reply.nr_fds > 0)
		region->fd = reply.fd[0];
	return 0;
}

int guest_vfu_read(struct guest_vfu *vfu, uint32_t region, uint64_t offset,
		   void *buf, size_t len)
{
	struct vfu_region_access ask = { offset, region, (uint32_t)len };
	struct guest_vfu_reply reply;
	int rc;

	if (len > sizeof(reply.bytes) - sizeof(ask))
		return -EMSGSIZE;
	rc = vfu_ask_for(vfu, VFU_REGION_READ, &ask, sizeof(ask),
			 sizeof(ask) + len, &reply);
	if (rc < 0)
		return rc;
	if (reply.size != sizeof(ask) + len || reply.access.count != len ||
	    reply.access.region != region || reply.access.offset != offset)
		return -EPROTO;
	memcpy(buf, reply.bytes + sizeof(ask), len);
	return 0;
}

struct vfu_region_write {
	struct vfu_region_access access;
	uint8_t data[4096];
};

static int vfu_prepare_write(struct vfu_region_write *w, uint32_t region,
			     uint64_t offset, const void *buf, size_t len)
{
	if (len > sizeof(w->data))
		return -EMSGSIZE;
	w->access = (struct vfu_region_access){ offset, region, (uint32_t)len };
	memcpy(w->data, buf, len);
	return 0;
}

int guest_vfu_write(struct guest_vfu *vfu, uint32_t region, uint64_t offset,
		    const void *buf, size_t len)
{
	struct guest_vfu_reply reply;
	struct vfu_region_write w;
	int rc;

	rc = vfu_prepare_write(&w, region, offset, buf, len);
	if (rc == 0)
		rc = vfu_ask_for(vfu, VFU_REGION_WRITE, &w,
				 sizeof(w.access) + len, sizeof(w.access),
				 &reply);
	if (rc == 0 &&
	    memcmp(&reply.access, &w.access, sizeof(w.access)) != 0)
		rc = -EPROTO;
	return rc;
}

int guest_vfu_post(struct guest_vfu *vfu, uint32_t region, uint64_t offset,
		   const void *buf, size_t len)
{
	struct vfu_region_write w;
	int rc;

	rc = vfu_prepare_write(&w, region, offset, buf, len);
	if (rc == 0)
		rc = guest_vfu_send(vfu, VFU_REGION_WRITE, VFU_NO_REPLY, &w,
				    sizeof(w.access) + len, NULL, 0);
	return rc;
}

/* --- interrupts ---------------------------------------------------------- */

int guest_vfu_irq_info(struct guest_vfu *vfu, uint32_t index,
		       struct vfu_irq_info *info)
{
	struct vfu_irq_info ask = { .argsz = sizeof(ask), .index = index };
	struct guest_vfu_reply reply;
	int rc;

	rc = vfu_ask_for(vfu, VFU_GET_IRQ_INFO, &ask, sizeof(ask), sizeof(ask),
			 &reply);
	if (rc == 0)
		*info = reply.irq;
	return rc;
}

int guest_vfu_set_irqs(struct guest_vfu *vfu, uint32_t flags, uint32_t index,
		       uint32_t start, uint32_t count, const int *fds,
		       unsigned int nr_fds)
{
	struct vfu_irq_set ask = { .argsz = sizeof(ask),
				   .flags = flags,
				   .index = index,
				   .start = start,
				   .count = count };

	return guest_vfu_tell(vfu, VFU_SET_IRQS, &ask, sizeof(ask), fds,
			      nr_fds);
}

/* --- memory -------------------------------------------------------------- */

int guest_vfu_dma_map(struct guest_vfu *vfu, uint32_t flags, uint64_t iova,
		      uint64_t size, int fd, uint64_t offset)
{
	struct vfu_dma_map ask = { .argsz = sizeof(ask),
				   .flags = flags,
				   .offset = offset,
				   .iova = iova,
				   .size = size };

	return guest_vfu_tell(vfu, VFU_DMA_MAP, &ask, sizeof(ask), &fd,
			      fd < 0 ? 0 : 1);
}

int guest_vfu_dma_unmap(struct guest_vfu *vfu, uint32_t flags, uint64_t iova,
			uint64_t size)
{
	struct vfu_dma_unmap ask = { .argsz = sizeof(ask),
				     .flags = flags,
				     .iova = iova,
				     .size = size };

	return guest_vfu_tell(vfu, VFU_DMA_UNMAP, &ask, sizeof(ask), NULL, 0);
}

int guest_vfu_map_memory(struct guest_vfu *vfu, const struct guest_memory *mem)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < mem->nr && rc == 0; i++)
		rc = guest_vfu_dma_map(vfu, VFU_DMA_READABLE | VFU_DMA_WRITABLE,
				       mem->region[i].gpa, mem->region[i].size,
				       mem->region[i].fd,
				       mem->region[i].offset);
	return rc;
}
