/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vfio_user_version.c - the first message of a hostile vfio-user client
 */
#include "tests/hostile/vfio-user-hostile.h"
#include "transports/vfio-user/vfio-user.h"

/* --- F02: before VERSION, and after -------------------------------------- */

/* F02: CLOSE. */
START_TEST(first_message_that_is_not_version_closes)
{
	static const uint8_t bytes[64];

	hostile_dial();
	expect_close(guest_vfu_send(&vfu, commands[_i].command, 0, bytes,
				    commands[_i].bytes, NULL, 0));
}
END_TEST

/* F02: CLOSE, also when no answer was wanted. */
START_TEST(first_message_that_is_unknown_closes)
{
	hostile_dial();
	expect_close(guest_vfu_send(&vfu, strangers[_i], VFU_NO_REPLY, NULL, 0,
				    NULL, 0));
}
END_TEST

/* F02: error, and what was agreed on stays. */
START_TEST(second_version_is_refused)
{
	hostile_serving();
	expect_refused(EINVAL, guest_vfu_version(&vfu, NULL));
	expect_refused(EINVAL, guest_vfu_version(&vfu, "{}"));
	hostile_expect_served(0);
}
END_TEST

static int tell_version(uint16_t major, uint16_t minor, const void *json,
			size_t len)
{
	uint8_t bytes[60000];
	struct vfu_version version = { major, minor };

	ck_assert_uint_le(sizeof(version) + len, sizeof(bytes));
	memcpy(bytes, &version, sizeof(version));
	memcpy(bytes + sizeof(version), json, len);
	return guest_vfu_send(&vfu, VFU_VERSION, 0, bytes,
			      sizeof(version) + len, NULL, 0);
}

/* F02: CLOSE, since nothing else can be said. */
START_TEST(other_major_version_closes)
{
	static const uint16_t majors[] = { 1, 2, 0xffff };

	hostile_dial();
	expect_close(tell_version(majors[_i], 0, "{}", 3));
}
END_TEST

/* A client that speaks a later minor version is told ours. */
START_TEST(later_minor_version_is_answered_with_ours)
{
	struct guest_vfu_reply reply;

	hostile_dial();
	expect_ok(tell_version(0, 0xffff, "{}", 3));
	expect_ok(guest_vfu_receive(&vfu, &reply, 5000));
	ck_assert_uint_eq(reply.header.flags, VFU_TYPE_REPLY);
	ck_assert_uint_eq(reply.version.major, 0);
	ck_assert_uint_eq(reply.version.minor, 0);
	expect_alive();
}
END_TEST

/* --- F03: the JSON of VERSION -------------------------------------------- */

#define CAPS(text) "{\"capabilities\":{" text "}}"

/* F03: what makes no sense: CLOSE. */
static const char *const nonsense[] = {
	"",
	" ",
	"{",
	"}",
	"[]",
	"0",
	"null",
	"\"capabilities\"",
	"{\"capabilities\":}",
	"{\"capabilities\":{}",
	"{\"capabilities\":{}}x",
	"{\"capabilities\":[]}",
	"{\"capabilities\":null}",
	"{\"capabilities\":\"\\ud800\"}",
	"{'capabilities':{}}",
	"{\"capabilities\":{},}",
	"{\"capabilities\":{\"a\":1 \"b\":2}}",
	"{\"capabilities\":{\"a\":tru}}",
	"{\"capabilities\":{\"a\":\"\n\"}}",
	"{\"capabilities\":{\"a\":\"\\x\"}}",
	"{\"capabilities\":{\"a\":01}}",
	"{\"capabilities\":{\"a\":-}}",
	"{\"capabilities\":{\"a\":1e}}",
	"{\"capabilities\":{\"a\":.5}}",
	"{\"capabilities\":{\"a\":NaN}}",
	"{\"capabilities\":{\"a\":/**/1}}",
};
#define NR_NONSENSE ((int)pvio_array_size(nonsense))

START_TEST(json_that_makes_no_sense_closes)
{
	hostile_dial();
	expect_close(tell_version(0, 0, nonsense[_i],
				  strlen(nonsense[_i]) + 1));
}
END_TEST

/* F03: what is merely odd is clamped or ignored. */
static const char *const odd[] = {
	CAPS("\"max_msg_fds\":0"),
	CAPS("\"max_msg_fds\":-1"),
	CAPS("\"max_msg_fds\":1.5"),
	CAPS("\"max_msg_fds\":\"8\""),
	CAPS("\"max_msg_fds\":{}"),
	CAPS("\"max_msg_fds\":true"),
	CAPS("\"max_data_xfer_size\":0"),
	CAPS("\"max_data_xfer_size\":-4096"),
	CAPS("\"max_data_xfer_size\":null"),
	CAPS("\"pgsizes\":0"),
	CAPS("\"pgsizes\":-4096"),
	CAPS("\"pgsizes\":[4096]"),
	CAPS("\"max_dma_maps\":-1"),
	"{}",
	" {\t\"capabilities\" :\r\n{ } } ",
	CAPS("\"unknown\":[1,2,{\"a\":\"\\u0000\\\"\"}],\"max_msg_fds\":1"),
	CAPS("\"max_msg_fds\":4294967296"),
	CAPS("\"max_msg_fds\":18446744073709551615"),
	CAPS("\"max_msg_fds\":99999999999999999999999999999999999"),
	CAPS("\"max_msg_fds\":1,\"max_msg_fds\":16"),
	CAPS("\"max_data_xfer_size\":1"),
	CAPS("\"max_data_xfer_size\":18446744073709551615"),
	CAPS("\"pgsizes\":4096,\"pgsizes\":8192"),
	CAPS("\"pgsizes\":9223372036854775808"),
	CAPS("\"max_dma_maps\":1"),
	CAPS("\"twin_socket\":{\"supported\":true,\"fd_index\":0}"),
	CAPS("\"write_multiple\":true,\"migration\":{\"pgsize\":4096}"),
	"{\"capabilities\":{},\"capabilities\":{}}",
	"{\"other\":{\"max_msg_fds\":0}}",
};
#define NR_ODD ((int)pvio_array_size(odd))

START_TEST(json_that_is_odd_is_clamped)
{
	hostile_dial();
	expect_ok(guest_vfu_version(&vfu, odd[_i]));
	ck_assert_uint_ge(vfu.max_fds, 1);
	expect_alive();
}
END_TEST

/* Legal: nothing is said of capabilities. */
START_TEST(version_without_json_is_answered)
{
	struct guest_vfu_reply reply;

	hostile_dial();
	expect_ok(tell_version(0, 0, "", 0));
	expect_ok(guest_vfu_receive(&vfu, &reply, 5000));
	ck_assert_uint_eq(reply.header.flags, VFU_TYPE_REPLY);
	expect_alive();
}
END_TEST

/* F03: no NUL at its end, or one before it: CLOSE. */
START_TEST(json_without_nul_closes)
{
	static const struct {
		const char *json;
		size_t len;
	} texts[] = {
		{ "{}", 2 },
		{ "{\"capabilities\":{}}", 19 },
		{ "{}\0{}", 5 },
		{ "x", 1 },
	};

	hostile_dial();
	expect_close(tell_version(0, 0, texts[_i].json, texts[_i].len));
}
END_TEST

/* F03: deep, and long: CLOSE, in little time and little memory. */
START_TEST(json_that_is_deep_or_long_closes)
{
	static char text[59000];
	static const size_t depths[] = { 9, 100, 2000, 25000 };
	size_t depth = depths[_i % 4], at;

	memset(text, 0, sizeof(text));
	strcpy(text, "{\"capabilities\":{\"a\":");
	at = strlen(text);
	memset(text + at, _i < 4 ? '[' : '{', depth);
	/* All closed again, for objects that cannot be. */
	memset(text + at + depth, _i < 4 ? ']' : '}', depth);
	strcpy(text + at + 2 * depth, "}}");
	hostile_dial();
	expect_close(tell_version(0, 0, text, strlen(text) + 1));
}
END_TEST

START_TEST(json_of_a_megabyte_closes)
{
	struct vfu_header h = header(VFU_VERSION, 0, 16 + (1 << 20));
	static char spaces[4096];
	int i, rc;

	memset(spaces, ' ', sizeof(spaces));
	hostile_dial();
	rc = guest_vfu_send_bytes(&vfu, &h, sizeof(h), NULL, 0);
	for (i = 0; i < 256 && rc == 0; i++)
		rc = guest_vfu_send_bytes(&vfu, spaces, sizeof(spaces), NULL,
					  0);
	expect_close(rc);
}
END_TEST

/*
 * QEMU takes no more than it sent; the shortest of clients is told no more than
 * an empty object.
 */
START_TEST(version_reply_fits_into_what_qemu_sends)
{
	static const char json[] =
		"{\"capabilities\":{\"migration\":{\"pgsize\":4096,"
		"\"max_bitmap_size\":268435456},\"max_msg_fds\":16,"
		"\"max_data_xfer_size\":1048576,\"pgsizes\":4096,"
		"\"max_dma_maps\":65535,\"write_multiple\":true}}";
	struct guest_vfu_reply reply;

	hostile_dial();
	expect_ok(tell_version(0, 0, json, sizeof(json)));
	expect_ok(guest_vfu_receive(&vfu, &reply, 5000));
	ck_assert_uint_le(reply.size, sizeof(struct vfu_version) +
					      sizeof(json));
	ck_assert_uint_eq(reply.bytes[reply.size - 1], 0);
	ck_assert_ptr_null(
		strstr((char *)reply.bytes + 4, "write_multiple\":true"));
}
END_TEST

/* F08: what is silent about it promises 65535. */
START_TEST(version_reply_says_how_many_maps_there_may_be)
{
	struct guest_vfu_reply reply;
	char wanted[32];

	snprintf(wanted, sizeof(wanted), "\"max_dma_maps\":%u", VFU_MAX_DMA);
	hostile_dial();
	expect_ok(tell_version(0, 0, guest_vfu_capabilities,
			       strlen(guest_vfu_capabilities) + 1));
	expect_ok(guest_vfu_receive(&vfu, &reply, 5000));
	ck_assert_ptr_nonnull(strstr((char *)reply.bytes + 4, wanted));
}
END_TEST

int main(void)
{
	const struct hostile_test tests[] = {
		{ first_message_that_is_not_version_closes, NR_COMMANDS },
		{ first_message_that_is_unknown_closes, NR_STRANGERS },
		{ second_version_is_refused, 0 },
		{ other_major_version_closes, 3 },
		{ later_minor_version_is_answered_with_ours, 0 },
		{ json_that_makes_no_sense_closes, NR_NONSENSE },
		{ json_that_is_odd_is_clamped, NR_ODD },
		{ version_without_json_is_answered, 0 },
		{ json_without_nul_closes, 4 },
		{ json_that_is_deep_or_long_closes, 8 },
		{ json_of_a_megabyte_closes, 0 },
		{ version_reply_fits_into_what_qemu_sends, 0 },
		{ version_reply_says_how_many_maps_there_may_be, 0 },
	};

	return hostile_main("vfio_user_version", setup, teardown, tests,
			    pvio_array_size(tests));
}
