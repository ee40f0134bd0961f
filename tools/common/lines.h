/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lines.h - lines of text over a stream socket, with a peer nobody trusts
 *
 * The control socket and the links between pviod's processes carry one JSON
 * text a line.  Whoever is at the other end may send garbage, send without
 * end, send a byte a minute, or stop reading: each costs a bounded amount of
 * memory and time, and then the connection.
 *
 * Everything is for the thread of the event base.
 */
#ifndef PVIO_TOOLS_LINES_H
#define PVIO_TOOLS_LINES_H

#include <stddef.h>

struct event_base;
struct lines;

struct lines_limits {
	size_t in_bytes;  /* longest line taken */
	size_t out_bytes; /* most that may wait to be read by the peer */
	unsigned int deadline_ms; /* to finish a line begun, or to read all */
};

/* One line, NUL-terminated, without its newline.  May destroy the lines. */
typedef void lines_line_fn(void *arg, char *line, size_t bytes);
/* The connection is over, and why.  Called once; the owner destroys. */
typedef void lines_end_fn(void *arg, const char *why);

/*
 * Serve @fd, taken on success, with callbacks from @base.  -ENOMEM.
 */
int lines_create(struct event_base *base, int fd,
		 const struct lines_limits *limits, lines_line_fn *on_line,
		 lines_end_fn *on_end, void *arg, struct lines **lines);
/* Close the connection at once.  NULL is allowed. */
void lines_destroy(struct lines *lines);

/* Send @text and a newline.  What does not fit ends the connection, later. */
void lines_send(struct lines *lines, const char *text);

/* Hand over no lines, and read none, until resumed: one request at a time. */
void lines_pause(struct lines *lines);
void lines_resume(struct lines *lines);

#endif
