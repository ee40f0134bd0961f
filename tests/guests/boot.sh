#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# boot.sh - SeaBIOS boots a sector from the disk, which reads and writes it:
# the fastest driver not of ours, and one that polls

needs_sid=1
. "$(dirname "$0")/lib.sh"
. "$here/vfio-user.bash"

boot_image()
{
	have as ld
	image disk.img 1
	"$(program blktool)" fill disk.img 4096 32768 3
	as --32 -o boot.o "$here/boot-sector.S"
	ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o boot.bin boot.o
	dd if=boot.bin of=disk.img conv=notrunc status=none
}

# boot ARGS...: QEMU, with the disk as its arguments say
boot()
{
	local rc=0

	timeout 30 "${qemu[@]}" -accel tcg -nodefaults -nographic \
		-no-reboot -m 64 -serial stdio -boot c \
		-object memory-backend-memfd,id=m,size=64M,share=on \
		-machine memory-backend=m "$@" \
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

boot_case()
{
	qemu_of=${PVIO_TEST_QEMU:-stable}
	qemu_get
	boot_image
	disk_start "$1" "$PWD/disk.img"
	boot -chardev "socket,id=d,path=$PWD/disk.sock" \
		-device "vhost-user-blk-pci,chardev=d,bootindex=0${2:+,$2}"
}

vfio_user_case()
{
	[ -z "$PVIO_TEST_PEER" ] || skip "pvio's only"
	vfu_serve "$2"
	boot_image
	disk_start "$1" "$PWD/disk.img"
	boot -device "$(vfu_json disk.sock '"bootindex":0')"
}

run_case boot-seabios boot_case pviod
run_case boot-seabios-modern boot_case pvio-block disable-legacy=on
run_case boot-seabios-vfio-user-trap vfio_user_case pviod trap
run_case boot-seabios-vfio-user-poll vfio_user_case pviod poll
run_case boot-seabios-vfio-user-program vfio_user_case pvio-block trap
finish
