/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * start.S - the first instructions, and those of every interrupt
 *
 * The VMM's descriptor table may have been for its own use, so we load ours,
 * with the same selectors: the segments in use stay as they are.
 */
#include "vectors.h"

#define STACK_BYTES 16384

	.section .text
	.code64
	.globl start
start:
	cli
	cld
	lea	stack_top(%rip), %rsp
	lgdt	gdt_pointer(%rip)
	xor	%ebp, %ebp
	call	bare_main
1:	hlt
	jmp	1b

/*
 * One entry a vector, VECTOR_ENTRY_BYTES apart: the vector's number on top of
 * the error code, which not every exception has.
 */
	.balign	VECTOR_ENTRY_BYTES
	.globl	bare_vector_entries
bare_vector_entries:
	.set	vector, 0
	.rept	VECTOR_COUNT
	.balign	VECTOR_ENTRY_BYTES
	.if	((VECTOR_ERROR_CODES >> (vector & 31)) & 1) == 0 || vector >= 32
	push	$0
	.endif
	push	$vector
	jmp	interrupt
	.set	vector, vector + 1
	.endr

/* C code changes these and no others: it has no vector registers. */
interrupt:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	mov	72(%rsp), %rdi
	mov	88(%rsp), %rsi
	mov	80(%rsp), %rdx
	/* 16 byte alignment: 5 words of the CPU's, 2 of ours, 9 registers. */
	call	bare_interrupt
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

	.section .data
	.balign	16
gdt:	.quad	0, 0
	.quad	0x00af9b000000ffff	/* BOOT_CS: 64-bit code */
	.quad	0x00cf93000000ffff	/* BOOT_DS */
	.globl	gdt_pointer
gdt_pointer:
	.word	. - gdt - 1
	.quad	gdt

	.section .bss
	.balign	16
	.skip	STACK_BYTES
stack_top:

	.section .note.GNU-stack, "", @progbits
