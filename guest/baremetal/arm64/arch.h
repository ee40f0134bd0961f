/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arch.h - what runtime.h needs of arm64, in tests/guests/smccc-vmm.c
 *
 *	0x09000000   a byte written is the console
 *	0x09000008   a byte written ends the VM: its exit status
 *
 * The MMU stays off, so that all memory is a device's to the CPU: accesses are
 * aligned, which the compiler is told.
 */
#ifndef PVIO_BAREMETAL_ARCH_H
#define PVIO_BAREMETAL_ARCH_H

#include <stddef.h>
#include <stdint.h>

#define ARM64_CONSOLE 0x09000000u
#define ARM64_EXIT    0x09000008u

static inline void arm64_write8(uint32_t at, uint8_t value)
{
	*(volatile uint8_t *)(uintptr_t)at = value;
}

static inline void bare_console(char c)
{
	arm64_write8(ARM64_CONSOLE, (uint8_t)c);
}

static inline void bare_end(uint8_t status)
{
	arm64_write8(ARM64_EXIT, status);
	for (;;)
		__asm__ volatile("wfi");
}

/* Volatile, or the compiler makes memcpy() of it, which calls this. */
static inline void bare_copy(void *to, const void *from, size_t n)
{
	volatile uint8_t *t = to;
	const uint8_t *f = from;

	while (n--)
		*t++ = *f++;
}

static inline void bare_fill(void *to, int byte, size_t n)
{
	volatile uint8_t *t = to;

	while (n--)
		*t++ = (uint8_t)byte;
}

#endif
