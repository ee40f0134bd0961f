// SPDX-License-Identifier: GPL-2.0-only
/*
 * counters.c - what the bus has done, in the group "pvio" of its device
 *
 * raised - coalesced - doorbells, and signals - interrupts, are exits and
 * interrupts that areas have saved.
 */
#include <linux/device.h>
#include <linux/stddef.h>
#include <linux/sysfs.h>

#include "pvio_bus.h"

static ssize_t counter_show(struct device *dev, char *buf, size_t offset)
{
	struct pvio_bus *bus = dev_get_drvdata(dev);
	unsigned int cpu;
	u64 sum = 0;

	for_each_possible_cpu(cpu) {
		void *counters = per_cpu_ptr(bus->counters, cpu);

		sum += READ_ONCE(*(u64 *)(counters + offset));
	}
	return sysfs_emit(buf, "%llu\n", sum);
}

#define COUNTER(name)                                                          \
	static ssize_t name##_show(struct device *dev,                         \
				   struct device_attribute *attr, char *buf)   \
	{                                                                      \
		return counter_show(dev, buf,                                  \
				    offsetof(struct pvio_counters, name));     \
	}                                                                      \
	static DEVICE_ATTR_RO(name)

COUNTER(calls);
COUNTER(doorbells);
COUNTER(interrupts);
COUNTER(signals);
COUNTER(raised);
COUNTER(coalesced);

static struct attribute *counter_attrs[] = {
	&dev_attr_calls.attr,
	&dev_attr_doorbells.attr,
	&dev_attr_interrupts.attr,
	&dev_attr_signals.attr,
	&dev_attr_raised.attr,
	&dev_attr_coalesced.attr,
	NULL,
};

static const struct attribute_group counter_group = {
	.name = "pvio",
	.attrs = counter_attrs,
};

const struct attribute_group *pvio_bus_groups[] = {
	&counter_group,
	NULL,
};
