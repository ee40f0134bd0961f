/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pvh.S - the other way in: PVH, as stock QEMU's -kernel enters a 64-bit ELF
 *
 * A note in the file names a 32-bit entry: paging off, flat segments, %ebx
 * points to a struct hvm_start_info.  From it we make what boot.h promises, so
 * the rest of the guest runs on devices that others wrote, too:
 *
 *	qemu-system-x86_64 -nodefaults -display none -serial stdio -m 64
 *		-device isa-debug-exit,iobase=0x501 -kernel baremetal.elf ...
 *
 * which ends with status 1 for ok (0 * 2 + 1) and 3 for not ok.
 */
#define NOTE_PHYS32_ENTRY    18
#define START_INFO_CMDLINE   24 /* 64 bits */
#define BOOT_MAGIC	     0x6f697670
#define BOOT_INFO_BYTES	     40
#define MEMORY_BYTES	     0x3000000 /* what we use of -m 64 */

#define PAGE_PRESENT_WRITE   3
#define PAGE_LARGE	     0x80
#define TABLE_ENTRIES	     512
#define CR4_PAE		     0x20
#define CR0_PAGING	     0x80000000
#define MSR_EFER	     0xc0000080
#define EFER_LONG_MODE	     0x100
#define CODE_SELECTOR	     0x10
#define DATA_SELECTOR	     0x18

	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 4, NOTE_PHYS32_ENTRY
	.asciz	"Xen"
	.long	pvh_start

	.section .text
	.code32
pvh_start:
	cld
	mov	START_INFO_CMDLINE(%ebx), %eax
	mov	%eax, pvh_boot_info + 16

	/* 4 GiB in pages of 2 MiB: one table of four, four of 512. */
	mov	$pvh_level2, %edi
	mov	$(PAGE_PRESENT_WRITE | PAGE_LARGE), %eax
	mov	$(4 * TABLE_ENTRIES), %ecx
1:	mov	%eax, (%edi)
	add	$8, %edi
	add	$0x200000, %eax
	loop	1b
	mov	$pvh_level3, %edi
	mov	$(pvh_level2 + PAGE_PRESENT_WRITE), %eax
	mov	$4, %ecx
1:	mov	%eax, (%edi)
	add	$8, %edi
	add	$4096, %eax
	loop	1b
	movl	$(pvh_level3 + PAGE_PRESENT_WRITE), pvh_level4

	mov	$pvh_level4, %eax
	mov	%eax, %cr3
	mov	%cr4, %eax
	or	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LONG_MODE, %eax
	wrmsr
	mov	%cr0, %eax
	or	$CR0_PAGING, %eax
	mov	%eax, %cr0

	lgdt	gdt_pointer
	mov	$DATA_SELECTOR, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	ljmp	$CODE_SELECTOR, $pvh_long_mode

	.code64
pvh_long_mode:
	mov	$pvh_boot_info, %edi
	jmp	start

	.section .data
	.balign	8
pvh_boot_info:
	.long	BOOT_MAGIC, BOOT_INFO_BYTES
	.quad	MEMORY_BYTES
	.quad	0		/* cmdline */
	.quad	0, 0		/* the firmware gave BARs their addresses */

	.section .bss
	.balign	4096
pvh_level4:
	.skip	4096
pvh_level3:
	.skip	4096
pvh_level2:
	.skip	4 * 4096

	.section .note.GNU-stack, "", @progbits
