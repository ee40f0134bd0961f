/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - a guest that tries a disk and a network card, and says how it went
 *
 *	bus=pci|mmio|pvio  irq=msix|line  ring=split|packed  event=1  indirect=1
 *	disk=write|read  seed=N  depth=N  wait=interrupt  net=ask|answer
 *	frames=N
 *	on pvio's bus: irq=signal|direct  kick=signal|direct
 *
 * on the command line, in any order.  The devices tried are those named; the
 * last line is "ok" and the VM's exit status 0, or "not ok" and why, and 1.
 */
#include "virtio.h"

#include "core/util.h"
#include "core/virtio.h"

#include <linux/virtio_ids.h>

void bare_main(const struct boot_info *boot);

static const struct bare_test {
	const char *option;
	unsigned int id;
	uint64_t features;
	void (*run)(struct bare_device *dev, const struct boot_info *boot);
} bare_tests[] = {
	{ "disk", VIRTIO_ID_BLOCK, PVIO_BIT(VIRTIO_BLK_F_FLUSH),
	  bare_block_test },
	{ "net", VIRTIO_ID_NET, PVIO_BIT(VIRTIO_NET_F_MAC), bare_net_test },
};

static uint64_t main_features(const struct boot_info *boot)
{
	uint64_t features = 0;

	if (bare_option_is(bare_option(boot, "ring"), "packed"))
		features |= PVIO_BIT(VIRTIO_F_RING_PACKED);
	if (bare_option(boot, "event"))
		features |= PVIO_BIT(VIRTIO_RING_F_EVENT_IDX);
	if (bare_option(boot, "indirect"))
		features |= PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC);
	return features;
}

static struct bare_device *main_find(const struct boot_info *boot,
				     unsigned int id)
{
	const char *bus = bare_option(boot, "bus");

	if (bare_option_is(bus, "mmio"))
		return bare_mmio_find(boot, id);
	if (bare_option_is(bus, "pvio"))
		return bare_bus_find(boot, id);
	return bare_pci_find(boot, id);
}

void bare_main(const struct boot_info *boot)
{
	unsigned int tried = 0;
	size_t i;

	if (boot->magic != BOOT_MAGIC)
		bare_exit(1);
	bare_memory_init(boot);
	bare_interrupt_init();
	for (i = 0; i < pvio_array_size(bare_tests); i++) {
		const struct bare_test *test = &bare_tests[i];
		struct bare_device *dev;

		if (!bare_option(boot, test->option))
			continue;
		dev = main_find(boot, test->id);
		if (!dev)
			bare_fail("%s: there is no such device", test->option);
		bare_device_negotiate(dev,
				      test->features | main_features(boot));
		test->run(dev, boot);
		tried++;
	}
	if (tried == 0)
		bare_fail("nothing to do: name a device");
	bare_bus_report();
	bare_print("ok\n");
	bare_exit(0);
}
