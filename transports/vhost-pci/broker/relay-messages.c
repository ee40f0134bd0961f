/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * relay-messages.c - which of B's messages pass a window, and as what
 *
 * The table is the list of what may pass: a message that is not in it, or not of
 * its shape, is refused here and never gets to the appliance.
 *
 *	SET_MEM_TABLE		  of the window's file: offsets stay, fds don't
 *	SET_VRING_KICK, _CALL	  interrupt and doorbell numbers for the fds
 *	SET_VRING_ERR		  stays here
 *	GET_INFLIGHT_FD		  answered here, with a part of the window
 *	SET_INFLIGHT_FD		  of that part: as SET_MEM_TABLE
 *	SET_BACKEND_REQ_FD	  the socket stays here; told that there is one
 *	GET_FEATURES and so on	  without what cannot pass a window
 *
 * Whether there is an answer is the same on both sides: the appliance's, if the
 * message got there, else ours.  Its answers are checked for being that.
 */
#include "relay.h"

#include "core/eventfd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* What can pass a window. */
#define PROTOCOL_FEATURES                                                   \
	(PVIO_BIT(VU_PROTOCOL_MQ) | PVIO_BIT(VU_PROTOCOL_RARP) |            \
	 PVIO_BIT(VU_PROTOCOL_REPLY_ACK) | PVIO_BIT(VU_PROTOCOL_NET_MTU) |  \
	 PVIO_BIT(VU_PROTOCOL_BACKEND_REQ) | PVIO_BIT(VU_PROTOCOL_CONFIG) | \
	 PVIO_BIT(VU_PROTOCOL_INFLIGHT_SHMFD) |                             \
	 PVIO_BIT(VU_PROTOCOL_RESET_DEVICE) | PVIO_BIT(VU_PROTOCOL_STATUS))

int relay_refuse(struct relay_session *s, const char *fmt, ...)
{
	char why[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	pvio_log_limited(&s->relay->log_limit, PVIO_LOG_WARNING,
			 "%s: vhost-user: %s refused: %s", s->relay->port->name,
			 s->shape ? s->shape->name : "message", why);
	return -EINVAL;
}

/* --- features ------------------------------------------------------------- */

static int set_features(struct relay_session *s, struct vu_message *msg,
			uint32_t *number)
{
	(void)number;
	if (msg->u64 & PVIO_BIT(VU_F_LOG_ALL))
		return relay_refuse(s, "a window has no dirty log");
	s->features = msg->u64;
	return RELAY_PASS;
}

static int set_protocol_features(struct relay_session *s,
				 struct vu_message *msg, uint32_t *number)
{
	(void)number;
	if (msg->u64 & ~s->offered_protocol)
		return relay_refuse(
			s, "protocol features 0x%llx were not offered",
			(unsigned long long)(msg->u64 & ~s->offered_protocol));
	s->protocol_features = msg->u64;
	return RELAY_PASS;
}

/* --- eventfds ------------------------------------------------------------- */

/* The ring that SET_VRING_KICK, _CALL or _ERR names, and its fd or -1. */
static int vring_fd(struct relay_session *s, const struct vu_message *msg,
		    unsigned int *ring, int *fd)
{
	bool has_no_fd = msg->u64 & VU_VRING_NO_FD;

	*ring = (unsigned int)(msg->u64 & VU_VRING_INDEX_MASK);
	if (msg->u64 & ~(VU_VRING_INDEX_MASK | VU_VRING_NO_FD) ||
	    *ring >= s->relay->port->facts.nr_queues)
		return relay_refuse(s, "ring 0x%llx",
				    (unsigned long long)msg->u64);
	if (msg->fds.nr != !has_no_fd)
		return relay_refuse(s, "%u file descriptors", msg->fds.nr);
	*fd = has_no_fd ? -1 : msg->fds.fd[0];
	if (*fd >= 0 && !pvio_eventfd_is(*fd))
		return relay_refuse(s, "not an eventfd");
	return 0;
}

static int set_vring_kick(struct relay_session *s, struct vu_message *msg,
			  uint32_t *number)
{
	unsigned int ring;
	int fd, rc;

	rc = vring_fd(s, msg, &ring, &fd);
	if (rc < 0)
		return rc;
	rc = broker_ring_kick(s->relay->port, ring, fd, number);
	if (rc == -ENOSPC)
		return relay_refuse(
			s,
			"ring %u: the appliance has no interrupt left:"
			" give its window more vectors",
			ring);
	if (rc < 0)
		return relay_refuse(s, "ring %u: %s", ring, strerror(-rc));
	s->kicked |= PVIO_BIT(ring);
	return RELAY_PASS;
}

struct relay_call {
	struct relay *relay;
	uint64_t wait_id;
};

static void relay_later(struct relay_session *s, int rc, uint32_t number);

static void call_is_set(void *arg, int rc)
{
	struct relay_call *call = arg;
	struct relay_session *s = call->relay->session;

	/* Or it is not waited for any more. */
	if (s && s->wait == RELAY_CALL && s->wait_id == call->wait_id) {
		if (rc < 0)
			relay_refuse(s, "%s", strerror(-rc));
		relay_later(s, rc < 0 ? rc : RELAY_PASS, (uint32_t)rc);
	}
	free(call);
}

static int set_vring_call(struct relay_session *s, struct vu_message *msg,
			  uint32_t *number)
{
	struct relay_call *call;
	unsigned int ring;
	int fd, rc;

	(void)number;
	rc = vring_fd(s, msg, &ring, &fd);
	if (rc < 0)
		return rc;
	call = malloc(sizeof(*call));
	if (!call)
		return -ENOMEM;
	relay_wait(s, RELAY_CALL);
	*call = (struct relay_call){ s->relay, s->wait_id };
	broker_ring_call(s->relay->port, ring, fd, call_is_set, call);
	return RELAY_LATER;
}

static int set_vring_err(struct relay_session *s, struct vu_message *msg,
			 uint32_t *number)
{
	int fd, rc, own = -1;
	unsigned int ring;

	(void)number;
	rc = vring_fd(s, msg, &ring, &fd);
	if (rc == 0 && fd >= 0)
		rc = own = pvio_eventfd_dup(fd);
	if (rc < 0)
		return rc;
	if (s->err_fd[ring] >= 0)
		close(s->err_fd[ring]);
	s->err_fd[ring] = own;
	return RELAY_ACCEPTED;
}

/* --- rings that stop, and the back-end's channel -------------------------- */

static int get_vring_base(struct relay_session *s, struct vu_message *msg,
			  uint32_t *number)
{
	(void)number;
	if (msg->state.index >= s->relay->port->facts.nr_queues)
		return relay_refuse(s, "ring %u", msg->state.index);
	s->kicked &= ~PVIO_BIT(msg->state.index);
	return RELAY_PASS;
}

static int reset_device(struct relay_session *s, struct vu_message *msg,
			uint32_t *number)
{
	(void)msg;
	(void)number;
	s->kicked = 0;
	return RELAY_PASS;
}

static int set_status(struct relay_session *s, struct vu_message *msg,
		      uint32_t *number)
{
	return msg->u64 == 0 ? reset_device(s, msg, number) : RELAY_PASS;
}

static int set_backend_req_fd(struct relay_session *s, struct vu_message *msg,
			      uint32_t *number)
{
	struct stat st;

	(void)number;
	if (fstat(msg->fds.fd[0], &st) < 0 || !S_ISSOCK(st.st_mode))
		return relay_refuse(s, "not a socket");
	if (s->channel_fd >= 0)
		pvio_closer_close(s->relay->endpoint.closer, s->channel_fd);
	s->channel_fd = msg->fds.fd[0];
	msg->fds.fd[0] = -1;
	return RELAY_PASS;
}

/* Or its answer could not be told from a wrong one. */
static int any_config(struct relay_session *s, struct vu_message *msg,
		      uint32_t *number)
{
	(void)number;
	if (!vu_config_is_legal(msg))
		return relay_refuse(s, "%u bytes at %u", msg->config.size,
				    msg->config.offset);
	return RELAY_PASS;
}

/* As it is. */
static int pass(struct relay_session *s, struct vu_message *msg,
		uint32_t *number)
{
	(void)s;
	(void)msg;
	(void)number;
	return RELAY_PASS;
}

/* --- the table ------------------------------------------------------------ */

/* *number: of the frame. */
typedef int relay_handler(struct relay_session *s, struct vu_message *msg,
			  uint32_t *number);

static relay_handler *const handlers[VU_NR_REQUESTS] = {
	[VU_GET_FEATURES] = pass,
	[VU_SET_FEATURES] = set_features,
	[VU_SET_OWNER] = pass,
	[VU_RESET_OWNER] = pass,
	[VU_SET_MEM_TABLE] = relay_set_mem_table,
	[VU_SET_VRING_NUM] = pass,
	[VU_SET_VRING_ADDR] = pass,
	[VU_SET_VRING_BASE] = pass,
	[VU_GET_VRING_BASE] = get_vring_base,
	[VU_SET_VRING_KICK] = set_vring_kick,
	[VU_SET_VRING_CALL] = set_vring_call,
	[VU_SET_VRING_ERR] = set_vring_err,
	[VU_GET_PROTOCOL_FEATURES] = pass,
	[VU_SET_PROTOCOL_FEATURES] = set_protocol_features,
	[VU_GET_QUEUE_NUM] = pass,
	[VU_SET_VRING_ENABLE] = pass,
	[VU_SEND_RARP] = pass,
	[VU_NET_SET_MTU] = pass,
	[VU_SET_BACKEND_REQ_FD] = set_backend_req_fd,
	[VU_GET_CONFIG] = any_config,
	[VU_SET_CONFIG] = any_config,
	[VU_GET_INFLIGHT_FD] = relay_get_inflight_fd,
	[VU_SET_INFLIGHT_FD] = relay_set_inflight_fd,
	[VU_RESET_DEVICE] = reset_device,
	[VU_SET_STATUS] = set_status,
	[VU_GET_STATUS] = pass,
};

static int message_check(struct relay_session *s, const struct vu_message *msg)
{
	char why[64];
	int rc;

	if (!s->shape || !handlers[s->shape->request])
		return relay_refuse(s, "request %u does not pass a window",
				    msg->header.request);
	rc = vu_shape_check(s->shape, msg, s->protocol_features, why,
			    sizeof(why));
	return rc < 0 ? relay_refuse(s, "%s", why) : 0;
}

/* --- B's message ---------------------------------------------------------- */

static bool is_answered(const struct relay_session *s)
{
	return vu_is_answered(s->shape, &s->wire.message, s->protocol_features);
}

/* An answer of ours to what does not get to the appliance. */
static void relay_answer_here(struct relay_session *s, bool is_refused)
{
	union vu_refusal payload = { .u64 = 0 };
	size_t size = sizeof(payload.u64);

	if (!is_answered(s))
		return;
	if (is_refused)
		size = vu_refusal(s->shape, &s->wire.message, &payload);
	relay_reply(s, &payload, size, -1);
}

/* To the appliance. */
static int relay_pass(struct relay_session *s, uint32_t number)
{
	const struct vu_message *msg = &s->wire.message;
	struct vu_header header = msg->header;
	uint8_t bytes[sizeof(header) + sizeof(struct vu_config)];

	header.flags = VU_VERSION;
	if (s->shape->answer == VU_ANSWER_ACK && is_answered(s))
		header.flags |= VU_NEED_REPLY;
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), msg->bytes, header.size);
	return broker_send(s->relay->port, WINDOW_MESSAGE, number, bytes,
			   sizeof(header) + header.size);
}

static void relay_later(struct relay_session *s, int rc, uint32_t number)
{
	if (rc == RELAY_PASS) {
		int sent = relay_pass(s, number);

		if (sent < 0) {
			/* The appliance is gone, or takes nothing. */
			pvio_connection_close(&s->connection);
		} else if (is_answered(s)) {
			relay_wait(s, RELAY_ANSWER);
			return;
		}
	} else if (rc < 0) {
		s->relay->refused++;
		relay_answer_here(s, true);
	} else if (rc == RELAY_ACCEPTED) {
		relay_answer_here(s, false);
	}
	relay_done(s);
}

void relay_message(struct relay_session *s)
{
	struct vu_message *msg = &s->wire.message;
	uint32_t number = 0;
	int rc;

	s->shape = vu_shape_of(msg->header.request);
	pvio_log(PVIO_LOG_DEBUG, "%s: vhost-user: %s, %u bytes, %u fds",
		 s->relay->port->name, s->shape ? s->shape->name : "?",
		 msg->header.size, msg->fds.nr);
	rc = message_check(s, msg);
	if (rc == 0)
		rc = handlers[s->shape->request](s, msg, &number);
	if (rc != RELAY_LATER)
		relay_later(s, rc, number);
}

/* --- the appliance's answer ----------------------------------------------- */

static bool answer_is_legal(const struct relay_session *s,
			    const struct vu_header *header, const void *payload)
{
	const struct vu_message *msg = &s->wire.message;
	struct vu_config config;
	uint32_t index;

	switch (s->shape->answer) {
	case VU_ANSWER_ACK:
	case VU_ANSWER_U64:
		return header->size == sizeof(uint64_t);
	case VU_ANSWER_STATE:
		memcpy(&index, payload, sizeof(index));
		return header->size == sizeof(struct vu_vring_state) &&
		       index == msg->state.index;
	case VU_ANSWER_CONFIG:
		if (header->size == 0)
			return true;
		if (header->size != msg->header.size)
			return false;
		memcpy(&config, payload, VU_CONFIG_HEADER_BYTES);
		return config.offset == msg->config.offset &&
		       config.size == msg->config.size &&
		       config.size + VU_CONFIG_HEADER_BYTES == header->size;
	/* Neither gets to it. */
	case VU_ANSWER_LOG:
	case VU_ANSWER_INFLIGHT:
		break;
	}
	return false;
}

/* What B is told differs where a window does. */
static uint64_t answer_mask(struct relay_session *s, uint64_t value)
{
	if (s->shape->request == VU_GET_FEATURES)
		return value & ~PVIO_BIT(VU_F_LOG_ALL);
	if (s->shape->request == VU_GET_PROTOCOL_FEATURES) {
		s->offered_protocol = value & PROTOCOL_FEATURES;
		return s->offered_protocol;
	}
	return value;
}

void relay_answer(struct relay_session *s, const void *payload, size_t bytes)
{
	const uint8_t *body = (const uint8_t *)payload +
			      sizeof(struct vu_header);
	struct vu_header header;
	uint64_t value;

	/* Too late. */
	if (s->connection.is_closing)
		return;
	if (s->wait != RELAY_ANSWER || bytes < sizeof(header)) {
		broker_distrust(s->relay->port, "%zu bytes that answer nothing",
				bytes);
		return;
	}
	memcpy(&header, payload, sizeof(header));
	if (header.request != s->shape->request ||
	    header.flags != (VU_VERSION | VU_REPLY) ||
	    header.size != bytes - sizeof(header) ||
	    !answer_is_legal(s, &header, body)) {
		broker_distrust(s->relay->port,
				"no answer to %s: request %u, flags %u, %u "
				"bytes",
				s->shape->name, header.request, header.flags,
				header.size);
		return;
	}
	if (s->shape->answer == VU_ANSWER_ACK ||
	    s->shape->answer == VU_ANSWER_U64) {
		memcpy(&value, body, sizeof(value));
		value = answer_mask(s, value);
		relay_reply(s, &value, sizeof(value), -1);
	} else {
		relay_reply(s, body, header.size, -1);
	}
	relay_done(s);
}

/* --- what it says unasked ------------------------------------------------- */

/*
 * One that finds no room is one of many that B has not read yet, and they all
 * say the same.
 */
static void channel_send(struct relay_session *s,
			 const struct vu_header *header)
{
	ssize_t n;

	if (s->channel_fd < 0)
		return;
	n = send(s->channel_fd, header, sizeof(*header),
		 MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n == sizeof(*header) || (n < 0 && errno == EAGAIN))
		return;
	pvio_closer_close(s->relay->endpoint.closer, s->channel_fd);
	s->channel_fd = -1;
}

static void ring_error(struct relay_session *s, unsigned int ring)
{
	if (s->err_fd[ring] < 0 ||
	    likely(pvio_eventfd_signal(s->err_fd[ring]) != -EINTR))
		return;
	pvio_log_limited(&s->relay->log_limit, PVIO_LOG_WARNING,
			 "%s: ring %u: error eventfd blocks: let go",
			 s->relay->port->name, ring);
	close(s->err_fd[ring]);
	s->err_fd[ring] = -1;
}

void relay_unasked(struct relay_session *s, const void *payload, size_t bytes)
{
	struct {
		struct vu_header header;
		struct vu_vring_state state;
	} message = { .header = { .size = 0 } };
	bool is_error;

	memcpy(&message, payload, pvio_min(bytes, sizeof(message)));
	is_error = message.header.request == VU_BACKEND_VRING_ERR;
	if ((!is_error && message.header.request != VU_BACKEND_CONFIG_CHANGE) ||
	    message.header.flags != VU_VERSION ||
	    message.header.size != (is_error ? sizeof(message.state) : 0) ||
	    bytes != sizeof(message.header) + message.header.size ||
	    (is_error &&
	     message.state.index >= s->relay->port->facts.nr_queues)) {
		broker_distrust(s->relay->port, "%zu bytes unasked, request %u",
				bytes, message.header.request);
		return;
	}
	if (!is_error)
		channel_send(s, &message.header);
	else
		ring_error(s, message.state.index);
}
