/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * messages.c - the messages of a front-end, and what each may carry
 *
 * The table is the access check: a message that no row describes, whose
 * payload or number of file descriptors is not the row's, or that belongs to a
 * protocol feature nobody negotiated, never reaches a handler.  It is refused
 * in the form that its kind of reply has for that, its fds are closed, and the
 * connection goes on.
 */
#include "vhost-user.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum reply {
	REPLY_ACK,      /* u64 0 or 1, if REPLY_ACK and need_reply say so */
	REPLY_U64,      /* always; refused: 0 */
	REPLY_LOG,      /* with LOG_SHMFD always, else as ACK */
	REPLY_STATE,    /* refused: position 0 */
	REPLY_CONFIG,   /* refused: no payload */
	REPLY_INFLIGHT, /* refused: size 0 */
};

#define NO_FEATURE 0xff

struct vu_row {
	uint32_t request;
	const char *name;
	uint16_t min_size, max_size; /* payload bytes */
	uint8_t min_fds, max_fds;
	uint8_t feature; /* enum vu_protocol_feature, or NO_FEATURE */
	enum reply reply;
	int (*handle)(struct vu_session *s, struct vu_message *msg);
};

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
			 s->row ? s->row->name : "message", why);
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
 * The features are in force.  vhost-user without its STATUS feature has no
 * status register, and front-ends that have it write it late, so the transport
 * walks the device's status with what it is told.
 */
static void features_set(struct vu_session *s, int rc)
{
	uint8_t status = pvio_device_status(s->dev);

	if (rc < 0) {
		vu_message_done(s, rc);
		return;
	}
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
	uint64_t before = s->features;

	if (rc == 0)
		rc = pvio_device_set_features(s->dev, &f);
	if (rc < 0) {
		vu_refuse(s, "features 0x%llx: %s",
			  (unsigned long long)features, strerror(-rc));
		vu_message_done(s, rc);
		return;
	}
	s->features = features;
	s->has_features = true;
	rc = vu_memory_relog(s, features_set);
	if (rc < 0)
		s->features = before;
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

/* Does the message carry as many bytes as it says, within the space? */
static bool config_is_legal(const struct vu_message *msg)
{
	const struct vu_config *c = &msg->config;

	return c->size > 0 &&
	       pvio_range_ok(c->offset, c->size, VU_CONFIG_MAX_BYTES) &&
	       msg->header.size == VU_CONFIG_HEADER_BYTES + c->size;
}

static int get_config(struct vu_session *s, struct vu_message *msg)
{
	struct vu_config reply;

	if (!config_is_legal(msg))
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

	if (!config_is_legal(msg) || c->flags > VU_CONFIG_MIGRATION)
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

#define ROW(request_, min_, max_, min_fds_, max_fds_, feature_, reply_, fn_) \
	{                                                                    \
		VU_##request_, #request_, min_, max_, min_fds_, max_fds_,    \
			feature_, REPLY_##reply_, fn_                        \
	}
#define FEATURE(name) VU_PROTOCOL_##name

static const struct vu_row rows[] = {
	/* request, payload bytes, fds, protocol feature, reply, handler */
	ROW(GET_FEATURES, 0, 0, 0, 0, NO_FEATURE, U64, get_features),
	ROW(SET_FEATURES, 8, 8, 0, 0, NO_FEATURE, ACK, set_features),
	ROW(SET_OWNER, 0, 0, 0, 0, NO_FEATURE, ACK, ignore),
	ROW(RESET_OWNER, 0, 0, 0, 0, NO_FEATURE, ACK, ignore),
	ROW(SET_MEM_TABLE, 8, 264, 0, 8, NO_FEATURE, ACK, vu_set_mem_table),
	ROW(SET_LOG_BASE, 16, 16, 1, 1, FEATURE(LOG_SHMFD), LOG,
	    vu_set_log_base),
	/* The eventfd would say that the log changed: nobody needs to hear. */
	ROW(SET_LOG_FD, 0, 8, 1, 1, NO_FEATURE, ACK, ignore),
	ROW(SET_VRING_NUM, 8, 8, 0, 0, NO_FEATURE, ACK, vu_set_vring_num),
	ROW(SET_VRING_ADDR, 40, 40, 0, 0, NO_FEATURE, ACK, vu_set_vring_addr),
	ROW(SET_VRING_BASE, 8, 8, 0, 0, NO_FEATURE, ACK, vu_set_vring_base),
	ROW(GET_VRING_BASE, 8, 8, 0, 0, NO_FEATURE, STATE, vu_get_vring_base),
	ROW(SET_VRING_KICK, 8, 8, 0, 1, NO_FEATURE, ACK, vu_set_vring_kick),
	ROW(SET_VRING_CALL, 8, 8, 0, 1, NO_FEATURE, ACK, vu_set_vring_call),
	ROW(SET_VRING_ERR, 8, 8, 0, 1, NO_FEATURE, ACK, vu_set_vring_err),
	ROW(GET_PROTOCOL_FEATURES, 0, 0, 0, 0, NO_FEATURE, U64,
	    get_protocol_features),
	ROW(SET_PROTOCOL_FEATURES, 8, 8, 0, 0, NO_FEATURE, ACK,
	    set_protocol_features),
	ROW(GET_QUEUE_NUM, 0, 0, 0, 0, NO_FEATURE, U64, get_queue_num),
	ROW(SET_VRING_ENABLE, 8, 8, 0, 0, NO_FEATURE, ACK, vu_set_vring_enable),
	ROW(SEND_RARP, 8, 8, 0, 0, FEATURE(RARP), ACK, send_rarp),
	ROW(NET_SET_MTU, 8, 8, 0, 0, FEATURE(NET_MTU), ACK, set_mtu),
	ROW(SET_BACKEND_REQ_FD, 0, 0, 1, 1, FEATURE(BACKEND_REQ), ACK,
	    vu_set_backend_req_fd),
	ROW(GET_CONFIG, 12, 268, 0, 0, FEATURE(CONFIG), CONFIG, get_config),
	ROW(SET_CONFIG, 12, 268, 0, 0, FEATURE(CONFIG), ACK, set_config),
	ROW(GET_INFLIGHT_FD, 20, 24, 0, 0, FEATURE(INFLIGHT_SHMFD), INFLIGHT,
	    vu_get_inflight_fd),
	ROW(SET_INFLIGHT_FD, 20, 24, 1, 1, FEATURE(INFLIGHT_SHMFD), ACK,
	    vu_set_inflight_fd),
	ROW(RESET_DEVICE, 0, 0, 0, 0, FEATURE(RESET_DEVICE), ACK, reset_device),
	ROW(VRING_KICK, 8, 8, 0, 0, FEATURE(INBAND_NOTIFICATIONS), ACK,
	    vu_vring_kick),
	ROW(GET_MAX_MEM_SLOTS, 0, 0, 0, 0, NO_FEATURE, U64, get_max_mem_slots),
	ROW(ADD_MEM_REG, 40, 40, 1, 1, FEATURE(CONFIGURE_MEM_SLOTS), ACK,
	    vu_add_mem_reg),
	/* Old front-ends sent the region's fd along. */
	ROW(REM_MEM_REG, 40, 40, 0, 1, FEATURE(CONFIGURE_MEM_SLOTS), ACK,
	    vu_rem_mem_reg),
	ROW(SET_STATUS, 8, 8, 0, 0, FEATURE(STATUS), ACK, set_status),
	ROW(GET_STATUS, 0, 0, 0, 0, FEATURE(STATUS), U64, get_status),
};

static const struct vu_row *row_find(uint32_t request)
{
	size_t i;

	for (i = 0; i < pvio_array_size(rows); i++)
		if (rows[i].request == request)
			return &rows[i];
	return NULL;
}

static int row_check(struct vu_session *s, const struct vu_message *msg)
{
	const struct vu_row *row = s->row;

	if (!row)
		return vu_refuse(s, "request %u is not known",
				 msg->header.request);
	if (row->feature != NO_FEATURE && !vu_has_protocol(s, row->feature))
		return vu_refuse(s, "its feature was not negotiated");
	if (msg->header.size < row->min_size ||
	    msg->header.size > row->max_size)
		return vu_refuse(s, "%u bytes of payload", msg->header.size);
	if (msg->fds.are_lost || msg->fds.nr < row->min_fds ||
	    msg->fds.nr > row->max_fds)
		return vu_refuse(s, "%u file descriptors%s", msg->fds.nr,
				 msg->fds.are_lost ? " and more" : "");
	return 0;
}

void vu_message_handle(struct vu_session *s)
{
	struct vu_message *msg = &s->wire.message;
	int rc;

	s->row = row_find(msg->header.request);
	pvio_log(PVIO_LOG_DEBUG, "%s: vhost-user: %s, %u bytes, %u fds",
		 pvio_device_name(s->dev), s->row ? s->row->name : "?",
		 msg->header.size, msg->fds.nr);
	rc = row_check(s, msg);
	if (rc == 0)
		rc = s->row->handle(s, msg);
	if (rc != VU_LATER)
		vu_message_done(s, rc);
}

static void answer_refused(struct vu_session *s, enum reply reply)
{
	const struct vu_message *msg = &s->wire.message;
	struct vu_vring_state state = {
		.index = msg->header.size == sizeof(state) ? msg->state.index
							   : 0,
	};
	struct vu_inflight inflight = { .mmap_size = 0 };

	switch (reply) {
	case REPLY_STATE:
		vu_reply(s, &state, sizeof(state), -1);
		break;
	case REPLY_CONFIG:
		vu_reply(s, NULL, 0, -1);
		break;
	case REPLY_INFLIGHT:
		vu_reply(s, &inflight, sizeof(inflight), -1);
		break;
	case REPLY_U64:
		vu_reply_u64(s, 0);
		break;
	case REPLY_LOG:
	case REPLY_ACK:
		vu_reply_u64(s, 1);
		break;
	}
}

void vu_message_answer(struct vu_session *s, int rc)
{
	enum reply reply = s->row ? s->row->reply : REPLY_ACK;
	bool wants_ack = vu_has_protocol(s, VU_PROTOCOL_REPLY_ACK) &&
			 s->wire.message.header.flags & VU_NEED_REPLY;

	if (rc < 0)
		s->vu->refused++;
	if (reply == REPLY_LOG && vu_has_protocol(s, VU_PROTOCOL_LOG_SHMFD))
		wants_ack = true;
	if (rc == VU_REPLIED || s->connection.is_closing)
		return;
	if ((reply == REPLY_ACK || reply == REPLY_LOG) && !wants_ack)
		return;
	if (rc < 0)
		answer_refused(s, reply);
	else
		vu_reply_u64(s, 0);
}
