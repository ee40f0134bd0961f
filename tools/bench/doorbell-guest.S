/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doorbell-guest.S - what the virtual CPU of pvio-bench doorbell runs
 *
 * Loops that differ in one instruction.  The host copies all of it into guest
 * memory, so it refers to nothing, and enters one:
 *
 *	r15	rings to make before the end port is written
 *	r14	goes to rax before each: a hypercall's number; its result
 *		comes back there
 *	others	what the instruction takes
 *
 * Continued after the end port, a loop starts again with the r15 it is given.
 */
#include "doorbell-guest.h"

	.section .rodata
	.code64
	.globl doorbell_guest, doorbell_guest_end

	.macro ring name, instruction:vararg
	.globl	doorbell_loop_\name
doorbell_loop_\name:
	mov	%r14, %rax
	\instruction
	dec	%r15
	jnz	doorbell_loop_\name
	out	%al, $DOORBELL_END_PORT
	jmp	doorbell_loop_\name
	.endm

doorbell_guest:
	ring	none
	ring	pio, out %eax, %dx
	ring	mmio, mov %eax, (%rdi)
	ring	wrmsr, wrmsr
	ring	vmcall, vmcall
	ring	vmmcall, vmmcall
doorbell_guest_end:

	.section .note.GNU-stack, "", @progbits
