/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store.h - descriptors that are kept while a process is started again
 *
 * A process that serves a window has descriptors of others that it would not be
 * given a second time.  It hands copies to the supervisor, each under a tag; the
 * next process of the same unit is forked with all of them.
 *
 *	supervisor                      process of the unit
 *	store_create
 *	store_begin, fork, store_forked
 *	                                store_take, store_settle
 *	     <----- tag, descriptor --- store_put
 *	                                is killed
 *	store_end
 *	store_begin, fork, store_forked
 *	                                the next one
 *
 * What the process says is not trusted: tags are checked, their number is
 * bounded, and nothing is kept but sockets, eventfds and memory files, which
 * can be closed without waiting for anybody.
 */
#ifndef PVIO_TOOLS_STORE_H
#define PVIO_TOOLS_STORE_H

#define STORE_MAX_FDS   1024
#define STORE_TAG_BYTES 32 /* with its NUL */

struct event_base;
struct store;

/* --- the supervisor's ----------------------------------------------------- */

/* The process has sent what no process of ours sends. */
typedef void store_nonsense_fn(void *arg);

int store_create(struct event_base *base, const char *name,
		 store_nonsense_fn *nonsense, void *arg, struct store **store);
void store_destroy(struct store *store); /* NULL is allowed */

/* A process is about to be forked.  -errno. */
int store_begin(struct store *store);
/* The descriptors that it is to have: what is kept, and its way to us. */
unsigned int store_fds(const struct store *store, int fds[STORE_MAX_FDS + 1]);
/* It was forked, or not. */
void store_forked(struct store *store);
/* Its process is no more: take what it has still sent. */
void store_end(struct store *store);
/* Keep nothing any more. */
void store_clear(struct store *store);

/* --- the process's, with its copy of the supervisor's --------------------- */

/* As struct pvio_window_store has them; @store is a struct store. */
int store_put(void *store, const char *tag, int fd);
int store_take(void *store, const char *tag);
/* What has not been taken is wanted by nobody. */
void store_settle(struct store *store);

#endif
