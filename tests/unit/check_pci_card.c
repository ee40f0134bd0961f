/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_pci_card.c - a PCI function that is no virtio device: its configuration
 * space, BARs and power
 *
 * Control worker, host and driver are all on this thread.
 */
#include "tests/little-card.h"

#include <errno.h>

#define CFG_BAR2    0x18
#define CFG_CAPS    0x34
#define CFG_POWER   0xa8
#define CFG_EXPRESS 0xac
#define CFG_CONTROL (CFG_EXPRESS + 8)
#define HAS_FLR     (1u << 28)
#define FLR         0x8000

/* --- a driver, by the function itself ------------------------------------ */

static uint32_t cfg_read(size_t offset, size_t len)
{
	uint32_t value = 0;

	pci_config_read(&card.pci, offset, &value, len);
	return le32toh(value);
}

/* Is it over at once? */
static bool cfg_write(size_t offset, size_t len, uint32_t value)
{
	static bool is_done;

	is_done = false;
	value = htole32(value);
	pci_config_write(&card.pci, offset, &value, len, on_done, &is_done);
	return is_done;
}

static uint32_t reg_read(uint64_t offset)
{
	uint32_t value = 0;

	pci_bar_read(&card.pci, BAR, offset, &value, sizeof(value));
	return value;
}

static void reg_write(uint64_t offset, uint32_t value)
{
	bool is_done = false;

	pci_bar_write(&card.pci, BAR, offset, &value, sizeof(value), on_done,
		      &is_done);
	ck_assert(is_done);
}

/* Let the card have done what it was asked last. */
static void release(int rc)
{
	struct held held = card.held;

	ck_assert_ptr_nonnull(held.done);
	card.held.done = NULL;
	held.done(held.arg, rc);
}

START_TEST(function_is_what_its_card_says)
{
	ck_assert_uint_eq(cfg_read(0x00, 4), 0x70771234);
	ck_assert_uint_eq(cfg_read(0x08, 4), 0x08800003);
	ck_assert_uint_eq(cfg_read(0x2c, 4), 0x22221111);
	ck_assert_uint_eq(cfg_read(0x3d, 1), 0); /* no INTx, nor a way to ... */
	cfg_write(CFG_COMMAND, 2, 0xffff);
	ck_assert_uint_eq(cfg_read(CFG_COMMAND, 2) & 0x400, 0); /* disable it */
}
END_TEST

START_TEST(bars_are_sized_as_the_card_says)
{
	static const uint32_t sizes[PVIO_PCI_NR_BARS] = {
		0xffff0000, 0, 0xfffff000, 0, 0, 0,
	};
	unsigned int i;

	for (i = 0; i < PVIO_PCI_NR_BARS; i++) {
		cfg_write(0x10 + 4 * i, 4, UINT32_MAX);
		ck_assert_uint_eq(cfg_read(0x10 + 4 * i, 4), sizes[i]);
		ck_assert_uint_eq(pci_bar_size(&card.pci, i),
				  (uint32_t)-sizes[i]);
	}
}
END_TEST

START_TEST(capabilities_are_those_of_every_function)
{
	static const uint8_t ids[] = { PCI_CAP_ID_MSIX, PCI_CAP_ID_POWER,
				       PCI_CAP_ID_EXPRESS };
	size_t at = cfg_read(CFG_CAPS, 1);
	unsigned int i;

	for (i = 0; i < pvio_array_size(ids); i++) {
		ck_assert_uint_eq(cfg_read(at, 1), ids[i]);
		at = cfg_read(at + 1, 1);
	}
	ck_assert_uint_eq(at, 0);
	ck_assert(cfg_read(CFG_EXPRESS + 4, 4) & HAS_FLR);
}
END_TEST

START_TEST(card_sees_what_is_in_its_bar_only)
{
	uint64_t wide = 0;

	ck_assert_uint_eq(reg_read(REG_VALUE), NO_VALUE);
	reg_write(REG_VALUE, 0x1234);
	ck_assert_uint_eq(reg_read(REG_VALUE), 0x1234);
	ck_assert_uint_eq(card.writes, 1);
	/* What the card does not know reads as ones ... */
	ck_assert_uint_eq(reg_read(0x10), UINT32_MAX);
	/* ... and what is not all in the BAR never gets there. */
	reg_write(BAR_BYTES - 2, 1);
	reg_write(UINT64_MAX - 1, 1);
	pci_bar_read(&card.pci, BAR, BAR_BYTES - 4, &wide, sizeof(wide));
	ck_assert(wide == UINT64_MAX);
	pci_bar_read(&card.pci, BAR + 1, REG_VALUE, &wide, sizeof(wide));
	ck_assert(wide == UINT64_MAX);
	ck_assert_uint_eq(card.writes, 1);
	/* Nor does what was dealt with on the way. */
	reg_write(REG_RING, 1);
	ck_assert_uint_eq(card.writes, 1);
}
END_TEST

START_TEST(card_works_while_it_is_bus_master_with_power)
{
	ck_assert_uint_eq(card.unquiesces, 0);
	ck_assert(cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER));
	ck_assert(card.works);
	/* Going to D3hot, and giving bus mastering up, wait for it. */
	card.is_holding = true;
	ck_assert(!cfg_write(CFG_POWER, 2, 3));
	ck_assert(!card.works);
	release(0);
	ck_assert(cfg_write(CFG_COMMAND, 2, CMD_MEMORY));
	ck_assert_uint_eq(card.quiesces, 1);
	ck_assert(cfg_write(CFG_POWER, 2, 0));
	ck_assert(!card.works);
	ck_assert(cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER));
	ck_assert(card.works);
	ck_assert(!cfg_write(CFG_COMMAND, 2, CMD_MEMORY));
	release(0);
	ck_assert_uint_eq(card.quiesces, 2);
	ck_assert_uint_eq(card.unquiesces, 2);
	ck_assert_ptr_null(card.broken);
}
END_TEST

START_TEST(card_that_cannot_be_quiet_is_broken)
{
	cfg_write(CFG_COMMAND, 2, CMD_MASTER);
	card.is_holding = true;
	ck_assert(!cfg_write(CFG_COMMAND, 2, 0));
	release(-EBUSY);
	ck_assert_ptr_nonnull(card.broken);
}
END_TEST

START_TEST(flr_resets_the_card_and_is_not_waited_for)
{
	cfg_write(CFG_BAR2, 4, 0xfebf0000);
	cfg_write(CFG_COMMAND, 2, CMD_MEMORY | CMD_MASTER);
	reg_write(REG_VALUE, 1);
	card.is_holding = true;
	ck_assert(cfg_write(CFG_CONTROL, 2, FLR));
	ck_assert_uint_eq(card.resets, 1);
	/* Until it is over nobody is there. */
	ck_assert_uint_eq(cfg_read(0, 4), UINT32_MAX);
	ck_assert_uint_eq(reg_read(REG_VALUE), UINT32_MAX);
	release(0);
	ck_assert_uint_eq(card.quiesces, 1);
	ck_assert_uint_eq(cfg_read(0, 4), UINT32_MAX);
	release(0);
	ck_assert_uint_eq(cfg_read(0, 4), 0x70771234);
	ck_assert_uint_eq(cfg_read(CFG_COMMAND, 2), 0);
	ck_assert_uint_eq(cfg_read(CFG_BAR2, 4), 0);
	ck_assert_uint_eq(reg_read(REG_VALUE), NO_VALUE);
	ck_assert(!card.works);
}
END_TEST

/* --- a window ------------------------------------------------------------ */

START_TEST(window_is_a_bar_of_64_bits)
{
	ck_assert_uint_eq(pci_bar_size(&card.pci, WINDOW), 0);
	window_open();
	ck_assert_uint_eq(pci_bar_size(&card.pci, WINDOW), WINDOW_BYTES);
	ck_assert_uint_eq(pci_bar_size(&card.pci, WINDOW + 1), 0);
	ck_assert_uint_eq(cfg_read(0x20, 4), PCI_BAR_64 | PCI_BAR_PREFETCH);
	cfg_write(0x20, 4, UINT32_MAX);
	cfg_write(0x24, 4, UINT32_MAX);
	ck_assert_uint_eq(cfg_read(0x20, 4),
			  0xfff00000 | PCI_BAR_64 | PCI_BAR_PREFETCH);
	ck_assert_uint_eq(cfg_read(0x24, 4), UINT32_MAX);
	/* A reset takes its address, and not the window. */
	ck_assert(cfg_write(CFG_CONTROL, 2, FLR));
	ck_assert_uint_eq(cfg_read(0x20, 4), PCI_BAR_64 | PCI_BAR_PREFETCH);
	ck_assert_uint_eq(pci_bar_size(&card.pci, WINDOW), WINDOW_BYTES);
	window_close();
}
END_TEST

START_TEST(accesses_to_the_window_are_to_its_file)
{
	static const uint8_t pattern[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	uint8_t bytes[sizeof(pattern)];
	bool is_done = false;
	uint64_t wide;
	size_t len;

	window_open();
	for (len = 1; len <= sizeof(pattern); len++) {
		pci_bar_write(&card.pci, WINDOW, 64 * len, pattern, len,
			      on_done, &is_done);
		ck_assert(is_done);
		ck_assert_mem_eq(window + 64 * len, pattern, len);
		ck_assert_uint_eq(window[64 * len + len], 0);
		pci_bar_read(&card.pci, WINDOW, 64 * len, bytes, len);
		ck_assert_mem_eq(bytes, pattern, len);
		pci_bar_read(&card.pci, WINDOW, 64 * len + 1, bytes, len);
		ck_assert_mem_eq(bytes, window + 64 * len + 1, len);
	}
	/* What is not all inside is nowhere. */
	window[WINDOW_BYTES - 1] = 0x5a;
	pci_bar_read(&card.pci, WINDOW, WINDOW_BYTES - 4, &wide, 8);
	ck_assert(wide == UINT64_MAX);
	pci_bar_write(&card.pci, WINDOW, WINDOW_BYTES - 1, pattern, 2, on_done,
		      &is_done);
	pci_bar_write(&card.pci, WINDOW, UINT64_MAX, pattern, 2, on_done,
		      &is_done);
	ck_assert_uint_eq(window[WINDOW_BYTES - 1], 0x5a);
	/* The card sees nothing of all that. */
	ck_assert_uint_eq(card.writes, 0);
	window_close();
}
END_TEST

START_TEST(window_whose_file_shrinks_reads_as_zeros)
{
	uint64_t wide = 1;

	window_open();
	memset(window, 0xff, WINDOW_BYTES);
	ck_assert_int_eq(ftruncate(window_fd, 0), 0);
	pci_bar_read(&card.pci, WINDOW, 4096, &wide, sizeof(wide));
	ck_assert_uint_eq(wide, 0);
	window_close();
}
END_TEST

START_TEST(window_that_makes_no_sense_is_refused)
{
	struct pci_card_window good = { WINDOW, -1, WINDOW_OFFSET,
					WINDOW_BYTES },
			       bad;

	window_open();
	good.fd = window_fd;
#define REFUSED(member, value)                                        \
	do {                                                          \
		bad = good;                                           \
		bad.member = value;                                   \
		ck_assert_int_lt(pci_set_window(&card.pci, &bad), 0); \
	} while (0)
	REFUSED(bar, PCI_BAR_MSIX);
	REFUSED(bar, BAR);
	REFUSED(bar, BAR - 1);
	REFUSED(bar, PVIO_PCI_NR_BARS - 1);
	REFUSED(bar, UINT32_MAX);
	REFUSED(bytes, 2048);
	REFUSED(bytes, WINDOW_BYTES - 4096);
	REFUSED(offset, 4097);
	/* It ends behind its file. */
	REFUSED(offset, WINDOW_OFFSET + 4096);
	REFUSED(bytes, 1ULL << 63);
	REFUSED(fd, -1);
#undef REFUSED
	ck_assert_uint_eq(pci_bar_size(&card.pci, WINDOW), WINDOW_BYTES);
	/* None is one that does. */
	ck_assert_int_eq(
		pci_set_window(&card.pci,
			       &(struct pci_card_window){ .bytes = 0 }),
		0);
	ck_assert_uint_eq(pci_bar_size(&card.pci, WINDOW), 0);
	ck_assert_uint_eq(cfg_read(0x20, 4), 0);
	window_close();
}
END_TEST

CHECK_MAIN("pci-card", little_setup, little_teardown,
	   function_is_what_its_card_says, bars_are_sized_as_the_card_says,
	   capabilities_are_those_of_every_function,
	   card_sees_what_is_in_its_bar_only,
	   card_works_while_it_is_bus_master_with_power,
	   card_that_cannot_be_quiet_is_broken,
	   flr_resets_the_card_and_is_not_waited_for,
	   window_is_a_bar_of_64_bits, accesses_to_the_window_are_to_its_file,
	   window_whose_file_shrinks_reads_as_zeros,
	   window_that_makes_no_sense_is_refused)
