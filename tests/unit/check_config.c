/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_config.c - keys are read with their type and place, and none is missed
 */
#include "core/config.h"

#include "core/log.h"
#include "tests/check_main.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char message[1024];
static unsigned int nr_messages;
static struct pvio_config_file *file;

static void keep(void *arg, enum pvio_log_level level, const char *text)
{
	(void)arg;
	(void)level;
	nr_messages++;
	snprintf(message, sizeof(message), "%s", text);
}

static char dir[] = "/tmp/check_config.XXXXXX";

static void setup(void)
{
	message[0] = '\0';
	nr_messages = 0;
	file = NULL;
	pvio_log_set(keep, NULL, PVIO_LOG_DEBUG);
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static const char *in_dir(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void teardown(void)
{
	static const char *const names[] = { "a", "b", "c", "fifo" };
	size_t i;

	for (i = 0; i < pvio_array_size(names); i++)
		unlink(in_dir(names[i]));
	rmdir(dir);
	pvio_config_close(file);
	pvio_log_set(NULL, NULL, PVIO_LOG_WARNING);
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(in_dir(name), "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static struct pvio_config *parse(const char *text)
{
	pvio_config_close(file);
	file = NULL;
	ck_assert_int_eq(pvio_config_parse("test", text, &file), 0);
	return pvio_config_root(file);
}

static void refuse(const char *text, const char *expected)
{
	pvio_config_close(file);
	file = NULL;
	message[0] = '\0';
	ck_assert_int_eq(pvio_config_parse("test", text, &file), -EINVAL);
	ck_assert_ptr_null(file);
	if (!strstr(message, expected))
		ck_abort_msg("\"%s\" is not in \"%s\"", expected, message);
}

/* The last message is @expected, and the only one. */
static void expect_error(const char *expected)
{
	ck_assert_str_eq(message, expected);
	ck_assert_uint_eq(nr_messages, 1);
	nr_messages = 0;
}

/* --- values -------------------------------------------------------------- */

START_TEST(values_of_each_type_are_read)
{
	static const char *const words[] = { "file", "memory", NULL };
	struct pvio_config *cfg = parse("s = \"text\";\n b = true; u = 7;\n"
					"l = 5000000000L; h = 0x10;\n"
					"c = \"memory\"; m = "
					"\"52:54:00:Ab:cd:eF\"; z = \"64K\";");
	static const uint8_t expected[6] = { 0x52, 0x54, 0, 0xab, 0xcd, 0xef };
	const char *s = NULL;
	unsigned int c = 9;
	uint64_t u = 0;
	uint8_t mac[6];
	bool b = false;

	ck_assert_int_eq(pvio_config_string(cfg, "s", &s), 0);
	ck_assert_str_eq(s, "text");
	ck_assert_int_eq(pvio_config_bool_opt(cfg, "b", &b), 0);
	ck_assert(b);
	ck_assert_int_eq(pvio_config_uint_opt(cfg, "u", 0, 10, &u), 0);
	ck_assert_uint_eq(u, 7);
	ck_assert_int_eq(pvio_config_uint_opt(cfg, "l", 0, UINT64_MAX, &u), 0);
	ck_assert_uint_eq(u, 5000000000ULL);
	ck_assert_int_eq(pvio_config_uint_opt(cfg, "h", 16, 16, &u), 0);
	ck_assert_uint_eq(u, 16);
	ck_assert_int_eq(pvio_config_choice_opt(cfg, "c", words, &c), 0);
	ck_assert_uint_eq(c, 1);
	ck_assert_int_eq(pvio_config_mac_opt(cfg, "m", mac), 0);
	ck_assert_mem_eq(mac, expected, 6);
	ck_assert_int_eq(pvio_config_size_opt(cfg, "z", 0, UINT64_MAX, &u), 0);
	ck_assert_uint_eq(u, 65536);
	ck_assert_int_eq(pvio_config_size_opt(cfg, "u", 0, 7, &u), 0);
	ck_assert_uint_eq(u, 7);
	ck_assert_int_eq(pvio_config_finish(cfg), 0);
	ck_assert_uint_eq(nr_messages, 0);
}
END_TEST

START_TEST(absent_optional_key_leaves_the_value)
{
	static const char *const words[] = { "x", NULL };
	struct pvio_config *cfg = parse("other = 1;"), *group = cfg;
	const char *s = "before";
	unsigned int c = 3;
	uint64_t u = 42;
	uint8_t mac[6] = { 9 };
	bool b = true;

	ck_assert_int_eq(pvio_config_string_opt(cfg, "k", &s), 0);
	ck_assert_int_eq(pvio_config_bool_opt(cfg, "k", &b), 0);
	ck_assert_int_eq(pvio_config_uint_opt(cfg, "k", 0, 1, &u), 0);
	ck_assert_int_eq(pvio_config_size_opt(cfg, "k", 0, 1, &u), 0);
	ck_assert_int_eq(pvio_config_choice_opt(cfg, "k", words, &c), 0);
	ck_assert_int_eq(pvio_config_mac_opt(cfg, "k", mac), 0);
	ck_assert_int_eq(pvio_config_group_opt(cfg, "k", &group), 0);
	ck_assert_int_eq(pvio_config_list(cfg, "k"), 0);
	ck_assert_int_eq(pvio_config_string_list(cfg, "k"), 0);
	ck_assert_str_eq(s, "before");
	ck_assert(b);
	ck_assert_uint_eq(u, 42);
	ck_assert_uint_eq(c, 3);
	ck_assert_uint_eq(mac[0], 9);
	ck_assert_ptr_null(group);
}
END_TEST

/* C01: each mistake is named with file, line and key */
START_TEST(wrong_type_is_refused_with_its_place)
{
	static const char *const words[] = { "up", "down", NULL };
	struct pvio_config *cfg, *group;
	const char *s = NULL;
	unsigned int c;
	uint64_t u;
	uint8_t mac[6];
	bool b;

	cfg = parse("\n\nn = 5;\nt = \"x\";\nl = (1, 2);\nf = 1.5;\n");
	ck_assert_int_eq(pvio_config_string(cfg, "n", &s), -EINVAL);
	expect_error("test:3: n: must be a string in quotes");
	ck_assert_int_eq(pvio_config_bool_opt(cfg, "n", &b), -EINVAL);
	expect_error("test:3: n: must be true or false");
	ck_assert_int_eq(pvio_config_uint_opt(cfg, "t", 0, 9, &u), -EINVAL);
	expect_error("test:4: t: must be a whole number");
	ck_assert_int_eq(pvio_config_uint_opt(cfg, "f", 0, 9, &u), -EINVAL);
	expect_error("test:6: f: must be a whole number");
	ck_assert_int_eq(pvio_config_size_opt(cfg, "f", 0, 9, &u), -EINVAL);
	expect_error("test:6: f: must be a whole number");
	ck_assert_int_eq(pvio_config_size_opt(cfg, "t", 0, 9, &u), -EINVAL);
	expect_error("test:4: t: \"x\" is not a size such as \"512\", \"64K\" "
		     "or \"10G\"");
	ck_assert_int_eq(pvio_config_choice_opt(cfg, "t", words, &c), -EINVAL);
	expect_error("test:4: t: \"x\" is none of \"up\", \"down\"");
	ck_assert_int_eq(pvio_config_mac_opt(cfg, "n", mac), -EINVAL);
	expect_error("test:3: n: must be a string in quotes");
	ck_assert_int_eq(pvio_config_group(cfg, "n", &group), -EINVAL);
	expect_error("test:3: n: must be a group: { ... }");
	ck_assert_int_eq(pvio_config_list(cfg, "n"), -EINVAL);
	expect_error("test:3: n: must be a list of groups");
	ck_assert_int_eq(pvio_config_list(cfg, "l"), -EINVAL);
	expect_error("test:5: l: element 0: must be a list of groups");
	ck_assert_int_eq(pvio_config_string_list(cfg, "l"), -EINVAL);
	expect_error("test:5: l: element 0: must be a list of strings");
}
END_TEST

START_TEST(missing_key_is_reported_at_its_group)
{
	struct pvio_config *cfg = parse("\ng = {\n x = 1;\n};"), *group;
	const char *s;

	ck_assert_int_eq(pvio_config_group(cfg, "g", &group), 0);
	ck_assert_int_eq(pvio_config_string(group, "path", &s), -EINVAL);
	expect_error("test:2: path: missing");
	ck_assert_int_eq(pvio_config_group(cfg, "h", &group), -EINVAL);
	ck_assert_int_eq(pvio_config_error(group ? group : cfg, NULL, "no %s",
					   "way"), -EINVAL);
}
END_TEST

START_TEST(caller_reports_at_the_place_of_a_key)
{
	struct pvio_config *cfg = parse("a = 1;\nb = 2;\n");

	ck_assert_int_eq(pvio_config_error(cfg, "b", "clashes with %s", "a"),
			 -EINVAL);
	expect_error("test:2: b: clashes with a");
}
END_TEST

/* C02: numbers out of range, negative, too long for the type, floats */
START_TEST(number_out_of_range_is_refused)
{
	struct pvio_config *cfg = parse("a = -1; b = 11; c = 0;\n"
					"d = 9223372036854775807L;");
	uint64_t u = 3;

	ck_assert_int_eq(pvio_config_uint_opt(cfg, "a", 0, 10, &u), -EINVAL);
	expect_error("test:1: a: -1 is not between 0 and 10");
	ck_assert_int_eq(pvio_config_uint_opt(cfg, "b", 1, 10, &u), -EINVAL);
	expect_error("test:1: b: 11 is not between 1 and 10");
	ck_assert_int_eq(pvio_config_uint_opt(cfg, "c", 1, 10, &u), -EINVAL);
	ck_assert_int_eq(pvio_config_size_opt(cfg, "a", 0, UINT64_MAX, &u),
			 -EINVAL);
	ck_assert_uint_eq(u, 3);
	ck_assert_int_eq(pvio_config_uint_opt(cfg, "d", 0, UINT64_MAX, &u), 0);
	ck_assert_uint_eq(u, INT64_MAX);
}
END_TEST

START_TEST(number_that_the_parser_would_cut_is_refused)
{
	refuse("a = 4294967297;", "test:1: number does not fit into 32 bits");
	refuse("\na = 0xffffffff;", "test:2: number does not fit into 32");
	refuse("a = 2147483648;", "32 bits");
	refuse("a = -2147483649;", "32 bits");
	refuse("a = [1, 4294967297];", "32 bits");
	refuse("a = 4294967297b = 1;", "32 bits");
	refuse("a = 9223372036854775808L;", "64 bits");
	refuse("a = 99999999999999999999999999999999999;", "64 bits");
	parse("a = 2147483647; b = -2147483648; c = 4294967297L; d = 1.5e30;"
	      "e = 0xffffffffL; n4294967297 = 1; s = \"4294967297\";"
	      "# 4294967297\n/* 4294967297 */ // 4294967297\n");
}
END_TEST

START_TEST(size_has_units_of_1024)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t bytes;
	} sizes[] = {
		{ "0", 0, 0 },
		{ "512", 0, 512 },
		{ "64K", 0, 65536 },
		{ "3M", 0, 3145728 },
		{ "10G", 0, 10737418240 },
		{ "2T", 0, 2199023255552 },
		{ "1P", 0, 1ULL << 50 },
		{ "15E", 0, 15ULL << 60 },
		{ "16E", -ERANGE, 0 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "99999999999999999999999", -ERANGE, 0 },
		{ "1099511627776G", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "K", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "1KB", -EINVAL, 0 },
		{ "1.5G", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
	};
	size_t i;

	for (i = 0; i < pvio_array_size(sizes); i++) {
		uint64_t bytes = 0;

		ck_assert_int_eq(pvio_parse_size(sizes[i].text, &bytes),
				 sizes[i].rc);
		ck_assert_uint_eq(bytes, sizes[i].bytes);
	}
}
END_TEST

START_TEST(size_out_of_range_is_refused)
{
	struct pvio_config *cfg = parse("a = \"1T\"; b = \"99999999E\";");
	uint64_t u;

	ck_assert_int_eq(pvio_config_size_opt(cfg, "a", 0, 1024, &u), -EINVAL);
	expect_error("test:1: a: \"1T\" is not between 0 and 1024 bytes");
	ck_assert_int_eq(pvio_config_size_opt(cfg, "b", 0, 1024, &u), -EINVAL);
}
END_TEST

START_TEST(mac_that_is_not_one_stations_is_refused)
{
	static const char *const bad[] = {
		"",
		"52:54:00:12:34",
		"52:54:00:12:34:5",
		"52:54:00:12:34:56:",
		"52:54:00:12:34:567",
		"52-54-00-12-34-56",
		"g2:54:00:12:34:56",
		"53:54:00:12:34:56",
		"ff:ff:ff:ff:ff:ff",
		"00:00:00:00:00:00",
	};
	uint8_t mac[6] = { 1 };
	char text[64];
	size_t i;

	for (i = 0; i < pvio_array_size(bad); i++) {
		snprintf(text, sizeof(text), "m = \"%s\";", bad[i]);
		ck_assert_int_eq(pvio_config_mac_opt(parse(text), "m", mac),
				 -EINVAL);
		ck_assert_uint_eq(mac[0], 1);
	}
}
END_TEST

/* --- groups and lists ---------------------------------------------------- */

START_TEST(groups_and_lists_are_read)
{
	struct pvio_config *cfg = parse(
		"g = { x = 1; };\n"
		"l = ( { y = 2; }, { y = 3; } );\n"
		"s = [ \"a\", \"b\" ]; t = ( \"c\" ); e = (); f = [];\n");
	struct pvio_config *group, *again;
	uint64_t u = 0;

	ck_assert_int_eq(pvio_config_group(cfg, "g", &group), 0);
	ck_assert_int_eq(pvio_config_group_opt(cfg, "g", &again), 0);
	ck_assert_ptr_eq(group, again);
	ck_assert_int_eq(pvio_config_uint_opt(group, "x", 0, 9, &u), 0);
	ck_assert_uint_eq(u, 1);
	ck_assert_int_eq(pvio_config_list(cfg, "l"), 2);
	ck_assert_ptr_eq(pvio_config_element(cfg, "l", 0),
			 pvio_config_element(cfg, "l", 0));
	group = pvio_config_element(cfg, "l", 1);
	ck_assert_int_eq(pvio_config_uint_opt(group, "y", 0, 9, &u), 0);
	ck_assert_uint_eq(u, 3);
	ck_assert_ptr_null(pvio_config_element(cfg, "l", 2));
	ck_assert_ptr_null(pvio_config_element(cfg, "none", 0));
	ck_assert_int_eq(pvio_config_string_list(cfg, "s"), 2);
	ck_assert_str_eq(pvio_config_string_element(cfg, "s", 1), "b");
	ck_assert_ptr_null(pvio_config_string_element(cfg, "s", 2));
	ck_assert_int_eq(pvio_config_string_list(cfg, "t"), 1);
	ck_assert_int_eq(pvio_config_list(cfg, "e"), 0);
	ck_assert_int_eq(pvio_config_string_list(cfg, "f"), 0);
	/* y of the first element was not read. */
	ck_assert_int_eq(pvio_config_finish(cfg), -EINVAL);
	expect_error("test:2: y: unknown key");
}
END_TEST

/* C01: a key that nobody reads is a mistake of somebody */
START_TEST(unknown_key_is_refused_wherever_it_is)
{
	struct pvio_config *cfg, *group;
	uint64_t u;

	cfg = parse("\nsise = 1;");
	ck_assert_int_eq(pvio_config_finish(cfg), -EINVAL);
	expect_error("test:2: sise: unknown key");

	cfg = parse("g = {\n h = {\n x = 1;\n y = 2;\n };\n };");
	ck_assert_int_eq(pvio_config_group(cfg, "g", &group), 0);
	ck_assert_int_eq(pvio_config_group(group, "h", &group), 0);
	ck_assert_int_eq(pvio_config_uint_opt(group, "x", 0, 9, &u), 0);
	ck_assert_int_eq(pvio_config_finish(cfg), -EINVAL);
	expect_error("test:4: y: unknown key");

	/* Elements that were counted and never looked at. */
	cfg = parse("l = (\n { x = 1; },\n { x = 2; }\n);");
	ck_assert_int_eq(pvio_config_list(cfg, "l"), 2);
	group = pvio_config_element(cfg, "l", 0);
	ck_assert_int_eq(pvio_config_uint_opt(group, "x", 0, 9, &u), 0);
	ck_assert_int_eq(pvio_config_finish(cfg), -EINVAL);
	expect_error("test:3: element not expected");
}
END_TEST

START_TEST(skipped_group_is_not_finished)
{
	struct pvio_config *cfg =
		parse("g = { x = 1; h = { y = ( { z = 1; } ); }; };");
	struct pvio_config *group;

	ck_assert_int_eq(pvio_config_group(cfg, "g", &group), 0);
	pvio_config_skip(group);
	ck_assert_int_eq(pvio_config_finish(cfg), 0);
	/* And can still be read. */
	ck_assert_int_eq(pvio_config_group(group, "h", &group), 0);
	ck_assert_int_eq(pvio_config_list(group, "y"), 1);
	ck_assert_ptr_nonnull(pvio_config_element(group, "y", 0));
	ck_assert_int_eq(pvio_config_finish(cfg), 0);
}
END_TEST

START_TEST(group_as_text_parses_to_the_same)
{
	static const char text[] =
		"s = \"a\\\"b\\\\c\\n\\x01\xc3\xa9\";\n"
		"i = -5; l = 5000000000L; f = 0.1; w = 2.0; b = false;\n"
		"g = { x = 1; e = { }; };\n"
		"a = [ 1, 2 ]; c = ( 1, \"x\", { y = (); } ); n = [ ];\n";
	char *first, *second;
	const char *s;

	first = pvio_config_text(parse(text));
	ck_assert_ptr_nonnull(first);
	second = pvio_config_text(parse(first));
	ck_assert_str_eq(first, second);
	ck_assert_int_eq(pvio_config_string(pvio_config_root(file), "s", &s),
			 0);
	ck_assert_str_eq(s, "a\"b\\c\n\x01\xc3\xa9");
	ck_assert_ptr_nonnull(strstr(first, "w = 2.0;"));
	free(first);
	free(second);
}
END_TEST

START_TEST(integer_is_set_over_whatever_was_there)
{
	struct pvio_config *cfg = parse("g = { fd = \"x\"; };"), *group;
	uint64_t u = 0;

	ck_assert_int_eq(pvio_config_group(cfg, "g", &group), 0);
	ck_assert_int_eq(pvio_config_set_int(group, "fd", 7), 0);
	ck_assert_int_eq(pvio_config_set_int(group, "fd", 8), 0);
	ck_assert_int_eq(pvio_config_finish(cfg), -EINVAL);
	ck_assert_int_eq(pvio_config_uint_opt(group, "fd", 0, 9, &u), 0);
	ck_assert_uint_eq(u, 8);
	ck_assert_int_eq(pvio_config_finish(cfg), 0);
}
END_TEST

/* --- what is no configuration -------------------------------------------- */

/* C01 */
START_TEST(syntax_error_names_its_line)
{
	refuse("a = 1;\nb = ;\n", "test:2: syntax error");
	refuse("a = 1;\na = 2;\n", "test:2: duplicate setting name");
	refuse("g = { a = 1;\n a = 2; };", "test:2: duplicate setting name");
	refuse("a = \"x", "string does not end");
	refuse("\"", "string does not end");
	refuse("a = 1; /* b", "comment does not end");
	refuse("}", "syntax error");
}
END_TEST

static void nest(char *text, size_t size, const char *open, unsigned int n)
{
	text[0] = '\0';
	while (n--)
		strncat(text, open, size - strlen(text) - 1);
}

/* C03: depth, size, NUL, garbage */
START_TEST(deep_nesting_is_refused_before_it_is_parsed)
{
	static char text[400000];
	unsigned int i;

	nest(text, sizeof(text), "g = { ", 16);
	nest(text + strlen(text), 200, "};", 16);
	parse(text);
	nest(text, sizeof(text), "g = { ", 17);
	nest(text + strlen(text), 200, "};", 17);
	refuse(text, "test:1: nested deeper than 16");
	/* Deep enough to end a recursive parser. */
	for (i = 0; i < 100000; i++)
		memcpy(text + 4 * i, "g={\n", 4);
	text[4 * i - 1] = '\0';
	refuse(text, "test:17: nested deeper than 16");
	memset(text, '(', 100000);
	memcpy(text, "g=", 2);
	text[100000] = '\0';
	refuse(text, "nested deeper than 16");
	/* Braces in strings and comments are none. */
	parse("s = \"{{{{{{{{{{{{{{{{{{{{\\\"{{{{{{{{\"; # ((((((((((((((((((\n"
	      "// [[[[[[[[[[[[[[[[[[[[[[[\n/* {{{{{{{{{{{{{{{{{{{{{{ */");
}
END_TEST

START_TEST(text_over_a_mebibyte_is_refused)
{
	static char text[1024 * 1024 + 2];

	memset(text, ' ', sizeof(text) - 1);
	refuse(text, "longer than 1 MiB");
	text[1024 * 1024] = '\0';
	parse(text);
}
END_TEST

START_TEST(escaped_nul_is_refused)
{
	refuse("a = \"x\\x00y\";", "NUL in a string");
	parse("a = \"\\\\x00\"; b = \"\\x01\";");
}
END_TEST

START_TEST(garbage_is_refused_and_not_printed)
{
	refuse("\xff\xfe\x80 = \x1b[2J;", "test:1:");
	ck_assert_ptr_null(strpbrk(message, "\xff\x1b"));
}
END_TEST

START_TEST(text_includes_nothing)
{
	refuse("@include \"/etc/passwd\"\n", "test:1: @include is for files");
	refuse("\n a = 1; @include \"x\"\n", "test:2: '@' begins nothing");
	refuse("@inc \"x\"\n", "'@' begins nothing");
	parse("s = \"@include\"; # @include \"x\"\n");
}
END_TEST

/* --- files --------------------------------------------------------------- */

static void refuse_file(const char *name, int rc, const char *expected)
{
	message[0] = '\0';
	ck_assert_int_eq(pvio_config_open(in_dir(name), &file), rc);
	ck_assert_ptr_null(file);
	if (!strstr(message, expected))
		ck_abort_msg("\"%s\" is not in \"%s\"", expected, message);
}

START_TEST(file_is_read_and_named_in_errors)
{
	uint64_t u;

	write_file("a", "x = 1;\ny = \"no\";\n");
	ck_assert_int_eq(pvio_config_open(in_dir("a"), &file), 0);
	ck_assert_int_eq(pvio_config_uint_opt(pvio_config_root(file), "y", 0, 1,
					      &u), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message, in_dir("a")));
	ck_assert_ptr_nonnull(strstr(message, ":2: y: must be"));
}
END_TEST

START_TEST(included_file_is_read_and_named_in_errors)
{
	struct pvio_config *cfg;
	uint64_t u = 0;

	write_file("a", "x = 1;\n@include \"b\"\nz = 3;\n");
	write_file("b", "\ny = 2;\n");
	ck_assert_int_eq(pvio_config_open(in_dir("a"), &file), 0);
	cfg = pvio_config_root(file);
	ck_assert_int_eq(pvio_config_uint_opt(cfg, "z", 0, 9, &u), 0);
	ck_assert_uint_eq(u, 3);
	ck_assert_int_eq(pvio_config_uint_opt(cfg, "y", 0, 1, &u), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message, in_dir("b")));
	ck_assert_ptr_nonnull(strstr(message, ":2: y: 2 is not"));
}
END_TEST

/* C03: includes */
START_TEST(circle_of_includes_is_refused)
{
	write_file("a", "@include \"b\"\n");
	write_file("b", "\n@include \"a\"\n");
	refuse_file("a", -EINVAL, "include each other too deep");
}
END_TEST

START_TEST(included_files_obey_the_same_rules)
{
	static char text[600 * 1024];

	write_file("a", "g = { h = { i = {\n@include \"b\"\n}; }; };\n");
	write_file("b", "a = ((((((((((((((1))))))))))))));\n");
	refuse_file("a", -EINVAL, "nested deeper than 16");
	write_file("b", "a = 4294967297;\n");
	refuse_file("a", -EINVAL, "32 bits");
	memset(text, ' ', sizeof(text) - 1);
	write_file("b", text);
	write_file("a", "@include \"b\"\n");
	ck_assert_int_eq(pvio_config_open(in_dir("a"), &file), 0);
	pvio_config_close(file);
	file = NULL;
	write_file("a", "@include \"b\"\n@include \"b\"\n");
	refuse_file("a", -EINVAL, "longer than 1 MiB");
	write_file("a", "@include \"none\"\n");
	refuse_file("a", -ENOENT, "none: No such file");
	write_file("a", "@include \"/etc/passwd\"\n");
	refuse_file("a", -EINVAL, "relative");
}
END_TEST

/* C03, C04 */
START_TEST(what_is_no_configuration_file_is_refused)
{
	FILE *f;

	refuse_file("a", -ENOENT, "No such file");
	ck_assert_int_eq(mkfifo(in_dir("fifo"), 0600), 0);
	refuse_file("fifo", -EINVAL, "not a regular file");
	refuse_file("", -EINVAL, "not a regular file");
	write_file("a", "x = 1;\n");
	ck_assert_int_eq(chmod(in_dir("a"), 0666), 0);
	refuse_file("a", -EINVAL, "anyone may write to it");
	ck_assert_int_eq(chmod(in_dir("a"), 0600), 0);
	ck_assert_int_eq(truncate(in_dir("a"), 10 << 20), 0);
	refuse_file("a", -EINVAL, "longer than 1 MiB");
	f = fopen(in_dir("b"), "w");
	fwrite("x = 1;\0y = 2;", 1, 13, f);
	fclose(f);
	refuse_file("b", -EINVAL, "NUL byte");
}
END_TEST

CHECK_MAIN("config", setup, teardown, values_of_each_type_are_read,
	   absent_optional_key_leaves_the_value,
	   wrong_type_is_refused_with_its_place,
	   missing_key_is_reported_at_its_group,
	   caller_reports_at_the_place_of_a_key, number_out_of_range_is_refused,
	   number_that_the_parser_would_cut_is_refused, size_has_units_of_1024,
	   size_out_of_range_is_refused, mac_that_is_not_one_stations_is_refused,
	   groups_and_lists_are_read, unknown_key_is_refused_wherever_it_is,
	   skipped_group_is_not_finished, group_as_text_parses_to_the_same,
	   integer_is_set_over_whatever_was_there, syntax_error_names_its_line,
	   deep_nesting_is_refused_before_it_is_parsed,
	   text_over_a_mebibyte_is_refused, escaped_nul_is_refused,
	   garbage_is_refused_and_not_printed, text_includes_nothing,
	   file_is_read_and_named_in_errors,
	   included_file_is_read_and_named_in_errors,
	   circle_of_includes_is_refused, included_files_obey_the_same_rules,
	   what_is_no_configuration_file_is_refused)
