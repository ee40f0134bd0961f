/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * util.h - the few words that C lacks
 */
#ifndef PVIO_CORE_UTIL_H
#define PVIO_CORE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define PVIO_CACHE_LINE_BYTES 64

#define pvio_array_size(a) (sizeof(a) / sizeof((a)[0]))
#define pvio_container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define pvio_cold   __attribute__((cold, noinline))
#define pvio_printf(fmt, args) __attribute__((format(printf, fmt, args)))

/* Is [start, start + len) without wrap and inside [0, limit)? */
static inline bool pvio_range_ok(uint64_t start, uint64_t len, uint64_t limit)
{
	return len <= limit && start <= limit - len;
}

static inline uint64_t pvio_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t pvio_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t pvio_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

/*
 * Intrusive doubly linked list; a node that is on no list points at itself.
 */
struct pvio_list {
	struct pvio_list *prev, *next;
};

static inline void pvio_list_init(struct pvio_list *l)
{
	l->prev = l->next = l;
}

static inline bool pvio_list_empty(const struct pvio_list *l)
{
	return l->next == l;
}

static inline void pvio_list_add_tail(struct pvio_list *head,
				      struct pvio_list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void pvio_list_del(struct pvio_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	pvio_list_init(node);
}

#define pvio_list_for_each(pos, head) \
	for ((pos) = (head)->next; (pos) != (head); (pos) = (pos)->next)

#define pvio_list_entry(node, type, member) \
	pvio_container_of(node, type, member)

#endif
