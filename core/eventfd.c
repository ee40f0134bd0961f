/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * eventfd.c - writes to eventfds that a peer may have made to block
 *
 * Nothing in the kernel writes to an eventfd without waiting, whatever the
 * open file's flags say: its write takes no RWF_NOWAIT, and asking poll() first
 * is a race that the peer can win.  But the wait ends at a signal.  So a thread
 * that writes says so in a slot that the watch looks at:
 *
 *	seq   even ---- odd ---------------- even
 *	            write() begins      write() returned
 *	watch      ^ looks       ^ looks again: odd and the same: signal
 *
 * A signal that comes too late, after the write, finds a handler that does
 * nothing.  The slot costs a write two stores to memory of its own thread.
 */
#include "eventfd.h"

#include "barrier.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WATCH_SLOTS 128 /* threads; those beyond are not watched */

struct watch_slot {
	pid_t tid; /* 0: free; set once */
	uint32_t seq;
} __attribute__((aligned(PVIO_CACHE_LINE_BYTES)));

static struct watch_slot slots[WATCH_SLOTS];
static unsigned int nr_slots; /* handed out; atomic */
static int watch_signal;      /* 0: no watch */

static __thread struct watch_slot *own_slot;
static __thread bool has_no_slot;

static struct watch_slot *watch_enroll(void)
{
	unsigned int i;
	sigset_t set;

	i = __atomic_fetch_add(&nr_slots, 1, __ATOMIC_RELAXED);
	if (i >= WATCH_SLOTS) {
		pvio_store_once(&nr_slots, WATCH_SLOTS);
		has_no_slot = true;
		return NULL;
	}
	sigemptyset(&set);
	sigaddset(&set, watch_signal);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	pvio_store_once(&slots[i].tid, (pid_t)syscall(SYS_gettid));
	own_slot = &slots[i];
	return own_slot;
}

bool pvio_eventfd_is(int fd)
{
	char path[32], name[32];
	struct stat st;
	ssize_t n;

	/* Anonymous inodes have no type. */
	if (fstat(fd, &st) < 0 || (st.st_mode & S_IFMT) != 0)
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, name, sizeof(name) - 1);
	/* In a sandbox without /proc the inode has to be enough. */
	if (n < 0)
		return errno != EBADF;
	name[n] = '\0';
	return strcmp(name, "anon_inode:[eventfd]") == 0;
}

/* The kernel's number of the counter; -1: it does not say. */
static long eventfd_id(int fd)
{
	static const char key[] = "eventfd-id:";
	char path[32], info[512];
	const char *at;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, info, sizeof(info) - 1);
	close(fd);
	if (n < 0)
		return -1;
	info[n] = '\0';
	at = strstr(info, key);
	return at ? strtol(at + sizeof(key) - 1, NULL, 10) : -1;
}

bool pvio_eventfd_is_same(int a, int b)
{
	long id = eventfd_id(a);

	return id >= 0 && id == eventfd_id(b);
}

int pvio_eventfd_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int pvio_eventfd_dup(int fd)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int rc;

	if (own < 0)
		return -errno;
	rc = pvio_eventfd_is(own) ? pvio_eventfd_set_nonblocking(own) : -EINVAL;
	if (rc < 0) {
		close(own);
		return rc;
	}
	return own;
}

int pvio_eventfd_signal(int fd)
{
	static const uint64_t one = 1;
	struct watch_slot *slot = own_slot;
	ssize_t n;

	if (unlikely(!slot && pvio_load_once(&watch_signal) && !has_no_slot))
		slot = watch_enroll();
	if (slot)
		pvio_store_once(&slot->seq, slot->seq + 1);
	n = write(fd, &one, sizeof(one));
	if (slot)
		pvio_store_once(&slot->seq, slot->seq + 1);
	if (likely(n >= 0) || errno == EAGAIN)
		return 0;
	return -errno;
}

static void watch_nothing(int signo)
{
	(void)signo;
}

static void *watch_thread(void *arg)
{
	const struct timespec pause = {
		.tv_nsec = PVIO_EVENTFD_WATCH_MS / 2 * 1000000L,
	};
	uint32_t seen[WATCH_SLOTS] = { 0 };
	unsigned int i;

	(void)arg;
	for (;;) {
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		for (i = 0; i < WATCH_SLOTS; i++) {
			pid_t tid = pvio_load_once(&slots[i].tid);
			uint32_t seq = pvio_load_once(&slots[i].seq);

			if (tid && (seq & 1) && seq == seen[i])
				syscall(SYS_tgkill, getpid(), tid,
					watch_signal);
			seen[i] = seq;
		}
	}
	return NULL;
}

int pvio_eventfd_watch(int signo)
{
	struct sigaction action = { .sa_handler = watch_nothing };
	sigset_t all, before;
	pthread_t thread;
	int rc;

	if (watch_signal)
		return -EBUSY;
	/* Without SA_RESTART: the point is that the write returns. */
	if (sigaction(signo, &action, NULL) < 0)
		return -errno;
	pvio_store_once(&watch_signal, signo);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, NULL, watch_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc) {
		pvio_store_once(&watch_signal, 0);
		return -rc;
	}
	pthread_detach(thread);
	pthread_setname_np(thread, "watch");
	return 0;
}
