#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# uml.sh - User-mode Linux guests: virtio_uml is a vhost-user front-end of its
# own, and runs at native speed

. "$(dirname "$0")/lib.sh"

uml_disk=2 uml_net=1

disk_file_system()
{
	have linux.uml
	image disk.img 64
	disk_start "$1" "$PWD/disk.img"
	steps guest <<-'END'
		step "file system" file_system /dev/vda
		step "written past the file system" blktool fill /dev/vda 50331648 8388608 7
		step "read again" blktool check /dev/vda 50331648 8388608 7
		say serial "$(cat /sys/block/vda/serial)"
	END
	uml_start guest "virtio_uml.device=$PWD/disk.sock:$uml_disk"
	guest_done guest "$guest" 40
	"$(program blktool)" check disk.img 50331648 8388608 7
	e2fsck_clean disk.img
}

run_case uml-disk-pviod disk_file_system pviod
run_case uml-disk-pvio-block disk_file_system pvio-block
finish
