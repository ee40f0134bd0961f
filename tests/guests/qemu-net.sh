#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# qemu-net.sh - network cards under Debian's QEMU and Linux: split and packed
# rings, one queue pair and two, all offloads and none, links that go down, and
# two guests on a switch
#
# vectors=0: QEMU 7.2 without KVM crashes when Linux starts a vhost-user card
# with MSI-X, whatever serves it.

needs_kernel=1
. "$(dirname "$0")/lib.sh"

peer=tap,ifname=tap0,script=no,downscript=no # for PVIO_TEST_PEER=qemu

# net_args SOCKET MAC [PAIRS [PROPERTIES]]: sets $net_args for QEMU
net_args()
{
	local pairs=${3:-1}

	net_args=(-smp "$pairs"
		-chardev "socket,id=n,path=$1,$reconnect"
		-netdev "vhost-user,id=n0,chardev=n,queues=$pairs"
		-device "virtio-net-pci,netdev=n0,mac=$2,romfile=,vectors=0$(
			[ "$pairs" = 1 ] || echo ,mq=on)${4:+,$4}")
	[ "$PVIO_TEST_PEER" != qemu ] || net_args=(
		-netdev "$peer,id=n0"
		-device "virtio-net-pci,netdev=n0,mac=$2,romfile=,vectors=0${4:+,$4}")
}

tap_case()
{
	local pairs=${1:-1} properties=${2-} bits

	qemu_get
	[ "$PVIO_TEST_PEER,$pairs" != qemu,2 ] || skip "not with QEMU's tap"
	if [ "$pairs" = 1 ]; then
		tap_up tap0
	else
		tap_up tap0 multi_queue
	fi
	[ "$PVIO_TEST_PEER" = qemu ] ||
		net_start 'type = "tap"; ifname = "tap0";' "queues = $pairs;"
	steps guest <<-END
		$net_steps
		step "network up" net_up 52:54:00:00:00:01 10.0.0.2/24
		step "ping" ping -c 3 -i 0.2 -W 5 10.0.0.1
		ip -6 addr add fd00::2/64 dev \$nic
		net_io 10.0.0.1 8000000
		step "tcp over IPv6" nettool tcp fd00::1 5001 send 4000000 5
		step "and back" nettool tcp fd00::1 5001 recv 4000000 6
		say queues \$(ls -d /sys/class/net/\$nic/queues/rx-* | wc -l)
		say features \$(cat /sys/class/net/\$nic/device/features)
	END
	net_args "$PWD/net.sock" 52:54:00:00:00:01 "$pairs" "$properties"
	qemu_start guest "${net_args[@]}"
	guest_done guest "$guest" 120
	[ "$(guest_word guest queues)" = "$pairs" ] ||
		fail "the guest uses another number of queue pairs"
	bits=$(guest_word guest features)
	case $properties in
	*packed=on*) [ "${bits:34:1}" = 1 ] || fail "not a packed ring" ;;
	*) [ "${bits:34:1}" = 0 ] || fail "not a split ring" ;;
	esac
}

passt_case()
{
	qemu_get
	passt_start
	peer=stream,addr.type=unix,addr.path=$PWD/passt.sock
	[ "$PVIO_TEST_PEER" = qemu ] ||
		net_start "type = \"stream\"; path = \"$PWD/passt.sock\";"
	steps guest <<-END
		$net_steps
		step "network up" net_up 52:54:00:00:00:01 192.0.2.2/24 192.0.2.1
		net_io 192.0.2.1 4000000
	END
	net_args "$PWD/net.sock" 52:54:00:00:00:01
	qemu_start guest "${net_args[@]}"
	guest_done guest "$guest" 120
}

switch_case()
{
	local first

	qemu_get
	switch_start
	switch_steps 4000000
	net_args "$PWD/net1.sock" 52:54:00:00:00:01 1 "${1-}"
	qemu_start guest1 "${net_args[@]}"
	first=$guest
	net_args "$PWD/net2.sock" 52:54:00:00:00:02 1 "${2-}"
	qemu_start guest2 "${net_args[@]}"
	guest_done guest2 "$guest" 150
	guest_done guest1 "$first" 20
}

# QEMU shows its guest the state of the connection, not the device's link: with
# our link down frames are lost and the carrier stays.
link_case()
{
	qemu_get
	tap_up tap0
	net_start 'type = "tap"; ifname = "tap0";'
	steps guest <<-'END'
		step "network up" net_up 52:54:00:00:00:01 10.0.0.2/24
		step "link up" ping -c 1 -W 5 10.0.0.1
		say ready
		lost() { ! ping -c 1 -W 1 10.0.0.1; }
		step "link down" until_true 20 lost
		say down
		step "link up again" until_true 30 ping -c 1 -W 1 10.0.0.1
	END
	net_args "$PWD/net.sock" 52:54:00:00:00:01
	qemu_start guest "${net_args[@]}"
	guest_says guest ready 60
	ctl link net down
	guest_says guest down 60
	ctl link net up
	guest_done guest "$guest" 60
}

# The serving process is killed: the guest's link goes down, and comes up again
# with the next process, and nothing is left of the old one's rings.  Split rings
# only: for a packed one QEMU (7.2, 11.1) has no position when the process is
# gone, says "ring restore failed", and goes on at the ring's start.
kill_case()
{
	local pid i

	qemu_get
	tap_up tap0
	net_start 'type = "tap"; ifname = "tap0";'
	steps guest <<-END
		$net_steps
		step "network up" net_up 52:54:00:00:00:01 10.0.0.2/24
		step "ping" ping -c 1 -W 5 10.0.0.1
		say ready
		for i in 1 2 3 4 5; do
			step "link down \$i" until_true 30 contains /sys/class/net/\$nic/carrier 0
			step "link up \$i" until_true 30 contains /sys/class/net/\$nic/carrier 1
			step "ping \$i" until_true 30 ping -c 1 -W 1 10.0.0.1
			say again \$i
		done
		net_io 10.0.0.1 1000000
	END
	net_args "$PWD/net.sock" 52:54:00:00:00:01
	qemu_start guest "${net_args[@]}"
	guest_says guest ready 60
	for i in 1 2 3 4 5; do
		pid=$(ps -o pid= --ppid "$pviod" | head -n 1)
		# shellcheck disable=SC2086
		kill -KILL $pid
		guest_says guest "again $i" 60
	done
	guest_done guest "$guest" 90
}

run_case qemu-net-tap-split tap_case 1
run_case qemu-net-tap-packed tap_case 1 packed=on
run_case qemu-net-tap-split-2-pairs tap_case 2
run_case qemu-net-tap-packed-2-pairs tap_case 2 packed=on
run_case qemu-net-tap-no-offloads tap_case 1 \
	csum=off,gso=off,host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off,mrg_rxbuf=off,event_idx=off
run_case qemu-net-passt passt_case
[ -z "$PVIO_TEST_PEER" ] || finish
run_case qemu-net-switch-split-packed switch_case "" packed=on
run_case qemu-net-link link_case
run_case qemu-net-kill kill_case
finish
