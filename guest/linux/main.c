// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - the module, and its parameters
 *
 * The parameters choose between what the bus can do and what PCI functions do,
 * so that each step can be measured by itself.
 */
#include <linux/module.h>
#include <linux/string.h>

#include "pvio_bus.h"

static char *delivery = "signal";
module_param(delivery, charp, 0444);
MODULE_PARM_DESC(delivery,
		 "interrupts of queues: signal (default), one for each CPU and words that say which queues; direct, one for each queue while there are any");

static char *doorbell = "shared";
module_param(doorbell, charp, 0444);
MODULE_PARM_DESC(doorbell,
		 "kicks: shared (default), words, and a doorbell only when nobody looks at them; direct, a doorbell each");

static bool linger = true;
module_param(linger, bool, 0444);
MODULE_PARM_DESC(linger,
		 "a CPU takes signals without interrupts until it has done what the last ones made to do (default); 0, until there are none");

bool pvio_delivers_directly(void)
{
	return sysfs_streq(delivery, "direct");
}

bool pvio_kicks_directly(void)
{
	return sysfs_streq(doorbell, "direct");
}

bool pvio_lingers(void)
{
	return linger;
}

static int __init pvio_bus_init(void)
{
	int rc;

	if (!sysfs_streq(delivery, "signal") && !pvio_delivers_directly()) {
		pr_err("pvio_bus: delivery is signal or direct\n");
		return -EINVAL;
	}
	if (!sysfs_streq(doorbell, "shared") && !pvio_kicks_directly()) {
		pr_err("pvio_bus: doorbell is shared or direct\n");
		return -EINVAL;
	}
	pvio_workqueue = alloc_ordered_workqueue("pvio_bus", 0);
	if (!pvio_workqueue)
		return -ENOMEM;
	rc = pvio_pci_register();
	if (rc)
		goto destroy_workqueue;
	rc = pvio_platform_register();
	if (rc)
		goto unregister_pci;
	return 0;

unregister_pci:
	pvio_pci_unregister();
destroy_workqueue:
	destroy_workqueue(pvio_workqueue);
	return rc;
}
module_init(pvio_bus_init);

static void __exit pvio_bus_exit(void)
{
	pvio_platform_unregister();
	pvio_pci_unregister();
	destroy_workqueue(pvio_workqueue);
}
module_exit(pvio_bus_exit);

MODULE_DESCRIPTION("pvio bus: virtio devices by calls and signals");
MODULE_AUTHOR("the pvio authors");
MODULE_LICENSE("GPL");
