#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# boot.sh - SeaBIOS boots a sector from the disk, which reads and writes it:
# the fastest driver not of ours, and one that polls

. "$(dirname "$0")/lib.sh"

boot_case()
{
	local rc=0

	qemu_get
	have as ld
	image disk.img 1
	"$(program blktool)" fill disk.img 4096 32768 3
	as --32 -o boot.o "$here/boot-sector.S"
	ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o boot.bin boot.o
	dd if=boot.bin of=disk.img conv=notrunc status=none
	disk_start "$1" "$PWD/disk.img"
	timeout 30 "${qemu[@]}" -accel tcg -nodefaults -nographic \
		-no-reboot -m 64 -serial stdio -boot c \
		-object memory-backend-memfd,id=m,size=64M,share=on \
		-machine memory-backend=m \
		-chardev "socket,id=d,path=$PWD/disk.sock" \
		-device "vhost-user-blk-pci,chardev=d,bootindex=0${2:+,$2}" \
		-device isa-debug-exit,iobase=0xf4,iosize=4 \
		>guest.console 2>qemu.log </dev/null || rc=$?
	# isa-debug-exit: twice what was written to it, and one.
	[ "$rc" = 33 ] || fail "QEMU ended with $rc"
	grep -qa '@@ ok inverted' guest.console || fail "it said nothing"
	dd if=disk.img of=before bs=512 skip=8 count=64 status=none
	dd if=disk.img bs=512 skip=128 count=64 status=none |
		LC_ALL=C tr '\000-\377' "$(printf '\\%03o' {255..0})" >after
	cmp before after
}

run_case boot-seabios boot_case pviod
run_case boot-seabios-modern boot_case pvio-block disable-legacy=on
finish
