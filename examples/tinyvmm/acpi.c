// SPDX-License-Identifier: BSD-3-Clause
/*
 * acpi.c - what Linux is told of the machine
 *
 *	RSDP -> XSDT -> FADT -> DSDT   console, S5; PCI bus, register pages, or
 *	                               pvio's bus
 *	             -> MADT           processors and I/O APIC
 *
 * "Hardware-reduced" ACPI: there is no power-management hardware, only a port
 * to write to for the end (ACPI 6.4, 4.1).  The DSDT is the bytes a compiler
 * makes of the ASL beside them (20.2): one that follows 0x5b 0x82, 0x10, 0x11
 * or 0x12 is the length of what they begin, from itself on.
 */
#include "tinyvmm.h"

#include <pvio/bus-abi.h>

#include <string.h>

#define ACPI_AT	     0xe0000
#define ACPI_BYTES   0x2000
#define HEADER_BYTES 36
#define FADT_BYTES   276

static uint8_t *out; /* where the next byte goes */

static void put(const void *data, size_t len)
{
	memcpy(out, data, len);
	out += len;
}

/* @len bytes of @value, the lowest first. */
static void put_int(uint64_t value, size_t len)
{
	put(&value, len);
}

/* A string with bytes in it, but for the NUL at its end. */
#define PUT(string) put(string, sizeof(string) - 1)

static uint8_t checksum(const uint8_t *data, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum -= *data++;
	return sum;
}

/* The length, in two bytes, of what begins at @start and ends here. */
static void close_package(uint8_t *start)
{
	start[0] = 0x40 | ((out - start) & 15);
	start[1] = (out - start) >> 4;
}

static uint8_t *table_open(const char *signature, uint8_t revision)
{
	uint8_t *table = out;

	put(signature, 4);
	put_int(0, 4); /* length */
	put_int(revision, 2); /* and checksum */
	PUT("PVIO  TINYVMM \1\0\0\0PVIO\1\0\0\0");
	return table;
}

static uint64_t table_close(struct vm *vm, uint8_t *table)
{
	uint32_t len = out - table;

	memcpy(table + 4, &len, 4);
	table[9] = checksum(table, len);
	out += -len & 15;
	return table - vm->ram;
}

static void put_console(void)
{
	PUT("\x5b\x82\x25" "COM1"		/* Device (COM1) { */
	    "\x08_HID\x0c\x41\xd0\x05\x01"	/* Name (_HID, "PNP0501") */
	    "\x08_CRS\x11\x10\x0a\x0d"		/* Name (_CRS, Resource... { */
	    "\x47\x01\xf8\x03\xf8\x03\x01\x08"	/* IO (0x3f8, 8 bytes) */
	    "\x22\x10\x00\x79\x00");		/* IRQNoFlags () {4} } } */
}

static void put_pci_bus(void)
{
	unsigned int i;

	PUT("\x5b\x82\x46\x0b" "PCI0"		/* Device (PCI0) { */
	    "\x08_HID\x0c\x41\xd0\x0a\x03"	/* Name (_HID, "PNP0A03") */
	    "\x08_CRS\x11\x37\x0a\x34"		/* Name (_CRS, Resource... { */
	    "\x88\x0d\0\x02\x0c\0\0\0\0\0\0\0\0\0\1\0" /* buses 0 to 0 */
	    "\x47\x01\xf8\x0c\xf8\x0c\x01\x08"	/* IO (0xcf8, 8 bytes) */
	    "\x87\x17\0\0\x0c\x01\0\0\0\0");	/* DWordMemory (...) */
	put_int(PCI_WINDOW, 4);
	put_int(PCI_WINDOW + PCI_WINDOW_BYTES - 1, 4);
	put_int(0, 4);
	put_int(PCI_WINDOW_BYTES, 4);
	PUT("\x79\x00"				/* } */
	    "\x08_PRT\x12\x43\x06\x08");	/* Name (_PRT, Package () { */
	for (i = 0; i < NR_CARDS_MAX; i++) {
		PUT("\x12\x0b\x04\x0c\xff\xff"); /* { slot, INTA, 0, irq } */
		put_int(i + 1, 4);
		put_int(0x0a | (CARD_GSI + i) << 8, 2);
	}
}

static void put_register_page(unsigned int i)
{
	const uint8_t digit = '0' + i;

	PUT("\x5b\x82\x3b" "VIO");		/* Device (VIOn) { */
	put(&digit, 1);
	PUT("\x08_HID\x0dLNRO0005\0"		/* what Linux calls them */
	    "\x08_UID\x0a");
	put_int(i, 1);
	PUT("\x08_CRS\x11\x1a\x0a\x17"		/* Name (_CRS, Resource... { */
	    "\x86\x09\0\1");			/* Memory32Fixed (...) */
	put_int(MMIO_WINDOW + i * 0x1000, 4);
	put_int(0x1000, 4);
	PUT("\x89\x06\0\x01\x01");		/* Interrupt (Level, High) */
	put_int(CARD_GSI + i, 4);
	PUT("\x79\x00");			/* } } */
}

/* pvio's bus: the window of its registers, if any, and its interrupts. */
static void put_hypercall_bus(enum bus_kind bus)
{
	uint8_t *device, *buffer, *start;
	unsigned int i;

	PUT("\x5b\x82");			/* Device (PVIO) { */
	device = out;
	PUT("..PVIO\x08_HID\x0dPVIO0001\0"	/* Name (_HID, "PVIO0001") */
	    "\x08_UID\0"			/* Name (_UID, 0) */
	    "\x08_CRS\x11");			/* Name (_CRS, Resource... { */
	buffer = out;
	PUT("..\x0a.");
	start = out;
	if (bus == BUS_PVIO_PIO) {
		PUT("\x47\x01");		/* IO (...) */
		put_int(HYPERCALL_PORT, 2);
		put_int(HYPERCALL_PORT, 2);
		put_int(1, 1);
		put_int(PVIO_BUS_REG_BYTES, 1);
	} else if (bus == BUS_PVIO_MMIO || bus == BUS_PVIO_HYPERV) {
		PUT("\x86\x09\0\1");		/* Memory32Fixed (...) */
		put_int(MMIO_WINDOW, 4);
		put_int(PVIO_BUS_REG_BYTES, 4);
	}
	for (i = 0; i < NR_HYPERCALL_GSIS; i++) {
		PUT("\x89\x06\0\x03\x01");	/* Interrupt (Edge, High) */
		put_int(HYPERCALL_GSI + i, 4);
	}
	PUT("\x79\x00");			/* } } */
	start[-1] = out - start;
	close_package(buffer);
	close_package(device);
}

static uint64_t build_dsdt(struct vm *vm)
{
	uint8_t *table = table_open("DSDT", 2), *scope;
	unsigned int i;

	PUT("\x08_S5_\x12\x07\x04\x0a\x05\0\0\0"); /* Name (_S5, {5, ...}) */
	PUT("\x10");				/* Scope (\_SB) { */
	scope = out;
	PUT("..\\_SB_");
	put_console();
	if (vm->bus == BUS_PCI)
		put_pci_bus();
	for (i = 0; vm->bus == BUS_MMIO && i < cards_count(); i++)
		put_register_page(i);
	if (hypercall_is_bus(vm->bus))
		put_hypercall_bus(vm->bus);
	close_package(scope);
	return table_close(vm, table);
}

static uint64_t build_fadt(struct vm *vm)
{
	/* A byte at a port, as generic address; nothing is at the second. */
	const uint8_t high = POWER_PORT >> 8, low = POWER_PORT & 0xff;
	const uint8_t power[] = { 1, 8, 0, 1, low, high };
	const uint8_t status[] = { 1, 8, 0, 1, low + 2, high };
	/* Reduced; can reset; has WBINVD. */
	uint32_t flags = 1u << 20 | 1u << 10 | 1;
	uint64_t dsdt = build_dsdt(vm);
	uint8_t *fadt = table_open("FACP", 6);

	out += FADT_BYTES - HEADER_BYTES;
	fadt[109] = 1 << 5 | 1 << 2;	/* neither clock nor VGA */
	memcpy(fadt + 112, &flags, 4);
	memcpy(fadt + 116, power, 6);	/* RESET_REG */
	memcpy(fadt + 140, &dsdt, 8);
	memcpy(fadt + 244, power, 6);	/* SLEEP_CONTROL_REG */
	memcpy(fadt + 256, status, 6);	/* SLEEP_STATUS_REG */
	return table_close(vm, fadt);
}

static uint64_t build_madt(struct vm *vm)
{
	uint8_t *madt = table_open("APIC", 4);
	unsigned int i;

	put_int(0xfee00000, 8);
	for (i = 0; i < vm->nr_cpus; i++)
		put((uint8_t[]){ 0, 8, i, i, 1, 0, 0, 0 }, 8);
	PUT("\1\x0c\0\0");
	put_int(0xfec00000, 8); /* for interrupts from 0 on */
	return table_close(vm, madt);
}

uint64_t acpi_build(struct vm *vm)
{
	uint64_t fadt, madt, xsdt;
	uint8_t *table;

	out = vm_ram(vm, ACPI_AT, ACPI_BYTES);
	fadt = build_fadt(vm);
	madt = build_madt(vm);
	table = table_open("XSDT", 1);
	put_int(fadt, 8);
	put_int(madt, 8);
	xsdt = table_close(vm, table);

	table = out;
	PUT("RSD PTR \0PVIO  \2\0\0\0\0");
	put_int(HEADER_BYTES, 4);
	put_int(xsdt, 8);
	put_int(0, 4);
	table[8] = checksum(table, 20);
	table[32] = checksum(table, HEADER_BYTES);
	return table - vm->ram;
}
