#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# bus.sh - the pvio bus: two disks and network cards behind one bridge in stock
# QEMU, by vfio-user, driven by guest/linux and the drivers of the distribution
#
# 6.1 and 7.2 are the kernels of Debian stable and unstable.

needs_kernel=1
needs_sid=1
needs_module="stable sid"
. "$(dirname "$0")/lib.sh"
. "$here/vfio-user.bash"

mac=52:54:00:00:00:01
mac2=52:54:00:00:00:02

# bus_serve KERNEL [PARAMETER...]: who drives the bus, and how
bus_serve()
{
	vfu_serve poll "$1"
	kernel_get
	module_get
	shift
	bus_parameters=$*
	image disk1.img 64
	image disk2.img 64
}

# bus_conf DEVICE...: pvio.conf with these on one bus: diskN, net, or net2
bus_conf()
{
	local device devices=() keys

	for device; do
		case $device in
		disk*)
			keys="model = \"block\"; queues = 2;
			      backend = { type = \"file\";
			                  path = \"$PWD/$device.img\"; };"
			;;
		net)
			keys="model = \"net\"; mac = \"$mac\";
			      backend = { type = \"tap\"; ifname = \"tap0\"; };"
			;;
		net2)
			keys="model = \"net\"; mac = \"$mac2\";
			      backend = { type = \"tap\"; ifname = \"tap1\"; };"
			;;
		esac
		devices+=("{ name = \"$device\"; $keys
		  transport = { type = \"hypercall\";
		                socket = \"$PWD/bus.sock\"; }; }")
	done
	cat >pvio.conf.new <<-END
		control = "$PWD/control.sock";
		guests = ( { name = "vm"; devices = (
		$(printf '%s,\n' "${devices[@]}" | sed '$s/,$//')
		); } );
	END
	mv pvio.conf.new pvio.conf
}

# bus_start: pviod with ./pvio.conf, and what is behind the card
bus_start()
{
	tap_up tap0
	if grep -q tap1 pvio.conf; then
		# On a network of its own, which the nettool of tap0 serves, too.
		ip tuntap add tap1 mode tap vnet_hdr
		ip link set tap1 up
		ip addr add 10.0.1.1/24 dev tap1
		links+=(tap1)
	fi
	pviod_start
	started_makes "$PWD/bus.sock"
}

# What guests do with the bus.  Disks are told by what is written at 50 MiB,
# since their names come as devices are found.
bus_steps()
{
	cat <<-END
		$net_steps
		load() { insmod /modules/pvio_bus.ko $bus_parameters; }
	END
	cat <<-'END'
		bridge=/sys/bus/pci/drivers/pvio_bus
		disks() { ls -d /sys/block/vd* 2>/dev/null | wc -l; }
		has_disks() { [ "$(disks)" = "$1" ]; }
		has_net() { net_by_mac 52:54:00:00:00:01; }
		disk_by_serial() {
			for d in /sys/block/vd*; do
				contains $d/serial $1 && echo /dev/${d##*/} && return
			done
			return 1
		}
		found() {
			step "two disks $1" until_true 30 has_disks 2
			step "a network card $1" until_true 30 has_net
			d1=$(disk_by_serial disk1)
			d2=$(disk_by_serial disk2)
		}
		# disk_io DEVICE SEED
		disk_io() {
			step "write $1 $2" blktool fill $1 50331648 4194304 $2
			step "read $1 $2" blktool check $1 50331648 4194304 $2
		}
		# All of it, disks and card at the same time.
		use_all() {
			step "network up $1" net_up 52:54:00:00:00:01 10.0.0.2/24
			step "file system 1 $1" file_system $d1
			disk_io $d1 7 &
			one=$!
			disk_io $d2 8 &
			two=$!
			net_io 10.0.0.1 4000000
			wait $one $two
			step "file system 2 $1" file_system $d2
		}
		# Enough to see that all three work.
		use_some() {
			step "network up $1" net_up 52:54:00:00:00:01 10.0.0.2/24
			disk_io $d1 7 &
			one=$!
			disk_io $d2 8 &
			two=$!
			net_io 10.0.0.1 500000
			wait $one $two
		}
		counters() {
			for c in $bridge/*:*/pvio/*; do
				say ${c##*/} $(cat $c)
			done
		}
		# How many interrupts it has, and how many came to a queue's own.
		interrupts() {
			say shared $(grep -c 'pvio_bus-' /proc/interrupts)
			say own $(grep -cE 'virtio[0-9]+-' /proc/interrupts)
		}
	END
}

# What the guest has written is there; pvio has carried it.
bus_kept()
{
	local n

	for n in 1 2; do
		"$(program blktool)" check "disk$n.img" 50331648 4194304 $((n + 6))
		[ "$(counter "disk$n" bytes_out)" -gt 4194304 ] ||
			fail "it was not pvio that read disk$n"
	done
	[ "$(counter net bytes_out)" -gt 500000 ] ||
		fail "it was not pvio that carried the packets"
	vfu_polite guest
}

# bus_guest ARGS...: QEMU with the bridge
bus_guest()
{
	vfu_start guest "$@" -device "$(vfu_json bus.sock)"
}

# io_case KERNEL CPUS DELIVERY DOORBELL
io_case()
{
	local cpus=$2

	bus_serve "$1" "delivery=$3" "doorbell=$4"
	bus_conf disk1 disk2 net net2
	bus_start
	steps guest <<-END
		$(bus_steps)
		step "load" load
		found 1
		use_all 1
		# Both cards and a disk at the same time.
		step "second card up" net_up $mac2 10.0.1.2/24
		disk_io \$d1 7 &
		one=\$!
		net_io 10.0.0.1 1000000 &
		net_io 10.0.1.1 1000000
		wait \$one \$!
		counters
		interrupts
	END
	# With one processor Linux leaves the lock prefixes out.
	guest_args="nr_cpus=$cpus" bus_guest -smp "$cpus"
	guest_done guest "$guest" 120
	bus_kept
	e2fsck_clean disk1.img
	e2fsck_clean disk2.img
	case $3 in
	signal)
		[ "$(guest_word guest shared)" = "$cpus" ] ||
			fail "$(guest_word guest shared) shared interrupts"
		[ "$(guest_word guest own)" = 0 ] ||
			fail "queues have interrupts of their own"
		[ "$(guest_word guest signals)" -gt 100 ] ||
			fail "it was not signals that told of work"
		;;
	direct)
		[ "$(guest_word guest own)" -gt 1 ] ||
			fail "queues have no interrupts of their own"
		;;
	esac
	case $4 in
	shared)
		[ "$(guest_word guest raised)" -gt 100 ] ||
			fail "nothing was raised"
		;;
	direct)
		[ "$(guest_word guest raised)" = 0 ] ||
			fail "something was raised"
		;;
	esac
	echo "figure: $(guest_word guest raised) raised," \
		"$(guest_word guest doorbells) doorbells;" \
		"$(guest_word guest signals) signals," \
		"$(guest_word guest interrupts) interrupts"
}

# The module goes, and comes back, and finds everything again; at last with the
# other parameters, so that areas of before are in nobody's way.
reload_case()
{
	bus_serve "$1"
	bus_conf disk1 disk2 net
	bus_start
	steps guest <<-END
		$(bus_steps)
		nothing() { has_disks 0 && ! has_net; }
		for p in "" "delivery=direct doorbell=direct" ""; do
			i=\$((\${i:-0} + 1))
			step "load \$i" insmod /modules/pvio_bus.ko \$p
			found \$i
			use_some \$i
			step "unload \$i" rmmod pvio_bus
			step "nothing is left \$i" nothing
		done
		step "load" load
		found last
		step "read 1" blktool check \$d1 50331648 4194304 7
		step "read 2" blktool check \$d2 50331648 4194304 8
	END
	bus_guest -smp 2
	guest_done guest "$guest" 240
	bus_kept
}

# The drivers let go of one device, and of the bridge, and take them again.
rebind_case()
{
	bus_serve "$1"
	bus_conf disk1 disk2 net
	bus_start
	steps guest <<-END
		$(bus_steps)
		step "load" load
		found 0
		use_some 0
		nothing() { has_disks 0 && ! has_net; }
		pci=\$(basename \$bridge/*:*)
		for i in 1 2 3; do
			virtio=\$(basename \$(readlink -f /sys/block/\${d1#/dev/}/device))
			echo \$virtio >/sys/bus/virtio/drivers/virtio_blk/unbind
			step "gone \$i" has_disks 1
			echo \$virtio >/sys/bus/virtio/drivers/virtio_blk/bind
			found \$i
			step "read 1 \$i" blktool check \$d1 50331648 4194304 7
			echo \$pci >\$bridge/unbind
			step "gone with the bridge \$i" nothing
			echo \$pci >\$bridge/bind
			found "\$i again"
			step "read 2 \$i" blktool check \$d2 50331648 4194304 8
		done
	END
	bus_guest
	guest_done guest "$guest" 120
	bus_kept
}

# The guest resets the machine in the middle of reading, and so does the host.
reboot_case()
{
	bus_serve "$1"
	bus_conf disk1 disk2 net
	bus_start
	steps guest <<-END
		$(bus_steps)
		step "load" load
		found 1
		use_some 1
		boot=\$(dd if=\$d1 bs=1 skip=62914560 count=1 2>/dev/null)
		say boot "\$boot"
		if [ "\$boot" != c ]; then
			dd if=\$d1 of=/dev/null bs=65536 count=200 &
			dd if=\$d2 of=/dev/null bs=65536 count=200 &
			case \$boot in
			a) reboot -f ;;
			b) say ready; sleep 60 ;;
			esac
		fi
	END
	printf a | dd of=disk1.img bs=1 seek=62914560 conv=notrunc status=none
	bus_guest -smp 2 -action reboot=reset
	guest_says guest "boot a" 90
	printf b | dd of=disk1.img bs=1 seek=62914560 conv=notrunc status=none
	guest_says guest "boot b" 90
	guest_says guest ready 60
	printf c | dd of=disk1.img bs=1 seek=62914560 conv=notrunc status=none
	qmp guest system_reset
	guest_says guest "boot c" 90
	guest_done guest "$guest" 60
	[ "$(grep -ca '@@ ok udp with' guest.console)" = 3 ] ||
		fail "it did not work in all three boots"
	bus_kept
}

# The guest sleeps (S3), from which QEMU wakes it with a reset of the bridge.
sleep_case()
{
	local i

	bus_serve "$1"
	bus_conf disk1 disk2 net
	bus_start
	steps guest <<-END
		$(bus_steps)
		step "load" load
		found 0
		use_some 0
		for i in 1 2; do
			say sleeps \$i
			step "woken \$i" sh -c "echo mem >/sys/power/state"
			step "read 1 \$i" blktool check \$d1 50331648 4194304 7
			step "read 2 \$i" blktool check \$d2 50331648 4194304 8
			step "network \$i" until_true 30 ping -c 1 -W 1 10.0.0.1
			net_io 10.0.0.1 1000000
		done
	END
	bus_guest "${sleeper[@]}"
	for i in 1 2; do
		guest_says guest "sleeps $i" 90
		within 60 was_suspended guest "$i" || fail "it does not sleep"
		qmp guest system_wakeup
	done
	guest_done guest "$guest" 90
	bus_kept
}

# bus_change DEVICE...: the daemon reads that they are on the bus now
bus_change()
{
	bus_conf "$@"
	kill -HUP "$pviod"
}

# A disk comes to a running bus, is used, and goes, twice; and so does the card,
# with packets under way.  The other disk is busy all the time, and notices
# nothing.  The one that goes is being read: its driver is asked to end that
# first, since virtio_blk waits for ever for what a device has not answered.
hotplug_case()
{
	local i

	bus_serve "$1"
	bus_conf disk1
	bus_start
	steps guest <<-END
		$(bus_steps)
		step "load" load
		step "one disk" until_true 30 has_disks 1
		d1=\$(disk_by_serial disk1)
		step "file system" file_system \$d1
		busy() {
			while [ ! -e /tmp/enough ]; do
				blktool fill \$d1 50331648 4194304 7 &&
					blktool check \$d1 50331648 4194304 7 ||
					return 1
			done
		}
		busy & busy=\$!
		no_net() { ! has_net; }
		say alone 0
		for i in 1 2; do
			step "a second disk \$i" until_true 60 has_disks 2
			step "a card \$i" until_true 60 has_net
			d2=\$(disk_by_serial disk2)
			step "network up \$i" net_up $mac 10.0.0.2/24
			net_io 10.0.0.1 1000000
			step "file system 2 \$i" file_system \$d2
			disk_io \$d2 8
			ping -q -i 0.01 -s 1400 10.0.0.1 >/dev/null &
			ping=\$!
			# Reads, with requests under way at every moment.
			while dd if=\$d2 of=/dev/null bs=65536 iflag=direct \
				2>/dev/null; do :; done &
			say both \$i
			step "the disk has gone \$i" until_true 60 has_disks 1
			step "the card has gone \$i" until_true 60 no_net
			kill \$ping \$! 2>/dev/null
			say alone \$i
		done
		touch /tmp/enough
		step "the first disk was not disturbed" wait \$busy
	END
	bus_guest -smp 2
	for i in 1 2; do
		guest_says guest "alone $((i - 1))" 90
		bus_change disk1 disk2 net
		guest_says guest "both $i" 90
		bus_change disk1
		guest_says guest "alone $i" 90
	done
	guest_done guest "$guest" 90
	"$(program blktool)" check disk1.img 50331648 4194304 7
	"$(program blktool)" check disk2.img 50331648 4194304 8
	e2fsck_clean disk1.img
	e2fsck_clean disk2.img
	vfu_polite guest
}

run_case bus-6.1 io_case stable 2 signal shared
run_case bus-7.2 io_case sid 2 signal shared
run_case bus-1cpu-6.1 io_case stable 1 signal shared
run_case bus-1cpu-7.2 io_case sid 1 signal shared
run_case bus-direct-6.1 io_case stable 2 direct shared
run_case bus-direct-7.2 io_case sid 2 direct direct
run_case bus-doorbell-6.1 io_case stable 2 signal direct
run_case bus-reload-6.1 reload_case stable
run_case bus-reload-7.2 reload_case sid
run_case bus-rebind-6.1 rebind_case stable
run_case bus-rebind-7.2 rebind_case sid
run_case bus-reboot-6.1 reboot_case stable
run_case bus-reboot-7.2 reboot_case sid
run_case bus-sleep-6.1 sleep_case stable
run_case bus-sleep-7.2 sleep_case sid
run_case bus-hotplug-6.1 hotplug_case stable
run_case bus-hotplug-7.2 hotplug_case sid
finish
