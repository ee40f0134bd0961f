/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * version.c - VERSION: the first message, and what each side can take
 *
 * The client's capabilities are JSON, which comes before anything is known of
 * who sends it: it is parsed within bounds of length and depth, of its numbers
 * only those are looked at that we act on, and what is out of range becomes
 * the nearest that is in it.
 *
 * The reply is short, since QEMU has only as much room for it as what it sent
 * itself took.  It has no write_multiple: QEMU 10.1 and 10.2 get that wrong.
 */
#include "vfio-user.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#define VERSION_MAX_JSON_BYTES 4096
#define VERSION_MAX_DEPTH      8

/* The number @key of @caps within [@min, @max], or @value if there is none. */
static int64_t version_number(struct json_object *caps, const char *key,
			      int64_t min, int64_t max, int64_t value)
{
	struct json_object *number;

	if (!json_object_object_get_ex(caps, key, &number) ||
	    !json_object_is_type(number, json_type_int))
		return value;
	value = json_object_get_int64(number);
	return value < min ? min : value > max ? max : value;
}

/*
 * Has @text only what JSON is made of?  The parser is more generous: it knows
 * other quotes, comments, NaN.
 */
static bool version_is_plain(const char *text)
{
	static const char outside[] = "{}[]:,\"+-.0123456789eEtrufalsn \t\r\n";
	bool in_string = false;

	for (; *text; text++) {
		if (in_string ? (unsigned char)*text < ' '
			      : !strchr(outside, *text))
			return false;
		if (*text == '"')
			in_string = !in_string;
		else if (*text == '\\' && text[1])
			text++;
	}
	return true;
}

/* @text: @len bytes, of which the last is to be the only NUL. */
static int version_parse(const char *text, size_t len,
			 struct json_object **json)
{
	struct json_tokener *tok;

	if (len > VERSION_MAX_JSON_BYTES || strnlen(text, len) != len - 1 ||
	    !version_is_plain(text))
		return -EINVAL;
	tok = json_tokener_new_ex(VERSION_MAX_DEPTH);
	if (!tok)
		return -ENOMEM;
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
	*json = json_tokener_parse_ex(tok, text, (int)len);
	json_tokener_free(tok);
	if (json_object_is_type(*json, json_type_object))
		return 0;
	json_object_put(*json);
	return -EINVAL;
}

static int version_read(struct vfu_session *s, const struct vfu_message *msg)
{
	const char *text = (const char *)msg->payload +
			   sizeof(struct vfu_version);
	size_t len = msg->size - sizeof(struct vfu_version);
	struct json_object *json, *caps;
	int rc;

	if (len == 0)
		return 0;
	rc = version_parse(text, len, &json);
	if (rc < 0)
		return rc;
	if (json_object_object_get_ex(json, "capabilities", &caps)) {
		if (json_object_is_type(caps, json_type_object))
			s->max_fds = (unsigned int)version_number(
				caps, "max_msg_fds", 1, VFU_MAX_MSG_FDS,
				VFU_DEFAULT_MAX_FDS);
		else
			rc = -EINVAL;
	}
	json_object_put(json);
	return rc;
}

static void version_reply(struct vfu_session *s)
{
	struct {
		struct vfu_version version;
		char json[96];
	} reply = { .version = { VFU_VERSION_MAJOR, VFU_VERSION_MINOR } };
	int n;

	n = snprintf(reply.json, sizeof(reply.json),
		     "{\"capabilities\":{\"max_msg_fds\":%u,"
		     "\"max_data_xfer_size\":%u,\"max_dma_maps\":%u}}",
		     VFU_MAX_MSG_FDS, VFU_MAX_XFER_BYTES, VFU_MAX_DMA);
	vfu_reply(s, &reply, sizeof(reply.version) + (size_t)n + 1, -1);
}

int vfu_version(struct vfu_session *s, struct vfu_message *msg)
{
	struct vfu_version version;
	int rc;

	if (s->has_version)
		return vfu_refuse(s, -EINVAL, "it was agreed on before");
	memcpy(&version, msg->payload, sizeof(version));
	if (version.major != VFU_VERSION_MAJOR)
		rc = vfu_refuse(s, -EINVAL, "version %u.%u", version.major,
				version.minor);
	else
		rc = version_read(s, msg);
	if (rc == -EINVAL && version.major == VFU_VERSION_MAJOR)
		vfu_refuse(s, rc, "its capabilities make no sense");
	if (rc < 0) {
		vfu_reply_error(s, rc);
		return VFU_CLOSE;
	}
	s->has_version = true;
	version_reply(s);
	vfu_session_came(s->vfu);
	return VFU_REPLIED;
}
