/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot.h - what a VMM and the freestanding guest agree on
 *
 * The guest is a static 64-bit ELF whose segments are loaded at their physical
 * addresses, from 1 MiB up, with the rest of memory zero.  It is entered with
 *
 *	long mode, paging on: the first 4 GiB mapped to themselves
 *	flat segments, CS 0x10 and the others 0x18, as Linux's 64-bit entry
 *	interrupts off, no IDT, no stack
 *	rdi: the physical address of a struct boot_info
 *
 * and then talks to
 *
 *	port 0x3f8   a 16550: bytes written are the console
 *	port 0x501   one byte written ends the VM: its exit status
 *	0xfee00000   a local APIC; 0xfec00000 an I/O APIC, 0x20, 0xa0 PICs
 *	port 0xcf8   PCI configuration mechanism 1, if there is PCI
 *
 * On arm64 it is entered at EL1 with the MMU off, and x0 for rdi; arm64/arch.h
 * has what it talks to.
 *
 * Devices on register pages stand on the command line as Linux has them:
 * virtio_mmio.device=BYTES@ADDRESS:IRQ.  pvio's bus is found by CPUID (see
 * connector.c), and the I/O APIC's input of its first interrupt, which others
 * follow, is there as pvio_bus.irq=N.
 */
#ifndef PVIO_BAREMETAL_BOOT_H
#define PVIO_BAREMETAL_BOOT_H

#include <stdint.h>

#define BOOT_LOAD_MIN    0x100000u
#define BOOT_CS          0x10
#define BOOT_DS          0x18
#define BOOT_SERIAL_PORT 0x3f8
#define BOOT_EXIT_PORT   0x501

#define BOOT_MAGIC 0x6f697670u /* "pvio" */

struct boot_info {
	uint32_t magic;
	uint32_t bytes;        /* of this struct */
	uint64_t memory_bytes; /* RAM, from 0 */
	uint64_t cmdline;      /* address of a text that ends in NUL, or 0 */
	uint64_t pci_window;   /* where BARs without an address may go ... */
	uint64_t pci_window_bytes; /* ... 0: there is no PCI */
};

#endif
