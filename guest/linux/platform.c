// SPDX-License-Identifier: GPL-2.0-only
/*
 * platform.c - a bus that firmware describes: ACPI "PVIO0001", or "pvio,bus" of
 * the device tree
 *
 * Resources: a window of registers, of memory or of I/O ports, or none: then a
 * hypercall is looked for; and interrupts, edge triggered, in the order of
 * the notify queues.
 */
#include <linux/acpi.h>
#include <linux/device.h>
#include <linux/io.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/pm.h>

#include "pvio_bus.h"

static int window_map(struct platform_device *pdev, struct pvio_bus *bus)
{
	struct resource *r;

	r = platform_get_resource(pdev, IORESOURCE_MEM, 0);
	if (r) {
		bus->regs = devm_ioremap_resource(&pdev->dev, r);
		if (IS_ERR(bus->regs))
			return PTR_ERR(bus->regs);
	} else {
		r = platform_get_resource(pdev, IORESOURCE_IO, 0);
		if (r) {
			bus->regs = devm_ioport_map(&pdev->dev, r->start,
						    resource_size(r));
			if (!bus->regs)
				return -ENOMEM;
		}
	}
	if (!r) {
		bus->connector = pvio_connector_find(bus);
		return bus->connector ? 0 : -ENODEV;
	}
	if (resource_size(r) < PVIO_BUS_REG_BYTES)
		return -EINVAL;
	bus->connector = &pvio_connector_registers;
	return 0;
}

static int irqs_get(struct platform_device *pdev, struct pvio_bus *bus)
{
	unsigned int nr = pvio_bus_irqs_wanted(bus), i;
	int irq;

	irq = platform_irq_count(pdev);
	if (irq <= 0)
		return irq ? irq : -ENXIO;
	nr = min_t(unsigned int, nr, irq);
	bus->irqs = devm_kcalloc(&pdev->dev, nr, sizeof(*bus->irqs),
				 GFP_KERNEL);
	if (!bus->irqs)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		irq = platform_get_irq(pdev, i);
		if (irq < 0)
			return irq;
		bus->irqs[i] = irq;
	}
	bus->nr_irqs = nr;
	return 0;
}

static int node_probe(struct platform_device *pdev)
{
	struct pvio_bus *bus;
	int rc;

	bus = pvio_bus_alloc(&pdev->dev);
	if (!bus)
		return -ENOMEM;
	rc = window_map(pdev, bus);
	if (rc)
		return rc;
	rc = pvio_bus_open(bus);
	if (rc)
		return rc;
	rc = irqs_get(pdev, bus);
	if (!rc)
		rc = pvio_bus_start(bus);
	if (rc)
		pvio_bus_close(bus);
	return rc;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
static void node_remove(struct platform_device *pdev)
#else
static int node_remove(struct platform_device *pdev)
#endif
{
	struct pvio_bus *bus = platform_get_drvdata(pdev);

	pvio_bus_stop(bus);
	pvio_bus_close(bus);
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
	return 0;
#endif
}

static void node_shutdown(struct platform_device *pdev)
{
	pvio_bus_shutdown(platform_get_drvdata(pdev));
}

static const struct acpi_device_id node_acpi_ids[] = {
	{ "PVIO0001", 0 },
	{ "", 0 },
};
MODULE_DEVICE_TABLE(acpi, node_acpi_ids);

static const struct of_device_id node_of_ids[] = {
	{ .compatible = "pvio,bus" },
	{},
};
MODULE_DEVICE_TABLE(of, node_of_ids);

#ifdef CONFIG_PM_SLEEP
static SIMPLE_DEV_PM_OPS(node_pm, pvio_bus_suspend, pvio_bus_resume);
#endif

static struct platform_driver node_driver = {
	.probe = node_probe,
	.remove = node_remove,
	.shutdown = node_shutdown,
	.driver = {
		.name = "pvio_bus",
		.acpi_match_table = node_acpi_ids,
		.of_match_table = node_of_ids,
		.dev_groups = pvio_bus_groups,
#ifdef CONFIG_PM_SLEEP
		.pm = &node_pm,
#endif
	},
};

int pvio_platform_register(void)
{
	return platform_driver_register(&node_driver);
}

void pvio_platform_unregister(void)
{
	platform_driver_unregister(&node_driver);
}
