/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot-sector.S - the smallest guest: loaded by SeaBIOS's virtio-blk driver,
 * it reads 64 sectors at sector 8, inverts them, writes them at sector 128,
 * says so on the serial line, and ends QEMU through isa-debug-exit
 */
	.code16
	.globl _start
_start:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x7c00, %sp
	movb	%dl, drive
	movb	$0x42, %ah		/* extended read */
	call	disk

	movw	$0x1000, %ax
	movw	%ax, %es
	xorw	%di, %di
	movw	$(64 * 512 / 2), %cx
1:	notw	%es:(%di)
	addw	$2, %di
	loop	1b

	movl	$128, sector
	movb	$0x43, %ah		/* extended write */
	call	disk
	movw	$good, %si
	call	print
	movb	$0x10, %al
	jmp	leave

disk:
	movb	drive, %dl
	xorb	%al, %al
	movw	$packet, %si
	int	$0x13
	jc	1f
	ret
1:	movw	$bad, %si
	call	print
	movb	$0x11, %al
leave:
	outb	%al, $0xf4
	hlt
	jmp	leave

print:
	movw	$0x3f8, %dx
1:	lodsb
	testb	%al, %al
	jz	2f
	outb	%al, %dx
	jmp	1b
2:	ret

drive:	.byte	0
	.balign	4
packet:
	.byte	16, 0
	.word	64			/* sectors */
	.word	0, 0x1000		/* to 0x1000:0 */
sector:	.quad	8
good:	.asciz	"@@ ok inverted\r\n"
bad:	.asciz	"@@ not ok disk error\r\n"

	.org	510
	.word	0xaa55
