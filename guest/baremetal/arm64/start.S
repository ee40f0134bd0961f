/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * start.S - the first instructions on arm64: EL1, MMU off, interrupts masked,
 * x0 the address of a struct boot_info
 */
#define STACK_BYTES 16384

	.section .text
	.globl	start
start:
	ldr	x1, =stack_top
	mov	sp, x1
	bl	bare_main
1:	wfi
	b	1b

	.section .bss
	.balign	16
	.skip	STACK_BYTES
stack_top:

	.section .note.GNU-stack, "", %progbits
