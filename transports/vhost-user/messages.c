/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * messages.c - the messages of a front-end, and who handles each
 *
 * A message that is not of its shape, or that belongs to a protocol feature
 * nobody negotiated, never reaches a handler.  It is refused in the form that
 * its kind of answer has for that, its fds are closed, and the connection goes
 * on.
 */
#include "vhost-user.h"

#include "shape.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PROTOCOL_FEATURES                                                      \
	(PVIO_BIT(VU_PROTOCOL_MQ) | PVIO_BIT(VU_PROTOCOL_LOG_SHMFD) |          \
	 PVIO_BIT(VU_PROTOCOL_REPLY_ACK) | PVIO_BIT(VU_PROTOCOL_BACKEND_REQ) | \
	 PVIO_BIT(VU_PROTOCOL_CONFIG) | PVIO_BIT(VU_PROTOCOL_INFLIGHT_SHMFD) | \
	 PVIO_BIT(VU_PROTOCOL_RESET_DEVICE) |                                  \
	 PVIO_BIT(VU_PROTOCOL_INBAND_NOTIFICATIONS) |                          \
	 PVIO_BIT(VU_PROTOCOL_CONFIGURE_MEM_SLOTS) |                           \
	 PVIO_BIT(VU_PROTOCOL_STATUS))

int vu_refuse(struct vu_session *s, const char *fmt, ...)
{
	char why[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	pvio_log_limited(&s->vu->log_limit, PVIO_LOG_WARNING,
			 "%s: vhost-user: %s refused: %s",
			 pvio_device_name(s->dev),
			 s->shape ? s->shape->name : "message", why);
	return -EINVAL;
}

/* --- features ------------------------------------------------------------- */

static uint64_t offered_features(const struct vu_session *s)
{
	struct pvio_features f;

	pvio_device_offered(s->dev, &f);
	return f.word[0] | ((PVIO_BIT(VU_F_LOG_ALL) |
			     PVIO_BIT(VU_F_PROTOCOL_FEATURES)) &
			    ~s->vu->ops->withheld_features);
}

static int get_features(struct vu_session *s, struct vu_message *msg)
{
	(void)msg;
	vu_reply_u64(s, offered_features(s));
	return VU_REPLIED;
}

/*
 * The features are in force; or, with them, the dirty log cannot be.  Then what
 * was before goes on, and new features are none: rings do not start, and the
 * device forgets what it was told when others come.
 *
 * vhost-user without its STATUS feature has no status register, and front-ends
 * that have it write it late, so the transport walks the device's status with
 * what it is told.
 */
static void features_set(struct vu_session *s, int rc)
{
	uint8_t status = pvio_device_status(s->dev);

	if (rc < 0) {
		s->features = s->old_features;
		vu_message_done(s, rc);
		return;
	}
	s->has_features = true;
	pvio_device_set_status(s->dev,
			       status | VIRTIO_CONFIG_S_ACKNOWLEDGE |
				       VIRTIO_CONFIG_S_DRIVER |
				       VIRTIO_CONFIG_S_FEATURES_OK,
			       vu_done, s);
}

static void features_after_reset(void *arg, int rc)
{
	struct vu_session *s = arg;
	uint64_t features = s->wire.message.u64;
	struct pvio_features f = {
		.word[0] = features & ~PVIO_BIT(VU_F_LOG_ALL) &
			   ~PVIO_BIT(VU_F_PROTOCOL_FEATURES),
	};

	if (rc == 0)
		rc = pvio_device_set_features(s->dev, &f);
	if (rc < 0) {
		vu_refuse(s, "features 0x%llx: %s",
			  (unsigned long long)features, strerror(-rc));
		vu_message_done(s, rc);
		return;
	}
	s->old_features = s->features;
	s->features = features;
	rc = vu_memory_relog(s, features_set);
	if (rc <= 0)
		features_set(s, rc);
}

/*
 * While rings run only LOG_ALL may change.  When none does, other features, or
 * a device that needs a reset, mean that a new driver has taken over.
 */
static int set_features(struct vu_session *s, struct vu_message *msg)
{
	uint64_t log_all = PVIO_BIT(VU_F_LOG_ALL);
	bool is_same = s->has_features &&
		       (msg->u64 | log_all) == (s->features | log_all);
	bool is_broken = pvio_device_status(s->dev) &
			 VIRTIO_CONFIG_S_NEEDS_RESET;

	if (msg->u64 & ~offered_features(s))
		return vu_refuse(
			s, "features 0x%llx were not offered",
			(unsigned long long)(msg->u64 & ~offered_features(s)));
	if (!(msg->u64 & PVIO_BIT(VIRTIO_F_VERSION_1)))
		return vu_refuse(s, "a legacy driver: it does not accept "
				    "VIRTIO_F_VERSION_1");
	if (vu_ring_is_any_started(s)) {
		if (!is_same)
			return vu_refuse(s, "rings are running");
		features_after_reset(s, 0);
		return VU_LATER;
	}
	if (is_same && !is_broken) {
		features_after_reset(s, 0);
		return VU_LATER;
	}
	/* What the one before had in flight was finished with its rings. */
	if (s->has_features)
		vu_inflight_fini(s);
	s->has_features = false;
	pvio_device_reset(s->dev, features_after_reset, s);
	return VU_LATER;
}

static uint64_t offered_protocol_features(const struct vu_session *s)
{
	const struct pvio_model_ops *model = pvio_device_model(s->dev);
	uint64_t offered = PROTOCOL_FEATURES;

	if (model->announce)
		offered |= PVIO_BIT(VU_PROTOCOL_RARP);
	if (model->set_mtu)
		offered |= PVIO_BIT(VU_PROTOCOL_NET_MTU);
	return offered & ~s->vu->ops->withheld_protocol_features;
}

static int get_protocol_features(struct vu_session *s, struct vu_message *msg)
{
	(void)msg;
	vu_reply_u64(s, offered_protocol_features(s));
	return VU_REPLIED;
}

static int set_protocol_features(struct vu_session *s, struct vu_message *msg)
{
	uint64_t needs = PVIO_BIT(VU_PROTOCOL_REPLY_ACK) |
			 PVIO_BIT(VU_PROTOCOL_BACKEND_REQ);

	if (msg->u64 & ~offered_protocol_features(s)) {
		vu_refuse(s, "protocol features 0x%llx were not offered",
			  (unsigned long long)msg->u64);
		return VU_CLOSE;
	}
	if (msg->u64 & PVIO_BIT(VU_PROTOCOL_INBAND_NOTIFICATIONS) &&
	    (msg->u64 & needs) != needs) {
		vu_refuse(s, "in-band notifications need REPLY_ACK and "
			     "BACKEND_REQ");
		return VU_CLOSE;
	}
	s->protocol_features = msg->u64;
	pvio_store_once(&s->vu->call_in_band,
			vu_has_protocol(s, VU_PROTOCOL_INBAND_NOTIFICATIONS));
	return VU_DONE;
}

static int get_queue_num(struct vu_session *s, struct vu_message *msg)
{
	unsigned int unit = pvio_device_model(s->dev)->queues_per_unit;

	(void)msg;
	vu_reply_u64(s, s->nr_rings / (unit ? unit : 1));
	return VU_REPLIED;
}

static int get_max_mem_slots(struct vu_session *s, struct vu_message *msg)
{
	(void)msg;
	vu_reply_u64(s, PVIO_MAP_MAX_REGIONS);
	return VU_REPLIED;
}

/* SET_OWNER says what the connection says; RESET_OWNER is long deprecated. */
static int ignore(struct vu_session *s, struct vu_message *msg)
{
	(void)s;
	(void)msg;
	return VU_DONE;
}

/* --- configuration space -------------------------------------------------- */

static int get_config(struct vu_session *s, struct vu_message *msg)
{
	struct vu_config reply;

	if (!vu_config_is_legal(msg))
		return vu_refuse(s, "%u bytes at %u", msg->config.size,
				 msg->config.offset);
	memset(&reply, 0, sizeof(reply));
	reply.offset = msg->config.offset;
	reply.size = msg->config.size;
	reply.flags = msg->config.flags;
	pvio_device_read_config(s->dev, reply.offset, reply.data, reply.size);
	vu_reply(s, &reply, VU_CONFIG_HEADER_BYTES + reply.size, -1);
	return VU_REPLIED;
}

static int set_config(struct vu_session *s, struct vu_message *msg)
{
	const struct vu_config *c = &msg->config;
	int rc;

	if (!vu_config_is_legal(msg) || c->flags > VU_CONFIG_MIGRATION)
		return vu_refuse(s, "%u bytes at %u, flags %u", c->size,
				 c->offset, c->flags);
	rc = pvio_device_write_config(s->dev, c->offset, c->data, c->size);
	if (rc < 0)
		return vu_refuse(s, "%u bytes at %u: %s", c->size, c->offset,
				 strerror(-rc));
	return VU_DONE;
}

static int set_mtu(struct vu_session *s, struct vu_message *msg)
{
	if (msg->u64 > UINT16_MAX ||
	    pvio_device_set_mtu(s->dev, (uint16_t)msg->u64) < 0)
		return vu_refuse(s, "MTU %llu", (unsigned long long)msg->u64);
	return VU_DONE;
}

static int send_rarp(struct vu_session *s, struct vu_message *msg)
{
	uint8_t mac[6];

	memcpy(mac, msg->bytes, sizeof(mac));
	pvio_device_announce(s->dev, mac);
	return VU_DONE;
}

/* --- status and reset ----------------------------------------------------- */

static int reset_device(struct vu_session *s, struct vu_message *msg)
{
	(void)msg;
	vu_reset(s, vu_message_done);
	return VU_LATER;
}

static int get_status(struct vu_session *s, struct vu_message *msg)
{
	(void)msg;
	vu_reply_u64(s, pvio_device_status(s->dev));
	return VU_REPLIED;
}

/*
 * What the transport has set on its own stays set, and FEATURES_OK is only for
 * features that were: the front-end reads it back to see.
 */
static int set_status(struct vu_session *s, struct vu_message *msg)
{
	uint8_t status;

	if (msg->u64 > UINT8_MAX)
		return vu_refuse(s, "status 0x%llx",
				 (unsigned long long)msg->u64);
	if (msg->u64 == 0)
		return reset_device(s, msg);
	status = (uint8_t)msg->u64;
	if (!s->has_features)
		status &= (uint8_t) ~(VIRTIO_CONFIG_S_FEATURES_OK |
				      VIRTIO_CONFIG_S_DRIVER_OK);
	pvio_device_set_status(s->dev, pvio_device_status(s->dev) | status,
			       vu_done, s);
	return VU_LATER;
}

/* --- the table ------------------------------------------------------------ */

typedef int vu_handler(struct vu_session *s, struct vu_message *msg);

static vu_handler *const handlers[VU_NR_REQUESTS] = {
	[VU_GET_FEATURES] = get_features,
	[VU_SET_FEATURES] = set_features,
	[VU_SET_OWNER] = ignore,
	[VU_RESET_OWNER] = ignore,
	[VU_SET_MEM_TABLE] = vu_set_mem_table,
	[VU_SET_LOG_BASE] = vu_set_log_base,
	/* The eventfd would say that the log changed: nobody needs to hear. */
	[VU_SET_LOG_FD] = ignore,
	[VU_SET_VRING_NUM] = vu_set_vring_num,
	[VU_SET_VRING_ADDR] = vu_set_vring_addr,
	[VU_SET_VRING_BASE] = vu_set_vring_base,
	[VU_GET_VRING_BASE] = vu_get_vring_base,
	[VU_SET_VRING_KICK] = vu_set_vring_kick,
	[VU_SET_VRING_CALL] = vu_set_vring_call,
	[VU_SET_VRING_ERR] = vu_set_vring_err,
	[VU_GET_PROTOCOL_FEATURES] = get_protocol_features,
	[VU_SET_PROTOCOL_FEATURES] = set_protocol_features,
	[VU_GET_QUEUE_NUM] = get_queue_num,
	[VU_SET_VRING_ENABLE] = vu_set_vring_enable,
	[VU_SEND_RARP] = send_rarp,
	[VU_NET_SET_MTU] = set_mtu,
	[VU_SET_BACKEND_REQ_FD] = vu_set_backend_req_fd,
	[VU_GET_CONFIG] = get_config,
	[VU_SET_CONFIG] = set_config,
	[VU_GET_INFLIGHT_FD] = vu_get_inflight_fd,
	[VU_SET_INFLIGHT_FD] = vu_set_inflight_fd,
	[VU_RESET_DEVICE] = reset_device,
	[VU_VRING_KICK] = vu_vring_kick,
	[VU_GET_MAX_MEM_SLOTS] = get_max_mem_slots,
	[VU_ADD_MEM_REG] = vu_add_mem_reg,
	[VU_REM_MEM_REG] = vu_rem_mem_reg,
	[VU_SET_STATUS] = set_status,
	[VU_GET_STATUS] = get_status,
};

static int message_check(struct vu_session *s, const struct vu_message *msg)
{
	char why[64];
	int rc;

	if (!s->shape || !handlers[s->shape->request])
		return vu_refuse(s, "request %u is not known",
				 msg->header.request);
	rc = vu_shape_check(s->shape, msg, s->protocol_features, why,
			    sizeof(why));
	return rc < 0 ? vu_refuse(s, "%s", why) : 0;
}

void vu_message_handle(struct vu_session *s)
{
	struct vu_message *msg = &s->wire.message;
	int rc;

	s->shape = vu_shape_of(msg->header.request);
	pvio_log(PVIO_LOG_DEBUG, "%s: vhost-user: %s, %u bytes, %u fds",
		 pvio_device_name(s->dev), s->shape ? s->shape->name : "?",
		 msg->header.size, msg->fds.nr);
	rc = message_check(s, msg);
	if (rc == 0)
		rc = handlers[s->shape->request](s, msg);
	if (rc != VU_LATER)
		vu_message_done(s, rc);
}

void vu_message_answer(struct vu_session *s, int rc)
{
	const struct vu_message *msg = &s->wire.message;
	union vu_refusal refusal;
	size_t size;

	if (rc < 0)
		s->vu->refused++;
	if (rc == VU_REPLIED || s->connection.is_closing ||
	    !vu_is_answered(s->shape, msg, s->protocol_features))
		return;
	if (rc < 0) {
		size = vu_refusal(s->shape, msg, &refusal);
		vu_reply(s, &refusal, size, -1);
	} else {
		vu_reply_u64(s, 0);
	}
}
