/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_msix.c - MSI-X: the table as a driver sees it, and no message lost
 *
 * The host is a fake: it writes down what it is told.
 */
#include "tests/check_main.h"

#include "core/barrier.h"
#include "core/eventfd.h"
#include "core/util.h"
#include "transports/pci/msix.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NR_VECTORS 70 /* more than one word of pending bits */
#define CONTROL    12 /* of a table entry */

static struct pvio_msix msix;
static struct host {
	unsigned int messages; /* atomic */
	unsigned int vector;
	uint64_t address;
	uint32_t data;
	unsigned int torn; /* address and data of different writes; atomic */
	bool is_closed;    /* atomic: a message now is one too late */
	unsigned int late; /* atomic */
	unsigned int changes;
	unsigned int changed;
	struct pvio_pci_vector now;
	unsigned int messages_at_change;
	int fd; /* readable when it must not be */
	bool was_early;
} host;
static void *host_arg = &host;

static void on_msix(void *arg, unsigned int vector, uint64_t address,
		    uint32_t data)
{
	struct host *h = arg;

	/* Long enough for what must wait for us to show that it does not. */
	sched_yield();
	h->vector = vector;
	h->address = address;
	h->data = data;
	if (data != (uint32_t)(address >> 32))
		pvio_store_once(&h->torn, 1);
	if (pvio_load_once(&h->is_closed))
		pvio_store_once(&h->late, 1);
	__atomic_fetch_add(&h->messages, 1, __ATOMIC_RELAXED);
}

static bool fd_take(int fd, uint64_t *count)
{
	return read(fd, count, 8) == 8;
}

static void on_changed(void *arg, unsigned int vector,
		       const struct pvio_pci_vector *now)
{
	struct host *h = arg;
	uint64_t count;

	h->changes++;
	h->changed = vector;
	h->now = *now;
	h->messages_at_change = pvio_load_once(&h->messages);
	if (h->fd >= 0 && fd_take(h->fd, &count))
		h->was_early = true;
}

static const struct pvio_pci_host callbacks = {
	.msix = on_msix,
	.msix_changed = on_changed,
};
static const struct pvio_pci_host deaf;

static void setup(void)
{
	memset(&host, 0, sizeof(host));
	host.fd = -1;
	ck_assert_int_eq(
		pvio_msix_init(&msix, NR_VECTORS, &callbacks, &host_arg), 0);
}

static void teardown(void)
{
	pvio_msix_fini(&msix);
}

static void write32(uint64_t offset, uint32_t value)
{
	value = htole32(value);
	pvio_msix_write(&msix, offset, &value, 4);
}

static uint32_t read32(uint64_t offset)
{
	uint32_t value;

	pvio_msix_read(&msix, offset, &value, 4);
	return le32toh(value);
}

/* What a driver does to use @vector. */
static void set_up(unsigned int vector, uint64_t address, uint32_t data)
{
	write32(vector * 16, (uint32_t)address);
	write32(vector * 16 + 4, (uint32_t)(address >> 32));
	write32(vector * 16 + 8, data);
	write32(vector * 16 + CONTROL, 0);
}

static bool is_pending(unsigned int vector)
{
	uint32_t word = read32(PVIO_MSIX_PBA_OFFSET + vector / 32 * 4);

	return word >> vector % 32 & 1;
}

/* --- table ---------------------------------------------------------------- */

START_TEST(table_reads_back_what_was_written)
{
	uint64_t qword = htole64(0x1122334455667788);

	set_up(3, 0x12345678fee00000, 0x4321);
	ck_assert_uint_eq(read32(0x30), 0xfee00000);
	ck_assert_uint_eq(read32(0x34), 0x12345678);
	ck_assert_uint_eq(read32(0x38), 0x4321);
	ck_assert_uint_eq(read32(0x3c), 0);
	pvio_msix_write(&msix, 0x30, &qword, 8);
	ck_assert_uint_eq(read32(0x30), 0x55667788);
	ck_assert_uint_eq(read32(0x34), 0x11223344);
	qword = 0;
	pvio_msix_read(&msix, 0x30, &qword, 8);
	ck_assert(le64toh(qword) == 0x1122334455667788);
	/* Of vector control there is one bit. */
	qword = htole64(0xffffffff00000007);
	pvio_msix_write(&msix, 0x38, &qword, 8);
	ck_assert_uint_eq(read32(0x38), 7);
	ck_assert_uint_eq(read32(0x3c), 1);
}
END_TEST

START_TEST(after_reset_all_is_masked)
{
	unsigned int i;

	for (i = 0; i < NR_VECTORS; i++)
		ck_assert_uint_eq(read32(i * 16 + CONTROL), 1);
	ck_assert(pvio_msix_bar_size(&msix) == 0x10000);
}
END_TEST

START_TEST(V07_table_takes_aligned_4_and_8_bytes_only)
{
	static const struct {
		uint64_t offset;
		size_t len;
	} bad[] = {
		{ 0, 1 },
		{ 0, 2 },
		{ 0, 3 },
		{ 0, 5 },
		{ 0, 16 },
		{ 2, 4 },
		{ 4, 8 },
		{ 1, 8 },
		{ 0, 0 },
		{ NR_VECTORS * 16, 4 },
		{ NR_VECTORS * 16, 8 },
		{ 0x7ff8, 8 },
		{ 0xfffc, 8 },
		{ 0x10000, 4 },
		{ UINT64_MAX - 3, 4 },
		{ UINT64_MAX - 7, 8 },
	};
	uint8_t buf[17], ones[17];
	size_t i;

	memset(ones, 0xff, sizeof(ones));
	for (i = 0; i < pvio_array_size(bad); i++) {
		memset(buf, 0x5a, sizeof(buf));
		pvio_msix_read(&msix, bad[i].offset, buf, bad[i].len);
		ck_assert_mem_eq(buf, ones, bad[i].len);
		ck_assert_uint_eq(buf[bad[i].len], 0x5a);
		pvio_msix_write(&msix, bad[i].offset, ones, bad[i].len);
	}
	/* None of it left a trace. */
	ck_assert_uint_eq(read32(0), 0);
	ck_assert_uint_eq(read32(4), 0);
	ck_assert_uint_eq(read32(8), 0);
	ck_assert_uint_eq(host.changes, 0);
}
END_TEST

START_TEST(V07_pending_bits_are_not_written)
{
	uint8_t ones[8];

	memset(ones, 0xff, sizeof(ones));
	pvio_msix_write(&msix, PVIO_MSIX_PBA_OFFSET, ones, 4);
	pvio_msix_write(&msix, PVIO_MSIX_PBA_OFFSET, ones, 8);
	ck_assert_uint_eq(read32(PVIO_MSIX_PBA_OFFSET), 0);
	/* 70 vectors: two 64-bit words, and then nothing. */
	ck_assert_uint_eq(read32(PVIO_MSIX_PBA_OFFSET + 12), 0);
	ck_assert_uint_eq(read32(PVIO_MSIX_PBA_OFFSET + 16), UINT32_MAX);
	ck_assert_uint_eq(read32(0xfffc), UINT32_MAX);
}
END_TEST

START_TEST(function_without_vectors_has_no_table)
{
	struct pvio_msix none;
	uint32_t value = 0;

	ck_assert_int_eq(pvio_msix_init(&none, 2049, &callbacks, &host_arg),
			 -EINVAL);
	ck_assert_int_eq(pvio_msix_init(&none, 0, &callbacks, &host_arg), 0);
	ck_assert(pvio_msix_bar_size(&none) == 0);
	pvio_msix_read(&none, 0, &value, 4);
	ck_assert_uint_eq(value, UINT32_MAX);
	pvio_msix_write(&none, 0, &value, 4);
	pvio_msix_fire(&none, 0);
	ck_assert_int_eq(pvio_msix_set_fd(&none, 0, -1), -EINVAL);
	pvio_msix_fini(&none);
}
END_TEST

START_TEST(all_2048_vectors_fit_below_the_pending_bits)
{
	struct pvio_msix most;
	uint32_t value = htole32(5);

	ck_assert_int_eq(pvio_msix_init(&most, PVIO_MSIX_MAX_VECTORS,
					&callbacks, &host_arg),
			 0);
	pvio_msix_write(&most, 2047 * 16 + 8, &value, 4);
	pvio_msix_fire(&most, 2047);
	pvio_msix_read(&most, PVIO_MSIX_PBA_OFFSET + 252, &value, 4);
	ck_assert_uint_eq(le32toh(value), 0x80000000);
	pvio_msix_fini(&most);
}
END_TEST

/* --- delivery ------------------------------------------------------------- */

START_TEST(message_says_what_the_entry_says)
{
	pvio_msix_control(&msix, true, false);
	set_up(2, 0x00000007fee01000, 7);
	pvio_msix_fire(&msix, 2);
	ck_assert_uint_eq(host.messages, 1);
	ck_assert_uint_eq(host.vector, 2);
	ck_assert(host.address == 0x00000007fee01000);
	ck_assert_uint_eq(host.data, 7);
	ck_assert(pvio_msix_fired(&msix) == 1);
}
END_TEST

START_TEST(vector_that_does_not_exist_is_silent)
{
	pvio_msix_control(&msix, true, false);
	pvio_msix_fire(&msix, NR_VECTORS);
	pvio_msix_fire(&msix, 0xffff);
	ck_assert_uint_eq(host.messages, 0);
}
END_TEST

START_TEST(masked_vector_pends_and_fires_when_unmasked)
{
	pvio_msix_control(&msix, true, false);
	set_up(65, 0xfee00000, 0);
	write32(65 * 16 + CONTROL, 1);
	pvio_msix_fire(&msix, 65);
	pvio_msix_fire(&msix, 65);
	ck_assert_uint_eq(host.messages, 0);
	ck_assert(is_pending(65));
	ck_assert(!is_pending(64));
	/* However often it was fired, once. */
	write32(65 * 16 + CONTROL, 0);
	ck_assert_uint_eq(host.messages, 1);
	ck_assert(!is_pending(65));
}
END_TEST

START_TEST(masked_function_pends_and_fires_when_unmasked)
{
	pvio_msix_control(&msix, true, true);
	set_up(0, 0xfee00000, 0);
	set_up(1, 0xfee00000, 0);
	pvio_msix_fire(&msix, 0);
	pvio_msix_fire(&msix, 1);
	pvio_msix_fire(&msix, 2);
	ck_assert_uint_eq(host.messages, 0);
	ck_assert_uint_eq(read32(PVIO_MSIX_PBA_OFFSET), 7);
	/* The last is masked by itself, too. */
	pvio_msix_control(&msix, true, false);
	ck_assert_uint_eq(host.messages, 2);
	ck_assert_uint_eq(read32(PVIO_MSIX_PBA_OFFSET), 4);
}
END_TEST

START_TEST(what_is_fired_while_off_fires_when_enabled)
{
	set_up(0, 0xfee00000, 0);
	pvio_msix_fire(&msix, 0);
	ck_assert_uint_eq(host.messages, 0);
	pvio_msix_control(&msix, true, false);
	ck_assert_uint_eq(host.messages, 1);
	pvio_msix_control(&msix, false, false);
	pvio_msix_fire(&msix, 0);
	ck_assert_uint_eq(host.messages, 1);
}
END_TEST

START_TEST(what_nobody_takes_pends)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t count;

	msix.host = &deaf;
	pvio_msix_control(&msix, true, false);
	set_up(0, 0xfee00000, 0);
	pvio_msix_fire(&msix, 0);
	ck_assert(is_pending(0));
	ck_assert_int_eq(pvio_msix_set_fd(&msix, 0, fd), 0);
	ck_assert(fd_take(fd, &count));
	ck_assert(!is_pending(0));
	close(fd);
}
END_TEST

/* --- what the host hears ------------------------------------------------- */

START_TEST(host_hears_of_each_change_and_of_nothing_else)
{
	struct pvio_pci_vector now;

	pvio_msix_control(&msix, true, false);
	ck_assert_uint_eq(host.changes, 0);
	write32(0x10, 0xfee00000);
	ck_assert_uint_eq(host.changes, 1);
	ck_assert_uint_eq(host.changed, 1);
	ck_assert(host.now.is_masked);
	write32(0x10, 0xfee00000);
	write32(0x14, 0);
	ck_assert_uint_eq(host.changes, 1);
	write32(0x1c, 0);
	ck_assert_uint_eq(host.changes, 2);
	ck_assert(!host.now.is_masked);
	pvio_msix_control(&msix, true, true);
	ck_assert_uint_eq(host.changes, 3);
	ck_assert(host.now.is_masked);
	/* Masked twice over: the vector's own bit changes nothing now. */
	write32(0x1c, 1);
	write32(0x1c, 0);
	ck_assert_uint_eq(host.changes, 3);
	pvio_msix_get(&msix, 1, &now);
	ck_assert(now.is_masked && now.address == 0xfee00000);
	pvio_msix_control(&msix, true, false);
	ck_assert_uint_eq(host.changes, 4);
	pvio_msix_get(&msix, 1, &now);
	ck_assert(!now.is_masked);
}
END_TEST

START_TEST(host_hears_of_a_route_before_a_message_takes_it)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t count;

	ck_assert_int_eq(pvio_msix_set_fd(&msix, 0, fd), 0);
	host.fd = fd;
	pvio_msix_control(&msix, true, false);
	pvio_msix_fire(&msix, 0);
	write32(CONTROL, 0); /* delivers */
	ck_assert(fd_take(fd, &count));
	pvio_msix_control(&msix, true, true);
	pvio_msix_fire(&msix, 0);
	pvio_msix_control(&msix, true, false); /* delivers */
	ck_assert(fd_take(fd, &count));
	ck_assert(!host.was_early);
	ck_assert_uint_eq(host.changes, 3);
	close(fd);
}
END_TEST

START_TEST(reset_forgets_all_but_the_eventfds)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t count;

	ck_assert_int_eq(pvio_msix_set_fd(&msix, 1, fd), 0);
	pvio_msix_control(&msix, true, false);
	set_up(0, 0xfee00000, 0);
	set_up(1, 0xfee00000, 1);
	pvio_msix_fire(&msix, 2);
	host.changes = 0;
	pvio_msix_reset(&msix);
	ck_assert_uint_ge(host.changes, 2);
	ck_assert(host.now.is_masked && host.now.address == 0);
	ck_assert(!msix.is_enabled);
	ck_assert_uint_eq(read32(0x10), 0);
	ck_assert_uint_eq(read32(0x18), 0);
	ck_assert_uint_eq(read32(0x1c), 1);
	ck_assert(!is_pending(2));

	pvio_msix_control(&msix, true, false);
	set_up(1, 0xfee00000, 1);
	pvio_msix_fire(&msix, 1);
	ck_assert(fd_take(fd, &count));
	ck_assert_uint_eq(host.messages, 0);
	close(fd);
}
END_TEST

/* --- eventfds ------------------------------------------------------------ */

START_TEST(vector_with_an_eventfd_calls_nobody)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t count;

	pvio_msix_control(&msix, true, false);
	set_up(0, 0xfee00000, 0);
	ck_assert_int_eq(pvio_msix_set_fd(&msix, 0, fd), 0);
	pvio_msix_fire(&msix, 0);
	ck_assert(fd_take(fd, &count));
	ck_assert_uint_eq(host.messages, 0);
	/* Taken away, the callback is good again. */
	ck_assert_int_eq(pvio_msix_set_fd(&msix, 0, -1), 0);
	pvio_msix_fire(&msix, 0);
	ck_assert(!fd_take(fd, &count));
	ck_assert_uint_eq(host.messages, 1);
	close(fd);
}
END_TEST

START_TEST(what_is_no_eventfd_is_refused)
{
	int pipes[2], fd = eventfd(0, EFD_NONBLOCK);
	uint64_t count;

	pvio_msix_control(&msix, true, false);
	set_up(0, 0xfee00000, 0);
	ck_assert_int_eq(pvio_msix_set_fd(&msix, 0, fd), 0);
	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(pvio_msix_set_fd(&msix, 0, pipes[1]), -EINVAL);
	ck_assert_int_eq(pvio_msix_set_fd(&msix, NR_VECTORS, fd), -EINVAL);
	/* And the one before stays. */
	pvio_msix_fire(&msix, 0);
	ck_assert(fd_take(fd, &count));
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
}
END_TEST

START_TEST(eventfd_that_blocks_is_let_go)
{
	const uint64_t most = UINT64_MAX - 1;
	int fd = eventfd(0, EFD_NONBLOCK), rc;
	uint64_t count;

	/* One watch a process: without fork the tests share it. */
	rc = pvio_eventfd_watch(SIGURG);
	ck_assert(rc == 0 || rc == -EBUSY);
	pvio_msix_control(&msix, true, false);
	set_up(0, 0xfee00000, 0);
	msix.host = &deaf;
	ck_assert_int_eq(pvio_msix_set_fd(&msix, 0, fd), 0);
	ck_assert_int_eq(write(fd, &most, 8), 8);
	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);

	pvio_msix_fire(&msix, 0);
	ck_assert(is_pending(0));
	ck_assert(fd_take(fd, &count));
	pvio_msix_fire(&msix, 0); /* writes there no more */
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	ck_assert(!fd_take(fd, &count));
	/* A good one gets what is owed. */
	ck_assert_int_eq(pvio_msix_set_fd(&msix, 0, fd), 0);
	ck_assert(fd_take(fd, &count));
	close(fd);
}
END_TEST

START_TEST(with_the_mask_elsewhere_a_missing_eventfd_is_the_mask)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct pvio_pci_vector now;
	uint64_t count;

	msix.is_external = true;
	pvio_msix_control(&msix, true, false);
	pvio_msix_fire(&msix, 0);
	ck_assert(is_pending(0));
	pvio_msix_get(&msix, 0, &now);
	ck_assert(now.is_masked);
	ck_assert_int_eq(pvio_msix_set_fd(&msix, 0, fd), 0);
	ck_assert(fd_take(fd, &count));
	ck_assert(!is_pending(0));
	/* Our own table says masked, and is not asked. */
	pvio_msix_fire(&msix, 0);
	ck_assert(fd_take(fd, &count));
	pvio_msix_get(&msix, 0, &now);
	ck_assert(!now.is_masked);
	ck_assert_int_eq(pvio_msix_set_fd(&msix, 0, -1), 0);
	pvio_msix_fire(&msix, 0);
	ck_assert(is_pending(0));
	ck_assert(!fd_take(fd, &count));
	ck_assert_uint_eq(host.messages + host.changes, 0);
	close(fd);
}
END_TEST

/* --- several threads ----------------------------------------------------- */

static bool is_over;      /* atomic */
static uint64_t nr_shots; /* atomic */

static void *shooter(void *arg)
{
	(void)arg;
	while (!pvio_load_once(&is_over)) {
		pvio_msix_fire(&msix, 0);
		__atomic_fetch_add(&nr_shots, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void shooters_start(pthread_t thread[2])
{
	is_over = false;
	nr_shots = 0;
	ck_assert_int_eq(pthread_create(&thread[0], NULL, shooter, NULL), 0);
	ck_assert_int_eq(pthread_create(&thread[1], NULL, shooter, NULL), 0);
	while (pvio_load_once(&nr_shots) < 2)
		sched_yield();
}

static void shooters_join(pthread_t thread[2])
{
	pvio_store_once(&is_over, true);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
}

START_TEST(eventfd_replaced_while_fired_loses_and_leaks_nothing)
{
	int fd[2] = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };
	uint64_t count, sum = 0;
	pthread_t thread[2];
	unsigned int i;

	pvio_msix_control(&msix, true, false);
	set_up(0, 0xfee00000, 0);
	ck_assert_int_eq(pvio_msix_set_fd(&msix, 0, fd[0]), 0);
	shooters_start(thread);
	for (i = 0; i < 200; i++)
		ck_assert_int_eq(pvio_msix_set_fd(&msix, 0, fd[i % 2]), 0);
	shooters_join(thread);
	for (i = 0; i < 2; i++) {
		if (fd_take(fd[i], &count))
			sum += count;
		close(fd[i]);
	}
	ck_assert_uint_gt(sum, 0);
	ck_assert_uint_eq(sum, nr_shots);
	ck_assert_uint_eq(host.messages, 0);
	ck_assert(pvio_msix_fired(&msix) == nr_shots);
}
END_TEST

START_TEST(no_message_comes_after_the_mask)
{
	pthread_t thread[2];
	unsigned int i;

	pvio_msix_control(&msix, true, false);
	set_up(0, 0xfee00000, 0);
	shooters_start(thread);
	for (i = 0; i < 200; i++) {
		if (i % 2)
			write32(CONTROL, 1);
		else
			pvio_msix_control(&msix, true, true);
		pvio_store_once(&host.is_closed, true);
		sched_yield();
		pvio_store_once(&host.is_closed, false);
		if (i % 2)
			write32(CONTROL, 0);
		else
			pvio_msix_control(&msix, true, false);
	}
	shooters_join(thread);
	ck_assert_uint_eq(host.late, 0);
	/* And the last shot was heard, if late. */
	ck_assert(!is_pending(0));
	ck_assert_uint_gt(host.messages, 0);
}
END_TEST

START_TEST(message_is_of_one_entry)
{
	pthread_t thread[2];
	uint32_t i;

	pvio_msix_control(&msix, true, false);
	set_up(0, 0xfee00000, 0);
	shooters_start(thread);
	/* As a driver moves a vector: mask, write, unmask. */
	for (i = 1; i <= 500; i++) {
		write32(CONTROL, 1);
		write32(4, i);
		write32(8, i);
		write32(CONTROL, 0);
	}
	shooters_join(thread);
	ck_assert_uint_eq(host.torn, 0);
	pvio_msix_fire(&msix, 0);
	ck_assert_uint_eq(host.data, 500);
}
END_TEST

CHECK_MAIN(
	"msix", setup, teardown, table_reads_back_what_was_written,
	after_reset_all_is_masked, V07_table_takes_aligned_4_and_8_bytes_only,
	V07_pending_bits_are_not_written, function_without_vectors_has_no_table,
	all_2048_vectors_fit_below_the_pending_bits,
	message_says_what_the_entry_says, vector_that_does_not_exist_is_silent,
	masked_vector_pends_and_fires_when_unmasked,
	masked_function_pends_and_fires_when_unmasked,
	what_is_fired_while_off_fires_when_enabled, what_nobody_takes_pends,
	host_hears_of_each_change_and_of_nothing_else,
	host_hears_of_a_route_before_a_message_takes_it,
	reset_forgets_all_but_the_eventfds, vector_with_an_eventfd_calls_nobody,
	what_is_no_eventfd_is_refused, eventfd_that_blocks_is_let_go,
	with_the_mask_elsewhere_a_missing_eventfd_is_the_mask,
	eventfd_replaced_while_fired_loses_and_leaks_nothing,
	no_message_comes_after_the_mask, message_is_of_one_entry)
