/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bridge.c - the bus behind a PCI function, for a VMM that speaks vfio-user
 *
 *	BAR 2 of 1234:7076   the window: call, doorbell
 *	vector n             interrupt n
 *	the client's memory  that of the bus, and of all its devices
 *
 * Stock QEMU has no exit of ours to bring an operation, but it can show a PCI
 * function.  So this is one connector more, and knows nothing of devices.
 * While the function may not touch memory (no bus master, or in D3hot), neither
 * may the bus: its devices are quiet, and calls are not looked at.
 */
#include "calls.h"

#include "core/barrier.h"
#include "core/config.h"
#include "core/listen.h"
#include "transports/vfio-user/server.h"

#include <errno.h>
#include <stdlib.h>

#define BRIDGE_BAR_BYTES 4096
#define BRIDGE_CLASS	 0x088000 /* system peripheral, of no kind */
#define BRIDGE_REVISION	 1

struct bus_bridge {
	struct pvio_pci pci;
	struct vfu *vfu;      /* owned */
	struct pvio_bus *bus; /* borrowed: we are its */
	bool is_stopping;
	pvio_done_fn *stop_done;
	void *stop_arg;
	struct bus_call call; /* of the write under way */
	pvio_done_fn *call_done;
	void *call_arg;
	uint64_t missed; /* address of the last call, if it is not in memory */
	struct bus_order memory, reset, quiet, loud;
	/* Interrupts that wait until it may write messages: atomic bits. */
	uint64_t pending[BUS_MAX_INTERRUPTS / 64];
};

static struct bus_bridge *bridge_of(struct pvio_pci *pci)
{
	return pvio_container_of(pci, struct bus_bridge, pci);
}

/* --- the window ------------------------------------------------------------ */

static void bridge_read(struct pvio_pci *pci, uint64_t offset, void *buf,
			size_t len)
{
	pvio_bus_read(bridge_of(pci)->bus, offset, buf, len);
}

static void bridge_has_called(void *arg, int rc)
{
	struct bus_bridge *bridge = arg;

	bridge->missed = rc == -EFAULT ? bridge->call.address : 0;
	bridge->call_done(bridge->call_arg, 0);
}

static void bridge_write(struct pvio_pci *pci, uint64_t offset, const void *buf,
			 size_t len, pvio_done_fn *done, void *arg)
{
	struct bus_bridge *bridge = bridge_of(pci);
	uint64_t address;

	if (pvio_bus_decode(bridge->bus, offset, buf, len, &address) !=
	    BUS_OP_CALL) {
		done(arg, 0);
		return;
	}
	bridge->call_done = done;
	bridge->call_arg = arg;
	pvio_bus_call_begin(bridge->bus, &bridge->call, address,
			    bridge_has_called, bridge);
}

static unsigned int bridge_missed(struct pvio_pci *pci, uint64_t offset,
				  uint64_t address[PCI_CARD_MISSED])
{
	struct bus_bridge *bridge = bridge_of(pci);

	if (offset > PVIO_BUS_REG_CALL + 4 || !bridge->missed)
		return 0;
	address[0] = bridge->missed;
	return 1;
}

static bool bridge_write_fast(struct pvio_pci *pci, uint64_t offset,
			      const void *buf, size_t len)
{
	struct pvio_bus *bus = bridge_of(pci)->bus;
	uint64_t value;

	if (offset != PVIO_BUS_REG_DOORBELL ||
	    pvio_bus_decode(bus, offset, buf, len, &value) != BUS_OP_DOORBELL)
		return false;
	(void)pvio_bus_doorbell(bus, value);
	return true;
}

/* --- interrupts ------------------------------------------------------------ */

static bool bridge_take_pending(struct bus_bridge *bridge, unsigned int number)
{
	const uint64_t bit = UINT64_C(1) << number % 64;
	uint64_t *word = &bridge->pending[number / 64];

	return (pvio_load_once(word) & bit) &&
	       (pvio_and_ordered(word, ~bit) & bit);
}

/*
 * A message is a write to memory.  What comes while the function may not make
 * any waits; Barrier M: whoever notes one looks again, and whoever ends the wait
 * looks for notes after it has ended.
 */
static void bridge_interrupt(void *arg, unsigned int number)
{
	struct bus_bridge *bridge = arg;

	if (unlikely(pvio_load_ordered(&bridge->bus->is_quiet))) {
		pvio_or_ordered(&bridge->pending[number / 64],
				UINT64_C(1) << number % 64);
		if (pvio_load_ordered(&bridge->bus->is_quiet) ||
		    !bridge_take_pending(bridge, number))
			return;
	}
	pvio_msix_fire(&bridge->pci.msix, number);
}

/* --- state ----------------------------------------------------------------- */

static void bridge_reset(struct pvio_pci *pci, pvio_done_fn *done, void *arg)
{
	struct bus_bridge *bridge = bridge_of(pci);
	size_t i;

	bridge->reset.done = done;
	bridge->reset.arg = arg;
	bridge->reset.has_driver = false;
	bridge->missed = 0;
	for (i = 0; i < pvio_array_size(bridge->pending); i++)
		pvio_store_once(&bridge->pending[i], 0);
	pvio_bus_order_reset(bridge->bus, &bridge->reset);
}

static void bridge_quiesce(struct pvio_pci *pci, pvio_done_fn *done, void *arg)
{
	struct bus_bridge *bridge = bridge_of(pci);

	bridge->quiet.done = done;
	bridge->quiet.arg = arg;
	bridge->quiet.is_quiet = true;
	pvio_bus_order_quiet(bridge->bus, &bridge->quiet);
}

static void bridge_is_loud(void *arg, int rc)
{
	struct bus_bridge *bridge = arg;
	unsigned int i;

	(void)rc;
	for (i = 0; i < bridge->bus->nr_notify; i++)
		if (bridge_take_pending(bridge, i))
			pvio_msix_fire(&bridge->pci.msix, i);
}

/* The next of these comes after a quiesce(), whose turn is after ours. */
static void bridge_unquiesce(struct pvio_pci *pci)
{
	struct bus_bridge *bridge = bridge_of(pci);

	bridge->loud.done = bridge_is_loud;
	bridge->loud.arg = bridge;
	bridge->loud.is_quiet = false;
	pvio_bus_order_quiet(bridge->bus, &bridge->loud);
}

static void bridge_broken(struct pvio_pci *pci, const char *why)
{
	struct pvio_bus *bus = bridge_of(pci)->bus;
	struct hypercall *device;
	unsigned int i;

	for (i = 0; i < BUS_MAX_DEVICES; i++) {
		device = pvio_bus_find(bus, i);
		if (device)
			pvio_device_break(device->dev, why);
	}
}

static void bridge_set_memory(struct pvio_pci *pci, struct pvio_map *map,
			      pvio_done_fn *done, void *arg)
{
	struct bus_bridge *bridge = bridge_of(pci);

	bridge->memory.done = done;
	bridge->memory.arg = arg;
	bridge->memory.map = map;
	pvio_bus_set_memory(bridge->bus, &bridge->memory);
}

static const struct pci_card_ops bridge_ops = {
	.bar		= PVIO_BUS_PCI_BAR,
	.bar_bytes	= BRIDGE_BAR_BYTES,
	.read		= bridge_read,
	.write		= bridge_write,
	.write_fast	= bridge_write_fast,
	.missed		= bridge_missed,
	.reset		= bridge_reset,
	.quiesce	= bridge_quiesce,
	.unquiesce	= bridge_unquiesce,
	.broken		= bridge_broken,
	.set_memory	= bridge_set_memory,
};

static const struct pci_card_id bridge_id = {
	.vendor		  = PVIO_BUS_PCI_VENDOR,
	.device		  = PVIO_BUS_PCI_DEVICE,
	.subsystem_vendor = PVIO_BUS_PCI_VENDOR,
	.subsystem	  = PVIO_BUS_PCI_DEVICE,
	.class		  = BRIDGE_CLASS,
	.revision	  = BRIDGE_REVISION,
};

/* --- life ------------------------------------------------------------------ */

int pvio_bus_bridge_create(struct pvio_bus *bus, struct pvio_config *cfg)
{
	struct bus_bridge *bridge;
	int rc;

	bridge = calloc(1, sizeof(*bridge));
	if (!bridge)
		return -ENOMEM;
	bridge->bus = bus;
	rc = pci_init(&bridge->pci, &bridge_ops, &bridge_id, bus->name,
		      bus->control, bus->nr_notify);
	if (rc < 0)
		goto free_bridge;
	rc = vfu_create(&bridge->pci, cfg, &bridge->vfu);
	if (rc < 0)
		goto fini_pci;
	bus->interrupt = bridge_interrupt;
	bus->interrupt_arg = bridge;
	bus->is_quiet = true; /* no bus master yet */
	bus->bridge = bridge;
	return 0;

fini_pci:
	pci_fini(&bridge->pci);
free_bridge:
	free(bridge);
	return rc;
}

void pvio_bus_bridge_destroy(struct bus_bridge *bridge)
{
	if (!bridge)
		return;
	vfu_destroy(bridge->vfu);
	pci_fini(&bridge->pci);
	free(bridge);
}

int pvio_bus_bridge_start(struct bus_bridge *bridge)
{
	return bridge->is_stopping ? -EBUSY : vfu_start(bridge->vfu);
}

static void bridge_is_stopped(void *arg, int rc)
{
	struct bus_bridge *bridge = arg;

	bridge->is_stopping = false;
	bridge->stop_done(bridge->stop_arg, rc);
}

void pvio_bus_bridge_stop(struct bus_bridge *bridge, pvio_done_fn *done,
			  void *arg)
{
	bridge->is_stopping = true;
	bridge->stop_done = done;
	bridge->stop_arg = arg;
	vfu_stop(bridge->vfu, bridge_is_stopped, bridge);
}

void pvio_bus_bridge_describe(const struct bus_bridge *bridge, char *text,
			      size_t size)
{
	vfu_describe(bridge->vfu, text, size);
}
