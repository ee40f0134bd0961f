// SPDX-License-Identifier: BSD-3-Clause
/*
 * window-host.c - serves a window by vfio-user, and answers what windowtool says
 *
 *	window-host SOCKET BYTES
 *
 * The carrier is pvio's, and the broker that it belongs to is this program,
 * which prints who comes and leaves, and what was relayed.
 */
#include "window-test.h"

#include "core/config.h"
#include "core/worker.h"
#include "transports/vhost-pci/broker/broker.h"

#include <event2/event.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct carrier_ops *const ops = &carrier_vfio_user_ops;
static struct broker broker;
static struct carrier *carrier;
static uint8_t *memory;
static int kick_fd, call_fd;

static uint64_t load(uint64_t offset)
{
	return pvio_load_acquire((uint64_t *)(memory + offset));
}

static void store(uint64_t offset, uint64_t value)
{
	pvio_store_release((uint64_t *)(memory + offset), value);
}

static void die(const char *what)
{
	fprintf(stderr, "window-host: %s\n", what);
	exit(1);
}

static void on_number(void *arg, int rc)
{
	(void)arg;
	if (rc != WINDOW_TEST_SLOT)
		die("the slot's number is not that of the slot");
}

static void say_stats(const char *what)
{
	char members[1024];

	ops->describe(carrier, members, sizeof(members));
	printf("%s: %s\n", what, members);
	fflush(stdout);
}

void broker_appliance_came(struct broker *b)
{
	uint32_t number;

	(void)b;
	if (ops->kick(carrier, WINDOW_TEST_SLOT, kick_fd, &number) < 0 ||
	    number != WINDOW_TEST_SLOT)
		die("kick");
	ops->call(carrier, WINDOW_TEST_SLOT, call_fd, on_number, NULL);
	say_stats("came");
}

void broker_appliance_left(struct broker *b)
{
	(void)b;
	say_stats("left");
}

bool broker_is_clean(const struct broker *b)
{
	(void)b;
	return true;
}

/* Whatever is wrong leaves the guest without an answer. */
static void on_call(evutil_socket_t fd, short what, void *arg)
{
	const uint64_t one = 1;
	uint64_t count;

	(void)what;
	(void)arg;
	if (read((int)fd, &count, sizeof(count)) != sizeof(count))
		return;
	if (load(WINDOW_TEST_GUEST_AT) != WINDOW_TEST_GUEST ||
	    load(broker.memory.bytes / 2) != WINDOW_TEST_GUEST)
		die("the guest's words are not there");
	store(WINDOW_TEST_ANSWERED, load(WINDOW_TEST_CALLED));
	if (write(kick_fd, &one, sizeof(one)) != sizeof(one))
		die("kick: write");
}

static void memory_open(uint64_t bytes)
{
	broker.memory.bytes = bytes;
	broker.memory.fd = memfd_create("window", MFD_CLOEXEC);
	if (broker.memory.fd < 0 ||
	    ftruncate(broker.memory.fd, (off_t)bytes) < 0)
		die("no memory");
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		      broker.memory.fd, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	store(WINDOW_TEST_HOST_AT, WINDOW_TEST_HOST);
	store(bytes - 8, WINDOW_TEST_HOST);
}

int main(int argc, char **argv)
{
	struct pvio_config_file *config;
	struct event *event;
	uint64_t bytes = 0;
	char text[256];

	if (argc != 3 || pvio_parse_size(argv[2], &bytes) < 0)
		die("a socket, and a size");
	if (pvio_worker_create("window", &broker.control) < 0)
		die("no worker");
	broker.name = argv[1];
	memory_open(bytes);
	kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	event = event_new(pvio_worker_base(broker.control), call_fd,
			  EV_READ | EV_PERSIST, on_call, NULL);
	snprintf(text, sizeof(text), "socket = \"%s\";", argv[1]);
	if (!event || event_add(event, NULL) < 0 ||
	    pvio_config_parse("window", text, &config) < 0 ||
	    ops->create(&broker, pvio_config_root(config), &carrier) < 0 ||
	    ops->start(carrier) < 0)
		die("cannot serve");
	for (;;)
		pvio_worker_wait(broker.control, -1);
}
