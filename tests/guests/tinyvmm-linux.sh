#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# tinyvmm-linux.sh - Linux in examples/tinyvmm with a disk and a network card,
# on PCI, on register pages and on pvio's bus, under KVM
#
# KVM is that of a first guest, which QEMU emulates and in which tinyvmm runs
# the second: what /dev/kvm there is on the machine does not matter.  Kicks
# arrive by ioeventfd and interrupts by irqfd: tinyvmm counts what comes to it
# instead, and the second guest's kernel counts its interrupts.

needs_kernel=1
# Of KVM that knows of Xen, and for it the driver of the bus.
needs_sid=1
needs_module=sid
. "$(dirname "$0")/lib.sh"

# second_steps: what the second guest does with its devices
second_steps()
{
	steps second <<-END
		$net_steps
		$second_first
		step "file system" file_system /dev/vda
		step "write" blktool fill /dev/vda 41943040 8388608 7
		step "read" blktool check /dev/vda 41943040 8388608 7
		step "network up" net_up 52:54:00:00:00:01 10.0.0.2/24
		step "the other side" until_true 30 ping -c 1 -W 1 10.0.0.1
		net_io 10.0.0.1 2000000
		grep -E "virtio|pvio_bus" /proc/interrupts | sed 's/^/irq /'
		say "type something"
		read -r -t 60 line
		step "the console has keys" [ "\$line" = "hello, guest" ]
	END
	initramfs qemu second
}

# QEMU's emulation lets XSETBV pass KVM by, whose guest then finds registers of
# another size than it is told of.
second_args="$kernel_args noxsave"

# first_steps OPTION...: the first runs tinyvmm, whose output is second.out
first_steps()
{
	steps first <<-END
		$hung_steps
		keys()
		{
			for second in \$(seq 200); do
				grep -qE '@@ (type|end)' /tmp/second.out && break
				usleep 1000000
			done
			echo "hello, guest"
		}
		second()
		{
			keys | without_hanging 120 tinyvmm --kernel /vmlinuz \
				--initrd /second.initrd --stats \
				--append "$second_args ${append-}" \
				--disk /tmp/disk.img --net 'mac = "52:54:00:00:00:01";
				backend = { type = "tap"; ifname = "tap0"; };' \
				$* >/tmp/second.out 2>&1
			status=\$?
			cat /tmp/second.out
			# A triple fault: see nested_run.
			! grep -q 'exit reason 8,' /tmp/second.out ||
				say hung tinyvmm: the guest is lost
			[ \$status = 0 ] && grep -q '^@@ end' /tmp/second.out &&
				! grep '^@@ not ok' /tmp/second.out
		}
		has_no_exits()
		{
			! grep -q '"notify_exits": *[1-9]' /tmp/second.out
		}
		truncate -s 64M /tmp/disk.img
		ip link set lo up
		step "tap" tunctl -t tap0
		ip addr add 10.0.0.1/24 dev tap0
		ip link set tap0 up
		nettool serve 5001 >/dev/null &
		step "second guest" second
		step "what it wrote" blktool check /tmp/disk.img 41943040 8388608 7
		$first_checks
	END
}

# count KEY: the sum of KEY over tinyvmm's devices and their queues
count()
{
	grep -ao "\"$1\": *[0-9]*" first.console |
		awk -F: '{ n += $2 } END { print n + 0 }'
}

linux_case()
{
	local interrupts=$1

	shift
	have busybox cpio
	kernel_get
	second_steps
	first_steps "$@"
	nested_run first 80 second.initrd
	echo "figure: exits: $(count io) io, $(count mmio) mmio," \
		"$(count notify_exits) of them kicks; queues:" \
		"$(count kicks) kicks, $(count notifications) notifications"
	[ "$(count kicks)" -gt 100 ] || fail "hardly a kick"
	[ "$(count notifications)" -gt 100 ] || fail "hardly an interrupt"
	grep -aE "irq .* $interrupts.*(virtio|pvio_bus)" first.console ||
		fail "no interrupts of kind $interrupts"
}

# Without ioeventfd every kick is an exit: the counter counts.
exits_case()
{
	local first_checks="refused 'kicks were exits' has_no_exits"

	linux_case "$@" --no-ioeventfd
}

# bus_case KIND exits|none [PARAMETER...]: pvio's bus, and whether its doorbells
# are exits; its driver is told to use it in another way
bus_case()
{
	local first_checks second_first kind=$1 exits=$2 kernel_of=sid

	shift 2
	first_checks="step 'doorbells' grep -q '\"doorbell_exits\": [1-9]' /tmp/second.out"
	[ "$exits" = exits ] || first_checks="refused ${first_checks#step}"
	second_first="step 'load' insmod /modules/pvio_bus.ko $*
		step 'a disk' until_true 30 test -b /dev/vda
		step 'a card' until_true 30 net_by_mac 52:54:00:00:00:01"
	kernel_get
	module_get
	linux_case IO-APIC --bus "pvio-$kind" --cpus 2
}

first_checks="step 'no kick was an exit' has_no_exits"
second_first=
append=pci=nomsi
run_case tinyvmm-linux-pci-intx linux_case IO-APIC
append=
run_case tinyvmm-linux-pci-msix linux_case PCI-MSI --cpus 2
run_case tinyvmm-linux-mmio linux_case IO-APIC --bus mmio
run_case tinyvmm-linux-exits exits_case PCI-MSI
run_case tinyvmm-linux-bus-mmio bus_case mmio none
run_case tinyvmm-linux-bus-msr bus_case msr exits
run_case tinyvmm-linux-bus-xen bus_case xen exits
run_case tinyvmm-linux-bus-pio bus_case pio exits delivery=direct doorbell=direct
finish
