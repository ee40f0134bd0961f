/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_pci_config.c - what enumeration finds in a PCI function, and can set
 *
 * Configuration space as firmware and a bus driver walk it, and what the
 * device's configuration makes of it.
 */
#include "tests/check_main.h"
#include "tests/pci-rig.h"

#include <errno.h>

START_TEST(the_header_says_what_the_function_is)
{
	ck_assert_uint_eq(cfg_read(0x00, 2), 0x1af4);
	ck_assert_uint_eq(cfg_read(0x02, 2), 0x1040 + 4242);
	ck_assert_uint_eq(cfg_read(CFG_COMMAND, 2), 0);
	ck_assert_uint_eq(cfg_read(CFG_STATUS, 2), 0x10);
	ck_assert_uint_eq(cfg_read(0x08, 4), 0x00ff0001);
	ck_assert_uint_eq(cfg_read(0x0e, 1), 0); /* header type */
	ck_assert_uint_eq(cfg_read(0x2c, 2), 0x1af4);
	ck_assert_uint_ge(cfg_read(0x2e, 2), 0x40);
	ck_assert_uint_eq(cfg_read(0x3d, 1), 1); /* INTA */
	/* No extended capabilities. */
	ck_assert_uint_eq(cfg_read(0x100, 4), 0);
}
END_TEST

static void expect_class(const char *config, uint32_t id, uint32_t class)
{
	struct pvio_device *dev;
	uint32_t word;

	ck_assert_int_eq(pvio_device_create("other", config, rrig.control,
					    &rrig.control, 1, &dev),
			 0);
	pvio_pci_config_read(pvio_pci_of(dev), 0, &word, 4);
	ck_assert_uint_eq(le32toh(word), id << 16 | 0x1af4);
	pvio_pci_config_read(pvio_pci_of(dev), 8, &word, 4);
	ck_assert_uint_eq(le32toh(word), class << 8 | 1);
	pvio_device_destroy(dev);
}

START_TEST(disks_and_network_cards_have_their_class)
{
	expect_class("model = \"block\"; backend = { type = \"null\"; "
		     "size = \"1M\"; }; transport = { type = \"pci\"; };",
		     0x1042, 0x010000);
	expect_class("model = \"net\"; backend = { type = \"null\"; };"
		     "transport = { type = \"pci\"; };",
		     0x1041, 0x020000);
}
END_TEST

/* Where the virtio capability of @type is, or 0. */
static uint32_t find_virtio(uint8_t type)
{
	uint32_t at = cfg_read(0x34, 1);
	unsigned int n;

	for (n = 0; at && n < 48; n++, at = cfg_read(at + 1, 1)) {
		ck_assert_uint_ge(at, 0x40);
		ck_assert_uint_eq(at % 4, 0);
		if (cfg_read(at, 1) == 0x09 && cfg_read(at + 3, 1) == type)
			return at;
	}
	ck_assert_uint_eq(at, 0);
	return 0;
}

static void expect_window(uint8_t type, uint32_t offset, uint32_t len)
{
	uint32_t at = find_virtio(type);

	ck_assert_uint_ne(at, 0);
	ck_assert_uint_eq(cfg_read(at + 4, 1), 4);
	ck_assert_uint_eq(cfg_read(at + 8, 4), offset);
	ck_assert_uint_eq(cfg_read(at + 12, 4), len);
}

START_TEST(capabilities_are_found_by_walking)
{
	uint32_t at = cfg_read(0x34, 1), notify;
	unsigned int seen = 0;

	for (; at; at = cfg_read(at + 1, 1))
		seen |= 1u << cfg_read(at, 1);
	/* Power, vendor's, Express, MSI-X. */
	ck_assert_uint_eq(seen, 1u << 1 | 1u << 9 | 1u << 0x10 | 1u << 0x11);
	expect_window(1, 0x0000, 64);
	expect_window(3, 0x1000, 1);
	expect_window(4, 0x2000, sizeof(struct probe_config));
	expect_window(2, 0x3000, PROBE_QUEUES * 4);
	notify = find_virtio(2);
	ck_assert_uint_eq(cfg_read(notify + 2, 1), 20);
	ck_assert_uint_eq(cfg_read(notify + 16, 4), 4);
	ck_assert_uint_ne(find_virtio(5), 0);
	/* MSI-X: how many, and where. */
	ck_assert_uint_eq(cfg_read(CFG_MSIX_CONTROL, 2), PCI_RIG_VECTORS - 1);
	ck_assert_uint_eq(cfg_read(CFG_MSIX_CONTROL + 2, 4) & 7, 0);
	ck_assert_uint_eq(cfg_read(CFG_MSIX_CONTROL + 6, 4) & 7, 0);
}
END_TEST

START_TEST(a_device_without_configuration_has_no_capability_for_it)
{
	struct pvio_device *dev, *probe_dev = rrig.dev;
	struct pvio_pci *pci = prig.pci;

	ck_assert_int_eq(pvio_device_create("rng",
					    "model = \"rng\"; transport = { "
					    "type = \"pci\"; vectors = 1; };",
					    rrig.control, &rrig.control, 1,
					    &dev),
			 0);
	prig.pci = pvio_pci_of(dev);
	ck_assert_uint_eq(find_virtio(4), 0);
	ck_assert_uint_ne(find_virtio(2), 0);
	ck_assert_uint_eq(reg_read(REG_DEVICE, 1), 0xff);
	ck_assert_uint_eq(pvio_pci_nr_vectors(prig.pci), 1);
	prig.pci = pci;
	rrig.dev = probe_dev;
	pvio_device_destroy(dev);
}
END_TEST

START_TEST(bars_are_sized_and_moved)
{
	cfg_write(CFG_BAR0, 4, 0xffffffff);
	ck_assert_uint_eq(cfg_read(CFG_BAR0, 4),
			  (uint32_t)~(pvio_pci_bar_size(prig.pci, 0) - 1));
	cfg_write(CFG_BAR4, 4, 0xffffffff);
	cfg_write(CFG_BAR4 + 4, 4, 0xffffffff);
	ck_assert_uint_eq(cfg_read(CFG_BAR4, 4), 0xffffc00c);
	ck_assert_uint_eq(cfg_read(CFG_BAR4 + 4, 4), 0xffffffff);
	ck_assert_uint_eq(pvio_pci_bar_size(prig.pci, 4), 0x4000);
	/* Nothing is decoded yet, so nobody hears of it. */
	ck_assert_uint_eq(prig.moves, 0);

	pci_rig_enable();
	ck_assert_uint_eq(prig.moves, 2);
	ck_assert(prig.bar[0].is_enabled && prig.bar[4].is_enabled);
	ck_assert_uint_eq(prig.bar[0].address, 0xe0000000);
	ck_assert_uint_eq(prig.bar[4].address, 0x3800000000);
	cfg_write(CFG_BAR4 + 4, 4, 0x39);
	ck_assert_uint_eq(prig.moves, 3);
	ck_assert_uint_eq(prig.bar[4].address, 0x3900000000);
	cfg_write(CFG_COMMAND, 2, CMD_MASTER);
	ck_assert_uint_eq(prig.moves, 5);
	ck_assert(!prig.bar[0].is_enabled && !prig.bar[4].is_enabled);
	/* The same again is no move. */
	cfg_write(CFG_COMMAND, 2, CMD_MASTER);
	ck_assert_uint_eq(prig.moves, 5);
}
END_TEST

START_TEST(only_some_bits_can_be_written)
{
	size_t i;

	for (i = 0; i < 4096; i++)
		cfg_write(i, 1, i == CFG_DEVICE_CONTROL + 1 ? 0x7f : 0xff);
	ck_assert_uint_eq(cfg_read(0, 4), (0x1040u + 4242) << 16 | 0x1af4);
	ck_assert_uint_eq(cfg_read(CFG_COMMAND, 2), 0x546);
	ck_assert_uint_eq(cfg_read(CFG_STATUS, 2), 0x10);
	ck_assert_uint_eq(cfg_read(0x0c, 4), 0xff);
	ck_assert_uint_eq(cfg_read(CFG_BAR0 + 4, 4), 0);
	ck_assert_uint_eq(cfg_read(0x30, 4), 0); /* no ROM */
	ck_assert_uint_eq(cfg_read(0x34, 1), 0x40);
	ck_assert_uint_eq(cfg_read(0x3c, 2), 0x01ff);
	ck_assert_uint_eq(cfg_read(CFG_MSIX_CONTROL, 2), 0xc004);
	ck_assert_uint_eq(cfg_read(CFG_POWER, 2), 0x0003);
	ck_assert_uint_eq(cfg_read(0x100, 4), 0);
}
END_TEST

/* --- as configured ------------------------------------------------------- */

START_TEST(vectors_out_of_range_are_a_configuration_error)
{
	struct pvio_device *dev;

	ck_assert_int_eq(pvio_device_create("other",
					    "model = \"probe\"; transport = { "
					    "type = \"pci\"; vectors = 2049; };",
					    rrig.control, &rrig.control, 1,
					    &dev),
			 -EINVAL);
}
END_TEST

static void note_bar(void *arg, unsigned int bar, uint64_t address,
		     bool is_enabled)
{
	unsigned int *moved = arg;

	(void)address;
	(void)is_enabled;
	*moved |= 1u << bar;
}

START_TEST(without_vectors_there_is_no_msix)
{
	static const struct pvio_pci_host host = { .bar_moved = note_bar };
	struct pvio_device *dev;
	unsigned int moved = 0;
	uint32_t at;

	ck_assert_int_eq(pvio_device_create("rng",
					    "model = \"rng\"; transport = { "
					    "type = \"pci\"; vectors = 0; };",
					    rrig.control, &rrig.control, 1,
					    &dev),
			 0);
	prig.pci = pvio_pci_of(dev);
	ck_assert_int_eq(pvio_pci_set_host(prig.pci, &host, &moved), 0);
	for (at = cfg_read(0x34, 1); at; at = cfg_read(at + 1, 1))
		ck_assert_uint_ne(cfg_read(at, 1), 0x11);
	ck_assert_uint_ne(find_virtio(1), 0);
	cfg_write(CFG_BAR0, 4, 0xffffffff);
	ck_assert_uint_eq(cfg_read(CFG_BAR0, 4), 0);
	ck_assert_uint_eq(pvio_pci_bar_size(prig.pci, 0), 0);
	reg_write(REG_CONFIG_VECTOR, 2, 0);
	ck_assert_uint_eq(reg_read(REG_CONFIG_VECTOR, 2), 0xffff);
	/* The host hears of the one BAR that is there. */
	pci_rig_enable();
	ck_assert_uint_eq(moved, 1u << 4);
	prig.pci = pvio_pci_of(rrig.dev);
	pvio_device_destroy(dev);
}
END_TEST

CHECK_MAIN("pci config", pci_rig_setup, regs_rig_teardown,
	   the_header_says_what_the_function_is,
	   disks_and_network_cards_have_their_class,
	   capabilities_are_found_by_walking,
	   a_device_without_configuration_has_no_capability_for_it,
	   bars_are_sized_and_moved, only_some_bits_can_be_written,
	   vectors_out_of_range_are_a_configuration_error,
	   without_vectors_there_is_no_msix)
