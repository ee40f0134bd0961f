// SPDX-License-Identifier: GPL-2.0-only
/*
 * events.c - devices come and go (section 5)
 */
#include <linux/device.h>
#include <linux/slab.h>

#include "pvio_bus.h"

/* As many as fit into an answer, and no more than GET_DEVICES may ask for. */
#define DEVICES_AT_ONCE 1024

struct devices_answer {
	struct pvio_bus_get_devices_out head;
	u8 bits[DEVICES_AT_ONCE / 8];
};

struct workqueue_struct *pvio_workqueue;

static struct pvio_vdev *bus_device(struct pvio_bus *bus, u16 number)
{
	struct pvio_vdev *pv;

	list_for_each_entry(pv, &bus->devices, node)
		if (pv->number == number)
			return pv;
	return NULL;
}

/* It may be known already: found by GET_DEVICES, and told of as well. */
static void bus_add_device(struct pvio_bus *bus, u16 number)
{
	struct pvio_bus_device_info_out info;
	struct pvio_vdev *pv;
	int rc;

	if (number >= bus->info.max_devices || bus_device(bus, number))
		return;
	rc = pvio_call(bus, 0, PVIO_BUS_GET_DEVICE_INFO, number, NULL, 0, &info,
		       sizeof(info));
	if (rc) {
		/* Gone again: there is an event of it. */
		dev_dbg(bus->dev, "device %u: %d\n", number, rc);
		return;
	}
	if (!info.device_id)
		return;
	pv = pvio_vdev_register(bus, number, &info);
	if (IS_ERR(pv)) {
		dev_err(bus->dev, "device %u: not registered (%ld)\n", number,
			PTR_ERR(pv));
		return;
	}
	list_add_tail(&pv->node, &bus->devices);
}

/*
 * With devices_lock.  @is_removed: the host has it no more, and what the driver
 * waits for never comes.
 */
void pvio_device_remove(struct pvio_vdev *pv, bool is_removed)
{
	list_del(&pv->node);
	if (is_removed) {
		WRITE_ONCE(pv->is_removed, true);
		virtio_break_device(&pv->vdev);
	}
	unregister_virtio_device(&pv->vdev);
}

/* Register all that are there.  -errno: the bus does not answer. */
int pvio_devices_find(struct pvio_bus *bus)
{
	struct pvio_bus_get_devices_in in = {};
	u32 offset = 0, max = bus->info.max_devices, i;
	struct devices_answer *out;
	int rc = 0;

	out = kzalloc(sizeof(*out), GFP_KERNEL);
	if (!out)
		return -ENOMEM;
	mutex_lock(&bus->devices_lock);
	while (offset < max) {
		in.offset = offset;
		in.count = min_t(u32, max - offset, DEVICES_AT_ONCE);
		rc = pvio_call_bus(bus, PVIO_BUS_GET_DEVICES, &in, sizeof(in),
				   out,
				   sizeof(out->head) + (in.count + 7) / 8);
		if (rc)
			break;
		for (i = 0; i < in.count; i++)
			if (out->bits[i / 8] & (1 << i % 8))
				bus_add_device(bus, offset + i);
		if (out->head.next < offset + in.count)
			break;
		offset = out->head.next;
	}
	mutex_unlock(&bus->devices_lock);
	kfree(out);
	return rc;
}

void pvio_devices_forget(struct pvio_bus *bus)
{
	struct pvio_vdev *pv, *next;

	mutex_lock(&bus->devices_lock);
	list_for_each_entry_safe(pv, next, &bus->devices, node)
		pvio_device_remove(pv, bus->is_dead);
	mutex_unlock(&bus->devices_lock);
}

/* Take one event; false: there is none. */
static bool event_take(struct pvio_bus *bus)
{
	struct pvio_bus_event_out event;
	struct pvio_vdev *pv;

	if (pvio_call_bus(bus, PVIO_BUS_GET_EVENT, NULL, 0, &event,
			  sizeof(event)))
		return false;
	switch (event.event) {
	case PVIO_BUS_EVENT_NONE:
		return false;
	case PVIO_BUS_EVENT_ADDED:
		bus_add_device(bus, event.device);
		break;
	case PVIO_BUS_EVENT_REMOVED:
	case PVIO_BUS_EVENT_LEAVE:
		pv = bus_device(bus, event.device);
		if (pv)
			pvio_device_remove(
				pv, event.event == PVIO_BUS_EVENT_REMOVED);
		break;
	}
	return true;
}

/* The bus has raised its signal, or is lost. */
void pvio_events_work(struct work_struct *work)
{
	struct pvio_bus *bus = container_of(work, struct pvio_bus, work);
	unsigned int left = 2 * bus->info.max_devices + 1;
	struct pvio_vdev *pv;

	mutex_lock(&bus->devices_lock);
	while (READ_ONCE(bus->is_running) && event_take(bus))
		if (--left == 0) {
			queue_work(pvio_workqueue, work);
			break;
		}
	if (bus->is_dead)
		list_for_each_entry(pv, &bus->devices, node)
			virtio_break_device(&pv->vdev);
	mutex_unlock(&bus->devices_lock);
}
