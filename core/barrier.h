/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * barrier.h - the only memory ordering in pvio
 *
 * Memory shared with a guest, a peer or another thread is touched through
 * these.  Each use of the ordered ones carries a letter and a sentence that
 * says what is ordered before what and where the partner is; guest/ carries
 * the same letters.
 *
 * load_once and store_once order nothing: they make one access, of the type's
 * width, that the compiler neither repeats nor splits.
 */
#ifndef PVIO_CORE_BARRIER_H
#define PVIO_CORE_BARRIER_H

#define pvio_load_once(p)	__atomic_load_n((p), __ATOMIC_RELAXED)
#define pvio_store_once(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELAXED)

/* What follows is not done before this load. */
#define pvio_load_acquire(p)	__atomic_load_n((p), __ATOMIC_ACQUIRE)
/* What precedes is done before this store. */
#define pvio_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

/*
 * Read-modify-writes.  cas: as __atomic_compare_exchange, *expected is what was
 * found when it fails.  or_release: what precedes is done before the bits are
 * set.
 */
#define pvio_cas_release(p, expected, v)                             \
	__atomic_compare_exchange_n((p), (expected), (v), true,      \
				    __ATOMIC_RELEASE, __ATOMIC_RELAXED)
#define pvio_exchange_acquire(p, v) \
	__atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
#define pvio_or_release(p, v) __atomic_fetch_or((p), (v), __ATOMIC_RELEASE)
/* Swap in @v, in order with what precedes and what follows. */
#define pvio_exchange(p, v)	__atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)

/*
 * In one order, the same for all threads, with each other: between two of them
 * there is what pvio_full_fence() is.
 */
#define pvio_load_ordered(p)	__atomic_load_n((p), __ATOMIC_SEQ_CST)
#define pvio_or_ordered(p, v)	__atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define pvio_and_ordered(p, v)	__atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define pvio_store_ordered(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define pvio_exchange_ordered(p, v) \
	__atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)

/* Stores before it are seen by all before loads after it are done. */
#if defined(__SANITIZE_THREAD__)
/*
 * gcc refuses a bare fence under TSan.  A read-modify-write on a private word
 * gives the same order on every CPU we run the sanitizer on.
 */
static inline void pvio_full_fence(void)
{
	static int fence_word;

	__atomic_fetch_add(&fence_word, 1, __ATOMIC_SEQ_CST);
}
#else
static inline void pvio_full_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
#endif

/* A hint to the CPU that we spin. */
static inline void pvio_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

#endif
