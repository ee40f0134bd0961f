/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user.c - the front-end side of vhost-user, message by message
 *
 * The socket is non-blocking, because the back-end may live on a worker that
 * the same thread steps: whoever waits, for room or for a reply, steps it.
 */
#include "vhost-user.h"

#include "core/util.h"
#include "core/worker.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define VU_TIMEOUT_MS   20000
#define VU_SEND_MAX_FDS 253
#define VU_MAX_BYTES    65536

void guest_vu_adopt(struct guest_vu *vu, int fd, struct pvio_worker *step)
{
	vu->fd = fd;
	vu->has_reply_ack = false;
	vu->step = step;
}

int guest_vu_connect(struct guest_vu *vu, const char *path,
		     struct pvio_worker *step)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, rc;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	guest_vu_adopt(vu, fd, step);
	return 0;
}

void guest_vu_close(struct guest_vu *vu)
{
	if (vu->fd >= 0)
		close(vu->fd);
	vu->fd = -1;
}

/* Wait for @events, no longer than until @end. */
static int vu_wait(struct guest_vu *vu, short events, uint64_t end)
{
	struct pollfd pfd = { .fd = vu->fd, .events = events };
	bool is_mine = vu->step && pvio_worker_is_mine(vu->step);

	for (;;) {
		bool did = is_mine && pvio_worker_step(vu->step);
		uint64_t now = pvio_now_ns();

		if (poll(&pfd, 1, 0) > 0)
			return 0;
		if (now >= end)
			return -ETIMEDOUT;
		if (!did)
			poll(&pfd, 1,
			     is_mine ? 1 : (int)((end - now) / 1000000) + 1);
	}
}

static uint64_t vu_end(int timeout_ms)
{
	return pvio_now_ns() + (uint64_t)timeout_ms * 1000000;
}

int guest_vu_send_bytes(struct guest_vu *vu, const void *bytes, size_t len,
			const int *fds, unsigned int nr_fds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(VU_SEND_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	uint64_t end = vu_end(VU_TIMEOUT_MS);
	struct cmsghdr *cmsg;
	ssize_t n;
	int rc;

	if (nr_fds > 0) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = control.space;
		mh.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nr_fds * sizeof(int));
	}
	while (iov.iov_len > 0) {
		n = sendmsg(vu->fd, &mh, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			rc = vu_wait(vu, POLLOUT, end);
			if (rc < 0)
				return rc;
			continue;
		}
		if (n < 0)
			return errno == ECONNRESET ? -EPIPE : -errno;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		mh.msg_control = NULL;
		mh.msg_controllen = 0;
	}
	return 0;
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

/* Receive all of @len bytes, and an fd if one comes. */
static int vu_receive_bytes(struct guest_vu *vu, void *buf, size_t len, int *fd,
			    uint64_t end)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct cmsghdr *cmsg;
	ssize_t n;
	int rc;

	while (iov.iov_len > 0) {
		struct msghdr mh = { .msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control.space,
				     .msg_controllen = sizeof(control.space) };

		n = recvmsg(vu->fd, &mh, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EAGAIN) {
			rc = vu_wait(vu, POLLIN, end);
			if (rc < 0)
				return rc;
			continue;
		}
		if (n < 0 && errno != ECONNRESET)
			return -errno;
		if (n <= 0)
			return -EPIPE;
		cmsg = CMSG_FIRSTHDR(&mh);
		if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
			memcpy(fd, CMSG_DATA(cmsg), sizeof(*fd));
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
	}
	return 0;
}

int guest_vu_receive(struct guest_vu *vu, struct guest_vu_reply *reply,
		     int timeout_ms)
{
	uint64_t end = vu_end(timeout_ms);
	int rc;

	memset(reply, 0, sizeof(*reply));
	reply->fd = -1;
	rc = vu_receive_bytes(vu, &reply->header, sizeof(reply->header),
			      &reply->fd, end);
	if (rc == 0 && reply->header.size > sizeof(reply->bytes))
		rc = -EPROTO;
	if (rc == 0)
		rc = vu_receive_bytes(vu, reply->bytes, reply->header.size,
				      &reply->fd, end);
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
