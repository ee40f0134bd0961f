// SPDX-License-Identifier: BSD-3-Clause
/*
 * acpi.c - what Linux is told of the machine
 *
 *	RSDP -> XSDT -> FADT -> DSDT   console, PCI bus, register pages, S5
 *	             -> MADT           processors and I/O APIC
 *
 * "Hardware-reduced" ACPI: there is no power-management hardware, only a port
 * to write to for the end (ACPI 6.4, 4.1).  The DSDT is the bytes a compiler
 * would have made of the ASL in the comments (20.2).
 */
#include "tinyvmm.h"

#include <string.h>

#define ACPI_AT	    0xe0000
#define ACPI_BYTES  0x10000
#define HEADER_BYTES 36

static uint8_t *out; /* where the next byte goes */

static void put(const void *data, size_t len)
{
	memcpy(out, data, len);
	out += len;
}

/* N bytes of VALUE, the lowest first. */
static void put_int(uint64_t value, size_t len)
{
	put(&value, len);
}

#define PUT(...)                                                               \
	put((const uint8_t[]){ __VA_ARGS__ },                                  \
	    sizeof((const uint8_t[]){ __VA_ARGS__ }))

static uint8_t *table_open(const char *signature, uint8_t revision)
{
	uint8_t *table = out;

	put(signature, 4);
	put_int(0, 4); /* length */
	put_int(revision, 2); /* and checksum */
	put("PVIO  TINYVMM ", 14);
	put_int(1, 4);
	put("PVIO", 4);
	put_int(1, 4);
	return table;
}

static uint8_t checksum(const uint8_t *data, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum -= *data++;
	return sum;
}

static void table_close(uint8_t *table)
{
	uint32_t len = out - table;

	memcpy(table + 4, &len, 4);
	table[9] = checksum(table, len);
	out += -len & 15;
}

/* A length of two bytes, of everything from itself on. */
static uint8_t *aml_open(void)
{
	out += 2;
	return out - 2;
}

static void aml_close(uint8_t *length)
{
	size_t len = out - length;

	length[0] = 0x40 | (len & 0xf);
	length[1] = len >> 4;
}

/* Name (NAME, ...) */
static void aml_name(const char *name)
{
	PUT(0x08);
	put(name, 4);
}

/* Device (NAME) {...}: aml_close() what it returns. */
static uint8_t *aml_device(const char *name)
{
	uint8_t *length;

	PUT(0x5b, 0x82);
	length = aml_open();
	put(name, 4);
	return length;
}

/* Name (_CRS, ResourceTemplate () {...}), of @len bytes that follow. */
static void aml_resources(uint8_t len)
{
	uint8_t *length;

	aml_name("_CRS");
	PUT(0x11);
	length = aml_open();
	PUT(0x0a, len);
	out += len;
	aml_close(length);
	out -= len;
}

static void dsdt_console(void)
{
	uint8_t *device = aml_device("COM1");

	aml_name("_HID");
	PUT(0x0c, 0x41, 0xd0, 0x05, 0x01);	/* EisaId ("PNP0501") */
	aml_resources(8 + 3 + 2);
	PUT(0x47, 1);				/* IO (Decode16, ...) */
	put_int(SERIAL_PORT, 2);
	put_int(SERIAL_PORT, 2);
	PUT(1, 8);
	PUT(0x22, 1 << SERIAL_GSI, 0);		/* IRQNoFlags () {4} */
	PUT(0x79, 0);
	aml_close(device);
}

static void dsdt_pci(unsigned int nr_slots)
{
	uint8_t *device = aml_device("PCI0"), *table, *row;
	unsigned int i;

	aml_name("_HID");
	PUT(0x0c, 0x41, 0xd0, 0x0a, 0x03);	/* EisaId ("PNP0A03") */
	aml_resources(16 + 8 + 26 + 2);
	PUT(0x88, 13, 0, 2, 0x0c, 0);		/* WordBusNumber (0 to 0) */
	PUT(0, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	PUT(0x47, 1, 0xf8, 0x0c, 0xf8, 0x0c, 1, 8); /* IO (0xcf8, 8 bytes) */
	PUT(0x87, 23, 0, 0, 0x0c, 1);		/* DWordMemory (...) */
	put_int(0, 4);
	put_int(PCI_WINDOW, 4);
	put_int(PCI_WINDOW + PCI_WINDOW_BYTES - 1, 4);
	put_int(0, 4);
	put_int(PCI_WINDOW_BYTES, 4);
	PUT(0x79, 0);

	aml_name("_PRT");			/* Package () { */
	PUT(0x12);
	table = aml_open();
	PUT(nr_slots);
	for (i = 0; i < nr_slots; i++) {
		PUT(0x12);			/*   { slot, INTA, 0, irq } */
		row = aml_open();
		PUT(4, 0x0c, 0xff, 0xff, i + 1, 0, 0x00, 0x00, 0x0a,
		    CARD_GSI + i);
		aml_close(row);
	}
	aml_close(table);
	aml_close(device);
}

static void dsdt_page(unsigned int i)
{
	const char name[] = { 'V', 'I', 'O', '0' + i };
	uint8_t *device = aml_device(name);

	aml_name("_HID");
	PUT(0x0d);
	put("LNRO0005", 9);			/* what Linux calls them */
	aml_name("_UID");
	PUT(0x0a, i);
	aml_resources(12 + 9 + 2);
	PUT(0x86, 9, 0, 1);			/* Memory32Fixed (...) */
	put_int(MMIO_WINDOW + i * 0x1000, 4);
	put_int(0x1000, 4);
	PUT(0x89, 6, 0, 1, 1);			/* Interrupt (Level, High) */
	put_int(CARD_GSI + i, 4);
	PUT(0x79, 0);
	aml_close(device);
}

static uint64_t build_dsdt(struct vm *vm)
{
	uint8_t *table = table_open("DSDT", 2), *scope;
	unsigned int i;

	aml_name("_S5_");			/* Package () { 5, 0, 0, 0 } */
	PUT(0x12, 8, 4, 0x0a, 5, 0x00, 0x00, 0x00);
	PUT(0x10);				/* Scope (\_SB) { */
	scope = aml_open();
	put("\\_SB_", 5);
	dsdt_console();
	if (!cards_are_mmio())
		dsdt_pci(cards_count());
	for (i = 0; cards_are_mmio() && i < cards_count(); i++)
		dsdt_page(i);
	aml_close(scope);
	table_close(table);
	return table - vm->ram;
}

/* A generic address: one byte at @port. */
static void put_port(uint8_t *fadt, unsigned int offset, uint16_t port)
{
	const uint8_t gas[] = { 1, 8, 0, 1, port & 0xff, port >> 8 };

	memcpy(fadt + offset, gas, sizeof(gas));
}

static uint64_t build_fadt(struct vm *vm)
{
	uint64_t dsdt = build_dsdt(vm);
	uint8_t *fadt = table_open("FACP", 6);
	uint32_t flags = 1u << 20 | 1u << 10 | 1; /* reduced; can reset; wbinvd */

	out += 276 - HEADER_BYTES;
	fadt[109] = 1 << 5 | 1 << 2;	/* neither clock nor VGA */
	memcpy(fadt + 112, &flags, 4);
	put_port(fadt, 116, POWER_PORT);	/* RESET_REG */
	memcpy(fadt + 140, &dsdt, 8);
	put_port(fadt, 244, POWER_PORT);	/* SLEEP_CONTROL_REG */
	put_port(fadt, 256, POWER_PORT + 2);	/* SLEEP_STATUS_REG: nothing */
	table_close(fadt);
	return fadt - vm->ram;
}

static uint64_t build_madt(struct vm *vm)
{
	uint8_t *madt = table_open("APIC", 4);
	unsigned int i;

	put_int(0xfee00000, 4);
	put_int(0, 4);
	for (i = 0; i < vm->nr_cpus; i++)
		PUT(0, 8, i, i, 1, 0, 0, 0);
	PUT(1, 12, 0, 0);
	put_int(0xfec00000, 8); /* for interrupts from 0 on */
	table_close(madt);
	return madt - vm->ram;
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
	table_close(table);
	xsdt = table - vm->ram;

	table = out;
	put("RSD PTR ", 8);
	put("\0PVIO  \2", 8);
	put_int(0, 4);
	put_int(HEADER_BYTES, 4);
	put_int(xsdt, 8);
	put_int(0, 4);
	table[8] = checksum(table, 20);
	table[32] = checksum(table, 36);
	return table - vm->ram;
}
