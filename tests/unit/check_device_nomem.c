/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_device_nomem.c - every allocation of the control path fails once
 *
 * The library's own allocations, and libevent's of events, go through wrappers
 * (the linker's --wrap).  A call is made again and again, with the first, the
 * second, the third ... allocation failing, until it succeeds with none left
 * to fail: each time it says -ENOMEM, or does without, and the device lives.
 */
#include "tests/check_main.h"
#include "tests/device/rig.h"

#include <errno.h>
#include <pvio/memory.h>
#include <pvio/mmio.h>
#include <pvio/pci.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct event;
struct event_base;
typedef void event_fn(int, short, void *);

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
char *__real_strdup(const char *s);
struct event *__real_event_new(struct event_base *base, int fd, short what,
			       event_fn *fn, void *arg);
int __real_event_add(struct event *event, const struct timeval *tv);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
char *__wrap_strdup(const char *s);
struct event *__wrap_event_new(struct event_base *base, int fd, short what,
			       event_fn *fn, void *arg);
int __wrap_event_add(struct event *event, const struct timeval *tv);

static int fail_in = -1; /* the so many-th fails; -1: none */
static bool has_failed;

static bool must_fail(void)
{
	if (fail_in < 0 || fail_in-- > 0)
		return false;
	has_failed = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return must_fail() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return must_fail() ? NULL : __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return must_fail() ? NULL : __real_aligned_alloc(align, size);
}

char *__wrap_strdup(const char *s)
{
	return must_fail() ? NULL : __real_strdup(s);
}

struct event *__wrap_event_new(struct event_base *base, int fd, short what,
			       event_fn *fn, void *arg)
{
	return must_fail() ? NULL : __real_event_new(base, fd, what, fn, arg);
}

int __wrap_event_add(struct event *event, const struct timeval *tv)
{
	return must_fail() ? -1 : __real_event_add(event, tv);
}

/* Does @call fail cleanly at its @n-th allocation?  False: it has fewer. */
static bool fails_at(int n, int (*call)(void))
{
	int rc;

	has_failed = false;
	fail_in = n;
	rc = call();
	fail_in = -1;
	if (has_failed)
		ck_assert_int_eq(rc, -ENOMEM);
	else
		ck_assert_int_eq(rc, 0);
	return has_failed;
}

static const char *const configs[] = {
	RIG_CONFIG,
	"model = \"probe\"; queues = 4; transport = { type = \"mmio\"; };",
	"model = \"probe\"; transport = { type = \"hypercall\"; };",
	("model = \"probe\"; transport = { type = \"hypercall\"; "
	 "socket = \"/tmp/pvio-nomem\"; };"),
};
static const char *config;

static int call_create(void)
{
	struct pvio_device *dev;
	int rc, left;

	rc = pvio_device_create("try", config, rig.control, &rig.control, 1,
				&dev);
	left = fail_in;
	fail_in = -1;
	if (rc == 0)
		pvio_device_destroy(dev);
	fail_in = left;
	return rc;
}

START_TEST(create_without_memory_leaves_nothing)
{
	unsigned int i, fd_count = rig_count_fds();
	int n;

	for (i = 0; i < pvio_array_size(configs); i++) {
		config = configs[i];
		for (n = 0; fails_at(n, call_create); n++)
			;
		ck_assert_int_ge(n, 6);
	}
	ck_assert_uint_eq(rig_count_fds(), fd_count);
	rig_run(0);
	rig_echo(0);
}
END_TEST

static struct pvio_device *bus_dev;

static int call_start(void)
{
	int rc, left;

	rc = pvio_device_start(bus_dev);
	left = fail_in;
	fail_in = -1;
	if (rc == 0)
		pvio_device_stop(bus_dev);
	fail_in = left;
	return rc;
}

/* Of a bus, and of its bridge. */
START_TEST(start_without_memory_leaves_no_place_on_the_bus)
{
	unsigned int i;
	int n;

	for (i = 2; i < pvio_array_size(configs); i++) {
		ck_assert_int_eq(pvio_device_create("try", configs[i],
						    rig.control, &rig.control,
						    1, &bus_dev),
				 0);
		for (n = 0; fails_at(n, call_start); n++)
			;
		ck_assert_int_ge(n, 3);
		ck_assert_int_eq(call_start(), 0);
		pvio_device_destroy(bus_dev);
	}
	rig_run(0);
	rig_echo(0);
}
END_TEST

static struct pvio_mmio *mmio;
static int vmm_fds[2];

static int call_mmio_doorbell(void)
{
	struct pvio_doorbell bell;

	return pvio_mmio_doorbell(mmio, 1, &bell);
}

static int call_set_irq_fds(void)
{
	return pvio_mmio_set_irq_fds(mmio, vmm_fds[0], vmm_fds[1]);
}

/* Make @call until nothing it needs is missing; what failed left no trace. */
static void try_until_it_works(int (*call)(void), int least)
{
	unsigned int fd_count = rig_count_fds();
	int n, rc;

	for (n = 0;; n++) {
		has_failed = false;
		fail_in = n;
		rc = call();
		fail_in = -1;
		if (!has_failed)
			break;
		/* -EINVAL: an eventfd that cannot be watched. */
		ck_assert(rc == -ENOMEM || rc == -EINVAL);
		ck_assert_uint_eq(rig_count_fds(), fd_count);
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_int_ge(n, least);
}

START_TEST(eventfds_without_memory_for_a_watch_are_let_go)
{
	struct pvio_device *dev;

	ck_assert_int_eq(pvio_device_create("try", configs[1], rig.control,
					    &rig.control, 1, &dev),
			 0);
	mmio = pvio_mmio_of(dev);
	vmm_fds[0] = eventfd(0, EFD_NONBLOCK);
	vmm_fds[1] = eventfd(0, EFD_NONBLOCK);
	try_until_it_works(call_mmio_doorbell, 2);
	try_until_it_works(call_set_irq_fds, 2);
	close(vmm_fds[0]);
	close(vmm_fds[1]);
	pvio_device_destroy(dev);
}
END_TEST

static uint8_t page[4096];

static int call_add_memory(void)
{
	return pvio_loopback_add_memory(rig.lb, RIG_GPA_2, sizeof(page), page);
}

START_TEST(memory_that_cannot_be_added_changes_nothing)
{
	int n = 0;

	ck_assert_int_eq(guest_device_negotiate(rig.gd, (uint64_t[2]){ 0 }), 0);
	while (fails_at(n, call_add_memory)) {
		ck_assert_uint_eq(pvio_device_map(rig.dev)->nr, 1);
		n++;
	}
	ck_assert_int_ge(n, 2);
	ck_assert_uint_eq(pvio_device_map(rig.dev)->nr, 2);
}
END_TEST

static int fds[2];

static int call_start_queue(void)
{
	struct guest_ring *ring = guest_device_ring(rig.gd, 0);
	struct pvio_loopback_queue setup = {
		.size = guest_ring_size(ring),
		.desc = guest_ring_desc(ring),
		.driver = guest_ring_driver(ring),
		.device = guest_ring_device(ring),
		.call_fd = fds[0],
		.kick_fd = fds[1],
	};

	return pvio_loopback_start_queue(rig.lb, 0, &setup);
}

START_TEST(a_queue_without_memory_does_not_start)
{
	int n = 0;

	fds[0] = eventfd(0, EFD_NONBLOCK);
	fds[1] = eventfd(0, EFD_NONBLOCK);
	ck_assert_int_eq(guest_device_negotiate(rig.gd, (uint64_t[2]){ 0 }), 0);
	ck_assert_int_eq(guest_device_setup_queue(rig.gd, 0, 16), 0);
	/* Whatever the queue's start lacks, even the watch on its eventfd. */
	for (n = 0;; n++) {
		int rc;

		has_failed = false;
		fail_in = n;
		rc = call_start_queue();
		fail_in = -1;
		if (!has_failed)
			break;
		ck_assert(rc == -ENOMEM || rc == -EINVAL);
		ck_assert(!pvio_device_vq_is_running(rig.dev, 0));
		ck_assert_uint_eq(probe.queue[0].stops, probe.queue[0].idles);
	}
	ck_assert_int_ge(n, 6);
	ck_assert_int_eq(guest_device_start(rig.gd), -EBUSY);
	pvio_loopback_set_status(rig.lb, pvio_loopback_get_status(rig.lb) |
						 VIRTIO_CONFIG_S_DRIVER_OK);
	rig_submit(0);
	ck_assert(rig_is_used(0));
	close(fds[0]);
	close(fds[1]);
}
END_TEST

static int call_stats(void)
{
	char *json;
	int rc = pvio_device_stats(rig.dev, true, &json);

	if (rc == 0)
		free(json);
	return rc;
}

START_TEST(stats_without_memory_are_an_error)
{
	int n = 0;

	while (fails_at(n, call_stats))
		n++;
	ck_assert_int_ge(n, 1);
}
END_TEST

/* The map is there, a queue on it is not: the driver must reset. */
START_TEST(a_queue_that_cannot_move_to_new_memory_breaks)
{
	unsigned int broken = 0;
	int n;

	for (n = 0;; n++) {
		int rc;

		guest_alloc_reset(&rig.mem);
		rig_alloc_buffer();
		rig_run(0);
		has_failed = false;
		fail_in = n;
		rc = call_add_memory();
		fail_in = -1;
		if (rc == 0)
			ck_assert_int_eq(
				pvio_loopback_remove_memory(rig.lb, RIG_GPA_2),
				0);
		rig_step();
		broken += guest_device_is_broken(rig.gd);
		if (!has_failed)
			break;
	}
	ck_assert_uint_ge(broken, 4);
	rig_run(0);
	rig_echo(0);
}
END_TEST

/* --- a PCI function ------------------------------------------------------- */

#define PCI_CONFIG                         \
	"model = \"probe\"; queues = 2;"   \
	"transport = { type = \"pci\"; };"

static struct pvio_device *pci_dev;
static struct pvio_pci *pci;
static struct pvio_memory *list;

static int call_create_pci(void)
{
	struct pvio_device *dev;
	int rc, left;

	rc = pvio_device_create("try", PCI_CONFIG, rig.control, &rig.control, 1,
				&dev);
	left = fail_in;
	fail_in = -1;
	if (rc == 0)
		pvio_device_destroy(dev);
	fail_in = left;
	return rc;
}

static int call_list(void)
{
	int rc, left;

	rc = pvio_memory_create(&list);
	if (rc < 0)
		return rc;
	rc = pvio_memory_add_fd(list, RIG_GPA, RIG_BYTES, rig.mem.region[0].fd,
				0, 0);
	if (rc == 0)
		rc = pvio_device_set_memory_list(pci_dev, list);
	left = fail_in;
	fail_in = -1;
	pvio_memory_destroy(list);
	fail_in = left;
	return rc;
}

static int call_doorbell(void)
{
	struct pvio_doorbell bell;
	int rc = pvio_pci_doorbell(pci, 1, &bell);

	/* What libevent does not watch is no fd to wait on, it seems. */
	return rc == -EINVAL ? -ENOMEM : rc;
}

static void write_register(uint64_t offset, size_t len, uint64_t value)
{
	uint64_t le = htole64(value);

	pvio_pci_bar_write(pci, 4, offset, &le, len);
}

/* Enable queue 0: without memory it reads 0 again. */
static int call_enable(void)
{
	uint16_t enabled;

	write_register(0x1c, 2, 1);
	pvio_pci_bar_read(pci, 4, 0x1c, &enabled, 2);
	return enabled ? 0 : -ENOMEM;
}

static void fail_each(int (*call)(void), int least)
{
	int n = 0;

	while (fails_at(n, call))
		n++;
	ck_assert_int_ge(n, least);
}

START_TEST(a_pci_function_without_memory_leaves_nothing)
{
	uint16_t command = htole16(0x6);

	fail_each(call_create_pci, 10);
	ck_assert_int_eq(pvio_device_create("try", PCI_CONFIG, rig.control,
					    &rig.control, 1, &pci_dev),
			 0);
	pci = pvio_pci_of(pci_dev);
	ck_assert_int_eq(pvio_device_start(pci_dev), 0);
	fail_each(call_list, 3);
	fail_each(call_doorbell, 1);

	pvio_pci_config_write(pci, 4, &command, 2);
	write_register(0x14, 1, 3);
	write_register(0x08, 4, 1);
	write_register(0x0c, 4, 1);
	write_register(0x14, 1, 0xb);
	write_register(0x18, 2, 16);
	write_register(0x20, 8, RIG_GPA);
	write_register(0x28, 8, RIG_GPA + 0x1000);
	write_register(0x30, 8, RIG_GPA + 0x2000);
	fail_each(call_enable, 3);
	pvio_device_destroy(pci_dev);
}
END_TEST

CHECK_MAIN("device-nomem", rig_setup, rig_teardown,
	   create_without_memory_leaves_nothing,
	   start_without_memory_leaves_no_place_on_the_bus,
	   eventfds_without_memory_for_a_watch_are_let_go,
	   memory_that_cannot_be_added_changes_nothing,
	   a_queue_without_memory_does_not_start,
	   stats_without_memory_are_an_error,
	   a_queue_that_cannot_move_to_new_memory_breaks,
	   a_pci_function_without_memory_leaves_nothing)
