#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# vfio-user-net.sh - network cards as PCI functions in stock QEMU, by vfio-user:
# both doorbells, MSI-X and INTx, split and packed rings, queue pairs, links,
# hot plug, and a switch with a guest of vhost-user on it
#
# 6.1 and 7.2 are the kernels of Debian stable and unstable.

needs_kernel=1
needs_sid=1
. "$(dirname "$0")/lib.sh"
. "$here/vfio-user.bash"

mac=52:54:00:00:00:01

# tap_case DOORBELL KERNEL RING IRQ PAIRS
tap_case()
{
	local ring=$3 irq=$4 pairs=$5 packed=0 keys

	keys="queues = $pairs;"
	case $ring in
	packed) packed=1 ;;
	split) keys+=" packed = false;" ;;
	esac
	[ "$irq" != IO-APIC ] || guest_args=pci=nomsi
	vfu_serve "$1" "$2"
	if [ "$pairs" = 1 ]; then
		tap_up tap0
	else
		tap_up tap0 multi_queue
	fi
	net_start 'type = "tap"; ifname = "tap0";' "$keys"
	steps guest <<-END
		$vfu_steps
		$net_steps
		step "network up" net_up $mac 10.0.0.2/24
		step "ping" ping -c 3 -i 0.2 -W 5 10.0.0.1
		ip -6 addr add fd00::2/64 dev \$nic
		net_io 10.0.0.1 8000000
		step "tcp over IPv6" nettool tcp fd00::1 5001 send 4000000 5
		step "and back" nettool tcp fd00::1 5001 recv 4000000 6
		say queues \$(ls -d /sys/class/net/\$nic/queues/rx-* | wc -l)
		about /sys/class/net/\$nic/device
		say ready
		lost() { ! ping -c 1 -W 1 10.0.0.1; }
		step "link down" until_true 20 contains /sys/class/net/\$nic/carrier 0
		step "nothing comes" lost
		say down
		step "link up again" until_true 30 ping -c 1 -W 1 10.0.0.1
	END
	vfu_start guest -smp "$pairs" -device "$(vfu_json net.sock)"
	guest_says guest ready 120
	ctl link net down
	guest_says guest down 60
	ctl link net up
	guest_done guest "$guest" 60
	vfu_polite guest
	[ "$(counter net bytes_out)" -gt 12000000 ] ||
		fail "it was not pvio that carried the packets"
	[ "$(guest_word guest queues)" = "$pairs" ] ||
		fail "the guest uses another number of queue pairs"
	[ "$(guest_word guest irqs)" = "$irq" ] ||
		fail "interrupts came by $(guest_word guest irqs)"
	[ "$(feature guest 32)$(feature guest 34)" = "1$packed" ] ||
		fail "not a $ring ring"
	vfu_rang guest "$1"
}

# One guest by vfio-user, the other by vhost-user: one switch.
switch_case()
{
	local first

	vfu_serve "$1" "$2"
	switch_start
	switch_steps 4000000
	vfu_start guest1 -device "$(vfu_json net1.sock)"
	first=$guest
	qemu_start guest2 -chardev "socket,id=n,path=$PWD/net2.sock" \
		-netdev vhost-user,id=n0,chardev=n \
		-device "virtio-net-pci,netdev=n0,mac=52:54:00:00:00:02,romfile="
	guest_done guest2 "$guest" 150
	guest_done guest1 "$first" 20
	vfu_polite guest1
}

# Without MSI-X: see vfio-user-disk.sh.
hotplug_case()
{
	vfu_serve "$1" "$2"
	transport+=" vectors = 0;"
	tap_up tap0
	net_start 'type = "tap"; ifname = "tap0";'
	steps guest <<-END
		$net_steps
		gone() { ! net_by_mac $mac; }
		there() { net_by_mac $mac; }
		use_it() {
			step "network up \$i" net_up $mac 10.0.0.2/24
			net_io 10.0.0.1 1000000
		}
		$hotplug_steps
	END
	vfu_hotplug guest net.sock
	vfu_polite guest
}

run_case vfio-user-net-trap-6.1 tap_case trap stable split MSI 1
run_case vfio-user-net-trap-7.2 tap_case trap sid packed MSI 2
run_case vfio-user-net-poll-6.1 tap_case poll stable packed MSI 2
run_case vfio-user-net-poll-7.2 tap_case poll sid split MSI 1
run_case vfio-user-net-intx-6.1 tap_case poll stable packed IO-APIC 1
run_case vfio-user-net-intx-7.2 tap_case trap sid split IO-APIC 1
run_case vfio-user-net-switch switch_case trap sid
run_case vfio-user-net-hotplug-7.2 hotplug_case poll sid
finish
