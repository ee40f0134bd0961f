// SPDX-License-Identifier: BSD-3-Clause
/*
 * bars-guest.c - a guest that puts the BARs of two disks where no guest should:
 * at address 0, and all at one address, again and again
 *
 * Entered as guest/baremetal/boot.h says.  Exit status 0: the first disk's
 * registers still answer when its BAR is somewhere sensible.
 */
#include "guest/baremetal/boot.h"

#define WINDOW	   0xe0000000u
#define CONFIG	   0x80000000u
#define STATUS	   0x14 /* of the common configuration */
#define NR_MOVES   100

static void out(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static void config_write(unsigned int slot, unsigned int reg, uint32_t value)
{
	out(0xcf8, CONFIG | slot << 11 | reg);
	out(0xcfc, value);
}

static void __attribute__((noreturn)) end(uint8_t status)
{
	__asm__ volatile("outb %0, %1" : :
			 "a"(status), "Nd"((uint16_t)BOOT_EXIT_PORT));
	for (;;)
		;
}

void bars_main(void)
{
	volatile uint8_t *status = (volatile uint8_t *)(uintptr_t)
		(WINDOW + STATUS);
	unsigned int slot, i;

	for (i = 0; i < NR_MOVES; i++) {
		for (slot = 1; slot <= 2; slot++) {
			/* BAR 4, low and high. */
			config_write(slot, 0x20, i & 1 ? WINDOW : 0);
			config_write(slot, 0x24, 0);
			config_write(slot, 0x04, 2); /* it answers */
		}
		for (slot = 1; slot <= 2; slot++)
			config_write(slot, 0x04, 0);
	}
	config_write(1, 0x20, WINDOW);
	config_write(1, 0x04, 2);
	*status = 1;
	end(*status != 1);
}

__asm__(".globl _start\n"
	"_start: movl $0x200000, %esp\n"
	"	call bars_main\n");
