/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lines.c - lines of text over a stream socket, with a peer nobody trusts
 *
 * Two events and one timer.  The timer runs while the peer owes us something:
 * the rest of a line it has begun, or the reading of what we sent.  It is set
 * when the debt begins and not when a byte arrives, so trickling does not help.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "lines.h"

#define LINES_READ_BYTES 16384

struct lines {
	struct lines_limits limits;
	lines_line_fn *on_line;
	lines_end_fn *on_end;
	void *arg; /* borrowed, outlives us */
	int fd;    /* owned */
	struct evbuffer *in, *out;
	struct event *readable, *writable, *deadline, *ended;
	const char *why; /* set: over, on_end is called from the loop */
	bool paused;
	bool is_deadline_set;
	bool is_handling; /* in the loop of lines_handle */
	bool *destroyed;  /* set by destroy while a callback runs */
};

static void lines_end(struct lines *l, const char *why)
{
	if (l->why)
		return;
	l->why = why;
	event_del(l->readable);
	event_del(l->writable);
	event_del(l->deadline);
	event_active(l->ended, EV_TIMEOUT, 0);
}

static void lines_on_ended(evutil_socket_t fd, short what, void *arg)
{
	struct lines *l = arg;

	(void)fd;
	(void)what;
	l->on_end(l->arg, l->why);
}

/* Start the peer's clock when it begins to owe something; stop it when not. */
static void lines_set_deadline(struct lines *l)
{
	bool owes = evbuffer_get_length(l->out) > 0 ||
		    (!l->paused && evbuffer_get_length(l->in) > 0);
	struct timeval tv = { l->limits.deadline_ms / 1000,
			      l->limits.deadline_ms % 1000 * 1000 };

	if (owes && !l->is_deadline_set)
		event_add(l->deadline, &tv);
	else if (!owes && l->is_deadline_set)
		event_del(l->deadline);
	l->is_deadline_set = owes;
}

static void lines_on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct lines *l = arg;

	(void)fd;
	(void)what;
	lines_end(l, evbuffer_get_length(l->out) > 0
			     ? "the peer does not read"
			     : "the peer does not finish its line");
}

/* Hand over the lines that are complete.  The owner may destroy us. */
static void lines_handle(struct lines *l)
{
	bool destroyed = false;
	size_t bytes;
	char *line;

	if (l->is_handling)
		return;
	l->is_handling = true;
	l->destroyed = &destroyed;
	while (!l->why && !l->paused) {
		line = evbuffer_readln(l->in, &bytes, EVBUFFER_EOL_LF);
		if (!line) {
			if (evbuffer_get_length(l->in) > l->limits.in_bytes)
				lines_end(l, "a line is too long");
			break;
		}
		/* Each line has its own time. */
		event_del(l->deadline);
		l->is_deadline_set = false;
		if (bytes > l->limits.in_bytes)
			lines_end(l, "a line is too long");
		else
			l->on_line(l->arg, line, bytes);
		free(line);
		if (destroyed)
			return;
	}
	l->destroyed = NULL;
	l->is_handling = false;
	if (!l->why)
		lines_set_deadline(l);
}

static void lines_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct lines *l = arg;
	int got;

	(void)what;
	got = evbuffer_read(l->in, fd, LINES_READ_BYTES);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		lines_end(l, got == 0 ? "closed by the peer" : strerror(errno));
		return;
	}
	lines_handle(l);
}

static void lines_write(struct lines *l)
{
	while (evbuffer_get_length(l->out) > 0) {
		if (evbuffer_write(l->out, l->fd) >= 0)
			continue;
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN)
			event_add(l->writable, NULL);
		else
			lines_end(l, strerror(errno));
		break;
	}
	if (!l->why)
		lines_set_deadline(l);
}

static void lines_on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	lines_write(arg);
}

void lines_send(struct lines *l, const char *text)
{
	if (l->why)
		return;
	if (evbuffer_get_length(l->out) + strlen(text) + 1 >
	    l->limits.out_bytes) {
		lines_end(l, "the peer does not read");
		return;
	}
	if (evbuffer_add(l->out, text, strlen(text)) < 0 ||
	    evbuffer_add(l->out, "\n", 1) < 0) {
		lines_end(l, "out of memory");
		return;
	}
	lines_write(l);
}

void lines_pause(struct lines *l)
{
	l->paused = true;
	if (!l->why)
		event_del(l->readable);
}

void lines_resume(struct lines *l)
{
	if (!l->paused)
		return;
	l->paused = false;
	if (l->why)
		return;
	event_add(l->readable, NULL);
	lines_handle(l);
}

int lines_create(struct event_base *base, int fd,
		 const struct lines_limits *limits, lines_line_fn *on_line,
		 lines_end_fn *on_end, void *arg, struct lines **lines)
{
	struct lines *l;

	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->fd = -1;
	l->limits = *limits;
	l->on_line = on_line;
	l->on_end = on_end;
	l->arg = arg;
	l->in = evbuffer_new();
	l->out = evbuffer_new();
	l->readable = event_new(base, fd, EV_READ | EV_PERSIST,
				lines_on_readable, l);
	l->writable = event_new(base, fd, EV_WRITE, lines_on_writable, l);
	l->deadline = event_new(base, -1, 0, lines_on_deadline, l);
	l->ended = event_new(base, -1, 0, lines_on_ended, l);
	if (!l->in || !l->out || !l->readable || !l->writable || !l->deadline ||
	    !l->ended || evutil_make_socket_nonblocking(fd) < 0 ||
	    event_add(l->readable, NULL) < 0) {
		lines_destroy(l);
		return -ENOMEM;
	}
	l->fd = fd;
	*lines = l;
	return 0;
}

void lines_destroy(struct lines *l)
{
	struct event **events[4];
	unsigned int i;

	if (!l)
		return;
	if (l->destroyed)
		*l->destroyed = true;
	events[0] = &l->readable;
	events[1] = &l->writable;
	events[2] = &l->deadline;
	events[3] = &l->ended;
	for (i = 0; i < 4; i++)
		if (*events[i])
			event_free(*events[i]);
	if (l->in)
		evbuffer_free(l->in);
	if (l->out)
		evbuffer_free(l->out);
	if (l->fd >= 0)
		close(l->fd);
	free(l);
}
