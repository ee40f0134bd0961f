// SPDX-License-Identifier: GPL-2.0-only
/*
 * bus.c - a bus, from PROBE to RESET (section 7)
 *
 *	open	PROBE, RESET, INFO: now it is known how many interrupts are of use
 *	start	areas, events, devices
 *	stop	the same backwards; RESET
 *	close
 *
 * To sleep, each device is frozen and the areas are taken back; the host may
 * have forgotten everything when the machine wakes up, so that resume is start
 * with devices that have their drivers already.
 */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/slab.h>

#include "pvio_bus.h"

/* What a host may ask us to allocate. */
#define KICK_QUEUES_MAX 64

/* The bus answers no longer: nothing is waited for, and devices are broken. */
void pvio_bus_lost(struct pvio_bus *bus, bool is_gone)
{
	WRITE_ONCE(bus->is_gone, is_gone);
	WRITE_ONCE(bus->is_dead, true);
	if (READ_ONCE(bus->is_running))
		queue_work(pvio_workqueue, &bus->work);
}

/* @dev's driver data are the bus until it has been closed. */
struct pvio_bus *pvio_bus_alloc(struct device *dev)
{
	struct pvio_bus *bus;

	bus = devm_kzalloc(dev, sizeof(*bus), GFP_KERNEL);
	if (!bus)
		return NULL;
	bus->targets = devm_kcalloc(dev, PVIO_BUS_MAX_SIGNALS,
				    sizeof(*bus->targets), GFP_KERNEL);
	bus->counters = devm_alloc_percpu(dev, struct pvio_counters);
	if (!bus->targets || !bus->counters)
		return NULL;
	bus->dev = dev;
	bus->is_direct = pvio_delivers_directly();
	bus->kicks_directly = pvio_kicks_directly();
	bus->lingers = pvio_lingers();
	mutex_init(&bus->call_lock);
	mutex_init(&bus->targets_lock);
	mutex_init(&bus->devices_lock);
	INIT_LIST_HEAD(&bus->devices);
	INIT_WORK(&bus->work, pvio_events_work);
	pvio_target_init(&bus->events);
	bus->events.kind = PVIO_FOR_BUS;
	bus->events.bus = bus;
	dev_set_drvdata(dev, bus);
	return bus;
}

/* PROBE, RESET and INFO: what a driver begins with, and again after sleep. */
static int bus_greet(struct pvio_bus *bus)
{
	struct pvio_bus_info_out info;
	u64 answer = bus->connector->probe(bus);
	int rc;

	if (lower_32_bits(answer) != PVIO_BUS_MAGIC) {
		dev_err(bus->dev, "no bus answers by %s\n",
			bus->connector->name);
		return -ENODEV;
	}
	if (upper_32_bits(answer) >> 16 != PVIO_BUS_VERSION >> 16) {
		dev_err(bus->dev, "version %u.%u of the bus is not known\n",
			upper_32_bits(answer) >> 16,
			upper_32_bits(answer) & 0xffff);
		return -ENODEV;
	}
	rc = pvio_call_bus(bus, PVIO_BUS_RESET, NULL, 0, NULL, 0);
	if (!rc)
		rc = pvio_call_bus(bus, PVIO_BUS_INFO, NULL, 0, &info,
				   sizeof(info));
	if (rc)
		return rc;
	if (!info.nr_notify_queues || info.max_message < PVIO_BUS_MAX_MESSAGE ||
	    info.max_devices > PVIO_BUS_THE_BUS) {
		dev_err(bus->dev, "the bus says nonsense of itself\n");
		return -EPROTO;
	}
	info.nr_kick_queues = min_t(u32, info.nr_kick_queues, KICK_QUEUES_MAX);
	bus->info = info;
	return 0;
}

/* The bus has its connector.  0, or -errno and it need not be closed. */
int pvio_bus_open(struct pvio_bus *bus)
{
	int rc;

	rc = dma_set_mask_and_coherent(bus->dev, DMA_BIT_MASK(64));
	if (rc)
		return rc;
	bus->block = dma_alloc_coherent(bus->dev, sizeof(*bus->block),
					&bus->block_address, GFP_KERNEL);
	if (!bus->block)
		return -ENOMEM;
	rc = bus_greet(bus);
	if (rc)
		pvio_bus_close(bus);
	return rc;
}

void pvio_bus_close(struct pvio_bus *bus)
{
	if (!bus->is_dead || bus->is_gone)
		dma_free_coherent(bus->dev, sizeof(*bus->block), bus->block,
				  bus->block_address);
	bus->block = NULL;
}

unsigned int pvio_bus_irqs_wanted(struct pvio_bus *bus)
{
	if (bus->is_direct)
		return bus->info.nr_notify_queues;
	return min_t(unsigned int, bus->info.nr_notify_queues,
		     num_online_cpus());
}

/* Areas, and events of the bus. */
static int bus_connect(struct pvio_bus *bus)
{
	struct pvio_bus_route_in in = {
		.device = PVIO_BUS_THE_BUS,
		.mode = PVIO_BUS_ROUTE_SIGNAL,
		.level = PVIO_LEVEL_CONTROL,
	};
	struct pvio_bus_route_out out;
	int rc;

	rc = pvio_areas_set(bus);
	if (rc)
		return rc;
	rc = pvio_target_publish(bus, PVIO_BUS_SIGNAL_EVENTS, &bus->events);
	if (rc)
		goto unset;
	WRITE_ONCE(bus->is_running, true);
	rc = pvio_route(bus, &in, &out);
	if (!rc && out.signal != PVIO_BUS_SIGNAL_EVENTS)
		rc = -EPROTO;
	if (rc)
		goto stop;
	return 0;

stop:
	WRITE_ONCE(bus->is_running, false);
unset:
	pvio_areas_unset(bus);
	return rc;
}

static void bus_disconnect(struct pvio_bus *bus)
{
	pvio_areas_unset(bus);
	pvio_target_withdraw(bus, PVIO_BUS_SIGNAL_EVENTS);
	pvio_signals_sync(bus);
	cancel_work_sync(&bus->work);
}

/* @irqs are there.  0, or -errno and there is nothing to be stopped. */
int pvio_bus_start(struct pvio_bus *bus)
{
	int rc;

	bus->direct = bitmap_zalloc(bus->nr_irqs, GFP_KERNEL);
	if (!bus->direct)
		return -ENOMEM;
	rc = pvio_signals_start(bus);
	if (rc)
		goto free_direct;
	/* The areas of the others are everybody's. */
	bitmap_set(bus->direct, 0, bus->nr_notify);
	rc = bus_connect(bus);
	if (rc)
		goto stop_signals;
	dev_info(bus->dev,
		 "pvio bus %u.%u by %s: %u notify and %u kick queues, %u interrupts\n",
		 bus->info.version >> 16, bus->info.version & 0xffff,
		 bus->connector->name, bus->nr_notify, bus->nr_kick,
		 bus->nr_irqs);
	rc = pvio_devices_find(bus);
	if (rc)
		goto stop;
	return 0;

stop:
	pvio_bus_stop(bus);
	return rc;
stop_signals:
	pvio_signals_stop(bus);
free_direct:
	bitmap_free(bus->direct);
	return rc;
}

void pvio_bus_stop(struct pvio_bus *bus)
{
	WRITE_ONCE(bus->is_running, false);
	cancel_work_sync(&bus->work);
	pvio_devices_forget(bus);
	bus_disconnect(bus);
	pvio_call_bus(bus, PVIO_BUS_RESET, NULL, 0, NULL, 0);
	pvio_signals_stop(bus);
	bitmap_free(bus->direct);
}

/* The machine, or this kernel, ends: the host touches no memory any more. */
void pvio_bus_shutdown(struct pvio_bus *bus)
{
	WRITE_ONCE(bus->is_running, false);
	cancel_work_sync(&bus->work);
	pvio_call_bus(bus, PVIO_BUS_RESET, NULL, 0, NULL, 0);
}

#ifdef CONFIG_PM_SLEEP

int pvio_bus_suspend(struct device *dev)
{
	struct pvio_bus *bus = dev_get_drvdata(dev);
	struct pvio_vdev *pv;
	int rc = 0;

	/* What comes now is found at resume. */
	WRITE_ONCE(bus->is_running, false);
	cancel_work_sync(&bus->work);
	mutex_lock(&bus->devices_lock);
	list_for_each_entry(pv, &bus->devices, node) {
		rc = virtio_device_freeze(&pv->vdev);
		if (rc)
			goto thaw;
	}
	mutex_unlock(&bus->devices_lock);
	bus_disconnect(bus);
	return 0;

thaw:
	list_for_each_entry_continue_reverse(pv, &bus->devices, node)
		virtio_device_restore(&pv->vdev);
	WRITE_ONCE(bus->is_running, true);
	mutex_unlock(&bus->devices_lock);
	queue_work(pvio_workqueue, &bus->work);
	return rc;
}

/* Is it, behind its number, still the same device? */
static bool device_is_same(struct pvio_vdev *pv)
{
	struct pvio_bus_device_info_out info;

	return !pvio_vdev_call(pv, PVIO_BUS_GET_DEVICE_INFO, NULL, 0, &info,
			       sizeof(info)) &&
	       info.device_id == pv->vdev.id.device &&
	       info.vendor_id == pv->vdev.id.vendor &&
	       info.config_size == pv->config_bytes &&
	       info.nr_queues == pv->nr_queues;
}

int pvio_bus_resume(struct device *dev)
{
	struct pvio_bus *bus = dev_get_drvdata(dev);
	struct pvio_vdev *pv, *next;
	int rc;

	rc = bus_greet(bus);
	if (!rc)
		rc = bus->info.nr_notify_queues < bus->nr_irqs ||
				     bus->info.nr_kick_queues < bus->nr_kick ?
			     -EPROTO :
			     bus_connect(bus);
	if (rc) {
		dev_err(bus->dev, "the bus did not wake up: %d\n", rc);
		WRITE_ONCE(bus->is_running, true);
		pvio_bus_lost(bus, false);
		return rc;
	}
	mutex_lock(&bus->devices_lock);
	list_for_each_entry_safe(pv, next, &bus->devices, node) {
		if (!device_is_same(pv)) {
			pvio_device_remove(pv, true);
			continue;
		}
		rc = virtio_device_restore(&pv->vdev);
		if (rc)
			dev_err(&pv->vdev.dev, "did not wake up: %d\n", rc);
	}
	mutex_unlock(&bus->devices_lock);
	return pvio_devices_find(bus);
}

#endif
