/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * unit-fork.c - a process that has nothing of the supervisor but its memory
 *
 * The supervisor is single-threaded, so a child may do what it likes after
 * fork(); only the event base is the parent's, whose epoll it shares until the
 * descriptor is closed, and must not be touched.  Signals are blocked from
 * before the fork until the child has its own handlers: libevent's would write
 * into the parent's pipe.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "unit.h"

static int unit_compare_fds(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void unit_close_others(const struct plan_unit *plan,
			      const struct sockets *sockets,
			      const struct store *store, int keep)
{
	int fds[PLAN_MAX_SOCKETS + STORE_MAX_FDS + 2];
	unsigned int nr = 0, i;
	int next = STDERR_FILENO + 1, fd;

	if (store)
		nr = store_fds(store, fds);
	if (keep >= 0)
		fds[nr++] = keep;
	for (i = 0; sockets && i < plan->nr_sockets; i++) {
		fd = sockets_fd(sockets, plan->sockets[i]->path);
		if (fd >= 0)
			fds[nr++] = fd;
	}
	qsort(fds, nr, sizeof(fds[0]), unit_compare_fds);
	for (i = 0; i < nr; i++) {
		if (fds[i] > next)
			close_range((unsigned)next, (unsigned)fds[i] - 1, 0);
		next = fds[i] + 1;
	}
	close_range((unsigned)next, ~0U, 0);
}

static void unit_reset_signals(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGPIPE };
	unsigned int i;
	int s;

	for (s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	/* From the terminal these go to every process; ours is the parent's. */
	for (i = 0; i < pvio_array_size(ignored); i++)
		signal(ignored[i], SIG_IGN);
}

pid_t unit_fork(const char *name, const struct plan_unit *plan,
		const struct sockets *sockets, const struct store *store,
		int keep)
{
	pid_t supervisor = getpid(), pid;
	sigset_t all, before;
	char title[16];

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid != 0) {
		pid = pid < 0 ? -errno : pid;
		sigprocmask(SIG_SETMASK, &before, NULL);
		return pid;
	}

	/*
	 * Killed with the supervisor, so that the next one finds sockets and
	 * images free; guests lose nothing by it.
	 */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != supervisor)
		_exit(EXIT_FAILURE);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	snprintf(title, sizeof(title), "pviod:%s", name);
	prctl(PR_SET_NAME, title);
	unit_close_others(plan, sockets, store, keep);
	unit_reset_signals();
	sigprocmask(SIG_SETMASK, &before, NULL);
	return 0;
}
