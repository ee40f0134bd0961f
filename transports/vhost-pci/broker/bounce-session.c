/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bounce-session.c - the conversation with the appliance
 *
 * We are a vhost-user front-end, whose socket is the port's channel:
 *
 *	what it offers       GET_FEATURES, GET_PROTOCOL_FEATURES,
 *			     SET_PROTOCOL_FEATURES, SET_OWNER,
 *			     SET_BACKEND_REQ_FD, GET_CONFIG
 *	what B's driver is   RESET_DEVICE, SET_FEATURES, SET_MEM_TABLE,
 *			     SET_CONFIG, NET_SET_MTU, SEND_RARP
 *	rings		     bounce-ring.c
 *
 * One message at a time; each is answered, and has timeout_ms for it, or as long
 * as a request if it has to wait for those.  An answer that makes no sense shows
 * that the appliance is broken, and that is as good as gone.  One that is late
 * may be the fault of what this port's guest asked for: only its session ends.
 */
#include "bounce.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

/* Rings are ours to choose, whatever B's are. */
#define RING_FEATURES                                                       \
	(PVIO_BIT(VIRTIO_F_VERSION_1) | PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) | \
	 PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |                            \
	 PVIO_BIT(VU_F_PROTOCOL_FEATURES))

#define NEEDED_PROTOCOL                                                   \
	(PVIO_BIT(VU_PROTOCOL_REPLY_ACK) | PVIO_BIT(VU_PROTOCOL_CONFIG) | \
	 PVIO_BIT(VU_PROTOCOL_RESET_DEVICE))
#define WANTED_PROTOCOL                                                   \
	(NEEDED_PROTOCOL | PVIO_BIT(VU_PROTOCOL_MQ) |                     \
	 PVIO_BIT(VU_PROTOCOL_BACKEND_REQ) | PVIO_BIT(VU_PROTOCOL_RARP) | \
	 PVIO_BIT(VU_PROTOCOL_NET_MTU))

static bool session_has(const struct bounce *b, unsigned int protocol)
{
	return b->offer.protocol >> protocol & 1;
}

/* --- questions and answers ------------------------------------------------- */

void bounce_await(struct bounce *b, uint64_t ms)
{
	const struct timeval tv = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000),
	};

	if (ms == 0)
		bounce_await_no_more(b);
	else
		event_add(b->answer_event, &tv);
}

/*
 * To give a ring back it finishes first what it is at work on.  If all ends we
 * do not wait for that.
 */
static uint64_t session_patience_ms(const struct bounce *b, uint32_t request)
{
	const struct broker *broker = b->port->broker;

	if (request != VU_GET_VRING_BASE || b->is_stopping)
		return broker->timeout_ms;
	if (broker->request_timeout_ms == 0)
		return 0;
	return pvio_max(broker->timeout_ms, broker->request_timeout_ms);
}

void bounce_await_no_more(struct bounce *b)
{
	event_del(b->answer_event);
}

static void session_send(struct bounce *b, uint32_t request, uint32_t flags,
			 const void *payload, size_t size, uint32_t number)
{
	struct {
		struct vu_header header;
		uint8_t payload[sizeof(struct vu_config)];
	} msg = {
		.header = {
			.request = request,
			.flags = VU_VERSION | flags,
			.size = (uint32_t)size,
		},
	};

	static_assert(sizeof(msg) <= WINDOW_MAX_PAYLOAD, "fits");
	static_assert(sizeof(struct vu_memory_table) <= sizeof(msg.payload),
		      "the longest of ours but configuration");
	if (size > 0)
		memcpy(msg.payload, payload, size);
	/* Should it not arrive, the time for its answer runs out. */
	(void)broker_send(b->port, WINDOW_MESSAGE, number, &msg,
			  sizeof(msg.header) + size);
}

void bounce_ask(struct bounce *b, uint32_t request, const void *payload,
		size_t size, uint32_t number,
		void (*answered)(struct bounce *, const uint8_t *, size_t))
{
	b->question.request = request;
	b->question.answered = answered;
	bounce_await(b, session_patience_ms(b, request));
	session_send(b, request, b->told_protocol ? VU_NEED_REPLY : 0, payload,
		     size, number);
}

void bounce_session_forget(struct bounce *b)
{
	b->question.request = 0;
	bounce_await_no_more(b);
	b->told_protocol = b->told_features = b->told_memory = false;
	b->needs_reset = false;
}

bool bounce_is_ack(const uint8_t *payload, size_t size)
{
	const uint64_t ok = 0;

	return size == sizeof(ok) && memcmp(payload, &ok, sizeof(ok)) == 0;
}

static void session_answered(struct bounce *b, const struct vu_header *header,
			     const uint8_t *payload)
{
	if (b->question.request == 0 ||
	    header->request != b->question.request ||
	    header->flags != (VU_VERSION | VU_REPLY)) {
		broker_distrust(
			b->port, "message %u, flags 0x%x, is no answer to %u",
			header->request, header->flags, b->question.request);
		return;
	}
	b->question.request = 0;
	bounce_await_no_more(b);
	b->question.answered(b, payload, header->size);
	bounce_go_on(b);
}

void bounce_session_frame(struct bounce *b, const struct window_frame *frame,
			  const void *payload)
{
	struct vu_header header;

	/* What was sent before the session ended is nobody's. */
	if (b->phase < BOUNCE_ASKING || b->phase >= BOUNCE_LATE_END)
		return;
	if (frame->bytes >= sizeof(header))
		memcpy(&header, payload, sizeof(header));
	if (frame->bytes < sizeof(header) ||
	    header.size != frame->bytes - sizeof(header)) {
		broker_distrust(b->port, "a message of %u bytes is none",
				frame->bytes);
		return;
	}
	if (frame->kind == WINDOW_MESSAGE) {
		session_answered(b, &header,
				 (const uint8_t *)payload + sizeof(header));
	} else if (header.request == VU_BACKEND_CONFIG_CHANGE) {
		b->config_is_stale = true;
		bounce_go_on(b);
	} else if (header.request == VU_BACKEND_VRING_ERR) {
		bounce_break(b, "the appliance's queue is broken");
	}
}

/* An answer of eight bytes; false: it is not, and that was the end. */
static bool answer_u64(struct bounce *b, const uint8_t *payload, size_t size,
		       uint64_t *value)
{
	if (size != sizeof(*value)) {
		broker_distrust(b->port, "%zu bytes in place of a number",
				size);
		return false;
	}
	memcpy(value, payload, sizeof(*value));
	return true;
}

/* --- configuration --------------------------------------------------------- */

static size_t config_size(const struct bounce *b)
{
	return pvio_min(b->real->config_size, BOUNCE_MAX_CONFIG);
}

static bool config_answer(struct bounce *b, const uint8_t *payload, size_t size)
{
	struct vu_config config;

	if (size != VU_CONFIG_HEADER_BYTES + config_size(b)) {
		broker_distrust(b->port, "%zu bytes of configuration", size);
		return false;
	}
	memcpy(&config, payload, size);
	memcpy(b->fresh_config, config.data, config_size(b));
	return true;
}

static void config_ask(struct bounce *b,
		       void (*answered)(struct bounce *, const uint8_t *,
					size_t))
{
	const struct vu_config config = { .size = (uint32_t)config_size(b) };

	b->config_is_stale = false;
	bounce_ask(b, VU_GET_CONFIG, &config,
		   VU_CONFIG_HEADER_BYTES + config_size(b), 0, answered);
}

static void config_read(struct bounce *b, const uint8_t *payload, size_t size)
{
	bool is_changed = false;
	size_t i;

	if (!config_answer(b, payload, size))
		return;
	for (i = 0; i < sizeof(b->config); i++) {
		/* Written since we asked, and not told: what we hold counts. */
		if (b->is_written[i] == BOUNCE_WRITTEN)
			continue;
		is_changed |= b->config[i] != b->fresh_config[i];
		b->config[i] = b->fresh_config[i];
	}
	if (is_changed && b->dev && !b->is_dying)
		pvio_device_config_changed(b->dev);
}

static void config_is_written(struct bounce *b, const uint8_t *payload,
			      size_t size)
{
	(void)payload;
	(void)size;
	/* Refused or not: what it says now is what holds. */
	b->config_is_stale = true;
}

/* Tell what B's driver wrote, a range at a time.  False: it is told. */
static bool config_write(struct bounce *b)
{
	struct vu_config config = { .flags = VU_CONFIG_WRITABLE };
	size_t i = 0, end = config_size(b);

	while (i < end && b->is_written[i] != BOUNCE_WRITTEN)
		i++;
	if (i == end)
		return false;
	config.offset = (uint32_t)i;
	for (; i < end && b->is_written[i] == BOUNCE_WRITTEN; i++) {
		config.data[config.size++] = b->config[i];
		b->is_written[i] = BOUNCE_WRITTEN_TOLD;
	}
	bounce_ask(b, VU_SET_CONFIG, &config,
		   VU_CONFIG_HEADER_BYTES + config.size, 0, config_is_written);
	return true;
}

/* --- what it offers -------------------------------------------------------- */

static void session_unfit(struct bounce *b, const char *what, uint64_t missing)
{
	pvio_log_limited(
		&b->port->broker->log_limit, PVIO_LOG_ERROR,
		"%s: the appliance's device lacks %s 0x%llx: is its pvio older?",
		b->port->name, what, (unsigned long long)missing);
	b->phase = BOUNCE_UNFIT;
}

static void asked_config(struct bounce *b, const uint8_t *payload, size_t size)
{
	if (config_answer(b, payload, size))
		bounce_known(b);
}

static void ask_config(struct bounce *b)
{
	if (config_size(b) > 0)
		config_ask(b, asked_config);
	else
		bounce_known(b);
}

static void told_channel(struct bounce *b, const uint8_t *payload, size_t size)
{
	if (!bounce_is_ack(payload, size))
		broker_distrust(b->port, "it does not want a channel back");
	else
		ask_config(b);
}

static void told_owner(struct bounce *b, const uint8_t *payload, size_t size)
{
	if (!bounce_is_ack(payload, size))
		broker_distrust(b->port, "it does not want to be owned");
	else if (session_has(b, VU_PROTOCOL_BACKEND_REQ))
		bounce_ask(b, VU_SET_BACKEND_REQ_FD, NULL, 0, 0, told_channel);
	else
		ask_config(b);
}

static void asked_protocol(struct bounce *b, const uint8_t *payload,
			   size_t size)
{
	uint64_t protocol;

	if (!answer_u64(b, payload, size, &protocol))
		return;
	if (NEEDED_PROTOCOL & ~protocol) {
		session_unfit(b, "protocol features",
			      NEEDED_PROTOCOL & ~protocol);
		return;
	}
	b->offer.protocol = protocol & WANTED_PROTOCOL;
	session_send(b, VU_SET_PROTOCOL_FEATURES, 0, &b->offer.protocol,
		     sizeof(b->offer.protocol), 0);
	/* Its channel may have been found to be garbage. */
	if (b->phase != BOUNCE_ASKING)
		return;
	b->told_protocol = true;
	bounce_ask(b, VU_SET_OWNER, NULL, 0, 0, told_owner);
}

static void asked_features(struct bounce *b, const uint8_t *payload,
			   size_t size)
{
	uint64_t features;

	if (!answer_u64(b, payload, size, &features))
		return;
	if (RING_FEATURES & ~features) {
		session_unfit(b, "features", RING_FEATURES & ~features);
		return;
	}
	b->offer.features = bounce_device_bits(features) & b->real->features[0];
	bounce_ask(b, VU_GET_PROTOCOL_FEATURES, NULL, 0, 0, asked_protocol);
}

void bounce_session_ask(struct bounce *b)
{
	bounce_ask(b, VU_GET_FEATURES, NULL, 0, 0, asked_features);
}

/* --- what B's driver is ---------------------------------------------------- */

static void told_reset(struct bounce *b, const uint8_t *payload, size_t size)
{
	if (!bounce_is_ack(payload, size)) {
		broker_distrust(b->port, "it does not reset its device");
		return;
	}
	b->needs_reset = b->told_features = false;
	b->config_is_stale = true;
}

static void told_features(struct bounce *b, const uint8_t *payload, size_t size)
{
	b->told_features = true;
	if (!bounce_is_ack(payload, size))
		bounce_break(b, "the appliance refuses the driver's features");
}

static void told_memory(struct bounce *b, const uint8_t *payload, size_t size)
{
	b->told_memory = true;
	if (!bounce_is_ack(payload, size))
		broker_distrust(b->port, "it does not take the window");
}

static void told_whatever(struct bounce *b, const uint8_t *payload, size_t size)
{
	(void)b;
	(void)payload;
	(void)size;
}

static void tell_features(struct bounce *b)
{
	const uint64_t features = b->features | RING_FEATURES;

	bounce_ask(b, VU_SET_FEATURES, &features, sizeof(features), 0,
		   told_features);
}

static void tell_memory(struct bounce *b)
{
	struct vu_memory_table table;

	bounce_memory_table(b, &table);
	bounce_ask(b, VU_SET_MEM_TABLE, &table,
		   offsetof(struct vu_memory_table, region[1]), 0, told_memory);
}

/* What has no bearing on rings.  False: all is told. */
static bool tell_rest(struct bounce *b)
{
	uint64_t mtu = b->mtu;
	uint8_t rarp[8] = { 0 };

	if (b->told_features && config_write(b))
		return true;
	if (b->config_is_stale && config_size(b) > 0) {
		config_ask(b, config_read);
		return true;
	}
	if (b->mtu_is_owed) {
		b->mtu_is_owed = false;
		bounce_ask(b, VU_NET_SET_MTU, &mtu, sizeof(mtu), 0,
			   told_whatever);
		return true;
	}
	if (b->rarp_is_owed) {
		b->rarp_is_owed = false;
		memcpy(rarp, b->rarp_mac, sizeof(b->rarp_mac));
		bounce_ask(b, VU_SEND_RARP, rarp, sizeof(rarp), 0,
			   told_whatever);
		return true;
	}
	return false;
}

void bounce_session_go_on(struct bounce *b)
{
	if (b->question.request != 0 || bounce_rings_return(b))
		return;
	if (b->needs_reset) {
		if (bounce_rings_are_none(b))
			bounce_ask(b, VU_RESET_DEVICE, NULL, 0, 0, told_reset);
		return;
	}
	if (b->has_features && !b->told_features)
		tell_features(b);
	else if (b->told_features && !b->told_memory)
		tell_memory(b);
	else if (!tell_rest(b) && b->told_features)
		bounce_rings_give(b);
}
