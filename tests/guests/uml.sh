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
		say features $(cat /sys/block/vda/device/features)
	END
	uml_start guest "virtio_uml.device=$PWD/disk.sock:$uml_disk"
	guest_done guest "$guest" 40
	if [ -z "$PVIO_TEST_PEER" ]; then
		# Bit 34: its front-end sends ring positions of its own kind.
		bits=$(guest_word guest features)
		[ "${bits:34:1}" = 1 ] || fail "not a packed ring"
	fi
	"$(program blktool)" check disk.img 50331648 8388608 7
	e2fsck_clean disk.img
}

tap_case()
{
	have linux.uml
	tap_up tap0
	net_start 'type = "tap"; ifname = "tap0";'
	steps guest <<-END
		$net_steps
		step "network up" net_up 52:54:00:00:00:01 10.0.0.2/24
		step "ping" ping -c 3 -i 0.2 -W 5 10.0.0.1
		net_io 10.0.0.1 40000000
	END
	uml_start guest "virtio_uml.device=$PWD/net.sock:$uml_net"
	guest_done guest "$guest" 60
}

passt_case()
{
	have linux.uml
	passt_start
	net_start "type = \"stream\"; path = \"$PWD/passt.sock\";"
	steps guest <<-END
		$net_steps
		step "network up" net_up 52:54:00:00:00:01 192.0.2.2/24 192.0.2.1
		net_io 192.0.2.1 40000000
	END
	uml_start guest "virtio_uml.device=$PWD/net.sock:$uml_net"
	guest_done guest "$guest" 60
}

switch_case()
{
	local first

	have linux.uml
	switch_start
	switch_steps 40000000
	uml_start guest1 "virtio_uml.device=$PWD/net1.sock:$uml_net"
	first=$guest
	uml_start guest2 "virtio_uml.device=$PWD/net2.sock:$uml_net"
	guest_done guest2 "$guest" 60
	guest_done guest1 "$first" 20
}

# The device's link is in its configuration, which virtio_uml reads from us
# when told that it has changed.
link_case()
{
	have linux.uml
	tap_up tap0
	net_start 'type = "tap"; ifname = "tap0";'
	steps guest <<-'END'
		step "network up" net_up 52:54:00:00:00:01 10.0.0.2/24
		step "ping" ping -c 1 -W 5 10.0.0.1
		say ready
		step "link down" until_true 30 contains /sys/class/net/$nic/carrier 0
		say down
		step "link up" until_true 30 contains /sys/class/net/$nic/carrier 1
		step "ping again" until_true 10 ping -c 1 -W 1 10.0.0.1
	END
	uml_start guest "virtio_uml.device=$PWD/net.sock:$uml_net"
	guest_says guest ready 30
	ctl link net down
	guest_says guest down 30
	ctl link net up
	guest_done guest "$guest" 30
}

# A disk and a card of one guest, both in use at once.
both_case()
{
	have linux.uml
	tap_up tap0
	image disk.img 64
	cat >pvio.conf <<-END
		control = "$PWD/control.sock";
		guests = ( { name = "vm"; workers = 2; devices = (
		  { name = "disk"; model = "block"; serial = "pvio-uml";
		    backend = { type = "file"; path = "$PWD/disk.img"; };
		    transport = { type = "vhost-user";
		                  socket = "$PWD/disk.sock"; }; },
		  { name = "net"; model = "net"; mac = "52:54:00:00:00:01";
		    backend = { type = "tap"; ifname = "tap0"; };
		    transport = { type = "vhost-user";
		                  socket = "$PWD/net.sock"; }; } ); } );
	END
	pviod_start
	steps guest <<-END
		$net_steps
		step "network up" net_up 52:54:00:00:00:01 10.0.0.2/24
		net_io 10.0.0.1 40000000 &
		step "file system" file_system /dev/vda
		wait
		step "serial" contains /sys/block/vda/serial pvio-uml
	END
	uml_start guest "virtio_uml.device=$PWD/disk.sock:$uml_disk" \
		"virtio_uml.device=$PWD/net.sock:$uml_net"
	guest_done guest "$guest" 60
	e2fsck_clean disk.img
}

run_case uml-disk-pviod disk_file_system pviod
run_case uml-disk-pvio-block disk_file_system pvio-block
[ -z "$PVIO_TEST_PEER" ] || finish
run_case uml-net-tap tap_case
run_case uml-net-passt passt_case
run_case uml-net-switch switch_case
run_case uml-net-link link_case
run_case uml-disk-and-net both_case
finish
