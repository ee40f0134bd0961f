/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus-signal.c - the driver's end of the signal areas (docs/bus-abi.md, 4)
 *
 * A producer of kick queues and the consumer of notify queues, written from
 * the specification: core/signal.h is the other end of both.
 */
#include "bus.h"

#include "core/barrier.h"
#include "core/util.h"
#include "core/worker.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define count_one(counter) __atomic_fetch_add(&(counter), 1, __ATOMIC_RELAXED)

static uint64_t *area_words(const struct guest_bus_area *a)
{
	return (uint64_t *)(a->area + 1);
}

/* --- producer -------------------------------------------------------------- */

/* Section 4, "raise", steps 1 to 4.  True: ring. */
static bool area_raise(struct guest_bus *gb, const struct guest_bus_area *a,
		       unsigned int signal, unsigned int level)
{
	const uint64_t bit = htole64(UINT64_C(1) << signal % 64);
	const uint64_t look = htole64(UINT64_C(1) << signal / 64);
	uint64_t *word = &area_words(a)[level * a->nr_words + signal / 64];

	/* Barrier P: the ring's index is there before its signal. */
	if (pvio_or_ordered(word, bit) & bit &&
	    pvio_load_ordered(&a->area->news[level]) & look) {
		count_one(gb->count.coalesced);
		return false;
	}
	count_one(gb->count.raised);
	/* Barrier Q: the news are there before we look who sleeps. */
	pvio_or_ordered(&a->area->news[level], look);
	return pvio_load_ordered(&a->area->armed) == htole32(1) &&
	       pvio_exchange_ordered(&a->area->armed, 0) == htole32(1);
}

void guest_bus_raise(struct guest_bus *gb, unsigned int index,
		     unsigned int signal, unsigned int level)
{
	const struct guest_bus_area *a;

	a = index < GUEST_BUS_MAX_QUEUES ? &gb->kick[index] : NULL;
	if (!a || !a->area || signal / 64 >= a->nr_words)
		guest_bus_doorbell(gb, PVIO_BUS_DOORBELL_SIGNAL | signal);
	else if (area_raise(gb, a, signal, level))
		guest_bus_doorbell(gb, index);
}

/* --- consumer -------------------------------------------------------------- */

/* By take_lock. */
static void deliver(struct guest_bus *gb, unsigned int signal)
{
	const struct guest_bus_handler *h = NULL;

	if (signal < PVIO_BUS_MAX_SIGNALS)
		h = &gb->handler[signal];
	if (h && h->fn) {
		count_one(gb->count.taken);
		h->fn(h->arg, signal);
	} else {
		count_one(gb->count.unknown);
	}
}

typedef void take_fn(struct guest_bus *gb, unsigned int index,
		     unsigned int signal, unsigned int level);

/* The first level that has news, emptied.  Returns how many signals. */
static unsigned int take_level(struct guest_bus *gb,
			       const struct guest_bus_area *a,
			       unsigned int index, take_fn *fn)
{
	unsigned int level = 0, w, b, nr = 0;
	uint64_t look, bits;

	while (level < PVIO_BUS_LEVELS &&
	       !pvio_load_ordered(&a->area->news[level]))
		level++;
	if (level == PVIO_BUS_LEVELS)
		return 0;
	look = le64toh(pvio_exchange_ordered(&a->area->news[level], 0));
	for (w = 0; w < a->nr_words; w++) {
		if (!(look >> w & 1))
			continue;
		/* Barrier P: the bits before what they are about. */
		bits = le64toh(pvio_exchange_ordered(
			&area_words(a)[level * a->nr_words + w], 0));
		for (b = 0; b < 64; b++) {
			if (!(bits >> b & 1))
				continue;
			fn(gb, index, 64 * w + b, level);
			nr++;
		}
	}
	return nr;
}

static bool area_has_news(const struct guest_bus_area *a)
{
	unsigned int level;

	for (level = 0; level < PVIO_BUS_LEVELS; level++)
		if (pvio_load_ordered(&a->area->news[level]))
			return true;
	return false;
}

/* Section 4, "consume", 1: until nothing is there. */
static unsigned int area_drain(struct guest_bus *gb,
			       const struct guest_bus_area *a,
			       unsigned int index, take_fn *fn)
{
	unsigned int nr = 0;

	while (area_has_news(a))
		nr += take_level(gb, a, index, fn);
	return nr;
}

static void take_deliver(struct guest_bus *gb, unsigned int index,
			 unsigned int signal, unsigned int level)
{
	(void)index;
	(void)level;
	deliver(gb, signal);
}

/* By take_lock. */
static unsigned int area_take(struct guest_bus *gb, unsigned int index)
{
	const struct guest_bus_area *a = &gb->notify[index];
	unsigned int nr = 0;

	if (!a->area)
		return 0;
	for (;;) {
		(void)pvio_exchange_ordered(&a->area->armed, 0);
		nr += area_drain(gb, a, index, take_deliver);
		/* Barrier Q: we say that we sleep before we look for news. */
		(void)pvio_exchange_ordered(&a->area->armed, htole32(1));
		if (!area_has_news(a))
			return nr;
	}
}

unsigned int guest_bus_take(struct guest_bus *gb, unsigned int index)
{
	unsigned int nr;

	pthread_mutex_lock(&gb->take_lock);
	nr = area_take(gb, index);
	pthread_mutex_unlock(&gb->take_lock);
	return nr;
}

void guest_bus_listen(struct guest_bus *gb, unsigned int signal,
		      guest_bus_handler_fn *fn, void *arg)
{
	if (signal >= PVIO_BUS_MAX_SIGNALS)
		return;
	pthread_mutex_lock(&gb->take_lock);
	gb->handler[signal] = (struct guest_bus_handler){ fn, arg };
	pthread_mutex_unlock(&gb->take_lock);
}

/* --- areas ----------------------------------------------------------------- */

static int area_alloc(struct guest_bus *gb, unsigned int nr_words,
		      struct guest_bus_area *a)
{
	a->nr_words = nr_words;
	a->area = guest_alloc(&gb->own,
			      sizeof(*a->area) + sizeof(uint64_t) *
							 PVIO_BUS_LEVELS *
							 nr_words,
			      PVIO_BUS_AREA_ALIGN, &a->gpa);
	return a->area ? 0 : -ENOSPC;
}

static void take_raise(struct guest_bus *gb, unsigned int index,
		       unsigned int signal, unsigned int level)
{
	guest_bus_raise(gb, index, signal, level);
}

int guest_bus_move_area(struct guest_bus *gb, uint32_t direction,
			unsigned int index, unsigned int nr_words)
{
	const bool is_kick = direction == PVIO_BUS_AREA_KICK;
	struct guest_bus_area next = { 0 }, old, *a;
	int rc = 0;

	if (index >= GUEST_BUS_MAX_QUEUES || nr_words > PVIO_BUS_MAX_WORDS)
		return -EINVAL;
	a = is_kick ? &gb->kick[index] : &gb->notify[index];
	pthread_mutex_lock(&gb->take_lock);
	if (nr_words)
		rc = area_alloc(gb, nr_words, &next);
	if (rc == 0)
		rc = guest_bus_set_area(gb, direction, index, next.gpa,
					nr_words);
	if (rc != 0)
		goto unlock;
	old = *a;
	*a = next;
	/* The call is done, so the old one is ours: nobody else looks there. */
	if (old.area)
		(void)area_drain(gb, &old, index,
				 is_kick ? take_raise : take_deliver);
	if (!is_kick)
		(void)area_take(gb, index);
unlock:
	pthread_mutex_unlock(&gb->take_lock);
	return rc;
}

/* --- interrupts ------------------------------------------------------------ */

int guest_bus_lend(struct guest_bus *gb, int fd, guest_bus_handler_fn *fn,
		   void *arg)
{
	unsigned int n;
	int rc = 0;

	pthread_mutex_lock(&gb->take_lock);
	for (n = gb->nr_interrupts; n-- > 0;)
		if (!gb->is_lent[n] && !gb->notify[n].area)
			break;
	if (n >= gb->nr_interrupts)
		rc = -ENOSPC;
	else if (fd >= 0)
		rc = pvio_bus_set_interrupt_fd(gb->bus, n, fd);
	if (rc == 0) {
		gb->is_lent[n] = true;
		gb->interrupt[n] = (struct guest_bus_handler){ fn, arg };
		rc = (int)n;
	}
	pthread_mutex_unlock(&gb->take_lock);
	return rc;
}

void guest_bus_give_back(struct guest_bus *gb, unsigned int number)
{
	uint64_t count;
	ssize_t n;

	pthread_mutex_lock(&gb->take_lock);
	(void)pvio_bus_set_interrupt_fd(
		gb->bus, number,
		gb->by_callback ? -1 : gb->interrupt_fd[number]);
	gb->interrupt[number] = (struct guest_bus_handler){ 0 };
	gb->is_lent[number] = false;
	n = read(gb->interrupt_fd[number], &count, sizeof(count));
	(void)n; /* what came is about nothing any more */
	pthread_mutex_unlock(&gb->take_lock);
}

void guest_bus_interrupt(struct guest_bus *gb, unsigned int number)
{
	if (number < gb->nr_interrupts)
		(void)eventfd_write(gb->interrupt_fd[number], 1);
}

/* What the area has no words for comes without being told: look at all. */
static void deliver_untold(struct guest_bus *gb, unsigned int index)
{
	unsigned int signal = 64 * gb->notify[index].nr_words;

	for (; signal < gb->info.nr_signals; signal++)
		if (gb->handler[signal].fn)
			deliver(gb, signal);
}

/* By take_lock. */
static bool handle(struct guest_bus *gb, unsigned int n)
{
	const struct guest_bus_handler *h = &gb->interrupt[n];
	uint64_t count;

	if (read(gb->interrupt_fd[n], &count, sizeof(count)) <= 0)
		return false;
	__atomic_fetch_add(&gb->count.interrupts, count, __ATOMIC_RELAXED);
	(void)area_take(gb, n);
	if (gb->notify[n].area)
		deliver_untold(gb, n);
	if (h->fn)
		h->fn(h->arg, GUEST_BUS_NO_SIGNAL);
	return true;
}

bool guest_bus_step(struct guest_bus *gb)
{
	bool did = gb->step && pvio_worker_is_mine(gb->step) &&
		   pvio_worker_step(gb->step);
	unsigned int n;

	/* Another waiter is doing it. */
	if (pthread_mutex_trylock(&gb->take_lock) != 0)
		return did;
	for (n = 0; n < gb->nr_interrupts; n++)
		if (gb->notify[n].area || gb->interrupt[n].fn)
			did |= handle(gb, n);
	pthread_mutex_unlock(&gb->take_lock);
	return did;
}
