/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arch.h - what runtime.h needs of x86
 */
#ifndef PVIO_BAREMETAL_ARCH_H
#define PVIO_BAREMETAL_ARCH_H

#include "guest/baremetal/boot.h"

#include <stddef.h>
#include <stdint.h>

/* --- the outside, one instruction each ------------------------------------ */

static inline void bare_out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void bare_out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint32_t bare_in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

/*
 * Device registers: plain moves, of this width.  A compiler left to itself
 * would use others, which a host has to decode, too.
 */
#define BARE_ACCESSORS(bits, suffix, in, out)                                 \
	static inline uint##bits##_t bare_read##bits(const volatile void *at) \
	{                                                                     \
		uint##bits##_t value;                                         \
		__asm__ volatile("mov" suffix " %1, %0"                       \
				 : in(value)                                  \
				 : "m"(*(const volatile uint##bits##_t *)at)  \
				 : "memory");                                 \
		return value;                                                 \
	}                                                                     \
	static inline void bare_write##bits(volatile void *at,                \
					    uint##bits##_t value)             \
	{                                                                     \
		__asm__ volatile("mov" suffix " %1, %0"                       \
				 : "=m"(*(volatile uint##bits##_t *)at)       \
				 : out(value)                                 \
				 : "memory");                                 \
	}

BARE_ACCESSORS(8, "b", "=q", "q")
BARE_ACCESSORS(16, "w", "=r", "r")
BARE_ACCESSORS(32, "l", "=r", "r")
BARE_ACCESSORS(64, "q", "=r", "r")

static inline void bare_console(char c)
{
	bare_out8(BOOT_SERIAL_PORT, (uint8_t)c);
}

static inline void bare_end(uint8_t status)
{
	bare_out8(BOOT_EXIT_PORT, status);
	for (;;)
		__asm__ volatile("cli; hlt");
}

static inline void bare_copy(void *to, const void *from, size_t n)
{
	__asm__ volatile("rep movsb"
			 : "+D"(to), "+S"(from), "+c"(n)
			 :
			 : "memory");
}

static inline void bare_fill(void *to, int byte, size_t n)
{
	__asm__ volatile("rep stosb"
			 : "+D"(to), "+c"(n)
			 : "a"(byte)
			 : "memory");
}

#endif
