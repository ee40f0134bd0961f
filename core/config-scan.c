/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config-scan.c - what a configuration is checked for before libconfig sees it
 *
 * libconfig trusts its input in ways that we do not: it recurses as deep as
 * groups are nested, includes any file, cuts strings at an escaped NUL, and
 * (1.5) takes "4294967297" for 1.  So the text is scanned once, by the same
 * lexical rules - strings, three kinds of comments, @include at the start of a
 * line - for nesting, size, NUL and numbers that do not fit.  What is not
 * lexical is left to libconfig.
 *
 * Includes are followed here first, to the depth that libconfig goes, so an
 * included file is held to the same rules and a circle of them is found.
 */
#include "config-scan.h"

#include "log.h"
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCAN_MAX_DEPTH    16
#define SCAN_MAX_INCLUDES 10 /* nested: libconfig's own limit */

/* What all files of one configuration share. */
struct scan_total {
	const char *dir; /* NULL: no includes */
	size_t bytes;
	unsigned int depth; /* of groups, lists and arrays */
};

struct scan {
	struct scan_total *total;
	const char *name;
	const char *p, *end;
	unsigned int line;
	unsigned int includes; /* how deep */
};

static int scan_error(const struct scan *s, const char *what)
{
	pvio_log(PVIO_LOG_ERROR, "%s:%u: %s", s->name, s->line, what);
	return -EINVAL;
}

/* --- files --------------------------------------------------------------- */

static int load_error(const char *path, int rc, const char *what)
{
	pvio_log(PVIO_LOG_ERROR, "%s: %s", path, what ? what : strerror(-rc));
	return rc;
}

/* Read all of @fd, whose length fstat() said is @size, or until it is more. */
static int load_read(int fd, char *buf, size_t size, size_t *len)
{
	ssize_t n;

	for (*len = 0; *len <= size; *len += (size_t)n) {
		n = read(fd, buf + *len, size + 1 - *len);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n < 0)
			return -errno;
		else if (n == 0)
			return 0;
	}
	return -EINVAL; /* it grew */
}

int pvio_config_load(const char *path, char **text, size_t *len)
{
	struct stat st;
	char *buf = NULL;
	int fd, rc;

	/* A fifo would block us before we could see what it is. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return load_error(path, -errno, NULL);
	if (fstat(fd, &st) < 0) {
		rc = load_error(path, -errno, NULL);
		goto close_fd;
	}
	rc = -EINVAL;
	if (!S_ISREG(st.st_mode)) {
		load_error(path, rc, "not a regular file");
		goto close_fd;
	}
	if (st.st_mode & S_IWOTH) {
		load_error(path, rc, "anyone may write to it");
		goto close_fd;
	}
	if (st.st_size > CONFIG_MAX_BYTES) {
		load_error(path, rc, "longer than 1 MiB");
		goto close_fd;
	}
	buf = malloc((size_t)st.st_size + 2);
	if (!buf) {
		rc = -ENOMEM;
		goto close_fd;
	}
	rc = load_read(fd, buf, (size_t)st.st_size, len);
	if (rc < 0) {
		load_error(path, rc,
			   rc == -EINVAL ? "grew while it was read" : NULL);
		free(buf);
		goto close_fd;
	}
	buf[*len] = '\0';
	*text = buf;
close_fd:
	close(fd);
	return rc;
}

/* --- words of the language ----------------------------------------------- */

static char scan_at(const struct scan *s, size_t i)
{
	return (size_t)(s->end - s->p) > i ? s->p[i] : '\0';
}

static void scan_skip(struct scan *s)
{
	if (*s->p++ == '\n')
		s->line++;
}

static void scan_to_end_of_line(struct scan *s)
{
	while (s->p < s->end && *s->p != '\n')
		s->p++;
}

static int scan_block_comment(struct scan *s)
{
	for (s->p += 2; s->p < s->end; scan_skip(s))
		if (scan_at(s, 0) == '*' && scan_at(s, 1) == '/') {
			s->p += 2;
			return 0;
		}
	return scan_error(s, "comment does not end");
}

static int scan_string(struct scan *s)
{
	s->p++;
	while (s->p < s->end && *s->p != '"') {
		if (*s->p == '\\') {
			if (scan_at(s, 1) == 'x' && scan_at(s, 2) == '0' &&
			    scan_at(s, 3) == '0')
				return scan_error(s, "NUL in a string");
			scan_skip(s);
			if (s->p == s->end)
				break;
		}
		scan_skip(s);
	}
	if (s->p == s->end)
		return scan_error(s, "string does not end");
	s->p++;
	return 0;
}

static void scan_name(struct scan *s)
{
	while (s->p < s->end &&
	       (isalnum((unsigned char)*s->p) || strchr("-_*", *s->p)))
		s->p++;
}

/*
 * A number, or a sign.  An integer without an L behind it has 32 bits in
 * libconfig, one with it 64, and what does not fit is cut off there.  The next
 * word may follow without a blank.
 */
static int scan_number(struct scan *s)
{
	bool is_hex = scan_at(s, 0) == '0' && tolower(scan_at(s, 1)) == 'x';
	long long n;
	char *end;

	errno = 0;
	/* The text ends in a NUL, if nothing else stops this. */
	n = strtoll(s->p, &end, is_hex ? 16 : 10);
	if (end == s->p) {
		s->p++;
		return 0;
	}
	s->p = end;
	if (!is_hex && strchr(".eE", *end) && *end) {
		while (isalnum((unsigned char)*s->p) || *s->p == '.')
			s->p++;
		return 0;
	}
	if (errno == ERANGE)
		return scan_error(s, "number does not fit into 64 bits");
	if (*end != 'L' && (n < INT_MIN || n > INT_MAX))
		return scan_error(
			s, "number does not fit into 32 bits: put an L behind "
			   "it, or write a size as a string such as \"10G\"");
	return 0;
}

/* --- includes ------------------------------------------------------------ */

static int scan_text(struct scan *s);

static int scan_include_file(struct scan *s, const char *file)
{
	struct scan inner = {
		.total = s->total,
		.line = 1,
		.includes = s->includes + 1,
	};
	char path[PATH_MAX], *text;
	size_t len;
	int rc;

	if (inner.includes > SCAN_MAX_INCLUDES)
		return scan_error(s, "files include each other too deep");
	if (*file == '/' || *file == '\0')
		return scan_error(s, "include by a path relative to this file");
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", s->total->dir,
			     file) >= sizeof(path))
		return scan_error(s, "path too long");
	rc = pvio_config_load(path, &text, &len);
	if (rc < 0)
		return rc;
	inner.name = path;
	inner.p = text;
	inner.end = text + len;
	rc = scan_text(&inner);
	free(text);
	return rc;
}

/* At an '@'.  @at_start: nothing but blanks before it in its line. */
static int scan_include(struct scan *s, bool at_start)
{
	static const char word[] = "@include";
	const char *quote;
	char file[PATH_MAX];
	size_t len;

	if (!at_start || (size_t)(s->end - s->p) < strlen(word) ||
	    memcmp(s->p, word, strlen(word)) != 0)
		return scan_error(s, "'@' begins nothing but \"@include\"");
	if (!s->total->dir)
		return scan_error(s, "@include is for files only");
	s->p += strlen(word);
	while (scan_at(s, 0) == ' ' || scan_at(s, 0) == '\t')
		s->p++;
	if (scan_at(s, 0) != '"')
		return scan_error(s, "@include wants a \"file\"");
	s->p++;
	quote = s->p;
	while (s->p < s->end && !strchr("\"\n\\", *s->p))
		s->p++;
	len = (size_t)(s->p - quote);
	if (scan_at(s, 0) != '"' || len >= sizeof(file))
		return scan_error(s, "@include wants a \"file\"");
	s->p++;
	memcpy(file, quote, len);
	file[len] = '\0';
	return scan_include_file(s, file);
}

/* --- the scan ------------------------------------------------------------ */

static int scan_text(struct scan *s)
{
	bool at_start = true, was_start;
	int rc = 0;

	s->total->bytes += (size_t)(s->end - s->p);
	if (s->total->bytes > CONFIG_MAX_BYTES)
		return scan_error(s, "longer than 1 MiB");
	if (memchr(s->p, '\0', (size_t)(s->end - s->p)))
		return scan_error(s, "NUL byte");

	while (rc == 0 && s->p < s->end) {
		char c = *s->p;

		was_start = at_start;
		at_start = c == '\n' || (at_start && (c == ' ' || c == '\t'));
		if (c == '"')
			rc = scan_string(s);
		else if (c == '#' || (c == '/' && scan_at(s, 1) == '/'))
			scan_to_end_of_line(s);
		else if (c == '/' && scan_at(s, 1) == '*')
			rc = scan_block_comment(s);
		else if (c == '@')
			rc = scan_include(s, was_start);
		else if (isalpha((unsigned char)c) || c == '*')
			scan_name(s);
		else if (isdigit((unsigned char)c) || c == '-' || c == '+')
			rc = scan_number(s);
		else {
			if (strchr("({[", c) &&
			    ++s->total->depth > SCAN_MAX_DEPTH)
				return scan_error(s, "nested deeper than 16");
			if (strchr(")}]", c) && s->total->depth > 0)
				s->total->depth--;
			scan_skip(s);
		}
	}
	return rc;
}

int pvio_config_scan(const char *name, const char *text, size_t len,
		     const char *dir)
{
	struct scan_total total = { .dir = dir };
	struct scan s = {
		.total = &total,
		.name = name,
		.p = text,
		.end = text + len,
		.line = 1,
	};

	return scan_text(&s);
}
