/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory-checked.c - the flavour that catches double fetches
 *
 * A byte of metadata that is read twice may have changed in between, and what
 * was checked is not what is used.  Here every metadata read is noted, byte by
 * byte, for the thread that makes it, until its next request begins; a second
 * read of a byte is reported.
 *
 * The notes are a hash table of 64-byte lines with a bit for each byte.  An
 * entry belongs to a request by its number, so beginning a request is adding
 * one.  For tests only: it allocates.
 */
#include "memory.h"

#ifdef PVIO_MEMORY_CHECKED

#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE_SHIFT 6
#define FIRST_SIZE 1024 /* entries; a power of two */

struct checked_line {
	uint64_t request; /* 0: never used */
	uintptr_t line;
	uint64_t bytes; /* a bit each */
	void *caller;   /* who read of it last */
};

struct checked_thread {
	uint64_t request;
	size_t size, used; /* of this request */
	struct checked_line *lines;
};

static pthread_key_t checked_key;
static pthread_once_t checked_once = PTHREAD_ONCE_INIT;
static __thread struct checked_thread *checked_self;

static void checked_free(void *arg)
{
	struct checked_thread *t = arg;

	free(t->lines);
	free(t);
}

static void checked_init(void)
{
	if (pthread_key_create(&checked_key, checked_free) != 0)
		abort();
}

static void *checked_alloc(size_t nr, size_t size)
{
	void *p = calloc(nr, size);

	if (!p)
		abort();
	return p;
}

static struct checked_thread *checked_get(void)
{
	struct checked_thread *t = checked_self;

	if (t)
		return t;
	pthread_once(&checked_once, checked_init);
	t = checked_alloc(1, sizeof(*t));
	t->request = 1;
	t->size = FIRST_SIZE;
	t->lines = checked_alloc(t->size, sizeof(*t->lines));
	pthread_setspecific(checked_key, t);
	checked_self = t;
	return t;
}

/* The entry of @line in this request, or a free one. */
static struct checked_line *checked_find(struct checked_thread *t,
					 uintptr_t line)
{
	size_t i = (line * 0x9e3779b97f4a7c15ULL >> 32) & (t->size - 1);

	while (t->lines[i].request == t->request && t->lines[i].line != line)
		i = (i + 1) & (t->size - 1);
	return &t->lines[i];
}

static void checked_grow(struct checked_thread *t)
{
	struct checked_line *old = t->lines;
	size_t i, old_size = t->size;

	t->size = old_size * 2;
	t->lines = checked_alloc(t->size, sizeof(*t->lines));
	for (i = 0; i < old_size; i++)
		if (old[i].request == t->request)
			*checked_find(t, old[i].line) = old[i];
	free(old);
}

static void checked_report(const void *p, size_t len)
{
	void *frame[32];
	int nr = backtrace(frame, 32);

	fprintf(stderr,
		"guest memory %p: %zu bytes of metadata read twice in "
		"one request.  Second time:\n",
		p, len);
	backtrace_symbols_fd(frame, nr, STDERR_FILENO);
	abort();
}

void (*pvio_memory_double_fetch)(const void *p, size_t len) = checked_report;

void pvio_memory_request_begin(void)
{
	struct checked_thread *t = checked_get();

	t->request++;
	t->used = 0;
}

void pvio_memory_note_fetch(const void *p, size_t len)
{
	void *caller = __builtin_return_address(0);
	struct checked_thread *t = checked_get();
	uintptr_t at = (uintptr_t)p, end = at + len;
	bool twice = false;

	while (at < end) {
		uintptr_t line = at >> LINE_SHIFT;
		uintptr_t line_end = (line + 1) << LINE_SHIFT;
		unsigned int from = at & 63, nr;
		struct checked_line *l;
		uint64_t bytes;

		nr = (unsigned int)(pvio_min(end, line_end) - at);
		bytes = (nr == 64 ? ~0ULL : (1ULL << nr) - 1) << from;
		if (t->used * 2 >= t->size)
			checked_grow(t);
		l = checked_find(t, line);
		if (l->request != t->request) {
			*l = (struct checked_line){ t->request, line, 0, NULL };
			t->used++;
		}
		if ((l->bytes & bytes) && !twice) {
			twice = true;
			if (pvio_memory_double_fetch == checked_report)
				backtrace_symbols_fd(&l->caller, 1,
						     STDERR_FILENO);
			pvio_memory_double_fetch(p, len);
		}
		l->bytes |= bytes;
		l->caller = caller;
		at += nr;
	}
}

#endif
