/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * closer.c - closing what a peer sent, where it holds up nobody else
 *
 *	pvio_closer_close()   eventfd, memory file: closed in place
 *	                      others: queued ---> a thread closes them
 *
 * The thread is made when there is something for it and ends when there is
 * not: peers that behave hardly ever see it made.  It has one closer to serve, so
 * whoever sends what does not close waits behind himself.
 *
 * It is not waited for.  A closer that is destroyed belongs to its thread, if
 * there is one.  At the end of the process the kernel lets go of both.
 */
#include "closer.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLOSER_MAX_FDS (PVIO_CLOSER_MAX_PENDING + PVIO_CLOSER_MAX_AT_ONCE)

struct pvio_closer {
	pthread_mutex_t lock; /* of all that follows; held for no close() */
	bool is_owned;        /* not destroyed yet */
	bool has_thread;      /* which closes one that is not in fd[] */
	unsigned int nr;
	int fd[CLOSER_MAX_FDS]; /* owned */
};

/*
 * Does its release wait for nobody?  What is asked here asks no file system:
 * one in user space could take its time.
 */
static bool closer_is_harmless(int fd)
{
	char path[32], name[32];
	ssize_t n;

	/* Only files in memory have seals, or the lack of them. */
	if (fcntl(fd, F_GET_SEALS) >= 0)
		return true;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, name, sizeof(name) - 1);
	if (n < 0)
		return false;
	name[n] = '\0';
	return strcmp(name, "anon_inode:[eventfd]") == 0;
}

static void closer_free(struct pvio_closer *closer)
{
	pthread_mutex_destroy(&closer->lock);
	free(closer);
}

static void *closer_thread(void *arg)
{
	struct pvio_closer *closer = arg;
	bool is_owned;
	int fd;

	pthread_setname_np(pthread_self(), "pvio-closer");
	pthread_mutex_lock(&closer->lock);
	while (closer->nr > 0) {
		fd = closer->fd[--closer->nr];
		pthread_mutex_unlock(&closer->lock);
		close(fd);
		pthread_mutex_lock(&closer->lock);
	}
	closer->has_thread = false;
	is_owned = closer->is_owned;
	pthread_mutex_unlock(&closer->lock);
	if (!is_owned)
		closer_free(closer);
	return NULL;
}

/* Locked.  Without a thread all stays as it is; the next call tries again. */
static void closer_start(struct pvio_closer *closer)
{
	sigset_t all, before;
	pthread_t thread;

	if (closer->has_thread || closer->nr == 0)
		return;
	/* Signals are the program's business, and would end a wait for good. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	closer->has_thread = pthread_create(&thread, NULL, closer_thread,
					    closer) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (closer->has_thread)
		pthread_detach(thread);
}

void pvio_closer_close(struct pvio_closer *closer, int fd)
{
	bool has_room = false;

	if (closer && !closer_is_harmless(fd)) {
		pthread_mutex_lock(&closer->lock);
		has_room = closer->nr < CLOSER_MAX_FDS;
		if (has_room)
			closer->fd[closer->nr++] = fd;
		closer_start(closer);
		pthread_mutex_unlock(&closer->lock);
	}
	/* Who asks pvio_closer_is_full() first always finds room. */
	if (!has_room)
		close(fd);
}

bool pvio_closer_is_full(struct pvio_closer *closer)
{
	bool is_full;

	if (!closer)
		return false;
	pthread_mutex_lock(&closer->lock);
	closer_start(closer);
	is_full = closer->nr + closer->has_thread > PVIO_CLOSER_MAX_PENDING;
	pthread_mutex_unlock(&closer->lock);
	return is_full;
}

int pvio_closer_create(struct pvio_closer **out)
{
	struct pvio_closer *closer;

	closer = calloc(1, sizeof(*closer));
	if (!closer)
		return -ENOMEM;
	pthread_mutex_init(&closer->lock, NULL);
	closer->is_owned = true;
	*out = closer;
	return 0;
}

void pvio_closer_destroy(struct pvio_closer *closer)
{
	bool has_more;

	if (!closer)
		return;
	pthread_mutex_lock(&closer->lock);
	closer_start(closer);
	closer->is_owned = false;
	/* Also what no thread can be made for: rather open than in the way. */
	has_more = closer->has_thread || closer->nr > 0;
	pthread_mutex_unlock(&closer->lock);
	if (!has_more)
		closer_free(closer);
}
