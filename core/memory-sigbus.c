/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory-sigbus.c - surviving files that shrink under a mapping
 *
 * Who holds the fd of a guest's memory can truncate it.  The next access by
 * this process to a page that is gone raises SIGBUS in the thread that made
 * it.  The handler looks the address up in a table of ranges that mappings
 * watch, puts private zero pages over the range from the faulting page to its
 * end, marks the range lost and returns: the access is made again and reads
 * zero.  Whoever uses the mapping finds it lost at the next look and asks for
 * a device reset.
 *
 * The handler may interrupt anything, so the table has no lock that it takes.
 * Entries change under a mutex; each has a sequence number that is odd while
 * it does, and the handler passes over one that is changing: it cannot be the
 * one the faulting thread uses, since that thread holds its mapping.
 *
 * An address that is none of ours, and a SIGBUS that was sent and not caused,
 * go to the handler that was there before us.  A program that installs one of
 * its own later must pass on likewise what is not its own.
 */
#include "memory-sigbus.h"

#include "barrier.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* 8 regions each for 512 guests of one process. */
#define SIGBUS_MAX_RANGES 4096

struct sigbus_range {
	uint32_t sequence; /* odd: changing */
	int prot;
	uintptr_t start; /* 0: free */
	uintptr_t end;
	size_t page;
	bool lost; /* written by the handler */
};

static struct sigbus_range sigbus_range[SIGBUS_MAX_RANGES];
static unsigned int sigbus_nr_used; /* entries from here on are free */
static pthread_mutex_t sigbus_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction sigbus_before;
static bool sigbus_installed;

bool pvio_sigbus_any_lost;

/* --- in the handler: async-signal-safe only ------------------------------ */

/*
 * mmap() by number: the sanitizers' wrappers of the function may take locks.
 */
static bool sigbus_map_zeroes(uintptr_t start, size_t len, int prot)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED |
			  MAP_NORESERVE;
#ifdef SYS_mmap2
	return syscall(SYS_mmap2, start, len, prot, flags, -1, 0) != -1;
#else
	return syscall(SYS_mmap, start, len, prot, flags, -1, 0) != -1;
#endif
}

/* A copy of entry @i that was whole and in use at one moment. */
static bool sigbus_read(unsigned int i, struct sigbus_range *copy)
{
	struct sigbus_range *r = &sigbus_range[i];

	/*
	 * Barrier S1: the sequence is read before the fields, and, by the
	 * fence, again after them.  Pairs with S2 and S3.
	 */
	copy->sequence = pvio_load_acquire(&r->sequence);
	if (copy->sequence & 1)
		return false;
	copy->start = pvio_load_once(&r->start);
	copy->end = pvio_load_once(&r->end);
	copy->page = pvio_load_once(&r->page);
	copy->prot = pvio_load_once(&r->prot);
	pvio_full_fence();
	return pvio_load_once(&r->sequence) == copy->sequence &&
	       copy->start != 0;
}

static bool sigbus_replace(uintptr_t address)
{
	unsigned int i, nr = pvio_load_acquire(&sigbus_nr_used);
	struct sigbus_range r;
	uintptr_t from;

	for (i = 0; i < nr; i++) {
		if (!sigbus_read(i, &r) || address < r.start ||
		    address >= r.end)
			continue;
		from = address & ~(uintptr_t)(r.page - 1);
		if (!sigbus_map_zeroes(from, r.end - from, r.prot))
			return false;
		pvio_store_once(&sigbus_range[i].lost, true);
		/*
		 * Barrier S4: the range is marked before the hint that makes
		 * others look at marks.  Pairs with S5.
		 */
		pvio_full_fence();
		pvio_store_once(&pvio_sigbus_any_lost, true);
		return true;
	}
	return false;
}

/* Do what would have been done without us. */
static void sigbus_pass_on(int sig, siginfo_t *info, void *context)
{
	if (sigbus_before.sa_flags & SA_SIGINFO) {
		sigbus_before.sa_sigaction(sig, info, context);
		return;
	}
	if (sigbus_before.sa_handler == SIG_IGN && info->si_code <= 0)
		return;
	if (sigbus_before.sa_handler != SIG_DFL &&
	    sigbus_before.sa_handler != SIG_IGN) {
		sigbus_before.sa_handler(sig);
		return;
	}
	/* The access is made again, or the signal sent again, and kills. */
	signal(sig, SIG_DFL);
	if (info->si_code <= 0)
		raise(sig);
}

static void sigbus_handler(int sig, siginfo_t *info, void *context)
{
	int saved_errno = errno;

	/* Not for poison found in passing (MCEERR_AO): nothing faulted. */
	if (info->si_code > 0 && info->si_code != BUS_MCEERR_AO &&
	    sigbus_replace((uintptr_t)info->si_addr)) {
		errno = saved_errno;
		return;
	}
	errno = saved_errno;
	sigbus_pass_on(sig, info, context);
}

/* --- the table ----------------------------------------------------------- */

static int sigbus_install(void)
{
	struct sigaction sa = { .sa_sigaction = sigbus_handler };

	if (sigbus_installed)
		return 0;
	if (sigaction(SIGBUS, NULL, &sigbus_before) < 0)
		return -errno;
	/* What their handler could count on, it still can. */
	sa.sa_mask = sigbus_before.sa_mask;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK |
		      (sigbus_before.sa_flags & (SA_NODEFER | SA_RESTART));
	if (sigaction(SIGBUS, &sa, NULL) < 0)
		return -errno;
	sigbus_installed = true;
	return 0;
}

static void sigbus_change(struct sigbus_range *r, uintptr_t start,
			  uintptr_t end, size_t page, int prot)
{
	/*
	 * Barrier S2: the sequence is odd before any field changes.  Pairs
	 * with S1.
	 */
	pvio_store_once(&r->sequence, r->sequence + 1);
	pvio_full_fence();
	pvio_store_once(&r->start, start);
	pvio_store_once(&r->end, end);
	pvio_store_once(&r->page, page);
	pvio_store_once(&r->prot, prot);
	pvio_store_once(&r->lost, false);
	/* Barrier S3: the fields are there before it is even.  Pairs with S1. */
	pvio_store_release(&r->sequence, r->sequence + 1);
}

int pvio_sigbus_watch(void *start, size_t len, size_t page, int prot)
{
	unsigned int i;
	int rc;

	pthread_mutex_lock(&sigbus_lock);
	rc = sigbus_install();
	if (rc < 0)
		goto unlock;
	for (i = 0; i < sigbus_nr_used; i++)
		if (sigbus_range[i].start == 0)
			break;
	if (i == SIGBUS_MAX_RANGES) {
		rc = -ENOSPC;
		goto unlock;
	}
	sigbus_change(&sigbus_range[i], (uintptr_t)start,
		      (uintptr_t)start + len, page, prot);
	if (i == sigbus_nr_used)
		pvio_store_release(&sigbus_nr_used, i + 1);
	rc = (int)i;
unlock:
	pthread_mutex_unlock(&sigbus_lock);
	return rc;
}

void pvio_sigbus_unwatch(int slot)
{
	struct sigbus_range *r = &sigbus_range[slot];
	unsigned int i;

	pthread_mutex_lock(&sigbus_lock);
	sigbus_change(r, 0, 0, 0, 0);
	/*
	 * The hint goes with the last lost range, or every queue of the process
	 * would go on looking for it.  Barrier S5: taken down before the marks
	 * are read, so that one set meanwhile puts it up again.  Pairs with S4.
	 */
	if (pvio_load_once(&pvio_sigbus_any_lost)) {
		pvio_store_once(&pvio_sigbus_any_lost, false);
		pvio_full_fence();
		for (i = 0; i < sigbus_nr_used; i++)
			if (pvio_load_once(&sigbus_range[i].lost))
				pvio_store_once(&pvio_sigbus_any_lost, true);
	}
	pthread_mutex_unlock(&sigbus_lock);
}

bool pvio_sigbus_is_lost(int slot)
{
	return pvio_load_once(&sigbus_range[slot].lost);
}
