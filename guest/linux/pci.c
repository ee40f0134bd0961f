// SPDX-License-Identifier: GPL-2.0-only
/*
 * pci.c - the bridge: a PCI function whose BAR 2 is the window, and vector n of
 * whose MSI-X is notify queue n
 */
#include <linux/device.h>
#include <linux/pci.h>
#include <linux/pm.h>

#include "pvio_bus.h"

static int bridge_irqs_alloc(struct pci_dev *pdev, struct pvio_bus *bus)
{
	unsigned int i;
	int nr;

	/*
	 * Not managed: such vectors stop with their CPU, and what is routed
	 * there has to be told to somebody all the same.
	 */
	nr = pci_alloc_irq_vectors(pdev, 1, pvio_bus_irqs_wanted(bus),
				   PCI_IRQ_MSIX);
	if (nr < 0) {
		dev_err(bus->dev, "no MSI-X: %d\n", nr);
		return nr;
	}
	bus->irqs = devm_kcalloc(bus->dev, nr, sizeof(*bus->irqs), GFP_KERNEL);
	if (!bus->irqs) {
		pci_free_irq_vectors(pdev);
		return -ENOMEM;
	}
	for (i = 0; i < nr; i++)
		bus->irqs[i] = pci_irq_vector(pdev, i);
	bus->nr_irqs = nr;
	return 0;
}

static int bridge_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct pvio_bus *bus;
	int rc;

	bus = pvio_bus_alloc(&pdev->dev);
	if (!bus)
		return -ENOMEM;
	rc = pci_enable_device(pdev);
	if (rc)
		return rc;
	rc = pci_request_region(pdev, PVIO_BUS_PCI_BAR, "pvio_bus");
	if (rc)
		goto disable;
	rc = -ENOMEM;
	bus->regs = pci_iomap(pdev, PVIO_BUS_PCI_BAR, PVIO_BUS_REG_BYTES);
	if (!bus->regs)
		goto release;
	bus->connector = &pvio_connector_registers;
	pci_set_master(pdev);
	rc = pvio_bus_open(bus);
	if (rc)
		goto unmap;
	rc = bridge_irqs_alloc(pdev, bus);
	if (rc)
		goto close;
	rc = pvio_bus_start(bus);
	if (rc)
		goto free_irqs;
	return 0;

free_irqs:
	pci_free_irq_vectors(pdev);
close:
	pvio_bus_close(bus);
unmap:
	pci_clear_master(pdev);
	pci_iounmap(pdev, bus->regs);
release:
	pci_release_region(pdev, PVIO_BUS_PCI_BAR);
disable:
	pci_disable_device(pdev);
	return rc;
}

static void bridge_remove(struct pci_dev *pdev)
{
	struct pvio_bus *bus = pci_get_drvdata(pdev);

	/* Pulled out: nothing is answered any more. */
	if (!pci_device_is_present(pdev))
		pvio_bus_lost(bus, true);
	pvio_bus_stop(bus);
	pci_free_irq_vectors(pdev);
	pvio_bus_close(bus);
	pci_clear_master(pdev);
	pci_iounmap(pdev, bus->regs);
	pci_release_region(pdev, PVIO_BUS_PCI_BAR);
	pci_disable_device(pdev);
}

static void bridge_shutdown(struct pci_dev *pdev)
{
	pvio_bus_shutdown(pci_get_drvdata(pdev));
	pci_clear_master(pdev);
}

static const struct pci_device_id bridge_ids[] = {
	{ PCI_DEVICE(PVIO_BUS_PCI_VENDOR, PVIO_BUS_PCI_DEVICE) },
	{ 0 },
};
MODULE_DEVICE_TABLE(pci, bridge_ids);

#ifdef CONFIG_PM_SLEEP
static SIMPLE_DEV_PM_OPS(bridge_pm, pvio_bus_suspend, pvio_bus_resume);
#endif

static struct pci_driver bridge_driver = {
	.name = "pvio_bus",
	.id_table = bridge_ids,
	.probe = bridge_probe,
	.remove = bridge_remove,
	.shutdown = bridge_shutdown,
	.dev_groups = pvio_bus_groups,
#ifdef CONFIG_PM_SLEEP
	.driver.pm = &bridge_pm,
#endif
};

int pvio_pci_register(void)
{
	return pci_register_driver(&bridge_driver);
}

void pvio_pci_unregister(void)
{
	pci_unregister_driver(&bridge_driver);
}
