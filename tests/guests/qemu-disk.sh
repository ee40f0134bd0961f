#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# qemu-disk.sh - disks under Debian's QEMU and Linux: split and packed rings,
# one queue and two, read-only, resized while in use, and guest memory that is
# not shared

needs_kernel=1
. "$(dirname "$0")/lib.sh"

# disk_args QUEUES [PROPERTIES]: sets $disk_args for QEMU
disk_args()
{
	disk_args=(-smp "$1" -chardev "socket,id=d,path=$PWD/disk.sock,$reconnect"
		-device "vhost-user-blk-pci,chardev=d,num-queues=$1${2:+,$2}")
}

file_system_case()
{
	local server=$1 queues=$2 properties=${3-}

	qemu_get
	case $PVIO_TEST_PEER,$properties in
	qsd,*packed*) skip "qemu-storage-daemon has no packed rings" ;;
	esac
	image disk.img 64
	disk_start "$server" "$PWD/disk.img" "queues=$queues"
	steps guest <<-'END'
		step "file system" file_system /dev/vda
		step "write" blktool fill /dev/vda 50331648 4194304 7
		step "read" blktool check /dev/vda 50331648 4194304 7
		say queues $(ls /sys/block/vda/mq | wc -l)
		say discard $(cat /sys/block/vda/queue/discard_max_bytes)
		say features $(cat /sys/block/vda/device/features)
	END
	disk_args "$queues" "$properties"
	qemu_start guest "${disk_args[@]}"
	guest_done guest "$guest" 90
	"$(program blktool)" check disk.img 50331648 4194304 7
	e2fsck_clean disk.img
	[ "$(guest_word guest queues)" = "$queues" ] ||
		fail "the guest uses another number of queues"
	# Bit 34 (RING_PACKED) of the features that were agreed on.
	bits=$(guest_word guest features)
	case $properties in
	*packed=on*) [ "${bits:34:1}" = 1 ] || fail "not a packed ring" ;;
	*) [ "${bits:34:1}" = 0 ] || fail "not a split ring" ;;
	esac
}

discard_case()
{
	qemu_get
	image disk.img 16
	"$(program blktool)" fill disk.img 0 16777216 3
	disk_start pviod "$PWD/disk.img"
	steps guest <<-'END'
		step "read what the host wrote" blktool check /dev/vda 0 16777216 3
		step "discard" blkdiscard -o 1048576 -l 8388608 /dev/vda
		step "before it" blktool check /dev/vda 0 1048576 3
		step "after it" blktool check /dev/vda 9437184 7340032 3
	END
	disk_args 1
	qemu_start guest "${disk_args[@]}"
	guest_done guest "$guest" 60
	[ "$(stat -c %b disk.img)" -lt $((9 * 2048)) ] ||
		fail "the discarded range still takes up space"
}

read_only_case()
{
	local before

	qemu_get
	image disk.img 8
	"$(program blktool)" fill disk.img 0 8388608 9
	before=$(sha256sum <disk.img)
	disk_start "$1" "$PWD/disk.img" read-only
	steps guest <<-'END'
		step "it is read-only" contains /sys/block/vda/ro 1
		step "read" blktool check /dev/vda 0 8388608 9
		refused "write" blktool fill /dev/vda 0 65536 1
	END
	disk_args 1
	qemu_start guest "${disk_args[@]}"
	guest_done guest "$guest" 60
	[ "$before" = "$(sha256sum <disk.img)" ] || fail "the image has changed"
}

resize_case()
{
	[ -z "$PVIO_TEST_PEER" ] || skip "resizes by pvioctl"
	qemu_get
	image disk.img 16
	disk_start pviod "$PWD/disk.img"
	steps guest <<-'END'
		step "16 MiB" contains /sys/block/vda/size 32768
		say ready
		step "48 MiB" until_true 30 contains /sys/block/vda/size 98304
		step "write" blktool fill /dev/vda 33554432 16777216 5
		step "read" blktool check /dev/vda 33554432 16777216 5
	END
	disk_args 1
	qemu_start guest "${disk_args[@]}"
	guest_says guest ready 60
	truncate -s 48M disk.img
	ctl resize disk
	guest_done guest "$guest" 60
	"$(program blktool)" check disk.img 33554432 16777216 5
}

# QEMU passes an anonymous memory's fd with share=off as well: what we map is
# not what the guest sees, and the rings in it stay empty.
not_shared_case()
{
	qemu_get
	[ -z "$PVIO_TEST_PEER" ] || skip "about pvio's diagnosis"
	[ "$qemu_of" = stable ] ||
		skip "unstable's SeaBIOS waits for ever after its only kick"
	image disk.img 16
	disk_start pviod "$PWD/disk.img"
	kernel_get
	steps guest <<-'END'
		say alive
	END
	initramfs qemu guest
	start qemu "${qemu[@]}" -accel tcg -nodefaults -nographic \
		-no-reboot -cpu max -m 256 -serial stdio -kernel "$vmlinuz" \
		-initrd guest.initrd -append "$kernel_args" \
		-object memory-backend-memfd,id=m,size=256M,share=off \
		-machine memory-backend=m -chardev "socket,id=d,path=$PWD/disk.sock" \
		-device vhost-user-blk-pci,chardev=d
	within 30 grep -i share qemu.log pviod.log ||
		fail "nobody said that guest memory is not shared"
	kill -KILL "$started"
	is_gone "$disk_server" && fail "pviod has ended"
	# The same server goes on to serve a guest that does it right.
	steps second <<-'END'
		step "write" blktool fill /dev/vda 0 1048576 5
		step "read" blktool check /dev/vda 0 1048576 5
	END
	disk_args 1
	qemu_start second "${disk_args[@]}"
	guest_done second "$guest" 60
}

run_case qemu-disk-split file_system_case pviod 1
run_case qemu-disk-packed file_system_case pviod 1 packed=on
run_case qemu-disk-split-2-queues file_system_case pviod 2
run_case qemu-disk-packed-2-queues file_system_case pvio-block 2 packed=on
run_case qemu-disk-no-event-idx file_system_case pviod 1 \
	event_idx=off,indirect_desc=off
run_case qemu-disk-discard discard_case
run_case qemu-disk-read-only read_only_case pviod
run_case qemu-disk-resize resize_case
run_case qemu-disk-memory-not-shared not_shared_case
finish
