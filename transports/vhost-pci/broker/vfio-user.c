/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user.c - the carrier that is a PCI function, served by vfio-user
 *
 *	BAR 0    MSI-X
 *	BAR 1    registers, where ivshmem has them:
 *	         0x08  position     0, read-only
 *	         0x0c  doorbell     a write of 32 bits calls the slot it names
 *	BAR 2    the window, which the client maps
 *
 * The client takes the window's file, and nothing for signals that the kernel
 * could carry alone: its eventfds are of its interrupts, and a write to the
 * doorbell is a message.  So all of them are relayed:
 *
 *	B's VMM --eventfd--> kick's event -----> MSI-X --eventfd--> A's VMM
 *	B's VMM <--eventfd-- slot's eventfd <-- doorbell <--message-- A's VMM
 *
 * Slots have vectors in the order in which they are kicked first, so that A has
 * no more interrupts than B has rings; vector 0 is the control area's.  Once
 * given, a vector stays its slot's until the client leaves.
 *
 * An interrupt is a write to memory: one that comes while the function is no
 * bus master waits until it is.
 *
 * Bounds.  An eventfd is looked at once a turn, however often it was written,
 * and the connection takes a few messages a turn (transports/stream/): neither
 * side keeps us from the other, nor from other slots.  Two VMMs that agree to
 * use one eventfd for a kick and for the interrupt that it makes have it go
 * round for ever, once a turn: that costs the window's process time, and nobody
 * else anything.
 */
#include "broker.h"

#include "core/eventfd.h"
#include "transports/vfio-user/server.h"
#include "transports/vhost-pci/abi.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FUNCTION_CLASS	  0x050000 /* memory controller: RAM, as ivshmem */
#define FUNCTION_REVISION 1
#define REGISTER_BYTES	  4096 /* a page: A may map it */
#define DEFAULT_VECTORS	  64
#define NO_VECTOR	  UINT16_MAX

/* What interrupts A. */
struct carrier_kick {
	struct carrier *carrier; /* borrowed: we are its */
	int fd;			 /* owned duplicate, or -1 */
	struct event *event;	 /* owned, or NULL */
	bool is_pending;	 /* until the function is bus master */
};

struct carrier {
	struct pvio_pci pci;
	struct vfu *vfu;       /* owned */
	struct broker *broker; /* borrowed: we are its */
	bool is_there;	       /* the appliance's VMM */
	bool is_quiet;
	uint64_t nr_vectors;
	struct carrier_kick *kick; /* [nr_vectors], owned */
	unsigned int nr_kicks;	   /* vectors that slots have, with number 0 */
	uint16_t vector[CARRIER_MAX_SLOTS];
	int call_fd[CARRIER_MAX_SLOTS]; /* owned duplicates, or -1 */
	uint64_t relayed_kicks, relayed_calls, unknown_calls;
	pvio_done_fn *stop_done;
	void *stop_arg;
};

static struct carrier *carrier_of(struct pvio_pci *pci)
{
	return pvio_container_of(pci, struct carrier, pci);
}

/* --- kicks: B's eventfds, A's interrupts ------------------------------------ */

static void kick_fire(struct carrier_kick *kick)
{
	struct carrier *c = kick->carrier;

	if (c->is_quiet) {
		kick->is_pending = true;
		return;
	}
	c->relayed_kicks++;
	pvio_msix_fire(&c->pci.msix, (unsigned int)(kick - c->kick));
}

/*
 * Watched by edges and not read: B's VMM shares the open file, so that a read
 * may block, and what it counts is no matter.
 */
static void kick_is_written(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	kick_fire(arg);
}

static void kick_drop(struct carrier_kick *kick)
{
	if (kick->event)
		event_free(kick->event);
	kick->event = NULL;
	if (kick->fd >= 0)
		close(kick->fd);
	kick->fd = -1;
}

static void kick_end(struct carrier_kick *kick)
{
	kick_drop(kick);
	kick->is_pending = false;
}

/* Takes @fd, in any case. */
static int kick_watch(struct carrier_kick *kick, int fd)
{
	struct event_base *base = pvio_worker_base(kick->carrier->pci.control);
	struct event *event;

	event = event_new(base, fd, EV_READ | EV_PERSIST | EV_ET,
			  kick_is_written, kick);
	if (!event || event_add(event, NULL) < 0) {
		if (event)
			event_free(event);
		close(fd);
		return -ENOMEM;
	}
	kick_drop(kick);
	kick->fd = fd;
	kick->event = event;
	return 0;
}

/* The vector of @slot, or the next that is free.  -ENOSPC. */
static int kick_find(const struct carrier *c, unsigned int slot)
{
	if (slot == CARRIER_SLOT_CONTROL)
		return 0;
	if (c->vector[slot] != NO_VECTOR)
		return c->vector[slot];
	return c->nr_kicks < c->nr_vectors ? (int)c->nr_kicks : -ENOSPC;
}

static int carrier_kick(struct carrier *c, unsigned int slot, int fd,
			uint32_t *number)
{
	struct carrier_kick *kick;
	bool is_other;
	int vector, rc;

	if (slot >= CARRIER_MAX_SLOTS)
		return -EINVAL;
	if (fd < 0) {
		if (c->vector[slot] != NO_VECTOR)
			kick_end(&c->kick[c->vector[slot]]);
		return 0;
	}
	if (!c->is_there)
		return -ENOTCONN;
	vector = kick_find(c, slot);
	if (vector < 0)
		return vector;
	fd = pvio_eventfd_dup(fd);
	if (fd < 0)
		return fd;
	kick = &c->kick[vector];
	is_other = kick->fd >= 0;
	rc = kick_watch(kick, fd);
	if (rc < 0)
		return rc;
	if ((unsigned int)vector == c->nr_kicks)
		c->nr_kicks++;
	c->vector[slot] = (uint16_t)vector;
	*number = (uint32_t)vector;
	/* What was written to the one before may not have been seen. */
	if (is_other)
		kick_fire(kick);
	return 0;
}

/* --- calls: A's doorbell, B's eventfds -------------------------------------- */

static void call_drop(struct carrier *c, unsigned int slot)
{
	if (c->call_fd[slot] >= 0)
		close(c->call_fd[slot]);
	c->call_fd[slot] = -1;
}

/* The doorbell was written. */
static void call_signal(struct carrier *c, uint32_t slot)
{
	if (slot >= CARRIER_MAX_SLOTS || c->call_fd[slot] < 0) {
		c->unknown_calls++;
		return;
	}
	c->relayed_calls++;
	if (likely(pvio_eventfd_signal(c->call_fd[slot]) != -EINTR))
		return;
	pvio_log_limited(&c->broker->log_limit, PVIO_LOG_WARNING,
			 "%s: eventfd of call %u blocks: let go", c->pci.name,
			 slot);
	call_drop(c, slot);
}

static void carrier_call(struct carrier *c, unsigned int slot, int fd,
			 pvio_done_fn *done, void *arg)
{
	int own = -1, rc = (int)slot;

	if (slot >= CARRIER_MAX_SLOTS)
		rc = -EINVAL;
	else if (!c->is_there)
		rc = -ENOTCONN;
	else if (fd >= 0)
		own = rc = pvio_eventfd_dup(fd);
	if (rc >= 0) {
		call_drop(c, slot);
		c->call_fd[slot] = own;
		rc = (int)slot;
	}
	done(arg, rc);
}

/* --- the appliance ---------------------------------------------------------- */

static void carrier_forget(struct carrier *c)
{
	unsigned int i;

	for (i = 0; i < c->nr_vectors; i++)
		kick_end(&c->kick[i]);
	for (i = 0; i < CARRIER_MAX_SLOTS; i++) {
		c->vector[i] = NO_VECTOR;
		call_drop(c, i);
	}
	c->nr_kicks = 1;
	/* Nobody who comes waits for what was meant for another. */
	pvio_msix_forget_all(&c->pci.msix);
}

static void carrier_client(void *arg, bool is_there)
{
	struct carrier *c = arg;

	c->is_there = is_there;
	if (is_there) {
		broker_appliance_came(c->broker);
		return;
	}
	carrier_forget(c);
	broker_appliance_left(c->broker);
}

static bool carrier_may_come(void *arg)
{
	const struct carrier *c = arg;

	return broker_is_clean(c->broker);
}

static const struct vfu_client_ops client_ops = {
	.client = carrier_client,
	.may_come = carrier_may_come,
};

/* --- the card --------------------------------------------------------------- */

static void card_read(struct pvio_pci *pci, uint64_t offset, void *buf,
		      size_t len)
{
	(void)pci;
	if (len == sizeof(uint32_t) && offset <= WINDOW_REG_DOORBELL &&
	    offset % sizeof(uint32_t) == 0)
		memset(buf, 0, len);
}

static void card_write(struct pvio_pci *pci, uint64_t offset, const void *buf,
		       size_t len, pvio_done_fn *done, void *arg)
{
	uint32_t slot;

	if (offset == WINDOW_REG_DOORBELL && len == sizeof(slot)) {
		memcpy(&slot, buf, len);
		call_signal(carrier_of(pci), le32toh(slot));
	}
	done(arg, 0);
}

/*
 * Who resets the function has nothing to do with the one who served before, or
 * that was the end of it: a VM that begins anew, or VFIO, when a process opens
 * the function and when it closes it, even by being killed.
 */
static void card_reset(struct pvio_pci *pci, pvio_done_fn *done, void *arg)
{
	struct carrier *c = carrier_of(pci);

	if (c->is_there) {
		carrier_client(c, false);
		carrier_client(c, true);
	}
	done(arg, 0);
}

static void card_quiesce(struct pvio_pci *pci, pvio_done_fn *done, void *arg)
{
	carrier_of(pci)->is_quiet = true;
	done(arg, 0);
}

static void card_unquiesce(struct pvio_pci *pci)
{
	struct carrier *c = carrier_of(pci);
	unsigned int i;

	c->is_quiet = false;
	for (i = 0; i < c->nr_vectors; i++) {
		if (!c->kick[i].is_pending)
			continue;
		c->kick[i].is_pending = false;
		kick_fire(&c->kick[i]);
	}
}

/* It can always be quiet, and has nothing to break. */
static void card_broken(struct pvio_pci *pci, const char *why)
{
	(void)pci;
	(void)why;
}

/* A's own memory is nothing to us. */
static void card_set_memory(struct pvio_pci *pci, struct pvio_map *map,
			    pvio_done_fn *done, void *arg)
{
	(void)pci;
	pvio_map_put(map);
	done(arg, 0);
}

static const struct pci_card_ops card_ops = {
	.bar		= WINDOW_PCI_REGISTERS,
	.bar_bytes	= REGISTER_BYTES,
	.read		= card_read,
	.write		= card_write,
	.reset		= card_reset,
	.quiesce	= card_quiesce,
	.unquiesce	= card_unquiesce,
	.broken		= card_broken,
	.set_memory	= card_set_memory,
};

static const struct pci_card_id card_id = {
	.vendor		  = WINDOW_PCI_VENDOR,
	.device		  = WINDOW_PCI_DEVICE,
	.subsystem_vendor = WINDOW_PCI_VENDOR,
	.subsystem	  = WINDOW_PCI_DEVICE,
	.class		  = FUNCTION_CLASS,
	.revision	  = FUNCTION_REVISION,
};

/* --- life ------------------------------------------------------------------- */

static void carrier_destroy(struct carrier *c)
{
	if (!c)
		return;
	vfu_destroy(c->vfu);
	carrier_forget(c);
	pci_fini(&c->pci);
	free(c->kick);
	free(c);
}

static struct carrier *carrier_alloc(struct broker *broker, uint64_t vectors)
{
	struct carrier *c = calloc(1, sizeof(*c));
	unsigned int i;

	if (!c)
		return NULL;
	c->kick = calloc(vectors, sizeof(*c->kick));
	if (!c->kick) {
		free(c);
		return NULL;
	}
	c->broker = broker;
	c->nr_vectors = vectors;
	c->nr_kicks = 1;
	c->is_quiet = true; /* no bus master yet */
	for (i = 0; i < vectors; i++) {
		c->kick[i].carrier = c;
		c->kick[i].fd = -1;
	}
	for (i = 0; i < CARRIER_MAX_SLOTS; i++) {
		c->vector[i] = NO_VECTOR;
		c->call_fd[i] = -1;
	}
	return c;
}

static int carrier_create(struct broker *broker, struct pvio_config *cfg,
			  struct carrier **carrier)
{
	uint64_t vectors = DEFAULT_VECTORS;
	struct carrier *c;
	int rc;

	rc = pvio_config_uint_opt(cfg, "vectors", 2, CARRIER_MAX_SLOTS,
				  &vectors);
	if (rc < 0)
		return rc;
	c = carrier_alloc(broker, vectors);
	if (!c)
		return -ENOMEM;
	rc = pci_init(&c->pci, &card_ops, &card_id, broker->name,
		      broker->control, (unsigned int)vectors);
	if (rc < 0)
		goto free_carrier;
	rc = vfu_create(&c->pci, cfg, &c->vfu);
	if (rc < 0)
		goto fini_pci;
	vfu_watch_clients(c->vfu, &client_ops, c);
	*carrier = c;
	return 0;

fini_pci:
	pci_fini(&c->pci);
free_carrier:
	free(c->kick);
	free(c);
	return rc;
}

static int carrier_start(struct carrier *c)
{
	const struct pci_card_window window = {
		.bar = WINDOW_PCI_MEMORY,
		.fd = c->broker->memory.fd,
		.bytes = c->broker->memory.bytes,
	};
	int rc;

	rc = pci_set_window(&c->pci, &window);
	return rc < 0 ? rc : vfu_start(c->vfu);
}

static void carrier_is_stopped(void *arg, int rc)
{
	const struct pci_card_window none = { .bytes = 0 };
	struct carrier *c = arg;

	/* The file is the broker's, which may close it now. */
	(void)pci_set_window(&c->pci, &none);
	c->stop_done(c->stop_arg, rc);
}

static void carrier_stop(struct carrier *c, pvio_done_fn *done, void *arg)
{
	c->stop_done = done;
	c->stop_arg = arg;
	vfu_stop(c->vfu, carrier_is_stopped, c);
}

static void carrier_describe(struct carrier *c, char *text, size_t size)
{
	int n = snprintf(text, size,
			 "\"vectors_used\": %u, \"relayed\": %" PRIu64
			 ", \"relayed_kicks\": %" PRIu64
			 ", \"relayed_calls\": %" PRIu64
			 ", \"unknown_calls\": %" PRIu64 ", ",
			 c->nr_kicks, c->relayed_kicks + c->relayed_calls,
			 c->relayed_kicks, c->relayed_calls, c->unknown_calls);
	size_t len = n < 0 || (size_t)n >= size ? size : (size_t)n;

	vfu_describe(c->vfu, text + len, size - len);
}

const struct carrier_ops carrier_vfio_user_ops = {
	.name		= "vfio-user",
	.create		= carrier_create,
	.destroy	= carrier_destroy,
	.start		= carrier_start,
	.stop		= carrier_stop,
	.kick		= carrier_kick,
	.call		= carrier_call,
	.describe	= carrier_describe,
};
