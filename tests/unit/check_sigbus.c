/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_sigbus.c - a file that shrinks under its mapping costs the mapping
 *
 * And nothing else: not the process, not other mappings, and not the SIGBUS
 * handler that the embedding program has for faults of its own.
 */
#include "core/memory.h"

#include "tests/check_main.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

static int ram_fd;
static uint8_t *ram; /* the test's view */
static size_t ram_size;

static void setup(void)
{
	ram_size = 16 * PAGE;
	ram_fd = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_ge(ram_fd, 0);
	ck_assert_int_eq(ftruncate(ram_fd, (off_t)ram_size), 0);
	ram = mmap(NULL, ram_size, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd,
		   0);
	ck_assert_ptr_ne(ram, MAP_FAILED);
	memset(ram, 0x5a, ram_size);
}

static void teardown(void)
{
	munmap(ram, ram_size);
	close(ram_fd);
}

static struct pvio_mapping *mapping(uint64_t offset, uint64_t size)
{
	struct pvio_mapping *m;

	ck_assert_int_eq(pvio_mapping_create(ram_fd, offset, size,
					     PROT_READ | PROT_WRITE, &m), 0);
	return m;
}

/* R34: memory that goes away under a device */
START_TEST(truncated_file_is_read_as_zero_and_costs_only_the_mapping)
{
	struct pvio_mapping *m = mapping(8 * PAGE, 4 * PAGE);
	struct pvio_mapping *other = mapping(0, 4 * PAGE);
	struct pvio_region r[] = {
		{ .gpa = 0, .size = 4 * PAGE, .mapping = m },
		{ .gpa = 4 * PAGE, .size = 4 * PAGE, .mapping = other },
	};
	volatile uint8_t *p = pvio_mapping_host(m);
	struct pvio_map *map;

	ck_assert_int_eq(pvio_map_create(r, 2, &map), 0);
	ck_assert_int_eq(ftruncate(ram_fd, (off_t)(9 * PAGE)), 0);
	ck_assert(pvio_mapping_is_lost(m));
	ck_assert(!pvio_map_is_lost(map));

	/* What is left is as it was; what is gone reads zero and is marked. */
	ck_assert_uint_eq(p[PAGE - 1], ram[9 * PAGE - 1]);
	ck_assert_uint_eq(p[2 * PAGE + 5], 0);
	ck_assert(pvio_mapping_has_faulted(m));
	ck_assert(pvio_map_is_lost(map));
	/* Everything behind it goes with it, and can be written. */
	p[4 * PAGE - 1] = 1;
	ck_assert_uint_eq(p[4 * PAGE - 1], 1);
	/* The page between faults by itself. */
	ck_assert_uint_eq(p[PAGE], 0);

	ck_assert(!pvio_mapping_is_lost(other));
	pvio_map_put(map);
	pvio_mapping_put(other);
	pvio_mapping_put(m);
}
END_TEST

START_TEST(hint_goes_when_the_lost_mapping_does)
{
	struct pvio_mapping *m = mapping(4 * PAGE, PAGE);
	struct pvio_map *map;
	struct pvio_region good = { .size = PAGE, .mapping = mapping(0, PAGE) };

	ck_assert_int_eq(pvio_map_create(&good, 1, &map), 0);
	ck_assert(!*map->lost_hint);
	ck_assert_int_eq(ftruncate(ram_fd, (off_t)PAGE), 0);
	*(volatile uint8_t *)pvio_mapping_host(m) = 1;
	ck_assert(*map->lost_hint);
	ck_assert(!pvio_map_is_lost(map));
	pvio_mapping_put(m);
	ck_assert(!*map->lost_hint);
	pvio_map_put(map);
	pvio_mapping_put(good.mapping);
}
END_TEST

START_TEST(sealed_file_is_never_lost)
{
	struct pvio_mapping *m;

	ck_assert_int_eq(fcntl(ram_fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	m = mapping(0, ram_size);
	ck_assert_int_eq(ftruncate(ram_fd, 0), -1);
	ck_assert(!pvio_mapping_is_lost(m));
	pvio_mapping_put(m);
}
END_TEST

static void *touch_lost(void *arg)
{
	struct pvio_mapping *m = arg;
	volatile uint8_t *p = pvio_mapping_host(m);
	uint64_t i, sum = 0;

	for (i = 0; i < pvio_mapping_size(m); i += PAGE)
		sum += p[i];
	return (void *)(uintptr_t)sum;
}

static void *map_and_unmap(void *arg)
{
	bool *stop = arg;

	while (!pvio_load_once(stop)) {
		struct pvio_mapping *a = mapping(0, PAGE);
		struct pvio_mapping *b = mapping(0, PAGE);

		pvio_mapping_put(a);
		pvio_mapping_put(b);
	}
	return NULL;
}

START_TEST(threads_fault_while_others_map)
{
	struct pvio_mapping *m[8];
	pthread_t churn, thread[2];
	bool stop = false;
	void *sum;
	int i, j;

	ck_assert_int_eq(pthread_create(&churn, NULL, map_and_unmap, &stop),
			 0);
	for (i = 0; i < 50; i++) {
		ck_assert_int_eq(ftruncate(ram_fd, (off_t)ram_size), 0);
		for (j = 0; j < 8; j++)
			m[j] = mapping(8 * PAGE, 8 * PAGE);
		ck_assert_int_eq(ftruncate(ram_fd, (off_t)(8 * PAGE)), 0);
		for (j = 0; j < 2; j++)
			pthread_create(&thread[j], NULL, touch_lost, m[j]);
		for (j = 2; j < 8; j++)
			ck_assert_ptr_null(touch_lost(m[j]));
		for (j = 0; j < 2; j++) {
			pthread_join(thread[j], &sum);
			ck_assert_ptr_null(sum);
		}
		for (j = 0; j < 8; j++) {
			ck_assert(pvio_mapping_has_faulted(m[j]));
			pvio_mapping_put(m[j]);
		}
	}
	pvio_store_once(&stop, true);
	pthread_join(churn, NULL);
}
END_TEST

/* A huge page that cannot be had is a fault as well, on a page of its size. */
START_TEST(missing_huge_page_is_replaced_whole)
{
	const size_t huge = 2 << 20;
	struct pvio_mapping *m;
	volatile uint8_t *p;
	int fd, rc;

	fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	if (fd < 0 || ftruncate(fd, (off_t)(2 * huge)) < 0)
		return; /* no such file system here: nothing to see */
	rc = pvio_mapping_create(fd, PAGE, huge, PROT_READ | PROT_WRITE, &m);
	close(fd);
	ck_assert_int_eq(rc, 0);
	/* Should there be pages, it reads zero as well. */
	p = pvio_mapping_host(m);
	ck_assert_uint_eq(p[0], 0);
	ck_assert_uint_eq(p[huge - 1], 0);
	p[huge - PAGE] = 1;
	pvio_mapping_put(m);
}
END_TEST

static sigjmp_buf back;
static void *faulted_at;

static void embedders_handler(int sig, siginfo_t *info, void *context)
{
	(void)context;
	faulted_at = info->si_addr;
	siglongjmp(back, sig);
}

/*
 * In a process of its own: the handler is installed once, with the first
 * mapping, and finds the one that was there.  Returns how the child ended.
 */
static int in_child(void (*fn)(void))
{
	int status;
	pid_t pid;

	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void fault_on_both(void)
{
	struct sigaction sa = { .sa_sigaction = embedders_handler,
				.sa_flags = SA_SIGINFO };
	volatile uint8_t *lost;
	struct pvio_mapping *m;

	sigaction(SIGBUS, &sa, NULL);
	m = mapping(4 * PAGE, PAGE);
	lost = pvio_mapping_host(m);
	if (ftruncate(ram_fd, (off_t)PAGE) < 0)
		_exit(1);
	/* Ours: they do not hear of it. */
	if (sigsetjmp(back, 1) != 0)
		_exit(2);
	if (*lost != 0 || !pvio_mapping_has_faulted(m))
		_exit(3);
	/* Theirs: the test's own mapping of the same file. */
	if (sigsetjmp(back, 1) == 0) {
		*(volatile uint8_t *)(ram + 4 * PAGE) = 1;
		_exit(4);
	}
	if (faulted_at != ram + 4 * PAGE)
		_exit(5);
}

START_TEST(embedding_programs_handler_gets_its_own_faults)
{
	ck_assert_int_eq(in_child(fault_on_both), 0);
}
END_TEST

static void default_with_mapping(void)
{
	signal(SIGBUS, SIG_DFL);
	mapping(0, PAGE);
}

static void fault_on_own(void)
{
	default_with_mapping();
	if (ftruncate(ram_fd, 0) < 0)
		_exit(1);
	*(volatile uint8_t *)ram = 1;
}

static void send_to_self(void)
{
	default_with_mapping();
	kill(getpid(), SIGBUS);
}

START_TEST(signal_that_is_not_ours_still_ends_the_process)
{
	/* One that somebody sent, and then one that is a fault. */
	int status = in_child(send_to_self);

	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGBUS);
	status = in_child(fault_on_own);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGBUS);
}
END_TEST

CHECK_MAIN("sigbus", setup, teardown,
	   /* Children come first: they need the handler not installed. */
	   embedding_programs_handler_gets_its_own_faults,
	   signal_that_is_not_ours_still_ends_the_process,
	   truncated_file_is_read_as_zero_and_costs_only_the_mapping,
	   hint_goes_when_the_lost_mapping_does,
	   missing_huge_page_is_replaced_whole, sealed_file_is_never_lost,
	   threads_fault_while_others_map)
